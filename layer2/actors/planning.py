"""What goes into the relayer's next batch: operations are executed until one L1 transaction can carry no more.

May import `layer2.ledger`, `layer2.chain`, `layer2.zk` and the store.
"""

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from layer2.actors.database import QueueRow
from layer2.actors.store import ItemRef, PoolRow
from layer2.chain.sending import GAS_MARGIN_PERCENT
from layer2.ledger.amounts import decode_fee8
from layer2.ledger.constants import Kind
from layer2.ledger.operations import Operation
from layer2.ledger.state_manager import StateManager
from layer2.ledger.transition import Item, Step
from layer2.zk.batch import FEE_ENTRY_BYTES, NEXT_INDEX_BYTES, TIMESTAMP_BYTES, Circuits

MAX_GAS: Final = (1 << 24) * 100 // (100 + GAS_MARGIN_PERCENT)
"""What a transaction may use (EIP-7825), less what `chain.sending` adds to an estimate."""

MAX_BYTES: Final = 128 * 1024 - 1024
"""What nodes pass on of a transaction (geth's txMaxSize), less room for all but its input."""

# Gas, rounded up: tests/unit/actors/test_planning.py holds the sums against the contract, whose list of fee tokens is
# searched for each entry and copied, with its structs, for each new token.
_BATCH: Final = 190_000
_CIRCUIT: Final = 61_000
_SEGMENT: Final = 53_000
_TRANSFER: Final = 100
_SLOT: Final = 400
_PAYOUT: Final = 25_000
_FEE_ENTRY: Final = 800
_FEE_SEARCH: Final = 300
_FEE_COPY: Final = 250
_BYTE: Final = 16
_FLOOR: Final = 21_000
_FLOOR_BYTE: Final = 40

# Words of memory for a segment, and for the copies of the list of fee tokens by their number squared.
_SEGMENT_WORDS: Final = 48
_FEE_WORDS: Final = 2

# Bytes of the call: selector, heads, lengths, padding; of a proof; of a segment without fees and operations.
_CALL_BYTES: Final = 4 + 4 * 32 + 2 * 32 + 31
_PROOF_BYTES: Final = 9 * 32
_SEGMENT_BYTES: Final = 1 + 2 + 32 + 1

_PAID_OUT: Final = frozenset({Kind.DEPOSIT, Kind.FORCED_WITHDRAWAL, Kind.WITHDRAWAL})


@dataclass
class _LastSegment:
    """The last segment of a circuit: how many operations it has, and in which tokens their fees are."""

    count: int = 0
    fee_tokens: set[int] = field(default_factory=set)


class Budget:
    """Adds up what a batch in which plain transfers come last takes of a transaction, in the worst case.

    That is: no owner has a payout yet, deposits are refunded, no byte is 0. Segments are cut as `plan_segments` does.
    """

    def __init__(self, circuits: Circuits, max_operations: int) -> None:
        self._circuits = circuits
        self._max_operations = max_operations
        self._last: dict[str, _LastSegment] = {}
        self._fee_tokens: set[int] = set()
        self._fee_entries = 0
        self.segments = 0
        self._transfers = 0
        self._slots = 0
        self._payouts = 0
        self.bytes = _CALL_BYTES + TIMESTAMP_BYTES
        """Of the transaction's input, at most."""

    @property
    def gas(self) -> int:
        """Of the transaction, at most."""
        tokens = len(self._fee_tokens)
        words = _SEGMENT_WORDS * self.segments + _FEE_WORDS * tokens**2
        used = (
            _BATCH
            + _CIRCUIT * len(self._last)
            + _SEGMENT * self.segments
            + _TRANSFER * self._transfers
            + _SLOT * self._slots
            + _PAYOUT * (self._payouts + tokens)
            + (_FEE_ENTRY + _FEE_SEARCH * tokens) * self._fee_entries
            + _FEE_COPY * tokens**2
            + 3 * words
            + words**2 // 512
            + _BYTE * self.bytes
        )
        return max(used, _FLOOR + _FLOOR_BYTE * self.bytes)

    @property
    def load(self) -> float:
        """The share of a transaction that is taken; above 1 when it is too much."""
        return max(self.gas / MAX_GAS, self.bytes / MAX_BYTES)

    def add(self, operation: Operation) -> None:
        """Count an operation."""
        is_plain = operation.kind is Kind.TRANSFER
        params = self._circuits.transfers if is_plain else self._circuits.operations
        fee_tokens = {operation.token} if decode_fee8(operation.fee) else set()
        last = self._last.get(params.kind)
        if last is None or last.count == params.size or len(last.fee_tokens | fee_tokens) > params.tokens:
            last = self._last[params.kind] = _LastSegment()
            self.segments += 1
            self.bytes += _PROOF_BYTES + _SEGMENT_BYTES + (0 if is_plain else NEXT_INDEX_BYTES)
        entries = len(fee_tokens - last.fee_tokens)
        last.count += 1
        last.fee_tokens |= fee_tokens
        self._fee_tokens |= fee_tokens
        self._fee_entries += entries
        self.bytes += FEE_ENTRY_BYTES * entries + params.operation_bytes
        self._transfers += is_plain
        self._slots += not is_plain
        self._payouts += operation.kind in _PAID_OUT

    def fits(self, operation: Operation) -> bool:
        """Whether there is a place for this operation, and one transaction can carry it as well."""
        if self._transfers + self._slots >= self._max_operations:
            return False
        more = self.copy()
        more.add(operation)
        return more.load <= 1

    def copy(self) -> "Budget":
        """One that counts on from here by itself."""
        other = copy(self)
        other._last = {kind: _LastSegment(last.count, set(last.fee_tokens)) for kind, last in self._last.items()}
        other._fee_tokens = set(self._fee_tokens)
        return other


@dataclass(frozen=True)
class Selection:
    """Operations of a batch, executed in this order, and those that were refused."""

    steps: tuple[tuple[ItemRef, Step], ...]
    refused: tuple[tuple[PoolRow, Step], ...]


class Selector:
    """Executes what fits into a batch: queue entries, then operations that need a slot, then plain transfers.

    Places go by order of arrival, and what is refused takes none. Each operation is executed once at most, and of each
    sender one is refused at most: what comes after it, or would overtake an earlier one, waits for another batch.
    """

    def __init__(self, manager: StateManager, timestamp: int, budget: Budget) -> None:
        """manager: on the state before the batch; it is left on the one after it."""
        self._manager = manager
        self._timestamp = timestamp
        self._budget = budget
        self._steps: list[tuple[ItemRef, Step]] = []
        self._refused: list[tuple[PoolRow, Step]] = []
        self._has_to_wait: set[int] = set()

    def select(self, entries: Sequence[QueueRow], quota: int, rows: Sequence[PoolRow]) -> Selection:
        """rows: in order of arrival, each sender's by nonce. Beyond the quota, entries leave half of the
        transaction to them."""
        for number, entry in enumerate(entries):
            operation = entry.entry.operation
            is_enough = number >= quota and rows and self._budget.load > 1 / 2
            if is_enough or not self._budget.fits(operation):
                break
            self._budget.add(operation)
            self._steps.append((ItemRef(queue=entry.entry.index), self._execute(operation)))
        self._take_transfers(chain(*self._take_slots(rows)))
        return Selection(tuple(self._steps), tuple(self._refused))

    def _take_slots(self, rows: Sequence[PoolRow]) -> tuple[list[PoolRow], Iterator[PoolRow]]:
        """Execute what needs a slot as far as the batch reaches. Returns transfers up to there, and what is left."""
        reach = self._budget.copy()
        transfers: list[PoolRow] = []
        has_transfer: set[int] = set()
        would_overtake: set[int] = set()
        left = (row for row in rows if row.signed.operation.account not in would_overtake)
        for row in left:
            operation = row.signed.operation
            is_plain = operation.kind is Kind.TRANSFER
            if not is_plain and operation.account in has_transfer:
                would_overtake.add(operation.account)
                continue
            if operation.account in self._has_to_wait:
                continue
            if not reach.fits(operation):
                return transfers, chain([row], left)
            if is_plain:
                reach.add(operation)
                transfers.append(row)
                has_transfer.add(operation.account)
            elif self._take(row):
                reach.add(operation)
        return transfers, left

    def _take_transfers(self, rows: Iterable[PoolRow]) -> None:
        """Execute transfers until the batch is full; the places of those that are refused go to later ones."""
        for row in rows:
            operation = row.signed.operation
            if operation.kind is not Kind.TRANSFER:
                self._has_to_wait.add(operation.account)
            if operation.account in self._has_to_wait:
                continue
            if not self._budget.fits(operation):
                return
            self._take(row)

    def _take(self, row: PoolRow) -> bool:
        step = self._execute(row.signed)
        if step.valid:
            self._budget.add(row.signed.operation)
            self._steps.append((ItemRef(pool=row.id), step))
        else:
            self._refused.append((row, step))
            self._has_to_wait.add(row.signed.operation.account)
        return step.valid

    def _execute(self, item: Item) -> Step:
        validation = self._manager.validate_transactions([item], self._timestamp)
        self._manager.apply_transactions(validation.accepted)
        return validation.steps[0]
