//! Whether something stands in front of the package managers: aliases in startup files, shims on the PATH and in
//! the right place there. Cannot see whether an alias is in force in the shell that called.

use std::path::{Path, PathBuf};

use futures_util::future::FutureExt as _;

use super::{Check, Finding};
use crate::args::ShellName;
use crate::commands::hook::startup_file;
use crate::context::Context;
use crate::shell::hook::{State, state};
use crate::shell::program::{find_real, is_shim};
use crate::shell::{Client, shims};

const AREA: &str = "hooked";

/// Aliases, shims, and 3pm itself.
pub(super) fn checks(context: &Context) -> Vec<Check<'_>> {
    vec![async move { look(context) }.boxed()]
}

fn look(context: &Context) -> Vec<Finding> {
    let path: Vec<PathBuf> = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect::<Vec<_>>())
        .unwrap_or_default();
    let mut findings = vec![own(&path)];
    let mut any = false;
    let own_shell = std::env::var_os("SHELL").and_then(|program| ShellName::of_program(Path::new(&program)));
    for shell in ShellName::ALL {
        let found = alias(shell, own_shell == Some(shell));
        any |= found.as_ref().is_some_and(|(state, _)| *state == State::Present);
        findings.extend(found.map(|(_, finding)| finding));
    }
    if let Ok(home) = context.home() {
        let folder = home.join(shims::FOLDER);
        let (on_path, found) = shims_of(&folder, &path);
        any |= on_path;
        findings.extend(found);
    }
    if !any {
        findings.push(
            Finding::warn(AREA, "npm install", "goes past 3pm: there is neither a hook nor a shim")
                .fix("3pm init --hook, or in CI: 3pm shims install"),
        );
    }
    findings
}

fn own(path: &[PathBuf]) -> Finding {
    match path.iter().map(|folder| folder.join("3pm")).find(|program| crate::shell::is_executable(program)) {
        Some(program) => Finding::ok(AREA, "3pm", program.display().to_string()),
        None => {
            let folder = std::env::current_exe().ok().and_then(|own| own.parent().map(Path::to_owned));
            let folder = folder.map_or_else(|| "FOLDER".to_owned(), |folder| folder.display().to_string());
            Finding::warn(AREA, "3pm", "not on the PATH; the hook calls it by its name")
                .fix(format!("export PATH=\"{folder}:$PATH\""))
        }
    }
}

/// The hook of a shell; nothing to say of one that is neither hooked nor the user's own.
fn alias(shell: ShellName, is_own: bool) -> Option<(State, Finding)> {
    let name = shell.as_str();
    let fix = format!("3pm init --hook --shell {name}");
    let file = match startup_file(shell) {
        Ok(file) => file,
        Err(failure) => return Some((State::Absent, Finding::warn(AREA, name, failure.sentence()))),
    };
    let place = file.display();
    match state(shell, &file) {
        Ok(State::Present) => Some((State::Present, Finding::ok(AREA, name, format!("hook in {place}")))),
        Ok(State::Outdated) => {
            let says = format!("the hook in {place} is not the one this 3pm writes");
            Some((State::Outdated, Finding::warn(AREA, name, says).fix(fix)))
        }
        Ok(State::Absent) if is_own => {
            Some((State::Absent, Finding::ok(AREA, name, format!("no hook in {place}")).fix(fix)))
        }
        Ok(State::Absent) => None,
        Err(error) => Some((
            State::Absent,
            Finding::fail(AREA, name, error.to_string()).fix(format!("look at {place}")),
        )),
    }
}

/// Whether shims stand in front, and what is to be said of each that does not.
fn shims_of(folder: &Path, path: &[PathBuf]) -> (bool, Vec<Finding>) {
    let there: Vec<Client> =
        Client::ALL.into_iter().filter(|client| is_shim(&folder.join(client.command()))).collect();
    if there.is_empty() {
        return (false, vec![Finding::ok(AREA, "shims", format!("none in {}", folder.display()))]);
    }
    let add = format!("export PATH=\"{}:$PATH\"", folder.display());
    let Some(at) = path.iter().position(|entry| entry == folder) else {
        return (
            false,
            vec![Finding::warn(AREA, "shims", format!("{} is not on the PATH", folder.display())).fix(add)],
        );
    };
    let mut findings = Vec::new();
    for client in Client::ALL {
        let name = client.command();
        let before = std::env::join_paths(&path[..at]).unwrap_or_default();
        if let Some(real) = find_real(name, &before) {
            let says = format!("{} comes before the shims on the PATH, so it is not checked", real.display());
            findings.push(Finding::fail(AREA, name, says).fix(add.clone()));
        } else if !there.contains(&client) {
            findings.push(Finding::warn(AREA, name, "its shim is missing").fix("3pm shims install"));
        } else if !calls_something(&folder.join(name)) {
            let says = "its shim calls a 3pm that is not there any more";
            findings.push(Finding::fail(AREA, name, says).fix("3pm shims install"));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok(AREA, "shims", format!("{}, in front", folder.display())));
    }
    (true, findings)
}

/// Whether the program between the quotes of its last line is there.
fn calls_something(shim: &Path) -> bool {
    let text = std::fs::read_to_string(shim).unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix("exec '")?.split_once('\''))
        .is_some_and(|(program, _)| crate::shell::is_executable(Path::new(program)))
}
