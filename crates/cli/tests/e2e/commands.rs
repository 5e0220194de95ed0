//! The small commands around the story: a wallet comes and goes, a threshold changes, a shell completes.

use serde_json::Value;

use crate::harness::proxy;
use crate::harness::raw;
use crate::harness::story::id_of;
use crate::harness::world::World;

#[test]
fn a_wallet_is_connected_asked_and_forgotten() {
    let world = World::shared();
    // The user has none, and a home that no other test writes to.
    let home = world.new_folder("wallet-home");
    let config = std::fs::read(world.folder().join("people/user/config.json")).expect("a configuration");
    std::fs::write(home.join("config.json"), config).expect("written");
    let user = world.person("user").with("THREEPM_HOME", home.display().to_string());
    let status = |code| -> Value { user.threepm(["wallet", "status", "--json"]).ended_with(code).json() };
    user.threepm(["wallet", "status"]).says(&["no wallet is connected", "next: 3pm wallet connect"]);
    user.threepm(["wallet", "connect", "--rpc", "http://127.0.0.1:9/"])
        .refused()
        .ended_with(1)
        .says(&["the signer at http://127.0.0.1:9/ cannot be connected", "next: check that it runs"]);
    let stranger = format!("0x{}", "77".repeat(20));
    let connect = ["wallet", "connect", "--rpc", world.rpc(), "--address", &stranger];
    user.threepm(connect).refused().says(&[&stranger]);
    let mallory = world.person("mallory").address;
    let connect = ["wallet", "connect", "--rpc", world.rpc(), "--address", &mallory];
    user.threepm(connect).succeeded().says(&["the wallet is connected and answers"]);
    let connected = status(0);
    assert_eq!(connected["connected"], true, "{connected}");
    assert_eq!(connected["answers"], true, "{connected}");
    assert_eq!(connected["chainId"], 31_337, "{connected}");
    user.threepm(["wallet", "disconnect"]).succeeded().says(&["the wallet is forgotten"]);
    user.threepm(["wallet", "disconnect"]).succeeded().says(&["no wallet was connected"]);
    assert_eq!(status(0)["connected"], false);
    // Who has no wallet signs nothing.
    let claim = ["register", "somebodys-package", "--yes", "--no-wait"];
    user.threepm(claim).refused().says(&["no wallet is connected"]);
}

#[test]
fn a_signers_url_with_a_secret_comes_on_standard_input_only() {
    let world = World::shared();
    let home = world.new_folder("secret-wallet-home");
    let config = std::fs::read(world.folder().join("people/user/config.json")).expect("a configuration");
    std::fs::write(home.join("config.json"), config).expect("written");
    let user = world.person("user").with("THREEPM_HOME", home.display().to_string());
    let address = world.person("mallory").address;
    let host = world.rpc().trim_start_matches("http://");
    for url in [
        format!("http://carla:hunter2@{host}"),
        format!("http://:hunter2@{host}"),
        format!("http://hunter2@{host}"),
        format!("http://{host}?key=hunter2"),
    ] {
        let ended = user.threepm(["wallet", "connect", "--rpc", &url, "--address", &address]).refused();
        let ended = ended.ended_with(2).says(&["visible to every user", "next: 3pm wallet connect --rpc -"]);
        assert!(!ended.stdout.contains("hunter2") && !ended.stderr.contains("hunter2"), "{ended}");
        assert_eq!(user.threepm(["wallet", "status", "--json"]).succeeded().json()["connected"], false);
        // The same on standard input is connected, kept for its owner alone, and never shown.
        let connect = ["wallet", "connect", "--rpc", "-", "--address", &address];
        let ended = user.threepm_with_input(connect, &format!("{url}\n")).succeeded();
        let ended = ended.says(&["the wallet is connected and answers"]);
        assert!(!ended.stdout.contains("hunter2") && !ended.stderr.contains("hunter2"), "{ended}");
        let kept = std::fs::read_to_string(home.join("sessions/wallet.json")).expect("a session");
        assert!(kept.contains("hunter2"), "{kept}");
        user.threepm(["wallet", "disconnect"]).succeeded();
    }
    let nonsense = user.threepm_with_input(["wallet", "connect", "--rpc", "-"], "hunter2 no URL\n");
    let nonsense = nonsense.refused().ended_with(2).says(&["is no URL"]);
    assert!(!nonsense.stderr.contains("hunter2"), "{nonsense}");
}

#[test]
fn a_threshold_is_changed_by_as_many_as_it_asks_for() {
    let world = World::shared();
    let package = world.protected("threshold");
    let (alice, bob) = (package.at(world.person("alice")), world.person("bob"));
    let name = package.name.as_str();
    for (threshold, says) in [("4", "1 to 3"), ("0", "1 to 3"), ("2", "already")] {
        alice.threepm(["team", "threshold", name, threshold, "--yes"]).refused().says(&[says]);
    }
    let id = id_of(&alice.threepm(["team", "threshold", name, "3", "--yes", "--json"]).succeeded());
    bob.threepm(["team", "status", name]).succeeded().says(&["2 of 3 members", "a change waits"]);
    // Three of the new team must sign as well.
    bob.threepm(["approve", &id, "--yes", "--no-submit"]).succeeded();
    world.person("carol").threepm(["approve", &id, "--yes", "--submit"]).succeeded();
    bob.threepm(["team", "status", name]).succeeded().says(&["3 of 3 members"]);
}

#[test]
fn a_command_line_that_cannot_be_used_is_json_where_json_was_asked_for() {
    let world = World::shared();
    let user = world.person("user");
    let rows: [(&[&str], &str); 7] = [
        (&["--json"], "no command was given"),
        (&["status", "--json"], "the following required arguments were not provided"),
        (&["--json", "status", "left-pad@latest"], "SemVer"),
        (&["team", "set", "left-pad", "--release-delay", "169", "--json"], "169 is not in 0..=168"),
        (&["register", "left-pad", "--frobnicate", "--json"], "unexpected argument '--frobnicate'"),
        (&["pubish", "--json"], "unrecognized subcommand 'pubish'"),
        (&["team", "--json"], "no command was given"),
    ];
    for (line, says) in rows {
        let ended = user.threepm(line).ended_with(2).refused();
        let error = &ended.json()["error"];
        assert!(error["message"].as_str().is_some_and(|message| message.contains(says)), "{ended}");
        assert_eq!(error["exitCode"], 2, "{ended}");
        assert!(error["causes"].is_array() && error["hints"].is_array(), "{ended}");
    }
    let hints = user.threepm(["pubish", "--json"]).json()["error"]["hints"].to_string();
    assert!(hints.contains("publish"), "{hints}");
    // Behind `--` it is somebody else's word, and help is no error.
    let theirs = user.threepm(["run-with", "--frobnicate", "pnpm", "--", "ls", "--json"]);
    assert_eq!(theirs.ended_with(2).refused().stdout, "");
    assert!(user.threepm(["status", "--json", "--help"]).succeeded().stdout.starts_with("Where"));
}

#[test]
fn every_shell_reads_its_completions() {
    let world = World::shared();
    let user = world.person("user");
    let folder = world.new_folder("completions");
    for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        let script = user.threepm(["completions", shell]).succeeded().stdout;
        for word in ["install", "register-token", "coordinator", "no-submit"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        let path = folder.join(shell);
        std::fs::write(&path, &script).expect("written");
        // bash is everywhere; the others where somebody installed them.
        if shell == "bash" || which(shell) {
            user.program(shell, [check, &path.display().to_string()]).succeeded();
        }
    }
    let asked = format!(". {}; complete -p 3pm", folder.join("bash").display());
    user.program("bash", ["-c", &asked]).succeeded().says(&["3pm"]);
    user.threepm(["completions", "tcsh"]).refused().ended_with(2).says(&["bash", "zsh", "fish"]);
}

fn which(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).exists())
}

#[test]
fn a_lower_version_that_cannot_be_fetched_is_passed_over_and_said() {
    let world = World::shared();
    let package = world.protected("passed-over");
    let published = world.propose(&package, "1.1.0");
    world.person("bob").threepm(["approve", &published, "--submit", "--yes"]).succeeded();
    world.wait_for_state(world.coordinator(), &published, "published");
    let id = world.propose(&package, "1.2.0");
    let registry = proxy::start(world.registry(), |request, upstream| {
        if request.path.ends_with("passed-over-1.1.0.tgz") { None } else { upstream.ask(request) }
    });
    // The registry's own documents lead to its tarballs.
    let (own, real) = (registry.clone(), world.registry().to_owned());
    let registry = proxy::start(&registry, move |request, upstream| {
        let mut answer = upstream.ask(request)?;
        if let Ok(text) = String::from_utf8(answer.body.clone()) {
            answer.body = text.replace(&real, &own).into_bytes();
        }
        Some(answer)
    });
    let bob = world.person("bob").with("NPM_CONFIG_REGISTRY", registry);
    let ended = bob.threepm(["approve", &id, "--no-submit", "--yes"]).succeeded();
    ended.says(&["passed over 1.1.0", "1.0.0"]);
    let proposal = raw::send(world.coordinator(), "GET", &format!("v1/proposals/{id}"), None);
    let proposal: Value = serde_json::from_slice(&proposal.body).expect("JSON");
    assert_eq!(proposal["signatures"].as_array().map(Vec::len), Some(2), "{proposal}");
}
