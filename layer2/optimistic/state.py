"""The rollup's state between two chunks: both trees and the counters (docs/optimistic.md §1, §4)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, Self

from layer2.crypto.keccak import keccak256
from layer2.optimistic.constants import (
    COMMITMENT_BYTES,
    DEFAULT_LEVELS,
    FEE_WORDS,
    FIRST_INDEX,
    WITHDRAWAL_LEVELS,
)
from layer2.optimistic.errors import RecordError, StateError, TreeError
from layer2.optimistic.records import (
    WITHDRAWAL_BYTES,
    Record,
    Withdrawal,
    decode,
    decode_withdrawal,
    encode,
    leaf,
)
from layer2.optimistic.tree import Tree

Fees = tuple[int, int, int, int]
"""Four fee words: token·2¹²⁸ + sum, 0 when unused."""

NO_FEES: Final[Fees] = (0, 0, 0, 0)

_HEADER_BYTES: Final = 1 + 8 + 8 + 8 + 32 * FEE_WORDS + 32 + 32


@dataclass(frozen=True)
class RollupState:
    """A state never changes: what follows from it shares what is equal, so keeping one is a snapshot.

    Make one with `genesis` or `load`, another from it with `layer2.optimistic.transition`.
    """

    tree: Tree
    """The state tree; its payloads are the records."""
    withdrawals: Tree
    """The withdrawal tree; its payloads are the withdrawals."""
    next_index: int
    queue_cursor: int
    withdrawal_count: int
    fees: Fees

    @classmethod
    def genesis(cls, levels: int = DEFAULT_LEVELS) -> Self:
        """The empty state. Raises TreeError unless 1 ≤ levels ≤ 32."""
        return cls(Tree(levels), Tree(WITHDRAWAL_LEVELS), FIRST_INDEX, 0, 0, NO_FEES)

    @property
    def levels(self) -> int:
        """Levels of the state tree."""
        return self.tree.levels

    @property
    def state_root(self) -> bytes:
        """Root of the state tree, 32 bytes."""
        return self.tree.root

    @property
    def withdrawal_root(self) -> bytes:
        """Root of the withdrawal tree, 32 bytes."""
        return self.withdrawals.root

    @cached_property
    def _commitment(self) -> bytes:
        numbers = (self.next_index, self.queue_cursor, self.withdrawal_count, *self.fees)
        words = b"".join(number.to_bytes(32) for number in numbers)
        return keccak256(self.state_root + self.withdrawal_root + words)[-COMMITMENT_BYTES:]

    def commitment(self) -> bytes:
        """What a chunk that ends in this state commits to: 31 bytes (§4)."""
        return self._commitment

    def record(self, index: int) -> Record | None:
        """The record at `index`, None where there is none, also for an index beyond the tree."""
        if not 0 < index < self.next_index:
            return None
        found: Record | None = self.tree.payload(index)
        return found

    def records(self) -> Iterator[tuple[int, Record]]:
        """(index, record) of all records in ascending order of index."""
        for index in range(FIRST_INDEX, self.next_index):
            yield index, self.tree.payload(index)

    def path(self, index: int) -> list[bytes]:
        """The siblings of the leaf at `index`, lowest first: a proof that it is in the state root.

        Raises TreeError for an index beyond the tree.
        """
        return self.tree.path(index)

    def withdrawal(self, index: int) -> Withdrawal:
        """The withdrawal with this global id. Raises StateError when there is none."""
        self._check_withdrawal(index)
        found: Withdrawal = self.withdrawals.payload(index)
        return found

    def withdrawal_path(self, index: int) -> list[bytes]:
        """The 32 siblings of a withdrawal, lowest first. Raises StateError when there is none with this id."""
        self._check_withdrawal(index)
        return self.withdrawals.path(index)

    def without_fees(self) -> Self:
        """The state that the next batch begins with: this one, the fees 0."""
        return self if self.fees == NO_FEES else replace(self, fees=NO_FEES)

    def dump(self) -> bytes:
        """levels (1) ‖ next index, cursor, withdrawals (8 each) ‖ fees (4 × 32) ‖ both roots ‖ records ‖ withdrawals.

        Each record comes after its length (1).
        """
        parts = [self.levels.to_bytes(1)]
        parts += [number.to_bytes(8) for number in (self.next_index, self.queue_cursor, self.withdrawal_count)]
        parts += [word.to_bytes(32) for word in self.fees]
        parts += [self.state_root, self.withdrawal_root]
        for _, record in self.records():
            data = encode(record)
            parts += [len(data).to_bytes(1), data]
        parts += [encode(self.withdrawals.payload(index)) for index in range(self.withdrawal_count)]
        return b"".join(parts)

    @classmethod
    def load(cls, data: bytes) -> Self:
        """The inverse of `dump`; every hash is computed anew.

        Raises StateError when the data is cut off, too long, or does not have the roots it names.
        """
        try:
            return cls._load(data)
        except (RecordError, TreeError, IndexError) as error:
            raise StateError(f"a stored state of {len(data)} bytes is damaged: {error}; rebuild it from L1") from error

    @classmethod
    def of(
        cls,
        levels: int,
        records: Iterable[Record],
        withdrawals: Iterable[Withdrawal] = (),
        queue_cursor: int = 0,
        fees: Fees = NO_FEES,
    ) -> Self:
        """The state with these records at 1, 2, 3, … and these withdrawals.

        Raises StateError when they do not fit, RecordError for a field out of range.
        """
        leaves = {index: (leaf(record), record) for index, record in enumerate(records, FIRST_INDEX)}
        paid = {index: (leaf(withdrawal), withdrawal) for index, withdrawal in enumerate(withdrawals)}
        tree = Tree(levels)
        if len(leaves) >= tree.capacity:
            raise StateError(f"{len(leaves)} records do not fit a tree of {levels} levels; use one with more levels")
        return cls(
            tree.set(leaves),
            Tree(WITHDRAWAL_LEVELS).set(paid),
            FIRST_INDEX + len(leaves),
            queue_cursor,
            len(paid),
            fees,
        )

    @classmethod
    def _load(cls, data: bytes) -> Self:
        if len(data) < _HEADER_BYTES:
            raise IndexError(f"its header has {_HEADER_BYTES} bytes")
        next_index, cursor, count = (int.from_bytes(data[start : start + 8]) for start in (1, 9, 17))
        fees = tuple(int.from_bytes(data[start : start + 32]) for start in range(25, 25 + 32 * FEE_WORDS, 32))
        roots = data[_HEADER_BYTES - 64 : _HEADER_BYTES]
        offset = _HEADER_BYTES
        records = []
        for _ in range(FIRST_INDEX, next_index):
            end = offset + 1 + data[offset]
            records.append(decode(data[offset + 1 : end]))
            offset = end
        withdrawals = []
        for _ in range(count):
            withdrawals.append(decode_withdrawal(data[offset : offset + WITHDRAWAL_BYTES]))
            offset += WITHDRAWAL_BYTES
        state = cls.of(data[0], records, withdrawals, cursor, (fees[0], fees[1], fees[2], fees[3]))
        if offset != len(data) or state.state_root + state.withdrawal_root != roots:
            raise IndexError("it does not have the length or the roots that it names")
        return state

    def _check_withdrawal(self, index: int) -> None:
        if not 0 <= index < self.withdrawal_count:
            raise StateError(f"there is no withdrawal {index}, only {self.withdrawal_count}; wait for its batch")
