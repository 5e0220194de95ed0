//! The files of one deployment: read within a limit, replaced in one step, under a lock. Knows nothing of what is in
//! them.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use alloy_primitives::Address;
use chain::Network;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// How a file is written; another one is not understood.
const FORMAT: u32 = 1;

/// Another run holds the lock for as long as it takes to write a few megabytes.
const LOCK_LIMIT: Duration = Duration::from_secs(5);

/// How often it is tried.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// One of the files.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sheet {
    pub(super) name: &'static str,
    pub(super) max_bytes: u64,
}

/// Why one of them cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// It cannot be read or written.
    #[error("cannot access {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is larger than one of ours.
    #[error("{} has more than {limit} bytes", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// It is not what was written.
    #[error("{} is damaged", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// It is another deployment's, or another version's.
    #[error("{} is of {found}, expected {expected}", path.display())]
    Other {
        /// Which.
        path: PathBuf,
        /// What belongs there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// Another run does not let go.
    #[error("{} is held by another run", path.display())]
    Busy {
        /// The lock.
        path: PathBuf,
    },
}

impl StoreError {
    /// What to do next.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::Io { path, .. } => format!("make {} readable and writable for you", path.display()),
            Self::Busy { .. } => "wait until it has ended".to_owned(),
            Self::TooLarge { path, .. } | Self::Malformed { path, .. } | Self::Other { path, .. } => format!(
                "put back a copy of it, or move it away with mv {0} {0}.damaged: 3pm then forgets what it has seen of this deployment",
                path.display()
            ),
        }
    }
}

/// Whose a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Owner {
    format: u32,
    chain_id: u64,
    name_registry: Address,
    package_registry: Address,
}

#[derive(Serialize, Deserialize)]
struct Page<T> {
    #[serde(flatten)]
    owner: Owner,
    content: T,
}

/// Where the files of a deployment lie.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    owner: Owner,
}

impl Folder {
    pub(super) fn of(home: &Path, network: &Network) -> Self {
        let Network { chain_id, name_registry, package_registry, .. } = *network;
        let path = home.join("chains").join(format!("{chain_id}-{package_registry:#x}"));
        Self { path, owner: Owner { format: FORMAT, chain_id, name_registry, package_registry } }
    }

    /// What is in a file; `None` when there is none.
    pub(super) fn read<T: DeserializeOwned>(&self, sheet: Sheet) -> Result<Option<T>, StoreError> {
        let path = self.path.join(sheet.name);
        let io = |source| StoreError::Io { path: path.clone(), source };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(io(source)),
        };
        let mut text = Vec::new();
        file.take(sheet.max_bytes + 1).read_to_end(&mut text).map_err(io)?;
        if text.len() as u64 > sheet.max_bytes {
            return Err(StoreError::TooLarge { path, limit: sheet.max_bytes });
        }
        let malformed = |source| StoreError::Malformed { path: path.clone(), source };
        // Whose it is comes first: another version may have written other contents.
        let owner: Owner = serde_json::from_slice(&text).map_err(malformed)?;
        if owner != self.owner {
            let (expected, found) = (self.owner.words(), owner.words());
            return Err(StoreError::Other { path, expected, found });
        }
        let page: Page<T> = serde_json::from_slice(&text).map_err(malformed)?;
        Ok(Some(page.content))
    }

    /// Replaces a file in one step; whoever does this after reading it holds the lock.
    pub(super) fn write<T: Serialize>(&self, sheet: Sheet, content: &T) -> Result<(), StoreError> {
        let path = self.path.join(sheet.name);
        let io = |source| StoreError::Io { path: path.clone(), source };
        let text =
            serde_json::to_vec(&Page { owner: self.owner, content }).map_err(|error| io(error.into()))?;
        // What could not be read again is not written.
        if text.len() as u64 > sheet.max_bytes {
            return Err(StoreError::TooLarge { path, limit: sheet.max_bytes });
        }
        let mut file = tempfile::NamedTempFile::new_in(&self.path).map_err(io)?;
        file.write_all(&text).map_err(io)?;
        file.as_file().sync_all().map_err(io)?;
        file.persist(&path).map_err(|error| io(error.error))?;
        Ok(())
    }

    /// Nobody else reads and writes while this is held.
    pub(super) fn lock(&self) -> Result<File, StoreError> {
        let path = self.path.join("lock");
        let io = |source| StoreError::Io { path: path.clone(), source };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.path).map_err(io)?;
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(io)?;
        let started = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if started.elapsed() < LOCK_LIMIT => {
                    std::thread::sleep(LOCK_PAUSE);
                }
                Err(TryLockError::WouldBlock) => return Err(StoreError::Busy { path }),
                Err(TryLockError::Error(source)) => return Err(io(source)),
            }
        }
    }
}

impl Owner {
    fn words(&self) -> String {
        let Self { format, chain_id, name_registry, package_registry } = self;
        format!("{name_registry:#x} and {package_registry:#x} on chain {chain_id} in format {format}")
    }
}
