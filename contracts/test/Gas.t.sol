// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base64} from "solady/utils/Base64.sol";
import "./World.sol";

/// What transactions cost, each measured as one: 21,000, calldata, cold accounts and refunds included. Beside
/// them what a Safe 1.4.1 and EAS 1.9.0, as published on npm, take for the same four slots. Committed in
/// `snapshots/`; a run that differs fails (`npm run gas` writes them anew).
///
/// forge-config: default.isolate = true
contract GasTest is World {
    string private constant SAFE = "node_modules/@safe-global/safe-contracts/build/artifacts/contracts/";
    string private constant EAS = "node_modules/@ethereum-attestation-service/eas-contracts/artifacts/contracts/";

    // -------------------------------------------------------------------- Publish

    /// The second release of a package: its head and its name are no longer new.
    function publishes(uint256 m, uint256 n, string memory label) private {
        claim(NAME, n, uint8(m));
        publish(release(NAME, "1.0.0", 0), low(m));
        ReleaseInput memory r = release(NAME, "1.0.1", 1);
        bytes memory signatures = sign(low(m), packages.digestOf(r));
        packages.publish(r, low(m), signatures);
        vm.snapshotGasLastCall("publish", label);
    }

    function test_publish_1_of_1() public {
        publishes(1, 1, "1 of 1");
    }

    function test_publish_2_of_3() public {
        publishes(2, 3, "2 of 3");
    }

    function test_publish_3_of_5() public {
        publishes(3, 5, "3 of 5");
    }

    function test_publish_5_of_9() public {
        publishes(5, 9, "5 of 9");
    }

    function test_publish_3_of_5_as_the_first_act_in_a_week() public {
        claim(NAME, 5, 3);
        publish(release(NAME, "1.0.0", 0), 7);
        vm.warp(START + 8 days);
        ReleaseInput memory r = release(NAME, "1.0.1", 1);
        bytes memory signatures = sign(7, packages.digestOf(r));
        packages.publish(r, 7, signatures);
        vm.snapshotGasLastCall("publish", "3 of 5, first act in a week");
    }

    /// Every 64th release pays for a word of marks.
    function test_publish_3_of_5_into_a_new_group_of_nonces() public {
        claim(NAME, 5, 3);
        publish(release(NAME, "1.0.0", 63), 7);
        ReleaseInput memory r = release(NAME, "1.0.1", 64);
        bytes memory signatures = sign(7, packages.digestOf(r));
        packages.publish(r, 7, signatures);
        vm.snapshotGasLastCall("publish", "3 of 5, every 64th");
    }

    function test_batch_of_ten_packages() public {
        ReleaseInput[] memory rs = new ReleaseInput[](10);
        uint16[] memory bits = new uint16[](10);
        for (uint256 i; i < 10; ++i) {
            string memory packageName = string.concat("@mono/part-", vm.toString(i));
            claim(packageName, 5, 3);
            publish(release(packageName, "1.0.0", 0), 7);
            (rs[i], bits[i]) = (release(packageName, "1.0.1", 1), 7);
        }
        bytes memory signatures = sign(7, packages.digestOfBatch(rs));
        packages.publishBatch(rs, bits, signatures);
        vm.snapshotGasLastCall("publish", "batch of 10 packages, 3 of 5");
    }

    // ---------------------------------------------------------------------- Names

    function test_claim_by_the_registrar() public {
        claims(1, 1, "registrar, 1 of 1");
    }

    function test_claim_by_the_registrar_of_a_team() public {
        claims(3, 5, "registrar, 3 of 5");
    }

    function claims(uint256 m, uint256 n, string memory label) private {
        Config memory c = config(NAME, n, uint8(m));
        c.legacyRoot = "root";
        uint64 anchorBlock = anchor();
        bytes memory signatures = sign(low(m), names.digestOf(c));
        bytes memory proof = registrarProof(c, anchorBlock);
        names.claim(c, low(m), signatures, anchorBlock, proof);
        vm.snapshotGasLastCall("claim", label);
    }

    function test_claim_by_npms_signature() public {
        npmClaims(1, 1, "npm signature, 1 of 1");
    }

    function test_claim_by_npms_signature_of_a_team() public {
        npmClaims(3, 5, "npm signature, 3 of 5");
    }

    function npmClaims(uint256 m, uint256 n, string memory label) private {
        Config memory c = config(NAME, n, uint8(m));
        uint64 anchorBlock = anchor();
        bytes32 commitment = commitmentOf(c, anchorBlock);
        bytes memory digits = new bytes(64);
        for (uint256 i; i < 64; ++i) {
            digits[i] = bytes("0123456789abcdef")[uint8(commitment[i / 2] >> (i % 2 == 0 ? 4 : 0)) & 15];
        }
        bytes memory integrity = bytes(Base64.encode(abi.encodePacked(bytes32("hi"), bytes32("lo"))));
        bytes memory message = bytes.concat(bytes(NAME), "@0.0.0-3pm.0h", digits, ":sha512-", integrity);
        (bytes32 r, bytes32 s) = vm.signP256(NPM_KEY, sha256(message));
        bytes memory signatures = sign(low(m), names.digestOf(c));
        names.claimWithNpmSignature(c, low(m), signatures, anchorBlock, 0, "hi", "lo", r, s);
        vm.snapshotGasLastCall("claim", label);
    }

    function configures(Config memory c, uint16 bits, uint16 newBits, string memory label) private {
        bytes32 digest = names.digestOf(c);
        bytes memory signatures = sign(bits, digest);
        bytes memory newSignatures = sign(newBits, digest);
        names.configure(c, bits, signatures, newBits, newSignatures);
        vm.snapshotGasLastCall("config", label);
    }

    function test_config_without_change() public {
        claim(NAME, 5, 3);
        configures(nextConfig(NAME, 5, 3), 7, 7, "3 of 5 again");
    }

    function test_a_member_joins() public {
        claim(NAME, 2, 2);
        configures(nextConfig(NAME, 3, 2), 3, 3, "a third member joins 2 of 2");
    }

    function test_retire() public {
        claim(NAME, 3, 2);
        configures(nextConfig(NAME, 0, 0), 3, 0, "2 of 3 retires");
    }

    // --------------------------------------------------------------------- Others

    function test_revoke() public {
        claim(NAME, 5, 3);
        publish(release(NAME, "1.0.0", 0), 7);
        RevocationInput memory r = revocation(NAME, "1.0.0");
        bytes memory signatures = sign(7, packages.digestOfRevocation(r));
        packages.revoke(r, 7, signatures);
        vm.snapshotGasLastCall("other", "revoke, 3 of 5");
    }

    function test_tombstone() public {
        claim(NAME, 5, 3);
        RevocationInput memory r = revocation(NAME, "1.0.0");
        bytes memory signatures = sign(7, packages.digestOfRevocation(r));
        packages.revoke(r, 7, signatures);
        vm.snapshotGasLastCall("other", "tombstone, 3 of 5");
    }

    function test_veto_flag_and_withdraw() public {
        Config memory c = config(NAME, 5, 3);
        c.releaseDelayHours = 24;
        claim(c);
        publish(release(NAME, "1.0.0", 0), 7);
        publish(release(NAME, "1.0.1", 1), 7);
        bytes memory signature = sign(1, packages.digestOfVeto(NAME, "1.0.0"));
        packages.veto(NAME, "1.0.0", 1, signature);
        vm.snapshotGasLastCall("other", "veto");
        FlagInput memory f = FlagInput(NAME, "1.0.1", "odd behaviour", START + 1 days);
        signature = sign(1, packages.digestOfFlag(f));
        packages.flag(f, 1, signature);
        vm.snapshotGasLastCall("other", "flag");
        signature = sign(1, packages.digestOfWithdrawal(NAME, 2));
        packages.withdraw(NAME, 2, 1, signature);
        vm.snapshotGasLastCall("other", "withdraw");
    }

    // ------------------------------------------------------------- What others take

    function safe(uint256 m, uint256 n) private returns (Safe created) {
        address singleton = createFrom(string.concat(SAFE, "Safe.sol/Safe.json"), "");
        string memory proxy = string.concat(SAFE, "proxies/SafeProxy.sol/SafeProxy.json");
        created = Safe(createFrom(proxy, abi.encode(singleton)));
        address[] memory owners = people(0, n);
        created.setup(owners, m, address(0), "", address(0), address(0), 0, payable(address(0)));
    }

    /// The Safe's second transaction: its nonce is no longer new.
    function through(Safe wallet, uint256 m, address target, bytes[2] memory data, string memory label) private {
        for (uint256 round; round < 2; ++round) {
            bytes32 digest = wallet.getTransactionHash(
                target, 0, data[round], 0, 0, 0, 0, address(0), address(0), wallet.nonce()
            );
            bytes memory signatures = ascending(m, digest);
            wallet.execTransaction(target, 0, data[round], 0, 0, 0, 0, address(0), payable(address(0)), signatures);
        }
        vm.snapshotGasLastCall("compare", label);
    }

    /// A Safe wants its owners' signatures by rising address.
    function ascending(uint256 m, bytes32 digest) private pure returns (bytes memory signatures) {
        address last;
        for (uint256 i; i < m; ++i) {
            uint256 best = type(uint256).max;
            for (uint256 j; j < m; ++j) {
                if (person(j) > last && (best == type(uint256).max || person(j) < person(best))) best = j;
            }
            last = person(best);
            signatures = bytes.concat(signatures, rawSignature(key(best), digest));
        }
    }

    function safeWrites(uint256 m, uint256 n, string memory label) private {
        bytes[2] memory data;
        for (uint256 i; i < 2; ++i) {
            ReleaseInput memory r = release(NAME, i == 0 ? "1.0.0" : "1.0.1", i);
            data[i] = abi.encodeCall(FourSlots.write, (keccak256(abi.encode(i)), r.sha512Hi, r.sha512Lo, r.contentHash, r.gitSha));
        }
        Safe wallet = safe(m, n);
        through(wallet, m, address(new FourSlots()), data, string.concat(label, ", four slots and nothing else"));
        for (uint256 i; i < 2; ++i) {
            data[i] = abi.encodeCall(FourSlots.publish, (release(NAME, i == 0 ? "1.0.0" : "1.0.1", i)));
        }
        through(wallet, m, address(new FourSlots()), data, string.concat(label, ", the same input, slots and event"));
    }

    function test_safe_1_of_1() public {
        safeWrites(1, 1, "Safe 1 of 1");
    }

    function test_safe_2_of_3() public {
        safeWrites(2, 3, "Safe 2 of 3");
    }

    function test_safe_3_of_5() public {
        safeWrites(3, 5, "Safe 3 of 5");
    }

    function test_safe_5_of_9() public {
        safeWrites(5, 9, "Safe 5 of 9");
    }

    function attestation() private returns (Eas eas, bytes[2] memory data) {
        address registry = createFrom(string.concat(EAS, "SchemaRegistry.sol/SchemaRegistry.json"), "");
        eas = Eas(createFrom(string.concat(EAS, "EAS.sol/EAS.json"), abi.encode(registry)));
        bytes32 schema = EasSchemas(registry).register(
            "bytes32 sha512Hi,bytes32 sha512Lo,bytes32 contentHash,bytes32 meta", address(0), true
        );
        for (uint256 i; i < 2; ++i) {
            ReleaseInput memory r = release(NAME, i == 0 ? "1.0.0" : "1.0.1", i);
            bytes memory body = abi.encode(r.sha512Hi, r.sha512Lo, r.contentHash, r.gitSha);
            data[i] = abi.encodeCall(Eas.attest, (Eas.Request(schema, Eas.Data(address(0), 0, true, 0, body, 0))));
        }
    }

    function test_eas_by_one_key() public {
        (Eas eas, bytes[2] memory data) = attestation();
        (bool ok,) = address(eas).call(data[1]);
        yes(ok, "attested");
        vm.snapshotGasLastCall("compare", "EAS attestation by one key");
    }

    function test_eas_by_a_safe() public {
        (Eas eas, bytes[2] memory data) = attestation();
        through(safe(3, 5), 3, address(eas), data, "EAS attestation by a Safe 3 of 5");
    }

    function createFrom(string memory path, bytes memory arguments) private returns (address created) {
        bytes memory code = bytes.concat(vm.getCode(path), arguments);
        assembly ("memory-safe") {
            created := create(0, add(code, 32), mload(code))
        }
        if (created == address(0)) revert("not created");
    }
}

/// The least that could be called a registry, for whoever sends: the same four slots; and the same with the input
/// and the event that let anybody find out which release of which package they are about.
contract FourSlots {
    struct Record {
        bytes32 a;
        bytes32 b;
        bytes32 c;
        bytes32 d;
    }

    mapping(address => mapping(bytes32 => Record)) private records;

    event Published(
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
        uint256 nonce
    );

    function write(bytes32 key, bytes32 a, bytes32 b, bytes32 c, bytes32 d) external {
        records[msg.sender][key] = Record(a, b, c, d);
    }

    function publish(ReleaseInput calldata r) external {
        bytes32 id = keccak256(bytes(r.packageName));
        bytes32 versionHash = keccak256(bytes(r.version));
        records[msg.sender][keccak256(abi.encode(id, versionHash))] =
            Record(r.sha512Hi, r.sha512Lo, r.contentHash, r.gitSha);
        emit Published(
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
            r.nonce
        );
    }
}

interface Safe {
    function setup(
        address[] calldata owners,
        uint256 threshold,
        address to,
        bytes calldata data,
        address fallbackHandler,
        address paymentToken,
        uint256 payment,
        address payable paymentReceiver
    ) external;
    function nonce() external view returns (uint256);
    function getTransactionHash(
        address to,
        uint256 value,
        bytes calldata data,
        uint8 operation,
        uint256 safeTxGas,
        uint256 baseGas,
        uint256 gasPrice,
        address gasToken,
        address refundReceiver,
        uint256 nonce
    ) external view returns (bytes32);
    function execTransaction(
        address to,
        uint256 value,
        bytes calldata data,
        uint8 operation,
        uint256 safeTxGas,
        uint256 baseGas,
        uint256 gasPrice,
        address gasToken,
        address payable refundReceiver,
        bytes calldata signatures
    ) external returns (bool);
}

interface EasSchemas {
    function register(string calldata schema, address resolver, bool revocable) external returns (bytes32);
}

interface Eas {
    struct Data {
        address recipient;
        uint64 expirationTime;
        bool revocable;
        bytes32 refUID;
        bytes data;
        uint256 value;
    }

    struct Request {
        bytes32 schema;
        Data data;
    }

    function attest(Request calldata request) external payable returns (bytes32);
}
