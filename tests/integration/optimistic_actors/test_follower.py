"""The follower's own states: restart with snapshots, rebuild from L1 alone, nodes that withhold or lie."""

import pytest

from layer2.actors.errors import FollowError, StoreError
from layer2.actors.optimistic_follower import OptimisticFollower
from layer2.actors.optimistic_rebuild import rebuild_optimistic
from layer2.actors.optimistic_store import OptimisticStore
from layer2.actors.store import Store
from layer2.actors.watcher import follow_operation
from layer2.chain.connection import Chain, Transaction
from layer2.chain.errors import DataMissingError
from layer2.chain.optimistic_rollup import OptimisticRollup
from layer2.chain.sending import send
from tests.support.anvil import signer
from tests.support.optimistic_world import UNIT, OptimisticWorld, balances, ids, records
from tests.support.wrong_batches import GARBAGE, transfers, wrong_state_root


@pytest.fixture
def busy(world: OptimisticWorld) -> OptimisticWorld:
    """Transfers, fees, a withdrawal, a forced one, deposits, in calldata and blobs; a rollback; two batches final."""
    with world.sequencer() as sequencer:
        sequencer.step()
        sequencer.submit(world.transfer(world.alice, world.bob, 10 * UNIT, records(sequencer), fee=1000))
        sequencer.run_until_idle()
    world.anvil.warp(world.deployment.challenge_period // 2)
    with world.sequencer(data="blob") as sequencer:
        sequencer.step()
        sequencer.submit(world.withdrawal(world.bob, 55 * UNIT, records(sequencer)))
        world.force(world.carol, 3)
        world.force(world.carol, 1)
        world.deposit(world.carol, UNIT, account=1)
        sequencer.run_until_idle()
    tip = world.rollup.tip()
    world.post(wrong_state_root(world))
    with world.challenger() as challenger:
        challenger.run_until_idle()
    assert world.rollup.tip() == tip
    world.anvil.mine()
    world.bond(world.operator)
    world.anvil.warp(world.deployment.challenge_period // 2 + 60)
    with world.sequencer() as sequencer:
        sequencer.run_until_idle()
        sequencer.submit(world.transfer(world.alice, world.bob, UNIT, records(sequencer)))
        sequencer.run_until_idle()
    return world


def test_the_same_state_as_the_contract(busy: OptimisticWorld) -> None:
    tip = busy.rollup.tip()
    assert 2 <= tip.confirmed_id < tip.batch_id
    for max_range in (1, 3, 2000):
        result = rebuild_optimistic(busy.rollup, busy.blobs, max_range=max_range)
        assert result.position.hash == tip.batch_hash
        assert result.position.header.state_root == result.position.state.state_root
        assert result.position.header.withdrawal_root == result.position.state.withdrawal_root
        assert (result.confirmed_id, result.wrong, result.queued) == (tip.confirmed_id, 0, 6)
        with busy.sequencer() as sequencer:
            assert list(sequencer.position.state.records()) == list(result.position.state.records())


def test_the_confirmed_header_is_the_rebuilt_one(busy: OptimisticWorld) -> None:
    with busy.follower() as follower:
        follower.sync()
        for row in follower._store.all_batches():
            if row.is_confirmed:
                assert busy.rollup.view("batches", row.batch_id) == (row.hash, True)
                assert row.header.hash == row.hash


def test_a_restart_uses_the_snapshot(busy: OptimisticWorld) -> None:
    """The data of all batches up to the snapshot's is gone, and is not missed."""
    with busy.follower("follower.sqlite", snapshot_every=1) as follower:
        follower.sync()
        position = follower.position
        snapshot = follower._store.snapshot(position.batch_id)
        assert snapshot[0] == position.batch_id
    with OptimisticStore(busy.folder / "follower.sqlite") as store:
        store._run("UPDATE batches SET data = NULL")
    with busy.follower("follower.sqlite") as follower:
        assert follower.position.state.commitment() == position.state.commitment()
        assert follower.sync().is_empty


def test_a_restart_without_a_snapshot_executes_again(busy: OptimisticWorld) -> None:
    with busy.follower("follower.sqlite") as follower:
        follower.sync()
        position = follower.position
        assert follower._store.snapshot(position.batch_id) is None
    with busy.follower("follower.sqlite") as follower:
        assert follower.position.state.commitment() == position.state.commitment()


def test_a_damaged_snapshot(busy: OptimisticWorld) -> None:
    with busy.follower("follower.sqlite", snapshot_every=1) as follower:
        follower.sync()
    with OptimisticStore(busy.folder / "follower.sqlite") as store:
        store._run("UPDATE snapshots SET state = substr(state, 1, 200)")
    with pytest.raises(FollowError, match=r"cannot be used .* delete the database"), busy.follower("follower.sqlite"):
        pass


def test_a_damaged_batch(busy: OptimisticWorld) -> None:
    with busy.follower("follower.sqlite") as follower:
        follower.sync()
    with OptimisticStore(busy.folder / "follower.sqlite") as store:
        store._run("UPDATE batches SET data = zeroblob(length(data)) WHERE id = 3 AND void IS NULL")
    with pytest.raises(FollowError, match="batch 3 comes out differently"), busy.follower("follower.sqlite"):
        pass


def test_the_database_of_another_rollup(world: OptimisticWorld) -> None:
    with world.follower("follower.sqlite"):
        pass
    with OptimisticStore(world.folder / "follower.sqlite") as store:
        store._run("UPDATE meta SET value = 'another'")
    with pytest.raises(StoreError, match="belongs to another, not to optimistic rollup 0x"):
        world.follower("follower.sqlite").__enter__()


def test_the_database_of_the_zk_rollup(world: OptimisticWorld) -> None:
    Store(world.folder / "zk.sqlite").close()
    with pytest.raises(StoreError, match="an actor of another kind: name another file"):
        OptimisticStore(world.folder / "zk.sqlite")


class Spoilt(Chain):
    """A node that does not give transactions as they are."""

    flip = -1

    def transaction(self, hash_: bytes) -> Transaction | None:
        transaction = super().transaction(hash_)
        if self.flip < 0 or transaction is None:
            return None
        changed = bytearray(transaction.input)
        if self.flip < len(changed):  # that of a batch in a blob is short
            changed[self.flip] ^= 1
        return Transaction(
            transaction.hash, transaction.sender, transaction.to, bytes(changed), transaction.nonce, transaction.block
        )


def test_a_node_without_the_data(busy: OptimisticWorld) -> None:
    with pytest.raises(DataMissingError, match="use a node with full history"):
        rebuild_optimistic(OptimisticRollup(Spoilt(busy.chain.web3), busy.deployment), busy.blobs)


def test_a_node_that_lies_about_the_data(busy: OptimisticWorld) -> None:
    spoilt = Spoilt(busy.chain.web3)
    # Where the data begins: selector, 14 words, the length; then a commitment, a length, operations.
    start = 4 + 15 * 32
    for place in (start, start + 31, start + 33):
        spoilt.flip = place
        with pytest.raises(FollowError, match="check the node"):
            rebuild_optimistic(OptimisticRollup(spoilt, busy.deployment), busy.blobs)


class NoBlobs:
    def fetch(self, transaction: bytes, block: object, versioned_hash: bytes) -> bytes:
        raise DataMissingError(f"blob 0x{versioned_hash.hex()} is not to be had")


def test_a_blob_that_nobody_has_any_more(busy: OptimisticWorld) -> None:
    with pytest.raises(FollowError, match=r"batch 3 cannot be rebuilt: blob 0x.* is not to be had"):
        rebuild_optimistic(busy.rollup, NoBlobs())


def test_a_rebuild_with_a_wrong_batch_at_the_tip(world: OptimisticWorld) -> None:
    right = rebuild_optimistic(world.rollup, world.blobs)
    world.post(wrong_state_root(world))
    result = rebuild_optimistic(world.rollup, world.blobs)
    assert (result.position.batch_id, result.wrong) == (1, 1)
    assert result.position.state.commitment() == right.position.state.commitment()


def test_a_rebuild_where_a_wrong_batch_was_confirmed(world: OptimisticWorld) -> None:
    world.post(wrong_state_root(world))
    world.anvil.warp(world.deployment.challenge_period + 1)
    with world.sequencer() as sequencer:
        sequencer.run_until_idle()
        header = sequencer._store.live(2).header
    send(world.chain, signer(5), world.deployment.rollup, world.rollup.confirm_call(2, header))
    with pytest.raises(FollowError, match="batch 2 is wrong from chunk 0 on and was confirmed"):
        rebuild_optimistic(world.rollup, world.blobs)


# -------------------------------------------------------------------- where an operation is


def test_follows_an_operation_through_a_rollback(world: OptimisticWorld) -> None:
    """Unknown, in a wrong batch, rolled back, posted again, final."""
    body = transfers(world, 1)[0]
    (key,) = ids([body])

    def state(follower: OptimisticFollower) -> str:
        follower.sync()
        place = follow_operation(follower, follower._store, key)
        texts.append(place.text)
        return place.state

    texts: list[str] = []
    with world.follower() as follower, world.challenger() as challenger:
        assert state(follower) == "unknown"
        world.post(world.make(body).with_(state_root=GARBAGE))
        assert state(follower) == "wrong batch"
        challenger.run_until_idle()
        assert state(follower) == "rolled back"
        assert "was ROLLED BACK with batch 2 (0x" in texts[-1]
        assert "it did not happen" in texts[-1]
        world.anvil.mine()
        world.bond(world.operator)
        world.post(world.make(body))
        assert state(follower) == "posted"
        world.anvil.warp(world.deployment.challenge_period + 1)
        with world.sequencer() as sequencer:
            sequencer.run_until_idle()
        assert state(follower) == "confirmed"
        assert balances(follower.position.state.record)[0] == 99 * UNIT


def test_an_operation_without_effect(world: OptimisticWorld) -> None:
    """The same signed transfer twice in a batch: the second has no effect, and the first counts."""
    first, second = transfers(world, 1)[0], world.transfer(world.carol, world.bob, 21 * UNIT, _records(world))
    world.post(world.make(first, first, second))
    with world.follower() as follower:
        follower.sync()
        places = [follow_operation(follower, follower._store, key) for key in ids([first, second])]
        assert [place.state for place in places] == ["posted", "invalid"]
        assert "had no effect: amount and fee are 21000000, account 3 holds 20000000" in places[1].text
        assert places[1].is_bad


def _records(world: OptimisticWorld):
    with world.follower() as follower:
        follower.sync()
        return follower.position.state.record
