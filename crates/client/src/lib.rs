//! Everything that goes out over HTTP: npm registries, the coordinator, JSON-RPC endpoints.
//!
//! Every answer is somebody else's word: it meets a limit of bytes and a limit of time before it is read.
//! This crate judges nothing; it fetches what `trust` judges. It knows no registry's address: npm's own
//! configuration says it.

pub mod coordinator;
pub mod http;
pub mod npm;
pub mod tls;
