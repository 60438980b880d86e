"""Follows the optimistic rollup on L1: queue, batches with their data, and whether each batch is right.

Every batch is executed here, from L1 data alone; a state is this node's own, never the word of a sequencer. A batch is
right if each chunk's commitment, and the final state in its header, are what comes out (docs/optimistic.md §4, §5);
what builds on a wrong one is not executed. Used by sequencer, challenger, watch and rebuild.
May import `layer2.optimistic`, `layer2.chain` and the store.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from eth_utils.address import to_checksum_address

from layer2.actors.errors import FollowError
from layer2.actors.optimistic_store import BatchRow, OptimisticStore, Verdict, Wrong
from layer2.actors.reading import PageReader
from layer2.chain.blobs import BlobSource
from layer2.chain.coder import Event
from layer2.chain.connection import BlockRef
from layer2.chain.errors import DataMissingError
from layer2.chain.log_reader import Reading
from layer2.chain.optimistic_rollup import OptimisticRollup
from layer2.optimistic.batches import BatchHeader
from layer2.optimistic.chunks import Chunk, calldata_commitment, decode_calldata
from layer2.optimistic.errors import DataError, StateError
from layer2.optimistic.evidence import Checked, PostedBatch, check_batch
from layer2.optimistic.state import RollupState
from layer2.optimistic.transition import Outcome

HISTORY: Final = 64
"""States kept in memory, so that a usual reorg needs no replay. They share their nodes."""


@dataclass(frozen=True)
class Position:
    """A batch that is right, and this node's own state after it (its fees still in it)."""

    batch_id: int
    header: BatchHeader
    hash: bytes
    state: RollupState


@dataclass(frozen=True)
class Examination:
    """A batch with what its chunks really do, up to the first wrong one."""

    row: BatchRow
    posted: PostedBatch
    checked: Checked

    @property
    def chunks(self) -> list[Chunk]:
        """The batch's chunks."""
        return self.posted.header.decode_data(self.posted.data)


@dataclass(frozen=True)
class OptimisticSync:
    """What a `sync` found.

    batches: what L1 took; voided: what does not count any more; confirmed: what became final. judged: batches whose
    verdict became known. missing: a batch whose blob is not to be had, with the reason.
    """

    queued: int = 0
    batches: tuple[BatchRow, ...] = ()
    voided: tuple[BatchRow, ...] = ()
    confirmed: tuple[BatchRow, ...] = ()
    judged: tuple[BatchRow, ...] = ()
    rewound_to: BlockRef | None = None
    missing: tuple[BatchRow, str] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing happened."""
        return not (self.queued or self.batches or self.voided or self.confirmed or self.judged or self.rewound_to)


class Observer(Protocol):
    """Is told what L1 says, inside of the database transaction that records it."""

    def on_rewind(self) -> None:
        """A reorg was found: all that later blocks said is forgotten."""
        ...

    def on_right(self, row: BatchRow, outcomes: Sequence[Outcome]) -> None:
        """A batch is right; `outcomes` are those of its operations."""
        ...


class _Nobody:
    def on_rewind(self) -> None:
        pass

    def on_right(self, row: BatchRow, outcomes: Sequence[Outcome]) -> None:
        pass


class OptimisticFollower:
    """Judges all that L1 takes. `position` and `tip` may be read from any thread; `sync` belongs to one."""

    def __init__(
        self,
        rollup: OptimisticRollup,
        store: OptimisticStore,
        blobs: BlobSource,
        *,
        confirmations: int = 0,
        max_range: int = 2000,
        snapshot_every: int = 64,
        observer: Observer | None = None,
        clock: Callable[[], float] = time.time,
        page_done: Callable[[int, int], None] = lambda block, batch: None,
    ) -> None:
        """Takes up where the database left off; `store` is bound to the rollup.

        blobs: where blobs are to be had. confirmations, max_range: see `LogReader`. snapshot_every: batches after which
        the state is stored. page_done: called with the last block and batch after each page of logs.
        Raises StoreError for the database of another rollup, ChainError when the node does not answer.
        """
        self.rollup = rollup
        self._store = store
        self._blobs = blobs
        self._observer: Observer = observer or _Nobody()
        self._page_done = page_done
        self._snapshot_every = snapshot_every
        deployment = rollup.deployment
        self._domain = deployment.domain_separator
        self._reader = PageReader(
            rollup, store, deployment.block, confirmations=confirmations, max_range=max_range, clock=clock
        )
        genesis = rollup.genesis()
        store.bind(
            f"optimistic rollup {rollup.address} on chain {deployment.chain_id} with genesis 0x{genesis.hash.hex()}"
        )
        self.genesis = Position(0, genesis, genesis.hash, RollupState.genesis(deployment.levels))
        self.position = self._restore(store.last_right())
        self._history = {self.position.hash: self.position}
        self.tip = store.tip()

    @property
    def cursor(self) -> BlockRef:
        """The last block that was read."""
        return self._reader.cursor

    @property
    def is_tip_right(self) -> bool:
        """Whether the last batch that counts is known to be right: then `position` is that batch's."""
        return self.tip is None or self.tip.hash == self.position.hash

    @property
    def lost(self) -> str | None:
        """Why nobody can follow this rollup any more: a wrong batch is final. None while that is not so."""
        wrong = self._store.first_wrong()
        if wrong is None or not wrong.is_confirmed:
            return None
        assert wrong.wrong is not None
        return (
            f"batch {wrong.batch_id} is wrong from chunk {wrong.wrong.chunk} on and was confirmed: nobody disputed it "
            "in time. Nobody can know the state that it claims; do not use this rollup any more"
        )

    # ---------------------------------------------------------------- reading L1

    def sync(self) -> OptimisticSync:
        """Read L1 up to its head less the confirmations, and judge what can be judged. Each page is stored as a whole.

        Raises ChainError for trouble with the node (what was read so far is kept), FollowError when L1 contradicts
        itself or this program.
        """
        total = _Page({})
        while True:
            reading, page = self._reader.read_page(self._apply)
            self._history = page.history
            self._refresh()
            if reading.rewind_to is not None:
                total.rewind(reading.rewind_to)
            total.add(page)
            missing = self._judge_waiting(total)
            self._page_done(reading.cursor.number, 0 if self.tip is None else self.tip.batch_id)
            if reading.is_complete:
                return OptimisticSync(
                    total.queued,
                    tuple(total.batches),
                    tuple(total.voided),
                    tuple(total.confirmed),
                    tuple(total.judged),
                    total.rewound_to,
                    missing,
                )

    def _refresh(self) -> None:
        last = self._store.last_right()
        key = self.genesis.hash if last is None else last.hash
        if key not in self._history:
            position = self._restore(last)
            self._history[position.hash] = position
        self.position = self._history[key]
        self.tip = self._store.tip()

    def _apply(self, reading: Reading) -> "_Page":
        page = _Page(dict(self._history))
        if reading.rewind_to is not None:
            self._store.rewind(reading.rewind_to.number)
            self._observer.on_rewind()
            page.history = {
                key: position
                for key, position in page.history.items()
                if key == self.genesis.hash or self._store.batch(key) is not None
            }
        for log in reading.logs:
            event = self.rollup.event(log)
            if event is not None:
                self._on_event(event, page)
        return page

    def _on_event(self, event: Event, page: "_Page") -> None:
        block = event.log.block.number
        arguments = event.arguments
        match event.name:
            case "OperationQueued":
                self._reader.record_queued(event)
                page.queued += 1
            case "BatchSubmitted":
                self._on_submitted(event, page)
            case "BatchRejected" if self._store.is_frozen:
                pass  # it is void since the freeze; the contract takes proofs all the same, for the reward
            case "BatchRejected":
                voided = self._store.void_batches(arguments["batchId"], "rejected", block)
                if not voided or voided[0].hash != arguments["batchHash"]:
                    raise FollowError(
                        f"batch {arguments['batchId']} was rejected, but this node does not know it: logs are missing; "
                        "delete the database"
                    )
                if voided[0].verdict is Verdict.RIGHT:
                    raise FollowError(
                        f"batch {arguments['batchId']} is right here, and the contract was shown that it is wrong: "
                        "this program and the contract differ; stop using it"
                    )
                page.voided += voided
            case "BatchConfirmed":
                page.confirmed.append(self._store.confirm(arguments["batchId"], block))
            case "FraudProofSubmitted":
                self._store.add_fraud(
                    arguments["batchHash"],
                    to_checksum_address(arguments["challenger"]),
                    arguments["chunk"],
                    arguments["commitment"][1:],
                    self._reader.time_of(event.log.block),
                    block,
                )
            case "RewardReserved":
                self._store.add_reservation(arguments["reservation"], block)
            case "RewardTaken" | "RewardClaimed":
                self._store.add_reward(
                    arguments["batchHash"],
                    "taken" if event.name == "RewardTaken" else "claimed",
                    to_checksum_address(arguments["challenger"]),
                    block,
                )
            case "Frozen":
                self._store.freeze(block)
                page.voided += self._store.void_batches(self._store.confirmed_id() + 1, "frozen", block)

    def _on_submitted(self, event: Event, page: "_Page") -> None:
        batch = self.rollup.submitted_batch(event)
        tip = self._store.tip()
        number, hash_ = (0, self.genesis.hash) if tip is None else (tip.batch_id, tip.hash)
        if batch.batch_id != number + 1 or batch.header.parent_hash != hash_:
            raise FollowError(
                f"batch {batch.batch_id} follows 0x{batch.header.parent_hash.hex()}, this node is at batch {number}, "
                f"0x{hash_.hex()}: logs are missing; delete the database"
            )
        page.batches.append(self._store.add_batch(batch, None if batch.header.is_blob else batch.calldata))

    # ---------------------------------------------------------------- judging

    def _judge_waiting(self, total: "_Page") -> tuple[BatchRow, str] | None:
        """Judge the batches that were read, each in a transaction of its own; stop at one whose blob is missing."""
        while (row := self._store.first_unjudged()) is not None:
            data = row.data
            parent = self._store.batch(row.header.parent_hash)
            is_founded = parent is None or parent.verdict is Verdict.RIGHT
            if data is None and is_founded:
                try:
                    data = self._blobs.fetch(row.transaction, row.block, row.header.data_commitment)
                except DataMissingError as error:
                    return row, str(error)
            page = _Page(dict(self._history))
            with self._store.transaction():
                if is_founded:
                    assert data is not None
                    if row.data is None:
                        self._store.set_data(row.sequence, data)
                    self._judge(row, data, page)
                else:
                    self._store.set_verdict(row.sequence, Verdict.UNFOUNDED)
            self._history = page.history
            self._refresh()
            judged = self._store.batch(row.hash)
            assert judged is not None
            total.judged.append(judged)
        return None

    def _judge(self, row: BatchRow, data: bytes, page: "_Page") -> None:
        before = self._position_before(row, page.history)
        batch = self._posted(row, data)
        checked = self._check(before, batch)
        if checked.wrong_chunk is not None:
            claimed = batch.header.decode_data(data)[checked.wrong_chunk].commitment
            wrong = Wrong(checked.wrong_chunk, claimed, checked.after.commitment())
            self._store.set_verdict(row.sequence, Verdict.WRONG, wrong)
            return
        self._store.set_verdict(row.sequence, Verdict.RIGHT)
        page.history[row.hash] = Position(row.batch_id, row.header, row.hash, checked.after)
        for key in list(page.history)[:-HISTORY]:
            del page.history[key]
        self._observer.on_right(row, [outcome for chunk in checked.outcomes for outcome in chunk])
        if row.batch_id % self._snapshot_every == 0:
            self._store.save_snapshot(row.batch_id, row.hash, checked.after.dump())

    def _posted(self, row: BatchRow, data: bytes) -> PostedBatch:
        """A batch with all that its outcome depends on."""
        header, parent = row.header, self._header_before(row)
        count = header.queue_cursor - parent.queue_cursor
        entries = self._store.queued(parent.queue_cursor, count)
        if len(entries) != count:
            raise FollowError(
                f"batch {row.batch_id} consumes queue entries {parent.queue_cursor} to {header.queue_cursor}, of which "
                f"only {len(entries)} were read: logs are missing; delete the database"
            )
        queue = [entry.entry.operation.to_slot() for entry in entries]
        return PostedBatch(row.batch_id, header, parent, data, queue, self._domain)

    def _check(self, before: Position, batch: PostedBatch) -> Checked:
        try:
            if not batch.header.is_blob and (
                calldata_commitment(decode_calldata(batch.data)) != batch.header.data_commitment
            ):
                raise DataError("it is not what the header commits to")
            return check_batch(before.state, batch)
        except DataError as error:
            raise FollowError(f"the data of batch {batch.batch_id} cannot be: {error}; check the node") from error

    def _header_before(self, row: BatchRow) -> BatchHeader:
        parent = self._store.batch(row.header.parent_hash)
        return self.genesis.header if parent is None else parent.header

    def _position_before(self, row: BatchRow, history: dict[bytes, Position]) -> Position:
        key = row.header.parent_hash
        if key == self.genesis.hash:
            return self.genesis
        if key not in history:
            parent = self._store.batch(key)
            assert parent is not None
            history[key] = self._restore(parent)
        return history[key]

    def _restore(self, row: BatchRow | None) -> Position:
        """The position after a right batch, from the latest snapshot on the way to it.

        The way is that of parent hashes: ids are used again after a rollback, and the batches before one that a freeze
        made void, with a wrong one still to be disputed, need not count any more.
        """
        path: list[BatchRow] = []
        position: Position | None = None
        while row is not None and (position := self._stored_position(row)) is None:
            path.append(row)
            row = self._store.batch(row.header.parent_hash)
        position = position or self.genesis
        for batch in reversed(path):
            position = self._replay(position, batch)
        return position

    def _stored_position(self, row: BatchRow) -> Position | None:
        """The position after a batch of which there is a snapshot."""
        dump = self._store.state_after(row.hash)
        if dump is None:
            return None
        try:
            return Position(row.batch_id, row.header, row.hash, RollupState.load(dump))
        except StateError as error:
            raise FollowError(
                f"the snapshot of batch {row.batch_id} cannot be used ({error}): delete the database"
            ) from error

    def _replay(self, position: Position, row: BatchRow) -> Position:
        assert row.data is not None
        checked = self._check(position, self._posted(row, row.data))
        if checked.wrong_chunk is not None:
            raise FollowError(
                f"batch {row.batch_id} comes out differently when executed again: the database is damaged or of "
                "another program; delete it"
            )
        return Position(row.batch_id, row.header, row.hash, checked.after)

    # ---------------------------------------------------------------- looking closely

    def examine(self, row: BatchRow) -> Examination:
        """Execute a batch once more, whose parent is right and whose data is known."""
        assert row.data is not None
        batch = self._posted(row, row.data)
        return Examination(row, batch, self._check(self._position_before(row, dict(self._history)), batch))


class _Page:
    """Collects what a page of logs brings. `history` becomes the follower's when the page is stored."""

    def __init__(self, history: dict[bytes, Position]) -> None:
        self.history = history
        self.queued = 0
        self.batches: list[BatchRow] = []
        self.voided: list[BatchRow] = []
        self.confirmed: list[BatchRow] = []
        self.judged: list[BatchRow] = []
        self.rewound_to: BlockRef | None = None

    def rewind(self, block: BlockRef) -> None:
        """What later blocks said is void."""
        if self.rewound_to is None or block.number < self.rewound_to.number:
            self.rewound_to = block
        for rows in (self.batches, self.voided, self.confirmed, self.judged):
            rows[:] = [row for row in rows if row.block.number <= block.number]

    def add(self, page: "_Page") -> None:
        """Add what another page brought."""
        self.queued += page.queued
        self.batches += page.batches
        self.voided += page.voided
        self.confirmed += page.confirmed
        self.judged += page.judged
