// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {IPaymentChannelHub} from "../interfaces/IPaymentChannelHub.sol";
import {Signatures} from "../libraries/Signatures.sol";
import {Ledger} from "./Ledger.sol";

/// @title PaymentChannelHub
/// @notice One-way channels of everybody in one contract. Nobody has special rights here.
/// @dev Only what takes deposits and pays out calls contracts that can call back, and is locked; signers and payees that
/// are contracts are asked by static calls.
contract PaymentChannelHub is IPaymentChannelHub, Ledger, EIP712 {
    uint256 private constant _MIN_WITHDRAW_DELAY = 15 minutes;
    uint256 private constant _MAX_WITHDRAW_DELAY = 30 days;

    bytes32 private constant _CONFIG_TYPE = keccak256(
        "ChannelConfig(address payer,address payee,address token,address signer,uint40 withdrawDelay,bytes32 salt)"
    );
    bytes32 private constant _VOUCHER_TYPE = keccak256("Voucher(bytes32 channelId,uint128 amount)");
    bytes32 private constant _CLOSE_TYPE = keccak256("Close(bytes32 channelId,uint128 amount,uint64 closings)");

    /// @inheritdoc IPaymentChannelHub
    mapping(bytes32 channelId => Channel channel) public channels;

    /// @inheritdoc IPaymentChannelHub
    mapping(bytes32 channelId => Closing closing) public closings;

    constructor() EIP712("Layer 2 Payment Channel Hub", "1") {}

    /* DEPOSITS */

    /// @inheritdoc IPaymentChannelHub
    function deposit(ChannelConfig calldata config, uint256 amount) external payable nonReentrant {
        _deposit(config, amount);
    }

    /// @inheritdoc IPaymentChannelHub
    function depositWithPermit(
        ChannelConfig calldata config,
        uint256 amount,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external nonReentrant {
        _permit(config.token, amount, deadline, v, r, s);
        _deposit(config, amount);
    }

    /* CLAIMS */

    /// @inheritdoc IPaymentChannelHub
    function claim(ChannelConfig calldata config, uint128 amount, bytes calldata signature) external {
        bytes32 id = channelIdOf(config);
        Channel memory channel = channels[id];
        uint128 due = _due(channel, amount);
        if (due == 0) revert NothingToClaim(id, amount, channel.released, channel.balance);
        if (!_isVoucher(config, id, amount, signature)) revert InvalidSignature(_signerOf(config));

        _claim(config, id, channel, due);
    }

    /// @inheritdoc IPaymentChannelHub
    function claimMany(Claim[] calldata claims) external {
        bool isAnyClaimed;
        for (uint256 i; i < claims.length; ++i) {
            Claim calldata item = claims[i];
            bytes32 id = channelIdOf(item.config);
            Channel memory channel = channels[id];
            uint128 due = _due(channel, item.amount);
            if (due == 0 || !_isVoucher(item.config, id, item.amount, item.signature)) continue;

            _claim(item.config, id, channel, due);
            isAnyClaimed = true;
        }
        if (!isAnyClaimed) revert NothingClaimable();
    }

    /* CLOSING */

    /// @inheritdoc IPaymentChannelHub
    function close(
        ChannelConfig calldata config,
        uint128 amount,
        bytes calldata voucherSignature,
        bytes calldata payeeSignature
    ) external {
        bytes32 id = channelIdOf(config);
        Channel memory channel = channels[id];
        uint64 count = closings[id].count;
        if (channel.balance == 0) revert EmptyChannel(id);
        if (amount < channel.released) revert AlreadyReleased(id, amount, channel.released);
        uint128 due = _due(channel, amount);
        if (due != 0 && !_isVoucher(config, id, amount, voucherSignature)) revert InvalidSignature(_signerOf(config));
        if (
            msg.sender != config.payee
                && !Signatures.isValid(config.payee, closeDigest(id, amount, count), payeeSignature)
        ) revert InvalidSignature(config.payee);

        uint128 refund = channel.balance - due;
        // A withdrawal that was pending would hang over the next deposit.
        closings[id] = Closing({withdrawableAfter: 0, count: count + 1});
        _empty(id, channel);
        _credit(config.payee, config.token, due);
        _credit(config.payer, config.token, refund);

        emit ChannelClosed(id, due, refund);
    }

    /// @inheritdoc IPaymentChannelHub
    function startWithdrawal(ChannelConfig calldata config) external {
        bytes32 id = _payersChannel(config);
        if (channels[id].balance == 0) revert EmptyChannel(id);
        uint40 pending = closings[id].withdrawableAfter;
        if (pending != 0) revert WithdrawalPending(id, pending);

        // A time of today and at most 30 days are below 2⁴⁰ seconds.
        uint40 withdrawableAfter = uint40(block.timestamp + config.withdrawDelay);
        closings[id].withdrawableAfter = withdrawableAfter;

        emit WithdrawalStarted(id, withdrawableAfter);
    }

    /// @inheritdoc IPaymentChannelHub
    function finishWithdrawal(ChannelConfig calldata config) external {
        bytes32 id = _payersChannel(config);
        uint40 withdrawableAfter = closings[id].withdrawableAfter;
        if (withdrawableAfter == 0) revert NoWithdrawal(id);
        if (block.timestamp <= withdrawableAfter) revert WithdrawalTooEarly(withdrawableAfter);
        Channel memory channel = channels[id];
        if (channel.balance == 0) revert EmptyChannel(id);

        closings[id].withdrawableAfter = 0;
        _empty(id, channel);
        _credit(config.payer, config.token, channel.balance);

        emit WithdrawalFinished(id, channel.balance);
    }

    /// @inheritdoc IPaymentChannelHub
    function cancelWithdrawal(ChannelConfig calldata config) external {
        bytes32 id = _payersChannel(config);
        if (closings[id].withdrawableAfter == 0) revert NoWithdrawal(id);

        closings[id].withdrawableAfter = 0;

        emit WithdrawalCancelled(id);
    }

    /* VIEWS */

    /// @inheritdoc IPaymentChannelHub
    function channelIdOf(ChannelConfig calldata config) public pure returns (bytes32) {
        return keccak256(abi.encode(_CONFIG_TYPE, config));
    }

    /// @inheritdoc IPaymentChannelHub
    function voucherDigest(bytes32 channelId, uint128 amount) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(_VOUCHER_TYPE, channelId, amount)));
    }

    /// @inheritdoc IPaymentChannelHub
    function closeDigest(bytes32 channelId, uint128 amount, uint64 count) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(_CLOSE_TYPE, channelId, amount, count)));
    }

    /* PRIVATE */

    /// @dev Takes the money. Interactions come before effects here because only the token can tell what arrived: a claim
    /// meanwhile is in the storage that is read after it.
    function _deposit(ChannelConfig calldata config, uint256 amount) private {
        _checkParty(config.payer);
        _checkParty(config.payee);
        uint40 delay = config.withdrawDelay;
        if (delay < _MIN_WITHDRAW_DELAY || delay > _MAX_WITHDRAW_DELAY) {
            revert InvalidWithdrawDelay(delay, _MIN_WITHDRAW_DELAY, _MAX_WITHDRAW_DELAY);
        }
        uint256 arrived = _take(config.token, amount);

        bytes32 id = channelIdOf(config);
        Channel memory channel = channels[id];
        uint256 deposited = uint256(channel.balance) + channel.released;
        uint128 balance = _sum(deposited, arrived) - channel.released;
        channels[id].balance = balance;

        if (deposited == 0) {
            emit ChannelOpened(
                id, config.payer, config.payee, config.token, config.signer, delay, config.salt
            );
        }
        emit Deposited(id, msg.sender, uint128(arrived), balance);
    }

    /// @dev Moves what a voucher pays from the channel to the payee.
    /// @param channel What is stored, with at least `due`.
    function _claim(ChannelConfig calldata config, bytes32 id, Channel memory channel, uint128 due) private {
        uint128 released = channel.released + due;
        channels[id] = Channel({balance: channel.balance - due, released: released});
        _credit(config.payee, config.token, due);

        emit Claimed(id, due, released);
    }

    /// @dev Releases all that a channel has.
    function _empty(bytes32 id, Channel memory channel) private {
        channels[id] = Channel({balance: 0, released: channel.released + channel.balance});
    }

    /// @dev What a voucher of this amount would pay now.
    function _due(Channel memory channel, uint128 amount) private pure returns (uint128) {
        if (amount <= channel.released) return 0;
        uint128 unpaid = amount - channel.released;
        return unpaid < channel.balance ? unpaid : channel.balance;
    }

    function _isVoucher(ChannelConfig calldata config, bytes32 id, uint128 amount, bytes calldata signature)
        private
        view
        returns (bool)
    {
        return Signatures.isValid(_signerOf(config), voucherDigest(id, amount), signature);
    }

    function _signerOf(ChannelConfig calldata config) private pure returns (address) {
        return config.signer == address(0) ? config.payer : config.signer;
    }

    /// @dev The channel's id, for its payer only.
    function _payersChannel(ChannelConfig calldata config) private view returns (bytes32) {
        if (msg.sender != config.payer) revert NotPayer(msg.sender);
        return channelIdOf(config);
    }

    function _checkParty(address party) private view {
        if (party == address(0) || party == address(this)) revert InvalidParty(party);
    }
}
