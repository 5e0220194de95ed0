//! npm's part of the second phase. By path, because `npm rebuild NAME` runs whatever sits in the folder of that
//! name.
//!
//! Order and tolerance are npm's: dependencies first (one that is optional may fail), then the project's
//! own life cycle, in the order of `npm ci`.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::flow::RunError;
use super::orphan::Book;
use super::process::{self, Words};
use crate::install::entries::Source;
use crate::install::locked::Locked;
use crate::install::scripted::{Scripted, install_scripts_in};
use crate::install::settings::{Phase, Settings};
use crate::output::counted;

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
}

/// npm, and where.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    /// npm, by absolute path.
    pub(crate) npm: &'a Path,
    /// The project.
    pub(crate) root: &'a Path,
    /// What is in force there.
    pub(crate) settings: &'a Settings,
    /// Where processes are noted.
    pub(crate) book: &'a Book,
}

impl Scripts {
    /// Those of `scripted` that may run, and those of the project's own: the bytes on disk decide, not what a
    /// lockfile says of them.
    pub(crate) fn find(root: &Path, locked: Option<&Locked>, project: &Value, scripted: &[Scripted]) -> Self {
        let mut scripts = Self::default();
        let entry = |location: &str| locked.and_then(|locked| locked.lockfile.entries.get(location));
        for package in scripted.iter().filter(|package| package.may_run()) {
            let location = package.location.to_string_lossy().into_owned();
            let is_optional = entry(&location).is_some_and(|entry| entry.optional);
            let list = if is_optional { &mut scripts.optional } else { &mut scripts.needed };
            list.push(location);
        }
        let is_held = |location: &str| {
            scripted.iter().any(|package| package.location == Path::new(location) && !package.may_run())
        };
        // Linked folders of the project are its own and run theirs, `prepare` included, as with `npm ci`.
        for (location, source) in locked.iter().flat_map(|locked| &locked.checked) {
            let is_own = matches!(source, Ok(Source::Own | Source::Outside { .. }));
            let Some(entry) = entry(location).filter(|entry| is_own && entry.link) else { continue };
            let folder = root.join(location);
            let manifest = manifest_of(&folder);
            if !install_scripts_in(&folder, &manifest).is_empty() || declares(&manifest, "prepare") {
                let list = if entry.optional { &mut scripts.optional } else { &mut scripts.needed };
                if !is_held(location) && !list.contains(location) {
                    list.push(location.clone());
                }
            }
        }
        scripts.own = LIFE_CYCLE.into_iter().filter(|name| declares(project, name)).collect();
        scripts
    }

    /// Whether there is nothing to run.
    pub(crate) fn is_empty(&self) -> bool {
        self.needed.is_empty() && self.optional.is_empty() && self.own.is_empty()
    }

    /// Runs them; what an optional package's failure leaves is said in the answer.
    pub(crate) async fn run(&self, place: &Place<'_>) -> Result<String, RunError> {
        let Place { npm, root, settings, book } = place;
        let go = async |words: &[&str], flag: &str, paths: &[String], shown: Words| {
            let mut arguments: Vec<OsString> = words.iter().map(OsString::from).collect();
            arguments.push("--no-progress".into());
            arguments.extend(settings.flags(Phase::Scripts));
            arguments.push(flag.into());
            if !paths.is_empty() {
                arguments.push("--".into());
                arguments.extend(paths.iter().map(|path| OsString::from(format!("./{path}"))));
            }
            let ended = process::run_scripts(npm, &arguments, root, &[], shown, SCRIPT_LIMIT, book).await?;
            match ended.status.success() {
                true => Ok(()),
                false => Err(RunError::Failed {
                    command: format!("npm {}", words.join(" ")),
                    status: ended.status,
                    words: ended.words,
                }),
            }
        };
        let rebuild =
            async |paths: &[String]| go(&["rebuild"], "--ignore-scripts=false", paths, Words::Kept).await;
        if !self.needed.is_empty() {
            rebuild(&self.needed).await?;
        }
        let mut failed = Vec::new();
        for path in &self.optional {
            if rebuild(std::slice::from_ref(path)).await.is_err() {
                failed.push(path.as_str());
            }
        }
        for script in &self.own {
            // npm then runs this one script and not its pre- and post-, which are in the list themselves.
            go(&["run", script], "--ignore-scripts=true", &[], Words::Passed).await?;
        }
        let packages = counted(self.needed.len() + self.optional.len() - failed.len(), "package");
        Ok(match failed.len() {
            0 => {
                format!("Ran the install scripts of {packages} and {} of the project.", self.own.len())
            }
            _ => format!(
                "Ran the install scripts of {packages} and {} of the project; those of {} failed, which is optional.",
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

/// Whether a project or a workspace has scripts of its own that an install runs.
pub(crate) fn has_some(manifest: &Value) -> bool {
    LIFE_CYCLE.into_iter().any(|name| declares(manifest, name))
}

fn declares(manifest: &Value, name: &str) -> bool {
    let script = manifest.get("scripts").and_then(|scripts| scripts.get(name)).and_then(Value::as_str);
    script.is_some_and(|text| !text.is_empty())
}
