//! Folders that are held open while what lies in them is looked at: a file is opened from there, without walking its
//! path again from the root, and never through a link or as something that waits for a writer.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat};

use super::tree::TreeError;

/// How a folder is opened.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// How a file is opened: a pipe is open and empty at once, a link is an error.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// An open folder.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    dir: Dir,
}

impl Folder {
    /// None where there is none.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>, TreeError> {
        Self::open_at(CWD, path, path.to_owned(), OFlags::empty())
    }

    fn open_at(
        at: BorrowedFd<'_>,
        path: &Path,
        shown: PathBuf,
        more: OFlags,
    ) -> Result<Option<Self>, TreeError> {
        match openat(at, path, FOLDER.union(more), Mode::empty()).and_then(Dir::new) {
            Ok(dir) => Ok(Some(Self { path: shown, dir })),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(error) => Err(TreeError::Io { path: shown, source: error.into() }),
        }
    }

    /// Its entries by name.
    pub(crate) fn list(&mut self) -> Result<Vec<(String, FileType)>, TreeError> {
        let mut found = Vec::new();
        while let Some(entry) = self.dir.read() {
            let entry = entry.map_err(|error| self.io(error.into()))?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let kind = match entry.file_type() {
                // Some file systems do not say it here.
                FileType::Unknown => self.kind_of(name).map_err(|source| self.io(source))?,
                kind => kind,
            };
            let name = name.to_str().map_err(|_| TreeError::Unknown {
                location: self.path.join(&*name.to_string_lossy()),
                what: "a folder of packages",
            })?;
            found.push((name.to_owned(), kind));
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    /// The same of a folder below this one; one that is not there is empty.
    pub(crate) fn list_inside(&self, path: &str) -> Result<Vec<(String, FileType)>, TreeError> {
        let fd = self.fd().map_err(|source| self.io(source))?;
        let inside = Self::open_at(fd, Path::new(path), self.path.join(path), OFlags::NOFOLLOW)?;
        inside.map_or_else(|| Ok(Vec::new()), |mut inside| inside.list())
    }

    /// Whether a file is there, with nothing in it.
    pub(crate) fn has_empty_file(&self, path: &str) -> bool {
        let found = self.fd().and_then(|fd| Ok(statat(fd, path, AtFlags::SYMLINK_NOFOLLOW)?));
        found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode).is_file() && found.st_size == 0)
    }

    /// A file below this folder.
    pub(crate) fn file(&self, path: &str) -> io::Result<File> {
        Ok(openat(self.fd()?, path, FILE, Mode::empty())?.into())
    }

    fn kind_of(&self, name: &std::ffi::CStr) -> io::Result<FileType> {
        let found = statat(self.fd()?, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(FileType::from_raw_mode(found.st_mode))
    }

    fn fd(&self) -> io::Result<BorrowedFd<'_>> {
        Ok(self.dir.fd()?)
    }

    fn io(&self, source: io::Error) -> TreeError {
        TreeError::Io { path: self.path.clone(), source }
    }
}

/// A folder's entries by name; one that is not there is empty.
pub(crate) fn list(folder: &Path) -> Result<Vec<(String, FileType)>, TreeError> {
    Folder::open(folder)?.map_or_else(|| Ok(Vec::new()), |mut folder| folder.list())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn what_lies_there_is_listed_and_opened_and_links_are_not_followed() {
        let holder = tempfile::tempdir().unwrap();
        let root = holder.path();
        std::fs::create_dir_all(root.join("real/lib")).unwrap();
        std::fs::write(root.join("real/lib/a.js"), "a").unwrap();
        for (target, link) in [("real/lib", "lib"), ("real/lib/a.js", "a.js")] {
            std::os::unix::fs::symlink(target, root.join(link)).unwrap();
        }
        let mut folder = Folder::open(root).unwrap().unwrap();
        let kinds = [("a.js", FileType::Symlink), ("lib", FileType::Symlink), ("real", FileType::Directory)];
        assert_eq!(folder.list().unwrap(), kinds.map(|(name, kind)| (name.to_owned(), kind)));
        assert_eq!(folder.kind_of(c"a.js").unwrap(), FileType::Symlink);
        assert_eq!(folder.kind_of(c"real").unwrap(), FileType::Directory);
        assert!(folder.list_inside("lib").is_err());
        assert!(folder.file("a.js").is_err());
        assert_eq!(folder.list_inside("real/lib").unwrap(), [("a.js".to_owned(), FileType::RegularFile)]);
        assert!(!folder.has_empty_file("real/lib/a.js"));
        let mut text = String::new();
        folder.file("real/lib/a.js").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "a");
        std::fs::write(root.join("real/lib/a.js"), "").unwrap();
        assert!(folder.has_empty_file("real/lib/a.js") && !folder.has_empty_file("a.js"));
        assert!(folder.list_inside("none").unwrap().is_empty());
        assert!(list(&root.join("none")).unwrap().is_empty());
        assert!(list(&root.join("a.js")).is_err());
    }

    #[test]
    fn nobody_waits_for_a_pipe() {
        let holder = tempfile::tempdir().unwrap();
        let made = std::process::Command::new("mkfifo").arg(holder.path().join("pipe")).status().unwrap();
        assert!(made.success());
        let mut folder = Folder::open(holder.path()).unwrap().unwrap();
        assert_eq!(folder.list().unwrap(), [("pipe".to_owned(), FileType::Fifo)]);
        let mut read = Vec::new();
        folder.file("pipe").unwrap().read_to_end(&mut read).unwrap();
        assert!(read.is_empty());
    }
}
