"""The optimistic actors' database: what a reorg takes back, what counts, ids that are used again."""

import sqlite3
from pathlib import Path

import pytest

from layer2.actors.errors import StoreError
from layer2.actors.optimistic_store import OptimisticStore, Verdict, Wrong
from layer2.chain.connection import BlockRef
from layer2.chain.custody import QueuedOperation
from layer2.chain.optimistic_rollup import SubmittedBatch
from layer2.ledger.operations import NO_KEY, Operation, queue_chain
from layer2.optimistic.batches import NOBODY, BatchHeader


@pytest.fixture
def store() -> OptimisticStore:
    return OptimisticStore()


def batch(number: int, at: int, parent: bytes = bytes(32), commitment: int = 0) -> SubmittedBatch:
    header = BatchHeader(
        bytes(32), parent, 1000 + at, at, NOBODY, 1000, False, 1, bytes([commitment]) * 32, bytes(32), 0, 1, 0, (0,) * 4
    )
    return SubmittedBatch(number, header, b"data", b"t" * 32, BlockRef(at, bytes([at]) * 32))


def add(store: OptimisticStore, *batches: SubmittedBatch) -> list[bytes]:
    return [store.add_batch(one, one.calldata).hash for one in batches]


def test_ids_are_used_again_after_a_rollback(store: OptimisticStore) -> None:
    first, second = add(store, batch(1, 5), batch(2, 6))
    assert [row.hash for row in store.void_batches(1, "rejected", 7)] == [first, second]
    assert store.tip() is None
    (third,) = add(store, batch(1, 8))
    assert store.tip().hash == third
    assert store.live(1).hash == third
    assert store.batch(first).void == "rejected"


def test_a_reorg_takes_a_rollback_back(store: OptimisticStore) -> None:
    first, second = add(store, batch(1, 5), batch(2, 6))
    store.void_batches(2, "rejected", 8)
    add(store, batch(2, 9))
    store.add_fraud(second, "0x", 0, b"c" * 31, 1, 8)
    store.rewind(7)
    assert store.tip().hash == second
    assert store.frauds() == []
    assert store.first_pending().hash == first


def test_a_second_live_batch_with_one_id_is_refused(store: OptimisticStore) -> None:
    add(store, batch(1, 5))
    with pytest.raises(sqlite3.IntegrityError):
        add(store, batch(1, 6))


def test_a_reorg_takes_a_confirmation_back(store: OptimisticStore) -> None:
    (first,) = add(store, batch(1, 5))
    store.accept([(b"a" * 32, b"body")], 1.0)
    store.include([b"a" * 32, b"unknown"], first)
    store.confirm(1, 9)
    assert store.confirmed_id() == 1
    assert store.pool_row(b"a" * 32).state == "confirmed"
    store.rewind(8)
    assert store.confirmed_id() == 0
    assert store.pool_row(b"a" * 32).state == "waiting"
    assert store.waiting() == []
    store.rewind(4)
    assert [row.id for row in store.waiting()] == [b"a" * 32]


def test_operations_of_a_void_batch_wait_again(store: OptimisticStore) -> None:
    (first,) = add(store, batch(1, 5))
    keys = [bytes([n]) * 32 for n in range(3)]
    store.accept([(key, b"body") for key in keys], 1.0)
    store.include(keys[:2], first)
    assert [row.id for row in store.waiting()] == keys[2:]
    store.void_batches(1, "rejected", 6)
    assert [row.id for row in store.waiting()] == keys
    assert [row.hash for row in store.inclusions(keys[0])] == [first]


def test_what_was_dropped_waits_again_at_the_end(store: OptimisticStore) -> None:
    store.accept([(b"a" * 32, b"1"), (b"b" * 32, b"2")], 1.0)
    store.drop(b"a" * 32, "because", 5)
    assert [row.body for row in store.waiting()] == [b"2"]
    store.accept([(b"a" * 32, b"1")], 2.0)
    assert [row.body for row in store.waiting()] == [b"2", b"1"]


def test_an_own_batch_is_under_way_until_one_like_it_counts(store: OptimisticStore) -> None:
    parent = b"p" * 32
    proposal = store.add_proposal(parent, 1000, 0, [b"one", b""], [b"i" * 32], bytes([7]) * 32, b"f" * 31)
    assert store.active_proposals() == [proposal]
    assert (proposal.chunks, proposal.items) == ((b"one", b""), (b"i" * 32,))
    add(store, batch(1, 5, parent, commitment=6))
    assert store.active_proposals() == [proposal]
    store.void_batches(1, "rejected", 6)
    add(store, batch(1, 7, parent, commitment=7))
    assert store.active_proposals() == []
    store.rewind(6)
    assert store.active_proposals() == [proposal]
    store.abandon(proposal.id, "because")
    assert store.active_proposals() == []


def test_verdicts(store: OptimisticStore) -> None:
    add(store, batch(1, 5), batch(2, 6), batch(3, 7))
    first = store.first_unjudged()
    store.set_verdict(first.sequence, Verdict.RIGHT)
    second = store.first_unjudged()
    wrong = Wrong(3, b"c" * 31, b"o" * 31)
    store.set_verdict(second.sequence, Verdict.WRONG, wrong)
    store.set_verdict(store.first_unjudged().sequence, Verdict.UNFOUNDED)
    assert store.first_unjudged() is None
    assert store.last_right().batch_id == 1
    assert store.first_wrong().wrong == wrong
    store.void_batches(2, "frozen", 8)
    assert store.first_wrong() is None
    assert store.first_disputable().batch_id == 2
    store.add_fraud(second.hash, "0x", 3, b"o" * 31, 1, 9)
    assert store.first_disputable() is None


def test_the_claimant_is_the_last_who_took_the_reward(store: OptimisticStore) -> None:
    key = b"h" * 32
    store.add_fraud(key, "0xa", 0, b"c" * 31, 100, 5)
    store.add_reward(key, "taken", "0xb", 6)
    store.add_reward(key, "taken", "0xc", 7)
    store.add_reward(key, "claimed", "0xc", 8)
    (fraud,) = store.frauds()
    assert (fraud.challenger, fraud.is_claimed) == ("0xc", True)
    store.rewind(6)
    (fraud,) = store.frauds()
    assert (fraud.challenger, fraud.is_claimed) == ("0xb", False)


def test_a_salt_stays(store: OptimisticStore) -> None:
    assert store.known_salt(b"h") is None
    assert store.salt(b"h", b"first") == b"first"
    assert store.salt(b"h", b"second") == b"first"
    assert store.known_salt(b"h") == b"first"


def test_the_queue_chain(store: OptimisticStore) -> None:
    chain = bytes(32)
    for number in range(3):
        operation = Operation.deposit(0, 10 + number, 7, NO_KEY)
        store.add_queued(QueuedOperation(number, operation, BlockRef(number, b"")), 0, 0)
        chain = queue_chain(chain, operation)
        assert store.queue_chain(number + 1) == chain
    assert store.queue_chain(0) == bytes(32)


def test_another_application(tmp_path: Path) -> None:
    OptimisticStore(tmp_path / "store").close()
    raw = sqlite3.connect(tmp_path / "store")
    raw.execute("PRAGMA application_id = 5")
    raw.close()
    with pytest.raises(StoreError, match="another kind: name another file"):
        OptimisticStore(tmp_path / "store")


def test_says_which_operations_are_alive(store: OptimisticStore) -> None:
    """However many are asked for; those that were dropped may come again."""
    keys = [number.to_bytes(32) for number in range(1203)]
    assert store.alive([]) == store.alive(keys) == set()
    store.accept([(key, b"body") for key in keys[:1200]], 1.0)
    assert store.alive(keys) == set(keys[:1200])
    store.drop(keys[0], "expired", 5)
    store.drop(keys[1199], "expired", 6)
    assert store.alive(keys) == set(keys[1:1199])
    store.accept([(keys[0], b"body")], 2.0)
    (hash_,) = add(store, batch(1, 7))
    store.include([keys[1]], hash_)
    store.confirm(1, 8)
    assert store.pool_row(keys[1]).state == "confirmed"
    assert store.alive([keys[1], keys[0], keys[1199]]) == {keys[0], keys[1]}
