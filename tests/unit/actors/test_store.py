"""The database: transactions, versions, damage, and what a reorg takes back."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from layer2.actors.database import Attempt
from layer2.actors.errors import StoreError
from layer2.actors.store import SCHEMA_VERSION, ItemRef, ProposalState, Store, transaction_id
from layer2.chain.connection import BlockRef
from layer2.chain.custody import QueuedOperation
from layer2.chain.rollup import PostedBatch, ProofPoints
from layer2.crypto.eddsa import B8, PrivateKey
from layer2.ledger.operations import Operation, SignedOperation, sign_operation

KEY = PrivateKey.from_seed(bytes(32))
PROOF = ProofPoints((1, 2), ((3, 4), (5, 6)), (7, 8), 9)


def block(number: int) -> BlockRef:
    return BlockRef(number, number.to_bytes(32))


def signed(nonce: int = 0, amount: int = 5, account: int = 1) -> SignedOperation:
    return sign_operation(KEY, 1, Operation.transfer(account, 2, 1, amount), nonce, 2**40 - 1, 7)


def batch(number: int, at: int) -> PostedBatch:
    parent = (number - 1).to_bytes(32)
    return PostedBatch(
        number, number.to_bytes(32), parent, number, "0x0", 100, 2, number, b"data", b"t" * 32, block(at)
    )


def entry(index: int, at: int) -> QueuedOperation:
    return QueuedOperation(index, Operation.deposit(0, 10, 7, B8), block(at))


@pytest.fixture
def store() -> Store:
    return Store()


# -------------------------------------------------------------------- the file


def test_refuses_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "store"
    path.write_text("no database, but long enough to have a header" * 10)
    with pytest.raises(StoreError, match="restore or delete it"):
        Store(path)


def test_refuses_another_schema_version(tmp_path: Path) -> None:
    path = tmp_path / "store"
    Store(path).close()
    with closing(sqlite3.connect(path)) as raw:
        raw.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(StoreError, match=f"has schema version {SCHEMA_VERSION + 1}"):
        Store(path)


def test_refuses_a_second_process(tmp_path: Path) -> None:
    with Store(tmp_path / "store") as store:
        store.bind("mine")
        with pytest.raises(StoreError, match="another process uses it"):
            Store(tmp_path / "store")


def test_refuses_another_rollup(store: Store) -> None:
    store.bind("mine")
    store.bind("mine")
    with pytest.raises(StoreError, match="belongs to mine, not to yours"):
        store.bind("yours")


def test_a_transaction_is_stored_whole_or_not_at_all(tmp_path: Path) -> None:
    with Store(tmp_path / "store") as store:
        with pytest.raises(KeyError):  # noqa: PT012, SIM117
            with store.transaction():
                store.add_block(block(1))
                with store.transaction():
                    store.add_pending(signed(), 0)
                raise KeyError
        assert store.blocks() == []
        assert store.pending() == []
        with store.transaction():
            store.add_block(block(1))
    with Store(tmp_path / "store") as store:
        assert store.blocks() == [block(1)]


def test_a_transaction_under_way_is_gone_after_a_crash(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with pytest.raises(sqlite3.ProgrammingError):  # noqa: PT012, SIM117
        with store.transaction():
            store.add_block(block(1))
            store.close()
    with Store(tmp_path / "store") as store:
        assert store.blocks() == []


# -------------------------------------------------------------------- rows come back as they were


def test_round_trips(store: Store) -> None:
    store.add_queued(entry(0, 5), 1000, 2000.5)
    (row,) = store.queued(0)
    assert (row.entry, row.arrival, row.seen) == (entry(0, 5), 1000, 2000.5)
    store.add_batch(batch(1, 6))
    assert store.batch(1) == batch(1, 6) == store.batches()[0]
    assert store.last_batch_id() == 1
    key = store.add_pending(signed(), 3.5)
    assert key == transaction_id(signed())
    row = store.pool_row(key)
    assert (row.signed, row.arrival, row.state) == (signed(), 3.5, "pending")
    number = store.add_proposal(b"p" * 32, 77, [ItemRef(queue=0), ItemRef(pool=key)], 2**250, b"data")
    store.set_proofs(number, [PROOF])
    proposal = store.proposal(number)
    assert proposal.items == (ItemRef(queue=0), ItemRef(pool=key))
    assert (proposal.root, proposal.data, proposal.timestamp) == (2**250, b"data", 77)
    assert proposal.proofs == (PROOF,)
    assert proposal.state is ProposalState.PLANNED
    letter = store.add_letter("batch", "1", "0xabc", b"input")
    attempt = Attempt(b"h" * 32, 3, b"raw", 1.5)
    store.add_attempt(letter, attempt)
    (found,) = store.open_letters()
    assert (found.purpose, found.reference, found.input, found.attempts) == ("batch", "1", b"input", (attempt,))


def test_one_operation_for_each_nonce_waits(store: Store) -> None:
    store.add_pending(signed(), 0)
    with pytest.raises(StoreError, match="account 1 with nonce 0 waits already"):
        store.add_pending(signed(amount=6), 0)
    store.add_pending(signed(nonce=1), 0)
    store.add_pending(signed(account=3), 0)
    assert [row.signed.nonce for row in store.pending(1)] == [0, 1]
    assert store.pending_count() == 3


def test_what_was_dropped_can_come_again(store: Store) -> None:
    key = store.add_pending(signed(), 0)
    store.drop(key, "too poor", None)
    assert store.pool_row(key).reason == "too poor"
    assert store.add_pending(signed(), 9) == key
    assert store.pool_row(key).state == "pending"


def test_old_cursors_are_forgotten(store: Store) -> None:
    for number in range(300):
        store.add_block(block(number))
    known = store.blocks()
    assert known[0] == block(299)
    assert len(known) == 256


def test_snapshots(store: Store) -> None:
    for number in (1, 2, 3):
        store.add_batch(batch(number, number))
        store.save_snapshot(number, number.to_bytes(32), bytes([number]))
    assert store.snapshot(3) == (3, (3).to_bytes(32), b"\3")
    assert store.snapshot(2) == (2, (2).to_bytes(32), b"\2")
    assert store.snapshot(1) is None


# -------------------------------------------------------------------- reorgs


def test_rewind(store: Store) -> None:
    for number in (1, 2, 3):
        store.add_block(block(number))
        store.add_queued(entry(number - 1, number), 0, 0)
        store.add_batch(batch(number, number))
        store.save_snapshot(number, number.to_bytes(32), b"")
    kept = store.add_pending(signed(0), 0)
    undone = store.add_pending(signed(1), 0)
    store.include(kept, 2, 2)
    store.include(undone, 3, 3)
    ids = []
    for number in (2, 3):
        ids.append(store.add_proposal(number.to_bytes(32), 0, [], 0, b""))
        store.set_proposal_state(ids[-1], ProposalState.VERIFIED, batch_id=number, block=number)
        letter = store.add_letter("batch", str(ids[-1]), "", b"")
        store.set_letter_state(letter, "mined", number)
        store.credit_payout(f"0x{number}", 1, number)
        store.settle_payout(f"0x{number}", 1, block=number)
    store.rewind(2)
    assert store.blocks() == [block(2), block(1)]
    assert [row.entry.index for row in store.queued(0)] == [0, 1]
    assert store.last_batch_id() == 2
    assert store.snapshot(9)[0] == 2
    assert (store.pool_row(kept).state, store.pool_row(undone).state) == ("included", "pending")
    assert [p.state for p in store.proposals()] == [ProposalState.VERIFIED, ProposalState.SUBMITTED]
    assert [letter.reference for letter in store.open_letters()] == [str(ids[1])]
    assert [row.owner for row in store.unserved_payouts()] == ["0x3"]


def test_rewind_brings_the_included_one_of_two_back(store: Store) -> None:
    included = store.add_pending(signed(amount=1), 0)
    store.include(included, 1, 5)
    other = store.add_pending(signed(amount=2), 0)
    store.drop(other, "nonce used", 5)
    store.rewind(4)
    assert store.pool_row(included).state == "pending"
    assert store.pool_row(other).state == "dropped"
