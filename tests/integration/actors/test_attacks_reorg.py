"""Reorgs of L1 under the relayer, and transactions that get stuck or lost."""

import time
from dataclasses import replace

import pytest

from layer2.actors.relayer import Relayer
from layer2.actors.store import Store
from layer2.chain.sending import build, send
from tests.support.world import UNIT, World


def balances(relayer: Relayer) -> list[int]:
    return [account.balance for _, account in relayer.position.state.accounts()]


def test_a_reorg_takes_the_own_batch_away(world: World) -> None:
    with world.relayer() as relayer:
        relayer.step()
        before = world.anvil.snapshot()
        key = relayer.submit(world.transfer(world.alice, world.bob, 10 * UNIT, 0))
        relayer.run_until_idle()
        first = relayer.status(key)
        assert first.state == "verified"
        world.anvil.revert(before)
        world.anvil.mine(3)
        report = relayer.step()
        assert report.sync.rewound_to is not None
        relayer.run_until_idle()
        assert relayer.status(key).state == "verified"
        assert balances(relayer) == [90 * UNIT, 60 * UNIT, 20 * UNIT]
        assert world.rollup.tip().batch_id == 2
        assert world.rollup.tip().state_root == relayer.position.state.root


def test_a_reorg_while_the_relayer_is_stopped(world: World) -> None:
    before = world.anvil.snapshot()
    with world.relayer() as relayer:
        relayer.step()
        key = relayer.submit(world.transfer(world.alice, world.bob, 10 * UNIT, 0))
        relayer.run_until_idle()
    world.anvil.revert(before)
    world.anvil.mine()
    with world.relayer() as relayer:
        relayer.run_until_idle()
        assert relayer.status(key).state == "verified"
        assert balances(relayer) == [90 * UNIT, 60 * UNIT, 20 * UNIT]


def test_a_reorg_takes_a_deposit_away(world: World) -> None:
    before = world.anvil.snapshot()
    with world.relayer() as relayer:
        world.deposit(world.alice, 7 * UNIT, account=1)
        relayer.run_until_idle()
        assert balances(relayer)[0] == 107 * UNIT
        key = relayer.submit(world.transfer(world.alice, world.bob, 107 * UNIT, 0))
        relayer.run_until_idle()
        assert balances(relayer)[:2] == [0, 157 * UNIT]
        world.anvil.revert(before)
        world.anvil.mine()
        relayer.run_until_idle()
        assert balances(relayer) == [100 * UNIT, 50 * UNIT, 20 * UNIT]
        # Alice cannot pay it any more; it waits until she can.
        assert relayer.status(key).state == "pending"
        world.deposit(world.alice, 7 * UNIT, account=1)
        relayer.run_until_idle()
        assert relayer.status(key).state == "verified"
        assert world.rollup.tip().state_root == relayer.position.state.root


@pytest.mark.parametrize("is_posted", [False, True], ids=["waits", "posted"])
def test_a_reorg_puts_somebody_else_where_a_transfer_goes(world: World, is_posted: bool) -> None:
    """Alice pays Bob's second account, 4. Then two deposits change places, and account 4 is Carol's."""
    before = world.anvil.snapshot()
    world.deposit(world.bob, 5 * UNIT)
    world.deposit(world.carol, 7 * UNIT)
    with world.relayer() as relayer:
        relayer.run_until_idle()
    with world.relayer(batch_timeout=0 if is_posted else 3600) as relayer:
        key = relayer.submit(world.transfer(world.alice, replace(world.bob, account=4), 10 * UNIT, 0))
        relayer.run_until_idle()
        assert relayer.status(key).state == ("verified" if is_posted else "pending")
    world.anvil.revert(before)
    world.deposit(world.carol, 7 * UNIT)
    world.deposit(world.bob, 5 * UNIT)
    with world.relayer() as relayer:
        relayer.run_until_idle()
        state = relayer.position.state
        assert [state.account(index).owner for index in (4, 5)] == [world.carol.owner, world.bob.owner]
        assert balances(relayer) == [100 * UNIT, 50 * UNIT, 20 * UNIT, 7 * UNIT, 5 * UNIT]
        status = relayer.status(key)
        assert status.state == "dropped"
        assert "owner" in status.reason or "belongs" in status.reason
        # Alice looks Bob up again: the nonce is free.
        again = relayer.submit(world.transfer(world.alice, replace(world.bob, account=5), 10 * UNIT, 0))
        relayer.run_until_idle()
        assert relayer.status(again).state == "verified"
        assert balances(relayer) == [90 * UNIT, 50 * UNIT, 20 * UNIT, 7 * UNIT, 15 * UNIT]


def test_a_reorg_puts_a_foreign_batch_in_place_of_the_own(world: World) -> None:
    before = world.anvil.snapshot()
    with world.relayer() as relayer:
        relayer.step()
        mine = relayer.submit(world.transfer(world.alice, world.bob, 10 * UNIT, 0))
        relayer.run_until_idle()
        world.anvil.revert(before)
        with world.relayer(database="other.sqlite") as other:
            other.step()
            other.submit(world.transfer(world.bob, world.carol, 5 * UNIT, 0))
            other.run_until_idle()
        relayer.run_until_idle()
        assert relayer.status(mine).batch_id == 3
        assert balances(relayer) == [90 * UNIT, 55 * UNIT, 25 * UNIT]


def test_a_reorg_of_several_own_batches(world: World) -> None:
    before = world.anvil.snapshot()
    with world.relayer() as relayer:
        relayer.step()
        keys = []
        for nonce in range(3):
            keys.append(relayer.submit(world.transfer(world.alice, world.bob, UNIT, nonce)))
            relayer.run_until_idle()
        assert world.rollup.tip().batch_id == 4
        world.anvil.revert(before)
        relayer.run_until_idle()
        assert [relayer.status(key).state for key in keys] == ["verified"] * 3
        assert balances(relayer) == [97 * UNIT, 53 * UNIT, 20 * UNIT]
        assert world.rollup.tip().state_root == relayer.position.state.root


def test_a_reorg_of_a_payout(world: World) -> None:
    paid_before = world.l1_usdc(world.bob)
    with world.relayer(serve_withdrawals=True) as relayer:
        relayer.step()
        relayer.submit(world.withdrawal(world.bob, 20 * UNIT, 0))
    with world.relayer() as relayer:
        relayer.run_until_idle()
    before = world.anvil.snapshot()
    with world.relayer(serve_withdrawals=True) as relayer:
        relayer.run_until_idle()
        assert world.l1_usdc(world.bob) - paid_before == 20 * UNIT
        world.anvil.revert(before)
        world.anvil.mine()
        relayer.run_until_idle()
        assert world.l1_usdc(world.bob) - paid_before == 20 * UNIT


def test_a_reorg_deeper_than_the_known_blocks(world: World) -> None:
    before = world.anvil.snapshot()
    with world.relayer() as relayer:
        relayer.step()
        key = relayer.submit(world.transfer(world.alice, world.bob, UNIT, 0))
        relayer.run_until_idle()
    with Store(world.folder / world.database) as store:
        last = store.blocks()[0]
        store._run("DELETE FROM blocks WHERE number < ?", last.number)
    world.anvil.revert(before)
    world.anvil.mine(2)
    with world.relayer() as relayer:
        report = relayer.step()
        assert report.sync.rewound_to.number == world.deployment.block - 1
        relayer.run_until_idle()
        assert relayer.status(key).state == "verified"
        assert balances(relayer) == [99 * UNIT, 51 * UNIT, 20 * UNIT]


def test_confirmations_keep_a_reorg_from_being_noticed(world: World) -> None:
    with world.relayer(confirmations=3) as relayer:
        world.anvil.mine(3)
        relayer.step()
        before = world.anvil.snapshot()
        world.deposit(world.alice, UNIT, account=1)
        assert relayer.step().sync.queued == 0
        world.anvil.revert(before)
        world.anvil.mine(2)
        assert relayer.step().sync.rewound_to is None
        world.deposit(world.alice, 2 * UNIT, account=1)
        world.anvil.mine(3)
        assert relayer.step().sync.queued == 1


# -------------------------------------------------------------------- stuck transactions


def test_a_transaction_that_the_node_forgot_is_sent_again(world: World) -> None:
    with world.relayer() as relayer:
        relayer.step()
        key = relayer.submit(world.transfer(world.alice, world.bob, UNIT, 0))
        world.anvil.automine(False)
        assert relayer.step().submitted is not None
        world.anvil.drop_all()
        assert relayer.status(key).state == "submitted"
        relayer.step()
        world.anvil.mine()
        relayer.run_until_idle()
        assert relayer.status(key).state == "verified"
    with Store(world.folder / world.database) as store:
        (letter,) = store.letters("batch", "1")
        assert len(letter.attempts) == 1


def test_a_stuck_transaction_is_replaced_with_higher_fees(world: World) -> None:
    moment = [time.time()]
    before = world.now
    world.now = lambda: moment[0]
    try:
        with world.relayer(resend_after=60) as relayer:
            relayer.step()
            nonce = world.chain.nonce(world.operator.address)
            key = relayer.submit(world.transfer(world.alice, world.bob, UNIT, 0))
            world.anvil.automine(False)
            relayer.step()
            moment[0] += 61
            relayer.step()
            world.anvil.mine()
            relayer.run_until_idle()
            assert relayer.status(key).state == "verified"
    finally:
        world.now = before
    with Store(world.folder / world.database) as store:
        (letter,) = store.letters("batch", "1")
        first, second = letter.attempts
        assert first.nonce == second.nonce == nonce
    assert world.chain.receipt(first.hash) is None
    assert world.chain.receipt(second.hash).ok
    assert world.chain.nonce(world.operator.address) == nonce + 1


def test_a_nonce_used_for_something_else_is_noticed(world: World) -> None:
    with world.relayer() as relayer:
        relayer.step()
        key = relayer.submit(world.transfer(world.alice, world.bob, UNIT, 0))
        world.anvil.automine(False)
        relayer.step()
        world.anvil.drop_all()
        nonce = world.chain.nonce(world.operator.address)
        other = build(world.chain, world.operator.address, world.alice.signer.address, b"", value=1, nonce=nonce)
        world.chain.broadcast(world.operator.sign_transaction(other))
        world.anvil.mine()
        world.anvil.automine(True)
        relayer.run_until_idle()
        assert relayer.status(key).state == "verified"
        assert world.chain.nonce(world.operator.address) == nonce + 2


def test_the_own_batch_sent_by_somebody_else(world: World) -> None:
    """The same call with the same key, from a transaction that this relayer does not know."""
    with world.relayer() as relayer:
        relayer.step()
        key = relayer.submit(world.transfer(world.alice, world.bob, UNIT, 0))
        world.anvil.automine(False)
        relayer.step()
        world.anvil.drop_all()
        world.anvil.automine(True)
        (letter,) = relayer.letters_of(1)
        # Takes the nonce, so that the transaction is not the very same.
        send(world.chain, world.operator, world.alice.signer.address, b"", value=1)
        send(world.chain, world.operator, letter.target, letter.input)
        relayer.run_until_idle()
        assert relayer.status(key).batch_id == 2
    with Store(world.folder / world.database) as store:
        assert store.open_letters() == []
        assert [proposal.state.value for proposal in store.proposals()] == ["verified"]


def test_a_batch_overtaken_on_its_way_is_planned_anew(world: World) -> None:
    """Two relayers with one key: the other one's batch is mined while the own one waits."""
    with world.relayer() as relayer:
        relayer.step()
        key = relayer.submit(world.transfer(world.alice, world.bob, UNIT, 0))
        world.anvil.automine(False)
        relayer.step()
        world.anvil.drop_all()
        world.anvil.automine(True)
        with world.relayer(database="other.sqlite") as other:
            other.step()
            other.submit(world.transfer(world.carol, world.bob, UNIT, 0))
            other.run_until_idle()
        relayer.run_until_idle()
        assert relayer.status(key).batch_id == 3
        assert balances(relayer) == [99 * UNIT, 52 * UNIT, 19 * UNIT]
