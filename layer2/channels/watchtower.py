"""A watchtower: keeps vouchers and co-signed states for others, and brings them to L1 when they are needed.

Whoever gives it something trusts it to act and with nothing else: what it sends pays the payee, or puts the party's own
last state on the table. It pays the gas. May import actors and `layer2.channels`.
"""

import json
import time
from collections.abc import Callable, Sequence
from typing import Final

from layer2.actors.errors import RefusedError
from layer2.chain.signer import Signer
from layer2.channels.actor import CHALLENGE, ChannelActor, StepReport, due
from layer2.channels.contracts import Channels
from layer2.channels.errors import MalformedError
from layer2.channels.signing import is_signed_by
from layer2.channels.states import SignedState, State
from layer2.channels.store import ChannelStore, HubEntry
from layer2.channels.vouchers import SignedVoucher, Voucher

MAX_STATES: Final = 16
"""States that are kept of a channel: its parties can sign as many as they like."""

_SCHEMA: Final = """
CREATE TABLE vouchers (channel BLOB PRIMARY KEY, amount BLOB NOT NULL, signature BLOB NOT NULL) STRICT;
CREATE TABLE states (
    channel BLOB NOT NULL, version BLOB NOT NULL, body TEXT NOT NULL, PRIMARY KEY (channel, version)
) STRICT;
"""


class WatchtowerStore(ChannelStore):
    """The database of a watchtower."""

    SCHEMA = _SCHEMA
    VERSION = 3
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

    def put_states(self, channel_id: bytes, states: Sequence[SignedState]) -> None:
        """Record the states of a channel that are kept, in place of the earlier ones."""
        rows = [(channel_id, one.state.version.to_bytes(8), json.dumps(one.to_json())) for one in states]
        with self.transaction():
            self._run("DELETE FROM states WHERE channel = ?", channel_id)
            self._run_each("INSERT INTO states VALUES (?, ?, ?)", rows)

    def states(self, channel_id: bytes) -> list[SignedState]:
        """The states of a channel that are kept, the last one first."""
        rows = self._run("SELECT body FROM states WHERE channel = ? ORDER BY version DESC", channel_id)
        return [SignedState.from_json(json.loads(body)) for (body,) in rows]


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
        """Keep a state, if none that is kept is as good; stored when this returns.

        Of two, the later is as good if it counts no more deposits. If it counts more, both are kept: those may not have
        arrived, or be taken back by a reorg. At most `MAX_STATES` of a channel are kept, the last ones.

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
        known = self._store.states(key)
        if any(_is_as_good(one.state, signed.state) for one in known):
            return
        kept = [signed, *(one for one in known if not _is_as_good(signed.state, one.state))]
        kept.sort(key=lambda one: one.state.version, reverse=True)
        self._store.put_states(key, kept[:MAX_STATES])
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
        for key, entry in self.follower.states.items():
            closing = entry.facts.closing
            if closing is None or entry.facts.status != "closing":
                continue
            states = self._store.states(key)
            # Nobody can deposit while it closes: what is not covered now never will be.
            signed = next((one for one in states if one.state.is_covered_by(entry.facts.deposits)), None)
            if signed is None or closing.state.version >= signed.state.version:
                continue
            if now > closing.deadline:
                report.warnings.append(
                    f"channel 0x{key.hex()} is closed with version {closing.state.version}, and version "
                    f"{signed.state.version} came too late: the deadline was {closing.deadline}"
                )
            elif not self._is_open(CHALLENGE, key.hex()):
                call = self.channels.challenge_call(entry.config, signed)
                self._write(report, CHALLENGE, key.hex(), self.channels.state_channel, call)


def _is_as_good(one: State, other: State) -> bool:
    """Whether a state can be brought whenever another can, and is no earlier."""
    return one.version >= other.version and one.is_covered_by(other.counted)
