//! `demo` and `dev` as they are typed.

/// `3pm demo`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Examples:\n  3pm demo\n  3pm demo --keep      leaves the world running and says what to type next"
)]
pub(crate) struct DemoArgs {
    /// Leave the world running, with three signers ready, until Ctrl-C
    #[arg(long)]
    pub(crate) keep: bool,
}

/// `3pm dev`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:\n  3pm dev              until Ctrl-C\n  \
                        3pm dev --json       one line that describes the world; until standard input closes")]
pub(crate) struct DevArgs {}
