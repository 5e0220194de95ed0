//! Wallets: whoever holds a member's key, outside this process. No private key is ever in 3pm.
//!
//! One trait; today's wallet is an external signer over JSON-RPC (a development node's own accounts, clef,
//! Frame). What a wallet returns is checked before it is used: a signature that does not recover to the
//! wallet's own address is an error, whatever the wallet says.

mod rpc;
mod session;

use alloy_primitives::{Address, B256, Bytes};
use async_trait::async_trait;
use chain::calls::Call;
use trust::message::SigningRequest;
use trust::signature::SignatureError;

pub use rpc::RpcWallet;
pub use session::{Session, SessionError};

/// Something that signs for one address.
#[async_trait]
pub trait Wallet: Send + Sync {
    /// Whose it is.
    fn address(&self) -> Address;

    /// What it is, in words, without secrets.
    fn describe(&self) -> String;

    /// A signature over `request` that recovers to [`Self::address`]: 65 bytes, low s, v 27 or 28.
    async fn sign(&self, request: &SigningRequest) -> Result<Bytes, WalletError>;

    /// Sends a transaction; what would revert is not sent.
    async fn send_transaction(&self, chain_id: u64, call: &Call) -> Result<B256, WalletError>;

    /// Creates a contract from init code.
    async fn create_contract(&self, chain_id: u64, init_code: &Bytes) -> Result<B256, WalletError>;
}

/// Why a wallet did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    /// It could not be asked.
    #[error("wallet gave no usable answer")]
    Rpc(#[source] chain::RpcError),
    /// The person said no.
    #[error("the request was rejected in the wallet")]
    Rejected,
    /// Nobody confirmed.
    #[error("nobody confirmed in the wallet within {seconds} seconds")]
    NotConfirmed {
        /// How long we waited.
        seconds: u64,
    },
    /// It has no account, or not the one asked for.
    #[error("wallet at {url} offers {offered}, expected {expected}")]
    NoAccount {
        /// The wallet, without credentials.
        url: String,
        /// What it offers.
        offered: String,
        /// What was asked for.
        expected: String,
    },
    /// It is on another chain.
    #[error("wallet is on chain {found}, expected chain {expected}")]
    WrongChain {
        /// The wallet's chain.
        found: u64,
        /// The network's.
        expected: u64,
    },
    /// The transaction would fail.
    #[error("the contract refuses: {reason}")]
    Reverted {
        /// Its reason, in words.
        reason: String,
    },
    /// Its signature is not its own.
    #[error("wallet returned a signature of {found}, expected one of {expected}")]
    OtherSigner {
        /// Whose it is.
        found: Address,
        /// Whose it should be.
        expected: Address,
    },
    /// Its signature is none.
    #[error("wallet returned something that is no signature")]
    Signature(#[source] SignatureError),
    /// An answer of another shape.
    #[error("wallet answered {method} with {reason}")]
    Malformed {
        /// What was asked.
        method: &'static str,
        /// What is wrong.
        reason: String,
    },
}
