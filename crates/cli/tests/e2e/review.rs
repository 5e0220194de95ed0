//! What a co-signer sees before signing, where somebody would rather have it unseen; and that no single member keeps
//! the others from acting.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::archive;
use crate::harness::proxy;
use crate::harness::raw;
use crate::harness::story::id_of;
use crate::harness::terminal;
use crate::harness::world::{BINARY, World};

#[test]
fn one_members_change_keeps_nobody_from_removing_that_member() {
    let world = World::shared();
    let package = world.protected("removed-all-the-same");
    let name = package.name.as_str();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| package.at(world.person(name)));
    let stalling =
        carol.threepm(["team", "set", name, "--recovery-days", "90", "--no-submit", "--yes", "--json"]);
    let stalling = id_of(&stalling.succeeded());
    let removal =
        alice.threepm(["team", "remove", name, &carol.address, "--no-submit", "--yes", "--json"]).succeeded();
    let removal = id_of(&removal.says(&[&stalling, "only one of the two can take effect"]));
    bob.threepm(["approve", &removal, "--no-submit", "--yes"]).succeeded();
    // One that has its signatures is not raced.
    let third = ["team", "set", name, "--recovery-days", "91", "--no-submit", "--yes"];
    alice.threepm(third).ended_with(4).refused().says(&["has its signatures already", &removal]);
    bob.threepm(["submit", &removal]).succeeded().says(&["is in force"]);
    assert_eq!(
        alice.threepm(["team", "status", name, "--json"]).json()["members"].as_array().unwrap().len(),
        2
    );
}

#[test]
fn one_members_high_nonce_keeps_nobody_from_publishing() {
    let world = World::shared();
    let package = world.protected("numbered-all-the-same");
    let carol = world.person("carol");
    let tarball = archive::package(&package.name, "9.0.0", "module.exports = 'far';\n");
    let far = raw::release(&package.name, "9.0.0", &tarball, 1_000);
    assert_eq!(raw::propose(world, world.coordinator(), &carol, &far, tarball).status, 201);
    let near = world.propose(&package, "1.1.0");
    let next = world.propose(&package, "1.2.0");
    let nonce = |id: &str| -> u64 {
        let answer = raw::send(world.coordinator(), "GET", &format!("v1/proposals/{id}"), None);
        let proposal: Value = serde_json::from_slice(&answer.body).expect("JSON");
        proposal["release"]["nonce"].as_str().expect("a number").parse().expect("a number")
    };
    assert_eq!(nonce(&next), nonce(&near) + 1);
    assert!(nonce(&next) < 1_000);
    world.person("bob").threepm(["approve", &next, "--submit", "--yes"]).succeeded();
}

#[test]
fn junk_on_npm_hides_no_version_that_was_signed() {
    let world = World::shared();
    let package = world.protected("below-the-junk");
    let id = world.propose(&package, "1.1.0");
    let path = format!("/{}", package.name);
    let registry = proxy::start(world.registry(), move |request, upstream| {
        let mut answer = upstream.ask(request)?;
        if request.path == path {
            answer.edit_json(|document| {
                let described = document["versions"]["1.0.0"].clone();
                for patch in 1..=1_500 {
                    document["versions"][format!("1.0.{patch}")] = described.clone();
                }
            });
        }
        Some(answer)
    });
    let bob = world
        .person("bob")
        .with("THREEPM_REGISTRY_ORIGIN", registry.clone())
        .with("NPM_CONFIG_REGISTRY", registry);
    bob.threepm(["approve", &id, "--dry-run"]).succeeded().says(&["Against 1.0.0 (Legacy)"]);
}

#[test]
fn a_list_that_is_lost_is_named_and_stops_no_review() {
    let world = World::shared();
    let package = world.protected("reviewed-without-a-list");
    let id = world.propose(&package, "1.1.0");
    let forgetful = proxy::start(world.coordinator(), |request, upstream| {
        let mut answer = upstream.ask(request)?;
        if request.path.ends_with("/legacy") {
            answer.status = 404;
            answer.body = br#"{"type":"about:blank","title":"Not kept here","status":404}"#.to_vec();
        }
        Some(answer)
    });
    let bob = world.person("bob").with("THREEPM_COORDINATOR_URL", forgetful);
    bob.threepm(["approve", &id, "--dry-run"]).succeeded().says(&[
        "No lower version is Verified or Legacy here",
        "passed over every version from before the claim",
    ]);
}

#[test]
fn whoever_signs_is_told_that_npm_has_other_bytes_under_that_number() {
    let world = World::shared();
    let package = world.protected("taken-meanwhile");
    let id = world.propose(&package, "1.1.0");
    let bob = world.person("bob");
    let told = "the registry already has other bytes under this number";
    let before = bob.threepm(["approve", &id, "--dry-run"]).succeeded();
    assert!(!before.stderr.contains(told) && !before.stdout.contains(told), "{before}");
    let thief = package.at(world.person("alice"));
    package.write("1.1.0", &json!({}), "module.exports = 'stolen';\n");
    thief.npm(["publish"]).succeeded();
    bob.threepm(["approve", &id, "--dry-run"]).succeeded().says(&[told]);
}

#[test]
fn the_tag_that_a_release_asks_for_is_shown() {
    let world = World::shared();
    let package = world.protected("tagged");
    package.write("1.1.0-rc.1", &json!({ "publishConfig": { "tag": "latest" } }), "module.exports = 2;\n");
    package.commit();
    let alice = package.at(world.person("alice"));
    let id = id_of(&alice.threepm(["publish", "--yes", "--no-submit", "--json"]).succeeded());
    let shown = "latest, by publishConfig in package.json";
    world.person("bob").threepm(["approve", &id, "--dry-run"]).succeeded().says(&[shown]);
}

#[test]
fn nobody_is_asked_about_what_they_are_not_shown() {
    let world = World::shared();
    let package = world.protected("asked-quietly");
    let id = world.propose(&package, "1.1.0");
    let mut command = world.person("bob").command(BINARY);
    command.args(["approve", &id, "--quiet", "--no-submit"]);
    let (code, said) = terminal::run(command);
    assert_eq!(code, Some(0), "{said}");
    let question = said.find("Sign asked-quietly@1.1.0?").expect("a question");
    for part in ["proposed by", "sha512", "Against 1.0.0"] {
        assert!(said.find(part).is_some_and(|at| at < question), "{part}: {said}");
    }
}

#[test]
fn a_secret_that_never_comes_is_not_waited_for_without_end() {
    let world = World::shared();
    let package = world.claimed("no-secret-came");
    let started = Instant::now();
    let mut command = world.person("alice").command(BINARY);
    command.args(["register-token", &package.name]);
    // A pipe that somebody holds open and writes nothing into.
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("a program");
    let _held = child.stdin.take();
    let ended = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert!(said.contains("nothing came on standard input within 30 s"), "{said}");
    assert!(started.elapsed() < Duration::from_secs(90), "{said}");
}
