"""Restart: each actor killed at every step of its work and started again; nothing is lost, nothing is done twice."""

import signal as signals
import subprocess

import pytest

from layer2.actors.optimistic_store import OptimisticStore
from layer2.actors.sequencer import Sequencer
from layer2.chain import optimistic_deployment
from layer2.chain.sending import send
from tests.support.anvil import signer
from tests.support.commands import support_program
from tests.support.killing import Killed, Killer
from tests.support.optimistic_world import ETHER, UNIT, OptimisticWorld, balances, records
from tests.support.wrong_batches import wrong_state_root

SEQUENCER_POINTS = (
    ("synced", 1),
    ("batch written", 1),
    ("submitted", 1),
    ("letter signed", 1),
    ("letter stored", 1),
    ("letter sent", 1),
    ("settled", 1),
    ("synced", 2),
    ("confirmation written", 1),
    ("letter signed", 2),
    ("letter stored", 2),
    ("letter sent", 2),
)
"""Points of the sequencer's work, with how often each is passed before the kill. The second letter confirms batch 1."""

BLOB_POINTS = (("batch written", 1), ("letter signed", 1), ("letter stored", 1), ("letter sent", 1))
"""Points where the batch's blob, and the transaction's sidecar with it, have to be in the database."""

CHALLENGER_POINTS = (
    ("synced", 1),
    ("reserve written", 1),
    ("letter signed", 1),
    ("letter stored", 1),
    ("letter sent", 1),
    ("settled", 1),
    ("synced", 2),
    ("prove written", 1),
    ("letter signed", 2),
    ("letter stored", 2),
    ("letter sent", 2),
    ("settled", 2),
)


def prepare(world: OptimisticWorld) -> list[bytes]:
    """A deposit waits in the queue, two operations were accepted, and batch 1 can be confirmed. Returns their ids."""
    world.deposit(world.bob, 3 * UNIT, account=2)
    with world.sequencer(batch_timeout=3600) as sequencer:
        sequencer.step()
        look = records(sequencer)
        keys = [
            sequencer.submit(world.transfer(world.alice, world.bob, 10 * UNIT, look)).id,
            sequencer.submit(world.transfer(world.alice, world.carol, 5 * UNIT, look)).id,
        ]
    world.anvil.warp(world.deployment.challenge_period + 1)
    return keys


def check(world: OptimisticWorld, sequencer: Sequencer, keys: list[bytes]) -> None:
    """Everything has happened exactly once."""
    tip = world.rollup.tip()
    assert (tip.batch_id, tip.confirmed_id, tip.queue_cursor) == (2, 1, 4)
    assert tip.batch_hash == sequencer.position.hash
    assert balances(sequencer.position.state.record) == [85 * UNIT, 63 * UNIT, 25 * UNIT]
    assert balances(records(sequencer)) == [85 * UNIT, 63 * UNIT, 25 * UNIT]
    assert [sequencer.status(key).state for key in keys] == ["posted", "posted"]


def check_store(world: OptimisticWorld) -> None:
    """Nothing is left open."""
    with OptimisticStore(world.folder / "sequencer.sqlite") as store:
        assert store.open_letters() == []
        assert store.active_proposals() == []
        assert store.waiting() == []


def test_the_points_are_those_the_sequencer_passes(world: OptimisticWorld) -> None:
    prepare(world)
    watcher = Killer()
    with world.sequencer(watcher) as sequencer:
        sequencer.run_until_idle()
    assert set(watcher.passed) == {point for point, _ in SEQUENCER_POINTS}


@pytest.mark.parametrize(
    ("point", "passage", "data"),
    [*((*one, "calldata") for one in SEQUENCER_POINTS), *((*one, "blob") for one in BLOB_POINTS)],
)
def test_sequencer_killed_at(world: OptimisticWorld, point: str, passage: int, data: str) -> None:
    keys = prepare(world)
    nonce = world.chain.nonce(world.operator.address)
    with world.sequencer(Killer(point, passage), data=data) as sequencer, pytest.raises(Killed):
        sequencer.run_until_idle()
    with world.sequencer(data=data) as sequencer:
        sequencer.run_until_idle()
        check(world, sequencer, keys)
        assert sequencer.follower.tip.header.is_blob == (data == "blob")
    check_store(world)
    # One batch and one confirmation.
    assert world.chain.nonce(world.operator.address) == nonce + 2


@pytest.mark.parametrize("data", ["calldata", "blob"])
def test_sequencer_killed_again_and_again(world: OptimisticWorld, data: str) -> None:
    keys = prepare(world)
    for point, passage in SEQUENCER_POINTS:
        with world.sequencer(Killer(point, passage), data=data) as sequencer:
            try:
                sequencer.run_until_idle()
            except Killed:
                continue
    with world.sequencer(data=data) as sequencer:
        sequencer.run_until_idle()
        check(world, sequencer, keys)
    check_store(world)


@pytest.mark.parametrize(
    ("point", "data"),
    [("batch written", "calldata"), ("letter stored", "blob"), ("letter sent", "calldata")],
)
def test_sequencer_killed_by_the_system(world: OptimisticWorld, point: str, data: str) -> None:
    keys = prepare(world)
    file = optimistic_deployment.write(world.deployment, world.folder / "deployment.json")
    database = world.folder / "sequencer.sqlite"
    arguments = [world.anvil.url, str(file), str(database), point, data]
    run = subprocess.run(support_program("killed_sequencer", *arguments), check=False)
    assert run.returncode == -signals.SIGKILL
    with world.sequencer(data=data) as sequencer:
        sequencer.run_until_idle()
        check(world, sequencer, keys)
    check_store(world)


@pytest.mark.parametrize("point", ["letter signed", "letter stored", "letter sent"])
def test_sequencer_killed_while_it_sees_to_its_bond(world: OptimisticWorld, point: str) -> None:
    """Put down, given up, taken out. Who restarts it gives the same command again, and that is not done twice."""
    who = signer(5)
    nonce = world.chain.nonce(who.address)
    states = []
    for deed, *arguments in (("ensure_bond", ETHER), ("start_exit",), ("withdraw_bond",)):
        with world.sequencer(Killer(point), who, "other.sqlite") as sequencer:
            getattr(sequencer, deed)(*arguments)
            with pytest.raises(Killed):
                sequencer.run_until_idle()
        with world.sequencer(sender=who, database="other.sqlite") as sequencer:
            getattr(sequencer, deed)(*arguments)
            sequencer.run_until_idle()
            assert sequencer._store.open_letters() == []
        bond = world.rollup.bond(who.address)
        states.append((bond.amount, bond.exit_started_at > 0))
        if deed == "start_exit":
            with world.sequencer() as operator:  # so that there is nothing to confirm
                world.anvil.warp(world.deployment.challenge_period + 1)
                operator.run_until_idle()
    assert states == [(ETHER, False), (ETHER, True), (0, False)]
    assert world.chain.nonce(who.address) == nonce + 3


def test_an_accepted_operation_outlives_a_kill(world: OptimisticWorld) -> None:
    """Stored before it is acknowledged: a restarted sequencer has executed it, and knows the next nonce."""
    with world.sequencer() as sequencer:
        sequencer.step()
        key = sequencer.submit(world.transfer(world.alice, world.bob, UNIT, records(sequencer))).id
    with world.sequencer() as sequencer:
        look = records(sequencer)
        assert sequencer.status(key).state == "accepted"
        assert balances(look)[:2] == [99 * UNIT, 51 * UNIT]
        sequencer.submit(world.transfer(world.alice, world.bob, UNIT, look))
        assert balances(look)[:2] == [98 * UNIT, 52 * UNIT]


def test_what_cannot_be_stored_is_not_executed(world: OptimisticWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    with world.sequencer() as sequencer:
        sequencer.step()
        look = records(sequencer)
        body = world.transfer(world.alice, world.bob, UNIT, look)

        def full(*_: object) -> None:
            raise OSError("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(OptimisticStore, "accept", full)
            with pytest.raises(OSError, match="full"):
                sequencer.submit(body)
        assert balances(look)[:2] == [100 * UNIT, 50 * UNIT]
        sequencer.submit(body)
        assert balances(look)[:2] == [99 * UNIT, 51 * UNIT]


# -------------------------------------------------------------------- the challenger


def test_the_points_are_those_the_challenger_passes(world: OptimisticWorld) -> None:
    world.post(wrong_state_root(world))
    watcher = Killer()
    with world.challenger(watcher) as challenger:
        challenger.run_until_idle()
    assert set(watcher.passed) == {point for point, _ in CHALLENGER_POINTS}


@pytest.mark.parametrize(("point", "passage"), CHALLENGER_POINTS)
def test_challenger_killed_at(world: OptimisticWorld, point: str, passage: int) -> None:
    world.post(wrong_state_root(world))
    address = signer(4).address
    nonce = world.chain.nonce(address)
    with world.challenger(Killer(point, passage)) as challenger, pytest.raises(Killed):
        challenger.run_until_idle()
    with world.challenger() as challenger:
        challenger.run_until_idle()
        assert world.rollup.tip().batch_id == 1
        (fraud,) = challenger._store.frauds()
        assert fraud.challenger == address
        assert challenger._store.open_letters() == []
    # One reservation and one proof.
    assert world.chain.nonce(address) == nonce + 2


@pytest.mark.parametrize("point", ["claim written", "letter signed", "letter stored", "letter sent"])
def test_challenger_killed_while_it_claims(world: OptimisticWorld, point: str) -> None:
    world.post(wrong_state_root(world))
    with world.challenger() as challenger:
        challenger.run_until_idle()
    world.anvil.warp(world.deployment.reward_delay + 1)
    before = world.chain.balance(signer(4).address)
    with world.challenger(Killer(point)) as challenger, pytest.raises(Killed):
        challenger.run_until_idle()
    with world.challenger() as challenger:
        challenger.run_until_idle()
        (fraud,) = challenger._store.frauds()
        assert fraud.is_claimed
    assert 0.499 * ETHER < world.chain.balance(signer(4).address) - before < 0.5 * ETHER


@pytest.mark.parametrize(
    ("point", "passage"), [("take written", 1), ("letter signed", 1), ("letter stored", 1), ("letter sent", 2)]
)
def test_challenger_killed_while_it_takes_the_reward_back(world: OptimisticWorld, point: str, passage: int) -> None:
    """A copy of its proof came first. It sends its own once more, and then takes what it had reserved."""
    world.post(wrong_state_root(world))
    with world.challenger() as challenger:
        challenger.step()
        world.wait()
        before = world.anvil.snapshot()
        challenger.run_until_idle()
        reference = challenger._store.frauds()[0].batch_hash.hex()
        (proof,) = challenger._store.letters("prove", reference)
    world.anvil.revert(before)
    send(world.chain, signer(5), proof.target, proof.input)
    with world.challenger(Killer(point, passage)) as challenger, pytest.raises(Killed):
        challenger.run_until_idle()
    with world.challenger() as challenger:
        challenger.run_until_idle()
        (fraud,) = challenger._store.frauds()
        assert fraud.challenger == signer(4).address
        assert [letter.state for letter in challenger._store.letters("take", reference)] == ["mined"]
        assert challenger._store.open_letters() == []
