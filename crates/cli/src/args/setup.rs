//! `init`, `wallet`, `coordinator` and `completions` as they are typed.

use std::net::SocketAddr;
use std::path::PathBuf;

use alloy_primitives::Address;
use chain::Reads;
use clap::Subcommand;
use clap_complete::Shell;
use url::Url;

use super::HookArgs;
use crate::config;

/// `3pm init`.
#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
#[command(after_help = "Examples:\n  3pm init                                       asks\n  \
                        3pm init --hook                                npm install goes through 3pm from now on\n  \
                        3pm init --undo                                and no longer\n  \
                        3pm init --network local --rpc-url http://127.0.0.1:8545 \\\n    \
                        --name-registry 0x… --package-registry 0x… --coordinator http://127.0.0.1:8787\n\n\
                        Running it again changes what is given and keeps the rest.")]
pub(crate) struct InitArgs {
    /// JSON-RPC of the chain; several times for several that must agree
    #[arg(long, value_name = "URL")]
    pub(crate) rpc_url: Vec<Url>,
    /// The coordinator
    #[arg(long, value_name = "URL")]
    pub(crate) coordinator: Option<Url>,
    /// Address of the NameRegistry
    #[arg(long, value_name = "0x…")]
    pub(crate) name_registry: Option<Address>,
    /// Address of the PackageRegistry
    #[arg(long, value_name = "0x…")]
    pub(crate) package_registry: Option<Address>,
    /// Chain id, for a network whose name says none
    #[arg(long, value_name = "N")]
    pub(crate) chain_id: Option<u64>,
    /// Blocks after which a transaction counts as final
    #[arg(long, value_name = "N")]
    pub(crate) confirmations: Option<u64>,
    /// The npm registry this deployment speaks for
    #[arg(long, value_name = "URL")]
    pub(crate) registry_origin: Option<Url>,
    /// How records are read: what most RPCs answer (calls), or what one proves against the block that most
    /// agree on (proofs; needs --claim-window)
    #[arg(long, value_name = "calls|proofs", value_parser = parse_reads)]
    pub(crate) reads: Option<Reads>,
    /// Seconds for which a claim is provisional there; pins the code of the contracts
    #[arg(long, value_name = "SECONDS")]
    pub(crate) claim_window: Option<u64>,
    /// Take chain, addresses and code hashes from a file that 3pm deploy wrote
    #[arg(long, value_name = "FILE")]
    pub(crate) networks_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) hook: HookArgs,
}

fn parse_reads(text: &str) -> Result<Reads, String> {
    config::parse_reads(text).ok_or_else(|| "expected calls or proofs".to_owned())
}

/// `3pm wallet`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum WalletCommand {
    /// Which wallet is connected, and whether it answers
    #[command(after_help = "Examples:\n  3pm wallet status\n  3pm wallet status --json")]
    Status,
    /// Connect an external signer over JSON-RPC
    Connect(WalletConnectArgs),
    /// Forget the wallet
    #[command(after_help = "Examples:\n  3pm wallet disconnect")]
    Disconnect,
}

/// `3pm wallet connect`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:\n  3pm wallet connect --rpc http://127.0.0.1:8545\n  \
                        3pm wallet connect --rpc http://127.0.0.1:1248 --address 0x…   when it holds several\n\n\
                        The signer is asked through eth_accounts, eth_signTypedData_v4 and eth_sendTransaction; a\n\
                        development node, clef and Frame all answer these. The key stays there. A URL that holds a\n\
                        password or another secret comes on standard input, because arguments are visible to every\n\
                        user of the machine: 3pm wallet connect --rpc - < FILE")]
pub(crate) struct WalletConnectArgs {
    /// The signer's JSON-RPC; - for standard input
    #[arg(long, value_name = "URL|-")]
    pub(crate) rpc: SignerUrl,
    /// Which of its accounts
    #[arg(long, value_name = "0x…")]
    pub(crate) address: Option<Address>,
}

/// Where a signer's URL comes from.
#[derive(Debug, Clone)]
pub(crate) enum SignerUrl {
    /// The arguments, which everybody on the machine can read.
    Argument(Url),
    /// Standard input, or a prompt that does not show it.
    Input,
}

impl std::str::FromStr for SignerUrl {
    type Err = url::ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "-" { Ok(Self::Input) } else { text.parse().map(Self::Argument) }
    }
}

/// `3pm coordinator`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum CoordinatorCommand {
    /// Serve the API, watch the chain, publish what became active
    Serve(Box<ServeArgs>),
}

/// `3pm coordinator serve`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:\n  3pm coordinator serve --listen 127.0.0.1:8787 --data ./coordinator\n\n\
                        The network comes from config.json or THREEPM_*. The key that encrypts npm tokens comes from\n\
                        THREEPM_COORDINATOR_KEY (32 bytes in hex or base64), else from a 0600 file in the data folder, made on first start.")]
pub(crate) struct ServeArgs {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8787", env = "THREEPM_LISTEN")]
    pub(crate) listen: SocketAddr,
    /// Database, tarballs and key
    #[arg(long, value_name = "FOLDER", env = "THREEPM_DATA")]
    pub(crate) data: PathBuf,
    /// The URL under which clients reach it; hand-over messages are bound to it
    #[arg(long, value_name = "URL", env = "THREEPM_PUBLIC_URL")]
    pub(crate) public_url: Option<Url>,
    /// JSON-RPC of the external signer that holds the registrar's key
    #[arg(long, value_name = "URL", env = "THREEPM_REGISTRAR_RPC_URL")]
    pub(crate) registrar_rpc_url: Option<Url>,
    /// Which of its accounts is the registrar
    #[arg(long, value_name = "0x…", env = "THREEPM_REGISTRAR_ADDRESS")]
    pub(crate) registrar_address: Option<Address>,
    /// Seconds between two looks at the chain
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, env = "THREEPM_POLL_SECONDS")]
    pub(crate) poll_seconds: f64,
}

/// `3pm completions`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Examples:\n  3pm completions bash > ~/.local/share/bash-completion/completions/3pm\n  \
                        3pm completions zsh > ~/.zfunc/_3pm"
)]
pub(crate) struct CompletionsArgs {
    /// Which shell
    pub(crate) shell: Shell,
}
