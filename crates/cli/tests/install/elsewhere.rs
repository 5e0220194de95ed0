//! Settings and words that make a package manager put packages where 3pm does not compare them: what was moved is
//! back in the project and compared, or the run is refused and nothing of it lies anywhere.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::clients::Client::{self, Bun, Pnpm, Pnpm9, Pnpm11, Yarn, YarnClassic, YarnPnp};
use crate::harness::people::Ended;
use crate::harness::world::World;
use crate::project::Project;
use crate::shelf::{put, stock, tarball};

/// In the files of the packages that these tests install.
const MARKER: &str = "a marker of elsewhere";

/// What becomes of a project.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Becomes {
    /// Everything lies in `node_modules` or its table, compared.
    Compared,
    /// Nothing was installed, and it says this.
    Refused(&'static str),
}
use Becomes::{Compared, Refused};

/// A setting: for whom, in which file, its text, and what becomes of it. `@OUT@` is a folder beside the project.
type Row = (&'static [Client], &'static str, &'static str, Becomes);

const PNPM: &[Client] = &[Pnpm9, Pnpm, Pnpm11];
/// The two that read settings from pnpm-workspace.yaml, and the two that read them from .npmrc.
const PNPM_YAML: &[Client] = &[Pnpm, Pnpm11];
const PNPM_RC: &[Client] = &[Pnpm9, Pnpm];

const SETTINGS: &[Row] = &[
    (&[Pnpm], ".npmrc", "modules-dir=lib\n", Compared),
    (PNPM_YAML, "pnpm-workspace.yaml", "packages: []\nmodulesDir: lib\n", Compared),
    (PNPM_RC, ".npmrc", "virtual-store-dir=lib\n", Compared),
    (PNPM_RC, ".npmrc", "virtual-store-dir=@OUT@\n", Compared),
    (PNPM_YAML, "pnpm-workspace.yaml", "packages: []\nvirtualStoreDir: lib\n", Compared),
    (PNPM_YAML, "pnpm-workspace.yaml", "packages: []\nvirtualStoreDir: \"@OUT@\"\n", Compared),
    (PNPM_YAML, "pnpm-workspace.yaml", "packages: []\nenableGlobalVirtualStore: true\n", Compared),
    (&[Pnpm11], "pnpm-workspace.yaml", "packages: []\nglobal: true\n", Compared),
    (PNPM_RC, ".npmrc", "lockfile-dir=@OUT@\n", Refused("lockfile-dir")),
    (PNPM_YAML, "pnpm-workspace.yaml", "packages: []\nlockfileDir: \"@OUT@\"\n", Refused("lockfile-dir")),
    (PNPM_RC, ".npmrc", "enable-modules-dir=false\n", Refused("none of them lies in")),
    (PNPM_RC, ".npmrc", "node-linker=pnp\n", Compared),
    (PNPM, "pnpm-workspace.yaml", "packages: ['../outside']\n", Refused("outside of the project")),
    (&[YarnClassic], ".yarnrc", "--modules-folder lib\n", Compared),
    (&[YarnClassic], ".yarnrc", "--install.modules-folder \"@OUT@\"\n", Compared),
    (&[YarnClassic], ".yarnrc", "lastUpdateCheck 1 --*.modules-folder lib\n", Compared),
    (&[YarnClassic], ".yarnrc.yml", "\"--install.modules-folder\": lib\n", Compared),
    (&[YarnClassic], ".yarnrc", "--install.pnp true\n", Refused("Plug'n'Play")),
    (&[YarnClassic], ".npmrc", "plugnplay-override=true\n", Refused("Plug'n'Play")),
    (&[YarnPnp], ".yarnrc.yml", "pnpUnpluggedFolder: \"@OUT@\"\n", Compared),
    (&[Yarn], ".yarnrc.yml", "installStatePath: \"@OUT@/state.gz\"\n", Compared),
    (&[Yarn], ".yarnrc.yml", "enableConstraintsChecks: true\n", Compared),
    (&[Bun], "bunfig.toml", "[install]\nlinker = \"isolated\"\nglobalStore = true\n", Compared),
    (&[Bun], "bunfig.toml", "[install.security]\nscanner = \"./scanner.js\"\n", Refused("scanner.js")),
];

/// `else-one`, which asks for `else-two` and has a command and a script.
fn shelf(world: &World) {
    static SHELF: std::sync::Once = std::sync::Once::new();
    SHELF.call_once(|| {
        let manifest = json!({"name": "else-one", "version": "1.0.0", "dependencies": {"else-two": "1"},
            "bin": "cli.js", "scripts": {"postinstall": "node -e 1"}});
        let files = [("index.js", MARKER), ("cli.js", "#!/usr/bin/env node\n")];
        put(world, &world.person("alice"), &manifest, &tarball(&manifest, &files));
        stock(world, "else-two", "1.0.0", MARKER);
    });
}

/// A project that asks for it, below a folder that is its own, and with an empty folder beside it.
fn laid(world: &World, name: &str) -> Project {
    shelf(world);
    let project = Project::new(world, &format!("{name}/project").to_lowercase());
    manifest(&project, "");
    std::fs::create_dir_all(outside(&project)).expect("a folder");
    manifest(&project, "../outside");
    for program in ["scanner.js", "yarn.config.cjs"] {
        project.write(program, "require('fs').writeFileSync('ran', '')\n");
    }
    project
}

/// A package.json that asks for it, in this folder of the project.
fn manifest(project: &Project, folder: &str) {
    let name = format!("p{}", folder.replace(['/', '.'], "-"));
    let manifest = json!({"name": name, "version": "1.0.0", "private": true, "dependencies": {"else-one": "1"},
        "dependenciesMeta": {"else-one": {"unplugged": true}}});
    project.write(&Path::new(folder).join("package.json").display().to_string(), &manifest.to_string());
}

fn outside(project: &Project) -> PathBuf {
    project.root.with_file_name("outside")
}

fn run(world: &World, client: Client, project: &Project, arguments: &[&str]) -> Ended {
    let home = project.root.with_extension("home");
    let mut all = vec!["run-with", client.command(), "--json", "--"];
    all.extend(arguments);
    let text = |name: &str| home.join(name).display().to_string();
    // Nothing of this may reach the folders of whoever runs the tests.
    let user = client
        .user(world, project)
        .with("PNPM_HOME", text("pnpm-home"))
        .with("BUN_INSTALL", text("bun-home"));
    user.with("npm_config_prefix", text("prefix")).threepm(all)
}

/// Where files with the marker lie in `folder` and not in a `node_modules` or what belongs to a cache.
fn astray(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().expect("a kind"));
        if kind.is_dir() && entry.file_name() != "node_modules" && entry.file_name() != "unplugged" {
            found.extend(astray(&path));
        } else if kind.is_file() && std::fs::read(&path).is_ok_and(|bytes| bytes == MARKER.as_bytes()) {
            found.push(path);
        }
    }
    found
}

#[track_caller]
fn became(what: &str, project: &Project, ended: &Ended, becomes: Becomes) {
    assert!(!project.has("ran"), "{what}: code of the project ran: {ended}");
    assert!(!project.has(".3pm-install"), "{what}: {ended}");
    assert_eq!(astray(&outside(project)), Vec::<PathBuf>::new(), "{what}: {ended}");
    assert!(!outside(project).join("node_modules").exists(), "{what}: {ended}");
    assert!(!outside(project).join("state.gz").exists(), "{what}: {ended}");
    match becomes {
        Compared => {
            let receipt = ended.clone().succeeded().json()["end"]["receipt"].clone();
            assert_eq!(receipt["installed"], receipt["compared"], "{what}: {ended}");
            assert!(receipt["compared"].as_u64() >= Some(2), "{what}: {ended}");
            assert_eq!(astray(&project.root), Vec::<PathBuf>::new(), "{what}: {ended}");
        }
        Refused(words) => {
            ended.clone().refused().says(&[words]);
            assert!(!project.has("node_modules"), "{what}: {ended}");
        }
    }
}

#[test]
fn settings_of_a_project_move_no_package_out_of_what_is_compared() {
    let world = World::shared();
    let mut failed = Vec::new();
    for (at, (clients, file, text, becomes)) in SETTINGS.iter().enumerate() {
        for client in *clients {
            let project = laid(world, &format!("else-setting-{at}-{client:?}"));
            project.write(file, &text.replace("@OUT@", &outside(&project).display().to_string()));
            let ended = run(world, *client, &project, &["install"]);
            let what = format!("{client:?}: {file}: {text}");
            if std::panic::catch_unwind(|| became(&what, &project, &ended, *becomes)).is_err() {
                failed.push(what);
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn plug_and_play_of_yarn_1_is_refused_where_package_json_asks_for_it() {
    let world = World::shared();
    let project = laid(world, "else-pnp");
    let asks = json!({"name": "p", "version": "1.0.0", "dependencies": {"else-one": "1"}, "installConfig": {"pnp": true}});
    project.write("package.json", &asks.to_string());
    let ended = run(world, YarnClassic, &project, &["install"]);
    became("installConfig", &project, &ended, Refused("Plug'n'Play"));
}

#[test]
fn packages_of_yarn_in_a_store_of_its_own_lie_in_node_modules() {
    let world = World::shared();
    let project = laid(world, "else-store");
    let text = format!("pnpmStoreFolder: \"{}\"\n", outside(&project).display());
    project.write(".yarnrc.yml", &text);
    let home = project.root.with_extension("home");
    let user = Yarn.user(world, &project).with("YARN_NODE_LINKER", "pnpm");
    let ended = user
        .with("HOME", home.display().to_string())
        .threepm(["run-with", "yarn", "--json", "--", "install"]);
    became("pnpmStoreFolder", &project, &ended, Compared);
    assert!(project.has("node_modules/.store"), "{ended}");
}

#[test]
fn words_that_lead_elsewhere_are_refused_and_folders_are_gone_to() {
    let world = World::shared();
    for (client, words, becomes) in [
        (Pnpm, &["add", "-g", "else-one"][..], Refused("outside of a project")),
        (Pnpm, &["install", "--modules-dir", "lib"], Refused("--modules-dir")),
        (Pnpm, &["install", "--lockfile-dir=../outside"], Refused("--lockfile-dir")),
        (Pnpm, &["install", "--dir", "../nothing"], Refused("--dir")),
        (Pnpm, &["dlx", "else-one"], Refused("outside of the project")),
        (YarnClassic, &["global", "add", "else-one"], Refused("global")),
        (YarnClassic, &["install", "--modules-folder", "lib"], Refused("--modules-folder")),
        (Bun, &["add", "-g", "else-one"], Refused("outside of a project")),
        (Bun, &["install", "--config=../b.toml"], Refused("--config")),
    ] {
        let project =
            laid(world, &format!("else-words-{client:?}-{}", words.join("").replace(['/', '.', '='], "")));
        let ended = run(world, client, &project, words);
        became(&format!("{client:?} {words:?}"), &project, &ended, becomes);
    }
    for (client, words) in [
        (Pnpm, &["--prefix", "web", "install"][..]),
        (Pnpm11, &["install", "--dir=web"]),
        (YarnClassic, &["--cwd", "web", "install"]),
        (Bun, &["install", "--cwd", "web"]),
    ] {
        let project = laid(world, &format!("else-folder-{client:?}"));
        manifest(&project, "web");
        let ended = run(world, client, &project, words);
        became(&format!("{client:?} {words:?}"), &project, &ended, Compared);
        assert!(project.has("web/node_modules/else-one"), "{client:?}: {ended}");
        assert!(!project.has("node_modules"), "{client:?}: {ended}");
    }
}

#[test]
fn a_stray_lockfile_in_a_workspace_hides_nothing() {
    let world = World::shared();
    for client in [Pnpm9, Pnpm, Pnpm11, YarnClassic, Bun] {
        let project = laid(world, &format!("else-root-{client:?}"));
        let asks = json!({"name": "p", "version": "1.0.0", "private": true, "workspaces": ["web"], "dependencies": {"else-one": "1"}});
        project.write("package.json", &asks.to_string());
        project.write("pnpm-workspace.yaml", "packages:\n  - web\n");
        manifest(&project, "web");
        let stray = if client == Bun {
            "{\"lockfileVersion\": 1, \"workspaces\": {\"\": {}}, \"packages\": {}}"
        } else {
            ""
        };
        project.write(&format!("web/{}", client.lockfile()), stray);
        // Written by somebody who waits for it to be taken for a checked package.
        project
            .write("node_modules/else-one/package.json", "{\"name\": \"else-one\", \"version\": \"1.0.0\"}");
        project.write("node_modules/else-one/index.js", "evil");
        let web = Project { user: project.user.clone().at(&project.root.join("web")), ..project.clone() };
        let ended = run(world, client, &web, &["install"]);
        became(&format!("{client:?}"), &project, &ended, Compared);
        assert_eq!(project.read("node_modules/else-one/index.js"), MARKER, "{client:?}: {ended}");
    }
}

#[test]
fn workspaces_in_hidden_folders_are_compared_and_those_outside_refused() {
    let world = World::shared();
    for client in [Pnpm, YarnClassic, Yarn, Bun] {
        let project = laid(world, &format!("else-hidden-{client:?}"));
        let asks = json!({"name": "p", "version": "1.0.0", "private": true, "workspaces": {"packages": [".tools/*"], "nohoist": ["**"]}});
        project.write("package.json", &asks.to_string());
        project.write("pnpm-workspace.yaml", "packages: ['.tools/*']\nsharedWorkspaceLockfile: false\n");
        manifest(&project, ".tools/a");
        let planted = ".tools/a/node_modules/else-evil";
        project
            .write(&format!("{planted}/package.json"), "{\"name\": \"else-evil\", \"version\": \"1.0.0\"}");
        let ended = run(world, client, &project, &["install"]);
        became(&format!("{client:?}"), &project, &ended, Compared);
        assert!(!project.has(planted), "{client:?}: {ended}");
    }
    for client in [YarnClassic, Bun] {
        let project = laid(world, &format!("else-out-{client:?}"));
        let asks = json!({"name": "p", "version": "1.0.0", "private": true, "workspaces": ["../outside"]});
        project.write("package.json", &asks.to_string());
        let ended = run(world, client, &project, &["install"]);
        became(&format!("{client:?}"), &project, &ended, Refused("outside of the project"));
    }
}

#[test]
fn modules_of_a_hidden_folder_that_the_project_asks_for_are_compared() {
    let world = World::shared();
    stock(world, "else-hidden", "1.0.0", MARKER);
    stock(world, "else-hidden", "2.0.0", MARKER);
    for (client, kind) in [(Client::Npm, "file"), (Client::Npm12, "file"), (Yarn, "portal")] {
        let project = Project::asking(
            world,
            &format!("else-asked-hidden-{client:?}").to_lowercase(),
            json!({"x": format!("{kind}:./.tools/x"), "else-hidden": "1"}),
        );
        let manifest = json!({"name": "x", "version": "1.0.0", "dependencies": {"else-hidden": "2"}});
        project.write(".tools/x/package.json", &manifest.to_string());
        let install = || client.through(world, &project, &["install"]).succeeded();
        let document = install().json();
        assert_eq!(document["end"]["receipt"]["compared"], 2, "{client:?}: {document:#}");
        assert_eq!(document["end"]["receipt"]["installed"], 2, "{client:?}: {document:#}");
        let file = ".tools/x/node_modules/else-hidden/index.js";
        project.write(file, "tampered");
        install();
        assert_eq!(project.read(file), MARKER, "{client:?}");
    }
}

#[test]
fn commands_that_lay_out_nothing_are_no_refusal() {
    let world = World::shared();
    for (client, words) in [
        (Pnpm, &["install", "--lockfile-only"][..]),
        (Yarn, &["install", "--mode=update-lockfile"]),
        (Bun, &["install", "--lockfile-only"]),
    ] {
        let project = laid(world, &format!("else-only-{client:?}"));
        // Without and with a tree that lies there.
        for _ in 0..2 {
            let ended = run(world, client, &project, words);
            ended.clone().succeeded();
            assert!(project.has(client.lockfile()), "{client:?}: {ended}");
            run(world, client, &project, &["install"]).succeeded();
        }
        assert!(project.has("node_modules/else-one"), "{client:?}");
    }
    stock_foreign(world);
    for client in [Pnpm9, Pnpm, Pnpm11, YarnClassic, Yarn, Bun] {
        let project = Project::new(world, &format!("else-empty-{client:?}/project").to_lowercase());
        for fields in [json!({}), json!({"optionalDependencies": {"else-foreign": "1"}})] {
            let mut manifest = json!({"name": "p", "version": "1.0.0"});
            manifest.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            project.write("package.json", &manifest.to_string());
            run(world, client, &project, &["install"]).succeeded();
        }
    }
}

fn stock_foreign(world: &World) {
    let manifest = json!({"name": "else-foreign", "version": "1.0.0", "os": ["sunos"]});
    put(world, &world.person("alice"), &manifest, &tarball(&manifest, &[("index.js", MARKER)]));
}
