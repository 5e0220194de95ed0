// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Anchor} from "./Anchor.sol";
import {Grammar} from "./Grammar.sol";
import {Integrity} from "./Integrity.sol";
import {LockedToken} from "./LockedToken.sol";
import {NpmSignature} from "./NpmSignature.sol";
import {PackageRegistry} from "./PackageRegistry.sol";
import {Signatures} from "./Signatures.sol";
import {TypedData} from "./TypedData.sol";
import {Act, Config, NpmKey, Package, PackageState} from "./Types.sol";

/// Who may speak for a package name of one npm registry. Immutable: no proxy, no admin, no pause.
///
/// `msg.sender` never carries authority: signatures do, so anybody may relay anything and the outcome does
/// not depend on who did. Signatures are checked here for `PackageRegistry` too, in its own EIP-712 domain. What a
/// team signed for any other contract is no act of the team here.
contract NameRegistry is LockedToken {
    using SafeCast for uint256;

    uint256 public constant MAX_MEMBERS = 16;
    uint256 public constant MAX_RELEASE_DELAY_HOURS = 168;
    uint256 public constant MAX_CONFIG_DELAY_HOURS = 720;
    uint256 public constant MIN_RECOVERY_DAYS = 30;
    uint256 public constant MAX_RECOVERY_DAYS = 365;
    uint256 public constant MAX_DEADLINE_AHEAD = 30 days;
    uint256 public constant RECOVERY_WAIT = 60 days;
    uint256 public constant NPM_KEY_WAIT = 30 days;
    /// Acts are noted no more often than this, so that a busy team does not pay for it with every release.
    uint256 public constant ACT_GRAIN = 7 days;

    /// How long a claim stays provisional, in seconds.
    uint64 public immutable claimWindow;
    /// The first contract that this one creates, and the only one: each knows the other from birth.
    PackageRegistry public immutable packageRegistry = new PackageRegistry(address(this));

    /// What is stored of a name. The seats of every epoch stay for good; the rest is the present.
    struct Name {
        uint8 threshold;
        uint8 members;
        uint16 releaseDelayHours;
        uint16 configDelayHours;
        uint16 recoveryDays;
        uint32 epoch;
        uint40 finalAt; // zero for a name nobody claimed
        uint40 lastActAt; // of M members, to the ACT_GRAIN, or the start of the current configuration
        uint64 anchorBlock; // of the claim
        bool recoveryPending;
        address guardian;
        uint40 pendingReadyAt;
        bytes32 legacyRoot;
        bytes32 pendingChange;
    }

    /// Seat 0 also tells how many there are and how many must sign.
    struct Seat {
        address member;
        uint8 members;
        uint8 threshold;
    }

    mapping(bytes32 id => Name) private _names; // slot 1
    mapping(bytes32 id => mapping(uint256 epoch => Seat[16])) private _seats; // slot 2
    mapping(bytes32 change => bool) public isCancelled; // slot 3
    NpmKey[] private _npmKeys; // slot 4
    address public registrar; // slot 5
    uint256 public registrarNonce; // slot 6
    string public registryOrigin; // slot 7

    event PackageClaimed(
        bytes32 indexed id, string packageName, address[] members, uint8 threshold, bytes32 legacyRoot, uint64 finalAt
    );
    event ConfigChanged(bytes32 indexed id, string packageName, uint32 epoch, address[] members, uint8 threshold);
    event ChangeScheduled(bytes32 indexed id, bytes32 indexed change, Config config, uint64 readyAt, bool recovery);
    event ChangeDropped(bytes32 indexed id, bytes32 indexed change);
    event RegistrarChanged(address registrar);
    event NpmKeyAdded(uint256 indexed keyIndex, bytes32 x, bytes32 y, uint64 validFrom, uint64 validTo);
    event NpmKeyRemoved(uint256 indexed keyIndex);

    constructor(string memory registryOrigin_, address registrar_, uint64 claimWindow_, NpmKey[] memory npmKeys) {
        registryOrigin = registryOrigin_;
        registrar = registrar_;
        claimWindow = claimWindow_;
        emit RegistrarChanged(registrar_);
        for (uint256 i; i < npmKeys.length; ++i) {
            _addNpmKey(npmKeys[i]);
        }
    }

    // ------------------------------------------------------------------ Claims

    /// The registrar saw a signing member's `_3pm` token in the package's manifest, and signs for it.
    /// At epoch 0 this claims the name; at the current epoch + 1 it starts a recovery.
    function claim(
        Config calldata c,
        uint16 signers,
        bytes calldata signatures,
        uint64 anchorBlock,
        bytes calldata registrarSignature
    ) external {
        bytes32 change = _checkProposal(c, signers, signatures);
        bytes32 commitment = _commitment(change, anchorBlock);
        if (!Signatures.isValid(registrar, digestOfRegistrarProof(commitment), registrarSignature)) {
            revert BadClaimProof();
        }
        _admit(c, change, anchorBlock);
    }

    /// Whoever can publish the package published the version that states this commitment, and npm signed it.
    function claimWithNpmSignature(
        Config calldata c,
        uint16 signers,
        bytes calldata signatures,
        uint64 anchorBlock,
        uint256 keyIndex,
        bytes32 integrityHi,
        bytes32 integrityLo,
        bytes32 r,
        bytes32 s
    ) external {
        bytes32 change = _checkProposal(c, signers, signatures);
        string memory version = NpmSignature.versionOf(_commitment(change, anchorBlock));
        if (!_isNpmSignature(c.packageName, version, Integrity.spell(integrityHi, integrityLo), keyIndex, r, s)) {
            revert BadClaimProof();
        }
        _admit(c, change, anchorBlock);
    }

    /// The guardian of a team that went silent starts a recovery. It can do nothing else.
    function recover(Config calldata c, uint16 signers, bytes calldata signatures, bytes calldata guardianSignature)
        external
    {
        bytes32 change = _checkProposal(c, signers, signatures);
        bytes32 id = _id(c.packageName);
        address guardian = _names[id].guardian;
        if (guardian == address(0)) revert NoGuardian();
        if (!Signatures.isValid(guardian, change, guardianSignature)) revert BadClaimProof();
        _startRecovery(id, c, change);
    }

    // ---------------------------------------------------------- Configurations

    /// `threshold` of the current members and `threshold` of the new ones sign the whole new state, so that a
    /// mistyped address or a dead wallet can never take a package with it. No members: the name retires.
    function configure(
        Config calldata c,
        uint16 signers,
        bytes calldata signatures,
        uint16 newSigners,
        bytes calldata newSignatures
    ) external {
        bytes32 id = _id(c.packageName);
        Name storage n = _names[id];
        _checkFinal(n);
        _checkNext(n, c);
        bytes32 change = _checkConfig(c, newSigners, newSignatures);
        if (isCancelled[change]) revert ChangeCancelled(change);
        if (n.pendingChange != 0 && !n.recoveryPending) revert ChangePending(n.pendingChange);
        _checkMembers(id, n, change, signers, n.threshold, signatures);
        _acted(id, n);
        if (n.configDelayHours == 0) _apply(id, n, c);
        else _schedule(id, n, c, change, uint256(n.configDelayHours) * 1 hours);
    }

    /// A change that has waited takes effect. Anybody may say so.
    function enact(Config calldata c) external {
        bytes32 id = _id(c.packageName);
        Name storage n = _names[id];
        bytes32 change = digestOf(c);
        if (change != n.pendingChange) revert WrongChange(change, n.pendingChange);
        if (block.timestamp < n.pendingReadyAt) revert NotReady(n.pendingReadyAt);
        _apply(id, n, c);
    }

    /// M members take back a change that waits, for good; one member stops a recovery.
    function cancel(string calldata packageName, bytes32 change, uint16 signers, bytes calldata signatures) external {
        bytes32 id = _id(packageName);
        Name storage n = _names[id];
        if (change != n.pendingChange || change == 0) revert WrongChange(change, n.pendingChange);
        bool recovery = n.recoveryPending;
        _checkMembers(id, n, digestOfCancel(change), signers, recovery ? 1 : n.threshold, signatures);
        if (!recovery) isCancelled[change] = true;
        _drop(id, n);
        n.lastActAt = uint40(block.timestamp);
    }

    // --------------------------------------------------------------- Authority

    /// For `PackageRegistry`: reverts unless enough members of `id` signed `structHash` in its EIP-712 domain. Returns
    /// the release delay of the name.
    function authorize(bytes32 id, uint32 epoch, uint16 signers, bytes32 structHash, bytes calldata signatures)
        external
        returns (uint16 releaseDelayHours)
    {
        Signatures.Walk memory walk = Signatures.begin(_digestForPackages(structHash), 0);
        releaseDelayHours = _authorize(walk, id, epoch, signers, signatures);
        Signatures.end(walk, signatures);
    }

    /// The same for several names under one `structHash`. A member signs once, however many acts it is part of.
    function authorizeBatch(Act[] calldata acts, bytes32 structHash, bytes calldata signatures)
        external
        returns (uint16[] memory releaseDelayHours)
    {
        releaseDelayHours = new uint16[](acts.length);
        Signatures.Walk memory walk = Signatures.begin(_digestForPackages(structHash), acts.length * MAX_MEMBERS);
        for (uint256 i; i < acts.length; ++i) {
            releaseDelayHours[i] = _authorize(walk, acts[i].id, acts[i].epoch, acts[i].signers, signatures);
        }
        Signatures.end(walk, signatures);
    }

    /// The same for what a single member may say: reverts unless all of `signers`, and at least one, signed.
    /// Returns their addresses.
    function attest(bytes32 id, uint16 signers, bytes32 structHash, bytes calldata signatures)
        external
        view
        returns (address[] memory)
    {
        bytes32 digest = _digestForPackages(structHash);
        Name storage n = _names[id];
        _checkFinal(n);
        _checkMembers(id, n, digest, signers, 1, signatures);
        return signersAt(id, n.epoch, signers);
    }

    // --------------------------------------------------------------- Registrar

    /// The registrar may only hand over to another, and both sign.
    function rotateRegistrar(address next, bytes calldata signature, bytes calldata nextSignature) external {
        bytes32 digest = digestOfRegistrarRotation(next, registrarNonce);
        _checkRegistrar(digest, signature);
        if (!Signatures.isValid(next, digest, nextSignature)) revert BadSignature(1);
        registrar = next;
        emit RegistrarChanged(next);
    }

    /// A new npm key counts 30 days later at the earliest.
    function addNpmKey(NpmKey calldata key, bytes calldata signature) external {
        _checkRegistrar(digestOfNpmKeyAddition(key, registrarNonce), signature);
        NpmKey memory delayed = key;
        uint256 earliest = block.timestamp + NPM_KEY_WAIT;
        if (delayed.validFrom < earliest) delayed.validFrom = earliest.toUint64();
        _addNpmKey(delayed);
    }

    /// An npm key ends at once, also one that has not begun.
    function removeNpmKey(uint256 keyIndex, bytes calldata signature) external {
        _checkRegistrar(digestOfNpmKeyRemoval(keyIndex, registrarNonce), signature);
        if (keyIndex >= _npmKeys.length) revert NpmKeyNotValid(keyIndex);
        _npmKeys[keyIndex].validTo = 0;
        emit NpmKeyRemoved(keyIndex);
    }

    // ------------------------------------------------------------------- Reads

    function getPackage(string calldata packageName) public view returns (Package memory p) {
        bytes32 id = _id(packageName);
        Name storage n = _names[id];
        p.state = _stateOf(n);
        if (p.state == PackageState.None) return p;
        p.threshold = n.threshold;
        p.releaseDelayHours = n.releaseDelayHours;
        p.configDelayHours = n.configDelayHours;
        p.recoveryDays = n.recoveryDays;
        p.epoch = n.epoch;
        p.claimedAt = n.finalAt - claimWindow;
        p.finalAt = n.finalAt;
        p.lastActAt = n.lastActAt;
        p.guardian = n.guardian;
        p.legacyRoot = n.legacyRoot;
        p.members = membersAt(id, n.epoch);
        p.pendingChange = n.pendingChange;
        p.pendingReadyAt = n.pendingReadyAt;
        p.recoveryPending = n.recoveryPending;
        if (p.state == PackageState.Retired) p.retiredAt = n.lastActAt;
    }

    function getPackages(string[] calldata packageNames) external view returns (Package[] memory ps) {
        ps = new Package[](packageNames.length);
        for (uint256 i; i < ps.length; ++i) {
            ps[i] = getPackage(packageNames[i]);
        }
    }

    function membersAt(bytes32 id, uint32 epoch) public view returns (address[] memory) {
        return signersAt(id, epoch, type(uint16).max);
    }

    /// Who the bits of `signers` stand for at `epoch`, in rising order. The answer never changes.
    function signersAt(bytes32 id, uint32 epoch, uint16 signers) public view returns (address[] memory found) {
        Seat[16] storage seats = _seats[id][epoch];
        uint256 count = seats[0].members;
        found = new address[](count);
        uint256 kept;
        for (uint256 i; i < count; ++i) {
            if ((signers >> i) & 1 == 1) found[kept++] = seats[i].member;
        }
        assembly ("memory-safe") {
            mstore(found, kept)
        }
    }

    function thresholdAt(bytes32 id, uint32 epoch) external view returns (uint8) {
        return _seats[id][epoch][0].threshold;
    }

    function npmKeyCount() external view returns (uint256) {
        return _npmKeys.length;
    }

    function npmKeyAt(uint256 keyIndex) external view returns (NpmKey memory) {
        return _npmKeys[keyIndex];
    }

    /// Whether npm signed these three with a key that is valid now.
    function isNpmSignature(
        string calldata packageName,
        string calldata version,
        bytes32 sha512Hi,
        bytes32 sha512Lo,
        uint256 keyIndex,
        bytes32 r,
        bytes32 s
    ) external view returns (bool) {
        return _isNpmSignature(packageName, version, Integrity.spell(sha512Hi, sha512Lo), keyIndex, r, s);
    }

    function digestOf(Config calldata c) public view returns (bytes32) {
        return TypedData.digest(address(this), TypedData.hash(c));
    }

    function digestOfCancel(bytes32 change) public view returns (bytes32) {
        return TypedData.digest(address(this), TypedData.hashCancel(change));
    }

    function digestOfRegistrarProof(bytes32 commitment) public view returns (bytes32) {
        return TypedData.digest(address(this), TypedData.hashRegistrarProof(commitment));
    }

    function digestOfRegistrarRotation(address next, uint256 nonce) public view returns (bytes32) {
        return TypedData.digest(address(this), TypedData.hashRegistrarRotation(next, nonce));
    }

    function digestOfNpmKeyAddition(NpmKey calldata key, uint256 nonce) public view returns (bytes32) {
        return TypedData.digest(
            address(this), TypedData.hashNpmKeyAddition(key.x, key.y, key.validFrom, key.validTo, nonce)
        );
    }

    function digestOfNpmKeyRemoval(uint256 keyIndex, uint256 nonce) public view returns (bytes32) {
        return TypedData.digest(address(this), TypedData.hashNpmKeyRemoval(keyIndex, nonce));
    }

    // ------------------------------------------------------------------ Checks

    /// A Config that replaces a team without asking it: it must name a team.
    function _checkProposal(Config calldata c, uint16 signers, bytes calldata signatures)
        private
        view
        returns (bytes32)
    {
        if (c.members.length == 0) revert InvalidThreshold(c.threshold, 0);
        return _checkConfig(c, signers, signatures);
    }

    /// A Config that could take effect, signed by enough of its own members. Returns its digest.
    function _checkConfig(Config calldata c, uint16 signers, bytes calldata signatures)
        private
        view
        returns (bytes32 change)
    {
        if (!Grammar.isName(c.packageName)) revert BadName(c.packageName);
        uint256 count = c.members.length;
        if (count > MAX_MEMBERS) revert TooManyMembers(count, MAX_MEMBERS);
        for (uint256 i; i < count; ++i) {
            if (c.members[i] == address(0)) revert ZeroMember(i);
            for (uint256 j; j < i; ++j) {
                if (c.members[i] == c.members[j]) revert DuplicateMember(c.members[i]);
            }
        }
        if (c.threshold > count || (c.threshold == 0 && count != 0)) revert InvalidThreshold(c.threshold, count);
        if (c.releaseDelayHours > MAX_RELEASE_DELAY_HOURS) {
            revert DelayTooLong(c.releaseDelayHours, MAX_RELEASE_DELAY_HOURS);
        }
        if (c.configDelayHours > MAX_CONFIG_DELAY_HOURS) {
            revert DelayTooLong(c.configDelayHours, MAX_CONFIG_DELAY_HOURS);
        }
        if (c.recoveryDays < MIN_RECOVERY_DAYS || c.recoveryDays > MAX_RECOVERY_DAYS) {
            revert RecoveryDaysOutOfRange(c.recoveryDays, MIN_RECOVERY_DAYS, MAX_RECOVERY_DAYS);
        }
        if (c.deadline <= block.timestamp) revert Expired(c.deadline);
        if (c.deadline > block.timestamp + MAX_DEADLINE_AHEAD) {
            revert DeadlineTooFar(c.deadline, block.timestamp + MAX_DEADLINE_AHEAD);
        }
        change = digestOf(c);
        Signatures.Walk memory walk = Signatures.begin(change, 0);
        Signatures.checkBitmap(signers, count, c.threshold);
        for (uint256 i; signers >> i != 0; ++i) {
            if ((signers >> i) & 1 == 1) Signatures.checkSeat(walk, i, c.members[i], signatures);
        }
        Signatures.end(walk, signatures);
    }

    function _checkMembers(
        bytes32 id,
        Name storage n,
        bytes32 digest,
        uint16 signers,
        uint256 need,
        bytes calldata signatures
    ) private view {
        Signatures.Walk memory walk = Signatures.begin(digest, 0);
        _checkSeats(walk, id, n, signers, need, signatures);
        Signatures.end(walk, signatures);
    }

    function _checkSeats(
        Signatures.Walk memory walk,
        bytes32 id,
        Name storage n,
        uint16 signers,
        uint256 need,
        bytes calldata signatures
    ) private view {
        Signatures.checkBitmap(signers, n.members, need);
        Seat[16] storage seats = _seats[id][n.epoch];
        uint256 seat;
        for (uint256 bits = signers; bits != 0; bits >>= 1) {
            if (bits & 1 == 1) Signatures.checkSeat(walk, seat, seats[seat].member, signatures);
            ++seat;
        }
    }

    /// What was signed for `PackageRegistry`, which alone may ask: an act ends a recovery and starts its clock again,
    /// and another contract could send what a team once signed for it as often as it likes. This says which
    /// contract's messages count, not whose word: anybody may relay through `PackageRegistry`.
    function _digestForPackages(bytes32 structHash) private view returns (bytes32) {
        if (msg.sender != address(packageRegistry)) revert NotPackageRegistry(msg.sender, address(packageRegistry));
        return TypedData.digest(msg.sender, structHash);
    }

    function _authorize(
        Signatures.Walk memory walk,
        bytes32 id,
        uint32 epoch,
        uint16 signers,
        bytes calldata signatures
    ) private returns (uint16) {
        Name storage n = _names[id];
        _checkFinal(n);
        if (epoch != n.epoch) revert WrongEpoch(epoch, n.epoch);
        _checkSeats(walk, id, n, signers, n.threshold, signatures);
        _acted(id, n);
        return n.releaseDelayHours;
    }

    function _checkFinal(Name storage n) private view {
        PackageState state = _stateOf(n);
        if (state == PackageState.None) revert NotClaimed();
        if (state == PackageState.Provisional) revert ClaimProvisional(n.finalAt);
        if (state == PackageState.Retired) revert Retired();
    }

    function _checkNext(Name storage n, Config calldata c) private view {
        if (c.epoch != uint256(n.epoch) + 1) revert WrongEpoch(c.epoch, uint256(n.epoch) + 1);
    }

    function _checkRegistrar(bytes32 digest, bytes calldata signature) private {
        if (!Signatures.isValid(registrar, digest, signature)) revert BadSignature(0);
        ++registrarNonce;
    }

    function _isNpmSignature(
        string memory packageName,
        string memory version,
        bytes memory integrity,
        uint256 keyIndex,
        bytes32 r,
        bytes32 s
    ) private view returns (bool) {
        if (keyIndex >= _npmKeys.length) revert NpmKeyNotValid(keyIndex);
        NpmKey memory key = _npmKeys[keyIndex];
        if (block.timestamp < key.validFrom || block.timestamp >= key.validTo) revert NpmKeyNotValid(keyIndex);
        return NpmSignature.verify(packageName, version, integrity, r, s, key.x, key.y);
    }

    // ----------------------------------------------------------------- Effects

    /// A proposal with a claim proof: a claim of a free or provisional name, else a recovery.
    function _admit(Config calldata c, bytes32 change, uint64 anchorBlock) private {
        bytes32 id = _id(c.packageName);
        Name storage n = _names[id];
        if (c.epoch != 0) return _startRecovery(id, c, change);

        PackageState state = _stateOf(n);
        if (state > PackageState.Provisional) revert AlreadyClaimed();
        if (state == PackageState.Provisional && anchorBlock <= n.anchorBlock) {
            revert AnchorNotNewer(anchorBlock, n.anchorBlock);
        }
        address previous = _ownerOf(uint256(id));
        n.anchorBlock = anchorBlock;
        n.finalAt = (block.timestamp + claimWindow).toUint40();
        _store(id, n, c, previous);
        emit PackageClaimed(id, c.packageName, c.members, c.threshold, c.legacyRoot, n.finalAt);
    }

    function _startRecovery(bytes32 id, Config calldata c, bytes32 change) private {
        Name storage n = _names[id];
        PackageState state = _stateOf(n);
        if (state == PackageState.None) revert NotClaimed();
        if (state == PackageState.Provisional) revert ClaimProvisional(n.finalAt);
        _checkNext(n, c);
        if (n.pendingChange != 0) revert ChangePending(n.pendingChange);
        uint256 silentUntil = n.lastActAt + ACT_GRAIN + uint256(n.recoveryDays) * 1 days;
        if (block.timestamp < silentUntil) revert NotReady(silentUntil);
        n.recoveryPending = true;
        _schedule(id, n, c, change, RECOVERY_WAIT);
    }

    function _schedule(bytes32 id, Name storage n, Config calldata c, bytes32 change, uint256 wait) private {
        n.pendingChange = change;
        n.pendingReadyAt = (block.timestamp + wait).toUint40();
        emit ChangeScheduled(id, change, c, n.pendingReadyAt, n.recoveryPending);
    }

    /// M members were heard of: no recovery goes on.
    function _acted(bytes32 id, Name storage n) private {
        if (n.recoveryPending) _drop(id, n);
        if (block.timestamp > n.lastActAt + ACT_GRAIN) n.lastActAt = uint40(block.timestamp);
    }

    function _drop(bytes32 id, Name storage n) private {
        emit ChangeDropped(id, n.pendingChange);
        n.pendingChange = 0;
        n.pendingReadyAt = 0;
        n.recoveryPending = false;
    }

    function _apply(bytes32 id, Name storage n, Config calldata c) private {
        address previous = _ownerOf(uint256(id));
        n.pendingChange = 0;
        n.pendingReadyAt = 0;
        n.recoveryPending = false;
        _store(id, n, c, previous);
        emit ConfigChanged(id, c.packageName, c.epoch, c.members, c.threshold);
    }

    function _store(bytes32 id, Name storage n, Config calldata c, address previous) private {
        uint8 count = uint8(c.members.length);
        n.threshold = c.threshold;
        n.members = count;
        n.releaseDelayHours = c.releaseDelayHours;
        n.configDelayHours = c.configDelayHours;
        n.recoveryDays = c.recoveryDays;
        n.epoch = c.epoch;
        n.lastActAt = uint40(block.timestamp);
        n.guardian = c.guardian;
        n.legacyRoot = c.legacyRoot;
        Seat[16] storage seats = _seats[id][c.epoch];
        for (uint256 i; i < count; ++i) {
            seats[i] = i == 0 ? Seat(c.members[0], count, c.threshold) : Seat(c.members[i], 0, 0);
        }
        _moved(previous, count == 0 ? address(0) : c.members[0], uint256(id));
    }

    /// No signature fits a point off the curve: better said now than when the first claim needs the key.
    function _addNpmKey(NpmKey memory key) private {
        if (!P256.isValidPublicKey(key.x, key.y)) revert NotOnCurve(key.x, key.y);
        emit NpmKeyAdded(_npmKeys.length, key.x, key.y, key.validFrom, key.validTo);
        _npmKeys.push(key);
    }

    // ------------------------------------------------------------------ Values

    function _id(string calldata packageName) private pure returns (bytes32) {
        return TypedData.hash(packageName);
    }

    /// What both the proof and the claim are about. The block keeps proofs from being stockpiled.
    function _commitment(bytes32 change, uint64 anchorBlock) private view returns (bytes32) {
        return keccak256(abi.encode(change, Anchor.blockHash(anchorBlock)));
    }

    function _stateOf(Name storage n) private view returns (PackageState) {
        if (n.finalAt == 0) return PackageState.None;
        if (block.timestamp < n.finalAt) return PackageState.Provisional;
        return n.members == 0 ? PackageState.Retired : PackageState.Final;
    }

    function _ownerOf(uint256 tokenId) internal view override returns (address) {
        Name storage n = _names[bytes32(tokenId)];
        return n.members == 0 ? address(0) : _seats[bytes32(tokenId)][n.epoch][0].member;
    }
}
