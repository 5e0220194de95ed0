//! The second phase: install scripts, after everything on disk was compared. Each package manager decides by
//! its own rules which packages may run theirs; it is asked to rebuild, which fetches nothing. Without the
//! proxy, its certificate authority and 3pm's own variables.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::flow::RunError;
use super::manager::{Kind, Manager, find_program};
use super::process::{self, Words};
use crate::install::flow::Surroundings;

/// Compiling native code takes its time.
const LIMIT: Duration = Duration::from_secs(60 * 60);

/// The project's own scripts, in the order of an install.
const LIFE_CYCLE: [&str; 4] = ["preinstall", "install", "postinstall", "prepare"];

/// Runs what the package manager would have run; says in words what that was.
pub(crate) async fn run(
    manager: &Manager,
    root: &Path,
    own: &[Value],
    around: &Surroundings,
) -> Result<String, RunError> {
    let words = if around.output.is_json() || around.output.is_quiet() { Words::Kept } else { Words::Passed };
    let go = async |program: &Path, arguments: &[&str]| -> Result<(), RunError> {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        let quiet = manager.kind.own_program();
        let process::Ended { status, words } =
            process::run(program, &arguments, root, &quiet, words, LIMIT).await?;
        if status.success() {
            return Ok(());
        }
        let command =
            format!("{} {}", manager.kind.command(), arguments.join(&OsString::from(" ")).display());
        Err(RunError::Failed { command, status, words })
    };
    let root_scripts = own.first().map(declared).unwrap_or_default();
    match manager.kind {
        Kind::Npm => go(&manager.program, &["rebuild"]).await?,
        Kind::Pnpm => go(&manager.program, &["rebuild", "--pending"]).await?,
        // Builds what is to be built, the project's own included.
        Kind::Yarn => {
            go(&manager.program, &["rebuild"]).await?;
            return Ok("yarn ran the install scripts it allows.".to_owned());
        }
        // Neither has a command for it; both leave a tree that npm can read.
        Kind::YarnClassic | Kind::Bun => {
            let trusted = trusted(manager.kind, root, own);
            let npm = find_program("npm", root, Path::new("/nonexistent"));
            let npm = npm.ok_or_else(|| RunError::NotFound { command: "npm".to_owned() })?;
            match &trusted {
                None => go(&npm, &["rebuild", "--ignore-scripts=false"]).await?,
                Some(folders) if folders.is_empty() => {}
                Some(folders) => {
                    let mut arguments = vec!["rebuild", "--ignore-scripts=false", "--"];
                    arguments.extend(folders.iter().map(String::as_str));
                    go(&npm, &arguments).await?;
                }
            }
        }
    }
    for script in &root_scripts {
        go(&manager.program, &["run", script]).await?;
    }
    Ok(match root_scripts.len() {
        0 => format!("{} ran the install scripts it allows.", manager.kind.command()),
        count => format!(
            "{} ran the install scripts it allows, and {count} of the project.",
            manager.kind.command()
        ),
    })
}

/// bun runs scripts only of what the project trusts; yarn 1 of everything.
fn trusted(kind: Kind, root: &Path, own: &[Value]) -> Option<Vec<String>> {
    if kind != Kind::Bun {
        return None;
    }
    let names =
        own.first().and_then(|manifest| manifest.get("trustedDependencies")).and_then(Value::as_array);
    let names = names.map_or(&[][..], Vec::as_slice).iter().filter_map(Value::as_str);
    let folders = names
        .filter(|name| name.parse::<trust::PackageName>().is_ok())
        .map(|name| format!("./node_modules/{name}"));
    Some(folders.filter(|folder| root.join(folder).is_dir()).collect())
}

fn declared(manifest: &Value) -> Vec<&'static str> {
    let scripts = manifest.get("scripts");
    let has = |name: &str| {
        scripts
            .and_then(|scripts| scripts.get(name))
            .and_then(Value::as_str)
            .is_some_and(|text| !text.is_empty())
    };
    LIFE_CYCLE.into_iter().filter(|name| has(name)).collect()
}
