"""Transfers, transfers to new accounts and withdrawals (docs/optimistic.md §2): every step, and every step failing."""

from dataclasses import replace

import pytest

from layer2.optimistic.operations import Nothing, Transfer, TransferToNew, Withdraw
from layer2.optimistic.records import Account, Withdrawal, leaf
from layer2.optimistic.transition import Failure
from layer2.optimistic.tree import root_of_path
from tests.unit.optimistic.world import (
    ALICE,
    ALICE_ETH,
    ALICE_ETH_2,
    ALICE_NFT,
    ALICE_POSITION,
    ALICE_USDC,
    BOB,
    BOB_ETH,
    BOB_USDC,
    CAPACITY,
    CAROL,
    CAROL_ETH,
    CONTEXT,
    DAVE,
    ETH,
    GOLD,
    LIMIT,
    MAX_NONCE,
    NEXT,
    NOW,
    OTHER_FEES,
    POOL,
    STATE,
    UNUSED,
    USDC,
    changes,
    edit,
    fails,
    run,
    sign,
    succeeds,
    with_room,
)

TRANSFER = Transfer(ALICE_ETH, BOB_ETH, 100, 10, NOW)
TO_NEW = TransferToNew(ALICE_ETH, DAVE, 100, 10, NOW)
WITHDRAW = Withdraw(ALICE_ETH, 100, 10, NOW)
ALL = [TRANSFER, TO_NEW, WITHDRAW]


# -------------------------------------------------------------------- what spend refuses, for all three


@pytest.mark.parametrize("op", ALL)
def test_expired(op):
    fails(replace(op, expiry=NOW - 1), Failure.EXPIRED, [])


@pytest.mark.parametrize("op", ALL)
@pytest.mark.parametrize("expiry", [NOW, NOW + 1, 2**32 - 1])
def test_in_time(op, expiry):
    after, _ = succeeds(replace(op, expiry=expiry), reads_of(op))
    assert after != STATE


@pytest.mark.parametrize("op", ALL)
@pytest.mark.parametrize("account", [0, CAPACITY, CAPACITY + ALICE_ETH, 2**32 - 1])
def test_an_index_outside_the_tree_is_not_read(op, account):
    fails(replace(op, account=account), Failure.WRONG_RECORD, [])


@pytest.mark.parametrize("op", ALL)
@pytest.mark.parametrize("account", [POOL, ALICE_POSITION, ALICE_NFT, NEXT, UNUSED])
def test_the_spender_is_no_account(op, account):
    fails(replace(op, account=account), Failure.WRONG_RECORD, [account])


@pytest.mark.parametrize("op", ALL)
def test_nonce_exhausted(op):
    fails(op, Failure.NONCE_EXHAUSTED, [ALICE_ETH], edit(STATE, ALICE_ETH, nonce=MAX_NONCE))


@pytest.mark.parametrize("op", ALL)
def test_last_nonce(op):
    after, _ = succeeds(op, reads_of(op), edit(STATE, ALICE_ETH, nonce=MAX_NONCE - 1))
    assert after.record(ALICE_ETH).nonce == MAX_NONCE


@pytest.mark.parametrize("op", ALL)
def test_amount_and_fee_exceed_the_balance_by_one(op):
    fails(op, Failure.INSUFFICIENT_BALANCE, [ALICE_ETH], edit(STATE, ALICE_ETH, balance=109))


@pytest.mark.parametrize("op", ALL)
def test_amount_and_fee_are_the_whole_balance(op):
    after, _ = succeeds(op, reads_of(op), edit(STATE, ALICE_ETH, balance=110))
    assert after.record(ALICE_ETH).balance == 0


@pytest.mark.parametrize("op", [TRANSFER, TO_NEW])
def test_an_amount_beyond_any_balance(op):
    """A float40 reaches 2¹³⁸."""
    fails(replace(op, amount=(2**35 - 1) * 10**31), Failure.INSUFFICIENT_BALANCE, [ALICE_ETH])


@pytest.mark.parametrize("op", ALL)
def test_no_room_for_the_fee(op):
    fails(op, Failure.FEES_FULL, [ALICE_ETH], replace(STATE, fees=OTHER_FEES))


@pytest.mark.parametrize("op", ALL)
def test_no_fee_needs_no_room(op):
    after, _ = succeeds(replace(op, fee=0), reads_of(op), replace(STATE, fees=OTHER_FEES))
    assert after.fees == OTHER_FEES


@pytest.mark.parametrize("op", ALL)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((0, 0, 0, 0), (10, 0, 0, 0)),
        ((5, 0, 0, 0), (15, 0, 0, 0)),
        ((USDC << 128 | 3, 0, 0, 0), (USDC << 128 | 3, 10, 0, 0)),
        ((USDC << 128 | 3, 7, 0, 0), (USDC << 128 | 3, 17, 0, 0)),
        ((*OTHER_FEES[:3], 0), (*OTHER_FEES[:3], 10)),
        ((*OTHER_FEES[:3], 1), (*OTHER_FEES[:3], 11)),
    ],
)
def test_fee_words_fill_from_the_first_on(op, before, after):
    assert succeeds(op, reads_of(op), replace(STATE, fees=before))[0].fees == after


def test_fee_in_another_token():
    state = replace(STATE, fees=(5, GOLD << 128 | 1, 0, 0))
    after, _ = succeeds(replace(TRANSFER, account=ALICE_USDC, to=BOB_USDC), [ALICE_USDC, BOB_USDC], state)
    assert after.fees == (5, GOLD << 128 | 1, USDC << 128 | 10, 0)


# -------------------------------------------------------------------- transfer


def test_transfer():
    after, outcome = succeeds(TRANSFER, [ALICE_ETH, BOB_ETH])
    assert changes(STATE, after) == {
        ALICE_ETH: Account(ALICE, ETH, 3, 1_000_000 - 110),
        BOB_ETH: Account(BOB, ETH, 5, 1_100),
    }
    assert after.fees == (10, 0, 0, 0)
    assert (after.next_index, after.queue_cursor, after.withdrawal_count) == (NEXT, 0, 0)
    assert (outcome.created, outcome.withdrawals, outcome.entry) == ((), (), None)


def test_transfer_of_nothing_is_valid():
    after, _ = succeeds(replace(TRANSFER, amount=0, fee=0), [ALICE_ETH, BOB_ETH])
    assert changes(STATE, after) == {ALICE_ETH: Account(ALICE, ETH, 3, 1_000_000)}


def test_self_transfer_costs_nonce_and_fee():
    """The recipient is read after the sender was put."""
    after, _ = succeeds(replace(TRANSFER, to=ALICE_ETH), [ALICE_ETH, ALICE_ETH])
    assert changes(STATE, after) == {ALICE_ETH: Account(ALICE, ETH, 3, 1_000_000 - 10)}


def test_self_transfer_of_everything():
    state = edit(STATE, ALICE_ETH, balance=LIMIT - 1)
    op = replace(TRANSFER, to=ALICE_ETH, amount=(LIMIT - 1) // 10**30 * 10**30)
    after, _ = succeeds(op, [ALICE_ETH, ALICE_ETH], state)
    assert after.record(ALICE_ETH).balance == LIMIT - 11


def test_self_transfer_beyond_the_balance():
    fails(replace(TRANSFER, to=ALICE_ETH, amount=10**6), Failure.INSUFFICIENT_BALANCE, [ALICE_ETH])


@pytest.mark.parametrize("to", [0, CAPACITY, CAPACITY + BOB_ETH])
def test_a_recipient_outside_the_tree_is_not_read(to):
    fails(replace(TRANSFER, to=to), Failure.WRONG_RECORD, [ALICE_ETH])


@pytest.mark.parametrize("to", [POOL, ALICE_POSITION, ALICE_NFT, NEXT, UNUSED])
def test_the_recipient_is_no_account(to):
    fails(replace(TRANSFER, to=to), Failure.WRONG_RECORD, [ALICE_ETH, to])


def test_the_recipient_holds_another_token():
    fails(replace(TRANSFER, to=BOB_USDC), Failure.WRONG_TOKEN, [ALICE_ETH, BOB_USDC])


def test_the_recipient_would_overflow():
    fails(TRANSFER, Failure.OVERFLOW, [ALICE_ETH, BOB_ETH], edit(STATE, BOB_ETH, balance=LIMIT - 100))


def test_the_recipient_is_full_afterwards():
    after, _ = succeeds(TRANSFER, [ALICE_ETH, BOB_ETH], edit(STATE, BOB_ETH, balance=LIMIT - 101))
    assert after.record(BOB_ETH).balance == LIMIT - 1


def test_a_failed_operation_leaves_no_trace_for_the_next():
    """Its puts and its place among the fees are undone: the same signature counts afterwards."""
    bad = replace(sign(TRANSFER), to=CAROL_ETH)
    after, outcomes, reads = run(bad.encode() + sign(TRANSFER).encode() + bad.encode())
    assert [outcome.failure for outcome in outcomes] == [Failure.INVALID_SIGNATURE, None, Failure.INVALID_SIGNATURE]
    assert reads == [ALICE_ETH, CAROL_ETH, ALICE_ETH, BOB_ETH, ALICE_ETH, CAROL_ETH]
    assert after == succeeds(TRANSFER, [ALICE_ETH, BOB_ETH])[0]


def test_operations_of_a_chunk_see_each_other():
    """Carol has nothing at first, and spends in the same chunk what she gets in it."""
    first = sign(replace(TRANSFER, to=CAROL_ETH))
    middle = run(first)[0]
    second = sign(Transfer(CAROL_ETH, BOB_ETH, 90, 10, NOW), middle)
    after, outcomes, _ = run(first.encode() + second.encode())
    assert [outcome.failure for outcome in outcomes] == [None, None]
    assert changes(STATE, after) == {
        ALICE_ETH: Account(ALICE, ETH, 3, 1_000_000 - 110),
        BOB_ETH: Account(BOB, ETH, 5, 1_090),
        CAROL_ETH: Account(CAROL, ETH, 1, 0),
    }
    assert after == run(second, middle)[0]
    assert after.fees == (20, 0, 0, 0)


def test_replay_is_invalid():
    op = sign(TRANSFER)
    after, _, _ = run(op)
    fails(op, Failure.INVALID_SIGNATURE, [ALICE_ETH, BOB_ETH], after, is_signed=True)


# -------------------------------------------------------------------- transfer to new


def test_transfer_to_new():
    after, outcome = succeeds(TO_NEW, [ALICE_ETH, NEXT])
    assert changes(STATE, after) == {
        ALICE_ETH: Account(ALICE, ETH, 3, 1_000_000 - 110),
        NEXT: Account(DAVE, ETH, 0, 100),
    }
    assert after.next_index == NEXT + 1
    assert after.fees == (10, 0, 0, 0)
    assert outcome.created == (NEXT,)


def test_transfer_to_nobody():
    fails(replace(TO_NEW, owner=0), Failure.MALFORMED, [])


def test_transfer_to_new_without_room():
    fails(TO_NEW, Failure.TREE_FULL, [], with_room(0))


def test_transfer_to_new_takes_the_last_index():
    after, outcome = succeeds(TO_NEW, [ALICE_ETH, CAPACITY - 1], with_room(1))
    assert outcome.created == (CAPACITY - 1,)
    assert after.next_index == CAPACITY
    fails(TO_NEW, Failure.TREE_FULL, [], after)


def test_transfer_to_new_with_a_wrong_signature_opens_nothing():
    fails(replace(sign(TO_NEW), owner=CAROL), Failure.INVALID_SIGNATURE, [ALICE_ETH], is_signed=True)


# -------------------------------------------------------------------- withdrawal


def test_withdrawal():
    after, outcome = succeeds(WITHDRAW, [ALICE_ETH])
    assert changes(STATE, after) == {ALICE_ETH: Account(ALICE, ETH, 3, 1_000_000 - 110)}
    assert (after.withdrawal_count, after.next_index, after.fees) == (1, NEXT, (10, 0, 0, 0))
    assert outcome.withdrawals == (0,)
    paid = after.withdrawal(0)
    assert paid == Withdrawal(ALICE, ETH, 100)
    assert root_of_path(0, leaf(paid), after.withdrawal_path(0)) == after.withdrawal_root


def test_withdrawal_of_an_exact_amount():
    """128 bits, no float."""
    amount = LIMIT - 12
    after, _ = succeeds(replace(WITHDRAW, amount=amount), [ALICE_ETH], edit(STATE, ALICE_ETH, balance=LIMIT - 1))
    assert after.withdrawal(0) == Withdrawal(ALICE, ETH, amount)
    assert after.record(ALICE_ETH).balance == 1


def test_withdrawal_of_nothing_makes_no_leaf():
    after, outcome = succeeds(replace(WITHDRAW, amount=0), [ALICE_ETH])
    assert changes(STATE, after) == {ALICE_ETH: Account(ALICE, ETH, 3, 1_000_000 - 10)}
    assert (after.withdrawal_count, after.withdrawal_root, outcome.withdrawals) == (0, bytes(32), ())


def test_withdrawals_get_ids_in_order():
    first = sign(WITHDRAW)
    second = sign(replace(WITHDRAW, account=ALICE_ETH_2, amount=7))
    after, outcomes, _ = run(first.encode() + second.encode())
    assert [outcome.withdrawals for outcome in outcomes] == [(0,), (1,)]
    assert [after.withdrawal(index).amount for index in (0, 1)] == [100, 7]
    for index in (0, 1):
        found = root_of_path(index, leaf(after.withdrawal(index)), after.withdrawal_path(index))
        assert found == after.withdrawal_root


def test_the_last_withdrawal():
    state = replace(STATE, withdrawal_count=2**32 - 1)
    after, outcome = succeeds(WITHDRAW, [ALICE_ETH], state)
    assert outcome.withdrawals == (2**32 - 1,)
    fails(WITHDRAW, Failure.TREE_FULL, [ALICE_ETH], after)
    assert succeeds(replace(WITHDRAW, amount=0), [ALICE_ETH], after)[0].withdrawal_count == 2**32


def test_nothing():
    after, outcome = succeeds(Nothing(), [])
    assert after == STATE
    assert outcome.is_valid


# -------------------------------------------------------------------- a chunk as a whole


def test_the_chunk_ends_after_16_operations():
    after, outcomes, reads = run(bytes(16) + sign(TRANSFER).encode())
    assert len(outcomes) == 16
    assert (after, reads) == (STATE, [])
    assert run(bytes(15) + sign(TRANSFER).encode())[0] != STATE


def test_the_chunk_ends_at_an_unknown_kind():
    after, outcomes, _ = run(b"\x0c" + sign(TRANSFER).encode())
    assert (after, outcomes) == (STATE, [])


def test_the_chunk_ends_at_an_operation_that_is_cut_off():
    data = sign(TRANSFER).encode()
    assert run(data[:-1])[:2] == (STATE, [])
    assert run(b"\x00" + data[:-1])[0] == STATE


def test_an_empty_chunk_changes_nothing():
    assert run(b"") == (STATE, [], [])


def test_every_batch_has_its_own_time():
    context = replace(CONTEXT, executed_at=NOW + 1)
    fails(TRANSFER, Failure.EXPIRED, [], context=context)
    assert "sign with a later expiry" in fails(TRANSFER, Failure.EXPIRED, [], context=context).reason


def reads_of(op):
    return {Transfer: [ALICE_ETH, BOB_ETH], TransferToNew: [ALICE_ETH, NEXT], Withdraw: [ALICE_ETH]}[type(op)]
