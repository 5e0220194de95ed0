//! No script runs before everything on disk was compared and allowed, whatever the project says about scripts.

use serde_json::json;

use crate::clients::{Client, WITH_MODULES};
use crate::harness::world::World;
use crate::project::Project;
use crate::shelf::{put, tarball};

/// Every way in which a project can say that scripts of `eager` are to run, and its own.
fn wanting_scripts(project: &Project) {
    let mark = |name: &str| {
        format!("node -e \"require('fs').writeFileSync('{}/{name}', '')\"", project.root.display())
    };
    let manifest = json!({
        "name": "wants-scripts", "version": "1.0.0",
        "dependencies": {"e-eager": "1.0.0"},
        "scripts": {
            "preinstall": mark("own"), "install": mark("own"), "postinstall": mark("own"), "prepare": mark("own"),
            "pnpm:devPreinstall": mark("own"),
        },
        "dependenciesMeta": {"e-eager": {"built": true}},
        "trustedDependencies": ["e-eager"],
        "pnpm": {"onlyBuiltDependencies": ["e-eager"]},
        "allowScripts": {"e-eager": true},
    });
    project.write("package.json", &manifest.to_string());
    // Makes the policy ask, after everything was unpacked, and nobody is there to answer.
    project.write("3pm.toml", "[policy]\nnotEnrolled = \"warn\"\n");
    project.write(".npmrc", "ignore-scripts=false\nenable-pre-post-scripts=true\nside-effects-cache=false\n");
    project.write(".yarnrc", "ignore-scripts false\n--install.ignore-scripts false\n");
    project.write(".yarnrc.yml", "enableScripts: true\n");
    project.write("bunfig.toml", "[install]\nignoreScripts = false\n");
    project.write(
        "pnpm-workspace.yaml",
        "packages: []\nonlyBuiltDependencies: [e-eager]\nallowBuilds:\n  e-eager: true\nignoreScripts: false\n",
    );
}

#[test]
fn no_script_runs_before_the_question_is_answered() {
    let world = World::shared();
    let manifest = json!({
        "name": "e-eager", "version": "1.0.0",
        "scripts": {
            "preinstall": "node mark.js", "install": "node mark.js", "postinstall": "node mark.js", "prepare": "node mark.js",
        },
    });
    // Into the project, wherever the package itself lies.
    let mark = "require('fs').writeFileSync(process.env.EAGER_MARK, '')\n";
    put(world, &world.person("alice"), &manifest, &tarball(&manifest, &[("mark.js", mark)]));
    for client in WITH_MODULES.into_iter().chain([Client::YarnPnp]) {
        let project = Project::new(world, &format!("eager-{client:?}").to_lowercase());
        wanting_scripts(&project);
        let eager = project.root.join("eager").display().to_string();
        let user = client.user(world, &project).with("EAGER_MARK", &eager);
        let go = |flags: &[&str]| {
            let command = ["run-with", client.command(), "--json"].into_iter();
            user.threepm(command.chain(flags.iter().copied()).chain(["--", "install"]))
        };
        let ended = go(&[]).ended_with(11);
        assert!(!project.has("eager") && !project.has("own"), "{client:?}: {ended}");
        assert!(!project.has("node_modules") && !project.has(".3pm-install"), "{client:?}: {ended}");
        // And they do run once that is settled.
        let ended = go(&["--yes"]).succeeded();
        assert!(project.has("own"), "{client:?}: {ended}");
        assert!(project.has("eager"), "{client:?}: {ended}");
    }
}

#[test]
fn what_yarn_would_run_while_it_fetches_is_not_started() {
    let world = World::shared();
    let project = Project::new(world, "eager-exec");
    let manifest = json!({"name": "x", "version": "1.0.0", "dependencies": {"made": "exec:./make.js"}});
    project.write("package.json", &manifest.to_string());
    project.write("yarn.lock", "");
    project.write("make.js", "require('fs').writeFileSync(process.env.EAGER_MARK, '')\n");
    let eager = project.root.join("eager").display().to_string();
    let user = Client::Yarn.user(world, &project).with("EAGER_MARK", &eager);
    user.threepm(["run-with", "yarn", "--", "install"])
        .ended_with(4)
        .says(&["exec:", "--allow-project-code"]);
    user.threepm(["run-with", "yarn", "--", "workspaces", "focus"]).ended_with(4).says(&["yarn workspaces"]);
    assert!(!project.has("eager"));
}
