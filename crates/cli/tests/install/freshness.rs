//! What is remembered between runs of a public chain, what decides without one, and how long that takes.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use trust::Integrity;
use trust::legacy::LegacyVersion;

use crate::harness::people::{Ended, Person};
use crate::harness::world::World;
use crate::ledger::{Claim, Ledger, TEAM};
use crate::project::Project;
use crate::public::{
    CLOSED, cut, dripping, endless, endpoint, fresh_block, honest, kept, page, silent, stuck_at, user_of_base,
};
use crate::shelf::stock;

/// The promise is `chain::DECISION_TIME`, 5 seconds; npm starts a few times on a machine that is busy.
const MARGIN: Duration = Duration::from_secs(10);

/// `3pm install`, `3pm verify` and `3pm run-with` in a project with a lockfile.
const COMMANDS: [&[&str]; 3] = [&["install"], &["verify"], &["run-with", "npm", "--", "install"]];

/// A project over one signed package and one that nobody enrolled, installed once by a user of `base`.
fn installed(world: &World, name: &str) -> (Project, Person) {
    let ledger = Ledger::of(world);
    let tarball = stock(world, name, "1.0.0", "1");
    let other = format!("{name}-other");
    stock(world, &other, "1.0.0", "2");
    ledger.claim(name, &TEAM);
    ledger.publish(name, "1.0.0", &tarball, &["alice", "bob"]);
    let project = Project::asking(world, name, json!({name: "1.0.0", other: "1.0.0"}));
    let user = user_of_base(world, &project, &honest(world));
    fresh_block(world);
    user.threepm(["install"]).succeeded().says(&["Verified", "1 not enrolled in 3pm"]);
    (project, user)
}

/// The ledger that claimed a name knows its members; another one has to be told.
fn ledger_of(world: &World, name: &str) -> Ledger {
    let ledger = Ledger::of(world);
    ledger.knows(name, TEAM.members);
    ledger
}

fn asking(user: &Person, rpc: impl Into<String>) -> Person {
    user.clone().with("THREEPM_RPC_URL", rpc)
}

/// Ends with this code and these words in time, and the project is untouched.
#[track_caller]
fn refuses(project: &Project, user: &Person, arguments: &[&str], code: i32, words: &[&str]) -> Ended {
    let before = project.contents();
    let started = Instant::now();
    let ended = user.threepm(arguments).refused().ended_with(code).says(words);
    assert!(started.elapsed() < MARGIN, "took {:?}: {ended}", started.elapsed());
    assert_eq!(project.contents(), before, "the project was touched: {ended}");
    ended
}

#[test]
fn a_repeated_install_is_decided_from_kept_records_and_says_of_when_they_are() {
    let world = World::shared();
    let (project, user) = installed(world, "f-offline");
    for rpc in [CLOSED.to_owned(), silent()] {
        let user = asking(&user, &rpc);
        for arguments in COMMANDS {
            let started = Instant::now();
            let ended = user.threepm(arguments).succeeded();
            assert!(started.elapsed() < MARGIN, "took {:?}: {ended}", started.elapsed());
            ended.says(&[
                "Verified",
                "Offline: decided from records of",
                "revocations and warnings since then",
            ]);
        }
    }
    let user = asking(&user, CLOSED);
    let report = user.threepm(["verify", "--json"]).succeeded().json();
    assert_eq!(report["block"], Value::Null);
    assert!(report["offline"]["time"].as_u64().is_some_and(|time| time > 1_700_000_000), "{report}");
    let online = asking(&user, honest(world));
    fresh_block(world);
    assert_eq!(online.threepm(["verify", "--json"]).succeeded().json()["offline"], Value::Null);

    // What was never read is not known.
    stock(world, "f-offline-new", "1.0.0", "3");
    for arguments in
        [&["install", "f-offline-new"][..], &["run-with", "npm", "--", "install", "f-offline-new"]]
    {
        refuses(&project, &user, arguments, 1, &["nothing was kept about f-offline-new"]);
    }
}

#[test]
fn kept_records_that_are_too_old_or_damaged_decide_nothing() {
    let world = World::shared();
    let (project, user) = installed(world, "f-old");
    let file = kept(world, &project, "records.json");
    let good = std::fs::read_to_string(&file).expect("kept records");
    let aged: String = {
        let mut page: Value = serde_json::from_str(&good).expect("JSON");
        let older = |kept: &mut Value| kept["time"] = json!(kept["time"].as_u64().unwrap() - 25 * 3600);
        page["content"]["names"].as_object_mut().unwrap().values_mut().for_each(older);
        page.to_string()
    };
    let offline = asking(&user, CLOSED);
    for (text, words) in [
        (aged.as_str(), &["the chain could not be read"][..]),
        (&good[..good.len() / 2], &["records.json is damaged", "mv "]),
    ] {
        std::fs::write(&file, text).expect("a file");
        for arguments in COMMANDS {
            refuses(&project, &offline, arguments, 1, words);
        }
    }
    // With a chain it is not needed, and is mended.
    fresh_block(world);
    user.threepm(["verify"]).succeeded();
    offline.threepm(["verify"]).succeeded().says(&["Offline"]);
}

#[test]
fn any_word_of_an_endpoint_is_not_offline() {
    let world = World::shared();
    let (project, user) = installed(world, "f-word");
    let nobody = endpoint(
        world,
        |_| {},
        |method, answer| {
            if method == "eth_call" {
                let length = answer["result"].as_str().map_or(0, str::len);
                answer["result"] = json!(format!("0x{}", "0".repeat(length.saturating_sub(2))));
            }
        },
    );
    let honest = honest(world);
    fresh_block(world);
    for rpc in [page(), format!("{CLOSED},{}", page()), endless(), cut(), format!("{honest},{CLOSED}")] {
        refuses(&project, &asking(&user, rpc), &["install"], 1, &["the chain could not be read"]);
    }
    let rpc = format!("{honest},{nobody}");
    refuses(&project, &asking(&user, rpc), &["install"], 1, &["RPC endpoints disagree about packages"]);
    // Another network is another memory: nothing was kept of it.
    let sepolia = asking(&user, CLOSED).with("THREEPM_NETWORK", "base-sepolia");
    refuses(&project, &sepolia, &["verify"], 1, &["the chain could not be read"]);
}

#[test]
fn a_revocation_is_seen_at_once_where_there_is_a_network_and_never_forgotten() {
    let world = World::shared();
    let (project, user) = installed(world, "f-revoked");
    let before = fresh_block(world);
    ledger_of(world, "f-revoked").revoke("f-revoked", "1.0.0", &["alice", "bob"]);
    fresh_block(world);
    refuses(&project, &user, &["install"], 41, &["Revoked"]);
    // Also by the records that this refused install kept.
    refuses(&project, &asking(&user, CLOSED), &["install"], 41, &["Revoked", "Offline"]);
    // An endpoint that shows the state of before it, at the newest block.
    let liar = asking(&user, stuck_at(world, before));
    fresh_block(world);
    let words = ["older state of f-revoked@1.0.0", "expected a revoked release, found one that stands"];
    for arguments in COMMANDS {
        refuses(&project, &liar, arguments, 1, &words);
    }
    // Whoever has not seen the revocation has nothing to hold against it: one endpoint is believed.
    let stranger = world.new_folder("homes/f-revoked-stranger");
    let stranger = liar.with("THREEPM_HOME", stranger.display().to_string());
    stranger.threepm(["verify"]).succeeded();
}

#[test]
fn an_enrolment_and_a_number_of_releases_are_never_forgotten() {
    let world = World::shared();
    let unclaimed = fresh_block(world);
    let (project, user) = installed(world, "f-enrolled");
    fresh_block(world);
    let liar = asking(&user, stuck_at(world, unclaimed));
    let remembered = || {
        ["seen.json", "records.json"].map(|file| std::fs::read(kept(world, &project, file)).expect("a file"))
    };
    let before = remembered();
    for arguments in COMMANDS {
        let words = ["f-enrolled", "expected an enrolled name, found a name that nobody claimed"];
        refuses(&project, &liar, arguments, 1, &words);
    }
    assert_eq!(remembered(), before, "nothing of what a liar says is kept");
    let one = fresh_block(world);
    let tarball = stock(world, "f-enrolled", "2.0.0", "2");
    let ledger = ledger_of(world, "f-enrolled");
    ledger.publish("f-enrolled", "2.0.0", &tarball, &["alice", "bob"]);
    fresh_block(world);
    user.threepm(["verify"]).succeeded();
    refuses(
        &project,
        &asking(&user, stuck_at(world, one)),
        &["verify"],
        1,
        &["expected 2 releases or more, found 1"],
    );
}

#[test]
fn a_damaged_memory_is_named_and_stops_every_command_that_reads() {
    let world = World::shared();
    let (project, user) = installed(world, "f-damaged");
    let file = kept(world, &project, "seen.json");
    let good = std::fs::read_to_string(&file).expect("a memory");
    std::fs::write(&file, &good[..good.len() / 2]).expect("a file");
    fresh_block(world);
    for arguments in COMMANDS.into_iter().chain([&["status", "f-damaged"][..]]) {
        refuses(
            &project,
            &user,
            arguments,
            1,
            &["seen.json is damaged", "next: put back a copy of it, or", "mv "],
        );
    }
    std::fs::write(&file, good).expect("a file");
    user.threepm(["verify"]).succeeded();
}

#[test]
fn a_chain_that_is_dead_silent_slow_or_endless_is_decided_about_in_time() {
    let world = World::shared();
    let (project, user) = installed(world, "f-time");
    let empty = world.new_folder("homes/f-time-empty");
    let user = user.with("THREEPM_HOME", empty.display().to_string());
    let after_head = endpoint(
        world,
        |_| {},
        |method, _| {
            if method == "eth_call" {
                std::thread::sleep(Duration::from_secs(30));
            }
        },
    );
    fresh_block(world);
    for rpc in [CLOSED.to_owned(), silent(), dripping(), endless(), after_head] {
        for arguments in COMMANDS {
            refuses(&project, &asking(&user, &rpc), arguments, 1, &["error: "]);
        }
    }
}

#[test]
fn a_coordinator_that_is_dead_silent_slow_or_endless_is_decided_about_in_time() {
    let world = World::shared();
    let ledger = Ledger::of(world);
    let before = stock(world, "f-legacy", "0.9.0", "from before");
    let list = [LegacyVersion { version: "0.9.0".parse().unwrap(), integrity: Integrity::of(&before) }];
    ledger.claim("f-legacy", &Claim { legacy: &list, ..TEAM });
    let project = Project::asking(world, "f-legacy", json!({"f-legacy": "0.9.0"}));
    project.user.npm(["install", "--package-lock-only"]).succeeded();
    for (coordinator, words) in [
        (CLOSED.to_owned(), "cannot be reached"),
        (silent(), "the coordinator gave no answer within"),
        (dripping(), "the coordinator gave no answer within"),
        (endless(), "answered with more than"),
    ] {
        let user = project.user.clone().with("THREEPM_COORDINATOR_URL", coordinator);
        for arguments in COMMANDS {
            refuses(&project, &user, arguments, 1, &["f-legacy@0.9.0", words]);
        }
    }
}

#[test]
fn a_block_that_is_too_old_decides_nothing() {
    let world = World::shared();
    let (project, user) = installed(world, "f-stale");
    let stale = endpoint(
        world,
        |_| {},
        |method, answer| {
            if method == "eth_getBlockByNumber" {
                let time =
                    u64::from_str_radix(&answer["result"]["timestamp"].as_str().unwrap()[2..], 16).unwrap();
                answer["result"]["timestamp"] = json!(format!("{:#x}", time - 400));
            }
        },
    );
    fresh_block(world);
    for arguments in COMMANDS {
        // It was heard: kept records do not decide in its place.
        refuses(&project, &asking(&user, &stale), arguments, 1, &["seconds old, expected at most 300"]);
    }
}
