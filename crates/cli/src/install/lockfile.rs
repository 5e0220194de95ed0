//! npm's lockfile as a flat list of entries: `package-lock.json` and `npm-shrinkwrap.json`, versions 1, 2
//! and 3. It judges nothing: what an entry may say is `entries`' matter. A shape npm itself would not
//! write is an error, because guessing what npm makes of it would open a gap.
//!
//! Format: npm's documentation of `package-lock.json`, and what npm 11 really writes.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use trust::text::printable;

/// The largest lockfile read; the biggest seen in the wild have about 10 MB.
pub(crate) const MAX_LOCKFILE_BYTES: u64 = 64 * 1024 * 1024;

/// The most entries; the biggest trees in the wild have about 10,000.
const MAX_ENTRIES: usize = 100_000;

/// The longest folder path of an entry, in bytes.
const MAX_LOCATION_BYTES: usize = 2048;

/// One package, link or folder of the tree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Entry {
    /// The folder, relative to the project, with `/` between its parts: `node_modules/a/node_modules/b`.
    pub(crate) location: String,
    /// The folder's name under `node_modules`, scope included; `None` for a workspace or another folder
    /// that a link points to.
    pub(crate) folder: Option<String>,
    /// The package's name: `name` where the entry has one (an alias), else the folder's.
    pub(crate) name: String,
    /// `version`, as it is written.
    pub(crate) version: Option<String>,
    /// `resolved`, as it is written.
    pub(crate) resolved: Option<String>,
    /// `integrity`, as it is written.
    pub(crate) integrity: Option<String>,
    /// `inBundle`: the folder comes inside the parent's tarball.
    pub(crate) in_bundle: bool,
    /// `link`: a symbolic link to `resolved`.
    pub(crate) link: bool,
    /// Not needed for the tree to work: `optional` or `devOptional`.
    pub(crate) optional: bool,
    /// What the entry's package asks for, every kind of dependency together.
    pub(crate) requirements: BTreeMap<String, String>,
    /// The entry as it is written, when it carries a manifest (versions 2 and 3 do).
    pub(crate) manifest: Option<Value>,
}

/// A lockfile, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lockfile {
    /// `lockfileVersion`.
    pub(crate) version: u64,
    /// The project's own entry.
    pub(crate) root: Entry,
    /// Everything else, by location.
    pub(crate) entries: BTreeMap<String, Entry>,
}

/// Why a text is not a lockfile.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockfileError {
    /// Not JSON.
    #[error("the lockfile is not JSON")]
    Json(#[source] serde_json::Error),
    /// Another version than npm has ever written.
    #[error("the lockfile's lockfileVersion is {found}, expected 1, 2 or 3")]
    Version {
        /// What stands there.
        found: String,
    },
    /// A field of another type than npm writes.
    #[error("the lockfile's {field} of {location:?} is not {expected}")]
    Field {
        /// Whose field.
        location: String,
        /// Which field.
        field: &'static str,
        /// What npm writes there.
        expected: &'static str,
    },
    /// A folder path that npm would not write.
    #[error("the lockfile names the folder {location:?}, expected a plain relative path")]
    Location {
        /// The path.
        location: String,
    },
    /// Past a limit.
    #[error("the lockfile has more than {limit} entries")]
    TooMany {
        /// The limit.
        limit: usize,
    },
}

/// Reads a lockfile of any version.
pub(crate) fn parse_lockfile(text: &str) -> Result<Lockfile, LockfileError> {
    let value: Value =
        serde_json::from_str(text.strip_prefix('\u{feff}').unwrap_or(text)).map_err(LockfileError::Json)?;
    let top = value.as_object().ok_or_else(|| field("", "content", "an object"))?;
    let version = match top.get("lockfileVersion") {
        Some(Value::Number(number)) if matches!(number.as_u64(), Some(1..=3)) => number.as_u64().unwrap_or(0),
        other => {
            let found = other.map_or_else(|| "missing".to_owned(), |value| printable(&value.to_string(), 40));
            return Err(LockfileError::Version { found });
        }
    };
    let (root, entries) = if version == 1 { parse_tree(top)? } else { parse_packages(top)? };
    Ok(Lockfile { version, root, entries })
}

/// Versions 2 and 3: `packages`, keyed by folder. The `dependencies` of version 2 are for npm 6 only.
fn parse_packages(top: &Map<String, Value>) -> Result<(Entry, BTreeMap<String, Entry>), LockfileError> {
    let packages =
        top.get("packages").and_then(Value::as_object).ok_or_else(|| field("", "packages", "an object"))?;
    if packages.len() > MAX_ENTRIES {
        return Err(LockfileError::TooMany { limit: MAX_ENTRIES });
    }
    let mut root = Entry::default();
    let mut entries = BTreeMap::new();
    for (location, value) in packages {
        let object = value.as_object().ok_or_else(|| field(location, "entry", "an object"))?;
        if location.is_empty() {
            root = parse_entry(location, None, object)?;
        } else {
            entries.insert(location.clone(), parse_entry(location, check_location(location)?, object)?);
        }
    }
    Ok((root, entries))
}

fn parse_entry(
    location: &str,
    folder: Option<&str>,
    object: &Map<String, Value>,
) -> Result<Entry, LockfileError> {
    let mut requirements = BTreeMap::new();
    for kind in ["peerDependencies", "devDependencies", "dependencies", "optionalDependencies"] {
        match object.get(kind) {
            None | Some(Value::Null) => {}
            Some(Value::Object(wanted)) => {
                for (name, spec) in wanted {
                    let spec = spec.as_str().ok_or_else(|| field(location, "dependency", "a string"))?;
                    requirements.insert(name.clone(), spec.to_owned());
                }
            }
            Some(_) => return Err(field(location, "list of dependencies", "an object")),
        }
    }
    let name = text(location, object, "name")?;
    Ok(Entry {
        location: location.to_owned(),
        folder: folder.map(str::to_owned),
        name: name.or_else(|| folder.map(str::to_owned)).unwrap_or_else(|| base(location).to_owned()),
        version: text(location, object, "version")?,
        resolved: text(location, object, "resolved")?,
        integrity: text(location, object, "integrity")?,
        in_bundle: flag(location, object, "inBundle")?,
        link: flag(location, object, "link")?,
        optional: flag(location, object, "optional")? || flag(location, object, "devOptional")?,
        requirements,
        manifest: Some(Value::Object(object.clone())),
    })
}

/// Version 1: a tree of `dependencies`, keyed by the folder's name, without manifests.
fn parse_tree(top: &Map<String, Value>) -> Result<(Entry, BTreeMap<String, Entry>), LockfileError> {
    let mut entries = BTreeMap::new();
    let mut open = vec![(String::new(), top)];
    while let Some((parent, object)) = open.pop() {
        let children = match object.get("dependencies") {
            None | Some(Value::Null) => continue,
            Some(Value::Object(children)) => children,
            Some(_) => return Err(field(&parent, "dependencies", "an object")),
        };
        for (folder, value) in children {
            let prefix = if parent.is_empty() { String::new() } else { format!("{parent}/") };
            let location = format!("{prefix}node_modules/{folder}");
            if check_location(&location)? != Some(folder) {
                return Err(LockfileError::Location { location: printable(&location, 200) });
            }
            let object = value.as_object().ok_or_else(|| field(&location, "entry", "an object"))?;
            entries.insert(location.clone(), parse_tree_entry(&location, folder, object)?);
            if entries.len() > MAX_ENTRIES {
                return Err(LockfileError::TooMany { limit: MAX_ENTRIES });
            }
            open.push((location, object));
        }
    }
    Ok((Entry::default(), entries))
}

fn parse_tree_entry(
    location: &str,
    folder: &str,
    object: &Map<String, Value>,
) -> Result<Entry, LockfileError> {
    let written = text(location, object, "version")?;
    let mut resolved = text(location, object, "resolved")?;
    let (name, version) = match written.as_deref() {
        Some(alias) if alias.starts_with("npm:") => match alias[4..].rsplit_once('@') {
            Some((name, version)) if !name.is_empty() => (name.to_owned(), Some(version.to_owned())),
            _ => return Err(field(location, "version", "`npm:name@version`")),
        },
        // git, URL and file dependencies have their source in place of a version.
        Some(source) if source.contains(':') || source.contains('/') => {
            resolved = Some(source.to_owned());
            (folder.to_owned(), None)
        }
        _ => (folder.to_owned(), written),
    };
    let mut requirements = BTreeMap::new();
    if let Some(Value::Object(wanted)) = object.get("requires") {
        for (name, spec) in wanted {
            let spec = spec.as_str().ok_or_else(|| field(location, "requires", "an object of strings"))?;
            requirements.insert(name.clone(), spec.to_owned());
        }
    }
    Ok(Entry {
        location: location.to_owned(),
        folder: Some(folder.to_owned()),
        name,
        version,
        resolved,
        integrity: text(location, object, "integrity")?,
        in_bundle: flag(location, object, "bundled")?,
        link: false,
        optional: flag(location, object, "optional")?,
        requirements,
        manifest: None,
    })
}

/// The name of a folder below `node_modules`, `None` for a folder outside of any; an error for a path
/// that means something else than it shows.
fn check_location(location: &str) -> Result<Option<&str>, LockfileError> {
    let wrong = || LockfileError::Location { location: printable(location, 200) };
    if location.len() > MAX_LOCATION_BYTES
        || location.chars().any(|c| c == '\\' || c == ':' || trust::text::is_hidden(c))
    {
        return Err(wrong());
    }
    let Some(at) = location.rfind("node_modules/").filter(|at| *at == 0 || location[..*at].ends_with('/'))
    else {
        // A workspace, or the target of a link, which may lie beside the project: `../library`.
        let own = location.trim_start_matches("../");
        let plain = own.split('/').all(|part| !matches!(part, "" | "." | ".." | "node_modules" | ".git"));
        return if plain { Ok(None) } else { Err(wrong()) };
    };
    let folder = &location[at + "node_modules/".len()..];
    let parent = &location[..at].trim_start_matches("../");
    let plain = parent.trim_end_matches('/').split('/').all(|part| !matches!(part, "." | ".."));
    let parts = folder.split('/').count();
    let named = !folder.starts_with('.')
        && folder.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && parts == if folder.starts_with('@') { 2 } else { 1 };
    if plain && named && !location.contains("//") { Ok(Some(folder)) } else { Err(wrong()) }
}

fn base(location: &str) -> &str {
    location.rsplit('/').next().unwrap_or(location)
}

fn field(location: &str, field: &'static str, expected: &'static str) -> LockfileError {
    LockfileError::Field { location: printable(location, 200), field, expected }
}

fn text(
    location: &str,
    object: &Map<String, Value>,
    name: &'static str,
) -> Result<Option<String>, LockfileError> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(field(location, name, "a string")),
    }
}

fn flag(location: &str, object: &Map<String, Value>, name: &'static str) -> Result<bool, LockfileError> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(field(location, name, "true or false")),
    }
}

#[cfg(test)]
#[path = "lockfile_tests.rs"]
mod tests;
