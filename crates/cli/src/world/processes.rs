//! The owner's side of the guard: starts it, asks it for programs, hears when one ends, and lets go of
//! everything by closing one pipe. Does not restart what ended.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;

use super::WorldError;
use super::guard::{Event, Order, Program};

/// The hidden subcommand that becomes the guard.
pub(crate) const GUARD_COMMAND: &str = "world-guard";

/// Where programs' outputs go, in the world's folder.
const LOGS: &str = "logs";

/// How long the guard is waited for: it gives its children 5 s, and on a busy disk the folder takes longer than that.
const END_LIMIT: Duration = Duration::from_secs(60);

/// How long a program may take to be started: fork and exec, on a machine that is busy.
const START_LIMIT: Duration = Duration::from_secs(20);

/// The running guard. Dropping it ends the world; [`Processes::end`] also waits until it has ended.
#[derive(Debug)]
pub(crate) struct Processes {
    guard: Child,
    orders: ChildStdin,
    answers: mpsc::UnboundedReceiver<(String, Result<u32, String>)>,
    ended: mpsc::UnboundedReceiver<Ended>,
    folder: PathBuf,
}

/// A program that ended.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    /// The name it was started under; the guard itself is `guard`.
    pub(crate) name: String,
    /// How, in words.
    pub(crate) status: String,
}

impl Processes {
    /// Starts the guard, which makes the folder that it will remove.
    pub(crate) async fn start() -> Result<Self, WorldError> {
        let executable = std::env::current_exe().map_err(|source| WorldError::OwnExecutable { source })?;
        let failed = |source| WorldError::Guard { source };
        let mut guard = Command::new(executable)
            .arg(GUARD_COMMAND)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let missing = || failed(std::io::Error::other("no pipe to it"));
        let orders = guard.stdin.take().ok_or_else(missing)?;
        let events = guard.stdout.take().ok_or_else(missing)?;
        let (answer, answers) = mpsc::unbounded_channel();
        let (end, ended) = mpsc::unbounded_channel();
        let mut events = BufReader::new(events).lines();
        let first = tokio::time::timeout(START_LIMIT, events.next_line()).await;
        let first = first.map_err(|_| failed(std::io::ErrorKind::TimedOut.into()))?.map_err(failed)?;
        let Some(Ok(Event::Ready { folder })) = first.as_deref().map(serde_json::from_str) else {
            return Err(failed(std::io::Error::other("it made no folder")));
        };
        tokio::fs::create_dir(folder.join(LOGS)).await.map_err(failed)?;
        tokio::spawn(listen(events, answer, end));
        Ok(Self { guard, orders, answers, ended, folder })
    }

    /// Starts a program and returns its process id.
    pub(crate) async fn run(
        &mut self,
        name: &str,
        executable: PathBuf,
        arguments: Vec<String>,
        environment: BTreeMap<String, String>,
    ) -> Result<u32, WorldError> {
        let log = self.log(name);
        let program = Program { name: name.to_owned(), executable, arguments, environment, log };
        self.order(&Order::Start(program)).await?;
        let answer = tokio::time::timeout(START_LIMIT, self.answers.recv()).await;
        match answer {
            Ok(Some((_, Ok(pid)))) => Ok(pid),
            Ok(Some((_, Err(reason)))) => Err(WorldError::NotStarted { name: name.to_owned(), reason }),
            Ok(None) => {
                Err(WorldError::NotStarted { name: name.to_owned(), reason: "the guard has ended".into() })
            }
            Err(_) => Err(WorldError::NotStarted {
                name: name.to_owned(),
                reason: "the guard does not answer".into(),
            }),
        }
    }

    /// Where a program's output goes.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.folder.join(LOGS).join(format!("{name}.log"))
    }

    /// The last line that a program wrote, made printable.
    pub(crate) async fn last_words(&self, name: &str) -> String {
        let text = tokio::fs::read(self.log(name)).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        trust::text::printable(
            text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default(),
            300,
        )
    }

    /// The folder that disappears with the world.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The next program that ends. Cancel safe.
    pub(crate) async fn next_ended(&mut self) -> Ended {
        match self.ended.recv().await {
            Some(ended) => ended,
            None => Ended { name: "guard".into(), status: "ended".into() },
        }
    }

    /// A program that has ended since the last look, if any.
    pub(crate) fn try_ended(&mut self) -> Option<Ended> {
        self.ended.try_recv().ok()
    }

    /// Ends every program, removes the folder, and returns when that is done.
    pub(crate) async fn end(self) -> Result<(), WorldError> {
        let Self { mut guard, orders, folder, .. } = self;
        drop(orders);
        match tokio::time::timeout(END_LIMIT, guard.wait()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(source)) => Err(WorldError::Guard { source }),
            Err(_) => Err(WorldError::Lingers { folder }),
        }
    }

    async fn order(&mut self, order: &Order) -> Result<(), WorldError> {
        let failed = |source| WorldError::Guard { source };
        let mut line = serde_json::to_vec(order).map_err(|error| failed(error.into()))?;
        line.push(b'\n');
        self.orders.write_all(&line).await.map_err(failed)?;
        self.orders.flush().await.map_err(failed)
    }
}

async fn listen(
    mut lines: Lines<BufReader<ChildStdout>>,
    answer: mpsc::UnboundedSender<(String, Result<u32, String>)>,
    end: mpsc::UnboundedSender<Ended>,
) {
    // Closed channels mean that the owner is ending; then there is nobody to tell.
    while let Ok(Some(line)) = lines.next_line().await {
        let _ = match serde_json::from_str(&line) {
            Ok(Event::Started { name, pid }) => answer.send((name, Ok(pid))).is_ok(),
            Ok(Event::Refused { name, reason }) => answer.send((name, Err(reason))).is_ok(),
            Ok(Event::Ended { name, status }) => end.send(Ended { name, status }).is_ok(),
            Ok(Event::Ready { .. }) | Err(_) => break,
        };
    }
}
