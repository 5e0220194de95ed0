//! Which wallet is connected, kept between runs. Holds no key; a signer's URL may hold a password, so the
//! file is its owner's alone and Debug shows the URL without it.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use alloy_primitives::Address;
use client::http::public_endpoint;
use serde::{Deserialize, Serialize};
use url::Url;

/// Largest session file that is read, in bytes.
const MAX_BYTES: u64 = 64 << 10;

/// A connected wallet.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Session {
    /// An external signer over JSON-RPC.
    Rpc {
        /// Where it is.
        url: Url,
        /// Which of its accounts.
        address: Address,
    },
}

/// Why a session could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The file system said no.
    #[error("wallet session {path} cannot be {action}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Read, written, deleted.
        action: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Not a session.
    #[error("wallet session {path} is damaged")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl Session {
    /// The session kept in `home`; `None` when no wallet is connected.
    pub fn load(home: &Path) -> Result<Option<Self>, SessionError> {
        let path = file(home);
        let failed = |source| SessionError::Io { path: path.clone(), action: "read", source };
        let text = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
            Ok(metadata) if metadata.len() > MAX_BYTES => {
                return Err(failed(io::Error::other(format!("larger than {MAX_BYTES} bytes"))));
            }
            Ok(_) => fs::read(&path).map_err(failed)?,
        };
        serde_json::from_slice(&text).map(Some).map_err(|source| SessionError::Damaged { path, source })
    }

    /// Keeps the session: whole or not at all, readable by its owner only.
    pub fn store(&self, home: &Path) -> Result<(), SessionError> {
        let path = file(home);
        let failed = |source| SessionError::Io { path: path.clone(), action: "written", source };
        let folder = path.parent().unwrap_or(home);
        fs::create_dir_all(folder).map_err(failed)?;
        // Created with mode 0600.
        let mut temporary = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        let text = serde_json::to_vec_pretty(self).map_err(|error| failed(error.into()))?;
        temporary.write_all(&text).and_then(|()| temporary.as_file().sync_all()).map_err(failed)?;
        temporary.persist(&path).map_err(|error| failed(error.error))?;
        Ok(())
    }

    /// Forgets the session; whether there was one.
    pub fn delete(home: &Path) -> Result<bool, SessionError> {
        let path = file(home);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(SessionError::Io { path, action: "deleted", source }),
        }
    }

    /// The member it signs for.
    #[must_use]
    pub fn address(&self) -> Address {
        match self {
            Self::Rpc { address, .. } => *address,
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rpc { url, address } => {
                f.debug_struct("Rpc").field("url", &public_endpoint(url)).field("address", address).finish()
            }
        }
    }
}

fn file(home: &Path) -> PathBuf {
    home.join("sessions").join("wallet.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_kept_for_its_owner_only_and_can_be_forgotten() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(Session::load(home.path()).unwrap(), None);
        let url: Url = "http://user:hunter2@127.0.0.1:8545/?key=hunter2".parse().unwrap();
        let session = Session::Rpc { url, address: Address::repeat_byte(7) };
        session.store(home.path()).unwrap();
        assert_eq!(Session::load(home.path()).unwrap(), Some(session.clone()));
        assert!(!format!("{session:?}").contains("hunter2"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(file(home.path())).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(Session::delete(home.path()).unwrap());
        assert!(!Session::delete(home.path()).unwrap());
    }

    #[test]
    fn a_damaged_session_is_an_error_and_not_an_absence() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join("sessions")).unwrap();
        fs::write(file(home.path()), "{").unwrap();
        assert!(matches!(Session::load(home.path()), Err(SessionError::Damaged { .. })));
    }
}
