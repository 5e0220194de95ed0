//! Records as they were read, with the block and the time: what decides when no endpoint answers. Judges no record;
//! its age is part of the answer.

use std::collections::BTreeMap;

use chain::Head;
use serde::{Deserialize, Serialize};
use trust::record::{PackageRecord, PackageState, ReleaseRecord};
use trust::{PackageName, Version};

use super::Offline;

/// Names, and versions, that are kept: a few of the largest projects there are.
const MAX_RECORDS: usize = 20_000;

/// Everything that is kept of one deployment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Records {
    /// `None` for a name nobody claimed: most of them.
    names: BTreeMap<PackageName, Kept<Option<PackageRecord>>>,
    releases: BTreeMap<PackageName, BTreeMap<String, Kept<ReleaseRecord>>>,
}

/// A record, when and where it was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept<T> {
    pub(super) record: T,
    pub(super) block: u64,
    /// The block's time, Unix seconds: its age counts from here.
    pub(super) time: u64,
    /// When it was kept, Unix seconds.
    pub(super) read: u64,
}

impl Records {
    /// Takes over what a run read, the later block over the earlier, and lets go of what nobody may use any more.
    pub(super) fn take(
        &mut self,
        packages: BTreeMap<PackageName, (PackageRecord, Head)>,
        releases: BTreeMap<(PackageName, String), (ReleaseRecord, Head)>,
        now: u64,
    ) {
        for (name, (record, at)) in packages {
            let record = (record.state != PackageState::None).then_some(record);
            if self.names.get(&name).is_none_or(|known| known.block <= at.number) {
                self.names.insert(name, Kept::new(record, &at, now));
            }
        }
        for ((name, version), (record, at)) in releases {
            let versions = self.releases.entry(name).or_default();
            if versions.get(&version).is_none_or(|known| known.block <= at.number) {
                versions.insert(version, Kept::new(record, &at, now));
            }
        }
        let oldest = now.saturating_sub(Offline::MAX_AGE.as_secs());
        let since = [
            nth_newest(self.names.values().map(|kept| kept.time)),
            nth_newest(self.releases.values().flat_map(BTreeMap::values).map(|kept| kept.time)),
        ];
        let [names_since, releases_since] = since.map(|since| since.max(oldest));
        self.names.retain(|_, kept| kept.time >= names_since);
        for versions in self.releases.values_mut() {
            versions.retain(|_, kept| kept.time >= releases_since);
        }
        self.releases.retain(|_, versions| !versions.is_empty());
    }

    pub(super) fn package(&self, name: &PackageName) -> Option<&Kept<Option<PackageRecord>>> {
        self.names.get(name)
    }

    pub(super) fn release(&self, name: &PackageName, version: &Version) -> Option<&Kept<ReleaseRecord>> {
        self.releases.get(name)?.get(&version.to_string())
    }

    /// The time of the newest block.
    pub(super) fn newest(&self) -> Option<u64> {
        self.names.values().map(|kept| kept.time).max()
    }
}

impl<T> Kept<T> {
    fn new(record: T, at: &Head, now: u64) -> Self {
        Self { record, block: at.number, time: at.timestamp, read: now }
    }
}

/// The time from which on there are few enough; 0 where there are few enough anyway.
fn nth_newest(times: impl Iterator<Item = u64>) -> u64 {
    let mut times: Vec<u64> = times.collect();
    times.sort_unstable_by(|a, b| b.cmp(a));
    // Records of one run share a time: none of a run that does not fit as a whole is kept.
    times.get(MAX_RECORDS).map_or(0, |time| time.saturating_add(1))
}
