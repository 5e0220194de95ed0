//! The same verdicts where records are read by storage proof, and none from an endpoint that alters a word.

use serde_json::{Value, json};

use crate::harness::people::Person;
use crate::harness::proxy;
use crate::harness::world::World;
use crate::ledger::{Claim, Ledger, TEAM};
use crate::project::Project;
use crate::shelf::{ask, stock};

/// The local world's claims are final at once.
fn by_proof(user: &Person) -> Person {
    user.clone().with("THREEPM_READS", "proofs").with("THREEPM_CLAIM_WINDOW", "0")
}

#[test]
fn every_verdict_is_the_same_in_both_ways_of_reading() {
    let world = World::shared();
    let ledger = Ledger::of(world);
    let expected = [
        ("w-verified", "Verified", 0),
        ("w-unknown", "NotEnrolled", 0),
        ("w-unrecorded", "Unrecorded", 30),
        ("w-mismatch", "Mismatch", 50),
        ("w-revoked", "Revoked", 41),
        ("w-vetoed", "Vetoed", 40),
        ("w-cooling", "Cooling", 20),
        ("w-flagged", "Flagged", 10),
    ];
    for (name, _, _) in expected {
        let tarball = stock(world, name, "1.0.0", name);
        let delay_hours = if matches!(name, "w-vetoed" | "w-cooling") { 1 } else { 0 };
        if name != "w-unknown" {
            ledger.claim(name, &Claim { delay_hours, ..TEAM });
        }
        match name {
            "w-unknown" | "w-unrecorded" => {}
            "w-mismatch" => ledger.publish(name, "1.0.0", b"other bytes", &["alice", "bob"]),
            _ => ledger.publish(name, "1.0.0", &tarball, &["alice", "bob"]),
        }
    }
    ledger.revoke("w-revoked", "1.0.0", &["alice", "bob"]);
    ledger.veto("w-vetoed", "1.0.0", "carol");
    ledger.flag("w-flagged", "1.0.0", "carol");

    let project = Project::asking(world, "both-ways", json!({}));
    for (name, outcome, code) in expected {
        let verify = |user: &Person| -> Value {
            let ended = user.threepm(["verify", &format!("{name}@1.0.0"), "--json"]);
            let packages = ended.ended_with(code).json()["packages"].clone();
            assert_eq!(packages[0]["outcome"], outcome, "{name}");
            packages
        };
        assert_eq!(verify(&by_proof(&project.user)), verify(&project.user), "{name}");
    }
}

#[test]
fn an_endpoint_that_alters_one_word_of_a_record_installs_nothing() {
    let world = World::shared();
    let ledger = Ledger::of(world);
    let tarball = stock(world, "w-altered", "1.0.0", "1");
    ledger.claim("w-altered", &TEAM);
    ledger.publish("w-altered", "1.0.0", &tarball, &["alice", "bob"]);
    let project = Project::asking(world, "altered", json!({}));
    let lying = proxy::start(world.rpc(), |request: &proxy::Request, upstream: &proxy::Upstream| {
        let mut response = ask(upstream, request)?;
        response.edit_json(|answer| {
            // Nobody claimed anything, nobody recorded anything.
            if let Some(words) = answer.pointer_mut("/result/storageProof").and_then(Value::as_array_mut) {
                words.iter_mut().for_each(|word| word["value"] = json!("0x0"));
            }
        });
        Some(response)
    });
    let before = project.contents();
    let user = by_proof(&project.user);
    let deceived = user.clone().with("THREEPM_RPC_URL", &lying);
    for arguments in [["install", "w-altered"], ["verify", "w-altered@1.0.0"]] {
        deceived.threepm(arguments).refused().ended_with(1).says(&["proves nothing about packages"]);
        assert_eq!(project.contents(), before);
    }
    // Beside it an honest one is enough for what is proven, where most agree on the block.
    let both = format!("{lying},{0}", world.rpc());
    user.with("THREEPM_RPC_URL", both).threepm(["install", "w-altered"]).succeeded().says(&["Verified"]);
    assert!(project.has("node_modules/w-altered/index.js"));
}
