// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// Contract wallets as members: honest, wrong, hostile.
contract Wallet {
    enum Mood {
        Honest, // one key decides
        Yes,
        No,
        ZeroAnswer,
        DirtyAnswer, // the right first four bytes, others behind them
        ShortAnswer,
        EmptyAnswer,
        Bomb, // a megabyte that begins with the right answer
        EatsGas,
        Reverts, // with the right answer
        Writes // tries to change state
    }

    bytes4 private constant MAGIC = 0x1626ba7e;
    address private immutable keyholder;
    Mood public mood;
    uint256 private written;

    constructor(address keyholder_, Mood mood_) {
        keyholder = keyholder_;
        mood = mood_;
    }

    function become(Mood mood_) external {
        mood = mood_;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external returns (bytes4) {
        if (mood == Mood.Honest) {
            address signer = ecrecover(
                digest, uint8(signature[64]), bytes32(signature[:32]), bytes32(signature[32:64])
            );
            return signer == keyholder ? MAGIC : bytes4(0xffffffff);
        }
        if (mood == Mood.Yes) return MAGIC;
        if (mood == Mood.No) return 0xffffffff;
        if (mood == Mood.ZeroAnswer) return 0;
        bytes4 magic = MAGIC;
        if (mood == Mood.DirtyAnswer) {
            assembly {
                mstore(0, or(magic, 1))
                return(0, 32)
            }
        }
        if (mood == Mood.ShortAnswer) {
            assembly {
                mstore(0, magic)
                return(0, 31)
            }
        }
        if (mood == Mood.EmptyAnswer) {
            assembly {
                return(0, 0)
            }
        }
        if (mood == Mood.Bomb) {
            assembly {
                mstore(0, magic)
                return(0, 1000000)
            }
        }
        if (mood == Mood.EatsGas) {
            while (true) {}
        }
        if (mood == Mood.Reverts) {
            assembly {
                mstore(0, magic)
                revert(0, 32)
            }
        }
        ++written;
        return MAGIC;
    }
}
