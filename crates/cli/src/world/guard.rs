//! The process that owns the local world's children and its folder, so that every ending is one
//! ending: whoever started it closes its standard input (by finishing, by a signal, by a panic, by
//! `kill -9`), and then the guard kills each child's process group and removes the folder. Does not
//! decide what to start, and knows nothing of what the children do.
//!
//! Protocol: one JSON object a line. Orders come in ([`Order`]), events go out ([`Event`]).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// How long children that were sent SIGKILL may take to disappear; the kernel needs milliseconds.
const REAP_LIMIT: Duration = Duration::from_secs(5);

/// How often the folder's removal is tried: a dying child can write a last file into it.
const REMOVAL_ATTEMPTS: u32 = 20;

/// What the owner asks for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "order")]
pub(crate) enum Order {
    /// Start a program in a process group of its own, with no standard input.
    Start(Program),
    /// Kill what was started under this name.
    Kill {
        /// The name it was started under.
        name: String,
    },
}

/// A program to start. Nothing secret goes in here: arguments are visible to every user.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Program {
    /// What the owner calls it.
    pub(crate) name: String,
    /// The executable.
    pub(crate) executable: PathBuf,
    /// Its arguments.
    pub(crate) arguments: Vec<String>,
    /// Variables added to the guard's own environment.
    pub(crate) environment: BTreeMap<String, String>,
    /// Standard output and error are appended here.
    pub(crate) log: PathBuf,
}

/// What the guard tells its owner.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "event")]
pub(crate) enum Event {
    /// The guard runs, and this folder is the world's. Sent once, first.
    Ready {
        /// Absolute, readable by its owner only.
        folder: PathBuf,
    },
    /// A program runs.
    Started {
        /// Its name.
        name: String,
        /// Its process id, which is its group's too.
        pid: u32,
    },
    /// A program could not be started.
    Refused {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// A program has ended, by itself or by order.
    Ended {
        /// Its name.
        name: String,
        /// How, in words.
        status: String,
    },
}

/// Runs until standard input closes or a signal arrives, then kills and removes everything.
pub(crate) async fn run_guard() -> io::Result<()> {
    // Made here and not by the owner, so that there is no moment in which nobody would remove it.
    let owner_only = std::fs::Permissions::from_mode(0o700);
    let folder = tempfile::Builder::new().prefix("3pm-world-").permissions(owner_only).tempdir()?;
    let mut guard = Guard::default();
    let result = guard.serve(folder.path()).await;
    guard.end().await;
    remove(folder.path()).await;
    result
}

#[derive(Default)]
struct Guard {
    children: BTreeMap<String, Pid>,
    ended: Option<mpsc::UnboundedReceiver<(String, io::Result<ExitStatus>)>>,
}

impl Guard {
    async fn serve(&mut self, folder: &Path) -> io::Result<()> {
        tell(&Event::Ready { folder: folder.to_owned() }).await?;
        let (report, ended) = mpsc::unbounded_channel();
        let ended = self.ended.insert(ended);
        let mut orders = BufReader::new(tokio::io::stdin()).lines();
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        loop {
            tokio::select! {
                line = orders.next_line() => {
                    let Some(line) = line? else { return Ok(()) };
                    match serde_json::from_str(&line)? {
                        Order::Kill { name } => {
                            if let Some(pid) = self.children.get(&name) { kill(*pid); }
                        }
                        Order::Start(program) => {
                            let event = match start(&program, &report) {
                                Ok(pid) => {
                                    self.children.insert(program.name.clone(), pid);
                                    Event::Started { name: program.name, pid: pid.as_raw_nonzero().get().unsigned_abs() }
                                }
                                Err(error) => Event::Refused { name: program.name, reason: error.to_string() },
                            };
                            tell(&event).await?;
                        }
                    }
                }
                Some((name, status)) = ended.recv() => {
                    self.children.remove(&name);
                    tell(&Event::Ended { name, status: describe(status) }).await?;
                }
                _ = interrupt.recv() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
                _ = hangup.recv() => return Ok(()),
            }
        }
    }

    async fn end(&mut self) {
        for pid in self.children.values() {
            kill(*pid);
        }
        if let Some(ended) = &mut self.ended {
            let children = &mut self.children;
            let all = async {
                while !children.is_empty() {
                    let Some((name, _)) = ended.recv().await else { break };
                    children.remove(&name);
                }
            };
            let _ = tokio::time::timeout(REAP_LIMIT, all).await;
        }
    }
}

fn start(
    program: &Program,
    report: &mpsc::UnboundedSender<(String, io::Result<ExitStatus>)>,
) -> io::Result<Pid> {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(&program.log)?;
    let mut command = Command::new(&program.executable);
    for name in foreign_variables() {
        command.env_remove(name);
    }
    let mut child = command
        .args(&program.arguments)
        .envs(&program.environment)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()?;
    let pid = child
        .id()
        .and_then(|id| Pid::from_raw(id.cast_signed()))
        .ok_or_else(|| io::Error::other("the process ended at once"))?;
    let (report, name) = (report.clone(), program.name.clone());
    tokio::spawn(async move {
        let status = child.wait().await;
        // Nobody listens any more when the guard itself is ending.
        let _ = report.send((name, status));
    });
    Ok(pid)
}

/// The user's own settings of 3pm and npm, which have no say in this world.
pub(crate) fn foreign_variables() -> Vec<OsString> {
    let foreign = |name: &OsString| {
        let name = name.to_string_lossy().to_lowercase();
        name.starts_with("threepm_") || name.starts_with("npm_config_")
    };
    std::env::vars_os().map(|(name, _)| name).filter(foreign).collect()
}

fn kill(group: Pid) {
    // The only failure is that nobody is left in the group.
    let _ = kill_process_group(group, Signal::KILL);
}

async fn tell(event: &Event) -> io::Result<()> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    let mut out = tokio::io::stdout();
    out.write_all(&line).await?;
    out.flush().await
}

async fn remove(folder: &Path) {
    for _ in 0..REMOVAL_ATTEMPTS {
        match tokio::fs::remove_dir_all(folder).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            _ => return,
        }
    }
}

fn describe(status: io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => status.to_string(),
        },
        Err(error) => error.to_string(),
    }
}
