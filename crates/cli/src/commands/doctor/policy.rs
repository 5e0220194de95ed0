//! Whether the policy that holds here can be read, and where it is looser than what is built in.

use trust::policy::{Action, Origin, Policy, Rule};

use super::{Check, Finding, limited};
use crate::context::Context;

const AREA: &str = "configured";

/// What holds in this folder.
pub(super) fn checks(context: &Context) -> Vec<Check<'_>> {
    vec![limited(AREA, "policy", async move {
        let folder = std::env::current_dir().map_err(Into::into);
        match folder.and_then(|folder| context.policy(&folder)) {
            Ok(policy) => judge(&policy),
            Err(failure) => {
                vec![Finding::fail(AREA, "policy", failure.sentence()).fix("mend the file; docs/policy.md")]
            }
        }
    })]
}

fn judge(policy: &Policy) -> Vec<Finding> {
    let mut findings = Vec::new();
    let unsigned = policy.effective(Rule::Unrecorded);
    if unsigned.is_some_and(|line| line.action == Action::Allow) {
        let says =
            "versions that an enrolled package's maintainers did not sign are installed without a word";
        findings.push(Finding::warn(AREA, "policy", says).fix("take \"unrecorded\" out of config.json"));
    }
    for (origin, rules) in policy.layers() {
        for exception in rules.exceptions.iter().filter(|exception| policy.is_over(exception)) {
            let says =
                format!("the exception for {} in {origin} ended on {}", exception.package, exception.until);
            findings.push(Finding::warn(AREA, "policy", says).fix("take it out, or give it another day"));
        }
    }
    if !findings.is_empty() {
        return findings;
    }
    let projects: Vec<String> = policy
        .layers()
        .filter_map(|(origin, _)| match origin {
            Origin::Project(path) => Some(path),
            _ => None,
        })
        .collect();
    let says = match projects.is_empty() {
        true => "the user's alone: no 3pm.toml here or above".to_owned(),
        false => format!("the user's, tightened by {}", projects.join(", ")),
    };
    vec![Finding::ok(AREA, "policy", says)]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use trust::policy::Rules;

    use super::super::Level;
    use super::*;

    fn words(user: serde_json::Value, projects: &[&str]) -> Vec<(Level, String)> {
        let rules = serde_json::from_value(user).unwrap();
        let projects = projects.iter().map(|path| ((*path).to_owned(), Rules::default()));
        let findings = judge(&Policy::new(rules, projects.collect(), 1_795_392_000));
        findings.into_iter().map(|finding| (finding.level, finding.says)).collect()
    }

    #[test]
    fn what_is_looser_than_built_in_or_over_deserves_a_look() {
        let check = |user, level, part: &str| {
            let found = words(user, &[]);
            assert!(found.len() == 1 && found[0].0 == level && found[0].1.contains(part), "{found:?}");
        };
        check(json!({}), Level::Ok, "no 3pm.toml");
        check(json!({"unrecorded": "allow"}), Level::Warn, "did not sign");
        let exception =
            |until: &str| json!({"exceptions": [{"rule": "legacy", "package": "a", "until": until}]});
        check(exception("2026-11-22"), Level::Warn, "ended on 2026-11-22");
        check(exception("2026-11-23"), Level::Ok, "");
        let tightened = words(json!({}), &["3pm.toml"]);
        assert!(tightened[0].1.contains("tightened by 3pm.toml"), "{tightened:?}");
    }
}
