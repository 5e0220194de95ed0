//! Attacks with what a project itself brings: lockfiles that put one package in another's place, settings that
//! lead to another server, programs in places where nobody looks for them. For every package manager that has
//! such a file; after each, nothing of the attacker's lies in the project and none of its programs ran.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use trust::Integrity;

use crate::clients::{ATTACKED, Client};
use crate::harness::proxy::{self, Request, Response, Upstream};
use crate::harness::world::World;
use crate::project::Project;
use crate::shelf::{ask, put, stock, tarball};
use crate::sieges::{EVIL, cleared, signed, through, untouched};

/// What a lockfile can say in place of the truth.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Lie {
    /// Where `mask-good` is asked for, `mask-evil` is what is meant.
    Name,
    /// The bytes of `mask-good` are those of `mask-evil`.
    Bytes,
}

/// `mask-good` is signed. `mask-evil` is not, and asks for itself: so somebody does.
fn masked(world: &World) -> Vec<u8> {
    signed(world, "mask-good");
    let manifest = json!({"name": "mask-evil", "version": "1.0.0", "dependencies": {"mask-evil": "*"}});
    let bytes = tarball(&manifest, &[("index.js", EVIL)]);
    put(world, &world.person("alice"), &manifest, &bytes);
    bytes
}

/// The honest lockfile, with the lie in it.
fn with(lie: Lie, client: Client, honest: &str, world: &World, evil: &[u8]) -> String {
    let good = Integrity::of(&crate::shelf::plain("mask-good", "1.0.0", "good")).to_string();
    let bad = Integrity::of(evil).to_string();
    let url = format!("{}mask-evil/-/mask-evil-1.0.0.tgz", world.registry());
    let honest = honest.replace(&good, &bad);
    match (client.command(), lie) {
        ("npm", _) => {
            let mut lockfile: Value = serde_json::from_str(&honest).expect("JSON");
            let entry = &mut lockfile["packages"]["node_modules/mask-good"];
            entry["resolved"] = json!(url);
            if lie == Lie::Name {
                entry["name"] = json!("mask-evil");
            }
            lockfile.to_string()
        }
        ("pnpm", Lie::Name) => honest
            .replace("version: 1.0.0\n", "version: mask-evil@1.0.0\n")
            .replace("  mask-good@1.0.0:", "  mask-evil@1.0.0:"),
        ("pnpm", Lie::Bytes) => honest.replace("resolution: {", &format!("resolution: {{tarball: {url}, ")),
        ("bun", Lie::Name) => honest.replace("[\"mask-good@1.0.0\"", "[\"mask-evil@1.0.0\""),
        ("bun", Lie::Bytes) => {
            honest.replace("[\"mask-good@1.0.0\", \"\"", &format!("[\"mask-good@1.0.0\", \"{url}\""))
        }
        (_, _) if client == Client::YarnClassic => {
            let lines = honest.lines().map(|line| match line.trim_start().starts_with("resolved ") {
                true => format!("  resolved \"{url}\""),
                false => line.to_owned(),
            });
            lines.collect::<Vec<_>>().join("\n") + "\n"
        }
        (_, lie) => {
            let lines = honest.lines().filter(|line| !line.trim_start().starts_with("checksum:"));
            let text = lines.collect::<Vec<_>>().join("\n") + "\n";
            let archive = url.replace(':', "%3A").replace('/', "%2F");
            match lie {
                Lie::Name => {
                    text.replace("resolution: \"mask-good@npm:1.0.0\"", "resolution: \"mask-evil@npm:1.0.0\"")
                }
                Lie::Bytes => text.replace(
                    "resolution: \"mask-good@npm:1.0.0\"",
                    &format!("resolution: \"mask-good@npm:1.0.0::__archiveUrl={archive}\""),
                ),
            }
        }
    }
}

#[test]
fn a_lockfile_that_puts_one_package_in_anothers_place() {
    let world = World::shared();
    let evil = masked(world);
    let clients = ATTACKED.map(|client| (client, false));
    // With links to a store, and nothing but names of links to see it by.
    for (client, isolated) in clients.into_iter().chain([(Client::Bun, true)]) {
        for lie in [Lie::Name, Lie::Bytes] {
            let name = format!("mask-{client:?}-{lie:?}-{isolated}").to_lowercase();
            let project = Project::asking(world, &name, json!({"mask-good": "1.0.0"}));
            if isolated {
                project.write("bunfig.toml", "[install]\nlinker = \"isolated\"\n");
            }
            client.plain(world, &project, &["install"]).succeeded();
            let honest = project.read(client.lockfile());
            let lying = with(lie, client, &honest, world, &evil);
            assert_ne!(lying, honest, "{name}");
            cleared(&project);
            project.write(client.lockfile(), &lying);
            let words: &[&str] = match client.command() {
                "pnpm" | "bun" => &["install", "--frozen-lockfile"],
                "npm" => &["ci"],
                _ => &["install"],
            };
            let ended = through(world, client, &project, world.registry(), words);
            untouched(client, &project, &ended);
            // Some write the lockfile anew, and install the good one.
            let is_good = || project.read("node_modules/mask-good/index.js") == "good";
            assert!(
                ended.code.is_some_and(|code| code >= 50)
                    || ended.code == Some(0) && client != Client::YarnPnp && is_good(),
                "{name}: {ended}"
            );
        }
    }
}

#[test]
fn programs_of_yarn_are_found_however_and_wherever_they_are_named() {
    let world = World::shared();
    stock(world, "mask-plugins", "1.0.0", "good");
    let written: [(&str, &str, &str); 8] = [
        ("quoted", ".yarnrc.yml", "\"plugins\":\n  - ./evil.cjs\n"),
        ("spaced", ".yarnrc.yml", "plugins :\n  - ./evil.cjs\n"),
        ("indented", ".yarnrc.yml", "  plugins:\n    - ./evil.cjs\n"),
        ("flow", ".yarnrc.yml", "{plugins: [./evil.cjs]}\n"),
        ("explicit", ".yarnrc.yml", "? plugins\n: - ./evil.cjs\n"),
        ("escaped", ".yarnrc.yml", "\"pl\\u0075gins\":\n  - ./evil.cjs\n"),
        ("below", "packages/a/.yarnrc.yml", "plugins:\n  - ./evil.cjs\n"),
        ("above", "../.yarnrc.yml", "plugins:\n  - ./evil.cjs\n"),
    ];
    for (what, file, text) in written {
        let project = Project::new(world, &format!("mask-plugins-{what}/project"));
        let manifest = json!({"name": "p", "private": true, "workspaces": ["packages/*"], "dependencies": {"mask-plugins": "1"}});
        project.write("package.json", &manifest.to_string());
        project.write("packages/a/package.json", "{\"name\": \"a\"}");
        let ran = project.root.join("ran");
        let program = format!(
            "require('fs').writeFileSync({:?}, ''); module.exports = {{name: 'x', factory: () => ({{}})}};",
            ran
        );
        for place in ["", "packages/a/", "../"] {
            project.write(&format!("{place}evil.cjs"), &program);
        }
        project.write(file, text);
        let at = if what == "below" { project.root.join("packages/a") } else { project.root.clone() };
        let project = Project { user: project.user.clone().at(&at), ..project };
        project.write("yarn.lock", "");
        let ended = through(world, Client::Yarn, &project, world.registry(), &["install"]);
        assert!(!project.has("ran"), "{what}: it ran: {ended}");
        ended.ended_with(4).refused().says(&["plugins"]);
    }
}

#[test]
fn what_a_build_left_in_a_store_is_not_what_was_checked() {
    let world = World::shared();
    let manifest = json!({"name": "mask-built", "version": "1.0.0", "scripts": {"postinstall": "node -e \"require('fs').writeFileSync('built.js', 'built')\""}});
    put(world, &world.person("alice"), &manifest, &tarball(&manifest, &[("index.js", "good")]));
    for client in [Client::Pnpm9, Client::Pnpm, Client::Pnpm11, Client::Yarn, Client::Bun] {
        let project = Project::new(world, &format!("mask-built-{client:?}").to_lowercase());
        let manifest = json!({"name": "p", "version": "1.0.0", "dependencies": {"mask-built": "1"}, "pnpm": {"onlyBuiltDependencies": ["mask-built"]}, "trustedDependencies": ["mask-built"], "dependenciesMeta": {"mask-built": {"built": true}}});
        project.write("package.json", &manifest.to_string());
        if client == Client::Pnpm11 {
            project.write("pnpm-workspace.yaml", "packages: []\nallowBuilds:\n  mask-built: true\n");
        }
        client.plain(world, &project, &["install"]).succeeded();
        assert!(project.has("node_modules/mask-built/built.js"), "{client:?} alone");
        for turn in 0..2 {
            std::fs::remove_dir_all(project.root.join("node_modules")).unwrap();
            let ended = through(world, client, &project, world.registry(), &["install"]);
            let ended = ended.succeeded();
            assert!(project.has("node_modules/mask-built/built.js"), "{client:?} {turn}: {ended}");
        }
    }
}

/// A server of the attacker's: how often somebody connected to it.
fn witness() -> (String, Arc<AtomicUsize>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for _ in listener.incoming() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    (url, count)
}

const NPM_AND_PNPM: &[Client] = &[Client::Npm, Client::Npm12, Client::Pnpm, Client::Pnpm11];
const PNPM: &[Client] = &[Client::Pnpm, Client::Pnpm11];

/// Settings of a project that lead past 3pm, to the registry or to `@EVIL@`. Those that name another registry are followed:
/// `scopes` has them.
const LEADING_PAST: &[(&[Client], &str, &str)] = &[
    (NPM_AND_PNPM, ".npmrc", "proxy=@EVIL@\nhttps-proxy=@EVIL@\nhttp-proxy=@EVIL@\n"),
    (NPM_AND_PNPM, ".npmrc", "noproxy=127.0.0.1\nno-proxy=127.0.0.1\nproxy=\nhttps-proxy=\n"),
    (NPM_AND_PNPM, ".npmrc", "cafile=./evil.pem\nstrict-ssl=false\nreplace-registry-host=always\n"),
    (
        PNPM,
        "pnpm-workspace.yaml",
        "packages: []\nhttpsProxy: \"@EVIL@\"\nhttpProxy: \"@EVIL@\"\nproxy: \"@EVIL@\"\n",
    ),
    (PNPM, "pnpm-workspace.yaml", "packages: []\nnoProxy: 127.0.0.1\nnoproxy: 127.0.0.1\nstrictSsl: false\n"),
    (&[Client::YarnClassic], ".yarnrc", "proxy \"@EVIL@\"\nhttps-proxy \"@EVIL@\"\nstrict-ssl false\n"),
    (&[Client::YarnClassic], ".yarnrc", "--proxy \"@EVIL@\"\n--https-proxy \"@EVIL@\"\n"),
    (&[Client::YarnClassic], ".yarnrc", "--install.proxy \"@EVIL@\"\n--install.https-proxy \"@EVIL@\"\n"),
    (&[Client::YarnClassic], ".yarnrc", "no-proxy 127.0.0.1\n--install.no-proxy 127.0.0.1\n"),
    (&[Client::Yarn, Client::YarnPnp], ".yarnrc.yml", "httpProxy: \"@EVIL@\"\nhttpsProxy: \"@EVIL@\"\n"),
    (
        &[Client::Yarn, Client::YarnPnp],
        ".yarnrc.yml",
        "networkSettings:\n  \"*\":\n    httpProxy: \"@EVIL@\"\n    httpsProxy: \"@EVIL@\"\n",
    ),
    (&[Client::Bun], "bunfig.toml", "[install]\nregistry = \"@EVIL@/\"\ncafile = \"./evil.pem\"\n"),
    (
        &[Client::Bun],
        ".env",
        "HTTP_PROXY=@EVIL@\nhttp_proxy=@EVIL@\nBUN_CONFIG_REGISTRY=@EVIL@/\nNO_PROXY=127.0.0.1\n",
    ),
];

#[test]
fn settings_of_a_project_reach_no_other_server_and_go_around_nothing() {
    let world = World::shared();
    signed(world, "mask-leads");
    let (evil, connected) = witness();
    // Who fetched the tarball: 3pm itself does so for what came past it, and only for that.
    let fetched: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = Arc::clone(&fetched);
    let registry = proxy::start(world.registry(), move |request: &Request, upstream: &Upstream| {
        if request.path.starts_with("/mask-leads/-/") {
            let agent = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("user-agent"));
            noted.lock().expect("no panic").extend(agent.map(|(_, agent)| agent.clone()));
        }
        ask(upstream, request)
    });
    for (number, (clients, file, text)) in LEADING_PAST.iter().enumerate() {
        for client in *clients {
            let name = format!("mask-leads-{number}-{client:?}").to_lowercase();
            let project = Project::asking(world, &name, json!({"mask-leads": "1"}));
            project.write(file, &text.replace("@EVIL@", &evil));
            project.write("evil.pem", "");
            let ended = through(world, *client, &project, &registry, &["install"]);
            untouched(*client, &project, &ended);
            assert_eq!(connected.load(Ordering::SeqCst), 0, "{name} {text}: {ended}");
            let fetched = std::mem::take(&mut *fetched.lock().expect("no panic"));
            let is_past = fetched.iter().any(|agent| agent.starts_with("3pm"));
            assert!(!is_past && fetched.is_empty() == (ended.code != Some(0)), "{name} {fetched:?}: {ended}");
        }
    }
}

#[test]
fn what_pnpm_would_fetch_before_it_answers_a_question_is_fetched_by_nobody() {
    let world = World::shared();
    let bytes = crate::shelf::plain("mask-first", "1.0.0", EVIL);
    stock(world, "mask-beside-first", "1.0.0", "good");
    let (served, asked) = (bytes.clone(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&asked);
    let elsewhere = proxy::start(world.registry(), move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        Some(Response { status: 200, headers: vec![], body: served.clone() })
    });
    let integrity = Integrity::of(&bytes);
    let url = format!("{elsewhere}mask-first/-/mask-first-1.0.0.tgz");
    let yaml = format!(
        "packages: []\nconfigDependencies:\n  mask-first:\n    tarball: {url}\n    integrity: 1.0.0+{integrity}\n"
    );
    let inside = json!({"mask-first": {"tarball": url, "integrity": format!("1.0.0+{integrity}")}});
    for client in [Client::Pnpm9, Client::Pnpm, Client::Pnpm11] {
        for (what, words) in [
            ("settings", &["install"][..]),
            ("manifest", &["install"]),
            ("ignored", &["install", "--ignore-workspace"]),
        ] {
            let name = format!("mask-first-{what}-{client:?}").to_lowercase();
            let project = Project::asking(world, &name, json!({"mask-beside-first": "1"}));
            if what == "manifest" {
                let mut manifest: Value = serde_json::from_str(&project.read("package.json")).unwrap();
                manifest["pnpm"] = json!({"configDependencies": inside});
                project.write("package.json", &manifest.to_string());
            } else {
                project.write("pnpm-workspace.yaml", &yaml);
            }
            let before = project.contents();
            let ended = through(world, client, &project, world.registry(), words);
            assert_eq!(asked.load(Ordering::SeqCst), 0, "{name}: {ended}");
            assert_eq!(project.contents(), before, "{name}: {ended}");
            ended.ended_with(4).refused().says(&["configDependencies"]);
        }
    }
}

#[test]
fn an_optional_package_that_is_refused_is_no_success() {
    let world = World::shared();
    signed(world, "mask-optional");
    let manifest = json!({"name": "mask-optional", "version": "1.1.0"});
    put(world, &world.person("alice"), &manifest, &tarball(&manifest, &[("index.js", EVIL)]));
    stock(world, "mask-beside", "1.0.0", "good");
    for client in ATTACKED {
        let project = Project::new(world, &format!("mask-optional-{client:?}").to_lowercase());
        let manifest = json!({"name": "p", "version": "1.0.0", "dependencies": {"mask-beside": "1"},
            "optionalDependencies": {"mask-optional": "1.1.0"}});
        project.write("package.json", &manifest.to_string());
        let before = project.contents();
        let ended = through(world, client, &project, world.registry(), &["install"]);
        // Some of them say 0 themselves.
        ended.clone().ended_with(30).refused().says(&["mask-optional@1.1.0"]);
        untouched(client, &project, &ended);
        assert_eq!(project.contents(), before, "{client:?}");
    }
}

#[test]
fn code_that_pnpm_would_load_from_the_project_or_from_a_package_is_not_loaded() {
    let world = World::shared();
    stock(world, "mask-hooks", "1.0.0", "good");
    let program = "require('fs').writeFileSync(process.env.MASK_RAN, ''); module.exports = {hooks: {updateConfig: c => c}};";
    let manifest = json!({"name": "pnpm-plugin-mask", "version": "1.0.0"});
    let hooks = [
        ("pnpmfile.cjs", program),
        ("pnpmfile.mjs", "import fs from 'node:fs'; fs.writeFileSync(process.env.MASK_RAN, '')\n"),
    ];
    let bytes = tarball(&manifest, &hooks);
    put(world, &world.person("alice"), &manifest, &bytes);
    let plugin =
        format!("packages: []\nconfigDependencies:\n  pnpm-plugin-mask: 1.0.0+{}\n", Integrity::of(&bytes));
    let module =
        "import fs from 'node:fs'; fs.writeFileSync(process.env.MASK_RAN, ''); export const hooks = {};\n";
    for client in [Client::Pnpm9, Client::Pnpm, Client::Pnpm11] {
        for (what, files) in [
            ("plugin", &[("pnpm-workspace.yaml", plugin.as_str())][..]),
            ("module", &[(".pnpmfile.mjs", module)]),
            (
                "named",
                &[("evil.cjs", program), ("pnpm-workspace.yaml", "packages: []\npnpmfile: ./evil.cjs\n")],
            ),
            (
                "global",
                &[
                    ("evil.cjs", program),
                    (".npmrc", "global-pnpmfile=./evil.cjs\npnpmfile=./evil.cjs\nignore-pnpmfile=false\n"),
                ],
            ),
        ] {
            let name = format!("mask-hooks-{what}-{client:?}").to_lowercase();
            let project = Project::asking(world, &name, json!({"mask-hooks": "1"}));
            files.iter().for_each(|(file, text)| project.write(file, text));
            let ran = project.root.with_extension("ran");
            let user = client.user(world, &project).with("MASK_RAN", ran.display().to_string());
            let ended = user.threepm(["run-with", "pnpm", "--json", "--", "install"]);
            assert!(!ran.exists(), "{name}: it ran: {ended}");
            if ended.code == Some(0) {
                assert_eq!(project.read("node_modules/mask-hooks/index.js"), "good", "{name}");
            }
        }
    }
}

#[test]
fn a_cache_in_the_project_is_as_before_when_the_install_is_refused() {
    let world = World::shared();
    signed(world, "mask-zip");
    let manifest = json!({"name": "mask-zip", "version": "1.1.0"});
    put(world, &world.person("alice"), &manifest, &tarball(&manifest, &[("index.js", EVIL)]));
    stock(world, "mask-zip-beside", "1.0.0", "good");
    for client in [Client::Yarn, Client::YarnPnp] {
        let project = Project::asking(
            world,
            &format!("mask-zip-{client:?}").to_lowercase(),
            json!({"mask-zip-beside": "1", "mask-zip": "1.1.0"}),
        );
        project.write(".yarnrc.yml", "enableGlobalCache: false\n");
        project.write(".yarn/releases/own.txt", "");
        project.write(".yarn/cache/own.txt", "");
        let user = client.user(world, &project).with("YARN_CACHE_FOLDER", "./.yarn/cache");
        let before = project.contents();
        let ended = user.threepm(["run-with", "yarn", "--json", "--", "install"]).ended_with(30).refused();
        let now = project.contents();
        assert!(now.keys().eq(before.keys()), "{client:?}: {:?} {ended}", now.keys());
    }
}
