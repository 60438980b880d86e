"""What an actor of the optimistic rollup must not forget: batches with data and verdicts, pool, own batches, disputes.

What L1 says is stored as it was said, with its block; what follows from it (whether an operation is in a batch that
counts, whether a reward is to be had) is asked anew each time, so that rollbacks and reorgs need no bookkeeping.
May import `layer2.chain`, `layer2.optimistic` and `layer2.actors.database`.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final, Literal

from layer2.actors.database import RollupDatabase
from layer2.chain.connection import BlockRef
from layer2.chain.optimistic_rollup import SubmittedBatch
from layer2.crypto.keccak import keccak256
from layer2.optimistic.batches import BatchHeader
from layer2.optimistic.operations import Operation

SCHEMA_VERSION: Final = 1

_SCHEMA: Final = """
CREATE TABLE batches (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, id INTEGER NOT NULL, hash BLOB NOT NULL UNIQUE,
    parent_hash BLOB NOT NULL, header TEXT NOT NULL, data BLOB, tx BLOB NOT NULL, block INTEGER NOT NULL,
    block_hash BLOB NOT NULL,
    void TEXT CHECK (void IN ('rejected', 'frozen')), void_block INTEGER, confirmed_block INTEGER,
    verdict TEXT CHECK (verdict IN ('right', 'wrong', 'unfounded')), chunk INTEGER, claimed BLOB, outcome BLOB
) STRICT;
CREATE UNIQUE INDEX live ON batches (id) WHERE void IS NULL;
CREATE INDEX unjudged ON batches (id) WHERE verdict IS NULL AND void IS NULL;
CREATE TABLE frauds (
    batch_hash BLOB PRIMARY KEY, challenger TEXT NOT NULL, chunk INTEGER NOT NULL, outcome BLOB NOT NULL,
    time INTEGER NOT NULL, block INTEGER NOT NULL
) STRICT;
CREATE TABLE reservations (reservation BLOB PRIMARY KEY, block INTEGER NOT NULL) STRICT;
CREATE TABLE rewards (
    batch_hash BLOB NOT NULL, what TEXT NOT NULL CHECK (what IN ('taken', 'claimed')), challenger TEXT NOT NULL,
    block INTEGER NOT NULL
) STRICT;
CREATE TABLE freezes (block INTEGER NOT NULL) STRICT;
CREATE TABLE pool (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE, body BLOB NOT NULL, arrival REAL NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'dropped', 'confirmed')), reason TEXT, block INTEGER
) STRICT;
CREATE INDEX pool_waiting ON pool (sequence) WHERE state = 'waiting';
CREATE TABLE inclusions (operation BLOB NOT NULL, batch_hash BLOB NOT NULL, PRIMARY KEY (operation, batch_hash)) STRICT;
CREATE INDEX inclusions_of_batch ON inclusions (batch_hash);
CREATE TABLE proposals (
    id INTEGER PRIMARY KEY AUTOINCREMENT, parent_hash BLOB NOT NULL, executed_at INTEGER NOT NULL,
    queue_end INTEGER NOT NULL, chunks BLOB NOT NULL, items BLOB NOT NULL, data_commitment BLOB NOT NULL,
    final BLOB NOT NULL, state TEXT NOT NULL CHECK (state IN ('submitted', 'abandoned')), reason TEXT
) STRICT;
CREATE TABLE disputes (batch_hash BLOB PRIMARY KEY, salt BLOB NOT NULL) STRICT;
"""


class Verdict(StrEnum):
    """What this node makes of a batch: its transition is right, it is wrong, or it builds on a wrong one."""

    RIGHT = "right"
    WRONG = "wrong"
    UNFOUNDED = "unfounded"


@dataclass(frozen=True)
class Wrong:
    """The first wrong chunk of a batch: its number, the commitment that the batch claims and the true one."""

    chunk: int
    claimed: bytes
    outcome: bytes


@dataclass(frozen=True)
class BatchRow:
    """A batch that L1 took. `sequence` orders all of them; ids are used again after a rollback.

    data: `transactions` or the blob, None while the blob is not to be had. void: why it counts no more, None while it
    counts. is_confirmed: it is final. verdict: None while it is not known; wrong: the details of Verdict.WRONG.
    """

    sequence: int
    batch_id: int
    hash: bytes
    header: BatchHeader
    data: bytes | None
    transaction: bytes
    block: BlockRef
    void: Literal["rejected", "frozen"] | None
    is_confirmed: bool
    verdict: Verdict | None
    wrong: Wrong | None

    @property
    def is_pending(self) -> bool:
        """Whether it counts and is not final."""
        return self.void is None and not self.is_confirmed


@dataclass(frozen=True)
class FraudRow:
    """A fraud proof that L1 accepted, and the present claimant of its reward.

    is_claimed: it was paid. time, block: those of the proof.
    """

    batch_hash: bytes
    challenger: str
    chunk: int
    outcome: bytes
    time: int
    block: int
    is_claimed: bool


PoolState = Literal["waiting", "dropped", "confirmed"]


@dataclass(frozen=True)
class PoolRow:
    """An operation that the sequencer accepted. `sequence` orders them."""

    sequence: int
    id: bytes
    body: bytes
    arrival: float
    state: PoolState
    reason: str | None


@dataclass(frozen=True)
class Proposal:
    """A batch of this sequencer's own: what it was made of, in the order of execution.

    chunks: the operations of each. items: ids of the pool's operations in it. final: commitment of the state after.
    """

    id: int
    parent_hash: bytes
    executed_at: int
    queue_end: int
    chunks: tuple[bytes, ...]
    items: tuple[bytes, ...]
    data_commitment: bytes
    final: bytes
    state: Literal["submitted", "abandoned"]
    reason: str | None


def operation_id(operation: Operation) -> bytes:
    """What an operation is known by: keccak256 of its canonical encoding, signatures included."""
    return keccak256(operation.encode())


class OptimisticStore(RollupDatabase):
    """The database of an actor of the optimistic rollup."""

    SCHEMA = _SCHEMA
    VERSION = SCHEMA_VERSION
    APPLICATION = 0x4C324F50

    def _rewind_batches(self, block: int) -> None:
        self._run("DELETE FROM batches WHERE block > ?", block)
        self._run("DELETE FROM inclusions WHERE batch_hash NOT IN (SELECT hash FROM batches)")
        self._run("UPDATE batches SET void = NULL, void_block = NULL WHERE void_block > ?", block)
        self._run("UPDATE batches SET confirmed_block = NULL WHERE confirmed_block > ?", block)
        for table in ("frauds", "reservations", "rewards", "freezes"):
            self._run(f"DELETE FROM {table} WHERE block > ?", block)
        self._run("UPDATE pool SET state = 'waiting', reason = NULL, block = NULL WHERE block > ?", block)

    # ---------------------------------------------------------------- batches

    def add_batch(self, batch: SubmittedBatch, data: bytes | None) -> BatchRow:
        """Record a batch that L1 took, with its data if it is to be had."""
        rows = self._run(
            "INSERT INTO batches (id, hash, parent_hash, header, data, tx, block, block_hash) "
            f"VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING {_BATCH}",
            batch.batch_id,
            batch.header.hash,
            batch.header.parent_hash,
            _header_text(batch.header),
            data,
            batch.transaction,
            batch.block.number,
            batch.block.hash,
        )
        return _batch(rows[0])

    def set_data(self, sequence: int, data: bytes) -> None:
        """Record a batch's data, found later."""
        self._run("UPDATE batches SET data = ? WHERE sequence = ?", data, sequence)

    def set_verdict(self, sequence: int, verdict: Verdict, wrong: Wrong | None = None) -> None:
        """Record what this node makes of a batch; `wrong` with Verdict.WRONG."""
        self._run(
            "UPDATE batches SET verdict = ?, chunk = ?, claimed = ?, outcome = ? WHERE sequence = ?",
            verdict.value,
            None if wrong is None else wrong.chunk,
            None if wrong is None else wrong.claimed,
            None if wrong is None else wrong.outcome,
            sequence,
        )

    def void_batches(self, first_id: int, why: Literal["rejected", "frozen"], block: int) -> list[BatchRow]:
        """Record that the batches from an id on do not count any more; returns them."""
        rows = self._run(
            "UPDATE batches SET void = ?, void_block = ? WHERE id >= ? AND void IS NULL AND confirmed_block IS NULL "
            f"RETURNING {_BATCH}",
            why,
            block,
            first_id,
        )
        return sorted((_batch(row) for row in rows), key=lambda row: row.sequence)

    def confirm(self, batch_id: int, block: int) -> BatchRow:
        """Record that a batch is final; its operations stay where they are."""
        (row,) = self._run(
            f"UPDATE batches SET confirmed_block = ? WHERE id = ? AND void IS NULL RETURNING {_BATCH}", block, batch_id
        )
        self._run(
            "UPDATE pool SET state = 'confirmed', reason = NULL, block = ? "
            "WHERE id IN (SELECT operation FROM inclusions WHERE batch_hash = ?)",
            block,
            row[2],
        )
        return _batch(row)

    def batch(self, batch_hash: bytes) -> BatchRow | None:
        """A batch by its hash, whether it counts or not."""
        rows = self._run(f"SELECT {_BATCH} FROM batches WHERE hash = ?", batch_hash)
        return _batch(rows[0]) if rows else None

    def has_batch_of(self, transaction: bytes) -> bool:
        """Whether L1 took a batch from this transaction, whether it counts or not."""
        return bool(self._run("SELECT 1 FROM batches WHERE tx = ?", transaction))

    def state_after(self, batch_hash: bytes) -> bytes | None:
        """The stored state after a batch, None when there is no snapshot of this one."""
        rows = self._run("SELECT state FROM snapshots WHERE batch_hash = ?", batch_hash)
        return bytes(rows[0][0]) if rows else None

    def live(self, batch_id: int) -> BatchRow | None:
        """The batch that counts with this id."""
        rows = self._run(f"SELECT {_BATCH} FROM batches WHERE id = ? AND void IS NULL", batch_id)
        return _batch(rows[0]) if rows else None

    def tip(self) -> BatchRow | None:
        """The last batch that counts, None for genesis."""
        rows = self._run(f"SELECT {_BATCH} FROM batches WHERE void IS NULL ORDER BY id DESC LIMIT 1")
        return _batch(rows[0]) if rows else None

    def last_right(self) -> BatchRow | None:
        """The last batch that counts and is right, None for genesis."""
        rows = self._run(
            f"SELECT {_BATCH} FROM batches WHERE void IS NULL AND verdict = 'right' ORDER BY id DESC LIMIT 1"
        )
        return _batch(rows[0]) if rows else None

    def first_pending(self) -> BatchRow | None:
        """The oldest batch that counts and is not final."""
        rows = self._run(
            f"SELECT {_BATCH} FROM batches WHERE void IS NULL AND confirmed_block IS NULL ORDER BY id LIMIT 1"
        )
        return _batch(rows[0]) if rows else None

    def first_wrong(self) -> BatchRow | None:
        """The oldest batch that counts and is wrong."""
        rows = self._run(f"SELECT {_BATCH} FROM batches WHERE void IS NULL AND verdict = 'wrong' ORDER BY id LIMIT 1")
        return _batch(rows[0]) if rows else None

    def first_disputable(self) -> BatchRow | None:
        """The oldest wrong batch that nobody has proven wrong; one that a freeze made void still has a bond to lose."""
        rows = self._run(
            f"SELECT {_BATCH} FROM batches WHERE verdict = 'wrong' AND (void IS NULL OR void = 'frozen') "
            "AND hash NOT IN (SELECT batch_hash FROM frauds) ORDER BY id LIMIT 1"
        )
        return _batch(rows[0]) if rows else None

    def first_unjudged(self) -> BatchRow | None:
        """The oldest batch that counts and was not judged."""
        rows = self._run(f"SELECT {_BATCH} FROM batches WHERE verdict IS NULL AND void IS NULL ORDER BY id LIMIT 1")
        return _batch(rows[0]) if rows else None

    def all_batches(self) -> list[BatchRow]:
        """Everything that L1 took, in order, whether it counts or not."""
        return [_batch(row) for row in self._run(f"SELECT {_BATCH} FROM batches ORDER BY sequence")]

    def confirmed_id(self) -> int:
        """The id of the last final batch, 0 for genesis."""
        (number,) = self._run("SELECT MAX(id) FROM batches WHERE confirmed_block IS NOT NULL")[0]
        return number or 0

    # ---------------------------------------------------------------- disputes, as L1 tells of them

    def add_fraud(self, batch_hash: bytes, challenger: str, chunk: int, outcome: bytes, time: int, block: int) -> None:
        """Record a fraud proof that L1 accepted."""
        self._run("INSERT INTO frauds VALUES (?, ?, ?, ?, ?, ?)", batch_hash, challenger, chunk, outcome, time, block)

    def add_reservation(self, reservation: bytes, block: int) -> None:
        """Record a reservation."""
        self._run("INSERT INTO reservations VALUES (?, ?)", reservation, block)

    def reservation_block(self, reservation: bytes) -> int | None:
        """The block of a reservation, None when L1 has none."""
        rows = self._run("SELECT block FROM reservations WHERE reservation = ?", reservation)
        return int(rows[0][0]) if rows else None

    def add_reward(self, batch_hash: bytes, what: Literal["taken", "claimed"], challenger: str, block: int) -> None:
        """Record that a reward changed hands or was paid."""
        self._run("INSERT INTO rewards VALUES (?, ?, ?, ?)", batch_hash, what, challenger, block)

    def frauds(self) -> list[FraudRow]:
        """All accepted fraud proofs, oldest first."""
        result = []
        for batch_hash, challenger, chunk, outcome, time, block in self._run("SELECT * FROM frauds ORDER BY block"):
            for what, claimant in self._run(
                "SELECT what, challenger FROM rewards WHERE batch_hash = ? ORDER BY rowid", batch_hash
            ):
                challenger = claimant if what == "taken" else challenger
            claimed = bool(self._run("SELECT 1 FROM rewards WHERE batch_hash = ? AND what = 'claimed'", batch_hash))
            result.append(FraudRow(batch_hash, challenger, chunk, outcome, time, block, claimed))
        return result

    def freeze(self, block: int) -> None:
        """Record that the rollup ended."""
        self._run("INSERT INTO freezes VALUES (?)", block)

    @property
    def is_frozen(self) -> bool:
        """Whether the rollup ended."""
        return bool(self._run("SELECT 1 FROM freezes"))

    # ---------------------------------------------------------------- this actor's disputes

    def salt(self, batch_hash: bytes, fresh: bytes) -> bytes:
        """The salt of this actor's reservation for a batch: `fresh` if it has none yet."""
        with self.transaction():
            self._run("INSERT OR IGNORE INTO disputes VALUES (?, ?)", batch_hash, fresh)
            return bytes(self._run("SELECT salt FROM disputes WHERE batch_hash = ?", batch_hash)[0][0])

    def known_salt(self, batch_hash: bytes) -> bytes | None:
        """The salt of this actor's reservation for a batch, None when it made none."""
        rows = self._run("SELECT salt FROM disputes WHERE batch_hash = ?", batch_hash)
        return bytes(rows[0][0]) if rows else None

    # ---------------------------------------------------------------- pool

    def accept(self, operations: Sequence[tuple[bytes, bytes]], arrival: float) -> None:
        """Record accepted operations as (id, bytes), in order; none waits already. One that was dropped before waits
        again, at the end."""
        with self.transaction():
            self._run_each(
                "INSERT OR REPLACE INTO pool (id, body, arrival, state) VALUES (?, ?, ?, 'waiting')",
                [(key, body, arrival) for key, body in operations],
            )

    def pool_row(self, key: bytes) -> PoolRow | None:
        """An accepted operation by its id."""
        rows = self._run(f"SELECT {_POOL} FROM pool WHERE id = ?", key)
        return PoolRow(*rows[0]) if rows else None

    def alive(self, keys: Sequence[bytes]) -> set[bytes]:
        """Those of these ids that operations of the pool have which were not dropped."""
        found: set[bytes] = set()
        for start in range(0, len(keys), _MAX_KEYS):
            part = keys[start : start + _MAX_KEYS]
            marks = ", ".join("?" * len(part))
            found.update(
                key for (key,) in self._run(f"SELECT id FROM pool WHERE id IN ({marks}) AND state != 'dropped'", *part)
            )
        return found

    def waiting(self) -> list[PoolRow]:
        """Accepted operations that are in no batch that counts, in order of arrival."""
        rows = self._run(
            f"SELECT {_POOL} FROM pool WHERE state = 'waiting' AND NOT EXISTS (SELECT 1 FROM inclusions "
            "JOIN batches ON batches.hash = inclusions.batch_hash "
            "WHERE inclusions.operation = pool.id AND batches.void IS NULL) ORDER BY sequence"
        )
        return [PoolRow(*row) for row in rows]

    def waiting_among(self, keys: Sequence[bytes]) -> list[PoolRow]:
        """Those of these operations that are still waiting, in order of arrival."""
        rows = [row for row in map(self.pool_row, keys) if row is not None and row.state == "waiting"]
        return sorted(rows, key=lambda row: row.sequence)

    def drop(self, key: bytes, reason: str, block: int) -> None:
        """This operation will not be executed. `block`: the cursor that it was decided at; its reorg undoes it."""
        self._run("UPDATE pool SET state = 'dropped', reason = ?, block = ? WHERE id = ?", reason, block, key)

    def include(self, keys: Sequence[bytes], batch_hash: bytes) -> None:
        """Record that a batch has executed those of these operations that are in the pool."""
        self._run_each(
            "INSERT OR IGNORE INTO inclusions SELECT id, ? FROM pool WHERE id = ?", [(batch_hash, key) for key in keys]
        )

    def inclusions(self, key: bytes) -> list[BatchRow]:
        """The batches that executed an operation of the pool, oldest first; at most one of them counts."""
        rows = self._run(
            f"SELECT {_BATCH} FROM batches WHERE hash IN (SELECT batch_hash FROM inclusions WHERE operation = ?) "
            "ORDER BY sequence",
            key,
        )
        return [_batch(row) for row in rows]

    # ---------------------------------------------------------------- own batches

    def add_proposal(
        self,
        parent_hash: bytes,
        executed_at: int,
        queue_end: int,
        chunks: Sequence[bytes],
        items: Sequence[bytes],
        data_commitment: bytes,
        final: bytes,
    ) -> Proposal:
        """Record an own batch that is about to be sent."""
        rows = self._run(
            "INSERT INTO proposals (parent_hash, executed_at, queue_end, chunks, items, data_commitment, final, state) "
            f"VALUES (?, ?, ?, ?, ?, ?, ?, 'submitted') RETURNING {_PROPOSAL}",
            parent_hash,
            executed_at,
            queue_end,
            b"".join(len(chunk).to_bytes(2) + chunk for chunk in chunks),
            b"".join(items),
            data_commitment,
            final,
        )
        return _proposal(rows[0])

    def proposal(self, number: int) -> Proposal | None:
        """An own batch by its number."""
        rows = self._run(f"SELECT {_PROPOSAL} FROM proposals WHERE id = ?", number)
        return _proposal(rows[0]) if rows else None

    def active_proposals(self) -> list[Proposal]:
        """Own batches that were not given up and are in no batch that counts, oldest first."""
        rows = self._run(
            f"SELECT {_PROPOSAL} FROM proposals WHERE state = 'submitted' AND NOT EXISTS (SELECT 1 FROM batches WHERE "
            "batches.parent_hash = proposals.parent_hash AND void IS NULL AND "
            "json_extract(header, '$.data_commitment') = lower(hex(proposals.data_commitment))) ORDER BY id"
        )
        return [_proposal(row) for row in rows]

    def proposals(self) -> list[Proposal]:
        """All own batches, oldest first."""
        return [_proposal(row) for row in self._run(f"SELECT {_PROPOSAL} FROM proposals ORDER BY id")]

    def abandon(self, number: int, reason: str) -> None:
        """Give an own batch up."""
        self._run("UPDATE proposals SET state = 'abandoned', reason = ? WHERE id = ?", reason, number)


_BATCH: Final = (
    "sequence, id, hash, header, data, tx, block, block_hash, void, confirmed_block IS NOT NULL, verdict, chunk, "
    "claimed, outcome"
)
_MAX_KEYS: Final = 500
"""Parameters of one statement; any SQLite takes 999."""
_POOL: Final = "sequence, id, body, arrival, state, reason"
_PROPOSAL: Final = "id, parent_hash, executed_at, queue_end, chunks, items, data_commitment, final, state, reason"


def _header_text(header: BatchHeader) -> str:
    values = asdict(header)
    return json.dumps(
        {name: value.hex() if isinstance(value, bytes) else value for name, value in values.items()}
        | {"fees": [hex(word) for word in header.fees]}
    )


def _parse_header(text: str) -> BatchHeader:
    raw = json.loads(text)
    for name in ("state_root", "parent_hash", "data_commitment", "withdrawal_root"):
        raw[name] = bytes.fromhex(raw[name])
    raw["fees"] = tuple(int(word, 16) for word in raw["fees"])
    return BatchHeader(**raw)


def _batch(row: Any) -> BatchRow:
    (
        sequence,
        number,
        hash_,
        header,
        data,
        tx,
        block,
        block_hash,
        void,
        confirmed,
        verdict,
        chunk,
        claimed,
        outcome,
    ) = row
    return BatchRow(
        sequence,
        number,
        hash_,
        _parse_header(header),
        data,
        tx,
        BlockRef(block, block_hash),
        void,
        bool(confirmed),
        None if verdict is None else Verdict(verdict),
        None if chunk is None else Wrong(chunk, claimed, outcome),
    )


def _proposal(row: Any) -> Proposal:
    number, parent, executed_at, queue_end, chunks, items, commitment, final, state, reason = row
    parts = []
    offset = 0
    while offset < len(chunks):
        end = offset + 2 + int.from_bytes(chunks[offset : offset + 2])
        parts.append(chunks[offset + 2 : end])
        offset = end
    keys = tuple(items[start : start + 32] for start in range(0, len(items), 32))
    return Proposal(number, parent, executed_at, queue_end, tuple(parts), keys, commitment, final, state, reason)
