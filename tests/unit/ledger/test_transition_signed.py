"""Signed operations (docs/protocol.md §4, kinds 3 to 6): effects, and the exact reason of every refusal."""

from dataclasses import replace

import pytest

from layer2.crypto.babyjub import B8, IDENTITY
from layer2.crypto.eddsa import Point, Signature
from layer2.crypto.field import L, R
from layer2.ledger.amounts import encode_fee8
from layer2.ledger.constants import MAX_NONCE
from layer2.ledger.errors import InvalidStepError, LedgerError, OperationError
from layer2.ledger.operations import NO_KEY, Operation, SignedOperation
from layer2.ledger.transition import Context, Failure, apply
from tests.unit.ledger.world import (
    ALICE,
    ALICE_ETH,
    BOB,
    BOB_ETH,
    BOB_USDC,
    CAROL,
    CAROL_ETH,
    CONTEXT,
    DOMAIN,
    ETH,
    FULL,
    KEYS,
    NEW_KEY,
    NOW,
    OFF_CURVE,
    STATE,
    USDC,
    account,
    edit,
    sign,
    step,
    transfer,
)

CAROLS = KEYS[2].public_key


def refused(state, item, failure, reason):
    """Asserts that the item is refused for this reason and leaves no trace."""
    result = step(state, item)
    assert (result.valid, result.failure) == (False, failure)
    assert reason in result.reason
    assert result.state_after is state
    assert result.operation == item.operation
    assert result.fee == 0
    with pytest.raises(InvalidStepError, match="has no witness"):
        _ = result.witness


# ---------------------------------------------------------------- transfer


def test_transfer():
    result = step(STATE, transfer(100, encode_fee8(20)))
    assert (result.valid, result.reason, result.failure, result.fee) == (True, None, None, 20)
    after = result.state_after
    assert after.account(ALICE_ETH) == account(ALICE, 0, balance=880, nonce=1)
    assert after.account(BOB_ETH) == account(BOB, 1, balance=1100)
    assert after.account(BOB_USDC) == STATE.account(BOB_USDC)
    assert after.next_index == STATE.next_index
    assert result.operation == Operation.transfer(ALICE_ETH, BOB_ETH, ETH, 100, encode_fee8(20))


def test_transfer_of_everything_and_of_nothing():
    assert step(STATE, transfer(1000)).state_after.account(ALICE_ETH).balance == 0
    nothing = step(STATE, transfer(0)).state_after
    assert nothing.account(ALICE_ETH) == account(ALICE, 0, nonce=1)
    assert nothing.account(BOB_ETH) == STATE.account(BOB_ETH)


def test_attack_self_transfer():
    """Neither creates nor destroys value: fee and nonce change, nothing else."""
    result = step(STATE, transfer(300, encode_fee8(20), to=ALICE_ETH, owner=ALICE))
    assert result.valid
    assert result.state_after.account(ALICE_ETH) == account(ALICE, 0, balance=980, nonce=1)


def test_self_transfer_of_the_largest_balance_does_not_overflow():
    state = edit(STATE, ALICE_ETH, balance=2**128 - 1)
    result = step(state, transfer(2**128 - 1, to=ALICE_ETH, owner=ALICE))
    assert result.valid
    assert result.state_after.account(ALICE_ETH) == account(ALICE, 0, balance=2**128 - 1, nonce=1)


def test_self_transfer_beyond_the_balance():
    refused(
        STATE,
        transfer(1001, to=ALICE_ETH, owner=ALICE),
        Failure.INSUFFICIENT_BALANCE,
        "amount and fee are 1001, account 1 holds 1000",
    )


@pytest.mark.parametrize("index", [0, 5, 15, 16, 2**32 - 1])
def test_attack_unknown_account(index):
    operation = Operation.transfer(index, BOB_ETH, ETH, 1)
    refused(STATE, sign(operation, recipient_owner=BOB), Failure.UNKNOWN_ACCOUNT, f"there is no account {index};")


@pytest.mark.parametrize("index", [0, 5, 15, 16, 2**32 - 1])
def test_unknown_recipient(index):
    refused(STATE, transfer(to=index), Failure.UNKNOWN_RECIPIENT, f"there is no account {index} to pay")


def test_attack_token_mismatch_of_the_sender():
    operation = Operation.transfer(ALICE_ETH, BOB_USDC, USDC, 1)
    refused(STATE, sign(operation, recipient_owner=BOB), Failure.TOKEN_MISMATCH, "account 1 holds token 0, not 7")


def test_attack_token_mismatch_of_the_recipient():
    refused(STATE, transfer(to=BOB_USDC), Failure.RECIPIENT_TOKEN_MISMATCH, "account 3 holds token 7, not 0")


@pytest.mark.parametrize("nonce", [0, 1, 6, 8, 2**32 - 1])
def test_attack_wrong_nonce(nonce):
    state = edit(STATE, ALICE_ETH, nonce=7)
    refused(state, transfer(nonce=nonce), Failure.NONCE_MISMATCH, f"signed with nonce {nonce}, account 1 is at 7")
    assert step(state, transfer(nonce=7)).valid


def test_nonce_at_its_maximum():
    state = edit(STATE, ALICE_ETH, nonce=MAX_NONCE)
    refused(state, transfer(nonce=MAX_NONCE), Failure.NONCE_EXHAUSTED, "account 1 has used all its nonces")
    last = edit(STATE, ALICE_ETH, nonce=MAX_NONCE - 1)
    assert step(last, transfer(nonce=MAX_NONCE - 1)).state_after.account(ALICE_ETH).nonce == MAX_NONCE


@pytest.mark.parametrize(("expiry", "valid"), [(NOW - 1, False), (NOW, True), (NOW + 1, True), (2**40 - 1, True)])
def test_attack_expiry_edge(expiry, valid):
    item = transfer(expiry=expiry)
    if valid:
        assert step(STATE, item).valid
    else:
        refused(STATE, item, Failure.EXPIRED, f"expired at {expiry}, the batch has timestamp {NOW}")


def test_amount_and_fee_together_must_be_covered():
    assert step(STATE, transfer(980, encode_fee8(20))).valid
    refused(
        STATE,
        transfer(981, encode_fee8(20)),
        Failure.INSUFFICIENT_BALANCE,
        "amount and fee are 1001, account 1 holds 1000",
    )


@pytest.mark.parametrize(("amount", "fee"), [(2**128 - 1, 0), (2**128 - 1, 255), (0, 255)])
def test_attack_amount_and_fee_overflow(amount, fee):
    refused(STATE, transfer(amount, fee), Failure.INSUFFICIENT_BALANCE, "account 1 holds 1000")


def test_attack_recipient_balance_overflow():
    state = edit(edit(STATE, BOB_ETH, balance=2**128 - 100), ALICE_ETH, balance=2**127)
    assert step(state, transfer(99)).state_after.account(BOB_ETH).balance == 2**128 - 1
    refused(
        state, transfer(100), Failure.RECIPIENT_OVERFLOW, f"account 2 holds {2**128 - 100} and cannot take 100 more"
    )


def test_attack_recipient_index_repointed():
    """The index belongs to somebody else than the one the signature names."""
    refused(STATE, transfer(to=CAROL_ETH, owner=BOB), Failure.RECIPIENT_OWNER_MISMATCH, "account 4 belongs to 0x0")
    assert step(STATE, transfer(to=CAROL_ETH, owner=CAROL)).valid


def test_attack_recipient_index_repointed_to_another_key():
    """The index belongs to the owner that the signature names, but another key spends from it."""
    item = transfer(to=CAROL_ETH, owner=CAROL, recipient_key=NEW_KEY)
    refused(STATE, item, Failure.RECIPIENT_KEY_MISMATCH, "account 4 is controlled by key (")
    for key in (Point(NEW_KEY.x, CAROLS.y), Point(CAROLS.x, NEW_KEY.y), Point(R - CAROLS.x, CAROLS.y), NO_KEY):
        altered = transfer(to=CAROL_ETH, owner=CAROL, recipient_key=key)
        refused(STATE, altered, Failure.RECIPIENT_KEY_MISMATCH, f"the signature names ({key.x}, {key.y})")


def test_transfer_to_an_account_that_has_changed_its_key():
    state = edit(STATE, BOB_ETH, key=NEW_KEY)
    refused(state, transfer(), Failure.RECIPIENT_KEY_MISMATCH, "look the recipient up and sign again")
    assert step(state, transfer(recipient_key=NEW_KEY)).valid


def test_the_owner_is_looked_at_before_the_key():
    item = transfer(to=CAROL_ETH, owner=BOB)
    assert item.recipient_key != CAROLS
    refused(STATE, item, Failure.RECIPIENT_OWNER_MISMATCH, "account 4 belongs to 0x0")


def test_attack_recipient_owner_changed_after_signing():
    item = replace(transfer(to=CAROL_ETH, owner=BOB, recipient_key=CAROLS), recipient_owner=CAROL)
    refused(STATE, item, Failure.INVALID_SIGNATURE, "not signed by the key of account 1 for this rollup")


def test_attack_recipient_key_changed_after_signing():
    for key in (NEW_KEY, NO_KEY, Point(CAROLS.x, NEW_KEY.y), Point(NEW_KEY.x, CAROLS.y)):
        item = replace(transfer(to=CAROL_ETH, owner=CAROL, recipient_key=key), recipient_key=CAROLS)
        refused(STATE, item, Failure.INVALID_SIGNATURE, "not signed by the key of account 1 for this rollup")


@pytest.mark.parametrize("name", ["owner", "key_x", "key_y"])
def test_transfer_with_a_field_it_does_not_use(name):
    item = transfer()
    altered = replace(item, operation=replace(item.operation, **{name: 1}))
    refused(STATE, altered, Failure.UNUSED_FIELD, f"TRANSFER carries {name} = 1, a field it does not use")


@pytest.mark.parametrize(("name", "value"), [("amount", 101), ("fee", 1), ("to", CAROL_ETH), ("account", BOB_ETH)])
def test_attack_field_changed_after_signing(name, value):
    state = edit(STATE, CAROL_ETH, owner=BOB, key=KEYS[1].public_key)
    item = transfer()
    altered = replace(item, operation=replace(item.operation, **{name: value}))
    refused(state, altered, Failure.INVALID_SIGNATURE, "not signed by the key")


def test_attack_nonce_or_expiry_changed_after_signing():
    state = edit(STATE, ALICE_ETH, nonce=1)
    refused(state, replace(transfer(), nonce=1), Failure.INVALID_SIGNATURE, "not signed")
    refused(STATE, replace(transfer(), expiry=NOW + 1), Failure.INVALID_SIGNATURE, "not signed")


def test_attack_replay_on_another_rollup_or_chain():
    refused(STATE, transfer(signing_domain=DOMAIN + 1), Failure.INVALID_SIGNATURE, "for this rollup")


def test_attack_replay_of_the_same_transfer():
    item = transfer()
    first = step(STATE, item)
    refused(first.state_after, item, Failure.NONCE_MISMATCH, "signed with nonce 0, account 1 is at 1")


@pytest.mark.parametrize(
    "signature",
    [
        Signature(IDENTITY, 0),
        Signature(Point(0, 0), 0),
        Signature(B8, 1),
        Signature(Point(1, 1), 1),
        Signature(Point(B8.x + R, B8.y), 1),
        Signature(Point(-1, 2**300), -5),
    ],
)
def test_attack_signatures_out_of_thin_air(signature):
    refused(STATE, replace(transfer(), signature=signature), Failure.INVALID_SIGNATURE, "not signed")


def test_attack_s_plus_the_subgroup_order():
    item = transfer()
    malleated = Signature(item.signature.r8, item.signature.s + L)
    refused(STATE, replace(item, signature=malleated), Failure.INVALID_SIGNATURE, "not signed")


def test_signature_of_another_key():
    item = sign(transfer().operation, key=1, recipient_owner=BOB)
    refused(STATE, item, Failure.INVALID_SIGNATURE, "not signed by the key of account 1")


@pytest.mark.parametrize("key", [OFF_CURVE, Point(0, 0), IDENTITY, Point(0, R - 1)])
def test_account_whose_key_cannot_sign(key):
    """Off the curve or of small order: nobody signs, whatever they send."""
    state = edit(STATE, ALICE_ETH, key=key)
    for signature in (transfer().signature, Signature(B8, 1), Signature(IDENTITY, 0)):
        refused(state, replace(transfer(), signature=signature), Failure.INVALID_SIGNATURE, "not signed")


# ---------------------------------------------------------------- transfer to new


def to_new(amount=100, owner=CAROL, key=NEW_KEY, fee=0, account=ALICE_ETH, token=ETH):
    return sign(Operation.transfer_to_new(account, token, amount, owner, key, fee))


def test_transfer_to_new():
    result = step(STATE, to_new(100, fee=encode_fee8(20)))
    assert (result.valid, result.fee) == (True, 20)
    assert result.operation.to == 5
    assert result.state_after.next_index == 6
    assert result.state_after.account(ALICE_ETH) == account(ALICE, 0, balance=880, nonce=1)
    assert result.state_after.account(5) == account(CAROL, 7, balance=100)


def test_transfer_of_nothing_to_new():
    assert step(STATE, to_new(0)).state_after.account(5) == account(CAROL, 7, balance=0)


def test_the_new_index_is_no_choice():
    """A `to` in the operation given is an outcome: it is computed anew and not under the signature."""
    item = to_new()
    altered = replace(item, operation=replace(item.operation, to=1))
    assert step(STATE, altered).operation == step(STATE, item).operation


def test_transfer_to_new_into_a_full_tree():
    refused(FULL, to_new(), Failure.TREE_FULL, "all 16 indices are taken")


def test_transfer_to_new_into_the_last_index():
    almost = STATE
    while almost.next_index < 15:
        almost = almost.put(almost.next_index, account(CAROL, 2))
    result = step(almost, to_new())
    assert result.operation.to == 15
    assert result.state_after.is_full


def test_transfer_to_new_owner_zero():
    refused(STATE, to_new(owner=0), Failure.OWNER_ZERO, "the new account's owner is 0x0")


BAD_KEYS = [
    OFF_CURVE,
    Point(0, 0),
    Point(NEW_KEY.x + R, NEW_KEY.y),
    Point(NEW_KEY.x, NEW_KEY.y + R),
    Point(R, 1),
    Point(2**256 - 1, 2**256 - 1),
]


def with_key(item: SignedOperation, key: Point) -> SignedOperation:
    """The key put in afterwards: nobody can sign one that is not in the field."""
    return replace(item, operation=replace(item.operation, key_x=key.x, key_y=key.y))


@pytest.mark.parametrize("key", BAD_KEYS)
def test_attack_account_created_with_an_invalid_key(key):
    refused(STATE, with_key(to_new(), key), Failure.INVALID_KEY, f"({key.x}, {key.y}) is not a point of BabyJubJub")


def test_transfer_to_new_with_other_failures():
    refused(STATE, to_new(account=9), Failure.UNKNOWN_ACCOUNT, "there is no account 9")
    refused(STATE, to_new(token=USDC), Failure.TOKEN_MISMATCH, "holds token 0, not 7")
    refused(STATE, to_new(1001), Failure.INSUFFICIENT_BALANCE, "amount and fee are 1001")
    refused(STATE, with_key(to_new(), KEYS[3].public_key), Failure.INVALID_SIGNATURE, "not signed")
    item = to_new()
    altered = replace(item, operation=replace(item.operation, owner=BOB))
    refused(STATE, altered, Failure.INVALID_SIGNATURE, "not signed")


# ---------------------------------------------------------------- withdrawal


def withdrawal(amount=100, owner=ALICE, fee=0, token=ETH, account=ALICE_ETH):
    return sign(Operation.withdrawal(account, token, amount, owner, fee))


@pytest.mark.parametrize("amount", [0, 1, 100, 980])
def test_withdrawal(amount):
    result = step(STATE, withdrawal(amount, fee=encode_fee8(20)))
    assert (result.valid, result.fee) == (True, 20)
    assert result.state_after.account(ALICE_ETH) == account(ALICE, 0, balance=980 - amount, nonce=1)
    assert (result.operation.amount, result.operation.owner, result.operation.to) == (amount, ALICE, 0)


def test_withdrawal_amounts_are_exact():
    state = edit(STATE, ALICE_ETH, balance=2**127 + 1)
    assert step(state, withdrawal(2**127 + 1)).state_after.account(ALICE_ETH).balance == 0


def test_attack_withdrawal_to_another_owner():
    refused(STATE, withdrawal(owner=BOB), Failure.OWNER_MISMATCH, f"account 1 belongs to {ALICE:#042x}")
    item = withdrawal()
    altered = replace(item, operation=replace(item.operation, owner=BOB))
    refused(STATE, altered, Failure.OWNER_MISMATCH, f"not {BOB:#042x}")


@pytest.mark.parametrize("name", ["to", "key_x", "key_y"])
def test_withdrawal_with_a_field_it_does_not_use(name):
    item = withdrawal()
    altered = replace(item, operation=replace(item.operation, **{name: 1}))
    refused(STATE, altered, Failure.UNUSED_FIELD, f"WITHDRAWAL carries {name} = 1")


def test_withdrawal_with_other_failures():
    refused(STATE, withdrawal(account=0), Failure.UNKNOWN_ACCOUNT, "there is no account 0")
    refused(STATE, withdrawal(token=USDC), Failure.TOKEN_MISMATCH, "holds token 0, not 7")
    refused(STATE, withdrawal(1000, fee=1), Failure.INSUFFICIENT_BALANCE, "amount and fee are 1001")
    item = withdrawal()
    altered = replace(item, operation=replace(item.operation, amount=1))
    refused(STATE, altered, Failure.INVALID_SIGNATURE, "not signed")


# ---------------------------------------------------------------- key change


def key_change(key=NEW_KEY, fee=0, token=ETH, account=ALICE_ETH):
    return sign(Operation.key_change(account, token, key, fee))


def test_key_change():
    result = step(STATE, key_change(fee=encode_fee8(20)))
    assert (result.valid, result.fee) == (True, 20)
    assert result.state_after.account(ALICE_ETH) == account(ALICE, 7, balance=980, nonce=1)


def test_after_a_key_change_only_the_new_key_signs():
    state = step(STATE, key_change()).state_after
    refused(state, transfer(nonce=1), Failure.INVALID_SIGNATURE, "not signed")
    assert step(state, sign(transfer().operation, key=7, nonce=1, recipient_owner=BOB)).valid


@pytest.mark.parametrize("key", BAD_KEYS)
def test_key_change_to_an_invalid_key(key):
    refused(STATE, with_key(key_change(), key), Failure.INVALID_KEY, f"({key.x}, {key.y}) is not a point of BabyJubJub")


def test_key_change_to_a_key_of_small_order_is_allowed():
    """It is on the curve (§4); the account can then only be emptied from L1."""
    state = step(STATE, key_change(IDENTITY)).state_after
    assert state.account(ALICE_ETH).key == IDENTITY
    refused(state, transfer(nonce=1), Failure.INVALID_SIGNATURE, "not signed")


@pytest.mark.parametrize("name", ["to", "amount", "owner"])
def test_key_change_with_a_field_it_does_not_use(name):
    item = key_change()
    altered = replace(item, operation=replace(item.operation, **{name: 1}))
    refused(STATE, altered, Failure.UNUSED_FIELD, f"KEY_CHANGE carries {name} = 1")


def test_key_change_with_other_failures():
    refused(STATE, key_change(account=15), Failure.UNKNOWN_ACCOUNT, "there is no account 15")
    refused(STATE, key_change(token=USDC), Failure.TOKEN_MISMATCH, "holds token 0, not 7")
    poor = edit(STATE, ALICE_ETH, balance=0)
    refused(poor, key_change(fee=1), Failure.INSUFFICIENT_BALANCE, "amount and fee are 1, account 1 holds 0")
    refused(STATE, with_key(key_change(), KEYS[3].public_key), Failure.INVALID_SIGNATURE, "not signed")


# ---------------------------------------------------------------- what is no item, no context


def test_a_signed_kind_without_signature_is_no_item():
    with pytest.raises(OperationError, match="kind 3 needs a signature"):
        step(STATE, Operation.transfer(1, 2, 0, 1))


@pytest.mark.parametrize("item", [None, b"", 3, "transfer"])
def test_anything_else_is_no_item(item):
    with pytest.raises(OperationError, match="is neither an Operation nor a SignedOperation"):
        step(STATE, item)


@pytest.mark.parametrize(
    ("domain", "timestamp", "reason"),
    [
        (R, 0, "domain"),
        (-1, 0, "domain"),
        (None, 0, "domain"),
        (0, 2**40, "timestamp"),
        (0, -1, "timestamp"),
        (0, 1.5, "timestamp"),
    ],
)
def test_context_out_of_range(domain, timestamp, reason):
    with pytest.raises(LedgerError, match=f"^{reason} .* is not an integer in"):
        Context(domain, timestamp)


def test_apply_does_not_change_the_state_given():
    root = STATE.root
    apply(STATE, transfer(), CONTEXT)
    assert STATE.root == root
    assert STATE.account(ALICE_ETH) == account(ALICE, 0)
