"""What the databases of all actors share: SQLite with transactions, the L1 cursor, letters to L1; for actors of rollups
also queue and snapshots.

One `Database` is one connection, shared by the threads of a process under a lock; a second process is kept out.
Everything that comes from L1 carries its block number, so that a reorg removes it by one rule.
May import `layer2.ledger` and `layer2.chain`.
"""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Self

from layer2.actors.errors import StoreError
from layer2.chain.connection import BlockRef
from layer2.chain.custody import QueuedOperation
from layer2.ledger.operations import Operation, queue_chain

KEPT_BLOCKS: Final = 256
"""Cursors kept to find the last common block after a reorg. A deeper one re-reads everything."""

_SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE blocks (number INTEGER PRIMARY KEY, hash BLOB NOT NULL) STRICT;
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, purpose TEXT NOT NULL, reference TEXT NOT NULL, target TEXT NOT NULL,
    input BLOB NOT NULL, value TEXT NOT NULL, blob BLOB,
    state TEXT NOT NULL CHECK (state IN ('open', 'mined', 'failed', 'void')), block INTEGER
) STRICT;
CREATE TABLE attempts (
    hash BLOB PRIMARY KEY, letter INTEGER NOT NULL REFERENCES outbox (id), nonce INTEGER NOT NULL, raw BLOB NOT NULL,
    signed REAL NOT NULL
) STRICT;
"""

_ROLLUP_SCHEMA: Final = """
CREATE TABLE queue (
    position INTEGER PRIMARY KEY, slot BLOB NOT NULL, arrival INTEGER NOT NULL, seen REAL NOT NULL,
    chain BLOB NOT NULL, block INTEGER NOT NULL, block_hash BLOB NOT NULL
) STRICT;
CREATE TABLE snapshots (batch_id INTEGER PRIMARY KEY, batch_hash BLOB NOT NULL, state BLOB NOT NULL) STRICT;
"""


@dataclass(frozen=True)
class QueueRow:
    """A queue entry: arrival in the chain's seconds, `seen` by this node's clock."""

    entry: QueuedOperation
    arrival: int
    seen: float


@dataclass(frozen=True)
class Attempt:
    """One signed form of a letter: the same call can be signed again with other fees or another nonce."""

    hash: bytes
    nonce: int
    raw: bytes
    signed: float


@dataclass(frozen=True)
class Letter:
    """A call that an actor sends to L1, with wei or a blob if need be. `purpose` and `reference` say for what."""

    id: int
    purpose: str
    reference: str
    target: str
    input: bytes
    value: int
    blob: bytes | None
    state: Literal["open", "mined", "failed", "void"]
    attempts: tuple[Attempt, ...]


class Database:
    """An open database. Close it, or use it as a context manager. A subclass adds its own tables."""

    BASE_SCHEMA: ClassVar[str] = ""
    """Tables that several subclasses share."""

    SCHEMA: ClassVar[str]
    """Tables of the subclass."""

    VERSION: ClassVar[int]
    """Version of all tables together."""

    APPLICATION: ClassVar[int]
    """SQLite's application id: whose database this is."""

    DAMAGED: ClassVar[str] = "restore or delete it"
    """What a person can do with a database that cannot be read."""

    OUTDATED: ClassVar[str] = "use the program that wrote it, or delete it; the state is rebuilt from L1"
    """What a person can do with a database of another version."""

    def __init__(self, path: Path | str = ":memory:") -> None:
        """Opens or creates the database. Raises StoreError when it is in use, damaged, or another program's."""
        self.path = str(path)
        self._lock = threading.RLock()
        self._depth = 0
        try:
            if self.path != ":memory:":
                Path(self.path).parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=1, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                self._db.executescript(
                    f"BEGIN IMMEDIATE; {_SCHEMA} {self.BASE_SCHEMA} {self.SCHEMA} "
                    f"PRAGMA application_id = {self.APPLICATION}; PRAGMA user_version = {self.VERSION}; COMMIT;"
                )
            application = self._db.execute("PRAGMA application_id").fetchone()[0]
        except (sqlite3.Error, OSError) as error:
            busy = "locked" in str(error)
            other = "another process uses it; stop that one or name another file"
            remedy = other if busy else self.DAMAGED
            raise StoreError(f"database {self.path} cannot be opened ({error}): {remedy}") from error
        if application != self.APPLICATION:
            self._db.close()
            raise StoreError(f"database {self.path} is that of an actor of another kind: name another file")
        if version not in (0, self.VERSION):
            self._db.close()
            raise StoreError(
                f"database {self.path} has schema version {version}, this program needs {self.VERSION}: {self.OUTDATED}"
            )

    def close(self) -> None:
        """Close the connection; a transaction under way is rolled back."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is stored at once, or nothing of it. Transactions inside of one belong to it."""
        with self._lock:
            if self._depth == 0:
                self._db.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._db.execute("ROLLBACK")
                raise
            self._depth -= 1
            if self._depth == 0:
                self._db.execute("COMMIT")

    def _run(self, sql: str, *values: Any) -> list[Any]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def _run_each(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        with self._lock:
            self._db.executemany(sql, rows)

    # ---------------------------------------------------------------- whose database this is

    def bind(self, identity: str) -> None:
        """Make this the database of one deployment, for ever. Raises StoreError when it is that of another."""
        with self.transaction():
            self._run("INSERT OR IGNORE INTO meta VALUES ('identity', ?)", identity)
            (known,) = self._run("SELECT value FROM meta WHERE key = 'identity'")[0]
        if known != identity:
            raise StoreError(
                f"database {self.path} belongs to {known}, not to {identity}: name another file, or delete this one "
                "if that chain is gone"
            )

    # ---------------------------------------------------------------- L1: cursor

    def blocks(self) -> list[BlockRef]:
        """Cursors, latest first."""
        return [BlockRef(*row) for row in self._run("SELECT number, hash FROM blocks ORDER BY number DESC")]

    def add_block(self, block: BlockRef) -> None:
        """Move the cursor."""
        self._run("INSERT OR REPLACE INTO blocks VALUES (?, ?)", block.number, block.hash)
        self._run(
            "DELETE FROM blocks WHERE number NOT IN (SELECT number FROM blocks ORDER BY number DESC LIMIT ?)",
            KEPT_BLOCKS,
        )

    def rewind(self, block: int) -> None:
        """Forget everything that blocks after `block` said; what depended on it waits again."""
        with self.transaction():
            self._run("DELETE FROM blocks WHERE number > ?", block)
            self._run("UPDATE outbox SET state = 'open', block = NULL WHERE block > ? AND state = 'mined'", block)
            self._rewind(block)

    def _rewind(self, block: int) -> None:
        """The same for the tables of the subclass."""
        raise NotImplementedError

    # ---------------------------------------------------------------- letters to L1

    def add_letter(
        self, purpose: str, reference: str, target: str, input_: bytes, *, value: int = 0, blob: bytes | None = None
    ) -> int:
        """Record a call to be sent, with `value` in wei and one EIP-4844 blob if given; returns its number."""
        rows = self._run(
            "INSERT INTO outbox (purpose, reference, target, input, value, blob, state) "
            "VALUES (?, ?, ?, ?, ?, ?, 'open') RETURNING id",
            purpose,
            reference,
            target,
            input_,
            str(value),
            blob,
        )
        return int(rows[0][0])

    def add_attempt(self, letter: int, attempt: Attempt) -> None:
        """Record a signed form of a letter, before it is sent."""
        self._run(
            "INSERT OR REPLACE INTO attempts VALUES (?, ?, ?, ?, ?)",
            attempt.hash,
            letter,
            attempt.nonce,
            attempt.raw,
            attempt.signed,
        )

    def signed_with(self, nonce: int) -> list[tuple[Letter, Attempt]]:
        """Signed forms with a nonce and their letters, latest first."""
        rows = self._run(
            f"SELECT {_LETTER}, hash, nonce, raw, signed FROM attempts JOIN outbox ON outbox.id = letter "
            "WHERE nonce = ? ORDER BY attempts.rowid DESC",
            nonce,
        )
        return [(self._letter(row[:-4]), Attempt(*row[-4:])) for row in rows]

    def open_letters(self) -> list[Letter]:
        """Letters whose fate is not known, oldest first."""
        return [
            self._letter(row) for row in self._run(f"SELECT {_LETTER} FROM outbox WHERE state = 'open' ORDER BY id")
        ]

    def letters(self, purpose: str, reference: str) -> list[Letter]:
        """All letters for one thing, oldest first."""
        rows = self._run(
            f"SELECT {_LETTER} FROM outbox WHERE purpose = ? AND reference = ? ORDER BY id", purpose, reference
        )
        return [self._letter(row) for row in rows]

    def set_letter_state(
        self, number: int, state: Literal["open", "mined", "failed", "void"], block: int | None = None
    ) -> None:
        """Record a letter's fate. `block`: where it was mined."""
        self._run("UPDATE outbox SET state = ?, block = ? WHERE id = ?", state, block, number)

    def _letter(self, row: Any) -> Letter:
        attempts = self._run("SELECT hash, nonce, raw, signed FROM attempts WHERE letter = ? ORDER BY rowid", row[0])
        number, purpose, reference, target, input_, value, blob, state = row
        signed = tuple(Attempt(*attempt) for attempt in attempts)
        return Letter(number, purpose, reference, target, input_, int(value), blob, state, signed)


class RollupDatabase(Database):
    """The database of an actor of a rollup. A subclass adds its own tables."""

    BASE_SCHEMA = _ROLLUP_SCHEMA

    def _rewind(self, block: int) -> None:
        self._run("DELETE FROM queue WHERE block > ?", block)
        self._rewind_batches(block)
        self._run("DELETE FROM snapshots WHERE batch_hash NOT IN (SELECT hash FROM batches)")

    def _rewind_batches(self, block: int) -> None:
        """The same for the tables of the subclass, of which `batches`, with a column `hash`, is one."""
        raise NotImplementedError

    # ---------------------------------------------------------------- queue and snapshots

    def add_queued(self, entry: QueuedOperation, arrival: int, seen: float) -> None:
        """Record a queue entry."""
        block = entry.block
        self._run(
            "INSERT INTO queue VALUES (?, ?, ?, ?, ?, ?, ?)",
            entry.index,
            entry.operation.to_slot(),
            arrival,
            seen,
            queue_chain(self.queue_chain(entry.index), entry.operation),
            block.number,
            block.hash,
        )

    def queue_chain(self, end: int) -> bytes:
        """The queue's hash chain over the first `end` entries (docs/protocol.md §6.1), of which the last is known."""
        return bytes(self._run("SELECT chain FROM queue WHERE position = ?", end - 1)[0][0]) if end else bytes(32)

    def queued(self, first: int, limit: int = 1_000_000) -> list[QueueRow]:
        """Queue entries from position `first` on."""
        rows = self._run("SELECT * FROM queue WHERE position >= ? ORDER BY position LIMIT ?", first, limit)
        return [
            QueueRow(QueuedOperation(position, Operation.from_slot(slot), BlockRef(block, block_hash)), arrival, seen)
            for position, slot, arrival, seen, _, block, block_hash in rows
        ]

    def save_snapshot(self, batch_id: int, batch_hash: bytes, state: bytes, keep: int = 2) -> None:
        """Record the state after a batch, so that a start need not replay all batches. Keeps the latest `keep`."""
        with self.transaction():
            self._run("INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?)", batch_id, batch_hash, state)
            self._run(
                "DELETE FROM snapshots WHERE batch_id NOT IN "
                "(SELECT batch_id FROM snapshots ORDER BY batch_id DESC LIMIT ?)",
                keep,
            )

    def snapshot(self, up_to: int) -> tuple[int, bytes, bytes] | None:
        """The latest (batch id, batch hash, state) with an id of at most `up_to`."""
        rows = self._run("SELECT * FROM snapshots WHERE batch_id <= ? ORDER BY batch_id DESC LIMIT 1", up_to)
        return tuple(rows[0]) if rows else None


_LETTER: Final = "id, purpose, reference, target, input, value, blob, state"
