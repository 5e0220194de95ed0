//! Versions from before a claim, with the real coordinator's lists and proofs, and with one that lies.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::harness::proxy::{self, Request, Upstream};
use crate::harness::world::World;
use crate::project::Project;
use crate::shelf::{ask, plain, put, stock};

/// Two versions on npm, then the claim of alice through the coordinator's registrar, then a third version
/// that she did not sign.
fn claimed(world: &World, name: &str) {
    let alice = world.person("alice");
    stock(world, name, "0.9.0", "from before");
    let proof = json!({"name": name, "version": "1.0.0", "_3pm": format!("3pm-verify-{}", alice.address.to_lowercase())});
    put(world, &alice, &proof, &crate::shelf::tarball(&proof, &[]));
    // Publish times count in seconds, and a version of the claim's own second is not from before it.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    alice.threepm(["register", name, "--yes"]).succeeded();
    stock(world, name, "1.1.0", "evil");
}

/// The user's coordinator is this one.
fn project(world: &World, name: &str, coordinator: &str) -> Project {
    let mut project = Project::asking(world, &format!("legacy-{name}"), json!({}));
    project.user = project.user.with("THREEPM_COORDINATOR_URL", coordinator);
    project
}

/// A coordinator whose answers about lists are changed on their way.
fn lying(world: &World, change: fn(&mut proxy::Response)) -> (String, Arc<AtomicUsize>) {
    let lies = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&lies);
    let url = proxy::start(world.coordinator(), move |request: &Request, upstream: &Upstream| {
        let mut response = ask(upstream, request)?;
        if request.path.contains("/legacy") {
            count.fetch_add(1, Ordering::SeqCst);
            change(&mut response);
        }
        Some(response)
    });
    (url, lies)
}

#[test]
fn a_version_on_the_list_is_legacy_and_one_that_is_not_is_unrecorded() {
    let world = World::shared();
    claimed(world, "l-listed");
    let project = project(world, "l-listed", world.coordinator());
    project.install(&["l-listed@0.9.0"]).succeeded().says(&["1 from before their maintainers used 3pm"]);
    assert_eq!(project.read("node_modules/l-listed/index.js"), "from before");
    let before = project.contents();
    project.install(&["l-listed@1.1.0"]).refused().ended_with(30).says(&["Unrecorded", "l-listed@1.1.0"]);
    assert_eq!(project.contents(), before);
}

#[test]
fn a_listed_version_with_other_bytes_is_a_mismatch() {
    let world = World::shared();
    claimed(world, "l-bytes");
    let evil = plain("l-bytes", "0.9.0", "evil");
    let hash = trust::Integrity::of(&evil).to_string();
    let registry = proxy::start(world.registry(), move |request: &Request, upstream: &Upstream| {
        let mut response = ask(upstream, request)?;
        if request.path == "/l-bytes" {
            response.edit_json(|document| document["versions"]["0.9.0"]["dist"]["integrity"] = json!(hash));
        } else if request.path.starts_with("/l-bytes/-/") {
            response.body = evil.clone();
        }
        Some(response)
    });
    let mut project = project(world, "l-bytes", world.coordinator());
    project.user = project.user.with("NPM_CONFIG_REGISTRY", &registry);
    project.install(&["l-bytes@0.9.0"]).refused().ended_with(50).says(&["Mismatch", "before the claim"]);
    assert!(!project.has("node_modules"));
}

#[test]
fn a_version_that_the_registry_dates_after_the_claim_is_not_from_before_it() {
    let world = World::shared();
    claimed(world, "l-dated");
    for (time, code, word) in
        [(json!("2099-01-01T00:00:00.000Z"), 30, "Unrecorded"), (Value::Null, 1, "publish time")]
    {
        let registry = proxy::start(world.registry(), move |request: &Request, upstream: &Upstream| {
            let mut response = ask(upstream, request)?;
            if request.path == "/l-dated" {
                response.edit_json(|document| document["time"]["0.9.0"] = time.clone());
            }
            Some(response)
        });
        let mut project = project(world, "l-dated", world.coordinator());
        project.user = project.user.with("NPM_CONFIG_REGISTRY", &registry);
        project.install(&["l-dated@0.9.0"]).refused().ended_with(code).says(&[word]);
        assert!(!project.has("node_modules"));
    }
}

#[test]
fn a_coordinator_that_lies_or_withholds_gets_nothing_installed() {
    let world = World::shared();
    claimed(world, "l-lied");
    let lies: [(&str, fn(&mut proxy::Response)); 6] = [
        ("another sibling", |response| {
            response.edit_json(|answer| answer["proof"] = json!([format!("0x{}", "11".repeat(32))]));
        }),
        ("another hash", |response| {
            response
                .edit_json(|answer| answer["integrity"] = json!(trust::Integrity::of(b"evil").to_string()));
        }),
        ("no proof", |response| response.edit_json(|answer| answer["proof"] = json!([]))),
        ("not there", |response| response.status = 404),
        ("a failure", |response| response.status = 500),
        ("a page", |response| response.body = b"<html>".to_vec()),
    ];
    for (lie, change) in lies {
        let (coordinator, told) = lying(world, change);
        let project = project(world, "l-lied", &coordinator);
        let ended = project.install(&["l-lied@0.9.0"]).refused();
        assert_eq!(ended.code, Some(1), "{lie}: {ended}");
        assert!(told.load(Ordering::SeqCst) > 0, "{lie}: nobody asked");
        assert!(!project.has("node_modules"), "{lie}");
    }
}

#[test]
fn a_list_with_one_version_more_or_less_proves_nothing() {
    let world = World::shared();
    claimed(world, "l-list");
    let lies: [fn(&mut Value); 3] = [
        |answer| {
            let evil = trust::Integrity::of(&plain("l-list", "1.1.0", "evil")).to_string();
            if let Some(versions) = answer["versions"].as_array_mut() {
                versions.push(json!({"version": "1.1.0", "integrity": evil}));
            }
        },
        |answer| {
            if let Some(versions) = answer["versions"].as_array_mut() {
                versions.pop();
            }
        },
        |answer| answer["versions"] = json!([]),
    ];
    for change in lies {
        let coordinator = proxy::start(world.coordinator(), move |request: &Request, upstream: &Upstream| {
            let mut response = ask(upstream, request)?;
            if request.path.ends_with("/legacy") {
                response.edit_json(change);
            }
            Some(response)
        });
        let project = project(world, "l-list", &coordinator);
        project
            .install(&["l-list@1.1.0"])
            .refused()
            .ended_with(1)
            .says(&["does not lead to the root on chain"]);
        assert!(!project.has("node_modules"));
    }
}

#[test]
fn a_coordinator_that_is_down_leaves_the_question_open() {
    let world = World::shared();
    claimed(world, "l-down");
    let project = project(world, "l-down", "http://127.0.0.1:1/");
    project
        .install(&["l-down@0.9.0"])
        .refused()
        .ended_with(1)
        .says(&["nobody proved whether it existed before", "coordinator"]);
    assert!(!project.has("node_modules"));
}
