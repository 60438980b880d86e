// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ICustody} from "../interfaces/ICustody.sol";

/// @notice Does whatever anybody tells it to, as itself: deposits for a contract, calls from a contract or from an
/// account that delegates to one (EIP-7702).
contract Puppet {
    receive() external payable virtual {}

    function execute(address target, uint256 value, bytes calldata payload) external payable {
        (bool success, bytes memory reason) = target.call{value: value}(payload);
        if (!success) {
            assembly ("memory-safe") {
                revert(add(reason, 0x20), mload(reason))
            }
        }
    }
}

/// @notice A puppet that calls back whoever pays it, once it is told what.
contract CallbackPuppet is Puppet {
    bytes public payload;

    /// @notice Sets the call to make when paid; none if it is empty.
    function setCallback(bytes calldata payload_) external {
        payload = payload_;
    }

    receive() external payable override {
        if (payload.length == 0) return;
        (bool success, bytes memory reason) = msg.sender.call(payload);
        if (!success) {
            assembly ("memory-safe") {
                revert(add(reason, 0x20), mload(reason))
            }
        }
    }
}

/// @notice A puppet that is paid as another contract is.
contract PayeePuppet is Puppet {
    address private immutable _payee;

    constructor(address payee) {
        _payee = payee;
    }

    receive() external payable override {
        (bool success,) = _payee.delegatecall("");
        require(success);
    }
}

/// @notice Calls a contract while it is still being built, when it has no code yet.
contract CallFromConstructor {
    constructor(address target, bytes memory payload) {
        (bool success, bytes memory reason) = target.call(payload);
        if (!success) {
            assembly ("memory-safe") {
                revert(add(reason, 0x20), mload(reason))
            }
        }
    }
}

/// @notice Burns all gas when it is paid.
contract GasBurningPayee {
    receive() external payable {
        assembly ("memory-safe") {
            invalid()
        }
    }
}

/// @notice Refuses to be paid, with a long reason.
contract RevertingPayee {
    receive() external payable {
        assembly ("memory-safe") {
            revert(0, 100000)
        }
    }
}

/// @notice Tries to be paid twice.
contract ReenteringPayee {
    uint256 public attempts;

    receive() external payable {
        ++attempts;
        ICustody(msg.sender).withdrawFor(address(this), 0);
    }
}

/// @notice Tries to be paid twice and gives up without a fuss if that fails.
contract SlyPayee {
    bytes public lastError;

    receive() external payable {
        try ICustody(msg.sender).withdrawFor(address(this), 0) {}
        catch (bytes memory reason) {
            lastError = reason;
        }
    }
}

/// @notice Forces ETH upon an address that does not want it.
contract EtherForcer {
    constructor(address payable target) payable {
        selfdestruct(target);
    }
}
