// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import "./World.sol";

/// `NameRegistry` answers one contract, `PackageRegistry`: what a team signed for another is no act of the team here,
/// however good the signatures are and however often they are sent.
contract AuthorityTest is World {
    bytes32 private constant MESSAGE = keccak256("a message of some other contract");

    function digestFor(address speaker) private view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("3pm"),
                keccak256("1"),
                block.chainid,
                speaker
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domain, MESSAGE));
    }

    function setUp() public override {
        super.setUp();
        Config memory c = config(NAME, 3, 2);
        c.releaseDelayHours = 12;
        c.guardian = vm.addr(GUARDIAN_KEY);
        claim(c);
    }

    /// The next call comes from `speaker`, which is none of ours, and is refused for that.
    function refusesToAnswer(address speaker) private {
        vm.expectRevert(abi.encodeWithSelector(Errors.NotPackageRegistry.selector, speaker, address(packages)));
    }

    function act(uint32 epoch, uint16 bits) private pure returns (Act[] memory acts) {
        acts = new Act[](1);
        acts[0] = Act(id(NAME), epoch, bits);
    }

    function test_nobody_but_the_package_registry_is_answered() public {
        address[5] memory speakers =
            [address(this), person(0), vm.addr(REGISTRAR_KEY), vm.addr(GUARDIAN_KEY), address(names)];
        for (uint256 i; i < speakers.length; ++i) {
            bytes memory signatures = sign(3, digestFor(speakers[i]));
            refusesToAnswer(speakers[i]);
            vm.prank(speakers[i]);
            names.authorize(id(NAME), 0, 3, MESSAGE, signatures);
            refusesToAnswer(speakers[i]);
            vm.prank(speakers[i]);
            names.authorizeBatch(act(0, 3), MESSAGE, signatures);
            refusesToAnswer(speakers[i]);
            vm.prank(speakers[i]);
            names.attest(id(NAME), 3, MESSAGE, signatures);
        }
    }

    function test_the_package_registry_is_answered_in_its_own_domain() public {
        bytes memory signatures = sign(3, digestFor(address(packages)));
        vm.startPrank(address(packages));
        same(names.authorize(id(NAME), 0, 3, MESSAGE, signatures), 12, "delay");
        same(names.authorizeBatch(act(0, 3), MESSAGE, signatures)[0], 12, "delay, batch");
        same(names.attest(id(NAME), 3, MESSAGE, signatures), people(0, 2), "who");
        vm.stopPrank();
    }

    function test_a_signature_for_another_contract_says_nothing_to_the_package_registry() public {
        bytes memory signatures = sign(3, digestFor(address(this)));
        vm.startPrank(address(packages));
        refuses(Errors.BadSignature.selector, 0);
        names.authorize(id(NAME), 0, 3, MESSAGE, signatures);
        refuses(Errors.BadSignature.selector, 0);
        names.authorizeBatch(act(0, 3), MESSAGE, signatures);
        refuses(Errors.BadSignature.selector, 0);
        names.attest(id(NAME), 3, MESSAGE, signatures);
        vm.stopPrank();
    }

    /// The team once signed for a contract of somebody else's, and lost its keys. Whoever owns that contract sends the
    /// signatures again each day of the recovery.
    function test_what_a_team_signed_for_another_contract_stops_no_recovery() public {
        Foreign foreign = new Foreign(names);
        bytes memory signatures = sign(3, digestFor(address(foreign)));
        vm.warp(START + 187 days);
        Config memory c = nextConfig(NAME, 2, 2);
        c.members = people(8, 2);
        bytes32 change = names.digestOf(c);
        names.recover(c, 3, signAs(8, 3, change), rawSignature(GUARDIAN_KEY, change));
        bytes32 before = keccak256(abi.encode(names.getPackage(NAME)));
        for (uint256 day; day < 60; ++day) {
            refusesToAnswer(address(foreign));
            foreign.authorizes(id(NAME), MESSAGE, signatures);
            refusesToAnswer(address(foreign));
            foreign.authorizesBatch(act(0, 3), MESSAGE, signatures);
            refusesToAnswer(address(foreign));
            foreign.attests(id(NAME), MESSAGE, signatures);
            same(keccak256(abi.encode(names.getPackage(NAME))), before, "the recovery and its clock");
            vm.warp(time() + 1 days);
        }
        names.enact(c);
        same(names.getPackage(NAME).members, people(8, 2), "members");
    }

    function test_a_signed_release_cannot_be_used_to_speak_through_another_contract() public {
        Foreign foreign = new Foreign(names);
        bytes memory signatures = sign(3, packages.digestOf(release(NAME, "1.0.0", 0)));
        vm.warp(START + 100 days);
        refusesToAnswer(address(foreign));
        foreign.authorizes(id(NAME), MESSAGE, signatures);
        same(names.getPackage(NAME).lastActAt, START, "the clock of recovery is not moved by a replay");
    }

    /// Made by anybody beside it, from the same code: another contract all the same.
    function test_a_second_package_registry_of_the_same_name_registry_records_nothing() public {
        PackageRegistry second = PackageRegistry(create("PackageRegistry", abi.encode(names)));
        ReleaseInput memory r = release(NAME, "1.0.0", 0);
        bytes memory signatures = sign(3, second.digestOf(r));
        refusesToAnswer(address(second));
        second.publish(r, 3, signatures);
        ReleaseInput[] memory rs = new ReleaseInput[](1);
        rs[0] = r;
        uint16[] memory bits = new uint16[](1);
        bits[0] = 3;
        signatures = sign(3, second.digestOfBatch(rs));
        refusesToAnswer(address(second));
        second.publishBatch(rs, bits, signatures);
        RevocationInput memory v = revocation(NAME, "1.0.0");
        signatures = sign(3, second.digestOfRevocation(v));
        refusesToAnswer(address(second));
        second.revoke(v, 3, signatures);
        signatures = sign(1, second.digestOfWithdrawal(NAME, 0));
        refusesToAnswer(address(second));
        second.withdraw(NAME, 0, 1, signatures);
    }

    function test_the_two_registries_know_each_other_from_birth() public view {
        same(address(names.packageRegistry()), address(packages), "packageRegistry");
        same(address(packages.nameRegistry()), address(names), "nameRegistry");
        // Where a contract's first creation goes (nonce 1): clients compute it.
        bytes32 place = keccak256(abi.encodePacked(hex"d694", address(names), hex"01"));
        same(address(packages), address(uint160(uint256(place))), "address");
    }

    function test_an_acts_rules_hold_for_whatever_it_asks() public {
        bytes memory signatures = sign(3, digestFor(address(packages)));
        vm.startPrank(address(packages));
        refuses(Errors.WrongEpoch.selector, 1, 0);
        names.authorize(id(NAME), 1, 3, MESSAGE, signatures);
        refuses(Errors.TooFewSigners.selector, 1, 2);
        names.authorize(id(NAME), 0, 1, MESSAGE, signatures);
        refuses(Errors.NotClaimed.selector);
        names.authorize(id("nobody"), 0, 3, MESSAGE, signatures);
        refuses(Errors.NotClaimed.selector);
        names.attest(id("nobody"), 1, MESSAGE, signatures);
        refuses(Errors.TrailingBytes.selector, 67, 134);
        names.attest(id(NAME), 1, MESSAGE, signatures);
        refuses(Errors.WrongEpoch.selector, 1, 0);
        names.authorizeBatch(act(1, 3), MESSAGE, signatures);
        vm.stopPrank();
    }
}

/// A contract of somebody else's that asks in its own name.
contract Foreign {
    NameRegistry private immutable names;

    constructor(NameRegistry names_) {
        names = names_;
    }

    function authorizes(bytes32 id, bytes32 structHash, bytes calldata signatures) external {
        names.authorize(id, 0, 3, structHash, signatures);
    }

    function authorizesBatch(Act[] calldata acts, bytes32 structHash, bytes calldata signatures) external {
        names.authorizeBatch(acts, structHash, signatures);
    }

    function attests(bytes32 id, bytes32 structHash, bytes calldata signatures) external view {
        names.attest(id, 3, structHash, signatures);
    }
}
