//! Contracts, reads and the external signer together, on a real node: a claim, a team, a release.

#![allow(clippy::unwrap_used, reason = "tests")]

mod acts;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256};
use chain::{
    Chain, ChainError, Head, MemberSignatureError, Network, calls, deploy, name_domain, package_domain,
};
use client::http::Http;
use serde_json::json;
use support::Anvil;
use trust::message::{Config, RegistrarProof, Release, claim_commitment, signing_request};
use trust::record::{PackageState, ReleaseStatus};
use trust::signature::pack;
use trust::{PackageName, TarballHashes, Version};
use wallet::{RpcWallet, Wallet, WalletError};

const PATIENCE: Duration = Duration::from_secs(20);

struct Deployment {
    anvil: Anvil,
    http: Http,
    people: Vec<RpcWallet>,
    registrar: RpcWallet,
    chain: Chain,
}

impl Deployment {
    async fn new() -> Self {
        let anvil = Anvil::start();
        let http = Http::new().unwrap();
        let accounts =
            chain::rpc_call(&http, &anvil.url, "eth_accounts", json!([]), client::http::Limits::SMALL);
        let accounts: Vec<Address> = serde_json::from_value(accounts.await.unwrap()).unwrap();
        let mut people = Vec::new();
        for account in &accounts[..5] {
            people.push(RpcWallet::connect(http.clone(), anvil.url.clone(), Some(*account)).await.unwrap());
        }
        let registrar = people.pop().unwrap();
        let mut network = Network {
            name: "local".into(),
            chain_id: 31337,
            rpc_urls: vec![anvil.url.clone()],
            name_registry: Address::ZERO,
            package_registry: Address::ZERO,
        };
        let code =
            deploy::name_registry("http://registry.example/", registrar.address(), 0, vec![acts::npm_key()]);
        let hash = people[0].create_contract(31337, &code).await.unwrap();
        let receipt = Chain::new(http.clone(), network.clone()).wait_for_receipt(hash, PATIENCE).await;
        network.name_registry = receipt.unwrap().contract_address.unwrap();
        network.package_registry = deploy::package_registry_of(network.name_registry);
        let chain = Chain::new(http.clone(), network);
        Self { anvil, http, people, registrar, chain }
    }

    async fn head(&self) -> Head {
        self.chain.head(0).await.unwrap()
    }

    async fn send(&self, who: usize, call: &calls::Call) -> Result<(), WalletError> {
        let hash = self.people[who].send_transaction(31337, call).await?;
        assert!(self.chain.wait_for_receipt(hash, PATIENCE).await.unwrap().success);
        Ok(())
    }

    fn config(&self, members: &[usize], threshold: u8, epoch: u32, now: u64) -> Config {
        Config {
            packageName: "left-pad".into(),
            members: members.iter().map(|index| self.people[*index].address()).collect(),
            threshold,
            releaseDelayHours: 0,
            configDelayHours: 0,
            recoveryDays: 180,
            guardian: Address::ZERO,
            legacyRoot: B256::ZERO,
            epoch,
            deadline: U256::from(now + 3600),
        }
    }

    async fn sign_config(&self, who: &[usize], config: &Config) -> BTreeMap<Address, Bytes> {
        let request = signing_request(config, &name_domain(self.chain.network()).eip712()).unwrap();
        let mut signatures = BTreeMap::new();
        for index in who {
            signatures
                .insert(self.people[*index].address(), self.people[*index].sign(&request).await.unwrap());
        }
        signatures
    }

    /// A team of three, two of whom must sign.
    async fn claimed(&self) {
        let network = self.chain.network();
        let head = self.head().await;
        let config = self.config(&[0], 1, 0, head.timestamp);
        let digest = signing_request(&config, &name_domain(network).eip712()).unwrap().digest;
        let proof = RegistrarProof { commitment: claim_commitment(digest, head.hash) };
        let request = signing_request(&proof, &name_domain(network).eip712()).unwrap();
        let vouched = self.registrar.sign(&request).await.unwrap();
        let own = pack(&config.members, &self.sign_config(&[0], &config).await).unwrap();
        self.send(3, &calls::claim(network, &config, &own, head.number, &vouched)).await.unwrap();

        let team = self.config(&[0, 1, 2], 2, 1, head.timestamp);
        let current = pack(&config.members, &self.sign_config(&[0], &team).await).unwrap();
        let new = pack(&team.members, &self.sign_config(&[0, 2], &team).await).unwrap();
        self.send(3, &calls::configure(network, &team, &current, &new)).await.unwrap();
    }
}

fn release(bytes: &[u8], nonce: u64, now: u64) -> Release {
    let hashes = TarballHashes::of(bytes);
    Release {
        packageName: "left-pad".into(),
        version: "1.0.0".into(),
        integrity: hashes.integrity.to_string(),
        contentHash: hashes.content_hash.0,
        gitSha: B256::repeat_byte(9),
        ciRunUrl: "https://ci.example/1".into(),
        epoch: 1,
        nonce: U256::from(nonce),
        deadline: U256::from(now + 3600),
    }
}

fn name() -> PackageName {
    "left-pad".parse().unwrap()
}

fn version() -> Version {
    "1.0.0".parse().unwrap()
}

#[tokio::test]
async fn a_claim_a_team_and_a_release_go_on_chain_and_come_back() {
    let world = Deployment::new().await;
    let network = world.chain.network();
    world.claimed().await;
    let head = world.head().await;
    let package = world.chain.package(&head, &name()).await.unwrap();
    assert_eq!((package.state, package.threshold, package.epoch), (PackageState::Final, 2, 1));
    assert_eq!(package.members, world.people[..3].iter().map(Wallet::address).collect::<Vec<_>>());
    assert_eq!(world.chain.registrar(&head).await.unwrap(), world.registrar.address());
    assert_eq!(world.chain.members_at(&head, &name(), 0).await.unwrap(), [world.people[0].address()]);

    let release = release(b"the bytes", 0, head.timestamp);
    let request = signing_request(&release, &package_domain(network).eip712()).unwrap();
    let mut signatures = BTreeMap::new();
    for signer in [&world.people[2], &world.people[0]] {
        signatures.insert(signer.address(), signer.sign(&request).await.unwrap());
    }
    let set = pack(&package.members, &signatures).unwrap();
    world.send(3, &calls::publish(network, &release, &set).unwrap()).await.unwrap();

    // At the older head nothing is there yet: reads are pinned.
    let before = world.chain.release(&head, &name(), &version()).await.unwrap();
    assert_eq!(before.status, ReleaseStatus::None);
    let head = world.head().await;
    let record = world.chain.release(&head, &name(), &version()).await.unwrap();
    let hashes = TarballHashes::of(b"the bytes");
    assert_eq!(
        (record.status, record.integrity, record.content_hash),
        (ReleaseStatus::Active, hashes.integrity, hashes.content_hash)
    );
    assert_eq!(record.signers, [world.people[0].address(), world.people[2].address()]);
    assert_eq!((record.threshold, record.epoch), (2, 1));
    assert_eq!(world.chain.next_nonce(&head, &name()).await.unwrap(), U256::from(1));
    assert!(world.chain.is_nonce_used(&head, &name(), U256::ZERO).await.unwrap());
    let events = world.chain.releases_published(0, head.number).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].release, Release { deadline: U256::ZERO, ..release });

    // The same again is refused before it is sent, with the contract's own reason.
    let again = world.send(3, &calls::publish(network, &events[0].release, &set).unwrap()).await;
    assert!(matches!(again, Err(WalletError::Reverted { .. })), "{again:?}");
}

#[tokio::test]
async fn too_few_signatures_are_refused_with_the_contracts_reason() {
    let world = Deployment::new().await;
    world.claimed().await;
    let head = world.head().await;
    let network = world.chain.network();
    let package = world.chain.package(&head, &name()).await.unwrap();
    let release = release(b"the bytes", 0, head.timestamp);
    let request = signing_request(&release, &package_domain(network).eip712()).unwrap();
    let alone = BTreeMap::from([(world.people[1].address(), world.people[1].sign(&request).await.unwrap())]);
    let set = pack(&package.members, &alone).unwrap();
    match world.send(3, &calls::publish(network, &release, &set).unwrap()).await {
        Err(WalletError::Reverted { reason }) => assert_eq!(reason, "TooFewSigners(have: 1, need: 2)"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_members_signature_counts_for_that_member_only() {
    let world = Deployment::new().await;
    let head = world.head().await;
    let request =
        signing_request(&release(b"x", 0, 1), &package_domain(world.chain.network()).eip712()).unwrap();
    let signature = world.people[0].sign(&request).await.unwrap();
    let verify = |member, digest| world.chain.verify_member_signature(&head, member, digest, &signature);
    verify(world.people[0].address(), request.digest).await.unwrap();
    let other = verify(world.people[1].address(), request.digest).await;
    assert!(matches!(other, Err(MemberSignatureError::Refused { .. })));
    let changed = verify(world.people[0].address(), B256::ZERO).await;
    assert!(matches!(changed, Err(MemberSignatureError::Refused { .. })));
    // A contract that is no wallet accepts nothing.
    let contract = verify(world.chain.network().name_registry, request.digest).await;
    assert!(matches!(contract, Err(MemberSignatureError::Refused { .. })));
}

#[tokio::test]
async fn wrong_chains_missing_contracts_and_dead_endpoints_are_errors() {
    let world = Deployment::new().await;
    let at = |network: Network| Chain::new(world.http.clone(), network);
    let network = world.chain.network().clone();

    let other_chain = at(Network { chain_id: 8453, ..network.clone() });
    assert!(matches!(other_chain.head(0).await, Err(ChainError::WrongChain { found: 31337, .. })));

    let nowhere = at(Network { name_registry: Address::repeat_byte(1), ..network.clone() });
    let head = nowhere.head(0).await.unwrap();
    assert!(matches!(nowhere.package(&head, &name()).await, Err(ChainError::NoContract { .. })));

    let dead: url::Url = "http://127.0.0.1:9/".parse().unwrap();
    let alone = at(Network { rpc_urls: vec![dead.clone()], ..network.clone() });
    assert!(matches!(alone.head(0).await, Err(ChainError::Unreachable { .. })));
    let half = at(Network { rpc_urls: vec![world.anvil.url.clone(), dead.clone()], ..network.clone() });
    assert!(matches!(half.head(0).await, Err(ChainError::Unreachable { .. })));
    let urls = vec![world.anvil.url.clone(), dead, world.anvil.url.clone()];
    at(Network { rpc_urls: urls, ..network.clone() }).head(0).await.unwrap();

    let none = at(Network { rpc_urls: vec![], ..network });
    assert!(matches!(none.head(0).await, Err(ChainError::NoEndpoints { .. })));

    let floor = world.chain.clone().with_floor(1_000_000);
    assert!(matches!(floor.head(0).await, Err(ChainError::Behind { floor: 1_000_000, .. })));
}

#[tokio::test]
async fn a_wallet_without_the_account_or_on_another_chain_says_so() {
    let world = Deployment::new().await;
    let absent =
        RpcWallet::connect(world.http.clone(), world.anvil.url.clone(), Some(Address::repeat_byte(3))).await;
    assert!(matches!(absent, Err(WalletError::NoAccount { .. })));
    let call = calls::Call { to: Address::ZERO, data: Bytes::new() };
    let other = world.people[0].send_transaction(1, &call).await;
    assert!(matches!(other, Err(WalletError::WrongChain { found: 31337, expected: 1 })));
}

#[tokio::test]
async fn transactions_of_one_moment_all_get_in() {
    let deployment = Deployment::new().await;
    let sent = (0..20).map(|number: u8| {
        let wallet = deployment.people[0].clone();
        let call = calls::Call { to: Address::repeat_byte(7), data: vec![number].into() };
        tokio::spawn(async move { wallet.send_transaction(31337, &call).await })
    });
    let mut hashes = std::collections::BTreeSet::new();
    for sent in sent.collect::<Vec<_>>() {
        hashes.insert(sent.await.unwrap().unwrap());
    }
    assert_eq!(hashes.len(), 20);
}

#[tokio::test]
async fn a_planned_deployment_lands_where_and_as_planned_and_only_once() {
    let anvil = Anvil::start();
    let http = Http::new().unwrap();
    let wallet = RpcWallet::connect(http.clone(), anvil.url.clone(), None).await.unwrap();
    let parameters = deploy::Parameters {
        registry_origin: "http://registry.example/".into(),
        registrar: wallet.address(),
        claim_window: 14 * 24 * 3600,
        npm_keys: vec![],
    };
    let plan = deploy::plan(&parameters).unwrap();
    let network = Network {
        name: "local".into(),
        chain_id: 31337,
        rpc_urls: vec![anvil.url.clone()],
        name_registry: plan[0].address,
        package_registry: plan[1].address,
    };
    let chain = Chain::new(http, network);
    let creations: Vec<calls::Call> = plan.iter().filter_map(deploy::creation).collect();
    assert_eq!(creations.len(), plan.len() - 1, "NameRegistry makes PackageRegistry");
    for creation in &creations {
        let hash = wallet.send_transaction(31337, creation).await.unwrap();
        assert!(chain.wait_for_receipt(hash, PATIENCE).await.unwrap().success);
    }
    let head = chain.head(0).await.unwrap();
    for step in &plan {
        let code = chain.code_at(&head, step.address).await.unwrap();
        assert_eq!(alloy_primitives::keccak256(code), step.code_hash, "{}", step.contract);
    }
    for creation in &creations {
        // The proxy refuses what is there already.
        assert!(wallet.send_transaction(31337, creation).await.is_err());
    }
    let deployed = chain.deployment(&head).await.unwrap();
    assert_eq!((deployed.registrar, deployed.claim_window), (wallet.address(), parameters.claim_window));
    assert_eq!(deployed.registry_origin, parameters.registry_origin);
    assert_eq!(deployed.name_registry_of_packages, plan[0].address);
    let expected = deploy::expected_code(deployed.claim_window, plan[0].address).unwrap();
    assert_eq!((deployed.name_registry_code_hash, deployed.package_registry_code_hash), expected);
    let other = deploy::expected_code(deployed.claim_window + 1, Address::ZERO).unwrap();
    assert!(other.0 != expected.0 && other.1 != expected.1);
}
