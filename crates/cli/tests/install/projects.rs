//! What becomes of a project: as npm would have left it, or as it was.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::clients::Client;
use crate::harness::people::Person;
use crate::harness::world::{BINARY, World};
use crate::ledger::{Ledger, TEAM};
use crate::project::Project;
use crate::shelf::{put, stock, tarball};

/// A package whose postinstall is `script`.
fn with_script(world: &World, name: &str, script: &str) {
    let manifest = json!({"name": name, "version": "1.0.0", "scripts": {"postinstall": script}});
    put(world, &world.person("alice"), &manifest, &tarball(&manifest, &[]));
}

#[test]
fn the_lockfile_and_the_tree_are_the_ones_npm_would_have_made() {
    let world = World::shared();
    let ledger = Ledger::of(world);
    let signed = stock(world, "p-signed", "1.0.0", "signed");
    ledger.claim("p-signed", &TEAM);
    ledger.publish("p-signed", "1.0.0", &signed, &["alice", "bob"]);
    stock(world, "p-plain", "1.0.0", "1");
    let user = json!({"name": "@p/user", "version": "1.0.0", "dependencies": {"p-plain": "^1.0.0"}, "bin": "cli.js",
        "peerDependencies": {"p-signed": "*"}, "optionalDependencies": {"p-elsewhere": "1"}});
    put(world, &world.person("alice"), &user, &tarball(&user, &[("cli.js", "#!/usr/bin/env node\r\n")]));
    let elsewhere = json!({"name": "p-elsewhere", "version": "1.0.0", "os": ["sunos"]});
    put(world, &world.person("alice"), &elsewhere, &tarball(&elsewhere, &[]));
    let [ours, theirs] = ["same-ours", "same-theirs"].map(|folder| {
        let project = Project::new(world, folder);
        let manifest = json!({"name": "same", "version": "1.0.0", "workspaces": ["packages/*"],
            "dependencies": {"@p/user": "1", "alias": "npm:p-plain@1", "linked": "file:./lib"}, "devDependencies": {"p-plain": "*"},
            "scripts": {"prepare": "echo prepared > prepared"}});
        project.write("package.json", &manifest.to_string());
        project.write("lib/package.json", r#"{"name": "linked", "version": "1.0.0"}"#);
        project.write("packages/w/package.json", r#"{"name": "w", "version": "1.0.0", "dependencies": {"p-signed": "1"}}"#);
        project
    });
    ours.install(&[]).succeeded().says(&["p-signed@1.0.0"]);
    theirs.user.npm(["install"]).succeeded();
    let relative = |project: &Project| {
        let contents = project.contents().into_iter();
        contents
            .map(|(path, content)| (path.strip_prefix(&project.root).expect("inside").to_owned(), content))
            .collect::<Vec<_>>()
    };
    assert_eq!(ours.read("package-lock.json"), theirs.read("package-lock.json"));
    let (ours, theirs) = (relative(&ours), relative(&theirs));
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs, "{}", ours.0.display());
    }
    assert_eq!(ours.len(), theirs.len());
}

#[test]
fn a_package_is_added_as_npm_adds_it() {
    let world = World::shared();
    stock(world, "p-added", "1.2.3", "1");
    let [ours, theirs] =
        ["added-ours", "added-theirs"].map(|folder| Project::asking(world, folder, json!({})));
    theirs.write("package.json", &ours.read("package.json"));
    ours.install(&["--save-dev", "p-added"]).succeeded();
    theirs.user.npm(["install", "--save-dev", "p-added"]).succeeded();
    assert_eq!(ours.read("package.json"), theirs.read("package.json"));
    assert_eq!(ours.read("package-lock.json"), theirs.read("package-lock.json"));
    // And in a workspace, into that workspace's manifest.
    let root = Project::new(world, "added-workspace");
    root.write("package.json", r#"{"name": "root", "workspaces": ["w"]}"#);
    root.write("w/package.json", r#"{"name": "w", "version": "1.0.0"}"#);
    root.user.clone().at(&root.root.join("w")).threepm(["install", "p-added"]).succeeded();
    assert!(root.read("w/package.json").contains("p-added"));
    assert!(root.has("node_modules/p-added/index.js"));
}

#[test]
fn a_dry_run_touches_nothing() {
    let world = World::shared();
    stock(world, "p-dry", "1.0.0", "1");
    let project = Project::asking(world, "dry", json!({"p-dry": "1"}));
    let before = project.contents();
    project.install(&["--dry-run"]).succeeded().says(&["1 not enrolled"]);
    assert_eq!(project.contents(), before);
}

#[test]
fn scripts_run_last_or_not_at_all_and_an_optional_one_may_fail() {
    let world = World::shared();
    with_script(world, "p-script", "echo needed >> ../../ran");
    with_script(world, "p-failing", "exit 3");
    let project = Project::new(world, "scripts");
    let manifest = json!({"name": "scripts", "version": "1.0.0", "dependencies": {"p-script": "1"},
        "optionalDependencies": {"p-failing": "1"}, "scripts": {"preinstall": "echo own-first >> ran", "prepare": "echo own-last >> ran"}});
    project.write("package.json", &manifest.to_string());
    project.install(&["--ignore-scripts"]).succeeded().says(&["No install scripts were run"]);
    assert!(!project.has("ran"));
    project.install(&[]).succeeded().says(&["p-failing failed, which is optional"]);
    assert_eq!(project.read("ran"), "needed\nown-first\nown-last\n");
}

#[test]
fn own_scripts_run_where_the_project_is_installed_and_not_with_a_package() {
    let world = World::shared();
    stock(world, "p-own", "1.0.0", "own");
    let check = |client: Client, words: &[&str], expected: bool| {
        let project = Project::new(world, &format!("own-{client:?}-{}", words.join("-")).to_lowercase());
        let manifest =
            json!({"name": "own", "version": "1.0.0", "scripts": {"postinstall": "echo ran > ran"}});
        project.write("package.json", &manifest.to_string());
        client.through(world, &project, words).succeeded();
        assert_eq!(project.has("ran"), expected, "{client:?} {words:?}");
        // As it is without us.
        let alone = Project::new(world, &format!("own-alone-{client:?}-{}", words.join("-")).to_lowercase());
        alone.write("package.json", &manifest.to_string());
        client.plain(world, &alone, words).succeeded();
        assert_eq!(alone.has("ran"), expected, "{client:?} {words:?} alone");
    };
    check(Client::Npm, &["install", "p-own"], false);
    check(Client::Npm, &["install"], true);
    check(Client::Npm12, &["install", "p-own"], false);
    check(Client::Pnpm, &["add", "p-own"], false);
    check(Client::Pnpm11, &["install"], true);
    check(Client::YarnClassic, &["add", "p-own"], true);
    check(Client::Bun, &["add", "p-own"], true);
}

#[test]
fn a_command_for_a_part_of_a_project_loses_nothing_of_the_rest() {
    let world = World::shared();
    for name in ["p-part-root", "p-part-a", "p-part-b", "p-part-new"] {
        stock(world, name, "1.0.0", "part");
    }
    let npm = (&["install", "p-part-new", "-w", "a"][..], "");
    for (client, (words, from)) in [
        (Client::Pnpm, (&["--filter", "a", "add", "p-part-new"][..], "")),
        (Client::Pnpm9, (&["add", "p-part-new"][..], "packages/a")),
        (Client::Pnpm11, (&["add", "p-part-new"][..], "packages/a")),
        (Client::Npm, npm),
        (Client::Npm12, npm),
        (Client::Bun, (&["install", "--filter", "a"][..], "")),
    ] {
        let project = Project::new(world, &format!("part-{client:?}").to_lowercase());
        let member = |place: &str, name: &str, asks: &str| {
            let manifest = json!({"name": name, "version": "1.0.0", "workspaces": ["packages/*"], "dependencies": {asks: "1"}});
            project.write(&format!("{place}package.json"), &manifest.to_string());
        };
        member("", "root", "p-part-root");
        member("packages/a/", "a", "p-part-a");
        member("packages/b/", "b", "p-part-b");
        if client.command() == "pnpm" {
            project.write("pnpm-workspace.yaml", "packages:\n  - packages/*\n");
        }
        client.through(world, &project, &["install"]).succeeded();
        let user = client.user(world, &project).at(&project.root.join(from));
        let ended =
            user.threepm([&["run-with", client.command(), "--json", "--"][..], words].concat()).succeeded();
        let lies = |place: &str, name: &str| {
            let inside = |folder: &str| project.has(&format!("{folder}node_modules/{name}/index.js"));
            assert!(inside(place) || inside(""), "{client:?}: {name}: {ended}");
        };
        lies("", "p-part-root");
        lies("packages/a/", "p-part-a");
        lies("packages/b/", "p-part-b");
        if words.contains(&"p-part-new") {
            lies("packages/a/", "p-part-new");
        }
        let receipt = &ended.json()["end"]["receipt"];
        assert_eq!(receipt["installed"], receipt["compared"], "{client:?}");
    }
}

#[test]
fn a_failing_script_puts_the_project_back() {
    let world = World::shared();
    stock(world, "p-kept", "1.0.0", "kept");
    with_script(world, "p-breaks", "exit 3");
    let project = Project::asking(world, "breaks", json!({"p-kept": "1"}));
    project.install(&[]).succeeded();
    let before = project.contents();
    project.install(&["p-breaks"]).refused().ended_with(103).says(&["npm rebuild"]);
    assert_eq!(project.contents(), before);
}

#[test]
fn json_is_one_document_and_says_everything() {
    let world = World::shared();
    with_script(world, "p-json", "echo noise; echo noise >&2");
    let project = Project::asking(world, "json", json!({"p-json": "1"}));
    let document = project.install(&["--json"]).succeeded().json();
    assert_eq!(document["end"]["state"], "installed");
    assert_eq!(document["end"]["receipt"]["installed"], 1);
    assert_eq!(document["packages"][0]["name"], "p-json");
    assert_eq!(document["packages"][0]["outcome"], "NotEnrolled");
    assert!(document["block"]["hash"].as_str().is_some_and(|hash| hash.len() == 66));
}

#[test]
fn where_nobody_watches_nothing_moves() {
    let world = World::shared();
    stock(world, "p-piped", "1.0.0", "piped");
    let project = Project::asking(world, "piped", json!({"p-piped": "1"}));
    let ended = project.install(&[]).succeeded().says(&["1 compared file by file"]);
    for text in [&ended.stdout, &ended.stderr] {
        assert!(!text.contains(['\u{1b}', '\r', '\u{8}']), "{ended}");
    }
}

#[test]
fn without_a_trust_network_it_says_so_and_checks_what_it_can() {
    let world = World::shared();
    stock(world, "p-nobody", "1.0.0", "1");
    let mut project = Project::asking(world, "nobody", json!({"p-nobody": "1"}));
    project.user = project.user.with("THREEPM_HOME", world.new_folder("empty-home").display().to_string());
    project.install(&[]).succeeded().says(&["No trust network is configured", "no package is verified"]);
    assert!(project.has("node_modules/p-nobody/index.js"));
    project.user.threepm(["verify"]).succeeded().says(&["No trust network is configured"]);
    project.edit_lockfile(|packages| packages["node_modules/p-nobody"]["integrity"] = Value::Null);
    project.user.threepm(["verify"]).refused().ended_with(50).says(&["exactly one sha512"]);
}

/// `3pm install` in a project whose dependency's script says that it runs and then does not end.
fn started(world: &World, name: &'static str) -> (Project, Child, u32) {
    let before = format!("{name}-before");
    stock(world, &before, "1.0.0", "before");
    with_script(world, name, "echo $$ > ../../pid; while true; do sleep 0.1; date > ../../alive; done");
    let project = Project::asking(world, "interrupted", json!({}));
    let project = Project { root: project.root.join(name), ..project };
    project.write(
        "package.json",
        &json!({"name": "app", "version": "1.0.0", "dependencies": {before: "1"}}).to_string(),
    );
    let project = Project { user: project.user.clone().at(&project.root), ..project };
    project.install(&[]).succeeded();
    let person: &Person = &project.user;
    let mut command = person.command(BINARY);
    command.args(["install", name]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    #[expect(clippy::zombie_processes, reason = "the caller waits for it")]
    let child = command.spawn().expect("3pm");
    let begun = Instant::now();
    loop {
        let pid = std::fs::read_to_string(project.root.join("pid")).unwrap_or_default();
        if let Ok(pid) = pid.trim().parse() {
            return (project, child, pid);
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "the script does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a process id");
    kill_process(pid, signal).expect("it runs");
}

fn assert_as_before(project: &Project) {
    for written in ["pid", "alive"] {
        let _ = std::fs::remove_file(project.root.join(written));
    }
    assert!(!project.has(".3pm-install"));
    let lockfile: Value = serde_json::from_str(&project.read("package-lock.json")).expect("JSON");
    let manifest: Value = serde_json::from_str(&project.read("package.json")).expect("JSON");
    let folder = std::fs::read_dir(project.root.join("node_modules")).expect("a folder").flatten();
    let mut modules: Vec<_> = folder.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    modules.sort();
    assert_eq!(lockfile["packages"].as_object().map(serde_json::Map::len), Some(2));
    assert_eq!(manifest["dependencies"].as_object().map(serde_json::Map::len), Some(1));
    assert!(modules.len() == 2 && modules[1].ends_with("-before"), "{modules:?}");
}

#[test]
fn interrupted_it_puts_the_project_back_and_ends_what_it_started() {
    for (name, how) in [("p-stops-int", Signal::INT), ("p-stops-term", Signal::TERM)] {
        let world = World::shared();
        let (project, child, script) = started(world, name);
        signal(child.id(), how);
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
        std::thread::sleep(Duration::from_millis(300));
        let state = std::fs::read_to_string(format!("/proc/{script}/stat")).unwrap_or_default();
        assert!(state.is_empty() || state.contains(") Z"), "the script still runs: {state}");
        assert_as_before(&project);
    }
}

#[test]
fn killed_it_leaves_what_the_next_run_puts_back() {
    let world = World::shared();
    let (project, mut child, script) = started(world, "p-stops-kill");
    signal(child.id(), Signal::KILL);
    child.wait().expect("it ends");
    // Nobody was left to end npm and the script.
    signal(script, Signal::KILL);
    std::thread::sleep(Duration::from_millis(500));
    assert!(project.has(".3pm-install"));
    project.user.threepm(["install"]).succeeded().says(&["an earlier install was interrupted"]);
    assert_as_before(&project);
}

#[test]
fn a_tree_that_lies_there_to_the_byte_stays_and_any_other_is_made_anew() {
    use std::os::unix::fs::MetadataExt as _;
    let world = World::shared();
    let manifest = json!({"name": "p-stays", "version": "1.0.0", "bin": "./index.js"});
    put(world, &world.person("alice"), &manifest, &tarball(&manifest, &[("index.js", "1")]));
    let project = Project::asking(world, "stays", json!({"p-stays": "1"}));
    project.write("evil/package.json", r#"{"name": "p-stays", "version": "1.0.0"}"#);
    let file = project.root.join("node_modules/p-stays/index.js");
    let number = || std::fs::metadata(&file).expect("a file").ino();
    let install = || {
        let document = project.install(&["--json"]).succeeded().json();
        assert_eq!(document["end"]["receipt"]["compared"], 1, "{document:#}");
        assert!(!project.has(".3pm-install"));
        number()
    };
    let first = install();
    assert_eq!(install(), first);
    // One byte, one file more, one less, a package less: made anew, each time as it should be.
    let pristine = project.contents();
    let replace = |path: &str, target: Option<&str>| {
        let path = project.root.join(path);
        std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path)).expect("it is there");
        match target {
            Some(target) => std::os::unix::fs::symlink(target, &path).expect("a link"),
            None => std::fs::write(&path, "evil").expect("a file"),
        }
    };
    let spoils: [(&str, &dyn Fn()); 8] = [
        ("a command", &|| replace("node_modules/.bin/p-stays", None)),
        ("a command of the project's", &|| {
            replace("node_modules/.bin/p-stays", Some("../../evil/package.json"));
        }),
        ("a folder of the project in its place", &|| replace("node_modules/p-stays", Some("../evil"))),
        ("modules below a folder of it", &|| {
            project.write("node_modules/p-stays/lib/node_modules/evil/index.js", "evil");
        }),
        ("a byte", &|| project.write("node_modules/p-stays/index.js", "2")),
        ("a file more", &|| project.write("node_modules/p-stays/more.js", "")),
        ("a file less", &|| {
            std::fs::remove_file(project.root.join("node_modules/p-stays/index.js")).expect("a file")
        }),
        ("a package less", &|| {
            std::fs::remove_dir_all(project.root.join("node_modules/p-stays")).expect("a folder")
        }),
    ];
    for (what, spoil) in spoils {
        spoil();
        install();
        let now = project.contents();
        assert!(now.keys().eq(pristine.keys()), "{what}");
        assert_eq!(project.read("node_modules/p-stays/index.js"), "1", "{what}");
    }
    // With scripts it is not known whether they ran.
    with_script(world, "p-stays-script", "echo ran > ran");
    project.install(&["p-stays-script"]).succeeded();
    let before = number();
    project.install(&[]).succeeded();
    assert_ne!(number(), before);
    assert!(project.has("node_modules/p-stays-script/ran"));
}
