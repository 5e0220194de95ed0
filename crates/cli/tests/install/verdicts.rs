//! Every verdict, from the chain and the registry to the exit code and what lies on disk.

use serde_json::json;
use trust::Integrity;

use crate::harness::world::World;
use crate::ledger::{Claim, Ledger, TEAM};
use crate::project::Project;
use crate::shelf::{plain, put, stock, tarball};

/// Refused with this code, these words, and an untouched project.
#[track_caller]
fn refuses(world: &World, package: &str, code: i32, words: &[&str]) {
    let project = Project::asking(world, &format!("refuses-{}", package.replace(['/', '@'], "-")), json!({}));
    project.write("node_modules/.keep", "as before");
    let before = project.contents();
    project.install(&[package]).refused().ended_with(code).says(words);
    assert_eq!(project.contents(), before, "the project was touched");
}

#[test]
fn verified_installs_and_names_its_signers() {
    let world = World::shared();
    let ledger = Ledger::of(world);
    let tarball = stock(world, "v-verified", "1.0.0", "module.exports = 1");
    ledger.claim("v-verified", &TEAM);
    ledger.publish("v-verified", "1.0.0", &tarball, &["alice", "carol"]);
    let project = Project::asking(world, "verified", json!({}));
    let [alice, carol] = ["alice", "carol"].map(|name| {
        let address: alloy_primitives::Address = world.person(name).address.parse().expect("an address");
        address.to_string()
    });
    project.install(&["v-verified"]).succeeded().says(&[
        "v-verified@1.0.0",
        &alice,
        &carol,
        "compared file by file",
    ]);
    assert_eq!(project.read("node_modules/v-verified/index.js"), "module.exports = 1");
    assert!(project.read("package.json").contains("v-verified"));
    assert!(!project.has(".3pm-install"));

    let json = project.user.threepm(["verify", "--json"]).succeeded().json();
    assert_eq!(json["packages"][0]["outcome"], "Verified");
    assert_eq!(json["packages"][0]["detail"]["signers"].as_array().map(Vec::len), Some(2));
    project.user.threepm(["verify", "v-verified@1.0.0"]).succeeded().says(&["Verified"]);
}

#[test]
fn not_enrolled_installs_and_is_counted() {
    let world = World::shared();
    stock(world, "v-unknown", "1.0.0", "1");
    let project = Project::asking(world, "not-enrolled", json!({"v-unknown": "1"}));
    project.install(&[]).succeeded().says(&["1 not enrolled in 3pm"]);
    assert!(project.has("node_modules/v-unknown/index.js"));
}

#[test]
fn unrecorded_is_denied() {
    let world = World::shared();
    let ledger = Ledger::of(world);
    stock(world, "v-unrecorded", "6.6.6", "evil");
    ledger.claim("v-unrecorded", &TEAM);
    refuses(
        world,
        "v-unrecorded",
        30,
        &["v-unrecorded@6.6.6", "Unrecorded", "nothing was installed: 1 denied"],
    );
}

#[test]
fn other_bytes_than_the_signed_ones_are_a_mismatch() {
    let world = World::shared();
    let ledger = Ledger::of(world);
    let evil = stock(world, "v-bytes", "1.0.0", "evil");
    let good = plain("v-bytes", "1.0.0", "good");
    ledger.claim("v-bytes", &TEAM);
    ledger.publish("v-bytes", "1.0.0", &good, &["alice", "bob"]);
    let (expected, received) = (Integrity::of(&good).to_string(), Integrity::of(&evil).to_string());
    refuses(world, "v-bytes", 50, &["Mismatch", "bytes: integrity", &expected, &received]);
}

#[test]
fn another_manifest_than_the_signed_one_is_a_mismatch() {
    let world = World::shared();
    let ledger = Ledger::of(world);
    stock(world, "v-extra", "1.0.0", "evil");
    let bytes = plain("v-manifest", "1.0.0", "good");
    let lie = json!({"name": "v-manifest", "version": "1.0.0", "dependencies": {"v-extra": "1"}, "bin": {"ls": "index.js"}});
    put(world, &world.person("alice"), &lie, &bytes);
    ledger.claim("v-manifest", &TEAM);
    ledger.publish("v-manifest", "1.0.0", &bytes, &["alice", "bob"]);
    refuses(world, "v-manifest", 50, &["Mismatch", "manifest: dependencies", "v-extra"]);
}

#[test]
fn another_identity_than_the_signed_one_is_a_mismatch() {
    let world = World::shared();
    let ledger = Ledger::of(world);
    let bytes = plain("v-other", "2.0.0", "good, but somebody else's");
    put(world, &world.person("alice"), &json!({"name": "v-identity", "version": "1.0.0"}), &bytes);
    ledger.claim("v-identity", &TEAM);
    ledger.publish("v-identity", "1.0.0", &bytes, &["alice", "bob"]);
    refuses(world, "v-identity", 50, &["identity", "v-identity@1.0.0", "v-other@2.0.0"]);
}

#[test]
fn revoked_is_denied() {
    let world = World::shared();
    let ledger = Ledger::of(world);
    let tarball = stock(world, "v-revoked", "1.0.0", "1");
    ledger.claim("v-revoked", &TEAM);
    ledger.publish("v-revoked", "1.0.0", &tarball, &["alice", "bob"]);
    ledger.revoke("v-revoked", "1.0.0", &["alice", "bob"]);
    refuses(world, "v-revoked", 41, &["Revoked"]);
}

#[test]
fn cooling_and_vetoed_are_denied() {
    let world = World::shared();
    let ledger = Ledger::of(world);
    let tarball = stock(world, "v-cooling", "1.0.0", "1");
    ledger.claim("v-cooling", &Claim { delay_hours: 24, ..TEAM });
    ledger.publish("v-cooling", "1.0.0", &tarball, &["alice", "bob"]);
    refuses(world, "v-cooling", 20, &["Cooling"]);
    ledger.veto("v-cooling", "1.0.0", "carol");
    refuses(world, "v-cooling@1.0.0", 40, &["Vetoed"]);
}

#[test]
fn flagged_is_installed_only_when_somebody_agrees() {
    let world = World::shared();
    let ledger = Ledger::of(world);
    let tarball = stock(world, "v-flagged", "1.0.0", "1");
    ledger.claim("v-flagged", &TEAM);
    ledger.publish("v-flagged", "1.0.0", &tarball, &["alice", "bob"]);
    ledger.flag("v-flagged", "1.0.0", "carol");
    refuses(world, "v-flagged", 10, &["Flagged", "nobody to ask", "--yes"]);
    let project = Project::asking(world, "flagged", json!({}));
    project.install(&["--yes", "v-flagged"]).succeeded().says(&["Flagged"]);
    assert!(project.has("node_modules/v-flagged/index.js"));
}

#[test]
fn fewer_signers_than_the_threshold_never_get_a_record_and_so_never_verify() {
    let world = World::shared();
    let ledger = Ledger::of(world);
    let tarball = stock(world, "v-alone", "1.0.0", "1");
    ledger.claim("v-alone", &TEAM);
    let alone = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        ledger.publish("v-alone", "1.0.0", &tarball, &["alice"]);
    }));
    assert!(alone.is_err(), "the contract took one signature of two");
    refuses(world, "v-alone", 30, &["Unrecorded"]);
}

#[test]
fn a_dependency_deep_in_the_tree_is_judged_like_any_other() {
    let world = World::shared();
    let ledger = Ledger::of(world);
    stock(world, "v-deep", "6.6.6", "evil");
    ledger.claim("v-deep", &TEAM);
    for (name, dependency) in [("v-middle", "v-deep"), ("v-top", "v-middle")] {
        let manifest = json!({"name": name, "version": "1.0.0", "dependencies": {dependency: "*"}});
        put(world, &world.person("alice"), &manifest, &tarball(&manifest, &[]));
    }
    refuses(world, "v-top", 30, &["v-deep@6.6.6", "Unrecorded"]);
}
