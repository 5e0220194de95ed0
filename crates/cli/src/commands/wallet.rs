//! `3pm wallet`: which external signer speaks for this machine's user. The key stays where it is; all that
//! is kept is where to ask.

use alloy_primitives::Address;
use client::http::public_endpoint;
use secrecy::ExposeSecret as _;
use serde::Serialize;
use url::Url;
use wallet::{RpcWallet, Session, Wallet as _};

use crate::args::{SignerUrl, WalletCommand, WalletConnectArgs};
use crate::context::Context;
use crate::errors::{Explain as _, Failure, Outcome};
use crate::exit;
use crate::output::Page;
use crate::prompt;

/// What is known about the wallet.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    connected: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signer: Option<String>,
    /// Whether the signer answered just now, with this account.
    answers: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    chain_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    balance_wei: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
}

/// `status`, `connect` or `disconnect`.
pub(crate) async fn run(context: &Context, command: WalletCommand) -> Outcome {
    match command {
        WalletCommand::Status => status(context).await,
        WalletCommand::Connect(args) => connect(context, args).await,
        WalletCommand::Disconnect => disconnect(context),
    }
}

async fn connect(context: &Context, args: WalletConnectArgs) -> Outcome {
    let rpc = signer_url(args.rpc).await?;
    if !matches!(rpc.scheme(), "http" | "https") {
        return Err(Failure::usage(format!("{} is not an http or https URL", public_endpoint(&rpc))));
    }
    let wallet = RpcWallet::connect(context.http()?.clone(), rpc.clone(), args.address)
        .await
        .while_doing(format!("the signer at {} cannot be connected", public_endpoint(&rpc)))
        .hint("check that it runs and that its account is unlocked")?;
    Session::Rpc { url: rpc, address: wallet.address() }.store(&context.home()?)?;
    status(context).await
}

/// A password or a query among the arguments is refused: it would have been seen.
async fn signer_url(given: SignerUrl) -> Result<Url, Failure> {
    match given {
        SignerUrl::Argument(url) if is_secret(&url) => Err(Failure::usage(format!(
            "the URL of the signer at {} holds a password or a query, and arguments are visible to every user of the machine",
            public_endpoint(&url)
        ))
        .hint("3pm wallet connect --rpc - asks for it, or takes it from standard input")),
        SignerUrl::Argument(url) => Ok(url),
        SignerUrl::Input => {
            let text = prompt::read_secret("URL of the signer (not shown): ").await?;
            // What cannot be read is not repeated.
            text.expose_secret().parse().map_err(|error| {
                Failure::usage(format!("what came on standard input is no URL: {error}"))
            })
        }
    }
}

fn is_secret(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some() || url.query().is_some()
}

fn disconnect(context: &Context) -> Outcome {
    let was = Session::delete(&context.home()?)?;
    context.output.result(&serde_json::json!({ "connected": false, "wasConnected": was }), |page| {
        page.line(if was { "the wallet is forgotten" } else { "no wallet was connected" });
    });
    Ok(exit::FINE)
}

async fn status(context: &Context) -> Outcome {
    let Some(session) = context.wallet_session()? else {
        let report = Report::default();
        context.output.result(&report, |page| {
            page.line("no wallet is connected");
            page.next("3pm wallet connect --rpc URL of your signer");
        });
        return Ok(exit::FINE);
    };
    let mut report = Report { connected: true, address: Some(session.address()), ..Report::default() };
    let Session::Rpc { url, address } = session;
    report.signer = Some(public_endpoint(&url));
    let _progress = context.output.progress("asking the signer");
    match RpcWallet::connect(context.http()?.clone(), url, Some(address)).await {
        Ok(wallet) => {
            report.answers = true;
            match wallet.chain_id().await {
                Ok(id) => report.chain_id = Some(id),
                Err(error) => report.problems.push(error.to_string()),
            }
        }
        Err(error) => report.problems.push(describe(&error)),
    }
    if let Some(network) = context.network_if_configured()? {
        match report.chain_id {
            Some(found) if found != network.chain_id => report.problems.push(format!(
                "the signer is on chain {found}, network {:?} is chain {}; it can sign, but not send",
                network.name, network.chain_id
            )),
            _ => {}
        }
        match context.chain()?.balance(address).await {
            Ok(balance) => report.balance_wei = Some(balance.to_string()),
            Err(error) => report.problems.push(format!("the balance is not known: {error}")),
        }
    }
    drop(_progress);
    context.output.result(&report, |page| render(&report, page));
    Ok(if report.answers { exit::FINE } else { exit::UNKNOWN })
}

fn describe(error: &wallet::WalletError) -> String {
    use std::error::Error as _;
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    trust::text::printable(&text, 400)
}

/// Wei, in decimal, as ether.
fn ether(wei: &str) -> String {
    let padded = format!("{wei:0>19}");
    let (whole, rest) = padded.split_at(padded.len() - 18);
    match rest.trim_end_matches('0') {
        "" => format!("{whole} ether"),
        rest => format!("{whole}.{rest} ether"),
    }
}

fn render(report: &Report, page: &mut Page) {
    match report.answers {
        true => page.good("the wallet is connected and answers"),
        false => page.bad("the wallet is connected, but does not answer"),
    }
    if let Some(address) = report.address {
        page.field("address", address);
    }
    if let Some(signer) = &report.signer {
        page.field("signer", signer);
    }
    if let Some(id) = report.chain_id {
        page.field("chain id", id);
    }
    if let Some(balance) = &report.balance_wei {
        page.field("balance", ether(balance));
    }
    for problem in &report.problems {
        page.warn(&format!("  {problem}"));
    }
    if !report.answers {
        page.next("start the signer, or 3pm wallet connect --rpc URL");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wei_are_shown_as_ether() {
        for (wei, expected) in [
            ("0", "0 ether"),
            ("1", "0.000000000000000001 ether"),
            ("1500000000000000000", "1.5 ether"),
            ("10000000000000000000000", "10000 ether"),
        ] {
            assert_eq!(ether(wei), expected);
        }
    }
}
