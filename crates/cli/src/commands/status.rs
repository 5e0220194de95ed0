//! `3pm status`: where a package, a release, a proposal or a team change stands. What the chain says and what
//! the coordinator says are shown apart, and where they contradict each other that is said and ends with an
//! exit code. It reports: a release that ended badly is an answer, exit code 0. Judges no bytes; that is `3pm verify`.

use client::coordinator::api::{Change, ChangeState, Proposal, ProposalState, TokenStatus};
use serde::Serialize;
use trust::record::{PackageRecord, PackageState, ReleaseRecord, ReleaseStatus};
use trust::text::printable;
use trust::{PackageName, Version};

use crate::args::{StatusArgs, Target};
use crate::commands::register_token::render_token;
use crate::commands::team::{render_differences, render_team};
use crate::context::Context;
use crate::errors::{Failure, Outcome};
use crate::exit;
use crate::maintain::change::differences;
use crate::maintain::find::{Found, find};
use crate::maintain::{standing, wait};
use crate::output::{Page, moment};

/// Releases shown of a package.
const SHOWN_RELEASES: usize = 10;

/// What is known.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    package: Option<PackageName>,
    /// At which block the chain was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    block: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<PackageRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<Version>,
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<ReleaseRecord>,
    /// As the coordinator says.
    proposals: Vec<Proposal>,
    /// As the coordinator says.
    changes: Vec<Change>,
    /// As the coordinator says.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<TokenStatus>,
    /// What could not be found out.
    problems: Vec<String>,
    /// What is not as it was signed, or not as the coordinator says.
    alarms: Vec<String>,
}

/// Finds it out and shows it.
pub(crate) async fn run(context: &Context, args: StatusArgs) -> Outcome {
    let mut report = Report::default();
    let (name, version) = match &args.target {
        Target::Package(name) => (name.clone(), None),
        Target::Release(name, version) => (name.clone(), Some(version.clone())),
        Target::Id(_) => match find(&context.coordinator()?, &args.target).await? {
            Found::Release(proposal) => {
                let key = (proposal.release.package_name.parse()?, Some(proposal.release.version.parse()?));
                report.proposals.push(*proposal);
                key
            }
            Found::Change(change) => {
                let name = change.config.package_name.parse()?;
                report.changes.push(*change);
                (name, None)
            }
        },
    };
    let chain = context.chain()?;
    let standing = standing::read(context, &chain, &name).await?;
    report.block = Some(standing.head.number);
    if let Some(version) = &version {
        report.release = Some(chain.release(&standing.head, &name, version).await?);
    }
    if !matches!(args.target, Target::Id(_)) {
        ask_coordinator(context, &mut report, &name, version.as_ref()).await;
    }
    report.record = Some(standing.package);
    report.version = version;
    report.package = Some(name);
    let you = context.wallet_session()?.map(|session| session.address());
    let now = context.now();
    report.alarms =
        report.proposals.iter().filter_map(|proposal| alarm(proposal, report.release.as_ref())).collect();
    context.output.result(&report, |page| render(page, &report, you, now));
    for text in report.alarms.iter().chain(&report.problems) {
        context.output.warn(text);
    }
    Ok(match (report.alarms.is_empty(), report.problems.is_empty()) {
        (false, _) => exit::MISMATCH,
        (true, false) => exit::UNKNOWN,
        (true, true) => exit::FINE,
    })
}

/// What is wrong about a proposal, beside the chain's record of that version where it was read.
fn alarm(proposal: &Proposal, record: Option<&ReleaseRecord>) -> Option<String> {
    use ProposalState::{Active, Hijacked, Published, Submitted};
    let target = target_of(proposal);
    match (proposal.state, record) {
        (Submitted | Active | Published | Hijacked, Some(record)) if record.status == ReleaseStatus::None => {
            Some(format!(
                "the coordinator says {target} is {}, but there is no record of it on chain",
                wait::words(proposal.state)
            ))
        }
        (Submitted | Active | Published | Hijacked, Some(record))
            if record.published_at != 0 && record.integrity != proposal.tarball.integrity =>
        {
            Some(format!(
                "the coordinator says {target} is {} as {}, but on chain it is {}",
                wait::words(proposal.state),
                proposal.tarball.integrity,
                record.integrity
            ))
        }
        (Hijacked, _) => Some(format!("{target} is HIJACKED: npm has other bytes than were signed")),
        _ => None,
    }
}

/// The chain's answer stands without the coordinator's, so what it does not say is a problem to name.
async fn ask_coordinator(
    context: &Context,
    report: &mut Report,
    name: &PackageName,
    version: Option<&Version>,
) {
    let coordinator = match context.coordinator() {
        Ok(coordinator) => coordinator,
        Err(_) => {
            return report
                .problems
                .push("no coordinator is configured, so what is on its way is not known".to_owned());
        }
    };
    let version = version.map(ToString::to_string);
    match coordinator.proposals(Some(name), None, false).await {
        Ok(proposals) => report.proposals.extend(proposals.into_iter().filter(|proposal| {
            proposal.release.package_name == name.as_str()
                && version.as_ref().is_none_or(|version| proposal.release.version == *version)
        })),
        Err(error) => return report.problems.push(Failure::from(error).sentence()),
    }
    if version.is_some() {
        return;
    }
    match coordinator.changes(Some(name), None, true).await {
        Ok(changes) => {
            report.changes.extend(changes.into_iter().filter(|change| !change.state.is_terminal()))
        }
        Err(error) => report.problems.push(Failure::from(error).sentence()),
    }
    match coordinator.token_status(name).await {
        Ok(token) => report.token = Some(token),
        Err(error) => report.problems.push(Failure::from(error).sentence()),
    }
}

fn render(page: &mut Page, report: &Report, you: Option<alloy_primitives::Address>, now: u64) {
    let name = report.package.as_ref().map(ToString::to_string).unwrap_or_default();
    match &report.version {
        Some(version) => page.title(&format!("{name}@{version}")),
        None => page.title(&name),
    }
    if let Some(release) = &report.release {
        render_release(page, release);
    }
    if let Some(record) = &report.record {
        if report.version.is_none()
            || report.release.as_ref().is_some_and(|release| release.status == ReleaseStatus::None)
        {
            page.field("state", standing::describe(record));
        }
        if report.version.is_none() {
            render_team(page, record, you);
        }
        if record.state == PackageState::None {
            page.next(&format!("3pm register {name}"));
        }
    }
    match &report.token {
        Some(token) if token.stored => render_token(token, now, page),
        Some(_) if report.record.as_ref().is_some_and(|record| record.state == PackageState::Final) => {
            page.warn("  no npm token: the coordinator cannot publish what the team signs");
            page.next(&format!("3pm register-token {name}"));
        }
        _ => {}
    }
    for proposal in report.proposals.iter().take(SHOWN_RELEASES) {
        render_proposal(page, proposal);
    }
    if report.proposals.len() > SHOWN_RELEASES {
        page.aside(&format!(
            "  … and {} older; all of them with --json",
            report.proposals.len() - SHOWN_RELEASES
        ));
    }
    for change in &report.changes {
        render_change(page, change, report.record.as_ref());
    }
}

fn render_release(page: &mut Page, release: &ReleaseRecord) {
    match release.status {
        ReleaseStatus::None => {
            page.field("record", "none on chain");
            return;
        }
        ReleaseStatus::Active => page.good("  recorded and active"),
        ReleaseStatus::Flagged => {
            page.warn(&format!("  active, and a member warns of it until {}", moment(release.flagged_until)))
        }
        ReleaseStatus::Cooling => {
            page.warn(&format!("  recorded, cools until {}", moment(release.active_at)))
        }
        ReleaseStatus::Vetoed => page.bad("  vetoed by a member"),
        ReleaseStatus::Revoked => page.bad("  revoked by its members"),
    }
    if release.published_at == 0 {
        return;
    }
    page.field("recorded", moment(release.published_at));
    page.field("sha512", release.integrity);
    page.field("sha256", release.content_hash.0);
    for signer in &release.signers {
        page.field("signed by", signer);
    }
    page.field("threshold", format!("{} (team revision {})", release.threshold, release.epoch));
    if !release.git_sha.is_zero() {
        page.field("commit", format!("{:x}", release.git_sha));
    }
}

/// `name@version`, as the coordinator writes them.
fn target_of(proposal: &Proposal) -> String {
    let release = &proposal.release;
    format!("{}@{}", printable(&release.package_name, 214), printable(&release.version, 64))
}

fn render_proposal(page: &mut Page, proposal: &Proposal) {
    let target = target_of(proposal);
    page.gap();
    page.line(&format!("  {target}  {}", wait::words(proposal.state)));
    page.field("id", proposal.id);
    page.field("signatures", format!("{} of {}", proposal.signatures.len(), proposal.threshold));
    for entry in &proposal.signatures {
        page.field("", entry.signer);
    }
    if let Some(npm) = &proposal.npm {
        page.field("npm", format!("{} {}", moment(npm.published_at), wait::under(npm)));
    }
    for remark in proposal.attention.iter().chain(&proposal.reason) {
        page.warn(&format!("  {}", printable(remark, 300)));
    }
    match proposal.state {
        ProposalState::Hijacked => {
            page.next("change the npm password and tokens; npm's support takes a version down");
            page.next("3pm publish, of a higher version: npm never takes other bytes under this one");
        }
        ProposalState::Failed => page.next(
            "npm publish FILE.tgz by whoever has the signed tarball, or 3pm publish of a higher version",
        ),
        ProposalState::Proposed => page.next(&format!("3pm approve {target}")),
        ProposalState::Signed => page.next(&format!("3pm submit {target}")),
        _ => {}
    }
}

fn render_change(page: &mut Page, change: &Change, record: Option<&PackageRecord>) {
    page.gap();
    let name = printable(&change.config.package_name, 214);
    page.line(&format!("  team change of {name}  {}", words_of_change(change.state)));
    page.field("id", change.id);
    page.field("would be", format!("{} of {} members", change.config.threshold, change.config.members.len()));
    if let Some(record) = record.filter(|_| !change.state.is_terminal()) {
        render_differences(page, &differences(record, &change.config.clone().into()));
    }
    page.field("signatures", change.signatures.len());
    if !change.state.is_terminal() {
        page.next(&format!("3pm approve {}", change.id));
    }
}

fn words_of_change(state: ChangeState) -> &'static str {
    match state {
        ChangeState::Proposed => "waits for signatures",
        ChangeState::Signed => "signed, not submitted",
        ChangeState::Submitted => "on chain, waits out its delay",
        ChangeState::Effective => "in force",
        ChangeState::Expired => "expired",
        ChangeState::Superseded => "superseded: another change was faster",
    }
}
