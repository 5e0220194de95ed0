//! What a browser answers to `navigator.credentials.get()`, packed for `PasskeySigner`.
//!
//! clientDataJSON is matched by its prefix, never parsed or rebuilt: browsers begin it with type and
//! challenge and may append what they like. The origin is not judged; the relying party is, by its hash.

use alloy_primitives::{B256, Bytes};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::Signature;

use super::{SignerError, packed};

/// Relying party hash, flags and counter.
const AUTHENTICATOR_DATA_BYTES: usize = 37;

/// An assertion as the browser hands it over.
#[derive(Debug, Clone, Copy)]
pub struct Assertion<'a> {
    /// `response.authenticatorData`.
    pub authenticator_data: &'a [u8],
    /// `response.clientDataJSON`.
    pub client_data_json: &'a [u8],
    /// `response.signature`, DER.
    pub signature_der: &'a [u8],
}

/// Packs an assertion over `challenge` (see [`super::challenge`]) made for `relying_party`.
///
/// Steps: 1. authenticator data is 37 bytes, 2. for our relying party, 3. clientDataJSON begins with our
/// challenge, 4. the signature is DER. The caller verifies the result like any other signature.
pub fn pack_passkey(
    assertion: &Assertion<'_>,
    relying_party: B256,
    challenge: B256,
) -> Result<Bytes, SignerError> {
    let data: &[u8; AUTHENTICATOR_DATA_BYTES] = assertion.authenticator_data.try_into().map_err(|_| {
        SignerError::Malformed { part: "authenticator data", reason: "expected 37 bytes, no extensions" }
    })?;
    let (relying_party_hash, flags_and_counter) = data.split_at(32);
    if relying_party_hash != relying_party.as_slice() {
        return Err(SignerError::Other { what: "relying party" });
    }
    let prefix = client_data_prefix(challenge);
    let rest = assertion
        .client_data_json
        .strip_prefix(prefix.as_bytes())
        .ok_or(SignerError::Other { what: "challenge in clientDataJSON" })?;
    let signature = Signature::from_der(assertion.signature_der)
        .map_err(|_| SignerError::Malformed { part: "signature", reason: "not DER" })?;
    Ok(packed(&signature, flags_and_counter, rest))
}

/// How clientDataJSON begins for a challenge.
pub(super) fn client_data_prefix(challenge: B256) -> String {
    format!("{{\"type\":\"webauthn.get\",\"challenge\":\"{}\"", URL_SAFE_NO_PAD.encode(challenge))
}
