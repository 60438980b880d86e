// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title ICellVerifier
/// @notice Opens EIP-4844 blobs: 64 field elements with one proof (a cell of EIP-7594), or one element.
/// @dev Field elements are canonical, below the modulus of BLS12-381's scalar field: others are refused, since their
/// bytes would differ from what the blob holds.
interface ICellVerifier {
    /// @notice The opening does not hold: a proof that fails, a point off the curve or out of the subgroup, a
    /// commitment of another blob, an element that is not canonical, an index out of range.
    error InvalidOpening();

    /// @notice The points given at deployment are not those of Ethereum's KZG ceremony.
    /// @param setupHash keccak256 of what was given.
    /// @param expected keccak256 of what the contract takes.
    error WrongSetup(bytes32 setupHash, bytes32 expected);

    /// @notice The chain lacks a precompiled contract (EIP-4844, EIP-2537), so blobs could not be opened.
    error PrecompileMissing(address precompile);

    /// @notice Reverts with `InvalidOpening` unless the blob's elements 64·index … 64·index + 63 are `elements`.
    /// @param versionedHash The blob's versioned hash.
    /// @param commitment The blob's KZG commitment, uncompressed as in EIP-2537: 128 bytes.
    /// @param proof The cell's KZG proof, uncompressed: 128 bytes.
    /// @param index The cell's number, 0 to 63.
    /// @param elements The 64 elements, in the blob's order.
    function verifyCell(
        bytes32 versionedHash,
        bytes calldata commitment,
        bytes calldata proof,
        uint256 index,
        uint256[64] calldata elements
    ) external view;

    /// @notice Reverts with `InvalidOpening` unless the blob's element `index` is `element`.
    /// @param versionedHash The blob's versioned hash.
    /// @param commitment The blob's KZG commitment, uncompressed: 128 bytes.
    /// @param proof The element's KZG proof, compressed: 48 bytes.
    /// @param index The element's number, 0 to 4095.
    /// @param element Its value.
    function verifyElement(
        bytes32 versionedHash,
        bytes calldata commitment,
        bytes calldata proof,
        uint256 index,
        uint256 element
    ) external view;
}
