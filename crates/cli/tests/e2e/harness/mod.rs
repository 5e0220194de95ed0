//! What the end-to-end tests stand on: a world, the people in it, a proxy that misbehaves on demand.

pub mod archive;
pub mod coordinator;
pub mod people;
pub mod proxy;
pub mod raw;
pub mod story;
pub mod terminal;
pub mod tripwire;
pub mod world;
