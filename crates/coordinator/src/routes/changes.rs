//! Team changes: a Config at the next epoch that waits for signatures of both sets.

use std::collections::BTreeSet;
use std::sync::Arc;

use alloy_primitives::B256;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use bytes::Bytes;
use client::coordinator::api::{Change, ChangeList, ChangeRequest, ChangeState, SubmissionRequest};
use trust::message::{
    Config, MAX_CONFIG_DELAY_HOURS, MAX_RELEASE_DELAY_HOURS, RECOVERY_DAYS, signing_request, verify_deadline,
};
use trust::signature::MAX_MEMBERS;

use super::{Filter, parse_id, parse_json, parse_name};
use crate::app::{App, now};
use crate::problem::Problem;

/// Steps: 1. deadline, 2. the claim is final and the epoch is the next one, 3. the set is possible, 4. the
/// signer is a member before and signed.
pub(super) async fn post(
    State(app): State<Arc<App>>,
    body: Bytes,
) -> Result<(StatusCode, Json<Change>), Problem> {
    let request: ChangeRequest = parse_json(&body)?;
    let name = parse_name(&request.config.package_name)?;
    let config = Config::from(request.config.clone());
    let now = now();
    verify_deadline(config.deadline, now).map_err(|error| {
        Problem::new(StatusCode::GONE, "expired", "Deadline is not acceptable").detail(error.to_string())
    })?;
    let head = app.head().await?;
    let package = app.claimed(&head, &name).await?;
    if config.epoch != package.epoch.saturating_add(1) {
        return Err(Problem::conflict(
            "wrong-epoch",
            "Team has changed",
            format!("made for epoch {}, expected {}", config.epoch, package.epoch.saturating_add(1)),
        ));
    }
    let distinct: BTreeSet<_> = config.members.iter().collect();
    let possible = distinct.len() == config.members.len()
        && config.members.len() <= MAX_MEMBERS
        && usize::from(config.threshold) <= config.members.len()
        && (config.threshold > 0 || config.members.is_empty())
        && config.releaseDelayHours <= MAX_RELEASE_DELAY_HOURS
        && config.configDelayHours <= MAX_CONFIG_DELAY_HOURS
        && RECOVERY_DAYS.contains(&config.recoveryDays);
    if !possible {
        return Err(Problem::refused(
            "bad-config",
            "Team is not possible",
            format!(
                "{} members with threshold {}, delays of {} and {} h, recovery after {} days",
                config.members.len(),
                config.threshold,
                config.releaseDelayHours,
                config.configDelayHours,
                config.recoveryDays
            ),
        ));
    }
    // Whoever is only in the set that they propose is anybody.
    if !package.members.contains(&request.signer) {
        return Err(Problem::not_a_member(format!("{} is not a member of {name}", request.signer)));
    }
    let signing = signing_request(&config, &chain::name_domain(app.chain.network()).eip712())
        .map_err(|error| Problem::refused("bad-config", "Team is not possible", error.to_string()))?;
    app.verify_signature(&head, request.signer, signing.digest, &request.signature).await?;

    let change = Change {
        id: signing.digest,
        kind: "config".to_owned(),
        state: ChangeState::Proposed,
        config: request.config,
        current_members: package.members,
        current_threshold: package.threshold,
        signatures: Vec::new(),
        created_at: now,
        updated_at: now,
    };
    let new = app.store.insert_change(&change, request.signer, &request.signature).await?;
    app.store.advance_change(change.id, now).await?;
    tracing::info!(id = %change.id, package = %name, new, "change proposed");
    Ok((if new { StatusCode::CREATED } else { StatusCode::OK }, Json(find(&app, change.id).await?)))
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Query(filter): Query<Filter>,
) -> Result<Json<ChangeList>, Problem> {
    let (package, member, open_only) = filter.parse()?;
    Ok(Json(ChangeList { changes: app.store.changes(package.as_ref(), member, open_only).await? }))
}

pub(super) async fn get(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Change>, Problem> {
    Ok(Json(find(&app, parse_id(&id)?).await?))
}

/// As with proposals.
pub(super) async fn submission(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Change>, Problem> {
    let id = parse_id(&id)?;
    let _: SubmissionRequest = parse_json(&body)?;
    let change = find(&app, id).await?;
    if !change.state.is_terminal() {
        app.look.notify_one();
    }
    Ok(Json(change))
}

pub(super) async fn find(app: &App, id: B256) -> Result<Change, Problem> {
    app.store.change(id).await?.ok_or_else(|| Problem::not_found(format!("no change {id}")))
}
