"""What a step hands to the prover: every leaf, path and root of it, checked by hashing again."""

from dataclasses import replace

import pytest

from layer2.crypto.babyjub import IDENTITY
from layer2.ledger.account import Account
from layer2.ledger.amounts import encode_fee8
from layer2.ledger.errors import ReplayError
from layer2.ledger.operations import NO_KEY, NO_SIGNATURE, Operation
from layer2.ledger.transition import LeafUpdate, Step, replay
from layer2.ledger.tree import root_of_path
from tests.unit.ledger.world import (
    ALICE,
    ALICE_ETH,
    BOB,
    BOB_ETH,
    BOB_USDC,
    CAROL,
    ETH,
    FULL,
    KEYS,
    LEVELS,
    NEW_KEY,
    NOW,
    STATE,
    USDC,
    edit,
    sign,
    step,
    transfer,
)

FEE = encode_fee8(20)

SIGNED = {
    "transfer": transfer(100, FEE),
    "self-transfer": transfer(100, FEE, to=ALICE_ETH, owner=ALICE),
    "transfer of nothing": transfer(0),
    "transfer to new": sign(Operation.transfer_to_new(ALICE_ETH, ETH, 100, CAROL, NEW_KEY, FEE)),
    "withdrawal": sign(Operation.withdrawal(ALICE_ETH, ETH, 100, ALICE, FEE)),
    "key change": sign(Operation.key_change(ALICE_ETH, ETH, NEW_KEY, FEE)),
}
UNSIGNED = {
    "padding": Operation.padding(),
    "deposit to new": Operation.deposit(ETH, 100, CAROL, NEW_KEY),
    "deposit to existing": Operation.deposit(USDC, 100, BOB, KEYS[1].public_key, BOB_USDC),
    "deposit with another key": Operation.deposit(USDC, 100, BOB, NEW_KEY, BOB_USDC),
    "deposit that does not match": Operation.deposit(ETH, 100, BOB, KEYS[1].public_key, BOB_USDC),
    "deposit to an unused index": Operation.deposit(ETH, 100, BOB, NEW_KEY, 9),
    "deposit beyond the tree": Operation.deposit(ETH, 100, BOB, NEW_KEY, 16),
    "forced withdrawal": Operation.forced_withdrawal(BOB_USDC, BOB),
    "forced withdrawal by another": Operation.forced_withdrawal(BOB_USDC, CAROL),
    "forced withdrawal of nothing": Operation.forced_withdrawal(0, CAROL),
    "forced withdrawal beyond the tree": Operation.forced_withdrawal(2**32 - 1, CAROL),
}
ITEMS = {**SIGNED, **UNSIGNED}

# What the two leaves are: index of A, index of B (0 = not used).
LEAVES = {
    "transfer": (ALICE_ETH, BOB_ETH),
    "self-transfer": (ALICE_ETH, ALICE_ETH),
    "transfer of nothing": (ALICE_ETH, BOB_ETH),
    "transfer to new": (ALICE_ETH, 5),
    "withdrawal": (ALICE_ETH, 0),
    "key change": (ALICE_ETH, 0),
    "padding": (0, 0),
    "deposit to new": (0, 5),
    "deposit to existing": (BOB_USDC, 0),
    "deposit with another key": (BOB_USDC, 5),
    "deposit that does not match": (BOB_USDC, 5),
    "deposit to an unused index": (9, 5),
    "deposit beyond the tree": (0, 5),
    "forced withdrawal": (BOB_USDC, 0),
    "forced withdrawal by another": (BOB_USDC, 0),
    "forced withdrawal of nothing": (0, 0),
    "forced withdrawal beyond the tree": (0, 0),
}


def leaf(held: Account | None) -> int:
    return 0 if held is None else held.leaf()


def roots(update: LeafUpdate) -> tuple[int, int]:
    return (
        root_of_path(update.index, leaf(update.before), update.path),
        root_of_path(update.index, leaf(update.after), update.path),
    )


def check(result: Step, state=STATE) -> None:
    """The witness is a chain of two leaf updates from the root before to the root after."""
    witness = result.witness
    assert len(witness.account_a.path) == len(witness.account_b.path) == LEVELS
    assert roots(witness.account_a) == (witness.root_before, witness.middle_root)
    assert roots(witness.account_b) == (witness.middle_root, witness.root_after)
    assert (witness.root_before, witness.next_index_before) == (state.root, state.next_index)
    assert (witness.root_after, witness.next_index_after) == (result.state_after.root, result.state_after.next_index)


@pytest.mark.parametrize("name", ITEMS)
def test_leaves_and_paths(name):
    result = step(STATE, ITEMS[name])
    check(result)
    assert (result.witness.account_a.index, result.witness.account_b.index) == LEAVES[name]
    for update in (result.witness.account_a, result.witness.account_b):
        if update.index == 0:
            assert (update.before, update.after) == (None, None)


def test_the_second_leaf_of_a_self_transfer_starts_where_the_first_ended():
    witness = step(STATE, ITEMS["self-transfer"]).witness
    assert witness.account_b.before == witness.account_a.after
    assert witness.account_b.after == STATE.account(ALICE_ETH).__class__(ALICE, KEYS[0].public_key, ETH, 1, 980)


def test_deposit_into_a_full_tree_uses_no_second_leaf():
    result = step(FULL, Operation.deposit(ETH, 1, CAROL, NEW_KEY, 3))
    check(result, FULL)
    assert (result.witness.account_a.index, result.witness.account_b.index) == (3, 0)
    assert result.witness.account_b.after is None


@pytest.mark.parametrize("name", SIGNED)
def test_what_was_signed_stands_in_the_witness(name):
    item = SIGNED[name]
    witness = step(STATE, item).witness
    assert witness.signature == item.signature
    assert witness.signer == KEYS[0].public_key
    assert (witness.nonce, witness.expiry) == (0, NOW)
    recipient = (witness.recipient_owner, witness.recipient_key)
    assert recipient == (item.recipient_owner, item.recipient_key)
    paid = STATE.account(item.operation.to)
    assert recipient == ((0, NO_KEY) if paid is None else (paid.owner, paid.key))


@pytest.mark.parametrize("name", UNSIGNED)
def test_unsigned_operations_have_neutral_values(name):
    witness = step(STATE, UNSIGNED[name]).witness
    assert (witness.signature, witness.signer) == (NO_SIGNATURE, IDENTITY)
    assert (witness.nonce, witness.expiry, witness.recipient_owner, witness.recipient_key) == (0, 0, 0, NO_KEY)


# ---------------------------------------------------------------- replay of posted data (§8)


@pytest.mark.parametrize("name", ITEMS)
def test_replay_ends_in_the_same_state_without_signatures(name):
    result = step(STATE, ITEMS[name])
    replayed = replay(STATE, result.operation)
    assert replayed.operation == result.operation
    assert (replayed.state_after.root, replayed.state_after.next_index) == (
        result.state_after.root,
        result.state_after.next_index,
    )
    assert replayed.fee == result.fee
    check(replayed)


def test_replay_fills_in_the_senders_token():
    operation = replace(transfer(10).operation, account=BOB_USDC, to=BOB_USDC, token=0)
    with pytest.raises(ReplayError, match="holds token 7, not 0"):
        replay(STATE, operation)
    assert replay(STATE, operation, fill_token=True).operation.token == USDC


def test_replay_of_a_signed_operation_checks_neither_signature_nor_nonce_nor_expiry_nor_recipient():
    item = sign(transfer().operation, key=3, nonce=77, expiry=1, recipient_owner=CAROL)
    result = replay(STATE, item)
    assert result.valid
    assert (result.witness.signature, result.witness.nonce, result.witness.expiry) == (item.signature, 77, 1)


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        (Operation.transfer(9, 2, ETH, 1), "there is no account 9"),
        (Operation.transfer(1, 9, ETH, 1), "there is no account 9 to pay"),
        (Operation.transfer(1, 2, ETH, 1001), "amount and fee are 1001"),
        (Operation.transfer(1, 3, ETH, 1), "account 3 holds token 7"),
        (replace(Operation.transfer(1, 2, ETH, 1), owner=BOB), "TRANSFER carries owner"),
        (Operation.withdrawal(1, ETH, 1, BOB), "account 1 belongs to"),
        (Operation.transfer_to_new(1, ETH, 1, BOB, NEW_KEY), "has the outcome"),
        (replace(Operation.transfer_to_new(1, ETH, 1, BOB, NEW_KEY), to=6), "has the outcome"),
        (Operation.deposit(ETH, 1, CAROL, NEW_KEY), "has the outcome"),
        (replace(Operation.deposit(ETH, 1, CAROL, NEW_KEY), to=3), "has the outcome"),
        (replace(Operation.deposit(ETH, 1, CAROL, NEW_KEY), fee=1), "DEPOSIT carries fee"),
        (Operation.forced_withdrawal(1, ALICE), "has the outcome"),
        (replace(Operation.forced_withdrawal(1, ALICE), amount=999), "has the outcome"),
        (replace(Operation.padding(), amount=1), "PADDING carries amount"),
    ],
)
def test_replay_refuses_posted_data_that_cannot_have_been_proven(operation, reason):
    with pytest.raises(ReplayError, match=reason):
        replay(STATE, operation)


def test_replay_refuses_an_account_out_of_nonces():
    state = edit(STATE, ALICE_ETH, nonce=2**32 - 1)
    with pytest.raises(ReplayError, match="has used all its nonces"):
        replay(state, transfer().operation)
