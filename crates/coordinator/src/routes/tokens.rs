//! npm tokens: handed over by a member, sealed, never shown again.
//!
//! Steps: 1. the message is about this package, this coordinator and this token, 2. it is fresh and short
//! lived, 3. a member signed it, 4. npm knows the token and does not say that it may not publish (where npm says nothing,
//! that is noted and shown), 5. no later hand-over is there.

use std::sync::Arc;

use alloy_primitives::U256;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use bytes::Bytes;
use client::coordinator::api::{MAX_HANDOVER_SECONDS, TokenAccess, TokenRequest, TokenStatus};
use client::npm::PublishAccess;
use secrecy::ExposeSecret as _;
use trust::PackageName;
use trust::digest::sha256;
use trust::message::{TokenHandover, coordinator_domain, signing_request};

use super::{parse_json, parse_name};
use crate::app::{App, now};
use crate::problem::Problem;
use crate::store::StoredToken;

/// How far a caller's clock may be ahead, in seconds.
const MAX_CLOCK_SKEW: u64 = 60;

/// Longest token; npm's have 40 characters, private registries' may be JWTs.
const MAX_TOKEN_BYTES: usize = 8 << 10;

pub(super) async fn get(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<Json<TokenStatus>, Problem> {
    Ok(Json(status(&app, &parse_name(&name)?).await?))
}

pub(super) async fn post(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Json<TokenStatus>, Problem> {
    let name = parse_name(&name)?;
    // The body holds a token: its parse error must not repeat any of it.
    let request: TokenRequest =
        parse_json(&body).map_err(|_| Problem::bad_request("the body is not a token hand-over"))?;
    let now = now();
    verify_message(&app, &name, &request, now)?;

    let head = app.head().await?;
    let package = app.claimed(&head, &name).await?;
    if !package.members.contains(&request.signer) {
        return Err(Problem::not_a_member(format!("{} is not a member of {name}", request.signer)));
    }
    let handover = TokenHandover::from(request.handover.clone());
    let domain = coordinator_domain(&chain::package_domain(app.chain.network()));
    let digest =
        signing_request(&handover, &domain).map_err(|error| Problem::bad_request(error.to_string()))?.digest;
    app.verify_signature(&head, request.signer, digest, &request.signature).await?;

    let registry = app.npm.config().registry_for(&name);
    let npm_user = app.npm.whoami(&registry, &request.token).await?;
    let details = app.npm.token_details(&registry, &request.token).await?;
    let no_access = |reason: String| Problem::refused("no-access", "Token cannot publish", reason);
    let publish_access = match app.npm.check_publish_access(&name, &npm_user, &request.token).await? {
        PublishAccess::Yes => TokenAccess::Confirmed,
        PublishAccess::Unknown => TokenAccess::Unknown,
        PublishAccess::No => {
            return Err(no_access(format!("npm user {npm_user} may not publish {name}")));
        }
    };
    if details.read_only {
        return Err(no_access(format!("the token of npm user {npm_user} is read-only")));
    }
    let stored = StoredToken {
        sealed: app.vault.seal(&name, &request.token)?,
        npm_user,
        handed_over_by: request.signer,
        issued_at: saturated(handover.issuedAt),
        stored_at: now,
        expires_at: details.expires_at,
        publish_access,
    };
    if !app.store.put_token(&name, &stored).await? {
        return Err(Problem::conflict(
            "replayed",
            "Hand-over is not the newest",
            "a later hand-over is stored; sign a new one",
        ));
    }
    app.store.hurry(&name).await?;
    app.publish.notify_one();
    tracing::info!(package = %name, by = %request.signer, "npm token stored");
    Ok(Json(status(&app, &name).await?))
}

/// Steps 1 and 2.
fn verify_message(app: &App, name: &PackageName, request: &TokenRequest, now: u64) -> Result<(), Problem> {
    let refused =
        |detail: String| Err(Problem::refused("bad-handover", "Hand-over is not acceptable", detail));
    let handover = &request.handover;
    if handover.package_name != name.as_str() {
        return refused(format!("it is about {}, expected {name}", handover.package_name));
    }
    let here = app.settings.public_url.as_str();
    if handover.coordinator.trim_end_matches('/') != here.trim_end_matches('/') {
        return refused(format!("it is for {}, expected {here}", handover.coordinator));
    }
    let token = request.token.expose_secret();
    if token.is_empty() || token.len() > MAX_TOKEN_BYTES {
        return refused(format!("the token has {} bytes, expected 1 to {MAX_TOKEN_BYTES}", token.len()));
    }
    if handover.token_hash != sha256(token) {
        return refused("it is about another token".to_owned());
    }
    let (issued, expires) = (handover.issued_at, handover.expires_at);
    if expires <= U256::from(now) {
        return Err(Problem::new(StatusCode::GONE, "expired", "Hand-over has expired")
            .detail(format!("it ended at {expires}, the time is {now}; sign a new one")));
    }
    if issued > U256::from(now.saturating_add(MAX_CLOCK_SKEW)) {
        return refused(format!("it was issued at {issued}, which is ahead of {now}"));
    }
    if expires.saturating_sub(issued) > U256::from(MAX_HANDOVER_SECONDS) {
        return refused(format!("it lives longer than {MAX_HANDOVER_SECONDS} seconds"));
    }
    Ok(())
}

async fn status(app: &App, name: &PackageName) -> Result<TokenStatus, Problem> {
    Ok(app.store.token(name).await?.map_or_else(TokenStatus::default, |token| TokenStatus {
        stored: true,
        npm_user: Some(token.npm_user),
        handed_over_by: Some(token.handed_over_by),
        stored_at: Some(token.stored_at),
        expires_at: token.expires_at,
        publish_access: Some(token.publish_access),
    }))
}

fn saturated(number: U256) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
