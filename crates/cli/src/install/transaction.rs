//! Changes a project so that it ends either as it was or complete: what is replaced is set aside first,
//! and put back when the change is dropped before [`Transaction::commit`] (a failure, Ctrl-C) or, after
//! `kill -9`, by the next run. Does not know what is written.
//!
//! The folder `.3pm-install` in the project holds what was set aside and the journal. Its lock is held
//! by a running process only, so a lock that can be taken means that its owner is gone. Renaming needs
//! one file system, which is why it does not lie in a temporary folder.
//!
//! A hostile repository can bring that folder, so it is taken for ours only step by step:
//! 1. It is a real folder, and the user's. A link in its place would have us write and remove elsewhere.
//! 2. Its files are read and written as files, never through a link.
//! 3. A journal in it names files and folders of the project that an install changes, and no others.
//! 4. What lies in it without a journal is taken away before anything is set aside.

use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::lockfile::MAX_LOCKFILE_BYTES;
use super::project::{Change, read_bounded};

/// The folder for what was set aside.
pub(crate) const FOLDER: &str = ".3pm-install";
const JOURNAL: &str = "journal.json";
const LOCK: &str = "lock";

/// The files an install may change.
const FILES: [&str; 16] = [
    "package.json",
    "package.yaml",
    "package.json5",
    "package-lock.json",
    "npm-shrinkwrap.json",
    "pnpm-lock.yaml",
    "pnpm-workspace.yaml",
    "yarn.lock",
    ".yarnrc.yml",
    ".pnp.js",
    ".pnp.cjs",
    ".pnp.loader.mjs",
    ".pnp.data.json",
    "bun.lock",
    "bun.lockb",
    "install-state.gz",
];

/// The largest journal: a path per workspace.
const MAX_JOURNAL_BYTES: u64 = 16 * 1024 * 1024;

/// The folders it may change: of packages, of those that yarn unpacks beside its archives, yarn's own where there was
/// none, and its archives where they lie in the project.
const FOLDERS: [&str; 4] = ["node_modules", "unplugged", ".yarn", "cache"];

/// Where yarn 4 keeps archives in a project that wants that.
pub(crate) const YARN_CACHE: &str = ".yarn/cache";

/// What was replaced, enough to put it back. Paths are relative to the project.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Journal {
    files: Vec<SetAside>,
    folders: Vec<SetAside>,
}

/// One file or folder of the project, and where its original lies in [`FOLDER`]; `None` when there was
/// none.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SetAside {
    place: PathBuf,
    original: Option<String>,
    /// It was copied and lies there still: the package manager needs what is in it.
    #[serde(default)]
    stays: bool,
}

/// A file as it was.
#[derive(Debug)]
struct Kept {
    path: PathBuf,
    before: Option<Vec<u8>>,
}

/// A change in progress.
#[derive(Debug)]
pub(crate) struct Transaction {
    root: PathBuf,
    /// Held until the end.
    _lock: File,
    committed: bool,
}

/// Why a project was not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransactionError {
    /// Another run is at it.
    #[error("another 3pm install is running in {}", root.display())]
    Busy {
        /// The project.
        root: PathBuf,
    },
    /// A file differs from when it was checked.
    #[error("{} was changed while its packages were being checked", path.display())]
    Changed {
        /// Which.
        path: PathBuf,
    },
    /// A file or folder outside the project would have to be changed.
    #[error("{} lies outside the project", path.display())]
    Outside {
        /// Which.
        path: PathBuf,
    },
    /// Something else than what we make.
    #[error("{} is {found}, expected {expected} that 3pm made", path.display())]
    NotOurs {
        /// Where.
        path: PathBuf,
        /// What we make there.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// The journal of an interrupted run cannot be read.
    #[error("the journal {} cannot be read, so the project was left as it is", path.display())]
    Journal {
        /// Which.
        path: PathBuf,
    },
    /// The disk said no.
    #[error("cannot change {}", path.display())]
    Io {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Transaction {
    /// Puts back what an interrupted run left; `true` when there was something.
    pub(crate) fn recover(root: &Path) -> Result<bool, TransactionError> {
        Self::recover_after(root, || {})
    }

    /// The same; calls `first` before anything is put back, once it is known that no other run is at it.
    pub(crate) fn recover_after(root: &Path, first: impl FnOnce()) -> Result<bool, TransactionError> {
        let folder = root.join(FOLDER);
        let is_there = |name: &str| folder.join(name).symlink_metadata().is_ok();
        if !is_our_folder(&folder)? || !(is_there(LOCK) || is_there(JOURNAL)) {
            return Ok(false);
        }
        let lock = take_lock(root)?;
        first();
        let recovered = is_there(JOURNAL);
        restore(root)?;
        drop(lock);
        Ok(recovered)
    }

    /// Sets `changes`' files and the folders `modules` aside and writes the new files. The files `absent` are not
    /// there, and will be taken away if somebody makes them.
    fn begin(
        root: &Path,
        changes: &[Change],
        absent: &[PathBuf],
        modules: &[PathBuf],
    ) -> Result<Self, TransactionError> {
        Self::recover(root)?;
        let folder = root.join(FOLDER);
        match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(io(&folder, error));
            }
            _ => {}
        }
        is_our_folder(&folder)?;
        let lock = take_lock(root)?;
        clear(&folder)?;
        let transaction = Self { root: root.to_owned(), _lock: lock, committed: false };
        let mut journal = Journal::default();
        for (number, change) in changes.iter().enumerate() {
            let place = relative(root, &change.path)?;
            safe_place(root, &place, &FILES)?;
            let now = read_bounded(&change.path, u64::MAX - 1).map_err(|_| changed(&change.path))?;
            if now != change.before {
                return Err(changed(&change.path));
            }
            let original = now.map(|bytes| -> Result<String, TransactionError> {
                let name = format!("file-{number}");
                let path = folder.join(&name);
                write_synced(&path, &bytes).map_err(|source| io(&path, source))?;
                Ok(name)
            });
            journal.files.push(SetAside { place, original: original.transpose()?, stays: false });
        }
        for path in absent {
            let place = relative(root, path)?;
            safe_place(root, &place, &FILES)?;
            journal.files.push(SetAside { place, original: None, stays: false });
        }
        for (number, place) in modules.iter().enumerate() {
            let exists = safe_place(root, place, &FOLDERS)?.symlink_metadata().is_ok();
            let (place, original) = (place.clone(), exists.then(|| format!("folder-{number}")));
            let stays = place.ends_with(YARN_CACHE);
            journal.folders.push(SetAside { place, original, stays });
        }
        let path = folder.join(JOURNAL);
        let text = serde_json::to_vec(&journal).map_err(|error| io(&path, error.into()))?;
        put(&path, &text).map_err(|source| io(&path, source))?;
        // From here on the journal says how to get back.
        for aside in &journal.folders {
            if let Some(original) = &aside.original {
                let mut place = root.join(&aside.place);
                if aside.stays {
                    let whole = folder.join("copy");
                    copy_links(&place, &whole).map_err(|source| io(&place, source))?;
                    place = whole;
                }
                std::fs::rename(&place, folder.join(original)).map_err(|source| io(&place, source))?;
            }
        }
        for change in changes.iter().filter(|change| change.before.as_ref() != Some(&change.after)) {
            replace(&change.path, &change.after).map_err(|source| io(&change.path, source))?;
        }
        Ok(transaction)
    }

    /// Sets the folders `modules` aside and remembers `files` as they are, for somebody else to change.
    pub(crate) fn guard(
        root: &Path,
        files: &[PathBuf],
        modules: &[PathBuf],
        limit: u64,
    ) -> Result<Self, TransactionError> {
        let mut kept = Vec::new();
        for file in files {
            let path = root.join(file);
            let before = read_bounded(&path, limit.max(MAX_LOCKFILE_BYTES)).map_err(|_| changed(&path))?;
            // What is not there yet is taken away again, what is there is written back as it is.
            kept.push(Kept { path, before });
        }
        let changes: Vec<Change> = kept
            .iter()
            .filter_map(|kept| {
                let before = kept.before.clone()?;
                Some(Change { path: kept.path.clone(), after: before.clone(), before: Some(before) })
            })
            .collect();
        let absent: Vec<PathBuf> =
            kept.into_iter().filter(|kept| kept.before.is_none()).map(|kept| kept.path).collect();
        Self::begin(root, &changes, &absent, modules)
    }

    /// The folders that lay there, each with whether somebody made it anew.
    pub(crate) fn made_again(&self) -> Result<Vec<bool>, TransactionError> {
        let journal = self.read_journal()?;
        let lay_there = journal.folders.iter().filter(|aside| aside.original.is_some() && !aside.stays);
        Ok(lay_there.map(|aside| self.root.join(&aside.place).symlink_metadata().is_ok()).collect())
    }

    fn read_journal(&self) -> Result<Journal, TransactionError> {
        let path = self.root.join(FOLDER).join(JOURNAL);
        let unreadable = || TransactionError::Journal { path: path.clone() };
        let text = read_ours(&path, MAX_JOURNAL_BYTES)?.ok_or_else(unreadable)?;
        serde_json::from_slice(&text).map_err(|_| unreadable())
    }

    /// Puts the folders back where nobody made new ones: a command that only writes a lockfile leaves them alone.
    /// Returns whether it did; where one was made anew, those that were not are gone for good.
    pub(crate) fn give_back_untouched(&self) -> Result<bool, TransactionError> {
        let folder = self.root.join(FOLDER);
        let journal = self.read_journal()?;
        let is_made =
            |aside: &SetAside| !aside.stays && self.root.join(&aside.place).symlink_metadata().is_ok();
        let is_written = |aside: &SetAside| {
            let now = std::fs::read(self.root.join(&aside.place)).ok();
            now != aside.original.as_ref().and_then(|original| std::fs::read(folder.join(original)).ok())
        };
        // With Plug'n'Play packages lie where this table says, and in no such folder.
        let mut tables = journal.files.iter().filter(|aside| aside.place.ends_with(".pnp.cjs"));
        if journal.folders.iter().any(is_made) || tables.any(is_written) {
            return Ok(false);
        }
        let mut given = false;
        for aside in journal.folders.into_iter().filter(|aside| !aside.stays) {
            let Some(original) = aside.original else { continue };
            let place = self.root.join(&aside.place);
            std::fs::rename(folder.join(original), &place).map_err(|source| io(&place, source))?;
            given = true;
        }
        Ok(given)
    }

    /// Keeps what is there now.
    pub(crate) fn commit(mut self) -> Result<(), TransactionError> {
        let journal = self.root.join(FOLDER).join(JOURNAL);
        std::fs::remove_file(&journal).map_err(|source| io(&journal, source))?;
        self.committed = true;
        Ok(())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let result = if self.committed { remove(&self.root.join(FOLDER)) } else { restore(&self.root) };
        if let Err(error) = result {
            tracing::error!(%error, "the project was not fully put back; the next install tries again");
        }
    }
}

/// Step 1: whether the folder is there, and an error where it is not ours.
fn is_our_folder(folder: &Path) -> Result<bool, TransactionError> {
    let not_ours = |found| TransactionError::NotOurs { path: folder.to_owned(), expected: "a folder", found };
    match folder.symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(io(folder, source)),
        Ok(found) if found.is_symlink() => Err(not_ours("a link")),
        Ok(found) if !found.is_dir() => Err(not_ours("a file")),
        Ok(found) if found.uid() != rustix::process::geteuid().as_raw() => Err(not_ours("another user's")),
        Ok(_) => Ok(true),
    }
}

/// Step 2: whether a file of ours is there, and an error where it is none.
fn is_our_file(path: &Path) -> Result<bool, TransactionError> {
    match path.symlink_metadata() {
        Ok(found) if found.is_file() => Ok(true),
        Ok(found) => {
            let found = if found.is_symlink() { "a link" } else { "no file" };
            Err(TransactionError::NotOurs { path: path.to_owned(), expected: "a file", found })
        }
        Err(_) => Ok(false),
    }
}

/// One of our own files; none where it is not there.
fn read_ours(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, TransactionError> {
    is_our_file(path)?;
    read_bounded(path, limit).map_err(|_| TransactionError::Journal { path: path.to_owned() })
}

/// Step 4.
fn clear(folder: &Path) -> Result<(), TransactionError> {
    for entry in std::fs::read_dir(folder).map_err(|source| io(folder, source))? {
        let entry = entry.map_err(|source| io(folder, source))?;
        if entry.file_name() != LOCK {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

fn take_lock(root: &Path) -> Result<File, TransactionError> {
    let path = root.join(FOLDER).join(LOCK);
    is_our_file(&path)?;
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(&path)
        .map_err(|source| io(&path, source))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(TransactionError::Busy { root: root.to_owned() }),
        Err(TryLockError::Error(source)) => return Err(io(&path, source)),
    }
    // The owner before us may have removed the file between our opening and our locking it.
    let ours = lock.metadata().map_err(|source| io(&path, source))?.ino();
    match std::fs::metadata(&path) {
        Ok(there) if there.ino() == ours => Ok(lock),
        _ => Err(TransactionError::Busy { root: root.to_owned() }),
    }
}

/// Puts everything back that the journal names, then removes the folder. May be interrupted and repeated.
fn restore(root: &Path) -> Result<(), TransactionError> {
    let folder = root.join(FOLDER);
    let path = folder.join(JOURNAL);
    let unreadable = || TransactionError::Journal { path: path.clone() };
    if let Some(text) = read_ours(&path, MAX_JOURNAL_BYTES)? {
        let journal: Journal = serde_json::from_slice(&text).map_err(|_| unreadable())?;
        for (number, aside) in journal.folders.iter().enumerate() {
            let place = safe_place(root, &aside.place, &FOLDERS)?;
            let original = aside.original.as_ref().map(|_| folder.join(format!("folder-{number}")));
            // An original that is not set aside is still in its place.
            if original.as_ref().is_some_and(|original| original.symlink_metadata().is_err()) {
                continue;
            }
            if let Some(original) = &original {
                stays_inside(root, original, &place)?;
            }
            if place.symlink_metadata().is_ok() {
                let failed = folder.join(format!("failed-{number}"));
                remove(&failed)?;
                std::fs::rename(&place, &failed).map_err(|source| io(&place, source))?;
            }
            if let Some(original) = original {
                std::fs::rename(&original, &place).map_err(|source| io(&place, source))?;
            }
        }
        for (number, aside) in journal.files.iter().enumerate() {
            let place = safe_place(root, &aside.place, &FILES)?;
            match &aside.original {
                Some(_) => {
                    let original = folder.join(format!("file-{number}"));
                    let bytes = read_ours(&original, MAX_LOCKFILE_BYTES)?.ok_or_else(unreadable)?;
                    replace(&place, &bytes).map_err(|source| io(&place, source))?;
                }
                None => remove(&place)?,
            }
        }
        std::fs::remove_file(&path).map_err(|source| io(&path, source))?;
    }
    remove(&folder)
}

/// A folder of packages may be a link, as long as it leads nowhere outside of the project from where it is put back.
fn stays_inside(root: &Path, original: &Path, place: &Path) -> Result<(), TransactionError> {
    let Ok(target) = std::fs::read_link(original) else { return Ok(()) };
    let target = place.parent().unwrap_or(root).join(target).canonicalize();
    let real = root.canonicalize().map_err(|source| io(root, source))?;
    match target.is_ok_and(|target| !target.starts_with(real)) {
        true => Err(TransactionError::Outside { path: original.to_owned() }),
        false => Ok(()),
    }
}

/// Writes a file so that it has its old content or its new, whenever the power goes; through a link, as
/// npm does.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    put(&path.canonicalize().unwrap_or_else(|_| path.to_owned()), bytes)
}

/// The same, in the place of a link.
fn put(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let mut file = tempfile::NamedTempFile::new_in(parent)?;
    file.write_all(bytes)?;
    let permissions = std::fs::symlink_metadata(path).map(|found| found.permissions());
    file.as_file().set_permissions(permissions.unwrap_or_else(|_| new_file_permissions()))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// What a new file of a project usually has; a temporary file has 0600.
fn new_file_permissions() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::Permissions::from_mode(0o644)
}

/// The files of a folder once more under the same names: who writes one anew writes another file.
fn copy_links(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let (entry, to) = entry.map(|entry| (entry.path(), to.join(entry.file_name())))?;
        let kind = entry.symlink_metadata()?;
        if kind.is_dir() {
            copy_links(&entry, &to)?;
        } else {
            std::fs::hard_link(&entry, &to)?;
        }
    }
    Ok(())
}

fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Where `place` is on disk, if it is one of these files or folders and truly in the project: a journal
/// may come with a hostile repository, and so may a symbolic link.
fn safe_place(root: &Path, place: &Path, names: &[&str]) -> Result<PathBuf, TransactionError> {
    let path = root.join(relative(root, &root.join(place))?);
    let outside = || TransactionError::Outside { path: path.clone() };
    let named = path.file_name().is_some_and(|name| names.iter().any(|known| name == *known));
    let mut folder = path.as_path();
    loop {
        folder = folder.parent().ok_or_else(outside)?;
        if folder.symlink_metadata().is_ok() {
            break;
        }
    }
    let real = folder.canonicalize().map_err(|source| io(folder, source))?;
    let file = path.canonicalize().unwrap_or_else(|_| real.join("new"));
    let root = root.canonicalize().map_err(|source| io(root, source))?;
    if named && real.starts_with(&root) && file.starts_with(&root) { Ok(path) } else { Err(outside()) }
}

/// `path` below `root`.
fn relative(root: &Path, path: &Path) -> Result<PathBuf, TransactionError> {
    let outside = || TransactionError::Outside { path: path.to_owned() };
    let place = path.strip_prefix(root).map_err(|_| outside())?;
    let plain = place.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    if plain && place.components().next().is_some() { Ok(place.to_owned()) } else { Err(outside()) }
}

fn remove(path: &Path) -> Result<(), TransactionError> {
    let result = match path.symlink_metadata() {
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(_) => Ok(()),
    };
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io(path, error)),
        _ => Ok(()),
    }
}

fn changed(path: &Path) -> TransactionError {
    TransactionError::Changed { path: path.to_owned() }
}

fn io(path: &Path, source: std::io::Error) -> TransactionError {
    TransactionError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project() -> (tempfile::TempDir, PathBuf) {
        let holder = tempfile::tempdir().unwrap();
        let root = holder.path().canonicalize().unwrap();
        std::fs::write(root.join("package.json"), "old").unwrap();
        std::fs::create_dir_all(root.join("node_modules/a")).unwrap();
        std::fs::write(root.join("node_modules/a/index.js"), "old code").unwrap();
        (holder, root)
    }

    fn changes(root: &Path) -> Vec<Change> {
        vec![
            Change { path: root.join("package.json"), before: Some(b"old".to_vec()), after: b"new".to_vec() },
            Change { path: root.join("package-lock.json"), before: None, after: b"lock".to_vec() },
        ]
    }

    fn begin(root: &Path) -> Result<Transaction, TransactionError> {
        Transaction::begin(
            root,
            &changes(root),
            &[],
            &["node_modules".into(), "packages/w/node_modules".into()],
        )
    }

    /// What an install does between `begin` and `commit`.
    fn install(root: &Path) {
        std::fs::create_dir_all(root.join("node_modules/b")).unwrap();
        std::fs::create_dir_all(root.join("packages/w/node_modules/c")).unwrap();
    }

    fn assert_as_before(root: &Path) {
        assert_eq!(std::fs::read_to_string(root.join("package.json")).unwrap(), "old");
        assert_eq!(std::fs::read_to_string(root.join("node_modules/a/index.js")).unwrap(), "old code");
        for gone in ["package-lock.json", "node_modules/b", "packages/w/node_modules", FOLDER] {
            assert!(!root.join(gone).exists(), "{gone}");
        }
    }

    #[test]
    fn folders_that_nobody_made_anew_are_given_back_and_stay_whatever_comes() {
        let (_holder, root) = project();
        let transaction = begin(&root).unwrap();
        assert!(transaction.give_back_untouched().unwrap());
        assert!(root.join("node_modules/a/index.js").exists());
        transaction.commit().unwrap();
        assert!(root.join("node_modules/a/index.js").exists() && !root.join(FOLDER).exists());
        // Dropped afterwards: as before.
        let (_holder, root) = project();
        let transaction = begin(&root).unwrap();
        assert!(transaction.give_back_untouched().unwrap());
        drop(transaction);
        assert_as_before(&root);
        // Somebody made one: the other is not wanted any more.
        let (_holder, root) = project();
        let transaction = begin(&root).unwrap();
        assert_eq!(transaction.made_again().unwrap(), [false]);
        std::fs::create_dir_all(root.join("packages/w/node_modules/c")).unwrap();
        assert_eq!(transaction.made_again().unwrap(), [false]);
        assert!(!transaction.give_back_untouched().unwrap());
        drop(transaction);
        assert_as_before(&root);
    }

    #[test]
    fn archives_of_yarn_stay_in_place_and_are_as_before_when_the_change_is_dropped() {
        for commits in [false, true] {
            let (_holder, root) = project();
            let cache = root.join(YARN_CACHE);
            std::fs::create_dir_all(&cache).unwrap();
            for name in ["kept", "gone", "other"] {
                std::fs::write(cache.join(name), "old").unwrap();
            }
            let transaction =
                Transaction::begin(&root, &[], &[], &["node_modules".into(), YARN_CACHE.into()]).unwrap();
            assert_eq!(std::fs::read(cache.join("kept")).unwrap(), b"old");
            assert_eq!(transaction.made_again().unwrap(), [false]);
            assert!(transaction.give_back_untouched().unwrap());
            std::fs::write(cache.join("new"), "new").unwrap();
            std::fs::remove_file(cache.join("gone")).unwrap();
            replace(&cache.join("other"), b"new").unwrap();
            if commits {
                transaction.commit().unwrap();
            } else {
                drop(transaction);
            }
            let read = |name: &str| std::fs::read_to_string(cache.join(name)).ok();
            let old = |is: bool| is.then(|| "old".to_owned());
            assert_eq!(read("kept"), old(true));
            assert_eq!(read("gone"), old(!commits));
            assert_eq!(read("new").is_some(), commits);
            assert_eq!(read("other") == old(true), !commits);
            assert!(!root.join(FOLDER).exists());
        }
    }

    #[test]
    fn a_commit_keeps_the_new_and_leaves_nothing_behind() {
        let (_holder, root) = project();
        let transaction = begin(&root).unwrap();
        assert!(!root.join("node_modules").exists());
        install(&root);
        transaction.commit().unwrap();
        assert_eq!(std::fs::read_to_string(root.join("package.json")).unwrap(), "new");
        assert!(root.join("node_modules/b").exists() && !root.join("node_modules/a").exists());
        assert!(!root.join(FOLDER).exists());
    }

    #[test]
    fn a_change_that_is_dropped_leaves_the_project_as_it_was() {
        let (_holder, root) = project();
        let transaction = begin(&root).unwrap();
        install(&root);
        drop(transaction);
        assert_as_before(&root);
    }

    #[test]
    fn after_a_kill_the_next_run_puts_the_project_back() {
        let (_holder, root) = project();
        let transaction = begin(&root).unwrap();
        install(&root);
        // As after `kill -9`: no destructor runs, the lock goes with the process.
        transaction._lock.unlock().unwrap();
        std::mem::forget(transaction);
        assert!(Transaction::recover(&root).unwrap());
        assert_as_before(&root);
        assert!(!Transaction::recover(&root).unwrap());
    }

    #[test]
    fn a_kill_at_any_point_of_putting_back_is_put_right_by_the_next() {
        for point in 0..3 {
            let (_holder, root) = project();
            let transaction = begin(&root).unwrap();
            install(&root);
            transaction._lock.unlock().unwrap();
            std::mem::forget(transaction);
            let folder = root.join(FOLDER);
            if point >= 1 {
                std::fs::rename(root.join("node_modules"), folder.join("failed-0")).unwrap();
            }
            if point >= 2 {
                std::fs::rename(folder.join("folder-0"), root.join("node_modules")).unwrap();
            }
            assert!(Transaction::recover(&root).unwrap());
            assert_as_before(&root);
        }
    }

    #[test]
    fn two_runs_do_not_mix() {
        let (_holder, root) = project();
        let transaction = begin(&root).unwrap();
        assert!(matches!(begin(&root), Err(TransactionError::Busy { .. })));
        assert!(matches!(Transaction::recover(&root), Err(TransactionError::Busy { .. })));
        drop(transaction);
        assert_as_before(&root);
    }

    #[test]
    fn a_file_that_changed_since_it_was_checked_is_not_overwritten() {
        let (_holder, root) = project();
        std::fs::write(root.join("package.json"), "edited meanwhile").unwrap();
        assert!(matches!(begin(&root), Err(TransactionError::Changed { .. })));
        assert_eq!(std::fs::read_to_string(root.join("package.json")).unwrap(), "edited meanwhile");
        assert!(root.join("node_modules/a").exists() && !root.join(FOLDER).exists());
    }

    #[test]
    fn a_journal_from_elsewhere_leads_nowhere_outside_the_project() {
        let (holder, root) = project();
        let victim = tempfile::NamedTempFile::new_in(holder.path().parent().unwrap()).unwrap();
        std::fs::create_dir(root.join(FOLDER)).unwrap();
        std::fs::write(root.join(FOLDER).join(LOCK), "").unwrap();
        for place in [
            victim.path().display().to_string(),
            format!("../{}", victim.path().file_name().unwrap().display()),
        ] {
            let journal =
                format!("{{\"files\": [{{\"place\": {place:?}, \"original\": null}}], \"folders\": []}}");
            std::fs::write(root.join(FOLDER).join(JOURNAL), journal).unwrap();
            assert!(matches!(Transaction::recover(&root), Err(TransactionError::Outside { .. })), "{place}");
            assert!(victim.path().exists());
        }
        std::os::unix::fs::symlink(holder.path().parent().unwrap(), root.join("link")).unwrap();
        std::os::unix::fs::symlink(victim.path(), root.join("npm-shrinkwrap.json")).unwrap();
        for place in ["link/package.json", "npm-shrinkwrap.json", "src/main.js", "link/node_modules"] {
            let aside = format!("[{{\"place\": {place:?}, \"original\": \"file-0\"}}]");
            for journal in [
                format!("{{\"files\": {aside}, \"folders\": []}}"),
                format!("{{\"files\": [], \"folders\": {aside}}}"),
            ] {
                std::fs::write(root.join(FOLDER).join("file-0"), "evil").unwrap();
                std::fs::write(root.join(FOLDER).join(JOURNAL), journal).unwrap();
                assert!(
                    matches!(Transaction::recover(&root), Err(TransactionError::Outside { .. })),
                    "{place}"
                );
            }
        }
        assert_eq!(std::fs::read(victim.path()).unwrap(), b"");
        std::fs::remove_file(root.join("npm-shrinkwrap.json")).unwrap();
        // What was set aside is a link to elsewhere, which would be put in a place of the project.
        let aside = "[{\"place\": \"node_modules\", \"original\": \"folder-0\"}]";
        let journal = format!("{{\"files\": [], \"folders\": {aside}}}");
        std::fs::write(root.join(FOLDER).join(JOURNAL), journal).unwrap();
        std::os::unix::fs::symlink(victim.path(), root.join(FOLDER).join("folder-0")).unwrap();
        assert!(matches!(Transaction::recover(&root), Err(TransactionError::Outside { .. })));
        std::fs::write(root.join(FOLDER).join(JOURNAL), "{").unwrap();
        assert!(matches!(Transaction::recover(&root), Err(TransactionError::Journal { .. })));
    }

    #[test]
    fn a_folder_of_ours_that_is_a_link_leads_nowhere() {
        let (_holder, root) = project();
        let outside = tempfile::tempdir().unwrap();
        for name in [LOCK, JOURNAL, "file-0", "failed-0"] {
            std::fs::write(outside.path().join(name), "theirs").unwrap();
        }
        std::os::unix::fs::symlink(outside.path(), root.join(FOLDER)).unwrap();
        assert!(matches!(Transaction::recover(&root), Err(TransactionError::NotOurs { .. })));
        assert!(matches!(begin(&root), Err(TransactionError::NotOurs { .. })));
        for name in [LOCK, JOURNAL, "file-0", "failed-0"] {
            assert_eq!(std::fs::read_to_string(outside.path().join(name)).unwrap(), "theirs", "{name}");
        }
    }

    #[test]
    fn files_of_ours_that_are_links_are_neither_read_nor_written() {
        let outside = tempfile::tempdir().unwrap();
        let victim = outside.path().join("victim");
        let journal = |name: &str| {
            let aside = format!("[{{\"place\": {name:?}, \"original\": \"file-0\"}}]");
            format!("{{\"files\": {aside}, \"folders\": []}}")
        };
        std::fs::write(&victim, journal("package.json")).unwrap();
        // What of ours is a link, and what else is there; then whether it is refused.
        for (link, file, is_refused) in [
            (LOCK, None, true),
            (JOURNAL, None, true),
            ("file-0", Some((JOURNAL, journal("package.json"))), true),
            ("file-0", None, false),
            ("copy", None, false),
        ] {
            let (_holder, root) = project();
            std::fs::create_dir(root.join(FOLDER)).unwrap();
            std::os::unix::fs::symlink(&victim, root.join(FOLDER).join(link)).unwrap();
            if let Some((name, text)) = file {
                std::fs::write(root.join(FOLDER).join(name), text).unwrap();
            }
            let begun = begin(&root);
            assert_eq!(
                matches!(begun, Err(TransactionError::NotOurs { .. })),
                is_refused,
                "{link}: {begun:?}"
            );
            drop(begun);
            assert_eq!(std::fs::read_to_string(&victim).unwrap(), journal("package.json"), "{link}");
            assert_eq!(std::fs::read_to_string(root.join("package.json")).unwrap(), "old", "{link}");
            assert!(is_refused || !root.join(FOLDER).exists(), "{link}");
        }
    }
}
