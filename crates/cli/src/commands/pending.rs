//! `3pm pending`: what waits for signatures. A list from the coordinator, for orientation; `approve` checks
//! what is on it.

use client::coordinator::api::{Change, CollectedSignature, Proposal};
use serde::Serialize;
use trust::text::printable;

use crate::args::PendingArgs;
use crate::context::Context;
use crate::errors::{Explain as _, Outcome};
use crate::exit;
use crate::maintain::find::UNREACHABLE;
use crate::maintain::wait;
use crate::output::{Page, moment};

#[derive(Debug, Serialize)]
struct Report {
    proposals: Vec<Proposal>,
    changes: Vec<Change>,
}

/// Lists it.
pub(crate) async fn run(context: &Context, args: PendingArgs) -> Outcome {
    let coordinator = context.coordinator()?;
    let wallet = context.wallet_session()?.map(|session| session.address());
    // Of a package, everything; else what the connected wallet can do something about.
    let mine = if args.all || args.package.is_some() { None } else { wallet };
    let proposals = coordinator.proposals(args.package.as_ref(), mine, true).await.hint(UNREACHABLE)?;
    let changes = coordinator.changes(args.package.as_ref(), mine, true).await.hint(UNREACHABLE)?;
    let unsigned = |signatures: &[CollectedSignature]| {
        mine.is_none_or(|wallet| signatures.iter().all(|entry| entry.signer != wallet))
    };
    let report = Report {
        proposals: proposals
            .into_iter()
            .filter(|proposal| !proposal.state.is_terminal())
            .filter(|proposal| unsigned(&proposal.signatures))
            .collect(),
        changes: changes
            .into_iter()
            .filter(|change| !change.state.is_terminal())
            .filter(|change| unsigned(&change.signatures))
            .collect(),
    };
    let whose = match (mine, &args.package) {
        (Some(wallet), _) => format!("for {wallet}"),
        (None, Some(package)) => format!("for {package}"),
        (None, None) => "at this coordinator".to_owned(),
    };
    context.output.result(&report, |page| render(page, &report, &whose));
    Ok(exit::FINE)
}

fn render(page: &mut Page, report: &Report, whose: &str) {
    if report.proposals.is_empty() && report.changes.is_empty() {
        page.line(&format!("nothing waits {whose}"));
        return;
    }
    page.title(&format!("waiting {whose}"));
    for proposal in &report.proposals {
        let release = &proposal.release;
        let target = format!("{}@{}", printable(&release.package_name, 214), printable(&release.version, 64));
        page.gap();
        page.line(&format!("  {target}  {}", wait::words(proposal.state)));
        page.field("  signatures", format!("{} of {}", proposal.signatures.len(), proposal.threshold));
        page.field(
            "  proposed",
            format!("{} by {}, says the coordinator", moment(proposal.created_at), proposal.proposer),
        );
        page.field("  until", moment(u64::try_from(release.deadline).unwrap_or(u64::MAX)));
        if let Some(attention) = &proposal.attention {
            page.warn(&format!("    {}", printable(attention, 300)));
        }
        let enough = proposal.signatures.len() >= usize::from(proposal.threshold);
        page.next(&format!("3pm {} {target}", if enough { "submit" } else { "approve" }));
    }
    for change in &report.changes {
        page.gap();
        page.line(&format!("  {}  team change", printable(&change.config.package_name, 214)));
        page.field(
            "  would be",
            format!("{} of {} members", change.config.threshold, change.config.members.len()),
        );
        page.field("  signatures", change.signatures.len());
        page.next(&format!("3pm approve {}", change.id));
    }
}
