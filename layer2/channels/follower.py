"""Follows the hub and the state channels on L1, for the channels that an actor wants to know of.

May import `layer2.chain`, `layer2.actors.reading` and the store.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from eth_utils.address import to_checksum_address

from layer2.actors.reading import LogPages
from layer2.chain.coder import Event
from layer2.chain.connection import LOCAL_CHAIN_IDS, BlockRef
from layer2.chain.log_reader import Reading
from layer2.channels.contracts import Channels, HubChannel
from layer2.channels.signing import ZERO_ADDRESS
from layer2.channels.states import State, StateChannelConfig
from layer2.channels.store import ChannelStore, Closing, HubEntry, Outcome, StateChannel, StateEntry
from layer2.channels.vouchers import ChannelConfig

CONFIRMATIONS: Final = 12
"""Blocks above a deposit before it counts, on chains that are not local."""


def default_confirmations(chain_id: int) -> int:
    """How many blocks have to lie above one before it counts: a deposit that a reorg takes back covers no signature."""
    return 0 if chain_id in LOCAL_CHAIN_IDS else CONFIRMATIONS


@dataclass
class ChannelSync:
    """What a `sync` found: ids of channels of the hub and of two parties that changed, hashes of revealed secrets."""

    hub: set[bytes] = field(default_factory=set)
    states: set[bytes] = field(default_factory=set)
    secrets: set[bytes] = field(default_factory=set)
    rewound_to: BlockRef | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing happened."""
        return not (self.hub or self.states or self.secrets or self.rewound_to)


class ChannelFollower:
    """Reads the logs of both contracts. `hub` and `states` may be read from any thread; `sync` belongs to one."""

    def __init__(
        self,
        channels: Channels,
        store: ChannelStore,
        *,
        wants_hub: Callable[[ChannelConfig], bool] = lambda config: False,
        wants_state: Callable[[StateChannelConfig], bool] = lambda config: False,
        confirmations: int | None = None,
        max_range: int = 2000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Takes up where the database left off.

        wants_hub, wants_state: which channels to know of; always the same ones for a database. confirmations: blocks
        above one before it counts, `default_confirmations` unless given. max_range: see `LogReader`. clock: seconds
        since 1970.
        Raises ChainError when the node does not answer.
        """
        self.channels = channels
        self._store = store
        self._wants_hub = wants_hub
        self._wants_state = wants_state
        deployment = channels.deployment
        self._confirmations = default_confirmations(deployment.chain_id) if confirmations is None else confirmations
        self._reader = LogPages(
            channels.chain,
            (channels.hub, channels.state_channel),
            store,
            deployment.block,
            confirmations=self._confirmations,
            max_range=max_range,
        )
        self.mines_on_demand = deployment.chain_id in LOCAL_CHAIN_IDS
        """Whether the chain's head may be old although the node is well."""
        self.hub: dict[bytes, HubEntry] = {}
        self.states: dict[bytes, StateEntry] = {}
        self.changes = 0
        """How often something was found: what was decided before may have to be decided anew."""
        self.synced: float | None = None
        """The time up to which L1 is known, by the clock: a node that stands still says nothing new, however often it
        is asked. None before the first `sync`, and while a reorg is read."""
        self._clock = clock
        self._load()

    @property
    def cursor(self) -> BlockRef:
        """The last block that was read."""
        return self._reader.cursor

    def sync(self) -> ChannelSync:
        """Read L1 up to its head less the confirmations. Each page is stored as a whole, cursor included.

        Raises ChainError for trouble with the node; what was read so far is kept.
        """
        total = ChannelSync()
        while True:
            reading, page = self._reader.read_page(self._apply)
            if reading.rewind_to is not None:
                self.synced = None
                self._load()
                total = ChannelSync(rewound_to=reading.rewind_to)
            else:
                self._refresh(page.hub, page.states)
            self.changes += reading.rewind_to is not None or not page.is_empty
            total.hub |= page.hub
            total.states |= page.states
            total.secrets |= page.secrets
            if reading.is_complete:
                self._note_time(reading.cursor)
                return total

    def _note_time(self, cursor: BlockRef) -> None:
        """Note up to when L1 is known, once everything up to a cursor was read."""
        now = self._clock()
        if self.mines_on_demand:
            self.synced = now
            return
        head = self.channels.chain.block(cursor.number + self._confirmations)
        if head is not None:  # else the node has less of the chain than it once had: what is known gets no newer
            self.synced = min(now, head.timestamp)

    def _load(self) -> None:
        self.hub = {entry.id: entry for entry in self._store.hub_entries()}
        self.states = {entry.id: entry for entry in self._store.state_entries()}

    def _refresh(self, hub: set[bytes], states: set[bytes]) -> None:
        # Anew instead of in place: other threads may be going through them.
        if hub:
            self.hub = self.hub | {entry.id: entry for entry in self._store.hub_entries(hub)}
        if states:
            self.states = self.states | {entry.id: entry for entry in self._store.state_entries(states)}

    def _apply(self, reading: Reading) -> ChannelSync:
        page = ChannelSync()
        if reading.rewind_to is not None:
            self._store.rewind(reading.rewind_to.number)
        for log in reading.logs:
            event = self.channels.event(log)
            if event is None:
                continue
            if event.name == "SecretRevealed":
                a = event.arguments
                self._store.add_revealed(a["hash"], a["secret"], self._reader.time_of(log.block), log.block.number)
                page.secrets.add(a["hash"])
            elif log.address == self.channels.hub:
                self._on_hub(event, page)
            else:
                self._on_state(event, page)
        return page

    # ---------------------------------------------------------------- the hub

    def _on_hub(self, event: Event, page: ChannelSync) -> None:
        a, block = event.arguments, event.log.block.number
        key = a.get("channelId")
        if key is None:
            return
        if event.name == "ChannelOpened":
            config = ChannelConfig.of((a["payer"], a["payee"], a["token"], a["signer"], a["withdrawDelay"], a["salt"]))
            if self._wants_hub(config):
                self._store.add_hub_channel(key, config, block)
                page.hub.add(key)
            return
        before = self._store.hub_facts(key)
        if before is None:
            return
        after = _hub_after(before, event)
        if after is not None:
            self._store.put_hub_facts(key, after, block, event.log.index)
            page.hub.add(key)

    # ---------------------------------------------------------------- channels of two parties

    def _on_state(self, event: Event, page: ChannelSync) -> None:
        a, block = event.arguments, event.log.block.number
        key = a.get("channelId")
        if key is None:
            return
        if event.name == "ChannelOpened":
            config = StateChannelConfig.of((a["partyA"], a["partyB"], a["token"], a["challengePeriod"], a["salt"]))
            if self._wants_state(config):
                self._store.add_state_channel(key, config, block)
                page.states.add(key)
            return
        before = self._store.state_facts(key)
        if before is None:
            return
        after = _state_after(before, event)
        if after is not None:
            self._store.put_state_facts(key, after, block, event.log.index)
            page.states.add(key)


def _hub_after(before: HubChannel, event: Event) -> HubChannel | None:
    """What a channel of the hub has after an event; None for an event that says nothing about it."""
    a = event.arguments
    match event.name:
        case "Deposited":
            return replace(before, balance=a["balance"])
        case "Claimed":
            return replace(before, balance=before.balance - a["amount"], released=a["released"])
        case "ChannelClosed":
            return HubChannel(0, before.deposited, 0, before.closings + 1)
        case "WithdrawalStarted":
            return replace(before, withdrawable_after=a["withdrawableAfter"])
        case "WithdrawalFinished":
            return replace(before, balance=0, released=before.deposited, withdrawable_after=0)
        case "WithdrawalCancelled":
            return replace(before, withdrawable_after=0)
    return None


def _state_after(before: StateChannel, event: Event) -> StateChannel | None:
    """What a channel of two parties is after an event; None for an event that says nothing about it."""
    a = event.arguments
    match event.name:
        case "Deposited":
            return replace(before, deposits_a=a["depositsA"], deposits_b=a["depositsB"])
        case "CloseStarted":
            state = State.of(a["state"], a["locks"])
            return replace(
                before, closing=Closing(to_checksum_address(a["closer"]), state.version, a["deadline"], state)
            )
        case "Challenged" if before.closing is not None:
            return replace(before, closing=replace(before.closing, state=State.of(a["state"], a["locks"])))
        case "ChannelClosed":
            penalised = to_checksum_address(a["penalised"])
            loser = "" if penalised == ZERO_ADDRESS else penalised
            return replace(before, outcome=Outcome(a["version"], a["amountA"], a["amountB"], loser))
    return None
