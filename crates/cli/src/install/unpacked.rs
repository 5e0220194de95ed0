//! What lies on disk after npm unpacked, against what was checked; before any script runs. npm's word
//! for what it did counts for nothing here except where it names a package that was never checked.
//!
//! The steps, each with a test that breaks only it:
//! 1. The lockfile is, byte for byte, the one that was checked.
//! 2. npm's own list (`node_modules/.package-lock.json`) names checked entries only, unchanged.
//! 3. Every package folder and link on disk is an entry, of the same kind.
//! 4. Each tarball entry's package.json says the name and version of the entry.
//! 5. Where the tarball was read: exactly its files, with exactly their bytes.
//!
//! File modes are not compared: without another byte, an executable bit runs nothing new. Names that npm
//! rewrites while unpacking (`.gitignore`) and the first line of commands that it rewrites (`\r\n`) are
//! expected as npm writes them, and as nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use alloy_primitives::B256;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use trust::text::printable;

use super::entries::{Checked, Source};
use super::lockfile::{Entry, Lockfile, MAX_LOCKFILE_BYTES, parse_lockfile};
use super::manifests::{Inside, read_inside};
use super::project::{MAX_MANIFEST_BYTES, read_bounded};

/// How deep package folders may nest on disk: more than any file system path allows.
const MAX_DEPTH: usize = 256;

/// The files of a tarball as npm leaves them on disk.
pub(crate) type Files = BTreeMap<String, FileOnDisk>;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileOnDisk {
    /// SHA-256 of its bytes in the tarball.
    pub(crate) sha256: B256,
    /// SHA-256 after npm took `\r` from its first line; for commands that have one.
    pub(crate) fixed: Option<B256>,
}

/// What must be there.
#[derive(Debug)]
pub(crate) struct Expected<'a> {
    /// The project.
    pub(crate) root: &'a Path,
    /// The lockfile, where it lies.
    pub(crate) lockfile_path: &'a Path,
    /// Its text as checked.
    pub(crate) lockfile_text: &'a str,
    /// The same, read.
    pub(crate) lockfile: &'a Lockfile,
    /// What its entries are.
    pub(crate) checked: &'a Checked,
    /// The files of the tarballs that were read, by location.
    pub(crate) files: &'a BTreeMap<String, Arc<Files>>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Receipt {
    /// Packages on disk.
    pub(crate) installed: usize,
    /// Of these, compared file by file with a checked tarball.
    pub(crate) compared: usize,
    /// Entries that npm did not install: optional, for another platform, or left out by its settings.
    pub(crate) left_out: Vec<String>,
}

/// Something on disk that was not checked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnpackedError {
    /// Step 1.
    #[error("{} is not the lockfile that was checked", path.display())]
    Lockfile {
        /// Which.
        path: PathBuf,
    },
    /// Step 2.
    #[error("npm says that it installed {location}, which was not checked like that: {detail}")]
    Listed {
        /// Where.
        location: String,
        /// What differs.
        detail: String,
    },
    /// Step 3.
    #[error("{location} is on disk, but no checked entry says so")]
    Unknown {
        /// Where.
        location: String,
    },
    /// Step 4.
    #[error("{location} holds {received}, expected {expected}")]
    Identity {
        /// Where.
        location: String,
        /// What the entry says.
        expected: String,
        /// What the package.json says.
        received: String,
    },
    /// Step 5.
    #[error("{location}: {path} {what}")]
    File {
        /// Where.
        location: String,
        /// Which file.
        path: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Compares; the steps are listed at the head of this module.
pub(crate) fn verify_unpacked(expected: &Expected<'_>) -> Result<Receipt, UnpackedError> {
    // 1.
    let text = read(expected.lockfile_path, MAX_LOCKFILE_BYTES)?;
    if text != expected.lockfile_text.as_bytes() {
        return Err(UnpackedError::Lockfile { path: expected.lockfile_path.to_owned() });
    }
    // 2.
    verify_list(expected)?;
    // 3.
    let mut found = BTreeSet::new();
    for container in module_folders(expected.lockfile) {
        walk_modules(expected, &container, 0, &mut found)?;
    }
    let mut receipt = Receipt::default();
    for (location, entry) in &expected.lockfile.entries {
        let Some(Ok(source)) = expected.checked.get(location) else { continue };
        if entry.folder.is_none() {
            continue;
        }
        if !found.contains(location) {
            if !matches!(source, Source::Bundled { .. }) {
                receipt.left_out.push(location.clone());
            }
            continue;
        }
        receipt.installed += 1;
        // 4.
        if let Source::Tarball(tarball) = source {
            let version = entry.version.as_deref().unwrap_or("");
            verify_identity(expected.root, location, &format!("{}@{version}", tarball.name))?;
        }
        // 5.
        if let Some(files) = expected.files.get(location) {
            verify_files(expected, location, files)?;
            receipt.compared += 1;
        }
    }
    Ok(receipt)
}

/// Every `node_modules` of a tree that is not inside a package: the project's, its workspaces', those of
/// linked folders. Relative to the project.
pub(crate) fn module_folders(lockfile: &Lockfile) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::from([PathBuf::from("node_modules")]);
    for (location, entry) in &lockfile.entries {
        if entry.folder.is_none() && !location.starts_with("..") {
            folders.insert(Path::new(location).join("node_modules"));
        }
        if let Some(at) =
            location.find("node_modules/").filter(|at| *at == 0 || location[..*at].ends_with('/'))
        {
            folders.insert(PathBuf::from(&location[..at + "node_modules".len()]));
        }
    }
    folders
}

/// The files of a tarball as they will lie on disk. `bins` are the commands, with the SHA-256 that npm's
/// rewriting of their first line would give.
pub(crate) fn files_on_disk(tarball: &BTreeMap<String, B256>, fixed: &BTreeMap<String, B256>) -> Files {
    let mut files = Files::new();
    for (path, sha256) in tarball {
        let on_disk =
            match path.strip_suffix(".gitignore").filter(|folder| folder.is_empty() || folder.ends_with('/'))
            {
                // npm renames it, unless a `.npmignore` came before: then it leaves it out. Both at once is
                // ambiguous here, so the file that is named `.npmignore` must be the one of the tarball.
                Some(folder) if tarball.contains_key(&format!("{folder}.npmignore")) => continue,
                Some(folder) => format!("{folder}.npmignore"),
                None => path.clone(),
            };
        files.insert(on_disk, FileOnDisk { sha256: *sha256, fixed: fixed.get(path).copied() });
    }
    files
}

/// What npm makes of a command whose first line ends in `\r\n`; `None` when it leaves it alone.
pub(crate) fn fixed_first_line(bytes: &[u8]) -> Option<Vec<u8>> {
    // npm looks at the first 2048 bytes, then rewrites the file as UTF-8 text.
    let window = bytes.get(..2048).unwrap_or(bytes);
    let end = window.iter().position(|byte| *byte == b'\n')?;
    if !bytes.starts_with(b"#!") || end < 4 || bytes.get(end - 1) != Some(&b'\r') {
        return None;
    }
    let mut fixed = bytes[..end - 1].to_vec();
    fixed.extend_from_slice(&bytes[end..]);
    Some(String::from_utf8_lossy(&fixed).into_owned().into_bytes())
}

fn verify_list(expected: &Expected<'_>) -> Result<(), UnpackedError> {
    let path = expected.root.join("node_modules/.package-lock.json");
    let Some(text) = read_optional(&path, MAX_LOCKFILE_BYTES)? else { return Ok(()) };
    let listed = parse_lockfile(&String::from_utf8_lossy(&text)).map_err(|error| UnpackedError::Listed {
        location: "a list".to_owned(),
        detail: error.to_string(),
    })?;
    for (location, listed) in &listed.entries {
        let differs = |detail: &str| UnpackedError::Listed {
            location: printable(location, 200),
            detail: detail.to_owned(),
        };
        let entry = expected.lockfile.entries.get(location).ok_or_else(|| differs("no such entry"))?;
        // A tarball's bytes are its hash's, whichever of the registry's addresses they came from.
        let is_tarball = matches!(expected.checked.get(location), Some(Ok(Source::Tarball(_))));
        let same_resolved = is_tarball || listed.resolved == entry.resolved;
        for (same, what) in [
            (listed.name == entry.name, "another package"),
            (listed.version == entry.version, "another version"),
            (listed.integrity == entry.integrity, "another hash"),
            (listed.link == entry.link, "a link in place of a folder, or the reverse"),
            (same_resolved, "another source"),
        ] {
            if !same {
                return Err(differs(what));
            }
        }
    }
    Ok(())
}

/// Everything in one `node_modules` that is not inside a package, and in the packages' own below it.
fn walk_modules(
    expected: &Expected<'_>,
    folder: &Path,
    depth: usize,
    found: &mut BTreeSet<String>,
) -> Result<(), UnpackedError> {
    let mut packages = Vec::new();
    for (name, kind) in list(&expected.root.join(folder))? {
        if name.starts_with('@') && kind.is_dir() {
            for (inner, kind) in list(&expected.root.join(folder).join(&name))? {
                packages.push((format!("{name}/{inner}"), kind));
            }
        } else if !name.starts_with('.') {
            packages.push((name, kind));
        } else if depth == 0
            && !(name == ".package-lock.json" && kind.is_file() || name == ".bin" && kind.is_dir())
        {
            return Err(UnpackedError::Unknown {
                location: format!("{}/{}", folder.display(), printable(&name, 100)),
            });
        }
    }
    for (name, kind) in packages {
        let location = format!("{}/{name}", folder.display());
        match expected.lockfile.entries.get(&location) {
            Some(entry) if !entry.link && kind.is_dir() => {}
            Some(entry) if entry.link && kind.is_symlink() && leads_to(expected.root, &location, entry) => {}
            // Below a package it may be a part of that package's own bytes, which step 5 compares where
            // its tarball was read and npm's hash vouches for otherwise.
            None if depth > 0 && !kind.is_symlink() => continue,
            _ => return Err(UnpackedError::Unknown { location: printable(&location, 300) }),
        }
        found.insert(location.clone());
        let inner = Path::new(&location).join("node_modules");
        if kind.is_dir() && depth < MAX_DEPTH && expected.root.join(&inner).is_dir() {
            walk_modules(expected, &inner, depth + 1, found)?;
        }
    }
    Ok(())
}

/// Whether a link leads to the folder that its entry names.
fn leads_to(root: &Path, location: &str, entry: &Entry) -> bool {
    let target = entry.resolved.as_deref().and_then(|target| root.join(target).canonicalize().ok());
    target.is_some() && root.join(location).canonicalize().ok() == target
}

fn verify_identity(root: &Path, location: &str, expected: &str) -> Result<(), UnpackedError> {
    let path = root.join(location).join("package.json");
    let wrong = |received: String| UnpackedError::Identity {
        location: printable(location, 200),
        expected: expected.to_owned(),
        received,
    };
    let bytes = read(&path, MAX_MANIFEST_BYTES)?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let json: Value =
        serde_json::from_slice(bytes).map_err(|_| wrong("a package.json that is not JSON".to_owned()))?;
    let manifest = read_inside(&Inside { json: &json, files: &BTreeSet::new() });
    let received = manifest
        .map_or_else(|error| error.to_string(), |manifest| format!("{}@{}", manifest.name, manifest.version));
    let wanted = expected.split_once('+').map_or(expected, |(clean, _)| clean);
    if received == wanted { Ok(()) } else { Err(wrong(printable(&received, 200))) }
}

/// Step 5, both ways.
fn verify_files(expected: &Expected<'_>, location: &str, files: &Files) -> Result<(), UnpackedError> {
    let root = expected.root.join(location);
    let mut missing: BTreeSet<&str> = files.keys().map(String::as_str).collect();
    let mut open = vec![String::new()];
    while let Some(folder) = open.pop() {
        for (name, kind) in list(&root.join(&folder))? {
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            let wrong = |what| UnpackedError::File {
                location: location.to_owned(),
                path: printable(&path, 200),
                what,
            };
            if kind.is_dir() {
                if !is_another_entry(expected, location, &path) {
                    open.push(path);
                }
            } else if kind.is_symlink() {
                let is_bin = path.split('/').rev().nth(1) == Some(".bin") && path.contains("node_modules/");
                if !is_bin && !is_another_entry(expected, location, &path) {
                    return Err(wrong("is a symbolic link that the checked tarball does not have"));
                }
            } else {
                let file = files.get(&path).ok_or_else(|| wrong("is not in the checked tarball"))?;
                let sha256 = hash_file(&root.join(&path))?;
                if sha256 != file.sha256 && Some(sha256) != file.fixed {
                    return Err(wrong("differs from the checked tarball"));
                }
                missing.remove(path.as_str());
            }
        }
    }
    // npm takes bundled packages away that another checked one replaces.
    match missing.iter().find(|path| !path.starts_with("node_modules/")) {
        Some(path) => Err(UnpackedError::File {
            location: location.to_owned(),
            path: printable(path, 200),
            what: "is in the checked tarball, but not on disk",
        }),
        None => Ok(()),
    }
}

/// Whether a path below a package belongs to another entry, which has a check of its own.
fn is_another_entry(expected: &Expected<'_>, location: &str, path: &str) -> bool {
    let inner = format!("{location}/{path}");
    expected.lockfile.entries.contains_key(&inner)
        && !matches!(expected.checked.get(&inner), Some(Ok(Source::Bundled { .. })))
}

fn hash_file(path: &Path) -> Result<B256, UnpackedError> {
    let io = |source| UnpackedError::Io { path: path.to_owned(), source };
    let mut file = fs::File::open(path).map_err(io)?;
    let mut hasher = Sha256::new();
    let mut chunk = vec![0_u8; 64 * 1024];
    loop {
        let read = file.read(&mut chunk).map_err(io)?;
        if read == 0 {
            return Ok(B256::from_slice(&hasher.finalize()));
        }
        hasher.update(&chunk[..read]);
    }
}

/// A folder's entries, none when it is not there.
fn list(folder: &Path) -> Result<Vec<(String, fs::FileType)>, UnpackedError> {
    let io = |source| UnpackedError::Io { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(io(source)),
    };
    entries
        .map(|entry| {
            let entry = entry.map_err(io)?;
            // A name that is not UTF-8 becomes one that no tarball and no lockfile has.
            Ok((entry.file_name().to_string_lossy().into_owned(), entry.file_type().map_err(io)?))
        })
        .collect()
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, UnpackedError> {
    let gone = || UnpackedError::Io { path: path.to_owned(), source: std::io::ErrorKind::NotFound.into() };
    read_optional(path, limit)?.ok_or_else(gone)
}

fn read_optional(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, UnpackedError> {
    read_bounded(path, limit).map_err(|error| UnpackedError::Io {
        path: path.to_owned(),
        source: std::io::Error::other(error.to_string()),
    })
}

#[cfg(test)]
#[path = "unpacked_tests.rs"]
mod tests;
