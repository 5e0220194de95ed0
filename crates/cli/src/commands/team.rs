//! `3pm team`: who may sign for a package, and how many must. A change is the whole next configuration,
//! signed by enough of the members now and by enough of the members then; `approve` and `submit` finish it.

use alloy_primitives::Address;
use client::coordinator::api::{Change, ChangeRequest, ChangeState};
use serde::Serialize;
use serde_json::json;
use trust::PackageName;
use trust::message::Config;
use trust::record::PackageRecord;
use trust::text::printable;

use super::approve::render_change;
use crate::args::{ApproveSwitches, Target, TeamCommand};
use crate::context::Context;
use crate::errors::{Explain as _, Failure, Outcome};
use crate::exit;
use crate::maintain::change::{
    CheckedChange, Difference, Wish, check_change, differences, guardian_in_words, next_config,
};
use crate::maintain::find::UNREACHABLE;
use crate::maintain::finish::{Ask, Desk, Progress, finish_change};
use crate::maintain::standing::{self, require_member};
use crate::output::{Page, moment};
use crate::prompt;

/// `add`, `remove`, `threshold`, `set` or `status`.
pub(crate) async fn run(context: &Context, command: TeamCommand) -> Outcome {
    let (package, wish, switches) = match command {
        TeamCommand::Add(args) => (
            args.package,
            Wish { add: args.members, threshold: args.threshold, settings: args.settings, ..Wish::default() },
            args.switches,
        ),
        TeamCommand::Remove(args) => (
            args.package,
            Wish { remove: args.members, threshold: args.threshold, ..Wish::default() },
            args.switches,
        ),
        TeamCommand::Threshold(args) => {
            (args.package, Wish { threshold: Some(args.threshold), ..Wish::default() }, args.switches)
        }
        TeamCommand::Set(args) => {
            (args.package, Wish { settings: args.settings, ..Wish::default() }, args.switches)
        }
        TeamCommand::Status(args) => return status(context, &args.package).await,
    };
    let (progress, checked) = propose(context, &package, &wish, switches).await?;
    let differences = checked.differences();
    context
        .output
        .result(&json!({ "change": progress, "differences": differences }), |page| progress.render(page));
    Ok(exit::FINE)
}

/// Signs the next configuration and hands it to the coordinator; sends it when that is enough.
pub(crate) async fn propose(
    context: &Context,
    name: &PackageName,
    wish: &Wish,
    switches: ApproveSwitches,
) -> Result<(Progress, CheckedChange), Failure> {
    let (chain, coordinator) = (context.chain()?, context.coordinator()?);
    let standing = standing::read(context, &chain, name).await?;
    let config = next_config(name, &standing.package, wish, context.now())?;
    let wallet = context.wallet().await?;
    let eligible: Vec<Address> = standing.package.members.iter().chain(&config.members).copied().collect();
    require_member(name, &eligible, wallet.address())?;
    look_for_another(context, &coordinator, name, config.epoch).await?;

    // The same checks a co-signer will make, on what is about to be proposed.
    let domain = chain::name_domain(chain.network());
    let request = trust::message::signing_request(&config, &domain.eip712())?;
    let draft = draft(&standing.package, &config, request.digest);
    let checked =
        check_change(&Target::Id(request.digest), &draft, &domain, &standing.package, context.now())?;
    prompt::review(context, switches.yes, |page| render_change(page, &checked));
    prompt::confirm(context, switches.yes, &format!("Sign this team change of {name}?")).await?;
    let signature = {
        let _waiting = context.output.progress(&format!("waiting for the wallet to sign {}", checked.id()));
        wallet.sign(checked.request()).await.while_doing("the team change is not signed")?
    };
    let request =
        ChangeRequest { config: config.into(), signer: wallet.address(), signature: signature.clone() };
    let change = coordinator.propose_change(&request).await.while_doing("the team change was not taken")?;
    if change.id != checked.id() {
        return Err(Failure::mismatch(
            "the coordinator answered with another change",
            checked.id(),
            change.id,
        ));
    }
    let desk =
        Desk { context, chain: &chain, head: &standing.head, coordinator: &coordinator, wallet: &*wallet };
    let progress =
        finish_change(desk, &checked, &change, &standing.package, Some(&signature), switches, Ask::No)
            .await?;
    Ok((progress, checked))
}

/// Two changes at once are for the same epoch, and one of them will be lost. One that waits for signatures stops nobody:
/// else any single member could keep the others from removing it. One of an earlier epoch is over, also where the
/// coordinator has not seen that yet.
async fn look_for_another(
    context: &Context,
    coordinator: &client::coordinator::CoordinatorClient,
    name: &PackageName,
    epoch: u32,
) -> Result<(), Failure> {
    let open = coordinator.changes(Some(name), None, true).await.hint(UNREACHABLE)?;
    let is_another = |change: &&Change| {
        let config = &change.config;
        !change.state.is_terminal() && config.package_name == name.as_str() && config.epoch >= epoch
    };
    for change in open.iter().filter(is_another) {
        let id = change.id;
        if change.state != ChangeState::Proposed {
            return Err(Failure::not_possible(format!(
                "another team change of {name} has its signatures already"
            ))
            .hint(format!("3pm status {id}, 3pm submit {id}")));
        }
        context.output.warn(&format!(
            "another team change of {name} waits, and only one of the two can take effect: 3pm status {id}"
        ));
    }
    Ok(())
}

fn draft(package: &PackageRecord, config: &Config, id: alloy_primitives::B256) -> Change {
    Change {
        id,
        kind: "config".to_owned(),
        state: client::coordinator::api::ChangeState::Proposed,
        config: config.clone().into(),
        current_members: package.members.clone(),
        current_threshold: package.threshold,
        signatures: vec![],
        created_at: 0,
        updated_at: 0,
    }
}

/// The team of a package.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    package: &'a PackageName,
    #[serde(flatten)]
    record: &'a PackageRecord,
    #[serde(skip_serializing_if = "Option::is_none")]
    you: Option<Address>,
    /// Changes that wait at the coordinator; `None` when it was not asked or did not answer.
    changes: Option<Vec<Change>>,
}

async fn status(context: &Context, name: &PackageName) -> Outcome {
    let chain = context.chain()?;
    let standing = standing::read(context, &chain, name).await?;
    let you = context.wallet_session()?.map(|session| session.address());
    let changes = match context.coordinator() {
        Err(_) => None,
        Ok(coordinator) => match coordinator.changes(Some(name), None, true).await {
            Ok(changes) => Some(changes.into_iter().filter(|change| !change.state.is_terminal()).collect()),
            Err(error) => {
                context.output.warn(&format!("changes that wait are not known: {error}"));
                None
            }
        },
    };
    let report = Report { package: name, record: &standing.package, you, changes };
    context.output.result(&report, |page| render(&report, page));
    Ok(exit::FINE)
}

fn render(report: &Report<'_>, page: &mut Page) {
    let record = report.record;
    page.title(report.package.as_str());
    page.field("state", standing::describe(record));
    render_team(page, record, report.you);
    for change in report.changes.iter().flatten() {
        page.warn(&format!("  a change waits: {}", change.id));
        render_differences(page, &differences(record, &Config::from(change.config.clone())));
        page.field("signatures", change.signatures.len());
        page.next(&format!("3pm approve {}", change.id));
    }
    if matches!(record.state, trust::record::PackageState::None) {
        page.next(&format!("3pm register {}", report.package));
    }
}

/// Each setting now and then.
pub(crate) fn render_differences(page: &mut Page, differences: &[Difference]) {
    for Difference { what, now, then } in differences {
        page.warn(&format!("  {what}"));
        page.line(&format!("      now   {}", printable(now, 1_000)));
        page.line(&format!("      then  {}", printable(then, 1_000)));
    }
}

/// Members, threshold, delays; nothing of a package that has none.
pub(crate) fn render_team(page: &mut Page, record: &PackageRecord, you: Option<Address>) {
    if record.members.is_empty() {
        return;
    }
    page.field("signatures", format!("{} of {} members", record.threshold, record.members.len()));
    for member in &record.members {
        page.field("member", format!("{member}{}", if you == Some(*member) { " (you)" } else { "" }));
    }
    page.field("revision", record.epoch);
    page.field("releases", format!("wait {} h", record.release_delay_hours));
    page.field("changes", format!("wait {} h", record.config_delay_hours));
    page.field("recovery", format!("after {} days of silence", record.recovery_days));
    page.field("guardian", guardian_in_words(record.guardian));
    if !record.pending_change.is_zero() {
        let what = if record.recovery_pending { "a recovery" } else { "a team change" };
        page.warn(&format!(
            "  {what} takes effect at {}: {}",
            moment(record.pending_ready_at),
            record.pending_change
        ));
    }
}
