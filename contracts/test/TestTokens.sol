// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title TestUSDC
/// @notice A token of 6 decimals with ERC-2612 permits, which anyone may mint. For local chains.
contract TestUSDC is ERC20Permit {
    constructor() ERC20("Test USD Coin", "USDC") ERC20Permit("Test USD Coin") {}

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function decimals() public pure override returns (uint8) {
        return 6;
    }
}

/// @notice Keeps a percent of every transfer between accounts.
contract FeeOnTransferToken is ERC20 {
    constructor() ERC20("Fee on transfer", "FEE") {}

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function _update(address from, address to, uint256 amount) internal override {
        uint256 fee = from == address(0) || to == address(0) ? 0 : amount / 100;
        super._update(from, to, amount - fee);
        if (fee != 0) super._update(from, address(0), fee);
    }
}

/// @notice Refuses to move to or from listed addresses.
contract BlacklistingToken is ERC20 {
    error Blacklisted(address account);

    mapping(address account => bool) public isBlacklisted;

    constructor() ERC20("Blacklisting", "BLK") {}

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function setBlacklisted(address account, bool value) external {
        isBlacklisted[account] = value;
    }

    function _update(address from, address to, uint256 amount) internal override {
        if (isBlacklisted[from]) revert Blacklisted(from);
        if (isBlacklisted[to]) revert Blacklisted(to);
        super._update(from, to, amount);
    }
}

/// @notice Calls somebody in the middle of a transfer, as ERC-777 tokens do.
contract ReentrantToken is ERC20 {
    address public target;
    bytes public payload;

    /// @notice Whether the last call was made and went well, and what it reverted with if not.
    bool public succeeded;
    bytes public reason;

    constructor() ERC20("Reentrant", "REE") {}

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    /// @notice Gives the token itself a balance that `spender` may take.
    function arm(address spender, uint256 amount) external {
        _mint(address(this), amount);
        _approve(address(this), spender, amount);
    }

    /// @notice Sets the call to make during the next transfer.
    function setHook(address target_, bytes calldata payload_) external {
        target = target_;
        payload = payload_;
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (target == address(0) || from == address(0)) return;
        address callee = target;
        target = address(0);
        (succeeded, reason) = callee.call(payload);
    }
}

/// @notice A bare token whose answers can be spoilt in many ways.
contract SpoiltToken {
    /// @dev What the token does wrong.
    enum Defect {
        NONE,
        RETURNS_NOTHING,
        RETURNS_FALSE,
        REVERTS,
        MOVES_NOTHING,
        SHRINKS,
        CLAIMS_EVERYTHING
    }

    error Spoilt();

    mapping(address account => uint256) private _balances;
    Defect public defect;

    constructor(Defect defect_) {
        defect = defect_;
    }

    function setDefect(Defect defect_) external {
        defect = defect_;
    }

    function mint(address to, uint256 amount) external {
        _balances[to] += amount;
    }

    function balanceOf(address account) external view returns (uint256) {
        return defect == Defect.CLAIMS_EVERYTHING && _balances[account] != 0 ? type(uint256).max : _balances[account];
    }

    function transfer(address to, uint256 amount) external {
        _transfer(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external {
        _transfer(from, to, amount);
    }

    function _transfer(address from, address to, uint256 amount) private {
        if (defect == Defect.REVERTS) revert Spoilt();
        bool moves = defect != Defect.RETURNS_FALSE && defect != Defect.MOVES_NOTHING && defect != Defect.SHRINKS;
        if (moves) {
            _balances[from] -= amount;
            _balances[to] += amount;
        }
        if (defect == Defect.SHRINKS) _balances[to] = 0;
        if (defect == Defect.RETURNS_NOTHING) return;
        uint256 answer = defect == Defect.RETURNS_FALSE ? 0 : 1;
        assembly ("memory-safe") {
            mstore(0, answer)
            return(0, 32)
        }
    }
}
