//! How many releases each of many names has, in one call. The contracts answer that for one name at a time, so
//! the call carries a program of its own that asks them for each (an `eth_call` without an address runs its data
//! as a contract's creation). Nothing is deployed, and nothing is believed that a plain call would not show.

use alloy_primitives::{Address, Bytes, U256, hex};
use alloy_sol_types::SolCall as _;
use futures_util::future::try_join_all;
use serde_json::json;
use trust::PackageName;

use crate::abi::packages::PackageRegistry::releaseCountCall;
use crate::error::ChainError;
use crate::reads::{Chain, Head, block_id, malformed, parsed};

const WHAT: &str = "the number of releases";

/// Names in one call. A creation may carry 48 kB and return 24 kB; this is 16 of each.
const CHUNK: usize = 500;

/// Calls at the same time.
const PARALLEL: usize = 4;

/// Bytes of [`program`], where the ids begin.
const LENGTH: usize = 0x51;

/// Asks `ADDRESS.releaseCount(id)` for every word behind it and returns the answers, a word for each:
///
/// ```text
///      63 SELECTOR 60 e0 1b 5f 52      memory[0..4] = selector
///      60 51                           p = length of this
/// 0c   5b 80 38 14 60 45 57            loop: p = size of the code? then done
///      60 20 81 60 04 39               memory[4..36] = code[p..p+32], the id
///      60 20 81 60 24 5f               the answer goes to memory[p..p+32], the question is memory[0..36]
///      73 ADDRESS 5a fa                ask
///      3d 60 20 14 16 15 60 4d 57      refused, or not one word? then failed
///      60 20 01 60 0c 56               p += 32, loop
/// 45   5b 60 51 80 38 03 90 f3         done: return memory[length..size]
/// 4d   5b 5f 5f fd                     failed: revert
/// ```
fn program(registry: Address) -> Vec<u8> {
    let mut code = Vec::with_capacity(LENGTH);
    code.extend_from_slice(&hex!("63"));
    code.extend_from_slice(&releaseCountCall::SELECTOR);
    code.extend_from_slice(&hex!("60e01b5f52 6051 5b80381460 4557 60208160 0439 602081 60245f 73"));
    code.extend_from_slice(registry.as_slice());
    code.extend_from_slice(&hex!("5afa 3d60201416 15604d57 60200160 0c56 5b605180380390f3 5b5f5ffd"));
    code
}

impl Chain {
    /// How many releases of each name were recorded, by call.
    pub(crate) async fn release_counts(
        &self,
        at: &Head,
        wanted: &[PackageName],
    ) -> Result<Vec<(PackageName, u64)>, ChainError> {
        let mut counts = Vec::with_capacity(wanted.len());
        for part in wanted.chunks(CHUNK * PARALLEL) {
            let rounds = part.chunks(CHUNK).map(|chunk| self.counts_of_round(at, chunk));
            counts.extend(try_join_all(rounds).await?.into_iter().flatten());
        }
        Ok(wanted.iter().cloned().zip(counts).collect())
    }

    async fn counts_of_round(&self, at: &Head, wanted: &[PackageName]) -> Result<Vec<u64>, ChainError> {
        let mut data = program(self.network().package_registry);
        for name in wanted {
            data.extend_from_slice(name.id().as_slice());
        }
        let params = json!([{ "data": Bytes::from(data) }, block_id(at)]);
        let answer: Bytes = parsed(WHAT, &self.ask(WHAT, "eth_call", &params, |answer| answer).await?)?;
        if answer.len() != wanted.len() * 32 {
            return Err(malformed(WHAT, format!("{} bytes for {} names", answer.len(), wanted.len())));
        }
        let words = answer.chunks_exact(32).map(|word| {
            u64::try_from(U256::from_be_slice(word))
                .map_err(|_| malformed(WHAT, "no 64-bit number".to_owned()))
        });
        words.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_has_the_length_and_the_places_to_jump_to_that_it_states() {
        let code = program(Address::repeat_byte(0xaa));
        assert_eq!(code.len(), LENGTH);
        for place in [0x0c, 0x45, 0x4d] {
            assert_eq!(code[place], 0x5b, "a JUMPDEST at {place:#x}");
        }
    }
}
