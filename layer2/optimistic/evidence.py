"""Finds the first wrong chunk of a batch and makes the fraud proof against it (docs/optimistic.md §5).

May import `layer2.crypto`, `layer2.optimistic` and eth-abi; nothing of chains.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any, Final

from eth_abi.abi import encode

from layer2.crypto.keccak import keccak256
from layer2.optimistic import blobs
from layer2.optimistic.batches import BatchHeader, StateWords
from layer2.optimistic.chunks import Chunk, decode_calldata
from layer2.optimistic.constants import CELL_ELEMENTS
from layer2.optimistic.errors import DataError
from layer2.optimistic.state import RollupState
from layer2.optimistic.transition import Context, Outcome, execute_chunk
from layer2.optimistic.witness import make_witness

CALLDATA_OPENING_TYPE: Final = "(bytes32[],bytes32,bytes,bytes32,bytes32)"
"""The ABI type of `IOptimisticRollup.CalldataOpening`."""

BLOB_OPENING_TYPE: Final = "(bytes,bytes,uint256[64],uint256,bytes)"
"""The ABI type of `IOptimisticRollup.BlobOpening`."""


@dataclass(frozen=True, slots=True)
class PostedBatch:
    """A batch with all that its outcome depends on, all of it from L1.

    data: its `transactions`, or its blob, as the header says. parent: the header of the batch before.
    queue: queue entries of 112 bytes from `parent.queue_cursor` on, at least up to the batch's cursor.
    """

    batch_id: int
    header: BatchHeader
    parent: BatchHeader
    data: bytes
    queue: Sequence[bytes]
    domain_separator: bytes

    @property
    def context(self) -> Context:
        """What its chunks are executed with."""
        return Context(self.domain_separator, self.header.executed_at, self.header.queue_cursor)

    def entries(self, state: RollupState) -> Sequence[bytes]:
        """The queue from a state of the batch on."""
        return self.queue[state.queue_cursor - self.parent.queue_cursor :]


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of executing a batch.

    states: the state before each executed chunk and that after the last one. wrong_chunk: the first chunk after which
    the batch commits to something else, and the last that was executed; None if the batch is right. outcomes: of the
    operations of each executed chunk.
    """

    states: tuple[RollupState, ...]
    wrong_chunk: int | None
    outcomes: tuple[tuple[Outcome, ...], ...]

    @property
    def after(self) -> RollupState:
        """The true state after the last executed chunk: the batch's final state if it is right."""
        return self.states[-1]

    @property
    def before(self) -> RollupState:
        """The state before the last executed chunk."""
        return self.states[-2]


@dataclass(frozen=True, slots=True)
class Evidence:
    """`IOptimisticRollup.Evidence`, fields in its order."""

    batch_id: int
    batch: BatchHeader
    parent: BatchHeader
    chunk: int
    before: StateWords
    opening: bytes
    queue_entries: bytes
    witness: bytes

    def arguments(self) -> tuple[bytes, tuple[Any, ...]]:
        """Those of `submitFraudProof`, for an ABI encoder."""
        return self.batch.hash, astuple(self)


def check_batch(parent_state: RollupState, batch: PostedBatch) -> Checked:
    """Executes a batch up to its first wrong chunk.

    parent_state: the true state after the batch before. Raises DataError when data and header do not belong together,
    QueueError when the queue is too short.
    """
    state = parent_state.without_fees()
    states = [state]
    outcomes = []
    wrong_chunk = None
    for index, chunk in enumerate(batch.header.decode_data(batch.data)):
        state, results = execute_chunk(state, batch.context, chunk.operations, batch.entries(state))
        states.append(state)
        outcomes.append(tuple(results))
        if state.commitment() != chunk.commitment:
            wrong_chunk = index
            break
    return Checked(tuple(states), wrong_chunk, tuple(outcomes))


def make_evidence(batch: PostedBatch, chunk: int, before: RollupState) -> Evidence:
    """What shows L1 the chunk's outcome.

    before: the state before the chunk, as in `Checked.before`. Raises as `check_batch` does, and DataError when the
    batch has no such chunk. With a blob it takes half a second.
    """
    chunks = batch.header.decode_data(batch.data)
    if not 0 <= chunk < len(chunks):
        raise DataError(f"the batch has chunks 0 to {len(chunks) - 1}, not {chunk}; dispute one of these")
    made = make_witness(before, batch.context, chunks[chunk].operations, batch.entries(before))
    opening = open_blob(batch.data, chunk) if batch.header.is_blob else open_calldata(batch.data, chunk)
    return Evidence(
        batch.batch_id,
        batch.header,
        batch.parent,
        chunk,
        StateWords.of(before),
        opening,
        made.queue_entries,
        made.witness,
    )


def open_calldata(data: bytes, chunk: int) -> bytes:
    """The `CalldataOpening`, encoded, of a chunk of `transactions`. Raises DataError when these do not parse."""
    chunks = decode_calldata(data)
    previous = chunks[chunk - 1] if chunk else Chunk(bytes(31), b"")
    value = (
        [one.hash for one in chunks],
        b"\0" + chunks[chunk].commitment,
        chunks[chunk].operations,
        b"\0" + previous.commitment,
        keccak256(previous.operations),
    )
    return encode([CALLDATA_OPENING_TYPE], [value])


def open_blob(blob: bytes, chunk: int) -> bytes:
    """The `BlobOpening`, encoded, of a chunk of a blob. Raises BlobError when it is not a blob."""
    cell = blobs.open_cell(blob, chunk)
    # Chunk 0 has none before it: any opening of an element will do.
    previous = blobs.open_element(blob, max(chunk - 1, 0) * CELL_ELEMENTS)
    commitment = blobs.decompress(blobs.commitment(blob))
    value = (commitment, cell.proof, list(cell.elements), previous.element, previous.proof)
    return encode([BLOB_OPENING_TYPE], [value])


def reservation(batch_hash: bytes, chunk: int, commitment: bytes, claimant: str, salt: bytes) -> bytes:
    """What `reserveReward` takes. commitment: the true one after the chunk, 31 bytes; salt: 32 secret ones."""
    types = ["bytes32", "uint256", "bytes32", "address", "bytes32"]
    return keccak256(encode(types, [batch_hash, chunk, b"\0" + commitment, claimant, salt]))
