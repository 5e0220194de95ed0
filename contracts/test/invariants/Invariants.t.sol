// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {NameRegistry} from "../../src/NameRegistry.sol";
import {PackageRegistry} from "../../src/PackageRegistry.sol";
import {Adversary} from "./Adversary.sol";

/// The invariants of the registries, under an adversary and time. Short in CI, a million calls with
/// `npm run invariants:long`.
contract InvariantsTest {
    Adversary private adversary;
    bool private idle;

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    function setUp() public {
        adversary = new Adversary();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(adversary);
    }

    /// Publishing, configuring and time come up more often than the rest.
    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        bytes4[] memory s = new bytes4[](15);
        s[0] = Adversary.publishes.selector;
        s[1] = Adversary.publishesBatch.selector;
        s[2] = Adversary.revokes.selector;
        s[3] = Adversary.vetoes.selector;
        s[4] = Adversary.flags.selector;
        s[5] = Adversary.withdraws.selector;
        s[6] = Adversary.configures.selector;
        s[7] = Adversary.enacts.selector;
        s[8] = Adversary.cancels.selector;
        s[9] = Adversary.takesOver.selector;
        s[10] = Adversary.replays.selector;
        s[11] = Adversary.speaks.selector;
        s[12] = Adversary.movesTokens.selector;
        s[13] = Adversary.wallets.selector;
        s[14] = Adversary.time_passes.selector;
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(adversary), s);
    }

    /// Nothing was accepted that lacked a signature, a delay, an epoch or a turn.
    function invariant_nothing_happened_without_what_it_takes() public view {
        string memory broken = adversary.broken();
        require(bytes(broken).length == 0, broken);
    }

    /// Members, thresholds, delays, roots, records, statuses, counts and owners are what the accepted acts made
    /// of them; old teams are frozen; every signer of every record signed it.
    function invariant_the_contracts_remember_what_was_accepted_and_nothing_else() public view {
        adversary.checkEverything();
    }

    event log_named_uint(string key, uint256 value);

    /// An adversary that achieves nothing proves nothing: every kind of act must come through now and then, and
    /// be refused now and then.
    function test_every_act_is_sometimes_accepted_and_sometimes_refused() public {
        bytes4[] memory steps = targetSelectors()[0].selectors;
        uint256 seed = 7;
        for (uint256 i; i < 6000; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            bytes32[4] memory words;
            for (uint256 j; j < 4; ++j) {
                words[j] = keccak256(abi.encode(seed, j));
                if (j != 0) words[j] &= bytes32(uint256(0xffff));
            }
            bytes4 step = steps[(seed >> 128) % steps.length];
            (bool ok, bytes memory reason) = address(adversary).call(
                step == Adversary.publishesBatch.selector
                    ? abi.encodePacked(step, words[0], words[1], words[2], words[3], words[0])
                    : abi.encodePacked(step, words[0], words[1], words[2], words[3])
            );
            require(ok, string(reason));
        }
        require(bytes(adversary.broken()).length == 0, adversary.broken());
        adversary.checkEverything();
        report("publish", PackageRegistry.publish.selector);
        report("publishBatch", PackageRegistry.publishBatch.selector);
        report("revoke", PackageRegistry.revoke.selector);
        report("veto", PackageRegistry.veto.selector);
        report("flag", PackageRegistry.flag.selector);
        report("withdraw", PackageRegistry.withdraw.selector);
        report("configure", NameRegistry.configure.selector);
        report("enact", NameRegistry.enact.selector);
        report("cancel", NameRegistry.cancel.selector);
        report("claim", NameRegistry.claim.selector);
        report("recover", NameRegistry.recover.selector);
        require(!idle, "an act never came through, or always did");
    }

    function report(string memory act, bytes4 selector) private {
        uint256 tried = adversary.tried(selector);
        uint256 accepted = adversary.accepted(selector);
        emit log_named_uint(string.concat(act, ", tried"), tried);
        emit log_named_uint(string.concat(act, ", accepted"), accepted);
        if (accepted < 2 || accepted == tried) idle = true;
    }

    function invariant_m_members_can_always_publish() public {
        adversary.checkLiveness();
    }
}
