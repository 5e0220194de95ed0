//! Releases as the contract announced them. An event says where to look; what counts is the record.

use alloy_primitives::{Address, B256, Bytes, Log, LogData, U256};
use alloy_sol_types::SolEvent as _;
use serde::Deserialize;
use serde_json::{Value, json};
use trust::message::Release;
use trust::{Integrity, PackageName, Version};

use crate::abi::packages::PackageRegistry::PackagePublished;
use crate::error::ChainError;
use crate::reads::{Chain, malformed};

/// Blocks in one question; public endpoints refuse more.
const RANGE: u64 = 2_000;

/// Most events that one range may hold.
const MAX_EVENTS: usize = 20_000;

/// A release that was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedEvent {
    /// The package.
    pub name: PackageName,
    /// The version.
    pub version: Version,
    /// What was signed, but for its deadline, which the event does not repeat (zero here).
    pub release: Release,
    /// Who signed, as bits.
    pub signers: u16,
    /// When it becomes Active.
    pub active_at: u64,
    /// The block.
    pub block_number: u64,
    /// That block's hash.
    pub block_hash: B256,
    /// The transaction.
    pub transaction_hash: B256,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawLog {
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
    block_number: U256,
    block_hash: B256,
    transaction_hash: B256,
    #[serde(default)]
    removed: bool,
}

impl Chain {
    /// Releases recorded from `from_block` to `to_block`, both included, oldest first. Those of versions that neither
    /// npm nor we can read (numbers beyond 64 bits) are left out.
    pub async fn releases_published(
        &self,
        from_block: u64,
        to_block: u64,
    ) -> Result<Vec<PublishedEvent>, ChainError> {
        let mut found = Vec::new();
        let mut from = from_block;
        while from <= to_block {
            let to = to_block.min(from.saturating_add(RANGE - 1));
            found.extend(self.range(from, to).await?);
            from = to.saturating_add(1);
        }
        Ok(found)
    }

    async fn range(&self, from: u64, to: u64) -> Result<Vec<PublishedEvent>, ChainError> {
        const WHAT: &str = "events";
        let address = self.network().package_registry;
        let topic = PackagePublished::SIGNATURE_HASH;
        let filter = json!([{ "address": address, "topics": [topic],
            "fromBlock": format!("{from:#x}"), "toBlock": format!("{to:#x}") }]);
        let answer = self.ask(WHAT, "eth_getLogs", &filter, only_what_is_read).await?;
        let logs: Vec<RawLog> =
            serde_json::from_value(answer).map_err(|error| malformed(WHAT, error.to_string()))?;
        if logs.len() > MAX_EVENTS {
            return Err(malformed(WHAT, format!("{} events in {} blocks", logs.len(), to - from + 1)));
        }
        logs.into_iter()
            .filter_map(|log| {
                let number = u64::try_from(log.block_number).unwrap_or(u64::MAX);
                if log.address != address
                    || log.topics.first() != Some(&topic)
                    || !(from..=to).contains(&number)
                {
                    return Some(Err(malformed(WHAT, "an event nobody asked for".to_owned())));
                }
                if log.removed {
                    let what = "an event of a block that is no longer part of the chain";
                    return Some(Err(malformed(WHAT, what.to_owned())));
                }
                match decode(log, number) {
                    Ok(event) => Some(Ok(event)),
                    // Anybody can have one recorded that nobody else reads: it hides nobody's.
                    Err(error) => {
                        tracing::warn!(%error, block = number, "an event is left out");
                        None
                    }
                }
            })
            .collect()
    }
}

/// The fields that are read: software of nodes differs in what it adds.
fn only_what_is_read(mut logs: Value) -> Value {
    const FIELDS: [&str; 7] =
        ["address", "topics", "data", "blockNumber", "blockHash", "transactionHash", "removed"];
    for log in logs.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        log.retain(|field, _| FIELDS.contains(&field.as_str()));
    }
    logs
}

fn decode(log: RawLog, block_number: u64) -> Result<PublishedEvent, ChainError> {
    const WHAT: &str = "events";
    let refused = |reason: String| malformed(WHAT, reason);
    let data = LogData::new(log.topics, log.data).ok_or_else(|| refused("too many topics".to_owned()))?;
    let event = PackagePublished::decode_log(&Log { address: log.address, data })
        .map_err(|error| refused(error.to_string()))?
        .data;
    let name: PackageName = event.packageName.parse().map_err(|error| refused(format!("{error}")))?;
    let version: Version = event.version.parse().map_err(|error| refused(format!("{error}")))?;
    if event.id != name.id() || event.versionHash != version.hash() {
        return Err(refused(format!("an event whose topics are not those of {name}@{version}")));
    }
    let release = Release {
        packageName: event.packageName,
        version: event.version,
        integrity: Integrity::from_words(event.sha512Hi, event.sha512Lo).to_string(),
        contentHash: event.contentHash,
        gitSha: event.gitSha,
        ciRunUrl: event.ciRunUrl,
        epoch: event.epoch,
        nonce: event.nonce,
        deadline: U256::ZERO,
    };
    Ok(PublishedEvent {
        name,
        version,
        release,
        signers: event.signers,
        active_at: event.activeAt,
        block_number,
        block_hash: log.block_hash,
        transaction_hash: log.transaction_hash,
    })
}
