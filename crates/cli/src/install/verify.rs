//! `3pm verify`: what an install would be told, without installing anything.
//!
//! Does not render, and does not read the command line.

use std::sync::Arc;

use client::npm::{NpmClient, NpmConfig};

use super::Surroundings;
use super::ages;
use super::answers::{Answers, NpmSays, ask_npm};
use super::assess::{AssessError, Assessment, Subject, assess};
use super::decision::{OnWarning, agreed_to_other_sources};
use super::errors::FlowError;
use super::locked::Locked;
use super::npm::Npm;
use super::project::{Mirror, Project};
use super::reach::reach;
use super::report::{End, Report};
use super::resolve::Resolver;
use super::settings::Settings;
use crate::run_with::registries::Own;

/// Checks the project's lockfile as it lies there.
pub(crate) async fn verify_project(
    around: &Surroundings,
    now: &dyn Fn() -> u64,
) -> Result<Report, FlowError> {
    let npm = Npm::find(&around.folder)?;
    let project = Project::find(&npm, &around.folder).await?;
    let text =
        project.read_lockfile()?.ok_or_else(|| FlowError::NothingToCheck { root: project.root.clone() })?;
    let (says, client) = prepare(&npm, &project, around, now).await?;
    let manifest = project.read_manifest()?;
    let locked = Locked::check(text, manifest, client.config(), says.builtin.as_ref())?;
    let assessment = find_out(locked.subjects(), &client, around, now()).await?;
    Ok(report(around, assessment, &says.settings))
}

/// Checks packages by name, and all that they would bring, as if each were installed into an empty
/// project.
pub(crate) async fn verify_packages(
    packages: &[String],
    around: &Surroundings,
    now: &dyn Fn() -> u64,
) -> Result<Report, FlowError> {
    let npm = Npm::find(&around.folder)?;
    let project = Project::find(&npm, &around.folder).await?;
    let (says, client) = prepare(&npm, &project, around, now).await?;
    let mirror = Mirror::make_empty(&project)?;
    let resolver = Resolver {
        npm: &npm,
        settings: &says.settings,
        client: &client,
        allows_others: agreed_to_other_sources(OnWarning::Ask, &around.policy),
        now: now(),
    };
    resolver.resolve(&mirror, packages).await?;
    let (_, text) = mirror.changes()?;
    let manifest = mirror.as_project().read_manifest()?;
    let locked = Locked::check(text, manifest, client.config(), says.builtin.as_ref())?;
    let assessment = find_out(locked.subjects(), &client, around, now()).await?;
    Ok(report(around, assessment, &says.settings))
}

/// What is known about each of `subjects`.
pub(crate) async fn find_out(
    subjects: Vec<Subject>,
    client: &NpmClient,
    around: &Surroundings,
    now: u64,
) -> Result<Assessment, AssessError> {
    let network = around.network.as_ref().map(|(_, network)| network);
    let mut assessment = assess(subjects, client, network, now).await?;
    if around.policy.asks_release_age() {
        ages::look_up(&mut assessment.findings, client).await;
    }
    Ok(assessment)
}

fn report(around: &Surroundings, assessment: Assessment, settings: &Settings) -> Report {
    Report {
        command: "verify",
        network: around.network.as_ref().map(|(name, _)| name.clone()),
        assessment,
        policy: Arc::clone(&around.policy),
        settings: settings.noted(),
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
) -> Result<(NpmSays, NpmClient), FlowError> {
    let chain = async {
        let Some((_, network)) = &around.network else { return Ok(false) };
        let answers = network.freshness.look(&network.chain, now()).await.map_err(AssessError::from)?;
        Ok::<_, FlowError>(answers.head().is_none())
    };
    let answers = Answers::of(&around.home, now());
    let registry = async {
        let says = ask_npm(npm, &project.root, &answers).await?;
        let client = client_for(around, project, &says, Own::default())?;
        let reached = reach(&client).await;
        Ok((says, client, reached))
    };
    let ((says, client, reached), is_offline) = tokio::try_join!(registry, chain)?;
    match reached {
        Ok(()) => Ok((says, client)),
        Err(_) if is_offline => Ok((says, client.offline())),
        Err(error) => Err(error),
    }
}

/// A client for the registries that npm names, or the package manager itself.
pub(crate) fn client_for(
    around: &Surroundings,
    project: &Project,
    says: &NpmSays,
    own: Own,
) -> Result<NpmClient, FlowError> {
    let config = NpmConfig::from_listing(&project.root, &says.settings.in_project())?;
    let config = own.over(config).with_proxy(says.settings.user_proxy());
    NpmClient::new(&around.http, config).map_err(FlowError::Registry)
}
