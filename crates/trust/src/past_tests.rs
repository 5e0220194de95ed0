//! One view that goes back for every step, beside the same view that does not.

use alloy_primitives::{Address, FixedBytes};

use super::*;
use crate::Integrity;

fn name() -> PackageName {
    "left-pad".parse().unwrap()
}

fn version() -> Version {
    "1.0.0".parse().unwrap()
}

fn enrolled(epoch: u32) -> PackageRecord {
    PackageRecord {
        state: PackageState::Final,
        members: vec![Address::repeat_byte(1), Address::repeat_byte(2)],
        threshold: 2,
        epoch,
        ..PackageRecord::unclaimed()
    }
}

fn release(status: ReleaseStatus) -> ReleaseRecord {
    ReleaseRecord {
        status,
        integrity: Integrity::of(b"a"),
        content_hash: ContentHash::of(b"a"),
        git_sha: FixedBytes::ZERO,
        published_at: 5,
        active_at: 5,
        epoch: 1,
        threshold: 2,
        signers: vec![],
        flagged_until: 0,
    }
}

#[test]
fn a_record_keeps_its_signers_its_commit_and_its_times() {
    let seen = || past(&release(ReleaseStatus::Cooling));
    seen().see_release(&name(), &version(), &release(ReleaseStatus::Active), 11).unwrap();
    let same = || release(ReleaseStatus::Active);
    for other in [
        ReleaseRecord { active_at: 4, ..same() },
        ReleaseRecord { published_at: 4, ..same() },
        ReleaseRecord { epoch: 2, ..same() },
        ReleaseRecord { threshold: 1, ..same() },
        ReleaseRecord { signers: vec![Address::repeat_byte(3)], ..same() },
        ReleaseRecord { git_sha: FixedBytes::repeat_byte(1), ..same() },
        ReleaseRecord { integrity: Integrity::of(b"b"), ..same() },
    ] {
        let error = seen().see_release(&name(), &version(), &other, 11).unwrap_err();
        assert_eq!(error.expected, "the same record", "{other:?}");
    }
}

#[test]
fn a_name_keeps_the_time_of_its_claim() {
    let past = || past(&release(ReleaseStatus::Active));
    for other in
        [PackageRecord { claimed_at: 1, ..enrolled(2) }, PackageRecord { final_at: 1, ..enrolled(2) }]
    {
        let error = past().see_package(&name(), &other, 11).unwrap_err();
        assert!(error.expected.starts_with("the team of epoch 2"), "{error}");
    }
}

/// One enrolled name at epoch 2 with seven releases, one of them as given.
fn past(seen: &ReleaseRecord) -> Past {
    let mut past = Past::default();
    past.see_package(&name(), &enrolled(2), 10).unwrap();
    past.see_release_count(&name(), 7, 10).unwrap();
    past.see_release(&name(), &version(), seen, 10).unwrap();
    past
}

#[test]
fn a_name_goes_forward_only() {
    let seen = || past(&release(ReleaseStatus::Active));
    for fine in [
        enrolled(2),
        enrolled(3),
        PackageRecord { members: vec![], ..enrolled(3) },
        PackageRecord { state: PackageState::Retired, members: vec![], ..enrolled(3) },
        // What an epoch does not say may change within it.
        PackageRecord { pending_change: B256::repeat_byte(1), recovery_pending: true, ..enrolled(2) },
    ] {
        seen().see_package(&name(), &fine, 10).unwrap();
    }
    for (view, expected, found) in [
        (PackageRecord::unclaimed(), "an enrolled name", "a name that nobody claimed"),
        (
            PackageRecord { state: PackageState::Provisional, ..enrolled(2) },
            "an enrolled name",
            "a claim that is not final",
        ),
        (enrolled(1), "epoch 2 or later", "epoch 1"),
        (PackageRecord { threshold: 1, ..enrolled(2) }, "the team of epoch 2", "another"),
        (
            PackageRecord { legacy_root: B256::repeat_byte(9), ..enrolled(2) },
            "the team of epoch 2",
            "another",
        ),
        (
            PackageRecord { members: vec![Address::repeat_byte(3)], ..enrolled(2) },
            "the team of epoch 2",
            "another",
        ),
    ] {
        // The same block, a later and an earlier one: it does not matter.
        for block in [10, 11, 9] {
            let mut past = seen();
            let error = past.see_package(&name(), &view, block).unwrap_err();
            assert!(error.expected.contains(expected) && error.found.contains(found), "{error}");
            assert_eq!(past, seen(), "a refused view leaves no trace");
        }
    }
}

#[test]
fn the_number_of_releases_never_falls() {
    let mut past = past(&release(ReleaseStatus::Active));
    past.see_release_count(&name(), 7, 10).unwrap();
    past.see_release_count(&name(), 8, 11).unwrap();
    let error = past.see_release_count(&name(), 7, 12).unwrap_err();
    assert_eq!((error.expected.as_str(), error.found.as_str()), ("8 releases or more", "7"));
    past.see_release_count(&"other".parse().unwrap(), 0, 12).unwrap();
}

#[test]
fn a_record_a_veto_a_revocation_and_a_warning_stay() {
    use ReleaseStatus::{Active, Cooling, Flagged, None, Revoked, Vetoed};
    let warned = || ReleaseRecord { flagged_until: 100, ..release(Flagged) };
    let other = || ReleaseRecord { content_hash: ContentHash::of(b"b"), ..release(Active) };
    for (seen, fine) in [
        (release(Cooling), release(Active)),
        (release(Cooling), release(Vetoed)),
        (release(Active), release(Revoked)),
        (release(Active), warned()),
        // The warning ended, as announced.
        (warned(), ReleaseRecord { flagged_until: 100, ..release(Active) }),
        (release(Revoked), release(Revoked)),
    ] {
        past(&seen).see_release(&name(), &version(), &fine, 10).unwrap();
    }
    for (seen, view, expected, found) in [
        (release(Active), release(None), "a record", "none"),
        (release(Active), other(), "bytes of", "bytes of"),
        (release(Revoked), release(Active), "a revoked release", "one that stands"),
        (release(Revoked), release(Vetoed), "a revoked release", "a vetoed release"),
        (release(Revoked), release(None), "a record", "none"),
        (release(Vetoed), release(Cooling), "a vetoed release", "one that stands"),
        (warned(), release(Active), "a warning until second 100", "none"),
        (warned(), ReleaseRecord { flagged_until: 99, ..release(Flagged) }, "second 100", "second 99"),
    ] {
        let mut past = past(&seen);
        let before = past.clone();
        let error = past.see_release(&name(), &version(), &view, 11).unwrap_err();
        assert_eq!(error.subject, "left-pad@1.0.0");
        assert!(error.expected.contains(expected) && error.found.contains(found), "{error}");
        assert_eq!(past, before, "a refused view leaves no trace");
    }
}

#[test]
fn two_runs_together_remember_the_later_of_everything() {
    let mut ours = past(&release(ReleaseStatus::Revoked));
    ours.see_block(10);
    let mut theirs = past(&release(ReleaseStatus::Active));
    theirs.see_package(&name(), &enrolled(3), 12).unwrap();
    theirs.see_release_count(&name(), 9, 12).unwrap();
    theirs.see_block(12);
    let mut both = ours.clone();
    both.merge(theirs.clone());
    let mut other_way = theirs;
    other_way.merge(ours);
    assert_eq!(both, other_way);
    assert_eq!(both.block(), 12);
    assert!(both.see_package(&name(), &enrolled(2), 12).is_err());
    assert!(both.see_release_count(&name(), 8, 12).is_err());
    assert!(both.see_release(&name(), &version(), &release(ReleaseStatus::Active), 12).is_err());
}

#[test]
fn what_was_not_seen_for_the_longest_time_is_forgotten_first() {
    let mut past = Past::default();
    for (text, block) in [("old", 1), ("middle", 2), ("new", 3)] {
        past.see_package(&text.parse().unwrap(), &enrolled(1), block).unwrap();
    }
    past.see_release(&"middle".parse().unwrap(), &version(), &release(ReleaseStatus::Active), 2).unwrap();
    let names = |past: &Past| past.names.keys().map(ToString::to_string).collect::<Vec<_>>();
    let mut two = past.clone();
    two.keep_newest(2, 10);
    assert_eq!(names(&two), ["middle", "new"]);
    past.keep_newest(3, 0);
    assert_eq!(names(&past), ["new", "old"]);
}

#[test]
fn it_is_written_and_read_back_the_same() {
    let past = past(&ReleaseRecord { flagged_until: 3, ..release(ReleaseStatus::Flagged) });
    let text = serde_json::to_string(&past).unwrap();
    assert_eq!(serde_json::from_str::<Past>(&text).unwrap(), past);
    let more = text.replacen("\"block\"", "\"x\":1,\"block\"", 1);
    assert!(serde_json::from_str::<Past>(&more).is_err());
}
