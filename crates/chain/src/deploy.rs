//! Where the contracts go and what will be there: CREATE2 through the well-known deployment proxy, so that
//! the address of every contract follows from its code and arguments alone, on every chain.
//!
//! Sends nothing: it says what to send and what code to expect, immutables filled in. The proxy is Arachnid's
//! deterministic-deployment-proxy; its call data is `salt || init code`.

use alloy_primitives::{Address, B256, Bytes, U256, address, keccak256};
use alloy_sol_types::SolConstructor as _;
use serde::{Deserialize, Serialize};

use crate::abi::{factory, names, packages, safety};
use crate::calls::Call;
use crate::network::PinnedCode;

/// A key with which a registry signs what is published (P-256).
pub use crate::abi::names::NameRegistry::NpmKey;

/// The same, as files and reports have it. Times are Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegistryKey {
    /// The point's x.
    pub x: B256,
    /// The point's y.
    pub y: B256,
    /// Counts from here on.
    pub valid_from: u64,
    /// And before this.
    pub valid_to: u64,
}

impl From<&NpmKey> for RegistryKey {
    fn from(key: &NpmKey) -> Self {
        Self { x: key.x, y: key.y, valid_from: key.validFrom, valid_to: key.validTo }
    }
}

impl From<&RegistryKey> for NpmKey {
    fn from(key: &RegistryKey) -> Self {
        Self { x: key.x, y: key.y, validFrom: key.valid_from, validTo: key.valid_to }
    }
}

/// Arachnid's proxy: the same address wherever it was deployed; development nodes have it from the start.
pub const DEPLOYMENT_PROXY: Address = address!("4e59b44847b379578588920ca78fbf26c0b4956c");

/// What a deployment is made with; all of it is part of the contracts' addresses.
#[derive(Debug, Clone)]
pub struct Parameters {
    /// The registry this deployment serves.
    pub registry_origin: String,
    /// Who vouches for claims.
    pub registrar: Address,
    /// How long a claim is provisional, in seconds.
    pub claim_window: u64,
    /// The registry's signing keys.
    pub npm_keys: Vec<NpmKey>,
}

/// One contract of a deployment.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Its name.
    pub contract: &'static str,
    /// Where it goes.
    pub address: Address,
    /// Hash of the code that will be there.
    pub code_hash: B256,
    /// Code and constructor arguments.
    #[serde(skip)]
    pub init_code: Bytes,
}

/// Why a deployment cannot be planned.
#[derive(Debug, thiserror::Error)]
#[error("the committed artefact of {contract} is not usable: {reason}")]
pub struct ArtefactError {
    contract: &'static str,
    reason: String,
}

/// Every contract of a deployment, in the order to create them.
pub fn plan(parameters: &Parameters) -> Result<Vec<Step>, ArtefactError> {
    let name_registry = step(
        "NameRegistry",
        name_registry(
            &parameters.registry_origin,
            parameters.registrar,
            parameters.claim_window,
            parameters.npm_keys.clone(),
        ),
        include_str!("../../../contracts/artifacts/NameRegistry.json"),
        &[U256::from(parameters.claim_window)],
    )?;
    let names_word = U256::from_be_slice(name_registry.address.as_slice());
    let package_registry = step(
        "PackageRegistry",
        package_registry(name_registry.address),
        include_str!("../../../contracts/artifacts/PackageRegistry.json"),
        &[names_word],
    )?;
    let [safety_registry, signer_factory] = independent()?;
    Ok(vec![name_registry, package_registry, safety_registry, signer_factory])
}

/// `SafetyRegistry` and `SignerFactory`, which know no other contract: every deployment of this version has the same.
pub fn independent() -> Result<[Step; 2], ArtefactError> {
    let safety_registry = step(
        "SafetyRegistry",
        safety::SafetyRegistry::BYTECODE.clone(),
        include_str!("../../../contracts/artifacts/SafetyRegistry.json"),
        &[],
    )?;
    // It creates what it clones: the first two contracts it ever makes.
    let signer_factory = factory::SignerFactory::BYTECODE.clone();
    let at = DEPLOYMENT_PROXY.create2_from_code(salt(), &signer_factory);
    let implementations = [1, 2].map(|nonce| U256::from_be_slice(at.create(nonce).as_slice()));
    let signer_factory = step(
        "SignerFactory",
        signer_factory,
        include_str!("../../../contracts/artifacts/SignerFactory.json"),
        &implementations,
    )?;
    Ok([safety_registry, signer_factory])
}

/// The code that this build can read, of a deployment with that claim window and `NameRegistry`.
pub fn pinned_code(claim_window: u64, name_registry: Address) -> Result<PinnedCode, ArtefactError> {
    let (names, packages) = expected_code(claim_window, name_registry)?;
    Ok(PinnedCode { claim_window, name_registry: names, package_registry: packages })
}

/// Hashes of the code this build expects of a `NameRegistry` with that claim window and of a `PackageRegistry`
/// that asks that `NameRegistry`. Registrar, origin and keys are in storage, not in the code.
pub fn expected_code(claim_window: u64, name_registry: Address) -> Result<(B256, B256), ArtefactError> {
    let parameters = Parameters {
        registry_origin: String::new(),
        registrar: Address::ZERO,
        claim_window,
        npm_keys: vec![],
    };
    let names = plan(&parameters)?.first().map(|step| step.code_hash).unwrap_or_default();
    let word = U256::from_be_slice(name_registry.as_slice());
    let packages = step(
        "PackageRegistry",
        package_registry(name_registry),
        include_str!("../../../contracts/artifacts/PackageRegistry.json"),
        &[word],
    )?;
    Ok((names, packages.code_hash))
}

/// What to send so that `step` happens.
#[must_use]
pub fn creation(step: &Step) -> Call {
    let data = [salt().as_slice(), &step.init_code].concat();
    Call { to: DEPLOYMENT_PROXY, data: data.into() }
}

/// Init code of `NameRegistry`.
#[must_use]
pub fn name_registry(
    registry_origin: &str,
    registrar: Address,
    claim_window: u64,
    npm_keys: Vec<NpmKey>,
) -> Bytes {
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

/// Of every deployment of this version.
fn salt() -> B256 {
    keccak256("3pm v1")
}

fn step(
    contract: &'static str,
    init_code: Bytes,
    artefact: &str,
    immutables: &[U256],
) -> Result<Step, ArtefactError> {
    let code = runtime(artefact, immutables).map_err(|reason| ArtefactError { contract, reason })?;
    let address = DEPLOYMENT_PROXY.create2_from_code(salt(), &init_code);
    Ok(Step { contract, address, code_hash: keccak256(code), init_code })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Artefact {
    deployed_bytecode: Bytes,
    immutable_references: Vec<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    start: usize,
    length: usize,
}

/// The code that will be on chain. The artefact lists the places of immutables without their names: the values
/// are taken in turn, which is right for one value, and for the factory's two as a test on a node shows.
fn runtime(artefact: &str, immutables: &[U256]) -> Result<Vec<u8>, String> {
    let artefact: Artefact = serde_json::from_str(artefact).map_err(|error| error.to_string())?;
    let mut code = artefact.deployed_bytecode.to_vec();
    if immutables.is_empty() != artefact.immutable_references.is_empty() {
        return Err(format!(
            "{} immutable values for {} places",
            immutables.len(),
            artefact.immutable_references.len()
        ));
    }
    for (Reference { start, length }, value) in
        artefact.immutable_references.iter().zip(immutables.iter().cycle())
    {
        let place = code.get_mut(*start..start.saturating_add(*length)).filter(|place| place.len() == 32);
        place.ok_or("an immutable lies outside the code")?.copy_from_slice(&value.to_be_bytes::<32>());
    }
    Ok(code)
}
