//! What a signer checks about a release before the wallet is asked. Pure: what the coordinator says, the
//! bytes and what the chain says are handed in; nothing is fetched, nothing is signed.
//!
//! The steps, each with a test that breaks only it:
//! 1. What came is what was asked for: id, name, version.
//! 2. The id is the digest of the release, computed here.
//! 3. The team is the one on chain: claim final, epoch, members, threshold.
//! 4. It can still be recorded: no record yet, nonce unused and near the next one, deadline ahead and
//!    within 30 days of this clock.
//! 5. Both hashes of the bytes are the ones in the release, and what else the coordinator says of them.
//! 6. The tarball can be read, and its package.json names this package at this version.

use alloy_primitives::{B256, U256};
use client::coordinator::api::{MAX_NONCE_AHEAD, Proposal};
use scan::{Limits, Tarball, read_tarball};
use trust::message::{Domain, Release, SigningRequest, signing_request, verify_deadline};
use trust::record::{PackageRecord, ReleaseRecord, ReleaseStatus};
use trust::{PackageName, TarballHashes, Version};

use super::standing::require_final;
use crate::args::Target;
use crate::errors::{Explain as _, Failure};

/// What the chain says, all of it at one block.
#[derive(Debug, Clone)]
pub(crate) struct OnChain<'a> {
    /// Where release signatures are valid.
    pub(crate) domain: Domain,
    /// The package.
    pub(crate) package: &'a PackageRecord,
    /// The release.
    pub(crate) release: &'a ReleaseRecord,
    /// Whether the release's nonce is used.
    pub(crate) nonce_used: bool,
    /// Highest used nonce + 1.
    pub(crate) next_nonce: U256,
}

/// A release that passed steps 1 to 4; nothing else builds one.
#[derive(Debug, Clone)]
pub(crate) struct CheckedRelease {
    name: PackageName,
    version: Version,
    release: Release,
    request: SigningRequest,
}

/// A release that passed all steps; nothing else builds one.
#[derive(Debug, Clone)]
pub(crate) struct ReviewedRelease {
    checked: CheckedRelease,
    tarball: Tarball,
}

/// Steps 1 to 4.
pub(crate) fn check_release(
    asked: &Target,
    proposal: &Proposal,
    chain: &OnChain<'_>,
    now: u64,
) -> Result<CheckedRelease, Failure> {
    let (name, version) = identity(proposal)?;
    // 1.
    let asked_for = match asked {
        Target::Id(id) => (*id == proposal.id).then_some(()),
        Target::Package(package) => (*package == name).then_some(()),
        Target::Release(package, wanted) => (*package == name && *wanted == version).then_some(()),
    };
    asked_for.ok_or_else(|| {
        let found = format!("{name}@{version}, {}", proposal.id);
        Failure::mismatch("the coordinator answered with another proposal", asked, found)
    })?;
    if proposal.kind != "release" {
        return Err(Failure::mismatch(
            "the coordinator answered with another kind",
            "release",
            &proposal.kind,
        ));
    }
    // 2.
    let release = Release::from(proposal.release.clone());
    let request = signing_request(&release, &chain.domain.eip712())?;
    if request.digest != proposal.id {
        return Err(Failure::mismatch(
            format!("the coordinator's id of {name}@{version} is not the digest of what would be signed"),
            request.digest,
            proposal.id,
        ));
    }
    // 3.
    require_final(&name, chain.package)?;
    check_team(&name, proposal, chain.package)?;
    // 4.
    check_open(&name, &version, &release, chain, now)?;
    Ok(CheckedRelease { name, version, release, request })
}

/// Steps 5 and 6.
pub(crate) fn review_release(
    checked: CheckedRelease,
    proposal: &Proposal,
    bytes: &[u8],
) -> Result<ReviewedRelease, Failure> {
    let subject = format!("{}@{}", checked.name, checked.version);
    // 5.
    let hashes = TarballHashes::of(bytes);
    let same = |what: &str, expected: String, found: String| {
        if expected == found {
            return Ok(());
        }
        Err(Failure::mismatch(
            format!("the tarball of {subject} is not what would be signed: {what}"),
            expected,
            found,
        )
        .hint("do not sign; ask the proposer, and look at the coordinator"))
    };
    same("sha512", checked.release.integrity.clone(), hashes.integrity.to_string())?;
    same("sha256", checked.release.contentHash.to_string(), hashes.content_hash.0.to_string())?;
    same("size announced by the coordinator", proposal.tarball.size.to_string(), bytes.len().to_string())?;
    same(
        "sha512 announced by the coordinator",
        proposal.tarball.integrity.to_string(),
        hashes.integrity.to_string(),
    )?;
    same(
        "sha256 announced by the coordinator",
        proposal.tarball.content_hash.to_string(),
        hashes.content_hash.to_string(),
    )?;
    // 6.
    let tarball = read_tarball(bytes, &Limits::default())
        .map_err(|error| Failure::from(error).code(crate::exit::MISMATCH))
        .while_doing(format!("the tarball of {subject} cannot be read"))?;
    check_identity(&tarball, &checked.name, &checked.version)?;
    Ok(ReviewedRelease { checked, tarball })
}

/// The package.json inside says who it is.
pub(crate) fn check_identity(
    tarball: &Tarball,
    name: &PackageName,
    version: &Version,
) -> Result<(), Failure> {
    let inside = &tarball.manifest;
    if inside.name == name.as_str() && inside.version == version.to_string() {
        return Ok(());
    }
    Err(Failure::mismatch(
        "the package.json inside the tarball names another package or version",
        format!("{name}@{version}"),
        format!("{}@{}", inside.name, inside.version),
    ))
}

fn identity(proposal: &Proposal) -> Result<(PackageName, Version), Failure> {
    let doing = "the coordinator's proposal names no package and version";
    Ok((
        proposal.release.package_name.parse::<PackageName>().while_doing(doing)?,
        proposal.release.version.parse::<Version>().while_doing(doing)?,
    ))
}

/// Step 3.
fn check_team(name: &PackageName, proposal: &Proposal, package: &PackageRecord) -> Result<(), Failure> {
    if proposal.release.epoch != package.epoch {
        return Err(Failure::not_possible(format!(
            "the proposal was signed for team {} of {name}, the team on chain is {}",
            proposal.release.epoch, package.epoch
        ))
        .hint("its proposer has to publish it again for the present team"));
    }
    if proposal.members != package.members || proposal.threshold != package.threshold {
        let list = |members: &[alloy_primitives::Address], threshold: u8| {
            let members: Vec<String> = members.iter().map(ToString::to_string).collect();
            format!("{threshold} of {}", members.join(", "))
        };
        return Err(Failure::mismatch(
            format!("the coordinator names another team of {name} than the chain"),
            list(&package.members, package.threshold),
            list(&proposal.members, proposal.threshold),
        ));
    }
    Ok(())
}

/// Step 4.
fn check_open(
    name: &PackageName,
    version: &Version,
    release: &Release,
    chain: &OnChain<'_>,
    now: u64,
) -> Result<(), Failure> {
    let subject = format!("{name}@{version}");
    if chain.release.status != ReleaseStatus::None {
        return Err(Failure::not_possible(format!("{subject} is recorded on chain already"))
            .hint(format!("3pm status {subject}")));
    }
    if chain.nonce_used {
        return Err(Failure::not_possible(format!("nonce {} of {name} is used already", release.nonce))
            .hint("its proposer has to publish it again"));
    }
    let highest = chain.next_nonce.saturating_add(U256::from(MAX_NONCE_AHEAD));
    if release.nonce > highest {
        return Err(Failure::mismatch(
            format!("the nonce of {subject} is far beyond the next one"),
            format!("{} or a little more", chain.next_nonce),
            release.nonce,
        ));
    }
    verify_deadline(release.deadline, now)
        .map_err(|error| Failure::not_possible(error).while_doing(format!("{subject} cannot be signed")))
}

impl CheckedRelease {
    /// The package.
    pub(crate) fn name(&self) -> &PackageName {
        &self.name
    }

    /// The version.
    pub(crate) fn version(&self) -> &Version {
        &self.version
    }

    /// What is signed.
    pub(crate) fn release(&self) -> &Release {
        &self.release
    }

    /// What the wallet is asked for.
    pub(crate) fn request(&self) -> &SigningRequest {
        &self.request
    }

    /// The digest, which is the proposal's id.
    pub(crate) fn id(&self) -> B256 {
        self.request.digest
    }
}

impl ReviewedRelease {
    /// The release.
    pub(crate) fn checked(&self) -> &CheckedRelease {
        &self.checked
    }

    /// What is inside the bytes.
    pub(crate) fn tarball(&self) -> &Tarball {
        &self.tarball
    }
}
