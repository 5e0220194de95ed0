//! Where a release comes from: the git commit and the CI run. Both are signed, so neither is claimed when it
//! is not so: a tree with changes has no commit to name. Runs git to read, never to write.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use alloy_primitives::B256;
use serde::Serialize;
use tokio::process::Command;
use trust::message::git_sha_word;
use trust::text::printable;

/// How long git may take; a large tree on a cold disk needs seconds.
const GIT_LIMIT: Duration = Duration::from_secs(20);

/// Longest URL of a CI run that is signed.
const MAX_URL_CHARS: usize = 512;

/// The commit, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "state")]
pub(crate) enum Commit {
    /// The working tree is this commit.
    Clean {
        /// SHA-1 or SHA-256, in hex.
        commit: String,
    },
    /// The working tree is this commit and something else.
    Dirty {
        /// SHA-1 or SHA-256, in hex.
        commit: String,
        /// How many paths differ.
        changes: usize,
    },
    /// Given by the user.
    Given {
        /// SHA-1 or SHA-256, in hex.
        commit: String,
    },
    /// No repository, no git, or no commit yet.
    None,
}

impl Commit {
    /// What is signed: zero where nothing can be claimed.
    pub(crate) fn word(&self) -> B256 {
        match self {
            Self::Clean { commit } | Self::Given { commit } => git_sha_word(commit).unwrap_or_default(),
            Self::Dirty { .. } | Self::None => B256::ZERO,
        }
    }

    /// In words.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Clean { commit } => format!("{commit}, working tree clean"),
            Self::Given { commit } => format!("{commit}, as given"),
            Self::Dirty { commit, changes } => {
                format!(
                    "none: the working tree differs from {} in {changes} paths",
                    &commit[..commit.len().min(12)]
                )
            }
            Self::None => "none".to_owned(),
        }
    }
}

/// A signed commit for people: without the zeros that fill a SHA-1 up.
pub(crate) fn commit_in_words(word: B256) -> String {
    let hex = format!("{word:x}");
    match hex.split_at(40) {
        _ if word.is_zero() => "none".to_owned(),
        (sha1, rest) if rest.chars().all(|c| c == '0') => sha1.to_owned(),
        _ => hex,
    }
}

/// The commit of `folder`.
pub(crate) async fn commit_of(folder: &Path) -> Commit {
    let Some(head) = git(folder, &["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]).await else {
        return Commit::None;
    };
    let commit = head.trim().to_owned();
    if git_sha_word(&commit).is_none() {
        return Commit::None;
    }
    // All of the checkout, also where the package is a folder of it: its build may take anything there. What git does not
    // answer is not taken for clean.
    match git(folder, &["status", "--porcelain", "--untracked-files=all"]).await {
        Some(text) if text.trim().is_empty() => Commit::Clean { commit },
        Some(text) => Commit::Dirty { commit, changes: text.lines().count() },
        None => Commit::None,
    }
}

async fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    command
        .args(arguments)
        .current_dir(folder)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(GIT_LIMIT, command.output()).await.ok()?.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The page of this CI run, as the usual systems describe it.
pub(crate) fn ci_run_url(environment: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let github = || {
        let (server, repository, run) = (
            environment("GITHUB_SERVER_URL")?,
            environment("GITHUB_REPOSITORY")?,
            environment("GITHUB_RUN_ID")?,
        );
        Some(format!("{server}/{repository}/actions/runs/{run}"))
    };
    github()
        .or_else(|| {
            ["CI_JOB_URL", "CI_PIPELINE_URL", "CIRCLE_BUILD_URL", "BUILDKITE_BUILD_URL", "BUILD_URL"]
                .iter()
                .find_map(|name| environment(name))
        })
        .filter(|text| url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https")))
        .filter(|text| text.chars().count() <= MAX_URL_CHARS && *text == printable(text, MAX_URL_CHARS))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn run(folder: &Path, arguments: &[&str]) {
        let ended = Command::new("git")
            .args(["-c", "user.name=a", "-c", "user.email=a@localhost", "-c", "commit.gpgsign=false"])
            .args(arguments)
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .await
            .unwrap();
        assert!(ended.success(), "{arguments:?}");
    }

    #[tokio::test]
    async fn only_a_clean_tree_names_a_commit() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(commit_of(folder.path()).await, Commit::None);
        run(folder.path(), &["init", "--quiet"]).await;
        assert_eq!(commit_of(folder.path()).await, Commit::None);
        std::fs::write(folder.path().join("a"), "1").unwrap();
        run(folder.path(), &["add", "a"]).await;
        run(folder.path(), &["commit", "--quiet", "-m", "a"]).await;
        let clean = commit_of(folder.path()).await;
        assert!(matches!(&clean, Commit::Clean { commit } if commit.len() == 40));
        assert!(!clean.word().is_zero());
        std::fs::write(folder.path().join("b"), "untracked files are packed too").unwrap();
        let dirty = commit_of(folder.path()).await;
        assert!(matches!(&dirty, Commit::Dirty { changes: 1, .. }));
        assert!(dirty.word().is_zero());
    }

    #[test]
    fn a_commit_is_shown_as_git_shows_it() {
        let sha1 = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
        let check =
            |hex: &str, expected: &str| assert_eq!(commit_in_words(git_sha_word(hex).unwrap()), expected);
        check(sha1, sha1);
        check(&"ab".repeat(32), &"ab".repeat(32));
        assert_eq!(commit_in_words(B256::ZERO), "none");
    }

    #[test]
    fn the_usual_ci_systems_name_their_run() {
        let check = |variables: &[(&str, &str)], expected: Option<&str>| {
            let variables: std::collections::HashMap<_, _> = variables.iter().copied().collect();
            let found = ci_run_url(&|name| variables.get(name).map(|value| (*value).to_owned()));
            assert_eq!(found.as_deref(), expected);
        };
        check(
            &[
                ("GITHUB_SERVER_URL", "https://git.example"),
                ("GITHUB_REPOSITORY", "a/b"),
                ("GITHUB_RUN_ID", "7"),
            ],
            Some("https://git.example/a/b/actions/runs/7"),
        );
        check(&[("CI_JOB_URL", "https://lab.example/1")], Some("https://lab.example/1"));
        check(&[("BUILD_URL", "javascript:alert(1)")], None);
        check(&[("GITHUB_RUN_ID", "7")], None);
        check(&[], None);
    }
}
