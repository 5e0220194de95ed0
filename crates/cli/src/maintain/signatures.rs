//! Signatures that a coordinator collected, each checked here as the contracts would check it. One that
//! does not count is left out and named; it is never an error of the others.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes};
use chain::{Chain, Head, MemberSignatureError};
use client::coordinator::api::CollectedSignature;
use trust::signature::MAX_MEMBERS;
use trust::text::printable;

use crate::errors::{Explain as _, Failure};

/// What is left after the check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Gathered {
    /// Who signed, and with what.
    pub(crate) valid: BTreeMap<Address, Bytes>,
    /// What the coordinator listed and does not count, in words.
    pub(crate) rejected: Vec<String>,
}

/// Checks `listed` over `digest` for `eligible`, at `head`.
pub(crate) async fn verify_collected(
    chain: &Chain,
    head: &Head,
    digest: B256,
    eligible: &[Address],
    listed: &[CollectedSignature],
) -> Result<Gathered, Failure> {
    let mut gathered = Gathered::default();
    // A set has at most 16 seats, a change has two sets; whatever is beyond that is noise.
    for entry in listed.iter().take(2 * MAX_MEMBERS) {
        let signer = entry.signer;
        if !eligible.contains(&signer) {
            gathered.rejected.push(format!("{signer} is not a member"));
            continue;
        }
        match chain.verify_member_signature(head, signer, digest, &entry.signature).await {
            Ok(()) => {
                gathered.valid.insert(signer, entry.signature.clone());
            }
            Err(error @ MemberSignatureError::Refused { .. }) => {
                gathered.rejected.push(printable(&error.to_string(), 200));
            }
            Err(error) => {
                return Err(error).while_doing(format!("the signature of {signer} cannot be checked"));
            }
        }
    }
    Ok(gathered)
}

impl Gathered {
    /// How many of `members` signed.
    pub(crate) fn count(&self, members: &[Address]) -> usize {
        members.iter().filter(|member| self.valid.contains_key(*member)).count()
    }

    /// The signatures of `members` only.
    pub(crate) fn of(&self, members: &[Address]) -> BTreeMap<Address, Bytes> {
        self.valid
            .iter()
            .filter(|(signer, _)| members.contains(signer))
            .map(|(k, v)| (*k, v.clone()))
            .collect()
    }
}
