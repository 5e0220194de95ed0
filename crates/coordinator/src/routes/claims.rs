//! `POST /v1/claims`: the registrar looks at npm and vouches for a claim.
//!
//! Steps: 1. a Config at epoch 0 with a deadline ahead, 2. enough of its own members signed it, 3. the
//! anchor is recent, 4. nobody has the name for good, 5. the manifest inside npm's `latest` names a signing member,
//! 6. the legacy list is what npm has, and its root is the claim's. Then the external signer is asked.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::Address;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use bytes::Bytes;
use client::coordinator::api::{ClaimApproval, ClaimRequest};
use client::npm::Packument;
use trust::PackageName;
use trust::legacy;
use trust::message::{Config, RegistrarProof, claim_commitment, signing_request, verify_deadline};
use trust::record::PackageState;
use trust::signature::MAX_MEMBERS;
use wallet::{RpcWallet, Wallet as _};

use super::{parse_json, parse_name};
use crate::app::{App, now};
use crate::problem::{Problem, with_causes};

/// How old the anchor may be, in blocks: what EIP-2935 keeps.
const MAX_ANCHOR_AGE: u64 = 8_191;

/// How long a claim waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn post(State(app): State<Arc<App>>, body: Bytes) -> Result<Json<ClaimApproval>, Problem> {
    let Some(registrar) = &app.settings.registrar else {
        return Err(Problem::new(StatusCode::NOT_IMPLEMENTED, "no-registrar", "No registrar here")
            .detail("this coordinator has no registrar configured"));
    };
    let request: ClaimRequest = parse_json(&body)?;
    let name = parse_name(&request.config.package_name)?;
    let config = Config::from(request.config.clone());
    let wrong = |reason: String| Problem::refused("bad-claim", "Claim is not well formed", reason);
    // 1.
    if config.epoch != 0
        || config.threshold == 0
        || config.members.is_empty()
        || config.members.len() > MAX_MEMBERS
    {
        return Err(wrong(format!(
            "a claim has epoch 0, 1 to {MAX_MEMBERS} members and a threshold; found epoch {}, {} members, threshold {}",
            config.epoch,
            config.members.len(),
            config.threshold
        )));
    }
    verify_deadline(config.deadline, now()).map_err(|error| wrong(error.to_string()))?;
    // 2.
    let domain = chain::name_domain(app.chain.network()).eip712();
    let digest = signing_request(&config, &domain).map_err(|error| wrong(error.to_string()))?.digest;
    let head = app.head().await?;
    let mut signers = BTreeSet::new();
    for signature in request.signatures.iter().take(MAX_MEMBERS) {
        if !config.members.contains(&signature.signer) {
            return Err(Problem::not_a_member(format!(
                "{} is not among the claim's members",
                signature.signer
            )));
        }
        app.verify_signature(&head, signature.signer, digest, &signature.signature).await?;
        signers.insert(signature.signer);
    }
    if signers.len() < usize::from(config.threshold) {
        return Err(wrong(format!("{} of its members signed, expected {}", signers.len(), config.threshold)));
    }
    // 3.
    if request.anchor_block > head.number || head.number - request.anchor_block > MAX_ANCHOR_AGE {
        return Err(wrong(format!(
            "anchor block {} is not among the last {MAX_ANCHOR_AGE}",
            request.anchor_block
        )));
    }
    let anchor = app.chain.block_hash(request.anchor_block).await?;
    // 4.
    let state = app.chain.package(&head, &name).await?.state;
    if matches!(state, PackageState::Final | PackageState::Retired) {
        return Err(Problem::conflict(
            "already-claimed",
            "Name is taken",
            format!("{name} is registered already"),
        ));
    }
    // 5. and 6.
    let turn = tokio::time::timeout(PATIENCE, app.claims.acquire()).await;
    let Ok(Ok(permit)) = turn else { return Err(Problem::busy("claims")) };
    verify_npm(&app, &name, &request, &signers).await?;
    drop(permit);

    let commitment = claim_commitment(digest, anchor);
    let proof =
        signing_request(&RegistrarProof { commitment }, &domain).map_err(|error| wrong(error.to_string()))?;
    let unavailable = |error: wallet::WalletError| {
        tracing::error!(error = with_causes(&error), "the registrar's signer did not sign");
        Problem::new(StatusCode::BAD_GATEWAY, "registrar-unavailable", "Registrar did not sign").detail(
            "its signer gave no signature; the coordinator's log says why. Try again, or ask its operator",
        )
    };
    let signer = RpcWallet::connect(app.http.clone(), registrar.rpc_url.clone(), Some(registrar.address))
        .await
        .map_err(unavailable)?;
    let registrar_signature = signer.sign(&proof).await.map_err(unavailable)?;
    app.store.put_legacy_list(&name, config.legacyRoot, &request.legacy_versions).await?;
    tracing::info!(package = %name, %commitment, "the registrar vouched for a claim");
    Ok(Json(ClaimApproval { commitment, registrar_signature, registrar: registrar.address }))
}

async fn verify_npm(
    app: &App,
    name: &PackageName,
    request: &ClaimRequest,
    signers: &BTreeSet<Address>,
) -> Result<(), Problem> {
    let packument = app.npm.fetch_packument(name).await?.ok_or_else(|| {
        Problem::not_found(format!("npm does not know {name}; publish a version with the token first"))
    })?;
    let expected: Vec<String> = signers.iter().map(|signer| format!("3pm-verify-{signer:#x}")).collect();
    let found = latest_token(app, &packument).await?;
    if !found.as_ref().is_some_and(|found| expected.contains(found)) {
        return Err(Problem::refused(
            "no-proof",
            "Manifest does not name a signing member",
            format!(
                "`_3pm` in the package.json of the latest {name} is {:?}, expected {}",
                found.unwrap_or_default(),
                expected.join(" or ")
            ),
        ));
    }
    let mut theirs = app.npm.legacy_versions(&packument).await?.versions;
    let mut claimed = request.legacy_versions.clone();
    theirs.sort_by(|a, b| a.version.cmp(&b.version));
    claimed.sort_by(|a, b| a.version.cmp(&b.version));
    if theirs != claimed {
        let differing = claimed
            .iter()
            .find(|entry| !theirs.contains(entry))
            .or_else(|| theirs.iter().find(|entry| !claimed.contains(entry)));
        let which = differing.map_or_else(String::new, |entry| format!(", for instance {}", entry.version));
        return Err(Problem::refused(
            "legacy-differs",
            "Legacy list is not what npm has",
            format!("{} versions claimed, {} on npm{which}; ask again", claimed.len(), theirs.len()),
        ));
    }
    let root = legacy::root(&claimed);
    if root != request.config.legacy_root {
        return Err(Problem::refused(
            "legacy-differs",
            "Legacy root is not that of the list",
            format!("expected {root}, found {}", request.config.legacy_root),
        ));
    }
    Ok(())
}

/// `_3pm` of the package.json inside the tarball under `latest`: npm leaves it out of the registry's manifest.
async fn latest_token(app: &App, packument: &Packument) -> Result<Option<String>, Problem> {
    let Some(bytes) = app.npm.fetch_latest(packument).await? else { return Ok(None) };
    let tarball = scan::read_tarball(&bytes, &scan::Limits::default()).map_err(|error| {
        let detail = format!("the latest {} cannot be read: {error}", packument.name);
        Problem::refused("no-proof", "Manifest does not name a signing member", detail)
    })?;
    let token = tarball.manifest_json.get("_3pm").and_then(serde_json::Value::as_str);
    Ok(token.map(|token| trust::text::printable(token, 80)))
}
