//! Where a package manager is to put packages: into the project, where they are set aside and compared. Settings
//! that would lead it elsewhere are overruled where something stands above them, else they are refused, and so are
//! arguments. Looks at nothing that was installed; that is `laid`.
//!
//! What moves packages, and what stands above it, was tried with pnpm 9, 10 and 11, yarn 1 and 4, and bun 1.4.

use std::ffi::OsString;
use std::path::Path;

use serde_json::Value;

use super::code;
use super::manager::{Kind, Manager};
use super::plug;
use super::process;
use crate::install::answers::Answers;
use crate::install::project::{MAX_MANIFEST_BYTES, read_bounded};
use crate::shell::Client;
use crate::shell::decide::{Decision, Here, Install, Refusal, decide};

/// What tells a package manager where packages belong.
#[derive(Debug, Default)]
pub(crate) struct Overruled {
    /// In front of what it is told.
    pub(crate) front: Vec<OsString>,
    /// Behind it: yarn 1 goes by the last of several, and reads a file's before these.
    behind: Vec<OsString>,
    /// In its environment.
    pub(crate) variables: Vec<(&'static str, OsString)>,
}

impl Overruled {
    /// The whole command line; what follows `--` is nobody's to add to.
    pub(crate) fn around(&self, told: Vec<OsString>) -> Vec<OsString> {
        let at = told.iter().position(|argument| argument == "--").unwrap_or(told.len());
        let (words, rest) = told.split_at(at);
        [&self.front, words, &self.behind, rest].concat()
    }
}

/// Reads the user's own words as the hook does: the folder to go to, and what is left to say.
pub(crate) fn read_words(client: Client, arguments: Vec<OsString>, here: &Here) -> Result<Install, Refusal> {
    let refuse = |why: String, instead: String| Err(Refusal { why, instead: Some(instead) });
    match decide(client, &arguments, here) {
        Decision::Install(Install { then_test: true, .. }) => refuse(
            format!("{} would run the project's tests before anything is checked", client.command()),
            format!("3pm run-with {} -- install, then the tests", client.command()),
        ),
        Decision::Install(install) => Ok(install),
        Decision::Once(_) => refuse(
            format!("{} would install outside of the project; 3pm cannot check that", client.command()),
            "3pm exec PACKAGE, which runs it once, checked".to_owned(),
        ),
        Decision::Refuse(refusal) => Err(refusal),
        // It installs nothing.
        Decision::Pass(_) => Ok(Install { folder: None, arguments, then_test: false }),
    }
}

impl Kind {
    /// What stands above every file of the project.
    pub(crate) fn overruled(self, root: &Path, folder: &Path) -> Overruled {
        let at = |place: &str| root.join(place).into_os_string();
        let Overruled { mut front, mut behind, mut variables } = Overruled::default();
        match self {
            Self::Npm => {}
            Self::Pnpm => front.extend(
                [
                    "--config.modules-dir=node_modules",
                    "--config.virtual-store-dir=node_modules/.pnpm",
                    "--config.enable-global-virtual-store=false",
                    "--config.global=false",
                    // It would install anew before a script, past the checks.
                    "--config.verify-deps-before-run=false",
                ]
                .map(OsString::from),
            ),
            Self::YarnClassic => behind.extend([
                "--modules-folder".into(),
                at("node_modules"),
                "--cwd".into(),
                folder.as_os_str().to_owned(),
            ]),
            Self::Yarn => variables.extend([
                ("YARN_PNPM_STORE_FOLDER", at("node_modules/.store")),
                ("YARN_PNP_UNPLUGGED_FOLDER", at(".yarn/unplugged")),
                ("YARN_VIRTUAL_FOLDER", at(".yarn/__virtual__")),
                ("YARN_INSTALL_STATE_PATH", at(".yarn/install-state.gz")),
                // Its words would stand in front of the table that is compared.
                ("YARN_PNP_SHEBANG", plug::SHEBANG.into()),
                // An archive is the one of the lockfile's checksum, or nothing is installed.
                ("YARN_CHECKSUM_BEHAVIOR", "throw".into()),
                // A program of the project, which would run before anything is checked.
                ("YARN_ENABLE_CONSTRAINTS_CHECKS", "0".into()),
            ]),
            Self::Bun => variables.push(("BUN_INSTALL_GLOBAL_STORE", "0".into())),
        }
        Overruled { front, behind, variables }
    }
}

/// Settings that nothing stands above.
pub(crate) async fn refuse_settings(
    manager: &Manager,
    root: &Path,
    folder: &Path,
    answers: &Answers,
) -> Result<(), Refusal> {
    match manager.kind {
        Kind::Pnpm => {
            // Overruled, it would change what a workspace with a lockfile for each means.
            let arguments = ["config", "get", "lockfile-dir"];
            let quiet = manager.kind.asked();
            let limit = super::flow::QUESTION_LIMIT;
            let question = manager.question(&arguments, folder);
            if !question.is_mentioned("lockfiledir") {
                return Ok(());
            }
            let ask = process::ask(&manager.program, &arguments, folder, &quiet, limit);
            let said = answers.to(question, ask).await.unwrap_or_default();
            let named = said.lines().last().unwrap_or_default().trim();
            let is_root = || folder.join(named).canonicalize().ok() == root.canonicalize().ok();
            if named.is_empty() || matches!(named, "undefined" | "null") || is_root() {
                return Ok(());
            }
            Err(Refusal {
                why: format!(
                    "the setting lockfile-dir leads pnpm to {}, which is not this project; 3pm cannot check that",
                    trust::text::printable(named, 300)
                ),
                instead: Some(
                    "take lockfile-dir out of .npmrc and lockfileDir out of pnpm-workspace.yaml".to_owned(),
                ),
            })
        }
        Kind::YarnClassic if wants_plug_and_play(root) => Err(no_plug_and_play()),
        Kind::YarnClassic => not_the_users(folder).try_for_each(refuse_flags),
        Kind::Yarn => not_the_users(folder).try_for_each(refuse_proxies),
        Kind::Npm | Kind::Bun => Ok(()),
    }
}

/// A folder and those above it; what lies in the user's home is his own.
pub(crate) fn not_the_users(folder: &Path) -> impl Iterator<Item = &Path> {
    let home = std::env::home_dir();
    folder.ancestors().filter(move |place| home.as_deref() != Some(place))
}

/// To yarn 4 a proxy for one host stands above every variable.
fn refuse_proxies(place: &Path) -> Result<(), Refusal> {
    let file = place.join(code::SETTINGS);
    let why = match code::find_word(&file, MAX_MANIFEST_BYTES, &["networkSettings"]) {
        Ok(None) => return Ok(()),
        Ok(Some(word)) => {
            format!("{}: {word} could lead yarn past 3pm, which could not check what comes", file.display())
        }
        Err(why) => format!("{why}, so 3pm cannot tell whether yarn would be led past it"),
    };
    Err(Refusal {
        why,
        instead: Some("take it out; 3pm goes through the proxy of your HTTPS_PROXY".to_owned()),
    })
}

/// yarn 1 takes flags out of its settings, and a flag stands above every variable; said on the command line, the
/// proxy's credentials would be for everybody to read.
fn refuse_flags(place: &Path) -> Result<(), Refusal> {
    let leads_past = |line: &str| {
        let line = line.trim_start();
        !line.starts_with('#') && (line.contains("--") && line.contains("proxy") || line.contains('\\'))
    };
    for name in [".yarnrc", ".yarnrc.yml"] {
        let file = place.join(name);
        let text = match read_bounded(&file, MAX_MANIFEST_BYTES) {
            Ok(bytes) => bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default(),
            // Not to be read is as good as a backslash.
            Err(_) => "\\".to_owned(),
        };
        if let Some(line) = text.lines().find(|line| leads_past(line)) {
            let (file, line) = (file.display(), trust::text::printable(line.trim(), 200));
            return Err(Refusal {
                why: format!("{file}: {line:?} could lead yarn past 3pm, which could not check what comes"),
                instead: Some("take it out; 3pm goes through the proxy of your HTTPS_PROXY".to_owned()),
            });
        }
    }
    Ok(())
}

fn wants_plug_and_play(root: &Path) -> bool {
    let bytes = read_bounded(&root.join("package.json"), MAX_MANIFEST_BYTES).ok().flatten();
    let manifest: Option<Value> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    manifest.is_some_and(|manifest| {
        manifest
            .pointer("/installConfig/pnp")
            .is_some_and(|pnp| !matches!(pnp, Value::Null | Value::Bool(false)))
    })
}

/// Also when it turns out afterwards.
pub(crate) fn no_plug_and_play() -> Refusal {
    Refusal {
        why: "yarn 1 with Plug'n'Play leaves packages in its cache, where 3pm does not compare them"
            .to_owned(),
        instead: Some(
            "take installConfig.pnp out of package.json and pnp out of .yarnrc, or use yarn 4".to_owned(),
        ),
    }
}

/// What bun would run of the project while it installs.
pub(crate) fn scanner_of_bun(folders: &[&Path]) -> Option<String> {
    folders.iter().find_map(|folder| {
        let file = folder.join("bunfig.toml");
        let bytes = read_bounded(&file, MAX_MANIFEST_BYTES).transpose()?;
        let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        match text.parse::<toml::Table>() {
            Err(_) => {
                Some(format!("{} cannot be read, so 3pm cannot tell what bun would run", file.display()))
            }
            Ok(table) => {
                let scanner = table.get("install")?.get("security")?.get("scanner")?;
                let named = trust::text::printable(scanner.as_str().unwrap_or_default(), 200);
                Some(format!(
                    "{}: bun would run the security scanner {named} before anything is checked",
                    file.display()
                ))
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_lead_elsewhere_are_refused_and_folders_are_gone_to() {
        let holder = tempfile::tempdir().unwrap();
        std::fs::create_dir(holder.path().join("web")).unwrap();
        std::fs::write(holder.path().join("web/package.json"), "{}").unwrap();
        let here = Here { folder: holder.path().to_owned(), global: false };
        let read = |client, line: &str| {
            read_words(client, line.split_whitespace().map(OsString::from).collect(), &here)
        };
        for (client, lines) in [
            (
                Client::Pnpm,
                &[
                    "add -g x",
                    "add --global x",
                    "install --modules-dir lib",
                    "install --lockfile-dir=..",
                    "install --virtual-store-dir x",
                    "install --config.modules-dir=lib",
                    "-C .. install",
                    "--dir=.. install",
                    "install --prefix ..",
                    "dlx x",
                    "install-test",
                    "deploy out",
                    "install --global-dir x",
                ][..],
            ),
            (
                Client::Yarn,
                &[
                    "global add x",
                    "install --modules-folder lib",
                    "--cwd .. install",
                    "add x --global-folder y",
                    "dlx x",
                ],
            ),
            (
                Client::Bun,
                &["add -g x", "install --global", "install --cwd ..", "x y", "install -c ../b.toml"],
            ),
        ] {
            for line in lines {
                assert!(read(client, line).is_err(), "{client:?} {line}");
            }
        }
        for (client, line) in [
            (Client::Pnpm, "-C web install"),
            (Client::Yarn, "--cwd=web install"),
            (Client::Bun, "install --cwd web"),
        ] {
            let install = read(client, line).unwrap();
            assert_eq!(install.folder, Some(holder.path().join("web")), "{line}");
            assert_eq!(install.arguments, ["install"].map(OsString::from), "{line}");
        }
        assert_eq!(read(Client::Pnpm, "list").unwrap().arguments, ["list"].map(OsString::from));
    }

    #[test]
    fn flags_in_the_settings_of_yarn_1_lead_nowhere_else() {
        let holder = tempfile::tempdir().unwrap();
        let of = |name: &str, text: &str| {
            std::fs::write(holder.path().join(name), text).unwrap();
            let refused = refuse_flags(holder.path()).is_err();
            std::fs::remove_file(holder.path().join(name)).unwrap();
            refused
        };
        for text in
            ["--proxy x\n", "a 1 --install.https-proxy x\n", "\"--*.proxy\" x\n", "\"\\u002d-proxy\" x\n"]
        {
            assert!(of(".yarnrc", text) && of(".yarnrc.yml", text), "{text}");
        }
        for text in ["", "proxy \"http://p\"\n", "# --proxy x\n", "--modules-folder lib\n"] {
            assert!(!of(".yarnrc", text), "{text}");
        }
    }

    #[test]
    fn a_scanner_of_bun_is_code_however_it_is_written() {
        let holder = tempfile::tempdir().unwrap();
        let of = |text: &str| {
            std::fs::write(holder.path().join("bunfig.toml"), text).unwrap();
            scanner_of_bun(&[Path::new("/nonexistent"), holder.path()]).is_some()
        };
        assert_eq!(scanner_of_bun(&[holder.path()]), None);
        assert!(!of("[install]\nlinker = \"isolated\"\n"));
        assert!(of("[install.security]\nscanner = \"./s.js\"\n"));
        assert!(of("install = {security = {\"sc\\u0061nner\" = \"x\"}}\n"));
        assert!(of("[install\n"));
    }
}
