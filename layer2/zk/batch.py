"""Batches: planning segments, the posted bytes, reading and replaying them (docs/protocol.md §5.3, §8).

May import `layer2.crypto`, `layer2.ledger`, and of this package params and segments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from layer2.crypto.field import R
from layer2.ledger.amounts import decode_float40
from layer2.ledger.constants import (
    AMOUNT_BITS,
    FLOAT40_BYTES,
    SLOT_BYTES,
    TIMESTAMP_BITS,
    Kind,
)
from layer2.ledger.errors import LedgerError, ReplayError
from layer2.ledger.operations import Operation
from layer2.ledger.state import State
from layer2.ledger.transition import Step, replay
from layer2.zk.params import CircuitParams
from layer2.zk.segments import FeeEntry, Segment

CIRCUIT_NUMBERS: Final = {"transfers": 0, "operations": 1}
"""The byte that names a segment's circuit."""

TIMESTAMP_BYTES: Final = 5
NEXT_INDEX_BYTES: Final = 5
FEE_ENTRY_BYTES: Final = 18

_PADDING: Final = Operation(Kind.PADDING)


class BatchFormatError(ValueError):
    """Bytes that are no batch. The message names the offset, the value and the rule of §5.3."""


@dataclass(frozen=True)
class Circuits:
    """The two circuits that a rollup's verifier has keys for.

    Raises ValueError unless they are of the two kinds with the same levels and tokens.
    """

    transfers: CircuitParams
    operations: CircuitParams

    def __post_init__(self) -> None:
        if (self.transfers.kind, self.operations.kind) != ("transfers", "operations"):
            raise ValueError(f"circuits {self.transfers.name}, {self.operations.name}: give transfers, then operations")
        if (self.transfers.levels, self.transfers.tokens) != (self.operations.levels, self.operations.tokens):
            raise ValueError(
                f"{self.transfers.name} and {self.operations.name} differ in levels or tokens: "
                "a rollup needs two circuits of the same"
            )

    @property
    def levels(self) -> int:
        """Levels of the state tree."""
        return self.transfers.levels

    def by_number(self, number: int) -> CircuitParams:
        """The circuit of a number in the data. Raises KeyError for another number."""
        return {0: self.transfers, 1: self.operations}[number]


@dataclass(frozen=True)
class PostedSegment:
    """A segment as read from a batch's bytes: nothing in it is checked against a state.

    operations of a transfers segment carry token 0, which is not posted; all-zero transfers are padding.
    """

    params: CircuitParams
    root_after: int
    next_index_after: int | None
    fees: tuple[FeeEntry, ...]
    operations: tuple[Operation, ...]


@dataclass(frozen=True)
class PostedBatch:
    """A batch as read from its bytes."""

    timestamp: int
    segments: tuple[PostedSegment, ...]

    @property
    def state_root(self) -> int:
        """Root after the batch."""
        return self.segments[-1].root_after


# -------------------------------------------------------------------- making batches


def plan_segments(steps: Sequence[Step], circuits: Circuits, domain: int, timestamp: int) -> list[Segment]:
    """Cut consecutive valid steps into segments, in their order.

    Runs of plain transfers go to the transfers circuit, everything else to the operations circuit; a transfer joins an
    operations segment that has room rather than open a segment of its own when it stands alone between two other
    operations. A segment ends when its circuit is full or its fees would be in more tokens than it sums.
    Raises SegmentError when the steps are invalid or not consecutive.
    """
    cuts: list[tuple[CircuitParams, list[Step]]] = []
    for position, step in enumerate(steps):
        plain = step.operation.kind == Kind.TRANSFER and not _is_alone(steps, position)
        params = circuits.transfers if plain else circuits.operations
        if cuts and cuts[-1][0] is params and _has_room(params, cuts[-1][1], step):
            cuts[-1][1].append(step)
        else:
            cuts.append((params, [step]))
    return [Segment(params, tuple(part), domain, timestamp) for params, part in cuts]


def encode_batch(segments: Sequence[Segment]) -> bytes:
    """The bytes of §5.3 for consecutive segments with one timestamp.

    Raises BatchFormatError for no segments, different timestamps, or segments that do not follow each other.
    """
    if not segments:
        raise BatchFormatError("a batch needs at least one segment: add operations")
    timestamp, root = segments[0].timestamp, segments[0].root_before
    data = [timestamp.to_bytes(TIMESTAMP_BYTES)]
    for number, segment in enumerate(segments):
        if segment.timestamp != timestamp:
            raise BatchFormatError(
                f"segment {number} has timestamp {segment.timestamp}, the batch {timestamp}: use one for all"
            )
        if segment.root_before != root:
            raise BatchFormatError(
                f"segment {number} starts at root {segment.root_before:#x}, the one before ended at {root:#x}: "
                "give them in order"
            )
        root = segment.root_after
        data.append(_encode_segment(segment))
    return b"".join(data)


def _encode_segment(segment: Segment) -> bytes:
    number = CIRCUIT_NUMBERS[segment.params.kind]
    parts = [number.to_bytes(1), len(segment.steps).to_bytes(2), segment.root_after.to_bytes(32)]
    if segment.params.kind == "operations":
        parts.append(segment.next_index_after.to_bytes(NEXT_INDEX_BYTES))
    parts.append(len(segment.fees).to_bytes(1))
    parts += [fee.token.to_bytes(2) + fee.sum.to_bytes(AMOUNT_BITS // 8) for fee in segment.fees]
    return b"".join(parts) + segment.operation_bytes


def _is_alone(steps: Sequence[Step], position: int) -> bool:
    """Whether a transfer has an operation of another kind right before and none of its own kind around it."""
    before = position > 0 and steps[position - 1].operation.kind != Kind.TRANSFER
    after = position + 1 < len(steps) and steps[position + 1].operation.kind != Kind.TRANSFER
    return before and after


def _has_room(params: CircuitParams, part: list[Step], step: Step) -> bool:
    tokens = {other.operation.token for other in (*part, step) if other.fee}
    return len(part) < params.size and len(tokens) <= params.tokens


# -------------------------------------------------------------------- reading batches


def decode_batch(data: bytes, circuits: Circuits) -> PostedBatch:
    """Read the bytes of §5.3; every byte string gives a batch or BatchFormatError.

    A batch that L1 accepted always decodes: the contract and its circuits are stricter than this.
    """
    reader = _Reader(data)
    timestamp = reader.number(TIMESTAMP_BITS // 8, "timestamp")
    segments = []
    while not reader.at_end:
        segments.append(_decode_segment(reader, circuits))
    if not segments:
        raise BatchFormatError(f"the batch ends after its timestamp {timestamp}: it needs at least one segment")
    return PostedBatch(timestamp, tuple(segments))


def _decode_segment(reader: _Reader, circuits: Circuits) -> PostedSegment:
    at = reader.offset
    number = reader.number(1, "circuit")
    if number not in CIRCUIT_NUMBERS.values():
        raise BatchFormatError(f"byte {at}: there is no circuit {number}, only 0 (transfers) and 1 (operations)")
    params = circuits.by_number(number)
    count = reader.number(2, "count")
    if not 1 <= count <= params.size:
        raise BatchFormatError(f"byte {at + 1}: {count} operations, {params.name} takes 1 to {params.size}")
    root = reader.number(32, "root")
    if root >= R:
        raise BatchFormatError(f"byte {at + 3}: root {root:#x} is not below r")
    next_index = reader.number(NEXT_INDEX_BYTES, "nextIndex") if params.kind == "operations" else None
    fee_count = reader.number(1, "fee count")
    if fee_count > params.tokens:
        raise BatchFormatError(f"byte {reader.offset - 1}: {fee_count} fee entries, {params.name} has {params.tokens}")
    fees = tuple(
        FeeEntry(reader.number(2, "fee token"), reader.number(AMOUNT_BITS // 8, "fee sum")) for _ in range(fee_count)
    )
    decode = _decode_slot if params.kind == "operations" else _decode_transfer
    operations = tuple(decode(reader, params) for _ in range(count))
    return PostedSegment(params, root, next_index, fees, operations)


def _decode_slot(reader: _Reader, params: CircuitParams) -> Operation:
    at = reader.offset
    slot = reader.take(SLOT_BYTES, "operation")
    try:
        operation = Operation.from_slot(slot)
        operation.elements()
    except LedgerError as error:
        raise BatchFormatError(f"byte {at}: {error}") from error
    return operation


def _decode_transfer(reader: _Reader, params: CircuitParams) -> Operation:
    at = reader.offset
    width = params.index_bytes
    sender, to = reader.number(width, "sender"), reader.number(width, "recipient")
    encoded, fee = reader.number(FLOAT40_BYTES, "amount"), reader.number(1, "fee")
    if sender == 0:
        if to or encoded or fee:
            raise BatchFormatError(f"byte {at}: a transfer from account 0, which is padding and must be all zeros")
        return _PADDING
    amount = decode_float40(encoded)
    if amount >> AMOUNT_BITS:
        raise BatchFormatError(f"byte {at + 2 * width}: amount {amount} is more than any balance")
    return Operation(Kind.TRANSFER, account=sender, to=to, fee=fee, amount=amount)


class _Reader:
    """Takes bytes from the front."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.offset = 0

    @property
    def at_end(self) -> bool:
        return self.offset == len(self._data)

    def take(self, size: int, what: str) -> bytes:
        part = self._data[self.offset : self.offset + size]
        if len(part) < size:
            raise BatchFormatError(
                f"byte {self.offset}: the data ends after {len(self._data)} bytes inside a field "
                f"({what}, {size} bytes): it was cut"
            )
        self.offset += size
        return part

    def number(self, size: int, what: str) -> int:
        return int.from_bytes(self.take(size, what))


# -------------------------------------------------------------------- replaying batches


@dataclass(frozen=True)
class Replayed:
    """What a batch that L1 accepted did: the state after it and its steps, padding left out."""

    state: State
    steps: tuple[Step, ...]


def replay_batch(state: State, batch: PostedBatch) -> Replayed:
    """Apply a batch that L1 accepted to the state before it (§8). The given state stays as it is.

    Raises ReplayError when an operation, a fee sum, nextIndex or a root is not what the state transition says: then the
    state is not the one the batch was made for, or node and circuit disagree.
    """
    steps: list[Step] = []
    for number, segment in enumerate(batch.segments):
        sums: dict[int, int] = {}
        for operation in segment.operations:
            if operation.kind == Kind.PADDING:
                continue
            step = replay(state, operation, fill_token=segment.params.kind == "transfers")
            state = step.state_after
            steps.append(step)
            if step.fee:
                sums[step.operation.token] = sums.get(step.operation.token, 0) + step.fee
        _check_segment(number, segment, state, sums)
    return Replayed(state, tuple(steps))


def _check_segment(number: int, segment: PostedSegment, state: State, sums: dict[int, int]) -> None:
    if state.root != segment.root_after:
        raise ReplayError(
            f"segment {number} ends in root {state.root:#066x}, posted is {segment.root_after:#066x}: "
            "start again from the genesis state"
        )
    if segment.next_index_after not in (None, state.next_index):
        raise ReplayError(
            f"segment {number} ends with nextIndex {state.next_index}, posted is {segment.next_index_after}: "
            "start again from the genesis state"
        )
    posted: dict[int, int] = {}
    for entry in segment.fees:
        if entry.sum:
            posted[entry.token] = posted.get(entry.token, 0) + entry.sum
    if posted != sums:
        raise ReplayError(f"segment {number} pays fees {sums} (token: sum), posted are {posted}: node and data differ")
