"""The witness of a chunk: what the contract needs to execute it (`IStateTransition.execute`, docs/optimistic.md §2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from layer2.optimistic.operations import read_chunk
from layer2.optimistic.records import Record, Withdrawal, encode, leaf
from layer2.optimistic.state import RollupState
from layer2.optimistic.transition import Context, Execution


class Arguments(NamedTuple):
    """What `IStateTransition.execute` is given: the state before, the batch's context, and bytes."""

    state: RollupState
    context: Context
    operations: bytes
    queue_entries: bytes
    witness: bytes


@dataclass(frozen=True, slots=True)
class ChunkWitness:
    """What `IStateTransition.execute` is given, and what it gives.

    witness: for each leaf read, in the order of §2: length of the record (1, 0 for an empty leaf) ‖ record ‖ siblings
    from the bottom up, as they were then; for each withdrawal made: 32 siblings.
    queue_entries: the entries that the chunk takes, 112 bytes each. after: the state after the chunk.
    """

    witness: bytes
    queue_entries: bytes
    after: RollupState


def make_witness(state: RollupState, context: Context, operations: bytes, queue: Sequence[bytes]) -> ChunkWitness:
    """Executes a chunk as `transition.execute_chunk` does and records its witness. Raises QueueError as it does."""
    execution = _RecordingExecution(state, context, queue)
    for operation in read_chunk(operations):
        execution.apply(operation)
    after = execution.finish()
    taken = queue[: after.queue_cursor - state.queue_cursor]
    return ChunkWitness(b"".join(execution.parts), b"".join(taken), after)


class _RecordingExecution(Execution):
    """Keeps both trees up to date after every change, since siblings are those at the time of reading."""

    def __init__(self, state: RollupState, context: Context, queue: Sequence[bytes]) -> None:
        super().__init__(
            context,
            queue,
            levels=state.levels,
            next_index=state.next_index,
            queue_cursor=state.queue_cursor,
            withdrawal_count=state.withdrawal_count,
            fees=state.fees,
        )
        self.parts: list[bytes] = []
        self._tree = self._kept_tree = state.tree
        self._withdrawals = self._kept_withdrawals = state.withdrawals

    def load(self, index: int) -> Record | None:
        record: Record | None = self._tree.payload(index)
        data = b"" if record is None else encode(record)
        self.parts += [len(data).to_bytes(1), data, *self._tree.path(index)]
        return record

    def store(self, index: int, record: Record) -> None:
        self._tree = self._tree.set({index: (leaf(record), record)})

    def store_withdrawal(self, index: int, withdrawal: Withdrawal) -> None:
        self.parts += self._withdrawals.path(index)
        self._withdrawals = self._withdrawals.set({index: (leaf(withdrawal), withdrawal)})

    def keep(self) -> None:
        self._kept_tree, self._kept_withdrawals = self._tree, self._withdrawals

    def undo(self) -> None:
        self._tree, self._withdrawals = self._kept_tree, self._kept_withdrawals

    def finish(self) -> RollupState:
        first, second, third, fourth = self.fees
        return RollupState(
            self._tree,
            self._withdrawals,
            self.next_index,
            self.queue_cursor,
            self.withdrawal_count,
            (first, second, third, fourth),
        )
