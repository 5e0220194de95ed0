//! What the coordinator does with a recorded release: those exact bytes go to npm, once, wherever it is
//! killed, however many coordinators watch, whoever submitted.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::Value;
use trust::message::Release;

use crate::harness::archive;
use crate::harness::coordinator::Coordinator;
use crate::harness::raw;
use crate::harness::story::Package;
use crate::harness::tripwire::{MOST_REQUESTS, Tripwire};
use crate::harness::world::World;

/// Retries pause 1, 2, 4 seconds.
const LIMIT: Duration = Duration::from_secs(60);

fn release(package: &Package, nonce: u64) -> (Release, Vec<u8>) {
    let version = format!("1.1.{nonce}");
    let tarball = archive::package(&package.name, &version, &format!("module.exports = {nonce};\n"));
    (raw::release(&package.name, &version, &tarball, nonce), tarball)
}

/// Two sign it at this coordinator; it is not yet on chain.
fn sign_at(world: &World, coordinator: &Coordinator, release: &Release, tarball: &[u8]) {
    let (alice, bob) = (world.person("alice"), world.person("bob"));
    let answer = raw::propose(world, &coordinator.url, &alice, release, tarball.to_vec());
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    let answer = raw::add_signature(world, &coordinator.url, &bob, release);
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
}

fn is_published(world: &World, coordinator: &Coordinator, release: &Release) -> bool {
    coordinator.proposal(&raw::id(world, release)).is_some_and(|proposal| proposal["state"] == "published")
}

#[track_caller]
fn wait_until_published(world: &World, coordinator: &Coordinator, release: &Release) -> Value {
    let started = Instant::now();
    loop {
        let proposal = coordinator.proposal(&raw::id(world, release));
        match proposal {
            Some(proposal) if proposal["state"] == "published" => return proposal,
            proposal => assert!(started.elapsed() < LIMIT, "{proposal:#?}\n{}", coordinator.log()),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Kills the coordinator at every request to one upstream in turn, before and after its answer.
fn sweep(name: &str, wire_to_npm: bool) {
    let world = World::shared();
    let package = world.protected(name);
    let pid = Arc::default();
    let (npm, chain) = (Tripwire::killing(&pid), Tripwire::killing(&pid));
    let registry = npm.in_front_of(world.registry());
    let rpc = chain.in_front_of(world.rpc());
    let wire = if wire_to_npm { &npm } else { &chain };
    let mut coordinator = Coordinator::new(world, name, &registry, &rpc);
    coordinator.pid = pid;
    assert!(coordinator.start());
    let alice = coordinator.seen_by(package.at(world.person("alice")));
    alice.threepm_with_input(["register-token", name], &alice.npm_token()).succeeded();
    let mut nonce = 0;
    for after in [false, true] {
        for requests in 0.. {
            assert!(requests < MOST_REQUESTS, "the sweep does not end");
            nonce += 1;
            let (release, tarball) = release(&package, nonce);
            sign_at(world, &coordinator, &release, &tarball);
            npm.created.store(0, Ordering::SeqCst);
            wire.arm(requests, after);
            raw::record(world, &release, &[&world.person("alice"), &world.person("bob")]);
            let started = Instant::now();
            let mut killed = false;
            while !killed && !is_published(world, &coordinator, &release) {
                killed = !coordinator.is_running();
                assert!(started.elapsed() < LIMIT, "neither killed nor published\n{}", coordinator.log());
                std::thread::sleep(Duration::from_millis(20));
            }
            wire.disarm();
            if killed {
                coordinator.wait_until_dead();
                assert!(coordinator.start(), "{}", coordinator.log());
            }
            wait_until_published(world, &coordinator, &release);
            let served = package.served(world, &release.version);
            assert_eq!(
                served.as_deref(),
                Some(tarball.as_slice()),
                "killed at request {requests}, after: {after}"
            );
            assert_eq!(npm.created.load(Ordering::SeqCst), 1, "killed at request {requests}, after: {after}");
            if !killed {
                break;
            }
        }
    }
    assert!(nonce > 4, "only {nonce} rounds: the wire saw no requests");
}

#[test]
fn killed_at_any_request_to_npm_it_publishes_once_after_a_restart() {
    sweep("sweep-npm", true);
}

#[test]
fn killed_at_any_request_to_the_chain_it_publishes_once_after_a_restart() {
    sweep("sweep-chain", false);
}

#[test]
fn two_coordinators_that_see_the_same_record_publish_it_once() {
    let world = World::shared();
    let package = world.protected("two-coordinators");
    let pid = Arc::default();
    let npm = Tripwire::killing(&pid);
    let registry = npm.in_front_of(world.registry());
    let mut both = ["two-a", "two-b"].map(|name| Coordinator::new(world, name, &registry, world.rpc()));
    for coordinator in &mut both {
        assert!(coordinator.start());
        let alice = coordinator.seen_by(package.at(world.person("alice")));
        alice.threepm_with_input(["register-token", &package.name], &alice.npm_token()).succeeded();
    }
    for nonce in 1..=3 {
        npm.created.store(0, Ordering::SeqCst);
        let (release, tarball) = release(&package, nonce);
        for coordinator in &both {
            sign_at(world, coordinator, &release, &tarball);
        }
        raw::record(world, &release, &[&world.person("alice"), &world.person("bob")]);
        for coordinator in &both {
            wait_until_published(world, coordinator, &release);
        }
        assert_eq!(package.served(world, &release.version), Some(tarball));
        assert_eq!(npm.created.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn a_release_that_a_stranger_submits_is_published_all_the_same() {
    let world = World::shared();
    let package = world.protected("submitted-by-a-stranger");
    let id = world.propose(&package, "1.1.0");
    world.person("carol").threepm(["approve", &id, "--no-submit", "--yes"]).succeeded();
    assert_eq!(package.served(world, "1.1.0"), None, "published before it was on chain");
    world.person("mallory").threepm(["submit", &id]).succeeded();
    let proposal = world.wait_for_state(world.coordinator(), &id, "published");
    let served = package.served(world, "1.1.0").expect("it is published");
    assert_eq!(proposal["release"]["integrity"], trust::Integrity::of(&served).to_string());
    let tags = package.packument(world).expect("a packument")["dist-tags"].clone();
    assert_eq!(tags["latest"], "1.1.0");
}

/// Anybody can send a notice, with any hash.
#[test]
fn a_notice_of_a_transaction_changes_nothing_that_is_told() {
    let world = World::shared();
    let package = world.protected("false-notices");
    let id = world.propose(&package, "1.1.0");
    let changes = "v1/changes?package=false-notices&state=all";
    let get = |path: &str| -> Value {
        serde_json::from_slice(&raw::send(world.coordinator(), "GET", path, None).body).unwrap()
    };
    let change = get(changes)["changes"][0].clone();
    let proposal_path = format!("v1/proposals/{id}");
    let change_path = format!("v1/changes/{}", change["id"].as_str().unwrap());
    let notify = |path: &str| {
        let notice = serde_json::json!({ "transactionHash": format!("0x{}", "66".repeat(32)) });
        let answer = raw::send(world.coordinator(), "POST", &format!("{path}/submission"), Some(&notice));
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    };
    let before = get(&proposal_path);
    notify(&proposal_path);
    notify(&change_path);
    assert_eq!(get(&proposal_path), before);
    assert_eq!(get(&change_path), change);
    let bob = world.person("bob");
    let sent = bob.threepm(["approve", &id, "--submit", "--wait", "--yes", "--json"]).succeeded().json();
    notify(&proposal_path);
    let published = get(&proposal_path);
    assert!(sent["transactionHash"].is_string(), "{sent}");
    assert_eq!(published["transactionHash"], sent["transactionHash"], "{published}");
}

#[test]
fn other_bytes_on_npm_are_hijacked_and_said_loudly() {
    let world = World::shared();
    let package = world.protected("hijacked");
    let id = world.propose(&package, "1.1.0");
    world.person("bob").threepm(["approve", &id, "--no-submit", "--yes"]).succeeded();
    let thief = world.person("mallory").at(&package.folder);
    std::fs::write(package.folder.join("index.js"), "module.exports = 'not what was signed';\n").unwrap();
    thief.npm(["publish"]).succeeded();
    let stolen = package.served(world, "1.1.0");
    world.person("bob").threepm(["submit", &id]).succeeded();
    let proposal = world.wait_for_state(world.coordinator(), &id, "hijacked");
    assert!(proposal["reason"].as_str().unwrap().contains("other bytes"), "{proposal}");
    assert_eq!(package.served(world, "1.1.0"), stolen, "npm's bytes were touched");
    let status = world.person("carol").threepm(["status", &package.release("1.1.0")]).refused();
    status.ended_with(50).says(&["HIJACKED"]);
}

#[test]
fn the_signed_bytes_that_npm_has_under_no_dist_tag_are_published_and_said_so() {
    let world = World::shared();
    let package = world.protected("without-a-tag");
    let id = world.propose(&package, "1.1.0");
    let tarball = raw::send(world.coordinator(), "GET", &format!("v1/proposals/{id}/tarball"), None);
    std::fs::write(package.folder.join("signed.tgz"), tarball.body).unwrap();
    let alice = package.at(world.person("alice"));
    alice.npm(["publish", "signed.tgz", "--tag", "aside"]).succeeded();
    alice.npm(["dist-tag", "rm", &package.name, "aside"]).succeeded();
    let bob = world.person("bob");
    let signed = bob.threepm(["approve", &id, "--submit", "--wait", "--yes"]).succeeded();
    signed.says(&["npm          published without a dist-tag"]);
    let proposal = world.wait_for_state(world.coordinator(), &id, "published");
    assert!(proposal["npm"]["tag"].is_null(), "{proposal}");
    bob.threepm(["status", &id]).succeeded().says(&["UTC without a dist-tag"]);
}
