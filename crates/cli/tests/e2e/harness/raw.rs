//! The coordinator's API and the chain's JSON-RPC without our own client: for what our client would
//! refuse to send. Signs through the development node, as a wallet would.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use trust::message::{Domain, Release, signing_request};

use super::people::Person;
use super::proxy::{Request, Response, Upstream};
use super::world::World;

/// One HTTP request with a JSON body or none.
pub fn send(base: &str, method: &str, path: &str, body: Option<&Value>) -> Response {
    let headers = vec![("host".into(), "127.0.0.1".into()), ("content-type".into(), "application/json".into())];
    let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
    let request = Request { method: method.into(), path: format!("/{path}"), headers, body };
    Upstream::at(base).ask(&request).expect("an answer")
}

/// One JSON-RPC call to the chain node.
pub fn rpc(world: &World, method: &str, parameters: Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": parameters });
    let answer: Value = serde_json::from_slice(&send(world.rpc(), "POST", "", Some(&body)).body).expect("JSON");
    assert!(answer.get("error").is_none(), "{method}: {answer}");
    answer["result"].clone()
}

/// The domain that releases of this world are signed under.
pub fn package_domain(world: &World) -> Domain {
    let verifying_contract = world.text("/chain/packageRegistry").parse().expect("an address");
    Domain { chain_id: 31_337, verifying_contract }
}

/// `person`'s signature of `release`.
pub fn sign(world: &World, person: &Person, release: &Release) -> String {
    let request = signing_request(release, &package_domain(world).eip712()).expect("encodes");
    let signature = rpc(world, "eth_signTypedData_v4", json!([person.address, request.typed_data]));
    signature.as_str().expect("hex").to_owned()
}

/// Proposes `tarball` as `release`, signed by `person`, to the coordinator at `base`.
pub fn propose(world: &World, base: &str, person: &Person, release: &Release, tarball: Vec<u8>) -> Response {
    let signature = sign(world, person, release);
    let proposal = json!({ "release": release_json(release), "signer": person.address, "signature": signature });
    let headers = vec![
        ("host".into(), "127.0.0.1".into()),
        ("content-type".into(), "application/octet-stream".into()),
        ("3pm-proposal".into(), URL_SAFE_NO_PAD.encode(proposal.to_string())),
    ];
    let request = Request { method: "POST".into(), path: "/v1/proposals".into(), headers, body: tarball };
    Upstream::at(base).ask(&request).expect("an answer")
}

/// A release as the API writes it.
fn release_json(release: &Release) -> Value {
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
