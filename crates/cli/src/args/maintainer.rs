//! The maintainers' commands as they are typed.

use std::path::PathBuf;

use alloy_primitives::Address;
use clap::Subcommand;
use trust::message::{MAX_CONFIG_DELAY_HOURS, MAX_RELEASE_DELAY_HOURS, RECOVERY_DAYS};
use trust::{PackageName, Version};
use url::Url;

/// Whether a complete set of signatures goes on chain at once.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(crate) struct ApproveSwitches {
    /// Send it to the chain as soon as enough have signed
    #[arg(long, conflicts_with = "no_submit")]
    pub(crate) submit: bool,
    /// Leave that to somebody else
    #[arg(long)]
    pub(crate) no_submit: bool,
    /// Once it is on chain, wait until the coordinator has put the release on npm
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "120")]
    pub(crate) wait: Option<u64>,
    /// Answer every question with yes
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// `3pm register`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Examples:\n  3pm register left-pad\n  3pm register left-pad --no-wait        says what to do, and ends\n  \
                        3pm register @acme/tool --member 0x… --member 0x… --threshold 2\n\n\
                        The claim is signed by the connected wallet alone. With --threshold above 1 the name is claimed\n\
                        for that wallet, and the team is then proposed as a change that its members must sign.\n\
                        Unless said otherwise nothing waits, and a recovery may start after 180 days of silence."
)]
pub(crate) struct RegisterArgs {
    /// The package
    pub(crate) package: PackageName,
    /// Another member beside the connected wallet; may be given several times
    #[arg(long, value_name = "0x…", value_parser = parse_address)]
    pub(crate) member: Vec<Address>,
    /// How many members must sign
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) threshold: u8,
    #[command(flatten)]
    pub(crate) settings: TeamSettings,
    /// How long to wait for the token to appear in the published package
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    pub(crate) timeout: u64,
    /// Do not wait: say what to do, and how to go on
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Answer every question with yes
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// `3pm register-token`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Examples:\n  3pm register-token left-pad               asks for the token, without showing it\n  \
                        3pm register-token left-pad < token.txt\n  3pm register-token left-pad --status      what is stored\n\n\
                        The token is never an argument: arguments are visible to every user of the machine. Use a granular\n\
                        token that can publish this package and nothing else."
)]
pub(crate) struct RegisterTokenArgs {
    /// The package
    pub(crate) package: PackageName,
    /// Only say what is stored
    #[arg(long)]
    pub(crate) status: bool,
}

/// `3pm team`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum TeamCommand {
    /// Propose more members
    Add(TeamAddArgs),
    /// Propose fewer members
    Remove(TeamRemoveArgs),
    /// Propose how many must sign
    Threshold(TeamThresholdArgs),
    /// Propose other delays, recovery days or another guardian
    Set(TeamSetArgs),
    /// Who the members are, and what change waits
    Status(TeamStatusArgs),
}

/// `3pm team add`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Examples:\n  3pm team add left-pad 0x…\n  3pm team add left-pad 0x… 0x… --threshold 2\n\n\
                        A change needs the signatures of the members now and of enough members of the new team; each\n\
                        signs it with `3pm approve`."
)]
pub(crate) struct TeamAddArgs {
    /// The package
    pub(crate) package: PackageName,
    /// Who joins
    #[arg(required = true, value_name = "0x…", value_parser = parse_address)]
    pub(crate) members: Vec<Address>,
    /// How many must sign from then on
    #[arg(long, value_name = "N")]
    pub(crate) threshold: Option<u8>,
    #[command(flatten)]
    pub(crate) settings: TeamSettings,
    #[command(flatten)]
    pub(crate) switches: ApproveSwitches,
}

/// `3pm team remove`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Examples:\n  3pm team remove left-pad 0x…\n  3pm team remove left-pad 0x… --threshold 1"
)]
pub(crate) struct TeamRemoveArgs {
    /// The package
    pub(crate) package: PackageName,
    /// Who leaves
    #[arg(required = true, value_name = "0x…", value_parser = parse_address)]
    pub(crate) members: Vec<Address>,
    /// How many must sign from then on
    #[arg(long, value_name = "N")]
    pub(crate) threshold: Option<u8>,
    #[command(flatten)]
    pub(crate) switches: ApproveSwitches,
}

/// `3pm team threshold`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:\n  3pm team threshold left-pad 2")]
pub(crate) struct TeamThresholdArgs {
    /// The package
    pub(crate) package: PackageName,
    /// How many must sign from then on
    #[arg(value_name = "N")]
    pub(crate) threshold: u8,
    #[command(flatten)]
    pub(crate) switches: ApproveSwitches,
}

/// What of a team's settings is to be otherwise; what is not given stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub(crate) struct TeamSettings {
    /// Hours a release waits before it can be installed, 168 at most; a member can veto it meanwhile
    #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u16).range(..=i64::from(MAX_RELEASE_DELAY_HOURS)))]
    pub(crate) release_delay: Option<u16>,
    /// Hours a team change waits before it takes effect, 720 at most
    #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u16).range(..=i64::from(MAX_CONFIG_DELAY_HOURS)))]
    pub(crate) config_delay: Option<u16>,
    /// Days of silence after which a recovery may start, 30 to 365
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(i64::from(*RECOVERY_DAYS.start())..=i64::from(*RECOVERY_DAYS.end())))]
    pub(crate) recovery_days: Option<u16>,
    /// Who may start a recovery, and is no member
    #[arg(long, value_name = "0x…|none", value_parser = parse_guardian)]
    pub(crate) guardian: Option<Address>,
}

/// `3pm team set`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    group = clap::ArgGroup::new("setting").required(true).multiple(true)
        .args(["release_delay", "config_delay", "recovery_days", "guardian"]),
    after_help = "Examples:\n  3pm team set left-pad --release-delay 24 --config-delay 48\n  \
                  3pm team set left-pad --recovery-days 90 --guardian 0x…\n  3pm team set left-pad --guardian none\n\n\
                  A change waits for the delay in force now, not for the one it sets."
)]
pub(crate) struct TeamSetArgs {
    /// The package
    pub(crate) package: PackageName,
    #[command(flatten)]
    pub(crate) settings: TeamSettings,
    #[command(flatten)]
    pub(crate) switches: ApproveSwitches,
}

/// `3pm team status`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:\n  3pm team status left-pad\n  3pm team status left-pad --json")]
pub(crate) struct TeamStatusArgs {
    /// The package
    pub(crate) package: PackageName,
}

/// `3pm publish`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Examples:\n  3pm publish                       this folder\n  3pm publish --dry-run             shows what would be signed\n  \
                        3pm publish --tarball left-pad-1.3.1.tgz --yes\n\n\
                        Packs as `npm pack` does, with the same scripts. Nothing reaches npm before enough members have\n\
                        signed; then the coordinator publishes exactly these bytes."
)]
pub(crate) struct PublishArgs {
    /// The package's folder
    #[arg(value_name = "FOLDER", default_value = ".", conflicts_with = "tarball")]
    pub(crate) folder: PathBuf,
    /// A tarball that is packed already
    #[arg(long, value_name = "FILE")]
    pub(crate) tarball: Option<PathBuf>,
    /// Do everything but sign and send
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Days until which it can be recorded, at most 30
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=30))]
    pub(crate) deadline_days: u64,
    /// The commit it was built from; taken from git where the working tree is clean
    #[arg(long, value_name = "SHA")]
    pub(crate) commit: Option<String>,
    /// Where it was built; taken from the environment of the usual CI systems
    #[arg(long, value_name = "URL")]
    pub(crate) ci_url: Option<Url>,
    #[command(flatten)]
    pub(crate) switches: ApproveSwitches,
}

/// `3pm pending`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Examples:\n  3pm pending                       what waits for the connected wallet\n  \
                        3pm pending left-pad              what waits for this package\n  3pm pending --all"
)]
pub(crate) struct PendingArgs {
    /// Only of this package
    pub(crate) package: Option<PackageName>,
    /// Of everybody, not only what the connected wallet can sign
    #[arg(long)]
    pub(crate) all: bool,
}

/// `3pm status`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Examples:\n  3pm status left-pad\n  3pm status left-pad@1.3.1\n  3pm status 0x…                    a proposal or team change"
)]
pub(crate) struct StatusArgs {
    /// A package, a release, or an id
    #[arg(value_name = "PACKAGE|PACKAGE@VERSION|ID")]
    pub(crate) target: Target,
}

/// `3pm approve`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Examples:\n  3pm approve left-pad@1.3.1\n  3pm approve 0x…                   also for team changes\n  \
                        3pm approve left-pad@1.3.1 --dry-run --diff   look first: signs nothing, cuts no list\n  \
                        3pm approve left-pad@1.3.1 --diff=lib/ --no-submit\n\n\
                        The tarball is downloaded and hashed here; what the coordinator says about it is not believed."
)]
pub(crate) struct ApproveArgs {
    /// A release, or an id
    #[arg(value_name = "PACKAGE@VERSION|ID")]
    pub(crate) target: Target,
    /// Show the changed lines too, of the files whose path begins with PATH
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub(crate) diff: Option<String>,
    /// Check and show everything, sign nothing; needs no wallet
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) switches: ApproveSwitches,
}

/// `3pm submit`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:\n  3pm submit left-pad@1.3.1\n  3pm submit 0x…\n\n\
                        Every signature is checked here against the members on chain. The outcome does not depend on who sends.")]
pub(crate) struct SubmitArgs {
    /// A release, or an id
    #[arg(value_name = "PACKAGE@VERSION|ID")]
    pub(crate) target: Target,
    /// Wait until the coordinator has put the release on npm
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "120")]
    pub(crate) wait: Option<u64>,
}

/// An address that becomes a member: in mixed case its checksum (EIP-55) must hold, because a member that is
/// a typing error cannot sign.
fn parse_address(text: &str) -> Result<Address, String> {
    let digits = text.strip_prefix("0x").ok_or("an address begins with 0x")?;
    let address: Address = text.parse().map_err(|_| "an address is 0x and 40 hex digits".to_owned())?;
    let mixed =
        digits.chars().any(|c| c.is_ascii_uppercase()) && digits.chars().any(|c| c.is_ascii_lowercase());
    if mixed && Address::parse_checksummed(text, None).is_err() {
        return Err("the checksum of the address does not hold: a digit is wrong".to_owned());
    }
    Ok(address)
}

/// An address, or `none`, which is the zero address on chain.
fn parse_guardian(text: &str) -> Result<Address, String> {
    if text == "none" {
        Ok(Address::ZERO)
    } else {
        parse_address(text).map_err(|why| format!("{why}, or none"))
    }
}

/// What a person may point at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A proposal or a change, by its digest.
    Id(alloy_primitives::B256),
    /// A release.
    Release(PackageName, Version),
    /// A package.
    Package(PackageName),
}

impl std::str::FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("0x") && text.len() == 66 {
            return text.parse().map(Self::Id).map_err(|_| "an id is 0x and 64 hex digits".to_owned());
        }
        // The first character may be the scope's @.
        match text.char_indices().skip(1).find(|(_, c)| *c == '@') {
            Some((at, _)) => {
                let (name, version) = (&text[..at], &text[at + 1..]);
                let name = name.parse().map_err(|error| format!("{error}"))?;
                let version = version.parse().map_err(|error| format!("{error}"))?;
                Ok(Self::Release(name, version))
            }
            None => text.parse().map(Self::Package).map_err(|error| format!("{error}")),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Release(name, version) => write!(f, "{name}@{version}"),
            Self::Package(name) => write!(f, "{name}"),
        }
    }
}
