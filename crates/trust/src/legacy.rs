//! The versions that existed before a package was claimed: a Merkle root over (version, sha512).
//!
//! Leaf: `keccak256(keccak256(abi.encode(string version, bytes32 sha512Hi, bytes32 sha512Lo)))`; inner
//! node: keccak256 of the two children, the smaller first; leaves sorted by hash; an odd node moves up
//! unchanged. Double hashing keeps a leaf from being read as an inner node. A proof alone does not
//! make a version Legacy: it must also have been published before the claim (see `verdict`).

use alloy_primitives::{B256, keccak256};
use alloy_sol_types::SolValue;
use serde::{Deserialize, Serialize};

use crate::{Integrity, Version};

/// Most versions one list may hold; the largest packages on npm have a few thousand.
pub const MAX_LEGACY_VERSIONS: usize = 100_000;

/// Longest proof: log2 of [`MAX_LEGACY_VERSIONS`], rounded up.
pub const MAX_PROOF_LENGTH: usize = 17;

/// One version of before the claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegacyVersion {
    /// The version.
    pub version: Version,
    /// Its tarball's hash.
    pub integrity: Integrity,
}

impl LegacyVersion {
    /// The leaf of this version.
    #[must_use]
    pub fn leaf(&self) -> B256 {
        let (hi, lo) = self.integrity.words();
        keccak256(keccak256((self.version.to_string(), hi, lo).abi_encode_params()))
    }
}

/// The root over `versions` in any order; zero when there are none.
#[must_use]
pub fn root(versions: &[LegacyVersion]) -> B256 {
    let mut layer = sorted_leaves(versions);
    while layer.len() > 1 {
        layer = parents(&layer);
    }
    layer.first().copied().unwrap_or(B256::ZERO)
}

/// The siblings from the leaf of `version` up to the root, or `None` when it is not in the list.
#[must_use]
pub fn prove(versions: &[LegacyVersion], version: &Version) -> Option<Vec<B256>> {
    let mut node = versions.iter().find(|entry| entry.version == *version)?.leaf();
    let mut layer = sorted_leaves(versions);
    let mut proof = Vec::new();
    while layer.len() > 1 {
        let pair = layer.chunks(2).find(|pair| pair.contains(&node))?;
        if let [left, right] = pair {
            proof.push(if *left == node { *right } else { *left });
            node = parent(left, right);
        }
        layer = parents(&layer);
    }
    Some(proof)
}

/// Whether `proof` leads from `entry` to `root`.
#[must_use]
pub fn verify_proof(entry: &LegacyVersion, proof: &[B256], root: B256) -> bool {
    proof.len() <= MAX_PROOF_LENGTH
        && !root.is_zero()
        && proof.iter().fold(entry.leaf(), |node, sibling| parent(&node, sibling)) == root
}

fn sorted_leaves(versions: &[LegacyVersion]) -> Vec<B256> {
    let mut leaves: Vec<B256> = versions.iter().map(LegacyVersion::leaf).collect();
    leaves.sort_unstable();
    leaves.dedup();
    leaves
}

fn parents(layer: &[B256]) -> Vec<B256> {
    layer
        .chunks(2)
        .filter_map(|pair| match pair {
            [left, right] => Some(parent(left, right)),
            [single] => Some(*single),
            _ => None,
        })
        .collect()
}

fn parent(a: &B256, b: &B256) -> B256 {
    let (low, high) = if a <= b { (a, b) } else { (b, a) };
    keccak256([low.as_slice(), high.as_slice()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(count: usize) -> Vec<LegacyVersion> {
        (0..count)
            .map(|n| LegacyVersion {
                version: format!("1.0.{n}").parse().unwrap(),
                integrity: Integrity::of(&n.to_be_bytes()),
            })
            .collect()
    }

    #[test]
    fn every_version_of_every_list_size_proves_itself_and_no_other() {
        for count in 1..=33 {
            let list = versions(count);
            let root = root(&list);
            for entry in &list {
                let proof = prove(&list, &entry.version).unwrap();
                assert!(verify_proof(entry, &proof, root));
                let other = LegacyVersion { integrity: Integrity::of(b"other"), ..entry.clone() };
                assert!(!verify_proof(&other, &proof, root));
                let renamed = LegacyVersion { version: "9.9.9".parse().unwrap(), ..entry.clone() };
                assert!(!verify_proof(&renamed, &proof, root));
            }
            assert_eq!(prove(&list, &"9.9.9".parse().unwrap()), None);
        }
    }

    #[test]
    fn an_empty_list_has_no_root_and_nothing_proves_under_zero() {
        assert_eq!(root(&[]), B256::ZERO);
        assert!(!verify_proof(&versions(1).pop().unwrap(), &[], B256::ZERO));
    }

    #[test]
    fn the_order_of_the_list_does_not_matter_and_an_overlong_proof_is_refused() {
        let mut list = versions(5);
        let before = root(&list);
        list.reverse();
        assert_eq!(root(&list), before);
        assert!(!verify_proof(&list.pop().unwrap(), &[B256::ZERO; MAX_PROOF_LENGTH + 1], before));
    }
}
