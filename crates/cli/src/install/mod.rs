//! What is known about packages and what is to be done about it: the machinery behind every install (whose
//! flow is `run_with::flow`), and `3pm verify`.
//!
//! This file ties `verify` to the command line; it makes no verdict and no decision. What is not here yet:
//! findings beside the verdicts (typosquats, new behaviour, known vulnerabilities).

pub(crate) mod ages;
pub(crate) mod answers;
pub(crate) mod assess;
pub(crate) mod behind;
pub(crate) mod decision;
pub(crate) mod entries;
pub(crate) mod errors;
pub(crate) mod evidence;
pub(crate) mod foresight;
pub(crate) mod locked;
pub(crate) mod lockfile;
pub(crate) mod manifests;
pub(crate) mod npm;
pub(crate) mod npm_cache;
pub(crate) mod pinned;
pub(crate) mod plan;
pub(crate) mod project;
pub(crate) mod reach;
pub(crate) mod receipts;
pub(crate) mod report;
pub(crate) mod resolve;
pub(crate) mod scripted;
pub(crate) mod settings;
pub(crate) mod tarballs;
pub(crate) mod transaction;
pub(crate) mod unpacked;
pub(crate) mod verify;

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use chain::ChainError;
use client::coordinator::CoordinatorClient;
use client::http::Http;
use trust::policy::Policy;
use trust::text::printable;

use self::assess::{AssessError, TrustNetwork};
use self::errors::FlowError;
use self::evidence::LegacySource;
use self::npm::NpmRunError;
use self::report::Report;
use self::tarballs::Tarballs;
use self::transaction::TransactionError;
use crate::args::VerifyArgs;
use crate::context::Context;
use crate::errors::{Failure, Outcome};
use crate::exit::{self, ExitCode};
use crate::freshness::{Freshness, Offline};
use crate::output::{Output, Page};
use crate::run_with::Again;

/// How much of a command to type next is shown, in characters.
const HINT_CHARS: usize = 600;

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
    /// 3pm's own folder.
    pub(crate) home: PathBuf,
    /// What to type to run it again otherwise.
    pub(crate) again: Again,
}

/// Checks packages, or the lockfile of this folder, without installing anything.
pub(crate) async fn run_verify(context: &Context, args: VerifyArgs) -> Outcome {
    let around = surroundings(context)?;
    let progress = context.output.progress("checking");
    let report = if args.packages.is_empty() {
        verify::verify_project(&around, &|| context.now()).await
    } else {
        verify::verify_packages(&args.packages, &around, &|| context.now()).await
    };
    drop(progress);
    finish(context, &around, report)
}

pub(crate) fn surroundings(context: &Context) -> Result<Surroundings, Failure> {
    let http = context.http()?.clone();
    let folder = std::env::current_dir()?;
    let policy = context.policy(&folder)?;
    let network = match context.network_if_configured()? {
        None => None,
        Some(network) => {
            let coordinator = network
                .coordinator_url
                .clone()
                .map(|url| Arc::new(LegacySource::new(CoordinatorClient::new(http.clone(), url))));
            let chain = Arc::new(context.chain()?);
            let freshness = Freshness::new(context.home()?, Offline::of(&policy));
            let tarballs = Tarballs::in_home(&context.home()?);
            Some((network.name.clone(), TrustNetwork { chain, freshness, coordinator, tarballs }))
        }
    };
    Ok(Surroundings {
        policy,
        folder,
        http,
        network,
        interactive: context.interactive,
        output: context.output,
        home: context.home()?,
        again: Again::default(),
    })
}

/// Shows what was found and waits for an answer; no answer is no.
pub(crate) async fn ask(context: &Context, report: &Report) -> bool {
    let mut page = Page::default();
    report.render(&mut page);
    let mut stderr = anstream::stderr();
    let shown = write!(stderr, "{}Install in spite of the warnings? [y/N] ", page.text());
    if shown.and_then(|()| stderr.flush()).is_err() || !context.interactive {
        return false;
    }
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    });
    matches!(answer.await, Ok(Ok(line)) if matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Remembers what was read, however the run ended, so that no later run believes less.
pub(crate) fn keep_seen(context: &Context, around: &Surroundings) -> Result<(), Failure> {
    match &around.network {
        Some((_, network)) => context.keep_seen(&network.chain),
        None => Ok(()),
    }
}

pub(crate) fn finish(context: &Context, around: &Surroundings, report: Result<Report, FlowError>) -> Outcome {
    keep_seen(context, around)?;
    let report = report.map_err(|error| failure(error, &around.again))?;
    if let Err(error) = receipts::keep(&context.home()?, &report, context.now()) {
        context.output.warn(&format!("the receipt of this install was not kept: {error}"));
    }
    context.output.result(&report, |page| report.render(page));
    if let Some((reason, next)) = report.refusal(&around.again) {
        let mut page = Page::default();
        page.bad(&format!("error: {reason}"));
        for next in next {
            page.next(&printable(&next, HINT_CHARS));
        }
        crate::output::write_stderr(page.text());
    }
    Ok(report.exit_code())
}

/// A sentence with its exit code and what to do next.
pub(crate) fn failure(error: FlowError, again: &Again) -> Failure {
    if let FlowError::Assess(AssessError::Store(cause)) = &error {
        let hint = cause.hint();
        return Failure::from(error).code(exit::UNKNOWN).hint(hint);
    }
    let (code, hint): (ExitCode, Option<&str>) = match &error {
        FlowError::Npm(NpmRunError::Failed { status, .. }) => {
            (status.code().map_or(exit::UNKNOWN, ExitCode::from_package_manager), None)
        }
        FlowError::Npm(NpmRunError::NotFound) => (exit::UNKNOWN, Some("install Node.js, which brings npm")),
        FlowError::Source(_) => {
            let failure = Failure::from(error).code(exit::NON_REGISTRY).hint(again.accepting());
            return failure.hint("or allow nonRegistry in the policy: 3pm policy show");
        }
        FlowError::NothingToCheck { .. } => {
            (exit::USAGE, Some("name a package, or go to a project with a lockfile"))
        }
        FlowError::Transaction(TransactionError::Busy { .. }) => {
            (exit::NOT_POSSIBLE, Some("wait until it has ended"))
        }
        FlowError::Transaction(TransactionError::Outside { .. }) => (exit::NOT_POSSIBLE, None),
        FlowError::Transaction(TransactionError::Changed { .. }) => {
            (exit::UNKNOWN, Some("run the command again"))
        }
        FlowError::Registry(_) => (exit::UNKNOWN, Some("check `npm config get registry` and the network")),
        FlowError::Assess(AssessError::Chain(ChainError::WentBack(_) | ChainError::Behind { .. })) => (
            exit::UNKNOWN,
            Some(
                "an endpoint is behind, or lies: wait a minute, or ask others (rpcUrls in config.json); where the chain itself was set back, move its seen.json in ~/.3pm/chains away",
            ),
        ),
        FlowError::Assess(_) => {
            (exit::UNKNOWN, Some("nothing was installed; try again when the chain can be read"))
        }
        _ => (exit::UNKNOWN, None),
    };
    let failure = Failure::from(error).code(code);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
