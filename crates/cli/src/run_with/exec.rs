//! `3pm exec`: runs a command of a package that is not installed here, as `npx`, `pnpm dlx`, `yarn dlx` and
//! `bunx` do, after the same checks as an install: it goes into a private folder, is compared, and is gone
//! afterwards. npm installs it there, from the registries that the project's own package manager would ask. A command
//! that the project has already is run as it lies there, which is said where 3pm did not install the project.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::process::Command;
use trust::text::printable;

use super::again::Again;
use super::code;
use super::flow::{self, Order, RunError};
use super::foreground;
use super::manager::Kind;
use super::registries::Own;
use super::root;
use crate::args::ExecArgs;
use crate::context::Context;
use crate::errors::{Explain as _, Failure, Outcome};
use crate::exit::ExitCode;
use crate::install::answers::{Answers, ask_npm};
use crate::install::errors::FlowError;
use crate::install::npm::Npm;
use crate::install::project::{MAX_MANIFEST_BYTES, read_bounded};
use crate::install::receipts;
use crate::install::report::{End, Report};
use crate::shell::decide::Refusal;

/// Runs it.
pub(crate) async fn run(context: &Context, args: ExecArgs) -> Outcome {
    let here = std::env::current_dir()?;
    if args.package.is_empty()
        && let Some(program) = installed_here(&here, &args.command)
    {
        let root = uppermost(&here).unwrap_or_else(|| here.clone());
        let root = root.canonicalize().unwrap_or(root);
        if !receipts::read(&context.home()?, &root).is_ok_and(|kept| kept.is_some()) {
            let shown = printable(&program.display().to_string(), 300);
            context.output.note(&format!("{shown} runs as it lies there: 3pm did not install this project"));
        }
        return execute(context, &program, &args.arguments, &here, None).await;
    }
    let folder = tempfile::Builder::new().prefix("3pm-exec-").tempdir().while_doing("no private folder")?;
    std::fs::write(folder.path().join("package.json"), "{\"private\": true}\n")?;
    let mut around = crate::install::surroundings(context)?;
    around.folder = folder.path().to_owned();
    around.again = Again::of_exec(&args);
    let answers = Answers::of(&around.home, context.now());
    // Where packages come from is the project's to say, as for npx and its like.
    let settings = match settings(&here, &around.home, &answers).await {
        Ok(settings) => settings,
        Err(error) => return super::finish(context, &around, Err(error)),
    };
    if !settings.trim().is_empty() {
        std::fs::write(folder.path().join(".npmrc"), settings)?;
    }
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
    let commands = folder.path().join("node_modules/.bin");
    let code = execute(context, &program, &args.arguments, &here, Some(&commands)).await;
    folder.close().while_doing("the private folder is not gone")?;
    code
}

/// Where the package manager of the project here looks for packages, in npm's words. What lies above the project's root is
/// somebody else's.
async fn settings(here: &Path, home: &Path, answers: &Answers) -> Result<String, RunError> {
    let command = super::manager_of(here).as_str();
    let manager = match flow::find_manager(command, here, home).await {
        Ok(manager) => Some(manager),
        // It cannot be asked, and has nothing to say.
        Err(RunError::NotFound { .. }) if !has_settings(here) => None,
        Err(error) => return Err(error),
    };
    let kind = manager.as_ref().map_or(Kind::Npm, |manager| manager.kind);
    let found = root::find(kind, here, false)?;
    let npmrc = found.as_deref().unwrap_or(here).join(".npmrc");
    let npmrc = read_bounded(&npmrc, MAX_MANIFEST_BYTES).map_err(FlowError::from)?.unwrap_or_default();
    let npmrc = String::from_utf8_lossy(&npmrc).into_owned();
    let (Some(manager), Some(root)) = (manager, found) else { return Ok(npmrc) };
    // To be asked is enough for it to run that.
    if let Some(what) = code::of_settings(kind, &root, here) {
        let instead = Some("3pm exec in another folder".to_owned());
        return Err(Refusal { why: what, instead }.into());
    }
    let own = Own::of(&manager, &root, answers).await;
    if kind != Kind::YarnClassic {
        return Ok(own.render(&npmrc));
    }
    let npm = Npm::find(&root).map_err(FlowError::from)?;
    let says = ask_npm(&npm, &root, answers).await.map_err(FlowError::from)?;
    Ok(own.below_npm(&manager, &says.settings.registries()[0], says.builtin.as_ref()).render(&npmrc))
}

/// Whether there are settings that only another package manager than npm reads.
fn has_settings(here: &Path) -> bool {
    let names = [code::SETTINGS, ".yarnrc", "pnpm-workspace.yaml", "bunfig.toml"];
    here.ancestors().any(|place| names.iter().any(|name| place.join(name).is_file()))
}

/// The command in the nearest `node_modules/.bin` of the project that this folder belongs to. What lies further up is
/// somebody else's.
fn installed_here(here: &Path, command: &str) -> Option<PathBuf> {
    let uppermost = uppermost(here)?;
    let places = here.ancestors().take_while(|place| place.starts_with(&uppermost));
    let mut commands = places.map(|place| place.join("node_modules/.bin").join(command));
    is_plain(command).then(|| commands.find(|program| program.exists())).flatten()
}

/// The project's root, whichever package manager it has.
fn uppermost(here: &Path) -> Option<PathBuf> {
    let kinds = [Kind::Npm, Kind::Pnpm, Kind::YarnClassic];
    let roots = kinds.map(|kind| root::find(kind, here, false).ok().flatten());
    roots.into_iter().flatten().min_by_key(|root| root.components().count())
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

/// As if it had been typed: its standard streams and signals are ours, and so is how it ends.
async fn execute(
    context: &Context,
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
    let ended = foreground::run(context, &mut command).await;
    ended.while_doing(format!("{} cannot be started", program.display()))
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
