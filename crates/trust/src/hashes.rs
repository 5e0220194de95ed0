//! The two hashes of a tarball: npm's integrity (SHA-512, as Subresource Integrity) and the content
//! hash (SHA-256). Does not unpack; the bytes are those of the `.tgz` itself.

use std::fmt;
use std::str::FromStr;

use alloy_primitives::B256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::digest::{Hasher, sha256};

/// Exactly one SHA-512 of 64 bytes. Anything else a lockfile may hold counts as no integrity at all:
/// npm accepts the second of two hashes, so a list of them protects nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Integrity([u8; 64]);

/// Why a string is not an [`Integrity`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntegrityError {
    /// More than one hash, or options.
    #[error("integrity holds more than one hash, expected exactly one sha512")]
    Several,
    /// Another algorithm.
    #[error("integrity is not sha512, expected `sha512-` and base64 of 64 bytes")]
    Algorithm,
    /// Not canonical base64 of 64 bytes.
    #[error("integrity is not canonical base64 of 64 bytes")]
    Encoding,
}

impl Integrity {
    /// The integrity of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::sha512();
        hasher.update(bytes);
        Self(hasher.finish().0)
    }

    /// From the raw hash.
    #[must_use]
    pub fn from_raw(raw: [u8; 64]) -> Self {
        Self(raw)
    }

    /// From the two words the contract stores.
    #[must_use]
    pub fn from_words(hi: B256, lo: B256) -> Self {
        let mut raw = [0_u8; 64];
        for (to, from) in raw.iter_mut().zip(hi.iter().chain(lo.iter())) {
            *to = *from;
        }
        Self(raw)
    }

    /// The two words the contract stores: the first and the last 32 bytes.
    #[must_use]
    pub fn words(&self) -> (B256, B256) {
        let (hi, lo) = self.0.split_at(32);
        (B256::from_slice(hi), B256::from_slice(lo))
    }

    /// The raw 64 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl FromStr for Integrity {
    type Err = IntegrityError;

    fn from_str(text: &str) -> Result<Self, IntegrityError> {
        if text.contains(|c: char| c.is_ascii_whitespace() || c == '?') {
            return Err(IntegrityError::Several);
        }
        let encoded = text.strip_prefix("sha512-").ok_or(IntegrityError::Algorithm)?;
        let raw = STANDARD.decode(encoded).map_err(|_| IntegrityError::Encoding)?;
        Ok(Self(raw.try_into().map_err(|_| IntegrityError::Encoding)?))
    }
}

impl fmt::Display for Integrity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha512-{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Integrity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Integrity {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Integrity {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// SHA-256 of the tarball's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContentHash(pub B256);

impl ContentHash {
    /// The content hash of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha256(bytes))
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{:x}", self.0)
    }
}

/// Both hashes of one tarball, computed together so that neither can come from somewhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TarballHashes {
    /// npm's SHA-512.
    pub integrity: Integrity,
    /// SHA-256.
    pub content_hash: ContentHash,
}

impl TarballHashes {
    /// Both hashes of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self { integrity: Integrity::of(bytes), content_hash: ContentHash::of(bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str =
        "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==";

    #[test]
    fn integrity_reads_and_prints_one_spelling() {
        assert_eq!(Integrity::of(b"").to_string(), EMPTY);
        let parsed: Integrity = EMPTY.parse().unwrap();
        assert_eq!(parsed, Integrity::of(b""));
        let (hi, lo) = parsed.words();
        assert_eq!(Integrity::from_words(hi, lo), parsed);
    }

    #[test]
    fn anything_but_one_sha512_counts_as_none() {
        let check = |text: &str, expected| assert_eq!(text.parse::<Integrity>(), Err(expected), "{text}");
        check(&format!("{EMPTY} {EMPTY}"), IntegrityError::Several);
        check(&format!("{EMPTY}?opt"), IntegrityError::Several);
        check("sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=", IntegrityError::Algorithm);
        check(&EMPTY.replace("sha512", "SHA512"), IntegrityError::Algorithm);
        check("sha512-AAAA", IntegrityError::Encoding);
        check(EMPTY.trim_end_matches('='), IntegrityError::Encoding);
        check("", IntegrityError::Algorithm);
    }

    #[test]
    fn content_hash_is_sha256() {
        assert_eq!(
            ContentHash::of(b"abc").to_string(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
