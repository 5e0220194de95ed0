//! Call data for what gets signed. Whoever sends it gains nothing: the contracts look at signatures only.

use alloy_primitives::{Address, Bytes};
use alloy_sol_types::SolCall as _;
use trust::Integrity;
use trust::hashes::IntegrityError;
use trust::message::{Config, Release};
use trust::signature::SignatureSet;

use crate::abi::{names, packages};
use crate::network::Network;

/// A transaction's recipient and data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The contract.
    pub to: Address,
    /// The encoded call.
    pub data: Bytes,
}

/// Claims a name with the registrar's proof.
#[must_use]
pub fn claim(
    network: &Network,
    config: &Config,
    signatures: &SignatureSet,
    anchor_block: u64,
    registrar_signature: &Bytes,
) -> Call {
    let call = names::NameRegistry::claimCall {
        c: abi_config(config),
        signers: signatures.signers,
        signatures: signatures.blob.clone(),
        anchorBlock: anchor_block,
        registrarSignature: registrar_signature.clone(),
    };
    Call { to: network.name_registry, data: call.abi_encode().into() }
}

/// Changes a team: signatures of the current set and of the new one.
#[must_use]
pub fn configure(network: &Network, config: &Config, current: &SignatureSet, new: &SignatureSet) -> Call {
    let call = names::NameRegistry::configureCall {
        c: abi_config(config),
        signers: current.signers,
        signatures: current.blob.clone(),
        newSigners: new.signers,
        newSignatures: new.blob.clone(),
    };
    Call { to: network.name_registry, data: call.abi_encode().into() }
}

/// Lets a change that has waited out its delay take effect.
#[must_use]
pub fn enact(network: &Network, config: &Config) -> Call {
    let call = names::NameRegistry::enactCall { c: abi_config(config) };
    Call { to: network.name_registry, data: call.abi_encode().into() }
}

/// Records a release.
pub fn publish(
    network: &Network,
    release: &Release,
    signatures: &SignatureSet,
) -> Result<Call, IntegrityError> {
    let call = packages::PackageRegistry::publishCall {
        r: abi_release(release)?,
        signers: signatures.signers,
        signatures: signatures.blob.clone(),
    };
    Ok(Call { to: network.package_registry, data: call.abi_encode().into() })
}

fn abi_config(config: &Config) -> names::NameRegistry::Config {
    names::NameRegistry::Config {
        packageName: config.packageName.clone(),
        members: config.members.clone(),
        threshold: config.threshold,
        releaseDelayHours: config.releaseDelayHours,
        configDelayHours: config.configDelayHours,
        recoveryDays: config.recoveryDays,
        guardian: config.guardian,
        legacyRoot: config.legacyRoot,
        epoch: config.epoch,
        deadline: config.deadline,
    }
}

/// The contract takes the 64 raw bytes and spells the SRI itself.
fn abi_release(release: &Release) -> Result<packages::PackageRegistry::ReleaseInput, IntegrityError> {
    let (hi, lo) = release.integrity.parse::<Integrity>()?.words();
    Ok(packages::PackageRegistry::ReleaseInput {
        packageName: release.packageName.clone(),
        version: release.version.clone(),
        sha512Hi: hi,
        sha512Lo: lo,
        contentHash: release.contentHash,
        gitSha: release.gitSha,
        ciRunUrl: release.ciRunUrl.clone(),
        epoch: release.epoch,
        nonce: release.nonce,
        deadline: release.deadline,
    })
}
