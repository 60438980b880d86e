// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ICellVerifier} from "./ICellVerifier.sol";
import {ICustody} from "./ICustody.sol";
import {IStateTransition} from "./IStateTransition.sol";

/// @title IOptimisticRollup
/// @notice A rollup whose batches are accepted on their sequencer's word and bond, and fall to anybody's proof of fraud,
/// which the chain decides by executing the disputed chunk itself. `docs/optimistic.md` is the specification.
interface IOptimisticRollup is ICustody {
    /// @notice A batch's header; its hash is what the contract stores (§5).
    struct Batch {
        bytes32 stateRoot;
        bytes32 parentHash;
        uint64 timestamp;
        uint64 blockNumber;
        address sequencer;
        uint64 executedAt;
        bool isBlob;
        uint64 chunks;
        bytes32 dataCommitment;
        bytes32 withdrawalRoot;
        uint64 withdrawalCount;
        uint64 nextIndex;
        uint64 queueCursor;
        uint256[4] fees;
    }

    /// @notice What a sequencer claims of a batch, besides its state root and parent.
    struct Claim {
        uint64 executedAt;
        uint64 chunks;
        uint64 nextIndex;
        uint64 queueCursor;
        bytes32 withdrawalRoot;
        uint64 withdrawalCount;
        uint256[4] fees;
    }

    /// @notice What shows that a chunk is wrong.
    /// @param batchId The batch's number.
    /// @param batch The batch's header.
    /// @param parent The header of the batch before.
    /// @param chunk Number of the chunk, from 0 on.
    /// @param before The state before the chunk; ignored for chunk 0, whose state before is the parent's.
    /// @param opening The chunk's data: ABI encoding of a `CalldataOpening` or a `BlobOpening`, as the batch is.
    /// @param queueEntries See `IStateTransition.execute`; at most 16 entries.
    /// @param witness See `IStateTransition.execute`.
    struct Evidence {
        uint256 batchId;
        Batch batch;
        Batch parent;
        uint256 chunk;
        IStateTransition.State before;
        bytes opening;
        bytes queueEntries;
        bytes witness;
    }

    /// @notice Opens a chunk, and the commitment before it, of a batch in calldata.
    /// @param chunkHashes h₀, h₁, … of all chunks (§4).
    /// @param commitment The chunk's commitment.
    /// @param operations The chunk's operations.
    /// @param previousCommitment The commitment of the chunk before; ignored for chunk 0.
    /// @param previousOperationsHash keccak256 of the operations of the chunk before; ignored for chunk 0.
    struct CalldataOpening {
        bytes32[] chunkHashes;
        bytes32 commitment;
        bytes operations;
        bytes32 previousCommitment;
        bytes32 previousOperationsHash;
    }

    /// @notice Opens a chunk, and the commitment before it, of a batch in a blob.
    /// @param commitment KZG commitment, uncompressed: 128 bytes.
    /// @param proof KZG proof of the cell, uncompressed: 128 bytes.
    /// @param cell The 64 elements.
    /// @param previousElement First element of the cell before; ignored for chunk 0.
    /// @param previousProof Its KZG proof, compressed: 48 bytes; ignored for chunk 0.
    struct BlobOpening {
        bytes commitment;
        bytes proof;
        uint256[64] cell;
        uint256 previousElement;
        bytes previousProof;
    }

    /// @notice A batch that was proven fraudulent.
    /// @param batchHash The batch.
    /// @param challengePeriod Until when it could be disputed, in seconds since 1970.
    /// @param challenger Who gets the reward, as things are.
    /// @param isValid Whether the batch fell: true for every proof that was accepted.
    struct FraudProof {
        bytes32 batchHash;
        uint256 challengePeriod;
        address challenger;
        bool isValid;
    }

    /// @notice The reward for a fraud proof.
    /// @param amount Wei; 0 once it is claimed, and when the sequencer had lost its bond before.
    /// @param provenAt When the proof was accepted.
    /// @param reservedAt Block of the reservation that the challenger has shown; the proof's block without one.
    /// @param chunk The chunk that was proven wrong.
    /// @param commitment The true commitment after it.
    struct Reward {
        uint256 amount;
        uint64 provenAt;
        uint64 reservedAt;
        uint64 chunk;
        bytes32 commitment;
    }

    /// @notice A sequencer's bond.
    /// @param amount Wei.
    /// @param exitStartedAt When it began to leave; 0 while it may submit.
    struct Bond {
        uint192 amount;
        uint64 exitStartedAt;
    }

    /// @notice What never changes after deployment; all in seconds, below 2³², but levels, quota and stake.
    /// @param levels Levels of the state tree, 1 to 32.
    /// @param inclusionDeadline How long a queued operation may have to wait.
    /// @param queueQuota How many queued operations a batch must take at most, 1 to 256.
    /// @param freezeDeadline See `ICustody.freezeDeadline`.
    /// @param priorityTimeout After how long without a batch of the operator anyone may submit.
    /// @param maxBatchAge How much older than its block a batch's `executedAt` may be, at least 1.
    /// @param challengePeriod For how long a batch can be disputed, at least 1.
    /// @param rewardDelay For how long a reward can be taken over by an earlier reservation.
    /// @param minimumStake The bond that a sequencer needs, in wei, at least 1.
    struct Config {
        uint256 levels;
        uint256 inclusionDeadline;
        uint256 queueQuota;
        uint256 freezeDeadline;
        uint256 priorityTimeout;
        uint256 maxBatchAge;
        uint256 challengePeriod;
        uint256 rewardDelay;
        uint256 minimumStake;
    }

    /// @notice A batch was accepted for now; its data is the input, or the blob, of this transaction.
    event BatchSubmitted(uint256 indexed batchId, bytes32 indexed batchHash, Batch batch);

    /// @notice A batch was proven fraudulent.
    event FraudProofSubmitted(bytes32 indexed batchHash, address indexed challenger, uint256 chunk, bytes32 commitment);

    /// @notice A batch is final.
    event BatchConfirmed(uint256 indexed batchId, bytes32 indexed batchHash);

    /// @notice A batch, and with it all after it, is void.
    /// @param slashed What the sequencer lost, in wei.
    event BatchRejected(
        uint256 indexed batchId, bytes32 indexed batchHash, address indexed sequencer, uint256 slashed, uint256 voided
    );

    /// @notice A sequencer added to its bond.
    event Bonded(address indexed sequencer, uint256 amount, uint256 total);

    /// @notice A sequencer began to leave.
    event ExitStarted(address indexed sequencer);

    /// @notice A sequencer got its bond back.
    event BondWithdrawn(address indexed sequencer, uint256 amount);

    /// @notice Somebody reserved the reward for a proof to come.
    event RewardReserved(bytes32 indexed reservation, address indexed claimant);

    /// @notice An earlier reservation was shown.
    event RewardTaken(bytes32 indexed batchHash, address indexed challenger);

    /// @notice A reward was paid.
    event RewardClaimed(bytes32 indexed batchHash, address indexed challenger, uint256 amount);

    /// @notice A withdrawal of a confirmed batch became a payout.
    event WithdrawalClaimed(uint256 indexed index, address indexed owner, uint16 indexed token, uint256 amount);

    error NotDirectCall(address caller);
    error OperatorHasPriority(address caller, uint256 until);
    error StaleParent(bytes32 parentHash, bytes32 tipHash);
    error TimestampOutOfRange(uint256 timestamp, uint256 earliest, uint256 latest);
    /// @notice A batch has 1 to `max` chunks.
    error WrongChunkCount(uint256 chunks, uint256 max);
    /// @notice The calldata is not the canonical encoding, or its chunks do not parse exactly; `offset` says where.
    error MalformedData(uint256 offset);
    /// @notice A batch without calldata needs exactly one blob.
    error WrongBlobCount();
    /// @notice The claimed cursor is not between these two.
    error QueueCursorOutOfRange(uint256 cursor, uint256 earliest, uint256 latest);
    error QueueNeglected(uint256 head, uint256 consumed, uint256 quota);
    error InsufficientBond(address sequencer, uint256 bond, uint256 minimumStake);
    error SequencerLeaving(address sequencer);
    /// @notice The hash is not that of the batch with this number, or that batch was rolled back.
    error UnknownBatch(uint256 batchId, bytes32 batchHash);
    error BatchAlreadyConfirmed(uint256 batchId);
    error ChallengePeriodOver(uint256 end);
    error ChallengePeriodRunning(uint256 end);
    error NotNextToConfirm(uint256 batchId, uint256 next);
    error WrongParent(bytes32 parentHash);
    error ChunkOutOfRange(uint256 chunk, uint256 chunks);
    /// @notice The state given is not the one that the commitment before the chunk stands for.
    error WrongStateBefore();
    error InvalidOpening();
    error QueueEntriesMismatch(uint256 cursor);
    /// @notice The chunk's outcome is what the batch says.
    error NoFraud();
    error AlreadyReserved(bytes32 reservation);
    error NoEarlierReservation(bytes32 reservation);
    error RewardNotDue(uint256 end);
    error RewardDue(uint256 end);
    error NoReward(bytes32 batchHash);
    error NothingBonded(address sequencer);
    error ExitNotStarted(address sequencer);
    /// @notice Who was slashed may bond again from the next block on: so no two batches ever have one hash.
    error SlashedInThisBlock(address sequencer);
    error ExitAlreadyStarted(address sequencer);
    error BatchNotConfirmed(uint256 batchId);
    error WithdrawalOutOfRange(uint256 index, uint256 count);
    error WithdrawalAlreadyClaimed(uint256 index);
    error InvalidWithdrawalProof();
    error InvalidConfig();

    function submitBatch(bytes32 stateRoot, bytes32 parentHash, Claim calldata claim, bytes calldata transactions)
        external;
    function submitFraudProof(bytes32 batchHash, Evidence calldata evidence) external;
    function confirmBatch(uint256 batchId, Batch calldata batch) external;
    function claimWithdrawal(
        uint256 batchId,
        Batch calldata batch,
        uint256 index,
        address owner,
        uint16 token,
        uint128 amount,
        bytes32[32] calldata siblings
    ) external;
    function bond() external payable;
    function startExit() external;
    function withdrawBond() external;
    function reserveReward(bytes32 reservation) external;
    function takeReward(bytes32 batchHash, bytes32 salt) external;
    function claimReward(bytes32 batchHash) external;
    function freeze(Batch calldata lastConfirmed, Batch calldata firstPending) external;
    function escape(uint32 index, bytes calldata record, bytes32[] calldata siblings) external;
    function escapePosition(
        uint32 index,
        bytes calldata record,
        bytes32[] calldata siblings,
        bytes calldata poolRecord,
        bytes32[] calldata poolSiblings
    ) external;

    function stateTransition() external view returns (IStateTransition);
    function cellVerifier() external view returns (ICellVerifier);
    function operator() external view returns (address);
    function levels() external view returns (uint256);
    function priorityTimeout() external view returns (uint256);
    function maxBatchAge() external view returns (uint256);
    function challengePeriod() external view returns (uint256);
    function rewardDelay() external view returns (uint256);
    function minimumStake() external view returns (uint256);
    function domainSeparator() external view returns (bytes32);
    function currentBatchId() external view returns (uint256);
    function confirmedBatchId() external view returns (uint256);
    function tipHash() external view returns (bytes32);
    function operatorLastSeen() external view returns (uint256);
    function priorityUntil() external view returns (uint256);
    function batches(uint256 batchId) external view returns (bytes32 batchHash, bool isConfirmed);
    function fraudProofs(bytes32 batchHash) external view returns (FraudProof memory);
    function rewards(bytes32 batchHash) external view returns (Reward memory);
    function bonds(address sequencer) external view returns (uint192 amount, uint64 exitStartedAt);
    function isWithdrawalClaimed(uint256 index) external view returns (bool);
}
