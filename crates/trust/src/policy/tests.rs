use super::*;
use crate::verdict::Mismatch;

/// 2026-11-23T00:00:00Z.
const NOW: u64 = 1_795_392_000;

fn rules(json: serde_json::Value) -> Rules {
    serde_json::from_value(json).unwrap()
}

fn policy(user: serde_json::Value, project: serde_json::Value) -> Policy {
    Policy::new(rules(user), vec![("3pm.toml".into(), rules(project))], NOW)
}

fn judged(verdict: &Verdict) -> Case<'_> {
    Case {
        name: "left-pad",
        known: Known::Judged(verdict),
        from_registry: true,
        released: Released::NotAsked,
    }
}

fn action(user: serde_json::Value, project: serde_json::Value, case: &Case<'_>) -> Action {
    policy(user, project).decide(case).action
}

use serde_json::json;

#[test]
fn without_a_line_what_is_built_in_decides() {
    for (verdict, expected) in [
        (Verdict::NotEnrolled, Action::Allow),
        (Verdict::Legacy, Action::Allow),
        (Verdict::Unrecorded, Action::Deny),
    ] {
        let line = policy(json!({}), json!({})).decide(&judged(&verdict));
        assert_eq!((line.action, line.origin), (expected, Origin::BuiltIn), "{verdict:?}");
    }
    let elsewhere = Case { from_registry: false, known: Known::Elsewhere, ..judged(&Verdict::Legacy) };
    assert_eq!(action(json!({}), json!({}), &elsewhere), Action::Warn);
}

#[test]
fn a_user_may_loosen_what_is_built_in_and_a_project_may_only_tighten_it() {
    let case = judged(&Verdict::Unrecorded);
    assert_eq!(action(json!({"unrecorded": "warn"}), json!({}), &case), Action::Warn);
    assert_eq!(action(json!({}), json!({"unrecorded": "allow"}), &case), Action::Deny);
    assert_eq!(action(json!({"unrecorded": "warn"}), json!({"unrecorded": "allow"}), &case), Action::Warn);
    let line = policy(json!({"unrecorded": "allow"}), json!({"unrecorded": "deny"})).decide(&case);
    assert_eq!((line.action, line.origin), (Action::Deny, Origin::Project("3pm.toml".into())));
}

#[test]
fn no_line_and_no_exception_allows_what_is_denied_for_good() {
    let lax = json!({
        "notEnrolled": "allow", "legacy": "allow", "unrecorded": "allow", "flagged": "allow", "nonRegistry": "allow",
        "exceptions": [{"rule": "fixed", "package": "*", "until": "2099-01-01"}],
    });
    let mismatch = Mismatch { what: String::new(), expected: String::new(), received: String::new() };
    for verdict in
        [Verdict::Mismatch(mismatch), Verdict::Revoked, Verdict::Vetoed, Verdict::Cooling { active_at: 0 }]
    {
        assert_eq!(action(lax.clone(), json!({}), &judged(&verdict)), Action::Deny, "{verdict:?}");
    }
}

#[test]
fn another_host_matters_unless_somebody_stands_for_the_bytes() {
    let at = |verdict| Case { from_registry: false, ..judged(verdict) };
    assert_eq!(action(json!({}), json!({}), &at(&Verdict::NotEnrolled)), Action::Warn);
    assert_eq!(action(json!({}), json!({}), &at(&Verdict::Legacy)), Action::Allow);
    let not_asked = Case { known: Known::NotAsked, ..at(&Verdict::Legacy) };
    assert_eq!(action(json!({}), json!({"nonRegistry": "deny"}), &not_asked), Action::Deny);
}

#[test]
fn before_it_is_known_which_sources_are_meant_an_exception_leaves_them_to_a_person() {
    let excepting = |until: &str| {
        json!({
            "nonRegistry": "deny", "exceptions": [{"rule": "nonRegistry", "package": "fork", "until": until}],
        })
    };
    assert_eq!(policy(json!({}), json!({})).non_registry(), Action::Warn);
    assert_eq!(policy(json!({"nonRegistry": "allow"}), json!({})).non_registry(), Action::Allow);
    assert_eq!(
        policy(json!({"nonRegistry": "allow"}), json!({"nonRegistry": "deny"})).non_registry(),
        Action::Deny
    );
    assert_eq!(policy(excepting("2027-01-01"), json!({})).non_registry(), Action::Warn);
    assert_eq!(policy(excepting("2026-01-01"), json!({})).non_registry(), Action::Deny);
    assert_eq!(policy(excepting("2027-01-01"), json!({"nonRegistry": "deny"})).non_registry(), Action::Deny);
}

#[test]
fn a_required_package_is_verified_or_denied() {
    let required = json!({"required": ["left-*"]});
    for known in [
        Known::Judged(&Verdict::NotEnrolled),
        Known::Judged(&Verdict::Legacy),
        Known::NotAsked,
        Known::Elsewhere,
    ] {
        let case = Case { known, ..judged(&Verdict::Legacy) };
        let line = policy(json!({}), required.clone()).decide(&case);
        assert_eq!((line.rule, line.action), (Rule::Required, Action::Deny), "{known:?}");
        let other = Case { name: "right-pad", from_registry: true, ..case };
        assert_ne!(policy(json!({}), required.clone()).decide(&other).rule, Rule::Required);
    }
}

#[test]
fn a_version_has_to_have_been_out_for_the_minimum_age() {
    let minimum = json!({"minimumReleaseAge": "3 days"});
    let day = 86_400;
    for (released, expected) in [
        (Released::At(NOW - 3 * day), Action::Allow),
        (Released::At(NOW - 3 * day + 1), Action::Deny),
        (Released::At(NOW + day), Action::Deny),
        (Released::Unknown, Action::Deny),
        (Released::NotAsked, Action::Deny),
    ] {
        let case = Case { released, ..judged(&Verdict::NotEnrolled) };
        assert_eq!(action(minimum.clone(), json!({}), &case), expected, "{released:?}");
        let line = policy(json!({}), minimum.clone()).decide(&case);
        assert_eq!(line.action, expected, "{released:?}");
        assert!(expected == Action::Allow || line.origin == Origin::Project("3pm.toml".into()));
        let softly = json!({"minimumReleaseAge": "3 days", "youngRelease": "warn"});
        assert_eq!(action(softly, json!({}), &case), expected.min(Action::Warn));
    }
    assert!(!policy(json!({}), json!({})).asks_release_age());
    assert!(policy(json!({}), minimum).asks_release_age());
}

#[test]
fn an_exception_holds_for_its_layer_its_rule_and_its_packages_until_its_day_is_over() {
    let case = Case { released: Released::At(NOW), ..judged(&Verdict::NotEnrolled) };
    let with = |rule: &str, package: &str, until: &str| {
        json!({
            "minimumReleaseAge": "3 days",
            "exceptions": [{"rule": rule, "package": package, "until": until, "reason": "ours"}],
        })
    };
    let good = with("youngRelease", "left-pad", "2026-11-23");
    assert_eq!(action(good.clone(), json!({}), &case), Action::Allow);
    assert_eq!(action(with("youngRelease", "left-pad", "2026-11-22"), json!({}), &case), Action::Deny);
    assert_eq!(action(with("youngRelease", "right-pad", "2026-11-23"), json!({}), &case), Action::Deny);
    assert_eq!(action(with("legacy", "left-pad", "2026-11-23"), json!({}), &case), Action::Deny);
    // One of the project is none of the user.
    assert_eq!(action(json!({"minimumReleaseAge": "1 day"}), good, &case), Action::Deny);
}

#[test]
fn an_exception_says_why_and_one_that_ended_says_so() {
    let with = |until: &str| json!({"exceptions": [{"rule": "unrecorded", "package": "*", "until": until, "reason": "until #12"}]});
    let because =
        |until: &str| policy(with(until), json!({})).decide(&judged(&Verdict::Unrecorded)).because.unwrap();
    assert_eq!(because("2027-01-01"), "excepted until 2027-01-01: until #12");
    assert_eq!(because("2026-01-01"), "an exception for * ended on 2026-01-01");
    // And what it was an exception from is said all the same.
    let young = json!({
        "minimumReleaseAge": "3 days",
        "exceptions": [{"rule": "youngRelease", "package": "*", "until": "2026-01-01"}],
    });
    let case = Case { released: Released::At(NOW - 3600), ..judged(&Verdict::NotEnrolled) };
    let because = policy(young, json!({})).decide(&case).because.unwrap();
    assert_eq!(
        because,
        "released 1 hour ago, and the minimum is 3 days; an exception for * ended on 2026-01-01"
    );
}

#[test]
fn scripts_run_where_every_layer_lets_them() {
    let bytes = Integrity::of(b"tarball");
    let decide = |user, project, integrity, verified| {
        policy(user, project).decide_script("esbuild", integrity, verified).action
    };
    let approving = |rule: &str, name: &str, bytes: Integrity| json!({"scripts": rule, "approvedScripts": [{"package": name, "integrity": bytes.to_string()}]});
    let approved = approving("deny", "esbuild", bytes);
    assert_eq!(decide(json!({}), json!({}), Some(bytes), false), Action::Allow);
    assert_eq!(decide(json!({"scripts": "deny"}), json!({}), Some(bytes), true), Action::Deny);
    assert_eq!(decide(json!({"scripts": "verified"}), json!({}), Some(bytes), true), Action::Allow);
    assert_eq!(decide(json!({"scripts": "verified"}), json!({}), Some(bytes), false), Action::Deny);
    assert_eq!(decide(approved.clone(), json!({}), Some(bytes), false), Action::Allow);
    // Other bytes, another package, no bytes; and what the project approves is not approved by the user.
    assert_eq!(decide(approved.clone(), json!({}), Some(Integrity::of(b"other")), false), Action::Deny);
    assert_eq!(decide(approving("deny", "sharp", bytes), json!({}), Some(bytes), false), Action::Deny);
    assert_eq!(decide(approved.clone(), json!({}), None, false), Action::Deny);
    assert_eq!(decide(json!({"scripts": "deny"}), approved.clone(), Some(bytes), false), Action::Deny);
    assert_eq!(decide(json!({}), approved, Some(bytes), false), Action::Allow);
    assert!(!policy(json!({}), json!({"scripts": "allow"})).restricts_scripts());
    assert!(policy(json!({}), json!({"scripts": "verified"})).restricts_scripts());
}

#[test]
fn records_serve_offline_for_the_shortest_time_that_anybody_wants() {
    let day = 86_400;
    assert_eq!(policy(json!({}), json!({})).offline_seconds(day), day);
    assert_eq!(policy(json!({"offline": "2 days"}), json!({})).offline_seconds(day), 2 * day);
    assert_eq!(policy(json!({"offline": "2 days"}), json!({"offline": "1h"})).offline_seconds(day), 3_600);
    assert_eq!(policy(json!({"offline": "1h"}), json!({"offline": "2 days"})).offline_seconds(day), 3_600);
    assert_eq!(policy(json!({"offline": "0"}), json!({})).offline_seconds(day), 0);
}

#[test]
fn a_key_or_a_word_that_is_not_known_is_an_error() {
    for wrong in [
        json!({"legcy": "deny"}),
        json!({"legacy": "refuse"}),
        json!({"minimumReleaseAge": 3}),
        json!({"required": ["@acme*"]}),
        json!({"exceptions": [{"rule": "legacy", "package": "a"}]}),
        json!({"approvedScripts": [{"package": "a", "integrity": "sha1-AAAA"}]}),
    ] {
        assert!(serde_json::from_value::<Rules>(wrong.clone()).is_err(), "{wrong}");
    }
}

#[test]
fn every_rule_has_the_key_under_which_files_know_it() {
    for (rule, _) in BUILT_IN {
        assert_eq!(serde_json::to_value(rule).unwrap(), rule.key());
        assert!(rules(json!({rule.key(): "deny"})).action(rule) == Some(Action::Deny), "{rule:?}");
    }
}
