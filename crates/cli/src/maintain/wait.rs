//! Waiting until the coordinator has put a recorded release on npm. What it says is shown as its word; an
//! install checks for itself.

use std::time::Duration;

use alloy_primitives::B256;
use client::coordinator::CoordinatorClient;
use client::coordinator::api::{NpmPublication, Proposal, ProposalState};
use serde::Serialize;
use trust::text::printable;

use super::find::UNREACHABLE;
use crate::context::Context;
use crate::errors::{Explain as _, Failure};
use crate::exit;
use crate::output::Page;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);

/// How it ended.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Waited {
    /// As the coordinator says.
    pub(crate) state: ProposalState,
    /// How it got to npm, when it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) npm: Option<NpmPublication>,
    /// What somebody has to do, or why it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remark: Option<String>,
}

/// Waits until nothing moves `id` any more; an error when that takes longer than `seconds`, or ends badly.
pub(crate) async fn until_published(
    context: &Context,
    coordinator: &CoordinatorClient,
    id: B256,
    seconds: u64,
) -> Result<Waited, Failure> {
    let progress = context.output.progress("waiting for the coordinator to publish it to npm");
    let started = tokio::time::Instant::now();
    loop {
        let proposal = coordinator.proposal(id).await.hint(UNREACHABLE)?;
        let waited = Waited::of(&proposal);
        if proposal.state.is_terminal() {
            return match proposal.state {
                ProposalState::Published => Ok(waited),
                _ => Err(waited.failure(&proposal)),
            };
        }
        if let Some(remark) = &waited.remark {
            progress.say(&format!("waiting for the coordinator: {remark}"));
        }
        if started.elapsed() > Duration::from_secs(seconds) {
            let mut failure = Failure::new(
                exit::WAITING,
                format!("it is not on npm after {seconds} s, the coordinator says {}", waited.words()),
            );
            if let Some(remark) = &waited.remark {
                failure = failure.hint(remark);
            }
            return Err(failure.hint(format!("3pm status {id}")));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

impl Waited {
    fn of(proposal: &Proposal) -> Self {
        let remark = proposal.reason.as_ref().or(proposal.attention.as_ref());
        Self {
            state: proposal.state,
            npm: proposal.npm.clone(),
            remark: remark.map(|text| printable(text, 300)),
        }
    }

    fn failure(&self, proposal: &Proposal) -> Failure {
        let subject = format!("{}@{}", proposal.release.package_name, proposal.release.version);
        let code = if self.state == ProposalState::Hijacked { exit::MISMATCH } else { exit::NOT_POSSIBLE };
        let mut failure = Failure::new(
            code,
            format!("{subject} did not get to npm, the coordinator says {}", self.words()),
        );
        if let Some(remark) = &self.remark {
            failure = failure.hint(remark);
        }
        failure
    }

    fn words(&self) -> String {
        words(self.state).to_owned()
    }

    /// For people.
    pub(crate) fn render(&self, page: &mut Page) {
        let tag = self.npm.as_ref().map(|npm| format!(" {}", under(npm))).unwrap_or_default();
        page.field("npm", format!("{}{tag}", self.words()));
    }
}

/// Under which dist-tag it is on npm.
pub(crate) fn under(npm: &NpmPublication) -> String {
    npm.tag
        .as_ref()
        .map_or_else(|| "without a dist-tag".to_owned(), |tag| format!("under {}", printable(tag, 80)))
}

/// A state in a word or two.
pub(crate) fn words(state: ProposalState) -> &'static str {
    match state {
        ProposalState::Proposed => "waits for signatures",
        ProposalState::Signed => "signed, not submitted",
        ProposalState::Submitted => "recorded, not yet final",
        ProposalState::Active => "on its way to npm",
        ProposalState::Published => "published",
        ProposalState::Expired => "expired",
        ProposalState::Withdrawn => "withdrawn",
        ProposalState::Vetoed => "vetoed",
        ProposalState::Hijacked => "HIJACKED: npm has other bytes under this version",
        ProposalState::Failed => "failed",
    }
}
