"""Follows L1: keeps queue, batches and the account state equal to what the contract has accepted (docs/protocol.md §8).

Everything is derived from logs and the inputs of batch transactions. Used by the relayer and by the rebuild.
May import `layer2.ledger`, `layer2.zk`, `layer2.chain` and the store.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from layer2.actors.errors import FollowError
from layer2.actors.reading import PageReader
from layer2.actors.store import Store
from layer2.chain.coder import Event
from layer2.chain.connection import BlockRef
from layer2.chain.custody import PayoutCredit
from layer2.chain.log_reader import Reading
from layer2.chain.rollup import PostedBatch, Rollup
from layer2.ledger.constants import Kind
from layer2.ledger.errors import LedgerError
from layer2.ledger.state import State
from layer2.ledger.transition import Step
from layer2.zk.batch import BatchFormatError, Circuits, decode_batch, replay_batch
from layer2.zk.params import CircuitParams

HISTORY: Final = 64
"""States kept in memory, so that a usual reorg needs no replay. They share their nodes."""


@dataclass(frozen=True)
class Position:
    """What L1 has accepted up to a batch; `timestamp` is the batch's."""

    batch_id: int
    batch_hash: bytes
    timestamp: int
    queue_cursor: int
    state: State


@dataclass(frozen=True)
class SyncReport:
    """What a `sync` found."""

    queued: int
    batches: tuple[PostedBatch, ...]
    rewound_to: BlockRef | None


class Observer(Protocol):
    """Is told what L1 says, inside of the database transaction that records it."""

    def on_batch(self, batch: PostedBatch, steps: Sequence[Step]) -> None:
        """A batch was accepted; `steps` are its operations with their outcomes."""
        ...

    def on_credit(self, credit: PayoutCredit) -> None:
        """A payout became claimable."""
        ...


def circuits_of(rollup: Rollup) -> Circuits:
    """The circuits whose proofs the rollup takes."""
    d = rollup.deployment
    return Circuits(
        CircuitParams("transfers", d.levels, d.transfers, d.fee_tokens),
        CircuitParams("operations", d.levels, d.operations, d.fee_tokens),
    )


class Follower:
    """Holds the state that L1 has accepted. `position` may be read from any thread; `sync` belongs to one."""

    def __init__(
        self,
        rollup: Rollup,
        store: Store,
        *,
        confirmations: int = 0,
        max_range: int = 2000,
        snapshot_every: int = 64,
        observer: Observer | None = None,
        clock: Callable[[], float] = time.time,
        page_done: Callable[[int, int], None] = lambda block, batch: None,
    ) -> None:
        """Takes up where the database left off; `store` is bound to the rollup.

        confirmations, max_range: see `LogReader`. snapshot_every: batches after which the state is stored.
        page_done: called with the last block and batch after each page of logs.
        Raises StoreError for the database of another rollup, ChainError when the node does not answer.
        """
        self.rollup = rollup
        self.circuits = circuits_of(rollup)
        self._store = store
        self._observer = observer
        self._page_done = page_done
        self._snapshot_every = snapshot_every
        deployment = rollup.deployment
        self._reader = PageReader(
            rollup, store, deployment.block, confirmations=confirmations, max_range=max_range, clock=clock
        )
        genesis_hash: bytes = rollup.view("batchHashes", 0)
        store.bind(f"rollup {rollup.address} on chain {deployment.chain_id} with genesis 0x{genesis_hash.hex()}")
        self._genesis = Position(0, genesis_hash, 0, 0, State.genesis(deployment.levels))
        self.position = self._restore(store.last_batch_id())
        self._history = {self.position.batch_id: self.position}

    @property
    def cursor(self) -> BlockRef:
        """The last block that was read."""
        return self._reader.cursor

    def sync(self) -> SyncReport:
        """Read L1 up to its head less the confirmations. Each page is stored as a whole, cursor included.

        Raises ChainError for trouble with the node (what was read so far is kept), FollowError when L1 contradicts §4.
        """
        queued = 0
        batches: list[PostedBatch] = []
        rewound: BlockRef | None = None
        while True:
            reading, (history, entries, found) = self._reader.read_page(self._apply)
            self._history = history
            self.position = history[max(history)]
            queued += entries
            if reading.rewind_to is not None and (rewound is None or reading.rewind_to.number < rewound.number):
                rewound = reading.rewind_to
                batches = [batch for batch in batches if batch.block.number <= rewound.number]
            batches += found
            self._page_done(reading.cursor.number, self.position.batch_id)
            if reading.is_complete:
                return SyncReport(queued, tuple(batches), rewound)

    def _apply(self, reading: Reading) -> tuple[dict[int, Position], int, list[PostedBatch]]:
        history = dict(self._history)
        if reading.rewind_to is not None:
            self._store.rewind(reading.rewind_to.number)
            last = self._store.last_batch_id()
            history = {number: position for number, position in history.items() if number <= last}
            if last not in history:
                history[last] = self._restore(last)
        queued = 0
        found: list[PostedBatch] = []
        submitted: Event | None = None
        for log in reading.logs:
            event = self.rollup.event(log)
            if event is None:
                continue
            if event.name == "OperationQueued":
                self._reader.record_queued(event)
                queued += 1
            elif event.name == "BatchSubmitted":
                submitted = event
            elif event.name == "PayoutCredited" and self._observer is not None:
                self._observer.on_credit(self.rollup.payout_credit(event))
            elif event.name == "BatchVerified":
                if submitted is None:
                    raise FollowError(
                        f"batch {event.arguments['batchId']} was verified but never submitted: check the node"
                    )
                batch = self.rollup.posted_batch(submitted, event)
                submitted = None
                position = history[max(history)]
                after, steps = self._advance(position, batch)
                history[after.batch_id] = after
                self._store.add_batch(batch)
                if self._observer is not None:
                    self._observer.on_batch(batch, steps)
                if after.batch_id % self._snapshot_every == 0:
                    self._store.save_snapshot(after.batch_id, after.batch_hash, after.state.dump())
                found.append(batch)
        for number in sorted(history)[:-HISTORY]:
            del history[number]
        return history, queued, found

    def _restore(self, batch_id: int) -> Position:
        """The position after a stored batch, from the latest snapshot before it."""
        position = self._genesis
        snapshot = self._store.snapshot(batch_id)
        if snapshot is not None:
            number, hash_, dump = snapshot
            batch = self._store.batch(number)
            if batch is None or batch.batch_hash != hash_:
                raise FollowError(f"the snapshot of batch {number} belongs to no stored batch: delete the database")
            position = Position(number, hash_, batch.timestamp, batch.queue_cursor, State.load(dump))
        for batch in self._store.batches(position.batch_id):
            if batch.batch_id > batch_id:
                break
            position, _ = self._advance(position, batch)
        return position

    def _advance(self, position: Position, batch: PostedBatch) -> tuple[Position, tuple[Step, ...]]:
        """The position after a batch, checked against all that L1 says about it."""
        if batch.parent_hash != position.batch_hash or batch.batch_id != position.batch_id + 1:
            raise FollowError(
                f"batch {batch.batch_id} follows 0x{batch.parent_hash.hex()}, this node is at batch "
                f"{position.batch_id}, 0x{position.batch_hash.hex()}: logs are missing; delete the database"
            )
        try:
            posted = decode_batch(batch.data, self.circuits)
            replayed = replay_batch(position.state, posted)
        except (BatchFormatError, LedgerError) as error:
            raise FollowError(f"batch {batch.batch_id} of L1 cannot be applied: {error}") from error
        cursor = self._check_queue(position.queue_cursor, batch, replayed.steps)
        state = replayed.state
        for what, ours, theirs in (
            ("state root", state.root, batch.state_root),
            ("nextIndex", state.next_index, batch.next_index),
            ("queueCursor", cursor, batch.queue_cursor),
            ("timestamp", posted.timestamp, batch.timestamp),
        ):
            if ours != theirs:
                raise FollowError(f"batch {batch.batch_id} ends with {what} {ours:#x} here and {theirs:#x} on L1")
        after = Position(batch.batch_id, batch.batch_hash, batch.timestamp, cursor, state)
        return after, replayed.steps

    def _check_queue(self, cursor: int, batch: PostedBatch, steps: Sequence[Step]) -> int:
        """The queue cursor after the steps, whose queue operations must be the entries read from L1."""
        consumed = [step.operation for step in steps if step.operation.kind in (Kind.DEPOSIT, Kind.FORCED_WITHDRAWAL)]
        entries = self._store.queued(cursor, len(consumed))
        if [row.entry.operation for row in entries] != [operation.without_outcomes() for operation in consumed]:
            raise FollowError(
                f"batch {batch.batch_id} consumes other queue entries from position {cursor} on than were read: "
                "logs are missing; delete the database and start again"
            )
        return cursor + len(consumed)
