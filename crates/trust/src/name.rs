//! Package names, exactly as npm accepts them. Never folded: `JSONStream` and `jsonstream` are two
//! live packages. Does not ask whether a name exists.
//!
//! Source of the rules: npm's validate-npm-package-name (the legacy set, so that every published name
//! passes) intersected with the contract's: ASCII, 1 to 214 bytes, optional `@scope/`.

use std::fmt;
use std::str::FromStr;

use alloy_primitives::{B256, keccak256};
use serde::{Deserialize, Serialize};

/// The longest name npm accepts, in bytes, scope included.
pub const MAX_NAME_BYTES: usize = 214;

/// A package name in its exact spelling.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackageName(String);

/// Why a string is not a package name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty, or longer than [`MAX_NAME_BYTES`].
    #[error("package name has {found} bytes, expected 1 to {MAX_NAME_BYTES}")]
    Length {
        /// How many bytes it has.
        found: usize,
    },
    /// A character outside npm's set.
    #[error(
        "package name holds {found:?} at byte {at}, expected letters, digits, '-', '_', '.', '~' and the like"
    )]
    Character {
        /// The character.
        found: char,
        /// Its offset in bytes.
        at: usize,
    },
    /// Not `name` or `@scope/name`.
    #[error("package name is malformed, expected `name` or `@scope/name`")]
    Shape,
}

impl PackageName {
    /// The name as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key of this name in the contracts: `keccak256(bytes(name))`.
    #[must_use]
    pub fn id(&self) -> B256 {
        keccak256(self.0.as_bytes())
    }

    /// `@scope` of a scoped name.
    #[must_use]
    pub fn scope(&self) -> Option<&str> {
        self.0.split_once('/').map(|(scope, _)| scope)
    }

    /// The part after the scope: what npm puts in front of a tarball's file name.
    #[must_use]
    pub fn base(&self) -> &str {
        self.0.split_once('/').map_or(self.0.as_str(), |(_, base)| base)
    }

    /// The name as one segment of a registry URL: `@scope%2fname`.
    #[must_use]
    pub fn url_segment(&self) -> String {
        self.0.replace('/', "%2f")
    }
}

impl FromStr for PackageName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() || text.len() > MAX_NAME_BYTES {
            return Err(NameError::Length { found: text.len() });
        }
        match text.strip_prefix('@') {
            Some(rest) => {
                let (scope, base) = rest.split_once('/').ok_or(NameError::Shape)?;
                check_part(scope, 1)?;
                check_part(base, scope.len().saturating_add(2))?;
            }
            None => {
                check_part(text, 0)?;
                if text.starts_with(['.', '_']) || matches!(text, "node_modules" | "favicon.ico") {
                    return Err(NameError::Shape);
                }
            }
        }
        Ok(Self(text.to_owned()))
    }
}

/// One side of the slash: not empty, not a path component, only characters a URL carries unescaped.
fn check_part(part: &str, offset: usize) -> Result<(), NameError> {
    if part.is_empty() || part == "." || part == ".." {
        return Err(NameError::Shape);
    }
    for (at, found) in part.char_indices() {
        if !found.is_ascii_alphanumeric()
            && !matches!(found, '-' | '_' | '.' | '~' | '!' | '\'' | '(' | ')' | '*')
        {
            return Err(NameError::Character { found, at: at.saturating_add(offset) });
        }
    }
    Ok(())
}

impl TryFrom<String> for PackageName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<PackageName> for String {
    fn from(name: PackageName) -> Self {
        name.0
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(), NameError>) {
        assert_eq!(text.parse::<PackageName>().map(|_| ()), expected, "{text:?}");
    }

    #[test]
    fn names_npm_accepts_pass_unchanged() {
        for text in ["left-pad", "JSONStream", "@scope/name", "a", "lodash.merge", "@a/.b", "~tilde"] {
            check(text, Ok(()));
            assert_eq!(text.parse::<PackageName>().unwrap().as_str(), text);
        }
        check(&"a".repeat(214), Ok(()));
    }

    #[test]
    fn anything_else_is_refused_with_its_reason() {
        check("", Err(NameError::Length { found: 0 }));
        check(&"a".repeat(215), Err(NameError::Length { found: 215 }));
        check("a/b", Err(NameError::Character { found: '/', at: 1 }));
        check("@scope", Err(NameError::Shape));
        check("@/b", Err(NameError::Shape));
        check("@a/b/c", Err(NameError::Character { found: '/', at: 4 }));
        check("@a/..", Err(NameError::Shape));
        check("..", Err(NameError::Shape));
        check(".hidden", Err(NameError::Shape));
        check("lod\u{430}sh", Err(NameError::Character { found: '\u{430}', at: 3 }));
        check("a b", Err(NameError::Character { found: ' ', at: 1 }));
        check("node_modules", Err(NameError::Shape));
    }

    #[test]
    fn case_makes_two_names() {
        let upper: PackageName = "JSONStream".parse().unwrap();
        let lower: PackageName = "jsonstream".parse().unwrap();
        assert_ne!(upper.id(), lower.id());
    }
}
