//! What stands in git's place while a package manager runs, until somebody agreed to what comes from no registry:
//! a repository is fetched past the proxy, and npm 10 and yarn 4 run scripts of it to make a package of it, before
//! anything could be compared. Fetches nothing; says which repository was asked for. And how git goes once they did.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use client::http::UserProxy;
use trust::text::printable;

use super::manager::own_path;
use crate::temporary::Temporary;

/// The file beside the program with what it was asked, one argument a line.
const ASKED: &str = "asked";

/// A program named `git` that writes down what it was asked and fails.
const PROGRAM: &str = "#!/bin/sh
printf '%s\\n' \"$@\" >> \"${0%/*}/asked\"
echo '3pm: a repository is not fetched before somebody agreed to it' >&2
exit 128
";

/// Where git takes settings from that stand above every file, as `git -c` hands them to what it starts.
const PARAMETERS: &str = "GIT_CONFIG_PARAMETERS";

/// git, as long as this lives and the variables are set.
#[derive(Debug)]
pub(crate) struct NoGit {
    folder: Temporary,
}

impl NoGit {
    /// Writes the program.
    pub(crate) fn new() -> std::io::Result<Self> {
        let folder = Temporary::new()?;
        let path = folder.path().join("git");
        let mut program = std::fs::File::options().write(true).create_new(true).mode(0o700).open(path)?;
        program.write_all(PROGRAM.as_bytes())?;
        Ok(Self { folder })
    }

    /// What makes a package manager in `folder` find it first.
    pub(crate) fn variables(&self, folder: &Path) -> Vec<(&'static str, OsString)> {
        let all = std::iter::once(self.folder.path().to_owned()).chain(own_path(folder));
        let program = self.program();
        let path = std::env::join_paths(all).unwrap_or_default();
        // The last: no transport is allowed to a git that was found in spite of that.
        vec![("PATH", path), ("npm_config_git", program.into()), ("GIT_ALLOW_PROTOCOL", "none".into())]
    }

    /// The repositories it was asked for, or its arguments where none can be told; none when it did not run.
    pub(crate) fn asked(&self) -> Option<String> {
        let bytes = std::fs::read(self.folder.path().join(ASKED)).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let mut repositories: Vec<&str> = text.lines().filter(|word| is_repository(word)).collect();
        repositories.sort_unstable();
        repositories.dedup();
        let said = if repositories.is_empty() {
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        } else {
            repositories.join(", ")
        };
        Some(printable(&format!("git, {said}"), 300))
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("git")
    }
}

/// What lets git go its own way once somebody agreed: as the user set it up, not through a proxy whose authority it
/// does not know.
pub(crate) fn own_way(proxy: Option<&UserProxy>) -> Vec<(&'static str, OsString)> {
    let around = proxy.map(|proxy| proxy.url.as_str()).unwrap_or_default();
    let setting = format!("'http.proxy={around}'");
    let all = match std::env::var_os(PARAMETERS).filter(|known| !known.is_empty()) {
        Some(mut known) => {
            known.push(" ");
            known.push(setting);
            known
        }
        None => setting.into(),
    };
    vec![(PARAMETERS, all)]
}

fn is_repository(word: &str) -> bool {
    !word.starts_with('-') && (word.contains("://") || word.contains('@') && word.contains(':'))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn it_fails_and_says_which_repositories_were_asked_for() {
        let git = NoGit::new().unwrap();
        assert_eq!(git.asked(), None);
        for arguments in [
            ["ls-remote", "https://git.example/a.git", "-h"],
            ["clone", "--quiet", "git@git.example:b.git"],
            ["clone", "--quiet", "git@git.example:b.git"],
        ] {
            let ended =
                Command::new("git").args(arguments).envs(git.variables(Path::new("/"))).output().unwrap();
            assert_eq!(ended.status.code(), Some(128), "{ended:?}");
        }
        assert_eq!(git.asked().unwrap(), "git, git@git.example:b.git, https://git.example/a.git");
    }

    #[test]
    fn once_somebody_agreed_no_proxy_of_ours_is_in_its_way() {
        let ask = |upstream: Option<&UserProxy>| {
            let git = Command::new("git")
                .args(["config", "--get", "http.proxy"])
                .env("https_proxy", "http://127.0.0.1:1")
                .envs(own_way(upstream))
                .output();
            String::from_utf8(git.unwrap().stdout).unwrap()
        };
        assert_eq!(ask(None), "\n");
        let url = "http://proxy.example:3128".parse().unwrap();
        assert_eq!(ask(Some(&UserProxy { url, exceptions: None })), "http://proxy.example:3128/\n");
    }

    #[test]
    fn what_names_no_repository_is_said_as_it_was_asked() {
        let git = NoGit::new().unwrap();
        Command::new("git").args(["--version"]).envs(git.variables(Path::new("/"))).output().unwrap();
        assert_eq!(git.asked().unwrap(), "git, --version");
    }
}
