//! A private registry of a scope, with a token, as each package manager names it in its own settings: what lies there is
//! asked for there and nowhere else, also by us.

use std::sync::{Arc, Mutex};

use serde_json::json;
use trust::Integrity;

use crate::clients::{Client, WITH_MODULES};
use crate::harness::proxy::{self, Request, Response, Upstream};
use crate::harness::world::World;
use crate::project::Project;
use crate::shelf::{ask, put, tarball};
use crate::sieges::{EVIL, signed};

const TOKEN: &str = "Bearer token-of-the-scope";

/// The requests that a registry saw, each with what it was sent.
type Seen = Arc<Mutex<Vec<(String, Option<String>)>>>;

/// The world's registry, which notes what is asked and answers what `admits` lets through.
fn registry(world: &World, admits: fn(&str, Option<&str>) -> Option<u16>) -> (String, Seen) {
    let seen = Seen::default();
    let noted = Arc::clone(&seen);
    let url = proxy::start(world.registry(), move |request: &Request, upstream: &Upstream| {
        let is_sent = |(name, _): &&(String, String)| name.eq_ignore_ascii_case("authorization");
        let sent = request.headers.iter().find(is_sent).map(|(_, value)| value.clone());
        noted.lock().unwrap().push((request.path.clone(), sent.clone()));
        if let Some(status) = admits(&request.path, sent.as_deref()) {
            return Some(Response { status, headers: vec![], body: b"{}".to_vec() });
        }
        let mut request = request.clone();
        request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("authorization"));
        ask(upstream, &request)
    });
    (url, seen)
}

/// The scope's registry, in the words of each.
fn configure(client: Client, project: &Project, private: &str) {
    let token = TOKEN.trim_start_matches("Bearer ");
    match client {
        Client::Yarn | Client::YarnPnp => project.write(
            ".yarnrc.yml",
            &format!(
                "npmScopes:\n  scoped:\n    npmRegistryServer: \"{}\"\n    npmAlwaysAuth: true\n    npmAuthToken: \"{token}\"\n    npmMinimalAgeGate: 0\n",
                private.trim_end_matches('/')
            ),
        ),
        Client::Bun => project.write(
            "bunfig.toml",
            &format!("[install.scopes]\nscoped = {{ url = \"{private}\", token = \"{token}\" }}\n"),
        ),
        _ => {
            let host = private.trim_start_matches("http:");
            project.write(".npmrc", &format!("@scoped:registry={private}\n{host}:_authToken={token}\n"));
        }
    }
}

/// The same in pnpm's own words, and not in npm's.
fn configure_pnpm(project: &Project, private: &str) {
    let host = private.trim_start_matches("http:");
    let token = TOKEN.trim_start_matches("Bearer ");
    project.write(".npmrc", &format!("{host}:_authToken={token}\n"));
    project
        .write("pnpm-workspace.yaml", &format!("packages: []\nregistries:\n  \"@scoped\": \"{private}\"\n"));
}

#[test]
fn what_a_scopes_own_registry_has_is_asked_for_there_and_nowhere_else() {
    let world = World::shared();
    let name = "@scoped/signed";
    let integrity = Integrity::of(&signed(world, name));
    let digest: String = integrity.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let (public, seen_in_public) = registry(world, |path, _| path.starts_with("/@scoped").then_some(404));
    let (private, seen) =
        registry(world, |path, sent| (path.starts_with("/@scoped") && sent != Some(TOKEN)).then_some(401));
    let clients = WITH_MODULES.into_iter().chain([Client::YarnPnp]).map(|client| (client, false));
    for (client, listed) in clients.chain([(Client::Pnpm, true), (Client::Pnpm11, true)]) {
        let laid = |place: &str| {
            let place = format!("scopes-{client:?}-{listed}/{place}").to_lowercase();
            let project = Project::asking(world, &place, json!({name: "1"}));
            project
                .write("package.json", &json!({"name": "scopes", "dependencies": {name: "1"}}).to_string());
            match listed {
                false => configure(client, &project, &private),
                true => configure_pnpm(&project, &private),
            }
            project
        };
        let run = |project: &Project| {
            let words = ["run-with", client.command(), "--json", "--", "install"];
            let report = client.user_of(world, project, &public).threepm(words).succeeded().json();
            let receipt = &report["end"]["receipt"];
            assert_eq!((&receipt["installed"], &receipt["compared"]), (&json!(1), &json!(1)), "{client:?}");
            assert!(report.to_string().contains("Verified"), "{client:?}: {report:#}");
        };
        let (alone, project) = (laid("alone"), laid("through"));
        client.user_of(world, &alone, &public).program(client.command(), ["install"]).succeeded();
        run(&project);
        assert_eq!(project.read(client.lockfile()), alone.read(client.lockfile()), "{client:?}");
        // Out of a warm cache, and no run before kept it: what is signed is read anew, and by us.
        let kept = std::path::Path::new(&project.user.home()).join("signed").join(format!("{digest}.tgz"));
        std::fs::remove_file(kept).expect("it was kept");
        seen.lock().unwrap().clear();
        for left in ["node_modules", ".pnp.cjs", client.lockfile()] {
            let left = project.root.join(left);
            let _ = std::fs::remove_dir_all(&left).or_else(|_| std::fs::remove_file(&left));
        }
        run(&project);
        let asked = seen.lock().unwrap().clone();
        let tarballs: Vec<_> = asked.iter().filter(|(path, _)| path.ends_with(".tgz")).collect();
        assert!(!tarballs.is_empty(), "{client:?}: {asked:?}");
        assert!(tarballs.iter().all(|(_, sent)| sent.as_deref() == Some(TOKEN)), "{client:?}: {asked:?}");
    }
    let strayed: Vec<_> = seen_in_public.lock().unwrap().clone();
    let strayed =
        strayed.iter().filter(|(path, sent)| path.contains("scoped") || sent.as_deref() == Some(TOKEN));
    assert_eq!(strayed.collect::<Vec<_>>(), Vec::<&(String, Option<String>)>::new());
}

#[test]
fn a_command_comes_from_the_registry_that_the_project_itself_would_ask() {
    let world = World::shared();
    let name = "@scoped/tool";
    // The scope's registry has an honest one, the public one an impostor of a higher version.
    let said = |version: &str, word: &str| {
        let manifest = json!({"name": name, "version": version, "bin": "./tool.js"});
        let program = format!("#!/usr/bin/env node\nconsole.log('{word}')\n");
        put(world, &world.person("alice"), &manifest, &tarball(&manifest, &[("tool.js", &program)]));
    };
    said("1.0.0", "the private one");
    said("9.9.9", EVIL);
    let only = |version: &'static str, token: Option<&'static str>| {
        let seen = Seen::default();
        let noted = Arc::clone(&seen);
        let url = proxy::start(world.registry(), move |request: &Request, upstream: &Upstream| {
            let is_sent = |(name, _): &&(String, String)| name.eq_ignore_ascii_case("authorization");
            let sent = request.headers.iter().find(is_sent).map(|(_, value)| value.clone());
            let mut request = request.clone();
            request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("authorization"));
            noted.lock().unwrap().push((request.path.clone(), sent.clone()));
            let is_tool = request.path.starts_with("/@scoped");
            if is_tool && token.is_some() && sent.as_deref() != token {
                return Some(Response { status: 401, headers: vec![], body: b"{}".to_vec() });
            }
            let mut response = ask(upstream, &request)?;
            if is_tool && !request.path.ends_with(".tgz") {
                response.edit_json(|document| {
                    let described = document["versions"][version].clone();
                    document["versions"] = json!({version: described});
                    document["dist-tags"] = json!({"latest": version});
                });
            }
            Some(response)
        });
        (url, seen)
    };
    let (public, seen) = only("9.9.9", None);
    let (private, _) = only("1.0.0", Some(TOKEN));
    let clients = [Client::Npm, Client::Pnpm, Client::Pnpm11, Client::YarnClassic, Client::Yarn, Client::Bun];
    let clients = clients.map(|client| (client, false)).into_iter();
    for (client, listed) in clients.chain([(Client::Pnpm, true), (Client::Pnpm11, true)]) {
        let project = Project::new(world, &format!("scopes-exec-{client:?}-{listed}").to_lowercase());
        project.write("package.json", "{\"name\": \"p\"}");
        project.write(client.lockfile(), "");
        match listed {
            false => configure(client, &project, &private),
            true => configure_pnpm(&project, &private),
        }
        let ended = client.user_of(world, &project, &public).threepm(["exec", name]).succeeded();
        assert_eq!(ended.stdout.trim(), "the private one", "{client:?} {listed}: {ended}");
    }
    let strayed = seen.lock().unwrap().clone();
    let strayed: Vec<_> = strayed.iter().filter(|(path, _)| path.contains("scoped")).collect();
    assert!(strayed.is_empty(), "{strayed:?}");
}
