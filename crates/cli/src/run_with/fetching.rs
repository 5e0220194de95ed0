//! Step 3 of an install: the package manager runs behind the proxy, with scripts off. Once; and once more where it
//! did not come to an end because tarballs lie on a server that was refused, and may be fetched from there.
//!
//! Decides about no package: that is the gate's.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proxy::{Ahead, Passed, ProxyError, Running};
use trust::Integrity;
use url::Url;

use super::flow::{Order, Run, RunError};
use super::gate::{Door, Gatekeeper, Placed, Shelf};
use super::git::{self, NoGit};
use super::laid::{self, Effect};
use super::manager::{Gateway, Kind, Manager};
use super::process::{self, ProcessError, Words};
use super::rebuild::Variables;
use crate::install::Surroundings;
use crate::install::behind::settings_for;
use crate::install::decision::{Call, agreed_to_other_sources};
use crate::install::entries::{Tarball, same_host, shown_host};
use crate::install::errors::FlowError;
use crate::install::foresight::Foresight;
use crate::install::locked::Locked;
use crate::install::lockfile::MAX_LOCKFILE_BYTES;
use crate::install::npm_cache;
use crate::install::project::read_bounded;
use crate::install::settings::{Phase, Settings};
use crate::install::transaction::Transaction;
use crate::output::Progress;
use crate::temporary::Temporary;

/// How long an install may take.
const RUN_LIMIT: Duration = Duration::from_secs(60 * 60);

/// How often it is looked whether a refused host is asked for again.
const LOOK: Duration = Duration::from_secs(1);

/// After this time it was not the same question, asked in several places, but another attempt.
const ASKED_AGAIN: Duration = Duration::from_secs(5);

/// Whom a run may reach.
struct Reach {
    registries: Vec<Url>,
    /// Documents are asked for as a whole, also where the package manager has them.
    whole: bool,
}

/// What a package manager runs behind.
struct Behind {
    running: Running,
    total: Total,
    /// Where the proxy's files lie.
    _folder: Temporary,
}

/// How many tarballs there will be.
enum Total {
    Known(usize),
    Guessed(Arc<Foresight>),
}

impl Total {
    fn count(&self) -> usize {
        match self {
            Self::Known(count) => *count,
            Self::Guessed(foresight) => foresight.count(),
        }
    }
}

impl Run<'_> {
    /// Step 3: once, or once more. Returns what stood in the package manager's environment.
    pub(crate) async fn fetch(
        &self,
        gate: &Arc<Gatekeeper>,
        registries: Vec<Url>,
        settings: Option<&Settings>,
        locked: Option<&Locked>,
        aside: &Transaction,
    ) -> Result<Variables, RunError> {
        let git = without_git(self.manager, self.order, self.around)?;
        let mut reach = Reach { registries, whole: false };
        let again =
            async |reach: &Reach| self.fetch_from(gate, reach, settings, locked, git.as_ref(), aside).await;
        let (mut ended, mut requests, mut told) = again(&reach).await?;
        let is_denied = || matches!(self.report(gate, Vec::new()).call(), Call::Deny | Call::Undecided);
        if !ended.status.success() && !is_denied() {
            let mut elsewhere = self.find_elsewhere(gate, &reach.registries, locked, &requests).await?;
            if elsewhere.is_empty() && requests.iter().any(|request| request.kind == proxy::Kind::Foreign) {
                // A document that came out of a cache did not pass by: only it says what lies there.
                reach.whole = true;
                (ended, requests, told) = again(&reach).await?;
                elsewhere = self.find_elsewhere(gate, &reach.registries, locked, &requests).await?;
            }
            if !elsewhere.is_empty() {
                let hosts: Vec<String> = elsewhere.iter().map(shown_host).collect();
                let hosts = trust::text::printable(&hosts.join(", "), 300);
                self.around
                    .output
                    .note(&format!("the registry has tarballs on {hosts}; once more, with that"));
                reach.registries.extend(elsewhere);
                (ended, requests, told) = again(&reach).await?;
            }
        }
        if let Some(asked) = git.as_ref().and_then(NoGit::asked) {
            return Err(git_was_asked(self.manager, self.order, self.around, asked));
        }
        if ended.status.success() {
            return Ok(told);
        }
        // What the report says anyway need not be said twice.
        for refused in requests.iter().filter(|request| request.refused.is_some() && !is_denied()) {
            let reason = refused.refused.as_deref().unwrap_or_default();
            self.around.output.warn(&format!("{} {}: {reason}", refused.method, refused.url));
        }
        let process::Ended { status, words, .. } = ended;
        Err(RunError::Failed { command: self.order.command.clone(), status, words })
    }

    /// Servers that were refused, though the registry or the lockfile has tarballs there: of what is signed, or
    /// where somebody agreed to what comes from no registry.
    async fn find_elsewhere(
        &self,
        gate: &Gatekeeper,
        registries: &[Url],
        locked: Option<&Locked>,
        requests: &[Passed],
    ) -> Result<BTreeSet<Url>, RunError> {
        let refused: Vec<&str> = requests
            .iter()
            .filter(|request| request.refused.is_some())
            .map(|request| request.url.as_str())
            .collect();
        let known = gate.announced_places().into_iter();
        let places: BTreeSet<Placed> = known
            .chain(locked.iter().flat_map(|locked| locked.places_elsewhere()))
            .filter(|placed| refused.iter().any(|url| is_at(url, &placed.host)))
            .chain(requests.iter().filter_map(|request| gate.sent_elsewhere(request)))
            .filter(|placed| !registries.iter().any(|registry| same_host(registry, &placed.host)))
            .collect();
        let agreed = agreed_to_other_sources(self.order.on_warning, &self.around.policy);
        for placed in &places {
            if !agreed && !gate.is_signed(placed).await {
                let Placed { name, version, host } = placed;
                let host = shown_host(host);
                let what =
                    format!("{name}@{version} comes from {host}, which is not the configured registry");
                return Err(FlowError::Source(trust::text::printable(&what, 400)).into());
            }
        }
        Ok(places.into_iter().map(|placed| placed.host).collect())
    }

    async fn fetch_from(
        &self,
        gate: &Arc<Gatekeeper>,
        reach: &Reach,
        npm: Option<&Settings>,
        locked: Option<&Locked>,
        git: Option<&NoGit>,
        aside: &Transaction,
    ) -> Result<(process::Ended, Vec<Passed>, Variables), RunError> {
        let kind = self.manager.kind;
        let is_offline = gate.sources().npm.is_offline();
        let Behind { running, total, _folder } = self.start_proxy(gate, reach, npm, locked).await?;
        let ca = running.ca_file();
        let gateway = Gateway { url: running.url(), ca: &ca };
        let places = kind.overruled(self.root, &self.around.folder);
        let told = |user: &[OsString]| match npm {
            Some(settings) => npm_arguments(settings, user),
            None => places.around(kind.arguments(user)),
        };
        let mut variables = kind.environment(&gateway);
        variables.extend(places.variables.clone());
        variables.extend(match git {
            Some(nothing) => nothing.variables(&self.around.folder),
            None => git::own_way(gate.sources().npm.config().proxy()),
        });
        let (program, folder) = (&self.manager.program, &self.around.folder);
        let (variable, flag) = match (is_offline, reach.whole) {
            (true, _) => kind.without_network(),
            (false, true) => kind.asking_anew(),
            (false, false) => (None, None),
        };
        variables.extend(variable.map(|(name, value)| (name, value.into())));
        let go = async |user: &[OsString]| {
            let mut arguments = told(user);
            arguments.extend(flag.map(OsString::from));
            process::run(program, &arguments, folder, &variables, self.words(), RUN_LIMIT, self.book).await
        };
        // One whose words are passed shows itself how far it is.
        let words = self.words();
        let text = format!("{} fetches packages", self.order.command);
        let progress = match words {
            Words::Passed => Progress::new(&text, false),
            Words::Kept | Words::Afterwards => self.around.output.progress(&text),
        };
        // What stays out of reach is said here, and not by the package manager after a minute.
        let mut ended = tokio::select! {
            ended = go(&self.order.arguments) => ended?,
            never = tell_how_far(&progress, gate, &total) => match never {},
            Err(error) = self.reaching.end() => return Err(error.into()),
            host = asks_again(&running), if kind == Kind::Pnpm => {
                let words = vec![format!("it was ended: {host} is refused, and it would go on asking")];
                let status = std::process::ExitStatus::from_raw(1 << 8);
                process::Ended { status, words, said: String::new() }
            }
        };
        self.reaching.end().await?;
        progress.show(&ended.said);
        if ended.status.success()
            && let Some(more) = kind.completing(&self.order.arguments, &aside.made_again()?)
        {
            self.around.output.note("and the rest of the project, which lay there before");
            ended = go(&more).await?;
            progress.show(&ended.said);
        }
        Ok((ended, running.log(), variables))
    }

    /// Step 3: the proxy, which fetches ahead what a lockfile names and no cache has.
    async fn start_proxy(
        &self,
        gate: &Arc<Gatekeeper>,
        reach: &Reach,
        settings: Option<&Settings>,
        locked: Option<&Locked>,
    ) -> Result<Behind, RunError> {
        let npm = &gate.sources().npm;
        let cache = self.cache_of_npm(gate);
        let is_cached =
            |integrity: &Integrity| cache.as_ref().is_some_and(|cache| npm_cache::holds(cache, integrity));
        let lays_out = laid::effect(&self.order.arguments) != Effect::Lockfile && !npm.is_offline();
        let less = settings.is_some_and(Settings::leaves_out) || laid::leaves_out(&self.order.arguments);
        let named = locked.filter(|_| lays_out).into_iter().flat_map(|locked| locked.needed(less));
        let (there, missing): (Vec<_>, Vec<_>) = named.partition(|tarball| is_cached(&tarball.integrity));
        let of = |tarball: &Tarball| Some((tarball.name.clone(), tarball.version.clone()?));
        self.lists.read_ahead(there.into_iter().filter_map(of).collect());
        let foresees = self.manager.kind == Kind::Npm && !npm.is_offline();
        let foresight = foresees.then(|| Arc::new(foresee(gate, self.root, self.now)));
        let total = match (locked, &foresight) {
            (None, Some(foresight)) => Total::Guessed(Arc::clone(foresight)),
            _ => Total::Known(missing.iter().map(|tarball| tarball.integrity).collect::<BTreeSet<_>>().len()),
        };
        // npm looks for what has an address; of the rest it asks for the document first.
        let placed = missing.iter().filter(|tarball| tarball.url.is_some());
        let wanted = placed.map(|tarball| tarball.integrity).collect();
        let shelf = cache.map(|cache| Shelf { cache, wanted });
        let door = Door { gate: Arc::clone(gate), foresight: foresight.clone(), shelf };
        let (registries, whole) = (reach.registries.clone(), reach.whole);
        let folder = Temporary::new().map_err(ProxyError::Io)?;
        let within = Some(folder.path().to_owned());
        let settings = proxy::Settings { registries, whole, folder: within, ..settings_for(npm.config()) };
        let running = proxy::start(settings, Arc::new(door)).await?;
        if let Some(foresight) = foresight {
            foresight.begin(running.early());
        }
        running.fetch_ahead(missing.into_iter().filter_map(|tarball| {
            let url = tarball.url.clone()?;
            let authorization = npm.config().authorization_for(&url).map(|value| value.into_header_value());
            Some(Ahead { authorization, ..Ahead::from(url) })
        }));
        Ok(Behind { running, total, _folder: folder })
    }

    /// Where npm keeps what it fetched; not known where its arguments say another place.
    fn cache_of_npm(&self, gate: &Gatekeeper) -> Option<PathBuf> {
        let says_another = |argument: &OsString| argument.to_string_lossy().starts_with("--cache");
        let is_known = self.manager.kind == Kind::Npm && !self.order.arguments.iter().any(says_another);
        gate.sources().npm.config().cache().filter(|_| is_known).map(PathBuf::from)
    }
}

/// What npm is told: the user's own words, but where the project sets what would open a gap, what the user set.
fn npm_arguments(settings: &Settings, user: &[OsString]) -> Vec<OsString> {
    let overruled = settings.flags(Phase::Quiet).into_iter().chain(settings.lockfile_version_flag());
    overruled.chain(Kind::Npm.arguments(user)).collect()
}

/// Ends when a host is asked for again that was refused before: pnpm 11 does so after ten seconds and after another
/// minute, and nothing comes of it.
async fn asks_again(running: &Running) -> String {
    let mut first: BTreeMap<String, (Instant, usize)> = BTreeMap::new();
    loop {
        tokio::time::sleep(LOOK).await;
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for foreign in running.log().into_iter().filter(|passed| passed.kind == proxy::Kind::Foreign) {
            *counts.entry(foreign.url).or_default() += 1;
        }
        for (host, count) in counts {
            let (since, at_first) = *first.entry(host.clone()).or_insert((Instant::now(), count));
            if count > at_first && since.elapsed() >= ASKED_AGAIN {
                return host;
            }
        }
    }
}

/// Says how many tarballs were checked, and of how many as far as that is known, for as long as it is let.
async fn tell_how_far(progress: &Progress, gate: &Gatekeeper, total: &Total) -> Infallible {
    loop {
        let (checked, total) = (gate.count_arrived(), total.count());
        let of = if total > checked { format!(" of about {total}") } else { String::new() };
        progress.say(&format!("fetching packages: {checked}{of} checked"));
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether a request, as the proxy notes it, went to a host.
fn is_at(request: &str, host: &Url) -> bool {
    let url =
        if request.contains("://") { request.to_owned() } else { format!("{}://{request}", host.scheme()) };
    Url::parse(&url).is_ok_and(|url| same_host(&url, host))
}

/// What npm will ask for.
fn foresee(gate: &Gatekeeper, root: &Path, now: u64) -> Foresight {
    let read = |name: &str| read_bounded(&root.join(name), MAX_LOCKFILE_BYTES).ok().flatten();
    let manifest = read("package.json").and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let lockfile = read("npm-shrinkwrap.json").or_else(|| read("package-lock.json"));
    let lockfile = lockfile.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Foresight::new(gate.sources().npm.clone(), manifest.as_slice(), lockfile.as_deref(), now)
}

/// Step 3: no git, unless what comes from no registry was agreed to. yarn 4 runs scripts of a repository to make
/// a package of it, whatever it is told: that is code of the project to agree to.
fn without_git(manager: &Manager, order: &Order, around: &Surroundings) -> Result<Option<NoGit>, RunError> {
    let agreed = agreed_to_other_sources(order.on_warning, &around.policy);
    if agreed && (manager.kind != Kind::Yarn || order.allow_project_code) {
        return Ok(None);
    }
    let program = || manager.program.clone();
    let git = NoGit::new().map_err(|source| ProcessError::Spawn { program: program(), source })?;
    Ok(Some(git))
}

fn git_was_asked(manager: &Manager, order: &Order, around: &Surroundings, asked: String) -> RunError {
    if manager.kind == Kind::Yarn && agreed_to_other_sources(order.on_warning, &around.policy) {
        let what = format!("yarn would run scripts of a repository before anything is checked: {asked}");
        return RunError::ProjectCode { what };
    }
    FlowError::Source(asked).into()
}
