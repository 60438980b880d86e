"""What an actor of the ZK rollup must not forget: batches, pool, own batches and payouts.

May import `layer2.ledger`, `layer2.chain` and `layer2.actors.database`.
"""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Literal

from eth_utils.crypto import keccak

from layer2.actors.database import RollupDatabase
from layer2.actors.errors import StoreError
from layer2.chain.connection import BlockRef
from layer2.chain.rollup import PostedBatch, ProofPoints
from layer2.ledger.operations import SignedOperation

SCHEMA_VERSION: Final = 2

_SCHEMA: Final = """
CREATE TABLE batches (
    id INTEGER PRIMARY KEY, hash BLOB NOT NULL, parent_hash BLOB NOT NULL, root BLOB NOT NULL, submitter TEXT NOT NULL,
    timestamp INTEGER NOT NULL, next_index INTEGER NOT NULL, queue_cursor INTEGER NOT NULL, data BLOB NOT NULL,
    tx BLOB NOT NULL, block INTEGER NOT NULL, block_hash BLOB NOT NULL
) STRICT;
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
class PayoutRow:
    """A payout that may be waiting for its owner."""

    owner: str
    token: int
    credited: int


def transaction_id(signed: SignedOperation) -> bytes:
    """What a signed operation is known by: keccak256 of its bytes (signature included)."""
    return keccak(signed.to_bytes())


class Store(RollupDatabase):
    """The database of an actor of the ZK rollup."""

    SCHEMA = _SCHEMA
    VERSION = SCHEMA_VERSION
    APPLICATION = 0x4C325A4B

    # ---------------------------------------------------------------- batches

    def _rewind_batches(self, block: int) -> None:
        self._run("DELETE FROM batches WHERE block > ?", block)
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
        self._run("UPDATE payouts SET served = NULL WHERE served > ?", block)

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
