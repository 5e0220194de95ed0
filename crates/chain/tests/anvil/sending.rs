//! What was sent and waits: the endpoint that knows the most is believed, because its transaction will be mined.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use alloy_primitives::Address;
use chain::ChainError;
use serde_json::{Value, json};

use crate::endpoint::{Answer, Endpoint};
use crate::world::World;

/// An endpoint that says `count` wherever the count of pending transactions is asked for.
async fn saying(world: &World, count: Value) -> Endpoint {
    Endpoint::start(&world.http, &world.node.url, move |method, params, truth| {
        let asked = method == "eth_getTransactionCount" && params[1] == "pending";
        Answer::Json(if asked {
            json!({ "jsonrpc": "2.0", "id": truth["id"], "result": count })
        } else {
            truth
        })
    })
    .await
}

#[tokio::test]
async fn the_highest_count_of_pending_transactions_counts() {
    let world = World::empty().await;
    let nobody = Address::repeat_byte(9);
    let node = world.node.url.clone();
    let waiting = async |urls: &[url::Url]| world.by_calls(urls).waiting_transactions(nobody).await;
    assert_eq!(waiting(std::slice::from_ref(&node)).await.unwrap(), 0);
    let ahead = saying(&world, json!("0x3")).await;
    let urls = [node.clone(), ahead.url.clone(), node.clone()];
    assert_eq!(
        waiting(&urls).await.unwrap(),
        3,
        "one of three has taken on what the others have not heard of"
    );

    // Silence is no count, and no reason to stop while others answer.
    let dead: url::Url = "http://127.0.0.1:9/".parse().unwrap();
    assert_eq!(waiting(&[node.clone(), dead, ahead.url.clone()]).await.unwrap(), 3);
}

#[tokio::test]
async fn a_count_that_is_no_number_is_an_error_and_not_zero() {
    let world = World::empty().await;
    let nobody = Address::repeat_byte(9);
    let node = world.node.url.clone();
    for wrong in [json!("0xzz"), json!(3), json!(null), json!("0x1ffffffffffffffff"), json!({})] {
        let endpoint = saying(&world, wrong.clone()).await;
        for urls in [vec![endpoint.url.clone()], vec![node.clone(), node.clone(), endpoint.url.clone()]] {
            let answer = world.by_calls(&urls).waiting_transactions(nobody).await;
            assert!(matches!(answer, Err(ChainError::Malformed { .. })), "{wrong}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn an_endpoint_of_another_chain_says_nothing_about_this_one() {
    let world = World::empty().await;
    let asked = Arc::new(AtomicU64::new(0));
    let counted = asked.clone();
    let stranger = Endpoint::start(&world.http, &world.node.url, move |method, params, mut truth| {
        if method == "eth_chainId" {
            truth["result"] = json!("0x2105");
        }
        if method == "eth_getTransactionCount" && params[1] == "pending" {
            counted.fetch_add(1, Ordering::Relaxed);
            truth["result"] = json!("0x99");
        }
        Answer::Json(truth)
    })
    .await;
    let node = world.node.url.clone();
    let chain = world.by_calls(&[node.clone(), node, stranger.url.clone()]);
    assert_eq!(chain.waiting_transactions(Address::repeat_byte(9)).await.unwrap(), 0);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}
