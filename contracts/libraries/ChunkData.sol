// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IOptimisticRollup} from "../interfaces/IOptimisticRollup.sol";
import {IStateTransition} from "../interfaces/IStateTransition.sol";

/// @title ChunkData
/// @notice The data of an optimistic batch: its chunks, in calldata or in a blob (`docs/optimistic.md` §4).
library ChunkData {
    /// @dev Most chunks in a batch: a blob has so many cells.
    uint256 internal constant MAX_CHUNKS = 64;

    /// @dev Most bytes of operations in a chunk: what a cell has room for.
    uint256 internal constant MAX_OPERATIONS = 1951;

    /// @dev Bytes of a commitment and a length, which stand before a chunk's operations in calldata.
    uint256 private constant _HEAD = 33;

    /// @dev The bits of a commitment: an element of a blob carries 31 bytes.
    uint256 private constant _MASK = type(uint256).max >> 8;

    /// @notice What stands for a state after a chunk: 31 bytes, the first byte of the word is 0.
    function commitmentOf(IStateTransition.State memory state) internal pure returns (bytes32) {
        return toCommitment(keccak256(abi.encode(state)));
    }

    /// @notice The commitment in a word, be it a hash or an element of a blob: all but its first byte.
    function toCommitment(bytes32 word) internal pure returns (bytes32) {
        return word & bytes32(_MASK);
    }

    /// @notice Reads the chunks in calldata, which have to be all that there is.
    /// @param data Commitment (31) ‖ length (2) ‖ operations, for each chunk.
    /// @param chunks How many, 1 to 64.
    /// @return The hash over h₀ ‖ h₁ ‖ …
    function hashOf(bytes calldata data, uint256 chunks) internal pure returns (bytes32) {
        bytes32[] memory hashes = new bytes32[](chunks);
        uint256 place;
        uint256 end;
        assembly ("memory-safe") {
            place := data.offset
            end := add(place, data.length)
        }
        for (uint256 i; i < chunks; ++i) {
            uint256 head;
            assembly ("memory-safe") {
                head := calldataload(place)
            }
            // The word's last byte and the byte after it are the length; bytes after the end of calldata read as 0.
            uint256 start = place + _HEAD;
            uint256 length;
            assembly ("memory-safe") {
                length := shr(240, calldataload(sub(start, 2)))
            }
            if (length > MAX_OPERATIONS || start + length > end) revert IOptimisticRollup.MalformedData(place);
            bytes32 operationsHash;
            // Assembly: hashes in free memory without allocating it.
            assembly ("memory-safe") {
                let buffer := mload(0x40)
                calldatacopy(buffer, start, length)
                operationsHash := keccak256(buffer, length)
            }
            hashes[i] = chunkHash(bytes32(head >> 8), operationsHash);
            place = start + length;
        }
        if (place != end) revert IOptimisticRollup.MalformedData(place);
        return keccak256(abi.encodePacked(hashes));
    }

    /// @notice hᵢ of a chunk in calldata.
    function chunkHash(bytes32 commitment, bytes32 operationsHash) internal pure returns (bytes32) {
        return keccak256(abi.encode(commitment, operationsHash));
    }

    /// @notice The operations in a cell. Any elements mean something: a length that is too large counts as the largest.
    function operationsIn(uint256[64] calldata cell) internal pure returns (bytes memory operations) {
        operations = new bytes(64 * 32);
        // Assembly: joins the last 31 bytes of each element. The two bytes of the length come to lie at the end of the
        // array's own length word, so the operations begin where an array's content begins; at most 1952 bytes, one of
        // them 0, are written behind that word.
        assembly ("memory-safe") {
            let target := add(operations, 30)
            for { let i := 1 } lt(i, 64) { i := add(i, 1) } {
                mstore(target, shl(8, calldataload(add(cell, shl(5, i)))))
                target := add(target, 31)
            }
            let length := and(mload(operations), 0xffff)
            if gt(length, 1951) { length := 1951 }
            mstore(operations, length)
        }
    }
}
