"""Sends calls to L1 so that being killed at any point neither loses nor repeats one.

Every signed transaction is stored before it is sent. Sending it again is harmless: it has one hash and one nonce. A
call counts as settled only when its block has been read by the follower, so a reorg brings both back together. Where a
call was given up that nobody can take back, a transfer of nothing with its nonce keeps it from holding up later ones.
May import `layer2.chain` and the database.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from layer2.actors.database import Attempt, Database, Letter
from layer2.chain.connection import Chain, Receipt
from layer2.chain.errors import ChainError, ChainUnreachableError, InsufficientFundsError, RevertedError
from layer2.chain.sending import build
from layer2.chain.sidecar import transaction_hash
from layer2.chain.signer import Signer, UnsignedTransaction
from layer2.optimistic.blobs import blob_hash

NOTHING: Final = "nothing"
"""The purpose of letters that only use up a nonce. They are void: nothing follows from their fate."""


class Fate(Enum):
    """What became of a letter."""

    WAITING = auto()
    MINED = auto()
    REVERTED = auto()
    REFUSED = auto()


@dataclass(frozen=True)
class Outcome:
    """A letter's fate: still on its way, mined, mined but reverted, or refused before it was sent.

    error: why, for the last two, as far as the node can tell. receipt: for MINED and REVERTED.
    """

    letter: Letter
    fate: Fate
    error: RevertedError | None = None
    receipt: Receipt | None = None


class Outbox:
    """Sends the letters of a store, signed by one account."""

    def __init__(
        self,
        chain: Chain,
        store: Database,
        signer: Signer,
        *,
        resend_after: float = 60,
        urgent: Collection[str] = frozenset(),
        gas_limits: Mapping[str, int] | None = None,
        clock: Callable[[], float] = time.time,
        checkpoint: Callable[[str], None] = lambda point: None,
    ) -> None:
        """resend_after: seconds without being mined after which a transaction is signed again with higher fees.
        urgent: purposes whose transactions are not given up for what waits behind them when they cannot be paid for.
        gas_limits: for each purpose that has one, the most gas that a transaction may take.
        checkpoint: called with the name of each point where being killed matters.
        """
        self._chain = chain
        self._store = store
        self._signer = signer
        self._resend_after = resend_after
        self._urgent = frozenset(urgent)
        self._gas_limits = dict(gas_limits or {})
        self._clock = clock
        self._checkpoint = checkpoint
        self._unpaid: set[int] = set()

    def advance(self, letter: Letter, cursor: int) -> Outcome:
        """Do for an open letter what can be done now. `cursor`: the last block that the follower has read.

        Stores nothing about its fate: the caller does, together with what follows from it.
        Raises ChainError for trouble with the node or when the account cannot pay.
        """
        nonce = self._chain.nonce(self._signer.address)
        for attempt in letter.attempts:
            receipt = self._chain.receipt(attempt.hash)
            if receipt is not None:
                if receipt.block.number > cursor:
                    return Outcome(letter, Fate.WAITING)
                if receipt.ok:
                    return Outcome(letter, Fate.MINED, None, receipt)
                return Outcome(letter, Fate.REVERTED, self._reason(letter), receipt)
        last = letter.attempts[-1] if letter.attempts else None
        if last is not None and nonce <= last.nonce:
            self._close_gap(nonce, last.nonce)
            if self._clock() - last.signed < self._resend_after:
                return self._send(letter, last)
            return self._sign(letter, last.nonce, len(letter.attempts))
        # A node's nonces can be a moment ahead of its receipts: what it still knows is not lost.
        if any(self._chain.transaction(attempt.hash) is not None for attempt in letter.attempts):
            return Outcome(letter, Fate.WAITING)
        # Never signed, or the nonce went to another transaction and none of the signed forms can be mined any more.
        return self._sign(letter, None, 0)

    def _close_gap(self, first: int, end: int) -> None:
        """See to these nonces, for which what comes after them waits, as far as no open letter does."""
        for nonce in range(first, end):
            signed = self._store.signed_with(nonce)
            if signed and not any(self._sees_to(letter, nonce) for letter, _ in signed):
                self._use_up(nonce, signed)

    def _sees_to(self, letter: Letter, nonce: int) -> bool:
        """Whether a letter is open and its last transaction has a nonce, unless it could not be paid for any more."""
        is_stuck = letter.id in self._unpaid and letter.purpose not in self._urgent
        return letter.state == "open" and letter.attempts[-1].nonce == nonce and not is_stuck

    def _use_up(self, nonce: int, signed: Sequence[tuple[Letter, Attempt]]) -> None:
        """Have something mined with a nonce whose letter was given up, or cannot be paid for: once that has waited, or
        the node has lost it, a transfer of nothing. signed: what was signed with it, see `Database.signed_with`.

        A reorg takes transactions away that had settled their letters: these are sent again if the node has lost them.
        """
        letter, attempt = signed[0]
        has_waited = self._clock() - attempt.signed >= self._resend_after
        if letter.purpose == NOTHING:
            is_replaced = has_waited
        elif letter.state == "mined":
            if letter.attempts[-1].nonce != nonce:
                return  # it was signed again with a later nonce, and must not be mined with both
            is_replaced = False
        elif letter.state == "open":
            if not has_waited:
                return  # as before, or it may still be mined
            is_replaced = True
        else:
            is_replaced = has_waited or all(self._chain.transaction(one.hash) is None for _, one in signed)
        if is_replaced:
            try:
                attempt = self._sign_nothing(nonce, letter, len(signed))
            except InsufficientFundsError:
                return  # what was signed before may still be mined
        if self._chain.transaction(attempt.hash) is None:
            try:
                self._chain.broadcast(attempt.raw)
            except ChainUnreachableError:
                raise
            except ChainError:
                pass  # it cannot be mined any more, or its fees are too low still
            self._checkpoint("replacement sent")

    def _sign_nothing(self, nonce: int, letter: Letter, bump: int) -> Attempt:
        """A transfer of nothing to oneself in place of a letter's transaction: with a blob if that has one, since nodes
        replace like by like only."""
        own = self._signer.address
        unsigned = build(self._chain, own, own, b"", blobs=_blobs(letter), nonce=nonce, bump=bump)
        attempt = self._attempt(unsigned)
        self._checkpoint("replacement signed")
        with self._store.transaction():
            number = self._store.add_letter(NOTHING, str(nonce), own, b"", blob=letter.blob)
            self._store.set_letter_state(number, "void")
            self._store.add_attempt(number, attempt)
        self._checkpoint("replacement stored")
        return attempt

    def _sign(self, letter: Letter, nonce: int | None, bump: int) -> Outcome:
        try:
            unsigned = build(
                self._chain,
                self._signer.address,
                letter.target,
                letter.input,
                value=letter.value,
                blobs=_blobs(letter),
                nonce=nonce,
                bump=bump,
            )
        except RevertedError as error:
            if nonce is None:
                return Outcome(letter, Fate.REFUSED, error)
            # What was sent before may still be mined, so it is not refused until something else has its nonce.
            self._use_up(nonce, self._store.signed_with(nonce))
            return Outcome(letter, Fate.WAITING)
        except InsufficientFundsError:
            self._unpaid.add(letter.id)
            raise
        self._unpaid.discard(letter.id)
        limit = self._gas_limits.get(letter.purpose)
        if limit is not None and unsigned.gas > limit and nonce is None:
            return Outcome(letter, Fate.REFUSED, RevertedError(letter.purpose, "", f"it takes more than {limit} gas"))
        attempt = self._attempt(unsigned)
        self._checkpoint("letter signed")
        self._store.add_attempt(letter.id, attempt)
        self._checkpoint("letter stored")
        return self._send(letter, attempt)

    def _attempt(self, unsigned: UnsignedTransaction) -> Attempt:
        raw = self._signer.sign_transaction(unsigned)
        return Attempt(transaction_hash(raw), unsigned.nonce, raw, self._clock())

    def _send(self, letter: Letter, attempt: Attempt) -> Outcome:
        if self._chain.transaction(attempt.hash) is None:
            try:
                self._chain.broadcast(attempt.raw)
            except ChainUnreachableError:
                raise
            except ChainError as refusal:
                # Mined in this very moment, or another form of it waits: the next step sees which. "Reserved": nodes do
                # not take a transaction without blobs while one with blobs of the same account waits, or the reverse.
                # "Base fee": it is signed again with higher fees when it has waited.
                words = str(refusal).lower()
                passing = ("nonce too low", "underpriced", "already reserved", "less than block base fee")
                if not any(one in words for one in passing):
                    raise
            self._checkpoint("letter sent")
        return Outcome(letter, Fate.WAITING)

    def _reason(self, letter: Letter) -> RevertedError | None:
        try:
            hashes = [blob_hash(blob) for blob in _blobs(letter)]
            self._chain.call(letter.target, letter.input, self._signer.address, letter.value, hashes)
        except RevertedError as error:
            return error
        return None


def _blobs(letter: Letter) -> list[bytes]:
    return [] if letter.blob is None else [letter.blob]
