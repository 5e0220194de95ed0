//! What becomes of a proposal that is not simply signed, recorded and published: it cools, it is vetoed or
//! revoked, the chain is reorganised, the stored bytes rot, signatures come at the same moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
    status.says(&["rotten@1.1.0  failed", "stored tarball hashes to"]);
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

#[test]
fn a_record_that_comes_between_two_answers_is_not_taken_for_another() {
    let world = World::shared();
    let armed = Arc::new(AtomicBool::new(false));
    let selector = raw::nonce_selector();
    let waiting = Arc::<std::sync::Mutex<Option<trust::message::Release>>>::default();
    let (trap, due) = (Arc::clone(&armed), Arc::clone(&waiting));
    let rpc = proxy::start(world.rpc(), move |request, upstream| {
        let text = String::from_utf8_lossy(&request.body).into_owned();
        if !text.contains(&selector) || !trap.load(Ordering::SeqCst) {
            return upstream.ask(request);
        }
        // The release is recorded just now, and the node answers of its newest block.
        if let Some(release) = due.lock().expect("a release").take() {
            record(&release);
        }
        let mut question: Value = serde_json::from_slice(&request.body).expect("JSON");
        question["params"][1] = json!("latest");
        let mut request = request.clone();
        request.body = question.to_string().into_bytes();
        upstream.ask(&request)
    });
    let (coordinator, release) = signed("between-answers", world.registry(), &rpc);
    *waiting.lock().expect("a release") = Some(release.clone());
    armed.store(true, Ordering::SeqCst);
    world.wait_for_state(&coordinator.url, &raw::id(world, &release), "published");
    assert!(waiting.lock().expect("a release").is_none(), "nobody asked about the nonce");
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
