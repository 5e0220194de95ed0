//! Every package manager through `3pm run-with`, with the real programs: what they install is what they would
//! have installed, all of it is checked, and nothing of an attacker lands on disk.

use serde_json::{Value, json};

use crate::clients::{Client, WITH_MODULES};
use crate::harness::world::World;
use crate::ledger::{Ledger, TEAM};
use crate::project::Project;
use crate::shelf::{put, stock, tarball};
use crate::tls::secure;

/// A small tree: signed, unsigned, scoped, with a command, an alias and a dependency.
fn stocked(world: &World, prefix: &str) -> [String; 4] {
    let (signed, plain) = (format!("{prefix}-signed"), format!("{prefix}-plain"));
    let (scoped, command) = (format!("@{prefix}/scoped"), format!("{prefix}-command"));
    let ledger = Ledger::of(world);
    let manifest = json!({"name": signed, "version": "1.0.0", "dependencies": {plain.clone(): "^1.0.0"}});
    let bytes = tarball(
        &manifest,
        &[("index.js", "exports.signed = 1;\n"), ("lib/deep/a.js", "a"), (".gitignore", "x\n")],
    );
    put(world, &world.person("alice"), &manifest, &bytes);
    ledger.claim(&signed, &TEAM);
    ledger.publish(&signed, "1.0.0", &bytes, &["alice", "bob"]);
    stock(world, &plain, "1.0.0", "exports.plain = 1;\n");
    stock(world, &plain, "1.2.0", "exports.plain = 2;\n");
    stock(world, &scoped, "3.0.0", "exports.scoped = 1;\n");
    let manifest = json!({"name": command, "version": "1.0.0", "bin": "./cli.js", "dependencies": {scoped.clone(): "3"}});
    let bytes = tarball(&manifest, &[("cli.js", "#!/usr/bin/env node\nconsole.log('command')\n")]);
    put(world, &world.person("alice"), &manifest, &bytes);
    [signed, plain, scoped, command]
}

fn dependencies(names: &[String; 4]) -> Value {
    let [signed, plain, scoped, command] = names;
    json!({signed.clone(): "1", plain.clone(): "1.0.0", scoped.clone(): "^3.0.0", command.clone(): "1", "renamed": format!("npm:{plain}@1.2.0")})
}

#[test]
fn every_manager_installs_what_it_would_have_and_all_of_it_is_compared() {
    let world = World::shared();
    let names = stocked(world, "matrix");
    for client in WITH_MODULES {
        let name = format!("matrix-{client:?}").to_lowercase();
        let project = Project::asking(world, &name, dependencies(&names));
        let ended = client.through(world, &project, &["install"]).succeeded();
        let document = ended.json();
        assert_eq!(document["counts"]["Verified"], 1, "{client:?}: {document:#}");
        let receipt = &document["end"]["receipt"];
        assert_eq!(receipt["installed"], receipt["compared"], "{client:?}: {document:#}");
        assert!(receipt["compared"].as_u64() >= Some(5), "{client:?}: {document:#}");
        assert!(project.has(&format!("node_modules/{}/index.js", names[0])), "{client:?}");
        assert!(project.has("node_modules/renamed/index.js"), "{client:?}");
        assert!(!project.has(".3pm-install"), "{client:?}");
        let kept = receipt_of(&project);
        let signed =
            kept["packages"].as_array().expect("packages").iter().find(|package| package["name"] == names[0]);
        let signed = signed.expect("the signed one");
        assert!(
            signed["verdict"] == "Verified"
                && signed["integrity"].as_str().is_some_and(|text| text.starts_with("sha512-")),
            "{kept:#}"
        );
        // The lockfile is, byte for byte, the one that the package manager writes without us.
        let alone = Project::asking(world, &name, dependencies(&names));
        let alone = Project { root: alone.root.with_extension("alone"), ..alone };
        alone.write("package.json", &project.read("package.json"));
        let alone = Project { user: alone.user.clone().at(&alone.root), ..alone };
        client.plain(world, &alone, &["install"]).succeeded();
        assert_eq!(project.read(client.lockfile()), alone.read(client.lockfile()), "{client:?}");
        // Again, from warm caches and the lockfile.
        let again = client.through(world, &project, &["install"]).succeeded().json();
        assert_eq!(again["end"]["receipt"]["compared"], receipt["compared"], "{client:?}: {again:#}");
    }
}

#[test]
fn a_version_that_nobody_signed_is_refused_and_nothing_of_it_lies_there() {
    let world = World::shared();
    let names = stocked(world, "refuse");
    let manifest = json!({"name": names[0], "version": "1.1.0"});
    let bytes = tarball(&manifest, &[("index.js", "exports.evil = 1;\n")]);
    put(world, &world.person("alice"), &manifest, &bytes);
    for client in WITH_MODULES {
        let name = format!("refuse-{client:?}").to_lowercase();
        let project = Project::asking(world, &name, dependencies(&names));
        let before = project.contents();
        let ended = client.through(world, &project, &["install"]);
        let document = ended.clone().ended_with(30).json();
        assert_eq!(document["counts"]["Unrecorded"], 1, "{client:?}: {document:#}");
        assert_eq!(project.contents(), before, "{client:?}");
    }
}

#[test]
fn registries_behind_tls_are_reached_through_the_proxy_and_tokens_stay_with_their_host() {
    let world = World::shared();
    let names = stocked(world, "secure");
    let (public, private) = (secure(world), secure(world));
    for client in WITH_MODULES {
        let name = format!("secure-{client:?}").to_lowercase();
        let project = Project::asking(world, &name, dependencies(&names));
        let host = private.url.trim_start_matches("https:").to_owned();
        project.write(
            ".npmrc",
            &format!("@secure:registry={}\n{host}:_authToken=secret-of-the-scope\n", private.url),
        );
        let scopes = format!(
            "npmScopes:\n  secure:\n    npmRegistryServer: \"{}\"\n    npmAuthToken: secret-of-the-scope\n    npmAlwaysAuth: true\n    npmMinimalAgeGate: 0\n",
            private.url.trim_end_matches('/')
        );
        project.write(".yarnrc.yml", &scopes);
        let authorities = project.root.with_extension("authorities");
        std::fs::write(&authorities, format!("{}{}", public.authority, private.authority)).expect("written");
        let user = client.user(world, &project);
        let user = user
            .with("NPM_CONFIG_REGISTRY", public.url.clone())
            .with("npm_config_registry", public.url.clone())
            .with("pnpm_config_registry", public.url.clone())
            .with("npm_config_cafile", authorities.display().to_string())
            .with("YARN_REGISTRY", public.url.clone())
            .with("YARN_NPM_REGISTRY_SERVER", public.url.trim_end_matches('/'))
            .with("BUN_CONFIG_REGISTRY", public.url.clone());
        let ended = user.threepm(["run-with", client.command(), "--json", "--", "install"]).succeeded();
        let receipt = &ended.json()["end"]["receipt"];
        assert_eq!(receipt["installed"], receipt["compared"], "{client:?}: {receipt}");
        assert!(receipt["compared"].as_u64() >= Some(5), "{client:?}: {receipt}");
        let (public, mut private) = (public.seen.lock().unwrap(), private.seen.lock().unwrap());
        assert!(public.authorizations.is_empty(), "{client:?}: {:?}", public.authorizations);
        let expected = "Bearer secret-of-the-scope";
        assert!(
            private.authorizations.iter().all(|value| value == expected),
            "{client:?}: {:?}",
            private.authorizations
        );
        assert!(private.authorizations.contains(expected), "{client:?}: no token came");
        private.authorizations.clear();
    }
}

#[test]
fn without_node_modules_yarn_keeps_packages_in_archives_and_those_are_compared() {
    let world = World::shared();
    let names = stocked(world, "plugged");
    let client = Client::YarnPnp;
    let project = Project::asking(world, "plugged", dependencies(&names));
    let document = client.through(world, &project, &["install"]).succeeded().json();
    assert_eq!(document["counts"]["Verified"], 1, "{document:#}");
    let receipt = &document["end"]["receipt"];
    assert_eq!(receipt["installed"], receipt["compared"], "{document:#}");
    assert!(receipt["compared"].as_u64() >= Some(5), "{document:#}");
    assert!(project.has(".pnp.cjs"));
    // Somebody changes an archive in yarn's cache: an installed file, still a sound zip.
    let archives = project.root.with_extension("home").join("berry/cache");
    let archive = std::fs::read_dir(&archives).unwrap().flatten().map(|entry| entry.path());
    let archive =
        archive.into_iter().find(|path| path.display().to_string().contains("plugged-plain-npm-1.0.0"));
    let archive = archive.expect("an archive");
    replace_in_archive(&archive);
    let before = project.contents();
    let ended = client.through(world, &project, &["install"]);
    assert!(ended.code.is_some_and(|code| code == 50 || code > 100), "{ended}");
    assert_eq!(project.contents(), before);
}

/// Another file in place of every `index.js`.
fn replace_in_archive(path: &std::path::Path) {
    use std::io::{Read as _, Write as _};
    let mut from = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut to = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for at in 0..from.len() {
        let mut entry = from.by_index(at).unwrap();
        let name = entry.name().unwrap().into_owned();
        if entry.is_dir() {
            to.add_directory(name, zip::write::SimpleFileOptions::default()).unwrap();
            continue;
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let stored =
            zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        to.start_file(&name, stored).unwrap();
        to.write_all(if name.ends_with("index.js") { b"evil" } else { &bytes }).unwrap();
    }
    std::fs::write(path, to.finish().unwrap().into_inner()).unwrap();
}

#[test]
fn the_short_commands_go_to_the_projects_own_package_manager() {
    let world = World::shared();
    let names = stocked(world, "short");
    stock(world, "short-more", "1.0.0", "good");
    stock(world, "short-other", "1.0.0", "good");
    for client in WITH_MODULES {
        let project =
            Project::asking(world, &format!("short-{client:?}").to_lowercase(), dependencies(&names));
        client.plain(world, &project, &["install"]).succeeded();
        let lockfile = project.read(client.lockfile());
        std::fs::remove_dir_all(project.root.join("node_modules")).unwrap();
        let user = client.user(world, &project);
        let document = user.threepm(["--json", "ci"]).succeeded().json();
        assert!(document["end"]["receipt"]["compared"].as_u64() >= Some(5), "{client:?}: {document:#}");
        assert_eq!(project.read(client.lockfile()), lockfile, "{client:?}");
        user.threepm(["install", "short-more"]).succeeded();
        assert!(
            project.has("node_modules/short-more/index.js")
                && project.read("package.json").contains("short-more"),
            "{client:?}"
        );
        user.threepm(["add", "short-other"]).succeeded();
        assert!(project.has("node_modules/short-other/index.js"), "{client:?}");
        user.threepm(["update"]).succeeded();
    }
}

#[test]
fn a_command_of_a_package_runs_after_the_same_checks_and_leaves_nothing() {
    let world = World::shared();
    let names = stocked(world, "exec");
    let project = Project::new(world, "exec");
    let ended = project.user.threepm(["exec", &names[3], "argument"]).succeeded();
    assert!(ended.stdout.contains("command"), "{ended}");
    assert!(!project.has("node_modules") && !project.has("package.json"));
    let manifest =
        json!({"name": "exec-code", "version": "1.0.0", "bin": {"leave": "leave.js", "say": "say.js"}});
    let program = "#!/usr/bin/env node\nprocess.exit(Number(process.argv[2]))\n";
    let say = "#!/usr/bin/env node\nprocess.stdin.pipe(process.stdout)\n";
    put(
        world,
        &world.person("alice"),
        &manifest,
        &tarball(&manifest, &[("leave.js", program), ("say.js", say)]),
    );
    project.user.threepm(["exec", "--package", "exec-code", "leave", "7"]).ended_with(7);
    let said =
        project.user.threepm_with_input(["exec", "--package", "exec-code", "say"], "through").succeeded();
    assert_eq!(said.stdout, "through");
    project.user.threepm(["exec", "exec-code"]).ended_with(2).refused().says(&["--package"]);
    project.user.threepm(["exec", "--package", "exec-code", "../../x"]).ended_with(2).refused();
    // Somebody without the team's signatures.
    let manifest = json!({"name": names[0], "version": "2.0.0", "bin": "./index.js"});
    put(
        world,
        &world.person("alice"),
        &manifest,
        &tarball(&manifest, &[("index.js", "#!/bin/sh\necho ran > ran\n")]),
    );
    project.user.threepm(["exec", &names[0]]).ended_with(30).refused();
    assert!(!project.has("ran"));
}

#[test]
fn what_runs_a_package_once_goes_through_the_same_checks_whatever_it_is_called() {
    let world = World::shared();
    let names = stocked(world, "once");
    // Nobody signed this one.
    let manifest = json!({"name": names[0], "version": "2.0.0", "bin": "./index.js"});
    let bytes = tarball(&manifest, &[("index.js", "#!/bin/sh\necho ran > ran\n")]);
    put(world, &world.person("alice"), &manifest, &bytes);
    for typed in [
        &["npx-intercept"][..],
        &["npm-intercept", "exec", "--"],
        &["pnpx-intercept"],
        &["pnpm-intercept", "dlx"],
        &["yarn-intercept", "dlx"],
        &["bunx-intercept"],
        &["bun-intercept", "x"],
    ] {
        let project = Project::new(world, &format!("once-{}", typed.join("-")));
        let run = |name: &str| project.user.threepm([typed, &[name, "argument"]].concat());
        let ended = run(&names[3]).succeeded();
        assert!(ended.stdout.contains("command"), "{typed:?}: {ended}");
        run(&names[0]).ended_with(30).refused().says(&["once-signed@2.0.0", "Unrecorded"]);
        assert!(!project.has("ran") && !project.has("node_modules"), "{typed:?}");
    }
}

/// What was kept of a project's last install.
fn receipt_of(project: &Project) -> Value {
    let folder = std::path::Path::new(&project.user.home()).join("receipts");
    let root = project.root.canonicalize().unwrap();
    let kept = std::fs::read_dir(folder).unwrap().flatten().map(|entry| std::fs::read(entry.path()).unwrap());
    let kept = kept.filter_map(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    kept.into_iter().find(|kept| kept["project"] == root.display().to_string()).expect("a receipt")
}
