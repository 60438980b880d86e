"""Restart: the relayer killed at every step of its work and started again; nothing is lost, nothing is done twice."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfile

import pytest

from layer2.actors.relayer import Relayer
from layer2.actors.store import ProposalState, Store
from layer2.chain import deployment
from tests.support.commands import support_program
from tests.support.killing import Killed, Killer, die, die_after
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


# -------------------------------------------------------------------- after a reorg

REORG_POINTS = (
    "store.rewind",
    "store.add_batch",
    "store.set_proposal_state",
    "store.set_letter_state",
    "plan written",
    "submission written",
    "letter sent",
)
"""Where the relayer is killed after a reorg. In the middle of a write, that is undone with its transaction."""


class Overtaken:
    """Own batch 2, with withdrawals of Alice's and Bob's that were paid out, was replaced by a foreign batch 2."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.users = (world.alice, world.bob)
        self.paid_before = [world.l1_usdc(user) for user in self.users]
        before = world.anvil.snapshot()
        with world.relayer(serve_withdrawals=True) as relayer:
            relayer.step()
            self.keys = [
                relayer.submit(world.withdrawal(world.alice, 10 * UNIT, 0)),
                relayer.submit(world.withdrawal(world.bob, 20 * UNIT, 0)),
            ]
            relayer.run_until_idle()
            assert relayer.position.batch_id == 2
        assert self.paid() == [10 * UNIT, 20 * UNIT]
        world.anvil.revert(before)
        with world.relayer(database="other.sqlite") as other:
            other.step()
            other.submit(world.transfer(world.carol, world.alice, 5 * UNIT, 0))
            other.run_until_idle()

    def paid(self) -> list[int]:
        """What Alice and Bob were paid on L1."""
        now = [self.world.l1_usdc(user) for user in self.users]
        return [after - before for after, before in zip(now, self.paid_before, strict=True)]

    @contextmanager
    def again(self, folder: Path) -> Iterator[None]:
        """That world with a fresh copy of the relayer's database; what happens inside is undone."""
        folder.mkdir()
        copyfile(self.world.folder / self.world.database, folder / self.world.database)
        kept, self.world.folder = self.world.folder, folder
        with self.world.anvil.undone():
            yield
        self.world.folder = kept

    def check(self) -> None:
        """A restarted relayer ends with everything done once, on top of the foreign batch."""
        world = self.world
        with world.relayer(serve_withdrawals=True) as relayer:
            relayer.run_until_idle()
            tip = world.rollup.tip()
            assert (tip.batch_id, tip.state_root) == (3, relayer.position.state.root)
            assert [relayer.status(key).batch_id for key in self.keys] == [3, 3]
            balances = [account.balance for _, account in relayer.position.state.accounts()]
            assert balances == [95 * UNIT, 30 * UNIT, 15 * UNIT]
        assert self.paid() == [10 * UNIT, 20 * UNIT]
        with Store(world.folder / world.database) as store:
            assert store.open_letters() == store.active_proposals() == store.unserved_payouts() == []
            states = [proposal.state for proposal in store.proposals()]
            assert states.count(ProposalState.VERIFIED) == 1
            assert states[0] is ProposalState.ABANDONED


def test_killed_after_a_reorg(world: World, tmp_path: Path) -> None:
    """While it goes back, gives its batch up and makes another one."""
    overtaken = Overtaken(world)
    for number, point in enumerate(REORG_POINTS):
        with overtaken.again(tmp_path / str(number)):
            with world.relayer(Killer(point), serve_withdrawals=True) as relayer:
                if point.startswith("store."):
                    die_after(relayer._store, point.removeprefix("store."), die)
                with pytest.raises(Killed):
                    relayer.run_until_idle()
            overtaken.check()


@pytest.mark.parametrize("point", ["store.rewind"])
def test_killed_by_the_system_after_a_reorg(world: World, tmp_path: Path, point: str) -> None:
    """In the middle of a transaction: the database file itself has to roll it back."""
    overtaken = Overtaken(world)
    file = deployment.write(world.deployment, world.folder / "deployment.json")
    arguments = [world.anvil.url, str(file), str(world.folder / world.database), point]
    run = subprocess.run(support_program("killed_relayer", *arguments), check=False)
    assert run.returncode == -signal.SIGKILL
    overtaken.check()


def test_killed_while_it_gives_up_a_batch_that_is_too_old(world: World) -> None:
    key = prepare(world)
    paid_before = world.l1_usdc(world.bob)
    with world.relayer(Killer("planned")) as relayer, pytest.raises(Killed):
        relayer.step()
    world.anvil.warp(world.deployment.max_batch_age)
    with world.relayer() as relayer:
        die_after(relayer._store, "set_proposal_state", die)
        with pytest.raises(Killed):
            relayer.step()
    with Store(world.folder / world.database) as store:
        assert [proposal.state for proposal in store.proposals()] == [ProposalState.PLANNED]
    with world.relayer(serve_withdrawals=True) as relayer:
        relayer.run_until_idle()
        check(world, relayer, key, paid_before)
    check_store(world)


@pytest.mark.parametrize("point", ["letter signed", "letter stored", "letter sent"])
def test_killed_while_it_raises_the_fees(world: World, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    """The first form waits in the mempool, and a second one with its nonce is made."""
    moment = [float(world.chain.head().timestamp)]
    monkeypatch.setattr(world, "now", lambda: moment[0])
    nonce = world.chain.nonce(world.operator.address)
    with world.relayer() as relayer:
        relayer.step()
        key = relayer.submit(world.transfer(world.alice, world.bob, UNIT, 0))
        world.anvil.automine(False)
        relayer.step()
    moment[0] += 61
    with world.relayer(Killer(point)) as relayer, pytest.raises(Killed):
        relayer.step()
    with world.relayer() as relayer:
        relayer.step()
        world.anvil.mine()
        world.anvil.automine(True)
        relayer.run_until_idle()
        assert relayer.status(key).state == "verified"
        (letter,) = relayer.letters_of(1)
    first, second = letter.attempts
    assert first.nonce == second.nonce == nonce
    assert world.chain.receipt(first.hash) is None
    assert world.chain.receipt(second.hash).ok
    assert world.chain.nonce(world.operator.address) == nonce + 1
    check_store(world)
