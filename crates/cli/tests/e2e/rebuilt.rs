//! A coordinator that lost its database, or never had it: the versions of before a claim come from npm once more, and
//! only the list under the root on chain is given out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::harness::archive;
use crate::harness::proxy;
use crate::harness::raw::{self, refused};
use crate::harness::story::id_of;
use crate::harness::world::World;
use crate::signing::{coordinator, hand_over, record, sign, wait_for_attention};

fn list(coordinator: &str, name: &str) -> Value {
    let answer = raw::send(coordinator, "GET", &format!("v1/packages/{name}/legacy"), None);
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    serde_json::from_slice(&answer.body).expect("JSON")
}

#[test]
fn an_empty_coordinator_serves_the_list_and_goes_on_with_the_package() {
    let world = World::shared();
    let package = world.protected("rebuilt");
    // Somebody went around the maintainers since: not of before the claim.
    let mallory = package.at(world.person("mallory"));
    package.write("1.0.9", &json!({}), "module.exports = 'stolen';\n");
    mallory.npm(["publish", "--tag", "aside"]).succeeded();
    let here = coordinator("rebuilt", world.registry(), world.rpc());
    let kept = list(world.coordinator(), "rebuilt");
    assert_eq!(kept["versions"].as_array().map(Vec::len), Some(1), "{kept}");
    assert_eq!(list(&here.url, "rebuilt"), kept);
    let proof = |version: &str| {
        raw::send(&here.url, "GET", &format!("v1/packages/rebuilt/legacy/{version}"), None).status
    };
    assert_eq!((proof("1.0.0"), proof("1.0.9")), (200, 404));
    hand_over(&here, &package, world.registry());
    package.write("1.1.0", &json!({}), "module.exports = 2;\n");
    package.commit();
    let (alice, bob) = (here.seen_by(package.at(world.person("alice"))), here.seen_by(world.person("bob")));
    let id = id_of(&alice.threepm(["publish", "--yes", "--no-submit", "--json"]).succeeded());
    bob.threepm(["approve", &id, "--submit", "--yes"]).succeeded();
    assert_eq!(world.wait_for_state(&here.url, &id, "published")["npm"]["tag"], "latest");
}

#[test]
fn a_list_that_npm_has_no_more_is_not_made_up() {
    let world = World::shared();
    let package = world.protected("unpublished-since");
    let name = package.name.as_str();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let registry = proxy::start(world.registry(), move |request, upstream| {
        count.fetch_add(1, Ordering::SeqCst);
        let mut answer = upstream.ask(&request.uncompressed())?;
        answer.edit_json(|document| {
            if let Some(versions) = document.get_mut("versions").and_then(Value::as_object_mut) {
                versions.remove("1.0.0");
            }
        });
        Some(answer)
    });
    let here = coordinator(name, &registry, world.rpc());
    let path = format!("v1/packages/{name}/legacy");
    let ask = || refused(&raw::send(&here.url, "GET", &path, None), 404, "not-found");
    let said = ask();
    assert!(said.contains("not kept here") && said.contains("unpublished"), "{said}");
    // Once a minute is enough, and nothing is looked up for a name that nobody claimed.
    let before = asked.load(Ordering::SeqCst);
    assert!(before > 0);
    assert_eq!(ask(), said);
    assert_eq!(list(&here.url, "nobody-claimed-this")["versions"], json!([]));
    assert_eq!(asked.load(Ordering::SeqCst), before);
    // Without it nobody knows whether a version is the newest.
    hand_over(&here, &package, &registry);
    let tarball = archive::package(name, "0.9.0", "module.exports = 0;\n");
    let release = raw::release(name, "0.9.0", &tarball, 10);
    sign(&here.url, &release, &tarball);
    record(&release);
    let proposal = wait_for_attention(&here.url, &release, "legacy list");
    assert_eq!(proposal["state"], "active", "{proposal:#}");
    assert_eq!(package.served(world, "0.9.0"), None);
}
