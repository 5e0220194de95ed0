//! Lockfiles and projects made to get something past the check. Each ends with a refusal, nothing of the
//! attacker on disk, and no program of the attacker run.

use serde_json::{Value, json};

use crate::harness::people::Ended;
use crate::harness::world::World;
use crate::ledger::{Ledger, TEAM};
use crate::project::Project;
use crate::shelf::{put, stock, tarball};

/// A project with an honest lockfile over `a-good` and `a-evil`, neither enrolled.
fn project(world: &World, name: &str) -> Project {
    static STOCKED: std::sync::Once = std::sync::Once::new();
    STOCKED.call_once(|| {
        stock(world, "a-good", "1.0.0", "good");
        stock(world, "a-evil", "1.0.0", "evil");
        let manifest = json!({"name": "a-carrier", "version": "1.0.0", "dependencies": {"a-carried": "1"}, "bundleDependencies": ["a-carried"]});
        let inside = [("node_modules/a-carried/package.json", r#"{"name": "a-carried", "version": "1.0.0"}"#)];
        put(world, &world.person("alice"), &manifest, &tarball(&manifest, &inside));
    });
    let project = Project::asking(world, name, json!({"a-good": "1", "a-evil": "1", "a-carrier": "1"}));
    project.install(&[]).succeeded();
    std::fs::remove_dir_all(project.root.join("node_modules")).expect("it was installed");
    project
}

/// After `change` the lockfile is refused with these words, by `install` and by `verify`.
#[track_caller]
fn refuses(name: &str, code: i32, words: &[&str], change: fn(&mut Value)) {
    let world = World::shared();
    let project = project(world, name);
    project.edit_lockfile(change);
    let before = project.contents();
    for command in ["verify", "install"] {
        let ended: Ended = project.user.threepm([command]).refused();
        assert_eq!(ended.code, Some(code), "{ended}");
        ended.says(words);
        assert_eq!(project.contents(), before, "the project was touched");
    }
}

#[test]
fn two_hashes_in_one_integrity() {
    refuses("two-hashes", 50, &["a-good@1.0.0", "exactly one sha512"], |packages| {
        let good = packages["node_modules/a-good"]["integrity"].as_str().unwrap_or_default().to_owned();
        let evil = packages["node_modules/a-evil"]["integrity"].as_str().unwrap_or_default().to_owned();
        packages["node_modules/a-good"]["integrity"] = json!(format!("{good} {evil}"));
    });
}

#[test]
fn a_resolved_address_of_another_package() {
    refuses("resolved-swap", 50, &["a-good@1.0.0", "a tarball of a-good"], |packages| {
        for field in ["resolved", "integrity"] {
            packages["node_modules/a-good"][field] = packages["node_modules/a-evil"][field].clone();
        }
    });
}

#[test]
fn a_folder_with_another_package_that_nobody_asked_for() {
    refuses("alias", 50, &["nothing asks for another one there", "a-evil"], |packages| {
        let mut evil = packages["node_modules/a-evil"].clone();
        evil["name"] = json!("a-evil");
        packages["node_modules/a-good"] = evil;
    });
}

#[test]
fn a_bundled_folder_that_is_not_in_its_parents_tarball() {
    refuses("not-bundled", 50, &["a-evil@1.0.0", "Refused"], |packages| {
        packages["node_modules/a-carrier"]["dependencies"]["a-evil"] = json!("1");
        packages["node_modules/a-carrier/node_modules/a-evil"] =
            json!({"version": "1.0.0", "inBundle": true});
    });
}

/// What npm itself makes of a lockfile before it is judged may differ from what stands in it; then what
/// npm made of it is what is judged, and what is installed.
#[test]
fn a_bundled_folder_with_an_address_is_no_bundled_folder() {
    let world = World::shared();
    let project = project(world, "bundled-url");
    project.edit_lockfile(|packages| {
        let url = packages["node_modules/a-evil"]["resolved"].clone();
        packages["node_modules/a-good"] = json!({"version": "1.0.0", "inBundle": true, "resolved": url});
    });
    project.user.threepm(["verify"]).refused().ended_with(50).says(&["a-good@1.0.0", "integrity"]);
    let ended = project.install(&[]);
    assert!(ended.code != Some(0) || project.read("node_modules/a-good/index.js") == "good", "{ended}");
}

#[test]
fn an_address_that_does_not_show_whose_tarball_it_is_is_caught_before_anything_runs() {
    let world = World::shared();
    let project = project(world, "opaque");
    let canary = project.root.join("canary");
    let manifest = json!({"name": "a-script", "version": "1.0.0", "scripts": {"postinstall": format!("touch {}", canary.display())}});
    put(world, &world.person("alice"), &manifest, &tarball(&manifest, &[]));
    project.edit_lockfile(|packages| {
        // Verdaccio serves a tarball under any base name of its package; the path hides it behind a query.
        let url = format!("{}a-script/-/../-/a-script-1.0.0.tgz", world.registry());
        packages["node_modules/a-good"]["resolved"] = json!(url);
        packages["node_modules/a-good"]["integrity"] =
            json!(trust::Integrity::of(&tarball(&manifest, &[])).to_string());
        packages["node_modules/a-good"]["hasInstallScript"] = json!(true);
    });
    let before = project.contents();
    project.install(&[]).refused().ended_with(50);
    assert_eq!(project.contents(), before);
    assert!(!canary.exists());
}

#[test]
fn a_git_dependency_runs_no_git_unless_it_was_allowed() {
    let world = World::shared();
    let project = Project::asking(world, "git", json!({"x": "git+https://127.0.0.1:1/u/r.git"}));
    project.write("evil", "#!/bin/sh\ntouch canary\n");
    make_executable(&project, "evil");
    project.write(".npmrc", "git=./evil\nallow-git=all\n");
    let before = project.contents();
    project.install(&[]).refused().ended_with(13).says(&["does not come from a registry"]);
    assert_eq!(project.contents(), before);
}

#[test]
fn settings_of_the_project_open_no_gap_and_are_named() {
    let world = World::shared();
    stock(world, "a-settings", "1.0.0", "good");
    let manifest =
        json!({"name": "a-runs", "version": "1.0.0", "scripts": {"postinstall": "touch ../../ran"}});
    put(world, &world.person("alice"), &manifest, &tarball(&manifest, &[]));
    let project = Project::asking(world, "settings", json!({"a-settings": "1", "a-runs": "1"}));
    project.write("evil.js", "require('fs').writeFileSync(__dirname + '/canary', '')");
    project.write("evil", "#!/bin/sh\ntouch canary\n");
    make_executable(&project, "evil");
    project.write("evilrc", &format!("registry={}\n//127.0.0.1:1/:_authToken=x\n", "http://127.0.0.1:1/"));
    project.write(
        ".npmrc",
        "git=./evil\nnode-options=--require ./evil.js\nscript-shell=./evil\nshell=./evil\nignore-scripts=false\n\
         package-lock=false\nglobal=true\nlocation=global\ndry-run=true\nsave=false\nuserconfig=./evilrc\n\
         globalconfig=./evilrc\ninstall-strategy=linked\nlockfile-version=1\nomit-lockfile-registry-resolved=true\n\
         install-links=true\n",
    );
    let ended = project.install(&["--ignore-scripts"]).succeeded();
    ended.says(&["git=./evil", "node-options", "globalconfig", "install-strategy=linked", "overruled"]);
    assert_eq!(project.read("node_modules/a-settings/index.js"), "good");
    assert!(!project.has("canary") && !project.has("ran"));
    let lockfile: Value = serde_json::from_str(&project.read("package-lock.json")).expect("JSON");
    assert_eq!(lockfile["lockfileVersion"], 3);
}

#[test]
fn a_users_wish_for_no_scripts_is_not_a_projects_to_lift() {
    let world = World::shared();
    let manifest =
        json!({"name": "a-lifts", "version": "1.0.0", "scripts": {"postinstall": "touch ../../ran"}});
    put(world, &world.person("alice"), &manifest, &tarball(&manifest, &[]));
    let project = Project::asking(world, "lifts", json!({"a-lifts": "1"}));
    project.write(".npmrc", "ignore-scripts=false\n");
    project.user.clone().with("npm_config_ignore_scripts", "true").threepm(["install"]).succeeded();
    assert!(!project.has("ran"));
    project.install(&[]).succeeded().says(&["Ran the install scripts of 1 package"]);
    assert!(project.has("ran"));
}

#[test]
fn a_tampered_node_modules_is_not_left_as_it_is() {
    let world = World::shared();
    let ledger = Ledger::of(world);
    let bytes = stock(world, "a-tampered", "1.0.0", "good");
    ledger.claim("a-tampered", &TEAM);
    ledger.publish("a-tampered", "1.0.0", &bytes, &["alice", "bob"]);
    let project = Project::asking(world, "tampered", json!({"a-tampered": "1"}));
    project.install(&[]).succeeded();
    project.write("node_modules/a-tampered/index.js", "evil");
    project.write("node_modules/a-tampered/extra.js", "evil");
    project.write("node_modules/stowaway/index.js", "evil");
    project.install(&[]).succeeded();
    assert_eq!(project.read("node_modules/a-tampered/index.js"), "good");
    assert!(!project.has("node_modules/a-tampered/extra.js") && !project.has("node_modules/stowaway"));
}

#[test]
fn a_script_runs_in_the_folder_it_was_checked_in_not_in_one_of_that_name() {
    let world = World::shared();
    for (name, mark) in [("a-real", "real"), ("a-shadow", "shadow")] {
        let manifest = json!({"name": name, "version": "1.0.0", "scripts": {"postinstall": format!("echo {mark} >> ../../ran")}});
        put(world, &world.person("alice"), &manifest, &tarball(&manifest, &[]));
    }
    // In the folder of a-real lies a-shadow, because the project asks for it there; a-real lies elsewhere.
    let project = Project::asking(world, "shadow", json!({"a-real": "npm:a-shadow@1", "b": "npm:a-real@1"}));
    project.install(&[]).succeeded();
    let mut ran: Vec<String> = project.read("ran").lines().map(str::to_owned).collect();
    ran.sort();
    assert_eq!(ran, ["real", "shadow"]);
}

fn make_executable(project: &Project, path: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(project.root.join(path), std::fs::Permissions::from_mode(0o755))
        .expect("a mode");
}
