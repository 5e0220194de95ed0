//! Looks at the chain and moves proposals and changes along. Believes records, not notices: a release that
//! a stranger submitted is seen all the same, and one that was announced but is not there is not.

use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::U256;
use chain::{ChainError, Head};
use client::coordinator::api::{Change, ChangeState, Proposal, ProposalState};
use trust::record::{PackageRecord, PackageState, ReleaseRecord, ReleaseStatus};
use trust::{PackageName, Version};

use crate::app::{App, now};
use crate::blobs::BlobError;
use crate::identity::{find_record, has_its_bytes, resembles};
use crate::problem::with_causes;
use crate::store::{Details, StoreError};

/// Why a proposal ended that another record made impossible.
const SAME_VERSION: &str = "another release was recorded under this version; publish again with a new one";
const SAME_BYTES: &str =
    "these bytes were recorded by another proposal, which goes on; nothing is left to do here";

/// Between two looks, however many notices come: anybody may send one.
const BREATH: Duration = Duration::from_millis(200);

#[derive(Debug, thiserror::Error)]
enum WatchError {
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Blob(#[from] BlobError),
}

/// Looks every `interval`, and sooner when something happened.
pub(crate) async fn run(app: Arc<App>, interval: Duration) {
    loop {
        if let Err(error) = look(&app).await {
            tracing::warn!(error = with_causes(&error), "could not look at the chain; trying again");
        }
        if let Err(error) = remove_tarballs(&app).await {
            tracing::warn!(error = with_causes(&error), "could not remove tarballs; trying again");
        }
        let breath = BREATH.min(interval);
        tokio::time::sleep(breath).await;
        let _ = tokio::time::timeout(interval.saturating_sub(breath), app.look.notified()).await;
    }
}

async fn look(app: &App) -> Result<(), WatchError> {
    let mut proposals = app.store.moving_proposals().await?;
    let mut changes = app.store.moving_changes().await?;
    for proposal in proposals.iter().filter(|proposal| proposal.state == ProposalState::Proposed) {
        app.store.advance_proposal(proposal.id, now()).await?;
    }
    for change in changes.iter().filter(|change| change.state == ChangeState::Proposed) {
        app.store.advance_change(change.id, now()).await?;
    }
    proposals = app.store.moving_proposals().await?;
    changes = app.store.moving_changes().await?;
    if proposals.is_empty() && changes.is_empty() {
        return Ok(());
    }
    let head = app.chain.head(now()).await?;
    let confirmed = app.confirmed(&head).await?;
    let watched = watch_proposals(app, proposals, &head, &confirmed).await;
    watch_changes(app, changes, &confirmed).await.and(watched)
}

async fn watch_proposals(
    app: &App,
    proposals: Vec<Proposal>,
    head: &Head,
    confirmed: &Head,
) -> Result<(), WatchError> {
    let (mut names, mut keys) = (Vec::new(), Vec::new());
    let mut readable = Vec::new();
    for proposal in proposals {
        let parsed = (proposal.release.package_name.parse(), proposal.release.version.parse());
        if let (Ok(name), Ok(version)) = parsed {
            let name: PackageName = name;
            let version: Version = version;
            names.push(name.clone());
            keys.push((name, version));
            readable.push(proposal);
        }
    }
    let newest = app.chain.releases(head, &keys).await?;
    let settled = app.chain.releases(confirmed, &keys).await?;
    let packages = app.chain.packages(confirmed, &names).await?;
    for ((((proposal, key), newest), settled), package) in
        readable.into_iter().zip(&keys).zip(&newest).zip(&settled).zip(&packages)
    {
        let seen = Seen { newest, settled, package, head, confirmed };
        match step(app, &proposal, key, &seen).await {
            // Somebody else moved it between our read and our write: next look.
            Err(WatchError::Store(StoreError::Moved { .. })) => app.look.notify_one(),
            // What cannot be found out about one holds up no other.
            Err(error) => {
                tracing::warn!(id = %proposal.id, error = with_causes(&error), "not moved; trying again");
            }
            Ok(()) => {}
        }
    }
    Ok(())
}

/// What the chain says about one proposal.
struct Seen<'a> {
    newest: &'a ReleaseRecord,
    settled: &'a ReleaseRecord,
    package: &'a PackageRecord,
    head: &'a Head,
    confirmed: &'a Head,
}

/// As many moves as the chain allows for one proposal, one after the other.
async fn step(
    app: &App,
    proposal: &Proposal,
    key: &(PackageName, Version),
    seen: &Seen<'_>,
) -> Result<(), WatchError> {
    let mut state = proposal.state;
    while let Some((to, details)) = next(app, proposal, state, key, seen).await? {
        app.store.move_proposal(proposal.id, state, to, details, now()).await?;
        tracing::info!(id = %proposal.id, package = %key.0, version = %key.1, from = ?state, ?to, "moved");
        if to == ProposalState::Active {
            app.publish.notify_one();
        }
        state = to;
    }
    Ok(())
}

/// The next move of a proposal in `state`, if the chain has one for it.
async fn next(
    app: &App,
    proposal: &Proposal,
    state: ProposalState,
    key: &(PackageName, Version),
    seen: &Seen<'_>,
) -> Result<Option<(ProposalState, Details)>, WatchError> {
    use ProposalState as P;
    use ReleaseStatus as R;
    let because =
        |to, reason: &str| Ok(Some((to, Details { reason: Some(reason.to_owned()), ..Details::default() })));
    let taken = async |by: &ReleaseRecord| {
        if !is_anothers(app, proposal, key).await? {
            app.look.notify_one();
            return Ok(None);
        }
        let same_bytes = has_its_bytes(proposal, by);
        because(P::Withdrawn, if same_bytes { SAME_BYTES } else { SAME_VERSION })
    };
    let is_open = matches!(state, P::Proposed | P::Signed);
    match (state, seen.settled.status) {
        (P::Proposed | P::Signed | P::Submitted | P::Active, R::Revoked) => {
            return because(P::Vetoed, "the release was revoked by its maintainers");
        }
        (P::Submitted, R::Vetoed) => {
            return because(P::Vetoed, "a maintainer vetoed the release while it cooled");
        }
        (P::Submitted, R::Active | R::Flagged) => {
            let found = find_record(app, proposal, key, seen.settled, seen.confirmed).await?;
            let Some(found) = found else { return taken(seen.settled).await };
            let (block_number, transaction_hash) = (Some(seen.confirmed.number), found.transaction);
            let details = Details { block_number, transaction_hash, ..Details::default() };
            return Ok(Some((P::Active, details)));
        }
        (P::Submitted, R::Cooling) if !resembles(proposal, seen.settled) => {
            return taken(seen.settled).await;
        }
        _ => {}
    }
    match seen.newest.status {
        R::Active | R::Flagged | R::Cooling | R::Vetoed if is_open => {
            if let Some(found) = find_record(app, proposal, key, seen.newest, seen.head).await? {
                let transaction_hash = found.transaction;
                return Ok(Some((P::Submitted, Details { transaction_hash, ..Details::default() })));
            }
        }
        R::None if state == P::Submitted => return Ok(Some((P::Signed, Details::default()))),
        _ => {}
    }
    if is_open
        && seen.settled.status != R::None
        && find_record(app, proposal, key, seen.settled, seen.confirmed).await?.is_none()
    {
        return taken(seen.settled).await;
    }
    if !is_open || seen.newest.status != R::None {
        return Ok(None);
    }
    if proposal.release.deadline < U256::from(seen.confirmed.timestamp) {
        return because(P::Expired, "its deadline passed before anybody recorded it");
    }
    // The team of the newest block, which it was proposed by, may not be that of the confirmed one yet.
    if seen.package.state == PackageState::Retired || seen.package.epoch > proposal.release.epoch {
        return because(P::Withdrawn, "the team changed; propose it again");
    }
    let (name, version) = key;
    if app.chain.is_nonce_used(seen.confirmed, name, proposal.release.nonce).await? {
        // Nothing leads back from here: it is not this very release that was recorded between two answers.
        let head = app.chain.head(now()).await?;
        if app.chain.release(&head, name, version).await?.status != R::None {
            app.look.notify_one();
            return Ok(None);
        }
        return because(P::Withdrawn, "another release was recorded under its nonce; propose it again");
    }
    Ok(None)
}

/// Whether the version's record is still there and still another's when asked once more, of the newest block. Nothing
/// leads back from what follows, and of a block that is just being made a node may answer one question with what was
/// before it and the next with what is after it.
async fn is_anothers(
    app: &App,
    proposal: &Proposal,
    key: &(PackageName, Version),
) -> Result<bool, WatchError> {
    let head = app.chain.head(now()).await?;
    let record = app.chain.release(&head, &key.0, &key.1).await?;
    Ok(record.status != ReleaseStatus::None
        && find_record(app, proposal, key, &record, &head).await?.is_none())
}

/// Nobody will ask for the bytes of what ended without a record, unless another proposal is of the same.
async fn remove_tarballs(app: &App) -> Result<(), WatchError> {
    for ended in app.store.ended_tarballs().await? {
        // Whoever hands the same bytes in again does so before or after.
        let _alone = app.admission.keeping.lock().await;
        if !app.store.is_tarball_needed(&ended).await? {
            app.blobs.remove(&ended.integrity)?;
            tracing::info!(id = %ended.id, package = ended.package, "tarball removed: no record came of it");
        }
        app.store.note_tarball_removed(ended.id).await?;
    }
    Ok(())
}

async fn watch_changes(app: &App, changes: Vec<Change>, confirmed: &Head) -> Result<(), WatchError> {
    let mut readable: Vec<(Change, PackageName)> = Vec::new();
    for change in changes {
        if let Ok(name) = change.config.package_name.parse() {
            readable.push((change, name));
        }
    }
    let names: Vec<PackageName> = readable.iter().map(|(_, name)| name.clone()).collect();
    let packages = app.chain.packages(confirmed, &names).await?;
    for ((change, _), package) in readable.iter().zip(&packages) {
        let Some(to) = next_of_change(change, package, confirmed) else { continue };
        match app.store.move_change(change.id, change.state, to, now()).await {
            Err(StoreError::Moved { .. }) => app.look.notify_one(),
            Err(error) => return Err(error.into()),
            Ok(()) => {
                let package = &change.config.package_name;
                tracing::info!(id = %change.id, package, from = ?change.state, ?to, "moved");
            }
        }
    }
    Ok(())
}

fn next_of_change(change: &Change, package: &PackageRecord, confirmed: &Head) -> Option<ChangeState> {
    use ChangeState as C;
    let config = &change.config;
    if package.epoch >= config.epoch {
        let is_this = package.epoch == config.epoch
            && package.members == config.members
            && package.threshold == config.threshold
            && package.release_delay_hours == config.release_delay_hours
            && package.config_delay_hours == config.config_delay_hours
            && package.guardian == config.guardian
            && package.recovery_days == config.recovery_days
            && package.legacy_root == config.legacy_root;
        return Some(if is_this { C::Effective } else { C::Superseded });
    }
    if package.pending_change == change.id {
        return (change.state != C::Submitted).then_some(C::Submitted);
    }
    if change.state == C::Submitted {
        return Some(C::Signed);
    }
    (config.deadline < U256::from(confirmed.timestamp)).then_some(C::Expired)
}
