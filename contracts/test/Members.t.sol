// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import "./World.sol";

/// What a single member may say: withdraw its own signature, veto, flag. And what M say last: revoke.
contract MembersTest is World {
    function setUp() public override {
        super.setUp();
        Config memory c = config(NAME, 3, 2);
        c.releaseDelayHours = 24;
        claim(c);
    }

    function cooling() private {
        publish(release(NAME, "1.0.0", 0), 3);
    }

    function active() private {
        cooling();
        vm.warp(START + 24 hours);
    }

    function warning(uint256 until) private pure returns (FlagInput memory) {
        return FlagInput(NAME, "1.0.0", "odd behaviour", until);
    }

    // ----------------------------------------------------------------- Withdrawal

    function test_a_member_takes_its_own_signature_back() public {
        bytes memory signatures = sign(2, packages.digestOfWithdrawal(NAME, 4));
        vm.expectEmit(address(packages));
        emit PackageRegistry.SignatureWithdrawal(id(NAME), 4, people(1, 1));
        packages.withdraw(NAME, 4, 2, signatures);
        yes(packages.isWithdrawn(id(NAME), 4, person(1)), "isWithdrawn");
        no(packages.isWithdrawn(id(NAME), 4, person(0)), "another member");
        no(packages.isWithdrawn(id(NAME), 5, person(1)), "another nonce");
        no(packages.isNonceUsed(id(NAME), 4), "used");
        ReleaseInput memory r = release(NAME, "1.0.0", 4);
        refuses(Errors.SignatureWithdrawn.selector, 1);
        this.publishing(r, 3);
        refuses(Errors.SignatureWithdrawn.selector, 1);
        this.publishing(r, 7);
        publish(r, 5);
    }

    function test_a_withdrawal_holds_at_every_epoch_and_seat() public {
        withdraw(NAME, 4, 2);
        Config memory c = nextConfig(NAME, 2, 1);
        c.members = people(1, 2);
        bytes32 digest = names.digestOf(c);
        names.configure(c, 3, sign(3, digest), 1, signAs(1, 1, digest));
        ReleaseInput memory r = release(NAME, "1.0.0", 4);
        bytes memory signatures = signAs(1, 1, packages.digestOf(r));
        refuses(Errors.SignatureWithdrawn.selector, 0);
        packages.publish(r, 1, signatures);
        packages.publish(r, 2, signAs(1, 2, packages.digestOf(r)));
    }

    function test_several_members_withdraw_together() public {
        withdraw(NAME, 4, 5);
        yes(packages.isWithdrawn(id(NAME), 4, person(0)), "person 0");
        yes(packages.isWithdrawn(id(NAME), 4, person(2)), "person 2");
        withdraw(NAME, 4, 2);
        yes(packages.isWithdrawn(id(NAME), 4, person(1)), "person 1");
    }

    function test_nobody_withdraws_for_another() public {
        bytes32 digest = packages.digestOfWithdrawal(NAME, 4);
        bytes memory stranger = frame(rawSignature(OUTSIDER_KEY, digest));
        refuses(Errors.BadSignature.selector, 0);
        packages.withdraw(NAME, 4, 1, stranger);
        bytes memory another = sign(2, digest);
        refuses(Errors.BadSignature.selector, 0);
        packages.withdraw(NAME, 4, 1, another);
        refuses(Errors.TooFewSigners.selector, 0, 1);
        packages.withdraw(NAME, 4, 0, "");
        bytes memory other = sign(1, packages.digestOfWithdrawal(NAME, 5));
        refuses(Errors.BadSignature.selector, 0);
        packages.withdraw(NAME, 4, 1, other);
        refuses(Errors.BadBitmap.selector, 8, 3);
        packages.withdraw(NAME, 4, 8, another);
    }

    function test_a_used_nonce_is_past_withdrawing() public {
        cooling();
        refuses(Errors.NonceUsed.selector, 0);
        this.withdrawing(NAME, 0, 1);
        refuses(Errors.NonceTooHigh.selector, type(uint64).max);
        this.withdrawing(NAME, type(uint64).max, 1);
    }

    // ----------------------------------------------------------------------- Veto

    function test_one_member_stops_a_cooling_release_for_good() public {
        cooling();
        bytes memory signatures = sign(4, packages.digestOfVeto(NAME, "1.0.0"));
        vm.expectEmit(address(packages));
        emit PackageRegistry.PackageVetoed(id(NAME), keccak256("1.0.0"), NAME, "1.0.0", people(2, 1));
        packages.veto(NAME, "1.0.0", 4, signatures);
        same(statusOf(NAME, "1.0.0"), Status.Vetoed, "status");
        vm.warp(START + 365 days);
        same(statusOf(NAME, "1.0.0"), Status.Vetoed, "a year later");
        same(packages.getRelease(NAME, "1.0.0").sha512Hi, release(NAME, "1.0.0", 0).sha512Hi, "hashes stay");
        ReleaseInput memory r = release(NAME, "1.0.0", 1);
        refuses(Errors.VersionExists.selector);
        this.publishing(r, 3);
    }

    function test_an_active_release_is_past_its_veto() public {
        cooling();
        vm.warp(START + 24 hours);
        refuses(Errors.NotCooling.selector, START + 24 hours);
        this.vetoing(NAME, "1.0.0", 1);
        vm.warp(START + 24 hours - 1);
        veto(NAME, "1.0.0", 1);
    }

    function test_there_is_no_veto_without_a_record_or_twice() public {
        refuses(Errors.NoRecord.selector);
        this.vetoing(NAME, "1.0.0", 1);
        cooling();
        veto(NAME, "1.0.0", 1);
        refuses(Errors.AlreadySettled.selector);
        this.vetoing(NAME, "1.0.0", 1);
    }

    function test_only_a_member_vetoes_and_only_this_release() public {
        cooling();
        publish(release(NAME, "1.0.1", 1), 3);
        bytes memory stranger = frame(rawSignature(OUTSIDER_KEY, packages.digestOfVeto(NAME, "1.0.0")));
        refuses(Errors.BadSignature.selector, 0);
        packages.veto(NAME, "1.0.0", 1, stranger);
        refuses(Errors.TooFewSigners.selector, 0, 1);
        packages.veto(NAME, "1.0.0", 0, "");
        bytes memory other = sign(1, packages.digestOfVeto(NAME, "1.0.1"));
        refuses(Errors.BadSignature.selector, 0);
        packages.veto(NAME, "1.0.0", 1, other);
    }

    function test_a_former_member_has_no_veto() public {
        cooling();
        Config memory c = nextConfig(NAME, 2, 2);
        configure(c, 3);
        bytes memory former = signAs(2, 1, packages.digestOfVeto(NAME, "1.0.0"));
        refuses(Errors.BadSignature.selector, 1);
        packages.veto(NAME, "1.0.0", 2, former);
        refuses(Errors.BadBitmap.selector, 4, 2);
        packages.veto(NAME, "1.0.0", 4, former);
        veto(NAME, "1.0.0", 2);
    }

    // ----------------------------------------------------------------------- Flag

    function test_one_member_warns_until_the_flag_ends() public {
        active();
        uint256 until = START + 24 hours + 7 days;
        FlagInput memory f = warning(until);
        bytes memory signatures = sign(2, packages.digestOfFlag(f));
        vm.expectEmit(address(packages));
        emit PackageRegistry.PackageFlagged(
            id(NAME), keccak256("1.0.0"), NAME, "1.0.0", people(1, 1), "odd behaviour", uint64(until)
        );
        packages.flag(f, 2, signatures);
        same(statusOf(NAME, "1.0.0"), Status.Flagged, "status");
        same(packages.getRelease(NAME, "1.0.0").flaggedUntil, until, "flaggedUntil");
        vm.warp(until - 1);
        same(statusOf(NAME, "1.0.0"), Status.Flagged, "a second before");
        vm.warp(until);
        same(statusOf(NAME, "1.0.0"), Status.Active, "then");
    }

    function test_a_flag_lasts_at_most_seven_days() public {
        active();
        uint256 now_ = START + 24 hours;
        refuses(Errors.DeadlineTooFar.selector, now_ + 7 days + 1, now_ + 7 days);
        this.flagging(warning(now_ + 7 days + 1), 1);
        refuses(Errors.Expired.selector, now_);
        this.flagging(warning(now_), 1);
    }

    function test_the_longest_flag_counts_in_whatever_order() public {
        active();
        uint256 now_ = START + 24 hours;
        flag(warning(now_ + 6 days), 1);
        flag(warning(now_ + 2 days), 2);
        same(packages.getRelease(NAME, "1.0.0").flaggedUntil, now_ + 6 days, "flaggedUntil");
    }

    function test_a_cooling_release_shows_cooling_before_its_flag() public {
        cooling();
        flag(warning(START + 3 days), 1);
        same(statusOf(NAME, "1.0.0"), Status.Cooling, "cooling");
        vm.warp(START + 24 hours);
        same(statusOf(NAME, "1.0.0"), Status.Flagged, "flagged");
    }

    function test_a_flag_needs_a_record_that_still_counts() public {
        refuses(Errors.NoRecord.selector);
        this.flagging(warning(START + 1 days), 1);
        cooling();
        veto(NAME, "1.0.0", 1);
        refuses(Errors.AlreadySettled.selector);
        this.flagging(warning(START + 1 days), 1);
    }

    function test_only_a_member_flags_and_every_field_is_signed() public {
        active();
        uint256 now_ = START + 24 hours;
        FlagInput memory f = warning(now_ + 1 days);
        bytes memory stranger = frame(rawSignature(OUTSIDER_KEY, packages.digestOfFlag(f)));
        refuses(Errors.BadSignature.selector, 0);
        packages.flag(f, 1, stranger);
        bytes memory signatures = sign(1, packages.digestOfFlag(f));
        f.deadline += 1;
        refuses(Errors.BadSignature.selector, 0);
        packages.flag(f, 1, signatures);
        f.deadline -= 1;
        f.note = "";
        refuses(Errors.BadSignature.selector, 0);
        packages.flag(f, 1, signatures);
    }

    // --------------------------------------------------------------------- Revoke

    function test_m_members_take_a_release_back_for_good() public {
        active();
        RevocationInput memory r = revocation(NAME, "1.0.0");
        bytes memory signatures = sign(6, packages.digestOfRevocation(r));
        vm.expectEmit(address(packages));
        emit PackageRegistry.PackageRevoked(id(NAME), keccak256("1.0.0"), NAME, "1.0.0", 1, "stolen token");
        packages.revoke(r, 6, signatures);
        ReleaseView memory v = packages.getRelease(NAME, "1.0.0");
        same(v.status, Status.Revoked, "status");
        same(v.sha512Hi, release(NAME, "1.0.0", 0).sha512Hi, "hashes stay");
        same(v.signerBitmap, 3, "signers of the release stay");
        refuses(Errors.AlreadySettled.selector);
        this.revoking(r, 3);
        refuses(Errors.AlreadySettled.selector);
        this.flagging(warning(START + 2 days), 1);
        refuses(Errors.AlreadySettled.selector);
        this.vetoing(NAME, "1.0.0", 1);
        same(packages.releaseCount(id(NAME)), 1, "count");
    }

    function test_a_cooling_and_a_flagged_release_can_be_revoked() public {
        cooling();
        flag(warning(START + 3 days), 1);
        revoke(revocation(NAME, "1.0.0"), 3);
        same(statusOf(NAME, "1.0.0"), Status.Revoked, "status");
    }

    function test_a_vetoed_release_stays_vetoed() public {
        cooling();
        veto(NAME, "1.0.0", 1);
        RevocationInput memory r = revocation(NAME, "1.0.0");
        refuses(Errors.AlreadySettled.selector);
        this.revoking(r, 3);
    }

    function test_a_tombstone_keeps_a_version_from_ever_being_recorded() public {
        revoke(revocation(NAME, "0.0.1"), 3);
        ReleaseView memory v = packages.getRelease(NAME, "0.0.1");
        same(v.status, Status.Revoked, "status");
        same(v.publishedAt, 0, "publishedAt");
        same(v.activeAt, 0, "activeAt");
        same(v.threshold, 0, "threshold");
        same(v.signers.length, 0, "signers");
        same(packages.releaseCount(id(NAME)), 0, "count");
        ReleaseInput memory r = release(NAME, "0.0.1", 0);
        refuses(Errors.VersionExists.selector);
        this.publishing(r, 3);
        RevocationInput memory again = revocation(NAME, "0.0.1");
        refuses(Errors.AlreadySettled.selector);
        this.revoking(again, 3);
    }

    function test_a_revocation_has_the_rules_of_a_release() public {
        active();
        RevocationInput memory r = revocation(NAME, "1.0.0");
        refuses(Errors.TooFewSigners.selector, 1, 2);
        this.revoking(r, 2);
        r.epoch = 1;
        refuses(Errors.WrongEpoch.selector, 1, 0);
        this.revoking(r, 3);
        r.epoch = 0;
        r.deadline = START + 24 hours;
        refuses(Errors.Expired.selector, START + 24 hours);
        this.revoking(r, 3);
        r.deadline = START + 31 days + 1;
        refuses(Errors.DeadlineTooFar.selector, START + 31 days + 1, START + 31 days);
        this.revoking(r, 3);
        r = revocation(NAME, "1.0");
        refuses(Errors.BadVersion.selector, "1.0");
        this.revoking(r, 3);
    }

    function test_every_field_of_a_revocation_is_signed() public {
        active();
        RevocationInput memory r = revocation(NAME, "1.0.0");
        bytes memory signatures = sign(3, packages.digestOfRevocation(r));
        r.reason = 2;
        refuses(Errors.BadSignature.selector, 0);
        packages.revoke(r, 3, signatures);
        r.reason = 1;
        r.note = "other";
        refuses(Errors.BadSignature.selector, 0);
        packages.revoke(r, 3, signatures);
        r = revocation(NAME, "1.0.1");
        refuses(Errors.BadSignature.selector, 0);
        packages.revoke(r, 3, signatures);
        r = revocation(NAME, "1.0.0");
        r.deadline += 1;
        refuses(Errors.BadSignature.selector, 0);
        packages.revoke(r, 3, signatures);
    }
}
