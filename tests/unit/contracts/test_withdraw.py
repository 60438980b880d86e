"""Custody.withdraw and withdrawFor: payouts are pulled, once."""

import pytest

from tests.support.reverts import reverts
from tests.unit.contracts.conftest import KEY

ZERO = "0x0000000000000000000000000000000000000000"


@pytest.fixture
def credited(custody, usdc, usdc_id, alice, bob):
    """Bob may claim 60 USDC and 7 wei; 40 USDC and 3 wei belong to others."""
    usdc.mint(alice, 100, sender=alice)
    usdc.approve(custody, 100, sender=alice)
    custody.deposit(usdc_id, 100, alice, 0, KEY, sender=alice)
    custody.deposit(0, 10, alice, 0, KEY, value=10, sender=alice)
    custody.credit(bob, usdc_id, 60, sender=alice)
    custody.credit(bob, 0, 7, sender=alice)
    return custody


def test_refuses_recipients_that_nobody_is(credited, bob, usdc_id):
    for to in (ZERO, credited.address):
        for token in (0, usdc_id):
            with reverts(credited.InvalidRecipient, to=to):
                credited.withdraw(token, to, sender=bob)
    # Not even a payout of its own: the harness credits what no batch can, since no deposit has such an owner.
    credited.credit(credited, usdc_id, 5, sender=bob)
    for owner in (ZERO, credited.address):
        with reverts(credited.InvalidRecipient, to=owner):
            credited.withdrawFor(owner, usdc_id, sender=bob)


def test_refuses_those_without_a_payout(credited, alice, bob, mallory, usdc_id):
    for token in (0, usdc_id):
        with reverts(credited.NothingToWithdraw, owner=mallory, token=token):
            credited.withdraw(token, mallory, sender=mallory)
        with reverts(credited.NothingToWithdraw, owner=mallory, token=token):
            credited.withdrawFor(mallory, token, sender=bob)
    with reverts(credited.NothingToWithdraw, owner=bob, token=usdc_id + 1):
        credited.withdraw(usdc_id + 1, bob, sender=bob)


def test_attack_withdrawals_replay(credited, bob, usdc_id):
    for token in (0, usdc_id):
        credited.withdraw(token, bob, sender=bob)
        with reverts(credited.NothingToWithdraw, owner=bob, token=token):
            credited.withdraw(token, bob, sender=bob)
        with reverts(credited.NothingToWithdraw, owner=bob, token=token):
            credited.withdrawFor(bob, token, sender=bob)


def test_takes_no_value(credited, bob):
    with reverts():
        credited.withdraw(0, bob, value=1, sender=bob)
    with reverts():
        credited.withdrawFor(bob, 0, value=1, sender=bob)


def test_own_payout_to_any_address(credited, bob, mallory, usdc, usdc_id):
    receipt = credited.withdraw(usdc_id, mallory, sender=bob)
    assert receipt.events[0] == credited.PayoutClaimed(owner=bob, token=usdc_id, to=mallory, amount=60)
    assert usdc.balanceOf(mallory) == 60
    assert (credited.payouts(bob, usdc_id), credited.held(usdc_id), usdc.balanceOf(credited)) == (0, 40, 40)

    before = mallory.balance
    receipt = credited.withdraw(0, mallory, sender=bob)
    assert receipt.events == [credited.PayoutClaimed(owner=bob, token=0, to=mallory, amount=7)]
    assert mallory.balance == before + 7
    assert (credited.payouts(bob, 0), credited.held(0), credited.balance) == (0, 3, 3)


def test_on_behalf_goes_to_the_owner(credited, bob, mallory, usdc, usdc_id):
    receipt = credited.withdrawFor(bob, usdc_id, sender=mallory)
    assert receipt.events[0] == credited.PayoutClaimed(owner=bob, token=usdc_id, to=bob, amount=60)
    assert usdc.balanceOf(bob) == 60

    before = bob.balance
    receipt = credited.withdrawFor(bob, 0, sender=mallory)
    assert receipt.events == [credited.PayoutClaimed(owner=bob, token=0, to=bob, amount=7)]
    assert bob.balance == before + 7


def test_credits_add_up_and_zero_is_silent(credited, alice, bob, usdc_id):
    receipt = credited.credit(bob, usdc_id, 5, sender=alice)
    assert receipt.events == [credited.PayoutCredited(owner=bob, token=usdc_id, amount=5)]
    assert credited.payouts(bob, usdc_id) == 65
    assert credited.credit(bob, usdc_id, 0, sender=alice).events == []


def test_nobody_rules(project):
    """Money moves by these functions only, and none of them knows a privileged caller."""
    names = {method.name for method in project.ZKRollup.contract_type.mutable_methods}
    assert names == {
        "deposit",
        "depositWithPermit",
        "forceWithdraw",
        "withdraw",
        "withdrawFor",
        "submitBatch",
        "freeze",
        "escape",
        "refundDeposit",
    }
