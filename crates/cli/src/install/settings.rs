//! npm's settings, as far as they decide whether what was checked is what gets installed: which of them
//! the project sets, and the flags that put the user's own in their place. Tokens are neither read nor
//! passed on.
//!
//! A project's `.npmrc` stands above the user's in npm's order. npm itself is asked twice for what is in
//! force, in the project and in an empty folder, because nobody else reads `${VARIABLE}`, sections and
//! `userconfig=` the way npm does.

use std::collections::BTreeMap;
use std::ffi::OsString;

use client::http::UserProxy;
use serde::Serialize;
use serde_json::Value;
use trust::text::printable;
use url::Url;

use super::npm::no_shell;

/// Settings that make npm run something, or read settings from elsewhere. While packages are resolved
/// and unpacked the user's own apply; when scripts run, the project's, as scripts of the project.
const RUNS_SOMETHING: [&str; 5] = ["git", "node-options", "script-shell", "shell", "node-gyp"];

/// Settings that name other files of settings: the user's own always apply.
const NAMES_SETTINGS: [&str; 2] = ["userconfig", "globalconfig"];

/// Settings whose value is fixed, with that value, because another one would open a gap. Said aloud when
/// the project sets another.
const FIXED: [(&str, &str); 9] = [
    ("ignore-scripts", "true"),
    ("package-lock", "true"),
    ("dry-run", "false"),
    ("global", "false"),
    ("location", "project"),
    ("json", "false"),
    ("save", "true"),
    ("audit", "false"),
    ("fund", "false"),
];

/// Fixed settings that a person need not hear of.
const SILENT: [&str; 5] = ["audit", "fund", "json", "ignore-scripts", "dry-run"];

/// Settings of npm 11 and later that let sources other than registries in: the stricter of the project's
/// and the user's applies.
const SOURCES: [&str; 4] = ["allow-git", "allow-remote", "allow-file", "allow-directory"];

/// Settings with paths, relative to the project: passed on absolutely, because npm resolves them against
/// the folder it runs in.
const PATHS: [&str; 3] = ["cache", "cafile", "logs-dir"];

/// What is in force in the project, and what would be without its `.npmrc`.
#[derive(Debug)]
pub(crate) struct Settings {
    project: BTreeMap<String, Value>,
    user: BTreeMap<String, Value>,
}

/// A setting of the project that was not followed, or deserves a word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Noted {
    /// Its name.
    pub(crate) setting: String,
    /// What the project says.
    pub(crate) value: String,
    /// What happened to it.
    pub(crate) effect: String,
}

impl Noted {
    /// A registry that the project leads to.
    pub(crate) fn registry(setting: &str, url: &str) -> Self {
        let effect = "followed: packages come from there, and are judged all the same".to_owned();
        Self { setting: printable(setting, 80), value: printable(url, 120), effect }
    }
}

/// Whether this setting of npm's names a registry, of all packages or of a scope.
pub(crate) fn is_registry(name: &str) -> bool {
    name == "registry" || name.ends_with(":registry")
}

/// What npm is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Resolve in the copy, or unpack: nothing may run.
    Quiet,
    /// Run scripts.
    Scripts,
}

impl Settings {
    /// What `npm config list --json` says in the project, and where there is none.
    pub(crate) fn new(project: BTreeMap<String, Value>, user: BTreeMap<String, Value>) -> Self {
        Self { project, user }
    }

    /// What is in force in the project.
    pub(crate) fn in_project(&self) -> serde_json::Map<String, Value> {
        self.project.clone().into_iter().collect()
    }

    /// Registries in force, by the setting that names each: in the project, and without it.
    pub(crate) fn registries(&self) -> [BTreeMap<&str, &str>; 2] {
        [&self.project, &self.user].map(|settings| {
            let named = settings.iter().filter(|(name, _)| is_registry(name));
            named.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?))).collect()
        })
    }

    /// The user's own proxy, as npm and curl read it: a project's is never asked.
    pub(crate) fn user_proxy(&self) -> Option<UserProxy> {
        let text = |value: &str| Some(value.to_owned()).filter(|value| !value.is_empty());
        let set = |name: &str| self.user.get(name).and_then(Value::as_str).and_then(text);
        let variable =
            |names: &[&str]| names.iter().find_map(|name| text(&std::env::var(name).unwrap_or_default()));
        let of_environment = || variable(&["https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"]);
        let url = set("https-proxy").or_else(|| set("proxy")).or_else(of_environment)?;
        let url = Url::parse(&url).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
        let hosts = match self.user.get("noproxy") {
            Some(Value::Array(hosts)) => hosts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
            other => other.and_then(Value::as_str).unwrap_or_default().to_owned(),
        };
        let exceptions = text(&hosts).or_else(|| variable(&["no_proxy", "NO_PROXY"]));
        Some(UserProxy { url, exceptions })
    }

    /// Whether the user wants no scripts; a project may want fewer than its user, never more.
    pub(crate) fn ignores_scripts(&self) -> bool {
        let on =
            |settings: &BTreeMap<String, Value>| settings.get("ignore-scripts") == Some(&Value::Bool(true));
        on(&self.user) || on(&self.project)
    }

    /// Whether npm leaves out what is for developers, or another kind of dependency (`omit`).
    pub(crate) fn leaves_out(&self) -> bool {
        self.project.get("omit").and_then(Value::as_array).is_some_and(|kinds| !kinds.is_empty())
    }

    /// What the project sets that was overruled or should be known, in npm's order of names.
    pub(crate) fn noted(&self) -> Vec<Noted> {
        let mut noted = Vec::new();
        for (name, value) in &self.project {
            if !self.is_projects(name) {
                continue;
            }
            let fixed = FIXED.iter().find(|(fixed, wanted)| fixed == name && shown(value) != *wanted);
            let effect = match name.as_str() {
                "install-strategy" if shown(value) == "linked" => {
                    "overruled: packages are laid out hoisted".to_owned()
                }
                "lockfile-version" if shown(value) == "1" => "overruled: version 3 is written".to_owned(),
                "ignore-scripts"
                    if *value == Value::Bool(false) && self.user.get(name) == Some(&Value::Bool(true)) =>
                {
                    "overruled: the user wants no scripts".to_owned()
                }
                name if SOURCES.contains(&name) => {
                    "followed only where it allows less than the user does".to_owned()
                }
                name if NAMES_SETTINGS.contains(&name) => "overruled: the user's own is read".to_owned(),
                name if RUNS_SOMETHING.contains(&name) => {
                    "not followed until scripts run: it counts as a script of the project".to_owned()
                }
                name if is_registry(name) => {
                    noted.push(Noted::registry(name, &shown(value)));
                    continue;
                }
                _ if fixed.is_some() && !SILENT.contains(&name.as_str()) => {
                    "overruled for this run".to_owned()
                }
                _ => continue,
            };
            noted.push(Noted { setting: printable(name, 80), value: printable(&shown(value), 120), effect });
        }
        noted
    }

    /// The flags of one run of npm. Flags stand above every file and variable.
    pub(crate) fn flags(&self, phase: Phase) -> Vec<OsString> {
        let mut flags: Vec<OsString> = vec!["--no-update-notifier".into()];
        for (name, value) in FIXED {
            if name != "ignore-scripts" || phase == Phase::Quiet {
                flags.push(format!("--{name}={value}").into());
            }
        }
        for name in NAMES_SETTINGS.iter().chain(RUNS_SOMETHING.iter()) {
            let quiet_only = RUNS_SOMETHING.contains(name);
            if self.is_projects(name) && (phase == Phase::Quiet || !quiet_only) {
                let users = self.user.get(*name).map(shown).unwrap_or_default();
                flags.push(format!("--{name}={users}").into());
            }
        }
        if phase == Phase::Quiet {
            flags.push(format!("--script-shell={}", no_shell()).into());
        }
        for name in PATHS {
            if let Some(Value::String(path)) = self.project.get(name).filter(|_| self.is_projects(name)) {
                flags.push(format!("--{name}={path}").into());
            }
        }
        for name in SOURCES {
            let (projects, users) = (self.project.get(name).map(shown), self.user.get(name).map(shown));
            if let (Some(projects), Some(users)) = (projects, users)
                && projects != users
            {
                let stricter = if strictness(&projects) > strictness(&users) { projects } else { users };
                flags.push(format!("--{name}={stricter}").into());
            }
        }
        if self.project.get("install-strategy").is_some_and(|value| shown(value) == "linked") {
            flags.push("--install-strategy=hoisted".into());
        }
        flags
    }

    /// The version of lockfile to write where npm would write version 1, which carries no manifests.
    pub(crate) fn lockfile_version_flag(&self) -> Option<OsString> {
        let wanted = self.project.get("lockfile-version").map(shown);
        (wanted.as_deref() == Some("1")).then(|| "--lockfile-version=3".into())
    }

    fn is_projects(&self, name: &str) -> bool {
        self.project.get(name) != self.user.get(name)
    }
}

fn strictness(value: &str) -> u8 {
    match value {
        "all" => 0,
        "root" => 1,
        _ => 2,
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(project: &str, user: &str) -> Settings {
        Settings {
            project: serde_json::from_str(project).unwrap(),
            user: serde_json::from_str(user).unwrap(),
        }
    }

    fn has(flags: &[OsString], flag: &str) -> bool {
        flags.iter().any(|found| found == flag)
    }

    #[test]
    fn what_would_open_a_gap_is_a_flag_whatever_anybody_set() {
        let flags = settings("{}", "{}").flags(Phase::Quiet);
        for flag in [
            "--ignore-scripts=true",
            "--package-lock=true",
            "--global=false",
            "--dry-run=false",
            "--location=project",
        ] {
            assert!(has(&flags, flag), "{flag}");
        }
        assert!(!has(&settings("{}", "{}").flags(Phase::Scripts), "--ignore-scripts=true"));
    }

    #[test]
    fn a_program_named_by_the_project_is_the_users_again_until_scripts_run() {
        let settings = settings(
            r#"{"git": "./evil", "node-options": "--require ./x", "userconfig": "/p/other", "shell": "/bin/sh"}"#,
            r#"{"git": "git", "node-options": null, "userconfig": "/home/u/.npmrc", "shell": "/bin/sh"}"#,
        );
        let quiet = settings.flags(Phase::Quiet);
        assert!(
            has(&quiet, "--git=git")
                && has(&quiet, "--node-options=")
                && has(&quiet, "--userconfig=/home/u/.npmrc")
        );
        assert!(!quiet.iter().any(|flag| flag.to_string_lossy().starts_with("--shell")));
        let scripts = settings.flags(Phase::Scripts);
        assert!(has(&scripts, "--userconfig=/home/u/.npmrc"));
        assert!(!scripts.iter().any(|flag| flag.to_string_lossy().starts_with("--git")));
        let noted: Vec<_> = settings.noted().into_iter().map(|noted| noted.setting).collect();
        assert_eq!(noted, ["git", "node-options", "userconfig"]);
    }

    #[test]
    fn a_project_can_ask_for_fewer_scripts_never_for_more() {
        for (project, user, ignored) in [
            ("false", "true", true),
            ("true", "false", true),
            ("true", "true", true),
            ("false", "false", false),
        ] {
            let of = |on: &str| format!("{{\"ignore-scripts\": {on}}}");
            assert_eq!(settings(&of(project), &of(user)).ignores_scripts(), ignored, "{project} {user}");
        }
        assert_eq!(settings(r#"{"ignore-scripts": false}"#, r#"{"ignore-scripts": true}"#).noted().len(), 1);
    }

    #[test]
    fn of_the_sources_that_are_allowed_the_stricter_word_counts() {
        for (project, user, flag) in
            [("all", "none", "none"), ("none", "all", "none"), ("all", "root", "root")]
        {
            let of = |value: &str| format!("{{\"allow-git\": {value:?}}}");
            let flags = settings(&of(project), &of(user)).flags(Phase::Quiet);
            assert!(has(&flags, &format!("--allow-git={flag}")), "{project} {user}");
        }
    }

    #[test]
    fn layouts_and_lockfiles_that_cannot_be_checked_are_overruled_and_named() {
        let settings = settings(
            r#"{"install-strategy": "linked", "lockfile-version": 1, "package-lock": false, "cache": "/p/cache", "registry": "http://r.example/"}"#,
            r#"{"install-strategy": "hoisted", "lockfile-version": null, "package-lock": true, "cache": "/home/u/.npm"}"#,
        );
        let flags = settings.flags(Phase::Quiet);
        assert!(has(&flags, "--install-strategy=hoisted") && has(&flags, "--cache=/p/cache"));
        assert_eq!(settings.lockfile_version_flag(), Some("--lockfile-version=3".into()));
        let noted: Vec<_> = settings.noted().into_iter().map(|noted| noted.setting).collect();
        assert_eq!(noted, ["install-strategy", "lockfile-version", "package-lock", "registry"]);
    }
}
