//! Yarn's Plug'n'Play: no `node_modules`, but a table (`.pnp.cjs`) of where each package lies, mostly in zip
//! archives. Yarn itself wrote the table in this run; what it points to is what is checked. In front of it stand yarn's
//! own lines and no others: a project can have words of its own written there (`pnpShebang`).
//!
//! Format: the serialised state of yarn's PnP specification, inlined as one JavaScript string or in
//! `.pnp.data.json`; tried with yarn 4.18.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use alloy_primitives::B256;
use serde_json::Value;
use trust::digest::FileHasher;
use trust::text::printable;
use zip::ZipArchive;

use super::tree::{Package, Place, Tree, TreeError, read_manifest};
use crate::install::project::{MAX_MANIFEST_BYTES, read_bounded};

/// The largest table: a line or two for each package.
const MAX_TABLE: u64 = 64 << 20;

/// Unpacked bytes of one package: as for its tarball.
const MAX_UNPACKED: u64 = 1 << 30;

/// What yarn writes in front of everything, behind a first line that is ours to say.
const HEAD: [&str; 4] = ["/* eslint-disable */", "// @ts-nocheck", "\"use strict\";", ""];

/// The first line; pnpm, whose table has the same form, writes none.
pub(crate) const SHEBANG: &str = "#!/usr/bin/env node";

/// Behind that, the line before a table.
const INLINED: &str = "const RAW_RUNTIME_STATE =";

/// Or the one before it is read from the other file.
const APART: &str = "function $$SETUP_STATE(hydrateRuntimeState, basePath) {";

/// Whether a project has such a table.
pub(crate) fn is_plugged(root: &Path) -> bool {
    root.join(".pnp.cjs").is_file()
}

/// Adds every package of the table to `tree`.
pub(crate) fn read_table(root: &Path, tree: &mut Tree) -> Result<(), TreeError> {
    let table = load(root)?;
    let no = |reason: &str| TreeError::Table { reason: reason.to_owned() };
    let names = table["packageRegistryData"].as_array().ok_or_else(|| no("no list of packages"))?;
    let own = linked_folders(root, names);
    for name in names {
        let references = name[1].as_array().ok_or_else(|| no("a package without versions"))?;
        for reference in references {
            let (id, described) = (reference[0].as_str(), &reference[1]);
            let location =
                described["packageLocation"].as_str().ok_or_else(|| no("a package without a place"))?;
            let place = real_place(root, location).ok_or_else(|| no("a place that cannot be read"))?;
            let asker = place.strip_prefix(root).unwrap_or(&place);
            for given in described["packageDependencies"].as_array().into_iter().flatten() {
                let Some(name) = given[0].as_str() else { continue };
                if let Some(found) = given[1][0].as_str() {
                    tree.renamed.push((asker.to_owned(), name.to_owned(), found.to_owned()));
                }
                let found = given[1][0].as_str().unwrap_or(name);
                let reference = given[1][1].as_str().or(given[1].as_str()).unwrap_or_default();
                if let Some(folder) = own.get(&(found, reference)) {
                    tree.given.push((asker.to_owned(), name.to_owned(), folder.clone()));
                }
            }
            // The project itself and its workspaces.
            let (Some(_), Some(folder)) = (id, name[0].as_str()) else { continue };
            if described["linkType"] == "SOFT" {
                if !place.starts_with(root) {
                    tree.outside.insert(PathBuf::from(printable(folder, 214)), place);
                }
                continue;
            }
            // What is for another platform stands in the table and lies nowhere.
            let lies_in = split_archive(&place).map_or(place.clone(), |(file, _)| file);
            if lies_in.symlink_metadata().is_ok() {
                tree.packages.push(read_package(root, folder, &place)?);
            }
        }
    }
    Ok(())
}

/// The folders of the project that the table has for packages, by name and reference.
fn linked_folders<'a>(root: &Path, names: &'a [Value]) -> BTreeMap<(&'a str, &'a str), PathBuf> {
    let mut own = BTreeMap::new();
    for name in names {
        for reference in name[1].as_array().into_iter().flatten() {
            let (Some(named), Some(id)) = (name[0].as_str(), reference[0].as_str()) else { continue };
            let location =
                reference[1]["packageLocation"].as_str().filter(|_| reference[1]["linkType"] == "SOFT");
            let place = location.and_then(|location| real_place(root, location));
            if let Some(folder) = place.as_deref().and_then(|place| place.strip_prefix(root).ok()) {
                own.insert((named, id), folder.to_owned());
            }
        }
    }
    own
}

/// The table as JSON.
fn load(root: &Path) -> Result<Value, TreeError> {
    let no = |reason: String| TreeError::Table { reason };
    let read = |name: &str| {
        let bytes = read_bounded(&root.join(name), MAX_TABLE).map_err(|error| no(error.to_string()))?;
        Ok::<_, TreeError>(
            bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default(),
        )
    };
    // A file that has them keeps the line ends of another system.
    let text = read(".pnp.cjs")?.replace("\r\n", "\n");
    let first = text.strip_prefix(SHEBANG).and_then(|rest| rest.strip_prefix('\n'));
    let mut rest = first.unwrap_or(&text);
    for expected in HEAD {
        let (line, behind) = rest.split_once('\n').unwrap_or((rest, ""));
        if line != expected {
            return Err(no(format!("expected the line {expected:?}, found {:?}", printable(line, 200))));
        }
        rest = behind;
    }
    let (line, literal) = rest.split_once('\n').unwrap_or((rest, ""));
    if line == APART {
        return serde_json::from_str(&read(".pnp.data.json")?).map_err(|error| no(error.to_string()));
    }
    let is_one = line == INLINED && text.matches(INLINED).count() == 1;
    let literal = literal.strip_prefix('\'').filter(|_| is_one);
    let literal = literal.ok_or_else(|| no("expected one table, found none or several".to_owned()))?;
    let mut json = String::with_capacity(literal.len());
    let mut characters = literal.chars();
    loop {
        match characters.next() {
            Some('\'') => break,
            Some('\\') => match characters.next() {
                Some('\n') => {}
                Some(escaped @ ('\'' | '\\' | '"')) => json.push(escaped),
                _ => return Err(no("an escape that yarn does not write".to_owned())),
            },
            Some(character) => json.push(character),
            None => return Err(no("its table has no end".to_owned())),
        }
    }
    serde_json::from_str(&json).map_err(|error| no(error.to_string()))
}

/// Where a place of the table is on disk: `__virtual__/<hash>/<n>/…` stands for n folders further up.
fn real_place(root: &Path, location: &str) -> Option<PathBuf> {
    let mut place: Vec<Component<'_>> = Vec::new();
    let whole = root.join(location);
    let mut parts = whole.components();
    while let Some(part) = parts.next() {
        match part {
            Component::ParentDir => {
                place.pop()?;
            }
            Component::CurDir => {}
            Component::Normal(name) if name == "__virtual__" || name == "$$virtual" => {
                let _hash = parts.next()?;
                let up: usize = parts.next()?.as_os_str().to_str()?.parse().ok()?;
                for _ in 0..up {
                    place.pop()?;
                }
            }
            part => place.push(part),
        }
    }
    Some(place.into_iter().collect())
}

fn read_package(root: &Path, folder: &str, place: &Path) -> Result<Package, TreeError> {
    let location = place.strip_prefix(root).unwrap_or(place).to_owned();
    let Some((file, inside)) = split_archive(place) else {
        let manifest = read_manifest(root, &location)?;
        let is_unplugged = location.starts_with(".yarn/unplugged");
        let place = if is_unplugged { Place::Unplugged } else { Place::Folder };
        return Ok(Package { location, folder: Some(folder.to_owned()), manifest, place });
    };
    let no = |reason: String| TreeError::NoManifest { location: location.clone(), reason };
    let mut archive = open(&file).map_err(no)?;
    let mut text = Vec::new();
    let found = archive.by_name(&format!("{inside}package.json")).map_err(|error| no(error.to_string()))?;
    found.take(MAX_MANIFEST_BYTES).read_to_end(&mut text).map_err(|error| no(error.to_string()))?;
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    let manifest = serde_json::from_slice(text).map_err(|error| no(error.to_string()))?;
    Ok(Package {
        location,
        folder: Some(folder.to_owned()),
        manifest,
        place: Place::Archive { file, inside },
    })
}

/// `….zip` and the path inside, with a final slash.
fn split_archive(place: &Path) -> Option<(PathBuf, String)> {
    let text = place.to_str()?;
    let at = text.find(".zip/")? + ".zip".len();
    Some((PathBuf::from(&text[..at]), format!("{}/", text[at + 1..].trim_end_matches('/'))))
}

/// The files below `inside` with the hash of each.
pub(crate) fn read_archive(file: &Path, inside: &str) -> Result<BTreeMap<String, B256>, String> {
    let mut archive = open(file)?;
    let mut files = BTreeMap::new();
    let mut left = MAX_UNPACKED;
    for at in 0..archive.len() {
        let mut entry = archive.by_index(at).map_err(|error| error.to_string())?;
        let name = entry.name().map_err(|error| error.to_string())?.into_owned();
        let Some(path) = name.strip_prefix(inside).map(str::to_owned) else { continue };
        if entry.is_dir() {
            continue;
        }
        if !entry.is_file() {
            return Err(format!("{} is neither a file nor a folder", printable(&path, 200)));
        }
        let mut hasher = FileHasher::default();
        let mut bytes = (&mut entry).take(left + 1);
        let copied = std::io::copy(&mut bytes, &mut hasher).map_err(|error| error.to_string())?;
        left = left.checked_sub(copied).ok_or("the archive unpacks to more than a package may")?;
        if files.insert(path.clone(), hasher.finish()).is_some() {
            return Err(format!("{} is there twice", printable(&path, 200)));
        }
    }
    Ok(files)
}

fn open(file: &Path) -> Result<ZipArchive<std::io::BufReader<std::fs::File>>, String> {
    let opened = std::fs::File::open(file).map_err(|error| error.to_string())?;
    ZipArchive::new(std::io::BufReader::new(opened)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_real_ones() {
        let root = Path::new("/p/project");
        let of = |location| real_place(root, location).map(|place| place.display().to_string());
        assert_eq!(of("./").as_deref(), Some("/p/project"));
        assert_eq!(of("../cache/a.zip/node_modules/a/").as_deref(), Some("/p/cache/a.zip/node_modules/a"));
        assert_eq!(
            of("./.yarn/__virtual__/a-virtual-0/1/cache/a.zip/node_modules/a/").as_deref(),
            Some("/p/project/cache/a.zip/node_modules/a")
        );
        assert_eq!(of("./__virtual__/x"), None);
        assert_eq!(of("../../../../x"), None);
        let archive = split_archive(Path::new("/c/a-npm-1.zip/node_modules/@s/a"));
        assert_eq!(archive, Some(("/c/a-npm-1.zip".into(), "node_modules/@s/a/".to_owned())));
    }

    #[test]
    fn the_table_is_the_string_that_yarn_writes() {
        let holder = tempfile::tempdir().unwrap();
        let head = [&[SHEBANG][..], &HEAD].concat().join("\n");
        let table = "const RAW_RUNTIME_STATE =\n'{\\\n  \"a\": \"it\\'s\",\\\n  \"b\": [1]\\\n}';\nrest";
        let of = |text: String| {
            std::fs::write(holder.path().join(".pnp.cjs"), text).unwrap();
            load(holder.path())
        };
        assert_eq!(of(format!("{head}\n{table}")).unwrap(), serde_json::json!({"a": "it's", "b": [1]}));
        for broken in ["", "const RAW_RUNTIME_STATE =\n'{", "const RAW_RUNTIME_STATE =\n'\\x7b}'", APART] {
            assert!(of(format!("{head}\n{broken}")).is_err(), "{broken}");
        }
        std::fs::write(holder.path().join(".pnp.data.json"), "{}").unwrap();
        assert_eq!(of(format!("{head}\n{APART}\nrest")).unwrap(), serde_json::json!({}));
        // The other file counts only where yarn reads it.
        assert!(of(format!("{head}\n{table}")).unwrap().get("a").is_some());
    }

    #[test]
    fn a_table_behind_words_of_the_project_is_none() {
        let holder = tempfile::tempdir().unwrap();
        let written = |shebang: &str| {
            let behind = HEAD.join("\n");
            format!("{shebang}\n{behind}\nconst RAW_RUNTIME_STATE =\n'{{\"true\": 1}}';\n")
        };
        let of = |text: String| {
            std::fs::write(holder.path().join(".pnp.cjs"), text).unwrap();
            load(holder.path())
        };
        assert!(of(written(SHEBANG)).is_ok());
        assert!(of(written("").trim_start().to_owned()).is_ok(), "as pnpm writes it");
        for shebang in [
            "#!/usr/bin/env node\n/* RAW_RUNTIME_STATE = '{\"false\": 1}' */",
            "#!/usr/bin/env node\n/*\nconst RAW_RUNTIME_STATE =\n'{\"false\": 1}';\n*/",
            "#!/usr/bin/env node\n/* eslint-disable */\n// @ts-nocheck\n\"use strict\";\n\nconst RAW_RUNTIME_STATE =\n'{}';",
            "#!/usr/bin/env other",
            "",
        ] {
            assert!(of(written(shebang)).is_err(), "{shebang}");
        }
    }
}
