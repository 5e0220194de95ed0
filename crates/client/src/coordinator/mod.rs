//! The coordinator's API, from the outside. Nothing it answers is believed here: callers check every
//! hash, digest and signature against the bytes and the chain.

pub mod api;
mod connection;

pub use connection::{CoordinatorClient, CoordinatorError};
