//! Init code of the contracts: the committed bytecode and the constructor's arguments. Sends nothing.

use alloy_primitives::{Address, Bytes};
use alloy_sol_types::SolConstructor as _;

use crate::abi::{names, packages};

/// A key with which a registry signs what is published (P-256).
pub use crate::abi::names::NameRegistry::NpmKey;

/// Init code of `NameRegistry`.
#[must_use]
pub fn name_registry(registry_origin: &str, registrar: Address, claim_window: u64, npm_keys: Vec<NpmKey>) -> Bytes {
    let arguments = names::NameRegistry::constructorCall {
        registryOrigin_: registry_origin.to_owned(),
        registrar_: registrar,
        claimWindow_: claim_window,
        npmKeys: npm_keys,
    };
    [names::NameRegistry::BYTECODE.as_ref(), &arguments.abi_encode()].concat().into()
}

/// Init code of `PackageRegistry`.
#[must_use]
pub fn package_registry(name_registry: Address) -> Bytes {
    let arguments = packages::PackageRegistry::constructorCall { nameRegistry_: name_registry };
    [packages::PackageRegistry::BYTECODE.as_ref(), &arguments.abi_encode()].concat().into()
}
