//! Contracts go where they are said to go, once, however often it was interrupted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::node::Anvil;
use crate::person::{CONTRACTS, Person, TRANSACTIONS, deploy, ended, read, rpc, sent, wait_until};
use crate::proxy;

/// A point of the curve: the base point (FIPS 186-4, D.1.2.3).
const X: &str = "0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296";
const Y: &str = "0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";

fn states(report: &Value) -> Vec<String> {
    let contracts = report["contracts"].as_array().unwrap();
    contracts.iter().map(|contract| contract["state"].as_str().unwrap().to_owned()).collect()
}

fn places(report: &Value) -> Vec<(String, String)> {
    let text = |contract: &Value, field: &str| contract[field].as_str().unwrap().to_owned();
    let contracts = report["contracts"].as_array().unwrap();
    contracts.iter().map(|contract| (text(contract, "address"), text(contract, "codeHash"))).collect()
}

#[test]
fn a_dry_run_says_arguments_addresses_and_code_hashes_and_sends_nothing() {
    let node = Anvil::start();
    let person = Person::new();
    let key = format!("{X},{Y},1600000000,1900000000");
    let arguments = deploy(node.url.as_str(), &["--npm-key", &key, "--dry-run"]);
    let said = person.types(&arguments).with(
        0,
        &[
            "http://registry.example/",
            crate::person::REGISTRAR,
            "provisional for 600 seconds",
            X,
            Y,
            "valid from 1600000000 to 1900000000",
            "NameRegistry (missing)",
            "PackageRegistry (missing), made by NameRegistry",
            "SignerFactory (missing)",
            "code hash",
        ],
    );
    let json = person.types(&[&["--json"], &arguments[..]].concat()).with(0, &[]).json();
    for (address, code_hash) in places(&json) {
        let addresses = said.stdout.to_lowercase();
        assert!(addresses.contains(&address.to_lowercase()) && said.stdout.contains(&code_hash), "{said:?}");
    }
    assert_eq!(json["npmKeys"][0]["validTo"], 1_900_000_000_u64);
    assert_eq!(sent(&node), 0);
}

#[test]
fn a_key_off_the_curve_is_refused_before_anything_is_asked_or_sent() {
    let node = Anvil::start();
    let rpc_url = node.url.as_str();
    let person = Person::new().connected(rpc_url);
    for key in [format!("{Y},{X},0,9"), format!("{X},{X},0,9")] {
        let arguments = deploy(rpc_url, &["--npm-key", &key, "--yes"]);
        person.types(&arguments).with(2, &["--npm-key", "not a point of P-256"]);
    }
    assert_eq!(sent(&node), 0);
}

#[test]
fn the_contracts_are_created_once_where_the_dry_run_said() {
    let node = Anvil::start();
    let rpc_url = node.url.as_str();
    let person = Person::new().connected(rpc_url);
    let planned = person.types(&deploy(rpc_url, &["--dry-run", "--json"])).with(0, &[]).json();

    // Nobody said yes.
    person.types(&deploy(rpc_url, &[])).with(3, &[]);
    assert_eq!(sent(&node), 0);

    let done = person.types(&deploy(rpc_url, &["--yes", "--json"])).with(0, &[]).json();
    assert_eq!(states(&done), vec!["created"; CONTRACTS]);
    assert_eq!(places(&done), places(&planned));
    let transactions: Vec<&Value> =
        done["contracts"].as_array().unwrap().iter().map(|contract| &contract["transaction"]).collect();
    assert!(transactions.iter().all(|hash| hash.is_string()), "{done}");
    assert_eq!(transactions[0], transactions[1], "one transaction makes both");
    for (address, _) in places(&done) {
        assert_ne!(rpc(&node, "eth_getCode", json!([address, "latest"])), json!("0x"));
    }

    // A second run finds them, and so does somebody else's.
    for person in [person, Person::new().connected(rpc_url)] {
        let again = person.types(&deploy(rpc_url, &["--yes", "--json"])).with(0, &[]).json();
        assert_eq!(states(&again), vec!["present"; CONTRACTS]);
        assert_eq!(places(&again), places(&planned));
    }
    assert_eq!(sent(&node), TRANSACTIONS);
}

/// A signer whose answer to the k-th transaction never comes, though the transaction was sent.
fn silent_after(node: &Anvil, transactions: usize) -> String {
    let count = Arc::new(AtomicUsize::new(0));
    proxy::start(node.url.as_str(), move |request: &proxy::Request, upstream: &proxy::Upstream| {
        let answer = upstream.ask(request);
        let sends = String::from_utf8_lossy(&request.body).contains("\"eth_sendTransaction\"");
        if sends && count.fetch_add(1, Ordering::SeqCst) + 1 == transactions {
            std::thread::park();
        }
        answer
    })
}

#[test]
fn killed_after_any_step_the_next_run_goes_on_there_and_sends_nothing_twice() {
    for step in 1..=TRANSACTIONS {
        let node = Anvil::start();
        let rpc_url = node.url.as_str();
        let signer = silent_after(&node, step);
        let person = Person::new().connected(&signer);
        let mut running = person.starts(&deploy(rpc_url, &["--yes"]));
        wait_until("the transaction is mined", || sent(&node) == step);
        running.kill().unwrap();
        running.wait().unwrap();

        let person = person.connected(rpc_url);
        let done = person.types(&deploy(rpc_url, &["--yes", "--json"])).with(0, &[]).json();
        // The first transaction makes two of them.
        let expected = [vec!["present"; step + 1], vec!["created"; TRANSACTIONS - step]].concat();
        assert_eq!(states(&done), expected, "after {step}");
        assert_eq!(sent(&node), TRANSACTIONS, "after {step}");
    }
}

#[test]
fn what_an_interrupted_run_sent_is_waited_for_and_not_sent_again() {
    let node = Anvil::start();
    let rpc_url = node.url.as_str();
    let person = Person::new().connected(rpc_url);
    let pending = || {
        let pool = rpc(&node, "txpool_status", json!([]));
        u64::from_str_radix(pool["pending"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
    };
    rpc(&node, "evm_setAutomine", json!([false]));
    let mut running = person.starts(&deploy(rpc_url, &["--yes"]));
    wait_until("the transaction waits", || pending() == 1);
    running.kill().unwrap();
    running.wait().unwrap();

    let mut again = person.starts(&deploy(rpc_url, &["--yes", "--json"]));
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(pending(), 1, "it was sent again");
    rpc(&node, "evm_setAutomine", json!([true]));
    rpc(&node, "evm_mine", json!([]));
    assert!(again.wait().unwrap().success());
    let done = person.types(&deploy(rpc_url, &["--yes", "--json"])).with(0, &[]).json();
    assert_eq!(states(&done), vec!["present"; CONTRACTS]);
    assert_eq!(sent(&node), TRANSACTIONS);
}

#[test]
fn a_signer_that_refuses_leaves_a_deployment_that_goes_on_later() {
    let node = Anvil::start();
    let rpc_url = node.url.as_str();
    let count = AtomicUsize::new(0);
    let refuses = proxy::start(rpc_url, move |request: &proxy::Request, upstream: &proxy::Upstream| {
        let sends = String::from_utf8_lossy(&request.body).contains("\"eth_sendTransaction\"");
        if !sends || count.fetch_add(1, Ordering::SeqCst) == 0 {
            return upstream.ask(request);
        }
        let question: Value = serde_json::from_slice(&request.body).unwrap();
        let error = json!({ "code": 4001, "message": "no" });
        let body = json!({ "jsonrpc": "2.0", "id": question["id"], "error": error }).to_string().into_bytes();
        Some(proxy::Response { status: 200, headers: vec![], body })
    });
    let person = Person::new().connected(&refuses);
    let ended = person.types(&deploy(rpc_url, &["--yes"]));
    assert!(![0, 101].contains(&ended.code), "{ended:?}");
    let report = person.connected(rpc_url).types(&deploy(rpc_url, &["--yes", "--json"])).with(0, &[]).json();
    assert_eq!(states(&report), ["present", "present", "created", "created"]);
}

#[test]
fn other_code_at_an_address_is_named_and_nothing_is_sent() {
    let node = Anvil::start();
    let rpc_url = node.url.as_str();
    let person = Person::new().connected(rpc_url);
    let planned = person.types(&deploy(rpc_url, &["--dry-run", "--json"])).with(0, &[]).json();
    for contract in planned["contracts"].as_array().unwrap() {
        let (name, address) = (contract["contract"].as_str().unwrap(), contract["address"].as_str().unwrap());
        rpc(&node, "anvil_setCode", json!([address, "0x6001"]));
        let sentence = format!("{name} at ");
        let expected = contract["codeHash"].as_str().unwrap();
        person.types(&deploy(rpc_url, &["--yes"])).with(50, &[&sentence, "has other code", expected]);
        rpc(&node, "anvil_setCode", json!([address, "0x"]));
    }
    assert_eq!(sent(&node), 0);
}

#[test]
fn a_chain_without_the_deployment_proxy_or_with_another_id_is_named() {
    let node = Anvil::start();
    let rpc_url = node.url.as_str();
    let person = Person::new().connected(rpc_url);
    let other =
        ["deploy", "--rpc-url", rpc_url, "--chain-id", "8453", "--registry-origin", "http://r.example/"];
    let other = [&other[..], &["--registrar", crate::person::REGISTRAR, "--yes"]].concat();
    person.types(&other).with(1, &["serves chain 31337, expected chain 8453"]);
    rpc(&node, "anvil_setCode", json!(["0x4e59b44847b379578588920ca78fbf26c0b4956c", "0x"]));
    person.types(&deploy(rpc_url, &["--yes"])).with(4, &["no deployment proxy"]);
    assert_eq!(sent(&node), 0);
}

#[test]
fn the_networks_file_takes_the_deployment_once_and_loses_no_other() {
    let node = Anvil::start();
    let rpc_url = node.url.as_str();
    let person = Person::new().connected(rpc_url);
    let path = person.file("networks.json");
    let file = path.to_str().unwrap();
    let with_file = |more: &[&'static str]| {
        let arguments = deploy(rpc_url, &["--yes", "--networks-file", file]);
        person.types(&[&arguments[..], more].concat())
    };
    with_file(&["--dry-run"]).with(0, &[]);
    assert!(!path.exists());

    with_file(&[]).with(0, &["written to"]);
    let first = read(&path);
    let planned = person.types(&deploy(rpc_url, &["--dry-run", "--json"])).with(0, &[]).json();
    let local = &first["local"];
    assert_eq!((&local["chainId"], &local["claimWindow"]), (&json!(31_337), &json!(600)));
    for contract in planned["contracts"].as_array().unwrap() {
        let written = &local["contracts"][contract["contract"].as_str().unwrap()];
        assert_eq!(
            (&written["address"], &written["codeHash"]),
            (&contract["address"], &contract["codeHash"])
        );
    }
    with_file(&[]).with(0, &[]);
    with_file(&["--network", "mine"]).with(0, &[]);
    let both = read(&path);
    assert_eq!((&both["local"], &both["mine"]), (&first["local"], &first["local"]));

    // Another deployment under the same name is refused before anything is sent.
    let before = sent(&node);
    let mut other = deploy(rpc_url, &["--yes", "--networks-file", file]);
    other[10] = "700";
    person.types(&other).with(4, &["names another deployment \"local\""]);
    std::fs::write(&path, "{").unwrap();
    person.types(&other).with(1, &["is not a file of networks"]);
    assert_eq!(sent(&node), before);
}

#[test]
fn a_report_of_a_run_that_was_killed_is_never_a_success() {
    let node = Anvil::start();
    let signer = silent_after(&node, 1);
    let person = Person::new().connected(&signer);
    let mut running = person.starts(&deploy(node.url.as_str(), &["--yes", "--json"]));
    wait_until("the transaction is mined", || sent(&node) == 1);
    running.kill().unwrap();
    let ended = ended(running.wait_with_output().unwrap());
    assert!(ended.code != 0 && !ended.stdout.contains("created"), "{ended:?}");
}
