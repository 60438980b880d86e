"""The dearest chunks there can be: sixteen operations of one kind in a tree in which hardly a sibling is 0.

Calldata costs most of a fraud proof, and a byte that is not 0 four times as much as one that is. So accounts have wide
numbers, somebody's leaves lie beside every path, and each operation uses records of its own.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from layer2.crypto.eip712 import address_of
from layer2.optimistic.constants import CHUNK_BYTES, CHUNK_OPERATIONS, DEFAULT_LEVELS, WITHDRAWAL_LEVELS
from layer2.optimistic.operations import (
    AddLiquidity,
    CreatePool,
    MintNFT,
    Operation,
    PurchaseNFT,
    QueueEntry,
    RemoveLiquidity,
    Swap,
    Transfer,
    TransferNFT,
    TransferToNew,
    Withdraw,
)
from layer2.optimistic.records import NFT, Account, Pool, Position, Record, leaf
from layer2.optimistic.signing import sign_operation, sign_sale
from layer2.optimistic.state import NO_FEES, RollupState
from layer2.optimistic.transition import Context, execute_chunk
from layer2.optimistic.tree import Tree
from tests.unit.optimistic.world import deposit, forced

NOW = 1_700_000_000
EXPIRY = 0x7FFFFFFF
FEE = 5 * 10**9
LARGE = 10**25 + 123_456_789
NONCE = 0x01010101
SMALL = 12_345_678_900

CAPACITY = 1 << DEFAULT_LEVELS
NEXT_INDEX = CAPACITY - 100
WITHDRAWALS = (1 << 32) - 64
"""How many were made: the most ones in binary, so the most siblings that are not 0."""

TOKEN_A, TOKEN_B = 0x1001, 0x1002


@dataclass(frozen=True)
class Chunk:
    """operations, count: the bytes, and how many operations they are. queue: the entries for them."""

    state: RollupState
    operations: bytes
    count: int
    queue: tuple[bytes, ...]


class Crowd:
    """Makes states and chunks, all from one seed. The records are of the owner of `key`, who signs for `domain`."""

    def __init__(self, domain: bytes, key: bytes) -> None:
        self._domain = domain
        self._key = key
        self._owner = address_of(key)
        self._source = random.Random(1)

    def chunk(self, kind: str) -> Chunk:
        """Sixteen operations of a kind, one of `KINDS`, or as many as a chunk has bytes for."""
        owner = self._owner
        a = self._records(Account(owner, TOKEN_A, NONCE, LARGE))
        b = self._records(Account(owner, TOKEN_B, NONCE, LARGE))
        other = self._records(Account(owner, TOKEN_A, NONCE, LARGE))
        pools = self._records(Pool(TOKEN_A, TOKEN_B, LARGE * 1000, LARGE * 3000, LARGE * 900))
        positions = {index: Position(owner, pool, LARGE) for index, pool in zip(self._indices(), pools, strict=True)}
        nfts = {index: NFT(owner, owner, NONCE, self._source.randbytes(32)) for index in self._indices()}
        tail = (FEE, EXPIRY)
        a_, b_, other_, pools_, positions_, nfts_ = map(list, (a, b, other, pools, positions, nfts))
        makers: dict[str, Callable[[int], Operation]] = {
            "transfer": lambda i: Transfer(a_[i], other_[i], SMALL, *tail),
            "transfer to new": lambda i: TransferToNew(a_[i], owner, SMALL, *tail),
            "withdrawal": lambda i: Withdraw(a_[i], SMALL + 1, *tail),
            "swap": lambda i: Swap(a_[i], b_[i], pools_[i], SMALL, 1, *tail),
            "create pool": lambda i: CreatePool(a_[i], b_[i], SMALL, 3 * SMALL, *tail),
            "add liquidity": lambda i: AddLiquidity(
                a_[i], b_[i], pools_[i], positions_[i], SMALL, SMALL, 9 * SMALL, *tail
            ),
            "add liquidity, new": lambda i: AddLiquidity(a_[i], b_[i], pools_[i], 0, SMALL, SMALL, 9 * SMALL, *tail),
            "remove liquidity": lambda i: RemoveLiquidity(positions_[i], a_[i], b_[i], LARGE // 7, 1, 1, *tail),
            "mint NFT": lambda i: MintNFT(a_[i], self._source.randbytes(32), *tail),
            "transfer NFT": lambda i: TransferNFT(nfts_[i], owner - 1, a_[i], *tail),
            "purchase NFT": lambda i: PurchaseNFT(nfts_[i], a_[i], other_[i], SMALL, *tail),
        }
        entries: dict[str, Callable[[int], bytes]] = {
            "deposit to new": lambda i: deposit(owner, TOKEN_A, LARGE),
            "deposit": lambda i: deposit(owner, TOKEN_A, LARGE, a_[i]),
            "deposit to a wrong account": lambda i: deposit(owner, TOKEN_A, LARGE, b_[i]),
            "deposit into a full tree": lambda i: deposit(owner, TOKEN_A, LARGE, b_[i]),
            "exit": lambda i: forced(owner, a_[i]),
            "exit of a position": lambda i: forced(owner, positions_[i]),
        }
        assert (*makers, *entries) == KINDS
        next_index = CAPACITY if kind == "deposit into a full tree" else NEXT_INDEX
        state = self._state({**a, **b, **other, **pools, **positions, **nfts}, next_index)
        if kind in makers:
            return self._signed(state, makers[kind])
        queue = tuple(entries[kind](i) for i in range(CHUNK_OPERATIONS))
        return Chunk(state, QueueEntry().encode() * CHUNK_OPERATIONS, CHUNK_OPERATIONS, queue)

    def _signed(self, state: RollupState, make: Callable[[int], Operation]) -> Chunk:
        context = Context(self._domain, NOW, 0)
        chunk, count, after = b"", 0, state
        while count < CHUNK_OPERATIONS:
            operation = sign_operation(make(count), after.record, self._domain, self._key)
            if isinstance(operation, PurchaseNFT):
                operation = sign_sale(operation, after.record, self._domain, self._key)
            data = operation.encode()
            if len(chunk) + len(data) > CHUNK_BYTES:
                break
            after, (outcome,) = execute_chunk(after, context, data, ())
            assert outcome.is_valid, outcome
            chunk, count = chunk + data, count + 1
        return Chunk(state, chunk, count, ())

    def _indices(self) -> list[int]:
        return [self._source.randrange(CAPACITY // 2, NEXT_INDEX) for _ in range(CHUNK_OPERATIONS)]

    def _records(self, record: Record) -> dict[int, Record]:
        return dict.fromkeys(self._indices(), record)

    def _state(self, records: dict[int, Record], next_index: int) -> RollupState:
        new = range(next_index, min(next_index + 2 * CHUNK_OPERATIONS, CAPACITY))
        leaves = self._beside((*records, *new), DEFAULT_LEVELS, next_index)
        leaves.update({index: (leaf(record), record) for index, record in records.items()})
        paid = self._beside(range(WITHDRAWALS, WITHDRAWALS + 2 * CHUNK_OPERATIONS), WITHDRAWAL_LEVELS, WITHDRAWALS)
        return RollupState(
            Tree(DEFAULT_LEVELS).set(leaves),
            Tree(WITHDRAWAL_LEVELS).set(paid),
            next_index,
            0,
            WITHDRAWALS,
            NO_FEES,
        )

    def _beside(self, indices: Iterable[int], levels: int, end: int) -> dict[int, tuple[bytes, None]]:
        """Somebody's leaf in each sibling of the paths to these indices, as far as it is below `end`."""
        beside = {index ^ 1 << level for index in indices for level in range(levels)}
        return {index: (self._source.randbytes(32), None) for index in sorted(beside) if index < end}


KINDS = (
    "transfer",
    "transfer to new",
    "withdrawal",
    "swap",
    "create pool",
    "add liquidity",
    "add liquidity, new",
    "remove liquidity",
    "mint NFT",
    "transfer NFT",
    "purchase NFT",
    "deposit to new",
    "deposit",
    "deposit to a wrong account",
    "deposit into a full tree",
    "exit",
    "exit of a position",
)
