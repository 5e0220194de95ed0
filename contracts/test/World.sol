// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Errors} from "../src/Errors.sol";
import {NameRegistry} from "../src/NameRegistry.sol";
import {PackageRegistry} from "../src/PackageRegistry.sol";
import "../src/Types.sol";
import {Vm} from "./Vm.sol";

/// A deployment, a registrar, npm's key and sixteen people with keys: what every test starts from.
abstract contract World {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    uint256 internal constant REGISTRAR_KEY = 0xaaaa;
    uint256 internal constant GUARDIAN_KEY = 0xbbbb;
    uint256 internal constant OUTSIDER_KEY = 0xcccc;
    uint256 internal constant NPM_KEY = 0xdddd;
    uint256 internal constant START = 1_800_000_000;
    uint64 internal constant FOREVER = type(uint64).max;
    string internal constant NAME = "left-pad";

    NameRegistry internal names;
    PackageRegistry internal packages;

    function setUp() public virtual {
        vm.warp(START);
        vm.roll(20_000);
        deploy(0);
    }

    function deploy(uint64 claimWindow) internal {
        (uint256 x, uint256 y) = vm.publicKeyP256(NPM_KEY);
        NpmKey[] memory keys = new NpmKey[](1);
        keys[0] = NpmKey(bytes32(x), bytes32(y), 0, FOREVER);
        bytes memory arguments = abi.encode("https://registry.example", vm.addr(REGISTRAR_KEY), claimWindow, keys);
        names = NameRegistry(create("NameRegistry", arguments));
        packages = names.packageRegistry();
    }

    /// Creates what is committed in `artifacts/`: the tests run the very bytes that are deployed.
    function create(string memory contractName, bytes memory arguments) internal returns (address created) {
        bytes memory code = bytes.concat(vm.getCode(string.concat("artifacts/", contractName, ".json")), arguments);
        assembly ("memory-safe") {
            created := create(0, add(code, 32), mload(code))
        }
        if (created == address(0)) revert("not created");
    }

    // ------------------------------- The same from outside, for what is to revert

    function claiming(Config memory c) external {
        claim(c);
    }

    function configuring(Config memory c, uint16 bits) external {
        configure(c, bits);
    }

    function publishing(ReleaseInput memory r, uint16 bits) external {
        publish(r, bits);
    }

    function cancelling(string memory packageName, bytes32 change, uint16 bits) external {
        cancel(packageName, change, bits);
    }

    function recovering(Config memory c) external {
        recover(c);
    }

    function revoking(RevocationInput memory r, uint16 bits) external {
        revoke(r, bits);
    }

    function vetoing(string memory packageName, string memory version, uint16 bits) external {
        veto(packageName, version, bits);
    }

    function flagging(FlagInput memory f, uint16 bits) external {
        flag(f, bits);
    }

    function withdrawing(string memory packageName, uint256 nonce, uint16 bits) external {
        withdraw(packageName, nonce, bits);
    }

    // ------------------------------------------------------------------ People

    /// The private key of person `i`; seat i of a team is person i unless a test says otherwise.
    function key(uint256 i) internal pure returns (uint256) {
        return 0x1000 + i;
    }

    function person(uint256 i) internal pure returns (address) {
        return vm.addr(key(i));
    }

    function people(uint256 first, uint256 count) internal pure returns (address[] memory list) {
        list = new address[](count);
        for (uint256 i; i < count; ++i) {
            list[i] = person(first + i);
        }
    }

    // -------------------------------------------------------------- Signatures

    function rawSignature(uint256 secret, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(secret, digest);
        return abi.encodePacked(r, s, v);
    }

    function frame(bytes memory signature) internal pure returns (bytes memory) {
        return bytes.concat(bytes2(uint16(signature.length)), signature);
    }

    /// Signatures of the set bits, where bit i is person `first + i`.
    function signAs(uint256 first, uint16 bits, bytes32 digest) internal pure returns (bytes memory blob) {
        for (uint256 i; i < 16; ++i) {
            if ((bits >> i) & 1 == 1) blob = bytes.concat(blob, frame(rawSignature(key(first + i), digest)));
        }
    }

    function sign(uint16 bits, bytes32 digest) internal pure returns (bytes memory) {
        return signAs(0, bits, digest);
    }

    // ------------------------------------------------------------------ Claims

    function config(string memory packageName, uint256 count, uint8 threshold)
        internal
        view
        returns (Config memory c)
    {
        c.packageName = packageName;
        c.members = people(0, count);
        c.threshold = threshold;
        c.recoveryDays = 180;
        c.deadline = time() + 1 days;
    }

    function nextConfig(string memory packageName, uint256 count, uint8 threshold)
        internal
        view
        returns (Config memory c)
    {
        c = config(packageName, count, threshold);
        c.epoch = names.getPackage(packageName).epoch + 1;
    }

    function low(uint256 count) internal pure returns (uint16) {
        return uint16((1 << count) - 1);
    }

    /// Asked of forge: the optimizer takes `block.timestamp` for constant within a function, and we warp.
    function time() internal view returns (uint256) {
        return vm.getBlockTimestamp();
    }

    function height() internal view returns (uint256) {
        return vm.getBlockNumber();
    }

    function anchor() internal returns (uint64 anchorBlock) {
        vm.roll(height() + 1);
        anchorBlock = uint64(height() - 1);
        vm.setBlockhash(anchorBlock, keccak256(abi.encode("block", anchorBlock)));
    }

    function commitmentOf(Config memory c, uint64 anchorBlock) internal view returns (bytes32) {
        return keccak256(abi.encode(names.digestOf(c), blockhash(anchorBlock)));
    }

    function registrarProof(Config memory c, uint64 anchorBlock) internal view returns (bytes memory) {
        return rawSignature(REGISTRAR_KEY, names.digestOfRegistrarProof(commitmentOf(c, anchorBlock)));
    }

    /// Claims, or starts a recovery, with the first `threshold` members' signatures.
    function claim(Config memory c) internal {
        uint64 anchorBlock = anchor();
        uint16 bits = low(c.threshold);
        names.claim(c, bits, sign(bits, names.digestOf(c)), anchorBlock, registrarProof(c, anchorBlock));
    }

    function claim(string memory packageName, uint256 count, uint8 threshold) internal {
        claim(config(packageName, count, threshold));
    }

    /// `bits` of the current team and the first members of the new one sign; both are people from 0 on.
    function configure(Config memory c, uint16 bits) internal {
        bytes32 digest = names.digestOf(c);
        uint16 newBits = low(c.threshold);
        names.configure(c, bits, sign(bits, digest), newBits, sign(newBits, digest));
    }

    function cancel(string memory packageName, bytes32 change, uint16 bits) internal {
        names.cancel(packageName, change, bits, sign(bits, names.digestOfCancel(change)));
    }

    /// The guardian starts a recovery with the first `threshold` members' signatures.
    function recover(Config memory c) internal {
        bytes32 digest = names.digestOf(c);
        uint16 bits = low(c.threshold);
        names.recover(c, bits, sign(bits, digest), rawSignature(GUARDIAN_KEY, digest));
    }

    // ---------------------------------------------------------------- Releases

    function release(string memory packageName, string memory version, uint256 nonce)
        internal
        view
        returns (ReleaseInput memory r)
    {
        r.packageName = packageName;
        r.version = version;
        r.sha512Hi = keccak256(abi.encode("hi", packageName, version));
        r.sha512Lo = keccak256(abi.encode("lo", packageName, version));
        r.contentHash = keccak256(abi.encode("content", packageName, version));
        r.gitSha = keccak256(abi.encode("git", packageName, version));
        r.ciRunUrl = "https://ci.example/runs/1";
        r.epoch = names.getPackage(packageName).epoch;
        r.nonce = nonce;
        r.deadline = time() + 1 days;
    }

    function publish(ReleaseInput memory r, uint16 bits) internal {
        packages.publish(r, bits, sign(bits, packages.digestOf(r)));
    }

    function veto(string memory packageName, string memory version, uint16 bits) internal {
        packages.veto(packageName, version, bits, sign(bits, packages.digestOfVeto(packageName, version)));
    }

    function flag(FlagInput memory f, uint16 bits) internal {
        packages.flag(f, bits, sign(bits, packages.digestOfFlag(f)));
    }

    function withdraw(string memory packageName, uint256 nonce, uint16 bits) internal {
        packages.withdraw(packageName, nonce, bits, sign(bits, packages.digestOfWithdrawal(packageName, nonce)));
    }

    function revocation(string memory packageName, string memory version)
        internal
        view
        returns (RevocationInput memory r)
    {
        r.packageName = packageName;
        r.version = version;
        r.reason = 1;
        r.note = "stolen token";
        r.epoch = names.getPackage(packageName).epoch;
        r.deadline = time() + 1 days;
    }

    function revoke(RevocationInput memory r, uint16 bits) internal {
        packages.revoke(r, bits, sign(bits, packages.digestOfRevocation(r)));
    }

    function statusOf(string memory packageName, string memory version) internal view returns (Status) {
        return packages.getRelease(packageName, version).status;
    }

    function id(string memory packageName) internal pure returns (bytes32) {
        return keccak256(bytes(packageName));
    }

    // -------------------------------------------------------------- Assertions

    error Unequal(string what, bytes have, bytes want);

    function same(uint256 have, uint256 want, string memory what) internal pure {
        if (have != want) revert Unequal(what, abi.encode(have), abi.encode(want));
    }

    function same(bytes32 have, bytes32 want, string memory what) internal pure {
        if (have != want) revert Unequal(what, abi.encode(have), abi.encode(want));
    }

    function same(address have, address want, string memory what) internal pure {
        if (have != want) revert Unequal(what, abi.encode(have), abi.encode(want));
    }

    function same(bytes memory have, bytes memory want, string memory what) internal pure {
        if (keccak256(have) != keccak256(want)) revert Unequal(what, have, want);
    }

    function same(address[] memory have, address[] memory want, string memory what) internal pure {
        if (keccak256(abi.encode(have)) != keccak256(abi.encode(want))) {
            revert Unequal(what, abi.encode(have), abi.encode(want));
        }
    }

    function yes(bool condition, string memory what) internal pure {
        if (!condition) revert Unequal(what, abi.encode(false), abi.encode(true));
    }

    function no(bool condition, string memory what) internal pure {
        if (condition) revert Unequal(what, abi.encode(true), abi.encode(false));
    }

    function same(Status have, Status want, string memory what) internal pure {
        same(uint256(have), uint256(want), what);
    }

    function same(PackageState have, PackageState want, string memory what) internal pure {
        same(uint256(have), uint256(want), what);
    }

    /// The next call reverts with exactly this.
    function refuses(bytes4 reason) internal {
        vm.expectRevert(abi.encodeWithSelector(reason));
    }

    function refuses(bytes4 reason, uint256 a) internal {
        vm.expectRevert(abi.encodeWithSelector(reason, a));
    }

    function refuses(bytes4 reason, uint256 a, uint256 b) internal {
        vm.expectRevert(abi.encodeWithSelector(reason, a, b));
    }

    function refuses(bytes4 reason, uint256 a, uint256 b, uint256 c) internal {
        vm.expectRevert(abi.encodeWithSelector(reason, a, b, c));
    }

    function refuses(bytes4 reason, string memory a) internal {
        vm.expectRevert(abi.encodeWithSelector(reason, a));
    }

    function bound(uint256 x, uint256 least, uint256 most) internal pure returns (uint256) {
        return least + (x % (most - least + 1));
    }
}
