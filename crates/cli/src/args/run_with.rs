//! `run-with` as it is typed.

use std::ffi::OsString;

use clap::ValueEnum;

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
    /// Go on where policy warns, without being asked
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Run no scripts at all
    #[arg(long)]
    pub(crate) ignore_scripts: bool,
    /// Let plugins that the project brings for the package manager run before anything is checked
    #[arg(long)]
    pub(crate) allow_project_code: bool,
    /// Its arguments, behind `--`
    #[arg(last = true, value_name = "ARGUMENT")]
    pub(crate) arguments: Vec<OsString>,
}
