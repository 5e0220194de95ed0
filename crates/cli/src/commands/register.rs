//! `3pm register`: claims a package name. The wallet's address goes into the published manifest, the
//! registrar sees it there and signs, and both signatures go on chain.
//!
//! The steps: 1. the name is free on chain, 2. `_3pm` is in the package.json of the latest version, waited
//! for with visible progress, 3. every version that exists now goes under the legacy root, 4. the wallet signs the
//! configuration, 5. the registrar's signature is checked here against the registrar on chain, 6. the claim
//! is sent and read back. With a threshold above 1 the name is claimed for the wallet alone, and the team is
//! proposed as a change, because its members must sign that themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use alloy_primitives::{Address, B256, U256};
use chain::{Chain, Head, MemberSignatureError, calls};
use client::coordinator::CoordinatorClient;
use client::coordinator::api::{ClaimApproval, ClaimRequest, SignatureRequest};
use client::npm::{NpmClient, Packument};
use serde::Serialize;
use trust::PackageName;
use trust::legacy::{self, LegacyVersion};
use trust::message::{Config, RegistrarProof, claim_commitment, signing_request};
use trust::record::{PackageRecord, PackageState};
use trust::signature::pack;
use url::Url;

use crate::args::{ApproveSwitches, RegisterArgs, TeamSettings};
use crate::commands::team;
use crate::context::Context;
use crate::errors::{Explain as _, Failure, Outcome};
use crate::exit;
use crate::maintain::change::{Wish, cautions, require_apart, team_in_words};
use crate::maintain::finish::Progress;
use crate::maintain::standing::{self, Standing};
use crate::maintain::submission::{self, is_in_force};
use crate::output::{Page, moment};
use crate::prompt;

/// The manifest field that says who may claim.
const FIELD: &str = "_3pm";

/// How long a claim may be signed and sent, in seconds: it is done at once.
const CLAIM_LIFETIME: u64 = 24 * 60 * 60;

/// After how many days of silence a recovery may start, unless said otherwise.
const DEFAULT_RECOVERY_DAYS: u16 = 180;

/// Between two looks at the registry.
const PAUSE: Duration = Duration::from_secs(2);

/// How often a log hears that we still wait.
const REMINDER: Duration = Duration::from_secs(60);

/// Versions shown before a claim.
const SHOWN_VERSIONS: usize = 5;

/// What came of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    package: &'a PackageName,
    state: &'static str,
    verify_token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_hash: Option<B256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    legacy_versions: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<&'a PackageRecord>,
    /// The team change that was proposed, with a threshold above 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<&'a Progress>,
    /// The command that proposes the team once the claim is final.
    #[serde(skip_serializing_if = "Option::is_none")]
    team_waits: Option<String>,
}

/// Claims the name.
pub(crate) async fn run(context: &Context, args: RegisterArgs) -> Outcome {
    let name = args.package.clone();
    let (chain, coordinator) = (context.chain()?, context.coordinator()?);
    let wallet = context.wallet().await?;
    let address = wallet.address();
    let (members, team) = plan(&args, address)?;
    // 1.
    let standing = standing::read(context, &chain, &name).await?;
    if standing.package.state == PackageState::Final && standing.package.members.contains(&address) {
        return Ok(already(context, &name, &standing, address));
    }
    require_free(context, &name, &standing.package)?;
    require_registrar(&coordinator).await?;
    // 2.
    let npm = context.npm(&std::env::current_dir()?).await?;
    let token = verify_token(address);
    let packument = match look(&npm, &name, &token, &Look::Unknown).await? {
        Look::There(packument) => *packument,
        seen if args.no_wait => {
            let report = Report {
                package: &name,
                state: "waitingForToken",
                verify_token: token.clone(),
                transaction_hash: None,
                legacy_versions: None,
                record: None,
                change: None,
                team_waits: None,
            };
            context.output.result(&report, |page| {
                page.line(&seen.words(&name));
                render_instructions(page, &name, &token, &seen);
                page.next(&format!("when it is published: 3pm register {name}"));
            });
            return Ok(exit::WAITING);
        }
        seen => {
            prompt::require_answer(
                context,
                args.yes,
                &format!("Sign the claim of {name} once its token is there?"),
            )?;
            wait_for_token(context, &npm, &name, &token, seen, Duration::from_secs(args.timeout)).await?
        }
    };
    // 3.
    let versions = legacy_versions(context, &npm, &packument).await?;
    let config = Config {
        packageName: name.to_string(),
        members,
        threshold: 1,
        releaseDelayHours: args.settings.release_delay.unwrap_or(0),
        // A claim that makes changes wait would make the team wait too: the team's change sets it.
        configDelayHours: args.settings.config_delay.filter(|_| team.is_none()).unwrap_or(0),
        recoveryDays: args.settings.recovery_days.unwrap_or(DEFAULT_RECOVERY_DAYS),
        guardian: args.settings.guardian.unwrap_or(Address::ZERO),
        legacyRoot: legacy::root(&versions),
        epoch: 0,
        deadline: U256::from(context.now().saturating_add(CLAIM_LIFETIME)),
    };
    // 4.
    let request = signing_request(&config, &chain::name_domain(chain.network()).eip712())?;
    prompt::review(context, args.yes, |page| {
        render_claim(page, &config, &packument, &versions, request.digest)
    });
    prompt::confirm(context, args.yes, &format!("Sign the claim of {name}?")).await?;
    let signature = {
        let _waiting = context.output.progress("waiting for the wallet to sign the claim");
        wallet.sign(&request).await.while_doing("the claim is not signed")?
    };
    // 5.
    let head = context.head(&chain).await?;
    let claim = ClaimRequest {
        config: config.clone().into(),
        signatures: vec![SignatureRequest { signer: address, signature: signature.clone() }],
        anchor_block: head.number,
        legacy_versions: versions.clone(),
    };
    let approval = {
        let _asking = context.output.progress("asking the registrar");
        coordinator.request_claim(&claim).await.while_doing("the registrar did not vouch for the claim")?
    };
    verify_approval(&chain, &head, request.digest, &approval).await?;
    // 6.
    let signatures = pack(&config.members, &BTreeMap::from([(address, signature)]))?;
    let call =
        calls::claim(chain.network(), &config, &signatures, head.number, &approval.registrar_signature);
    let submitted = submission::send(context, &chain, &*wallet, &call)
        .await
        .while_doing(format!("{name} could not be claimed"))?;
    let record = chain.package(&submitted.head, &name).await?;
    let claimed = is_in_force(&record, &config)
        || (record.state == PackageState::Provisional
            && record.members == config.members
            && record.legacy_root == config.legacyRoot);
    if !claimed {
        return Err(Failure::mismatch(
            format!("the chain has another claim of {name} than was sent"),
            team_in_words(&config.members, config.threshold),
            team_in_words(&record.members, record.threshold),
        ));
    }
    let change = match &team {
        Some(wish) if record.state == PackageState::Final => {
            context.output.note(&format!("{name} is claimed; now its team"));
            let switches = ApproveSwitches { yes: args.yes, ..ApproveSwitches::default() };
            Some(
                team::propose(context, &name, wish, switches)
                    .await
                    .map(|(progress, _)| progress)
                    .while_doing(format!("{name} is claimed for you alone, but its team is not proposed"))
                    .hint(team_command(&name, wish))?,
            )
        }
        _ => None,
    };
    let report = Report {
        package: &name,
        state: if record.state == PackageState::Provisional { "provisional" } else { "registered" },
        verify_token: token,
        transaction_hash: submitted.transaction,
        legacy_versions: Some(versions.len()),
        record: Some(&record),
        change: change.as_ref(),
        team_waits: team.as_ref().filter(|_| change.is_none()).map(|wish| team_command(&name, wish)),
    };
    context.output.result(&report, |page| render(page, &report, address));
    Ok(exit::FINE)
}

/// What proposes the team that was asked for, once the claim is final.
fn team_command(name: &PackageName, wish: &Wish) -> String {
    let members: Vec<String> = wish.add.iter().map(ToString::to_string).collect();
    let threshold = wish.threshold.map(|threshold| format!(" --threshold {threshold}")).unwrap_or_default();
    let delay =
        wish.settings.config_delay.map(|hours| format!(" --config-delay {hours}")).unwrap_or_default();
    format!("3pm team add {name} {}{threshold}{delay}", members.join(" "))
}

/// The members of the claim, and the team to be proposed after it.
fn plan(args: &RegisterArgs, address: Address) -> Result<(Vec<Address>, Option<Wish>), Failure> {
    let others: Vec<Address> = args.member.iter().copied().filter(|member| *member != address).collect();
    let count = others.len() + 1;
    if args.threshold == 0 || usize::from(args.threshold) > count {
        return Err(Failure::usage(format!(
            "--threshold is {}, expected 1 to {count}, the number of members",
            args.threshold
        )));
    }
    let all = [vec![address], others.clone()].concat();
    require_apart(&args.package, args.settings.guardian.unwrap_or(Address::ZERO), &all)?;
    if args.threshold == 1 {
        return Ok((all, None));
    }
    let settings = TeamSettings { config_delay: args.settings.config_delay, ..TeamSettings::default() };
    let wish = Wish { add: others, remove: vec![], threshold: Some(args.threshold), settings };
    Ok((vec![address], Some(wish)))
}

/// `3pm-verify-<address, lowercase>`.
fn verify_token(address: Address) -> String {
    format!("3pm-verify-{address:#x}")
}

fn already(context: &Context, name: &PackageName, standing: &Standing, address: Address) -> exit::ExitCode {
    let report = Report {
        package: name,
        state: "registered",
        verify_token: verify_token(address),
        transaction_hash: None,
        legacy_versions: None,
        record: Some(&standing.package),
        change: None,
        team_waits: None,
    };
    context.output.result(&report, |page| {
        page.good(&format!("{name} is registered already, and you are a member"));
        team::render_team(page, &standing.package, Some(address));
    });
    exit::FINE
}

/// Step 1.
fn require_free(context: &Context, name: &PackageName, package: &PackageRecord) -> Result<(), Failure> {
    match package.state {
        PackageState::None => Ok(()),
        PackageState::Provisional => {
            context.output.warn(&format!(
                "{name} has a claim that is provisional until {}; a newer one replaces it",
                moment(package.final_at)
            ));
            Ok(())
        }
        PackageState::Final => Err(Failure::not_possible(format!(
            "{name} is registered already, for {}",
            team_in_words(&package.members, package.threshold)
        ))
        .hint("ask one of its members: 3pm team add PACKAGE 0x…")),
        PackageState::Retired => Err(Failure::not_possible(format!(
            "{name} was given up by its members at {}; a name that was given up is claimed again through a recovery",
            moment(package.retired_at)
        ))),
    }
}

async fn require_registrar(coordinator: &CoordinatorClient) -> Result<(), Failure> {
    let health = coordinator.health().await.hint(crate::maintain::find::UNREACHABLE)?;
    if health.registrar.is_none() {
        return Err(Failure::not_possible(
            "this coordinator has no registrar, so nobody would vouch for the claim",
        )
        .hint("use a coordinator that has one: 3pm init --coordinator URL"));
    }
    Ok(())
}

/// Step 2: waits until the latest version names this wallet.
async fn wait_for_token(
    context: &Context,
    npm: &NpmClient,
    name: &PackageName,
    token: &str,
    mut seen: Look,
    limit: Duration,
) -> Result<Packument, Failure> {
    context.output.page(|page| render_instructions(page, name, token, &seen));
    context
        .output
        .note(&format!("waiting up to {} s for it; after Ctrl-C the same command goes on", limit.as_secs()));
    let progress = context.output.progress(&seen.words(name));
    let started = tokio::time::Instant::now();
    let mut reminded = started;
    loop {
        if started.elapsed() > limit {
            return Err(Failure::new(
                exit::WAITING,
                format!("after {} s, {}", limit.as_secs(), seen.words(name)),
            )
            .hint(format!("publish it, then run 3pm register {name} again")));
        }
        tokio::time::sleep(PAUSE).await;
        seen = look(npm, name, token, &seen).await?;
        if let Look::There(packument) = seen {
            return Ok(*packument);
        }
        progress.say(&seen.words(name));
        if reminded.elapsed() > REMINDER {
            reminded = tokio::time::Instant::now();
            context.output.note(&format!("still waiting: {}", seen.words(name)));
        }
    }
}

fn render_instructions(page: &mut Page, name: &PackageName, token: &str, seen: &Look) {
    page.title(&format!(
        "To show that you can publish {name}, put this into its package.json and publish it:"
    ));
    page.gap();
    page.line(&format!("    \"{FIELD}\": \"{token}\""));
    page.gap();
    page.line(&format!("  npm pkg set {FIELD}={token}"));
    page.line(if matches!(seen, Look::Unknown) {
        "  npm publish"
    } else {
        "  npm version patch && npm publish"
    });
    page.aside(
        "  any version that becomes `latest` will do; the field can go again once the name is registered",
    );
    page.gap();
}

/// What the registry shows.
enum Look {
    /// No such package.
    Unknown,
    /// Its latest version, at this URL, names nobody or somebody else.
    Other { tarball: Option<Url>, found: Option<String> },
    /// It names this wallet.
    There(Box<Packument>),
}

impl Look {
    fn words(&self, name: &PackageName) -> String {
        match self {
            Self::Unknown => format!("{name} is not on the registry yet"),
            Self::Other { found: None, .. } => {
                format!("the latest {name} has no {FIELD} in its package.json")
            }
            Self::Other { found: Some(found), .. } => {
                format!("the latest {name} names another wallet: {found}")
            }
            Self::There(_) => format!("the latest {name} names this wallet"),
        }
    }
}

/// Reads the package.json inside the latest tarball: npm leaves fields that begin with `_` out of the
/// registry's manifest. A tarball that was looked at before is not fetched again.
async fn look(npm: &NpmClient, name: &PackageName, token: &str, before: &Look) -> Result<Look, Failure> {
    let Some(packument) = npm.fetch_packument(name).await.hint("check `npm config get registry`")? else {
        return Ok(Look::Unknown);
    };
    let tarball = packument.latest()?.map(|latest| latest.tarball);
    if let Look::Other { tarball: Some(seen), found } = before
        && tarball.as_ref() == Some(seen)
    {
        return Ok(Look::Other { tarball, found: found.clone() });
    }
    let Some(bytes) = npm.fetch_latest(&packument).await? else {
        return Ok(Look::Other { tarball, found: None });
    };
    let read = scan::read_tarball(&bytes, &scan::Limits::default());
    let read = read.while_doing(format!("the latest {name} cannot be read"))?;
    Ok(match read.manifest_json.get(FIELD).and_then(serde_json::Value::as_str) {
        Some(found) if found == token => Look::There(Box::new(packument)),
        found => Look::Other { tarball, found: found.map(|found| trust::text::printable(found, 80)) },
    })
}

/// Step 3.
async fn legacy_versions(
    context: &Context,
    npm: &NpmClient,
    packument: &Packument,
) -> Result<Vec<LegacyVersion>, Failure> {
    let _progress = context.output.progress("listing the versions that exist");
    let listed =
        npm.legacy_versions(packument).await.while_doing("the versions that exist cannot be listed")?;
    if !listed.skipped.is_empty() {
        context.output.warn(&format!(
            "{} versions are no strict SemVer and will count as unrecorded: {}",
            listed.skipped.len(),
            listed.skipped.iter().take(10).cloned().collect::<Vec<_>>().join(", ")
        ));
    }
    Ok(listed.versions)
}

/// Step 5: the commitment is ours, the registrar is the one on chain, and the signature is the registrar's.
async fn verify_approval(
    chain: &Chain,
    head: &Head,
    config_digest: B256,
    approval: &ClaimApproval,
) -> Result<(), Failure> {
    let commitment = claim_commitment(config_digest, head.hash);
    if approval.commitment != commitment {
        return Err(Failure::mismatch(
            "the registrar vouched for another claim",
            commitment,
            approval.commitment,
        ));
    }
    let registrar = chain.registrar(head).await?;
    if approval.registrar != registrar {
        return Err(Failure::mismatch(
            "the coordinator's registrar is not the one on chain",
            registrar,
            approval.registrar,
        ));
    }
    let domain = chain::name_domain(chain.network());
    let digest = signing_request(&RegistrarProof { commitment }, &domain.eip712())?.digest;
    match chain.verify_member_signature(head, registrar, digest, &approval.registrar_signature).await {
        Ok(()) => Ok(()),
        Err(MemberSignatureError::Refused { .. }) => Err(Failure::mismatch(
            "the registrar's signature is not the registrar's",
            registrar,
            "a signature of somebody else",
        )),
        Err(error) => Err(error.into()),
    }
}

fn render_claim(
    page: &mut Page,
    config: &Config,
    packument: &Packument,
    versions: &[LegacyVersion],
    digest: B256,
) {
    page.title(&format!("Claim of {}", config.packageName));
    page.field("members", team_in_words(&config.members, config.threshold));
    page.field(
        "delays",
        format!("releases {} h, team changes {} h", config.releaseDelayHours, config.configDelayHours),
    );
    page.field("recovery", format!("after {} days of silence", config.recoveryDays));
    if !config.guardian.is_zero() {
        page.field("guardian", config.guardian);
    }
    page.field("versions", format!("{} that exist now will count as Legacy; the newest:", versions.len()));
    let mut newest: Vec<(u64, &LegacyVersion)> =
        versions.iter().map(|entry| (packument.published_at(&entry.version).unwrap_or(0), entry)).collect();
    newest.sort_by_key(|entry| std::cmp::Reverse(entry.0));
    for (at, entry) in newest.iter().take(SHOWN_VERSIONS) {
        let when = if *at == 0 { "at an unknown time".to_owned() } else { moment(*at) };
        page.line(&format!("                 {} published {when}", entry.version));
    }
    page.warn("  look at them: one that you did not publish would be trusted from now on");
    if config.members.len() > 1 {
        page.warn(
            "  any one of these members could release alone; raise the threshold with 3pm team threshold",
        );
    }
    for caution in cautions(config) {
        page.warn(&format!("  {caution}"));
    }
    page.field("digest", digest);
    page.gap();
}

fn render(page: &mut Page, report: &Report<'_>, address: Address) {
    let name = report.package;
    if report.state == "provisional" {
        page.good(&format!("{name} is claimed"));
    } else {
        page.good(&format!("{name} is registered"));
    }
    if let Some(record) = report.record {
        page.field("state", standing::describe(record));
        team::render_team(page, record, Some(address));
    }
    if let Some(count) = report.legacy_versions {
        page.field("legacy", format!("{count} versions from before"));
    }
    if let Some(hash) = report.transaction_hash {
        page.field("transaction", hash);
    }
    if let Some(change) = report.change {
        page.gap();
        change.render(page);
    }
    page.next(&format!("3pm register-token {name}, so that the coordinator can publish what the team signs"));
    if let Some(command) = &report.team_waits {
        page.warn("  until the claim is final it is yours alone; the team is proposed then:");
        page.next(command);
    } else if report.change.is_none() {
        page.next(&format!("3pm team add {name} 0x… --threshold 2, so that no single wallet can release"));
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Arguments, Command};

    fn args(line: &[&str]) -> RegisterArgs {
        let line = [&["3pm", "register", "left-pad"], line].concat();
        match Arguments::try_parse_from(line).unwrap().command {
            Command::Register(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_token_names_the_address_in_lower_case() {
        let address: Address = "0xF39Fd6e51aad88F6F4ce6aB8827279cffFb92266".parse().unwrap();
        assert_eq!(verify_token(address), "3pm-verify-0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266");
    }

    #[test]
    fn a_claim_never_needs_a_signature_that_only_somebody_else_can_give() {
        let me = Address::repeat_byte(1);
        let other = Address::repeat_byte(2).to_string();
        assert_eq!(plan(&args(&[]), me).unwrap(), (vec![me], None));
        let (members, team) = plan(&args(&["--member", &other]), me).unwrap();
        assert_eq!((members.len(), team), (2, None));
        let (members, team) = plan(&args(&["--member", &other, "--threshold", "2"]), me).unwrap();
        assert_eq!(members, [me]);
        let expected = Wish { add: vec![Address::repeat_byte(2)], threshold: Some(2), ..Wish::default() };
        assert_eq!(team.unwrap(), expected);
        assert!(plan(&args(&["--threshold", "2"]), me).is_err());
        assert!(plan(&args(&["--member", &me.to_string(), "--threshold", "2"]), me).is_err());
        assert!(plan(&args(&["--threshold", "0"]), me).is_err());
    }

    #[test]
    fn a_delay_of_team_changes_comes_with_the_team_and_not_before_it() {
        let (me, other) = (Address::repeat_byte(1), Address::repeat_byte(2).to_string());
        let line = ["--member", &other, "--threshold", "2", "--config-delay", "24", "--release-delay", "4"];
        let (_, team) = plan(&args(&line), me).unwrap();
        let team = team.unwrap();
        assert_eq!((team.settings.config_delay, team.settings.release_delay), (Some(24), None));
        assert_eq!(
            team_command(&"left-pad".parse().unwrap(), &team),
            format!("3pm team add left-pad {other} --threshold 2 --config-delay 24")
        );
    }

    #[test]
    fn nobody_is_claimed_to_be_member_and_guardian() {
        let (me, other) = (Address::repeat_byte(1).to_string(), Address::repeat_byte(2).to_string());
        for line in [&["--guardian", &me][..], &["--member", &other, "--guardian", &other]] {
            let refused = plan(&args(line), Address::repeat_byte(1)).unwrap_err();
            assert!(refused.sentence().contains("and its guardian"), "{}", refused.sentence());
        }
    }
}
