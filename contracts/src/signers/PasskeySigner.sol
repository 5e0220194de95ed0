// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base64} from "solady/utils/Base64.sol";
import {P256Signer} from "./P256Signer.sol";

/// A passkey or security key used through a browser (WebAuthn). `rest` is what follows the challenge in
/// `clientDataJSON`: browsers begin with type and challenge in this spelling (WebAuthn, section 5.8.1.1) and
/// may append what they like, which the key signed too. The origin is not judged: the relying party is.
contract PasskeySigner is P256Signer {
    function _messageHash(bytes32 challenge, bytes calldata rest) internal pure override returns (bool, bytes32) {
        string memory encoded = Base64.encode(abi.encodePacked(challenge), true, true);
        return (true, sha256(abi.encodePacked('{"type":"webauthn.get","challenge":"', encoded, '"', rest)));
    }
}
