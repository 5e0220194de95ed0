//! What becomes of a proposal that is not simply signed, recorded and published: it cools, it is vetoed or
//! revoked, the chain is reorganised, the stored bytes rot, signatures come at the same moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::archive;
use crate::harness::coordinator::Coordinator;
use crate::harness::proxy;
use crate::harness::raw;
use crate::harness::story::id_of;
use crate::harness::world::World;

/// Many times the pause between two looks of a coordinator.
const A_WHILE: Duration = Duration::from_millis(1_500);

#[track_caller]
fn stays(coordinator: &str, id: &str, state: &str) {
    let until = Instant::now() + A_WHILE;
    while Instant::now() < until {
        let answer = raw::send(coordinator, "GET", &format!("v1/proposals/{id}"), None);
        let proposal: Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(proposal["state"], state, "{proposal}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_release_that_cools_is_published_afterwards_and_not_at_all_when_vetoed() {
    let world = World::own();
    let package = world.claimed_with("cooling", &["--release-delay", "1"]);
    let alice = package.at(world.person("alice"));
    alice.threepm_with_input(["register-token", "cooling"], &alice.npm_token()).succeeded();
    let [cooling, vetoed] = ["1.1.0", "1.2.0"].map(|version| {
        let id = world.propose(&package, version);
        alice.threepm(["submit", &id]).succeeded();
        world.wait_for_state(world.coordinator(), &id, "submitted");
        id
    });
    alice.threepm(["status", "cooling@1.1.0"]).says(&["recorded, cools until"]);
    raw::veto(&world, "cooling", "1.2.0");
    let proposal = world.wait_for_state(world.coordinator(), &vetoed, "vetoed");
    assert_eq!(proposal["reason"], "a maintainer vetoed the release while it cooled");
    alice.threepm(["status", "cooling@1.2.0"]).succeeded().says(&["vetoed by a member"]);
    raw::pass(&world, 59 * 60);
    stays(world.coordinator(), &cooling, "submitted");
    assert_eq!(package.served(&world, "1.1.0"), None);
    raw::pass(&world, 2 * 60);
    world.wait_for_state(world.coordinator(), &cooling, "published");
    assert!(package.served(&world, "1.1.0").is_some());
    stays(world.coordinator(), &vetoed, "vetoed");
    assert_eq!(package.served(&world, "1.2.0"), None);
}

#[test]
fn a_team_change_that_waits_is_enacted_when_it_may_be() {
    let world = World::own();
    let package = world.claimed_with("waiting-change", &["--config-delay", "1"]);
    let (alice, bob) = (package.at(world.person("alice")), world.person("bob"));
    let change = ["team", "add", "waiting-change", &bob.address, "--threshold", "1", "--yes", "--json"];
    let id = id_of(&alice.threepm(change).succeeded());
    let state = || -> Value {
        let answer = raw::send(world.coordinator(), "GET", &format!("v1/changes/{id}"), None);
        serde_json::from_slice::<Value>(&answer.body).expect("JSON")["state"].clone()
    };
    let wait = |wanted: &str| {
        let started = Instant::now();
        while state() != wanted {
            assert!(started.elapsed().as_secs() < 30, "expected {wanted}, found {}", state());
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    wait("submitted");
    alice.threepm(["submit", &id]).refused().says(&["waits until", "next: after that, by anybody"]);
    bob.threepm(["team", "status", "waiting-change"]).says(&["1 of 1"]);
    raw::pass(&world, 61 * 60);
    // Anyone may: nobody signs anything for it.
    world.person("mallory").threepm(["submit", &id]).succeeded();
    wait("effective");
    let ended = bob.threepm(["team", "status", "waiting-change"]).succeeded();
    ended.says(&["1 of 2 members", "(you)"]);
}

#[test]
fn a_reorganised_record_is_waited_for_again_and_published_once() {
    let world = World::own();
    let package = world.protected("reorganised");
    let mut coordinator =
        Coordinator::new(&world, "reorganised", world.registry(), world.rpc()).confirming(3);
    assert!(coordinator.start(), "{}", coordinator.log());
    let (alice, bob) = (world.person("alice"), world.person("bob"));
    let alice_here = coordinator.seen_by(package.at(alice.clone()));
    alice_here.threepm_with_input(["register-token", "reorganised"], &alice.npm_token()).succeeded();
    let tarball = archive::package("reorganised", "1.1.0", "module.exports = 1;\n");
    let release = raw::release("reorganised", "1.1.0", &tarball, 9);
    let id = raw::id(&world, &release);
    assert_eq!(raw::propose(&world, &coordinator.url, &alice, &release, tarball.clone()).status, 201);
    assert_eq!(raw::add_signature(&world, &coordinator.url, &bob, &release).status, 200);
    raw::record(&world, &release, &[&alice, &bob]);
    world.wait_for_state(&coordinator.url, &id, "submitted");
    stays(&coordinator.url, &id, "submitted");
    raw::rpc(&world, "anvil_reorg", json!([1, []]));
    world.wait_for_state(&coordinator.url, &id, "signed");
    raw::record(&world, &release, &[&alice, &bob]);
    world.wait_for_state(&coordinator.url, &id, "submitted");
    raw::rpc(&world, "evm_mine", json!([]));
    stays(&coordinator.url, &id, "submitted");
    assert_eq!(package.served(&world, "1.1.0"), None, "published before three confirmations");
    raw::rpc(&world, "evm_mine", json!([]));
    world.wait_for_state(&coordinator.url, &id, "published");
    assert_eq!(package.served(&world, "1.1.0"), Some(tarball));
}

/// A coordinator of a protected package with one proposal that alice and bob signed.
fn signed(name: &str, registry: &str, rpc: &str) -> (Coordinator, trust::message::Release) {
    let world = World::shared();
    let package = world.protected(name);
    let mut coordinator = Coordinator::new(world, name, registry, rpc);
    assert!(coordinator.start(), "{}", coordinator.log());
    let alice = coordinator.seen_by(package.at(world.person("alice")));
    let here = alice.clone().with("NPM_CONFIG_REGISTRY", registry).with("THREEPM_REGISTRY_ORIGIN", registry);
    here.threepm_with_input(["register-token", name], &alice.npm_token()).succeeded();
    let tarball = archive::package(name, "1.1.0", "module.exports = 1;\n");
    let release = raw::release(name, "1.1.0", &tarball, 9);
    assert_eq!(raw::propose(world, &coordinator.url, &alice, &release, tarball).status, 201);
    let answer = raw::add_signature(world, &coordinator.url, &world.person("bob"), &release);
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    (coordinator, release)
}

fn record(release: &trust::message::Release) {
    let world = World::shared();
    raw::record(world, release, &[&world.person("alice"), &world.person("bob")]);
}

#[test]
fn stored_bytes_that_rot_are_never_published() {
    let world = World::shared();
    let (coordinator, release) = signed("rotten", world.registry(), world.rpc());
    let blobs = coordinator.folder.join("data/tarballs");
    let files = std::fs::read_dir(&blobs).expect("tarballs").flatten().map(|entry| entry.path());
    let files: Vec<_> = files.filter(|path| path.is_file()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let mut bytes = std::fs::read(&files[0]).expect("a blob");
    *bytes.last_mut().expect("bytes") ^= 1;
    std::fs::write(&files[0], bytes).expect("written");
    let id = raw::id(world, &release);
    let answer = raw::send(&coordinator.url, "GET", &format!("v1/proposals/{id}/tarball"), None);
    raw::refused(&answer, 500, "internal");
    record(&release);
    let proposal = world.wait_for_state(&coordinator.url, &id, "failed");
    assert!(proposal["reason"].as_str().is_some_and(|reason| reason.contains("stored")), "{proposal}");
    let status = coordinator.seen_by(world.person("carol")).threepm(["status", "rotten@1.1.0"]);
    status.succeeded().says(&["rotten@1.1.0  failed", "stored tarball hashes to"]);
}

#[test]
fn a_stored_tarball_that_is_lost_ends_its_release_and_says_what_to_do() {
    let world = World::shared();
    let (coordinator, release) = signed("lost", world.registry(), world.rpc());
    let blobs = std::fs::read_dir(coordinator.folder.join("data/tarballs")).expect("tarballs").flatten();
    for blob in blobs.filter(|entry| entry.path().is_file()) {
        std::fs::remove_file(blob.path()).expect("removed");
    }
    let id = raw::id(world, &release);
    let answer = raw::send(&coordinator.url, "GET", &format!("v1/proposals/{id}/tarball"), None);
    raw::refused(&answer, 404, "not-found");
    record(&release);
    let proposal = world.wait_for_state(&coordinator.url, &id, "failed");
    let reason = proposal["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("is not in the store") && reason.contains("npm publish"), "{reason}");
}

#[test]
fn a_version_that_was_taken_back_is_not_published() {
    let world = World::shared();
    // Before it was recorded: a tombstone.
    let (coordinator, release) = signed("tombstone", world.registry(), world.rpc());
    raw::revoke(world, "tombstone", "1.1.0");
    let id = raw::id(world, &release);
    let proposal = world.wait_for_state(&coordinator.url, &id, "vetoed");
    assert_eq!(proposal["reason"], "the release was revoked by its maintainers");
    // After that, while npm did not take it.
    let registry =
        proxy::start(
            world.registry(),
            |request, upstream| {
                if request.method == "PUT" { None } else { upstream.ask(request) }
            },
        );
    let (coordinator, release) = signed("revoked-late", &registry, world.rpc());
    record(&release);
    let id = raw::id(world, &release);
    world.wait_for_state(&coordinator.url, &id, "active");
    raw::revoke(world, "revoked-late", "1.1.0");
    world.wait_for_state(&coordinator.url, &id, "vetoed");
}

/// A proposal that another record or another team made impossible.
#[test]
fn what_cannot_be_recorded_any_more_is_withdrawn_and_says_why() {
    let world = World::shared();
    let package = world.protected("withdrawn");
    let name = package.name.as_str();
    let [alice, bob] = ["alice", "bob"].map(|name| package.at(world.person(name)));
    let propose = |version: &str, code: &str, nonce| {
        let tarball = archive::package(name, version, code);
        let release = raw::release(name, version, &tarball, nonce);
        let answer = raw::propose(world, world.coordinator(), &alice, &release, tarball);
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
        release
    };
    let is_withdrawn = |release: &trust::message::Release, reason: &str| {
        let id = raw::id(world, release);
        let proposal = world.wait_for_state(world.coordinator(), &id, "withdrawn");
        assert_eq!(proposal["reason"], reason, "{proposal}");
        bob.threepm(["status", &id]).succeeded().says(&["  withdrawn", reason]);
        bob.threepm(["approve", &id, "--yes"]).ended_with(4).refused();
        raw::refused(&raw::add_signature(world, world.coordinator(), &bob, release), 409, "closed");
    };
    let (one, other) = (propose("1.1.0", "// one", 50), propose("1.1.0", "// other", 51));
    record(&other);
    is_withdrawn(&one, "another release was recorded under this version; publish again with a new one");
    let (one, other) = (propose("1.2.0", "", 60), propose("1.3.0", "", 60));
    record(&one);
    is_withdrawn(&other, "another release was recorded under its nonce; propose it again");
    let late = propose("1.4.0", "", 61);
    let carol = world.person("carol").address;
    let change = alice.threepm(["team", "remove", name, &carol, "--no-submit", "--yes", "--json"]);
    bob.threepm(["approve", &id_of(&change.succeeded()), "--submit", "--yes"]).succeeded();
    is_withdrawn(&late, "the team changed; propose it again");
}

#[test]
fn of_two_team_changes_the_slower_is_superseded() {
    let world = World::shared();
    let package = world.protected("superseded");
    let name = package.name.as_str();
    let [alice, bob] = ["alice", "bob"].map(|name| package.at(world.person(name)));
    let set =
        |days: &'static str| ["team", "set", name, "--recovery-days", days, "--no-submit", "--yes", "--json"];
    let first = id_of(&alice.threepm(set("90")).succeeded());
    let second = id_of(&bob.threepm(set("91")).succeeded());
    let change = |id: &str| -> Value {
        let answer = raw::send(world.coordinator(), "GET", &format!("v1/changes/{id}"), None);
        serde_json::from_slice(&answer.body).expect("JSON")
    };
    bob.threepm(["approve", &first, "--submit", "--yes"]).succeeded().says(&["is in force"]);
    let started = Instant::now();
    while change(&second)["state"] != "superseded" || change(&first)["state"] != "effective" {
        assert!(started.elapsed().as_secs() < 30, "{} {}", change(&first), change(&second));
        std::thread::sleep(Duration::from_millis(50));
    }
    bob.threepm(["status", &first]).succeeded().says(&["in force"]);
    bob.threepm(["status", &second]).succeeded().says(&["superseded: another change was faster"]);
    alice.threepm(["approve", &second, "--yes"]).ended_with(4).refused().says(&["another change was faster"]);
    assert_eq!(alice.threepm(["team", "status", name, "--json"]).json()["recoveryDays"], 90);
}

/// Whoever waits is told by the exit code; whoever asks how it stands is told in words.
#[test]
fn waiting_for_a_release_that_cannot_get_to_npm_ends_with_an_exit_code() {
    let world = World::own();
    let package = world.claimed_with("waited-in-vain", &["--release-delay", "1"]);
    let alice = package.at(world.person("alice"));
    let [slow, vetoed] = ["1.1.0", "1.2.0"].map(|version| world.propose(&package, version));
    alice.threepm(["submit", &slow, "--wait=1"]).ended_with(5).refused().says(&["not on npm after 1 s"]);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| alice.threepm(["submit", &vetoed, "--wait=60"]));
        world.wait_for_state(world.coordinator(), &vetoed, "submitted");
        raw::veto(&world, "waited-in-vain", "1.2.0");
        let ended = waiting.join().expect("a thread").ended_with(4).refused();
        ended.says(&["1.2.0 did not get to npm, the coordinator says vetoed", "while it cooled"]);
    });
    alice.threepm(["status", &vetoed]).succeeded().says(&["  vetoed", "vetoed by a member"]);
}

/// The release is recorded while the coordinator asks this question, and the node answers it so many times of its
/// newest block instead of the one that it was asked about. A look at the chain ends with the question of the nonce;
/// the one before may have begun when the proposal had one signature.
fn recorded_during(name: &str, selector: String, times: usize) {
    let world = World::shared();
    let waiting = Arc::<std::sync::Mutex<Option<trust::message::Release>>>::default();
    let left = Arc::new(AtomicUsize::new(0));
    let (due, newest) = (Arc::clone(&waiting), Arc::clone(&left));
    let (nonce, is_over) = (raw::nonce_selector(), AtomicBool::new(false));
    let rpc = proxy::start(world.rpc(), move |request, upstream| {
        let text = String::from_utf8_lossy(&request.body);
        let is_due = due.lock().expect("a release").is_some();
        if is_due && !is_over.load(Ordering::SeqCst) {
            is_over.store(text.contains(&nonce), Ordering::SeqCst);
            return upstream.ask(request);
        }
        if !text.contains(&selector) {
            return upstream.ask(request);
        }
        if let Some(release) = due.lock().expect("a release").take() {
            record(&release);
            newest.store(times, Ordering::SeqCst);
        }
        let counted = newest.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if counted.is_err() {
            return upstream.ask(request);
        }
        let mut question: Value = serde_json::from_slice(&request.body).expect("JSON");
        question["params"][1] = json!("latest");
        let mut request = request.clone();
        request.body = question.to_string().into_bytes();
        upstream.ask(&request)
    });
    let (coordinator, release) = signed(name, world.registry(), &rpc);
    *waiting.lock().expect("a release") = Some(release.clone());
    world.wait_for_state(&coordinator.url, &raw::id(world, &release), "published");
    assert!(waiting.lock().expect("a release").is_none(), "nobody asked");
    assert_eq!(left.load(Ordering::SeqCst), 0);
}

#[test]
fn a_record_that_comes_between_two_answers_is_not_taken_for_another() {
    // Not there, and its nonce is used.
    recorded_during("between-answers", raw::nonce_selector(), 1);
    // There, at the newest and at the confirmed block, and its nonce is not used.
    recorded_during("before-its-nonce", raw::releases_selector(), 2);
}

#[test]
fn signatures_of_the_same_moment_all_count_and_each_once() {
    let world = World::shared();
    let package = world.protected("same-moment");
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| world.person(name));
    for nonce in 100..110 {
        let version = format!("2.0.{nonce}");
        let tarball = archive::package(&package.name, &version, "module.exports = 2;\n");
        let release = raw::release(&package.name, &version, &tarball, nonce);
        assert_eq!(raw::propose(world, world.coordinator(), &alice, &release, tarball).status, 201);
        let signers = [&bob, &carol, &bob, &carol];
        let mut codes: [u16; 4] = std::thread::scope(|scope| {
            let sign = |person| raw::add_signature(world, world.coordinator(), person, &release).status;
            let running = signers.map(|person| scope.spawn(move || sign(person)));
            running.map(|thread| thread.join().expect("a thread"))
        });
        codes.sort_unstable();
        // Whoever comes second with the same is told so, or that it is there.
        assert!(
            codes[..2] == [200, 200] && codes[2..].iter().all(|code| [200, 409].contains(code)),
            "{codes:?}"
        );
        let id = raw::id(world, &release);
        let proposal = world.wait_for_state(world.coordinator(), &id, "signed");
        assert_eq!(proposal["signatures"].as_array().map(Vec::len), Some(3), "{proposal}");
    }
}
