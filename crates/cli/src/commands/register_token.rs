//! `3pm register-token`: hands an npm token to the coordinator, bound to one package, one coordinator and a
//! few minutes by a member's signature. The token comes from a hidden prompt or standard input, goes to the
//! registry and the coordinator only, and is printed nowhere.

use alloy_primitives::U256;
use client::coordinator::CoordinatorClient;
use client::coordinator::api::{MAX_HANDOVER_SECONDS, TokenAccess, TokenRequest, TokenStatus};
use client::http::public;
use client::npm::{NpmClient, PublishAccess};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use trust::PackageName;
use trust::digest::sha256;
use trust::message::{TokenHandover, coordinator_domain, signing_request};
use trust::text::printable;
use url::{Host, Url};

use crate::args::RegisterTokenArgs;
use crate::context::Context;
use crate::errors::{Explain as _, Failure, Outcome};
use crate::exit;
use crate::maintain::find::UNREACHABLE;
use crate::maintain::standing::{self, require_final, require_member};
use crate::output::{Page, moment};
use crate::prompt;

/// npm's tokens have 40 characters and more; anything shorter is a typing error.
const MIN_TOKEN_BYTES: usize = 8;

/// How long before its end a token is worth a warning, in seconds.
const EXPIRY_WARNING: u64 = 14 * 24 * 60 * 60;

#[derive(Debug, Serialize)]
struct Report<'a> {
    package: &'a PackageName,
    #[serde(flatten)]
    token: &'a TokenStatus,
}

/// Hands it over, or says what is stored.
pub(crate) async fn run(context: &Context, args: RegisterTokenArgs) -> Outcome {
    let coordinator = context.coordinator()?;
    let name = &args.package;
    let status = if args.status {
        coordinator.token_status(name).await.hint(UNREACHABLE)?
    } else {
        hand_over(context, &coordinator, name).await?
    };
    let now = context.now();
    context.output.result(&Report { package: name, token: &status }, |page| render(name, &status, now, page));
    Ok(exit::FINE)
}

async fn hand_over(
    context: &Context,
    coordinator: &CoordinatorClient,
    name: &PackageName,
) -> Result<TokenStatus, Failure> {
    refuse_clear_text(coordinator.base())?;
    let chain = context.chain()?;
    let standing = standing::read(context, &chain, name).await?;
    require_final(name, &standing.package)?;
    let wallet = context.wallet().await?;
    require_member(name, &standing.package.members, wallet.address())?;
    // A project's .npmrc must not choose where a token is sent.
    let npm = context.npm_of_user().await?;
    let registry = npm.config().registry_for(name);
    if let Some(origin) =
        context.network()?.registry_origin.as_ref().filter(|origin| origin.origin() != registry.url.origin())
    {
        return Err(Failure::usage(format!(
            "npm takes {name} from {}, the network speaks for {}",
            public(&registry.url),
            public(origin)
        ))
        .hint("set npm's registry for this package, or registryOrigin in config.json"));
    }
    refuse_clear_text(&registry.url)?;

    let token = prompt::read_secret(&format!("npm token for {name} (not shown): ")).await?;
    check_shape(&token)?;
    check_token(context, &npm, name, &token).await?;
    let now = context.now();
    let handover = TokenHandover {
        packageName: name.to_string(),
        coordinator: coordinator.base().to_string(),
        tokenHash: sha256(token.expose_secret()),
        issuedAt: U256::from(now),
        expiresAt: U256::from(now.saturating_add(MAX_HANDOVER_SECONDS)),
    };
    let domain = coordinator_domain(&chain::package_domain(chain.network()));
    let signing = signing_request(&handover, &domain)?;
    let signature = {
        let _waiting = context.output.progress("waiting for the wallet to sign the hand-over");
        wallet.sign(&signing).await.while_doing("the hand-over is not signed")?
    };
    let request = TokenRequest { token, handover: handover.into(), signer: wallet.address(), signature };
    let _sending = context.output.progress("handing the token over");
    let answer = coordinator.hand_over_token(name, &request).await;
    answer.while_doing("the coordinator did not take the token").hint(UNREACHABLE)
}

fn check_shape(token: &SecretString) -> Result<(), Failure> {
    let text = token.expose_secret();
    if text.len() < MIN_TOKEN_BYTES || text.chars().any(|c| !c.is_ascii_graphic()) {
        return Err(Failure::usage("what came on standard input is no npm token").hint(
            "pipe it in, or run the command at a terminal and paste it: 3pm register-token PACKAGE < FILE",
        ));
    }
    Ok(())
}

/// The registry knows the token, and its account may publish the package.
async fn check_token(
    context: &Context,
    npm: &NpmClient,
    name: &PackageName,
    token: &SecretString,
) -> Result<(), Failure> {
    let _progress = context.output.progress("asking the registry whose token it is");
    let registry = npm.config().registry_for(name);
    let user = npm.whoami(&registry, token).await.while_doing("the token cannot be used")?;
    if npm.token_details(&registry, token).await?.read_only {
        return Err(Failure::not_possible(format!(
            "the token is read-only: npm user {} cannot publish {name} with it",
            printable(&user, 80)
        ))
        .hint("make one that may publish it"));
    }
    match npm.check_publish_access(name, &user, token).await? {
        // What is not known is said with the result, of the token that is then stored.
        PublishAccess::Yes | PublishAccess::Unknown => {}
        PublishAccess::No => {
            return Err(Failure::not_possible(format!(
                "the token belongs to npm user {}, who may not publish {name}",
                printable(&user, 80)
            ))
            .hint("use a token of an account that can publish it"));
        }
    }
    Ok(())
}

/// A token crosses a network only inside TLS.
fn refuse_clear_text(url: &Url) -> Result<(), Failure> {
    let loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if url.scheme() == "https" || loopback {
        return Ok(());
    }
    Err(Failure::not_possible(format!("{} is not https: a token would be readable on the way", public(url))))
}

fn render(name: &PackageName, status: &TokenStatus, now: u64, page: &mut Page) {
    if !status.stored {
        page.line(&format!("the coordinator has no npm token for {name}"));
        page.next(&format!("3pm register-token {name}"));
        return;
    }
    page.good(&format!("the coordinator has an npm token for {name}"));
    render_token(status, now, page);
}

/// Whose it is and until when.
pub(crate) fn render_token(status: &TokenStatus, now: u64, page: &mut Page) {
    if let Some(user) = &status.npm_user {
        page.field("npm user", printable(user, 80));
    }
    if let Some(by) = status.handed_over_by {
        page.field("handed over", format!("by {by}"));
    }
    if status.publish_access == Some(TokenAccess::Unknown) {
        page.warn("  not known whether this token may publish: the first release will tell");
    }
    match status.expires_at {
        Some(at) if at <= now.saturating_add(EXPIRY_WARNING) => {
            page.warn(&format!("  {:<12} {}", if at <= now { "expired" } else { "expires" }, moment(at)));
        }
        Some(at) => page.field("expires", moment(at)),
        None => page.field("expires", "not told by the registry; npm's write tokens live 90 days at most"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_crosses_no_network_in_clear_text() {
        let check = |url: &str, fine: bool| {
            assert_eq!(refuse_clear_text(&url.parse().unwrap()).is_ok(), fine, "{url}")
        };
        check("https://coordinator.example/", true);
        check("http://127.0.0.1:8787/", true);
        check("http://[::1]:8787/", true);
        check("http://localhost:8787/", true);
        check("http://coordinator.example/", false);
        check("http://localhost.example/", false);
        check("http://10.0.0.1/", false);
    }

    #[test]
    fn what_is_no_token_is_not_sent_anywhere() {
        let check = |text: &str, fine: bool| {
            assert_eq!(check_shape(&SecretString::from(text)).is_ok(), fine, "{text:?}")
        };
        check("npm_0123456789", true);
        check("", false);
        check("short", false);
        check("two words here", false);
        check("with\u{1b}escape", false);
        let error = check_shape(&SecretString::from("secret secret")).unwrap_err();
        assert!(!format!("{error:?}").contains("secret secret"));
    }
}
