// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import "./World.sol";

/// What it takes to record a release, what is recorded, and what readers are told.
contract PublishTest is World {
    function setUp() public override {
        super.setUp();
        claim(NAME, 3, 2);
    }

    function delayed(uint16 hoursOfDelay) private {
        Config memory c = nextConfig(NAME, 3, 2);
        c.releaseDelayHours = hoursOfDelay;
        configure(c, 3);
    }

    function test_the_event_tells_everything() public {
        delayed(24);
        ReleaseInput memory r = release(NAME, "1.0.0", 7);
        bytes memory signatures = sign(5, packages.digestOf(r));
        vm.expectEmit(address(packages));
        emit PackageRegistry.PackagePublished(
            id(NAME),
            keccak256("1.0.0"),
            NAME,
            "1.0.0",
            r.sha512Hi,
            r.sha512Lo,
            r.contentHash,
            r.gitSha,
            r.ciRunUrl,
            1,
            7,
            5,
            uint64(START + 24 hours)
        );
        packages.publish(r, 5, signatures);
    }

    function test_a_version_without_a_record_has_nothing() public view {
        ReleaseView memory v = packages.getRelease(NAME, "9.9.9");
        same(keccak256(abi.encode(v)), keccak256(abi.encode(empty())), "view");
    }

    function empty() private pure returns (ReleaseView memory v) {}

    function test_hundreds_of_releases_are_read_in_one_call() public {
        publish(release(NAME, "1.0.0", 0), 3);
        publish(release(NAME, "2.0.0", 1), 5);
        ReleaseKey[] memory keys = new ReleaseKey[](300);
        for (uint256 i; i < 300; ++i) {
            keys[i] = ReleaseKey(NAME, i == 0 ? "2.0.0" : i == 299 ? "1.0.0" : "3.0.0");
        }
        ReleaseView[] memory vs = packages.getReleases(keys);
        same(vs[0].signerBitmap, 5, "2.0.0");
        same(vs[1].status, Status.None, "3.0.0");
        same(vs[299].signerBitmap, 3, "1.0.0");
    }

    function test_old_bitmaps_resolve_at_their_own_epoch() public {
        publish(release(NAME, "1.0.0", 0), 6);
        Config memory c = nextConfig(NAME, 2, 1);
        c.members = people(8, 2);
        bytes32 digest = names.digestOf(c);
        names.configure(c, 3, sign(3, digest), 1, signAs(8, 1, digest));
        ReleaseView memory v = packages.getRelease(NAME, "1.0.0");
        same(v.signers, people(1, 2), "signers");
        same(v.threshold, 2, "threshold");
        same(v.epoch, 0, "epoch");
        ReleaseInput memory r = release(NAME, "1.0.1", 1);
        packages.publish(r, 2, signAs(8, 2, packages.digestOf(r)));
        v = packages.getRelease(NAME, "1.0.1");
        same(v.signers, people(9, 1), "signers now");
        same(v.threshold, 1, "threshold now");
        same(v.epoch, 1, "epoch now");
    }

    // ---------------------------------------------------------------------- Rules

    function test_the_epoch_is_the_current_one() public {
        ReleaseInput memory r = release(NAME, "1.0.0", 0);
        configure(nextConfig(NAME, 3, 2), 3);
        refuses(Errors.WrongEpoch.selector, 0, 1);
        this.publishing(r, 3);
        r.epoch = 2;
        refuses(Errors.WrongEpoch.selector, 2, 1);
        this.publishing(r, 3);
    }

    function test_a_version_is_recorded_once() public {
        publish(release(NAME, "1.0.0", 0), 3);
        ReleaseInput memory r = release(NAME, "1.0.0", 1);
        refuses(Errors.VersionExists.selector);
        this.publishing(r, 3);
    }

    function test_a_version_is_strict_semver() public {
        ReleaseInput memory r = release(NAME, "v1.0.0", 0);
        refuses(Errors.BadVersion.selector, "v1.0.0");
        this.publishing(r, 3);
    }

    function test_the_deadline_is_ahead_and_within_thirty_days() public {
        ReleaseInput memory r = release(NAME, "1.0.0", 0);
        r.deadline = START;
        refuses(Errors.Expired.selector, START);
        this.publishing(r, 3);
        r.deadline = START + 30 days + 1;
        refuses(Errors.DeadlineTooFar.selector, START + 30 days + 1, START + 30 days);
        this.publishing(r, 3);
        r.deadline = START + 30 days;
        publish(r, 3);
        r = release(NAME, "1.0.1", 1);
        r.deadline = START + 1;
        publish(r, 3);
    }

    function test_a_nonce_is_used_once() public {
        publish(release(NAME, "1.0.0", 5), 3);
        ReleaseInput memory r = release(NAME, "1.0.1", 5);
        refuses(Errors.NonceUsed.selector, 5);
        this.publishing(r, 3);
    }

    function test_nonces_need_no_order() public {
        publish(release(NAME, "1.0.0", 6), 3);
        same(packages.getNonce(NAME), 7, "after 6");
        publish(release(NAME, "1.0.1", 2), 3);
        same(packages.getNonce(NAME), 7, "after 2");
        yes(packages.isNonceUsed(id(NAME), 2), "2");
        yes(packages.isNonceUsed(id(NAME), 6), "6");
        no(packages.isNonceUsed(id(NAME), 5), "5");
        same(packages.releaseCount(id(NAME)), 2, "count");
    }

    function test_every_nonce_of_a_group_has_marks_of_its_own() public {
        for (uint256 i; i < 64; ++i) {
            no(packages.isNonceUsed(id(NAME), i), vm.toString(i));
            publish(release(NAME, string.concat("1.0.", vm.toString(i)), i), 3);
            yes(packages.isNonceUsed(id(NAME), i), vm.toString(i));
        }
        no(packages.isNonceUsed(id(NAME), 64), "64");
    }

    function test_the_highest_nonce_is_two_below_2_to_the_64() public {
        ReleaseInput memory r = release(NAME, "1.0.0", type(uint64).max);
        refuses(Errors.NonceTooHigh.selector, type(uint64).max);
        this.publishing(r, 3);
        r = release(NAME, "1.0.0", type(uint256).max);
        refuses(Errors.NonceTooHigh.selector, type(uint256).max);
        this.publishing(r, 3);
        publish(release(NAME, "1.0.0", type(uint64).max - 1), 3);
        same(packages.getNonce(NAME), type(uint64).max, "next");
        publish(release(NAME, "1.0.1", 3), 3);
        same(packages.getNonce(NAME), type(uint64).max, "next");
    }

    /// The marks move between the head and the groups of 64: against the plainest model there is.
    function testFuzz_marks_of_nonces_agree_with_a_plain_list(uint256 seed) public {
        uint256[24] memory nonces;
        bool[24] memory used;
        bool[24] memory withdrawn;
        uint256 highest;
        for (uint256 i; i < 24; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            nonces[i] = bound(seed >> 8, 0, 3) * 64 + bound(seed >> 32, 0, 1) * 63 + bound(seed >> 64, 0, 2);
            bool known;
            bool taken;
            for (uint256 j; j < i; ++j) {
                if (nonces[j] != nonces[i]) continue;
                if (used[j]) taken = true;
                if (withdrawn[j]) known = true;
            }
            same(packages.isNonceUsed(id(NAME), nonces[i]) ? 1 : 0, taken ? 1 : 0, "used");
            if (seed & 3 == 0) {
                if (taken) refuses(Errors.NonceUsed.selector, nonces[i]);
                else withdrawn[i] = true;
                this.withdrawing(NAME, nonces[i], 2);
            } else {
                ReleaseInput memory r = release(NAME, string.concat("1.0.", vm.toString(i)), nonces[i]);
                if (taken) {
                    refuses(Errors.NonceUsed.selector, nonces[i]);
                } else if (known) {
                    refuses(Errors.SignatureWithdrawn.selector, 1);
                } else {
                    used[i] = true;
                    if (nonces[i] >= highest) highest = nonces[i] + 1;
                }
                this.publishing(r, 3);
            }
            same(packages.getNonce(NAME), highest, "next");
        }
    }

    function testFuzz_two_releases_commute(uint64 first, uint64 second) public {
        vm.assume(first != second && first != type(uint64).max && second != type(uint64).max);
        ReleaseInput memory a = release(NAME, "1.0.0", first);
        ReleaseInput memory b = release(NAME, "1.0.1", second);
        uint256 snapshot = vm.snapshotState();
        publish(a, 3);
        publish(b, 5);
        bytes32 ab = outcome(first, second);
        vm.revertToState(snapshot);
        publish(b, 5);
        publish(a, 3);
        same(outcome(first, second), ab, "outcome");
    }

    function outcome(uint64 first, uint64 second) private view returns (bytes32) {
        return keccak256(
            abi.encode(
                packages.getRelease(NAME, "1.0.0"),
                packages.getRelease(NAME, "1.0.1"),
                packages.getNonce(NAME),
                packages.releaseCount(id(NAME)),
                packages.isNonceUsed(id(NAME), first),
                packages.isNonceUsed(id(NAME), second)
            )
        );
    }

    function test_the_signers_are_enough_members() public {
        ReleaseInput memory r = release(NAME, "1.0.0", 0);
        refuses(Errors.TooFewSigners.selector, 0, 2);
        this.publishing(r, 0);
        refuses(Errors.TooFewSigners.selector, 1, 2);
        this.publishing(r, 4);
        refuses(Errors.BadBitmap.selector, 9, 3);
        this.publishing(r, 9);
        refuses(Errors.BadBitmap.selector, 0x8003, 3);
        this.publishing(r, 0x8003);
        publish(r, 7);
        same(packages.getRelease(NAME, "1.0.0").signers, people(0, 3), "signers");
    }

    function test_flipping_any_signed_field_reverts() public {
        ReleaseInput memory r = release(NAME, "1.0.0", 0);
        bytes memory signatures = sign(3, packages.digestOf(r));
        for (uint256 field; field < 8; ++field) {
            ReleaseInput memory f = release(NAME, "1.0.0", 0);
            if (field == 0) f.version = "1.0.1";
            if (field == 1) f.sha512Hi ^= bytes32(uint256(1));
            if (field == 2) f.sha512Lo ^= bytes32(uint256(1));
            if (field == 3) f.contentHash ^= bytes32(uint256(1));
            if (field == 4) f.gitSha ^= bytes32(uint256(1));
            if (field == 5) f.ciRunUrl = "";
            if (field == 6) f.nonce ^= 1;
            if (field == 7) f.deadline ^= 1;
            refuses(Errors.BadSignature.selector, 0);
            packages.publish(f, 3, signatures);
        }
        claim("other", 3, 2);
        ReleaseInput memory o = release(NAME, "1.0.0", 0);
        o.packageName = "other";
        refuses(Errors.BadSignature.selector, 0);
        packages.publish(o, 3, signatures);
        packages.publish(r, 3, signatures);
    }

    function test_a_signature_is_good_on_this_chain_and_for_this_contract() public {
        ReleaseInput memory r = release(NAME, "1.0.0", 0);
        bytes memory signatures = sign(3, packages.digestOf(r));
        (NameRegistry first, PackageRegistry here) = (names, packages);
        deploy(0); // the same once more, with the same team
        claim(NAME, 3, 2);
        refuses(Errors.BadSignature.selector, 0);
        packages.publish(r, 3, signatures);
        (names, packages) = (first, here);
        vm.chainId(99);
        refuses(Errors.BadSignature.selector, 0);
        packages.publish(r, 3, signatures);
    }

    function testFuzz_the_outcome_does_not_depend_on_who_relays(address relayer) public {
        ReleaseInput memory r = release(NAME, "1.0.0", 0);
        bytes memory signatures = sign(3, packages.digestOf(r));
        vm.prank(relayer);
        packages.publish(r, 3, signatures);
        same(statusOf(NAME, "1.0.0"), Status.Active, "status");
    }

    function testFuzz_what_is_recorded_is_what_was_signed(
        bytes32 hi,
        bytes32 lo,
        bytes32 content,
        bytes32 git,
        string calldata url,
        uint64 nonce,
        uint16 bits
    ) public {
        ReleaseInput memory r = release(NAME, "1.0.0", bound(nonce, 0, type(uint64).max - 1));
        (r.sha512Hi, r.sha512Lo, r.contentHash, r.gitSha, r.ciRunUrl) = (hi, lo, content, git, url);
        bits = [uint16(3), 5, 6, 7][bits % 4];
        publish(r, bits);
        ReleaseView memory v = packages.getRelease(NAME, "1.0.0");
        same(v.sha512Hi, hi, "sha512Hi");
        same(v.sha512Lo, lo, "sha512Lo");
        same(v.contentHash, content, "contentHash");
        same(bytes32(v.gitSha), bytes32(bytes20(git)), "gitSha");
        same(v.signerBitmap, bits, "signers");
        same(packages.getNonce(NAME), r.nonce + 1, "nonce");
    }

    // -------------------------------------------------------------------- Cooling

    function test_a_release_cools_before_it_is_active() public {
        delayed(24);
        publish(release(NAME, "1.0.0", 0), 3);
        ReleaseView memory v = packages.getRelease(NAME, "1.0.0");
        same(v.status, Status.Cooling, "status");
        same(v.publishedAt, START, "publishedAt");
        same(v.activeAt, START + 24 hours, "activeAt");
        vm.warp(START + 24 hours - 1);
        same(statusOf(NAME, "1.0.0"), Status.Cooling, "a second before");
        vm.warp(START + 24 hours);
        same(statusOf(NAME, "1.0.0"), Status.Active, "then");
    }

    function test_the_longest_delay_fits_its_byte() public {
        delayed(168);
        publish(release(NAME, "1.0.0", 0), 3);
        same(packages.getRelease(NAME, "1.0.0").activeAt, START + 168 hours, "activeAt");
    }

    function test_the_delay_in_force_at_publishing_counts() public {
        delayed(24);
        publish(release(NAME, "1.0.0", 0), 3);
        delayed(0);
        same(statusOf(NAME, "1.0.0"), Status.Cooling, "the old one");
        publish(release(NAME, "1.0.1", 1), 3);
        same(statusOf(NAME, "1.0.1"), Status.Active, "the new one");
    }

    // -------------------------------------------------------------- What fits no more

    /// Puts the name's team at `epoch`, and `more` over the name's first word.
    function setEpoch(uint32 epoch, uint256 more) private {
        bytes32 slot = keccak256(abi.encode(id(NAME), uint256(1)));
        uint256 word = uint256(vm.load(address(names), slot)) & ~(uint256(type(uint32).max) << 64);
        vm.store(address(names), slot, bytes32(word | (uint256(epoch) << 64) | more));
        bytes32 seats = keccak256(abi.encode(id(NAME), uint256(2)));
        bytes32 from = keccak256(abi.encode(uint256(0), seats));
        bytes32 to = keccak256(abi.encode(uint256(epoch), seats));
        for (uint256 i; i < 3; ++i) {
            vm.store(address(names), next(to, i), vm.load(address(names), next(from, i)));
        }
    }

    function overflows(uint8 bits, uint256 value) private {
        vm.expectRevert(abi.encodeWithSignature("SafeCastOverflowedUintDowncast(uint8,uint256)", bits, value));
    }

    function test_a_record_has_room_for_16777215_epochs_and_none_beyond_is_cut() public {
        setEpoch(2 ** 24 - 1, 0);
        publish(release(NAME, "1.0.0", 0), 3);
        same(packages.getRelease(NAME, "1.0.0").epoch, 2 ** 24 - 1, "the last one");
        same(packages.getRelease(NAME, "1.0.0").signers, people(0, 2), "signers");
        setEpoch(2 ** 24, 0);
        ReleaseInput memory r = release(NAME, "1.0.1", 1);
        overflows(24, 2 ** 24);
        this.publishing(r, 3);
    }

    function test_a_delay_beyond_its_byte_is_not_cut() public {
        setEpoch(0, 256 << 16); // which no Config brings about
        ReleaseInput memory r = release(NAME, "1.0.0", 0);
        overflows(8, 256);
        this.publishing(r, 3);
    }

    function test_a_time_beyond_its_forty_bits_is_not_cut() public {
        vm.warp(2 ** 40);
        ReleaseInput memory r = release(NAME, "1.0.0", 0);
        overflows(40, 2 ** 40);
        this.publishing(r, 3);
    }

    // -------------------------------------------------------------------- Storage

    /// Clients check records by storage proof: the layout is part of the interface.
    function test_the_four_slots_of_a_record_are_where_the_documentation_says() public {
        delayed(3);
        ReleaseInput memory r = release(NAME, "1.0.0", 9);
        publish(r, 6);
        bytes32 slot = keccak256(abi.encode(keccak256("1.0.0"), keccak256(abi.encode(id(NAME), uint256(0)))));
        same(vm.load(address(packages), slot), r.sha512Hi, "slot 0");
        same(vm.load(address(packages), next(slot, 1)), r.sha512Lo, "slot 1");
        same(vm.load(address(packages), next(slot, 2)), r.contentHash, "slot 2");
        uint256 meta = uint256(bytes32(bytes20(r.gitSha))) | (START << 56) | (6 << 40) | (1 << 16) | (1 << 8) | 3;
        same(uint256(vm.load(address(packages), next(slot, 3))), meta, "slot 3");
        bytes32 head = keccak256(abi.encode(id(NAME), uint256(1)));
        same(uint256(vm.load(address(packages), head)), (1 << (128 + 18)) | (1 << 64) | 10, "head");
    }

    function test_a_name_and_its_seats_are_where_the_documentation_says() public {
        Config memory c = nextConfig(NAME, 3, 2);
        c.releaseDelayHours = 3;
        c.configDelayHours = 4;
        c.guardian = person(9);
        c.legacyRoot = "root";
        configure(c, 3);
        bytes32 slot = keccak256(abi.encode(id(NAME), uint256(1)));
        uint256 expected = 2 | (3 << 8) | (3 << 16) | (4 << 32) | (180 << 48) | (1 << 64) | (START << 96)
            | (START << 136) | (20000 << 176);
        same(uint256(vm.load(address(names), slot)), expected, "slot 0");
        same(uint256(vm.load(address(names), next(slot, 1))), uint160(person(9)), "slot 1");
        same(vm.load(address(names), next(slot, 2)), "root", "slot 2");
        same(vm.load(address(names), next(slot, 3)), 0, "slot 3");
        bytes32 seats = keccak256(abi.encode(uint256(1), keccak256(abi.encode(id(NAME), uint256(2)))));
        same(uint256(vm.load(address(names), seats)), uint160(person(0)) | (3 << 160) | (2 << 168), "seat 0");
        same(uint256(vm.load(address(names), next(seats, 2))), uint160(person(2)), "seat 2");
    }

    function next(bytes32 slot, uint256 by) private pure returns (bytes32) {
        return bytes32(uint256(slot) + by);
    }
}
