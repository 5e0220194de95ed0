// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import "./World.sol";

/// A team changes itself: with both sets' signatures, after its delay, and never otherwise.
contract ConfigureTest is World {
    function delayed(uint16 hoursOfDelay) private {
        Config memory c = config(NAME, 3, 2);
        c.configDelayHours = hoursOfDelay;
        claim(c);
    }

    function test_members_threshold_and_everything_else_change_together() public {
        claim(NAME, 3, 2);
        Config memory c = nextConfig(NAME, 5, 4);
        c.releaseDelayHours = 7;
        c.configDelayHours = 8;
        c.recoveryDays = 99;
        c.guardian = person(12);
        c.legacyRoot = "other";
        vm.warp(START + 5);
        configure(c, 6);
        Package memory p = names.getPackage(NAME);
        same(p.epoch, 1, "epoch");
        same(p.threshold, 4, "threshold");
        same(p.releaseDelayHours, 7, "releaseDelayHours");
        same(p.configDelayHours, 8, "configDelayHours");
        same(p.recoveryDays, 99, "recoveryDays");
        same(p.guardian, person(12), "guardian");
        same(p.legacyRoot, "other", "legacyRoot");
        same(p.members, people(0, 5), "members");
        same(p.lastActAt, START + 5, "lastActAt");
        same(p.claimedAt, START, "claimedAt");
        same(names.membersAt(id(NAME), 0), people(0, 3), "epoch 0");
        same(names.thresholdAt(id(NAME), 0), 2, "threshold at epoch 0");
        same(names.thresholdAt(id(NAME), 1), 4, "threshold at epoch 1");
    }

    function test_the_event_tells_the_change() public {
        claim(NAME, 3, 2);
        configure(nextConfig(NAME, 3, 2), 3);
        Config memory c = nextConfig(NAME, 4, 3);
        bytes32 digest = names.digestOf(c);
        bytes memory signatures = sign(3, digest);
        bytes memory newSignatures = sign(14, digest);
        vm.expectEmit(address(names));
        emit NameRegistry.ConfigChanged(id(NAME), NAME, 2, c.members, 3);
        names.configure(c, 3, signatures, 14, newSignatures);
    }

    function test_less_than_the_threshold_of_the_current_members_change_nothing() public {
        claim(NAME, 3, 2);
        Config memory c = nextConfig(NAME, 3, 1);
        refuses(Errors.TooFewSigners.selector, 1, 2);
        this.configuring(c, 1);
    }

    function test_no_single_key_changes_anything_in_a_team_of_three() public {
        claim(NAME, 3, 2);
        for (uint256 seat; seat < 3; ++seat) {
            Config memory c = nextConfig(NAME, 3, 1);
            bytes32 digest = names.digestOf(c);
            bytes memory newSignatures = sign(1, digest);
            bytes memory twice = bytes.concat(
                frame(rawSignature(key(seat), digest)), frame(rawSignature(key(seat), digest))
            );
            uint16 bits = seat == 2 ? 5 : 3;
            refuses(Errors.BadSignature.selector, seat == 0 ? (bits == 3 ? 1 : 2) : 0);
            names.configure(c, bits, twice, 1, newSignatures);
        }
    }

    function test_the_new_members_sign_too() public {
        claim(NAME, 1, 1);
        Config memory c = nextConfig(NAME, 3, 2);
        bytes32 digest = names.digestOf(c);
        bytes memory signatures = sign(1, digest);
        bytes memory newOnes = bytes.concat(signatures, frame(rawSignature(OUTSIDER_KEY, digest)));
        refuses(Errors.TooFewSigners.selector, 1, 2);
        names.configure(c, 1, signatures, 1, signatures);
        refuses(Errors.BadSignature.selector, 1);
        names.configure(c, 1, signatures, 3, newOnes);
        newOnes = sign(3, digest);
        names.configure(c, 1, signatures, 3, newOnes);
    }

    /// `c` with one field changed; every result could be claimed and, but for the epoch, configured.
    function flipped(Config memory c, uint256 field) private pure {
        if (field == 0) c.packageName = "other";
        if (field == 1) c.members[2] = person(3);
        if (field == 2) c.threshold = 1;
        if (field == 3) c.releaseDelayHours = 1;
        if (field == 4) c.configDelayHours = 1;
        if (field == 5) c.recoveryDays = 181;
        if (field == 6) c.guardian = person(3);
        if (field == 7) c.legacyRoot = "root";
        if (field == 8) c.deadline ^= 1;
        if (field == 9) c.epoch ^= 1;
    }

    function test_flipping_any_signed_field_of_a_config_reverts() public {
        claim(NAME, 3, 2);
        claim("other", 3, 2);
        Config memory c = nextConfig(NAME, 3, 2);
        bytes memory signatures = sign(3, names.digestOf(c));
        for (uint256 field; field < 9; ++field) {
            Config memory f = nextConfig(NAME, 3, 2);
            flipped(f, field);
            no(names.digestOf(f) == names.digestOf(c), "digest");
            bytes memory own = sign(3, names.digestOf(f));
            refuses(Errors.BadSignature.selector, 0);
            names.configure(f, 3, signatures, 3, own);
            refuses(Errors.BadSignature.selector, 0);
            names.configure(f, 3, own, 3, signatures);
        }
        names.configure(c, 3, signatures, 3, signatures);
    }

    function test_flipping_any_signed_field_of_a_claim_reverts() public {
        Config memory c = config(NAME, 3, 2);
        bytes memory signatures = sign(3, names.digestOf(c));
        uint64 anchorBlock = anchor();
        for (uint256 field; field < 10; ++field) {
            Config memory f = config(NAME, 3, 2);
            flipped(f, field);
            bytes memory proof = registrarProof(f, anchorBlock);
            refuses(Errors.BadSignature.selector, 0);
            names.claim(f, 3, signatures, anchorBlock, proof);
        }
        names.claim(c, 3, signatures, anchorBlock, registrarProof(c, anchorBlock));
    }

    function test_the_epoch_is_the_next_one() public {
        claim(NAME, 1, 1);
        Config memory c = config(NAME, 1, 1);
        refuses(Errors.WrongEpoch.selector, 0, 1);
        this.configuring(c, 1);
        c.epoch = 2;
        refuses(Errors.WrongEpoch.selector, 2, 1);
        this.configuring(c, 1);
        c.epoch = 1;
        configure(c, 1);
        refuses(Errors.WrongEpoch.selector, 1, 2);
        this.configuring(c, 1);
    }

    function test_a_config_has_the_rules_of_a_claim() public {
        claim(NAME, 1, 1);
        Config memory c = nextConfig(NAME, 3, 4);
        refuses(Errors.InvalidThreshold.selector, 4, 3);
        this.configuring(c, 1);
        c = nextConfig(NAME, 3, 0);
        refuses(Errors.InvalidThreshold.selector, 0, 3);
        this.configuring(c, 1);
        c = nextConfig(NAME, 3, 1);
        c.deadline = START;
        refuses(Errors.Expired.selector, START);
        this.configuring(c, 1);
        c = nextConfig(NAME, 3, 1);
        c.members[1] = address(0);
        refuses(Errors.ZeroMember.selector, 1);
        this.configuring(c, 1);
    }

    // ---------------------------------------------------------------------- Delay

    function test_a_change_waits_in_the_open_and_anybody_enacts_it() public {
        delayed(48);
        Config memory c = nextConfig(NAME, 2, 2);
        bytes32 change = names.digestOf(c);
        bytes memory signatures = sign(3, change);
        vm.expectEmit(address(names));
        emit NameRegistry.ChangeScheduled(id(NAME), change, c, uint64(START + 48 hours), false);
        names.configure(c, 3, signatures, 3, signatures);
        Package memory p = names.getPackage(NAME);
        same(p.epoch, 0, "epoch");
        same(p.pendingChange, change, "pendingChange");
        same(p.pendingReadyAt, START + 48 hours, "pendingReadyAt");
        no(p.recoveryPending, "recoveryPending");
        vm.warp(START + 48 hours - 1);
        refuses(Errors.NotReady.selector, START + 48 hours);
        names.enact(c);
        vm.warp(START + 48 hours);
        vm.expectEmit(address(names));
        emit NameRegistry.ConfigChanged(id(NAME), NAME, 1, c.members, 2);
        vm.prank(person(15));
        names.enact(c);
        p = names.getPackage(NAME);
        same(p.epoch, 1, "epoch");
        same(p.members, people(0, 2), "members");
        same(p.pendingChange, 0, "pendingChange");
        same(p.pendingReadyAt, 0, "pendingReadyAt");
        refuses(Errors.WrongChange.selector, uint256(change), 0);
        names.enact(c);
    }

    function test_only_the_change_that_waits_can_be_enacted() public {
        delayed(1);
        Config memory c = nextConfig(NAME, 2, 2);
        configure(c, 3);
        vm.warp(START + 1 days);
        bytes32 waiting = names.digestOf(c);
        c.threshold = 1;
        refuses(Errors.WrongChange.selector, uint256(names.digestOf(c)), uint256(waiting));
        names.enact(c);
    }

    function test_a_change_waits_for_the_delay_in_force_not_for_its_own() public {
        delayed(48);
        Config memory c = nextConfig(NAME, 3, 2);
        c.configDelayHours = 0;
        configure(c, 3);
        same(names.getPackage(NAME).pendingReadyAt, START + 48 hours, "shorter");
        vm.warp(START + 48 hours);
        names.enact(c);
        c = nextConfig(NAME, 3, 2);
        c.configDelayHours = 720;
        configure(c, 3);
        same(names.getPackage(NAME).epoch, 2, "longer takes effect at once");
    }

    function test_releases_go_on_while_a_change_waits() public {
        delayed(48);
        Config memory c = nextConfig(NAME, 2, 2);
        configure(c, 3);
        publish(release(NAME, "1.0.0", 0), 6);
        same(names.getPackage(NAME).pendingChange, names.digestOf(c), "still waits");
    }

    function test_a_change_that_waits_is_an_act_of_the_team() public {
        delayed(48);
        vm.warp(START + 8 days);
        configure(nextConfig(NAME, 2, 2), 3);
        same(names.getPackage(NAME).epoch, 0, "epoch");
        same(names.getPackage(NAME).lastActAt, START + 8 days, "lastActAt");
    }

    function test_a_time_beyond_its_forty_bits_is_not_cut() public {
        delayed(48);
        vm.warp(2 ** 40 - 1 hours);
        Config memory c = nextConfig(NAME, 2, 2);
        bytes4 overflow = bytes4(keccak256("SafeCastOverflowedUintDowncast(uint8,uint256)"));
        refuses(overflow, 40, 2 ** 40 + 47 hours);
        this.configuring(c, 3);
    }

    function test_one_change_waits_at_a_time() public {
        delayed(48);
        Config memory c = nextConfig(NAME, 2, 2);
        configure(c, 3);
        bytes32 first = names.digestOf(c);
        c.threshold = 1;
        refuses(Errors.ChangePending.selector, uint256(first));
        this.configuring(c, 3);
    }

    function test_m_members_cancel_a_change_for_good() public {
        delayed(48);
        Config memory c = nextConfig(NAME, 2, 2);
        configure(c, 3);
        bytes32 change = names.digestOf(c);
        refuses(Errors.TooFewSigners.selector, 1, 2);
        this.cancelling(NAME, change, 1);
        bytes memory signatures = sign(5, names.digestOfCancel(change));
        vm.expectEmit(address(names));
        emit NameRegistry.ChangeDropped(id(NAME), change);
        names.cancel(NAME, change, 5, signatures);
        same(names.getPackage(NAME).pendingChange, 0, "pendingChange");
        same(names.getPackage(NAME).pendingReadyAt, 0, "pendingReadyAt");
        yes(names.isCancelled(change), "isCancelled");
        refuses(Errors.ChangeCancelled.selector, uint256(change));
        this.configuring(c, 3);
        c.deadline += 1;
        configure(c, 3);
        same(names.getPackage(NAME).pendingChange, names.digestOf(c), "another one");
    }

    function test_only_the_change_that_waits_can_be_cancelled() public {
        delayed(48);
        refuses(Errors.WrongChange.selector, 0, 0);
        this.cancelling(NAME, 0, 3);
        refuses(Errors.WrongChange.selector, 1, 0);
        this.cancelling(NAME, bytes32(uint256(1)), 3);
        Config memory c = nextConfig(NAME, 2, 2);
        configure(c, 3);
        refuses(Errors.WrongChange.selector, 1, uint256(names.digestOf(c)));
        this.cancelling(NAME, bytes32(uint256(1)), 3);
    }

    function test_a_cancel_signature_is_of_this_change() public {
        delayed(48);
        Config memory c = nextConfig(NAME, 2, 2);
        configure(c, 3);
        bytes32 change = names.digestOf(c);
        bytes memory signatures = sign(3, names.digestOfCancel("another"));
        refuses(Errors.BadSignature.selector, 0);
        names.cancel(NAME, change, 3, signatures);
    }

    // --------------------------------------------------------- Retire and rescue

    function test_a_team_without_its_first_member_names_another() public {
        claim(NAME, 3, 2);
        same(names.ownerOf(uint256(id(NAME))), person(0), "owner");
        Config memory c = nextConfig(NAME, 3, 2);
        c.members = people(1, 3);
        bytes32 digest = names.digestOf(c);
        names.configure(c, 6, sign(6, digest), 3, signAs(1, 3, digest));
        same(names.ownerOf(uint256(id(NAME))), person(1), "owner");
    }

    function test_a_config_without_members_retires_the_name() public {
        claim(NAME, 3, 2);
        publish(release(NAME, "1.0.0", 0), 3);
        ReleaseInput memory late = release(NAME, "1.0.1", 1);
        vm.warp(START + 3);
        Config memory c = nextConfig(NAME, 0, 0);
        configure(c, 3);
        Package memory p = names.getPackage(NAME);
        same(p.state, PackageState.Retired, "state");
        same(p.retiredAt, START + 3, "retiredAt");
        same(p.members.length, 0, "members");
        same(statusOf(NAME, "1.0.0"), Status.Active, "the record stands");
        same(packages.getRelease(NAME, "1.0.0").signers, people(0, 2), "and its signers");
        refuses(Errors.Retired.selector);
        this.publishing(late, 3);
        refuses(Errors.Retired.selector);
        this.withdrawing(NAME, 5, 1);
        c = nextConfig(NAME, 3, 2);
        refuses(Errors.Retired.selector);
        this.configuring(c, 3);
        refuses(Errors.AlreadyClaimed.selector);
        this.claiming(config(NAME, 3, 2));
    }

    function test_retiring_takes_m_members_and_nobody_new() public {
        claim(NAME, 3, 2);
        Config memory c = nextConfig(NAME, 0, 0);
        refuses(Errors.TooFewSigners.selector, 1, 2);
        this.configuring(c, 4);
        bytes32 digest = names.digestOf(c);
        bytes memory signatures = sign(3, digest);
        refuses(Errors.BadBitmap.selector, 1, 0);
        names.configure(c, 3, signatures, 1, signatures);
        refuses(Errors.TrailingBytes.selector, 0, signatures.length);
        names.configure(c, 3, signatures, 0, signatures);
        c.threshold = 1;
        refuses(Errors.InvalidThreshold.selector, 1, 0);
        this.configuring(c, 3);
    }

    // ------------------------------------------------------------------- Relaying

    function testFuzz_the_outcome_does_not_depend_on_who_relays(address relayer) public {
        claim(NAME, 3, 2);
        Config memory c = nextConfig(NAME, 2, 2);
        bytes32 digest = names.digestOf(c);
        vm.prank(relayer);
        names.configure(c, 3, sign(3, digest), 3, sign(3, digest));
        same(names.getPackage(NAME).members, people(0, 2), "members");
    }
}
