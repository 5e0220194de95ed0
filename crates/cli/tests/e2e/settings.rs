//! A team's delays, recovery days and guardian: proposed, shown to whoever signs, in force afterwards.

use serde_json::json;

use crate::harness::raw;
use crate::harness::story::id_of;
use crate::harness::world::World;

/// As 3pm shows an address.
fn checksummed(address: &str) -> String {
    address.parse::<alloy_primitives::Address>().expect("an address").to_string()
}

#[test]
fn a_team_sets_its_delays_recovery_and_guardian() {
    let world = World::shared();
    let package = world.protected("settings");
    let (alice, bob) = (package.at(world.person("alice")), world.person("bob"));
    let guardian = checksummed(&world.person("mallory").address);
    let set = ["team", "set", "settings"];
    let changed =
        ["--release-delay", "24", "--config-delay", "48", "--recovery-days", "90", "--guardian", &guardian];
    let proposed =
        alice.threepm([&set[..], &changed, &["--no-submit", "--yes", "--json"]].concat()).succeeded();
    assert_eq!(
        proposed.json()["differences"],
        json!([
            { "what": "release delay", "now": "0 h", "then": "24 h" },
            { "what": "team change delay", "now": "0 h", "then": "48 h" },
            { "what": "recovery after", "now": "180 days", "then": "90 days" },
            { "what": "guardian", "now": "none", "then": guardian },
        ])
    );
    let id = id_of(&proposed);
    // Whoever looks, and whoever signs, sees each before and after.
    let both = ["release delay", "now   0 h", "then  24 h", "now   180 days", "then  90 days", "now   none"];
    for line in [&["team", "status", "settings"][..], &["status", "settings"], &["approve", &id, "--dry-run"]]
    {
        bob.threepm(line).succeeded().says(&both).says(&["then  48 h", &format!("then  {guardian}")]);
    }
    bob.threepm(["approve", &id, "--submit", "--yes"]).succeeded().says(&both).says(&["is in force"]);
    bob.threepm(["team", "status", "settings"]).succeeded().says(&[
        "releases     wait 24 h",
        "changes      wait 48 h",
        "recovery     after 90 days of silence",
        &format!("guardian     {guardian}"),
    ]);
    // Nothing of it twice, and nothing that cannot be.
    let refused = |more: &[&str], code, says: &[&str]| {
        alice.threepm([&set[..], more, &["--yes"]].concat()).ended_with(code).refused().says(says);
    };
    refused(&changed, 4, &["settings is set up like that already"]);
    refused(&["--guardian", &bob.address], 4, &["would be a member of settings and its guardian", "next:"]);
    refused(&["--release-delay", "169"], 2, &["169", "0..=168"]);
    refused(&["--config-delay", "721"], 2, &["721", "0..=720"]);
    refused(&["--recovery-days", "29"], 2, &["29", "30..=365"]);
    refused(&[], 2, &["--release-delay", "--guardian"]);
    let add = ["team", "add", "settings", &guardian, "--yes"];
    alice.threepm(add).ended_with(4).refused().says(&["and its guardian"]);
}

#[test]
fn the_limits_are_those_of_the_contract() {
    let world = World::shared();
    let package = world.claimed("settings-limits");
    let alice = package.at(world.person("alice"));
    let longest = ["--release-delay", "168", "--config-delay", "720", "--recovery-days", "365", "--yes"];
    let line = [&["team", "set", "settings-limits"][..], &longest].concat();
    alice.threepm(line).succeeded().says(&["is in force"]);
    // What now waits is the delay in force, also when it is the delay that changes.
    let line = ["team", "set", "settings-limits", "--config-delay", "0", "--recovery-days", "30", "--yes"];
    alice.threepm(line).succeeded().says(&["team changes wait less than releases", "and waits"]);
    // A client without these limits is told so before anybody else signs.
    let path = "v1/changes?package=settings-limits&state=all";
    let answer = raw::send(world.coordinator(), "GET", path, None);
    let list: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    let signed = list["changes"].as_array().expect("changes").iter();
    let signed = signed.max_by_key(|change| change["config"]["epoch"].as_u64()).expect("two changes");
    for (field, value) in [("releaseDelayHours", 169), ("configDelayHours", 721), ("recoveryDays", 29)] {
        let mut config = signed["config"].clone();
        config[field] = json!(value);
        let body = json!({
            "config": config, "signer": alice.address, "signature": signed["signatures"][0]["signature"],
        });
        let answer = raw::send(world.coordinator(), "POST", "v1/changes", Some(&body));
        raw::refused(&answer, 422, "bad-config");
    }
}

#[test]
fn a_team_is_registered_with_its_settings() {
    let world = World::shared();
    let (bob, mallory) = (world.person("bob"), world.person("mallory"));
    let package = world.claimed_with(
        "settings-at-once",
        &[
            "--member",
            &bob.address,
            "--threshold",
            "2",
            "--release-delay",
            "1",
            "--config-delay",
            "24",
            "--recovery-days",
            "30",
            "--guardian",
            &mallory.address,
        ],
    );
    let pending = bob.threepm(["pending", &package.name, "--json"]).succeeded().json();
    let id = pending["changes"][0]["id"].as_str().expect("the team waits for bob").to_owned();
    bob.threepm(["approve", &id, "--submit", "--yes"]).succeeded().says(&["is in force"]);
    bob.threepm(["team", "status", &package.name]).succeeded().says(&[
        "2 of 2 members",
        "releases     wait 1 h",
        "changes      wait 24 h",
        "recovery     after 30 days of silence",
        &format!("guardian     {}", checksummed(&mallory.address)),
    ]);
}
