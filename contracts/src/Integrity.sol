// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// The one spelling of a SHA-512 that npm knows: `sha512-` and 88 characters of base64 (RFC 4648).
/// Encodes 24 bytes at a time, each byte lane of a word holding one character.
library Integrity {
    uint256 private constant LANES = 0x0101010101010101010101010101010101010101010101010101010101010101;

    function spell(bytes32 hi, bytes32 lo) internal pure returns (bytes memory) {
        uint256 a = uint256(hi);
        uint256 b = uint256(lo);
        // 64 bytes are 24, 24 and 16: the last 16 make 22 characters and two of padding
        bytes32 first = _encode(a >> 64);
        bytes32 second = _encode(((a & type(uint64).max) << 128) | (b >> 128));
        bytes32 third = _encode((b & type(uint128).max) << 64);
        return bytes.concat("sha512-", first, second, bytes22(third), "==");
    }

    /// The 32 characters of 24 bytes.
    function _encode(uint256 x) private pure returns (bytes32) {
        unchecked {
            // 192 bits into 32 lanes of 6: each step halves the groups and doubles the room between them
            x = ((x << 32) & ~uint256(type(uint128).max)) | (x & ((1 << 96) - 1));
            x = _spread(x, 16, 0x0000000000000000ffffffffffff00000000000000000000ffffffffffff);
            x = _spread(x, 8, 0x00000000ffffff0000000000ffffff0000000000ffffff0000000000ffffff);
            x = _spread(x, 4, 0x00000fff00000fff00000fff00000fff00000fff00000fff00000fff00000fff);
            x = _spread(x, 2, 0x003f003f003f003f003f003f003f003f003f003f003f003f003f003f003f003f);
            // A-Z is value + 65; from 26 on a-z, from 52 on 0-9, then + and /
            return bytes32(
                x + 65 * LANES + 6 * _atLeast(x, 26) + 3 * _atLeast(x, 63) - 75 * _atLeast(x, 52) - 15 * _atLeast(x, 62)
            );
        }
    }

    /// `low` masks the lower half of each group; the upper half moves up by `by` bits.
    function _spread(uint256 x, uint256 by, uint256 low) private pure returns (uint256) {
        return ((x & ~low) << by) | (x & low);
    }

    /// 1 in each lane whose value, at most 63, is at least `value`.
    function _atLeast(uint256 x, uint256 value) private pure returns (uint256) {
        unchecked {
            return ((x + (128 - value) * LANES) >> 7) & LANES;
        }
    }
}
