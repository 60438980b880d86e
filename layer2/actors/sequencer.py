"""The sequencer: executes signed operations at once, posts batches of them, confirms batches, and disputes wrong ones.

`submit` answers in real time: an operation is executed on the state that this sequencer is going to post, and stored
before it counts as accepted. `step()` is synchronous and does what can be done now: it follows L1, settles what was
sent, and brings the oldest batch in the making on its way. Each move is stored before the next begins, so a sequencer
that was killed anywhere takes up where it was. May import everything but HTTP, wallet and scripts.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from layer2.actors.batch_processor import BatchProcessor
from layer2.actors.challenger import PURPOSES, Disputer, DisputeReport
from layer2.actors.database import QueueRow
from layer2.actors.draft import Draft, DraftFullError
from layer2.actors.errors import FollowError, RefusedError, SequencerError
from layer2.actors.fees import FeeConfig
from layer2.actors.optimistic_follower import OptimisticFollower, OptimisticSync, Position
from layer2.actors.optimistic_store import BatchRow, OptimisticStore, PoolRow, Proposal, Verdict, operation_id
from layer2.actors.outbox import Fate, Outbox, Outcome
from layer2.actors.stepping import run_until_idle
from layer2.chain.blobs import BlobSource
from layer2.chain.errors import InsufficientFundsError
from layer2.chain.optimistic_rollup import OptimisticRollup
from layer2.chain.sending import build
from layer2.chain.signer import Signer
from layer2.crypto.keccak import keccak256
from layer2.optimistic.batches import Claim
from layer2.optimistic.blobs import blob_hash
from layer2.optimistic.chunks import calldata_commitment, encode_blob, encode_calldata, execute_batch
from layer2.optimistic.constants import CHUNK_OPERATIONS, FEE_WORDS, FIRST_INDEX, MAX_CHUNKS
from layer2.optimistic.operations import (
    AddLiquidity,
    CreatePool,
    Nothing,
    QueueEntry,
    RemoveLiquidity,
    SignedOperation,
    read_canonical,
)
from layer2.optimistic.records import Account, Record
from layer2.optimistic.records import Position as Shares
from layer2.optimistic.state import RollupState
from layer2.optimistic.transition import Context, Failure
from layer2.optimistic.transition import Outcome as Execution

BATCH: Final = "batch"
CONFIRM: Final = "confirm"
BOND: Final = "bond"
EXIT: Final = "exit"
WITHDRAW_BOND: Final = "withdraw bond"

MAX_OPERATIONS: Final = MAX_CHUNKS * CHUNK_OPERATIONS
"""Most operations in a batch; large ones may fill it earlier."""

AGE_MARGIN: Final = 10
"""Part of `maxBatchAge` (one in …) that is left for the transaction to be mined; older batches are made anew."""

URGENT_SHARE: Final = 2
"""A queue entry that has waited one in … of the inclusion deadline goes into a batch at once."""

RETRIES: Final = 256
"""Most operations that a step executes again because they were not valid before and may be now."""

# The contract refuses a batch for these reasons when L1 has changed since it was made.
_MAKE_ANEW: Final = frozenset(
    {"StaleParent", "QueueNeglected", "QueueCursorOutOfRange", "QueueMismatch", "TimestampOutOfRange"}
)
# And for these as long as nobody does something about the bond, or for ever.
_NOT_ALLOWED: Final = frozenset({"InsufficientBond", "SequencerLeaving", "RollupFrozen", "OperatorHasPriority"})

# The fields of operations that are indices of records (`to` is an address in one of them).
_INDICES: Final = ("account", "account_a", "account_b", "seller_account", "to", "pool", "position", "nft")


@dataclass(frozen=True)
class SequencerConfig(FeeConfig):
    """How a sequencer works; times in seconds.

    data: where batches put their data. max_batch_size: operations a batch, at most 1024. batch_timeout: how long an
    operation waits for a batch to fill up. confirmations: blocks above one before it counts. max_pending: operations
    that may wait; those that a rollback or reorg made impossible make room for others, and are dropped after
    `pending_timeout` anyway. expiry_margin: how long an operation must still be valid. dispute: prove wrong batches
    wrong. reserve: reserve the reward first, when there is time. resend_after: see `Outbox`. Fees: see `FeeConfig`.
    """

    data: Literal["blob", "calldata"] = "blob"
    max_batch_size: int = 1000
    batch_timeout: float = 30
    confirmations: int = 0
    max_pending: int = 10_000
    pending_timeout: float = 3600
    expiry_margin: float = 120
    dispute: bool = True
    reserve: bool = True
    resend_after: float = 60

    def __post_init__(self) -> None:
        if not 1 <= self.max_batch_size <= MAX_OPERATIONS:
            raise SequencerError(
                f"max_batch_size is {self.max_batch_size}: a batch has 1 to {MAX_OPERATIONS} operations"
            )


@dataclass(frozen=True)
class Receipt:
    """An operation was accepted: its id, and the indices and withdrawal ids that it makes if nothing is rolled back."""

    id: bytes
    created: tuple[int, ...] = ()
    withdrawals: tuple[int, ...] = ()


@dataclass(frozen=True)
class OperationStatus:
    """Where an accepted operation is.

    state: "accepted" (executed, in a batch to come), "submitted" (in a batch on its way to L1), "posted" (in a batch
    that can still be disputed), "confirmed", "waiting" (a rollback or reorg undid it and it cannot be executed again
    yet) or "dropped"; reason: why, for the last two. batch_id and l1_transaction: of the batch; final_at: when it can
    be confirmed, seconds since 1970.
    """

    id: bytes
    state: str
    reason: str | None = None
    batch_id: int | None = None
    l1_transaction: bytes | None = None
    final_at: int | None = None


@dataclass(frozen=True)
class RecordView:
    """A record of the state tree: as this sequencer executed it, and as the last right batch on L1 has it."""

    index: int
    record: Record
    posted: Record | None


@dataclass(frozen=True)
class SequencerStatus:
    """The sequencer at a glance: ids of the tip, the last right and the last final batch; counts of what waits."""

    tip: int
    right: int
    confirmed: int
    state_root: bytes
    next_index: int
    block: int
    pending: int
    queued: int
    proposal: int | None
    is_frozen: bool


@dataclass(frozen=True)
class SequencerReport:
    """What a `step` did; numbers are those of own batches.

    waiting_for says what keeps a batch from moving on; is_settling: L1 is about to answer, so step again soon.
    """

    sync: OptimisticSync
    disputes: DisputeReport
    submitted: int | None = None
    abandoned: tuple[tuple[int, str], ...] = ()
    dropped: tuple[tuple[bytes, str], ...] = ()
    sent: tuple[str, ...] = ()
    waiting_for: str | None = None
    is_settling: bool = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing happened."""
        moved = self.submitted or self.abandoned or self.dropped or self.sent
        return not moved and self.sync.is_empty and self.disputes.is_idle


@dataclass
class _Progress:
    """Collects what a step does."""

    submitted: int | None = None
    abandoned: list[tuple[int, str]] = field(default_factory=list)
    dropped: list[tuple[bytes, str]] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    waiting_for: str | None = None
    is_settling: bool = False
    is_written: bool = False


@dataclass(frozen=True)
class _Base:
    """What drafts build on: the state after a batch, which is on L1 or on its way, and the batch's time."""

    state: RollupState
    executed_at: int


@dataclass(frozen=True)
class _Parked:
    """An accepted operation that cannot be executed, why, and what of the state made it so."""

    row: PoolRow
    operation: SignedOperation
    failure: Failure
    reason: str
    seen: tuple[Record | None, ...]


class Sequencer:
    """One sequencer of one rollup. `step` belongs to one thread; `submit`, `status` and the views to any."""

    def __init__(
        self,
        rollup: OptimisticRollup,
        store: OptimisticStore,
        signer: Signer,
        blobs: BlobSource,
        config: SequencerConfig | None = None,
        *,
        clock: Callable[[], float] = time.time,
        checkpoint: Callable[[str], None] = lambda point: None,
    ) -> None:
        """clock: seconds since 1970. checkpoint: called with the name of each point where being killed matters.

        Raises as `OptimisticFollower` does.
        """
        self.config = config or SequencerConfig()
        self.rollup = rollup
        self._store = store
        self._signer = signer
        self._clock = clock
        self._checkpoint = checkpoint
        self._domain = rollup.deployment.domain_separator
        self._outbox = Outbox(
            rollup.chain,
            store,
            signer,
            resend_after=self.config.resend_after,
            urgent=PURPOSES,
            clock=clock,
            checkpoint=checkpoint,
        )
        self.follower = OptimisticFollower(
            rollup, store, blobs, confirmations=self.config.confirmations, observer=self, clock=clock
        )
        self._disputer = Disputer(
            self.follower, store, signer.address, reserve=self.config.reserve, checkpoint=checkpoint
        )
        self._lock = threading.RLock()
        self._time = rollup.chain.head().timestamp
        self._flight: tuple[int, bytes, RollupState] | None = None
        self._drafts: list[Draft] = []
        self._parked: dict[bytes, _Parked] = {}
        self._is_rewound = False
        self.fee_tokens = self.config.fee_tokens((token.id for token in rollup.deployment.tokens), FEE_WORDS)
        """The tokens in which fees are taken; a batch has places for so many unless each has a minimum."""
        self._processor: BatchProcessor[bytes | int] = BatchProcessor(
            self.config.max_batch_size, self.config.batch_timeout, clock=clock
        )
        self._owners: dict[int, list[int]] = {}
        self._owned_up_to = FIRST_INDEX
        progress = _Progress()
        self._base = self._find_base(self._current(progress))
        self._make_drafts(progress)

    @property
    def position(self) -> Position:
        """The last right batch on L1 and this node's own state after it."""
        return self.follower.position

    # ---------------------------------------------------------------- intake (any thread)

    def submit(self, body: bytes) -> Receipt:
        """Execute a signed operation, given in its encoding (docs/optimistic.md §2), and store it.

        The same one twice is taken once. Raises RefusedError, for its sender, when it is not valid now.
        """
        (result,) = self.submit_many([body])
        if isinstance(result, RefusedError):
            raise result
        return result

    def submit_many(self, bodies: Sequence[bytes]) -> list[Receipt | RefusedError]:
        """Take several, in order, and store them at once. For each its receipt, or why it is refused."""
        now = self._clock()
        keys = [keccak256(body) for body in bodies]
        results: list[Receipt | RefusedError] = []
        accepted: dict[bytes, bytes] = {}
        with self._lock:
            is_frozen = self._store.is_frozen
            known = self._store.alive(keys)
            pending = sum(len(draft.items) for draft in self._drafts)
            try:
                for key, body in zip(keys, bodies, strict=True):
                    try:
                        if is_frozen:
                            raise RefusedError(
                                "frozen", "the rollup is frozen: nothing is executed any more; use `ape run escape`"
                            )
                        if key in known:
                            results.append(Receipt(key))
                            continue
                        results.append(self._take(key, body, now, pending + len(accepted)))
                        accepted[key] = body
                        known.add(key)
                    except RefusedError as error:
                        results.append(error)
                if accepted:
                    with self._store.transaction():
                        self._store.accept(list(accepted.items()), now)
                        crowded_out = self._make_room(pending + len(accepted))
                    for key in crowded_out:
                        del self._parked[key]
            except BaseException:
                self._make_drafts(_Progress())  # what was executed was not stored
                raise
        return results

    def _make_room(self, executed: int) -> list[bytes]:
        """Drop operations that cannot be executed if more than may wait do. Returns which."""
        surplus = max(0, executed + len(self._parked) - self.config.max_pending)
        keys = list(self._parked)[:surplus]
        for key in keys:
            reason = f"{self._parked[key].reason}; others wait that can be executed"
            self._store.drop(key, reason, self.follower.cursor.number)
        return keys

    def _take(self, key: bytes, body: bytes, now: float, pending: int) -> Receipt:
        """Execute an operation that is not known yet."""
        operation = _read(body)
        if pending >= self.config.max_pending:
            raise RefusedError("pool_full", f"{self.config.max_pending} operations wait already: try again later")
        self._check_fee(operation)
        expiry: int = operation.expiry
        if expiry < max(now, self._time) + self.config.expiry_margin:
            raise RefusedError(
                "expired",
                f"expiry {expiry} is past or less than {self.config.expiry_margin:g} s away (it is {now:.0f}): sign "
                "with a later one",
            )
        outcome = self._execute(key, operation, body, now)
        if outcome.failure is not None:
            raise RefusedError(outcome.failure.value.replace(" ", "_"), outcome.reason)
        return Receipt(key, outcome.created, outcome.withdrawals)

    def _check_fee(self, operation: SignedOperation) -> None:
        config = self.config
        if not (operation.fee or config.default_minimum_fee or config.minimum_fees):
            return
        payer = self._payer(operation)
        if isinstance(payer, Account):  # for anything else the execution says better what is wrong
            config.check_fee(operation.fee, payer.token, self.fee_tokens, "sequencer")

    def _payer(self, operation: SignedOperation) -> Record | None:
        """What is at the index of the account that pays the fee."""
        if isinstance(operation, CreatePool | AddLiquidity | RemoveLiquidity):
            return self._find(operation.account_a)
        return self._find(operation.account)

    # ---------------------------------------------------------------- views (any thread)

    def status(self, key: bytes) -> OperationStatus | None:
        """Where an operation is, None when this sequencer never accepted it."""
        with self._lock, self._store.transaction():
            row = self._store.pool_row(key)
            if row is None:
                return None
            batches = self._store.inclusions(key)
            for batch in batches:
                if batch.void is None:
                    period = self.rollup.deployment.challenge_period
                    state = "confirmed" if batch.is_confirmed else "posted"
                    final_at = batch.header.timestamp + period + 1
                    return OperationStatus(key, state, None, batch.batch_id, batch.transaction, final_at)
            if row.state == "dropped":
                return OperationStatus(key, "dropped", row.reason)
            if any(key in proposal.items for proposal in self._store.active_proposals()):
                return OperationStatus(key, "submitted")
            if key in self._parked:
                undone = f"batch {batches[-1].batch_id}, which held it, was rolled back; " if batches else ""
                return OperationStatus(key, "waiting", undone + self._parked[key].reason)
            return OperationStatus(key, "accepted")

    def record(self, index: int) -> RecordView | None:
        """A record of the state tree, None when there is none with this index."""
        with self._lock:
            record = self._find(index)
        return None if record is None else RecordView(index, record, self.position.state.record(index))

    def accounts_of(self, owner: int) -> list[RecordView]:
        """All accounts of an L1 address."""
        with self._lock:
            end = self._drafts[-1].next_index if self._drafts else self._base.state.next_index
            for index in range(self._owned_up_to, end):
                record = self._find(index)
                if isinstance(record, Account):
                    self._owners.setdefault(record.owner, []).append(index)
            self._owned_up_to = max(self._owned_up_to, end)
            views = [self.record(index) for index in self._owners.get(owner, [])]
        return [view for view in views if view is not None and isinstance(view.record, Account)]

    def overview(self) -> SequencerStatus:
        """The sequencer at a glance."""
        with self._lock, self._store.transaction():
            tip = self.follower.tip
            active = self._store.active_proposals()
            position = self.position
            return SequencerStatus(
                0 if tip is None else tip.batch_id,
                position.batch_id,
                self._store.confirmed_id(),
                position.state.state_root,
                position.state.next_index,
                self.follower.cursor.number,
                sum(len(draft.items) for draft in self._drafts) + len(self._parked),
                len(self._store.queued(position.state.queue_cursor)),
                active[0].id if active else None,
                self._store.is_frozen,
            )

    # ---------------------------------------------------------------- what L1 says (inside of sync's transaction)

    def on_rewind(self) -> None:
        """Operations that were dropped in blocks that are gone wait again."""
        self._is_rewound = True

    def on_right(self, row: BatchRow, outcomes: Sequence[Execution]) -> None:
        """A right batch holds operations of the pool, whoever made it."""
        self._store.include([operation_id(outcome.operation) for outcome in outcomes if outcome.is_valid], row.hash)

    # ---------------------------------------------------------------- step

    def step(self) -> SequencerReport:
        """Do everything that can be done now.

        Raises ChainError for trouble with the node (try again) and for a transaction that the account cannot pay for
        (once all else is done), FollowError, SequencerError or ChallengerError for what
        a person must see.
        """
        progress = _Progress()
        disputes = DisputeReport()
        sync = self.follower.sync()
        self._checkpoint("synced")
        if self.follower.lost is not None:
            raise SequencerError(self.follower.lost)
        self._time = self.rollup.chain.head().timestamp
        unpaid = self._settle(progress, disputes)
        if self.config.dispute:
            self._disputer.act(self._time, disputes)
        proposal = self._current(progress)
        with self._lock:
            self._refresh(proposal, progress)
        if proposal is None:
            self._post(sync, progress)
        self._confirm(progress)
        if progress.is_written or disputes.started:
            unpaid = self._settle(progress, disputes)
            self._checkpoint("settled")
        if unpaid is not None:
            raise unpaid
        return SequencerReport(
            sync,
            disputes,
            progress.submitted,
            tuple(progress.abandoned),
            tuple(progress.dropped),
            tuple(progress.sent),
            progress.waiting_for,
            progress.is_settling or disputes.is_settling,
        )

    def run_until_idle(self, timeout: float = 300) -> list[SequencerReport]:
        """Step until there is nothing to do and nothing waits to be mined. Raises SequencerError after `timeout` s."""
        return run_until_idle(self.step, timeout, SequencerError)

    # ---------------------------------------------------------------- bond

    def ensure_bond(self, amount: int) -> None:
        """Bring this account's bond up to `amount` wei with the next steps. Raises SequencerError while it leaves, and
        when it cannot pay for that: nothing is stored then."""
        bond = self.rollup.bond(self._signer.address)
        if bond.exit_started_at:
            raise SequencerError(
                f"{self._signer.address} began to leave at {bond.exit_started_at}: take the bond out first (`ape run "
                "sequencer --withdraw-bond`)"
            )
        coming = sum(letter.value for letter in self._store.open_letters() if letter.purpose == BOND)
        value = amount - bond.amount - coming
        if value <= 0:
            return
        call = self.rollup.bond_call()
        try:
            build(self.rollup.chain, self._signer.address, self.rollup.address, call, value=value)
        except InsufficientFundsError as error:
            raise SequencerError(f"a bond of {amount} wei cannot be paid for: {error}") from error
        self._write(BOND, "", call, value=value)

    def start_exit(self) -> None:
        """Give up the right to submit with the next steps; the bond can be taken out a challenge period later."""
        self._write_once(EXIT, self.rollup.start_exit_call())

    def withdraw_bond(self) -> None:
        """Take the bond out with the next steps."""
        self._write_once(WITHDRAW_BOND, self.rollup.withdraw_bond_call())

    def _write_once(self, purpose: str, call: bytes) -> None:
        with self._store.transaction():
            if all(letter.purpose != purpose for letter in self._store.open_letters()):
                self._write(purpose, "", call)

    def _write(self, purpose: str, reference: str, call: bytes, *, value: int = 0, blob: bytes | None = None) -> None:
        self._store.add_letter(purpose, reference, self.rollup.address, call, value=value, blob=blob)

    # ---------------------------------------------------------------- letters

    def _settle(self, progress: _Progress, disputes: DisputeReport) -> InsufficientFundsError | None:
        """Send what waits, disputes first, and record what became of it. Returns why a letter cannot be paid for, which
        keeps no other waiting."""
        cursor = self.follower.cursor.number
        unpaid: InsufficientFundsError | None = None
        for letter in sorted(self._store.open_letters(), key=lambda one: one.purpose not in PURPOSES):
            try:
                outcome = self._outbox.advance(letter, cursor)
            except InsufficientFundsError as error:
                unpaid = unpaid or error
                continue
            progress.is_settling |= outcome.fate is Fate.WAITING
            if letter.purpose in PURPOSES:
                self._disputer.settle(outcome, disputes)
            elif letter.purpose == BATCH:
                self._settle_batch(outcome, progress)
            else:
                self._settle_other(outcome, progress)
        return unpaid

    def _settle_batch(self, outcome: Outcome, progress: _Progress) -> None:
        letter = outcome.letter
        proposal = self._store.proposal(int(letter.reference))
        assert proposal is not None
        if outcome.fate is Fate.WAITING:
            progress.waiting_for = f"own batch {proposal.id} waits to be mined"
            return
        if outcome.fate is Fate.MINED:
            assert outcome.receipt is not None
            if not self._store.has_batch_of(outcome.receipt.hash):
                raise FollowError(
                    f"own batch {proposal.id} was mined in block {outcome.receipt.block.number}, but the logs do not "
                    "say so: check the node, or delete the database to read L1 again"
                )
            self._store.set_letter_state(letter.id, "mined", outcome.receipt.block.number)
            return
        name = outcome.error.name if outcome.error else ""
        detail = outcome.error.detail if outcome.error else "it reverted, but would not any more"
        is_refused = outcome.fate is Fate.REFUSED
        is_early = name == "TimestampOutOfRange" and proposal.executed_at > self._time
        if is_refused and (is_early or name in _NOT_ALLOWED):
            progress.waiting_for = f"own batch {proposal.id}: {detail}"
            if is_early or name == "OperatorHasPriority":
                progress.is_settling = False
                return
        with self._store.transaction():
            block = None if outcome.receipt is None else outcome.receipt.block.number
            self._store.set_letter_state(letter.id, "void" if is_refused else "failed", block)
            self._abandon(proposal, detail, progress)
        if is_refused and name not in _MAKE_ANEW | _NOT_ALLOWED:
            raise SequencerError(
                f"the contract refuses own batch {proposal.id}: {detail}. It was not sent; this program and the "
                "contract differ"
            )

    def _settle_other(self, outcome: Outcome, progress: _Progress) -> None:
        letter = outcome.letter
        if outcome.fate is Fate.WAITING:
            return
        if outcome.fate is Fate.MINED:
            assert outcome.receipt is not None
            self._store.set_letter_state(letter.id, "mined", outcome.receipt.block.number)
            progress.sent.append(f"{letter.purpose} {letter.reference}".strip())
            return
        is_refused = outcome.fate is Fate.REFUSED
        self._store.set_letter_state(letter.id, "void" if is_refused else "failed", self.follower.cursor.number)
        if letter.purpose != CONFIRM:  # somebody else may have confirmed it
            detail = outcome.error.detail if outcome.error else "it reverted, but would not any more"
            raise SequencerError(f"the contract refuses {letter.purpose}: {detail}")

    # ---------------------------------------------------------------- own batches

    def _current(self, progress: _Progress) -> Proposal | None:
        """The own batch under way that can still be accepted; others are given up."""
        tip = self.follower.tip
        tip_hash = self.follower.genesis.hash if tip is None else tip.hash
        current: Proposal | None = None
        for proposal in self._store.active_proposals():
            reason: str | None = None
            if proposal.parent_hash != tip_hash:
                reason = "L1 is at a batch now that it does not build on"
            elif current is not None:
                reason = f"own batch {current.id} takes its place"
            elif not self._is_still_right(proposal):
                reason = "the entries of the queue that it takes are others now, so it would be wrong"
            if reason is None:
                current = proposal
                continue
            with self._store.transaction():
                self._abandon(proposal, reason, progress)
                for letter in self._store.letters(BATCH, str(proposal.id)):
                    if letter.state == "open":
                        self._store.set_letter_state(letter.id, "void")
        return current

    def _abandon(self, proposal: Proposal, reason: str, progress: _Progress) -> None:
        self._store.abandon(proposal.id, reason)
        progress.abandoned.append((proposal.id, reason))

    def _is_still_right(self, proposal: Proposal) -> bool:
        """Whether an own batch on the present position ends in the state that it claims: a reorg changes the queue."""
        return self._state_after(proposal).commitment() == proposal.final

    def _state_after(self, proposal: Proposal) -> RollupState:
        """The state after an own batch on the present position."""
        first = self.position.state.queue_cursor
        rows = self._store.queued(first, proposal.queue_end - first)
        queue = [row.entry.operation.to_slot() for row in rows]
        digest = keccak256(b"".join(queue))
        if self._flight is not None and self._flight[:2] == (proposal.id, digest):
            return self._flight[2]
        context = Context(self._domain, proposal.executed_at, proposal.queue_end)
        if len(queue) < proposal.queue_end - first:
            return self.position.state  # entries are gone: not what it claims
        executed = execute_batch(self.position.state, context, proposal.chunks, queue)
        self._flight = (proposal.id, digest, executed[-1].after)
        return executed[-1].after

    def _find_base(self, proposal: Proposal | None) -> _Base:
        if proposal is not None:
            return _Base(self._state_after(proposal), proposal.executed_at)
        return _Base(self.position.state, self.position.header.executed_at)

    def _post(self, sync: OptimisticSync, progress: _Progress) -> None:
        """Send the oldest draft on its way, if it is due and L1 is likely to take it."""
        with self._lock:
            if not self._is_due():
                return
        obstacle = self._obstacle(sync)
        if obstacle is not None:
            progress.waiting_for = obstacle
            return
        with self._lock:
            draft = self._drafts[0]
            chunks, final = draft.seal()
            is_blob = self.config.data == "blob"
            blob = encode_blob(chunks) if is_blob else None
            transactions = b"" if is_blob else encode_calldata(chunks)
            queue_chain = self._store.queue_chain(draft.context.queue_end)
            claim = Claim.of(final, draft.context.executed_at, len(chunks), queue_chain)
            parent = self.position.hash
            call = self.rollup.submit_call(final.state_root, parent, claim, transactions)
            with self._store.transaction():
                proposal = self._store.add_proposal(
                    parent,
                    draft.context.executed_at,
                    draft.context.queue_end,
                    [chunk.operations for chunk in chunks],
                    draft.items,
                    calldata_commitment(chunks) if blob is None else blob_hash(blob),
                    final.commitment(),
                )
                self._write(BATCH, str(proposal.id), call, blob=blob)
                self._checkpoint("batch written")
            self._flight = (proposal.id, keccak256(b"".join(draft.queue)), final)
            self._base = _Base(final, draft.context.executed_at)
            self._drafts.pop(0)
            if not self._drafts:
                self._processor.replace_all([])
        progress.submitted = proposal.id
        progress.is_written = True
        self._checkpoint("submitted")

    def _obstacle(self, sync: OptimisticSync) -> str | None:
        """Why no batch can be sent now, None if nothing speaks against it."""
        tip = self.follower.tip
        if self._store.is_frozen:
            return "the rollup is frozen: no batch is accepted any more"
        if not self.follower.is_tip_right:
            assert tip is not None
            if sync.missing is not None:
                return f"batch {sync.missing[0].batch_id} cannot be checked: {sync.missing[1]}"
            return f"batch {tip.batch_id} on L1 is wrong or builds on a wrong one: nothing is built on it"
        if self._signer.address != self.rollup.deployment.operator:
            until = self.rollup.view("priorityUntil")
            if self._time <= until:
                return f"only the operator may submit batches until {until} (it is {self._time})"
        bond = self.rollup.bond(self._signer.address)
        stake = self.rollup.deployment.minimum_stake
        if bond.exit_started_at:
            return f"{self._signer.address} began to leave at {bond.exit_started_at}, so it may not submit"
        if bond.amount < stake:
            return f"{self._signer.address} has a bond of {bond.amount} wei and needs {stake}: add to it (--bond)"
        if self.rollup.view("tipHash") != self.position.hash:
            return f"L1 has another tip than batch {self.position.batch_id}, not read yet"
        return None

    def _confirm(self, progress: _Progress) -> None:
        """Confirm the oldest pending batch, whoever made it, if it is right and its time has come."""
        row = self._store.first_pending()
        if row is None or self._store.is_frozen:
            return
        if row.verdict is not Verdict.RIGHT or (
            self._time <= row.header.timestamp + self.rollup.deployment.challenge_period
        ):
            return
        if any(letter.state == "open" for letter in self._store.letters(CONFIRM, str(row.batch_id))):
            return
        self._write(CONFIRM, str(row.batch_id), self.rollup.confirm_call(row.batch_id, row.header))
        progress.is_written = True
        self._checkpoint("confirmation written")

    # ---------------------------------------------------------------- drafts (under the lock)

    def _refresh(self, proposal: Proposal | None, progress: _Progress) -> None:
        """Make the drafts fit to what L1 says now."""
        base = self._find_base(proposal)
        is_same = base.state.without_fees().commitment() == self._base.state.without_fees().commitment()
        self._base = base
        if not (is_same and self._are_current()):
            self._make_drafts(progress)
        else:
            if self._is_rewound:
                self._place_all(progress)
            self._retry(progress)
        self._is_rewound = False
        self._take_queue()

    def _are_current(self) -> bool:
        """Whether the drafts are not too old, and take what is in the queue."""
        if not self._drafts:
            return True
        first = self._drafts[0].context.executed_at
        age = self.rollup.deployment.max_batch_age
        start = self._drafts[0].start.queue_cursor
        taken = [slot for draft in self._drafts for slot in draft.queue]
        rows = self._store.queued(start, len(taken))
        return (
            self._base.executed_at <= first
            and self._time <= first + age - age // AGE_MARGIN
            and taken == [row.entry.operation.to_slot() for row in rows]
        )

    def _make_drafts(self, progress: _Progress) -> None:
        """Execute all that was accepted once more, on the present base."""
        self._drafts = []
        self._parked = {}
        self._processor.replace_all([])
        self._owners, self._owned_up_to = {}, FIRST_INDEX
        self._place_all(progress)

    def _place_all(self, progress: _Progress) -> None:
        """Execute what was accepted and has no place yet: in a batch, on the way to L1, in a draft or parked."""
        placed = {key for proposal in self._store.active_proposals() for key in proposal.items}
        placed.update(self._parked, *(draft.items for draft in self._drafts))
        for row in self._store.waiting():
            if row.id not in placed:
                self._place(row, progress)

    def _place(self, row: PoolRow, progress: _Progress) -> None:
        """Execute an accepted operation again; one that cannot be waits, and is dropped in the end."""
        operation = _read(row.body)
        outcome = self._execute(row.id, operation, row.body, row.arrival)
        if outcome.failure is None:
            return
        if outcome.failure is Failure.EXPIRED or self._is_over(row):
            self._store.drop(row.id, outcome.reason, self.follower.cursor.number)
            progress.dropped.append((row.id, outcome.reason))
        else:
            seen = self._seen(operation, outcome.failure)
            self._parked[row.id] = _Parked(row, operation, outcome.failure, outcome.reason, seen)

    def _retry(self, progress: _Progress) -> None:
        """Execute those again that were not valid and may be now, or are to be dropped; the rest cost no time."""
        left = RETRIES
        for key, parked in list(self._parked.items()):
            if not left:
                break
            if self._may_have_changed(parked):
                left -= 1
                del self._parked[key]  # at the end, if it stays, so that all have their turn
                for row in self._store.waiting_among([key]):
                    self._place(row, progress)

    def _may_have_changed(self, parked: _Parked) -> bool:
        return (
            parked.failure is Failure.FEES_FULL
            or parked.operation.expiry < self._time
            or self._is_over(parked.row)
            or parked.seen != self._seen(parked.operation, parked.failure)
        )

    def _is_over(self, row: PoolRow) -> bool:
        return self._clock() > row.arrival + self.config.pending_timeout

    def _seen(self, operation: SignedOperation, failure: Failure) -> tuple[Record | None, ...]:
        """What decides, besides time and fees, whether an operation that failed so is valid.

        Of accounts, neither balances are signed nor nonces of others than the payer's: an operation whose nonce is used
        fails for its signature, whatever anybody receives or sends.
        """
        records = [self._find(getattr(operation, name, 0)) for name in _INDICES]
        records += [self._find(record.pool) for record in records if isinstance(record, Shares)]
        if failure is Failure.INVALID_SIGNATURE:
            others = [one._replace(nonce=0, balance=0) if isinstance(one, Account) else one for one in records]
            payer = self._payer(operation)
            return (payer._replace(balance=0) if isinstance(payer, Account) else payer, *others)
        return tuple(records)

    def _execute(self, key: bytes, operation: SignedOperation, body: bytes, arrival: float) -> Execution:
        """Execute an operation on the last draft, or on a new one when it does not fit in."""
        while True:
            draft = self._open()
            has_room = len(draft.items) + len(draft.queue) < self.config.max_batch_size
            try:
                outcome = draft.add(key, operation, body) if has_room else None
            except DraftFullError:
                outcome = None
            if outcome is not None and outcome.failure is Failure.FEES_FULL and self._may_end_batch(operation):
                # Fees are looked at before signatures: anybody could end batches if this were not tried first.
                outcome = draft.try_in_next(operation)
                if outcome.is_valid:
                    outcome = None
            if outcome is None:
                draft.seal()
                continue
            if outcome.is_valid:
                self._processor.add(key, arrival)
            elif draft.is_empty:
                self._drafts.pop()
            return outcome

    def _may_end_batch(self, operation: SignedOperation) -> bool:
        """Whether an operation whose fee has no place in this batch is worth the next one: tokens are free to make."""
        payer = self._payer(operation)
        return isinstance(payer, Account) and payer.token in self.fee_tokens

    def _open(self) -> Draft:
        """The last draft if it is not sealed, else a new one, with the queue entries that wait."""
        if self._drafts and not self._drafts[-1].is_sealed:
            return self._drafts[-1]
        state, executed_at = self._base.state, self._base.executed_at
        if self._drafts:
            last = self._drafts[-1]
            state, executed_at = last.seal()[1], last.context.executed_at
        entries = self._waiting_entries(state.queue_cursor)
        slots = [row.entry.operation.to_slot() for row in entries]
        draft = Draft(state, self._domain, max(executed_at, self._time), slots)
        self._drafts.append(draft)
        self._processor.replace_all([(row.entry.index, row.seen) for row in entries])
        return draft

    def _waiting_entries(self, cursor: int) -> list[QueueRow]:
        """The queue entries that the next batch takes: half a batch of them, but always the quota."""
        return self._store.queued(cursor, max(self.config.max_batch_size // 2, self.rollup.deployment.queue_quota))

    def _take_queue(self) -> None:
        """See that waiting queue entries get into a draft, in time."""
        last = self._drafts[-1] if self._drafts else None
        cursor = self._base.state.queue_cursor if last is None else last.context.queue_end
        entries = self._waiting_entries(cursor)
        if not entries:
            return
        if last is not None and not last.is_sealed:
            if not last.items and len(last.queue) < self.config.max_batch_size // 2:
                self._drafts.pop()
            elif self._is_urgent(entries[0]):
                last.seal()
            else:
                return
        self._open()

    def _is_urgent(self, row: QueueRow) -> bool:
        return self._time > row.arrival + self.rollup.deployment.inclusion_deadline // URGENT_SHARE

    def _is_due(self) -> bool:
        """Whether the oldest draft is to be sent now."""
        if not self._drafts:
            return False
        draft = self._drafts[0]
        if draft.is_sealed or self._processor.is_due:
            return True
        rows = self._store.queued(draft.start.queue_cursor, 1) if draft.queue else []
        return bool(rows) and self._is_urgent(rows[0])

    def _find(self, index: int) -> Record | None:
        """A record as this sequencer has executed it."""
        return self._drafts[-1].find(index) if self._drafts else self._base.state.record(index)


def _read(body: bytes) -> SignedOperation:
    """The one signed operation that these bytes are. Raises RefusedError for anything else."""
    operation = read_canonical(body)
    if operation is None or isinstance(operation, Nothing | QueueEntry):
        raise RefusedError(
            "malformed",
            f"0x{body[:100].hex()} of {len(body)} bytes is not one signed operation in its canonical encoding: see "
            "docs/optimistic.md §2",
        )
    return operation  # type: ignore[return-value]  # all other classes are signed
