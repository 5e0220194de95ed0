//! Between what people type and the real package managers: which commands install something (`table`,
//! `words`, `decide`), where the real program is (`program`), and what puts 3pm in front of it, in startup files
//! of shells (`hook`, `startup`) and in a folder on the PATH (`shims`). Installs nothing itself.

pub(crate) mod decide;
pub(crate) mod hook;
mod once;
pub(crate) mod program;
pub(crate) mod shims;
mod startup;
mod table;
mod words;

use std::ffi::OsString;
use std::path::Path;

use clap::ValueEnum;

/// A command of a package manager, as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Client {
    /// npm
    Npm,
    /// npx
    Npx,
    /// pnpm
    Pnpm,
    /// pnpx, which is `pnpm dlx`
    Pnpx,
    /// yarn, 1 or later
    Yarn,
    /// bun
    Bun,
    /// bunx, which is `bun x`
    Bunx,
}

impl Client {
    /// All of them.
    pub(crate) const ALL: [Self; 7] =
        [Self::Npm, Self::Npx, Self::Pnpm, Self::Pnpx, Self::Yarn, Self::Bun, Self::Bunx];

    /// The command.
    pub(crate) fn command(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::Npx => "npx",
            Self::Pnpm => "pnpm",
            Self::Pnpx => "pnpx",
            Self::Yarn => "yarn",
            Self::Bun => "bun",
            Self::Bunx => "bunx",
        }
    }

    /// Whether a command line has one of these flags.
    pub(crate) fn has_flag(self, arguments: &[OsString], flags: &[&str]) -> bool {
        self.table().is_some_and(|table| words::parse_line(table, arguments).has(flags))
    }

    /// The words of a command line, without flags and their values: the subcommand first.
    pub(crate) fn words(self, arguments: &[OsString]) -> Vec<String> {
        let line = self.table().map(|table| words::parse_line(table, arguments)).unwrap_or_default();
        line.words.into_iter().map(|word| word.text).collect()
    }

    /// 3pm's command that stands in front of it, without the name of 3pm.
    pub(crate) fn intercept(self) -> &'static str {
        match self {
            Self::Npm => "npm-intercept",
            Self::Npx => "npx-intercept",
            Self::Pnpm => "pnpm-intercept",
            Self::Pnpx => "pnpx-intercept",
            Self::Yarn => "yarn-intercept",
            Self::Bun => "bun-intercept",
            Self::Bunx => "bunx-intercept",
        }
    }
}

/// A word as a POSIX shell reads it.
pub(crate) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=,+%".contains(c);
    let is_plain = !text.is_empty() && text.chars().all(plain);
    if is_plain { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// A file that may be run.
pub(crate) fn is_executable(program: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(program).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
