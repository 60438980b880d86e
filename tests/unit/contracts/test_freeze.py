"""Freeze and refunds in the shared custody (docs/optimistic.md §6)."""

import pytest

from tests.support.reverts import call, reverts
from tests.unit.contracts.conftest import DAY, FREEZE_DEADLINE, KEY, QUOTA, widened

ROOT = bytes(range(32))
NOBODY = (0, 0)


@pytest.fixture
def frozen(custody, chain, alice, bob):
    """Custody that was frozen when two of five entries were consumed: alice deposited 0, 2, 4."""
    for amount in (10, None, 30, None, 50):
        if amount is None:
            custody.forceWithdraw(7, sender=bob)
        else:
            custody.deposit(0, amount, alice, amount, KEY, value=amount, sender=alice)
    custody.setCursor(2, sender=alice)
    chain.mine(timestamp=chain.pending_timestamp + FREEZE_DEADLINE + 1)
    custody.freeze(ROOT, 2, 0, sender=bob)
    return custody


# Settings


@pytest.mark.parametrize(("deadline", "error"), [(DAY - 1, "FreezeDeadlineTooShort"), (2**32, "TimeTooLong")])
def test_refuses_a_deadline_out_of_range(project, deployer, registry, deadline, error):
    values = {"freezeDeadline": deadline, "minimum": DAY} if deadline < DAY else {"time": deadline, "max": 2**32 - 1}
    with reverts(getattr(project.CustodyHarness, error), **values):
        deployer.deploy(project.CustodyHarness, registry, DAY, QUOTA, deadline)


@pytest.mark.parametrize("deadline", [DAY, 2**32 - 1])
def test_takes_a_deadline_in_range(project, deployer, registry, deadline):
    assert deployer.deploy(project.CustodyHarness, registry, DAY, QUOTA, deadline).freezeDeadline() == deadline


# When


@pytest.mark.parametrize("tip_is_later", [False, True])
@pytest.mark.parametrize(("seconds", "freezes"), [(-1, False), (0, False), (1, True)])
def test_attack_time_freeze_deadline(custody, chain, at_time, alice, mallory, tip_is_later, seconds, freezes):
    """Both the head and the tip must have waited; the later one decides."""
    custody.forceWithdraw(1, sender=alice)
    arrival = chain.blocks.head.timestamp
    tip = arrival + 1000 if tip_is_later else arrival - 1000
    until = max(arrival, tip) + FREEZE_DEADLINE
    at_time(until + seconds)
    if freezes:
        receipt = custody.freeze(ROOT, 0, tip, sender=mallory)
        assert receipt.events == [custody.Frozen(finalRoot=ROOT, finalCursor=0)]
    else:
        with reverts(custody.FreezeTooEarly, until=until):
            custody.freeze(ROOT, 0, tip, sender=mallory)
    assert custody.isFrozen() is freezes


def test_the_entry_at_the_cursor_decides_not_the_first_or_the_last(custody, chain, at_time, alice):
    start = chain.pending_timestamp + 100
    for i in range(3):
        at_time(start + 1000 * i)
        custody.forceWithdraw(1, sender=alice)
    custody.setCursor(1, sender=alice)
    until = start + 1000 + FREEZE_DEADLINE
    at_time(until)
    with reverts(custody.FreezeTooEarly, until=until):
        custody.freeze(ROOT, 0, 0, sender=alice)
    at_time(until + 1)
    custody.freeze(ROOT, 0, 0, sender=alice)


def test_an_empty_queue_cannot_freeze(custody, chain, alice):
    """A rollup with nothing to do is not one that does nothing."""
    for consumed in (0, 1):
        custody.setCursor(consumed, sender=alice)
        chain.mine(timestamp=chain.pending_timestamp + 10 * FREEZE_DEADLINE)
        with reverts(custody.FreezeTooEarly, until=2**256 - 1):
            custody.freeze(ROOT, 0, 0, sender=alice)
        custody.forceWithdraw(1, sender=alice)


def test_before_a_freeze(custody, alice):
    custody.deposit(0, 10, alice, 0, KEY, value=10, sender=alice)
    assert (custody.isFrozen(), custody.finalCursor(), bytes(custody.finalRoot())) == (False, 0, bytes(32))
    with reverts(custody.NotFrozen):
        custody.refundDeposit(0, 0, 0, 10, alice, KEY, sender=alice)
    with reverts(custody.NotFrozen):
        custody.markEscaped(1, sender=alice)


def test_a_freeze_is_for_ever(frozen, chain, alice):
    assert (frozen.isFrozen(), frozen.finalCursor(), bytes(frozen.finalRoot())) == (True, 2, ROOT)
    with reverts(frozen.RollupFrozen):
        frozen.freeze(bytes(32), 3, 0, sender=alice)


# What it stops, and what not


def test_a_freeze_stops_deposits_and_forced_withdrawals(frozen, alice, usdc, usdc_id):
    held = frozen.held(0)
    with reverts(frozen.RollupFrozen):
        frozen.deposit(0, 1, alice, 0, KEY, value=1, sender=alice)
    with reverts(frozen.RollupFrozen):
        frozen.depositWithPermit(usdc_id, 1, alice, 0, KEY, 0, 27, bytes(32), bytes(32), sender=alice)
    with reverts(frozen.RollupFrozen):
        frozen.forceWithdraw(1, sender=alice)
    assert (frozen.held(0), frozen.queueTail()) == (held, 5)


def test_payouts_stay_claimable(custody, chain, alice, bob):
    custody.deposit(0, 10, alice, 0, KEY, value=10, sender=alice)
    custody.forceWithdraw(1, sender=alice)
    custody.setCursor(1, sender=alice)
    custody.credit(bob, 0, 10, sender=alice)
    chain.mine(timestamp=chain.pending_timestamp + FREEZE_DEADLINE + 1)
    custody.freeze(ROOT, 1, 0, sender=bob)
    before = bob.balance
    custody.withdrawFor(bob, 0, sender=alice)
    assert bob.balance == before + 10
    assert custody.held(0) == 0


# Refunds


def test_a_deposit_that_was_not_consumed_is_refunded_to_its_owner(frozen, alice, mallory):
    receipt = frozen.refundDeposit(2, 30, 0, 30, alice, KEY, sender=mallory)
    assert receipt.events == [
        frozen.PayoutCredited(owner=alice, token=0, amount=30),
        frozen.DepositRefunded(index=2, owner=alice, token=0, amount=30),
    ]
    assert (frozen.payouts(alice, 0), frozen.payouts(mallory, 0)) == (30, 0)
    assert (frozen.isRefunded(2), frozen.isRefunded(4)) == (True, False)
    frozen.refundDeposit(4, 50, 0, 50, alice, KEY, sender=mallory)
    assert frozen.payouts(alice, 0) == 80
    frozen.withdraw(0, alice, sender=alice)
    # What is left is the consumed deposit, which the final state holds.
    assert frozen.held(0) == frozen.balance == 10


def test_attack_refund_twice(frozen, alice):
    frozen.refundDeposit(2, 30, 0, 30, alice, KEY, sender=alice)
    with reverts(frozen.DepositAlreadyRefunded, index=2):
        frozen.refundDeposit(2, 30, 0, 30, alice, KEY, sender=alice)
    assert frozen.payouts(alice, 0) == 30


def test_attack_refund_of_a_consumed_deposit(frozen, alice):
    with reverts(frozen.DepositConsumed, index=0, cursor=2):
        frozen.refundDeposit(0, 10, 0, 10, alice, KEY, sender=alice)


def test_attack_refund_of_a_forced_withdrawal(frozen, bob):
    with reverts(frozen.NotADeposit, index=3):
        frozen.refundDeposit(3, 7, 0, 0, bob, NOBODY, sender=bob)


@pytest.mark.parametrize(
    "changes",
    [
        {"index": 3},
        {"index": 4},
        {"index": 5},
        {"index": 2**64 - 1},
        {"account": 0},
        {"token": 1},
        {"amount": 31},
        {"amount": 2**128 - 1},
        {"owner": "0x00000000000000000000000000000000DeaDBeef"},
        {"key": (KEY[0], KEY[1] + 1)},
        {"key": (KEY[0] + 1, KEY[1])},
    ],
)
def test_attack_refund_of_a_forged_deposit(frozen, alice, changes):
    good = {"index": 2, "account": 30, "token": 0, "amount": 30, "owner": alice.address, "key": KEY}
    forged = good | changes
    with reverts(frozen.DepositMismatch, index=forged["index"]):
        frozen.refundDeposit(*forged.values(), sender=alice)
    frozen.refundDeposit(*good.values(), sender=alice)


@pytest.mark.parametrize(
    ("word", "bits"),
    [(0, 64), (1, 32), (2, 16), (3, 128), (4, 160)],
    ids=["index", "account", "token", "amount", "owner"],
)
def test_attack_refund_with_fields_wider_than_their_place(frozen, alice, word, bits):
    """Whatever is above the field: the lowest bit too many, and the highest."""
    good = bytes(frozen.refundDeposit.encode_input(2, 30, 0, 30, alice, KEY))
    call(frozen, good, alice)
    for bit in (bits, 255):
        with reverts():
            call(frozen, widened(good, word, bit), alice)


def test_a_refund_takes_no_value(frozen, alice):
    with reverts():
        frozen.refundDeposit(2, 30, 0, 30, alice, KEY, value=1, sender=alice)


# Escapes: once for each leaf


def test_a_leaf_escapes_once(frozen, alice):
    for index in (0, 255, 256, 2**32 - 1):
        assert not frozen.isEscaped(index)
        frozen.markEscaped(index, sender=alice)
        assert frozen.isEscaped(index)
        with reverts(frozen.AlreadyEscaped, index=index):
            frozen.markEscaped(index, sender=alice)
    assert not any(frozen.isEscaped(index) for index in (1, 254, 257, 2**32))
