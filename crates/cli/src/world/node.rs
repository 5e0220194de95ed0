//! The local world's chain: anvil on loopback, its own state, a block for every transaction. Does not
//! deploy anything (see `deployment`).

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use alloy_primitives::Address;
use client::http::{Http, Limits};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;

use super::WorldError;
use super::parts::Parts;
use super::processes::Processes;

/// The name it is started under.
pub(crate) const NAME: &str = "chain";

/// anvil's own, which wallets know as a development chain.
pub(crate) const CHAIN_ID: u64 = 31_337;

/// anvil is ready in a quarter of a second on an idle machine.
const START_LIMIT: Duration = Duration::from_secs(30);

const ANSWER: Limits = Limits { bytes: 1024 * 1024, time: Duration::from_secs(10) };

/// The running chain node.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// JSON-RPC over HTTP.
    pub(crate) url: Url,
    /// Its process id.
    pub(crate) pid: u32,
    /// The accounts it signs for.
    pub(crate) accounts: Vec<Address>,
    http: Http,
}

/// Starts anvil and waits until it answers.
pub(crate) async fn start(processes: &mut Processes, parts: &Parts, http: &Http) -> Result<Node, WorldError> {
    let port = free_port().ok_or(WorldError::NoPort { name: NAME })?;
    let url =
        Url::parse(&format!("http://127.0.0.1:{port}/")).map_err(|_| WorldError::NoPort { name: NAME })?;
    // Quiet, because it prints the (publicly known) keys of its accounts otherwise.
    let arguments = ["--host", "127.0.0.1", "--port", &port.to_string(), "--quiet"];
    let arguments = arguments.map(str::to_owned).to_vec();
    let pid = processes.run(NAME, parts.anvil.clone(), arguments, BTreeMap::new()).await?;
    let mut node = Node { url, pid, accounts: Vec::new(), http: http.clone() };
    let started = Instant::now();
    loop {
        if let Some(ended) = processes.try_ended() {
            return Err(WorldError::Ended { name: ended.name, status: ended.status });
        }
        match node.call::<String>("eth_chainId", json!([])).await {
            Ok(id) if id == format!("{CHAIN_ID:#x}") => break,
            Ok(found) => return Err(WorldError::ForeignChain { found }),
            Err(_) if started.elapsed() < START_LIMIT => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(error) => return Err(error),
        }
    }
    node.accounts = node.call("eth_accounts", json!([])).await?;
    Ok(node)
}

impl Node {
    /// One JSON-RPC call. The node is our own child; its answers are limited all the same.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        parameters: Value,
    ) -> Result<T, WorldError> {
        let failed = |reason: String| WorldError::Chain { method: method.to_owned(), reason };
        let answer = chain::rpc_call(&self.http, &self.url, method, parameters, ANSWER).await;
        let answer = answer.map_err(|error| failed(error.to_string()))?;
        serde_json::from_value(answer).map_err(|error| failed(error.to_string()))
    }
}

/// A port that is free right now, for programs that must be told one.
pub(crate) fn free_port() -> Option<u16> {
    Some(TcpListener::bind(("127.0.0.1", 0)).ok()?.local_addr().ok()?.port())
}
