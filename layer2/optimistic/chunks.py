"""Batches as chunks, and their encoding in calldata and in a blob (docs/optimistic.md §4)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from layer2.crypto.keccak import keccak256
from layer2.optimistic.constants import (
    BLOB_BYTES,
    CELL_ELEMENTS,
    CHUNK_BYTES,
    CHUNK_OPERATIONS,
    COMMITMENT_BYTES,
    ELEMENT_BYTES,
    LENGTH_BYTES,
    MAX_CHUNKS,
)
from layer2.optimistic.errors import DataError
from layer2.optimistic.state import RollupState
from layer2.optimistic.transition import Context, Outcome, execute_chunk

_HEADER_BYTES: Final = COMMITMENT_BYTES + LENGTH_BYTES
_DATA_BYTES: Final = ELEMENT_BYTES - 1
_CELL_BYTES: Final = CELL_ELEMENTS * ELEMENT_BYTES


@dataclass(frozen=True, slots=True)
class Chunk:
    """commitment: to the state after the chunk, 31 bytes; operations: at most 1951 bytes.

    Raises DataError for other lengths.
    """

    commitment: bytes
    operations: bytes

    def __post_init__(self) -> None:
        if len(self.commitment) != COMMITMENT_BYTES:
            raise DataError(f"a commitment has {COMMITMENT_BYTES} bytes, got {len(self.commitment)}; drop the first")
        if len(self.operations) > CHUNK_BYTES:
            raise DataError(f"a chunk has at most {CHUNK_BYTES} bytes of operations, got {len(self.operations)}")

    @property
    def hash(self) -> bytes:
        """h of §4: keccak256(commitment as 32 bytes ‖ keccak256(operations))."""
        return keccak256(b"\0" + self.commitment + keccak256(self.operations))


@dataclass(frozen=True, slots=True)
class ExecutedChunk:
    """A chunk that was made from operations, the states around it, and what became of each operation."""

    chunk: Chunk
    before: RollupState
    after: RollupState
    outcomes: tuple[Outcome, ...]


def pack(operations: Iterable[bytes]) -> list[bytes]:
    """Encoded operations, in order, as the bytes of chunks: each with at most 16 of them and 1951 bytes.

    There is one chunk at least, and it may be empty. Raises DataError for more than a batch holds, 64 chunks, or an
    operation that is longer than a chunk.
    """
    chunks: list[bytes] = []
    chunk: list[bytes] = []
    size = 0
    for operation in operations:
        if len(operation) > CHUNK_BYTES:
            raise DataError(f"an operation of {len(operation)} bytes fits no chunk; give one encoded operation each")
        if len(chunk) == CHUNK_OPERATIONS or size + len(operation) > CHUNK_BYTES:
            chunks.append(b"".join(chunk))
            chunk, size = [], 0
        chunk.append(operation)
        size += len(operation)
    if chunk or not chunks:
        chunks.append(b"".join(chunk))
    if len(chunks) > MAX_CHUNKS:
        raise DataError(f"the operations need {len(chunks)} chunks, a batch has at most {MAX_CHUNKS}; split them")
    return chunks


def execute_batch(
    parent: RollupState, context: Context, operations: Sequence[bytes], queue: Sequence[bytes]
) -> list[ExecutedChunk]:
    """Executes a batch after the parent batch's final state, chunk by chunk.

    operations: those of each chunk, e.g. of `pack`. queue: entries from `parent.queue_cursor` on. Raises DataError
    for a chunk that is too long, QueueError as `execute_chunk` does.
    """
    executed = []
    before = parent.without_fees()
    for data in operations:
        after, outcomes = execute_chunk(before, context, data, queue[before.queue_cursor - parent.queue_cursor :])
        executed.append(ExecutedChunk(Chunk(after.commitment(), data), before, after, tuple(outcomes)))
        before = after
    return executed


def encode_calldata(chunks: Sequence[Chunk]) -> bytes:
    """`transactions` of `submitBatch`. Raises DataError unless there are 1 to 64 chunks."""
    _check_count(len(chunks))
    return b"".join(
        chunk.commitment + len(chunk.operations).to_bytes(LENGTH_BYTES) + chunk.operations for chunk in chunks
    )


def decode_calldata(data: bytes) -> list[Chunk]:
    """The inverse of `encode_calldata`. Raises DataError, with the offset, where the contract would refuse the data."""
    chunks: list[Chunk] = []
    offset = 0
    while offset < len(data):
        start = offset + _HEADER_BYTES
        length = int.from_bytes(data[start - LENGTH_BYTES : start])
        end = start + length
        if start > len(data) or length > CHUNK_BYTES or end > len(data):
            raise DataError(f"the chunk at byte {offset} of {len(data)} is cut off or too long; send it whole", offset)
        chunks.append(Chunk(data[offset : start - LENGTH_BYTES], data[start:end]))
        offset = end
    _check_count(len(chunks))
    return chunks


def calldata_commitment(chunks: Sequence[Chunk]) -> bytes:
    """`dataCommitment` of a batch in calldata: keccak256(h₀ ‖ h₁ ‖ …)."""
    return keccak256(b"".join(chunk.hash for chunk in chunks))


def encode_blob(chunks: Sequence[Chunk]) -> bytes:
    """The blob, 131072 bytes, of a batch. Raises DataError unless there are 1 to 64 chunks."""
    _check_count(len(chunks))
    return b"".join(map(_encode_cell, chunks)).ljust(BLOB_BYTES, b"\0")


def decode_blob(blob: bytes, count: int) -> list[Chunk]:
    """The first `count` chunks of a blob; every blob has one meaning.

    Raises DataError for a blob of another length or a count that is not 1 to 64.
    """
    if len(blob) != BLOB_BYTES:
        raise DataError(f"a blob has {BLOB_BYTES} bytes, got {len(blob)}; give it whole")
    _check_count(count)
    return [decode_cell(blob[start : start + _CELL_BYTES]) for start in range(0, count * _CELL_BYTES, _CELL_BYTES)]


def decode_cell(cell: bytes) -> Chunk:
    """The chunk of one cell, 2048 bytes. Raises DataError for another length."""
    if len(cell) != _CELL_BYTES:
        raise DataError(f"a cell has {_CELL_BYTES} bytes, got {len(cell)}; give its {CELL_ELEMENTS} elements")
    commitment, *pieces = (cell[start + 1 : start + ELEMENT_BYTES] for start in range(0, _CELL_BYTES, ELEMENT_BYTES))
    data = b"".join(pieces)
    length = min(int.from_bytes(data[:LENGTH_BYTES]), CHUNK_BYTES)
    return Chunk(commitment, data[LENGTH_BYTES : LENGTH_BYTES + length])


def _encode_cell(chunk: Chunk) -> bytes:
    data = chunk.commitment + len(chunk.operations).to_bytes(LENGTH_BYTES) + chunk.operations
    data = data.ljust(CELL_ELEMENTS * _DATA_BYTES, b"\0")
    return b"".join(b"\0" + data[start : start + _DATA_BYTES] for start in range(0, len(data), _DATA_BYTES))


def _check_count(count: int) -> None:
    if not 1 <= count <= MAX_CHUNKS:
        raise DataError(f"a batch has 1 to {MAX_CHUNKS} chunks, not {count}; make another one of the rest")
