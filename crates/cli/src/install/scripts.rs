//! The second phase: install scripts, after everything on disk was checked. By path, because `npm rebuild
//! NAME` runs whatever sits in the folder of that name. Which of them may run is the policy's matter.
//!
//! Order and tolerance are npm's: dependencies first (one that is optional may fail), then the project's
//! own life cycle, in the order of `npm ci`.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use trust::policy::Policy;

use super::assess::Finding;
use super::entries::{Checked, Source};
use super::lockfile::Lockfile;
use super::npm::{Npm, NpmRunError, Show};
use super::scripted::{self, Scripted, install_scripts_in};
use super::settings::{Phase, Settings};

/// Compiling native code takes its time.
const SCRIPT_LIMIT: Duration = Duration::from_secs(60 * 60);

/// The project's own scripts, in the order npm runs them after an install.
const LIFE_CYCLE: [&str; 7] =
    ["preinstall", "install", "postinstall", "prepublish", "preprepare", "prepare", "postprepare"];

/// Which folders have something to run.
#[derive(Debug, Default)]
pub(crate) struct Scripts {
    /// Folders without which the tree does not work.
    pub(crate) needed: Vec<String>,
    /// Folders whose failure npm tolerates.
    pub(crate) optional: Vec<String>,
    /// Scripts of the project itself.
    pub(crate) own: Vec<&'static str>,
    /// Every package with scripts, those that the policy holds back included.
    pub(crate) packages: Vec<Scripted>,
}

impl Scripts {
    /// Looks at what lies on disk: the checked bytes decide, not what a lockfile says of them.
    pub(crate) fn find(
        root: &Path,
        lockfile: &Lockfile,
        checked: &Checked,
        project: &Value,
        findings: &[Finding],
        policy: &Policy,
    ) -> Self {
        let mut scripts = Self::default();
        for (location, entry) in &lockfile.entries {
            let counts = match checked.get(location) {
                Some(Ok(Source::Tarball(_) | Source::Git { .. } | Source::File { .. })) => {
                    entry.folder.is_some()
                }
                // Linked folders run theirs, `prepare` included, as with `npm ci`.
                Some(Ok(Source::Own | Source::Outside { .. })) => entry.link,
                _ => false,
            };
            if !counts {
                continue;
            }
            let folder = root.join(location);
            let manifest = manifest_of(&folder);
            let found = install_scripts_in(&folder, &manifest);
            let prepares = entry.link && declares(&manifest, "prepare");
            if found.is_empty() && !prepares {
                continue;
            }
            // A linked folder is the project's own.
            if !entry.link {
                let integrity = match checked.get(location) {
                    Some(Ok(Source::Tarball(tarball))) => Some(tarball.integrity),
                    _ => None,
                };
                let finding = findings.iter().find(|finding| finding.subject.location == *location);
                let decided_by = scripted::decide(policy, finding, &entry.name, integrity);
                let package = Scripted {
                    name: entry.name.clone(),
                    version: entry.version.clone(),
                    location: location.into(),
                    integrity,
                    scripts: found,
                    decided_by,
                };
                let may_run = package.may_run();
                scripts.packages.push(package);
                if !may_run {
                    continue;
                }
            }
            let list = if entry.optional { &mut scripts.optional } else { &mut scripts.needed };
            list.push(location.clone());
        }
        scripts.own = LIFE_CYCLE.into_iter().filter(|name| declares(project, name)).collect();
        scripts
    }

    /// Whether there is nothing to run.
    pub(crate) fn is_empty(&self) -> bool {
        self.needed.is_empty() && self.optional.is_empty() && self.own.is_empty()
    }

    /// Runs them; what an optional package's failure leaves is said in the answer.
    pub(crate) async fn run(
        &self,
        npm: &Npm,
        root: &Path,
        settings: &Settings,
    ) -> Result<String, NpmRunError> {
        let rebuild = |paths: &[String]| {
            let mut arguments: Vec<OsString> = vec!["rebuild".into()];
            arguments.extend(settings.flags(Phase::Scripts));
            arguments.push("--ignore-scripts=false".into());
            arguments.push("--".into());
            arguments.extend(paths.iter().map(|path| OsString::from(format!("./{path}"))));
            arguments
        };
        if !self.needed.is_empty() {
            npm.run(root, &rebuild(&self.needed), SCRIPT_LIMIT, Show::Kept).await?;
        }
        let mut failed = Vec::new();
        for path in &self.optional {
            if npm.run(root, &rebuild(std::slice::from_ref(path)), SCRIPT_LIMIT, Show::Kept).await.is_err() {
                failed.push(path.as_str());
            }
        }
        for script in &self.own {
            let mut arguments: Vec<OsString> = vec!["run".into(), (*script).into()];
            arguments.extend(settings.flags(Phase::Scripts));
            // npm then runs this one script and not its pre- and post-, which are in the list themselves.
            arguments.push("--ignore-scripts=true".into());
            npm.run(root, &arguments, SCRIPT_LIMIT, Show::Passed).await?;
        }
        let count = self.needed.len() + self.optional.len() - failed.len();
        Ok(match failed.len() {
            0 => {
                format!("Ran the install scripts of {count} packages and {} of the project.", self.own.len())
            }
            _ => format!(
                "Ran the install scripts of {count} packages and {} of the project; those of {} failed, which is optional.",
                self.own.len(),
                failed.join(", ")
            ),
        })
    }
}

/// The package.json of a folder; nothing where there is none.
fn manifest_of(folder: &Path) -> Value {
    let bytes = std::fs::read(folder.join("package.json")).ok();
    bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

fn declares(manifest: &Value, name: &str) -> bool {
    let script = manifest.get("scripts").and_then(|scripts| scripts.get(name)).and_then(Value::as_str);
    script.is_some_and(|text| !text.is_empty())
}
