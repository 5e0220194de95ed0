//! Signatures that browsers and ssh-keygen really made (`fixtures/signers.json`), and every check of
//! `trust::signer` broken alone.

#![allow(clippy::unwrap_used, reason = "tests")]

use alloy_primitives::{Address, B256, Bytes};
use serde::Deserialize;
use serde_json::Value;
use trust::signer::{
    Assertion, Factory, Kind, Need, SignerError, SignerKey, challenge, pack_passkey, pack_ssh, parse_armored,
    recover_key, verify,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fixtures {
    factory: Address,
    implementations: Implementations,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Implementations {
    passkey: Address,
    ssh_sk: Address,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    name: String,
    kind: Kind,
    signer: Address,
    digest: B256,
    x: B256,
    y: B256,
    relying_party: B256,
    need: u8,
    packed: Bytes,
    clone: Address,
    #[serde(flatten)]
    raw: Value,
}

impl Case {
    fn key(&self) -> SignerKey {
        let need = if self.need == 5 { Need::PresenceAndVerification } else { Need::Presence };
        SignerKey { x: self.x, y: self.y, relying_party: self.relying_party, need }
    }

    fn verify(&self, packed: &[u8]) -> Result<(), SignerError> {
        verify(self.kind, &self.key(), self.signer, self.digest, packed)
    }

    fn bytes(&self, field: &str) -> Bytes {
        self.raw[field].as_str().unwrap().parse().unwrap()
    }

    fn text(&self, field: &str) -> &str {
        self.raw[field].as_str().unwrap()
    }
}

fn fixtures() -> Fixtures {
    serde_json::from_str(include_str!("../../../fixtures/signers.json")).unwrap()
}

fn first(kind: Kind) -> Case {
    fixtures().cases.into_iter().find(|case| case.kind == kind).unwrap()
}

#[test]
fn every_real_signature_verifies_and_packs_to_the_same_bytes() {
    let cases = fixtures().cases;
    assert_eq!(cases.len(), 14);
    for case in cases {
        assert_eq!(case.verify(&case.packed), Ok(()), "{}", case.name);
        let packed = match case.kind {
            Kind::Passkey => {
                let (data, der) = (case.bytes("authenticatorData"), case.bytes("signatureDer"));
                let assertion = Assertion {
                    authenticator_data: &data,
                    client_data_json: case.text("clientDataJSON").as_bytes(),
                    signature_der: &der,
                };
                pack_passkey(&assertion, case.relying_party, challenge(case.signer, case.digest)).unwrap()
            }
            Kind::SshSk => {
                let read = parse_armored(case.text("armored")).unwrap();
                assert_eq!((read.x, read.y), (case.x, case.y), "{}", case.name);
                assert_eq!(read.application, b"ssh:", "{}", case.name);
                pack_ssh(&read).unwrap()
            }
        };
        assert_eq!(packed, case.packed, "{}", case.name);
    }
}

#[test]
fn the_address_of_a_clone_is_what_solidity_and_javascript_compute() {
    let Fixtures { factory, implementations, cases } = fixtures();
    let factory = Factory {
        factory,
        passkey_implementation: implementations.passkey,
        ssh_sk_implementation: implementations.ssh_sk,
    };
    for case in cases {
        assert_eq!(factory.address_of(case.kind, &case.key()), case.clone, "{}", case.name);
    }
}

#[test]
fn the_key_is_found_from_one_signature_and_the_signers_address() {
    // A key of our own, so that its signer's address can be computed before it signs.
    use p256::ecdsa::signature::hazmat::PrehashSigner as _;
    use sha2::{Digest as _, Sha256};
    let factory = Factory {
        factory: Address::repeat_byte(0x11),
        passkey_implementation: Address::repeat_byte(0x22),
        ssh_sk_implementation: Address::repeat_byte(0x33),
    };
    for (seed, need) in [(1_u8, Need::Presence), (2, Need::PresenceAndVerification), (3, Need::Presence)] {
        let secret = p256::ecdsa::SigningKey::from_slice(&[seed; 32]).unwrap();
        let point = secret.verifying_key().to_encoded_point(false);
        let relying_party = B256::from_slice(&Sha256::digest("3pm.localhost"));
        let key = SignerKey {
            x: B256::from_slice(point.x().unwrap()),
            y: B256::from_slice(point.y().unwrap()),
            relying_party,
            need,
        };
        let signer = factory.address_of(Kind::Passkey, &key);
        let digest = B256::repeat_byte(seed);
        let encoded = {
            use base64::Engine as _;
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(challenge(signer, digest))
        };
        let rest = "\",\"origin\":\"http://3pm.localhost:1\"}";
        let client_data = format!("{{\"type\":\"webauthn.get\",\"challenge\":\"{encoded}{rest}");
        let data = [relying_party.as_slice(), &[0x05, 0, 0, 0, 9]].concat();
        let message = [data.as_slice(), &Sha256::digest(&client_data)].concat();
        let signature: p256::ecdsa::Signature = secret.sign_prehash(&Sha256::digest(message)).unwrap();
        let der = signature.to_der();
        let assertion = Assertion {
            authenticator_data: &data,
            client_data_json: client_data.as_bytes(),
            signature_der: der.as_bytes(),
        };
        let packed = pack_passkey(&assertion, relying_party, challenge(signer, digest)).unwrap();
        let find =
            |signer, digest| recover_key(&factory, Kind::Passkey, relying_party, signer, digest, &packed);
        assert_eq!(find(signer, digest), Ok(key));
        assert_eq!(find(signer, B256::ZERO), Err(SignerError::Other { what: "signer" }));
        assert_eq!(find(Address::ZERO, digest), Err(SignerError::Other { what: "signer" }));
    }
}

#[test]
fn no_bit_of_a_signature_is_free() {
    for case in [first(Kind::Passkey), first(Kind::SshSk)] {
        for position in 0..case.packed.len() {
            let mut bent = case.packed.to_vec();
            bent[position] ^= 1;
            assert!(case.verify(&bent).is_err(), "{} byte {position}", case.name);
        }
        for length in 0..case.packed.len() {
            assert!(case.verify(&case.packed[..length]).is_err(), "{} cut to {length}", case.name);
        }
    }
}

#[test]
fn another_digest_signer_relying_party_key_or_kind_is_refused() {
    for case in [first(Kind::Passkey), first(Kind::SshSk)] {
        let key = case.key();
        let check = |kind, key: &SignerKey, signer, digest| {
            assert!(verify(kind, key, signer, digest, &case.packed).is_err(), "{}", case.name);
        };
        check(case.kind, &key, case.signer, B256::ZERO);
        check(case.kind, &key, Address::ZERO, case.digest);
        check(case.kind, &SignerKey { relying_party: B256::ZERO, ..key }, case.signer, case.digest);
        let other = fixtures().cases.into_iter().find(|other| other.x != case.x).unwrap().key();
        check(case.kind, &SignerKey { x: other.x, y: other.y, ..key }, case.signer, case.digest);
        check(case.kind, &SignerKey { y: B256::ZERO, ..key }, case.signer, case.digest);
        let other_kind = if case.kind == Kind::Passkey { Kind::SshSk } else { Kind::Passkey };
        check(other_kind, &key, case.signer, case.digest);
    }
}

#[test]
fn flags_and_length_have_reasons_of_their_own() {
    let case = first(Kind::Passkey);
    let with_flags = |flags: u8| {
        let mut bent = case.packed.to_vec();
        bent[64] = flags;
        case.verify(&bent)
    };
    assert_eq!(with_flags(0x01), Err(SignerError::Flags { found: 0x01, need: 0x05 }));
    assert_eq!(with_flags(0x04), Err(SignerError::Flags { found: 0x04, need: 0x05 }));
    assert_eq!(with_flags(0x45), Err(SignerError::MoreData { found: 0x45 }));
    assert_eq!(with_flags(0x85), Err(SignerError::MoreData { found: 0x85 }));
    assert_eq!(with_flags(0x0D), Err(SignerError::Invalid));
    assert_eq!(case.verify(&[]), Err(SignerError::Length { found: 0 }));
    let long = [case.packed.as_ref(), &[b' '; 2048]].concat();
    assert_eq!(case.verify(&long), Err(SignerError::Length { found: long.len() }));
}

#[test]
fn the_high_s_twin_is_refused() {
    let case = first(Kind::SshSk);
    let signature = p256::ecdsa::Signature::from_slice(&case.packed[..64]).unwrap();
    let (r, s) = signature.split_scalars();
    let high = p256::ecdsa::Signature::from_scalars(r, -*s).unwrap();
    let twin = [&high.to_bytes()[..], &case.packed[64..]].concat();
    assert_eq!(case.verify(&twin), Err(SignerError::HighS));
}

#[test]
fn a_passkey_answer_of_another_shape_is_refused_with_its_reason() {
    let case = first(Kind::Passkey);
    let (data, der) = (case.bytes("authenticatorData"), case.bytes("signatureDer"));
    let client = case.text("clientDataJSON").as_bytes();
    let asked = challenge(case.signer, case.digest);
    let pack = |authenticator_data: &[u8], client_data_json: &[u8], signature_der: &[u8]| {
        let assertion = Assertion { authenticator_data, client_data_json, signature_der };
        pack_passkey(&assertion, case.relying_party, asked).unwrap_err()
    };
    let malformed =
        |part| move |error: SignerError| matches!(error, SignerError::Malformed { part: p, .. } if p == part);
    assert!(malformed("authenticator data")(pack(&data[..36], client, &der)));
    assert!(malformed("authenticator data")(pack(&[&data[..], &[0]].concat(), client, &der)));
    assert!(malformed("signature")(pack(&data, client, &der[..10])));
    let created = String::from_utf8_lossy(client).replace("webauthn.get", "webauthn.create");
    assert_eq!(
        pack(&data, created.as_bytes(), &der),
        SignerError::Other { what: "challenge in clientDataJSON" }
    );
    let mut elsewhere = data.to_vec();
    elsewhere[0] ^= 1;
    assert_eq!(pack(&elsewhere, client, &der), SignerError::Other { what: "relying party" });
}

#[test]
fn an_ssh_signature_for_something_else_is_refused_with_its_reason() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let case = first(Kind::SshSk);
    let armored = case.text("armored");
    let body: String = armored.lines().filter(|line| !line.starts_with('-')).collect();
    let blob = STANDARD.decode(body).unwrap();
    let armor = |blob: &[u8]| {
        format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", STANDARD.encode(blob))
    };
    let replaced = |from: &[u8], to: &[u8]| {
        let position = blob.windows(from.len()).position(|window| window == from).unwrap();
        let mut bent = blob.clone();
        bent[position..position + to.len()].copy_from_slice(to);
        parse_armored(&armor(&bent)).unwrap_err()
    };
    assert!(parse_armored(&armor(&blob)).is_ok());
    assert_eq!(replaced(b"3pm", b"git"), SignerError::Other { what: "namespace (expected 3pm)" });
    assert_eq!(replaced(b"sha256", b"sha512"), SignerError::Other { what: "hash (expected sha256)" });
    assert!(matches!(replaced(b"nistp256@", b"nistp384@"), SignerError::Other { .. }));
    assert!(matches!(replaced(b"SSHSIG", b"SSHSIX"), SignerError::Malformed { .. }));
    assert!(matches!(replaced(&[0, 0, 0, 1], &[0, 0, 0, 2]), SignerError::Malformed { .. }));
    for length in 0..blob.len() {
        assert!(parse_armored(&armor(&blob[..length])).is_err(), "cut to {length}");
    }
    assert!(parse_armored(&armor(&[blob.as_slice(), &[0]].concat())).is_err());
    assert!(parse_armored("").is_err());
    assert!(parse_armored(&"-".repeat(5000)).is_err());
}
