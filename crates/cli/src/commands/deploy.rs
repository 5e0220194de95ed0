//! `3pm deploy`: puts the contracts on a chain. Resumable: what is at its address already, with the expected
//! code, is left alone, so a second run sends nothing. Writes no configuration; `3pm init` does.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256, keccak256};
use chain::deploy::{self, DEPLOYMENT_PROXY, Maker, NpmKey, Parameters, RegistryKey, Step};
use chain::{Chain, Head};
use serde::Serialize;

use crate::args::DeployArgs;
use crate::config;
use crate::context::Context;
use crate::errors::{Explain as _, Failure, Outcome};
use crate::exit;
use crate::networks_file;
use crate::output::{Page, Progress};
use crate::prompt;

/// How long a transaction may take to get into a block.
const RECEIPT_LIMIT: Duration = Duration::from_secs(120);

/// How often it is looked whether earlier transactions got into a block.
const EARLIER_PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    chain_id: u64,
    registry_origin: String,
    registrar: Address,
    claim_window: u64,
    npm_keys: Vec<RegistryKey>,
    contracts: Vec<Placed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    networks_file: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Placed {
    #[serde(flatten)]
    step: Step,
    /// `present`, `created` or `missing`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction: Option<B256>,
}

/// Deploys what is missing.
pub(crate) async fn run(context: &Context, args: DeployArgs) -> Outcome {
    let parameters = Parameters {
        registry_origin: args.registry_origin.to_string(),
        registrar: args.registrar,
        claim_window: args.claim_window,
        npm_keys: args
            .npm_key
            .iter()
            .map(|key| NpmKey { x: key.x, y: key.y, validFrom: key.valid_from, validTo: key.valid_to })
            .collect(),
    };
    let plan = deploy::plan(&parameters)?;
    let chain = chain(context, &args)?;
    let chain_id = chain.network().chain_id;
    let head = chain.head(context.now()).await.while_doing("the chain cannot be read")?;
    if chain.code_at(&head, DEPLOYMENT_PROXY).await?.is_empty() {
        return Err(Failure::not_possible(format!(
            "chain {chain_id} has no deployment proxy at {DEPLOYMENT_PROXY}"
        ))
        .hint("it is put there with a presigned transaction; every public chain and anvil have it"));
    }
    let mut placed = Vec::new();
    for step in plan {
        let state = if is_present(&chain, &head, &step).await? { "present" } else { "missing" };
        placed.push(Placed { step, state, transaction: None });
    }
    let missing = placed.iter().filter(|placed| placed.state == "missing").count();
    let mut report = Report {
        chain_id,
        registry_origin: parameters.registry_origin,
        registrar: parameters.registrar,
        claim_window: parameters.claim_window,
        npm_keys: parameters.npm_keys.iter().map(Into::into).collect(),
        contracts: placed,
        networks_file: None,
    };
    let name = network_name(context, chain_id);
    let deployment = deployment(&report);
    if let Some(path) = &args.networks_file {
        // Before anything is sent: a file that cannot take it is found out now.
        networks_file::check(path, &name, &deployment)?;
    }
    if missing > 0 && !args.dry_run {
        prompt::review(context, args.yes, |page| render(&report, page));
        prompt::confirm(context, args.yes, &format!("Create {missing} contracts on chain {chain_id}?"))
            .await?;
        create(context, &chain, &mut report.contracts).await?;
    }
    if let Some(path) = args.networks_file.filter(|_| !args.dry_run) {
        networks_file::store(&path, &name, deployment)?;
        report.networks_file = Some(path);
    }
    context.output.result(&report, |page| render(&report, page));
    Ok(exit::FINE)
}

/// What to call it where no name is given.
fn network_name(context: &Context, chain_id: u64) -> String {
    let known = || config::known_name(chain_id).map(str::to_owned);
    let chosen = context.chosen_network().map(str::to_owned).or_else(known);
    chosen.unwrap_or_else(|| format!("chain-{chain_id}"))
}

/// The deployment as others can use it.
fn deployment(report: &Report) -> networks_file::Deployment {
    let contracts = report.contracts.iter().map(|Placed { step, .. }| {
        let Step { address, code_hash, .. } = *step;
        (step.contract.to_owned(), config::Contract { address, code_hash })
    });
    networks_file::Deployment {
        chain_id: report.chain_id,
        registry_origin: report.registry_origin.clone(),
        claim_window: report.claim_window,
        contracts: contracts.collect(),
        made_with: Some(networks_file::MadeWith {
            registrar: report.registrar,
            npm_keys: report.npm_keys.clone(),
        }),
    }
}

/// The chain before there is a network entry for it.
fn chain(context: &Context, args: &DeployArgs) -> Result<Chain, Failure> {
    let name = context.chosen_network().unwrap_or_default();
    let chain_id = args.chain_id.or(config::known_chain_id(name)).ok_or_else(|| {
        Failure::usage("no chain id is given").hint("--chain-id N, or --network with a name that says it")
    })?;
    let network = chain::Network {
        name: name.to_owned(),
        chain_id,
        rpc_urls: args.rpc_url.clone(),
        name_registry: Address::ZERO,
        package_registry: Address::ZERO,
    };
    Ok(Chain::new(context.http()?.clone(), network))
}

/// Whether the contract is there, with the code it should have.
async fn is_present(chain: &Chain, head: &Head, step: &Step) -> Result<bool, Failure> {
    let code = chain.code_at(head, step.address).await?;
    if code.is_empty() {
        return Ok(false);
    }
    let found = keccak256(code);
    if found != step.code_hash {
        return Err(Failure::mismatch(
            format!("{} at {} has other code", step.contract, step.address),
            step.code_hash,
            found,
        ));
    }
    Ok(true)
}

async fn create(context: &Context, chain: &Chain, placed: &mut [Placed]) -> Result<(), Failure> {
    let wallet = context.wallet().await?;
    for index in 0..placed.len() {
        let (before, rest) = placed.split_at_mut(index);
        let Some(contract) = rest.first_mut().filter(|contract| contract.state == "missing") else {
            continue;
        };
        let progress = context.output.progress(&format!("creating {}", contract.step.contract));
        if let Maker::Contract(name) = contract.step.maker {
            let maker = before.iter().find(|placed| placed.step.contract == name);
            made_beside(context, chain, contract, maker).await?;
            continue;
        }
        wait_for_earlier(chain, wallet.address(), &progress).await?;
        let head = chain.head(context.now()).await?;
        if is_present(chain, &head, &contract.step).await? {
            contract.state = "present";
            continue;
        }
        let Some(call) = deploy::creation(&contract.step) else { continue };
        let hash = wallet.send_transaction(chain.network().chain_id, &call).await?;
        progress.say(&format!("waiting for {hash}"));
        let receipt = chain.wait_for_receipt(hash, RECEIPT_LIMIT).await?;
        let head = chain.head(context.now()).await?;
        if !receipt.success || !is_present(chain, &head, &contract.step).await? {
            return Err(Failure::unknown(format!(
                "{} is not at {}",
                contract.step.contract, contract.step.address
            ))
            .hint("run the same command again: it goes on where it stopped"));
        }
        contract.state = "created";
        contract.transaction = Some(hash);
    }
    Ok(())
}

/// What another contract creates is there as soon as that one is, by the same transaction; it is looked for all the
/// same.
async fn made_beside(
    context: &Context,
    chain: &Chain,
    contract: &mut Placed,
    maker: Option<&Placed>,
) -> Result<(), Failure> {
    let head = chain.head(context.now()).await?;
    if !is_present(chain, &head, &contract.step).await? {
        let Step { contract, address, .. } = contract.step;
        return Err(Failure::unknown(format!(
            "{contract} is not at {address}, beside the contract that creates it"
        ))
        .hint("run the same command again: it goes on where it stopped"));
    }
    contract.state = maker.map_or("present", |maker| maker.state);
    contract.transaction = maker.and_then(|maker| maker.transaction);
    Ok(())
}

/// What an interrupted run sent may still wait for a block: the same contract is not sent again beside it.
async fn wait_for_earlier(chain: &Chain, account: Address, progress: &Progress) -> Result<(), Failure> {
    let started = Instant::now();
    loop {
        let waiting = chain.waiting_transactions(account).await?;
        if waiting == 0 {
            return Ok(());
        }
        if started.elapsed() > RECEIPT_LIMIT {
            return Err(Failure::new(
                exit::WAITING,
                format!("{waiting} earlier transactions of {account} are in no block yet"),
            )
            .hint("run the same command again once they are"));
        }
        progress.say(&format!("waiting for {waiting} earlier transactions of {account}"));
        tokio::time::sleep(EARLIER_PAUSE).await;
    }
}

fn render(report: &Report, page: &mut Page) {
    page.title(&format!("Deployment on chain {}", report.chain_id));
    page.field("registry", &report.registry_origin);
    page.field("registrar", report.registrar);
    page.field("claims", format!("provisional for {} seconds", report.claim_window));
    for key in &report.npm_keys {
        page.field("npm key", format!("{} {}", key.x, key.y));
        page.field("", format!("valid from {} to {} (Unix seconds)", key.valid_from, key.valid_to));
    }
    page.field("through", format!("{DEPLOYMENT_PROXY} (CREATE2)"));
    for Placed { step, state, transaction } in &report.contracts {
        page.gap();
        match step.maker {
            Maker::Proxy(_) => page.line(&format!("  {} ({state})", step.contract)),
            Maker::Contract(maker) => page.line(&format!("  {} ({state}), made by {maker}", step.contract)),
        }
        page.field("address", step.address);
        page.field("code hash", step.code_hash);
        if let Some(transaction) = transaction {
            page.field("transaction", transaction);
        }
    }
    let address = |name| {
        report.contracts.iter().find(|placed| placed.step.contract == name).map(|placed| placed.step.address)
    };
    if let (Some(names), Some(packages)) = (address("NameRegistry"), address("PackageRegistry")) {
        page.gap();
        if let Some(path) = &report.networks_file {
            page.field("written to", path.display());
        }
        page.next(&format!(
            "3pm init --chain-id {} --name-registry {names} --package-registry {packages} --claim-window {} --rpc-url URL",
            report.chain_id, report.claim_window
        ));
    }
}
