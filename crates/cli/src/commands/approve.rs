//! `3pm approve`: a co-signer's review. The tarball is downloaded and hashed here, every value is checked
//! against the bytes and the chain, the changes are shown, and only then is the wallet asked.
//!
//! Start reading at `maintain::review` for the checks, and at `maintain::base` for what is compared with.

use alloy_primitives::Address;
use client::coordinator::api::{Change, CollectedSignature, Proposal, SignatureRequest};
use serde::Serialize;
use serde_json::json;
use trust::PackageName;
use trust::text::printable;
use wallet::Wallet;

use crate::args::{ApproveArgs, Target};
use crate::commands::team::render_differences;
use crate::context::Context;
use crate::errors::{Explain as _, Failure, Outcome};
use crate::exit;
use crate::maintain::base::{Sources, nearest_trusted};
use crate::maintain::change::{CheckedChange, MEMBERS, cautions, check_change, team_in_words};
use crate::maintain::comparison::{compare, size};
use crate::maintain::find::{Found, UNREACHABLE, find};
use crate::maintain::finish::{Ask, Desk, Progress, finish_change, finish_release};
use crate::maintain::pack::tag_in_words;
use crate::maintain::review::{OnChain, ReviewedRelease, check_release, review_release};
use crate::maintain::signatures::{Gathered, verify_collected};
use crate::maintain::source::commit_in_words;
use crate::maintain::standing::{self, require_member};
use crate::maintain::wait;
use crate::output::{Page, moment};
use crate::prompt;

/// What was reviewed and what came of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a, R: Serialize> {
    #[serde(flatten)]
    progress: &'a Progress,
    review: R,
}

/// Reviews, signs, and sends when it was the last signature.
pub(crate) async fn run(context: &Context, args: ApproveArgs) -> Outcome {
    let coordinator = context.coordinator()?;
    match find(&coordinator, &args.target).await? {
        Found::Release(proposal) => approve_release(context, &args, *proposal).await,
        Found::Change(change) => approve_change(context, &args, *change).await,
    }
}

async fn approve_release(context: &Context, args: &ApproveArgs, proposal: Proposal) -> Outcome {
    let (chain, coordinator) = (context.chain()?, context.coordinator()?);
    let name: PackageName = proposal.release.package_name.parse()?;
    let version = proposal.release.version.parse()?;
    let subject = format!("{name}@{version}");
    let standing = standing::read(context, &chain, &name).await?;
    let (head, package) = (&standing.head, &standing.package);
    let release = chain.release(head, &name, &version).await?;
    let on_chain = OnChain {
        domain: chain::package_domain(chain.network()),
        package,
        release: &release,
        nonce_used: chain.is_nonce_used(head, &name, proposal.release.nonce).await?,
        next_nonce: chain.next_nonce(head, &name).await?,
    };
    let checked = check_release(&args.target, &proposal, &on_chain, context.now())?;
    if proposal.state.is_terminal() {
        let reason = proposal
            .reason
            .as_deref()
            .map(|reason| format!(": {}", printable(reason, 300)))
            .unwrap_or_default();
        return Err(Failure::not_possible(format!(
            "{subject} is closed at the coordinator, {}{reason}",
            wait::words(proposal.state)
        )));
    }
    let wallet = signer(context, args, &name, &package.members, &proposal.signatures).await?;
    let gathered =
        verify_collected(&chain, head, checked.id(), &package.members, &proposal.signatures).await?;
    require_signed(&gathered, &args.target)?;
    require_signed_by(proposal.proposer, &gathered, &args.target)?;

    let progress = context.output.progress(&format!("downloading {subject}"));
    let bytes = coordinator.proposal_tarball(proposal.id).await.hint(UNREACHABLE)?;
    progress.say("comparing with the nearest version that can be trusted");
    let reviewed = review_release(checked, &proposal, &bytes)?;
    let npm = context.npm_of_user().await?;
    let sources = Sources { chain: &chain, head, npm: &npm, coordinator: &coordinator };
    let base = nearest_trusted(&sources, &name, package, reviewed.checked().version()).await?;
    let comparison = compare(&base, reviewed.tarball(), &bytes, args.diff.as_deref());
    drop(progress);

    let checked = reviewed.checked();
    let review = json!({ "release": proposal.release, "comparison": comparison });
    prompt::review(context, args.switches.yes, |page| {
        render_review(page, &reviewed, &proposal, &gathered, bytes.len() as u64, comparison.files.len());
        comparison.render(page, args.dry_run);
        page.gap();
    });
    let Some(wallet) = wallet else { return Ok(only_reviewed(context, review)) };
    prompt::confirm(context, args.switches.yes, &format!("Sign {subject}?")).await?;
    let signature = {
        let _waiting = context.output.progress(&format!("waiting for the wallet to sign {}", checked.id()));
        wallet.sign(checked.request()).await.while_doing(format!("{subject} is not signed"))?
    };
    let request = SignatureRequest { signer: wallet.address(), signature: signature.clone() };
    let after =
        coordinator.sign_proposal(proposal.id, &request).await.while_doing("the signature was not taken")?;
    if after.id != checked.id() {
        return Err(Failure::mismatch(
            "the coordinator answered with another proposal",
            checked.id(),
            after.id,
        ));
    }
    let desk = Desk { context, chain: &chain, head, coordinator: &coordinator, wallet: &*wallet };
    let progress =
        finish_release(desk, checked, &after, package, Some(&signature), args.switches, Ask::First).await?;
    let report = Report { progress: &progress, review };
    context.output.result(&report, |page| progress.render(page));
    Ok(exit::FINE)
}

async fn approve_change(context: &Context, args: &ApproveArgs, change: Change) -> Outcome {
    let (chain, coordinator) = (context.chain()?, context.coordinator()?);
    let name: PackageName = change.config.package_name.parse()?;
    let standing = standing::read(context, &chain, &name).await?;
    let (head, package) = (&standing.head, &standing.package);
    let domain = chain::name_domain(chain.network());
    let checked = check_change(&args.target, &change, &domain, package, context.now())?;
    if change.state.is_terminal() {
        return Err(Failure::not_possible(format!("the team change of {name} is closed at the coordinator")));
    }
    let mut eligible = package.members.clone();
    eligible.extend(&checked.config().members);
    let wallet = signer(context, args, &name, &eligible, &change.signatures).await?;
    let gathered = verify_collected(&chain, head, checked.id(), &package.members, &change.signatures).await?;
    require_signed(&gathered, &args.target)?;
    let review = json!({ "differences": checked.differences() });
    prompt::review(context, args.switches.yes, |page| render_change(page, &checked));
    let Some(wallet) = wallet else { return Ok(only_reviewed(context, review)) };
    prompt::confirm(context, args.switches.yes, &format!("Sign the team change of {name}?")).await?;
    let signature = {
        let _waiting = context.output.progress(&format!("waiting for the wallet to sign {}", checked.id()));
        wallet.sign(checked.request()).await.while_doing("the team change is not signed")?
    };
    let request = SignatureRequest { signer: wallet.address(), signature: signature.clone() };
    let after =
        coordinator.sign_change(change.id, &request).await.while_doing("the signature was not taken")?;
    let desk = Desk { context, chain: &chain, head, coordinator: &coordinator, wallet: &*wallet };
    let progress =
        finish_change(desk, &checked, &after, package, Some(&signature), args.switches, Ask::First).await?;
    let report = Report { progress: &progress, review };
    context.output.result(&report, |page| progress.render(page));
    Ok(exit::FINE)
}

/// The wallet that may sign and has not; none for a dry run.
async fn signer(
    context: &Context,
    args: &ApproveArgs,
    name: &PackageName,
    eligible: &[Address],
    signatures: &[CollectedSignature],
) -> Result<Option<Box<dyn Wallet>>, Failure> {
    if args.dry_run {
        return Ok(None);
    }
    let wallet = context.wallet().await?;
    require_member(name, eligible, wallet.address())?;
    if signatures.iter().any(|entry| entry.signer == wallet.address()) {
        return Err(already_signed(&args.target));
    }
    Ok(Some(wallet))
}

fn only_reviewed(context: &Context, review: serde_json::Value) -> exit::ExitCode {
    context.output.result(&json!({ "signed": false, "review": review }), |page| {
        page.aside("nothing was signed");
    });
    exit::FINE
}

/// Somebody of the team stands behind it: a coordinator can make up everything but that.
fn require_signed(gathered: &Gathered, target: &Target) -> Result<(), Failure> {
    if !gathered.valid.is_empty() {
        return Ok(());
    }
    let found = match gathered.rejected.as_slice() {
        [] => "none".to_owned(),
        rejected => rejected.join("; "),
    };
    Err(Failure::mismatch(
        format!("no member of the team signed {target}, so nobody proposed it"),
        "a member's signature over what it says",
        found,
    ))
}

/// A name on a release is a reason to trust it, so it has to be a signature, not the coordinator's word.
fn require_signed_by(proposer: Address, gathered: &Gathered, target: &Target) -> Result<(), Failure> {
    if gathered.valid.contains_key(&proposer) {
        return Ok(());
    }
    let signers: Vec<String> = gathered.valid.keys().map(ToString::to_string).collect();
    Err(Failure::mismatch(
        format!("{target} is not signed by the member who proposed it, as the coordinator says"),
        proposer,
        signers.join(", "),
    )
    .hint("do not sign: ask the others what they proposed"))
}

fn already_signed(target: &Target) -> Failure {
    Failure::not_possible(format!("the connected wallet has signed {target} already"))
        .hint(format!("3pm status {target}, or 3pm submit {target} when enough have signed"))
}

fn render_review(
    page: &mut Page,
    reviewed: &ReviewedRelease,
    proposal: &Proposal,
    gathered: &Gathered,
    bytes: u64,
    files: usize,
) {
    let checked = reviewed.checked();
    let release = checked.release();
    page.title(&format!("{}@{}", checked.name(), checked.version()));
    page.field("proposed by", proposal.proposer);
    for signer in gathered.valid.keys().filter(|signer| **signer != proposal.proposer) {
        page.field("signed by", signer);
    }
    page.field("tarball", format!("{}, {} files", size(bytes), files));
    page.field("sha512", &release.integrity);
    page.field("sha256", release.contentHash);
    page.field("commit", commit_in_words(release.gitSha));
    if !release.ciRunUrl.is_empty() {
        page.field("built at", printable(&release.ciRunUrl, 200));
    }
    page.field("nonce", release.nonce);
    page.field("until", moment(u64::try_from(release.deadline).unwrap_or(u64::MAX)));
    page.field("npm tag", tag_in_words(&reviewed.tarball().manifest_json));
    page.field("digest", checked.id());
    page.aside("  both hashes and the digest were computed here, from the bytes");
    page.gap();
}

/// What a team change would set otherwise.
pub(crate) fn render_change(page: &mut Page, checked: &CheckedChange) {
    page.title(&format!("Team change of {}", checked.name()));
    for member in checked.joining() {
        page.warn(&format!("  joins        {member}"));
    }
    for member in checked.leaving() {
        page.warn(&format!("  leaves       {member}"));
    }
    let settings = checked.differences().iter().filter(|difference| difference.what != MEMBERS);
    render_differences(page, &settings.cloned().collect::<Vec<_>>());
    for caution in cautions(checked.config()) {
        page.warn(&format!("  {caution}"));
    }
    page.field("then", team_in_words(&checked.config().members, checked.config().threshold));
    page.field("until", moment(u64::try_from(checked.config().deadline).unwrap_or(u64::MAX)));
    page.field("digest", checked.id());
    page.gap();
}
