//! Honest packages of every shape: none of them may be a mismatch. Published by npm itself, which rewrites
//! manifests on the way, and uploaded raw, as a coordinator does, which does not.

use serde_json::{Value, json};

use crate::harness::world::World;
use crate::ledger::{Ledger, TEAM};
use crate::project::Project;
use crate::shelf::{put, tarball};

/// Name, manifest fields, further files.
fn shapes() -> Vec<(&'static str, Value, Vec<(&'static str, &'static str)>)> {
    let cli = ("cli.js", "#!/usr/bin/env node\r\nconsole.log(1)\r\n");
    vec![
        ("plain", json!({}), vec![("index.js", "1")]),
        ("bin-text", json!({"bin": "./cli.js"}), vec![cli]),
        ("bin-map", json!({"bin": {"one": "./x/../cli.js", "two": "cli.js"}}), vec![cli]),
        ("bin-list", json!({"bin": ["./cli.js"]}), vec![cli]),
        (
            "bin-folder",
            json!({"directories": {"bin": "./tools"}}),
            vec![("tools/t1", "#!/bin/sh\n"), ("tools/t2.js", "1")],
        ),
        ("bin-gone", json!({"bin": {"a": "./nothing.js"}}), vec![]),
        (
            "optional",
            json!({"dependencies": {"z-base": "1"}, "optionalDependencies": {"z-base": "1"}}),
            vec![],
        ),
        (
            "peers",
            json!({"peerDependencies": {"z-base": "*", "zz": "1"}, "peerDependenciesMeta": {"zz": {"optional": true}}}),
            vec![],
        ),
        ("platform", json!({"os": "linux", "cpu": ["x64", "arm64"], "engines": {"node": ">=1"}}), vec![]),
        ("engines-list", json!({"engines": ["node >= 0.6"]}), vec![]),
        ("script", json!({"scripts": {"postinstall": "node -e 1", "test": "x"}}), vec![]),
        ("script-empty", json!({"scripts": {"preinstall": "", "postinstall": " "}}), vec![]),
        ("gyp-not", json!({"gypfile": false}), vec![("binding.gyp", "{}")]),
        ("alias", json!({"dependencies": {"mine": "npm:z-base@^1.0.0"}}), vec![]),
        ("ignores", json!({}), vec![(".npmignore", "a"), ("sub/.npmignore", "b"), ("sub/x", "c")]),
        (
            "bundle",
            json!({"dependencies": {"z-base": "1"}, "bundleDependencies": ["z-base"]}),
            vec![("node_modules/z-base/package.json", r#"{"name": "z-base", "version": "1.0.0"}"#)],
        ),
        (
            "bundle-all",
            json!({"dependencies": {"z-base": "1"}, "bundledDependencies": true}),
            vec![("node_modules/z-base/package.json", r#"{"name": "z-base", "version": "1.0.0"}"#)],
        ),
        (
            "empties",
            json!({"dependencies": {}, "peerDependencies": {}, "optionalDependencies": {}, "bin": {}, "os": [], "engines": {}}),
            vec![],
        ),
    ]
}

fn base(world: &World) {
    static BASE: std::sync::Once = std::sync::Once::new();
    BASE.call_once(|| {
        crate::shelf::stock(world, "z-base", "1.0.0", "base");
    });
}

/// Every one of `names`, all signed, installs and is compared file by file.
#[track_caller]
fn all_verify(world: &World, project: &str, names: &[String]) {
    let dependencies: serde_json::Map<String, Value> =
        names.iter().map(|name| (name.clone(), json!("1.0.0"))).collect();
    let project = Project::asking(world, project, Value::Object(dependencies));
    let document = project.install(&["--json"]).succeeded().json();
    let verified = document["counts"]["Verified"].as_u64();
    assert_eq!(verified, Some(names.len() as u64), "{document:#}");
    assert!(document["end"]["receipt"]["compared"].as_u64() >= verified, "{document:#}");
}

#[test]
fn uploaded_raw_every_shape_verifies() {
    let world = World::shared();
    base(world);
    let ledger = Ledger::of(world);
    let mut names = Vec::new();
    for (shape, fields, files) in shapes() {
        let name = format!("z-raw-{shape}");
        let mut manifest = json!({"name": name, "version": "1.0.0"});
        manifest.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
        let tarball = tarball(&manifest, &files);
        put(world, &world.person("alice"), &manifest, &tarball);
        ledger.claim(&name, &TEAM);
        ledger.publish(&name, "1.0.0", &tarball, &["alice", "bob"]);
        names.push(name);
    }
    all_verify(world, "shapes-raw", &names);
}

#[test]
fn published_by_npm_every_shape_verifies() {
    let world = World::shared();
    base(world);
    let ledger = Ledger::of(world);
    let mut names = Vec::new();
    let more = [("version", json!({"version": "v1.0.0+build.1"}), vec![])];
    for (shape, fields, files) in shapes().into_iter().chain(more) {
        let name = format!("z-npm-{shape}");
        let folder = world.new_folder(&format!("shapes/{shape}"));
        let mut manifest = json!({"name": name, "version": "1.0.0"});
        manifest.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
        std::fs::write(folder.join("package.json"), manifest.to_string()).expect("written");
        for (path, content) in files {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, content).expect("written");
        }
        world.person("alice").at(&folder).npm(["publish", "--ignore-scripts"]).succeeded();
        let tarball = served(world, &name);
        ledger.claim(&name, &TEAM);
        ledger.publish(&name, "1.0.0", &tarball, &["alice", "bob"]);
        names.push(name);
    }
    all_verify(world, "shapes-npm", &names);
}

/// What the registry serves as 1.0.0.
fn served(world: &World, name: &str) -> Vec<u8> {
    use crate::harness::proxy::{Request, Upstream};
    let headers = vec![("host".into(), "127.0.0.1".into())];
    let request =
        Request { method: "GET".into(), path: format!("/{name}/-/{name}-1.0.0.tgz"), headers, body: vec![] };
    let response = Upstream::at(world.registry()).ask(&request).expect("an answer");
    assert_eq!(response.status, 200, "{name}");
    response.body
}
