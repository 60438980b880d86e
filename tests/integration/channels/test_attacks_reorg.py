"""Reorgs of L1 under payer, payee, watchtower and parties."""

import pytest

from layer2.actors.errors import RefusedError
from layer2.channels.errors import ChannelError
from layer2.channels.messages import Refusal
from layer2.channels.signing import ETH
from layer2.channels.states import SignedState, State
from tests.support.channel_world import HOUR, SALT, ChannelWorld, balances, talk

DAY = 24 * HOUR


def test_a_reorg_takes_the_channel_away(world: ChannelWorld) -> None:
    """Its vouchers stay, and count again when it is there again."""
    with world.payee() as payee:
        payee.step()
        before = world.anvil.snapshot()
        config = world.open(100)
        payee.step()
        payee.accept(world.voucher(config, 60))
        world.anvil.revert(before)
        world.anvil.mine(2)
        assert payee.step().sync.rewound_to is not None
        with pytest.raises(RefusedError, match="no channel"):
            payee.accept(world.voucher(config, 61))
        world.open(100)
        payee.step()
        assert payee.accept(world.voucher(config, 61)).paid == 1


def test_a_deposit_counts_when_enough_blocks_lie_above_it(world: ChannelWorld) -> None:
    with world.payee(confirmations=2) as payee:
        config = world.open(100)
        world.anvil.mine()
        payee.step()
        with pytest.raises(RefusedError, match="wait until it has enough blocks above it"):
            payee.accept(world.voucher(config, 1))
        world.anvil.mine()
        payee.step()
        payee.accept(world.voucher(config, 1))


def test_a_reorg_takes_the_claim_away(world: ChannelWorld) -> None:
    config = world.open(100)
    with world.payee() as payee:
        payee.step()
        payee.accept(world.voucher(config, 60))
        before = world.anvil.snapshot()
        payee.claim()
        payee.run_until_idle()
        assert world.facts(config).released == 60
        world.anvil.revert(before)
        world.anvil.mine(2)
        assert payee.step().sync.rewound_to is not None
        payee.run_until_idle()
        assert world.facts(config).released == 60
        assert world.channels.owed(world.deployment.hub, world.bob.address, ETH) == 0


def test_a_reorg_while_the_payee_is_stopped(world: ChannelWorld) -> None:
    config = world.open(100)
    with world.payee() as payee:
        payee.step()
        payee.accept(world.voucher(config, 60))
        before = world.anvil.snapshot()
        world.send(world.alice, world.channels.withdrawal_call("start", config))
        payee.run_until_idle()
    world.anvil.revert(before)
    world.anvil.mine()
    with world.payee() as payee:
        payee.run_until_idle()
        assert world.facts(config).released == 60
        payee.accept(world.voucher(config, 61))  # no withdrawal is pending any more


def test_a_reorg_brings_an_old_closing_back(world: ChannelWorld) -> None:
    """What the payee signed to close can be used again, so it takes nothing more."""
    config = world.open(100)
    with world.payee() as payee:
        payee.step()
        payee.accept(world.voucher(config, 40))
        signed = payee.sign_close(config.id)
        before = world.anvil.snapshot()
        world.send(world.alice, world.channels.signed_close_call(config, signed))
        world.open(50)
        payee.step()
        payee.accept(world.voucher(config, 120))
        world.anvil.revert(before)
        world.anvil.mine()
        payee.step()
        with pytest.raises(RefusedError, match="the closing of channel 0x"):
            payee.accept(world.voucher(config, 121))


def test_a_reorg_takes_the_payers_deposit_away(world: ChannelWorld) -> None:
    """It is sent again, once."""
    with world.payer() as payer:
        payer.step()
        before = world.anvil.snapshot()
        config = payer.open(world.bob.address, 100, withdraw_delay=DAY, salt=SALT)
        payer.run_until_idle()
        payment = payer.pay(config.id, 10)
        world.anvil.revert(before)
        world.anvil.mine(2)
        payer.step()
        with pytest.raises(ChannelError, match="is the payer of no channel"):
            payer.pay(config.id, 10)
        payer.run_until_idle()
        assert world.facts(config).balance == 100
        assert payer.pay(config.id, 10).amount == payment.amount + 10


def test_a_reorg_takes_the_withdrawal_away(world: ChannelWorld) -> None:
    with world.payer() as payer:
        config = payer.open(world.bob.address, 100, withdraw_delay=DAY, salt=SALT)
        payer.run_until_idle()
        before = world.anvil.snapshot()
        payer.withdraw(config.id)
        payer.run_until_idle()
        world.anvil.warp(DAY + 1)
        payer.run_until_idle()
        assert world.facts(config).balance == 0
        world.anvil.revert(before)
        world.anvil.mine()
        payer.run_until_idle()
        assert world.facts(config).balance == 100
        assert world.facts(config).withdrawable_after
        world.anvil.warp(DAY + 1)
        payer.run_until_idle()
        assert world.facts(config).balance == 0


def test_a_reorg_deeper_than_the_known_blocks(world: ChannelWorld) -> None:
    with world.payee() as payee:
        payee.step()
        before = world.anvil.snapshot()
        config = world.open(100)
        payee.step()
        payee.accept(world.voucher(config, 60))
        last = payee._store.blocks()[0]
        payee._store._run("DELETE FROM blocks WHERE number < ?", last.number)
        world.anvil.revert(before)
        world.anvil.mine(3)
        world.open(70)
        assert payee.step().sync.rewound_to.number == world.deployment.block - 1
        assert payee.follower.hub[config.id].facts.balance == 70
        assert payee.unclaimed(config.id) == 60


def test_old_facts_are_forgotten_when_no_reorg_can_reach_them(
    world: ChannelWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("layer2.actors.database.KEPT_BLOCKS", 2)
    config = world.open(1)
    with world.payee() as payee:
        for _ in range(5):
            world.open(1)
            payee.step()
        ((count,),) = payee._store._run("SELECT COUNT(*) FROM hub_facts WHERE channel = ?", config.id)
        assert count == 3  # now, and what the two blocks that are kept have to go back to
        assert payee.follower.hub[config.id].facts.balance == 6


def test_a_reorg_takes_a_partys_deposit_away(world: ChannelWorld) -> None:
    """Nothing is signed that counts on it until it is there again."""
    config = world.open_state(amounts=(100, 0))
    with world.party(world.alice) as alice, world.party(world.bob) as bob:
        alice.step()
        bob.step()
        before = world.anvil.snapshot()
        bob.deposit(config.id, 50)
        bob.run_until_idle()
        alice.step()
        proposal = bob.pay(config.id, 50)
        world.anvil.revert(before)
        world.anvil.mine(2)
        alice.step()
        answer = alice.receive(proposal)
        assert isinstance(answer, Refusal)
        assert answer.code == "deposits"
        bob.run_until_idle()
        alice.step()
        talk(bob.waiting(config.id), alice, bob)
        assert balances(alice, config) == (150, 0)


@pytest.mark.parametrize("starter", ["alice", "bob"])
def test_a_reorg_takes_deposits_away_that_the_last_state_counts(world: ChannelWorld, starter: str) -> None:
    """Bob has two states that count his second deposit, and one that does not. The last that the contract takes answers
    Alice's old one. He starts closing with none: she could have his deposit made again, and take everything."""
    config = world.open_state()
    with world.party(world.alice) as alice, world.party(world.bob) as bob:
        alice.step()
        bob.step()
        for _ in range(2):
            talk(alice.pay(config.id, 10), bob, alice)
        before = world.anvil.snapshot()
        deposit = world.channels.state_deposit_call(config, False, 50)
        world.send(world.carol, deposit, world.deployment.state_channel, 50)
        alice.step()
        bob.step()
        for _ in range(2):
            talk(alice.pay(config.id, 10), bob, alice)
        assert bob.best(config.id).state.version == 4
        world.anvil.revert(before)
        world.anvil.mine(2)
        bob.step()
        if starter == "alice":
            initial = SignedState(State.initial(config.id), b"", b"")
            world.send(world.alice, world.channels.start_close_call(config, initial), world.deployment.state_channel)
            bob.run_until_idle()
            assert bob.entry(config.id).facts.closing.state.version == 2
        else:
            bob.close(config.id)
            report = bob.step()
            assert not report.started
            assert "counts deposits of 100 and 150, and a reorg has left 100 and 100: deposit" in report.warnings[0]
            world.send(world.carol, deposit, world.deployment.state_channel, 50)
            bob.run_until_idle()
            assert bob.entry(config.id).facts.closing.closer_version == 4


def test_a_reorg_takes_deposits_away_that_only_the_last_state_counts(world: ChannelWorld) -> None:
    """With the one before it nobody loses anything: an answer with the next version costs nothing."""
    with world.party(world.alice) as alice, world.party(world.bob) as bob:
        config = world.open_state(amounts=(100, 0))
        before = world.anvil.snapshot()
        call = world.channels.state_deposit_call(config, False, 100)
        world.send(world.carol, call, world.deployment.state_channel, 100)
        alice.step()
        bob.step()
        talk(alice.pay(config.id, 10), bob, alice)
        world.anvil.revert(before)
        world.anvil.mine(2)
        alice.close(config.id)
        alice.run_until_idle()
        assert alice.entry(config.id).facts.closing.closer_version == 0


def test_a_reorg_takes_a_closing_and_its_answer_away(world: ChannelWorld) -> None:
    config = world.open_state()
    with world.party(world.alice) as alice, world.party(world.bob) as bob:
        alice.step()
        bob.step()
        for _ in range(2):
            talk(alice.pay(config.id, 10), bob, alice)
        before = world.anvil.snapshot()
        old = SignedState(State.initial(config.id), b"", b"")
        call = world.channels.start_close_call(config, old)
        world.send(world.alice, call, world.deployment.state_channel)
        bob.run_until_idle()
        assert bob.entry(config.id).facts.closing.state.version == 2
        world.anvil.revert(before)
        world.anvil.mine(3)
        bob.run_until_idle()
        assert bob.entry(config.id).facts.status == "open"
        talk(bob.pay(config.id, 5), alice, bob)
        world.send(world.alice, call, world.deployment.state_channel)
        bob.run_until_idle()
        assert bob.entry(config.id).facts.closing.state.version == 3


def test_a_reorg_takes_a_secret_away(world: ChannelWorld) -> None:
    """It is shown again; who has read it once knows it anyway."""
    config = world.open_state()
    with world.party(world.alice) as alice, world.party(world.bob) as bob:
        alice.step()
        bob.step()
        hash_ = bob.new_secret(1)
        talk(alice.lock(config.id, 10, hash_, alice._now() + DAY), bob, alice)
        alice.close(config.id)
        alice.run_until_idle()
        before = world.anvil.snapshot()
        bob.run_until_idle()
        assert world.channels.state_view("revealedAt", hash_)
        world.anvil.revert(before)
        world.anvil.mine(2)
        bob.run_until_idle()
        assert world.channels.state_view("revealedAt", hash_)
        alice.step()
        assert alice._store.secret(hash_) is not None


def test_a_reorg_takes_the_watchtowers_answer_away(world: ChannelWorld) -> None:
    config = world.open_state()
    with world.watchtower() as tower:
        tower.step()
        tower.hold_state(world.signed(State(config.id, 2, 100, 100, 0, 200)))
        old = world.signed(State(config.id, 1, 100, 100, 100, 100))
        world.send(world.alice, world.channels.start_close_call(config, old), world.deployment.state_channel)
        before = world.anvil.snapshot()
        tower.run_until_idle()
        assert world.channels.state_view("closings", config.id)[1] == 2
        world.anvil.revert(before)
        world.anvil.mine(2)
        tower.run_until_idle()
        assert world.channels.state_view("closings", config.id)[1] == 2
