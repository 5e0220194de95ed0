//! Puts Active releases on npm: those exact bytes, once, whatever crashes in between.
//!
//! Steps, each safe to repeat after a crash at any point: 1. the record is still Active, 2. npm is looked
//! at first: the same bytes are success, others the terminal state hijacked, 3. the stored bytes are hashed
//! again, 4. the token is opened, 5. put, 6. npm is looked at again. A failure waits and tries again, and
//! holds up no other release. What npm shows that may pass is believed once it stayed so for some minutes.
//!
//! Releases of one package go one after the other, the lowest version first, so that each finds its tag right.

mod seen;
mod tag;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::B256;
use chain::ChainError;
use client::coordinator::api::{NpmPublication, Proposal, ProposalState};
use client::npm::{NpmError, PutOutcome, publish_body};
use futures_util::StreamExt as _;
use trust::record::ReleaseStatus;
use trust::{Integrity, PackageName, TarballHashes, Version};

use crate::app::{App, now};
use crate::blobs::BlobError;
use crate::legacy::LegacyError;
use crate::problem::{public_reason, with_causes};
use crate::store::{Details, Store, StoreError};
use crate::vault::VaultError;

/// Packages whose releases are on their way to npm at once.
const PARALLEL: usize = 4;

/// The longest pause between two attempts, in seconds.
const MAX_PAUSE: u64 = 600;

/// How long every look at npm must end alike before that is believed, in seconds: npm's documents may be five minutes
/// old, and a cache in front of it holds a wrong page about as long.
const DOUBT: u64 = 600;

/// What did not work this time. Everybody can read it; who runs this coordinator finds more in the log.
#[derive(Debug, thiserror::Error)]
enum Obstacle {
    #[error("no npm token is stored; a member runs `3pm register-token {package}`")]
    NoToken { package: PackageName },
    #[error("npm refuses the stored token; a member runs `3pm register-token {package}`")]
    BadToken { package: PackageName },
    #[error("npm does not show the version yet")]
    NotVisible,
    #[error("npm refuses the number as used up and does not list the version; looking again for ten minutes")]
    NumberUsed,
    #[error("npm serves the signed bytes and announces {announced} for them; looking again")]
    AnnouncesOthers { announced: Integrity },
    #[error(
        "npm serves {found} where {signed} is announced and signed, perhaps a page of a cache; looking again"
    )]
    ServesOthers { signed: Integrity, found: Integrity, is_package: bool },
    #[error("the record is not Active at the newest block")]
    NotActive,
    #[error("{0}; a version whose package.json has publishConfig.tag needs no list")]
    Legacy(LegacyError),
    #[error("npm: {}", with_causes(.0))]
    Npm(NpmError),
    #[error("chain: {}", public_reason(.0))]
    Chain(#[from] ChainError),
    #[error("database: {}", with_causes(.0))]
    Store(StoreError),
    #[error("{}", with_causes(.0))]
    Vault(VaultError),
    #[error("tarball store: {}", with_causes(.0))]
    Blob(BlobError),
}

/// Where a release ended up.
#[derive(Debug)]
enum Outcome {
    Published { tag: Option<String> },
    Hijacked { reason: String },
    Failed { reason: String },
}

impl Obstacle {
    /// What it means once it has stayed so for long enough; `None` where it never means more.
    fn if_it_stays(&self) -> Option<Outcome> {
        match self {
            Self::NumberUsed => Some(Outcome::Failed {
                reason: "npm refuses the number: it was published and removed; release a higher version"
                    .to_owned(),
            }),
            Self::ServesOthers { signed, found, is_package: true } => {
                Some(Outcome::Hijacked { reason: seen::other_bytes(signed, found) })
            }
            _ => None,
        }
    }
}

/// Publishes what is due every `interval`, and sooner when something became Active.
pub(crate) async fn run(app: Arc<App>, interval: Duration) {
    loop {
        match app.store.due_publications(now()).await {
            Ok(due) => {
                let queues = futures_util::stream::iter(queues(&due));
                queues.for_each_concurrent(PARALLEL, |queue| one_by_one(&app, queue)).await;
            }
            Err(error) => {
                tracing::warn!(error = with_causes(&error), "could not read what is to be published");
            }
        }
        let _ = tokio::time::timeout(interval, app.publish.notified()).await;
    }
}

/// A queue for each package, the lowest version first.
fn queues(due: &[Proposal]) -> Vec<Vec<B256>> {
    let mut packages: BTreeMap<&str, Vec<(Option<Version>, B256)>> = BTreeMap::new();
    for proposal in due {
        let version = proposal.release.version.parse().ok();
        packages.entry(&proposal.release.package_name).or_default().push((version, proposal.id));
    }
    let sorted = packages.into_values().map(|mut queue| {
        queue.sort();
        queue.into_iter().map(|(_, id)| id).collect()
    });
    sorted.collect()
}

async fn one_by_one(app: &Arc<App>, queue: Vec<B256>) {
    for id in queue {
        attempt(app, id).await;
    }
}

/// One attempt; its result is written down, whatever it is.
async fn attempt(app: &Arc<App>, id: B256) {
    let result = match app.store.proposal(id).await {
        Ok(Some(proposal)) if proposal.state == ProposalState::Active => publish(app, &proposal).await,
        Ok(_) => return,
        Err(error) => Err(Obstacle::Store(error)),
    };
    if let Err(error) = conclude(&app.store, id, result, now()).await {
        let error = with_causes(&error);
        tracing::error!(%id, error, "the publisher's result was not written down; it will be found again");
    }
}

async fn conclude(
    store: &Store,
    id: B256,
    result: Result<Outcome, Obstacle>,
    now: u64,
) -> Result<(), StoreError> {
    let obstacle = match result {
        Ok(outcome) => return settle(store, id, outcome, now).await,
        Err(obstacle) => obstacle,
    };
    tracing::warn!(%id, obstacle = with_causes(&obstacle), "not published yet");
    let attention = trust::text::printable(&obstacle.to_string(), 500);
    if let Some(outcome) = obstacle.if_it_stays() {
        let since = store.attention_since(id, &attention).await?;
        if since.is_some_and(|since| now.saturating_sub(since) >= DOUBT) {
            return settle(store, id, outcome, now).await;
        }
    }
    let pause = pause(store.attempts(id).await.unwrap_or(0));
    store.postpone(id, &attention, now.saturating_add(pause), now).await
}

async fn settle(store: &Store, id: B256, outcome: Outcome, now: u64) -> Result<(), StoreError> {
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
    store.move_proposal(id, ProposalState::Active, to, details, now).await
}

/// 1, 2, 4, 9, … seconds, ten minutes at most.
fn pause(attempts: u32) -> u64 {
    2_u64.saturating_pow(attempts.min(10)).min(MAX_PAUSE)
}

async fn publish(app: &Arc<App>, proposal: &Proposal) -> Result<Outcome, Obstacle> {
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
    if let Some(outcome) = seen::look(app, packument.as_ref(), (&name, &version), &signed).await? {
        return Ok(outcome);
    }
    // 3.
    let bytes = match app.blobs.read(&signed.integrity).await {
        Ok(bytes) => bytes,
        Err(error @ BlobError::Damaged { .. }) => return Ok(failed(&error)),
        Err(error @ BlobError::Missing { .. }) => return Ok(failed(&error)),
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
    let stored = app.store.token(&name).await.map_err(Obstacle::Store)?;
    let stored = stored.ok_or_else(|| Obstacle::NoToken { package: name.clone() })?;
    let token = app.vault.open_token(&name, &stored.sealed).map_err(Obstacle::Vault)?;
    // 5.
    let tag = tag::choose(app, &head, &name, &version, packument.as_ref(), &tarball.manifest_json).await?;
    let access = tarball.manifest_json["publishConfig"]["access"].as_str();
    let registry = app.npm.config().registry_for(&name);
    let body = publish_body(&registry.url, (&name, &version), &tarball.manifest_json, &bytes, &tag, access);
    let unseen = match app.npm.put_version(&name, body, &token).await {
        Ok(PutOutcome::Created | PutOutcome::AlreadyThere) => Obstacle::NotVisible,
        Ok(PutOutcome::NumberUsed) => Obstacle::NumberUsed,
        Err(NpmError::BadToken { .. }) => return Err(Obstacle::BadToken { package: name }),
        Err(error) => return Err(Obstacle::Npm(error)),
    };
    // 6.
    let packument = app.npm.fetch_packument(&name).await.map_err(Obstacle::Npm)?;
    match seen::look(app, packument.as_ref(), (&name, &version), &signed).await? {
        Some(Outcome::Published { .. }) => Ok(Outcome::Published { tag: Some(tag) }),
        Some(outcome) => Ok(outcome),
        None => Err(unseen),
    }
}

/// The stored bytes are of no use, and stay so.
fn failed(error: &BlobError) -> Outcome {
    let next = "whoever has the signed tarball runs `npm publish` with it, or a higher version is released";
    Outcome::Failed { reason: format!("{error}: {next}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{active, proposal};

    #[test]
    fn pauses_grow_and_end_at_ten_minutes() {
        assert_eq!((pause(0), pause(1), pause(3), pause(40)), (1, 2, 8, MAX_PAUSE));
    }

    #[test]
    fn each_package_has_a_queue_in_the_order_of_its_versions() {
        let of = |name: &str, version: &str, nonce| proposal(name, version, b"bytes", nonce);
        let due = [of("b", "10.0.0", 1), of("a", "1.0.0", 2), of("b", "9.0.0", 3), of("b", "10.0.0-rc.1", 4)];
        let ids = due.each_ref().map(|proposal| proposal.id);
        assert_eq!(queues(&due), [vec![ids[1]], vec![ids[2], ids[3], ids[0]]]);
    }

    fn serves(found: &[u8], is_package: bool) -> Obstacle {
        let (signed, found) = (Integrity::of(b"signed"), Integrity::of(found));
        Obstacle::ServesOthers { signed, found, is_package }
    }

    /// What a proposal comes to whose attempts end so, one after the other, at these seconds.
    async fn after(attempts: Vec<(u64, Obstacle)>) -> (ProposalState, String) {
        let (_folder, store, id) = active().await;
        for (at, obstacle) in attempts {
            conclude(&store, id, Err(obstacle), at).await.unwrap();
        }
        let proposal = store.proposal(id).await.unwrap().unwrap();
        (proposal.state, proposal.reason.or(proposal.attention).unwrap())
    }

    #[tokio::test]
    async fn a_number_that_npm_refuses_for_ten_minutes_is_used_up() {
        let used = || Obstacle::NumberUsed;
        let (state, said) = after(vec![(1_000, used()), (1_300, used()), (1_599, used())]).await;
        assert_eq!(state, ProposalState::Active);
        assert!(said.contains("looking again"), "{said}");
        let (state, said) = after(vec![(1_000, used()), (1_300, used()), (1_600, used())]).await;
        assert_eq!(state, ProposalState::Failed);
        assert!(said.contains("published and removed; release a higher version"), "{said}");
        // Not in a row.
        let (state, _) = after(vec![(1_000, used()), (1_300, Obstacle::NotVisible), (1_600, used())]).await;
        assert_eq!(state, ProposalState::Active);
    }

    #[tokio::test]
    async fn other_bytes_that_npm_does_not_announce_are_believed_when_they_are_a_package_and_stay() {
        let stays = |is_package| vec![(0, serves(b"other", is_package)), (600, serves(b"other", is_package))];
        let (state, said) = after(stays(true)).await;
        assert_eq!(state, ProposalState::Hijacked);
        assert!(said.contains("other bytes"), "{said}");
        // The page of somebody in between.
        assert_eq!(after(stays(false)).await.0, ProposalState::Active);
        let changes = vec![(0, serves(b"other", true)), (600, serves(b"yet others", true))];
        assert_eq!(after(changes).await.0, ProposalState::Active);
    }

    #[tokio::test]
    async fn what_only_waits_waits_for_ever() {
        let waits = |at| (at, Obstacle::NotVisible);
        assert_eq!(after(vec![waits(0), waits(600), waits(1 << 30)]).await.0, ProposalState::Active);
    }

    #[test]
    fn an_obstacle_says_what_caused_it() {
        let full = || std::io::Error::other("the disk is full");
        let said = Obstacle::Blob(BlobError::Io(full())).to_string();
        assert_eq!(said, "tarball store: tarball store failed: the disk is full");
        let said = Obstacle::Store(StoreError::Database(sqlx::Error::Io(full()))).to_string();
        assert!(said.ends_with("the disk is full"), "{said}");
    }
}
