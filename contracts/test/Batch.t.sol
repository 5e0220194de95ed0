// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import "./World.sol";

/// One signature for a monorepo: every package's own threshold, every member signs once.
contract BatchTest is World {
    function setUp() public override {
        super.setUp();
        claim("a", 3, 2);
        claim("b", 5, 3);
    }

    function two() private view returns (ReleaseInput[] memory rs, uint16[] memory bits) {
        rs = new ReleaseInput[](2);
        rs[0] = release("a", "1.0.0", 0);
        rs[1] = release("b", "1.0.0", 0);
        bits = new uint16[](2);
        (bits[0], bits[1]) = (3, 7);
    }

    function test_each_package_meets_its_own_threshold_with_one_signature_of_each_member() public {
        (ReleaseInput[] memory rs, uint16[] memory bits) = two();
        packages.publishBatch(rs, bits, sign(7, packages.digestOfBatch(rs)));
        same(packages.getRelease("a", "1.0.0").signers, people(0, 2), "a");
        same(packages.getRelease("b", "1.0.0").signers, people(0, 3), "b");
        same(packages.releaseCount(id("a")), 1, "count of a");
        same(packages.releaseCount(id("b")), 1, "count of b");
    }

    function test_a_signature_given_twice_is_trailing_bytes() public {
        (ReleaseInput[] memory rs, uint16[] memory bits) = two();
        bytes32 digest = packages.digestOfBatch(rs);
        bytes memory twice = bytes.concat(sign(3, digest), sign(3, digest), sign(4, digest));
        refuses(Errors.BadSignature.selector, 2);
        packages.publishBatch(rs, bits, twice);
        bytes memory more = bytes.concat(sign(7, digest), sign(1, digest));
        refuses(Errors.TrailingBytes.selector, 67 * 3, 67 * 4);
        packages.publishBatch(rs, bits, more);
    }

    function test_one_package_below_its_threshold_stops_the_whole_batch() public {
        (ReleaseInput[] memory rs, uint16[] memory bits) = two();
        bits[1] = 3;
        bytes memory signatures = sign(3, packages.digestOfBatch(rs));
        refuses(Errors.TooFewSigners.selector, 2, 3);
        packages.publishBatch(rs, bits, signatures);
        same(statusOf("a", "1.0.0"), Status.None, "a");
    }

    function test_several_releases_of_one_package_go_together() public {
        ReleaseInput[] memory rs = new ReleaseInput[](3);
        uint16[] memory bits = new uint16[](3);
        for (uint256 i; i < 3; ++i) {
            rs[i] = release("a", string.concat("1.0.", vm.toString(i)), i);
            bits[i] = i == 2 ? 6 : 3;
        }
        packages.publishBatch(rs, bits, sign(7, packages.digestOfBatch(rs)));
        same(packages.getRelease("a", "1.0.2").signers, people(1, 2), "signers");
        same(packages.releaseCount(id("a")), 3, "count");
    }

    function test_the_same_version_or_nonce_twice_in_a_batch_is_refused() public {
        ReleaseInput[] memory rs = new ReleaseInput[](2);
        uint16[] memory bits = new uint16[](2);
        (bits[0], bits[1]) = (3, 3);
        rs[0] = release("a", "1.0.0", 0);
        rs[1] = release("a", "1.0.0", 1);
        bytes memory signatures = sign(3, packages.digestOfBatch(rs));
        refuses(Errors.VersionExists.selector);
        packages.publishBatch(rs, bits, signatures);
        rs[1] = release("a", "1.0.1", 0);
        signatures = sign(3, packages.digestOfBatch(rs));
        refuses(Errors.NonceUsed.selector, 0);
        packages.publishBatch(rs, bits, signatures);
    }

    function test_every_release_of_a_batch_keeps_the_rules() public {
        (ReleaseInput[] memory rs, uint16[] memory bits) = two();
        rs[1].epoch = 1;
        bytes memory signatures = sign(7, packages.digestOfBatch(rs));
        refuses(Errors.WrongEpoch.selector, 1, 0);
        packages.publishBatch(rs, bits, signatures);
        rs[1].epoch = 0;
        rs[1].deadline = START;
        signatures = sign(7, packages.digestOfBatch(rs));
        refuses(Errors.Expired.selector, START);
        packages.publishBatch(rs, bits, signatures);
        rs[1].deadline = START + 1;
        rs[1].packageName = "nobody";
        signatures = sign(7, packages.digestOfBatch(rs));
        refuses(Errors.NotClaimed.selector);
        packages.publishBatch(rs, bits, signatures);
    }

    function test_there_is_a_bitmap_for_each_release() public {
        (ReleaseInput[] memory rs,) = two();
        uint16[] memory bits = new uint16[](1);
        refuses(Errors.BatchLength.selector, 2, 1);
        packages.publishBatch(rs, bits, "");
    }

    function test_a_batch_signature_is_no_release_signature_and_not_of_another_batch() public {
        (ReleaseInput[] memory rs, uint16[] memory bits) = two();
        bytes memory signatures = sign(3, packages.digestOfBatch(rs));
        refuses(Errors.BadSignature.selector, 0);
        packages.publish(rs[0], 3, signatures);
        ReleaseInput[] memory one = new ReleaseInput[](1);
        uint16[] memory oneBits = new uint16[](1);
        (one[0], oneBits[0]) = (rs[0], 3);
        refuses(Errors.BadSignature.selector, 0);
        packages.publishBatch(one, oneBits, signatures);
        bytes memory single = sign(3, packages.digestOf(rs[0]));
        refuses(Errors.BadSignature.selector, 0);
        packages.publishBatch(one, oneBits, single);
        (rs[0], rs[1]) = (rs[1], rs[0]);
        (bits[0], bits[1]) = (7, 3);
        bytes memory all = sign(7, packages.digestOfBatch(rs));
        (rs[0], rs[1]) = (rs[1], rs[0]);
        (bits[0], bits[1]) = (3, 7);
        refuses(Errors.BadSignature.selector, 0);
        packages.publishBatch(rs, bits, all);
    }

    function test_flipping_any_signed_field_of_any_release_of_a_batch_reverts() public {
        (ReleaseInput[] memory rs, uint16[] memory bits) = two();
        bits[0] = 7;
        bytes memory signatures = sign(7, packages.digestOfBatch(rs));
        for (uint256 i; i < 18; ++i) {
            (ReleaseInput[] memory fs,) = two();
            ReleaseInput memory f = fs[i / 9];
            if (i % 9 == 0) f.packageName = fs[1 - i / 9].packageName;
            if (i % 9 == 1) f.version = "1.0.9";
            if (i % 9 == 2) f.sha512Hi ^= bytes32(uint256(1));
            if (i % 9 == 3) f.sha512Lo ^= bytes32(uint256(1));
            if (i % 9 == 4) f.contentHash ^= bytes32(uint256(1));
            if (i % 9 == 5) f.gitSha ^= bytes32(uint256(1));
            if (i % 9 == 6) f.ciRunUrl = "";
            if (i % 9 == 7) f.nonce ^= 1;
            if (i % 9 == 8) f.deadline ^= 1;
            refuses(Errors.BadSignature.selector, 0);
            packages.publishBatch(fs, bits, signatures);
        }
        packages.publishBatch(rs, bits, signatures);
    }

    function test_a_withdrawn_nonce_stops_the_batch() public {
        (ReleaseInput[] memory rs, uint16[] memory bits) = two();
        withdraw("b", 0, 4);
        bytes memory signatures = sign(7, packages.digestOfBatch(rs));
        refuses(Errors.SignatureWithdrawn.selector, 2);
        packages.publishBatch(rs, bits, signatures);
    }

    function test_an_empty_batch_records_nothing() public {
        packages.publishBatch(new ReleaseInput[](0), new uint16[](0), "");
        refuses(Errors.TrailingBytes.selector, 0, 1);
        packages.publishBatch(new ReleaseInput[](0), new uint16[](0), "!");
    }
}
