//! What stands in front of the package managers, with the real binary, real shells and real programs.

#![allow(clippy::print_stdout, reason = "what is not tested is said")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "tests")]
#![allow(dead_code, unreachable_pub, reason = "the harness serves several test programs")]

#[path = "../install/clients.rs"]
mod clients;
mod desk;
mod doctor;
mod foreground;
mod harness;
mod hook;
mod intercept;
#[path = "../install/project.rs"]
mod project;
mod shims;
