// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Errors} from "./Errors.sol";
import {Grammar} from "./Grammar.sol";
import {Signatures} from "./Signatures.sol";
import {TypedData} from "./TypedData.sol";
import {ReportInput} from "./Types.sol";

/// What a scorer said about the exact bytes of a release: one slot, `keccak256(report)` for each release and
/// scorer. It gates nothing; anybody may be a scorer, and a client chooses whom it believes.
contract SafetyRegistry is Errors {
    mapping(bytes32 release => mapping(address scorer => bytes32)) private _reports; // slot 0

    event Reported(
        bytes32 indexed id,
        bytes32 indexed versionHash,
        address indexed scorer,
        string packageName,
        string version,
        bytes32 sha512Hi,
        bytes32 sha512Lo,
        bytes32 report,
        string location
    );

    /// A report replaces exactly the one it names, so that an old one cannot be brought back by a relayer.
    function submit(ReportInput calldata r, address scorer, bytes calldata signature) external {
        if (!Grammar.isName(r.packageName)) revert BadName(r.packageName);
        if (!Grammar.isVersion(r.version)) revert BadVersion(r.version);
        bytes32 release = releaseOf(r.packageName, r.version, r.sha512Hi, r.sha512Lo);
        bytes32 current = _reports[release][scorer];
        if (r.previous != current) revert WrongReport(r.previous, current);
        if (!Signatures.isValid(scorer, digestOf(r), signature)) revert BadSignature(0);
        _reports[release][scorer] = r.report;
        emit Reported(
            TypedData.hash(r.packageName),
            TypedData.hash(r.version),
            scorer,
            r.packageName,
            r.version,
            r.sha512Hi,
            r.sha512Lo,
            r.report,
            r.location
        );
    }

    /// `keccak256` of the report of `scorer`; zero for none.
    function getReport(bytes32 release, address scorer) external view returns (bytes32) {
        return _reports[release][scorer];
    }

    function getReports(bytes32 release, address[] calldata scorers) external view returns (bytes32[] memory reports) {
        reports = new bytes32[](scorers.length);
        for (uint256 i; i < reports.length; ++i) {
            reports[i] = _reports[release][scorers[i]];
        }
    }

    /// Name, version and bytes: the same bytes under another name are another release.
    function releaseOf(string calldata packageName, string calldata version, bytes32 sha512Hi, bytes32 sha512Lo)
        public
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(TypedData.hash(packageName), TypedData.hash(version), sha512Hi, sha512Lo));
    }

    function digestOf(ReportInput calldata r) public view returns (bytes32) {
        return TypedData.digest(address(this), TypedData.hash(r));
    }
}
