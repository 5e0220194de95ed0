//! npm tokens on their way to the coordinator: each check of a hand-over broken alone, and where the token is
//! never seen.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use alloy_primitives::{B256, U256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use trust::message::{Domain, TokenHandover, coordinator_domain, signing_request};

use crate::harness::archive;
use crate::harness::coordinator::Coordinator;
use crate::harness::people::Person;
use crate::harness::proxy::{self, Response};
use crate::harness::raw::{self, refused};
use crate::harness::tripwire::{MOST_REQUESTS, Tripwire};
use crate::harness::world::World;
use crate::signing;

/// A good hand-over to the coordinator at `base`.
fn handover(base: &str, name: &str, token: &str) -> TokenHandover {
    TokenHandover {
        packageName: name.to_owned(),
        coordinator: base.to_owned(),
        tokenHash: B256::from_slice(&Sha256::digest(token)),
        issuedAt: U256::from(raw::now()),
        expiresAt: U256::from(raw::now() + 300),
    }
}

fn sign(world: &World, person: &Person, handover: &TokenHandover, domain: Domain) -> String {
    let request = signing_request(handover, &coordinator_domain(&domain)).expect("encodes");
    raw::sign_request(world, person, &request)
}

/// Hands `token` over to the coordinator at `base`, at the address of `name`, as `signer` with `signature`.
fn post(
    base: &str,
    name: &str,
    token: &str,
    handover: &TokenHandover,
    signer: &Person,
    signature: &str,
) -> Response {
    try_post(base, name, token, handover, signer, signature).expect("an answer")
}

/// The same to somebody who may die of it.
fn try_post(
    base: &str,
    name: &str,
    token: &str,
    handover: &TokenHandover,
    signer: &Person,
    signature: &str,
) -> Option<Response> {
    let body = json!({
        "token": token,
        "handover": {
            "packageName": handover.packageName,
            "coordinator": handover.coordinator,
            "tokenHash": handover.tokenHash,
            "issuedAt": handover.issuedAt.to_string(),
            "expiresAt": handover.expiresAt.to_string(),
        },
        "signer": signer.address,
        "signature": signature,
    });
    raw::try_send(base, "POST", &format!("v1/packages/{name}/token"), Some(&body))
}

fn status(base: &str, name: &str) -> Value {
    let answer = raw::send(base, "GET", &format!("v1/packages/{name}/token"), None);
    serde_json::from_slice(&answer.body).expect("JSON")
}

#[test]
fn every_check_of_a_hand_over_refuses_alone() {
    let world = World::shared();
    let package = world.claimed("handed-over");
    let (base, name) = (world.coordinator(), package.name.as_str());
    let (alice, mallory) = (world.person("alice"), world.person("mallory"));
    let token = alice.npm_token();
    let good = || handover(base, name, &token);
    let domain = raw::package_domain(world);
    let nothing = json!({ "stored": false });

    // What the message says.
    type Change = fn(&mut TokenHandover);
    let changes: [(&str, u16, &str, Change); 6] = [
        ("it is about handed-over-to-another", 422, "bad-handover", |it| it.packageName += "-to-another"),
        ("it is for http://127.0.0.1:1/", 422, "bad-handover", |it| {
            it.coordinator = "http://127.0.0.1:1/".into();
        }),
        ("it is about another token", 422, "bad-handover", |it| it.tokenHash = B256::repeat_byte(7)),
        ("sign a new one", 410, "expired", |it| it.expiresAt = U256::from(raw::now() - 1)),
        ("which is ahead of", 422, "bad-handover", |it| {
            it.issuedAt = U256::from(raw::now() + 120);
            it.expiresAt = it.issuedAt + U256::from(60);
        }),
        ("it lives longer than 600 seconds", 422, "bad-handover", |it| {
            it.expiresAt = it.issuedAt + U256::from(601);
        }),
    ];
    for (says, code, kind, change) in changes {
        let mut changed = good();
        change(&mut changed);
        let signature = sign(world, &alice, &changed, domain);
        let said = refused(&post(base, name, &token, &changed, &alice, &signature), code, kind);
        assert!(said.contains(says), "{said}");
        assert_eq!(status(base, name), nothing, "{says}");
    }

    // Who signed it, and what.
    let signature = sign(world, &mallory, &good(), domain);
    let said = refused(&post(base, name, &token, &good(), &mallory, &signature), 403, "not-a-member");
    assert!(said.contains("is not a member of handed-over"), "{said}");
    refused(&post(base, name, &token, &good(), &alice, &signature), 422, "bad-signature");
    let signature = sign(world, &alice, &good(), raw::name_domain(world));
    refused(&post(base, name, &token, &good(), &alice, &signature), 422, "bad-signature");

    // What is handed over.
    for (token, says) in [(String::new(), "the token has 0 bytes"), ("x".repeat(8193), "has 8193 bytes")] {
        let handover = handover(base, name, &token);
        let signature = sign(world, &alice, &handover, domain);
        let said = refused(&post(base, name, &token, &handover, &alice, &signature), 422, "bad-handover");
        assert!(said.contains(says), "{said}");
    }
    let unknown = "npm_0123456789abcdefghijklmnopqrstuvwxyz";
    let other = handover(base, name, unknown);
    let signature = sign(world, &alice, &other, domain);
    refused(&post(base, name, unknown, &other, &alice, &signature), 422, "bad-npm-token");
    assert_eq!(status(base, name), nothing);

    // A name that nobody claimed has no members.
    let unclaimed = handover(base, "handed-over-unclaimed", &token);
    let signature = sign(world, &alice, &unclaimed, domain);
    refused(&post(base, "handed-over-unclaimed", &token, &unclaimed, &alice, &signature), 404, "not-claimed");

    // All of it right, once.
    let good = good();
    let signature = sign(world, &alice, &good, domain);
    let answer = post(base, name, &token, &good, &alice, &signature);
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(status(base, name)["npmUser"], "alice");
    refused(&post(base, name, &token, &good, &alice, &signature), 409, "replayed");
}

#[test]
fn a_token_that_cannot_publish_the_package_is_refused_by_both_ends() {
    let world = World::shared();
    let package = world.claimed("cannot-publish");
    let (alice, mallory) = (package.at(world.person("alice")), world.person("mallory"));
    let name = package.name.as_str();
    for (token, is_read_only, says) in [
        (alice.npm_token(), true, "is read-only"),
        (mallory.npm_token(), false, "npm user mallory, who may not publish cannot-publish"),
    ] {
        // Verdaccio says neither who may publish nor what a token may do: here it does, as npm's registry.
        let shown = as_npm_shows(&token);
        let registry = proxy::start(world.registry(), move |request, upstream| {
            let mut answer = upstream.ask(request)?;
            let says = match request.path.as_str() {
                "/-/npm/v1/tokens?perPage=1000" => {
                    json!({"objects": [{"token": shown, "readonly": is_read_only}]})
                }
                "/-/package/cannot-publish/collaborators" => json!({"alice": "read-write"}),
                _ => return Some(answer),
            };
            answer.status = 200;
            answer.body = says.to_string().into_bytes();
            Some(answer)
        });
        let mut coordinator = Coordinator::new(world, "cannot-publish", &registry, world.rpc());
        assert!(coordinator.start(), "{}", coordinator.log());
        let good = handover(&coordinator.url, name, &token);
        let signature = sign(world, &alice, &good, raw::package_domain(world));
        let answer = post(&coordinator.url, name, &token, &good, &alice, &signature);
        refused(&answer, 422, "no-access");
        let alice = coordinator
            .seen_by(alice.clone())
            .with("NPM_CONFIG_REGISTRY", registry.clone())
            .with("THREEPM_REGISTRY_ORIGIN", registry);
        let ended = alice.threepm_with_input(["register-token", name], &token);
        ended.refused().ended_with(4).says(&[says, "next:"]);
        assert_eq!(status(&coordinator.url, name), json!({ "stored": false }));
    }
}

/// A token in npm's list of them.
fn as_npm_shows(token: &str) -> String {
    format!("{}...{}", &token[..8], &token[token.len() - 4..])
}

#[test]
fn what_npm_says_of_a_token_is_kept_and_shown() {
    let world = World::shared();
    let package = world.claimed("told-by-npm");
    let name = package.name.as_str();
    let alice = package.at(world.person("alice"));
    let token = alice.npm_token();
    // Verdaccio's tokens do not end, and it does not say who may publish: here it does, as npm's registry.
    let (shown, other) = (as_npm_shows(&token), format!("{}...zzzz", &token[..8]));
    let registry = proxy::start(world.registry(), move |request, upstream| {
        let mut answer = upstream.ask(request)?;
        let says = match request.path.as_str() {
            "/-/npm/v1/tokens?perPage=1000" => json!({"objects": [
                {"name": "another", "token": other, "readonly": true, "expiry": "2029-01-01T00:00:00.000Z"},
                {"name": "this", "token": shown, "readonly": false, "expiry": "2030-02-03T04:05:06.000Z"},
            ], "total": 2, "urls": {}}),
            "/-/package/told-by-npm/collaborators" => json!({"alice": "write", "bob": "read"}),
            _ => return Some(answer),
        };
        answer.status = 200;
        answer.body = says.to_string().into_bytes();
        Some(answer)
    });
    let mut coordinator = Coordinator::new(world, name, &registry, world.rpc());
    assert!(coordinator.start(), "{}", coordinator.log());
    let here = coordinator
        .seen_by(alice)
        .with("NPM_CONFIG_REGISTRY", registry.clone())
        .with("THREEPM_REGISTRY_ORIGIN", registry);
    let handed = here.threepm_with_input(["register-token", name], &token).succeeded();
    let handed = handed.says(&["expires      2030-02-03"]);
    assert!(!format!("{handed}").contains("not known whether"), "{handed}");
    let told = status(&coordinator.url, name);
    assert_eq!(told["expiresAt"], 1_896_321_906_u64, "{told}");
    assert_eq!(told["publishAccess"], "confirmed", "{told}");
    for line in [&["status", name][..], &["register-token", name, "--status"]] {
        here.threepm(line).succeeded().says(&["expires      2030-02-03"]);
    }
}

#[test]
fn a_token_of_which_nothing_is_known_is_taken_and_everybody_is_told() {
    let world = World::shared();
    let package = world.claimed("told-nothing");
    let alice = package.at(world.person("alice"));
    let says = ["not known whether this token may publish: the first release will tell"];
    alice.threepm_with_input(["register-token", "told-nothing"], &alice.npm_token()).succeeded().says(&says);
    for line in [&["status", "told-nothing"][..], &["register-token", "told-nothing", "--status"]] {
        world.person("bob").threepm(line).succeeded().says(&says);
    }
    let line = ["register-token", "told-nothing", "--status", "--json"];
    assert_eq!(alice.threepm(line).succeeded().json()["publishAccess"], "unknown");
}

/// Verdaccio's own list of tokens, as it shows them.
#[test]
fn a_read_only_token_is_refused_where_the_registry_lists_it() {
    let world = World::shared();
    let package = world.claimed("read-only-token");
    let alice = package.at(world.person("alice"));
    let ask = |method: &str, path: &str, token: &str, body: Value| -> Value {
        let mut headers: Vec<(String, String)> =
            vec![("host".into(), "127.0.0.1".into()), ("content-type".into(), "application/json".into())];
        if !token.is_empty() {
            headers.push(("authorization".into(), format!("Bearer {token}")));
        }
        let (method, path) = (method.to_owned(), format!("/-/{path}"));
        let request = proxy::Request { method, path, headers, body: body.to_string().into_bytes() };
        let answer = proxy::Upstream::at(world.registry()).ask(&request).expect("an answer");
        serde_json::from_slice(&answer.body).expect("JSON")
    };
    let account = json!({ "name": "dora", "password": "a-password-of-dora" });
    let login = ask("PUT", "user/org.couchdb.user:dora", "", account);
    let login = login["token"].as_str().expect("a token").to_owned();
    let wish =
        |readonly| json!({ "password": "a-password-of-dora", "readonly": readonly, "cidr_whitelist": [] });
    for (readonly, says) in [(true, "is read-only"), (false, "not known whether")] {
        let made = ask("POST", "npm/v1/tokens", &login, wish(readonly));
        let token = made["token"].as_str().expect("a token");
        alice.threepm_with_input(["register-token", &package.name], token).says(&[says]);
        assert_eq!(status(world.coordinator(), &package.name)["stored"], !readonly);
    }
}

#[test]
fn killed_during_a_hand_over_it_has_the_token_or_takes_it_again() {
    let world = World::shared();
    let package = world.claimed("killed-hand-over");
    let (name, alice) = (package.name.as_str(), world.person("alice"));
    let token = alice.npm_token();
    let pid = Arc::default();
    let wires = [Tripwire::killing(&pid), Tripwire::killing(&pid)];
    let registry = wires[0].in_front_of(world.registry());
    let rpc = wires[1].in_front_of(world.rpc());
    let mut coordinator = Coordinator::new(world, name, &registry, &rpc);
    coordinator.pid = pid;
    assert!(coordinator.start(), "{}", coordinator.log());
    // Each is newer than the one before; a clock may be a minute ahead.
    let mut issued = raw::now();
    let mut kills = 0;
    for (wire, after) in wires.iter().flat_map(|wire| [(wire, false), (wire, true)]) {
        for requests in 0.. {
            assert!(requests < MOST_REQUESTS, "the sweep does not end");
            issued = raw::now().max(issued + 1);
            let mut signed = handover(&coordinator.url, name, &token);
            (signed.issuedAt, signed.expiresAt) = (U256::from(issued), U256::from(issued + 300));
            let signature = sign(world, &alice, &signed, raw::package_domain(world));
            wire.arm(requests, after);
            let answer = try_post(&coordinator.url, name, &token, &signed, &alice, &signature);
            wire.disarm();
            if answer.is_some() {
                break;
            }
            kills += 1;
            coordinator.wait_until_dead();
            assert!(coordinator.start(), "{}", coordinator.log());
            // What was signed once is taken once, and the first time was before the answer was lost.
            let answer = post(&coordinator.url, name, &token, &signed, &alice, &signature);
            assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
            refused(&post(&coordinator.url, name, &token, &signed, &alice, &signature), 409, "replayed");
        }
    }
    assert!(kills > 8, "only {kills} kills: the wires saw no requests");
    assert_eq!(status(&coordinator.url, name)["npmUser"], "alice");
}

#[test]
fn a_token_is_in_no_log_no_answer_and_no_file() {
    let world = World::shared();
    let package = world.protected("told-nobody");
    let name = package.name.as_str();
    let alice = package.at(world.person("alice"));
    let mut coordinator = Coordinator::new(world, "told-nobody", world.registry(), world.rpc())
        .with("THREEPM_LOG", "trace")
        .with("RUST_BACKTRACE", "1");
    assert!(coordinator.start(), "{}", coordinator.log());
    let token = alice.npm_token();
    let alice = coordinator.seen_by(alice).with("THREEPM_LOG", "trace").with("RUST_BACKTRACE", "full");
    let mut said = String::new();
    // Taken, refused, asked about, and used.
    said += &alice.threepm_with_input(["register-token", name], &token).succeeded().to_string();
    said += &alice.threepm_with_input(["register-token", name, "--json"], &token).succeeded().to_string();
    said += &alice.threepm(["register-token", name, "--status", "--json"]).succeeded().to_string();
    let mallory = coordinator.seen_by(world.person("mallory"));
    said +=
        &mallory.threepm_with_input(["register-token", name], &token).refused().says(&["member"]).to_string();
    let mut late = handover(&coordinator.url, name, &token);
    late.expiresAt = U256::from(1);
    let signature = sign(world, &alice, &late, raw::package_domain(world));
    said += &String::from_utf8_lossy(&post(&coordinator.url, name, &token, &late, &alice, &signature).body);
    let broken = json!({ "token": token, "handover": 7 });
    let answer = raw::send(&coordinator.url, "POST", &format!("v1/packages/{name}/token"), Some(&broken));
    said += &String::from_utf8_lossy(&answer.body);
    let tarball = archive::package(name, "1.1.0", "module.exports = 2;\n");
    let release = raw::release(name, "1.1.0", &tarball, 50);
    assert_eq!(raw::propose(world, &coordinator.url, &alice, &release, tarball).status, 201);
    raw::record(world, &release, &[&alice, &world.person("bob")]);
    world.wait_for_state(&coordinator.url, &raw::id(world, &release), "published");

    assert!(coordinator.log().contains("npm token stored"), "{}", coordinator.log());
    let folder = coordinator.folder.as_path();
    assert!(!holders(folder, "npm token stored").is_empty() && !holders(folder, "SQLite format").is_empty());
    for shape in [token.clone(), STANDARD.encode(&token), hex::encode(&token)] {
        assert!(!said.contains(&shape), "an answer holds the token");
        assert_eq!(holders(folder, &shape), Vec::<PathBuf>::new());
    }
}

#[test]
fn the_key_that_seals_tokens_comes_from_the_environment_where_it_is_given() {
    let world = World::shared();
    let package = world.protected("sealed-elsewhere");
    let with_key = |coordinator: Coordinator, key: &str| coordinator.with("THREEPM_COORDINATOR_KEY", key);
    let new = || Coordinator::new(world, "sealed-elsewhere", world.registry(), world.rpc());
    let (key, other) = ("5a".repeat(32), STANDARD.encode([7; 32]));
    let mut short = with_key(new(), &key[2..]);
    assert!(!short.start(), "a key of 31 bytes is taken");
    assert!(short.log().contains("vault key from the environment is not 32 bytes"), "{}", short.log());

    let mut here = with_key(short, &key);
    assert!(here.start(), "{}", here.log());
    signing::hand_over(&here, &package, world.registry());
    assert!(!here.folder.join("data/vault.key").exists(), "a key file although a key was given");
    let tarball = archive::package(&package.name, "1.1.0", "");
    let release = raw::release(&package.name, "1.1.0", &tarball, 10);
    here.kill();
    // What another key sealed stays closed, and says so; nothing is lost by it.
    let mut here = with_key(here, &other);
    assert!(here.start(), "{}", here.log());
    signing::sign(&here.url, &release, &tarball);
    signing::record(&release);
    signing::wait_for_attention(&here.url, &release, "does not open: another key");
    here.kill();
    let mut here = with_key(here, &key);
    assert!(here.start(), "{}", here.log());
    signing::wait(&here.url, &release, "published");
    assert!(!here.log().contains(&key) && !here.log().contains(&other), "{}", here.log());
}

/// The files below a folder that hold some text.
fn holders(folder: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(holders(&path, text));
        } else {
            let bytes = std::fs::read(&path).unwrap_or_default();
            if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
                found.push(path);
            }
        }
    }
    found
}
