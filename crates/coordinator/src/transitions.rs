//! Every way a proposal's or a change's state may move: this table and nothing else. The store refuses any
//! other move, and any move from a state that is no longer the one that was read.

use client::coordinator::api::{ChangeState, ProposalState};

use ChangeState as C;
use ProposalState as P;

/// From, to, and when.
const PROPOSALS: &[(P, P)] = &[
    (P::Proposed, P::Signed),     // enough signatures
    (P::Proposed, P::Submitted),  // a record is visible: somebody had enough signatures
    (P::Signed, P::Submitted),    // a record is visible
    (P::Submitted, P::Signed),    // it is visible no more: the chain was reorganised
    (P::Submitted, P::Active),    // the record is Active and final
    (P::Active, P::Published),    // npm has these bytes
    (P::Active, P::Hijacked),     // npm has others
    (P::Proposed, P::Expired),    // the deadline passed without a record
    (P::Signed, P::Expired),      // likewise
    (P::Proposed, P::Withdrawn),  // nonce, version or epoch taken by another
    (P::Signed, P::Withdrawn),    // likewise
    (P::Submitted, P::Withdrawn), // another record took the version
    (P::Proposed, P::Vetoed),     // a tombstone
    (P::Signed, P::Vetoed),       // a tombstone
    (P::Submitted, P::Vetoed),    // vetoed while it cooled, or revoked
    (P::Active, P::Vetoed),       // revoked before it was on npm
    (P::Active, P::Failed), // the stored bytes are lost or not what was signed, or the number is used up
];

const CHANGES: &[(C, C)] = &[
    (C::Proposed, C::Signed),
    (C::Proposed, C::Submitted),
    (C::Proposed, C::Effective),
    (C::Signed, C::Submitted),
    (C::Signed, C::Effective),
    (C::Submitted, C::Effective),
    (C::Submitted, C::Signed), // cancelled, or the chain was reorganised
    (C::Proposed, C::Expired),
    (C::Signed, C::Expired),
    (C::Proposed, C::Superseded),
    (C::Signed, C::Superseded),
    (C::Submitted, C::Superseded),
];

/// Whether a proposal may go from one state to another.
pub(crate) fn proposal_may_move(from: P, to: P) -> bool {
    PROPOSALS.contains(&(from, to))
}

/// Whether a change may go from one state to another.
pub(crate) fn change_may_move(from: C, to: C) -> bool {
    CHANGES.contains(&(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_a_terminal_state() {
        for (from, _) in PROPOSALS {
            assert!(!from.is_terminal(), "{from:?}");
        }
        for (from, _) in CHANGES {
            assert!(!from.is_terminal(), "{from:?}");
        }
    }

    #[test]
    fn nothing_is_published_without_having_been_active() {
        let sources = |to| PROPOSALS.iter().filter(move |(_, target)| *target == to).map(|(from, _)| *from);
        assert_eq!(sources(P::Published).collect::<Vec<_>>(), [P::Active]);
        assert_eq!(sources(P::Active).collect::<Vec<_>>(), [P::Submitted]);
    }
}
