//! What the contracts say, read so that no single endpoint is believed.
//!
//! JSON-RPC goes through `client::http`, because every answer is hostile input; the ABI comes from the one
//! committed artefact of `contracts/`. This crate holds no key and sends no transaction: it makes call
//! data, and `wallet` sends it.

mod abi;
pub mod calls;
mod counts;
pub mod deploy;
mod error;
mod logs;
mod network;
mod proofs;
mod quorum;
mod reads;
mod revert;
mod rpc;
mod seen;

pub use error::{ChainError, MemberSignatureError};
pub use logs::PublishedEvent;
pub use network::{Network, PinnedCode, Reads, is_development_chain, name_domain, package_domain};
pub use reads::{Chain, Deployed, Head, Receipt};
pub use revert::revert_reason;
pub use rpc::{DECISION_TIME, RpcError, call as rpc_call, records_time};
pub use seen::Sightings;
