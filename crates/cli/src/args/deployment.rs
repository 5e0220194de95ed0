//! `deploy` and `network` as they are typed.

use std::path::PathBuf;

use alloy_primitives::{Address, B256};
use clap::Subcommand;
use url::Url;

/// `3pm deploy`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:\n  3pm deploy --rpc-url http://127.0.0.1:8545 --chain-id 31337 \\\n    \
                        --registry-origin https://registry.example/ --registrar 0x… --dry-run\n\n\
                        Addresses follow from code and arguments (CREATE2): the same everywhere, and a second run\n\
                        finds what is there and sends nothing. The connected wallet pays; it gets no say in the\n\
                        contracts.")]
pub(crate) struct DeployArgs {
    /// JSON-RPC of the chain; several times for several that must agree
    #[arg(long, required = true, value_name = "URL")]
    pub(crate) rpc_url: Vec<Url>,
    /// Chain id, for a network whose name says none
    #[arg(long, value_name = "N")]
    pub(crate) chain_id: Option<u64>,
    /// The npm registry this deployment serves
    #[arg(long, value_name = "URL")]
    pub(crate) registry_origin: Url,
    /// Who vouches for claims: a key on a development chain, a multi-signature wallet in public
    #[arg(long, value_name = "0x…")]
    pub(crate) registrar: Address,
    /// Seconds for which a claim can be replaced; 0 on a development chain, 14 days in public
    #[arg(long, value_name = "SECONDS", default_value_t = 14 * 24 * 60 * 60)]
    pub(crate) claim_window: u64,
    /// A key with which the registry signs: x,y,valid-from,valid-to (Unix seconds)
    #[arg(long, value_name = "X,Y,FROM,TO", value_parser = parse_npm_key)]
    pub(crate) npm_key: Vec<NpmKeyArg>,
    /// Write the deployment into this file of networks, under the name --network gives
    #[arg(long, value_name = "FILE")]
    pub(crate) networks_file: Option<PathBuf>,
    /// Say what would be sent, and send nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Send without asking
    #[arg(long)]
    pub(crate) yes: bool,
}

/// `3pm network`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum NetworkCommand {
    /// Compare the contracts that are there with those this build expects
    #[command(
        after_help = "Examples:\n  3pm network check\n  3pm network check --network base-sepolia --json\n  \
                            3pm network check --networks-file networks.json"
    )]
    Check {
        /// Compare with all that this file says too, and with what its arguments make
        #[arg(long, value_name = "FILE")]
        networks_file: Option<PathBuf>,
    },
}

/// A registry's key, as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NpmKeyArg {
    /// The point's x.
    pub(crate) x: B256,
    /// The point's y.
    pub(crate) y: B256,
    /// Unix seconds.
    pub(crate) valid_from: u64,
    /// Unix seconds.
    pub(crate) valid_to: u64,
}

fn parse_npm_key(text: &str) -> Result<NpmKeyArg, String> {
    let [x, y, from, to] = text.split(',').collect::<Vec<_>>()[..] else {
        return Err("expected four values: x,y,valid-from,valid-to".to_owned());
    };
    let word = |text: &str| text.parse::<B256>().map_err(|_| format!("{text:?} is not 0x and 64 hex digits"));
    let time = |text: &str| text.parse::<u64>().map_err(|_| format!("{text:?} is not Unix seconds"));
    let (x, y) = (word(x)?, word(y)?);
    trust::signer::verify_point(x, y).map_err(|error| error.to_string())?;
    Ok(NpmKeyArg { x, y, valid_from: time(from)?, valid_to: time(to)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_four_values_and_is_a_point_of_the_curve() {
        // The base point (FIPS 186-4, D.1.2.3).
        let x = "0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296";
        let y = "0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
        assert!(parse_npm_key(&format!("{x},{y},0,9")).is_ok());
        for bad in ["", "a,b,c,d", &format!("{x},{y},0"), &format!("{x},{y},x,9")] {
            assert!(parse_npm_key(bad).is_err(), "{bad}");
        }
        let zero = format!("0x{}", "00".repeat(32));
        for off in [format!("{y},{x},0,9"), format!("{x},{x},0,9"), format!("{zero},{zero},0,9")] {
            let error = parse_npm_key(&off).unwrap_err();
            assert!(error.contains("not a point of P-256"), "{off}: {error}");
        }
    }
}
