// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {SafeTransferLib} from "solady/src/utils/SafeTransferLib.sol";

import {IPaymentChannel} from "../interfaces/IPaymentChannel.sol";
import {Signatures} from "../libraries/Signatures.sol";

/// @title PaymentChannel
/// @notice Payments of ETH from one account to another: one deposit, then signatures.
contract PaymentChannel is IPaymentChannel {
    /// @inheritdoc IPaymentChannel
    address public immutable sender;

    /// @inheritdoc IPaymentChannel
    address public immutable recipient;

    /// @inheritdoc IPaymentChannel
    uint256 public immutable expiration;

    /// @inheritdoc IPaymentChannel
    uint256 public immutable deposit;

    /// @inheritdoc IPaymentChannel
    uint128 public claimed;

    /// @inheritdoc IPaymentChannel
    bool public isClosed;

    /// @param recipient_ Who is paid.
    /// @param expiration_ The last second in which payments can be claimed, in seconds since 1970.
    constructor(address recipient_, uint256 expiration_) payable {
        if (recipient_ == address(0) || recipient_ == address(this)) revert InvalidRecipient(recipient_);
        if (expiration_ < block.timestamp) revert InvalidExpiration(expiration_);
        if (msg.value == 0) revert EmptyDeposit();

        sender = msg.sender;
        recipient = recipient_;
        expiration = expiration_;
        deposit = msg.value;

        emit ChannelOpened(msg.sender, recipient_, msg.value, expiration_);
    }

    /// @inheritdoc IPaymentChannel
    function claimPayment(uint256 amount, bytes calldata signature) external {
        if (msg.sender != recipient) revert NotRecipient(msg.sender);
        if (isClosed) revert AlreadyClosed();
        if (block.timestamp > expiration) revert ChannelExpired(expiration);
        if (amount > deposit) revert AmountTooLarge(amount, deposit);
        uint256 before = claimed;
        if (amount <= before) revert AlreadyClaimed(amount, before);
        bytes32 hash = keccak256(abi.encodePacked(address(this), amount, block.chainid));
        if (!Signatures.isValid(sender, MessageHashUtils.toEthSignedMessageHash(hash), signature)) {
            revert InvalidSignature();
        }

        // At most the deposit; there is less than 2¹²⁸ wei.
        claimed = uint128(amount);

        emit PaymentClaimed(msg.sender, amount - before, amount);

        SafeTransferLib.safeTransferETH(msg.sender, amount - before);
    }

    /// @inheritdoc IPaymentChannel
    function closeChannel() external {
        if (msg.sender != sender && msg.sender != recipient) revert NotParty(msg.sender);
        bool isSender = msg.sender == sender;
        uint256 refund = address(this).balance;
        if (isClosed && (!isSender || refund == 0)) revert AlreadyClosed();
        if (!isClosed && msg.sender != recipient && block.timestamp <= expiration) revert NotExpired(expiration);

        isClosed = true;

        if (isSender) SafeTransferLib.safeTransferETH(sender, refund);
        else if (!SafeTransferLib.trySafeTransferETH(sender, refund, SafeTransferLib.GAS_STIPEND_NO_GRIEF)) refund = 0;

        // Last, as only now it is known what the sender took.
        emit ChannelClosed(sender, refund);
    }
}
