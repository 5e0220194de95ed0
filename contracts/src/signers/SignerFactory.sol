// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";
import {Errors} from "../Errors.sol";
import {P256Signer} from "./P256Signer.sol";
import {PasskeySigner} from "./PasskeySigner.sol";
import {SshSkSigner} from "./SshSkSigner.sol";

/// Makes signers at addresses that follow from the key alone. Open to anybody, and to repetition: whoever
/// creates a signer gets no say in it.
contract SignerFactory {
    enum Kind {
        Passkey,
        SshSk
    }

    error BadNeed(uint256 need);

    event SignerCreated(address indexed signer, Kind kind, P256Signer.Key key);

    address public immutable passkeyImplementation = address(new PasskeySigner());
    address public immutable sshSkImplementation = address(new SshSkSigner());

    /// The signer of this key, created when it does not exist yet.
    function create(Kind kind, P256Signer.Key calldata key) external returns (address signer) {
        if (!P256.isValidPublicKey(key.x, key.y)) revert Errors.NotOnCurve(key.x, key.y);
        if (key.need != 1 && key.need != 5) revert BadNeed(key.need);
        signer = addressOf(kind, key);
        if (signer.code.length != 0) return signer;
        Clones.cloneDeterministicWithImmutableArgs(_implementation(kind), abi.encode(key), 0);
        emit SignerCreated(signer, kind, key);
    }

    /// Where the signer of this key is, or will be.
    function addressOf(Kind kind, P256Signer.Key calldata key) public view returns (address) {
        return Clones.predictDeterministicAddressWithImmutableArgs(_implementation(kind), abi.encode(key), 0);
    }

    function _implementation(Kind kind) private view returns (address) {
        return kind == Kind.Passkey ? passkeyImplementation : sshSkImplementation;
    }
}
