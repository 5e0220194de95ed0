//! What 3pm believes and why: names, hashes, signed messages, records, verdicts and policy.
//!
//! Pure. This crate never opens a file, a socket or a clock; time and bytes are parameters, and the
//! `clippy.toml` beside it enforces that. Whoever fetched the bytes is not trusted with judging them.
#![deny(clippy::expect_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![cfg_attr(test, allow(clippy::expect_used, clippy::indexing_slicing, clippy::arithmetic_side_effects))]

pub mod digest;
pub mod hashes;
pub mod legacy;
pub mod manifest;
pub mod message;
pub mod name;
pub mod past;
pub mod policy;
pub mod proof;
pub mod record;
pub mod signature;
pub mod signer;
pub mod storage;
pub mod text;
pub mod verdict;
pub mod version;

pub use hashes::{ContentHash, Integrity, TarballHashes};
pub use name::PackageName;
pub use version::Version;
