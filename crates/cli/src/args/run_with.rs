//! `run-with` as it is typed.

use std::ffi::OsString;

use clap::ValueEnum;

use super::install::{OwnArgs, QuestionArgs};
use crate::run_with::Typed;

/// A package manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ManagerName {
    /// npm
    Npm,
    /// pnpm
    Pnpm,
    /// yarn, 1 or later
    Yarn,
    /// bun
    Bun,
}

impl ManagerName {
    /// The command.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::Pnpm => "pnpm",
            Self::Yarn => "yarn",
            Self::Bun => "bun",
        }
    }
}

/// `3pm run-with`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Examples:\n  3pm run-with pnpm -- install --frozen-lockfile\n  3pm run-with yarn -- add left-pad\n  \
                        3pm run-with bun -- install\n\n\
                        The package manager runs as always, with scripts off and behind a proxy of ours that hands out\n\
                        checked bytes only. Then everything on disk is compared, then scripts run."
)]
pub(crate) struct RunWithArgs {
    /// Which package manager
    #[arg(value_enum, value_name = "PACKAGE MANAGER")]
    pub(crate) manager: ManagerName,
    /// What is ours of the rest
    #[command(flatten)]
    pub(crate) own: OwnArgs,
    /// Let plugins that the project brings for the package manager run before anything is checked
    #[arg(long)]
    pub(crate) allow_project_code: bool,
    /// Its arguments, behind `--`
    #[arg(last = true, value_name = "ARGUMENT")]
    pub(crate) arguments: Vec<OsString>,
    /// How it was typed
    #[arg(skip)]
    pub(crate) typed: Typed,
}

/// `3pm exec`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Examples:\n  3pm exec cowsay hello\n  3pm exec --package typescript tsc --version\n\n\
                        What npx, pnpm dlx, yarn dlx and bunx do, after the checks of an install. A command that the\n\
                        project has already is run from its node_modules."
)]
pub(crate) struct ExecArgs {
    /// The package that brings the command, where it has another name; may be given several times
    #[arg(long, short, value_name = "PACKAGE")]
    pub(crate) package: Vec<String>,
    /// What to do about warnings
    #[command(flatten)]
    pub(crate) question: QuestionArgs,
    /// Run no install scripts
    #[arg(long)]
    pub(crate) ignore_scripts: bool,
    /// The package, or a command of it
    #[arg(value_name = "COMMAND")]
    pub(crate) command: String,
    /// The command's own arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    pub(crate) arguments: Vec<OsString>,
    /// How it was typed
    #[arg(skip)]
    pub(crate) typed: Typed,
}

/// `3pm ci`, `3pm add` and `3pm update`: the project's own package manager is told the same.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:\n  3pm ci\n  3pm add left-pad --save-dev\n  3pm update left-pad\n  \
                        3pm update --dry-run             what it would bring\n\n\
                        The nearest lockfile says which package manager it is; npm where there is none.")]
pub(crate) struct ManagedArgs {
    /// What is ours
    #[command(flatten)]
    pub(crate) own: OwnArgs,
    /// Packages and flags, as that package manager takes them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    pub(crate) arguments: Vec<OsString>,
}
