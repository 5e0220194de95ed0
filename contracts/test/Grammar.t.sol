// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base64} from "solady/utils/Base64.sol";
import {LibString} from "solady/utils/LibString.sol";
import {Grammar} from "../src/Grammar.sol";
import {Integrity} from "../src/Integrity.sol";
import {World} from "./World.sol";

/// Names, versions and the spelling of a hash: tables, and a second reading that is as plain as can be.
contract GrammarTest is World {
    function setUp() public override {}

    function isName(string calldata text) external pure returns (bool) {
        return Grammar.isName(text);
    }

    function isVersion(string calldata text) external pure returns (bool) {
        return Grammar.isVersion(text);
    }

    /// `list` holds what is to be checked, separated by blanks.
    function names_(string memory list, bool expected) private view {
        string[] memory texts = LibString.split(list, " ");
        for (uint256 i; i < texts.length; ++i) {
            if (this.isName(texts[i]) != expected) revert Unequal("name", bytes(texts[i]), abi.encode(expected));
        }
    }

    function versions(string memory list, bool expected) private view {
        string[] memory texts = LibString.split(list, " ");
        for (uint256 i; i < texts.length; ++i) {
            if (this.isVersion(texts[i]) != expected) revert Unequal("version", bytes(texts[i]), abi.encode(expected));
        }
    }

    function test_names_npm_accepts() public view {
        names_("left-pad JSONStream @scope/name a lodash.merge @a/.b ~tilde a. @_/_ 0 it's-(a)*! a_b - z9Z", true);
        names_("node_modules2 @node_modules/node_modules @a/favicon.ico Node_modules", true);
    }

    function test_names_it_does_not() public view {
        names_("a/b @scope @/b @a/ @a/b/c @a/.. @a/. @./a @../a .. . .hidden _hidden node_modules favicon.ico @", false);
        names_("a@b a%20b a:b a;b a\"b a\\b a,b a<b a=b a>b a?b a[b a]b a^b a`b a{b a|b a}b a#b a$b a&b a+b", false);
        no(this.isName(""), "empty");
        no(this.isName("a b"), "blank");
        no(this.isName("a\nb"), "newline");
        no(this.isName(unicode"lod\u0430sh"), "cyrillic");
        no(this.isName(string(hex"00")), "zero byte");
    }

    function test_names_up_to_214_bytes() public view {
        yes(this.isName(LibString.repeat("a", 214)), "214");
        no(this.isName(LibString.repeat("a", 215)), "215");
        yes(this.isName(string.concat("@a/", LibString.repeat("b", 211))), "scoped 214");
        no(this.isName(string.concat("@a/", LibString.repeat("b", 212))), "scoped 215");
    }

    function test_every_byte_alone_between_letters() public view {
        bytes memory allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~!'()*";
        for (uint256 c; c < 256; ++c) {
            bool expected;
            for (uint256 i; i < allowed.length; ++i) {
                if (uint8(allowed[i]) == c) expected = true;
            }
            bytes memory text = abi.encodePacked("a", bytes1(uint8(c)), "a");
            if (this.isName(string(text)) != expected) revert Unequal("name", text, abi.encode(expected));
            bool inVersion = expected && c != 0x5f && c != 0x7e && c != 0x21 && (c < 0x27 || c > 0x2a);
            text = abi.encodePacked("1.0.0-a", bytes1(uint8(c)), "a");
            if (this.isVersion(string(text)) != inVersion) revert Unequal("version", text, abi.encode(inVersion));
        }
    }

    function test_versions_of_strict_semver() public view {
        versions("0.0.0 1.2.3 10.20.30 1.0.0-alpha.1 1.0.0-0A.is.legal 0.0.0-3pm.0hff 1.0.0-0 1.0.0-- 1.0.0--.-", true);
        versions("1.0.0-x-y-z.-- 1.0.0-a.0.b 99999999999999999999.0.0 1.0.0-00a 1.0.0-01-2", true);
    }

    function test_versions_that_are_not() public view {
        versions("v1.0.0 1.0 1 01.0.0 1.00.0 1.0.00 1.0.0-01 1.0.0-a.00 =1.0.0 latest 1.x 1.0.0+b 1.0.0-a+b", false);
        versions("1.0.0- 1.0.0-. 1.0.0-a. 1.0.0-.a 1.0.0-a..b .0.0 1..0 1.0. 1.0.0. 1.0.0.0 -1.0.0 1.-1.0 1.0.0_", false);
        versions("1.0.0-a_b 1,0,0 1.0.0- a.b.c .. ...", false);
        no(this.isVersion(""), "empty");
        no(this.isVersion(" 1.0.0"), "leading blank");
        no(this.isVersion("1.0.0 "), "trailing blank");
        no(this.isVersion(string(hex"312e302e3000")), "trailing zero byte");
        no(this.isVersion(unicode"1.0.\u0660"), "another digit");
    }

    function test_versions_up_to_64_bytes() public view {
        yes(this.isVersion(string.concat("1.0.0-", LibString.repeat("a", 58))), "64");
        no(this.isVersion(string.concat("1.0.0-", LibString.repeat("a", 59))), "65");
    }

    /// What follows a string in calldata is never read as part of it.
    function test_a_version_ends_where_it_ends() public view {
        bytes memory call = abi.encodeCall(this.isVersion, ("1.0.0-a.1"));
        for (uint256 length; length <= 9; ++length) {
            call[67] = bytes1(uint8(length));
            (, bytes memory answer) = address(this).staticcall(call);
            bool expected = length == 5 || length == 7 || length == 9;
            same(abi.decode(answer, (bool)) ? 1 : 0, expected ? 1 : 0, vm.toString(length));
        }
    }

    function testFuzz_versions_agree_with_a_second_reading(uint256 seed) public view {
        bytes memory alphabet = "001.-ab..0-1";
        bytes memory text = new bytes(bound(seed >> 200, 5, 12));
        for (uint256 i; i < text.length; ++i) {
            text[i] = alphabet[(seed >> (i * 8)) % alphabet.length];
        }
        (text[1], text[3]) = (".", "."); // else next to none would be a version
        bool expected = secondReading(string(text));
        if (this.isVersion(string(text)) != expected) revert Unequal("version", text, abi.encode(expected));
    }

    function secondReading(string memory text) private pure returns (bool) {
        uint256 dash = LibString.indexOf(text, "-");
        string memory core = dash == LibString.NOT_FOUND ? text : LibString.slice(text, 0, dash);
        if (bytes(core).length == 0) return false; // solady's split writes over the zero slot when there is nothing to split
        string[] memory numbers = LibString.split(core, ".");
        if (numbers.length != 3) return false;
        for (uint256 i; i < 3; ++i) {
            if (!isDigits(numbers[i]) || hasLeadingZero(numbers[i])) return false;
        }
        if (dash == LibString.NOT_FOUND) return true;
        string memory rest = LibString.slice(text, dash + 1);
        if (bytes(rest).length == 0) return false; // as above
        string[] memory identifiers = LibString.split(rest, ".");
        for (uint256 i; i < identifiers.length; ++i) {
            if (bytes(identifiers[i]).length == 0) return false;
            if (isDigits(identifiers[i]) && hasLeadingZero(identifiers[i])) return false;
        }
        return true;
    }

    function isDigits(string memory text) private pure returns (bool) {
        return bytes(text).length != 0 && LibString.is7BitASCII(text, LibString.to7BitASCIIAllowedLookup("0123456789"));
    }

    function hasLeadingZero(string memory text) private pure returns (bool) {
        return bytes(text).length > 1 && bytes(text)[0] == "0";
    }

    // ------------------------------------------------------------------ Integrity

    function testFuzz_the_spelling_equals_reference_base64(bytes32 hi, bytes32 lo) public pure {
        bytes memory expected = bytes.concat("sha512-", bytes(Base64.encode(abi.encodePacked(hi, lo))));
        same(Integrity.spell(hi, lo), expected, "integrity");
    }

    function test_every_character_at_every_place() public pure {
        for (uint256 value; value < 64; ++value) {
            uint256 word;
            for (uint256 i; i < 43; ++i) {
                word = (word << 6) | ((value + i) & 63);
            }
            for (uint256 shift; shift < 8; ++shift) {
                bytes32 hi = bytes32(word << shift);
                bytes32 lo = bytes32((word >> 3) << shift);
                bytes memory expected = bytes.concat("sha512-", bytes(Base64.encode(abi.encodePacked(hi, lo))));
                same(Integrity.spell(hi, lo), expected, "integrity");
            }
        }
    }
}
