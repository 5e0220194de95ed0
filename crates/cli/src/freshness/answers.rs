//! Whether the chain is asked or kept records decide. The steps, each of which must hold before a kept record is
//! used:
//! 1. No endpoint was heard at all. Any word of any endpoint, also a wrong one, makes it an error instead.
//! 2. The policy allows it.
//! 3. The record's block is no older than the policy says, and not of the future.
//! 4. It does not show less than was seen (`trust::past`), and a waiting claim has not become final meanwhile.
//!
//! What a run found out about step 1 holds for that run. Never asks anybody but the chain.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use chain::{Chain, ChainError, Head};
use serde::Serialize;
use trust::past::Past;
use trust::record::{PackageRecord, PackageState, ReleaseRecord};
use trust::{PackageName, Version};

use super::records::{Kept, Records};
use super::store::{Folder, StoreError};
use super::{Offline, RECORDS};
use crate::output::moment;

/// How far a block may have been ahead of this machine's clock when it was read.
const MAX_AHEAD: u64 = 60;

/// What a run needs to know about age.
#[derive(Debug)]
pub(crate) struct Freshness {
    home: PathBuf,
    offline: Offline,
    decided: OnceLock<Arc<Shelf>>,
}

/// Where the answers of a run come from.
#[derive(Debug, Clone)]
pub(crate) enum Answers {
    /// From the chain, at this block.
    Live(Head),
    /// From what was kept.
    Offline(Arc<Shelf>),
}

/// Why there are no answers.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAnswers {
    /// The chain gave none, and none were kept that may be used.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The chain gave none, and the kept ones cannot be read.
    #[error("no endpoint answers, and the records that were kept cannot be used")]
    Store(#[from] StoreError),
}

/// The oldest record that was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Since {
    /// Its block.
    pub(crate) block: u64,
    /// That block's time, Unix seconds.
    pub(crate) time: u64,
}

/// Kept records, of an age that may be used.
#[derive(Debug)]
pub(crate) struct Shelf {
    records: Records,
    now: u64,
    max_age: u64,
    past: Mutex<Past>,
    oldest: Mutex<Option<Since>>,
}

impl Freshness {
    /// With the files in `home`.
    pub(crate) fn new(home: PathBuf, offline: Offline) -> Self {
        Self { home, offline, decided: OnceLock::new() }
    }

    /// The block to read at, or kept records; the steps are listed at the head of this module.
    pub(crate) async fn look(&self, chain: &Chain, now: u64) -> Result<Answers, NoAnswers> {
        if let Some(shelf) = self.decided.get() {
            return Ok(Answers::Offline(Arc::clone(shelf)));
        }
        // 1.
        let silence = match chain.head(now).await {
            Ok(head) => return Ok(Answers::Live(head)),
            Err(error) if error.is_silence() => error,
            Err(error) => return Err(error.into()),
        };
        // 2.
        let Offline::Within { max_age } = self.offline else { return Err(silence.into()) };
        // No memory, no records: a chain that may start over.
        let Some(sightings) = chain.sightings() else { return Err(silence.into()) };
        let Some(records) = Folder::of(&self.home, chain.network()).read::<Records>(RECORDS)? else {
            return Err(silence.into());
        };
        let shelf = Shelf::new(records, max_age.as_secs(), now, sightings.past);
        if !shelf.records.newest().is_some_and(|time| shelf.may_use(time)) {
            return Err(silence.into());
        }
        Ok(Answers::Offline(Arc::clone(self.decided.get_or_init(|| Arc::new(shelf)))))
    }
}

impl Answers {
    /// The block that is read at.
    pub(crate) fn head(&self) -> Option<Head> {
        match self {
            Self::Live(head) => Some(*head),
            Self::Offline(_) => None,
        }
    }

    /// How old the answers are, where they were kept.
    pub(crate) fn offline(&self) -> Option<Since> {
        match self {
            Self::Live(_) => None,
            Self::Offline(shelf) => Some(shelf.since()),
        }
    }
}

impl Shelf {
    pub(super) fn new(records: Records, max_age: u64, now: u64, past: Past) -> Self {
        Self { records, now, max_age, past: Mutex::new(past), oldest: Mutex::default() }
    }

    /// What was kept about a name; `Err` is a sentence.
    pub(crate) fn package(&self, name: &PackageName) -> Result<PackageRecord, String> {
        let kept = self.usable(self.records.package(name), name)?;
        let record = kept.record.clone().unwrap_or_else(PackageRecord::unclaimed);
        // 4.
        if record.state == PackageState::Provisional && record.final_at <= self.now {
            return Err(format!(
                "no endpoint answers, and the claim of {name} that waited became final at {}",
                moment(record.final_at)
            ));
        }
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        past.see_package(name, &record, kept.block).map_err(|error| error.to_string())?;
        self.note(kept);
        Ok(record)
    }

    /// What was kept about a version; `Err` is a sentence.
    pub(crate) fn release(&self, name: &PackageName, version: &Version) -> Result<ReleaseRecord, String> {
        let kept = self.usable(self.records.release(name, version), &format_args!("{name}@{version}"))?;
        // 4.
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        past.see_release(name, version, &kept.record, kept.block).map_err(|error| error.to_string())?;
        self.note(kept);
        Ok(kept.record.clone())
    }

    /// Step 3.
    fn usable<'a, T>(
        &self,
        kept: Option<&'a Kept<T>>,
        subject: &dyn std::fmt::Display,
    ) -> Result<&'a Kept<T>, String> {
        match kept {
            Some(kept) if self.may_use(kept.time) => Ok(kept),
            Some(kept) => Err(format!(
                "no endpoint answers, and what was kept about {subject} is of {}, expected at most {} old",
                moment(kept.time),
                span(self.max_age)
            )),
            None => Err(format!("no endpoint answers, and nothing was kept about {subject}")),
        }
    }

    fn may_use(&self, time: u64) -> bool {
        time <= self.now.saturating_add(MAX_AHEAD) && self.now.saturating_sub(time) <= self.max_age
    }

    fn note<T>(&self, kept: &Kept<T>) {
        let mut oldest = self.oldest.lock().unwrap_or_else(PoisonError::into_inner);
        if oldest.is_none_or(|oldest| kept.time < oldest.time) {
            *oldest = Some(Since { block: kept.block, time: kept.time });
        }
    }

    fn since(&self) -> Since {
        let oldest = *self.oldest.lock().unwrap_or_else(PoisonError::into_inner);
        oldest.unwrap_or(Since { block: 0, time: self.records.newest().unwrap_or(0) })
    }
}

/// Seconds in words.
fn span(seconds: u64) -> String {
    match seconds {
        7200.. => format!("{} hours", seconds / 3600),
        120.. => format!("{} minutes", seconds / 60),
        _ => format!("{seconds} seconds"),
    }
}
