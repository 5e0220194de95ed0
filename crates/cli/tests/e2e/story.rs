//! The whole way of a package, as the three people of a team type it, with every answer looked at: claim,
//! team, token, release, review, record, publication, installation. And the demo, which tells the same.

use std::process::{Command, Stdio};

use serde_json::{Value, json};
use trust::TarballHashes;

use crate::harness::story::{Package, id_of, is_installed};
use crate::harness::world::{BINARY, World, cache, scrub};

#[test]
fn a_package_is_claimed_shared_released_by_two_and_installed() {
    let world = World::shared();
    let package = Package::new(world, "@story/whole-way");
    let name = package.name.as_str();
    let alice = package.at(world.person("alice"));
    let (bob, carol) = (world.person("bob"), world.person("carol"));

    // Before: published as everybody publishes. The claim's legacy root covers these two.
    alice.npm(["publish", "--access", "public"]).succeeded();
    let token = format!("3pm-verify-{}", alice.address.to_lowercase());
    alice.threepm(["register", name, "--no-wait", "--yes"]).says(&[&token]);
    package.write("1.0.1", &json!({ "_3pm": token }), "module.exports = 1.01;\n");
    package.commit();
    alice.npm(["publish", "--access", "public"]).succeeded();

    // The claim, and the team that Bob must agree to be in.
    let claim =
        ["register", name, "--member", &bob.address, "--member", &carol.address, "--threshold", "2", "--yes"];
    alice.threepm(claim).succeeded();
    let team = alice.threepm(["team", "status", name, "--json"]).succeeded().json();
    assert_eq!(team["threshold"], 1, "two of three before anybody agreed: {team}");
    let pending = bob.threepm(["pending", name, "--json"]).succeeded().json();
    let change = pending["changes"][0]["id"].as_str().expect("a change waits for bob").to_owned();
    bob.threepm(["approve", &change, "--submit", "--yes"]).succeeded();
    let team = alice.threepm(["team", "status", name, "--json"]).succeeded().json();
    assert_eq!(team["members"].as_array().map(Vec::len), Some(3), "{team}");
    assert_eq!(team["threshold"], 2, "{team}");

    // The token never shows.
    let npm_token = alice.npm_token();
    let handed = alice.threepm_with_input(["register-token", name], &npm_token).succeeded();
    assert!(!handed.stdout.contains(&npm_token) && !handed.stderr.contains(&npm_token), "{handed}");
    let stored = bob.threepm(["register-token", name, "--status", "--json"]).succeeded().json();
    assert_eq!(stored["stored"], true, "{stored}");
    assert!(!stored.to_string().contains(&npm_token), "{stored}");

    // Signer 1.
    package.write("1.1.0", &json!({}), "module.exports = 1.1;\n");
    package.commit();
    let published = alice.threepm(["publish", "--yes", "--no-submit", "--json"]).succeeded();
    let id = id_of(&published);
    assert_eq!(package.served(world, "1.1.0"), None, "on npm with one signature");
    let (_, project) = world.project("whole-way-early");
    world.person("user").at(&project).threepm(["install", &package.release("1.1.0")]).refused();

    // Signer 2 reviews: the files, the change, who signed before.
    let reviewed =
        carol.threepm(["approve", &package.release("1.1.0"), "--diff", "--submit", "--yes"]).succeeded();
    reviewed.says(&["index.js", "module.exports = 1.1;"]);
    let proposal = world.wait_for_state(world.coordinator(), &id, "published");
    let served = package.served(world, "1.1.0").expect("it is on npm");
    assert_eq!(proposal["tarball"]["integrity"], TarballHashes::of(&served).integrity.to_string());
    let status = bob.threepm(["status", &package.release("1.1.0"), "--json"]).succeeded().json();
    assert_eq!(status["proposals"][0]["state"], "published", "{status}");

    // Installation: the signed one names its signers, the ones from before the claim are Legacy.
    let (user, project) = world.project("whole-way-install");
    let installed = user.threepm(["install", name]).succeeded();
    let shown = format!("{}{}", installed.stdout, installed.stderr).to_lowercase();
    for signer in [&alice, &carol] {
        let address = signer.address.to_lowercase();
        let short = format!("{}…{}", &address[..6], &address[address.len() - 4..]);
        assert!(
            shown.contains(&address) || shown.contains(&short),
            "{} is not named: {installed}",
            signer.name
        );
    }
    assert!(is_installed(&project, &package));
    let lockfile: Value =
        serde_json::from_slice(&std::fs::read(project.join("package-lock.json")).unwrap()).unwrap();
    let entry = &lockfile["packages"][format!("node_modules/{name}")];
    assert_eq!(entry["integrity"], TarballHashes::of(&served).integrity.to_string());
    let (user, _) = world.project("whole-way-legacy");
    let installed = user.threepm(["install", &package.release("1.0.0")]).succeeded();
    installed.says(&["1 from before their maintainers used 3pm"]);
    let verified = user.threepm(["verify", &package.release("1.0.0"), "--json"]).succeeded().json();
    assert_eq!(verified["counts"]["Legacy"], 1, "{verified}");
}

#[test]
fn the_demo_goes_as_told() {
    let mut command = Command::new(BINARY);
    scrub(&mut command);
    command.args(["demo", "--json"]).env("THREEPM_HOME", cache()).stdin(Stdio::null());
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{out}\n{err}");
    let played: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(played["ok"], true);
    let acts = played["acts"].as_array().unwrap();
    assert_eq!(acts.len(), 3);
    for act in acts {
        assert!(act["failed"].is_null(), "{act}");
        assert!(act["shown"].as_array().unwrap().len() >= 3, "{act}");
    }
}

#[test]
fn the_demo_tells_its_story_to_people() {
    let mut command = Command::new(BINARY);
    scrub(&mut command);
    command.arg("demo").env("THREEPM_HOME", cache()).env("NO_COLOR", "1").stdin(Stdio::null());
    let output = command.output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    for part in [
        "Act 1",
        "Act 2",
        "Act 3",
        "alice$ 3pm publish",
        "bob$ 3pm approve",
        "user$ npm install",
        "What was shown",
    ] {
        assert!(told.contains(part), "no {part:?} in:\n{told}");
    }
    assert!(!told.contains('\u{1b}'), "colour codes although NO_COLOR is set");
}
