// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import "./Releases.sol";

/// Everybody at once: honest members who sign what they mean, an adversary who holds some of their keys, the
/// guardian's key, a stolen npm token and a former registrar's key, relayers, and a clock that jumps. Here is what
/// they try with names and keys; with releases, in `Releases`.
contract Adversary is Releases {
    uint256 private constant REGISTRARS = 3;
    uint256 private constant SPOKEN = 20;

    bytes[] private spoken; // what was signed for the adversary's own contract

    constructor() {
        vm.warp(START);
        vm.roll(20_000);
        deploy(1 days);
        gather();
        npmKeys.push(NpmKeyOf(NPM_KEY, 0, FOREVER));
        // Fewer than M stolen keys in each: 2 of 3-of-5, 1 of 2-of-3, 0 of 1-of-1, 2 of 3-of-4 with delays, and 1 of
        // 3-of-4 beside two people without a wallet.
        begin("a", [0, 1, 8, 9, DELEGATED], 5, 3, 0, 0);
        begin("b", [FICKLE, 2, 10, 0, 0], 3, 2, 0, 0);
        begin("@c/d", [uint256(3), 0, 0, 0, 0], 1, 1, 0, 0);
        begin("e", [4, 8, HOSTILE, 5, 0], 4, 3, 24, 48);
        begin("g", [PASSKEY, SECURITY_KEY, 6, 8, 0], 4, 3, 0, 24);
        vm.warp(START + 1 days);
    }

    function begin(
        string memory packageName,
        uint256[5] memory seats,
        uint256 size,
        uint8 threshold,
        uint16 releaseDelay,
        uint16 configDelay
    ) private {
        Config memory c = config(packageName, size, threshold);
        for (uint256 i; i < size; ++i) {
            c.members[i] = accounts[seats[i]];
        }
        c.releaseDelayHours = releaseDelay;
        c.configDelayHours = configDelay;
        c.recoveryDays = 30;
        c.guardian = vm.addr(GUARDIAN_KEY);
        bytes32 digest = names.digestOf(c);
        bytes memory blob;
        for (uint256 i; i < threshold; ++i) {
            (bytes memory signature,) = signatureOf(c.members[i], digest, true, 1);
            blob = bytes.concat(blob, frame(signature));
        }
        uint64 anchorBlock = anchor();
        names.claim(c, low(threshold), blob, anchorBlock, registrarProof(c, anchorBlock));
        claimed(c, anchorBlock);
    }

    // ------------------------------------------------------------- M of N: configs

    /// Half of the time a team that could be, else one that is wrong in one way.
    function configOf(string memory packageName, uint256 seed) private view returns (Config memory c) {
        Name storage n = _names[id(packageName)];
        uint256 wrong = (seed >> 100) % 32;
        uint256 size = wrong == 1 ? 0 : wrong == 2 ? 16 : wrong == 3 ? 17 : 1 + (seed >> 12) % 5;
        c = config(packageName, size, uint8(size == 0 ? 0 : 1 + (seed >> 16) % (size < 5 ? size : 4)));
        for (uint256 i; i < size; ++i) {
            c.members[i] = i == 16 ? person(99) : accounts[((seed >> 20) + i * (1 + (seed >> 28) % 3 * 2)) % PEOPLE];
        }
        c.releaseDelayHours = (seed >> 36) % 3 == 0 ? uint16((seed >> 40) % 48) : 0;
        c.configDelayHours = (seed >> 56) % 2 == 0 ? uint16((seed >> 60) % 48) : 0;
        c.recoveryDays = 30 + uint16((seed >> 72) % 4 == 0 ? (seed >> 74) % 336 : 0);
        c.guardian = (seed >> 80) % 5 == 0 ? address(0) : vm.addr(GUARDIAN_KEY);
        c.legacyRoot = keccak256(abi.encode(seed));
        c.epoch = (seed >> 84) % 15 == 0 ? uint32((seed >> 88) % 4) : n.config.epoch + 1;
        c.deadline = deadlineOf(seed >> 92);
        if (wrong == 4) c.members[size - 1] = c.members[0]; // twice, if there are two
        if (wrong == 5) c.members[(seed >> 20) % size] = address(0);
        if (wrong == 6) c.threshold = 0;
        if (wrong == 7) c.threshold = uint8(size + 1 + (seed >> 20) % 200);
        if (wrong == 8) c.threshold = 255;
        if (wrong == 9) c.recoveryDays = uint16((seed >> 74) % 30);
        if (wrong == 10) c.recoveryDays = 366 + uint16((seed >> 74) % 65_000);
        if (wrong == 11) c.releaseDelayHours = uint16(160 + (seed >> 40) % 20);
        if (wrong == 12) c.configDelayHours = uint16(710 + (seed >> 60) % 20);
        if (wrong == 13) (c.members, c.threshold) = (new address[](0), 1);
    }

    function configures(uint256 draw) external {
        uint256 seed = fresh(draw);
        (string memory packageName, Name storage n) = pick(seed);
        Config memory c = configOf(packageName, seed);
        bytes32 digest = names.digestOf(c);
        (uint16 bits, uint256 willing) = choose(seed, n.config.members.length);
        (uint16 newBits,) = choose(seed >> 1, c.members.length);
        (bytes memory blob, bool sound) = blobOf(n.config.members, bits, digest, willing, seed);
        (bytes memory newBlob, bool newSound) = blobOf(c.members, newBits, digest, willing, seed >> 1);
        bool allowed = isAllowed(c, bits, newBits, digest);
        bytes memory data = abi.encodeCall(names.configure, (c, bits, blob, newBits, newBlob));
        string memory act = !isWellFormed(c) ? "configure what cannot be" : c.members.length == 0 ? "retire" : "configure";
        if (!send(act, address(names), data, allowed, sound && newSound, seed >> 64)) return;
        acted(n);
        if (n.config.configDelayHours == 0) return applied(c);
        scheduled(n, c, digest, uint256(n.config.configDelayHours) * 1 hours, false);
    }

    /// From `start` on the first name with a change that waits; `start` itself if there is none.
    function changingName(uint256 start) private view returns (uint256) {
        for (uint256 i; i < NAMES; ++i) {
            uint256 place = (start % NAMES + i) % NAMES;
            if (_names[id(packageNames[place])].pending != 0) return place;
        }
        return start;
    }

    function enacts(uint256 draw) external {
        uint256 seed = fresh(draw);
        (, Name storage n) = pick(seed % 2 == 0 ? seed : changingName(seed));
        Config memory c = n.pending == 0 || seed % 7 == 0 ? configOf(n.config.packageName, seed) : proposals[n.pending];
        bool allowed = names.digestOf(c) == n.pending && n.pending != 0 && time() >= n.readyAt;
        bytes memory data = abi.encodeCall(names.enact, (c));
        if (send(n.recovery ? "enact a recovery" : "enact", address(names), data, allowed, true, seed >> 64)) applied(c);
    }

    function cancels(uint256 draw) external {
        uint256 seed = fresh(draw);
        if ((seed >> 210) % 8 == 0) return; // else few changes live to be enacted
        (string memory packageName, Name storage n) = pick(seed % 2 == 0 ? seed : changingName(seed));
        bytes32 change = seed % 7 == 0 ? keccak256(abi.encode(seed)) : n.pending;
        bytes32 digest = names.digestOfCancel(change);
        (uint16 bits, uint256 willing) = choose(seed, n.config.members.length);
        (bytes memory blob, bool sound) = blobOf(n.config.members, bits, digest, willing, seed);
        bool recovery = n.recovery;
        bool allowed = change != 0 && change == n.pending
            && legitimate(n.config.members, bits, recovery ? 1 : n.config.threshold, digest);
        bytes memory data = abi.encodeCall(names.cancel, (packageName, change, bits, blob));
        if (!send(recovery ? "stop a recovery" : "cancel", address(names), data, allowed, sound, seed >> 64)) return;
        if (!recovery) cancelled[change] = true;
        dropped(n);
        n.lastAct = time();
    }

    // ----------------------------------------- Claims and recoveries, by the adversary

    /// The guardian's key gives its word, and a stolen npm token every other proof there is.
    function takesOver(uint256 draw) external {
        uint256 seed = fresh(draw);
        (string memory packageName, Name storage n) = pick(seed);
        Config memory c = configOf(packageName, seed);
        if (n.finalAt == 0 || (time() < n.finalAt && seed % 3 != 0)) c.epoch = 0;
        bytes32 digest = names.digestOf(c);
        (uint16 newBits, uint256 willing) = choose(seed, c.members.length);
        (bytes memory blob, bool sound) = blobOf(c.members, newBits, digest, willing, seed);
        uint256 way = (seed >> 120) % 3;
        (bytes memory data, bool proven, uint64 anchorBlock) = way == 0
            ? byGuardian(c, newBits, blob, n)
            : way == 1 ? byRegistrar(c, newBits, blob, seed >> 130) : byNpm(c, newBits, blob, seed >> 130);
        bool allowed = proven && isTakeOverAllowed(c, newBits, digest, anchorBlock);
        string memory act = string.concat(
            way != 0 && c.epoch == 0 ? "claim" : "start a recovery",
            way == 0 ? " by the guardian" : way == 1 ? " by the registrar" : " by npm"
        );
        if (!send(act, address(names), data, allowed, sound, seed >> 64)) return;
        if (c.epoch == 0) claimed(c, anchorBlock);
        else scheduled(n, c, digest, 60 days, true);
    }

    function byGuardian(Config memory c, uint16 bits, bytes memory blob, Name storage n)
        private
        view
        returns (bytes memory data, bool proven, uint64)
    {
        proven = n.config.guardian == vm.addr(GUARDIAN_KEY);
        data = abi.encodeCall(names.recover, (c, bits, blob, rawSignature(GUARDIAN_KEY, names.digestOf(c))));
        return (data, proven, 0);
    }

    /// A fresh block, or now and then one that is too old or not there yet.
    function anchorOf(uint256 seed) private returns (uint64 anchorBlock, bool fresh) {
        anchorBlock = anchor();
        if (seed % 16 == 0) return (uint64(height() + (seed >> 8) % 2), false);
        return seed % 16 == 1 ? (uint64(height() - 8192 - (seed >> 8) % 9), false) : (anchorBlock, true);
    }

    function byRegistrar(Config memory c, uint16 bits, bytes memory blob, uint256 seed)
        private
        returns (bytes memory data, bool proven, uint64 anchorBlock)
    {
        (anchorBlock, proven) = anchorOf(seed >> 8);
        uint256 secret = seed % 8 == 0 ? REGISTRAR_KEY + (seed >> 3) % REGISTRARS : registrarSecret;
        proven = proven && secret == registrarSecret;
        bytes memory proof = rawSignature(secret, names.digestOfRegistrarProof(commitmentOf(c, anchorBlock)));
        data = abi.encodeCall(names.claim, (c, bits, blob, anchorBlock, proof));
    }

    function byNpm(Config memory c, uint16 bits, bytes memory blob, uint256 seed)
        private
        returns (bytes memory data, bool proven, uint64 anchorBlock)
    {
        (anchorBlock, proven) = anchorOf(seed >> 8);
        uint256 index = (seed >> 23) % 2 == 0 ? 0 : (seed >> 24) % (npmKeys.length + 1);
        proven = proven && index < npmKeys.length && time() >= npmKeys[index].validFrom
            && time() < npmKeys[index].validTo;
        uint256 secret = index < npmKeys.length ? npmKeys[index].secret : NPM_KEY;
        if ((seed >> 32) % 16 == 0) (secret, proven) = (OUTSIDER_KEY, false);
        bytes32 hi = keccak256(abi.encode(seed));
        (bytes32 r, bytes32 s) = npmProof(c, anchorBlock, secret, hi);
        data = abi.encodeCall(names.claimWithNpmSignature, (c, bits, blob, anchorBlock, index, hi, "lo", r, s));
    }

    function npmProof(Config memory c, uint64 anchorBlock, uint256 secret, bytes32 hi)
        private
        view
        returns (bytes32, bytes32)
    {
        string memory digits = Base64.encode(abi.encodePacked(hi, bytes32("lo")));
        return vm.signP256(
            secret, sha256(abi.encodePacked(c.packageName, "@", npmVersion(commitmentOf(c, anchorBlock)), ":sha512-", digits))
        );
    }

    function npmVersion(bytes32 commitment) private pure returns (bytes memory version) {
        version = "0.0.0-3pm.0h";
        for (uint256 i; i < 64; ++i) {
            version = abi.encodePacked(version, bytes("0123456789abcdef")[uint256(commitment) >> (252 - 4 * i) & 15]);
        }
    }

    // --------------------------------------------------------------- The registrar

    /// By the registrar, or by one who was or will be, or with a nonce that is not its turn's.
    function rulesKeys(uint256 draw) external {
        uint256 seed = fresh(draw);
        uint256 secret = seed % 3 == 0 ? REGISTRAR_KEY + (seed >> 8) % REGISTRARS : registrarSecret;
        uint256 nonce = (seed >> 16) % 8 == 0 ? (seed >> 20) % (registrarNonce + 2) : registrarNonce;
        bool entitled = secret == registrarSecret && nonce == registrarNonce;
        uint256 act = (seed >> 24) % 3;
        if (act == 0) rotates(secret, nonce, entitled, seed >> 32);
        else if (act == 1) addsNpmKey(secret, nonce, entitled, seed >> 32);
        else removesNpmKey(secret, nonce, entitled, seed >> 32);
    }

    function rotates(uint256 secret, uint256 nonce, bool entitled, uint256 seed) private {
        uint256 next = REGISTRAR_KEY + seed % REGISTRARS;
        uint256 accepting = (seed >> 8) % 4 == 0 ? secret : next;
        bytes32 digest = names.digestOfRegistrarRotation(vm.addr(next), nonce);
        bytes memory data = abi.encodeCall(
            names.rotateRegistrar, (vm.addr(next), rawSignature(secret, digest), rawSignature(accepting, digest))
        );
        bool allowed = entitled && accepting == next;
        if (!send("hand over the registrar", address(names), data, allowed, true, seed >> 64)) return;
        (registrarSecret, registrarNonce) = (next, nonce + 1);
    }

    function addsNpmKey(uint256 secret, uint256 nonce, bool entitled, uint256 seed) private {
        NpmKeyOf memory added = NpmKeyOf(NPM_KEY + seed % 5, (seed >> 8) % 2 == 0 ? 0 : time() + 40 days, FOREVER);
        if ((seed >> 16) % 3 == 0) added.validTo = time() + 100 days;
        (uint256 x, uint256 y) = vm.publicKeyP256(added.secret);
        bool onCurve = (seed >> 24) % 6 != 0;
        if (!onCurve) y ^= 1 << ((seed >> 32) % 256);
        NpmKey memory k = NpmKey(bytes32(x), bytes32(y), uint64(added.validFrom), uint64(added.validTo));
        bytes memory signature = rawSignature(secret, names.digestOfNpmKeyAddition(k, nonce));
        bytes memory data = abi.encodeCall(names.addNpmKey, (k, signature));
        if (!send("add an npm key", address(names), data, entitled && onCurve, true, seed >> 64)) return;
        if (added.validFrom < time() + 30 days) added.validFrom = time() + 30 days;
        npmKeys.push(added);
        registrarNonce = nonce + 1;
    }

    function removesNpmKey(uint256 secret, uint256 nonce, bool entitled, uint256 seed) private {
        uint256 index = 1 + seed % (npmKeys.length + 1); // the first one stays, else nobody claims by npm any more
        bytes memory signature = rawSignature(secret, names.digestOfNpmKeyRemoval(index, nonce));
        bytes memory data = abi.encodeCall(names.removeNpmKey, (index, signature));
        bool allowed = entitled && index < npmKeys.length;
        if (!send("end an npm key", address(names), data, allowed, true, seed >> 64)) return;
        npmKeys[index].validTo = 0;
        registrarNonce = nonce + 1;
    }

    // ---------------------------------------------------------------- Other mischief

    /// What was accepted once is sent again. Only what says the same again may be accepted.
    function replays(uint256 draw) external {
        uint256 seed = fresh(draw);
        if (past.length == 0) return;
        uint256 i = seed % past.length;
        bool ok = relay(pastTargets[i], past[i], seed >> 8);
        count("send again", ok);
        bytes4 selector = bytes4(past[i]);
        check(
            !ok || selector == packages.flag.selector || selector == packages.withdraw.selector,
            "a release, a config or a cancellation was accepted twice"
        );
    }

    /// Honest members sign for a contract of the adversary's own, this one, and what they signed is sent through it,
    /// now and for ever: their words to it are no act of theirs here, nor is a nod of it.
    function speaks(uint256 draw) external {
        uint256 seed = fresh(draw);
        if (spoken.length != 0 && seed % 2 == 0) return tellsNames(spoken[(seed >> 8) % spoken.length]);
        (string memory packageName, Name storage n) = pick(seed >> 1);
        (uint16 bits, uint256 willing) = choose(seed, n.config.members.length);
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("3pm"),
                keccak256("1"),
                block.chainid,
                address(this)
            )
        );
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", domain, bytes32(seed)));
        (bytes memory blob,) = blobOf(n.config.members, bits, digest, willing, seed);
        Act[] memory acts = new Act[](1);
        acts[0] = Act(id(packageName), n.config.epoch, bits);
        uint256 way = (seed >> 32) % 3;
        bytes memory data = way == 0
            ? abi.encodeCall(names.authorize, (acts[0].id, acts[0].epoch, bits, bytes32(seed), blob))
            : way == 1
                ? abi.encodeCall(names.authorizeBatch, (acts, bytes32(seed), blob))
                : abi.encodeCall(names.attest, (acts[0].id, bits, bytes32(seed), blob));
        if (spoken.length < SPOKEN) spoken.push(data);
        else spoken[(seed >> 40) % SPOKEN] = data;
        tellsNames(data);
    }

    function tellsNames(bytes memory data) private {
        (bool ok,) = address(names).call{gas: GAS}(data);
        count("speak through another contract", ok);
        check(!ok, "what was signed for another contract was accepted here");
    }

    function movesTokens(uint256 draw) external {
        uint256 seed = fresh(draw);
        uint256 to = seed >> 32;
        (string memory packageName, Name storage n) = pick(seed);
        address owner = n.config.members.length == 0 ? accounts[0] : n.config.members[0];
        uint256 token = uint256(id(packageName));
        bytes[5] memory data = [
            abi.encodeCall(names.transferFrom, (owner, accounts[to % PEOPLE], token)),
            abi.encodeWithSignature("safeTransferFrom(address,address,uint256)", owner, accounts[to % PEOPLE], token),
            abi.encodeWithSignature(
                "safeTransferFrom(address,address,uint256,bytes)", owner, accounts[to % PEOPLE], token, ""
            ),
            abi.encodeCall(names.approve, (accounts[to % PEOPLE], token)),
            abi.encodeCall(names.setApprovalForAll, (accounts[to % PEOPLE], true))
        ];
        vm.prank(owner);
        (bool ok,) = address(names).call(data[seed % 5]);
        count("move or approve a token", ok);
        check(!ok, "a token was moved or approved");
    }

    /// One wallet changes its mind, another its manners, and an account delegates or no longer does.
    function wallets(uint256 draw) external {
        uint256 seed = fresh(draw);
        if (seed % 3 == 0) fickle.become((seed >> 8) % 3 != 0 ? Wallet.Mood.Honest : Wallet.Mood.No);
        else if (seed % 3 == 1) hostile.become(Wallet.Mood((seed >> 8) % 11));
        else vm.etch(accounts[DELEGATED], (seed >> 8) % 2 == 0 ? bytes("") : abi.encodePacked(hex"ef0100", yesSayer));
    }

    function timePasses(uint256 draw) external {
        uint256 seed = fresh(draw);
        uint256[6] memory jumps = [uint256(1), 1 hours, 5 hours, 25 hours, 8 days, 61 days];
        vm.warp(time() + jumps[seed % 6]);
        vm.roll(height() + (seed >> 8) % 1000);
    }
}
