// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IPoseidon4} from "../interfaces/IPoseidon4.sol";
import {BatchData} from "./BatchData.sol";

/// @title AccountTree
/// @notice Accounts of the ZK rollup and their Merkle proofs (docs/protocol.md §2).
library AccountTree {
    /// @notice What a leaf of the tree says.
    /// @param owner The Layer 1 address that the account belongs to.
    /// @param token The token's id.
    /// @param nonce How many operations the account has signed.
    /// @param balance In the token's smallest unit.
    /// @param key The key that signs for the account on Layer 2.
    struct Account {
        address owner;
        uint16 token;
        uint32 nonce;
        uint128 balance;
        uint256[2] key;
    }

    /// @notice Hash of the code of the contract that `make circuits` writes to `contracts/zk/generated/Poseidon4.json`:
    /// circomlibjs's Poseidon with 4 inputs.
    bytes32 internal constant HASHER_CODE_HASH =
        0xaa8081e99244f5cd89f2e02e0c4a89ec873ac5eb5583621196c1b138c994024c;

    /// @notice The root of the tree that has `account` at `index`. Depth and place are the caller's business: the tree has
    /// `siblings.length` levels, and `index` is below 4^levels.
    /// @param siblings For each level, from the leaf up, the other three children in ascending order.
    function rootOf(IPoseidon4 hasher, uint256 index, Account calldata account, uint256[3][] calldata siblings)
        internal
        view
        returns (bytes32)
    {
        // The fields' types keep them apart: 128, 32 and 16 bits.
        uint256 packed = account.balance | (uint256(account.nonce) << 128) | (uint256(account.token) << 160);
        uint256[4] memory input =
            [packed, uint160(account.owner), _element(account.key[0]), _element(account.key[1])];
        uint256 node = hasher.poseidon(input);

        for (uint256 level; level < siblings.length; ++level) {
            uint256 place = index & 3;
            for (uint256 i; i < 3; ++i) input[i < place ? i : i + 1] = _element(siblings[level][i]);
            input[place] = node;
            node = hasher.poseidon(input);
            index >>= 2;
        }
        return bytes32(node);
    }

    /// @dev Refuses what is not a field element, as the hasher would reduce it.
    function _element(uint256 value) private pure returns (uint256) {
        if (value >= BatchData.R) revert BatchData.NotAFieldElement(value);
        return value;
    }
}
