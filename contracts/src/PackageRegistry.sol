// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Errors} from "./Errors.sol";
import {Grammar} from "./Grammar.sol";
import {NameRegistry} from "./NameRegistry.sol";
import {TypedData} from "./TypedData.sol";
import {Act, FlagInput, ReleaseInput, ReleaseKey, ReleaseView, RevocationInput, Status} from "./Types.sol";

/// What the members of a package said about its releases: recorded, vetoed, flagged, revoked.
/// Immutable, and without authority of its own: who may say what is `NameRegistry`'s answer.
contract PackageRegistry is Errors {
    using SafeCast for uint256;

    uint256 public constant MAX_DEADLINE_AHEAD = 30 days;
    uint256 public constant MAX_FLAG = 7 days;
    uint256 public constant MAX_NONCE = type(uint64).max - 1;

    NameRegistry public immutable nameRegistry;

    /// Stored in a record's `settled`.
    uint8 private constant OPEN = 1;
    uint8 private constant VETOED = 2;
    uint8 private constant REVOKED = 3;

    /// The marks of a nonce.
    uint256 private constant USED = 1;
    uint256 private constant WITHDRAWN = 2;

    /// Four slots, written once; only `settled` ever changes. A tombstone has nothing but `settled`.
    struct Record {
        bytes32 sha512Hi;
        bytes32 sha512Lo;
        bytes32 contentHash;
        uint8 releaseDelayHours;
        uint8 settled;
        uint24 epoch;
        uint16 signers;
        uint40 publishedAt;
        bytes20 gitSha;
    }

    /// The releases of a name so far, with the marks of the 64 nonces among which the highest used one is.
    struct Head {
        uint64 nextNonce; // highest used + 1
        uint64 releases;
        uint128 marks;
    }

    mapping(bytes32 id => mapping(bytes32 versionHash => Record)) private _records; // slot 0
    mapping(bytes32 id => Head) private _heads; // slot 1
    /// Two bits for each nonce, 64 nonces to a group: used, and withdrawn by somebody. The group of `Head` is there.
    mapping(bytes32 id => mapping(uint256 group => uint128)) private _marks; // slot 2
    mapping(bytes32 id => mapping(uint256 nonce => mapping(address member => bool))) public isWithdrawn; // slot 3
    mapping(bytes32 id => mapping(bytes32 versionHash => uint256)) private _flaggedUntil; // slot 4

    event PackagePublished(
        bytes32 indexed id,
        bytes32 indexed versionHash,
        string packageName,
        string version,
        bytes32 sha512Hi,
        bytes32 sha512Lo,
        bytes32 contentHash,
        bytes32 gitSha,
        string ciRunUrl,
        uint32 epoch,
        uint256 nonce,
        uint16 signers,
        uint64 activeAt
    );
    event PackageRevoked(
        bytes32 indexed id, bytes32 indexed versionHash, string packageName, string version, uint8 reason, string note
    );
    event PackageVetoed(
        bytes32 indexed id, bytes32 indexed versionHash, string packageName, string version, address[] by
    );
    event PackageFlagged(
        bytes32 indexed id,
        bytes32 indexed versionHash,
        string packageName,
        string version,
        address[] by,
        string note,
        uint64 flaggedUntil
    );
    event SignatureWithdrawal(bytes32 indexed id, uint256 indexed nonce, address[] by);

    /// `NameRegistry` creates it, and answers this one only.
    constructor(address nameRegistry_) {
        nameRegistry = NameRegistry(nameRegistry_);
    }

    // -------------------------------------------------------------- M of N say

    function publish(ReleaseInput calldata r, uint16 signers, bytes calldata signatures) external {
        (bytes32 id, bytes32 versionHash) = _key(r.packageName, r.version);
        uint256 delay =
            nameRegistry.authorize(id, r.epoch, signers, TypedData.hash(r, id, versionHash), signatures);
        _record(r, id, versionHash, signers, delay);
    }

    /// One signature for releases of one or several packages; `signers[i]` are those of `rs[i]`. A member who
    /// signed for an earlier release of the batch has no second signature in `signatures`.
    function publishBatch(ReleaseInput[] calldata rs, uint16[] calldata signers, bytes calldata signatures) external {
        if (rs.length != signers.length) revert BatchLength(rs.length, signers.length);
        Act[] memory acts = new Act[](rs.length);
        for (uint256 i; i < rs.length; ++i) {
            acts[i] = Act(_id(rs[i].packageName), rs[i].epoch, signers[i]);
        }
        uint16[] memory delays = nameRegistry.authorizeBatch(acts, _hashBatch(rs), signatures);
        for (uint256 i; i < rs.length; ++i) {
            _record(rs[i], acts[i].id, TypedData.hash(rs[i].version), signers[i], delays[i]);
        }
    }

    /// Takes a release back for good. Without a record it is a tombstone: that version is never to be trusted.
    function revoke(RevocationInput calldata r, uint16 signers, bytes calldata signatures) external {
        (bytes32 id, bytes32 versionHash) = _key(r.packageName, r.version);
        _checkDeadline(r.deadline, MAX_DEADLINE_AHEAD);
        if (!Grammar.isVersion(r.version)) revert BadVersion(r.version);
        nameRegistry.authorize(id, r.epoch, signers, TypedData.hash(r), signatures);
        Record storage record = _records[id][versionHash];
        if (record.settled > OPEN) revert AlreadySettled();
        record.settled = REVOKED;
        emit PackageRevoked(id, versionHash, r.packageName, r.version, r.reason, r.note);
    }

    // --------------------------------------------------------- One member says

    /// Takes its own signature under a nonce back, for good and at every epoch.
    function withdraw(string calldata packageName, uint256 nonce, uint16 signers, bytes calldata signatures) external {
        bytes32 id = _id(packageName);
        if (isNonceUsed(id, nonce)) revert NonceUsed(nonce);
        address[] memory by =
            nameRegistry.attest(id, signers, TypedData.hashWithdrawal(packageName, nonce), signatures);
        for (uint256 i; i < by.length; ++i) {
            isWithdrawn[id][nonce][by[i]] = true;
        }
        Head memory head = _heads[id];
        _setMark(id, head, nonce, WITHDRAWN);
        _heads[id] = head;
        emit SignatureWithdrawal(id, nonce, by);
    }

    /// Stops a release for good while it cools.
    function veto(string calldata packageName, string calldata version, uint16 signers, bytes calldata signatures)
        external
    {
        (bytes32 id, bytes32 versionHash) = _key(packageName, version);
        Record storage record = _open(id, versionHash);
        uint256 activeAt = _activeAt(record);
        if (block.timestamp >= activeAt) revert NotCooling(activeAt);
        address[] memory by = nameRegistry.attest(id, signers, TypedData.hashVeto(packageName, version), signatures);
        record.settled = VETOED;
        emit PackageVetoed(id, versionHash, packageName, version, by);
    }

    /// Warns of a release until the flag's own deadline.
    function flag(FlagInput calldata f, uint16 signers, bytes calldata signatures) external {
        (bytes32 id, bytes32 versionHash) = _key(f.packageName, f.version);
        _open(id, versionHash);
        _checkDeadline(f.deadline, MAX_FLAG);
        address[] memory by = nameRegistry.attest(id, signers, TypedData.hash(f), signatures);
        if (f.deadline > _flaggedUntil[id][versionHash]) _flaggedUntil[id][versionHash] = f.deadline;
        emit PackageFlagged(id, versionHash, f.packageName, f.version, by, f.note, uint64(f.deadline));
    }

    // ------------------------------------------------------------------- Reads

    function getRelease(string calldata packageName, string calldata version)
        public
        view
        returns (ReleaseView memory v)
    {
        (bytes32 id, bytes32 versionHash) = _key(packageName, version);
        Record memory record = _records[id][versionHash];
        v.status = _statusOf(id, versionHash);
        if (record.publishedAt == 0) return v;
        v.sha512Hi = record.sha512Hi;
        v.sha512Lo = record.sha512Lo;
        v.contentHash = record.contentHash;
        v.gitSha = record.gitSha;
        v.publishedAt = record.publishedAt;
        v.activeAt = uint64(record.publishedAt + uint256(record.releaseDelayHours) * 1 hours);
        v.signerBitmap = record.signers;
        v.epoch = record.epoch;
        v.threshold = nameRegistry.thresholdAt(id, record.epoch);
        v.signers = nameRegistry.signersAt(id, record.epoch, record.signers);
        v.flaggedUntil = uint64(_flaggedUntil[id][versionHash]);
    }

    function getReleases(ReleaseKey[] calldata keys) external view returns (ReleaseView[] memory vs) {
        vs = new ReleaseView[](keys.length);
        for (uint256 i; i < vs.length; ++i) {
            vs[i] = getRelease(keys[i].packageName, keys[i].version);
        }
    }

    /// The highest nonce used + 1; 0 for none. Lower ones may be free as well.
    function getNonce(string calldata packageName) external view returns (uint256) {
        return _heads[_id(packageName)].nextNonce;
    }

    function isNonceUsed(bytes32 id, uint256 nonce) public view returns (bool) {
        return (_marksOf(id, _heads[id], nonce) >> _shiftOf(nonce)) & USED != 0;
    }

    /// How many releases were recorded, tombstones not counted. Never falls.
    function releaseCount(bytes32 id) external view returns (uint64) {
        return _heads[id].releases;
    }

    function digestOf(ReleaseInput calldata r) external view returns (bytes32) {
        (bytes32 id, bytes32 versionHash) = _key(r.packageName, r.version);
        return TypedData.digest(address(this), TypedData.hash(r, id, versionHash));
    }

    function digestOfBatch(ReleaseInput[] calldata rs) external view returns (bytes32) {
        return TypedData.digest(address(this), _hashBatch(rs));
    }

    function digestOfRevocation(RevocationInput calldata r) external view returns (bytes32) {
        return TypedData.digest(address(this), TypedData.hash(r));
    }

    function digestOfWithdrawal(string calldata packageName, uint256 nonce) external view returns (bytes32) {
        return TypedData.digest(address(this), TypedData.hashWithdrawal(packageName, nonce));
    }

    function digestOfVeto(string calldata packageName, string calldata version) external view returns (bytes32) {
        return TypedData.digest(address(this), TypedData.hashVeto(packageName, version));
    }

    function digestOfFlag(FlagInput calldata f) external view returns (bytes32) {
        return TypedData.digest(address(this), TypedData.hash(f));
    }

    // -------------------------------------------------------------- Inner parts

    function _hashBatch(ReleaseInput[] calldata rs) private pure returns (bytes32) {
        bytes32[] memory hashes = new bytes32[](rs.length);
        for (uint256 i; i < rs.length; ++i) {
            (bytes32 id, bytes32 versionHash) = _key(rs[i].packageName, rs[i].version);
            hashes[i] = TypedData.hash(rs[i], id, versionHash);
        }
        return TypedData.hashBatch(hashes);
    }

    function _record(ReleaseInput calldata r, bytes32 id, bytes32 versionHash, uint16 signers, uint256 delayHours)
        private
    {
        _checkDeadline(r.deadline, MAX_DEADLINE_AHEAD);
        if (!Grammar.isVersion(r.version)) revert BadVersion(r.version);
        _useNonce(id, r.nonce, r.epoch, signers);

        Record storage record = _records[id][versionHash];
        if (record.settled != 0) revert VersionExists();
        record.sha512Hi = r.sha512Hi;
        record.sha512Lo = r.sha512Lo;
        record.contentHash = r.contentHash;
        record.releaseDelayHours = delayHours.toUint8();
        record.settled = OPEN;
        record.epoch = uint256(r.epoch).toUint24();
        record.signers = signers;
        record.publishedAt = block.timestamp.toUint40();
        record.gitSha = bytes20(r.gitSha);

        emit PackagePublished(
            id,
            versionHash,
            r.packageName,
            r.version,
            r.sha512Hi,
            r.sha512Lo,
            r.contentHash,
            r.gitSha,
            r.ciRunUrl,
            r.epoch,
            r.nonce,
            signers,
            uint64(block.timestamp + delayHours * 1 hours)
        );
    }

    /// A nonce is good once. One in a higher group than all before takes the head there.
    function _useNonce(bytes32 id, uint256 nonce, uint32 epoch, uint16 signers) private {
        Head memory head = _heads[id];
        uint256 marks = _marksOf(id, head, nonce) >> _shiftOf(nonce);
        if (marks & USED != 0) revert NonceUsed(nonce);
        if (marks & WITHDRAWN != 0) _checkNotWithdrawn(id, nonce, epoch, signers);
        if (nonce >= head.nextNonce) {
            if (_groupOf(nonce) != _groupOf(head)) {
                _marks[id][_groupOf(head)] = head.marks;
                head.marks = _marks[id][_groupOf(nonce)];
            }
            head.nextNonce = uint64(nonce + 1);
        }
        ++head.releases;
        _setMark(id, head, nonce, USED);
        _heads[id] = head;
    }

    function _setMark(bytes32 id, Head memory head, uint256 nonce, uint256 mark) private {
        uint128 marks = uint128(_marksOf(id, head, nonce) | (mark << _shiftOf(nonce)));
        if (_groupOf(nonce) == _groupOf(head)) head.marks = marks;
        else _marks[id][_groupOf(nonce)] = marks;
    }

    function _marksOf(bytes32 id, Head memory head, uint256 nonce) private view returns (uint256) {
        return _groupOf(nonce) == _groupOf(head) ? head.marks : _marks[id][_groupOf(nonce)];
    }

    function _checkNotWithdrawn(bytes32 id, uint256 nonce, uint32 epoch, uint16 signers) private view {
        address[] memory members = nameRegistry.membersAt(id, epoch);
        for (uint256 i; i < members.length; ++i) {
            if ((signers >> i) & 1 == 1 && isWithdrawn[id][nonce][members[i]]) revert SignatureWithdrawn(i);
        }
    }

    function _checkDeadline(uint256 deadline, uint256 ahead) private view {
        if (deadline <= block.timestamp) revert Expired(deadline);
        if (deadline > block.timestamp + ahead) revert DeadlineTooFar(deadline, block.timestamp + ahead);
    }

    /// The record of a release that was neither vetoed nor revoked.
    function _open(bytes32 id, bytes32 versionHash) private view returns (Record storage record) {
        record = _records[id][versionHash];
        if (record.settled == 0) revert NoRecord();
        if (record.settled != OPEN) revert AlreadySettled();
    }

    function _statusOf(bytes32 id, bytes32 versionHash) private view returns (Status) {
        Record storage record = _records[id][versionHash];
        if (record.settled == 0) return Status.None;
        if (record.settled == REVOKED) return Status.Revoked;
        if (record.settled == VETOED) return Status.Vetoed;
        if (block.timestamp < _activeAt(record)) return Status.Cooling;
        return block.timestamp < _flaggedUntil[id][versionHash] ? Status.Flagged : Status.Active;
    }

    function _activeAt(Record storage record) private view returns (uint256) {
        return record.publishedAt + uint256(record.releaseDelayHours) * 1 hours;
    }

    function _groupOf(uint256 nonce) private pure returns (uint256) {
        if (nonce > MAX_NONCE) revert NonceTooHigh(nonce);
        return nonce >> 6;
    }

    function _groupOf(Head memory head) private pure returns (uint256) {
        return head.nextNonce == 0 ? 0 : (head.nextNonce - 1) >> 6;
    }

    function _shiftOf(uint256 nonce) private pure returns (uint256) {
        return (nonce & 63) * 2;
    }

    function _key(string calldata packageName, string calldata version) private pure returns (bytes32, bytes32) {
        return (_id(packageName), TypedData.hash(version));
    }

    function _id(string calldata packageName) private pure returns (bytes32) {
        return TypedData.hash(packageName);
    }
}
