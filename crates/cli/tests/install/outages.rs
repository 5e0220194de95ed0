//! Somebody does not answer: a sentence, a non-zero code, within seconds, and nothing installed. Never a
//! better verdict.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::clients::Client;
use crate::harness::people::Ended;
use crate::harness::proxy;
use crate::harness::world::World;
use crate::ledger::{Ledger, TEAM};
use crate::project::Project;
use crate::shelf::{ask, stock};

/// The promise: seconds. A debug build on a busy machine still keeps it.
const SECONDS: Duration = Duration::from_secs(20);

/// An address where nobody listens.
const CLOSED: &str = "http://127.0.0.1:1/";

/// An address where somebody listens and never says a word.
fn silent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || stream.read_to_end(&mut Vec::new()));
        }
    });
    url
}

/// Both commands end within seconds with this code and a sentence, and the project is untouched.
#[track_caller]
fn says_so(project: &Project, variable: &str, value: &str, code: i32, words: &[&str]) {
    let user = project.user.clone().with(variable, value);
    let before = project.contents();
    for arguments in [&["install"][..], &["install", "--yes"], &["verify"], &["verify", "--json"]] {
        let started = Instant::now();
        let ended: Ended = user.threepm(arguments).refused().ended_with(code).says(words);
        assert!(started.elapsed() < SECONDS, "took {:?}: {ended}", started.elapsed());
        assert_eq!(project.contents(), before, "the project was touched: {ended}");
    }
}

/// A project with a lockfile over one signed package.
fn project(world: &World, name: &str) -> Project {
    let ledger = Ledger::of(world);
    let tarball = stock(world, name, "1.0.0", "1");
    ledger.claim(name, &TEAM);
    ledger.publish(name, "1.0.0", &tarball, &["alice", "bob"]);
    let project = Project::asking(world, name, json!({name: "1.0.0"}));
    project.install(&[]).succeeded();
    project
}

#[test]
fn a_chain_that_is_down_or_silent_is_said_within_seconds() {
    let world = World::shared();
    let project = project(world, "o-chain");
    says_so(&project, "THREEPM_RPC_URL", CLOSED, 1, &["the chain could not be read"]);
    says_so(&project, "THREEPM_RPC_URL", &silent(), 1, &["the chain could not be read"]);
}

#[test]
fn a_chain_that_talks_nonsense_is_said() {
    let world = World::shared();
    let project = project(world, "o-nonsense");
    let answers: [(&str, fn(&mut serde_json::Value)); 4] = [
        ("another chain", |answer| answer["result"] = json!("0x1")),
        ("no result", |answer| *answer = json!({})),
        ("a page", |answer| *answer = json!("<html>")),
        ("zeros", |answer| answer["result"] = json!(format!("0x{}", "00".repeat(64)))),
    ];
    for (_, change) in answers {
        let rpc = proxy::start(world.rpc(), move |request: &proxy::Request, upstream: &proxy::Upstream| {
            let mut response = ask(upstream, request)?;
            response.edit_json(change);
            Some(response)
        });
        says_so(&project, "THREEPM_RPC_URL", &rpc, 1, &["error: "]);
    }
}

#[test]
fn two_endpoints_that_disagree_are_no_answer() {
    let world = World::shared();
    let project = project(world, "o-disagree");
    let lying = proxy::start(world.rpc(), |request: &proxy::Request, upstream: &proxy::Upstream| {
        let mut response = ask(upstream, request)?;
        if String::from_utf8_lossy(&request.body).contains("eth_call") {
            // Every word of the records becomes zero: nothing enrolled, nothing recorded.
            response.edit_json(|answer| {
                if let Some(result) = answer["result"].as_str().filter(|result| result.len() > 200) {
                    answer["result"] = json!(format!("{}{}", &result[..130], "0".repeat(result.len() - 130)));
                }
            });
        }
        Some(response)
    });
    let both = format!("{},{lying}", world.rpc());
    says_so(&project, "THREEPM_RPC_URL", &both, 1, &["error: "]);
}

#[test]
fn a_registry_that_is_down_or_silent_is_said_within_seconds() {
    let world = World::shared();
    let project = project(world, "o-registry");
    for registry in [CLOSED.to_owned(), silent()] {
        says_so(&project, "NPM_CONFIG_REGISTRY", &registry, 1, &["the npm registry cannot be used"]);
    }
}

#[test]
fn every_package_manager_is_ended_when_the_registry_turns_out_not_to_be_there() {
    let world = World::shared();
    stock(world, "o-ended", "1.0.0", "1");
    for client in [Client::Npm, Client::Pnpm, Client::YarnClassic, Client::Yarn, Client::Bun] {
        let name = format!("o-ended-{client:?}").to_lowercase();
        let project = Project::asking(world, &name, json!({"o-ended": "1.0.0"}));
        let before = project.contents();
        for registry in [CLOSED.to_owned(), silent()] {
            let started = Instant::now();
            let user = client.user_of(world, &project, &registry);
            let ended = user.threepm(["run-with", client.command(), "--yes", "--", "install"]).refused();
            assert!(started.elapsed() < SECONDS, "{client:?}: took {:?}: {ended}", started.elapsed());
            ended.ended_with(1).says(&["the npm registry cannot be used"]);
            assert_eq!(project.contents(), before, "{client:?}: the project was touched");
        }
    }
}

#[test]
fn a_coordinator_that_is_down_matters_only_where_it_is_needed() {
    let world = World::shared();
    let project = project(world, "o-coordinator");
    let user = project.user.clone().with("THREEPM_COORDINATOR_URL", CLOSED);
    user.threepm(["install"]).succeeded();
    user.threepm(["verify"]).succeeded().says(&["Verified"]);
}

/// An address where everybody gets `head`, and then `body` again and again with a pause in between.
fn endless(body: &'static [u8], pause: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n";
                let mut written = stream.write_all(head.as_bytes());
                while written.is_ok() {
                    std::thread::sleep(pause);
                    written = stream.write_all(body);
                }
            });
        }
    });
    url
}

/// A chain that answers honestly until it is asked for a record, and then like this.
fn turning(world: &World, turn: fn(&mut proxy::Response)) -> String {
    proxy::start(world.rpc(), move |request: &proxy::Request, upstream: &proxy::Upstream| {
        let mut response = ask(upstream, request)?;
        if String::from_utf8_lossy(&request.body).contains("eth_call") {
            turn(&mut response);
        }
        (response.status != 0).then_some(response)
    })
}

#[test]
fn with_every_package_manager_a_chain_that_gives_no_answer_means_that_nothing_is_installed() {
    static MEGABYTE: [u8; 1 << 20] = [b'['; 1 << 20];
    let world = World::shared();
    let ledger = Ledger::of(world);
    let tarball = stock(world, "o-managers", "1.0.0", "1");
    ledger.claim("o-managers", &TEAM);
    ledger.publish("o-managers", "1.0.0", &tarball, &["alice", "bob"]);
    let chains = [
        ("dead", CLOSED.to_owned()),
        ("silent", silent()),
        ("endless and fast", endless(&MEGABYTE, Duration::ZERO)),
        ("endless and slow", endless(b" ", Duration::from_millis(100))),
        (
            "garbage",
            turning(world, |answer| answer.body = b"{\"jsonrpc\": \"2.0\", \"id\": 1, \"res".to_vec()),
        ),
        ("100 MB", turning(world, |answer| answer.body = vec![b' '; 100 << 20])),
        ("hanging up", turning(world, |answer| answer.status = 0)),
        (
            "slow",
            turning(world, |answer| {
                std::thread::sleep(Duration::from_secs(60));
                answer.status = 0;
            }),
        ),
    ];
    for client in [Client::Npm, Client::Pnpm, Client::YarnClassic, Client::Yarn, Client::Bun] {
        let name = format!("o-managers-{client:?}").to_lowercase();
        let project = Project::asking(world, &name, json!({"o-managers": "1.0.0"}));
        let before = project.contents();
        for (what, chain) in &chains {
            let user = client.user(world, &project).with("THREEPM_RPC_URL", chain);
            let started = Instant::now();
            let ended = user.threepm(["run-with", client.command(), "--yes", "--", "install"]).refused();
            let took = started.elapsed();
            assert!(took < SECONDS, "{what}: {took:?}: {ended}");
            assert_eq!(ended.code, Some(1), "{what}: {ended}");
            assert_eq!(project.contents(), before, "{what}: {ended}");
        }
    }
}
