//! What `config` makes of files, variables and flags.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

const ENTRY: &str = r#"{"network": "local", "networks": {"local": {
    "chainId": 31337, "rpcUrls": ["http://127.0.0.1:8545"],
    "nameRegistry": "0x0000000000000000000000000000000000000001",
    "packageRegistry": "0x0000000000000000000000000000000000000002",
    "coordinatorUrl": "http://127.0.0.1:7437", "confirmations": 3}}}"#;

fn load(text: &str, variables: &[(&str, &str)], chosen: Option<&str>) -> Result<Config, ConfigError> {
    let home = tempfile::tempdir().unwrap();
    if !text.is_empty() {
        std::fs::write(home.path().join(FILE), text).unwrap();
    }
    let variables: HashMap<_, _> =
        variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Config::load(home.path(), &|name| variables.get(name).cloned(), chosen)
}

#[test]
fn nothing_configured_is_no_network_and_no_error() {
    let config = load("", &[], None).unwrap();
    assert_eq!(config.network, None);
    assert_eq!(config.file, ConfigFile::default());
    assert_eq!(load("", &[("THREEPM_RPC_URL", " "), ("THREEPM_NETWORK", "")], None).unwrap().network, None);
}

#[test]
fn the_file_describes_a_network_and_variables_and_flags_stand_above_it() {
    let network = load(ENTRY, &[], None).unwrap().network.unwrap();
    assert_eq!((network.chain_id, network.confirmations), (31_337, 3));
    assert_eq!(network.rpc_urls.len(), 1);

    let over = [
        ("THREEPM_RPC_URL", "http://127.0.0.1:1, http://127.0.0.1:2/x"),
        ("THREEPM_NAME_REGISTRY", "0x0000000000000000000000000000000000000009"),
        ("THREEPM_COORDINATOR_URL", "http://127.0.0.1:3"),
        ("THREEPM_CONFIRMATIONS", "12"),
    ];
    let network = load(ENTRY, &over, None).unwrap().network.unwrap();
    assert_eq!(
        network.rpc_urls.iter().map(Url::as_str).collect::<Vec<_>>(),
        ["http://127.0.0.1:1/", "http://127.0.0.1:2/x"]
    );
    assert_eq!(network.name_registry, Address::with_last_byte(9));
    assert_eq!(network.package_registry, Address::with_last_byte(2));
    assert_eq!(network.coordinator_url.unwrap().as_str(), "http://127.0.0.1:3/");
    assert_eq!(network.confirmations, 12);

    let twice = [("THREEPM_RPC_URL", "http://127.0.0.1:1,http://127.0.0.1:2,http://127.0.0.1:1/")];
    assert_eq!(
        load(ENTRY, &twice, None).unwrap().network.unwrap().rpc_urls.len(),
        2,
        "one endpoint, one vote"
    );

    assert!(matches!(
        load(ENTRY, &[("THREEPM_NETWORK", "base")], None),
        Err(ConfigError::Incomplete { name, .. }) if name == "base"
    ));
    assert!(load(ENTRY, &[("THREEPM_NETWORK", "base")], Some("local")).unwrap().network.is_some());
}

#[test]
fn variables_alone_describe_a_network() {
    let variables = [
        ("THREEPM_CHAIN_ID", "84532"),
        ("THREEPM_RPC_URL", "http://127.0.0.1:1"),
        ("THREEPM_NAME_REGISTRY", "0x0000000000000000000000000000000000000001"),
        ("THREEPM_PACKAGE_REGISTRY", "0x0000000000000000000000000000000000000002"),
    ];
    assert_eq!(load("", &variables, None).unwrap().network.unwrap().name, "base-sepolia");
    let variables: Vec<_> =
        variables.into_iter().map(|(k, v)| (k, if v == "84532" { "77" } else { v })).collect();
    assert_eq!(load("", &variables, None).unwrap().network.unwrap().name, "environment");
}

#[test]
fn what_is_wrong_is_named() {
    let check = |text: &str, variables: &[(&str, &str)], chosen: Option<&str>, expected: &str| {
        let error = load(text, variables, chosen).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} should say {expected:?}");
    };
    check("", &[], Some("mainnet"), "3pm knows no such name; known are local, base-sepolia, base");
    check("", &[], Some("base"), "network \"base\" has no RPC URL, name registry, package registry");
    check("{\"netwerk\": 1}", &[], None, "is not a configuration of 3pm");
    check("{", &[], None, "is not a configuration of 3pm");
    check(ENTRY, &[("THREEPM_CHAIN_ID", "1")], None, "network \"local\" has chain id 1, expected 31337");
    check(ENTRY, &[("THREEPM_CHAIN_ID", "one")], None, "THREEPM_CHAIN_ID is not a chain id");
    check(ENTRY, &[("THREEPM_RPC_URL", "127.0.0.1:8545")], None, "THREEPM_RPC_URL is not a list of http");
    check(ENTRY, &[("THREEPM_NAME_REGISTRY", "0x1")], None, "THREEPM_NAME_REGISTRY is not an address");
    let zero = ENTRY.replace("0000002\"", "0000000\"");
    check(&zero, &[], None, "has no package registry");
}

#[test]
fn a_variable_that_cannot_be_read_is_not_repeated() {
    let error = load("", &[("THREEPM_RPC_URL", "key-that-is-secret")], None).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"));
}

#[test]
fn the_file_is_written_whole_and_for_its_owner_only() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("new").join(FILE);
    let file: ConfigFile = serde_json::from_str(ENTRY).unwrap();
    file.store(&path).unwrap();
    assert_eq!(read(&path).unwrap(), file);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn what_depends_on_pinned_code_is_refused_without_the_pin() {
    let pinned = ENTRY.replace("\"confirmations\": 3", "\"reads\": \"proofs\", \"claimWindow\": 600");
    let network = load(&pinned, &[], None).unwrap().network.unwrap();
    assert_eq!((network.reads, network.pin.unwrap().claim_window), (Reads::Proofs, 600));
    let plain = load(ENTRY, &[], None).unwrap().network.unwrap();
    assert_eq!((plain.reads, plain.pin), (Reads::Calls, None));

    let variables = [("THREEPM_READS", "proofs"), ("THREEPM_CLAIM_WINDOW", "0")];
    let network = load(ENTRY, &variables, None).unwrap().network.unwrap();
    assert_eq!((network.reads, network.pin.unwrap().claim_window), (Reads::Proofs, 0));
    let over = load(&pinned, &[("THREEPM_READS", "calls")], None).unwrap().network.unwrap();
    assert_eq!(over.reads, Reads::Calls);

    assert!(matches!(load(ENTRY, &variables[..1], None), Err(ConfigError::Unpinned { .. })));
    let word = format!("0x{}", "11".repeat(32));
    let hash = ENTRY.replace("\"confirmations\": 3", &format!("\"packageRegistryCodeHash\": \"{word}\""));
    assert!(matches!(load(&hash, &[], None), Err(ConfigError::Unpinned { .. })));
    let wrong = [("THREEPM_READS", "hearsay")];
    assert!(matches!(
        load(ENTRY, &wrong, None),
        Err(ConfigError::Variable { variable: "THREEPM_READS", .. })
    ));
    let wrong = ENTRY.replace("\"confirmations\": 3", "\"reads\": \"hearsay\"");
    assert!(matches!(load(&wrong, &[], None), Err(ConfigError::Malformed { .. })));
}
