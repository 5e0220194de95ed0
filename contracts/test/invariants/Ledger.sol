// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import "./Crowd.sol";

/// An account of its own of everything the contracts accepted, of what each act takes, and of what must follow.
/// An act that was accepted without what it takes, or refused with all of it, ends up in `broken`; what the
/// contracts remember otherwise, in `checkEverything`.
abstract contract Ledger is Crowd {
    uint256 internal constant NAMES = 7;
    string[NAMES] public packageNames = ["a", "b", "@c/d", "e", "g", "f", "h"];
    string public broken;

    struct Team {
        address[] members;
        uint8 threshold;
    }

    /// What must be true of a name.
    struct Name {
        uint256 finalAt;
        uint256 anchorBlock;
        Config config;
        Team[] teams; // by epoch
        bytes32 pending;
        uint256 readyAt;
        bool recovery;
        uint256 lastAct;
        uint256 releases;
        uint256 nextNonce;
        string[] versions;
    }

    /// What must be true of a version.
    struct Version {
        Status settled; // None, Active (recorded), Vetoed, Revoked
        bytes32 digest;
        bytes32 sha512Hi;
        bytes32 sha512Lo;
        bytes32 contentHash;
        bytes20 gitSha;
        uint256 publishedAt;
        uint256 activeAt;
        uint256 nonce;
        uint16 signers;
        uint32 epoch;
        uint256 flaggedUntil;
    }

    struct NpmKeyOf {
        uint256 secret;
        uint256 validFrom;
        uint256 validTo;
    }

    mapping(bytes32 id => Name) internal _names;
    mapping(bytes32 id => mapping(bytes32 version => Version)) internal _versions;
    mapping(bytes32 id => mapping(uint256 nonce => bool)) internal used;
    mapping(bytes32 id => mapping(uint256 nonce => mapping(address => bool))) internal withdrawn;
    mapping(bytes32 change => Config) internal proposals;
    mapping(bytes32 change => bool) internal cancelled;
    uint256 internal registrarSecret = REGISTRAR_KEY;
    uint256 internal registrarNonce;
    NpmKeyOf[] internal npmKeys;

    function check(bool condition, string memory what) internal {
        if (!condition && bytes(broken).length == 0) broken = what;
    }

    // ------------------------------------------------------------ What an act takes

    function isFinal(Name storage n) internal view returns (bool) {
        return n.finalAt != 0 && time() >= n.finalAt && n.config.members.length != 0;
    }

    function isOnTime(uint256 deadline, uint256 ahead) internal view returns (bool) {
        return deadline > time() && deadline <= time() + ahead;
    }

    function isWellFormed(Config memory c) internal view returns (bool) {
        uint256 count = c.members.length;
        if (count > 16 || c.threshold > count || (c.threshold == 0) != (count == 0)) return false;
        for (uint256 i; i < count; ++i) {
            if (c.members[i] == address(0) || contains(c.members, i, c.members[i])) return false;
        }
        return c.releaseDelayHours <= 168 && c.configDelayHours <= 720 && c.recoveryDays >= 30
            && c.recoveryDays <= 365 && isOnTime(c.deadline, 30 days);
    }

    function contains(address[] memory list, uint256 count, address who) internal pure returns (bool) {
        for (uint256 i; i < count; ++i) {
            if (list[i] == who) return true;
        }
        return false;
    }

    function isAllowed(ReleaseInput memory r, uint16 bits, bytes32 digest) internal view returns (bool) {
        bytes32 id_ = id(r.packageName);
        Name storage n = _names[id_];
        if (!isFinal(n) || r.epoch != n.config.epoch || !isOnTime(r.deadline, 30 days)) return false;
        if (r.nonce > type(uint64).max - 1 || used[id_][r.nonce]) return false;
        if (_versions[id_][keccak256(bytes(r.version))].settled != Status.None) return false;
        for (uint256 i; i < n.config.members.length; ++i) {
            if ((bits >> i) & 1 == 1 && withdrawn[id_][r.nonce][n.config.members[i]]) return false;
        }
        return legitimate(n.config.members, bits, n.config.threshold, digest);
    }

    function isAllowed(RevocationInput memory r, uint16 bits, bytes32 digest) internal view returns (bool) {
        Name storage n = _names[id(r.packageName)];
        Status settled = _versions[id(r.packageName)][keccak256(bytes(r.version))].settled;
        return isFinal(n) && r.epoch == n.config.epoch && isOnTime(r.deadline, 30 days)
            && (settled == Status.None || settled == Status.Active)
            && legitimate(n.config.members, bits, n.config.threshold, digest);
    }

    /// Of both teams.
    function isAllowed(Config memory c, uint16 bits, uint16 newBits, bytes32 digest) internal view returns (bool) {
        Name storage n = _names[id(c.packageName)];
        return isFinal(n) && isWellFormed(c) && c.epoch == n.config.epoch + 1 && !cancelled[digest]
            && (n.pending == 0 || n.recovery) && legitimate(n.config.members, bits, n.config.threshold, digest)
            && legitimate(c.members, newBits, c.threshold, digest);
    }

    /// By a proof or the guardian: the team that takes over agrees, and nobody is there to be asked.
    function isTakeOverAllowed(Config memory c, uint16 newBits, bytes32 digest, uint256 anchorBlock)
        internal
        view
        returns (bool)
    {
        Name storage n = _names[id(c.packageName)];
        if (!isWellFormed(c) || c.members.length == 0) return false;
        if (!legitimate(c.members, newBits, c.threshold, digest)) return false;
        if (anchorBlock != 0 && c.epoch == 0) {
            return n.finalAt == 0 || (time() < n.finalAt && anchorBlock > n.anchorBlock);
        }
        return n.finalAt != 0 && time() >= n.finalAt && c.epoch == n.config.epoch + 1 && n.pending == 0
            && time() >= n.lastAct + 7 days + uint256(n.config.recoveryDays) * 1 days;
    }

    // --------------------------------------------------------------- What follows

    function acted(Name storage n) internal {
        if (n.recovery) dropped(n);
        if (time() > n.lastAct + 7 days) n.lastAct = time();
    }

    function dropped(Name storage n) internal {
        n.pending = 0;
        n.readyAt = 0;
        n.recovery = false;
    }

    function scheduled(Name storage n, Config memory c, bytes32 change, uint256 wait, bool recovery) internal {
        (n.pending, n.readyAt, n.recovery) = (change, time() + wait, recovery);
        proposals[change] = c;
    }

    function applied(Config memory c) internal {
        Name storage n = _names[id(c.packageName)];
        n.config = c;
        if (c.epoch < n.teams.length) n.teams.pop(); // a provisional claim, replaced
        n.teams.push(Team(c.members, c.threshold));
        check(n.teams.length == uint256(c.epoch) + 1, "the epoch rises by one");
        n.lastAct = time();
        dropped(n);
    }

    function claimed(Config memory c, uint256 anchorBlock) internal {
        Name storage n = _names[id(c.packageName)];
        check(n.finalAt == 0 || time() < n.finalAt, "a final name was claimed again");
        applied(c);
        (n.finalAt, n.anchorBlock) = (time() + 1 days, anchorBlock);
    }

    function recorded(ReleaseInput memory r, uint16 bits, bytes32 digest) internal {
        bytes32 id_ = id(r.packageName);
        Name storage n = _names[id_];
        Version storage v = _versions[id_][keccak256(bytes(r.version))];
        check(v.settled == Status.None, "a version was recorded twice");
        check(!used[id_][r.nonce], "a nonce was used twice");
        used[id_][r.nonce] = true;
        (v.settled, v.digest, v.signers, v.epoch, v.nonce) = (Status.Active, digest, bits, r.epoch, r.nonce);
        (v.sha512Hi, v.sha512Lo, v.contentHash) = (r.sha512Hi, r.sha512Lo, r.contentHash);
        (v.gitSha, v.publishedAt) = (bytes20(r.gitSha), time());
        v.activeAt = time() + uint256(n.config.releaseDelayHours) * 1 hours;
        n.versions.push(r.version);
        ++n.releases;
        if (r.nonce >= n.nextNonce) n.nextNonce = r.nonce + 1;
        acted(n);
    }

    // ----------------------------------------------------------- What must be true now

    function checkEverything() external view {
        for (uint256 i; i < NAMES; ++i) {
            checkName(packageNames[i]);
        }
        same(names.registrar(), vm.addr(registrarSecret), "registrar");
        same(names.registrarNonce(), registrarNonce, "registrarNonce");
        same(names.npmKeyCount(), npmKeys.length, "npmKeyCount");
        for (uint256 i; i < npmKeys.length; ++i) {
            NpmKey memory k = names.npmKeyAt(i);
            same(k.validFrom, npmKeys[i].validFrom, "validFrom of an npm key");
            same(k.validTo, npmKeys[i].validTo, "validTo of an npm key");
        }
    }

    function checkName(string memory packageName) private view {
        bytes32 id_ = id(packageName);
        Name storage n = _names[id_];
        Package memory p = names.getPackage(packageName);
        same(p.finalAt, n.finalAt, "finalAt");
        same(p.epoch, n.config.epoch, "epoch");
        same(p.threshold, n.config.threshold, "threshold");
        same(p.releaseDelayHours, n.config.releaseDelayHours, "releaseDelayHours");
        same(p.configDelayHours, n.config.configDelayHours, "configDelayHours");
        same(p.recoveryDays, n.config.recoveryDays, "recoveryDays");
        same(p.guardian, n.config.guardian, "guardian");
        same(p.legacyRoot, n.config.legacyRoot, "legacyRoot");
        same(p.members, n.config.members, "members");
        same(p.pendingChange, n.pending, "pendingChange");
        same(p.pendingReadyAt, n.readyAt, "pendingReadyAt");
        same(p.recoveryPending ? 1 : 0, n.recovery ? 1 : 0, "recoveryPending");
        same(p.lastActAt, n.lastAct, "lastActAt");
        if (isFinal(n)) {
            yes(p.state == PackageState.Final, "final");
            yes(p.threshold >= 1 && p.threshold <= p.members.length && p.members.length <= 16, "threshold");
            for (uint256 i; i < p.members.length; ++i) {
                yes(p.members[i] != address(0) && !contains(p.members, i, p.members[i]), "a member twice or zero");
            }
            same(names.ownerOf(uint256(id_)), p.members[0], "owner");
            same(names.getApproved(uint256(id_)), address(0), "approved");
        }
        for (uint256 epoch; epoch < n.teams.length; ++epoch) {
            same(names.membersAt(id_, uint32(epoch)), n.teams[epoch].members, "members of an epoch");
            same(names.thresholdAt(id_, uint32(epoch)), n.teams[epoch].threshold, "threshold of an epoch");
        }
        same(packages.releaseCount(id_), n.releases, "releaseCount");
        same(packages.getNonce(packageName), n.nextNonce, "getNonce");
        for (uint256 i; i < n.versions.length; ++i) {
            checkVersion(packageName, n.versions[i]);
        }
    }

    function checkVersion(string memory packageName, string memory version) private view {
        bytes32 id_ = id(packageName);
        Version storage v = _versions[id_][keccak256(bytes(version))];
        ReleaseView memory r = packages.getRelease(packageName, version);
        same(r.sha512Hi, v.sha512Hi, "sha512Hi");
        same(r.sha512Lo, v.sha512Lo, "sha512Lo");
        same(r.contentHash, v.contentHash, "contentHash");
        same(r.gitSha, v.gitSha, "gitSha");
        same(r.publishedAt, v.publishedAt, "publishedAt");
        same(r.activeAt, v.activeAt, "activeAt");
        same(r.signerBitmap, v.signers, "signers");
        same(r.epoch, v.epoch, "epoch of a release");
        Status expected = v.settled;
        if (expected == Status.Active) {
            if (time() < v.activeAt) expected = Status.Cooling;
            else if (time() < v.flaggedUntil) expected = Status.Flagged;
        }
        same(r.status, expected, "status");
        if (v.publishedAt == 0) return; // a tombstone
        same(r.flaggedUntil, v.flaggedUntil, "flaggedUntil");
        yes(packages.isNonceUsed(id_, v.nonce), "the nonce of a record is used");
        Team storage team = _names[id_].teams[v.epoch];
        same(r.threshold, team.threshold, "threshold of a release");
        yes(r.signers.length >= r.threshold, "enough signers");
        yes(legitimate(team.members, r.signerBitmap, r.threshold, v.digest), "every signer of a record signed it");
    }

    /// With M members who can sign, no delay and no withdrawal, a release is recorded at once.
    function checkLiveness() external {
        for (uint256 i; i < NAMES; ++i) {
            Name storage n = _names[id(packageNames[i])];
            if (!isFinal(n)) continue;
            uint16 bits;
            uint256 able;
            for (uint256 seat; seat < n.config.members.length && able < n.config.threshold; ++seat) {
                if (!isReliable(accountOf(n.config.members[seat]))) continue;
                bits |= uint16(1 << seat);
                ++able;
            }
            if (able < n.config.threshold) continue;
            ReleaseInput memory r = release(packageNames[i], "9.9.9", 1_000_000);
            bytes32 digest = packages.digestOf(r);
            bytes memory blob;
            for (uint256 seat; seat < n.config.members.length; ++seat) {
                if ((bits >> seat) & 1 == 0) continue;
                blob = bytes.concat(blob, frame(genuine(accountOf(n.config.members[seat]), digest, false)));
            }
            packages.publish(r, bits, blob);
            Status expected = n.config.releaseDelayHours == 0 ? Status.Active : Status.Cooling;
            same(statusOf(packageNames[i], "9.9.9"), expected, "status of what M members published");
        }
    }
}
