// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ICellVerifier} from "./ICellVerifier.sol";
import {ICustody} from "./ICustody.sol";
import {IStateTransition} from "./IStateTransition.sol";

/// @title IOptimisticRollup
/// @notice A rollup whose batches are accepted on their sequencer's word and bond, and fall to anybody's proof of fraud,
/// which the chain decides by executing the disputed chunk itself. `docs/optimistic.md` is the specification.
interface IOptimisticRollup is ICustody {
    /// @notice A batch's header; keccak256 of its ABI encoding, 17 words, is what the contract stores (§5).
    /// @param stateRoot Root of the state tree after the batch, as the sequencer claims it.
    /// @param parentHash Hash of the batch before.
    /// @param timestamp When it was submitted; the challenge period counts from here.
    /// @param blockNumber In which block.
    /// @param sequencer Who submitted it, answers for it with a bond and gets its fees.
    /// @param executedAt The time that operations expire by.
    /// @param isBlob Whether its data is in a blob.
    /// @param chunks How many chunks it has.
    /// @param dataCommitment Hash over the chunks' hashes, or the blob's versioned hash (§4).
    /// @param withdrawalRoot Root of the withdrawal tree after the batch, as claimed.
    /// @param withdrawalCount How many withdrawals were ever made, as claimed.
    /// @param nextIndex Lowest unused index of the state tree, as claimed.
    /// @param queueCursor How many queued operations were consumed; the contract checks the range and the deadline.
    /// @param fees Fees of the batch, as claimed: token·2¹²⁸ + sum, 0 when unused.
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

    /// @notice What a sequencer claims of a batch, besides its state root and parent; see `Batch`.
    /// @param queueChain The queue's hash chain up to `queueCursor`, as the sequencer has executed it: if a reorg of L1 changed
    /// the queue, an honest batch must not become a fraudulent one.
    struct Claim {
        uint64 executedAt;
        uint64 chunks;
        uint64 nextIndex;
        uint64 queueCursor;
        bytes32 queueChain;
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
    /// @param freezeDeadline See `ICustody.freezeDeadline`; no shorter than `maxBatchAge`, and than `challengePeriod` and
    /// `inclusionDeadline` together. What it is longer than these two is the least that sequencers have after a dispute.
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

    /// @notice A batch was proven fraudulent. `BatchRejected` follows.
    /// @param chunk The chunk that was proven wrong.
    /// @param commitment The true commitment after it.
    event FraudProofSubmitted(bytes32 indexed batchHash, address indexed challenger, uint256 chunk, bytes32 commitment);

    /// @notice A batch is final.
    event BatchConfirmed(uint256 indexed batchId, bytes32 indexed batchHash);

    /// @notice A batch, and with it all after it, is void: the tip is the batch before again, and numbers from this on will
    /// be given again.
    /// @param slashed What the sequencer lost, in wei; 0 if it had lost its bond before.
    /// @param voided How many batches fell, with this one.
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

    /// @notice Batches come straight from accounts without code, so that every node finds their data.
    error NotDirectCall(address caller);
    /// @notice Only the operator may submit batches until this time has passed (see `priorityUntil`).
    error OperatorHasPriority(address caller, uint256 until);
    /// @notice The batch builds on something else than the tip.
    error StaleParent(bytes32 parentHash, bytes32 tipHash);
    /// @notice The batch's `executedAt` is not between these two.
    error TimestampOutOfRange(uint256 timestamp, uint256 earliest, uint256 latest);
    /// @notice A batch has 1 to `max` chunks.
    error WrongChunkCount(uint256 chunks, uint256 max);
    /// @notice The calldata is not the canonical encoding, or its chunks do not parse exactly.
    /// @param offset The place in the call's input: of the word, the padding or the end that is not canonical, of the first
    /// chunk that is cut off or too long, or of what follows the last chunk.
    error MalformedData(uint256 offset);
    /// @notice A batch without calldata needs exactly one blob.
    error WrongBlobCount();
    /// @notice The claimed cursor is not between these two.
    error QueueCursorOutOfRange(uint256 cursor, uint256 earliest, uint256 latest);
    /// @notice The queue up to the cursor is another one than the batch was made with: its chain is `actual`.
    error QueueMismatch(uint256 cursor, bytes32 queueChain, bytes32 actual);
    /// @notice The batch would leave an overdue operation at the head of the queue and takes fewer than the quota.
    error QueueNeglected(uint256 head, uint256 consumed, uint256 quota);
    /// @notice Who submits batches needs a bond of `minimumStake`.
    error InsufficientBond(address sequencer, uint256 bond, uint256 minimumStake);
    /// @notice The sequencer has begun to leave: it can neither submit nor add to its bond until it has got it back.
    error SequencerLeaving(address sequencer);
    /// @notice The hash is not that of the batch with this number, or that batch was rolled back.
    error UnknownBatch(uint256 batchId, bytes32 batchHash);
    /// @notice A batch that is confirmed is final.
    error BatchAlreadyConfirmed(uint256 batchId);
    /// @notice The batch could be disputed up to `end`, that second included.
    error ChallengePeriodOver(uint256 end);
    /// @notice The batch cannot be confirmed, or the bond not be paid back, before `end` has passed.
    error ChallengePeriodRunning(uint256 end);
    /// @notice Batches are confirmed in the order of their numbers.
    error NotNextToConfirm(uint256 batchId, uint256 next);
    /// @notice The header given for the batch before has this hash, which is not the batch's `parentHash`.
    error WrongParent(bytes32 parentHash);
    /// @notice The batch has chunks 0 to `chunks` − 1.
    error ChunkOutOfRange(uint256 chunk, uint256 chunks);
    /// @notice The state given is not the one that the commitment before the chunk stands for.
    error WrongStateBefore();
    /// @notice The chunk, or the commitment before it, is not what the batch's data says. (Blobs: `ICellVerifier`'s error.)
    error InvalidOpening();
    /// @notice These are not up to 16 whole entries of the queue from `cursor` on.
    error QueueEntriesMismatch(uint256 cursor);
    /// @notice The chunk's outcome is what the batch says.
    error NoFraud();
    /// @notice The same hash was reserved before; that reservation stands.
    error AlreadyReserved(bytes32 reservation);
    /// @notice There is no such reservation of the caller's, or none from before the one that the challenger has shown (or
    /// from before the proof).
    error NoEarlierReservation(bytes32 reservation);
    /// @notice The reward is paid after `end`, so that earlier reservations can be shown until then.
    error RewardNotDue(uint256 end);
    /// @notice Earlier reservations could be shown up to `end`, that second included.
    error RewardDue(uint256 end);
    /// @notice There is no proof of this batch, its reward was paid, or its sequencer had no bond left.
    error NoReward(bytes32 batchHash);
    /// @notice The sequencer has no bond, or adds nothing to it.
    error NothingBonded(address sequencer);
    /// @notice A bond is paid back `challengePeriod` after `startExit`.
    error ExitNotStarted(address sequencer);
    /// @notice Who was slashed may bond again from the next block on: so no two batches ever have one hash.
    error SlashedInThisBlock(address sequencer);
    /// @notice The sequencer has begun to leave before.
    error ExitAlreadyStarted(address sequencer);
    /// @notice The batch is pending. Withdrawals are claimed against confirmed batches; and the rollup is not frozen before
    /// the pending batches that can be confirmed are.
    error BatchNotConfirmed(uint256 batchId);
    /// @notice At the batch there were withdrawals 0 to `count` − 1.
    error WithdrawalOutOfRange(uint256 index, uint256 count);
    /// @notice Each withdrawal is claimed once, whatever batch it is proven against.
    error WithdrawalAlreadyClaimed(uint256 index);
    /// @notice The withdrawal is not in the batch's withdrawal tree.
    error InvalidWithdrawalProof();
    /// @notice Levels not 1 to 32, no challenge period, batch age or stake, or a part of the rollup that has no code.
    error InvalidConfig();

    /// @notice Submits a batch on the tip; its data is the input or the only blob of this very transaction. §5 has the rules.
    /// @dev Of the claims only `executedAt`, `chunks`, `queueCursor` and `queueChain` are checked. That the others are true is what
    /// disputes are for: look at a batch before you build on it.
    /// @param stateRoot Root of the state tree after the batch.
    /// @param parentHash Hash of the tip.
    /// @param claim What else is claimed of the state after the batch.
    /// @param transactions The chunks (§4); empty when they are in a blob.
    function submitBatch(bytes32 stateRoot, bytes32 parentHash, Claim calldata claim, bytes calldata transactions)
        external;

    /// @notice Shows that a batch is wrong: the contract opens one of its chunks, executes it and compares. If the batch
    /// commits to another outcome, the tip becomes the batch before, the sequencer loses its bond, and half of that is
    /// the caller's after `rewardDelay`, unless somebody shows an earlier reservation. If the outcome is the same, or
    /// the evidence does not fit, it reverts. Anybody may call, without a bond, up to `timestamp + challengePeriod`, that
    /// second included, also after a freeze (for the reward only, as pending batches are void then).
    /// @param batchHash The batch.
    /// @param evidence What shows that a chunk is wrong. An opening that is not ABI-encoded reverts without a reason.
    function submitFraudProof(bytes32 batchHash, Evidence calldata evidence) external;

    /// @notice Makes a batch final and credits its fees to its sequencer. Anybody may call, from the first second after
    /// `timestamp + challengePeriod` on, in the order of the batches.
    function confirmBatch(uint256 batchId, Batch calldata batch) external;

    /// @notice Makes a withdrawal a payout of its owner, once. Anybody may call, also after a freeze.
    /// @param batchId A confirmed batch that made the withdrawal, or any confirmed one after it.
    /// @param batch The batch's header.
    /// @param index The withdrawal's global id.
    /// @param owner Whose it is.
    /// @param token The token's id.
    /// @param amount In the token's smallest unit.
    /// @param siblings The path in the batch's withdrawal tree, from the bottom up.
    function claimWithdrawal(
        uint256 batchId,
        Batch calldata batch,
        uint256 index,
        address owner,
        uint16 token,
        uint128 amount,
        bytes32[32] calldata siblings
    ) external;

    /// @notice Adds the ETH sent to the caller's bond.
    function bond() external payable;

    /// @notice Ends the caller's right to submit batches; the first step to getting the bond back.
    function startExit() external;

    /// @notice Pays the caller's bond back, from the first second after `challengePeriod` since `startExit` on: by then all
    /// of its batches are beyond dispute. The caller may then bond anew.
    function withdrawBond() external;

    /// @notice Reserves the reward for a fraud proof to come. It costs nothing to reserve and obliges to nothing.
    /// @param reservation keccak256(abi.encode(batchHash, chunk, commitment, claimant, salt)): `commitment` is the true one
    /// after the chunk, `claimant` who will call `takeReward`, `salt` any secret.
    function reserveReward(bytes32 reservation) external;

    /// @notice Makes the caller the challenger of a batch that somebody else proved, by a reservation from an earlier block
    /// than what the challenger has to show, up to `rewardDelay` after the proof, that second included.
    /// @param batchHash The batch that was proven fraudulent.
    /// @param salt The reservation's.
    function takeReward(bytes32 batchHash, bytes32 salt) external;

    /// @notice Pays the reward to the challenger, from the first second after `rewardDelay` on. Anybody may call.
    /// @param batchHash The batch that was proven fraudulent.
    function claimReward(bytes32 batchHash) external;

    /// @notice Ends the rollup for ever, if the head of the queue and the tip have both waited longer than
    /// `freezeDeadline` (§6). The last confirmed batch's state is final; pending batches are void. Anybody may call.
    /// @param lastConfirmed Header of the last confirmed batch.
    /// @param firstPending Header of the batch after it; ignored if there is none. It must not be ready to be confirmed.
    function freeze(Batch calldata lastConfirmed, Batch calldata firstPending) external;

    /// @notice After a freeze: credits the balance of an account of the final state to its owner, once. Anybody may call.
    /// @param index The account's index.
    /// @param record Its record (§1), 43 bytes.
    /// @param siblings Its path in the state tree, from the bottom up, one for each level.
    function escape(uint32 index, bytes calldata record, bytes32[] calldata siblings) external;

    /// @notice After a freeze: credits a position's share of both reserves of its pool to its owner, once. Anybody may call.
    /// @param index The position's index.
    /// @param record Its record (§1), 41 bytes.
    /// @param siblings Its path in the state tree.
    /// @param poolRecord The record of its pool, 53 bytes.
    /// @param poolSiblings The pool's path.
    function escapePosition(
        uint32 index,
        bytes calldata record,
        bytes32[] calldata siblings,
        bytes calldata poolRecord,
        bytes32[] calldata poolSiblings
    ) external;

    /// @notice The contract that executes chunks.
    function stateTransition() external view returns (IStateTransition);

    /// @notice The contract that opens blobs.
    function cellVerifier() external view returns (ICellVerifier);

    /// @notice Who has priority in submitting batches; 0 for nobody.
    function operator() external view returns (address);

    /// @notice Levels of the state tree.
    function levels() external view returns (uint256);

    /// @notice After how many seconds without a batch of the operator anyone may submit.
    function priorityTimeout() external view returns (uint256);

    /// @notice How many seconds older than its block a batch's `executedAt` may be.
    function maxBatchAge() external view returns (uint256);

    /// @notice For how many seconds after its submission a batch can be disputed.
    function challengePeriod() external view returns (uint256);

    /// @notice For how many seconds after a proof its reward can be taken over by an earlier reservation.
    function rewardDelay() external view returns (uint256);

    /// @notice The bond that a sequencer needs, in wei.
    function minimumStake() external view returns (uint256);

    /// @notice EIP-712 domain separator of signatures (§3), with the chain id of the chain as it is now.
    function domainSeparator() external view returns (bytes32);

    /// @notice Number of the last batch; 0 is genesis.
    function currentBatchId() external view returns (uint256);

    /// @notice Number of the last confirmed batch.
    function confirmedBatchId() external view returns (uint256);

    /// @notice Hash of the last batch, on which the next one has to build.
    function tipHash() external view returns (bytes32);

    /// @notice When the operator's last batch on the present chain was submitted, at first the time of deployment; 0 if its
    /// batches fell on one of somebody else's.
    function operatorLastSeen() external view returns (uint256);

    /// @notice The last second at which only the operator may submit, as things are; 0 if others may in any case.
    function priorityUntil() external view returns (uint256);

    /// @notice A batch by its number.
    /// @return batchHash 0 if there is none, or none any more.
    /// @return isConfirmed Whether it is final.
    function batches(uint256 batchId) external view returns (bytes32 batchHash, bool isConfirmed);

    /// @notice The proof that felled a batch; all zero if there is none.
    function fraudProofs(bytes32 batchHash) external view returns (FraudProof memory);

    /// @notice The reward for that proof.
    function rewards(bytes32 batchHash) external view returns (Reward memory);

    /// @notice A sequencer's bond.
    function bonds(address sequencer) external view returns (uint192 amount, uint64 exitStartedAt);

    /// @notice Whether the withdrawal with this global id has become a payout.
    function isWithdrawalClaimed(uint256 index) external view returns (bool);
}
