//! Team changes: the next configuration made from the present one, and what a signer checks about one that
//! a coordinator hands over. Pure.
//!
//! The steps of a check, each with a test that breaks only it:
//! 1. What came is what was asked for.
//! 2. The id is the digest of the configuration, computed here.
//! 3. It follows the team on chain: claim final, epoch + 1, members and threshold now.
//! 4. It leaves the versions from before the claim as they are: nobody can review another list by its root.
//! 5. The contract can take it: 1 to 16 distinct members, none of them zero, a threshold they can meet, delays and
//!    recovery days within its limits.
//! 6. Its deadline is ahead and within 30 days of this clock.

use alloy_primitives::{Address, B256, U256};
use client::coordinator::api::Change;
use serde::Serialize;
use trust::PackageName;
use trust::message::{
    Config, Domain, MAX_CONFIG_DELAY_HOURS, MAX_RELEASE_DELAY_HOURS, RECOVERY_DAYS, SigningRequest,
    signing_request, verify_deadline,
};
use trust::record::PackageRecord;
use trust::signature::MAX_MEMBERS;

use super::standing::require_final;
use crate::args::{Target, TeamSettings};
use crate::errors::{Explain as _, Failure};

/// How long a proposed change may be signed, in seconds: a week, as releases.
pub(crate) const CHANGE_LIFETIME: u64 = 7 * 24 * 60 * 60;

/// How the difference between the member lists is called; their order counts, it is that of the signatures.
pub(crate) const MEMBERS: &str = "members";

/// What a person wants changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wish {
    /// Who joins.
    pub(crate) add: Vec<Address>,
    /// Who leaves.
    pub(crate) remove: Vec<Address>,
    /// How many must sign.
    pub(crate) threshold: Option<u8>,
    /// Delays, recovery, guardian.
    pub(crate) settings: TeamSettings,
}

/// One setting that a change would set otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Difference {
    /// Which.
    pub(crate) what: &'static str,
    /// How it is.
    pub(crate) now: String,
    /// How it would be.
    pub(crate) then: String,
}

/// A change that passed every step; nothing else builds one.
#[derive(Debug, Clone)]
pub(crate) struct CheckedChange {
    name: PackageName,
    config: Config,
    request: SigningRequest,
    differences: Vec<Difference>,
    members_now: Vec<Address>,
}

/// The configuration after `package`'s, with `wish` in it.
pub(crate) fn next_config(
    name: &PackageName,
    package: &PackageRecord,
    wish: &Wish,
    now: u64,
) -> Result<Config, Failure> {
    require_final(name, package)?;
    let members = next_members(name, package, wish)?;
    let threshold = wish.threshold.unwrap_or(package.threshold);
    if wish.threshold.is_none() && usize::from(threshold) > members.len() {
        return Err(Failure::usage(format!(
            "{name} needs {threshold} signatures, and {} members would be left",
            members.len()
        ))
        .hint("say how many must sign from then on: --threshold N"));
    }
    let settings = &wish.settings;
    let config = Config {
        packageName: name.to_string(),
        members,
        threshold,
        releaseDelayHours: settings.release_delay.unwrap_or(package.release_delay_hours),
        configDelayHours: settings.config_delay.unwrap_or(package.config_delay_hours),
        recoveryDays: settings.recovery_days.unwrap_or(package.recovery_days),
        guardian: settings.guardian.unwrap_or(package.guardian),
        legacyRoot: package.legacy_root,
        epoch: package.epoch.saturating_add(1),
        deadline: U256::from(now.saturating_add(CHANGE_LIFETIME)),
    };
    check_limits(&config)?;
    // Whoever is both already may stay so; this change must not make it so.
    if settings.guardian.is_some() || wish.add.contains(&config.guardian) {
        require_apart(name, config.guardian, &config.members)?;
    }
    if differences(package, &config).is_empty() {
        return Err(Failure::not_possible(format!("{name} is set up like that already"))
            .hint(format!("3pm team status {name}")));
    }
    Ok(config)
}

fn next_members(name: &PackageName, package: &PackageRecord, wish: &Wish) -> Result<Vec<Address>, Failure> {
    let mut members = package.members.clone();
    for member in &wish.add {
        if members.contains(member) {
            return Err(Failure::not_possible(format!("{member} is a member of {name} already")));
        }
        members.push(*member);
    }
    for member in &wish.remove {
        if !package.members.contains(member) {
            return Err(Failure::not_possible(format!("{member} is not a member of {name}"))
                .hint(format!("3pm team status {name}")));
        }
        members.retain(|kept| kept != member);
    }
    Ok(members)
}

/// A guardian that is also a member could start a recovery with what it signed as a member.
pub(crate) fn require_apart(
    name: &PackageName,
    guardian: Address,
    members: &[Address],
) -> Result<(), Failure> {
    if guardian.is_zero() || !members.contains(&guardian) {
        return Ok(());
    }
    Err(Failure::not_possible(format!("{guardian} would be a member of {name} and its guardian"))
        .hint("let a guardian be nothing else: its signature as a member could start a recovery"))
}

/// The steps at the head of this file.
pub(crate) fn check_change(
    asked: &Target,
    change: &Change,
    domain: &Domain,
    package: &PackageRecord,
    now: u64,
) -> Result<CheckedChange, Failure> {
    let name: PackageName =
        change.config.package_name.parse().while_doing("the coordinator's team change names no package")?;
    // 1.
    let is_asked = match asked {
        Target::Id(id) => *id == change.id,
        Target::Package(package) => *package == name,
        Target::Release(..) => false,
    };
    if !is_asked || change.kind != "config" {
        let found = format!("{} {} of {name}", change.kind, change.id);
        return Err(Failure::mismatch("the coordinator answered with something else", asked, found));
    }
    // 2.
    let config = Config::from(change.config.clone());
    let request = signing_request(&config, &domain.eip712())?;
    if request.digest != change.id {
        return Err(Failure::mismatch(
            format!(
                "the coordinator's id of the team change of {name} is not the digest of what would be signed"
            ),
            request.digest,
            change.id,
        ));
    }
    // 3.
    require_final(&name, package)?;
    let expected = package.epoch.saturating_add(1);
    if config.epoch != expected {
        return Err(Failure::not_possible(format!(
            "the change would make team {} of {name}, the next one is {expected}",
            config.epoch
        ))
        .hint("another change was faster; propose it again"));
    }
    if change.current_members != package.members || change.current_threshold != package.threshold {
        return Err(Failure::mismatch(
            format!("the coordinator names another present team of {name} than the chain"),
            team_in_words(&package.members, package.threshold),
            team_in_words(&change.current_members, change.current_threshold),
        ));
    }
    // 4.
    if config.legacyRoot != package.legacy_root {
        return Err(Failure::mismatch(
            format!("the change of {name} would decide anew which versions existed before the claim"),
            package.legacy_root,
            config.legacyRoot,
        )
        .hint("do not sign: 3pm never proposes this, and what the new list holds cannot be seen"));
    }
    // 5.
    check_limits(&config)?;
    // 6.
    verify_deadline(config.deadline, now).map_err(|error| {
        Failure::not_possible(error).while_doing(format!("the team change of {name} cannot be signed"))
    })?;
    let differences = differences(package, &config);
    Ok(CheckedChange { name, config, request, differences, members_now: package.members.clone() })
}

/// Step 5.
fn check_limits(config: &Config) -> Result<(), Failure> {
    check_team(&config.members, config.threshold)?;
    let limits = [
        ("release delay", config.releaseDelayHours, 0..=MAX_RELEASE_DELAY_HOURS, "hours"),
        ("team change delay", config.configDelayHours, 0..=MAX_CONFIG_DELAY_HOURS, "hours"),
        ("silence before a recovery", config.recoveryDays, RECOVERY_DAYS, "days"),
    ];
    match limits.iter().find(|(_, found, range, _)| !range.contains(found)) {
        None => Ok(()),
        Some((what, found, range, unit)) => Err(Failure::not_possible(format!(
            "the {what} must be {} to {} {unit}, not {found}",
            range.start(),
            range.end()
        ))),
    }
}

fn check_team(members: &[Address], threshold: u8) -> Result<(), Failure> {
    if members.is_empty() || members.len() > MAX_MEMBERS {
        return Err(Failure::not_possible(format!(
            "a team has 1 to {MAX_MEMBERS} members, not {}",
            members.len()
        )));
    }
    if members.iter().any(|member| member.is_zero()) {
        return Err(Failure::not_possible("the zero address cannot be a member"));
    }
    if let Some(twice) = members.iter().enumerate().find(|(at, member)| members[..*at].contains(member)) {
        return Err(Failure::not_possible(format!("{} would be a member twice", twice.1)));
    }
    if threshold == 0 || usize::from(threshold) > members.len() {
        return Err(Failure::not_possible(format!(
            "the threshold must be 1 to {}, the number of members, not {threshold}",
            members.len()
        )));
    }
    Ok(())
}

/// Every setting that differs, the quiet ones included: a change of members could carry another guardian.
pub(crate) fn differences(package: &PackageRecord, config: &Config) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut compare = |what, now: String, then: String| {
        if now != then {
            found.push(Difference { what, now, then });
        }
    };
    let joined = |members: &[Address]| members.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    compare(MEMBERS, joined(&package.members), joined(&config.members));
    compare("signatures needed", package.threshold.to_string(), config.threshold.to_string());
    let hours = |hours: u16| format!("{hours} h");
    compare("release delay", hours(package.release_delay_hours), hours(config.releaseDelayHours));
    compare("team change delay", hours(package.config_delay_hours), hours(config.configDelayHours));
    let days = |days: u16| format!("{days} days");
    compare("recovery after", days(package.recovery_days), days(config.recoveryDays));
    compare("guardian", guardian_in_words(package.guardian), guardian_in_words(config.guardian));
    compare("versions from before the claim", package.legacy_root.to_string(), config.legacyRoot.to_string());
    found
}

/// What is allowed, and weakens what it seems to protect.
pub(crate) fn cautions(config: &Config) -> Vec<&'static str> {
    let mut found = Vec::new();
    if config.members.contains(&config.guardian) {
        found.push("the guardian is a member: what it signs as one could start a recovery");
    }
    if config.releaseDelayHours > config.configDelayHours {
        found.push("team changes wait less than releases: stolen keys would change the team first, then nobody can veto");
    }
    found
}

/// The address, or that there is none.
pub(crate) fn guardian_in_words(guardian: Address) -> String {
    if guardian.is_zero() { "none".to_owned() } else { guardian.to_string() }
}

/// `2 of 0x…, 0x…`.
pub(crate) fn team_in_words(members: &[Address], threshold: u8) -> String {
    let members: Vec<String> = members.iter().map(ToString::to_string).collect();
    format!("{threshold} of {}", members.join(", "))
}

impl CheckedChange {
    /// The package.
    pub(crate) fn name(&self) -> &PackageName {
        &self.name
    }

    /// What is signed.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// What the wallet is asked for.
    pub(crate) fn request(&self) -> &SigningRequest {
        &self.request
    }

    /// The digest, which is the change's id.
    pub(crate) fn id(&self) -> B256 {
        self.request.digest
    }

    /// Who becomes a member.
    pub(crate) fn joining(&self) -> impl Iterator<Item = &Address> {
        self.config.members.iter().filter(|member| !self.members_now.contains(member))
    }

    /// Who is one no longer.
    pub(crate) fn leaving(&self) -> impl Iterator<Item = &Address> {
        self.members_now.iter().filter(|member| !self.config.members.contains(member))
    }

    /// What it would set otherwise.
    pub(crate) fn differences(&self) -> &[Difference] {
        &self.differences
    }
}
