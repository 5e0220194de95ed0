//! Where the registries keep what: slots, and the fields within a word. Solidity's rules for storage applied to
//! the sources; the tests of `storage` compare every line here with the compiler's word and with the sources.
//! Knows no meaning of any value.

use alloy_primitives::{Address, B256, U256};

use crate::proof::mapping_slot;

/// `NameRegistry._names`: id to `Name`.
pub(super) const NAMES: U256 = U256::from_limbs([1, 0, 0, 0]);
/// `NameRegistry._seats`: id to epoch to `Seat[16]`.
pub(super) const SEATS: U256 = U256::from_limbs([2, 0, 0, 0]);
/// `PackageRegistry._records`: id to hash of the version to `Record`.
pub(super) const RECORDS: U256 = U256::ZERO;
/// `PackageRegistry._heads`: id to `Head`.
pub(super) const HEADS: U256 = U256::from_limbs([1, 0, 0, 0]);
/// `PackageRegistry._flaggedUntil`: id to hash of the version to Unix seconds.
pub(super) const FLAGGED_UNTIL: U256 = U256::from_limbs([4, 0, 0, 0]);

/// `NameRegistry.MAX_MEMBERS`: the seats of an epoch.
pub(super) const MAX_MEMBERS: usize = 16;

/// `Record.settled`.
pub(super) const OPEN: u64 = 1;
pub(super) const VETOED: u64 = 2;
pub(super) const REVOKED: u64 = 3;

/// A member of a struct: which of its words, how many bytes lie below it there, how many it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    #[cfg_attr(not(test), allow(dead_code, reason = "tests compare it with the sources"))]
    pub(super) name: &'static str,
    pub(super) word: u8,
    pub(super) below: usize,
    pub(super) bytes: usize,
}

pub(super) const fn field(name: &'static str, word: u8, below: usize, bytes: usize) -> Field {
    Field { name, word, below, bytes }
}

/// `NameRegistry.Name`.
pub(super) mod name {
    use super::{Field, field};

    pub(in crate::storage) const THRESHOLD: Field = field("threshold", 0, 0, 1);
    pub(in crate::storage) const MEMBERS: Field = field("members", 0, 1, 1);
    pub(in crate::storage) const RELEASE_DELAY_HOURS: Field = field("releaseDelayHours", 0, 2, 2);
    pub(in crate::storage) const CONFIG_DELAY_HOURS: Field = field("configDelayHours", 0, 4, 2);
    pub(in crate::storage) const RECOVERY_DAYS: Field = field("recoveryDays", 0, 6, 2);
    pub(in crate::storage) const EPOCH: Field = field("epoch", 0, 8, 4);
    pub(in crate::storage) const FINAL_AT: Field = field("finalAt", 0, 12, 5);
    pub(in crate::storage) const LAST_ACT_AT: Field = field("lastActAt", 0, 17, 5);
    #[cfg(test)]
    pub(in crate::storage) const ANCHOR_BLOCK: Field = field("anchorBlock", 0, 22, 8);
    pub(in crate::storage) const RECOVERY_PENDING: Field = field("recoveryPending", 0, 30, 1);
    pub(in crate::storage) const GUARDIAN: Field = field("guardian", 1, 0, 20);
    pub(in crate::storage) const PENDING_READY_AT: Field = field("pendingReadyAt", 1, 20, 5);
    pub(in crate::storage) const LEGACY_ROOT: Field = field("legacyRoot", 2, 0, 32);
    pub(in crate::storage) const PENDING_CHANGE: Field = field("pendingChange", 3, 0, 32);
}

/// `NameRegistry.Seat`.
pub(super) mod seat {
    use super::{Field, field};

    pub(in crate::storage) const MEMBER: Field = field("member", 0, 0, 20);
    pub(in crate::storage) const MEMBERS: Field = field("members", 0, 20, 1);
    pub(in crate::storage) const THRESHOLD: Field = field("threshold", 0, 21, 1);
}

/// `PackageRegistry.Record`.
pub(super) mod record {
    use super::{Field, field};

    pub(in crate::storage) const SHA512_HI: Field = field("sha512Hi", 0, 0, 32);
    pub(in crate::storage) const SHA512_LO: Field = field("sha512Lo", 1, 0, 32);
    pub(in crate::storage) const CONTENT_HASH: Field = field("contentHash", 2, 0, 32);
    pub(in crate::storage) const RELEASE_DELAY_HOURS: Field = field("releaseDelayHours", 3, 0, 1);
    pub(in crate::storage) const SETTLED: Field = field("settled", 3, 1, 1);
    pub(in crate::storage) const EPOCH: Field = field("epoch", 3, 2, 3);
    pub(in crate::storage) const SIGNERS: Field = field("signers", 3, 5, 2);
    pub(in crate::storage) const PUBLISHED_AT: Field = field("publishedAt", 3, 7, 5);
    pub(in crate::storage) const GIT_SHA: Field = field("gitSha", 3, 12, 20);
}

/// `PackageRegistry.Head`.
pub(super) mod head {
    use super::{Field, field};

    #[cfg(test)]
    pub(in crate::storage) const NEXT_NONCE: Field = field("nextNonce", 0, 0, 8);
    pub(in crate::storage) const RELEASES: Field = field("releases", 0, 8, 8);
    #[cfg(test)]
    pub(in crate::storage) const MARKS: Field = field("marks", 0, 16, 16);
}

pub(super) fn record_slot(id: B256, version_hash: B256) -> U256 {
    mapping_slot(version_hash, mapping_slot(id, RECORDS))
}

pub(super) fn seat_slot(id: B256, epoch: u64, seat: usize) -> U256 {
    mapping_slot(U256::from(epoch).into(), mapping_slot(id, SEATS)).wrapping_add(U256::from(seat))
}

/// The slot of a member of the struct at `first`.
pub(super) fn place(first: U256, field: Field) -> U256 {
    first.wrapping_add(U256::from(field.word))
}

/// The field's bytes, the highest first; `N` is its size.
pub(super) fn bytes<const N: usize>(word: U256, field: Field) -> [u8; N] {
    let lowest_first = word.to_le_bytes::<32>();
    let mut found = [0; N];
    for (to, from) in found.iter_mut().rev().zip(lowest_first.iter().skip(field.below).take(field.bytes)) {
        *to = *from;
    }
    found
}

/// A field of at most eight bytes.
pub(super) fn number(word: U256, field: Field) -> u64 {
    u64::from_be_bytes(bytes(word, field))
}

pub(super) fn address(word: U256, field: Field) -> Address {
    Address::from(bytes::<20>(word, field))
}

pub(super) fn whole(word: U256, field: Field) -> B256 {
    B256::from(bytes::<32>(word, field))
}
