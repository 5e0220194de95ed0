//! Projects of every kind through every package manager: what lies there afterwards is what the package manager
//! makes without us, and all of it is compared or named. One row is one kind of project.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::{Map, Value, json};

use crate::clients::{ATTACKED, Client, WITH_MODULES};
use crate::harness::people::Ended;
use crate::harness::proxy::{self, Request, Response, Upstream};
use crate::harness::world::World;
use crate::ledger::{Ledger, TEAM};
use crate::project::Project;
use crate::shelf::{put, stock, tarball};

/// What was done in the project before, with the package manager alone.
#[derive(Clone, Copy, PartialEq)]
enum Before {
    /// Nothing, and its caches are empty.
    Nothing,
    /// The same install, in this folder.
    Installed,
    /// The same install, in another folder: its caches hold everything.
    Cached,
}

/// A kind of project.
struct Row {
    name: &'static str,
    before: Before,
    /// Writes its files.
    lay: fn(&World, Client, &Project),
    /// How many packages lie there at least.
    packages: u64,
    /// What must be there, with this content, and what must not.
    there: &'static [(&'static str, &'static str)],
    absent: &'static [&'static str],
    /// What the report names as coming from no registry: part of its words, for this client.
    named: fn(Client) -> Option<&'static str>,
}

/// Runs a row with all of them.
#[track_caller]
fn holds(row: &Row) {
    let world = World::shared();
    for client in WITH_MODULES.into_iter().chain([Client::YarnPnp]) {
        let name = format!("row-{}-{client:?}", row.name).to_lowercase();
        let [alone, project] = ["alone", "through"].map(|place| laid(world, row, client, &name, place));
        client.plain(world, &alone, install(client)).succeeded();
        let project = match row.before {
            Before::Nothing => project,
            Before::Installed => {
                client.plain(world, &project, install(client)).succeeded();
                project
            }
            // Caches lie beside the folder, under its name.
            Before::Cached => moved(project, alone.root.with_extension("cached")),
        };
        let before = project.contents();
        let mut ended = client.through(world, &project, install(client));
        if let Some(words) = (row.named)(client) {
            let report = ended.ended_with(13).json();
            assert!(elsewhere(&report).iter().any(|what| what.contains(words)), "{name}: {report:#}");
            assert_eq!(project.contents(), before, "{name}");
            ended = agreed(client, world, &project, &["--yes"]);
        }
        check(row, client, &name, &project, &alone, &ended);
    }
}

fn check(row: &Row, client: Client, name: &str, project: &Project, alone: &Project, ended: &Ended) {
    let report = ended.clone().succeeded().json();
    let receipt = &report["end"]["receipt"];
    let (installed, compared) = (receipt["installed"].as_u64(), receipt["compared"].as_u64());
    match (row.named)(client) {
        None => {
            assert_eq!(installed, compared, "{name}: {report:#}");
            assert_eq!(elsewhere(&report), Vec::<String>::new(), "{name}: {report:#}");
        }
        Some(words) => {
            assert!(elsewhere(&report).iter().any(|what| what.contains(words)), "{name}: {report:#}");
        }
    }
    assert!(installed >= Some(row.packages), "{name}: {report:#}");
    assert_eq!(project.read(client.lockfile()), alone.read(client.lockfile()), "{name}");
    assert_eq!(tree(project), tree(alone), "{name}");
    // Without `node_modules` there is a table, which names what lies in archives.
    let there = if client == Client::YarnPnp { &[] } else { row.there };
    for (path, content) in there {
        assert_eq!(project.read(path), *content, "{name}: {path}");
    }
    for path in row.absent {
        assert!(!project.has(path), "{name}: {path}");
    }
    assert!(!project.has(".3pm-install"), "{name}: a journal is left");
}

/// npm 12 takes nothing from anywhere but a registry unless it is told to.
fn install(client: Client) -> &'static [&'static str] {
    match client {
        Client::Npm12 => &["install", "--allow-git=all", "--allow-remote=all"],
        _ => &["install"],
    }
}

fn agreed(client: Client, world: &World, project: &Project, flags: &[&str]) -> Ended {
    let words = ["run-with", client.command(), "--json"];
    let all = words.iter().chain(flags).chain(&["--"]).chain(install(client));
    client.user(world, project).threepm(all)
}

/// Every file and link in the project, but for what package managers write there for themselves: times, paths.
fn tree(project: &Project) -> BTreeMap<PathBuf, String> {
    let own = |path: &Path| {
        let mut parts = path.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
        let last = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        parts.any(|part| part == ".bin" || part == ".yarn")
            || last.starts_with('.') && ![".pnpm", ".bun"].contains(&last.as_str())
    };
    let relative = |path: PathBuf| path.strip_prefix(&project.root).expect("inside").to_owned();
    let all = project.contents().into_iter().map(|(path, content)| (relative(path), content));
    all.filter(|(path, _)| !own(path))
        .map(|(path, content)| (path, String::from_utf8_lossy(&content).into_owned()))
        .collect()
}

/// What comes from no registry, in the words of the report.
fn elsewhere(report: &Value) -> Vec<String> {
    let packages = report["packages"].as_array().map_or(&[][..], Vec::as_slice);
    packages.iter().filter(|package| package["outcome"] == "Elsewhere").map(Value::to_string).collect()
}

fn laid(world: &World, row: &Row, client: Client, name: &str, place: &str) -> Project {
    let project = Project::new(world, &format!("{name}/{place}"));
    (row.lay)(world, client, &project);
    project
}

fn moved(project: Project, to: PathBuf) -> Project {
    std::fs::rename(&project.root, &to).expect("renamed");
    Project { user: project.user.at(&to), root: to }
}

/// Nothing comes from anywhere but a registry.
fn nothing(_: Client) -> Option<&'static str> {
    None
}

/// The project's package.json, with these fields more.
fn manifest(project: &Project, fields: &Value) {
    let mut manifest = json!({"name": "row", "version": "1.0.0", "private": true});
    let all: &mut Map<String, Value> = manifest.as_object_mut().expect("an object");
    all.extend(fields.as_object().expect("an object").clone());
    project.write("package.json", &manifest.to_string());
}

/// Puts a package with more than a name in its package.json on the shelf.
fn stock_with(world: &World, name: &str, fields: &Value, files: &[(&str, &str)]) {
    let mut manifest = json!({"name": name, "version": "1.0.0"});
    manifest.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
    put(world, &world.person("alice"), &manifest, &tarball(&manifest, files));
}

fn is_pnpm(client: Client) -> bool {
    client.command() == "pnpm"
}

#[test]
fn packages_that_the_package_manager_alone_put_there_before_are_compared() {
    let world = World::shared();
    stock(world, "row-present", "1.0.0", "present");
    stock_with(
        world,
        "row-present-asks",
        &json!({"dependencies": {"row-present": "1"}}),
        &[("index.js", "1")],
    );
    holds(&Row {
        name: "present",
        before: Before::Installed,
        lay: |_, _, project| manifest(project, &json!({"dependencies": {"row-present-asks": "1"}})),
        packages: 2,
        there: &[],
        absent: &[],
        named: nothing,
    });
}

#[test]
fn packages_out_of_a_warm_cache_are_compared() {
    let world = World::shared();
    stock(world, "row-cached", "1.0.0", "cached");
    stock(world, "@row/cached", "1.0.0", "cached");
    holds(&Row {
        name: "cached",
        before: Before::Cached,
        lay: |_, _, project| {
            manifest(project, &json!({"dependencies": {"row-cached": "1", "@row/cached": "*"}}))
        },
        packages: 2,
        there: &[("node_modules/row-cached/index.js", "cached")],
        absent: &[],
        named: nothing,
    });
}

#[test]
fn workspaces_have_their_packages_and_one_another() {
    let world = World::shared();
    stock(world, "row-works", "1.0.0", "one");
    stock(world, "row-works", "2.0.0", "two");
    holds(&Row {
        name: "works",
        before: Before::Nothing,
        lay: |_, client, project| {
            let other = if matches!(client.command(), "npm") || client == Client::YarnClassic {
                "1.0.0"
            } else {
                "workspace:*"
            };
            manifest(project, &json!({"workspaces": ["packages/*"], "dependencies": {"row-works": "2"}}));
            let member = |name: &str, dependencies: Value| {
                let member = json!({"name": name, "version": "1.0.0", "dependencies": dependencies});
                project.write(&format!("packages/{name}/package.json"), &member.to_string());
            };
            member("row-member-a", json!({"row-works": "1", "row-member-b": other}));
            member("row-member-b", json!({"row-works": "2"}));
            if is_pnpm(client) {
                project.write("pnpm-workspace.yaml", "packages:\n  - packages/*\n");
            }
        },
        packages: 2,
        there: &[
            ("node_modules/row-works/index.js", "two"),
            ("packages/row-member-a/node_modules/row-works/index.js", "one"),
        ],
        absent: &[],
        named: nothing,
    });
}

#[test]
fn of_optional_packages_those_for_this_platform_lie_there() {
    let world = World::shared();
    stock_with(
        world,
        "row-fits",
        &json!({"os": ["linux"], "cpu": ["x64", "arm64"]}),
        &[("index.js", "fits")],
    );
    stock_with(world, "row-foreign", &json!({"os": ["sunos"]}), &[("index.js", "foreign")]);
    stock_with(world, "row-odd", &json!({"cpu": ["s390"]}), &[("index.js", "odd")]);
    let asks = json!({"optionalDependencies": {"row-fits": "1", "row-foreign": "1", "row-odd": "1"}});
    stock_with(world, "row-platforms", &asks, &[("index.js", "1")]);
    holds(&Row {
        name: "platforms",
        before: Before::Nothing,
        lay: |_, _, project| {
            let asks = json!({"dependencies": {"row-platforms": "1"}, "optionalDependencies": {"row-fits": "1", "row-foreign": "1"}});
            manifest(project, &asks);
        },
        packages: 2,
        there: &[("node_modules/row-fits/index.js", "fits")],
        absent: &["node_modules/row-foreign", "node_modules/row-odd"],
        named: nothing,
    });
}

#[test]
fn what_only_the_lockfile_has_is_judged_as_well() {
    let world = World::shared();
    let ledger = Ledger::of(world);
    // Nobody signed the version, and it is for another platform: it never comes here.
    stock_with(world, "row-pinned", &json!({"os": ["sunos"]}), &[("index.js", "pinned")]);
    stock(world, "row-pinned-here", "1.0.0", "here");
    for client in WITH_MODULES.into_iter().chain([Client::YarnPnp]) {
        let name = format!("row-pinned-{client:?}").to_lowercase();
        let project = Project::new(world, &name);
        let asks =
            json!({"dependencies": {"row-pinned-here": "1"}, "optionalDependencies": {"row-pinned": "1"}});
        manifest(&project, &asks);
        client.plain(world, &project, install(client)).succeeded();
        assert!(project.read(client.lockfile()).contains("row-pinned@") || client.command() == "npm");
        let document = client.through(world, &project, install(client)).succeeded().json();
        assert_eq!(document["end"]["receipt"]["compared"], 1, "{name}: {document:#}");
    }
    ledger.claim("row-pinned", &TEAM);
    for client in WITH_MODULES.into_iter().chain([Client::YarnPnp]) {
        let project = Project::new(world, &format!("row-pinned-{client:?}").to_lowercase());
        let before = project.contents();
        let ended = client.through(world, &project, install(client)).ended_with(30).refused();
        ended.says(&["row-pinned", "Unrecorded"]);
        assert_eq!(project.contents(), before, "{client:?}");
    }
}

#[test]
fn bundled_packages_are_part_of_the_tarball_that_brings_them() {
    let world = World::shared();
    // Under the same name and version the registry has other bytes.
    stock(world, "row-inner", "1.0.0", "from the registry");
    let inner = [
        ("index.js", "1"),
        ("node_modules/row-inner/package.json", r#"{"name": "row-inner", "version": "1.0.0"}"#),
        ("node_modules/row-inner/index.js", "bundled"),
    ];
    let bundles = json!({"dependencies": {"row-inner": "1"}, "bundleDependencies": ["row-inner"]});
    stock_with(world, "row-bundles", &bundles, &inner);
    holds(&Row {
        name: "bundles",
        before: Before::Nothing,
        lay: |_, _, project| manifest(project, &json!({"dependencies": {"row-bundles": "1"}})),
        packages: 1,
        // yarn 4 leaves them out.
        there: &[],
        absent: &[],
        named: nothing,
    });
}

#[test]
fn overrides_and_resolutions_count_in_each_ones_own_words() {
    let world = World::shared();
    stock(world, "row-forced", "1.0.0", "one");
    stock(world, "row-forced", "1.5.0", "one and a half");
    stock(world, "row-replaced", "1.0.0", "replaced");
    stock(world, "row-replacement", "1.0.0", "replacement");
    let asks = json!({"dependencies": {"row-forced": "^1.0.0", "row-replaced": "1"}});
    stock_with(world, "row-overrides", &asks, &[("index.js", "1")]);
    holds(&Row {
        name: "overrides",
        before: Before::Nothing,
        lay: |_, client, project| {
            let forced = json!({"row-forced": "1.0.0", "row-replaced": "npm:row-replacement@1.0.0"});
            let field = match client {
                Client::YarnClassic | Client::Yarn | Client::YarnPnp => json!({"resolutions": forced}),
                Client::Pnpm | Client::Pnpm9 => json!({"pnpm": {"overrides": forced}}),
                Client::Pnpm11 => {
                    let text = "overrides:\n  row-forced: 1.0.0\n  row-replaced: npm:row-replacement@1.0.0\n";
                    project.write("pnpm-workspace.yaml", text);
                    json!({})
                }
                _ => json!({"overrides": forced}),
            };
            let mut fields = json!({"dependencies": {"row-overrides": "1"}});
            fields.as_object_mut().expect("an object").extend(field.as_object().expect("an object").clone());
            manifest(project, &fields);
        },
        packages: 3,
        there: &[],
        absent: &[],
        named: nothing,
    });
}

#[test]
fn folders_of_the_project_are_its_own_and_copies_of_them_are_named() {
    holds(&Row {
        name: "folders",
        before: Before::Nothing,
        lay: |_, _, project| {
            project.write("lib/package.json", r#"{"name": "row-lib", "version": "1.0.0"}"#);
            project.write("lib/index.js", "lib");
            manifest(project, &json!({"dependencies": {"row-lib": "file:./lib"}}));
        },
        packages: 0,
        there: &[("node_modules/row-lib/index.js", "lib")],
        absent: &[],
        named: |client| match client {
            Client::Npm | Client::Npm10 | Client::Npm12 => None,
            _ => Some("file:./lib"),
        },
    });
}

#[test]
fn links_out_of_the_project_are_named() {
    holds(&Row {
        name: "links",
        before: Before::Nothing,
        lay: |_, client, project| {
            let outside = project.root.with_file_name("outside");
            std::fs::create_dir_all(&outside).expect("a folder");
            let linked = r#"{"name": "row-linked", "version": "1.0.0"}"#;
            std::fs::write(outside.join("package.json"), linked).expect("written");
            // To bun, `link:` is a name that was registered before.
            let protocol = if matches!(client.command(), "npm" | "bun") { "file" } else { "link" };
            manifest(project, &json!({"dependencies": {"row-linked": format!("{protocol}:../outside")}}));
        },
        packages: 0,
        there: &[],
        absent: &[],
        // bun copies the folder.
        named: |client| Some(if client == Client::Bun { "file:../outside" } else { "a link to" }),
    });
}

#[test]
fn tarballs_in_the_project_are_named() {
    holds(&Row {
        name: "files",
        before: Before::Nothing,
        lay: |_, _, project| {
            let manifest_of = json!({"name": "row-filed", "version": "1.0.0"});
            std::fs::write(project.root.join("filed.tgz"), tarball(&manifest_of, &[("index.js", "filed")]))
                .expect("written");
            manifest(project, &json!({"dependencies": {"row-filed": "file:./filed.tgz"}}));
        },
        packages: 0,
        there: &[("node_modules/row-filed/index.js", "filed")],
        absent: &[],
        named: |_| Some("filed.tgz"),
    });
}

#[test]
fn an_address_at_the_registry_is_a_tarball_of_the_registry() {
    let world = World::shared();
    stock(world, "row-address", "1.0.0", "address");
    holds(&Row {
        name: "address",
        before: Before::Nothing,
        lay: |world, _, project| {
            let url = format!("{}row-address/-/row-address-1.0.0.tgz", world.registry());
            manifest(project, &json!({"dependencies": {"row-address": url}}));
        },
        packages: 1,
        there: &[("node_modules/row-address/index.js", "address")],
        absent: &[],
        // bun writes a file of its own into it.
        named: |client| (client == Client::Bun).then_some("row-address-1.0.0.tgz"),
    });
}

#[test]
fn an_address_that_is_no_registry_is_said_and_not_reached_whoever_agreed() {
    let world = World::shared();
    let reached = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reached);
    let elsewhere = proxy::start(world.registry(), move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        None
    });
    let host = elsewhere.trim_start_matches("http://").trim_end_matches('/');
    for client in ATTACKED {
        let project = Project::new(world, &format!("row-afar-{client:?}").to_lowercase());
        let url = format!("{elsewhere}row-afar-1.0.0.tgz");
        manifest(&project, &json!({"dependencies": {"row-afar": url}}));
        let before = project.contents();
        let begun = Instant::now();
        let ended = agreed(client, world, &project, &["--yes"]).refused();
        ended.says(&[host]);
        // Left to itself pnpm 11 tries again for more than a minute.
        assert!(begun.elapsed() < Duration::from_secs(50), "{client:?}");
        assert_eq!(project.contents(), before, "{client:?}");
    }
    assert_eq!(reached.load(Ordering::SeqCst), 0);
}

/// A repository with one commit, whose scripts leave a file beside it.
fn repository(at: &Path) {
    std::fs::create_dir_all(at).expect("a folder");
    let script = format!("echo $npm_lifecycle_event >> {}", at.with_extension("ran").display());
    let names = ["preinstall", "install", "postinstall", "prepare", "prepack", "prepublish"];
    let scripts: Map<String, Value> =
        names.map(|name| (name.to_owned(), json!(script))).into_iter().collect();
    let manifest = json!({"name": "row-git", "version": "1.0.0", "scripts": scripts});
    std::fs::write(at.join("package.json"), manifest.to_string()).expect("written");
    std::fs::write(at.join("index.js"), "git").expect("written");
    let commit = ["-c", "user.name=a", "-c", "user.email=a@b.example", "commit", "--quiet", "-m", "one"];
    for words in [&["init", "--quiet", "--initial-branch=main"][..], &["add", "."], &commit] {
        let done = Command::new("git").args(words).current_dir(at).status().expect("git");
        assert!(done.success());
    }
}

/// git's own server over the folders in `base`; gone with the test.
struct Daemon {
    child: Child,
    url: String,
}

impl Daemon {
    fn start(base: &Path) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let mut command = Command::new("git");
        command.args([
            "daemon",
            "--reuseaddr",
            "--listen=127.0.0.1",
            "--export-all",
            "--log-destination=none",
        ]);
        command.arg(format!("--port={port}")).arg(format!("--base-path={}", base.display()));
        let child = command.process_group(0).spawn().expect("git daemon");
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "git daemon does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, url: format!("git://127.0.0.1:{port}") }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // `git daemon` is a program that git starts: the group, not only git.
        let group = Pid::from_raw(self.child.id().cast_signed()).expect("a process id");
        let _ = rustix::process::kill_process_group(group, Signal::TERM);
        let _ = self.child.wait();
    }
}

#[test]
fn repositories_are_named_and_nothing_of_theirs_runs_before_somebody_agreed() {
    let world = World::shared();
    for client in WITH_MODULES {
        let name = format!("row-git-{client:?}").to_lowercase();
        let lay = |place: &str, url: &str| {
            let project = Project::new(world, &format!("{name}/{place}"));
            manifest(&project, &json!({"dependencies": {"row-git": format!("{url}/repository.git")}}));
            project.write(".yarnrc.yml", "approvedGitRepositories:\n  - \"**\"\n");
            project
        };
        let base = world.new_folder(&name);
        let at = base.join("repository.git");
        repository(&at);
        let ran = || std::fs::read_to_string(at.with_extension("ran")).unwrap_or_default();
        let daemon = Daemon::start(&base);
        let alone = lay("alone", &daemon.url);
        // pnpm asks for its own consent to what a repository runs.
        let quiet = is_pnpm(client).then_some("--ignore-scripts");
        let words: Vec<&str> = install(client).iter().copied().chain(quiet).collect();
        client.plain(world, &alone, &words).succeeded();
        let _ = std::fs::remove_file(at.with_extension("ran"));
        let project = lay("through", &daemon.url);
        let before = project.contents();
        let ended = client.through(world, &project, install(client));
        ended.ended_with(13).refused().says(&[&daemon.url]);
        assert_eq!((ran().as_str(), project.contents() == before), ("", true), "{name}");
        let mut flags = vec!["--yes", "--ignore-scripts"];
        if client == Client::Yarn {
            let ended = agreed(client, world, &project, &flags);
            ended.ended_with(4).refused().says(&["--allow-project-code", &daemon.url]);
            assert_eq!((ran().as_str(), project.contents() == before), ("", true), "{name}");
            flags.push("--allow-project-code");
        }
        let ended = agreed(client, world, &project, &flags).succeeded();
        assert!(ran().is_empty() || client == Client::Yarn, "{name}: {}", ran());
        let report = ended.json();
        assert!(elsewhere(&report).iter().any(|what| what.contains("repository.git")), "{name}: {report:#}");
        assert_eq!(project.read(client.lockfile()), alone.read(client.lockfile()), "{name}");
        assert_eq!(project.read("node_modules/row-git/index.js"), "git", "{name}");
        assert!(!project.has(".3pm-install"), "{name}");
    }
}

/// Over HTTP, where git must not be sent to a proxy whose certificates it does not know.
#[test]
fn repositories_are_reached_past_the_proxy_once_somebody_agreed() {
    let world = World::shared();
    for client in [Client::Npm, Client::Pnpm, Client::YarnClassic, Client::Bun] {
        let name = format!("row-git-http-{client:?}").to_lowercase();
        let at = world.new_folder(&name).join("repository.git");
        repository(&at);
        let told = Command::new("git").arg("update-server-info").current_dir(&at).status().expect("git");
        assert!(told.success());
        let files = at.join(".git");
        let server = proxy::start(world.registry(), move |request: &Request, _: &Upstream| {
            let path = request.path.split('?').next()?.strip_prefix("/repository.git/")?.to_owned();
            let body = std::fs::read(files.join(path));
            let status = if body.is_ok() { 200 } else { 404 };
            Some(Response { status, headers: vec![], body: body.unwrap_or_default() })
        });
        let project = Project::new(world, &format!("{name}/project"));
        manifest(&project, &json!({"dependencies": {"row-git": format!("git+{server}repository.git")}}));
        let ended = agreed(client, world, &project, &["--yes", "--ignore-scripts"]).succeeded();
        assert_eq!(project.read("node_modules/row-git/index.js"), "git", "{name}: {ended}");
    }
}

#[test]
fn the_install_of_npm_runs_nothing_of_a_repository_either() {
    let world = World::shared();
    for client in [Client::Npm, Client::Npm10, Client::Npm12] {
        let name = format!("row-own-git-{client:?}").to_lowercase();
        let base = world.new_folder(&name);
        let at = base.join("repository.git");
        repository(&at);
        let daemon = Daemon::start(&base);
        let project = Project::new(world, &format!("{name}/project"));
        manifest(&project, &json!({"dependencies": {"row-git": format!("{}/repository.git", daemon.url)}}));
        // npm 12 wants its own consent, which comes from its user.
        let user = client.user(world, &project).with("npm_config_allow_git", "all");
        user.threepm(["install"]).ended_with(13).refused();
        let ended = user.threepm(["install", "--yes", "--ignore-scripts"]).succeeded();
        assert!(project.has("node_modules/row-git/index.js"), "{name}: {ended}");
        assert!(!at.with_extension("ran").exists(), "{name}: something ran: {ended}");
    }
}
