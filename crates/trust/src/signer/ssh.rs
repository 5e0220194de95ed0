//! What `ssh-keygen -Y sign -n 3pm -O hashalg=sha256` writes for an `ecdsa-sk` key, packed for
//! `SshSkSigner`. Other key types, namespaces and hashes are refused: the contract knows one of each.
//!
//! Format: OpenSSH's PROTOCOL.sshsig, PROTOCOL.u2f; strings and integers as in RFC 4251.

use alloy_primitives::{B256, Bytes};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::Signature;

use super::{SignerError, packed};
use crate::digest::sha256;

/// What binds a signature to 3pm, so that one made for git or for a file means nothing here.
const NAMESPACE: &[u8] = b"3pm";
const HASH: &[u8] = b"sha256";
const KEY_TYPE: &[u8] = b"sk-ecdsa-sha2-nistp256@openssh.com";
const MAGIC: &[u8] = b"SSHSIG";
const VERSION: u32 = 1;

/// Longest armored signature, in bytes; real ones have about 430.
const MAX_ARMORED_BYTES: usize = 4096;

/// A signature file, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshSignature {
    /// The public key's x.
    pub x: B256,
    /// The public key's y.
    pub y: B256,
    /// What the key was made for; `ssh:` unless its owner said otherwise.
    pub application: Vec<u8>,
    r: [u8; 32],
    s: [u8; 32],
    flags_and_counter: [u8; 5],
}

/// Reads the armored form.
///
/// Steps: 1. armor, 2. magic and version, 3. key type and curve, 4. namespace, 5. hash, 6. signature.
pub fn parse_armored(text: &str) -> Result<SshSignature, SignerError> {
    let malformed = |reason| SignerError::Malformed { part: "SSH signature", reason };
    if text.len() > MAX_ARMORED_BYTES {
        return Err(SignerError::Length { found: text.len() });
    }
    let body = text
        .trim()
        .strip_prefix("-----BEGIN SSH SIGNATURE-----")
        .and_then(|rest| rest.strip_suffix("-----END SSH SIGNATURE-----"))
        .ok_or(malformed("not armored"))?;
    let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let blob = STANDARD.decode(body).map_err(|_| malformed("not base64"))?;

    let mut blob = Reader(blob.strip_prefix(MAGIC).ok_or(malformed("no SSHSIG preamble"))?);
    if blob.number()? != VERSION {
        return Err(malformed("not version 1"));
    }
    let (mut key, namespace, _reserved) = (Reader(blob.string()?), blob.string()?, blob.string()?);
    let (hash, mut signature) = (blob.string()?, Reader(blob.string()?));
    blob.end()?;

    if key.string()? != KEY_TYPE || key.string()? != b"nistp256" {
        return Err(SignerError::Other { what: "key type (expected ecdsa-sk)" });
    }
    let point: &[u8; 65] = key.string()?.try_into().map_err(|_| malformed("point is not 65 bytes"))?;
    let [4, coordinates @ ..] = point else { return Err(malformed("point is compressed")) };
    let (x, y) = coordinates.split_at(32);
    let application = key.string()?.to_vec();
    key.end()?;

    if namespace != NAMESPACE {
        return Err(SignerError::Other { what: "namespace (expected 3pm)" });
    }
    if hash != HASH {
        return Err(SignerError::Other { what: "hash (expected sha256)" });
    }
    if signature.string()? != KEY_TYPE {
        return Err(SignerError::Other { what: "signature type (expected ecdsa-sk)" });
    }
    let mut numbers = Reader(signature.string()?);
    let (r, s) = (numbers.scalar()?, numbers.scalar()?);
    numbers.end()?;
    let flags_and_counter =
        signature.0.try_into().map_err(|_| malformed("flags and counter are not 5 bytes"))?;
    Ok(SshSignature { x: B256::from_slice(x), y: B256::from_slice(y), application, r, s, flags_and_counter })
}

/// Packs a signature. Which challenge it is over, the caller learns by verifying the result.
pub fn pack_ssh(signature: &SshSignature) -> Result<Bytes, SignerError> {
    let scalars = Signature::from_scalars(signature.r, signature.s)
        .map_err(|_| SignerError::Malformed { part: "SSH signature", reason: "r or s is not in range" })?;
    Ok(packed(&scalars, &signature.flags_and_counter, &[]))
}

/// What the key signs for a challenge: PROTOCOL.sshsig, "Signed Data".
pub(super) fn signed_message(challenge: B256) -> Vec<u8> {
    let hashed = sha256(challenge);
    let mut message = MAGIC.to_vec();
    for part in [NAMESPACE, b"", HASH, hashed.as_slice()] {
        message.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        message.extend_from_slice(part);
    }
    message
}

/// RFC 4251 values, from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    const SHORT: SignerError = SignerError::Malformed { part: "SSH signature", reason: "ends too early" };

    fn number(&mut self) -> Result<u32, SignerError> {
        let (head, rest) = self.0.split_first_chunk::<4>().ok_or(Self::SHORT)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*head))
    }

    fn string(&mut self) -> Result<&'a [u8], SignerError> {
        let length = usize::try_from(self.number()?).map_err(|_| Self::SHORT)?;
        let (part, rest) = self.0.split_at_checked(length).ok_or(Self::SHORT)?;
        self.0 = rest;
        Ok(part)
    }

    /// An `mpint` of at most 32 bytes, padded to 32.
    fn scalar(&mut self) -> Result<[u8; 32], SignerError> {
        let malformed = SignerError::Malformed { part: "SSH signature", reason: "number is out of range" };
        let part = self.string()?;
        let part = part.strip_prefix(&[0]).unwrap_or(part);
        let padding = 32_usize.checked_sub(part.len()).ok_or(malformed)?;
        let mut scalar = [0; 32];
        for (to, from) in scalar.iter_mut().skip(padding).zip(part) {
            *to = *from;
        }
        Ok(scalar)
    }

    fn end(&self) -> Result<(), SignerError> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(SignerError::Malformed { part: "SSH signature", reason: "bytes follow it" })
    }
}
