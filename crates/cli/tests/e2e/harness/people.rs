//! The people of a test's world typing commands: 3pm or npm, each in their own home. Panics with
//! everything a command printed when it ended otherwise than a test said.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::world::{BINARY, World};

/// Somebody with a home.
#[derive(Debug, Clone)]
pub struct Person {
    /// alice, bob, carol, mallory or user.
    pub name: String,
    /// The wallet's address, checksummed; empty for the user.
    pub address: String,
    environment: Vec<(String, String)>,
    folder: PathBuf,
    token_file: Option<PathBuf>,
}

/// How a command ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// As typed.
    pub command: String,
    /// None for a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl World {
    /// One of its people.
    pub fn person(&self, name: &str) -> Person {
        let text = |field: &str| self.text(&format!("/people/{name}/{field}")).to_owned();
        let optional = |field: &str| {
            self.description
                .pointer(&format!("/people/{name}/{field}"))
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        Person {
            name: name.to_owned(),
            address: optional("address").unwrap_or_default(),
            environment: vec![
                ("THREEPM_HOME".into(), text("home")),
                ("NPM_CONFIG_REGISTRY".into(), self.registry().to_owned()),
                ("NPM_CONFIG_USERCONFIG".into(), text("npmConfiguration")),
            ],
            folder: self.new_folder("anywhere"),
            token_file: optional("tokenFile").map(PathBuf::from),
        }
    }
}

impl Person {
    /// The same person in another folder.
    #[must_use]
    pub fn at(mut self, folder: &Path) -> Self {
        self.folder = folder.to_owned();
        self
    }

    /// The same person with one more variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The same person without a variable.
    #[must_use]
    #[allow(dead_code, reason = "for tests of installs")]
    pub fn without(mut self, name: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self
    }

    /// The person's own npm token.
    pub fn npm_token(&self) -> String {
        let path = self.token_file.as_ref().expect("an npm account");
        std::fs::read_to_string(path).expect("a token")
    }

    /// One of the person's variables.
    #[allow(dead_code, reason = "for tests of installs")]
    pub fn variable(&self, name: &str) -> Option<&str> {
        let found = self.environment.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Runs `3pm`.
    pub fn threepm<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Ended {
        self.run(BINARY, arguments, None)
    }

    /// Runs `3pm` with text on its standard input.
    pub fn threepm_with_input<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
        input: &str,
    ) -> Ended {
        self.run(BINARY, arguments, Some(input))
    }

    /// 3pm's folder.
    #[allow(dead_code, reason = "for tests of installs")]
    pub fn home(&self) -> String {
        let home = self.environment.iter().find(|(name, _)| name == "THREEPM_HOME");
        home.expect("a home").1.clone()
    }

    /// Runs some program.
    #[allow(dead_code, reason = "for tests of installs")]
    pub fn program<S: AsRef<OsStr>>(&self, program: &str, arguments: impl IntoIterator<Item = S>) -> Ended {
        // The PATH of the person, not of the test, says which.
        let path = self.environment.iter().rev().find(|(name, _)| name == "PATH");
        let found = path.and_then(|(_, path)| {
            std::env::split_paths(path).map(|folder| folder.join(program)).find(|place| place.exists())
        });
        let program = found.map_or_else(|| program.to_owned(), |place| place.display().to_string());
        self.run(&program, arguments, None)
    }

    /// Runs `npm`.
    pub fn npm<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Ended {
        self.run("npm", arguments, None)
    }

    /// A command as this person, not yet started. Of the machine's own variables it knows only where
    /// programs and folders are: `CI` alone changes what package managers do.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let machine = ["PATH", "HOME", "TMPDIR", "USER"].into_iter();
        command.env_clear().envs(machine.filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.current_dir(&self.folder).env("NO_COLOR", "1");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    fn run<S: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = S>,
        input: Option<&str>,
    ) -> Ended {
        let mut command = self.command(program);
        command.args(arguments);
        let typed = format!("{}$ {command:?}", self.name);
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect(&typed);
        if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
            stdin.write_all(input.as_bytes()).expect("input is read");
        }
        let Output { status, stdout, stderr } = child.wait_with_output().expect(&typed);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Ended { command: typed, code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }
}

impl Ended {
    /// Expects success.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{self}");
        self
    }

    /// Expects this exit code.
    #[track_caller]
    pub fn ended_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Expects a failure that is a sentence: not a signal, not a panic, not a page of Rust.
    #[track_caller]
    pub fn refused(self) -> Self {
        assert!(self.code.is_some_and(|code| code != 0), "expected a non-zero exit code: {self}");
        assert!(!self.stderr.contains("panicked") && !self.stderr.contains("RUST_BACKTRACE"), "{self}");
        assert!(!self.stderr.trim().is_empty(), "expected a sentence: {self}");
        self
    }

    /// Expects all of these in what was printed.
    #[track_caller]
    pub fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.stdout.contains(part) || self.stderr.contains(part), "expected {part:?}: {self}");
        }
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}\nexit code {:?}\n{}\n{}", self.command, self.code, self.stdout, self.stderr)?;
        write!(out, "\nthe coordinator's log ends with\n{}", super::world::World::last_words())
    }
}
