// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Integrity} from "./Integrity.sol";
import {Config, FlagInput, ReleaseInput, ReportInput, RevocationInput} from "./Types.sol";

/// The messages that members and the registrar sign (EIP-712), each from the arguments it arrives in.
/// Checks nothing.
library TypedData {
    bytes32 private constant DOMAIN =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant CONFIG = keccak256(
        "Config(string packageName,address[] members,uint8 threshold,uint16 releaseDelayHours,uint16 configDelayHours,uint16 recoveryDays,address guardian,bytes32 legacyRoot,uint32 epoch,uint256 deadline)"
    );
    bytes32 private constant CANCEL = keccak256("Cancel(bytes32 change)");
    bytes32 private constant REGISTRAR_PROOF = keccak256("RegistrarProof(bytes32 commitment)");
    bytes32 private constant REGISTRAR_ROTATION = keccak256("RegistrarRotation(address registrar,uint256 nonce)");
    bytes32 private constant NPM_KEY_ADDITION =
        keccak256("NpmKeyAddition(bytes32 x,bytes32 y,uint64 validFrom,uint64 validTo,uint256 nonce)");
    bytes32 private constant NPM_KEY_REMOVAL = keccak256("NpmKeyRemoval(uint256 keyIndex,uint256 nonce)");
    bytes32 private constant RELEASE = keccak256(
        "Release(string packageName,string version,string integrity,bytes32 contentHash,bytes32 gitSha,string ciRunUrl,uint32 epoch,uint256 nonce,uint256 deadline)"
    );
    bytes32 private constant RELEASE_BATCH = keccak256(
        "ReleaseBatch(Release[] releases)Release(string packageName,string version,string integrity,bytes32 contentHash,bytes32 gitSha,string ciRunUrl,uint32 epoch,uint256 nonce,uint256 deadline)"
    );
    bytes32 private constant REVOCATION = keccak256(
        "Revocation(string packageName,string version,uint8 reason,string note,uint32 epoch,uint256 deadline)"
    );
    bytes32 private constant WITHDRAWAL = keccak256("Withdrawal(string packageName,uint256 nonce)");
    bytes32 private constant VETO = keccak256("Veto(string packageName,string version)");
    bytes32 private constant FLAG =
        keccak256("Flag(string packageName,string version,string note,uint256 deadline)");
    bytes32 private constant REPORT =
        keccak256("Report(string packageName,string version,string integrity,bytes32 report,string location,bytes32 previous)");

    /// What a signer signs: `structHash` in the domain of `verifyingContract`, on this chain.
    function digest(address verifyingContract, bytes32 structHash) internal view returns (bytes32) {
        bytes32 separator = keccak256(abi.encode(DOMAIN, keccak256("3pm"), keccak256("1"), block.chainid, verifyingContract));
        return keccak256(abi.encodePacked("\x19\x01", separator, structHash));
    }

    /// `keccak256` of a text, from calldata to scratch memory and no further.
    function hash(string calldata text) internal pure returns (bytes32 found) {
        assembly ("memory-safe") {
            let free := mload(0x40)
            calldatacopy(free, text.offset, text.length)
            found := keccak256(free, text.length)
        }
    }

    function hash(Config calldata c) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                CONFIG,
                hash(c.packageName),
                keccak256(abi.encodePacked(c.members)),
                c.threshold,
                c.releaseDelayHours,
                c.configDelayHours,
                c.recoveryDays,
                c.guardian,
                c.legacyRoot,
                c.epoch,
                c.deadline
            )
        );
    }

    function hashCancel(bytes32 change) internal pure returns (bytes32) {
        return keccak256(abi.encode(CANCEL, change));
    }

    function hashRegistrarProof(bytes32 commitment) internal pure returns (bytes32) {
        return keccak256(abi.encode(REGISTRAR_PROOF, commitment));
    }

    function hashRegistrarRotation(address registrar, uint256 nonce) internal pure returns (bytes32) {
        return keccak256(abi.encode(REGISTRAR_ROTATION, registrar, nonce));
    }

    function hashNpmKeyAddition(bytes32 x, bytes32 y, uint64 validFrom, uint64 validTo, uint256 nonce)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(NPM_KEY_ADDITION, x, y, validFrom, validTo, nonce));
    }

    function hashNpmKeyRemoval(uint256 keyIndex, uint256 nonce) internal pure returns (bytes32) {
        return keccak256(abi.encode(NPM_KEY_REMOVAL, keyIndex, nonce));
    }

    /// `id` and `versionHash` are the hashes of the name and the version, which the registry needs anyway.
    function hash(ReleaseInput calldata r, bytes32 id, bytes32 versionHash) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                RELEASE,
                id,
                versionHash,
                keccak256(Integrity.spell(r.sha512Hi, r.sha512Lo)),
                r.contentHash,
                r.gitSha,
                hash(r.ciRunUrl),
                r.epoch,
                r.nonce,
                r.deadline
            )
        );
    }

    function hashBatch(bytes32[] memory releases) internal pure returns (bytes32) {
        return keccak256(abi.encode(RELEASE_BATCH, keccak256(abi.encodePacked(releases))));
    }

    function hash(RevocationInput calldata r) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                REVOCATION,
                hash(r.packageName),
                hash(r.version),
                r.reason,
                hash(r.note),
                r.epoch,
                r.deadline
            )
        );
    }

    function hashWithdrawal(string calldata packageName, uint256 nonce) internal pure returns (bytes32) {
        return keccak256(abi.encode(WITHDRAWAL, hash(packageName), nonce));
    }

    function hashVeto(string calldata packageName, string calldata version) internal pure returns (bytes32) {
        return keccak256(abi.encode(VETO, hash(packageName), hash(version)));
    }

    function hash(FlagInput calldata f) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                FLAG, hash(f.packageName), hash(f.version), hash(f.note), f.deadline
            )
        );
    }

    function hash(ReportInput calldata r) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                REPORT,
                hash(r.packageName),
                hash(r.version),
                keccak256(Integrity.spell(r.sha512Hi, r.sha512Lo)),
                r.report,
                hash(r.location),
                r.previous
            )
        );
    }
}
