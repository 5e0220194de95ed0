//! Words of a contract's storage, proven against a block hash, so that records can be used without
//! believing the RPC that served them. Does not decide which block hash to believe: see `chain`.
//!
//! Steps, each with a test that breaks only it:
//! 1. The header: its RLP hashes to the block hash; it yields the state root, number and time.
//! 2. The account: a Merkle-Patricia proof from the state root to the account.
//! 3. The code: the account's code hash is the one that is pinned.
//! 4. Each word: a proof from the account's storage root to the value, or to its absence (zero).
//!
//! Formats: Ethereum's yellow paper (appendix D), EIP-1186 for the shape of `eth_getProof`.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_rlp::{Encodable, Header as RlpHeader, RlpEncodable};
use alloy_trie::Nibbles;
use alloy_trie::proof::verify_proof;
use serde::Deserialize;

use crate::text::printable;

/// Most nodes in one proof; the tries of mainnet are about 9 deep.
const MAX_PROOF_NODES: usize = 64;

/// How much of the reason why a proof breaks an error repeats.
const MAX_REASON_CHARS: usize = 160;

/// A block's header as `eth_getBlockByHash` gives it. Fields of later forks are absent before them; a
/// field that is missing here changes the hash, and the header is refused.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    parent_hash: B256,
    sha3_uncles: B256,
    miner: Address,
    state_root: B256,
    transactions_root: B256,
    receipts_root: B256,
    logs_bloom: Bytes,
    difficulty: U256,
    number: U256,
    gas_limit: U256,
    gas_used: U256,
    timestamp: U256,
    extra_data: Bytes,
    mix_hash: B256,
    nonce: Bytes,
    base_fee_per_gas: Option<U256>,
    withdrawals_root: Option<B256>,
    blob_gas_used: Option<U256>,
    excess_blob_gas: Option<U256>,
    parent_beacon_block_root: Option<B256>,
    requests_hash: Option<B256>,
}

/// What `eth_getProof` answers (EIP-1186).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountProof {
    /// The account.
    pub address: Address,
    account_proof: Vec<Bytes>,
    balance: U256,
    code_hash: B256,
    nonce: U256,
    storage_hash: B256,
    storage_proof: Vec<WordProof>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct WordProof {
    key: U256,
    value: U256,
    proof: Vec<Bytes>,
}

/// A header whose hash is the one that was asked for. Only [`verify_header`] builds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProvenHeader {
    state_root: B256,
    number: U256,
    timestamp: U256,
}

impl ProvenHeader {
    /// The block's number.
    #[must_use]
    pub fn number(&self) -> U256 {
        self.number
    }

    /// The block's time, Unix seconds.
    #[must_use]
    pub fn timestamp(&self) -> U256 {
        self.timestamp
    }

    #[cfg(test)]
    pub(crate) fn unproven(timestamp: u64) -> Self {
        Self { state_root: B256::ZERO, number: U256::ZERO, timestamp: U256::from(timestamp) }
    }
}

/// Words of one contract, proven. Only [`verify_storage`] puts words in; the default has none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProvenStorage {
    words: BTreeMap<U256, U256>,
}

impl ProvenStorage {
    /// The word in `slot`, when it was among those proven; zero is a proven absence.
    #[must_use]
    pub fn word(&self, slot: U256) -> Option<U256> {
        self.words.get(&slot).copied()
    }

    #[cfg(test)]
    pub(crate) fn unproven(words: BTreeMap<U256, U256>) -> Self {
        Self { words }
    }
}

/// Why a proof was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The header is another block's, or not a header.
    #[error("block header hashes to {found}, expected {expected}")]
    Header {
        /// Its hash.
        found: B256,
        /// The hash asked for.
        expected: B256,
    },
    /// A proof that does not lead where it should.
    #[error("the proof of {what} does not hold: {reason}")]
    Broken {
        /// The account, or the slot.
        what: String,
        /// Where it breaks.
        reason: String,
    },
    /// Another account than asked for.
    #[error("proof is of {found}, expected {expected}")]
    Account {
        /// Whose it is.
        found: Address,
        /// Whose it should be.
        expected: Address,
    },
    /// Other code than is pinned.
    #[error("code of {address} hashes to {found}, expected {expected}")]
    Code {
        /// The contract.
        address: Address,
        /// Its code hash.
        found: B256,
        /// The pinned one.
        expected: B256,
    },
    /// A slot that was asked for was not proven.
    #[error("no proof of slot {slot} came")]
    Missing {
        /// The slot.
        slot: U256,
    },
    /// Longer than any real proof.
    #[error("the proof of {what} has {found} nodes, expected at most {MAX_PROOF_NODES}")]
    TooLong {
        /// The account, or the slot.
        what: String,
        /// How many.
        found: usize,
    },
}

/// Step 1: the header of the block with `expected` as its hash.
pub fn verify_header(header: &Header, expected: B256) -> Result<ProvenHeader, ProofError> {
    let found = keccak256(header.rlp());
    if found != expected {
        return Err(ProofError::Header { found, expected });
    }
    Ok(ProvenHeader { state_root: header.state_root, number: header.number, timestamp: header.timestamp })
}

/// Steps 2 to 4: `slots` of `address`, whose code hashes to `code_hash`, in the state of `header`.
pub fn verify_storage(
    header: &ProvenHeader,
    address: Address,
    code_hash: B256,
    slots: &[U256],
    proof: &AccountProof,
) -> Result<ProvenStorage, ProofError> {
    // 2. The account.
    if proof.address != address {
        return Err(ProofError::Account { found: proof.address, expected: address });
    }
    let account = Account {
        nonce: proof.nonce,
        balance: proof.balance,
        storage_root: proof.storage_hash,
        code_hash: proof.code_hash,
    };
    verify_leaf(
        &format!("account {address}"),
        header.state_root,
        keccak256(address),
        Some(alloy_rlp::encode(account)),
        &proof.account_proof,
    )?;
    // 3. The code.
    if proof.code_hash != code_hash {
        return Err(ProofError::Code { address, found: proof.code_hash, expected: code_hash });
    }
    // 4. The words.
    let came: BTreeMap<U256, &WordProof> = proof.storage_proof.iter().map(|word| (word.key, word)).collect();
    let words = slots
        .iter()
        .map(|slot| {
            let word = came.get(slot).ok_or(ProofError::Missing { slot: *slot })?;
            let (what, path) = (format!("slot {slot:#x}"), keccak256(slot.to_be_bytes::<32>()));
            let verify = |value| verify_leaf(&what, proof.storage_hash, path, value, &word.proof);
            let value = alloy_rlp::encode(word.value);
            // Zero is what is not there. The development node leaves a zero where a word was cleared.
            match word.value.is_zero() {
                true => verify(None).or_else(|absence| verify(Some(value)).map_err(|_| absence))?,
                false => verify(Some(value))?,
            }
            Ok((*slot, word.value))
        })
        .collect::<Result<_, ProofError>>()?;
    Ok(ProvenStorage { words })
}

/// The slot of `key` in the mapping at `slot` (Solidity's storage layout).
#[must_use]
pub fn mapping_slot(key: B256, slot: U256) -> U256 {
    keccak256([key.0, slot.to_be_bytes::<32>()].concat()).into()
}

fn verify_leaf(
    what: &str,
    root: B256,
    path: B256,
    value: Option<Vec<u8>>,
    proof: &[Bytes],
) -> Result<(), ProofError> {
    if proof.len() > MAX_PROOF_NODES {
        return Err(ProofError::TooLong { what: what.to_owned(), found: proof.len() });
    }
    verify_proof(root, Nibbles::unpack(path), value, proof).map_err(|error| {
        // It repeats whole nodes.
        let reason = printable(&error.to_string(), MAX_REASON_CHARS);
        ProofError::Broken { what: what.to_owned(), reason }
    })
}

#[derive(RlpEncodable)]
struct Account {
    nonce: U256,
    balance: U256,
    storage_root: B256,
    code_hash: B256,
}

impl Header {
    /// The header's RLP, fields of later forks at its end.
    fn rlp(&self) -> Vec<u8> {
        let mut fields = Vec::new();
        let mandatory: [&dyn Encodable; 15] = [
            &self.parent_hash,
            &self.sha3_uncles,
            &self.miner,
            &self.state_root,
            &self.transactions_root,
            &self.receipts_root,
            &self.logs_bloom,
            &self.difficulty,
            &self.number,
            &self.gas_limit,
            &self.gas_used,
            &self.timestamp,
            &self.extra_data,
            &self.mix_hash,
            &self.nonce,
        ];
        let later: [Option<&dyn Encodable>; 6] = [
            self.base_fee_per_gas.as_ref().map(|field| field as _),
            self.withdrawals_root.as_ref().map(|field| field as _),
            self.blob_gas_used.as_ref().map(|field| field as _),
            self.excess_blob_gas.as_ref().map(|field| field as _),
            self.parent_beacon_block_root.as_ref().map(|field| field as _),
            self.requests_hash.as_ref().map(|field| field as _),
        ];
        for field in mandatory.into_iter().chain(later.into_iter().flatten()) {
            field.encode(&mut fields);
        }
        let mut rlp = Vec::new();
        RlpHeader { list: true, payload_length: fields.len() }.encode(&mut rlp);
        rlp.extend_from_slice(&fields);
        rlp
    }
}
