// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Errors} from "./Errors.sol";

/// The hash of a recent block, so that a proof over it cannot have been made before that block.
library Anchor {
    /// What the history contract of EIP-2935 keeps.
    uint256 internal constant WINDOW = 8191;
    address internal constant HISTORY = 0x0000F90827F1C53a10cb7A02335B175320002935;

    function blockHash(uint256 anchorBlock) internal view returns (bytes32 found) {
        if (anchorBlock >= block.number || block.number - anchorBlock > WINDOW) revert Errors.StaleAnchor(anchorBlock);
        found = blockhash(anchorBlock); // of the last 256, else zero
        if (found == 0) {
            (bool ok, bytes memory answer) = HISTORY.staticcall(abi.encode(anchorBlock));
            if (ok && answer.length == 32) found = bytes32(answer);
        }
        if (found == 0) revert Errors.StaleAnchor(anchorBlock);
    }
}
