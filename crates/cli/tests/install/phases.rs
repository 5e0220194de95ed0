//! yarn 4 and what a project can say to it: that another table is compared than the one it goes by, that the second
//! phase lays out other archives than the first. After each, the project has the honest package or none at all.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::clients::Client;
use crate::harness::people::{Ended, Person};
use crate::harness::world::World;
use crate::project::Project;
use crate::shelf::{plain, put, stock, tarball};
use crate::sieges::{EVIL, announce, is_tarball_of, lying};

/// Archives lie in the project, as they are.
const IN_PROJECT: &str = "enableGlobalCache: false\ncompressionLevel: 0\n";

/// The project's own script, which leaves a file.
const OWN: &str = "node -e \"require('fs').writeFileSync('own', String(process.env.YARN_ENABLE_NETWORK))\"";

fn code(word: &str) -> String {
    format!("module.exports = '{word}';\n")
}

/// Whoever works in it, whose yarn goes by the project where archives lie.
fn user(world: &World, client: Client, project: &Project, registry: &str) -> Person {
    client.user_of(world, project, registry).without("YARN_CACHE_FOLDER")
}

/// A project with an archive of `name` in it and a lockfile for it, as yarn alone makes them of what `registry` gives.
fn archived(world: &World, place: &str, name: &str, registry: &str) -> Project {
    let project = Project::asking(world, place, json!({name: "1.0.0"}));
    project.write(".yarnrc.yml", IN_PROJECT);
    user(world, Client::YarnPnp, &project, registry).program("yarn", ["install"]).succeeded();
    project
}

/// The one archive of a project.
fn archive(project: &Project) -> PathBuf {
    let files = std::fs::read_dir(project.root.join(".yarn/cache")).expect("archives").flatten();
    let mut archives =
        files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|end| end == "zip"));
    archives.next().expect("an archive")
}

fn copy(from: &Path, project: &Project, to: &str) {
    let to = project.root.join(to);
    std::fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
    std::fs::copy(from, to).expect("a copy");
}

fn name_of(path: &Path) -> &str {
    path.file_name().expect("a name").to_str().expect("UTF-8")
}

/// A registry that gives the attacker's bytes of this package.
fn other(world: &World, name: &'static str) -> String {
    let bytes = plain(name, "1.0.0", &code(EVIL));
    lying(world, move |request, response| {
        if is_tarball_of(request, name) {
            response.body = bytes.clone();
        } else {
            announce(response, "1.0.0", &bytes);
        }
    })
}

fn run(world: &World, client: Client, project: &Project) -> Ended {
    user(world, client, project, world.registry()).threepm(["run-with", "yarn", "--json", "--", "install"])
}

/// What the project gets when it asks for the package.
fn required(client: Client, project: &Project, name: &str) -> String {
    let ask = format!("console.log(require('{name}'))");
    let table: &[&str] = if client == Client::YarnPnp { &["-r", "./.pnp.cjs"] } else { &[] };
    project.user.program("node", table.iter().chain(&["-e", &ask])).succeeded().stdout.trim().to_owned()
}

/// The project has the honest package, or it was put back.
#[track_caller]
fn honest_or_none(client: Client, project: &Project, name: &str, ended: &Ended) {
    assert!(!project.has(".3pm-install"), "{ended}");
    if ended.code == Some(0) {
        assert_eq!(required(client, project, name), "good", "{client:?}: {ended}");
    } else {
        assert!(!project.has(".pnp.cjs") && !project.has("node_modules"), "{client:?}: {ended}");
        assert!(!project.has("own"), "{client:?}: a script ran: {ended}");
    }
}

#[test]
fn a_table_that_a_setting_has_written_in_front_of_yarns_own_is_not_believed() {
    let world = World::shared();
    let name = "phase-table";
    stock(world, name, "1.0.0", &code("good"));
    let good = archived(world, "phase-table-good", name, world.registry());
    let evil = archived(world, "phase-table-evil", name, &other(world, name));
    let table = json!({"packageRegistryData": [
        [null, [[null, {"packageLocation": "./", "packageDependencies": [[name, "npm:1.0.0"]], "linkType": "SOFT"}]]],
        [name, [["npm:1.0.0", {"packageLocation": format!("./vendor/good.zip/node_modules/{name}/"),
            "packageDependencies": [[name, "npm:1.0.0"]], "linkType": "HARD"}]]],
    ]});
    for written in ["RAW_RUNTIME_STATE = ", "const RAW_RUNTIME_STATE =\n  "] {
        let project = Project::asking(world, "phase-table", json!({name: "1.0.0"}));
        copy(&archive(&evil), &project, &format!(".yarn/cache/{}", name_of(&archive(&evil))));
        copy(&archive(&good), &project, "vendor/good.zip");
        project.write("yarn.lock", &evil.read("yarn.lock"));
        let shebang = format!("pnpShebang: |-\n  #!/usr/bin/env node\n  /* {written}'{table}' */\n");
        project.write(".yarnrc.yml", &format!("{IN_PROJECT}{shebang}"));
        let ended = run(world, Client::YarnPnp, &project).ended_with(50);
        honest_or_none(Client::YarnPnp, &project, name, &ended);
    }
}

#[test]
fn what_the_second_phase_lays_out_is_what_was_compared() {
    let world = World::shared();
    let name = "phase-cache";
    stock(world, name, "1.0.0", &code("good"));
    let good = archived(world, "phase-cache-good", name, world.registry());
    let evil = archived(world, "phase-cache-evil", name, &other(world, name));
    let cache = |folder: &str| format!("cacheFolder: \"./{folder}\"\nchecksumBehavior: ignore\n");
    for client in [Client::YarnPnp, Client::Yarn] {
        // Variables that are there in one phase only, and a folder below whose settings count in one only.
        for (what, folder) in
            [("scripts", "${YARN_ENABLE_SCRIPTS:-evil}"), ("proxy", "${NO_PROXY:-evil}"), ("below", "evil")]
        {
            for has_script in [false, true] {
                let place = format!("phase-cache-{client:?}-{what}-{has_script}").to_lowercase();
                let project = Project::asking(world, &place, json!({name: "1.0.0"}));
                let mut manifest: Value = serde_json::from_str(&project.read("package.json")).expect("JSON");
                if has_script {
                    manifest["scripts"] = json!({"postinstall": OWN});
                }
                project.write(".yarnrc.yml", &format!("{IN_PROJECT}{}", cache(folder)));
                project.write("yarn.lock", &good.read("yarn.lock"));
                let mut inner = project.clone();
                if what == "below" {
                    manifest["workspaces"] = json!(["below"]);
                    project.write("below/package.json", "{\"name\": \"below\"}");
                    project.write("below/.yarnrc.yml", &cache("first"));
                    inner.user = inner.user.at(&project.root.join("below"));
                }
                project.write("package.json", &manifest.to_string());
                // Under the honest name.
                copy(&archive(&evil), &project, &format!("evil/{}", name_of(&archive(&good))));
                let ended = run(world, client, &inner);
                honest_or_none(client, &project, name, &ended);
                let is_fine = what == "below" || (what == "proxy" && !has_script);
                assert_eq!(ended.code == Some(0), is_fine, "{place}: {ended}");
                if what == "proxy" && has_script {
                    ended.ended_with(4).says(&["cacheFolder", "where scripts run"]);
                }
            }
        }
    }
}

/// A package whose postinstall leaves a file beside it.
fn built(world: &World, name: &str) {
    let mark = "require('fs').writeFileSync('built.js', 'built')";
    let manifest = json!({"name": name, "version": "1.0.0", "scripts": {"postinstall": "node mark.js"}});
    let files = [("mark.js", mark), ("index.js", &code("good"))];
    put(world, &world.person("alice"), &manifest, &tarball(&manifest, &files));
}

/// Every file of that name that somebody built.
fn marks(project: &Project) -> Vec<PathBuf> {
    project.contents().into_keys().filter(|path| path.ends_with("built.js")).collect()
}

#[test]
fn scripts_run_in_the_second_phase_which_has_no_network_and_lays_out_nothing() {
    let world = World::shared();
    built(world, "phase-built");
    for client in [Client::YarnPnp, Client::Yarn] {
        let project = Project::new(world, &format!("phase-built-{client:?}").to_lowercase());
        let manifest = json!({"name": "p", "version": "1.0.0", "dependencies": {"phase-built": "1"}, "scripts": {"postinstall": OWN}});
        project.write("package.json", &manifest.to_string());
        project.write(".yarnrc.yml", &format!("{IN_PROJECT}enableScripts: true\n"));
        let report = run(world, client, &project).succeeded().json();
        let receipt = &report["end"]["receipt"];
        assert_eq!(
            (&receipt["installed"], &receipt["compared"]),
            (&json!(1), &json!(1)),
            "{client:?}: {report:#}"
        );
        assert_eq!((marks(&project).len(), project.read("own").as_str()), (1, "0"), "{client:?}: {report:#}");
        // What lies unpacked beside the archives is made anew as well.
        let built = marks(&project).remove(0);
        std::fs::write(built.with_file_name("index.js"), code(EVIL)).expect("a file");
        std::fs::write(built.with_file_name("more.js"), EVIL).expect("a file");
        let ended = run(world, client, &project).succeeded();
        assert_eq!(required(client, &project, "phase-built"), "good", "{client:?}: {ended}");
        assert!(!built.with_file_name("more.js").exists(), "{client:?}: {ended}");
    }
}

#[test]
fn an_archive_in_the_project_that_somebody_changed_is_not_installed_whatever_the_lockfile_says() {
    let world = World::shared();
    let name = "phase-zip";
    stock(world, name, "1.0.0", &code("good"));
    let evil = archived(world, "phase-zip-evil", name, &other(world, name));
    for (what, more) in [("locked", ""), ("open", "checksumBehavior: update\n")] {
        let project = archived(world, &format!("phase-zip-{what}"), name, world.registry());
        let place = format!(".yarn/cache/{}", name_of(&archive(&project)));
        copy(&archive(&evil), &project, &place);
        if what == "locked" {
            // With the checksum that belongs to it.
            std::fs::rename(
                project.root.join(&place),
                project.root.join(".yarn/cache").join(name_of(&archive(&evil))),
            )
            .expect("renamed");
            project.write("yarn.lock", &evil.read("yarn.lock"));
        }
        project.write(".yarnrc.yml", &format!("{IN_PROJECT}{more}"));
        std::fs::remove_file(project.root.join(".pnp.cjs")).expect("a table");
        let ended = run(world, Client::YarnPnp, &project).refused();
        honest_or_none(Client::YarnPnp, &project, name, &ended);
    }
}

#[test]
fn scripts_that_the_policy_holds_back_do_not_run_with_those_that_it_allows() {
    let world = World::shared();
    built(world, "phase-allowed");
    built(world, "phase-held");
    for client in [Client::YarnPnp, Client::Yarn] {
        let project = Project::new(world, &format!("phase-held-{client:?}").to_lowercase());
        let asks = json!({"phase-allowed": "1", "phase-held": "1"});
        project.write(
            "package.json",
            &json!({"name": "p", "version": "1.0.0", "dependencies": asks}).to_string(),
        );
        project.write(".yarnrc.yml", "enableScripts: true\n");
        project.write("3pm.toml", "[policy]\nscripts = \"deny\"\n");
        run(world, client, &project).succeeded();
        let user = user(world, client, &project, world.registry());
        user.threepm(["policy", "approve", "phase-allowed"]).succeeded();
        let report = run(world, client, &project).succeeded().json();
        let found = marks(&project);
        assert!(
            !found.iter().any(|path| path.display().to_string().contains("phase-held")),
            "{found:?}: {report:#}"
        );
    }
}
