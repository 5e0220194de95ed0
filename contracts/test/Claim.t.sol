// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import "./World.sol";

/// Who may take a name, with which proof, and until when another may take it from them.
contract ClaimTest is World {
    uint64 private constant WINDOW = 14 days;

    function test_a_claim_without_a_window_is_final_at_once() public {
        Config memory c = config(NAME, 3, 2);
        c.releaseDelayHours = 1;
        c.configDelayHours = 2;
        c.guardian = person(9);
        c.legacyRoot = "root";
        claim(c);
        Package memory p = names.getPackage(NAME);
        same(p.state, PackageState.Final, "state");
        same(p.threshold, 2, "threshold");
        same(p.releaseDelayHours, 1, "releaseDelayHours");
        same(p.configDelayHours, 2, "configDelayHours");
        same(p.recoveryDays, 180, "recoveryDays");
        same(p.epoch, 0, "epoch");
        same(p.claimedAt, START, "claimedAt");
        same(p.finalAt, START, "finalAt");
        same(p.lastActAt, START, "lastActAt");
        same(p.guardian, person(9), "guardian");
        same(p.legacyRoot, "root", "legacyRoot");
        same(p.members, people(0, 3), "members");
        same(p.pendingChange, 0, "pendingChange");
        same(p.retiredAt, 0, "retiredAt");
        same(names.membersAt(id(NAME), 0), people(0, 3), "membersAt");
        same(names.thresholdAt(id(NAME), 0), 2, "thresholdAt");
    }

    function test_an_unclaimed_name_is_nobodys() public view {
        Package memory p = names.getPackage(NAME);
        same(keccak256(abi.encode(p)), keccak256(abi.encode(empty())), "package");
        same(names.membersAt(id(NAME), 0).length, 0, "members");
    }

    function empty() private pure returns (Package memory p) {}

    function test_many_packages_are_read_in_one_call() public {
        claim("a", 1, 1);
        claim("b", 3, 2);
        string[] memory list = new string[](3);
        (list[0], list[1], list[2]) = ("a", "nobody", "b");
        Package[] memory ps = names.getPackages(list);
        same(ps[0].members.length, 1, "a");
        same(ps[1].state, PackageState.None, "nobody");
        same(ps[2].members.length, 3, "b");
    }

    function test_the_event_tells_the_claim() public {
        deploy(WINDOW);
        Config memory c = config(NAME, 2, 1);
        c.legacyRoot = "root";
        uint64 anchorBlock = anchor();
        bytes memory signatures = sign(1, names.digestOf(c));
        bytes memory proof = registrarProof(c, anchorBlock);
        vm.expectEmit(address(names));
        emit NameRegistry.PackageClaimed(id(NAME), NAME, c.members, 1, "root", uint64(START + WINDOW));
        names.claim(c, 1, signatures, anchorBlock, proof);
    }

    // ------------------------------------------------------ The claim's own rules

    function test_a_bad_name_is_refused() public {
        refuses(Errors.BadName.selector, "a b");
        this.claiming(config("a b", 1, 1));
    }

    function test_no_members_cannot_claim() public {
        refuses(Errors.InvalidThreshold.selector, 0, 0);
        this.claiming(config(NAME, 0, 0));
    }

    function test_sixteen_members_fit_and_seventeen_do_not() public {
        claim("sixteen", 16, 16);
        same(names.getPackage("sixteen").members.length, 16, "members");
        refuses(Errors.TooManyMembers.selector, 17, 16);
        this.claiming(config(NAME, 17, 1));
    }

    function test_a_zero_member_is_refused() public {
        Config memory c = config(NAME, 3, 1);
        c.members[2] = address(0);
        refuses(Errors.ZeroMember.selector, 2);
        this.claiming(c);
    }

    function test_a_member_twice_is_refused() public {
        for (uint256 second = 1; second < 4; ++second) {
            for (uint256 first; first < second; ++first) {
                Config memory c = config(NAME, 4, 1);
                c.members[second] = c.members[first];
                refuses(Errors.DuplicateMember.selector, uint160(c.members[first]));
                this.claiming(c);
            }
        }
    }

    function test_thresholds_are_from_one_to_the_number_of_members() public {
        refuses(Errors.InvalidThreshold.selector, 0, 3);
        this.claiming(config(NAME, 3, 0));
        refuses(Errors.InvalidThreshold.selector, 4, 3);
        this.claiming(config(NAME, 3, 4));
        claim("least", 3, 1);
        claim("most", 3, 3);
    }

    function test_delays_have_their_limits() public {
        Config memory c = config(NAME, 1, 1);
        c.releaseDelayHours = 169;
        refuses(Errors.DelayTooLong.selector, 169, 168);
        this.claiming(c);
        c.releaseDelayHours = 168;
        c.configDelayHours = 721;
        refuses(Errors.DelayTooLong.selector, 721, 720);
        this.claiming(c);
        c.configDelayHours = 720;
        claim(c);
    }

    function test_recovery_days_have_their_limits() public {
        Config memory c = config(NAME, 1, 1);
        c.recoveryDays = 29;
        refuses(Errors.RecoveryDaysOutOfRange.selector, 29, 30, 365);
        this.claiming(c);
        c.recoveryDays = 366;
        refuses(Errors.RecoveryDaysOutOfRange.selector, 366, 30, 365);
        this.claiming(c);
        c.recoveryDays = 30;
        claim(c);
        c.packageName = "other";
        c.recoveryDays = 365;
        claim(c);
    }

    function test_the_deadline_is_ahead_and_within_thirty_days() public {
        Config memory c = config(NAME, 1, 1);
        c.deadline = START;
        refuses(Errors.Expired.selector, START);
        this.claiming(c);
        c.deadline = START + 30 days + 1;
        refuses(Errors.DeadlineTooFar.selector, START + 30 days + 1, START + 30 days);
        this.claiming(c);
        c.deadline = START + 30 days;
        claim(c);
        c.packageName = "other";
        c.deadline = START + 1;
        claim(c);
    }

    function test_nobody_is_put_in_charge_by_a_stranger() public {
        Config memory c = config(NAME, 3, 2);
        uint64 anchorBlock = anchor();
        bytes memory proof = registrarProof(c, anchorBlock);
        bytes memory one = sign(1, names.digestOf(c));
        bytes memory stranger = frame(rawSignature(OUTSIDER_KEY, names.digestOf(c)));
        refuses(Errors.TooFewSigners.selector, 1, 2);
        names.claim(c, 1, one, anchorBlock, proof);
        refuses(Errors.BadSignature.selector, 1);
        names.claim(c, 3, bytes.concat(one, stranger), anchorBlock, proof);
        refuses(Errors.BadBitmap.selector, 9, 3);
        names.claim(c, 9, bytes.concat(one, stranger), anchorBlock, proof);
        bytes memory both = sign(3, names.digestOf(c));
        refuses(Errors.TrailingBytes.selector, both.length, both.length + 1);
        names.claim(c, 3, bytes.concat(both, "!"), anchorBlock, proof);
    }

    // ------------------------------------------------------- The registrar's proof

    function test_the_registrars_proof_is_of_this_claim_at_this_block() public {
        Config memory c = config(NAME, 1, 1);
        uint64 anchorBlock = anchor();
        bytes memory signatures = sign(1, names.digestOf(c));
        bytes memory proof = registrarProof(c, anchorBlock);
        bytes memory forged =
            rawSignature(OUTSIDER_KEY, names.digestOfRegistrarProof(commitmentOf(c, anchorBlock)));
        refuses(Errors.BadClaimProof.selector);
        names.claim(c, 1, signatures, anchorBlock, forged);
        refuses(Errors.BadClaimProof.selector);
        names.claim(c, 1, signatures, anchorBlock, "");
        vm.setBlockhash(anchorBlock - 1, "another block");
        refuses(Errors.BadClaimProof.selector);
        names.claim(c, 1, signatures, anchorBlock - 1, proof);
        Config memory other = config("other", 1, 1);
        bytes memory otherSignatures = sign(1, names.digestOf(other));
        refuses(Errors.BadClaimProof.selector);
        names.claim(other, 1, otherSignatures, anchorBlock, proof);
        names.claim(c, 1, signatures, anchorBlock, proof);
    }

    function test_a_contract_can_be_the_registrar() public {
        vm.etch(vm.addr(REGISTRAR_KEY), hex"");
        address wallet = address(new YesWallet());
        vm.store(address(names), bytes32(uint256(5)), bytes32(uint256(uint160(wallet))));
        same(names.registrar(), wallet, "registrar");
        Config memory c = config(NAME, 1, 1);
        uint64 anchorBlock = anchor();
        names.claim(c, 1, sign(1, names.digestOf(c)), anchorBlock, "anything");
    }

    // -------------------------------------------------------------------- Anchors

    function test_a_block_of_the_future_or_the_present_is_no_anchor() public {
        etchHistory(); // says something of any block
        Config memory c = config(NAME, 1, 1);
        bytes memory signatures = sign(1, names.digestOf(c));
        uint64 present = uint64(height());
        refuses(Errors.StaleAnchor.selector, present);
        names.claim(c, 1, signatures, present, "");
        refuses(Errors.StaleAnchor.selector, type(uint64).max);
        names.claim(c, 1, signatures, type(uint64).max, "");
    }

    function test_anchors_are_at_most_8191_blocks_old() public {
        etchHistory();
        Config memory c = config(NAME, 1, 1);
        bytes memory signatures = sign(1, names.digestOf(c));
        uint64 oldest = uint64(height() - 8191);
        refuses(Errors.StaleAnchor.selector, oldest - 1);
        names.claim(c, 1, signatures, oldest - 1, "");
        bytes32 hash = keccak256(abi.encode("history", oldest));
        bytes32 commitment = keccak256(abi.encode(names.digestOf(c), hash));
        bytes memory proof = rawSignature(REGISTRAR_KEY, names.digestOfRegistrarProof(commitment));
        names.claim(c, 1, signatures, oldest, proof);
    }

    function test_the_last_256_blocks_come_from_the_opcode_and_older_ones_from_history() public {
        etchHistory();
        AnchorProbe probe = new AnchorProbe();
        uint256 nearest = height() - 256;
        vm.setBlockhash(nearest, "opcode");
        same(probe.blockHash(nearest), "opcode", "256 blocks old");
        same(probe.blockHash(nearest - 1), keccak256(abi.encode("history", nearest - 1)), "257 blocks old");
    }

    function test_without_a_history_contract_an_older_anchor_is_stale() public {
        AnchorProbe probe = new AnchorProbe();
        vm.etch(0x0000F90827F1C53a10cb7A02335B175320002935, "");
        refuses(Errors.StaleAnchor.selector, height() - 257);
        probe.blockHash(height() - 257);
        vm.etch(0x0000F90827F1C53a10cb7A02335B175320002935, hex"5f5ff3"); // answers nothing
        refuses(Errors.StaleAnchor.selector, height() - 257);
        probe.blockHash(height() - 257);
        vm.etch(0x0000F90827F1C53a10cb7A02335B175320002935, hex"5f5ffd"); // reverts
        refuses(Errors.StaleAnchor.selector, height() - 257);
        probe.blockHash(height() - 257);
        vm.etch(0x0000F90827F1C53a10cb7A02335B175320002935, hex"60205ff3"); // answers zero
        refuses(Errors.StaleAnchor.selector, height() - 257);
        probe.blockHash(height() - 257);
        Config memory c = config(NAME, 1, 1);
        bytes memory signatures = sign(1, names.digestOf(c));
        refuses(Errors.StaleAnchor.selector, height() - 257);
        names.claim(c, 1, signatures, uint64(height() - 257), "");
    }

    /// What answers is no history contract as we know it: 32 bytes, and nothing else.
    function test_a_history_that_answers_more_or_less_than_a_word_is_none() public {
        Config memory c = config(NAME, 1, 1);
        uint64 anchorBlock = uint64(height() - 257);
        bytes memory signatures = sign(1, names.digestOf(c));
        bytes32 commitment = keccak256(abi.encode(names.digestOf(c), WORD));
        bytes memory proof = rawSignature(REGISTRAR_KEY, names.digestOfRegistrarProof(commitment));
        for (uint256 i; i < 5; ++i) {
            answers([uint8(0), 31, 33, 64, 255][i]);
            refuses(Errors.StaleAnchor.selector, anchorBlock);
            names.claim(c, 1, signatures, anchorBlock, proof);
        }
        answers(32);
        names.claim(c, 1, signatures, anchorBlock, proof);
    }

    bytes32 private constant WORD = bytes32(type(uint256).max << 8); // its first 31 bytes are the same word

    /// The history contract answers the first `length` bytes of `WORD` and zeros.
    function answers(uint8 length) private {
        bytes memory code = abi.encodePacked(hex"7f", WORD, hex"5f5260", length, hex"5ff3");
        vm.etch(0x0000F90827F1C53a10cb7A02335B175320002935, code);
    }

    function test_a_time_beyond_its_forty_bits_is_not_cut() public {
        deploy(2 ** 40);
        Config memory c = config(NAME, 1, 1);
        bytes4 overflow = bytes4(keccak256("SafeCastOverflowedUintDowncast(uint8,uint256)"));
        refuses(overflow, 40, START + 2 ** 40);
        this.claiming(c);
    }

    function etchHistory() private {
        vm.etch(0x0000F90827F1C53a10cb7A02335B175320002935, address(new History()).code);
    }

    // --------------------------------------------------------- Provisional claims

    function test_a_claim_is_provisional_for_the_window() public {
        deploy(WINDOW);
        claim(NAME, 3, 2);
        Package memory p = names.getPackage(NAME);
        same(p.state, PackageState.Provisional, "state");
        same(p.claimedAt, START, "claimedAt");
        same(p.finalAt, START + WINDOW, "finalAt");
        vm.warp(START + WINDOW - 1);
        same(names.getPackage(NAME).state, PackageState.Provisional, "a second before");
        vm.warp(START + WINDOW);
        same(names.getPackage(NAME).state, PackageState.Final, "then");
    }

    function test_nothing_can_be_said_for_a_provisional_name() public {
        deploy(WINDOW);
        claim(NAME, 3, 2);
        ReleaseInput memory r = release(NAME, "1.0.0", 0);
        refuses(Errors.ClaimProvisional.selector, START + WINDOW);
        this.publishing(r, 3);
        RevocationInput memory v = revocation(NAME, "1.0.0");
        refuses(Errors.ClaimProvisional.selector, START + WINDOW);
        this.revoking(v, 3);
        Config memory c = nextConfig(NAME, 3, 2);
        refuses(Errors.ClaimProvisional.selector, START + WINDOW);
        this.configuring(c, 3);
        refuses(Errors.ClaimProvisional.selector, START + WINDOW);
        this.claiming(c);
        refuses(Errors.ClaimProvisional.selector, START + WINDOW);
        this.withdrawing(NAME, 0, 1);
    }

    function test_a_newer_proof_replaces_a_provisional_claim_and_starts_the_window_again() public {
        deploy(WINDOW);
        claim(NAME, 5, 3);
        vm.warp(START + 13 days);
        Config memory c = config(NAME, 2, 1);
        c.members = people(8, 2);
        uint64 anchorBlock = anchor();
        names.claim(c, 1, signAs(8, 1, names.digestOf(c)), anchorBlock, registrarProof(c, anchorBlock));
        Package memory p = names.getPackage(NAME);
        same(p.state, PackageState.Provisional, "state");
        same(p.epoch, 0, "epoch");
        same(p.finalAt, START + 13 days + WINDOW, "finalAt");
        same(p.members, people(8, 2), "members");
        same(names.membersAt(id(NAME), 0), people(8, 2), "membersAt");
        same(names.ownerOf(uint256(id(NAME))), person(8), "owner");
        same(names.balanceOf(person(0)), 0, "balance of the former");
        same(names.balanceOf(person(8)), 1, "balance of the new");
    }

    function test_an_old_proof_does_not_come_back() public {
        deploy(WINDOW);
        Config memory first = config(NAME, 1, 1);
        uint64 firstAnchor = anchor();
        bytes memory firstSignatures = sign(1, names.digestOf(first));
        bytes memory firstProof = registrarProof(first, firstAnchor);
        names.claim(first, 1, firstSignatures, firstAnchor, firstProof);
        refuses(Errors.AnchorNotNewer.selector, firstAnchor, firstAnchor);
        names.claim(first, 1, firstSignatures, firstAnchor, firstProof);
        claim(config(NAME, 2, 2));
        uint64 second = firstAnchor + 1;
        refuses(Errors.AnchorNotNewer.selector, firstAnchor, second);
        names.claim(first, 1, firstSignatures, firstAnchor, firstProof);
    }

    function test_a_final_name_cannot_be_claimed() public {
        claim(NAME, 1, 1);
        refuses(Errors.AlreadyClaimed.selector);
        this.claiming(config(NAME, 2, 1));
    }

    function test_an_unclaimed_name_has_nothing_to_recover() public {
        Config memory c = config(NAME, 1, 1);
        c.epoch = 1;
        refuses(Errors.NotClaimed.selector);
        this.claiming(c);
    }

    function test_nothing_can_be_said_for_an_unclaimed_name() public {
        ReleaseInput memory r = release(NAME, "1.0.0", 0);
        refuses(Errors.NotClaimed.selector);
        this.publishing(r, 1);
        refuses(Errors.NotClaimed.selector);
        this.configuring(config(NAME, 1, 1), 1);
        refuses(Errors.NotClaimed.selector);
        this.withdrawing(NAME, 0, 1);
        Config memory c = config(NAME, 1, 1);
        refuses(Errors.NoGuardian.selector);
        this.recovering(c);
    }
}

import {Anchor} from "../src/Anchor.sol";

contract AnchorProbe {
    function blockHash(uint256 number) external view returns (bytes32) {
        return Anchor.blockHash(number);
    }
}

/// Answers as the contract of EIP-2935 does, with hashes that a test can foretell.
contract History {
    fallback(bytes calldata question) external returns (bytes memory) {
        return abi.encode(keccak256(abi.encode("history", abi.decode(question, (uint256)))));
    }
}

contract YesWallet {
    function isValidSignature(bytes32, bytes calldata) external pure returns (bytes4) {
        return 0x1626ba7e;
    }
}
