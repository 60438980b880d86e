"""Whatever happens on L1 at a freeze and after it, everybody can follow the rollup: owners escape with that."""

from dataclasses import astuple
from pathlib import Path

import pytest

from layer2.actors.optimistic_rebuild import rebuild_optimistic
from layer2.actors.optimistic_store import Verdict
from layer2.chain.sending import send
from layer2.optimistic.evidence import make_evidence
from tests.support.anvil import Anvil, signer
from tests.support.optimistic_world import OptimisticWorld

HOUR = 3600
WEEK = 7 * 24 * HOUR


def freezing_world(anvil: Anvil, folder: Path) -> OptimisticWorld:
    """Overdue entries are taken one a batch, so that pending batches leave some of them: a freeze makes them void."""
    world = OptimisticWorld.create(anvil, folder, freeze_deadline=WEEK, inclusion_deadline=0, queue_quota=1)
    world.open_accounts()
    return world


def test_attack_a_fraud_proof_after_the_freeze_stops_no_node(anvil: Anvil, tmp_path: Path) -> None:
    """A wrong batch is pending at the freeze, and void; the contract still takes the proof, for the reward."""
    snapshot = anvil.snapshot()
    world = freezing_world(anvil, tmp_path)
    world.deposit(world.alice, 1)
    world.deposit(world.alice, 1)
    early = world.make(queue=1)
    anvil.warp(HOUR)
    world.post(early.with_(state_root=b"\x11" * 32))

    with world.follower() as follower:
        follower.sync()
        wrong = follower._store.first_wrong()
        assert wrong is not None
        examined = follower.examine(wrong)
        evidence = make_evidence(examined.posted, 0, examined.checked.before)
        confirmed = follower._store.live(1)
        assert confirmed is not None
        lines = [confirmed.header, wrong.header]
    anvil.warp(WEEK - HOUR // 2)
    rollup = world.rollup
    coder = rollup.coder
    send(world.chain, signer(4), rollup.address, rollup.confirm_call(1, confirmed.header))
    send(world.chain, signer(4), rollup.address, coder.encode("freeze", *(astuple(line) for line in lines)))
    assert rebuild_optimistic(rollup, world.blobs).position.batch_id == 1

    send(world.chain, signer(4), rollup.address, rollup.prove_call(evidence))
    with world.follower() as follower:
        follower.sync()
        assert follower.position.state.state_root == rollup.view("finalRoot")
        assert [fraud.batch_hash for fraud in follower._store.frauds()] == [wrong.hash]
    assert rebuild_optimistic(rollup, world.blobs).position.batch_id == 1
    anvil.revert(snapshot)


@pytest.mark.parametrize("snapshot_every", [1, 64])
def test_attack_a_wrong_batch_on_a_right_one_that_the_freeze_made_void(
    anvil: Anvil, tmp_path: Path, snapshot_every: int
) -> None:
    """A challenger that starts after the freeze proves it on the state of the void batch, and the bond is lost."""
    snapshot = anvil.snapshot()
    world = freezing_world(anvil, tmp_path)
    for _ in range(3):
        world.deposit(world.alice, 1)
    early = world.make(queue=1)
    anvil.warp(HOUR)
    world.post(early)
    with world.follower() as follower:
        follower.sync()
        body = world.transfer(world.alice, world.bob, 5, follower.position.state.record)
    world.post(world.make(body, queue=1).with_(executed_at=early.claim.executed_at, state_root=b"\x11" * 32))
    with world.follower("challenger.sqlite", snapshot_every=snapshot_every) as follower:
        follower.sync()
        confirmed, right, wrong = follower._store.all_batches()
        assert (right.verdict, wrong.verdict) == (Verdict.RIGHT, Verdict.WRONG)

    anvil.warp(WEEK - HOUR // 2)
    rollup = world.rollup
    send(world.chain, signer(4), rollup.address, rollup.confirm_call(1, confirmed.header))
    send(world.chain, signer(4), rollup.address, rollup.freeze_call(confirmed.header, right.header))
    with world.follower("challenger.sqlite") as follower:
        follower.sync()
        assert follower._store.tip() == follower._store.batch(confirmed.hash)
    with world.challenger(reserve=False) as challenger:
        assert challenger.position.hash == confirmed.hash
        challenger.run_until_idle()
        assert [fraud.batch_hash for fraud in challenger._store.frauds()] == [wrong.hash]
    assert rollup.bond(world.operator.address).amount == 0
    anvil.revert(snapshot)
