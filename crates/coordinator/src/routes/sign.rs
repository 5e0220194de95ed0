//! Signatures of co-signers, over releases and over team changes.
//!
//! Steps: 1. still open, 2. not past its deadline, 3. the team is the one it is signed under, 4. a member,
//! 5. not twice, 6. the signature holds.

use std::sync::Arc;

use alloy_primitives::{Address, B256, U256};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use bytes::Bytes;
use client::coordinator::api::{
    Change, ChangeState, CollectedSignature, Proposal, ProposalState, SignatureRequest,
};

use super::{parse_id, parse_json, parse_name};
use crate::app::{App, now};
use crate::problem::Problem;

pub(super) async fn proposal(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Proposal>, Problem> {
    let request: SignatureRequest = parse_json(&body)?;
    let proposal = super::proposals::find(&app, &id).await?;
    let now = now();
    match proposal.state {
        ProposalState::Proposed | ProposalState::Signed => verify_open(proposal.release.deadline, now)?,
        ProposalState::Expired => return Err(expired(proposal.release.deadline, now)),
        state => return Err(closed(proposal.id, &format!("{state:?}"))),
    }
    let head = app.head().await?;
    let name = parse_name(&proposal.release.package_name)?;
    let package = app.claimed(&head, &name).await?;
    if package.epoch != proposal.release.epoch {
        return Err(wrong_epoch(proposal.release.epoch, package.epoch));
    }
    if !package.members.contains(&request.signer) {
        return Err(Problem::not_a_member(format!("{} is not a member of {name}", request.signer)));
    }
    verify_not_twice(&proposal.signatures, request.signer)?;
    app.verify_signature(&head, request.signer, proposal.id, &request.signature).await?;

    app.store.add_signature(proposal.id, request.signer, &request.signature, now).await?;
    app.store.advance_proposal(proposal.id, now).await?;
    tracing::info!(id = %proposal.id, signer = %request.signer, "signed");
    Ok(Json(super::proposals::find(&app, &id).await?))
}

pub(super) async fn change(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Change>, Problem> {
    let request: SignatureRequest = parse_json(&body)?;
    let id = parse_id(&id)?;
    let change = super::changes::find(&app, id).await?;
    let now = now();
    match change.state {
        ChangeState::Proposed | ChangeState::Signed => verify_open(change.config.deadline, now)?,
        ChangeState::Expired => return Err(expired(change.config.deadline, now)),
        state => return Err(closed(id, &format!("{state:?}"))),
    }
    let head = app.head().await?;
    let name = parse_name(&change.config.package_name)?;
    let package = app.claimed(&head, &name).await?;
    if change.config.epoch != package.epoch.saturating_add(1) {
        return Err(wrong_epoch(change.config.epoch, package.epoch.saturating_add(1)));
    }
    if !package.members.contains(&request.signer) && !change.config.members.contains(&request.signer) {
        return Err(Problem::not_a_member(format!(
            "{} is a member neither before nor after the change",
            request.signer
        )));
    }
    verify_not_twice(&change.signatures, request.signer)?;
    app.verify_signature(&head, request.signer, id, &request.signature).await?;

    app.store.add_signature(id, request.signer, &request.signature, now).await?;
    app.store.advance_change(id, now).await?;
    tracing::info!(%id, signer = %request.signer, "change signed");
    Ok(Json(super::changes::find(&app, id).await?))
}

fn verify_open(deadline: U256, now: u64) -> Result<(), Problem> {
    if deadline <= U256::from(now) { Err(expired(deadline, now)) } else { Ok(()) }
}

fn expired(deadline: U256, now: u64) -> Problem {
    Problem::new(StatusCode::GONE, "expired", "Deadline has passed")
        .detail(format!("the deadline was {deadline}, the time is {now}; propose it again"))
}

fn verify_not_twice(signatures: &[CollectedSignature], signer: Address) -> Result<(), Problem> {
    if signatures.iter().any(|collected| collected.signer == signer) {
        return Err(Problem::conflict(
            "already-signed",
            "Signed already",
            format!("{signer} has signed this"),
        ));
    }
    Ok(())
}

fn closed(id: B256, state: &str) -> Problem {
    Problem::conflict("closed", "Closed", format!("{id} is {} and takes no signatures", state.to_lowercase()))
}

fn wrong_epoch(found: u32, expected: u32) -> Problem {
    Problem::conflict(
        "wrong-epoch",
        "Team has changed",
        format!("signed for epoch {found}, expected {expected}"),
    )
}
