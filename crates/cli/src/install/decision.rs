//! What the policy makes of the findings: go on, ask, or stop. Turns no finding into a better one.

use serde::Serialize;
use trust::policy::{Action, Policy};
use trust::verdict::Verdict;

use super::assess::{Finding, Outcome};
use super::entries::{Origin, Source};

/// What is to be done about one finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Call {
    /// Go on.
    Allow,
    /// Ask; where nobody can be asked, deny.
    Warn,
    /// It could not be found out, so nothing is installed.
    Undecided,
    /// Stop.
    Deny,
}

/// What is to be done about all of them together: the strictest.
pub(crate) fn decide(findings: &[Finding], policy: &Policy) -> Call {
    findings.iter().map(|finding| call(finding, policy)).max().unwrap_or(Call::Allow)
}

/// What is to be done about one.
pub(crate) fn call(finding: &Finding, policy: &Policy) -> Call {
    match &finding.outcome {
        Outcome::Refused(_) => Call::Deny,
        Outcome::Undecided(_) => Call::Undecided,
        Outcome::Own | Outcome::Bundled(_) => Call::Allow,
        Outcome::Elsewhere(_) => of_action(policy.non_registry),
        Outcome::NotAsked => origin_call(finding, policy),
        Outcome::Judged(verdict) => {
            let call = of_action(policy.action(verdict));
            match verdict {
                // Signed bytes are the signed bytes, whoever serves them.
                Verdict::Verified(_) | Verdict::Flagged { .. } | Verdict::Legacy => call,
                _ => call.max(origin_call(finding, policy)),
            }
        }
    }
}

/// A tarball that no configured registry serves is judged like any other source that is not a registry.
fn origin_call(finding: &Finding, policy: &Policy) -> Call {
    match &finding.subject.source {
        Ok(Source::Tarball(tarball)) if tarball.origin != Origin::Registry => of_action(policy.non_registry),
        _ => Call::Allow,
    }
}

fn of_action(action: Action) -> Call {
    match action {
        Action::Allow => Call::Allow,
        Action::Warn => Call::Warn,
        Action::Deny => Call::Deny,
    }
}

#[cfg(test)]
mod tests {
    use trust::verdict::Mismatch;

    use super::super::assess::Subject;
    use super::super::entries::{Problem, Tarball};
    use super::*;

    fn finding(outcome: Outcome, origin: Origin) -> Finding {
        let tarball = Tarball {
            name: "a".parse().unwrap(),
            version: "1.0.0".parse().ok(),
            integrity: trust::Integrity::of(b""),
            url: None,
            origin,
        };
        let subject = Subject {
            location: "node_modules/a".into(),
            name: "a".into(),
            version: Some("1.0.0".into()),
            manifest: None,
            source: Ok(Source::Tarball(tarball)),
        };
        Finding { subject, outcome, notes: vec![], files: None }
    }

    fn mismatch() -> Verdict {
        Verdict::Mismatch(Mismatch { what: String::new(), expected: String::new(), received: String::new() })
    }

    fn problem() -> Problem {
        Problem { what: String::new(), expected: String::new(), received: String::new() }
    }

    #[test]
    fn the_strictest_finding_decides_and_what_is_known_to_be_bad_outranks_what_is_not_known() {
        let policy = Policy::default();
        let of = |outcome| finding(outcome, Origin::Registry);
        let fine = of(Outcome::Judged(Verdict::NotEnrolled));
        let undecided = of(Outcome::Undecided(String::new()));
        let bad = of(Outcome::Judged(mismatch()));
        let elsewhere = of(Outcome::Elsewhere(String::new()));
        assert_eq!(decide(&[], &policy), Call::Allow);
        assert_eq!(decide(std::slice::from_ref(&fine), &policy), Call::Allow);
        assert_eq!(decide(&[fine.clone(), elsewhere.clone()], &policy), Call::Warn);
        assert_eq!(decide(&[fine.clone(), elsewhere, undecided.clone()], &policy), Call::Undecided);
        assert_eq!(decide(&[fine, undecided, bad], &policy), Call::Deny);
    }

    #[test]
    fn no_policy_lets_a_mismatch_a_refused_entry_or_an_open_question_pass() {
        let lax = Policy {
            not_enrolled: Action::Allow,
            legacy: Action::Allow,
            unrecorded: Action::Allow,
            flagged: Action::Allow,
            non_registry: Action::Allow,
        };
        for (outcome, expected) in [
            (Outcome::Judged(mismatch()), Call::Deny),
            (Outcome::Judged(Verdict::Revoked), Call::Deny),
            (Outcome::Judged(Verdict::Vetoed), Call::Deny),
            (Outcome::Judged(Verdict::Cooling { active_at: 1 }), Call::Deny),
            (Outcome::Refused(problem()), Call::Deny),
            (Outcome::Undecided(String::new()), Call::Undecided),
            (Outcome::Judged(Verdict::Unrecorded), Call::Allow),
        ] {
            assert_eq!(call(&finding(outcome, Origin::Registry), &lax), expected);
        }
    }

    #[test]
    fn another_host_matters_unless_the_bytes_are_the_signed_ones() {
        let policy = Policy::default();
        let other = || Origin::OtherHost("elsewhere.example".into());
        assert_eq!(call(&finding(Outcome::Judged(Verdict::NotEnrolled), other()), &policy), Call::Warn);
        assert_eq!(call(&finding(Outcome::NotAsked, other()), &policy), Call::Warn);
        assert_eq!(call(&finding(Outcome::NotAsked, Origin::Registry), &policy), Call::Allow);
        assert_eq!(call(&finding(Outcome::Judged(Verdict::Legacy), other()), &policy), Call::Allow);
    }
}
