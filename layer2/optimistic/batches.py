"""Batches as L1 knows them: headers, their hashes, and what a sequencer claims (docs/optimistic.md §5).

May import `layer2.crypto`, `layer2.optimistic` and eth-abi; nothing of chains.
"""

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from functools import reduce
from typing import Final, Self

from eth_abi.abi import encode

from layer2.crypto.keccak import keccak256
from layer2.optimistic.chunks import Chunk, decode_blob, decode_calldata
from layer2.optimistic.constants import COMMITMENT_BYTES, EMPTY, FIRST_INDEX
from layer2.optimistic.errors import DataError
from layer2.optimistic.state import NO_FEES, Fees, RollupState

HEADER_TYPE: Final = (
    "(bytes32,bytes32,uint64,uint64,address,uint64,bool,uint64,bytes32,bytes32,uint64,uint64,uint64,uint256[4])"
)
"""The ABI type of `IOptimisticRollup.Batch`."""

STATE_TYPE: Final = "(bytes32,bytes32,uint64,uint64,uint64,uint256[4])"
"""The ABI type of `IStateTransition.State`."""

NOBODY: Final = "0x" + "00" * 20


@dataclass(frozen=True, slots=True)
class StateWords:
    """What L1 sees of a state: `IStateTransition.State`, fields in its order."""

    state_root: bytes
    withdrawal_root: bytes
    next_index: int
    queue_cursor: int
    withdrawal_count: int
    fees: Fees

    @classmethod
    def of(cls, state: RollupState) -> Self:
        """The words of a state of which more is known."""
        return cls(
            state.state_root,
            state.withdrawal_root,
            state.next_index,
            state.queue_cursor,
            state.withdrawal_count,
            state.fees,
        )

    def commitment(self) -> bytes:
        """What a chunk that ends in this state commits to: 31 bytes (§4)."""
        return keccak256(encode([STATE_TYPE], [astuple(self)]))[-COMMITMENT_BYTES:]


@dataclass(frozen=True, slots=True)
class Claim:
    """`IOptimisticRollup.Claim`: what a sequencer claims of a batch besides state root and parent.

    queue_chain: see `queue_chain`, of all entries up to the cursor. L1 refuses the batch if a reorg changed them.
    """

    executed_at: int
    chunks: int
    next_index: int
    queue_cursor: int
    queue_chain: bytes
    withdrawal_root: bytes
    withdrawal_count: int
    fees: Fees

    @classmethod
    def of(cls, state: RollupState, executed_at: int, chunks: int, queue_chain: bytes) -> Self:
        """The true claim for a batch of so many chunks that ends in this state, of a queue with this chain."""
        words = StateWords.of(state)
        return cls(
            executed_at,
            chunks,
            words.next_index,
            words.queue_cursor,
            queue_chain,
            words.withdrawal_root,
            words.withdrawal_count,
            words.fees,
        )


@dataclass(frozen=True, slots=True)
class BatchHeader:
    """`IOptimisticRollup.Batch`, fields in its order. sequencer: an address in hex; times in seconds since 1970."""

    state_root: bytes
    parent_hash: bytes
    timestamp: int
    block_number: int
    sequencer: str
    executed_at: int
    is_blob: bool
    chunks: int
    data_commitment: bytes
    withdrawal_root: bytes
    withdrawal_count: int
    next_index: int
    queue_cursor: int
    fees: Fees

    @classmethod
    def genesis(cls, timestamp: int, block_number: int) -> Self:
        """Batch 0 of a rollup that was deployed in this block."""
        return cls(
            state_root=EMPTY,
            parent_hash=bytes(32),
            timestamp=timestamp,
            block_number=block_number,
            sequencer=NOBODY,
            executed_at=timestamp,
            is_blob=False,
            chunks=0,
            data_commitment=bytes(32),
            withdrawal_root=EMPTY,
            withdrawal_count=0,
            next_index=FIRST_INDEX,
            queue_cursor=0,
            fees=NO_FEES,
        )

    def encode(self) -> bytes:
        """The ABI encoding: 17 words."""
        return encode([HEADER_TYPE], [astuple(self)])

    @property
    def hash(self) -> bytes:
        """What L1 stores of the batch."""
        return keccak256(self.encode())

    @property
    def words(self) -> StateWords:
        """The state that the header claims."""
        return StateWords(
            self.state_root,
            self.withdrawal_root,
            self.next_index,
            self.queue_cursor,
            self.withdrawal_count,
            self.fees,
        )

    def commitment(self) -> bytes:
        """What the batch's last chunk commits to, whatever its data says: 31 bytes."""
        return self.words.commitment()

    def decode_data(self, data: bytes) -> list[Chunk]:
        """The batch's chunks from its `transactions`, or from its blob.

        The last one's commitment is the header's. Raises DataError for what L1 cannot have accepted with this header.
        """
        chunks = decode_blob(data, self.chunks) if self.is_blob else decode_calldata(data)
        if len(chunks) != self.chunks:
            raise DataError(
                f"the data has {len(chunks)} chunks, the header says {self.chunks}; get the batch's own data"
            )
        return [*chunks[:-1], Chunk(self.commitment(), chunks[-1].operations)]


def queue_chain(entries: Iterable[bytes], previous: bytes = bytes(32)) -> bytes:
    """The queue's hash chain (docs/protocol.md §6.1) after these entries of 112 bytes, which follow on `previous`."""
    return reduce(lambda chain, entry: keccak256(chain + entry), entries, previous)
