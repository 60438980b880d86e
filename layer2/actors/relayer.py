"""The relayer: takes signed operations, makes batches of them, proves and submits these, and follows L1.

`step()` is synchronous and does what can be done now: it reads L1 from the stored cursor, settles what was sent, and
brings one batch of its own on its way planned → proven → submitted → verified. Each move is stored before the next
begins, so a relayer that was killed anywhere takes up where it was. May import everything but HTTP, wallet and scripts.
"""

import time
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from layer2.actors.batch_processor import BatchProcessor, SignatureCheck, SignaturePool
from layer2.actors.database import Letter, QueueRow
from layer2.actors.errors import FollowError, RefusedError, RelayerError
from layer2.actors.fees import FeeConfig
from layer2.actors.follower import Follower, Position, SyncReport
from layer2.actors.outbox import Fate, Outbox, Outcome
from layer2.actors.planning import Budget, Selector
from layer2.actors.stepping import run_until_idle
from layer2.actors.store import (
    ItemRef,
    PoolRow,
    Proposal,
    ProposalState,
    Store,
    transaction_id,
)
from layer2.chain.custody import PayoutCredit
from layer2.chain.rollup import PostedBatch, ProofPoints, Rollup
from layer2.chain.signer import Signer
from layer2.ledger.account import Account
from layer2.ledger.amounts import decode_fee8, encode_float40
from layer2.ledger.constants import FIRST_INDEX, MAX_NONCE, Kind
from layer2.ledger.errors import AmountError, LedgerError
from layer2.ledger.operations import NO_KEY, Operation, SignedOperation
from layer2.ledger.state import State
from layer2.ledger.state_manager import StateManager
from layer2.ledger.transition import Failure, Item, Step, refuse_by_kind
from layer2.zk.batch import encode_batch, plan_segments
from layer2.zk.segments import Segment

BATCH: Final = "batch"
WITHDRAWAL: Final = "withdrawal"

AGE_MARGIN: Final = 10
"""Part of `maxBatchAge` (one in …) that is left for the transaction to be mined; older batches are planned anew."""

URGENT_SHARE: Final = 2
"""A queue entry that has waited one in … of the inclusion deadline goes into a batch at once."""

# Operations that fail for these reasons may be valid in a later batch; for any other reason they never will.
_MAY_HEAL: Final = frozenset(
    {
        Failure.INSUFFICIENT_BALANCE,
        Failure.UNKNOWN_ACCOUNT,
        Failure.UNKNOWN_RECIPIENT,
        Failure.RECIPIENT_OVERFLOW,
        Failure.NONCE_MISMATCH,
    }
)

# The contract refuses a batch for these reasons when L1 has changed since it was planned.
_PLAN_ANEW: Final = frozenset({"StaleParent", "QueueNeglected", "QueueMismatch", "QueueExhausted"})


class Prover(Protocol):
    """Proves segments."""

    def __call__(self, segments: Sequence[Segment], done: Callable[[int, ProofPoints], None]) -> None:
        """Prove each segment and hand every proof, with its segment's number, to `done` (from this thread)."""
        ...


@dataclass(frozen=True)
class RelayerConfig(FeeConfig):
    """How a relayer works; times in seconds.

    max_batch_size: operations a batch, fewer if one L1 transaction cannot carry as many. batch_timeout: how long an
    operation waits for a batch to fill up. confirmations: blocks above one before it counts. max_pending,
    max_pending_per_account: operations that may wait. pending_timeout: after which an operation that cannot be executed
    is dropped; when the pool is full, at once. serve_withdrawals: send payouts to their owners at this relayer's cost,
    with at most max_withdrawal_gas each. resend_after: see `Outbox`. workers: processes that check signatures, None for
    one a core. Fees: see `FeeConfig`.
    """

    max_batch_size: int = 120
    batch_timeout: float = 30
    confirmations: int = 0
    max_pending: int = 10_000
    max_pending_per_account: int = 64
    pending_timeout: float = 3600
    serve_withdrawals: bool = False
    max_withdrawal_gas: int = 200_000
    resend_after: float = 60
    workers: int | None = None


@dataclass(frozen=True)
class StepReport:
    """What a `step` did; numbers are those of own batches.

    waiting_for says what keeps a batch from moving on; is_settling: L1 is about to answer, so step again soon.
    """

    sync: SyncReport
    planned: int | None = None
    proven: int | None = None
    submitted: int | None = None
    abandoned: tuple[tuple[int, str], ...] = ()
    paid: tuple[str, ...] = ()
    waiting_for: str | None = None
    is_settling: bool = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing happened."""
        moved = self.planned or self.proven or self.submitted or self.abandoned or self.paid
        return not (moved or self.sync.batches or self.sync.queued or self.sync.rewound_to)


@dataclass(frozen=True)
class TransactionStatus:
    """Where a signed operation is: "pending", "planned", "proven", "submitted", "verified" or "dropped" (and why).

    batch_id and l1_transaction are those of the batch, once it is verified.
    """

    id: bytes
    state: str
    reason: str | None = None
    batch_id: int | None = None
    l1_transaction: bytes | None = None


@dataclass(frozen=True)
class AccountView:
    """An account as L1 has accepted it. `next_nonce` counts what waits in the pool as well."""

    index: int
    account: Account
    next_nonce: int


@dataclass(frozen=True)
class RelayerStatus:
    """The relayer at a glance."""

    batch_id: int
    state_root: int
    next_index: int
    block: int
    pending: int
    queued: int
    proposal: str | None

    @property
    def is_busy(self) -> bool:
        """Whether anything waits for a batch."""
        return self.pending > 0 or self.queued > 0


@dataclass
class _Progress:
    """Collects what a step does."""

    planned: int | None = None
    proven: int | None = None
    submitted: int | None = None
    abandoned: list[tuple[int, str]] = field(default_factory=list)
    paid: list[str] = field(default_factory=list)
    waiting_for: str | None = None
    is_settling: bool = False


@dataclass(frozen=True)
class _Plan:
    """Executed operations of a batch with their references, and pool rows to drop, with the reason."""

    steps: tuple[tuple[ItemRef, Step], ...]
    drops: tuple[tuple[PoolRow, str], ...]


class Relayer:
    """One relayer of one rollup. `step` belongs to one thread; `submit`, `status` and the views to any."""

    def __init__(
        self,
        rollup: Rollup,
        store: Store,
        signer: Signer,
        prover: Prover,
        config: RelayerConfig | None = None,
        *,
        progress: Callable[[int, int], None] = lambda done, total: None,
        clock: Callable[[], float] = time.time,
        checkpoint: Callable[[str], None] = lambda point: None,
    ) -> None:
        """
        progress: called with (proofs done, proofs in all) while a batch is proven. clock: seconds since 1970.
        checkpoint: called with the name of each point where being killed matters.
        Raises as `Follower` does.
        """
        self.config = config or RelayerConfig()
        self.rollup = rollup
        self._store = store
        self._signer = signer
        self._prover = prover
        self._progress = progress
        self._clock = clock
        self._checkpoint = checkpoint
        deployment = rollup.deployment
        self.domain = deployment.domain
        self.fee_tokens = self.config.fee_tokens((token.id for token in deployment.tokens), deployment.fee_tokens)
        """The tokens in which fees are taken; a segment has places for as many."""
        self._signatures = SignaturePool() if self.config.workers is None else SignaturePool(self.config.workers)
        self._processor: BatchProcessor[ItemRef] = BatchProcessor(
            self.config.max_batch_size, self.config.batch_timeout, clock=clock
        )
        self._outbox = Outbox(
            rollup.chain,
            store,
            signer,
            resend_after=self.config.resend_after,
            gas_limits={WITHDRAWAL: self.config.max_withdrawal_gas},
            clock=clock,
            checkpoint=checkpoint,
        )
        self._follower = Follower(rollup, store, confirmations=self.config.confirmations, observer=self, clock=clock)
        self._segments: tuple[int, list[Segment]] | None = None
        self._owners: dict[int, list[int]] = {}
        self._owners_state = State.genesis(rollup.deployment.levels)

    def close(self) -> None:
        """End the helper processes; the store is the caller's."""
        self._signatures.close()

    @property
    def position(self) -> Position:
        """What L1 has accepted, as far as it was read."""
        return self._follower.position

    # ---------------------------------------------------------------- intake (any thread)

    def submit(self, signed: SignedOperation) -> bytes:
        """Take a signed operation into the pool; returns its id. The same one twice is taken once.

        Raises RefusedError, for the sender, when it breaks a rule of §4 or of this relayer.
        """
        (result,) = self.submit_many([signed])
        if isinstance(result, RefusedError):
            raise result
        return result

    def submit_many(self, operations: Sequence[SignedOperation]) -> list[bytes | RefusedError]:
        """Take several; their signatures are checked on all cores. For each its id, or why it is refused."""
        state = self.position.state
        checks: list[SignatureCheck] = []
        for signed in operations:
            account = state.account(signed.operation.account)
            key = NO_KEY if account is None else account.key
            try:
                message = signed.message(self.domain)
            except LedgerError:
                message = -1
            checks.append(SignatureCheck(key, message, signed.signature))
        holds = self._signatures.verify(checks)
        results: list[bytes | RefusedError] = []
        for signed, is_signed in zip(operations, holds, strict=True):
            try:
                results.append(self._take(signed, is_signed))
            except RefusedError as error:
                results.append(error)
        return results

    def _take(self, signed: SignedOperation, is_signed: bool) -> bytes:
        with self._store.transaction():
            known = self._store.pool_row(transaction_id(signed))
            if known is not None and known.state != "dropped":
                return known.id
            self._check(signed, is_signed)
            return self._store.add_pending(signed, self._clock())

    def _check(self, signed: SignedOperation, is_signed: bool) -> None:
        operation = signed.operation
        account = self.position.state.account(operation.account)
        if operation.unused_field() is not None:
            name = operation.unused_field()
            raise RefusedError("malformed", f"{operation.kind.name} does not use the field {name}: set it to 0")
        if account is None:
            raise RefusedError(
                "unknown_account",
                f"there is no account {operation.account}: deposit, and wait for the batch that takes it",
            )
        if operation.token != account.token:
            raise RefusedError(
                "token_mismatch", f"account {operation.account} holds token {account.token}, not {operation.token}"
            )
        if not is_signed:
            raise RefusedError(
                "invalid_signature",
                f"the signature does not hold under the key of account {operation.account} on this rollup: sign with "
                "its key (after a key change, once that is verified)",
            )
        self._check_times(signed)
        self._check_amounts(operation)
        self._check_kind(signed)
        self._check_pool(signed, account)

    def _check_times(self, signed: SignedOperation) -> None:
        now = int(self._clock())
        if signed.expiry < max(now, self.position.timestamp):
            raise RefusedError("expired", f"expiry {signed.expiry} is past (it is {now}): sign with a later one")

    def _check_amounts(self, operation: Operation) -> None:
        if operation.kind in (Kind.TRANSFER, Kind.TRANSFER_TO_NEW):
            try:
                encode_float40(operation.amount)
            except AmountError as error:
                raise RefusedError("amount_not_representable", str(error)) from error
        self.config.check_fee(decode_fee8(operation.fee), operation.token, self.fee_tokens, "relayer")

    def _check_kind(self, signed: SignedOperation) -> None:
        refusal = refuse_by_kind(self.position.state, signed)
        if refusal is not None:
            raise RefusedError(refusal.failure.value.replace(" ", "_"), refusal.reason)

    def _check_pool(self, signed: SignedOperation, account: Account) -> None:
        operation = signed.operation
        index = operation.account
        waiting = {row.signed.nonce: row.signed.operation for row in self._store.pending(index)}
        following = _next_nonce(account, waiting)
        if signed.nonce < account.nonce:
            raise RefusedError(
                "nonce_used", f"nonce {signed.nonce} of account {index} is used: the next is {account.nonce}"
            )
        if signed.nonce in waiting:
            raise RefusedError(
                "nonce_taken",
                f"another operation of account {index} with nonce {signed.nonce} waits: take the next nonce",
            )
        if following >= min(account.nonce + self.config.max_pending_per_account, MAX_NONCE):
            raise RefusedError(
                "nonce_too_far",
                f"nonce {signed.nonce} of account {index}, which is at {account.nonce}, is too far ahead: at most "
                f"{self.config.max_pending_per_account} operations may wait, and the last nonce is {MAX_NONCE - 1}",
            )
        if signed.nonce != following:
            raise RefusedError(
                "nonce_gap",
                f"nonce {signed.nonce} of account {index} leaves a gap: the next is {following}; hand operations in "
                "in the order of their nonces",
            )
        if self._store.pending_count() >= self.config.max_pending:
            raise RefusedError("pool_full", f"{self.config.max_pending} operations wait already: try again later")
        reserved = sum(_cost(other) for nonce, other in waiting.items() if nonce < signed.nonce)
        if reserved + _cost(operation) > account.balance:
            raise RefusedError(
                "insufficient_balance",
                f"amount and fee are {_cost(operation)}, account {index} has {account.balance - reserved} to spend "
                f"({account.balance} less {reserved} that waits)",
            )

    # ---------------------------------------------------------------- views (any thread)

    def status(self, key: bytes) -> TransactionStatus | None:
        """Where an operation is, None when this relayer does not know it."""
        with self._store.transaction():
            row = self._store.pool_row(key)
            if row is None:
                return None
            if row.state == "included":
                batch = self._store.batch(row.batch_id or 0)
                return TransactionStatus(
                    key, "verified", None, row.batch_id, None if batch is None else batch.transaction
                )
            if row.state == "dropped":
                return TransactionStatus(key, "dropped", row.reason)
            for proposal in self._store.active_proposals():
                if any(item.pool == key for item in proposal.items):
                    return TransactionStatus(key, proposal.state.value)
            return TransactionStatus(key, "pending")

    def account(self, index: int) -> AccountView | None:
        """An account, None when there is none with this index."""
        account = self.position.state.account(index)
        if account is None:
            return None
        waiting = {row.signed.nonce for row in self._store.pending(index)}
        return AccountView(index, account, _next_nonce(account, waiting))

    def accounts_of(self, owner: int) -> list[AccountView]:
        """All accounts of an L1 address."""
        with self._store.transaction():
            state = self.position.state
            first = self._owners_state.next_index
            # Accounts keep their owner and are never removed, unless a reorg took the last ones away.
            if first > state.next_index or self._owners_state.account(first - 1) != state.account(first - 1):
                self._owners, first = {}, FIRST_INDEX
            for index in range(first, state.next_index):
                account = state.account(index)
                if account is not None:
                    self._owners.setdefault(account.owner, []).append(index)
            self._owners_state = state
            views = [self.account(index) for index in self._owners.get(owner, [])]
        return [view for view in views if view is not None and view.account.owner == owner]

    def overview(self) -> RelayerStatus:
        """The relayer at a glance."""
        with self._store.transaction():
            position = self.position
            active = self._store.active_proposals()
            return RelayerStatus(
                position.batch_id,
                position.state.root,
                position.state.next_index,
                self._follower.cursor.number,
                self._store.pending_count(),
                len(self._store.queued(position.queue_cursor)),
                None if not active else f"{active[0].id}: {active[0].state.value}",
            )

    # ---------------------------------------------------------------- what L1 says (inside of sync's transaction)

    def on_batch(self, batch: PostedBatch, steps: Sequence[Step]) -> None:
        """An accepted batch decides about waiting operations, whoever made it, and about own batches."""
        for step in steps:
            if not step.operation.is_signed:
                continue
            before = step.witness.account_a.before
            assert before is not None
            for row in self._store.pool_by_nonce(step.operation.account, before.nonce):
                if row.signed.operation.without_outcomes() == step.operation.without_outcomes():
                    self._store.include(row.id, batch.batch_id, batch.block.number)
                elif row.state == "pending":
                    reason = f"batch {batch.batch_id} used nonce {before.nonce} for another operation of this account"
                    self._store.drop(row.id, reason, batch.block.number)
        for proposal in self._store.proposals_on(batch.parent_hash):
            if proposal.data == batch.data:
                self._store.set_proposal_state(
                    proposal.id, ProposalState.VERIFIED, batch_id=batch.batch_id, block=batch.block.number
                )

    def on_credit(self, credit: PayoutCredit) -> None:
        """A payout is noted to be served, unless it is this relayer's own."""
        if credit.owner != self._signer.address:
            self._store.credit_payout(credit.owner, credit.token, credit.block.number)

    # ---------------------------------------------------------------- step

    def step(self) -> StepReport:
        """Do everything that can be done now.

        Raises ChainError for trouble with the node (try again), FollowError or RelayerError for what a person must see.
        """
        progress = _Progress()
        sync = self._follower.sync()
        self._checkpoint("synced")
        if self.rollup.view("isFrozen"):
            raise RelayerError(
                f"the rollup at {self.rollup.address} was frozen: it takes no batches any more, so this "
                "relayer ends. Owners get their money on L1 with `ape run escape`; payouts are claimed as before"
            )
        self._settle(progress)
        proposal = self._current(progress)
        if proposal is None:
            proposal = self._plan(progress)
        if proposal is not None and proposal.state is ProposalState.PLANNED:
            proposal = self._prove(proposal, progress)
        if proposal is not None and proposal.state is ProposalState.PROVEN:
            self._submit(proposal, progress)
        elif proposal is None and self.config.serve_withdrawals:
            self._serve(progress)
        return StepReport(
            sync,
            progress.planned,
            progress.proven,
            progress.submitted,
            tuple(progress.abandoned),
            tuple(progress.paid),
            progress.waiting_for,
            progress.is_settling,
        )

    def run_until_idle(self, timeout: float = 300) -> list[StepReport]:
        """Step until there is nothing to do and nothing waits to be mined.

        Raises RelayerError after `timeout` seconds, saying what it waits for.
        """
        return run_until_idle(self.step, timeout, RelayerError)

    # ---------------------------------------------------------------- letters

    def _settle(self, progress: _Progress) -> None:
        cursor = self._follower.cursor.number
        for letter in self._store.open_letters():
            outcome = self._outbox.advance(letter, cursor)
            progress.is_settling |= outcome.fate is Fate.WAITING
            if letter.purpose == BATCH:
                self._settle_batch(outcome, progress)
            else:
                self._settle_withdrawal(outcome, progress)

    def _settle_batch(self, outcome: Outcome, progress: _Progress) -> None:
        letter = outcome.letter
        proposal = self._store.proposal(int(letter.reference))
        assert proposal is not None
        if outcome.fate is Fate.WAITING:
            progress.waiting_for = f"batch {proposal.id} waits to be mined"
        elif outcome.fate is Fate.MINED:
            assert outcome.receipt is not None
            if proposal.state is not ProposalState.VERIFIED:
                raise FollowError(
                    f"own batch {proposal.id} was mined in block {outcome.receipt.block.number}, but the logs do not "
                    "say so: check the node, or delete the database to read L1 again"
                )
            self._store.set_letter_state(letter.id, "mined", outcome.receipt.block.number)
        else:
            name = outcome.error.name if outcome.error else ""
            detail = outcome.error.detail if outcome.error else "it reverted, but would not any more"
            is_refused = outcome.fate is Fate.REFUSED
            early = name == "TimestampOutOfRange" and proposal.timestamp > self.rollup.chain.head().timestamp
            if is_refused and (name == "OperatorHasPriority" or early):
                progress.waiting_for = f"batch {proposal.id}: {detail}"
                return
            with self._store.transaction():
                block = None if outcome.receipt is None else outcome.receipt.block.number
                self._store.set_letter_state(letter.id, "void" if is_refused else "failed", block)
                if proposal.state is ProposalState.VERIFIED:  # by the same call in another transaction
                    return
                self._abandon(proposal, detail, progress)
            if is_refused and name not in _PLAN_ANEW and name != "TimestampOutOfRange":
                raise RelayerError(
                    f"the contract refuses own batch {proposal.id}: {detail}. It was not sent; look at keys, "
                    "circuits and deployment before starting again"
                )

    def _settle_withdrawal(self, outcome: Outcome, progress: _Progress) -> None:
        letter = outcome.letter
        owner, token = letter.reference.split("/")
        with self._store.transaction():
            if outcome.fate is Fate.MINED:
                assert outcome.receipt is not None
                block = outcome.receipt.block.number
                self._store.set_letter_state(letter.id, "mined", block)
                self._store.settle_payout(owner, int(token), block=block)
                progress.paid.append(letter.reference)
            elif outcome.fate is not Fate.WAITING:
                block = self._follower.cursor.number
                self._store.set_letter_state(letter.id, "void" if outcome.fate is Fate.REFUSED else "failed", block)
                name = outcome.error.name if outcome.error else ""
                if name == "NothingToWithdraw":
                    self._store.settle_payout(owner, int(token), block=block)
                elif not self._is_credited_since(outcome, owner, int(token)):
                    self._store.settle_payout(owner, int(token), reason=str(outcome.error or "reverted"))

    def _is_credited_since(self, outcome: Outcome, owner: str, token: int) -> bool:
        """Whether a payout reverted only because it came before the credit: a reorg can put them in that order."""
        rows = [row for row in self._store.unserved_payouts() if (row.owner, row.token) == (owner, token)]
        return outcome.receipt is not None and any(row.credited >= outcome.receipt.block.number for row in rows)

    def _serve(self, progress: _Progress) -> None:
        waiting = {letter.reference for letter in self._store.open_letters() if letter.purpose == WITHDRAWAL}
        for row in self._store.unserved_payouts():
            reference = f"{row.owner}/{row.token}"
            if reference in waiting:
                continue
            if self.rollup.payout(row.owner, row.token) == 0:
                self._store.settle_payout(row.owner, row.token, block=self._follower.cursor.number)
                continue
            call = self.rollup.withdraw_for_call(row.owner, row.token)
            self._store.add_letter(WITHDRAWAL, reference, self.rollup.address, call)
            self._checkpoint("withdrawal written")
        self._settle(progress)

    # ---------------------------------------------------------------- own batches

    def _current(self, progress: _Progress) -> Proposal | None:
        """The own batch under way that can still be accepted; others are given up."""
        tip = self.position.batch_hash
        current: Proposal | None = None
        for proposal in self._store.active_proposals():
            reason: str | None = None
            if proposal.parent_hash != tip:
                reason = f"L1 is at batch {self.position.batch_id} now, which it does not build on"
            elif current is not None:
                reason = f"own batch {current.id} takes its place"
            elif proposal.state is not ProposalState.SUBMITTED and self._is_too_old(proposal):
                reason = f"its timestamp {proposal.timestamp} is too old to be accepted"
            if reason is None:
                current = proposal
            else:
                with self._store.transaction():
                    self._abandon(proposal, reason, progress)
                    for letter in self._store.letters(BATCH, str(proposal.id)):
                        if letter.state == "open":
                            self._store.set_letter_state(letter.id, "void")
        return current

    def _is_too_old(self, proposal: Proposal) -> bool:
        age = self.rollup.deployment.max_batch_age
        return self.rollup.chain.head().timestamp > proposal.timestamp + age - age // AGE_MARGIN

    def _abandon(self, proposal: Proposal, reason: str, progress: _Progress) -> None:
        self._store.set_proposal_state(proposal.id, ProposalState.ABANDONED, reason=reason)
        progress.abandoned.append((proposal.id, reason))

    def _plan(self, progress: _Progress) -> Proposal | None:
        position = self.position
        now = self.rollup.chain.head().timestamp
        timestamp = max(now, position.timestamp)
        if self._signer.address != self.rollup.deployment.operator:
            until = self.rollup.view("priorityUntil")
            if now <= until:
                if self.overview().is_busy:
                    progress.waiting_for = f"only the operator may submit batches until {until} (it is {now})"
                return None
        if self.rollup.view("tipHash") != position.batch_hash:
            progress.waiting_for = f"L1 has a batch after {position.batch_id} that is not read yet"
            progress.is_settling = self.config.confirmations == 0
            return None
        with self._store.transaction():
            plan = self._choose(position, timestamp)
            for row, reason in plan.drops:
                self._drop(position, row, reason)
            if not plan.steps:
                return None
            steps = [step for _, step in plan.steps]
            segments = plan_segments(steps, self._follower.circuits, self.domain, timestamp)
            number = self._store.add_proposal(
                position.batch_hash,
                timestamp,
                [reference for reference, _ in plan.steps],
                segments[-1].root_after,
                encode_batch(segments),
            )
            self._checkpoint("plan written")
        self._segments = (number, segments)
        progress.planned = number
        self._checkpoint("planned")
        return self._store.proposal(number)

    def _choose(self, position: Position, timestamp: int) -> _Plan:
        """What goes into a batch now, executed; nothing when none is due."""
        is_full = self._store.pending_count() >= self.config.max_pending
        ready, drops = self._ready(position, timestamp, is_full)
        size, quota = self.config.max_batch_size, self.rollup.deployment.queue_quota
        queue = self._store.queued(position.queue_cursor)
        # A flood of queue entries leaves half of each batch to signed operations, but the quota goes first.
        entries = queue[: max(size - len(ready), size // 2, quota)]
        deadline = self.rollup.deployment.inclusion_deadline
        is_urgent = bool(queue) and timestamp > queue[0].arrival + deadline // URGENT_SHARE
        if not self._is_due(entries, ready, is_urgent):
            return _Plan((), tuple(drops))
        # The quota may be larger than a batch.
        budget = Budget(self._follower.circuits, max(size, len(entries)))
        manager = StateManager(position.state, self.domain, position.timestamp)
        selection = Selector(manager, timestamp, budget).select(entries, quota, ready)
        refused: set[int] = set()
        for row, step in selection.refused:
            refused.add(row.signed.operation.account)
            if step.failure not in _MAY_HEAL:
                drops.append((row, str(step.reason)))
            elif is_full or self._has_waited(row):
                drops.append((row, self._overdue(is_full, str(step.reason))))
        taken = {reference.pool for reference, _ in selection.steps}
        ready = [row for row in ready if row.id in taken or row.signed.operation.account not in refused]
        # What is refused must not make a batch of a few others due.
        is_due = not refused or self._is_due(entries, ready, is_urgent)
        return _Plan(selection.steps if is_due else (), tuple(drops))

    def _is_due(self, entries: Sequence[QueueRow], ready: Sequence[PoolRow], is_urgent: bool) -> bool:
        self._processor.replace_all(
            [(ItemRef(queue=row.entry.index), row.seen) for row in entries]
            + [(ItemRef(pool=row.id), row.arrival) for row in ready]
        )
        return is_urgent or self._processor.is_due

    def _has_waited(self, row: PoolRow) -> bool:
        """Whether an operation that cannot be executed has waited long enough."""
        return self._clock() > row.arrival + self.config.pending_timeout

    def _overdue(self, is_full: bool, problem: str) -> str:
        """Why an operation that cannot be executed now does not wait any longer."""
        if is_full:
            return f"the pool is full, and this cannot be executed now: {problem}"
        return f"not executable for {self.config.pending_timeout:g} s: {problem}"

    def _drop(self, position: Position, row: PoolRow, reason: str) -> None:
        """Drop an operation, and those of its sender that need its nonce to be used first: they lose their places."""
        self._store.drop(row.id, reason, None)
        index, nonce = row.signed.operation.account, row.signed.nonce
        account = position.state.account(index)
        if account is not None and nonce < account.nonce:
            return
        for other in self._store.pending(index):
            if other.signed.nonce > nonce:
                self._store.drop(
                    other.id,
                    f"it comes after nonce {nonce} of account {index}, which was dropped ({reason}): hand it in again "
                    "after another one with that nonce",
                    None,
                )

    def _ready(
        self, position: Position, timestamp: int, is_full: bool
    ) -> tuple[list[PoolRow], list[tuple[PoolRow, str]]]:
        """Waiting operations that can be executed on this state, each sender's by nonce, and those to drop: what never
        can be, or has waited too long for it, or takes room in a pool that is full."""
        ready: list[PoolRow] = []
        drops: list[tuple[PoolRow, str]] = []
        nonces: dict[int, int] = {}
        spent: dict[int, int] = {}
        for row in _by_nonce(self._store.pending()):
            signed = row.signed
            index = signed.operation.account
            account = position.state.account(index)
            nonce = nonces.get(index, 0 if account is None else account.nonce)
            cost = spent.get(index, 0) + _cost(signed.operation)
            problem: str | None = None
            if account is None:
                problem = f"there is no account {index}"
            elif signed.nonce != nonce:
                problem = f"its nonce is {signed.nonce}, the account's next is {nonce}"
            elif cost > account.balance:
                problem = f"it needs {cost} with what is before it, account {index} holds {account.balance}"
            if signed.expiry < timestamp:
                drops.append((row, f"expired at {signed.expiry}, it is {timestamp}: sign with a later expiry"))
            elif account is not None and signed.nonce < account.nonce:
                drops.append((row, f"nonce {signed.nonce} is used, account {index} is at {account.nonce}"))
            elif problem is None:
                nonces[index], spent[index] = nonce + 1, cost
                ready.append(row)
            elif is_full or self._has_waited(row):
                drops.append((row, self._overdue(is_full, problem)))
        return ready, drops

    def _prove(self, proposal: Proposal, progress: _Progress) -> Proposal:
        segments = self._segments_of(proposal)
        proofs = list(proposal.proofs)
        done = len(proofs)
        made: dict[int, ProofPoints] = {}

        def keep(number: int, proof: ProofPoints) -> None:
            made[number + done] = proof
            grown = len(proofs)
            while len(proofs) in made:
                proofs.append(made[len(proofs)])
            if len(proofs) > grown:
                self._store.set_proofs(proposal.id, proofs)
                self._checkpoint("proof written")
            self._progress(done + len(made), len(segments))

        self._progress(done, len(segments))
        if done < len(segments):
            self._prover(segments[done:], keep)
        if len(proofs) != len(segments):
            raise RelayerError(f"the prover gave {len(proofs)} proofs for {len(segments)} segments: check its backend")
        self._checkpoint("proofs written")
        self._store.set_proposal_state(proposal.id, ProposalState.PROVEN)
        progress.proven = proposal.id
        self._checkpoint("proven")
        proven = self._store.proposal(proposal.id)
        assert proven is not None
        return proven

    def _segments_of(self, proposal: Proposal) -> list[Segment]:
        """The segments of an own batch that builds on the present position, executed again if need be."""
        if self._segments is not None and self._segments[0] == proposal.id:
            return self._segments[1]
        position = self.position
        items: list[Item] = []
        for reference in proposal.items:
            if reference.pool is not None:
                row = self._store.pool_row(reference.pool)
                assert row is not None
                items.append(row.signed)
            else:
                assert reference.queue is not None
                (entry,) = self._store.queued(reference.queue, 1)
                items.append(entry.entry.operation)
        manager = StateManager(position.state, self.domain, position.timestamp)
        batch = manager.submit_batch(items, proposal.timestamp)
        segments = plan_segments(batch.steps, self._follower.circuits, self.domain, proposal.timestamp)
        if encode_batch(segments) != proposal.data:
            raise RelayerError(
                f"own batch {proposal.id} comes out differently when executed again: the program was changed; "
                "delete the database (waiting operations are lost) or use the old program"
            )
        self._segments = (proposal.id, segments)
        return segments

    def _submit(self, proposal: Proposal, progress: _Progress) -> None:
        if self._is_too_old(proposal):
            self._abandon(proposal, f"its timestamp {proposal.timestamp} is too old after proving", progress)
            return
        call = self.rollup.submit_call(proposal.root, proposal.parent_hash, proposal.data, proposal.proofs)
        with self._store.transaction():
            self._store.add_letter(BATCH, str(proposal.id), self.rollup.address, call)
            self._store.set_proposal_state(proposal.id, ProposalState.SUBMITTED)
            self._checkpoint("submission written")
        progress.submitted = proposal.id
        self._checkpoint("submitted")
        self._settle(progress)
        self._checkpoint("settled")

    def letters_of(self, proposal: int) -> list[Letter]:
        """The calls that carried an own batch to L1."""
        return self._store.letters(BATCH, str(proposal))


def _next_nonce(account: Account, waiting: Container[int]) -> int:
    """The nonce after those that are used or wait without a gap."""
    following = account.nonce
    while following in waiting:
        following += 1
    return following


def _cost(operation: Operation) -> int:
    """What leaves the sender's account."""
    return operation.amount + decode_fee8(operation.fee)


def _by_nonce(rows: Sequence[PoolRow]) -> list[PoolRow]:
    """The same rows; those of one account swap places so that their nonces ascend."""
    queues: dict[int, list[PoolRow]] = {}
    for row in rows:
        queues.setdefault(row.signed.operation.account, []).append(row)
    turns = {account: iter(sorted(queue, key=lambda row: row.signed.nonce)) for account, queue in queues.items()}
    return [next(turns[row.signed.operation.account]) for row in rows]
