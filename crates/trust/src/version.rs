//! Versions: strict SemVer 2.0.0 without build metadata. Does not resolve ranges.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use alloy_primitives::{B256, keccak256};
use serde::{Deserialize, Serialize};

/// The longest version the contract stores, in bytes.
pub const MAX_VERSION_BYTES: usize = 64;

/// A version that npm and the contract spell the same way.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(semver::Version);

/// Why a string is not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Empty, or longer than [`MAX_VERSION_BYTES`].
    #[error("version has {found} bytes, expected 1 to {MAX_VERSION_BYTES}")]
    Length {
        /// How many bytes it has.
        found: usize,
    },
    /// Not SemVer.
    #[error("version {found:?} is not strict SemVer: {reason}")]
    Grammar {
        /// What was given.
        found: String,
        /// What the grammar says.
        reason: String,
    },
    /// Carries `+build`, which npm drops silently.
    #[error("version {found:?} carries build metadata, expected none: npm drops it")]
    Build {
        /// What was given.
        found: String,
    },
}

impl Version {
    /// Whether the version has no pre-release part.
    #[must_use]
    pub fn is_stable(&self) -> bool {
        self.0.pre.is_empty()
    }

    /// The key of this version in the contract: `keccak256(bytes(version))`.
    #[must_use]
    pub fn hash(&self) -> B256 {
        keccak256(self.to_string().as_bytes())
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        if text.is_empty() || text.len() > MAX_VERSION_BYTES {
            return Err(VersionError::Length { found: text.len() });
        }
        let version = semver::Version::parse(text)
            .map_err(|error| VersionError::Grammar { found: text.to_owned(), reason: error.to_string() })?;
        if !version.build.is_empty() {
            return Err(VersionError::Build { found: text.to_owned() });
        }
        Ok(Self(version))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp_precedence(&other.0)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl TryFrom<String> for Version {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_semver_passes_and_prints_as_it_came() {
        for text in ["0.0.0", "1.2.3", "10.20.30-alpha.1", "1.0.0-0A.is.legal", "0.0.0-3pm.0hff"] {
            assert_eq!(text.parse::<Version>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn everything_npm_would_rewrite_is_refused() {
        for text in ["v1.0.0", "1.0", "01.0.0", "1.0.0-01", " 1.0.0", "1.0.0 ", "=1.0.0", "latest", "1.x"] {
            assert!(matches!(text.parse::<Version>(), Err(VersionError::Grammar { .. })), "{text:?}");
        }
        assert!(matches!("1.0.0+b".parse::<Version>(), Err(VersionError::Build { .. })));
        assert_eq!("".parse::<Version>(), Err(VersionError::Length { found: 0 }));
        assert_eq!(
            format!("1.0.0-{}", "a".repeat(59)).parse::<Version>(),
            Err(VersionError::Length { found: 65 })
        );
    }

    #[test]
    fn order_is_semver_precedence() {
        let of = |text: &str| text.parse::<Version>().unwrap();
        assert!(of("1.0.0-rc.1") < of("1.0.0"));
        assert!(of("1.0.0-rc.2") < of("1.0.0-rc.10"));
        assert!(of("2.0.0") > of("1.99.99"));
    }
}
