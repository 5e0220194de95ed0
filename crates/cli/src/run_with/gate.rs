//! Decides about every tarball before the package manager gets a byte of it, and keeps what was found.
//!
//! The steps for a tarball, each of which refuses:
//! 1. It can be read: one package, within limits, every reader alike.
//! 2. It is the package and version that the address stands for: what a document of this run says of it, or
//!    the path that registries use.
//! 3. Its verdict, with every manifest that the package manager was shown of it in this run, and the policy.
//! 4. It has the hash that the document announced.
//!
//! Documents pass as they are; they are read for steps 2 to 4. Nothing here is decided by a document alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use client::http::Limits;
use client::npm::NpmClient;
use futures_util::future::join_all;
use proxy::{Asked, Gate, Passed, Purpose, Ruling};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use trust::policy::{Line, Policy, Rule};
use trust::record::ReleaseStatus;
use trust::text::printable;
use trust::verdict::Verdict;
use trust::{Integrity, PackageName, Version};
use url::Url;

use super::announced::{Announcements, Board, Described, Document};
use super::lookup::Lookup;
use crate::install::ages;
use crate::install::assess::{self, Fetched, Finding, Outcome, Said, Subject, assess_arrived};
use crate::install::decision::{Call, call, in_words, line};
use crate::install::entries::{Origin, Problem, Source, Tarball, same_host, shown_host};
use crate::install::evidence::LegacySource;
use crate::install::foresight::Foresight;
use crate::install::locked::{Known, Locked, clean};
use crate::install::npm_cache;
use crate::install::tarballs::Tarballs;
use crate::install::unpacked::Files;

/// Documents of one name that are kept: the short form, the long form, and as many again that differ.
const MAX_DOCUMENTS: usize = 6;

/// A document in its short form.
const DOCUMENT: Limits = Limits { bytes: 64 << 20, time: Duration::from_secs(30) };

/// How a registry is asked for the short form, or the long one where it has no other.
const SHORT_FORM: &str = "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8";

/// The largest document or tarball that is read where it arrives instead of on a thread of its own: handing it over and
/// back takes longer than most documents do, and a tenth of what a tarball does. The worst of that size unpacks to a
/// thousand times as much, which keeps others waiting for a fraction of a second.
const SMALL: usize = 64 * 1024;

/// Names with versions that can be on record.
pub(crate) type Releases = BTreeSet<(PackageName, Version)>;

/// A tarball, and the server that it lies on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Placed {
    /// Whose.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// Scheme, host and port.
    pub(crate) host: Url,
}

/// A tarball that came, and what was found about it.
#[derive(Debug, Clone)]
pub(crate) struct Arrived {
    /// What was found.
    pub(crate) finding: Finding,
    /// The hash of its bytes.
    pub(crate) integrity: Integrity,
    /// Its files, when it could be read.
    pub(crate) files: Option<Arc<Files>>,
    /// An earlier run saw it, and kept the list of its files.
    pub(crate) is_remembered: bool,
}

/// Whom to ask.
#[derive(Debug)]
pub(crate) struct Sources {
    /// The chain; none without a trust network.
    pub(crate) lookup: Option<Lookup>,
    /// Registries, as npm is configured.
    pub(crate) npm: NpmClient,
    /// Tarballs of signed releases that earlier runs fetched.
    pub(crate) tarballs: Tarballs,
    /// For versions from before a claim.
    pub(crate) coordinator: Option<Arc<LegacySource>>,
    /// What is wanted done about verdicts.
    pub(crate) policy: Arc<Policy>,
}

/// The gate of one run.
#[derive(Debug)]
pub(crate) struct Gatekeeper {
    sources: Arc<Sources>,
    announced: Mutex<Board>,
    documents: Mutex<HashMap<PackageName, Vec<Bytes>>>,
    arrived: Mutex<BTreeMap<(String, String, Integrity), Arrived>>,
    /// Manifests that npm takes out of its lockfile, by name and version.
    expected: Mutex<BTreeMap<(String, String), Vec<Value>>>,
}

/// A document about a package, as far as manifests go.
#[derive(Debug, Deserialize)]
struct Manifests<'a> {
    #[serde(borrow, default)]
    versions: Option<HashMap<String, &'a RawValue>>,
    version: Option<String>,
    /// Versions that npm looks into beside the others.
    #[serde(borrow, default, rename = "policyRestrictions")]
    restricted: Option<Restricted<'a>>,
}

#[derive(Debug, Deserialize)]
struct Restricted<'a> {
    #[serde(borrow, default)]
    versions: Option<HashMap<String, &'a RawValue>>,
}

impl Manifests<'_> {
    /// Every manifest under which a package manager may take the tarball of `version` at `path`: under its own number,
    /// under another that leads to it, and the other way round.
    fn leading_to(&self, version: &str, path: &str) -> Vec<Value> {
        let restricted = self.restricted.iter().filter_map(|restricted| restricted.versions.as_ref());
        let entries = self.versions.iter().chain(restricted).flatten();
        let leads = |key: &str, raw: &RawValue| {
            let described = serde_json::from_str::<Described<'_>>(raw.get()).ok();
            let said = described.as_ref().and_then(Described::version);
            let tarball = described.as_ref().and_then(Described::tarball);
            clean(key) == clean(version)
                || said.is_some_and(|said| clean(said) == clean(version))
                || tarball.and_then(|url| Url::parse(url).ok()).is_some_and(|url| url.path() == path)
        };
        let leading = entries.filter(|(key, raw)| leads(key, raw));
        leading.filter_map(|(_, raw)| serde_json::from_str(raw.get()).ok()).collect()
    }
}

impl Gatekeeper {
    /// A gate that asks `sources`.
    pub(crate) fn new(sources: Arc<Sources>) -> Self {
        Self {
            sources,
            announced: Mutex::default(),
            documents: Mutex::default(),
            arrived: Mutex::default(),
            expected: Mutex::default(),
        }
    }

    /// Another that asks the same, and has seen nothing yet.
    pub(crate) fn anew(&self) -> Self {
        Self::new(Arc::clone(&self.sources))
    }

    /// Judges each tarball also with the manifest that the lockfile has of it: npm installs by that.
    pub(crate) fn expect(&self, locked: &Locked) {
        let mut expected = lock(&self.expected);
        for subject in locked.subjects() {
            if let (Some(version), Some(manifest)) = (subject.version, subject.manifest) {
                let manifests = expected.entry((subject.name, clean(&version).to_owned())).or_default();
                if !manifests.contains(&manifest) {
                    manifests.push(manifest);
                }
            }
        }
    }

    /// The tarballs that were judged.
    pub(crate) fn known(&self) -> BTreeSet<Known> {
        let arrived = lock(&self.arrived);
        let known = arrived
            .keys()
            .map(|(name, version, integrity)| (name.clone(), clean(version).to_owned(), *integrity));
        known.collect()
    }

    /// What documents of this run announce of `wanted`, each about its own package.
    pub(crate) fn announcements<'a>(
        &self,
        wanted: impl IntoIterator<Item = &'a (String, String)>,
    ) -> Announcements {
        lock(&self.announced).hashes(wanted)
    }

    /// Where packages of this name come from in this run.
    pub(crate) fn registry_of(&self, name: &PackageName) -> Url {
        self.sources.npm.config().registry_for(name).url
    }

    /// Has its registry say what it announces of a name that nobody signs. Where it does not, nothing is announced.
    pub(crate) async fn ask_about(&self, name: &PackageName) {
        let npm = &self.sources.npm;
        let asked = async {
            let url = npm.package_url(name).map_err(|error| assess::chain_of(&error))?;
            let authorization = npm.config().authorization_for(&url);
            let asked = npm.http().get_bytes(&url, authorization.as_ref(), Some(SHORT_FORM), DOCUMENT);
            let bytes = asked.await.map_err(|error| assess::chain_of(&error))?;
            Document::parse(&bytes)?
                .map_or(Ok(()), |document| self.keep_document(url.path(), &document, &bytes))
        };
        if let Err(reason) = asked.await {
            tracing::warn!(%name, reason, "the registry does not say which tarballs it has");
        }
        self.forget_unless_enrolled(name).await;
    }

    /// Where the registry says that tarballs lie.
    pub(crate) fn announced_places(&self) -> Vec<Placed> {
        lock(&self.announced).places()
    }

    /// The tarball that a registry of this run has on another host, as its redirect says.
    pub(crate) fn sent_elsewhere(&self, request: &Passed) -> Option<Placed> {
        let host = origin_of(request.sent_to.as_ref()?)?;
        let url = Url::parse(&request.url).ok()?;
        let announced = lock(&self.announced).at(&url).into_iter().next();
        let announced = announced.map(|one| (one.name.to_string(), one.version.to_string()));
        let (name, version) = announced.or_else(|| package_of_path(url.path()))?;
        Some(Placed { name, version, host })
    }

    /// Whether a release is on record and stands: then its bytes are the signed ones, wherever they come from.
    pub(crate) async fn is_signed(&self, placed: &Placed) -> bool {
        let (Some(lookup), Ok(name), Ok(version)) =
            (&self.sources.lookup, placed.name.parse::<PackageName>(), placed.version.parse::<Version>())
        else {
            return false;
        };
        self.is_enrolled(&name).await
            && lookup
                .release(&name, &version)
                .await
                .is_ok_and(|record| record.status == ReleaseStatus::Active)
    }

    /// Whom it asks.
    pub(crate) fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Everything that came, in order of name and version.
    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        lock(&self.arrived).values().cloned().collect()
    }

    /// How many came.
    pub(crate) fn count_arrived(&self) -> usize {
        lock(&self.arrived).len()
    }

    /// What was found about one tarball.
    pub(crate) fn arrived_as(&self, name: &str, version: &str, integrity: Integrity) -> Option<Arrived> {
        let key = (name.to_owned(), version.to_owned(), integrity);
        lock(&self.arrived).get(&key).cloned()
    }

    /// Judges a tarball that `url` gave, and remembers it.
    pub(crate) async fn judge(&self, url: &Url, bytes: Bytes) -> Arrived {
        let whole = bytes.clone();
        let read = match bytes.len() <= SMALL {
            true => Ok(assess::read(&bytes)),
            false => tokio::task::spawn_blocking(move || assess::read(&bytes)).await,
        };
        let fetched = match read {
            Ok(fetched) => Arc::new(fetched),
            Err(error) => {
                let expected = "one that can be read";
                return self.keep(self.refused(url, None, "tarball", expected, &error.to_string()));
            }
        };
        let arrived = self.judge_read(url, fetched).await;
        if matches!(arrived.finding.outcome, Outcome::Judged(Verdict::Verified(_) | Verdict::Flagged { .. }))
        {
            let (tarballs, integrity) = (self.sources.tarballs.clone(), arrived.integrity);
            let kept = tokio::task::spawn_blocking(move || tarballs.keep(&integrity, &whole)).await;
            if let Ok(Err(error)) = kept {
                tracing::warn!(%error, "a signed tarball was not kept");
            }
        }
        self.keep(arrived)
    }

    /// The signed tarball of a release, or the one with one of `hashes`, where an earlier run kept it; with the address
    /// that it stands at.
    pub(crate) async fn at_hand(
        &self,
        name: &PackageName,
        version: &str,
        hashes: Option<&BTreeSet<Integrity>>,
    ) -> Option<(Url, Bytes)> {
        let strict: Version = version.parse().ok()?;
        let record = self.sources.lookup.as_ref()?.release(name, &strict).await.ok()?;
        let hashes: Vec<Integrity> =
            hashes.into_iter().flatten().copied().chain([record.integrity]).collect();
        let tarballs = self.sources.tarballs.clone();
        let read = move || hashes.iter().find_map(|integrity| tarballs.read(integrity));
        let bytes = tokio::task::spawn_blocking(read).await.ok()??;
        let file = format!("{name}/-/{}-{version}.tgz", name.as_str().rsplit('/').next()?);
        Some((self.sources.npm.config().registry_for(name).url.join(&file).ok()?, bytes))
    }

    /// Whether somebody signs releases of this name; also when that is not known.
    pub(crate) async fn is_enrolled(&self, name: &PackageName) -> bool {
        match &self.sources.lookup {
            None => false,
            Some(lookup) => lookup.package(name).await.map_or(true, |package| assess::is_enrolled(&package)),
        }
    }

    /// Asks the chain about releases that will come up, all at once, so that the answers are there by then.
    pub(crate) fn ask_ahead(self: &Arc<Self>, releases: Releases) {
        let gate = Arc::clone(self);
        tokio::spawn(async move {
            let ask = async |(name, version): &(PackageName, Version)| {
                if gate.is_enrolled(name).await
                    && let Some(lookup) = &gate.sources.lookup
                {
                    // Whoever needs it hears what went wrong.
                    let _ = lookup.release(name, version).await;
                }
            };
            join_all(releases.iter().map(ask)).await;
        });
    }

    /// Remembers a tarball of a name that nobody signs, whose files an earlier run saw.
    pub(crate) async fn keep_known(
        &self,
        name: &PackageName,
        version: &str,
        integrity: Integrity,
        files: Arc<Files>,
    ) {
        let outcome = match self.sources.lookup {
            Some(_) => Outcome::Judged(Verdict::NotEnrolled),
            None => Outcome::NotAsked,
        };
        let tarball = Tarball {
            name: name.clone(),
            version: version.parse().ok(),
            integrity,
            url: None,
            origin: Origin::Registry,
        };
        let subject = Subject {
            location: format!("{name}@{version}"),
            name: name.to_string(),
            version: Some(version.to_owned()),
            manifest: None,
            source: Ok(Source::Tarball(tarball)),
        };
        let mut finding = Finding::new(subject, outcome);
        self.look_up_age(&mut finding).await;
        self.keep(Arrived { finding, integrity, files: Some(files), is_remembered: true });
    }

    /// Where the policy asks how long it has been out.
    async fn look_up_age(&self, finding: &mut Finding) {
        if self.sources.policy.asks_release_age() {
            ages::look_up(std::slice::from_mut(finding), &self.sources.npm).await;
        }
    }

    async fn judge_read(&self, url: &Url, fetched: Arc<Fetched>) -> Arrived {
        let integrity = fetched.hashes.integrity;
        // 1.
        let identity = fetched.read.as_ref().map_err(Clone::clone).and_then(assess::Read::identity);
        let (name, version) = match identity {
            Ok(identity) => identity,
            Err(reason) => {
                return self.refused(
                    url,
                    Some(integrity),
                    "tarball",
                    "a package that every reader reads alike",
                    &reason,
                );
            }
        };
        // 2.
        let announced = lock(&self.announced).at(url);
        let stands_for = match announced.first() {
            Some(announced) => Some((announced.name.to_string(), announced.version.to_string())),
            None => package_of_path(url.path()),
        };
        if let Some((expected_name, expected_version)) = stands_for
            && (expected_name != name.as_str() || clean(&expected_version) != clean(&version))
        {
            let expected = format!("{expected_name}@{expected_version}, which this address stands for");
            return self.refused(url, Some(integrity), "identity", &expected, &format!("{name}@{version}"));
        }
        // 3.
        let subject = Subject {
            location: format!("{name}@{version}"),
            name: name.to_string(),
            version: Some(version.clone()),
            manifest: None,
            source: Ok(Source::Tarball(Tarball {
                origin: self.origin(url, &name),
                version: version.parse().ok(),
                name: name.clone(),
                integrity,
                url: Some(url.clone()),
            })),
        };
        let mut finding = self.find(subject, &name, &version, url.path(), Arc::clone(&fetched)).await;
        // 4.
        let other = announced.iter().filter_map(|one| one.integrity).find(|expected| *expected != integrity);
        if let Some(expected) = other.filter(|_| self.call(&finding) != Call::Deny) {
            let what = "bytes: the registry serves others than it announces";
            return self.refused(url, Some(integrity), what, &expected.to_string(), &integrity.to_string());
        }
        self.look_up_age(&mut finding).await;
        let files = fetched.read.as_ref().ok().map(|read| Arc::clone(&read.files));
        Arrived { finding, integrity, files, is_remembered: false }
    }

    /// The worst of what each manifest comes to that the package manager was shown.
    async fn find(
        &self,
        subject: Subject,
        name: &PackageName,
        version: &str,
        path: &str,
        fetched: Arc<Fetched>,
    ) -> Finding {
        let undecided = |subject: Subject, reason: String| Finding::new(subject, Outcome::Undecided(reason));
        let mut manifests: Vec<Option<Value>> = Vec::new();
        let mut answers = None;
        if let Some(lookup) = &self.sources.lookup {
            let package = match lookup.package(name).await {
                Ok(package) => package,
                Err(reason) => return undecided(subject, reason),
            };
            let mut release = None;
            if assess::is_enrolled(&package) {
                if let Ok(strict) = version.parse::<Version>() {
                    match lookup.release(name, &strict).await {
                        Ok(record) => release = Some(record),
                        Err(reason) => return undecided(subject, reason),
                    }
                }
                manifests = self.manifests(name, version, path);
                let expected =
                    lock(&self.expected).get(&(name.to_string(), clean(version).to_owned())).cloned();
                manifests.extend(expected.into_iter().flatten().map(Some));
            }
            answers = Some((package, release));
        }
        if manifests.is_empty() {
            manifests.push(None);
        }
        let mut worst: Option<Finding> = None;
        for manifest in manifests {
            let said = match &answers {
                None => Said::NotAsked,
                Some((package, release)) => {
                    Said::Chain { package: package.clone(), release: release.clone() }
                }
            };
            let subject = Subject { manifest, ..subject.clone() };
            let sources = &self.sources;
            let finding = assess_arrived(
                subject,
                Arc::clone(&fetched),
                said,
                &sources.npm,
                sources.coordinator.as_deref(),
            )
            .await;
            let is_worse = worst.as_ref().is_none_or(|worst| self.call(&finding) > self.call(worst));
            if is_worse {
                worst = Some(finding);
            }
        }
        worst.unwrap_or_else(|| undecided(subject, "nothing was judged".to_owned()))
    }

    /// What is to be done about a finding.
    pub(crate) fn call(&self, finding: &Finding) -> Call {
        call(finding, &self.sources.policy)
    }

    /// What documents of this run say about a version, or about the tarball at `path`; a document that says nothing of it
    /// is none.
    fn manifests(&self, name: &PackageName, version: &str, path: &str) -> Vec<Option<Value>> {
        let documents = lock(&self.documents).get(name).cloned().unwrap_or_default();
        let mut found: Vec<Option<Value>> = Vec::new();
        for bytes in &documents {
            let Ok(manifests) = serde_json::from_slice::<Manifests<'_>>(bytes) else { continue };
            let of_one = manifests.versions.is_none() && manifests.version.as_deref() == Some(version);
            let whole = of_one.then(|| serde_json::from_slice(bytes).ok()).flatten();
            for manifest in manifests.leading_to(version, path).into_iter().chain(whole) {
                let manifest = Some(manifest);
                if !found.contains(&manifest) {
                    found.push(manifest);
                }
            }
        }
        found
    }

    fn origin(&self, url: &Url, name: &PackageName) -> Origin {
        let config = self.sources.npm.config();
        let own = config.registry_for(name).url;
        let known = std::iter::once(&own).chain(config.registries()).any(|registry| same_host(registry, url));
        if known { Origin::Registry } else { Origin::OtherHost(shown_host(url)) }
    }

    fn refused(
        &self,
        url: &Url,
        integrity: Option<Integrity>,
        what: &str,
        expected: &str,
        received: &str,
    ) -> Arrived {
        let problem = Problem {
            what: what.to_owned(),
            expected: printable(expected, 300),
            received: printable(received, 300),
        };
        let shown = package_of_path(url.path());
        let (name, version) = shown.unwrap_or_else(|| (printable(url.path(), 200), String::new()));
        let subject = Subject {
            location: printable(url.path(), 200),
            name,
            version: Some(version).filter(|version| !version.is_empty()),
            manifest: None,
            source: Err(problem.clone()),
        };
        let finding = Finding::new(subject, Outcome::Refused(problem));
        Arrived {
            finding,
            integrity: integrity.unwrap_or_else(|| Integrity::of(b"")),
            files: None,
            is_remembered: false,
        }
    }

    fn keep(&self, arrived: Arrived) -> Arrived {
        let subject = &arrived.finding.subject;
        let key = (subject.name.clone(), subject.version.clone().unwrap_or_default(), arrived.integrity);
        lock(&self.arrived).insert(key, arrived.clone());
        arrived
    }

    /// Remembers what a document says: `Err` with a reason where it must not be handed out.
    fn keep_document(&self, path: &str, document: &Document<'_>, bytes: &Bytes) -> Result<(), String> {
        let Some(subject) = document.subject(path)? else { return Ok(()) };
        let announced = document.announced(subject);
        lock(&self.announced).add(announced)?;
        self.keep_manifests(subject, bytes)
    }

    /// Keeps it until it is known that nobody will ask for its manifests.
    fn keep_manifests(&self, name: &str, bytes: &Bytes) -> Result<(), String> {
        let Ok(name) = name.parse::<PackageName>() else { return Ok(()) };
        if self.sources.lookup.is_none() {
            return Ok(());
        }
        let mut documents = lock(&self.documents);
        let kept = documents.entry(name.clone()).or_default();
        if kept.contains(bytes) {
            return Ok(());
        }
        if kept.len() >= MAX_DOCUMENTS {
            return Err(format!("the registry describes {name} in more than {MAX_DOCUMENTS} ways"));
        }
        kept.push(bytes.clone());
        Ok(())
    }

    /// Forgets documents of names that are not enrolled; asks about the name on the way, so that the answer is
    /// there when its tarball comes.
    async fn forget_unless_enrolled(&self, name: &PackageName) {
        let Some(lookup) = &self.sources.lookup else { return };
        if let Ok(package) = lookup.package(name).await
            && !assess::is_enrolled(&package)
        {
            lock(&self.documents).remove(name);
        }
    }
}

/// The gate as the proxy holds it, and what guesses which documents come next.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    /// Decides.
    pub(crate) gate: Arc<Gatekeeper>,
    /// For package managers that ask for one after the other.
    pub(crate) foresight: Option<Arc<Foresight>>,
    /// For npm.
    pub(crate) shelf: Option<Shelf>,
}

/// npm's cache, and what of it npm will look for there before it asks.
#[derive(Debug, Clone)]
pub(crate) struct Shelf {
    /// The folder.
    pub(crate) cache: PathBuf,
    /// Tarballs of its lockfile.
    pub(crate) wanted: BTreeSet<Integrity>,
}

impl Shelf {
    /// Puts a released tarball there: whether npm finds it.
    async fn put(&self, integrity: Integrity, bytes: Bytes) -> bool {
        if !self.wanted.contains(&integrity) {
            return false;
        }
        let cache = self.cache.clone();
        let put = tokio::task::spawn_blocking(move || npm_cache::put(&cache, &integrity, &bytes));
        let put = put.await.unwrap_or_else(|error| Err(error.into()));
        if let Err(error) = &put {
            tracing::debug!(%error, "a checked tarball was not put into npm's cache");
        }
        put.is_ok()
    }
}

impl Gate for Door {
    async fn tarball(&self, asked: &Asked, bytes: Bytes) -> Ruling {
        let arrived = self.gate.judge(&asked.url, bytes.clone()).await;
        match self.gate.call(&arrived.finding) {
            Call::Allow | Call::Warn => match &self.shelf {
                Some(shelf)
                    if asked.purpose == Purpose::Ahead && shelf.put(arrived.integrity, bytes).await =>
                {
                    Ruling::AtHand
                }
                _ => Ruling::Release,
            },
            Call::Deny | Call::Undecided => {
                Ruling::Refuse { message: words(&arrived.finding, &self.gate.sources.policy) }
            }
        }
    }

    async fn document(&self, asked: &Asked, bytes: Bytes) -> Ruling {
        let read = if bytes.len() <= SMALL {
            self.read(asked, &bytes)
        } else {
            let (door, asked) = (self.clone(), asked.clone());
            let work = tokio::task::spawn_blocking(move || door.read(&asked, &bytes));
            work.await.unwrap_or_else(|error| Err(error.to_string()))
        };
        if let Some(name) = name_of_document(asked.url.path()) {
            let gate = Arc::clone(&self.gate);
            tokio::spawn(async move { gate.forget_unless_enrolled(&name).await });
        }
        match read {
            Ok(()) => Ruling::Release,
            Err(reason) => Ruling::Refuse {
                message: format!(
                    "the registry's document at {} cannot be read: {reason}; tell whoever runs that registry",
                    printable(asked.url.path(), 300)
                ),
            },
        }
    }
}

impl Door {
    /// Reads a document, once for all who want to know what it says.
    fn read(&self, asked: &Asked, bytes: &Bytes) -> Result<(), String> {
        let Some(document) = Document::parse(bytes)? else { return Ok(()) };
        if let Some(foresight) = &self.foresight {
            let next = foresight.see(asked, &document);
            if !next.is_empty() {
                // Whoever waits for this document does not wait for those.
                let foresight = Arc::clone(foresight);
                tokio::task::spawn_blocking(move || foresight.fetch(&next));
            }
        }
        self.gate.keep_document(asked.url.path(), &document, bytes)
    }
}

/// Scheme, host and port of an address, and no more.
pub(crate) fn origin_of(url: &Url) -> Option<Url> {
    let is_fine = matches!(url.scheme(), "http" | "https") && url.has_host();
    is_fine.then(|| Url::parse(&url.origin().ascii_serialization()).ok()).flatten()
}

/// What stands against a finding, in one sentence.
fn words(finding: &Finding, policy: &Policy) -> String {
    let subject = &finding.subject;
    let target = match &subject.version {
        Some(version) => format!("{}@{version}", subject.name),
        None => subject.name.clone(),
    };
    let reason = match &finding.outcome {
        Outcome::Refused(problem) => {
            format!("{}: expected {}, received {}", problem.what, problem.expected, problem.received)
        }
        Outcome::Undecided(reason) => format!("could not be checked: {reason}"),
        _ => match (&finding.outcome, line(finding, policy)) {
            (Outcome::Judged(verdict), None | Some(Line { rule: Rule::Fixed, .. })) => {
                verdict.name().to_owned()
            }
            (_, Some(line)) => in_words(&line),
            (_, None) => "is refused".to_owned(),
        },
    };
    printable(&format!("{target} {reason}"), 400)
}

/// `/name/-/name-1.0.0.tgz` and `/@scope/name/-/name-1.0.0.tgz`, which every registry uses.
fn package_of_path(path: &str) -> Option<(String, String)> {
    let path = decoded(path);
    let (folder, file) = path.split_once("/-/")?;
    let mut parts = folder.trim_start_matches('/').rsplit('/');
    let last = parts.next()?;
    let name = match parts.next() {
        Some(scope) if scope.starts_with('@') => format!("{scope}/{last}"),
        _ => last.to_owned(),
    };
    // Some registries repeat the scope in the file's name.
    let file = file.rsplit('/').next()?.strip_suffix(".tgz")?;
    let version = file.strip_prefix(last)?.strip_prefix('-')?;
    Some((name, version.to_owned()))
}

/// `/name`, `/@scope%2fname` and the like.
pub(crate) fn name_of_document(path: &str) -> Option<PackageName> {
    let path = decoded(path);
    let mut parts = path.trim_start_matches('/').rsplit('/');
    let last = parts.next()?;
    match parts.next() {
        Some(scope) if scope.starts_with('@') => format!("{scope}/{last}").parse().ok(),
        _ => last.parse().ok(),
    }
}

/// A path in which what registries escape is not.
pub(crate) fn decoded(path: &str) -> String {
    path.replace("%2f", "/").replace("%2F", "/").replace("%40", "@")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_registries_say_what_they_stand_for() {
        let of = |path| package_of_path(path).map(|(name, version)| format!("{name} {version}"));
        assert_eq!(of("/ms/-/ms-2.1.3.tgz").as_deref(), Some("ms 2.1.3"));
        assert_eq!(of("/@a/b/-/b-1.0.0-rc.1.tgz").as_deref(), Some("@a/b 1.0.0-rc.1"));
        assert_eq!(of("/@a%2fb/-/b-1.0.0.tgz").as_deref(), Some("@a/b 1.0.0"));
        assert_eq!(of("/npm/private/@a/b/-/@a/b-1.0.0.tgz").as_deref(), Some("@a/b 1.0.0"));
        assert_eq!(of("/download/ms.tgz"), None);
        assert_eq!(of("/ms/-/other-2.1.3.tgz"), None);
    }

    #[tokio::test]
    async fn only_what_the_lockfile_pins_is_put_into_npms_cache() {
        let holder = tempfile::tempdir().unwrap();
        let (pinned, other) = (Integrity::of(b"pinned"), Integrity::of(b"other"));
        let shelf = Shelf { cache: holder.path().to_owned(), wanted: [pinned].into() };
        assert!(!shelf.put(other, Bytes::from_static(b"other")).await);
        assert!(shelf.put(pinned, Bytes::from_static(b"pinned")).await);
        assert!(npm_cache::holds(holder.path(), &pinned) && !npm_cache::holds(holder.path(), &other));
        // One that cannot be written is handed out by the proxy, as if there were no cache.
        let file = holder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(!Shelf { cache: file, ..shelf }.put(pinned, Bytes::from_static(b"pinned")).await);
    }

    #[test]
    fn documents_are_about_a_name() {
        let of = |path| name_of_document(path).map(|name| name.to_string());
        assert_eq!(of("/ms").as_deref(), Some("ms"));
        assert_eq!(of("/@a%2fb").as_deref(), Some("@a/b"));
        assert_eq!(of("/@a/b").as_deref(), Some("@a/b"));
        assert_eq!(of("/"), None);
    }
}
