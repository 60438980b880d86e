// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title StateTree
/// @notice Binary Keccak trees in which an empty subtree is 0 (`docs/optimistic.md` §1).
library StateTree {
    /// @dev Levels of the withdrawal tree.
    uint256 internal constant WITHDRAWAL_LEVELS = 32;

    /// @notice The roots above a leaf with one value and with another, under the same siblings.
    /// @param leaf The one value; values are 0 when the leaf is empty.
    /// @param newLeaf The other value.
    /// @param index The leaf's index, below 2^levels.
    /// @param siblings Place in calldata of the siblings, from the bottom up, 32 bytes each.
    /// @param levels How many they are, at least 1.
    function roots(bytes32 leaf, bytes32 newLeaf, uint256 index, uint256 siblings, uint256 levels)
        internal
        pure
        returns (bytes32 root, bytes32 newRoot)
    {
        // Assembly: fraud proofs spend most of their gas here. Hashes in the 64 bytes of scratch space. Places in calldata
        // are far below 2^256.
        assembly ("memory-safe") {
            root := leaf
            newRoot := newLeaf
            let end := add(siblings, shl(5, levels))
            // Its bit 5 says whether the node is a right child.
            let path := shl(5, index)
            for {} 1 {} {
                let sibling := calldataload(siblings)
                let side := and(path, 32)
                mstore(xor(side, 32), sibling)
                switch sibling
                case 0 {
                    // Two empty subtrees make an empty one.
                    if root {
                        mstore(side, root)
                        root := keccak256(0, 64)
                    }
                    if newRoot {
                        mstore(side, newRoot)
                        newRoot := keccak256(0, 64)
                    }
                }
                default {
                    mstore(side, root)
                    root := keccak256(0, 64)
                    mstore(side, newRoot)
                    newRoot := keccak256(0, 64)
                }
                siblings := add(siblings, 32)
                if eq(siblings, end) { break }
                path := shr(1, path)
            }
        }
    }
}
