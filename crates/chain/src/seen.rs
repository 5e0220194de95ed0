//! What one run sees: every record that was read and believed goes through here, is held against what was seen
//! before (`trust::past`), and is kept for whoever stores it. Reads nothing and stores nothing itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use trust::past::{Past, WentBack};
use trust::record::{PackageRecord, ReleaseRecord};
use trust::{PackageName, Version};

use crate::reads::Head;

/// Records with the block they were read at.
#[derive(Debug, Clone, Default)]
pub struct Sightings {
    /// What cannot be undone, of this run and of those before it.
    pub past: Past,
    /// What the contracts said of names.
    pub packages: BTreeMap<PackageName, (PackageRecord, Head)>,
    /// Whether somebody showed less than was seen. Nothing of such a run deserves to be kept.
    pub went_back: bool,
    /// What they said of releases; the version as it is written.
    pub releases: BTreeMap<(PackageName, String), (ReleaseRecord, Head)>,
}

/// The memory of a run.
#[derive(Debug, Clone)]
pub(crate) struct Witness(Arc<Mutex<Sightings>>);

impl Witness {
    pub(crate) fn new(past: Past) -> Self {
        Self(Arc::new(Mutex::new(Sightings { past, ..Sightings::default() })))
    }

    pub(crate) fn sightings(&self) -> Sightings {
        self.lock().clone()
    }

    pub(crate) fn see_block(&self, number: u64) {
        self.lock().past.see_block(number);
    }

    pub(crate) fn see_packages(
        &self,
        at: &Head,
        wanted: &[PackageName],
        found: &[PackageRecord],
    ) -> Result<(), WentBack> {
        self.see(|seen| {
            for (name, record) in wanted.iter().zip(found) {
                seen.past.see_package(name, record, at.number)?;
                seen.packages.insert(name.clone(), (record.clone(), *at));
            }
            Ok(())
        })
    }

    pub(crate) fn see_counts(&self, at: &Head, found: &[(PackageName, u64)]) -> Result<(), WentBack> {
        self.see(|seen| {
            found.iter().try_for_each(|(name, count)| seen.past.see_release_count(name, *count, at.number))
        })
    }

    pub(crate) fn see_releases(
        &self,
        at: &Head,
        wanted: &[(PackageName, Version)],
        found: &[ReleaseRecord],
    ) -> Result<(), WentBack> {
        self.see(|seen| {
            for ((name, version), record) in wanted.iter().zip(found) {
                seen.past.see_release(name, version, record, at.number)?;
                seen.releases.insert((name.clone(), version.to_string()), (record.clone(), *at));
            }
            Ok(())
        })
    }

    fn see(&self, seeing: impl FnOnce(&mut Sightings) -> Result<(), WentBack>) -> Result<(), WentBack> {
        let mut seen = self.lock();
        let result = seeing(&mut seen);
        seen.went_back |= result.is_err();
        result
    }

    fn lock(&self) -> MutexGuard<'_, Sightings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
