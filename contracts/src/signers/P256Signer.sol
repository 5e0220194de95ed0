// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";
import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";

/// One FIDO2 key as a member (ERC-1271). Nothing is stored and nothing can change: the key is part of the
/// clone's code, and so of its address. No recovery: the other members replace a lost key.
///
/// A signature is `r (32) || s (32) || flags (1) || counter (4) || rest`. The authenticator signed
/// `sha256(relying party hash || flags || counter || sha256(message))`; what `message` and `rest` are is the
/// transport's. The counter is part of what was signed and is not judged: synced passkeys leave it at zero.
abstract contract P256Signer is IERC1271 {
    /// Immutable arguments of the clone.
    struct Key {
        bytes32 x;
        bytes32 y;
        bytes32 relyingParty; // sha256 of the relying party's id, or of the SSH application
        uint256 need; // flags that must be set: 1 for presence, 5 for presence and verification
    }

    bytes4 private constant REFUSED = 0xffffffff;
    uint256 private constant FIXED_BYTES = 69;
    /// Attested credential data and extensions would follow the 37 bytes that are rebuilt here.
    uint8 private constant MORE_DATA = 0xC0;

    function key() public view returns (Key memory) {
        return abi.decode(Clones.fetchCloneArgs(address(this)), (Key));
    }

    /// Steps: 1. length, 2. flags that must and must not be set, 3. the message for this signer and digest,
    /// and the shape of what belongs to it, 4. the curve (low s only, in `P256.verify`).
    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        if (signature.length < FIXED_BYTES) return REFUSED;
        Key memory k = key();
        uint8 flags = uint8(signature[64]);
        if (flags & k.need != k.need || flags & MORE_DATA != 0) return REFUSED;

        (bool shaped, bytes32 messageHash) = _messageHash(challengeOf(digest), signature[FIXED_BYTES:]);
        if (!shaped) return REFUSED;
        bytes32 signed = sha256(abi.encodePacked(k.relyingParty, signature[64:FIXED_BYTES], messageHash));
        bool valid = P256.verify(signed, bytes32(signature[:32]), bytes32(signature[32:64]), k.x, k.y);
        return valid ? this.isValidSignature.selector : REFUSED;
    }

    /// Bound to this signer: otherwise two signers of one key would take the same assertion, and one key
    /// would count twice.
    function challengeOf(bytes32 digest) public view returns (bytes32) {
        return keccak256(abi.encode(address(this), digest));
    }

    /// The hash the authenticator signed behind its own data, if `rest` has the transport's shape.
    function _messageHash(bytes32 challenge, bytes calldata rest) internal pure virtual returns (bool, bytes32);
}
