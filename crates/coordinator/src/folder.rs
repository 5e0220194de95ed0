//! The data folder: readable by its owner only where it is made here, and one coordinator's at a time. Folders
//! and files that are there already keep the mode that their owner gave them.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::ServeError;

/// Held by whoever runs on the folder. The system lets go of it when the process ends, however it does.
const LOCK_FILE: &str = "coordinator.lock";

/// A folder that nobody else runs on while this lives.
#[derive(Debug)]
pub(crate) struct DataFolder {
    path: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Makes the folder where it is missing, and takes it.
    pub(crate) fn open(path: &Path) -> Result<Self, ServeError> {
        let failed = |what: &str| {
            let what = format!("{what} {}", path.display());
            move |source| ServeError::Io { what, source }
        };
        create_private_folder(path).map_err(failed("creating"))?;
        let lock = open_private_file(&path.join(LOCK_FILE)).map_err(failed("opening the lock file in"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(ServeError::Taken { folder: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(failed("locking")(source)),
        }
    }

    /// A file in it that others cannot read, made where it is missing.
    pub(crate) fn private_file(&self, name: &str) -> Result<PathBuf, ServeError> {
        let path = self.path.join(name);
        match open_private_file(&path) {
            Ok(_) => Ok(path),
            Err(source) => Err(ServeError::Io { what: format!("creating {}", path.display()), source }),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn create_private_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
}

fn open_private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_coordinator_at_a_time() {
        let holder = tempfile::tempdir().unwrap();
        let path = holder.path().join("data");
        let first = DataFolder::open(&path).unwrap();
        let refused = DataFolder::open(&path).unwrap_err().to_string();
        assert!(refused.contains(&path.display().to_string()) && refused.contains("--data"), "{refused}");
        drop(first);
        DataFolder::open(&path).unwrap();
    }

    #[tokio::test]
    #[cfg(unix)]
    async fn what_is_made_here_is_its_owners_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let holder = tempfile::tempdir().unwrap();
        let folder = DataFolder::open(&holder.path().join("data")).unwrap();
        let database = folder.private_file("coordinator.sqlite").unwrap();
        let store = crate::store::Store::open(&database).await.unwrap();
        assert!(store.ended_tarballs().await.unwrap().is_empty());
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(folder.path()), 0o700);
        let files: Vec<_> = folder.path().read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() > 2, "the database, what is written ahead of it, the lock: {files:?}");
        for file in files {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
    }
}
