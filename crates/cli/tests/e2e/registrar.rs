//! The registrar: each reason to vouch for no claim, alone; and one that lies to whoever registers.

use std::sync::{Arc, Mutex};

use client::coordinator::api;
use serde_json::{Value, json};
use trust::message::{Config, RegistrarProof, signing_request};

use crate::harness::coordinator::Coordinator;
use crate::harness::people::Person;
use crate::harness::proxy::{self, Response};
use crate::harness::raw::{self, refused};
use crate::harness::story::Package;
use crate::harness::world::World;

const CLAIMS: &str = "/v1/claims";

/// A package that alice has published with the proof, and nobody has claimed.
fn provable(world: &World, name: &str) -> Package {
    let package = Package::new(world, name);
    let alice = package.at(world.person("alice"));
    let proof = json!({ "_3pm": format!("3pm-verify-{}", alice.address.to_lowercase()) });
    package.write("1.0.0", &proof, "module.exports = 1;\n");
    package.commit();
    alice.npm(["publish"]).succeeded();
    package
}

/// What alice's 3pm asks the registrar; the registrar does not hear of it.
fn claim_of(world: &World, package: &Package) -> Value {
    let asked = Arc::<Mutex<Option<Value>>>::default();
    let kept = Arc::clone(&asked);
    let between = proxy::start(world.coordinator(), move |request, upstream| {
        if request.path == CLAIMS {
            *kept.lock().expect("a place") = serde_json::from_slice(&request.body).ok();
            return None;
        }
        upstream.ask(request)
    });
    let alice = package.at(world.person("alice")).with("THREEPM_COORDINATOR_URL", between);
    alice.threepm(["register", &package.name, "--yes"]).refused();
    let mut asked = asked.lock().expect("a place");
    asked.take().expect("a claim")
}

/// Signs the Config of a claim anew.
fn sign(world: &World, claim: &mut Value, signers: &[&Person]) {
    let config: api::Config = serde_json::from_value(claim["config"].clone()).expect("a Config");
    let request = signing_request(&Config::from(config), &raw::name_domain(world).eip712()).expect("encodes");
    let signatures = signers.iter().map(
        |signer| json!({ "signer": signer.address, "signature": raw::sign_request(world, signer, &request) }),
    );
    claim["signatures"] = signatures.collect();
}

fn ask(world: &World, claim: &Value) -> Response {
    raw::send(world.coordinator(), "POST", &CLAIMS[1..], Some(claim))
}

#[test]
fn every_check_of_a_claim_refuses_alone() {
    let world = World::shared();
    let package = provable(world, "vouched-for");
    let (alice, bob, mallory) = (world.person("alice"), world.person("bob"), world.person("mallory"));
    let good = claim_of(world, &package);
    let changed = |change: &dyn Fn(&mut Value), signers: &[&Person]| {
        let mut claim = good.clone();
        change(&mut claim);
        sign(world, &mut claim, signers);
        ask(world, &claim)
    };
    let soon = raw::now() + 60;

    // 1. What a claim is.
    type Change<'a> = &'a dyn Fn(&mut Value);
    let shapes: [(&str, Change<'_>); 6] = [
        ("found epoch 1", &|claim| claim["config"]["epoch"] = json!(1)),
        ("threshold 0", &|claim| claim["config"]["threshold"] = json!(0)),
        ("0 members", &|claim| claim["config"]["members"] = json!([])),
        ("17 members", &|claim| claim["config"]["members"] = json!(vec![alice.address.clone(); 17])),
        ("deadline", &|claim| claim["config"]["deadline"] = json!((raw::now() - 1).to_string())),
        ("deadline", &|claim| claim["config"]["deadline"] = json!((soon + 10 * 365 * 86_400).to_string())),
    ];
    for (says, change) in shapes {
        let said = refused(&changed(change, &[&alice]), 422, "bad-claim");
        assert!(said.contains(says), "{says}: {said}");
    }
    // 2. Who signed it.
    refused(&changed(&|_| (), &[&mallory]), 403, "not-a-member");
    let said = refused(&changed(&|_| (), &[]), 422, "bad-claim");
    assert!(said.contains("0 of its members signed, expected 1"), "{said}");
    let two = |claim: &mut Value| {
        claim["config"]["members"] = json!([alice.address, bob.address]);
        claim["config"]["threshold"] = json!(2);
    };
    for signers in [&[&alice][..], &[&alice, &alice]] {
        let said = refused(&changed(&two, signers), 422, "bad-claim");
        assert!(said.contains("1 of its members signed, expected 2"), "{said}");
    }
    let mut forged = good.clone();
    sign(world, &mut forged, &[&mallory]);
    forged["signatures"][0]["signer"] = json!(alice.address);
    refused(&ask(world, &forged), 422, "bad-signature");
    // 3. When it was made.
    let number = good["anchorBlock"].as_u64().expect("a number");
    for anchor in [json!(number + 1_000_000), json!(u64::MAX)] {
        let said =
            refused(&changed(&|claim| claim["anchorBlock"] = anchor.clone(), &[&alice]), 422, "bad-claim");
        assert!(said.contains("is not among the last 8191"), "{said}");
    }
    // 5. Whom the package names. Bob signs for himself.
    let bobs = |claim: &mut Value| claim["config"]["members"] = json!([bob.address]);
    let said = refused(&changed(&bobs, &[&bob]), 422, "no-proof");
    assert!(said.contains(&format!("3pm-verify-{}", bob.address.to_lowercase())), "{said}");
    let unknown = |claim: &mut Value| claim["config"]["packageName"] = json!("vouched-for-nobody");
    refused(&changed(&unknown, &[&alice]), 404, "not-found");
    // 6. What existed.
    let forgotten = |claim: &mut Value| claim["legacyVersions"] = json!([]);
    let said = refused(&changed(&forgotten, &[&alice]), 422, "legacy-differs");
    assert!(said.contains("0 versions claimed, 1 on npm, for instance 1.0.0"), "{said}");
    let swapped = |claim: &mut Value| {
        claim["legacyVersions"][0]["integrity"] = json!(trust::Integrity::of(b"something else"));
    };
    refused(&changed(&swapped, &[&alice]), 422, "legacy-differs");
    let root = |claim: &mut Value| claim["config"]["legacyRoot"] = json!(format!("0x{}", "11".repeat(32)));
    let said = refused(&changed(&root, &[&alice]), 422, "legacy-differs");
    assert!(said.contains("expected 0x"), "{said}");

    // All of it right; and once somebody has the name, nobody else gets it. 4.
    let answer = ask(world, &good);
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    package.at(alice).threepm(["register", "vouched-for", "--yes"]).succeeded();
    refused(&ask(world, &good), 409, "already-claimed");
}

#[test]
fn whoever_has_not_proved_anything_yet_is_told_how() {
    let world = World::shared();
    let package = Package::new(world, "says-nothing");
    let alice = package.at(world.person("alice"));
    alice.npm(["publish"]).succeeded();
    let ended = alice.threepm(["register", "says-nothing", "--yes", "--no-wait"]).ended_with(5);
    ended.says(&[&format!("npm pkg set _3pm=3pm-verify-{}", alice.address.to_lowercase()), "next:"]);
}

#[test]
fn a_coordinator_without_a_registrar_says_so() {
    let world = World::shared();
    let package = provable(world, "no-registrar-here");
    let mut coordinator = Coordinator::new(world, "no-registrar", world.registry(), world.rpc());
    assert!(coordinator.start(), "{}", coordinator.log());
    let alice = coordinator.seen_by(package.at(world.person("alice")));
    let ended = alice.threepm(["register", &package.name, "--yes"]).refused().ended_with(4);
    ended.says(&["this coordinator has no registrar", "next: use a coordinator that has one"]);
    refused(&raw::send(&coordinator.url, "POST", &CLAIMS[1..], Some(&json!({}))), 501, "no-registrar");
}

#[test]
fn a_claim_waits_for_its_turn_and_is_told_when_there_is_none() {
    let world = World::shared();
    let package = provable(world, "waits-for-its-turn");
    let claim = claim_of(world, &package);
    // npm says nothing about it: whoever has a turn has it until that is given up.
    let silent = proxy::start(world.registry(), |request, upstream| {
        if request.path.contains("waits-for-its-turn") {
            std::thread::sleep(std::time::Duration::from_secs(30));
        }
        upstream.ask(request)
    });
    let mut here = Coordinator::new(world, "waits-for-its-turn", &silent, world.rpc())
        .with("THREEPM_REGISTRAR_RPC_URL", world.rpc())
        .with("THREEPM_REGISTRAR_ADDRESS", world.text("/chain/registrar"));
    assert!(here.start(), "{}", here.log());
    let answers: Vec<Response> = std::thread::scope(|scope| {
        let ask = || raw::send(&here.url, "POST", &CLAIMS[1..], Some(&claim));
        let asking: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        asking.into_iter().map(|answer| answer.join().expect("an answer")).collect()
    });
    // Two at once, two more after them at most.
    let (turned_away, looked_at): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 503);
    for answer in &turned_away {
        assert!(refused(answer, 503, "busy").contains("claims"));
    }
    for answer in &looked_at {
        refused(answer, 502, "npm-unreadable");
    }
    assert!(turned_away.len() >= 4 && looked_at.len() >= 2, "{} and {}", turned_away.len(), looked_at.len());
}

#[test]
fn a_registrar_that_lies_is_noticed_before_anything_is_sent() {
    let world = World::shared();
    let package = provable(world, "lied-to");
    let mallory = world.person("mallory");
    let by_mallory = {
        let (world, mallory) = (World::shared(), mallory.clone());
        move |answer: &mut Value| {
            let commitment = answer["commitment"].as_str().expect("hex").parse().expect("32 bytes");
            let request = signing_request(&RegistrarProof { commitment }, &raw::name_domain(world).eip712());
            answer["registrarSignature"] =
                json!(raw::sign_request(world, &mallory, &request.expect("encodes")));
        }
    };
    let address = mallory.address.clone();
    let lies: [(&str, Box<dyn Fn(&mut Value) + Send + Sync>); 6] = [
        (
            "the registrar vouched for another claim",
            Box::new(|answer| answer["commitment"] = json!(format!("0x{}", "22".repeat(32)))),
        ),
        (
            "the coordinator's registrar is not the one on chain",
            Box::new(move |answer| answer["registrar"] = json!(address)),
        ),
        ("the registrar's signature is not the registrar's", Box::new(by_mallory)),
        (
            "the registrar's signature is not the registrar's",
            Box::new(|answer| answer["registrarSignature"] = json!(format!("0x{}", "00".repeat(65)))),
        ),
        (
            "the registrar's signature is not the registrar's",
            Box::new(|answer| answer["registrarSignature"] = json!("0x")),
        ),
        (
            "the registrar did not vouch for the claim",
            Box::new(|answer| *answer = json!({ "commitment": 7 })),
        ),
    ];
    for (says, lie) in lies {
        let liar = proxy::start(world.coordinator(), move |request, upstream| {
            let mut answer = upstream.ask(request)?;
            if request.path == CLAIMS && answer.status == 200 {
                answer.edit_json(&lie);
            }
            Some(answer)
        });
        let alice = package.at(world.person("alice")).with("THREEPM_COORDINATOR_URL", liar);
        let ended = alice.threepm(["register", "lied-to", "--yes"]).refused();
        ended.says(&[says]).ended_with(if says.contains("did not vouch") { 1 } else { 50 });
    }
    // The name is still free.
    package.at(world.person("alice")).threepm(["register", "lied-to", "--yes"]).succeeded();
}
