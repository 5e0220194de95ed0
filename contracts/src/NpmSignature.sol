// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";
import {LibString} from "solady/utils/LibString.sol";
import {TypedData} from "./TypedData.sol";

/// npm's own signature over what it published: ECDSA P-256 and SHA-256 of name, version and integrity.
/// It carries no time: whether the key may be believed is the caller's question.
library NpmSignature {
    uint256 private constant ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551;

    /// The version by which whoever may publish a package states `commitment`.
    function versionOf(bytes32 commitment) internal pure returns (string memory) {
        return string.concat("0.0.0-3pm.0h", LibString.toHexStringNoPrefix(uint256(commitment), 32));
    }

    /// npm signs with high and low s alike; the library wants the low one, which is the same signature.
    function verify(
        string memory packageName,
        string memory version,
        bytes memory integrity,
        bytes32 r,
        bytes32 s,
        bytes32 x,
        bytes32 y
    ) internal view returns (bool) {
        bytes32 hash = sha256(abi.encodePacked(packageName, "@", version, ":", integrity));
        if (uint256(s) > ORDER / 2 && uint256(s) < ORDER) s = bytes32(ORDER - uint256(s));
        return P256.verify(hash, r, s, x, y);
    }
}
