//! What a coordinator takes as a tarball, and what it refuses before it could matter.

use serde_json::Value;

use crate::harness::archive;
use crate::harness::proxy::Response;
use crate::harness::raw;
use crate::harness::world::World;

/// As docs/api.md says it.
const LIMIT: usize = 200 << 20;

#[track_caller]
fn refused(answer: &Response, status: u16, kind: &str) {
    let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    assert_eq!(answer.status, status, "{problem}");
    assert_eq!(problem["type"], format!("urn:3pm:problem:{kind}"), "{problem}");
    assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{problem}");
}

#[test]
fn what_is_refused_before_anybody_looks_is_a_problem_as_well() {
    let base = World::shared().coordinator();
    refused(&raw::send(base, "DELETE", "v1/health", None), 405, "method-not-allowed");
    refused(&raw::send(base, "GET", "v1/changes?package=a&package=b", None), 400, "bad-request");
    refused(&raw::send(base, "GET", "v1/nowhere", None), 404, "not-found");
}

#[test]
fn hostile_tarballs_are_refused_although_a_member_signed_them() {
    let world = World::shared();
    let package = world.protected("hostile-uploads");
    let (name, alice) = (package.name.as_str(), world.person("alice"));
    let whole = archive::package(name, "2.0.0", "module.exports = 2;\n");
    let truncated = whole[..whole.len() - 20].to_vec();
    let cases = [
        ("not a tarball", b"this is not a tarball".to_vec()),
        ("truncated", truncated),
        ("an absolute path", archive::package_with(name, "2.0.0", "/etc/3pm-was-here")),
        ("a path that escapes", archive::package_with(name, "2.0.0", "package/../../3pm-was-here")),
        ("another version inside", archive::package(name, "2.0.1", "")),
        ("another name inside", archive::package("somebody-else", "2.0.0", "")),
    ];
    for (nonce, (what, tarball)) in cases.into_iter().enumerate() {
        let release = raw::release(name, "2.0.0", &tarball, 100 + nonce as u64);
        let answer = raw::propose(world, world.coordinator(), &alice, &release, tarball);
        eprintln!("{what}: {}", String::from_utf8_lossy(&answer.body));
        assert_eq!(answer.status, 422, "{what}");
        let id = raw::id(world, &release);
        assert_eq!(
            raw::send(world.coordinator(), "GET", &format!("v1/proposals/{id}"), None).status,
            404,
            "{what}"
        );
    }
}

#[test]
fn other_bytes_than_the_signed_ones_are_refused() {
    let world = World::shared();
    let package = world.protected("other-bytes");
    let signed = archive::package(&package.name, "2.0.0", "module.exports = 'signed';\n");
    let sent = archive::package(&package.name, "2.0.0", "module.exports = 'sent';\n");
    let release = raw::release(&package.name, "2.0.0", &signed, 7);
    let answer = raw::propose(world, world.coordinator(), &world.person("alice"), &release, sent);
    refused(&answer, 422, "mismatch");
}

#[test]
fn a_tarball_at_the_limit_is_taken_and_one_byte_more_is_not() {
    let world = World::shared();
    let package = world.protected("at-the-limit");
    let alice = world.person("alice");
    let at_limit = archive::package_of_exact_size(&package.name, "2.0.0", LIMIT);
    assert_eq!(at_limit.len(), LIMIT);
    let release = raw::release(&package.name, "2.0.0", &at_limit, 1);
    let answer = raw::propose(world, world.coordinator(), &alice, &release, at_limit);
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    let beyond = archive::package_of_exact_size(&package.name, "2.0.1", LIMIT + 1);
    let release = raw::release(&package.name, "2.0.1", &beyond, 2);
    refused(&raw::propose(world, world.coordinator(), &alice, &release, beyond), 413, "too-large");
}
