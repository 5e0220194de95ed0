//! The proxy between real connections: a registry with TLS of its own, the proxy, and clients. Loopback only.

#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub, reason = "tests")]

mod access;
mod ahead;
mod bodies;
mod clients;
mod harness;
mod life;
mod passing;
mod upstream_proxy;
