// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import "./World.sol";

/// A team goes silent, and somebody takes over: late, slowly, in the open, and never against its will.
contract RecoveryTest is World {
    uint256 private constant SILENT = START + 187 days; // recoveryDays and the grain of acts

    function setUp() public override {
        super.setUp();
        Config memory c = config(NAME, 3, 2);
        c.guardian = vm.addr(GUARDIAN_KEY);
        claim(c);
    }

    /// A new team of people 8 and 9.
    function takeover() private view returns (Config memory c) {
        c = nextConfig(NAME, 2, 2);
        c.members = people(8, 2);
    }

    function start(Config memory c) private {
        bytes32 digest = names.digestOf(c);
        names.recover(c, 3, signAs(8, 3, digest), rawSignature(GUARDIAN_KEY, digest));
    }

    function starting(Config memory c) external {
        start(c);
    }

    function prove(Config memory c) private {
        uint64 anchorBlock = anchor();
        names.claim(c, 3, signAs(8, 3, names.digestOf(c)), anchorBlock, registrarProof(c, anchorBlock));
    }

    function proving(Config memory c) external {
        prove(c);
    }

    function test_the_guardian_of_a_silent_team_starts_a_recovery_that_waits_sixty_days() public {
        vm.warp(SILENT - 1);
        Config memory c = takeover();
        refuses(Errors.NotReady.selector, SILENT);
        this.starting(c);
        vm.warp(SILENT);
        bytes32 change = names.digestOf(c);
        bytes memory signatures = signAs(8, 3, change);
        bytes memory guardians = rawSignature(GUARDIAN_KEY, change);
        vm.expectEmit(address(names));
        emit NameRegistry.ChangeScheduled(id(NAME), change, c, uint64(SILENT + 60 days), true);
        names.recover(c, 3, signatures, guardians);
        Package memory p = names.getPackage(NAME);
        yes(p.recoveryPending, "recoveryPending");
        same(p.pendingChange, names.digestOf(c), "pendingChange");
        same(p.pendingReadyAt, SILENT + 60 days, "pendingReadyAt");
        same(p.members, people(0, 3), "members");
        vm.warp(SILENT + 60 days - 1);
        refuses(Errors.NotReady.selector, SILENT + 60 days);
        names.enact(c);
        vm.warp(SILENT + 60 days);
        names.enact(c);
        p = names.getPackage(NAME);
        same(p.members, people(8, 2), "members");
        same(p.epoch, 1, "epoch");
        no(p.recoveryPending, "recoveryPending");
        same(names.membersAt(id(NAME), 0), people(0, 3), "epoch 0");
    }

    function test_a_fresh_claim_proof_starts_a_recovery_too() public {
        vm.warp(SILENT - 1);
        Config memory c = takeover();
        refuses(Errors.NotReady.selector, SILENT);
        this.proving(c);
        vm.warp(SILENT);
        prove(c);
        yes(names.getPackage(NAME).recoveryPending, "recoveryPending");
        vm.warp(SILENT + 60 days);
        names.enact(c);
        same(names.getPackage(NAME).members, people(8, 2), "members");
    }

    function test_one_member_cancels_it_and_resets_the_clock() public {
        for (uint16 bit = 1; bit < 8; bit <<= 1) {
            uint256 snapshot = vm.snapshotState();
            vm.warp(SILENT);
            Config memory c = takeover();
            start(c);
            bytes32 change = names.digestOf(c);
            vm.warp(SILENT + 59 days);
            cancel(NAME, change, bit);
            Package memory p = names.getPackage(NAME);
            no(p.recoveryPending, "recoveryPending");
            same(p.pendingChange, 0, "pendingChange");
            same(p.pendingReadyAt, 0, "pendingReadyAt");
            same(p.lastActAt, SILENT + 59 days, "lastActAt");
            vm.warp(SILENT + 60 days);
            refuses(Errors.WrongChange.selector, uint256(change), 0);
            names.enact(c);
            c.deadline = time() + 1 days;
            refuses(Errors.NotReady.selector, SILENT + 59 days + 187 days);
            this.starting(c);
            vm.revertToState(snapshot);
        }
    }

    function test_nobody_but_a_member_cancels_it() public {
        vm.warp(SILENT);
        Config memory c = takeover();
        start(c);
        bytes32 change = names.digestOf(c);
        refuses(Errors.TooFewSigners.selector, 0, 1);
        this.cancelling(NAME, change, 0);
        bytes memory stranger = frame(rawSignature(OUTSIDER_KEY, names.digestOfCancel(change)));
        refuses(Errors.BadSignature.selector, 0);
        names.cancel(NAME, change, 1, stranger);
    }

    function test_a_release_or_a_config_of_m_members_ends_it() public {
        vm.warp(SILENT);
        Config memory c = takeover();
        start(c);
        uint256 snapshot = vm.snapshotState();
        ReleaseInput memory r = release(NAME, "1.0.0", 0);
        bytes memory signatures = sign(3, packages.digestOf(r));
        bytes32 recovery = names.digestOf(c);
        vm.expectEmit(address(names));
        emit NameRegistry.ChangeDropped(id(NAME), recovery);
        packages.publish(r, 3, signatures);
        same(names.getPackage(NAME).pendingReadyAt, 0, "pendingReadyAt");
        no(names.getPackage(NAME).recoveryPending, "after a release");
        same(names.getPackage(NAME).lastActAt, SILENT, "lastActAt");
        refuses(Errors.WrongChange.selector, uint256(names.digestOf(c)), 0);
        names.enact(c);
        vm.revertToState(snapshot);
        revoke(revocation(NAME, "1.0.0"), 3);
        no(names.getPackage(NAME).recoveryPending, "after a revocation");
        vm.revertToState(snapshot);
        configure(nextConfig(NAME, 3, 2), 3);
        Package memory p = names.getPackage(NAME);
        no(p.recoveryPending, "after a config");
        same(p.epoch, 1, "epoch");
        same(p.pendingChange, 0, "pendingChange");
    }

    function test_what_one_member_says_does_not_end_it() public {
        vm.warp(SILENT);
        start(takeover());
        withdraw(NAME, 0, 1);
        yes(names.getPackage(NAME).recoveryPending, "recoveryPending");
    }

    function test_a_release_postpones_it() public {
        vm.warp(START + 100 days);
        publish(release(NAME, "1.0.0", 0), 3);
        vm.warp(SILENT);
        Config memory c = takeover();
        refuses(Errors.NotReady.selector, SILENT + 100 days);
        this.starting(c);
    }

    function test_acts_are_noted_weekly_and_recovery_waits_the_week_longer() public {
        vm.warp(START + 7 days);
        publish(release(NAME, "1.0.0", 0), 3);
        same(names.getPackage(NAME).lastActAt, START, "within a week");
        vm.warp(START + 7 days + 1);
        publish(release(NAME, "1.0.1", 1), 3);
        same(names.getPackage(NAME).lastActAt, START + 7 days + 1, "after a week");
    }

    function test_the_new_team_agrees() public {
        vm.warp(SILENT);
        Config memory c = takeover();
        bytes32 digest = names.digestOf(c);
        bytes memory one = signAs(8, 1, digest);
        bytes memory guardians = rawSignature(GUARDIAN_KEY, digest);
        refuses(Errors.TooFewSigners.selector, 1, 2);
        names.recover(c, 1, one, guardians);
        c.members = new address[](0);
        c.threshold = 0;
        refuses(Errors.InvalidThreshold.selector, 0, 0);
        this.recovering(c);
    }

    function test_only_the_guardian_is_the_guardian() public {
        vm.warp(SILENT);
        Config memory c = takeover();
        bytes memory signatures = signAs(8, 3, names.digestOf(c));
        bytes memory stranger = rawSignature(OUTSIDER_KEY, names.digestOf(c));
        refuses(Errors.BadClaimProof.selector);
        names.recover(c, 3, signatures, stranger);
        claim("unguarded", 1, 1);
        vm.warp(SILENT + 187 days);
        Config memory d = nextConfig("unguarded", 1, 1);
        refuses(Errors.NoGuardian.selector);
        this.recovering(d);
    }

    function test_the_guardian_can_do_nothing_else() public {
        Config memory c = nextConfig(NAME, 1, 1);
        c.members[0] = vm.addr(GUARDIAN_KEY);
        bytes memory guardians = frame(rawSignature(GUARDIAN_KEY, names.digestOf(c)));
        refuses(Errors.BadSignature.selector, 0);
        names.configure(c, 3, bytes.concat(guardians, guardians), 1, guardians);
        ReleaseInput memory r = release(NAME, "1.0.0", 0);
        guardians = frame(rawSignature(GUARDIAN_KEY, packages.digestOf(r)));
        refuses(Errors.BadSignature.selector, 0);
        packages.publish(r, 3, bytes.concat(guardians, guardians));
    }

    function test_one_recovery_at_a_time_and_at_the_next_epoch() public {
        vm.warp(SILENT);
        Config memory c = takeover();
        c.epoch = 2;
        refuses(Errors.WrongEpoch.selector, 2, 1);
        this.starting(c);
        c.epoch = 1;
        start(c);
        bytes32 change = names.digestOf(c);
        c.recoveryDays = 31;
        refuses(Errors.ChangePending.selector, uint256(change));
        this.starting(c);
    }

    function test_a_recovery_waits_sixty_days_whatever_the_delay_of_the_team() public {
        Config memory d = nextConfig(NAME, 3, 2);
        d.configDelayHours = 720;
        d.guardian = vm.addr(GUARDIAN_KEY);
        configure(d, 3);
        vm.warp(SILENT);
        start(takeover());
        same(names.getPackage(NAME).pendingReadyAt, SILENT + 60 days, "pendingReadyAt");
    }

    function test_a_change_of_the_teams_own_that_waits_takes_the_place_of_a_recovery() public {
        Config memory d = nextConfig(NAME, 3, 2);
        d.configDelayHours = 48;
        d.guardian = vm.addr(GUARDIAN_KEY);
        configure(d, 3);
        vm.warp(SILENT);
        Config memory c = takeover();
        start(c);
        Config memory own = nextConfig(NAME, 3, 2);
        own.legacyRoot = "root";
        bytes32 change = names.digestOf(own);
        bytes memory signatures = sign(3, change);
        bytes32 recovery = names.digestOf(c);
        vm.expectEmit(address(names));
        emit NameRegistry.ChangeDropped(id(NAME), recovery);
        vm.expectEmit(address(names));
        emit NameRegistry.ChangeScheduled(id(NAME), change, own, uint64(SILENT + 48 hours), false);
        names.configure(own, 3, signatures, 3, signatures);
        Package memory p = names.getPackage(NAME);
        no(p.recoveryPending, "recoveryPending");
        same(p.pendingChange, change, "pendingChange");
        same(p.lastActAt, SILENT, "lastActAt");
        refuses(Errors.TooFewSigners.selector, 1, 2);
        this.cancelling(NAME, change, 1);
    }

    function test_a_change_that_was_never_enacted_comes_before_a_recovery() public {
        Config memory d = nextConfig(NAME, 3, 2);
        d.configDelayHours = 1;
        d.guardian = vm.addr(GUARDIAN_KEY);
        configure(d, 3);
        Config memory waiting = nextConfig(NAME, 2, 1);
        waiting.guardian = vm.addr(GUARDIAN_KEY);
        configure(waiting, 3);
        vm.warp(SILENT);
        Config memory c = takeover();
        refuses(Errors.ChangePending.selector, uint256(names.digestOf(waiting)));
        this.starting(c);
        names.enact(waiting);
        refuses(Errors.WrongEpoch.selector, 2, 3);
        this.starting(c);
    }

    function test_a_retired_name_comes_back_by_recovery_only() public {
        Config memory d = nextConfig(NAME, 0, 0);
        configure(d, 3);
        vm.warp(SILENT);
        Config memory c = takeover();
        prove(c);
        bytes32 change = names.digestOf(c);
        refuses(Errors.TooFewSigners.selector, 0, 1);
        this.cancelling(NAME, change, 0);
        vm.warp(SILENT + 60 days);
        names.enact(c);
        Package memory p = names.getPackage(NAME);
        same(p.state, PackageState.Final, "state");
        same(p.retiredAt, 0, "retiredAt");
        same(p.members, people(8, 2), "members");
        same(names.ownerOf(uint256(id(NAME))), person(8), "owner");
    }
}
