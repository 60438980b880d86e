// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {IStateChannel} from "../interfaces/IStateChannel.sol";
import {Signatures} from "../libraries/Signatures.sol";
import {Ledger} from "./Ledger.sol";

/// @title StateChannel
/// @notice Channels of two parties, all in one contract. Nobody has special rights here.
/// @dev Storage holds a channel's deposits, and while it is closing the hash of the state on the table; whoever wants
/// something of a channel brings its settings and the state along.
contract StateChannel is IStateChannel, Ledger, EIP712 {
    /// @dev What a channel has received, in one slot. `_CLOSED` for both once it was closed: no channel can have that,
    /// as both together are below 2^128.
    struct Deposits {
        uint128 ofA;
        uint128 ofB;
    }

    /// @dev See `IStateChannel.closings`; the deadline is not 0 while the channel is closing.
    struct Closing {
        bytes32 stateHash;
        uint64 version;
        uint64 closerVersion;
        uint40 deadline;
        bool isCloserA;
    }

    /// @dev Types of what is signed, and of what ids are hashes of.
    bytes32 private constant _CONFIG_TYPE = keccak256(
        "ChannelConfig(address partyA,address partyB,address token,uint40 challengePeriod,bytes32 salt)"
    );
    bytes32 private constant _STATE_TYPE = keccak256(
        "State(bytes32 channelId,uint64 version,uint128 depositsA,uint128 depositsB,"
        "uint128 balanceA,uint128 balanceB,bytes32 locks)"
    );
    bytes32 private constant _FINAL_TYPE = keccak256(
        "Final(bytes32 channelId,uint64 version,uint128 depositsA,uint128 depositsB,uint128 balanceA,uint128 balanceB)"
    );

    /// @dev See `Deposits`.
    uint128 private constant _CLOSED = type(uint128).max;

    /// @inheritdoc IStateChannel
    uint256 public constant MIN_CHALLENGE_PERIOD = 1 hours;

    /// @inheritdoc IStateChannel
    uint256 public constant MAX_CHALLENGE_PERIOD = 30 days;

    /// @inheritdoc IStateChannel
    uint256 public constant MAX_LOCKS = 16;

    mapping(bytes32 channelId => Deposits deposits) private _deposits;

    /// @inheritdoc IStateChannel
    mapping(bytes32 channelId => Closing closing) public closings;

    /// @inheritdoc IStateChannel
    mapping(bytes32 hash => uint256 timestamp) public revealedAt;

    constructor() EIP712("Layer 2 State Channel", "1") {}

    /* DEPOSITS */

    /// @inheritdoc IStateChannel
    function deposit(ChannelConfig calldata config, bool toA, uint256 amount) external payable nonReentrant {
        _deposit(config, toA, amount);
    }

    /// @inheritdoc IStateChannel
    function depositWithPermit(
        ChannelConfig calldata config,
        bool toA,
        uint256 amount,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external nonReentrant {
        _permit(config.token, amount, deadline, v, r, s);
        _deposit(config, toA, amount);
    }

    /* CLOSING */

    /// @inheritdoc IStateChannel
    function closeCooperatively(
        ChannelConfig calldata config,
        Final calldata outcome,
        bytes calldata signatureA,
        bytes calldata signatureB
    ) external nonReentrant {
        bytes32 channelId = channelIdOf(config);
        Deposits memory deposits = _depositsOfOpen(channelId);
        _checkChannel(outcome.channelId, channelId);
        _checkDeposits(config, deposits, outcome.depositsA, outcome.depositsB);
        _checkBalance(
            uint256(outcome.balanceA) + outcome.balanceB, uint256(outcome.depositsA) + outcome.depositsB
        );
        _checkSignatures(config, finalDigest(outcome), signatureA, signatureB);

        // Balanced, and no more than was deposited: what both get is what both have deposited.
        _close(
            config,
            channelId,
            outcome.version,
            outcome.balanceA + (deposits.ofA - outcome.depositsA),
            outcome.balanceB + (deposits.ofB - outcome.depositsB),
            address(0)
        );
    }

    /// @inheritdoc IStateChannel
    function startClose(
        ChannelConfig calldata config,
        State calldata state,
        Lock[] calldata locks,
        bytes calldata signatureA,
        bytes calldata signatureB
    ) external nonReentrant {
        bytes32 channelId = channelIdOf(config);
        Deposits memory deposits = _depositsOfOpen(channelId);
        uint256 running = closings[channelId].deadline;
        if (running != 0) revert ChannelIsClosing(channelId, running);
        if (msg.sender != config.partyA && msg.sender != config.partyB) {
            revert NotAParty(msg.sender, config.partyA, config.partyB);
        }
        bytes32 stateHash = _checkState(config, channelId, deposits, state, locks, signatureA, signatureB);

        uint40 deadline = uint40(block.timestamp + config.challengePeriod);
        closings[channelId] = Closing({
            stateHash: stateHash,
            version: state.version,
            closerVersion: state.version,
            deadline: deadline,
            isCloserA: msg.sender == config.partyA
        });

        emit CloseStarted(channelId, msg.sender, deadline, state, locks);
    }

    /// @inheritdoc IStateChannel
    function challenge(
        ChannelConfig calldata config,
        State calldata state,
        Lock[] calldata locks,
        bytes calldata signatureA,
        bytes calldata signatureB
    ) external nonReentrant {
        bytes32 channelId = channelIdOf(config);
        Deposits memory deposits = _depositsOfOpen(channelId);
        Closing storage closing = closings[channelId];
        uint256 deadline = closing.deadline;
        if (deadline == 0) revert ChannelNotClosing(channelId);
        if (block.timestamp > deadline) revert ChallengePeriodOver(deadline);
        if (state.version <= closing.version) revert VersionNotLater(state.version, closing.version);

        closing.stateHash = _checkState(config, channelId, deposits, state, locks, signatureA, signatureB);
        closing.version = state.version;

        emit Challenged(channelId, msg.sender, state, locks);
    }

    /// @inheritdoc IStateChannel
    function finishClose(ChannelConfig calldata config, State calldata state, Lock[] calldata locks)
        external
        nonReentrant
    {
        bytes32 channelId = channelIdOf(config);
        Deposits memory deposits = _depositsOfOpen(channelId);
        Closing memory closing = closings[channelId];
        if (closing.deadline == 0) revert ChannelNotClosing(channelId);
        if (block.timestamp <= closing.deadline) revert ChallengePeriodRunning(closing.deadline);
        bytes32 stateHash = _hashOf(state);
        if (stateHash != closing.stateHash) revert StateMismatch(stateHash, closing.stateHash);
        _checkLocks(state, locks);

        address penalised;
        uint128 amountA;
        uint128 amountB;
        if (closing.version >= uint256(closing.closerVersion) + 2) {
            // The closer signed this version, so it held a later one than it brought.
            penalised = closing.isCloserA ? config.partyA : config.partyB;
            if (closing.isCloserA) amountB = deposits.ofA + deposits.ofB;
            else amountA = deposits.ofA + deposits.ofB;
        } else {
            // The state was checked when it was brought: balanced, and no more than was deposited.
            amountA = state.balanceA + (deposits.ofA - state.depositsA);
            amountB = state.balanceB + (deposits.ofB - state.depositsB);
            for (uint256 i; i < locks.length; ++i) {
                if (_isPaid(i, locks[i]) == locks[i].toA) amountA += locks[i].amount;
                else amountB += locks[i].amount;
            }
        }
        _close(config, channelId, closing.version, amountA, amountB, penalised);
    }

    /* SECRETS */

    /// @inheritdoc IStateChannel
    function revealSecret(bytes32 secret) external {
        bytes32 hash = keccak256(abi.encode(secret));
        uint256 earlier = revealedAt[hash];
        if (earlier != 0) revert SecretAlreadyRevealed(hash, earlier);

        revealedAt[hash] = block.timestamp;

        emit SecretRevealed(hash, secret);
    }

    /* VIEWS */

    /// @inheritdoc IStateChannel
    function channelIdOf(ChannelConfig calldata config) public pure returns (bytes32) {
        return keccak256(abi.encode(_CONFIG_TYPE, config));
    }

    /// @inheritdoc IStateChannel
    function stateDigest(State calldata state) external view returns (bytes32) {
        return _hashTypedDataV4(_hashOf(state));
    }

    /// @inheritdoc IStateChannel
    function finalDigest(Final calldata outcome) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(_FINAL_TYPE, outcome)));
    }

    /// @inheritdoc IStateChannel
    function statusOf(bytes32 channelId) external view returns (Status) {
        Deposits memory deposits = _deposits[channelId];
        if (_isClosed(deposits)) return Status.CLOSED;
        if (closings[channelId].deadline != 0) return Status.CLOSING;
        return deposits.ofA == 0 && deposits.ofB == 0 ? Status.NONE : Status.OPEN;
    }

    /// @inheritdoc IStateChannel
    function depositsOf(bytes32 channelId) external view returns (uint128 depositsA, uint128 depositsB) {
        Deposits memory deposits = _deposits[channelId];
        return _isClosed(deposits) ? (0, 0) : (deposits.ofA, deposits.ofB);
    }

    /* PRIVATE */

    /// @dev Takes the money and adds it to the channel. Interactions come before effects here because only the token
    /// can tell what arrived; all functions that touch channels are locked meanwhile.
    function _deposit(ChannelConfig calldata config, bool toA, uint256 amount) private {
        _checkConfig(config);
        bytes32 channelId = channelIdOf(config);
        Deposits memory deposits = _deposits[channelId];
        if (_isClosed(deposits)) revert ChannelIsClosed(channelId);
        uint256 deadline = closings[channelId].deadline;
        if (deadline != 0) revert ChannelIsClosing(channelId, deadline);

        uint256 arrived = _take(config.token, amount);
        uint256 deposited = uint256(deposits.ofA) + deposits.ofB;
        // What arrived is a part of the sum, which fits.
        _sum(deposited, arrived);
        if (toA) deposits.ofA += uint128(arrived);
        else deposits.ofB += uint128(arrived);
        _deposits[channelId] = deposits;

        if (deposited == 0) {
            emit ChannelOpened(
                channelId, config.partyA, config.partyB, config.token, config.challengePeriod, config.salt
            );
        }
        emit Deposited(channelId, msg.sender, toA, uint128(arrived), deposits.ofA, deposits.ofB);
    }

    /// @dev Ends a channel.
    function _close(
        ChannelConfig calldata config,
        bytes32 channelId,
        uint64 version,
        uint128 amountA,
        uint128 amountB,
        address penalised
    ) private {
        _deposits[channelId] = Deposits({ofA: _CLOSED, ofB: _CLOSED});
        if (closings[channelId].deadline != 0) delete closings[channelId];
        _credit(config.partyA, config.token, amountA);
        _credit(config.partyB, config.token, amountB);

        emit ChannelClosed(channelId, version, amountA, amountB, penalised);
    }

    /// @dev Refuses settings that no channel can have.
    function _checkConfig(ChannelConfig calldata config) private view {
        address partyA = config.partyA;
        address partyB = config.partyB;
        if (
            partyA == partyB || partyA == address(0) || partyB == address(0) || partyA == address(this)
                || partyB == address(this)
        ) revert InvalidParties(partyA, partyB);
        uint256 period = config.challengePeriod;
        if (period < MIN_CHALLENGE_PERIOD || period > MAX_CHALLENGE_PERIOD) {
            revert InvalidChallengePeriod(period, MIN_CHALLENGE_PERIOD, MAX_CHALLENGE_PERIOD);
        }
    }

    /// @dev What a channel has received that is open or closing; its settings were checked when it was opened.
    function _depositsOfOpen(bytes32 channelId) private view returns (Deposits memory deposits) {
        deposits = _deposits[channelId];
        if (_isClosed(deposits)) revert ChannelIsClosed(channelId);
        if (deposits.ofA == 0 && deposits.ofB == 0) revert ChannelNotOpen(channelId);
    }

    /// @dev Whether a state can be put on the table.
    /// @return stateHash What is kept of it.
    function _checkState(
        ChannelConfig calldata config,
        bytes32 channelId,
        Deposits memory deposits,
        State calldata state,
        Lock[] calldata locks,
        bytes calldata signatureA,
        bytes calldata signatureB
    ) private view returns (bytes32 stateHash) {
        _checkChannel(state.channelId, channelId);
        _checkDeposits(config, deposits, state.depositsA, state.depositsB);
        // Sums of at most eighteen numbers of 128 bits.
        _checkBalance(
            uint256(state.balanceA) + state.balanceB + _checkLocks(state, locks),
            uint256(state.depositsA) + state.depositsB
        );
        stateHash = _hashOf(state);
        if (state.version != 0) {
            _checkSignatures(config, _hashTypedDataV4(stateHash), signatureA, signatureB);
        } else if (state.depositsA != 0 || state.depositsB != 0 || state.locks != 0) {
            // Balanced, so the balances are 0 as well if the deposits are.
            revert InitialStateNotEmpty();
        }
    }

    /// @dev Refuses what was signed for another channel.
    function _checkChannel(bytes32 channelId, bytes32 expected) private pure {
        if (channelId != expected) revert WrongChannel(channelId, expected);
    }

    /// @dev Refuses what counts on money that has not arrived.
    function _checkDeposits(
        ChannelConfig calldata config,
        Deposits memory deposits,
        uint128 depositsA,
        uint128 depositsB
    ) private pure {
        if (depositsA > deposits.ofA) revert DepositsMissing(config.partyA, depositsA, deposits.ofA);
        if (depositsB > deposits.ofB) revert DepositsMissing(config.partyB, depositsB, deposits.ofB);
    }

    /// @dev Refuses to pay more or less than there is.
    function _checkBalance(uint256 total, uint256 deposits) private pure {
        if (total != deposits) revert UnbalancedState(total, deposits);
    }

    /// @dev Whether these are the state's locks.
    /// @return total What they are worth.
    function _checkLocks(State calldata state, Lock[] calldata locks) private pure returns (uint256 total) {
        if (locks.length > MAX_LOCKS) revert TooManyLocks(locks.length, MAX_LOCKS);
        bytes32 hash = locks.length == 0 ? bytes32(0) : keccak256(abi.encode(locks));
        if (hash != state.locks) revert LocksMismatch(hash, state.locks);
        for (uint256 i; i < locks.length; ++i) {
            total += locks[i].amount;
        }
    }

    /// @dev Whether a lock is paid, rather than returned; refuses to say so before it is decided.
    function _isPaid(uint256 index, Lock calldata lock) private view returns (bool) {
        uint256 revealed = revealedAt[lock.hash];
        if (revealed != 0 && revealed <= lock.deadline) return true;
        if (block.timestamp <= lock.deadline) revert LockUndecided(index, lock.deadline);
        return false;
    }

    /// @dev Refuses what not both parties have signed.
    function _checkSignatures(
        ChannelConfig calldata config,
        bytes32 digest,
        bytes calldata signatureA,
        bytes calldata signatureB
    ) private view {
        if (!Signatures.isValid(config.partyA, digest, signatureA)) revert InvalidSignature(config.partyA);
        if (!Signatures.isValid(config.partyB, digest, signatureB)) revert InvalidSignature(config.partyB);
    }

    /// @dev What is kept of a state.
    function _hashOf(State calldata state) private pure returns (bytes32) {
        return keccak256(abi.encode(_STATE_TYPE, state));
    }

    /// @dev See `Deposits`.
    function _isClosed(Deposits memory deposits) private pure returns (bool) {
        return deposits.ofA == _CLOSED && deposits.ofB == _CLOSED;
    }
}
