// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {P256Signer} from "./P256Signer.sol";

/// A security key used through OpenSSH: `ssh-keygen -Y sign -n 3pm -O hashalg=sha256` with an `ecdsa-sk` key
/// over the 32 bytes of the challenge. The message is OpenSSH's PROTOCOL.sshsig with namespace "3pm", an
/// empty reserved field and SHA-256. Nothing follows the fixed bytes.
contract SshSkSigner is P256Signer {
    bytes private constant PREAMBLE =
        hex"535348534947" hex"00000003" hex"33706d" hex"00000000" hex"00000006" hex"736861323536" hex"00000020";

    function _messageHash(bytes32 challenge, bytes calldata rest) internal pure override returns (bool, bytes32) {
        return (rest.length == 0, sha256(abi.encodePacked(PREAMBLE, sha256(abi.encodePacked(challenge)))));
    }
}
