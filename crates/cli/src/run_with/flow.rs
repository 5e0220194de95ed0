//! An install by any package manager, so that nothing unchecked is unpacked and nothing runs before all of it
//! was compared.
//!
//! 1. What an interrupted run left is ended and put back; the chain is there, or it ends here. So it does where npm's
//!    lockfile has an entry that ties nothing to its bytes. The registry is asked meanwhile: if it is not there, it ends
//!    as soon as that is known, before step 4 at the latest.
//! 2. What may change is set aside: manifests, lockfiles, every `node_modules`. Where npm has nothing to do and
//!    the tree that lies there is whole, to the byte, and has no scripts, it stays.
//! 3. The package manager runs behind the proxy with scripts off, and without git until somebody agreed to
//!    that. The gate holds every tarball until it is judged; hosts that are no registry of this run are not
//!    reached. Where the registry itself says that a tarball lies elsewhere, it runs once more with that host.
//!    After a command for a part of the project, the rest of what lay there is made anew as well.
//! 4. What lies on disk is compared, file by file, with checked tarballs, whether they came through the proxy
//!    or out of a cache, or lay there before and nobody made it anew. Only after a command that lays out nothing by
//!    its own words (`--package-lock-only`) it is left alone. What a lockfile names besides is judged, too: somebody
//!    else will install by it.
//! 5. The policy decides; one question at most.
//! 6. Scripts run. Then, and only then, the change is final; anything else puts the project back.
//!
//! Does not render, and does not read the command line.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use trust::Integrity;
use url::Url;

use super::code;
use super::commands;
use super::compare::{Compared, compare_tree};
use super::gate::{Gatekeeper, Sources};
use super::laid::{self, Before, Effect};
use super::lists::{Lists, Seen};
use super::lookup::Lookup;
use super::manager::{Kind, Manager, find_program, kind_of_yarn, version_beside};
use super::npm_scripts::{self, Scripts};
use super::orphan::Book;
use super::places;
use super::process::{self, ProcessError, Words};
use super::rebuild::Variables;
use super::registries::Own;
use super::root;
use super::scripts;
use super::tree::{Tree, TreeError, module_folders, own_folders, read_tree};
use crate::install::Surroundings;
use crate::install::answers::{Answers, NpmSays, Question, ask_npm};
use crate::install::assess::{AssessError, Assessment, Finding, Subject};
use crate::install::decision::{Call, OnWarning, agreed_to_other_sources, settle};
use crate::install::errors::FlowError;
use crate::install::locked::Locked;
use crate::install::npm::Npm;
use crate::install::pinned;
use crate::install::plan::{self, Laid, Plan};
use crate::install::project::{MAX_MANIFEST_BYTES, Mirror, Project, read_bounded};
use crate::install::reach::Reaching;
use crate::install::report::{End, Report};
use crate::install::resolve::Resolver;
use crate::install::scripted::{Scripted, Scripting};
use crate::install::settings::{Noted, Settings};
use crate::install::tarballs::Tarballs;
use crate::install::transaction::{Transaction, TransactionError, YARN_CACHE};
use crate::install::verify::{client_for, find_out};
use crate::shell::decide::Refusal;
use crate::temporary::{self, Temporary};

/// How long a package manager may take to say its version or a setting.
pub(crate) const QUESTION_LIMIT: Duration = Duration::from_secs(30);

/// What is to be run.
#[derive(Debug)]
pub(crate) struct Order {
    /// `npm`, `pnpm`, `yarn` or `bun`.
    pub(crate) command: String,
    /// Its arguments.
    pub(crate) arguments: Vec<OsString>,
    /// What to do about warnings.
    pub(crate) on_warning: OnWarning,
    /// Put everything back once it is known what would be installed.
    pub(crate) dry_run: bool,
    /// Run no scripts.
    pub(crate) ignore_scripts: bool,
    /// Let the project's own plugins of the package manager run.
    pub(crate) allow_project_code: bool,
    /// Show nothing of what the package manager prints.
    pub(crate) silent: bool,
}

/// Why nothing was installed. A refusal is not one of these: it is a report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// As with `3pm install`.
    #[error(transparent)]
    Flow(#[from] FlowError),
    /// Not a package manager, or none that is here.
    #[error("{command} is not on the PATH")]
    NotFound {
        /// What was typed.
        command: String,
    },
    /// No package.json anywhere above.
    #[error("{} is in no project: there is no package.json here or above", folder.display())]
    NoProject {
        /// Where.
        folder: PathBuf,
    },
    /// The project would run code before it is checked.
    #[error("{what}")]
    ProjectCode {
        /// What.
        what: String,
    },
    /// It would put packages, or has put them, where 3pm does not compare them.
    #[error("{}", .0.why)]
    Unchecked(Refusal),
    /// The package manager did not run.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// It ended with an error of its own.
    #[error("{command} ended with {status}{}", said(words))]
    Failed {
        /// Which.
        command: String,
        /// How.
        status: std::process::ExitStatus,
        /// Its last words, where they were not shown.
        words: Vec<String>,
    },
    /// No proxy.
    #[error(transparent)]
    Proxy(#[from] proxy::ProxyError),
    /// The tree cannot be read.
    #[error("what was unpacked is not a tree of packages; the project was put back")]
    Tree(#[from] TreeError),
    /// The project could not be changed.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
}

impl From<Refusal> for RunError {
    fn from(refusal: Refusal) -> Self {
        Self::Unchecked(refusal)
    }
}

fn said(words: &[String]) -> String {
    if words.is_empty() { String::new() } else { format!(": {}", words.join("; ")) }
}

/// Runs it; `ask` shows a person the report and asks whether to go on.
pub(crate) async fn run(
    order: &Order,
    around: &Surroundings,
    now: &dyn Fn() -> u64,
    ask: &impl AsyncFn(&Report) -> bool,
) -> Result<Report, RunError> {
    let mut manager = find_manager(&order.command, &around.folder, &around.home).await?;
    let root = find_root(&manager, order, &around.folder).await?;
    let kind = manager.kind;
    let runs_code =
        kind.runs_scripts_with(&order.arguments).or_else(|| code::of_settings(kind, &root, &around.folder));
    if let Some(what) = runs_code.filter(|_| !order.allow_project_code) {
        return Err(RunError::ProjectCode { what });
    }
    // 1.
    let book = Book::of(&around.home, &root);
    if Transaction::recover_after(&root, || book.end_what_was_left())? {
        around
            .output
            .warn("an earlier install was interrupted; the project was put back as it was before it");
    }
    tokio::task::spawn_blocking(temporary::clear_away);
    let answers = Answers::of(&around.home, now());
    let version = async {
        match manager.version.is_empty() {
            true => Ok(Some(ask_version(&manager.program, &answers).await?)),
            false => Ok(None),
        }
    };
    let places = async { Ok(places::refuse_settings(&manager, &root, &around.folder, &answers).await?) };
    let (prepared, version, ()) =
        tokio::try_join!(prepare(&manager, &root, around, &answers, now()), version, places)?;
    manager.version = version.unwrap_or(manager.version);
    let Prepared { gate, registries, says, noted, reaching } = prepared;
    let lists = Lists::in_home(&around.home);
    let run = Run {
        order,
        around,
        manager: &manager,
        root: &root,
        book: &book,
        lists,
        noted,
        reaching,
        now: now(),
    };
    let npm = (kind == Kind::Npm).then_some(&says);
    around.output.note(&format!("{} {}, behind the checks of 3pm", order.command, manager.version));
    let read_locked = |gate: &Gatekeeper, before: Option<Locked>| match npm {
        Some(says) => Locked::read(&root, gate.sources().npm.config(), says.builtin.as_ref(), before),
        None => Ok(None),
    };
    let locked = read_locked(&gate, None)?;
    let mut report = run.report(&gate, locked.iter().flat_map(Locked::refused).collect());
    if report.call() == Call::Deny {
        report.end = End::Refused;
        return Ok(report);
    }
    match &locked {
        Some(locked) => gate.ask_ahead(locked.releases()),
        None => {
            let (gate, root) = (Arc::clone(&gate), root.clone());
            tokio::task::spawn_blocking(move || gate.ask_ahead(pinned::releases(kind, &root)));
        }
    }
    if let (Some(says), Some(locked)) = (npm, &locked)
        && let Some(report) = run.find_nothing_to_do(says, locked, &gate.anew(), ask).await?
    {
        return Ok(report);
    }
    locked.iter().for_each(|locked| gate.expect(locked));
    // 2.
    let before = Before {
        own: own_folders(&root)?.into_iter().collect(),
        had_packages: root.join("node_modules").is_dir(),
    };
    let before_it = match order.dry_run {
        true => read_tree(&root).as_ref().map(laid_in).unwrap_or_default(),
        false => Laid::new(),
    };
    let transaction = run.set_aside()?;
    // 3.
    let settings = npm.map(|says| &says.settings);
    let fetched = run.fetch(&gate, registries, settings, locked.as_ref(), &transaction).await;
    report = run.report(&gate, Vec::new());
    if matches!(report.call(), Call::Deny | Call::Undecided) {
        report.end = End::Refused;
        return Ok(report);
    }
    let told = fetched.inspect_err(|_| answers.forget())?;
    // Manifests and lockfiles at most have changed: what lay there lies there. Where all was to be laid out anew, it was
    // not wanted any more.
    let effect = laid::effect(&order.arguments);
    let is_given_back = effect != Effect::Everything && transaction.give_back_untouched()?;
    let laid = |tree: &Tree| laid::check(kind, &root, &before, tree, gate.arrived().len(), &order.arguments);
    if is_given_back && effect == Effect::Lockfile {
        laid(&Tree::untouched(&root))?;
        let more = run.judge_rest(read_locked(&gate, locked)?.as_ref(), &gate).await?;
        report = run.report(&gate, more);
        report.end = settle(&report, run.on_warning(), around.interactive, ask).await;
        if report.end == End::Checked {
            match order.dry_run {
                true => report.end = End::Planned(Plan::between(&before_it, &before_it)),
                false => transaction.commit()?,
            }
        }
        return Ok(report);
    }
    // 4.
    let progress = around.output.progress("comparing what was unpacked");
    let tree = read_tree(&root)?;
    laid(&tree)?;
    let own = tree.own.clone();
    let plan = order.dry_run.then(|| Plan::between(&before_it, &laid_in(&tree)));
    let locked = read_locked(&gate, locked)?;
    let pins = locked.as_ref().map_or_else(|| pinned::pins(kind, &root), Locked::pins);
    let compared = compare_tree(&root, tree, &gate, &run.lists, &pins).await?;
    let Compared { mut receipt, mut findings, present, scripted, .. } = compared;
    findings.extend(run.judge_rest(locked.as_ref(), &gate).await?);
    receipt.left_out = locked.as_ref().map(|locked| locked.left_out(&root)).unwrap_or_default();
    drop(progress);
    report = run.report(&gate, findings);
    // 5.
    report.end = settle(&report, run.on_warning(), around.interactive, ask).await;
    if report.end != End::Checked {
        return Ok(report);
    }
    if let Some(plan) = plan {
        report.end = End::Planned(plan);
        return Ok(report);
    }
    if is_given_back {
        transaction.commit()?;
        return Ok(report);
    }
    // 6.
    let said = run.run_scripts(settings, locked.as_ref(), &told, &own, &scripted).await?;
    let scripts = Scripting { said, packages: scripted };
    transaction.commit()?;
    keep_lists(&gate, &present, &run.lists);
    report.root = Some(root.clone());
    report.end = End::Installed { receipt, scripts };
    Ok(report)
}

/// Everything that stays the same from beginning to end.
pub(crate) struct Run<'a> {
    pub(crate) order: &'a Order,
    pub(crate) around: &'a Surroundings,
    pub(crate) manager: &'a Manager,
    pub(crate) root: &'a Path,
    pub(crate) book: &'a Book,
    /// Of what earlier runs saw.
    pub(crate) lists: Lists,
    /// Whether the registry is there.
    pub(crate) reaching: Reaching,
    /// Settings of the project that deserve a word.
    noted: Vec<Noted>,
    pub(crate) now: u64,
}

impl Run<'_> {
    /// Step 2, where nothing is to be done: nothing is asked for, npm would change no file, and what lies there is
    /// whole. Scripts change it, and it is not known whether they ran: with some it is made anew.
    async fn find_nothing_to_do(
        &self,
        says: &NpmSays,
        locked: &Locked,
        gate: &Gatekeeper,
        ask: &impl AsyncFn(&Report) -> bool,
    ) -> Result<Option<Report>, RunError> {
        let Self { order, around, root, .. } = self;
        let is_offline = gate.sources().npm.is_offline();
        if order.arguments != ["install"] || !root.join("node_modules").is_dir() || is_offline {
            return Ok(None);
        }
        let project = Project { root: (*root).to_owned(), folder: around.folder.clone() };
        if !locked.is_asked_for_by(&project.read_manifest().map_err(FlowError::from)?) {
            return Ok(None);
        }
        self.reaching.end().await?;
        let progress = around.output.progress("comparing what lies there");
        let Ok(mirror) = Mirror::make(&project, &[]) else { return Ok(None) };
        let npm = Npm::at(self.manager.program.clone());
        let resolver = Resolver {
            npm: &npm,
            settings: &says.settings,
            client: &gate.sources().npm,
            allows_others: agreed_to_other_sources(order.on_warning, &around.policy),
            now: self.now,
        };
        // Whatever is wrong comes up again where it can be said, and the project put back.
        if resolver.resolve(&mirror, &[]).await.is_err()
            || !mirror.changes().is_ok_and(|(changes, _)| changes.is_empty())
        {
            return Ok(None);
        }
        let Ok(tree) = read_tree(root) else { return Ok(None) };
        let (own, laid) = (tree.own.clone(), laid_in(&tree));
        let Ok(compared) = compare_tree(root, tree, gate, &self.lists, &locked.pins()).await else {
            return Ok(None);
        };
        let Compared { mut receipt, mut findings, present, scripted, commands, links } = compared;
        receipt.left_out = locked.left_out(root);
        let is_link = |at: &PathBuf| {
            locked.lockfile.entries.get(&*at.to_string_lossy()).is_some_and(|entry| entry.link)
        };
        let is_optional = |at: &String| locked.lockfile.entries.get(at).is_some_and(|entry| entry.optional);
        let is_whole = receipt.installed == receipt.compared
            && receipt.left_out.iter().all(is_optional)
            && locked.holds(&present)
            && links.iter().all(is_link)
            && commands::are_declared(root, &commands);
        let has_scripts = !scripted.is_empty() || own.iter().any(npm_scripts::has_some);
        if !is_whole || has_scripts {
            return Ok(None);
        }
        findings.extend(self.judge_rest(Some(locked), gate).await?);
        drop(progress);
        let mut report = self.report(gate, findings);
        report.end = settle(&report, self.on_warning(), around.interactive, ask).await;
        if report.end == End::Checked && order.dry_run {
            report.end = End::Planned(Plan::between(&laid, &laid));
        } else if report.end == End::Checked {
            keep_lists(gate, &present, &self.lists);
            let scripts = Scripting { said: NO_SCRIPTS.to_owned(), packages: scripted };
            report.root = Some((*root).to_owned());
            report.end = End::Installed { receipt, scripts };
        }
        Ok(Some(report))
    }

    /// Step 2.
    fn set_aside(&self) -> Result<Transaction, RunError> {
        let Self { order, root, manager, .. } = self;
        let mut files: Vec<PathBuf> = Vec::new();
        let mut modules = module_folders(root)?;
        for folder in modules.iter().filter_map(|modules| modules.parent()) {
            let code =
                code::of_manifest(manager.kind, &root.join(folder)).filter(|_| !order.allow_project_code);
            if let Some(what) = code {
                return Err(RunError::ProjectCode { what });
            }
            files.push(folder.join("package.json"));
            files.extend(manager.kind.files().iter().map(|name| folder.join(name)));
        }
        if manager.kind == Kind::Yarn {
            let own = Path::new(".yarn");
            let is_there = root.join(own).symlink_metadata().is_ok();
            if is_there {
                modules.extend([own.join("unplugged"), PathBuf::from(YARN_CACHE)]);
            } else {
                modules.push(own.to_owned());
            }
            files.push(own.join("install-state.gz"));
        }
        Ok(Transaction::guard(root, &files, &modules, MAX_MANIFEST_BYTES)?)
    }

    /// Step 4, what a lockfile names and nobody judged yet.
    async fn judge_rest(&self, locked: Option<&Locked>, gate: &Gatekeeper) -> Result<Vec<Finding>, RunError> {
        let Some(locked) = locked else { return self.judge_pinned(gate).await };
        let rest = locked.rest(self.root, &gate.known());
        if rest.is_empty() {
            return Ok(Vec::new());
        }
        let wanted: BTreeSet<String> = rest.iter().map(|subject| subject.location.clone()).collect();
        // A bundled package is in its parent's tarball.
        let parents =
            |subject: &Subject| wanted.contains(&subject.location) || locked.is_parent(subject, &wanted);
        let subjects: Vec<Subject> = locked.subjects().into_iter().filter(parents).collect();
        let found = find_out(subjects, &gate.sources().npm, self.around, self.now).await;
        let findings = found.map_err(FlowError::from)?.findings.into_iter();
        Ok(findings.filter(|finding| wanted.contains(&finding.subject.location)).collect())
    }

    /// The same for the others' lockfiles.
    async fn judge_pinned(&self, gate: &Gatekeeper) -> Result<Vec<Finding>, RunError> {
        let (file, pinned) = pinned::read(self.manager.kind, self.root);
        let mut subjects = Vec::new();
        for one in pinned::open(pinned, &gate.known()) {
            let mut hash = one.hash();
            if one.needs_hash() {
                if !gate.is_enrolled(&one.name).await {
                    continue;
                }
                // yarn 4 writes no hash of a tarball: it would take what the registry announces.
                let document = gate.sources().npm.fetch_packument(&one.name).await.ok().flatten();
                let version =
                    document.and_then(|document| document.version(&one.version.to_string()).ok()?);
                hash = version.and_then(|version| version.integrity?.parse().ok());
            }
            // Without any there is no tarball either, and that is what is found out.
            subjects.push(one.subject(file, hash.unwrap_or_else(|| Integrity::of(b""))));
        }
        if subjects.is_empty() {
            return Ok(Vec::new());
        }
        let found = find_out(subjects, &gate.sources().npm, self.around, self.now).await;
        Ok(found.map_err(FlowError::from)?.findings)
    }

    /// Step 6.
    async fn run_scripts(
        &self,
        npm: Option<&Settings>,
        locked: Option<&Locked>,
        told: &Variables,
        own: &[Value],
        scripted: &[Scripted],
    ) -> Result<String, RunError> {
        let none = || "No install scripts were run.".to_owned();
        let runs_own = self.manager.kind.runs_own_scripts(&self.order.arguments);
        let Some(settings) = npm else {
            return match self.order.ignore_scripts {
                true => Ok(none()),
                false => {
                    let (root, folder, book) = (self.root, self.around.folder.as_path(), self.book);
                    let place = scripts::Place { root, folder, told, own, runs_own, book };
                    scripts::run(self.manager, &place, scripted, self.words()).await
                }
            };
        };
        let project = own.first().filter(|_| runs_own).unwrap_or(&Value::Null);
        let scripts = Scripts::find(self.root, locked, project, scripted);
        if scripts.is_empty() && scripted.is_empty() {
            return Ok(NO_SCRIPTS.to_owned());
        }
        if scripts.is_empty() || self.order.ignore_scripts || settings.ignores_scripts() {
            return Ok(none());
        }
        let place =
            npm_scripts::Place { npm: &self.manager.program, root: self.root, settings, book: self.book };
        scripts.run(&place).await
    }

    /// Where nothing is installed, nobody needs to agree; `--deny` wants to know.
    fn on_warning(&self) -> OnWarning {
        match self.order.on_warning {
            OnWarning::Ask if self.order.dry_run => OnWarning::Accept,
            on_warning => on_warning,
        }
    }

    pub(crate) fn words(&self) -> Words {
        let output = &self.around.output;
        let is_own = output.is_json() || output.is_quiet() || self.order.silent || self.order.dry_run;
        match is_own {
            true => Words::Kept,
            // It says nothing of how far it is, so we do.
            false if self.manager.kind == Kind::Npm && output.is_watched() => Words::Afterwards,
            false => Words::Passed,
        }
    }

    /// What the gate and the comparison found, not yet what was done.
    pub(crate) fn report(&self, gate: &Gatekeeper, more: Vec<Finding>) -> Report {
        let mut findings: Vec<_> = gate.arrived().into_iter().map(|arrived| arrived.finding).collect();
        findings.extend(more);
        let lookup = gate.sources().lookup.as_ref();
        Report {
            command: "install",
            network: self.around.network.as_ref().map(|(name, _)| name.clone()),
            assessment: Assessment {
                head: lookup.and_then(|lookup| lookup.answers.head()),
                offline: lookup.and_then(|lookup| lookup.answers.offline()),
                findings,
            },
            policy: Arc::clone(&self.around.policy),
            settings: self.noted.clone(),
            root: None,
            end: End::Checked,
        }
    }
}

/// What is said where there are none.
const NO_SCRIPTS: &str = "There are no install scripts.";

/// The packages that lie there.
fn laid_in(tree: &Tree) -> Laid {
    tree.packages.iter().map(|found| plan::package(&found.manifest)).collect()
}

/// What the tarballs that lie there hold, for the next time that they come out of a cache.
fn keep_lists(gate: &Gatekeeper, present: &BTreeMap<(String, String), Integrity>, lists: &Lists) {
    if let Err(error) = gate.sources().tarballs.prune() {
        tracing::warn!(%error, "signed tarballs were not cleared away");
    }
    let (announced, arrived) = (gate.announcements(present.keys()), gate.arrived());
    let seen = arrived.iter().filter_map(|arrived| {
        let subject = &arrived.finding.subject;
        let (files, name) = (arrived.files.as_deref()?, subject.name.parse().ok()?);
        let version = subject.version.as_deref().unwrap_or_default();
        let key = (subject.name.clone(), version.to_owned());
        let is_announced = announced.get(&key).is_some_and(|hashes| hashes.contains(&arrived.integrity));
        let announced_by = is_announced.then(|| gate.registry_of(&name));
        let is_new = !arrived.is_remembered || announced_by.is_some();
        let is_there = present.get(&key) == Some(&arrived.integrity);
        let integrity = arrived.integrity;
        (is_new && is_there).then_some(Seen { name, version, integrity, files, announced_by })
    });
    if let Err(error) = lists.keep(&seen.collect::<Vec<_>>()) {
        tracing::warn!(%error, "the lists of files in 3pm's folder were not kept; these tarballs are fetched once more some day");
    }
}

/// The folder that the package manager works on when it is started in `folder`. npm itself is asked where a
/// package.json further up has workspaces; where there is no package.json at all, npm makes one.
async fn find_root(manager: &Manager, order: &Order, folder: &Path) -> Result<PathBuf, RunError> {
    let ignores_workspace = order.arguments.iter().any(|argument| argument == "--ignore-workspace");
    let found = root::find(manager.kind, folder, ignores_workspace)?;
    if manager.kind != Kind::Npm {
        return found.ok_or_else(|| RunError::NoProject { folder: folder.to_owned() });
    }
    let Some(found) = found else { return Ok(folder.to_owned()) };
    let has_workspaces = |place: &Path| {
        let bytes = read_bounded(&place.join("package.json"), MAX_MANIFEST_BYTES).ok().flatten();
        let manifest: Option<Value> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        manifest.is_some_and(|manifest| manifest.get("workspaces").is_some())
    };
    if found.ancestors().skip(1).any(has_workspaces) {
        let npm = Npm::at(manager.program.clone());
        return Ok(Project::find(&npm, folder).await.map_err(FlowError::from)?.root);
    }
    Ok(found)
}

/// The user's own package manager, by absolute path, and which it is. Only yarn is asked for its version where that is
/// not known otherwise: there it says which of two it is.
pub(crate) async fn find_manager(command: &str, project: &Path, home: &Path) -> Result<Manager, RunError> {
    let not_found = || RunError::NotFound { command: command.to_owned() };
    let program = find_program(command, project, &home.join("shims")).ok_or_else(not_found)?;
    let mut version = version_beside(&program).unwrap_or_default();
    let kind = match command {
        "npm" => Kind::Npm,
        "pnpm" => Kind::Pnpm,
        "yarn" => {
            if version.is_empty() {
                // It decides what yarn is told: this is asked every time.
                version = say_version(&program).await?;
            }
            kind_of_yarn(&version)
        }
        "bun" => Kind::Bun,
        _ => return Err(not_found()),
    };
    Ok(Manager { kind, program, version })
}

async fn ask_version(program: &Path, answers: &Answers) -> Result<String, ProcessError> {
    let question = Question { program, words: &["--version"], folder: None, always: false };
    answers.to(question, say_version(program)).await
}

/// In an empty folder, where no project says which version it wants.
async fn say_version(program: &Path) -> Result<String, ProcessError> {
    let neutral =
        Temporary::new().map_err(|source| ProcessError::Spawn { program: program.to_owned(), source })?;
    let quiet =
        [("COREPACK_ENABLE_PROJECT_SPEC", "0"), ("COREPACK_ENABLE_STRICT", "0"), ("YARN_IGNORE_PATH", "1")]
            .map(|(name, value)| (name, OsString::from(value)));
    process::ask(program, &["--version"], neutral.path(), &quiet, QUESTION_LIMIT).await
}

/// What step 1 leaves.
struct Prepared {
    gate: Arc<Gatekeeper>,
    registries: Vec<Url>,
    says: NpmSays,
    noted: Vec<Noted>,
    reaching: Reaching,
}

/// Step 1: whom to ask, and which registries this run may reach.
async fn prepare(
    manager: &Manager,
    root: &Path,
    around: &Surroundings,
    answers: &Answers,
    now: u64,
) -> Result<Prepared, RunError> {
    let lookup = async {
        match &around.network {
            None => Ok(None),
            Some((_, network)) => {
                let view = network.freshness.look(&network.chain, now).await;
                let view = view.map_err(AssessError::from).map_err(FlowError::from)?;
                Ok::<_, RunError>(Some(Lookup::new(Arc::clone(&network.chain), view)))
            }
        }
    };
    let npm = async {
        let npm = match manager.kind {
            Kind::Npm => Npm::at(manager.program.clone()),
            _ => Npm::find(root).map_err(FlowError::from)?,
        };
        let says = async { ask_npm(&npm, root, answers).await.map_err(FlowError::from) };
        let project = Project { root: root.to_owned(), folder: around.folder.clone() };
        let own = async { Ok(Own::of(manager, root, answers).await) };
        let (says, own) = tokio::try_join!(says, own)?;
        let own = own.below_npm(manager, &says.settings.registries()[0], says.builtin.as_ref());
        let mut noted = if manager.kind == Kind::Npm { says.settings.noted() } else { Vec::new() };
        let named = own.named_by_project(manager, root, answers, &says).await;
        noted.extend(named.map_err(FlowError::from)?);
        let client = client_for(around, &project, &says, own)?;
        let reaching = Reaching::begin(&client);
        Ok::<_, RunError>((says, client, noted, reaching))
    };
    let (lookup, (says, mut npm, noted, reaching)) = tokio::try_join!(lookup, npm)?;
    let is_offline = lookup.as_ref().is_some_and(|lookup| lookup.answers.head().is_none());
    if is_offline && reaching.end().await.is_err() {
        around.output.note("neither the chain nor the registry answers: only what caches hold is installed");
        npm = npm.offline();
    }
    let builtin = says.builtin.clone();
    let mut registries: Vec<Url> = npm.config().registries().cloned().chain(builtin).collect();
    registries.sort();
    registries.dedup();
    let sources = Sources {
        lookup,
        npm,
        tarballs: Tarballs::in_home(&around.home),
        coordinator: around.network.as_ref().and_then(|(_, network)| network.coordinator.clone()),
        policy: Arc::clone(&around.policy),
    };
    Ok(Prepared { gate: Arc::new(Gatekeeper::new(Arc::new(sources))), registries, says, noted, reaching })
}
