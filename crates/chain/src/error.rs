//! Why the chain could not be read. None of these is ever an answer.

use std::time::Duration;

use alloy_primitives::{Address, B256};
use trust::past::WentBack;
use trust::proof::ProofError;
use trust::signature::SignatureError;
use trust::storage::StorageError;

use crate::rpc::RpcError;

/// The first thing every endpoint is asked about.
pub(crate) const NEWEST: &str = "the newest block";

/// We could not find out what the chain says.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// No endpoint is configured.
    #[error("network {network} names no RPC URL")]
    NoEndpoints {
        /// The network.
        network: String,
    },
    /// Too few endpoints answered.
    #[error("{answered} of {configured} RPC endpoints answered about {what}, expected more than half")]
    Unreachable {
        /// What was asked.
        what: &'static str,
        /// How many answered.
        answered: usize,
        /// How many there are.
        configured: usize,
        /// The first failure.
        #[source]
        source: Option<RpcError>,
    },
    /// Slow in all, though no single answer was late.
    #[error("reading {what} took more than {limit:?}")]
    TooSlow {
        /// What was asked.
        what: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// A view that shows less than an earlier one.
    #[error(transparent)]
    WentBack(#[from] WentBack),
    /// The endpoints contradict each other.
    #[error("RPC endpoints disagree about {what}: {endpoints}")]
    Disagree {
        /// What was asked.
        what: &'static str,
        /// Who they are.
        endpoints: String,
    },
    /// An endpoint of another chain.
    #[error("{url} serves chain {found}, expected chain {expected}")]
    WrongChain {
        /// The endpoint.
        url: String,
        /// The chain it serves.
        found: u64,
        /// The configured chain.
        expected: u64,
    },
    /// The newest block is too old.
    #[error("the newest block is {age} seconds old, expected at most {limit}")]
    Stale {
        /// Its age in seconds.
        age: u64,
        /// The limit.
        limit: u64,
    },
    /// The newest block lies in the future.
    #[error("the newest block is {ahead} seconds ahead of this machine's clock, expected at most {limit}")]
    Ahead {
        /// By how many seconds.
        ahead: u64,
        /// The limit.
        limit: u64,
    },
    /// The newest block is older than one already seen.
    #[error("the newest block is {found}, expected {floor} or later: an earlier run saw that one")]
    Behind {
        /// Its number.
        found: u64,
        /// The highest number seen.
        floor: u64,
    },
    /// The contract said no.
    #[error("the contract refuses: {reason}")]
    Reverted {
        /// Its reason, in words.
        reason: String,
    },
    /// There is nothing at the address.
    #[error("there is no contract at {address} on chain {chain_id}")]
    NoContract {
        /// The address.
        address: Address,
        /// The chain.
        chain_id: u64,
    },
    /// An answer that is not what was asked for.
    #[error("the answer about {what} is malformed: {reason}")]
    Malformed {
        /// What was asked.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// An endpoint's proof does not hold.
    #[error("{url} proves nothing about {what}")]
    Unproven {
        /// What was asked.
        what: &'static str,
        /// The endpoint.
        url: String,
        /// Where the proof breaks.
        #[source]
        source: ProofError,
    },
    /// Words that are proven, and yet no record.
    #[error("the contracts' storage says nothing about {what}")]
    Storage {
        /// What was asked.
        what: &'static str,
        /// What is wrong with the words.
        #[source]
        source: StorageError,
    },
    /// Other code than is pinned.
    #[error("the code of {contract} at {address} hashes to {found}, expected {expected}")]
    OtherCode {
        /// Which.
        contract: &'static str,
        /// Its address.
        address: Address,
        /// What is there.
        found: B256,
        /// What is pinned.
        expected: B256,
    },
    /// A transaction that did not get into a block in time.
    #[error("transaction {hash} is in no block after {seconds} seconds")]
    NotMined {
        /// The transaction.
        hash: B256,
        /// How long we waited.
        seconds: u64,
    },
}

impl ChainError {
    /// Whether no endpoint was heard at all: then, and only then, is this machine offline. Endpoints that
    /// contradict each other, refuse, talk nonsense, or fall silent after their first answer are heard.
    #[must_use]
    pub fn is_silence(&self) -> bool {
        match self {
            Self::Unreachable { what: NEWEST, answered: 0, source: Some(source), .. } => source.is_silence(),
            _ => false,
        }
    }
}

/// Why a member's signature does not count.
#[derive(Debug, thiserror::Error)]
pub enum MemberSignatureError {
    /// Neither the member's key nor a contract of the member's accepts it.
    #[error("signature is not {member}'s")]
    Refused {
        /// The member.
        member: Address,
        /// Why it is no ECDSA signature of the member, where that is what it should be.
        #[source]
        source: Option<SignatureError>,
    },
    /// The chain could not be asked.
    #[error(transparent)]
    Chain(#[from] ChainError),
}
