//! Finds out what is known about every entry of a tree: one head, one batched read of names and one of
//! releases, then the tarballs of what is enrolled. What to do about the answers is `decision`'s matter,
//! and verdicts are made by `trust::verdict::judge` alone.
//!
//! Nothing that could not be found out becomes a verdict: it is [`Outcome::Undecided`], with a sentence.
//!
//! The steps:
//! 1. Names and releases, at one block.
//! 2. For every enrolled name the registry's document; for every entry that needs its bytes the tarball
//!    (8 at a time): enrolled entries, and whatever carries bundled packages.
//! 3. The bytes are the ones the lockfile announces: npm enforces that hash, so others are never used.
//! 4. Judged twice, with the manifest of the lockfile and with the registry's: both were used.
//! 5. A bundled package is in its parent's tarball.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use alloy_primitives::B256;
use bytes::Bytes;
use chain::{Chain, ChainError, Head, records_time};
use client::npm::{NpmClient, NpmError, Packument};
use futures_util::{StreamExt as _, stream};
use serde_json::Value;
use trust::digest::of_file;
use trust::manifest::Manifest;
use trust::policy::Released;
use trust::record::{PackageRecord, PackageState, ReleaseRecord, ReleaseStatus};
use trust::text::printable;
use trust::verdict::{Arrival, LegacyEvidence, Verdict, judge};
use trust::{ContentHash, Integrity, PackageName, TarballHashes, Version};
use url::Url;

use super::entries::{Origin, Problem, Source, Tarball};
use super::evidence::{Evidence, LegacySource};
use super::manifests::{Inside, bin_files, comparable, read_inside};
use super::tarballs::Tarballs;
use super::unpacked::{Files, files_on_disk, fixed_first_line};
use crate::freshness::{Answers, Freshness, NoAnswers, Since, StoreError};
use crate::output::moment;

/// How many tarballs and documents are fetched at once.
const PARALLEL: usize = 8;

/// The largest command file whose first line npm may rewrite that is looked at.
const MAX_COMMAND_BYTES: u64 = 16 * 1024 * 1024;

/// Whom to ask what was signed.
#[derive(Debug)]
pub(crate) struct TrustNetwork {
    /// The contracts.
    pub(crate) chain: Arc<Chain>,
    /// How old its answers may be, and what was kept of them.
    pub(crate) freshness: Freshness,
    /// Who serves the lists of versions from before a claim; not believed, and not needed without one.
    pub(crate) coordinator: Option<Arc<LegacySource>>,
    /// Tarballs of signed releases that earlier runs fetched.
    pub(crate) tarballs: Tarballs,
}

/// One thing to find out about.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    /// Where it lands, or what was asked for.
    pub(crate) location: String,
    /// Its name, an alias resolved, as written.
    pub(crate) name: String,
    /// Its version, as written.
    pub(crate) version: Option<String>,
    /// The manifest that npm uses for it, when the lockfile carries one.
    pub(crate) manifest: Option<Value>,
    /// Where it comes from, or why it is refused.
    pub(crate) source: Result<Source, Problem>,
}

/// What is known about one subject.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    /// What it is about.
    pub(crate) subject: Subject,
    /// What is known.
    pub(crate) outcome: Outcome,
    /// What else a person should know: a waiting claim, a retired name, another host.
    pub(crate) notes: Vec<String>,
    /// When it was released, once that was looked up.
    pub(crate) released: Released,
}

impl Finding {
    /// Refused whatever anybody signed.
    pub(crate) fn refused(problem: Problem, subject: Subject) -> Self {
        Self::new(subject, Outcome::Refused(problem))
    }

    /// Nothing but the outcome is known.
    pub(crate) fn new(subject: Subject, outcome: Outcome) -> Self {
        Self { subject, outcome, notes: vec![], released: Released::NotAsked }
    }
}

/// What is known.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// Judged.
    Judged(Verdict),
    /// Refused without a judgement: nothing ties what npm would install to what could be checked.
    Refused(Problem),
    /// Could not be found out.
    Undecided(String),
    /// Does not come from a registry.
    Elsewhere(String),
    /// Inside the checked tarball of this location.
    Bundled(String),
    /// The project's own folder.
    Own,
    /// No trust network is configured, so nobody was asked.
    NotAsked,
}

/// The name of an outcome in counts and in JSON.
pub(crate) fn kind(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Judged(verdict) => verdict.name(),
        Outcome::Refused(_) => "Refused",
        Outcome::Undecided(_) => "Undecided",
        Outcome::Elsewhere(_) => "Elsewhere",
        Outcome::Bundled(_) => "Bundled",
        Outcome::Own => "Own",
        Outcome::NotAsked => "NotAsked",
    }
}

/// Everything that was found out.
#[derive(Debug)]
pub(crate) struct Assessment {
    /// The block at which it was read; `None` without a trust network, and where kept records decided.
    pub(crate) head: Option<Head>,
    /// How old the records are that decided, where no endpoint answered.
    pub(crate) offline: Option<Since>,
    /// One finding for each subject, in order.
    pub(crate) findings: Vec<Finding>,
}

/// Why nothing could be found out at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AssessError {
    /// The chain gave no answer, or answers that differ.
    #[error("the chain could not be read")]
    Chain(#[from] ChainError),
    /// It gave none, and what was kept of it is no help.
    #[error("no endpoint answers, and the records that were kept cannot be used")]
    Store(#[from] StoreError),
}

impl From<NoAnswers> for AssessError {
    fn from(error: NoAnswers) -> Self {
        match error {
            NoAnswers::Chain(error) => Self::Chain(error),
            NoAnswers::Store(error) => Self::Store(error),
        }
    }
}

/// What the chain says about the names and versions of a tree.
#[derive(Debug, Default)]
struct Records {
    packages: BTreeMap<PackageName, PackageRecord>,
    releases: BTreeMap<(PackageName, String), ReleaseRecord>,
    /// Why there is no record, where none was kept and nobody could be asked.
    unknown: BTreeMap<(PackageName, Option<String>), String>,
}

/// A tarball's bytes, read.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// Both ways.
    pub(crate) hashes: TarballHashes,
    /// What it holds, or why it cannot be read.
    pub(crate) read: Result<Read, String>,
}

/// What a tarball holds.
#[derive(Debug)]
pub(crate) struct Read {
    /// Its package.json.
    pub(crate) json: Value,
    paths: BTreeSet<String>,
    /// Its files as they will lie on disk.
    pub(crate) files: Arc<Files>,
}

impl Read {
    /// The name and version it says it is, as npm reads them.
    pub(crate) fn identity(&self) -> Result<(PackageName, String), String> {
        let inside = Inside { json: &self.json, files: &self.paths };
        let manifest = read_inside(&inside).map_err(|error| error.to_string())?;
        Ok((manifest.name.parse().map_err(|error| format!("{error}"))?, manifest.version))
    }
}

/// Finds out about `subjects`; `now` is the time in Unix seconds.
pub(crate) async fn assess(
    subjects: Vec<Subject>,
    npm: &NpmClient,
    network: Option<&TrustNetwork>,
    now: u64,
) -> Result<Assessment, AssessError> {
    // 1.
    let (answers, records) = match network {
        Some(network) => {
            let (answers, records) = read_records(&subjects, network, now).await?;
            (Some(answers), records)
        }
        None => (None, Records::default()),
    };
    // 2.
    let packuments = fetch_packuments(npm, &records).await;
    let bundling: BTreeSet<&str> = subjects
        .iter()
        .filter_map(|subject| match &subject.source {
            Ok(Source::Bundled { parent }) => Some(parent.as_str()),
            _ => None,
        })
        .collect();
    let store = network.map(|network| &network.tarballs);
    let sources = Fetching { npm, packuments: &packuments, store };
    let tarballs = fetch_tarballs(&subjects, &bundling, &records, &sources).await;
    let evidence = match network {
        Some(network) => fetch_evidence(&subjects, network.coordinator.as_deref(), &records).await,
        None => BTreeMap::new(),
    };
    let view = View {
        asked: network.is_some(),
        records: &records,
        packuments: &packuments,
        tarballs: &tarballs,
        evidence: &evidence,
    };
    let findings = subjects.iter().map(|subject| view.find(subject, &subjects)).collect();
    let head = answers.as_ref().and_then(Answers::head);
    Ok(Assessment { head, offline: answers.as_ref().and_then(Answers::offline), findings })
}

/// The same for one subject whose bytes are here already, with what the chain says of it; `asked` is whether
/// anybody was asked.
pub(crate) async fn assess_arrived(
    subject: Subject,
    fetched: Arc<Fetched>,
    said: Said,
    npm: &NpmClient,
    coordinator: Option<&LegacySource>,
) -> Finding {
    let mut records = Records::default();
    let key = name_of(&subject);
    let asked = !matches!(said, Said::NotAsked);
    if let (Some(name), Said::Chain { package, release }) = (key, said) {
        if let (Some(version), Some(release)) = (subject.version.clone(), release) {
            records.releases.insert((name.clone(), version), release);
        }
        records.packages.insert(name, package);
    }
    let packuments = fetch_packuments(npm, &records).await;
    let subjects = [subject];
    let evidence = match asked {
        true => fetch_evidence(&subjects, coordinator, &records).await,
        false => BTreeMap::new(),
    };
    let [subject] = &subjects;
    let mut tarballs = BTreeMap::new();
    if let Ok(Source::Tarball(tarball)) = &subject.source {
        tarballs.insert(key_of(subject, tarball), Ok(fetched));
    }
    let view =
        View { asked, records: &records, packuments: &packuments, tarballs: &tarballs, evidence: &evidence };
    view.find(subject, &subjects)
}

/// What the chain says about one package.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly always the larger one, and never many")]
pub(crate) enum Said {
    /// No trust network is configured.
    NotAsked,
    /// Its answer.
    Chain {
        /// About the name.
        package: PackageRecord,
        /// About the version, where the name is enrolled.
        release: Option<ReleaseRecord>,
    },
}

/// Whether releases of a name are judged.
pub(crate) fn is_enrolled(package: &PackageRecord) -> bool {
    matches!(package.state, PackageState::Final | PackageState::Retired)
}

/// Step 1: both reads pinned to the same block, or both from what was kept.
async fn read_records(
    subjects: &[Subject],
    network: &TrustNetwork,
    now: u64,
) -> Result<(Answers, Records), AssessError> {
    let answers = network.freshness.look(&network.chain, now).await?;
    let names: BTreeSet<PackageName> = subjects.iter().filter_map(name_of).collect();
    let names: Vec<PackageName> = names.into_iter().collect();
    let mut records = Records::default();
    if names.is_empty() {
        return Ok((answers, records));
    }
    match &answers {
        Answers::Live(head) => {
            let limit = records_time(names.len());
            let reading = records.read_live(subjects, names, &network.chain, head);
            let too_slow = ChainError::TooSlow { what: "records", limit };
            tokio::time::timeout(limit, reading).await.unwrap_or(Err(too_slow))?;
        }
        Answers::Offline(shelf) => {
            for name in names {
                match shelf.package(&name) {
                    Ok(record) => drop(records.packages.insert(name, record)),
                    Err(reason) => drop(records.unknown.insert((name, None), reason)),
                }
            }
            for ((name, text), version) in records.versions_of_enrolled(subjects) {
                match shelf.release(&name, &version) {
                    Ok(record) => drop(records.releases.insert((name, text), record)),
                    Err(reason) => drop(records.unknown.insert((name, Some(text)), reason)),
                }
            }
        }
    }
    Ok((answers, records))
}

impl Records {
    async fn read_live(
        &mut self,
        subjects: &[Subject],
        names: Vec<PackageName>,
        chain: &Chain,
        head: &Head,
    ) -> Result<(), ChainError> {
        let packages = chain.packages(head, &names).await?;
        self.packages = names.into_iter().zip(packages).collect();
        let keys = self.versions_of_enrolled(subjects);
        if !keys.is_empty() {
            let asked: Vec<(PackageName, Version)> =
                keys.iter().map(|((name, _), version)| (name.clone(), version.clone())).collect();
            let releases = chain.releases(head, &asked).await?;
            self.releases = keys.into_keys().zip(releases).collect();
        }
        Ok(())
    }

    fn versions_of_enrolled(&self, subjects: &[Subject]) -> BTreeMap<(PackageName, String), Version> {
        let versions = subjects.iter().filter_map(|subject| {
            let name = name_of(subject).filter(|name| self.is_enrolled(name))?;
            let version: Version = subject.version.as_deref()?.parse().ok()?;
            Some(((name, version.to_string()), version))
        });
        versions.collect()
    }

    /// Why nothing is known, where that is so.
    fn why_unknown(&self, tarball: &Tarball) -> Option<&String> {
        let version = tarball.version.as_ref().map(ToString::to_string);
        let of_name = self.unknown.get(&(tarball.name.clone(), None));
        of_name.or_else(|| self.unknown.get(&(tarball.name.clone(), version)))
    }
}

impl Records {
    fn is_enrolled(&self, name: &PackageName) -> bool {
        self.packages.get(name).is_some_and(is_enrolled)
    }
}

/// The names that matter: also bundled and git ones, whose revocation or enrolment is worth knowing.
fn name_of(subject: &Subject) -> Option<PackageName> {
    match &subject.source {
        Ok(Source::Tarball(tarball)) => Some(tarball.name.clone()),
        Ok(Source::Bundled { .. } | Source::Git { .. } | Source::File { .. }) => subject.name.parse().ok(),
        _ => None,
    }
}

async fn fetch_packuments(
    npm: &NpmClient,
    records: &Records,
) -> BTreeMap<PackageName, Result<Option<Packument>, NpmError>> {
    let enrolled: Vec<PackageName> =
        records.packages.keys().filter(|name| records.is_enrolled(name)).cloned().collect();
    stream::iter(enrolled)
        .map(|name| async move {
            let packument = npm.fetch_packument(&name).await;
            (name, packument)
        })
        .buffer_unordered(PARALLEL)
        .collect()
        .await
}

/// Step 2, the bytes: by location.
async fn fetch_tarballs(
    subjects: &[Subject],
    bundling: &BTreeSet<&str>,
    records: &Records,
    sources: &Fetching<'_>,
) -> BTreeMap<(PackageName, String, String), Result<Arc<Fetched>, String>> {
    let mut wanted = BTreeMap::new();
    for subject in subjects {
        let Ok(Source::Tarball(tarball)) = &subject.source else { continue };
        let judged =
            records.both(subject, tarball).is_some_and(|(package, release)| needs_bytes(package, release));
        if judged || bundling.contains(subject.location.as_str()) {
            wanted.entry(key_of(subject, tarball)).or_insert((subject, tarball));
        }
    }
    stream::iter(wanted)
        .map(|(key, (subject, tarball))| async move {
            let fetched = fetch_tarball(subject, tarball, sources).await;
            (key, fetched.map(Arc::new))
        })
        .buffer_unordered(PARALLEL)
        .collect()
        .await
}

/// Whether the judgement depends on the bytes: not where there is a record that refuses them whatever
/// they are, and not where there is none and none can come from before the claim.
fn needs_bytes(package: &PackageRecord, release: &ReleaseRecord) -> bool {
    match release.status {
        ReleaseStatus::Active | ReleaseStatus::Flagged => true,
        ReleaseStatus::None => package.state == PackageState::Final && !package.legacy_root.is_zero(),
        ReleaseStatus::Revoked | ReleaseStatus::Vetoed | ReleaseStatus::Cooling => false,
    }
}

fn key_of(subject: &Subject, tarball: &Tarball) -> (PackageName, String, String) {
    (tarball.name.clone(), subject.version.clone().unwrap_or_default(), tarball.integrity.to_string())
}

impl Records {
    fn both(&self, subject: &Subject, tarball: &Tarball) -> Option<(&PackageRecord, &ReleaseRecord)> {
        let release = self.releases.get(&(tarball.name.clone(), subject.version.clone()?))?;
        Some((self.packages.get(&tarball.name)?, release))
    }
}

/// Where tarballs come from.
struct Fetching<'a> {
    npm: &'a NpmClient,
    packuments: &'a BTreeMap<PackageName, Result<Option<Packument>, NpmError>>,
    store: Option<&'a Tarballs>,
}

async fn fetch_tarball(
    subject: &Subject,
    tarball: &Tarball,
    sources: &Fetching<'_>,
) -> Result<Fetched, String> {
    let Fetching { npm, packuments, store } = sources;
    let bytes = match store.and_then(|store| store.read(&tarball.integrity)) {
        Some(bytes) => bytes,
        None => {
            let url = find_url(subject, tarball, npm, packuments).await?;
            let bytes = npm.fetch_tarball(&url).await.map_err(|error| chain_of(&error))?;
            if let Some(Err(error)) = store.map(|store| store.keep(&Integrity::of(&bytes), &bytes)) {
                tracing::warn!(%error, "the tarball of {} was not kept", tarball.name);
            }
            bytes
        }
    };
    tokio::task::spawn_blocking(move || read(&bytes)).await.map_err(|error| error.to_string())
}

async fn find_url(
    subject: &Subject,
    tarball: &Tarball,
    npm: &NpmClient,
    packuments: &BTreeMap<PackageName, Result<Option<Packument>, NpmError>>,
) -> Result<Url, String> {
    let url = match &tarball.url {
        Some(url) => url.clone(),
        None => {
            let version = subject.version.as_deref().unwrap_or_default();
            let unknown = || format!("the registry names no tarball for {}@{version}", tarball.name);
            let asked;
            let packument = match packuments.get(&tarball.name) {
                Some(Ok(packument)) => packument.as_ref(),
                Some(Err(error)) => return Err(chain_of(error)),
                None => {
                    asked = npm.fetch_packument(&tarball.name).await.map_err(|error| chain_of(&error))?;
                    asked.as_ref()
                }
            };
            let found = packument.ok_or_else(unknown)?.version(version).map_err(|error| error.to_string())?;
            found.ok_or_else(unknown)?.tarball
        }
    };
    Ok(url)
}

/// Hashes both ways and reads within `scan`'s limits.
pub(crate) fn read(bytes: &Bytes) -> Fetched {
    let hashes = TarballHashes::of(bytes);
    let limits = scan::Limits::default();
    let read = scan::read_tarball(bytes, &limits).map_err(|error| error.to_string()).map(|tarball| {
        let paths: BTreeSet<String> = tarball.files.keys().cloned().collect();
        let inside = Inside { json: &tarball.manifest_json, files: &paths };
        let bins = bin_files(&inside);
        let bins = bins.iter().filter(|path| paths.contains(*path)).map(String::as_str).collect();
        let mut fixed = BTreeMap::new();
        // What was read once can be read again.
        let _ = scan::read_files(bytes, &bins, &limits, MAX_COMMAND_BYTES, &mut |path, content| {
            if let Some(content) = fixed_first_line(&content) {
                fixed.insert(path.to_owned(), of_file(&content));
            }
        });
        let contents = tarball.files.iter().map(|(path, file)| (path.clone(), file.hash)).collect();
        let files = Arc::new(files_on_disk(&contents, &fixed));
        Read { json: tarball.manifest_json, paths, files }
    });
    Fetched { hashes, read }
}

async fn fetch_evidence(
    subjects: &[Subject],
    coordinator: Option<&LegacySource>,
    records: &Records,
) -> BTreeMap<(PackageName, String), Evidence> {
    let mut wanted = BTreeMap::new();
    for subject in subjects {
        let Ok(Source::Tarball(tarball)) = &subject.source else { continue };
        let Some(version) = &tarball.version else { continue };
        let key = (tarball.name.clone(), version.to_string());
        let unrecorded = records.both(subject, tarball).is_some_and(|(package, release)| {
            release.status == ReleaseStatus::None && needs_bytes(package, release)
        });
        if unrecorded {
            wanted.insert(key, version.clone());
        }
    }
    stream::iter(wanted)
        .map(|(key, version)| async move {
            let evidence = match coordinator {
                Some(coordinator) => coordinator.evidence(&key.0, &version).await,
                None => Evidence::Missing("no coordinator is configured".to_owned()),
            };
            (key, evidence)
        })
        .buffer_unordered(PARALLEL)
        .collect()
        .await
}

/// Everything that was fetched; the rest is pure.
struct View<'a> {
    asked: bool,
    records: &'a Records,
    packuments: &'a BTreeMap<PackageName, Result<Option<Packument>, NpmError>>,
    tarballs: &'a BTreeMap<(PackageName, String, String), Result<Arc<Fetched>, String>>,
    evidence: &'a BTreeMap<(PackageName, String), Evidence>,
}

impl View<'_> {
    fn find(&self, subject: &Subject, all: &[Subject]) -> Finding {
        let mut notes = self.notes(subject);
        let outcome = match &subject.source {
            Err(problem) => Outcome::Refused(problem.clone()),
            Ok(Source::Own) => Outcome::Own,
            Ok(Source::Outside { target }) => {
                Outcome::Elsewhere(format!("a folder outside the project, {target}"))
            }
            Ok(Source::Git { repository }) => Outcome::Elsewhere(format!("git, {repository}")),
            Ok(Source::File { path }) => Outcome::Elsewhere(format!("a file, {path}")),
            Ok(Source::Bundled { parent }) => self.find_bundled(subject, parent, all),
            Ok(Source::Tarball(tarball)) => {
                let fetched = self.tarballs.get(&key_of(subject, tarball));
                self.find_tarball(subject, tarball, fetched, &mut notes)
            }
        };
        Finding { subject: subject.clone(), outcome, notes, released: Released::NotAsked }
    }

    fn notes(&self, subject: &Subject) -> Vec<String> {
        let mut notes = Vec::new();
        if let Ok(Source::Tarball(tarball)) = &subject.source {
            match &tarball.origin {
                Origin::Registry => {}
                Origin::OtherHost(host) => {
                    notes.push(format!("comes from {host}, which is not the configured registry"))
                }
                Origin::Url(host) => notes.push(format!("comes from a URL at {host}, not from a registry")),
            }
        }
        let record = name_of(subject).and_then(|name| self.records.packages.get(&name));
        match record.map(|record| (record.state, record)) {
            Some((PackageState::Provisional, record)) => {
                notes.push(format!(
                    "a claim of this name waits and becomes final at {}",
                    moment(record.final_at)
                ));
            }
            Some((PackageState::Retired, record)) => {
                notes.push(format!("its maintainers left 3pm at {}", moment(record.retired_at)));
            }
            Some((PackageState::Final, record)) => {
                if record.recovery_pending {
                    notes.push(format!(
                        "a recovery of this name waits and can take effect at {}",
                        moment(record.pending_ready_at)
                    ));
                }
                if !matches!(subject.source, Ok(Source::Tarball(_))) {
                    notes.push(
                        "the name is enrolled in 3pm, but this copy of it cannot be checked".to_owned(),
                    );
                }
            }
            _ => {}
        }
        notes
    }

    fn find_tarball(
        &self,
        subject: &Subject,
        tarball: &Tarball,
        fetched: Option<&Result<Arc<Fetched>, String>>,
        notes: &mut Vec<String>,
    ) -> Outcome {
        // A carrier of bundled packages was fetched too, enrolled or not: its bytes must be the announced.
        if let Some(Ok(fetched)) = fetched
            && !self.records.is_enrolled(&tarball.name)
            && let Some(problem) = other_bytes(tarball, fetched)
        {
            return Outcome::Refused(problem);
        }
        if !self.asked {
            return Outcome::NotAsked;
        }
        if let Some(reason) = self.records.why_unknown(tarball) {
            return Outcome::Undecided(reason.clone());
        }
        if !self.records.packages.contains_key(&tarball.name) {
            return Outcome::Undecided(format!("the chain did not answer about {}", tarball.name));
        }
        if !self.records.is_enrolled(&tarball.name) {
            return Outcome::Judged(Verdict::NotEnrolled);
        }
        let (Some(version), Some((package, release))) =
            (&tarball.version, self.records.both(subject, tarball))
        else {
            return Outcome::Refused(Problem {
                what: "version".to_owned(),
                expected: "strict SemVer: nobody can sign another version of an enrolled package".to_owned(),
                received: printable(subject.version.as_deref().unwrap_or("none"), 100),
            });
        };
        if !needs_bytes(package, release) {
            return self.judge_without_bytes(package, release, tarball, version);
        }
        let fetched = match fetched {
            Some(Ok(fetched)) => fetched,
            Some(Err(reason)) => return Outcome::Undecided(reason.clone()),
            None => return Outcome::Undecided(format!("{}@{version} was not fetched", tarball.name)),
        };
        let packument = match self.packuments.get(&tarball.name) {
            Some(Ok(packument)) => packument.as_ref(),
            // Its manifest is the one in its bytes, and what lies on disk is compared with those.
            Some(Err(NpmError::Offline { .. })) | None => None,
            Some(Err(error)) => return Outcome::Undecided(chain_of(error)),
        };
        let announced =
            packument.and_then(|packument| packument.version(&version.to_string()).ok().flatten());
        let was_asked = !matches!(self.packuments.get(&tarball.name), Some(Err(_)));
        if announced.is_none() && was_asked {
            notes.push("the registry no longer lists this version".to_owned());
        }
        let mut outcome = Outcome::Undecided(format!("{}@{version} was not judged", tarball.name));
        // 4. The lockfile's manifest first: npm installs by it.
        for used in [subject.manifest.as_ref(), announced.as_ref().map(|announced| &announced.manifest)] {
            let Some(used) = used else { continue };
            outcome = self.judge_one(package, release, tarball, version, fetched, Some(used), packument);
            if !matches!(
                outcome,
                Outcome::Judged(Verdict::Verified(_) | Verdict::Flagged { .. } | Verdict::Legacy)
            ) {
                break;
            }
        }
        if subject.manifest.is_none() && announced.is_none() {
            outcome = self.judge_one(package, release, tarball, version, fetched, None, packument);
        }
        // 3.
        match (&outcome, other_bytes(tarball, fetched)) {
            (
                Outcome::Judged(Verdict::Verified(_) | Verdict::Flagged { .. } | Verdict::Legacy)
                | Outcome::Undecided(_),
                Some(problem),
            ) => Outcome::Refused(problem),
            _ => outcome,
        }
    }

    fn judge_without_bytes(
        &self,
        package: &PackageRecord,
        release: &ReleaseRecord,
        tarball: &Tarball,
        version: &Version,
    ) -> Outcome {
        let arrival = Arrival {
            name: &tarball.name,
            version,
            // Never reached by the judgement of these statuses; if it were, it would be a mismatch.
            hashes: TarballHashes { integrity: tarball.integrity, content_hash: ContentHash(B256::ZERO) },
            inside: Err("not fetched".to_owned()),
            used: None,
            published_at: None,
            legacy: LegacyEvidence::Missing,
        };
        match judge(package, release, &arrival) {
            Ok(verdict) => Outcome::Judged(verdict),
            Err(undecided) => Outcome::Undecided(undecided.to_string()),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "each is one thing that trust's judgement takes")]
    fn judge_one(
        &self,
        package: &PackageRecord,
        release: &ReleaseRecord,
        tarball: &Tarball,
        version: &Version,
        fetched: &Fetched,
        used: Option<&Value>,
        packument: Option<&Packument>,
    ) -> Outcome {
        let pair: Result<(Manifest, Option<Manifest>), String> = match &fetched.read {
            Err(reason) => Err(reason.clone()),
            Ok(read) => {
                let inside = Inside { json: &read.json, files: &read.paths };
                match (read_inside(&inside), used) {
                    (Err(error), _) => Err(error.to_string()),
                    (Ok(inside), None) => Ok((inside, None)),
                    (Ok(_), Some(used)) => match comparable(&inside, used) {
                        Ok((signed, used)) => Ok((signed, Some(used))),
                        Err(error) => {
                            return Outcome::Refused(Problem {
                                what: "manifest that was used".to_owned(),
                                expected: "one that npm can read".to_owned(),
                                received: error.to_string(),
                            });
                        }
                    },
                }
            }
        };
        let key = (tarball.name.clone(), version.to_string());
        let evidence = self.evidence.get(&key);
        let legacy = match evidence {
            Some(Evidence::Proof(proof)) => {
                LegacyEvidence::Proof { integrity: proof.integrity, proof: &proof.proof }
            }
            Some(Evidence::List(list)) => LegacyEvidence::List(list),
            Some(Evidence::Missing(_)) | None => LegacyEvidence::Missing,
        };
        let arrival = Arrival {
            name: &tarball.name,
            version,
            hashes: fetched.hashes,
            inside: pair.as_ref().map(|(inside, _)| inside).map_err(Clone::clone),
            used: pair.as_ref().ok().and_then(|(_, used)| used.as_ref()),
            published_at: packument.and_then(|packument| packument.published_at(version)),
            legacy,
        };
        match (judge(package, release, &arrival), evidence) {
            (Ok(verdict), _) => Outcome::Judged(verdict),
            (Err(undecided), Some(Evidence::Missing(reason))) => {
                Outcome::Undecided(format!("{undecided}: {reason}"))
            }
            (Err(undecided), _) => Outcome::Undecided(undecided.to_string()),
        }
    }

    /// Step 5.
    fn find_bundled(&self, subject: &Subject, parent: &str, all: &[Subject]) -> Outcome {
        let key = (subject.name.parse().ok(), subject.version.clone());
        if let (Some(name), Some(version)) = key
            && let Some(release) = self.records.releases.get(&(name, version))
            && release.status == ReleaseStatus::Revoked
        {
            return Outcome::Judged(Verdict::Revoked);
        }
        let carrier = all.iter().find(|other| other.location == parent);
        let Some((carrier, Ok(Source::Tarball(tarball)))) = carrier.map(|carrier| (carrier, &carrier.source))
        else {
            return Outcome::Refused(not_bundled(parent));
        };
        match self.tarballs.get(&key_of(carrier, tarball)) {
            Some(Ok(fetched)) => match &fetched.read {
                Ok(read) => {
                    let folder =
                        subject.location.strip_prefix(parent).unwrap_or_default().trim_start_matches('/');
                    let manifest = format!("{folder}/package.json");
                    if other_bytes(tarball, fetched).is_none() && read.paths.contains(&manifest) {
                        Outcome::Bundled(parent.to_owned())
                    } else {
                        Outcome::Refused(not_bundled(parent))
                    }
                }
                Err(reason) => {
                    Outcome::Undecided(format!("the tarball of {parent} cannot be read: {reason}"))
                }
            },
            Some(Err(reason)) => Outcome::Undecided(reason.clone()),
            None => Outcome::Undecided(format!("the tarball of {parent} was not fetched")),
        }
    }
}

/// Step 3.
fn other_bytes(tarball: &Tarball, fetched: &Fetched) -> Option<Problem> {
    (fetched.hashes.integrity != tarball.integrity).then(|| Problem {
        what: "bytes: the registry serves others than the lockfile announces".to_owned(),
        expected: tarball.integrity.to_string(),
        received: fetched.hashes.integrity.to_string(),
    })
}

fn not_bundled(parent: &str) -> Problem {
    Problem {
        what: "inBundle".to_owned(),
        expected: format!("a folder inside the tarball of {}", printable(parent, 200)),
        received: "no such folder there: npm would fetch it unchecked".to_owned(),
    }
}

/// An error with its causes, on one line.
pub(crate) fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    printable(&text, 500)
}
