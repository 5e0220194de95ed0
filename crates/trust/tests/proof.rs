//! Storage proofs of a real node (`fixtures/vectors/storage-proof.json`), and each step of `trust::proof`
//! broken alone.

#![allow(clippy::unwrap_used, reason = "tests")]

use alloy_primitives::{Address, B256, U256};
use serde_json::{Value, json};
use trust::proof::{AccountProof, Header, ProofError, ProvenHeader, verify_header, verify_storage};

fn fixture() -> Value {
    serde_json::from_str(include_str!("../../../fixtures/vectors/storage-proof.json")).unwrap()
}

fn header(value: &Value) -> Header {
    serde_json::from_value(value.clone()).unwrap()
}

fn word<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

fn proven_header(fixture: &Value) -> ProvenHeader {
    verify_header(&header(&fixture["header"]), word(&fixture["header"]["hash"])).unwrap()
}

fn slots() -> [U256; 4] {
    [U256::ZERO, U256::from(1), U256::from(1) << 255, U256::from(5)]
}

/// Verifies the fixture's proof after `bend` has changed it.
fn check(bend: impl FnOnce(&mut Value)) -> Result<Vec<Option<U256>>, ProofError> {
    let fixture = fixture();
    let header = proven_header(&fixture);
    let (address, code_hash) = (word(&fixture["proof"]["address"]), word(&fixture["proof"]["codeHash"]));
    let mut proof = fixture["proof"].clone();
    bend(&mut proof);
    let proof: AccountProof = serde_json::from_value(proof).unwrap();
    let storage = verify_storage(&header, address, code_hash, &slots(), &proof)?;
    Ok(slots().into_iter().map(|slot| storage.word(slot)).collect())
}

#[test]
fn a_nodes_own_header_and_proof_hold() {
    let fixture = fixture();
    let proven = proven_header(&fixture);
    assert_eq!(proven.number(), word::<U256>(&fixture["header"]["number"]));
    assert_eq!(proven.timestamp(), word::<U256>(&fixture["header"]["timestamp"]));
    let expected = [U256::from(42), U256::from(7), U256::MAX, U256::ZERO].map(Some).to_vec();
    assert_eq!(check(|_| ()), Ok(expected));
}

#[test]
fn every_field_of_the_header_counts() {
    let fixture = fixture();
    let expected: B256 = word(&fixture["header"]["hash"]);
    let fields = [
        "parentHash",
        "sha3Uncles",
        "miner",
        "stateRoot",
        "transactionsRoot",
        "receiptsRoot",
        "logsBloom",
        "difficulty",
        "number",
        "gasLimit",
        "gasUsed",
        "timestamp",
        "extraData",
        "mixHash",
        "nonce",
        "baseFeePerGas",
        "withdrawalsRoot",
        "blobGasUsed",
        "excessBlobGas",
        "parentBeaconBlockRoot",
        "requestsHash",
    ];
    for field in fields {
        let mut bent = fixture["header"].clone();
        let text = bent[field].as_str().unwrap_or_else(|| panic!("{field} is in the fixture")).to_owned();
        let (head, last) = text.split_at(text.len() - 1);
        bent[field] = match text.as_str() {
            "0x" => json!("0x01"),
            _ => json!(format!("{head}{}", if last == "1" { "2" } else { "1" })),
        };
        let result = verify_header(&header(&bent), expected);
        assert!(matches!(result, Err(ProofError::Header { .. })), "{field}");
    }
    let mut without = fixture["header"].clone();
    without.as_object_mut().unwrap().remove("requestsHash");
    assert!(matches!(verify_header(&header(&without), expected), Err(ProofError::Header { .. })));
}

#[test]
fn another_state_root_account_or_code_is_refused() {
    let bent = |field: &'static str, value: Value| check(move |proof| proof[field] = value);
    assert!(matches!(bent("address", json!(Address::ZERO)), Err(ProofError::Account { .. })));
    assert!(matches!(bent("balance", json!("0x1")), Err(ProofError::Broken { .. })));
    assert!(matches!(bent("nonce", json!("0x9")), Err(ProofError::Broken { .. })));
    assert!(matches!(bent("codeHash", json!(B256::ZERO)), Err(ProofError::Broken { .. })));
    assert!(matches!(bent("storageHash", json!(B256::ZERO)), Err(ProofError::Broken { .. })));
    assert!(matches!(bent("accountProof", json!([])), Err(ProofError::Broken { .. })));

    let fixture = fixture();
    let proof: AccountProof = serde_json::from_value(fixture["proof"].clone()).unwrap();
    let other_code = verify_storage(&proven_header(&fixture), proof.address, B256::ZERO, &[], &proof);
    assert!(matches!(other_code, Err(ProofError::Code { .. })));
}

#[test]
fn an_account_that_does_not_exist_proves_nothing() {
    let fixture = fixture();
    let proof: AccountProof = serde_json::from_value(fixture["absent"].clone()).unwrap();
    let code_hash: B256 = word(&fixture["absent"]["codeHash"]);
    let result = verify_storage(&proven_header(&fixture), proof.address, code_hash, &[], &proof);
    assert!(matches!(result, Err(ProofError::Broken { .. })), "{result:?}");
}

#[test]
fn each_word_is_proven_zero_included() {
    for index in 0..4 {
        let wrong = check(|proof| proof["storageProof"][index]["value"] = json!("0x3"));
        assert!(matches!(wrong, Err(ProofError::Broken { .. })), "{index}: {wrong:?}");
        let swapped = check(|proof| proof["storageProof"][index]["proof"] = json!([]));
        assert!(matches!(swapped, Err(ProofError::Broken { .. })), "{index}: {swapped:?}");
    }
    // A word that is there, served as absent.
    let hidden = check(|proof| proof["storageProof"][0]["value"] = json!("0x0"));
    assert!(matches!(hidden, Err(ProofError::Broken { .. })));
    let missing = check(|proof| {
        proof["storageProof"].as_array_mut().unwrap().pop();
    });
    assert_eq!(missing, Err(ProofError::Missing { slot: U256::from(5) }));
}

#[test]
fn a_slot_that_is_answered_twice_proves_no_more_than_its_proof() {
    let twice = check(|proof| {
        let mut lie = proof["storageProof"][0].clone();
        lie["value"] = json!("0x3");
        proof["storageProof"].as_array_mut().unwrap().push(lie);
    });
    assert!(matches!(twice, Err(ProofError::Broken { .. })), "{twice:?}");
}

#[test]
fn bent_and_cut_nodes_are_refused_and_never_panic() {
    let nodes = |value: &Value| value.as_array().map_or(0, Vec::len);
    let fixture = fixture();
    for (list, count) in [
        ("/accountProof", nodes(&fixture["proof"]["accountProof"])),
        ("/storageProof/0/proof", nodes(&fixture["proof"]["storageProof"][0]["proof"])),
    ] {
        for node in 0..count {
            let pointer = format!("{list}/{node}");
            let text = fixture["proof"].pointer(&pointer).unwrap().as_str().unwrap().to_owned();
            for position in (2..text.len()).step_by(7) {
                let mut bent = text.clone();
                let other = if &text[position..=position] == "0" { "1" } else { "0" };
                bent.replace_range(position..=position, other);
                let result = check(|proof| *proof.pointer_mut(&pointer).unwrap() = json!(bent));
                assert!(matches!(result, Err(ProofError::Broken { .. })), "{pointer} at {position}");
                let cut = &text[..position & !1];
                let result = check(|proof| *proof.pointer_mut(&pointer).unwrap() = json!(cut));
                assert!(matches!(result, Err(ProofError::Broken { .. })), "{pointer} cut at {position}");
            }
        }
    }
}

#[test]
fn an_endless_proof_is_refused_before_it_is_read() {
    let long = check(|proof| proof["accountProof"] = json!(vec!["0x00"; 65]));
    assert!(matches!(long, Err(ProofError::TooLong { found: 65, .. })));
}
