//! What a person pointed at, as the coordinator has it. Nothing of it is believed here; `review` and
//! `change` check what is found.

use alloy_primitives::B256;
use client::coordinator::CoordinatorClient;
use client::coordinator::api::{Change, Proposal};
use trust::PackageName;

use crate::args::Target;
use crate::errors::{Explain as _, Failure};

/// A release or a team change.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    /// A release on its way.
    Release(Box<Proposal>),
    /// A team change on its way.
    Change(Box<Change>),
}

/// The one thing `target` stands for. Of a package: what is open, if it is one thing.
pub(crate) async fn find(coordinator: &CoordinatorClient, target: &Target) -> Result<Found, Failure> {
    match target {
        Target::Id(id) => find_id(coordinator, *id).await,
        Target::Release(name, version) => {
            let proposals = coordinator.proposals(Some(name), None, false).await.hint(UNREACHABLE)?;
            let text = version.to_string();
            let of_version: Vec<Proposal> =
                proposals.into_iter().filter(|proposal| proposal.release.version == text).collect();
            let open: Vec<Proposal> =
                of_version.iter().filter(|proposal| !proposal.state.is_terminal()).cloned().collect();
            // An open one is meant rather than one that ended; of those that ended, the newest.
            let candidates = if open.is_empty() { of_version.into_iter().take(1).collect() } else { open };
            only(target, candidates.into_iter().map(|proposal| Found::Release(Box::new(proposal))).collect())
        }
        Target::Package(name) => only(target, open_of(coordinator, name).await?),
    }
}

/// What to do when the coordinator cannot be asked.
pub(crate) const UNREACHABLE: &str = "check coordinatorUrl in config.json, and that it answers";

async fn find_id(coordinator: &CoordinatorClient, id: B256) -> Result<Found, Failure> {
    match coordinator.proposal(id).await {
        Ok(proposal) => return Ok(Found::Release(Box::new(proposal))),
        Err(error) if error.status() == Some(404) => {}
        Err(error) => return Err(error).hint(UNREACHABLE),
    }
    match coordinator.change(id).await {
        Ok(change) => Ok(Found::Change(Box::new(change))),
        Err(error) if error.status() == Some(404) => {
            Err(Failure::not_possible(format!("the coordinator knows no proposal and no team change {id}"))
                .hint("3pm pending --all"))
        }
        Err(error) => Err(error).hint(UNREACHABLE),
    }
}

/// Everything of a package that can still move.
async fn open_of(coordinator: &CoordinatorClient, name: &PackageName) -> Result<Vec<Found>, Failure> {
    let proposals = coordinator.proposals(Some(name), None, true).await.hint(UNREACHABLE)?;
    let changes = coordinator.changes(Some(name), None, true).await.hint(UNREACHABLE)?;
    let proposals = proposals.into_iter().filter(|proposal| !proposal.state.is_terminal());
    let changes = changes.into_iter().filter(|change| !change.state.is_terminal());
    Ok(proposals
        .map(|proposal| Found::Release(Box::new(proposal)))
        .chain(changes.map(|change| Found::Change(Box::new(change))))
        .collect())
}

fn only(target: &Target, mut found: Vec<Found>) -> Result<Found, Failure> {
    match found.len() {
        0 => Err(Failure::not_possible(format!("the coordinator has nothing open for {target}"))
            .hint("3pm pending --all, or 3pm status PACKAGE")),
        1 => found.pop().ok_or_else(|| Failure::unknown("nothing was found")),
        count => {
            let mut failure =
                Failure::not_possible(format!("{target} stands for {count} things; name one by its id"));
            for one in found.iter().take(8) {
                failure = failure.hint(match one {
                    Found::Release(proposal) => {
                        format!(
                            "{} release {} ({} signatures)",
                            proposal.id,
                            proposal.release.version,
                            proposal.signatures.len()
                        )
                    }
                    Found::Change(change) => {
                        format!("{} team change ({} signatures)", change.id, change.signatures.len())
                    }
                });
            }
            Err(failure)
        }
    }
}
