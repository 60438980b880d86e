"""Whatever happens on L1 at a freeze and after it, everybody can follow the rollup: owners escape with that."""

from dataclasses import astuple

from layer2.actors.optimistic_rebuild import rebuild_optimistic
from layer2.chain.sending import send
from layer2.optimistic.evidence import make_evidence
from tests.support.anvil import Anvil, signer
from tests.support.optimistic_world import OptimisticWorld

HOUR = 3600
WEEK = 7 * 24 * HOUR


def test_attack_a_fraud_proof_after_the_freeze_stops_no_node(anvil: Anvil, tmp_path) -> None:
    """A wrong batch is pending at the freeze, and void; the contract still takes the proof, for the reward."""
    snapshot = anvil.snapshot()
    world = OptimisticWorld.create(anvil, tmp_path, freeze_deadline=WEEK)
    world.open_accounts()
    world.deposit(world.alice, 1)
    early = world.make(queue=0)
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
