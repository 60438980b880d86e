"""The whole state from L1 data alone."""

import pytest

from layer2.actors.errors import FollowError
from layer2.actors.rebuild import rebuild
from layer2.chain.connection import Chain
from layer2.chain.errors import DataMissingError
from layer2.chain.rollup import Rollup
from tests.support.world import UNIT, World


@pytest.fixture
def busy(world: World) -> World:
    """Deposits, transfers, a withdrawal, a forced withdrawal, fees: three batches in all."""
    with world.relayer() as relayer:
        relayer.step()
        relayer.submit(world.transfer(world.alice, world.bob, 10 * UNIT, 0, fee=1000))
        relayer.submit(world.transfer(world.alice, world.carol, UNIT, 1))
        relayer.run_until_idle()
        relayer.submit(world.withdrawal(world.bob, 55 * UNIT, 0))
        world.force(world.carol, 3)
        world.force(world.carol, 1)
        world.deposit(world.carol, UNIT, account=1)
        relayer.run_until_idle()
    return world


def test_the_same_root(busy: World) -> None:
    tip = busy.rollup.tip()
    for max_range in (1, 3, 2000):
        result = rebuild(busy.rollup, max_range=max_range)
        assert (result.state.root, result.batch_id, result.queued) == (tip.state_root, tip.batch_id, 6)
        with busy.relayer() as relayer:
            assert list(relayer.position.state.accounts()) == list(result.state.accounts())


def test_before_the_first_batch(world: World) -> None:
    result = rebuild(Rollup(world.chain, world.deployment))
    assert result.batch_id == 1


class Spoilt(Chain):
    """A node that does not give transactions as they are."""

    flip = -1

    def transaction(self, hash_):
        transaction = super().transaction(hash_)
        if self.flip < 0:
            return None
        changed = bytearray(transaction.input)
        changed[self.flip] ^= 1
        return type(transaction)(
            transaction.hash, transaction.sender, transaction.to, bytes(changed), transaction.nonce, transaction.block
        )


def test_a_node_without_the_data(busy: World) -> None:
    with pytest.raises(DataMissingError, match="use a node with full history"):
        rebuild(Rollup(Spoilt(busy.chain.web3), busy.deployment))


def test_a_node_that_lies_about_the_data(busy: World) -> None:
    spoilt = Spoilt(busy.chain.web3)
    # selector, root, parent, two offsets, length, then the data: its first byte, a root, an amount
    for place in (0, 5 + 3, 5 + 3 + 31, 5 + 1 + 2 + 32 + 5 + 1 + 27):
        spoilt.flip = 4 + 5 * 32 + place
        with pytest.raises(FollowError):
            rebuild(Rollup(spoilt, busy.deployment))
