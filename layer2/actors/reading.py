"""Reading L1 page by page into a database, for all followers.

May import `layer2.chain` and the database.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from layer2.actors.database import Database, RollupDatabase
from layer2.chain.coder import Event
from layer2.chain.connection import BlockRef, Chain
from layer2.chain.custody import CustodyContract
from layer2.chain.errors import DataMissingError, ReorgError
from layer2.chain.log_reader import LogReader, Reading

READ_ATTEMPTS: Final = 5

_T = TypeVar("_T")


class LogPages:
    """Reads the logs of contracts from the cursor in a database, and stores each page whole, cursor included."""

    def __init__(
        self,
        chain: Chain,
        addresses: str | Sequence[str],
        store: Database,
        first_block: int,
        *,
        confirmations: int = 0,
        max_range: int = 2000,
    ) -> None:
        """first_block: that of the deployment. confirmations, max_range: see `LogReader`."""
        self._chain = chain
        self._store = store
        self._reader = LogReader(chain, addresses, first_block, confirmations=confirmations, max_range=max_range)
        self._times: dict[bytes, int] = {}

    @property
    def cursor(self) -> BlockRef:
        """The last block that was read."""
        known = self._store.blocks()
        return known[0] if known else BlockRef(self._reader.first_block - 1, b"")

    def read_page(self, apply: Callable[[Reading], _T]) -> tuple[Reading, _T]:
        """Read the next page and `apply` it inside of the transaction that stores it.

        Again when the chain changes meanwhile, so `apply` changes nothing but the database.
        Raises ChainError for trouble with the node, and what `apply` raises.
        """
        attempt = 0
        while True:
            attempt += 1
            self._times.clear()
            try:
                reading = self._reader.read(self._store.blocks())
                with self._store.transaction():
                    result = apply(reading)
                    self._store.add_block(reading.cursor)
                return reading, result
            except (ReorgError, DataMissingError):
                if attempt == READ_ATTEMPTS:
                    raise

    def time_of(self, block: BlockRef) -> int:
        """The timestamp of a block of the page, seconds since 1970. Raises ReorgError when the block is gone."""
        if block.hash not in self._times:
            header = self._chain.block(block.number)
            if header is None or header.hash != block.hash:
                raise ReorgError(f"block {block.number} changed while it was read: read again")
            self._times[block.hash] = header.timestamp
        return self._times[block.hash]


class PageReader(LogPages):
    """The same for a rollup, with the entries of its queue."""

    def __init__(
        self,
        rollup: CustodyContract,
        store: RollupDatabase,
        first_block: int,
        *,
        confirmations: int = 0,
        max_range: int = 2000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """As `LogPages`. clock: seconds since 1970."""
        super().__init__(
            rollup.chain, rollup.address, store, first_block, confirmations=confirmations, max_range=max_range
        )
        self._rollup = rollup
        self._queue = store
        self._clock = clock

    def record_queued(self, event: Event) -> None:
        """Store the queue entry of an `OperationQueued` event. Raises ReorgError when its block is gone."""
        entry = self._rollup.queued_operation(event)
        self._queue.add_queued(entry, self.time_of(entry.block), self._clock())
