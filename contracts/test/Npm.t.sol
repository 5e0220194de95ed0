// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base64} from "solady/utils/Base64.sol";
import "./World.sol";

/// npm's own signatures: 21 real ones, with the precompile here and without it below.
contract NpmTest is World {
    uint256 private constant VECTORS = 21;
    uint256 private constant ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551;

    string private fixtures;

    struct Vector {
        string name;
        string version;
        bytes32 hi;
        bytes32 lo;
        uint256 keyIndex;
        bytes32 r;
        bytes32 s;
    }

    function setUp() public virtual override {
        super.setUp();
        fixtures = vm.readFile("../fixtures/npm_signatures.json");
        NpmKey[] memory keys = new NpmKey[](2);
        for (uint256 i; i < 2; ++i) {
            keys[i] = NpmKey(
                vm.parseJsonBytes32(fixtures, string.concat(".keys[", vm.toString(i), "].x")),
                vm.parseJsonBytes32(fixtures, string.concat(".keys[", vm.toString(i), "].y")),
                i == 0 ? 915148800 : 1736726400, // 1999-01-01, 2025-01-13
                i == 0 ? 1738108800 : FOREVER // 2025-01-29
            );
        }
        bytes memory arguments = abi.encode("https://registry.example", vm.addr(REGISTRAR_KEY), uint64(0), keys);
        names = NameRegistry(create("NameRegistry", arguments));
        packages = names.packageRegistry();
    }

    function vector(uint256 i) private view returns (Vector memory v) {
        string memory path = string.concat(".vectors[", vm.toString(i), "]");
        v.name = vm.parseJsonString(fixtures, string.concat(path, ".package"));
        v.version = vm.parseJsonString(fixtures, string.concat(path, ".version"));
        (v.hi, v.lo) = bytesOf(vm.parseJsonString(fixtures, string.concat(path, ".integrity")));
        v.keyIndex = vm.parseJsonBytes32(fixtures, string.concat(path, ".keyX")) == names.npmKeyAt(0).x ? 0 : 1;
        v.r = vm.parseJsonBytes32(fixtures, string.concat(path, ".r"));
        v.s = vm.parseJsonBytes32(fixtures, string.concat(path, ".s"));
    }

    function bytesOf(string memory integrity) private pure returns (bytes32 hi, bytes32 lo) {
        bytes memory text = new bytes(88);
        for (uint256 i; i < 88; ++i) {
            text[i] = bytes(integrity)[i + 7];
        }
        return abi.decode(Base64.decode(string(text)), (bytes32, bytes32));
    }

    function check(Vector memory v) private view returns (bool) {
        return names.isNpmSignature(v.name, v.version, v.hi, v.lo, v.keyIndex, v.r, v.s);
    }

    function checkAll() private {
        uint256 high;
        for (uint256 i; i < VECTORS; ++i) {
            Vector memory v = vector(i);
            vm.warp(v.keyIndex == 0 ? 1700000000 : START);
            yes(check(v), v.name);
            if (uint256(v.s) > ORDER / 2) ++high;
            v.s = bytes32(ORDER - uint256(v.s));
            yes(check(v), "its twin");
        }
        same(high, 11, "high s");
    }

    function test_all_21_real_signatures_hold() public {
        checkAll();
    }

    function test_the_precompile_is_there_or_not_as_this_test_wants() public view {
        same(hasPrecompile() ? 1 : 0, wantsPrecompile() ? 1 : 0, "precompile");
    }

    function wantsPrecompile() internal pure virtual returns (bool) {
        return true;
    }

    function hasPrecompile() private view returns (bool) {
        Vector memory v = vector(0);
        (, bytes memory answer) = address(0x100).staticcall(
            abi.encode(
                sha256(bytes(vm.parseJsonString(fixtures, ".vectors[0].message"))),
                v.r,
                v.s,
                names.npmKeyAt(0).x,
                names.npmKeyAt(0).y
            )
        );
        return answer.length == 32;
    }

    function test_every_part_of_the_message_and_the_signature_counts() public {
        vm.warp(1700000000);
        Vector memory v = vector(0);
        yes(check(v), "genuine");
        v.name = "lodash-";
        no(check(v), "name");
        v = vector(0);
        v.version = "0.1.1";
        no(check(v), "version");
        v = vector(0);
        v.hi ^= bytes32(uint256(1));
        no(check(v), "hi");
        v = vector(0);
        v.lo ^= bytes32(uint256(1));
        no(check(v), "lo");
        v = vector(0);
        v.r = bytes32(uint256(v.r) + 1);
        no(check(v), "r");
        v = vector(0);
        v.s = 0;
        no(check(v), "s of zero");
        v.s = bytes32(ORDER);
        no(check(v), "s of the order");
        v.s = bytes32(type(uint256).max);
        no(check(v), "s above the order");
        v = vector(0);
        v.r = 0;
        no(check(v), "r of zero");
        v = vector(0);
        v.keyIndex = 1;
        vm.warp(START);
        no(check(v), "another key");
    }

    function test_a_key_counts_within_its_time() public {
        Vector memory v = vector(0);
        same(v.keyIndex, 0, "an old signature");
        vm.warp(915148800 - 1);
        refuses(Errors.NpmKeyNotValid.selector, 0);
        this.checking(v);
        vm.warp(915148800);
        yes(check(v), "from the first second");
        vm.warp(1738108800 - 1);
        yes(check(v), "to the last");
        vm.warp(1738108800);
        refuses(Errors.NpmKeyNotValid.selector, 0);
        this.checking(v);
        v.keyIndex = 2;
        refuses(Errors.NpmKeyNotValid.selector, 2);
        this.checking(v);
    }

    function checking(Vector memory v) external view returns (bool) {
        return check(v);
    }
}

/// The same on a chain without the precompile, where a call to it answers nothing. `npm test` also runs this
/// contract under the rules of Prague, where that is so without our doing.
contract NpmWithoutPrecompileTest is NpmTest {
    function setUp() public override {
        vm.mockCall(address(0x100), "", "");
        super.setUp();
    }

    function wantsPrecompile() internal pure override returns (bool) {
        return false;
    }
}

/// A claim by npm's signature, with a key of the test's own in npm's place.
contract NpmClaimTest is World {
    bytes32 private constant HI = keccak256("hi");
    bytes32 private constant LO = keccak256("lo");

    function proof(Config memory c, uint64 anchorBlock) private view returns (bytes32 r, bytes32 s) {
        bytes memory message = abi.encodePacked(
            c.packageName,
            "@0.0.0-3pm.0h",
            hexOf(commitmentOf(c, anchorBlock)),
            ":sha512-",
            Base64.encode(abi.encodePacked(HI, LO))
        );
        return vm.signP256(NPM_KEY, sha256(message));
    }

    function hexOf(bytes32 word) private pure returns (string memory) {
        bytes memory digits = new bytes(64);
        for (uint256 i; i < 64; ++i) {
            digits[i] = bytes("0123456789abcdef")[uint8(word[i / 2] >> (i % 2 == 0 ? 4 : 0)) & 15];
        }
        return string(digits);
    }

    function test_npms_own_signature_claims_a_name() public {
        Config memory c = config("@scope/name", 3, 2);
        uint64 anchorBlock = anchor();
        (bytes32 r, bytes32 s) = proof(c, anchorBlock);
        names.claimWithNpmSignature(c, 3, sign(3, names.digestOf(c)), anchorBlock, 0, HI, LO, r, s);
        same(names.getPackage("@scope/name").state, PackageState.Final, "state");
    }

    function test_it_is_of_this_claim_at_this_block_and_of_these_bytes() public {
        Config memory c = config(NAME, 3, 2);
        uint64 anchorBlock = anchor();
        (bytes32 r, bytes32 s) = proof(c, anchorBlock);
        bytes memory signatures = sign(3, names.digestOf(c));
        refuses(Errors.BadClaimProof.selector);
        names.claimWithNpmSignature(c, 3, signatures, anchorBlock, 0, LO, HI, r, s);
        refuses(Errors.BadClaimProof.selector);
        names.claimWithNpmSignature(c, 3, signatures, anchorBlock, 0, HI, LO, s, r);
        vm.setBlockhash(anchorBlock - 1, "another");
        refuses(Errors.BadClaimProof.selector);
        names.claimWithNpmSignature(c, 3, signatures, anchorBlock - 1, 0, HI, LO, r, s);
        refuses(Errors.NpmKeyNotValid.selector, 1);
        names.claimWithNpmSignature(c, 3, signatures, anchorBlock, 1, HI, LO, r, s);
        Config memory thief = config(NAME, 2, 2);
        bytes memory thiefs = sign(3, names.digestOf(thief));
        refuses(Errors.BadClaimProof.selector);
        names.claimWithNpmSignature(thief, 3, thiefs, anchorBlock, 0, HI, LO, r, s);
    }

    function test_its_members_sign_and_its_anchor_is_fresh() public {
        Config memory c = config(NAME, 3, 2);
        uint64 anchorBlock = anchor();
        (bytes32 r, bytes32 s) = proof(c, anchorBlock);
        bytes memory one = sign(1, names.digestOf(c));
        refuses(Errors.TooFewSigners.selector, 1, 2);
        names.claimWithNpmSignature(c, 1, one, anchorBlock, 0, HI, LO, r, s);
        bytes memory two = sign(3, names.digestOf(c));
        vm.roll(height() + 9000);
        refuses(Errors.StaleAnchor.selector, anchorBlock);
        names.claimWithNpmSignature(c, 3, two, anchorBlock, 0, HI, LO, r, s);
        c = config(NAME, 0, 0);
        refuses(Errors.InvalidThreshold.selector, 0, 0);
        names.claimWithNpmSignature(c, 0, "", anchorBlock, 0, HI, LO, r, s);
    }

    function test_it_replaces_a_provisional_claim_and_starts_a_recovery() public {
        deploy(14 days);
        claim(NAME, 3, 2);
        Config memory c = config(NAME, 2, 2);
        uint64 anchorBlock = anchor();
        (bytes32 r, bytes32 s) = proof(c, anchorBlock);
        names.claimWithNpmSignature(c, 3, sign(3, names.digestOf(c)), anchorBlock, 0, HI, LO, r, s);
        same(names.getPackage(NAME).members.length, 2, "members");
        vm.warp(START + 187 days);
        c = nextConfig(NAME, 1, 1);
        anchorBlock = anchor();
        (r, s) = proof(c, anchorBlock);
        names.claimWithNpmSignature(c, 1, sign(1, names.digestOf(c)), anchorBlock, 0, HI, LO, r, s);
        yes(names.getPackage(NAME).recoveryPending, "recoveryPending");
    }
}
