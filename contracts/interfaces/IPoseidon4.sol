// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title IPoseidon4
/// @notice Poseidon with 4 inputs: circomlibjs's contract, whose code `AccountTree` knows by its hash.
interface IPoseidon4 {
    /// @notice The hash of four field elements. Elements of r or more count modulo r.
    function poseidon(uint256[4] calldata input) external pure returns (uint256);
}
