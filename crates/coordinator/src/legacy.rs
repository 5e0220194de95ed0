//! The versions of before a claim: kept since the registrar looked at them, else put together again from npm.
//! Only a list under the root on chain is ever given out; callers check that once more.
//!
//! Steps of putting together: 1. the name has a root, 2. nobody tried within a minute, 3. npm's versions from
//! about the time of the claim or before, 4. of these, in the order they came out, as many as make the root. What was
//! published while the claim was on its way is not in the list, and clocks differ: so a few ends are tried.

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy_primitives::B256;
use client::npm::NpmError;
use tokio::sync::{Mutex, Semaphore};
use trust::PackageName;
use trust::legacy::{self, LegacyVersion};
use trust::record::PackageRecord;

use crate::app::{App, now};
use crate::problem::with_causes;
use crate::store::StoreError;

/// Lists put together at once: each fetches a large document, and tarballs that anybody can have put on npm.
const AT_ONCE: usize = 2;

/// Between two attempts at one name, in seconds: anybody may ask.
const PAUSE: u64 = 60;

/// How much later than the claim npm may date a version of before it, in seconds: the clocks of npm and the chain.
const CLOCK_SKEW: u64 = 60;

/// How many versions before and after the time of the claim may be where the list ends.
const ENDS: usize = 16;

/// Who looked for which list, and what came of it.
#[derive(Debug)]
pub(crate) struct Rebuilding {
    names: Mutex<BTreeMap<PackageName, Arc<Mutex<Option<Failed>>>>>,
    permits: Semaphore,
}

/// An attempt that failed.
#[derive(Debug)]
struct Failed {
    at: u64,
    why: String,
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LegacyError {
    #[error("the legacy list of {name} is not kept here, and {why}")]
    Missing { name: PackageName, why: String },
    #[error(
        "the legacy list of {name} is not kept here, and too many others are looked for; try again in a minute"
    )]
    Busy { name: PackageName },
    #[error("database: {}", with_causes(.0))]
    Store(StoreError),
}

/// Why npm's versions do not make the list.
#[derive(Debug, thiserror::Error)]
enum Why {
    #[error("npm, from which it could be put together again, gave no answer: {}", with_causes(.0))]
    Npm(#[from] NpmError),
    #[error("npm does not know the package any more")]
    Unknown,
    #[error(
        "it cannot be put together again: npm's {count} versions from before the claim have the root {found}, \
         expected {expected}; some were unpublished since, or came back changed"
    )]
    Differs { count: usize, found: B256, expected: B256 },
}

impl Rebuilding {
    pub(crate) fn new() -> Self {
        Self { names: Mutex::default(), permits: Semaphore::new(AT_ONCE) }
    }

    /// The place of a name, where one attempt at a time is made. Places that nobody needs any more go.
    async fn place(&self, name: &PackageName, now: u64) -> Arc<Mutex<Option<Failed>>> {
        let mut names = self.names.lock().await;
        names.retain(|_, place| {
            let is_recent =
                |failed: &Option<Failed>| failed.as_ref().is_some_and(|failed| failed.is_recent(now));
            Arc::strong_count(place) > 1 || place.try_lock().is_ok_and(|failed| is_recent(&failed))
        });
        Arc::clone(names.entry(name.clone()).or_default())
    }
}

impl Failed {
    fn is_recent(&self, now: u64) -> bool {
        now < self.at.saturating_add(PAUSE)
    }
}

/// The list of a package, which is empty under a root of zero.
pub(crate) async fn find(
    app: &Arc<App>,
    name: &PackageName,
    package: &PackageRecord,
) -> Result<Vec<LegacyVersion>, LegacyError> {
    // 1.
    let root = package.legacy_root;
    if root.is_zero() {
        return Ok(Vec::new());
    }
    if let Some(kept) = app.store.legacy_list(name, root).await.map_err(LegacyError::Store)? {
        return Ok(kept);
    }
    // Goes on to its end although whoever asked hangs up: the next one finds the list.
    let (app, job_name, package) = (Arc::clone(app), name.clone(), package.clone());
    let job = tokio::spawn(async move { rebuild_once(&app, &job_name, &package).await });
    let lost = |_| LegacyError::Busy { name: name.clone() };
    job.await.map_err(lost)?
}

/// Steps 2 to 4, by one at a time for a name; the others wait for what comes of it.
async fn rebuild_once(
    app: &App,
    name: &PackageName,
    package: &PackageRecord,
) -> Result<Vec<LegacyVersion>, LegacyError> {
    let root = package.legacy_root;
    let place = app.rebuilding.place(name, now()).await;
    let mut failed = place.lock().await;
    if let Some(kept) = app.store.legacy_list(name, root).await.map_err(LegacyError::Store)? {
        return Ok(kept);
    }
    // 2.
    if let Some(failed) = failed.as_ref().filter(|failed| failed.is_recent(now())) {
        return Err(LegacyError::Missing { name: name.clone(), why: failed.why.clone() });
    }
    let Ok(_permit) = app.rebuilding.permits.try_acquire() else {
        return Err(LegacyError::Busy { name: name.clone() });
    };
    match rebuild(app, name, package).await {
        Ok(versions) => {
            app.store.put_legacy_list(name, root, &versions).await.map_err(LegacyError::Store)?;
            tracing::info!(package = %name, versions = versions.len(), "legacy list put together again from npm");
            Ok(versions)
        }
        Err(error) => {
            let why = error.to_string();
            tracing::warn!(package = %name, why, "no legacy list");
            *failed = Some(Failed { at: now(), why: why.clone() });
            Err(LegacyError::Missing { name: name.clone(), why })
        }
    }
}

/// Steps 3 and 4.
async fn rebuild(app: &App, name: &PackageName, package: &PackageRecord) -> Result<Vec<LegacyVersion>, Why> {
    // 3.
    let packument = app.npm.fetch_packument(name).await?.ok_or(Why::Unknown)?;
    let until = package.claimed_at.saturating_add(CLOCK_SKEW);
    let mut versions = app.npm.legacy_versions_until(&packument, until).await?.versions;
    let published_at = |entry: &LegacyVersion| packument.published_at(&entry.version).unwrap_or(0);
    versions.sort_by_key(published_at);
    let at_claim = versions.partition_point(|entry| published_at(entry) <= package.claimed_at);
    // 4.
    let (claimed_at, expected) = (package.claimed_at, package.legacy_root);
    let found = tokio::task::spawn_blocking(move || under_root(versions, at_claim, expected)).await;
    found.unwrap_or_else(|error| {
        tracing::error!(%error, claimed_at, "the list was not looked at");
        Err(Why::Unknown)
    })
}

/// The beginning of `versions`, in the order they came out, that has this root.
fn under_root(
    mut versions: Vec<LegacyVersion>,
    at_claim: usize,
    expected: B256,
) -> Result<Vec<LegacyVersion>, Why> {
    let root_of = |end: usize| versions.get(..end).map(legacy::root);
    let found = root_of(at_claim).unwrap_or_default();
    let ends = (0..=ENDS).flat_map(|by| [at_claim.saturating_sub(by), at_claim.saturating_add(by)]);
    let Some(end) = ends.into_iter().find(|end| root_of(*end) == Some(expected)) else {
        return Err(Why::Differs { count: at_claim, found, expected });
    };
    versions.truncate(end);
    versions.sort_by(|a, b| a.version.cmp(&b.version));
    Ok(versions)
}

#[cfg(test)]
mod tests {
    use trust::Integrity;

    use super::*;

    fn versions(count: usize) -> Vec<LegacyVersion> {
        let entry = |n: usize| LegacyVersion {
            // Not in the order they came out.
            version: format!("{}.0.{n}", count - n).parse().unwrap(),
            integrity: Integrity::of(&n.to_be_bytes()),
        };
        (0..count).map(entry).collect()
    }

    #[track_caller]
    fn check(at_claim: usize, claimed: usize, expected: bool) {
        let all = versions(60);
        let root = legacy::root(&all[..claimed]);
        let found = under_root(all.clone(), at_claim, root);
        match found {
            Ok(found) => {
                assert!(expected, "found although it ends at {claimed}");
                assert_eq!(legacy::root(&found), root);
                assert!(found.is_sorted_by(|a, b| a.version < b.version));
            }
            Err(error) => assert!(!expected, "{error}"),
        }
    }

    #[test]
    fn the_list_ends_about_where_the_claim_is() {
        check(30, 30, true);
        check(30, 28, true);
        check(30, 32, true);
        check(30, 30 - ENDS, true);
        check(30, 29 - ENDS, false);
        check(60, 60, true);
        check(0, 3, true);
    }

    #[test]
    fn a_list_of_which_something_is_missing_is_none() {
        let all = versions(5);
        let root = legacy::root(&all);
        let error = under_root(all[1..].to_vec(), 4, root).unwrap_err().to_string();
        assert!(error.contains("4 versions") && error.contains("unpublished"), "{error}");
        assert!(error.contains(&root.to_string()), "{error}");
    }
}
