//! Packages with install scripts, and whether the policy lets them run. An approval is bound to the hash of the
//! tarball: everything on disk was compared with it, so it covers the scripts and every file of the package that they
//! run. What a script calls in another package is that package's. Runs nothing.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;
use trust::Integrity;
use trust::policy::{Action, Line, Policy};
use trust::text::printable;
use trust::verdict::Verdict;

use super::assess::{Finding, Outcome};
use super::decision::in_words;
use super::entries::Source;
use crate::output::Page;

/// What npm and the others run of a package that was installed.
const INSTALL_SCRIPTS: [&str; 3] = ["preinstall", "install", "postinstall"];

/// How much of a script is shown.
const SHOWN: usize = 200;

/// One package with install scripts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Scripted {
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: Option<String>,
    /// Where it lies, relative to the project.
    pub(crate) location: PathBuf,
    /// The hash of its tarball; none for what comes from no registry, which cannot be approved.
    pub(crate) integrity: Option<Integrity>,
    /// The scripts, `postinstall: node install.js`.
    pub(crate) scripts: Vec<String>,
    /// Whether they run, and which line decided.
    pub(crate) decided_by: Line,
}

impl Scripted {
    /// Whether they run.
    pub(crate) fn may_run(&self) -> bool {
        self.decided_by.action == Action::Allow
    }
}

/// What came of the scripts of an install.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Scripting {
    /// In words.
    pub(crate) said: String,
    /// Every package that has some.
    pub(crate) packages: Vec<Scripted>,
}

impl Scripting {
    /// What was run, and what was held back.
    pub(crate) fn render(&self, page: &mut Page) {
        page.line(&self.said);
        let held: Vec<&Scripted> = self.packages.iter().filter(|package| !package.may_run()).collect();
        let Some(first) = held.first() else { return };
        page.warn("Install scripts that were not run:");
        for package in &held {
            let version = package.version.as_deref().unwrap_or("(no version)");
            page.line(&format!(
                "  {}@{version}  {}",
                printable(&package.name, 214),
                in_words(&package.decided_by)
            ));
            for script in &package.scripts {
                page.line(&format!("    {script}"));
            }
        }
        page.next(&format!("3pm policy approve {}", printable(&first.name, 214)));
    }
}

/// The install scripts of a package: those its manifest declares, and the building of native code, which npm does
/// unless the package says that it does not want that.
pub(crate) fn install_scripts(manifest: &Value, has_binding: bool) -> Vec<String> {
    let declared = |name: &&str| {
        let text = manifest.get("scripts")?.get(name)?.as_str().filter(|text| !text.is_empty())?;
        Some(format!("{name}: {}", printable(text, SHOWN)))
    };
    let mut scripts: Vec<String> = INSTALL_SCRIPTS.iter().filter_map(declared).collect();
    let wants_building = manifest.get("gypfile") != Some(&Value::Bool(false));
    if has_binding && wants_building && !scripts.iter().any(|script| !script.starts_with("postinstall")) {
        scripts.push("install: node-gyp rebuild".to_owned());
    }
    scripts
}

/// The same for a folder.
pub(crate) fn install_scripts_in(folder: &Path, manifest: &Value) -> Vec<String> {
    install_scripts(manifest, folder.join("binding.gyp").is_file())
}

/// What the policy says about the scripts of what `finding` is about.
pub(crate) fn decide(
    policy: &Policy,
    finding: Option<&Finding>,
    name: &str,
    integrity: Option<Integrity>,
) -> Line {
    let is_signed = finding.is_some_and(|finding| {
        let signed =
            matches!(&finding.outcome, Outcome::Judged(Verdict::Verified(_) | Verdict::Flagged { .. }));
        let same = match &finding.subject.source {
            Ok(Source::Tarball(tarball)) => Some(tarball.integrity) == integrity,
            _ => false,
        };
        signed && same
    });
    policy.decide_script(name, integrity, is_signed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_runs_on_install_is_declared_or_built() {
        let check = |manifest: Value, has_binding: bool, expected: &[&str]| {
            assert_eq!(install_scripts(&manifest, has_binding), expected, "{manifest}");
        };
        check(json!({}), false, &[]);
        check(json!({"scripts": {"test": "x", "install": ""}}), false, &[]);
        check(json!({"scripts": {"postinstall": "node x.js"}}), false, &["postinstall: node x.js"]);
        check(json!({}), true, &["install: node-gyp rebuild"]);
        check(json!({"gypfile": false}), true, &[]);
        check(json!({"scripts": {"install": "make"}}), true, &["install: make"]);
        check(
            json!({"scripts": {"postinstall": "x"}}),
            true,
            &["postinstall: x", "install: node-gyp rebuild"],
        );
    }
}
