"""An owner's withdrawals from the optimistic rollup, with their proofs, from L1 data alone: no operator is asked.

May import what the followers may.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from layer2.actors.errors import FollowError
from layer2.actors.optimistic_follower import OptimisticFollower
from layer2.actors.optimistic_store import OptimisticStore
from layer2.chain.blobs import blob_source
from layer2.chain.optimistic_rollup import OptimisticRollup
from layer2.optimistic.batches import BatchHeader
from layer2.optimistic.state import RollupState


@dataclass(frozen=True)
class OwnWithdrawal:
    """A withdrawal in a right batch: its global id, token, and amount in smallest units.

    batch_id: the batch that made it. final_at: from when on that one can be confirmed, seconds since 1970. call: input
    of the call that credits it; None until the batch is confirmed. is_claimed: it was credited.
    """

    index: int
    token: int
    amount: int
    batch_id: int
    final_at: int
    call: bytes | None
    is_claimed: bool


@dataclass(frozen=True)
class Withdrawals:
    """All withdrawals of an owner, in order.

    due: numbers of the right batches that can be confirmed now and are not, in order, each with the input of the call.
    """

    items: tuple[OwnWithdrawal, ...]
    due: tuple[tuple[int, bytes], ...]


ReadWithdrawals = Callable[[int], Withdrawals]
"""Reads what is new on L1, and tells an owner's withdrawals. Raises FollowError when they cannot be known."""


@contextmanager
def open_withdrawals(
    rollup: OptimisticRollup,
    database: Path | None = None,
    beacon: str | None = None,
    progress: Callable[[int, int], None] = lambda block, batch: None,
) -> Iterator[ReadWithdrawals]:
    """The reader for a rollup. database: of a node, or of an earlier reading, to go on from; it is made if there is
    none. Without one all is read from L1. beacon: see `blob_source`. progress: see `OptimisticFollower`."""
    with OptimisticStore(":memory:" if database is None else database) as store:
        follower = OptimisticFollower(rollup, store, blob_source(rollup.chain, beacon), page_done=progress)
        yield lambda owner: _read(rollup, store, follower, owner)


def _read(rollup: OptimisticRollup, store: OptimisticStore, follower: OptimisticFollower, owner: int) -> Withdrawals:
    sync = follower.sync()
    if follower.lost is not None:
        raise FollowError(follower.lost)
    number, position = store.confirmed_id(), follower.position
    if position.batch_id < number:
        reason = "its data are missing" if sync.missing is None else sync.missing[1]
        raise FollowError(
            f"the state after batch {number}, the last final one, is not known: {reason}. Give the database of a node "
            "that has followed the rollup with --database"
        )
    # Rows have all of a batch's data: no more than one is looked at at a time.
    confirmed = _header(store, follower, number)
    # Withdrawals are only ever appended, so the later state has all leaves of the earlier tree.
    paid = [position.state.withdrawal(index) for index in range(confirmed.withdrawal_count)]
    final = RollupState.of(rollup.deployment.levels, (), paid)
    if final.withdrawal_root != confirmed.withdrawal_root:
        raise FollowError(f"batch {number} has another withdrawal root than its withdrawals: delete the database")
    period = rollup.deployment.challenge_period
    items = []
    for index in range(position.state.withdrawal_count):
        withdrawal = position.state.withdrawal(index)
        if withdrawal.owner != owner:
            continue
        batch_id = bisect_right(
            range(position.batch_id), index, key=lambda one: _header(store, follower, one).withdrawal_count
        )
        is_final = index < confirmed.withdrawal_count
        items.append(
            OwnWithdrawal(
                index,
                withdrawal.token,
                withdrawal.amount,
                batch_id,
                _header(store, follower, batch_id).timestamp + period + 1,
                rollup.claim_withdrawal_call(number, confirmed, final, index) if is_final else None,
                is_final and bool(rollup.view("isWithdrawalClaimed", index)),
            )
        )
    now = rollup.chain.head().timestamp
    due = []
    for batch_id in range(number + 1, position.batch_id + 1):
        header = _header(store, follower, batch_id)
        if now <= header.timestamp + period:
            break
        due.append((batch_id, rollup.confirm_call(batch_id, header)))
    return Withdrawals(tuple(items), tuple(due))


def _header(store: OptimisticStore, follower: OptimisticFollower, batch_id: int) -> BatchHeader:
    """Of a batch that counts, up to the follower's position."""
    row = store.live(batch_id)
    assert row is not None or batch_id == 0
    return follower.genesis.header if row is None else row.header
