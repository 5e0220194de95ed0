//! Bytes in, facts out: what a tarball holds and how two of them differ. Pure: writes nothing to disk,
//! fetches nothing, judges nobody.
#![deny(clippy::expect_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![cfg_attr(test, allow(clippy::expect_used, clippy::indexing_slicing, clippy::arithmetic_side_effects))]

mod archive;
mod diff;
mod error;
mod packing;
mod path;
mod tarball;

pub use diff::{TreeDiff, diff, text_diff};
pub use error::{EntryKind, HeaderProblem, PathProblem, TarballError};
pub use packing::{tar_integrity, tree_digest};
pub use tarball::{FileEntry, Limits, Tarball, read_file, read_files, read_tarball};
