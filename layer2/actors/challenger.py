"""The challenger: executes every batch, proves the first wrong one wrong, and collects the reward.

It needs no bond, only gas. `Disputer` is the part that decides and sends; the sequencer has one as well. Everything it
knows of a dispute is what L1 says (docs/optimistic.md §5) and a stored salt, so it can be killed anywhere, several may
race, and a reorg only makes it look again. May import everything but HTTP, wallet and scripts.
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from layer2.actors.errors import ChallengerError
from layer2.actors.optimistic_follower import OptimisticFollower, OptimisticSync, Position
from layer2.actors.optimistic_store import BatchRow, FraudRow, OptimisticStore
from layer2.actors.outbox import Fate, Outbox, Outcome
from layer2.actors.stepping import run_until_idle
from layer2.chain.blobs import BlobSource
from layer2.chain.optimistic_rollup import OptimisticRollup
from layer2.chain.signer import Signer
from layer2.optimistic.evidence import make_evidence, reservation

RESERVE: Final = "reserve"
PROVE: Final = "prove"
TAKE: Final = "take"
CLAIM: Final = "claim"

PURPOSES: Final = frozenset({RESERVE, PROVE, TAKE, CLAIM})
"""Purposes of the letters that a `Disputer` writes; each one's reference is the batch's hash in hex."""

# The contract refuses a proof for these reasons when it comes too late, or another one was first.
_RACE_LOST: Final = frozenset({"UnknownBatch", "BatchAlreadyConfirmed", "ChallengePeriodOver"})

Deed = Literal["reserve", "prove", "take", "claim"]


@dataclass(frozen=True)
class Move:
    """Something that was sent about a batch: `reason` says why it came to nothing, None if it was mined."""

    deed: Deed
    batch_hash: bytes
    reason: str | None = None


@dataclass
class DisputeReport:
    """What a `Disputer` did in a step. started: calls that are on their way now; settled: their outcomes.

    too_late: a wrong batch that nobody can dispute any more, in words.
    """

    started: list[Move] = field(default_factory=list)
    settled: list[Move] = field(default_factory=list)
    too_late: str | None = None
    is_settling: bool = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing happened."""
        return not (self.started or self.settled)


class Disputer:
    """Writes letters that dispute wrong batches, and learns what became of them."""

    def __init__(
        self,
        follower: OptimisticFollower,
        store: OptimisticStore,
        address: str,
        *,
        reserve: bool = True,
        reserve_margin: int = 3600,
        checkpoint: Callable[[str], None] = lambda point: None,
    ) -> None:
        """address: who sends, and gets the reward. reserve: reserve the reward before the proof is shown, unless fewer
        than `reserve_margin` seconds are left. checkpoint: called with the name of each point where being killed
        matters.
        """
        self._follower = follower
        self._store = store
        self._address = address
        self._reserve = reserve
        self._reserve_margin = reserve_margin
        self._checkpoint = checkpoint

    def settle(self, outcome: Outcome, report: DisputeReport) -> None:
        """Record a letter's fate.

        Raises ChallengerError when the contract refuses a proof for another reason than that it comes too late.
        """
        letter = outcome.letter
        report.is_settling |= outcome.fate is Fate.WAITING
        if outcome.fate is Fate.WAITING:
            return
        deed: Deed = letter.purpose  # type: ignore[assignment]  # one of PURPOSES
        key = bytes.fromhex(letter.reference)
        if outcome.fate is Fate.MINED:
            assert outcome.receipt is not None
            self._store.set_letter_state(letter.id, "mined", outcome.receipt.block.number)
            report.settled.append(Move(deed, key))
            return
        is_refused = outcome.fate is Fate.REFUSED
        self._store.set_letter_state(letter.id, "void" if is_refused else "failed", self._follower.cursor.number)
        detail = outcome.error.detail if outcome.error else "it reverted, but would not any more"
        report.settled.append(Move(deed, key, detail))
        name = outcome.error.name if outcome.error else ""
        if deed == PROVE and is_refused and name not in _RACE_LOST:
            raise ChallengerError(
                f"the contract refuses the proof against batch 0x{key.hex()}: {detail}. This program and the contract "
                "differ; the batch may be wrong all the same, so use another program at once"
            )

    def act(self, now: int, report: DisputeReport) -> None:
        """Write what can be written now. now: the time of L1's head, seconds since 1970."""
        wrong = self._store.first_disputable()
        if wrong is not None:
            self._dispute(wrong, now, report)
        for fraud in self._store.frauds():
            if not fraud.is_claimed:
                self._collect(fraud, now, report)

    def _dispute(self, row: BatchRow, now: int, report: DisputeReport) -> None:
        assert row.wrong is not None
        end = row.header.timestamp + self._follower.rollup.deployment.challenge_period
        if row.is_confirmed or now > end:
            report.too_late = (
                f"batch {row.batch_id} is wrong from chunk {row.wrong.chunk} on, and could be disputed until {end} "
                f"only (it is {now})"
            )
            return
        if self._is_under_way(PROVE, row.hash):
            return
        if self._reserve and now + self._reserve_margin <= end and self._is_rewarded(row):
            salt = self._store.salt(row.hash, secrets.token_bytes(32))
            commitment = reservation(row.hash, row.wrong.chunk, row.wrong.outcome, self._address, salt)
            if self._store.reservation_block(commitment) is None:
                if not self._is_under_way(RESERVE, row.hash):
                    self._write(RESERVE, row.hash, self._follower.rollup.reserve_call(commitment), report)
                return
        examined = self._follower.examine(row)
        assert examined.checked.wrong_chunk is not None
        evidence = make_evidence(examined.posted, examined.checked.wrong_chunk, examined.checked.before)
        self._write(PROVE, row.hash, self._follower.rollup.prove_call(evidence), report)

    def _collect(self, fraud: FraudRow, now: int, report: DisputeReport) -> None:
        rollup = self._follower.rollup
        end = fraud.time + rollup.deployment.reward_delay
        if fraud.challenger == self._address:
            if now > end and not self._is_under_way(CLAIM, fraud.batch_hash) and rollup.reward(fraud.batch_hash).amount:
                self._write(CLAIM, fraud.batch_hash, rollup.claim_call(fraud.batch_hash), report)
            return
        salt = self._store.known_salt(fraud.batch_hash)
        if salt is None or now > end or self._store.letters(TAKE, fraud.batch_hash.hex()):
            return
        mine = reservation(fraud.batch_hash, fraud.chunk, fraud.outcome, self._address, salt)
        block = self._store.reservation_block(mine)
        reward = rollup.reward(fraud.batch_hash)
        if block is not None and reward.amount and block < reward.reserved_at:
            self._write(TAKE, fraud.batch_hash, rollup.take_call(fraud.batch_hash, salt), report)

    def _is_rewarded(self, row: BatchRow) -> bool:
        """Whether the batch's sequencer has a bond to lose."""
        return self._follower.rollup.bond(row.header.sequencer).amount > 0

    def _is_under_way(self, purpose: Deed, batch_hash: bytes) -> bool:
        """Whether a letter waits or was mined."""
        return any(letter.state in ("open", "mined") for letter in self._store.letters(purpose, batch_hash.hex()))

    def _write(self, purpose: Deed, batch_hash: bytes, call: bytes, report: DisputeReport) -> None:
        self._store.add_letter(purpose, batch_hash.hex(), self._follower.rollup.address, call)
        report.started.append(Move(purpose, batch_hash))
        self._checkpoint(f"{purpose} written")


@dataclass(frozen=True)
class ChallengerReport:
    """What a `step` did; is_settling: L1 is about to answer, so step again soon."""

    sync: OptimisticSync
    disputes: DisputeReport

    @property
    def is_idle(self) -> bool:
        """Whether nothing happened."""
        return self.sync.is_empty and self.disputes.is_idle

    @property
    def is_settling(self) -> bool:
        """Whether L1 is about to answer."""
        return self.disputes.is_settling

    @property
    def waiting_for(self) -> str | None:
        """What keeps it from going on."""
        return "a transaction to be mined" if self.is_settling else None


class Challenger:
    """One challenger of one rollup. `step` belongs to one thread."""

    def __init__(
        self,
        rollup: OptimisticRollup,
        store: OptimisticStore,
        signer: Signer,
        blobs: BlobSource,
        *,
        reserve: bool = True,
        reserve_margin: int = 3600,
        confirmations: int = 0,
        resend_after: float = 60,
        clock: Callable[[], float] = time.time,
        checkpoint: Callable[[str], None] = lambda point: None,
    ) -> None:
        """reserve, reserve_margin, checkpoint: see `Disputer`. confirmations: blocks above one before it counts.
        resend_after: see `Outbox`. clock: seconds since 1970.

        Raises as `OptimisticFollower` does.
        """
        self.rollup = rollup
        self._store = store
        self._checkpoint = checkpoint
        self.follower = OptimisticFollower(rollup, store, blobs, confirmations=confirmations, clock=clock)
        self._outbox = Outbox(
            rollup.chain, store, signer, resend_after=resend_after, clock=clock, checkpoint=checkpoint
        )
        self._disputer = Disputer(
            self.follower,
            store,
            signer.address,
            reserve=reserve,
            reserve_margin=reserve_margin,
            checkpoint=checkpoint,
        )

    @property
    def position(self) -> Position:
        """The last right batch on L1 and this node's own state after it."""
        return self.follower.position

    def step(self) -> ChallengerReport:
        """Do everything that can be done now.

        Raises ChainError for trouble with the node (try again), FollowError or ChallengerError for what a person must
        see.
        """
        report = DisputeReport()
        sync = self.follower.sync()
        self._checkpoint("synced")
        self._settle(report)
        self._disputer.act(self.rollup.chain.head().timestamp, report)
        if report.started:
            self._settle(report)
            self._checkpoint("settled")
        return ChallengerReport(sync, report)

    def run_until_idle(self, timeout: float = 300) -> list[ChallengerReport]:
        """Step until there is nothing to do and nothing waits to be mined. Raises ChallengerError after `timeout` s."""
        return run_until_idle(self.step, timeout, ChallengerError)

    def _settle(self, report: DisputeReport) -> None:
        for letter in self._store.open_letters():
            self._disputer.settle(self._outbox.advance(letter, self.follower.cursor.number), report)
