//! What the policy makes of the findings: go on, ask, or stop. Turns no finding into a better one.

use serde::Serialize;
use trust::policy::{Action, Case, Known, Line, Origin, Policy};

use super::assess::{Finding, Outcome};
use super::entries::{self, Source};
use super::report::{End, Report};

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

/// What to do where the policy warns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum OnWarning {
    /// Ask; where nobody can be asked, stop.
    #[default]
    Ask,
    /// Go on: `--yes`.
    Accept,
    /// Stop: `--deny`.
    Refuse,
}

/// Whether sources that are no registry may be fetched before it is known what they are: fetching runs git, and git
/// may run more.
pub(crate) fn agreed_to_other_sources(on_warning: OnWarning, policy: &Policy) -> bool {
    match policy.non_registry() {
        Action::Allow => true,
        Action::Warn => on_warning == OnWarning::Accept,
        Action::Deny => false,
    }
}

/// What the policy makes of a report, and of its warnings the person, where there is one.
pub(crate) async fn settle(
    report: &Report,
    on_warning: OnWarning,
    interactive: bool,
    ask: &impl AsyncFn(&Report) -> bool,
) -> End {
    match (report.call(), on_warning) {
        (Call::Deny | Call::Undecided, _) => End::Refused,
        (Call::Allow, _) | (Call::Warn, OnWarning::Accept) => End::Checked,
        (Call::Warn, OnWarning::Ask) if interactive => {
            if ask(report).await {
                End::Checked
            } else {
                End::Declined { asked: true }
            }
        }
        (Call::Warn, OnWarning::Ask | OnWarning::Refuse) => End::Declined { asked: false },
    }
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
        _ => match line(finding, policy).map_or(Action::Allow, |line| line.action) {
            Action::Allow => Call::Allow,
            Action::Warn => Call::Warn,
            Action::Deny => Call::Deny,
        },
    }
}

/// The line of the policy that decides about one; none where there is nothing to decide.
pub(crate) fn line(finding: &Finding, policy: &Policy) -> Option<Line> {
    case(finding).map(|case| policy.decide(&case))
}

/// A line in words: `denied by youngRelease in 3pm.toml: released 2 hours ago, and the minimum is 3 days`.
pub(crate) fn in_words(line: &Line) -> String {
    let verb = match line.action {
        Action::Allow => "allowed",
        Action::Warn => "warned of",
        Action::Deny => "denied",
    };
    let place = match &line.origin {
        Origin::BuiltIn => ", which is built in".to_owned(),
        origin => format!(" in {origin}"),
    };
    let because = line.because.as_ref().map(|because| format!(": {because}")).unwrap_or_default();
    format!("{verb} by {}{place}{because}", line.rule.key())
}

/// What a policy is asked about a finding.
pub(crate) fn case(finding: &Finding) -> Option<Case<'_>> {
    let known = match &finding.outcome {
        Outcome::Refused(_) | Outcome::Undecided(_) | Outcome::Own | Outcome::Bundled(_) => return None,
        Outcome::Elsewhere(_) => Known::Elsewhere,
        Outcome::NotAsked => Known::NotAsked,
        Outcome::Judged(verdict) => Known::Judged(verdict),
    };
    // A tarball that no configured registry serves is judged like any other source that is not a registry. What is
    // bundled and was judged comes with its carrier.
    let from_registry = match &finding.subject.source {
        Ok(Source::Tarball(tarball)) => tarball.origin == entries::Origin::Registry,
        _ => !matches!(known, Known::Elsewhere),
    };
    Some(Case { name: &finding.subject.name, known, from_registry, released: finding.released })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use trust::policy::Released;
    use trust::verdict::{Mismatch, Verdict};

    use super::super::assess::Subject;
    use super::super::entries::{Origin, Problem, Tarball};
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
        Finding { subject, outcome, notes: vec![], released: Released::NotAsked }
    }

    fn policy(user: serde_json::Value) -> Policy {
        Policy::new(serde_json::from_value(user).unwrap(), vec![], 0)
    }

    fn mismatch() -> Verdict {
        Verdict::Mismatch(Mismatch { what: String::new(), expected: String::new(), received: String::new() })
    }

    fn problem() -> Problem {
        Problem { what: String::new(), expected: String::new(), received: String::new() }
    }

    #[test]
    fn the_strictest_finding_decides_and_what_is_known_to_be_bad_outranks_what_is_not_known() {
        let policy = policy(json!({}));
        let of = |outcome| finding(outcome, Origin::Registry);
        let fine = of(Outcome::Judged(Verdict::NotEnrolled));
        let undecided = of(Outcome::Undecided(String::new()));
        let bad = of(Outcome::Judged(mismatch()));
        let elsewhere = Finding {
            subject: Subject {
                source: Ok(Source::Git { repository: String::new() }),
                ..of(Outcome::Own).subject
            },
            ..of(Outcome::Elsewhere(String::new()))
        };
        assert_eq!(decide(&[], &policy), Call::Allow);
        assert_eq!(decide(std::slice::from_ref(&fine), &policy), Call::Allow);
        assert_eq!(decide(&[fine.clone(), elsewhere.clone()], &policy), Call::Warn);
        assert_eq!(decide(&[fine.clone(), elsewhere, undecided.clone()], &policy), Call::Undecided);
        assert_eq!(decide(&[fine, undecided, bad], &policy), Call::Deny);
    }

    #[test]
    fn no_policy_lets_a_mismatch_a_refused_entry_or_an_open_question_pass() {
        let lax = policy(json!({
            "notEnrolled": "allow", "legacy": "allow", "unrecorded": "allow", "flagged": "allow", "nonRegistry": "allow",
        }));
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
        let policy = policy(json!({}));
        let other = || Origin::OtherHost("elsewhere.example".into());
        assert_eq!(call(&finding(Outcome::Judged(Verdict::NotEnrolled), other()), &policy), Call::Warn);
        assert_eq!(call(&finding(Outcome::NotAsked, other()), &policy), Call::Warn);
        assert_eq!(call(&finding(Outcome::NotAsked, Origin::Registry), &policy), Call::Allow);
        assert_eq!(call(&finding(Outcome::Judged(Verdict::Legacy), other()), &policy), Call::Allow);
    }

    #[test]
    fn what_lies_inside_a_checked_tarball_or_is_the_projects_own_is_not_required_to_be_signed() {
        let policy = policy(json!({"required": ["*"]}));
        assert_eq!(call(&finding(Outcome::Own, Origin::Registry), &policy), Call::Allow);
        assert_eq!(call(&finding(Outcome::Bundled(String::new()), Origin::Registry), &policy), Call::Allow);
        assert_eq!(call(&finding(Outcome::NotAsked, Origin::Registry), &policy), Call::Deny);
    }
}
