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

/// It ends within seconds, with this code, and says all of these.
#[track_caller]
fn ends_soon(person: &Person, arguments: &[&str], input: &str, code: i32, says: &[&str]) {
    let started = Instant::now();
    let ended = person.threepm_with_input(arguments, input);
    assert!(started.elapsed() < LIMIT, "{:?}: {ended}", started.elapsed());
    let ended = ended.ended_with(code).says(says);
    if code != 0 {
        ended.refused();
    }
}

#[test]
fn each_command_says_what_is_down_and_ends_soon() {
    let world = World::shared();
    let package = world.protected("outages");
    let recorded = world.propose(&package, "1.1.0");
    world.person("bob").threepm(["approve", &recorded, "--submit", "--yes"]).succeeded();
    world.wait_for_state(world.coordinator(), &recorded, "published");
    let waiting = world.propose(&package, "1.2.0");
    let signed = world.propose(&package, "1.2.1");
    world.person("bob").threepm(["approve", &signed, "--no-submit", "--yes"]).succeeded();
    package.write("1.3.0", &serde_json::json!({}), "module.exports = 3;\n");
    package.commit();
    let (alice, bob) = (package.at(world.person("alice")), world.person("bob"));
    let (user, project) = world.project("outages");
    let (token, carol) = (alice.npm_token(), world.person("carol").address);
    let (published, proposed) = (package.release("1.1.0"), package.release("1.2.0"));

    // What each part is needed for, what is said without it, and what goes on.
    const NPM: &[&str] = &["npm registry", "http://127.0.0.1:9/", "next: check `npm config get registry`"];
    const CHAIN: &[&str] = &[
        "the chain of network \"local\" cannot be read",
        "0 of 1 RPC endpoints answered",
        "next: check its rpcUrls in config.json",
    ];
    const CHAIN_OF_USER: &[&str] = &["the chain could not be read", "0 of 1 RPC endpoints answered", "next:"];
    const COORDINATOR: &[&str] = &[
        "coordinator at http://127.0.0.1:9/ gave no usable answer",
        "next: check coordinatorUrl in config.json",
    ];
    // Of where a token goes nothing is guessed.
    const OTHER_REGISTRY: &[&str] =
        &["npm takes outages from http://127.0.0.1:9/", "next: set npm's registry"];
    const NO_PROPOSALS: &[&str] =
        &["record       none on chain", "warning: coordinator at http://127.0.0.1:9/ gave no usable answer"];
    const FINE: &[&str] = &[];
    let install = ["install", &published];
    let rows: [(&Person, &[&str], [(i32, &[&str]); 3]); 11] = [
        (&user, &install, [(1, NPM), (1, CHAIN_OF_USER), (0, FINE)]),
        (&user, &["verify", &published], [(1, NPM), (1, CHAIN_OF_USER), (0, FINE)]),
        (&alice, &["publish", "--yes", "--no-submit"], [(1, NPM), (1, CHAIN), (1, COORDINATOR)]),
        (
            &alice,
            &["register", "outages-new", "--yes", "--no-wait"],
            [(1, NPM), (1, CHAIN), (1, COORDINATOR)],
        ),
        (&alice, &["register-token", "outages"], [(2, OTHER_REGISTRY), (1, CHAIN), (1, COORDINATOR)]),
        (&alice, &["team", "status", "outages"], [(0, FINE), (1, CHAIN), (0, FINE)]),
        (
            &alice,
            &["team", "remove", "outages", &carol, "--yes", "--no-submit"],
            [(0, FINE), (1, CHAIN), (1, COORDINATOR)],
        ),
        (&bob, &["approve", &waiting, "--yes", "--no-submit"], [(1, NPM), (1, CHAIN), (1, COORDINATOR)]),
        (&bob, &["pending"], [(0, FINE), (0, FINE), (1, COORDINATOR)]),
        (&bob, &["status", &proposed], [(0, FINE), (1, CHAIN), (1, NO_PROPOSALS)]),
        (&bob, &["submit", &signed], [(0, FINE), (1, CHAIN), (1, COORDINATOR)]),
    ];
    // Without npm last: some of it succeeds, and changes what is there.
    for (at, part) in [(1, Part::Chain), (2, Part::Coordinator), (0, Part::Npm)] {
        for (person, arguments, expected) in &rows {
            let (code, says) = expected[at];
            eprintln!("without {part:?}: {arguments:?}");
            ends_soon(&without((*person).clone(), part), arguments, &token, code, says);
        }
        let there = project.join("node_modules").join(&package.name);
        // What was recorded is on chain: the coordinator is not needed to believe it.
        assert_eq!(there.exists(), part == Part::Coordinator, "{part:?}");
        if there.exists() {
            std::fs::remove_dir_all(project.join("node_modules")).expect("removed");
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
    package.write("1.2.0", &serde_json::json!({}), "module.exports = 2;\n");
    package.commit();
    let (alice, bob) = (package.at(world.person("alice")), world.person("bob"));
    let token = alice.npm_token();
    let install = ["install", &package.release("1.0.0")];
    let publish = ["publish", "--yes", "--no-submit"];
    let approve = ["approve", &id, "--yes", "--no-submit"];
    let register = ["register", "silence-new", "--yes", "--no-wait"];
    let register_token = ["register-token", "silence"];
    let remove = ["team", "remove", "silence", &world.person("carol").address, "--yes", "--no-submit"];
    const NPM: (&str, &[&str]) =
        ("NPM_CONFIG_REGISTRY", &["npm registry gave no usable answer", "within 10s"]);
    const CHAIN: (&str, &[&str]) =
        ("THREEPM_RPC_URL", &["the chain of network \"local\" cannot be read", "next:"]);
    const COORDINATOR: (&str, &[&str]) = ("THREEPM_COORDINATOR_URL", &["gave no usable answer", "next:"]);
    const USERS_CHAIN: (&str, &[&str]) = ("THREEPM_RPC_URL", &["the chain could not be read", "next:"]);
    let rows: [(&Person, &[&str], &[(&str, &[&str])]); 6] = [
        (&user, &install, &[USERS_CHAIN]),
        (&alice, &publish, &[NPM, CHAIN, COORDINATOR]),
        (&bob, &approve, &[NPM, CHAIN, COORDINATOR]),
        (&alice, &register, &[NPM, CHAIN, COORDINATOR]),
        (&alice, &register_token, &[NPM, CHAIN, COORDINATOR]),
        (&alice, &remove, &[CHAIN, COORDINATOR]),
    ];
    // A few at a time: what is measured is how long they wait for a server, not for one another.
    for some in rows.chunks(2) {
        std::thread::scope(|scope| {
            for (person, arguments, parts) in some {
                for (variable, says) in *parts {
                    let mut person = (*person).clone().with(variable, silent.clone());
                    if *variable == NPM.0 {
                        person = person.with("THREEPM_REGISTRY_ORIGIN", silent.clone());
                    }
                    let token = &token;
                    scope.spawn(move || {
                        eprintln!("{variable}: {arguments:?}");
                        ends_soon(&person, arguments, token, 1, says);
                    });
                }
            }
        });
    }
    let proposal = world.wait_for_state(world.coordinator(), &id, "proposed");
    assert_eq!(proposal["signatures"].as_array().map(Vec::len), Some(1), "{proposal}");
}

#[test]
fn a_coordinator_without_its_chain_says_so_and_refuses() {
    let world = World::shared();
    let package = world.protected("coordinator-outage");
    let name = "coordinator-outage";
    let with_key = format!("{NOBODY}v2/key-of-the-operator");
    let mut coordinator =
        crate::harness::coordinator::Coordinator::new(world, name, world.registry(), &with_key);
    assert!(coordinator.start(), "{}", coordinator.log());
    let health = raw::send(&coordinator.url, "GET", "v1/health", None);
    let health: serde_json::Value = serde_json::from_slice(&health.body).unwrap();
    assert_eq!(health["status"], "degraded", "{health}");
    assert!(!health["problems"].as_array().unwrap().is_empty(), "{health}");
    assert!(!health.to_string().contains("key-of-the-operator"), "{health}");
    let tarball = crate::harness::archive::package(&package.name, "1.1.0", "");
    let release = raw::release(&package.name, "1.1.0", &tarball, 50);
    let answer = raw::propose(world, &coordinator.url, &world.person("alice"), &release, tarball);
    let body = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, 502, "{body}");
    assert!(!body.contains("key-of-the-operator"), "{body}");
    assert!(!coordinator.log().contains("key-of-the-operator"), "{}", coordinator.log());
}
