//! Puts the two registries on the local chain and says where they are. The contracts are the ones of
//! `contracts/artifacts`; nothing here is special about them but that a claim is final at once.

use std::time::{Duration, Instant};

use alloy_primitives::{Address, Bytes};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::WorldError;
use super::node::{CHAIN_ID, Node};
use super::registry::Registry;

/// anvil's account that signs for the registrar; nobody's wallet.
const REGISTRAR_ACCOUNT: usize = 9;

/// anvil's account that pays for the deployment.
const DEPLOYER_ACCOUNT: usize = 8;

/// A claim is final at once: on a development chain nobody waits 14 days.
const CLAIM_WINDOW: u64 = 0;

/// A block comes with the transaction.
const RECEIPT_LIMIT: Duration = Duration::from_secs(20);

/// Where the contracts are.
#[derive(Debug, Clone)]
pub(crate) struct Deployment {
    /// Who may speak for a name.
    pub(crate) name_registry: Address,
    /// What they said.
    pub(crate) package_registry: Address,
    /// Whose signature a claim needs.
    pub(crate) registrar: Address,
}

/// Deploys both: one creates the other.
pub(crate) async fn deploy(node: &Node, registry: &Registry) -> Result<Deployment, WorldError> {
    let account = |index: usize| {
        node.accounts.get(index).copied().ok_or_else(|| WorldError::Chain {
            method: "eth_accounts".into(),
            reason: format!("expected {} accounts, found {}", index + 1, node.accounts.len()),
        })
    };
    let (registrar, deployer) = (account(REGISTRAR_ACCOUNT)?, account(DEPLOYER_ACCOUNT)?);
    let code = chain::deploy::name_registry(registry.url.as_str(), registrar, CLAIM_WINDOW, Vec::new());
    let name_registry = create(node, "NameRegistry", deployer, &code).await?;
    let package_registry = chain::deploy::package_registry_of(name_registry);
    Ok(Deployment { name_registry, package_registry, registrar })
}

impl Deployment {
    /// `config.json` of somebody who lives in this world.
    pub(crate) fn configuration(&self, node: &Node, registry: &Registry, coordinator: &Url) -> Value {
        json!({
            "network": "local",
            "networks": {
                "local": {
                    "chainId": CHAIN_ID,
                    "rpcUrls": [node.url],
                    "nameRegistry": self.name_registry,
                    "packageRegistry": self.package_registry,
                    "coordinatorUrl": coordinator,
                    "confirmations": 1,
                    "registryOrigin": registry.url,
                }
            }
        })
    }
}

async fn create(
    node: &Node,
    contract: &'static str,
    from: Address,
    code: &Bytes,
) -> Result<Address, WorldError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Receipt {
        status: String,
        contract_address: Option<Address>,
    }
    let hash: Value = node.call("eth_sendTransaction", json!([{ "from": from, "data": code }])).await?;
    let sent = Instant::now();
    loop {
        let receipt: Option<Receipt> = node.call("eth_getTransactionReceipt", json!([hash])).await?;
        match receipt {
            Some(Receipt { status, contract_address: Some(address) }) if status == "0x1" => {
                return Ok(address);
            }
            Some(_) => {
                return Err(WorldError::Deployment { contract, reason: "its constructor reverted".into() });
            }
            None if sent.elapsed() > RECEIPT_LIMIT => {
                return Err(WorldError::Deployment {
                    contract,
                    reason: "no block held it within 20 s".into(),
                });
            }
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
