import pytest

from tests.support.optimistic_world import UNIT, OptimisticWorld, balances, records


@pytest.mark.parametrize("data", ["calldata", "blob"])
def test_honest_flow(world: OptimisticWorld, data: str) -> None:
    with world.sequencer(data=data) as sequencer:
        sequencer.step()
        look = records(sequencer)
        assert balances(look) == [100 * UNIT, 50 * UNIT, 20 * UNIT]
        first = sequencer.submit(world.transfer(world.alice, world.bob, 10 * UNIT, look))
        second = sequencer.submit(world.transfer(world.alice, world.carol, UNIT, look))
        assert balances(look) == [89 * UNIT, 60 * UNIT, 21 * UNIT]
        assert sequencer.status(first.id).state == "accepted"
        sequencer.run_until_idle()
        assert sequencer.status(second.id).state == "posted"
        assert world.rollup.tip().batch_id == 2
        assert balances(sequencer.position.state.record) == [89 * UNIT, 60 * UNIT, 21 * UNIT]
        world.anvil.warp(world.deployment.challenge_period + 1)
        sequencer.run_until_idle()
        assert world.rollup.tip().confirmed_id == 2
        assert sequencer.status(first.id).state == "confirmed"
