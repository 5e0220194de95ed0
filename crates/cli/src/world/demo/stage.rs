//! The stage of the demo: runs a command as one of the people, shows it as typed with what it printed,
//! and holds what happened against what the story says. Does not know the story.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use client::http::{Http, Limits};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Serialize;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use trust::text::printable;
use url::Url;

use crate::world::description::Description;
use crate::world::guard::foreign_variables;

/// No command of the story takes long; one that does is broken.
const COMMAND_LIMIT: Duration = Duration::from_secs(180);

/// The longest output that is kept. npm's are a few hundred bytes.
const OUTPUT_LIMIT: u64 = 256 * 1024;

/// A packument or a tarball of the sample: a few kilobytes.
const LOOK: Limits = Limits { bytes: 4 << 20, time: Duration::from_secs(10) };

/// Lines of a command's output that are shown.
const SHOWN_LINES: usize = 40;

/// Columns of text.
const WIDTH: usize = 92;

/// Where the acts are played.
pub(crate) struct Stage<'a> {
    /// The world they are played in.
    pub(crate) world: &'a Description,
    /// `3pm` itself.
    pub(crate) executable: PathBuf,
    out: Box<dyn std::io::Write + Send>,
    act: Act,
}

/// What one act showed.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Act {
    /// From 1.
    pub(crate) number: u32,
    /// What it is called.
    pub(crate) title: String,
    /// What was typed, by whom, and how it ended.
    pub(crate) commands: Vec<Typed>,
    /// What was found to be so.
    pub(crate) shown: Vec<String>,
    /// What was not so; then the demo has failed.
    pub(crate) failed: Option<String>,
    /// How long it took.
    pub(crate) seconds: f64,
}

/// One command.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Typed {
    /// Who typed it.
    pub(crate) person: String,
    /// As typed.
    pub(crate) command: String,
    /// None for a signal.
    pub(crate) exit_code: Option<i32>,
    /// How long it took.
    pub(crate) seconds: f64,
}

/// A command to run.
#[derive(Debug, Default)]
pub(crate) struct Order<'a> {
    /// Who.
    pub(crate) person: &'a str,
    /// Where.
    pub(crate) folder: PathBuf,
    /// The program: `3pm`, or something on PATH.
    pub(crate) program: &'a str,
    /// Its arguments.
    pub(crate) arguments: Vec<String>,
    /// A file for its standard input: this is how a token is handed over.
    pub(crate) input: Option<PathBuf>,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// As typed.
    pub(crate) command: String,
    /// None for a signal.
    pub(crate) code: Option<i32>,
    /// Standard output and standard error as they came.
    pub(crate) text: String,
}

/// Something was not as the story says.
#[derive(Debug, thiserror::Error)]
#[error("{expected}; instead: {found}")]
pub(crate) struct Unexpected {
    /// What should have been.
    pub(crate) expected: String,
    /// What was.
    pub(crate) found: String,
}

impl<'a> Stage<'a> {
    /// A stage that writes to `out`.
    pub(crate) fn new(
        world: &'a Description,
        executable: PathBuf,
        out: Box<dyn std::io::Write + Send>,
    ) -> Self {
        Self { world, executable, out, act: Act::default() }
    }

    /// Plays one act and says how it went; a failure is part of the answer.
    pub(crate) async fn play(
        &mut self,
        number: u32,
        title: &str,
        act: impl AsyncFnOnce(&mut Self) -> Result<(), Unexpected>,
    ) -> Act {
        self.act = Act { number, title: title.to_owned(), ..Act::default() };
        self.line("");
        self.line(&format!("Act {number}. {title}"));
        self.line(&"─".repeat(format!("Act {number}. {title}").chars().count()));
        let started = Instant::now();
        if let Err(unexpected) = act(self).await {
            self.line("");
            self.line(&format!("  ✗ Not as told. Expected: {}", unexpected.expected));
            for line in unexpected.found.lines().filter(|line| !line.trim().is_empty()) {
                self.line(&format!("      {}", printable(line, 400)));
            }
            self.act.failed = Some(unexpected.to_string());
        }
        self.act.seconds = started.elapsed().as_secs_f64();
        std::mem::take(&mut self.act)
    }

    /// A paragraph of the story.
    pub(crate) fn tell(&mut self, text: &str) {
        self.line("");
        let mut line = String::new();
        for word in text.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
                let full = std::mem::take(&mut line);
                self.line(&format!("  {full}"));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.line(&format!("  {line}"));
    }

    /// Runs a command, shown as typed with its output.
    pub(crate) async fn run(&mut self, order: Order<'_>) -> Result<Ended, Unexpected> {
        let typed = typed(&order);
        self.line("");
        self.line(&format!("  {}$ {typed}", order.person));
        let started = Instant::now();
        let ended = self.execute(&order, typed.clone(), true).await?;
        let lines: Vec<&str> = ended.text.lines().filter(|line| worth_showing(line)).collect();
        for line in lines.iter().take(SHOWN_LINES) {
            self.line(&format!("    {}", printable(line.trim_end(), 160)));
        }
        if lines.len() > SHOWN_LINES {
            self.line(&format!("    … ({} more lines)", lines.len() - SHOWN_LINES));
        }
        self.act.commands.push(Typed {
            person: order.person.to_owned(),
            command: typed,
            exit_code: ended.code,
            seconds: started.elapsed().as_secs_f64(),
        });
        Ok(ended)
    }

    /// Runs a command and expects it to succeed.
    pub(crate) async fn succeed(&mut self, order: Order<'_>) -> Result<Ended, Unexpected> {
        let ended = self.run(order).await?;
        if ended.code == Some(0) { Ok(ended) } else { Err(ended.unexpected("exit code 0")) }
    }

    /// Asks `3pm … --json` behind the scenes and parses what it says.
    pub(crate) async fn ask(&mut self, order: Order<'_>) -> Result<serde_json::Value, Unexpected> {
        let ended = self.execute(&order, typed(&order), false).await?;
        if ended.code != Some(0) {
            return Err(ended.unexpected("exit code 0"));
        }
        serde_json::from_str(&ended.text).map_err(|_| ended.unexpected("JSON"))
    }

    /// Something that must be so, in the words of the summary.
    pub(crate) fn check(
        &mut self,
        so: bool,
        what: &str,
        found: impl FnOnce() -> String,
    ) -> Result<(), Unexpected> {
        if !so {
            return Err(Unexpected { expected: what.to_owned(), found: found() });
        }
        self.line(&format!("  ✓ {what}"));
        self.act.shown.push(what.to_owned());
        Ok(())
    }

    /// Looks something up without being anybody: bytes from the registry or the coordinator.
    pub(crate) async fn fetch(&self, base: &Url, path: &str) -> Result<Vec<u8>, Unexpected> {
        let unexpected = |found: String| Unexpected { expected: format!("{path} to be served"), found };
        let url = base.join(path).map_err(|error| unexpected(error.to_string()))?;
        let http = Http::new().map_err(|error| unexpected(error.to_string()))?;
        let bytes =
            http.get_bytes(&url, None, None, LOOK).await.map_err(|error| unexpected(error.to_string()))?;
        Ok(bytes.to_vec())
    }

    /// One line of output. The demo goes on when nobody reads any more.
    pub(crate) fn line(&mut self, text: &str) {
        let _ = writeln!(self.out, "{text}");
        let _ = self.out.flush();
    }

    async fn execute(&self, order: &Order<'_>, typed: String, everything: bool) -> Result<Ended, Unexpected> {
        let unexpected = |found: std::io::Error| Unexpected {
            expected: format!("`{typed}` to run"),
            found: found.to_string(),
        };
        let person = self
            .world
            .people
            .get(order.person)
            .ok_or_else(|| unexpected(std::io::ErrorKind::NotFound.into()))?;
        let (mut read, write) = pipe().map_err(unexpected)?;
        let input = match &order.input {
            Some(path) => Stdio::from(std::fs::File::open(path).map_err(unexpected)?),
            None => Stdio::null(),
        };
        let mut command = match order.program {
            "3pm" => Command::new(&self.executable),
            other => Command::new(other),
        };
        command.args(&order.arguments).current_dir(&order.folder).stdin(input).process_group(0);
        for name in foreign_variables() {
            command.env_remove(name);
        }
        command.envs(person.environment(&self.world.registry.url)).env("NO_COLOR", "1");
        let errors =
            if everything { Stdio::from(write.try_clone().map_err(unexpected)?) } else { Stdio::null() };
        command.stdout(write).stderr(errors).kill_on_drop(true);
        let mut child = command.spawn().map_err(unexpected)?;
        // The command holds the other end of the pipe until it is dropped.
        drop(command);
        let group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
        let mut bytes = Vec::new();
        let run = async {
            (&mut read).take(OUTPUT_LIMIT).read_to_end(&mut bytes).await?;
            child.wait().await
        };
        let Ok(ended) = tokio::time::timeout(COMMAND_LIMIT, run).await else {
            let said = String::from_utf8_lossy(&bytes);
            return Err(Unexpected {
                expected: format!("`{typed}` to end within {} s", COMMAND_LIMIT.as_secs()),
                found: format!("it still runs, and has said\n{said}"),
            });
        };
        let status = ended.map_err(unexpected)?;
        group.ended();
        Ok(Ended { command: typed, code: status.code(), text: String::from_utf8_lossy(&bytes).into_owned() })
    }
}

impl Ended {
    /// This command's outcome as something that was not expected.
    pub(crate) fn unexpected(&self, expected: &str) -> Unexpected {
        let code = self.code.map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"));
        Unexpected {
            expected: format!("{expected} of `{}`", self.command),
            found: format!("{code}\n{}", self.text.trim_end()),
        }
    }
}

/// A process group that is killed when the demo is interrupted while it runs.
struct Group(Option<Pid>);

impl Group {
    fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // The only failure is that nobody is left in it.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

fn pipe() -> std::io::Result<(tokio::net::unix::pipe::Receiver, std::io::PipeWriter)> {
    let (read, write) = std::io::pipe()?;
    let read = tokio::net::unix::pipe::Receiver::from_owned_fd(read.into())?;
    Ok((read, write))
}

/// The command as a person would type it.
fn typed(order: &Order<'_>) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=,^~+".contains(c);
    let mut text = order.program.to_owned();
    for argument in &order.arguments {
        text.push(' ');
        if !argument.is_empty() && argument.chars().all(plain) {
            text.push_str(argument);
        } else {
            text.push_str(&format!("'{}'", argument.replace('\'', "'\\''")));
        }
    }
    if let Some(input) = &order.input {
        text.push_str(&format!(
            " < {}",
            input.file_name().map_or_else(Default::default, |name| name.to_string_lossy().into_owned())
        ));
    }
    text
}

/// npm's notices list the files of each tarball; nobody needs them here.
fn worth_showing(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with("npm notice") && !line.starts_with("npm warn using --force")
}
