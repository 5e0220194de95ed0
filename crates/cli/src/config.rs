//! `config.json` and what the environment and the command line put over it. The only place that decides
//! which chain, contracts and coordinator are believed; a project's files never do.
//!
//! Order, the later over the earlier: the file, THREEPM_* variables, flags.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use alloy_primitives::{Address, B256};
use chain::Reads;
use serde::{Deserialize, Serialize};
use trust::policy::Rules;
use trust::text::printable;
use url::Url;

/// The file's name in 3pm's home.
pub(crate) const FILE: &str = "config.json";

/// Largest file that is read; a real one has a few hundred bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Blocks after which a transaction counts as final, when nothing else is said.
pub(crate) const DEFAULT_CONFIRMATIONS: u64 = 1;

/// Networks whose chain id is fixed.
pub(crate) const KNOWN_NETWORKS: [(&str, u64); 3] =
    [("local", 31_337), ("base-sepolia", 84_532), ("base", 8_453)];

/// `config.json`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct ConfigFile {
    /// The network in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) network: Option<String>,
    /// Every network, by name.
    pub(crate) networks: BTreeMap<String, NetworkEntry>,
    /// What to do about what is found.
    #[serde(skip_serializing_if = "is_silent")]
    pub(crate) policy: Rules,
}

/// One network of `config.json`. Everything may be missing there and come from the environment.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct NetworkEntry {
    /// EIP-155.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) chain_id: Option<u64>,
    /// All of them must agree.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) rpc_urls: Vec<Url>,
    /// Who may speak for a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name_registry: Option<Address>,
    /// What they said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) package_registry: Option<Address>,
    /// Where proposals are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) coordinator_url: Option<Url>,
    /// Blocks after which a transaction counts as final.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) confirmations: Option<u64>,
    /// The npm registry this deployment speaks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) registry_origin: Option<Url>,
    /// How records are read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reads: Option<Reads>,
    /// Seconds for which a claim is provisional. Part of the contracts' code: it pins that code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) claim_window: Option<u64>,
    /// What the code of `NameRegistry` must hash to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name_registry_code_hash: Option<B256>,
    /// What the code of `PackageRegistry` must hash to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) package_registry_code_hash: Option<B256>,
    /// Reports and advice of reviewers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) safety_registry: Option<Contract>,
    /// Signers for people without a wallet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signer_factory: Option<Contract>,
}

/// Where a contract is, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Contract {
    /// Its address.
    pub(crate) address: Address,
    /// Hash of its code.
    pub(crate) code_hash: B256,
}

fn is_silent(rules: &Rules) -> bool {
    *rules == Rules::default()
}

/// The code a network entry pins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pin {
    /// Seconds for which a claim is provisional.
    pub(crate) claim_window: u64,
    /// What the code of `NameRegistry` must hash to, where that is written down.
    pub(crate) name_registry: Option<B256>,
    /// What the code of `PackageRegistry` must hash to, where that is written down.
    pub(crate) package_registry: Option<B256>,
}

/// A network with everything that reading the chain takes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Network {
    /// Its name.
    pub(crate) name: String,
    /// EIP-155.
    pub(crate) chain_id: u64,
    /// At least one.
    pub(crate) rpc_urls: Vec<Url>,
    /// Who may speak for a name.
    pub(crate) name_registry: Address,
    /// What they said.
    pub(crate) package_registry: Address,
    /// Where proposals are kept.
    pub(crate) coordinator_url: Option<Url>,
    /// Blocks after which a transaction counts as final.
    pub(crate) confirmations: u64,
    /// The npm registry this deployment speaks for.
    pub(crate) registry_origin: Option<Url>,
    /// How records are read.
    pub(crate) reads: Reads,
    /// The code that must be at the addresses.
    pub(crate) pin: Option<Pin>,
    /// Reports and advice of reviewers, where it is named.
    pub(crate) safety_registry: Option<Contract>,
    /// Signers for people without a wallet, where they are named.
    pub(crate) signer_factory: Option<Contract>,
}

/// What applies to this run.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Where the file is, or would be.
    pub(crate) path: PathBuf,
    /// The file as it is; empty when there is none.
    pub(crate) file: ConfigFile,
    /// The network in use; `None` when nothing names one.
    pub(crate) network: Option<Network>,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// There is a file, but it cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("{} is not a configuration of 3pm", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Where it goes wrong.
        #[source]
        source: serde_json::Error,
    },
    /// The file cannot be written.
    #[error("{} cannot be written", path.display())]
    Unwritable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A variable that is no such value. The value is not shown: an RPC URL may hold a key.
    #[error("{variable} is not {expected}")]
    Variable {
        /// Which.
        variable: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A name that is neither in the file nor known.
    #[error("network {name:?} is not in {}, and 3pm knows no such name; known are {known}", path.display())]
    UnknownNetwork {
        /// What was asked for.
        name: String,
        /// The file.
        path: PathBuf,
        /// What there is.
        known: String,
    },
    /// Not enough is known about it.
    #[error("network {name:?} has no {missing}; no deployment is built into 3pm")]
    Incomplete {
        /// Which.
        name: String,
        /// What is missing, in words.
        missing: String,
    },
    /// Something that only means anything for pinned code.
    #[error("network {name:?} has {what} and no claimWindow, which pins the code of its contracts")]
    Unpinned {
        /// Which.
        name: String,
        /// What needs the pin.
        what: &'static str,
    },
    /// A well-known name with another chain's id.
    #[error("network {name:?} has chain id {found}, expected {expected}")]
    OtherChain {
        /// Which.
        name: String,
        /// What the name says.
        expected: u64,
        /// What was configured.
        found: u64,
    },
}

impl Config {
    /// The configuration in `home`, under the variables that `environment` gives, for the network
    /// `chosen` on the command line.
    pub(crate) fn load(
        home: &Path,
        environment: &dyn Fn(&str) -> Option<String>,
        chosen: Option<&str>,
    ) -> Result<Self, ConfigError> {
        let path = home.join(FILE);
        let file = read(&path)?;
        let over = Overrides::read(environment)?;
        // Variables alone can describe a network, as in a container.
        let nameless = || over.entry.chain_id.and_then(known_name).unwrap_or("environment");
        let name = chosen
            .or(over.network.as_deref())
            .or(file.network.as_deref())
            .or_else(|| (!over.entry.rpc_urls.is_empty()).then(nameless))
            .map(str::to_owned);
        let network = match name {
            Some(name) => Some(resolve(&path, &file, &over, name)?),
            None => None,
        };
        Ok(Self { path, file, network })
    }

    /// What `file` in `home` says about the network `name` by itself.
    pub(crate) fn of_file(home: &Path, file: ConfigFile, name: &str) -> Result<Self, ConfigError> {
        let path = home.join(FILE);
        let network = Some(resolve(&path, &file, &Overrides::default(), name.to_owned())?);
        Ok(Self { path, file, network })
    }
}

impl ConfigFile {
    /// Writes the file in one step, readable by its owner only.
    pub(crate) fn store(&self, path: &Path) -> Result<(), ConfigError> {
        let failed = |source| ConfigError::Unwritable { path: path.to_owned(), source };
        let mut text = serde_json::to_string_pretty(self).map_err(|error| failed(error.into()))?;
        text.push('\n');
        store_private(path, text.as_bytes()).map_err(failed)
    }
}

/// Reads the file; an absent one is empty.
pub(crate) fn read(path: &Path) -> Result<ConfigFile, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let mut text = String::new();
    match std::fs::File::open(path) {
        Ok(file) => file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ConfigFile::default()),
        Err(error) => return Err(unreadable(error)),
    };
    if text.len() as u64 > MAX_BYTES {
        return Err(unreadable(io::Error::other(format!("it has more than {MAX_BYTES} bytes"))));
    }
    serde_json::from_str(&text).map_err(|source| ConfigError::Malformed { path: path.to_owned(), source })
}

/// The chain id a network's name stands for.
pub(crate) fn known_chain_id(name: &str) -> Option<u64> {
    KNOWN_NETWORKS.iter().find(|(known, _)| *known == name).map(|(_, id)| *id)
}

/// Writes beside the file, with mode 0600 from the first byte, and moves it into place: there is never
/// half a file, and never a readable one.
fn store_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or_else(|| io::Error::other("it lies in no folder"))?;
    create_private_folder(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// 3pm's home, for its owner only; one that exists keeps its mode.
fn create_private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// The name that stands for a chain id.
pub(crate) fn known_name(chain_id: u64) -> Option<&'static str> {
    KNOWN_NETWORKS.iter().find(|(_, id)| *id == chain_id).map(|(name, _)| *name)
}

/// What THREEPM_* say.
#[derive(Debug, Default)]
struct Overrides {
    network: Option<String>,
    entry: NetworkEntry,
}

impl Overrides {
    fn read(environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        // An empty variable is an unset one: that is how shells and containers take a setting back.
        let get = |variable: &str| {
            environment(variable).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        Ok(Self {
            network: get("THREEPM_NETWORK"),
            entry: NetworkEntry {
                chain_id: parsed(&get, "THREEPM_CHAIN_ID", "a chain id")?,
                rpc_urls: get("THREEPM_RPC_URL")
                    .map(|list| list.split(',').map(|url| http_url(url.trim())).collect::<Option<Vec<_>>>())
                    .map(|urls| {
                        let (variable, expected) =
                            ("THREEPM_RPC_URL", "a list of http or https URLs with commas");
                        urls.ok_or(ConfigError::Variable { variable, expected })
                    })
                    .transpose()?
                    .unwrap_or_default(),
                name_registry: parsed(&get, "THREEPM_NAME_REGISTRY", "an address")?,
                package_registry: parsed(&get, "THREEPM_PACKAGE_REGISTRY", "an address")?,
                coordinator_url: parsed(&get, "THREEPM_COORDINATOR_URL", "a URL")?,
                confirmations: parsed(&get, "THREEPM_CONFIRMATIONS", "a number")?,
                registry_origin: parsed(&get, "THREEPM_REGISTRY_ORIGIN", "a URL")?,
                reads: get("THREEPM_READS")
                    .map(|text| {
                        let (variable, expected) = ("THREEPM_READS", "\"calls\" or \"proofs\"");
                        parse_reads(&text).ok_or(ConfigError::Variable { variable, expected })
                    })
                    .transpose()?,
                claim_window: parsed(&get, "THREEPM_CLAIM_WINDOW", "a number of seconds")?,
                name_registry_code_hash: None,
                package_registry_code_hash: None,
                safety_registry: None,
                signer_factory: None,
            },
        })
    }
}

fn parsed<T: std::str::FromStr>(
    get: &dyn Fn(&str) -> Option<String>,
    variable: &'static str,
    expected: &'static str,
) -> Result<Option<T>, ConfigError> {
    get(variable)
        .map(|text| text.parse().map_err(|_| ConfigError::Variable { variable, expected }))
        .transpose()
}

/// `calls` or `proofs`.
pub(crate) fn parse_reads(text: &str) -> Option<Reads> {
    match text {
        "calls" => Some(Reads::Calls),
        "proofs" => Some(Reads::Proofs),
        _ => None,
    }
}

/// What the entry pins. Whatever depends on the pin is refused without it.
fn pin(name: &str, entry: &NetworkEntry, over: &NetworkEntry) -> Result<Option<Pin>, ConfigError> {
    let (names, packages) = (entry.name_registry_code_hash, entry.package_registry_code_hash);
    if let Some(claim_window) = over.claim_window.or(entry.claim_window) {
        return Ok(Some(Pin { claim_window, name_registry: names, package_registry: packages }));
    }
    let what = if over.reads.or(entry.reads) == Some(Reads::Proofs) {
        "reads by proof"
    } else if names.or(packages).is_some() {
        "code hashes"
    } else {
        return Ok(None);
    };
    Err(ConfigError::Unpinned { name: name.to_owned(), what })
}

fn http_url(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

fn resolve(path: &Path, file: &ConfigFile, over: &Overrides, name: String) -> Result<Network, ConfigError> {
    let known = known_chain_id(&name);
    let listed = file.networks.get(&name);
    if listed.is_none() && known.is_none() && over.entry.rpc_urls.is_empty() {
        let mut names: Vec<&str> = file.networks.keys().map(String::as_str).collect();
        names.extend(
            KNOWN_NETWORKS
                .iter()
                .map(|(known, _)| *known)
                .filter(|known| !file.networks.contains_key(*known)),
        );
        return Err(ConfigError::UnknownNetwork {
            name: printable(&name, 80),
            path: path.to_owned(),
            known: names.join(", "),
        });
    }
    let entry = listed.cloned().unwrap_or_default();
    let over = &over.entry;
    let pin = pin(&name, &entry, over)?;
    let chain_id = over.chain_id.or(entry.chain_id).or(known);
    let mut rpc_urls = if over.rpc_urls.is_empty() { entry.rpc_urls } else { over.rpc_urls.clone() };
    // One that is named twice would have two votes.
    let mut seen = BTreeSet::new();
    rpc_urls.retain(|url| seen.insert(url.clone()));
    let name_registry = over.name_registry.or(entry.name_registry).filter(|address| !address.is_zero());
    let package_registry =
        over.package_registry.or(entry.package_registry).filter(|address| !address.is_zero());
    let (Some(chain_id), false, Some(name_registry), Some(package_registry)) =
        (chain_id, rpc_urls.is_empty(), name_registry, package_registry)
    else {
        let missing: Vec<&str> = [
            (chain_id.is_none(), "chain id"),
            (rpc_urls.is_empty(), "RPC URL"),
            (name_registry.is_none(), "name registry"),
            (package_registry.is_none(), "package registry"),
        ]
        .into_iter()
        .filter_map(|(missing, what)| missing.then_some(what))
        .collect();
        return Err(ConfigError::Incomplete { name, missing: missing.join(", ") });
    };
    if let Some(expected) = known.filter(|expected| *expected != chain_id) {
        return Err(ConfigError::OtherChain { name, expected, found: chain_id });
    }
    Ok(Network {
        name,
        chain_id,
        rpc_urls,
        name_registry,
        package_registry,
        coordinator_url: over.coordinator_url.clone().or(entry.coordinator_url),
        confirmations: over.confirmations.or(entry.confirmations).unwrap_or(DEFAULT_CONFIRMATIONS),
        registry_origin: over.registry_origin.clone().or(entry.registry_origin),
        reads: over.reads.or(entry.reads).unwrap_or_default(),
        pin,
        safety_registry: entry.safety_registry,
        signer_factory: entry.signer_factory,
    })
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
