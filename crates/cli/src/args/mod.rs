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
pub(crate) use install::{InstallArgs, QuestionArgs, ReceiptsArgs, VerifyArgs};
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

/// The same words with those in front that every command takes, wherever they were typed: behind a package's name they
/// would be the package manager's.
pub(crate) fn own_first(words: Vec<OsString>) -> Vec<OsString> {
    let is_ours = |word: &OsString| {
        let text = word.to_str().unwrap_or_default();
        ["--json", "--quiet", "-q", "--help", "-h"].contains(&text) || text.starts_with("--color=")
    };
    let Some(at) = words.iter().position(|word| HAND_ON.iter().any(|command| word == command)) else {
        return words;
    };
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    if end < at || words[1..at].iter().any(|word| !word.to_string_lossy().starts_with('-')) {
        return words;
    }
    let (ours, rest): (Vec<_>, Vec<_>) = words[at + 1..end].iter().cloned().partition(is_ours);
    let front = words[..=at].iter().cloned();
    front.chain(ours).chain(rest).chain(words[end..].iter().cloned()).collect()
}

#[cfg(test)]
mod tests;
