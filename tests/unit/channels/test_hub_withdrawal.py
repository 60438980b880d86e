"""PaymentChannelHub.startWithdrawal, finishWithdrawal, cancelWithdrawal: the payer leaves without the payee."""

import pytest

from tests.support.payment_channels import DAY, MINUTE
from tests.support.reverts import reverts

FUNCTIONS = ("startWithdrawal", "finishWithdrawal", "cancelWithdrawal")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_only_the_payer(hub, paid, alice, bob, carol, mallory, function, mine_at):
    """Not the payee, not the signer of vouchers, and nobody who deposited for the payer."""
    channel = paid.other(signer=carol.address)
    channel.deposit(mallory, 100)
    if function != "startWithdrawal":
        channel.start_withdrawal()
        mine_at(channel.withdrawable_after + 1)
    for sender in (bob, carol, mallory):
        with reverts(hub.NotPayer, caller=sender):
            channel.attempt(function, sender=sender)
    channel.attempt(function, sender=alice)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_takes_no_value(hub, paid, alice, function):
    with reverts():
        hub.provider.web3.eth.call(
            {"to": hub.address, "data": paid.encode(function), "from": alice.address, "value": 1}
        )


def test_starts(paid, hub, chain):
    receipt = paid.start_withdrawal()
    after = chain.blocks[receipt.block_number].timestamp + DAY
    assert receipt.events == [hub.WithdrawalStarted(channelId=paid.id, withdrawableAfter=after)]
    assert (paid.withdrawable_after, paid.state, paid.closings) == (after, (100, 0), 0)


def test_delay_is_the_channel_s(paid, alice, chain):
    for delay in (15 * MINUTE, 30 * DAY):
        channel = paid.other(withdraw_delay=delay)
        channel.deposit(alice, 1)
        receipt = channel.start_withdrawal()
        assert channel.withdrawable_after == chain.blocks[receipt.block_number].timestamp + delay


def test_starts_once(paid, hub, alice):
    """A second start would move the time."""
    paid.start_withdrawal()
    with reverts(hub.WithdrawalPending, channelId=paid.id, withdrawableAfter=paid.withdrawable_after):
        paid.attempt("startWithdrawal", sender=alice)


def test_attack_withdrawal_of_an_empty_channel(paid, hub, alice, bob):
    """It would be over before the first deposit."""
    unopened = paid.other(salt=b"o" * 32)
    paid.claim(bob, 100)
    for channel in (unopened, paid):
        with reverts(hub.EmptyChannel, channelId=channel.id):
            channel.attempt("startWithdrawal", sender=alice)


def test_attack_finish_in_the_second_of_the_deadline(paid, hub, alice, mine_at):
    paid.start_withdrawal()
    after = paid.withdrawable_after
    for second in (after - 1, after):
        mine_at(second)
        with reverts(hub.WithdrawalTooEarly, withdrawableAfter=after):
            paid.attempt("finishWithdrawal", sender=alice)
    mine_at(after + 1)
    paid.attempt("finishWithdrawal", sender=alice)


def test_finishes(paid, hub, alice, bob, at_time):
    paid.claim(bob, 10)
    paid.start_withdrawal()
    paid.claim(bob, 30)
    at_time(paid.withdrawable_after + 1)
    receipt = paid.finish_withdrawal()
    assert receipt.events == [hub.WithdrawalFinished(channelId=paid.id, amount=70)]
    assert (paid.state, paid.withdrawable_after, paid.closings) == ((0, 100), 0, 0)
    assert (paid.owed(alice), paid.owed(bob)) == (70, 30)


def test_finishes_once(paid, hub, alice, at_time):
    paid.start_withdrawal()
    at_time(paid.withdrawable_after + 1)
    paid.finish_withdrawal()
    paid.deposit(alice, 50)
    with reverts(hub.NoWithdrawal, channelId=paid.id):
        paid.attempt("finishWithdrawal", sender=alice)
    with reverts(hub.NoWithdrawal, channelId=paid.id):
        paid.attempt("cancelWithdrawal", sender=alice)


def test_nothing_left_to_withdraw(paid, hub, alice, bob, at_time, mine_at):
    """The payee was quicker; the payer cancels."""
    paid.start_withdrawal()
    paid.claim(bob, 100)
    mine_at(paid.withdrawable_after + 1)
    with reverts(hub.EmptyChannel, channelId=paid.id):
        paid.attempt("finishWithdrawal", sender=alice)
    paid.cancel_withdrawal()
    assert paid.withdrawable_after == 0


def test_needs_a_start(paid, hub, alice):
    for function in ("finishWithdrawal", "cancelWithdrawal"):
        with reverts(hub.NoWithdrawal, channelId=paid.id):
            paid.attempt(function, sender=alice)


def test_cancels(paid, hub, alice, mine_at):
    paid.start_withdrawal()
    after = paid.withdrawable_after
    receipt = paid.cancel_withdrawal()
    assert receipt.events == [hub.WithdrawalCancelled(channelId=paid.id)]
    assert (paid.withdrawable_after, paid.state) == (0, (100, 0))
    mine_at(after + 1)
    with reverts(hub.NoWithdrawal, channelId=paid.id):
        paid.attempt("finishWithdrawal", sender=alice)
    # The next one takes its whole time.
    paid.start_withdrawal()
    assert paid.withdrawable_after > after + DAY


def test_includes_what_is_deposited_meanwhile(paid, alice, mallory, at_time):
    paid.start_withdrawal()
    paid.deposit(mallory, 50)
    at_time(paid.withdrawable_after + 1)
    paid.finish_withdrawal()
    assert paid.owed(alice) == 150


def test_keeps_the_number_of_closings(paid, alice, bob, at_time):
    paid.close(bob, 0)
    paid.deposit(alice, 10)
    paid.start_withdrawal()
    assert paid.closings == 1
    at_time(paid.withdrawable_after + 1)
    paid.finish_withdrawal()
    assert (paid.closings, paid.withdrawable_after) == (1, 0)
