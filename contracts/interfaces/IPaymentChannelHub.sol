// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title IPaymentChannelHub
/// @notice One-way channels of everybody in one contract, in ETH and ERC-20: a payer deposits, signs vouchers for its
/// payee, and the payee, or anybody, claims with the last one. What leaves a channel is paid out by `ILedger.settle`.
/// @dev A voucher states an amount that is cumulative over the channel's whole life: it pays that amount less what has
/// left the channel before, whether a claim took it or it went back to the payer. So no voucher pays twice, and those of
/// before a withdrawal or a closing pay nothing of what is deposited after it.
/// @dev Warning: a signer that is a contract (ERC-1271) can take its vouchers back. A payee should take vouchers of
/// channels whose signer is an account of a key only, and only while no withdrawal is pending.
interface IPaymentChannelHub {
    /// @notice A channel's settings. They never change: their hash is the channel's id.
    /// @param payer Who gets back what is not claimed.
    /// @param payee Who is paid.
    /// @param token What is paid; 0 is ETH.
    /// @param signer Who signs vouchers; 0 is the payer.
    /// @param withdrawDelay How many seconds a withdrawal of the payer takes, so that the payee can claim before it.
    /// @param salt Tells channels with otherwise equal settings apart.
    struct ChannelConfig {
        address payer;
        address payee;
        address token;
        address signer;
        uint40 withdrawDelay;
        bytes32 salt;
    }

    /// @notice What a channel holds.
    /// @param balance What can still be claimed.
    /// @param released All that has left it: to the payee, or back to the payer. Vouchers count from here.
    struct Channel {
        uint128 balance;
        uint128 released;
    }

    /// @notice How a channel is ending, or has ended.
    /// @param withdrawableAfter From the next second on the payer can finish its withdrawal; 0 if none is pending.
    /// @param count How often the channel was closed by `close`.
    struct Closing {
        uint40 withdrawableAfter;
        uint64 count;
    }

    /// @notice A voucher with the settings of its channel.
    struct Claim {
        ChannelConfig config;
        uint128 amount;
        bytes signature;
    }

    /// @notice The channel had its first deposit.
    event ChannelOpened(
        bytes32 indexed channelId,
        address indexed payer,
        address indexed payee,
        address token,
        address signer,
        uint40 withdrawDelay,
        bytes32 salt
    );

    /// @notice `amount` arrived from `from`, after which the channel has `balance`.
    event Deposited(bytes32 indexed channelId, address indexed from, uint128 amount, uint128 balance);

    /// @notice `amount` was credited to the payee; with it, `released` has left the channel.
    event Claimed(bytes32 indexed channelId, uint128 amount, uint128 released);

    /// @notice Payee and payer agreed to close: the payee was credited with `amount`, the payer with `refund`.
    event ChannelClosed(bytes32 indexed channelId, uint128 amount, uint128 refund);

    /// @notice After `withdrawableAfter` the payer can take what is not claimed by then.
    event WithdrawalStarted(bytes32 indexed channelId, uint40 withdrawableAfter);

    /// @notice The payer was credited with all that was left.
    event WithdrawalFinished(bytes32 indexed channelId, uint128 amount);

    /// @notice The payer leaves the money in the channel.
    event WithdrawalCancelled(bytes32 indexed channelId);

    /// @notice This address (zero, or the hub) can be neither payer nor payee.
    error InvalidParty(address party);

    /// @notice The delay of withdrawals, in seconds, is not in this range.
    error InvalidWithdrawDelay(uint40 withdrawDelay, uint256 min, uint256 max);

    /// @notice There is nothing in the channel: it was never opened, or all has left it.
    error EmptyChannel(bytes32 channelId);

    /// @notice The voucher's amount has left the channel already, or the channel is empty.
    error NothingToClaim(bytes32 channelId, uint128 amount, uint128 released, uint128 balance);

    /// @notice None of the vouchers can be claimed.
    error NothingClaimable();

    /// @notice More than this has left the channel already.
    error AlreadyReleased(bytes32 channelId, uint128 amount, uint128 released);

    /// @notice This is not the signature of `signer` for this amount and this channel, of this contract on this chain.
    error InvalidSignature(address signer);

    /// @notice Only the payer withdraws.
    error NotPayer(address caller);

    /// @notice A withdrawal is pending already.
    error WithdrawalPending(bytes32 channelId, uint40 withdrawableAfter);

    /// @notice No withdrawal is pending.
    error NoWithdrawal(bytes32 channelId);

    /// @notice The payer can finish the withdrawal after this second.
    error WithdrawalTooEarly(uint40 withdrawableAfter);

    /// @notice Opens a channel or tops it up, with ETH or tokens of the caller. Anyone may call.
    /// @param config The channel's settings.
    /// @param amount What to take from the caller, in the token's smallest unit. What arrives is deposited.
    function deposit(ChannelConfig calldata config, uint256 amount) external payable;

    /// @notice As `deposit`, with an ERC-2612 permit of the caller instead of an approval.
    /// @dev A permit that fails is passed over: someone may have sent it before, and then the allowance is there.
    function depositWithPermit(
        ChannelConfig calldata config,
        uint256 amount,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;

    /// @notice Credits the payee with a voucher: `amount` less what has left the channel before, at most the balance.
    /// Anyone may call, a pending withdrawal does not matter.
    /// @param config The channel's settings.
    /// @param amount What the voucher states.
    /// @param signature Of `voucherDigest(channelIdOf(config), amount)`, by the channel's signer.
    function claim(ChannelConfig calldata config, uint128 amount, bytes calldata signature) external;

    /// @notice As `claim`, for many vouchers. What cannot be claimed is left out; reverts if that is everything.
    function claimMany(Claim[] calldata claims) external;

    /// @notice Closes a channel before its time: credits the payee as `claim` would and the payer with the rest. Anyone
    /// may call. The channel can be filled again afterwards.
    /// @param config The channel's settings.
    /// @param amount What has left the channel to the payee in the end; not less than what has left it already.
    /// @param voucherSignature The voucher of that amount; not looked at if that has left the channel already.
    /// @param payeeSignature Of `closeDigest(channelIdOf(config), amount, count)`, by the payee; not looked at if the payee
    /// calls. Who has signed this takes no more vouchers before the channel was closed with it, or more than `amount`
    /// was claimed.
    function close(
        ChannelConfig calldata config,
        uint128 amount,
        bytes calldata voucherSignature,
        bytes calldata payeeSignature
    ) external;

    /// @notice Announces that the payer, who calls this, wants back what is not claimed.
    function startWithdrawal(ChannelConfig calldata config) external;

    /// @notice Credits the payer, who calls this, with the channel's balance, after `withdrawableAfter`.
    function finishWithdrawal(ChannelConfig calldata config) external;

    /// @notice Ends the payer's withdrawal without taking anything.
    function cancelWithdrawal(ChannelConfig calldata config) external;

    /// @notice What the channel holds; zeros if it was never opened.
    function channels(bytes32 channelId) external view returns (uint128 balance, uint128 released);

    /// @notice How the channel is ending, or has ended.
    function closings(bytes32 channelId) external view returns (uint40 withdrawableAfter, uint64 count);

    /// @notice The channel's id: EIP-712's `hashStruct` of its settings.
    function channelIdOf(ChannelConfig calldata config) external pure returns (bytes32 channelId);

    /// @notice What a channel's signer signs: EIP-712 `Voucher(bytes32 channelId,uint128 amount)`.
    function voucherDigest(bytes32 channelId, uint128 amount) external view returns (bytes32);

    /// @notice What a payee signs: EIP-712 `Close(bytes32 channelId,uint128 amount,uint64 closings)`.
    /// @param count How often the channel was closed before.
    function closeDigest(bytes32 channelId, uint128 amount, uint64 count) external view returns (bytes32);
}
