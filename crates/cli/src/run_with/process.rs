//! Runs a package manager: by absolute path, in a process group of its own that ends with this run, within a
//! time limit. What it prints goes to our standard error as it comes, so that it looks as people know it;
//! standard output is ours.
//!
//! Before everything was compared, nothing of the project is on its PATH. Afterwards, when scripts run, the PATH is the
//! user's, and the tokens of registries are gone from its environment: a rebuild fetches nothing.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::Command;
use trust::text::printable;

use super::manager::own_path;
use super::orphan::Book;
use crate::install::npm::{Group, finish, keep_end};

/// Where its words go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Words {
    /// To our standard error.
    Passed,
    /// Kept, for a message.
    Kept,
    /// To our standard error once it has ended: until then we say how far it is.
    Afterwards,
}

/// Why it did not run to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessError {
    /// It could not be started.
    #[error("{} cannot be started", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It ran past its limit.
    #[error("{} took longer than {} s and was stopped", program.display(), limit.as_secs())]
    TimedOut {
        /// The program.
        program: PathBuf,
        /// The limit.
        limit: Duration,
    },
    /// It answered something else than asked.
    #[error("{} {question} did not answer", program.display())]
    Answer {
        /// The program.
        program: PathBuf,
        /// What it was asked.
        question: String,
    },
}

/// How a package manager ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its own code.
    pub(crate) status: ExitStatus,
    /// Its last words, where they were kept.
    pub(crate) words: Vec<String>,
    /// What is to be shown now, where that was to be afterwards.
    pub(crate) said: String,
}

/// Lines of its last words.
const LAST_LINES: usize = 8;

/// What variables with a registry's token are called, in lower case. Where a file of settings names one, it must be
/// there, so it is emptied.
const TOKENS: [&str; 6] = [
    "npm_token",
    "node_auth_token",
    "npm_auth_token",
    "yarn_npm_auth_token",
    "yarn_npm_auth_ident",
    "bun_auth_token",
];

/// What settings that a variable sets end with when they are a credential, in lower case.
const CREDENTIALS: [&str; 3] = ["_authtoken", "_auth", "_password"];

/// Runs `program` in `folder` with more or fewer variables than ours, noted in `book`, and waits. Nothing of the
/// project takes part.
pub(crate) async fn run(
    program: &Path,
    arguments: &[OsString],
    folder: &Path,
    variables: &[(&'static str, OsString)],
    words: Words,
    limit: Duration,
    book: &Book,
) -> Result<Ended, ProcessError> {
    let variables = [before_the_checks(folder), variables.to_vec()].concat();
    let command = prepare(program, arguments, folder, &variables);
    finished(command, program, words, limit, book).await
}

/// The same once everything was compared: what it runs are scripts.
pub(crate) async fn run_scripts(
    program: &Path,
    arguments: &[OsString],
    folder: &Path,
    variables: &[(&'static str, OsString)],
    words: Words,
    limit: Duration,
    book: &Book,
) -> Result<Ended, ProcessError> {
    let mut command = prepare(program, arguments, folder, variables);
    for (name, _) in std::env::vars_os() {
        match secrecy_of(&name.to_string_lossy()) {
            Secrecy::Token => command.env(&name, ""),
            Secrecy::Setting => command.env_remove(&name),
            Secrecy::None => &mut command,
        };
    }
    finished(command, program, words, limit, book).await
}

/// What stands in the environment of everything that runs before all was compared.
pub(crate) fn before_the_checks(folder: &Path) -> Vec<(&'static str, OsString)> {
    let path = std::env::join_paths(own_path(folder)).unwrap_or_default();
    vec![("PATH", path), ("npm_config_update_notifier", "false".into())]
}

/// Whether a variable is a registry's credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Secrecy {
    /// One that files of settings refer to.
    Token,
    /// A setting itself.
    Setting,
    /// None.
    None,
}

fn secrecy_of(name: &str) -> Secrecy {
    let name = name.to_ascii_lowercase();
    let is_setting = ["npm_config_", "pnpm_config_"].iter().any(|prefix| name.starts_with(prefix));
    if TOKENS.contains(&name.as_str()) {
        Secrecy::Token
    } else if is_setting && CREDENTIALS.iter().any(|end| name.ends_with(end)) {
        Secrecy::Setting
    } else if name.ends_with("_authtoken") {
        Secrecy::Token
    } else {
        Secrecy::None
    }
}

async fn finished(
    mut command: Command,
    program: &Path,
    words: Words,
    limit: Duration,
    book: &Book,
) -> Result<Ended, ProcessError> {
    match words {
        Words::Passed => command.stdout(Stdio::from(std::io::stderr())).stderr(Stdio::inherit()),
        Words::Kept | Words::Afterwards => command.stdout(Stdio::piped()).stderr(Stdio::piped()),
    };
    let mut group = Group(command.spawn().map_err(|source| spawn_error(program, source))?);
    let _noted = group.0.id().and_then(|leader| book.note(leader));
    let (stdout, stderr) = (keep_end(group.0.stdout.take()), keep_end(group.0.stderr.take()));
    let status = match tokio::time::timeout(limit, group.0.wait()).await {
        Ok(status) => status.map_err(|source| spawn_error(program, source))?,
        Err(_) => return Err(ProcessError::TimedOut { program: program.to_owned(), limit }),
    };
    let said = format!("{}\n{}", finish(stdout).await, finish(stderr).await);
    if words == Words::Afterwards {
        return Ok(Ended { status, words: Vec::new(), said: said.trim_start().to_owned() });
    }
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.iter().skip(lines.len().saturating_sub(LAST_LINES));
    let words = last.map(|line| printable(line.trim(), 300)).collect();
    Ok(Ended { status, words, said: String::new() })
}

/// What `program` answers on standard output, trimmed.
pub(crate) async fn ask(
    program: &Path,
    arguments: &[&str],
    folder: &Path,
    variables: &[(&'static str, OsString)],
    limit: Duration,
) -> Result<String, ProcessError> {
    let no_answer = || ProcessError::Answer { program: program.to_owned(), question: arguments.join(" ") };
    let owned: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    let variables = [before_the_checks(folder), variables.to_vec()].concat();
    let mut command = prepare(program, &owned, folder, &variables);
    let output = command.stdout(Stdio::piped()).stderr(Stdio::null()).output();
    let output = match tokio::time::timeout(limit, output).await {
        Ok(output) => output.map_err(|source| spawn_error(program, source))?,
        Err(_) => return Err(ProcessError::TimedOut { program: program.to_owned(), limit }),
    };
    let text = String::from_utf8(output.stdout).map_err(|_| no_answer())?;
    if output.status.success() { Ok(text.trim().to_owned()) } else { Err(no_answer()) }
}

fn prepare(
    program: &Path,
    arguments: &[OsString],
    folder: &Path,
    variables: &[(&'static str, OsString)],
) -> Command {
    // npm packages start with a line that looks for `node` on the PATH; a file of JavaScript is run by it.
    let is_script = program
        .extension()
        .is_some_and(|extension| ["js", "cjs", "mjs"].map(OsStr::new).contains(&extension));
    let mut command = if is_script {
        let mut command = Command::new("node");
        command.arg(program);
        command
    } else {
        Command::new(program)
    };
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).process_group(0).kill_on_drop(true);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("THREEPM_") {
            command.env_remove(&name);
        }
    }
    for (name, value) in variables {
        command.env(name, value);
    }
    command
}

fn spawn_error(program: &Path, source: std::io::Error) -> ProcessError {
    ProcessError::Spawn { program: program.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_with_a_registrys_token_are_told_by_their_names() {
        let check = |names: &[&str], expected: Secrecy| {
            names.iter().for_each(|name| assert_eq!(secrecy_of(name), expected, "{name}"));
        };
        check(
            &["NPM_TOKEN", "NODE_AUTH_TOKEN", "YARN_NPM_AUTH_TOKEN", "MY_REGISTRY_AUTHTOKEN"],
            Secrecy::Token,
        );
        let settings = [
            "npm_config_//host/:_authToken",
            "NPM_CONFIG__AUTH",
            "npm_config_//host/:_password",
            "pnpm_config__authToken",
        ];
        check(&settings, Secrecy::Setting);
        check(
            &["PATH", "npm_config_registry", "DB_PASSWORD", "npm_config_cache", "GITHUB_TOKEN"],
            Secrecy::None,
        );
    }

    #[test]
    fn before_the_checks_nothing_relative_and_nothing_of_a_node_modules_is_on_the_path() {
        let path = before_the_checks(Path::new("/nonexistent"));
        let (_, path) = path.iter().find(|(name, _)| *name == "PATH").unwrap();
        assert!(std::env::split_paths(path).all(|entry| entry.is_absolute()));
        assert!(std::env::split_paths(path).all(|entry| entry.iter().all(|part| part != "node_modules")));
    }
}
