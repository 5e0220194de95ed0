//! Whether a record is of a proposal. Two proposals may be of the same bytes, and the record keeps no digest.
//!
//! Steps: 1. both hashes, 2. the commit, of which the record keeps 20 bytes, and the epoch, 3. it was recorded
//! before the proposal's deadline, 4. the proposal's nonce is used, 5. everything in the event, where one is
//! found: endpoints serve events of recent blocks only, and some serve none. The deadline itself is in neither;
//! two proposals that differ in nothing else are one release.

use alloy_primitives::{B256, U256};
use chain::{ChainError, Head};
use client::coordinator::api::Proposal;
use trust::message::Release;
use trust::record::ReleaseRecord;
use trust::{PackageName, Version};

use crate::app::App;

/// Blocks that are searched for the event of a record: what public endpoints answer in one question.
const EVENT_SEARCH: u64 = 2_000;

/// A record that is of the proposal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recorded {
    /// The transaction that recorded it, where the event was found; for people to look at.
    pub(crate) transaction: Option<B256>,
}

/// All steps; `None` when the record at that block is of another release.
pub(crate) async fn find_record(
    app: &App,
    proposal: &Proposal,
    (name, version): &(PackageName, Version),
    record: &ReleaseRecord,
    at: &Head,
) -> Result<Option<Recorded>, ChainError> {
    // 1. to 3.
    if !resembles(proposal, record) {
        return Ok(None);
    }
    // 4.
    if !app.chain.is_nonce_used(at, name, proposal.release.nonce).await? {
        return Ok(None);
    }
    // 5.
    let from = at.number.saturating_sub(EVENT_SEARCH);
    let events = match app.chain.releases_published(from, at.number).await {
        Ok(events) => events,
        Err(error) => {
            tracing::debug!(%error, "no events were read; the nonce decides");
            Vec::new()
        }
    };
    // Of several, in a chain that was set back meanwhile, the last one counts.
    let event = events.into_iter().rfind(|event| event.name == *name && event.version == *version);
    let Some(event) = event else { return Ok(Some(Recorded { transaction: None })) };
    let proposed = Release::from(proposal.release.clone());
    let same = Release { deadline: proposed.deadline, ..event.release } == proposed;
    Ok(same.then_some(Recorded { transaction: Some(event.transaction_hash) }))
}

/// Steps 1 to 3: what the record alone says.
pub(crate) fn resembles(proposal: &Proposal, record: &ReleaseRecord) -> bool {
    has_its_bytes(proposal, record)
        && proposal.release.git_sha.get(..20) == Some(record.git_sha.as_slice())
        && record.epoch == proposal.release.epoch
        && U256::from(record.published_at) < proposal.release.deadline
}

/// Step 1.
pub(crate) fn has_its_bytes(proposal: &Proposal, record: &ReleaseRecord) -> bool {
    record.integrity == proposal.tarball.integrity && record.content_hash == proposal.tarball.content_hash
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, FixedBytes};
    use trust::TarballHashes;
    use trust::record::ReleaseStatus;

    use super::*;
    use crate::store::tests::proposal;

    fn record(proposal: &Proposal) -> ReleaseRecord {
        ReleaseRecord {
            status: ReleaseStatus::Active,
            integrity: proposal.tarball.integrity,
            content_hash: proposal.tarball.content_hash,
            git_sha: FixedBytes::from_slice(&proposal.release.git_sha[..20]),
            published_at: 1_000,
            active_at: 1_000,
            epoch: proposal.release.epoch,
            threshold: 1,
            signers: vec![Address::ZERO],
            flagged_until: 0,
        }
    }

    #[test]
    fn a_record_resembles_a_proposal_in_all_that_it_keeps() {
        let proposal = proposal("a", "1.0.0", b"bytes", 7);
        assert!(resembles(&proposal, &record(&proposal)));
        let other = TarballHashes::of(b"other");
        type Change<'a> = &'a dyn Fn(&mut ReleaseRecord);
        let cases: [(&str, Change<'_>); 5] = [
            ("integrity", &|record| record.integrity = other.integrity),
            ("content hash", &|record| record.content_hash = other.content_hash),
            ("commit", &|record| record.git_sha = FixedBytes::repeat_byte(9)),
            ("epoch", &|record| record.epoch += 1),
            ("deadline", &|record| record.published_at = u64::MAX),
        ];
        for (what, change) in cases {
            let mut record = record(&proposal);
            change(&mut record);
            assert!(!resembles(&proposal, &record), "{what}");
        }
    }
}
