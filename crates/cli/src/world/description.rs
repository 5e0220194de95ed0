//! What `3pm dev --json` prints: everything somebody needs to use the world, secrets by path only.
//! Does not hold the world up.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use alloy_primitives::Address;
use serde::Serialize;
use url::Url;

/// One line of JSON. Fields are only ever added.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Description {
    /// The 3pm that holds the world up.
    pub(crate) pid: u32,
    /// Everything is in here, and goes with the world.
    pub(crate) folder: PathBuf,
    /// The outputs of the programs.
    pub(crate) logs: PathBuf,
    /// A package ready to be published.
    pub(crate) sample: PathBuf,
    /// The chain node.
    pub(crate) chain: ChainDescription,
    /// The npm registry.
    pub(crate) registry: RegistryDescription,
    /// The coordinator.
    pub(crate) coordinator: CoordinatorDescription,
    /// Everybody who has a home in this world, by name.
    pub(crate) people: BTreeMap<String, Person>,
}

/// The chain node and what is deployed on it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChainDescription {
    /// anvil's process.
    pub(crate) pid: u32,
    /// JSON-RPC, which also signs for `accounts`.
    pub(crate) rpc_url: Url,
    /// 31337.
    pub(crate) chain_id: u64,
    /// Deployed.
    pub(crate) name_registry: Address,
    /// Deployed.
    pub(crate) package_registry: Address,
    /// Whose signature a claim needs.
    pub(crate) registrar: Address,
    /// The development accounts.
    pub(crate) accounts: Vec<Address>,
}

/// The npm registry.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RegistryDescription {
    /// Verdaccio's process.
    pub(crate) pid: u32,
    /// With a final slash.
    pub(crate) url: Url,
}

/// The coordinator.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CoordinatorDescription {
    /// Its process.
    pub(crate) pid: u32,
    /// With a final slash.
    pub(crate) url: Url,
    /// Its `THREEPM_HOME`.
    pub(crate) home: PathBuf,
    /// Its database and files.
    pub(crate) data: PathBuf,
    /// How it was started, after the name of the binary.
    pub(crate) arguments: Vec<String>,
}

/// Somebody with a home.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Person {
    /// What `THREEPM_HOME` is set to.
    pub(crate) home: PathBuf,
    /// What `NPM_CONFIG_USERCONFIG` is set to; holds the npm token, where there is one.
    pub(crate) npm_configuration: PathBuf,
    /// The connected wallet's address.
    pub(crate) address: Option<Address>,
    /// The person's own npm token, readable by the owner of this process only.
    pub(crate) token_file: Option<PathBuf>,
}

impl Person {
    /// The variables that make a shell this person's.
    pub(crate) fn environment(&self, registry: &Url) -> Vec<(&'static str, String)> {
        let text = |path: &Path| path.display().to_string();
        vec![
            ("THREEPM_HOME", text(&self.home)),
            ("NPM_CONFIG_REGISTRY", registry.to_string()),
            ("NPM_CONFIG_USERCONFIG", text(&self.npm_configuration)),
        ]
    }
}
