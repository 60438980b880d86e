// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title IBatchVerifier
/// @notice Checks all Groth16 proofs of a batch at once, over BN254, for the two circuits of the ZK rollup.
/// @dev A *statement* is a proof with its public inputs, twelve 32-byte words:
/// circuit (0 transfers, 1 operations) ‖ z ‖ D ‖ y ‖ A.x ‖ A.y ‖ B.x₁ ‖ B.x₀ ‖ B.y₁ ‖ B.y₀ ‖ C.x ‖ C.y
/// (in G2 the imaginary part comes first, as the EVM's pairing takes it).
interface IBatchVerifier {
    /// @notice The part of a verifying key that belongs to one circuit.
    /// @param delta δ in G2, imaginary parts first.
    /// @param ic The points of the constant 1 and of the public inputs z, D and y.
    struct CircuitKey {
        uint256[2][2] delta;
        uint256[2][4] ic;
    }

    /// @notice The verifying keys of both circuits, which share α, β and γ.
    struct VerifyingKey {
        uint256[2] alpha;
        uint256[2][2] beta;
        uint256[2][2] gamma;
        CircuitKey transfers;
        CircuitKey operations;
    }

    /// @notice What the circuits were made for.
    /// @param levels Levels of the arity-4 account tree, 1 to 16.
    /// @param transfers Transfers in a segment of the transfers circuit.
    /// @param operations Operations in a segment of the operations circuit.
    /// @param tokens Tokens that a segment can take fees in, 1 to 64.
    struct Sizes {
        uint256 levels;
        uint256 transfers;
        uint256 operations;
        uint256 tokens;
    }

    /// @notice Some proof of the batch is wrong, or the statements are not well-formed.
    error InvalidProof();

    /// @notice A point of the verifying key is not a point of its group, or is the point at infinity; or a δ is γ: the
    /// key has not been through phase 2, and anybody can make proofs for it.
    error InvalidVerifyingKey();

    /// @notice A size is zero or larger than the data format can hold.
    error InvalidSizes();

    /// @notice Checks the proofs. Reverts with `InvalidProof` unless every one of them holds.
    /// @param statements One statement or more, one after the other.
    /// @return seed The hash over all statements, which the coefficients of the check come from.
    function verify(bytes calldata statements) external view returns (bytes32 seed);

    /// @notice Levels of the account tree.
    function levels() external view returns (uint256);

    /// @notice Most transfers in a segment of the transfers circuit.
    function transfers() external view returns (uint256);

    /// @notice Most operations in a segment of the operations circuit.
    function operations() external view returns (uint256);

    /// @notice Most fee entries in a segment.
    function tokens() external view returns (uint256);
}
