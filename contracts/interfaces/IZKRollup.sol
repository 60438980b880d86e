// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IBatchVerifier} from "./IBatchVerifier.sol";
import {ICustody} from "./ICustody.sol";
import {IPoseidon4} from "./IPoseidon4.sol";
import {AccountTree} from "../libraries/AccountTree.sol";

/// @title IZKRollup
/// @notice A rollup whose batches are accepted together with proofs that they are right, and are final at once.
/// @dev `docs/protocol.md` is the specification; section numbers refer to it.
interface IZKRollup is ICustody {
    /// @notice A Groth16 proof of one segment.
    /// @param a Point A.
    /// @param b Point B, imaginary parts first.
    /// @param c Point C.
    /// @param publicInputs The digest D. The other two public inputs, z and y, are computed from the data.
    struct ZKProof {
        uint256[2] a;
        uint256[2][2] b;
        uint256[2] c;
        uint256[1] publicInputs;
    }

    /// @notice What a batch is known by: its hash is the hash of this, ABI-encoded.
    /// @param stateRoot Root of the account tree after the batch.
    /// @param parentHash Hash of the batch before.
    /// @param proof Hash over all proofs of the batch and their public inputs.
    /// @param timestamp The batch's time, which operations expire by, in seconds since 1970.
    /// @param isVerified True: batches that are not verified do not exist.
    struct Batch {
        bytes32 stateRoot;
        bytes32 parentHash;
        bytes32 proof;
        uint64 timestamp;
        bool isVerified;
    }

    /// @notice What never changes after deployment; all in seconds, below 2³², but the quota.
    /// @param inclusionDeadline How long a queued operation may have to wait.
    /// @param queueQuota How many queued operations a batch must take at most, 1 to 256, and what fits in 128 segments.
    /// @param priorityTimeout After how long without a batch of the operator anyone may submit one.
    /// @param maxBatchAge How much older than its block a batch's timestamp may be, at least 1.
    /// @param freezeDeadline See `ICustody.freezeDeadline`; no shorter than `inclusionDeadline` and `maxBatchAge`.
    struct Config {
        uint256 inclusionDeadline;
        uint256 queueQuota;
        uint256 priorityTimeout;
        uint256 maxBatchAge;
        uint256 freezeDeadline;
    }

    /// @notice A batch was accepted; its data is the input of this transaction.
    event BatchSubmitted(
        uint256 indexed batchId,
        bytes32 indexed batchHash,
        bytes32 parentHash,
        bytes32 stateRoot,
        address indexed submitter,
        uint64 timestamp
    );

    /// @notice All proofs of the batch hold; the state root is final.
    /// @param nextIndex Lowest account index that is not in use, after the batch.
    /// @param queueCursor How many queued operations batches have consumed, with this batch.
    event BatchVerified(
        uint256 indexed batchId, bytes32 indexed batchHash, bytes32 stateRoot, uint64 nextIndex, uint64 queueCursor
    );

    /// @notice Batches come straight from accounts without code, so that every node finds their data.
    error NotDirectCall(address caller);

    /// @notice The calldata is not the canonical ABI encoding, so that nodes might read it differently.
    error NonCanonicalCalldata();

    /// @notice Only the operator may submit batches until this time has passed (see `priorityUntil`).
    error OperatorHasPriority(address caller, uint256 until);

    /// @notice The batch builds on something else than the tip.
    error StaleParent(bytes32 parentHash, bytes32 tipHash);

    /// @notice The batch's timestamp is not between these two.
    error TimestampOutOfRange(uint256 timestamp, uint256 earliest, uint256 latest);

    /// @notice A batch needs at least one segment.
    error EmptyBatch();

    /// @notice The last segment ends in another root than the batch claims.
    error StateRootMismatch(bytes32 stateRoot, bytes32 lastRoot);

    /// @notice A batch consumes operations that are not in the queue.
    error QueueExhausted(uint256 cursor);

    /// @notice The queued operations in the batch are not those of the queue, in order.
    error QueueMismatch(uint256 cursor, uint256 newCursor);

    /// @notice The batch leaves an overdue operation at the head of the queue and takes less than the quota.
    error QueueNeglected(uint256 head, uint256 consumed, uint256 quota);

    /// @notice Some proof of the batch does not hold. (The verifier's error.)
    error InvalidProof();

    /// @notice The contract given for Poseidon has another code.
    error WrongHasher(address hasher, bytes32 codeHash);

    /// @notice There has to be an operator.
    error ZeroOperator();

    /// @notice Batches could never be young enough.
    error ZeroMaxBatchAge();

    /// @notice Replaces the state root by that of a batch whose proofs hold, and makes its withdrawals claimable.
    /// Reverts, and stores nothing, when anything is wrong (§6.2). Proofs that do not hold: `InvalidProof`.
    /// @param stateRoot Root after the batch.
    /// @param parentHash Hash of the tip that the batch builds on.
    /// @param data The batch's bytes (§5.3).
    /// @param proofs One proof for each segment, in order.
    function submitBatch(bytes32 stateRoot, bytes32 parentHash, bytes calldata data, ZKProof[] calldata proofs)
        external;

    /// @notice Ends the rollup for ever, so that owners get their money without anybody who submits batches. Anyone may
    /// call, once both the head of the queue and the last batch's timestamp are older than `freezeDeadline`.
    function freeze() external;

    /// @notice After a freeze: credits the whole balance of an account in the final state to its owner, once. Anyone may
    /// call.
    /// @param index The account's index.
    /// @param account The account, as the final state has it.
    /// @param siblings For each level, from the leaf up, the other three children in ascending order.
    function escape(uint32 index, AccountTree.Account calldata account, uint256[3][] calldata siblings) external;

    /// @notice The contract that checks proofs.
    function verifier() external view returns (IBatchVerifier);

    /// @notice The contract that hashes for escapes.
    function hasher() external view returns (IPoseidon4);

    /// @notice Who alone submits batches, as long as it does and takes the queue in time.
    /// @dev Warning: it has to be an account without code, and must not delegate to code (EIP-7702) while it submits.
    function operator() external view returns (address);

    /// @notice After how many seconds without a batch of the operator anyone may submit one.
    function priorityTimeout() external view returns (uint256);

    /// @notice How many seconds older than its block a batch's timestamp may be.
    function maxBatchAge() external view returns (uint256);

    /// @notice What sets signatures and proofs for this rollup apart from those for all others (§4.1).
    function domain() external view returns (uint256);

    /// @notice Root of the account tree.
    function stateRoot() external view returns (bytes32);

    /// @notice Lowest account index that is not in use.
    function nextIndex() external view returns (uint64);

    /// @notice Number of the last batch; genesis is 0.
    function currentBatchId() external view returns (uint64);

    /// @notice Timestamp of the last batch.
    function batchTimestamp() external view returns (uint64);

    /// @notice When the operator's last batch was accepted; before the first one, the time of deployment. Batches of
    /// others do not count.
    function operatorLastSeen() external view returns (uint64);

    /// @notice The last second at which only the operator may submit batches, as things are: `priorityTimeout` after it
    /// was last seen, or when the head of the queue gets overdue if that is earlier. After it anyone may submit, until
    /// the operator is seen again and no overdue operation is at the head.
    function priorityUntil() external view returns (uint256);

    /// @notice Hash of the last batch.
    function tipHash() external view returns (bytes32);

    /// @notice Hash of a batch.
    function batchHashes(uint256 batchId) external view returns (bytes32);
}
