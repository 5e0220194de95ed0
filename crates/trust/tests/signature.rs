//! Each step of `trust::signature::recover` broken alone, and the blob the contracts take.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, Signature, U256, hex};
use trust::signature::{MAX_SIGNATURE_BYTES, SignatureError, pack, recover};

// The first account of a development node signed keccak256("3pm"); the key is everybody's.
const KEY: [u8; 32] = hex!("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80");
const ADDRESS: [u8; 20] = hex!("f39fd6e51aad88f6f4ce6ab8827279cfffb92266");

fn digest() -> B256 {
    alloy_primitives::keccak256("3pm")
}

fn signature() -> Signature {
    let key = k256::ecdsa::SigningKey::from_slice(&KEY).unwrap();
    key.sign_prehash_recoverable(digest().as_slice()).unwrap().into()
}

fn address() -> Address {
    Address::from(ADDRESS)
}

#[test]
fn both_forms_recover_to_the_signer() {
    assert_eq!(recover(digest(), &signature().as_bytes()), Ok(address()));
    let compact = signature().as_erc2098();
    assert_eq!(recover(digest(), &compact), Ok(address()));
}

#[test]
fn another_digest_recovers_to_somebody_else() {
    assert_ne!(recover(B256::ZERO, &signature().as_bytes()), Ok(address()));
}

#[test]
fn lengths_and_recovery_bytes_are_exact() {
    let bytes = signature().as_bytes();
    for length in [0, 1, 63, 66, 130] {
        let given = bytes.iter().copied().cycle().take(length).collect::<Vec<u8>>();
        assert_eq!(recover(digest(), &given), Err(SignatureError::Length { found: length }));
    }
    for v in [0, 1, 26, 29, 255] {
        let mut bent = bytes;
        bent[64] = v;
        assert_eq!(recover(digest(), &bent), Err(SignatureError::RecoveryByte { found: v }));
    }
}

#[test]
fn the_high_s_twin_is_refused_in_either_form() {
    let order = U256::from_be_bytes(hex!("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"));
    let low = signature();
    let high = Signature::new(low.r(), order - low.s(), !low.v());
    assert_eq!(recover(digest(), &high.as_bytes()), Err(SignatureError::HighS));
}

#[test]
fn nothing_recovers_from_zeros() {
    let zeros = [[0; 64].as_slice(), &[27]].concat();
    assert_eq!(recover(digest(), &zeros), Err(SignatureError::NoAddress));
}

#[test]
fn a_blob_follows_the_order_of_the_members_and_not_of_the_signatures() {
    let members: Vec<Address> = [9, 1, 5].map(Address::repeat_byte).to_vec();
    let signatures = BTreeMap::from([
        (Address::repeat_byte(5), Bytes::from_static(&[5, 5])),
        (Address::repeat_byte(9), Bytes::from_static(&[9])),
    ]);
    let set = pack(&members, &signatures).unwrap();
    assert_eq!(set.signers, 0b101);
    assert_eq!(set.blob, Bytes::from_static(&[0, 1, 9, 0, 2, 5, 5]));
}

#[test]
fn strangers_and_giants_do_not_go_into_a_blob() {
    let members = [Address::repeat_byte(1)];
    let of = |signer, length| pack(&members, &BTreeMap::from([(signer, Bytes::from(vec![0; length]))]));
    let stranger = Address::repeat_byte(2);
    assert_eq!(of(stranger, 65), Err(SignatureError::NotAMember { found: stranger }));
    let found = MAX_SIGNATURE_BYTES + 1;
    assert_eq!(of(members[0], found), Err(SignatureError::TooLong { found }));
    assert!(of(members[0], MAX_SIGNATURE_BYTES).is_ok());
}
