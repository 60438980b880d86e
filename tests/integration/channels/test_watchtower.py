"""A watchtower: claims and challenges for others, with the best that it was given."""

import pytest

from layer2.actors.errors import RefusedError
from layer2.channels.signing import ETH
from layer2.channels.states import SignedState, State
from layer2.channels.vouchers import SignedVoucher
from tests.support.channel_world import HOUR, ChannelWorld, talk

DAY = 24 * HOUR


def test_claims_for_a_payee_who_is_away(world: ChannelWorld) -> None:
    config = world.open(100)
    other = world.open(100, salt=b"\1" * 32)
    with world.watchtower() as tower:
        tower.step()
        tower.hold_voucher(world.voucher(config, 60))
        tower.hold_voucher(world.voucher(config, 40))
        tower.hold_voucher(world.voucher(other, 10))
        assert tower.step().is_idle
        world.send(world.alice, world.channels.withdrawal_call("start", config))
    with world.watchtower() as tower:
        tower.run_until_idle()
        assert world.facts(config).released == 60
        assert world.facts(other).released == 0
    assert world.channels.owed(world.deployment.hub, world.bob.address, ETH) == 60


def test_what_it_does_not_keep(world: ChannelWorld) -> None:
    config = world.config()
    with world.watchtower() as tower:
        tower.step()
        with pytest.raises(RefusedError, match="there is no channel 0x"):
            tower.hold_voucher(world.voucher(config, 1))
        world.open(100)
        tower.step()
        with pytest.raises(RefusedError, match="did not sign the voucher over 1 by its key"):
            tower.hold_voucher(world.voucher(config, 1, world.carol))
        with pytest.raises(RefusedError, match="did not sign"):
            tower.hold_voucher(SignedVoucher(world.voucher(config, 1).voucher, bytes(65)))
        state = world.signed(State(b"\1" * 32, 1, 1, 1, 0, 2))
        with pytest.raises(RefusedError, match=r"no channel 0x0101\w* is open"):
            tower.hold_state(state)
        duplex = world.open_state()
        tower.step()
        with pytest.raises(RefusedError, match=f"state 1 is not signed by {world.bob.address}"):
            tower.hold_state(world.signed(State(duplex.id, 1, 1, 1, 0, 2), b=world.carol))


@pytest.mark.parametrize(("late", "is_answered"), [(0, True), (1, False)])
def test_answers_an_old_state_until_the_last_second(world: ChannelWorld, late: int, is_answered: bool) -> None:
    config = world.open_state()
    with world.party(world.alice) as alice, world.party(world.bob) as bob:
        alice.step()
        bob.step()
        for _ in range(2):
            talk(alice.pay(config.id, 40), bob, alice)
        best = bob.best(config.id)
    with world.watchtower() as tower:
        tower.step()
        tower.hold_state(SignedState.from_json(best.to_json()))
        old = SignedState(State.initial(config.id), b"", b"")
        world.send(world.alice, world.channels.start_close_call(config, old), world.deployment.state_channel)
        deadline = world.channels.state_view("closings", config.id)[3]
        # Anvil mines what is sent in the next second.
        world.anvil.request("evm_setNextBlockTimestamp", deadline - 1 + late)
        world.anvil.mine()
        world.anvil.request("evm_setNextBlockTimestamp", deadline + late)
        if is_answered:
            tower.run_until_idle()
            assert world.channels.state_view("closings", config.id)[1] == 2
            assert world.time == deadline
        else:
            world.anvil.mine()
            report = tower.step()
            assert not report.started
            assert report.warnings == [
                f"channel 0x{config.id.hex()} is closed with version 0, and version 2 came too late: the deadline was "
                f"{deadline}"
            ]


def test_keeps_the_last_state_and_only_that(world: ChannelWorld) -> None:
    config = world.open_state()
    with world.watchtower() as tower:
        tower.step()
        states = [world.signed(State(config.id, number, 100, 100, 100 - number, 100 + number)) for number in (1, 2, 3)]
        for number in (2, 0, 1):
            tower.hold_state(states[number])
        world.send(world.alice, world.channels.start_close_call(config, states[2]), world.deployment.state_channel)
        assert not any(report.started for report in tower.run_until_idle())
        world.anvil.warp(DAY + 1)
        world.send(
            world.alice, world.channels.finish_close_call(config, states[2].state), world.deployment.state_channel
        )
        tower.step()
        with pytest.raises(RefusedError, match=r"no channel 0x\w+ is open"):
            tower.hold_state(states[2])


def test_attack_a_later_state_that_cannot_be_brought(world: ChannelWorld) -> None:
    """It counts deposits that never arrived, or that a reorg took back: the best of the others answers."""
    config = world.open_state()
    first, best, later, last = (
        world.signed(State(config.id, version, deposit, 100, deposit - version, 100 + version))
        for version, deposit in ((1, 100), (2, 100), (3, 150), (4, 151))
    )
    with world.watchtower() as tower:
        tower.step()
        for state in (later, best, first, last):
            tower.hold_state(state)
        assert tower._store.states(config.id) == [last, later, best]
        initial = SignedState(State.initial(config.id), b"", b"")
        world.send(world.alice, world.channels.start_close_call(config, initial), world.deployment.state_channel)
        tower.run_until_idle()
        assert world.channels.state_view("closings", config.id)[1] == 2


def test_keeps_the_last_states_of_those_who_sign_without_end(
    world: ChannelWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("layer2.channels.watchtower.MAX_STATES", 2)
    config = world.open_state()
    states = [world.signed(State(config.id, number, number, 0, number, 0)) for number in (1, 2, 3)]
    with world.watchtower() as tower:
        tower.step()
        for state in states:
            tower.hold_state(state)
        assert tower._store.states(config.id) == [states[2], states[1]]


def test_keeps_the_highest_version_there_is(world: ChannelWorld) -> None:
    config = world.open_state()
    state = world.signed(State(config.id, 2**64 - 1, 100, 100, 90, 110))
    with world.watchtower() as tower:
        tower.step()
        tower.hold_state(state)
        assert tower._store.states(config.id) == [state]


def test_two_watchtowers(world: ChannelWorld) -> None:
    """One of them finds that the other was faster; that costs it nothing."""
    config = world.open(100)
    with world.watchtower() as tower:
        tower.step()
        tower.hold_voucher(world.voucher(config, 60))
        tower.follower.sync()
        world.send(world.alice, world.channels.withdrawal_call("start", config))
        tower.follower.sync()
        world.send(world.carol, world.channels.claim_call([(config, world.voucher(config, 60))]))
        nonce = world.nonce(world.dave)
        tower.run_until_idle()
        assert world.nonce(world.dave) == nonce
