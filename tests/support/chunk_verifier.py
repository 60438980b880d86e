"""Executes a chunk from its witness as the contract does: knows roots and counters only, and believes nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass

from eth_utils import keccak

from layer2.optimistic.operations import read_chunk
from layer2.optimistic.records import Record, Withdrawal, decode, encode
from layer2.optimistic.state import RollupState
from layer2.optimistic.transition import Context, Execution

ZERO = bytes(32)


class InvalidWitness(Exception):
    """The witness is too short, or a leaf in it is not in the tree."""


@dataclass
class Verified:
    """commitment: to the state after; reads: the leaves that were read, in order; left: bytes of witness not used."""

    commitment: bytes
    reads: list[int]
    left: int


def verify_chunk(
    state: RollupState, context: Context, operations: bytes, queue_entries: bytes, witness: bytes
) -> Verified:
    execution = _WitnessedExecution(state, context, queue_entries, witness)
    for operation in read_chunk(operations):
        execution.apply(operation)
    words = b"".join(
        number.to_bytes(32)
        for number in (execution.next_index, execution.queue_cursor, execution.withdrawal_count, *execution.fees)
    )
    commitment = keccak(b"".join(execution.roots) + words)[1:]
    return Verified(commitment, execution.reads, len(execution.witness))


class _WitnessedExecution(Execution):
    def __init__(self, state: RollupState, context: Context, queue_entries: bytes, witness: bytes) -> None:
        super().__init__(
            context,
            [queue_entries[start : start + 112] for start in range(0, len(queue_entries), 112)],
            levels=state.levels,
            next_index=state.next_index,
            queue_cursor=state.queue_cursor,
            withdrawal_count=state.withdrawal_count,
            fees=state.fees,
        )
        self.levels = state.levels
        self.roots = self.kept_roots = (state.state_root, state.withdrawal_root)
        self.witness = witness
        self.reads: list[int] = []
        self.siblings: list[bytes] = []

    def take(self, size: int) -> bytes:
        if size > len(self.witness):
            raise InvalidWitness
        taken, self.witness = self.witness[:size], self.witness[size:]
        return taken

    def take_siblings(self, levels: int) -> list[bytes]:
        return [self.take(32) for _ in range(levels)]

    def load(self, index: int) -> Record | None:
        data = self.take(self.take(1)[0])
        self.siblings = self.take_siblings(self.levels)
        self.reads.append(index)
        if _root(index, keccak(data) if data else ZERO, self.siblings) != self.roots[0]:
            raise InvalidWitness
        return decode(data) if data else None

    def store(self, index: int, record: Record) -> None:
        assert index == self.reads[-1]
        self.roots = (_root(index, keccak(encode(record)), self.siblings), self.roots[1])

    def store_withdrawal(self, index: int, withdrawal: Withdrawal) -> None:
        siblings = self.take_siblings(32)
        if _root(index, ZERO, siblings) != self.roots[1]:
            raise InvalidWitness
        self.roots = (self.roots[0], _root(index, keccak(encode(withdrawal)), siblings))

    def keep(self) -> None:
        self.kept_roots = self.roots

    def undo(self) -> None:
        self.roots = self.kept_roots


def _root(index: int, leaf: bytes, siblings: Sequence[bytes]) -> bytes:
    node = leaf
    for sibling in siblings:
        pair = sibling + node if index % 2 else node + sibling
        node = keccak(pair) if pair != bytes(64) else ZERO
        index //= 2
    return node
