//! The hook's part of `3pm init`: for which shells, asked or told, written or taken away. Says nothing about
//! networks.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::args::{HookArgs, ShellName};
use crate::context::Context;
use crate::errors::{Failure, Outcome};
use crate::exit;
use crate::output::Page;
use crate::prompt;
use crate::shell::hook::{self, Change, HookError, State};

/// What was done when nothing but the hook was asked for.
#[derive(Debug, Serialize)]
struct Report {
    hook: Vec<Change>,
}

/// The startup file of a shell of this user.
pub(crate) fn startup_file(shell: ShellName) -> Result<PathBuf, Failure> {
    let home = std::env::home_dir().filter(|home| home.is_absolute());
    let home = home.ok_or_else(|| Failure::usage("HOME is not set, so there is no startup file to write"))?;
    Ok(shell.file(&home, &|name| std::env::var_os(name).map(PathBuf::from)))
}

/// `3pm init --hook`, and nothing about networks.
pub(crate) fn write_only(context: &Context, args: &HookArgs) -> Outcome {
    let report = Report { hook: write(context, args)? };
    context.output.result(&report, |page| render(&report.hook, page));
    Ok(exit::FINE)
}

/// `3pm init --undo`.
pub(crate) fn undo(context: &Context, args: &HookArgs) -> Outcome {
    let shells = if args.shell.is_empty() { ShellName::ALL.to_vec() } else { args.shell.clone() };
    let changes = shells.into_iter().map(|shell| hook::remove(shell, &startup_file(shell)?).map_err(failure));
    let report = Report { hook: changes.collect::<Result<_, Failure>>()? };
    context.output.result(&report, |page| {
        let gone: Vec<&Change> = report.hook.iter().filter(|change| change.changed).collect();
        page.good(if gone.is_empty() { "there was no hook" } else { "the hook is gone" });
        for change in &gone {
            page.field(change.shell, change.file.display());
        }
        if !gone.is_empty() {
            for (forget, is_one) in [
                ("unalias", gone.iter().any(|change| change.shell != ShellName::Fish.as_str())),
                ("functions -e", gone.iter().any(|change| change.shell == ShellName::Fish.as_str())),
            ] {
                let what =
                    format!("open a new shell, or in this one: {forget} npm npx pnpm pnpx yarn bun bunx");
                if is_one {
                    page.next(&what);
                }
            }
        }
    });
    Ok(exit::FINE)
}

/// After the network: as told, else as answered; not asked where nobody is, or where it is there.
pub(crate) async fn offer(context: &Context, args: &HookArgs) -> Result<Vec<Change>, Failure> {
    if args.hook {
        return write(context, args);
    }
    if args.no_hook || !context.interactive {
        return Ok(vec![]);
    }
    let Ok(shells) = shells(args) else { return Ok(vec![]) };
    let mut changes = Vec::new();
    for shell in shells {
        let file = startup_file(shell)?;
        if hook::state(shell, &file).map_err(failure)? == State::Present {
            continue;
        }
        let question = format!(
            "Let 3pm check what npm, pnpm, yarn and bun install when typed in {}? It adds a block to {}.",
            shell.as_str(),
            file.display()
        );
        if prompt::ask_yes_or_no(&question).await? {
            changes.push(hook::add(shell, &file).map_err(failure)?);
        }
    }
    warn_off_path(context, &changes);
    Ok(changes)
}

/// What became of startup files, for people.
pub(crate) fn render(changes: &[Change], page: &mut Page) {
    let any = changes.iter().any(|change| change.changed);
    page.good(if any { "the hook is written" } else { "the hook is there already" });
    for change in changes {
        page.field(change.shell, change.file.display());
        if let Some(backup) = &change.backup {
            page.field("before", backup.display());
        }
    }
    if any {
        page.next("open a new shell; 3pm init --undo takes the hook away again");
    }
}

fn write(context: &Context, args: &HookArgs) -> Result<Vec<Change>, Failure> {
    let changes =
        shells(args)?.into_iter().map(|shell| hook::add(shell, &startup_file(shell)?).map_err(failure));
    let changes = changes.collect::<Result<Vec<_>, Failure>>()?;
    warn_off_path(context, &changes);
    Ok(changes)
}

/// Those that were named, else the user's own.
fn shells(args: &HookArgs) -> Result<Vec<ShellName>, Failure> {
    if !args.shell.is_empty() {
        return Ok(args.shell.clone());
    }
    let own = std::env::var_os("SHELL").and_then(|program| ShellName::of_program(Path::new(&program)));
    let own = own.ok_or_else(|| {
        Failure::usage("SHELL names none of bash, zsh and fish").hint("3pm init --hook --shell bash|zsh|fish")
    })?;
    Ok(vec![own])
}

/// An alias for something that is not there would make npm unusable.
fn warn_off_path(context: &Context, changes: &[Change]) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let known = std::env::split_paths(&path).any(|folder| crate::shell::is_executable(&folder.join("3pm")));
    if !known && !changes.is_empty() {
        context
            .output
            .warn("3pm is not on the PATH, and the hook calls it by its name: add its folder to the PATH");
    }
}

fn failure(error: HookError) -> Failure {
    let damaged = matches!(error, HookError::Damaged { .. });
    let failure = Failure::from(error);
    if damaged {
        return failure.code(exit::NOT_POSSIBLE).hint("remove that line and the aliases below it by hand");
    }
    failure
}
