//! The package managers that 3pm can stand in front of: which one is meant, where its program lies, and what
//! it must be told so that nothing runs and everything is fetched through the proxy. Runs nothing that a
//! project brings (`yarnPath`, `packageManager`, `.pnpmfile.cjs`): those count as scripts.
//!
//! What each understands was tried with npm 10, 11 and 12, pnpm 9, 10 and 11, yarn 1 and 4, and bun 1.4.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;
use url::Url;

use super::root::MANIFESTS;
use crate::install::answers::Question;
use crate::install::npm::no_shell;
use crate::install::project::{MAX_MANIFEST_BYTES, read_bounded};
use crate::shell::Client;

/// A kind of package manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// npm.
    Npm,
    /// pnpm.
    Pnpm,
    /// yarn 1.
    YarnClassic,
    /// yarn 2 and later.
    Yarn,
    /// bun.
    Bun,
}

/// The proxy as a package manager is told of it.
#[derive(Debug)]
pub(crate) struct Gateway<'a> {
    /// With this run's credentials.
    pub(crate) url: &'a Url,
    /// The run's certificate authority.
    pub(crate) ca: &'a Path,
}

/// A host that does not exist: an empty list of exceptions would let the project's own stand.
const NO_EXCEPTIONS: &str = "3pm.invalid";

/// The packages that package managers come as.
const PACKAGES: [&str; 4] = ["npm", "pnpm", "yarn", "@yarnpkg/cli-dist"];

/// A proxy that nobody is: no program may listen there without being root.
const NOBODY: &str = "http://127.0.0.1:1";

/// Settings of pnpm 9 to 11 for a proxy, as variables, and for what does not go through it.
const TO_PNPM_A_PROXY: [&str; 5] = [
    "npm_config_https_proxy",
    "npm_config_proxy",
    "pnpm_config_https_proxy",
    "pnpm_config_http_proxy",
    "pnpm_config_proxy",
];
const TO_PNPM_EXCEPTIONS: [&str; 4] =
    ["npm_config_noproxy", "npm_config_no_proxy", "pnpm_config_noproxy", "pnpm_config_no_proxy"];

/// Commands of yarn 4 that take `--mode=skip-build`. All others that install run scripts while they do.
const YARN_WITHOUT_BUILDS: [&str; 5] = ["install", "add", "up", "remove", "dedupe"];

impl Kind {
    /// The command people type.
    pub(crate) fn command(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::Pnpm => "pnpm",
            Self::YarnClassic | Self::Yarn => "yarn",
            Self::Bun => "bun",
        }
    }

    /// The lockfiles and other files it writes beside the package.json.
    pub(crate) fn files(self) -> &'static [&'static str] {
        match self {
            Self::Npm => &["package-lock.json", "npm-shrinkwrap.json"],
            Self::Pnpm => {
                &["pnpm-lock.yaml", "pnpm-workspace.yaml", ".pnp.cjs", "package.yaml", "package.json5"]
            }
            Self::YarnClassic => &["yarn.lock", ".pnp.js"],
            Self::Yarn => &["yarn.lock", ".yarnrc.yml", ".pnp.cjs", ".pnp.loader.mjs", ".pnp.data.json"],
            Self::Bun => &["bun.lock", "bun.lockb"],
        }
    }

    /// Its lockfile, for finding the root of a project.
    pub(crate) fn lockfiles(self) -> &'static [&'static str] {
        match self {
            Self::Npm => &["package-lock.json", "npm-shrinkwrap.json"],
            Self::Pnpm => &["pnpm-lock.yaml", "pnpm-workspace.yaml"],
            Self::YarnClassic | Self::Yarn => &["yarn.lock"],
            Self::Bun => &["bun.lock", "bun.lockb"],
        }
    }

    /// Arguments in front of the user's own, and behind them: no script runs, no code of the project is
    /// loaded.
    pub(crate) fn arguments(self, user: &[OsString]) -> Vec<OsString> {
        let mut all: Vec<OsString> = Vec::new();
        let behind: Vec<OsString> = match self {
            Self::Npm => {
                // Before them stand the flags of `install::settings`.
                ["--ignore-scripts=true", "--global=false", "--location=project"].map(OsString::from).into()
            }
            Self::Pnpm => vec!["--ignore-scripts".into(), "--ignore-pnpmfile".into()],
            Self::YarnClassic => vec!["--ignore-scripts".into()],
            // The setting of the environment is not enough: `dependenciesMeta` overrules it, and the project's own
            // scripts run in spite of it.
            Self::Yarn if user.iter().any(is_mode) => vec![],
            Self::Yarn => vec!["--mode=skip-build".into()],
            Self::Bun => vec!["--ignore-scripts".into()],
        };
        // What follows `--` is not ours to add to.
        let at = user.iter().position(|argument| argument == "--").unwrap_or(user.len());
        all.extend(user[..at].iter().cloned());
        all.extend(behind);
        all.extend(user[at..].iter().cloned());
        all
    }

    /// Why this command could run code of packages or of the project before it is checked, whatever it is told.
    pub(crate) fn runs_scripts_with(self, user: &[OsString]) -> Option<String> {
        if self != Self::Yarn {
            return None;
        }
        let mut words = user
            .iter()
            .take_while(|argument| *argument != "--")
            .filter_map(|argument| argument.to_str())
            .filter(|argument| !argument.starts_with('-'));
        let verb = match words.next() {
            None => return None,
            Some("workspace") => words.nth(1).unwrap_or("workspace"),
            Some(word) => word,
        };
        let mode = user
            .iter()
            .filter_map(|argument| argument.to_str())
            .find_map(|flag| flag.strip_prefix("--mode="));
        if !YARN_WITHOUT_BUILDS.contains(&verb) {
            return Some(format!(
                "yarn {verb} cannot be told to run no scripts before everything is checked"
            ));
        }
        let is_bare = user.iter().any(|argument| argument == "--mode");
        let is_quiet = mode.is_none_or(|mode| matches!(mode, "skip-build" | "update-lockfile"));
        (is_bare || !is_quiet)
            .then(|| "--mode has to be --mode=skip-build or --mode=update-lockfile".to_owned())
    }

    /// What it is told so that it asks for what its cache has: in its environment, and as a flag.
    pub(crate) fn asking_anew(self) -> (Option<(&'static str, &'static str)>, Option<&'static str>) {
        match self {
            Self::Npm => (Some(("npm_config_prefer_online", "true")), None),
            Self::Bun => (None, Some("--no-cache")),
            // These ask every time.
            Self::Pnpm | Self::YarnClassic | Self::Yarn => (None, None),
        }
    }

    /// What it is told where there is no network: in its environment, and as a flag. bun asks nobody where its lockfile
    /// and its cache have all.
    pub(crate) fn without_network(self) -> (Option<(&'static str, &'static str)>, Option<&'static str>) {
        match self {
            Self::Npm => (Some(("npm_config_offline", "true")), None),
            // yarn 1 has everything it needs in a mirror of its own, or says what it lacks.
            Self::Pnpm | Self::YarnClassic => (None, Some("--offline")),
            Self::Yarn => (Some(("YARN_ENABLE_NETWORK", "0")), None),
            Self::Bun => (None, None),
        }
    }

    /// What completes a project after a command that is for a part of it, where more lay there before: its folders
    /// were set aside, `again` says of each whether this command made it anew.
    pub(crate) fn completing(self, user: &[OsString], again: &[bool]) -> Option<Vec<OsString>> {
        let has = |client: Client, flags: &[&str]| client.has_flag(user, flags);
        let made = again.contains(&true);
        let is_partial = match self {
            // `pnpm add` in a workspace makes that workspace's folder, and no other.
            Self::Pnpm => made && again.contains(&false),
            Self::Npm => made && has(Client::Npm, &["workspace", "w", "workspaces", "ws"]),
            Self::Bun => made && has(Client::Bun, &["filter", "F"]),
            Self::YarnClassic | Self::Yarn => false,
        };
        let alone = (self == Self::Pnpm && user.iter().any(|word| word == "--ignore-workspace"))
            .then(|| OsString::from("--ignore-workspace"));
        is_partial.then(|| std::iter::once("install".into()).chain(alone).collect())
    }

    /// Whether it runs the project's own scripts with this command, as was tried with each of them. yarn 4 decides
    /// that itself, bun always does.
    pub(crate) fn runs_own_scripts(self, user: &[OsString]) -> bool {
        let client = match self {
            Self::Npm => Client::Npm,
            Self::Pnpm => Client::Pnpm,
            Self::YarnClassic => Client::Yarn,
            Self::Yarn | Self::Bun => return true,
        };
        let words = client.words(user);
        let mut words = words.iter().map(String::as_str);
        let verb = words.next().unwrap_or("install");
        let names_packages = words.any(|word| word != ".");
        match self {
            // `install` and `ci` have a dozen spellings.
            Self::Npm => !names_packages && (verb.starts_with(['i', 'c']) || verb == "add"),
            Self::Pnpm => match verb {
                "add" | "a" | "remove" | "rm" | "uninstall" | "un" | "uni" => false,
                "install" | "i" => !names_packages,
                _ => true,
            },
            _ => !matches!(verb, "remove" | "upgrade" | "upgrade-interactive"),
        }
    }

    /// What stands in its environment while nothing may run. `None` takes a variable away.
    pub(crate) fn environment(self, gateway: &Gateway<'_>) -> Vec<(&'static str, OsString)> {
        let proxy = || OsString::from(gateway.url.as_str());
        let ca = || gateway.ca.as_os_str().to_owned();
        let mut variables = self.own_program();
        variables.extend([
            ("HTTPS_PROXY", proxy()),
            ("https_proxy", proxy()),
            ("HTTP_PROXY", proxy()),
            ("http_proxy", proxy()),
            ("NO_PROXY", NO_EXCEPTIONS.into()),
            ("no_proxy", NO_EXCEPTIONS.into()),
            ("NODE_EXTRA_CA_CERTS", ca()),
        ]);
        match self {
            Self::Npm | Self::YarnClassic | Self::Pnpm | Self::Bun => variables.extend([
                ("npm_config_https_proxy", proxy()),
                ("npm_config_proxy", proxy()),
                ("npm_config_noproxy", NO_EXCEPTIONS.into()),
                ("npm_config_cafile", ca()),
                ("npm_config_ignore_scripts", "true".into()),
                ("npm_config_strict_ssl", "true".into()),
                ("npm_config_global", "false".into()),
            ]),
            Self::Yarn => {}
        }
        match self {
            Self::Npm => {
                // npm 10 runs the `prepare` of a repository even where scripts are switched off.
                variables.push(("npm_config_script_shell", no_shell().into()));
                // A project's own setting could name any program; `git` follows the PATH.
                variables.push(("npm_config_git", "git".into()));
            }
            Self::Pnpm => variables.extend([
                ("pnpm_config_https_proxy", proxy()),
                ("pnpm_config_http_proxy", proxy()),
                ("pnpm_config_proxy", proxy()),
                ("pnpm_config_noproxy", NO_EXCEPTIONS.into()),
                // To pnpm `no-proxy` is a setting of its own, above the one that everybody has.
                ("npm_config_no_proxy", NO_EXCEPTIONS.into()),
                ("pnpm_config_no_proxy", NO_EXCEPTIONS.into()),
                ("pnpm_config_cafile", ca()),
                ("pnpm_config_ignore_scripts", "true".into()),
                ("npm_config_update_notifier", "false".into()),
                ("npm_config_verify_store_integrity", "true".into()),
            ]),
            Self::YarnClassic => variables.extend([
                ("yarn_proxy", proxy()),
                ("yarn_https_proxy", proxy()),
                ("yarn_no_proxy", NO_EXCEPTIONS.into()),
                ("yarn_cafile", ca()),
                ("yarn_ignore_scripts", "true".into()),
            ]),
            Self::Yarn => variables.extend([
                ("YARN_HTTPS_PROXY", proxy()),
                ("YARN_HTTP_PROXY", proxy()),
                ("YARN_HTTPS_CA_FILE_PATH", ca()),
                ("YARN_ENABLE_STRICT_SSL", "1".into()),
                // No `YARN_ENABLE_SCRIPTS`: `--mode=skip-build` runs none, and where packages lie depends on whether
                // they may run theirs, which must be the same when they do.
                ("YARN_ENABLE_TELEMETRY", "0".into()),
            ]),
            Self::Bun => variables.push(("BUN_CONFIG_NO_CLEAR_TERMINAL", "1".into())),
        }
        variables
    }

    /// What stands in its environment where it is asked something: that needs no network, and what it would fetch all
    /// the same comes from nobody.
    pub(crate) fn asked(self) -> Vec<(&'static str, OsString)> {
        let mut variables = self.own_program();
        match self {
            Self::Pnpm => {
                variables.extend(TO_PNPM_A_PROXY.map(|name| (name, NOBODY.into())));
                variables.extend(TO_PNPM_EXCEPTIONS.map(|name| (name, NO_EXCEPTIONS.into())));
            }
            Self::Yarn => {
                variables.extend(self.without_network().0.map(|(name, value)| (name, value.into())));
            }
            // Neither fetches anything to answer, and bun is not asked.
            Self::Npm | Self::YarnClassic | Self::Bun => {}
        }
        variables
    }

    /// What stands in its environment always: no program of the project takes its place or is loaded by it.
    pub(crate) fn own_program(self) -> Vec<(&'static str, OsString)> {
        let variables: &[(&str, &str)] = match self {
            Self::Npm | Self::Bun => &[],
            Self::Pnpm => &[
                ("npm_config_manage_package_manager_versions", "false"),
                ("pnpm_config_manage_package_manager_versions", "false"),
                ("pnpm_config_pm_on_fail", "ignore"),
                ("npm_config_ignore_pnpmfile", "true"),
                ("pnpm_config_ignore_pnpmfile", "true"),
            ],
            Self::YarnClassic | Self::Yarn => &[("YARN_IGNORE_PATH", "1")],
        };
        let corepack = ["COREPACK_ENABLE_PROJECT_SPEC", "COREPACK_ENABLE_STRICT", "COREPACK_ENABLE_AUTO_PIN"];
        let variables = variables.iter().map(|(name, value)| (*name, OsString::from(value)));
        variables.chain(corepack.map(|name| (name, "0".into()))).collect()
    }
}

fn is_mode(argument: &OsString) -> bool {
    argument.to_str().is_some_and(|argument| argument.starts_with("--mode"))
}

/// A package manager that is there.
#[derive(Debug, Clone)]
pub(crate) struct Manager {
    /// Which.
    pub(crate) kind: Kind,
    /// Its program, by absolute path.
    pub(crate) program: PathBuf,
    /// Its version, as it says; empty where it has not been asked yet.
    pub(crate) version: String,
}

impl Manager {
    /// What it is asked in `folder`.
    pub(crate) fn question<'a>(&'a self, words: &'a [&'a str], folder: &'a Path) -> Question<'a> {
        Question { program: &self.program, words, folder: Some(folder), always: false }
    }

    /// The first number of its version.
    pub(crate) fn major(&self) -> Option<u32> {
        self.version.split('.').next()?.parse().ok()
    }
}

/// The version of a program that lies in the package of that package manager, as most do. Others, such as Corepack's, are
/// asked.
pub(crate) fn version_beside(program: &Path) -> Option<String> {
    let real = program.canonicalize().ok()?;
    let manifest = real.ancestors().skip(1).take(3).map(|folder| folder.join("package.json"));
    let manifest = manifest.into_iter().find(|path| path.is_file())?;
    let bytes = read_bounded(&manifest, MAX_MANIFEST_BYTES).ok()??;
    let manifest: Value = serde_json::from_slice(&bytes).ok()?;
    let is_its_own = manifest["name"].as_str().is_some_and(|name| PACKAGES.contains(&name));
    let version = manifest["version"].as_str()?.parse::<trust::Version>().ok()?;
    is_its_own.then(|| version.to_string())
}

/// The first program of that name on the PATH that is neither the project's of `folder` nor one of our own shims.
pub(crate) fn find_program(command: &str, folder: &Path, shims: &Path) -> Option<PathBuf> {
    own_path(folder)
        .into_iter()
        .filter(|folder| !folder.starts_with(shims))
        .map(|folder| folder.join(command))
        .find(|program| is_executable(program) && !crate::shell::program::is_shim(program))
}

/// The folders of the PATH that programs are taken from before everything was compared: what the project of `folder`
/// brings, in `node_modules/.bin` or elsewhere, is what is about to be checked. Scripts and tools like direnv put that
/// on the PATH, some of it as a relative path.
pub(crate) fn own_path(folder: &Path) -> Vec<PathBuf> {
    let places = [Some(folder.to_owned()), std::env::current_dir().ok()];
    let projects: Vec<PathBuf> =
        places.into_iter().flatten().filter_map(|place| whole_project(&place)).collect();
    let is_fit = |entry: &Path| {
        let is_modules = entry.iter().any(|part| part == "node_modules");
        !is_modules && !projects.iter().any(|project| entry.starts_with(project))
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .filter(|entry| entry.is_absolute() && is_fit(entry))
        .filter(|entry| entry.canonicalize().map_or(true, |real| is_fit(&real)))
        .collect()
}

/// The uppermost folder from here with a package.json, else this one. The user's home and what is above it is no
/// project, whatever lies there.
fn whole_project(folder: &Path) -> Option<PathBuf> {
    let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let home = std::env::home_dir().and_then(|home| home.canonicalize().ok());
    let is_one = |place: &&Path| {
        place.parent().is_some() && !home.as_ref().is_some_and(|home| home.starts_with(place))
    };
    let places = || real.ancestors().take_while(is_one);
    let has_manifest = |place: &&Path| MANIFESTS.iter().any(|name| place.join(name).is_file());
    places().filter(has_manifest).last().or_else(|| places().next()).map(Path::to_owned)
}

/// yarn 1, or a later one.
pub(crate) fn kind_of_yarn(version: &str) -> Kind {
    if version.starts_with("0.") || version.starts_with("1.") { Kind::YarnClassic } else { Kind::Yarn }
}

fn is_executable(program: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(program).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// The folder whose lockfile counts: the nearest above `folder` with one of this kind, else the nearest with
/// a package.json. For npm; the others have rules of their own, in `root`.
pub(crate) fn find_root(kind: Kind, folder: &Path) -> Option<PathBuf> {
    let with_lockfile = folder.ancestors().find(|place| {
        kind.lockfiles().iter().any(|name| place.join(name).is_file()) && place.join("package.json").is_file()
    });
    let with_manifest = || folder.ancestors().find(|place| place.join("package.json").is_file());
    with_lockfile.or_else(with_manifest).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_two_dashes_stays_there() {
        let user: Vec<OsString> = ["add", "x", "--", "--flag"].map(OsString::from).into();
        let all = Kind::Pnpm.arguments(&user);
        assert_eq!(
            all,
            ["add", "x", "--ignore-scripts", "--ignore-pnpmfile", "--", "--flag"].map(OsString::from)
        );
    }

    #[test]
    fn the_version_of_a_program_is_that_of_its_own_package() {
        let holder = tempfile::tempdir().unwrap();
        let program = holder.path().join("pkg/bin/pnpm.cjs");
        std::fs::create_dir_all(program.parent().unwrap()).unwrap();
        std::fs::write(&program, "").unwrap();
        let link = holder.path().join("pnpm");
        std::os::unix::fs::symlink(&program, &link).unwrap();
        for (manifest, version) in [
            (r#"{"name": "pnpm", "version": "10.1.2"}"#, Some("10.1.2")),
            (r#"{"name": "corepack", "version": "0.34.0"}"#, None),
            (r#"{"name": "pnpm", "version": "latest"}"#, None),
            ("{", None),
        ] {
            std::fs::write(holder.path().join("pkg/package.json"), manifest).unwrap();
            assert_eq!(version_beside(&link).as_deref(), version, "{manifest}");
        }
        std::fs::remove_file(holder.path().join("pkg/package.json")).unwrap();
        std::fs::remove_file(&program).unwrap();
        assert_eq!(version_beside(&link), None);
    }

    #[test]
    fn every_manager_is_told_of_the_proxy_and_that_nothing_is_excepted() {
        let url: Url = "http://u:p@127.0.0.1:1".parse().unwrap();
        let gateway = Gateway { url: &url, ca: Path::new("/ca") };
        for kind in [Kind::Npm, Kind::Pnpm, Kind::YarnClassic, Kind::Yarn, Kind::Bun] {
            let variables = kind.environment(&gateway);
            let of =
                |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone());
            assert_eq!(of("HTTPS_PROXY"), Some(url.as_str().into()), "{kind:?}");
            assert_eq!(of("NO_PROXY"), Some(NO_EXCEPTIONS.into()), "{kind:?}");
        }
    }

    #[test]
    fn a_project_is_everything_below_the_uppermost_manifest() {
        let holder = tempfile::tempdir().unwrap();
        let base = holder.path().canonicalize().unwrap();
        let inner = base.join("project/packages/a/src");
        std::fs::create_dir_all(&inner).unwrap();
        assert_eq!(whole_project(&inner), Some(inner.clone()));
        for place in ["project", "project/packages/a"] {
            std::fs::write(base.join(place).join("package.json"), "{}").unwrap();
        }
        assert_eq!(whole_project(&inner), Some(base.join("project")));
        assert_eq!(whole_project(Path::new("/")), None);
        if let Some(home) = std::env::home_dir() {
            assert_eq!(whole_project(&home), None);
        }
    }

    #[test]
    fn the_root_is_where_the_lockfile_lies() {
        let holder = tempfile::tempdir().unwrap();
        let inner = holder.path().join("packages/a");
        std::fs::create_dir_all(&inner).unwrap();
        for place in [holder.path(), inner.as_path()] {
            std::fs::write(place.join("package.json"), "{}").unwrap();
        }
        assert_eq!(find_root(Kind::Npm, &inner), Some(inner.clone()));
        std::fs::write(holder.path().join("package-lock.json"), "").unwrap();
        assert_eq!(find_root(Kind::Npm, &inner), Some(holder.path().to_owned()));
    }

    #[test]
    fn yarn_runs_only_what_it_can_be_told_to_run_without_scripts() {
        let check = |line: &str, expected: Option<&str>| {
            let arguments: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            let why = Kind::Yarn.runs_scripts_with(&arguments);
            let said = why.as_deref().unwrap_or_default();
            assert!(
                why.is_some() == expected.is_some() && said.contains(expected.unwrap_or_default()),
                "{line}: {said}"
            );
            assert_eq!(Kind::YarnClassic.runs_scripts_with(&arguments), None, "{line}");
        };
        check("", None);
        check("--immutable", None);
        check("add left-pad -D", None);
        check("workspace web add left-pad", None);
        check("install --mode=update-lockfile", None);
        check("workspace web run build", Some("yarn run"));
        check("workspaces focus --all", Some("yarn workspaces"));
        check("unplug x", Some("yarn unplug"));
        check("--cwd elsewhere add x", Some("yarn elsewhere"));
        check("install --mode skip-build", Some("--mode=skip-build"));
        check("install --mode=build", Some("--mode=skip-build"));
        let of = |line: &str| {
            Kind::Yarn
                .arguments(&line.split(' ').map(OsString::from).collect::<Vec<_>>())
                .join(&OsString::from(" "))
        };
        assert_eq!(of("add x"), "add x --mode=skip-build");
        assert_eq!(of("install --mode=update-lockfile"), "install --mode=update-lockfile");
    }

    #[test]
    fn the_projects_own_scripts_run_with_the_commands_that_each_runs_them_with() {
        let check = |kind: Kind, line: &str| {
            kind.runs_own_scripts(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
        };
        for (kind, runs, not) in [
            (
                Kind::Npm,
                &["install", "i", "ci", "install .", "install --omit dev", "clean-install"][..],
                &["install x", "add x", "i -D x", "install -- x", "update", "uninstall x", "dedupe"][..],
            ),
            (Kind::Pnpm, &["install", "update", "i --prod"], &["add x", "install x", "remove x"]),
            (Kind::YarnClassic, &["", "install", "add x"], &["remove x", "upgrade", "upgrade x"]),
            (Kind::Yarn, &["add x"], &[]),
            (Kind::Bun, &["add x", "remove x"], &[]),
        ] {
            runs.iter().for_each(|line| assert!(check(kind, line), "{kind:?} {line}"));
            not.iter().for_each(|line| assert!(!check(kind, line), "{kind:?} {line}"));
        }
    }
}
