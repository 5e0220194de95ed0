//! npm, the chain or the coordinator is down: a sentence, a non-zero exit and no long wait, or success where
//! that part has no say.

use std::time::{Duration, Instant};

use crate::harness::people::Person;
use crate::harness::proxy;
use crate::harness::raw;
use crate::harness::world::World;

/// "Within seconds", on a machine that also runs the other tests.
const LIMIT: Duration = Duration::from_secs(20);

/// Nobody listens here: discard's port, which needs root.
const NOBODY: &str = "http://127.0.0.1:9/";

#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    Npm,
    Chain,
    Coordinator,
}

/// The person in a world without that part.
fn without(person: Person, part: Part) -> Person {
    match part {
        Part::Npm => person.with("NPM_CONFIG_REGISTRY", NOBODY),
        Part::Chain => person.with("THREEPM_RPC_URL", NOBODY),
        Part::Coordinator => person.with("THREEPM_COORDINATOR_URL", NOBODY),
    }
}

#[track_caller]
fn fails_soon(person: &Person, arguments: &[&str]) {
    let started = Instant::now();
    let ended = person.threepm(arguments).refused();
    assert!(started.elapsed() < LIMIT, "{:?}: {ended}", started.elapsed());
    eprintln!("{arguments:?} {:?}: {}", started.elapsed(), ended.stderr.trim());
}

#[test]
fn each_command_says_what_is_down_and_ends_soon() {
    let world = World::shared();
    let package = world.protected("outages");
    let recorded = world.propose(&package, "1.1.0");
    world.person("bob").threepm(["approve", &recorded, "--submit", "--yes"]).succeeded();
    world.wait_for_state(world.coordinator(), &recorded, "published");
    let waiting = world.propose(&package, "1.2.0");
    package.write("1.3.0", &serde_json::json!({}), "module.exports = 3;\n");
    package.commit();
    for part in [Part::Npm, Part::Chain, Part::Coordinator] {
        eprintln!("without {part:?}");
        let (user, project) = world.project(&format!("outage-{part:?}").to_lowercase());
        let install = ["install", &package.release("1.1.0")];
        if part == Part::Coordinator {
            // What was recorded is on chain: the coordinator is not needed to believe it.
            without(user, part).threepm(install).succeeded();
        } else {
            fails_soon(&without(user, part), &install);
            assert!(!project.join("node_modules").join(&package.name).exists(), "installed without {part:?}");
        }
        fails_soon(&without(package.at(world.person("alice")), part), &["publish", "--yes", "--no-submit"]);
        let bob = without(world.person("bob"), part);
        if part != Part::Npm {
            fails_soon(&bob, &["approve", &waiting, "--yes", "--no-submit"]);
            fails_soon(&bob, &["status", &package.release("1.2.0")]);
        }
    }
    let proposal = world.wait_for_state(world.coordinator(), &waiting, "proposed");
    assert_eq!(proposal["signatures"].as_array().map(Vec::len), Some(1), "{proposal}");
    assert_eq!(package.served(world, "1.3.0"), None);
}

#[test]
fn a_server_that_accepts_and_never_answers_is_given_up() {
    let world = World::shared();
    let package = world.protected("silence");
    let id = world.propose(&package, "1.1.0");
    let silent = proxy::start(world.coordinator(), |_, _| {
        std::thread::sleep(Duration::from_secs(300));
        None
    });
    let (user, _) = world.project("silence");
    fails_soon(&user.with("THREEPM_RPC_URL", silent.clone()), &["install", &package.release("1.0.0")]);
    let bob = world.person("bob");
    fails_soon(&bob.clone().with("THREEPM_RPC_URL", silent.clone()), &["approve", &id, "--yes"]);
    fails_soon(&bob.with("THREEPM_COORDINATOR_URL", silent), &["approve", &id, "--yes"]);
}

#[test]
fn a_coordinator_without_its_chain_says_so_and_refuses() {
    let world = World::shared();
    let package = world.protected("coordinator-outage");
    let name = "coordinator-outage";
    let mut coordinator =
        crate::harness::coordinator::Coordinator::new(world, name, world.registry(), NOBODY);
    assert!(coordinator.start(), "{}", coordinator.log());
    let health = raw::send(&coordinator.url, "GET", "v1/health", None);
    let health: serde_json::Value = serde_json::from_slice(&health.body).unwrap();
    assert_eq!(health["status"], "degraded", "{health}");
    assert!(!health["problems"].as_array().unwrap().is_empty(), "{health}");
    let tarball = crate::harness::archive::package(&package.name, "1.1.0", "");
    let release = raw::release(&package.name, "1.1.0", &tarball, 50);
    let answer = raw::propose(world, &coordinator.url, &world.person("alice"), &release, tarball);
    assert_eq!(answer.status, 502, "{}", String::from_utf8_lossy(&answer.body));
}
