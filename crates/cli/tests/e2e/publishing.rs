//! What `3pm publish` refuses before anybody is asked to sign, and what it says about the tree it packed from.

use serde_json::json;

use crate::harness::archive;
use crate::harness::raw;
use crate::harness::story::Package;
use crate::harness::world::World;
use crate::signing::record;

const PUBLISH: [&str; 3] = ["publish", "--yes", "--no-submit"];

#[test]
fn what_must_not_or_cannot_be_published_is_refused_and_nothing_is_sent() {
    let world = World::shared();
    let package = world.protected("refused-early");
    let [alice, mallory] = ["alice", "mallory"].map(|name| package.at(world.person(name)));
    let write = |version: &str, more| {
        package.write(version, &more, "module.exports = 'next';\n");
        package.commit();
    };
    write("1.1.0", json!({ "private": true }));
    alice.threepm(PUBLISH).ended_with(4).refused().says(&[r#"package.json says "private": true"#, "next:"]);
    write("1.0.0", json!({}));
    alice
        .threepm(PUBLISH)
        .ended_with(4)
        .refused()
        .says(&["refused-early@1.0.0 is on npm already", "next: npm version patch"]);
    // Recorded by a tarball that never came to a coordinator, and so not on npm.
    let tarball = archive::package(&package.name, "1.1.0", "");
    record(&raw::release(&package.name, "1.1.0", &tarball, 1));
    write("1.1.0", json!({}));
    alice
        .threepm(PUBLISH)
        .ended_with(4)
        .refused()
        .says(&["refused-early@1.1.0 is recorded on chain already"]);
    write("1.2.0", json!({}));
    let told = format!("{} is not a member of refused-early; members are {}", mallory.address, alice.address);
    let ended = mallory.threepm(PUBLISH).ended_with(4).refused();
    assert!(ended.stderr.to_lowercase().contains(&told.to_lowercase()), "{ended}");
    let unknown = Package::new(world, "refused-unknown");
    unknown
        .at(world.person("alice"))
        .threepm(PUBLISH)
        .ended_with(4)
        .refused()
        .says(&["refused-unknown is not registered", "next: 3pm register refused-unknown"]);
    let waiting = alice.threepm(["pending", &package.name, "--json"]).succeeded().json();
    assert_eq!(waiting["proposals"], json!([]), "{waiting}");
}

#[test]
fn a_tree_with_changes_has_no_commit_and_is_named() {
    let world = World::shared();
    let package = world.protected("dirty-tree");
    let alice = package.at(world.person("alice"));
    package.write("1.1.0", &json!({}), "module.exports = 'committed';\n");
    package.commit();
    let dry =
        || alice.threepm(["publish", "--dry-run", "--json"]).succeeded().json()["release"]["commit"].clone();
    let clean = dry();
    assert_eq!(clean["state"], "clean", "{clean}");
    std::fs::write(package.folder.join("index.js"), "module.exports = 'not committed';\n").expect("written");
    let dirty = dry();
    assert_eq!(dirty, json!({ "state": "dirty", "commit": clean["commit"], "changes": 1 }));
    let signed = alice.threepm(PUBLISH.iter().chain(&["--json"])).succeeded().json();
    let id = signed["proposal"]["id"].as_str().expect("an id");
    let proposal = raw::send(world.coordinator(), "GET", &format!("v1/proposals/{id}"), None);
    let proposal: serde_json::Value = serde_json::from_slice(&proposal.body).expect("JSON");
    assert_eq!(proposal["release"]["gitSha"], format!("0x{}", "0".repeat(64)));
    alice.threepm(["publish", "--dry-run"]).succeeded().says(&["none: the working tree differs from"]);
    // Whoever signs next sees that there is none.
    let shown = world.person("bob").threepm(["approve", id, "--dry-run"]).succeeded();
    let line =
        shown.stdout.lines().chain(shown.stderr.lines()).find(|line| line.trim().starts_with("commit"));
    assert_eq!(line.map(|line| line.split_whitespace().collect()), Some(vec!["commit", "none"]), "{shown}");
}
