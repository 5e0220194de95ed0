//! FIDO2 keys as members: passkeys in a browser and security keys through OpenSSH (P-256, ERC-1271).
//!
//! What an authenticator answers is packed into the form the contracts in `contracts/src/signers` take,
//! checked here with the same steps, and the public key can be recovered from it, so that a discoverable
//! passkey needs no local file. This module talks to no authenticator and judges no counter: synced
//! passkeys leave it at zero.
//!
//! Formats: WebAuthn level 2 (sections 5.8.1.1 and 6.1), OpenSSH's PROTOCOL.sshsig and PROTOCOL.u2f.

mod passkey;
mod ssh;

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::SolValue;
use ecdsa::RecoveryId;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::digest::{Hasher, sha256};

pub use passkey::{Assertion, pack_passkey};
pub use ssh::{SshSignature, pack_ssh, parse_armored};

/// `r`, `s`, flags and counter: what every packed signature begins with.
const FIXED_BYTES: usize = 69;

/// Flags under which more than 37 bytes of authenticator data were signed: attested data, extensions.
const MORE_DATA: u8 = 0xC0;

/// The longest packed signature, in bytes; clientDataJSON of real browsers has a few hundred.
pub const MAX_PACKED_BYTES: usize = 2048;

/// Which contract checks the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Through a browser.
    Passkey,
    /// Through `ssh-keygen -Y sign`.
    SshSk,
}

/// What a signer demands of the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Need {
    /// Touched.
    Presence,
    /// Touched, and a PIN or a biometric.
    PresenceAndVerification,
}

impl Need {
    /// The authenticator flags that must be set.
    #[must_use]
    pub fn flags(self) -> u8 {
        match self {
            Self::Presence => 0x01,
            Self::PresenceAndVerification => 0x05,
        }
    }
}

/// The immutable arguments of a signer's contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SignerKey {
    /// The public key's x.
    pub x: B256,
    /// The public key's y.
    pub y: B256,
    /// SHA-256 of the relying party's id, or of the SSH application.
    pub relying_party: B256,
    /// What is demanded of the person.
    pub need: Need,
}

/// The factory and the two contracts it clones, on one chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Factory {
    /// The factory.
    pub factory: Address,
    /// What it clones for passkeys.
    pub passkey_implementation: Address,
    /// What it clones for SSH keys.
    pub ssh_sk_implementation: Address,
}

/// Why a signature of an authenticator was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// Shorter than its fixed part, or longer than [`MAX_PACKED_BYTES`].
    #[error("signature has {found} bytes, expected {FIXED_BYTES} to {MAX_PACKED_BYTES}")]
    Length {
        /// How many it has.
        found: usize,
    },
    /// A part has another shape than its format says.
    #[error("{part} is malformed: {reason}")]
    Malformed {
        /// Which part.
        part: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
    /// The person was not present, or not verified.
    #[error("authenticator flags are {found:#04x}, expected {need:#04x} to be set")]
    Flags {
        /// The flags.
        found: u8,
        /// What must be set.
        need: u8,
    },
    /// Attested data or extensions were signed too; the contract rebuilds 37 bytes and no more.
    #[error("authenticator flags are {found:#04x}, expected no attested data and no extensions")]
    MoreData {
        /// The flags.
        found: u8,
    },
    /// Signed for another digest, signer or relying party.
    #[error("{what} is another one than asked for")]
    Other {
        /// Challenge, relying party, namespace.
        what: &'static str,
    },
    /// The malleable twin.
    #[error("signature has a high s value, expected the low one")]
    HighS,
    /// Does not verify under the key.
    #[error("signature does not verify under the key")]
    Invalid,
}

/// What the authenticator is asked to sign: bound to the signer's address, because two signers of one key
/// would otherwise take the same assertion and the key would count twice.
#[must_use]
pub fn challenge(signer: Address, digest: B256) -> B256 {
    keccak256((signer, digest).abi_encode())
}

/// Checks a packed signature as the contract does.
///
/// Steps: 1. length, 2. flags that must and must not be set, 3. low s, 4. the curve.
pub fn verify(
    kind: Kind,
    key: &SignerKey,
    signer: Address,
    digest: B256,
    packed: &[u8],
) -> Result<(), SignerError> {
    let parts = Parts::read(kind, packed, key.need)?;
    let signature = parts.signature()?;
    if signature.normalize_s().is_some() {
        return Err(SignerError::HighS);
    }
    let verifying = key.verifying_key()?;
    let prehash = parts.prehash(kind, key.relying_party, challenge(signer, digest));
    verifying.verify_prehash(&prehash, &signature).map_err(|_| SignerError::Invalid)
}

/// Whether `x` and `y` are a point of P-256: the contracts take no other key, a registry's included.
pub fn verify_point(x: B256, y: B256) -> Result<(), SignerError> {
    parse_point(x, y).map(|_| ())
}

fn parse_point(x: B256, y: B256) -> Result<VerifyingKey, SignerError> {
    let point = p256::EncodedPoint::from_affine_coordinates(&x.0.into(), &y.0.into(), false);
    VerifyingKey::from_encoded_point(&point)
        .map_err(|_| SignerError::Malformed { part: "public key", reason: "not a point of P-256" })
}

/// The key of `signer`, found from one signature of it: of the keys that could have made it, the one whose
/// contract has that address.
pub fn recover_key(
    factory: &Factory,
    kind: Kind,
    relying_party: B256,
    signer: Address,
    digest: B256,
    packed: &[u8],
) -> Result<SignerKey, SignerError> {
    let parts = Parts::read(kind, packed, Need::Presence)?;
    let signature = parts.signature()?;
    let prehash = parts.prehash(kind, relying_party, challenge(signer, digest));
    for recovery in (0..4).filter_map(RecoveryId::from_byte) {
        let Ok(found) = VerifyingKey::recover_from_prehash(&prehash, &signature, recovery) else { continue };
        let point = found.to_encoded_point(false);
        let (Some(x), Some(y)) = (point.x(), point.y()) else { continue };
        for need in [Need::Presence, Need::PresenceAndVerification] {
            let key = SignerKey { x: B256::from_slice(x), y: B256::from_slice(y), relying_party, need };
            if factory.address_of(kind, &key) == signer {
                return verify(kind, &key, signer, digest, packed).map(|()| key);
            }
        }
    }
    Err(SignerError::Other { what: "signer" })
}

impl SignerKey {
    /// The arguments as the clone carries them: four words.
    #[must_use]
    pub fn words(&self) -> Vec<u8> {
        (self.x, self.y, self.relying_party, U256::from(self.need.flags())).abi_encode_params()
    }

    fn verifying_key(&self) -> Result<VerifyingKey, SignerError> {
        parse_point(self.x, self.y)
    }
}

impl Factory {
    /// Where the contract of `key` is, or will be: CREATE2 with salt zero over a minimal proxy (ERC-1167) that
    /// carries the key's words behind it.
    #[must_use]
    pub fn address_of(&self, kind: Kind, key: &SignerKey) -> Address {
        let implementation = match kind {
            Kind::Passkey => self.passkey_implementation,
            Kind::SshSk => self.ssh_sk_implementation,
        };
        let words = key.words();
        let runtime_bytes = u16::try_from(words.len().saturating_add(0x2d)).unwrap_or(u16::MAX);
        let mut code = vec![0x61];
        code.extend_from_slice(&runtime_bytes.to_be_bytes());
        code.extend_from_slice(&alloy_primitives::hex!("3d81600a3d39f3363d3d373d3d3d363d73"));
        code.extend_from_slice(implementation.as_slice());
        code.extend_from_slice(&alloy_primitives::hex!("5af43d82803e903d91602b57fd5bf3"));
        code.extend_from_slice(&words);
        self.factory.create2_from_code(B256::ZERO, code)
    }
}

/// A packed signature, taken apart: `r || s || flags || counter || rest`.
struct Parts<'a> {
    numbers: &'a [u8; 64],
    data: &'a [u8; 5],
    rest: &'a [u8],
}

impl<'a> Parts<'a> {
    fn read(kind: Kind, packed: &'a [u8], need: Need) -> Result<Self, SignerError> {
        let length = SignerError::Length { found: packed.len() };
        if packed.len() > MAX_PACKED_BYTES {
            return Err(length);
        }
        let (numbers, tail) = packed.split_first_chunk::<64>().ok_or_else(|| length.clone())?;
        let (data, rest) = tail.split_first_chunk::<5>().ok_or(length)?;
        let [flags, ..] = *data;
        if flags & need.flags() != need.flags() {
            return Err(SignerError::Flags { found: flags, need: need.flags() });
        }
        if flags & MORE_DATA != 0 {
            return Err(SignerError::MoreData { found: flags });
        }
        if kind == Kind::SshSk && !rest.is_empty() {
            return Err(SignerError::Malformed { part: "signature", reason: "bytes follow it" });
        }
        Ok(Self { numbers, data, rest })
    }

    fn signature(&self) -> Result<Signature, SignerError> {
        Signature::from_slice(self.numbers)
            .map_err(|_| SignerError::Malformed { part: "signature", reason: "r or s is not in range" })
    }

    /// What the curve signed: relying party, flags, counter, and the hash of the transport's message.
    fn prehash(&self, kind: Kind, relying_party: B256, challenge: B256) -> [u8; 32] {
        let message = match kind {
            Kind::Passkey => [passkey::client_data_prefix(challenge).as_bytes(), self.rest].concat(),
            Kind::SshSk => ssh::signed_message(challenge),
        };
        let mut hasher = Hasher::sha256();
        hasher.update(relying_party);
        hasher.update(self.data);
        hasher.update(sha256(message));
        hasher.finish().0
    }
}

/// `r || s`, with the lower of the two values of s that are valid.
fn low_s(signature: &Signature) -> [u8; 64] {
    signature.normalize_s().unwrap_or(*signature).to_bytes().into()
}

fn packed(signature: &Signature, data: &[u8], rest: &[u8]) -> Bytes {
    [low_s(signature).as_slice(), data, rest].concat().into()
}
