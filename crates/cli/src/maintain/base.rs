//! What a release is compared with: the nearest lower version that is Verified or Legacy, never whatever npm
//! calls the previous one, because a thief would poison that. Its bytes are judged before they are used.
//!
//! Steps: 1. every lower version the registry lists, 2. what the chain recorded of each, and which were there
//! before the claim, 3. from the highest down: fetch, judge, take the first that is Verified or Legacy.

use bytes::Bytes;
use chain::{Chain, Head};
use client::coordinator::CoordinatorClient;
use client::npm::{NpmClient, Packument};
use scan::{Limits, Tarball, read_tarball};
use serde::Serialize;
use trust::legacy::{self, LegacyVersion};
use trust::record::{PackageRecord, ReleaseRecord, ReleaseStatus};
use trust::verdict::{Arrival, LegacyEvidence, Verdict, judge};
use trust::{PackageName, TarballHashes, Version};

use crate::errors::{Explain as _, Failure};
use crate::install::assess::chain_of;
use crate::maintain::find::UNREACHABLE;

/// How many tarballs are fetched before giving up: each skipped one is a version that is not what was signed.
const MAX_ATTEMPTS: usize = 8;

/// How many lower versions are looked up, from the highest down.
const MAX_VERSIONS: usize = 1000;

/// What there is to compare with.
#[derive(Debug)]
pub(crate) struct Base {
    /// The version, when there is one.
    pub(crate) found: Option<Trusted>,
    /// Lower versions that were passed over although they should be good, and why.
    pub(crate) skipped: Vec<String>,
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
    let mut base = Base { found: None, skipped: vec![] };
    // 1.
    let packument = sources.npm.fetch_packument(name).await;
    let packument = packument
        .while_doing(format!("{name} has nothing to be compared with: the registry does not answer"))
        .hint("check `npm config get registry`")?;
    let Some(packument) = packument else { return Ok(base) };
    let mut lower: Vec<Version> = packument.version_names().filter_map(|text| text.parse().ok()).collect();
    lower.retain(|version| version < below);
    lower.sort_unstable_by(|a, b| b.cmp(a));
    lower.truncate(MAX_VERSIONS);
    if lower.is_empty() {
        return Ok(base);
    }
    // 2.
    let keys: Vec<(PackageName, Version)> =
        lower.iter().map(|version| (name.clone(), version.clone())).collect();
    let records = sources.chain.releases(sources.head, &keys).await?;
    let before_claim = list_before_claim(sources.coordinator, name, package).await?;
    // 3.
    let mut attempts = 0;
    for (version, record) in lower.into_iter().zip(records) {
        let is_legacy =
            record.status == ReleaseStatus::None && before_claim.iter().any(|entry| entry.version == version);
        if record.status != ReleaseStatus::Active && !is_legacy {
            continue;
        }
        attempts += 1;
        if attempts > MAX_ATTEMPTS {
            break;
        }
        match judged(sources.npm, &packument, package, &record, &before_claim, version.clone()).await {
            Ok(trusted) => {
                base.found = Some(trusted);
                break;
            }
            Err(why) => base.skipped.push(format!("{version}: {why}")),
        }
    }
    Ok(base)
}

/// The list under the root on chain; empty without a root.
async fn list_before_claim(
    coordinator: &CoordinatorClient,
    name: &PackageName,
    package: &PackageRecord,
) -> Result<Vec<LegacyVersion>, Failure> {
    if package.legacy_root.is_zero() {
        return Ok(vec![]);
    }
    let doing = || format!("the list of versions of {name} from before the claim cannot be read");
    let list = coordinator.legacy_list(name).await.while_doing(doing()).hint(UNREACHABLE)?;
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
    Ok(list.versions)
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
