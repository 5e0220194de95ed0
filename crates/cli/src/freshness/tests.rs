//! The files without a chain: what is read back, what is refused, and when a kept record may be used.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, FixedBytes};
use chain::Head;
use client::http::Http;
use trust::record::{PackageRecord, PackageState, ReleaseRecord, ReleaseStatus};
use trust::{ContentHash, Integrity, PackageName, Version};

use super::answers::Shelf;
use super::*;

const NOW: u64 = 1_800_000_000;
const DAY: u64 = 24 * 3600;

fn network(chain_id: u64) -> Network {
    Network {
        name: "test".into(),
        chain_id,
        rpc_urls: vec![],
        name_registry: Address::repeat_byte(1),
        package_registry: Address::repeat_byte(2),
    }
}

fn name() -> PackageName {
    "left-pad".parse().unwrap()
}

fn version() -> Version {
    "1.0.0".parse().unwrap()
}

fn enrolled() -> PackageRecord {
    PackageRecord { state: PackageState::Final, epoch: 1, threshold: 1, ..PackageRecord::unclaimed() }
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
        threshold: 1,
        signers: vec![],
        flagged_until: 0,
    }
}

fn head(number: u64, timestamp: u64) -> Head {
    Head { number, hash: B256::ZERO, timestamp }
}

/// One name and one version, read at `at`.
fn records(package: PackageRecord, status: ReleaseStatus, at: Head) -> Records {
    let mut records = Records::default();
    let releases = BTreeMap::from([((name(), version().to_string()), (release(status), at))]);
    records.take(BTreeMap::from([(name(), (package, at))]), releases, at.timestamp);
    records
}

fn past(block: u64) -> Past {
    let mut past = Past::default();
    past.see_block(block);
    past.see_package(&name(), &enrolled(), block).unwrap();
    past
}

/// A file of `network` that holds this.
fn put<T: serde::Serialize>(home: &Path, network: &Network, sheet: Sheet, content: &T) {
    let folder = Folder::of(home, network);
    let _lock = folder.lock().unwrap();
    folder.write(sheet, content).unwrap();
}

fn file(home: &Path, name: &str) -> std::path::PathBuf {
    home.join("chains").join(format!("8453-{:#x}", Address::repeat_byte(2))).join(name)
}

#[test]
fn each_deployment_has_its_own_memory_and_a_development_chain_has_none() {
    let home = tempfile::tempdir().unwrap();
    put(home.path(), &network(8453), SEEN, &past(10));
    let read = |network: &Network| super::past(home.path(), network).unwrap();
    assert_eq!(read(&network(8453)), Some(past(10)));
    assert_eq!(read(&network(84532)), Some(Past::default()));
    let other = Network { package_registry: Address::repeat_byte(9), ..network(8453) };
    assert_eq!(read(&other), Some(Past::default()));
    assert_eq!(read(&network(31337)), None);
}

#[test]
fn runs_at_the_same_time_lose_nothing_of_each_other() {
    let home = tempfile::tempdir().unwrap();
    let chain = |past: Past| Chain::new(Http::new().unwrap(), network(8453)).with_past(past);
    std::thread::scope(|scope| {
        for run in 0..8_u64 {
            let home = home.path();
            scope.spawn(move || {
                let mut past = Past::default();
                past.see_block(run);
                past.see_package(&format!("n{run}").parse().unwrap(), &enrolled(), run).unwrap();
                keep(home, &chain(past), NOW).unwrap();
            });
        }
    });
    let mut all = super::past(home.path(), &network(8453)).unwrap().unwrap();
    assert_eq!(all.block(), 7);
    for run in 0..8 {
        let name = format!("n{run}").parse().unwrap();
        assert!(all.see_package(&name, &PackageRecord::unclaimed(), 9).is_err(), "{name} was forgotten");
    }
    // A run that saw less takes nothing back.
    keep(home.path(), &chain(Past::default()), NOW).unwrap();
    assert_eq!(super::past(home.path(), &network(8453)).unwrap(), Some(all));
}

#[test]
fn a_damaged_a_foreign_and_an_endless_file_are_errors_that_name_it_and_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    put(home.path(), &network(8453), SEEN, &past(10));
    let path = file(home.path(), "seen.json");
    let good = std::fs::read_to_string(&path).unwrap();
    let check = |text: &str, expected: &str| {
        std::fs::write(&path, text).unwrap();
        let error = super::past(home.path(), &network(8453)).unwrap_err();
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.hint().contains("mv "), "{}", error.hint());
        // And it is not written over.
        let chain = Chain::new(Http::new().unwrap(), network(8453)).with_past(past(11));
        assert!(keep(home.path(), &chain, NOW).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap().len(), text.len());
    };
    check("", "damaged");
    check(&good[..good.len() / 2], "damaged");
    check(&good.replace("\"block\"", "\"blocks\""), "damaged");
    check(&good.replace("\"chainId\":8453", "\"chainId\":1"), "on chain 1 in");
    check(&good.replace("\"format\":1", "\"format\":2"), "in format 2, expected");
    check(&" ".repeat(usize::try_from(SEEN.max_bytes).unwrap() + 1), "more than");
}

#[test]
fn a_kept_record_is_used_within_its_age_and_not_a_second_longer() {
    let of = |package: PackageRecord, time: u64, past: Past| {
        let shelf = Shelf::new(records(package, ReleaseStatus::Active, head(10, time)), DAY, NOW, past);
        (shelf.package(&name()), shelf.release(&name(), &version()), shelf)
    };
    for time in [NOW, NOW - DAY, NOW + 60] {
        let (package, release_record, shelf) = of(enrolled(), time, Past::default());
        assert_eq!(package, Ok(enrolled()));
        assert_eq!(release_record, Ok(release(ReleaseStatus::Active)));
        let since = Answers::Offline(std::sync::Arc::new(shelf)).offline();
        assert_eq!(since, Some(Since { block: 10, time }));
    }
    for time in [NOW - DAY - 1, NOW + 61] {
        let (package, release_record, _) = of(enrolled(), time, Past::default());
        for reason in [package.unwrap_err(), release_record.unwrap_err()] {
            assert!(
                reason.contains("left-pad") && reason.contains("expected at most 24 hours old"),
                "{reason}"
            );
        }
    }
    let (_, _, shelf) = of(enrolled(), NOW, Past::default());
    assert!(shelf.package(&"other".parse().unwrap()).unwrap_err().contains("nothing was kept about other"));
    let other: Version = "2.0.0".parse().unwrap();
    assert!(shelf.release(&name(), &other).unwrap_err().contains("left-pad@2.0.0"));
    // Not enrolled is an answer as well.
    assert_eq!(of(PackageRecord::unclaimed(), NOW, Past::default()).0, Ok(PackageRecord::unclaimed()));
}

#[tokio::test]
async fn kept_records_decide_only_where_the_policy_allows_it_and_nobody_answers() {
    let home = tempfile::tempdir().unwrap();
    let closed =
        |chain_id| Network { rpc_urls: vec!["http://127.0.0.1:1/".parse().unwrap()], ..network(chain_id) };
    let look = async |chain: &Chain, offline: Offline, now: u64| {
        Freshness::new(home.path().to_owned(), offline).look(chain, now).await
    };
    let base = Chain::new(Http::new().unwrap(), closed(8453)).with_past(Past::default());
    // Nothing was kept.
    let nothing = look(&base, Offline::default(), NOW).await;
    assert!(matches!(nothing, Err(NoAnswers::Chain(error)) if error.is_silence()));

    let kept = records(enrolled(), ReleaseStatus::Active, head(10, NOW));
    put(home.path(), &network(8453), RECORDS, &kept);
    put(home.path(), &network(31337), RECORDS, &kept);
    assert!(matches!(look(&base, Offline::default(), NOW + DAY).await, Ok(Answers::Offline(_))));
    let hour = Offline::within(Duration::from_secs(3600));
    assert!(matches!(look(&base, hour, NOW + 3600).await, Ok(Answers::Offline(_))));
    let development = Chain::new(Http::new().unwrap(), closed(31337));
    for (what, chain, offline, now) in [
        ("denied", &base, Offline::Deny, NOW),
        ("too old", &base, Offline::default(), NOW + DAY + 1),
        ("too old for this policy", &base, hour, NOW + 3601),
        ("a chain that may start over", &development, Offline::default(), NOW),
    ] {
        let found = look(chain, offline, now).await;
        assert!(matches!(found, Err(NoAnswers::Chain(error)) if error.is_silence()), "{what}");
    }
    std::fs::write(file(home.path(), "records.json"), "{").unwrap();
    assert!(matches!(look(&base, Offline::default(), NOW).await, Err(NoAnswers::Store(_))));
}

#[test]
fn a_kept_record_that_shows_less_than_was_seen_is_not_used() {
    let mut revoked = past(12);
    revoked.see_release(&name(), &version(), &release(ReleaseStatus::Revoked), 12).unwrap();
    let kept = records(PackageRecord::unclaimed(), ReleaseStatus::Active, head(10, NOW));
    let shelf = Shelf::new(kept, DAY, NOW, revoked);
    assert!(shelf.package(&name()).unwrap_err().contains("expected an enrolled name"));
    assert!(shelf.release(&name(), &version()).unwrap_err().contains("expected a revoked release"));
}

#[test]
fn a_claim_that_became_final_meanwhile_is_not_taken_for_a_waiting_one() {
    for (final_at, usable) in [(NOW + 1, true), (NOW, false)] {
        let claim = PackageRecord { state: PackageState::Provisional, final_at, ..enrolled() };
        let shelf =
            Shelf::new(records(claim, ReleaseStatus::None, head(10, NOW - 60)), DAY, NOW, Past::default());
        assert_eq!(shelf.package(&name()).is_ok(), usable);
    }
}

#[test]
fn the_later_block_is_kept_and_what_nobody_may_use_any_more_is_not() {
    let at = |number, time, status| {
        let head = head(number, time);
        let releases = BTreeMap::from([((name(), version().to_string()), (release(status), head))]);
        (BTreeMap::from([(name(), (enrolled(), head))]), releases)
    };
    let mut kept = Records::default();
    for (number, time, status, now) in [
        (11, NOW, ReleaseStatus::Revoked, NOW),
        // Another run that began earlier and ended later.
        (10, NOW - 2, ReleaseStatus::Active, NOW + 9),
    ] {
        let (packages, releases) = at(number, time, status);
        kept.take(packages, releases, now);
    }
    assert_eq!(kept.release(&name(), &version()).unwrap().record.status, ReleaseStatus::Revoked);
    assert_eq!(kept.newest(), Some(NOW));
    kept.take(BTreeMap::new(), BTreeMap::new(), NOW + Offline::MAX_AGE.as_secs() + 1);
    assert_eq!(kept, Records::default());
}

#[test]
fn more_records_than_a_file_has_room_for_are_let_go_oldest_first() {
    let mut kept = Records::default();
    for (run, count) in [(0, 15_000), (1, 6_000)] {
        let at = head(run, NOW + run);
        let names = (0..count).map(|index| format!("n{run}-{index}").parse::<PackageName>().unwrap());
        kept.take(names.map(|name| (name, (PackageRecord::unclaimed(), at))).collect(), BTreeMap::new(), NOW);
    }
    assert!(kept.package(&"n0-1".parse().unwrap()).is_none());
    assert!(kept.package(&"n1-1".parse().unwrap()).is_some());
}

#[test]
fn nobody_can_ask_for_records_older_than_a_week() {
    let month = Duration::from_secs(30 * DAY);
    assert_eq!(Offline::within(month), Offline::Within { max_age: Offline::MAX_AGE });
    assert_eq!(Offline::default(), Offline::Within { max_age: Duration::from_secs(DAY) });
}
