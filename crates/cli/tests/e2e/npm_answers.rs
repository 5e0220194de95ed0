//! What the coordinator makes of a registry that refuses a number, has other bytes, or shows a page instead: a
//! thief's act is said loudly, and what may pass is looked at again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use trust::Integrity;
use trust::message::Release;

use crate::harness::archive;
use crate::harness::coordinator::Coordinator;
use crate::harness::proxy::{self, Request, Response};
use crate::harness::raw;
use crate::harness::world::World;
use crate::signing::{coordinator, hand_over, record, sign, wait, wait_for_attention};

fn answer(status: u16, body: impl Into<Vec<u8>>) -> Response {
    Response { status, headers: vec![("content-type".into(), "application/json".into())], body: body.into() }
}

/// A recorded release at a coordinator whose registry lies from the moment of the record on, until it is told
/// to stop. `lie` gets a request and the registry's true answer.
fn recorded_at_liar(
    name: &str,
    lie: impl Fn(&Request, Response) -> Response + Send + Sync + 'static,
) -> (Coordinator, Release, Arc<AtomicBool>) {
    let world = World::shared();
    let package = world.protected(name);
    let lies = Arc::new(AtomicBool::new(false));
    let on = Arc::clone(&lies);
    let registry = proxy::start(world.registry(), move |request, upstream| {
        let lies = on.load(Ordering::SeqCst);
        if lies && request.method == "PUT" {
            return Some(lie(request, answer(500, "{}")));
        }
        let truth = upstream.ask(&request.uncompressed())?;
        Some(if lies { lie(request, truth) } else { truth })
    });
    let here = coordinator(name, &registry, world.rpc());
    hand_over(&here, &package, &registry);
    let tarball = archive::package(name, "1.1.0", "module.exports = 1;\n");
    let release = raw::release(name, "1.1.0", &tarball, 10);
    sign(&here.url, &release, &tarball);
    lies.store(true, Ordering::SeqCst);
    record(&release);
    (here, release, lies)
}

/// The registry's document lists 1.1.0 with this hash; what is at its address is `body`.
fn listing(
    integrity: Integrity,
    status: u16,
    body: Vec<u8>,
) -> impl Fn(&Request, Response) -> Response + Send + Sync {
    move |request, mut truth| {
        if request.path.ends_with(".tgz") {
            return Response { headers: vec![], ..answer(status, body.clone()) };
        }
        truth.edit_json(|document| {
            let Some(first) = document.pointer("/versions/1.0.0").cloned() else { return };
            let mut version = first;
            let address = version["dist"]["tarball"].as_str().unwrap().replace("1.0.0", "1.1.0");
            version["version"] = json!("1.1.0");
            version["dist"] = json!({ "tarball": address, "integrity": integrity.to_string() });
            document["versions"]["1.1.0"] = version;
        });
        truth
    }
}

#[test]
fn a_number_that_npm_refuses_as_used_up_is_named_as_that() {
    let (here, release, lies) = recorded_at_liar("used-up", |request, truth| match request.method.as_str() {
        "PUT" => answer(
            403,
            json!({ "error": "You cannot publish over the previously published versions: 1.1.0." })
                .to_string(),
        ),
        _ => truth,
    });
    // What it comes to after ten minutes is a test of the publisher's own.
    let proposal = wait_for_attention(&here.url, &release, "npm refuses the number");
    assert_eq!(proposal["state"], "active", "{proposal:#}");
    lies.store(false, Ordering::SeqCst);
    wait(&here.url, &release, "published");
}

#[test]
fn other_bytes_that_nobody_can_have_are_hijacked_too() {
    let stolen = Integrity::of(b"stolen");
    // The second is more than anybody reads.
    for (name, status, length) in [("stolen-gone", 404, 2), ("stolen-large", 200, 300 << 20)] {
        let (here, release, _lies) = recorded_at_liar(name, listing(stolen, status, vec![b' '; length]));
        let proposal = wait(&here.url, &release, "hijacked");
        let reason = proposal["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("npm has other bytes") && reason.contains(&stolen.to_string()), "{reason}");
    }
}

#[test]
fn a_page_instead_of_the_signed_bytes_is_not_taken_for_a_theft() {
    let name = "page-instead";
    let signed = Integrity::of(&archive::package(name, "1.1.0", "module.exports = 1;\n"));
    let page = b"<html>Please log in to this network</html>".to_vec();
    let (here, release, lies) = recorded_at_liar(name, listing(signed, 200, page));
    let proposal = wait_for_attention(&here.url, &release, "perhaps a page of a cache");
    assert_eq!((&proposal["state"], &proposal["reason"]), (&json!("active"), &Value::Null));
    lies.store(false, Ordering::SeqCst);
    wait(&here.url, &release, "published");
}
