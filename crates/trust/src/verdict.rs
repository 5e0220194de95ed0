//! The judgement: what the chain recorded, against what arrived.
//!
//! A verdict is a value, also when it is bad; [`Undecided`] means that we could not find out, and is
//! never shown as good. Policy (what to do about a verdict) is elsewhere, on purpose. This module does
//! not ask anybody anything: records, proofs, bytes and times are handed in.
//!
//! The steps, each with a test that breaks only it:
//! 1. The name: never claimed, provisional, retired without a record: not enrolled. What came out without a record
//!    between the claim and the end of a retired name was published around its team: unrecorded.
//! 2. Terminal statuses: revoked, vetoed, cooling.
//! 3. A record: integrity, then content hash.
//! 4. A record: enough signers for the threshold of its epoch.
//! 5. No record: under the legacy root, same bytes, and published before the claim; proven absent:
//!    unrecorded; neither proven: undecided.
//! 6. Identity: the tarball's own name and version are the ones asked for.
//! 7. Manifest: the one that was used equals the one inside the tarball.

use alloy_primitives::{Address, FixedBytes};
use serde::Serialize;

use crate::legacy::{self, LegacyVersion};
use crate::manifest::Manifest;
use crate::record::{PackageRecord, PackageState, ReleaseRecord, ReleaseStatus};
use crate::text::printable;
use crate::{Integrity, PackageName, TarballHashes, Version};

/// What we know of one package at one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "camelCase")]
pub enum Verdict {
    /// M of N signed exactly these bytes, and nothing was taken back.
    Verified(Verified),
    /// Existed before the package was claimed, and is the same bytes.
    Legacy,
    /// 3pm knows nothing of this name: most of npm.
    NotEnrolled,
    /// Enrolled, yet nobody signed this version: somebody went around the maintainers.
    Unrecorded,
    /// Something differs from what was signed.
    Mismatch(Mismatch),
    /// Taken back by the maintainers.
    Revoked,
    /// Stopped by a maintainer before it became Active.
    Vetoed,
    /// Recorded, but within its delay.
    Cooling {
        /// Unix seconds.
        #[serde(rename = "activeAt")]
        active_at: u64,
    },
    /// Verified, with a member's warning.
    Flagged {
        /// What would be said without the warning.
        #[serde(flatten)]
        release: Verified,
        /// When the warning ends, Unix seconds.
        until: u64,
    },
}

/// Proof that [`judge`] passed every step; nothing else can build it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    signers: Vec<Address>,
    threshold: u8,
    epoch: u32,
    git_sha: FixedBytes<20>,
    published_at: u64,
}

impl Verified {
    /// Who signed.
    #[must_use]
    pub fn signers(&self) -> &[Address] {
        &self.signers
    }

    /// How many had to.
    #[must_use]
    pub fn threshold(&self) -> u8 {
        self.threshold
    }

    /// Under which configuration.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The signed commit, its first 20 bytes; zero for none.
    #[must_use]
    pub fn git_sha(&self) -> FixedBytes<20> {
        self.git_sha
    }

    /// When it was recorded, Unix seconds.
    #[must_use]
    pub fn published_at(&self) -> u64 {
        self.published_at
    }
}

/// What differs, with both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Mismatch {
    /// Bytes, identity or manifest, in words.
    pub what: String,
    /// What was signed.
    pub expected: String,
    /// What came.
    pub received: String,
}

impl Verdict {
    /// Whether somebody stands for these bytes: those who signed them, or the list from before the claim.
    #[must_use]
    pub fn is_vouched_for(&self) -> bool {
        matches!(self, Self::Verified(_) | Self::Flagged { .. } | Self::Legacy)
    }

    /// The name of the verdict as documented.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Verified(_) => "Verified",
            Self::Legacy => "Legacy",
            Self::NotEnrolled => "NotEnrolled",
            Self::Unrecorded => "Unrecorded",
            Self::Mismatch(_) => "Mismatch",
            Self::Revoked => "Revoked",
            Self::Vetoed => "Vetoed",
            Self::Cooling { .. } => "Cooling",
            Self::Flagged { .. } => "Flagged",
        }
    }
}

/// We could not find out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    /// Neither a proof that the version existed before the claim nor one that it did not.
    #[error("{subject} has no record, and nobody proved whether it existed before the package was claimed")]
    NoLegacyEvidence {
        /// `name@version`.
        subject: String,
    },
    /// The proof that was served does not lead to the root on chain.
    #[error("the legacy evidence for {subject} does not lead to the root on chain")]
    BadLegacyEvidence {
        /// `name@version`.
        subject: String,
    },
    /// Under the root, but the registry did not say when it was published.
    #[error("{subject} is under the legacy root, but the registry gives no publish time for it")]
    NoPublishTime {
        /// `name@version`.
        subject: String,
    },
    /// A record that the contract would never make.
    #[error("the record of {subject} names {found} signers, expected at least {expected}")]
    ImpossibleRecord {
        /// `name@version`.
        subject: String,
        /// Signers in the record.
        found: usize,
        /// Threshold in the record.
        expected: u8,
    },
    /// The tarball or its manifest could not be read, though the bytes are the signed ones.
    #[error("{subject} cannot be read: {reason}")]
    Unreadable {
        /// `name@version`.
        subject: String,
        /// Why.
        reason: String,
    },
}

/// What arrived for one entry of the tree.
#[derive(Debug, Clone)]
pub struct Arrival<'a> {
    /// The name the entry stands for (an alias resolved).
    pub name: &'a PackageName,
    /// The version the entry stands for.
    pub version: &'a Version,
    /// Hashes of the bytes.
    pub hashes: TarballHashes,
    /// The manifest inside the bytes; the error text when there is none to read.
    pub inside: Result<&'a Manifest, String>,
    /// The manifest the package manager used; `None` when none was (a bare tarball).
    pub used: Option<&'a Manifest>,
    /// When the registry says it was published, Unix seconds.
    pub published_at: Option<u64>,
    /// What is known about the time before the claim.
    pub legacy: LegacyEvidence<'a>,
}

/// Evidence about the versions of before the claim, from somebody we do not trust.
#[derive(Debug, Clone)]
pub enum LegacyEvidence<'a> {
    /// A proof for this version.
    Proof {
        /// The hash the list has for it.
        integrity: Integrity,
        /// Siblings from leaf to root.
        proof: &'a [alloy_primitives::B256],
    },
    /// The whole list, which proves absence as well.
    List(&'a [LegacyVersion]),
    /// Nobody answered.
    Missing,
}

/// Judges one arrival; the steps are listed at the head of this module.
pub fn judge(
    package: &PackageRecord,
    release: &ReleaseRecord,
    arrival: &Arrival<'_>,
) -> Result<Verdict, Undecided> {
    let subject = || format!("{}@{}", arrival.name, arrival.version);

    // 1. The name.
    match package.state {
        PackageState::None | PackageState::Provisional => return Ok(Verdict::NotEnrolled),
        PackageState::Retired if release.status == ReleaseStatus::None => {
            let enrolled = package.claimed_at..package.retired_at;
            let is_around = arrival.published_at.is_some_and(|at| enrolled.contains(&at));
            return Ok(if is_around { Verdict::Unrecorded } else { Verdict::NotEnrolled });
        }
        PackageState::Retired | PackageState::Final => {}
    }

    let verdict = match release.status {
        // 2. Terminal statuses.
        ReleaseStatus::Revoked => return Ok(Verdict::Revoked),
        ReleaseStatus::Vetoed => return Ok(Verdict::Vetoed),
        ReleaseStatus::Cooling => return Ok(Verdict::Cooling { active_at: release.active_at }),
        // 5. No record.
        ReleaseStatus::None => match judge_legacy(package, arrival, &subject)? {
            Verdict::Legacy => Verdict::Legacy,
            other => return Ok(other),
        },
        ReleaseStatus::Active | ReleaseStatus::Flagged => {
            // 3. The bytes.
            if let Some(mismatch) = compare_bytes(release, &arrival.hashes) {
                return Ok(Verdict::Mismatch(mismatch));
            }
            // 4. The signers.
            let distinct: std::collections::BTreeSet<_> = release.signers.iter().collect();
            if release.threshold == 0 || distinct.len() < usize::from(release.threshold) {
                return Err(Undecided::ImpossibleRecord {
                    subject: subject(),
                    found: distinct.len(),
                    expected: release.threshold,
                });
            }
            let verified = Verified {
                signers: release.signers.clone(),
                threshold: release.threshold,
                epoch: release.epoch,
                git_sha: release.git_sha,
                published_at: release.published_at,
            };
            match release.status {
                ReleaseStatus::Flagged => {
                    Verdict::Flagged { release: verified, until: release.flagged_until }
                }
                _ => Verdict::Verified(verified),
            }
        }
    };

    let inside = arrival
        .inside
        .clone()
        .map_err(|reason| Undecided::Unreadable { subject: subject(), reason: printable(&reason, 200) })?;
    // 6. Identity.
    if inside.name != arrival.name.as_str() || inside.version != arrival.version.to_string() {
        return Ok(Verdict::Mismatch(Mismatch {
            what: "identity: the package.json inside the tarball".into(),
            expected: subject(),
            received: printable(&format!("{}@{}", inside.name, inside.version), 300),
        }));
    }
    // 7. Manifest.
    if let Some(difference) = arrival.used.and_then(|used| inside.differences(used).into_iter().next()) {
        return Ok(Verdict::Mismatch(Mismatch {
            what: format!("manifest: {}", difference.field),
            expected: printable(&difference.expected, 300),
            received: printable(&difference.received, 300),
        }));
    }
    Ok(verdict)
}

fn compare_bytes(release: &ReleaseRecord, hashes: &TarballHashes) -> Option<Mismatch> {
    if release.integrity != hashes.integrity {
        return Some(Mismatch {
            what: "bytes: integrity".into(),
            expected: release.integrity.to_string(),
            received: hashes.integrity.to_string(),
        });
    }
    (release.content_hash != hashes.content_hash).then(|| Mismatch {
        what: "bytes: content hash".into(),
        expected: release.content_hash.to_string(),
        received: hashes.content_hash.to_string(),
    })
}

/// Step 5: Legacy, Unrecorded, Mismatch, or undecided.
fn judge_legacy(
    package: &PackageRecord,
    arrival: &Arrival<'_>,
    subject: &dyn Fn() -> String,
) -> Result<Verdict, Undecided> {
    if package.legacy_root.is_zero() {
        return Ok(Verdict::Unrecorded);
    }
    let recorded = match &arrival.legacy {
        LegacyEvidence::Missing => return Err(Undecided::NoLegacyEvidence { subject: subject() }),
        LegacyEvidence::Proof { integrity, proof } => {
            let entry = LegacyVersion { version: arrival.version.clone(), integrity: *integrity };
            if !legacy::verify_proof(&entry, proof, package.legacy_root) {
                return Err(Undecided::BadLegacyEvidence { subject: subject() });
            }
            *integrity
        }
        LegacyEvidence::List(list) => {
            if list.len() > legacy::MAX_LEGACY_VERSIONS || legacy::root(list) != package.legacy_root {
                return Err(Undecided::BadLegacyEvidence { subject: subject() });
            }
            match list.iter().find(|entry| entry.version == *arrival.version) {
                Some(entry) => entry.integrity,
                None => return Ok(Verdict::Unrecorded),
            }
        }
    };
    if recorded != arrival.hashes.integrity {
        return Ok(Verdict::Mismatch(Mismatch {
            what: "bytes: integrity of a version from before the claim".into(),
            expected: recorded.to_string(),
            received: arrival.hashes.integrity.to_string(),
        }));
    }
    match arrival.published_at {
        Some(published_at) if published_at < package.claimed_at => Ok(Verdict::Legacy),
        // A claimant could have prepaid a version of the future.
        Some(_) => Ok(Verdict::Unrecorded),
        None => Err(Undecided::NoPublishTime { subject: subject() }),
    }
}
