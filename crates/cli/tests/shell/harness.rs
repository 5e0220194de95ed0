//! The parts of the end-to-end harness that these tests stand on.

#[path = "../e2e/harness/people.rs"]
pub mod people;
#[path = "../e2e/harness/terminal.rs"]
pub mod terminal;
#[path = "../e2e/harness/world.rs"]
pub mod world;
