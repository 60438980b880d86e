"""Restart: each actor killed at every point of its work and started again; nothing is lost, nothing is done twice."""

import signal as signals
import subprocess
from collections.abc import Callable
from contextlib import suppress

import pytest

from layer2.channels.messages import Message, Signature
from layer2.channels.party import Party
from layer2.channels.payee import PayeeStore
from layer2.channels.signing import ETH
from layer2.channels.states import Lock, State, StateChannelConfig, secret_hash
from layer2.channels.vouchers import SignedVoucher
from tests.support.channel_world import HOUR, SALT, ChannelWorld
from tests.support.commands import support_program
from tests.support.killing import Killed, Killer

DAY = 24 * HOUR
LETTERS = ["letter signed", "letter stored", "letter sent"]


def at_every_point(
    world: ChannelWorld,
    work: Callable[[Killer], None],
    check: Callable[[], None],
    passed: list[str],
    *,
    and_last: bool = True,
) -> None:
    """Do the work once to learn the points it passes, which have to be those given; then again from the same start for
    the first (and the last) time that each of them is passed, killed there and started again."""
    snapshot, folder = world.anvil.snapshot(), world.folder

    def fresh(name: str) -> None:
        nonlocal snapshot
        world.anvil.revert(snapshot)
        snapshot = world.anvil.snapshot()
        world.folder = folder / name
        world.folder.mkdir()

    watcher = Killer()
    fresh("watched")
    work(watcher)
    check()
    assert sorted(set(watcher.passed)) == sorted(passed)
    for point in passed:
        for passage in sorted({1, watcher.passed.count(point)} if and_last else {1}):
            fresh(f"{point} {passage}")
            # How often L1 is looked at depends on the time that mining takes.
            with pytest.raises(Killed) if passage == 1 else suppress(Killed):
                work(Killer(point, passage))
            work(Killer())
            check()


# -------------------------------------------------------------------- payee


def test_payee(world: ChannelWorld) -> None:
    """A voucher, then the payer withdraws."""
    config = world.open(100)
    nonce = world.nonce(world.bob)

    def work(killer: Killer) -> None:
        with world.payee(killer) as payee:
            payee.step()
            if not world.facts(config).withdrawable_after:
                payee.accept(world.voucher(config, 60), reference="x")
                world.send(world.alice, world.channels.withdrawal_call("start", config))
            payee.run_until_idle()

    def check() -> None:
        assert world.facts(config).released == 60
        assert world.channels.owed(world.deployment.hub, world.bob.address, ETH) == 0
        assert world.nonce(world.bob) == nonce + 2
        with PayeeStore(world.folder / "payee.sqlite") as store:
            assert store.open_letters() == []

    points = ["synced", "vouchers stored", "claim written", "settle written", "settled", *LETTERS]
    at_every_point(world, work, check, points)


def test_payee_that_closes(world: ChannelWorld) -> None:
    """By itself: with what it has signed, whatever happens between, and once."""
    config = world.open(100)
    nonce = world.nonce(world.bob)
    signed = set()

    def work(killer: Killer) -> None:
        with world.payee(killer) as payee:
            payee.step()
            if payee.best(config.id) is None:
                payee.accept(world.voucher(config, 60))
            if payee.follower.hub[config.id].facts.balance:
                signed.add(payee.sign_close(config.id))
                payee.close(config.id)
            payee.run_until_idle()

    def check() -> None:
        assert len(signed) == 1
        assert (world.facts(config).released, world.facts(config).closings) == (100, 1)
        assert world.channels.owed(world.deployment.hub, world.bob.address, ETH) == 0
        assert world.nonce(world.bob) == nonce + 2

    points = ["synced", "vouchers stored", "close stored", "close written", "settle written", "settled", *LETTERS]
    at_every_point(world, work, check, points)


def test_payee_killed_by_the_system(world: ChannelWorld) -> None:
    """Killed with no chance to tidy up, between any two vouchers: what it has answered, it has."""
    config = world.open(10**6)
    file = world.folder / "deployment.json"
    file.write_text(world.deployment.to_json())
    database = world.folder / "payee.sqlite"
    vouchers = [world.voucher(config, amount).text for amount in range(1, 200)]
    process = subprocess.Popen(
        support_program("killed_payee", world.anvil.url, str(file), str(database)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n".join(vouchers) + "\n")
    process.stdin.flush()
    answers = [process.stdout.readline().strip() for _ in range(20)]
    process.send_signal(signals.SIGKILL)
    answers += process.stdout.read().split()
    assert process.wait() == -signals.SIGKILL
    assert answers[:20] == [str(amount) for amount in range(1, 21)]
    with world.payee() as payee:
        assert payee.best(config.id).amount >= int(answers[-1])


# -------------------------------------------------------------------- payer


def test_payer(world: ChannelWorld) -> None:
    """Opens, pays, withdraws."""
    nonce = world.nonce(world.alice)
    config = world.config()
    vouchers: set[SignedVoucher] = set()

    def work(killer: Killer) -> None:
        with world.payer(killer) as payer:
            payer.run_until_idle()
            if config.id not in payer.follower.hub:
                payer.open(world.bob.address, 100, withdraw_delay=DAY, salt=SALT)
                payer.run_until_idle()
            if config.id not in payer._store.withdrawing():
                vouchers.add(payer.pay(config.id, 40, "x").signed)
                payer.withdraw(config.id)
            payer.run_until_idle()
            if world.time <= world.facts(config).withdrawable_after:
                world.anvil.warp(DAY + 1)
            payer.run_until_idle()

    def check() -> None:
        assert vouchers == {world.voucher(config, 40)}
        assert (world.facts(config).balance, world.facts(config).released) == (0, 100)
        assert world.channels.owed(world.deployment.hub, world.alice.address, ETH) == 0
        assert world.nonce(world.alice) == nonce + 4

    points = [
        "synced",
        "settled",
        "deposit written",
        "voucher signed",
        "voucher stored",
        "withdrawal wanted",
        "start withdrawal written",
        "finish withdrawal written",
        "settle written",
        *LETTERS,
    ]
    at_every_point(world, work, check, points)


def test_payer_that_closes(world: ChannelWorld) -> None:
    """With the payee's consent."""
    config = world.open(100)
    nonce = world.nonce(world.alice)
    with world.payee() as payee:
        payee.step()
        payee.accept(world.voucher(config, 60))
        consent = payee.sign_close(config.id)

    def work(killer: Killer) -> None:
        with world.payer(killer) as payer:
            payer.step()
            payer.catch_up(world.voucher(config, 60))
            if payer.entry(config.id).facts.balance:
                payer.close(consent)
            payer.run_until_idle()

    def check() -> None:
        assert (world.facts(config).released, world.facts(config).closings) == (100, 1)
        assert world.channels.owed(world.deployment.hub, world.alice.address, ETH) == 0
        assert world.nonce(world.alice) == nonce + 2

    points = ["synced", "close written", "settle written", "settled", *LETTERS]
    at_every_point(world, work, check, points)


# -------------------------------------------------------------------- parties


class Recorder:
    """Carries messages between Alice and Bob, and sees to it that nobody signs two states of one version."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, bytes, int], Message] = {}

    def talk(self, message: Message | None, to: Party, back: Party) -> None:
        while message is not None:
            if isinstance(message, Signature):
                key = (back.address, message.outcome.channel_id, message.outcome.version)
                assert self.seen.setdefault(key, message) == message
            message, to, back = to.receive(message), back, to


@pytest.mark.parametrize("who", ["alice", "bob"])
def test_party(world: ChannelWorld, who: str) -> None:
    """A payment, a lock and its secret, a closing by Alice: one of the two is killed at every point."""
    config = world.open_state()
    recorder = Recorder()

    def work(killer: Killer) -> None:
        killers = {who: killer}
        with (
            world.party(world.alice, killers.get("alice", Killer())) as alice,
            world.party(world.bob, killers.get("bob", Killer())) as bob,
        ):
            alice.run_until_idle()
            bob.run_until_idle()
            if alice.entry(config.id).facts.status == "open" and not alice._store.is_closing(config.id):
                agree(alice, bob, config, recorder)
                alice.close(config.id)
            alice.run_until_idle()
            bob.run_until_idle()
            if alice.entry(config.id).facts.status != "closed":
                world.anvil.warp(DAY + 1)
            alice.run_until_idle()
            bob.run_until_idle()

    def check() -> None:
        with world.party(world.alice) as alice:
            alice.step()
            outcome = alice.entry(config.id).facts.outcome
            assert (outcome.version, outcome.amount_a, outcome.amount_b, outcome.penalised) == (3, 60, 140, "")
            assert alice._store.open_letters() == []
        assert world.owed(world.alice) == world.owed(world.bob) == 0

    letters = ["synced", "settled", "settle written", *LETTERS]
    updates = ["proposal stored", "state signed", "state stored", "state complete"]
    own = {
        "alice": ["secret stored", "closing stored", "start close written", "finish close written"],
        "bob": [],
    }
    at_every_point(world, work, check, [*letters, *updates, *own[who]], and_last=who == "alice")


@pytest.mark.parametrize("who", ["alice", "bob"])
def test_parties_that_close_together(world: ChannelWorld, who: str) -> None:
    """Alice withdraws what she has proposed first, then proposes to close: each signs one final state, which is sent
    once."""
    config = world.open_state()
    nonce = world.nonce(world.alice)
    recorder = Recorder()

    def work(killer: Killer) -> None:
        killers = {who: killer}
        with (
            world.party(world.alice, killers.get("alice", Killer())) as alice,
            world.party(world.bob, killers.get("bob", Killer())) as bob,
        ):
            alice.run_until_idle()
            bob.run_until_idle()
            if alice.entry(config.id).facts.status == "open":
                if alice._store.ending(config.id) is None:
                    alice.pay(config.id, 30)
                    alice.withdraw_proposal(config.id)
                    alice.propose_final(config.id)
                recorder.talk(alice.waiting(config.id), bob, alice)
            alice.run_until_idle()
            bob.run_until_idle()

    def check() -> None:
        with world.party(world.bob) as bob:
            bob.step()
            outcome = bob.entry(config.id).facts.outcome
            assert (outcome.version, outcome.amount_a, outcome.amount_b) == (1, 100, 100)
            assert bob._store.open_letters() == []
        assert world.owed(world.alice) == world.owed(world.bob) == 0
        assert world.nonce(world.alice) == nonce + 2

    own = {
        "alice": ["proposal stored", "proposal withdrawn", "state signed", "state complete", "close together written"],
        "bob": ["state signed", "state stored"],
    }
    points = ["synced", "settled", "settle written", *own[who], *LETTERS]
    at_every_point(world, work, check, points, and_last=False)


def test_party_that_answers(world: ChannelWorld) -> None:
    """Alice closes with an old state: Bob brings the last one, shows the secret of a lock in it, and finishes."""
    config = world.open_state()
    nonce = world.nonce(world.bob)
    secret = b"\7" * 32
    deadline = world.time + 2 * DAY
    lock = Lock(10, deadline, False, secret_hash(secret))
    last = State(config.id, 2, 100, 100, 60, 130, (lock,))

    def work(killer: Killer) -> None:
        with world.party(world.bob, killer) as bob:
            # What the two agreed on, before the killer comes.
            if bob._store.agreed(config.id)[0].version == 0:
                bob._store.add_secret(secret)
                signed = world.signed(last)
                bob._store.put_signed(last, signed.signature_b)
                bob._store.complete(last, signed.signature_a)
            bob.step()
            if bob.entry(config.id).facts.status == "open":
                old = world.signed(_state(config, 1))
                call = world.channels.start_close_call(config, old)
                world.send(world.alice, call, world.deployment.state_channel)
            bob.run_until_idle()
            if bob.entry(config.id).facts.status == "closing":
                world.anvil.warp(DAY + 1)
            bob.run_until_idle()

    def check() -> None:
        with world.party(world.bob) as bob:
            bob.step()
            outcome = bob.entry(config.id).facts.outcome
            assert (outcome.version, outcome.amount_a, outcome.amount_b, outcome.penalised) == (2, 60, 140, "")
        assert world.owed(world.bob) == 0
        assert world.nonce(world.bob) == nonce + 4

    written = [f"{purpose} written" for purpose in ("challenge", "reveal secret", "finish close", "settle")]
    at_every_point(world, work, check, ["synced", "settled", *written, *LETTERS])


def agree(alice: Party, bob: Party, config: StateChannelConfig, recorder: Recorder) -> None:
    """Version 1: Alice pays 30. Version 2: she locks 10 for Bob. Version 3: he shows the secret."""
    for one, other in ((alice, bob), (bob, alice), (alice, bob)):
        recorder.talk(one.waiting(config.id), other, one)
    while (version := alice.best(config.id).state.version) < 3:
        if version == 0:
            recorder.talk(alice.pay(config.id, 30), bob, alice)
        elif version == 1:
            bob._store.add_secret(b"\7" * 32)
            recorder.talk(alice.lock(config.id, 10, secret_hash(b"\7" * 32), alice._now() + DAY), bob, alice)
        else:
            ((_, hash_),) = bob.due()
            recorder.talk(bob.unlock(config.id, hash_), alice, bob)


def test_watchtower(world: ChannelWorld) -> None:
    config = world.open(100)
    duplex = world.open_state()
    state = world.signed(_state(duplex, 2))
    nonce = world.nonce(world.dave)

    def work(killer: Killer) -> None:
        with world.watchtower(killer) as tower:
            tower.step()
            if world.channels.state_view("closings", duplex.id)[3] == 0:
                tower.hold_voucher(world.voucher(config, 60))
                tower.hold_state(state)
                if not world.facts(config).withdrawable_after:
                    world.send(world.alice, world.channels.withdrawal_call("start", config))
                call = world.channels.start_close_call(duplex, world.signed(_state(duplex, 1)))
                world.send(world.alice, call, world.deployment.state_channel)
            tower.run_until_idle()

    def check() -> None:
        assert world.facts(config).released == 60
        assert world.channels.state_view("closings", duplex.id)[1] == 2
        assert world.nonce(world.dave) == nonce + 2

    points = ["synced", "settled", "voucher held", "state held", "claim written", "challenge written"]
    at_every_point(world, work, check, [*points, *LETTERS])


def _state(config: StateChannelConfig, version: int) -> State:
    return State(config.id, version, 100, 100, 100 - version, 100 + version)
