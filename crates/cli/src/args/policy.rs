//! `policy` as it is typed.

/// `3pm policy`.
#[derive(Debug, Clone, clap::Subcommand)]
#[command(
    after_help = "A user's rules are in config.json under \"policy\", a project's in 3pm.toml under [policy]: the\n\
                        same keys. A project tightens what its user wants, and never loosens it. docs/policy.md"
)]
pub(crate) enum PolicyCommand {
    /// The rules that hold here, and who wrote each
    #[command(after_help = "Examples:\n  3pm policy show\n  3pm policy show --json")]
    Show,
    /// What the policy makes of a package, and which line decides
    Explain(ExplainArgs),
    /// The install scripts of what lies here, and whether they may run
    #[command(after_help = "Examples:\n  3pm policy scripts\n  3pm policy scripts --json")]
    Scripts,
    /// Let install scripts run, as long as not a byte of their package differs
    Approve(ApproveScriptsArgs),
}

/// `3pm policy explain`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Examples:\n  3pm policy explain left-pad          as the lockfile has it, else the newest\n  \
                        3pm policy explain left-pad@1.3.0"
)]
pub(crate) struct ExplainArgs {
    /// A package, as npm takes it
    #[arg(value_name = "PACKAGE")]
    pub(crate) package: String,
}

/// `3pm policy approve`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:\n  3pm policy approve esbuild           in this project's 3pm.toml\n  \
                        3pm policy approve --user esbuild    in your own config.json\n\n\
                        The package has to lie here: its tarball was checked when it was installed, and its hash is what\n\
                        is written down. An approval is one for the file that it stands in: what your own rules hold back,\n\
                        only you approve.")]
pub(crate) struct ApproveScriptsArgs {
    /// In your own config.json instead of the project's 3pm.toml
    #[arg(long)]
    pub(crate) user: bool,
    /// Names of packages that lie here
    #[arg(value_name = "PACKAGE", required = true)]
    pub(crate) packages: Vec<trust::PackageName>,
}
