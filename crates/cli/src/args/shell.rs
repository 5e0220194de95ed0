//! `intercept`, `shims` and the hook of `init` as they are typed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

use crate::shell::Client;

/// A shell that `3pm init` can write a hook for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShellName {
    /// `~/.bashrc`
    Bash,
    /// `.zshrc` in ZDOTDIR or the home
    Zsh,
    /// a file of its own in fish's `conf.d`
    Fish,
}

/// `3pm intercept`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Examples:\n  3pm intercept npm -- install left-pad      checked, as 3pm install left-pad\n  \
                  3pm intercept npm -- run build             npm itself, untouched\n  \
                  alias npm='3pm npm-intercept'              what 3pm init writes; short for 3pm intercept npm --\n\n\
                  THREEPM_INTERCEPT=off in the environment hands everything on unchecked. What installs and what\n\
                  does not: docs/shell.md."
)]
pub(crate) struct InterceptArgs {
    /// The command that was typed
    #[arg(value_enum, value_name = "COMMAND")]
    pub(crate) client: Client,
    /// Its arguments, behind `--`
    #[arg(last = true, value_name = "ARGUMENT")]
    pub(crate) arguments: Vec<OsString>,
}

/// `3pm shims`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ShimsCommand {
    /// Write them: npm, npx, pnpm, pnpx, yarn, bun, bunx
    #[command(after_help = "Examples:\n  3pm shims install                     in ~/.3pm/shims\n  \
                            3pm shims install --dir ./bin\n\n\
                            For scripts and CI, where no alias is read. Where GITHUB_PATH is set, the folder is added\n\
                            there. A file that is not ours is never overwritten.")]
    Install(ShimsArgs),
    /// Take away what is ours
    #[command(after_help = "Examples:\n  3pm shims remove")]
    Remove(ShimsArgs),
    /// Print their folder
    #[command(after_help = "Examples:\n  export PATH=\"$(3pm shims path):$PATH\"")]
    Path(ShimsArgs),
}

/// What the commands of `3pm shims` take.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ShimsArgs {
    /// The folder; ~/.3pm/shims when nothing is said
    #[arg(long, value_name = "FOLDER")]
    pub(crate) dir: Option<PathBuf>,
}

/// What `3pm init` does to startup files of shells.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub(crate) struct HookArgs {
    /// Write the hook: from then on npm, pnpm, yarn and bun install through 3pm
    #[arg(long, conflicts_with = "no_hook", help_heading = "Hook")]
    pub(crate) hook: bool,
    /// Write no hook, and do not ask
    #[arg(long, help_heading = "Hook")]
    pub(crate) no_hook: bool,
    /// Take the hook away again, and do nothing else
    #[arg(long, conflicts_with_all = ["hook", "no_hook"], help_heading = "Hook")]
    pub(crate) undo: bool,
    /// For which shell; several times for several. Your own when nothing is said; with --undo all
    #[arg(long, value_enum, value_name = "SHELL", help_heading = "Hook")]
    pub(crate) shell: Vec<ShellName>,
}
