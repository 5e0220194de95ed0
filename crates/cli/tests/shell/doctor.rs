//! The doctor names what is wrong, says what to type, ends in time and with the right code.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::desk::{Desk, Ended};
use crate::harness::world::World;

/// The level of a line, by its name's beginning.
#[track_caller]
fn level<'a>(document: &'a Value, name: &str) -> &'a str {
    line(document, name)["level"].as_str().unwrap()
}

#[track_caller]
fn line<'a>(document: &'a Value, name: &str) -> &'a Value {
    let findings = document["findings"].as_array().expect("findings");
    let found = findings.iter().find(|finding| finding["name"].as_str().unwrap().starts_with(name));
    found.unwrap_or_else(|| panic!("{name} in {document:#}"))
}

fn examine(desk: &Desk) -> Ended {
    let ended = desk.types("3pm", &["doctor", "--json"]);
    assert!(matches!(ended.code, Some(0 | 1)), "{ended:?}");
    ended
}

fn configure(desk: &Desk, rpc_urls: &[&str], coordinator: Option<&str>, world: Option<&World>) {
    let address = |pointer: &str| {
        world.map_or("0x00000000000000000000000000000000000000aa", |world| world.text(pointer)).to_owned()
    };
    let entry = json!({
        "chainId": 31337, "rpcUrls": rpc_urls, "coordinatorUrl": coordinator,
        "nameRegistry": address("/chain/nameRegistry"), "packageRegistry": address("/chain/packageRegistry"),
    });
    desk.write(".3pm/config.json", &json!({"network": "local", "networks": {"local": entry}}).to_string());
}

#[test]
fn in_a_whole_world_everything_answers() {
    let world = World::shared();
    let home = std::fs::metadata(world.person("alice").home()).unwrap();
    assert_eq!(home.permissions().mode() & 0o777, 0o700, "the doctor would warn of what the world made");
    let desk = Desk::new();
    desk.write(".npmrc", &format!("registry={}\n", world.registry()));
    configure(&desk, &[world.rpc(), world.rpc()], Some(world.coordinator()), Some(world));
    desk.types("3pm", &["init", "--hook"]).with(0, &[]);
    let document = examine(&desk).json();
    for name in ["rpc ", "chain", "coordinator", "registry", "bash", "clock", "3pm"] {
        assert_eq!(level(&document, name), "ok", "{name}: {document:#}");
    }
    // One of three endpoints is gone: the others agree, and the line names it.
    let twin = world.rpc().replace("127.0.0.1", "localhost");
    configure(&desk, &[world.rpc(), &twin, "http://127.0.0.1:1"], Some("http://127.0.0.1:1"), Some(world));
    let ended = examine(&desk).with(1, &[]);
    let document = ended.json();
    assert_eq!(level(&document, "chain"), "ok", "{document:#}");
    assert_eq!(level(&document, "rpc http://127.0.0.1:1"), "fail", "{document:#}");
    assert_eq!(level(&document, "coordinator"), "fail", "{document:#}");
    assert!(
        line(&document, "coordinator")["fix"].as_str().unwrap().contains("--coordinator"),
        "{document:#}"
    );
    // Another chain than was configured.
    let other = json!({"network": "x", "networks": {"x": {"chainId": 5, "rpcUrls": [world.rpc()],
        "nameRegistry": world.text("/chain/nameRegistry"), "packageRegistry": world.text("/chain/packageRegistry")}}});
    desk.write(".3pm/config.json", &other.to_string());
    let document = examine(&desk).with(1, &[]).json();
    assert_eq!(level(&document, "chain"), "fail", "{document:#}");
}

#[test]
fn an_endpoint_that_never_answers_costs_its_limit_and_no_more() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let desk = Desk::new();
    desk.write(".npmrc", &format!("registry={url}/\n"));
    configure(&desk, &[&url, &url, &url], Some(&url), None);
    let started = Instant::now();
    let document = examine(&desk).with(1, &[]).json();
    // Everything at once, none longer than 5 s; the rest is for a busy machine.
    assert!(started.elapsed() < Duration::from_secs(12), "{:?}", started.elapsed());
    for name in ["rpc ", "chain", "coordinator", "registry"] {
        assert_eq!(level(&document, name), "fail", "{name}: {document:#}");
    }
}

#[test]
fn without_a_network_or_a_hook_it_says_what_to_type() {
    let desk = Desk::new();
    desk.write(".npmrc", "registry=http://127.0.0.1:1/\nstrict-ssl=false\n");
    let document = examine(&desk).json();
    assert_eq!(level(&document, "network"), "warn", "{document:#}");
    assert!(line(&document, "network")["fix"].as_str().unwrap().contains("3pm init"));
    assert_eq!(line(&document, "npm install")["fix"], "3pm init --hook, or in CI: 3pm shims install");
    assert_eq!(level(&document, "npm strict-ssl"), "warn", "{document:#}");
    assert!(line(&document, "npm strict-ssl")["fix"].as_str().unwrap().starts_with("npm config ls"));
    assert_eq!(level(&document, "npm"), "ok", "{document:#}");
    let page = desk.types("3pm", &["doctor"]);
    assert!(page.stdout.contains("warn  network") && page.stdout.contains("next: 3pm init"), "{page:?}");
}

#[test]
fn a_folder_that_others_may_change_and_a_broken_configuration_fail() {
    let desk = Desk::new();
    desk.write(".3pm/config.json", "{");
    std::fs::set_permissions(desk.at(".3pm"), std::fs::Permissions::from_mode(0o777)).unwrap();
    let document = examine(&desk).with(1, &[]).json();
    assert_eq!(level(&document, "config.json"), "fail", "{document:#}");
    assert_eq!(level(&document, "3pm's folder"), "fail", "{document:#}");
    assert!(line(&document, "3pm's folder")["fix"].as_str().unwrap().starts_with("chmod go-rwx"));
}

#[test]
fn a_shim_that_comes_too_late_fails_and_one_in_front_does_not() {
    let desk = Desk::new();
    desk.types("3pm", &["shims", "install"]).with(0, &[]);
    let document = examine(&desk).json();
    assert_eq!(level(&document, "shims"), "warn", "{document:#}");
    let shims = desk.at(".3pm/shims");
    let desk = desk.first_on_path(shims);
    let document = examine(&desk).json();
    assert_eq!(level(&document, "shims"), "ok", "{document:#}");
    desk.program("nearer/npm", "echo nearer");
    let nearer = desk.at("nearer");
    let desk = desk.first_on_path(nearer);
    let document = examine(&desk).with(1, &[]).json();
    let late = document["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|finding| finding["area"] == "hooked" && finding["name"] == "npm");
    assert_eq!(late.unwrap()["level"], "fail", "{document:#}");
}
