//! `3pm exec`: runs a command of a package that is not installed here, as `npx`, `pnpm dlx`, `yarn dlx` and
//! `bunx` do, after the same checks as an install: it goes into a private folder, is compared, and is gone
//! afterwards. A command that the project has already is run as it lies there: it was checked when it came.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::process::Command;
use trust::text::printable;

use super::flow::{self, Order};
use super::manager::Kind;
use super::root;
use crate::args::ExecArgs;
use crate::context::Context;
use crate::errors::{Explain as _, Failure, Outcome};
use crate::exit::{self, ExitCode};
use crate::install::npm::Group;
use crate::install::project::{MAX_MANIFEST_BYTES, read_bounded};
use crate::install::report::{End, Report};

/// Runs it.
pub(crate) async fn run(context: &Context, args: ExecArgs) -> Outcome {
    let here = std::env::current_dir()?;
    if args.package.is_empty()
        && let Some(program) = installed_here(&here, &args.command)
    {
        return execute(&program, &args.arguments, &here, None).await;
    }
    let folder = tempfile::Builder::new().prefix("3pm-exec-").tempdir().while_doing("no private folder")?;
    std::fs::write(folder.path().join("package.json"), "{\"private\": true}\n")?;
    // Where packages come from is the project's to say, as for npx.
    if let Some(settings) = here.ancestors().map(|place| place.join(".npmrc")).find(|file| file.is_file()) {
        std::fs::copy(settings, folder.path().join(".npmrc"))?;
    }
    let mut around = crate::install::surroundings(context)?;
    around.folder = folder.path().to_owned();
    let packages = if args.package.is_empty() { vec![args.command.clone()] } else { args.package.clone() };
    let arguments =
        ["install", "--"].into_iter().map(OsString::from).chain(packages.into_iter().map(Into::into));
    let order = Order {
        command: "npm".to_owned(),
        arguments: arguments.collect(),
        on_warning: args.question.on_warning(),
        dry_run: false,
        ignore_scripts: args.ignore_scripts,
        allow_project_code: false,
        silent: true,
    };
    let report = flow::run(&order, &around, &|| context.now(), &async |report: &Report| {
        crate::install::ask(context, report).await
    })
    .await;
    match report {
        Ok(report) if matches!(report.end, End::Installed { .. }) => {
            crate::install::keep_seen(context, &around)?;
        }
        report => return super::finish(context, &around, report),
    }
    let program = if args.package.is_empty() {
        command_of(folder.path())?
    } else {
        let program = folder.path().join("node_modules/.bin").join(&args.command);
        if !is_plain(&args.command) || !program.exists() {
            return Err(Failure::usage(format!(
                "{} has no command {}",
                args.package.join(", "),
                printable(&args.command, 100)
            )));
        }
        program
    };
    let code =
        execute(&program, &args.arguments, &here, Some(&folder.path().join("node_modules/.bin"))).await;
    folder.close().while_doing("the private folder is not gone")?;
    code
}

/// The command in the nearest `node_modules/.bin` of the project that this folder belongs to. What lies further up is
/// somebody else's.
fn installed_here(here: &Path, command: &str) -> Option<PathBuf> {
    let kinds = [Kind::Npm, Kind::Pnpm, Kind::YarnClassic];
    let roots = kinds.map(|kind| root::find(kind, here, false).ok().flatten());
    let uppermost = roots.into_iter().flatten().min_by_key(|root| root.components().count())?;
    let places = here.ancestors().take_while(|place| place.starts_with(&uppermost));
    let mut commands = places.map(|place| place.join("node_modules/.bin").join(command));
    is_plain(command).then(|| commands.find(|program| program.exists())).flatten()
}

/// A name, and no path.
fn is_plain(command: &str) -> bool {
    !command.is_empty() && !command.starts_with('.') && !command.contains(['/', '\\'])
}

/// The one command of the one package that was asked for: the only one, or the one with its name.
fn command_of(folder: &Path) -> Result<PathBuf, Failure> {
    let read = |path: PathBuf| -> Result<Value, Failure> {
        let bytes = read_bounded(&path, MAX_MANIFEST_BYTES)?.unwrap_or_default();
        serde_json::from_slice(&bytes).while_doing(format!("{} cannot be read", path.display()))
    };
    let own = read(folder.join("package.json"))?;
    let name = own["dependencies"].as_object().and_then(|dependencies| dependencies.keys().next().cloned());
    let name = name.ok_or_else(|| Failure::usage("no package was installed"))?;
    let manifest = read(folder.join("node_modules").join(&name).join("package.json"))?;
    let short = name.rsplit('/').next().unwrap_or(&name).to_owned();
    let command = match &manifest["bin"] {
        Value::String(_) => Some(short),
        Value::Object(commands) if commands.len() == 1 => commands.keys().next().cloned(),
        Value::Object(commands) => commands.contains_key(&short).then_some(short),
        _ => None,
    };
    let program = command.filter(|command| is_plain(command));
    let program = program.map(|command| folder.join("node_modules/.bin").join(command));
    program.filter(|program| program.exists()).ok_or_else(|| {
        Failure::usage(format!("{} does not say which command to run", printable(&name, 214)))
            .hint("name it: 3pm exec --package PACKAGE COMMAND")
    })
}

/// As if it had been typed: its standard streams are ours, and so is its exit code.
async fn execute(
    program: &Path,
    arguments: &[OsString],
    folder: &Path,
    commands: Option<&Path>,
) -> Result<ExitCode, Failure> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).kill_on_drop(true);
    if let Some(commands) = commands {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let all = std::iter::once(commands.to_owned()).chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(all)?);
    }
    let mut child = Group(command.spawn().while_doing(format!("{} cannot be started", program.display()))?);
    let status = child.0.wait().await?;
    Ok(status.code().map_or(exit::INTERRUPTED, ExitCode::of_program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_the_projects_own_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("project");
        let inner = project.join("packages/a/src");
        std::fs::create_dir_all(&inner).unwrap();
        let put = |place: &Path, command: &str| {
            std::fs::create_dir_all(place.join("node_modules/.bin")).unwrap();
            std::fs::write(place.join("node_modules/.bin").join(command), "").unwrap();
        };
        put(folder.path(), "above");
        put(&project, "own");
        assert_eq!(installed_here(&inner, "own"), None, "there is no project");
        std::fs::write(project.join("package.json"), r#"{"workspaces": ["packages/*"]}"#).unwrap();
        std::fs::write(project.join("packages/a/package.json"), "{}").unwrap();
        assert_eq!(installed_here(&inner, "own"), Some(project.join("node_modules/.bin/own")));
        assert_eq!(installed_here(&inner, "above"), None);
        assert_eq!(installed_here(&inner, "../own"), None);
    }
}
