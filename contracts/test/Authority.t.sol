// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import "./World.sol";

/// `authorize` and `attest` for contracts of others: what is signed for one contract means nothing to another.
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
        claim(c);
    }

    function test_any_contract_may_ask_in_its_own_domain() public {
        bytes memory signatures = sign(3, digestFor(address(this)));
        same(names.authorize(id(NAME), 0, 3, MESSAGE, signatures), 12, "delay");
        bytes memory own = sign(4, digestFor(address(this)));
        same(names.attest(id(NAME), 4, MESSAGE, own), people(2, 1), "who");
    }

    function test_a_signature_for_another_contract_says_nothing_here() public {
        bytes memory signatures = sign(3, digestFor(address(packages)));
        refuses(Errors.BadSignature.selector, 0);
        names.authorize(id(NAME), 0, 3, MESSAGE, signatures);
        refuses(Errors.BadSignature.selector, 0);
        names.attest(id(NAME), 3, MESSAGE, signatures);
    }

    function test_a_signed_release_cannot_be_used_to_speak_through_another_contract() public {
        ReleaseInput memory r = release(NAME, "1.0.0", 0);
        bytes memory signatures = sign(3, packages.digestOf(r));
        vm.warp(START + 100 days);
        refuses(Errors.BadSignature.selector, 0);
        names.authorize(id(NAME), 0, 3, MESSAGE, signatures);
        same(names.getPackage(NAME).lastActAt, START, "the clock of recovery is not moved by a replay");
    }

    function test_an_acts_rules_hold_for_every_contract() public {
        bytes memory signatures = sign(3, digestFor(address(this)));
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
        Act[] memory acts = new Act[](1);
        acts[0] = Act(id(NAME), 0, 3);
        same(names.authorizeBatch(acts, MESSAGE, signatures)[0], 12, "delay");
        acts[0].epoch = 1;
        refuses(Errors.WrongEpoch.selector, 1, 0);
        names.authorizeBatch(acts, MESSAGE, signatures);
    }
}
