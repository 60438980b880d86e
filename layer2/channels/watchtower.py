"""A watchtower: keeps vouchers and co-signed states for others, and brings them to L1 when they are needed.

Whoever gives it something trusts it to act and with nothing else: what it sends pays the payee, or puts the party's own
last state on the table. It pays the gas. May import actors and `layer2.channels`.
"""

import json
import time
from collections.abc import Callable
from typing import Final

from layer2.actors.errors import RefusedError
from layer2.chain.signer import Signer
from layer2.channels.actor import ChannelActor, StepReport, due
from layer2.channels.contracts import Channels
from layer2.channels.errors import MalformedError
from layer2.channels.signing import is_signed_by
from layer2.channels.states import SignedState
from layer2.channels.store import ChannelStore, HubEntry
from layer2.channels.vouchers import SignedVoucher, Voucher

CHALLENGE: Final = "challenge"

_SCHEMA: Final = """
CREATE TABLE vouchers (channel BLOB PRIMARY KEY, amount BLOB NOT NULL, signature BLOB NOT NULL) STRICT;
CREATE TABLE states (channel BLOB PRIMARY KEY, body TEXT NOT NULL) STRICT;
"""


class WatchtowerStore(ChannelStore):
    """The database of a watchtower."""

    SCHEMA = _SCHEMA
    VERSION = 2
    APPLICATION = 0x4C325754

    def put_voucher(self, signed: SignedVoucher) -> None:
        """Record the best voucher of a channel."""
        self._run(
            "INSERT OR REPLACE INTO vouchers VALUES (?, ?, ?)",
            signed.channel_id,
            signed.amount.to_bytes(16),
            signed.signature,
        )

    def vouchers(self) -> dict[bytes, SignedVoucher]:
        """The best voucher of each channel that has one."""
        rows = self._run("SELECT channel, amount, signature FROM vouchers")
        return {key: SignedVoucher(Voucher(key, int.from_bytes(amount)), signature) for key, amount, signature in rows}

    def put_state(self, signed: SignedState) -> None:
        """Record the best state of a channel."""
        body = json.dumps(signed.to_json())
        self._run("INSERT OR REPLACE INTO states VALUES (?, ?)", signed.state.channel_id, body)

    def states(self) -> dict[bytes, SignedState]:
        """The best state of each channel that has one."""
        rows = self._run("SELECT channel, body FROM states")
        return {key: SignedState.from_json(json.loads(body)) for key, body in rows}


class Watchtower(ChannelActor):
    """One watchtower, for all channels of a deployment. All of it belongs to one thread."""

    ROLE = "watchtower"

    def __init__(
        self,
        channels: Channels,
        store: WatchtowerStore,
        signer: Signer,
        *,
        confirmations: int | None = 0,
        resend_after: float = 60,
        clock: Callable[[], float] = time.time,
        checkpoint: Callable[[str], None] = lambda point: None,
    ) -> None:
        """See `ChannelActor`. confirmations: 0 unless given, as it gives nothing away and should be quick."""
        super().__init__(
            channels,
            store,
            signer,
            wants_hub=lambda config: True,
            wants_state=lambda config: True,
            confirmations=confirmations,
            resend_after=resend_after,
            clock=clock,
            checkpoint=checkpoint,
        )
        self._store = store

    def hold_voucher(self, signed: SignedVoucher) -> None:
        """Keep a voucher, if it is the best of its channel; stored when this returns.

        Raises RefusedError for an unknown channel or a signature that is not its signer's.
        """
        entry = self.follower.hub.get(signed.channel_id)
        if entry is None:
            raise RefusedError("unknown_channel", f"there is no channel 0x{signed.channel_id.hex()}: look again later")
        signer = entry.config.voucher_signer
        if not is_signed_by(signed.voucher, self.channels.hub_domain, signer, signed.signature):
            raise RefusedError("wrong_signature", f"{signer} did not sign the voucher over {signed.amount} by its key")
        known = self._store.vouchers().get(signed.channel_id)
        if known is None or known.amount < signed.amount:
            self._store.put_voucher(signed)
            self._checkpoint("voucher held")

    def hold_state(self, signed: SignedState) -> None:
        """Keep a state, if it is the last of its channel; stored when this returns.

        Raises RefusedError for an unknown or closed channel, or signatures that are not both parties'.
        """
        key = signed.state.channel_id
        entry = self.follower.states.get(key)
        if entry is None or entry.facts.status == "closed":
            raise RefusedError("unknown_channel", f"no channel 0x{key.hex()} is open: look again later")
        try:
            signed.check(entry.config, self.channels.state_domain)
        except MalformedError as error:
            raise RefusedError("wrong_signature", str(error)) from error
        known = self._store.states().get(key)
        if known is None or known.state.version < signed.state.version:
            self._store.put_state(signed)
            self._checkpoint("state held")

    def _act(self, now: int, report: StepReport) -> None:
        self._write_challenges(now, report)
        under_way = self._claims_under_way()
        claims: list[tuple[HubEntry, SignedVoucher]] = []
        for key, signed in self._store.vouchers().items():
            entry = self.follower.hub.get(key)
            if entry is None or not entry.facts.withdrawable_after or not due(entry, signed.amount):
                continue
            if signed.amount > under_way.get(key, 0):
                claims.append((entry, signed))
        self._write_claims(report, claims)

    def _write_challenges(self, now: int, report: StepReport) -> None:
        for key, signed in self._store.states().items():
            entry = self.follower.states.get(key)
            if entry is None or entry.facts.status != "closing":
                continue
            closing = entry.facts.closing
            assert closing is not None
            if closing.state.version >= signed.state.version:
                continue
            if now > closing.deadline:
                report.warnings.append(
                    f"channel 0x{key.hex()} is closed with version {closing.state.version}, and version "
                    f"{signed.state.version} came too late: the deadline was {closing.deadline}"
                )
            elif not self._is_open(CHALLENGE, key.hex()):
                call = self.channels.challenge_call(entry.config, signed)
                self._write(report, CHALLENGE, key.hex(), self.channels.state_channel, call)
