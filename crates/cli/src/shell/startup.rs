//! A startup file of a shell, changed in one step: it is there whole at every moment, keeps its mode, stays a
//! symbolic link where it is one, and what it was lies beside it before the first change. Knows no hook.

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The largest that is read: startup files have a few kilobytes.
const MAX_BYTES: u64 = 4 << 20;

/// The mode of a file that was not there.
const MODE: u32 = 0o644;

/// What is put behind the name of a file for what it was.
const BACKUP: &str = ".3pm-backup";

/// What it holds; nothing when it is not there.
pub(super) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.symlink_metadata().is_err() => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::other(format!("it has more than {MAX_BYTES} bytes")));
    }
    Ok(Some(bytes))
}

/// Writes it.
pub(super) fn store(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A link stays a link: what it leads to changes.
    let target = if path.symlink_metadata().is_ok() { path.canonicalize()? } else { path.to_owned() };
    let folder = target.parent().ok_or_else(|| io::Error::other("it lies in no folder"))?;
    std::fs::create_dir_all(folder)?;
    let mode = match std::fs::metadata(&target) {
        Ok(found) => found.permissions(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => std::fs::Permissions::from_mode(MODE),
        Err(error) => return Err(error),
    };
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().set_permissions(mode)?;
    file.as_file().sync_all()?;
    file.persist(&target).map_err(|error| error.error)?;
    Ok(())
}

/// Copies it beside itself, unless there is such a copy already.
pub(super) fn keep_backup(path: &Path) -> io::Result<Option<PathBuf>> {
    let backup = backup_of(path);
    if backup.symlink_metadata().is_ok() {
        return Ok(None);
    }
    std::fs::copy(path, &backup)?;
    Ok(Some(backup))
}

/// Removes the copy where the file is again what it was.
pub(super) fn drop_backup(path: &Path) -> io::Result<()> {
    let backup = backup_of(path);
    match (read(&backup)?, read(path)?) {
        (Some(before), Some(now)) if before == now => std::fs::remove_file(backup),
        _ => Ok(()),
    }
}

fn backup_of(path: &Path) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(BACKUP);
    name.into()
}
