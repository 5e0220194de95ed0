//! What the coordinator does with a recorded release: those exact bytes go to npm, once, wherever it is
//! killed, however many coordinators watch, whoever submitted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use trust::message::Release;

use crate::harness::archive;
use crate::harness::coordinator::{Coordinator, kill};
use crate::harness::proxy;
use crate::harness::raw;
use crate::harness::story::Package;
use crate::harness::world::World;

/// Retries pause 1, 2, 4 seconds.
const LIMIT: Duration = Duration::from_secs(60);

/// More requests than a publication makes; reaching it means that the sweep does not end.
const MOST_REQUESTS: usize = 60;

/// A tripwire on the way to one upstream.
#[derive(Debug, Clone)]
struct Tripwire {
    /// Requests still to let through before it fires; negative when it is not armed.
    left: Arc<AtomicI32>,
    /// Fires after the upstream has answered, not before it is asked.
    after: Arc<AtomicBool>,
    /// Whom to kill.
    pid: Arc<AtomicI32>,
    /// Versions that the registry accepted.
    created: Arc<AtomicUsize>,
}

impl Tripwire {
    fn killing(pid: &Arc<AtomicI32>) -> Self {
        let pid = Arc::clone(pid);
        Self { left: Arc::new(AtomicI32::new(-1)), after: Arc::default(), pid, created: Arc::default() }
    }

    fn arm(&self, requests: usize, after: bool) {
        self.after.store(after, Ordering::SeqCst);
        self.left.store(i32::try_from(requests).unwrap(), Ordering::SeqCst);
    }

    fn disarm(&self) {
        self.left.store(-1, Ordering::SeqCst);
    }

    /// A proxy to `upstream` with this wire in it.
    fn in_front_of(&self, upstream: &str) -> String {
        let wire = self.clone();
        proxy::start(upstream, move |request, upstream| {
            let counted = |left: i32| (left >= 0).then(|| left - 1);
            let fires = wire.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, counted) == Ok(0);
            let after = wire.after.load(Ordering::SeqCst);
            if fires && !after {
                kill(&wire.pid);
                return None;
            }
            let answer = upstream.ask(request);
            if request.method == "PUT" && answer.as_ref().is_some_and(|answer| answer.status == 201) {
                wire.created.fetch_add(1, Ordering::SeqCst);
            }
            if fires {
                kill(&wire.pid);
                return None;
            }
            answer
        })
    }
}

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
