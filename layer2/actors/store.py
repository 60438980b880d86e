"""What an actor must not forget: an SQLite database with transactions.

One `Store` is one connection, shared by the threads of a process under a lock; a second process is kept out. Everything
that comes from L1 carries its block number, so that a reorg removes it by one rule.
May import `layer2.ledger` and `layer2.chain`.
"""

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Literal

from eth_utils.crypto import keccak

from layer2.actors.errors import StoreError
from layer2.chain.connection import BlockRef
from layer2.chain.rollup import PostedBatch, ProofPoints, QueuedOperation
from layer2.ledger.operations import Operation, SignedOperation

SCHEMA_VERSION: Final = 1

KEPT_BLOCKS: Final = 256
"""Cursors kept to find the last common block after a reorg. A deeper one re-reads everything."""

_SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE blocks (number INTEGER PRIMARY KEY, hash BLOB NOT NULL) STRICT;
CREATE TABLE queue (
    position INTEGER PRIMARY KEY, slot BLOB NOT NULL, arrival INTEGER NOT NULL, seen REAL NOT NULL,
    block INTEGER NOT NULL, block_hash BLOB NOT NULL
) STRICT;
CREATE TABLE batches (
    id INTEGER PRIMARY KEY, hash BLOB NOT NULL, parent_hash BLOB NOT NULL, root BLOB NOT NULL, submitter TEXT NOT NULL,
    timestamp INTEGER NOT NULL, next_index INTEGER NOT NULL, queue_cursor INTEGER NOT NULL, data BLOB NOT NULL,
    tx BLOB NOT NULL, block INTEGER NOT NULL, block_hash BLOB NOT NULL
) STRICT;
CREATE TABLE snapshots (batch_id INTEGER PRIMARY KEY, batch_hash BLOB NOT NULL, state BLOB NOT NULL) STRICT;
CREATE TABLE pool (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE, account INTEGER NOT NULL,
    nonce INTEGER NOT NULL, body BLOB NOT NULL, arrival REAL NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'included', 'dropped')),
    reason TEXT, batch_id INTEGER, block INTEGER
) STRICT;
CREATE UNIQUE INDEX pool_pending ON pool (account, nonce) WHERE state = 'pending';
CREATE TABLE proposals (
    id INTEGER PRIMARY KEY AUTOINCREMENT, parent_hash BLOB NOT NULL, timestamp INTEGER NOT NULL, items TEXT NOT NULL,
    root BLOB NOT NULL, data BLOB NOT NULL, proofs TEXT NOT NULL DEFAULT '[]',
    state TEXT NOT NULL CHECK (state IN ('planned', 'proven', 'submitted', 'verified', 'abandoned')),
    reason TEXT, batch_id INTEGER, block INTEGER
) STRICT;
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, purpose TEXT NOT NULL, reference TEXT NOT NULL, target TEXT NOT NULL,
    input BLOB NOT NULL, state TEXT NOT NULL CHECK (state IN ('open', 'mined', 'failed', 'void')), block INTEGER
) STRICT;
CREATE TABLE attempts (
    hash BLOB PRIMARY KEY, letter INTEGER NOT NULL REFERENCES outbox (id), nonce INTEGER NOT NULL, raw BLOB NOT NULL,
    signed REAL NOT NULL
) STRICT;
CREATE TABLE payouts (
    owner TEXT NOT NULL, token INTEGER NOT NULL, credited INTEGER NOT NULL, served INTEGER, reason TEXT,
    PRIMARY KEY (owner, token)
) STRICT;
"""

PoolState = Literal["pending", "included", "dropped"]


class ProposalState(StrEnum):
    """How far a batch of this relayer's own has come."""

    PLANNED = "planned"
    PROVEN = "proven"
    SUBMITTED = "submitted"
    VERIFIED = "verified"
    ABANDONED = "abandoned"


@dataclass(frozen=True)
class QueueRow:
    """A queue entry: arrival in the chain's seconds, `seen` by this node's clock."""

    entry: QueuedOperation
    arrival: int
    seen: float


@dataclass(frozen=True)
class PoolRow:
    """A signed operation given to the relayer. `sequence` orders them; `batch_id` is set once it is included."""

    sequence: int
    id: bytes
    signed: SignedOperation
    arrival: float
    state: PoolState
    reason: str | None
    batch_id: int | None


@dataclass(frozen=True)
class ItemRef:
    """An operation of a proposal: a queue position, or the id of a signed operation in the pool."""

    queue: int | None = None
    pool: bytes | None = None


@dataclass(frozen=True)
class Proposal:
    """A batch of this relayer's own. `proofs` grows while it is proven, one a segment."""

    id: int
    parent_hash: bytes
    timestamp: int
    items: tuple[ItemRef, ...]
    root: int
    data: bytes
    proofs: tuple[ProofPoints, ...]
    state: ProposalState
    reason: str | None
    batch_id: int | None


@dataclass(frozen=True)
class Attempt:
    """One signed form of a letter: the same call can be signed again with other fees or another nonce."""

    hash: bytes
    nonce: int
    raw: bytes
    signed: float


@dataclass(frozen=True)
class Letter:
    """A call that this relayer sends to L1. `purpose` and `reference` say for what."""

    id: int
    purpose: str
    reference: str
    target: str
    input: bytes
    state: Literal["open", "mined", "failed", "void"]
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True)
class PayoutRow:
    """A payout that may be waiting for its owner."""

    owner: str
    token: int
    credited: int


def transaction_id(signed: SignedOperation) -> bytes:
    """What a signed operation is known by: keccak256 of its bytes (signature included)."""
    return keccak(signed.to_bytes())


class Store:
    """An open database. Close it, or use it as a context manager."""

    def __init__(self, path: Path | str = ":memory:") -> None:
        """Opens or creates the database. Raises StoreError when it is in use, damaged or of another version."""
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
                self._db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        except (sqlite3.Error, OSError) as error:
            busy = "locked" in str(error)
            remedy = "another process uses it; stop that one or name another file" if busy else "restore or delete it"
            raise StoreError(f"database {self.path} cannot be opened ({error}): {remedy}") from error
        if version not in (0, SCHEMA_VERSION):
            self._db.close()
            raise StoreError(
                f"database {self.path} has schema version {version}, this program needs {SCHEMA_VERSION}: "
                "use the program that wrote it, or delete it; the state is rebuilt from L1"
            )

    def close(self) -> None:
        """Close the connection; a transaction under way is rolled back."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> "Store":
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

    # ---------------------------------------------------------------- whose database this is

    def bind(self, identity: str) -> None:
        """Make this the database of one rollup, for ever. Raises StoreError when it is that of another."""
        with self.transaction():
            self._run("INSERT OR IGNORE INTO meta VALUES ('identity', ?)", identity)
            (known,) = self._run("SELECT value FROM meta WHERE key = 'identity'")[0]
        if known != identity:
            raise StoreError(
                f"database {self.path} belongs to {known}, not to {identity}: name another file, or delete this one "
                "if that chain is gone"
            )

    # ---------------------------------------------------------------- L1: cursor, queue, batches

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
            for table in ("queue", "batches"):
                self._run(f"DELETE FROM {table} WHERE block > ?", block)
            self._run("DELETE FROM blocks WHERE number > ?", block)
            self._run("DELETE FROM snapshots WHERE batch_id NOT IN (SELECT id FROM batches)")
            # Two operations with one nonce: the one that was included waits again, the other one stays dropped.
            for state in ("included", "dropped"):
                self._run(
                    "UPDATE OR IGNORE pool SET state = 'pending', reason = NULL, batch_id = NULL, block = NULL "
                    "WHERE block > ? AND state = ?",
                    block,
                    state,
                )
            self._run(
                "UPDATE proposals SET state = 'submitted', batch_id = NULL, block = NULL WHERE block > ? "
                "AND state = 'verified'",
                block,
            )
            self._run("UPDATE outbox SET state = 'open', block = NULL WHERE block > ? AND state = 'mined'", block)
            self._run("UPDATE payouts SET served = NULL WHERE served > ?", block)

    def add_queued(self, entry: QueuedOperation, arrival: int, seen: float) -> None:
        """Record a queue entry."""
        slot = entry.operation.to_slot()
        block = entry.block
        self._run(
            "INSERT INTO queue VALUES (?, ?, ?, ?, ?, ?)", entry.index, slot, arrival, seen, block.number, block.hash
        )

    def queued(self, first: int, limit: int = 1_000_000) -> list[QueueRow]:
        """Queue entries from position `first` on."""
        rows = self._run("SELECT * FROM queue WHERE position >= ? ORDER BY position LIMIT ?", first, limit)
        return [
            QueueRow(QueuedOperation(position, Operation.from_slot(slot), BlockRef(block, block_hash)), arrival, seen)
            for position, slot, arrival, seen, block, block_hash in rows
        ]

    def add_batch(self, batch: PostedBatch) -> None:
        """Record a batch that L1 accepted."""
        self._run(
            "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            batch.batch_id,
            batch.batch_hash,
            batch.parent_hash,
            batch.state_root.to_bytes(32),
            batch.submitter,
            batch.timestamp,
            batch.next_index,
            batch.queue_cursor,
            batch.data,
            batch.transaction,
            batch.block.number,
            batch.block.hash,
        )

    def batches(self, after: int = 0) -> list[PostedBatch]:
        """Batches with an id above `after`, in order."""
        return [_batch(row) for row in self._run("SELECT * FROM batches WHERE id > ? ORDER BY id", after)]

    def batch(self, batch_id: int) -> PostedBatch | None:
        """A batch by its id."""
        rows = self._run("SELECT * FROM batches WHERE id = ?", batch_id)
        return _batch(rows[0]) if rows else None

    def last_batch_id(self) -> int:
        """The id of the last batch, 0 for genesis."""
        (number,) = self._run("SELECT MAX(id) FROM batches")[0]
        return number or 0

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

    # ---------------------------------------------------------------- pool

    def add_pending(self, signed: SignedOperation, arrival: float) -> bytes:
        """Record a signed operation as waiting (again, if it is known); returns its id.

        Raises StoreError when another one of the same account and nonce waits.
        """
        key = transaction_id(signed)
        with self.transaction():
            self._run("DELETE FROM pool WHERE id = ? AND state = 'dropped'", key)
            try:
                self._run(
                    "INSERT INTO pool (id, account, nonce, body, arrival, state) VALUES (?, ?, ?, ?, ?, 'pending')",
                    key,
                    signed.operation.account,
                    signed.nonce,
                    signed.to_bytes(),
                    arrival,
                )
            except sqlite3.IntegrityError as error:
                raise StoreError(
                    f"an operation of account {signed.operation.account} with nonce {signed.nonce} waits already: "
                    "take the next nonce"
                ) from error
        return key

    def pool_row(self, key: bytes) -> PoolRow | None:
        """A signed operation by its id."""
        rows = self._run(f"SELECT {_POOL} FROM pool WHERE id = ?", key)
        return _pool_row(rows[0]) if rows else None

    def pending(self, account: int | None = None) -> list[PoolRow]:
        """What waits, in order of arrival; of one account if given, by nonce."""
        if account is None:
            rows = self._run(f"SELECT {_POOL} FROM pool WHERE state = 'pending' ORDER BY sequence")
        else:
            rows = self._run(
                f"SELECT {_POOL} FROM pool WHERE state = 'pending' AND account = ? ORDER BY nonce", account
            )
        return [_pool_row(row) for row in rows]

    def pool_by_nonce(self, account: int, nonce: int) -> list[PoolRow]:
        """All operations of an account with one nonce, whatever became of them: at most one of them is executed."""
        rows = self._run(f"SELECT {_POOL} FROM pool WHERE account = ? AND nonce = ? ORDER BY sequence", account, nonce)
        return [_pool_row(row) for row in rows]

    def pending_count(self) -> int:
        """How many operations wait."""
        return int(self._run("SELECT COUNT(*) FROM pool WHERE state = 'pending'")[0][0])

    def include(self, key: bytes, batch_id: int, block: int) -> None:
        """A batch that L1 accepted holds this operation."""
        self._run(
            "UPDATE pool SET state = 'included', reason = NULL, batch_id = ?, block = ? WHERE id = ?",
            batch_id,
            block,
            key,
        )

    def drop(self, key: bytes, reason: str, block: int | None) -> None:
        """This operation will not be executed. `block`: the one that decided it, if L1 did; its reorg undoes it."""
        self._run("UPDATE pool SET state = 'dropped', reason = ?, block = ? WHERE id = ?", reason, block, key)

    # ---------------------------------------------------------------- own batches

    def add_proposal(self, parent_hash: bytes, timestamp: int, items: Sequence[ItemRef], root: int, data: bytes) -> int:
        """Record a planned batch; returns its id."""
        encoded = json.dumps([["q", i.queue] if i.pool is None else ["t", i.pool.hex()] for i in items])
        rows = self._run(
            "INSERT INTO proposals (parent_hash, timestamp, items, root, data, state) "
            "VALUES (?, ?, ?, ?, ?, 'planned') RETURNING id",
            parent_hash,
            timestamp,
            encoded,
            root.to_bytes(32),
            data,
        )
        return int(rows[0][0])

    def proposal(self, number: int) -> Proposal | None:
        """An own batch by its number."""
        rows = self._run(f"SELECT {_PROPOSAL} FROM proposals WHERE id = ?", number)
        return _proposal(rows[0]) if rows else None

    def active_proposals(self) -> list[Proposal]:
        """All own batches under way, oldest first; more than one only after a reorg."""
        rows = self._run(
            f"SELECT {_PROPOSAL} FROM proposals WHERE state IN ('planned', 'proven', 'submitted') ORDER BY id"
        )
        return [_proposal(row) for row in rows]

    def proposals_on(self, parent_hash: bytes) -> list[Proposal]:
        """Own batches that build on one batch, oldest first."""
        rows = self._run(f"SELECT {_PROPOSAL} FROM proposals WHERE parent_hash = ? ORDER BY id", parent_hash)
        return [_proposal(row) for row in rows]

    def proposals(self) -> list[Proposal]:
        """All own batches, oldest first."""
        return [_proposal(row) for row in self._run(f"SELECT {_PROPOSAL} FROM proposals ORDER BY id")]

    def set_proofs(self, number: int, proofs: Sequence[ProofPoints]) -> None:
        """Record the proofs made so far, the first segments' first."""
        self._run("UPDATE proposals SET proofs = ? WHERE id = ?", json.dumps([_proof_list(p) for p in proofs]), number)

    def set_proposal_state(
        self,
        number: int,
        state: ProposalState,
        *,
        reason: str | None = None,
        batch_id: int | None = None,
        block: int | None = None,
    ) -> None:
        """Move an own batch on. `block`: where L1 accepted it."""
        self._run(
            "UPDATE proposals SET state = ?, reason = ?, batch_id = ?, block = ? WHERE id = ?",
            state.value,
            reason,
            batch_id,
            block,
            number,
        )

    # ---------------------------------------------------------------- letters to L1

    def add_letter(self, purpose: str, reference: str, target: str, input_: bytes) -> int:
        """Record a call to be sent; returns its number."""
        rows = self._run(
            "INSERT INTO outbox (purpose, reference, target, input, state) VALUES (?, ?, ?, ?, 'open') RETURNING id",
            purpose,
            reference,
            target,
            input_,
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
        number, purpose, reference, target, input_, state = row
        signed = tuple(Attempt(*attempt) for attempt in attempts)
        return Letter(number, purpose, reference, target, input_, state, signed)

    # ---------------------------------------------------------------- payouts to serve

    def credit_payout(self, owner: str, token: int, block: int) -> None:
        """Record that a payout became claimable."""
        self._run("INSERT OR REPLACE INTO payouts VALUES (?, ?, ?, NULL, NULL)", owner, token, block)

    def unserved_payouts(self) -> list[PayoutRow]:
        """Payouts that may still be waiting, oldest first."""
        return [
            PayoutRow(*row)
            for row in self._run(
                "SELECT owner, token, credited FROM payouts WHERE served IS NULL AND reason IS NULL "
                "ORDER BY credited, owner, token"
            )
        ]

    def settle_payout(self, owner: str, token: int, *, block: int | None = None, reason: str | None = None) -> None:
        """Record that a payout was served in `block`, or why it cannot be."""
        self._run(
            "UPDATE payouts SET served = ?, reason = ? WHERE owner = ? AND token = ?", block, reason, owner, token
        )


_POOL: Final = "sequence, id, body, arrival, state, reason, batch_id"
_PROPOSAL: Final = "id, parent_hash, timestamp, items, root, data, proofs, state, reason, batch_id"
_LETTER: Final = "id, purpose, reference, target, input, state"


def _batch(row: Any) -> PostedBatch:
    (number, hash_, parent, root, submitter, timestamp, next_index, cursor, data, tx, block, block_hash) = row
    return PostedBatch(
        number,
        hash_,
        parent,
        int.from_bytes(root),
        submitter,
        timestamp,
        next_index,
        cursor,
        data,
        tx,
        BlockRef(block, block_hash),
    )


def _pool_row(row: Any) -> PoolRow:
    sequence, key, body, arrival, state, reason, batch_id = row
    return PoolRow(sequence, key, SignedOperation.from_bytes(body), arrival, state, reason, batch_id)


def _proposal(row: Any) -> Proposal:
    number, parent, timestamp, items, root, data, proofs, state, reason, batch_id = row
    references = tuple(
        ItemRef(queue=value) if kind == "q" else ItemRef(pool=bytes.fromhex(value)) for kind, value in json.loads(items)
    )
    points = tuple(_proof_from_list(proof) for proof in json.loads(proofs))
    return Proposal(
        number,
        parent,
        timestamp,
        references,
        int.from_bytes(root),
        data,
        points,
        ProposalState(state),
        reason,
        batch_id,
    )


def _proof_list(proof: ProofPoints) -> list[str]:
    return [hex(value) for value in (*proof.a, *proof.b[0], *proof.b[1], *proof.c, proof.digest)]


def _proof_from_list(values: list[str]) -> ProofPoints:
    a0, a1, b00, b01, b10, b11, c0, c1, digest = (int(value, 16) for value in values)
    return ProofPoints((a0, a1), ((b00, b01), (b10, b11)), (c0, c1), digest)
