//! What was once seen on chain and cannot be taken back: a later view that shows less is an older one, or a lie.
//! Holds the facts and compares; where they are kept between runs, and who saw them, is the caller's matter.
//!
//! What the contracts never undo, each with a test that breaks only it: 1. an enrolled name stays enrolled, 2. its
//! epoch never falls, 3. what one epoch says never changes, nor when the name was claimed, 4. the number of its
//! releases never falls, 5. a record stays and keeps its bytes, its signers and its times, 6. a veto and a revocation are final, 7. a warning never ends earlier than announced.

use std::collections::BTreeMap;

use alloy_primitives::{B256, keccak256};
use serde::{Deserialize, Serialize};

use crate::record::{PackageRecord, PackageState, ReleaseRecord, ReleaseStatus};
use crate::{ContentHash, PackageName, Version};

/// Everything that was ever seen of one deployment, as far as it cannot be undone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Past {
    /// The highest block.
    block: u64,
    /// Enrolled names; there is nothing to remember of others.
    names: BTreeMap<PackageName, KnownName>,
}

/// An enrolled name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct KnownName {
    /// The block it was seen at last.
    seen_at: u64,
    epoch: u32,
    /// Hash of what that epoch says; `None` while only releases of the name were seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    configuration: Option<B256>,
    #[serde(default)]
    releases: u64,
    #[serde(default)]
    versions: BTreeMap<String, KnownRelease>,
}

/// A version with a record, or a tombstone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct KnownRelease {
    standing: Standing,
    content_hash: ContentHash,
    /// Hash of everything else that is never written again; `None` where an older version kept it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    facts: Option<B256>,
    #[serde(default, skip_serializing_if = "is_zero")]
    flagged_until: u64,
}

/// Ordered: the contracts only ever move it up from `Open`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Standing {
    Open,
    Vetoed,
    Revoked,
}

/// A view that shows less than an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the chain shows an older state of {subject} than one already seen: expected {expected}, found {found}"
)]
pub struct WentBack {
    /// A name, or `name@version`.
    pub subject: String,
    /// What was seen, in words.
    pub expected: String,
    /// What is shown now.
    pub found: String,
}

impl Past {
    /// The highest block seen; 0 for none.
    #[must_use]
    pub fn block(&self) -> u64 {
        self.block
    }

    /// Notes a block.
    pub fn see_block(&mut self, number: u64) {
        self.block = self.block.max(number);
    }

    /// Steps 1 to 3, and notes what is new.
    pub fn see_package(
        &mut self,
        name: &PackageName,
        record: &PackageRecord,
        block: u64,
    ) -> Result<(), WentBack> {
        let known = self.names.get(name);
        let went_back =
            |expected: String, found: String| Err(WentBack { subject: name.to_string(), expected, found });
        // 1.
        let state = match record.state {
            PackageState::Final | PackageState::Retired => None,
            PackageState::None => Some("a name that nobody claimed"),
            PackageState::Provisional => Some("a claim that is not final"),
        };
        if let Some(found) = state {
            return match known {
                Some(_) => went_back("an enrolled name".to_owned(), found.to_owned()),
                None => Ok(()),
            };
        }
        let configuration = configuration(record);
        if let Some(known) = known {
            // 2.
            if record.epoch < known.epoch {
                return went_back(
                    format!("epoch {} or later", known.epoch),
                    format!("epoch {}", record.epoch),
                );
            }
            // 3.
            if let Some(seen) = known.configuration
                && record.epoch == known.epoch
                && seen != configuration
            {
                let epoch = known.epoch;
                return went_back(
                    format!("the team of epoch {epoch} ({seen})"),
                    format!("another ({configuration})"),
                );
            }
        }
        let known = self.names.entry(name.clone()).or_default();
        known.seen_at = known.seen_at.max(block);
        known.epoch = record.epoch;
        known.configuration = Some(configuration);
        Ok(())
    }

    /// Step 4, and notes what is new.
    pub fn see_release_count(&mut self, name: &PackageName, count: u64, block: u64) -> Result<(), WentBack> {
        let seen = self.names.get(name).map_or(0, |known| known.releases);
        if count < seen {
            return Err(WentBack {
                subject: name.to_string(),
                expected: format!("{seen} releases or more"),
                found: count.to_string(),
            });
        }
        if count > 0 {
            let known = self.names.entry(name.clone()).or_default();
            known.seen_at = known.seen_at.max(block);
            known.releases = count;
        }
        Ok(())
    }

    /// Steps 5 to 7, and notes what is new.
    pub fn see_release(
        &mut self,
        name: &PackageName,
        version: &Version,
        record: &ReleaseRecord,
        block: u64,
    ) -> Result<(), WentBack> {
        let key = version.to_string();
        let known = self.names.get(name).and_then(|known| known.versions.get(&key)).copied();
        let went_back = |expected: String, found: String| {
            Err(WentBack { subject: format!("{name}@{key}"), expected, found })
        };
        let standing = match record.status {
            ReleaseStatus::None => {
                return match known {
                    Some(_) => went_back("a record".to_owned(), "none".to_owned()),
                    None => Ok(()),
                };
            }
            ReleaseStatus::Active | ReleaseStatus::Flagged | ReleaseStatus::Cooling => Standing::Open,
            ReleaseStatus::Vetoed => Standing::Vetoed,
            ReleaseStatus::Revoked => Standing::Revoked,
        };
        let facts = facts(record);
        if let Some(known) = known {
            // 5.
            if known.content_hash != record.content_hash {
                let (seen, found) = (known.content_hash, record.content_hash);
                return went_back(format!("bytes of {seen}"), format!("bytes of {found}"));
            }
            if known.facts.is_some_and(|seen| seen != facts) {
                return went_back(
                    "the same record".to_owned(),
                    "one with another sha512, signers, commit or times".to_owned(),
                );
            }
            // 6.
            if known.standing > Standing::Open && known.standing != standing {
                return went_back(words(known.standing).to_owned(), words(standing).to_owned());
            }
            // 7.
            if record.flagged_until < known.flagged_until {
                return went_back(
                    format!("a warning until second {} or later", known.flagged_until),
                    match record.flagged_until {
                        0 => "none".to_owned(),
                        until => format!("one until second {until}"),
                    },
                );
            }
        }
        let entry = self.names.entry(name.clone()).or_default();
        entry.seen_at = entry.seen_at.max(block);
        let (content_hash, flagged_until) = (record.content_hash, record.flagged_until);
        entry
            .versions
            .insert(key, KnownRelease { standing, content_hash, facts: Some(facts), flagged_until });
        Ok(())
    }

    /// Takes over what another run saw: of everything the later.
    pub fn merge(&mut self, other: Self) {
        self.block = self.block.max(other.block);
        for (name, theirs) in other.names {
            let ours = self.names.entry(name).or_default();
            ours.seen_at = ours.seen_at.max(theirs.seen_at);
            if theirs.epoch > ours.epoch || (theirs.epoch == ours.epoch && ours.configuration.is_none()) {
                (ours.epoch, ours.configuration) = (theirs.epoch, theirs.configuration);
            }
            ours.releases = ours.releases.max(theirs.releases);
            for (version, theirs) in theirs.versions {
                let ours = ours.versions.entry(version).or_insert(theirs);
                ours.standing = ours.standing.max(theirs.standing);
                ours.facts = ours.facts.or(theirs.facts);
                ours.flagged_until = ours.flagged_until.max(theirs.flagged_until);
            }
        }
    }

    /// Forgets the names that were not seen for the longest time until at most so many are left, with at most
    /// so many versions in all.
    pub fn keep_newest(&mut self, names: usize, versions: usize) {
        let mut by_age: Vec<(u64, PackageName, usize)> = self
            .names
            .iter()
            .map(|(name, known)| (known.seen_at, name.clone(), known.versions.len()))
            .collect();
        by_age.sort_unstable_by(|a, b| (b.0, &b.1).cmp(&(a.0, &a.1)));
        let (mut left, mut room) = (names, versions);
        for (_, name, count) in by_age {
            match (left.checked_sub(1), room.checked_sub(count)) {
                (Some(fewer), Some(less)) => (left, room) = (fewer, less),
                _ => {
                    self.names.remove(&name);
                }
            }
        }
    }
}

/// What an epoch says, which its successor alone can change.
fn configuration(record: &PackageRecord) -> B256 {
    let mut text = Vec::new();
    for member in &record.members {
        text.extend_from_slice(member.as_slice());
    }
    text.push(record.threshold);
    for number in [record.release_delay_hours, record.config_delay_hours, record.recovery_days] {
        text.extend_from_slice(&number.to_be_bytes());
    }
    text.extend_from_slice(record.guardian.as_slice());
    text.extend_from_slice(record.legacy_root.as_slice());
    text.extend_from_slice(&record.claimed_at.to_be_bytes());
    text.extend_from_slice(&record.final_at.to_be_bytes());
    keccak256(text)
}

/// What a record says once for ever, but for its content hash.
fn facts(record: &ReleaseRecord) -> B256 {
    let (high, low) = record.integrity.words();
    let mut text = [high.as_slice(), low.as_slice(), record.git_sha.as_slice()].concat();
    for time in [record.published_at, record.active_at] {
        text.extend_from_slice(&time.to_be_bytes());
    }
    text.extend_from_slice(&record.epoch.to_be_bytes());
    text.push(record.threshold);
    for signer in &record.signers {
        text.extend_from_slice(signer.as_slice());
    }
    keccak256(text)
}

fn words(standing: Standing) -> &'static str {
    match standing {
        Standing::Open => "one that stands",
        Standing::Vetoed => "a vetoed release",
        Standing::Revoked => "a revoked release",
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
#[path = "past_tests.rs"]
mod tests;
