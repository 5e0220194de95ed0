//! Runs a package manager: by absolute path, in a process group of its own that ends with this run, within a
//! time limit. What it prints goes to our standard error as it comes, so that it looks as people know it;
//! standard output is ours.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::Command;
use trust::text::printable;

use super::orphan::Book;
use crate::install::npm::{Group, finish, keep_end};

/// Where its words go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Words {
    /// To our standard error.
    Passed,
    /// Kept, for a message.
    Kept,
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
}

/// Lines of its last words.
const LAST_LINES: usize = 8;

/// Runs `program` in `folder` with more or fewer variables than ours, noted in `book`, and waits.
pub(crate) async fn run(
    program: &Path,
    arguments: &[OsString],
    folder: &Path,
    variables: &[(&'static str, OsString)],
    words: Words,
    limit: Duration,
    book: &Book,
) -> Result<Ended, ProcessError> {
    let mut command = prepare(program, arguments, folder, variables);
    match words {
        Words::Passed => command.stdout(Stdio::from(std::io::stderr())).stderr(Stdio::inherit()),
        Words::Kept => command.stdout(Stdio::piped()).stderr(Stdio::piped()),
    };
    let mut group = Group(command.spawn().map_err(|source| spawn_error(program, source))?);
    let _noted = group.0.id().and_then(|leader| book.note(leader));
    let (stdout, stderr) = (keep_end(group.0.stdout.take()), keep_end(group.0.stderr.take()));
    let status = match tokio::time::timeout(limit, group.0.wait()).await {
        Ok(status) => status.map_err(|source| spawn_error(program, source))?,
        Err(_) => return Err(ProcessError::TimedOut { program: program.to_owned(), limit }),
    };
    let said = format!("{}\n{}", finish(stdout).await, finish(stderr).await);
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.iter().skip(lines.len().saturating_sub(LAST_LINES));
    Ok(Ended { status, words: last.map(|line| printable(line.trim(), 300)).collect() })
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
    let mut command = prepare(program, &owned, folder, variables);
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
