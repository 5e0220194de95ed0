// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// What may be a package name and what may be a version: one pass over the bytes each, no folding.
/// Does not ask whether npm has such a package.
library Grammar {
    uint256 internal constant MAX_NAME = 214;
    uint256 internal constant MAX_VERSION = 64;

    uint256 private constant DASH = 0x2d;
    uint256 private constant DOT = 0x2e;
    uint256 private constant ZERO = 0x30;

    // Sets of characters: bit c is set when the ASCII character c is in the set.
    uint256 private constant DIGITS = 0x3ff << 48;
    uint256 private constant LETTERS = (0x3ffffff << 65) | (0x3ffffff << 97);
    uint256 private constant IDENTIFIER = DIGITS | LETTERS | (1 << DASH);
    // and _ ~ ! ' ( ) *
    uint256 private constant NAME = IDENTIFIER | (1 << DOT) | (1 << 0x5f) | (1 << 0x7e) | (1 << 0x21) | (1 << 0x27)
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
        unchecked {
            uint256 end;
            for (uint256 part; part < 3; ++part) {
                uint256 start = part == 0 ? 0 : end + 1;
                if (part != 0 && _at(b, end) != DOT) return false;
                end = _run(DIGITS, b, start);
                if (!_isNumber(b, start, end)) return false;
            }
            if (end == b.length) return true;
            if (_at(b, end) != DASH) return false;
            do {
                uint256 start = end + 1;
                end = _run(IDENTIFIER, b, start);
                if (end == start) return false;
                if (_run(DIGITS, b, start) == end && !_isNumber(b, start, end)) return false;
            } while (_at(b, end) == DOT);
            return end == b.length;
        }
    }

    function _isPart(bytes calldata part) private pure returns (bool) {
        bool isPath = part.length < 3 && _run(1 << DOT, part, 0) == part.length; // nothing, "." and ".."
        return !isPath && _run(NAME, part, 0) == part.length;
    }

    /// Between two places there are only digits: at least one, and no zero before others.
    function _isNumber(bytes calldata b, uint256 start, uint256 end) private pure returns (bool) {
        unchecked {
            return end == start + 1 || (end > start && _at(b, start) != ZERO);
        }
    }

    /// The first place from `cursor` on that is past the end or holds a character outside `set`.
    function _run(uint256 set, bytes calldata b, uint256 cursor) private pure returns (uint256 end) {
        assembly ("memory-safe") {
            end := cursor
            for {} lt(end, b.length) { end := add(end, 1) } {
                if iszero(and(shr(byte(0, calldataload(add(b.offset, end))), set), 1)) { break }
            }
        }
    }

    /// The character at `cursor`; zero, which is in no set, past the end.
    function _at(bytes calldata b, uint256 cursor) private pure returns (uint256 character) {
        assembly ("memory-safe") {
            if lt(cursor, b.length) {
                character := byte(0, calldataload(add(b.offset, cursor)))
            }
        }
    }
}
