//! The coordinator's API and the chain's JSON-RPC without our own client: for what our client would
//! refuse to send. Signs through the development node, as a wallet would.

use std::io::{Read as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::{SolCall as _, SolStruct};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use trust::TarballHashes;
use trust::message::{Config, Domain, Release, Revocation, SigningRequest, Veto, signing_request};
use trust::signature::SignatureSet;

use super::people::Person;
use super::proxy::{Request, Response, Upstream};
use super::world::World;

/// Held while the account that relays for everybody has a transaction under way.
static SENDER: Mutex<()> = Mutex::new(());

/// One HTTP request with a JSON body or none, to somebody who answers.
pub fn send(base: &str, method: &str, path: &str, body: Option<&Value>) -> Response {
    try_send(base, method, path, body).unwrap_or_else(|| panic!("{base} does not answer {method} {path}"))
}

/// One HTTP request with a JSON body or none.
pub fn try_send(base: &str, method: &str, path: &str, body: Option<&Value>) -> Option<Response> {
    let address = base.trim_start_matches("http://").trim_end_matches('/');
    let headers =
        vec![("host".into(), address.to_owned()), ("content-type".into(), "application/json".into())];
    let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
    let request = Request { method: method.into(), path: format!("/{path}"), headers, body };
    Upstream::at(base).ask(&request)
}

/// One JSON-RPC call to the chain node.
pub fn rpc(world: &World, method: &str, parameters: Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": parameters });
    let answer: Value =
        serde_json::from_slice(&send(world.rpc(), "POST", "", Some(&body)).body).expect("JSON");
    assert!(answer.get("error").is_none(), "{method}: {answer}");
    answer["result"].clone()
}

/// Expects a problem (RFC 9457) of this status and kind that says something; returns what.
#[track_caller]
pub fn refused(answer: &Response, status: u16, kind: &str) -> String {
    let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let found = (answer.status, problem["type"].as_str().unwrap_or_default());
    assert_eq!(found, (status, format!("urn:3pm:problem:{kind}").as_str()), "{problem}");
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(!detail.is_empty(), "{problem}");
    detail.to_owned()
}

/// `person`'s wallet signs what it is asked to.
pub fn sign_request(world: &World, person: &Person, request: &SigningRequest) -> String {
    let signature = rpc(world, "eth_signTypedData_v4", json!([person.address, request.typed_data]));
    signature.as_str().expect("hex").to_owned()
}

/// The domain that releases of this world are signed under.
pub fn package_domain(world: &World) -> Domain {
    let verifying_contract = world.text("/chain/packageRegistry").parse().expect("an address");
    Domain { chain_id: 31_337, verifying_contract }
}

/// The domain that claims and teams of this world are signed under.
pub fn name_domain(world: &World) -> Domain {
    let verifying_contract = world.text("/chain/nameRegistry").parse().expect("an address");
    Domain { chain_id: 31_337, verifying_contract }
}

/// `person`'s signature of `release`.
pub fn sign(world: &World, person: &Person, release: &Release) -> String {
    let request = signing_request(release, &package_domain(world).eip712()).expect("encodes");
    sign_request(world, person, &request)
}

/// Proposes `tarball` as `release`, signed by `person`, to the coordinator at `base`.
pub fn propose(world: &World, base: &str, person: &Person, release: &Release, tarball: Vec<u8>) -> Response {
    let request = proposal(world, person, release, tarball);
    Upstream::at(base).ask(&request).expect("an answer")
}

/// The same, up to `sent` bytes of the tarball; cut off there once the connection is dropped.
pub fn propose_partly(
    world: &World,
    base: &str,
    person: &Person,
    release: &Release,
    tarball: &[u8],
    sent: usize,
) -> std::net::TcpStream {
    let request = proposal(world, person, release, tarball.to_vec());
    let head = head(&request, &format!("content-length: {}", tarball.len()));
    let address = base.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = std::net::TcpStream::connect(address).expect("somebody listens");
    stream.write_all(head.as_bytes()).expect("sent");
    stream.write_all(&tarball[..sent]).expect("sent");
    stream
}

/// The same without a word about how long the tarball is.
pub fn propose_unmeasured(
    world: &World,
    base: &str,
    person: &Person,
    release: &Release,
    tarball: &[u8],
) -> Response {
    let request = proposal(world, person, release, tarball.to_vec());
    let head = head(&request, "transfer-encoding: chunked\r\nconnection: close");
    let address = base.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = std::net::TcpStream::connect(address).expect("somebody listens");
    stream.write_all(head.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let answer = String::from_utf8(answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    Response { status, headers: Vec::new(), body: body.as_bytes().to_vec() }
}

fn head(request: &Request, length: &str) -> String {
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.path);
    for (name, value) in &request.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head + length + "\r\n\r\n"
}

fn proposal(world: &World, person: &Person, release: &Release, tarball: Vec<u8>) -> Request {
    let signature = sign(world, person, release);
    let proposal =
        json!({ "release": release_json(release), "signer": person.address, "signature": signature });
    let headers = vec![
        ("host".into(), "127.0.0.1".into()),
        ("content-type".into(), "application/octet-stream".into()),
        ("3pm-proposal".into(), URL_SAFE_NO_PAD.encode(proposal.to_string())),
    ];
    Request { method: "POST".into(), path: "/v1/proposals".into(), headers, body: tarball }
}

/// A release of `tarball` by the team of a protected package, good for a day.
pub fn release(name: &str, version: &str, tarball: &[u8], nonce: u64) -> Release {
    let hashes = TarballHashes::of(tarball);
    Release {
        packageName: name.to_owned(),
        version: version.to_owned(),
        integrity: hashes.integrity.to_string(),
        contentHash: hashes.content_hash.0,
        gitSha: B256::ZERO,
        ciRunUrl: String::new(),
        // The claim was 0, the team of three 1.
        epoch: 1,
        nonce: U256::from(nonce),
        deadline: U256::from(now() + 24 * 60 * 60),
    }
}

/// The digest of a release, which is its proposal's id.
pub fn id(world: &World, release: &Release) -> String {
    signing_request(release, &package_domain(world).eip712()).expect("encodes").digest.to_string()
}

/// Adds `person`'s signature at the coordinator at `base`.
pub fn add_signature(world: &World, base: &str, person: &Person, release: &Release) -> Response {
    let body = json!({ "signer": person.address, "signature": sign(world, person, release) });
    send(base, "POST", &format!("v1/proposals/{}/signatures", id(world, release)), Some(&body))
}

/// Records a release that `signers` sign, sent by an account that has nothing to do with it.
pub fn record(world: &World, release: &Release, signers: &[&Person]) {
    let signatures = signers.iter().map(|person| (*person, sign(world, person, release)));
    let signatures = pack(world, &["alice", "bob", "carol"], signatures);
    let call = chain::calls::publish(&network(world), release, &signatures).expect("an integrity");
    send_call(world, call.to, &call.data);
}

/// `alice`, of a team of her own, stops a release while it cools.
pub fn veto(world: &World, package: &str, version: &str) {
    let veto = Veto { packageName: package.into(), version: version.into() };
    let signatures = signed_by(world, &["alice"], &veto, &["alice"]);
    let call = contract::vetoCall {
        packageName: package.into(),
        version: version.into(),
        signers: signatures.signers,
        signatures: signatures.blob,
    };
    send_call(world, network(world).package_registry, &call.abi_encode());
}

/// Two of a protected package's team take a version back, recorded or not.
pub fn revoke(world: &World, package: &str, version: &str) {
    let deadline = U256::from(now() + 60 * 60);
    let (name, version) = (package.to_owned(), version.to_owned());
    let revocation = Revocation {
        packageName: name.clone(),
        version: version.clone(),
        reason: 1,
        note: String::new(),
        epoch: 1,
        deadline,
    };
    let signatures = signed_by(world, &["alice", "bob", "carol"], &revocation, &["alice", "bob"]);
    let call = contract::revokeCall {
        r: (name, version, 1, String::new(), 1, deadline).into(),
        signers: signatures.signers,
        signatures: signatures.blob,
    };
    send_call(world, network(world).package_registry, &call.abi_encode());
}

/// Two of a protected package's team, which is as `config`, give its name up.
pub fn retire(world: &World, config: Config) {
    let config = Config { members: Vec::new(), threshold: 0, guardian: Address::ZERO, ..config };
    let request = signing_request(&config, &name_domain(world).eip712()).expect("encodes");
    let people = ["alice", "bob"].map(|name| world.person(name));
    let signatures = people.iter().map(|person| (person, sign_request(world, person, &request)));
    let signatures = pack(world, &["alice", "bob", "carol"], signatures);
    let nobody = SignatureSet { signers: 0, blob: Vec::new().into() };
    let call = chain::calls::configure(&network(world), &config, &signatures, &nobody);
    send_call(world, call.to, &call.data);
}

/// Moves the time at which a claim is final, as if the deployment's claims waited that long.
pub fn set_final_at(world: &World, package: &str, time: u64) {
    // `_names` is the second slot of NameRegistry, and its first word has `finalAt` above 12 bytes: docs/contracts.md.
    let id: trust::PackageName = package.parse().expect("a name");
    let slot = alloy_primitives::keccak256([id.id().as_slice(), &U256::ONE.to_be_bytes::<32>()].concat());
    let registry = name_domain(world).verifying_contract;
    let word = rpc(world, "eth_getStorageAt", json!([registry, slot, "latest"]));
    let word: U256 = word.as_str().and_then(|word| word.parse().ok()).expect("a word");
    let field: U256 = U256::from((1u64 << 40) - 1) << 96;
    let word: U256 = (word & !field) | (U256::from(time) << 96);
    rpc(world, "anvil_setStorageAt", json!([registry, slot, alloy_primitives::B256::from(word)]));
    rpc(world, "evm_mine", json!([]));
}

alloy_sol_types::sol! {
    #[allow(missing_docs, reason = "tests")]
    interface contract {
        struct RevocationInput {
            string packageName;
            string version;
            uint8 reason;
            string note;
            uint32 epoch;
            uint256 deadline;
        }
        function veto(string packageName, string version, uint16 signers, bytes signatures) external;
        function revoke(RevocationInput r, uint16 signers, bytes signatures) external;
        struct ReleaseKey {
            string packageName;
            string version;
        }
        function isNonceUsed(bytes32 id, uint256 nonce) external view returns (bool);
        function getReleases(ReleaseKey[] keys) external view;
    }
}

/// The selector of the question whether a nonce is used, in hex.
pub fn nonce_selector() -> String {
    hex::encode(contract::isNonceUsedCall::SELECTOR)
}

/// That of the question what is recorded of some releases.
pub fn releases_selector() -> String {
    hex::encode(contract::getReleasesCall::SELECTOR)
}

fn signed_by<T: SolStruct + serde::Serialize>(
    world: &World,
    team: &[&str],
    message: &T,
    signers: &[&str],
) -> SignatureSet {
    let request = signing_request(message, &package_domain(world).eip712()).expect("encodes");
    let people: Vec<Person> = signers.iter().map(|name| world.person(name)).collect();
    pack(world, team, people.iter().map(|person| (person, sign_request(world, person, &request))))
}

fn pack<'a>(
    world: &World,
    team: &[&str],
    signatures: impl Iterator<Item = (&'a Person, String)>,
) -> SignatureSet {
    let members: Vec<Address> =
        team.iter().map(|name| world.person(name).address.parse().expect("an address")).collect();
    let signatures = signatures.map(|(person, signature)| {
        (person.address.parse().expect("an address"), signature.parse().expect("hex"))
    });
    trust::signature::pack(&members, &signatures.collect()).expect("members")
}

fn network(world: &World) -> chain::Network {
    chain::Network {
        name: "local".into(),
        chain_id: 31_337,
        rpc_urls: vec![world.rpc().parse().expect("a URL")],
        name_registry: name_domain(world).verifying_contract,
        package_registry: package_domain(world).verifying_contract,
    }
}

fn send_call(world: &World, to: Address, data: &[u8]) {
    let from = world.text("/chain/accounts/7");
    let transaction = json!({ "from": from, "to": to, "data": format!("0x{}", hex::encode(data)) });
    // The node chooses the nonce: two tests that send from one account at once would get the same.
    let _one_at_a_time = SENDER.lock().unwrap_or_else(PoisonError::into_inner);
    let hash = rpc(world, "eth_sendTransaction", json!([transaction]));
    // Its block is made a moment after the answer.
    let receipt = std::iter::repeat_with(|| {
        std::thread::sleep(Duration::from_millis(20));
        rpc(world, "eth_getTransactionReceipt", json!([hash]))
    });
    let receipt = receipt.take(250).find(|receipt| !receipt.is_null()).expect("a receipt within 5 s");
    assert_eq!(receipt["status"], "0x1", "{receipt}");
}

/// Lets time pass on chain; only in a world of one's own.
pub fn pass(world: &World, seconds: u64) {
    rpc(world, "evm_increaseTime", json!([seconds]));
    rpc(world, "evm_mine", json!([]));
}

/// Unix seconds.
pub fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs()
}

/// A release as the API writes it.
pub fn release_json(release: &Release) -> Value {
    json!({
        "packageName": release.packageName,
        "version": release.version,
        "integrity": release.integrity,
        "contentHash": release.contentHash,
        "gitSha": release.gitSha,
        "ciRunUrl": release.ciRunUrl,
        "epoch": release.epoch,
        "nonce": release.nonce.to_string(),
        "deadline": release.deadline.to_string(),
    })
}
