// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {Errors} from "../../src/Errors.sol";
import {P256Signer} from "../../src/signers/P256Signer.sol";
import {SignerFactory} from "../../src/signers/SignerFactory.sol";
import {Vm} from "../Vm.sol";

/// Signatures that browsers and ssh-keygen really made (fixtures/signers.json), and every check broken by
/// one test each. Keys made here (`signP256`) serve where a fixture cannot be bent without its private key.
contract SignersTest {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    bytes4 private constant ACCEPTED = IERC1271.isValidSignature.selector;
    bytes4 private constant REFUSED = 0xffffffff;
    uint256 private constant CASES = 14;
    uint256 private constant ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551;

    string private fixtures;
    SignerFactory private factory;

    struct Case {
        SignerFactory.Kind kind;
        address signer;
        bytes32 digest;
        P256Signer.Key key;
        bytes packed;
    }

    function setUp() public {
        fixtures = vm.readFile("../fixtures/signers.json");
        bytes memory code = vm.getCode("artifacts/SignerFactory.json"); // the very bytes that are deployed
        address created;
        assembly ("memory-safe") {
            created := create(0, add(code, 32), mload(code))
        }
        factory = SignerFactory(created);
    }

    // ---------------------------------------------------------- Real signatures

    function test_every_real_signature_is_accepted_by_its_signer() public {
        for (uint256 i; i < CASES; ++i) {
            Case memory c = _case(i);
            require(_ask(c.signer, c.digest, c.packed) == ACCEPTED, vm.toString(i));
        }
        require(!vm.keyExistsJson(fixtures, _path(CASES, "")), "a fixture that no test reads");
    }

    function test_no_other_digest_is_accepted() public {
        for (uint256 i; i < CASES; ++i) {
            Case memory c = _case(i);
            require(_ask(c.signer, c.digest ^ bytes32(uint256(1)), c.packed) == REFUSED, vm.toString(i));
        }
    }

    /// One key, two signers with different needs: the challenge names the signer.
    function test_a_signature_counts_for_one_signer_only() public {
        for (uint256 i; i < CASES; ++i) {
            Case memory c = _case(i);
            P256Signer.Key memory other = c.key;
            other.need = c.key.need == 5 ? 1 : 5;
            address twin = factory.create(c.kind, other);
            require(_ask(twin, c.digest, c.packed) == REFUSED, vm.toString(i));
        }
    }

    /// r, s, flags, counter and everything behind them: no bit is free.
    function test_flipping_any_byte_is_refused() public {
        for (uint256 i; i < CASES; i += 3) {
            Case memory c = _case(i);
            for (uint256 position; position < c.packed.length; ++position) {
                c.packed[position] ^= 0x01;
                require(_ask(c.signer, c.digest, c.packed) == REFUSED, vm.toString(position));
                c.packed[position] ^= 0x01;
            }
        }
    }

    function test_truncated_and_extended_signatures_are_refused() public {
        for (uint256 i; i < CASES; i += 3) {
            Case memory c = _case(i);
            require(_ask(c.signer, c.digest, bytes.concat(c.packed, hex"00")) == REFUSED, "extended");
            for (uint256 length; length < c.packed.length; ++length) {
                require(_ask(c.signer, c.digest, _cut(c.packed, length)) == REFUSED, vm.toString(length));
            }
        }
    }

    function test_the_high_s_twin_is_refused() public {
        for (uint256 i; i < CASES; ++i) {
            Case memory c = _case(i);
            require(_ask(c.signer, c.digest, _withHighS(c.packed)) == REFUSED, vm.toString(i));
        }
    }

    /// The same addresses as Rust and JavaScript compute.
    function test_the_address_of_a_clone_follows_from_the_key() public {
        address maker = vm.parseJsonAddress(fixtures, ".factory");
        for (uint256 i; i < CASES; ++i) {
            Case memory c = _case(i);
            bool passkey = c.kind == SignerFactory.Kind.Passkey;
            address implementation =
                vm.parseJsonAddress(fixtures, passkey ? ".implementations.Passkey" : ".implementations.SshSk");
            address predicted =
                Clones.predictDeterministicAddressWithImmutableArgs(implementation, abi.encode(c.key), 0, maker);
            require(predicted == vm.parseJsonAddress(fixtures, _path(i, ".clone")), vm.toString(i));
        }
    }

    // ------------------------------------------------- Each check, broken alone

    function test_presence_is_not_enough_where_verification_is_needed() public {
        require(_made(SignerFactory.Kind.Passkey, 5, 0x05, "") == ACCEPTED, "both");
        require(_made(SignerFactory.Kind.Passkey, 5, 0x01, "") == REFUSED, "presence");
        require(_made(SignerFactory.Kind.Passkey, 5, 0x04, "") == REFUSED, "verification");
        require(_made(SignerFactory.Kind.SshSk, 5, 0x01, "") == REFUSED, "ssh");
    }

    function test_presence_is_always_needed() public {
        require(_made(SignerFactory.Kind.Passkey, 1, 0x01, "") == ACCEPTED, "presence");
        require(_made(SignerFactory.Kind.Passkey, 1, 0x05, "") == ACCEPTED, "both");
        require(_made(SignerFactory.Kind.Passkey, 1, 0x00, "") == REFUSED, "none");
        require(_made(SignerFactory.Kind.Passkey, 1, 0x04, "") == REFUSED, "verification alone");
    }

    function test_backup_flags_of_synced_passkeys_are_accepted() public {
        require(_made(SignerFactory.Kind.Passkey, 5, 0x1D, "") == ACCEPTED, "synced");
    }

    function test_attested_data_and_extensions_are_refused() public {
        require(_made(SignerFactory.Kind.Passkey, 1, 0x41, "") == REFUSED, "attested data");
        require(_made(SignerFactory.Kind.Passkey, 1, 0x81, "") == REFUSED, "extensions");
        require(_made(SignerFactory.Kind.SshSk, 1, 0x81, "") == REFUSED, "ssh");
    }

    function test_bytes_behind_an_ssh_signature_are_refused() public {
        require(_made(SignerFactory.Kind.SshSk, 1, 0x01, "") == ACCEPTED, "none");
        require(_made(SignerFactory.Kind.SshSk, 1, 0x01, "x") == REFUSED, "one");
    }

    function test_another_relying_party_is_refused() public {
        Case memory c = _case(0);
        c.key.relyingParty = sha256("evil.example");
        vm.etch(c.signer, factory.create(c.kind, c.key).code);
        require(_ask(c.signer, c.digest, c.packed) == REFUSED, "relying party");
    }

    function test_a_passkey_signature_is_no_ssh_signature_of_the_same_key() public {
        Case memory c = _case(0);
        vm.etch(c.signer, factory.create(SignerFactory.Kind.SshSk, c.key).code);
        require(_ask(c.signer, c.digest, c.packed) == REFUSED, "kind");
        require(_ask(c.signer, c.digest, _cut(c.packed, 69)) == REFUSED, "kind, cut");
    }

    // ------------------------------------------------------------------ Factory

    function test_creation_is_open_and_idempotent_and_the_address_is_known_before() public {
        Case memory c = _case(0);
        c.key.need = 1;
        address expected = factory.addressOf(c.kind, c.key);
        require(expected.code.length == 0, "fresh");
        vm.expectEmit(address(factory));
        emit SignerFactory.SignerCreated(expected, c.kind, c.key);
        require(factory.create(c.kind, c.key) == expected, "address");
        vm.prank(address(0xBEEF));
        vm.recordLogs();
        require(factory.create(c.kind, c.key) == expected, "again");
        require(vm.getRecordedLogs().length == 0, "told once");
        Case memory ssh = _case(CASES - 1);
        ssh.key.need = 1;
        expected = factory.addressOf(ssh.kind, ssh.key);
        vm.expectEmit(address(factory));
        emit SignerFactory.SignerCreated(expected, ssh.kind, ssh.key);
        factory.create(ssh.kind, ssh.key);
        expected = factory.addressOf(c.kind, c.key);
        P256Signer.Key memory stored = P256Signer(expected).key();
        require(keccak256(abi.encode(stored)) == keccak256(abi.encode(c.key)), "key");
    }

    function test_every_part_of_the_key_and_the_kind_make_another_address() public view {
        P256Signer.Key memory key = P256Signer.Key(bytes32(uint256(1)), bytes32(uint256(2)), bytes32(uint256(3)), 5);
        address base = factory.addressOf(SignerFactory.Kind.Passkey, key);
        require(factory.addressOf(SignerFactory.Kind.SshSk, key) != base, "kind");
        key.need = 1;
        require(factory.addressOf(SignerFactory.Kind.Passkey, key) != base, "need");
        key.need = 5;
        key.relyingParty = bytes32(uint256(4));
        require(factory.addressOf(SignerFactory.Kind.Passkey, key) != base, "relying party");
    }

    function test_points_off_the_curve_and_the_point_at_infinity_are_refused() public {
        Case memory c = _case(0);
        P256Signer.Key memory key = c.key;
        key.y = bytes32(uint256(key.y) ^ 1);
        vm.expectRevert(abi.encodeWithSelector(Errors.NotOnCurve.selector, key.x, key.y));
        factory.create(c.kind, key);
        (key.x, key.y) = (bytes32(0), bytes32(0));
        vm.expectRevert(abi.encodeWithSelector(Errors.NotOnCurve.selector, key.x, key.y));
        factory.create(c.kind, key);
    }

    function test_needs_other_than_one_and_five_are_refused() public {
        Case memory c = _case(0);
        uint256[5] memory needs = [uint256(0), 2, 4, 7, 257];
        for (uint256 i; i < needs.length; ++i) {
            c.key.need = needs[i];
            vm.expectRevert(abi.encodeWithSelector(SignerFactory.BadNeed.selector, needs[i]));
            factory.create(c.kind, c.key);
        }
    }

    // ------------------------------------------------------------------ Gas

    function test_gas_of_each_kind() public {
        Case memory passkey = _case(0);
        Case memory ssh = _case(CASES - 1);
        vm.cool(passkey.signer);
        require(_ask(passkey.signer, passkey.digest, passkey.packed) == ACCEPTED, "passkey");
        vm.snapshotGasLastCall("signers", "isValidSignature, passkey");
        vm.cool(ssh.signer);
        require(_ask(ssh.signer, ssh.digest, ssh.packed) == ACCEPTED, "ssh");
        vm.snapshotGasLastCall("signers", "isValidSignature, ssh security key");
        passkey.key.need = 1;
        factory.create(passkey.kind, passkey.key);
        vm.snapshotGasLastCall("signers", "create");
    }

    // ------------------------------------------------------------------ Making

    /// Reads case `i` and puts its signer's code at the address the challenge was made for.
    function _case(uint256 i) private returns (Case memory c) {
        bool passkey = keccak256(bytes(vm.parseJsonString(fixtures, _path(i, ".kind")))) == keccak256("Passkey");
        c.kind = passkey ? SignerFactory.Kind.Passkey : SignerFactory.Kind.SshSk;
        c.signer = vm.parseJsonAddress(fixtures, _path(i, ".signer"));
        c.digest = vm.parseJsonBytes32(fixtures, _path(i, ".digest"));
        c.packed = vm.parseJsonBytes(fixtures, _path(i, ".packed"));
        c.key = P256Signer.Key({
            x: vm.parseJsonBytes32(fixtures, _path(i, ".x")),
            y: vm.parseJsonBytes32(fixtures, _path(i, ".y")),
            relyingParty: vm.parseJsonBytes32(fixtures, _path(i, ".relyingParty")),
            need: vm.parseJsonUint(fixtures, _path(i, ".need"))
        });
        vm.etch(c.signer, factory.create(c.kind, c.key).code);
    }

    function _path(uint256 i, string memory field) private pure returns (string memory) {
        return string.concat(".cases[", vm.toString(i), "]", field);
    }

    /// What an authenticator with a key of ours answers that sets `flags`, asked by a signer that needs `need`.
    function _made(SignerFactory.Kind kind, uint256 need, uint8 flags, bytes memory rest) private returns (bytes4) {
        (uint256 x, uint256 y) = vm.publicKeyP256(77);
        bytes32 relyingParty = sha256("3pm.localhost");
        P256Signer signer =
            P256Signer(factory.create(kind, P256Signer.Key(bytes32(x), bytes32(y), relyingParty, need)));
        bytes32 digest = keccak256("digest");
        bytes memory data = abi.encodePacked(flags, uint32(9));
        bytes32 messageHash = kind == SignerFactory.Kind.Passkey
            ? sha256(
                abi.encodePacked(
                    '{"type":"webauthn.get","challenge":"', _base64Url(signer.challengeOf(digest)), '"', rest
                )
            )
            : sha256(
                abi.encodePacked(
                    "SSHSIG", uint32(3), "3pm", uint32(0), uint32(6), "sha256", uint32(32),
                    sha256(abi.encodePacked(signer.challengeOf(digest)))
                )
            );
        (bytes32 r, bytes32 s) = vm.signP256(77, sha256(abi.encodePacked(relyingParty, data, messageHash)));
        if (uint256(s) > ORDER / 2) s = bytes32(ORDER - uint256(s));
        return _ask(address(signer), digest, abi.encodePacked(r, s, data, rest));
    }

    /// RFC 4648, section 5, without padding: written again, so that the library is not checked by itself.
    function _base64Url(bytes32 word) private pure returns (bytes memory text) {
        bytes memory alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        text = new bytes(43);
        for (uint256 i; i < 42; ++i) {
            text[i] = alphabet[(uint256(word) >> (250 - 6 * i)) & 63];
        }
        text[42] = alphabet[(uint256(word) << 2) & 63];
    }

    function _ask(address signer, bytes32 digest, bytes memory signature) private view returns (bytes4) {
        return IERC1271(signer).isValidSignature(digest, signature);
    }

    function _withHighS(bytes memory signature) private pure returns (bytes memory high) {
        high = bytes.concat(signature);
        assembly ("memory-safe") {
            let s := add(high, 64)
            mstore(s, sub(ORDER, mload(s)))
        }
    }

    function _cut(bytes memory from, uint256 length) private pure returns (bytes memory to) {
        to = new bytes(length);
        for (uint256 i; i < length; ++i) {
            to[i] = from[i];
        }
    }
}
