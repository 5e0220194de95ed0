//! Questions to the person at the terminal. Where there is none, nothing is asked and nothing waits: the
//! answer is an error that names the flag. Keeps no secret longer than its caller does.

use std::io::{BufRead as _, IsTerminal as _, Read as _};
use std::os::fd::AsFd as _;
use std::time::Duration;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::SecretString;

use crate::context::Context;
use crate::errors::{Explain as _, Failure};
use crate::exit;
use crate::output::{Page, write_stderr};

/// How long a pipe may keep a secret back: a password manager asks its owner first.
const SECRET_LIMIT: Duration = Duration::from_secs(30);

/// Longest answer, in bytes. npm's tokens have 40 to 80 characters, others up to a few thousand.
const MAX_ANSWER_BYTES: u64 = 16 << 10;

/// Shows what `confirm` asks about next. `--quiet` silences it only where nobody is asked.
pub(crate) fn review(context: &Context, yes: bool, human: impl FnOnce(&mut Page)) {
    if yes || !context.interactive {
        context.output.page(human);
    } else {
        context.output.show(human);
    }
}

/// Asks, unless `--yes` was given. An error when the answer is no, or when there is nobody to ask.
pub(crate) async fn confirm(context: &Context, yes: bool, question: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !context.interactive {
        return Err(Failure::new(exit::NOT_CONFIRMED, format!("there is nobody to ask: {question}"))
            .hint("look at it first, then run it again with --yes"));
    }
    if ask_yes_or_no(question).await? {
        return Ok(());
    }
    Err(Failure::new(exit::NOT_CONFIRMED, "the answer was no; nothing was signed or sent"))
}

/// Fails at once where a long wait would end in a question that nobody is there to answer.
pub(crate) fn require_answer(context: &Context, yes: bool, question: &str) -> Result<(), Failure> {
    if yes || context.interactive {
        return Ok(());
    }
    Err(Failure::new(exit::NOT_CONFIRMED, format!("there is nobody to ask: {question}"))
        .hint("run it with --yes"))
}

/// Asks; no answer is no. Only where a person is.
pub(crate) async fn ask_yes_or_no(question: &str) -> Result<bool, Failure> {
    let answer = ask(&format!("{question} [y/N] ")).await?;
    Ok(matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// One line of the person's, trimmed.
pub(crate) async fn ask(question: &str) -> Result<String, Failure> {
    write_stderr(question);
    let line = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    });
    Ok(line.await?.while_doing("the terminal cannot be read")?.trim().to_owned())
}

/// A secret: from standard input when that is no terminal, else typed without being shown.
pub(crate) async fn read_secret(question: &str) -> Result<SecretString, Failure> {
    let shown = std::io::stdin().is_terminal();
    let hidden = if shown {
        write_stderr(question);
        Some(Hidden::begin()?)
    } else {
        None
    };
    let reading = tokio::task::spawn_blocking(read_first_line);
    // A person may think; a pipe that says nothing has nobody behind it.
    let limit = if shown { Duration::MAX } else { SECRET_LIMIT };
    let line = tokio::time::timeout(limit, reading).await.map_err(|_| {
        let seconds = SECRET_LIMIT.as_secs();
        Failure::usage(format!("nothing came on standard input within {seconds} s"))
            .hint("hand the secret over like this: 3pm … < FILE")
    })?;
    let line = line?.while_doing("the secret cannot be read from standard input")?;
    drop(hidden);
    if shown {
        write_stderr("\n");
    }
    Ok(SecretString::from(line.trim().to_owned()))
}

/// The first line, at most the limit of it. What comes after is not waited for: a pipe may stay open.
fn read_first_line() -> std::io::Result<String> {
    let mut text = String::new();
    std::io::stdin().lock().take(MAX_ANSWER_BYTES).read_line(&mut text)?;
    Ok(text)
}

/// Echo is off while this lives; Ctrl-C drops it too.
struct Hidden(Termios);

impl Hidden {
    fn begin() -> Result<Self, Failure> {
        let stdin = std::io::stdin();
        let before = tcgetattr(stdin.as_fd()).while_doing("the terminal cannot hide what is typed")?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(stdin.as_fd(), OptionalActions::Now, &hidden)
            .while_doing("the terminal cannot hide what is typed")?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin().as_fd(), OptionalActions::Now, &self.0);
    }
}
