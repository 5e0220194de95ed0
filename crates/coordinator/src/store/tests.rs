//! Rows for tests, and what the store makes of them.

use alloy_primitives::{Address, B256, Bytes, U256};
use client::coordinator::api::{Proposal, ProposalState, Release, TarballInfo};
use tempfile::TempDir;
use trust::TarballHashes;

use super::{Details, Store};

/// A proposal of these bytes; its id is made of its nonce.
pub(crate) fn proposal(name: &str, version: &str, bytes: &[u8], nonce: u64) -> Proposal {
    let TarballHashes { integrity, content_hash } = TarballHashes::of(bytes);
    Proposal {
        id: B256::from(U256::from(nonce)),
        kind: "release".to_owned(),
        state: ProposalState::Proposed,
        release: Release {
            package_name: name.to_owned(),
            version: version.to_owned(),
            integrity: integrity.to_string(),
            content_hash: content_hash.0,
            git_sha: B256::repeat_byte(7),
            ci_run_url: String::new(),
            epoch: 1,
            nonce: U256::from(nonce),
            deadline: U256::from(1_u64 << 40),
        },
        tarball: TarballInfo { integrity, content_hash, size: bytes.len() as u64 },
        proposer: Address::repeat_byte(1),
        members: vec![Address::repeat_byte(1)],
        threshold: 1,
        signatures: Vec::new(),
        created_at: nonce,
        updated_at: nonce,
        transaction_hash: None,
        block_number: None,
        npm: None,
        attention: None,
        reason: None,
    }
}

async fn empty() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("test.sqlite")).await.unwrap();
    (folder, store)
}

async fn insert(store: &Store, proposal: &Proposal, way: &[ProposalState]) {
    let signature = Bytes::from_static(&[1]);
    assert!(store.insert_proposal(proposal, proposal.proposer, &signature).await.unwrap());
    let mut from = proposal.state;
    for to in way {
        store.move_proposal(proposal.id, from, *to, Details::default(), 1).await.unwrap();
        from = *to;
    }
}

/// A store with one Active proposal.
pub(crate) async fn active() -> (TempDir, Store, B256) {
    let (folder, store) = empty().await;
    let proposal = proposal("a", "1.0.0", b"signed", 1);
    insert(&store, &proposal, &[ProposalState::Submitted, ProposalState::Active]).await;
    (folder, store, proposal.id)
}

#[tokio::test]
async fn what_is_open_is_counted_for_each_member_of_a_package() {
    use ProposalState as P;
    let (_folder, store) = empty().await;
    let by_other =
        |nonce| Proposal { proposer: Address::repeat_byte(2), ..proposal("a", "1.0.0", b"1", nonce) };
    insert(&store, &proposal("a", "1.0.0", b"four", 1), &[]).await;
    insert(&store, &proposal("a", "1.1.0", b"seven77", 2), &[P::Signed, P::Submitted, P::Active]).await;
    insert(&store, &proposal("a", "1.2.0", b"ended", 3), &[P::Withdrawn]).await;
    insert(&store, &proposal("b", "1.0.0", b"elsewhere", 4), &[]).await;
    insert(&store, &by_other(5), &[]).await;
    let open = async |name: &str, proposer: &Address| {
        let mut sizes = store.open_tarballs(&name.parse().unwrap(), *proposer).await.unwrap();
        sizes.sort_unstable();
        sizes
    };
    assert_eq!(open("a", &Address::repeat_byte(1)).await, [4, 7]);
    assert_eq!(open("a", &Address::repeat_byte(2)).await, [1]);
    assert_eq!(open("b", &Address::repeat_byte(2)).await, [0; 0]);
}

#[tokio::test]
async fn a_tarball_is_needed_while_another_proposal_is_of_it() {
    use ProposalState as P;
    let (_folder, store) = empty().await;
    insert(&store, &proposal("a", "1.0.0", b"shared", 1), &[P::Withdrawn]).await;
    insert(&store, &proposal("a", "1.0.0", b"shared", 2), &[]).await;
    insert(&store, &proposal("a", "1.0.0", b"alone", 3), &[P::Expired]).await;
    insert(&store, &proposal("a", "1.0.0", b"vetoed", 4), &[P::Vetoed]).await;
    let mut needed = Vec::new();
    for ended in store.ended_tarballs().await.unwrap() {
        needed.push((ended.id, store.is_tarball_needed(&ended).await.unwrap()));
        store.note_tarball_removed(ended.id).await.unwrap();
    }
    needed.sort_unstable();
    let id = |nonce: u64| B256::from(U256::from(nonce));
    assert_eq!(needed, [(id(1), true), (id(3), false)]);
    assert!(store.ended_tarballs().await.unwrap().is_empty());
}

#[tokio::test]
async fn how_long_something_is_so_is_counted_from_its_first_time() {
    let (_folder, store, id) = active().await;
    assert_eq!(store.attention_since(id, "one").await.unwrap(), None);
    for (at, attention) in [(10, "one"), (20, "one"), (30, "other"), (40, "other")] {
        store.postpone(id, attention, at + 1, at).await.unwrap();
    }
    assert_eq!(store.attention_since(id, "other").await.unwrap(), Some(30));
    assert_eq!(store.attention_since(id, "one").await.unwrap(), None);
    store
        .move_proposal(id, ProposalState::Active, ProposalState::Failed, Details::default(), 50)
        .await
        .unwrap();
    assert_eq!(store.attention_since(id, "other").await.unwrap(), None);
}
