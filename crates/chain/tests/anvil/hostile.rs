//! Endpoints that lie, stall, flood and talk nonsense, in front of a real node: what comes out is the truth of
//! the majority or an error, within the time limits, and never a lie.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use alloy_primitives::U256;
use chain::{Chain, ChainError, Head, Network};
use serde_json::{Value, json};
use trust::record::{PackageRecord, ReleaseRecord, ReleaseStatus};
use url::Url;

use crate::endpoint::{Answer, Endpoint};
use crate::world::{CLAIM_WINDOW, World, name, version};

/// What a head or one question may take: `DECISION_TIME` at most, and as long again for a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(10);

/// Nobody listens there.
const CLOSED: &str = "http://127.0.0.1:1/";

/// How an endpoint is hostile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    OtherRecord,
    OtherBlock,
    Revert,
    Stale,
    Silent,
    Drip,
    Flood,
    Page,
    Nothing,
    WrongId,
    HugeHex,
    TwoResults,
    WrongChain,
    Dead,
}

const KINDS: [Kind; 14] = [
    Kind::OtherRecord,
    Kind::OtherBlock,
    Kind::Revert,
    Kind::Stale,
    Kind::Silent,
    Kind::Drip,
    Kind::Flood,
    Kind::Page,
    Kind::Nothing,
    Kind::WrongId,
    Kind::HugeHex,
    Kind::TwoResults,
    Kind::WrongChain,
    Kind::Dead,
];

impl Kind {
    /// An endpoint of this kind. Two with different `whose` tell different lies.
    async fn start(self, world: &World, whose: u8) -> Result<Endpoint, Url> {
        if self == Self::Dead {
            return Err(CLOSED.parse().unwrap());
        }
        let bend = move |method: &str, _: &Value, answer: Value| self.answer(whose, method, answer);
        Ok(Endpoint::start(&world.http, &world.node.url, bend).await)
    }

    fn answer(self, whose: u8, method: &str, mut answer: Value) -> Answer {
        let is_record = matches!(method, "eth_call" | "eth_getProof");
        match self {
            Self::OtherRecord if is_record => lie_in(&mut answer["result"], whose),
            Self::OtherBlock if method == "eth_getBlockByNumber" => {
                lie_in(&mut answer["result"]["hash"], whose)
            }
            Self::Revert if is_record => {
                let error =
                    json!({ "code": 3, "message": "execution reverted", "data": format!("0x{whose:02x}") });
                return Answer::Json(json!({ "jsonrpc": "2.0", "id": answer["id"], "error": error }));
            }
            Self::Stale if method == "eth_blockNumber" => {
                let height = u64::from_str_radix(&answer["result"].as_str().unwrap()[2..], 16).unwrap();
                answer["result"] = json!(format!("{:#x}", height - 3));
            }
            Self::Silent => return Answer::Silence,
            Self::Drip => return Answer::Drip,
            Self::Flood => return Answer::Flood,
            Self::Page => return Answer::Text("<html>busy</html>".into()),
            Self::Nothing => return Answer::Text("{}".into()),
            Self::WrongId => answer["id"] = json!(answer["id"].as_u64().unwrap() + 1),
            Self::HugeHex => answer["result"] = json!(format!("0x{}", "f".repeat(900_000))),
            Self::TwoResults => {
                let (id, truth) = (&answer["id"], &answer["result"]);
                let lie =
                    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{truth},"result":"0x{whose:02x}"}}"#);
                return Answer::Text(lie);
            }
            Self::WrongChain if method == "eth_chainId" => answer["result"] = json!("0x1"),
            _ => {}
        }
        Answer::Json(answer)
    }
}

/// Puts another digit into the text, or into the first word of a proof where it has one.
fn lie_in(value: &mut Value, whose: u8) {
    if value.is_object() {
        if let Some(word) = value.pointer_mut("/storageProof/0/value") {
            *word = json!(format!("{:#x}", 0x1111_u64 + u64::from(whose)));
        }
        return;
    }
    let text = value.as_str().unwrap();
    let (head, last) = text.split_at(text.len() - 1);
    let digit = u8::from_str_radix(last, 16).unwrap();
    *value = json!(format!("{head}{:x}", (digit + 1 + whose) % 16));
}

/// What a run asks for.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    head: Head,
    package: PackageRecord,
    release: ReleaseRecord,
}

/// A head and two records, each within the time limit.
async fn read(chain: &Chain) -> Result<Seen, ChainError> {
    let timed = async |what: &str, started: Instant| {
        assert!(started.elapsed() < PATIENCE, "{what} took {:?}", started.elapsed());
    };
    let started = Instant::now();
    let head = chain.head(0).await;
    timed("the head", started).await;
    let head = head?;
    let started = Instant::now();
    let package = chain.package(&head, &name("@scope/team")).await;
    timed("a package", started).await;
    let started = Instant::now();
    let release = chain.release(&head, &name("@scope/team"), &version("2.0.0")).await;
    timed("a release", started).await;
    Ok(Seen { head, package: package?, release: release? })
}

/// Both ways of reading through these endpoints.
fn both_ways(world: &World, urls: &[Url]) -> [(bool, Chain); 2] {
    [(false, world.by_calls(urls)), (true, world.by_proofs(urls))]
}

fn url_of(endpoint: &Result<Endpoint, Url>) -> Url {
    endpoint.as_ref().map_or_else(Url::clone, |endpoint| endpoint.url.clone())
}

async fn truth(world: &World) -> Seen {
    let seen = read(&world.truth()).await.unwrap();
    assert_eq!(seen.release.status, ReleaseStatus::Cooling);
    seen
}

#[tokio::test]
async fn one_of_three_that_is_hostile_changes_nothing() {
    let world = World::full().await;
    let truth = truth(&world).await;
    for kind in KINDS {
        let liar = kind.start(&world, 0).await;
        // First, where a read by proof begins.
        let urls = [url_of(&liar), world.node.url.clone(), world.node.url.clone()];
        for (by_proof, chain) in both_ways(&world, &urls) {
            assert_eq!(read(&chain).await.unwrap(), truth, "{kind:?}, by proof: {by_proof}");
        }
    }
}

#[tokio::test]
async fn two_of_three_that_are_hostile_cause_an_error_and_never_a_lie() {
    let world = World::full().await;
    let truth = truth(&world).await;
    for kind in KINDS {
        let (first, second) = (kind.start(&world, 0).await, kind.start(&world, 1).await);
        let urls = [url_of(&first), url_of(&second), world.node.url.clone()];
        for (by_proof, chain) in both_ways(&world, &urls) {
            // An older block is true too: that it is old shows on what was seen before.
            let found = read(&chain.with_floor(truth.head.number)).await;
            match (kind, by_proof) {
                (Kind::OtherRecord | Kind::Revert, true) => assert_eq!(found.unwrap(), truth, "{kind:?}"),
                (Kind::Stale, _) => {
                    assert!(matches!(found, Err(ChainError::Behind { .. })), "{kind:?}: {found:?}");
                }
                (Kind::WrongChain, _) => {
                    assert!(matches!(found, Err(ChainError::WrongChain { found: 1, .. })), "{found:?}");
                }
                _ => assert!(found.is_err(), "{kind:?}, by proof: {by_proof}: {found:?}"),
            }
        }
    }
}

#[tokio::test]
async fn alone_a_hostile_endpoint_causes_an_error_wherever_proofs_are_read() {
    let world = World::full().await;
    let truth = truth(&world).await;
    for kind in KINDS {
        let liar = kind.start(&world, 0).await;
        let chain = world.by_proofs(&[url_of(&liar)]).with_floor(truth.head.number);
        let found = read(&chain).await;
        assert!(found.is_err(), "{kind:?}: {found:?}");
    }
}

#[tokio::test]
async fn two_that_tell_the_same_lie_about_a_record_do_not_pass_where_proofs_are_read() {
    let world = World::full().await;
    let truth = truth(&world).await;
    let (first, second) =
        (Kind::OtherRecord.start(&world, 0).await, Kind::OtherRecord.start(&world, 0).await);
    let urls = [url_of(&first), url_of(&second), world.node.url.clone()];
    assert_eq!(read(&world.by_proofs(&urls)).await.unwrap(), truth);
    let alone = read(&world.by_proofs(&urls[..2])).await;
    assert!(matches!(alone, Err(ChainError::Unproven { .. })), "{alone:?}");
}

#[tokio::test]
async fn a_vote_without_a_majority_decides_nothing() {
    let world = World::full().await;
    let mut liars = Vec::new();
    for whose in 0..3 {
        liars.push(Kind::OtherBlock.start(&world, whose).await);
    }
    let again = Kind::OtherBlock.start(&world, 0).await;
    let (node, lie) = (world.node.url.clone(), |index: usize| url_of(&liars[index]));
    for urls in [
        vec![lie(0), lie(1), lie(2)],
        vec![lie(0), node.clone()],
        vec![lie(0), url_of(&again), node.clone(), node.clone()],
    ] {
        for (_, chain) in both_ways(&world, &urls) {
            let found = read(&chain).await;
            assert!(matches!(found, Err(ChainError::Disagree { .. })), "{found:?}");
        }
    }
    // The same about a record.
    let liar = Kind::OtherRecord.start(&world, 0).await;
    let found = read(&world.by_calls(&[url_of(&liar), node])).await;
    assert!(matches!(found, Err(ChainError::Disagree { .. })), "{found:?}");
}

#[tokio::test]
async fn when_all_are_down_that_is_said_in_time() {
    let world = World::full().await;
    for kind in [Kind::Dead, Kind::Silent, Kind::Drip, Kind::Flood, Kind::Page] {
        let (first, second) = (kind.start(&world, 0).await, kind.start(&world, 1).await);
        for (_, chain) in both_ways(&world, &[url_of(&first), url_of(&second)]) {
            let found = read(&chain).await;
            assert!(matches!(found, Err(ChainError::Unreachable { answered: 0, .. })), "{kind:?}: {found:?}");
        }
    }
}

#[tokio::test]
async fn a_machine_is_offline_only_where_no_endpoint_was_heard() {
    let world = World::full().await;
    let after_head = Endpoint::start(&world.http, &world.node.url, |method, _, answer| match method {
        "eth_chainId" | "eth_blockNumber" => Answer::Json(answer),
        _ => Answer::Silence,
    })
    .await;
    for (kinds, offline) in [
        ([Kind::Dead, Kind::Dead], true),
        ([Kind::Silent, Kind::Dead], true),
        ([Kind::Drip, Kind::Silent], true),
        ([Kind::Dead, Kind::Page], false),
        ([Kind::Page, Kind::Dead], false),
        ([Kind::Flood, Kind::Silent], false),
        ([Kind::Nothing, Kind::Dead], false),
        ([Kind::WrongId, Kind::Dead], false),
        ([Kind::WrongChain, Kind::Dead], false),
        // One honest answer of two is no majority, and no silence either.
        ([Kind::OtherRecord, Kind::Dead], false),
    ] {
        let (first, second) = (kinds[0].start(&world, 0).await, kinds[1].start(&world, 1).await);
        for (_, chain) in both_ways(&world, &[url_of(&first), url_of(&second)]) {
            let error = chain.head(0).await.unwrap_err();
            assert_eq!(error.is_silence(), offline, "{kinds:?}: {error:?}");
        }
    }
    for (_, chain) in both_ways(&world, std::slice::from_ref(&after_head.url)) {
        let error = chain.head(0).await.unwrap_err();
        assert!(!error.is_silence(), "{error:?}");
    }
}

#[tokio::test]
async fn endpoints_that_go_silent_after_the_head_cause_an_error_in_time() {
    let world = World::full().await;
    let mut urls = Vec::new();
    let mut serving = Vec::new();
    for _ in 0..3 {
        let endpoint = Endpoint::start(&world.http, &world.node.url, |method, _, answer| match method {
            "eth_call" | "eth_getProof" => Answer::Silence,
            _ => Answer::Json(answer),
        })
        .await;
        urls.push(endpoint.url.clone());
        serving.push(endpoint);
    }
    for (_, chain) in both_ways(&world, &urls) {
        let found = read(&chain).await;
        // By proof the head itself needs one, of the contracts' code.
        let expected = matches!(found, Err(ChainError::Unreachable { .. } | ChainError::TooSlow { .. }));
        assert!(expected, "{found:?}");
    }
}

#[tokio::test]
async fn no_state_older_than_one_already_seen_is_read_in_either_way() {
    let world = World::full().await;
    let seen = world.head().await;
    let urls = [world.node.url.clone()];
    for (_, chain) in both_ways(&world, &urls) {
        assert_eq!(chain.clone().with_floor(seen.number).head(0).await.unwrap(), seen);
        let found = chain.with_floor(seen.number + 1).head(0).await;
        assert!(matches!(found, Err(ChainError::Behind { .. })), "{found:?}");
    }
    let stale = Kind::Stale.start(&world, 0).await;
    for (_, chain) in both_ways(&world, &[url_of(&stale)]) {
        let found = chain.with_floor(seen.number).head(0).await;
        assert!(matches!(found, Err(ChainError::Behind { .. })), "{found:?}");
    }
}

#[tokio::test]
async fn on_a_public_chain_a_process_never_goes_back() {
    let world = World::empty().await;
    world.rpc("anvil_setChainId", json!([8453])).await;
    let lag = Arc::new(AtomicU64::new(0));
    let behind = Arc::clone(&lag);
    let lagging = Endpoint::start(&world.http, &world.node.url, move |method, _, mut answer| {
        if method == "eth_blockNumber" {
            let number: U256 = serde_json::from_value(answer["result"].clone()).unwrap();
            answer["result"] = json!(number - U256::from(behind.load(Ordering::SeqCst)));
        }
        Answer::Json(answer)
    })
    .await;
    let network = Network { chain_id: 8453, rpc_urls: vec![lagging.url.clone()], ..world.network.clone() };
    let calls = Chain::new(world.http.clone(), network);
    let time = calls.block(1).await.unwrap().timestamp;
    for chain in [calls.clone(), calls.with_proofs(world.code)] {
        lag.store(0, Ordering::SeqCst);
        let seen = chain.head(time).await.unwrap();
        lag.store(1, Ordering::SeqCst);
        assert_eq!(chain.clone().head(time).await.unwrap(), seen, "a lagging endpoint takes nobody back");
        assert!(matches!(chain.head(seen.timestamp + 301).await, Err(ChainError::Stale { .. })));
    }
}

#[tokio::test]
async fn events_are_equal_whatever_nodes_add_and_one_that_nobody_reads_hides_none() {
    let world = World::empty().await;
    let solo = world.claim_of("solo");
    world.claim(&solo).await;
    world.pass(CLAIM_WINDOW).await;
    world.publish(&solo, "1.0.0", 0, &[0]).await;
    world.publish(&solo, "99999999999999999999.0.0", 1, &[0]).await;
    world.publish(&solo, "1.1.0", 2, &[0]).await;
    let talkative = Endpoint::start(&world.http, &world.node.url, |method, _, mut answer| {
        if method == "eth_getLogs" {
            for log in answer["result"].as_array_mut().unwrap() {
                log["blockTimestamp"] = json!("0x1");
                log["ours"] = json!("alone");
            }
        }
        Answer::Json(answer)
    })
    .await;
    let chain = world.by_calls(&[world.node.url.clone(), talkative.url.clone()]);
    let events = chain.releases_published(0, world.head().await.number).await.unwrap();
    let versions: Vec<String> = events.iter().map(|event| event.version.to_string()).collect();
    assert_eq!(versions, ["1.0.0", "1.1.0"]);
}

#[tokio::test]
async fn on_a_public_chain_a_head_is_neither_old_nor_ahead_in_either_way() {
    let world = World::empty().await;
    world.rpc("anvil_setChainId", json!([8453])).await;
    let urls = vec![world.node.url.clone()];
    let network = Network { chain_id: 8453, rpc_urls: urls, ..world.network.clone() };
    let calls = Chain::new(world.http.clone(), network);
    for chain in [calls.clone(), calls.with_proofs(world.code)] {
        let time = chain.block(1).await.unwrap().timestamp;
        let newest = chain.head(time).await.unwrap().timestamp;
        assert!(chain.head(newest + 300).await.is_ok());
        let old = chain.head(newest + 301).await;
        assert!(matches!(old, Err(ChainError::Stale { age: 301, .. })), "{old:?}");
        assert!(chain.head(newest - 60).await.is_ok());
        let early = chain.head(newest - 61).await;
        assert!(matches!(early, Err(ChainError::Ahead { ahead: 61, .. })), "{early:?}");
    }
}
