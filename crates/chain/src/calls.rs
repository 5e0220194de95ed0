//! Call data for what gets signed. Whoever sends it gains nothing: the contracts look at signatures only.

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolCall;
use trust::hashes::IntegrityError;
use trust::message::{Config, Flag, Release, Report, Revocation, Veto, Withdrawal};
use trust::signature::SignatureSet;
use trust::signer::{Kind, SignerKey};
use trust::{Integrity, PackageName};

use crate::abi::{factory, names, packages, safety};
use crate::deploy::RegistryKey;
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
    to_names(network, &call)
}

/// npm's own signature of the version that states a claim's commitment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NpmProof {
    /// Which of the registry's keys, in the order of `NameRegistry`.
    pub key_index: U256,
    /// What npm signed beside name and version.
    pub integrity: Integrity,
    /// ECDSA over P-256.
    pub r: B256,
    /// Likewise; high values as npm makes them.
    pub s: B256,
}

/// Claims a name with npm's signature instead of the registrar's.
#[must_use]
pub fn claim_with_npm_signature(
    network: &Network,
    config: &Config,
    signatures: &SignatureSet,
    anchor_block: u64,
    proof: &NpmProof,
) -> Call {
    let (hi, lo) = proof.integrity.words();
    let call = names::NameRegistry::claimWithNpmSignatureCall {
        c: abi_config(config),
        signers: signatures.signers,
        signatures: signatures.blob.clone(),
        anchorBlock: anchor_block,
        keyIndex: proof.key_index,
        integrityHi: hi,
        integrityLo: lo,
        r: proof.r,
        s: proof.s,
    };
    to_names(network, &call)
}

/// Starts the recovery of a team that went silent: signatures of the new set, and the guardian's.
#[must_use]
pub fn recover(network: &Network, config: &Config, new: &SignatureSet, guardian_signature: &Bytes) -> Call {
    let call = names::NameRegistry::recoverCall {
        c: abi_config(config),
        signers: new.signers,
        signatures: new.blob.clone(),
        guardianSignature: guardian_signature.clone(),
    };
    to_names(network, &call)
}

/// Takes a change back that waits.
#[must_use]
pub fn cancel(network: &Network, package: &PackageName, change: B256, signatures: &SignatureSet) -> Call {
    let call = names::NameRegistry::cancelCall {
        packageName: package.to_string(),
        change,
        signers: signatures.signers,
        signatures: signatures.blob.clone(),
    };
    to_names(network, &call)
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
    to_names(network, &call)
}

/// Lets a change that has waited out its delay take effect.
#[must_use]
pub fn enact(network: &Network, config: &Config) -> Call {
    let call = names::NameRegistry::enactCall { c: abi_config(config) };
    to_names(network, &call)
}

/// Hands the registrar's part over: signatures of the one there is, and of the next.
#[must_use]
pub fn rotate_registrar(network: &Network, next: Address, signature: &Bytes, next_signature: &Bytes) -> Call {
    let call = names::NameRegistry::rotateRegistrarCall {
        next,
        signature: signature.clone(),
        nextSignature: next_signature.clone(),
    };
    to_names(network, &call)
}

/// Adds a key of the npm registry's; it counts a month later at the earliest.
#[must_use]
pub fn add_npm_key(network: &Network, key: &RegistryKey, signature: &Bytes) -> Call {
    let call = names::NameRegistry::addNpmKeyCall { key: key.into(), signature: signature.clone() };
    to_names(network, &call)
}

/// Ends a key of the npm registry's, at once.
#[must_use]
pub fn remove_npm_key(network: &Network, key_index: U256, signature: &Bytes) -> Call {
    let call = names::NameRegistry::removeNpmKeyCall { keyIndex: key_index, signature: signature.clone() };
    to_names(network, &call)
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
    Ok(to_packages(network, &call))
}

/// Records several releases by one signature of each member. `signers` has the bitmap of each release's members;
/// `signatures` has no second one of a member who signed for an earlier release.
pub fn publish_batch(
    network: &Network,
    releases: &[Release],
    signers: &[u16],
    signatures: &Bytes,
) -> Result<Call, IntegrityError> {
    let call = packages::PackageRegistry::publishBatchCall {
        rs: releases.iter().map(abi_release).collect::<Result<_, _>>()?,
        signers: signers.to_vec(),
        signatures: signatures.clone(),
    };
    Ok(to_packages(network, &call))
}

/// Takes a release back for good, or a version that was never recorded.
#[must_use]
pub fn revoke(network: &Network, revocation: &Revocation, signatures: &SignatureSet) -> Call {
    let call = packages::PackageRegistry::revokeCall {
        r: packages::PackageRegistry::RevocationInput {
            packageName: revocation.packageName.clone(),
            version: revocation.version.clone(),
            reason: revocation.reason,
            note: revocation.note.clone(),
            epoch: revocation.epoch,
            deadline: revocation.deadline,
        },
        signers: signatures.signers,
        signatures: signatures.blob.clone(),
    };
    to_packages(network, &call)
}

/// Takes members' own signatures under a nonce back.
#[must_use]
pub fn withdraw(network: &Network, withdrawal: &Withdrawal, signatures: &SignatureSet) -> Call {
    let call = packages::PackageRegistry::withdrawCall {
        packageName: withdrawal.packageName.clone(),
        nonce: withdrawal.nonce,
        signers: signatures.signers,
        signatures: signatures.blob.clone(),
    };
    to_packages(network, &call)
}

/// Stops a release while it cools.
#[must_use]
pub fn veto(network: &Network, veto: &Veto, signatures: &SignatureSet) -> Call {
    let call = packages::PackageRegistry::vetoCall {
        packageName: veto.packageName.clone(),
        version: veto.version.clone(),
        signers: signatures.signers,
        signatures: signatures.blob.clone(),
    };
    to_packages(network, &call)
}

/// Warns of a release until the flag's own deadline.
#[must_use]
pub fn flag(network: &Network, flag: &Flag, signatures: &SignatureSet) -> Call {
    let call = packages::PackageRegistry::flagCall {
        f: packages::PackageRegistry::FlagInput {
            packageName: flag.packageName.clone(),
            version: flag.version.clone(),
            note: flag.note.clone(),
            deadline: flag.deadline,
        },
        signers: signatures.signers,
        signatures: signatures.blob.clone(),
    };
    to_packages(network, &call)
}

/// Keeps a reviewer's report, at the `SafetyRegistry` of that address.
pub fn report(
    safety_registry: Address,
    report: &Report,
    scorer: Address,
    signature: &Bytes,
) -> Result<Call, IntegrityError> {
    let (hi, lo) = report.integrity.parse::<Integrity>()?.words();
    let call = safety::SafetyRegistry::submitCall {
        r: safety::SafetyRegistry::ReportInput {
            packageName: report.packageName.clone(),
            version: report.version.clone(),
            sha512Hi: hi,
            sha512Lo: lo,
            report: report.report,
            location: report.location.clone(),
            previous: report.previous,
        },
        scorer,
        signature: signature.clone(),
    };
    Ok(Call { to: safety_registry, data: call.abi_encode().into() })
}

/// Creates the signer of a key, at the `SignerFactory` of that address, where it is not there yet. Whoever sends this
/// gets no say in it.
#[must_use]
pub fn create_signer(signer_factory: Address, kind: Kind, key: &SignerKey) -> Call {
    let call = factory::SignerFactory::createCall {
        kind: match kind {
            Kind::Passkey => 0,
            Kind::SshSk => 1,
        },
        key: factory::P256Signer::Key {
            x: key.x,
            y: key.y,
            relyingParty: key.relying_party,
            need: U256::from(key.need.flags()),
        },
    };
    Call { to: signer_factory, data: call.abi_encode().into() }
}

fn to_names(network: &Network, call: &impl SolCall) -> Call {
    Call { to: network.name_registry, data: call.abi_encode().into() }
}

fn to_packages(network: &Network, call: &impl SolCall) -> Call {
    Call { to: network.package_registry, data: call.abi_encode().into() }
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
