//! Packages that the project changes by a patch: no tarball of any registry, so they are named and the policy decides,
//! wherever they lie; and what else settings of the project add to the packages of others.

use serde_json::{Value, json};

use crate::clients::Client::{self, Bun, Pnpm, Pnpm9, Pnpm11, Yarn, YarnPnp};
use crate::harness::people::Ended;
use crate::harness::world::World;
use crate::project::Project;
use crate::shelf::{put, stock, tarball};

const PATCH: &str =
    "diff --git a/index.js b/index.js\n--- a/index.js\n+++ b/index.js\n@@ -1,1 +1,1 @@\n-good\n+patched\n";

fn run(world: &World, client: Client, project: &Project, flags: &[&str]) -> Ended {
    let words = ["run-with", client.command(), "--json"];
    let all = words.iter().chain(flags).chain(&["--", "install"]);
    client.user(world, project).threepm(all)
}

/// A project that asks for `patched` and changes it, in the words of each.
fn laid(world: &World, client: Client, name: &str) -> Project {
    let project = Project::new(world, &format!("{name}-{client:?}").to_lowercase());
    let (place, file) = ("patch-me@1.0.0", "me.patch");
    let mut manifest = json!({"name": "patching", "version": "1.0.0", "dependencies": {"patch-me": "1.0.0"}});
    match client {
        Yarn | YarnPnp => {
            manifest["dependencies"]["patch-me"] = json!("patch:patch-me@npm%3A1.0.0#./me.patch");
            manifest["dependenciesMeta"] = json!({"patch-me": {"built": true}});
        }
        Pnpm11 => project.write(
            "pnpm-workspace.yaml",
            "packages: []\npatchedDependencies:\n  patch-me@1.0.0: me.patch\nallowBuilds:\n  patch-me: true\n",
        ),
        Pnpm | Pnpm9 => {
            manifest["pnpm"] =
                json!({"patchedDependencies": {place: file}, "onlyBuiltDependencies": ["patch-me"]});
        }
        _ => {
            manifest["patchedDependencies"] = json!({place: file});
            manifest["trustedDependencies"] = json!(["patch-me"]);
        }
    }
    project.write("package.json", &manifest.to_string());
    project.write(file, PATCH);
    project
}

fn named(report: &Value) -> bool {
    let packages = report["packages"].as_array().map_or(&[][..], Vec::as_slice);
    packages.iter().any(|package| {
        package["outcome"] == "Elsewhere" && package.to_string().contains("changed by a patch of the project")
    })
}

#[test]
fn a_patched_package_is_named_and_its_scripts_are_the_policys_matter() {
    let world = World::shared();
    let manifest = json!({"name": "patch-me", "version": "1.0.0", "scripts": {"postinstall": "node run.js"}});
    let run_js = "require('fs').writeFileSync(process.env.INIT_CWD + '/ran', '')\n";
    let files = [("index.js", "good\n"), ("run.js", run_js)];
    put(world, &world.person("alice"), &manifest, &tarball(&manifest, &files));
    for client in [Yarn, YarnPnp, Pnpm9, Pnpm, Pnpm11, Bun] {
        let project = laid(world, client, "patched");
        let report = run(world, client, &project, &[]).ended_with(13).json();
        assert!(named(&report), "{client:?}: {report:#}");
        assert!(!project.has("node_modules") && !project.has(".pnp.cjs"), "{client:?}");
        // Agreed to, but no script of it was approved.
        project.write("3pm.toml", "[policy]\nscripts = \"deny\"\n");
        let report = run(world, client, &project, &["--yes"]).succeeded().json();
        assert!(named(&report), "{client:?}: {report:#}");
        assert!(!project.has("ran"), "{client:?}: {report:#}");
        if client != YarnPnp {
            assert_eq!(project.read("node_modules/patch-me/index.js"), "patched\n", "{client:?}");
        }
    }
}

#[test]
fn a_patch_of_one_version_excuses_no_other() {
    let world = World::shared();
    stock(world, "patch-other", "1.0.0", "good\n");
    for client in [Pnpm, Bun] {
        let name = format!("patch-other-{client:?}").to_lowercase();
        let project = Project::asking(world, &name, json!({"patch-other": "1"}));
        client.plain(world, &project, &["install"]).succeeded();
        // The words of a patch that is not there, for another version.
        let lockfile = project.read(client.lockfile());
        let listed = "\npatchedDependencies:\n  patch-other@2.0.0: abc\n";
        if client == Pnpm {
            project.write(client.lockfile(), &format!("{lockfile}{listed}"));
        }
        let index = project.root.join("node_modules/patch-other/index.js");
        std::fs::remove_file(&index).expect("a file");
        std::fs::write(&index, "changed\n").expect("a file");
        let ended = run(world, client, &project, &["--yes"]);
        let is_back = ended.code == Some(0) && project.read("node_modules/patch-other/index.js") == "good\n";
        assert!(is_back || ended.code == Some(50) || ended.code == Some(101), "{client:?}: {ended}");
    }
}

#[test]
fn what_the_projects_settings_give_to_a_package_is_asked_for() {
    let world = World::shared();
    stock(world, "extended", "1.0.0", "1");
    stock(world, "extension", "1.0.0", "2");
    for client in [Yarn, YarnPnp, Pnpm9, Pnpm, Pnpm11] {
        let name = format!("extending-{client:?}").to_lowercase();
        let project = Project::asking(world, &name, json!({"extended": "1"}));
        let extensions = "packageExtensions:\n  extended@1:\n    dependencies:\n      extension: ^1.0.0\n";
        match client {
            Yarn | YarnPnp => project.write(".yarnrc.yml", extensions),
            Pnpm11 => project.write("pnpm-workspace.yaml", &format!("packages: []\n{extensions}")),
            _ => {
                let given = json!({"extended@1": {"dependencies": {"extension": "^1.0.0"}}});
                let manifest = json!({"name": name, "dependencies": {"extended": "1"}, "pnpm": {"packageExtensions": given}});
                project.write("package.json", &manifest.to_string());
            }
        }
        let report = run(world, client, &project, &[]).succeeded().json();
        let receipt = &report["end"]["receipt"];
        assert_eq!((&receipt["installed"], &receipt["compared"]), (&json!(2), &json!(2)), "{client:?}");
    }
}
