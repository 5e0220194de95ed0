//! `install` and `verify` as they are typed.

use std::ffi::OsString;

use crate::install::decision::OnWarning;

/// What to do where the policy warns.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(crate) struct QuestionArgs {
    /// Go on where the policy warns, without being asked
    #[arg(long, short, conflicts_with = "deny")]
    pub(crate) yes: bool,
    /// Stop where the policy warns, without being asked
    #[arg(long)]
    pub(crate) deny: bool,
}

impl QuestionArgs {
    /// What the flags mean.
    pub(crate) fn on_warning(self) -> OnWarning {
        match self {
            Self { deny: true, .. } => OnWarning::Refuse,
            Self { yes: true, .. } => OnWarning::Accept,
            Self { .. } => OnWarning::Ask,
        }
    }
}

/// What is 3pm's among the words of a package manager, wherever it stands.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(crate) struct OwnArgs {
    /// What to do about warnings
    #[command(flatten)]
    pub(crate) question: QuestionArgs,
    /// Say what would be installed, and put everything back
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Run no scripts at all
    #[arg(long)]
    pub(crate) ignore_scripts: bool,
}

/// `3pm install`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:\n  3pm install left-pad\n  3pm install @acme/tool@1.2.0 ms@^2\n  \
                        3pm install                      everything in package.json\n  \
                        3pm install --yes left-pad       no questions: policy's warnings are accepted\n  \
                        3pm install --omit=dev           any other flag goes to the package manager\n\n\
                        The nearest lockfile says which package manager it is; npm where there is none.")]
pub(crate) struct InstallArgs {
    /// Add them to devDependencies
    #[arg(long, short = 'D')]
    pub(crate) save_dev: bool,
    /// What is ours
    #[command(flatten)]
    pub(crate) own: OwnArgs,
    /// Packages and flags, as that package manager takes them; none for everything in package.json
    #[arg(value_name = "PACKAGE", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<OsString>,
}

/// `3pm receipts`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Examples:\n  3pm receipts                     everything on this machine\n  3pm receipts . ../other\n\n\
                        Ends with 41 where a release was revoked since it was installed, 40 vetoed, 50 where other bytes\n\
                        were signed, 10 where a member warns of it."
)]
pub(crate) struct ReceiptsArgs {
    /// Projects; none for all in which 3pm installed
    #[arg(value_name = "FOLDER")]
    pub(crate) projects: Vec<std::path::PathBuf>,
}

/// `3pm verify`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:\n  3pm verify left-pad@1.3.0        a package and all it would bring\n  \
                        3pm verify                       the lockfile of this folder\n  3pm verify --json left-pad")]
pub(crate) struct VerifyArgs {
    /// Packages, as npm takes them; none for the lockfile of this folder
    #[arg(value_name = "PACKAGE")]
    pub(crate) packages: Vec<String>,
}
