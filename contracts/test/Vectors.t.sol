// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base64} from "solady/utils/Base64.sol";
import {SafetyRegistry} from "../src/SafetyRegistry.sol";
import "./World.sol";

/// `fixtures/vectors/typed-data.json`, which Rust and a JavaScript library read as well: the same digests here.
contract VectorsTest is World {
    string private vectors;
    SafetyRegistry private safety;

    function setUp() public override {
        super.setUp();
        vectors = vm.readFile("../fixtures/vectors/typed-data.json");
        vm.chainId(vm.parseJsonUint(vectors, ".domain.chainId"));
        names = NameRegistry(moved(address(names), ".domain.nameRegistry"));
        packages = PackageRegistry(moved(address(packages), ".domain.packageRegistry"));
        safety = SafetyRegistry(moved(create("SafetyRegistry", ""), ".domain.safetyRegistry"));
    }

    /// The deployed code at the address that the vectors were made for.
    function moved(address from, string memory path) private returns (address to) {
        to = vm.parseJsonAddress(vectors, path);
        vm.etch(to, from.code);
    }

    function test_every_vector_has_the_digest_of_the_contracts() public view {
        uint256 count;
        for (; vm.keyExistsJson(vectors, string.concat(".cases[", vm.toString(count), "]")); ++count) {
            string memory path = string.concat(".cases[", vm.toString(count), "]");
            bytes32 digest = vm.parseJsonBytes32(vectors, string.concat(path, ".digest"));
            same(digestOf(path), digest, path);
        }
        yes(count >= 13, "a case of each type at least");
    }

    function digestOf(string memory path) private view returns (bytes32) {
        bytes32 kind = keccak256(bytes(vm.parseJsonString(vectors, string.concat(path, ".type"))));
        string memory message = string.concat(path, ".message");
        if (kind == keccak256("Config")) return names.digestOf(readConfig(message));
        if (kind == keccak256("Cancel")) return names.digestOfCancel(word(message, "change"));
        if (kind == keccak256("RegistrarProof")) return names.digestOfRegistrarProof(word(message, "commitment"));
        if (kind == keccak256("RegistrarRotation")) {
            address next = vm.parseJsonAddress(vectors, string.concat(message, ".registrar"));
            return names.digestOfRegistrarRotation(next, number(message, "nonce"));
        }
        if (kind == keccak256("NpmKeyAddition")) {
            NpmKey memory key = NpmKey(
                word(message, "x"),
                word(message, "y"),
                uint64(number(message, "validFrom")),
                uint64(number(message, "validTo"))
            );
            return names.digestOfNpmKeyAddition(key, number(message, "nonce"));
        }
        if (kind == keccak256("NpmKeyRemoval")) {
            return names.digestOfNpmKeyRemoval(number(message, "keyIndex"), number(message, "nonce"));
        }
        if (kind == keccak256("Report")) return safety.digestOf(readReport(message));
        if (kind == keccak256("Release")) return packages.digestOf(readRelease(message));
        if (kind == keccak256("ReleaseBatch")) return packages.digestOfBatch(readBatch(message));
        if (kind == keccak256("Withdrawal")) {
            return packages.digestOfWithdrawal(text(message, "packageName"), number(message, "nonce"));
        }
        if (kind == keccak256("Veto")) {
            return packages.digestOfVeto(text(message, "packageName"), text(message, "version"));
        }
        if (kind == keccak256("Flag")) {
            return packages.digestOfFlag(
                FlagInput(
                    text(message, "packageName"),
                    text(message, "version"),
                    text(message, "note"),
                    number(message, "deadline")
                )
            );
        }
        if (kind == keccak256("Revocation")) {
            return packages.digestOfRevocation(
                RevocationInput(
                    text(message, "packageName"),
                    text(message, "version"),
                    uint8(number(message, "reason")),
                    text(message, "note"),
                    uint32(number(message, "epoch")),
                    number(message, "deadline")
                )
            );
        }
        revert Unequal("unknown type", bytes(path), "");
    }

    function readConfig(string memory m) private view returns (Config memory c) {
        c.packageName = text(m, "packageName");
        c.members = vm.parseJsonAddressArray(vectors, string.concat(m, ".members"));
        c.threshold = uint8(number(m, "threshold"));
        c.releaseDelayHours = uint16(number(m, "releaseDelayHours"));
        c.configDelayHours = uint16(number(m, "configDelayHours"));
        c.recoveryDays = uint16(number(m, "recoveryDays"));
        c.guardian = vm.parseJsonAddress(vectors, string.concat(m, ".guardian"));
        c.legacyRoot = word(m, "legacyRoot");
        c.epoch = uint32(number(m, "epoch"));
        c.deadline = number(m, "deadline");
    }

    function readRelease(string memory m) private view returns (ReleaseInput memory r) {
        r.packageName = text(m, "packageName");
        r.version = text(m, "version");
        (r.sha512Hi, r.sha512Lo) = bytesOf(text(m, "integrity"));
        r.contentHash = word(m, "contentHash");
        r.gitSha = word(m, "gitSha");
        r.ciRunUrl = text(m, "ciRunUrl");
        r.epoch = uint32(number(m, "epoch"));
        r.nonce = number(m, "nonce");
        r.deadline = number(m, "deadline");
    }

    function readReport(string memory m) private view returns (ReportInput memory r) {
        r.packageName = text(m, "packageName");
        r.version = text(m, "version");
        (r.sha512Hi, r.sha512Lo) = bytesOf(text(m, "integrity"));
        r.report = word(m, "report");
        r.location = text(m, "location");
        r.previous = word(m, "previous");
    }

    function readBatch(string memory m) private view returns (ReleaseInput[] memory rs) {
        uint256 count;
        while (vm.keyExistsJson(vectors, string.concat(m, ".releases[", vm.toString(count), "]"))) ++count;
        rs = new ReleaseInput[](count);
        for (uint256 i; i < count; ++i) {
            rs[i] = readRelease(string.concat(m, ".releases[", vm.toString(i), "]"));
        }
    }

    function text(string memory path, string memory field) private view returns (string memory) {
        return vm.parseJsonString(vectors, string.concat(path, ".", field));
    }

    function number(string memory path, string memory field) private view returns (uint256) {
        return vm.parseJsonUint(vectors, string.concat(path, ".", field));
    }

    function word(string memory path, string memory field) private view returns (bytes32) {
        return vm.parseJsonBytes32(vectors, string.concat(path, ".", field));
    }

    function bytesOf(string memory integrity) private pure returns (bytes32 hi, bytes32 lo) {
        same(bytes(integrity).length, 95, "an integrity of one sha512");
        bytes memory base64 = new bytes(88);
        for (uint256 i; i < 88; ++i) {
            base64[i] = bytes(integrity)[i + 7];
        }
        return abi.decode(Base64.decode(string(base64)), (bytes32, bytes32));
    }
}
