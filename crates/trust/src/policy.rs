//! What the user wants done about a verdict. Data, apart from verdicts: no policy turns a bad verdict
//! into a good one, it only says whether to go on.

use serde::{Deserialize, Serialize};

use crate::verdict::Verdict;

/// What to do. Ordered by strictness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Go on.
    Allow,
    /// Say so and ask; where nobody can be asked, deny.
    Warn,
    /// Stop.
    Deny,
}

/// One action per verdict and finding that has a choice. `Mismatch`, `Revoked`, `Vetoed` and `Cooling` have none: they
/// are always denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Policy {
    /// Names 3pm knows nothing of.
    pub not_enrolled: Action,
    /// Versions from before the claim.
    pub legacy: Action,
    /// Versions of an enrolled package that nobody signed.
    pub unrecorded: Action,
    /// Verified, with a member's warning.
    pub flagged: Action,
    /// Dependencies that do not come from a registry: git, URL, file, link.
    pub non_registry: Action,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            not_enrolled: Action::Allow,
            legacy: Action::Allow,
            unrecorded: Action::Deny,
            flagged: Action::Warn,
            non_registry: Action::Warn,
        }
    }
}

impl Policy {
    /// What to do about `verdict`.
    #[must_use]
    pub fn action(&self, verdict: &Verdict) -> Action {
        match verdict {
            Verdict::Verified(_) => Action::Allow,
            Verdict::Legacy => self.legacy,
            Verdict::NotEnrolled => self.not_enrolled,
            Verdict::Unrecorded => self.unrecorded,
            Verdict::Flagged { .. } => self.flagged,
            Verdict::Mismatch(_) | Verdict::Revoked | Verdict::Vetoed | Verdict::Cooling { .. } => {
                Action::Deny
            }
        }
    }

    /// The stricter of the two in every line: a project may tighten what its user set, never loosen it.
    #[must_use]
    pub fn tightened_by(&self, other: &Self) -> Self {
        Self {
            not_enrolled: self.not_enrolled.max(other.not_enrolled),
            legacy: self.legacy.max(other.legacy),
            unrecorded: self.unrecorded.max(other.unrecorded),
            flagged: self.flagged.max(other.flagged),
            non_registry: self.non_registry.max(other.non_registry),
        }
    }
}
