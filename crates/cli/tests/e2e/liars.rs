//! A coordinator that lies. It sits in front of the real one and changes one thing; the co-signer's 3pm has
//! only the bytes, the chain and its own arithmetic, and must notice before the wallet is asked.

use serde_json::{Value, json};

use crate::harness::archive;
use crate::harness::proxy;
use crate::harness::raw;
use crate::harness::story::Package;
use crate::harness::world::World;

/// Bob approves through a coordinator whose answers `lie` changes; returns what he is told.
#[track_caller]
fn approve_through(
    world: &World,
    id: &str,
    lie: impl Fn(&proxy::Request, &mut proxy::Response) + Send + Sync + 'static,
) -> crate::harness::people::Ended {
    let before = signatures(world, id);
    let liar = proxy::start(world.coordinator(), move |request, upstream| {
        let mut answer = upstream.ask(request)?;
        lie(request, &mut answer);
        Some(answer)
    });
    let bob = world.person("bob").with("THREEPM_COORDINATOR_URL", liar);
    let ended = bob.threepm(["approve", id, "--submit", "--yes"]).refused();
    assert_eq!(signatures(world, id), before, "bob signed although the coordinator lied: {ended}");
    ended
}

fn signatures(world: &World, id: &str) -> Value {
    let answer = raw::send(world.coordinator(), "GET", &format!("v1/proposals/{id}"), None);
    serde_json::from_slice::<Value>(&answer.body).expect("JSON")["signatures"].clone()
}

fn is_tarball(request: &proxy::Request) -> bool {
    request.path.ends_with("/tarball")
}

/// Changes every proposal in an answer, alone or in a list.
fn in_proposals(answer: &mut proxy::Response, change: impl Fn(&mut Value)) {
    answer.edit_json(|document| {
        if let Some(list) = document.get_mut("proposals").and_then(Value::as_array_mut) {
            list.iter_mut().for_each(change);
        } else if document.get("release").is_some() {
            change(document);
        }
    });
}

fn proposed(name: &str) -> (&'static World, Package, String) {
    let world = World::shared();
    let package = world.protected(name);
    let id = world.propose(&package, "1.1.0");
    (world, package, id)
}

#[test]
fn other_bytes_than_were_signed_are_noticed() {
    let (world, package, id) = proposed("liar-tarball");
    let other = archive::package(&package.name, "1.1.0", "module.exports = 'stolen';\n");
    let expected = raw::send(world.coordinator(), "GET", &format!("v1/proposals/{id}/tarball"), None).body;
    let (expected, received) =
        (trust::Integrity::of(&expected).to_string(), trust::Integrity::of(&other).to_string());
    let ended = approve_through(world, &id, move |request, answer| {
        if is_tarball(request) {
            answer.body.clone_from(&other);
        }
    });
    ended.ended_with(50).says(&[&expected, &received]);
}

#[test]
fn other_bytes_with_hashes_to_match_are_noticed() {
    let (world, package, id) = proposed("liar-tarball-and-hashes");
    let other = archive::package(&package.name, "1.1.0", "module.exports = 'stolen';\n");
    let hashes = trust::TarballHashes::of(&other);
    let ended = approve_through(world, &id, move |request, answer| {
        if is_tarball(request) {
            answer.body.clone_from(&other);
        }
        in_proposals(answer, |proposal| {
            for place in ["/release", "/tarball"] {
                let place = proposal.pointer_mut(place).expect("a proposal");
                place["integrity"] = json!(hashes.integrity);
                place["contentHash"] = json!(hashes.content_hash);
            }
        });
    });
    ended.ended_with(50);
}

#[test]
fn each_hash_changed_alone_is_noticed() {
    let (world, _, id) = proposed("liar-hashes");
    let integrity = json!(trust::Integrity::of(b"something else"));
    let content_hash = json!(trust::ContentHash::of(b"something else"));
    for (pointer, value) in [
        ("/release/integrity", integrity.clone()),
        ("/release/contentHash", content_hash.clone()),
        ("/tarball/integrity", integrity),
        ("/tarball/contentHash", content_hash),
    ] {
        let ended = approve_through(world, &id, move |_, answer| {
            in_proposals(answer, |proposal| {
                *proposal.pointer_mut(pointer).expect("a proposal") = value.clone()
            });
        });
        eprintln!("{pointer}: {}", ended.stderr);
        ended.ended_with(50);
    }
}

#[test]
fn a_changed_nonce_deadline_or_epoch_is_noticed() {
    let (world, _, id) = proposed("liar-fields");
    for (field, value) in [
        ("nonce", json!("77")),
        ("deadline", json!((raw::now() + 3600).to_string())),
        ("epoch", json!(2)),
        ("version", json!("1.1.1")),
        ("packageName", json!("some-other-package")),
        ("gitSha", json!(format!("0x{}", "ab".repeat(32)))),
        ("ciRunUrl", json!("https://ci.example/run/1")),
    ] {
        let ended = approve_through(world, &id, move |_, answer| {
            in_proposals(answer, |proposal| proposal["release"][field] = value.clone());
        });
        eprintln!("{field}: {}", ended.stderr);
    }
}

#[test]
fn a_consistent_proposal_that_nobody_signed_is_noticed() {
    // Everything fits together, the id included; only alice's signature cannot be made to fit.
    let (world, package, id) = proposed("liar-consistent");
    let tarball = raw::send(world.coordinator(), "GET", &format!("v1/proposals/{id}/tarball"), None).body;
    let release = raw::release(&package.name, "1.1.0", &tarball, 77);
    let (forged, json) = (raw::id(world, &release), raw::release_json(&release));
    let (real, shown) = (id.clone(), forged.clone());
    let liar = proxy::start(world.coordinator(), move |request, upstream| {
        let mut request = request.clone();
        request.path = request.path.replace(&shown, &real);
        let mut answer = upstream.ask(&request)?;
        in_proposals(&mut answer, |proposal| {
            proposal["id"] = json!(shown);
            proposal["release"] = json.clone();
        });
        Some(answer)
    });
    let bob = world.person("bob").with("THREEPM_COORDINATOR_URL", liar);
    bob.threepm(["approve", &forged, "--yes"])
        .refused()
        .ended_with(50)
        .says(&["no member of the team signed", "expected"]);
    assert_eq!(signatures(world, &id).as_array().map(Vec::len), Some(1));
}

#[test]
fn a_release_in_the_name_of_another_member_is_noticed() {
    let (world, _, id) = proposed("liar-proposer");
    let carol = world.person("carol").address;
    let ended = approve_through(world, &id, move |_, answer| {
        in_proposals(answer, |proposal| proposal["proposer"] = json!(carol));
    });
    ended.ended_with(50).says(&["not signed by the member who proposed it"]);
}

#[test]
fn a_used_nonce_in_a_genuine_proposal_is_noticed() {
    // Two releases share a nonce; one is on chain. The coordinator hides that from whoever signs the other.
    let world = World::shared();
    let package = world.protected("liar-used-nonce");
    let (alice, bob) = (world.person("alice"), world.person("bob"));
    let (first, second) = (
        archive::package(&package.name, "1.1.0", "module.exports = 1;\n"),
        archive::package(&package.name, "1.2.0", "module.exports = 2;\n"),
    );
    let recorded = raw::release(&package.name, "1.1.0", &first, 5);
    let waiting = raw::release(&package.name, "1.2.0", &second, 5);
    assert_eq!(raw::propose(world, world.coordinator(), &alice, &waiting, second).status, 201);
    raw::record(world, &recorded, &[&alice, &bob]);
    bob.threepm(["approve", &raw::id(world, &waiting), "--yes"]).ended_with(4).refused().says(&["nonce"]);
}

#[test]
fn a_list_of_pending_releases_cannot_choose_the_next_nonce() {
    let world = World::shared();
    let package = world.protected("liar-next-nonce");
    let id = world.propose(&package, "1.1.0");
    for nonce in [
        "18446744073709551614",
        "115792089237316195423570985008687907853269984665640564039457584007913129639935",
    ] {
        let liar = proxy::start(world.coordinator(), move |request, upstream| {
            let mut answer = upstream.ask(request)?;
            in_proposals(&mut answer, |proposal| proposal["release"]["nonce"] = json!(nonce));
            Some(answer)
        });
        package.write("1.2.0", &json!({}), "module.exports = 2;\n");
        package.commit();
        let alice = package.at(world.person("alice")).with("THREEPM_COORDINATOR_URL", liar);
        let ended = alice.threepm(["publish", "--yes", "--no-submit", "--dry-run", "--json"]);
        // Refused, or a nonce that the chain could have given: what matters is that the list has no say.
        if ended.code == Some(0) {
            let chosen = ended.json();
            let chosen =
                chosen.pointer("/release/nonce").and_then(Value::as_str).expect("a nonce").to_owned();
            assert!(chosen.parse::<u64>().expect("a number") < 100, "{ended}");
        } else {
            ended.refused();
        }
    }
    assert_eq!(signatures(world, &id).as_array().map(Vec::len), Some(1));
}

#[test]
fn a_coordinator_cannot_make_a_release_look_recorded() {
    let (world, package, id) = proposed("liar-state");
    let liar = proxy::start(world.coordinator(), |request, upstream| {
        let mut answer = upstream.ask(request)?;
        in_proposals(&mut answer, |proposal| {
            proposal["state"] = json!("published");
            proposal["npm"] = json!({ "publishedAt": raw::now(), "tag": "latest" });
            proposal["blockNumber"] = json!(1);
        });
        Some(answer)
    });
    let bob = world.person("bob").with("THREEPM_COORDINATOR_URL", liar);
    let status = bob.threepm(["status", &package.release("1.1.0"), "--json"]);
    status.ended_with(50).refused().says(&["no record"]);
    let status = bob.threepm(["status", &id, "--json"]);
    status.ended_with(50).refused().says(&["no record"]);
}

#[test]
fn answers_without_end_or_sense_end_in_a_sentence() {
    let (world, package, id) = proposed("liar-nonsense");
    let nonsense: [(&str, fn(&mut proxy::Response)); 4] = [
        ("not JSON", |answer| answer.body = b"<html>welcome</html>".to_vec()),
        ("nested without end", |answer| answer.body = "[".repeat(1 << 20).into_bytes()),
        ("300 MB", |answer| answer.body = vec![b' '; 300 << 20]),
        ("a terminal's commands", |answer| {
            answer.status = 500;
            answer.body =
                b"{\"title\":\"\\u001b[2J\",\"detail\":\"\\u001b]0;owned\\u0007 all is fine\"}".to_vec();
        }),
    ];
    for (what, lie) in nonsense {
        let liar = proxy::start(world.coordinator(), move |request, upstream| {
            let mut answer = upstream.ask(request)?;
            lie(&mut answer);
            Some(answer)
        });
        let bob = world.person("bob").with("THREEPM_COORDINATOR_URL", liar);
        for command in
            [vec!["approve", &id, "--yes"], vec!["status", &package.name], vec!["pending", &package.name]]
        {
            let ended = bob.threepm(command).refused();
            assert!(!ended.stderr.contains('\u{1b}') && !ended.stdout.contains('\u{1b}'), "{what}: {ended}");
        }
    }
}
