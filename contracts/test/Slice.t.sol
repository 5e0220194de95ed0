// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import "./World.sol";

/// The first floor: claim, configure, publish, read.
contract SliceTest is World {
    function test_a_team_claims_publishes_and_is_read_back() public {
        claim(NAME, 3, 2);
        ReleaseInput memory r = release(NAME, "1.2.3", 0);
        publish(r, 5);
        ReleaseView memory v = packages.getRelease(NAME, "1.2.3");
        same(uint256(v.status), uint256(Status.Active), "status");
        same(v.sha512Hi, r.sha512Hi, "sha512Hi");
        same(v.sha512Lo, r.sha512Lo, "sha512Lo");
        same(v.contentHash, r.contentHash, "contentHash");
        same(bytes32(v.gitSha), bytes32(bytes20(r.gitSha)), "gitSha");
        same(v.publishedAt, time(), "publishedAt");
        same(v.activeAt, time(), "activeAt");
        same(v.signerBitmap, 5, "bitmap");
        same(v.threshold, 2, "threshold");
        same(v.signers.length, 2, "signers");
        same(v.signers[0], person(0), "signer 0");
        same(v.signers[1], person(2), "signer 1");
        same(packages.getNonce(NAME), 1, "nonce");
        same(packages.releaseCount(id(NAME)), 1, "count");
        yes(packages.isNonceUsed(id(NAME), 0), "nonce 0 used");
        no(packages.isNonceUsed(id(NAME), 1), "nonce 1 used");
    }

    function test_a_config_takes_effect_at_once_without_a_delay() public {
        claim(NAME, 3, 2);
        Config memory c = nextConfig(NAME, 5, 3);
        configure(c, 3);
        Package memory p = names.getPackage(NAME);
        same(p.epoch, 1, "epoch");
        same(p.threshold, 3, "threshold");
        same(p.members, c.members, "members");
        same(names.membersAt(id(NAME), 0), people(0, 3), "members of epoch 0");
        same(names.thresholdAt(id(NAME), 0), 2, "threshold of epoch 0");
    }
}
