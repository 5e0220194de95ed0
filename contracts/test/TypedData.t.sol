// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base64} from "solady/utils/Base64.sol";
import {SafetyRegistry} from "../src/SafetyRegistry.sol";
import "./World.sol";

/// The digests on chain against two encoders that are not ours: forge's, on random messages, and whoever wrote
/// `fixtures/vectors/typed-data.json`.
contract TypedDataTest is World {
    string private constant CONFIG =
        "Config(string packageName,address[] members,uint8 threshold,uint16 releaseDelayHours,uint16 configDelayHours,uint16 recoveryDays,address guardian,bytes32 legacyRoot,uint32 epoch,uint256 deadline)";
    string private constant RELEASE =
        "Release(string packageName,string version,string integrity,bytes32 contentHash,bytes32 gitSha,string ciRunUrl,uint32 epoch,uint256 nonce,uint256 deadline)";
    string private constant REVOCATION =
        "Revocation(string packageName,string version,uint8 reason,string note,uint32 epoch,uint256 deadline)";
    string private constant FLAG = "Flag(string packageName,string version,string note,uint256 deadline)";
    string private constant REPORT =
        "Report(string packageName,string version,string integrity,bytes32 report,string location,bytes32 previous)";

    SafetyRegistry private safety;

    function setUp() public override {
        super.setUp();
        safety = SafetyRegistry(create("SafetyRegistry", ""));
    }

    /// `Release` as it is signed.
    struct Release {
        string packageName;
        string version;
        string integrity;
        bytes32 contentHash;
        bytes32 gitSha;
        string ciRunUrl;
        uint32 epoch;
        uint256 nonce;
        uint256 deadline;
    }

    struct Report {
        string packageName;
        string version;
        string integrity;
        bytes32 report;
        string location;
        bytes32 previous;
    }

    function spelled(bytes32 hi, bytes32 lo) private pure returns (string memory) {
        return string.concat("sha512-", Base64.encode(abi.encodePacked(hi, lo)));
    }

    function signed(ReleaseInput memory r) private pure returns (Release memory) {
        return Release(
            r.packageName,
            r.version,
            spelled(r.sha512Hi, r.sha512Lo),
            r.contentHash,
            r.gitSha,
            r.ciRunUrl,
            r.epoch,
            r.nonce,
            r.deadline
        );
    }

    function expected(address verifier, string memory definition, bytes memory message) private view returns (bytes32) {
        bytes32 domain = vm.eip712HashStruct(
            "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)",
            dynamic(abi.encode("3pm", "1", block.chainid, verifier))
        );
        return keccak256(abi.encodePacked(hex"1901", domain, vm.eip712HashStruct(definition, message)));
    }

    /// The fields of a struct that holds strings, as `abi.encode` writes the struct itself.
    function dynamic(bytes memory encodedFields) private pure returns (bytes memory) {
        return bytes.concat(bytes32(uint256(32)), encodedFields);
    }

    /// forge-config: default.fuzz.runs = 10000
    function testFuzz_config(Config memory c) public view {
        bytes memory message = abi.encode(
            c.packageName,
            c.members,
            c.threshold,
            c.releaseDelayHours,
            c.configDelayHours,
            c.recoveryDays,
            c.guardian,
            c.legacyRoot,
            c.epoch,
            c.deadline
        );
        same(names.digestOf(c), expected(address(names), CONFIG, dynamic(message)), "Config");
    }

    /// forge-config: default.fuzz.runs = 10000
    function testFuzz_release(ReleaseInput memory r) public view {
        same(packages.digestOf(r), expected(address(packages), RELEASE, abi.encode(signed(r))), "Release");
    }

    /// forge-config: default.fuzz.runs = 2000
    function testFuzz_release_batch(ReleaseInput[] memory rs) public view {
        Release[] memory list = new Release[](rs.length);
        for (uint256 i; i < rs.length; ++i) {
            list[i] = signed(rs[i]);
        }
        string memory definition = string.concat("ReleaseBatch(Release[] releases)", RELEASE);
        same(packages.digestOfBatch(rs), expected(address(packages), definition, dynamic(abi.encode(list))), "ReleaseBatch");
    }

    /// forge-config: default.fuzz.runs = 10000
    function testFuzz_revocation(RevocationInput memory r) public view {
        bytes memory message = abi.encode(r.packageName, r.version, r.reason, r.note, r.epoch, r.deadline);
        same(packages.digestOfRevocation(r), expected(address(packages), REVOCATION, dynamic(message)), "Revocation");
    }

    /// forge-config: default.fuzz.runs = 10000
    function testFuzz_flag(FlagInput memory f) public view {
        bytes memory message = abi.encode(f.packageName, f.version, f.note, f.deadline);
        same(packages.digestOfFlag(f), expected(address(packages), FLAG, dynamic(message)), "Flag");
    }

    /// forge-config: default.fuzz.runs = 10000
    function testFuzz_veto_and_withdrawal(string memory packageName, string memory version, uint256 nonce)
        public
        view
    {
        same(
            packages.digestOfVeto(packageName, version),
            expected(address(packages), "Veto(string packageName,string version)", dynamic(abi.encode(packageName, version))),
            "Veto"
        );
        same(
            packages.digestOfWithdrawal(packageName, nonce),
            expected(
                address(packages),
                "Withdrawal(string packageName,uint256 nonce)",
                dynamic(abi.encode(packageName, nonce))
            ),
            "Withdrawal"
        );
    }

    /// forge-config: default.fuzz.runs = 10000
    function testFuzz_report(ReportInput memory r) public view {
        bytes memory message = abi.encode(
            r.packageName, r.version, spelled(r.sha512Hi, r.sha512Lo), r.report, r.location, r.previous
        );
        same(safety.digestOf(r), expected(address(safety), REPORT, dynamic(message)), "Report");
    }

    function testFuzz_the_messages_of_members_and_registrar(bytes32 word, address next, NpmKey memory key, uint256 nonce)
        public
        view
    {
        address at_ = address(names);
        same(names.digestOfCancel(word), expected(at_, "Cancel(bytes32 change)", abi.encode(word)), "Cancel");
        same(
            names.digestOfRegistrarProof(word),
            expected(at_, "RegistrarProof(bytes32 commitment)", abi.encode(word)),
            "RegistrarProof"
        );
        same(
            names.digestOfRegistrarRotation(next, nonce),
            expected(at_, "RegistrarRotation(address registrar,uint256 nonce)", abi.encode(next, nonce)),
            "RegistrarRotation"
        );
        same(
            names.digestOfNpmKeyAddition(key, nonce),
            expected(
                at_,
                "NpmKeyAddition(bytes32 x,bytes32 y,uint64 validFrom,uint64 validTo,uint256 nonce)",
                abi.encode(key.x, key.y, key.validFrom, key.validTo, nonce)
            ),
            "NpmKeyAddition"
        );
        same(
            names.digestOfNpmKeyRemoval(nonce, uint256(word)),
            expected(at_, "NpmKeyRemoval(uint256 keyIndex,uint256 nonce)", abi.encode(nonce, word)),
            "NpmKeyRemoval"
        );
    }
}
