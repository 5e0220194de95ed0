//! What a member signs against what the contracts check: 10,000 random messages of every type, encoded here and
//! by `digestOf` of the committed bytecode on a real node. The values are hostile but the seed is fixed, so a
//! failure comes back. Does not ask whether the contracts would accept the message: digests have no opinion.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::{SolCall, SolStruct};
use chain::rpc_call;
use client::http::{Http, Limits};
use serde::Serialize;
use serde_json::{Value, json};
use support::Anvil;
use tokio::task::JoinSet;
use trust::Integrity;
use trust::message::{
    Cancel, Config, Domain, Flag, NpmKeyAddition, NpmKeyRemoval, RegistrarProof, RegistrarRotation, Release,
    ReleaseBatch, Report, Revocation, Veto, Withdrawal, signing_request,
};
use url::Url;

mod names {
    #![allow(missing_docs, clippy::too_many_arguments, unreachable_pub)]
    alloy_sol_types::sol!(NameRegistry, "../../contracts/artifacts/NameRegistry.json");
}

mod packages {
    #![allow(missing_docs, clippy::too_many_arguments, unreachable_pub)]
    alloy_sol_types::sol!(PackageRegistry, "../../contracts/artifacts/PackageRegistry.json");
}

mod safety {
    #![allow(missing_docs, clippy::too_many_arguments, unreachable_pub)]
    alloy_sol_types::sol!(SafetyRegistry, "../../contracts/artifacts/SafetyRegistry.json");
}

use names::NameRegistry;
use packages::PackageRegistry;
use safety::SafetyRegistry;

const MESSAGES: u64 = 10_000;
/// Questions to the node in one request.
const TOGETHER: u64 = 200;
/// Development nodes are on this chain.
const CHAIN_ID: u64 = 31337;
const LIMITS: Limits = Limits { bytes: 16 << 20, time: Duration::from_secs(60) };

/// Random values from a fixed seed, the same in every run (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn word(&mut self) -> B256 {
        U256::from_limbs([self.next(), self.next(), self.next(), self.next()]).into()
    }

    /// Often at an edge.
    fn number(&mut self) -> U256 {
        match self.below(6) {
            0 => U256::ZERO,
            1 => U256::MAX,
            2 => U256::from(self.next()),
            _ => U256::from_be_bytes(self.word().0),
        }
    }

    fn narrow<T: TryFrom<u64>>(&mut self, bits: u32) -> T {
        let most = (1_u64 << bits) - 1;
        let value = match self.below(4) {
            0 => 0,
            1 => most,
            _ => self.below(most + 1),
        };
        T::try_from(value).ok().unwrap()
    }

    fn hash(&mut self) -> B256 {
        match self.below(8) {
            0 => B256::ZERO,
            1 => B256::repeat_byte(0xff),
            _ => self.word(),
        }
    }

    fn address(&mut self) -> Address {
        if self.below(8) == 0 { Address::ZERO } else { Address::from_slice(&self.word()[12..]) }
    }

    /// Anything that is text: empty, exactly one or two words long, quotes and escapes, control characters,
    /// text that turns around or vanishes on a screen, letters of several bytes, JSON, typed-data syntax.
    fn text(&mut self) -> String {
        const PIECES: [&str; 22] = [
            "left-pad",
            "@scope/",
            "1.0.0-rc.1",
            "\"",
            "\\",
            "\\u0000",
            "\0",
            "\n\r\t",
            "\u{7f}",
            "\u{202e}",
            "\u{200b}",
            "\u{feff}",
            "é",
            "e\u{301}",
            "\u{10ffff}",
            "🦀",
            "{\"packageName\":\"x\"}",
            "string note)",
            "0x",
            "\u{d7ff}",
            "\u{e000}",
            "' or 1=1 --",
        ];
        match self.below(10) {
            0 => String::new(),
            1 => "a".repeat([31, 32, 33, 63, 64, 65, 214, 1000][self.narrow::<usize>(3)]),
            2 => (0..self.below(80)).map(|_| char::from(u8::try_from(self.below(128)).unwrap())).collect(),
            3 => {
                let any = |dice: &mut Self| char::from_u32(u32::try_from(dice.below(0x11_0000)).unwrap());
                (0..self.below(40)).filter_map(|_| any(self)).collect()
            }
            _ => (0..self.below(12)).map(|_| PIECES[usize::try_from(self.below(22)).unwrap()]).collect(),
        }
    }

    fn config(&mut self) -> Config {
        Config {
            packageName: self.text(),
            members: (0..self.below(20)).map(|_| self.address()).collect(),
            threshold: self.narrow(8),
            releaseDelayHours: self.narrow(16),
            configDelayHours: self.narrow(16),
            recoveryDays: self.narrow(16),
            guardian: self.address(),
            legacyRoot: self.hash(),
            epoch: self.narrow(32),
            deadline: self.number(),
        }
    }

    fn release(&mut self) -> (Release, PackageRegistry::ReleaseInput) {
        let (hi, lo) = (self.hash(), self.hash());
        let release = Release {
            packageName: self.text(),
            version: self.text(),
            integrity: Integrity::from_words(hi, lo).to_string(),
            contentHash: self.hash(),
            gitSha: self.hash(),
            ciRunUrl: self.text(),
            epoch: self.narrow(32),
            nonce: self.number(),
            deadline: self.number(),
        };
        let input = PackageRegistry::ReleaseInput {
            packageName: release.packageName.clone(),
            version: release.version.clone(),
            sha512Hi: hi,
            sha512Lo: lo,
            contentHash: release.contentHash,
            gitSha: release.gitSha,
            ciRunUrl: release.ciRunUrl.clone(),
            epoch: release.epoch,
            nonce: release.nonce,
            deadline: release.deadline,
        };
        (release, input)
    }
}

struct World {
    http: Http,
    node: Url,
}

impl World {
    const NAMES: Address = Address::repeat_byte(0x1a);
    const PACKAGES: Address = Address::repeat_byte(0x2b);
    const SAFETY: Address = Address::repeat_byte(0x3c);

    /// The digests that the contract at `to` has for a chunk of calls.
    async fn ask(&self, to: Address, calls: &[Vec<u8>]) -> Vec<B256> {
        let question = |(id, data): (usize, &Vec<u8>)| {
            let call = json!([{ "to": to, "data": Bytes::copy_from_slice(data) }, "latest"]);
            json!({ "jsonrpc": "2.0", "id": id, "method": "eth_call", "params": call })
        };
        let questions: Vec<Value> = calls.iter().enumerate().map(question).collect();
        let mut answers: Vec<Value> =
            self.http.post_json(&self.node, None, &questions, LIMITS).await.unwrap();
        answers.sort_by_key(|answer| answer["id"].as_u64());
        assert_eq!(answers.len(), calls.len());
        let digest =
            |answer: &Value| answer["result"].as_str().unwrap_or_else(|| panic!("{answer}")).parse().unwrap();
        answers.iter().map(digest).collect()
    }

    /// `make` turns dice into a message and the call that asks a contract for its digest.
    async fn agree<M, C>(self: Arc<Self>, to: Address, make: impl Fn(&mut Dice) -> (M, C))
    where
        M: SolStruct + Serialize + std::fmt::Debug,
        C: SolCall,
    {
        let domain = Domain { chain_id: CHAIN_ID, verifying_contract: to }.eip712();
        let mut dice = Dice(M::NAME.len() as u64);
        let mut seen = HashSet::new();
        for first in (0..MESSAGES).step_by(usize::try_from(TOGETHER).unwrap()) {
            let chunk: Vec<(M, C)> = (first..first + TOGETHER).map(|_| make(&mut dice)).collect();
            let calls: Vec<Vec<u8>> = chunk.iter().map(|(_, call)| call.abi_encode()).collect();
            let theirs = self.ask(to, &calls).await;
            for (index, ((message, _), theirs)) in chunk.iter().zip(theirs).enumerate() {
                assert_eq!(message.eip712_signing_hash(&domain), theirs, "{message:?}");
                // The encoder for wallets is slow where nothing is optimised.
                if index % 100 == 0 {
                    assert_eq!(signing_request(message, &domain).unwrap().digest, theirs, "{message:?}");
                }
                seen.insert(theirs);
            }
        }
        assert!(seen.len() > 7_500, "{} digests of {} alone", seen.len(), M::NAME);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_random_messages_of_every_type_have_the_digest_of_the_contracts() {
    let anvil = Anvil::start();
    let world = World { http: Http::new().unwrap(), node: anvil.url.clone() };
    for (address, code) in [
        (World::NAMES, &NameRegistry::DEPLOYED_BYTECODE),
        (World::PACKAGES, &PackageRegistry::DEPLOYED_BYTECODE),
        (World::SAFETY, &SafetyRegistry::DEPLOYED_BYTECODE),
    ] {
        let parameters = json!([address, code]);
        rpc_call(&world.http, &world.node, "anvil_setCode", parameters, Limits::SMALL).await.unwrap();
    }
    let world = Arc::new(world);
    let mut types = JoinSet::new();
    types.spawn(world.clone().agree(World::NAMES, |dice| {
        let config = dice.config();
        let c = NameRegistry::Config {
            packageName: config.packageName.clone(),
            members: config.members.clone(),
            threshold: config.threshold,
            releaseDelayHours: config.releaseDelayHours,
            configDelayHours: config.configDelayHours,
            recoveryDays: config.recoveryDays,
            guardian: config.guardian,
            legacyRoot: config.legacyRoot,
            epoch: config.epoch,
            deadline: config.deadline,
        };
        (config, NameRegistry::digestOfCall { c })
    }));
    types.spawn(world.clone().agree(World::NAMES, |dice| {
        let change = dice.word();
        (Cancel { change }, NameRegistry::digestOfCancelCall { change })
    }));
    types.spawn(world.clone().agree(World::NAMES, |dice| {
        let commitment = dice.word();
        (RegistrarProof { commitment }, NameRegistry::digestOfRegistrarProofCall { commitment })
    }));
    types.spawn(world.clone().agree(World::PACKAGES, |dice| {
        let (release, r) = dice.release();
        (release, PackageRegistry::digestOfCall { r })
    }));
    types.spawn(world.clone().agree(World::PACKAGES, |dice| {
        let (releases, rs) = (0..dice.below(5)).map(|_| dice.release()).unzip();
        (ReleaseBatch { releases }, PackageRegistry::digestOfBatchCall { rs })
    }));
    types.spawn(world.clone().agree(World::PACKAGES, |dice| {
        let message = Revocation {
            packageName: dice.text(),
            version: dice.text(),
            reason: dice.narrow(8),
            note: dice.text(),
            epoch: dice.narrow(32),
            deadline: dice.number(),
        };
        let r = PackageRegistry::RevocationInput {
            packageName: message.packageName.clone(),
            version: message.version.clone(),
            reason: message.reason,
            note: message.note.clone(),
            epoch: message.epoch,
            deadline: message.deadline,
        };
        (message, PackageRegistry::digestOfRevocationCall { r })
    }));
    types.spawn(world.clone().agree(World::PACKAGES, |dice| {
        let message = Withdrawal { packageName: dice.text(), nonce: U256::from_be_bytes(dice.word().0) };
        let asked = PackageRegistry::digestOfWithdrawalCall {
            packageName: message.packageName.clone(),
            nonce: message.nonce,
        };
        (message, asked)
    }));
    types.spawn(world.clone().agree(World::PACKAGES, |dice| {
        let message = Veto { packageName: dice.text(), version: dice.text() };
        let asked = PackageRegistry::digestOfVetoCall {
            packageName: message.packageName.clone(),
            version: message.version.clone(),
        };
        (message, asked)
    }));
    types.spawn(world.clone().agree(World::PACKAGES, |dice| {
        let message = Flag {
            packageName: dice.text(),
            version: dice.text(),
            note: dice.text(),
            deadline: dice.number(),
        };
        let f = PackageRegistry::FlagInput {
            packageName: message.packageName.clone(),
            version: message.version.clone(),
            note: message.note.clone(),
            deadline: message.deadline,
        };
        (message, PackageRegistry::digestOfFlagCall { f })
    }));
    types.spawn(world.clone().agree(World::NAMES, |dice| {
        let message =
            RegistrarRotation { registrar: dice.address(), nonce: U256::from_be_bytes(dice.word().0) };
        let asked =
            NameRegistry::digestOfRegistrarRotationCall { next: message.registrar, nonce: message.nonce };
        (message, asked)
    }));
    types.spawn(world.clone().agree(World::NAMES, |dice| {
        let key = NameRegistry::NpmKey {
            x: dice.hash(),
            y: dice.hash(),
            validFrom: dice.next(),
            validTo: dice.next(),
        };
        let nonce = dice.number();
        let message =
            NpmKeyAddition { x: key.x, y: key.y, validFrom: key.validFrom, validTo: key.validTo, nonce };
        (message, NameRegistry::digestOfNpmKeyAdditionCall { key, nonce })
    }));
    types.spawn(world.clone().agree(World::NAMES, |dice| {
        let (index, nonce) = (U256::from_be_bytes(dice.word().0), dice.number());
        (
            NpmKeyRemoval { keyIndex: index, nonce },
            NameRegistry::digestOfNpmKeyRemovalCall { keyIndex: index, nonce },
        )
    }));
    types.spawn(world.clone().agree(World::SAFETY, |dice| {
        let (hi, lo) = (dice.hash(), dice.hash());
        let message = Report {
            packageName: dice.text(),
            version: dice.text(),
            integrity: Integrity::from_words(hi, lo).to_string(),
            report: dice.hash(),
            location: dice.text(),
            previous: dice.hash(),
        };
        let r = SafetyRegistry::ReportInput {
            packageName: message.packageName.clone(),
            version: message.version.clone(),
            sha512Hi: hi,
            sha512Lo: lo,
            report: message.report,
            location: message.location.clone(),
            previous: message.previous,
        };
        (message, SafetyRegistry::digestOfCall { r })
    }));
    while let Some(done) = types.join_next().await {
        done.unwrap();
    }
}
