// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title ITokenRegistry
/// @notice Gives every token the 16-bit id that Layer 2 calls it by. Id 0 is ETH, for ever.
/// @dev Anyone may list any contract: listing says nothing about a token's quality, and a token can only hurt those
/// who hold it. An entry never changes and never leaves.
/// @dev Warning: there are 65,535 ids. Filling them costs the price of that many small contracts; rollups that fear
/// this deploy a registry of their own.
interface ITokenRegistry {
    /// @notice A token got its id.
    event TokenRegistered(uint16 indexed id, address indexed token);

    /// @notice The address has no code, so it is no token.
    error NotAContract(address token);

    /// @notice The token has an id already.
    error TokenAlreadyRegistered(address token, uint16 id);

    /// @notice All 65,535 ids are given away.
    error RegistryFull();

    /// @notice No token has this id.
    error UnknownToken(uint16 id);

    /// @notice The token has no id; `register` gives it one.
    error TokenNotRegistered(address token);

    /// @notice Lists a token.
    /// @param token An address with code that is not listed yet.
    /// @return id The token's id, one more than the last one given.
    function register(address token) external returns (uint16 id);

    /// @notice The token with an id; `address(0)`, ETH, for id 0. Reverts with `UnknownToken` when there is none.
    function tokenOf(uint16 id) external view returns (address token);

    /// @notice The id of a token; 0 for `address(0)`, ETH. Reverts with `TokenNotRegistered` when it has none.
    function idOf(address token) external view returns (uint16 id);

    /// @notice How many tokens are listed, ETH not counted: the ids are 0 to `count()`.
    function count() external view returns (uint16);
}
