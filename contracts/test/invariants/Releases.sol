// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import "./Ledger.sol";

/// How acts are sent and counted, and what is tried with releases. The words of `seed` choose who, which package,
/// and what is wrong this time.
abstract contract Releases is Ledger {
    uint256 internal constant GAS = 1_500_000; // what a relayer spends at most
    uint256 private constant REMEMBERED = 100;

    /// How often an act was tried, and how often it was accepted.
    struct Tally {
        uint256 tried;
        uint256 accepted;
    }

    mapping(string act => Tally) public tallies;
    bytes[] internal past; // calls that were accepted, to be sent again
    address[] internal pastTargets;
    uint256 private remembered;
    uint256 private turns;

    // ------------------------------------------------------------------- Outcomes

    /// Anybody sends it, and now and then somebody else first: the outcome must not depend on who. It must be
    /// accepted only when `allowed`, and when that is so and its signatures are `sound`, it must be accepted.
    function send(string memory act, address target, bytes memory data, bool allowed, bool sound, uint256 seed)
        internal
        returns (bool ok)
    {
        if (seed % 16 == 0) {
            uint256 before = vm.snapshotState();
            ok = relay(target, data, seed >> 4);
            vm.revertToStateAndDelete(before);
            bool here = relay(target, data, seed >> 8);
            check(here == ok, string.concat(act, ": the outcome depends on who sends"));
            ok = here;
        } else {
            ok = relay(target, data, seed >> 8);
        }
        check(!ok || allowed, string.concat(act, ": accepted without what it takes"));
        check(ok || !allowed || !sound, string.concat(act, ": refused with all it takes"));
        count(act, ok);
        if (!ok) return false;
        if (past.length < REMEMBERED) {
            past.push(data);
            pastTargets.push(target);
        } else {
            past[remembered % REMEMBERED] = data;
            pastTargets[remembered++ % REMEMBERED] = target;
        }
    }

    function relay(address target, bytes memory data, uint256 seed) internal returns (bool ok) {
        vm.prank(accounts[seed % PEOPLE]);
        (ok,) = target.call{gas: GAS}(data);
    }

    function count(string memory act, bool ok) internal {
        Tally storage tally = tallies[act];
        ++tally.tried;
        if (ok) ++tally.accepted;
    }

    function pick(uint256 seed) internal view returns (string memory packageName, Name storage n) {
        packageName = packageNames[seed % NAMES];
        n = _names[id(packageName)];
    }

    /// Every call has words of its own, also when forge draws the same or a small number twice.
    function fresh(uint256 draw) internal returns (uint256) {
        return uint256(keccak256(abi.encode(draw, ++turns)));
    }

    /// Half of the time everybody who could sign does; else some, and now and then seats that are not there.
    function choose(uint256 seed, uint256 seats) internal pure returns (uint16 bits, uint256 willing) {
        uint256 word = uint256(keccak256(abi.encode("choose", seed)));
        willing = word % 2 == 0 ? ALL : word >> 16;
        if ((word >> 1) % 2 == 0) return (low(seats), willing);
        bits = uint16(word >> 8);
        if ((word >> 2) % 8 != 0) bits &= low(seats);
    }

    /// Often the latest, sometimes any, sometimes one without a record.
    function versionOf(Name storage n, uint256 seed) private view returns (string memory) {
        uint256 known = n.versions.length;
        if (known == 0 || seed % 5 == 0) return string.concat("1.0.", vm.toString((seed >> 8) % 60));
        return n.versions[seed % 5 < 3 ? known - 1 : (seed >> 8) % known];
    }

    /// Mostly tomorrow; sometimes too late, too early or too far.
    function deadlineOf(uint256 seed) internal view returns (uint256) {
        if (seed % 12 == 0) return time() + (seed >> 8) % 40 days;
        return seed % 12 == 1 ? time() - (seed >> 8) % 2 : time() + 1 days;
    }

    // ------------------------------------------------------------- M of N: releases

    function inputOf(string memory packageName, uint256 seed) private view returns (ReleaseInput memory r) {
        Name storage n = _names[id(packageName)];
        r.packageName = packageName;
        r.version = string.concat("1.0.", vm.toString((seed >> 8) % 60));
        r.sha512Hi = keccak256(abi.encode("hi", seed));
        r.sha512Lo = keccak256(abi.encode("lo", seed));
        r.contentHash = keccak256(abi.encode("content", seed));
        r.gitSha = keccak256(abi.encode("git", seed));
        r.epoch = (seed >> 16) % 12 == 0 ? uint32((seed >> 20) % 4) : n.config.epoch;
        r.nonce = (seed >> 24) % 9 == 0 ? type(uint64).max - (seed >> 32) % 3 : (seed >> 32) % 140;
        r.deadline = deadlineOf(seed >> 40);
    }

    function publishes(uint256 draw) external {
        uint256 seed = fresh(draw);
        (string memory packageName, Name storage n) = pick(seed);
        ReleaseInput memory r = inputOf(packageName, seed);
        bytes32 digest = packages.digestOf(r);
        (uint16 bits, uint256 willing) = choose(seed, n.config.members.length);
        (bytes memory blob, bool sound) = blobOf(n.config.members, bits, digest, willing, seed);
        bytes memory data = abi.encodeCall(packages.publish, (r, bits, blob));
        if (!send("publish", address(packages), data, isAllowed(r, bits, digest), sound, seed >> 64)) return;
        recorded(r, bits, digest);
    }

    function publishesBatch(uint256 draw) external {
        uint256 seed = fresh(draw);
        uint256 length = 1 + seed % 3;
        ReleaseInput[] memory rs = new ReleaseInput[](length);
        uint16[] memory bitmaps = new uint16[](length);
        for (uint256 i; i < length; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            rs[i] = inputOf(packageNames[seed % 5], seed);
            uint256 seats = _names[id(rs[i].packageName)].config.members.length;
            (bitmaps[i],) = choose(seed, seats);
        }
        (, uint256 willing) = choose(seed, 0);
        bytes32 digest = packages.digestOfBatch(rs);
        (bytes memory blob, bool sound) = batchBlob(rs, bitmaps, digest, willing, seed);
        bool allowed = true;
        for (uint256 i; i < length; ++i) {
            if (!isAllowed(rs[i], bitmaps[i], digest)) allowed = false;
            for (uint256 j; j < i; ++j) {
                if (id(rs[i].packageName) != id(rs[j].packageName)) continue;
                if (rs[i].nonce == rs[j].nonce || id(rs[i].version) == id(rs[j].version)) allowed = false;
            }
        }
        bytes memory data = abi.encodeCall(packages.publishBatch, (rs, bitmaps, blob));
        if (!send("publish a batch", address(packages), data, allowed, sound, seed >> 64)) return;
        for (uint256 i; i < length; ++i) {
            recorded(rs[i], bitmaps[i], digest);
        }
    }

    function batchBlob(
        ReleaseInput[] memory rs,
        uint16[] memory bitmaps,
        bytes32 digest,
        uint256 willing,
        uint256 seed
    ) private returns (bytes memory blob, bool sound) {
        address[] memory seen = new address[](48);
        uint256 known;
        sound = true;
        for (uint256 i; i < rs.length; ++i) {
            address[] memory members = _names[id(rs[i].packageName)].config.members;
            for (uint256 seat; seat < members.length; ++seat) {
                if ((bitmaps[i] >> seat) & 1 == 0 || contains(seen, known, members[seat])) continue;
                seen[known++] = members[seat];
                bool agrees = (willing >> accountOf(members[seat])) & 1 == 1;
                (bytes memory signature, bool good) = signatureOf(members[seat], digest, agrees, seed >> seat);
                blob = bytes.concat(blob, frame(signature));
                sound = sound && good;
            }
        }
    }

    function revokes(uint256 draw) external {
        uint256 seed = fresh(draw);
        if ((seed >> 210) % 2 == 0) return; // fewer than releases
        (string memory packageName, Name storage n) = pick(seed);
        RevocationInput memory r;
        (r.packageName, r.version) = (packageName, versionOf(n, seed));
        r.epoch = (seed >> 16) % 12 == 0 ? uint32((seed >> 20) % 4) : n.config.epoch;
        r.deadline = deadlineOf(seed >> 40);
        bytes32 digest = packages.digestOfRevocation(r);
        (uint16 bits, uint256 willing) = choose(seed, n.config.members.length);
        (bytes memory blob, bool sound) = blobOf(n.config.members, bits, digest, willing, seed);
        bytes memory data = abi.encodeCall(packages.revoke, (r, bits, blob));
        if (!send("revoke", address(packages), data, isAllowed(r, bits, digest), sound, seed >> 64)) return;
        Version storage v = _versions[id(packageName)][keccak256(bytes(r.version))];
        if (v.settled == Status.None) n.versions.push(r.version);
        v.settled = Status.Revoked;
        acted(n);
    }

    // ------------------------------------------------------------ One of N may say

    /// From `start` on the first name whose latest version cools; `start` itself if there is none.
    function coolingName(uint256 start) private view returns (uint256) {
        for (uint256 i; i < NAMES; ++i) {
            uint256 place = (start % NAMES + i) % NAMES;
            bytes32 id_ = id(packageNames[place]);
            uint256 known = _names[id_].versions.length;
            if (known == 0) continue;
            Version storage v = _versions[id_][keccak256(bytes(_names[id_].versions[known - 1]))];
            if (v.settled == Status.Active && time() < v.activeAt) return place;
        }
        return start;
    }

    function vetoes(uint256 draw) external {
        uint256 seed = fresh(draw);
        (string memory packageName, Name storage n) = pick(seed % 3 == 0 ? seed : coolingName(seed));
        string memory version = versionOf(n, seed);
        bytes32 digest = packages.digestOfVeto(packageName, version);
        (uint16 bits, uint256 willing) = choose(seed, n.config.members.length);
        (bytes memory blob, bool sound) = blobOf(n.config.members, bits, digest, willing, seed);
        Version storage v = _versions[id(packageName)][keccak256(bytes(version))];
        bool allowed = isFinal(n) && v.settled == Status.Active && time() < v.activeAt
            && legitimate(n.config.members, bits, 1, digest);
        bytes memory data = abi.encodeCall(packages.veto, (packageName, version, bits, blob));
        if (send("veto", address(packages), data, allowed, sound, seed >> 64)) v.settled = Status.Vetoed;
    }

    function flags(uint256 draw) external {
        uint256 seed = fresh(draw);
        (string memory packageName, Name storage n) = pick(seed);
        FlagInput memory f = FlagInput(packageName, versionOf(n, seed), "", time() + (seed >> 48) % 9 days);
        bytes32 digest = packages.digestOfFlag(f);
        (uint16 bits, uint256 willing) = choose(seed, n.config.members.length);
        (bytes memory blob, bool sound) = blobOf(n.config.members, bits, digest, willing, seed);
        Version storage v = _versions[id(packageName)][keccak256(bytes(f.version))];
        bool allowed = isFinal(n) && v.settled == Status.Active && isOnTime(f.deadline, 7 days)
            && legitimate(n.config.members, bits, 1, digest);
        bytes memory data = abi.encodeCall(packages.flag, (f, bits, blob));
        if (!send("flag", address(packages), data, allowed, sound, seed >> 64)) return;
        if (f.deadline > v.flaggedUntil) v.flaggedUntil = f.deadline;
    }

    function withdraws(uint256 draw) external {
        uint256 seed = fresh(draw);
        (string memory packageName, Name storage n) = pick(seed);
        uint256 nonce = (seed >> 32) % 140;
        bytes32 digest = packages.digestOfWithdrawal(packageName, nonce);
        (uint16 bits, uint256 willing) = choose(seed, n.config.members.length);
        (bytes memory blob, bool sound) = blobOf(n.config.members, bits, digest, willing, seed);
        bool allowed = isFinal(n) && !used[id(packageName)][nonce] && legitimate(n.config.members, bits, 1, digest);
        bytes memory data = abi.encodeCall(packages.withdraw, (packageName, nonce, bits, blob));
        if (!send("withdraw", address(packages), data, allowed, sound, seed >> 64)) return;
        for (uint256 i; i < n.config.members.length; ++i) {
            if ((bits >> i) & 1 == 1) withdrawn[id(packageName)][nonce][n.config.members[i]] = true;
        }
    }
}
