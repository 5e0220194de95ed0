//! `3pm publish`: packs a release, signs it as the first signer, hands it to the coordinator; with a
//! threshold of 1 it goes on chain at once. npm hears of it only from the coordinator, and only after that.
//!
//! The steps: 1. pack, or read a packed tarball, 2. read it within limits; its package.json says who it is,
//! 3. the name is registered and the wallet a member, 4. the version is free on chain and on npm, 5. where it
//! comes from, 6. the lowest nonce that nothing open has, 7. show it, against the nearest version that can be
//! trusted, 8. sign, upload, and go on.

use std::collections::BTreeSet;
use std::path::PathBuf;

use alloy_primitives::{B256, U256};
use bytes::Bytes;
use chain::Chain;
use client::coordinator::CoordinatorClient;
use client::coordinator::api::{MAX_NONCE_AHEAD, Proposal, ProposalRequest};
use scan::{Limits, Tarball, read_tarball};
use serde::Serialize;
use serde_json::json;
use trust::message::{Release, git_sha_word, signing_request};
use trust::record::ReleaseStatus;
use trust::{PackageName, TarballHashes, Version};

use crate::args::{PublishArgs, Target};
use crate::context::Context;
use crate::errors::{Explain as _, Failure, Outcome};
use crate::exit;
use crate::maintain::base::{Sources, nearest_trusted};
use crate::maintain::comparison::{Comparison, compare, size};
use crate::maintain::find::UNREACHABLE;
use crate::maintain::finish::{Ask, Desk, finish_release};
use crate::maintain::pack::{check_folder, check_publishable, pack, read_tarball_file, tag_in_words};
use crate::maintain::review::{OnChain, check_release, review_release};
use crate::maintain::source::{Commit, ci_run_url, commit_of};
use crate::maintain::standing::{self, Standing, require_final, require_member};
use crate::output::{Page, moment};
use crate::prompt;

/// Seconds of a day.
const DAY: u64 = 24 * 60 * 60;

/// What is about to be signed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Draft {
    package: PackageName,
    version: Version,
    size: u64,
    #[serde(flatten)]
    hashes: TarballHashes,
    commit: Commit,
    ci_run_url: String,
    epoch: u32,
    nonce: String,
    deadline: u64,
    digest: B256,
    threshold: u8,
    npm_tag: String,
    comparison: Comparison,
}

/// What was packed.
struct Packed {
    bytes: Bytes,
    tarball: Tarball,
    name: PackageName,
    version: Version,
    commit: Commit,
    folder: PathBuf,
}

/// Packs, signs, uploads.
pub(crate) async fn run(context: &Context, args: PublishArgs) -> Outcome {
    let (chain, coordinator) = (context.chain()?, context.coordinator()?);
    let given = args.commit.as_deref().map(given_commit).transpose()?;
    // 1. and 2.
    let packed = prepare(context, &args, given).await?;
    let (name, version) = (&packed.name, &packed.version);
    // 3. and 4.
    let standing = standing::read(context, &chain, name).await?;
    require_final(name, &standing.package)?;
    let npm = context.npm(&packed.folder).await?;
    let packument = npm.fetch_packument(name).await.hint("check `npm config get registry`")?;
    if packument.as_ref().is_some_and(|packument| packument.has(version)) {
        return Err(
            Failure::not_possible(format!("{name}@{version} is on npm already")).hint("npm version patch")
        );
    }
    let record = chain.release(&standing.head, name, version).await?;
    if record.status != ReleaseStatus::None {
        return Err(Failure::not_possible(format!("{name}@{version} is recorded on chain already"))
            .hint("npm version patch"));
    }
    // 5. to 7.
    let nonce = next_nonce(&chain, &coordinator, &standing, name).await?;
    let release = release(context, &args, &packed, &standing, nonce);
    let domain = chain::package_domain(chain.network());
    let request = signing_request(&release, &domain.eip712())?;
    let sources = Sources { chain: &chain, head: &standing.head, npm: &npm, coordinator: &coordinator };
    let base = {
        let _progress = context.output.progress("comparing with the nearest version that can be trusted");
        nearest_trusted(&sources, name, &standing.package, version).await?
    };
    let draft = Draft {
        package: name.clone(),
        version: version.clone(),
        size: packed.bytes.len() as u64,
        hashes: TarballHashes::of(&packed.bytes),
        commit: packed.commit.clone(),
        ci_run_url: release.ciRunUrl.clone(),
        epoch: release.epoch,
        nonce: release.nonce.to_string(),
        deadline: u64::try_from(release.deadline).unwrap_or(u64::MAX),
        digest: request.digest,
        threshold: standing.package.threshold,
        npm_tag: tag_in_words(&packed.tarball.manifest_json),
        comparison: compare(&base, &packed.tarball, &packed.bytes, None),
    };
    if args.dry_run {
        context.output.result(&json!({ "dryRun": true, "release": draft }), |page| {
            render_draft(page, &draft, true);
            page.line("  dry run: nothing was signed, nothing was sent");
        });
        return Ok(exit::FINE);
    }
    let wallet = context.wallet().await?;
    require_member(name, &standing.package.members, wallet.address())?;
    prompt::review(context, args.switches.yes, |page| render_draft(page, &draft, false));
    prompt::confirm(context, args.switches.yes, &format!("Sign {name}@{version}?")).await?;
    // 8.
    let signature = {
        let _waiting = context.output.progress(&format!("waiting for the wallet to sign {}", request.digest));
        wallet.sign(&request).await.while_doing(format!("{name}@{version} is not signed"))?
    };
    let upload =
        ProposalRequest { release: release.into(), signer: wallet.address(), signature: signature.clone() };
    let proposal = {
        let _progress = context.output.progress(&format!("uploading {}", size(draft.size)));
        coordinator.propose(&upload, packed.bytes.clone()).await.while_doing("the release was not taken")?
    };
    // What came back is checked like anybody's proposal.
    let on_chain = OnChain {
        domain,
        package: &standing.package,
        release: &record,
        nonce_used: false,
        next_nonce: chain.next_nonce(&standing.head, name).await?,
    };
    let checked = check_release(&Target::Id(request.digest), &proposal, &on_chain, context.now())?;
    let reviewed = review_release(checked, &proposal, &packed.bytes)?;
    let desk =
        Desk { context, chain: &chain, head: &standing.head, coordinator: &coordinator, wallet: &*wallet };
    let progress = finish_release(
        desk,
        reviewed.checked(),
        &proposal,
        &standing.package,
        Some(&signature),
        args.switches,
        Ask::No,
    )
    .await?;
    context.output.result(&json!({ "release": draft, "proposal": progress }), |page| progress.render(page));
    Ok(exit::FINE)
}

/// Steps 1 and 2.
async fn prepare(context: &Context, args: &PublishArgs, given: Option<Commit>) -> Result<Packed, Failure> {
    let (bytes, commit, folder) = match &args.tarball {
        Some(file) => (read_tarball_file(file)?, Commit::None, std::env::current_dir()?),
        None => {
            let folder = std::path::absolute(&args.folder)?;
            check_folder(&folder)?;
            // Before packing: the scripts may write into the tree.
            let commit = commit_of(&folder).await;
            let destination = context.temporary_folder()?;
            let _progress = context.output.progress("packing");
            (pack(&folder, destination.path()).await?, commit, folder)
        }
    };
    let tarball = read_tarball(&bytes, &Limits::default())
        .map_err(|error| Failure::not_possible(error).while_doing("what was packed is no npm package"))?;
    check_publishable(&tarball.manifest_json)?;
    let invalid = "package.json names no package that can be registered";
    let name = tarball.manifest.name.parse::<PackageName>().while_doing(invalid)?;
    let version = tarball.manifest.version.parse::<Version>().while_doing(invalid)?;
    Ok(Packed { bytes, tarball, name, version, commit: given.unwrap_or(commit), folder })
}

fn given_commit(text: &str) -> Result<Commit, Failure> {
    match git_sha_word(text) {
        Some(_) => Ok(Commit::Given { commit: text.to_ascii_lowercase() }),
        None => {
            Err(Failure::usage("--commit is not a whole commit: 40 or 64 hex digits")
                .hint("git rev-parse HEAD"))
        }
    }
}

/// Step 6. The lowest that no open proposal has: one member's high number must not push the others' away.
async fn next_nonce(
    chain: &Chain,
    coordinator: &CoordinatorClient,
    standing: &Standing,
    name: &PackageName,
) -> Result<U256, Failure> {
    let next = chain.next_nonce(&standing.head, name).await?;
    let waiting = coordinator.proposals(Some(name), None, true).await.hint(UNREACHABLE)?;
    free_nonce(next, &waiting, name)
}

fn free_nonce(next: U256, waiting: &[Proposal], name: &PackageName) -> Result<U256, Failure> {
    let taken: BTreeSet<U256> = waiting
        .iter()
        .filter(|proposal| !proposal.state.is_terminal() && proposal.release.package_name == name.as_str())
        .map(|proposal| proposal.release.nonce)
        .collect();
    let mut candidates = (0..=MAX_NONCE_AHEAD).map(|ahead| next.saturating_add(U256::from(ahead)));
    candidates.find(|nonce| !taken.contains(nonce)).ok_or_else(|| {
        Failure::not_possible(format!("{MAX_NONCE_AHEAD} proposals of {name} wait already"))
            .hint(format!("3pm pending {name}"))
    })
}

fn release(
    context: &Context,
    args: &PublishArgs,
    packed: &Packed,
    standing: &Standing,
    nonce: U256,
) -> Release {
    let hashes = TarballHashes::of(&packed.bytes);
    let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let ci_run_url = args.ci_url.as_ref().map(ToString::to_string).or_else(|| ci_run_url(&environment));
    Release {
        packageName: packed.name.to_string(),
        version: packed.version.to_string(),
        integrity: hashes.integrity.to_string(),
        contentHash: hashes.content_hash.0,
        gitSha: packed.commit.word(),
        ciRunUrl: ci_run_url.unwrap_or_default(),
        epoch: standing.package.epoch,
        nonce,
        deadline: U256::from(deadline(context.now(), args.deadline_days)),
    }
}

/// A minute less than asked for at the upper end: clocks of co-signers may be behind, and 30 days is a limit.
fn deadline(now: u64, days: u64) -> u64 {
    now.saturating_add(days.saturating_mul(DAY)).saturating_sub(60)
}

fn render_draft(page: &mut Page, draft: &Draft, whole: bool) {
    page.title(&format!("{}@{}", draft.package, draft.version));
    page.field("tarball", format!("{}, {} files", size(draft.size), draft.comparison.files.len()));
    page.field("sha512", draft.hashes.integrity);
    page.field("sha256", draft.hashes.content_hash.0);
    match &draft.commit {
        Commit::Clean { .. } | Commit::Given { .. } => page.field("commit", draft.commit.describe()),
        Commit::Dirty { .. } | Commit::None => {
            page.warn(&format!("  {:<12} {}", "commit", draft.commit.describe()))
        }
    }
    if !draft.ci_run_url.is_empty() {
        page.field("built at", trust::text::printable(&draft.ci_run_url, 200));
    }
    page.field("signatures", format!("{} needed", draft.threshold));
    page.field("nonce", &draft.nonce);
    page.field("until", moment(draft.deadline));
    page.field("npm tag", &draft.npm_tag);
    page.field("digest", draft.digest);
    page.gap();
    draft.comparison.render(page, whole);
    page.gap();
}
