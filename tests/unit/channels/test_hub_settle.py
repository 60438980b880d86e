"""PaymentChannelHub.settle, which is the ledger's: money goes to whom it is owed, and nobody stops anybody."""

import pytest
from eth_utils import keccak

from tests.support.payment_channels import NO_PERMIT, Channel
from tests.support.reverts import reverts
from tests.support.state_channels import ETHER, NOBODY

NONE, RETURNS_NOTHING, RETURNS_FALSE, REVERTS, MOVES_NOTHING, SHRINKS, CLAIMS_EVERYTHING = range(7)
"""Defects of a SpoiltToken."""
REENTERED = keccak(text="ReentrancyGuardReentrantCall()")[:4]


@pytest.fixture
def earned(paid, bob) -> Channel:
    """Bob is owed 30 of Alice's 100 wei."""
    paid.claim(bob, 30)
    return paid


def settled(hub, account, token, amount: int):
    return hub.Settled(account=account, token=token, amount=amount)


def test_anybody_pays_out_ether_to_the_account(earned, hub, alice, bob, mallory):
    before, held = bob.balance, hub.balance
    receipt = hub.settle(bob, ETHER, sender=mallory)
    assert receipt.events == [settled(hub, bob, ETHER, 30)]
    assert (bob.balance - before, held - hub.balance, earned.owed(bob)) == (30, 30, 0)


def test_anybody_pays_out_tokens(paid, hub, usdc, alice, bob, mallory):
    usdc.mint(alice, 100, sender=alice)
    usdc.approve(hub, 100, sender=alice)
    channel = paid.other(token=usdc.address)
    channel.deposit(alice, 100)
    channel.claim(bob, 30)
    receipt = hub.settle(bob, usdc, sender=mallory)
    assert receipt.events[0] == settled(hub, bob, usdc, 30)
    assert (usdc.balanceOf(bob), usdc.balanceOf(hub), channel.owed(bob)) == (30, 70, 0)


def test_attack_settle_twice(earned, hub, bob, mallory):
    hub.settle(bob, ETHER, sender=mallory)
    with reverts(hub.NothingToSettle, account=bob, token=ETHER):
        hub.settle(bob, ETHER, sender=bob)


def test_refuses_those_who_are_owed_nothing(earned, hub, usdc, alice, bob, mallory):
    for account, token in ((alice, ETHER), (mallory, ETHER), (NOBODY, ETHER), (hub, ETHER), (bob, usdc)):
        with reverts(hub.NothingToSettle, account=account, token=token):
            hub.settle(account, token, sender=mallory)


def test_adds_up_over_channels_and_goes_on_after_it_was_paid(earned, hub, alice, bob, carol):
    other = Channel.of(hub, carol, bob)
    other.deposit(carol, 50)
    other.claim(bob, 50)
    assert earned.owed(bob) == 80
    hub.settle(bob, ETHER, sender=bob)
    assert earned.owed(bob) == 0
    earned.claim(bob, 31)
    assert earned.owed(bob) == 1
    before = bob.balance
    hub.settle(bob, ETHER, sender=carol)
    assert (bob.balance - before, earned.owed(bob)) == (1, 0)


def test_takes_no_value(earned, hub, bob):
    with reverts():
        hub.settle(bob, ETHER, value=1, sender=bob)


@pytest.mark.parametrize("payee", ["RevertingPayee", "GasBurningPayee"])
def test_attack_refusing_payee_blocks_nobody(project, paid, hub, alice, bob, mallory, at_time, payee):
    """Its channel can be claimed from, closed and withdrawn from; only its own money waits."""
    refuser = mallory.deploy(getattr(project, payee))
    channel = Channel.of(hub, alice, refuser)
    channel.deposit(alice, 100)
    hub.claimMany([channel.item(10), paid.item(10)], sender=mallory)
    with reverts(hub.ETHTransferFailed):
        hub.settle(refuser, ETHER, sender=mallory)
    hub.settle(bob, ETHER, sender=mallory)
    channel.claim(mallory, 20)
    channel.start_withdrawal()
    at_time(channel.withdrawable_after + 1)
    channel.finish_withdrawal()
    hub.settle(alice, ETHER, sender=alice)
    assert (channel.owed(refuser), channel.owed(alice), channel.state) == (20, 0, (0, 100))


@pytest.mark.parametrize("code", ["RevertingPayee", "GasBurningPayee"])
def test_attack_refusing_payee_does_not_stop_a_closing(project, paid, hub, chain, alice, bob, mallory, code):
    """Its account has such code (EIP-7702): it closes, the payer closes with its signature, its own money waits."""
    refuser = mallory.deploy(getattr(project, code))
    other = paid.other(salt=b"o" * 32)
    other.deposit(alice, 100)
    chain.provider.make_request("anvil_setCode", [bob.address, "0xef0100" + refuser.address[2:]])
    assert paid.close(bob, 60, paid.voucher(60)).events == [hub.ChannelClosed(channelId=paid.id, amount=60, refund=40)]
    assert other.close(alice, 70, other.voucher(70), other.closing(70)).events == [
        hub.ChannelClosed(channelId=other.id, amount=70, refund=30)
    ]
    hub.settle(alice, ETHER, sender=mallory)
    with reverts(hub.ETHTransferFailed):
        hub.settle(bob, ETHER, sender=mallory)
    assert (paid.owed(alice), paid.owed(bob), hub.balance) == (0, 130, 130)
    chain.provider.make_request("anvil_setCode", [bob.address, "0x"])
    hub.settle(bob, ETHER, sender=mallory)
    assert (paid.owed(bob), hub.balance) == (0, 0)


def test_attack_refusing_payer_blocks_nobody(project, hub, alice, bob, mallory):
    """The payee closes, and is paid."""
    refuser = mallory.deploy(project.RevertingPayee)
    channel = Channel.of(hub, refuser, bob, signer=alice)
    channel.deposit(alice, 100)
    channel.close(bob, 60, channel.voucher(60))
    before = bob.balance
    hub.settle(bob, ETHER, sender=mallory)
    assert bob.balance == before + 60
    with reverts(hub.ETHTransferFailed):
        hub.settle(refuser, ETHER, sender=mallory)
    assert channel.owed(refuser) == 40


def test_attack_payee_settles_again_while_it_is_paid(project, hub, alice, bob, mallory):
    payee = mallory.deploy(project.CallbackPuppet)
    channel = Channel.of(hub, alice, payee)
    channel.deposit(alice, 100)
    channel.claim(bob, 30)
    payee.setCallback(hub.settle.encode_input(payee, ETHER), sender=mallory)
    with reverts(hub.ETHTransferFailed):
        hub.settle(payee, ETHER, sender=mallory)
    assert channel.owed(payee) == 30


def test_payee_claims_while_it_is_paid(project, hub, alice, bob, mallory):
    """What it is owed by that stays for the next time."""
    payee = mallory.deploy(project.CallbackPuppet)
    channel = Channel.of(hub, alice, payee)
    channel.deposit(alice, 100)
    channel.claim(bob, 30)
    payee.setCallback(channel.encode("claim", 40, channel.voucher(40)), sender=mallory)
    hub.settle(payee, ETHER, sender=mallory)
    assert (payee.balance, channel.owed(payee), channel.state) == (30, 10, (60, 40))


# ---------------------------------------------------------------- strange tokens


@pytest.fixture
def spoilt(project, paid, hub, alice, bob):
    """A channel of a token whose answers can be spoilt, with 50 of Alice's, of which Bob is owed 30."""
    token = alice.deploy(project.SpoiltToken, NONE)
    token.mint(alice, 100, sender=alice)
    channel = paid.other(token=token.address)
    channel.deposit(alice, 50)
    channel.claim(bob, 30)
    return channel, token


def test_no_return_value_is_fine(spoilt, hub, alice, bob):
    channel, token = spoilt
    token.setDefect(RETURNS_NOTHING, sender=alice)
    hub.settle(bob, token, sender=bob)
    assert (token.balanceOf(bob), channel.owed(bob)) == (30, 0)


@pytest.mark.parametrize("defect", [RETURNS_FALSE, REVERTS])
def test_tokens_that_refuse_leave_it_owed(spoilt, hub, alice, bob, defect):
    channel, token = spoilt
    token.setDefect(defect, sender=alice)
    with reverts(hub.TransferFailed):
        hub.settle(bob, token, sender=bob)
    assert channel.owed(bob) == 30
    token.setDefect(NONE, sender=alice)
    hub.settle(bob, token, sender=bob)
    assert token.balanceOf(bob) == 30


def test_attack_money_token_that_is_gone(spoilt, hub, chain, alice, bob):
    channel, token = spoilt
    code = chain.provider.get_code(token.address)
    chain.provider.make_request("anvil_setCode", [token.address, "0x"])
    with reverts(hub.TransferFailed):
        hub.settle(bob, token.address, sender=bob)
    assert channel.owed(bob) == 30
    chain.provider.make_request("anvil_setCode", [token.address, code.to_0x_hex()])


def test_attack_money_lying_token_hurts_its_own_holders_only(spoilt, hub, paid, alice, bob):
    """Its channel's books say 50; the other's money is there."""
    channel, token = spoilt
    token.setDefect(SHRINKS, sender=alice)
    hub.settle(bob, token, sender=bob)
    assert (channel.owed(bob), channel.state) == (0, (20, 30))
    paid.claim(bob, 30)
    before = bob.balance
    hub.settle(bob, ETHER, sender=alice)
    assert bob.balance == before + 30


def test_attack_money_blacklisted_payee(project, paid, hub, alice, bob, carol):
    token = alice.deploy(project.BlacklistingToken)
    token.mint(alice, 100, sender=alice)
    token.approve(hub, 100, sender=alice)
    listed = paid.other(token=token.address)
    other = Channel.of(hub, alice, carol, token=token.address)
    for channel in (listed, other):
        channel.deposit(alice, 50)
        channel.claim(alice, 30)
    token.setBlacklisted(bob, True, sender=alice)
    with reverts(hub.TransferFailed):
        hub.settle(bob, token, sender=bob)
    hub.settle(carol, token, sender=alice)
    assert (token.balanceOf(carol), listed.owed(bob)) == (30, 30)


def test_attack_reentrant_token_within_a_settlement(project, paid, hub, alice, bob):
    """Neither settles again nor deposits; it may claim, which is as if it had claimed before or after."""
    token = alice.deploy(project.ReentrantToken)
    token.mint(alice, 100, sender=alice)
    token.approve(hub, 100, sender=alice)
    token.arm(hub, 100, sender=alice)
    channel = paid.other(token=token.address)
    channel.deposit(alice, 100)
    for function, extra in (("deposit", (5,)), ("depositWithPermit", (5, *NO_PERMIT))):
        channel.claim(bob, channel.state[1] + 10)
        token.setHook(hub, channel.encode(function, *extra), sender=alice)
        hub.settle(bob, token, sender=bob)
        assert bytes(token.reason()) == REENTERED
    channel.claim(bob, 30)
    token.setHook(hub, hub.settle.encode_input(bob, token), sender=alice)
    hub.settle(bob, token, sender=bob)
    assert bytes(token.reason()) == REENTERED

    channel.claim(bob, 40)
    token.setHook(hub, channel.encode("claim", 45, channel.voucher(45)), sender=alice)
    hub.settle(bob, token, sender=bob)
    assert token.succeeded()
    assert (channel.owed(bob), channel.state, token.balanceOf(bob), token.balanceOf(hub)) == (5, (55, 45), 40, 60)


def test_nobody_rules(project):
    """Money moves by these functions only, and none of them knows a privileged caller."""
    names = {method.name for method in project.PaymentChannelHub.contract_type.mutable_methods}
    assert names == {
        "deposit",
        "depositWithPermit",
        "claim",
        "claimMany",
        "close",
        "settle",
        "startWithdrawal",
        "finishWithdrawal",
        "cancelWithdrawal",
    }
    names = {method.name for method in project.PaymentChannel.contract_type.mutable_methods}
    assert names == {"claimPayment", "closeChannel"}
