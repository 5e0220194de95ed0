//! The registries' words as records: which slots to prove, and what the proven words say. Gives the same
//! records as the contracts' own reads (`getPackage`, `getRelease`). Proves nothing itself: see `proof`.
//!
//! A record is read in two steps, because where its seats are depends on its first word:
//! 1. the first word ([`name_slot`], [`release_slot`]); for a name nobody claimed it is all there is,
//! 2. the slots that [`StoredName`] or [`StoredRelease`] then asks for.
//!
//! Layout: Solidity's rules for storage, applied to `contracts/src/{NameRegistry,PackageRegistry}.sol`. The
//! contracts cannot change, so it is frozen; a client pins their code, so that it cannot meet another one.

mod layout;

use alloy_primitives::{B256, FixedBytes, U256};

use self::layout::{
    FLAGGED_UNTIL, Field, HEADS, MAX_MEMBERS, NAMES, OPEN, REVOKED, VETOED, address, bytes, head, name,
    number, place, record, record_slot, seat, seat_slot, whole,
};
use crate::proof::{ProvenHeader, ProvenStorage, mapping_slot};
use crate::record::{PackageRecord, PackageState, ReleaseRecord, ReleaseStatus};
use crate::{ContentHash, Integrity};

/// Why words are no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// A slot that the record needs was not proven.
    #[error("slot {slot:#x} was not proven")]
    Missing {
        /// The slot.
        slot: U256,
    },
    /// The pinned code never stores this: it is other code, or other words than we believe.
    #[error("the words of a {what} are impossible: {reason}")]
    Impossible {
        /// Name, or release.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
}

/// The slot in `NameRegistry` of the first word of a name.
#[must_use]
pub fn name_slot(id: B256) -> U256 {
    mapping_slot(id, NAMES)
}

/// The slot in `PackageRegistry` of the word of a release that tells whether there is one.
#[must_use]
pub fn release_slot(id: B256, version_hash: B256) -> U256 {
    place(record_slot(id, version_hash), record::SETTLED)
}

/// The slot in `PackageRegistry` of the word that counts the releases of a name.
#[must_use]
pub fn release_count_slot(id: B256) -> U256 {
    mapping_slot(id, HEADS)
}

/// How many releases of a name were recorded, tombstones not counted.
pub fn release_count(id: B256, packages: &ProvenStorage) -> Result<u64, StorageError> {
    Ok(number(proven(packages, release_count_slot(id))?, head::RELEASES))
}

/// A name of which the first word is proven.
#[derive(Debug, Clone)]
pub struct StoredName {
    id: B256,
    first: U256,
}

impl StoredName {
    /// Step 1.
    pub fn begin(id: B256, names: &ProvenStorage) -> Result<Self, StorageError> {
        Ok(Self { id, first: proven(names, name_slot(id))? })
    }

    /// Step 2: the slots in `NameRegistry` that its record needs besides.
    #[must_use]
    pub fn slots(&self) -> Vec<U256> {
        if self.number(name::FINAL_AT) == 0 {
            return vec![];
        }
        let first = name_slot(self.id);
        let words = [name::GUARDIAN, name::LEGACY_ROOT, name::PENDING_CHANGE];
        let seats = (0..self.members()).map(|seat| seat_slot(self.id, self.number(name::EPOCH), seat));
        words.map(|field| place(first, field)).into_iter().chain(seats).collect()
    }

    /// The name at the time of `header`, where the contracts make claims final after `claim_window` seconds.
    pub fn record(
        &self,
        names: &ProvenStorage,
        header: &ProvenHeader,
        claim_window: u64,
    ) -> Result<PackageRecord, StorageError> {
        const WHAT: &str = "name";
        let final_at = self.number(name::FINAL_AT);
        if final_at == 0 {
            return Ok(PackageRecord::unclaimed());
        }
        let state = if header.timestamp() < U256::from(final_at) {
            PackageState::Provisional
        } else if self.number(name::MEMBERS) == 0 {
            PackageState::Retired
        } else {
            PackageState::Final
        };
        let (members, threshold) = (self.number(name::MEMBERS), self.number(name::THRESHOLD));
        agree(WHAT, "members", members, 0..=MAX_MEMBERS as u64)?;
        agree(WHAT, "threshold", threshold, members.min(1)..=members)?;
        let word = |field: Field| proven(names, place(name_slot(self.id), field));
        let (guardian, root, change) =
            (word(name::GUARDIAN)?, word(name::LEGACY_ROOT)?, word(name::PENDING_CHANGE)?);
        let seats = (0..self.members())
            .map(|seat| proven(names, seat_slot(self.id, self.number(name::EPOCH), seat)))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(first) = seats.first() {
            agree(WHAT, "members of seat 0", number(*first, seat::MEMBERS), members..=members)?;
            agree(WHAT, "threshold of seat 0", number(*first, seat::THRESHOLD), threshold..=threshold)?;
        }
        Ok(PackageRecord {
            state,
            members: seats.into_iter().map(|seat| address(seat, seat::MEMBER)).collect(),
            threshold: narrow(WHAT, threshold)?,
            release_delay_hours: narrow(WHAT, self.number(name::RELEASE_DELAY_HOURS))?,
            config_delay_hours: narrow(WHAT, self.number(name::CONFIG_DELAY_HOURS))?,
            recovery_days: narrow(WHAT, self.number(name::RECOVERY_DAYS))?,
            guardian: address(guardian, name::GUARDIAN),
            legacy_root: whole(root, name::LEGACY_ROOT),
            epoch: narrow(WHAT, self.number(name::EPOCH))?,
            claimed_at: final_at.checked_sub(claim_window).ok_or_else(|| {
                impossible(WHAT, format!("final at {final_at}, within the first {claim_window} seconds"))
            })?,
            final_at,
            retired_at: if state == PackageState::Retired { self.number(name::LAST_ACT_AT) } else { 0 },
            pending_change: whole(change, name::PENDING_CHANGE),
            pending_ready_at: number(guardian, name::PENDING_READY_AT),
            recovery_pending: self.number(name::RECOVERY_PENDING) != 0,
        })
    }

    fn number(&self, field: Field) -> u64 {
        number(self.first, field)
    }

    /// How many seats there are to read; never more than an epoch has.
    fn members(&self) -> usize {
        usize::try_from(self.number(name::MEMBERS)).unwrap_or(MAX_MEMBERS).min(MAX_MEMBERS)
    }
}

/// A release of which the word with its status is proven.
#[derive(Debug, Clone)]
pub struct StoredRelease {
    id: B256,
    version_hash: B256,
    meta: U256,
}

impl StoredRelease {
    /// Step 1.
    pub fn begin(id: B256, version_hash: B256, packages: &ProvenStorage) -> Result<Self, StorageError> {
        Ok(Self { id, version_hash, meta: proven(packages, release_slot(id, version_hash))? })
    }

    /// Step 2: the slots in `PackageRegistry` that its record needs besides.
    #[must_use]
    pub fn package_slots(&self) -> Vec<U256> {
        if !self.is_recorded() {
            return vec![];
        }
        let first = record_slot(self.id, self.version_hash);
        let words = [record::SHA512_HI, record::SHA512_LO, record::CONTENT_HASH];
        words.map(|field| place(first, field)).into_iter().chain([self.flag_slot()]).collect()
    }

    /// Step 2: the slots in `NameRegistry` that its record needs: seat 0, and those of the signers.
    #[must_use]
    pub fn name_slots(&self) -> Vec<U256> {
        if !self.is_recorded() {
            return vec![];
        }
        let signers = self.signers().filter(|seat| *seat != 0);
        [0].into_iter().chain(signers).map(|seat| self.seat_slot(seat)).collect()
    }

    /// The release at the time of `header`.
    pub fn record(
        &self,
        packages: &ProvenStorage,
        names: &ProvenStorage,
        header: &ProvenHeader,
    ) -> Result<ReleaseRecord, StorageError> {
        const WHAT: &str = "release";
        let settled = self.number(record::SETTLED);
        agree(WHAT, "settled", settled, 0..=REVOKED)?;
        if !self.is_recorded() {
            // A tombstone has nothing but its status.
            return match settled {
                0 => Ok(without_record(ReleaseStatus::None)),
                REVOKED => Ok(without_record(ReleaseStatus::Revoked)),
                other => Err(impossible(WHAT, format!("settled is {other}, yet nothing was recorded"))),
            };
        }
        let word = |field: Field| proven(packages, place(record_slot(self.id, self.version_hash), field));
        let flagged_until = proven(packages, self.flag_slot())?;
        let flagged_until = u64::try_from(flagged_until)
            .map_err(|_| impossible(WHAT, format!("flagged until {flagged_until}")))?;
        let published_at = self.number(record::PUBLISHED_AT);
        let active_at =
            published_at.saturating_add(self.number(record::RELEASE_DELAY_HOURS).saturating_mul(3600));
        let now = header.timestamp();
        let status = match settled {
            REVOKED => ReleaseStatus::Revoked,
            VETOED => ReleaseStatus::Vetoed,
            OPEN if now < U256::from(active_at) => ReleaseStatus::Cooling,
            OPEN if now < U256::from(flagged_until) => ReleaseStatus::Flagged,
            OPEN => ReleaseStatus::Active,
            other => return Err(impossible(WHAT, format!("recorded, yet settled is {other}"))),
        };
        let first = proven(names, self.seat_slot(0))?;
        let (members, threshold) = (number(first, seat::MEMBERS), number(first, seat::THRESHOLD));
        agree(WHAT, "members of its epoch", members, 1..=MAX_MEMBERS as u64)?;
        let signers = self
            .signers()
            .map(|seat| {
                agree(WHAT, "seat of a signer", seat as u64, 0..=members.saturating_sub(1))?;
                Ok(address(proven(names, self.seat_slot(seat))?, seat::MEMBER))
            })
            .collect::<Result<Vec<_>, StorageError>>()?;
        agree(WHAT, "threshold of its epoch", threshold, 1..=signers.len() as u64)?;
        Ok(ReleaseRecord {
            status,
            integrity: Integrity::from_words(
                whole(word(record::SHA512_HI)?, record::SHA512_HI),
                whole(word(record::SHA512_LO)?, record::SHA512_LO),
            ),
            content_hash: ContentHash(whole(word(record::CONTENT_HASH)?, record::CONTENT_HASH)),
            git_sha: FixedBytes(bytes(self.meta, record::GIT_SHA)),
            published_at,
            active_at,
            epoch: narrow(WHAT, self.number(record::EPOCH))?,
            threshold: narrow(WHAT, threshold)?,
            signers,
            flagged_until,
        })
    }

    fn is_recorded(&self) -> bool {
        self.number(record::PUBLISHED_AT) != 0
    }

    fn number(&self, field: Field) -> u64 {
        number(self.meta, field)
    }

    /// The seats whose bit is set, rising.
    fn signers(&self) -> impl Iterator<Item = usize> + use<> {
        let bits = self.number(record::SIGNERS);
        let is_set = move |seat: &usize| bits.wrapping_shr(u32::try_from(*seat).unwrap_or(63)) & 1 == 1;
        (0..MAX_MEMBERS).filter(is_set)
    }

    fn seat_slot(&self, seat: usize) -> U256 {
        seat_slot(self.id, self.number(record::EPOCH), seat)
    }

    fn flag_slot(&self) -> U256 {
        mapping_slot(self.version_hash, mapping_slot(self.id, FLAGGED_UNTIL))
    }
}

fn proven(storage: &ProvenStorage, slot: U256) -> Result<U256, StorageError> {
    storage.word(slot).ok_or(StorageError::Missing { slot })
}

fn narrow<T: TryFrom<u64>>(what: &'static str, value: u64) -> Result<T, StorageError> {
    T::try_from(value).map_err(|_| impossible(what, format!("{value} is too large for its field")))
}

fn agree(
    what: &'static str,
    field: &str,
    found: u64,
    expected: std::ops::RangeInclusive<u64>,
) -> Result<(), StorageError> {
    if expected.contains(&found) {
        return Ok(());
    }
    let (low, high) = expected.into_inner();
    Err(impossible(what, format!("{field} is {found}, expected {low} to {high}")))
}

fn impossible(what: &'static str, reason: String) -> StorageError {
    StorageError::Impossible { what, reason }
}

fn without_record(status: ReleaseStatus) -> ReleaseRecord {
    ReleaseRecord {
        status,
        integrity: Integrity::from_words(B256::ZERO, B256::ZERO),
        content_hash: ContentHash(B256::ZERO),
        git_sha: FixedBytes::ZERO,
        published_at: 0,
        active_at: 0,
        epoch: 0,
        threshold: 0,
        signers: vec![],
        flagged_until: 0,
    }
}

#[cfg(test)]
mod tests;
