// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Wallet} from "../Wallets.sol";
import "../World.sol";

/// Everybody at once: honest members who sign what they mean, an adversary who holds some of their keys, the
/// guardian's key, a stolen npm token and wallets that lie, relayers, and a clock that jumps.
///
/// It keeps its own account of who signed what and of what must follow. Whatever the contracts accept without
/// the signatures that it takes, and whatever they then remember otherwise, ends up in `broken`.
contract Adversary is World {
    uint256 private constant PEOPLE = 14;
    uint256 private constant STOLEN = 8; // people 8 to 10 are the adversary's
    uint256 private constant FICKLE = 11; // a wallet that obeys its key, when it likes
    uint256 private constant HOSTILE = 12; // a wallet that does whatever the adversary wants
    uint256 private constant DELEGATED = 13; // an account with an EIP-7702 delegation to a contract that says yes
    uint256 private constant GAS = 3_000_000; // what a relayer spends at most

    string[5] public packageNames = ["a", "b", "@c/d", "e", "f"];
    string public broken;
    mapping(bytes4 selector => uint256) public tried;
    mapping(bytes4 selector => uint256) public accepted;

    address[PEOPLE] private accounts;
    Wallet private fickle;
    Wallet private hostile;

    /// Who put a genuine signature under a digest.
    mapping(bytes32 digest => mapping(address => bool)) private signed;
    bytes[] private pool; // genuine signatures, for use where they do not belong
    bytes[] private past; // calls that were accepted, to be sent again
    address[] private pastTargets;

    struct Team {
        address[] members;
        uint8 threshold;
    }

    /// What must be true of a name.
    struct Name {
        uint256 finalAt;
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
        uint256 publishedAt;
        uint256 activeAt;
        uint16 signers;
        uint32 epoch;
        uint256 flaggedUntil;
    }

    mapping(bytes32 id => Name) private _names;
    mapping(bytes32 id => mapping(bytes32 version => Version)) private _versions;
    mapping(bytes32 id => mapping(uint256 nonce => bool)) private used;
    mapping(bytes32 id => mapping(uint256 nonce => mapping(address => bool))) private withdrawn;

    constructor() {
        vm.warp(START);
        vm.roll(20_000);
        deploy(1 days);
        fickle = new Wallet(person(FICKLE), Wallet.Mood.Honest);
        hostile = new Wallet(person(HOSTILE), Wallet.Mood.Yes);
        for (uint256 i; i < PEOPLE; ++i) {
            accounts[i] = i == FICKLE ? address(fickle) : i == HOSTILE ? address(hostile) : person(i);
        }
        Wallet yes_ = new Wallet(address(0), Wallet.Mood.Yes);
        vm.etch(accounts[DELEGATED], abi.encodePacked(hex"ef0100", yes_));
        // Fewer than M stolen keys in each: 2 of 3-of-5, 1 of 2-of-3, 0 of 1-of-1, and 2 of 3-of-4 with delays.
        begin("a", [0, 1, 8, 9, 13], 5, 3, 0, 0);
        begin("b", [11, 2, 10, 0, 0], 3, 2, 0, 0);
        begin("@c/d", [3, 0, 0, 0, 0], 1, 1, 0, 0);
        begin("e", [4, 8, 12, 5, 0], 4, 3, 24, 48);
        vm.warp(START + 1 days);
    }

    function begin(
        string memory packageName,
        uint8[5] memory seats,
        uint256 count,
        uint8 threshold,
        uint16 releaseDelay,
        uint16 configDelay
    ) private {
        Config memory c = config(packageName, count, threshold);
        for (uint256 i; i < count; ++i) {
            c.members[i] = accounts[seats[i]];
        }
        c.releaseDelayHours = releaseDelay;
        c.configDelayHours = configDelay;
        c.recoveryDays = 30;
        c.guardian = vm.addr(GUARDIAN_KEY);
        uint64 anchorBlock = anchor();
        (bytes memory blob,) = blobOf(c.members, low(threshold), names.digestOf(c), type(uint256).max, 0);
        names.claim(c, low(threshold), blob, anchorBlock, registrarProof(c, anchorBlock));
        applied(c);
        _names[id(packageName)].finalAt = time() + 1 days;
    }

    // -------------------------------------------------------------------- Signing

    function accountOf(address who) private view returns (uint256) {
        for (uint256 i; i < PEOPLE; ++i) {
            if (accounts[i] == who) return i;
        }
        revert("a stranger in a team");
    }

    /// What `who` puts under `digest`. Honest people sign when they are `willing`; for those who do not, the
    /// adversary tries what it can.
    function signatureOf(address who, bytes32 digest, bool willing, uint256 seed) private returns (bytes memory) {
        uint256 account = accountOf(who);
        if (account == HOSTILE) return "";
        if (willing || (account >= STOLEN && account < FICKLE)) {
            signed[digest][who] = true;
            bytes memory genuine = rawSignature(key(account), digest);
            if (pool.length < 200) pool.push(genuine);
            return genuine;
        }
        seed = seed % 6;
        if (seed == 0) return "";
        if (seed == 1) return rawSignature(OUTSIDER_KEY, digest);
        if (seed == 2) return rawSignature(key(STOLEN), digest);
        if (seed == 3) return pool[uint256(digest) % pool.length];
        if (seed == 4) return new bytes(65);
        return abi.encodePacked(digest, digest, uint8(27));
    }

    /// The signatures of `bits`; honest seats sign when their bit of `willing` is set. Now and then malformed.
    function blobOf(address[] memory members, uint16 bits, bytes32 digest, uint256 willing, uint256 seed)
        private
        returns (bytes memory blob, bool consent)
    {
        consent = true;
        for (uint256 i; i < members.length; ++i) {
            if ((bits >> i) & 1 == 0) continue;
            seed = uint256(keccak256(abi.encode(seed, i)));
            blob = bytes.concat(blob, frame(signatureOf(members[i], digest, (willing >> i) & 1 == 1, seed)));
            if (!consents(members[i], digest)) consent = false;
        }
        if (willing == type(uint256).max) return (blob, consent);
        if (seed % 29 == 1) blob = bytes.concat(blob, hex"00");
        if (seed % 29 == 2 && blob.length > 3) {
            assembly ("memory-safe") {
                mstore(blob, sub(mload(blob), 1))
            }
        }
    }

    function consents(address who, bytes32 digest) private view returns (bool) {
        return who == address(hostile) || signed[digest][who];
    }

    /// At least `need` seats are set, none beyond the members, and every one of them signed.
    function legitimate(address[] memory members, uint16 bits, uint256 need, bytes32 digest)
        private
        view
        returns (bool)
    {
        uint256 have;
        for (uint256 i; i < 16; ++i) {
            if ((bits >> i) & 1 == 0) continue;
            if (i >= members.length || !consents(members[i], digest)) return false;
            ++have;
        }
        return have >= need;
    }

    // ------------------------------------------------------------------- Outcomes

    function check(bool condition, string memory what) private {
        if (!condition && bytes(broken).length == 0) broken = what;
    }

    /// Anybody sends it; the outcome must not depend on who.
    function send(address target, bytes memory data, uint256 seed) private returns (bool ok) {
        ++tried[bytes4(data)];
        vm.prank(accounts[seed % PEOPLE]);
        (ok,) = target.call{gas: GAS}(data);
        if (!ok) return false;
        ++accepted[bytes4(data)];
        if (past.length < 100) {
            past.push(data);
            pastTargets.push(target);
        }
    }

    function pick(uint256 seed) private view returns (string memory packageName, Name storage n) {
        packageName = packageNames[seed % packageNames.length];
        n = _names[id(packageName)];
    }

    /// Often the latest, sometimes any, sometimes one without a record.
    function versionOf(Name storage n, uint256 seed) private view returns (string memory) {
        uint256 count = n.versions.length;
        if (count == 0 || seed % 5 == 0) return string.concat("1.0.", vm.toString((seed >> 8) % 60));
        return n.versions[seed % 5 < 3 ? count - 1 : (seed >> 8) % count];
    }

    function isFinal(Name storage n) private view returns (bool) {
        return n.finalAt != 0 && time() >= n.finalAt && n.config.members.length != 0;
    }

    function acted(Name storage n) private {
        if (n.recovery) dropped(n);
        if (time() > n.lastAct + 7 days) n.lastAct = time();
    }

    function dropped(Name storage n) private {
        n.pending = 0;
        n.readyAt = 0;
        n.recovery = false;
    }

    function applied(Config memory c) private {
        Name storage n = _names[id(c.packageName)];
        n.config = c;
        if (c.epoch < n.teams.length) n.teams.pop();
        n.teams.push(Team(c.members, c.threshold));
        check(n.teams.length == uint256(c.epoch) + 1, "the epoch rises by one");
        n.lastAct = time();
        dropped(n);
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
        r.deadline = (seed >> 40) % 12 == 0 ? time() + (seed >> 48) % 40 days : time() + 1 days;
        if ((seed >> 40) % 12 == 1) r.deadline = time() - (seed >> 48) % 2;
    }

    function publishes(uint256 seed, uint16 bits, uint256 willing) external {
        (string memory packageName, Name storage n) = pick(seed);
        ReleaseInput memory r = inputOf(packageName, seed);
        bytes32 digest = packages.digestOf(r);
        bits = seed % 3 == 0 ? bits : bits & low(n.config.members.length);
        (bytes memory blob,) = blobOf(n.config.members, bits, digest, willing, seed);
        bool legit = legitimateRelease(r, bits, digest);
        if (!send(address(packages), abi.encodeCall(packages.publish, (r, bits, blob)), seed >> 64)) return;
        check(legit, "a release was recorded without what it takes");
        recorded(r, bits, digest);
    }

    function publishesBatch(uint256 seed, uint16[3] memory bits, uint256 willing) external {
        uint256 count = 1 + seed % 3;
        ReleaseInput[] memory rs = new ReleaseInput[](count);
        uint16[] memory bitmaps = new uint16[](count);
        for (uint256 i; i < count; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            rs[i] = inputOf(packageNames[seed % 4], seed);
            bitmaps[i] = bits[i] & low(_names[id(rs[i].packageName)].config.members.length);
        }
        bytes32 digest = packages.digestOfBatch(rs);
        bytes memory blob = batchBlob(rs, bitmaps, digest, willing, seed);
        bool legit = true;
        for (uint256 i; i < count; ++i) {
            if (!legitimateRelease(rs[i], bitmaps[i], digest)) legit = false;
        }
        if (!send(address(packages), abi.encodeCall(packages.publishBatch, (rs, bitmaps, blob)), seed >> 64)) return;
        check(legit, "a batch was recorded without what it takes");
        for (uint256 i; i < count; ++i) {
            recorded(rs[i], bitmaps[i], digest);
        }
    }

    function batchBlob(
        ReleaseInput[] memory rs,
        uint16[] memory bitmaps,
        bytes32 digest,
        uint256 willing,
        uint256 seed
    ) private returns (bytes memory blob) {
        address[] memory seen = new address[](48);
        uint256 count;
        for (uint256 i; i < rs.length; ++i) {
            address[] memory members = _names[id(rs[i].packageName)].config.members;
            for (uint256 seat; seat < members.length; ++seat) {
                if ((bitmaps[i] >> seat) & 1 == 0 || contains(seen, count, members[seat])) continue;
                seen[count++] = members[seat];
                bool agrees = (willing >> accountOf(members[seat])) & 1 == 1;
                blob = bytes.concat(blob, frame(signatureOf(members[seat], digest, agrees, seed >> seat)));
            }
        }
    }

    function contains(address[] memory list, uint256 count, address who) private pure returns (bool) {
        for (uint256 i; i < count; ++i) {
            if (list[i] == who) return true;
        }
        return false;
    }

    function legitimateRelease(ReleaseInput memory r, uint16 bits, bytes32 digest) private view returns (bool) {
        bytes32 id_ = id(r.packageName);
        Name storage n = _names[id_];
        if (!isFinal(n) || r.epoch != n.config.epoch) return false;
        if (r.deadline <= time() || r.deadline > time() + 30 days) return false;
        if (r.nonce > type(uint64).max - 1 || used[id_][r.nonce]) return false;
        if (_versions[id_][keccak256(bytes(r.version))].settled != Status.None) return false;
        for (uint256 i; i < n.config.members.length; ++i) {
            if ((bits >> i) & 1 == 1 && withdrawn[id_][r.nonce][n.config.members[i]]) return false;
        }
        return legitimate(n.config.members, bits, n.config.threshold, digest);
    }

    function recorded(ReleaseInput memory r, uint16 bits, bytes32 digest) private {
        bytes32 id_ = id(r.packageName);
        Name storage n = _names[id_];
        Version storage v = _versions[id_][keccak256(bytes(r.version))];
        check(v.settled == Status.None, "a version was recorded twice");
        check(!used[id_][r.nonce], "a nonce was used twice");
        used[id_][r.nonce] = true;
        (v.settled, v.digest, v.signers, v.epoch) = (Status.Active, digest, bits, r.epoch);
        (v.sha512Hi, v.sha512Lo, v.contentHash) = (r.sha512Hi, r.sha512Lo, r.contentHash);
        (v.publishedAt, v.activeAt) = (time(), time() + uint256(n.config.releaseDelayHours) * 1 hours);
        n.versions.push(r.version);
        ++n.releases;
        if (r.nonce >= n.nextNonce) n.nextNonce = r.nonce + 1;
        acted(n);
    }

    function revokes(uint256 seed, uint16 bits, uint256 willing) external {
        (string memory packageName, Name storage n) = pick(seed);
        RevocationInput memory r;
        (r.packageName, r.version) = (packageName, versionOf(n, seed));
        r.epoch = (seed >> 16) % 12 == 0 ? uint32((seed >> 20) % 4) : n.config.epoch;
        r.deadline = (seed >> 40) % 12 == 0 ? time() + (seed >> 48) % 40 days : time() + 1 days;
        bytes32 digest = packages.digestOfRevocation(r);
        bits &= low(n.config.members.length);
        (bytes memory blob,) = blobOf(n.config.members, bits, digest, willing, seed);
        Version storage v = _versions[id(packageName)][keccak256(bytes(r.version))];
        bool legit = isFinal(n) && r.epoch == n.config.epoch && r.deadline > time() && r.deadline <= time() + 30 days
            && (v.settled == Status.None || v.settled == Status.Active)
            && legitimate(n.config.members, bits, n.config.threshold, digest);
        if (!send(address(packages), abi.encodeCall(packages.revoke, (r, bits, blob)), seed >> 64)) return;
        check(legit, "a release was revoked without what it takes");
        if (v.settled == Status.None) n.versions.push(r.version);
        v.settled = Status.Revoked;
        acted(n);
    }

    // ------------------------------------------------------------ One of N may say

    function vetoes(uint256 seed, uint16 bits, uint256 willing) external {
        (string memory packageName, Name storage n) = pick(seed);
        string memory version = versionOf(n, seed);
        bytes32 digest = packages.digestOfVeto(packageName, version);
        bits &= low(n.config.members.length);
        (bytes memory blob,) = blobOf(n.config.members, bits, digest, willing, seed);
        Version storage v = _versions[id(packageName)][keccak256(bytes(version))];
        bool legit = isFinal(n) && v.settled == Status.Active && time() < v.activeAt
            && legitimate(n.config.members, bits, 1, digest);
        if (!send(address(packages), abi.encodeCall(packages.veto, (packageName, version, bits, blob)), seed >> 64)) {
            return;
        }
        check(legit, "a release was vetoed without what it takes");
        v.settled = Status.Vetoed;
    }

    function flags(uint256 seed, uint16 bits, uint256 willing) external {
        (string memory packageName, Name storage n) = pick(seed);
        FlagInput memory f = FlagInput(
            packageName, versionOf(n, seed), "", time() + (seed >> 48) % 9 days
        );
        bytes32 digest = packages.digestOfFlag(f);
        bits &= low(n.config.members.length);
        (bytes memory blob,) = blobOf(n.config.members, bits, digest, willing, seed);
        Version storage v = _versions[id(packageName)][keccak256(bytes(f.version))];
        bool legit = isFinal(n) && v.settled == Status.Active && f.deadline > time() && f.deadline <= time() + 7 days
            && legitimate(n.config.members, bits, 1, digest);
        if (!send(address(packages), abi.encodeCall(packages.flag, (f, bits, blob)), seed >> 64)) return;
        check(legit, "a release was flagged without what it takes");
        if (f.deadline > v.flaggedUntil) v.flaggedUntil = f.deadline;
    }

    function withdraws(uint256 seed, uint16 bits, uint256 willing) external {
        (string memory packageName, Name storage n) = pick(seed);
        uint256 nonce = (seed >> 32) % 140;
        bytes32 digest = packages.digestOfWithdrawal(packageName, nonce);
        bits &= low(n.config.members.length);
        (bytes memory blob,) = blobOf(n.config.members, bits, digest, willing, seed);
        bool legit =
            isFinal(n) && !used[id(packageName)][nonce] && legitimate(n.config.members, bits, 1, digest);
        bytes memory data = abi.encodeCall(packages.withdraw, (packageName, nonce, bits, blob));
        if (!send(address(packages), data, seed >> 64)) return;
        check(legit, "a signature was withdrawn without what it takes");
        for (uint256 i; i < n.config.members.length; ++i) {
            if ((bits >> i) & 1 == 1) withdrawn[id(packageName)][nonce][n.config.members[i]] = true;
        }
    }

    // ------------------------------------------------------------- M of N: configs

    function configOf(string memory packageName, uint256 seed) private view returns (Config memory c) {
        Name storage n = _names[id(packageName)];
        uint256 count = (seed >> 8) % 97 == 0 ? 0 : 1 + (seed >> 12) % 5;
        c = config(packageName, count, uint8(count == 0 ? 0 : 1 + (seed >> 16) % count));
        for (uint256 i; i < count; ++i) {
            c.members[i] = accounts[((seed >> 20) + i * (1 + (seed >> 28) % 3)) % PEOPLE];
        }
        c.releaseDelayHours = (seed >> 36) % 3 == 0 ? uint16((seed >> 40) % 170) : 0;
        c.configDelayHours = (seed >> 56) % 3 == 0 ? uint16((seed >> 60) % 722) : 0;
        c.recoveryDays = 30;
        c.guardian = (seed >> 80) % 5 == 0 ? address(0) : vm.addr(GUARDIAN_KEY);
        c.legacyRoot = keccak256(abi.encode(seed));
        c.epoch = (seed >> 84) % 15 == 0 ? uint32((seed >> 88) % 4) : n.config.epoch + 1;
        c.deadline = (seed >> 92) % 15 == 0 ? time() + (seed >> 96) % 40 days : time() + 1 days;
    }

    function wellFormed(Config memory c) private view returns (bool) {
        for (uint256 i; i < c.members.length; ++i) {
            for (uint256 j; j < i; ++j) {
                if (c.members[i] == c.members[j]) return false;
            }
        }
        return c.releaseDelayHours <= 168 && c.configDelayHours <= 720 && c.deadline > time()
            && c.deadline <= time() + 30 days;
    }

    function configures(uint256 seed, uint16 bits, uint16 newBits, uint256 willing) external {
        (string memory packageName, Name storage n) = pick(seed);
        Config memory c = configOf(packageName, seed);
        bytes32 digest = names.digestOf(c);
        bits &= low(n.config.members.length);
        newBits &= low(c.members.length);
        (bytes memory blob,) = blobOf(n.config.members, bits, digest, willing, seed);
        (bytes memory newBlob,) = blobOf(c.members, newBits, digest, willing >> 16, seed >> 1);
        bool legit = isFinal(n) && wellFormed(c) && c.epoch == n.config.epoch + 1 && !names.isCancelled(digest)
            && (n.pending == 0 || n.recovery) && legitimate(n.config.members, bits, n.config.threshold, digest)
            && legitimate(c.members, newBits, c.threshold, digest);
        bytes memory data = abi.encodeCall(names.configure, (c, bits, blob, newBits, newBlob));
        if (!send(address(names), data, seed >> 64)) return;
        check(legit, "a name was configured without what it takes");
        acted(n);
        if (n.config.configDelayHours == 0) return applied(c);
        scheduled(n, c, digest, uint256(n.config.configDelayHours) * 1 hours, false);
    }

    mapping(bytes32 change => Config) private proposals;

    function scheduled(Name storage n, Config memory c, bytes32 change, uint256 wait, bool recovery) private {
        (n.pending, n.readyAt, n.recovery) = (change, time() + wait, recovery);
        proposals[change] = c;
    }

    function enacts(uint256 seed) external {
        (, Name storage n) = pick(seed);
        Config memory c = n.pending == 0 || seed % 7 == 0 ? configOf(n.config.packageName, seed) : proposals[n.pending];
        bytes32 change = names.digestOf(c);
        bool legit = change == n.pending && n.pending != 0 && time() >= n.readyAt;
        if (!send(address(names), abi.encodeCall(names.enact, (c)), seed >> 64)) {
            return check(!legit, "a change that waited long enough was not enacted");
        }
        check(legit, "a change was enacted before its time");
        applied(c);
    }

    function cancels(uint256 seed, uint16 bits, uint256 willing) external {
        (string memory packageName, Name storage n) = pick(seed);
        bytes32 change = seed % 7 == 0 ? keccak256(abi.encode(seed)) : n.pending;
        bytes32 digest = names.digestOfCancel(change);
        bits &= low(n.config.members.length);
        (bytes memory blob,) = blobOf(n.config.members, bits, digest, willing, seed);
        bool legit = change != 0 && change == n.pending
            && legitimate(n.config.members, bits, n.recovery ? 1 : n.config.threshold, digest);
        bytes memory data = abi.encodeCall(names.cancel, (packageName, change, bits, blob));
        if (!send(address(names), data, seed >> 64)) return;
        check(legit, "a change was cancelled without what it takes");
        dropped(n);
        n.lastAct = time();
    }

    // ----------------------------------------- Claims and recoveries, by the adversary

    /// A stolen npm token gives every proof there is, and so does the guardian's key.
    function takesOver(uint256 seed, uint16 newBits, uint256 willing) external {
        (string memory packageName, Name storage n) = pick(seed);
        Config memory c = configOf(packageName, seed);
        if (n.finalAt == 0 || (time() < n.finalAt && seed % 3 != 0)) c.epoch = 0;
        bytes32 digest = names.digestOf(c);
        newBits &= low(c.members.length);
        (bytes memory blob,) = blobOf(c.members, newBits, digest, willing, seed);
        bool agreed = wellFormed(c) && c.members.length != 0 && legitimate(c.members, newBits, c.threshold, digest);
        bool byGuardian = seed % 2 == 0;
        bytes memory data;
        if (byGuardian) {
            data = abi.encodeCall(names.recover, (c, newBits, blob, rawSignature(GUARDIAN_KEY, digest)));
        } else {
            uint64 anchorBlock = anchor();
            data = abi.encodeCall(names.claim, (c, newBits, blob, anchorBlock, registrarProof(c, anchorBlock)));
        }
        bool silent = time() >= n.lastAct + 37 days && n.finalAt != 0 && time() >= n.finalAt;
        if (!send(address(names), data, seed >> 64)) return;
        check(agreed, "a team was put in charge without its signatures");
        if (c.epoch == 0) {
            check(!byGuardian && (n.finalAt == 0 || time() < n.finalAt), "a final name was claimed again");
            applied(c);
            n.finalAt = time() + 1 days;
        } else {
            check(silent, "a recovery of a team that is not silent");
            check(n.pending == 0, "a recovery beside another change");
            check(c.epoch == n.config.epoch + 1, "a recovery at another epoch");
            check(!byGuardian || n.config.guardian == vm.addr(GUARDIAN_KEY), "a recovery by no guardian");
            scheduled(n, c, digest, 60 days, true);
        }
    }

    // ---------------------------------------------------------------- Other mischief

    /// What was accepted once is sent again. Only what says the same again may be accepted.
    function replays(uint256 seed) external {
        if (past.length == 0) return;
        uint256 i = seed % past.length;
        vm.prank(accounts[(seed >> 8) % PEOPLE]);
        (bool ok,) = pastTargets[i].call{gas: GAS}(past[i]);
        if (!ok) return;
        bytes4 selector = bytes4(past[i]);
        check(
            selector == packages.flag.selector || selector == packages.withdraw.selector,
            "a release, a config or a cancellation was accepted twice"
        );
    }

    /// Signatures for our contracts, used through a contract of the adversary's own: this one.
    function speaks(uint256 seed, uint16 bits) external {
        (string memory packageName, Name storage n) = pick(seed);
        bits &= low(n.config.members.length);
        bytes memory blob;
        for (uint256 i; i < n.config.members.length; ++i) {
            if ((bits >> i) & 1 == 1) blob = bytes.concat(blob, frame(pool[(seed >> i) % pool.length]));
        }
        if (legitimate(n.config.members, bits, n.config.threshold, "")) return; // the hostile wallet alone suffices
        (bool ok,) = address(names).call{gas: GAS}(
            abi.encodeCall(names.authorize, (id(packageName), n.config.epoch, bits, bytes32(seed), blob))
        );
        check(!ok, "a signature for one contract was accepted for another");
    }

    function movesTokens(uint256 seed, uint256 to) external {
        (string memory packageName, Name storage n) = pick(seed);
        address owner = n.config.members.length == 0 ? accounts[0] : n.config.members[0];
        uint256 token = uint256(id(packageName));
        bytes[3] memory data = [
            abi.encodeCall(names.transferFrom, (owner, accounts[to % PEOPLE], token)),
            abi.encodeCall(names.approve, (accounts[to % PEOPLE], token)),
            abi.encodeCall(names.setApprovalForAll, (accounts[to % PEOPLE], true))
        ];
        vm.prank(owner);
        (bool ok,) = address(names).call(data[seed % 3]);
        check(!ok, "a token was moved or approved");
    }

    function wallets(uint256 seed) external {
        if (seed % 2 == 0) fickle.become(seed % 4 == 0 ? Wallet.Mood.Honest : Wallet.Mood.No);
        else hostile.become(Wallet.Mood((seed >> 2) % 11));
    }

    function time_passes(uint256 seed) external {
        uint256[6] memory jumps = [uint256(1), 1 hours, 25 hours, 8 days, 40 days, 61 days];
        vm.warp(time() + jumps[seed % 6]);
        vm.roll(height() + (seed >> 8) % 1000);
    }

    // ----------------------------------------------------------- What must be true now

    function checkEverything() external view {
        for (uint256 i; i < packageNames.length; ++i) {
            checkName(packageNames[i]);
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
            same(names.ownerOf(uint256(id_)), p.members[0], "owner");
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
        Team storage team = _names[id_].teams[v.epoch];
        same(r.threshold, team.threshold, "threshold of a release");
        yes(r.signers.length >= r.threshold, "enough signers");
        yes(legitimate(team.members, r.signerBitmap, r.threshold, v.digest), "every signer of a record signed it");
    }

    /// With M members who can sign, no delay and no withdrawal, a release is recorded at once.
    function checkLiveness() external {
        for (uint256 i; i < packageNames.length; ++i) {
            Name storage n = _names[id(packageNames[i])];
            if (!isFinal(n)) continue;
            uint16 bits;
            uint256 able;
            for (uint256 seat; seat < n.config.members.length && able < n.config.threshold; ++seat) {
                uint256 account = accountOf(n.config.members[seat]);
                if (account == HOSTILE || (account == FICKLE && fickle.mood() != Wallet.Mood.Honest)) continue;
                bits |= uint16(1 << seat);
                ++able;
            }
            if (able < n.config.threshold) continue;
            ReleaseInput memory r = release(packageNames[i], "9.9.9", 1_000_000);
            bytes32 digest = packages.digestOf(r);
            bytes memory blob;
            for (uint256 seat; seat < n.config.members.length; ++seat) {
                if ((bits >> seat) & 1 == 0) continue;
                blob = bytes.concat(blob, frame(rawSignature(key(accountOf(n.config.members[seat])), digest)));
            }
            packages.publish(r, bits, blob);
            Status expected = n.config.releaseDelayHours == 0 ? Status.Active : Status.Cooling;
            same(statusOf(packageNames[i], "9.9.9"), expected, "status of what M members published");
        }
    }
}
