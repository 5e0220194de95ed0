//! Where the contracts go and what will be there: CREATE2 through the well-known deployment proxy, so that
//! the address of every contract follows from its code and arguments alone, on every chain. `NameRegistry` creates
//! `PackageRegistry` itself, in the same transaction.
//!
//! Sends nothing: it says what to send and what code to expect, immutables filled in. The proxy is Arachnid's
//! deterministic-deployment-proxy; its call data is `salt || init code`.

use alloy_primitives::{Address, B256, Bytes, U256, address, keccak256};
use alloy_sol_types::SolConstructor as _;
use serde::{Deserialize, Serialize};

use crate::abi::{factory, names, safety};
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
    /// Who makes it.
    #[serde(skip)]
    pub maker: Maker,
}

/// Who makes a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Maker {
    /// A transaction of its own through the proxy, with this code and these constructor arguments.
    Proxy(Bytes),
    /// An earlier contract of the plan, as the first that it creates: where that one is, this one is too.
    Contract(&'static str),
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
    let init_code = name_registry(
        &parameters.registry_origin,
        parameters.registrar,
        parameters.claim_window,
        parameters.npm_keys.clone(),
    );
    let at = place(&init_code);
    let (names_code, packages_code) = expected_code(parameters.claim_window, at)?;
    let name_registry =
        Step { contract: "NameRegistry", address: at, code_hash: names_code, maker: Maker::Proxy(init_code) };
    let package_registry = Step {
        contract: "PackageRegistry",
        address: package_registry_of(at),
        code_hash: packages_code,
        maker: Maker::Contract(name_registry.contract),
    };
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
    let at = place(&signer_factory);
    let signer_factory = step(
        "SignerFactory",
        signer_factory,
        include_str!("../../../contracts/artifacts/SignerFactory.json"),
        &[("passkeyImplementation", word(at.create(1))), ("sshSkImplementation", word(at.create(2)))],
    )?;
    Ok([safety_registry, signer_factory])
}

/// The `PackageRegistry` of a `NameRegistry`: the first contract that it creates, and the only one that it answers.
#[must_use]
pub fn package_registry_of(name_registry: Address) -> Address {
    name_registry.create(1)
}

/// The code that this build can read, of a deployment with that claim window and `NameRegistry`.
pub fn pinned_code(claim_window: u64, name_registry: Address) -> Result<PinnedCode, ArtefactError> {
    let (names, packages) = expected_code(claim_window, name_registry)?;
    Ok(PinnedCode { claim_window, name_registry: names, package_registry: packages })
}

/// Hashes of the code this build expects of a `NameRegistry` with that claim window at that address, and of its
/// `PackageRegistry`. Registrar, origin and keys are in storage, not in the code.
pub fn expected_code(claim_window: u64, name_registry: Address) -> Result<(B256, B256), ArtefactError> {
    let names = code_hash(
        "NameRegistry",
        include_str!("../../../contracts/artifacts/NameRegistry.json"),
        &[
            ("claimWindow", U256::from(claim_window)),
            ("packageRegistry", word(package_registry_of(name_registry))),
        ],
    )?;
    let packages = code_hash(
        "PackageRegistry",
        include_str!("../../../contracts/artifacts/PackageRegistry.json"),
        &[("nameRegistry", word(name_registry))],
    )?;
    Ok((names, packages))
}

/// What to send so that `step` happens; nothing where another contract makes it.
#[must_use]
pub fn creation(step: &Step) -> Option<Call> {
    match &step.maker {
        Maker::Proxy(init_code) => {
            let data = [salt().as_slice(), init_code].concat();
            Some(Call { to: DEPLOYMENT_PROXY, data: data.into() })
        }
        Maker::Contract(_) => None,
    }
}

/// Init code of `NameRegistry`, which holds that of `PackageRegistry`.
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

/// Of every deployment of this version.
fn salt() -> B256 {
    keccak256("3pm v1")
}

/// Where the proxy puts what this code makes.
fn place(init_code: &Bytes) -> Address {
    DEPLOYMENT_PROXY.create2_from_code(salt(), init_code)
}

fn word(address: Address) -> U256 {
    U256::from_be_slice(address.as_slice())
}

/// A contract with a transaction of its own.
fn step(
    contract: &'static str,
    init_code: Bytes,
    artefact: &str,
    immutables: &[(&str, U256)],
) -> Result<Step, ArtefactError> {
    let code_hash = code_hash(contract, artefact, immutables)?;
    Ok(Step { contract, address: place(&init_code), code_hash, maker: Maker::Proxy(init_code) })
}

fn code_hash(
    contract: &'static str,
    artefact: &str,
    immutables: &[(&str, U256)],
) -> Result<B256, ArtefactError> {
    runtime(artefact, immutables).map(keccak256).map_err(|reason| ArtefactError { contract, reason })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Artefact {
    deployed_bytecode: Bytes,
    immutable_references: Vec<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    name: String,
    start: usize,
    length: usize,
}

/// The code that will be on chain: the artefact's, with these immutables and no others filled in.
fn runtime(artefact: &str, immutables: &[(&str, U256)]) -> Result<Vec<u8>, String> {
    let artefact: Artefact = serde_json::from_str(artefact).map_err(|error| error.to_string())?;
    let mut code = artefact.deployed_bytecode.to_vec();
    for Reference { name, start, length } in &artefact.immutable_references {
        let value = immutables.iter().find(|(known, _)| known == name);
        let (_, value) = value.ok_or_else(|| format!("immutable {name} has no value"))?;
        let place = code.get_mut(*start..start.saturating_add(*length)).filter(|place| place.len() == 32);
        place.ok_or("an immutable lies outside the code")?.copy_from_slice(&value.to_be_bytes::<32>());
    }
    match immutables
        .iter()
        .find(|(name, _)| artefact.immutable_references.iter().all(|one| one.name != *name))
    {
        Some((name, _)) => Err(format!("immutable {name} has no place")),
        None => Ok(code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_immutable_has_its_value_and_every_value_its_place() {
        let artefact = |names: [&str; 2]| {
            let places = names.iter().zip([0, 32]);
            let places: Vec<_> = places
                .map(|(name, start)| serde_json::json!({ "name": name, "start": start, "length": 32 }))
                .collect();
            let code = format!("0x{}", "00".repeat(64));
            serde_json::json!({ "deployedBytecode": code, "immutableReferences": places }).to_string()
        };
        let (one, two) = (("one", U256::from(1)), ("two", U256::from(2)));
        let code = runtime(&artefact(["two", "one"]), &[one, two]).unwrap();
        assert_eq!((code[31], code[63]), (2, 1));
        assert_eq!(runtime(&artefact(["one", "two"]), &[one]).unwrap_err(), "immutable two has no value");
        assert_eq!(
            runtime(&artefact(["one", "one"]), &[one, two]).unwrap_err(),
            "immutable two has no place"
        );
    }

    #[test]
    fn name_registry_makes_package_registry_and_a_transaction_of_its_own_makes_every_other() {
        let parameters = Parameters {
            registry_origin: "http://registry.example/".to_owned(),
            registrar: Address::repeat_byte(1),
            claim_window: 600,
            npm_keys: vec![],
        };
        let plan = plan(&parameters).unwrap();
        let made: Vec<_> = plan.iter().map(|step| creation(step).is_some()).collect();
        assert_eq!(made, [true, false, true, true]);
        assert_eq!(plan[1].maker, Maker::Contract(plan[0].contract));
        assert_eq!(plan[1].address, package_registry_of(plan[0].address));
        let packages = Bytes::from(crate::abi::packages::PackageRegistry::BYTECODE.to_vec());
        let Maker::Proxy(init_code) = &plan[0].maker else { panic!("{plan:?}") };
        let held = init_code.windows(packages.len()).filter(|window| *window == packages.as_ref()).count();
        assert_eq!(held, 1, "its init code holds the one of the artefact");
        assert!(init_code.len() <= 49_152, "EIP-3860");
    }
}
