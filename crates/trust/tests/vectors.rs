//! `fixtures/vectors`, made with viem and node:crypto and read by Solidity too: the same answers here.

#![allow(clippy::unwrap_used, reason = "tests")]

use alloy_primitives::{Address, B256};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use trust::legacy::{LegacyVersion, prove, root, verify_proof};
use trust::message::{
    Cancel, Config, Domain, Flag, NpmKeyAddition, NpmKeyRemoval, RegistrarProof, RegistrarRotation, Release,
    ReleaseBatch, Report, Revocation, TokenHandover, Veto, Withdrawal, coordinator_domain, signing_request,
};
use trust::{Integrity, TarballHashes};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vectors {
    domain: Domains,
    cases: Vec<Case>,
    coordinator_cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Domains {
    chain_id: u64,
    name_registry: Address,
    package_registry: Address,
    safety_registry: Address,
}

#[derive(Deserialize)]
struct Case {
    #[serde(rename = "type")]
    kind: String,
    contract: String,
    message: Value,
    digest: B256,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../../fixtures/vectors/typed-data.json")).unwrap()
}

fn digest(case: &Case, domains: &Domains) -> B256 {
    fn of<M>(message: &Value, domain: &alloy_sol_types::Eip712Domain) -> B256
    where
        M: DeserializeOwned + serde::Serialize + alloy_sol_types::SolStruct,
    {
        let message: M = serde_json::from_value(message.clone()).unwrap();
        signing_request(&message, domain).unwrap().digest
    }
    let verifying_contract = match case.contract.as_str() {
        "NameRegistry" => domains.name_registry,
        "PackageRegistry" => domains.package_registry,
        "SafetyRegistry" => domains.safety_registry,
        other => panic!("unknown contract {other}"),
    };
    let domain = Domain { chain_id: domains.chain_id, verifying_contract };
    let (message, contract) = (&case.message, domain.eip712());
    match case.kind.as_str() {
        "Config" => of::<Config>(message, &contract),
        "Cancel" => of::<Cancel>(message, &contract),
        "RegistrarProof" => of::<RegistrarProof>(message, &contract),
        "RegistrarRotation" => of::<RegistrarRotation>(message, &contract),
        "NpmKeyAddition" => of::<NpmKeyAddition>(message, &contract),
        "NpmKeyRemoval" => of::<NpmKeyRemoval>(message, &contract),
        "Release" => of::<Release>(message, &contract),
        "ReleaseBatch" => of::<ReleaseBatch>(message, &contract),
        "Revocation" => of::<Revocation>(message, &contract),
        "Withdrawal" => of::<Withdrawal>(message, &contract),
        "Veto" => of::<Veto>(message, &contract),
        "Flag" => of::<Flag>(message, &contract),
        "Report" => of::<Report>(message, &contract),
        "TokenHandover" => of::<TokenHandover>(message, &coordinator_domain(&domain)),
        other => panic!("unknown type {other}"),
    }
}

#[test]
fn every_typed_message_has_the_digest_an_independent_encoder_gave_it() {
    let vectors = vectors();
    assert!(vectors.cases.len() > 100);
    for case in vectors.cases.iter().chain(&vectors.coordinator_cases) {
        assert_eq!(digest(case, &vectors.domain), case.digest, "{} {}", case.kind, case.message);
    }
}

/// What a case of our own deserialises from also survives being written for the wallet: the typed data it is
/// given leads to the same digest, hostile text included.
#[test]
fn the_wallets_form_leads_to_the_same_digest() {
    let vectors = vectors();
    for case in vectors.cases.iter().filter(|case| case.kind == "Release") {
        let message: Release = serde_json::from_value(case.message.clone()).unwrap();
        let domain =
            Domain { chain_id: vectors.domain.chain_id, verifying_contract: vectors.domain.package_registry };
        let request = signing_request(&message, &domain.eip712()).unwrap();
        let text = request.typed_data.to_string();
        let read: alloy_dyn_abi::TypedData = serde_json::from_str(&text).unwrap();
        assert_eq!(read.eip712_signing_hash().unwrap(), case.digest, "{text}");
    }
}

#[test]
fn legacy_roots_leaves_and_proofs_agree() {
    #[derive(Deserialize)]
    struct File {
        lists: Vec<List>,
    }
    #[derive(Deserialize)]
    struct List {
        root: B256,
        versions: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        #[serde(flatten)]
        version: LegacyVersion,
        leaf: B256,
        proof: Vec<B256>,
    }
    let file: File = serde_json::from_str(include_str!("../../../fixtures/vectors/legacy.json")).unwrap();
    assert!(!file.lists.is_empty());
    for list in file.lists {
        let versions: Vec<LegacyVersion> = list.versions.iter().map(|entry| entry.version.clone()).collect();
        assert_eq!(root(&versions), list.root);
        for entry in list.versions {
            assert_eq!(entry.version.leaf(), entry.leaf);
            assert_eq!(prove(&versions, &entry.version.version).unwrap(), entry.proof);
            assert!(verify_proof(&entry.version, &entry.proof, list.root));
        }
    }
}

#[test]
fn hashes_agree() {
    #[derive(Deserialize)]
    struct File {
        hashes: Vec<Hashes>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Hashes {
        bytes: alloy_primitives::Bytes,
        integrity: Integrity,
        sha512_hi: B256,
        sha512_lo: B256,
        content_hash: B256,
    }
    let file: File = serde_json::from_str(include_str!("../../../fixtures/vectors/hashes.json")).unwrap();
    for case in file.hashes {
        let hashes = TarballHashes::of(&case.bytes);
        assert_eq!(hashes.integrity, case.integrity);
        assert_eq!(hashes.integrity.words(), (case.sha512_hi, case.sha512_lo));
        assert_eq!(hashes.content_hash.0, case.content_hash);
    }
}
