// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// What may be a package name and what may be a version: one pass over the bytes each, no folding.
/// Does not ask whether npm has such a package.
library Grammar {
    uint256 internal constant MAX_NAME = 214;
    uint256 internal constant MAX_VERSION = 64;

    // Sets of ASCII characters: bit c is set when the character c is in the set.
    uint256 private constant DIGITS = 0x3ff << 48;
    uint256 private constant LETTERS = (0x3ffffff << 65) | (0x3ffffff << 97);
    uint256 private constant IDENTIFIER = DIGITS | LETTERS | (1 << 0x2d); // and -
    // and _ . ~ ! ' ( ) *
    uint256 private constant NAME = IDENTIFIER | (1 << 0x5f) | (1 << 0x2e) | (1 << 0x7e) | (1 << 0x21) | (1 << 0x27)
        | (1 << 0x28) | (1 << 0x29) | (1 << 0x2a);

    /// npm's rule for every name that was ever published: `name` or scope and `name`, 1 to 214 bytes of
    /// characters that a URL carries unescaped, no part a path component, no leading `.` or `_` without a scope.
    function isName(string calldata text) internal pure returns (bool) {
        bytes calldata b = bytes(text);
        if (b.length == 0 || b.length > MAX_NAME) return false;
        if (b[0] == "@") {
            uint256 slash = 1;
            while (slash < b.length && b[slash] != "/") ++slash;
            return slash < b.length && _isPart(b[1:slash]) && _isPart(b[slash + 1:]);
        }
        if (b[0] == "." || b[0] == "_") return false;
        bytes32 hash = keccak256(b);
        return _isPart(b) && hash != keccak256("node_modules") && hash != keccak256("favicon.ico");
    }

    /// Strict SemVer 2.0.0 without build metadata, at most 64 bytes:
    /// `number.number.number`, then optionally `-` and identifiers separated by dots.
    function isVersion(string calldata text) internal pure returns (bool) {
        bytes calldata b = bytes(text);
        if (b.length > MAX_VERSION) return false;
        uint256 cursor;
        for (uint256 part; part < 3; ++part) {
            uint256 start = cursor;
            while (cursor < b.length && _in(DIGITS, b[cursor])) ++cursor;
            if (!_isNumber(b[start:cursor])) return false;
            if (part < 2) {
                if (cursor == b.length || b[cursor] != ".") return false;
                ++cursor;
            }
        }
        if (cursor == b.length) return true;
        if (b[cursor] != "-") return false;
        do {
            uint256 start = ++cursor;
            bool numeric = true;
            while (cursor < b.length && _in(IDENTIFIER, b[cursor])) {
                if (!_in(DIGITS, b[cursor])) numeric = false;
                ++cursor;
            }
            if (cursor == start || (numeric && !_isNumber(b[start:cursor]))) return false;
        } while (cursor < b.length && b[cursor] == ".");
        return cursor == b.length;
    }

    function _isPart(bytes calldata part) private pure returns (bool) {
        if (part.length == 0) return false;
        bool dots = part.length < 3; // "." and ".."
        for (uint256 i; i < part.length; ++i) {
            if (!_in(NAME, part[i])) return false;
            if (part[i] != ".") dots = false;
        }
        return !dots;
    }

    /// Digits are given; none is no number, and neither is a leading zero before others.
    function _isNumber(bytes calldata digits) private pure returns (bool) {
        return digits.length == 1 || (digits.length > 1 && digits[0] != "0");
    }

    function _in(uint256 set, bytes1 character) private pure returns (bool) {
        return (set >> uint8(character)) & 1 == 1;
    }
}
