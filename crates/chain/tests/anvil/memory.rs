//! What a run remembers, and an honest node whose chain was set back under it: the same or a higher block, an older
//! state.

use chain::{Chain, ChainError};
use serde_json::{Value, json};
use trust::past::Past;
use trust::record::{PackageState, ReleaseStatus};

use crate::world::{CLAIM_WINDOW, World, name, version};

/// Both ways of reading, with this memory.
fn both_ways(world: &World, past: &Past) -> [Chain; 2] {
    let urls = [world.node.url.clone()];
    [world.by_calls(&urls), world.by_proofs(&urls)].map(|chain| chain.with_past(past.clone()))
}

#[tokio::test]
async fn the_number_of_releases_is_the_same_in_both_ways() {
    let world = World::full().await;
    for chain in both_ways(&world, &Past::default()) {
        let head = chain.head(0).await.unwrap();
        chain.packages(&head, &World::names()).await.unwrap();
        chain.releases(&head, &World::releases()).await.unwrap();
        let sightings = chain.sightings().unwrap();
        assert_eq!(sightings.packages.len(), World::names().len());
        assert_eq!(sightings.releases.len(), World::releases().len());
        assert!(sightings.packages.values().all(|(_, at)| *at == head));
        let past = serde_json::to_value(&sightings.past).unwrap();
        let counts: Vec<(&str, u64)> = past["names"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, known)| (name.as_str(), known["releases"].as_u64().unwrap()))
            .collect();
        // Names that nobody claimed, or whose claim waits, are not remembered; a tombstone is no release.
        assert_eq!(counts, [("@scope/team", 3), ("gone", 1), ("moved", 2), ("silent", 0), ("solo", 4)]);
    }
}

#[tokio::test]
async fn more_names_than_fit_into_one_call_are_counted_all() {
    let world = World::full().await;
    let chain = world.truth().with_past(Past::default());
    let head = chain.head(0).await.unwrap();
    let mut wanted: Vec<_> = (0..1200).map(|at| (name(&format!("n{at}")), version("1.0.0"))).collect();
    wanted.push((name("solo"), version("1.0.0")));
    chain.releases(&head, &wanted).await.unwrap();
    let past = serde_json::to_value(chain.sightings().unwrap().past).unwrap();
    assert_eq!(past["names"]["solo"]["releases"], 4);
}

/// Whether `what` (a step on chain) is missed when the node is set back to before it, at a higher block.
async fn is_missed(world: &World, what: impl AsyncFn(), expected: &str, found: &str) {
    let snapshot = world.rpc("evm_snapshot", json!([])).await;
    what().await;
    for by_proof in [false, true] {
        let chain = &both_ways(world, &Past::default())[usize::from(by_proof)];
        read(chain).await.unwrap();
        let past = chain.sightings().unwrap().past;
        if by_proof {
            assert_eq!(world.rpc("evm_revert", json!([snapshot])).await, Value::Bool(true));
            world.rpc("anvil_mine", json!([50])).await;
        }
        for chain in both_ways(world, &past) {
            let again = read(&chain).await;
            if by_proof {
                let Err(ChainError::WentBack(error)) = again else { panic!("{expected}: {again:?}") };
                assert!(error.expected.contains(expected) && error.found.contains(found), "{error}");
                assert!(chain.sightings().unwrap().went_back);
                assert_eq!(chain.sightings().unwrap().past.block(), world.head().await.number);
            } else {
                again.unwrap();
                assert!(!chain.sightings().unwrap().went_back);
            }
        }
    }
}

async fn read(chain: &Chain) -> Result<(PackageState, ReleaseStatus), ChainError> {
    let head = chain.head(0).await?;
    let package = chain.package(&head, &name("solo")).await?;
    let release = chain.release(&head, &name("solo"), &version("1.0.0")).await?;
    Ok((package.state, release.status))
}

#[tokio::test]
async fn a_state_of_before_is_refused_at_a_higher_block() {
    let world = World::empty().await;
    let solo = world.claim_of("solo");
    let claim = async || {
        world.claim(&solo).await;
        world.pass(CLAIM_WINDOW).await;
    };
    is_missed(&world, claim, "an enrolled name", "a name that nobody claimed").await;
    claim().await;
    is_missed(&world, async || world.publish(&solo, "2.0.0", 0, &[0]).await, "1 releases", "0").await;
    world.publish(&solo, "1.0.0", 1, &[0]).await;
    is_missed(&world, async || world.revoke(&solo, "1.0.0").await, "a revoked release", "one that stands")
        .await;
    let next = async || {
        let deadline = alloy_primitives::U256::from(world.head().await.timestamp + 3600);
        let next = trust::message::Config { epoch: 1, deadline, ..solo.clone() };
        world.configure(&solo, &next, &[0], &[0]).await;
    };
    is_missed(&world, next, "epoch 1 or later", "epoch 0").await;
}
