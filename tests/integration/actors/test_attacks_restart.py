"""Restart: the relayer killed at every step of its work and started again; nothing is lost, nothing is done twice."""

import signal
import subprocess

import pytest

from layer2.actors.relayer import Relayer
from layer2.actors.store import ProposalState, Store
from layer2.chain import deployment
from tests.support.commands import support_program
from tests.support.killing import Killed, Killer
from tests.support.world import UNIT, USDC, World

POINTS = (
    ("synced", 1),
    ("plan written", 1),
    ("planned", 1),
    ("proof written", 1),
    ("proofs written", 1),
    ("proven", 1),
    ("submission written", 1),
    ("submitted", 1),
    ("letter signed", 1),
    ("letter stored", 1),
    ("letter sent", 1),
    ("settled", 1),
    ("synced", 2),
    ("withdrawal written", 1),
    ("letter signed", 2),
    ("letter stored", 2),
    ("letter sent", 2),
)
"""Points of the relayer's work, with how often each is passed before the kill. The second letter pays Bob out."""


def prepare(world: World) -> bytes:
    """A deposit waits in the queue and a withdrawal in the pool: one batch with one proof. Returns the latter's id."""
    with world.relayer() as relayer:
        relayer.step()
        key = relayer.submit(world.withdrawal(world.bob, 20 * UNIT, 0))
    world.deposit(world.alice, 5 * UNIT, account=1)
    return key


def check(world: World, relayer: Relayer, key: bytes, paid_before: int) -> None:
    """Everything has happened exactly once."""
    state = relayer.position.state
    tip = world.rollup.tip()
    assert state.root == tip.state_root
    assert [account.balance for _, account in state.accounts()] == [105 * UNIT, 30 * UNIT, 20 * UNIT]
    assert state.account(2).nonce == 1
    assert tip.batch_id == 2
    assert tip.queue_cursor == tip.queue_tail == 4
    assert relayer.status(key).state == "verified"
    assert world.l1_usdc(world.bob) - paid_before == 20 * UNIT
    assert world.rollup.payout(world.bob.signer.address, USDC) == 0


def check_store(world: World) -> None:
    """Nothing is left open, and one own batch was verified."""
    with Store(world.folder / world.database) as store:
        assert store.open_letters() == []
        assert store.active_proposals() == []
        assert store.unserved_payouts() == []
        verified = [p for p in store.proposals() if p.state is ProposalState.VERIFIED]
        assert [p.batch_id for p in verified] == [2]


def test_the_points_are_those_the_relayer_passes(world: World) -> None:
    prepare(world)
    watcher = Killer()
    with world.relayer(watcher, serve_withdrawals=True) as relayer:
        relayer.run_until_idle()
    assert set(watcher.passed) == {point for point, _ in POINTS}


@pytest.mark.parametrize(("point", "passage"), POINTS)
def test_killed_at(world: World, point: str, passage: int) -> None:
    key = prepare(world)
    paid_before = world.l1_usdc(world.bob)
    nonce = world.chain.nonce(world.operator.address)
    with world.relayer(Killer(point, passage), serve_withdrawals=True) as relayer, pytest.raises(Killed):
        relayer.run_until_idle()
    with world.relayer(serve_withdrawals=True) as relayer:
        relayer.run_until_idle()
        check(world, relayer, key, paid_before)
    check_store(world)
    # One transaction for the batch, one for the payout.
    assert world.chain.nonce(world.operator.address) == nonce + 2


def test_killed_again_and_again(world: World) -> None:
    key = prepare(world)
    paid_before = world.l1_usdc(world.bob)
    for point, passage in POINTS:
        with world.relayer(Killer(point, passage), serve_withdrawals=True) as relayer:
            try:
                relayer.run_until_idle()
            except Killed:
                continue
    with world.relayer(serve_withdrawals=True) as relayer:
        relayer.run_until_idle()
        check(world, relayer, key, paid_before)
    check_store(world)


def test_killed_between_two_proofs_keeps_the_first(world: World) -> None:
    with world.relayer() as relayer:
        relayer.step()
        relayer.submit(world.transfer(world.alice, world.bob, UNIT, 0))
        relayer.submit(world.withdrawal(world.bob, UNIT, 0))
    with world.relayer(Killer("proof written", 1)) as relayer, pytest.raises(Killed):
        relayer.step()
    with Store(world.folder / world.database) as store:
        (proposal,) = store.active_proposals()
        first = proposal.proofs
        assert len(first) == 1
    with world.relayer() as relayer:
        relayer.run_until_idle()
    with Store(world.folder / world.database) as store:
        (proposal,) = store.proposals()
        assert proposal.proofs[:1] == first
        assert len(proposal.proofs) == 2
        assert proposal.state is ProposalState.VERIFIED


@pytest.mark.parametrize("point", ["plan written", "proof written", "submission written", "letter sent"])
def test_killed_by_the_system(world: World, point: str) -> None:
    key = prepare(world)
    paid_before = world.l1_usdc(world.bob)
    file = deployment.write(world.deployment, world.folder / "deployment.json")
    database = world.folder / world.database
    arguments = [world.anvil.url, str(file), str(database), point]
    run = subprocess.run(support_program("killed_relayer", *arguments), check=False)
    assert run.returncode == -signal.SIGKILL
    with world.relayer(serve_withdrawals=True) as relayer:
        relayer.run_until_idle()
        check(world, relayer, key, paid_before)
    check_store(world)
