//! The shape of a policy in a file: `policy` of the user's `config.json`, and the same under `[policy]` in a project's
//! `3pm.toml`. What is missing says nothing; what is unknown is an error. Decides nothing.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::{Action, Rule, Span};
use crate::{Integrity, PackageName};

/// Rules, as one file has them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Rules {
    /// Names 3pm knows nothing of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_enrolled: Option<Action>,
    /// Versions from before the claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub legacy: Option<Action>,
    /// Versions of an enrolled package that nobody signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unrecorded: Option<Action>,
    /// Verified, with a member's warning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flagged: Option<Action>,
    /// Dependencies that do not come from a registry: git, URL, file, link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub non_registry: Option<Action>,
    /// Packages that have to be verified.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub required: Vec<Pattern>,
    /// How long a version has to have been out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_release_age: Option<Span>,
    /// What to do about one that has not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub young_release: Option<Action>,
    /// Whose install scripts run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scripts: Option<ScriptRule>,
    /// Tarballs whose install scripts run all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approved_scripts: Vec<Approval>,
    /// How old records may be when the chain does not answer; 0 for not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offline: Option<Span>,
    /// What a line does not hold for, and how long.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<Exception>,
}

/// Whose install scripts run. Ordered by strictness. Which of those the package manager would run is its own matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScriptRule {
    /// Everybody's.
    Allow,
    /// Those of verified packages, and approved ones.
    Verified,
    /// Approved ones.
    Deny,
}

/// A tarball whose install scripts may run: the approval ends with the first byte that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Approval {
    /// Whose.
    pub package: PackageName,
    /// Its version, for those who read the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The hash of the tarball, in which the scripts and the files they run are.
    pub integrity: Integrity,
}

/// Something that a line does not hold for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Exception {
    /// The line.
    pub rule: Rule,
    /// Which packages.
    pub package: Pattern,
    /// The last day of it, UTC.
    pub until: Date,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Rules {
    /// What it says about `rule`, where that is an action.
    pub(super) fn action(&self, rule: Rule) -> Option<Action> {
        match rule {
            Rule::NotEnrolled => self.not_enrolled,
            Rule::Legacy => self.legacy,
            Rule::Unrecorded => self.unrecorded,
            Rule::Flagged => self.flagged,
            Rule::NonRegistry => self.non_registry,
            Rule::YoungRelease => self.young_release,
            Rule::Fixed | Rule::Required | Rule::Scripts => None,
        }
    }
}

/// A name, everything in a scope (`@scope/*`), everything that begins alike (`eslint-*`), or everything (`*`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(String);

/// Why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} names no packages, expected a name, \"@scope/*\", \"begins-like-*\" or \"*\"")]
pub struct PatternError {
    found: String,
}

impl Pattern {
    /// Whether `name` is meant.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self.0.strip_suffix('*') {
            // `eslint-*` means no scope.
            Some(prefix) => {
                name.starts_with(prefix) && (prefix.is_empty() || prefix.contains('/') || !name.contains('/'))
            }
            None => self.0 == name,
        }
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        // A star in the place of a letter leaves a name, and a scope is whole.
        let example = text.strip_suffix('*').map_or_else(|| text.to_owned(), |prefix| format!("{prefix}a"));
        let is_whole_scope = !text.starts_with('@') || text.contains('/');
        if example.parse::<PackageName>().is_ok() && is_whole_scope && !example.contains('*') {
            Ok(Self(text.to_owned()))
        } else {
            Err(PatternError { found: text.chars().take(80).collect() })
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Pattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0
    }
}

/// A day, UTC, as in `2027-01-31`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Date(time::Date);

/// Why a text is not a day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not a day, expected one in quotes as in \"2027-01-31\"")]
pub struct DateError {
    found: String,
}

const DAY: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");

impl Date {
    /// Whether the whole of it lies before `now`, in Unix seconds.
    #[must_use]
    pub fn is_over(self, now: u64) -> bool {
        let end = self.0.next_day().map(|next| next.midnight().assume_utc().unix_timestamp());
        end.is_some_and(|end| u64::try_from(end).map_or(true, |end| now >= end))
    }
}

impl FromStr for Date {
    type Err = DateError;

    fn from_str(text: &str) -> Result<Self, DateError> {
        let wrong = |_| DateError { found: text.chars().take(40).collect() };
        time::Date::parse(text, DAY).map(Self).map_err(wrong)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.0.year(), u8::from(self.0.month()), self.0.day())
    }
}

impl TryFrom<String> for Date {
    type Error = DateError;

    fn try_from(text: String) -> Result<Self, DateError> {
        text.parse()
    }
}

impl From<Date> for String {
    fn from(date: Date) -> Self {
        date.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_names_scopes_beginnings_or_everything() {
        let check = |pattern: &str, name: &str, expected: bool| {
            let parsed: Pattern = pattern.parse().unwrap();
            assert_eq!(parsed.matches(name), expected, "{pattern} {name}");
        };
        check("left-pad", "left-pad", true);
        check("left-pad", "left-pad2", false);
        check("@acme/*", "@acme/tool", true);
        check("@acme/*", "@acme-evil/tool", false);
        check("@acme/b*", "@acme/bar", true);
        check("eslint-*", "eslint-plugin", true);
        check("eslint-*", "eslint-x/y", false);
        check("*", "anything", true);
        check("*", "@acme/tool", true);
    }

    #[test]
    fn what_could_mean_more_than_it_seems_is_no_pattern() {
        for pattern in ["", "@acme*", "@acme", "@*", "@*/x", "a*b", "**", "a b", "../x"] {
            assert!(pattern.parse::<Pattern>().is_err(), "{pattern}");
        }
    }

    #[test]
    fn a_day_lasts_until_its_end() {
        let date: Date = "2027-01-31".parse().unwrap();
        // 2027-02-01T00:00:00Z
        assert!(!date.is_over(1_801_439_999));
        assert!(date.is_over(1_801_440_000));
        assert_eq!(date.to_string(), "2027-01-31");
        for text in ["2027-1-31", "2027-02-30", "31.1.2027", "", "2027-01-31T00:00:00Z"] {
            assert!(text.parse::<Date>().is_err(), "{text}");
        }
    }
}
