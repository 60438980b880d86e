// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ITokenRegistry} from "./ITokenRegistry.sol";

/// @title ICustody
/// @notice The part of a rollup that holds the money: deposits, the queue of operations that Layer 1 forces upon
/// Layer 2, and the payouts that wait for their owners.
/// @dev What is assumed of a token: `balanceOf` of this contract grows by what `transferFrom` brought and falls only
/// when this contract pays. Tokens that take a fee on the way in are credited with what arrived. A token that
/// breaks the assumption (rebases downwards, takes a fee from the sender's remaining balance, confiscates, lies)
/// leaves its *own* holders with claims that this contract cannot pay in full; no other token is touched.
/// @dev Tokens sent here by a plain transfer, and ETH forced in, are credited to nobody and cannot be got out.
interface ICustody {
    /// @notice An operation joined the queue.
    /// @param index Its place: 0, 1, 2, …
    /// @param kind 1 for a deposit, 2 for a forced withdrawal.
    /// @param account The account that the operation names; 0 in a deposit means a new one.
    /// @param token The token's id; 0 in a forced withdrawal, whose token is an outcome.
    /// @param amount What arrived, in the token's smallest unit; 0 in a forced withdrawal.
    /// @param owner The Layer 1 address of the account's owner.
    /// @param key The BabyJubJub key of an account that the deposit opens; zeros in a forced withdrawal.
    event OperationQueued(
        uint256 indexed index,
        uint8 kind,
        uint32 account,
        uint16 token,
        uint128 amount,
        address indexed owner,
        uint256[2] key
    );

    /// @notice Money became claimable by `owner`.
    event PayoutCredited(address indexed owner, uint16 indexed token, uint256 amount);

    /// @notice An owner's whole payout of a token left for `to`.
    event PayoutClaimed(address indexed owner, uint16 indexed token, address to, uint256 amount);

    /// @notice The rollup ended. Owners get their money by proof of the final state, and by refunds.
    /// @param finalRoot Root of the final state.
    /// @param finalCursor How many queued operations the final state has consumed.
    event Frozen(bytes32 finalRoot, uint64 finalCursor);

    /// @notice The money of a leaf of the final state became claimable by its owner.
    event Escaped(uint256 indexed index, address indexed owner, uint16 indexed token, uint256 amount);

    /// @notice A deposit that the final state has not consumed became claimable by its owner.
    event DepositRefunded(uint256 indexed index, address indexed owner, uint16 indexed token, uint256 amount);

    /// @notice The ETH sent is not the ETH to deposit (0 when the deposit is of a token).
    error WrongValue(uint256 sent, uint256 expected);

    /// @notice Nothing arrived, so there is nothing to credit.
    error EmptyDeposit(uint16 token);

    /// @notice With what arrived, the total of the token held for Layer 2 would reach 2^128.
    error TotalTooLarge(uint16 token, uint256 held, uint256 arrived);

    /// @notice An account may not belong to this address (zero, or the rollup itself).
    error InvalidOwner(address owner);

    /// @notice The tree has no account with this index; indices are below `capacity`, and 0 is reserved.
    error AccountOutOfRange(uint32 account, uint256 capacity);

    /// @notice This is not a key of the rollup's signature scheme.
    error InvalidKey(uint256 x, uint256 y);

    /// @notice ETH has no permit: use `deposit`.
    error PermitOfEther();

    /// @notice The owner has no payout of this token to claim.
    error NothingToWithdraw(address owner, uint16 token);

    /// @notice A payout may not go to this address (zero, or the rollup itself).
    error InvalidRecipient(address to);

    /// @notice The recipient refused the ETH, or ran out of gas. (Solady's error.)
    error ETHTransferFailed();

    /// @notice The token refused to pay out. (Solady's error.)
    error TransferFailed();

    /// @notice The token could not be taken from the caller: no allowance, no balance, or its refusal. (Solady's
    /// error.) A token whose code is gone: `Tokens.NotAContract`.
    error TransferFromFailed();

    /// @notice The inclusion quota is not between 1 and `max`: zero would let operators ignore the queue, and a batch of
    /// more may not fit in a transaction.
    error InvalidQuota(uint256 quota, uint256 max);

    /// @notice A duration, in seconds, is longer than `max`.
    error TimeTooLong(uint256 time, uint256 max);

    /// @notice Within fewer seconds than `minimum` the rollup could be frozen while it works.
    error FreezeDeadlineTooShort(uint256 freezeDeadline, uint256 minimum);

    /// @notice The rollup was frozen; only escapes, refunds and payouts are left.
    error RollupFrozen();

    /// @notice The rollup was not frozen: use withdrawals, forced ones if need be.
    error NotFrozen();

    /// @notice The rollup cannot be frozen before this time has passed; the maximum while the queue is empty.
    error FreezeTooEarly(uint256 until);

    /// @notice The leaf is not in the final state, at least not with this index.
    error InvalidEscapeProof();

    /// @notice The leaf holds no money.
    error NothingToEscape(uint256 index);

    /// @notice The leaf's money was credited before.
    error AlreadyEscaped(uint256 index);

    /// @notice The queue's entry is a forced withdrawal: there is nothing to refund.
    error NotADeposit(uint256 index);

    /// @notice The final state has consumed the deposit: its money is in an account, or was credited.
    error DepositConsumed(uint256 index, uint256 cursor);

    /// @notice The deposit was credited before.
    error DepositAlreadyRefunded(uint256 index);

    /// @notice The queue has no such deposit with this index.
    error DepositMismatch(uint256 index);

    /// @notice Locks ETH or tokens of the caller and queues their credit on Layer 2.
    /// @param token The token's id; 0 is ETH, sent along as value.
    /// @param amount What to take from the caller, in the token's smallest unit. What arrives is credited.
    /// @param owner The Layer 1 address that the account belongs to.
    /// @param account An account to credit, or 0 for a new one. When the account is not of this owner and token, a
    /// new one is opened.
    /// @param key The public key of the account if one is opened.
    function deposit(uint16 token, uint256 amount, address owner, uint32 account, uint256[2] calldata key)
        external
        payable;

    /// @notice As `deposit`, with an ERC-2612 permit of the caller instead of an approval.
    /// @dev A permit that fails is passed over: someone may have sent it before, and then the allowance is there.
    function depositWithPermit(
        uint16 token,
        uint256 amount,
        address owner,
        uint32 account,
        uint256[2] calldata key,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;

    /// @notice Queues the withdrawal of an account's whole balance. It has an effect if the account is the caller's
    /// when its turn comes, and none otherwise.
    /// @param account The account's index, not 0.
    function forceWithdraw(uint32 account) external;

    /// @notice Pays the caller's whole payout of a token to any address.
    /// @param token The token's id.
    /// @param to Who gets it.
    function withdraw(uint16 token, address to) external;

    /// @notice Pays an owner's whole payout of a token to the owner. Anyone may call.
    /// @param owner Whose payout it is, and who gets it.
    /// @param token The token's id.
    function withdrawFor(address owner, uint16 token) external;

    /// @notice After a freeze: credits a deposit that the final state has not consumed to its owner, once. Anyone may
    /// call; the arguments are those of the deposit's `OperationQueued`.
    function refundDeposit(
        uint64 index,
        uint32 account,
        uint16 token,
        uint128 amount,
        address owner,
        uint256[2] calldata key
    ) external;

    /// @notice The list of tokens that this rollup goes by.
    function registry() external view returns (ITokenRegistry);

    /// @notice For how many seconds an operation may wait at the head of the queue.
    function inclusionDeadline() external view returns (uint256);

    /// @notice How many queued operations satisfy the inclusion deadline even if more of them are overdue.
    function queueQuota() external view returns (uint256);

    /// @notice For how many seconds both the head of the queue and the last batch have to be old before anyone may freeze
    /// the rollup.
    function freezeDeadline() external view returns (uint256);

    /// @notice Whether the rollup was frozen. Nothing undoes it.
    function isFrozen() external view returns (bool);

    /// @notice Root of the final state; 0 until the rollup is frozen.
    function finalRoot() external view returns (bytes32);

    /// @notice How many queued operations the final state has consumed; 0 until the rollup is frozen.
    function finalCursor() external view returns (uint64);

    /// @notice Whether the money of a leaf of the final state was credited.
    function isEscaped(uint256 index) external view returns (bool);

    /// @notice Whether a deposit was credited after the freeze.
    function isRefunded(uint256 index) external view returns (bool);

    /// @notice What `owner` may claim of a token.
    function payouts(address owner, uint16 token) external view returns (uint256);

    /// @notice All of a token that is held for Layer 2: balances, queued deposits and unclaimed payouts.
    function held(uint16 token) external view returns (uint256);

    /// @notice An entry of the queue.
    /// @return chain The hash over all operations up to and with this one.
    /// @return arrival When it joined, in seconds since 1970.
    function queueEntries(uint256 index) external view returns (bytes32 chain, uint64 arrival);

    /// @notice How many operations have joined the queue so far.
    function queueTail() external view returns (uint64);

    /// @notice How many operations batches have consumed so far.
    function queueCursor() external view returns (uint64);
}
