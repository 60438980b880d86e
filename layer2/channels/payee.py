"""The payee of channels of the hub: takes vouchers, keeps the best ones, and claims them in time.

A voucher is stored before it is answered, so no crash loses one that was. May import actors and `layer2.channels`.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from layer2.actors.errors import RefusedError
from layer2.chain.signer import Signer
from layer2.channels.actor import ChannelActor, StepReport, due
from layer2.channels.contracts import Channels
from layer2.channels.errors import ChannelError
from layer2.channels.signing import ETH, sign
from layer2.channels.store import ChannelStore, HubEntry
from layer2.channels.vouchers import ChannelConfig, Close, SignedClose, SignedVoucher, Voucher
from layer2.crypto.eip712 import recover_rsv

CLOSE: Final = "close"


DEFAULT_WITHDRAW_DELAY: Final = 24 * 3600
"""Least delay of a payer's withdrawal, in seconds: a payee that is away for longer can lose what it has not claimed."""

_SCHEMA: Final = """
CREATE TABLE vouchers (
    channel BLOB PRIMARY KEY, amount BLOB NOT NULL, signature BLOB NOT NULL, reference TEXT NOT NULL
) STRICT;
CREATE TABLE closes (
    channel BLOB PRIMARY KEY, amount BLOB NOT NULL, closings INTEGER NOT NULL, signature BLOB NOT NULL
) STRICT;
CREATE TABLE wanted (channel BLOB PRIMARY KEY, amount BLOB NOT NULL) STRICT;
"""


@dataclass(frozen=True, slots=True)
class Best:
    """The best voucher of a channel: all that it pays, and what for."""

    amount: int
    signature: bytes
    reference: str


class PayeeStore(ChannelStore):
    """The database of a payee."""

    SCHEMA = _SCHEMA
    VERSION = 1
    APPLICATION = 0x4C325059

    def put_vouchers(self, vouchers: Iterable[tuple[bytes, Best]]) -> None:
        """Record the best vouchers of channels, all at once."""
        rows = [(key, one.amount.to_bytes(16), one.signature, one.reference) for key, one in vouchers]
        with self.transaction():
            self._run_each("INSERT OR REPLACE INTO vouchers VALUES (?, ?, ?, ?)", rows)

    def vouchers(self) -> dict[bytes, Best]:
        """The best voucher of each channel that has one."""
        rows = self._run("SELECT channel, amount, signature, reference FROM vouchers")
        return {key: Best(int.from_bytes(amount), signature, what) for key, amount, signature, what in rows}

    def put_close(self, close: Close, signature: bytes) -> None:
        """Record what was signed to close a channel."""
        values = (close.channel_id, close.amount.to_bytes(16), close.closings, signature)
        self._run("INSERT OR REPLACE INTO closes VALUES (?, ?, ?, ?)", *values)

    def closes(self) -> dict[bytes, tuple[Close, bytes]]:
        """The last that was signed to close each channel, with the signature."""
        rows = self._run("SELECT channel, amount, closings, signature FROM closes")
        return {key: (Close(key, int.from_bytes(amount), closings), sig) for key, amount, closings, sig in rows}

    def want(self, channel_id: bytes, amount: int) -> None:
        """Record that a channel is to be claimed up to an amount as soon as possible."""
        self._run("INSERT OR REPLACE INTO wanted VALUES (?, ?)", channel_id, amount.to_bytes(16))

    def wanted(self) -> dict[bytes, int]:
        """Channels that are to be claimed, and up to which amounts."""
        return {key: int.from_bytes(amount) for key, amount in self._run("SELECT channel, amount FROM wanted")}


@dataclass(frozen=True)
class PayeeRules:
    """Which channels a payee takes vouchers of, and when it claims.

    tokens: addresses, 0 is ETH. withdraw_delay: least delay of withdrawals in seconds. claim_at: what has to be
    unclaimed in a channel, in smallest units, to be claimed without a reason, beyond what a claim that waits or is on
    its way takes; None never does. settle: also have what was claimed paid out. dust: what is left where it is, as the
    gas would cost more: strangers can make a payee claim as often as they like, by withdrawing.
    """

    tokens: frozenset[str] = frozenset({ETH})
    withdraw_delay: int = DEFAULT_WITHDRAW_DELAY
    claim_at: int | None = None
    settle: bool = True
    dust: int = 0


@dataclass(frozen=True, slots=True)
class Offer:
    """A voucher that pays at least `price` more than the ones before, for `reference`: any text, a request's path, say.

    The same voucher for the same reference may be offered again, as long as no better one came: it pays nothing more.
    """

    signed: SignedVoucher
    price: int = 1
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A voucher that was taken: what it pays more than the ones before; nothing if it was taken before (repeated)."""

    channel_id: bytes
    amount: int
    paid: int
    is_repeated: bool = False


class Payee(ChannelActor):
    """One payee. Vouchers can be taken in any thread; `step` belongs to one."""

    ROLE = "payee"

    def __init__(
        self,
        channels: Channels,
        store: PayeeStore,
        signer: Signer,
        rules: PayeeRules | None = None,
        *,
        confirmations: int | None = None,
        resend_after: float = 60,
        clock: Callable[[], float] = time.time,
        checkpoint: Callable[[str], None] = lambda point: None,
    ) -> None:
        """See `ChannelActor`."""
        super().__init__(
            channels,
            store,
            signer,
            wants_hub=lambda config: config.payee == signer.address,
            confirmations=confirmations,
            resend_after=resend_after,
            clock=clock,
            checkpoint=checkpoint,
        )
        self.rules = rules or PayeeRules()
        self._store = store
        self._separator = channels.hub_domain.separator
        self._lock = threading.RLock()
        self._best = store.vouchers()
        self._closes = store.closes()

    # ---------------------------------------------------------------- taking vouchers

    def check_channel(self, config: ChannelConfig) -> None:
        """Raises RefusedError for a channel whose vouchers this payee never takes."""
        if config.payee != self.address:
            raise RefusedError("foreign_payee", f"the channel pays {config.payee}: open one that pays {self.address}")
        if config.token not in self.rules.tokens:
            known = ", ".join(sorted(self.rules.tokens))
            raise RefusedError("foreign_token", f"the channel is of token {config.token}: open one of {known}")
        if config.withdraw_delay < self.rules.withdraw_delay:
            raise RefusedError(
                "short_delay",
                f"the channel's payer can withdraw after {config.withdraw_delay} s: open one with a withdrawDelay of "
                f"{self.rules.withdraw_delay} s or more",
            )

    def accept(self, signed: SignedVoucher, price: int = 1, reference: str = "") -> Accepted:
        """Take a voucher; see `Offer`. It is stored when this returns. Raises RefusedError when it is not taken."""
        (answer,) = self.accept_many([Offer(signed, price, reference)])
        if isinstance(answer, RefusedError):
            raise answer
        return answer

    def accept_many(self, offers: Sequence[Offer]) -> list[Accepted | RefusedError]:
        """Take vouchers, in this order; what is taken is stored in one transaction when this returns.

        One write to the disk takes as long as checking dozens of vouchers: a busy payee should use this. Raises what
        the database raises when it cannot store; then none is taken.
        """
        answers: list[Accepted | RefusedError] = []
        with self._lock:
            taken: dict[bytes, Best] = {}
            for offer in offers:
                try:
                    answers.append(self._judge(offer, taken))
                except RefusedError as refusal:
                    answers.append(refusal)
            if taken:
                self._store.put_vouchers(taken.items())
                self._checkpoint("vouchers stored")
                self._best |= taken
        return answers

    def _judge(self, offer: Offer, taken: dict[bytes, Best]) -> Accepted:
        """Whether a voucher can be taken; if so, it is added to those that were."""
        signed = offer.signed
        key, amount = signed.channel_id, signed.amount
        entry = self.follower.hub.get(key)
        if entry is None:
            raise RefusedError(
                "unknown_channel",
                f"no channel 0x{key.hex()} pays {self.address}: open one, and wait until it has enough blocks above it",
            )
        self.check_channel(entry.config)
        facts = entry.facts
        before = taken.get(key) or self._best.get(key)
        if before is not None and amount == before.amount and offer.reference == before.reference:
            self._check_signature(entry, signed)
            return Accepted(key, amount, 0, True)
        self._check_synced()
        if facts.withdrawable_after:
            raise RefusedError(
                "withdrawal_pending",
                f"the payer of channel 0x{key.hex()} withdraws after {facts.withdrawable_after}: cancel that, or use "
                "another channel",
            )
        if self._is_closing(entry):
            raise RefusedError(
                "close_signed",
                f"the closing of channel 0x{key.hex()} is signed: close it with that, or use another channel",
            )
        floor = facts.released if before is None else max(before.amount, facts.released)
        if amount <= floor:
            raise RefusedError("stale_voucher", f"the voucher pays {amount}, and {floor} was paid before: sign more")
        if amount - floor < offer.price:
            raise RefusedError(
                "too_little",
                f"the voucher pays {amount - floor} more than before, the price is {offer.price}: sign "
                f"{floor + offer.price}",
            )
        if amount > facts.deposited:
            raise RefusedError(
                "over_balance",
                f"the voucher pays {amount} in all, channel 0x{key.hex()} has received {facts.deposited}: top it up",
            )
        self._check_signature(entry, signed)
        taken[key] = Best(amount, signed.signature, offer.reference)
        return Accepted(key, amount, amount - floor)

    def is_signed(self, signed: SignedVoucher) -> bool:
        """Whether a voucher of one of this payee's channels is signed by the channel's signer, by its own key: what a
        contract says of a signature today, it can deny tomorrow."""
        entry = self.follower.hub.get(signed.channel_id)
        return entry is not None and self._is_signed_for(entry, signed)

    def _is_signed_for(self, entry: HubEntry, signed: SignedVoucher) -> bool:
        signer = recover_rsv(signed.voucher.digest(self._separator), signed.signature)
        return signer == int(entry.config.voucher_signer, 16)

    def _check_signature(self, entry: HubEntry, signed: SignedVoucher) -> None:
        if not self._is_signed_for(entry, signed):
            raise RefusedError(
                "wrong_signature",
                f"the signature is not one of the key of {entry.config.voucher_signer}, who signs for channel "
                f"0x{entry.id.hex()} at {self.channels.hub} (contracts cannot sign here)",
            )

    def _is_closing(self, entry: HubEntry) -> bool:
        """Whether what was signed to close the channel can still be used."""
        if entry.id not in self._closes:
            return False
        close, _ = self._closes[entry.id]
        return close.closings == entry.facts.closings and entry.facts.released <= close.amount

    # ---------------------------------------------------------------- what it has

    def best(self, channel_id: bytes) -> SignedVoucher | None:
        """The best voucher of a channel."""
        with self._lock:
            best = self._best.get(channel_id)
        return None if best is None else SignedVoucher(Voucher(channel_id, best.amount), best.signature)

    def unclaimed(self, channel_id: bytes) -> int:
        """What the best voucher of a channel would pay now."""
        entry = self._entry(channel_id)
        best = self._best.get(channel_id)
        return 0 if best is None else due(entry, best.amount)

    def _entry(self, channel_id: bytes) -> HubEntry:
        entry = self.follower.hub.get(channel_id)
        if entry is None:
            raise ChannelError(f"no channel 0x{channel_id.hex()} pays {self.address}: check the id")
        return entry

    # ---------------------------------------------------------------- closing

    def sign_close(self, channel_id: bytes) -> SignedClose:
        """Consent to closing a channel with what was paid by now; stored when this returns.

        From then on no voucher of the channel is taken until it has been closed. Asked again, it gives the same answer.
        Raises ChannelError for an unknown or empty channel.
        """
        with self._lock:
            entry = self._entry(channel_id)
            if entry.facts.balance == 0:
                raise ChannelError(f"channel 0x{channel_id.hex()} is empty: there is nothing to close")
            if not self._is_closing(entry):
                close = self._next_close(entry)
                signature = sign(self.signer, close, self.channels.hub_domain)
                self._store.put_close(close, signature)
                self._checkpoint("close stored")
                self._closes[channel_id] = (close, signature)
            close, signature = self._closes[channel_id]
            return SignedClose(close, signature, self._voucher_of(close))

    def _next_close(self, entry: HubEntry) -> Close:
        """What would be signed now."""
        best = self._best.get(entry.id)
        # A voucher of before a withdrawal pays nothing any more.
        amount = max(best.amount if best else 0, entry.facts.released)
        return Close(entry.id, amount, entry.facts.closings)

    def _voucher_of(self, close: Close) -> bytes:
        """The signature that shows the hub that a closing's amount was paid: none if that much was released before."""
        best = self._best.get(close.channel_id)
        return best.signature if best is not None and best.amount == close.amount else b""

    def close(self, channel_id: bytes) -> None:
        """Close a channel at the payee's own cost, with what was paid by now; `step` sends it.

        Errors as `sign_close`, and ChannelError if it cannot be paid for: nothing is signed then, so that vouchers are
        still taken.
        """
        entry, reference = self._entry(channel_id), channel_id.hex()
        is_new = not self._is_open(CLOSE, reference)
        if is_new and entry.facts.balance:
            with self._lock:
                call = self._close_call(entry, self._next_close(entry))
            self._check_affordable(CLOSE, self.channels.hub, call)
        signed = self.sign_close(channel_id)
        if is_new:
            self._write_letter(CLOSE, reference, self.channels.hub, self._close_call(entry, signed.close))

    def _close_call(self, entry: HubEntry, close: Close) -> bytes:
        return self.channels.close_call(entry.config, close.amount, self._voucher_of(close), b"")

    # ---------------------------------------------------------------- claiming

    def claim(self, channel_ids: Iterable[bytes] | None = None) -> int:
        """Claim the best vouchers of channels, of all unless given, at the next step. Returns what they pay.

        Raises ChannelError for an unknown channel.
        """
        total = 0
        with self._lock, self._store.transaction():
            for key in list(self._best) if channel_ids is None else channel_ids:
                if channel_ids is None and key not in self.follower.hub:
                    continue
                unclaimed = self.unclaimed(key)
                if unclaimed:
                    total += unclaimed
                    self._store.want(key, self._best[key].amount)
        return total

    def _act(self, now: int, report: StepReport) -> None:
        under_way = self._claims_under_way()
        wanted = self._store.wanted()
        claims: list[tuple[HubEntry, SignedVoucher]] = []
        with self._lock:
            for key, best in self._best.items():
                entry = self.follower.hub.get(key)
                if entry is None:
                    continue
                unclaimed, after = due(entry, best.amount), entry.facts.withdrawable_after
                # While a claim waits for ETH, not every voucher is worth another: all of them would be sent in the end.
                more = unclaimed - due(entry, under_way.get(key, 0))
                is_wanted = wanted.get(key, 0) > max(entry.facts.released, under_way.get(key, 0))
                if more <= (0 if is_wanted else self.rules.dust):
                    continue
                if after and after < now:
                    report.warnings.append(
                        f"the payer of channel 0x{key.hex()} can withdraw since {after}, and {unclaimed} is not claimed"
                    )
                if after or is_wanted or self._is_worth_it(more):
                    claims.append((entry, SignedVoucher(Voucher(key, best.amount), best.signature)))
        self._write_claims(report, claims)
        # After anybody's claim or closing, and once after each start.
        if self.rules.settle and self._settled_at != self.follower.changes:
            self._write_settlements(report, self.channels.hub, self.rules.tokens, self.rules.dust)
            self._settled_at = self.follower.changes

    def _is_worth_it(self, more: int) -> bool:
        """Whether so much more than what is claimed, or about to be, is claimed without a reason."""
        return self.rules.claim_at is not None and more >= self.rules.claim_at
