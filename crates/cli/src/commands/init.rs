//! `3pm init`: chooses the network whose records are believed. Running it again changes what is given and
//! keeps the rest. Does not ask the network anything: an address that holds no contract shows on first use.

use std::path::Path;
use std::str::FromStr;

use alloy_primitives::Address;
use chain::Reads;
use client::http::{public, public_endpoint};
use serde::Serialize;
use url::Url;

use super::hook;
use crate::args::InitArgs;
use crate::config::{self, Config, ConfigFile, KNOWN_NETWORKS, Network, NetworkEntry};
use crate::context::Context;
use crate::errors::{Explain as _, Failure, Outcome};
use crate::exit;
use crate::networks_file;
use crate::output::Page;
use crate::prompt;
use crate::shell::hook::Change;

/// The name when nothing else is said.
const DEFAULT_NETWORK: &str = "local";

/// What was written. URLs appear without what may be secret in them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    config: String,
    changed: bool,
    network: String,
    chain_id: u64,
    rpc_urls: Vec<String>,
    name_registry: Address,
    package_registry: Address,
    coordinator_url: Option<String>,
    confirmations: u64,
    registry_origin: Option<String>,
    reads: Reads,
    claim_window: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hook: Vec<Change>,
}

/// Writes `config.json`.
pub(crate) async fn run(context: &Context, mut args: InitArgs) -> Outcome {
    let hook_args = std::mem::take(&mut args.hook);
    if hook_args.undo {
        return hook::undo(context, &hook_args);
    }
    if hook_args.hook && args == InitArgs::default() && context.chosen_network().is_none() {
        return hook::write_only(context, &hook_args);
    }
    let home = context.home()?;
    let path = home.join(config::FILE);
    let before = config::read(&path).hint("mend the file, or move it away and run 3pm init again")?;
    let mut file = before.clone();
    let name = name(context, &file).await?;
    check_name(&name)?;
    let mut entry = file.networks.remove(&name).unwrap_or_default();
    if let Some(path) = &args.networks_file {
        networks_file::deployment(path, &name)?.describe(&mut entry)?;
    }
    apply(&mut entry, args);
    entry.chain_id = entry.chain_id.or(config::known_chain_id(&name));
    if context.interactive {
        ask_missing(&mut entry).await?;
    }
    file.network = Some(name.clone());
    file.networks.insert(name.clone(), entry);
    let network = check_complete(&file, &name, &home)?;
    let changed = file != before;
    if changed {
        file.store(&path)?;
    }
    let report = Report {
        config: path.display().to_string(),
        changed,
        network: network.name,
        chain_id: network.chain_id,
        rpc_urls: network.rpc_urls.iter().map(public_endpoint).collect(),
        name_registry: network.name_registry,
        package_registry: network.package_registry,
        coordinator_url: network.coordinator_url.as_ref().map(public),
        confirmations: network.confirmations,
        registry_origin: network.registry_origin.as_ref().map(public),
        reads: network.reads,
        claim_window: network.pin.map(|pin| pin.claim_window),
        hook: hook::offer(context, &hook_args).await?,
    };
    context.output.result(&report, |page| render(&report, page));
    Ok(exit::FINE)
}

/// From the flag, else the one in use, else asked, else `local`.
async fn name(context: &Context, file: &ConfigFile) -> Result<String, Failure> {
    if let Some(name) = context.chosen_network() {
        return Ok(name.to_owned());
    }
    if let Some(name) = &file.network {
        return Ok(name.clone());
    }
    if context.interactive {
        let known: Vec<&str> = KNOWN_NETWORKS.iter().map(|(name, _)| *name).collect();
        let answer = prompt::ask(&format!("Network ({}) [{DEFAULT_NETWORK}]: ", known.join(", "))).await?;
        if !answer.is_empty() {
            return Ok(answer);
        }
    }
    Ok(DEFAULT_NETWORK.to_owned())
}

fn check_name(name: &str) -> Result<(), Failure> {
    let plain = !name.is_empty()
        && name.len() <= 40
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if plain {
        return Ok(());
    }
    Err(Failure::usage(format!("network name {name:?} is not 1 to 40 letters, digits, '-' and '_'")))
}

fn apply(entry: &mut NetworkEntry, args: InitArgs) {
    if !args.rpc_url.is_empty() {
        entry.rpc_urls = args.rpc_url;
    }
    entry.chain_id = args.chain_id.or(entry.chain_id);
    entry.name_registry = args.name_registry.or(entry.name_registry);
    entry.package_registry = args.package_registry.or(entry.package_registry);
    entry.coordinator_url = args.coordinator.or(entry.coordinator_url.take());
    entry.confirmations = args.confirmations.or(entry.confirmations);
    entry.registry_origin = args.registry_origin.or(entry.registry_origin.take());
    entry.reads = args.reads.or(entry.reads);
    entry.claim_window = args.claim_window.or(entry.claim_window);
}

async fn ask_missing(entry: &mut NetworkEntry) -> Result<(), Failure> {
    if entry.rpc_urls.is_empty() {
        entry.rpc_urls = vec![ask_until("JSON-RPC of the chain: ", "a URL").await?];
    }
    if entry.chain_id.is_none() {
        entry.chain_id = Some(ask_until("Chain id: ", "a number").await?);
    }
    if entry.name_registry.is_none() {
        entry.name_registry =
            Some(ask_until::<Address>("Address of the NameRegistry: ", "an address").await?);
    }
    if entry.package_registry.is_none() {
        entry.package_registry =
            Some(ask_until::<Address>("Address of the PackageRegistry: ", "an address").await?);
    }
    if entry.coordinator_url.is_none() {
        let answer = prompt::ask("Coordinator (empty for none): ").await?;
        entry.coordinator_url = match answer.as_str() {
            "" => None,
            url => Some(Url::parse(url).while_doing(format!("{url:?} is not a URL"))?),
        };
    }
    Ok(())
}

async fn ask_until<T: FromStr>(question: &str, expected: &str) -> Result<T, Failure> {
    let answer = prompt::ask(question).await?;
    answer.parse().map_err(|_| Failure::usage(format!("{answer:?} is not {expected}")))
}

/// The same judgement every later command makes, on what is about to be written and nothing else.
fn check_complete(file: &ConfigFile, name: &str, home: &Path) -> Result<Network, Failure> {
    let urls =
        file.networks.get(name).into_iter().flat_map(|entry| {
            entry.rpc_urls.iter().chain(&entry.coordinator_url).chain(&entry.registry_origin)
        });
    for url in urls {
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(Failure::usage(format!("{} is not an http or https URL", public(url))));
        }
    }
    let config = Config::of_file(home, file.clone(), name).map_err(|error| {
        Failure::from(error).code(exit::USAGE).hint(format!(
            "3pm init --network {name} --rpc-url URL --name-registry 0x… --package-registry 0x… --coordinator URL"
        ))
    })?;
    config.network.ok_or_else(|| Failure::usage("no network was named"))
}

fn render(report: &Report, page: &mut Page) {
    page.good(&format!("network {} is in use", report.network));
    page.field("chain id", report.chain_id);
    for url in &report.rpc_urls {
        page.field("rpc", url);
    }
    page.field("names", report.name_registry);
    page.field("packages", report.package_registry);
    page.field("coordinator", report.coordinator_url.as_deref().unwrap_or("none: publishing needs one"));
    page.field("registry", report.registry_origin.as_deref().unwrap_or("any"));
    let code = report.claim_window.map_or_else(
        || "not pinned: 3pm network check says what --claim-window pins it".to_owned(),
        |window| format!("of this build, with claims provisional for {window} seconds"),
    );
    page.field("code", code);
    page.field("reads", if report.reads == Reads::Proofs { "by proof" } else { "by call" });
    page.field("config", format!("{}{}", report.config, if report.changed { "" } else { " (unchanged)" }));
    if !report.hook.is_empty() {
        hook::render(&report.hook, page);
    }
    page.next("3pm install PACKAGE, or to publish: 3pm wallet connect --rpc URL of your signer");
}
