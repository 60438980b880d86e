"""Reads contracts' logs from a stored cursor and notices reorgs by block hashes.

`eth_getLogs` is polled: subscriptions and filters lose events when the connection breaks.
May import `layer2.chain` only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from layer2.chain.connection import BlockRef, Chain, Log
from layer2.chain.errors import ReorgError


@dataclass(frozen=True)
class Reading:
    """What one `read` found.

    rewind_to: None, or the last block that is both known and still in the chain: everything read from later blocks
    is void (a block before the first when nothing is left). logs: those of the blocks after it (or after
    the cursor) up to and with `cursor`, in order. is_complete: no further block can be read now.
    """

    rewind_to: BlockRef | None
    logs: tuple[Log, ...]
    cursor: BlockRef
    is_complete: bool


class LogReader:
    """Polls the logs of one contract or several. Holds no position itself: the caller stores it and gives it back."""

    def __init__(
        self,
        chain: Chain,
        address: str | Sequence[str],
        first_block: int,
        *,
        confirmations: int = 0,
        max_range: int = 2000,
    ) -> None:
        """
        first_block: block of the (first) contract's deployment. confirmations: how many blocks must lie above a block
        before it is read; 0 follows the head. max_range: most blocks in one request.
        Raises ValueError for a negative number or an empty range.
        """
        if first_block < 0 or confirmations < 0 or max_range < 1:
            raise ValueError(
                f"first block {first_block}, confirmations {confirmations} and range {max_range}: "
                "give numbers from 0 on, and at least 1 block a request"
            )
        self.chain = chain
        self.address = address
        self.first_block = first_block
        self.confirmations = confirmations
        self.max_range = max_range

    def read(self, known: Sequence[BlockRef]) -> Reading:
        """The next logs after the blocks that were read before.

        `known` are cursors of earlier readings (as many as are kept), latest first; empty at the very first time.
        Raises ReorgError when the chain changes during the reading: nothing was returned, so call again.
        """
        head = self.chain.head()
        common = self._last_common(known)
        rewind = common if known and common != known[0] else None
        last = head.number - self.confirmations
        first = common.number + 1
        if last < first:
            return Reading(rewind, (), common, True)
        end = min(last, common.number + self.max_range)
        before = self.chain.block(end)
        if before is None:
            raise ReorgError(f"block {end} is gone while it is read: read again")
        logs = self.chain.logs(self.address, first, end)
        # A block's hash commits to all blocks before it. If the end is the same afterwards, and is built on what is
        # known, then the logs are those of one chain.
        if self.chain.block(end) != before or (known and not self._is_current(common)):
            raise ReorgError(f"the chain changed between blocks {first} and {end} while they were read: read again")
        return Reading(rewind, tuple(logs), before.ref, end == last)

    def _last_common(self, known: Sequence[BlockRef]) -> BlockRef:
        for block in known:
            if self._is_current(block):
                return block
        return BlockRef(self.first_block - 1, b"")

    def _is_current(self, block: BlockRef) -> bool:
        if block.number < self.first_block:
            return True
        current = self.chain.block(block.number)
        return current is not None and current.hash == block.hash
