//! The typed messages (EIP-712) that members, registrars and coordinators sign or check.
//!
//! One definition per message; the contracts, a JavaScript check and this file are held together by
//! `fixtures/vectors/typed-data.json`. This module builds digests; it never signs.

use std::borrow::Cow;

use alloy_dyn_abi::TypedData;
use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::{Eip712Domain, SolStruct, sol};
use serde::Serialize;

/// How far ahead of a signer's own clock a deadline may lie, in seconds (30 days). The contract caps
/// it at submission only, so every signer checks it too.
pub const MAX_DEADLINE_AHEAD: u64 = 30 * 24 * 60 * 60;

/// The longest a team can make its releases wait. This and the next two are `NameRegistry`'s own limits.
pub const MAX_RELEASE_DELAY_HOURS: u16 = 168;

/// The longest a team can make its changes wait.
pub const MAX_CONFIG_DELAY_HOURS: u16 = 720;

/// After how many days of silence a recovery may start.
pub const RECOVERY_DAYS: std::ops::RangeInclusive<u16> = 30..=365;

sol! {
    /// The whole state of a package name. A claim is the one at epoch 0.
    #[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    struct Config {
        string packageName;
        address[] members;
        uint8 threshold;
        uint16 releaseDelayHours;
        uint16 configDelayHours;
        uint16 recoveryDays;
        address guardian;
        bytes32 legacyRoot;
        uint32 epoch;
        uint256 deadline;
    }

    /// What a registrar signs: that it saw the `_3pm` token of a claim's member in the manifest.
    #[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    struct RegistrarProof {
        bytes32 commitment;
    }

    /// One release: these bytes, under this name and version, from this team.
    #[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    struct Release {
        string packageName;
        string version;
        string integrity;
        bytes32 contentHash;
        bytes32 gitSha;
        string ciRunUrl;
        uint32 epoch;
        uint256 nonce;
        uint256 deadline;
    }

    /// M of N take back a change that waits; one member stops a recovery.
    #[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    struct Cancel {
        bytes32 change;
    }

    /// One signature for the releases of a monorepo.
    #[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    struct ReleaseBatch {
        Release[] releases;
    }

    /// M of N take a release back, for good.
    #[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    struct Revocation {
        string packageName;
        string version;
        uint8 reason;
        string note;
        uint32 epoch;
        uint256 deadline;
    }

    /// A member takes its own signature back.
    #[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    struct Withdrawal {
        string packageName;
        uint256 nonce;
    }

    /// A member stops a release while it cools.
    #[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    struct Veto {
        string packageName;
        string version;
    }

    /// A member's warning, which ends at its own deadline.
    #[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    struct Flag {
        string packageName;
        string version;
        string note;
        uint256 deadline;
    }

    /// What a reviewer says about the exact bytes of a release; it replaces exactly the report it names.
    #[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    struct Report {
        string packageName;
        string version;
        string integrity;
        bytes32 report;
        string location;
        bytes32 previous;
    }

    /// The registrar hands over to another; both sign.
    #[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    struct RegistrarRotation {
        address registrar;
        uint256 nonce;
    }

    /// The registrar adds a key of npm's.
    #[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    struct NpmKeyAddition {
        bytes32 x;
        bytes32 y;
        uint64 validFrom;
        uint64 validTo;
        uint256 nonce;
    }

    /// The registrar ends one.
    #[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    struct NpmKeyRemoval {
        uint256 keyIndex;
        uint256 nonce;
    }

    /// A member hands an npm token to one coordinator. Not a contract message: its domain is
    /// [`coordinator_domain`], so that it means nothing on chain.
    #[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    struct TokenHandover {
        string packageName;
        string coordinator;
        bytes32 tokenHash;
        uint256 issuedAt;
        uint256 expiresAt;
    }
}

/// Where a contract message is valid: one contract on one chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Domain {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// The contract that checks the signature.
    pub verifying_contract: Address,
}

impl Domain {
    /// The EIP-712 domain of the contracts: `{name: "3pm", version: "1", chainId, verifyingContract}`.
    #[must_use]
    pub fn eip712(&self) -> Eip712Domain {
        self.named("3pm")
    }

    fn named(&self, name: &'static str) -> Eip712Domain {
        Eip712Domain {
            name: Some(Cow::Borrowed(name)),
            version: Some(Cow::Borrowed("1")),
            chain_id: Some(U256::from(self.chain_id)),
            verifying_contract: Some(self.verifying_contract),
            salt: None,
        }
    }
}

/// The domain of messages to a coordinator, bound to the deployment whose members it asks about.
#[must_use]
pub fn coordinator_domain(package_registry: &Domain) -> Eip712Domain {
    package_registry.named("3pm coordinator")
}

/// A message as a wallet is asked for it: the digest we computed and the JSON for
/// `eth_signTypedData_v4` from which the wallet computes its own.
#[derive(Debug, Clone)]
pub struct SigningRequest {
    /// What the signature must recover to.
    pub digest: B256,
    /// The typed data, in the wallet's form.
    pub typed_data: serde_json::Value,
}

/// Why a message could not be put into the wallet's form.
#[derive(Debug, thiserror::Error)]
#[error("typed data of {message} cannot be encoded: {reason}")]
pub struct EncodeError {
    message: &'static str,
    reason: String,
}

/// The digest and the wallet's JSON of `message`, after checking that both encoders agree.
pub fn signing_request<M: SolStruct + Serialize>(
    message: &M,
    domain: &Eip712Domain,
) -> Result<SigningRequest, EncodeError> {
    let fail = |reason: String| EncodeError { message: M::NAME, reason };
    let digest = message.eip712_signing_hash(domain);
    let typed_data = TypedData::from_struct(message, Some(domain.clone()));
    let dynamic = typed_data.eip712_signing_hash().map_err(|error| fail(error.to_string()))?;
    if dynamic != digest {
        return Err(fail(format!("static digest {digest}, dynamic digest {dynamic}")));
    }
    let typed_data = serde_json::to_value(&typed_data).map_err(|error| fail(error.to_string()))?;
    Ok(SigningRequest { digest, typed_data })
}

/// What a claim's proof commits to: the claim and a recent block, so that no proof can be stockpiled.
#[must_use]
pub fn claim_commitment(config_digest: B256, anchor_block_hash: B256) -> B256 {
    let mut words = [0_u8; 64];
    for (to, from) in words.iter_mut().zip(config_digest.iter().chain(anchor_block_hash.iter())) {
        *to = *from;
    }
    alloy_primitives::keccak256(words)
}

/// Why a deadline is not acceptable to a signer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeadlineError {
    /// It has passed.
    #[error("deadline {deadline} has passed, the time is {now}")]
    Passed {
        /// Unix seconds.
        deadline: U256,
        /// Unix seconds.
        now: u64,
    },
    /// It lies too far ahead.
    #[error("deadline {deadline} is more than 30 days after {now}")]
    TooFar {
        /// Unix seconds.
        deadline: U256,
        /// Unix seconds.
        now: u64,
    },
}

/// Checks a deadline against the signer's own clock.
pub fn verify_deadline(deadline: U256, now: u64) -> Result<(), DeadlineError> {
    if deadline <= U256::from(now) {
        return Err(DeadlineError::Passed { deadline, now });
    }
    if deadline > U256::from(now.saturating_add(MAX_DEADLINE_AHEAD)) {
        return Err(DeadlineError::TooFar { deadline, now });
    }
    Ok(())
}

/// A git commit as the typed data carries it: SHA-1 left-aligned, SHA-256 whole.
#[must_use]
pub fn git_sha_word(hex: &str) -> Option<B256> {
    let padded = match hex.len() {
        40 => format!("{hex}{}", "0".repeat(24)),
        64 => hex.to_owned(),
        _ => return None,
    };
    padded.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_ahead_and_within_thirty_days() {
        let now = 1_000_000;
        assert_eq!(verify_deadline(U256::from(now + 1), now), Ok(()));
        assert_eq!(verify_deadline(U256::from(now + MAX_DEADLINE_AHEAD), now), Ok(()));
        assert!(matches!(verify_deadline(U256::from(now), now), Err(DeadlineError::Passed { .. })));
        assert!(matches!(verify_deadline(U256::MAX, now), Err(DeadlineError::TooFar { .. })));
        let beyond = U256::from(now + MAX_DEADLINE_AHEAD + 1);
        assert!(matches!(verify_deadline(beyond, now), Err(DeadlineError::TooFar { .. })));
    }

    #[test]
    fn sha1_commits_are_left_aligned() {
        let sha1 = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
        assert!(git_sha_word(sha1).unwrap().to_string().starts_with(&format!("0x{sha1}00")));
        assert!(git_sha_word(&"a".repeat(64)).is_some());
        assert_eq!(git_sha_word("main"), None);
    }
}
