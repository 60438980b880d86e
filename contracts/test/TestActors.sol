// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

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

/// @notice A puppet that answers for its signatures (ERC-1271), in many ways. An account that delegates to it (EIP-7702)
/// refuses all, until it is told something else.
contract SigningPuppet is Puppet {
    /// @dev How it answers.
    enum Answer {
        NO,
        AS_OWNER,
        YES,
        NOTHING,
        TOO_SHORT,
        DIRTY,
        TOO_LONG,
        REVERTS,
        BURNS_GAS,
        CALLS,
        REVERTS_WITH_YES
    }

    address private immutable _owner;
    Answer public answer;

    /// @notice It says no if it is called with less gas.
    uint256 public gasNeeded;

    /// @notice What it calls before it says yes, if it is to call.
    address public target;
    bytes public payload;

    constructor(address owner, Answer answer_) {
        _owner = owner;
        answer = answer_;
    }

    function setAnswer(Answer answer_) external {
        answer = answer_;
    }

    function setGasNeeded(uint256 gasNeeded_) external {
        gasNeeded = gasNeeded_;
    }

    function setCall(address target_, bytes calldata payload_) external {
        (target, payload) = (target_, payload_);
    }

    function isValidSignature(bytes32 hash, bytes calldata signature) external returns (bytes4) {
        uint256 available = gasleft();
        bytes4 yes = IERC1271.isValidSignature.selector;
        if (answer == Answer.NO || available < gasNeeded) return bytes4(0xffffffff);
        if (answer == Answer.AS_OWNER) {
            (address recovered,,) = ECDSA.tryRecoverCalldata(hash, signature);
            return recovered == _owner ? yes : bytes4(0xffffffff);
        }
        if (answer == Answer.CALLS) {
            (bool success,) = target.call(payload);
            require(success, "the call fails");
        }
        if (answer == Answer.NOTHING) _return(yes, 0);
        if (answer == Answer.TOO_SHORT) _return(yes, 31);
        if (answer == Answer.DIRTY) _return(yes | bytes32(uint256(1)), 32);
        if (answer == Answer.TOO_LONG) _return(yes, 30_000);
        if (answer == Answer.REVERTS) revert("no");
        if (answer == Answer.REVERTS_WITH_YES) {
            assembly ("memory-safe") {
                mstore(0, yes)
                revert(0, 32)
            }
        }
        if (answer == Answer.BURNS_GAS) {
            assembly ("memory-safe") {
                invalid()
            }
        }
        return yes;
    }

    function _return(bytes32 word, uint256 length) private pure {
        assembly {
            mstore(0, word)
            return(0, length)
        }
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
