// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {CalldataNumber} from "./CalldataNumber.sol";

/// @title Records
/// @notice What the leaves of the optimistic rollup's trees stand for, and their bytes (`docs/optimistic.md` §1).
library Records {
    /// @param token Below 2¹⁶.
    /// @param nonce Below 2³².
    /// @param balance Below 2¹²⁸.
    struct Account {
        address owner;
        uint256 token;
        uint256 nonce;
        uint256 balance;
    }

    /// @dev Tokens are below 2¹⁶, the rest below 2¹²⁸.
    struct Pool {
        uint256 tokenA;
        uint256 tokenB;
        uint256 reserveA;
        uint256 reserveB;
        uint256 shares;
    }

    /// @param pool Index of the pool, below 2³².
    /// @param shares Below 2¹²⁸.
    struct Position {
        address owner;
        uint256 pool;
        uint256 shares;
    }

    /// @param nonce Below 2³².
    struct NFT {
        address owner;
        address creator;
        uint256 nonce;
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
        account.owner = _address(place, 1);
        account.token = CalldataNumber.read(place, 21, 2);
        account.nonce = CalldataNumber.read(place, 23, 4);
        account.balance = CalldataNumber.read(place, 27, 16);
    }

    function readPool(uint256 place, Pool memory pool) internal pure {
        pool.tokenA = CalldataNumber.read(place, 1, 2);
        pool.tokenB = CalldataNumber.read(place, 3, 2);
        pool.reserveA = CalldataNumber.read(place, 5, 16);
        pool.reserveB = CalldataNumber.read(place, 21, 16);
        pool.shares = CalldataNumber.read(place, 37, 16);
    }

    function readPosition(uint256 place, Position memory position) internal pure {
        position.owner = _address(place, 1);
        position.pool = CalldataNumber.read(place, 21, 4);
        position.shares = CalldataNumber.read(place, 25, 16);
    }

    function readNFT(uint256 place, NFT memory nft) internal pure {
        nft.owner = _address(place, 1);
        nft.creator = _address(place, 21);
        nft.nonce = CalldataNumber.read(place, 41, 4);
        nft.content = bytes32(CalldataNumber.read(place, 45, 32));
    }

    /* RECORDS TO LEAVES: the hash of a record's bytes. The caller has checked that numbers are in range. */

    /// @notice The leaf of a record in calldata.
    function hash(uint256 place, uint256 size) internal pure returns (bytes32 leaf) {
        // Assembly: hashes in free memory, without allocating it.
        assembly ("memory-safe") {
            let buffer := mload(0x40)
            calldatacopy(buffer, place, size)
            leaf := keccak256(buffer, size)
        }
    }

    function hashAccount(address owner, uint256 token, uint256 nonce, uint256 balance_)
        internal
        pure
        returns (bytes32 leaf)
    {
        // Assembly: there is an account or two in each operation. The record ends with the 64 bytes of scratch space; each
        // word that is written ends where its field does, and overwrites what the one before has left of that.
        assembly ("memory-safe") {
            mstore(32, balance_)
            mstore(16, nonce)
            mstore(12, token)
            mstore(10, or(shl(160, KIND_ACCOUNT), owner))
            leaf := keccak256(21, 43)
        }
    }

    function hashPool(uint256 tokenA, uint256 tokenB, uint256 reserveA, uint256 reserveB, uint256 shares)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(
            abi.encodePacked(
                uint8(KIND_POOL),
                uint16(tokenA),
                uint16(tokenB),
                uint128(reserveA),
                uint128(reserveB),
                uint128(shares)
            )
        );
    }

    function hashPosition(address owner, uint256 pool, uint256 shares) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(uint8(KIND_POSITION), owner, uint32(pool), uint128(shares)));
    }

    function hashNFT(address owner, address creator, uint256 nonce, bytes32 content) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(uint8(KIND_NFT), owner, creator, uint32(nonce), content));
    }

    function hashWithdrawal(address owner, uint256 token, uint256 amount) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(owner, uint16(token), uint128(amount)));
    }

    function _address(uint256 place, uint256 offset) private pure returns (address) {
        return address(uint160(CalldataNumber.read(place, offset, 20)));
    }
}
