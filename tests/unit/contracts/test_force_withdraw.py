"""Custody.forceWithdraw: an operation of an account's owner that no operator can leave out."""

from eth_utils import keccak

from tests.support.batches import slot
from tests.support.reverts import call, reverts
from tests.unit.contracts.conftest import widened


def test_refuses_accounts_outside_the_tree(custody, alice):
    for account in (0, 256, 2**32 - 1):
        with reverts(custody.AccountOutOfRange, account=account, capacity=256):
            custody.forceWithdraw(account, sender=alice)


def test_queues_the_callers_wish(custody, chain, alice):
    receipt = custody.forceWithdraw(255, sender=alice)

    expected = custody.OperationQueued(index=0, kind=2, account=255, token=0, amount=0, owner=alice, key=(0, 0))
    assert receipt.events == [expected]
    entry = custody.queueEntries(0)
    assert entry.chain == keccak(bytes(32) + slot(2, account=255, owner=alice.address))
    assert entry.arrival == chain.blocks[receipt.block_number].timestamp
    assert custody.queueTail() == 1


def test_takes_no_value(custody, alice):
    with reverts():
        custody.forceWithdraw(1, value=1, sender=alice)


def test_attack_account_wider_than_its_place(custody, alice):
    good = bytes(custody.forceWithdraw.encode_input(1))
    call(custody, good, alice)
    for bit in (32, 255):
        with reverts():
            call(custody, widened(good, 0, bit), alice)
