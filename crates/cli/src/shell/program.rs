//! The real program behind a command, found on the PATH as if 3pm's own folder of shims were not there, and
//! started in place of this process: its exit code, signals, terminal and standard streams are its own.
//!
//! Does not search the project: that is the PATH's matter, as it is without us.

use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Client, is_executable};

/// Set for what 3pm starts: the process that was handed on, and how many times in a row.
const GUARD: &str = "THREEPM_INTERCEPTED";

/// How often commands may lie within one another. A script that calls npm, which runs a script, is two; nobody
/// has fifty, but a wrapper that calls 3pm again has any number.
const MAX_DEPTH: u32 = 50;

/// What the second line of a shim begins with.
pub(super) const SHIM_MARK: &str = "# 3pm shim";

/// How much of a file is read to see whether it is a shim.
const SHIM_HEAD_BYTES: u64 = 64;

/// pnpm's switch for installing before a script runs. On by default since pnpm 11.
const PNPM_INSTALLS_FIRST: &str = "pnpm_config_verify_deps_before_run";

/// Why it was not started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProgramError {
    /// Only our own, or none.
    #[error("{command} is not on the PATH")]
    NotFound {
        /// What was typed.
        command: &'static str,
    },
    /// What was found is a detour to 3pm.
    #[error("{} leads back to 3pm instead of to {command}", program.display())]
    Loop {
        /// What was typed.
        command: &'static str,
        /// What was found.
        program: PathBuf,
    },
    /// It is there and does not start.
    #[error("{} cannot be started", program.display())]
    Start {
        /// What was found.
        program: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The first program of this name on `path` that is not a shim of ours.
pub(crate) fn find_real(command: &str, path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(command))
        .find(|program| is_executable(program) && !is_shim(program))
}

/// Whether this file is one that `3pm shims install` wrote.
pub(crate) fn is_shim(program: &Path) -> bool {
    let mut head = Vec::new();
    let read =
        std::fs::File::open(program).and_then(|file| file.take(SHIM_HEAD_BYTES).read_to_end(&mut head));
    read.is_ok()
        && head.split(|byte| *byte == b'\n').nth(1).is_some_and(|line| line.starts_with(SHIM_MARK.as_bytes()))
}

/// Becomes the real program. Comes back only when it could not be started.
pub(crate) fn become_program(client: Client, arguments: &[OsString]) -> ProgramError {
    let command = client.command();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let Some(program) = find_real(command, &path) else { return ProgramError::NotFound { command } };
    let before = std::env::var(GUARD).unwrap_or_default();
    let Some(guard) = guard(&before, std::process::id()) else {
        return ProgramError::Loop { command, program };
    };
    let mut real = Command::new(&program);
    real.arg0(command).args(arguments).env(GUARD, guard);
    if matches!(client, Client::Pnpm | Client::Pnpx) && installs_first() {
        real.env(PNPM_INSTALLS_FIRST, "false");
    }
    ProgramError::Start { source: real.exec(), program }
}

fn installs_first() -> bool {
    !std::env::var(PNPM_INSTALLS_FIRST)
        .is_ok_and(|value| ["false", "warn", "error"].contains(&value.as_str()))
}

/// The guard's next value; none where this process was handed on before, or too many lie around it.
fn guard(before: &str, process: u32) -> Option<String> {
    let known = before
        .split_once('.')
        .and_then(|(process, depth)| Some((process.parse().ok()?, depth.parse().ok()?)));
    let (handed_on, depth): (u32, u32) = known.unwrap_or((0, 0));
    (handed_on != process && depth < MAX_DEPTH).then(|| format!("{process}.{}", depth + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_handed_on_once_and_a_row_of_them_ends() {
        assert_eq!(guard("", 7).as_deref(), Some("7.1"));
        assert_eq!(guard("7.1", 8).as_deref(), Some("8.2"));
        assert_eq!(guard("7.1", 7), None);
        assert_eq!(guard("7.50", 8), None);
        assert_eq!(guard("nonsense", 8).as_deref(), Some("8.1"));
    }

    #[test]
    fn a_shim_is_known_by_its_second_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("npm");
        std::fs::write(&file, "#!/bin/sh\n# 3pm shim of npm\nexec x\n").unwrap();
        assert!(is_shim(&file));
        std::fs::write(&file, "#!/bin/sh\necho '# 3pm shim'\n").unwrap();
        assert!(!is_shim(&file) && !is_shim(folder.path()));
    }
}
