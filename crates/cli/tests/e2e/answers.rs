//! What a coordinator answers to releases that our own client would not have sent: a number, a nonce, a team that
//! is not the one it should be, and uploads that are too many or of no known length.

use serde_json::Value;
use trust::message::Config;

use crate::harness::archive;
use crate::harness::raw::{self, refused};
use crate::harness::story::id_of;
use crate::harness::world::World;
use crate::signing::{coordinator, propose, record};

#[test]
fn what_a_release_takes_must_be_free_and_its_team_the_one_there_is() {
    let world = World::shared();
    let package = world.protected("answered");
    let alice = world.person("alice");
    let of = |version: &str, nonce| {
        let tarball = archive::package(&package.name, version, "module.exports = 'raw';\n");
        (raw::release(&package.name, version, &tarball, nonce), tarball)
    };
    let (recorded, _) = of("2.0.0", 1);
    record(&recorded);
    let asks = |(release, tarball)| raw::propose(world, world.coordinator(), &alice, &release, tarball);
    for (version, nonce, kind, says) in [
        ("1.0.0", 2, "version-taken", "answered@1.0.0 exists on npm; raise the version"),
        ("2.0.0", 2, "version-taken", "answered@2.0.0 exists on chain; raise the version"),
        ("2.1.0", 1, "nonce-used", "nonce 1 has a record"),
    ] {
        assert_eq!(refused(&asks(of(version, nonce)), 409, kind), says);
    }
    for epoch in [0, 2] {
        let (mut release, tarball) = of("2.1.0", 2);
        release.epoch = epoch;
        let said = refused(&asks((release, tarball)), 409, "wrong-epoch");
        assert_eq!(said, format!("signed for epoch {epoch}, expected 1"));
    }
    let (release, tarball) = of("2.1.0", 2);
    let answer = raw::propose_unmeasured(world, world.coordinator(), &alice, &release, &tarball);
    assert_eq!(refused(&answer, 411, "length-required"), "announce the tarball's size");
    // Nothing was wrong with it but that.
    propose(world.coordinator(), &release, &tarball);
}

#[test]
fn a_release_of_a_team_that_is_no_more_takes_no_signature() {
    let world = World::shared();
    let package = world.protected("answered-late");
    let tarball = archive::package(&package.name, "2.0.0", "");
    let release = raw::release(&package.name, "2.0.0", &tarball, 1);
    propose(world.coordinator(), &release, &tarball);
    let alice = package.at(world.person("alice"));
    let set = ["team", "set", &package.name, "--recovery-days", "90", "--no-submit", "--yes", "--json"];
    let change = id_of(&alice.threepm(set).succeeded());
    world.person("bob").threepm(["approve", &change, "--submit", "--yes"]).succeeded();
    let answer = raw::add_signature(world, world.coordinator(), &world.person("bob"), &release);
    let problem: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(answer.status, 409, "{problem}");
    // It may have noticed already, and withdrawn it.
    let kind = problem["type"].as_str().expect("a kind");
    assert!(["urn:3pm:problem:wrong-epoch", "urn:3pm:problem:closed"].contains(&kind), "{problem}");
}

#[test]
fn so_many_uploads_at_once_and_the_next_is_told_to_come_again() {
    let world = World::shared();
    let package = world.protected("busy-uploads");
    let here = coordinator("busy-uploads", world.registry(), world.rpc());
    let alice = world.person("alice");
    let of = |nonce: u64| {
        let version = format!("2.0.{nonce}");
        let tarball = archive::package(&package.name, &version, "");
        (raw::release(&package.name, &version, &tarball, nonce), tarball)
    };
    // What it has already is in a line of its own when it comes again.
    let known: Vec<_> = (1..=4).map(of).collect();
    for (release, tarball) in &known {
        propose(&here.url, release, tarball);
    }
    let again = known
        .iter()
        .map(|(release, tarball)| raw::propose_partly(world, &here.url, &alice, release, tarball, 1));
    let open: Vec<_> = again.collect();
    let started = std::time::Instant::now();
    let incoming = here.folder.join("data/tarballs/incoming");
    while std::fs::read_dir(&incoming).expect("a folder").count() < open.len() {
        assert!(started.elapsed().as_secs() < 30, "expected {} uploads under way", open.len());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let (release, tarball) = of(5);
    let ask = || raw::propose(world, &here.url, &alice, &release, tarball.clone());
    assert!(refused(&ask(), 503, "busy").contains("uploads"));
    drop(open);
    let started = std::time::Instant::now();
    while ask().status == 503 {
        assert!(started.elapsed().as_secs() < 30, "busy although nothing is under way");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(here.proposal(&raw::id(world, &release)).is_some());
}

#[test]
fn for_a_claim_that_is_not_final_or_was_given_up_nothing_is_taken_and_nothing_asked() {
    let world = World::shared();
    let package = world.protected("comes-and-goes");
    let alice = package.at(world.person("alice"));
    let tarball = archive::package(&package.name, "2.0.0", "");
    let release = raw::release(&package.name, "2.0.0", &tarball, 1);
    let ask = || raw::propose(world, world.coordinator(), &alice, &release, tarball.clone());
    package.write("2.0.0", &serde_json::json!({}), "module.exports = 2;\n");
    package.commit();
    let publish = ["publish", "--yes"];

    let later = raw::now() + 24 * 60 * 60;
    raw::set_final_at(world, &package.name, later);
    assert!(refused(&ask(), 409, "claim-provisional").contains(&later.to_string()));
    alice
        .threepm(publish)
        .ended_with(4)
        .refused()
        .says(&["the claim of comes-and-goes is provisional until", "nothing can be recorded before that"]);
    raw::set_final_at(world, &package.name, raw::now() - 60);

    raw::retire(
        world,
        Config {
            packageName: package.name.clone(),
            members: Vec::new(),
            threshold: 0,
            releaseDelayHours: 0,
            configDelayHours: 0,
            recoveryDays: 180,
            guardian: Default::default(),
            legacyRoot: Default::default(),
            epoch: 2,
            deadline: release.deadline,
        },
    );
    assert!(refused(&ask(), 409, "retired").contains("comes-and-goes was retired at"));
    alice.threepm(publish).ended_with(4).refused().says(&["comes-and-goes was given up by its members at"]);
}
