"""Custody.deposit: what is taken, what is credited, what joins the queue."""

import pytest
from eth_utils import keccak

from tests.support.batches import slot
from tests.support.reverts import call, reverts
from tests.support.toy_keys import R
from tests.unit.contracts.conftest import KEY, widened

ZERO = "0x0000000000000000000000000000000000000000"
MAX = 2**128 - 1


@pytest.fixture
def funded(usdc, usdc_id, custody, alice):
    """Alice has 1000 USDC, all of it approved."""
    usdc.mint(alice, 1000_000000, sender=alice)
    usdc.approve(custody, 2**256 - 1, sender=alice)
    return usdc


def test_refuses_an_owner_that_nobody_is(custody, alice):
    for owner in (ZERO, custody.address):
        with reverts(custody.InvalidOwner, owner=owner):
            custody.deposit(0, 1, owner, 0, KEY, value=1, sender=alice)


def test_refuses_accounts_outside_the_tree(custody, alice):
    for account in (256, 2**32 - 1):
        with reverts(custody.AccountOutOfRange, account=account, capacity=256):
            custody.deposit(0, 1, alice, account, KEY, value=1, sender=alice)


def test_takes_the_last_account_of_the_tree(custody, alice):
    custody.deposit(0, 1, alice, 255, KEY, value=1, sender=alice)
    assert custody.queueTail() == 1


@pytest.mark.parametrize(
    "key",
    [
        (0, 0),
        (KEY[1], KEY[0]),
        (KEY[0], KEY[1] + 1),
        (KEY[0] + R, KEY[1]),
        (KEY[0], KEY[1] + R),
        (0, R + 1),
        (R, 1),
        (2**256 - 1, 2**256 - 1),
    ],
)
def test_refuses_keys_off_the_curve(custody, alice, key):
    with reverts(custody.InvalidKey, x=key[0], y=key[1]):
        custody.deposit(0, 1, alice, 0, key, value=1, sender=alice)


@pytest.mark.parametrize("sent", [0, 99, 101])
def test_attack_money_surplus_value_of_an_ether_deposit(custody, alice, sent):
    with reverts(custody.WrongValue, sent=sent, expected=100):
        custody.deposit(0, 100, alice, 0, KEY, value=sent, sender=alice)


def test_attack_money_value_with_a_token_deposit(custody, alice, funded, usdc_id):
    with reverts(custody.WrongValue, sent=1, expected=0):
        custody.deposit(usdc_id, 100, alice, 0, KEY, value=1, sender=alice)


def test_refuses_unknown_tokens(custody, registry, alice, usdc_id):
    with reverts(registry.UnknownToken, id=usdc_id + 1):
        custody.deposit(usdc_id + 1, 100, alice, 0, KEY, sender=alice)


def test_refuses_deposits_of_nothing(custody, alice, funded, usdc_id):
    for token in (0, usdc_id):
        with reverts(custody.EmptyDeposit, token=token):
            custody.deposit(token, 0, alice, 0, KEY, sender=alice)


def test_takes_no_more_than_allowance_and_balance(custody, usdc, usdc_id, funded, alice, bob):
    for sender in (alice, bob):
        with reverts(custody.TransferFromFailed):
            custody.deposit(usdc_id, 1000_000001, sender, 0, KEY, sender=sender)


@pytest.mark.parametrize(("word", "bits"), [(0, 16), (2, 160), (3, 32)], ids=["token", "owner", "account"])
def test_attack_fields_wider_than_their_place(custody, funded, usdc_id, alice, word, bits):
    """Whatever is above the field: the lowest bit too many, and the highest."""
    good = bytes(custody.deposit.encode_input(usdc_id, 5, alice, 7, KEY))
    call(custody, good, alice)
    for bit in (bits, 255):
        with reverts():
            call(custody, widened(good, word, bit), alice)


def test_ether(custody, chain, alice, bob):
    receipt = custody.deposit(0, 10**18, bob, 7, KEY, value=10**18, sender=alice)

    expected = custody.OperationQueued(index=0, kind=1, account=7, token=0, amount=10**18, owner=bob, key=KEY)
    assert receipt.events == [expected]
    assert custody.balance == 10**18
    assert custody.held(0) == 10**18
    assert custody.queueTail() == 1
    entry = custody.queueEntries(0)
    assert entry.chain == keccak(bytes(32) + slot(1, account=7, amount=10**18, owner=bob.address, key=KEY))
    assert entry.arrival == chain.blocks[receipt.block_number].timestamp
    assert custody.payouts(bob, 0) == 0


def test_tokens(custody, usdc, usdc_id, funded, alice):
    receipt = custody.deposit(usdc_id, 100_000000, alice, 0, KEY, sender=alice)

    assert receipt.events[-1] == custody.OperationQueued(
        index=0, kind=1, account=0, token=usdc_id, amount=100_000000, owner=alice, key=KEY
    )
    assert usdc.balanceOf(custody) == custody.held(usdc_id) == 100_000000
    assert usdc.balanceOf(alice) == 900_000000


def test_the_queue_is_a_hash_chain(custody, usdc_id, funded, alice, bob):
    custody.deposit(0, 5, bob, 0, KEY, value=5, sender=alice)
    custody.forceWithdraw(9, sender=bob)
    custody.deposit(usdc_id, 6, alice, 2, KEY, sender=alice)

    slots = [
        slot(1, amount=5, owner=bob.address, key=KEY),
        slot(2, account=9, owner=bob.address),
        slot(1, account=2, token=usdc_id, amount=6, owner=alice.address, key=KEY),
    ]
    chain = bytes(32)
    for index, entry in enumerate(slots):
        chain = keccak(chain + entry)
        assert custody.queueEntries(index).chain == chain
    assert custody.queueTail() == 3
    assert custody.queueEntries(3) == (bytes(32), 0)


def test_total_of_a_token_stays_below_two_to_the_128(custody, usdc, usdc_id, alice):
    usdc.mint(alice, 2**129, sender=alice)
    usdc.approve(custody, 2**256 - 1, sender=alice)
    with reverts(custody.TotalTooLarge, token=usdc_id, held=0, arrived=MAX + 1):
        custody.deposit(usdc_id, MAX + 1, alice, 0, KEY, sender=alice)
    custody.deposit(usdc_id, MAX - 1, alice, 0, KEY, sender=alice)
    with reverts(custody.TotalTooLarge, token=usdc_id, held=MAX - 1, arrived=2):
        custody.deposit(usdc_id, 2, alice, 0, KEY, sender=alice)
    custody.deposit(usdc_id, 1, alice, 0, KEY, sender=alice)
    assert custody.held(usdc_id) == MAX


def test_contracts_can_deposit(project, custody, alice):
    puppet = alice.deploy(project.Puppet)
    call = custody.deposit.encode_input(0, 3, alice.address, 0, KEY)
    puppet.execute(custody, 3, call, value=3, sender=alice)
    assert custody.held(0) == 3
