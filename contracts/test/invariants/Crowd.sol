// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Base64} from "solady/utils/Base64.sol";
import {P256Signer} from "../../src/signers/P256Signer.sol";
import {SignerFactory} from "../../src/signers/SignerFactory.sol";
import {Wallet} from "../Wallets.sol";
import "../World.sol";

/// Sixteen accounts of every kind there is, and what they put under a digest: honest people with keys, people
/// whose keys were stolen, a wallet that changes its mind, one that does as the adversary wants, an EIP-7702
/// account, a passkey and a security key. Remembers who signed what; judges nothing.
abstract contract Crowd is World {
    uint256 internal constant PEOPLE = 16;
    uint256 internal constant STOLEN = 8; // the keys of people 8 to 10 are the adversary's
    uint256 internal constant FICKLE = 11; // a wallet that obeys its key, when it likes
    uint256 internal constant HOSTILE = 12; // a wallet that does whatever the adversary wants
    uint256 internal constant DELEGATED = 13; // now and then with an EIP-7702 delegation to a contract that says yes
    uint256 internal constant PASSKEY = 14;
    uint256 internal constant SECURITY_KEY = 15; // used through OpenSSH
    uint256 internal constant ALL = type(uint256).max;

    uint256 private constant ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551;
    bytes32 private constant RELYING_PARTY = sha256("3pm.localhost");
    uint256 private constant POOL = 200;

    address[PEOPLE] internal accounts;
    Wallet internal fickle;
    Wallet internal hostile;
    Wallet internal yesSayer;

    /// Who put a genuine signature under a digest.
    mapping(bytes32 digest => mapping(address => bool)) private signed;
    bytes[] internal pool; // genuine signatures, for use where they do not belong
    uint256 private pooled;

    function gather() internal {
        SignerFactory factory = SignerFactory(create("SignerFactory", ""));
        fickle = new Wallet(person(FICKLE), Wallet.Mood.Honest);
        hostile = new Wallet(person(HOSTILE), Wallet.Mood.Yes);
        yesSayer = new Wallet(address(0), Wallet.Mood.Yes);
        for (uint256 i; i < PASSKEY; ++i) {
            accounts[i] = i == FICKLE ? address(fickle) : i == HOSTILE ? address(hostile) : person(i);
        }
        accounts[PASSKEY] = factory.create(SignerFactory.Kind.Passkey, publicKey(PASSKEY));
        accounts[SECURITY_KEY] = factory.create(SignerFactory.Kind.SshSk, publicKey(SECURITY_KEY));
    }

    function publicKey(uint256 account) private pure returns (P256Signer.Key memory) {
        (uint256 x, uint256 y) = vm.publicKeyP256(key(account));
        return P256Signer.Key(bytes32(x), bytes32(y), RELYING_PARTY, 5);
    }

    /// `PEOPLE` for a stranger.
    function accountOf(address who) internal view returns (uint256 account) {
        while (account < PEOPLE && accounts[account] != who) ++account;
    }

    /// Whether what `who` signs is accepted as long as nothing else is wrong.
    function isReliable(uint256 account) internal view returns (bool) {
        if (account == FICKLE) return fickle.mood() == Wallet.Mood.Honest;
        return account < PEOPLE && account != HOSTILE;
    }

    function genuine(uint256 account, bytes32 digest, bool short) internal view returns (bytes memory) {
        if (account >= PASSKEY) return assertion(account, digest);
        if (!short || account == FICKLE) return rawSignature(key(account), digest);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key(account), digest);
        return abi.encodePacked(r, uint256(s) | (uint256(v - 27) << 255)); // EIP-2098
    }

    function assertion(uint256 account, bytes32 digest) private view returns (bytes memory) {
        bytes32 challenge = P256Signer(accounts[account]).challengeOf(digest);
        string memory spelled = Base64.encode(abi.encodePacked(challenge), true, true);
        bytes memory rest = account == PASSKEY ? bytes(',"origin":"http://3pm.localhost:1234"}') : bytes("");
        bytes32 message = account == PASSKEY
            ? sha256(abi.encodePacked('{"type":"webauthn.get","challenge":"', spelled, '"', rest))
            : sha256(
                abi.encodePacked(
                    "SSHSIG", uint32(3), "3pm", uint32(0), uint32(6), "sha256", uint32(32), sha256(abi.encodePacked(challenge))
                )
            );
        bytes memory data = abi.encodePacked(uint8(5), uint32(9));
        (bytes32 r, bytes32 s) = vm.signP256(key(account), sha256(abi.encodePacked(RELYING_PARTY, data, message)));
        if (uint256(s) > ORDER / 2) s = bytes32(ORDER - uint256(s));
        return abi.encodePacked(r, s, data, rest);
    }

    /// What `who` puts under `digest`. Honest people sign when they are `willing`; for those who do not, the
    /// adversary tries what it can.
    function signatureOf(address who, bytes32 digest, bool willing, uint256 seed)
        internal
        returns (bytes memory signature, bool sound)
    {
        uint256 account = accountOf(who);
        if (account == HOSTILE) return ("", false);
        if (account < PEOPLE && (willing || (account >= STOLEN && account < FICKLE))) {
            signed[digest][who] = true;
            signature = genuine(account, digest, seed % 4 == 0);
            if (pool.length < POOL) pool.push(signature);
            else pool[pooled++ % POOL] = signature;
            return (signature, isReliable(account));
        }
        seed = seed % 7;
        if (seed == 0) return ("", false);
        if (seed == 1) return (rawSignature(OUTSIDER_KEY, digest), false);
        if (seed == 2) return (rawSignature(key(STOLEN), digest), false);
        if (seed == 3) return (pool[uint256(digest) % pool.length], false);
        if (seed == 4) return (new bytes(65), false);
        if (seed == 5) return (abi.encodePacked(digest, uint256(1) << 255, new bytes(38)), false);
        return (abi.encodePacked(digest, digest, uint8(27)), false);
    }

    /// The signatures of `bits`; honest seats sign when their bit of `willing` is set. Now and then malformed.
    /// `sound` when every one of them will be accepted, should nothing else be wrong.
    function blobOf(address[] memory members, uint16 bits, bytes32 digest, uint256 willing, uint256 seed)
        internal
        returns (bytes memory blob, bool sound)
    {
        sound = true;
        for (uint256 i; i < members.length; ++i) {
            if ((bits >> i) & 1 == 0) continue;
            seed = uint256(keccak256(abi.encode(seed, i)));
            (bytes memory signature, bool good) = signatureOf(members[i], digest, (willing >> i) & 1 == 1, seed);
            blob = bytes.concat(blob, frame(signature));
            sound = sound && good;
        }
        if (seed % 29 == 1) return (bytes.concat(blob, hex"00"), false);
        if (seed % 29 == 2 && blob.length > 3) {
            assembly ("memory-safe") {
                mstore(blob, sub(mload(blob), 1))
            }
            return (blob, false);
        }
    }

    /// At least `need` seats are set, none beyond the members, and everybody in them signed.
    function legitimate(address[] memory members, uint16 bits, uint256 need, bytes32 digest)
        internal
        view
        returns (bool)
    {
        uint256 have;
        for (uint256 i; i < 16; ++i) {
            if ((bits >> i) & 1 == 0) continue;
            if (i >= members.length) return false;
            if (members[i] != address(hostile) && !signed[digest][members[i]]) return false;
            ++have;
        }
        return have >= need;
    }
}
