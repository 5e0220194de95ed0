//! What a project brings in a package's place: folders of its own that a lockfile puts there, packages that lay there
//! before and that nobody made anew, programs on the PATH, a folder of ours that leads elsewhere. For real package
//! managers; after each, nothing of the attacker's was taken for a package and none of its programs ran.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha512};

use crate::clients::{ATTACKED, Client, WITH_MODULES};
use crate::harness::people::Ended;
use crate::harness::world::World;
use crate::project::Project;
use crate::shelf::{put, stock, tarball};
use crate::sieges::{EVIL, cleared, untouched};

fn all() -> impl Iterator<Item = Client> {
    WITH_MODULES.into_iter().chain([Client::YarnPnp])
}

fn is_npm(client: Client) -> bool {
    client.command() == "npm"
}

/// A package of the attacker's, as if it had been installed.
fn plant(project: &Project, name: &str) {
    let manifest = json!({"name": name, "version": "1.0.0"});
    project.write(&format!("node_modules/{name}/package.json"), &manifest.to_string());
    project.write(&format!("node_modules/{name}/index.js"), EVIL);
}

#[test]
fn what_lay_there_and_nobody_made_anew_is_not_taken_for_what_was_checked() {
    let world = World::shared();
    stock(world, "left-dev", "1.0.0", "good");
    for client in ATTACKED {
        for (what, fields) in [("dev", json!({"devDependencies": {"left-dev": "1"}})), ("none", json!({}))] {
            let name = format!("left-{what}-{client:?}").to_lowercase();
            let project = Project::asking(world, &name, json!({}));
            let mut manifest = json!({"name": name, "version": "1.0.0"});
            manifest.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            project.write("package.json", &manifest.to_string());
            client.plain(world, &project, &["install"]).succeeded();
            plant(&project, "left-dev");
            plant(&project, "left-extra");
            project.write(".npmrc", "omit[]=dev\nproduction=true\n");
            let ended = client.through(world, &project, &["install"]);
            if ended.code == Some(0) {
                untouched(client, &project, &ended);
            }
            // yarn 1 fetches what it does not lay out.
            assert!(ended.code == Some(0) || !is_npm(client), "{name}: {ended}");
        }
    }
}

#[test]
fn what_a_command_for_nothing_leaves_alone_is_compared() {
    let world = World::shared();
    stock(world, "left-part", "1.0.0", "good");
    for client in [Client::Pnpm9, Client::Pnpm, Client::Pnpm11] {
        let name = format!("left-part-{client:?}").to_lowercase();
        let project = Project::asking(world, &name, json!({}));
        let manifest = json!({"name": name, "version": "1.0.0", "devDependencies": {"left-part": "1"}});
        project.write("package.json", &manifest.to_string());
        project.write("pnpm-workspace.yaml", "packages: ['.']\n");
        client.through(world, &project, &["install"]).succeeded();
        let words = ["install", "--filter", "nobody"];
        client.through(world, &project, &words).succeeded();
        assert_eq!(project.read("node_modules/left-part/index.js"), "good", "{client:?}");
        let file = "node_modules/.pnpm/left-part@1.0.0/node_modules/left-part/index.js";
        std::fs::remove_file(project.root.join(file)).unwrap();
        project.write(file, EVIL);
        let before = project.contents();
        client.through(world, &project, &words).ended_with(50).refused().says(&["left-part"]);
        assert_eq!(project.contents(), before, "{client:?}");
        // It says itself that it lays out nothing.
        client.through(world, &project, &["install", "--lockfile-only"]).succeeded();
    }
}

/// A zip archive as yarn makes them, of one package with one file.
fn archive(at: &Path, name: &str, code: &str) {
    let mut zip = zip::ZipWriter::new(std::fs::File::create(at).unwrap());
    let options = zip::write::SimpleFileOptions::default();
    let manifest = json!({"name": name, "version": "1.0.0"}).to_string();
    for (file, text) in [("package.json", manifest.as_str()), ("index.js", code)] {
        zip.start_file(format!("node_modules/{name}/{file}"), options).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
}

#[test]
fn an_archive_that_came_with_the_project_is_compared_where_its_table_stays_as_it_is() {
    let world = World::shared();
    stock(world, "left-zip", "1.0.0", "good");
    let project = Project::asking(world, "left-zip", json!({}));
    let manifest = json!({"name": "p", "version": "1.0.0", "devDependencies": {"left-zip": "1"}});
    project.write("package.json", &manifest.to_string());
    project.write(".yarnrc.yml", "enableGlobalCache: false\n");
    let user = Client::YarnPnp.user(world, &project).with("YARN_CACHE_FOLDER", "./.yarn/cache");
    user.program("yarn", ["install"]).succeeded();
    let cache = project.root.join(".yarn/cache");
    let zip = std::fs::read_dir(&cache).unwrap().flatten().map(|entry| entry.path());
    let is_its = |path: &std::path::PathBuf| path.extension().is_some_and(|extension| extension == "zip");
    let zip = zip.into_iter().find(is_its).unwrap();
    archive(&zip, "left-zip", EVIL);
    // The lockfile, the archive's name and the table go with it.
    let digest: String =
        Sha512::digest(std::fs::read(&zip).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect();
    let lockfile = project.read("yarn.lock");
    let honest = lockfile.split_once("checksum: 10c0/").unwrap().1.lines().next().unwrap().to_owned();
    project.write("yarn.lock", &lockfile.replace(&honest, &digest));
    let named = zip.to_string_lossy().replace(&honest[..10], &digest[..10]);
    std::fs::rename(&zip, &named).unwrap();
    project.write(".pnp.cjs", &project.read(".pnp.cjs").replace(&honest[..10], &digest[..10]));
    project.write("node_modules/x/index.js", "");
    let before = project.contents();
    let ended = user.threepm(["run-with", "yarn", "--json", "--", "install"]).ended_with(50).refused();
    ended.clone().says(&["left-zip"]);
    let now = project.contents();
    assert!(now.keys().eq(before.keys()), "{:?} {ended}", now.keys());
}

/// `link-asker` asks for `link-good`; both say what they are when they are asked.
fn shelf(world: &World) {
    static SHELF: std::sync::Once = std::sync::Once::new();
    SHELF.call_once(|| {
        stock(world, "link-good", "1.0.0", "module.exports = 'good'");
        let manifest =
            json!({"name": "link-asker", "version": "1.0.0", "dependencies": {"link-good": "1.0.0"}});
        let code = "module.exports = require('link-good')";
        put(world, &world.person("alice"), &manifest, &tarball(&manifest, &[("index.js", code)]));
    });
}

/// A folder of the project that calls itself `link-good`.
fn folder(project: &Project, at: &str, said: &str) {
    project
        .write(&format!("{at}/package.json"), &json!({"name": "link-good", "version": "1.0.0"}).to_string());
    project.write(&format!("{at}/index.js"), &format!("module.exports = '{said}'"));
}

/// What `link-asker` gets for `link-good`.
fn said(client: Client, project: &Project) -> Ended {
    let table: &[&str] = if client == Client::YarnPnp { &["--require", "./.pnp.cjs"] } else { &[] };
    let words = table.iter().copied().chain(["-p", "require('link-asker')"]);
    project.user.program("node", words)
}

/// The honest lockfile, where the folder `lib` of the project is what `link-good` means.
fn linked(client: Client, honest: &str) -> String {
    match client {
        Client::Npm | Client::Npm10 | Client::Npm12 => {
            let mut lockfile: Value = serde_json::from_str(honest).expect("JSON");
            lockfile["packages"]["node_modules/link-good"] = json!({"resolved": "lib", "link": true});
            lockfile["packages"]["lib"] = json!({"name": "link-good", "version": "1.0.0"});
            lockfile.to_string()
        }
        Client::Pnpm | Client::Pnpm9 | Client::Pnpm11 => {
            let text = honest.replace("      link-good: 1.0.0\n", "      link-good: link:lib\n");
            let blocks =
                text.split("\n\n").filter(|block| !block.trim_start().starts_with("link-good@1.0.0:"));
            blocks.collect::<Vec<_>>().join("\n\n") + "\n"
        }
        Client::YarnClassic => {
            let (before, _) = honest.split_once("link-good@1.0.0:").expect("an entry");
            format!("{before}link-good@1.0.0:\n  version \"0.0.0\"\n  uid \"\"\n  resolved \"link:lib\"\n")
        }
        Client::Yarn | Client::YarnPnp => {
            let lines = honest.lines().filter(|line| !line.contains("checksum:"));
            let text = lines.collect::<Vec<_>>().join("\n") + "\n";
            text.replace(
                "resolution: \"link-good@npm:1.0.0\"",
                "resolution: \"link-good@link:./lib::locator=link%40workspace%3A.\"",
            )
        }
        Client::Bun => {
            let lines = honest.lines().map(|line| match line.trim_start().starts_with("\"link-good\": [") {
                true => "    \"link-good\": [\"link-good@file:lib\", {}],".to_owned(),
                false => line.to_owned(),
            });
            lines.collect::<Vec<_>>().join("\n") + "\n"
        }
    }
}

#[test]
fn a_lockfile_alone_puts_no_folder_of_the_project_in_a_packages_place() {
    let world = World::shared();
    shelf(world);
    for client in all() {
        for policy in ["", "[policy]\nrequired = [\"link-good\"]\n"] {
            let name = format!("link-{client:?}-{}", policy.len()).to_lowercase();
            let project = Project::asking(world, &name, json!({"link-asker": "1.0.0"}));
            folder(&project, "lib", EVIL);
            // A package.json that belongs to nothing says nothing for others.
            project.write(
                "lib/inner/package.json",
                &json!({"name": "inner", "dependencies": {"link-good": "file:.."}}).to_string(),
            );
            client.plain(world, &project, &["install"]).succeeded();
            let honest = project.read(client.lockfile());
            let lying = linked(client, &honest);
            assert_ne!(lying, honest, "{name}");
            cleared(&project);
            project.write(client.lockfile(), &lying);
            if !policy.is_empty() {
                project.write("3pm.toml", policy);
            }
            let words: &[&str] = match client.command() {
                "pnpm" | "bun" => &["install", "--frozen-lockfile"],
                "npm" => &["ci"],
                _ => &["install"],
            };
            let before = project.contents();
            let ended = client.through(world, &project, words);
            if ended.code == Some(0) {
                let got = said(client, &project);
                assert!(!got.stdout.contains(EVIL), "{name}: {got} {ended}");
            } else {
                assert_eq!(project.contents(), before, "{name}: {ended}");
            }
            if matches!(client.command(), "npm" | "pnpm") {
                ended.ended_with(50).refused().says(&["link-good", "lib"]);
            }
        }
    }
}

#[test]
fn folders_that_the_project_names_or_that_are_its_workspaces_are_what_they_stand_for() {
    let world = World::shared();
    shelf(world);
    for client in ATTACKED {
        let path = if is_npm(client) || client == Client::Bun { "file:./lib" } else { "link:./lib" };
        // npm reads a path of its overrides from the folder of who asks, but for one that the project asks for itself.
        let overrides = match client.command() {
            "yarn" => json!({"resolutions": {"link-good": path}}),
            "pnpm" => json!({"pnpm": {"overrides": {"link-asker>link-good": path}}}),
            "npm" => {
                json!({"overrides": {"link-good": "$link-good"}, "devDependencies": {"link-good": path}})
            }
            _ => json!({"overrides": {"link-good": path}}),
        };
        let rows = [
            ("works", json!({"workspaces": ["l*"]})),
            ("named", json!({"devDependencies": {"link-good": path}})),
            ("forced", overrides),
        ];
        for (what, fields) in rows {
            let lay = |place: &str| {
                let name = format!("link-{what}-{client:?}/{place}").to_lowercase();
                let project = Project::new(world, &name);
                let mut manifest = json!({"name": "link", "version": "1.0.0", "private": true,
                    "dependencies": {"link-asker": "1.0.0"}});
                manifest.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
                project.write("package.json", &manifest.to_string());
                if client.command() == "pnpm" {
                    let listed = if fields.get("workspaces").is_some() { "lib" } else { "none" };
                    let forced = if what == "forced" {
                        "overrides:\n  'link-asker>link-good': 'link:./lib'\n"
                    } else {
                        ""
                    };
                    let text = format!("packages:\n  - {listed}\nlinkWorkspacePackages: deep\n{forced}");
                    project.write("pnpm-workspace.yaml", &text);
                    project.write(".npmrc", "link-workspace-packages=deep\n");
                }
                folder(&project, "lib", "own");
                project
            };
            let (alone, project) = (lay("alone"), lay("through"));
            client.plain(world, &alone, &["install"]).succeeded();
            let words = ["run-with", client.command(), "--json", "--yes", "--", "install"];
            let ended = client.user(world, &project).threepm(words);
            assert_eq!(ended.code, Some(0), "{what} {client:?}: {ended}");
            let (got, expected) = (said(client, &project).stdout, said(client, &alone).stdout);
            assert_eq!(got, expected, "{what} {client:?}");
        }
    }
}

#[test]
fn a_folder_of_ours_that_leads_elsewhere_is_refused_and_nothing_there_is_touched() {
    let world = World::shared();
    stock(world, "ours-good", "1.0.0", "good");
    let names = ["lock", "journal.json", "file-0", "folder-0", "failed-0"];
    for client in [Client::Npm, Client::Pnpm, Client::Yarn, Client::Bun] {
        for what in ["folder", "lock", "journal.json", "file-0"] {
            let place = format!("ours-{what}-{client:?}").to_lowercase();
            let project = Project::asking(world, &format!("{place}/project"), json!({"ours-good": "1"}));
            let outside = project.root.with_file_name("outside");
            std::fs::create_dir_all(outside.join("failed-0")).unwrap();
            for name in names.iter().filter(|name| **name != "failed-0") {
                std::fs::write(outside.join(name), "theirs").unwrap();
            }
            std::fs::write(outside.join("failed-0/kept"), "theirs").unwrap();
            let link =
                |from: &Path, to: &str| std::os::unix::fs::symlink(from, project.root.join(to)).unwrap();
            if what == "folder" {
                link(&outside, ".3pm-install");
            } else {
                std::fs::create_dir(project.root.join(".3pm-install")).unwrap();
                link(&outside.join(what), &format!(".3pm-install/{what}"));
            }
            let before = there(&outside);
            let ended = client.through(world, &project, &["install"]);
            assert_eq!(there(&outside), before, "{place}: {ended}");
            match what {
                // Nothing says that it is one of ours: it is taken away.
                "file-0" => assert!(!ended.succeeded().json().is_null()),
                _ => drop(ended.ended_with(4).refused().says(&[".3pm-install", "a link", "remove it"])),
            }
        }
    }
}

fn there(folder: &Path) -> BTreeMap<String, String> {
    let files = ["lock", "journal.json", "file-0", "folder-0", "failed-0/kept"];
    let read =
        |file: &str| std::fs::read_to_string(folder.join(file)).unwrap_or_else(|error| error.to_string());
    let count = std::fs::read_dir(folder).unwrap().count();
    let all = files.map(|file| (file.to_owned(), read(file)));
    all.into_iter().chain([("count".to_owned(), count.to_string())]).collect()
}

/// Programs of the project under every name that could be started.
fn programs(project: &Project, folder: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let ran = project.root.join("ran");
    for name in ["npm", "pnpm", "yarn", "bun", "node", "git", "sh"] {
        let file = format!("{folder}/{name}");
        let ran = ran.display();
        let text =
            format!("#!/bin/sh\n(tr '\\0' ' ' < /proc/$PPID/cmdline; echo '-> {name}') >> {ran}\nexit 1\n");
        project.write(&file, &text);
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(project.root.join(file), mode).unwrap();
    }
}

#[test]
fn a_program_of_the_project_does_not_run_however_the_path_leads_to_it() {
    let world = World::shared();
    stock(world, "path-good", "1.0.0", "good");
    for client in ATTACKED {
        for from in ["", "packages/a"] {
            let name = format!("path-{client:?}-{}", from.len()).to_lowercase();
            let project = Project::new(world, &format!("{name}/project"));
            let manifest = json!({"name": "p", "private": true, "workspaces": ["packages/*"],
                "dependencies": {"path-good": "1"}});
            project.write("package.json", &manifest.to_string());
            project.write("packages/a/package.json", &json!({"name": "a", "version": "1.0.0"}).to_string());
            if client.command() == "pnpm" {
                project.write("pnpm-workspace.yaml", "packages:\n  - packages/*\n");
            }
            for folder in ["node_modules/.bin", "packages/a/node_modules/.bin", "tools"] {
                programs(&project, folder);
            }
            let beside = project.root.with_file_name("beside");
            std::os::unix::fs::symlink(project.root.join("tools"), &beside).unwrap();
            let user = client.user(world, &project);
            // What the user has comes last, as `npm run` and direnv leave it.
            let path = user.variable("PATH").unwrap();
            let at = |folder: &str| project.root.join(folder).display().to_string();
            let path = format!(
                "./node_modules/.bin:node_modules/.bin::{}:{}:{}:{}:{path}",
                at("node_modules/.bin"),
                at("packages/a/node_modules/.bin"),
                at("tools"),
                beside.display(),
            );
            let user = user.with("PATH", path).at(&project.root.join(from));
            let ended = user.threepm(["run-with", client.command(), "--json", "--", "install"]);
            assert!(!project.has("ran"), "{name}: {}: {ended}", project.read("ran"));
            ended.succeeded();
        }
    }
}

#[test]
fn scripts_do_not_see_the_tokens_of_registries() {
    let world = World::shared();
    stock(world, "token-good", "1.0.0", "good");
    let secret = "token-that-publishes";
    for client in ATTACKED {
        let project = Project::new(world, &format!("token-{client:?}").to_lowercase());
        let manifest = json!({"name": "p", "version": "1.0.0", "dependencies": {"token-good": "1"},
            "scripts": {"postinstall": "env > seen"}});
        project.write("package.json", &manifest.to_string());
        // Where settings name one, its absence is an error to some.
        project.write(".npmrc", "//registry.example/:_authToken=${NPM_TOKEN}\n");
        project.write(".yarnrc.yml", "npmScopes:\n  none:\n    npmAuthToken: \"${NPM_TOKEN}\"\n");
        let user = client
            .user(world, &project)
            .with("NPM_TOKEN", secret)
            .with("NODE_AUTH_TOKEN", secret)
            .with("npm_config_//registry.example/:_authToken", secret)
            .with("OTHER_VARIABLE", "kept");
        let ended = user.threepm(["run-with", client.command(), "--json", "--", "install"]).succeeded();
        let seen = project.read("seen");
        assert!(!seen.contains(secret) && seen.contains("OTHER_VARIABLE=kept"), "{client:?}: {seen} {ended}");
    }
}
