//! One deployment on one chain, as the user's configuration pins it.

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};
use trust::message::Domain;
use url::Url;

/// Where the contracts are and who can be asked about them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// `local`, `base-sepolia`, `base`, or the user's own.
    #[serde(default)]
    pub name: String,
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Endpoints; an answer counts when more than half of them give it.
    pub rpc_urls: Vec<Url>,
    /// `NameRegistry`.
    pub name_registry: Address,
    /// `PackageRegistry`.
    pub package_registry: Address,
}

/// The code of a deployment, pinned beside its addresses: only then is it known what its storage means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinnedCode {
    /// How long a claim is provisional, in seconds. It is part of `NameRegistry`'s code.
    pub claim_window: u64,
    /// Hash of `NameRegistry`'s code.
    pub name_registry: B256,
    /// Hash of `PackageRegistry`'s code.
    pub package_registry: B256,
}

/// How records are read. Every other question is answered by the majority's calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reads {
    /// By `eth_call`: what more than half of the endpoints answer.
    #[default]
    Calls,
    /// By `eth_getProof`: what one endpoint proves against the block hash that more than half agree on.
    Proofs,
}

/// Chains whose blocks come on demand: their newest block may be old.
#[must_use]
pub fn is_development_chain(chain_id: u64) -> bool {
    matches!(chain_id, 1337 | 31337)
}

/// The signing domain of `NameRegistry`.
#[must_use]
pub fn name_domain(network: &Network) -> Domain {
    Domain { chain_id: network.chain_id, verifying_contract: network.name_registry }
}

/// The signing domain of `PackageRegistry`.
#[must_use]
pub fn package_domain(network: &Network) -> Domain {
    Domain { chain_id: network.chain_id, verifying_contract: network.package_registry }
}
