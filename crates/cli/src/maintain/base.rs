//! What a release is compared with: the nearest lower version that is Verified or Legacy, never whatever npm
//! calls the previous one, because a thief would poison that. Its bytes are judged before they are used.
//!
//! Steps: 1. every lower version the registry lists, 2. which were there before the claim, 3. from the highest down:
//! what the chain recorded of each; fetch, judge, take the first that is Verified or Legacy.

use bytes::Bytes;
use chain::{Chain, Head};
use client::coordinator::CoordinatorClient;
use client::npm::{NpmClient, Packument};
use scan::{Limits, Tarball, read_tarball};
use serde::Serialize;
use trust::legacy::{self, LegacyVersion};
use trust::record::{PackageRecord, ReleaseRecord, ReleaseStatus};
use trust::text::printable;
use trust::verdict::{Arrival, LegacyEvidence, Verdict, judge};
use trust::{PackageName, TarballHashes, Version};

use crate::errors::{Explain as _, Failure};
use crate::install::assess::chain_of;

/// How many tarballs are fetched before giving up: each skipped one is a version that is not what was signed.
const MAX_ATTEMPTS: usize = 8;

/// How many lower versions are looked up at once. A thief can put as many on npm as he likes, so it goes on below them.
const PAGE: usize = 1000;

/// What there is to compare with.
#[derive(Debug)]
pub(crate) struct Base {
    /// The version, when there is one.
    pub(crate) found: Option<Trusted>,
    /// What was passed over although it should be good, and why.
    pub(crate) skipped: Vec<String>,
    /// What the registry already has under the very number, as it announces it.
    pub(crate) taken: Option<String>,
}

/// A version that was judged good.
#[derive(Debug)]
pub(crate) struct Trusted {
    /// Which.
    pub(crate) version: Version,
    /// Verified or Legacy.
    pub(crate) verdict: &'static str,
    /// Its bytes.
    pub(crate) bytes: Bytes,
    /// What is in them.
    pub(crate) tarball: Tarball,
}

/// The base as `--json` prints it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct BaseReport {
    /// Which version.
    pub(crate) version: String,
    /// Verified or Legacy.
    pub(crate) verdict: &'static str,
}

/// Where to look.
#[derive(Debug)]
pub(crate) struct Sources<'a> {
    /// The contracts.
    pub(crate) chain: &'a Chain,
    /// The block.
    pub(crate) head: &'a Head,
    /// The registry.
    pub(crate) npm: &'a NpmClient,
    /// Who serves the list of versions from before the claim.
    pub(crate) coordinator: &'a CoordinatorClient,
}

/// The nearest version below `below` that is Verified or Legacy.
pub(crate) async fn nearest_trusted(
    sources: &Sources<'_>,
    name: &PackageName,
    package: &PackageRecord,
    below: &Version,
) -> Result<Base, Failure> {
    let mut base = Base { found: None, skipped: vec![], taken: None };
    // 1.
    let packument = sources.npm.fetch_packument(name).await;
    let packument = packument
        .while_doing(format!("{name} has nothing to be compared with: the registry does not answer"))
        .hint("check `npm config get registry`")?;
    let Some(packument) = packument else { return Ok(base) };
    let mut lower: Vec<Version> = packument.version_names().filter_map(|text| text.parse().ok()).collect();
    lower.retain(|version| version < below);
    lower.sort_unstable_by(|a, b| b.cmp(a));
    base.taken = packument.has(below).then(|| announced(&packument, below));
    if lower.is_empty() {
        return Ok(base);
    }
    // 2.
    let before_claim = match list_before_claim(sources.coordinator, name, package).await? {
        Ok(list) => list,
        Err(why) => {
            base.skipped.push(why);
            vec![]
        }
    };
    // 3.
    let mut attempts = 0;
    for page in lower.chunks(PAGE) {
        let keys: Vec<(PackageName, Version)> =
            page.iter().map(|version| (name.clone(), version.clone())).collect();
        let records = sources.chain.releases(sources.head, &keys).await?;
        for (version, record) in page.iter().zip(records) {
            let is_legacy = record.status == ReleaseStatus::None
                && before_claim.iter().any(|entry| entry.version == *version);
            if record.status != ReleaseStatus::Active && !is_legacy {
                continue;
            }
            attempts += 1;
            if attempts > MAX_ATTEMPTS {
                base.skipped.push(format!("{version} and everything below it: {MAX_ATTEMPTS} failed before"));
                return Ok(base);
            }
            match judged(sources.npm, &packument, package, &record, &before_claim, version.clone()).await {
                Ok(trusted) => {
                    base.found = Some(trusted);
                    return Ok(base);
                }
                Err(why) => base.skipped.push(format!("{version}: {why}")),
            }
        }
    }
    Ok(base)
}

/// The hash that the registry has for a version, for people.
fn announced(packument: &Packument, version: &Version) -> String {
    let described = packument.version(&version.to_string()).ok().flatten();
    let integrity = described.and_then(|described| described.integrity);
    printable(&integrity.unwrap_or_else(|| "a hash that it does not tell".to_owned()), 200)
}

/// The list under the root on chain; empty without a root. The inner error says why there is none: what is compared
/// with does not decide whether a release is good.
async fn list_before_claim(
    coordinator: &CoordinatorClient,
    name: &PackageName,
    package: &PackageRecord,
) -> Result<Result<Vec<LegacyVersion>, String>, Failure> {
    if package.legacy_root.is_zero() {
        return Ok(Ok(vec![]));
    }
    let list = match coordinator.legacy_list(name).await {
        Ok(list) => list,
        Err(error) => return Ok(Err(format!("every version from before the claim: {}", chain_of(&error)))),
    };
    let found = legacy::root(&list.versions);
    if found != package.legacy_root {
        return Err(Failure::mismatch(
            format!(
                "the coordinator's list of versions of {name} from before the claim is not the one on chain"
            ),
            package.legacy_root,
            found,
        ));
    }
    Ok(Ok(list.versions))
}

/// Fetches and judges one version; the inner error says why it was passed over.
async fn judged(
    npm: &NpmClient,
    packument: &Packument,
    package: &PackageRecord,
    record: &ReleaseRecord,
    before_claim: &[LegacyVersion],
    version: Version,
) -> Result<Trusted, String> {
    let described = match packument.version(&version.to_string()) {
        Ok(Some(described)) => described,
        Ok(None) => return Err("the registry does not describe it".to_owned()),
        Err(error) => return Err(error.to_string()),
    };
    let bytes = npm.fetch_tarball(&described.tarball).await.map_err(|error| chain_of(&error))?;
    let hashes = TarballHashes::of(&bytes);
    let read = read_tarball(&bytes, &Limits::default());
    let arrival = Arrival {
        name: &packument.name,
        version: &version,
        hashes,
        inside: read.as_ref().map(|tarball| &tarball.manifest).map_err(ToString::to_string),
        used: None,
        published_at: packument.published_at(&version),
        legacy: LegacyEvidence::List(before_claim),
    };
    let verdict = match judge(package, record, &arrival) {
        Ok(verdict) => verdict,
        Err(undecided) => return Err(undecided.to_string()),
    };
    match (&verdict, read) {
        (Verdict::Verified(_) | Verdict::Legacy, Ok(tarball)) => {
            Ok(Trusted { version, verdict: verdict.name(), bytes, tarball })
        }
        (Verdict::Mismatch(mismatch), _) => {
            Err(format!("the registry serves other bytes than were signed ({})", mismatch.what))
        }
        (other, _) => Err(other.name().to_owned()),
    }
}
