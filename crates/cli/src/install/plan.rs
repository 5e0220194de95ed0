//! What a dry run would change: packages by name and version, as they lie there before and would lie afterwards.
//! Judges none of them.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;
use trust::text::printable;

use super::assess::Finding;
use crate::output::counted;

/// Packages, each as `name@version`.
pub(crate) type Laid = BTreeSet<String>;

/// The change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Plan {
    /// New ones.
    pub(crate) installs: Laid,
    /// Those that would be gone.
    pub(crate) removes: Laid,
    /// How many stay.
    pub(crate) stays: usize,
}

impl Plan {
    /// Between two states.
    pub(crate) fn between(before: &Laid, after: &Laid) -> Self {
        Self {
            installs: after.difference(before).cloned().collect(),
            removes: before.difference(after).cloned().collect(),
            stays: after.intersection(before).count(),
        }
    }

    /// The first line: what would happen, in numbers.
    pub(crate) fn title(&self) -> String {
        let mut parts = vec![match self.installs.len() {
            0 => "Would install nothing new".to_owned(),
            count => format!("Would install {}", counted(count, "package")),
        }];
        parts.extend(
            (!self.removes.is_empty()).then(|| format!("remove {}", counted(self.removes.len(), "package"))),
        );
        parts.extend(match self.stays {
            0 => None,
            1 => Some("leave 1 as it is".to_owned()),
            count => Some(format!("leave {count} as they are")),
        });
        parts.join(", ")
    }
}

/// A package in a plan, by what it says of itself.
pub(crate) fn package(manifest: &Value) -> String {
    let text = |field: &str| manifest.get(field).and_then(Value::as_str).unwrap_or_default();
    printable(&format!("{}@{}", text("name"), text("version")), 300)
}

/// The same, by what was found.
pub(crate) fn package_of(finding: &Finding) -> String {
    let subject = &finding.subject;
    printable(&format!("{}@{}", subject.name, subject.version.as_deref().unwrap_or_default()), 300)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_what_differs() {
        let laid = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Laid>();
        let check = |before: &[&str], after: &[&str], expected: &str| {
            assert_eq!(Plan::between(&laid(before), &laid(after)).title(), expected);
        };
        check(&[], &["a@1"], "Would install 1 package");
        check(
            &["a@1", "b@1"],
            &["a@2", "b@1"],
            "Would install 1 package, remove 1 package, leave 1 as it is",
        );
        check(&["a@1", "b@1"], &["a@1", "b@1"], "Would install nothing new, leave 2 as they are");
        check(&["a@1", "b@1"], &[], "Would install nothing new, remove 2 packages");
    }
}
