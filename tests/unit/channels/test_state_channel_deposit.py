"""StateChannel.deposit and depositWithPermit: what opens a channel, and what arrives in it."""

from dataclasses import astuple, replace

import pytest
from eth_account import Account

from tests.support.reverts import call, reverts
from tests.support.state_channels import CLOSED, CLOSING, DAY, HOUR, NOBODY, NONE, OPEN, Channel, Config, struct_hash

NO_PERMIT = (0, 0, bytes(32), bytes(32))
MAX = 2**128 - 1


@pytest.fixture
def new(state_channel, alice, bob) -> Channel:
    """A channel that nobody has opened."""
    return Channel.of(state_channel, alice, bob, salt=b"n" * 32)


@pytest.fixture
def tokens(state_channel, alice, bob, usdc) -> Channel:
    """A channel of USDC, of which Alice has 1000, and approved."""
    usdc.mint(alice, 1000, sender=alice)
    usdc.approve(state_channel, 1000, sender=alice)
    return Channel.of(state_channel, alice, bob, token=usdc.address)


# ---------------------------------------------------------------- what it does


def test_id_is_the_hash_of_the_settings(state_channel, new, alice, bob, usdc):
    for config in (new.config, Config(bob.address, alice.address, usdc.address, 30 * DAY, b"\xff" * 32)):
        assert state_channel.channelIdOf(astuple(config)) == struct_hash(config)
    others = [
        replace(new.config, party_a=bob.address, party_b=alice.address),
        replace(new.config, token=usdc.address),
        replace(new.config, challenge_period=DAY + 1),
        replace(new.config, salt=b"m" * 32),
    ]
    assert len({struct_hash(config) for config in [new.config, *others]}) == 5


def test_first_deposit_opens(state_channel, new, alice):
    assert (new.status, tuple(state_channel.depositsOf(new.id))) == (NONE, (0, 0))
    receipt = new.deposit(alice, True, 7)
    assert receipt.events == [
        state_channel.ChannelOpened(
            channelId=new.id,
            partyA=new.config.party_a,
            partyB=new.config.party_b,
            token=NOBODY,
            challengePeriod=DAY,
            salt=b"n" * 32,
        ),
        state_channel.Deposited(
            **{"channelId": new.id, "from": alice, "toA": True, "amount": 7, "depositsA": 7, "depositsB": 0}
        ),
    ]
    assert (new.status, tuple(state_channel.depositsOf(new.id))) == (OPEN, (7, 0))


def test_anybody_tops_up_for_either(state_channel, channel, mallory):
    before = state_channel.balance
    for to_a, amount, after in ((False, 5, (100, 55)), (True, 3, (103, 55))):
        receipt = channel.deposit(mallory, to_a, amount)
        assert receipt.events == [
            state_channel.Deposited(
                **{
                    "channelId": channel.id,
                    "from": mallory,
                    "toA": to_a,
                    "amount": amount,
                    "depositsA": after[0],
                    "depositsB": after[1],
                }
            )
        ]
        assert tuple(state_channel.depositsOf(channel.id)) == after
    assert state_channel.balance == before + 8


def test_tokens(state_channel, tokens, usdc, alice):
    tokens.deposit(alice, False, 300)
    assert tuple(state_channel.depositsOf(tokens.id)) == (0, 300)
    assert (usdc.balanceOf(state_channel), usdc.balanceOf(alice)) == (300, 700)


# ---------------------------------------------------------------- what is refused


def test_refuses_impossible_parties(state_channel, new, alice, bob):
    for a, b in (
        (alice.address, alice.address),
        (NOBODY, bob.address),
        (alice.address, NOBODY),
        (NOBODY, NOBODY),
        (state_channel.address, bob.address),
        (alice.address, state_channel.address),
    ):
        wrong = replace(new, config=replace(new.config, party_a=a, party_b=b))
        with reverts(state_channel.InvalidParties, partyA=a, partyB=b):
            wrong.try_deposit(alice, True, 1)


def test_challenge_period_has_bounds(state_channel, new, alice):
    for period in (0, HOUR - 1, 30 * DAY + 1, 2**40 - 1):
        wrong = replace(new, config=replace(new.config, challenge_period=period))
        with reverts(state_channel.InvalidChallengePeriod, challengePeriod=period, min=HOUR, max=30 * DAY):
            wrong.try_deposit(alice, True, 1)
    for period in (HOUR, 30 * DAY):
        right = Channel(state_channel, replace(new.config, challenge_period=period), alice, new.party_b)
        right.deposit(alice, True, 1)
        assert right.status == OPEN
    limits = state_channel.MIN_CHALLENGE_PERIOD(), state_channel.MAX_CHALLENGE_PERIOD(), state_channel.MAX_LOCKS()
    assert limits == (HOUR, 30 * DAY, 16)


def test_refuses_a_wrong_value(state_channel, new, tokens, alice):
    with reverts(state_channel.WrongValue, sent=0, expected=1):
        new.try_deposit(alice, True, 1)
    with reverts(state_channel.WrongValue, sent=2, expected=1):
        state_channel.deposit(astuple(new.config), True, 1, value=2, sender=alice)
    with reverts(state_channel.WrongValue, sent=1, expected=0):
        state_channel.deposit(astuple(tokens.config), True, 1, value=1, sender=alice)


def test_refuses_nothing(state_channel, new, tokens, alice):
    with reverts(state_channel.EmptyDeposit, token=NOBODY):
        new.try_deposit(alice, True, 0)
    with reverts(state_channel.EmptyDeposit, token=tokens.config.token):
        tokens.try_deposit(alice, True, 0)
    assert (new.status, tokens.status) == (NONE, NONE)


def test_refuses_what_is_no_token(state_channel, new, alice, mallory):
    wrong = replace(new, config=replace(new.config, token=mallory.address))
    with reverts(state_channel.NotAContract, token=mallory.address):
        wrong.try_deposit(alice, True, 1)


def test_refuses_tokens_that_it_may_not_take(state_channel, tokens, alice, bob):
    with reverts(state_channel.TransferFromFailed):
        tokens.try_deposit(bob, True, 1)
    with reverts(state_channel.TransferFromFailed):
        tokens.try_deposit(alice, True, 1001)


def test_both_deposits_together_are_below_two_to_the_128(state_channel, tokens, usdc, alice):
    usdc.mint(alice, 2**130, sender=alice)
    usdc.approve(state_channel, 2**130, sender=alice)
    tokens.deposit(alice, True, MAX - 10)
    with reverts(state_channel.TotalTooLarge, deposited=MAX - 10, arrived=11):
        tokens.try_deposit(alice, False, 11)
    with reverts(state_channel.TotalTooLarge, deposited=MAX - 10, arrived=2**129):
        tokens.try_deposit(alice, True, 2**129)
    tokens.deposit(alice, False, 10)
    assert (tokens.status, tuple(state_channel.depositsOf(tokens.id))) == (OPEN, (MAX - 10, 10))
    with reverts(state_channel.TotalTooLarge, deposited=MAX, arrived=1):
        tokens.try_deposit(alice, True, 1)


@pytest.mark.parametrize("to_a", [True, False])
def test_largest_deposit_is_not_taken_for_a_closed_channel(state_channel, tokens, usdc, alice, at_time, to_a):
    """Closed channels are marked by deposits that none can have."""
    usdc.mint(alice, MAX, sender=alice)
    usdc.approve(state_channel, MAX, sender=alice)
    tokens.deposit(alice, to_a, MAX)
    assert (tokens.status, sum(state_channel.depositsOf(tokens.id))) == (OPEN, MAX)
    tokens.start(alice, tokens.initial())
    at_time(tokens.deadline + 1)
    tokens.finish(alice, tokens.initial())
    assert (tokens.status, tokens.owed) == (CLOSED, (MAX, 0) if to_a else (0, MAX))


def test_refused_once_closing_has_started_and_for_ever(state_channel, channel, alice, mallory, at_time):
    channel.start(alice, channel.initial())
    deadline = channel.deadline
    assert channel.status == CLOSING
    for to_a in (True, False):
        with reverts(state_channel.ChannelIsClosing, channelId=channel.id, deadline=deadline):
            channel.try_deposit(mallory, to_a, 1)
    at_time(deadline + 1)
    channel.finish(alice, channel.initial())
    assert (channel.status, tuple(state_channel.depositsOf(channel.id))) == (CLOSED, (0, 0))
    with reverts(state_channel.ChannelIsClosed, channelId=channel.id):
        channel.try_deposit(mallory, True, 1)
    permit = state_channel.depositWithPermit.encode_input(astuple(channel.config), True, 1, *NO_PERMIT)
    with reverts(state_channel.PermitOfEther):
        call(state_channel, permit, mallory)


# ---------------------------------------------------------------- permits


def permit_of(usdc, chain, owner, spender, amount: int) -> tuple[int, int, bytes, bytes]:
    fields = ("owner address", "spender address", "value uint256", "nonce uint256", "deadline uint256")
    types = {"Permit": [dict(zip(("name", "type"), item.split(), strict=True)) for item in fields]}
    domain = {
        "name": "Test USD Coin",
        "version": "1",
        "chainId": chain.chain_id,
        "verifyingContract": usdc.address,
    }
    message = {
        "owner": owner.address,
        "spender": spender.address,
        "value": amount,
        "nonce": usdc.nonces(owner),
        "deadline": 2**40,
    }
    signed = Account.sign_typed_data(owner.private_key, domain, types, message)
    return 2**40, signed.v, signed.r.to_bytes(32), signed.s.to_bytes(32)


def test_permit_instead_of_an_approval(state_channel, tokens, usdc, chain, bob, mallory):
    usdc.mint(bob, 20, sender=bob)
    permit = permit_of(usdc, chain, bob, state_channel, 20)
    # Somebody else sends the permit first: it does no harm.
    usdc.permit(bob, state_channel, 20, *permit, sender=mallory)
    receipt = state_channel.depositWithPermit(astuple(tokens.config), False, 15, *permit, sender=bob)
    assert receipt.events[-1].depositsB == 15
    permit = permit_of(usdc, chain, bob, state_channel, 5)
    state_channel.depositWithPermit(astuple(tokens.config), True, 5, *permit, sender=bob)
    assert tuple(state_channel.depositsOf(tokens.id)) == (5, 15)


def test_attack_permit_of_another(state_channel, tokens, usdc, chain, bob, mallory):
    """A permit that one finds does not move its signer's tokens into one's own channel."""
    usdc.mint(bob, 20, sender=bob)
    permit = permit_of(usdc, chain, bob, state_channel, 20)
    stolen = state_channel.depositWithPermit.encode_input(astuple(tokens.config), True, 20, *permit)
    with reverts(state_channel.TransferFromFailed):
        call(state_channel, stolen, mallory)


def test_permit_refusals(state_channel, new, tokens, alice, bob):
    def attempt(config: Config) -> None:
        calldata = state_channel.depositWithPermit.encode_input(astuple(config), True, 1, *NO_PERMIT)
        call(state_channel, calldata, bob)

    with reverts(state_channel.PermitOfEther):
        attempt(new.config)
    with reverts(state_channel.NotAContract, token=alice.address):
        attempt(replace(new.config, token=alice.address))
    with reverts(state_channel.TransferFromFailed):
        attempt(tokens.config)
    with reverts(state_channel.InvalidParties, partyA=NOBODY):
        attempt(replace(tokens.config, party_a=NOBODY))
    with reverts():
        state_channel.depositWithPermit(astuple(new.config), True, 1, *NO_PERMIT, value=1, sender=bob)
