// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SafetyRegistry} from "../src/SafetyRegistry.sol";
import {Wallet} from "./Wallets.sol";
import "./World.sol";

/// What counts as somebody's signature, and what only looks like one.
contract SignaturesTest is World {
    uint256 private constant ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;

    SafetyRegistry private safety;
    ReportInput private nothing;
    bytes32 private digest_;

    function setUp() public override {
        super.setUp();
        safety = SafetyRegistry(create("SafetyRegistry", ""));
        (nothing.packageName, nothing.version) = (NAME, "1.0.0");
        digest_ = safety.digestOf(nothing);
    }

    /// Asked of deployed bytes: a report of nothing, which may be repeated. Refused for its signature or not at all.
    function isValid(address signer, bytes memory signature) public returns (bool) {
        try safety.submit(nothing, signer, signature) {
            return true;
        } catch (bytes memory reason) {
            same(reason, abi.encodeWithSelector(Errors.BadSignature.selector, 0), "reason");
            return false;
        }
    }

    function accepts(address signer, bytes memory signature) private {
        yes(isValid(signer, signature), "accepted");
    }

    function rejects(address signer, bytes memory signature) private {
        no(isValid(signer, signature), "accepted");
    }

    function compact(uint256 secret, bytes32 digest) private pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(secret, digest);
        return abi.encodePacked(r, uint256(s) | (uint256(v - 27) << 255));
    }

    // ---------------------------------------------------------------------- ECDSA

    function test_65_and_64_byte_signatures_of_a_key() public {
        for (uint256 i; i < 8; ++i) {
            accepts(person(i), rawSignature(key(i), digest_));
            accepts(person(i), compact(key(i), digest_));
            rejects(person(i + 1), rawSignature(key(i), digest_));
            rejects(person(i + 1), compact(key(i), digest_));
        }
    }

    function test_the_high_s_twin_is_refused() public {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key(0), digest_);
        bytes32 twin = bytes32(ORDER - uint256(s));
        rejects(person(0), abi.encodePacked(r, twin, v == 27 ? uint8(28) : uint8(27)));
    }

    function test_other_recovery_ids_are_refused() public {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key(0), digest_);
        for (uint256 other; other < 256; ++other) {
            if (other != v) rejects(person(0), abi.encodePacked(r, s, uint8(other)));
        }
    }

    function test_other_lengths_are_refused() public {
        bytes memory signature = rawSignature(key(0), digest_);
        rejects(person(0), "");
        rejects(person(0), bytes.concat(signature, "!"));
        bytes memory shorter = new bytes(63);
        for (uint256 i; i < 63; ++i) {
            shorter[i] = signature[i];
        }
        rejects(person(0), shorter);
    }

    function test_nobody_signs_for_the_zero_address() public {
        rejects(address(0), rawSignature(key(0), digest_));
        rejects(address(0), new bytes(65));
        rejects(address(0), new bytes(64));
        rejects(address(0), "");
    }

    function testFuzz_flipping_a_bit_is_refused(uint256 bit) public {
        bytes memory signature = rawSignature(key(0), digest_);
        bit = bound(bit, 0, 65 * 8 - 1);
        signature[bit / 8] ^= bytes1(uint8(1 << (bit % 8)));
        rejects(person(0), signature);
    }

    function testFuzz_another_digest_is_refused(bytes32 digest) public {
        vm.assume(digest != digest_);
        rejects(person(0), rawSignature(key(0), digest));
    }

    /// `word` reads 32 bytes wherever it is pointed: what lies behind a signature never completes it.
    function test_what_follows_a_signature_does_not_complete_it() public {
        uint256 i; // of somebody with v = 28: with 27 the first 64 bytes are a signature as in EIP-2098
        while (uint8(rawSignature(key(i), digest_)[64]) == 27) ++i;
        bytes memory call = abi.encodeCall(safety.submit, (nothing, person(i), rawSignature(key(i), digest_)));
        for (uint256 length; length <= 65; ++length) {
            call[call.length - 96 - 1] = bytes1(uint8(length)); // 65 bytes fill three words
            (bool ok,) = address(safety).call(call);
            same(ok ? 1 : 0, length == 65 ? 1 : 0, vm.toString(length));
        }
    }

    // -------------------------------------------------------------------- Wallets

    function test_a_contract_wallet_decides_for_itself() public {
        Wallet wallet = new Wallet(person(0), Wallet.Mood.Honest);
        accepts(address(wallet), rawSignature(key(0), digest_));
        rejects(address(wallet), rawSignature(key(1), digest_));
        wallet.become(Wallet.Mood.Yes);
        accepts(address(wallet), "");
        accepts(address(wallet), new bytes(5000));
    }

    function test_every_wrong_answer_is_a_no() public {
        Wallet wallet = new Wallet(person(0), Wallet.Mood.No);
        rejects(address(wallet), "");
        Wallet.Mood[7] memory moods = [
            Wallet.Mood.ZeroAnswer,
            Wallet.Mood.DirtyAnswer,
            Wallet.Mood.ShortAnswer,
            Wallet.Mood.EmptyAnswer,
            Wallet.Mood.Reverts,
            Wallet.Mood.Writes,
            Wallet.Mood.No
        ];
        for (uint256 i; i < moods.length; ++i) {
            wallet.become(moods[i]);
            rejects(address(wallet), "");
            rejects(address(wallet), rawSignature(key(0), digest_));
        }
    }

    function test_a_return_bomb_is_not_copied() public {
        Wallet wallet = new Wallet(person(0), Wallet.Mood.Bomb);
        uint256 before = gasleft();
        accepts(address(wallet), "");
        // The wallet pays 2.3 million for its own megabyte; copying it would cost as much again.
        yes(before - gasleft() < 2_400_000, "gas");
    }

    function test_a_wallet_that_eats_gas_is_a_no_that_leaves_a_64th() public {
        Wallet wallet = new Wallet(person(0), Wallet.Mood.EatsGas);
        no(this.isValid{gas: 2_000_000}(address(wallet), ""), "accepted");
    }

    function test_no_code_is_no_wallet() public {
        rejects(address(0xdead), "");
        rejects(address(1), ""); // a precompile
        rejects(address(4), rawSignature(key(0), digest_)); // one that answers with its question
    }

    function test_the_key_of_an_account_with_code_still_signs() public {
        Wallet no_ = new Wallet(person(0), Wallet.Mood.No);
        vm.etch(person(0), address(no_).code);
        accepts(person(0), rawSignature(key(0), digest_));
    }

    function test_an_eip_7702_delegation_is_no_wallet() public {
        address yes_ = address(new YesWallet());
        vm.etch(person(0), abi.encodePacked(hex"ef0100", yes_));
        rejects(person(0), "");
        rejects(person(0), rawSignature(key(1), digest_));
        accepts(person(0), rawSignature(key(0), digest_));
        vm.etch(person(0), yes_.code);
        accepts(person(0), "");
    }

    // -------------------------------------------------------------- The blob

    function test_signatures_come_in_rising_order_without_gaps_or_trailing_bytes() public {
        claim(NAME, 3, 2);
        bytes32 digest = packages.digestOf(release(NAME, "1.0.0", 0));
        bytes memory a = frame(rawSignature(key(0), digest));
        bytes memory b = frame(rawSignature(key(1), digest));
        ReleaseInput memory r = release(NAME, "1.0.0", 0);
        refuses(Errors.BadSignature.selector, 0);
        packages.publish(r, 3, bytes.concat(b, a));
        refuses(Errors.BadSignature.selector, 1);
        packages.publish(r, 3, bytes.concat(a, a));
        refuses(Errors.BadSignature.selector, 1);
        packages.publish(r, 3, a);
        refuses(Errors.BadSignature.selector, 0);
        packages.publish(r, 3, "");
        refuses(Errors.BadSignature.selector, 0);
        packages.publish(r, 3, hex"00");
        refuses(Errors.BadSignature.selector, 0);
        packages.publish(r, 3, hex"0000");
        refuses(Errors.BadSignature.selector, 0);
        packages.publish(r, 3, bytes.concat(hex"ffff", a, b));
        refuses(Errors.BadSignature.selector, 1);
        packages.publish(r, 3, bytes.concat(a, hex"0042", rawSignature(key(1), digest)));
        refuses(Errors.TrailingBytes.selector, 134, 135);
        packages.publish(r, 3, bytes.concat(a, b, hex"00"));
        refuses(Errors.TrailingBytes.selector, 134, 201);
        packages.publish(r, 3, bytes.concat(a, b, frame(rawSignature(key(2), digest))));
        packages.publish(r, 3, bytes.concat(a, b));
    }

    function test_bytes_outside_the_blob_complete_no_signature() public {
        claim(NAME, 3, 2);
        ReleaseInput memory r = release(NAME, "1.0.0", 0);
        bytes memory signatures = sign(3, packages.digestOf(r));
        bytes memory call = abi.encodeCall(packages.publish, (r, 3, signatures));
        uint256 length = call.length - 160 - 32; // the blob fills 160 bytes, its length stands before it
        for (uint256 less = 1; less < 134; less += 33) {
            call[length + 31] = bytes1(uint8(134 - less));
            (bool ok, bytes memory reason) = address(packages).call(call);
            no(ok, vm.toString(less));
            uint256 seat = less > 67 ? 0 : 1;
            same(reason, abi.encodeWithSelector(Errors.BadSignature.selector, seat), vm.toString(less));
        }
        call[length + 31] = bytes1(uint8(134));
        (bool whole,) = address(packages).call(call);
        yes(whole, "whole");
    }

    /// A claim's signatures are read where the caller put them, with whatever he put behind them.
    function test_bytes_behind_a_claims_signatures_complete_none() public {
        Config memory c = config(NAME, 2, 2);
        uint64 anchorBlock = anchor();
        bytes memory signatures = sign(3, names.digestOf(c));
        bytes memory call = abi.encodeCall(names.claim, (c, 3, signatures, anchorBlock, registrarProof(c, anchorBlock)));
        uint256 last = lengthByteOf(call, signatures.length);
        for (uint256 less = 1; less < 134; less += 33) {
            call[last] = bytes1(uint8(134 - less));
            (bool ok, bytes memory reason) = address(names).call(call);
            no(ok, vm.toString(less));
            uint256 seat = less > 67 ? 0 : 1;
            same(reason, abi.encodeWithSelector(Errors.BadSignature.selector, seat), vm.toString(less));
        }
        call[last] = bytes1(uint8(134));
        (bool whole,) = address(names).call(call);
        yes(whole, "whole");
    }

    /// Where the only word that is `length` ends.
    function lengthByteOf(bytes memory data, uint256 length) private pure returns (uint256 last) {
        for (uint256 i = 4; i + 32 <= data.length; i += 32) {
            uint256 word;
            assembly {
                word := mload(add(add(data, 32), i))
            }
            if (word == length) last = i + 31;
        }
    }

    function test_keys_wallets_and_compact_signatures_sign_together() public {
        Wallet wallet = new Wallet(person(9), Wallet.Mood.Honest);
        Config memory c = config(NAME, 3, 3);
        c.members[1] = address(wallet);
        uint64 anchorBlock = anchor();
        names.claim(c, 7, mixed(names.digestOf(c)), anchorBlock, registrarProof(c, anchorBlock));
        ReleaseInput memory r = release(NAME, "1.0.0", 0);
        bytes memory signatures = mixed(packages.digestOf(r));
        packages.publish(r, 7, signatures);
        same(packages.getRelease(NAME, "1.0.0").signers, c.members, "signers");
    }

    function mixed(bytes32 digest) private pure returns (bytes memory) {
        return bytes.concat(
            frame(rawSignature(key(0), digest)),
            frame(rawSignature(key(9), digest)),
            frame(compact(key(2), digest))
        );
    }

    function test_a_wallet_that_changes_its_mind_leaves_records_as_they_are() public {
        Wallet wallet = new Wallet(person(9), Wallet.Mood.Yes);
        Config memory c = config(NAME, 2, 2);
        c.members[1] = address(wallet);
        uint64 anchorBlock = anchor();
        bytes memory signatures = bytes.concat(frame(rawSignature(key(0), names.digestOf(c))), frame(""));
        names.claim(c, 3, signatures, anchorBlock, registrarProof(c, anchorBlock));
        ReleaseInput memory r = release(NAME, "1.0.0", 0);
        packages.publish(r, 3, bytes.concat(frame(rawSignature(key(0), packages.digestOf(r))), frame("")));
        wallet.become(Wallet.Mood.No);
        same(statusOf(NAME, "1.0.0"), Status.Active, "status");
        r = release(NAME, "1.0.1", 1);
        signatures = bytes.concat(frame(rawSignature(key(0), packages.digestOf(r))), frame(""));
        refuses(Errors.BadSignature.selector, 1);
        packages.publish(r, 3, signatures);
    }

    function testFuzz_random_blobs_never_pass(bytes calldata signatures, uint16 bits) public {
        claim(NAME, 3, 1);
        ReleaseInput memory r = release(NAME, "1.0.0", 0);
        vm.expectRevert();
        packages.publish(r, bits, signatures);
    }
}

contract YesWallet {
    function isValidSignature(bytes32, bytes calldata) external pure returns (bytes4) {
        return 0x1626ba7e;
    }
}
