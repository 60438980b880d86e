"""StateChannel.closeCooperatively: at once, with a final state that both have signed, and with nothing else."""

from dataclasses import astuple, replace

import pytest

from tests.support.reverts import reverts
from tests.support.state_channels import (
    CLOSED,
    CLOSING,
    NOBODY,
    Channel,
    Final,
    Lock,
    Signed,
    State,
    digest,
    hash_of_locks,
)
from tests.support.typed import sign


@pytest.fixture
def agreed(channel) -> Signed:
    """Alice gets 30 of 150, Bob 120."""
    return channel.sign(channel.final(30, 120, version=9))


# ---------------------------------------------------------------- what it does


def test_credits_both_at_once(state_channel, channel, agreed, mallory):
    receipt = channel.close(mallory, agreed)
    assert receipt.events == [
        state_channel.ChannelClosed(channelId=channel.id, version=9, amountA=30, amountB=120, penalised=NOBODY)
    ]
    assert (channel.status, channel.owed) == (CLOSED, (30, 120))
    assert tuple(state_channel.depositsOf(channel.id)) == (0, 0)


def test_settled_to_each_by_anybody(state_channel, channel, agreed, alice, bob, mallory):
    channel.close(mallory, agreed)
    for party, amount in ((alice, 30), (bob, 120)):
        before = party.balance
        receipt = state_channel.settle(party, NOBODY, sender=mallory)
        assert receipt.events == [state_channel.Settled(account=party, token=NOBODY, amount=amount)]
        assert party.balance == before + amount
        with reverts(state_channel.NothingToSettle, account=party, token=NOBODY):
            state_channel.settle(party, NOBODY, sender=mallory)


def test_all_for_one(channel, bob):
    channel.close(bob, channel.sign(channel.final(0, 150)))
    assert channel.owed == (0, 150)


def test_deposits_since_are_their_partys(channel, agreed, alice, bob, mallory):
    """A deposit that races with a signature neither invalidates it nor is lost."""
    channel.deposit(mallory, True, 5)
    channel.deposit(bob, False, 7)
    channel.close(alice, agreed)
    assert channel.owed == (35, 127)


def test_version_is_whatever_they_say(state_channel, channel, alice):
    receipt = channel.close(alice, channel.sign(channel.final(30, 120, version=0)))
    assert receipt.events[0].version == 0


@pytest.mark.parametrize("late", [False, True])
def test_while_closing_too(state_channel, channel, agreed, alice, bob, mallory, at_time, late):
    """Within the challenge period and after it: it is what both want. No version matters, and no penalty."""
    channel.start(bob, channel.agreed(1, 100, 50))
    later = channel.agreed(8, 10, 140)
    channel.challenge(alice, later)
    if late:
        at_time(channel.deadline + 1)
    channel.close(mallory, channel.sign(channel.final(30, 120, version=2)))
    assert (channel.status, channel.owed) == (CLOSED, (30, 120))
    assert tuple(state_channel.closings(channel.id)) == (bytes(32), 0, 0, 0, False)
    with reverts(state_channel.ChannelIsClosed, channelId=channel.id):
        channel.try_finish(alice, later)


# ---------------------------------------------------------------- what is refused


def test_refuses_channels_that_nobody_opened(state_channel, channel, alice, bob):
    other = Channel.of(state_channel, alice, bob, salt=b"o" * 32)
    with reverts(state_channel.ChannelNotOpen, channelId=other.id):
        other.try_close(alice, other.sign(other.final(0, 0)))


def test_refuses_other_settings_than_the_channels(state_channel, channel, agreed, alice, mallory):
    """Wrong settings are another channel's, which nobody opened."""
    for changes in ({"party_a": mallory.address}, {"challenge_period": 7200}, {"token": mallory.address}):
        wrong = Channel(state_channel, replace(channel.config, **changes), alice, channel.party_b)
        with reverts(state_channel.ChannelNotOpen, channelId=wrong.id):
            wrong.try_close(alice, agreed)


def test_attack_closed_twice(state_channel, channel, agreed, alice):
    channel.close(alice, agreed)
    with reverts(state_channel.ChannelIsClosed, channelId=channel.id):
        channel.try_close(alice, agreed)
    assert channel.owed == (30, 120)


def test_attack_id_used_again(state_channel, channel, agreed, alice, bob, mallory):
    """Nothing that was signed can be used in a second life of the channel: there is none."""
    channel.close(alice, agreed)
    for attempt in (
        lambda: channel.try_deposit(alice, True, 1),
        lambda: channel.try_start(alice, channel.initial()),
        lambda: channel.try_start(alice, channel.sign(channel.state(3, 0, 0, deposits=(0, 0)))),
        lambda: channel.try_challenge(alice, channel.sign(channel.state(3, 0, 0, deposits=(0, 0)))),
        lambda: channel.try_finish(alice, channel.initial()),
    ):
        with reverts(state_channel.ChannelIsClosed, channelId=channel.id):
            attempt()


def test_refuses_another_channels(state_channel, channel, alice, bob):
    other = Channel.of(state_channel, alice, bob, salt=b"o" * 32)
    other.deposit(alice, True, 150)
    agreed = other.sign(other.final(0, 150))
    with reverts(state_channel.WrongChannel, channelId=other.id, expected=channel.id):
        channel.try_close(bob, agreed)
    renamed = agreed.with_(channel_id=channel.id, deposits_a=100, deposits_b=50)
    with reverts(state_channel.InvalidSignature, signer=alice):
        channel.try_close(bob, renamed)


def test_refuses_deposits_that_have_not_arrived(state_channel, channel, alice, bob):
    for party, stated, deposits in ((alice, 101, (101, 49)), (bob, 51, (99, 51))):
        wrong = channel.sign(channel.final(75, 75, deposits=deposits))
        with reverts(state_channel.DepositsMissing, party=party, stated=stated, received=stated - 1):
            channel.try_close(alice, wrong)


@pytest.mark.parametrize(
    ("a", "b"), [(30, 121), (30, 119), (0, 0), (151, 0), (2**128 - 1, 2**128 - 1), (2**128 - 1, 151)]
)
def test_refuses_unbalanced_even_if_both_signed(state_channel, channel, alice, a, b):
    with reverts(state_channel.UnbalancedState, total=a + b, deposits=150):
        channel.try_close(alice, channel.sign(channel.final(a, b)))


def test_refuses_one_signature(state_channel, channel, agreed, alice, bob):
    with reverts(state_channel.InvalidSignature, signer=alice):
        channel.try_close(bob, replace(agreed, a=b""))
    with reverts(state_channel.InvalidSignature, signer=bob):
        channel.try_close(alice, replace(agreed, b=b""))
    # Who sends it has to sign it like everybody.
    with reverts(state_channel.InvalidSignature, signer=alice):
        channel.try_close(alice, replace(agreed, a=agreed.b))


def test_attack_state_used_as_a_final(state_channel, channel, alice):
    """A state that both signed has the fields of a final one, but not its type: closing with it takes its time."""
    signed = channel.agreed(9, 30, 120)
    fields = astuple(signed.state)[:-1]
    with reverts(state_channel.InvalidSignature, signer=alice):
        channel.try_close(alice, replace(signed, state=Final(*fields)))
    # With locks, it would even be unbalanced.
    locks = [Lock(20, 2**39, True, b"h" * 32)]
    signed = channel.agreed(9, 30, 100, locks)
    with reverts(state_channel.UnbalancedState, total=130, deposits=150):
        channel.try_close(alice, replace(signed, state=Final(*astuple(signed.state)[:-1])))


def test_attack_final_used_as_a_state(state_channel, channel, agreed, alice):
    for locks in ((), (Lock(0, 2**39, True, b"h" * 32),)):
        state = State(*astuple(agreed.state), hash_of_locks(locks))
        with reverts(state_channel.InvalidSignature, signer=alice):
            channel.try_start(alice, replace(agreed, state=state, locks=locks))


def test_takes_no_value(state_channel, channel, agreed, alice):
    arguments = astuple(channel.config), astuple(agreed.state), agreed.a, agreed.b
    with reverts():
        state_channel.closeCooperatively(*arguments, value=1, sender=alice)


# ---------------------------------------------------------------- signatures


def test_attack_signature_of_another_domain(state_channel, channel, agreed, alice, mallory):
    """Another chain, another contract, another name or version of this one."""
    for domain in (
        {"chainId": 1},
        {"verifyingContract": mallory.address},
        {"name": "Layer 2 Payment Channel Hub"},
        {"version": "2"},
    ):
        with reverts(state_channel.InvalidSignature, signer=alice):
            channel.try_close(mallory, channel.sign(agreed, **domain))


def test_attack_same_contract_deployed_again(project, deployer, state_channel, channel, agreed, alice, bob):
    again = Channel(deployer.deploy(project.StateChannel), channel.config, alice, bob)
    assert again.id == channel.id
    again.deposit(alice, True, 150)
    again.deposit(alice, False, 50)
    with reverts(again.contract.InvalidSignature, signer=alice):
        again.try_close(bob, agreed)


def test_attack_chain_that_splits_off(state_channel, channel, agreed, chain, alice):
    """With another chain id, nothing that was signed before is valid; channels are there, and can be closed."""
    before = chain.provider.chain_id
    assert state_channel.finalDigest(astuple(agreed.state)) == digest(state_channel, agreed.state)
    try:
        chain.provider.make_request("anvil_setChainId", [before + 1])
        with reverts(state_channel.InvalidSignature, signer=alice):
            channel.try_close(alice, agreed)
        channel.try_start(alice, channel.initial())
        channel.try_close(alice, channel.sign(agreed, chainId=before + 1))
    finally:
        chain.provider.make_request("anvil_setChainId", [before])
    channel.try_close(alice, agreed)


def test_attack_high_s(state_channel, channel, agreed, alice, bob):
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

    def flipped(signature: bytes) -> bytes:
        s = order - int.from_bytes(signature[32:64])
        return signature[:32] + s.to_bytes(32) + bytes([55 - signature[64]])

    with reverts(state_channel.InvalidSignature, signer=alice):
        channel.try_close(alice, replace(agreed, a=flipped(agreed.a)))
    with reverts(state_channel.InvalidSignature, signer=bob):
        channel.try_close(alice, replace(agreed, b=flipped(agreed.b)))


def test_malformed_signatures(state_channel, channel, agreed, alice):
    good = agreed.a
    compact = good[:32] + (int.from_bytes(good[32:64]) | (good[64] - 27) << 255).to_bytes(32)
    for wrong in (
        b"",
        good[:64],
        compact,
        good + b"\0",
        bytes(65),
        good[:64] + bytes([good[64] - 27]),
        good[:64] + bytes([29]),
        good[:64] + bytes([55 - good[64]]),
    ):
        with reverts(state_channel.InvalidSignature, signer=alice):
            channel.try_close(alice, replace(agreed, a=wrong))
    channel.try_close(alice, agreed)


def test_attack_parties_swapped(state_channel, channel, agreed, alice, bob):
    with reverts(state_channel.InvalidSignature, signer=alice):
        channel.try_close(alice, replace(agreed, a=agreed.b, b=agreed.a))
    # Settings with the parties the other way round are another channel.
    swapped = Channel.of(state_channel, bob, alice)
    assert swapped.id != channel.id


def test_attack_signature_of_a_stranger(state_channel, channel, agreed, alice, mallory):
    with reverts(state_channel.InvalidSignature, signer=alice):
        channel.try_close(mallory, replace(agreed, a=sign(mallory, digest(state_channel, agreed.state))))


def test_every_field_is_signed(state_channel, channel, agreed, alice):
    """Deposits are lowered, as higher ones would be refused for themselves."""
    channel.deposit(alice, True, 1)
    for changes in (
        {"version": 10},
        {"balance_a": 31, "balance_b": 119},
        {"deposits_a": 99, "balance_a": 29},
        {"deposits_b": 49, "balance_b": 119},
    ):
        wrong = agreed.with_(**changes)
        with reverts(state_channel.InvalidSignature, signer=alice):
            channel.try_close(alice, wrong)


# ---------------------------------------------------------------- while it closes, a final state is what both want


def test_nobody_penalised_by_a_final(state_channel, channel, bob, alice):
    channel.start(bob, channel.initial())
    channel.challenge(alice, channel.agreed(2, 140, 10))
    assert channel.status == CLOSING
    receipt = channel.close(alice, channel.sign(channel.final(100, 50)))
    assert receipt.events[0].penalised == NOBODY
    assert channel.owed == (100, 50)
