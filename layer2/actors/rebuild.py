"""Rebuilds the whole state from L1 data alone (docs/protocol.md §8).

May import what the follower may.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from layer2.actors.errors import FollowError
from layer2.actors.follower import Follower
from layer2.actors.store import Store
from layer2.chain.rollup import Rollup
from layer2.ledger.state import State

ATTEMPTS: Final = 5


@dataclass(frozen=True)
class Rebuilt:
    """The state after the contract's last batch; `data_bytes` is the length of all batches' data."""

    state: State
    batch_id: int
    queued: int
    data_bytes: int


def rebuild(
    rollup: Rollup, *, max_range: int = 2000, progress: Callable[[int, int], None] = lambda block, batch: None
) -> Rebuilt:
    """Read everything since the deployment and execute it; nothing but the node is trusted or needed.

    progress: called with the last block read and the last batch applied, after each page of `max_range` blocks.
    Raises FollowError when the result is not the contract's root, ChainError for trouble with the node.
    """
    with Store() as store:
        follower = Follower(rollup, store, max_range=max_range, page_done=progress)
        for _ in range(ATTEMPTS):
            follower.sync()
            tip = rollup.tip()
            position = follower.position
            if tip.batch_hash != position.batch_hash:
                continue  # a batch came meanwhile
            if tip.state_root != position.state.root:
                raise FollowError(
                    f"rebuilt root {position.state.root:#066x} after batch {position.batch_id}, the contract has "
                    f"{tip.state_root:#066x}: this program and the rollup differ"
                )
            batches = store.batches()
            return Rebuilt(
                position.state, position.batch_id, len(store.queued(0)), sum(len(batch.data) for batch in batches)
            )
    raise FollowError(f"the contract's tip is still not batch {position.batch_id} after {ATTEMPTS} readings: try again")
