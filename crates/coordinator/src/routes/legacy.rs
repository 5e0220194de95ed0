//! The versions of before a claim: the whole list, which also proves absence, and single proofs. Callers
//! check either against the root on chain.

use std::sync::Arc;

use alloy_primitives::B256;
use axum::Json;
use axum::extract::{Path, State};
use client::coordinator::api::{LegacyList, LegacyProof};
use trust::legacy::{self, LegacyVersion};
use trust::{PackageName, Version};

use super::parse_name;
use crate::app::App;
use crate::legacy::LegacyError;
use crate::problem::Problem;

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<Json<LegacyList>, Problem> {
    let (root, versions) = find(&app, &parse_name(&name)?).await?;
    Ok(Json(LegacyList { root, versions }))
}

pub(super) async fn proof(
    State(app): State<Arc<App>>,
    Path((name, version)): Path<(String, String)>,
) -> Result<Json<LegacyProof>, Problem> {
    let name = parse_name(&name)?;
    let version: Version = version
        .parse()
        .map_err(|error: trust::version::VersionError| Problem::bad_request(error.to_string()))?;
    let (_, versions) = find(&app, &name).await?;
    let entry = versions.iter().find(|entry| entry.version == version);
    let (Some(entry), Some(proof)) = (entry, legacy::prove(&versions, &version)) else {
        return Err(Problem::not_found(format!(
            "{name}@{version} is not among the versions of before the claim"
        )));
    };
    Ok(Json(LegacyProof { version, integrity: entry.integrity, proof }))
}

/// The list under the root that is on chain now.
async fn find(app: &Arc<App>, name: &PackageName) -> Result<(B256, Vec<LegacyVersion>), Problem> {
    let head = app.head().await?;
    let package = app.chain.package(&head, name).await?;
    let versions = crate::legacy::find(app, name, &package).await.map_err(|error| match error {
        LegacyError::Missing { .. } => Problem::not_found(error.to_string()),
        LegacyError::Busy { .. } => Problem::busy("legacy lists"),
        LegacyError::Store(error) => error.into(),
    })?;
    Ok((package.legacy_root, versions))
}
