//! `3pm deploy`, `3pm network check` and the file of networks between them, with the binary and a real node.

#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub, reason = "tests")]

#[path = "../../../wallet/tests/support/mod.rs"]
mod node;
#[path = "../e2e/harness/proxy.rs"]
#[allow(dead_code, reason = "shared with the end-to-end tests")]
mod proxy;

mod check;
mod deploy;
mod person;
