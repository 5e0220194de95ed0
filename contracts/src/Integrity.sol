// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// The one spelling of a SHA-512 that npm knows: `sha512-` and 88 characters of base64 (RFC 4648).
/// Encodes 24 bytes at a time, each byte lane of a word holding one character.
library Integrity {
    uint256 private constant LANES = 0x0101010101010101010101010101010101010101010101010101010101010101;
    // The lower halves of the groups of 96, 48, 24 and 12 bits
    uint256 private constant HALF_48 = 0x00000000000000000000ffffffffffff00000000000000000000ffffffffffff;
    uint256 private constant HALF_24 = 0x0000000000ffffff0000000000ffffff0000000000ffffff0000000000ffffff;
    uint256 private constant HALF_12 = 0x00000fff00000fff00000fff00000fff00000fff00000fff00000fff00000fff;
    uint256 private constant HALF_6 = 0x003f003f003f003f003f003f003f003f003f003f003f003f003f003f003f003f;

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
            x = ((x << 32) & (((1 << 96) - 1) << 128)) | (x & ((1 << 96) - 1));
            x = ((x & (HALF_48 << 48)) << 16) | (x & HALF_48);
            x = ((x & (HALF_24 << 24)) << 8) | (x & HALF_24);
            x = ((x & (HALF_12 << 12)) << 4) | (x & HALF_12);
            x = ((x & (HALF_6 << 6)) << 2) | (x & HALF_6);
            // in each lane 1 where the value is at least 26, 52, 62 and 63: no lane holds more than 63
            uint256 lower = ((x + 102 * LANES) >> 7) & LANES;
            uint256 digit = ((x + 76 * LANES) >> 7) & LANES;
            uint256 plus = ((x + 66 * LANES) >> 7) & LANES;
            uint256 slash = ((x + 65 * LANES) >> 7) & LANES;
            // A-Z is value + 65, a-z value + 71, 0-9 value - 4, + and / are 43 and 47
            return bytes32(x + 65 * LANES + 6 * lower + 3 * slash - 75 * digit - 15 * plus);
        }
    }
}
