//! Attacks on an install by every package manager, through `3pm run-with`. After each, not one byte of the
//! attacker lies in the project and none of its programs ran.

use std::path::Path;

use serde_json::{Value, json};
use trust::Integrity;

use crate::clients::{ATTACKED, Client};
use crate::harness::people::Ended;
use crate::harness::proxy::{self, Request, Response, Upstream};
use crate::harness::world::World;
use crate::ledger::{Ledger, TEAM};
use crate::project::Project;
use crate::shelf::{ask, put, stock, tarball};

/// In everything that an attacker wrote.
pub const EVIL: &str = "written-by-the-attacker";

/// A tarball of an attacker: it says so, and would leave a file if it ran.
pub fn evil(name: &str, version: &str) -> Vec<u8> {
    let manifest = json!({"name": name, "version": version, "description": EVIL, "scripts": {"postinstall": "echo ran > ../../ran", "preinstall": "echo ran > ../../ran"}});
    tarball(&manifest, &[("index.js", EVIL), ("install.js", EVIL)])
}

/// A package that a team signed.
pub fn signed(world: &World, name: &str) -> Vec<u8> {
    let ledger = Ledger::of(world);
    let tarball = stock(world, name, "1.0.0", "good");
    ledger.claim(name, &TEAM);
    ledger.publish(name, "1.0.0", &tarball, &["alice", "bob"]);
    tarball
}

/// The world's registry, with every answer passed through `lie`.
pub fn lying(world: &World, lie: impl Fn(&Request, &mut Response) + Send + Sync + 'static) -> String {
    proxy::start(world.registry(), move |request: &Request, upstream: &Upstream| {
        let mut response = ask(upstream, request)?;
        lie(request, &mut response);
        Some(response)
    })
}

/// The same run for every package manager: refused with one of `codes`, and nothing of the attacker's anywhere.
#[track_caller]
fn repelled(
    world: &World,
    name: &str,
    asks: &Value,
    registry: &str,
    codes: &[i32],
    prepare: impl Fn(Client, &Project),
) {
    repelled_by(&ATTACKED, world, name, asks, registry, codes, prepare);
}

/// The same for these.
#[track_caller]
fn repelled_by(
    clients: &[Client],
    world: &World,
    name: &str,
    asks: &Value,
    registry: &str,
    codes: &[i32],
    prepare: impl Fn(Client, &Project),
) {
    for client in clients.iter().copied() {
        let project = Project::asking(world, &format!("{name}-{client:?}").to_lowercase(), asks.clone());
        prepare(client, &project);
        let ended = through(world, client, &project, registry, &["install"]);
        assert!(ended.code.is_some_and(|code| codes.contains(&code)), "{client:?}: {codes:?}: {ended}");
        untouched(client, &project, &ended);
    }
}

pub fn through(
    world: &World,
    client: Client,
    project: &Project,
    registry: &str,
    arguments: &[&str],
) -> Ended {
    let mut all = vec!["run-with", client.command(), "--json", "--"];
    all.extend(arguments);
    client.user_of(world, project, registry).threepm(all)
}

/// Nothing of the attacker's in the project, and nothing left of the run.
#[track_caller]
pub fn untouched(client: Client, project: &Project, ended: &Ended) {
    assert!(!project.has("ran"), "{client:?}: a script ran: {ended}");
    assert!(!project.has(".3pm-install"), "{client:?}: {ended}");
    let found = find(&project.root.join("node_modules"));
    assert!(found.is_none(), "{client:?}: {found:?}: {ended}");
    if project.has(".pnp.cjs") {
        let all = with_table(project, EVERY_FILE).stdout;
        assert!(!all.contains(EVIL), "{client:?}: {all}: {ended}");
    }
}

/// Prints the files of all packages that the table of Plug'n'Play has, out of their archives.
const EVERY_FILE: &str = "const fs = require('fs'), table = require('pnpapi');
    for (const locator of table.getAllLocators()) {
        const { packageLocation } = table.getPackageInformation(locator);
        for (const name of fs.readdirSync(packageLocation)) {
            try { process.stdout.write(fs.readFileSync(packageLocation + name)) } catch {}
        }
    }";

/// Runs a line of JavaScript that sees packages as the project does.
fn with_table(project: &Project, script: &str) -> Ended {
    project.user.program("node", ["--require", "./.pnp.cjs", "-e", script]).succeeded()
}

/// A package's `index.js`, wherever the package manager has it.
fn code_of(client: Client, project: &Project, name: &str) -> String {
    if client != Client::YarnPnp {
        return project.read(&format!("node_modules/{name}/index.js"));
    }
    let script =
        format!("process.stdout.write(require('fs').readFileSync(require.resolve('{name}/index.js')))");
    with_table(project, &script).stdout
}

/// As if nothing had been installed yet.
pub fn cleared(project: &Project) {
    for left in ["node_modules", ".pnp.cjs", ".yarn"] {
        let left = project.root.join(left);
        let _ = std::fs::remove_dir_all(&left).or_else(|_| std::fs::remove_file(&left));
    }
}

/// The first file that holds the attacker's word.
pub fn find(folder: &Path) -> Option<std::path::PathBuf> {
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        let found = if entry.file_type().ok()?.is_dir() {
            find(&path)
        } else {
            let holds =
                std::fs::read(&path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(EVIL));
            holds.then_some(path)
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

pub fn is_tarball_of(request: &Request, name: &str) -> bool {
    request.path.starts_with(&format!("/{name}/-/"))
}

pub fn announce(response: &mut Response, version: &str, bytes: &[u8]) {
    response.edit_json(|document| {
        if document["versions"].get(version).is_some() {
            let dist = &mut document["versions"][version]["dist"];
            dist["integrity"] = json!(Integrity::of(bytes).to_string());
            if let Some(dist) = dist.as_object_mut() {
                dist.remove("shasum");
            }
        }
    });
}

#[test]
fn other_bytes_under_a_signed_version_whether_announced_or_not() {
    let world = World::shared();
    signed(world, "siege-bytes");
    let bytes = evil("siege-bytes", "1.0.0");
    for announced in [false, true] {
        let bytes = bytes.clone();
        let registry = lying(world, move |request, response| {
            if is_tarball_of(request, "siege-bytes") {
                response.body = bytes.clone();
            } else if announced {
                announce(response, "1.0.0", &bytes);
            }
        });
        repelled(
            world,
            &format!("siege-bytes-{announced}"),
            &json!({"siege-bytes": "1"}),
            &registry,
            &[50],
            |_, _| {},
        );
    }
}

#[test]
fn the_tarball_of_another_package_or_version() {
    let world = World::shared();
    signed(world, "siege-identity");
    for (what, bytes) in
        [("name", evil("siege-other", "1.0.0")), ("version", evil("siege-identity", "1.0.1"))]
    {
        let registry = lying(world, move |request, response| {
            if is_tarball_of(request, "siege-identity") {
                response.body = bytes.clone();
            } else {
                announce(response, "1.0.0", &bytes);
            }
        });
        repelled(
            world,
            &format!("siege-identity-{what}"),
            &json!({"siege-identity": "1"}),
            &registry,
            &[50],
            |_, _| {},
        );
    }
}

#[test]
fn a_dependency_or_a_command_that_the_signed_manifest_does_not_have() {
    let world = World::shared();
    signed(world, "siege-confusion");
    put(
        world,
        &world.person("alice"),
        &json!({"name": "siege-extra", "version": "1.0.0"}),
        &evil("siege-extra", "1.0.0"),
    );
    let lies: [(&str, fn(&mut Value)); 2] = [
        ("dependency", |manifest| manifest["dependencies"] = json!({"siege-extra": "1"})),
        ("command", |manifest| manifest["bin"] = json!({"ls": "index.js"})),
    ];
    for (what, lie) in lies {
        let registry = lying(world, move |request, response| {
            if request.path == "/siege-confusion" {
                response.edit_json(|document| lie(&mut document["versions"]["1.0.0"]));
            }
        });
        repelled(
            world,
            &format!("siege-confusion-{what}"),
            &json!({"siege-confusion": "1"}),
            &registry,
            &[50],
            |_, _| {},
        );
    }
}

#[test]
fn a_registry_that_changes_its_mind_between_two_requests() {
    let world = World::shared();
    signed(world, "siege-fickle");
    let bytes = evil("siege-fickle", "1.0.0");
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let registry = lying(world, move |request, response| {
        // Every second answer is the attacker's, documents and tarballs alike.
        if request.path.starts_with("/siege-fickle")
            && asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) % 2 == 1
        {
            if is_tarball_of(request, "siege-fickle") {
                response.body = bytes.clone();
            } else {
                announce(response, "1.0.0", &bytes);
            }
        }
    });
    for client in ATTACKED {
        let project = Project::asking(
            world,
            &format!("siege-fickle-{client:?}").to_lowercase(),
            json!({"siege-fickle": "1"}),
        );
        let ended = through(world, client, &project, &registry, &["install"]);
        untouched(client, &project, &ended);
        assert!(
            ended.code != Some(0) || code_of(client, &project, "siege-fickle") == "good",
            "{client:?}: {ended}"
        );
    }
}

#[test]
fn a_tarball_elsewhere_and_a_redirect_to_elsewhere() {
    let world = World::shared();
    stock(world, "siege-elsewhere", "1.0.0", "good");
    let bytes = evil("siege-elsewhere", "1.0.0");
    let (served, reached) = (bytes.clone(), std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0)));
    let counted = std::sync::Arc::clone(&reached);
    // Another host, which is no registry of anybody here.
    let elsewhere = proxy::start(world.registry(), move |_, _| {
        counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Some(Response { status: 200, headers: vec![], body: served.clone() })
    });
    let to = format!("{elsewhere}siege-elsewhere/-/siege-elsewhere-1.0.0.tgz");
    for redirect in [false, true] {
        let (to, bytes) = (to.clone(), bytes.clone());
        let registry = lying(world, move |request, response| {
            if is_tarball_of(request, "siege-elsewhere") {
                if redirect {
                    response.status = 302;
                    response.headers.push(("location".into(), to.clone()));
                    response.body.clear();
                }
            } else {
                announce(response, "1.0.0", &bytes);
                if !redirect {
                    response
                        .edit_json(|document| document["versions"]["1.0.0"]["dist"]["tarball"] = json!(to));
                }
            }
        });
        let name = format!("siege-elsewhere-{redirect}");
        for client in ATTACKED {
            let project = Project::asking(
                world,
                &format!("{name}-{client:?}").to_lowercase(),
                json!({"siege-elsewhere": "1"}),
            );
            let ended = through(world, client, &project, &registry, &["install"]).refused();
            untouched(client, &project, &ended);
        }
    }
    assert_eq!(
        reached.load(std::sync::atomic::Ordering::SeqCst),
        0,
        "a host that is no registry was reached"
    );
}

#[test]
fn settings_of_the_project_that_lead_around_the_proxy() {
    let world = World::shared();
    signed(world, "siege-settings");
    let bytes = evil("siege-settings", "1.0.0");
    // What the settings lead to: a registry of the attacker's.
    let registry = lying(world, move |request, response| {
        if is_tarball_of(request, "siege-settings") {
            response.body = bytes.clone();
        } else {
            announce(response, "1.0.0", &bytes);
        }
    });
    // Each file is for those who read it.
    let of_yarn = [Client::Yarn, Client::YarnPnp];
    let of_npm: Vec<Client> = ATTACKED.into_iter().filter(|client| !of_yarn.contains(client)).collect();
    let settings: [(&[Client], &str, &str, &str); 7] = [
        (&of_npm, "noproxy", ".npmrc", "noproxy=127.0.0.1,localhost\nno-proxy=127.0.0.1\n"),
        (&of_npm, "proxy", ".npmrc", "proxy=\nhttps-proxy=\nhttp-proxy=\nproxy=false\nhttps-proxy=false\n"),
        (
            &of_npm,
            "scripts",
            ".npmrc",
            "ignore-scripts=false\nstrict-ssl=false\nenable-pre-post-scripts=true\nside-effects-cache=true\n",
        ),
        (&of_npm, "host", ".npmrc", "replace-registry-host=never\nprefer-offline=true\nunsafe-perm=true\n"),
        (
            &[Client::YarnClassic],
            "yarnrc",
            ".yarnrc",
            "proxy false\nhttps-proxy false\nno-proxy \"127.0.0.1\"\nignore-scripts false\n",
        ),
        (
            &of_yarn,
            "berry",
            ".yarnrc.yml",
            "enableScripts: true\nhttpProxy: \"\"\nnetworkSettings:\n  \"127.0.0.1\":\n    httpProxy: \"\"\n    httpsProxy: \"\"\n",
        ),
        (
            &[Client::Bun],
            "bun",
            "bunfig.toml",
            "[install]\nignoreScripts = false\n[install.lockfile]\nsave = true\n",
        ),
    ];
    for (clients, what, file, text) in settings {
        repelled_by(
            clients,
            world,
            &format!("siege-settings-{what}"),
            &json!({"siege-settings": "1"}),
            &registry,
            &[4, 50, 101],
            |_, project| {
                project.write(file, text);
            },
        );
    }
}

#[test]
fn programs_that_the_project_brings_for_the_package_manager() {
    let world = World::shared();
    stock(world, "siege-programs", "1.0.0", "good");
    let program = format!("require('fs').writeFileSync(require('path').join(__dirname, 'ran'), '{EVIL}');");
    for client in ATTACKED {
        let project = Project::asking(
            world,
            &format!("siege-programs-{client:?}").to_lowercase(),
            json!({"siege-programs": "1"}),
        );
        let manifest: Value = serde_json::from_str(&project.read("package.json")).unwrap();
        let mut manifest = manifest;
        manifest["packageManager"] = json!(format!("{}@0.0.1", client.command()));
        project.write("package.json", &manifest.to_string());
        project.write(".pnpmfile.cjs", &format!("{program} module.exports = {{}};"));
        project.write("evil.cjs", &program);
        project.write(".yarnrc", "yarn-path \"./evil.cjs\"\n");
        project.write(".yarnrc.yml", "yarnPath: ./evil.cjs\n");
        project.write(".npmrc", "node-options=--require ./evil.cjs\nscript-shell=./evil.cjs\n");
        let ended = through(world, client, &project, world.registry(), &["install"]);
        assert!(!project.has("ran"), "{client:?}: it ran: {ended}");
        if ended.code == Some(0) {
            assert_eq!(code_of(client, &project, "siege-programs"), "good", "{client:?}");
        }
    }
}

#[test]
fn plugins_of_yarn_are_refused_unless_they_were_agreed_to() {
    let world = World::shared();
    stock(world, "siege-plugins", "1.0.0", "good");
    let project = Project::asking(world, "siege-plugins", json!({"siege-plugins": "1"}));
    project.write(".yarnrc.yml", "plugins:\n  - path: ./plugin.cjs\n    spec: \"x\"\n");
    project.write(
        "plugin.cjs",
        "require('fs').writeFileSync('ran', ''); module.exports = {name: 'x', factory: () => ({})};",
    );
    let ended =
        through(world, Client::Yarn, &project, world.registry(), &["install"]).ended_with(4).refused();
    ended.says(&["plugins"]);
    assert!(!project.has("ran"));
}

#[test]
fn bytes_in_a_cache_or_in_node_modules_that_somebody_changed() {
    let world = World::shared();
    signed(world, "siege-cache");
    stock(world, "siege-cache-plain", "1.0.0", "good");
    for client in ATTACKED {
        let name = format!("siege-cache-{client:?}").to_lowercase();
        let project = Project::asking(world, &name, json!({"siege-cache": "1", "siege-cache-plain": "1"}));
        through(world, client, &project, world.registry(), &["install"]).succeeded();
        // In node_modules, in place: the next install does not leave it.
        if client != Client::YarnPnp {
            overwrite(&project.root.join("node_modules/siege-cache-plain/index.js"));
        }
        let ended = through(world, client, &project, world.registry(), &["install"]);
        if ended.code == Some(0) {
            assert_eq!(code_of(client, &project, "siege-cache-plain"), "good", "{client:?}: {ended}");
        }
        untouched_after(client, &project, &ended);
        // Everywhere in the caches.
        cleared(&project);
        poison(&project.root.with_extension("home"));
        let ended = through(world, client, &project, world.registry(), &["install"]);
        if ended.code == Some(0) {
            for name in ["siege-cache", "siege-cache-plain"] {
                assert_eq!(code_of(client, &project, name), "good", "{client:?}: {ended}");
            }
        }
        untouched_after(client, &project, &ended);
    }
}

/// A refused install puts back what lay there, the attacker's own deed from before included: then it must say so.
#[track_caller]
fn untouched_after(client: Client, project: &Project, ended: &Ended) {
    if ended.code == Some(0) {
        untouched(client, project, ended);
    } else {
        assert!(ended.code.is_some_and(|code| code == 50 || code > 100), "{client:?}: {ended}");
    }
}

fn overwrite(path: &Path) {
    let permissions = std::fs::metadata(path).unwrap().permissions();
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, EVIL).unwrap();
    std::fs::set_permissions(path, permissions).unwrap();
}

/// Puts the attacker's word into every file of the caches that holds the good one.
fn poison(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            poison(&path);
        } else if path.extension().is_some_and(|kind| kind == "zip") {
            // yarn stores files as they are, and a word as long as the other leaves the archive whole.
            let mut bytes = std::fs::read(&path).unwrap();
            let at = bytes.windows(4).position(|word| word == b"good");
            bytes[at.expect("a stored file")..][..4].copy_from_slice(b"evil");
            std::fs::write(&path, bytes).unwrap();
        } else if kind.is_file() && std::fs::read(&path).is_ok_and(|bytes| bytes == b"good") {
            std::fs::write(&path, EVIL).unwrap();
        }
    }
}

#[test]
fn links_and_other_tricks_in_a_tarball() {
    let world = World::shared();
    let link = |kind: tar::EntryType, path: &str, target: &str| {
        let mut tar =
            tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default()));
        let manifest = json!({"name": "siege-links", "version": "1.0.0"}).to_string();
        let mut header = tar::Header::new_ustar();
        header.set_size(manifest.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, "package/package.json", manifest.as_bytes()).unwrap();
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(0);
        tar.append_link(&mut header, format!("package/{path}"), target).unwrap();
        let text = EVIL.as_bytes();
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("package/{path}/inside.js"), text).unwrap();
        tar.into_inner().unwrap().finish().unwrap()
    };
    stock(world, "siege-links", "1.0.0", "good");
    for (what, kind) in [("symbolic", tar::EntryType::Symlink), ("hard", tar::EntryType::Link)] {
        let bytes = link(kind, "out", "../../..");
        let registry = lying(world, move |request, response| {
            if is_tarball_of(request, "siege-links") {
                response.body = bytes.clone();
            } else {
                announce(response, "1.0.0", &bytes);
            }
        });
        repelled(
            world,
            &format!("siege-links-{what}"),
            &json!({"siege-links": "1"}),
            &registry,
            &[50],
            |_, project| {
                project.write("before", "");
            },
        );
    }
}

#[test]
fn a_private_name_on_the_public_registry_is_asked_only_where_it_lives() {
    let world = World::shared();
    stock(world, "@siege/private", "1.0.0", "good");
    // Somebody put a higher version of it on the public registry.
    let bytes = evil("@siege/private", "9.0.0");
    let registry = lying(world, move |request, response| {
        let path = request.path.replace("%2f", "/").replace("%2F", "/");
        if path.starts_with("/@siege/private/-/") {
            response.body = bytes.clone();
        } else if path == "/@siege/private" {
            announce(response, "1.0.0", &bytes);
            response.edit_json(|document| {
                let mut version = document["versions"]["1.0.0"].clone();
                version["version"] = json!("9.0.0");
                document["versions"] = json!({"9.0.0": version});
                document["dist-tags"]["latest"] = json!("9.0.0");
            });
        }
    });
    for client in ATTACKED {
        let project = Project::asking(
            world,
            &format!("siege-scope-{client:?}").to_lowercase(),
            json!({"@siege/private": "1"}),
        );
        project.write(".npmrc", &format!("@siege:registry={}\n", world.registry()));
        let scopes = format!(
            "npmScopes:\n  siege:\n    npmRegistryServer: \"{}\"\n    npmMinimalAgeGate: 0\n",
            world.registry().trim_end_matches('/')
        );
        project.write(".yarnrc.yml", &scopes);
        let ended = through(world, client, &project, &registry, &["install"]).succeeded();
        untouched(client, &project, &ended);
        assert_eq!(code_of(client, &project, "@siege/private"), "good", "{client:?}");
    }
}

#[test]
fn a_document_under_another_name_or_out_of_a_cache_adds_nothing() {
    let world = World::shared();
    signed(world, "siege-shadow");
    // What nobody asks for asks for itself, on the shelf and in its tarball.
    stock_evil_that_asks_for_itself(world, "siege-shade");
    let lie =
        |document: &mut Value| document["versions"]["1.0.0"]["dependencies"] = json!({"siege-shade": "1"});
    let renamed = lying(world, move |request, response| {
        if request.path == "/siege-shadow" {
            response.edit_json(|document| {
                lie(document);
                document["name"] = json!("siege-other-name");
            });
        }
    });
    let nameless = lying(world, move |request, response| {
        if request.path == "/siege-shadow" {
            response.edit_json(|document| {
                lie(document);
                document.as_object_mut().expect("an object").remove("name");
            });
        }
    });
    for (what, registry) in [("renamed", &renamed), ("nameless", &nameless)] {
        repelled(
            world,
            &format!("siege-shadow-{what}"),
            &json!({"siege-shadow": "1"}),
            registry,
            &[10, 13, 50, 101],
            |_, _| {},
        );
    }
    // The package manager has the lie in its cache from a run without us, and asks nobody again.
    let cached = lying(world, move |request, response| {
        if request.path == "/siege-shadow" {
            response.edit_json(lie);
            response.headers.push(("cache-control".into(), "public, max-age=3600".into()));
        }
    });
    for client in ATTACKED {
        let project = Project::asking(
            world,
            &format!("siege-cached-{client:?}").to_lowercase(),
            json!({"siege-shadow": "1"}),
        );
        let user = client.user_of(world, &project, &cached);
        user.program(
            client.command(),
            if client == Client::YarnClassic {
                ["install", "--ignore-scripts"]
            } else {
                ["install", "--silent"]
            },
        );
        cleared(&project);
        for left in [client.lockfile(), "ran"] {
            let _ = std::fs::remove_file(project.root.join(left));
        }
        let ended = through(world, client, &project, &cached, &["install"]);
        assert!(ended.code.is_some_and(|code| [13, 50, 101].contains(&code)), "{client:?}: {ended}");
        untouched(client, &project, &ended);
    }
}

fn stock_evil_that_asks_for_itself(world: &World, name: &str) {
    let manifest =
        json!({"name": name, "version": "1.0.0", "description": EVIL, "dependencies": {name: "1"}});
    put(world, &world.person("alice"), &manifest, &tarball(&manifest, &[("index.js", EVIL)]));
}

#[test]
fn a_version_described_under_another_key_is_judged_as_what_leads_to_its_tarball() {
    let world = World::shared();
    signed(world, "siege-key");
    stock_evil_that_asks_for_itself(world, "siege-keyed");
    let lie = |key: &'static str, inner: Option<&'static str>| {
        lying(world, move |request, response| {
            if request.path == "/siege-key" {
                response.edit_json(|document| {
                    let mut described = document["versions"]["1.0.0"].clone();
                    described["dependencies"] = json!({"siege-keyed": "1"});
                    if let Some(version) = inner {
                        described["version"] = json!(version);
                    }
                    document["versions"][key] = described;
                    document["dist-tags"]["latest"] = json!(key);
                });
            }
        })
    };
    for (what, key, inner) in [
        ("higher", "1.0.1", None),
        ("other", "1.0.1", Some("1.0.1")),
        ("build", "1.0.0+1", None),
        ("spaced", " 1.0.0", None),
    ] {
        repelled_or_genuine(world, &format!("siege-key-{what}"), "siege-key", &lie(key, inner));
    }
}

/// The lie is refused, or it is not believed and the signed package alone lies there.
#[track_caller]
fn repelled_or_genuine(world: &World, project: &str, name: &str, registry: &str) {
    for client in ATTACKED {
        let project =
            Project::asking(world, &format!("{project}-{client:?}").to_lowercase(), json!({name: "^1"}));
        let ended = through(world, client, &project, registry, &["install"]);
        untouched(client, &project, &ended);
        if ended.code == Some(0) {
            assert_eq!(code_of(client, &project, name), "good", "{client:?}");
        }
    }
}

#[test]
fn what_another_registry_once_gave_is_not_what_this_lockfile_means() {
    let world = World::shared();
    stock(world, "siege-twin", "1.0.0", "good");
    let bytes = crate::shelf::plain("siege-twin", "1.0.0", EVIL);
    let other = lying(world, move |request, response| {
        if is_tarball_of(request, "siege-twin") {
            response.body = bytes.clone();
        } else {
            announce(response, "1.0.0", &bytes);
        }
    });
    // Nobody signs it, so the other registry's is remembered as its files.
    let asks = || json!({"siege-twin": "1"});
    let first = Project::asking(world, "siege-twin-first", asks());
    through(world, Client::Bun, &first, &other, &["install"]).succeeded();
    assert_eq!(first.read("node_modules/siege-twin/index.js"), EVIL);
    // bun installs what lies in its cache, whatever that is.
    let project = Project::asking(world, "siege-twin-second", asks());
    Client::Bun.plain(world, &project, &["install"]).succeeded();
    std::fs::remove_dir_all(project.root.join("node_modules")).unwrap();
    poison(&project.root.with_extension("home").join("bun"));
    let ended = through(world, Client::Bun, &project, world.registry(), &["install"]).ended_with(50);
    untouched(Client::Bun, &project, &ended);
}

#[test]
fn what_another_registry_once_gave_is_not_what_this_one_announces() {
    let world = World::shared();
    stock(world, "siege-other", "1.0.0", "good");
    let bytes = crate::shelf::plain("siege-other", "1.0.0", EVIL);
    let other = lying(world, move |request, response| {
        if is_tarball_of(request, "siege-other") {
            response.body = bytes.clone();
        } else {
            announce(response, "1.0.0", &bytes);
        }
    });
    for client in [Client::Yarn, Client::YarnPnp] {
        let laid = |what: &str| {
            let name = format!("siege-other-{what}-{client:?}").to_lowercase();
            Project::asking(world, &name, json!({"siege-other": "1"}))
        };
        let install = |project: &Project, registry: &str, cache: &Project| {
            let folder = cache.root.with_extension("home").join("berry").display().to_string();
            let user = client.user_of(world, project, registry).with("YARN_GLOBAL_FOLDER", folder);
            user.threepm(["run-with", "yarn", "--json", "--", "install"])
        };
        // Its files are remembered, and lie in yarn's cache.
        let first = laid("first");
        install(&first, &other, &first).succeeded();
        for turn in ["open", "locked"] {
            let project = laid(turn);
            if turn == "locked" {
                project.write("yarn.lock", &first.read("yarn.lock"));
            }
            let before = project.contents();
            let ended = install(&project, world.registry(), &first).ended_with(50);
            untouched(client, &project, &ended);
            assert_eq!(project.contents(), before, "{client:?} {turn}: {ended}");
        }
        // The honest one is taken, whatever is remembered of the other; then again, from the cache alone.
        let honest = laid("honest");
        for _ in 0..2 {
            let report = install(&honest, world.registry(), &honest).succeeded().json();
            assert_eq!(report["end"]["receipt"]["compared"], 1, "{client:?}: {report:#}");
            untouched(client, &honest, &install(&honest, world.registry(), &honest).succeeded());
        }
        // The other registry's own still is what it was.
        install(&first, &other, &first).succeeded();
    }
}

#[test]
fn a_script_that_reaches_out_runs_after_everything_was_compared_or_not_at_all() {
    let world = World::shared();
    signed(world, "siege-taken");
    let evil = evil("siege-taken", "1.1.0");
    put(world, &world.person("alice"), &json!({"name": "siege-taken", "version": "1.1.0"}), &evil);
    let reached = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&reached);
    let beacon = proxy::start(world.registry(), move |_, _| {
        counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        None
    });
    // Past every proxy, as a script can.
    let port = beacon.trim_end_matches('/').rsplit(':').next().unwrap().to_owned();
    let script =
        format!("node -e \"require('net').connect({port}, '127.0.0.1').end('GET / HTTP/1.1\\r\\n\\r\\n')\"");
    let manifest = json!({"name": "siege-beacon", "version": "1.0.0", "scripts": {"preinstall": script, "postinstall": script}});
    put(world, &world.person("alice"), &manifest, &tarball(&manifest, &[("index.js", "good")]));
    let count = || reached.load(std::sync::atomic::Ordering::SeqCst);
    for client in ATTACKED {
        let name = format!("siege-beacon-{client:?}").to_lowercase();
        // Another tarball of the same install is refused.
        let asks = json!({"siege-beacon": "1", "siege-taken": "^1.1.0"});
        let project = Project::asking(world, &name, asks);
        let ended = through(world, client, &project, world.registry(), &["install"]).ended_with(30);
        untouched(client, &project, &ended);
        assert_eq!(count(), 0, "{client:?}: it was reached: {ended}");
        // Nothing is refused, and the user wants no scripts.
        let project = Project::asking(world, &format!("{name}-alone"), json!({"siege-beacon": "1"}));
        let words = ["run-with", client.command(), "--ignore-scripts", "--", "install"];
        let ended = client.user_of(world, &project, world.registry()).threepm(words).succeeded();
        assert_eq!(count(), 0, "{client:?}: it was reached: {ended}");
    }
    // By design: what the user lets run has the user's network.
    let project = Project::asking(world, "siege-beacon-last", json!({"siege-beacon": "1"}));
    through(world, Client::Npm, &project, world.registry(), &["install"]).succeeded();
    assert_eq!(count(), 2);
}
