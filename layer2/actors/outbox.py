"""Sends calls to L1 so that being killed at any point neither loses nor repeats one.

Every signed transaction is stored before it is sent. Sending it again is harmless: it has one hash and one nonce. A
call counts as settled only when its block has been read by the follower, so a reorg brings both back together.
May import `layer2.chain` and the database.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from layer2.actors.database import Attempt, Database, Letter
from layer2.chain.connection import Chain, Receipt
from layer2.chain.errors import ChainError, ChainUnreachableError, RevertedError
from layer2.chain.sending import build
from layer2.chain.sidecar import transaction_hash
from layer2.chain.signer import Signer
from layer2.optimistic.blobs import blob_hash


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
        gas_limits: Mapping[str, int] | None = None,
        clock: Callable[[], float] = time.time,
        checkpoint: Callable[[str], None] = lambda point: None,
    ) -> None:
        """resend_after: seconds without being mined after which a transaction is signed again with higher fees.
        gas_limits: for each purpose that has one, the most gas that a transaction may take.
        checkpoint: called with the name of each point where being killed matters.
        """
        self._chain = chain
        self._store = store
        self._signer = signer
        self._resend_after = resend_after
        self._gas_limits = dict(gas_limits or {})
        self._clock = clock
        self._checkpoint = checkpoint

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
        """Send again what has these nonces, whatever became of it, if the node has lost it.

        A reorg takes transactions away that had settled their letters; what comes after them waits for them in vain.
        """
        for nonce in range(first, end):
            attempts = self._store.attempts_with(nonce)
            if attempts and all(self._chain.transaction(attempt.hash) is None for attempt in attempts):
                try:
                    self._chain.broadcast(attempts[0].raw)
                except ChainUnreachableError:
                    raise
                except ChainError:
                    pass  # it cannot be mined any more: nothing that could be done here

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
            # What was sent before may still be mined; only a letter that was never signed is surely refused.
            if nonce is not None:
                return self._send(letter, letter.attempts[-1], error)
            return Outcome(letter, Fate.REFUSED, error)
        limit = self._gas_limits.get(letter.purpose)
        if limit is not None and unsigned.gas > limit and nonce is None:
            return Outcome(letter, Fate.REFUSED, RevertedError(letter.purpose, "", f"it takes more than {limit} gas"))
        raw = self._signer.sign_transaction(unsigned)
        attempt = Attempt(transaction_hash(raw), unsigned.nonce, raw, self._clock())
        self._checkpoint("letter signed")
        self._store.add_attempt(letter.id, attempt)
        self._checkpoint("letter stored")
        return self._send(letter, attempt)

    def _send(self, letter: Letter, attempt: Attempt, error: RevertedError | None = None) -> Outcome:
        if self._chain.transaction(attempt.hash) is None:
            try:
                self._chain.broadcast(attempt.raw)
            except ChainUnreachableError:
                raise
            except ChainError as refusal:
                # Mined in this very moment, or another form of it waits: the next step sees which. "Reserved": nodes do
                # not take a transaction without blobs while one with blobs of the same account waits, or the reverse.
                words = str(refusal).lower()
                if not any(one in words for one in ("nonce too low", "underpriced", "already reserved")):
                    raise
            self._checkpoint("letter sent")
        return Outcome(letter, Fate.WAITING, error)

    def _reason(self, letter: Letter) -> RevertedError | None:
        try:
            hashes = [blob_hash(blob) for blob in _blobs(letter)]
            self._chain.call(letter.target, letter.input, self._signer.address, letter.value, hashes)
        except RevertedError as error:
            return error
        return None


def _blobs(letter: Letter) -> list[bytes]:
    return [] if letter.blob is None else [letter.blob]
