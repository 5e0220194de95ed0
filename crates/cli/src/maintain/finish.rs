//! What follows a signature: is it enough, who sends it, what came of it. The signatures are checked here
//! before anything is sent, whatever the coordinator says of them.

use alloy_primitives::{Address, B256, Bytes};
use chain::{Chain, Head, calls};
use client::coordinator::CoordinatorClient;
use client::coordinator::api::{Change, Proposal};
use serde::Serialize;
use trust::record::{PackageRecord, ReleaseStatus};
use trust::signature::pack;
use wallet::Wallet;

use super::change::CheckedChange;
use super::review::CheckedRelease;
use super::signatures::{Gathered, verify_collected};
use super::submission::{submit_change, submit_release};
use super::wait::{self, Waited};
use crate::args::ApproveSwitches;
use crate::context::Context;
use crate::errors::Failure;
use crate::output::{Page, moment};
use crate::prompt;

/// Who is asked what, and through whom.
#[derive(Clone, Copy)]
pub(crate) struct Desk<'a> {
    /// The run.
    pub(crate) context: &'a Context,
    /// The contracts.
    pub(crate) chain: &'a Chain,
    /// The block everything was checked at.
    pub(crate) head: &'a Head,
    /// The coordinator.
    pub(crate) coordinator: &'a CoordinatorClient,
    /// The wallet.
    pub(crate) wallet: &'a dyn Wallet,
}

/// How far a release or a change has come.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Progress {
    /// The digest.
    pub(crate) id: B256,
    /// The package.
    pub(crate) package: String,
    /// The version, of a release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    /// Who signed, each signature checked here.
    pub(crate) signers: Vec<Address>,
    /// How many of the members now must sign.
    pub(crate) threshold: u8,
    /// Whether enough signed, of both teams for a change.
    pub(crate) complete: bool,
    /// The transaction we sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) transaction_hash: Option<B256>,
    /// `recorded`, `cooling`, `inForce`, `scheduled`, when it is on chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) on_chain: Option<&'static str>,
    /// When it counts, where it has to wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ready_at: Option<u64>,
    /// How it ended, when that was waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) waited: Option<Waited>,
    /// Signatures the coordinator listed that do not count.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) rejected_signatures: Vec<String>,
}

/// Whether the signer is asked before a complete set is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// There is a choice.
    First,
    /// It was what the command is for.
    No,
}

/// After a signature of a release.
pub(crate) async fn finish_release(
    desk: Desk<'_>,
    checked: &CheckedRelease,
    proposal: &Proposal,
    package: &PackageRecord,
    own: Option<&Bytes>,
    switches: ApproveSwitches,
    ask: Ask,
) -> Result<Progress, Failure> {
    let mut gathered =
        verify_collected(desk.chain, desk.head, checked.id(), &package.members, &proposal.signatures).await?;
    // The wallet's own was checked when it was made.
    if let Some(own) = own {
        gathered.valid.insert(desk.wallet.address(), own.clone());
    }
    drop_withdrawn(desk, checked, &mut gathered).await?;
    let complete = gathered.count(&package.members) >= usize::from(package.threshold);
    let mut progress = Progress {
        id: checked.id(),
        package: checked.name().to_string(),
        version: Some(checked.version().to_string()),
        signers: gathered.valid.keys().copied().collect(),
        threshold: package.threshold,
        complete,
        transaction_hash: None,
        on_chain: None,
        ready_at: None,
        waited: None,
        rejected_signatures: gathered.rejected.clone(),
    };
    let subject = format!("{}@{}", checked.name(), checked.version());
    if !complete || !wants_to_submit(desk, &subject, switches, ask).await? {
        return Ok(progress);
    }
    let signatures = gathered.of(&package.members);
    let (submitted, record) =
        submit_release(desk.context, desk.chain, desk.wallet, checked, package, &signatures).await?;
    progress.transaction_hash = submitted.transaction;
    progress.on_chain = Some(if record.status == ReleaseStatus::Cooling { "cooling" } else { "recorded" });
    progress.ready_at = (record.status == ReleaseStatus::Cooling).then_some(record.active_at);
    if let Some(hash) = submitted.transaction
        && let Err(error) = desk.coordinator.notify_submission(checked.id(), hash).await
    {
        desk.context
            .output
            .warn(&format!("the coordinator was not told ({error}); it watches the chain and will see"));
    }
    if let Some(seconds) = switches.wait {
        progress.waited =
            Some(wait::until_published(desk.context, desk.coordinator, checked.id(), seconds).await?);
    }
    Ok(progress)
}

/// After a signature of a team change.
pub(crate) async fn finish_change(
    desk: Desk<'_>,
    checked: &CheckedChange,
    change: &Change,
    package: &PackageRecord,
    own: Option<&Bytes>,
    switches: ApproveSwitches,
    ask: Ask,
) -> Result<Progress, Failure> {
    let config = checked.config();
    let mut eligible = package.members.clone();
    eligible.extend(config.members.iter().filter(|member| !package.members.contains(member)));
    let mut gathered =
        verify_collected(desk.chain, desk.head, checked.id(), &eligible, &change.signatures).await?;
    if let Some(own) = own {
        gathered.valid.insert(desk.wallet.address(), own.clone());
    }
    let complete = gathered.count(&package.members) >= usize::from(package.threshold)
        && gathered.count(&config.members) >= usize::from(config.threshold);
    let mut progress = Progress {
        id: checked.id(),
        package: checked.name().to_string(),
        version: None,
        signers: gathered.valid.keys().copied().collect(),
        threshold: package.threshold,
        complete,
        transaction_hash: None,
        on_chain: None,
        ready_at: None,
        waited: None,
        rejected_signatures: gathered.rejected.clone(),
    };
    let subject = format!("the team change of {}", checked.name());
    if !complete || !wants_to_submit(desk, &subject, switches, ask).await? {
        return Ok(progress);
    }
    let current = pack(&package.members, &gathered.of(&package.members))?;
    let new = pack(&config.members, &gathered.of(&config.members))?;
    let call = calls::configure(desk.chain.network(), config, &current, &new);
    let (submitted, after) =
        submit_change(desk.context, desk.chain, desk.wallet, checked.name(), (checked.id(), config), &call)
            .await?;
    progress.transaction_hash = submitted.transaction;
    let waits = after.pending_change == checked.id();
    progress.on_chain = Some(if waits { "scheduled" } else { "inForce" });
    progress.ready_at = waits.then_some(after.pending_ready_at);
    if let Some(hash) = submitted.transaction
        && let Err(error) = desk.coordinator.notify_change(checked.id(), hash).await
    {
        desk.context
            .output
            .warn(&format!("the coordinator was not told ({error}); it watches the chain and will see"));
    }
    Ok(progress)
}

/// A signature that its member took back would make the whole set fail.
async fn drop_withdrawn(
    desk: Desk<'_>,
    checked: &CheckedRelease,
    gathered: &mut Gathered,
) -> Result<(), Failure> {
    let signers: Vec<Address> = gathered.valid.keys().copied().collect();
    for signer in signers {
        let nonce = checked.release().nonce;
        if desk.chain.is_withdrawn(desk.head, checked.name(), nonce, signer).await? {
            gathered.valid.remove(&signer);
            gathered.rejected.push(format!("{signer} took its signature back"));
        }
    }
    Ok(())
}

async fn wants_to_submit(
    desk: Desk<'_>,
    subject: &str,
    switches: ApproveSwitches,
    ask: Ask,
) -> Result<bool, Failure> {
    if switches.no_submit {
        return Ok(false);
    }
    if switches.submit || switches.yes || ask == Ask::No {
        return Ok(true);
    }
    if !desk.context.interactive {
        return Ok(false);
    }
    prompt::ask_yes_or_no(&format!("Enough have signed. Send {subject} to the chain now?")).await
}

impl Progress {
    /// For people.
    pub(crate) fn render(&self, page: &mut Page) {
        let (what, target) = match &self.version {
            Some(version) => (format!("{}@{version}", self.package), format!("{}@{version}", self.package)),
            None => (format!("the team change of {}", self.package), self.id.to_string()),
        };
        match (self.on_chain, self.complete) {
            (Some("recorded"), _) => page.good(&format!("{what} is recorded on chain")),
            (Some("cooling"), _) => {
                page.good(&format!("{what} is recorded on chain, and cools until it is active"))
            }
            (Some("inForce"), _) => page.good(&format!("{what} is in force")),
            (Some(_), _) => page.good(&format!("{what} is recorded on chain, and waits")),
            (None, true) => page.good(&format!("{what} has enough signatures")),
            (None, false) => page.title(&format!("{what} is signed, and needs more signatures")),
        }
        page.field("id", self.id);
        let signers: Vec<String> = self.signers.iter().map(ToString::to_string).collect();
        page.field("signed by", signers.join(", "));
        if let (Some(_), false) = (&self.version, self.complete) {
            page.field("signatures", format!("{} of {}", self.signers.len(), self.threshold));
        }
        if let Some(hash) = self.transaction_hash {
            page.field("transaction", hash);
        }
        if let Some(at) = self.ready_at {
            page.field("ready", moment(at));
        }
        for rejected in &self.rejected_signatures {
            page.warn(&format!("  not counted: {rejected}"));
        }
        if let Some(waited) = &self.waited {
            waited.render(page);
        }
        match (self.on_chain, self.complete) {
            (Some("scheduled"), _) => page.next(&format!("when it is ready: 3pm submit {target}")),
            (Some(_), _) if self.version.is_some() && self.waited.is_none() => {
                page.line("  the coordinator publishes these bytes to npm once the record is final");
                page.next(&format!("3pm status {target}"));
            }
            (Some(_), _) => {}
            (None, true) => page.next(&format!("anybody: 3pm submit {target}")),
            (None, false) => page.next(&format!("the other members: 3pm approve {target}")),
        }
    }
}
