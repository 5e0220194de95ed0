//! Puts Active releases on npm: those exact bytes, once, whatever crashes in between.
//!
//! Steps, each safe to repeat after a crash at any point: 1. the record is still Active, 2. npm is looked
//! at first: the same bytes are success, others the terminal state hijacked, 3. the stored bytes are hashed
//! again, 4. the token is opened, 5. put, 6. npm is looked at again. A failure waits and tries again, and
//! holds up no other release.

use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::B256;
use chain::ChainError;
use client::coordinator::api::{NpmPublication, Proposal, ProposalState};
use client::npm::{NpmError, Packument, PutOutcome, publish_body};
use futures_util::StreamExt as _;
use serde_json::Value;
use trust::record::ReleaseStatus;
use trust::{PackageName, TarballHashes, Version};

use crate::app::{App, now};
use crate::blobs::BlobError;
use crate::store::{Details, StoreError};
use crate::vault::VaultError;

/// Releases on their way to npm at once.
const PARALLEL: usize = 4;

/// The longest pause between two attempts, in seconds.
const MAX_PAUSE: u64 = 600;

/// What did not work this time.
#[derive(Debug, thiserror::Error)]
enum Obstacle {
    #[error("no npm token is stored; a member runs `3pm register-token {package}`")]
    NoToken { package: PackageName },
    #[error("npm refuses the stored token; a member runs `3pm register-token {package}`")]
    BadToken { package: PackageName },
    #[error("npm does not show the version yet")]
    NotVisible,
    #[error("the record is not Active at the newest block")]
    NotActive,
    #[error("npm: {}", with_cause(.0))]
    Npm(NpmError),
    #[error("chain: {0}")]
    Chain(#[from] ChainError),
    #[error("database: {0}")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Vault(#[from] VaultError),
    #[error("tarball store: {0}")]
    Blob(BlobError),
}

/// Where a release ended up.
enum Outcome {
    Published { tag: Option<String> },
    Hijacked { reason: String },
    Failed { reason: String },
}

/// Publishes what is due every `interval`, and sooner when something became Active.
pub(crate) async fn run(app: Arc<App>, interval: Duration) {
    loop {
        match app.store.due_publications(now()).await {
            Ok(due) => {
                futures_util::stream::iter(due).for_each_concurrent(PARALLEL, |id| attempt(&app, id)).await;
            }
            Err(error) => tracing::warn!(%error, "could not read what is to be published"),
        }
        let _ = tokio::time::timeout(interval, app.publish.notified()).await;
    }
}

/// One attempt; its result is written down, whatever it is.
async fn attempt(app: &App, id: B256) {
    let result = match app.store.proposal(id).await {
        Ok(Some(proposal)) if proposal.state == ProposalState::Active => publish(app, &proposal).await,
        Ok(_) => return,
        Err(error) => Err(error.into()),
    };
    let written = match result {
        Ok(outcome) => settle(app, id, outcome).await,
        Err(obstacle) => {
            tracing::warn!(%id, %obstacle, "not published yet");
            let pause = pause(app.store.attempts(id).await.unwrap_or(0));
            let attention = trust::text::printable(&obstacle.to_string(), 500);
            app.store.postpone(id, &attention, now().saturating_add(pause)).await
        }
    };
    if let Err(error) = written {
        tracing::error!(%id, %error, "the publisher's result was not written down; it will be found again");
    }
}

async fn settle(app: &App, id: B256, outcome: Outcome) -> Result<(), StoreError> {
    let now = now();
    let (to, details) = match outcome {
        Outcome::Published { tag } => {
            tracing::info!(%id, tag = tag.as_deref().unwrap_or("none"), "published on npm");
            let npm = Some(NpmPublication { published_at: now, tag });
            (ProposalState::Published, Details { npm, ..Details::default() })
        }
        Outcome::Hijacked { reason } => {
            tracing::error!(%id, reason, "HIJACKED: npm has other bytes under a signed version");
            (ProposalState::Hijacked, Details { reason: Some(reason), ..Details::default() })
        }
        Outcome::Failed { reason } => {
            tracing::error!(%id, reason, "cannot be published");
            (ProposalState::Failed, Details { reason: Some(reason), ..Details::default() })
        }
    };
    app.store.move_proposal(id, ProposalState::Active, to, details, now).await
}

/// 1, 2, 4, 9, … seconds, ten minutes at most.
fn pause(attempts: u32) -> u64 {
    2_u64.saturating_pow(attempts.min(10)).min(MAX_PAUSE)
}

async fn publish(app: &App, proposal: &Proposal) -> Result<Outcome, Obstacle> {
    let parsed = (proposal.release.package_name.parse(), proposal.release.version.parse());
    let (Ok(name), Ok(version)) = parsed else {
        return Ok(Outcome::Failed { reason: "name or version cannot be read".to_owned() });
    };
    let (name, version): (PackageName, Version) = (name, version);
    let signed =
        TarballHashes { integrity: proposal.tarball.integrity, content_hash: proposal.tarball.content_hash };

    // 1.
    let head = app.chain.head(now()).await?;
    let record = app.chain.release(&head, &name, &version).await?;
    let active = matches!(record.status, ReleaseStatus::Active | ReleaseStatus::Flagged);
    if !active || record.integrity != signed.integrity || record.content_hash != signed.content_hash {
        return Err(Obstacle::NotActive);
    }
    // 2.
    let packument = app.npm.fetch_packument(&name).await.map_err(Obstacle::Npm)?;
    if let Some(outcome) = look(app, packument.as_ref(), &version, &signed).await? {
        return Ok(outcome);
    }
    // 3.
    let bytes = match app.blobs.read(&signed.integrity).await {
        Ok(bytes) => bytes,
        Err(error @ BlobError::Damaged { .. }) => return Ok(Outcome::Failed { reason: error.to_string() }),
        Err(error) => return Err(Obstacle::Blob(error)),
    };
    if TarballHashes::of(&bytes) != signed {
        return Ok(Outcome::Failed { reason: "the stored bytes are not what was signed".to_owned() });
    }
    let tarball = match scan::read_tarball(&bytes, &scan::Limits::default()) {
        Ok(tarball) => tarball,
        Err(error) => return Ok(Outcome::Failed { reason: error.to_string() }),
    };
    // 4.
    let stored = app.store.token(&name).await?.ok_or_else(|| Obstacle::NoToken { package: name.clone() })?;
    let token = app.vault.open_token(&name, &stored.sealed)?;
    // 5.
    let tag = tag(app, &head, &name, &version, packument.as_ref(), &tarball.manifest_json).await?;
    let access = tarball.manifest_json["publishConfig"]["access"].as_str();
    let registry = app.npm.config().registry_for(&name);
    let body = publish_body(&registry.url, (&name, &version), &tarball.manifest_json, &bytes, &tag, access);
    match app.npm.put_version(&name, body, &token).await {
        Ok(PutOutcome::Created | PutOutcome::AlreadyThere) => {}
        Err(NpmError::BadToken { .. }) => return Err(Obstacle::BadToken { package: name }),
        Err(error) => return Err(Obstacle::Npm(error)),
    }
    // 6.
    let packument = app.npm.fetch_packument(&name).await.map_err(Obstacle::Npm)?;
    match look(app, packument.as_ref(), &version, &signed).await? {
        Some(Outcome::Published { .. }) => Ok(Outcome::Published { tag: Some(tag) }),
        Some(outcome) => Ok(outcome),
        None => Err(Obstacle::NotVisible),
    }
}

/// What npm has under this version: nothing, these bytes, or others. Its own word for the hash is not
/// taken: the bytes are fetched.
async fn look(
    app: &App,
    packument: Option<&Packument>,
    version: &Version,
    signed: &TarballHashes,
) -> Result<Option<Outcome>, Obstacle> {
    let Some(packument) = packument else { return Ok(None) };
    let described = packument.version(&version.to_string()).map_err(|error| Obstacle::Npm(error.into()))?;
    let Some(described) = described else { return Ok(None) };
    let bytes = app.npm.fetch_tarball(&described.tarball).await.map_err(Obstacle::Npm)?;
    let found = TarballHashes::of(&bytes);
    if found != *signed {
        let reason = format!("npm has other bytes: expected {}, found {}", signed.integrity, found.integrity);
        return Ok(Some(Outcome::Hijacked { reason }));
    }
    let text = version.to_string();
    let tag = packument.dist_tags.iter().find(|(_, tagged)| **tagged == text).map(|(tag, _)| tag.clone());
    Ok(Some(Outcome::Published { tag }))
}

/// `publishConfig.tag`, else `latest` for a stable version above every one that has a record or existed before
/// the claim. Versions that a thief put on npm do not count: they would keep `latest` from moving.
async fn tag(
    app: &App,
    head: &chain::Head,
    name: &PackageName,
    version: &Version,
    packument: Option<&Packument>,
    manifest: &Value,
) -> Result<String, Obstacle> {
    if let Some(tag) = manifest["publishConfig"]["tag"].as_str().filter(|tag| !tag.is_empty()) {
        return Ok(tag.to_owned());
    }
    if !version.is_stable() {
        return Ok(prerelease_tag(version));
    }
    let listed: Vec<Version> = packument
        .into_iter()
        .flat_map(Packument::version_names)
        .filter_map(|text| text.parse().ok())
        .collect();
    let keys: Vec<_> = listed.iter().map(|version| (name.clone(), version.clone())).collect();
    let records = app.chain.releases(head, &keys).await?;
    let recorded = listed.iter().zip(&records).filter(|(_, record)| record.status != ReleaseStatus::None);
    let root = app.chain.package(head, name).await?.legacy_root;
    let legacy = app.store.legacy_list(name, root).await?.unwrap_or_default();
    let above_all = recorded
        .map(|(version, _)| version)
        .chain(legacy.iter().map(|entry| &entry.version))
        .filter(|other| other.is_stable())
        .all(|other| other < version);
    Ok(if above_all { "latest".to_owned() } else { "backport".to_owned() })
}

/// `rc` of `2.0.0-rc.1`; `next` when the first identifier is no word.
fn prerelease_tag(version: &Version) -> String {
    let text = version.to_string();
    let identifier = text.split_once('-').and_then(|(_, pre)| pre.split('.').next()).unwrap_or_default();
    let word = identifier.starts_with(|c: char| c.is_ascii_alphabetic() && c != 'v' && c != 'x')
        && identifier.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if word && identifier != "latest" { identifier.to_owned() } else { "next".to_owned() }
}

/// The error and what caused it, in one line.
fn with_cause(error: &NpmError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pre_release_is_tagged_by_its_first_word() {
        let check = |version: &str, expected: &str| {
            assert_eq!(prerelease_tag(&version.parse().unwrap()), expected, "{version}");
        };
        check("1.0.0-rc.1", "rc");
        check("1.0.0-beta", "beta");
        check("1.0.0-0", "next");
        check("1.0.0-v1", "next");
        check("1.0.0-latest.1", "next");
    }

    #[test]
    fn pauses_grow_and_end_at_ten_minutes() {
        assert_eq!((pause(0), pause(1), pause(3), pause(40)), (1, 2, 8, MAX_PAUSE));
    }
}
