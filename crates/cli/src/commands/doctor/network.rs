//! Whether the chain, the coordinator and the registry answer, whether the chain's endpoints agree, and whether
//! this machine's clock agrees with them. Reads; judges no package.

use chain::{Chain, ChainError};
use client::http::{public, public_endpoint};
use futures_util::future::FutureExt as _;

use super::{Check, Finding, limited};
use crate::config::Network;
use crate::context::Context;
use crate::install::reach::reach;

const AREA: &str = "reachable";

/// Seconds between the clock and the newest block that are nothing to speak of: a slow chain, a slow block.
const SKEW: u64 = 120;

/// A line per endpoint, and one on whether they agree.
pub(super) fn checks(context: &Context) -> Vec<Check<'_>> {
    let mut checks = vec![limited(AREA, "registry", async move { vec![registry(context).await] })];
    let network = match context.network_if_configured() {
        Ok(Some(network)) => network,
        Ok(None) => {
            let none = Finding::warn(AREA, "network", "none is configured: no record can be looked up")
                .fix("3pm init, or 3pm dev for a local world");
            checks.push(async move { vec![none] }.boxed());
            return checks;
        }
        Err(failure) => {
            let broken = Finding::fail("configured", "config.json", failure.sentence()).fix("3pm init");
            checks.push(async move { vec![broken] }.boxed());
            return checks;
        }
    };
    for url in &network.rpc_urls {
        let name = format!("rpc {}", public_endpoint(url));
        checks.push(limited(AREA, name.clone(), async move {
            let one = Network { rpc_urls: vec![url.clone()], ..network.clone() };
            vec![endpoint(context, &one, name).await]
        }));
    }
    checks.push(limited(AREA, "chain", async move { agreement(context).await }));
    checks.push(limited(AREA, "coordinator", async move { vec![coordinator(context, network).await] }));
    checks
}

/// One endpoint by itself.
async fn endpoint(context: &Context, network: &Network, name: String) -> Finding {
    let described = chain::Network {
        name: network.name.clone(),
        chain_id: network.chain_id,
        rpc_urls: network.rpc_urls.clone(),
        name_registry: network.name_registry,
        package_registry: network.package_registry,
    };
    let http = match context.http() {
        Ok(http) => http.clone(),
        Err(failure) => return Finding::fail(AREA, name, failure.sentence()),
    };
    let fix = format!("3pm init --network {} --rpc-url ANOTHER-URL", network.name);
    match Chain::new(http, described).head(context.now()).await {
        Ok(head) => Finding::ok(AREA, name, format!("block {}", head.number)),
        Err(error @ (ChainError::Stale { .. } | ChainError::Ahead { .. })) => {
            Finding::fail(AREA, name, sentence(&error)).fix(format!("set this machine's clock, or {fix}"))
        }
        Err(error) => Finding::fail(AREA, name, sentence(&error)).fix(fix),
    }
}

/// All of them together: one block, the contracts in it, the clock beside it.
async fn agreement(context: &Context) -> Vec<Finding> {
    let fix = "3pm network check";
    let chain = match context.chain() {
        Ok(chain) => chain,
        Err(failure) => return vec![Finding::fail(AREA, "chain", failure.sentence()).fix(fix)],
    };
    let now = context.now();
    let head = match chain.head(now).await {
        Ok(head) => head,
        Err(error) => {
            return vec![
                Finding::fail(AREA, "chain", sentence(&error))
                    .fix("see the endpoints above; without a majority nothing is installed"),
            ];
        }
    };
    let network = chain.network();
    let contracts = match chain.deployment(&head).await {
        Ok(_) => {
            let said =
                format!("{}: agreed on block {}, and the contracts are there", network.name, head.number);
            Finding::ok(AREA, "chain", said)
        }
        Err(error) => Finding::fail(AREA, "chain", sentence(&error)).fix(fix),
    };
    vec![contracts, clock(now, head.timestamp, chain::is_development_chain(network.chain_id))]
}

fn clock(now: u64, block: u64, development: bool) -> Finding {
    let apart = now.abs_diff(block);
    let says = format!("{apart} s {} the newest block", if now >= block { "after" } else { "before" });
    if development {
        return Finding::ok(AREA, "clock", format!("{says}; of no consequence on a development chain"));
    }
    if apart <= SKEW {
        return Finding::ok(AREA, "clock", says);
    }
    Finding::warn(AREA, "clock", says).fix("set the clock: timedatectl set-ntp true")
}

async fn coordinator(context: &Context, network: &Network) -> Finding {
    const NAME: &str = "coordinator";
    if network.coordinator_url.is_none() {
        return Finding::ok(AREA, NAME, "none; installs of packages from before their claim need one")
            .fix(format!("3pm init --network {} --coordinator URL", network.name));
    }
    let client = match context.coordinator() {
        Ok(client) => client,
        Err(failure) => return Finding::fail(AREA, NAME, failure.sentence()),
    };
    match client.health().await {
        Ok(_) => Finding::ok(AREA, NAME, public(client.base())),
        Err(error) => Finding::fail(AREA, NAME, sentence(&error))
            .fix(format!("3pm init --network {} --coordinator URL", network.name)),
    }
}

async fn registry(context: &Context) -> Finding {
    const NAME: &str = "registry";
    let fix = "npm config get registry";
    let found = async {
        let npm = context.npm(&std::env::current_dir()?).await?;
        reach(&npm).await?;
        Ok::<_, crate::errors::Failure>(public(&npm.config().default_registry().url))
    };
    match found.await {
        Ok(url) => Finding::ok(AREA, NAME, url),
        Err(failure) => Finding::fail(AREA, NAME, failure.sentence()).fix(fix),
    }
}

/// An error and its causes in one line.
fn sentence(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    std::iter::once(error.to_string()).chain(causes.map(ToString::to_string)).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn a_clock_that_is_minutes_off_shows_and_on_a_development_chain_means_nothing() {
        for (now, block, development, expected) in [
            (1_000, 990, false, Level::Ok),
            (1_000, 700, false, Level::Warn),
            (700, 1_000, false, Level::Warn),
            (10_000, 0, true, Level::Ok),
        ] {
            assert_eq!(clock(now, block, development).level, expected, "{now} {block}");
        }
    }
}
