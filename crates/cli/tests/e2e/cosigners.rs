//! Who may sign what: a co-signer who is none, who signs twice, who signs something else, too late, or
//! something that is closed. Asked of the coordinator directly, and through `3pm approve`.

use alloy_primitives::U256;
use serde_json::{Value, json};

use crate::harness::archive;
use crate::harness::raw::{self, refused};
use crate::harness::world::World;

#[test]
fn a_stranger_cannot_sign_or_propose() {
    let world = World::shared();
    let package = world.protected("signed-by-a-stranger");
    let mallory = world.person("mallory");
    let id = world.propose(&package, "1.1.0");
    mallory.threepm(["approve", &id, "--yes"]).ended_with(4).refused().says(&["member"]);

    let tarball = archive::package(&package.name, "1.2.0", "module.exports = 'mine';\n");
    let release = raw::release(&package.name, "1.2.0", &tarball, 50);
    let (coordinator, alice) = (world.coordinator(), world.person("alice"));
    refused(&raw::propose(world, coordinator, &mallory, &release, tarball.clone()), 403, "not-a-member");
    assert_eq!(raw::propose(world, coordinator, &alice, &release, tarball).status, 201);
    refused(&raw::add_signature(world, coordinator, &mallory, &release), 403, "not-a-member");
    // A member's name under a stranger's signature.
    let body =
        json!({ "signer": world.person("bob").address, "signature": raw::sign(world, &mallory, &release) });
    let path = format!("v1/proposals/{}/signatures", raw::id(world, &release));
    refused(&raw::send(coordinator, "POST", &path, Some(&body)), 422, "bad-signature");
}

#[test]
fn a_stranger_cannot_propose_a_team_of_their_own() {
    let world = World::shared();
    let package = world.protected("signed-by-a-usurper");
    let (coordinator, mallory) = (world.coordinator(), world.person("mallory"));
    let changes = || -> Value {
        let path = format!("v1/changes?package={}&state=all", package.name);
        serde_json::from_slice(&raw::send(coordinator, "GET", &path, None).body).expect("JSON")
    };
    let before = changes();
    let mut config = before["changes"][0]["config"].clone();
    let epoch = config["epoch"].as_u64().expect("the team of three was a change");
    config["epoch"] = json!(epoch + 1);
    config["members"] = json!([mallory.address]);
    config["threshold"] = json!(1);
    let body =
        json!({ "config": config, "signer": mallory.address, "signature": format!("0x{}", "11".repeat(65)) });
    refused(&raw::send(coordinator, "POST", "v1/changes", Some(&body)), 403, "not-a-member");
    assert_eq!(changes(), before);
}

#[test]
fn nobody_counts_twice() {
    let world = World::shared();
    let package = world.protected("signed-twice");
    let id = world.propose(&package, "1.1.0");
    let alice = world.person("alice");
    alice.threepm(["approve", &id, "--yes"]).ended_with(4).refused().says(&["already"]);

    let tarball = archive::package(&package.name, "1.2.0", "module.exports = 2;\n");
    let release = raw::release(&package.name, "1.2.0", &tarball, 50);
    assert_eq!(raw::propose(world, world.coordinator(), &alice, &release, tarball).status, 201);
    refused(&raw::add_signature(world, world.coordinator(), &alice, &release), 409, "already-signed");
    let proposal =
        raw::send(world.coordinator(), "GET", &format!("v1/proposals/{}", raw::id(world, &release)), None);
    let proposal: Value = serde_json::from_slice(&proposal.body).unwrap();
    assert_eq!(proposal["signatures"].as_array().map(Vec::len), Some(1), "{proposal}");
    assert_eq!(proposal["state"], "proposed", "{proposal}");
}

#[test]
fn a_signature_of_a_changed_payload_does_not_count() {
    let world = World::shared();
    let package = world.protected("changed-payload");
    let tarball = archive::package(&package.name, "1.1.0", "module.exports = 1;\n");
    let release = raw::release(&package.name, "1.1.0", &tarball, 50);
    let (alice, bob) = (world.person("alice"), world.person("bob"));
    assert_eq!(raw::propose(world, world.coordinator(), &alice, &release, tarball).status, 201);
    let path = format!("v1/proposals/{}/signatures", raw::id(world, &release));
    for (what, changed) in [
        ("nonce", {
            let mut changed = release.clone();
            changed.nonce += U256::from(1);
            changed
        }),
        ("deadline", {
            let mut changed = release.clone();
            changed.deadline += U256::from(1);
            changed
        }),
        ("version", {
            let mut changed = release.clone();
            changed.version = "1.1.1".into();
            changed
        }),
        ("run", {
            let mut changed = release.clone();
            changed.ciRunUrl = "https://ci.example/1".into();
            changed
        }),
        ("epoch", {
            let mut changed = release.clone();
            changed.epoch = 2;
            changed
        }),
    ] {
        let body = json!({ "signer": bob.address, "signature": raw::sign(world, &bob, &changed) });
        let answer = raw::send(world.coordinator(), "POST", &path, Some(&body));
        eprintln!("{what}: {}", String::from_utf8_lossy(&answer.body));
        refused(&answer, 422, "bad-signature");
    }
}

#[test]
fn a_closed_proposal_takes_no_more_signatures() {
    let world = World::shared();
    let package = world.protected("closed");
    let id = world.propose(&package, "1.1.0");
    world.person("bob").threepm(["approve", &id, "--submit", "--yes"]).succeeded();
    world.wait_for_state(world.coordinator(), &id, "published");
    world.person("carol").threepm(["approve", &id, "--yes"]).ended_with(4).refused();
    let carol = world.person("carol");
    let body = json!({ "signer": carol.address, "signature": format!("0x{}", "11".repeat(65)) });
    let answer =
        raw::send(world.coordinator(), "POST", &format!("v1/proposals/{id}/signatures"), Some(&body));
    refused(&answer, 409, "closed");
}

#[test]
fn a_dry_run_shows_all_there_is_before_anybody_signs() {
    let world = World::shared();
    let package = world.protected("reviewed");
    let tarball = archive::package_of_many(&package.name, "1.1.0", "node lib/z.js", 100);
    let release = raw::release(&package.name, "1.1.0", &tarball, 50);
    let answer = raw::propose(world, world.coordinator(), &world.person("alice"), &release, tarball);
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    let (id, bob) = (raw::id(world, &release), world.person("bob"));

    let asked = bob.threepm(["approve", &id]).ended_with(3);
    assert!(!asked.stdout.contains("lib/z.js"), "cut where a question follows: {asked}");
    asked.says(&["more; all of them with --dry-run", "postinstall script", "node lib/z.js"]);
    // A stranger may look.
    let mallory = world.person("mallory");
    let looked = mallory.threepm(["approve", &id, "--dry-run"]).succeeded();
    looked.says(&["a/099.js", "lib/z.js", "nothing was signed"]);
    mallory.threepm(["approve", &id, "--dry-run", "--diff"]).succeeded().says(&["more changed files"]);
    let lines = mallory.threepm(["approve", &id, "--dry-run", "--diff=lib/"]).succeeded();
    assert!(!lines.stdout.contains("more changed files"), "{lines}");
    lines.says(&["module.exports = 'last';"]);
    let review = mallory.threepm(["approve", &id, "--dry-run", "--json"]).succeeded().json();
    assert_eq!(review["signed"], false, "{review}");
    let files = review["review"]["comparison"]["files"].as_array().expect("files");
    assert!(files.iter().any(|file| file["path"] == "lib/z.js"), "{review}");

    let proposal = raw::send(world.coordinator(), "GET", &format!("v1/proposals/{id}"), None);
    let proposal: Value = serde_json::from_slice(&proposal.body).unwrap();
    assert_eq!(proposal["signatures"].as_array().map(Vec::len), Some(1), "{proposal}");
}

#[test]
fn an_expired_proposal_takes_no_more_signatures() {
    let world = World::shared();
    let package = world.protected("expired");
    let tarball = archive::package(&package.name, "1.1.0", "module.exports = 1;\n");
    let mut release = raw::release(&package.name, "1.1.0", &tarball, 50);
    release.deadline = U256::from(raw::now() + 3);
    let (alice, bob) = (world.person("alice"), world.person("bob"));
    let answer = raw::propose(world, world.coordinator(), &alice, &release, tarball.clone());
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    std::thread::sleep(std::time::Duration::from_secs(4));
    refused(&raw::add_signature(world, world.coordinator(), &bob, &release), 410, "expired");
    let id = raw::id(world, &release);
    bob.threepm(["approve", &id, "--yes"]).ended_with(4).refused().says(&["expired"]);
    // The chain's clock decides, and this one stands still between blocks.
    raw::rpc(world, "evm_mine", serde_json::json!([]));
    world.wait_for_state(world.coordinator(), &id, "expired");
    // A deadline that has passed is refused from the start, and so is one nobody may sign.
    for deadline in [raw::now() - 1, raw::now() + 31 * 24 * 60 * 60] {
        release.deadline = U256::from(deadline);
        let answer = raw::propose(world, world.coordinator(), &alice, &release, tarball.clone());
        assert!(matches!(answer.status, 410 | 422), "{}", String::from_utf8_lossy(&answer.body));
    }
}

#[test]
fn a_release_of_a_team_that_has_changed_is_not_signed_any_more() {
    let world = World::shared();
    let package = world.protected("team-changed");
    let id = world.propose(&package, "1.1.0");
    let (alice, bob) = (world.person("alice"), world.person("bob"));
    let carol = world.person("carol").address;
    let change = alice
        .threepm(["team", "remove", &package.name, &carol, "--no-submit", "--yes", "--json"])
        .succeeded();
    let change = crate::harness::story::id_of(&change);
    bob.threepm(["approve", &change, "--submit", "--yes"]).succeeded();
    bob.threepm(["approve", &id, "--yes"]).ended_with(4).refused();
}
