//! Releases that alice and bob sign at a coordinator of a test's own, for tests of what becomes of them there.

use trust::message::Release;

use crate::harness::coordinator::Coordinator;
use crate::harness::raw;
use crate::harness::story::Package;
use crate::harness::world::World;

/// One that runs, on these ways to npm and to the chain; nobody has handed a token over to it.
#[track_caller]
pub fn coordinator(name: &str, registry: &str, rpc: &str) -> Coordinator {
    let mut coordinator = Coordinator::new(World::shared(), name, registry, rpc);
    assert!(coordinator.start(), "{}", coordinator.log());
    coordinator
}

/// alice hands her token over to it, whatever its way to npm is.
pub fn hand_over(coordinator: &Coordinator, package: &Package, registry: &str) {
    let alice = coordinator.seen_by(package.at(World::shared().person("alice")));
    let here = alice.clone().with("NPM_CONFIG_REGISTRY", registry).with("THREEPM_REGISTRY_ORIGIN", registry);
    here.threepm_with_input(["register-token", &package.name], &alice.npm_token()).succeeded();
}

/// alice proposes it and bob signs as well.
#[track_caller]
pub fn sign(coordinator: &str, release: &Release, tarball: &[u8]) {
    propose(coordinator, release, tarball);
    let world = World::shared();
    let answer = raw::add_signature(world, coordinator, &world.person("bob"), release);
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
}

/// alice proposes it.
#[track_caller]
pub fn propose(coordinator: &str, release: &Release, tarball: &[u8]) {
    let world = World::shared();
    let answer = raw::propose(world, coordinator, &world.person("alice"), release, tarball.to_vec());
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
}

/// It is recorded, with the signatures of both.
pub fn record(release: &Release) {
    let world = World::shared();
    raw::record(world, release, &[&world.person("alice"), &world.person("bob")]);
}

/// The proposal once it is in this state.
#[track_caller]
pub fn wait(coordinator: &str, release: &Release, state: &str) -> serde_json::Value {
    World::shared().wait_for_state(coordinator, &raw::id(World::shared(), release), state)
}

/// The proposal once it says why it does not go on.
#[track_caller]
pub fn wait_for_attention(coordinator: &str, release: &Release, says: &str) -> serde_json::Value {
    let id = raw::id(World::shared(), release);
    let started = std::time::Instant::now();
    loop {
        let answer = raw::send(coordinator, "GET", &format!("v1/proposals/{id}"), None);
        let proposal: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        if proposal["attention"].as_str().is_some_and(|attention| attention.contains(says)) {
            return proposal;
        }
        assert!(started.elapsed().as_secs() < 60, "expected {says:?}: {proposal:#}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
