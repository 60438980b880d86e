// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title IPaymentChannel
/// @notice Payments of ETH from one account to another: one deposit, then signatures. One contract per channel.
/// @dev A signature says what the recipient was paid in all, so the last one is enough. It is the EIP-191 signature of
/// `keccak256(abi.encodePacked(channel, amount, chainId))` by the sender: by its key, with 65 bytes and low s, or as
/// ERC-1271 has it if the sender is a contract.
interface IPaymentChannel {
    /// @notice The channel holds its deposit, and payments can be claimed until `expiration`.
    event ChannelOpened(address indexed sender, address indexed recipient, uint256 deposit, uint256 expiration);

    /// @notice The recipient was paid `amount`, and `total` so far.
    event PaymentClaimed(address indexed recipient, uint256 amount, uint256 total);

    /// @notice No payments can be claimed any more, and the sender got `refund` back. Once more when the sender gets
    /// what it had refused, or what was sent here since.
    event ChannelClosed(address indexed sender, uint256 refund);

    /// @notice A channel cannot pay this address (zero, or the channel itself).
    error InvalidRecipient(address recipient);

    /// @notice The expiration is over already.
    error InvalidExpiration(uint256 expiration);

    /// @notice A channel needs a deposit.
    error EmptyDeposit();

    /// @notice Only the recipient claims.
    error NotRecipient(address caller);

    /// @notice Only sender and recipient close.
    error NotParty(address caller);

    /// @notice The channel was closed; and if the sender asks, nothing is left.
    error AlreadyClosed();

    /// @notice This was the last second in which payments could be claimed.
    error ChannelExpired(uint256 expiration);

    /// @notice The sender can close after this second.
    error NotExpired(uint256 expiration);

    /// @notice The signed amount is more than there ever was.
    error AmountTooLarge(uint256 amount, uint256 deposit);

    /// @notice The signed amount is no more than what was paid already.
    error AlreadyClaimed(uint256 amount, uint256 claimed);

    /// @notice This is not the sender's signature of this amount, for this channel on this chain.
    error InvalidSignature();

    /// @notice The account refused the ETH, or ran out of gas. (Solady's error.)
    error ETHTransferFailed();

    /// @notice Pays the recipient, who calls this, what the sender has signed and it has not got yet. The channel stays
    /// open.
    /// @param amount All that the recipient was ever paid by the sender's word, in wei.
    /// @param signature The sender's, of that amount.
    function claimPayment(uint256 amount, bytes calldata signature) external;

    /// @notice Ends the channel and sends the sender all that is left. For the recipient at any time, for the sender
    /// after `expiration`.
    /// @dev When the recipient closes and the sender refuses the ETH, or needs more than 100,000 gas to take it, it
    /// waits: then the sender calls this, too, at any time.
    function closeChannel() external;

    /// @notice Who pays.
    function sender() external view returns (address);

    /// @notice Who is paid.
    function recipient() external view returns (address);

    /// @notice The last second in which payments can be claimed, in seconds since 1970.
    function expiration() external view returns (uint256);

    /// @notice What the sender deposited, in wei.
    function deposit() external view returns (uint256);

    /// @notice What the recipient has got so far, in wei.
    function claimed() external view returns (uint128);

    /// @notice Whether the channel was closed.
    function isClosed() external view returns (bool);
}
