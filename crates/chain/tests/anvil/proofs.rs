//! Reads by proof: the same records as by call, and none from an endpoint that alters anything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use chain::{Chain, ChainError, PinnedCode};
use serde_json::{Value, json};
use trust::record::{PackageState, ReleaseStatus};

use crate::endpoint::{Answer, Endpoint};
use crate::world::{CLAIM_WINDOW, World, name, version};

#[tokio::test]
async fn both_ways_of_reading_give_equal_records_in_every_state() {
    let world = World::full().await;
    let urls = [world.node.url.clone()];
    let (calls, proofs) = (world.by_calls(&urls), world.by_proofs(&urls));
    let head = world.head().await;

    let names = World::names();
    let by_call = calls.packages(&head, &names).await.unwrap();
    assert_eq!(proofs.packages(&head, &names).await.unwrap(), by_call);
    // The world is what it says it is; else equal records would say little.
    let state = |wanted: &str| {
        let record = names.iter().position(|name| name.as_str() == wanted).unwrap();
        &by_call[record]
    };
    assert_eq!(state("nobody").state, PackageState::None);
    assert_eq!(state("fresh").state, PackageState::Provisional);
    assert_eq!(state("solo").state, PackageState::Final);
    assert_eq!(state("gone").state, PackageState::Retired);
    let team = state("@scope/team");
    assert_eq!((team.members.len(), team.threshold, team.epoch), (3, 2, 0));
    assert!(!team.pending_change.is_zero() && team.pending_ready_at > head.timestamp);
    assert!(!team.recovery_pending && state("silent").recovery_pending);
    assert_eq!((state("moved").epoch, state("moved").members.len()), (1, 4));
    assert_eq!(state("solo").final_at - state("solo").claimed_at, CLAIM_WINDOW);

    let releases = World::releases();
    let by_call = calls.releases(&head, &releases).await.unwrap();
    assert_eq!(proofs.releases(&head, &releases).await.unwrap(), by_call);
    let status = |package: &str, release: &str| {
        let key = (name(package), version(release));
        by_call[releases.iter().position(|other| *other == key).unwrap()].status
    };
    for (package, release, expected) in [
        ("nobody", "1.0.0", ReleaseStatus::None),
        ("solo", "9.9.9", ReleaseStatus::None),
        ("solo", "0.0.1", ReleaseStatus::Revoked),
        ("solo", "1.0.0", ReleaseStatus::Active),
        ("solo", "1.1.0", ReleaseStatus::Flagged),
        ("solo", "1.2.0", ReleaseStatus::Revoked),
        ("@scope/team", "1.0.0", ReleaseStatus::Active),
        ("@scope/team", "2.0.0", ReleaseStatus::Cooling),
        ("@scope/team", "3.0.0", ReleaseStatus::Vetoed),
        ("moved", "1.0.0", ReleaseStatus::Active),
        ("gone", "1.0.0", ReleaseStatus::Active),
    ] {
        assert_eq!(status(package, release), expected, "{package}@{release}");
    }

    // One at a time, in a later state and by the same names in another order.
    world.pass(8 * 24 * 3600).await;
    let later = world.head().await;
    for name in names.iter().rev() {
        assert_eq!(
            proofs.package(&later, name).await.unwrap(),
            calls.package(&later, name).await.unwrap(),
            "{name}"
        );
    }
    for (name, version) in releases.iter().rev() {
        let found = proofs.release(&later, name, version).await.unwrap();
        assert_eq!(found, calls.release(&later, name, version).await.unwrap(), "{name}@{version}");
        assert!(!matches!(found.status, ReleaseStatus::Flagged | ReleaseStatus::Cooling), "a week later");
    }
    // What was proven against the earlier block still holds there.
    assert_eq!(proofs.releases(&head, &releases).await.unwrap(), by_call);
    assert!(proofs.packages(&head, &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn more_records_than_one_round_holds_come_in_their_order() {
    let world = World::full().await;
    let urls = [world.node.url.clone()];
    let (calls, proofs) = (world.by_calls(&urls), world.by_proofs(&urls));
    let head = world.head().await;
    let names: Vec<_> = (0..230)
        .map(|index| {
            World::names().get(index % 13).cloned().unwrap_or_else(|| name(&format!("free-{index}")))
        })
        .collect();
    let expected = calls.packages(&head, &names).await.unwrap();
    assert_eq!(proofs.packages(&head, &names).await.unwrap(), expected);
    let all = World::releases();
    let keys: Vec<_> = (0..230).map(|index| all[index % all.len()].clone()).collect();
    let expected = calls.releases(&head, &keys).await.unwrap();
    assert_eq!(proofs.releases(&head, &keys).await.unwrap(), expected);
}

/// Every place of a JSON answer that holds a value.
fn leaves(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| leaves(item, &format!("{at}/{index}"), found));
        }
        Value::Object(fields) => {
            fields.iter().for_each(|(key, field)| leaves(field, &format!("{at}/{key}"), found));
        }
        _ => found.push(at.to_owned()),
    }
}

/// Another value of the same kind: one hex digit differs.
fn altered(value: &Value) -> Value {
    let Some(text) = value.as_str() else { return json!("0x1") };
    let middle = 2 + (text.len() - 2) / 2;
    let mut text = text.to_owned();
    match text.get(middle..=middle) {
        Some(digit) => text.replace_range(middle..=middle, if digit == "1" { "2" } else { "1" }),
        None => text.push_str("01"),
    }
    json!(text)
}

/// A question as one endpoint is asked it.
type Question = (String, String);

/// What `read` asks an honest endpoint, and what it answers.
async fn questions(
    world: &World,
    read: impl AsyncFn(&Chain) -> Result<Value, ChainError>,
) -> (Value, Vec<(Question, Value)>) {
    let heard = Arc::new(Mutex::new(BTreeMap::new()));
    let endpoint = Endpoint::start(&world.http, &world.node.url, {
        let heard = Arc::clone(&heard);
        move |method, params, answer| {
            let question = (method.to_owned(), params.to_string());
            heard.lock().unwrap().insert(question, answer["result"].clone());
            Answer::Json(answer)
        }
    })
    .await;
    let truth = read(&world.by_proofs(std::slice::from_ref(&endpoint.url))).await.unwrap();
    let heard = heard.lock().unwrap().clone().into_iter().collect();
    (truth, heard)
}

/// Reads while an endpoint alters its answers to `question`.
async fn read_altered(
    world: &World,
    read: &impl AsyncFn(&Chain) -> Result<Value, ChainError>,
    question: &Question,
    alter: impl Fn(&mut Value) + Send + Sync + 'static,
) -> Result<Value, ChainError> {
    let question = question.clone();
    let endpoint = Endpoint::start(&world.http, &world.node.url, move |method, params, mut answer| {
        if (method, params.to_string().as_str()) == (&question.0, &question.1) {
            alter(&mut answer["result"]);
        }
        Answer::Json(answer)
    })
    .await;
    read(&world.by_proofs(std::slice::from_ref(&endpoint.url))).await
}

/// Parts of a header that are no part of what is hashed.
const NOT_HASHED: [&str; 6] =
    ["/hash", "/size", "/totalDifficulty", "/transactions", "/uncles", "/withdrawals"];

/// Alters every word, proof node and header field of every answer, one at a time.
async fn no_altered_answer_gives_a_record(
    world: &World,
    read: impl AsyncFn(&Chain) -> Result<Value, ChainError>,
    rounds: usize,
) {
    let (truth, questions) = questions(world, &read).await;
    let proofs = questions.iter().filter(|((method, _), _)| method == "eth_getProof").count();
    assert_eq!(proofs, rounds, "{questions:?}");
    let mut refused = 0;
    for (question, answer) in &questions {
        let mut places = Vec::new();
        leaves(answer, "", &mut places);
        for place in places {
            let pointer = place.clone();
            let result = read_altered(world, &read, question, move |answer| {
                let value = answer.pointer_mut(&pointer).unwrap();
                *value = altered(value);
            })
            .await;
            match result {
                Err(_) => refused += 1,
                Ok(found) => {
                    let unread = NOT_HASHED.iter().any(|field| place.starts_with(field));
                    assert!(unread, "{} at {place} was altered and passed", question.0);
                    assert_eq!(found, truth, "{} at {place}", question.0);
                }
            }
        }
    }
    assert!(refused >= 25, "only {refused} alterations were refused");
}

#[tokio::test]
async fn an_endpoint_that_alters_anything_gives_no_package() {
    let world = World::full().await;
    let head = world.head().await;
    no_altered_answer_gives_a_record(
        &world,
        async |chain| Ok(json!(chain.package(&head, &name("@scope/team")).await?)),
        2,
    )
    .await;
    no_altered_answer_gives_a_record(
        &world,
        async |chain| Ok(json!(chain.package(&head, &name("nobody")).await?)),
        1,
    )
    .await;
}

#[tokio::test]
async fn an_endpoint_that_alters_anything_gives_no_release() {
    let world = World::full().await;
    let head = world.head().await;
    no_altered_answer_gives_a_record(
        &world,
        async |chain| Ok(json!(chain.release(&head, &name("@scope/team"), &version("2.0.0")).await?)),
        3,
    )
    .await;
    no_altered_answer_gives_a_record(
        &world,
        async |chain| Ok(json!(chain.release(&head, &name("solo"), &version("9.9.9")).await?)),
        1,
    )
    .await;
}

#[tokio::test]
async fn true_proofs_of_something_else_are_no_proofs() {
    let world = World::full().await;
    let before = world.head().await;
    world.pass(1).await;
    let head = world.head().await;
    let read = async |chain: &Chain| Ok(json!(chain.package(&head, &name("solo")).await?));
    let (_, questions) = questions(&world, read).await;
    let (question, truth) = questions.iter().find(|((method, _), _)| method == "eth_getProof").unwrap();

    // Another contract's account, with its own proof.
    let other = world.rpc("eth_getProof", json!([world.network.package_registry, [], "latest"])).await;
    let result = read_altered(&world, &read, question, move |answer| *answer = other.clone()).await;
    assert!(matches!(result, Err(ChainError::Unproven { .. })), "{result:?}");
    // Nothing, and something else.
    for nothing in [Value::Null, json!({}), json!([]), json!("0x"), json!(7)] {
        let result = read_altered(&world, &read, question, move |answer| *answer = nothing.clone()).await;
        assert!(matches!(result, Err(ChainError::Malformed { .. })), "{result:?}");
    }
    // The words of another slot, under the key that was asked for.
    let (mut swapped, key) = (truth.clone(), truth["storageProof"][0]["key"].clone());
    let slot = json!([world.network.name_registry, [format!("{:#066x}", 5)], "latest"]);
    swapped["storageProof"] = world.rpc("eth_getProof", slot).await["storageProof"].clone();
    swapped["storageProof"][0]["key"] = key;
    let result = read_altered(&world, &read, question, move |answer| *answer = swapped.clone()).await;
    assert!(matches!(result, Err(ChainError::Unproven { .. })), "{result:?}");
    // The header of the block before, true in itself.
    let header = world.rpc("eth_getBlockByHash", json!([before.hash, false])).await;
    let asked = ("eth_getBlockByHash".to_owned(), json!([head.hash, false]).to_string());
    let result = read_altered(&world, &read, &asked, move |answer| *answer = header.clone()).await;
    assert!(matches!(result, Err(ChainError::Unproven { .. })), "{result:?}");
    // A head whose number or time is not its block's.
    let proofs = world.by_proofs(std::slice::from_ref(&world.node.url));
    for wrong in [
        chain::Head { number: head.number + 1, ..head },
        chain::Head { timestamp: head.timestamp - 1, ..head },
    ] {
        let result = proofs.package(&wrong, &name("solo")).await;
        assert!(matches!(result, Err(ChainError::Malformed { .. })), "{result:?}");
    }
}

#[tokio::test]
async fn other_code_than_is_pinned_is_refused_both_ways() {
    let world = World::full().await;
    let head = world.head().await;
    let url = std::slice::from_ref(&world.node.url);
    let right = world.code;
    let other = alloy_primitives::B256::repeat_byte(1);
    for wrong in
        [PinnedCode { name_registry: other, ..right }, PinnedCode { package_registry: other, ..right }]
    {
        let result = world.by_calls(url).with_code(wrong).head(0).await;
        assert!(matches!(result, Err(ChainError::OtherCode { .. })), "{result:?}");
        let result =
            world.by_calls(url).with_proofs(wrong).release(&head, &name("solo"), &version("1.0.0")).await;
        assert!(matches!(result, Err(ChainError::Unproven { .. })), "{result:?}");
    }
    // The claim window is part of the code, and so of the pin.
    let pinned = chain::deploy::pinned_code(CLAIM_WINDOW + 1, world.network.name_registry).unwrap();
    let result = world.by_calls(url).with_proofs(pinned).package(&head, &name("solo")).await;
    assert!(matches!(result, Err(ChainError::Unproven { .. })), "{result:?}");

    for wrong in
        [PinnedCode { name_registry: other, ..right }, PinnedCode { package_registry: other, ..right }]
    {
        let result = world.by_calls(url).with_proofs(wrong).head(0).await;
        assert!(matches!(result, Err(ChainError::Unproven { .. })), "{result:?}");
    }
    let chain = world.by_calls(url).with_code(right);
    assert_eq!(chain.head(0).await.unwrap(), head);
    assert_eq!(chain.head(0).await.unwrap(), head);
}
