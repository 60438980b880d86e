// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {CalldataNumber} from "./CalldataNumber.sol";

/// @title Records
/// @notice What the leaves of the optimistic rollup's trees stand for, and their bytes (`docs/optimistic.md` §1).
library Records {
    struct Account {
        address owner;
        uint16 token;
        uint32 nonce;
        uint128 balance;
    }

    struct Pool {
        uint16 tokenA;
        uint16 tokenB;
        uint128 reserveA;
        uint128 reserveB;
        uint128 shares;
    }

    struct Position {
        address owner;
        uint32 pool;
        uint128 shares;
    }

    struct NFT {
        address owner;
        address creator;
        uint32 nonce;
        bytes32 content;
    }

    /// @dev Kinds of records: a record's first byte; `KIND_NONE` is an empty leaf.
    uint256 internal constant KIND_NONE = 0;
    uint256 internal constant KIND_ACCOUNT = 1;
    uint256 internal constant KIND_POOL = 2;
    uint256 internal constant KIND_POSITION = 3;
    uint256 internal constant KIND_NFT = 4;

    /// @notice Bytes of a record of a kind, 1 to 4. None has 64, as inner nodes of the tree have.
    function sizeOf(uint256 kind) internal pure returns (uint256) {
        if (kind == KIND_ACCOUNT) return 43;
        if (kind == KIND_POOL) return 53;
        if (kind == KIND_POSITION) return 41;
        return 77;
    }

    /* BYTES TO RECORDS: from a place in calldata that holds a record of this kind */

    function readAccount(uint256 place, Account memory account) internal pure {
        account.owner = _address(place + 1);
        account.token = uint16(CalldataNumber.read(place + 21, 2));
        account.nonce = uint32(CalldataNumber.read(place + 23, 4));
        account.balance = uint128(CalldataNumber.read(place + 27, 16));
    }

    function readPool(uint256 place, Pool memory pool) internal pure {
        pool.tokenA = uint16(CalldataNumber.read(place + 1, 2));
        pool.tokenB = uint16(CalldataNumber.read(place + 3, 2));
        pool.reserveA = uint128(CalldataNumber.read(place + 5, 16));
        pool.reserveB = uint128(CalldataNumber.read(place + 21, 16));
        pool.shares = uint128(CalldataNumber.read(place + 37, 16));
    }

    function readPosition(uint256 place, Position memory position) internal pure {
        position.owner = _address(place + 1);
        position.pool = uint32(CalldataNumber.read(place + 21, 4));
        position.shares = uint128(CalldataNumber.read(place + 25, 16));
    }

    function readNFT(uint256 place, NFT memory nft) internal pure {
        nft.owner = _address(place + 1);
        nft.creator = _address(place + 21);
        nft.nonce = uint32(CalldataNumber.read(place + 41, 4));
        nft.content = bytes32(CalldataNumber.read(place + 45, 32));
    }

    /* RECORDS TO LEAVES: the hash of a record's bytes */

    function hashAccount(address owner, uint16 token, uint32 nonce, uint128 balance) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(uint8(KIND_ACCOUNT), owner, token, nonce, balance));
    }

    function hashPool(uint16 tokenA, uint16 tokenB, uint128 reserveA, uint128 reserveB, uint128 shares)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encodePacked(uint8(KIND_POOL), tokenA, tokenB, reserveA, reserveB, shares));
    }

    function hashPosition(address owner, uint32 pool, uint128 shares) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(uint8(KIND_POSITION), owner, pool, shares));
    }

    function hashNFT(address owner, address creator, uint32 nonce, bytes32 content) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(uint8(KIND_NFT), owner, creator, nonce, content));
    }

    function hashWithdrawal(address owner, uint16 token, uint128 amount) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(owner, token, amount));
    }

    function _address(uint256 place) private pure returns (address) {
        return address(uint160(CalldataNumber.read(place, 20)));
    }
}
