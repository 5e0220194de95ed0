//! A deployment on a real node, with a package and a release in every state there is.

use std::collections::BTreeMap;
use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::{SolCall, SolStruct};
use chain::calls::{self, Call};
use chain::{Chain, Head, Network, PinnedCode, deploy, name_domain, package_domain};
use client::http::{Http, Limits};
use serde::Serialize;
use serde_json::{Value, json};
use trust::message::{
    Config, Domain, Flag, RegistrarProof, Release, Revocation, Veto, claim_commitment, signing_request,
};
use trust::signature::{SignatureSet, pack};
use trust::{PackageName, TarballHashes, Version};
use url::Url;
use wallet::{RpcWallet, Wallet as _};

use crate::node::Anvil;

alloy_sol_types::sol! {
    struct AbiConfig {
        string packageName; address[] members; uint8 threshold; uint16 releaseDelayHours; uint16 configDelayHours;
        uint16 recoveryDays; address guardian; bytes32 legacyRoot; uint32 epoch; uint256 deadline;
    }
    struct AbiRevocation {
        string packageName; string version; uint8 reason; string note; uint32 epoch; uint256 deadline;
    }
    struct AbiFlag { string packageName; string version; string note; uint256 deadline; }

    function recover(AbiConfig c, uint16 signers, bytes signatures, bytes guardianSignature);
    function revoke(AbiRevocation r, uint16 signers, bytes signatures);
    function veto(string packageName, string version, uint16 signers, bytes signatures);
    function flag(AbiFlag f, uint16 signers, bytes signatures);
}

/// How long a claim is provisional here.
pub(crate) const CLAIM_WINDOW: u64 = 600;

const CHAIN_ID: u64 = 31_337;
const PATIENCE: Duration = Duration::from_secs(20);
const DAY: u64 = 24 * 3600;

/// Who vouches for claims, and who may start the recoveries.
const REGISTRAR: usize = 8;
const GUARDIAN: usize = 7;

pub(crate) struct World {
    pub(crate) node: Anvil,
    pub(crate) http: Http,
    pub(crate) network: Network,
    pub(crate) code: PinnedCode,
    people: Vec<RpcWallet>,
}

pub(crate) fn name(text: &str) -> PackageName {
    text.parse().unwrap()
}

pub(crate) fn version(text: &str) -> Version {
    text.parse().unwrap()
}

impl World {
    /// The contracts, and nothing in them.
    pub(crate) async fn empty() -> Self {
        let node = Anvil::start();
        let http = Http::new().unwrap();
        let accounts = chain::rpc_call(&http, &node.url, "eth_accounts", json!([]), Limits::SMALL);
        let accounts: Vec<Address> = serde_json::from_value(accounts.await.unwrap()).unwrap();
        let mut people = Vec::new();
        for account in &accounts[..9] {
            people.push(RpcWallet::connect(http.clone(), node.url.clone(), Some(*account)).await.unwrap());
        }
        let parameters = deploy::Parameters {
            registry_origin: "http://registry.example/".into(),
            registrar: people[REGISTRAR].address(),
            claim_window: CLAIM_WINDOW,
            npm_keys: vec![],
        };
        let plan = deploy::plan(&parameters).unwrap();
        let network = Network {
            name: "local".into(),
            chain_id: CHAIN_ID,
            rpc_urls: vec![node.url.clone()],
            name_registry: plan[0].address,
            package_registry: plan[1].address,
        };
        let code = deploy::pinned_code(CLAIM_WINDOW, network.name_registry).unwrap();
        let world = Self { node, http, network, code, people };
        for creation in plan[..2].iter().filter_map(deploy::creation) {
            world.send(&creation).await;
        }
        world
    }

    /// Every state. The names say which.
    pub(crate) async fn full() -> Self {
        let world = Self::empty().await;
        // A team that has been silent for long enough is recovered by its guardian.
        let silent =
            Config { recoveryDays: 30, guardian: world.person(GUARDIAN), ..world.claim_of("silent") };
        world.claim(&silent).await;
        world.pass(CLAIM_WINDOW + 40 * DAY).await;
        let taken = Config { members: vec![world.person(5)], epoch: 1, ..world.renewed(&silent).await };
        world.recover(&taken).await;

        let solo = world.claim_of("solo");
        let team = Config {
            members: (0..3).map(|index| world.person(index)).collect(),
            threshold: 2,
            releaseDelayHours: 24,
            configDelayHours: 48,
            recoveryDays: 90,
            guardian: world.person(GUARDIAN),
            legacyRoot: B256::repeat_byte(0x77),
            ..world.claim_of("@scope/team")
        };
        let moved = Config { legacyRoot: B256::repeat_byte(0x55), ..world.claim_of("moved") };
        let gone = world.claim_of("gone");
        for config in [&solo, &team, &moved, &gone] {
            world.claim(&world.renewed(config).await).await;
        }
        world.pass(CLAIM_WINDOW).await;

        for (version, nonce) in [("1.0.0", 0), ("1.1.0", 1), ("1.2.0", 2), ("1.3.0-rc.1", 3)] {
            world.publish(&solo, version, nonce, &[0]).await;
        }
        world.flag(&solo, "1.1.0").await;
        world.revoke(&solo, "1.2.0").await;
        world.revoke(&solo, "0.0.1").await;

        // Recorded by members who then left; the seats of their epoch stay.
        world.publish(&moved, "1.0.0", 9, &[0]).await;
        let others: Vec<Address> = (1..5).map(|index| world.person(index)).collect();
        let next = Config { members: others, threshold: 3, epoch: 1, ..world.renewed(&moved).await };
        world.configure(&moved, &next, &[0], &[1, 3, 4]).await;
        world.publish(&next, "2.0.0", 10, &[2, 3, 4]).await;

        let nobody = Config { members: vec![], threshold: 0, epoch: 1, ..world.renewed(&gone).await };
        world.publish(&gone, "1.0.0", 0, &[0]).await;
        world.configure(&gone, &nobody, &[0], &[]).await;

        world.publish(&team, "1.0.0", 0, &[0, 2]).await;
        world.pass(DAY).await;
        for (version, nonce) in [("2.0.0", 1), ("3.0.0", 2)] {
            world.publish(&team, version, nonce, &[1, 2]).await;
        }
        world.veto(&team, "3.0.0").await;
        let waiting = Config { threshold: 3, epoch: 1, ..world.renewed(&team).await };
        world.configure(&team, &waiting, &[0, 1], &[0, 1, 2]).await;

        world.claim(&world.claim_of("fresh")).await;
        world
    }

    /// Every name above, and one that nobody claimed.
    pub(crate) fn names() -> Vec<PackageName> {
        ["nobody", "fresh", "solo", "@scope/team", "moved", "gone", "silent"].map(name).to_vec()
    }

    /// Every release above, and some that are none.
    pub(crate) fn releases() -> Vec<(PackageName, Version)> {
        [
            ("nobody", "1.0.0"),
            ("fresh", "1.0.0"),
            ("solo", "0.0.1"),
            ("solo", "1.0.0"),
            ("solo", "1.1.0"),
            ("solo", "1.2.0"),
            ("solo", "1.3.0-rc.1"),
            ("solo", "9.9.9"),
            ("@scope/team", "1.0.0"),
            ("@scope/team", "2.0.0"),
            ("@scope/team", "3.0.0"),
            ("moved", "1.0.0"),
            ("moved", "2.0.0"),
            ("gone", "1.0.0"),
        ]
        .map(|(package, release)| (name(package), version(release)))
        .to_vec()
    }

    /// Reads by call, through these endpoints.
    pub(crate) fn by_calls(&self, urls: &[Url]) -> Chain {
        Chain::new(self.http.clone(), Network { rpc_urls: urls.to_vec(), ..self.network.clone() })
    }

    /// Reads by proof, through these endpoints.
    pub(crate) fn by_proofs(&self, urls: &[Url]) -> Chain {
        self.by_calls(urls).with_proofs(self.code)
    }

    /// The node itself, believed.
    pub(crate) fn truth(&self) -> Chain {
        self.by_calls(std::slice::from_ref(&self.node.url))
    }

    pub(crate) async fn head(&self) -> Head {
        self.truth().head(0).await.unwrap()
    }

    /// One question to the node.
    pub(crate) async fn rpc(&self, method: &str, params: Value) -> Value {
        chain::rpc_call(&self.http, &self.node.url, method, params, Limits::SMALL).await.unwrap()
    }

    /// Time passes, and a block shows it.
    pub(crate) async fn pass(&self, seconds: u64) {
        self.rpc("evm_increaseTime", json!([seconds])).await;
        self.rpc("evm_mine", json!([])).await;
    }

    fn person(&self, index: usize) -> Address {
        self.people[index].address()
    }

    /// A claim by the first person alone, without delays.
    pub(crate) fn claim_of(&self, package: &str) -> Config {
        Config {
            packageName: package.into(),
            members: vec![self.person(0)],
            threshold: 1,
            releaseDelayHours: 0,
            configDelayHours: 0,
            recoveryDays: 180,
            guardian: Address::ZERO,
            legacyRoot: B256::ZERO,
            epoch: 0,
            deadline: U256::ZERO,
        }
    }

    /// With a deadline an hour from now.
    async fn renewed(&self, config: &Config) -> Config {
        Config { deadline: U256::from(self.head().await.timestamp + 3600), ..config.clone() }
    }

    pub(crate) async fn claim(&self, config: &Config) {
        let config = self.renewed(config).await;
        let (head, domain) = (self.head().await, name_domain(&self.network));
        let digest = signing_request(&config, &domain.eip712()).unwrap().digest;
        let proof = RegistrarProof { commitment: claim_commitment(digest, head.hash) };
        let vouched = self.sign(REGISTRAR, &proof, &domain).await;
        let by: Vec<usize> = (0..config.threshold.into()).collect();
        let own = self.sign_all(&by, &config.members, &config, &domain).await;
        self.send(&calls::claim(&self.network, &config, &own, head.number, &vouched)).await;
    }

    pub(crate) async fn configure(&self, current: &Config, next: &Config, by: &[usize], by_new: &[usize]) {
        let domain = name_domain(&self.network);
        let old = self.sign_all(by, &current.members, next, &domain).await;
        let new = self.sign_all(by_new, &next.members, next, &domain).await;
        self.send(&calls::configure(&self.network, next, &old, &new)).await;
    }

    async fn recover(&self, next: &Config) {
        let domain = name_domain(&self.network);
        let SignatureSet { signers, blob, .. } = self.sign_all(&[5], &next.members, next, &domain).await;
        let guardian = self.sign(GUARDIAN, next, &domain).await;
        let c = AbiConfig {
            packageName: next.packageName.clone(),
            members: next.members.clone(),
            threshold: next.threshold,
            releaseDelayHours: next.releaseDelayHours,
            configDelayHours: next.configDelayHours,
            recoveryDays: next.recoveryDays,
            guardian: next.guardian,
            legacyRoot: next.legacyRoot,
            epoch: next.epoch,
            deadline: next.deadline,
        };
        let call = recoverCall { c, signers, signatures: blob, guardianSignature: guardian };
        self.send_to(self.network.name_registry, &call).await;
    }

    pub(crate) async fn publish(&self, config: &Config, release: &str, nonce: u64, by: &[usize]) {
        let hashes = TarballHashes::of(format!("{} {release}", config.packageName).as_bytes());
        let release = Release {
            packageName: config.packageName.clone(),
            version: release.into(),
            integrity: hashes.integrity.to_string(),
            contentHash: hashes.content_hash.0,
            gitSha: alloy_primitives::keccak256(release),
            ciRunUrl: "https://ci.example/1".into(),
            epoch: config.epoch,
            nonce: U256::from(nonce),
            deadline: U256::from(self.head().await.timestamp + 3600),
        };
        let signatures = self.sign_all(by, &config.members, &release, &package_domain(&self.network)).await;
        self.send(&calls::publish(&self.network, &release, &signatures).unwrap()).await;
    }

    async fn flag(&self, config: &Config, release: &str) {
        let deadline = U256::from(self.head().await.timestamp + 6 * DAY);
        let (package_name, release, note) =
            (config.packageName.clone(), release.to_owned(), "look out".to_owned());
        let message = Flag {
            packageName: package_name.clone(),
            version: release.clone(),
            note: note.clone(),
            deadline,
        };
        let SignatureSet { signers, blob, .. } = self.sign_one(config, &message).await;
        let f = AbiFlag { packageName: package_name, version: release, note, deadline };
        self.send_to(self.network.package_registry, &flagCall { f, signers, signatures: blob }).await;
    }

    pub(crate) async fn revoke(&self, config: &Config, release: &str) {
        let deadline = U256::from(self.head().await.timestamp + 3600);
        let (package_name, release, note) = (config.packageName.clone(), release.to_owned(), String::new());
        let message = Revocation {
            packageName: package_name.clone(),
            version: release.clone(),
            reason: 1,
            note: note.clone(),
            epoch: config.epoch,
            deadline,
        };
        let SignatureSet { signers, blob, .. } = self.sign_one(config, &message).await;
        let r = AbiRevocation {
            packageName: package_name,
            version: release,
            reason: 1,
            note,
            epoch: config.epoch,
            deadline,
        };
        self.send_to(self.network.package_registry, &revokeCall { r, signers, signatures: blob }).await;
    }

    async fn veto(&self, config: &Config, release: &str) {
        let (package_name, release) = (config.packageName.clone(), release.to_owned());
        let message = Veto { packageName: package_name.clone(), version: release.clone() };
        let SignatureSet { signers, blob, .. } = self.sign_one(config, &message).await;
        let call = vetoCall { packageName: package_name, version: release, signers, signatures: blob };
        self.send_to(self.network.package_registry, &call).await;
    }

    async fn sign_one<M: SolStruct + Serialize + Sync>(&self, config: &Config, message: &M) -> SignatureSet {
        self.sign_all(&[0], &config.members, message, &package_domain(&self.network)).await
    }

    async fn sign_all<M: SolStruct + Serialize + Sync>(
        &self,
        by: &[usize],
        members: &[Address],
        message: &M,
        domain: &Domain,
    ) -> SignatureSet {
        let mut signatures: BTreeMap<Address, Bytes> = BTreeMap::new();
        for index in by {
            signatures.insert(self.person(*index), self.sign(*index, message, domain).await);
        }
        pack(members, &signatures).unwrap()
    }

    async fn sign<M: SolStruct + Serialize + Sync>(&self, who: usize, message: &M, domain: &Domain) -> Bytes {
        let request = signing_request(message, &domain.eip712()).unwrap();
        self.people[who].sign(&request).await.unwrap()
    }

    async fn send_to<C: SolCall>(&self, to: Address, call: &C) {
        self.send(&Call { to, data: call.abi_encode().into() }).await;
    }

    async fn send(&self, call: &Call) {
        let hash = self.people[6].send_transaction(CHAIN_ID, call).await.unwrap();
        assert!(self.truth().wait_for_receipt(hash, PATIENCE).await.unwrap().success);
    }
}
