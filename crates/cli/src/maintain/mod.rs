//! What the maintainers' commands share: reading where a package stands, checking what a coordinator says
//! about a release or a team change, comparing tarballs, sending to the chain.
//!
//! The coordinator is believed nothing. Every value it hands over is recomputed from bytes or read from the
//! chain before a wallet is asked to sign or send.

pub(crate) mod base;
pub(crate) mod change;
pub(crate) mod comparison;
pub(crate) mod find;
pub(crate) mod finish;
pub(crate) mod pack;
pub(crate) mod review;
pub(crate) mod signatures;
pub(crate) mod source;
pub(crate) mod standing;
pub(crate) mod submission;
pub(crate) mod wait;

#[cfg(test)]
mod change_tests;
#[cfg(test)]
mod review_tests;
