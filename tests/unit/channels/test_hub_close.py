"""PaymentChannelHub.close: both want it, and nobody waits."""

import pytest

from tests.support.payment_channels import FORMS, MAX, Channel, spoilt
from tests.support.reverts import call, reverts
from tests.support.state_channels import NOBODY

AS_OWNER, YES = 1, 2
"""Answers of a SigningPuppet."""


def closed(channel: Channel, amount: int, refund: int):
    return channel.hub.ChannelClosed(channelId=channel.id, amount=amount, refund=refund)


def test_payee_closes_with_a_voucher(paid, alice, bob):
    receipt = paid.close(bob, 60, paid.voucher(60))
    assert receipt.events == [closed(paid, 60, 40)]
    assert (paid.state, paid.closings, paid.withdrawable_after) == ((0, 100), 1, 0)
    assert (paid.owed(alice), paid.owed(bob)) == (40, 60)


def test_payee_gives_everything_back(paid, alice, bob):
    assert paid.close(bob, 0).events == [closed(paid, 0, 100)]
    assert (paid.owed(alice), paid.owed(bob)) == (100, 0)


def test_payee_takes_everything(paid, alice, bob):
    assert paid.close(bob, 100, paid.voucher(100)).events == [closed(paid, 100, 0)]
    assert (paid.owed(alice), paid.owed(bob)) == (0, 100)


def test_what_was_claimed_needs_no_voucher(paid, alice, bob):
    """Whatever is given for one is not looked at."""
    paid.claim(bob, 30)
    receipt = paid.close(bob, 30, b"nothing")
    assert receipt.events == [closed(paid, 0, 70)]
    assert (paid.state, paid.owed(alice), paid.owed(bob)) == ((0, 100), 70, 30)


def test_anybody_closes_with_both_signatures(paid, alice, bob, mallory):
    paid.claim(bob, 10)
    receipt = paid.close(mallory, 60, paid.voucher(60), paid.closing(60))
    assert receipt.events == [closed(paid, 50, 40)]
    assert (paid.owed(alice), paid.owed(bob), paid.owed(mallory)) == (40, 60, 0)


def test_payer_closes_with_the_payee_s_signature(paid, alice, bob):
    paid.claim(bob, 10)
    assert paid.close(alice, 10, b"", paid.closing(10)).events == [closed(paid, 0, 90)]


def test_pays_at_most_the_balance(paid, alice, bob):
    receipt = paid.close(bob, MAX, paid.voucher(MAX))
    assert receipt.events == [closed(paid, 100, 0)]
    assert (paid.state, paid.owed(alice), paid.owed(bob)) == ((0, 100), 0, 100)


def test_the_channel_can_be_used_again(paid, alice, bob):
    paid.close(bob, 60, paid.voucher(60))
    paid.deposit(alice, 50)
    paid.claim(bob, 110)
    assert (paid.state, paid.owed(bob)) == ((40, 110), 70)
    assert paid.close(alice, 120, paid.voucher(120), paid.closing(120)).events == [closed(paid, 10, 30)]
    assert (paid.state, paid.closings) == ((0, 150), 2)
    assert (paid.owed(alice), paid.owed(bob)) == (70, 80)


def test_ends_a_pending_withdrawal(paid, hub, alice, bob):
    """It would hang over the next deposit."""
    paid.start_withdrawal()
    paid.close(bob, 60, paid.voucher(60))
    assert (paid.withdrawable_after, paid.closings) == (0, 1)
    paid.deposit(alice, 50)
    with reverts(hub.NoWithdrawal, channelId=paid.id):
        paid.attempt("finishWithdrawal", sender=alice)


# ---------------------------------------------------------------- what it refuses


def test_refuses_an_empty_channel(paid, hub, bob):
    other = paid.other(salt=b"o" * 32)
    with reverts(hub.EmptyChannel, channelId=other.id):
        other.attempt("close", 0, b"", b"", sender=bob)
    paid.claim(bob, 100)
    with reverts(hub.EmptyChannel, channelId=paid.id):
        paid.attempt("close", 100, b"", b"", sender=bob)


def test_refuses_less_than_what_was_released(paid, hub, alice, bob):
    paid.claim(bob, 30)
    for amount in (0, 29):
        with reverts(hub.AlreadyReleased, channelId=paid.id, amount=amount, released=30):
            paid.attempt("close", amount, paid.voucher(amount), paid.closing(amount), sender=bob)
    paid.attempt("close", 30, b"", b"", sender=bob)


def test_attack_payee_closes_without_a_voucher(paid, hub, alice, bob):
    for amount, signature in ((1, b""), (60, paid.voucher(59)), (60, paid.voucher(60, by=bob))):
        with reverts(hub.InvalidSignature, signer=alice):
            paid.attempt("close", amount, signature, paid.closing(amount), sender=bob)


def test_attack_payer_closes_without_the_payee(paid, hub, alice, bob, mallory):
    """Its money back, and what Bob has vouchers for with it."""
    for sender in (alice, mallory):
        for amount, signature in (
            (0, b""),
            (0, paid.closing(0, by=alice)),
            (0, paid.closing(1)),
            (60, paid.closing(0)),
            (60, paid.voucher(60, by=bob)),
        ):
            with reverts(hub.InvalidSignature, signer=bob):
                paid.attempt("close", amount, paid.voucher(amount), signature, sender=sender)


@pytest.mark.parametrize("form", FORMS)
def test_attack_malleable_and_malformed_signatures(paid, hub, alice, bob, mallory, form):
    voucher, closing = paid.voucher(60), paid.closing(60)
    with reverts(hub.InvalidSignature, signer=alice):
        paid.attempt("close", 60, spoilt(voucher)[form], closing, sender=mallory)
    with reverts(hub.InvalidSignature, signer=bob):
        paid.attempt("close", 60, voucher, spoilt(closing)[form], sender=mallory)
    paid.attempt("close", 60, voucher, closing, sender=mallory)


def test_attack_voucher_as_a_closing_signature(paid, hub, alice, mallory):
    """Alice pays herself, so that one key signs both."""
    own = paid.other(payee=alice.address)
    own.deposit(alice, 100)
    with reverts(hub.InvalidSignature, signer=alice):
        own.attempt("close", 60, own.voucher(60), own.voucher(60), sender=mallory)
    with reverts(hub.InvalidSignature, signer=alice):
        own.attempt("close", 60, own.closing(60, by=alice), own.closing(60, by=alice), sender=mallory)


def test_attack_closing_signature_of_elsewhere(project, paid, hub, chain, alice, bob):
    """Of another channel, another chain, another deployment, another protocol."""
    other = paid.other(salt=b"o" * 32)
    there = Channel(alice.deploy(project.PaymentChannelHub), paid.config, alice, bob, alice)
    for signature in (
        other.closing(0),
        there.closing(0),
        paid.closing(0, chainId=chain.chain_id + 1),
        paid.closing(0, name="Layer 2 State Channel"),
        paid.closing(0, version="2"),
    ):
        with reverts(hub.InvalidSignature, signer=bob):
            paid.attempt("close", 0, b"", signature, sender=alice)


def test_attack_closing_signature_twice(paid, hub, alice, bob):
    """Of an earlier life of the channel, for an amount that still fits."""
    closing = paid.closing(100)
    paid.close(alice, 100, paid.voucher(100), closing)
    paid.deposit(alice, 50)
    with reverts(hub.InvalidSignature, signer=bob):
        paid.attempt("close", 100, b"", closing, sender=alice)
    with reverts(hub.InvalidSignature, signer=bob):
        paid.attempt("close", 100, b"", paid.closing(100, count=2), sender=alice)
    paid.close(alice, 100, b"", paid.closing(100, count=1))


def test_attack_closing_signature_that_is_outdated(paid, hub, alice, bob):
    """Bob has claimed more since."""
    closing = paid.closing(30)
    paid.claim(bob, 31)
    with reverts(hub.AlreadyReleased, channelId=paid.id, amount=30, released=31):
        paid.attempt("close", 30, b"", closing, sender=alice)


def test_delegated_payee_is_bound_by_its_key(project, paid, chain, alice, bob):
    """EIP-7702: its code refuses all signatures."""
    closing = paid.closing(0)
    refuser = alice.deploy(project.SigningPuppet, NOBODY, 0)
    chain.provider.make_request("anvil_setCode", [bob.address, "0xef0100" + refuser.address[2:]])
    assert paid.close(alice, 0, b"", closing).events == [closed(paid, 0, 100)]


def test_takes_no_value(paid, hub, bob):
    data = paid.encode("close", 0, b"", b"")
    with reverts():
        hub.provider.web3.eth.call({"to": hub.address, "data": data, "from": bob.address, "value": 1})
    call(hub, data, bob)
