"""Segments: the operations one proof is about, and the binding of their data (docs/protocol.md §5).

May import `layer2.crypto`, `layer2.ledger` and `layer2.zk.params`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from eth_utils.crypto import keccak

from layer2.crypto.field import R
from layer2.crypto.poseidon import poseidon
from layer2.ledger.amounts import encode_float40
from layer2.ledger.constants import Kind
from layer2.ledger.operations import Operation
from layer2.ledger.transition import Step
from layer2.zk.params import SPONGE_RATE, CircuitParams


class SegmentError(ValueError):
    """Steps that do not make a segment of the circuit; the message says which and what to do."""


class FeeEntry(NamedTuple):
    """A fee sum of a segment, in smallest units of the token."""

    token: int
    sum: int


class PublicInputs(NamedTuple):
    """What a proof is checked against, in the circuit's order (§5.2)."""

    z: int
    digest: int
    y: int


@dataclass(frozen=True)
class Segment:
    """Consecutive valid steps, proven together.

    steps: 1 … params.size, each from the state that the one before left; plain transfers only when params.kind is
    "transfers". domain: of §4.1. timestamp: the batch's, in seconds.
    Raises SegmentError when the steps do not fit together or the circuit.
    """

    params: CircuitParams
    steps: tuple[Step, ...]
    domain: int
    timestamp: int

    def __post_init__(self) -> None:
        if not 1 <= len(self.steps) <= self.params.size:
            raise SegmentError(f"{len(self.steps)} operations for {self.params.name}: give 1 to {self.params.size}")
        root = self.root_before
        for number, step in enumerate(self.steps):
            if not step.valid:
                raise SegmentError(f"operation {number} of the segment is invalid ({step.reason}): leave it out")
            if step.witness.root_before != root:
                raise SegmentError(
                    f"operation {number} starts at root {step.witness.root_before:#x}, the one before ended at "
                    f"{root:#x}: give consecutive steps"
                )
            root = step.witness.root_after
            if self.params.kind == "transfers" and step.operation.kind != Kind.TRANSFER:
                raise SegmentError(
                    f"operation {number} is {step.operation.kind.name}: put it into an operations segment"
                )
        if len(self.fees) > self.params.tokens:
            raise SegmentError(
                f"fees in {len(self.fees)} tokens, {self.params.name} sums {self.params.tokens}: split the segment"
            )

    @property
    def root_before(self) -> int:
        return self.steps[0].witness.root_before

    @property
    def root_after(self) -> int:
        return self.steps[-1].witness.root_after

    @property
    def next_index_before(self) -> int:
        return self.steps[0].witness.next_index_before

    @property
    def next_index_after(self) -> int:
        return self.steps[-1].witness.next_index_after

    @cached_property
    def fees(self) -> tuple[FeeEntry, ...]:
        """Fee sums that are not zero, in order of each token's first appearance."""
        sums: dict[int, int] = {}
        for step in self.steps:
            if step.fee:
                sums[step.operation.token] = sums.get(step.operation.token, 0) + step.fee
        return tuple(FeeEntry(token, total) for token, total in sums.items())

    @cached_property
    def operation_bytes(self) -> bytes:
        """The operations as posted: compact transfers or slots, without padding."""
        if self.params.kind == "operations":
            return b"".join(step.operation.to_slot() for step in self.steps)
        return b"".join(compact_transfer(step.operation, self.params.index_bytes) for step in self.steps)

    @cached_property
    def data(self) -> list[int]:
        """The padded data vector."""
        return data_vector(self)

    @cached_property
    def public_inputs(self) -> PublicInputs:
        """z, D and y of this segment."""
        d = digest(self.data)
        z = challenge(d, self.data[: 4 + self.params.tokens], self.operation_bytes)
        return PublicInputs(z, d, evaluate(self.data, z))


def compact_transfer(operation: Operation, index_bytes: int) -> bytes:
    """from ‖ to ‖ amount (float40) ‖ fee of a transfer (§5): 2·index_bytes + 6 bytes.

    Raises AmountError when the amount is not a float40, OverflowError for an index beyond index_bytes.
    """
    return (
        operation.account.to_bytes(index_bytes)
        + operation.to.to_bytes(index_bytes)
        + encode_float40(operation.amount).to_bytes(5)
        + operation.fee.to_bytes(1)
    )


def data_vector(segment: Segment) -> list[int]:
    """The vector d of §5.1, padded to the circuit's size."""
    params = segment.params
    transfers = params.kind == "transfers"
    indices = 0 if transfers else segment.next_index_before << 40 | segment.next_index_after << 80
    fees = [entry.sum | entry.token << 128 for entry in segment.fees]
    data = [segment.domain, segment.root_before, segment.root_after, segment.timestamp | indices]
    data += fees + [0] * (params.tokens - len(fees))
    if transfers:
        pair = 2 * params.operation_bytes
        posted = segment.operation_bytes
        padded = posted + bytes(-len(posted) % pair)
        data += [int.from_bytes(padded[i : i + pair]) for i in range(0, len(padded), pair)]
    else:
        data += [element for step in segment.steps for element in step.operation.elements()]
    return data + [0] * (params.data_length - len(data))


def digest(data: Sequence[int]) -> int:
    """D of §5.2: the Poseidon sponge over the padded data vector."""
    state = 0
    for start in range(0, len(data), SPONGE_RATE):
        block = list(data[start : start + SPONGE_RATE])
        state = poseidon([state, *block, *[0] * (SPONGE_RATE - len(block))])
    return state


def challenge(d: int, head: Sequence[int], operations: bytes) -> int:
    """z of §5.2: keccak256 of D, the data vector's elements before the operations, and the operations as posted."""
    return int.from_bytes(keccak(b"".join(value.to_bytes(32) for value in (d, *head)) + operations)) % R


def evaluate(data: Sequence[int], z: int) -> int:
    """y of §5.2: Σ dᵢ·zⁱ mod r."""
    value = 0
    for element in reversed(data):
        value = (value * z + element) % R
    return value
