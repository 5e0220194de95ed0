//! What installs nothing is the real program's own; what does not pass says why.

use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use crate::clients::Client;
use crate::desk::Desk;
use crate::harness::terminal;
use crate::harness::world::World;
use crate::project::Project;

/// A project whose scripts do what their names say.
fn project(desk: &Desk) {
    let scripts = r#"{"name": "p", "version": "1.0.0", "scripts": {
        "count": "wc -c", "fail": "exit 7", "say": "echo said", "show": "node -p process.argv.slice(1).join()"}}"#;
    desk.write("package.json", scripts);
}

#[test]
fn npm_keeps_its_exit_code_its_input_and_its_words() {
    let desk = Desk::new();
    project(&desk);
    let plain = desk.types("npm", &["--version"]);
    let through = desk.types("3pm", &["npm-intercept", "--version"]);
    assert_eq!((&plain.stdout, &plain.stderr, plain.code), (&through.stdout, &through.stderr, through.code));
    desk.types("3pm", &["npm-intercept", "run", "fail"]).with(7, &[]);
    desk.types("3pm", &["npm-intercept", "--", "run", "say"]).with(0, &["said"]);
    desk.types("3pm", &["intercept", "npm", "--", "run", "say"]).with(0, &["said"]);
    let counted = desk.types_into("3pm", &["npm-intercept", "run", "--silent", "count"], "four").with(0, &[]);
    assert_eq!(counted.stdout.trim(), "4");
    // Flags that 3pm has as well are npm's here.
    let document = desk.types("3pm", &["npm-intercept", "--json", "ls"]).with(0, &[]).json();
    assert_eq!(document["name"], "p");
    desk.types("3pm", &["npm-intercept", "-q", "--color=always", "run", "say"]).with(0, &["said"]);
}

#[test]
fn the_process_becomes_the_program_so_signals_are_its_own() {
    let desk = Desk::new();
    desk.program("fake/npm", "echo $$ $0 \"$@\"; exec sleep 600");
    let desk = desk;
    let fake = desk.at("fake");
    let desk = desk.first_on_path(fake);
    let mut child = desk.command("3pm", &["npm-intercept", "run", "a  b", ""]).spawn().unwrap();
    let mut line = Vec::new();
    let mut byte = [0];
    let mut stdout = child.stdout.take().unwrap();
    while stdout.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    let line = String::from_utf8(line).unwrap();
    assert!(line.starts_with(&format!("{} ", child.id())) && line.ends_with(" run a  b "), "{line}");
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(child.wait().unwrap().signal(), Some(15));
}

#[test]
fn what_cannot_be_checked_is_refused_and_the_switch_hands_it_on() {
    let desk = Desk::new();
    desk.program("fake/npm", "echo real npm got \"$@\"");
    let fake = desk.at("fake");
    let desk = desk.first_on_path(fake);
    let refused = desk.types("3pm", &["npm-intercept", "install", "-g", "left-pad"]);
    let refused = refused.with(4, &["outside of a project", "THREEPM_INTERCEPT=off npm install -g left-pad"]);
    assert!(!refused.stdout.contains("real npm"), "{refused:?}");
    desk.types("3pm", &["npm-intercept", "nothing-of-the-kind"]).with(4, &["nothing that 3pm knows"]);
    let off = [("THREEPM_INTERCEPT", "off".as_ref())];
    desk.types_with("3pm", &["npm-intercept", "install", "-g", "left-pad"], &off)
        .with(0, &["real npm got install -g left-pad"]);
}

#[test]
fn a_program_that_is_not_there_or_leads_back_ends_at_once() {
    let desk = Desk::new();
    let own = desk.at("own");
    let empty = desk.only_on_path(&[own]);
    empty.types("3pm", &["pnpm-intercept", "run", "x"]).with(127, &["pnpm is not on the PATH"]);
    let desk = Desk::new();
    desk.program("wrapper/npm", "exec 3pm npm-intercept \"$@\"");
    desk.program("spawner/yarn", "3pm yarn-intercept \"$@\"");
    let (wrapper, spawner) = (desk.at("wrapper"), desk.at("spawner"));
    let desk = desk.first_on_path(wrapper).first_on_path(spawner);
    desk.types("3pm", &["npm-intercept", "ls"]).with(127, &["leads back to 3pm"]);
    desk.types("3pm", &["yarn-intercept", "run", "x"]).with(127, &["leads back to 3pm"]);
}

#[test]
fn programs_that_would_install_unasked_are_told_not_to() {
    let desk = Desk::new();
    desk.write("package.json", r#"{"scripts": {"build": "true"}}"#);
    desk.program("fake/pnpm", "echo installs first: $pnpm_config_verify_deps_before_run");
    desk.program("fake/bun", "echo bun got \"$@\"");
    let fake = desk.at("fake");
    let desk = desk.first_on_path(fake);
    desk.types("3pm", &["pnpm-intercept", "build"]).with(0, &["installs first: false\n"]);
    let own = [("pnpm_config_verify_deps_before_run", "error".as_ref())];
    desk.types_with("3pm", &["pnpm-intercept", "build"], &own).with(0, &["installs first: error\n"]);
    let own = [("pnpm_config_verify_deps_before_run", "install".as_ref())];
    desk.types_with("3pm", &["pnpm-intercept", "build"], &own).with(0, &["installs first: false\n"]);
    desk.types("3pm", &["bun-intercept", "server.ts"]).with(0, &["bun got --no-install server.ts\n"]);
}

#[test]
fn an_install_that_was_typed_as_npm_goes_through_the_checks() {
    let world = World::shared();
    let name = "intercepted";
    let folder = world.new_folder("intercepted-package");
    std::fs::write(folder.join("package.json"), format!(r#"{{"name": "{name}", "version": "1.0.0"}}"#))
        .unwrap();
    world.person("alice").at(&folder).program("npm", ["publish"]).succeeded();
    for (place, words) in
        [("plain", ["install", name].as_slice()), ("other", &["install", "--save-exact", name])]
    {
        let project = world.new_folder(&format!("intercepted-{place}"));
        std::fs::write(project.join("package.json"), r#"{"name": "p", "version": "1.0.0"}"#).unwrap();
        let user = world.person("user").at(&project);
        let all: Vec<&str> = std::iter::once("npm-intercept").chain(words.iter().copied()).collect();
        let ended = user.threepm(all).succeeded();
        assert!(project.join("node_modules").join(name).join("package.json").is_file(), "{ended:?}");
        assert!(ended.stdout.contains("Installed 1 package; 1 compared file by file"), "{ended:?}");
        // From the lockfile, and what npm does with a word between.
        std::fs::remove_dir_all(project.join("node_modules")).unwrap();
        user.threepm(["npm-intercept", "ci"]).succeeded();
        assert!(project.join("node_modules").join(name).join("package.json").is_file());
    }
}

#[test]
fn the_tests_that_belong_to_an_install_run_after_it() {
    let world = World::shared();
    let project = world.new_folder("intercepted-test");
    let manifest = r#"{"name": "p", "version": "1.0.0", "scripts": {"test": "echo ran > ran.txt; exit 5"}}"#;
    std::fs::write(project.join("package.json"), manifest).unwrap();
    let ended = world.person("user").at(&project).threepm(["npm-intercept", "install-test"]);
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(project.join("ran.txt").is_file());
}

#[test]
fn installs_of_the_other_package_managers_go_through_the_checks_and_the_rest_is_their_own() {
    let world = World::shared();
    let name = "intercepted-everywhere";
    let folder = world.new_folder("intercepted-everywhere-package");
    let manifest = format!(r#"{{"name": "{name}", "version": "1.0.0", "main": "index.js"}}"#);
    std::fs::write(folder.join("package.json"), manifest).unwrap();
    world.person("alice").at(&folder).program("npm", ["publish"]).succeeded();
    for client in [Client::Pnpm, Client::Pnpm11, Client::YarnClassic, Client::Yarn, Client::Bun] {
        let command = client.command();
        let project = Project::new(world, &format!("intercepted-{client:?}").to_lowercase());
        let scripts =
            r#"{"name": "p", "version": "1.0.0", "scripts": {"fail": "exit 7", "say": "echo said"}}"#;
        project.write("package.json", scripts);
        let user = client.user(world, &project);
        // With either name of the command.
        let ended = user.threepm(["intercept", command, "--", "add", name]).succeeded();
        assert!(ended.stdout.contains("1 compared file by file"), "{client:?}: {ended}");
        assert!(project.read("package.json").contains(name), "{client:?}: {ended}");
        std::fs::remove_dir_all(project.root.join("node_modules")).unwrap();
        let ended = user.threepm([&format!("{command}-intercept"), "install"]).succeeded();
        assert!(ended.stdout.contains("1 compared file by file"), "{client:?}: {ended}");
        assert!(project.has(&format!("node_modules/{name}/package.json")), "{client:?}: {ended}");
        // What cannot be checked here is not begun: nobody answers for the chain.
        let before = project.contents();
        let blind = user.clone().with("THREEPM_RPC_URL", "http://127.0.0.1:1/");
        blind.threepm(["intercept", command, "--", "install"]).ended_with(1).refused();
        assert_eq!(project.contents(), before, "{client:?}");
        // What installs nothing needs no chain, and is the program's own.
        let plain = user.program(command, ["run", "fail"]);
        let through = blind.threepm(["intercept", command, "--", "run", "fail"]);
        assert!(plain.code.is_some_and(|code| code != 0), "{client:?}: {plain}");
        assert_eq!(through.code, plain.code, "{client:?}: {through}");
        blind.threepm(["intercept", command, "--", "run", "say"]).succeeded().says(&["said"]);
    }
}

#[test]
fn a_warning_behind_the_hook_is_accepted_by_what_it_says_to_type() {
    let world = World::shared();
    for client in [Client::Npm, Client::Pnpm] {
        let command = client.command();
        let project = Project::new(world, &format!("intercepted-warned-{client:?}").to_lowercase());
        project.write("it beside/package.json", r#"{"name": "beside", "version": "1.0.0"}"#);
        let packed = Command::new("npm").args(["pack", "./it beside"]).current_dir(&project.root).output();
        assert!(packed.unwrap().status.success());
        std::fs::rename(project.root.join("beside-1.0.0.tgz"), project.root.join("beside 1.tgz")).unwrap();
        let manifest =
            r#"{"name": "p", "version": "1.0.0", "dependencies": {"beside": "file:./beside 1.tgz"}}"#;
        project.write("package.json", manifest);
        let user = client.user(world, &project);
        // A flag of 3pm's is the package manager's here.
        let words: &[&str] = match client {
            Client::Npm => &["install", "./beside 1.tgz", "--yes"],
            _ => &["install"],
        };
        let typed = ["intercept", command, "--"].into_iter().chain(words.iter().copied());
        let refused = user.threepm(typed).ended_with(13);
        let next = refused.stderr.lines().find_map(|line| line.trim().strip_prefix("next: 3pm "));
        let next = next.unwrap_or_else(|| panic!("{refused}"));
        assert!(next.starts_with(&format!("run-with {command} --yes -- install")), "{refused}");
        // As a shell reads it.
        let typed = format!("{} {next}", env!("CARGO_BIN_EXE_3pm"));
        user.program("sh", ["-c", &typed]).succeeded();
        assert!(project.has("node_modules/beside/package.json"), "{refused}");
    }
}

#[test]
fn at_a_terminal_npm_says_how_far_it_is() {
    let world = World::shared();
    let names = ["far-a", "far-b"];
    for name in names {
        let folder = world.new_folder(name);
        std::fs::write(folder.join("package.json"), format!(r#"{{"name": "{name}", "version": "1.0.0"}}"#))
            .unwrap();
        world.person("alice").at(&folder).program("npm", ["publish"]).succeeded();
    }
    let project = Project::asking(world, "how-far", serde_json::json!({"far-a": "1", "far-b": "1"}));
    let user = project.user.clone().with("TERM", "xterm");
    user.threepm(["install"]).succeeded();
    let cold = project.root.with_extension("cold");
    let mut command =
        user.with("npm_config_cache", cold.display().to_string()).command(env!("CARGO_BIN_EXE_3pm"));
    command.args(["npm-intercept", "ci"]);
    let (code, said) = terminal::run(command);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(" of about 2 checked"), "{said}");
    // npm's own words come all the same.
    assert!(said.contains("added 2 packages"), "{said}");
}

#[test]
fn where_there_is_no_project_none_was_put_back() {
    let world = World::shared();
    let project = Project::new(world, "unknown-once");
    let unknown = project.user.threepm(["npx-intercept", "nothing-of-that-name"]).refused();
    assert!(!unknown.stderr.contains("put back"), "{unknown}");
    let unknown = project.user.threepm(["policy", "explain", "nothing-of-that-name"]).refused();
    unknown.says(&["error: it is not known what nothing-of-that-name is", "because npm"]);
    project.write("package.json", "{}");
    project.install(&["nothing-of-that-name"]).refused().says(&["the project was put back"]);
}
