//! Sending to the chain what enough members signed, and reading back what came of it. Who sends does not
//! matter to the contracts; that what was meant is what is recorded matters to us.

use std::collections::BTreeMap;
use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes};
use chain::calls::{self, Call};
use chain::{Chain, Head};
use trust::PackageName;
use trust::message::{Config, Release};
use trust::record::{PackageRecord, PackageState, ReleaseRecord, ReleaseStatus};
use trust::signature::pack;
use wallet::Wallet;

use super::review::CheckedRelease;
use crate::context::Context;
use crate::errors::{Explain as _, Failure};

/// How long a transaction may take to get into a block.
const RECEIPT_LIMIT: Duration = Duration::from_secs(120);

/// How long the endpoints may take to agree on a block that one of them has.
const HEAD_LIMIT: Duration = Duration::from_secs(30);

/// Between two looks at the newest block.
const HEAD_PAUSE: Duration = Duration::from_millis(300);

/// What came of a submission.
#[derive(Debug, Clone)]
pub(crate) struct Submitted {
    /// The transaction; `None` when somebody else was faster and the same thing is on chain.
    pub(crate) transaction: Option<B256>,
    /// The block it was read back at.
    pub(crate) head: Head,
}

/// Records a release that has enough signatures, and reads it back.
pub(crate) async fn submit_release(
    context: &Context,
    chain: &Chain,
    wallet: &dyn Wallet,
    checked: &CheckedRelease,
    package: &PackageRecord,
    signatures: &BTreeMap<Address, Bytes>,
) -> Result<(Submitted, ReleaseRecord), Failure> {
    let subject = format!("{}@{}", checked.name(), checked.version());
    let set = pack(&package.members, signatures)?;
    let call = calls::publish(chain.network(), checked.release(), &set)?;
    let sent = send(context, chain, wallet, &call).await;
    // Somebody else may have sent the same thing meanwhile; the record decides, not the error.
    let head = match &sent {
        Ok(submitted) => submitted.head,
        Err(_) => context.head(chain).await?,
    };
    let record = chain.release(&head, checked.name(), checked.version()).await?;
    let transaction = match sent {
        Ok(submitted) => submitted.transaction,
        Err(_) if is_recorded(&record, checked.release()) => None,
        Err(failure) => return Err(failure.while_doing(format!("{subject} could not be recorded"))),
    };
    if !is_recorded(&record, checked.release()) {
        return Err(Failure::mismatch(
            format!("the chain recorded something else for {subject} than was sent"),
            &checked.release().integrity,
            record.integrity,
        ));
    }
    Ok((Submitted { transaction, head }, record))
}

/// Sets a team that both sets signed, or schedules it where changes wait, and reads it back. `id` is the digest of
/// `config`, by which a change waits.
pub(crate) async fn submit_change(
    context: &Context,
    chain: &Chain,
    wallet: &dyn Wallet,
    name: &PackageName,
    (id, config): (B256, &Config),
    call: &Call,
) -> Result<(Submitted, PackageRecord), Failure> {
    let submitted = send(context, chain, wallet, call)
        .await
        .while_doing(format!("the team change of {name} could not be recorded"))?;
    let package = chain.package(&submitted.head, name).await?;
    if package.pending_change != id && !is_in_force(&package, config) {
        return Err(Failure::mismatch(
            format!("the chain has another team of {name} than was sent"),
            super::change::team_in_words(&config.members, config.threshold),
            super::change::team_in_words(&package.members, package.threshold),
        ));
    }
    Ok((submitted, package))
}

/// Sends a transaction and waits until every endpoint we ask can see its block.
pub(crate) async fn send(
    context: &Context,
    chain: &Chain,
    wallet: &dyn Wallet,
    call: &Call,
) -> Result<Submitted, Failure> {
    let progress = context.output.progress("waiting for the wallet to send the transaction");
    let transaction = wallet.send_transaction(chain.network().chain_id, call).await?;
    progress.say(&format!("waiting for transaction {transaction}"));
    let receipt = chain
        .wait_for_receipt(transaction, RECEIPT_LIMIT)
        .await
        .hint("it may still get into a block: look again with 3pm status")?;
    if !receipt.success {
        return Err(Failure::not_possible(format!("transaction {transaction} was refused by the contract")));
    }
    let head = head_from(context, chain, receipt.block_number).await?;
    Ok(Submitted { transaction: Some(transaction), head })
}

/// A block to read at that is not before `number`.
async fn head_from(context: &Context, chain: &Chain, number: u64) -> Result<Head, Failure> {
    let waiting = async {
        loop {
            let head = context.head(chain).await?;
            if head.number >= number {
                return Ok(head);
            }
            tokio::time::sleep(HEAD_PAUSE).await;
        }
    };
    match tokio::time::timeout(HEAD_LIMIT, waiting).await {
        Ok(head) => head,
        Err(_) => Err(Failure::unknown(format!(
            "the endpoints did not show block {number} within {} s, though the transaction is in it",
            HEAD_LIMIT.as_secs()
        ))),
    }
}

fn is_recorded(record: &ReleaseRecord, release: &Release) -> bool {
    !matches!(record.status, ReleaseStatus::None)
        && record.integrity.to_string() == release.integrity
        && record.content_hash.0 == release.contentHash
}

/// Whether the team on chain is exactly this configuration.
pub(crate) fn is_in_force(package: &PackageRecord, config: &Config) -> bool {
    let state = if config.members.is_empty() { PackageState::Retired } else { PackageState::Final };
    package.state == state
        && package.epoch == config.epoch
        && package.members == config.members
        && package.threshold == config.threshold
        && package.legacy_root == config.legacyRoot
        && package.release_delay_hours == config.releaseDelayHours
        && package.config_delay_hours == config.configDelayHours
        && package.recovery_days == config.recoveryDays
        && package.guardian == config.guardian
}
