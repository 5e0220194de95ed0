//! Temporary folders of this process. Each is locked for as long as the process lives, whatever ends it; so what a killed
//! one left can be told from what another still uses, and the next install clears it away.

use std::fs::{DirEntry, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// How the name of a locked one begins.
const HELD: &str = "3pm-run-";

/// How it begins before it is locked.
const NEW: &str = ".3pm-new-";

/// A folder that nobody else can look into or write to, whatever the umask; it goes when this does.
#[derive(Debug)]
pub(crate) struct Temporary {
    path: PathBuf,
    /// Until the folder is gone.
    _lock: Option<File>,
}

impl Temporary {
    /// Makes one in the system's temporary folder.
    pub(crate) fn new() -> io::Result<Self> {
        Self::new_in(&std::env::temp_dir())
    }

    fn new_in(parent: &Path) -> io::Result<Self> {
        let only_owner = std::fs::Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().prefix(NEW).permissions(only_owner).tempdir_in(parent)?;
        // Where a file system has no locks, nobody clears it away.
        let lock = File::open(folder.path())?;
        let lock = lock.try_lock().is_ok().then_some(lock);
        let name = folder.path().file_name().unwrap_or_default().to_string_lossy();
        let path = parent.join(name.replacen(NEW, HELD, 1));
        std::fs::rename(folder.path(), &path)?;
        let _ = folder.keep();
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::debug!(%error, "a temporary folder was not cleared away");
        }
    }
}

/// Clears away what killed processes of this user left.
pub(crate) fn clear_away() {
    clear_away_in(&std::env::temp_dir());
}

fn clear_away_in(parent: &Path) {
    // Never through a link: somebody else may have put one there.
    let flags = (OFlags::DIRECTORY | OFlags::NOFOLLOW).bits().cast_signed();
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    for path in entries.filter(is_own).map(|entry| entry.path()) {
        let Ok(folder) = File::options().read(true).custom_flags(flags).open(&path) else { continue };
        if folder.try_lock().is_ok()
            && let Err(error) = std::fs::remove_dir_all(&path)
        {
            tracing::debug!(%error, "a temporary folder of a killed run was not cleared away");
        }
    }
}

fn is_own(entry: &DirEntry) -> bool {
    entry.file_name().to_string_lossy().starts_with(HELD)
        && entry.metadata().is_ok_and(|found| found.uid() == rustix::process::geteuid().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_holds_any_more_is_cleared_away_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let at = |name: &str| parent.path().join(name);
        let held = Temporary::new_in(parent.path()).unwrap();
        for folder in ["3pm-run-left", "3pm-world-x", "other"] {
            std::fs::create_dir(at(folder)).unwrap();
            std::fs::write(at(folder).join("file"), "").unwrap();
        }
        std::fs::write(at("3pm-run-file"), "").unwrap();
        std::os::unix::fs::symlink(at("other"), at("3pm-run-link")).unwrap();
        clear_away_in(parent.path());
        assert!(!at("3pm-run-left").exists());
        assert!(held.path().exists());
        for name in ["3pm-run-file", "3pm-run-link", "3pm-world-x/file", "other/file"] {
            assert!(at(name).exists(), "{name}");
        }
    }

    #[test]
    fn one_is_its_owners_alone_and_goes_with_whoever_made_it() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Temporary::new_in(parent.path()).unwrap();
        assert_eq!(std::fs::metadata(folder.path()).unwrap().permissions().mode() & 0o777, 0o700);
        std::fs::write(folder.path().join("file"), "").unwrap();
        drop(folder);
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
