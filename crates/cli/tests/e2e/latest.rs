//! Which dist-tag a release gets. `latest` never goes back, in whatever order releases are recorded and reach npm.

use serde_json::json;
use trust::message::Release;

use crate::harness::archive;
use crate::harness::raw;
use crate::harness::story::{Package, id_of};
use crate::harness::world::World;
use crate::signing::{coordinator, hand_over, record, sign, wait};

fn recorded(coordinator: &str, package: &Package, version: &str, nonce: u64) -> Release {
    let tarball = archive::package(&package.name, version, "module.exports = 1;\n");
    let release = raw::release(&package.name, version, &tarball, nonce);
    sign(coordinator, &release, &tarball);
    record(&release);
    release
}

#[test]
fn releases_that_waited_for_a_token_leave_latest_at_the_highest() {
    let world = World::shared();
    let package = world.protected("latest-after-waiting");
    let here = coordinator(&package.name, world.registry(), world.rpc());
    let versions = ["3.0.0", "1.1.0", "2.5.0", "1.2.0"];
    let releases: Vec<Release> = versions
        .into_iter()
        .zip(10..)
        .map(|(version, nonce)| recorded(&here.url, &package, version, nonce))
        .collect();
    for release in &releases {
        wait(&here.url, release, "active");
    }
    hand_over(&here, &package, world.registry());
    for release in &releases {
        let proposal = wait(&here.url, release, "published");
        let expected = if release.version == "3.0.0" { "latest" } else { "backport" };
        assert_eq!(proposal["npm"]["tag"], expected, "{proposal:#}");
    }
    let tags = || package.packument(world).expect("a packument")["dist-tags"].clone();
    // Whichever went last has the other tag: one that was just told there is no token waits a second longer.
    let backport = tags()["backport"].clone();
    assert!(versions[1..].iter().any(|version| backport == *version), "{backport}");
    assert_eq!(tags(), json!({ "latest": "3.0.0", "backport": backport }));
    let late = recorded(&here.url, &package, "2.9.9", 20);
    assert_eq!(wait(&here.url, &late, "published")["npm"]["tag"], "backport");
    assert_eq!(tags(), json!({ "latest": "3.0.0", "backport": "2.9.9" }));
}

/// 2.0.0 is recorded and on its way; that npm does not have it yet does not make 1.9.9 the newest.
#[test]
fn a_release_below_one_that_npm_does_not_have_yet_is_a_backport() {
    let world = World::shared();
    let package = world.protected("latest-on-its-way");
    let holds_back = |request: &crate::harness::proxy::Request| {
        request.method == "PUT" && String::from_utf8_lossy(&request.body).contains("latest-on-its-way@2.0.0")
    };
    let registry = crate::harness::proxy::start(world.registry(), move |request, upstream| {
        if holds_back(request) { None } else { upstream.ask(request) }
    });
    let here = coordinator(&package.name, &registry, world.rpc());
    hand_over(&here, &package, &registry);
    let above = recorded(&here.url, &package, "2.0.0", 10);
    wait(&here.url, &above, "active");
    let below = recorded(&here.url, &package, "1.9.9", 11);
    assert_eq!(wait(&here.url, &below, "published")["npm"]["tag"], "backport");
    let tags = package.packument(world).expect("a packument")["dist-tags"].clone();
    assert_eq!(tags, json!({ "latest": "1.0.0", "backport": "1.9.9" }));
}

#[test]
fn the_tag_that_a_package_names_itself_is_the_one_it_gets() {
    let world = World::shared();
    let package = world.protected("tag-of-its-own");
    package.write("2.0.0", &json!({ "publishConfig": { "tag": "lts" } }), "module.exports = 2;\n");
    package.commit();
    let alice = package.at(world.person("alice"));
    let id = id_of(&alice.threepm(["publish", "--yes", "--no-submit", "--json"]).succeeded());
    world.person("bob").threepm(["approve", &id, "--submit", "--yes"]).succeeded();
    let proposal = world.wait_for_state(world.coordinator(), &id, "published");
    assert_eq!(proposal["npm"]["tag"], "lts");
    let tags = package.packument(world).expect("a packument")["dist-tags"].clone();
    assert_eq!(tags, json!({ "latest": "1.0.0", "lts": "2.0.0" }));
}
