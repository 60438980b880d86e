// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title StateTree
/// @notice Binary Keccak trees in which an empty subtree is 0 (`docs/optimistic.md` §1).
library StateTree {
    /// @dev Levels of the withdrawal tree.
    uint256 internal constant WITHDRAWAL_LEVELS = 32;

    /// @notice The root above a leaf.
    /// @param leaf The leaf's value, 0 when it is empty.
    /// @param index The leaf's index; bits beyond `levels` mean nothing.
    /// @param siblings Place in calldata of the siblings, from the bottom up, 32 bytes each.
    /// @param levels How many, at least 1.
    function root(bytes32 leaf, uint256 index, uint256 siblings, uint256 levels)
        internal
        pure
        returns (bytes32 node)
    {
        // Assembly: fraud proofs spend most of their gas here. Hashes in the 64 bytes of scratch space. Places are far
        // below 2^256.
        assembly ("memory-safe") {
            node := leaf
            // 32 if the node is a right child, so that it goes to the second word.
            let side := shl(5, index)
            let end := add(siblings, shl(5, levels))
            for {} 1 {} {
                let sibling := calldataload(siblings)
                // Two empty subtrees make an empty one.
                if or(node, sibling) {
                    mstore(and(side, 32), node)
                    mstore(xor(and(side, 32), 32), sibling)
                    node := keccak256(0, 64)
                }
                siblings := add(siblings, 32)
                if eq(siblings, end) { break }
                side := shr(1, side)
            }
        }
    }
}
