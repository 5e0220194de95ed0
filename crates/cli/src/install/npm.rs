//! Runs the user's own npm: by absolute path, in its own process group, within a time limit, with the
//! end of its output kept for the message when it fails. Decides nothing about what npm is told to do.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use trust::text::printable;

use crate::run_with::manager::find_program;
use crate::run_with::process::before_the_checks;

/// How much of npm's output is kept: enough for any of its answers that are read (`config list`).
const KEPT_OUTPUT_BYTES: usize = 1024 * 1024;

/// How many lines of npm's error output a message repeats.
const SHOWN_LINES: usize = 6;

/// How long the pipes may stay open after npm ended (a daemon it left behind would hold them).
const PIPE_LIMIT: Duration = Duration::from_secs(2);

/// How long a killed group may take to be gone before its folder is put back.
const KILL_LIMIT: Duration = Duration::from_secs(2);

/// How long npm may take to say which version it is, or what its settings are.
pub(crate) const QUESTION_LIMIT: Duration = Duration::from_secs(30);

/// The user's npm.
#[derive(Debug, Clone)]
pub(crate) struct Npm {
    program: PathBuf,
    /// Whether npm sees its settings in the environment.
    settings: bool,
    /// What stands in its environment besides.
    variables: Vec<(&'static str, OsString)>,
}

/// What npm wrote before it ended well.
#[derive(Debug)]
pub(crate) struct Output {
    /// Standard output, its end when it was long.
    pub(crate) stdout: String,
}

/// Why npm did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NpmRunError {
    /// No npm.
    #[error("npm is not on the PATH")]
    NotFound,
    /// It could not be started.
    #[error("{} cannot be started", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It ended with an error.
    #[error("npm {command} ended with {status}: {}", shown(stderr))]
    Failed {
        /// The subcommand.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of its error output.
        stderr: String,
    },
    /// It answered something else than asked.
    #[error("npm {command} did not answer with JSON")]
    Answer {
        /// The subcommand.
        command: &'static str,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// It ran past its limit.
    #[error("npm {command} took longer than {} s and was stopped", limit.as_secs())]
    TimedOut {
        /// The subcommand.
        command: String,
        /// The limit.
        limit: Duration,
    },
}

impl Npm {
    /// The user's, on the PATH: none that the project of `folder` brings.
    pub(crate) fn find(folder: &Path) -> Result<Self, NpmRunError> {
        let found = find_program("npm", folder, Path::new("/nonexistent"));
        found.map(Self::at).ok_or(NpmRunError::NotFound)
    }

    /// The npm at this place.
    pub(crate) fn at(program: PathBuf) -> Self {
        Self { program, settings: true, variables: vec![] }
    }

    /// Where it lies.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// The same npm, blind to settings in the environment.
    pub(crate) fn without_settings(self) -> Self {
        Self { settings: false, ..self }
    }

    /// The same npm with more in its environment.
    pub(crate) fn with(self, variables: Vec<(&'static str, OsString)>) -> Self {
        Self { variables, ..self }
    }

    /// Runs npm with `arguments` in `folder` and waits at most `limit`. Dropping the future kills the
    /// whole process group.
    pub(crate) async fn run(
        &self,
        folder: &Path,
        arguments: &[OsString],
        limit: Duration,
    ) -> Result<Output, NpmRunError> {
        let command = arguments.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut npm = Command::new(&self.program);
        npm.args(arguments).current_dir(folder).stdin(Stdio::null()).process_group(0).kill_on_drop(true);
        for (name, _) in std::env::vars_os() {
            let shown = name.to_string_lossy();
            let setting = shown.to_ascii_lowercase().starts_with("npm_config_");
            if shown.starts_with("THREEPM_") || (setting && !self.settings) {
                npm.env_remove(&name);
            }
        }
        // It is started by a `node` of the PATH, and would ask a registry whether there is a newer one of itself.
        npm.envs(before_the_checks(folder));
        npm.envs(self.variables.iter().map(|(name, value)| (name, value)));
        // npm 10 runs scripts of a repository where it was told to run none, some by another npm: what is in the
        // environment reaches both.
        let quiet = format!("--script-shell={}", no_shell());
        if arguments.iter().any(|argument| *argument == *quiet) {
            npm.env("npm_config_ignore_scripts", "true").env("npm_config_script_shell", no_shell());
        }
        npm.stdout(Stdio::piped()).stderr(Stdio::piped());
        let spawned = npm.spawn();
        let mut group =
            Group(spawned.map_err(|source| NpmRunError::Spawn { program: self.program.clone(), source })?);
        let stdout = keep_end(group.0.stdout.take());
        let stderr = keep_end(group.0.stderr.take());
        let status = match tokio::time::timeout(limit, group.0.wait()).await {
            Ok(status) => {
                status.map_err(|source| NpmRunError::Spawn { program: self.program.clone(), source })?
            }
            Err(_) => return Err(NpmRunError::TimedOut { command, limit }),
        };
        let (stdout, stderr) = (finish(stdout).await, finish(stderr).await);
        if status.success() {
            Ok(Output { stdout })
        } else {
            Err(NpmRunError::Failed { command, status, stderr })
        }
    }
}

/// A program that does nothing, in place of a shell. Where there is none, what wants a shell fails.
pub(crate) fn no_shell() -> &'static str {
    let places = ["/usr/bin/true", "/bin/true"];
    places.into_iter().find(|place| Path::new(place).exists()).unwrap_or(places[0])
}

/// A child and everything it started; gone when this is dropped.
pub(crate) struct Group(pub(crate) Child);

impl Drop for Group {
    fn drop(&mut self) {
        // An id is only there while the child has not been waited for, so it cannot be somebody else's.
        let Some(pid) = self.0.id().and_then(|id| Pid::from_raw(id.cast_signed())) else { return };
        let _ = kill_process_group(pid, Signal::KILL);
        let started = std::time::Instant::now();
        while matches!(self.0.try_wait(), Ok(None)) && started.elapsed() < KILL_LIMIT {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Reads a pipe to its end and keeps the last part.
pub(crate) fn keep_end(pipe: Option<impl AsyncRead + Unpin + Send + 'static>) -> Option<JoinHandle<Vec<u8>>> {
    let mut pipe = pipe?;
    Some(tokio::spawn(async move {
        let mut kept = Vec::new();
        let mut chunk = vec![0_u8; 16 * 1024];
        while let Ok(read @ 1..) = pipe.read(&mut chunk).await {
            kept.extend_from_slice(&chunk[..read]);
            if kept.len() > 2 * KEPT_OUTPUT_BYTES {
                kept.drain(..kept.len() - KEPT_OUTPUT_BYTES);
            }
        }
        kept
    }))
}

pub(crate) async fn finish(reader: Option<JoinHandle<Vec<u8>>>) -> String {
    let Some(mut reader) = reader else { return String::new() };
    match tokio::time::timeout(PIPE_LIMIT, &mut reader).await {
        Ok(Ok(kept)) => String::from_utf8_lossy(&kept).into_owned(),
        _ => {
            reader.abort();
            String::new()
        }
    }
}

/// What a message repeats of npm's error output: its own words, without the path of its log.
fn shown(stderr: &str) -> String {
    let lines: Vec<String> = stderr
        .lines()
        .filter_map(|line| {
            line.trim().strip_prefix("npm error").or_else(|| line.trim().strip_prefix("npm ERR!"))
        })
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.contains("complete log of this run"))
        .take(SHOWN_LINES)
        .map(|line| printable(line, 300))
        .collect();
    if !lines.is_empty() {
        return lines.join("; ");
    }
    match stderr.lines().map(str::trim).rfind(|line| !line.is_empty()) {
        Some(line) => printable(line, 300),
        None => "it gave no reason".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str) -> (tempfile::TempDir, Npm) {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("npm");
        std::fs::write(&program, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        (folder, Npm { program, settings: true, variables: vec![] })
    }

    async fn run(text: &str, limit: Duration) -> Result<Output, NpmRunError> {
        let (folder, npm) = script(text);
        npm.run(folder.path(), &["install".into()], limit).await
    }

    #[tokio::test]
    async fn output_is_kept_and_an_error_repeats_npms_own_words() {
        let output = run("echo out; echo err >&2", QUESTION_LIMIT).await.unwrap();
        assert_eq!(output.stdout, "out\n");
        let error = run(
            "echo 'npm warn x' >&2; echo 'npm error code E404' >&2; printf 'npm error \\033[31mnot found\\n' >&2; exit 3",
            QUESTION_LIMIT,
        )
        .await
        .unwrap_err()
        .to_string();
        assert_eq!(error, "npm install ended with exit status: 3: code E404; \u{fffd}[31mnot found");
    }

    #[tokio::test]
    async fn past_its_limit_npm_and_what_it_started_are_gone() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let text = format!("sleep 600 & echo $! > {}; wait", pid.display());
        let started = std::time::Instant::now();
        let error = run(&text, Duration::from_millis(700)).await.unwrap_err();
        assert!(matches!(error, NpmRunError::TimedOut { .. }), "{error:?}");
        assert!(started.elapsed() < Duration::from_secs(10));
        let pid = std::fs::read_to_string(pid).unwrap().trim().to_owned();
        for _ in 0..100 {
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if state.is_empty() || state.contains(") Z") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the grandchild {pid} still runs");
    }

    #[tokio::test]
    async fn our_own_variables_are_not_npms() {
        let output = run("env | grep -c '^THREEPM_'; true", QUESTION_LIMIT).await.unwrap();
        assert_eq!(output.stdout, "0\n");
    }

    #[test]
    fn npm_inside_the_project_is_not_the_users_npm() {
        let (folder, npm) = script("true");
        assert!(npm.program.starts_with(folder.path()));
        if let Ok(found) = Npm::find(folder.path()) {
            assert!(!found.program.starts_with(folder.path()) && found.program.is_absolute());
        }
    }
}
