//! Records by storage proof: one endpoint serves header, words and proofs, `trust` verifies them against the
//! block hash that was agreed on, and nothing else that the endpoint says is used. Does not choose the block.
//!
//! Steps, each with a test that breaks only it: 1. the header hashes to the agreed hash, with the agreed number
//! and time, 2. proof of the pinned code and of each record's first word, 3. proof of the words and seats those
//! ask for, 4. the words make a record. An endpoint that fails in 1. to 3. is passed over for the next; where
//! none is left, that is an error.
//!
//! Follows EIP-1186 (`eth_getProof`) and EIP-1898 (blocks by hash).

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use alloy_primitives::{Address, B256, U256};
use client::http::public_endpoint;
use futures_util::StreamExt as _;
use futures_util::future::{try_join, try_join_all};
use futures_util::stream::FuturesUnordered;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use trust::proof::{
    AccountProof, Header, ProofError, ProvenHeader, ProvenStorage, verify_header, verify_storage,
};
use trust::record::{PackageRecord, ReleaseRecord};
use trust::storage::{
    StorageError, StoredName, StoredRelease, name_slot, release_count, release_count_slot, release_slot,
};
use trust::{PackageName, Version};
use url::Url;

use crate::error::ChainError;
use crate::network::PinnedCode;
use crate::reads::{Chain, Head, malformed};
use crate::rpc::{self, LIMITS};

/// Records in one round. Each asks for up to 19 words of one contract, and geth proves at most 1024 at once.
const CHUNK: usize = 50;

/// Rounds at the same time: the whole tree of a large project in a few.
const ROUNDS: usize = 4;

/// How long an endpoint is waited for before another one is asked as well.
const HEAD_START: Duration = Duration::from_millis(500);

/// A contract whose words are to be proven.
#[derive(Clone, Copy)]
struct Contract {
    what: &'static str,
    address: Address,
    code_hash: B256,
}

impl Chain {
    /// What the contracts say of each name.
    pub(crate) async fn proven_packages(
        &self,
        at: &Head,
        wanted: &[PackageName],
        code: &PinnedCode,
    ) -> Result<Vec<PackageRecord>, ChainError> {
        let mut found = Vec::with_capacity(wanted.len());
        for part in wanted.chunks(CHUNK * ROUNDS) {
            let rounds = part.chunks(CHUNK).map(|chunk| self.packages_of_round(at, chunk, code));
            found.extend(try_join_all(rounds).await?.into_iter().flatten());
        }
        Ok(found)
    }

    /// What the contracts say of each release, and how many releases each of their packages has.
    pub(crate) async fn proven_releases(
        &self,
        at: &Head,
        wanted: &[(PackageName, Version)],
        code: &PinnedCode,
    ) -> Result<(Vec<ReleaseRecord>, Vec<(PackageName, u64)>), ChainError> {
        let (mut found, mut counts) = (Vec::with_capacity(wanted.len()), Vec::new());
        for part in wanted.chunks(CHUNK * ROUNDS) {
            let rounds = part.chunks(CHUNK).map(|chunk| self.releases_of_round(at, chunk, code));
            for (records, counted) in try_join_all(rounds).await? {
                found.extend(records);
                counts.extend(counted);
            }
        }
        Ok((found, counts))
    }

    /// That the pinned code is at both addresses.
    pub(crate) async fn prove_code(&self, at: &Head, code: &PinnedCode) -> Result<(), ChainError> {
        let (names, packages) =
            (self.names_contract("the contracts", code), self.packages_contract("the contracts", code));
        try_join(self.prove(at, names, [].into_iter()), self.prove(at, packages, [].into_iter())).await?;
        Ok(())
    }

    async fn packages_of_round(
        &self,
        at: &Head,
        wanted: &[PackageName],
        code: &PinnedCode,
    ) -> Result<Vec<PackageRecord>, ChainError> {
        let names = self.names_contract("packages", code);
        let first = wanted.iter().map(|name| name_slot(name.id()));
        let (header, words) = self.prove(at, names, first).await?;
        let begun = wanted.iter().map(|name| StoredName::begin(name.id(), &words));
        let begun = begun.collect::<Result<Vec<_>, _>>().map_err(unreadable("packages"))?;

        let rest = self.prove_more(at, &header, names, begun.iter().flat_map(StoredName::slots)).await?;
        let records = begun.iter().map(|name| name.record(&rest, &header, code.claim_window));
        records.collect::<Result<_, _>>().map_err(unreadable("packages"))
    }

    async fn releases_of_round(
        &self,
        at: &Head,
        wanted: &[(PackageName, Version)],
        code: &PinnedCode,
    ) -> Result<(Vec<ReleaseRecord>, Vec<(PackageName, u64)>), ChainError> {
        let names = self.names_contract("releases", code);
        let packages = self.packages_contract("releases", code);
        let first = wanted.iter().map(|(name, version)| release_slot(name.id(), version.hash()));
        let heads = wanted.iter().map(|(name, _)| release_count_slot(name.id()));
        let (header, words) = self.prove(at, packages, first.chain(heads)).await?;
        let counts = wanted.iter().map(|(name, _)| Ok((name.clone(), release_count(name.id(), &words)?)));
        let counts = counts.collect::<Result<Vec<_>, _>>().map_err(unreadable("releases"))?;
        let begun =
            wanted.iter().map(|(name, version)| StoredRelease::begin(name.id(), version.hash(), &words));
        let begun = begun.collect::<Result<Vec<_>, _>>().map_err(unreadable("releases"))?;

        let (rest, seats) = try_join(
            self.prove_more(at, &header, packages, begun.iter().flat_map(StoredRelease::package_slots)),
            self.prove_more(at, &header, names, begun.iter().flat_map(StoredRelease::name_slots)),
        )
        .await?;
        let records = begun.iter().map(|release| release.record(&rest, &seats, &header));
        Ok((records.collect::<Result<_, _>>().map_err(unreadable("releases"))?, counts))
    }

    fn names_contract(&self, what: &'static str, code: &PinnedCode) -> Contract {
        Contract { what, address: self.network().name_registry, code_hash: code.name_registry }
    }

    fn packages_contract(&self, what: &'static str, code: &PinnedCode) -> Contract {
        Contract { what, address: self.network().package_registry, code_hash: code.package_registry }
    }

    /// Words in a state whose header is proven already. No slots, no question.
    async fn prove_more(
        &self,
        at: &Head,
        header: &ProvenHeader,
        contract: Contract,
        slots: impl Iterator<Item = U256>,
    ) -> Result<ProvenStorage, ChainError> {
        let mut slots = slots.peekable();
        if slots.peek().is_none() {
            return Ok(ProvenStorage::default());
        }
        let (proven, words) = self.prove(at, contract, slots).await?;
        debug_assert_eq!(proven, *header, "one hash, one header");
        Ok(words)
    }

    /// The first endpoint whose proofs hold. The one that was right before is asked first; another one joins
    /// when it fails or is slow. One whose proof does not hold is asked once more: at the moment when it learns of a
    /// block, it may answer from the state after that.
    async fn prove(
        &self,
        at: &Head,
        contract: Contract,
        slots: impl Iterator<Item = U256>,
    ) -> Result<(ProvenHeader, ProvenStorage), ChainError> {
        let slots: Vec<U256> = slots.collect::<BTreeSet<_>>().into_iter().collect();
        let urls = &self.network().rpc_urls;
        let preferred = self.preferred().load(Ordering::Relaxed);
        let mut waiting = (0..urls.len()).map(|place| (preferred + place) % urls.len());
        let mut running = FuturesUnordered::new();
        let ask = |index: usize| {
            let (url, slots) = (&urls[index], &slots);
            async move { (index, self.prove_by(url, at, contract, slots).await) }
        };
        let mut again: BTreeSet<usize> = (0..urls.len()).collect();
        let mut failure: Option<ChainError> = None;
        loop {
            if let Some(index) = waiting.next() {
                running.push(ask(index));
            } else if running.is_empty() {
                let network = || ChainError::NoEndpoints { network: self.network().name.clone() };
                return Err(failure.unwrap_or_else(network));
            }
            match tokio::time::timeout(HEAD_START, running.next()).await {
                Ok(Some((index, Ok(proven)))) => {
                    self.preferred().store(index, Ordering::Relaxed);
                    return Ok(proven);
                }
                Ok(Some((index, Err(error)))) => {
                    tracing::warn!(endpoint = %public_endpoint(&urls[index]), %error, "no proof");
                    if matches!(error, ChainError::Unproven { .. }) && again.remove(&index) {
                        running.push(ask(index));
                    }
                    // What an endpoint said that is wrong tells more than that one said nothing.
                    let says_more = !matches!(error, ChainError::Unreachable { .. });
                    if failure.is_none() || says_more {
                        failure = Some(error);
                    }
                }
                Ok(None) | Err(_) => {}
            }
        }
    }

    /// Steps 1 and 2, or 1 and 3, with one endpoint.
    async fn prove_by(
        &self,
        url: &Url,
        at: &Head,
        contract: Contract,
        slots: &[U256],
    ) -> Result<(ProvenHeader, ProvenStorage), ChainError> {
        let Contract { what, address, code_hash } = contract;
        let unproven = |source: ProofError| ChainError::Unproven { what, url: public_endpoint(url), source };
        let keys: Vec<B256> = slots.iter().map(|slot| B256::from(*slot)).collect();
        let (header, proof): (Header, AccountProof) = try_join(
            self.ask_one(url, what, "eth_getBlockByHash", json!([at.hash, false])),
            self.ask_one(url, what, "eth_getProof", json!([address, keys, { "blockHash": at.hash }])),
        )
        .await?;
        // 1.
        let header = verify_header(&header, at.hash).map_err(unproven)?;
        if header.number() != U256::from(at.number) || header.timestamp() != U256::from(at.timestamp) {
            let (number, time) = (header.number(), header.timestamp());
            return Err(malformed(
                "a block",
                format!(
                    "{} is block {number} of {time}, agreed was {} of {}",
                    at.hash, at.number, at.timestamp
                ),
            ));
        }
        // 2. and 3.
        let words = verify_storage(&header, address, code_hash, slots, &proof).map_err(unproven)?;
        Ok((header, words))
    }

    async fn ask_one<T: DeserializeOwned>(
        &self,
        url: &Url,
        what: &'static str,
        method: &str,
        params: Value,
    ) -> Result<T, ChainError> {
        let answer = rpc::call(self.http(), url, method, params, LIMITS).await.map_err(|source| {
            ChainError::Unreachable { what, answered: 0, configured: 1, source: Some(source) }
        })?;
        if answer.is_null() {
            return Err(malformed(what, format!("{} knows no such block", public_endpoint(url))));
        }
        serde_json::from_value(answer)
            .map_err(|error| malformed(what, format!("{} to {method}: {error}", public_endpoint(url))))
    }
}

fn unreadable(what: &'static str) -> impl Fn(StorageError) -> ChainError {
    move |source| ChainError::Storage { what, source }
}
