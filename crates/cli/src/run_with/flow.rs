//! An install by any package manager, so that nothing unchecked is unpacked and nothing runs before all of it
//! was compared.
//!
//! 1. What an interrupted run left is ended and put back; the chain and the registry are there, or it ends here.
//! 2. What may change is set aside: manifests, lockfiles, every `node_modules`.
//! 3. The package manager runs behind the proxy with scripts off, and without git until somebody agreed to
//!    that. The gate holds every tarball until it is judged; hosts that are no registry of this run are not
//!    reached.
//! 4. What lies on disk is compared, file by file, with checked tarballs, whether they came through the proxy
//!    or out of a cache.
//! 5. The policy decides; one question at most.
//! 6. Scripts run. Then, and only then, the change is final; anything else puts the project back.
//!
//! Does not render, and does not read the command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use client::npm::{NpmClient, NpmConfig};
use url::Url;

use super::compare::{Compared, compare_tree};
use super::gate::{Door, Gatekeeper, Sources};
use super::git::NoGit;
use super::laid::{self, Before};
use super::lists::Lists;
use super::lookup::Lookup;
use super::manager::{Gateway, Kind, Manager, find_program, kind_of_yarn};
use super::orphan::Book;
use super::places;
use super::process::{self, ProcessError, Words};
use super::root;
use super::scripts;
use super::tree::{Tree, TreeError, module_folders, own_folders, read_tree};
use crate::install::assess::{AssessError, Assessment};
use crate::install::decision::{Call, OnWarning, agreed_to_other_sources};
use crate::install::flow::{FlowError, Surroundings, builtin_registry, reach, settle};
use crate::install::foresight::Foresight;
use crate::install::lockfile::MAX_LOCKFILE_BYTES;
use crate::install::npm::Npm;
use crate::install::project::{MAX_MANIFEST_BYTES, read_bounded};
use crate::install::report::{End, Report};
use crate::install::scripted::Scripting;
use crate::install::transaction::{Transaction, TransactionError};
use crate::shell::decide::Refusal;

/// How long an install may take.
const RUN_LIMIT: Duration = Duration::from_secs(60 * 60);

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
    home: &Path,
    now: &dyn Fn() -> u64,
    ask: &impl AsyncFn(&Report) -> bool,
) -> Result<Report, RunError> {
    let mut manager = find_manager(&order.command, &around.folder, home).await?;
    let ignores_workspace = order.arguments.iter().any(|argument| argument == "--ignore-workspace");
    let root = root::find(manager.kind, &around.folder, ignores_workspace)?
        .ok_or_else(|| RunError::NoProject { folder: around.folder.clone() })?;
    let kind = manager.kind;
    let runs_code =
        kind.runs_scripts_with(&order.arguments).or_else(|| kind.code_of_project(&root, &around.folder));
    if let Some(what) = runs_code.filter(|_| !order.allow_project_code) {
        return Err(RunError::ProjectCode { what });
    }
    // 1.
    let book = Book::of(home, &root);
    if Transaction::recover_after(&root, || book.end_what_was_left())? {
        around
            .output
            .warn("an earlier install was interrupted; the project was put back as it was before it");
    }
    let version = async {
        match manager.version.is_empty() {
            true => Ok(Some(ask_version(&manager.program).await?)),
            false => Ok(None),
        }
    };
    let settings = async { Ok(places::refuse_settings(&manager, &root, &around.folder).await?) };
    let ((gate, registries), version, ()) =
        tokio::try_join!(prepare(&manager, &root, around, now()), version, settings)?;
    manager.version = version.unwrap_or(manager.version);
    let gate = Arc::new(gate);
    around.output.note(&format!("{} {}, behind the checks of 3pm", order.command, manager.version));
    // 2.
    let mut files: Vec<PathBuf> = Vec::new();
    let mut modules = module_folders(&root)?;
    for folder in modules.iter().filter_map(|modules| modules.parent()) {
        let code = kind.code_of_manifest(&root.join(folder)).filter(|_| !order.allow_project_code);
        if let Some(what) = code {
            return Err(RunError::ProjectCode { what });
        }
        files.push(folder.join("package.json"));
        files.extend(manager.kind.files().iter().map(|name| folder.join(name)));
    }
    if manager.kind == Kind::Yarn {
        let own = Path::new(".yarn");
        let is_there = root.join(own).symlink_metadata().is_ok();
        modules.push(if is_there { own.join("unplugged") } else { own.to_owned() });
        files.push(own.join("install-state.gz"));
    }
    let before = Before {
        own: own_folders(&root)?.into_iter().collect(),
        had_packages: root.join("node_modules").is_dir(),
    };
    let transaction = Transaction::guard(&root, &files, &modules, MAX_MANIFEST_BYTES)?;
    // 3.
    let settings = proxy::Settings {
        registries,
        upstream_proxy: upstream_proxy(),
        upstream_no_proxy: upstream_no_proxy(),
        extra_roots: gate.sources().npm.config().ca_pem().unwrap_or_default().to_vec(),
        ..proxy::Settings::default()
    };
    let foresight = (kind == Kind::Npm).then(|| Arc::new(foresee(&gate, &root, now())));
    let door = Door { gate: Arc::clone(&gate), foresight: foresight.clone() };
    let running = proxy::start(settings, Arc::new(door)).await?;
    if let Some(foresight) = foresight {
        foresight.begin(running.early());
    }
    let git = without_git(&manager, order, around)?;
    let ended = {
        let (ca, bundle) = (running.ca_file(), running.bundle_file());
        let gateway = Gateway { url: running.url(), ca: &ca, bundle: &bundle };
        let words =
            if around.output.is_json() || around.output.is_quiet() { Words::Kept } else { Words::Passed };
        let places = manager.kind.overruled(&root, &around.folder);
        let arguments = places.around(manager.kind.arguments(&order.arguments));
        let mut variables = manager.kind.environment(&gateway);
        variables.extend(places.variables);
        variables.extend(git.iter().flat_map(NoGit::variables));
        let folder = &around.folder;
        process::run(&manager.program, &arguments, folder, &variables, words, RUN_LIMIT, &book).await?
    };
    let requests = running.log();
    drop(running);
    let mut report = report(around, &gate, Vec::new());
    if matches!(report.call(), Call::Deny | Call::Undecided) {
        report.end = End::Refused;
        return Ok(report);
    }
    if let Some(asked) = git.as_ref().and_then(NoGit::asked) {
        return Err(git_was_asked(&manager, order, around, asked));
    }
    if !ended.status.success() {
        for refused in requests.iter().filter(|request| request.refused.is_some()) {
            let reason = refused.refused.as_deref().unwrap_or_default();
            around.output.warn(&format!("{} {}: {reason}", refused.method, refused.url));
        }
        let process::Ended { status, words } = ended;
        return Err(RunError::Failed { command: order.command.clone(), status, words });
    }
    let on_warning = if order.dry_run { OnWarning::Accept } else { order.on_warning };
    // Manifests and lockfiles at most have changed: what lay there lies there.
    let is_untouched = transaction.give_back_untouched()?;
    let laid = |tree: &Tree| laid::check(kind, &root, &before, tree, gate.arrived().len(), &order.arguments);
    if is_untouched {
        laid(&Tree::untouched(&root))?;
        report.end = settle(&report, on_warning, around.interactive, ask).await;
        if report.end == End::Checked && !order.dry_run {
            transaction.commit()?;
        }
        return Ok(report);
    }
    // 4.
    let lists = Lists::in_home(home);
    let progress = around.output.progress("comparing what was unpacked");
    let tree = read_tree(&root)?;
    laid(&tree)?;
    let own = tree.own.clone();
    let Compared { receipt, findings, present, scripted } = compare_tree(&root, tree, &gate, &lists).await?;
    drop(progress);
    report = self::report(around, &gate, findings);
    // 5.
    report.end = settle(&report, on_warning, around.interactive, ask).await;
    if report.end != End::Checked || order.dry_run {
        return Ok(report);
    }
    // 6.
    let said = if order.ignore_scripts {
        "No install scripts were run.".to_owned()
    } else {
        scripts::run(&manager, &root, &own, &scripted, around, &book).await?
    };
    let scripts = Scripting { said, packages: scripted };
    transaction.commit()?;
    for arrived in gate.arrived() {
        let (Some(files), Ok(name)) = (&arrived.files, arrived.finding.subject.name.parse()) else {
            continue;
        };
        let version = arrived.finding.subject.version.clone().unwrap_or_default();
        if present.get(&(arrived.finding.subject.name.clone(), version.clone())) == Some(&arrived.integrity)
            && let Err(error) = lists.note(&name, &version, arrived.integrity, files)
        {
            tracing::warn!(%error, "the file list of {name}@{version} was not kept");
        }
    }
    report.root = Some(root);
    report.end = End::Installed { receipt, scripts };
    Ok(report)
}

/// What npm will ask for.
fn foresee(gate: &Gatekeeper, root: &Path, now: u64) -> Foresight {
    let read = |name: &str| read_bounded(&root.join(name), MAX_LOCKFILE_BYTES).ok().flatten();
    let manifest = read("package.json").and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let lockfile = read("npm-shrinkwrap.json").or_else(|| read("package-lock.json"));
    let lockfile = lockfile.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Foresight::new(gate.sources().npm.clone(), manifest.as_slice(), lockfile.as_deref(), now)
}

/// The user's own package manager, by absolute path, and which it is. Only yarn is asked for its version here: there
/// it says which of two it is.
pub(crate) async fn find_manager(command: &str, project: &Path, home: &Path) -> Result<Manager, RunError> {
    let not_found = || RunError::NotFound { command: command.to_owned() };
    let program = find_program(command, project, &home.join("shims")).ok_or_else(not_found)?;
    let (kind, version) = match command {
        "npm" => (Kind::Npm, String::new()),
        "pnpm" => (Kind::Pnpm, String::new()),
        "yarn" => {
            let version = ask_version(&program).await?;
            (kind_of_yarn(&version), version)
        }
        "bun" => (Kind::Bun, String::new()),
        _ => return Err(not_found()),
    };
    Ok(Manager { kind, program, version })
}

/// In an empty folder, where no project says which version it wants.
async fn ask_version(program: &Path) -> Result<String, ProcessError> {
    let neutral =
        tempfile::tempdir().map_err(|source| ProcessError::Spawn { program: program.to_owned(), source })?;
    let quiet =
        [("COREPACK_ENABLE_PROJECT_SPEC", "0"), ("COREPACK_ENABLE_STRICT", "0"), ("YARN_IGNORE_PATH", "1")]
            .map(|(name, value)| (name, OsString::from(value)));
    process::ask(program, &["--version"], neutral.path(), &quiet, QUESTION_LIMIT).await
}

/// Step 1: whom to ask, and which registries this run may reach.
async fn prepare(
    manager: &Manager,
    root: &Path,
    around: &Surroundings,
    now: u64,
) -> Result<(Gatekeeper, Vec<Url>), RunError> {
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
    let config = async {
        let config = NpmConfig::load(root).await.map_err(FlowError::from)?;
        let npm = NpmClient::new(&around.http, config).map_err(FlowError::Registry)?;
        reach(&npm).await?;
        Ok(npm)
    };
    let own = async { Ok(own_registry(manager, root).await) };
    let builtin = async {
        let npm = Npm::find(root).map_err(FlowError::from)?;
        Ok(builtin_registry(&npm).await?)
    };
    let (lookup, npm, own, builtin) = tokio::try_join!(lookup, config, own, builtin)?;
    let mut registries: Vec<Url> = npm.config().registries().cloned().chain(own).chain(builtin).collect();
    registries.sort();
    registries.dedup();
    let sources = Sources {
        lookup,
        npm,
        coordinator: around.network.as_ref().and_then(|(_, network)| network.coordinator.clone()),
        policy: Arc::clone(&around.policy),
    };
    Ok((Gatekeeper::new(sources), registries))
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

/// The registry that the package manager itself would ask, where that is not npm's.
async fn own_registry(manager: &Manager, root: &Path) -> Option<Url> {
    let arguments: &[&str] = match manager.kind {
        Kind::Npm | Kind::Bun => return None,
        Kind::Pnpm | Kind::YarnClassic => &["config", "get", "registry"],
        Kind::Yarn => &["config", "get", "npmRegistryServer"],
    };
    let quiet = manager.kind.own_program();
    let answer = process::ask(&manager.program, arguments, root, &quiet, QUESTION_LIMIT).await.ok()?;
    Url::parse(answer.lines().last()?.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https"))
}

/// The user's own proxy, as curl and npm read it.
pub(crate) fn upstream_proxy() -> Option<Url> {
    let names = ["https_proxy", "HTTPS_PROXY", "npm_config_https_proxy", "http_proxy", "HTTP_PROXY"];
    let value = names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))?;
    Url::parse(&value).ok().filter(|url| url.scheme() == "http" || url.scheme() == "https")
}

/// The hosts that the user reaches without it.
pub(crate) fn upstream_no_proxy() -> Option<String> {
    let names = ["no_proxy", "NO_PROXY", "npm_config_noproxy"];
    names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

/// What the gate and the comparison found, not yet what was done.
fn report(around: &Surroundings, gate: &Gatekeeper, more: Vec<crate::install::assess::Finding>) -> Report {
    let mut findings: Vec<_> = gate.arrived().into_iter().map(|arrived| arrived.finding).collect();
    findings.extend(more);
    let lookup = gate.sources().lookup.as_ref();
    Report {
        command: "install",
        network: around.network.as_ref().map(|(name, _)| name.clone()),
        assessment: Assessment {
            head: lookup.and_then(|lookup| lookup.answers.head()),
            offline: lookup.and_then(|lookup| lookup.answers.offline()),
            findings,
        },
        policy: Arc::clone(&around.policy),
        settings: Vec::new(),
        root: None,
        end: End::Checked,
    }
}
