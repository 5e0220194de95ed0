//! A private registry of a scope, with a token, as each package manager names it in its own settings: what lies there is
//! asked for there and nowhere else, also by us.

use std::sync::{Arc, Mutex};

use serde_json::json;
use trust::Integrity;

use crate::clients::{Client, WITH_MODULES};
use crate::harness::people::Person;
use crate::harness::proxy::{self, Request, Response, Upstream};
use crate::harness::world::World;
use crate::project::Project;
use crate::shelf::{ask, put, tarball};
use crate::sieges::{EVIL, lying, signed, untouched};

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

/// Where a project names the registry of everything, in the words of each.
const NAMED: [(Client, &str, &str); 8] = [
    (Client::Npm, ".npmrc", "registry=@THERE@/\n"),
    (Client::Npm12, ".npmrc", "registry=@THERE@/\n"),
    (Client::Pnpm, ".npmrc", "registry=@THERE@/\n"),
    (Client::Pnpm11, "pnpm-workspace.yaml", "packages: []\nregistries:\n  default: \"@THERE@/\"\n"),
    (Client::YarnClassic, ".yarnrc", "registry \"@THERE@/\"\n"),
    (Client::Yarn, ".yarnrc.yml", "npmRegistryServer: \"@THERE@\"\n"),
    (Client::YarnPnp, ".yarnrc.yml", "npmRegistryServer: \"@THERE@\"\n"),
    (Client::Bun, "bunfig.toml", "[install]\nregistry = \"@THERE@/\"\n"),
];

/// The project's user, whose registry stands in files of the home and in no variable: a project's stands above those.
fn configured_at_home(client: Client, world: &World, project: &Project, registry: &str) -> Person {
    let home = project.root.with_extension("home");
    std::fs::create_dir_all(&home).expect("a folder");
    let write = |name: &str, text: String| std::fs::write(home.join(name), text).expect("written");
    // Above both of yarn 1's own files.
    let npmrc = if client == Client::YarnClassic { String::new() } else { format!("registry={registry}\n") };
    write(".npmrc", npmrc);
    write(".yarnrc", format!("registry \"{registry}\"\n"));
    write(".yarnrc.yml", format!("npmRegistryServer: \"{}\"\n", registry.trim_end_matches('/')));
    write(".bunfig.toml", format!("[install]\nregistry = \"{registry}\"\n"));
    let variables = [
        "NPM_CONFIG_REGISTRY",
        "npm_config_registry",
        "pnpm_config_registry",
        "YARN_REGISTRY",
        "YARN_NPM_REGISTRY_SERVER",
        "BUN_CONFIG_REGISTRY",
    ];
    let user = client.user_of(world, project, registry);
    let user = variables.into_iter().fold(user, |user, name| user.without(name));
    user.with("NPM_CONFIG_USERCONFIG", home.join(".npmrc").display().to_string())
}

#[test]
fn a_registry_that_a_project_names_is_said_and_what_it_serves_is_judged() {
    let world = World::shared();
    let name = "named-registry";
    signed(world, name);
    let bytes = crate::shelf::plain(name, "1.0.0", EVIL);
    let (users, seen) = registry(world, |_, _| None);
    let (honest, seen_there) = registry(world, |_, _| None);
    let evil = lying(world, move |request, response| match request.path.rsplit('/').next() {
        Some(last) if last.ends_with(".tgz") => response.body = bytes.clone(),
        Some("named-registry") => response.edit_json(|document| {
            let dist = &mut document["versions"]["1.0.0"]["dist"];
            dist["integrity"] = json!(Integrity::of(&bytes).to_string());
            dist.as_object_mut().map(|dist| dist.remove("shasum"));
        }),
        _ => {}
    });
    for (client, file, text) in NAMED {
        let run = |there: &str, place: &str| {
            let project =
                Project::asking(world, &format!("{name}-{client:?}-{place}").to_lowercase(), json!({}));
            project.write("package.json", &json!({"name": "p", "dependencies": {name: "1"}}).to_string());
            project.write(file, &text.replace("@THERE@", there.trim_end_matches('/')));
            let words = ["run-with", client.command(), "--json", "--", "install"];
            let ended = configured_at_home(client, world, &project, &users).threepm(words);
            (project, ended)
        };
        let (_, ended) = run(&honest, "honest");
        let report = ended.succeeded().json();
        assert_eq!(report["counts"]["Verified"], 1, "{client:?}: {report:#}");
        let said = report["settings"].as_array().expect("settings");
        let said: Vec<_> = said.iter().map(|noted| (&noted["setting"], &noted["value"])).collect();
        assert_eq!(said, [(&json!("registry"), &json!(honest))], "{client:?}");
        let asked = std::mem::take(&mut *seen_there.lock().unwrap());
        assert!(asked.iter().any(|(path, _)| path.ends_with(".tgz")), "{client:?}: {asked:?}");
        let (project, ended) = run(&evil, "evil");
        let ended = ended.ended_with(50).refused();
        ended.clone().says(&["named-registry@1.0.0"]);
        untouched(client, &project, &ended);
        let strayed = std::mem::take(&mut *seen.lock().unwrap());
        assert!(strayed.is_empty(), "{client:?}: {strayed:?}");
    }
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

#[test]
fn settings_above_a_project_say_nothing_about_what_is_run_in_it() {
    let world = World::shared();
    let manifest = json!({"name": "above-tool", "version": "1.0.0", "bin": "./tool.js"});
    let program = "#!/usr/bin/env node\nconsole.log('the tool')\n";
    put(world, &world.person("alice"), &manifest, &tarball(&manifest, &[("tool.js", program)]));
    let dead = "registry=http://127.0.0.1:9/\n";
    for (place, has_project) in [("settings-above/project", true), ("settings-above/empty", false)] {
        let project = Project::new(world, place);
        project.write("../.npmrc", dead);
        if has_project {
            project.write("package.json", "{\"name\": \"p\"}");
        }
        let user = configured_at_home(Client::Npm, world, &project, world.registry());
        let ended = user.threepm(["exec", "above-tool"]).succeeded();
        assert_eq!(ended.stdout.trim(), "the tool", "{place}: {ended}");
        project.write(".npmrc", dead);
        user.threepm(["exec", "above-tool"]).refused();
    }
}
