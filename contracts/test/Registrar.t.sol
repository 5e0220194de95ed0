// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import "./World.sol";

/// What the registrar may do beside proofs: hand over, add an npm key slowly, end one at once.
contract RegistrarTest is World {
    uint256 private constant NEXT_KEY = 0xabcd;

    function test_the_registrar_hands_over_and_both_sign() public {
        address next = vm.addr(NEXT_KEY);
        bytes32 digest = names.digestOfRegistrarRotation(next, 0);
        bytes memory signature = rawSignature(REGISTRAR_KEY, digest);
        bytes memory nextSignature = rawSignature(NEXT_KEY, digest);
        bytes memory stranger = rawSignature(OUTSIDER_KEY, digest);
        refuses(Errors.BadSignature.selector, 0);
        names.rotateRegistrar(next, stranger, nextSignature);
        refuses(Errors.BadSignature.selector, 1);
        names.rotateRegistrar(next, signature, signature);
        vm.expectEmit(address(names));
        emit NameRegistry.RegistrarChanged(next);
        names.rotateRegistrar(next, signature, nextSignature);
        same(names.registrar(), next, "registrar");
        same(names.registrarNonce(), 1, "nonce");
        refuses(Errors.BadSignature.selector, 0);
        names.rotateRegistrar(next, signature, nextSignature);
        Config memory c = config(NAME, 1, 1);
        refuses(Errors.BadClaimProof.selector);
        this.claiming(c);
    }

    function test_an_old_hand_over_cannot_be_replayed() public {
        address first = names.registrar();
        address next = vm.addr(NEXT_KEY);
        bytes32 digest = names.digestOfRegistrarRotation(next, 0);
        bytes memory there = rawSignature(REGISTRAR_KEY, digest);
        bytes memory accepted = rawSignature(NEXT_KEY, digest);
        names.rotateRegistrar(next, there, accepted);
        digest = names.digestOfRegistrarRotation(first, 1);
        names.rotateRegistrar(first, rawSignature(NEXT_KEY, digest), rawSignature(REGISTRAR_KEY, digest));
        refuses(Errors.BadSignature.selector, 0);
        names.rotateRegistrar(next, there, accepted);
    }

    function test_nobody_hands_over_to_nobody() public {
        bytes memory signature = rawSignature(REGISTRAR_KEY, names.digestOfRegistrarRotation(address(0), 0));
        refuses(Errors.BadSignature.selector, 1);
        names.rotateRegistrar(address(0), signature, signature);
    }

    function test_a_hand_over_is_to_this_one_only() public {
        bytes32 digest = names.digestOfRegistrarRotation(vm.addr(NEXT_KEY), 0);
        bytes memory signature = rawSignature(REGISTRAR_KEY, digest);
        address other = vm.addr(OUTSIDER_KEY);
        bytes memory otherSignature = rawSignature(OUTSIDER_KEY, names.digestOfRegistrarRotation(other, 0));
        refuses(Errors.BadSignature.selector, 0);
        names.rotateRegistrar(other, signature, otherSignature);
    }

    function test_a_removal_is_of_this_key_and_counts_once() public {
        NpmKey memory key = newKey(0, FOREVER);
        names.addNpmKey(key, rawSignature(REGISTRAR_KEY, names.digestOfNpmKeyAddition(key, 0)));
        bytes memory signature = rawSignature(REGISTRAR_KEY, names.digestOfNpmKeyRemoval(0, 1));
        refuses(Errors.BadSignature.selector, 0);
        names.removeNpmKey(1, signature);
        names.removeNpmKey(0, signature);
        refuses(Errors.BadSignature.selector, 0);
        names.removeNpmKey(0, signature);
    }

    function newKey(uint64 validFrom, uint64 validTo) private pure returns (NpmKey memory) {
        (uint256 x, uint256 y) = vm.publicKeyP256(NEXT_KEY);
        return NpmKey(bytes32(x), bytes32(y), validFrom, validTo);
    }

    function test_a_new_npm_key_counts_after_thirty_days() public {
        NpmKey memory key = newKey(5, FOREVER);
        bytes memory signature = rawSignature(REGISTRAR_KEY, names.digestOfNpmKeyAddition(key, 0));
        bytes memory stranger = rawSignature(OUTSIDER_KEY, names.digestOfNpmKeyAddition(key, 0));
        refuses(Errors.BadSignature.selector, 0);
        names.addNpmKey(key, stranger);
        vm.expectEmit(address(names));
        emit NameRegistry.NpmKeyAdded(1, key.x, key.y, uint64(START + 30 days), FOREVER);
        names.addNpmKey(key, signature);
        same(names.npmKeyCount(), 2, "count");
        same(names.npmKeyAt(1).x, key.x, "x");
        same(names.npmKeyAt(1).y, key.y, "y");
        same(names.npmKeyAt(1).validFrom, START + 30 days, "validFrom");
        same(names.npmKeyAt(1).validTo, FOREVER, "validTo");
        refuses(Errors.BadSignature.selector, 0);
        names.addNpmKey(key, signature);
        key.validFrom = uint64(START + 90 days);
        key.validTo = uint64(START + 900 days);
        signature = rawSignature(REGISTRAR_KEY, names.digestOfNpmKeyAddition(key, 1));
        vm.expectEmit(address(names));
        emit NameRegistry.NpmKeyAdded(2, key.x, key.y, uint64(START + 90 days), uint64(START + 900 days));
        names.addNpmKey(key, signature);
        same(names.npmKeyAt(2).validFrom, START + 90 days, "a later start stays");
        bytes memory ending = rawSignature(REGISTRAR_KEY, names.digestOfNpmKeyRemoval(2, 2));
        vm.expectEmit(address(names));
        emit NameRegistry.NpmKeyRemoved(2);
        names.removeNpmKey(2, ending);
        (bytes32 r, bytes32 s) = vm.signP256(NPM_KEY, "any");
        refuses(Errors.NpmKeyNotValid.selector, 1);
        names.isNpmSignature(NAME, "1.0.0", 0, 0, 1, r, s);
    }

    function test_a_time_beyond_its_64_bits_is_not_cut() public {
        uint256 last = type(uint64).max;
        vm.warp(last - 1 days);
        NpmKey memory key = newKey(5, FOREVER);
        bytes memory signature = rawSignature(REGISTRAR_KEY, names.digestOfNpmKeyAddition(key, 0));
        refuses(bytes4(keccak256("SafeCastOverflowedUintDowncast(uint8,uint256)")), 64, last + 29 days);
        names.addNpmKey(key, signature);
    }

    function test_a_deployment_tells_its_registrar_and_its_keys() public {
        NpmKey[] memory keys = new NpmKey[](2);
        keys[0] = newKey(1, 2);
        (uint256 x, uint256 y) = vm.publicKeyP256(NPM_KEY);
        keys[1] = NpmKey(bytes32(x), bytes32(y), 3, FOREVER);
        bytes memory arguments = abi.encode("https://registry.example", vm.addr(NEXT_KEY), uint64(0), keys);
        vm.recordLogs();
        address made = create("NameRegistry", arguments);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        same(logs.length, 3, "events");
        for (uint256 i; i < logs.length; ++i) {
            same(logs[i].emitter, made, "emitter");
        }
        same(logs[0].topics[0], NameRegistry.RegistrarChanged.selector, "first");
        same(logs[0].data, abi.encode(vm.addr(NEXT_KEY)), "registrar");
        for (uint256 i; i < 2; ++i) {
            same(logs[i + 1].topics[0], NameRegistry.NpmKeyAdded.selector, "then");
            same(uint256(logs[i + 1].topics[1]), i, "keyIndex");
            same(logs[i + 1].data, abi.encode(keys[i]), "key");
        }
    }

    function test_every_part_of_a_new_key_is_signed() public {
        bytes memory signature = rawSignature(REGISTRAR_KEY, names.digestOfNpmKeyAddition(newKey(5, 6), 0));
        for (uint256 field; field < 4; ++field) {
            NpmKey memory other = newKey(5, 6);
            if (field == 0) other.x ^= bytes32(uint256(1));
            if (field == 1) other.y ^= bytes32(uint256(1));
            if (field == 2) other.validFrom = 6;
            if (field == 3) other.validTo = 7;
            refuses(Errors.BadSignature.selector, 0);
            names.addNpmKey(other, signature);
        }
    }

    function test_a_key_off_the_curve_is_refused() public {
        NpmKey memory key = newKey(5, FOREVER);
        key.y ^= bytes32(uint256(1));
        bytes memory signature = rawSignature(REGISTRAR_KEY, names.digestOfNpmKeyAddition(key, 0));
        vm.expectRevert(abi.encodeWithSelector(Errors.NotOnCurve.selector, key.x, key.y));
        names.addNpmKey(key, signature);
        key = NpmKey(0, 0, 5, FOREVER);
        signature = rawSignature(REGISTRAR_KEY, names.digestOfNpmKeyAddition(key, 0));
        vm.expectRevert(abi.encodeWithSelector(Errors.NotOnCurve.selector, key.x, key.y));
        names.addNpmKey(key, signature);
        same(names.npmKeyCount(), 1, "count");
    }

    function test_nothing_is_deployed_with_a_key_off_the_curve() public {
        NpmKey[] memory keys = new NpmKey[](1);
        keys[0] = newKey(0, FOREVER);
        keys[0].x ^= bytes32(uint256(1));
        vm.expectRevert(bytes("not created"));
        this.deploying(keys);
        keys[0].x ^= bytes32(uint256(1));
        this.deploying(keys);
    }

    function deploying(NpmKey[] memory keys) external {
        create("NameRegistry", abi.encode("https://registry.example", address(this), uint64(0), keys));
    }

    function test_an_npm_key_ends_at_once() public {
        (bytes32 r, bytes32 s) = vm.signP256(NPM_KEY, "any");
        no(names.isNpmSignature(NAME, "1.0.0", 0, 0, 0, r, s), "valid key, other message");
        bytes memory stranger = rawSignature(OUTSIDER_KEY, names.digestOfNpmKeyRemoval(0, 0));
        refuses(Errors.BadSignature.selector, 0);
        names.removeNpmKey(0, stranger);
        names.removeNpmKey(0, rawSignature(REGISTRAR_KEY, names.digestOfNpmKeyRemoval(0, 0)));
        same(names.npmKeyAt(0).validTo, 0, "validTo");
        refuses(Errors.NpmKeyNotValid.selector, 0);
        names.isNpmSignature(NAME, "1.0.0", 0, 0, 0, r, s);
        bytes memory signature = rawSignature(REGISTRAR_KEY, names.digestOfNpmKeyRemoval(7, 1));
        refuses(Errors.NpmKeyNotValid.selector, 7);
        names.removeNpmKey(7, signature);
    }

    function test_the_registrar_has_no_part_in_a_claimed_name() public {
        claim(NAME, 3, 2);
        ReleaseInput memory r = release(NAME, "1.0.0", 0);
        bytes memory own = frame(rawSignature(REGISTRAR_KEY, packages.digestOf(r)));
        refuses(Errors.BadSignature.selector, 0);
        packages.publish(r, 3, bytes.concat(own, own));
        Config memory c = nextConfig(NAME, 1, 1);
        refuses(Errors.NotReady.selector, START + 187 days);
        this.claiming(c);
    }

    function test_what_was_deployed_can_be_read() public view {
        same(bytes(names.registryOrigin()), "https://registry.example", "registryOrigin");
        same(names.registrar(), vm.addr(REGISTRAR_KEY), "registrar");
        same(names.claimWindow(), 0, "claimWindow");
        same(names.npmKeyCount(), 1, "npmKeyCount");
        same(address(packages.nameRegistry()), address(names), "nameRegistry");
        same(address(names.packageRegistry()), address(packages), "packageRegistry");
    }
}
