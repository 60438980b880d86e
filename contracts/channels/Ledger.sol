// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeTransferLib} from "solady/src/utils/SafeTransferLib.sol";

import {ILedger} from "../interfaces/ILedger.sol";
import {Tokens} from "../libraries/Tokens.sol";

/// @title Ledger
/// @notice Takes deposits, and pays what accounts are owed. Token 0 is ETH.
/// @dev A contract of channels inherits this, locks (`nonReentrant`) whatever calls `_take`, reads its own storage
/// after that call and not before unless all that writes it is locked too, and calls `_credit` for what leaves a
/// channel.
abstract contract Ledger is ILedger, ReentrancyGuardTransient {
    /// @dev What accounts are owed, plus one once they were owed something: a slot that is never emptied makes the next
    /// credit 17,100 gas cheaper.
    mapping(address account => mapping(address token => uint256 stored)) private _owed;

    /// @inheritdoc ILedger
    function settle(address account, address token) external nonReentrant {
        uint256 amount = owed(account, token);
        if (amount == 0) revert NothingToSettle(account, token);

        _owed[account][token] = 1;

        emit Settled(account, token, amount);

        if (token == address(0)) SafeTransferLib.safeTransferETH(account, amount);
        else SafeTransferLib.safeTransfer(token, account, amount);
    }

    /// @inheritdoc ILedger
    function owed(address account, address token) public view returns (uint256) {
        uint256 stored = _owed[account][token];
        return stored == 0 ? 0 : stored - 1;
    }

    /// @dev Makes money payable to an account. A channel has given it up.
    function _credit(address account, address token, uint256 amount) internal {
        if (amount == 0) return;
        uint256 stored = _owed[account][token];
        _owed[account][token] = (stored == 0 ? 1 : stored) + amount;
    }

    /// @dev Takes ETH or tokens of the caller. Tokens may call anybody meanwhile.
    /// @return arrived By how much this contract's balance grew, not 0.
    function _take(address token, uint256 amount) internal returns (uint256 arrived) {
        uint256 expected = token == address(0) ? amount : 0;
        if (msg.value != expected) revert WrongValue(msg.value, expected);

        arrived = token == address(0) ? amount : Tokens.take(token, amount);
        if (arrived == 0) revert EmptyDeposit(token);
    }

    /// @dev Uses a permit of the caller's. If it fails, `_take` finds out whether it was needed.
    function _permit(address token, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) internal {
        if (token == address(0)) revert PermitOfEther();
        Tokens.permit(token, amount, deadline, v, r, s);
    }

    /// @dev Adds what arrived to all that was ever deposited into a channel.
    function _sum(uint256 deposited, uint256 arrived) internal pure returns (uint128) {
        // Written so that a token which reports any amount at all cannot overflow the sum.
        if (arrived > type(uint128).max - deposited) revert TotalTooLarge(deposited, arrived);
        return uint128(deposited + arrived);
    }
}
