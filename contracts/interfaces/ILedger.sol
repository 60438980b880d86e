// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title ILedger
/// @notice What accounts are owed by a contract of channels, and how they get it. Token 0 is ETH.
/// @dev What is assumed of a token is what `ICustody` assumes. One that breaks it leaves its *own* holders with claims
/// that cannot be paid in full; no other token is touched.
/// @dev Tokens sent here by a plain transfer, and ETH forced in, are credited to nobody and cannot be got out.
/// @dev Deposits of a token without code revert with `Tokens.NotAContract`.
interface ILedger {
    /// @notice All that an account was owed in a token left for the account.
    event Settled(address indexed account, address indexed token, uint256 amount);

    /// @notice The ETH sent is not the ETH to deposit (0 when the deposit is of a token).
    error WrongValue(uint256 sent, uint256 expected);

    /// @notice Nothing arrived, so there is nothing to deposit.
    error EmptyDeposit(address token);

    /// @notice With what arrived, all that was ever deposited into the channel would reach 2^128.
    error TotalTooLarge(uint256 deposited, uint256 arrived);

    /// @notice ETH has no permit: use `deposit`.
    error PermitOfEther();

    /// @notice The account is owed none of this token.
    error NothingToSettle(address account, address token);

    /// @notice The account refused the ETH, or ran out of gas. (Solady's error.)
    error ETHTransferFailed();

    /// @notice The token refused to pay out. (Solady's error.)
    error TransferFailed();

    /// @notice The token could not be taken from the caller: no allowance, no balance, or its refusal. (Solady's
    /// error.)
    error TransferFromFailed();

    /// @notice Pays an account all that it is owed in a token. Anyone may call.
    /// @param account Who is owed, and who gets it.
    /// @param token The token; 0 is ETH.
    function settle(address account, address token) external;

    /// @notice What `settle` would pay.
    function owed(address account, address token) external view returns (uint256);
}
