// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Errors} from "./Errors.sol";

/// Who signed: the only place where signatures are checked. Does not know what was signed.
library Signatures {
    /// Half the order of secp256k1: a higher s is the same signature spelled twice.
    uint256 private constant HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;
    bytes4 private constant ERC1271_MAGIC = 0x1626ba7e;

    /// A walk through one `signatures` blob: `uint16 length || bytes` for every signer, in rising order of
    /// their seats. Where several acts are signed at once, `signed` remembers who did and need not again.
    struct Walk {
        bytes32 digest;
        uint256 read; // bytes
        uint256 known; // of `signed`
        address[] signed; // with room for all, or for none where there is one act only
    }

    function begin(bytes32 digest, uint256 room) internal pure returns (Walk memory walk) {
        walk.digest = digest;
        if (room != 0) walk.signed = new address[](room);
    }

    /// Reverts unless `signers` names at least `need` of `members` seats and no other.
    function checkBitmap(uint16 signers, uint256 members, uint256 need) internal pure {
        if (signers >> members != 0) revert Errors.BadBitmap(signers, members);
        uint256 have;
        unchecked {
            for (uint256 bits = signers; bits != 0; bits &= bits - 1) {
                ++have;
            }
        }
        if (have < need) revert Errors.TooFewSigners(have, need);
    }

    /// Reverts unless the next signature is one of `member`.
    function checkSeat(Walk memory walk, uint256 seat, address member, bytes calldata signatures) internal view {
        if (walk.signed.length != 0) {
            for (uint256 i; i < walk.known; ++i) {
                if (walk.signed[i] == member) return;
            }
            walk.signed[walk.known++] = member;
        }
        bytes calldata signature = signatures;
        unchecked {
            uint256 start = walk.read + 2;
            uint256 past = start + (uint256(word(signatures, walk.read)) >> 240);
            if (past > signatures.length) revert Errors.BadSignature(seat);
            walk.read = past;
            assembly ("memory-safe") {
                signature.offset := add(signatures.offset, start)
                signature.length := sub(past, start)
            }
        }
        if (!isValid(member, walk.digest, signature)) revert Errors.BadSignature(seat);
    }

    function end(Walk memory walk, bytes calldata signatures) internal pure {
        if (walk.read != signatures.length) revert Errors.TrailingBytes(walk.read, signatures.length);
    }

    /// ECDSA first, also for accounts with code; a contract wallet (ERC-1271) only when that does not match.
    /// An EIP-7702 delegation is no contract wallet: the account's key decides alone.
    function isValid(address signer, bytes32 digest, bytes calldata signature) internal view returns (bool) {
        return isEcdsa(signer, digest, signature) || (isContractWallet(signer) && isErc1271(signer, digest, signature));
    }

    /// 65 bytes `r || s || v`, or 64 as in EIP-2098; low s only.
    function isEcdsa(address signer, bytes32 digest, bytes calldata signature) private pure returns (bool) {
        uint256 s = uint256(word(signature, 32));
        uint256 v;
        if (signature.length == 65) {
            v = uint256(word(signature, 64)) >> 248;
        } else if (signature.length == 64) {
            v = 27 + (s >> 255);
            s &= type(uint256).max >> 1;
        } else {
            return false;
        }
        if (s > HALF_ORDER) return false;
        address recovered = ecrecover(digest, uint8(v), word(signature, 0), bytes32(s));
        return recovered == signer && recovered != address(0);
    }

    /// 32 bytes from `offset` on. What lies behind the end of `data` must be cut off by the caller.
    function word(bytes calldata data, uint256 offset) private pure returns (bytes32 found) {
        assembly ("memory-safe") {
            found := calldataload(add(data.offset, offset))
        }
    }

    function isContractWallet(address signer) private view returns (bool) {
        bytes32 head;
        assembly ("memory-safe") {
            mstore(0, 0)
            extcodecopy(signer, 0, 0, 3)
            head := mload(0)
        }
        return signer.code.length != 0 && bytes3(head) != 0xef0100;
    }

    /// The full first word is compared, and no more than that word is copied.
    function isErc1271(address signer, bytes32 digest, bytes calldata signature) private view returns (bool matches) {
        bytes memory question = abi.encodeWithSelector(ERC1271_MAGIC, digest, signature);
        bytes32 magic = ERC1271_MAGIC;
        assembly ("memory-safe") {
            mstore(0, 0)
            let ok := staticcall(gas(), signer, add(question, 32), mload(question), 0, 32)
            matches := and(and(ok, gt(returndatasize(), 31)), eq(mload(0), magic))
        }
    }
}
