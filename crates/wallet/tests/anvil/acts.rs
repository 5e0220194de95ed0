//! Every act of a member but the first release, as call data of ours: what it does to the status that is read back.

use alloy_primitives::keccak256;
use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};
use trust::message::{
    Cancel, Domain, Flag, NpmKeyAddition, NpmKeyRemoval, RegistrarRotation, ReleaseBatch, Report, Revocation,
    Veto, Withdrawal, git_sha_word,
};
use trust::signature::SignatureSet;
use trust::signer::{Factory, Kind, Need, SignerKey};

use super::*;

const DAY: u64 = 24 * 3600;

/// A key of ours in npm's place.
fn npm_signer() -> SigningKey {
    SigningKey::from_bytes(&[7; 32].into()).unwrap()
}

fn point(key: &SigningKey) -> (B256, B256) {
    let point = key.verifying_key().to_encoded_point(false);
    (B256::from_slice(point.x().unwrap()), B256::from_slice(point.y().unwrap()))
}

pub(crate) fn npm_key() -> deploy::NpmKey {
    let (x, y) = point(&npm_signer());
    deploy::NpmKey { x, y, validFrom: 0, validTo: u64::MAX }
}

impl Deployment {
    /// `message` for `domain`, signed by these people as members of `members`.
    async fn signed<M>(&self, message: &M, domain: Domain, members: &[usize], by: &[usize]) -> SignatureSet
    where
        M: alloy_sol_types::SolStruct + serde::Serialize,
    {
        let request = signing_request(message, &domain.eip712()).unwrap();
        let mut signatures = BTreeMap::new();
        for index in by {
            let person = &self.people[*index];
            signatures.insert(person.address(), person.sign(&request).await.unwrap());
        }
        let members: Vec<Address> = members.iter().map(|index| self.people[*index].address()).collect();
        pack(&members, &signatures).unwrap()
    }

    /// Likewise, for `PackageRegistry` and the team of three.
    async fn acted<M: alloy_sol_types::SolStruct + serde::Serialize>(
        &self,
        message: &M,
        by: &[usize],
    ) -> SignatureSet {
        self.signed(message, package_domain(self.chain.network()), &[0, 1, 2], by).await
    }

    async fn publish(&self, release: &Release) -> Result<(), WalletError> {
        let set = self.acted(release, &[0, 1]).await;
        self.send(3, &calls::publish(self.chain.network(), release, &set).unwrap()).await
    }

    /// The team of three decides to be led by `config`.
    async fn configured(&self, config: &Config) {
        let domain = name_domain(self.chain.network());
        let old = self.signed(config, domain, &[0, 1, 2], &[0, 1]).await;
        let new = self.signed(config, domain, &[0, 1, 2], &[1, 2]).await;
        self.send(3, &calls::configure(self.chain.network(), config, &old, &new)).await.unwrap();
    }

    async fn later(&self, seconds: u64) {
        for (method, params) in [("evm_increaseTime", json!([seconds])), ("evm_mine", json!([]))] {
            let limits = client::http::Limits::SMALL;
            chain::rpc_call(&self.http, &self.anvil.url, method, params, limits).await.unwrap();
        }
    }

    async fn record(&self, version: &str) -> trust::record::ReleaseRecord {
        let head = self.head().await;
        self.chain.release(&head, &name(), &version.parse().unwrap()).await.unwrap()
    }

    async fn now(&self) -> u64 {
        self.head().await.timestamp
    }

    /// Deploys one of the contracts that stand alone, where it belongs.
    async fn created(&self, step: &deploy::Step) -> Address {
        self.send(3, &deploy::creation(step).unwrap()).await.unwrap();
        step.address
    }
}

fn reason(outcome: Result<(), WalletError>) -> String {
    match outcome {
        Err(WalletError::Reverted { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_warning_is_a_flag_until_its_end_and_a_revocation_stays() {
    let world = Deployment::new().await;
    let network = world.chain.network();
    world.claimed().await;
    let now = world.now().await;
    world.publish(&release(b"the bytes", 0, now)).await.unwrap();
    assert_eq!(world.record("1.0.0").await.status, ReleaseStatus::Active);

    let deadline = now + DAY;
    let flag = Flag {
        packageName: "left-pad".into(),
        version: "1.0.0".into(),
        note: "look at install.js".into(),
        deadline: U256::from(deadline),
    };
    let one = world.acted(&flag, &[2]).await;
    world.send(3, &calls::flag(network, &flag, &one)).await.unwrap();
    let record = world.record("1.0.0").await;
    assert_eq!((record.status, record.flagged_until), (ReleaseStatus::Flagged, deadline));
    world.later(2 * DAY).await;
    assert_eq!(world.record("1.0.0").await.status, ReleaseStatus::Active);

    // A version that was never recorded can be taken back as well.
    for version in ["1.0.0", "6.6.6"] {
        let revocation = Revocation {
            packageName: "left-pad".into(),
            version: version.into(),
            reason: 1,
            note: "a key was stolen".into(),
            epoch: 1,
            deadline: U256::from(world.now().await + 3600),
        };
        let alone = world.acted(&revocation, &[1]).await;
        let refused = world.send(3, &calls::revoke(network, &revocation, &alone)).await;
        assert_eq!(reason(refused), "TooFewSigners(have: 1, need: 2)");
        let both = world.acted(&revocation, &[1, 2]).await;
        world.send(3, &calls::revoke(network, &revocation, &both)).await.unwrap();
        assert_eq!(world.record(version).await.status, ReleaseStatus::Revoked, "{version}");
    }
    // What is revoked stays so: the bytes were recorded, or may never be.
    assert_eq!(world.record("1.0.0").await.integrity, TarballHashes::of(b"the bytes").integrity);
    let late = Release { version: "6.6.6".into(), ..release(b"x", 1, world.now().await) };
    assert_eq!(reason(world.publish(&late).await), "VersionExists");
}

#[tokio::test]
async fn a_signature_that_was_taken_back_records_nothing() {
    let world = Deployment::new().await;
    let network = world.chain.network();
    world.claimed().await;
    let release = release(b"the bytes", 5, world.now().await);
    let withdrawal = Withdrawal { packageName: "left-pad".into(), nonce: release.nonce };
    let set = world.acted(&withdrawal, &[1]).await;
    world.send(3, &calls::withdraw(network, &withdrawal, &set)).await.unwrap();

    let head = world.head().await;
    let taken = |who: usize| {
        let member = world.people[who].address();
        let (chain, nonce) = (&world.chain, release.nonce);
        async move { chain.is_withdrawn(&head, &name(), nonce, member).await.unwrap() }
    };
    assert!(taken(1).await && !taken(0).await);
    assert!(reason(world.publish(&release).await).starts_with("SignatureWithdrawn"));
    // The others can do without.
    let set = world.acted(&release, &[0, 2]).await;
    world.send(3, &calls::publish(network, &release, &set).unwrap()).await.unwrap();
    assert_eq!(world.record("1.0.0").await.status, ReleaseStatus::Active);
}

#[tokio::test]
async fn several_releases_are_recorded_by_one_signature_of_each() {
    let world = Deployment::new().await;
    let network = world.chain.network();
    world.claimed().await;
    let now = world.now().await;
    let releases: Vec<Release> = [("1.0.0", b"one"), ("1.1.0", b"two")]
        .iter()
        .zip(0..)
        .map(|((version, bytes), nonce)| Release {
            version: (*version).into(),
            gitSha: git_sha_word("0123456789abcdef0123456789abcdef01234567").unwrap(),
            ..release(*bytes, nonce, now)
        })
        .collect();
    let set = world.acted(&ReleaseBatch { releases: releases.clone() }, &[0, 2]).await;
    let signers = [set.signers, set.signers];
    let call = calls::publish_batch(network, &releases, &signers, &set.blob).unwrap();
    world.send(3, &call).await.unwrap();
    for release in &releases {
        let record = world.record(&release.version).await;
        assert_eq!(record.status, ReleaseStatus::Active);
        assert_eq!(record.integrity.to_string(), release.integrity);
        assert_eq!(record.signers, [world.people[0].address(), world.people[2].address()]);
    }
    // A signature of the batch is none of its parts.
    let part = Release { version: "1.2.0".into(), nonce: U256::from(2), ..releases[0].clone() };
    let refused = world.send(3, &calls::publish(network, &part, &set).unwrap()).await;
    assert!(reason(refused).starts_with("BadSignature"));
}

#[tokio::test]
async fn a_release_that_cools_is_stopped_by_one_member() {
    let world = Deployment::new().await;
    let network = world.chain.network();
    world.claimed().await;
    let now = world.now().await;
    world.configured(&Config { releaseDelayHours: 24, ..world.config(&[0, 1, 2], 2, 2, now) }).await;
    for (version, nonce) in [("1.0.0", 0), ("1.1.0", 1)] {
        let release = Release { version: version.into(), epoch: 2, ..release(b"the bytes", nonce, now) };
        world.publish(&release).await.unwrap();
        assert_eq!(world.record(version).await.status, ReleaseStatus::Cooling, "{version}");
    }
    let veto = Veto { packageName: "left-pad".into(), version: "1.0.0".into() };
    let set = world.acted(&veto, &[1]).await;
    world.send(3, &calls::veto(network, &veto, &set)).await.unwrap();
    assert_eq!(world.record("1.0.0").await.status, ReleaseStatus::Vetoed);

    world.later(DAY).await;
    assert_eq!(world.record("1.0.0").await.status, ReleaseStatus::Vetoed);
    assert_eq!(world.record("1.1.0").await.status, ReleaseStatus::Active);
    let late = Veto { version: "1.1.0".into(), ..veto };
    let set = world.acted(&late, &[1]).await;
    assert!(reason(world.send(3, &calls::veto(network, &late, &set)).await).starts_with("NotCooling"));
}

#[tokio::test]
async fn a_change_waits_and_can_be_taken_back() {
    let world = Deployment::new().await;
    let network = world.chain.network();
    world.claimed().await;
    let now = world.now().await;
    world.configured(&Config { configDelayHours: 24, ..world.config(&[0, 1, 2], 2, 2, now) }).await;
    let waiting = Config { releaseDelayHours: 24, ..world.config(&[0, 1, 2], 2, 3, now) };
    world.configured(&waiting).await;
    let head = world.head().await;
    let package = world.chain.package(&head, &name()).await.unwrap();
    let change = signing_request(&waiting, &name_domain(network).eip712()).unwrap().digest;
    assert_eq!((package.pending_change, package.recovery_pending), (change, false));
    assert!(package.pending_ready_at >= now + DAY && package.release_delay_hours == 0);

    let one = world.signed(&Cancel { change }, name_domain(network), &[0, 1, 2], &[2]).await;
    let refused = world.send(3, &calls::cancel(network, &name(), change, &one)).await;
    assert_eq!(reason(refused), "TooFewSigners(have: 1, need: 2)");
    let two = world.signed(&Cancel { change }, name_domain(network), &[0, 1, 2], &[2, 1]).await;
    world.send(3, &calls::cancel(network, &name(), change, &two)).await.unwrap();
    let head = world.head().await;
    let package = world.chain.package(&head, &name()).await.unwrap();
    assert_eq!((package.pending_change, package.epoch), (B256::ZERO, 2));
}

#[tokio::test]
async fn a_guardian_recovers_a_silent_team_unless_one_member_speaks() {
    let world = Deployment::new().await;
    let network = world.chain.network();
    world.claimed().await;
    let now = world.now().await;
    let guardian = world.people[3].address();
    world.configured(&Config { guardian, recoveryDays: 30, ..world.config(&[0, 1, 2], 2, 2, now) }).await;

    let recovery = |now| Config { guardian, ..world.config(&[3], 1, 3, now) };
    let call = async |config: &Config| {
        let domain = name_domain(network);
        let new = world.signed(config, domain, &[3], &[3]).await;
        let request = signing_request(config, &domain.eip712()).unwrap();
        let by_guardian = world.people[3].sign(&request).await.unwrap();
        (request.digest, calls::recover(network, config, &new, &by_guardian))
    };
    let (_, early) = call(&recovery(now)).await;
    assert!(reason(world.send(3, &early).await).starts_with("NotReady"));

    // Nobody spoke for a month, and the week to which acts are remembered: it begins, and one member's word ends it.
    world.later(40 * DAY).await;
    let (change, begun) = call(&recovery(world.now().await)).await;
    world.send(3, &begun).await.unwrap();
    let package = world.chain.package(&world.head().await, &name()).await.unwrap();
    assert_eq!((package.pending_change, package.recovery_pending), (change, true));
    let one = world.signed(&Cancel { change }, name_domain(network), &[0, 1, 2], &[2]).await;
    world.send(3, &calls::cancel(network, &name(), change, &one)).await.unwrap();

    // Another time of silence, and the wait: the guardian's set is the team.
    world.later(40 * DAY).await;
    let config = recovery(world.now().await);
    let (_, again) = call(&config).await;
    world.send(3, &again).await.unwrap();
    let package = world.chain.package(&world.head().await, &name()).await.unwrap();
    assert!(reason(world.send(3, &calls::enact(network, &config)).await).starts_with("NotReady"));
    world.later(package.pending_ready_at - world.now().await).await;
    world.send(3, &calls::enact(network, &config)).await.unwrap();
    let package = world.chain.package(&world.head().await, &name()).await.unwrap();
    assert_eq!((package.members, package.epoch), (vec![guardian], 3));
}

#[tokio::test]
async fn a_name_is_claimed_by_npms_own_signature() {
    let world = Deployment::new().await;
    let network = world.chain.network();
    let head = world.head().await;
    let config = world.config(&[0], 1, 0, head.timestamp);
    let digest = signing_request(&config, &name_domain(network).eip712()).unwrap().digest;
    let version = format!("0.0.0-3pm.0h{:x}", claim_commitment(digest, head.hash));
    let integrity = TarballHashes::of(b"what states the claim").integrity;
    let proof_for = |version: &str| {
        let signature: Signature = npm_signer().sign(format!("left-pad@{version}:{integrity}").as_bytes());
        let (r, s) =
            (B256::from_slice(&signature.r().to_bytes()), B256::from_slice(&signature.s().to_bytes()));
        calls::NpmProof { key_index: U256::ZERO, integrity, r, s }
    };
    let own = world.signed(&config, name_domain(network), &[0], &[0]).await;
    let claim = |proof| calls::claim_with_npm_signature(network, &config, &own, head.number, &proof);
    let other = world.send(3, &claim(proof_for("0.0.0-3pm.0h00"))).await;
    assert_eq!(reason(other), "BadClaimProof");
    world.send(3, &claim(proof_for(&version))).await.unwrap();
    let package = world.chain.package(&world.head().await, &name()).await.unwrap();
    assert_eq!((package.state, package.members), (PackageState::Final, config.members.clone()));
}

#[tokio::test]
async fn the_registrar_adds_a_key_slowly_ends_one_at_once_and_hands_over() {
    let world = Deployment::new().await;
    let network = world.chain.network();
    let domain = name_domain(network).eip712();
    let deployed = async || world.chain.deployment(&world.head().await).await.unwrap();
    let now = world.now().await;

    let (x, y) = point(&SigningKey::from_bytes(&[8; 32].into()).unwrap());
    let key = deploy::RegistryKey { x, y, valid_from: 5, valid_to: now + 900 * DAY };
    let addition = NpmKeyAddition { x, y, validFrom: 5, validTo: key.valid_to, nonce: U256::ZERO };
    let request = signing_request(&addition, &domain).unwrap();
    let stranger = world.people[0].sign(&request).await.unwrap();
    let refused = world.send(3, &calls::add_npm_key(network, &key, &stranger)).await;
    assert!(reason(refused).starts_with("BadSignature"));
    let own = world.registrar.sign(&request).await.unwrap();
    world.send(3, &calls::add_npm_key(network, &key, &own)).await.unwrap();
    let keys = deployed().await.npm_keys;
    assert_eq!(keys.len(), 2);
    assert_eq!((keys[1].x, keys[1].y, keys[1].valid_to), (x, y, key.valid_to));
    assert!(keys[1].valid_from >= now + 30 * DAY, "{keys:?}");

    let removal = NpmKeyRemoval { keyIndex: U256::ONE, nonce: U256::ONE };
    let own = world.registrar.sign(&signing_request(&removal, &domain).unwrap()).await.unwrap();
    world.send(3, &calls::remove_npm_key(network, U256::ONE, &own)).await.unwrap();
    let keys = deployed().await.npm_keys;
    assert_eq!((keys[0].valid_to, keys[1].valid_to), (u64::MAX, 0));

    let next = &world.people[2];
    let rotation = RegistrarRotation { registrar: next.address(), nonce: U256::from(2) };
    let request = signing_request(&rotation, &domain).unwrap();
    let (own, accepted) = (world.registrar.sign(&request).await.unwrap(), next.sign(&request).await.unwrap());
    let refused = world.send(3, &calls::rotate_registrar(network, next.address(), &own, &own)).await;
    assert!(reason(refused).starts_with("BadSignature"));
    world.send(3, &calls::rotate_registrar(network, next.address(), &own, &accepted)).await.unwrap();
    assert_eq!(deployed().await.registrar, next.address());
    let again = world.send(3, &calls::rotate_registrar(network, next.address(), &own, &accepted)).await;
    assert!(reason(again).starts_with("BadSignature"));
}

#[tokio::test]
async fn a_report_is_about_exact_bytes_and_replaces_the_one_it_names() {
    let world = Deployment::new().await;
    let [safety, _] = deploy::independent().unwrap();
    let safety = world.created(&safety).await;
    let domain = Domain { chain_id: 31337, verifying_contract: safety };
    let integrity = TarballHashes::of(b"the bytes").integrity;
    let said = |text: &str, previous| Report {
        packageName: "left-pad".into(),
        version: "1.0.0".into(),
        integrity: integrity.to_string(),
        report: keccak256(text),
        location: "https://reports.example/1".into(),
        previous,
    };
    let submit = async |report: &Report| {
        let scorer = &world.people[2];
        let signature = scorer.sign(&signing_request(report, &domain.eip712()).unwrap()).await.unwrap();
        let call = calls::report(safety, report, scorer.address(), &signature).unwrap();
        world.send(3, &call).await
    };
    let found = async |integrity: &trust::Integrity| {
        let scorers = [world.people[1].address(), world.people[2].address()];
        let release = (&name(), &version(), integrity);
        world.chain.reports(&world.head().await, safety, release, &scorers).await.unwrap()
    };
    let first = said("fine", B256::ZERO);
    submit(&first).await.unwrap();
    assert_eq!(found(&integrity).await, [B256::ZERO, first.report]);
    assert!(reason(submit(&said("again", B256::ZERO)).await).starts_with("WrongReport"));
    let second = said("not so fine", first.report);
    submit(&second).await.unwrap();
    assert_eq!(found(&integrity).await, [B256::ZERO, second.report]);
    // Other bytes, another release.
    assert_eq!(found(&TarballHashes::of(b"other bytes").integrity).await, [B256::ZERO; 2]);
}

#[tokio::test]
async fn a_signer_is_created_where_its_key_says() {
    let world = Deployment::new().await;
    let [_, step] = deploy::independent().unwrap();
    let factory = world.created(&step).await;
    let implementations = Factory {
        factory,
        passkey_implementation: factory.create(1),
        ssh_sk_implementation: factory.create(2),
    };
    let (x, y) = point(&npm_signer());
    let key = SignerKey { x, y, relying_party: B256::repeat_byte(1), need: Need::PresenceAndVerification };
    for kind in [Kind::Passkey, Kind::SshSk] {
        let address = implementations.address_of(kind, &key);
        assert!(world.chain.code_at(&world.head().await, address).await.unwrap().is_empty());
        // To create it again changes nothing.
        for _ in 0..2 {
            world.send(3, &calls::create_signer(factory, kind, &key)).await.unwrap();
        }
        let code = world.chain.code_at(&world.head().await, address).await.unwrap();
        assert!(code.ends_with(&key.words()), "{kind:?}");
    }
    let off = SignerKey { x: B256::repeat_byte(2), ..key };
    let refused = world.send(3, &calls::create_signer(factory, Kind::Passkey, &off)).await;
    assert!(reason(refused).starts_with("NotOnCurve"));
}
