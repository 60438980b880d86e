"""Rebuilds the optimistic rollup's whole state from L1 data alone.

May import what the follower may.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from layer2.actors.errors import FollowError
from layer2.actors.optimistic_follower import OptimisticFollower, Position
from layer2.actors.optimistic_store import OptimisticStore
from layer2.chain.blobs import BlobSource
from layer2.chain.optimistic_rollup import OptimisticRollup

ATTEMPTS: Final = 5


@dataclass(frozen=True)
class OptimisticRebuilt:
    """The state after the contract's last batch, and which batches of it are final.

    wrong: batches after the position that are wrong or build on a wrong one; data_bytes: the length of all data.
    """

    position: Position
    confirmed_id: int
    wrong: int
    queued: int
    data_bytes: int


def rebuild_optimistic(
    rollup: OptimisticRollup,
    blobs: BlobSource,
    *,
    max_range: int = 2000,
    progress: Callable[[int, int], None] = lambda block, batch: None,
) -> OptimisticRebuilt:
    """Read everything since the deployment and execute it; nothing but node and blob source is needed, and of these
    only the node is trusted.

    progress: called with the last block read and the last batch, after each page of `max_range` blocks.
    Raises FollowError when a batch is not what its header says it is, or a wrong one was confirmed, DataMissingError
    for a blob that is not to be had, ChainError for trouble with the node.
    """
    with OptimisticStore() as store:
        follower = OptimisticFollower(rollup, store, blobs, max_range=max_range, page_done=progress)
        for _ in range(ATTEMPTS):
            sync = follower.sync()
            if follower.lost is not None:
                raise FollowError(follower.lost)
            if sync.missing is not None:
                raise FollowError(f"batch {sync.missing[0].batch_id} cannot be rebuilt: {sync.missing[1]}")
            tip = rollup.tip()
            last = follower.genesis.hash if follower.tip is None else follower.tip.hash
            # A freeze voids the pending batches, but the contract's tip stays the last of them.
            current = rollup.batch_hash(tip.confirmed_id) if store.is_frozen else tip.batch_hash
            if current != last or tip.confirmed_id != store.confirmed_id():
                continue  # a batch came, fell or was confirmed meanwhile
            rows = store.all_batches()
            live = [row for row in rows if row.void is None]
            return OptimisticRebuilt(
                follower.position,
                tip.confirmed_id,
                len(live) - follower.position.batch_id,
                len(store.queued(0)),
                sum(len(row.data or b"") for row in rows),
            )
    raise FollowError(f"the contract's tip is still another one after {ATTEMPTS} readings: try again")
