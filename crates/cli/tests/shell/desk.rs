//! A home of its own with 3pm on the PATH, and what is typed there.

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

pub struct Desk {
    folder: TempDir,
    path: Vec<PathBuf>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    #[track_caller]
    pub fn with(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        let all = format!("{}{}", self.stdout, self.stderr);
        for words in words {
            assert!(all.contains(words), "should say {words:?}: {self:#?}");
        }
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("no JSON: {self:#?}"))
    }
}

impl Desk {
    /// 3pm comes first on the PATH, then what the machine has.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("own")).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_3pm"), folder.path().join("own/3pm")).unwrap();
        let machine = std::env::var_os("PATH").expect("a PATH");
        let own = folder.path().join("own");
        let path = std::iter::once(own).chain(std::env::split_paths(&machine)).collect();
        Self { folder, path }
    }

    /// In the home.
    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The same desk with this folder first on the PATH.
    pub fn first_on_path(mut self, folder: impl Into<PathBuf>) -> Self {
        self.path.insert(0, folder.into());
        self
    }

    /// The same desk with nothing but these on the PATH.
    pub fn only_on_path(mut self, folders: &[PathBuf]) -> Self {
        self.path = folders.to_vec();
        self
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.at(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A program that the shell runs.
    pub fn program(&self, name: &str, script: &str) -> PathBuf {
        let path = self.write(name, &format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    pub fn command<S: AsRef<OsStr>>(&self, program: &str, arguments: &[S]) -> Command {
        let program = if program == "3pm" { env!("CARGO_BIN_EXE_3pm") } else { program };
        let mut command = Command::new(program);
        command.args(arguments).env_clear().current_dir(self.folder.path());
        command.env("HOME", self.folder.path()).env("NO_COLOR", "1").env("SHELL", "/bin/bash");
        command.env("PATH", std::env::join_paths(&self.path).unwrap());
        command.env("npm_config_update_notifier", "false").env("npm_config_cache", self.at(".npm"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn types<S: AsRef<OsStr>>(&self, program: &str, arguments: &[S]) -> Ended {
        ended(self.command(program, arguments).spawn().unwrap())
    }

    pub fn types_with<S: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: &[S],
        variables: &[(&str, &Path)],
    ) -> Ended {
        ended(self.command(program, arguments).envs(variables.iter().copied()).spawn().unwrap())
    }

    pub fn types_into<S: AsRef<OsStr>>(&self, program: &str, arguments: &[S], input: &str) -> Ended {
        let mut child = self.command(program, arguments).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        ended(child)
    }
}

pub fn ended(child: Child) -> Ended {
    let output = child.wait_with_output().unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
