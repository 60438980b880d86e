"""A batch in the making: operations are executed as they come, and cut into chunks (docs/optimistic.md §2, §4).

May import `layer2.optimistic` only.
"""

from collections.abc import Sequence
from typing import Final

from layer2.optimistic.chunks import Chunk
from layer2.optimistic.constants import CHUNK_BYTES, CHUNK_OPERATIONS, MAX_CHUNKS
from layer2.optimistic.operations import Operation, QueueEntry
from layer2.optimistic.records import Record, Withdrawal
from layer2.optimistic.state import NO_FEES, RollupState
from layer2.optimistic.transition import ChunkExecution, Context, Execution, Outcome

_ENTRY: Final = QueueEntry()


class DraftFullError(Exception):
    """The batch holds no further operation."""


class Draft:
    """A batch on the final state of another one, queue entries first. Not thread-safe."""

    def __init__(
        self, parent: RollupState, domain_separator: bytes, executed_at: int, queue: Sequence[bytes] = ()
    ) -> None:
        """queue: the entries that the batch takes, 112 bytes each, from `parent.queue_cursor` on.

        Raises QueueError for an entry that is none, DraftFullError for more than fit.
        """
        self.start = parent.without_fees()
        self.queue = tuple(queue)
        self.context = Context(domain_separator, executed_at, self.start.queue_cursor + len(queue))
        self.items: list[bytes] = []
        """Ids of the signed operations, in order."""
        self._chunks: list[Chunk] = []
        self._bodies: list[bytes] = []
        self._size = 0
        self._known: dict[int, Record] = {}
        self._execution = ChunkExecution(self.start, self.context, self.queue, self._known)
        self._final: RollupState | None = None
        for _ in queue:
            self._apply(_ENTRY, _ENTRY.encode())

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it."""
        return not (self.queue or self.items)

    def add(self, key: bytes, operation: Operation, body: bytes) -> Outcome:
        """Execute a signed operation, known as `key` and encoded as `body`; one that is not valid is left out.

        Raises DraftFullError, with nothing changed, when there is no room for it.
        """
        outcome = self._apply(operation, body)
        if outcome.is_valid:
            self.items.append(key)
        return outcome

    def try_in_next(self, operation: Operation) -> Outcome:
        """What would become of an operation in a batch after this one, in which no fees were paid yet.

        Nothing is hashed for it, so it takes no longer than what is refused at once.
        """
        return _Trial(self._execution, self.start.levels).apply(operation)

    def find(self, index: int) -> Record | None:
        """The record at an index as it is now."""
        return self._execution.load(index)

    @property
    def next_index(self) -> int:
        """The lowest unused index."""
        return self._execution.next_index

    @property
    def is_sealed(self) -> bool:
        """Whether it was finished."""
        return self._final is not None

    def seal(self) -> tuple[list[Chunk], RollupState]:
        """Its chunks with their commitments, and the state after it. Nothing can be added any more."""
        if self._final is None:
            if self._bodies or not self._chunks:
                self._close()
            self._final = self._execution.finish()
        return self._chunks, self._final

    def _apply(self, operation: Operation, body: bytes) -> Outcome:
        if self._final is not None:
            raise DraftFullError
        if len(self._bodies) == CHUNK_OPERATIONS or self._size + len(body) > CHUNK_BYTES:
            if len(self._chunks) + 1 == MAX_CHUNKS:
                raise DraftFullError
            self._close()
        outcome = self._execution.apply(operation)
        if outcome.is_valid:
            self._bodies.append(body)
            self._size += len(body)
        return outcome

    def _close(self) -> None:
        """End the chunk: from here on the state after it stands."""
        after = self._execution.finish()
        self._chunks.append(Chunk(after.commitment(), b"".join(self._bodies)))
        self._bodies, self._size = [], 0
        rest = self.queue[after.queue_cursor - self.start.queue_cursor :]
        self._execution = ChunkExecution(after, self.context, rest, self._known)


class _Trial(Execution):
    """Executes one operation after another execution's, as if no fees had been paid, and changes nothing there."""

    def __init__(self, before: ChunkExecution, levels: int) -> None:
        super().__init__(
            before.context,
            (),
            levels=levels,
            next_index=before.next_index,
            queue_cursor=before.queue_cursor,
            withdrawal_count=before.withdrawal_count,
            fees=NO_FEES,
        )
        self._before = before
        self._stored: dict[int, Record] = {}

    def load(self, index: int) -> Record | None:
        return self._stored.get(index) or self._before.load(index)

    def store(self, index: int, record: Record) -> None:
        self._stored[index] = record

    def store_withdrawal(self, index: int, withdrawal: Withdrawal) -> None:
        pass

    def keep(self) -> None:
        pass

    def undo(self) -> None:
        self._stored.clear()
