//! A private registry of a scope, with a token, as each package manager names it in its own settings: what lies there is
//! asked for there and nowhere else, also by us.

use std::sync::{Arc, Mutex};

use serde_json::json;
use trust::Integrity;

use crate::clients::{Client, WITH_MODULES};
use crate::harness::proxy::{self, Request, Response, Upstream};
use crate::harness::world::World;
use crate::project::Project;
use crate::shelf::ask;
use crate::sieges::signed;

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

#[test]
fn what_a_scopes_own_registry_has_is_asked_for_there_and_nowhere_else() {
    let world = World::shared();
    let name = "@scoped/signed";
    let integrity = Integrity::of(&signed(world, name));
    let digest: String = integrity.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let (public, seen_in_public) = registry(world, |path, _| path.starts_with("/@scoped").then_some(404));
    let (private, seen) =
        registry(world, |path, sent| (path.starts_with("/@scoped") && sent != Some(TOKEN)).then_some(401));
    for client in WITH_MODULES.into_iter().chain([Client::YarnPnp]) {
        let laid = |place: &str| {
            let place = format!("scopes-{client:?}/{place}").to_lowercase();
            let project = Project::asking(world, &place, json!({name: "1"}));
            project
                .write("package.json", &json!({"name": "scopes", "dependencies": {name: "1"}}).to_string());
            configure(client, &project, &private);
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
