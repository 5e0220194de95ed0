//! ECDSA signatures over a digest, and the blob in which the contracts take a set of them.
//!
//! Contract wallets (EIP-1271) are not judged here: that takes a chain. See `chain::Chain::verify_member_signature`.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, U256, uint};

/// Most members a package can have; the contracts keep a 16-bit map of signers.
pub const MAX_MEMBERS: usize = 16;

/// The longest signature anybody may hand in, in bytes; contract wallets pack several into one.
pub const MAX_SIGNATURE_BYTES: usize = 4096;

/// Half of the order of secp256k1: a signature with a larger `s` has a twin with a smaller one.
const HALF_ORDER: U256 = uint!(0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0_U256);

/// All bits but the top one, in which EIP-2098 keeps the parity.
const LOW_BITS: U256 = uint!(0x7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff_U256);

/// Why a signature was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Neither 65 bytes nor 64 (EIP-2098).
    #[error("signature has {found} bytes, expected 65, or 64 in compact form")]
    Length {
        /// How many it has.
        found: usize,
    },
    /// `v` is not 27 or 28.
    #[error("signature has recovery byte {found}, expected 27 or 28")]
    RecoveryByte {
        /// The byte.
        found: u8,
    },
    /// The malleable twin.
    #[error("signature has a high s value, expected the low one")]
    HighS,
    /// Not a point on the curve.
    #[error("signature recovers to no address")]
    NoAddress,
    /// A signer that is not among the members.
    #[error("signer {found} is not a member")]
    NotAMember {
        /// The signer.
        found: Address,
    },
    /// Too long to be one.
    #[error("signature has {found} bytes, expected at most {MAX_SIGNATURE_BYTES}")]
    TooLong {
        /// How many it has.
        found: usize,
    },
}

/// The address whose key made `signature` over `digest`.
///
/// Steps: 1. length, 2. recovery byte, 3. low s, 4. recover.
pub fn recover(digest: B256, signature: &[u8]) -> Result<Address, SignatureError> {
    let (r, s, odd) = split(signature)?;
    if s > HALF_ORDER {
        return Err(SignatureError::HighS);
    }
    alloy_primitives::Signature::new(r, s, odd)
        .recover_address_from_prehash(&digest)
        .ok()
        .filter(|address| !address.is_zero())
        .ok_or(SignatureError::NoAddress)
}

/// `r`, `s` and the parity of the curve point, from either form.
fn split(signature: &[u8]) -> Result<(U256, U256, bool), SignatureError> {
    match signature.split_first_chunk::<64>() {
        Some((words, [])) => {
            let (r, vs) = two_words(words);
            Ok((r, vs & LOW_BITS, vs.bit(255)))
        }
        Some((words, [v])) => {
            let (r, s) = two_words(words);
            match *v {
                27 => Ok((r, s, false)),
                28 => Ok((r, s, true)),
                found => Err(SignatureError::RecoveryByte { found }),
            }
        }
        _ => Err(SignatureError::Length { found: signature.len() }),
    }
}

fn two_words(words: &[u8; 64]) -> (U256, U256) {
    let (r, s) = words.split_at(32);
    (U256::from_be_slice(r), U256::from_be_slice(s))
}

/// A set of signatures as the contracts take it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureSet {
    /// Bit i: member i signed.
    pub signers: u16,
    /// `uint16 length || bytes` for each set bit, in rising order.
    pub blob: Bytes,
}

/// Packs `signatures` for the member list they will be checked against.
pub fn pack(
    members: &[Address],
    signatures: &BTreeMap<Address, Bytes>,
) -> Result<SignatureSet, SignatureError> {
    if let Some(found) = signatures.keys().find(|signer| !members.contains(signer)) {
        return Err(SignatureError::NotAMember { found: *found });
    }
    let (mut signers, mut blob) = (0_u16, Vec::new());
    for (bit, signature) in
        members.iter().take(MAX_MEMBERS).enumerate().filter_map(|(bit, m)| Some((bit, signatures.get(m)?)))
    {
        let length = u16::try_from(signature.len())
            .ok()
            .filter(|_| signature.len() <= MAX_SIGNATURE_BYTES)
            .ok_or(SignatureError::TooLong { found: signature.len() })?;
        signers |= 1_u16.checked_shl(u32::try_from(bit).unwrap_or(u32::MAX)).unwrap_or(0);
        blob.extend_from_slice(&length.to_be_bytes());
        blob.extend_from_slice(signature);
    }
    Ok(SignatureSet { signers, blob: blob.into() })
}
