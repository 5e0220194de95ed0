//! The `3pm` binary.
fn main() {}
