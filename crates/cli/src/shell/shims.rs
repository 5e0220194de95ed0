//! Small programs named like the package managers, for a folder in front of theirs on the PATH: each calls 3pm,
//! which calls the real one. Never writes over, and never removes, a file that is not one of them.

use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::Client;
use super::program::{SHIM_MARK, is_shim};

/// Their folder in 3pm's home.
pub(crate) const FOLDER: &str = "shims";

/// Why they are not there, or not gone.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShimError {
    /// Somebody else's program lies there.
    #[error("{} is not a shim of 3pm; nothing was written", path.display())]
    NotOurs {
        /// Which.
        path: PathBuf,
    },
    /// 3pm itself, or the folder, has a name that no script or PATH can hold.
    #[error("{} cannot stand in a script or on the PATH", path.display())]
    Name {
        /// Which.
        path: PathBuf,
    },
    /// The folder or a file.
    #[error("{} cannot be written", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Writes all of them into `folder`; they call 3pm at `threepm`. Returns the names that were not as they are now.
pub(crate) fn install(folder: &Path, threepm: &Path) -> Result<Vec<&'static str>, ShimError> {
    if folder.to_str().is_none_or(|name| name.contains([':', '\n'])) {
        return Err(ShimError::Name { path: folder.to_owned() });
    }
    let texts: Vec<(&str, PathBuf, String)> = Client::ALL
        .into_iter()
        .map(|client| Ok((client.command(), folder.join(client.command()), text(client, threepm)?)))
        .collect::<Result<_, ShimError>>()?;
    if let Some((_, path, _)) =
        texts.iter().find(|(_, path, _)| path.symlink_metadata().is_ok() && !is_shim(path))
    {
        return Err(ShimError::NotOurs { path: path.clone() });
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ShimError::Io { path, source }
    };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed(folder))?;
    let mut written = Vec::new();
    for (name, path, text) in &texts {
        if std::fs::read_to_string(path).is_ok_and(|found| found == *text) && super::is_executable(path) {
            continue;
        }
        store_program(folder, path, text).map_err(failed(path))?;
        written.push(*name);
    }
    Ok(written)
}

/// Removes those of them that are ours, and the folder when it is empty then. Returns their names.
pub(crate) fn remove(folder: &Path) -> Result<Vec<&'static str>, ShimError> {
    let mut removed = Vec::new();
    for client in Client::ALL {
        let path = folder.join(client.command());
        if is_shim(&path) {
            std::fs::remove_file(&path).map_err(|source| ShimError::Io { path, source })?;
            removed.push(client.command());
        }
    }
    // Not empty, or not there: both are as they should be.
    let _ = std::fs::remove_dir(folder);
    Ok(removed)
}

/// What one of them says.
pub(crate) fn text(client: Client, threepm: &Path) -> Result<String, ShimError> {
    let program = threepm.to_str().filter(|program| !program.contains(['\'', '\n']));
    let program = program.ok_or_else(|| ShimError::Name { path: threepm.to_owned() })?;
    let (command, intercept) = (client.command(), client.intercept());
    Ok(format!(
        "#!/bin/sh\n{SHIM_MARK} of {command}: `3pm shims remove` takes it away\nexec '{program}' {intercept} \"$@\"\n"
    ))
}

/// The path under which 3pm should be called: the one on the PATH when that is this very program, because that
/// one stays when 3pm is updated.
pub(crate) fn own_program() -> io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let same = std::env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join("3pm"))
        .find(|program| program.canonicalize().is_ok_and(|program| Some(program) == own.canonicalize().ok()));
    Ok(same.unwrap_or(own))
}

fn store_program(folder: &Path, path: &Path, text: &str) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o755))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
