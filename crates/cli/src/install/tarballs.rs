//! Tarballs of signed releases, by their hash, in `~/.3pm/signed`: what comes out of a package manager's cache is
//! compared with them without fetching them again, also where there is no network. Whatever is read is hashed anew and
//! judged anew, so nothing here is believed.

use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use trust::Integrity;

use super::project::read_bounded;

/// The largest that is kept: few are larger, and those are fetched again.
const MAX_BYTES: u64 = 32 << 20;

/// All of them together, above which those not used for the longest time go.
const MAX_FOLDER: u64 = 512 << 20;

/// The folder of tarballs.
#[derive(Debug, Clone)]
pub(crate) struct Tarballs {
    folder: PathBuf,
}

impl Tarballs {
    /// Those below 3pm's home.
    pub(crate) fn in_home(home: &Path) -> Self {
        Self { folder: home.join("signed") }
    }

    /// These very bytes, where they are there and are those.
    pub(crate) fn read(&self, integrity: &Integrity) -> Option<Bytes> {
        let path = self.path(integrity);
        let bytes = read_bounded(&path, MAX_BYTES).ok()??;
        if Integrity::of(&bytes) != *integrity {
            return None;
        }
        // Used now, so among the last to go.
        let touched = std::fs::File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        if let Err(error) = touched {
            tracing::debug!(%error, "{} was not marked as used", path.display());
        }
        Some(bytes.into())
    }

    /// Keeps one; a failure costs a fetch some other day and nothing else.
    pub(crate) fn keep(&self, integrity: &Integrity, bytes: &[u8]) -> std::io::Result<()> {
        let path = self.path(integrity);
        // One that is damaged is mended.
        if bytes.len() as u64 > MAX_BYTES || self.read(integrity).is_some() {
            return Ok(());
        }
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(bytes)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    /// Makes room.
    pub(crate) fn prune(&self) -> std::io::Result<()> {
        self.prune_to(MAX_FOLDER)
    }

    fn prune_to(&self, most: u64) -> std::io::Result<()> {
        if !self.folder.exists() {
            return Ok(());
        }
        let mut kept: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for file in std::fs::read_dir(&self.folder)? {
            let file = file?;
            let found = file.metadata()?;
            kept.push((found.modified()?, found.len(), file.path()));
        }
        kept.sort();
        let mut total: u64 = kept.iter().map(|(_, length, _)| length).sum();
        for (_, length, path) in kept {
            if total <= most {
                break;
            }
            std::fs::remove_file(path)?;
            total -= length;
        }
        Ok(())
    }

    fn path(&self, integrity: &Integrity) -> PathBuf {
        self.folder.join(format!("{}.tgz", hex::encode(integrity.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_read_is_what_its_hash_says_or_nothing() {
        let home = tempfile::tempdir().unwrap();
        let tarballs = Tarballs::in_home(home.path());
        let integrity = Integrity::of(b"bytes");
        assert_eq!(tarballs.read(&integrity), None);
        tarballs.keep(&integrity, b"bytes").unwrap();
        assert_eq!(tarballs.read(&integrity).as_deref(), Some(&b"bytes"[..]));
        std::fs::write(tarballs.path(&integrity), "other").unwrap();
        assert_eq!(tarballs.read(&integrity), None);
        tarballs.keep(&integrity, b"bytes").unwrap();
        assert!(tarballs.read(&integrity).is_some());
    }

    #[test]
    fn those_that_nobody_used_go_first() {
        let home = tempfile::tempdir().unwrap();
        let tarballs = Tarballs::in_home(home.path());
        tarballs.prune_to(0).unwrap();
        let all: Vec<Integrity> = ["a", "b", "c"].iter().map(|text| Integrity::of(text.as_bytes())).collect();
        for (at, (integrity, text)) in all.iter().zip(["a", "b", "c"]).enumerate() {
            tarballs.keep(integrity, text.as_bytes()).unwrap();
            let age = Duration::from_secs(100 - at as u64);
            let file = std::fs::File::open(tarballs.path(integrity)).unwrap();
            file.set_modified(SystemTime::now() - age).unwrap();
        }
        assert!(tarballs.read(&all[0]).is_some());
        tarballs.prune_to(2).unwrap();
        let left: Vec<bool> = all.iter().map(|integrity| tarballs.read(integrity).is_some()).collect();
        assert_eq!(left, [true, false, true]);
    }
}
