// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import "./World.sol";

/// The token shows who speaks first for a name, and can do nothing.
contract TokenTest is World {
    uint256 private constant TOKEN = uint256(keccak256("left-pad"));

    event Transfer(address indexed from, address indexed to, uint256 indexed tokenId);
    event Locked(uint256 tokenId);

    function test_the_first_member_owns_it_from_the_claim_on() public {
        Config memory c = config(NAME, 3, 2);
        uint64 anchorBlock = anchor();
        bytes memory signatures = sign(3, names.digestOf(c));
        bytes memory proof = registrarProof(c, anchorBlock);
        vm.expectEmit(address(names));
        emit Transfer(address(0), person(0), TOKEN);
        vm.expectEmit(address(names));
        emit Locked(TOKEN);
        names.claim(c, 3, signatures, anchorBlock, proof);
        same(names.ownerOf(TOKEN), person(0), "owner");
        same(names.balanceOf(person(0)), 1, "balance");
        same(names.balanceOf(person(1)), 0, "balance of another");
        yes(names.locked(TOKEN), "locked");
        same(names.getApproved(TOKEN), address(0), "approved");
        no(names.isApprovedForAll(person(0), person(1)), "approved for all");
    }

    function test_nobody_can_move_or_approve_it() public {
        claim(NAME, 3, 2);
        address owner = person(0);
        vm.prank(owner);
        refuses(Errors.TokenLocked.selector);
        names.transferFrom(owner, person(5), TOKEN);
        vm.prank(owner);
        refuses(Errors.TokenLocked.selector);
        names.safeTransferFrom(owner, person(5), TOKEN);
        vm.prank(owner);
        refuses(Errors.TokenLocked.selector);
        names.safeTransferFrom(owner, person(5), TOKEN, "data");
        vm.prank(owner);
        refuses(Errors.TokenLocked.selector);
        names.approve(person(5), TOKEN);
        vm.prank(owner);
        refuses(Errors.TokenLocked.selector);
        names.setApprovalForAll(person(5), true);
        same(names.ownerOf(TOKEN), owner, "owner");
    }

    function test_it_moves_with_a_config_only() public {
        claim(NAME, 3, 2);
        vm.recordLogs();
        configure(nextConfig(NAME, 2, 1), 3);
        same(names.ownerOf(TOKEN), person(0), "same first member");
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i; i < logs.length; ++i) {
            no(logs[i].topics[0] == Transfer.selector, "moved to where it was");
        }
        same(names.balanceOf(person(0)), 1, "balance");
        Config memory c = nextConfig(NAME, 2, 1);
        c.members = people(4, 2);
        bytes32 digest = names.digestOf(c);
        bytes memory signatures = sign(1, digest);
        bytes memory newSignatures = signAs(4, 1, digest);
        vm.recordLogs();
        vm.expectEmit(address(names));
        emit Transfer(person(0), person(4), TOKEN);
        names.configure(c, 1, signatures, 1, newSignatures);
        logs = vm.getRecordedLogs();
        for (uint256 i; i < logs.length; ++i) {
            no(logs[i].topics[0] == Locked.selector, "locked once, when it was made");
        }
        same(names.ownerOf(TOKEN), person(4), "owner");
        same(names.balanceOf(person(0)), 0, "balance of the former");
        same(names.balanceOf(person(4)), 1, "balance of the next");
    }

    function test_it_ends_when_the_name_retires() public {
        claim(NAME, 3, 2);
        Config memory c = nextConfig(NAME, 0, 0);
        bytes memory signatures = sign(3, names.digestOf(c));
        vm.expectEmit(address(names));
        emit Transfer(person(0), address(0), TOKEN);
        names.configure(c, 3, signatures, 0, "");
        vm.expectRevert(abi.encodeWithSignature("ERC721NonexistentToken(uint256)", TOKEN));
        names.ownerOf(TOKEN);
        same(names.balanceOf(person(0)), 0, "balance");
    }

    function test_what_does_not_exist_has_no_owner() public {
        bytes memory reason = abi.encodeWithSignature("ERC721NonexistentToken(uint256)", TOKEN);
        vm.expectRevert(reason);
        names.ownerOf(TOKEN);
        vm.expectRevert(reason);
        names.locked(TOKEN);
        vm.expectRevert(reason);
        names.getApproved(TOKEN);
        vm.expectRevert(abi.encodeWithSignature("ERC721InvalidOwner(address)", address(0)));
        names.balanceOf(address(0));
    }

    function test_it_says_what_it_is() public view {
        same(bytes(names.name()), "3pm package names", "name");
        same(bytes(names.symbol()), "3PM", "symbol");
        yes(names.supportsInterface(0x01ffc9a7), "ERC-165");
        yes(names.supportsInterface(0x80ac58cd), "ERC-721");
        yes(names.supportsInterface(0xb45a3c0e), "ERC-5192");
        no(names.supportsInterface(0xffffffff), "anything");
        no(names.supportsInterface(0x5b5e139f), "ERC-721 metadata");
    }
}
