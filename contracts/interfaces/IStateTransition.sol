// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title IStateTransition
/// @notice Executes one chunk of an optimistic batch from a witness. `docs/optimistic.md` §1 to §3 is the specification.
/// @dev Total in the data, strict in the witness: any operations have a defined outcome, an invalid one changes nothing;
/// but a witness or queue entry that is missing or does not fit the state reverts, because that is the caller's fault and
/// says nothing about the batch.
interface IStateTransition {
    /// @notice Everything that one chunk hands to the next (§4).
    /// @param stateRoot Root of the state tree.
    /// @param withdrawalRoot Root of the withdrawal tree.
    /// @param nextIndex Lowest unused index of the state tree.
    /// @param queueCursor How many queue entries were consumed.
    /// @param withdrawalCount How many withdrawals were ever made.
    /// @param fees Fees of the batch so far: token·2¹²⁸ + sum, 0 when unused.
    struct State {
        bytes32 stateRoot;
        bytes32 withdrawalRoot;
        uint64 nextIndex;
        uint64 queueCursor;
        uint64 withdrawalCount;
        uint256[4] fees;
    }

    /// @notice What is the same for all chunks of a batch.
    /// @param domainSeparator EIP-712 domain separator of the rollup.
    /// @param executedAt The batch's time, which operations expire by.
    /// @param queueEnd The batch's final queue cursor: no entry from there on is taken.
    /// @param levels Levels of the state tree, 1 to 32.
    struct Context {
        bytes32 domainSeparator;
        uint64 executedAt;
        uint64 queueEnd;
        uint256 levels;
    }

    /// @notice The witness does not fit the state: too short, a leaf that is not in the tree, or one of another form.
    error InvalidWitness();

    /// @notice Executes the operations of a chunk.
    /// @param state The state before, known to be the preimage of the commitment before the chunk.
    /// @param context What is the same for the whole batch.
    /// @param operations The chunk's operations (§2).
    /// @param queueEntries Queue entries from `state.queueCursor` on, 112 bytes each, known to be those of the queue. At
    /// least as many as the operations take.
    /// @param witness One after the other for each leaf read, in the order of §2: length of the record (1 byte, 0 for an
    /// empty leaf) ‖ record ‖ `levels` siblings from the bottom up (32 bytes each); for each withdrawal made:
    /// 32 siblings. Siblings are those at the time of reading, with all that was put before. Bytes that are left over mean nothing.
    /// @return after_ The state after the chunk.
    function execute(
        State calldata state,
        Context calldata context,
        bytes calldata operations,
        bytes calldata queueEntries,
        bytes calldata witness
    ) external view returns (State memory after_);
}
