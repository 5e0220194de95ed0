//! The command line. Describes it, nothing else: what a command does is in `commands`, `install` and
//! `world`; settings that live longer than one command are in `config`.

mod deployment;
mod doctor;
mod install;
mod maintainer;
mod policy;
mod run_with;
mod setup;
mod shell;
mod usage;
mod world;

use std::ffi::OsString;

use clap::{Parser, Subcommand};

pub(crate) use deployment::{DeployArgs, NetworkCommand};
pub(crate) use doctor::DoctorArgs;
pub(crate) use install::{InstallArgs, OwnArgs, QuestionArgs, ReceiptsArgs, VerifyArgs};
pub(crate) use maintainer::{
    ApproveArgs, ApproveSwitches, PendingArgs, PublishArgs, RegisterArgs, RegisterTokenArgs, StatusArgs,
    SubmitArgs, Target, TeamCommand, TeamSettings,
};
pub(crate) use policy::{ApproveScriptsArgs, ExplainArgs, PolicyCommand};
pub(crate) use run_with::{ExecArgs, ManagedArgs, ManagerName, RunWithArgs};
pub(crate) use setup::{
    CompletionsArgs, CoordinatorCommand, InitArgs, ServeArgs, SignerUrl, WalletCommand, WalletConnectArgs,
};
pub(crate) use shell::{HookArgs, InterceptArgs, ShellName, ShimsArgs, ShimsCommand};
pub(crate) use usage::{asks_for_json, usage_failure};
pub(crate) use world::{DemoArgs, DevArgs};

use crate::output::Color;

/// `3pm` as it was typed.
#[derive(Debug, Parser)]
#[command(
    name = "3pm",
    version,
    about = "A trust layer over npm: maintainers sign the exact bytes of a release, installs check them",
    after_help = "First steps:\n  3pm demo                     the whole story on this machine, nothing configured\n  \
                  3pm install left-pad         install a package, checked before anything runs\n  \
                  3pm init                     choose the network whose records you trust\n\n\
                  Exit codes: 0 fine, 1 could not find out, 2 usage, 10 and up not to be trusted; docs/exit-codes.md",
    disable_help_subcommand = true,
    max_term_width = 110
)]
pub(crate) struct Arguments {
    /// What every command takes.
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    /// Which command.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct GlobalArgs {
    /// Print the result as one JSON document on standard output
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub(crate) json: bool,
    /// Print results and errors only
    #[arg(long, short, global = true, help_heading = "Everywhere")]
    pub(crate) quiet: bool,
    /// When to use colours: auto, always or never; NO_COLOR is respected
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "WHEN",
        hide_possible_values = true,
        hide_default_value = true,
        help_heading = "Everywhere"
    )]
    pub(crate) color: Color,
    /// The network to use, by its name in config.json
    #[arg(long, global = true, value_name = "NAME", help_heading = "Everywhere")]
    pub(crate) network: Option<String>,
}

/// One command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Install packages, each checked before it is unpacked and before anything runs
    Install(InstallArgs),
    /// Check packages without installing anything
    Verify(VerifyArgs),
    /// Look up again what was installed: who has what was taken back since
    Receipts(ReceiptsArgs),
    /// Install exactly what the lockfile says, with the project's own package manager
    Ci(ManagedArgs),
    /// Add packages, with the project's own package manager
    Add(ManagedArgs),
    /// Update packages, with the project's own package manager
    Update(ManagedArgs),
    /// Run a command of a package that is not installed here
    Exec(ExecArgs),
    /// Let npm, pnpm, yarn or bun install, behind the same checks
    RunWith(RunWithArgs),
    /// Stand in for a command of a package manager: check what installs, hand on the rest
    Intercept(InterceptArgs),
    /// Programs that stand in for npm, pnpm, yarn and bun in scripts and CI
    #[command(subcommand)]
    Shims(ShimsCommand),
    /// What is wanted done about what is found, and why
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// What is installed, hooked, reachable and misconfigured, and what to do about it
    Doctor(DoctorArgs),
    /// Choose the network: RPC, contracts, coordinator
    Init(InitArgs),
    /// The wallet that signs; no key ever enters this process
    #[command(subcommand)]
    Wallet(WalletCommand),
    /// Claim a package name: from then on only its members can release
    Register(RegisterArgs),
    /// Hand an npm token to the coordinator, which publishes what the team signed
    RegisterToken(RegisterTokenArgs),
    /// Who may sign for a package, and how many must
    #[command(subcommand)]
    Team(TeamCommand),
    /// Pack a release, sign it as the first signer, and propose it to the team
    Publish(PublishArgs),
    /// What waits for a signature
    Pending(PendingArgs),
    /// Where a package, a release or a proposal stands
    Status(StatusArgs),
    /// Review a release or a team change, and sign it
    Approve(ApproveArgs),
    /// Send a fully signed release or team change to the chain; anybody may
    Submit(SubmitArgs),
    /// See the whole story on a local world: the attack, the signed release, the attack that fails
    Demo(DemoArgs),
    /// Bring up a local world: chain, npm registry, coordinator, people with wallets
    Dev(DevArgs),
    /// Put the contracts on a chain
    Deploy(DeployArgs),
    /// The network in use
    #[command(subcommand)]
    Network(NetworkCommand),
    /// Run a coordinator
    #[command(subcommand)]
    Coordinator(CoordinatorCommand),
    /// Print the completions of a shell
    Completions(CompletionsArgs),
    /// Guards the children of a local world; started by `dev` and `demo`
    #[command(hide = true)]
    WorldGuard,
}

/// Commands whose last words are a package manager's.
const HAND_ON: [&str; 4] = ["install", "ci", "add", "update"];

/// Flags of every command that take the next word as their value.
const WITH_VALUE: [&str; 2] = ["--network", "--color"];

/// The flags of these commands that are 3pm's, and take none.
const WITHOUT_VALUE: [&str; 10] =
    ["--json", "--quiet", "-q", "--help", "-h", "--yes", "-y", "--deny", "--dry-run", "--ignore-scripts"];

/// The same words with those of 3pm in front, wherever they were typed: behind a package's name they would be the
/// package manager's. `help` is `--help`.
pub(crate) fn own_first(words: Vec<OsString>) -> Vec<OsString> {
    if words.get(1).is_some_and(|word| word == "help") {
        let about = words.iter().enumerate().filter(|(at, _)| *at != 1).map(|(_, word)| word.clone());
        return about.chain([OsString::from("--help")]).collect();
    }
    let is_one_of = |word: &OsString, names: &[&str]| names.iter().any(|name| word == name);
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let mut at = 1;
    while at < end && words[at].to_string_lossy().starts_with('-') {
        at += if is_one_of(&words[at], &WITH_VALUE) { 2 } else { 1 };
    }
    if at >= end || !is_one_of(&words[at], &HAND_ON) {
        return words;
    }
    let (mut ours, mut rest) = (words[..=at].to_vec(), Vec::new());
    let mut behind = words[at + 1..end].iter();
    while let Some(word) = behind.next() {
        let text = word.to_string_lossy();
        if is_one_of(word, &WITH_VALUE) {
            ours.push(word.clone());
            match behind.next().filter(|value| !value.to_string_lossy().starts_with('-')) {
                Some(value) => ours.push(value.clone()),
                // The last word that is read: its value is missing, and that is what is to be said.
                None => return ours,
            }
        } else if is_one_of(word, &WITHOUT_VALUE)
            || WITH_VALUE.iter().any(|name| text.starts_with(&format!("{name}=")))
        {
            ours.push(word.clone());
        } else {
            rest.push(word.clone());
        }
    }
    ours.into_iter().chain(rest).chain(words[end..].iter().cloned()).collect()
}

#[cfg(test)]
mod tests;
