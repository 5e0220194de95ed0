//! `POST /v1/proposals`: signer 1 hands in a release and its tarball.
//!
//! Steps: 1. length and header within limits, 2. name, version and hashes are well formed, 3. deadline,
//! 4. the package's claim is final and its epoch is the release's, 5. the signer is a member and signed,
//! 6. nonce free and near, 7. version free on chain and on npm, 8. room for one more of this member, and only
//! then 9. the body, within its limit, 10. both hashes, 11. a readable tarball of that name and version.

use std::sync::Arc;

use alloy_primitives::U256;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use client::coordinator::api::{
    MAX_NONCE_AHEAD, MAX_PROPOSAL_HEADER_BYTES, PROPOSAL_HEADER, Proposal, ProposalRequest, ProposalState,
    TarballInfo,
};
use trust::message::{Release, signing_request, verify_deadline};
use trust::record::ReleaseStatus;
use trust::{ContentHash, Integrity, PackageName, TarballHashes, Version};

use super::parse_name;
use crate::admission::admit;
use crate::app::{App, now};
use crate::blobs::{Upload, UploadError};
use crate::problem::Problem;

pub(super) async fn post(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Proposal>), Problem> {
    let length = verify_length(&headers, app.settings.max_tarball_bytes)?;
    let request = parse_header(&headers)?;
    let proposal = verify_request(&app, &request).await?;

    let _under_way = admit(&app, &proposal, length).await?;
    let upload = receive(&app, body).await?;
    let proposal = verify_upload(proposal, &upload).await?;

    let keeping = app.admission.keeping.lock().await;
    app.blobs.keep(upload)?;
    let new = app.store.insert_proposal(&proposal, request.signer, &request.signature).await?;
    drop(keeping);
    app.store.advance_proposal(proposal.id, now()).await?;
    let stored = app.store.proposal(proposal.id).await?.unwrap_or(proposal);
    tracing::info!(id = %stored.id, package = %stored.release.package_name, version = %stored.release.version, new, "proposed");
    Ok((if new { StatusCode::CREATED } else { StatusCode::OK }, Json(stored)))
}

fn verify_length(headers: &HeaderMap, limit: usize) -> Result<u64, Problem> {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let Some(length) = length else {
        return Err(Problem::new(
            StatusCode::LENGTH_REQUIRED,
            "length-required",
            "Content-Length is missing",
        )
        .detail("announce the tarball's size"));
    };
    if length > limit as u64 {
        return Err(too_large(limit));
    }
    Ok(length)
}

fn too_large(limit: usize) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Tarball is too large")
        .detail(format!("expected at most {limit} bytes"))
}

fn parse_header(headers: &HeaderMap) -> Result<ProposalRequest, Problem> {
    let value = headers
        .get(PROPOSAL_HEADER)
        .ok_or_else(|| Problem::bad_request("the 3pm-proposal header is missing"))?;
    if value.len() > MAX_PROPOSAL_HEADER_BYTES {
        return Err(Problem::bad_request(format!(
            "the 3pm-proposal header has more than {MAX_PROPOSAL_HEADER_BYTES} bytes"
        )));
    }
    let json = URL_SAFE_NO_PAD
        .decode(value)
        .map_err(|_| Problem::bad_request("the 3pm-proposal header is not base64url without padding"))?;
    super::parse_json(&json)
}

/// Steps 2 to 7.
async fn verify_request(app: &App, request: &ProposalRequest) -> Result<Proposal, Problem> {
    let wrong = |reason: String| Problem::refused("bad-release", "Release is not well formed", reason);
    let name = parse_name(&request.release.package_name)?;
    let version: Version = request
        .release
        .version
        .parse()
        .map_err(|error: trust::version::VersionError| wrong(error.to_string()))?;
    let integrity: Integrity = request
        .release
        .integrity
        .parse()
        .map_err(|error: trust::hashes::IntegrityError| wrong(error.to_string()))?;
    let release = Release::from(request.release.clone());
    let now = now();
    verify_deadline(release.deadline, now).map_err(|error| {
        Problem::new(StatusCode::GONE, "expired", "Deadline is not acceptable").detail(error.to_string())
    })?;

    let head = app.head().await?;
    let package = app.claimed(&head, &name).await?;
    if release.epoch != package.epoch {
        return Err(Problem::conflict(
            "wrong-epoch",
            "Team has changed",
            format!("signed for epoch {}, expected {}", release.epoch, package.epoch),
        ));
    }
    if !package.members.contains(&request.signer) {
        return Err(Problem::not_a_member(format!("{} is not a member of {name}", request.signer)));
    }
    let signing = signing_request(&release, &chain::package_domain(app.chain.network()).eip712())
        .map_err(|error| wrong(error.to_string()))?;
    app.verify_signature(&head, request.signer, signing.digest, &request.signature).await?;

    let next = app.chain.next_nonce(&head, &name).await?;
    if release.nonce > next.saturating_add(U256::from(MAX_NONCE_AHEAD)) {
        return Err(wrong(format!("nonce {} is more than {MAX_NONCE_AHEAD} past {next}", release.nonce)));
    }
    if app.chain.is_nonce_used(&head, &name, release.nonce).await? {
        return Err(Problem::conflict(
            "nonce-used",
            "Nonce is used",
            format!("nonce {} has a record", release.nonce),
        ));
    }
    verify_version_is_free(app, &head, &name, &version).await?;

    Ok(Proposal {
        id: signing.digest,
        kind: "release".to_owned(),
        state: ProposalState::Proposed,
        tarball: TarballInfo { integrity, content_hash: ContentHash(release.contentHash), size: 0 },
        release: request.release.clone(),
        proposer: request.signer,
        members: package.members,
        threshold: package.threshold,
        signatures: Vec::new(),
        created_at: now,
        updated_at: now,
        transaction_hash: None,
        block_number: None,
        npm: None,
        attention: None,
        reason: None,
    })
}

async fn verify_version_is_free(
    app: &App,
    head: &chain::Head,
    name: &PackageName,
    version: &Version,
) -> Result<(), Problem> {
    let taken = |place: &str| {
        Problem::conflict(
            "version-taken",
            "Version is taken",
            format!("{name}@{version} exists {place}; raise the version"),
        )
    };
    if app.chain.release(head, name, version).await?.status != ReleaseStatus::None {
        return Err(taken("on chain"));
    }
    match app.npm.fetch_packument(name).await? {
        Some(packument) if packument.has(version) => Err(taken("on npm")),
        _ => Ok(()),
    }
}

/// Step 9.
async fn receive(app: &App, body: Body) -> Result<Upload, Problem> {
    app.blobs.receive(body.into_data_stream(), app.settings.max_tarball_bytes).await.map_err(|error| {
        match error {
            UploadError::TooLarge { limit } => too_large(limit),
            UploadError::Truncated { reason } => {
                Problem::bad_request(format!("the tarball ended early: {reason}"))
            }
            UploadError::Blob(error) => error.into(),
        }
    })
}

/// Steps 10 and 11.
async fn verify_upload(mut proposal: Proposal, upload: &Upload) -> Result<Proposal, Problem> {
    let signed =
        TarballHashes { integrity: proposal.tarball.integrity, content_hash: proposal.tarball.content_hash };
    if upload.hashes.integrity != signed.integrity {
        return Err(differs("integrity", signed.integrity.to_string(), upload.hashes.integrity.to_string()));
    }
    if upload.hashes.content_hash != signed.content_hash {
        return Err(differs(
            "content hash",
            signed.content_hash.to_string(),
            upload.hashes.content_hash.to_string(),
        ));
    }
    let bytes = upload.bytes().await?;
    let read = tokio::task::spawn_blocking(move || scan::read_tarball(&bytes, &scan::Limits::default()))
        .await
        .map_err(Problem::internal)?;
    let tarball =
        read.map_err(|error| Problem::refused("bad-tarball", "Tarball is refused", error.to_string()))?;
    let expected = format!("{}@{}", proposal.release.package_name, proposal.release.version);
    let found = format!("{}@{}", tarball.manifest.name, tarball.manifest.version);
    if found != expected {
        return Err(differs("package.json inside the tarball", expected, found));
    }
    proposal.tarball.size = upload.size;
    Ok(proposal)
}

fn differs(what: &str, expected: String, found: String) -> Problem {
    Problem::refused(
        "mismatch",
        "Tarball is not what was signed",
        format!("{what}: expected {expected}, found {found}"),
    )
}
