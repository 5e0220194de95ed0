//! Reads of real contracts on a real node, through endpoints that lie, stall and flood.

#![allow(clippy::unwrap_used, reason = "tests")]

mod endpoint;
mod hostile;
mod memory;
#[path = "../../../wallet/tests/support/mod.rs"]
mod node;
mod proofs;
mod sending;
mod world;
