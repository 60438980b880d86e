// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeTransferLib} from "solady/src/utils/SafeTransferLib.sol";

/// @title Tokens
/// @notice Takes ERC-20 tokens of whoever calls.
library Tokens {
    /// @notice There is no contract at this address, or no longer.
    error NotAContract(address token);

    /// @dev Only the token can tell what arrived: the caller of this has to be locked against calls that move the token.
    /// @return arrived By how much this contract's balance grew.
    function take(address token, uint256 amount) internal returns (uint256 arrived) {
        _checkCode(token);
        IERC20 erc20 = IERC20(token);
        uint256 before = erc20.balanceOf(address(this));
        SafeTransferLib.safeTransferFrom(token, msg.sender, address(this), amount);
        uint256 afterwards = erc20.balanceOf(address(this));
        arrived = afterwards > before ? afterwards - before : 0;
    }

    /// @dev Uses a permit of the caller's for this contract. The result is of no interest: tokens are taken from the
    /// caller only, and only within the allowance.
    function permit(address token, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) internal {
        _checkCode(token);
        try IERC20Permit(token).permit(msg.sender, address(this), amount, deadline, v, r, s) {} catch {}
    }

    /// @dev Solidity's own check of this has no reason, and `try` does not catch it.
    function _checkCode(address token) private view {
        if (token.code.length == 0) revert NotAContract(token);
    }
}
