//! The next configuration as it is made, and each step of checking one, broken alone.

use alloy_primitives::{Address, B256, U256};
use client::coordinator::api::{Change, ChangeState};
use trust::message::{Config, Domain, signing_request};
use trust::record::{PackageRecord, PackageState};

use super::change::{CheckedChange, Wish, cautions, check_change, next_config};
use crate::args::{Target, TeamSettings};
use crate::errors::Failure;
use crate::exit;

const NOW: u64 = 1_800_000_000;

fn member(byte: u8) -> Address {
    Address::repeat_byte(byte)
}

fn domain() -> Domain {
    Domain { chain_id: 31_337, verifying_contract: member(9) }
}

fn package() -> PackageRecord {
    PackageRecord {
        state: PackageState::Final,
        members: vec![member(1), member(2)],
        threshold: 2,
        release_delay_hours: 4,
        config_delay_hours: 5,
        recovery_days: 180,
        guardian: member(7),
        legacy_root: B256::repeat_byte(8),
        epoch: 3,
        claimed_at: 1,
        final_at: 1,
        retired_at: 0,
        pending_change: B256::ZERO,
        pending_ready_at: 0,
        recovery_pending: false,
    }
}

fn next(wish: &Wish) -> Result<Config, Failure> {
    next_config(&"left-pad".parse().unwrap(), &package(), wish, NOW)
}

fn change(config: Config) -> Change {
    let id = signing_request(&config, &domain().eip712()).unwrap().digest;
    Change {
        id,
        kind: "config".into(),
        state: ChangeState::Proposed,
        config: config.into(),
        current_members: package().members,
        current_threshold: package().threshold,
        signatures: vec![],
        created_at: NOW,
        updated_at: NOW,
    }
}

fn honest() -> Config {
    next(&Wish { add: vec![member(3)], threshold: Some(3), ..Wish::default() }).unwrap()
}

fn check(change: &Change) -> Result<CheckedChange, Failure> {
    check_change(&Target::Id(change.id), change, &domain(), &package(), NOW)
}

#[track_caller]
fn refused<T>(result: Result<T, Failure>, code: exit::ExitCode, part: &str) {
    let failure = result.err().unwrap_or_else(|| panic!("expected a refusal: {part}"));
    assert!(failure.sentence().contains(part), "{:?} should say {part:?}", failure.sentence());
    assert_eq!(failure.exit_code(), code, "{}", failure.sentence());
}

#[test]
fn the_next_configuration_changes_what_was_wished_and_nothing_else() {
    let config = honest();
    assert_eq!(config.members, [member(1), member(2), member(3)]);
    assert_eq!((config.threshold, config.epoch), (3, 4));
    assert_eq!((config.releaseDelayHours, config.configDelayHours, config.recoveryDays), (4, 5, 180));
    assert_eq!((config.guardian, config.legacyRoot), (member(7), B256::repeat_byte(8)));
    let config = next(&Wish { remove: vec![member(1)], threshold: Some(1), ..Wish::default() }).unwrap();
    assert_eq!((config.members, config.threshold), (vec![member(2)], 1));
}

#[test]
fn a_team_that_could_not_act_is_refused_before_anybody_signs() {
    let add = |members: Vec<Address>| next(&Wish { add: members, ..Wish::default() });
    refused(add(vec![member(1)]), exit::NOT_POSSIBLE, "is a member of left-pad already");
    refused(add(vec![member(3), member(3)]), exit::NOT_POSSIBLE, "is a member of left-pad already");
    refused(add(vec![Address::ZERO]), exit::NOT_POSSIBLE, "zero address");
    refused(add((10..30).map(member).collect()), exit::NOT_POSSIBLE, "1 to 16 members");
    let remove =
        |members: Vec<Address>, threshold| next(&Wish { remove: members, threshold, ..Wish::default() });
    refused(remove(vec![member(3)], None), exit::NOT_POSSIBLE, "is not a member");
    refused(remove(vec![member(1)], None), exit::USAGE, "needs 2 signatures, and 1 members would be left");
    refused(remove(vec![member(1), member(2)], Some(1)), exit::NOT_POSSIBLE, "1 to 16 members");
    let threshold = |threshold| next(&Wish { threshold: Some(threshold), ..Wish::default() });
    refused(threshold(0), exit::NOT_POSSIBLE, "threshold must be 1 to 2");
    refused(threshold(3), exit::NOT_POSSIBLE, "threshold must be 1 to 2");
    refused(threshold(2), exit::NOT_POSSIBLE, "set up like that already");
}

fn set(settings: TeamSettings) -> Result<Config, Failure> {
    next(&Wish { settings, ..Wish::default() })
}

#[test]
fn each_setting_changes_alone() {
    let none = TeamSettings::default;
    for (settings, expected) in [
        (TeamSettings { release_delay: Some(168), ..none() }, (168, 5, 180, member(7))),
        (TeamSettings { config_delay: Some(0), ..none() }, (4, 0, 180, member(7))),
        (TeamSettings { recovery_days: Some(30), ..none() }, (4, 5, 30, member(7))),
        (TeamSettings { guardian: Some(member(6)), ..none() }, (4, 5, 180, member(6))),
        (TeamSettings { guardian: Some(Address::ZERO), ..none() }, (4, 5, 180, Address::ZERO)),
    ] {
        let config = set(settings).unwrap();
        assert_eq!(
            (config.releaseDelayHours, config.configDelayHours, config.recoveryDays, config.guardian),
            expected
        );
        assert_eq!((config.members.as_slice(), config.threshold), (&package().members[..], 2));
        let checked = check(&change(config)).unwrap();
        assert_eq!(checked.differences().len(), 1, "{:?}", checked.differences());
    }
    let same = TeamSettings { release_delay: Some(4), guardian: Some(member(7)), ..none() };
    refused(set(same), exit::NOT_POSSIBLE, "left-pad is set up like that already");
}

#[test]
fn a_guardian_becomes_no_member_and_a_member_no_guardian() {
    let guardian = TeamSettings { guardian: Some(member(2)), ..TeamSettings::default() };
    refused(set(guardian.clone()), exit::NOT_POSSIBLE, "and its guardian");
    refused(next(&Wish { add: vec![member(7)], ..Wish::default() }), exit::NOT_POSSIBLE, "and its guardian");
    // Who leaves in the same change is a member no more.
    let wish = Wish { remove: vec![member(2)], threshold: Some(1), settings: guardian, ..Wish::default() };
    assert_eq!(next(&wish).unwrap().guardian, member(2));
}

#[test]
fn what_weakens_a_team_is_said_to_whoever_signs_it() {
    assert!(cautions(&honest()).is_empty());
    let both = Config { guardian: member(1), configDelayHours: 3, ..honest() };
    assert_eq!(cautions(check(&change(both)).unwrap().config()).len(), 2);
}

#[test]
fn an_honest_change_passes_and_names_every_difference() {
    let checked = check(&change(honest())).unwrap();
    let what: Vec<_> = checked.differences().iter().map(|difference| difference.what).collect();
    assert_eq!(what, ["members", "signatures needed"]);
    let checked = check(&change(Config { guardian: member(6), ..honest() })).unwrap();
    let what: Vec<_> = checked.differences().iter().map(|difference| difference.what).collect();
    assert_eq!(what, ["members", "signatures needed", "guardian"]);
}

#[test]
fn step_1_another_change_than_asked_for() {
    let change = change(honest());
    for asked in ["right-pad", "left-pad@1.0.0", &B256::ZERO.to_string()] {
        let result = check_change(&asked.parse().unwrap(), &change, &domain(), &package(), NOW);
        refused(result, exit::MISMATCH, "something else");
    }
    let other = Change { kind: "release".into(), ..change };
    refused(check(&other), exit::MISMATCH, "something else");
}

#[test]
fn step_2_an_id_that_is_not_the_digest() {
    let mut change = change(honest());
    change.config.guardian = member(5);
    refused(check(&change), exit::MISMATCH, "not the digest");
}

#[test]
fn step_3_a_change_that_does_not_follow_the_team_on_chain() {
    refused(check(&change(Config { epoch: 5, ..honest() })), exit::NOT_POSSIBLE, "the next one is 4");
    let other = Change { current_threshold: 1, ..change(honest()) };
    refused(check(&other), exit::MISMATCH, "another present team");
    let other = Change { current_members: vec![member(1)], ..change(honest()) };
    refused(check(&other), exit::MISMATCH, "another present team");
    let gone = PackageRecord { state: PackageState::Retired, ..package() };
    let change = change(honest());
    let result = check_change(&Target::Id(change.id), &change, &domain(), &gone, NOW);
    refused(result, exit::NOT_POSSIBLE, "given up");
}

#[test]
fn step_4_another_list_of_versions_from_before_the_claim() {
    for root in [B256::ZERO, B256::repeat_byte(9)] {
        let other = Config { legacyRoot: root, ..honest() };
        refused(check(&change(other)), exit::MISMATCH, "which versions existed before the claim");
    }
}

#[test]
fn step_5_a_team_that_could_not_act() {
    let with = |members: Vec<Address>, threshold| check(&change(Config { members, threshold, ..honest() }));
    refused(with(vec![member(1), member(1)], 1), exit::NOT_POSSIBLE, "a member twice");
    refused(with(vec![], 0), exit::NOT_POSSIBLE, "1 to 16 members");
    refused(with(vec![member(1)], 2), exit::NOT_POSSIBLE, "threshold must be");
    refused(with(vec![Address::ZERO], 1), exit::NOT_POSSIBLE, "zero address");
}

#[test]
fn step_5_settings_that_the_contract_does_not_take() {
    let with = |config: Config, part| refused(check(&change(config)), exit::NOT_POSSIBLE, part);
    with(Config { releaseDelayHours: 169, ..honest() }, "must be 0 to 168 hours, not 169");
    with(Config { configDelayHours: 721, ..honest() }, "must be 0 to 720 hours, not 721");
    with(Config { recoveryDays: 29, ..honest() }, "must be 30 to 365 days, not 29");
    with(Config { recoveryDays: 366, ..honest() }, "must be 30 to 365 days, not 366");
}

#[test]
fn step_6_a_deadline_that_has_passed_or_lies_too_far_ahead() {
    let with = |deadline| check(&change(Config { deadline: U256::from(deadline), ..honest() }));
    refused(with(NOW), exit::NOT_POSSIBLE, "has passed");
    refused(with(NOW + 31 * 24 * 3600), exit::NOT_POSSIBLE, "more than 30 days");
}
