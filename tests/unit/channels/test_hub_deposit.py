"""PaymentChannelHub.deposit and depositWithPermit: what opens a channel, and what arrives in it."""

from dataclasses import astuple, replace

import pytest
from eth_account import Account
from eth_utils import keccak

from tests.support.payment_channels import DAY, HOUR, MAX, MINUTE, NO_PERMIT, Channel
from tests.support.reverts import reverts
from tests.support.state_channels import NOBODY

NONE, RETURNS_NOTHING, RETURNS_FALSE, REVERTS, MOVES_NOTHING, SHRINKS, CLAIMS_EVERYTHING = range(7)
"""Defects of a SpoiltToken."""
REENTERED = keccak(text="ReentrancyGuardReentrantCall()")[:4]


@pytest.fixture
def new(hub, alice, bob) -> Channel:
    """A channel of ether that nobody has opened."""
    return Channel.of(hub, alice, bob, salt=b"n" * 32)


@pytest.fixture
def tokens(hub, alice, bob, usdc) -> Channel:
    """A channel of USDC, of which Alice has 1000, and approved."""
    usdc.mint(alice, 1000, sender=alice)
    usdc.approve(hub, 2**256 - 1, sender=alice)
    return Channel.of(hub, alice, bob, token=usdc.address)


def opened(channel: Channel):
    config = channel.config
    return channel.hub.ChannelOpened(
        channelId=channel.id,
        payer=config.payer,
        payee=config.payee,
        token=config.token,
        signer=config.signer,
        withdrawDelay=config.withdraw_delay,
        salt=config.salt,
    )


def deposited(channel: Channel, sender, amount: int, balance: int):
    return channel.hub.Deposited(**{"channelId": channel.id, "from": sender, "amount": amount, "balance": balance})


# ---------------------------------------------------------------- what it does


def test_id_is_the_struct_hash_of_the_settings(hub, new, bob, carol, usdc):
    others = [
        new.config,
        replace(new.config, payer=carol.address),
        replace(new.config, payee=carol.address),
        replace(new.config, token=usdc.address),
        replace(new.config, signer=carol.address),
        replace(new.config, withdraw_delay=2**40 - 1),
        replace(new.config, salt=b"\xff" * 32),
    ]
    for config in others:
        assert hub.channelIdOf(astuple(config)) == config.id
    assert len({config.id for config in others}) == len(others)


def test_first_deposit_opens(new, alice):
    assert (new.state, new.withdrawable_after, new.closings) == ((0, 0), 0, 0)
    receipt = new.deposit(alice, 7)
    assert receipt.events == [opened(new), deposited(new, alice, 7, 7)]
    assert new.state == (7, 0)


def test_anybody_tops_up(new, alice, mallory):
    new.deposit(mallory, 7)
    assert new.deposit(alice, 5).events == [deposited(new, alice, 5, 12)]
    assert new.state == (12, 0)


def test_a_channel_opens_once(new, alice, bob):
    """However it was emptied."""
    new.deposit(alice, 7)
    new.close(bob, 0)
    assert new.deposit(alice, 5).events == [deposited(new, alice, 5, 5)]
    assert new.state == (5, 7)


def test_channels_of_other_settings_are_others(new, usdc, tokens, alice, bob, mallory):
    new.deposit(alice, 7)
    for other in (
        new.other(payee=mallory.address),
        new.other(payer=mallory.address),
        new.other(signer=mallory.address),
        new.other(withdraw_delay=DAY + 1),
        new.other(salt=bytes(32)),
        new.other(token=usdc.address),
    ):
        assert other.state == (0, 0)


def test_takes_tokens(tokens, hub, usdc, alice):
    before = usdc.balanceOf(hub)
    receipt = tokens.deposit(alice, 600)
    assert receipt.events[-2:] == [opened(tokens), deposited(tokens, alice, 600, 600)]
    assert (tokens.state, usdc.balanceOf(hub) - before, usdc.balanceOf(alice)) == ((600, 0), 600, 400)


def test_takes_the_sender_s_tokens_only(tokens, alice, bob):
    """An approval of Alice's is of no use to Bob."""
    with reverts(tokens.hub.TransferFromFailed):
        tokens.attempt("deposit", 1, sender=bob)
    with reverts(tokens.hub.TransferFromFailed):
        tokens.attempt("deposit", 1001, sender=alice)
    tokens.attempt("deposit", 1000, sender=alice)


# ---------------------------------------------------------------- what it refuses


def test_refuses_parties_that_nobody_is(hub, new, alice, bob):
    for changes in ({"payer": NOBODY}, {"payer": hub.address}, {"payee": NOBODY}, {"payee": hub.address}):
        with reverts(hub.InvalidParty, party=next(iter(changes.values()))):
            new.other(**changes).deposit(alice, 7)
    with reverts(hub.InvalidParty, party=NOBODY):
        new.other(payer=NOBODY, signer=bob.address).deposit(alice, 7)


def test_delays_are_15_minutes_to_30_days(hub, new, alice):
    for delay in (0, 15 * MINUTE - 1, 30 * DAY + 1, 2**40 - 1):
        with reverts(hub.InvalidWithdrawDelay, withdrawDelay=delay, min=15 * MINUTE, max=30 * DAY):
            new.other(withdraw_delay=delay).deposit(alice, 7)
    for delay in (15 * MINUTE, 15 * MINUTE + 1, HOUR, 30 * DAY - 1, 30 * DAY):
        other = new.other(withdraw_delay=delay)
        other.deposit(alice, 7)
        assert other.state == (7, 0)


@pytest.mark.parametrize("sent", [0, 99, 101])
def test_attack_money_surplus_value_of_an_ether_deposit(new, hub, alice, sent):
    with reverts(hub.WrongValue, sent=sent, expected=100):
        hub.deposit(astuple(new.config), 100, value=sent, sender=alice)


def test_attack_money_value_with_a_token_deposit(tokens, hub, alice):
    with reverts(hub.WrongValue, sent=1, expected=0):
        hub.deposit(astuple(tokens.config), 100, value=1, sender=alice)
    with reverts():
        hub.depositWithPermit(astuple(tokens.config), 100, *NO_PERMIT, value=1, sender=alice)


def test_refuses_deposits_of_nothing(new, tokens, hub, alice):
    for channel in (new, tokens):
        with reverts(hub.EmptyDeposit, token=channel.config.token):
            channel.attempt("deposit", 0, sender=alice)


def test_attack_money_token_without_code(new, hub, alice, mallory):
    """Nothing moves there, and nothing fails either."""
    channel = new.other(token=mallory.address)
    with reverts(hub.NotAContract, token=mallory):
        channel.attempt("deposit", 1, sender=alice)
    with reverts(hub.NotAContract, token=mallory):
        channel.attempt("depositWithPermit", 1, *NO_PERMIT, sender=alice)


def test_takes_ether_by_deposit_only(hub, alice):
    with reverts():
        alice.transfer(hub, 1)


def test_forced_ether_is_nobody_s(project, hub, paid, alice, mallory):
    before = hub.balance
    mallory.deploy(project.EtherForcer, hub, value=9)
    assert (hub.balance - before, paid.state) == (9, (100, 0))


def test_a_channel_has_had_less_than_two_to_the_128(tokens, hub, usdc, alice, bob):
    """Over its whole life, whatever has left it."""
    usdc.mint(alice, 2**130, sender=alice)
    with reverts(hub.TotalTooLarge, deposited=0, arrived=MAX + 1):
        tokens.attempt("deposit", MAX + 1, sender=alice)
    tokens.deposit(alice, MAX - 1)
    with reverts(hub.TotalTooLarge, deposited=MAX - 1, arrived=2):
        tokens.attempt("deposit", 2, sender=alice)
    tokens.claim(bob, MAX - 1)
    with reverts(hub.TotalTooLarge, deposited=MAX - 1, arrived=2):
        tokens.attempt("deposit", 2, sender=alice)
    tokens.deposit(alice, 1)
    assert tokens.state == (1, MAX - 1)
    with reverts(hub.TotalTooLarge, deposited=MAX, arrived=1):
        tokens.attempt("deposit", 1, sender=alice)
    tokens.claim(bob, MAX)
    assert (tokens.state, tokens.owed(bob)) == ((0, MAX), MAX)


def test_attack_amount_of_ether_above_two_to_the_128(new, hub, chain, alice):
    """More than there is, but Anvil calls with it."""
    chain.provider.make_request("anvil_setBalance", [alice.address, hex(2**129)])

    def attempt(amount: int) -> None:
        transaction = {"to": hub.address, "data": new.encode("deposit", amount), "from": alice.address, "value": amount}
        chain.provider.web3.eth.call(transaction)

    attempt(MAX)
    with reverts(hub.TotalTooLarge, deposited=0, arrived=MAX + 1):
        attempt(MAX + 1)


# ---------------------------------------------------------------- permits


@pytest.fixture
def permit(usdc, chain, alice, hub):
    """An ERC-2612 signature of Alice's: deadline, v, r, s."""

    def make(amount: int, deadline: int = 2**40, spender: str = hub.address) -> tuple[int, int, bytes, bytes]:
        fields = "address owner,address spender,uint256 value,uint256 nonce,uint256 deadline"
        types = {"Permit": [dict(zip(("type", "name"), field.split(), strict=True)) for field in fields.split(",")]}
        domain = {
            "name": "Test USD Coin",
            "version": "1",
            "chainId": chain.chain_id,
            "verifyingContract": usdc.address,
        }
        message = {
            "owner": alice.address,
            "spender": spender,
            "value": amount,
            "nonce": usdc.nonces(alice),
            "deadline": deadline,
        }
        signed = Account.sign_typed_data(alice.private_key, domain, types, message)
        return deadline, signed.v, signed.r.to_bytes(32), signed.s.to_bytes(32)

    return make


@pytest.fixture
def unapproved(tokens, hub, usdc, alice) -> Channel:
    """As `tokens`, without an approval."""
    usdc.approve(hub, 0, sender=alice)
    return tokens


def test_permit_is_as_good_as_an_approval(unapproved, hub, usdc, alice, permit):
    config = astuple(unapproved.config)
    receipt = hub.depositWithPermit(config, 5, *permit(5), sender=alice)
    assert receipt.events[-2:] == [opened(unapproved), deposited(unapproved, alice, 5, 5)]
    assert (usdc.allowance(alice, hub), unapproved.state) == (0, (5, 0))


def test_ether_has_no_permit(new, hub, alice, permit):
    with reverts(hub.PermitOfEther):
        new.attempt("depositWithPermit", 5, *permit(5), sender=alice)


def test_bad_permits_give_no_allowance(unapproved, hub, usdc, alice, permit):
    deadline, v, r, s = permit(5)
    for bad in (permit(5, deadline=1), permit(5, spender=usdc.address), (deadline, v, s, r), permit(4), NO_PERMIT):
        with reverts(hub.TransferFromFailed):
            unapproved.attempt("depositWithPermit", 5, *bad, sender=alice)


def test_a_permit_is_of_no_use_to_others(unapproved, hub, mallory, permit):
    with reverts(hub.TransferFromFailed):
        unapproved.attempt("depositWithPermit", 5, *permit(5), sender=mallory)


def test_a_permit_that_somebody_sent_before_does_no_harm(unapproved, hub, usdc, alice, mallory, permit):
    signed = permit(5)
    usdc.permit(alice, hub, 5, *signed, sender=mallory)
    hub.depositWithPermit(astuple(unapproved.config), 5, *signed, sender=alice)
    assert unapproved.state == (5, 0)


def test_permit_of_a_token_without_permits_that_is_approved(project, new, hub, alice):
    token = alice.deploy(project.SpoiltToken, NONE)
    token.mint(alice, 9, sender=alice)
    channel = new.other(token=token.address)
    hub.depositWithPermit(astuple(channel.config), 9, *NO_PERMIT, sender=alice)
    assert channel.state == (9, 0)


def test_permit_refuses_what_deposit_refuses(unapproved, hub, alice, permit):
    with reverts(hub.InvalidParty, party=NOBODY):
        unapproved.other(payee=NOBODY).attempt("depositWithPermit", 5, *permit(5), sender=alice)
    with reverts(hub.EmptyDeposit, token=unapproved.config.token):
        unapproved.attempt("depositWithPermit", 0, *permit(0), sender=alice)


# ---------------------------------------------------------------- strange tokens


def test_fee_on_transfer_is_credited_with_what_arrived(project, new, hub, alice):
    token = alice.deploy(project.FeeOnTransferToken)
    token.mint(alice, 1000, sender=alice)
    token.approve(hub, 1000, sender=alice)
    channel = new.other(token=token.address)
    receipt = channel.deposit(alice, 1000)
    assert receipt.events[-1] == deposited(channel, alice, 990, 990)
    assert channel.state == (990, 0)


@pytest.fixture
def spoilt(project, new, alice):
    """A channel of a token whose answers can be spoilt; Alice has 100."""
    token = alice.deploy(project.SpoiltToken, NONE)
    token.mint(alice, 100, sender=alice)
    return new.other(token=token.address), token


@pytest.mark.parametrize(
    ("defect", "error", "values"),
    [
        (RETURNS_FALSE, "TransferFromFailed", {}),
        (REVERTS, "TransferFromFailed", {}),
        (MOVES_NOTHING, "EmptyDeposit", {}),
        (SHRINKS, "EmptyDeposit", {}),
        (CLAIMS_EVERYTHING, "TotalTooLarge", {"deposited": 0, "arrived": 2**256 - 1}),
    ],
)
def test_attack_money_tokens_that_lie(spoilt, hub, alice, defect, error, values):
    channel, token = spoilt
    if defect == SHRINKS:
        token.mint(hub, 10, sender=alice)
    token.setDefect(defect, sender=alice)
    with reverts(getattr(hub, error), **values):
        channel.attempt("deposit", 50, sender=alice)


def test_no_return_value_is_fine(spoilt, alice):
    channel, token = spoilt
    token.setDefect(RETURNS_NOTHING, sender=alice)
    channel.deposit(alice, 50)
    assert channel.state == (50, 0)


def test_attack_money_blacklisted_depositor(project, new, hub, alice):
    token = alice.deploy(project.BlacklistingToken)
    token.mint(alice, 100, sender=alice)
    token.approve(hub, 100, sender=alice)
    token.setBlacklisted(alice, True, sender=alice)
    with reverts(hub.TransferFromFailed):
        new.other(token=token.address).attempt("deposit", 50, sender=alice)


@pytest.fixture
def reentrant(project, new, hub, alice):
    """A channel of a token that calls back; Alice has 1000, and the token has 100 of itself, approved."""
    token = alice.deploy(project.ReentrantToken)
    token.mint(alice, 1000, sender=alice)
    token.approve(hub, 1000, sender=alice)
    token.arm(hub, 100, sender=alice)
    return new.other(token=token.address), token


@pytest.mark.parametrize("outer", ["deposit", "depositWithPermit"])
def test_attack_reentrant_token_deposits_within_a_deposit(reentrant, hub, alice, outer):
    """What arrives within would count twice."""
    channel, token = reentrant
    permit = () if outer == "deposit" else NO_PERMIT
    for function, extra in (("deposit", ()), ("depositWithPermit", NO_PERMIT)):
        token.setHook(hub, channel.encode(function, 50, *extra), sender=alice)
        before = channel.state[0]
        getattr(hub, outer)(astuple(channel.config), 10, *permit, sender=alice)
        assert bytes(token.reason()) == REENTERED
        assert channel.state == (before + 10, 0)
    assert token.balanceOf(hub) == 20


def test_attack_reentrant_token_settles_within_a_deposit(reentrant, hub, alice, bob):
    """What leaves meanwhile would be missing in what arrives."""
    channel, token = reentrant
    channel.deposit(alice, 30)
    channel.claim(bob, 20)
    token.setHook(hub, hub.settle.encode_input(bob, token), sender=alice)
    channel.deposit(alice, 10)
    assert bytes(token.reason()) == REENTERED
    assert (channel.state, hub.owed(bob, token), token.balanceOf(hub)) == ((20, 20), 20, 40)


def test_attack_reentrant_token_claims_within_a_deposit(reentrant, hub, alice, bob):
    """A claim meanwhile is a claim before: it is not overwritten."""
    channel, token = reentrant
    channel.deposit(alice, 30)
    token.setHook(hub, channel.encode("claim", 35, channel.voucher(35)), sender=alice)
    receipt = channel.deposit(alice, 10)
    assert token.succeeded()
    assert receipt.events[-2:] == [
        hub.Claimed(channelId=channel.id, amount=30, released=30),
        deposited(channel, alice, 10, 10),
    ]
    assert (channel.state, hub.owed(bob, token), token.balanceOf(hub)) == ((10, 30), 30, 40)


def test_attack_reentrant_token_closes_within_a_deposit(reentrant, hub, alice, bob):
    """The deposit comes after the closing then."""
    channel, token = reentrant
    channel.deposit(alice, 30)
    token.setHook(hub, channel.encode("close", 12, channel.voucher(12), channel.closing(12)), sender=alice)
    channel.deposit(alice, 10)
    assert token.succeeded()
    assert (channel.state, hub.owed(bob, token), hub.owed(alice, token)) == ((10, 30), 12, 18)
