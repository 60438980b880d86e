"""Queue entries and padding (docs/protocol.md §4, kinds 0 to 2): always the defined outcome."""

from dataclasses import replace

import pytest

from layer2.crypto.eddsa import Point
from layer2.crypto.field import R
from layer2.ledger.constants import MAX_NONCE
from layer2.ledger.errors import OperationError
from layer2.ledger.operations import Operation
from tests.unit.ledger.world import (
    ALICE,
    ALICE_ETH,
    BOB,
    BOB_USDC,
    CAROL,
    ETH,
    FULL,
    KEYS,
    NEW_KEY,
    OFF_CURVE,
    STATE,
    USDC,
    account,
    edit,
    step,
)

BOBS = KEYS[1].public_key


def deposit(amount=100, owner=CAROL, token=ETH, wanted=0, key=NEW_KEY):
    return Operation.deposit(token, amount, owner, key, wanted)


def done(state, item):
    """The step, asserted to be valid and free of charge."""
    result = step(state, item)
    assert (result.valid, result.reason, result.failure, result.fee) == (True, None, None, 0)
    return result


# ---------------------------------------------------------------- padding


@pytest.mark.parametrize("state", [STATE, FULL])
def test_padding_changes_nothing(state):
    result = done(state, Operation.padding())
    assert result.state_after.root == state.root
    assert result.state_after.next_index == state.next_index
    assert result.operation == Operation.padding()


@pytest.mark.parametrize("name", ["account", "to", "token", "fee", "amount", "owner", "key_x", "key_y"])
def test_padding_is_all_zero(name):
    with pytest.raises(OperationError, match=f"PADDING carries {name} = 1, a field it does not use"):
        step(STATE, Operation(0, **{name: 1}))


# ---------------------------------------------------------------- deposit


def opens_a_new_account(state, item):
    result = done(state, item)
    assert result.operation == replace(item, to=state.next_index)
    assert result.state_after.next_index == state.next_index + 1
    new = result.state_after.account(state.next_index)
    assert (new.owner, new.key, new.token, new.nonce, new.balance) == (item.owner, item.key, item.token, 0, item.amount)
    assert all(result.state_after.account(index) == held for index, held in state.accounts())


def test_deposit_to_a_new_account():
    opens_a_new_account(STATE, deposit())


def test_deposit_to_an_existing_account():
    item = deposit(100, BOB, USDC, BOB_USDC, BOBS)
    result = done(STATE, item)
    assert result.operation == replace(item, to=BOB_USDC)
    assert result.state_after.account(BOB_USDC) == account(BOB, 1, USDC, 600)
    assert result.state_after.next_index == STATE.next_index


def test_deposit_of_nothing():
    opens_a_new_account(STATE, deposit(0))
    assert done(STATE, deposit(0, BOB, USDC, BOB_USDC, BOBS)).state_after.root == STATE.root


@pytest.mark.parametrize(
    ("owner", "token", "wanted"),
    [
        (CAROL, USDC, BOB_USDC),  # another owner
        (BOB, ETH, BOB_USDC),  # another token
        (BOB, USDC, 5),  # not opened yet
        (BOB, USDC, 15),
        (BOB, USDC, 16),  # beyond the tree
        (BOB, USDC, 2**32 - 1),
    ],
)
def test_attack_deposit_pointed_at_an_account_that_does_not_match(owner, token, wanted):
    """It is never lost and never goes to somebody else: it opens a new account."""
    opens_a_new_account(STATE, deposit(100, owner, token, wanted, BOBS))


@pytest.mark.parametrize(
    "key", [NEW_KEY, OFF_CURVE, Point(0, 0), Point(BOBS.x, 1), Point(0, BOBS.y), Point(R - BOBS.x, BOBS.y)]
)
def test_attack_deposit_pointed_at_an_account_with_another_key(key):
    """Owner and token are right, but somebody else spends from it: each coordinate alone makes the difference."""
    opens_a_new_account(STATE, deposit(100, BOB, USDC, BOB_USDC, key))
    opens_a_new_account(edit(STATE, BOB_USDC, key=key), deposit(100, BOB, USDC, BOB_USDC, BOBS))


@pytest.mark.parametrize("key", [NEW_KEY, OFF_CURVE])
def test_deposit_to_a_full_tree_does_not_enter_an_account_with_another_key(key):
    result = done(FULL, deposit(100, ALICE, ETH, 15, key))
    assert result.operation.to == 0
    assert result.state_after.root == FULL.root


def test_deposit_to_an_account_whose_key_cannot_sign():
    """Keys are compared, not judged: an unusable one matches itself."""
    state = edit(STATE, BOB_USDC, key=OFF_CURVE)
    assert done(state, deposit(100, BOB, USDC, BOB_USDC, OFF_CURVE)).state_after.account(BOB_USDC).balance == 600


@pytest.mark.parametrize("wanted", [0, 5, 16, 2**32 - 1, BOB_USDC])
def test_deposit_into_a_full_tree_is_refunded(wanted):
    item = deposit(100, CAROL, ETH, wanted)
    result = done(FULL, item)
    assert result.operation == item
    assert result.operation.to == 0
    assert result.state_after.root == FULL.root
    assert result.state_after.next_index == FULL.next_index


def test_deposit_to_an_existing_account_of_a_full_tree():
    result = done(FULL, deposit(100, ALICE, ETH, 15, KEYS[0].public_key))
    assert result.operation.to == 15
    assert result.state_after.account(15).balance == 1100


def test_deposit_into_the_last_index():
    state = STATE
    while not state.is_full:
        opens_a_new_account(state, deposit())
        state = done(state, deposit()).state_after
    assert done(state, deposit()).operation.to == 0


@pytest.mark.parametrize("key", [OFF_CURVE, Point(0, 0), Point(0, 1), Point(R - 1, R - 1)])
def test_attack_deposit_with_an_invalid_key_does_not_block_a_batch(key):
    opens_a_new_account(STATE, deposit(key=key))


def test_deposit_for_owner_zero_and_to_an_account_out_of_nonces():
    opens_a_new_account(STATE, deposit(owner=0))
    state = edit(STATE, BOB_USDC, nonce=MAX_NONCE)
    assert done(state, deposit(1, BOB, USDC, BOB_USDC, BOBS)).state_after.account(BOB_USDC).balance == 501


def test_outcomes_given_are_computed_anew():
    """Whatever stands in `to`: the outcome of a queue entry is nobody's choice."""
    assert done(STATE, replace(deposit(), to=3)).operation.to == 5
    assert done(FULL, replace(deposit(), to=3)).operation.to == 0


def test_deposit_up_to_the_largest_balance():
    state = edit(STATE, BOB_USDC, balance=2**128 - 2)
    assert done(state, deposit(1, BOB, USDC, BOB_USDC, BOBS)).state_after.account(BOB_USDC).balance == 2**128 - 1


def test_a_deposit_that_overflows_cannot_have_been_queued():
    state = edit(STATE, BOB_USDC, balance=2**128 - 1)
    with pytest.raises(OperationError, match=r"deposit of 1 to account 3 .* exceeds 2\^128 - 1"):
        step(state, deposit(1, BOB, USDC, BOB_USDC, BOBS))


@pytest.mark.parametrize(("name", "key"), [("key_x", Point(R, 1)), ("key_y", Point(1, 2**256 - 1))])
def test_a_deposit_whose_key_is_not_in_the_field_cannot_have_been_queued(name, key):
    with pytest.raises(OperationError, match=f"operation field {name} = .* is not below r"):
        step(STATE, deposit(key=key))


def test_a_deposit_has_no_fee():
    with pytest.raises(OperationError, match="DEPOSIT carries fee = 1"):
        step(STATE, replace(deposit(), fee=1))


# ---------------------------------------------------------------- forced withdrawal


def test_forced_withdrawal_takes_the_whole_balance():
    state = edit(STATE, BOB_USDC, nonce=9)
    result = done(state, Operation.forced_withdrawal(BOB_USDC, BOB))
    assert result.operation == replace(Operation.forced_withdrawal(BOB_USDC, BOB), token=USDC, amount=500)
    # Nonce and key stay.
    assert result.state_after.account(BOB_USDC) == account(BOB, 1, USDC, 0, nonce=9)


@pytest.mark.parametrize("key", [OFF_CURVE, Point(0, 1), KEYS[0].public_key])
def test_forced_withdrawal_needs_no_usable_key(key):
    state = edit(STATE, ALICE_ETH, key=key, nonce=MAX_NONCE)
    assert done(state, Operation.forced_withdrawal(ALICE_ETH, ALICE)).operation.amount == 1000


def test_attack_zero_amount_exit():
    """Forced from an empty account: token is told, nothing is paid, the root stays."""
    state = edit(STATE, BOB_USDC, balance=0)
    result = done(state, Operation.forced_withdrawal(BOB_USDC, BOB))
    assert (result.operation.token, result.operation.amount) == (USDC, 0)
    assert result.state_after.root == state.root


@pytest.mark.parametrize(
    ("index", "owner"), [(BOB_USDC, CAROL), (BOB_USDC, 0), (0, BOB), (0, 0), (5, BOB), (16, BOB), (2**32 - 1, BOB)]
)
def test_attack_forced_withdrawal_by_another_or_of_nothing(index, owner):
    item = Operation.forced_withdrawal(index, owner)
    result = done(STATE, item)
    assert result.operation == item
    assert result.state_after.root == STATE.root


def test_attack_forced_exit_above_the_balance():
    """Token and amount that stand in the entry are outcomes: they are computed, not believed."""
    item = replace(Operation.forced_withdrawal(BOB_USDC, BOB), token=ETH, amount=10**30)
    assert done(STATE, item).operation == replace(item, token=USDC, amount=500)


@pytest.mark.parametrize("name", ["to", "fee", "key_x", "key_y"])
def test_forced_withdrawal_with_a_field_it_does_not_use(name):
    with pytest.raises(OperationError, match=f"FORCED_WITHDRAWAL carries {name} = 1"):
        step(STATE, replace(Operation.forced_withdrawal(1, ALICE), **{name: 1}))
