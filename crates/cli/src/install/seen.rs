//! The highest block each deployment was ever read at, so that no endpoint can show an older state than one
//! already seen. Development chains start over all the time and are left out. Holds nothing else.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use chain::{Network, is_development_chain};

/// The file in 3pm's home.
const FILE: &str = "seen-blocks.json";

/// A number for each deployment ever used.
const MAX_BYTES: u64 = 1024 * 1024;

/// Why the highest block is not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SeenError {
    /// The file cannot be read or written.
    #[error("cannot access {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is not what was written.
    #[error("{} is not a list of blocks; without it an older state of the chain could not be told from a newer", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
}

/// The highest block seen; 0 for none.
pub(crate) fn floor(home: &Path, network: &Network) -> Result<u64, SeenError> {
    if is_development_chain(network.chain_id) {
        return Ok(0);
    }
    Ok(read(home)?.get(&key(network)).copied().unwrap_or(0))
}

/// Notes that `number` was seen.
pub(crate) fn note(home: &Path, network: &Network, number: u64) -> Result<(), SeenError> {
    let mut seen = read(home)?;
    if is_development_chain(network.chain_id) || seen.get(&key(network)).is_some_and(|known| *known >= number)
    {
        return Ok(());
    }
    seen.insert(key(network), number);
    let path = home.join(FILE);
    let io = |source| SeenError::Io { path: path.clone(), source };
    let text = serde_json::to_vec_pretty(&seen).map_err(|error| io(error.into()))?;
    std::fs::create_dir_all(home).map_err(io)?;
    let mut file = tempfile::NamedTempFile::new_in(home).map_err(io)?;
    file.write_all(&text).map_err(io)?;
    file.persist(&path).map_err(|error| io(error.error))?;
    Ok(())
}

fn key(network: &Network) -> String {
    format!("{}:{}", network.chain_id, network.package_registry)
}

fn read(home: &Path) -> Result<BTreeMap<String, u64>, SeenError> {
    let path = home.join(FILE);
    let io = |source| SeenError::Io { path: path.clone(), source };
    let file = match std::fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(source) => return Err(io(source)),
    };
    let mut text = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut text).map_err(io)?;
    serde_json::from_slice(&text).map_err(|source| SeenError::Malformed { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(chain_id: u64) -> Network {
        Network {
            name: "test".into(),
            chain_id,
            rpc_urls: vec![],
            name_registry: alloy_primitives::Address::ZERO,
            package_registry: alloy_primitives::Address::ZERO,
        }
    }

    #[test]
    fn a_block_once_seen_is_never_forgotten_for_a_lower_one() {
        let home = tempfile::tempdir().unwrap();
        let (base, other) = (network(8453), network(84532));
        assert_eq!(floor(home.path(), &base).unwrap(), 0);
        for (noted, expected) in [(10, 10), (7, 10), (12, 12)] {
            note(home.path(), &base, noted).unwrap();
            assert_eq!(floor(home.path(), &base).unwrap(), expected);
        }
        assert_eq!(floor(home.path(), &other).unwrap(), 0);
    }

    #[test]
    fn a_development_chain_may_start_over() {
        let home = tempfile::tempdir().unwrap();
        note(home.path(), &network(31337), 100).unwrap();
        assert_eq!(floor(home.path(), &network(31337)).unwrap(), 0);
    }

    #[test]
    fn a_damaged_list_is_an_error_not_an_empty_one() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join(FILE), "{").unwrap();
        assert!(matches!(floor(home.path(), &network(8453)), Err(SeenError::Malformed { .. })));
    }
}
