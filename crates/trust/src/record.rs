//! What the chain says about a name and about a release, as plain values. Who asked the chain, and
//! how sure it is of the answer, is `chain`'s matter.

use alloy_primitives::{Address, B256, FixedBytes};
use serde::{Deserialize, Serialize};

use crate::{ContentHash, Integrity};

/// Where a name stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PackageState {
    /// Never claimed.
    None,
    /// Claimed, yet within the window in which a newer claim replaces it: nothing can be recorded.
    Provisional,
    /// Claimed for good.
    Final,
    /// Given up by its members; old records stand.
    Retired,
}

/// A package name on chain. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PackageRecord {
    /// Where the name stands.
    pub state: PackageState,
    /// The members, in the order of the signer bitmap.
    pub members: Vec<Address>,
    /// How many of them must sign.
    pub threshold: u8,
    /// Hours a release cools before it is Active.
    pub release_delay_hours: u16,
    /// Hours a configuration waits before it takes effect.
    pub config_delay_hours: u16,
    /// Days without an act after which recovery may start.
    pub recovery_days: u16,
    /// Who may start a recovery; zero for nobody.
    pub guardian: Address,
    /// Root over the versions of before the claim; zero for none.
    pub legacy_root: B256,
    /// Which configuration this is; a claim is 0.
    pub epoch: u32,
    /// When the name was claimed.
    pub claimed_at: u64,
    /// When the claim becomes, or became, final.
    pub final_at: u64,
    /// When the members gave the name up; zero for never.
    pub retired_at: u64,
    /// Hash of a change that waits; zero for none.
    pub pending_change: B256,
    /// When it can take effect.
    pub pending_ready_at: u64,
    /// Whether that change is a recovery.
    pub recovery_pending: bool,
}

impl PackageRecord {
    /// What the contracts say of a name that nobody claimed.
    #[must_use]
    pub fn unclaimed() -> Self {
        Self {
            state: PackageState::None,
            members: vec![],
            threshold: 0,
            release_delay_hours: 0,
            config_delay_hours: 0,
            recovery_days: 0,
            guardian: Address::ZERO,
            legacy_root: B256::ZERO,
            epoch: 0,
            claimed_at: 0,
            final_at: 0,
            retired_at: 0,
            pending_change: B256::ZERO,
            pending_ready_at: 0,
            recovery_pending: false,
        }
    }
}

/// The status of a release as the contract ranks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReleaseStatus {
    /// No record.
    None,
    /// Signed, recorded, past its delay.
    Active,
    /// Active, with a member's warning that has not ended.
    Flagged,
    /// Recorded, within its delay.
    Cooling,
    /// Stopped by a member while it cooled. Final.
    Vetoed,
    /// Taken back by M of N, or a tombstone. Final.
    Revoked,
}

/// A release on chain. Without a record everything but `status` is zero or empty. Times are Unix
/// seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseRecord {
    /// Where the release stands.
    pub status: ReleaseStatus,
    /// The signed SHA-512.
    pub integrity: Integrity,
    /// The signed SHA-256.
    pub content_hash: ContentHash,
    /// First 20 bytes of the signed git commit.
    pub git_sha: FixedBytes<20>,
    /// When it was recorded.
    pub published_at: u64,
    /// When it becomes, or became, Active.
    pub active_at: u64,
    /// The configuration under which it was signed.
    pub epoch: u32,
    /// The threshold of that configuration.
    pub threshold: u8,
    /// Who signed.
    pub signers: Vec<Address>,
    /// When a member's warning ends; zero for none.
    pub flagged_until: u64,
}
