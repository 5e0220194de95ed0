// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// Every reason the registries give for refusing, in one place, so that each ABI carries all of them:
/// `PackageRegistry` passes on what `NameRegistry` refused.
interface Errors {
    // Text
    error BadName(string packageName);
    error BadVersion(string version);

    // Time
    error Expired(uint256 deadline);
    error DeadlineTooFar(uint256 deadline, uint256 latest);
    error NotReady(uint256 readyAt);

    // Signatures
    error BadBitmap(uint16 signers, uint256 members);
    error TooFewSigners(uint256 have, uint256 need);
    error BadSignature(uint256 index);
    error TrailingBytes(uint256 read, uint256 given);
    error SignatureWithdrawn(uint256 index);
    error NotPackageRegistry(address have, address want);

    // Names
    error NotClaimed();
    error ClaimProvisional(uint256 finalAt);
    error Retired();
    error AlreadyClaimed();
    error WrongEpoch(uint256 have, uint256 want);
    error BadClaimProof();
    error StaleAnchor(uint256 anchorBlock);
    error AnchorNotNewer(uint256 have, uint256 above);
    error NpmKeyNotValid(uint256 keyIndex);
    error NotOnCurve(bytes32 x, bytes32 y);
    error TokenLocked();

    // Configurations
    error TooManyMembers(uint256 have, uint256 most);
    error ZeroMember(uint256 index);
    error DuplicateMember(address member);
    error InvalidThreshold(uint256 threshold, uint256 members);
    error DelayTooLong(uint256 have, uint256 most);
    error RecoveryDaysOutOfRange(uint256 have, uint256 least, uint256 most);
    error ChangePending(bytes32 change);
    error ChangeCancelled(bytes32 change);
    error WrongChange(bytes32 have, bytes32 want);
    error NoGuardian();

    // Releases
    error VersionExists();
    error NonceUsed(uint256 nonce);
    error NonceTooHigh(uint256 nonce);
    error BatchLength(uint256 releases, uint256 bitmaps);
    error NoRecord();
    error NotCooling(uint256 activeSince);
    error AlreadySettled();
    error WrongReport(bytes32 have, bytes32 want);
}
