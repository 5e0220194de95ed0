//! corepack's programs: the version that the user has is the one that runs, whatever the project names.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::clients::{Client, installed};
use crate::harness::people::Person;
use crate::harness::world::World;
use crate::project::Project;
use crate::shelf::stock;

/// `project`'s user, for whom `client` is a program of corepack's that may fetch nothing. `package` lies in its cache as
/// corepack itself would have put it there, and is the version it was told to prefer.
fn with_corepack(world: &World, project: &Project, client: Client, package: &str, program: &str) -> Person {
    let name = client.command();
    let manifest =
        std::fs::read_to_string(installed().join(package).join("package.json")).expect("a manifest");
    let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("JSON");
    let version = manifest["version"].as_str().expect("a version");
    let home = project.root.with_extension("corepack");
    let (cached, programs) = (home.join("v1").join(name).join(version), home.join("programs"));
    std::fs::create_dir_all(cached.parent().expect("a folder")).expect("a folder");
    let copied =
        Command::new("cp").arg("-R").arg(installed().join(package)).arg(&cached).status().expect("cp");
    assert!(copied.success());
    let known =
        json!({"locator": {"name": name, "reference": version}, "bin": {name: program}, "hash": "sha512.00"});
    std::fs::write(cached.join(".corepack"), known.to_string()).expect("a file");
    std::fs::write(home.join("lastKnownGood.json"), json!({name: version}).to_string()).expect("a file");
    std::fs::create_dir_all(&programs).expect("a folder");
    let shim = installed().join(Path::new("corepack/dist").join(name).with_extension("js"));
    std::os::unix::fs::symlink(shim, programs.join(name)).expect("a link");
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").expect("a PATH"));
    client
        .user(world, project)
        .with("PATH", path)
        .with("COREPACK_HOME", home.display().to_string())
        .with("COREPACK_ENABLE_NETWORK", "0")
}

#[test]
fn what_a_project_names_is_neither_fetched_nor_run() {
    let world = World::shared();
    stock(world, "c-plain", "1.0.0", "1");
    for (client, package, program, named) in [
        (Client::Pnpm, "pnpm", "./bin/pnpm.cjs", "pnpm@9.9.9"),
        (Client::YarnClassic, "yarn", "./bin/yarn.js", "yarn@1.0.1"),
    ] {
        let project = Project::new(world, &format!("corepack-{client:?}").to_lowercase());
        let manifest = json!({"name": "c", "version": "1.0.0", "packageManager": named, "dependencies": {"c-plain": "1"}});
        project.write("package.json", &manifest.to_string());
        let user = with_corepack(world, &project, client, package, program);
        // Alone, it would fetch that version and run it.
        user.program(client.command(), ["install"]).refused().says(&["Network access disabled"]);
        let ended = user.threepm(["run-with", client.command(), "--json", "--", "install"]).succeeded();
        let document = ended.json();
        assert_eq!(document["end"]["receipt"]["compared"], 1, "{client:?}: {document:#}");
        assert!(project.has("node_modules/c-plain/index.js"), "{client:?}");
    }
}
