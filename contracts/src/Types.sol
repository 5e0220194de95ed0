// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

// What goes into the registries and what comes out. How it is stored is in the registries themselves.

/// The whole state of a name. A claim is the one at epoch 0; every later one is at the current epoch + 1.
struct Config {
    string packageName;
    address[] members; // up to 16; none retires the name
    uint8 threshold;
    uint16 releaseDelayHours; // a release cools that long, at most 168
    uint16 configDelayHours; // the next change waits that long, at most 720
    uint16 recoveryDays; // without an act, before a recovery may start: 30 to 365
    address guardian; // may start a recovery; zero for nobody
    bytes32 legacyRoot; // over the versions of before the claim; zero for none
    uint32 epoch;
    uint256 deadline; // for submission
}

/// A key with which the npm registry signs what was published, judged by block time:
/// good from `validFrom` on and before `validTo`.
struct NpmKey {
    bytes32 x;
    bytes32 y;
    uint64 validFrom;
    uint64 validTo;
}

enum PackageState {
    None,
    Provisional,
    Final,
    Retired
}

/// What a reader is told of a name.
struct Package {
    PackageState state;
    uint8 threshold;
    uint16 releaseDelayHours;
    uint16 configDelayHours;
    uint16 recoveryDays;
    uint32 epoch;
    uint64 claimedAt;
    uint64 finalAt;
    uint64 lastActAt;
    address guardian;
    bytes32 legacyRoot;
    address[] members;
    bytes32 pendingChange; // digest of the Config that waits; zero for none
    uint64 pendingReadyAt;
    bool recoveryPending; // the change that waits is a recovery: any one member may cancel it
    uint64 retiredAt;
}

/// In whose name something is signed: `signers` has bit i for `members[i]` of `epoch`.
struct Act {
    bytes32 id;
    uint32 epoch;
    uint16 signers;
}

/// `Release` as it travels: the 64 raw bytes of the SHA-512 in place of `integrity`, which the
/// registry spells itself.
struct ReleaseInput {
    string packageName;
    string version;
    bytes32 sha512Hi;
    bytes32 sha512Lo;
    bytes32 contentHash;
    bytes32 gitSha;
    string ciRunUrl;
    uint32 epoch;
    uint256 nonce;
    uint256 deadline;
}

struct RevocationInput {
    string packageName;
    string version;
    uint8 reason;
    string note;
    uint32 epoch;
    uint256 deadline;
}

struct FlagInput {
    string packageName;
    string version;
    string note;
    uint256 deadline; // also the end of the flag
}

struct ReleaseKey {
    string packageName;
    string version;
}

enum Status {
    None,
    Active,
    Flagged,
    Cooling,
    Vetoed,
    Revoked
}

/// What a reader is told of a release. A tombstone is `Revoked` and zero in every other field.
struct ReleaseView {
    Status status;
    bytes32 sha512Hi;
    bytes32 sha512Lo;
    bytes32 contentHash;
    bytes20 gitSha;
    uint64 publishedAt;
    uint64 activeAt;
    uint16 signerBitmap;
    uint32 epoch;
    uint8 threshold;
    address[] signers;
    uint64 flaggedUntil;
}

/// What a scorer says about the exact bytes of a release.
struct ReportInput {
    string packageName;
    string version;
    bytes32 sha512Hi;
    bytes32 sha512Lo;
    bytes32 report; // keccak256 of the report
    string location; // where it can be read
    bytes32 previous; // the report it replaces; zero for the first
}
