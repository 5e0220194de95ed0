//! The story, in three acts. What people do is done by the commands they would type; what is claimed about
//! it is looked up in the registry, on disk and in exit codes.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use trust::TarballHashes;

use super::stage::{Act, Ended, Order, Stage, Unexpected};
use crate::exit;
use crate::world::people::{ATTACKER, MAINTAINERS, USER};
use crate::world::sample;

/// How many acts there are.
pub(super) const COUNT: usize = 3;

const NAME: &str = sample::NAME;

/// What the attacker publishes in the first act.
const STOLEN_VERSION: &str = "1.0.1";
/// Carries the claim's token.
const CLAIM_VERSION: &str = "1.0.2";
/// Signed by the team.
const SIGNED_VERSION: &str = "1.1.0";
/// The attacker's own, above the signed one.
const ROGUE_VERSION: &str = "1.1.1";

/// The file that the attacker's code writes, to show that it ran. It holds a sentence and nothing else.
const MARKER: &str = "THIS-COULD-HAVE-BEEN-YOUR-KEYS.txt";

/// The coordinator looks at the chain twice a second.
const PUBLICATION_LIMIT: Duration = Duration::from_secs(60);

/// Plays the acts until one does not go as told.
pub(super) async fn play(stage: &mut Stage<'_>) -> Vec<Act> {
    let mut acts = Vec::new();
    for number in 1..=COUNT {
        let act = match number {
            1 => stage.play(1, "The attack: one stolen token is enough", the_attack).await,
            2 => stage.play(2, "A release that needs two people", a_protected_release).await,
            _ => stage.play(3, "The same attack, and nothing is installed", the_attack_fails).await,
        };
        let failed = act.failed.is_some();
        acts.push(act);
        if failed {
            break;
        }
    }
    acts
}

async fn the_attack(stage: &mut Stage<'_>) -> Result<(), Unexpected> {
    stage.tell(
        "Alice maintains kind-words. She publishes it as everybody publishes: whoever holds her npm token may \
         release.",
    );
    stage.succeed(alice(stage, "npm", &["publish"])).await?;
    stage.tell(
        "Mallory has stolen that token: from a laptop, a CI log, a leaked backup. She adds a few lines that run \
         wherever the package is used. Here they only write a file; they could have read your keys.",
    );
    let evil = attackers_copy(stage, STOLEN_VERSION, "evil").await?;
    stage.succeed(order(ATTACKER, &evil, "npm", &["publish"])).await?;
    stage.tell("Somebody installs kind-words, as on any day, and starts the program that uses it.");
    let project = project(stage, "a-project").await?;
    let installed = stage.succeed(order(USER, &project, "npm", &["install", NAME])).await?;
    stage.check(
        installed_version(&project).as_deref() == Some(STOLEN_VERSION),
        "npm installed the attacker's version",
        || format!("installed is {:?}", installed_version(&project)),
    )?;
    let silent = !installed.text.to_lowercase().contains("warn");
    stage.check(silent, "and said not a word about it", || installed.text.clone())?;
    stage.succeed(order(USER, &project, "node", &["-e", &program("dear reader")])).await?;
    stage.check(
        project.join(MARKER).exists(),
        "the attacker's code ran on the machine that installed it",
        || format!("no {MARKER} in the project"),
    )?;
    stage.tell("Alice finds out, removes the version, and wants this never again.");
    let removed = format!("{NAME}@{STOLEN_VERSION}");
    stage.succeed(alice(stage, "npm", &["unpublish", &removed, "--force"])).await?;
    Ok(())
}

async fn a_protected_release(stage: &mut Stage<'_>) -> Result<(), Unexpected> {
    let [alice_name, bob_name, carol_name] = MAINTAINERS;
    let (bob, carol) = (address(stage, bob_name), address(stage, carol_name));
    stage.tell(
        "Registration. Alice connects her wallet's address with the package by publishing it in the manifest: only \
         somebody who can publish can do that. Then she claims the name on chain; the registrar looks at the \
         published manifest itself.",
    );
    let proof = format!("_3pm=3pm-verify-{}", address(stage, alice_name).to_lowercase());
    stage.succeed(alice(stage, "npm", &["pkg", "set", &proof])).await?;
    stage.succeed(alice(stage, "npm", &["version", CLAIM_VERSION, "--no-git-tag-version"])).await?;
    commit(stage, "Name the claimant").await?;
    stage.succeed(alice(stage, "npm", &["publish"])).await?;
    // The registry and the chain tell time in seconds, and only what is older than the claim is Legacy.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let claim = [
        "register",
        NAME,
        "--member",
        &bob,
        "--member",
        &carol,
        "--threshold",
        "2",
        "--yes",
        "--timeout",
        "60",
    ];
    stage.succeed(alice(stage, "3pm", &claim)).await?;
    stage.tell("The team of three, of whom two must sign, takes effect when Bob agrees to be in it.");
    stage.succeed(order(bob_name, &folder(stage), "3pm", &["pending"])).await?;
    let change = stage.ask(order(bob_name, &folder(stage), "3pm", &["pending", NAME, "--json"])).await?;
    let id = pending_id(&change, "changes")?;
    stage.succeed(order(bob_name, &folder(stage), "3pm", &["approve", &id, "--submit", "--yes"])).await?;
    let team = stage.ask(alice(stage, "3pm", &["team", "status", NAME, "--json"])).await?;
    let so = team["members"].as_array().map(Vec::len) == Some(3) && team["threshold"] == 2;
    stage.check(so, "on chain the name belongs to three people, and two must sign", || team.to_string())?;
    stage.tell(
        "Alice hands the npm token to the coordinator, which encrypts it. From now on the coordinator publishes, and \
         only what the team signed. It holds no power: every install checks the chain, not the coordinator.",
    );
    let mut token = alice(stage, "3pm", &["register-token", NAME]);
    token.input = stage.world.people.get(alice_name).and_then(|person| person.token_file.clone());
    stage.succeed(token).await?;
    stage.tell("A new version. Alice signs as signer 1. Nothing is on npm yet.");
    stage.succeed(alice(stage, "npm", &["version", SIGNED_VERSION, "--no-git-tag-version"])).await?;
    commit(stage, "Version 1.1.0").await?;
    stage.succeed(alice(stage, "3pm", &["publish", "--yes"])).await?;
    let before = packument(stage).await?;
    stage.check(
        before["versions"].get(SIGNED_VERSION).is_none(),
        "one signature put nothing on npm",
        || before["versions"].to_string(),
    )?;
    stage.tell(
        "Bob reviews. His 3pm downloads the tarball, hashes it itself, compares it with what Alice signed, lists what \
         changed, and only then asks his wallet. His is the second signature, so he submits the release to the chain.",
    );
    let release = format!("{NAME}@{SIGNED_VERSION}");
    stage.succeed(order(bob_name, &folder(stage), "3pm", &["pending"])).await?;
    stage
        .succeed(order(bob_name, &folder(stage), "3pm", &["approve", &release, "--submit", "--yes"]))
        .await?;
    stage.tell("The coordinator sees the record on chain and publishes exactly those bytes to npm.");
    let signed = signed_hashes(stage).await?;
    let published = wait_for_publication(stage).await?;
    stage.check(published == signed, "npm serves exactly the bytes that two people signed", || {
        format!("signed {signed}\nserved {published}")
    })?;
    stage.succeed(order(carol_name, &folder(stage), "3pm", &["status", &release])).await?;
    Ok(())
}

async fn the_attack_fails(stage: &mut Stage<'_>) -> Result<(), Unexpected> {
    let release = format!("{NAME}@{SIGNED_VERSION}");
    let rogue = format!("{NAME}@{ROGUE_VERSION}");
    let genuine = genuine_tarball(stage).await?;
    let expected = TarballHashes::of(&genuine).integrity.to_string();
    stage.tell(
        "Mallory still has a token that may publish. First she replaces the bytes of the version that the team \
         signed: same name, same version, her code.",
    );
    let evil = attackers_copy(stage, SIGNED_VERSION, "tampered").await?;
    stage.succeed(order(ATTACKER, &evil, "npm", &["unpublish", &release, "--force"])).await?;
    stage.succeed(order(ATTACKER, &evil, "npm", &["publish"])).await?;
    let received = served_integrity(stage, SIGNED_VERSION).await?;
    stage.check(received != expected, "npm now serves the attacker's bytes as the signed version", || {
        received.clone()
    })?;
    let victim = project(stage, "protected-project").await?;
    let refused = stage.run(order(USER, &victim, "3pm", &["install", &release])).await?;
    expect_code(
        stage,
        &refused,
        exit::MISMATCH.number(),
        "3pm refuses the replaced bytes with its own exit code",
    )?;
    stage.check(
        refused.text.contains(&expected) && refused.text.contains(&received),
        "and says what was expected and what came",
        || format!("expected {expected}\nreceived {received}\n{}", refused.text),
    )?;
    nothing_unpacked(stage, &victim)?;

    stage.tell("Then she publishes a version of her own, newer than the signed one.");
    let evil = attackers_copy(stage, ROGUE_VERSION, "rogue").await?;
    stage.succeed(order(ATTACKER, &evil, "npm", &["publish"])).await?;
    let refused = stage.run(order(USER, &victim, "3pm", &["install", &rogue])).await?;
    expect_code(stage, &refused, exit::UNRECORDED.number(), "3pm refuses the version that nobody signed")?;
    nothing_unpacked(stage, &victim)?;

    stage.tell(
        "Alice takes both away and puts the genuine bytes back. They need no trust on their way: she fetches them \
         from the coordinator, and anybody could, because what counts is the hash on chain.",
    );
    let tarball = victim.join(format!("{NAME}-{SIGNED_VERSION}.tgz"));
    tokio::fs::write(&tarball, &genuine).await.map_err(|error| found("the tarball to be written", error))?;
    stage.succeed(alice(stage, "npm", &["unpublish", &release, "--force"])).await?;
    stage.succeed(alice(stage, "npm", &["unpublish", &rogue, "--force"])).await?;
    let path = tarball.display().to_string();
    stage.succeed(alice(stage, "npm", &["publish", &path])).await?;
    let installed = stage.succeed(order(USER, &victim, "3pm", &["install", &release])).await?;
    stage.check(
        installed_version(&victim).as_deref() == Some(SIGNED_VERSION),
        "the genuine version installs",
        || installed.text.clone(),
    )?;
    let [alice_name, bob_name, _] = MAINTAINERS;
    let signers = [address(stage, alice_name), address(stage, bob_name)];
    let lower = installed.text.to_lowercase();
    let named = signers.iter().all(|signer| names(&lower, &signer.to_lowercase()));
    stage.check(named, "and the summary names the two who signed it", || {
        format!("{signers:?}\n{}", installed.text)
    })?;
    let said = stage.succeed(order(USER, &victim, "node", &["-e", &program("dear reader")])).await?;
    stage.check(said.text.contains("You did that well"), "what runs is what was signed", || {
        said.text.clone()
    })?;
    stage.check(!victim.join(MARKER).exists(), "nothing of the attacker ever ran here", || {
        format!("{MARKER} exists")
    })
}

fn order<'a>(person: &'a str, folder: &Path, program: &'a str, arguments: &[&str]) -> Order<'a> {
    let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    Order { person, folder: folder.to_owned(), program, arguments, input: None }
}

fn alice<'a>(stage: &Stage<'_>, program: &'a str, arguments: &[&str]) -> Order<'a> {
    order(MAINTAINERS[0], &folder(stage), program, arguments)
}

/// Alice's working copy; the others only need some folder.
fn folder(stage: &Stage<'_>) -> PathBuf {
    stage.world.sample.clone()
}

fn address(stage: &Stage<'_>, name: &str) -> String {
    let address = stage.world.people.get(name).and_then(|person| person.address);
    address.map(|address| address.to_string()).unwrap_or_default()
}

/// An address in full, or shortened in the middle as summaries do.
fn names(text: &str, address: &str) -> bool {
    let short = address.get(..6).zip(address.get(address.len().saturating_sub(4)..));
    text.contains(address) || short.is_some_and(|(head, tail)| text.contains(&format!("{head}…{tail}")))
}

/// Commits the working copy, where git is there.
async fn commit(stage: &mut Stage<'_>, message: &str) -> Result<(), Unexpected> {
    if folder(stage).join(".git").exists() {
        stage.succeed(alice(stage, "git", &["commit", "--quiet", "--all", "--message", message])).await?;
    }
    Ok(())
}

/// A program that uses the package.
fn program(reader: &str) -> String {
    format!("console.log(require('{NAME}')('{reader}'))")
}

/// The package with the attacker's code in it. It runs at the first use: npm would warn of an install script.
async fn attackers_copy(stage: &Stage<'_>, version: &str, name: &str) -> Result<PathBuf, Unexpected> {
    let folder = stage.world.folder.join("attack").join(name);
    let manifest = json!({
        "name": NAME,
        "version": version,
        "description": "Says something kind.",
        "main": "index.js",
        "files": ["index.js"],
        "license": "MIT",
    });
    let code = format!(
        "require('fs').writeFileSync(require('path').resolve('{MARKER}'), \
         'Harmless here: this sentence is all it holds.\\n');\n{}",
        sample::CODE
    );
    let failed = |error: std::io::Error| found("the attacker's copy to be written", error);
    tokio::fs::create_dir_all(&folder).await.map_err(failed)?;
    tokio::fs::write(folder.join("package.json"), format!("{manifest:#}\n")).await.map_err(failed)?;
    tokio::fs::write(folder.join("index.js"), code).await.map_err(failed)?;
    Ok(folder)
}

/// A new project of somebody who installs.
async fn project(stage: &Stage<'_>, name: &str) -> Result<PathBuf, Unexpected> {
    let folder = stage.world.folder.join(name);
    let failed = |error: std::io::Error| found("a project to be made", error);
    tokio::fs::create_dir_all(&folder).await.map_err(failed)?;
    let manifest = json!({ "name": name, "version": "1.0.0", "private": true });
    tokio::fs::write(folder.join("package.json"), format!("{manifest:#}\n")).await.map_err(failed)?;
    Ok(folder)
}

fn installed_version(project: &Path) -> Option<String> {
    let text = std::fs::read(project.join("node_modules").join(NAME).join("package.json")).ok()?;
    let manifest: Value = serde_json::from_slice(&text).ok()?;
    manifest["version"].as_str().map(str::to_owned)
}

fn nothing_unpacked(stage: &mut Stage<'_>, project: &Path) -> Result<(), Unexpected> {
    let unpacked = project.join("node_modules").join(NAME).exists();
    stage.check(
        !unpacked && !project.join(MARKER).exists(),
        "nothing of it was unpacked, nothing of it ran",
        || format!("{} holds something of it", project.display()),
    )
}

fn expect_code(stage: &mut Stage<'_>, ended: &Ended, code: u8, what: &str) -> Result<(), Unexpected> {
    let so = ended.code == Some(i32::from(code));
    stage
        .check(so, &format!("{what} ({code})"), || ended.unexpected(&format!("exit code {code}")).to_string())
}

/// The id of the one thing that waits.
fn pending_id(pending: &Value, kind: &str) -> Result<String, Unexpected> {
    let one = pending[kind].as_array().filter(|list| list.len() == 1).and_then(|list| list[0]["id"].as_str());
    one.map(str::to_owned)
        .ok_or_else(|| Unexpected { expected: format!("one of {kind} to wait"), found: pending.to_string() })
}

async fn packument(stage: &Stage<'_>) -> Result<Value, Unexpected> {
    let bytes = stage.fetch(&stage.world.registry.url, NAME).await?;
    serde_json::from_slice(&bytes).map_err(|error| found("a packument", error))
}

/// What the registry serves as `version`, hashed here.
async fn served_integrity(stage: &Stage<'_>, version: &str) -> Result<String, Unexpected> {
    let path = format!("{NAME}/-/{NAME}-{version}.tgz");
    let bytes = stage.fetch(&stage.world.registry.url, &path).await?;
    Ok(TarballHashes::of(&bytes).integrity.to_string())
}

/// What the team signed, as the chain's record of it says.
async fn signed_hashes(stage: &mut Stage<'_>) -> Result<String, Unexpected> {
    let release = format!("{NAME}@{SIGNED_VERSION}");
    let status =
        stage.ask(order(MAINTAINERS[2], &folder(stage), "3pm", &["status", &release, "--json"])).await?;
    let integrity = status.pointer("/release/integrity").and_then(Value::as_str);
    integrity.map(str::to_owned).ok_or_else(|| found("a record on chain", status))
}

async fn wait_for_publication(stage: &Stage<'_>) -> Result<String, Unexpected> {
    let started = Instant::now();
    loop {
        match served_integrity(stage, SIGNED_VERSION).await {
            Ok(integrity) => return Ok(integrity),
            Err(error) if started.elapsed() > PUBLICATION_LIMIT => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// The signed bytes, from the coordinator.
async fn genuine_tarball(stage: &mut Stage<'_>) -> Result<Vec<u8>, Unexpected> {
    let release = format!("{NAME}@{SIGNED_VERSION}");
    let status =
        stage.ask(order(MAINTAINERS[2], &folder(stage), "3pm", &["status", &release, "--json"])).await?;
    let id = status
        .pointer("/proposals/0/id")
        .and_then(Value::as_str)
        .ok_or_else(|| found("a proposal", &status))?;
    stage.fetch(&stage.world.coordinator.url, &format!("v1/proposals/{id}/tarball")).await
}

fn found(expected: &str, found: impl std::fmt::Display) -> Unexpected {
    Unexpected { expected: expected.to_owned(), found: found.to_string() }
}
