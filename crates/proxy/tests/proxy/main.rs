//! The proxy between real connections: a registry with TLS of its own, the proxy, and clients. Loopback only.

mod access;
mod ahead;
mod bodies;
mod clients;
mod harness;
mod life;
mod passing;
mod upstream_proxy;
