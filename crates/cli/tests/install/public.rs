//! The world's chain as a public one: an endpoint that calls it 8453, so that what is kept for public chains only
//! (memory, records, age) is kept. And endpoints that are no help.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use chain::rpc_call;
use client::http::{Http, Limits};
use serde_json::{Value, json};

use crate::harness::people::Person;
use crate::harness::proxy::{self, Request, Response, Upstream};
use crate::harness::world::World;
use crate::project::Project;
use crate::shelf::ask;

/// An address where nobody listens.
pub const CLOSED: &str = "http://127.0.0.1:1/";

/// Base, by number.
const CHAIN_ID: &str = "0x2105";

/// The user of `project` with a home of their own, for whom the world's chain is `base` behind `rpc`.
pub fn user_of_base(world: &World, project: &Project, rpc: &str) -> Person {
    let home = world.new_folder(&format!("homes/{}", project.root.file_name().unwrap().display()));
    let user = project.user.clone().with("THREEPM_HOME", home.display().to_string());
    user.with("THREEPM_NETWORK", "base")
        .with("THREEPM_RPC_URL", rpc)
        .with("THREEPM_NAME_REGISTRY", world.text("/chain/nameRegistry"))
        .with("THREEPM_PACKAGE_REGISTRY", world.text("/chain/packageRegistry"))
        .with("THREEPM_COORDINATOR_URL", world.coordinator())
}

/// The file of that user's memory.
pub fn kept(world: &World, project: &Project, file: &str) -> std::path::PathBuf {
    let home = world.new_folder(&format!("homes/{}", project.root.file_name().unwrap().display()));
    let registry = world.text("/chain/packageRegistry").to_lowercase();
    home.join("chains").join(format!("8453-{registry}")).join(file)
}

/// An endpoint that is honest but for the chain's number and what `bend` changes: in the question, then in the
/// answer.
pub fn endpoint(
    world: &World,
    bend: impl Fn(&mut Value) + Send + Sync + 'static,
    change: impl Fn(&str, &mut Value) + Send + Sync + 'static,
) -> String {
    proxy::start(world.rpc(), move |request: &Request, upstream: &Upstream| -> Option<Response> {
        let mut question: Value = serde_json::from_slice(&request.body).ok()?;
        let method = question["method"].as_str()?.to_owned();
        bend(&mut question);
        let mut request = request.clone();
        request.body = question.to_string().into_bytes();
        let mut response = ask(upstream, &request)?;
        response.edit_json(|answer| {
            if method == "eth_chainId" {
                answer["result"] = json!(CHAIN_ID);
            }
            change(&method, answer);
        });
        Some(response)
    })
}

/// An honest one.
pub fn honest(world: &World) -> String {
    endpoint(world, |_| {}, |_, _| {})
}

/// One whose `eth_call`s show the state at the block `hash`, whatever block they ask about.
pub fn stuck_at(world: &World, hash: String) -> String {
    let bend = move |question: &mut Value| {
        if question["method"] == "eth_call" {
            question["params"][1]["blockHash"] = json!(hash);
        }
    };
    endpoint(world, bend, |_, _| {})
}

/// A new block, as young as blocks of a public chain are, and its hash.
pub fn fresh_block(world: &World) -> String {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let url = world.rpc().parse().expect("a URL");
    let http = Http::new().expect("a client");
    let asking = async |method: &str, params: Value| {
        rpc_call(&http, &url, method, params, Limits::SMALL).await.expect("the node answers")
    };
    runtime.block_on(async {
        asking("evm_mine", json!([])).await;
        let block = asking("eth_getBlockByNumber", json!(["latest", false])).await;
        block["hash"].as_str().expect("a hash").to_owned()
    })
}

/// Somebody listens and never says a word.
pub fn silent() -> String {
    listening(|mut stream| drop(stream.read_to_end(&mut Vec::new())))
}

/// A byte of an answer now and then.
pub fn dripping() -> String {
    listening(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n");
        while stream.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(200));
        }
    })
}

/// An answer without end.
pub fn endless() -> String {
    listening(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n");
        while stream.write_all(&[b' '; 4096]).is_ok() {}
    })
}

/// A connection that ends without a word.
pub fn cut() -> String {
    listening(drop)
}

/// A page instead of an answer, as of a hotel's network.
pub fn page() -> String {
    listening(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\nconnection: close\r\n\r\n<html/>");
    })
}

fn listening(serve: fn(TcpStream)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    url
}
