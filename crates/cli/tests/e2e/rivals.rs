//! Several proposals of the same bytes: only the one that was recorded is published.

use alloy_primitives::{B256, U256};
use serde_json::Value;
use trust::message::Release;

use crate::harness::archive;
use crate::harness::raw;
use crate::harness::world::World;
use crate::signing::{propose, record, sign, wait};

#[test]
fn of_proposals_of_one_tarball_the_recorded_one_alone_is_published() {
    let world = World::shared();
    let package = world.protected("rivals");
    let tarball = archive::package(&package.name, "1.1.0", "module.exports = 1;\n");
    let signed = raw::release(&package.name, "1.1.0", &tarball, 50);
    let run = |number: u8| format!("https://ci.example/run/{number}");
    // Of these, alice's is the only signature. Each differs in what another step looks at.
    let rivals = [
        Release { nonce: U256::from(51), ciRunUrl: run(1), ..signed.clone() },
        Release { gitSha: B256::repeat_byte(7), ..signed.clone() },
        Release { ciRunUrl: run(2), ..signed.clone() },
    ];
    for rival in &rivals {
        propose(world.coordinator(), rival, &tarball);
    }
    sign(world.coordinator(), &signed, &tarball);
    record(&signed);
    let proposal = wait(world.coordinator(), &signed, "published");
    assert_eq!(package.served(world, "1.1.0"), Some(tarball));
    assert!(proposal["transactionHash"].is_string(), "{proposal:#}");
    for rival in &rivals {
        let proposal = wait(world.coordinator(), rival, "withdrawn");
        assert_eq!(
            proposal["reason"],
            "these bytes were recorded by another proposal, which goes on; nothing is left to do here"
        );
        assert_eq!(proposal["transactionHash"], Value::Null, "{proposal:#}");
        assert_eq!(proposal["signatures"].as_array().map(Vec::len), Some(1));
    }
}
