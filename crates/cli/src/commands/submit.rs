//! `3pm submit`: sends what enough members signed to the chain. Anybody may; every signature is checked here
//! against the members on chain first, so that nobody pays for a transaction that must fail.

use client::coordinator::api::Change;
use trust::PackageName;

use crate::args::{ApproveSwitches, SubmitArgs, Target};
use crate::context::Context;
use crate::errors::{Failure, Outcome};
use crate::exit;
use crate::maintain::change::{self, check_change};
use crate::maintain::find::{Found, find};
use crate::maintain::finish::{Ask, Desk, Progress, finish_change, finish_release};
use crate::maintain::review::{OnChain, check_release};
use crate::maintain::{standing, submission};

/// Checks and sends.
pub(crate) async fn run(context: &Context, args: SubmitArgs) -> Outcome {
    let switches = ApproveSwitches { submit: true, wait: args.wait, ..ApproveSwitches::default() };
    let chain = context.chain()?;
    let coordinator = context.coordinator()?;
    let found = find(&coordinator, &args.target).await?;
    let wallet = context.wallet().await?;
    let progress = match found {
        Found::Release(proposal) => {
            let name: PackageName = proposal.release.package_name.parse()?;
            let version = proposal.release.version.parse()?;
            let standing = standing::read(context, &chain, &name).await?;
            let release = chain.release(&standing.head, &name, &version).await?;
            let on_chain = OnChain {
                domain: chain::package_domain(chain.network()),
                package: &standing.package,
                release: &release,
                nonce_used: chain.is_nonce_used(&standing.head, &name, proposal.release.nonce).await?,
                next_nonce: chain.next_nonce(&standing.head, &name).await?,
            };
            let checked = check_release(&args.target, &proposal, &on_chain, context.now())?;
            let desk = Desk {
                context,
                chain: &chain,
                head: &standing.head,
                coordinator: &coordinator,
                wallet: &*wallet,
            };
            finish_release(desk, &checked, &proposal, &standing.package, None, switches, Ask::No).await?
        }
        Found::Change(change) => {
            let name: PackageName = change.config.package_name.parse()?;
            let standing = standing::read(context, &chain, &name).await?;
            let desk = Desk {
                context,
                chain: &chain,
                head: &standing.head,
                coordinator: &coordinator,
                wallet: &*wallet,
            };
            if standing.package.pending_change == change.id {
                enact(desk, &args.target, &change, &name, &standing).await?
            } else {
                let domain = chain::name_domain(chain.network());
                let checked = check_change(&args.target, &change, &domain, &standing.package, context.now())?;
                finish_change(desk, &checked, &change, &standing.package, None, switches, Ask::No).await?
            }
        }
    };
    if !progress.complete {
        let mut failure = Failure::not_possible(format!(
            "{} of {} needed signatures are there",
            progress.signers.len(),
            progress.threshold
        ));
        for rejected in &progress.rejected_signatures {
            failure = failure.hint(format!("not counted: {rejected}"));
        }
        return Err(failure.hint(format!("the other members: 3pm approve {}", args.target)));
    }
    context.output.result(&progress, |page| progress.render(page));
    Ok(exit::FINE)
}

/// A change that has waited out its delay takes effect.
async fn enact(
    desk: Desk<'_>,
    asked: &Target,
    change: &Change,
    name: &PackageName,
    standing: &standing::Standing,
) -> Result<Progress, Failure> {
    let config = trust::message::Config::from(change.config.clone());
    let domain = chain::name_domain(desk.chain.network());
    let digest = trust::message::signing_request(&config, &domain.eip712())?.digest;
    if digest != standing.package.pending_change {
        return Err(Failure::mismatch(
            format!("{asked} is not the change that waits on chain"),
            standing.package.pending_change,
            digest,
        ));
    }
    let ready_at = standing.package.pending_ready_at;
    if standing.head.timestamp < ready_at {
        return Err(Failure::not_possible(format!(
            "the team change of {name} waits until {}",
            crate::output::moment(ready_at)
        ))
        .hint(format!("after that, by anybody: 3pm submit {digest}")));
    }
    let call = chain::calls::enact(desk.chain.network(), &config);
    let (submitted, after) =
        submission::submit_change(desk.context, desk.chain, desk.wallet, name, (digest, &config), &call)
            .await?;
    if let Some(hash) = submitted.transaction
        && let Err(error) = desk.coordinator.notify_change(change.id, hash).await
    {
        desk.context
            .output
            .warn(&format!("the coordinator was not told ({error}); it watches the chain and will see"));
    }
    desk.context
        .output
        .note(&format!("the team is now {}", change::team_in_words(&after.members, after.threshold)));
    Ok(Progress {
        id: digest,
        package: name.to_string(),
        version: None,
        signers: vec![],
        threshold: after.threshold,
        complete: true,
        transaction_hash: submitted.transaction,
        on_chain: Some(if after.pending_change == digest { "scheduled" } else { "inForce" }),
        ready_at: None,
        waited: None,
        rejected_signatures: vec![],
    })
}
