"""Nodes that are stricter than Anvil: what they refuse for a moment must not stop an actor."""

import pytest

from layer2.chain.connection import Chain
from layer2.chain.errors import ChainError
from tests.support.optimistic_world import UNIT, OptimisticWorld, records

BLOB_TYPE = 3


def test_a_confirmation_waits_while_a_batch_with_a_blob_is_on_its_way(
    world: OptimisticWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Geth keeps both kinds of transactions in pools of their own, and an account in one of them at a time."""
    chain, operator = world.chain, world.operator.address
    broadcast = Chain.broadcast
    kinds = [0]
    refused = []

    def like_geth(self: Chain, raw: bytes) -> None:
        is_waiting = chain.nonce(operator) < chain.nonce(operator, pending=True)
        if is_waiting and (raw[0] == BLOB_TYPE) != (kinds[-1] == BLOB_TYPE):
            refused.append(raw)
            raise ChainError("the node refuses eth_sendRawTransaction: address already reserved")
        kinds.append(raw[0])
        broadcast(self, raw)

    monkeypatch.setattr(Chain, "broadcast", like_geth)
    with world.sequencer(data="blob") as sequencer:
        sequencer.run_until_idle()
        world.anvil.warp(world.deployment.challenge_period + 1)
        key = sequencer.submit(world.transfer(world.alice, world.bob, UNIT, records(sequencer))).id
        world.anvil.automine(False)
        assert sequencer.step().submitted is not None
        sequencer.step()
        assert (kinds[-1], len(refused)) == (BLOB_TYPE, 2)
        assert sequencer.status(key).state == "submitted"

        world.anvil.automine(True)
        world.anvil.mine()
        sequencer.run_until_idle()
        assert kinds[-1] != BLOB_TYPE
        assert sequencer.status(key).state == "posted"
        assert world.rollup.tip().confirmed_id == 1
