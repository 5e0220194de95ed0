//! Which programs are there, where, and in which version. Fetches none: corepack is told not to.

use std::process::Stdio;

use tokio::process::Command;

use super::{Check, Finding, limited};
use crate::shell::program::find_real;

const AREA: &str = "installed";

/// The oldest major versions that 3pm was tried with.
const OLDEST: [(&str, u64); 3] = [("node", 20), ("npm", 10), ("pnpm", 9)];

/// What 3pm cannot do without.
const NEEDED: [&str; 2] = ["node", "npm"];

/// What keeps a program from being another one, or from fetching itself.
const QUIET: [(&str, &str); 5] = [
    ("COREPACK_ENABLE_PROJECT_SPEC", "0"),
    ("COREPACK_ENABLE_NETWORK", "0"),
    ("COREPACK_ENABLE_DOWNLOAD_PROMPT", "0"),
    ("YARN_IGNORE_PATH", "1"),
    ("NO_UPDATE_NOTIFIER", "1"),
];

/// A line per program.
pub(super) fn checks<'a>() -> Vec<Check<'a>> {
    ["node", "npm", "pnpm", "yarn", "bun", "corepack"]
        .map(|name| limited(AREA, name, async move { vec![program(name).await] }))
        .into()
}

async fn program(name: &'static str) -> Finding {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let Some(program) = find_real(name, &path) else {
        return if NEEDED.contains(&name) {
            Finding::fail(AREA, name, "not on the PATH")
                .fix("install Node.js, which brings both node and npm")
        } else {
            Finding::ok(AREA, name, "not installed")
        };
    };
    let place = program.display().to_string();
    // Away from the project, whose settings would have a word in it.
    let Ok(neutral) = tempfile::tempdir() else { return Finding::warn(AREA, name, "no temporary folder") };
    let mut command = Command::new(&program);
    command.arg("--version").envs(QUIET).current_dir(neutral.path()).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let answer = command.output().await.ok().filter(|output| output.status.success());
    let version = answer.and_then(|output| String::from_utf8(output.stdout).ok());
    let Some(version) = version.as_deref().map(str::trim).filter(|version| !version.is_empty()) else {
        return Finding::warn(AREA, name, format!("{place} does not say its version"))
            .fix(format!("{place} --version"));
    };
    let says = format!("{version}  {place}");
    match OLDEST.iter().find(|(known, _)| *known == name) {
        Some((_, oldest)) if major(version).is_none_or(|major| major < *oldest) => {
            Finding::warn(AREA, name, says)
                .fix(format!("update {name}: 3pm was tried with {oldest} and later"))
        }
        _ => Finding::ok(AREA, name, says),
    }
}

fn major(version: &str) -> Option<u64> {
    version.trim_start_matches('v').split('.').next()?.parse().ok()
}
