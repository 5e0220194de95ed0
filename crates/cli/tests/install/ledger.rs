//! The chain's side of a test: claims, releases and what members say of them, written to the contracts
//! directly and signed by the development node's accounts. No coordinator, so that a test of the install
//! says what the chain holds and nothing else matters.

use std::collections::BTreeMap;
use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::{SolCall as _, SolStruct};
use chain::calls::Call;
use chain::{Chain, Network, name_domain, package_domain};
use client::http::Http;
use serde::Serialize;
use tokio::runtime::Runtime;
use trust::TarballHashes;
use trust::legacy::{self, LegacyVersion};
use trust::message::{Config, Domain, RegistrarProof, Release, claim_commitment, signing_request};
use trust::signature::{SignatureSet, pack};
use url::Url;
use wallet::{RpcWallet, Wallet as _};

use crate::harness::world::World;

const PATIENCE: Duration = Duration::from_secs(20);

alloy_sol_types::sol! {
    #[derive(Debug, serde::Serialize)]
    struct Revocation { string packageName; string version; uint8 reason; string note; uint32 epoch; uint256 deadline; }
    #[derive(Debug, serde::Serialize)]
    struct Veto { string packageName; string version; }
    #[derive(Debug, serde::Serialize)]
    struct Flag { string packageName; string version; string note; uint256 deadline; }

    function revoke(Revocation r, uint16 signers, bytes signatures);
    function veto(string packageName, string version, uint16 signers, bytes signatures);
    function flag(Flag f, uint16 signers, bytes signatures);
}

/// What a claim says.
#[derive(Debug, Clone, Default)]
pub struct Claim<'a> {
    /// Their names; the first two sign.
    pub members: &'a [&'a str],
    /// How many must sign.
    pub threshold: u8,
    /// How long a release cools.
    pub delay_hours: u16,
    /// The versions from before.
    pub legacy: &'a [LegacyVersion],
}

/// Two of three, at once, without a past.
pub const TEAM: Claim<'static> =
    Claim { members: &["alice", "bob", "carol"], threshold: 2, delay_hours: 0, legacy: &[] };

/// The contracts of a world.
pub struct Ledger {
    runtime: Runtime,
    chain: Chain,
    wallets: BTreeMap<String, RpcWallet>,
    members: std::sync::Mutex<BTreeMap<String, Vec<Address>>>,
}

impl Ledger {
    /// Those of `world`.
    pub fn of(world: &World) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let http = Http::new().expect("a client");
        let rpc: Url = world.rpc().parse().expect("a URL");
        let address = |pointer: &str| world.text(pointer).parse().expect("an address");
        let network = Network {
            name: "local".into(),
            chain_id: 31_337,
            rpc_urls: vec![rpc.clone()],
            name_registry: address("/chain/nameRegistry"),
            package_registry: address("/chain/packageRegistry"),
        };
        let mut wallets = BTreeMap::new();
        for (name, pointer) in [
            ("alice", "/people/alice/address"),
            ("bob", "/people/bob/address"),
            ("carol", "/people/carol/address"),
            ("registrar", "/chain/registrar"),
        ] {
            let wallet =
                runtime.block_on(RpcWallet::connect(http.clone(), rpc.clone(), Some(address(pointer))));
            wallets.insert(name.to_owned(), wallet.expect("the node signs for its accounts"));
        }
        Self { runtime, chain: Chain::new(http, network), wallets, members: std::sync::Mutex::default() }
    }

    /// The time of the newest block.
    pub fn now(&self) -> u64 {
        self.runtime.block_on(self.chain.head(0)).expect("a head").timestamp
    }

    /// Takes over who the members of a name are that another ledger claimed.
    pub fn knows(&self, name: &str, members: &[&str]) {
        let members = members.iter().map(|member| self.wallets[*member].address()).collect();
        self.members.lock().expect("no panic").insert(name.to_owned(), members);
    }

    /// Claims `name`.
    pub fn claim(&self, name: &str, claim: &Claim<'_>) {
        let network = self.chain.network().clone();
        let head = self.runtime.block_on(self.chain.head(0)).expect("a head");
        let members: Vec<Address> =
            claim.members.iter().map(|member| self.wallets[*member].address()).collect();
        let config = Config {
            packageName: name.into(),
            members: members.clone(),
            threshold: claim.threshold,
            releaseDelayHours: claim.delay_hours,
            configDelayHours: 0,
            recoveryDays: 180,
            guardian: Address::ZERO,
            legacyRoot: legacy::root(claim.legacy),
            epoch: 0,
            deadline: U256::from(head.timestamp + 3600),
        };
        let domain = name_domain(&network);
        let digest = signing_request(&config, &domain.eip712()).expect("encodes").digest;
        let proof = RegistrarProof { commitment: claim_commitment(digest, head.hash) };
        let vouched = self.sign("registrar", &proof, &domain);
        let by: Vec<&str> = claim.members.iter().take(claim.threshold.into()).copied().collect();
        let own = self.sign_all(&by, &members, &config, &domain);
        self.send(&chain::calls::claim(&network, &config, &own, head.number, &vouched));
        self.members.lock().expect("no panic").insert(name.to_owned(), members);
    }

    /// Records `tarball` as a release of a claimed name.
    pub fn publish(&self, name: &str, version: &str, tarball: &[u8], by: &[&str]) {
        let hashes = TarballHashes::of(tarball);
        let release = Release {
            packageName: name.into(),
            version: version.into(),
            integrity: hashes.integrity.to_string(),
            contentHash: hashes.content_hash.0,
            gitSha: B256::ZERO,
            ciRunUrl: String::new(),
            epoch: 0,
            nonce: U256::from(alloy_primitives::keccak256(version).0[0]),
            deadline: U256::from(self.now() + 3600),
        };
        let network = self.chain.network();
        let signatures = self.sign_as(name, by, &release);
        self.send(&chain::calls::publish(network, &release, &signatures).expect("encodes"));
    }

    /// M of N take a release back.
    pub fn revoke(&self, name: &str, version: &str, by: &[&str]) {
        let revocation = Revocation {
            packageName: name.into(),
            version: version.into(),
            reason: 1,
            note: "a test".into(),
            epoch: 0,
            deadline: U256::from(self.now() + 3600),
        };
        let SignatureSet { signers, blob, .. } = self.sign_as(name, by, &revocation);
        self.send_data(revokeCall { r: revocation, signers, signatures: blob }.abi_encode());
    }

    /// One member stops a release while it cools.
    pub fn veto(&self, name: &str, version: &str, by: &str) {
        let veto = Veto { packageName: name.into(), version: version.into() };
        let SignatureSet { signers, blob, .. } = self.sign_as(name, &[by], &veto);
        let (name, version) = (name.to_owned(), version.to_owned());
        self.send_data(vetoCall { packageName: name, version, signers, signatures: blob }.abi_encode());
    }

    /// One member warns of a release, for an hour.
    pub fn flag(&self, name: &str, version: &str, by: &str) {
        let flag = Flag {
            packageName: name.into(),
            version: version.into(),
            note: "a test".into(),
            deadline: U256::from(self.now() + 3600),
        };
        let SignatureSet { signers, blob, .. } = self.sign_as(name, &[by], &flag);
        self.send_data(flagCall { f: flag, signers, signatures: blob }.abi_encode());
    }

    fn sign_as<M: SolStruct + Serialize>(&self, name: &str, by: &[&str], message: &M) -> SignatureSet {
        let members = self.members.lock().expect("no panic")[name].clone();
        self.sign_all(by, &members, message, &package_domain(self.chain.network()))
    }

    fn sign_all<M: SolStruct + Serialize>(
        &self,
        by: &[&str],
        members: &[Address],
        message: &M,
        domain: &Domain,
    ) -> SignatureSet {
        let signatures: BTreeMap<Address, Bytes> =
            by.iter().map(|who| (self.wallets[*who].address(), self.sign(who, message, domain))).collect();
        pack(members, &signatures).expect("members")
    }

    fn sign<M: SolStruct + Serialize>(&self, who: &str, message: &M, domain: &Domain) -> Bytes {
        let request = signing_request(message, &domain.eip712()).expect("encodes");
        self.runtime.block_on(self.wallets[who].sign(&request)).expect("a signature")
    }

    fn send_data(&self, data: Vec<u8>) {
        self.send(&Call { to: self.chain.network().package_registry, data: data.into() });
    }

    fn send(&self, call: &Call) {
        self.runtime.block_on(async {
            let hash = self.wallets["carol"].send_transaction(31_337, call).await.expect("is accepted");
            let receipt = self.chain.wait_for_receipt(hash, PATIENCE).await.expect("is mined");
            assert!(receipt.success);
        });
    }
}
