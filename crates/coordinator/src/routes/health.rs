//! `GET /v1/health`: what this coordinator is, and what is wrong with it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use client::coordinator::api::{Health, HealthHead};

use crate::app::{App, now};
use crate::problem::{public_reason, with_causes};

pub(super) async fn get(State(app): State<Arc<App>>) -> Json<Health> {
    let network = app.chain.network();
    let mut problems = Vec::new();
    let head = match app.chain.head(now()).await {
        Ok(head) => Some(HealthHead { number: head.number, hash: head.hash, timestamp: head.timestamp }),
        Err(error) => {
            tracing::warn!(error = with_causes(&error), "the chain cannot be read");
            problems.push(format!("chain: {}", public_reason(&error)));
            None
        }
    };
    if let Err(error) = app.store.due_publications(0).await {
        problems.push(format!("database: {error}"));
    }
    if app.settings.registrar.is_none() {
        problems.push("registrar: none configured, claims cannot be made here".to_owned());
    }
    Json(Health {
        status: if problems.is_empty() { "ok" } else { "degraded" }.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        chain_id: network.chain_id,
        name_registry: network.name_registry,
        package_registry: network.package_registry,
        head,
        registrar: app.settings.registrar.as_ref().map(|registrar| registrar.address),
        attestation: "none".to_owned(),
        problems,
    })
}
