// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC165} from "@openzeppelin/contracts/utils/introspection/IERC165.sol";
import {IERC721} from "@openzeppelin/contracts/token/ERC721/IERC721.sol";
import {IERC721Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {Errors} from "./Errors.sol";

/// An ERC-721 that its holder cannot move (ERC-5192): a name shown in wallets and explorers.
/// It has no ownership of its own to get wrong: the owner is whoever the registry says, and nothing
/// in the registries asks who owns a token.
abstract contract LockedToken is IERC721, IERC721Errors, Errors {
    bytes4 private constant ERC5192_ID = 0xb45a3c0e;

    string public constant name = "3pm package names";
    string public constant symbol = "3PM";

    mapping(address owner => uint256) private _balances;

    event Locked(uint256 tokenId);

    /// Zero for a token that does not exist.
    function _ownerOf(uint256 tokenId) internal view virtual returns (address);

    function _moved(address from, address to, uint256 tokenId) internal {
        if (from == to) return;
        if (from != address(0)) --_balances[from];
        if (to != address(0)) ++_balances[to];
        emit Transfer(from, to, tokenId);
        if (from == address(0)) emit Locked(tokenId);
    }

    function ownerOf(uint256 tokenId) public view returns (address owner) {
        owner = _ownerOf(tokenId);
        if (owner == address(0)) revert ERC721NonexistentToken(tokenId);
    }

    function balanceOf(address owner) external view returns (uint256) {
        if (owner == address(0)) revert ERC721InvalidOwner(owner);
        return _balances[owner];
    }

    function locked(uint256 tokenId) external view returns (bool) {
        ownerOf(tokenId);
        return true;
    }

    function getApproved(uint256 tokenId) external view returns (address) {
        ownerOf(tokenId);
        return address(0);
    }

    function isApprovedForAll(address, address) external pure returns (bool) {
        return false;
    }

    function approve(address, uint256) external pure {
        revert TokenLocked();
    }

    function setApprovalForAll(address, bool) external pure {
        revert TokenLocked();
    }

    function transferFrom(address, address, uint256) external pure {
        revert TokenLocked();
    }

    function safeTransferFrom(address, address, uint256) external pure {
        revert TokenLocked();
    }

    function safeTransferFrom(address, address, uint256, bytes calldata) external pure {
        revert TokenLocked();
    }

    function supportsInterface(bytes4 id) external pure returns (bool) {
        return id == type(IERC165).interfaceId || id == type(IERC721).interfaceId || id == ERC5192_ID;
    }
}
