//! How old what the chain said may be, and what is remembered of it between runs: what cannot be undone
//! (`seen.json`, against older views) and the records themselves (`records.json`, for a machine whose endpoints are
//! all silent). A live answer is never replaced by a kept one. Makes no verdict.
//!
//! Both files lie in 3pm's home, one folder for each deployment, and are believed as the configuration there is:
//! whoever can write to it can also name other RPCs. Chains that start over (development) have neither.

mod answers;
mod records;
mod store;

use std::path::Path;
use std::time::Duration;

use chain::{Chain, Network, is_development_chain};
use trust::past::Past;
use trust::policy::Policy;

pub(crate) use self::answers::{Answers, Freshness, NoAnswers, Since};
use self::records::Records;
pub(crate) use self::store::StoreError;
use self::store::{Folder, Sheet};

/// What cannot be undone.
const SEEN: Sheet = Sheet { name: "seen.json", max_bytes: 64 << 20 };

/// The records themselves.
const RECORDS: Sheet = Sheet { name: "records.json", max_bytes: 64 << 20 };

/// Enrolled names that are remembered, and their versions: far more than any machine installs, and within the
/// size of the file.
const MAX_NAMES: usize = 20_000;
const MAX_VERSIONS: usize = 100_000;

/// What to do when no endpoint answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offline {
    /// Nothing can be decided.
    Deny,
    /// Records of blocks no older than this decide.
    Within {
        /// At most [`Offline::MAX_AGE`].
        max_age: Duration,
    },
}

impl Offline {
    /// Nobody can ask for more: a revocation is what an install would miss for so long.
    pub(crate) const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

    /// What holds where no policy says anything: a day, for a train or an outage of a provider.
    pub(crate) const DEFAULT_AGE: Duration = Duration::from_secs(24 * 3600);

    /// Records no older than `max_age`, and never older than [`Self::MAX_AGE`].
    fn within(max_age: Duration) -> Self {
        Self::Within { max_age: max_age.min(Self::MAX_AGE) }
    }
}

impl Offline {
    /// What a policy wants.
    pub(crate) fn of(policy: &Policy) -> Self {
        match policy.offline_seconds(Self::DEFAULT_AGE.as_secs()) {
            0 => Self::Deny,
            seconds => Self::within(Duration::from_secs(seconds)),
        }
    }
}

impl Default for Offline {
    fn default() -> Self {
        Self::within(Self::DEFAULT_AGE)
    }
}

/// What earlier runs saw of a deployment; `None` where its chain may start over.
pub(crate) fn past(home: &Path, network: &Network) -> Result<Option<Past>, StoreError> {
    if is_development_chain(network.chain_id) {
        return Ok(None);
    }
    Ok(Some(Folder::of(home, network).read(SEEN)?.unwrap_or_default()))
}

/// Keeps what this run saw, together with what others kept meanwhile; nothing of a run that was shown less than was
/// seen before: somebody lied to it, and may have lied about more.
pub(crate) fn keep(home: &Path, chain: &Chain, now: u64) -> Result<(), StoreError> {
    let Some(sightings) = chain.sightings().filter(|sightings| !sightings.went_back) else { return Ok(()) };
    let folder = Folder::of(home, chain.network());
    let _lock = folder.lock()?;
    let known: Past = folder.read(SEEN)?.unwrap_or_default();
    let mut past = known.clone();
    past.merge(sightings.past);
    past.keep_newest(MAX_NAMES, MAX_VERSIONS);
    if past != known {
        folder.write(SEEN, &past)?;
    }
    if !sightings.packages.is_empty() {
        // A damaged file here means that nothing is kept for later, and costs nobody anything now.
        let mut records: Records = folder.read(RECORDS).ok().flatten().unwrap_or_default();
        records.take(sightings.packages, sightings.releases, now);
        folder.write(RECORDS, &records)?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
