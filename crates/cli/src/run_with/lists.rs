//! What earlier runs saw in tarballs: per name and version the file lists, by the hash of the tarball. A
//! package that comes out of a cache is compared with these. Which of them a registry announced is kept as well: what
//! one registry gave is not what another means. Holds no verdict: those are made anew each time.
//!
//! One file per version in `~/.3pm/tarballs`, readable by its owner only.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};
use trust::{Integrity, PackageName, Version};
use url::Url;

use crate::install::project::read_bounded;
use crate::install::unpacked::{FileOnDisk, Files};

/// The largest list that is read: a hundred thousand files.
const MAX_BYTES: u64 = 64 << 20;

/// Tarballs of one version that are remembered: the genuine one, and a few that somebody else served.
const MAX_TARBALLS: usize = 4;

/// The folder of lists.
#[derive(Debug, Clone)]
pub(crate) struct Lists {
    folder: PathBuf,
    /// What was read before somebody asked, by its file.
    ahead: Arc<Mutex<HashMap<PathBuf, Listed>>>,
}

/// What is known of a version.
#[derive(Debug)]
struct Listed {
    tarballs: Vec<(Integrity, Arc<Files>)>,
    announced: BTreeMap<String, String>,
}

/// The same as it is written.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    /// BLAKE3 of each file, by its path, by the hash of the tarball.
    blake3: BTreeMap<String, BTreeMap<String, StoredFile>>,
    /// The hash that a registry, by its address, announced last.
    #[serde(default)]
    announced: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum StoredFile {
    Plain(B256),
    Fixed(B256, B256),
}

impl Lists {
    /// Those below 3pm's home.
    pub(crate) fn in_home(home: &Path) -> Self {
        Self { folder: home.join("tarballs"), ahead: Arc::default() }
    }

    /// Reads what will be asked for, on a thread of its own.
    pub(crate) fn read_ahead(&self, releases: Vec<(PackageName, Version)>) {
        let lists = self.clone();
        tokio::task::spawn_blocking(move || {
            for (name, version) in releases {
                let Some(path) = lists.path(&name, &version.to_string()) else { continue };
                if let Some(stored) = read_stored(&path) {
                    lists.lock().insert(path, stored.into());
                }
            }
        });
    }

    /// The known tarballs of a version. A list that cannot be read is none: its tarball is fetched again.
    pub(crate) fn read(&self, name: &PackageName, version: &str) -> Vec<(Integrity, Arc<Files>)> {
        self.load(name, version).map(|listed| listed.tarballs).unwrap_or_default()
    }

    /// What `registry` announced of a version when an earlier run asked.
    pub(crate) fn announced(&self, name: &PackageName, version: &str, registry: &Url) -> Option<Integrity> {
        self.load(name, version)?.announced.get(&address(registry))?.parse().ok()
    }

    /// Remembers one, and the registry that announced it in this run; a failure costs a fetch some other day and nothing
    /// else.
    pub(crate) fn note(
        &self,
        name: &PackageName,
        version: &str,
        integrity: Integrity,
        files: &Files,
        announced_by: Option<&Url>,
    ) -> std::io::Result<()> {
        let Some(path) = self.path(name, version) else { return Ok(()) };
        let mut stored = read_stored(&path).unwrap_or_default();
        let hash = integrity.to_string();
        let is_said = announced_by.is_none_or(|by| stored.announced.get(&address(by)) == Some(&hash));
        if is_said && stored.blake3.contains_key(&hash) {
            return Ok(());
        }
        if let Some(by) = announced_by {
            while stored.announced.len() >= MAX_TARBALLS {
                stored.announced.pop_first();
            }
            stored.announced.insert(address(by), hash.clone());
        }
        while stored.blake3.len() >= MAX_TARBALLS && !stored.blake3.contains_key(&hash) {
            stored.blake3.pop_first();
        }
        let files = files.iter().map(|(path, file)| (path.clone(), file.into())).collect();
        stored.blake3.insert(hash, files);
        let folder = path.parent().unwrap_or(&self.folder);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&serde_json::to_vec(&stored)?)?;
        file.persist(&path).map_err(|error| error.error)?;
        Ok(())
    }

    fn load(&self, name: &PackageName, version: &str) -> Option<Listed> {
        let path = self.path(name, version)?;
        // Once: it may have been changed since.
        let ahead = self.lock().remove(&path);
        ahead.or_else(|| read_stored(&path).map(Listed::from))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, Listed>> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names and versions have grammars without anything that means something to a file system but `/`.
    fn path(&self, name: &PackageName, version: &str) -> Option<PathBuf> {
        let version: Version = version.parse().ok()?;
        Some(self.folder.join(name.as_str().replace('/', "+")).join(format!("{version}.json")))
    }
}

fn read_stored(path: &Path) -> Option<Stored> {
    let bytes = read_bounded(path, MAX_BYTES).ok()??;
    serde_json::from_slice(&bytes).ok()
}

/// A registry without credentials.
fn address(registry: &Url) -> String {
    format!("{}{}", registry.origin().ascii_serialization(), registry.path())
}

impl From<Stored> for Listed {
    fn from(stored: Stored) -> Self {
        let tarballs = stored.blake3.into_iter().filter_map(|(integrity, files)| {
            let files = files.into_iter().map(|(path, file)| (path, file.into())).collect();
            Some((integrity.parse().ok()?, Arc::new(files)))
        });
        Self { tarballs: tarballs.collect(), announced: stored.announced }
    }
}

impl From<StoredFile> for FileOnDisk {
    fn from(file: StoredFile) -> Self {
        match file {
            StoredFile::Plain(hash) => Self { hash, fixed: None },
            StoredFile::Fixed(hash, fixed) => Self { hash, fixed: Some(fixed) },
        }
    }
}

impl From<&FileOnDisk> for StoredFile {
    fn from(file: &FileOnDisk) -> Self {
        match file.fixed {
            None => Self::Plain(file.hash),
            Some(fixed) => Self::Fixed(file.hash, fixed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(byte: u8) -> Files {
        let hash = B256::repeat_byte(byte);
        [
            ("index.js".to_owned(), FileOnDisk { hash, fixed: None }),
            ("cli.js".to_owned(), FileOnDisk { hash, fixed: Some(hash) }),
        ]
        .into()
    }

    #[test]
    fn what_was_noted_is_read_again_and_old_ones_go() {
        let home = tempfile::tempdir().unwrap();
        let lists = Lists::in_home(home.path());
        let name: PackageName = "@a/b".parse().unwrap();
        assert!(lists.read(&name, "1.0.0").is_empty());
        for byte in 0..6 {
            lists.note(&name, "1.0.0", Integrity::of(&[byte]), &files(byte), None).unwrap();
        }
        let known = lists.read(&name, "1.0.0");
        assert_eq!(known.len(), MAX_TARBALLS);
        let newest = known.iter().find(|(integrity, _)| *integrity == Integrity::of(&[5])).unwrap();
        assert_eq!(*newest.1, files(5));
    }

    #[tokio::test]
    async fn what_was_read_ahead_is_taken_once() {
        let home = tempfile::tempdir().unwrap();
        let lists = Lists::in_home(home.path());
        let name: PackageName = "a".parse().unwrap();
        let version: Version = "1.0.0".parse().unwrap();
        lists.note(&name, "1.0.0", Integrity::of(b"1"), &files(1), None).unwrap();
        lists.read_ahead(vec![(name.clone(), version), ("none".parse().unwrap(), "1.0.0".parse().unwrap())]);
        while lists.lock().is_empty() {
            tokio::task::yield_now().await;
        }
        // What somebody else notes meanwhile is kept, and read the next time.
        let other = Lists::in_home(home.path());
        other.note(&name, "1.0.0", Integrity::of(b"2"), &files(2), None).unwrap();
        assert_eq!(lists.read(&name, "1.0.0").len(), 1);
        assert_eq!(lists.read(&name, "1.0.0").len(), 2);
    }

    #[test]
    fn what_one_registry_announced_is_not_what_another_did() {
        let home = tempfile::tempdir().unwrap();
        let lists = Lists::in_home(home.path());
        let name: PackageName = "a".parse().unwrap();
        let url = |text: &str| text.parse::<Url>().unwrap();
        let note = |byte: u8, by: Option<&Url>| {
            lists.note(&name, "1.0.0", Integrity::of(&[byte]), &files(byte), by).unwrap();
        };
        let of = |by: &str| lists.announced(&name, "1.0.0", &url(by));
        note(1, None);
        assert_eq!(of("https://one.example/"), None);
        note(1, Some(&url("https://user:word@one.example/")));
        note(2, Some(&url("https://two.example/x/")));
        assert_eq!(of("https://one.example/"), Some(Integrity::of(&[1])));
        assert_eq!(of("https://two.example/x/"), Some(Integrity::of(&[2])));
        assert_eq!(of("https://two.example/"), None);
        assert_eq!(lists.read(&name, "1.0.0").len(), 2);
        let text = std::fs::read_to_string(home.path().join("tarballs/a/1.0.0.json")).unwrap();
        assert!(!text.contains("word"));
    }

    #[test]
    fn a_damaged_list_is_none() {
        let home = tempfile::tempdir().unwrap();
        let lists = Lists::in_home(home.path());
        let name: PackageName = "a".parse().unwrap();
        lists.note(&name, "1.0.0", Integrity::of(b""), &files(1), None).unwrap();
        std::fs::write(home.path().join("tarballs/a/1.0.0.json"), "{").unwrap();
        assert!(lists.read(&name, "1.0.0").is_empty());
        assert!(lists.read(&name, "../../x").is_empty());
    }
}
