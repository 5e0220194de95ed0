//! Reads, all of them pinned to one block hash that more than half of the configured endpoints agree on.
//!
//! Steps for a head, each with a test that breaks only it: 1. who serves another chain does not count, 2. a height
//! that more than half have reached, 3. one hash for it, 4. not older than
//! five minutes, 5. not ahead of the clock, 6. not behind one already seen, 7. where code is pinned, that code
//! is there. All of it within `HEAD_TIME`.
//!
//! With a memory ([`Chain::with_past`]), records that show less than an earlier run saw are an error.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, FixedBytes, U256, hex, keccak256};
use alloy_sol_types::SolCall;
use client::http::{Http, Limits, public_endpoint};
use futures_util::future::{join_all, try_join, try_join_all};
use serde::Serialize;
use serde_json::{Value, json};
use trust::past::Past;
use trust::record::{PackageRecord, PackageState, ReleaseRecord, ReleaseStatus};
use trust::{ContentHash, Integrity, PackageName, Version, signature};
use url::Url;

use crate::abi::{Erc1271, names, packages, safety};
use crate::deploy::RegistryKey;
use crate::error::{ChainError, MemberSignatureError, NEWEST};
use crate::network::{Network, PinnedCode, Reads, is_development_chain};
use crate::quorum;
use crate::rpc::{self, HEAD_TIME, LIMITS, RpcError};
use crate::seen::{Sightings, Witness};

/// Base makes a block every two seconds; five minutes tell an outage from a pause.
const MAX_HEAD_AGE: u64 = 300;

/// Keys of a registry that are read: it has had three in all its years.
const MAX_KEYS: u64 = 64;

/// How far a block may be ahead of this machine's clock.
const MAX_HEAD_AHEAD: u64 = 60;

/// Two questions at once, and time left for the block.
const HEIGHT_LIMITS: Limits = Limits { bytes: 1 << 20, time: Duration::from_secs(2) };

/// Names or releases in one call: about 60 kB of answer for a hundred.
const CHUNK: usize = 100;

/// Such calls at the same time.
const PARALLEL: usize = 4;

/// An account whose code begins so delegates to another (EIP-7702): its own key decides, not that code.
const DELEGATION: [u8; 3] = hex!("ef0100");

/// A deployment that can be read.
#[derive(Debug, Clone)]
pub struct Chain {
    http: Http,
    network: Arc<Network>,
    floor: u64,
    /// The newest block that this process agreed on; none on a chain that may start over.
    newest: Arc<Mutex<Option<Head>>>,
    reads: Reads,
    code: Option<PinnedCode>,
    /// Whether the pinned code was found. Code at an address never changes, so once is enough.
    code_found: Arc<AtomicBool>,
    /// Which endpoint proved something last.
    preferred: Arc<AtomicUsize>,
    /// What was seen; none where a chain may start over.
    witness: Option<Witness>,
}

/// The block every read of a run is pinned to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Head {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// Its time, Unix seconds.
    pub timestamp: u64,
}

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Whether it did what it should.
    pub success: bool,
    /// The block it is in.
    pub block_number: u64,
    /// That block's hash.
    pub block_hash: B256,
    /// The contract it created.
    pub contract_address: Option<Address>,
}

/// A deployment as it is on chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deployed {
    /// Who vouches for claims.
    pub registrar: Address,
    /// The registry it serves.
    pub registry_origin: String,
    /// How long a claim is provisional, in seconds.
    pub claim_window: u64,
    /// The registry's signing keys that it ever had, those that ended included; the first 64.
    pub npm_keys: Vec<RegistryKey>,
    /// The `NameRegistry` that `PackageRegistry` asks.
    pub name_registry_of_packages: Address,
    /// Hash of `NameRegistry`'s code.
    pub name_registry_code_hash: B256,
    /// Hash of `PackageRegistry`'s code.
    pub package_registry_code_hash: B256,
}

impl Chain {
    /// Reads of `network`.
    #[must_use]
    pub fn new(http: Http, network: Network) -> Self {
        Self {
            http,
            network: Arc::new(network),
            floor: 0,
            newest: Arc::default(),
            reads: Reads::Calls,
            code: None,
            code_found: Arc::default(),
            preferred: Arc::default(),
            witness: None,
        }
    }

    /// Refuses contracts with other code.
    #[must_use]
    pub fn with_code(self, code: PinnedCode) -> Self {
        Self { code: Some(code), code_found: Arc::default(), ..self }
    }

    /// Reads packages and releases by storage proof from contracts with this code.
    #[must_use]
    pub fn with_proofs(self, code: PinnedCode) -> Self {
        Self { reads: Reads::Proofs, ..self.with_code(code) }
    }

    /// Refuses heads below `number`: the highest that an earlier run has seen.
    #[must_use]
    pub fn with_floor(self, number: u64) -> Self {
        Self { floor: number, newest: Arc::default(), ..self }
    }

    /// Refuses views that show less than `past`, and remembers what it sees.
    #[must_use]
    pub fn with_past(self, past: Past) -> Self {
        Self { floor: past.block(), witness: Some(Witness::new(past)), ..self }
    }

    /// What this and earlier runs saw; `None` without a memory.
    #[must_use]
    pub fn sightings(&self) -> Option<Sightings> {
        self.witness.as_ref().map(Witness::sightings)
    }

    /// The deployment.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The block to read at; the steps are listed at the head of this module.
    pub async fn head(&self, now: u64) -> Result<Head, ChainError> {
        let too_slow = ChainError::TooSlow { what: NEWEST, limit: HEAD_TIME };
        let agreed =
            tokio::time::timeout(HEAD_TIME, self.agree_on_head(now)).await.unwrap_or(Err(too_slow))?;
        let head = self.never_back(agreed, now)?;
        if let Some(witness) = &self.witness {
            witness.see_block(head.number);
        }
        Ok(head)
    }

    /// Endpoints that have fallen behind do not take this process back: it goes on at the block it was at.
    fn never_back(&self, agreed: Head, now: u64) -> Result<Head, ChainError> {
        if is_development_chain(self.network.chain_id) {
            return Ok(agreed);
        }
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let head = newest.filter(|seen| seen.number > agreed.number).unwrap_or(agreed);
        check_age(&head, now)?;
        *newest = Some(head);
        Ok(head)
    }

    async fn agree_on_head(&self, now: u64) -> Result<Head, ChainError> {
        let urls = &self.network.rpc_urls;
        if urls.is_empty() {
            return Err(ChainError::NoEndpoints { network: self.network.name.clone() });
        }
        // 1. and 2.
        let asked = urls.iter().map(|url| self.endpoint_height(url));
        let (mut heights, mut stranger, mut failure) = (Vec::new(), None, None);
        for (url, answer) in urls.iter().zip(join_all(asked).await) {
            match answer {
                Ok((found, _)) if found != self.network.chain_id => {
                    let expected = self.network.chain_id;
                    stranger.get_or_insert(ChainError::WrongChain {
                        url: public_endpoint(url),
                        found,
                        expected,
                    });
                }
                Ok((_, height)) => heights.push(height),
                // What an endpoint said that is wrong tells more than that one said nothing.
                Err(error) if failure.as_ref().is_none_or(RpcError::is_silence) => failure = Some(error),
                Err(_) => {}
            }
        }
        heights.sort_unstable_by(|a, b| b.cmp(a));
        let Some(number) = heights.get(urls.len() / 2).copied() else {
            let (answered, configured) = (heights.len(), urls.len());
            let unreachable = ChainError::Unreachable { what: NEWEST, answered, configured, source: failure };
            return Err(stranger.unwrap_or(unreachable));
        };
        // 3.
        let block = self.block(number).await?;
        // 4. and 5.
        if !is_development_chain(self.network.chain_id) {
            check_age(&block, now)?;
        }
        // 6.
        if block.number < self.floor {
            return Err(ChainError::Behind { found: block.number, floor: self.floor });
        }
        // 7.
        if let Some(code) = self.code.as_ref().filter(|_| !self.code_found.load(Ordering::Relaxed)) {
            match self.reads {
                Reads::Calls => self.check_code(&block, code).await?,
                Reads::Proofs => self.prove_code(&block, code).await?,
            }
            self.code_found.store(true, Ordering::Relaxed);
        }
        Ok(block)
    }

    async fn check_code(&self, at: &Head, code: &PinnedCode) -> Result<(), ChainError> {
        let (names_at, packages_at) = (self.network.name_registry, self.network.package_registry);
        let (names, packages) = try_join(self.code_at(at, names_at), self.code_at(at, packages_at)).await?;
        for (contract, address, expected, there) in [
            ("NameRegistry", names_at, code.name_registry, names),
            ("PackageRegistry", packages_at, code.package_registry, packages),
        ] {
            let found = keccak256(there);
            if found != expected {
                return Err(ChainError::OtherCode { contract, address, found, expected });
            }
        }
        Ok(())
    }

    /// The block at `number`, as more than half of the endpoints give it.
    pub async fn block(&self, number: u64) -> Result<Head, ChainError> {
        const WHAT: &str = "a block";
        let params = json!([format!("{number:#x}"), false]);
        let keep = |block: Value| json!({ "number": block["number"], "hash": block["hash"], "timestamp": block["timestamp"] });
        let answer = self.ask(WHAT, "eth_getBlockByNumber", &params, keep).await?;
        let head = Head {
            number: quantity(WHAT, &answer["number"])?,
            hash: parsed(WHAT, &answer["hash"])?,
            timestamp: quantity(WHAT, &answer["timestamp"])?,
        };
        if head.number != number {
            return Err(malformed(WHAT, format!("block {} instead of {number}", head.number)));
        }
        Ok(head)
    }

    /// The hash of the block at `number`.
    pub async fn block_hash(&self, number: u64) -> Result<B256, ChainError> {
        Ok(self.block(number).await?.hash)
    }

    /// What the contracts say of each name.
    pub async fn packages(
        &self,
        at: &Head,
        wanted: &[PackageName],
    ) -> Result<Vec<PackageRecord>, ChainError> {
        let found = match (&self.code, self.reads) {
            (Some(code), Reads::Proofs) => self.proven_packages(at, wanted, code).await?,
            _ => self.packages_by_call(at, wanted).await?,
        };
        if let Some(witness) = &self.witness {
            witness.see_packages(at, wanted, &found)?;
        }
        Ok(found)
    }

    async fn packages_by_call(
        &self,
        at: &Head,
        wanted: &[PackageName],
    ) -> Result<Vec<PackageRecord>, ChainError> {
        let mut found = Vec::with_capacity(wanted.len());
        for part in wanted.chunks(CHUNK * PARALLEL) {
            let rounds = part.chunks(CHUNK).map(|chunk| self.packages_of_call(at, chunk));
            found.extend(try_join_all(rounds).await?.into_iter().flatten());
        }
        Ok(found)
    }

    async fn packages_of_call(
        &self,
        at: &Head,
        wanted: &[PackageName],
    ) -> Result<Vec<PackageRecord>, ChainError> {
        let call = names::NameRegistry::getPackagesCall {
            packageNames: wanted.iter().map(ToString::to_string).collect(),
        };
        let records = self.view(at, "packages", self.network.name_registry, &call).await?;
        same_count("packages", wanted.len(), records.len())?;
        records.into_iter().map(package_record).collect()
    }

    /// What the contracts say of one name.
    pub async fn package(&self, at: &Head, name: &PackageName) -> Result<PackageRecord, ChainError> {
        let found = self.packages(at, std::slice::from_ref(name)).await?.pop();
        found.ok_or_else(|| malformed("packages", "no answer".to_owned()))
    }

    /// What the contracts say of each release.
    pub async fn releases(
        &self,
        at: &Head,
        wanted: &[(PackageName, Version)],
    ) -> Result<Vec<ReleaseRecord>, ChainError> {
        let (found, counts) = match (&self.code, self.reads, &self.witness) {
            (Some(code), Reads::Proofs, _) => self.proven_releases(at, wanted, code).await?,
            (_, _, None) => (self.releases_by_call(at, wanted).await?, vec![]),
            (_, _, Some(_)) => {
                let names: BTreeSet<PackageName> = wanted.iter().map(|(name, _)| name.clone()).collect();
                let names: Vec<PackageName> = names.into_iter().collect();
                try_join(self.releases_by_call(at, wanted), self.release_counts(at, &names)).await?
            }
        };
        if let Some(witness) = &self.witness {
            witness.see_counts(at, &counts)?;
            witness.see_releases(at, wanted, &found)?;
        }
        Ok(found)
    }

    async fn releases_by_call(
        &self,
        at: &Head,
        wanted: &[(PackageName, Version)],
    ) -> Result<Vec<ReleaseRecord>, ChainError> {
        let mut found = Vec::with_capacity(wanted.len());
        for part in wanted.chunks(CHUNK * PARALLEL) {
            let rounds = part.chunks(CHUNK).map(|chunk| self.releases_of_call(at, chunk));
            found.extend(try_join_all(rounds).await?.into_iter().flatten());
        }
        Ok(found)
    }

    async fn releases_of_call(
        &self,
        at: &Head,
        wanted: &[(PackageName, Version)],
    ) -> Result<Vec<ReleaseRecord>, ChainError> {
        let keys = wanted
            .iter()
            .map(|(name, version)| packages::PackageRegistry::ReleaseKey {
                packageName: name.to_string(),
                version: version.to_string(),
            })
            .collect();
        let call = packages::PackageRegistry::getReleasesCall { keys };
        let records = self.view(at, "releases", self.network.package_registry, &call).await?;
        same_count("releases", wanted.len(), records.len())?;
        records.into_iter().map(release_record).collect()
    }

    /// What the contracts say of one release.
    pub async fn release(
        &self,
        at: &Head,
        name: &PackageName,
        version: &Version,
    ) -> Result<ReleaseRecord, ChainError> {
        let found = self.releases(at, &[(name.clone(), version.clone())]).await?.pop();
        found.ok_or_else(|| malformed("releases", "no answer".to_owned()))
    }

    /// The highest nonce used + 1.
    pub async fn next_nonce(&self, at: &Head, name: &PackageName) -> Result<U256, ChainError> {
        let call = packages::PackageRegistry::getNonceCall { packageName: name.to_string() };
        self.view(at, "the nonce", self.network.package_registry, &call).await
    }

    /// Whether a release was recorded under `nonce`.
    pub async fn is_nonce_used(
        &self,
        at: &Head,
        name: &PackageName,
        nonce: U256,
    ) -> Result<bool, ChainError> {
        let call = packages::PackageRegistry::isNonceUsedCall { id: name.id(), nonce };
        self.view(at, "the nonce", self.network.package_registry, &call).await
    }

    /// Whether `member` took its signature under `nonce` back.
    pub async fn is_withdrawn(
        &self,
        at: &Head,
        name: &PackageName,
        nonce: U256,
        member: Address,
    ) -> Result<bool, ChainError> {
        let call = packages::PackageRegistry::isWithdrawnCall { id: name.id(), nonce, member };
        self.view(at, "a withdrawal", self.network.package_registry, &call).await
    }

    /// The members at an epoch.
    pub async fn members_at(
        &self,
        at: &Head,
        name: &PackageName,
        epoch: u32,
    ) -> Result<Vec<Address>, ChainError> {
        let call = names::NameRegistry::membersAtCall { id: name.id(), epoch };
        self.view(at, "members", self.network.name_registry, &call).await
    }

    /// What each of `scorers` last reported about exact bytes, at the `SafetyRegistry` of that address: the hash of the
    /// report, zero for none.
    pub async fn reports(
        &self,
        at: &Head,
        safety_registry: Address,
        (name, version, integrity): (&PackageName, &Version, &Integrity),
        scorers: &[Address],
    ) -> Result<Vec<B256>, ChainError> {
        let (hi, lo) = integrity.words();
        let release = [keccak256(name.as_str()), keccak256(version.to_string()), hi, lo];
        let key = keccak256(release.concat());
        let call = safety::SafetyRegistry::getReportsCall { release: key, scorers: scorers.to_vec() };
        let found = self.view(at, "reports", safety_registry, &call).await?;
        same_count("reports", scorers.len(), found.len())?;
        Ok(found)
    }

    /// Who vouches for claims.
    pub async fn registrar(&self, at: &Head) -> Result<Address, ChainError> {
        self.view(at, "the registrar", self.network.name_registry, &names::NameRegistry::registrarCall {})
            .await
    }

    /// What a deployment says about itself.
    pub async fn deployment(&self, at: &Head) -> Result<Deployed, ChainError> {
        const WHAT: &str = "the deployment";
        let (names_at, packages_at) = (self.network.name_registry, self.network.package_registry);
        let count: U256 = self.view(at, WHAT, names_at, &names::NameRegistry::npmKeyCountCall {}).await?;
        let mut npm_keys = Vec::new();
        for index in 0..u64::try_from(count).unwrap_or(u64::MAX).min(MAX_KEYS) {
            let call = names::NameRegistry::npmKeyAtCall { keyIndex: U256::from(index) };
            npm_keys.push(RegistryKey::from(&self.view(at, WHAT, names_at, &call).await?));
        }
        Ok(Deployed {
            registrar: self.registrar(at).await?,
            registry_origin: self
                .view(at, WHAT, names_at, &names::NameRegistry::registryOriginCall {})
                .await?,
            claim_window: self.view(at, WHAT, names_at, &names::NameRegistry::claimWindowCall {}).await?,
            npm_keys,
            name_registry_of_packages: self
                .view(at, WHAT, packages_at, &packages::PackageRegistry::nameRegistryCall {})
                .await?,
            name_registry_code_hash: keccak256(self.code_at(at, names_at).await?),
            package_registry_code_hash: keccak256(self.code_at(at, packages_at).await?),
        })
    }

    /// How many transactions of `account` were sent and are in no block yet: the most that any endpoint of this chain
    /// knows of, because what one of them has taken on gets into a block whether the others heard of it or not.
    pub async fn waiting_transactions(&self, account: Address) -> Result<u64, ChainError> {
        const WHAT: &str = "a count of transactions";
        const METHOD: &str = "eth_getTransactionCount";
        let mined = self.ask(WHAT, METHOD, &json!([account, "latest"]), |count| count).await?;
        let mined = quantity(WHAT, &mined)?;
        let urls = &self.network.rpc_urls;
        let asked = urls.iter().map(async |url| {
            let (chain_id, _) = self.endpoint_height(url).await?;
            let count = rpc::call(&self.http, url, METHOD, json!([account, "pending"]), LIMITS).await?;
            Ok::<_, RpcError>((chain_id, count))
        });
        let (mut sent, mut failure) = (None, None);
        for answer in join_all(asked).await {
            match answer {
                Ok((chain_id, count)) if chain_id == self.network.chain_id => {
                    sent = sent.max(Some(quantity(WHAT, &count)?));
                }
                Ok(_) => {}
                Err(error) => failure = Some(error),
            }
        }
        let sent = sent.ok_or(ChainError::Unreachable {
            what: WHAT,
            answered: 0,
            configured: urls.len(),
            source: failure,
        })?;
        Ok(sent.saturating_sub(mined))
    }

    /// Checks a member's signature as the contracts do: ECDSA first; a contract wallet (ERC-1271) only when
    /// that does not match and the member's code is no EIP-7702 delegation.
    pub async fn verify_member_signature(
        &self,
        at: &Head,
        member: Address,
        digest: B256,
        signature: &[u8],
    ) -> Result<(), MemberSignatureError> {
        let refused = |source| MemberSignatureError::Refused { member, source };
        if signature.len() > signature::MAX_SIGNATURE_BYTES {
            return Err(refused(Some(signature::SignatureError::TooLong { found: signature.len() })));
        }
        let ecdsa = signature::recover(digest, signature);
        if ecdsa == Ok(member) {
            return Ok(());
        }
        let code = self.code_at(at, member).await?;
        if code.is_empty() || code.starts_with(&DELEGATION) {
            return Err(refused(ecdsa.err()));
        }
        let call =
            Erc1271::isValidSignatureCall { hash: digest, signature: Bytes::copy_from_slice(signature) };
        match self.raw_view(at, "a contract wallet", member, &call.abi_encode()).await {
            Ok(answer) if erc1271_accepts(&answer) => Ok(()),
            Ok(_) | Err(ChainError::Reverted { .. }) => Err(refused(None)),
            Err(error) => Err(error.into()),
        }
    }

    /// The code at an address.
    pub async fn code_at(&self, at: &Head, address: Address) -> Result<Bytes, ChainError> {
        let params = json!([address, block_id(at)]);
        parsed("code", &self.ask("code", "eth_getCode", &params, |code| code).await?)
    }

    /// The balance of an address in the newest block, in wei.
    pub async fn balance(&self, address: Address) -> Result<U256, ChainError> {
        let params = json!([address, "latest"]);
        parsed("a balance", &self.ask("a balance", "eth_getBalance", &params, |balance| balance).await?)
    }

    /// What became of a transaction; `None` while it is in no block.
    pub async fn transaction_receipt(&self, hash: B256) -> Result<Option<Receipt>, ChainError> {
        const WHAT: &str = "a transaction";
        let keep = |receipt: Value| match receipt {
            Value::Null => Value::Null,
            receipt => json!({ "status": receipt["status"], "blockNumber": receipt["blockNumber"],
                "blockHash": receipt["blockHash"], "contractAddress": receipt["contractAddress"] }),
        };
        let answer = self.ask(WHAT, "eth_getTransactionReceipt", &json!([hash]), keep).await?;
        if answer.is_null() {
            return Ok(None);
        }
        Ok(Some(Receipt {
            success: quantity(WHAT, &answer["status"])? == 1,
            block_number: quantity(WHAT, &answer["blockNumber"])?,
            block_hash: parsed(WHAT, &answer["blockHash"])?,
            contract_address: match &answer["contractAddress"] {
                Value::Null => None,
                address => Some(parsed(WHAT, address)?),
            },
        }))
    }

    /// Waits until a transaction is in a block.
    pub async fn wait_for_receipt(&self, hash: B256, timeout: Duration) -> Result<Receipt, ChainError> {
        let waiting = async {
            let mut pause = Duration::from_millis(100);
            loop {
                if let Some(receipt) = self.transaction_receipt(hash).await? {
                    return Ok(receipt);
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(2));
            }
        };
        match tokio::time::timeout(timeout, waiting).await {
            Ok(receipt) => receipt,
            Err(_) => Err(ChainError::NotMined { hash, seconds: timeout.as_secs() }),
        }
    }

    pub(crate) fn http(&self) -> &Http {
        &self.http
    }

    pub(crate) fn preferred(&self) -> &AtomicUsize {
        &self.preferred
    }

    pub(crate) async fn ask(
        &self,
        what: &'static str,
        method: &str,
        params: &Value,
        keep: fn(Value) -> Value,
    ) -> Result<Value, ChainError> {
        quorum::ask(&self.http, &self.network.rpc_urls, what, method, params, LIMITS, keep).await
    }

    async fn view<C: SolCall>(
        &self,
        at: &Head,
        what: &'static str,
        to: Address,
        call: &C,
    ) -> Result<C::Return, ChainError> {
        let answer = self.raw_view(at, what, to, &call.abi_encode()).await?;
        if answer.is_empty() {
            // Calls to an address without code succeed with nothing.
            return Err(ChainError::NoContract { address: to, chain_id: self.network.chain_id });
        }
        C::abi_decode_returns_validate(&answer).map_err(|error| malformed(what, error.to_string()))
    }

    async fn raw_view(
        &self,
        at: &Head,
        what: &'static str,
        to: Address,
        data: &[u8],
    ) -> Result<Bytes, ChainError> {
        let params = json!([{ "to": to, "data": Bytes::copy_from_slice(data) }, block_id(at)]);
        parsed(what, &self.ask(what, "eth_call", &params, |answer| answer).await?)
    }

    /// Step 1 and 2 for one endpoint: its chain and its height. Nonsense counts as silence.
    async fn endpoint_height(&self, url: &Url) -> Result<(u64, u64), RpcError> {
        let ask = async |method: &str| {
            let answer = rpc::call(&self.http, url, method, json!([]), HEIGHT_LIMITS).await?;
            quantity("the newest block", &answer).map_err(|error| RpcError::Malformed {
                url: public_endpoint(url),
                method: method.to_owned(),
                reason: error.to_string(),
            })
        };
        let (chain_id, height) = futures_util::future::join(ask("eth_chainId"), ask("eth_blockNumber")).await;
        let chain_id = chain_id?;
        let height = if chain_id == self.network.chain_id { height? } else { 0 };
        Ok((chain_id, height))
    }
}

/// EIP-1898: by hash, and only while that block is part of the chain.
pub(crate) fn block_id(at: &Head) -> Value {
    json!({ "blockHash": at.hash, "requireCanonical": true })
}

/// The full first word is the magic value, as the contracts compare it.
fn erc1271_accepts(answer: &[u8]) -> bool {
    let mut expected = [0_u8; 32];
    expected[..4].copy_from_slice(&Erc1271::isValidSignatureCall::SELECTOR);
    answer.get(..32) == Some(&expected[..])
}

fn check_age(block: &Head, now: u64) -> Result<(), ChainError> {
    let age = now.saturating_sub(block.timestamp);
    if age > MAX_HEAD_AGE {
        return Err(ChainError::Stale { age, limit: MAX_HEAD_AGE });
    }
    let ahead = block.timestamp.saturating_sub(now);
    if ahead > MAX_HEAD_AHEAD {
        return Err(ChainError::Ahead { ahead, limit: MAX_HEAD_AHEAD });
    }
    Ok(())
}

fn same_count(what: &'static str, asked: usize, answered: usize) -> Result<(), ChainError> {
    if asked == answered {
        return Ok(());
    }
    Err(malformed(what, format!("{answered} answers to {asked} questions")))
}

fn package_record(record: names::NameRegistry::Package) -> Result<PackageRecord, ChainError> {
    // The order of `PackageState` in contracts/src/Types.sol.
    let state = match record.state {
        0 => PackageState::None,
        1 => PackageState::Provisional,
        2 => PackageState::Final,
        3 => PackageState::Retired,
        other => return Err(malformed("packages", format!("state {other}"))),
    };
    Ok(PackageRecord {
        state,
        members: record.members,
        threshold: record.threshold,
        release_delay_hours: record.releaseDelayHours,
        config_delay_hours: record.configDelayHours,
        recovery_days: record.recoveryDays,
        guardian: record.guardian,
        legacy_root: record.legacyRoot,
        epoch: record.epoch,
        claimed_at: record.claimedAt,
        final_at: record.finalAt,
        retired_at: record.retiredAt,
        pending_change: record.pendingChange,
        pending_ready_at: record.pendingReadyAt,
        recovery_pending: record.recoveryPending,
    })
}

fn release_record(record: packages::PackageRegistry::ReleaseView) -> Result<ReleaseRecord, ChainError> {
    // The order of `Status` in contracts/src/Types.sol.
    let status = match record.status {
        0 => ReleaseStatus::None,
        1 => ReleaseStatus::Active,
        2 => ReleaseStatus::Flagged,
        3 => ReleaseStatus::Cooling,
        4 => ReleaseStatus::Vetoed,
        5 => ReleaseStatus::Revoked,
        other => return Err(malformed("releases", format!("status {other}"))),
    };
    Ok(ReleaseRecord {
        status,
        integrity: Integrity::from_words(record.sha512Hi, record.sha512Lo),
        content_hash: ContentHash(record.contentHash),
        git_sha: FixedBytes(record.gitSha.0),
        published_at: record.publishedAt,
        active_at: record.activeAt,
        epoch: record.epoch,
        threshold: record.threshold,
        signers: record.signers,
        flagged_until: record.flaggedUntil,
    })
}

pub(crate) fn malformed(what: &'static str, reason: String) -> ChainError {
    ChainError::Malformed { what, reason: trust::text::printable(&reason, 300) }
}

pub(crate) fn quantity(what: &'static str, value: &Value) -> Result<u64, ChainError> {
    let number: U256 = parsed(what, value)?;
    u64::try_from(number).map_err(|_| malformed(what, format!("{number} is no 64-bit number")))
}

pub(crate) fn parsed<T: serde::de::DeserializeOwned>(
    what: &'static str,
    value: &Value,
) -> Result<T, ChainError> {
    if !value.is_string() {
        return Err(malformed(
            what,
            format!("{} where text belongs", if value.is_null() { "null" } else { "something else" }),
        ));
    }
    serde_json::from_value(value.clone()).map_err(|error| malformed(what, error.to_string()))
}
