//! Reading proposals, and notices that one was submitted.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use bytes::Bytes;
use client::coordinator::api::{Proposal, ProposalList, SubmissionRequest};
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

use super::{Filter, parse_id, parse_json};
use crate::app::App;
use crate::problem::Problem;

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Query(filter): Query<Filter>,
) -> Result<Json<ProposalList>, Problem> {
    let (package, member, open_only) = filter.parse()?;
    Ok(Json(ProposalList { proposals: app.store.proposals(package.as_ref(), member, open_only).await? }))
}

pub(super) async fn get(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Proposal>, Problem> {
    Ok(Json(find(&app, &id).await?))
}

pub(super) async fn tarball(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<([(HeaderName, HeaderValue); 2], Body), Problem> {
    let proposal = find(&app, &id).await?;
    let (file, size) = app.blobs.open_verified(&proposal.tarball.integrity).await?;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (CONTENT_LENGTH, HeaderValue::from(size)),
    ];
    Ok((headers, Body::from_stream(ReaderStream::new(file.take(size)))))
}

/// A notice only, from anybody: the watcher looks at the chain itself, sooner. Nothing of it is kept.
pub(super) async fn submission(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Proposal>, Problem> {
    let proposal = find(&app, &id).await?;
    let _: SubmissionRequest = parse_json(&body)?;
    if !proposal.state.is_terminal() {
        app.look.notify_one();
    }
    Ok(Json(proposal))
}

pub(super) async fn find(app: &App, id: &str) -> Result<Proposal, Problem> {
    let id = parse_id(id)?;
    app.store.proposal(id).await?.ok_or_else(|| Problem::not_found(format!("no proposal {id}")))
}
