"""The payer of channels of the hub: opens them, signs vouchers, and gets back what is left.

A payment is stored before its voucher is given away, under a reference: asked for again, after a crash say, the same
voucher comes out, and no other. May import actors and `layer2.channels`.
"""

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Literal

from layer2.chain.signer import LocalSigner, Signer
from layer2.channels.actor import ChannelActor, StepReport
from layer2.channels.contracts import Channels
from layer2.channels.errors import ChannelError
from layer2.channels.signing import ETH, ZERO_ADDRESS, is_signed_by, sign
from layer2.channels.store import ChannelStore, HubEntry
from layer2.channels.vouchers import ChannelConfig, SignedClose, SignedVoucher, Voucher
from layer2.crypto.addresses import int_to_address
from layer2.crypto.eip712 import address_of

START: Final = "start withdrawal"
FINISH: Final = "finish withdrawal"
CLOSE: Final = "close"

_SCHEMA: Final = """
CREATE TABLE payments (
    channel BLOB NOT NULL, amount BLOB NOT NULL, paid BLOB NOT NULL, signature BLOB NOT NULL,
    reference TEXT NOT NULL, is_answered INTEGER NOT NULL, PRIMARY KEY (channel, amount)
) STRICT;
CREATE TABLE withdrawals (channel BLOB PRIMARY KEY) STRICT;
CREATE TABLE keys (address TEXT PRIMARY KEY, key BLOB NOT NULL) STRICT;
"""


@dataclass(frozen=True)
class Payment:
    """A voucher: `amount` in all, `paid` more than the one before, for `reference`.

    is_answered: the payee has said that it has it.
    """

    channel_id: bytes
    amount: int
    paid: int
    signature: bytes
    reference: str
    is_answered: bool

    @property
    def signed(self) -> SignedVoucher:
        """What the payee gets."""
        return SignedVoucher(Voucher(self.channel_id, self.amount), self.signature)


class PayerStore(ChannelStore):
    """The database of a payer. Whoever reads it has the keys in it, which can sign vouchers and nothing else."""

    SCHEMA = _SCHEMA
    VERSION = 2
    APPLICATION = 0x4C325052

    def add_key(self, address: str, key: bytes) -> None:
        """Record a key that signs vouchers."""
        self._run("INSERT OR REPLACE INTO keys VALUES (?, ?)", address, key)

    def key(self, address: str) -> bytes | None:
        """The key of an address."""
        rows = self._run("SELECT key FROM keys WHERE address = ?", address)
        return rows[0][0] if rows else None

    def put_payment(self, payment: Payment) -> None:
        """Record a payment; earlier ones that will not be asked for again are forgotten."""
        with self.transaction():
            self._run(
                "INSERT OR REPLACE INTO payments VALUES (?, ?, ?, ?, ?, ?)",
                payment.channel_id,
                payment.amount.to_bytes(16),
                payment.paid.to_bytes(16),
                payment.signature,
                payment.reference,
                int(payment.is_answered),
            )
            self._run(
                "DELETE FROM payments WHERE channel = ?1 AND (is_answered OR reference = '') "
                "AND amount < (SELECT MAX(amount) FROM payments WHERE channel = ?1)",
                payment.channel_id,
            )

    def payment(self, channel_id: bytes) -> Payment | None:
        """The last payment of a channel."""
        rows = self._run("SELECT * FROM payments WHERE channel = ? ORDER BY amount DESC LIMIT 1", channel_id)
        return _payment(rows[0]) if rows else None

    def unanswered(self, channel_id: bytes, reference: str) -> Payment | None:
        """The payment of a channel for a reference, unless the payee has answered it or there is none."""
        rows = self._run(
            "SELECT * FROM payments WHERE channel = ? AND reference = ? AND reference <> '' AND NOT is_answered",
            channel_id,
            reference,
        )
        return _payment(rows[0]) if rows else None

    def set_withdrawing(self, channel_id: bytes, on: bool) -> None:
        """Record whether a channel's balance is wanted back."""
        if on:
            self._run("INSERT OR IGNORE INTO withdrawals VALUES (?)", channel_id)
        else:
            self._run("DELETE FROM withdrawals WHERE channel = ?", channel_id)

    def withdrawing(self) -> set[bytes]:
        """Channels whose balance is wanted back."""
        return {key for (key,) in self._run("SELECT channel FROM withdrawals")}


def _payment(row: tuple[bytes, bytes, bytes, bytes, str, int]) -> Payment:
    key, amount, paid, signature, reference, answered = row
    return Payment(key, int.from_bytes(amount), int.from_bytes(paid), signature, reference, bool(answered))


class Payer(ChannelActor):
    """One payer. Payments can be made in any thread; `step` belongs to one."""

    ROLE = "payer"

    def __init__(
        self,
        channels: Channels,
        store: PayerStore,
        signer: Signer,
        *,
        dust: int = 0,
        confirmations: int | None = 0,
        resend_after: float = 60,
        clock: Callable[[], float] = time.time,
        checkpoint: Callable[[str], None] = lambda point: None,
    ) -> None:
        """See `ChannelActor`. dust: what the hub may go on owing this account, in smallest units of any token, as being
        paid out costs more. confirmations: 0 unless given, as the payee is the one who waits for them."""
        super().__init__(
            channels,
            store,
            signer,
            wants_hub=lambda config: config.payer == signer.address,
            confirmations=confirmations,
            resend_after=resend_after,
            clock=clock,
            checkpoint=checkpoint,
        )
        self.dust = dust
        self._store = store
        self._lock = threading.RLock()

    # ---------------------------------------------------------------- opening

    def open(
        self,
        payee: str,
        amount: int,
        *,
        token: str = ETH,
        withdraw_delay: int,
        own_key: bool = False,
        salt: bytes | None = None,
    ) -> ChannelConfig:
        """Open a channel to a payee with a deposit; `step` sends it.

        token: address, 0 is ETH. amount in smallest units, withdraw_delay in seconds. own_key: make a key for its
        vouchers, kept in the database, so that the account need not sign each of them. salt: 32 bytes, random unless
        given. Raises ChannelError for too little money, MalformedError for settings that no channel can have,
        ChainError when a token's approval fails.
        """
        key = secrets.token_bytes(32)
        signer = int_to_address(address_of(key)) if own_key else ZERO_ADDRESS
        config = ChannelConfig(
            self.address, payee, token, signer, withdraw_delay, secrets.token_bytes(32) if salt is None else salt
        )
        if own_key:
            self._store.add_key(signer, key)
        self._deposit(config, amount)
        return config

    def top_up(self, channel_id: bytes, amount: int) -> None:
        """Deposit more into a channel; `step` sends it. Ends the wish to withdraw. Errors as `open`, and for an unknown
        channel."""
        self._deposit(self.entry(channel_id).config, amount)
        self._store.set_withdrawing(channel_id, False)

    def _deposit(self, config: ChannelConfig, amount: int) -> None:
        channels = self.channels
        self._write_deposit(config, channels.hub, amount, partial(channels.deposit_call, config, amount))

    # ---------------------------------------------------------------- what there is

    def entry(self, channel_id: bytes) -> HubEntry:
        """An own channel that is open. Raises ChannelError when there is none."""
        entry = self.follower.hub.get(channel_id)
        if entry is None:
            raise ChannelError(
                f"{self.address} is the payer of no channel 0x{channel_id.hex()}: check the id, or wait until its "
                "deposit has enough blocks above it"
            )
        return entry

    def find(self, payee: str, token: str, amount: int, withdraw_delay: int = 0) -> HubEntry | None:
        """An own channel from which so much more can be paid to a payee, the one with the most left."""
        fit = [
            entry
            for entry in self.follower.hub.values()
            if entry.config.payee == payee
            and entry.config.token == token
            and entry.config.withdraw_delay >= withdraw_delay
            and not entry.facts.withdrawable_after
            and entry.id not in self._store.withdrawing()
            and self.left(entry.id) >= max(amount, 1)
        ]
        return max(fit, key=lambda entry: self.left(entry.id), default=None)

    def left(self, channel_id: bytes) -> int:
        """What more can be paid."""
        entry = self.entry(channel_id)
        return max(entry.facts.deposited - self._floor(entry), 0)

    def payment(self, channel_id: bytes) -> Payment | None:
        """The last payment."""
        return self._store.payment(channel_id)

    def unanswered(self, payee: str, token: str, reference: str) -> Payment | None:
        """The payment to a payee in a token for a reference that was not answered: over whichever channel it went, it
        is to be sent again, and no other."""
        for entry in self.follower.hub.values():
            if entry.config.payee == payee and entry.config.token == token:
                found = self._store.unanswered(entry.id, reference)
                if found is not None:
                    return found
        return None

    def _floor(self, entry: HubEntry) -> int:
        """What was paid so far, by vouchers or back to the payer."""
        last = self._store.payment(entry.id)
        return max(last.amount if last else 0, entry.facts.released)

    # ---------------------------------------------------------------- paying

    def pay(self, channel_id: bytes, amount: int, reference: str = "") -> Payment:
        """Sign a voucher that pays `amount` more; stored when this returns.

        reference: any text. As long as the payee has not answered (`answered`), the same reference gives the same
        voucher again, whatever was paid since. Raises ChannelError for an unknown channel, one that is being emptied,
        too little in it, or a reference that was for another amount.
        """
        with self._lock:
            entry = self.entry(channel_id)
            if amount <= 0:
                raise ChannelError(f"a payment of {amount} pays nothing: give an amount")
            known = self._store.unanswered(channel_id, reference)
            if known is not None:
                if known.paid != amount:
                    raise ChannelError(
                        f"payment {reference!r} was for {known.paid}, not {amount}: take another reference for another"
                    )
                return known
            if entry.facts.withdrawable_after or channel_id in self._store.withdrawing():
                raise ChannelError(
                    f"channel 0x{channel_id.hex()} is being withdrawn from, and its payee takes no vouchers: cancel "
                    "that, or open another"
                )
            floor = self._floor(entry)
            # The excess would be claimed from the next deposit.
            if floor + amount > entry.facts.deposited:
                raise ChannelError(
                    f"channel 0x{channel_id.hex()} has {entry.facts.deposited - floor} left, not {amount}: top it up"
                )
            voucher = Voucher(channel_id, floor + amount)
            signature = sign(self._voucher_signer(entry.config), voucher, self.channels.hub_domain)
            payment = Payment(channel_id, voucher.amount, amount, signature, reference, False)
            self._checkpoint("voucher signed")
            self._store.put_payment(payment)
            self._checkpoint("voucher stored")
            return payment

    def answered(self, payment: Payment) -> None:
        """The payee has taken or refused the voucher: its reference is free for another payment."""
        with self._lock:
            self._store.put_payment(replace(payment, is_answered=True))

    def catch_up(self, signed: SignedVoucher) -> None:
        """Take note of a voucher of one's own that somebody else has kept: for who lost the database.

        Raises ChannelError when it is not signed for an own channel.
        """
        with self._lock:
            entry = self.entry(signed.channel_id)
            if not is_signed_by(
                signed.voucher, self.channels.hub_domain, entry.config.voucher_signer, signed.signature
            ):
                raise ChannelError(f"{entry.config.voucher_signer} did not sign the voucher over {signed.amount}")
            last = self._store.payment(signed.channel_id)
            if last is None or last.amount < signed.amount:
                self._store.put_payment(Payment(signed.channel_id, signed.amount, 0, signed.signature, "", True))

    def proof(self, channel_id: bytes) -> SignedVoucher:
        """The last voucher, or one over 0: shows the payee who is asking, and pays nothing more.

        Raises ChannelError for an unknown channel.
        """
        entry, last = self.entry(channel_id), self._store.payment(channel_id)
        if last is not None:
            return last.signed
        voucher = Voucher(channel_id, 0)
        return SignedVoucher(voucher, sign(self._voucher_signer(entry.config), voucher, self.channels.hub_domain))

    def _voucher_signer(self, config: ChannelConfig) -> Signer:
        if config.voucher_signer == self.address:
            return self.signer
        key = self._store.key(config.voucher_signer)
        if key is None:
            raise ChannelError(
                f"the key of {config.voucher_signer}, who signs for channel 0x{config.id.hex()}, is not in this "
                "database: use the database that opened it, or withdraw and open another"
            )
        return LocalSigner(key)

    # ---------------------------------------------------------------- getting the rest back

    def withdraw(self, channel_id: bytes) -> None:
        """Want back what is not claimed: `step` starts the withdrawal, finishes it when its time has come, and has it
        paid out, in whatever token: who wants it trusts the token. No more payments meanwhile. Raises ChannelError for
        an unknown channel, or an empty one in whose token nothing is owed."""
        with self._lock:
            if self.entry(channel_id).facts.balance == 0 and not self.owed(channel_id):
                raise ChannelError(f"channel 0x{channel_id.hex()} is empty: there is nothing to withdraw")
            self._store.set_withdrawing(channel_id, True)
            self._settle_anew()
            self._checkpoint("withdrawal wanted")

    def owed(self, channel_id: bytes) -> int:
        """What the hub owes this account in a channel's token, for all channels."""
        return self.channels.owed(self.channels.hub, self.address, self.entry(channel_id).config.token)

    def cancel_withdrawal(self, channel_id: bytes) -> None:
        """Leave the money in the channel after all; `step` cancels what was started.

        Raises ChannelError for an unknown channel.
        """
        with self._lock:
            self.entry(channel_id)
            self._store.set_withdrawing(channel_id, False)

    def close(self, signed: SignedClose) -> None:
        """Close a channel with what its payee has signed; `step` sends it.

        Raises ChannelError when the payee did not sign it so, or wants more than it was paid.
        """
        close = signed.close
        entry = self.entry(close.channel_id)
        last = self._store.payment(close.channel_id)
        if close.closings != entry.facts.closings or close.amount < entry.facts.released:
            raise ChannelError("this closing was signed for an earlier time of the channel: ask for another")
        if not is_signed_by(close, self.channels.hub_domain, entry.config.payee, signed.signature):
            raise ChannelError(f"payee {entry.config.payee} did not sign this closing: ask for its signature")
        floor = self._floor(entry)
        if close.amount > floor:
            raise ChannelError(f"the payee wants {close.amount}, and was paid {floor}: do not close with that")
        voucher = last.signature if last is not None and last.amount == close.amount else signed.voucher_signature
        if not self._is_open(CLOSE, close.channel_id.hex()):
            call = self.channels.close_call(entry.config, close.amount, voucher, signed.signature)
            self._write_wanted(CLOSE, close.channel_id.hex(), self.channels.hub, call)

    def _act(self, now: int, report: StepReport) -> None:
        self._write_withdrawals(now, report)
        withdrawing = self._store.withdrawing()

        def is_own(key: bytes) -> bool:
            return key in withdrawing or self._has_deposited(key) or bool(self._store.letters(CLOSE, key.hex()))

        self._settle_own(
            report,
            self.channels.hub,
            self.follower.hub.values(),
            self.dust,
            takes_part=lambda key: is_own(key) or self._store.payment(key) is not None,
            trusts=is_own,
        )

    def _write_withdrawals(self, now: int, report: StepReport) -> None:
        withdrawing = self._store.withdrawing()
        for entry in self.follower.hub.values():
            after, wanted = entry.facts.withdrawable_after, entry.id in withdrawing
            purpose: Literal["start", "finish", "cancel"]
            if entry.facts.balance == 0:
                continue  # done; the wish stays, so that a reorg does not turn it around
            if wanted and not after:
                purpose = "start"
            elif wanted and now > after:
                purpose = "finish"
            elif not wanted and after and self._started(entry.id):
                purpose = "cancel"
            else:
                continue
            reference = entry.id.hex()
            if not self._is_open(f"{purpose} withdrawal", reference):
                call = self.channels.withdrawal_call(purpose, entry.config)
                self._write(report, f"{purpose} withdrawal", reference, self.channels.hub, call)

    def _started(self, channel_id: bytes) -> bool:
        return bool(self._store.letters(START, channel_id.hex()))
