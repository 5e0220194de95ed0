//! `doctor` as it is typed.

/// `3pm doctor`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Examples:\n  3pm doctor              in a project: its settings are looked at too\n  \
                        3pm doctor --json\n\n\
                        Each line says ok, warn or fail, and what to type where something is to be done. The exit code\n\
                        is not 0 where a line says fail. No check takes longer than 5 seconds; nothing is changed."
)]
pub(crate) struct DoctorArgs {}
