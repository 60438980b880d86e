// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {BitMaps} from "@openzeppelin/contracts/utils/structs/BitMaps.sol";
import {SafeTransferLib} from "solady/src/utils/SafeTransferLib.sol";

import {Custody} from "../bridge/Custody.sol";
import {ICellVerifier} from "../interfaces/ICellVerifier.sol";
import {ICustody} from "../interfaces/ICustody.sol";
import {IOptimisticRollup} from "../interfaces/IOptimisticRollup.sol";
import {IStateTransition} from "../interfaces/IStateTransition.sol";
import {ITokenRegistry} from "../interfaces/ITokenRegistry.sol";
import {ChunkData} from "../libraries/ChunkData.sol";

/// @title OptimisticRollup
/// @notice Keeps the hashes of batches, and drops a batch that somebody proves wrong. There is no administrator: the
/// operator, if there is one, has nothing but the right to submit first.
/// @dev Storage holds a batch's hash only; whoever wants something of a batch brings its header along.
contract OptimisticRollup is IOptimisticRollup, Custody {
    using BitMaps for BitMaps.BitMap;

    /// @dev What batches change, in one storage slot.
    /// @param batchId Number of the last batch.
    /// @param confirmedId Number of the last confirmed batch.
    /// @param queueCursor How many queued operations the batches have consumed.
    /// @param executedAt The last batch's time.
    /// @param operatorLastSeen When the operator's last batch was accepted, or the time of deployment; 0 if that batch
    /// fell and others had been free to submit before it.
    struct Tip {
        uint48 batchId;
        uint48 confirmedId;
        uint64 queueCursor;
        uint48 executedAt;
        uint48 operatorLastSeen;
    }

    /// @dev A bond, and the block in which it was last lost.
    struct Stake {
        uint128 amount;
        uint64 exitStartedAt;
        uint64 slashedIn;
    }

    /// @dev An accepted fraud proof and its reward: see `FraudProof` and `Reward`.
    struct Verdict {
        uint128 amount;
        uint64 provenAt;
        uint64 reservedAt;
        address challenger;
        uint64 disputableUntil;
        uint32 chunk;
        bytes32 commitment;
    }

    /// @dev Where the lost halves of bonds go: nobody has its key.
    address private constant _BURNED = 0x000000000000000000000000000000000000dEaD;

    /// @dev Places in canonical calldata of `submitBatch`: the offset of `transactions`, and their first byte.
    uint256 private constant _OFFSET_PLACE = 4 + 13 * 32;
    uint256 private constant _DATA_PLACE = 4 + 15 * 32;

    /// @dev Bytes of a queue entry, and most of them in a chunk.
    uint256 private constant _ENTRY = 112;
    uint256 private constant _MAX_ENTRIES = 16;

    /// @dev Bytes of records (§1).
    uint256 private constant _ACCOUNT = 43;
    uint256 private constant _POOL = 53;
    uint256 private constant _POSITION = 41;

    /// @dev Domain of signatures (§3).
    bytes32 private constant _DOMAIN_TYPE =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant _DOMAIN_NAME = keccak256("Layer 2 Optimistic Rollup");
    bytes32 private constant _DOMAIN_VERSION = keccak256("1");

    /// @inheritdoc IOptimisticRollup
    IStateTransition public immutable stateTransition;

    /// @inheritdoc IOptimisticRollup
    ICellVerifier public immutable cellVerifier;

    /// @inheritdoc IOptimisticRollup
    address public immutable operator;

    /// @inheritdoc IOptimisticRollup
    uint256 public immutable levels;

    /// @inheritdoc IOptimisticRollup
    uint256 public immutable priorityTimeout;

    /// @inheritdoc IOptimisticRollup
    uint256 public immutable maxBatchAge;

    /// @inheritdoc IOptimisticRollup
    uint256 public immutable challengePeriod;

    /// @inheritdoc IOptimisticRollup
    uint256 public immutable rewardDelay;

    /// @inheritdoc IOptimisticRollup
    uint256 public immutable minimumStake;

    Tip private _tip;

    /// @dev Hashes of batches. Those with numbers above the tip's were rolled back.
    mapping(uint256 batchId => bytes32 batchHash) private _batchHashes;

    mapping(address sequencer => Stake stake) private _stakes;

    mapping(bytes32 batchHash => Verdict verdict) private _verdicts;

    /// @dev Blocks in which rewards were reserved.
    mapping(bytes32 reservation => uint256 blockNumber) private _reservations;

    BitMaps.BitMap private _claimedWithdrawals;

    /// @param registry_ The list of tokens.
    /// @param stateTransition_ The contract that executes chunks.
    /// @param cellVerifier_ The contract that opens blobs.
    /// @param operator_ Who has priority in submitting batches; 0 for nobody.
    /// @param config What never changes.
    constructor(
        ITokenRegistry registry_,
        IStateTransition stateTransition_,
        ICellVerifier cellVerifier_,
        address operator_,
        Config memory config
    ) Custody(registry_, config.inclusionDeadline, config.queueQuota, config.freezeDeadline) {
        // Without code behind these addresses nothing could ever be disputed.
        if (address(stateTransition_).code.length == 0 || address(cellVerifier_).code.length == 0) {
            revert InvalidConfig();
        }
        if (
            config.levels == 0 || config.levels > 32 || config.maxBatchAge == 0 || config.challengePeriod == 0
                || config.minimumStake == 0
        ) revert InvalidConfig();
        _checkTime(config.priorityTimeout);
        _checkTime(config.maxBatchAge);
        _checkTime(config.challengePeriod);
        _checkTime(config.rewardDelay);
        // Otherwise a batch could be accepted whose time lets anyone freeze at once.
        _checkFreezeDeadline(config.maxBatchAge);
        // Otherwise a dispute late in the period, which makes an old batch the tip again and puts back what the bad one
        // took from the queue in time, would let anyone freeze in its block. Who wants sequencers to have time to answer
        // it makes the deadline so much longer.
        _checkFreezeDeadline(config.challengePeriod + config.inclusionDeadline);

        stateTransition = stateTransition_;
        cellVerifier = cellVerifier_;
        operator = operator_;
        levels = config.levels;
        priorityTimeout = config.priorityTimeout;
        maxBatchAge = config.maxBatchAge;
        challengePeriod = config.challengePeriod;
        rewardDelay = config.rewardDelay;
        minimumStake = config.minimumStake;

        Batch memory genesis;
        genesis.timestamp = uint64(block.timestamp);
        genesis.blockNumber = uint64(block.number);
        genesis.executedAt = uint64(block.timestamp);
        genesis.nextIndex = 1;
        _tip.executedAt = uint48(block.timestamp);
        _tip.operatorLastSeen = uint48(block.timestamp);
        _batchHashes[0] = keccak256(abi.encode(genesis));
    }

    /* BATCHES */

    /// @inheritdoc IOptimisticRollup
    function submitBatch(bytes32 stateRoot, bytes32 parentHash, Claim calldata claim, bytes calldata transactions)
        external
    {
        // Checks
        Tip memory tip = _tip;
        _checkNotFrozen();
        _checkCaller(tip);
        _checkBond();
        bytes32 currentHash = _batchHashes[tip.batchId];
        if (parentHash != currentHash) revert StaleParent(parentHash, currentHash);
        _checkExecutedAt(claim.executedAt, tip.executedAt);
        if (claim.chunks == 0 || claim.chunks > ChunkData.MAX_CHUNKS) {
            revert WrongChunkCount(claim.chunks, ChunkData.MAX_CHUNKS);
        }
        _checkCalldata(transactions);
        bytes32 dataCommitment =
            transactions.length == 0 ? _blobHash() : ChunkData.hashOf(transactions, claim.chunks);
        _checkQueue(tip.queueCursor, claim.queueCursor, claim.queueChain);

        // Effects
        Batch memory batch = Batch({
            stateRoot: stateRoot,
            parentHash: parentHash,
            timestamp: uint64(block.timestamp),
            blockNumber: uint64(block.number),
            sequencer: msg.sender,
            executedAt: claim.executedAt,
            isBlob: transactions.length == 0,
            chunks: claim.chunks,
            dataCommitment: dataCommitment,
            withdrawalRoot: claim.withdrawalRoot,
            withdrawalCount: claim.withdrawalCount,
            nextIndex: claim.nextIndex,
            queueCursor: claim.queueCursor,
            fees: claim.fees
        });
        bytes32 batchHash = keccak256(abi.encode(batch));
        tip.batchId += 1;
        tip.queueCursor = claim.queueCursor;
        // No later than this block, so it fits.
        tip.executedAt = uint48(claim.executedAt);
        // Only the operator's batches: others would lock each other out, and a stranger could keep its clock running.
        if (msg.sender == operator) tip.operatorLastSeen = uint48(block.timestamp);
        _tip = tip;
        _batchHashes[tip.batchId] = batchHash;

        emit BatchSubmitted(tip.batchId, batchHash, batch);
    }

    /// @inheritdoc IOptimisticRollup
    function confirmBatch(uint256 batchId, Batch calldata batch) external nonReentrant {
        // Checks
        _checkNotFrozen();
        Tip memory tip = _tip;
        if (batchId <= tip.confirmedId) revert BatchAlreadyConfirmed(batchId);
        if (batchId != tip.confirmedId + 1) revert NotNextToConfirm(batchId, tip.confirmedId + 1);
        bytes32 batchHash = _hashOf(batch);
        _checkBatch(tip, batchId, batchHash);
        uint256 end = batch.timestamp + challengePeriod;
        if (block.timestamp <= end) revert ChallengePeriodRunning(end);

        // Effects
        _tip.confirmedId = uint48(batchId);
        for (uint256 i; i < 4; ++i) _credit(batch.sequencer, uint16(batch.fees[i] >> 128), uint128(batch.fees[i]));

        emit BatchConfirmed(batchId, batchHash);
    }

    /* DISPUTES */

    /// @inheritdoc IOptimisticRollup
    function submitFraudProof(bytes32 batchHash, Evidence calldata evidence) external nonReentrant {
        // Checks
        Tip memory tip = _tip;
        uint256 end = _checkDisputable(tip, batchHash, evidence);
        (bytes32 claimed, bytes32 outcome) = _execute(evidence);
        if (claimed == outcome) revert NoFraud();

        // Effects
        uint256 voided = _rollBack(tip, evidence);
        address sequencer = evidence.batch.sequencer;
        uint256 slashed = _slash(sequencer);
        uint256 reward = slashed / 2;
        _verdicts[batchHash] = Verdict({
            // A half of 128 bits.
            amount: uint128(reward),
            provenAt: uint64(block.timestamp),
            reservedAt: uint64(block.number),
            challenger: msg.sender,
            disputableUntil: uint64(end),
            // Below 64.
            chunk: uint32(evidence.chunk),
            commitment: outcome
        });

        emit FraudProofSubmitted(batchHash, msg.sender, evidence.chunk, outcome);
        emit BatchRejected(evidence.batchId, batchHash, sequencer, slashed, voided);

        if (slashed != 0) SafeTransferLib.safeTransferETH(_BURNED, slashed - reward);
    }

    /// @inheritdoc IOptimisticRollup
    function reserveReward(bytes32 reservation) external {
        if (_reservations[reservation] != 0) revert AlreadyReserved(reservation);
        _reservations[reservation] = block.number;

        emit RewardReserved(reservation, msg.sender);
    }

    /// @inheritdoc IOptimisticRollup
    function takeReward(bytes32 batchHash, bytes32 salt) external nonReentrant {
        Verdict storage verdict = _verdicts[batchHash];
        if (verdict.amount == 0) revert NoReward(batchHash);
        uint256 end = verdict.provenAt + rewardDelay;
        if (block.timestamp > end) revert RewardDue(end);
        bytes32 reservation =
            keccak256(abi.encode(batchHash, uint256(verdict.chunk), verdict.commitment, msg.sender, salt));
        uint256 reservedAt = _reservations[reservation];
        if (reservedAt == 0 || reservedAt >= verdict.reservedAt) revert NoEarlierReservation(reservation);

        verdict.reservedAt = uint64(reservedAt);
        verdict.challenger = msg.sender;

        emit RewardTaken(batchHash, msg.sender);
    }

    /// @inheritdoc IOptimisticRollup
    function claimReward(bytes32 batchHash) external nonReentrant {
        Verdict storage verdict = _verdicts[batchHash];
        uint256 amount = verdict.amount;
        if (amount == 0) revert NoReward(batchHash);
        uint256 end = verdict.provenAt + rewardDelay;
        if (block.timestamp <= end) revert RewardNotDue(end);
        address challenger = verdict.challenger;

        verdict.amount = 0;

        emit RewardClaimed(batchHash, challenger, amount);

        SafeTransferLib.safeTransferETH(challenger, amount);
    }

    /* BONDS */

    /// @inheritdoc IOptimisticRollup
    function bond() external payable {
        Stake memory stake = _stakes[msg.sender];
        if (msg.value == 0) revert NothingBonded(msg.sender);
        if (stake.exitStartedAt != 0) revert SequencerLeaving(msg.sender);
        if (stake.slashedIn == block.number) revert SlashedInThisBlock(msg.sender);

        uint128 total = SafeCast.toUint128(stake.amount + msg.value);
        _stakes[msg.sender].amount = total;

        emit Bonded(msg.sender, msg.value, total);
    }

    /// @inheritdoc IOptimisticRollup
    function startExit() external {
        Stake memory stake = _stakes[msg.sender];
        if (stake.amount == 0) revert NothingBonded(msg.sender);
        if (stake.exitStartedAt != 0) revert ExitAlreadyStarted(msg.sender);

        _stakes[msg.sender].exitStartedAt = uint64(block.timestamp);

        emit ExitStarted(msg.sender);
    }

    /// @inheritdoc IOptimisticRollup
    function withdrawBond() external nonReentrant {
        Stake memory stake = _stakes[msg.sender];
        if (stake.amount == 0) revert NothingBonded(msg.sender);
        if (stake.exitStartedAt == 0) revert ExitNotStarted(msg.sender);
        uint256 end = stake.exitStartedAt + challengePeriod;
        if (block.timestamp <= end) revert ChallengePeriodRunning(end);

        delete _stakes[msg.sender];

        emit BondWithdrawn(msg.sender, stake.amount);

        SafeTransferLib.safeTransferETH(msg.sender, stake.amount);
    }

    /* WITHDRAWALS, FREEZE AND ESCAPE */

    /// @inheritdoc IOptimisticRollup
    function claimWithdrawal(
        uint256 batchId,
        Batch calldata batch,
        uint256 index,
        address owner,
        uint16 token,
        uint128 amount,
        bytes32[32] calldata siblings
    ) external nonReentrant {
        // Checks
        Tip memory tip = _tip;
        _checkBatch(tip, batchId, _hashOf(batch));
        if (batchId > tip.confirmedId) revert BatchNotConfirmed(batchId);
        if (index >= batch.withdrawalCount) revert WithdrawalOutOfRange(index, batch.withdrawalCount);
        if (_claimedWithdrawals.get(index)) revert WithdrawalAlreadyClaimed(index);
        bytes32 node = keccak256(abi.encodePacked(owner, token, amount));
        for (uint256 i; i < 32; ++i) node = _parentOf(node, siblings[i], index >> i);
        // An index of more than 32 bits would be another name of a leaf.
        if (node != batch.withdrawalRoot || index >> 32 != 0) revert InvalidWithdrawalProof();

        // Effects
        _claimedWithdrawals.set(index);
        _credit(owner, token, amount);

        emit WithdrawalClaimed(index, owner, token, amount);
    }

    /// @inheritdoc IOptimisticRollup
    function freeze(Batch calldata lastConfirmed, Batch calldata firstPending) external nonReentrant {
        Tip memory tip = _tip;
        _checkBatch(tip, tip.confirmedId, _hashOf(lastConfirmed));
        if (tip.confirmedId != tip.batchId) {
            uint256 pending = tip.confirmedId + 1;
            _checkBatch(tip, pending, _hashOf(firstPending));
            // What cannot be disputed any more must not become void because somebody was quicker to freeze than to confirm.
            if (block.timestamp > firstPending.timestamp + challengePeriod) revert BatchNotConfirmed(pending);
        }

        _freeze(lastConfirmed.stateRoot, lastConfirmed.queueCursor, tip.executedAt);
    }

    /// @inheritdoc IOptimisticRollup
    function escape(uint32 index, bytes calldata record, bytes32[] calldata siblings) external nonReentrant {
        _checkFrozen();
        _checkLeaf(index, record, siblings);
        if (record.length != _ACCOUNT || record[0] != 0x01) revert NothingToEscape(index);
        uint256 balance = _read(record, 27, 16);
        if (balance == 0) revert NothingToEscape(index);

        _markEscaped(index);
        _creditEscape(index, address(uint160(_read(record, 1, 20))), uint16(_read(record, 21, 2)), balance);
    }

    /// @inheritdoc IOptimisticRollup
    function escapePosition(
        uint32 index,
        bytes calldata record,
        bytes32[] calldata siblings,
        bytes calldata poolRecord,
        bytes32[] calldata poolSiblings
    ) external nonReentrant {
        _checkFrozen();
        _checkLeaf(index, record, siblings);
        if (record.length != _POSITION || record[0] != 0x03) revert NothingToEscape(index);
        uint256 shares = _read(record, 25, 16);
        if (shares == 0) revert NothingToEscape(index);
        _checkLeaf(_read(record, 21, 4), poolRecord, poolSiblings);
        if (poolRecord.length != _POOL || poolRecord[0] != 0x02) revert InvalidEscapeProof();
        uint256 total = _read(poolRecord, 37, 16);

        _markEscaped(index);
        address owner = address(uint160(_read(record, 1, 20)));
        _creditEscape(index, owner, uint16(_read(poolRecord, 1, 2)), shares * _read(poolRecord, 5, 16) / total);
        _creditEscape(index, owner, uint16(_read(poolRecord, 3, 2)), shares * _read(poolRecord, 21, 16) / total);
    }

    /* VIEWS */

    /// @inheritdoc IOptimisticRollup
    /// @dev A chain that splits off with another chain id has another domain.
    function domainSeparator() public view returns (bytes32) {
        return keccak256(abi.encode(_DOMAIN_TYPE, _DOMAIN_NAME, _DOMAIN_VERSION, block.chainid, address(this)));
    }

    /// @inheritdoc IOptimisticRollup
    function currentBatchId() external view returns (uint256) {
        return _tip.batchId;
    }

    /// @inheritdoc IOptimisticRollup
    function confirmedBatchId() external view returns (uint256) {
        return _tip.confirmedId;
    }

    /// @inheritdoc IOptimisticRollup
    function tipHash() external view returns (bytes32) {
        return _batchHashes[_tip.batchId];
    }

    /// @inheritdoc IOptimisticRollup
    function operatorLastSeen() external view returns (uint256) {
        return _tip.operatorLastSeen;
    }

    /// @inheritdoc IOptimisticRollup
    function priorityUntil() external view returns (uint256) {
        return _priorityUntil(_tip);
    }

    /// @inheritdoc ICustody
    function queueCursor() public view override(ICustody, Custody) returns (uint64) {
        return _tip.queueCursor;
    }

    /// @inheritdoc IOptimisticRollup
    function batches(uint256 batchId) external view returns (bytes32 batchHash, bool isConfirmed) {
        Tip memory tip = _tip;
        if (batchId <= tip.batchId) batchHash = _batchHashes[batchId];
        isConfirmed = batchId <= tip.confirmedId;
    }

    /// @inheritdoc IOptimisticRollup
    function fraudProofs(bytes32 batchHash) external view returns (FraudProof memory proof) {
        Verdict memory verdict = _verdicts[batchHash];
        if (verdict.provenAt == 0) return proof;
        return FraudProof(batchHash, verdict.disputableUntil, verdict.challenger, true);
    }

    /// @inheritdoc IOptimisticRollup
    function rewards(bytes32 batchHash) external view returns (Reward memory) {
        Verdict memory verdict = _verdicts[batchHash];
        return Reward(verdict.amount, verdict.provenAt, verdict.reservedAt, verdict.chunk, verdict.commitment);
    }

    /// @inheritdoc IOptimisticRollup
    function bonds(address sequencer) external view returns (uint192 amount, uint64 exitStartedAt) {
        Stake memory stake = _stakes[sequencer];
        return (stake.amount, stake.exitStartedAt);
    }

    /// @inheritdoc IOptimisticRollup
    function isWithdrawalClaimed(uint256 index) external view returns (bool) {
        return _claimedWithdrawals.get(index);
    }

    /* CUSTODY'S QUESTIONS */

    /// @inheritdoc Custody
    /// @dev An account's owner signs with the key of its address; there is no other.
    function _isValidKey(uint256[2] calldata key) internal pure override returns (bool) {
        return key[0] == 0 && key[1] == 0;
    }

    /// @inheritdoc Custody
    function _accountCapacity() internal view override returns (uint256) {
        return 1 << levels;
    }

    /* CHECKS OF A NEW BATCH */

    /// @dev Rule 1 of §5.
    function _checkCaller(Tip memory tip) private view {
        // Code also rules out accounts that delegate to a contract (EIP-7702): it could call from inside.
        if (msg.sender != tx.origin || msg.sender.code.length != 0) revert NotDirectCall(msg.sender);
        if (msg.sender == operator) return;
        uint256 until = _priorityUntil(tip);
        if (block.timestamp <= until) revert OperatorHasPriority(msg.sender, until);
    }

    /// @dev The last second at which only the operator may submit; 0 if others may in any case.
    function _priorityUntil(Tip memory tip) private view returns (uint256) {
        if (operator == address(0) || tip.operatorLastSeen == 0) return 0;
        uint256 idle = tip.operatorLastSeen + priorityTimeout;
        uint256 overdue = _headDeadline(tip.queueCursor);
        return idle < overdue ? idle : overdue;
    }

    /// @dev Rule 2 of §5.
    function _checkBond() private view {
        Stake memory stake = _stakes[msg.sender];
        if (stake.exitStartedAt != 0) revert SequencerLeaving(msg.sender);
        if (stake.amount < minimumStake) revert InsufficientBond(msg.sender, stake.amount, minimumStake);
    }

    /// @dev Rule 3 of §5, its second half.
    function _checkExecutedAt(uint256 executedAt, uint256 previous) private view {
        uint256 earliest = block.timestamp > maxBatchAge ? block.timestamp - maxBatchAge : 0;
        if (earliest < previous) earliest = previous;
        if (executedAt < earliest || executedAt > block.timestamp) {
            revert TimestampOutOfRange(executedAt, earliest, block.timestamp);
        }
    }

    /// @dev Only the canonical encoding: `transactions` right after the other arguments, zeros as padding, nothing else.
    /// Otherwise decoders could differ on what a batch says.
    function _checkCalldata(bytes calldata transactions) private pure {
        uint256 place;
        uint256 padding;
        assembly ("memory-safe") {
            place := transactions.offset
            // The bytes after the data up to a whole word: none when the length is a multiple of 32.
            let rest := and(transactions.length, 31)
            if rest { padding := shl(shl(3, rest), calldataload(sub(add(place, transactions.length), rest))) }
        }
        if (place != _DATA_PLACE) revert MalformedData(_OFFSET_PLACE);
        uint256 end = place + transactions.length;
        if (padding != 0) revert MalformedData(end);
        end = place + (transactions.length + 31) / 32 * 32;
        if (msg.data.length != end) revert MalformedData(end);
    }

    /// @dev The versioned hash of the transaction's only blob.
    function _blobHash() private view returns (bytes32 versionedHash) {
        versionedHash = blobhash(0);
        if (versionedHash == 0 || blobhash(1) != 0) revert WrongBlobCount();
    }

    /// @dev Rule 5 of §5.
    function _checkQueue(uint256 cursor, uint256 newCursor, bytes32 queueChain) private view {
        if (newCursor < cursor || newCursor > queueTail) {
            revert QueueCursorOutOfRange(newCursor, cursor, queueTail);
        }
        bytes32 actual = _chainBefore(newCursor);
        if (queueChain != actual) revert QueueMismatch(newCursor, queueChain, actual);
        if (_isQueueNeglected(cursor, newCursor)) revert QueueNeglected(newCursor, newCursor - cursor, queueQuota);
    }

    /* CHECKS OF A FRAUD PROOF */

    /// @dev Whether the batch is what the evidence says, and may still be disputed.
    /// @return end The last second at which it may.
    function _checkDisputable(Tip memory tip, bytes32 batchHash, Evidence calldata evidence)
        private
        view
        returns (uint256 end)
    {
        uint256 batchId = evidence.batchId;
        if (_hashOf(evidence.batch) != batchHash) revert UnknownBatch(batchId, batchHash);
        _checkBatch(tip, batchId, batchHash);
        if (batchId <= tip.confirmedId) revert BatchAlreadyConfirmed(batchId);
        end = evidence.batch.timestamp + challengePeriod;
        if (block.timestamp > end) revert ChallengePeriodOver(end);
        bytes32 parentHash = _hashOf(evidence.parent);
        if (parentHash != evidence.batch.parentHash) revert WrongParent(parentHash);
        if (evidence.chunk >= evidence.batch.chunks) revert ChunkOutOfRange(evidence.chunk, evidence.batch.chunks);
    }

    /// @dev Opens and executes the chunk.
    /// @return claimed What the batch commits to after the chunk.
    /// @return outcome What it should have.
    function _execute(Evidence calldata evidence) private view returns (bytes32 claimed, bytes32 outcome) {
        Batch calldata batch = evidence.batch;
        bytes32 previous;
        bytes memory operations;
        (previous, claimed, operations) = batch.isBlob
            ? _openBlob(batch.dataCommitment, evidence.chunk, evidence.opening)
            : _openCalldata(batch.dataCommitment, evidence.chunk, evidence.opening);
        // The last chunk's commitment is that of the state in the header, whatever the data says.
        if (evidence.chunk + 1 == batch.chunks) claimed = _finalCommitment(batch);

        IStateTransition.State memory state = evidence.before;
        if (evidence.chunk == 0) state = _stateAfter(evidence.parent);
        else if (ChunkData.commitmentOf(state) != previous) revert WrongStateBefore();
        _checkQueueEntries(state.queueCursor, evidence.queueEntries);

        // A plain call: if it fails, for lack of gas or for a witness that does not fit, so does the proof.
        state = stateTransition.execute(
            state,
            IStateTransition.Context({
                domainSeparator: domainSeparator(),
                executedAt: batch.executedAt,
                queueEnd: batch.queueCursor,
                levels: levels
            }),
            operations,
            evidence.queueEntries,
            evidence.witness
        );
        outcome = ChunkData.commitmentOf(state);
    }

    /// @dev Opens a chunk of a batch in calldata.
    /// @return previous The commitment before it; without meaning for chunk 0.
    /// @return claimed The commitment after it.
    /// @return operations Its operations.
    function _openCalldata(bytes32 dataCommitment, uint256 chunk, bytes calldata encoded)
        private
        pure
        returns (bytes32 previous, bytes32 claimed, bytes memory operations)
    {
        CalldataOpening calldata opening;
        // Assembly: what `abi.decode` does, but in calldata. Places outside of `encoded` do no harm, as all that is read is
        // checked against the hash; places outside of calldata are refused or read as zeros.
        assembly ("memory-safe") {
            opening := add(encoded.offset, calldataload(encoded.offset))
        }
        // The data's hashes are as many as its chunks, so `chunk` is one of them if the hash is right.
        if (keccak256(abi.encodePacked(opening.chunkHashes)) != dataCommitment) revert InvalidOpening();
        operations = opening.operations;
        bytes32 chunkHash = ChunkData.chunkHash(opening.commitment, keccak256(operations));
        if (chunkHash != opening.chunkHashes[chunk]) revert InvalidOpening();
        if (chunk != 0) {
            bytes32 previousHash = ChunkData.chunkHash(opening.previousCommitment, opening.previousOperationsHash);
            if (previousHash != opening.chunkHashes[chunk - 1]) revert InvalidOpening();
        }
        return (opening.previousCommitment, opening.commitment, operations);
    }

    /// @dev Opens a chunk of a batch in a blob; see `_openCalldata`.
    function _openBlob(bytes32 versionedHash, uint256 chunk, bytes calldata encoded)
        private
        view
        returns (bytes32 previous, bytes32 claimed, bytes memory operations)
    {
        BlobOpening calldata opening;
        // Assembly: see `_openCalldata`; here the proofs check all that is read.
        assembly ("memory-safe") {
            opening := add(encoded.offset, calldataload(encoded.offset))
        }
        cellVerifier.verifyCell(versionedHash, opening.commitment, opening.proof, chunk, opening.cell);
        if (chunk != 0) {
            cellVerifier.verifyElement(
                versionedHash, opening.commitment, opening.previousProof, 64 * (chunk - 1), opening.previousElement
            );
        }
        return (
            ChunkData.toCommitment(bytes32(opening.previousElement)),
            ChunkData.toCommitment(bytes32(opening.cell[0])),
            ChunkData.operationsIn(opening.cell)
        );
    }

    /// @dev Whether these are the queue's entries from the cursor on.
    function _checkQueueEntries(uint256 cursor, bytes calldata entries) private view {
        uint256 count = entries.length / _ENTRY;
        if (entries.length != count * _ENTRY || count > _MAX_ENTRIES || cursor + count > queueTail) {
            revert QueueEntriesMismatch(cursor);
        }
        if (count == 0) return;
        bytes32 chain = _chainBefore(cursor);
        for (uint256 i; i < count; ++i) {
            chain = keccak256(abi.encodePacked(chain, entries[i * _ENTRY:(i + 1) * _ENTRY]));
        }
        if (chain != queueEntries[cursor + count - 1].chain) revert QueueEntriesMismatch(cursor);
    }

    /// @dev What a batch's last chunk commits to: the state in its header.
    function _finalCommitment(Batch calldata batch) private pure returns (bytes32) {
        return ChunkData.toCommitment(
            keccak256(
                abi.encode(
                    batch.stateRoot,
                    batch.withdrawalRoot,
                    batch.nextIndex,
                    batch.queueCursor,
                    batch.withdrawalCount,
                    batch.fees
                )
            )
        );
    }

    /// @dev The state in a batch's header, as the next batch finds it: without fees.
    function _stateAfter(Batch calldata batch) private pure returns (IStateTransition.State memory) {
        uint256[4] memory noFees;
        return IStateTransition.State({
            stateRoot: batch.stateRoot,
            withdrawalRoot: batch.withdrawalRoot,
            nextIndex: batch.nextIndex,
            queueCursor: batch.queueCursor,
            withdrawalCount: batch.withdrawalCount,
            fees: noFees
        });
    }

    /* EFFECTS OF A FRAUD PROOF */

    /// @dev Makes the batch's parent the tip.
    /// @return voided How many batches fell.
    function _rollBack(Tip memory tip, Evidence calldata evidence) private returns (uint256 voided) {
        Batch calldata parent = evidence.parent;
        // The batch is not confirmed, so it is not genesis.
        uint256 parentId = evidence.batchId - 1;
        voided = tip.batchId - parentId;

        // The operator's batches that are void must not count. When the parent is its own, or genesis, it was last seen
        // then; otherwise others were free to submit when the parent was submitted, and they are again.
        if (parent.sequencer == operator || parentId == 0) {
            if (tip.operatorLastSeen > parent.timestamp) tip.operatorLastSeen = uint48(parent.timestamp);
        } else if (tip.operatorLastSeen >= parent.timestamp) {
            tip.operatorLastSeen = 0;
        }
        tip.batchId = uint48(parentId);
        tip.queueCursor = parent.queueCursor;
        tip.executedAt = uint48(parent.executedAt);
        _tip = tip;
    }

    /// @dev Takes a sequencer's bond, and its exit, if it has begun one.
    /// @return slashed The whole bond, in wei.
    function _slash(address sequencer) private returns (uint256 slashed) {
        slashed = _stakes[sequencer].amount;
        _stakes[sequencer] = Stake({amount: 0, exitStartedAt: 0, slashedIn: uint64(block.number)});
    }

    /* PRIVATE */

    /// @dev A batch is known by this.
    function _hashOf(Batch calldata batch) private pure returns (bytes32 batchHash) {
        // Assembly: a header is seventeen words in calldata as in memory. Words that are not clean give another hash than
        // that of any batch. The memory is free, and not allocated.
        assembly ("memory-safe") {
            let buffer := mload(0x40)
            calldatacopy(buffer, batch, 0x220)
            batchHash := keccak256(buffer, 0x220)
        }
    }

    /// @dev Whether a batch has this number, and was not rolled back.
    function _checkBatch(Tip memory tip, uint256 batchId, bytes32 batchHash) private view {
        if (batchId > tip.batchId || _batchHashes[batchId] != batchHash) revert UnknownBatch(batchId, batchHash);
    }

    /// @dev Whether a record is a leaf of the final state.
    function _checkLeaf(uint256 index, bytes calldata record, bytes32[] calldata siblings) private view {
        if (siblings.length != levels || index >> levels != 0) revert InvalidEscapeProof();
        bytes32 node = keccak256(record);
        for (uint256 i; i < siblings.length; ++i) node = _parentOf(node, siblings[i], index >> i);
        if (node != finalRoot) revert InvalidEscapeProof();
    }

    /// @dev The node above a node that is not 0.
    /// @param path Its lowest bit says whether the node is the right one of the two.
    function _parentOf(bytes32 node, bytes32 sibling, uint256 path) private pure returns (bytes32) {
        return path & 1 == 0 ? keccak256(abi.encode(node, sibling)) : keccak256(abi.encode(sibling, node));
    }

    /// @dev The big-endian number in `size` bytes of a record, 1 to 32. The caller has checked the record's length.
    function _read(bytes calldata record, uint256 place, uint256 size) private pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := shr(sub(256, shl(3, size)), calldataload(add(record.offset, place)))
        }
    }

    /// @dev Credits what a leaf of the final state is worth.
    function _creditEscape(uint256 index, address owner, uint16 token, uint256 amount) private {
        _credit(owner, token, amount);

        emit Escaped(index, owner, token, amount);
    }
}
