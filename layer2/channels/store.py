"""What every actor of channels has read from L1: channels of the hub, channels of two parties, secrets.

A channel's state is stored anew after each event, with its block, so that a reorg only deletes rows. May import
`layer2.chain`, `layer2.actors.database` and what is signed.
"""

import json
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from layer2.actors.database import Database
from layer2.actors.errors import StoreError
from layer2.channels.contracts import HubChannel
from layer2.channels.states import State, StateChannelConfig
from layer2.channels.vouchers import ChannelConfig

_SCHEMA: Final = """
CREATE TABLE hub_channels (id BLOB PRIMARY KEY, config TEXT NOT NULL, block INTEGER NOT NULL) STRICT;
CREATE TABLE hub_facts (
    channel BLOB NOT NULL, block INTEGER NOT NULL, place INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (channel, block, place)
) STRICT;
CREATE INDEX hub_facts_by_block ON hub_facts (block);
CREATE TABLE state_channels (id BLOB PRIMARY KEY, config TEXT NOT NULL, block INTEGER NOT NULL) STRICT;
CREATE TABLE state_facts (
    channel BLOB NOT NULL, block INTEGER NOT NULL, place INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (channel, block, place)
) STRICT;
CREATE INDEX state_facts_by_block ON state_facts (block);
CREATE TABLE revealed (
    hash BLOB PRIMARY KEY, secret BLOB NOT NULL, time INTEGER NOT NULL, block INTEGER NOT NULL
) STRICT;
"""


@dataclass(frozen=True)
class Closing:
    """A closing under way: who started it with which version, until when it can be challenged (seconds since 1970), and
    the state on the table."""

    closer: str
    closer_version: int
    deadline: int
    state: State


@dataclass(frozen=True)
class Outcome:
    """How a channel ended: the version that decided, what both got, and who lost everything ("" for nobody)."""

    version: int
    amount_a: int
    amount_b: int
    penalised: str


@dataclass(frozen=True)
class StateChannel:
    """What L1 says of a channel of two parties: all that it received for them, and how far its closing is."""

    deposits_a: int = 0
    deposits_b: int = 0
    closing: Closing | None = None
    outcome: Outcome | None = None

    @property
    def deposits(self) -> tuple[int, int]:
        """What it received for A and B."""
        return (self.deposits_a, self.deposits_b)

    @property
    def status(self) -> Literal["open", "closing", "closed"]:
        """Where it is in its life."""
        if self.outcome is not None:
            return "closed"
        return "open" if self.closing is None else "closing"


@dataclass(frozen=True)
class HubEntry:
    """A channel of the hub as far as it was read."""

    id: bytes
    config: ChannelConfig
    facts: HubChannel


@dataclass(frozen=True)
class StateEntry:
    """A channel of two parties as far as it was read."""

    id: bytes
    config: StateChannelConfig
    facts: StateChannel


@dataclass(frozen=True)
class Revealed:
    """A secret that is public on L1 since `time`, seconds since 1970."""

    secret: bytes
    time: int


class ChannelStore(Database):
    """The database of an actor of channels, readable by its owner only: it holds secrets, and what pays others. A
    subclass adds what only its actor knows."""

    BASE_SCHEMA = _SCHEMA
    DAMAGED = "restore it; it holds what is not on L1"
    OUTDATED = "use the program that wrote it; do not delete it, it holds what is not on L1"

    def __init__(self, path: Path | str = ":memory:") -> None:
        """As `Database`."""
        file = os.path.realpath(path)
        try:
            if str(path) != ":memory:":
                os.makedirs(os.path.dirname(file), exist_ok=True)
                _create(file)
        except OSError as error:
            raise StoreError(f"database {path} cannot be opened ({error}): {self.DAMAGED}") from error
        super().__init__(path)
        try:
            if str(path) != ":memory:":
                for name in (file, f"{file}-wal", f"{file}-shm"):
                    _close_to_others(name)
        except OSError as error:
            self.close()
            raise StoreError(f"database {path} is open to others ({error}): make it its owner's alone") from error

    def _rewind(self, block: int) -> None:
        for table in ("hub_channels", "hub_facts", "state_channels", "state_facts", "revealed"):
            self._run(f"DELETE FROM {table} WHERE block > ?", block)

    # ---------------------------------------------------------------- the hub

    def add_hub_channel(self, channel_id: bytes, config: ChannelConfig, block: int) -> None:
        """Record a channel that was opened."""
        self._run("INSERT OR IGNORE INTO hub_channels VALUES (?, ?, ?)", channel_id, _pack(config.arguments), block)

    def put_hub_facts(self, channel_id: bytes, facts: HubChannel, block: int, place: int) -> None:
        """Record what a channel has after an event, the `place`-th of a block."""
        body = json.dumps([facts.balance, facts.released, facts.withdrawable_after, facts.closings])
        self._put("hub_facts", channel_id, body, block, place)

    def hub_facts(self, channel_id: bytes) -> HubChannel | None:
        """What a channel has now; None when the channel is not known. All zero if it is known by its settings only."""
        if not self._run("SELECT 1 FROM hub_channels WHERE id = ?", channel_id):
            return None
        body = self._latest("hub_facts", channel_id)
        return HubChannel() if body is None else HubChannel(*body)

    def hub_entries(self, ids: Iterable[bytes] | None = None) -> list[HubEntry]:
        """Channels by their ids as far as they are known, or all of them, oldest first."""
        found = []
        for key, config, facts in self._entries("hub", ids):
            entry = HubEntry(key, ChannelConfig.of(config), HubChannel() if facts is None else HubChannel(*facts))
            found.append(entry)
        return found

    # ---------------------------------------------------------------- channels of two parties

    def add_state_channel(self, channel_id: bytes, config: StateChannelConfig, block: int) -> None:
        """Record a channel that was opened."""
        self._run("INSERT OR IGNORE INTO state_channels VALUES (?, ?, ?)", channel_id, _pack(config.arguments), block)

    def put_state_facts(self, channel_id: bytes, facts: StateChannel, block: int, place: int) -> None:
        """Record what a channel is after an event, the `place`-th of a block."""
        closing, outcome = facts.closing, facts.outcome
        body = json.dumps(
            {
                "deposits": [facts.deposits_a, facts.deposits_b],
                "closing": closing
                and [closing.closer, closing.closer_version, closing.deadline, closing.state.to_json()],
                "outcome": outcome and [outcome.version, outcome.amount_a, outcome.amount_b, outcome.penalised],
            }
        )
        self._put("state_facts", channel_id, body, block, place)

    def state_facts(self, channel_id: bytes) -> StateChannel | None:
        """What a channel is now; None when the channel is not known."""
        if not self._run("SELECT 1 FROM state_channels WHERE id = ?", channel_id):
            return None
        body = self._latest("state_facts", channel_id)
        return StateChannel() if body is None else _state_channel(body)

    def state_entries(self, ids: Iterable[bytes] | None = None) -> list[StateEntry]:
        """Channels by their ids as far as they are known, or all of them, oldest first."""
        found = []
        for key, config, facts in self._entries("state", ids):
            known = StateChannel() if facts is None else _state_channel(facts)
            found.append(StateEntry(key, StateChannelConfig.of(config), known))
        return found

    # ---------------------------------------------------------------- secrets

    def add_revealed(self, hash_: bytes, secret: bytes, time: int, block: int) -> None:
        """Record a secret that became public. time: of the block, seconds since 1970."""
        self._run("INSERT OR REPLACE INTO revealed VALUES (?, ?, ?, ?)", hash_, secret, time, block)

    def revealed(self, hash_: bytes) -> Revealed | None:
        """The public secret with a hash."""
        rows = self._run("SELECT secret, time FROM revealed WHERE hash = ?", hash_)
        return Revealed(*rows[0]) if rows else None

    # ---------------------------------------------------------------- both kinds

    def _put(self, table: str, channel_id: bytes, body: str, block: int, place: int) -> None:
        self._run(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?, ?)", channel_id, block, place, body)
        # A reorg goes back to a cursor that is kept, or to the beginning: nothing older is looked at again.
        self._run(
            f"DELETE FROM {table} WHERE channel = ?1 AND (block, place) < (SELECT block, place FROM {table} "
            "WHERE channel = ?1 AND block <= (SELECT MIN(number) FROM blocks) ORDER BY block DESC, place DESC LIMIT 1)",
            channel_id,
        )

    def _latest(self, table: str, channel_id: bytes) -> Any:
        rows = self._run(
            f"SELECT body FROM {table} WHERE channel = ? ORDER BY block DESC, place DESC LIMIT 1", channel_id
        )
        return json.loads(rows[0][0]) if rows else None

    def _entries(self, kind: str, ids: Iterable[bytes] | None) -> list[tuple[bytes, tuple[Any, ...], Any]]:
        """(id, settings, latest facts or None) of channels."""
        query = f"SELECT id, config FROM {kind}_channels"
        if ids is None:
            rows = self._run(f"{query} ORDER BY block, id")
        else:
            rows = [row for key in ids for row in self._run(f"{query} WHERE id = ?", key)]
        return [(key, _unpack(config), self._latest(f"{kind}_facts", key)) for key, config in rows]


def _create(file: str) -> None:
    """Create an empty file for its owner alone, unless there is one: SQLite's other files get the same mode. One that
    is there is not opened, as closing it would end this process's locks on it."""
    try:
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return


def _close_to_others(file: str) -> None:
    """Take a file's permissions from everybody but its owner: another program may have made it."""
    if os.path.exists(file) and stat.S_IMODE(os.stat(file).st_mode) & 0o077:
        os.chmod(file, 0o600)


def _state_channel(body: dict[str, Any]) -> StateChannel:
    deposits_a, deposits_b = body["deposits"]
    closing = outcome = None
    if body["closing"] is not None:
        closer, version, deadline, state = body["closing"]
        closing = Closing(closer, version, deadline, State.from_json(state))
    if body["outcome"] is not None:
        outcome = Outcome(*body["outcome"])
    return StateChannel(deposits_a, deposits_b, closing, outcome)


def _pack(values: tuple[Any, ...]) -> str:
    """Settings, of which the last is the salt."""
    return json.dumps([*values[:-1], values[-1].hex()])


def _unpack(text: str) -> tuple[Any, ...]:
    values = json.loads(text)
    return (*values[:-1], bytes.fromhex(values[-1]))
