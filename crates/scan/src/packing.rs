//! Comparing two packings of one source, in three tiers: the tarball's own SHA-512 (`trust::Integrity`),
//! that of the tar inside, and a digest of the tree. Does not say which tier is good enough.

use std::io;

use alloy_primitives::{B256, keccak256};
use trust::Integrity;
use trust::digest::Hasher;

use crate::archive::refusal;
use crate::error::TarballError;
use crate::tarball::{Limits, Tarball, unpack};

/// SHA-512 of the tar inside: the second tier, for when only the compression differs.
pub fn tar_integrity(bytes: &[u8], limits: &Limits) -> Result<Integrity, TarballError> {
    let mut reader = unpack(bytes, limits)?;
    let mut hasher = Hasher::sha512();
    io::copy(&mut reader, &mut hasher).map_err(refusal)?;
    reader.finish()?;
    Ok(Integrity::from_raw(hasher.finish().0))
}

/// A digest over sorted (path, mode, contents): the third tier, for when order and times differ too.
/// keccak256 over a line `path NUL mode-in-octal NUL hash LF` for each file; no path holds NUL or LF.
#[must_use]
pub fn tree_digest(tarball: &Tarball) -> B256 {
    let mut lines = String::new();
    for (path, entry) in &tarball.files {
        lines.push_str(&format!("{path}\0{:o}\0{:x}\n", entry.mode, entry.hash));
    }
    keccak256(lines)
}
