// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Vm} from "../Vm.sol";
import {Adversary} from "./Adversary.sol";
import {Releases} from "./Releases.sol";

/// The invariants of the registries, under an adversary and time. Short in CI, a million calls with
/// `npm run invariants:long`.
contract InvariantsTest {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    /// What must come through now and then, and be refused now and then: an adversary that achieves nothing
    /// proves nothing.
    string[21] private sometimes = [
        "publish",
        "publish a batch",
        "revoke",
        "veto",
        "flag",
        "withdraw",
        "configure",
        "retire",
        "enact",
        "enact a recovery",
        "cancel",
        "stop a recovery",
        "claim by the registrar",
        "claim by npm",
        "start a recovery by the guardian",
        "start a recovery by the registrar",
        "start a recovery by npm",
        "hand over the registrar",
        "add an npm key",
        "end an npm key",
        "send again"
    ];
    string[3] private never =
        ["configure what cannot be", "speak through another contract", "move or approve a token"];

    Adversary private adversary;

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

    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        bytes4[] memory s = new bytes4[](16);
        s[0] = Releases.publishes.selector;
        s[1] = Releases.publishesBatch.selector;
        s[2] = Releases.revokes.selector;
        s[3] = Releases.vetoes.selector;
        s[4] = Releases.flags.selector;
        s[5] = Releases.withdraws.selector;
        s[6] = Adversary.configures.selector;
        s[7] = Adversary.enacts.selector;
        s[8] = Adversary.cancels.selector;
        s[9] = Adversary.takesOver.selector;
        s[10] = Adversary.rulesKeys.selector;
        s[11] = Adversary.replays.selector;
        s[12] = Adversary.speaks.selector;
        s[13] = Adversary.movesTokens.selector;
        s[14] = Adversary.wallets.selector;
        s[15] = Adversary.timePasses.selector;
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(adversary), s);
    }

    /// After every call:
    /// 1. Nothing was accepted that lacked a signature, a delay, an epoch or a turn; nothing was refused that had all.
    /// 2. Members, thresholds, delays, roots, records, statuses, counts and owners are what the accepted acts made of
    ///    them; old teams are frozen; every signer of every record signed it.
    /// 3. M members can publish.
    /// One function, so that every call of a run is one that no other run made.
    function invariant_the_registries_do_what_was_signed_and_nothing_else() public {
        string memory broken = adversary.broken();
        require(bytes(broken).length == 0, broken);
        adversary.checkEverything();
        adversary.checkLiveness();
    }

    /// For `npm run invariants:long`: how often each act of this run was tried and accepted, a line each.
    function afterInvariant() public {
        string memory path = vm.envOr("ACTS", string(""));
        if (bytes(path).length == 0) return;
        for (uint256 i; i < sometimes.length; ++i) {
            vm.writeLine(path, line(sometimes[i]));
        }
        for (uint256 i; i < never.length; ++i) {
            vm.writeLine(path, line(never[i]));
        }
    }

    function line(string memory act) private view returns (string memory) {
        (uint256 tried, uint256 accepted) = adversary.tallies(act);
        return string.concat(act, "|", vm.toString(tried), "|", vm.toString(accepted));
    }

    event log_string(string);

    /// Eight runs of 500 steps from a seed that stays, and no forge in between.
    function test_every_act_is_sometimes_accepted_and_sometimes_refused() public {
        bytes4[] memory steps = targetSelectors()[0].selectors;
        Adversary[8] memory runs;
        uint256 seed = 7;
        for (uint256 run; run < runs.length; ++run) {
            runs[run] = new Adversary();
            for (uint256 i; i < 500; ++i) {
                seed = uint256(keccak256(abi.encode(seed)));
                step(runs[run], steps[(seed >> 128) % steps.length], seed);
            }
            runs[run].checkEverything();
        }
        for (uint256 i; i < sometimes.length + never.length; ++i) {
            string memory act = i < sometimes.length ? sometimes[i] : never[i - sometimes.length];
            uint256 tried;
            uint256 accepted;
            for (uint256 run; run < runs.length; ++run) {
                (uint256 more, uint256 through) = runs[run].tallies(act);
                (tried, accepted) = (tried + more, accepted + through);
            }
            emit log_string(string.concat(act, ": ", vm.toString(tried), ", ", vm.toString(accepted)));
            bool moves = accepted > 0 && accepted < tried;
            require(i < sometimes.length ? moves : tried > 20 && accepted == 0, act);
        }
    }

    function step(Adversary run, bytes4 act, uint256 seed) private {
        (bool ok, bytes memory reason) = address(run).call(abi.encodePacked(act, seed));
        require(ok, string(reason));
        require(bytes(run.broken()).length == 0, run.broken());
    }
}
