//! A network entry is believed as far as it is pinned: addresses, code, and how records are read.

use serde_json::{Value, json};

use crate::node::Anvil;
use crate::person::{PAYER, Person, deploy, read, rpc, wait_until};
use crate::proxy;

/// What `status` says where the chain could be read. There is no coordinator, so it ends with 1 all the same.
const READ: &[&str] = &["not registered"];

/// A deployment, its file, and somebody who took the entry from it.
struct Deployed {
    node: Anvil,
    person: Person,
    networks: Value,
}

impl Deployed {
    fn new() -> Self {
        let node = Anvil::start();
        let rpc_url = node.url.as_str();
        let person = Person::new().connected(rpc_url);
        let path = person.file("networks.json");
        let file = path.to_str().unwrap();
        person.types(&deploy(rpc_url, &["--yes", "--networks-file", file])).with(0, &[]);
        person
            .types(&["init", "--network", "local", "--rpc-url", rpc_url, "--networks-file", file])
            .with(0, &["claims provisional for 600 seconds"]);
        Self { node, person, networks: read(&path) }
    }

    fn address(&self, contract: &str) -> &str {
        self.networks["local"]["contracts"][contract]["address"].as_str().unwrap()
    }

    /// Changes config.json by hand.
    fn edit(&self, change: impl FnOnce(&mut Value)) {
        let path = self.person.file("config.json");
        let mut config = read(&path);
        change(&mut config["networks"]["local"]);
        std::fs::write(&path, config.to_string()).unwrap();
    }

    fn set_code(&self, contract: &str, code: &str) {
        rpc(&self.node, "anvil_setCode", json!([self.address(contract), code]));
        rpc(&self.node, "evm_mine", json!([]));
    }
}

#[test]
fn what_init_takes_from_the_file_passes_the_check() {
    let world = Deployed::new();
    let config = read(&world.person.file("config.json"));
    let entry = &config["networks"]["local"];
    assert_eq!((&entry["chainId"], &entry["claimWindow"]), (&json!(31_337), &json!(600)));
    assert_eq!(entry["registryOrigin"], "http://registry.example/");
    let report = world.person.types(&["network", "check", "--json"]).with(0, &[]).json();
    for (field, contract) in [("nameRegistry", "NameRegistry"), ("packageRegistry", "PackageRegistry")] {
        let written = &world.networks["local"]["contracts"][contract];
        assert_eq!((&report[field], &entry[field]), (&written["address"], &written["address"]));
        assert_eq!(report[format!("{field}CodeHash")], written["codeHash"]);
        assert_eq!(entry[format!("{field}CodeHash")], written["codeHash"]);
    }
    for (field, contract) in [("safetyRegistry", "SafetyRegistry"), ("signerFactory", "SignerFactory")] {
        let written = &world.networks["local"]["contracts"][contract];
        assert_eq!((&report[field], &entry[field]), (written, written), "{field}");
    }
    assert_eq!(report["pinned"], true);

    let file = world.person.file("networks.json");
    let file = file.to_str().unwrap();
    let other = ["init", "--network", "base", "--networks-file", file, "--rpc-url", "http://127.0.0.1:1/"];
    world.person.types(&other).with(2, &["does not name network \"base\""]);
}

#[test]
fn addresses_follow_from_the_arguments_in_the_file_or_it_is_not_taken() {
    let world = Deployed::new();
    let path = world.person.file("networks.json");
    let file = path.to_str().unwrap();
    let check = ["network", "check", "--networks-file", file];
    world.person.types(&check).with(0, &["no claim by npm's own signature"]);
    let written = world.networks["local"]["madeWith"].clone();
    assert_eq!(written["npmKeys"], json!([]));
    let lies: [fn(&mut Value); 3] = [
        |local| local["madeWith"]["registrar"] = json!(format!("0x{}", "22".repeat(20))),
        |local| local["contracts"]["NameRegistry"]["address"] = json!(format!("0x{}", "33".repeat(20))),
        |local| local["registryOrigin"] = json!("http://other.example/"),
    ];
    for lie in lies {
        let mut networks = world.networks.clone();
        lie(&mut networks["local"]);
        std::fs::write(&path, networks.to_string()).unwrap();
        let words = &["is not what its arguments make of this build's code"];
        world.person.types(&check).with(50, words);
        world.person.types(&["init", "--network", "local", "--networks-file", file]).with(50, words);
    }
}

#[test]
fn each_thing_that_the_file_says_is_compared_alone() {
    let world = Deployed::new();
    let path = world.person.file("networks.json");
    let check = ["network", "check", "--networks-file", path.to_str().unwrap()];
    let right = world.networks["local"].clone();
    let refused = |made_with: bool, code: i32, words: &[&str], change: &dyn Fn(&mut Value)| {
        let mut local = right.clone();
        if !made_with {
            local.as_object_mut().unwrap().remove("madeWith");
        }
        change(&mut local);
        std::fs::write(&path, json!({ "local": local }).to_string()).unwrap();
        world.person.types(&check).with(code, words);
    };
    let (address, word) = (json!(format!("0x{}", "33".repeat(20))), json!(format!("0x{}", "11".repeat(32))));
    let another = |field: &str| format!("the networks file's {field} is another than this network's");
    for made_with in [true, false] {
        refused(made_with, 0, &[], &|_| {});
        refused(made_with, 50, &[&another("chainId"), "8453"], &|local| local["chainId"] = json!(8453));
        // Of these the addresses follow.
        let words = |field: &str| if made_with { "the networks file's".to_owned() } else { another(field) };
        let of = [("claimWindow", json!(601)), ("registryOrigin", json!("http://other.example/"))];
        for (field, other) in &of {
            refused(made_with, 50, &[&words(field)], &|local| local[field] = other.clone());
        }
        for contract in ["NameRegistry", "PackageRegistry", "SafetyRegistry", "SignerFactory"] {
            refused(made_with, 50, &["the networks file's", contract], &|local| {
                local["contracts"][contract]["address"] = address.clone();
            });
            refused(made_with, 50, &[&words(&format!("{contract} codeHash"))], &|local| {
                local["contracts"][contract]["codeHash"] = word.clone();
            });
            refused(made_with, 2, &["says nothing of", contract], &|local| {
                local["contracts"].as_object_mut().unwrap().remove(contract);
            });
        }
    }
    refused(true, 50, &["is not what its arguments make"], &|local| {
        local["madeWith"]["registrar"] = address.clone();
    });
    refused(true, 50, &["is not what its arguments make"], &|local| {
        local["madeWith"]["npmKeys"] = json!([{ "x": word, "y": word, "validFrom": 0, "validTo": 1 }]);
    });
    // A contract that the file names and the chain does not have.
    world.set_code("SafetyRegistry", "0x");
    world.edit(|entry| {
        entry.as_object_mut().unwrap().remove("safetyRegistry");
    });
    refused(false, 50, &["the networks file's SafetyRegistry is not on this chain"], &|_| {});
}

#[test]
fn a_package_registry_of_the_same_code_that_somebody_else_made_is_named() {
    let world = Deployed::new();
    let artefact: Value =
        serde_json::from_str(include_str!("../../../../contracts/artifacts/PackageRegistry.json")).unwrap();
    let names = world.address("NameRegistry").trim_start_matches("0x");
    let code = format!("{}{names:0>64}", artefact["bytecode"].as_str().unwrap());
    let hash = rpc(&world.node, "eth_sendTransaction", json!([{ "from": PAYER, "data": code }]));
    let receipt = || rpc(&world.node, "eth_getTransactionReceipt", json!([hash]));
    wait_until("it is mined", || receipt()["contractAddress"].is_string());
    let other = receipt()["contractAddress"].clone();
    let code_of = |address: &Value| rpc(&world.node, "eth_getCode", json!([address, "latest"]));
    assert_eq!(
        code_of(&other),
        code_of(&json!(world.address("PackageRegistry"))),
        "no hash tells them apart"
    );

    world.edit(|entry| entry["packageRegistry"] = other);
    let refused = world.person.types(&["network", "check"]);
    let refused = refused.with(50, &["PackageRegistry is not the one that NameRegistry made"]);
    assert!(refused.stderr.to_lowercase().contains(world.address("PackageRegistry")), "{refused:?}");
    let status = ["status", "left-pad"];
    world.person.types(&status).with(50, &["has a PackageRegistry that its NameRegistry did not make"]);
}

#[test]
fn other_code_at_a_pinned_address_is_named_and_no_command_reads_there() {
    let world = Deployed::new();
    let check = ["network", "check"];
    let status = ["status", "left-pad"];
    world.person.types(&status).with(1, READ);
    for contract in ["NameRegistry", "PackageRegistry"] {
        let code = rpc(&world.node, "eth_getCode", json!([world.address(contract), "latest"]));
        let code = code.as_str().unwrap();
        // One byte of the code differs, somewhere in the middle.
        let (head, tail) = code.split_at(code.len() / 2);
        let digit = if tail.starts_with('0') { "1" } else { "0" };
        world.set_code(contract, &format!("{head}{digit}{}", &tail[1..]));
        for reads in ["calls", "proofs"] {
            world.person.types(&["init", "--reads", reads]).with(0, &[]);
            let ended = world.person.types(&check);
            assert!(ended.code != 0, "{contract}: {ended:?}");
            world.person.types(&status).with(1, &["error: ", "code of"]);
        }
        world.set_code(contract, code);
        world.person.types(&check).with(0, &[]);
    }
    world.set_code("PackageRegistry", "0x");
    world.person.types(&check).with(1, &[]);
}

#[test]
fn metadata_at_the_end_of_the_code_counts_too_and_the_contract_is_named() {
    let world = Deployed::new();
    for contract in ["NameRegistry", "PackageRegistry"] {
        let code = rpc(&world.node, "eth_getCode", json!([world.address(contract), "latest"]));
        let code = code.as_str().unwrap();
        // The contract works as before; it is another one all the same.
        world.set_code(contract, &format!("{code}00"));
        let expected = world.networks["local"]["contracts"][contract]["codeHash"].as_str().unwrap();
        let sentence = format!("the code of {contract} is not the one this build expects");
        world.person.types(&["network", "check"]).with(50, &[&sentence, expected]);
        world.set_code(contract, code);
    }
}

#[test]
fn the_contracts_that_know_no_other_are_compared_where_they_are_named_and_where_they_always_are() {
    let world = Deployed::new();
    for (field, contract) in [("safetyRegistry", "SafetyRegistry"), ("signerFactory", "SignerFactory")] {
        let right = read(&world.person.file("config.json"))["networks"]["local"][field].clone();
        let code = rpc(&world.node, "eth_getCode", json!([world.address(contract), "latest"]));
        let code = code.as_str().unwrap();
        let check = |code: i32, says: &[&str]| world.person.types(&["network", "check"]).with(code, says);
        let sentence = format!("the code of {contract} at ");
        world.set_code(contract, &format!("{code}00"));
        check(50, &[&sentence, right["codeHash"].as_str().unwrap()]);
        world.set_code(contract, "0x");
        check(50, &[&sentence]);
        world.edit(|entry| {
            entry.as_object_mut().unwrap().remove(field);
        });
        check(0, &["not deployed here"]);
        world.set_code(contract, &format!("{code}00"));
        check(50, &[&sentence]);
        world.set_code(contract, code);
        check(0, &[right["codeHash"].as_str().unwrap()]);
        let mut other = right.clone();
        other["codeHash"] = json!(format!("0x{}", "11".repeat(32)));
        world.edit(|entry| entry[field] = other);
        check(50, &[&format!("{contract} that config.json pins")]);
        world.edit(|entry| entry[field] = json!("0x1111111111111111111111111111111111111111"));
        check(2, &["config.json"]);
        world.edit(|entry| entry[field] = right);
        check(0, &[]);
    }
}

#[test]
fn a_pin_that_is_not_this_builds_is_refused_before_anything_is_read() {
    let world = Deployed::new();
    let other = format!("0x{}", "11".repeat(32));
    for (field, contract) in
        [("nameRegistryCodeHash", "NameRegistry"), ("packageRegistryCodeHash", "PackageRegistry")]
    {
        let right = read(&world.person.file("config.json"))["networks"]["local"][field].clone();
        world.edit(|entry| entry[field] = json!(other));
        let sentence = format!("pins code of {contract} that this build does not know");
        world.person.types(&["status", "left-pad"]).with(50, &[&sentence]);
        world.person.types(&["network", "check"]).with(50, &[contract, &other]);
        world.edit(|entry| entry[field] = right);
    }
    world.edit(|entry| entry["claimWindow"] = json!(601));
    world.person.types(&["status", "left-pad"]).with(50, &[]);
    world.person.types(&["network", "check"]).with(50, &["another claim window"]);
    world.edit(|entry| {
        entry.as_object_mut().unwrap().remove("claimWindow");
    });
    world.person.types(&["status", "left-pad"]).with(2, &["code hashes and no claimWindow"]);
}

#[test]
fn addresses_that_do_not_belong_together_are_named() {
    let world = Deployed::new();
    let unpinned = |entry: &mut Value| {
        let entry = entry.as_object_mut().unwrap();
        for field in ["claimWindow", "nameRegistryCodeHash", "packageRegistryCodeHash"] {
            entry.remove(field);
        }
    };
    // A second deployment with its own NameRegistry, and the first one's PackageRegistry.
    let rpc_url = world.node.url.as_str();
    let mut second = deploy(rpc_url, &["--yes", "--json"]);
    second[10] = "700";
    let second = world.person.types(&second).with(0, &[]).json();
    world.edit(|entry| {
        unpinned(entry);
        entry["nameRegistry"] = second["contracts"][0]["address"].clone();
    });
    world.person.types(&["network", "check"]).with(50, &["PackageRegistry"]);

    world.edit(|entry| {
        entry["packageRegistry"] = second["contracts"][1]["address"].clone();
        entry["registryOrigin"] = json!("http://other.example/");
    });
    world.person.types(&["network", "check"]).with(50, &["serves another npm registry"]);
    world.edit(|entry| entry["registryOrigin"] = json!("http://registry.example/"));
    let fine = world.person.types(&["network", "check"]);
    fine.with(0, &["--claim-window 700 pins this code"]);
}

#[test]
fn reads_by_proof_need_a_pin_and_believe_no_word_of_the_endpoint() {
    let world = Deployed::new();
    world.person.types(&["init", "--reads", "proofs"]).with(0, &["by proof"]);
    world.person.types(&["status", "left-pad"]).with(1, READ);

    let lying =
        proxy::start(world.node.url.as_str(), |request: &proxy::Request, upstream: &proxy::Upstream| {
            let mut answer = upstream.ask(request)?;
            if String::from_utf8_lossy(&request.body).contains("\"eth_getProof\"") {
                answer.edit_json(|answer| {
                    if let Some(word) = answer.pointer_mut("/result/storageProof/0/value") {
                        *word = json!("0x1");
                    }
                });
            }
            Some(answer)
        });
    world.person.types(&["init", "--rpc-url", &lying]).with(0, &[]);
    world.person.types(&["status", "left-pad"]).with(1, &["proves nothing about packages"]);
    // The same endpoint tells the truth where nobody asks for proofs.
    world.person.types(&["init", "--reads", "calls"]).with(0, &["by call"]);
    world.person.types(&["status", "left-pad"]).with(1, READ);

    world.person.types(&["init", "--reads", "guesses"]).with(2, &["calls or proofs"]);
    world.edit(|entry| {
        *entry = json!({ "chainId": 31_337, "rpcUrls": entry["rpcUrls"], "reads": "proofs",
            "nameRegistry": entry["nameRegistry"], "packageRegistry": entry["packageRegistry"] });
    });
    world.person.types(&["status", "left-pad"]).with(2, &["reads by proof and no claimWindow"]);
}
