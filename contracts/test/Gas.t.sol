// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import "./World.sol";

contract GasTest is World {
    function measure(uint256 m, uint256 n, string memory label) internal {
        claim(NAME, n, uint8(m));
        publish(release(NAME, "1.0.0", 0), low(m));
        vm.warp(time() + 10 days);
        ReleaseInput memory r = release(NAME, "1.0.1", 1);
        bytes memory sigs = sign(low(m), packages.digestOf(r));
        packages.publish(r, low(m), sigs);
        vm.snapshotGasLastCall("publish", label);
    }
    function test_publish_1_of_1() public { measure(1, 1, "1 of 1"); }
    function test_publish_2_of_3() public { measure(2, 3, "2 of 3"); }
    function test_publish_3_of_5() public { measure(3, 5, "3 of 5"); }
    function test_publish_5_of_9() public { measure(5, 9, "5 of 9"); }
    function test_claim() public {
        Config memory c = config(NAME, 1, 1);
        uint64 anchorBlock = anchor();
        names.claim(c, 1, sign(1, names.digestOf(c)), anchorBlock, registrarProof(c, anchorBlock));
        vm.snapshotGasLastCall("claim", "1 of 1");
    }
}
