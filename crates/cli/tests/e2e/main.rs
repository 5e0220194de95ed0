//! End to end: the real binary, the real npm, anvil and Verdaccio on loopback. What these tests look at is
//! what a person or a script sees; nothing of the crates' insides is used to get a verdict.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, unreachable_pub, reason = "tests")]
#![allow(clippy::type_complexity, reason = "tables of named changes")]

mod answers;
mod commands;
mod cosigners;
mod handover;
mod harness;
mod latest;
mod liars;
mod lifecycle;
mod lifetime;
mod npm_answers;
mod outages;
mod publisher;
mod publishing;
mod quotas;
mod rebuilt;
mod registrar;
mod review;
mod rivals;
mod settings;
mod signing;
mod story;
mod typed;
mod uploads;
