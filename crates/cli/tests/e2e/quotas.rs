//! What one member may ask of a coordinator, what it keeps and for how long, who else may run on its folder, and
//! what strangers are not told.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};
use trust::PackageName;

use crate::harness::archive;
use crate::harness::coordinator::Coordinator;
use crate::harness::proxy;
use crate::harness::raw::{self, refused};
use crate::harness::story::Package;
use crate::harness::world::World;
use crate::signing::{coordinator, hand_over, propose, record, sign, wait};

/// Many times what an upload of a few bytes takes.
const A_WHILE: std::time::Duration = std::time::Duration::from_secs(2);

/// As docs/api.md says it.
const MOST_OPEN: u64 = 32;

#[test]
fn a_member_has_so_many_proposals_open_and_keeps_nobody_else_from_theirs() {
    let world = World::shared();
    let package = world.protected("many-open");
    let [alice, bob] = ["alice", "bob"].map(|name| world.person(name));
    let of = |nonce: u64| {
        let version = format!("2.0.{nonce}");
        let tarball = archive::package(&package.name, &version, "");
        (raw::release(&package.name, &version, &tarball, nonce), tarball)
    };
    let send = |person, nonce| {
        let (release, tarball) = of(nonce);
        raw::propose(world, world.coordinator(), person, &release, tarball)
    };
    let (known, tarball) = of(0);
    propose(world.coordinator(), &known, &tarball);
    for nonce in 1..MOST_OPEN {
        assert_eq!(send(&alice, nonce).status, 201);
    }
    let said = refused(&send(&alice, MOST_OPEN), 429, "too-many-open");
    assert!(said.contains("at most 32") && said.contains("submit what is signed"), "{said}");
    let again = raw::propose(world, world.coordinator(), &alice, &known, tarball);
    assert_eq!(again.status, 200, "it is there already");
    assert_eq!(send(&bob, MOST_OPEN).status, 201);
    // One that ended makes room for another.
    record(&known);
    wait(world.coordinator(), &known, "published");
    assert_eq!(send(&alice, MOST_OPEN + 1).status, 201);
}

#[test]
fn a_member_hands_in_one_tarball_at_a_time() {
    let world = World::shared();
    let package = world.protected("one-at-a-time");
    let [alice, bob] = ["alice", "bob"].map(|name| world.person(name));
    let of = |nonce: u64| {
        let tarball = archive::package(&package.name, &format!("2.0.{nonce}"), "");
        (raw::release(&package.name, &format!("2.0.{nonce}"), &tarball, nonce), tarball)
    };
    let here = coordinator("one-at-a-time", world.registry(), world.rpc());
    let send = |person, nonce| {
        let (release, tarball) = of(nonce);
        raw::propose(world, &here.url, person, &release, tarball)
    };
    let (release, tarball) = of(1);
    let open = raw::propose_partly(world, &here.url, &alice, &release, &tarball, 1);
    let incoming = here.folder.join("data/tarballs/incoming");
    eventually("the upload begins", || count(&incoming) == 1);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| send(&alice, 2).status);
        assert_eq!(send(&bob, 3).status, 201);
        std::thread::sleep(A_WHILE);
        assert!(!waiting.is_finished(), "two at a time");
        drop(open);
        assert_eq!(waiting.join().expect("a thread"), 201);
    });
}

#[test]
fn the_tarball_of_what_ended_without_a_record_is_removed() {
    let world = World::shared();
    let package = world.protected("removed-tarballs");
    let here = coordinator("removed-tarballs", world.registry(), world.rpc());
    hand_over(&here, &package, world.registry());
    let of = |code: &str, nonce| {
        let tarball = archive::package(&package.name, "1.1.0", code);
        (raw::release(&package.name, "1.1.0", &tarball, nonce), tarball)
    };
    let ((one, one_bytes), (other, other_bytes)) = (of("// one", 10), of("// other", 11));
    // The same bytes once more: they stay, because the other needs them.
    let again = trust::message::Release { nonce: one.nonce + alloy_primitives::U256::from(5), ..one.clone() };
    sign(&here.url, &one, &one_bytes);
    propose(&here.url, &other, &other_bytes);
    propose(&here.url, &again, &one_bytes);
    record(&one);
    for ended in [&other, &again] {
        wait(&here.url, ended, "withdrawn");
    }
    wait(&here.url, &one, "published");
    let tarball = |release| {
        let path = format!("v1/proposals/{}/tarball", raw::id(world, release));
        raw::send(&here.url, "GET", &path, None)
    };
    eventually("the tarball is removed", || tarball(&other).status == 404);
    assert!(refused(&tarball(&other), 404, "not-found").contains("not kept"));
    assert_eq!(tarball(&one).body, one_bytes);
    assert_eq!(count(&here.folder.join("data/tarballs")), 1);
}

#[test]
fn what_cannot_be_read_about_one_proposal_holds_up_no_other() {
    let world = World::shared();
    let (unreadable, fine) = (world.protected("unreadable-nonce"), world.protected("behind-unreadable"));
    let id: PackageName = unreadable.name.parse().expect("a name");
    let question = format!("{}{}", raw::nonce_selector(), alloy_primitives::hex::encode(id.id()));
    let rpc = proxy::start(world.rpc(), move |request, upstream| {
        if String::from_utf8_lossy(&request.body).contains(&question) { None } else { upstream.ask(request) }
    });
    // Handed in while the chain can be read, then looked at where it cannot.
    let name = "behind-unreadable";
    let mut here = Coordinator::new(world, name, world.registry(), world.rpc());
    assert!(here.start(), "{}", here.log());
    hand_over(&here, &fine, world.registry());
    let of = |package: &Package| {
        let tarball = archive::package(&package.name, "1.1.0", "");
        (raw::release(&package.name, "1.1.0", &tarball, 10), tarball)
    };
    let (first, tarball) = of(&unreadable);
    propose(&here.url, &first, &tarball);
    let (second, tarball) = of(&fine);
    sign(&here.url, &second, &tarball);
    here.kill();
    let config = here.folder.join("config.json");
    let text = std::fs::read_to_string(&config).expect("a configuration");
    std::fs::write(&config, text.replace(world.rpc(), &rpc)).expect("written");
    assert!(here.start(), "{}", here.log());
    record(&second);
    wait(&here.url, &second, "published");
    wait(&here.url, &first, "proposed");
}

#[test]
fn a_data_folder_is_its_owners_and_one_coordinators() {
    let world = World::shared();
    let first = coordinator("one-folder", world.registry(), world.rpc());
    let mut second = Coordinator::new(world, "one-folder", world.registry(), world.rpc());
    assert!(!second.start(), "two run on one folder");
    assert!(second.log().contains("belongs to another coordinator that runs"), "{}", second.log());
    let data = first.folder.join("data");
    let mode = |path: &Path| path.metadata().expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for file in ["coordinator.sqlite", "coordinator.sqlite-wal", "coordinator.sqlite-shm"] {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
    drop(first);
    assert!(second.start(), "{}", second.log());
}

#[test]
fn strangers_are_not_told_where_its_servers_are() {
    let world = World::shared();
    let package = world.protected("internal-servers");
    let rpc = proxy::start(world.rpc(), |request, upstream| {
        let mut answer = upstream.ask(request)?;
        if String::from_utf8_lossy(&request.body).contains("eth_chainId") {
            answer.edit_json(|document| document["result"] = json!("0x1"));
        }
        Some(answer)
    });
    let internal = rpc.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let here = coordinator("internal-servers", world.registry(), &rpc);
    let tarball = archive::package(&package.name, "1.1.0", "");
    let release = raw::release(&package.name, "1.1.0", &tarball, 10);
    let answer = raw::propose(world, &here.url, &world.person("alice"), &release, tarball);
    let said = refused(&answer, 502, "chain-unreadable");
    assert!(said.contains("serves chain 1, expected chain 31337") && !said.contains(&internal), "{said}");
    let health: Value =
        serde_json::from_slice(&raw::send(&here.url, "GET", "v1/health", None).body).expect("JSON");
    assert_eq!(health["status"], "degraded");
    assert!(!health.to_string().contains(&internal), "{health}");
    assert!(here.log().contains(&internal), "{}", here.log());
    // The registrar's signer.
    let package = Package::new(world, "internal-signer");
    let alice = package.at(world.person("alice"));
    let proof = json!({ "_3pm": format!("3pm-verify-{}", alice.address.to_lowercase()) });
    package.write("1.0.0", &proof, "module.exports = 1;\n");
    package.commit();
    alice.npm(["publish"]).succeeded();
    let mut here = Coordinator::new(world, "internal-signer", world.registry(), world.rpc())
        .with("THREEPM_REGISTRAR_RPC_URL", "http://127.0.0.1:9/internal-signer")
        .with("THREEPM_REGISTRAR_ADDRESS", &alice.address);
    assert!(here.start(), "{}", here.log());
    let ended = here.seen_by(alice).threepm(["register", "internal-signer", "--yes"]).refused();
    assert!(!ended.stderr.contains("127.0.0.1:9"), "{ended}");
    ended.says(&["its signer gave no signature"]);
    assert!(here.log().contains("127.0.0.1:9"), "{}", here.log());
}

#[track_caller]
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let started = std::time::Instant::now();
    while !is_so() {
        assert!(started.elapsed().as_secs() < 30, "expected: {what}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// How many files are in a folder, not counting those in folders of it.
fn count(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file())).count()
}
