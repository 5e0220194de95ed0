//! `3pm install` and `3pm verify` end to end: the real binary and npm, a real chain and registry.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "tests")]
#![allow(clippy::type_complexity, reason = "tables of named changes")]
#![allow(dead_code, unreachable_pub, reason = "the harness serves several test programs")]

mod attacks;
mod clients;
mod corepack;
mod disguises;
mod eager;
mod elsewhere;
mod foresight;
mod freshness;
mod harness;
mod interrupts;
mod ledger;
mod legacy;
mod links;
mod managers;
mod matrix;
mod offline;
mod outages;
mod packages;
mod patches;
mod phases;
mod policies;
mod project;
mod projects;
mod proofs;
mod public;
mod receipts;
mod registries;
mod scopes;
mod shelf;
mod sieges;
mod tls;
mod verdicts;
