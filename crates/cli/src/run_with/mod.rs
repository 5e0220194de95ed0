//! Every install, by any package manager: nothing unverified is unpacked, nothing unpacked runs before it was
//! compared, and a project ends as it was or complete. Start reading at `flow`. This file ties it to the command line; it makes no verdict and no decision.

mod again;
pub(crate) mod announced;
mod asked;
mod changes;
mod code;
mod commands;
mod compare;
pub(crate) mod exec;
mod fetching;
mod flow;
mod folder;
mod foreground;
pub(crate) mod gate;
mod git;
mod laid;
pub(crate) mod lists;
mod lookup;
pub(crate) mod manager;
pub(crate) mod members;
mod npm_scripts;
mod orphan;
mod places;
mod plug;
pub(crate) mod process;
mod rebuild;
pub(crate) mod registries;
pub(crate) mod root;
mod scripts;
mod tree;

use std::ffi::OsString;
use std::path::Path;

pub(crate) use again::{Again, Typed};
use flow::{Order, RunError};

use crate::args::{InstallArgs, ManagedArgs, ManagerName, RunWithArgs};
use crate::context::Context;
use crate::errors::{Explain as _, Failure, Outcome};
use crate::exit::{self, ExitCode};
use crate::install::transaction::TransactionError;
use crate::install::{self, Surroundings, report::Report};
use crate::shell::Client;
use crate::shell::decide::Here;

/// Runs a package manager behind the gate.
pub(crate) async fn run(context: &Context, args: RunWithArgs) -> Outcome {
    let arguments = told(&args)?;
    let mut around = install::surroundings(context)?;
    around.again = Again::of_run(&args);
    let order = Order {
        command: args.manager.as_str().to_owned(),
        ignore_scripts: args.own.ignore_scripts || wants_no_scripts(&arguments),
        arguments,
        on_warning: args.own.question.on_warning(),
        dry_run: args.own.dry_run,
        allow_project_code: args.allow_project_code,
        silent: false,
    };
    let report = flow::run(&order, &around, &|| context.now(), &async |report: &Report| {
        install::ask(context, report).await
    })
    .await;
    finish(context, &around, report)
}

fn finish(context: &Context, around: &Surroundings, report: Result<Report, RunError>) -> Outcome {
    match report {
        Ok(report) => install::finish(context, around, Ok(report)),
        Err(RunError::Flow(error)) => install::finish(context, around, Err(error)),
        Err(error) => {
            install::keep_seen(context, around)?;
            Err(failure(error, &around.again))
        }
    }
}

/// Whether the package manager is told to run none: then none run in the second phase either.
fn wants_no_scripts(arguments: &[OsString]) -> bool {
    let flags = arguments.iter().take_while(|argument| *argument != "--");
    flags.into_iter().any(|flag| flag == "--ignore-scripts" || flag == "--ignore-scripts=true")
}

/// What the package manager is told, in the folder that the user's words name.
fn told(args: &RunWithArgs) -> Result<Vec<OsString>, Failure> {
    let client = client_of(args.manager);
    let here = Here::current().while_doing("the current folder cannot be found")?;
    let read = places::read_words(client, args.arguments.clone(), &here);
    let read = read.map_err(|refusal| failure(RunError::Unchecked(refusal), &Again::default()))?;
    if let Some(folder) = &read.folder {
        std::env::set_current_dir(folder).while_doing(format!("{} cannot be entered", folder.display()))?;
    }
    Ok(read.arguments)
}

fn client_of(manager: ManagerName) -> Client {
    match manager {
        ManagerName::Npm => Client::Npm,
        ManagerName::Pnpm => Client::Pnpm,
        ManagerName::Yarn => Client::Yarn,
        ManagerName::Bun => Client::Bun,
    }
}

/// What one of the short commands wants of the project's package manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    /// What the lockfile says, or nothing.
    Exactly,
    /// More packages.
    Add,
    /// Newer packages.
    Update,
}

/// Tells it to the package manager whose lockfile the project has.
pub(crate) async fn run_managed(context: &Context, intent: Intent, args: ManagedArgs) -> Outcome {
    let folder = std::env::current_dir()?;
    let (manager, words) = match manager_of(&folder) {
        ManagerName::Npm => (ManagerName::Npm, words_for(intent, ["ci"], ["install"], ["update"])),
        ManagerName::Pnpm => {
            let exactly = ["install", "--frozen-lockfile"];
            (ManagerName::Pnpm, words_for(intent, exactly, ["add"], ["update"]))
        }
        ManagerName::Yarn => {
            let home = context.home()?;
            let found = flow::find_manager("yarn", &folder, &home).await;
            let found = found.map_err(|error| failure(error, &Again::default()))?;
            let words = match found.kind {
                manager::Kind::Yarn => words_for(intent, ["install", "--immutable"], ["add"], ["up"]),
                _ => words_for(intent, ["install", "--frozen-lockfile"], ["add"], ["upgrade"]),
            };
            (ManagerName::Yarn, words)
        }
        ManagerName::Bun => {
            let exactly = ["install", "--frozen-lockfile"];
            (ManagerName::Bun, words_for(intent, exactly, ["add"], ["update"]))
        }
    };
    let arguments = words.into_iter().map(Into::into).chain(args.arguments).collect();
    run(
        context,
        RunWithArgs { manager, own: args.own, allow_project_code: false, arguments, typed: Typed::Short },
    )
    .await
}

/// `3pm install`, in the words of the project's package manager.
pub(crate) async fn run_install(context: &Context, args: InstallArgs) -> Outcome {
    let manager = manager_of(&std::env::current_dir()?);
    let arguments = install_words(manager, args.save_dev, args.arguments);
    run(
        context,
        RunWithArgs { manager, own: args.own, allow_project_code: false, arguments, typed: Typed::Short },
    )
    .await
}

/// What `install` with these words is for a package manager: npm's adds packages, the others' takes none.
fn install_words(manager: ManagerName, save_dev: bool, rest: Vec<OsString>) -> Vec<OsString> {
    let line: Vec<OsString> = std::iter::once("install".into()).chain(rest).collect();
    let names_packages = client_of(manager).words(&line).len() > 1;
    let (adds, dev) = match manager {
        ManagerName::Npm => ("install", "--save-dev"),
        ManagerName::Pnpm => ("add", "--save-dev"),
        ManagerName::Yarn | ManagerName::Bun => ("add", "--dev"),
    };
    let is_dev = |word: &OsString| word == "-D" || word == "--save-dev" || word == "--dev";
    let save_dev = save_dev || line.iter().take_while(|word| *word != "--").any(is_dev);
    let first = if names_packages { adds } else { "install" };
    let mut words: Vec<OsString> = vec![first.into()];
    words.extend((save_dev && names_packages).then(|| dev.into()));
    words.extend(line.into_iter().skip(1).filter(|word| !is_dev(word)));
    words
}

fn words_for<const N: usize, const M: usize, const L: usize>(
    intent: Intent,
    exactly: [&'static str; N],
    add: [&'static str; M],
    update: [&'static str; L],
) -> Vec<&'static str> {
    match intent {
        Intent::Exactly => exactly.into(),
        Intent::Add => add.into(),
        Intent::Update => update.into(),
    }
}

/// Whose lockfile lies nearest; npm's where there is none.
pub(crate) fn manager_of(folder: &Path) -> ManagerName {
    let lockfiles = [
        (ManagerName::Npm, manager::Kind::Npm),
        (ManagerName::Pnpm, manager::Kind::Pnpm),
        (ManagerName::Yarn, manager::Kind::Yarn),
        (ManagerName::Bun, manager::Kind::Bun),
    ];
    let near = folder.ancestors().find_map(|place| {
        let found =
            lockfiles.iter().find(|(_, kind)| kind.lockfiles().iter().any(|name| place.join(name).is_file()));
        found.map(|(name, _)| *name)
    });
    near.unwrap_or(ManagerName::Npm)
}

/// A sentence with its exit code and what to do next.
fn failure(error: RunError, again: &Again) -> Failure {
    let with_code = format!("look at it, then {}", again.running_project_code());
    let (code, hint): (ExitCode, Option<&str>) = match &error {
        RunError::Unchecked(refusal) => (exit::NOT_POSSIBLE, refusal.instead.as_deref()),
        RunError::Failed { status, .. } => {
            (status.code().map_or(exit::UNKNOWN, ExitCode::from_package_manager), again.put_back())
        }
        RunError::NotFound { .. } => (
            exit::USAGE,
            Some("install it, or check the PATH: what lies in the project or in a node_modules is not taken"),
        ),
        RunError::Transaction(TransactionError::NotOurs { .. }) => {
            (exit::NOT_POSSIBLE, Some("look at it, then remove it"))
        }
        RunError::NoProject { .. } => (exit::USAGE, Some("go to a project, or make one: npm init")),
        RunError::ProjectCode { .. } => (exit::NOT_POSSIBLE, Some(&with_code)),
        RunError::Tree(_) => (exit::MISMATCH, None),
        _ => (exit::UNKNOWN, None),
    };
    let hint = hint.map(str::to_owned);
    let failure = Failure::from(error).code(code);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_lockfile_says_which_package_manager_it_is() {
        let holder = tempfile::tempdir().unwrap();
        let inner = holder.path().join("packages/a");
        std::fs::create_dir_all(&inner).unwrap();
        assert_eq!(manager_of(&inner), ManagerName::Npm);
        for (name, expected) in [("yarn.lock", ManagerName::Yarn), ("pnpm-lock.yaml", ManagerName::Pnpm)] {
            std::fs::write(holder.path().join(name), "").unwrap();
            assert_eq!(manager_of(&inner), expected);
        }
        std::fs::write(inner.join("bun.lock"), "").unwrap();
        assert_eq!(manager_of(&inner), ManagerName::Bun);
    }

    #[test]
    fn install_is_said_in_the_words_of_each_package_manager() {
        let check = |manager, save_dev, rest: &[&str], expected: &str| {
            let words = install_words(manager, save_dev, rest.iter().map(Into::into).collect());
            assert_eq!(words.join(std::ffi::OsStr::new(" ")), *expected, "{rest:?}");
        };
        check(ManagerName::Npm, false, &[], "install");
        check(ManagerName::Npm, false, &["--omit", "dev"], "install --omit dev");
        check(ManagerName::Npm, true, &["a", "--save-exact"], "install --save-dev a --save-exact");
        check(ManagerName::Pnpm, false, &["--frozen-lockfile"], "install --frozen-lockfile");
        check(ManagerName::Pnpm, false, &["a", "-D"], "add --save-dev a");
        check(ManagerName::Yarn, true, &["a"], "add --dev a");
        check(ManagerName::Bun, true, &[], "install");
    }
}
