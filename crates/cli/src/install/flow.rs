//! An install from end to end, so that nothing lies between what was checked and what is used.
//!
//! 1. What an interrupted run left is put back.
//! 2. npm resolves in a private copy, scripts off, with the project's dangerous settings overruled.
//! 3. Every entry of the resulting lockfile is checked and assessed.
//! 4. The policy decides; one question at most. Up to here nothing of the project was touched, and no
//!    package was unpacked.
//! 5. The old `node_modules` are set aside, the checked files written, and `npm ci` unpacks exactly that
//!    lockfile with scripts off: it enforces the one sha512 of each entry, and unlike `npm install` it
//!    resolves nothing anew and refuses a lockfile that does not fit.
//!    Where that very tree lies there already, to the byte, and has no scripts, it stays.
//! 6. What lies on disk is compared with what was checked.
//! 7. Scripts run. Then, and only then, the change is final; anything else puts the project back.
//!
//! Does not render, and does not read the command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use client::http::{Http, HttpError, Limits, Method, Request};
use client::npm::{NpmClient, NpmConfig, NpmConfigError};
use proxy::Running;
use serde_json::Value;
use trust::PackageName;
use trust::policy::Policy;
use url::Url;

use super::ages;
use super::assess::{AssessError, Assessment, Subject, TrustNetwork, assess};
use super::collect::{Counter, behind, proxy_for};
use super::decision::{Call, OnWarning, agreed_to_other_sources};
use super::entries::{Checked, Registries, Registry, Source, check_entries};
use super::foresight::Foresight;
use super::lockfile::{Lockfile, LockfileError, parse_lockfile};
use super::npm::{Npm, NpmRunError, QUESTION_LIMIT, Show};
use super::project::{Mirror, Project, ProjectError, private_folder};
use super::report::{End, Report};
use super::scripted::Scripting;
use super::scripts::Scripts;
use super::settings::{Phase, Settings};
use super::transaction::{Transaction, TransactionError};
use super::unpacked::{Expected, Receipt, UnpackedError, module_folders, verify_unpacked};
use crate::output::Output;
use crate::run_with::lists::Lists;

/// Resolving asks the registry about every package of the tree.
const RESOLVE_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Unpacking fetches every tarball.
const UNPACK_LIMIT: Duration = Duration::from_secs(30 * 60);

/// How long the registry may take to show that it is there at all. npm itself would try for over a
/// minute before it says so.
const REGISTRY_LIMIT: Limits = Limits { bytes: 1024 * 1024, time: Duration::from_secs(5) };

/// Where and with whom.
#[derive(Debug)]
pub(crate) struct Surroundings {
    /// Where 3pm was started.
    pub(crate) folder: PathBuf,
    /// For everything that goes out.
    pub(crate) http: Http,
    /// The trust network and its name.
    pub(crate) network: Option<(String, TrustNetwork)>,
    /// What the user and the project want done.
    pub(crate) policy: Arc<Policy>,
    /// Whether a person can be asked.
    pub(crate) interactive: bool,
    /// Where remarks on the way go.
    pub(crate) output: Output,
    /// What earlier runs saw in tarballs.
    pub(crate) lists: Lists,
}

/// What is to be installed.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Packages to add; none for what the project already asks for.
    pub(crate) packages: Vec<String>,
    /// Add them to devDependencies.
    pub(crate) save_dev: bool,
    /// What to do about warnings.
    pub(crate) on_warning: OnWarning,
    /// Stop before anything is installed.
    pub(crate) dry_run: bool,
    /// Run no scripts.
    pub(crate) ignore_scripts: bool,
}

/// Why nothing could be installed or checked. A refusal is not one of these: it is a report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FlowError {
    /// The project cannot be read.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// npm failed.
    #[error(transparent)]
    Npm(#[from] NpmRunError),
    /// npm's configuration cannot be read.
    #[error(transparent)]
    Configuration(#[from] NpmConfigError),
    /// The registry is down.
    #[error("the npm registry cannot be used")]
    Registry(#[source] HttpError),
    /// The lockfile cannot be read.
    #[error(transparent)]
    Lockfile(#[from] LockfileError),
    /// There is nothing to check.
    #[error("{} has no lockfile, and no package was named", root.display())]
    NothingToCheck {
        /// The project.
        root: PathBuf,
    },
    /// The chain is down, or contradicts itself.
    #[error(transparent)]
    Assess(#[from] AssessError),
    /// Something that needs another's code to be fetched while resolving.
    #[error("a dependency does not come from a registry, and the policy does not allow that: {0}")]
    Source(String),
    /// npm asked for something else than the checked lockfile names, or was given it.
    #[error("npm was not given what the checked lockfile does not name: {0}")]
    OtherBytes(String),
    /// No proxy.
    #[error(transparent)]
    Proxy(#[from] proxy::ProxyError),
    /// The project could not be changed.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// What is on disk is not what was checked.
    #[error("npm unpacked something else than was checked; the project was put back")]
    Unpacked(#[from] UnpackedError),
}

/// A tree, checked entry by entry.
#[derive(Debug)]
struct Tree {
    lockfile: Lockfile,
    checked: Checked,
    /// The registry that the lockfile's addresses stand for, where they are not the configured ones.
    builtin: Option<Url>,
}

/// Installs; `ask` shows a person the report and asks whether to go on.
pub(crate) async fn install(
    wanted: &Wanted,
    around: &Surroundings,
    now: &dyn Fn() -> u64,
    ask: &impl AsyncFn(&Report) -> bool,
) -> Result<Report, FlowError> {
    let npm = Npm::find(&around.folder)?;
    let project = Project::find(&npm, &around.folder).await?;
    // 1.
    if Transaction::recover(&project.root)? {
        around
            .output
            .warn("an earlier install was interrupted; the project was put back as it was before it");
    }
    let (settings, client) = prepare(&npm, &project, around, now).await?;
    // 2.
    let progress = around.output.progress("resolving");
    let mirror = Mirror::make(&project, &wanted.packages)?;
    resolve(&npm, &mirror, wanted, around, &settings, &client, now()).await?;
    let (changes, text) = mirror.changes()?;
    // 3.
    progress.say("checking every package");
    let manifest = mirror.as_project().read_manifest()?;
    let tree = check_tree(&npm, &text, &manifest, client.config()).await?;
    let counter = if wanted.dry_run {
        None
    } else {
        let cache = settings.cache();
        Some(Counter::open(&tree.checked, &client, tree.builtin.as_ref(), cache.as_deref()).await?)
    };
    let assessment = find_out(&tree, &client, around, now()).await?;
    let mut report = report("install", around, assessment, settings.noted());
    drop(progress);
    // 4.
    let on_warning = if wanted.dry_run { OnWarning::Accept } else { wanted.on_warning };
    report.end = settle(&report, on_warning, around.interactive, ask).await;
    let Some(counter) = counter.filter(|_| report.end == End::Checked) else { return Ok(report) };
    let lockfile_path = mirror.original_lockfile_path()?;
    let compare = async || {
        let files = counter.files(&tree.checked, &report.assessment.findings, &client, &around.lists).await;
        let compared = verify_unpacked(&Expected {
            root: &project.root,
            lockfile_path: &lockfile_path,
            lockfile_text: &text,
            lockfile: &tree.lockfile,
            checked: &tree.checked,
            files: &files,
        });
        (files, compared)
    };
    let find_scripts = || {
        let findings = &report.assessment.findings;
        Scripts::find(&project.root, &tree.lockfile, &tree.checked, &manifest, findings, &around.policy)
    };
    let progress = around.output.progress("comparing what lies there");
    // What lies there may be that very tree, to the byte. Scripts change it, and it is not known whether they ran.
    let already = if changes.is_empty() && project.root.join("node_modules").is_dir() {
        let (files, compared) = compare().await;
        let whole = compared.ok().filter(|receipt| is_whole(receipt, &tree.lockfile));
        whole.filter(|_| find_scripts().packages.is_empty()).map(|receipt| (files, receipt))
    } else {
        None
    };
    // 5.
    let modules: Vec<PathBuf> = match already {
        Some(_) => vec![],
        None => module_folders(&tree.lockfile).into_iter().collect(),
    };
    let transaction = Transaction::begin(&project.root, &changes, &modules)?;
    let (files, receipt) = match already {
        Some(there) => there,
        None => {
            progress.say("unpacking");
            let has_git = tree.checked.values().any(|source| matches!(source, Ok(Source::Git { .. })));
            // git does not go through a proxy that it does not trust: a tree with such sources is unpacked without.
            let behind = if has_git { npm.clone() } else { npm.clone().with(counter.environment()) };
            if let Err(error) = unpack(&behind, &project.root, &settings, has_git).await {
                return Err(match counter.refusals() {
                    refusals if refusals.is_empty() => error,
                    refusals => FlowError::OtherBytes(trust::text::printable(&refusals.join("; "), 600)),
                });
            }
            // 6.
            progress.say("comparing what was unpacked");
            let (files, compared) = compare().await;
            (files, compared?)
        }
    };
    // 7.
    progress.say("running install scripts");
    let scripts = find_scripts();
    let said = if scripts.is_empty() && scripts.packages.is_empty() {
        "There are no install scripts.".to_owned()
    } else if scripts.is_empty() || wanted.ignore_scripts || settings.ignores_scripts() {
        "No install scripts were run.".to_owned()
    } else {
        scripts.run(&npm, &project.root, &settings).await?
    };
    let scripts = Scripting { said, packages: scripts.packages };
    transaction.commit()?;
    around.lists.note_all(&tree.checked, &files);
    drop(progress);
    report.root = Some(project.root.clone());
    report.end = End::Installed { receipt, scripts };
    Ok(report)
}

/// Whether everything lies there, and all of it was compared.
fn is_whole(receipt: &Receipt, lockfile: &Lockfile) -> bool {
    let is_optional = |location: &String| lockfile.entries.get(location).is_some_and(|entry| entry.optional);
    receipt.installed == receipt.compared && receipt.left_out.iter().all(is_optional)
}

/// Checks the project's lockfile as it lies there, installing nothing.
pub(crate) async fn verify_project(
    around: &Surroundings,
    now: &dyn Fn() -> u64,
) -> Result<Report, FlowError> {
    let npm = Npm::find(&around.folder)?;
    let project = Project::find(&npm, &around.folder).await?;
    let text =
        project.read_lockfile()?.ok_or_else(|| FlowError::NothingToCheck { root: project.root.clone() })?;
    let (settings, client) = prepare(&npm, &project, around, now).await?;
    let tree = check_tree(&npm, &text, &project.read_manifest()?, client.config()).await?;
    let assessment = find_out(&tree, &client, around, now()).await?;
    Ok(report("verify", around, assessment, settings.noted()))
}

/// Checks packages by name, and all that they would bring, as if each were installed into an empty
/// project; installs nothing.
pub(crate) async fn verify_packages(
    packages: &[String],
    around: &Surroundings,
    now: &dyn Fn() -> u64,
) -> Result<Report, FlowError> {
    let npm = Npm::find(&around.folder)?;
    let project = Project::find(&npm, &around.folder).await?;
    let (settings, client) = prepare(&npm, &project, around, now).await?;
    let mirror = Mirror::make_empty(&project)?;
    let wanted = Wanted { packages: packages.to_vec(), ..Wanted::default() };
    resolve(&npm, &mirror, &wanted, around, &settings, &client, now()).await?;
    let (_, text) = mirror.changes()?;
    let tree = check_tree(&npm, &text, &mirror.as_project().read_manifest()?, client.config()).await?;
    let assessment = find_out(&tree, &client, around, now()).await?;
    Ok(report("verify", around, assessment, settings.noted()))
}

/// Step 3, the part that asks.
async fn find_out(
    tree: &Tree,
    client: &NpmClient,
    around: &Surroundings,
    now: u64,
) -> Result<Assessment, AssessError> {
    let network = around.network.as_ref().map(|(_, network)| network);
    let mut assessment = assess(subjects(tree), client, network, now).await?;
    if around.policy.asks_release_age() {
        ages::look_up(&mut assessment.findings, client).await;
    }
    Ok(assessment)
}

/// Step 4: what the policy makes of it, and of its warnings the person, where there is one.
pub(crate) async fn settle(
    report: &Report,
    on_warning: OnWarning,
    interactive: bool,
    ask: &impl AsyncFn(&Report) -> bool,
) -> End {
    match (report.call(), on_warning) {
        (Call::Deny | Call::Undecided, _) => End::Refused,
        (Call::Allow, _) | (Call::Warn, OnWarning::Accept) => End::Checked,
        (Call::Warn, OnWarning::Ask) if interactive => {
            if ask(report).await {
                End::Checked
            } else {
                End::Declined { asked: true }
            }
        }
        (Call::Warn, OnWarning::Ask | OnWarning::Refuse) => End::Declined { asked: false },
    }
}

/// A report of what was found, not yet of what was done.
fn report(
    command: &'static str,
    around: &Surroundings,
    assessment: Assessment,
    settings: Vec<super::settings::Noted>,
) -> Report {
    Report {
        command,
        network: around.network.as_ref().map(|(name, _)| name.clone()),
        assessment,
        policy: Arc::clone(&around.policy),
        settings,
        root: None,
        end: End::Checked,
    }
}

/// npm's settings and a client for its registries; fails fast when the registry or the chain is down.
async fn prepare(
    npm: &Npm,
    project: &Project,
    around: &Surroundings,
    now: &dyn Fn() -> u64,
) -> Result<(Settings, NpmClient), FlowError> {
    let empty = private_folder()?;
    // Without one npm would look for a project further up.
    std::fs::write(empty.path().join("package.json"), "{}")
        .map_err(|source| ProjectError::Io { path: empty.path().to_owned(), source })?;
    let chain = async {
        match &around.network {
            Some((_, network)) => {
                let view = network.freshness.look(&network.chain, now()).await;
                view.map(|_| ()).map_err(AssessError::from)
            }
            None => Ok(()),
        }
    };
    let registry = async {
        let config = NpmConfig::load(&project.root).await?;
        let client = NpmClient::new(&around.http, config).map_err(FlowError::Registry)?;
        reach(&client).await?;
        Ok::<_, FlowError>(client)
    };
    let settings = async { Settings::load(npm, &project.root, empty.path()).await.map_err(FlowError::from) };
    let (settings, client, ()) =
        tokio::try_join!(settings, registry, async { chain.await.map_err(FlowError::from) })?;
    Ok((settings, client))
}

/// Whether the registry is there: any answer will do.
pub(crate) async fn reach(npm: &NpmClient) -> Result<(), FlowError> {
    let registry = npm.config().default_registry().url;
    let url = registry.join("-/ping").unwrap_or(registry);
    match npm.http().send(Request::new(Method::GET, url), REGISTRY_LIMIT).await {
        Ok(_) | Err(HttpError::TooLarge { .. }) => Ok(()),
        Err(error) => Err(FlowError::Registry(error)),
    }
}

/// What npm's words about a repository that it may not fetch begin with.
const TOLD: [&str; 3] = ["Refusing", "Fetching", "command false "];

/// Step 2.
async fn resolve(
    npm: &Npm,
    mirror: &Mirror,
    wanted: &Wanted,
    around: &Surroundings,
    settings: &Settings,
    client: &NpmClient,
    now: u64,
) -> Result<(), FlowError> {
    let mut arguments: Vec<OsString> = vec!["install".into()];
    if wanted.save_dev {
        arguments.push("--save-dev".into());
    }
    arguments.push("--package-lock-only=true".into());
    arguments.extend(settings.flags(Phase::Quiet));
    arguments.extend(settings.lockfile_version_flag());
    // A git dependency that is not in the lockfile yet means running git on what it brings, before
    // anybody could say a word about it: only where that was allowed beforehand. A URL's tarball is only
    // read, and judged with the rest. (`--allow-remote=none` would also stop registry packages that
    // carry bundled ones.)
    let allowed = agreed_to_other_sources(wanted.on_warning, &around.policy);
    if !allowed {
        arguments.extend(["--allow-git=none", "--git=false"].map(OsString::from));
    }
    arguments.push("--".into());
    arguments.extend(wanted.packages.iter().map(OsString::from));
    let (foreseen, running) = foresee(npm, mirror, client, now).await?;
    let mut resolved = foreseen.run(&mirror.folder(), &arguments, RESOLVE_LIMIT, Show::Kept).await;
    // The proxy is here for speed: what it does not reach (a tarball by its URL) npm fetches without it.
    if resolved.is_err() && running.log().iter().any(|request| request.refused.is_some()) {
        resolved = npm.run(&mirror.folder(), &arguments, RESOLVE_LIMIT, Show::Kept).await;
    }
    match resolved {
        // npm 10 does not know `--allow-git`, and stops at the program that stands for git.
        Err(NpmRunError::Failed { stderr, .. })
            if !allowed && (stderr.contains("EALLOWGIT") || stderr.contains("command false ")) =>
        {
            let detail = stderr.lines().filter_map(|line| line.trim().strip_prefix("npm error "));
            let detail: Vec<&str> =
                detail.filter(|line| TOLD.iter().any(|told| line.starts_with(told))).collect();
            Err(FlowError::Source(trust::text::printable(&detail.join(", "), 300)))
        }
        result => result.map(|_| ()).map_err(FlowError::from),
    }
}

/// npm behind a proxy that has the next documents before npm asks for them.
async fn foresee(
    npm: &Npm,
    mirror: &Mirror,
    client: &NpmClient,
    now: u64,
) -> Result<(Npm, Running), FlowError> {
    let project = mirror.as_project();
    let lockfile = project.read_lockfile()?;
    let foresight = Foresight::new(client.clone(), &[project.read_manifest()?], lockfile.as_deref(), now);
    let foresight = Arc::new(foresight);
    let running = proxy::start(proxy_for(client.config(), None), Arc::clone(&foresight)).await?;
    foresight.begin(running.early());
    Ok((npm.clone().with(behind(&running)), running))
}

/// Step 3, the part that asks nobody what was signed.
async fn check_tree(npm: &Npm, text: &str, manifest: &Value, config: &NpmConfig) -> Result<Tree, FlowError> {
    let lockfile = parse_lockfile(text)?;
    let configured = Configured(config);
    let foreign = lockfile.entries.values().any(|entry| {
        let url = entry.resolved.as_deref().and_then(|resolved| Url::parse(resolved).ok());
        url.is_some_and(|url| {
            url.scheme().starts_with("http")
                && !config.registries().any(|registry| registry.origin() == url.origin())
        })
    });
    let builtin = if foreign { builtin_registry(npm).await? } else { None };
    let registries = Registries { configured: &configured, builtin: builtin.as_ref() };
    let checked = check_entries(&lockfile, manifest, &registries);
    Ok(Tree { lockfile, checked, builtin })
}

/// Which registry npm would use if nobody had configured any: the one whose address lockfiles carry, and
/// which npm swaps for the configured one. 3pm itself knows no registry's address.
pub(crate) async fn builtin_registry(npm: &Npm) -> Result<Option<Url>, FlowError> {
    let empty = private_folder()?;
    std::fs::write(empty.path().join("package.json"), "{}")
        .map_err(|source| ProjectError::Io { path: empty.path().to_owned(), source })?;
    // Neither exists; npm refuses one file for both.
    let flag = |name: &str| {
        let mut flag = OsString::from(format!("--{name}="));
        flag.push(empty.path().join(name));
        flag
    };
    let arguments =
        ["config".into(), "get".into(), "registry".into(), flag("userconfig"), flag("globalconfig")];
    let answer =
        npm.clone().without_settings().run(empty.path(), &arguments, QUESTION_LIMIT, Show::Kept).await?;
    Ok(Url::parse(answer.stdout.trim()).ok())
}

/// npm's configuration, as `entries` asks it.
#[derive(Debug)]
struct Configured<'a>(&'a NpmConfig);

impl Registry for Configured<'_> {
    fn registry_url(&self, name: &PackageName) -> Url {
        self.0.registry_for(name).url
    }
}

/// The entries as subjects; a link and the folder it leads to are one.
fn subjects(tree: &Tree) -> Vec<Subject> {
    tree.lockfile
        .entries
        .values()
        .filter(|entry| !(entry.link && matches!(tree.checked.get(&entry.location), Some(Ok(_)))))
        .filter_map(|entry| {
            Some(Subject {
                location: entry.location.clone(),
                name: entry.name.clone(),
                version: entry.version.clone(),
                manifest: entry.manifest.clone(),
                source: tree.checked.get(&entry.location)?.clone(),
            })
        })
        .collect()
}

/// Step 5, npm's part.
async fn unpack(npm: &Npm, root: &Path, settings: &Settings, has_git: bool) -> Result<(), FlowError> {
    let mut arguments: Vec<OsString> = vec!["ci".into()];
    arguments.extend(settings.flags(Phase::Quiet));
    if !has_git {
        arguments.push("--allow-git=none".into());
        arguments.push("--git=false".into());
    }
    npm.run(root, &arguments, UNPACK_LIMIT, Show::Kept).await?;
    Ok(())
}
