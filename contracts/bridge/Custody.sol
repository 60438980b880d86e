// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {BitMaps} from "@openzeppelin/contracts/utils/structs/BitMaps.sol";
import {SafeTransferLib} from "solady/src/utils/SafeTransferLib.sol";

import {ICustody} from "../interfaces/ICustody.sol";
import {ITokenRegistry} from "../interfaces/ITokenRegistry.sol";
import {Slot} from "../libraries/Slot.sol";
import {Tokens} from "../libraries/Tokens.sol";

/// @title Custody
/// @notice Deposits, queue, payouts and the freeze, for any rollup. Nobody has special rights here.
/// @dev A rollup inherits this, says which keys and accounts exist and how far batches have consumed the queue, and
/// calls `_checkNotFrozen`, `_isQueueNeglected` and `_credit` when it accepts a batch, `_freeze` with its final state,
/// `_checkFrozen`, `_markEscaped` and `_credit` for what leaves that state.
abstract contract Custody is ICustody, ReentrancyGuardTransient {
    using BitMaps for BitMaps.BitMap;

    /// @dev An operation in the queue.
    /// @param chain The hash over all operations up to and with this one.
    /// @param arrival When it joined.
    struct QueueEntry {
        bytes32 chain;
        uint64 arrival;
    }

    /// @dev Largest quota. A batch of so many queued operations fits in a transaction; a quota that does not would stop
    /// the rollup once so many are overdue.
    uint256 private constant _MAX_QUOTA = 256;

    /// @inheritdoc ICustody
    ITokenRegistry public immutable registry;

    /// @inheritdoc ICustody
    uint256 public immutable inclusionDeadline;

    /// @inheritdoc ICustody
    uint256 public immutable queueQuota;

    /// @inheritdoc ICustody
    uint256 public immutable freezeDeadline;

    /// @inheritdoc ICustody
    uint64 public queueTail;

    /// @inheritdoc ICustody
    uint64 public finalCursor;

    /// @inheritdoc ICustody
    bool public isFrozen;

    /// @inheritdoc ICustody
    bytes32 public finalRoot;

    /// @inheritdoc ICustody
    mapping(uint256 index => QueueEntry entry) public queueEntries;

    /// @inheritdoc ICustody
    mapping(uint16 token => uint256 total) public held;

    /// @inheritdoc ICustody
    mapping(address owner => mapping(uint16 token => uint256 amount)) public payouts;

    /// @dev Leaves of the final state, and entries of the queue, whose money was credited after the freeze.
    BitMaps.BitMap private _escaped;
    BitMaps.BitMap private _refunded;

    /// @param registry_ The list of tokens.
    /// @param inclusionDeadline_ Seconds that a queued operation may have to wait, below 2³².
    /// @param queueQuota_ How many queued operations a batch must take at most, 1 to 256.
    /// @param freezeDeadline_ Seconds without progress until anyone may freeze, below 2³² and no fewer than the
    /// inclusion deadline.
    constructor(
        ITokenRegistry registry_,
        uint256 inclusionDeadline_,
        uint256 queueQuota_,
        uint256 freezeDeadline_
    ) {
        if (queueQuota_ == 0 || queueQuota_ > _MAX_QUOTA) revert InvalidQuota(queueQuota_, _MAX_QUOTA);
        _checkTime(inclusionDeadline_);
        _checkTime(freezeDeadline_);
        registry = registry_;
        inclusionDeadline = inclusionDeadline_;
        queueQuota = queueQuota_;
        freezeDeadline = freezeDeadline_;
        _checkFreezeDeadline(inclusionDeadline_);
    }

    /* DEPOSITS AND FORCED OPERATIONS */

    /// @inheritdoc ICustody
    function deposit(uint16 token, uint256 amount, address owner, uint32 account, uint256[2] calldata key)
        external
        payable
        nonReentrant
    {
        _deposit(token, amount, owner, account, key);
    }

    /// @inheritdoc ICustody
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
    ) external nonReentrant {
        if (token == 0) revert PermitOfEther();
        Tokens.permit(registry.tokenOf(token), amount, deadline, v, r, s);
        _deposit(token, amount, owner, account, key);
    }

    /// @inheritdoc ICustody
    function forceWithdraw(uint32 account) external nonReentrant {
        _checkNotFrozen();
        uint256 capacity = _accountCapacity();
        if (account == 0 || account >= capacity) revert AccountOutOfRange(account, capacity);

        uint256[2] memory noKey;
        _enqueue(Slot.FORCED_WITHDRAWAL, account, 0, 0, msg.sender, noKey);
    }

    /* PAYOUTS */

    /// @inheritdoc ICustody
    function withdraw(uint16 token, address to) external nonReentrant {
        _pay(msg.sender, token, to);
    }

    /// @inheritdoc ICustody
    function withdrawFor(address owner, uint16 token) external nonReentrant {
        _pay(owner, token, owner);
    }

    /* AFTER A FREEZE */

    /// @inheritdoc ICustody
    function refundDeposit(
        uint64 index,
        uint32 account,
        uint16 token,
        uint128 amount,
        address owner,
        uint256[2] calldata key
    ) external nonReentrant {
        _checkFrozen();
        if (index < finalCursor) revert DepositConsumed(index, finalCursor);
        bytes32 chain = queueEntries[index].chain;
        if (Slot.chain(_chainBefore(index), Slot.DEPOSIT, account, token, amount, owner, key) != chain) {
            bytes32 forced =
                Slot.chain(_chainBefore(index), Slot.FORCED_WITHDRAWAL, account, token, amount, owner, key);
            if (forced == chain) revert NotADeposit(index);
            revert DepositMismatch(index);
        }
        if (_refunded.get(index)) revert DepositAlreadyRefunded(index);

        _refunded.set(index);
        _credit(owner, token, amount);

        emit DepositRefunded(index, owner, token, amount);
    }

    /// @inheritdoc ICustody
    function isRefunded(uint256 index) external view returns (bool) {
        return _refunded.get(index);
    }

    /// @inheritdoc ICustody
    function isEscaped(uint256 index) external view returns (bool) {
        return _escaped.get(index);
    }

    /* FOR THE ROLLUP */

    /// @inheritdoc ICustody
    function queueCursor() public view virtual returns (uint64);

    /// @dev Whether accounts can have this key.
    function _isValidKey(uint256[2] calldata key) internal view virtual returns (bool);

    /// @dev How many accounts the state can hold; indices are below.
    function _accountCapacity() internal view virtual returns (uint256);

    /// @dev Makes money claimable. The rollup has shown that Layer 2 gave it up.
    function _credit(address owner, uint16 token, uint256 amount) internal {
        if (amount == 0) return;
        payouts[owner][token] += amount;

        emit PayoutCredited(owner, token, amount);
    }

    /// @dev Ends the rollup for ever, if the head of the queue and the tip have both waited longer than the deadline.
    /// Both, so that neither a flood of the queue stops a rollup that makes batches, nor a quiet time one that has
    /// nothing to do.
    /// @param finalRoot_ Root of the state that owners escape from.
    /// @param finalCursor_ How many queued operations that state has consumed.
    /// @param tipTime The time of the last batch, final or not.
    function _freeze(bytes32 finalRoot_, uint64 finalCursor_, uint256 tipTime) internal {
        _checkNotFrozen();
        uint256 until = _freezableAfter(tipTime);
        if (block.timestamp <= until) revert FreezeTooEarly(until);

        isFrozen = true;
        finalRoot = finalRoot_;
        finalCursor = finalCursor_;

        emit Frozen(finalRoot_, finalCursor_);
    }

    /// @dev The last second at which the rollup cannot be frozen, as things are; one that never comes while the queue
    /// is empty.
    /// @param tipTime The time of the last batch.
    function _freezableAfter(uint256 tipTime) internal view returns (uint256) {
        uint64 head = queueCursor();
        if (head == queueTail) return type(uint256).max;
        uint256 arrival = queueEntries[head].arrival;
        return (arrival > tipTime ? arrival : tipTime) + freezeDeadline;
    }

    /// @dev Refuses what must not happen any more after a freeze.
    function _checkNotFrozen() internal view {
        if (isFrozen) revert RollupFrozen();
    }

    /// @dev Refuses what can only happen after a freeze.
    function _checkFrozen() internal view {
        if (!isFrozen) revert NotFrozen();
    }

    /// @dev Notes that a leaf of the final state was credited; refuses to do so twice.
    function _markEscaped(uint256 index) internal {
        if (_escaped.get(index)) revert AlreadyEscaped(index);
        _escaped.set(index);
    }

    /// @dev Refuses a freeze deadline below another duration: the rollup could be frozen while it works.
    function _checkFreezeDeadline(uint256 minimum) internal view {
        if (freezeDeadline < minimum) revert FreezeDeadlineTooShort(freezeDeadline, minimum);
    }

    /// @dev Whether a batch that moves the cursor from `cursor` to `newCursor` leaves operations behind that it had to
    /// take: the head it leaves is overdue, and it took fewer than the quota.
    function _isQueueNeglected(uint256 cursor, uint256 newCursor) internal view returns (bool) {
        return newCursor - cursor < queueQuota && block.timestamp > _headDeadline(newCursor);
    }

    /// @dev The last second at which the head of the queue is not overdue; of an empty queue, one that never comes.
    function _headDeadline(uint256 cursor) internal view returns (uint256) {
        return cursor == queueTail ? type(uint256).max : queueEntries[cursor].arrival + inclusionDeadline;
    }

    /// @dev Refuses a duration of 2³² seconds (136 years) or more: sums with it could overflow and stop the rollup.
    function _checkTime(uint256 time) internal pure {
        if (time > type(uint32).max) revert TimeTooLong(time, type(uint32).max);
    }

    /// @dev The chain over the first `index` operations.
    function _chainBefore(uint256 index) internal view returns (bytes32) {
        return index == 0 ? bytes32(0) : queueEntries[index - 1].chain;
    }

    /* PRIVATE */

    /// @dev Takes the money and queues the deposit. Interactions come before effects here because only the token can
    /// tell what arrived; all functions that touch money or queue are locked meanwhile.
    function _deposit(uint16 token, uint256 amount, address owner, uint32 account, uint256[2] calldata key) private {
        _checkNotFrozen();
        if (owner == address(0) || owner == address(this)) revert InvalidOwner(owner);
        uint256 capacity = _accountCapacity();
        if (account >= capacity) revert AccountOutOfRange(account, capacity);
        if (!_isValidKey(key)) revert InvalidKey(key[0], key[1]);

        uint256 arrived = _take(token, amount);
        if (arrived == 0) revert EmptyDeposit(token);
        uint256 total = held[token];
        // Written so that a token which reports any amount at all cannot overflow the sum.
        if (arrived > type(uint128).max - total) revert TotalTooLarge(token, total, arrived);

        held[token] = total + arrived;
        _enqueue(Slot.DEPOSIT, account, token, uint128(arrived), owner, key);
    }

    /// @dev Takes ETH or tokens from the caller.
    /// @return arrived By how much this contract's balance grew.
    function _take(uint16 token, uint256 amount) private returns (uint256 arrived) {
        uint256 expected = token == 0 ? amount : 0;
        if (msg.value != expected) revert WrongValue(msg.value, expected);
        arrived = token == 0 ? amount : Tokens.take(registry.tokenOf(token), amount);
    }

    /// @dev Appends an operation to the queue.
    function _enqueue(
        uint8 kind,
        uint32 account,
        uint16 token,
        uint128 amount,
        address owner,
        uint256[2] memory key
    ) private {
        uint64 index = queueTail;
        queueTail = index + 1;
        queueEntries[index] = QueueEntry({
            chain: Slot.chain(_chainBefore(index), kind, account, token, amount, owner, key),
            arrival: uint64(block.timestamp)
        });

        emit OperationQueued(index, kind, account, token, amount, owner, key);
    }

    /// @dev Pays the whole payout of an owner.
    function _pay(address owner, uint16 token, address to) private {
        if (to == address(0) || to == address(this)) revert InvalidRecipient(to);
        uint256 amount = payouts[owner][token];
        if (amount == 0) revert NothingToWithdraw(owner, token);

        payouts[owner][token] = 0;
        held[token] -= amount;

        emit PayoutClaimed(owner, token, to, amount);

        if (token == 0) SafeTransferLib.safeTransferETH(to, amount);
        else SafeTransferLib.safeTransfer(registry.tokenOf(token), to, amount);
    }
}
