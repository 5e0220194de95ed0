//! What a coordinator takes as a tarball, and what it refuses before it could matter.

use std::path::{Path, PathBuf};

use crate::harness::archive;
use crate::harness::coordinator::Coordinator;
use crate::harness::raw::{self, refused};
use crate::harness::world::World;

/// As docs/api.md says it.
const LIMIT: usize = 200 << 20;

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
        ("bad-tarball", "gzip", b"this is not a tarball".to_vec()),
        ("bad-tarball", "gzip", truncated),
        ("bad-tarball", "path", archive::package_with(name, "2.0.0", "/etc/3pm-was-here")),
        ("bad-tarball", "path", archive::package_with(name, "2.0.0", "package/../../3pm-was-here")),
        ("mismatch", "2.0.1", archive::package(name, "2.0.1", "")),
        ("mismatch", "somebody-else", archive::package("somebody-else", "2.0.0", "")),
    ];
    for (nonce, (kind, what, tarball)) in cases.into_iter().enumerate() {
        let release = raw::release(name, "2.0.0", &tarball, 100 + nonce as u64);
        let answer = raw::propose(world, world.coordinator(), &alice, &release, tarball);
        let said = refused(&answer, 422, kind);
        assert!(said.contains(what), "{what}: {said}");
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

#[test]
fn an_upload_that_is_cut_off_leaves_nothing_and_may_be_made_again() {
    let world = World::shared();
    let package = world.protected("cut-off");
    let alice = world.person("alice");
    let mut coordinator = Coordinator::new(world, "cut-off", world.registry(), world.rpc());
    assert!(coordinator.start(), "{}", coordinator.log());
    let tarball = archive::package_of_exact_size(&package.name, "2.0.0", 1 << 20);
    let release = raw::release(&package.name, "2.0.0", &tarball, 1);
    let before = files(&coordinator.folder);
    for sent in [0, 1, tarball.len() / 2, tarball.len() - 1] {
        drop(raw::propose_partly(world, &coordinator.url, &alice, &release, &tarball, sent));
    }
    let id = raw::id(world, &release);
    assert_eq!(raw::send(&coordinator.url, "GET", &format!("v1/proposals/{id}"), None).status, 404);
    // It learns of the closed connection a moment later.
    let started = std::time::Instant::now();
    while files(&coordinator.folder) != before {
        assert!(started.elapsed().as_secs() < 20, "{:?}", files(&coordinator.folder));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let answer = raw::propose(world, &coordinator.url, &alice, &release, tarball);
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
}

#[test]
fn killed_during_an_upload_it_has_all_of_it_or_nothing() {
    let world = World::shared();
    let package = world.protected("killed-uploads");
    let alice = world.person("alice");
    let mut coordinator = Coordinator::new(world, "killed-uploads", world.registry(), world.rpc());
    assert!(coordinator.start(), "{}", coordinator.log());
    let (tarballs, url) = (coordinator.folder.join("data/tarballs"), coordinator.url.clone());
    let incoming = tarballs.join("incoming");
    let tarball = archive::package_of_exact_size(&package.name, "2.0.0", 1 << 20);
    let release = raw::release(&package.name, "2.0.0", &tarball, 1);
    for sent in [1, tarball.len() / 2, tarball.len() - 1] {
        let _open = raw::propose_partly(world, &url, &alice, &release, &tarball, sent);
        let started = std::time::Instant::now();
        while files(&incoming).is_empty() {
            assert!(started.elapsed().as_secs() < 20, "{}", coordinator.log());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        coordinator.kill();
        assert_eq!(files(&tarballs), files(&incoming), "kept although {sent} bytes came");
        assert!(coordinator.start(), "{}", coordinator.log());
        assert_eq!(files(&tarballs), Vec::<PathBuf>::new());
        assert_eq!(coordinator.proposal(&raw::id(world, &release)), None);
    }
    // All of it came, and nobody knows how far it was when it died; the last time it was done.
    let pauses = [0, 1, 2, 4, 8, 16, 32, 64, 128].map(std::time::Duration::from_millis);
    for (at, pause) in pauses.iter().map(Some).chain([None]).enumerate() {
        let version = format!("2.1.{at}");
        let tarball = archive::package_of_exact_size(&package.name, &version, 1 << 20);
        let release = raw::release(&package.name, &version, &tarball, 2 + at as u64);
        let id = raw::id(world, &release);
        let _open = raw::propose_partly(world, &url, &alice, &release, &tarball, tarball.len());
        match pause {
            Some(pause) => std::thread::sleep(*pause),
            None => drop(world.wait_for_state(&url, &id, "proposed")),
        }
        coordinator.kill();
        assert!(coordinator.start(), "{}", coordinator.log());
        let path = format!("v1/proposals/{id}/tarball");
        let is_there = coordinator.proposal(&id).is_some();
        assert!(is_there || pause.is_some());
        if is_there {
            assert_eq!(raw::send(&url, "GET", &path, None).body, tarball, "after {pause:?}");
        }
        let again = raw::propose(world, &url, &alice, &release, tarball.clone());
        assert_eq!(again.status, if is_there { 200 } else { 201 }, "after {pause:?}");
        assert_eq!(raw::send(&url, "GET", &path, None).body, tarball, "after {pause:?}");
        assert_eq!(files(&incoming), Vec::<PathBuf>::new());
    }
}

/// Names of all files but the log and the database's own.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(entry.path()),
                _ => found.push(entry.path()),
            }
        }
    }
    found.retain(|path| !path.to_string_lossy().contains(".db"));
    found.sort();
    found
}
