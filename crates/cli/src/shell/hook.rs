//! The hook: a marked block in a shell's startup file that makes `npm` and its like mean 3pm. Written once however
//! often it is asked for, taken away to the last byte. Touches nothing outside its block.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Client, startup};
use crate::args::ShellName;

/// How the block's first line begins, and its last line.
const BEGIN: &str = "# >>> 3pm hook >>>";
const END: &str = "# <<< 3pm hook <<<";

/// What the first line says for whoever finds it, and for the way back.
const NOTE: &str = " written by `3pm init`; `3pm init --undo` takes it away";
const MADE: &str = "; this file was made for it";
const UNENDED: &str = "; the line above had no end";

/// What stands in a startup file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// No block.
    Absent,
    /// Our block, as this 3pm writes it.
    Present,
    /// Our block, as another 3pm wrote it, or changed since.
    Outdated,
}

/// What became of a startup file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Change {
    /// Whose.
    pub(crate) shell: &'static str,
    /// Which.
    pub(crate) file: PathBuf,
    /// Whether it is another now.
    pub(crate) changed: bool,
    /// Where what it was lies, when that was put there now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backup: Option<PathBuf>,
}

/// Why there is no hook, or still one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HookError {
    /// The file.
    #[error("{} cannot be changed", file.display())]
    Io {
        /// Which.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A block that does not end.
    #[error("{} holds the first line of 3pm's hook and not its last: {END}", file.display())]
    Damaged {
        /// Which.
        file: PathBuf,
    },
}

impl ShellName {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Bash, Self::Zsh, Self::Fish];

    /// Its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
        }
    }

    /// The one whose program is `path`, as SHELL names it.
    pub(crate) fn of_program(path: &Path) -> Option<Self> {
        let name = path.file_name()?;
        Self::ALL.into_iter().find(|shell| name == shell.as_str())
    }

    /// The startup file of interactive shells.
    pub(crate) fn file(self, home: &Path, environment: &dyn Fn(&str) -> Option<PathBuf>) -> PathBuf {
        let folder = |name: &str| environment(name).filter(|folder| folder.is_absolute());
        match self {
            Self::Bash => home.join(".bashrc"),
            Self::Zsh => folder("ZDOTDIR").unwrap_or_else(|| home.to_owned()).join(".zshrc"),
            Self::Fish => {
                folder("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config")).join("fish/conf.d/3pm.fish")
            }
        }
    }

    /// What stands between the first line and the last.
    fn lines(self) -> String {
        let aliases = Client::ALL.map(|client| match self {
            Self::Bash | Self::Zsh => format!("alias {}='3pm {}'\n", client.command(), client.intercept()),
            Self::Fish => {
                format!(
                    "    function {}\n        3pm {} $argv\n    end\n",
                    client.command(),
                    client.intercept()
                )
            }
        });
        match self {
            Self::Bash | Self::Zsh => aliases.concat(),
            Self::Fish => format!("if status is-interactive\n{}end\n", aliases.concat()),
        }
    }
}

/// What stands in `file`.
pub(crate) fn state(shell: ShellName, file: &Path) -> Result<State, HookError> {
    let bytes = read(file)?.unwrap_or_default();
    Ok(match find(file, &bytes)? {
        None => State::Absent,
        Some(block) if bytes[block.inside.0..block.inside.1] == *shell.lines().as_bytes() => State::Present,
        Some(_) => State::Outdated,
    })
}

/// Puts the block at the end of `file`, or brings the one that is there up to date.
pub(crate) fn add(shell: ShellName, file: &Path) -> Result<Change, HookError> {
    let failed = |source| HookError::Io { file: file.to_owned(), source };
    let before = read(file)?;
    let bytes = before.as_deref().unwrap_or_default();
    let lines = shell.lines();
    let after = match find(file, bytes)? {
        Some(block) => [&bytes[..block.inside.0], lines.as_bytes(), &bytes[block.inside.1..]].concat(),
        None => {
            let unended = bytes.last().is_some_and(|last| *last != b'\n');
            let why = if before.is_none() {
                MADE
            } else if unended {
                UNENDED
            } else {
                ""
            };
            let block = format!("{}{BEGIN}{NOTE}{why}\n{lines}{END}\n", if unended { "\n" } else { "" });
            [bytes, block.as_bytes()].concat()
        }
    };
    let changed = before.as_deref() != Some(after.as_slice());
    let mut backup = None;
    if changed {
        if before.is_some() {
            backup = startup::keep_backup(file).map_err(failed)?;
        }
        startup::store(file, &after).map_err(failed)?;
    }
    Ok(Change { shell: shell.as_str(), file: file.to_owned(), changed, backup })
}

/// Takes the block out of `file`, and the file away where it was made for the block.
pub(crate) fn remove(shell: ShellName, file: &Path) -> Result<Change, HookError> {
    let failed = |source| HookError::Io { file: file.to_owned(), source };
    let bytes = read(file)?.unwrap_or_default();
    let Some(block) = find(file, &bytes)? else {
        return Ok(Change { shell: shell.as_str(), file: file.to_owned(), changed: false, backup: None });
    };
    let (mut start, end) = block.whole;
    let first = &bytes[start..block.inside.0];
    let says = |what: &str| first.windows(what.len()).any(|part| part == what.as_bytes());
    if says(UNENDED) && end == bytes.len() && start > 0 {
        start -= 1;
    }
    let after = [&bytes[..start], &bytes[end..]].concat();
    let is_link = file.symlink_metadata().map_err(failed)?.is_symlink();
    if after.is_empty() && says(MADE) && !is_link {
        std::fs::remove_file(file).map_err(failed)?;
    } else {
        startup::store(file, &after).map_err(failed)?;
        startup::drop_backup(file).map_err(failed)?;
    }
    Ok(Change { shell: shell.as_str(), file: file.to_owned(), changed: true, backup: None })
}

/// Where a block stands, in bytes: with its first and last line, and between them.
struct Block {
    whole: (usize, usize),
    inside: (usize, usize),
}

fn find(file: &Path, bytes: &[u8]) -> Result<Option<Block>, HookError> {
    let mut lines = Vec::new();
    let mut at = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        lines.push((at, at + line.len(), line));
        at += line.len();
    }
    let Some(first) = lines.iter().position(|(_, _, line)| line.starts_with(BEGIN.as_bytes())) else {
        return Ok(None);
    };
    let last = lines.iter().skip(first + 1).find(|(_, _, line)| line.trim_ascii_end() == END.as_bytes());
    let (start, inside, _) = lines[first];
    let (inside_end, end, _) = *last.ok_or_else(|| HookError::Damaged { file: file.to_owned() })?;
    Ok(Some(Block { whole: (start, end), inside: (inside, inside_end) }))
}

fn read(file: &Path) -> Result<Option<Vec<u8>>, HookError> {
    startup::read(file).map_err(|source| HookError::Io { file: file.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adding and removing leaves `before`, whatever that is.
    #[track_caller]
    fn check(shell: ShellName, before: Option<&[u8]>) {
        let home = tempfile::tempdir().unwrap();
        let file = shell.file(home.path(), &|_| None);
        if let Some(before) = before {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, before).unwrap();
        }
        assert!(add(shell, &file).unwrap().changed);
        assert_eq!(state(shell, &file).unwrap(), State::Present);
        let once = std::fs::read(&file).unwrap();
        assert!(!add(shell, &file).unwrap().changed);
        assert_eq!(std::fs::read(&file).unwrap(), once);
        assert!(remove(shell, &file).unwrap().changed);
        assert_eq!(std::fs::read(&file).ok().as_deref(), before);
        assert!(!remove(shell, &file).unwrap().changed);
        assert!(!backup(&file).exists());
    }

    fn backup(file: &Path) -> PathBuf {
        PathBuf::from(format!("{}.3pm-backup", file.display()))
    }

    #[test]
    fn what_was_there_is_there_again_to_the_last_byte() {
        for shell in ShellName::ALL {
            for before in [None, Some("".as_bytes()), Some(b"x=1\n"), Some(b"x=1"), Some(b"\xff\n\n")] {
                check(shell, before);
            }
        }
    }

    #[test]
    fn what_was_written_since_stays_and_so_does_the_copy() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join(".bashrc");
        std::fs::write(&file, "first").unwrap();
        assert_eq!(add(ShellName::Bash, &file).unwrap().backup, Some(backup(&file)));
        let with = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("zeroth\n{with}last\n")).unwrap();
        remove(ShellName::Bash, &file).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "zeroth\nfirst\nlast\n");
        assert_eq!(std::fs::read_to_string(backup(&file)).unwrap(), "first");
    }

    #[test]
    fn an_old_block_is_brought_up_to_date_and_half_a_block_is_an_error() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join(".zshrc");
        std::fs::write(&file, format!("a\n{BEGIN} long ago\nalias npm=x\n{END}\nb\n")).unwrap();
        assert_eq!(state(ShellName::Zsh, &file).unwrap(), State::Outdated);
        add(ShellName::Zsh, &file).unwrap();
        assert_eq!(state(ShellName::Zsh, &file).unwrap(), State::Present);
        remove(ShellName::Zsh, &file).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "a\nb\n");
        std::fs::write(&file, format!("a\n{BEGIN}\nalias npm=x\n")).unwrap();
        assert!(matches!(add(ShellName::Zsh, &file), Err(HookError::Damaged { .. })));
        assert!(matches!(remove(ShellName::Zsh, &file), Err(HookError::Damaged { .. })));
    }
}
