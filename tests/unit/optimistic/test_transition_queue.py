"""Queue entries (docs/optimistic.md §2): deposits and forced withdrawals, which always have a defined outcome."""

from dataclasses import replace

import pytest

from layer2.ledger.operations import NO_KEY
from layer2.ledger.operations import Operation as Slot
from layer2.optimistic.errors import QueueError
from layer2.optimistic.operations import QueueEntry
from layer2.optimistic.records import Account, Pool, Position, Withdrawal
from layer2.optimistic.transition import execute_chunk
from layer2.optimistic.witness import make_witness
from tests.unit.optimistic.world import (
    ALICE,
    ALICE_ETH,
    ALICE_NFT,
    ALICE_POSITION,
    ALICE_USDC,
    BOB,
    BOB_ETH,
    BOB_POSITION,
    CAPACITY,
    CAROL,
    CAROL_ETH,
    CONTEXT,
    DAVE,
    ETH,
    GOLD,
    LIMIT,
    NEXT,
    POOL,
    STATE,
    UNUSED,
    USDC,
    changes,
    deposit,
    edit,
    forced,
    run,
    with_room,
)

TAKE = b"\x01"
ALL_TAKEN = 2**32


def take(*entries, state=STATE):
    """Takes these entries. Returns the state after, the last outcome and the leaves read."""
    context = replace(CONTEXT, queue_end=state.queue_cursor + len(entries))
    after, outcomes, reads = run(TAKE * len(entries), state, context, entries)
    assert after.queue_cursor == state.queue_cursor + len(entries)
    assert after.fees == state.fees
    assert all(outcome.is_valid for outcome in outcomes)
    assert [outcome.entry for outcome in outcomes] == list(range(state.queue_cursor, after.queue_cursor))
    return after, outcomes[-1], reads


def nothing_but_the_cursor(entry, reads, state=STATE):
    after, outcome, seen = take(entry, state=state)
    assert after == replace(state, queue_cursor=state.queue_cursor + 1)
    assert (outcome.created, outcome.withdrawals) == ((), ())
    assert seen == reads


def test_entries_are_the_slots_of_both_rollups():
    assert deposit(BOB, USDC, 7, 3) == Slot.deposit(USDC, 7, BOB, NO_KEY, 3).to_slot()
    assert forced(BOB, 3) == Slot.forced_withdrawal(3, BOB).to_slot()


# -------------------------------------------------------------------- the cursor


def test_no_entry_beyond_the_batchs_end():
    """The batch ends where its header says, whatever waits in the queue."""
    after, outcomes, reads = run(TAKE, STATE, CONTEXT, [deposit(DAVE, ETH, 5)])
    assert (after, reads) == (STATE, [])
    assert (outcomes[0].is_valid, outcomes[0].entry) == (True, None)


def test_a_chunk_takes_the_entries_up_to_the_end_only():
    state = replace(STATE, queue_cursor=7)
    entries = [deposit(DAVE, ETH, 5), deposit(DAVE, ETH, 6), deposit(DAVE, ETH, 7)]
    after, outcomes, _ = run(TAKE * 3, state, replace(CONTEXT, queue_end=9), entries)
    assert [outcome.entry for outcome in outcomes] == [7, BOB_POSITION, None]
    assert after.queue_cursor == 9
    assert changes(state, after) == {NEXT: Account(DAVE, ETH, 0, 5), NEXT + 1: Account(DAVE, ETH, 0, 6)}


@pytest.mark.parametrize("execute", [execute_chunk, make_witness])
def test_missing_entries_are_the_callers_fault(execute):
    context = replace(CONTEXT, queue_end=2)
    with pytest.raises(QueueError, match=r"takes queue entry 1, entries from 0 on were given, 1 of them"):
        execute(STATE, context, TAKE * 2, [deposit(DAVE, ETH, 5)])


@pytest.mark.parametrize("entry", [b"", bytes(112), b"\x03" + bytes(111), deposit(DAVE, ETH, 5)[:-1]])
def test_what_is_no_entry_is_the_callers_fault(entry):
    with pytest.raises(QueueError, match="give the 112 bytes of the L1 queue"):
        execute_chunk(STATE, replace(CONTEXT, queue_end=1), QueueEntry().encode(), [entry])


# -------------------------------------------------------------------- deposit


def test_deposit_to_a_new_account():
    after, outcome, reads = take(deposit(DAVE, GOLD, 77))
    assert changes(STATE, after) == {NEXT: Account(DAVE, GOLD, 0, 77)}
    assert (after.next_index, outcome.created, reads) == (NEXT + 1, (NEXT,), [NEXT])


def test_deposit_to_an_account():
    after, outcome, reads = take(deposit(BOB, ETH, 77, BOB_ETH))
    assert changes(STATE, after) == {BOB_ETH: Account(BOB, ETH, 5, 1_077)}
    assert (after.next_index, outcome.created, reads) == (NEXT, (), [BOB_ETH])


@pytest.mark.parametrize(
    ("account", "reads"),
    [
        (ALICE_ETH, [ALICE_ETH, NEXT]),  # another owner
        (BOB_ETH, [BOB_ETH, NEXT]),  # another token
        (POOL, [POOL, NEXT]),
        (UNUSED, [UNUSED, NEXT]),
        (NEXT, [NEXT, NEXT]),
        (CAPACITY, [NEXT]),
        (2**32 - 1, [NEXT]),
    ],
)
def test_deposit_to_what_is_not_the_owners_opens_a_new_account(account, reads):
    after, outcome, seen = take(deposit(BOB, GOLD, 77, account))
    assert changes(STATE, after) == {NEXT: Account(BOB, GOLD, 0, 77)}
    assert (outcome.created, seen) == ((NEXT,), reads)


def test_deposit_that_would_overflow_opens_a_new_account():
    state = edit(STATE, BOB_ETH, balance=LIMIT - 77)
    assert take(deposit(BOB, ETH, 77, BOB_ETH), state=state)[2] == [BOB_ETH, NEXT]
    after, _, _ = take(deposit(BOB, ETH, 76, BOB_ETH), state=state)
    assert after.record(BOB_ETH).balance == LIMIT - 1


def test_deposit_takes_the_last_index():
    after, outcome, _ = take(deposit(DAVE, GOLD, 77), state=with_room(1))
    assert (after.next_index, outcome.created) == (CAPACITY, (CAPACITY - 1,))


def test_deposit_without_room_goes_back():
    after, outcome, reads = take(deposit(DAVE, GOLD, 77), state=with_room(0))
    assert (after.state_root, reads) == (STATE.state_root, [])
    assert after.withdrawal(0) == Withdrawal(DAVE, GOLD, 77)
    assert (outcome.created, outcome.withdrawals) == ((), (0,))


def test_deposit_to_an_account_needs_no_room():
    after, _, _ = take(deposit(BOB, ETH, 77, BOB_ETH), state=with_room(0))
    assert after.record(BOB_ETH).balance == 1_077
    assert after.withdrawal_count == 0


def test_deposit_of_nothing_without_room():
    nothing_but_the_cursor(deposit(DAVE, GOLD, 0), [], with_room(0))


def test_deposit_without_room_for_accounts_or_withdrawals():
    nothing_but_the_cursor(deposit(DAVE, GOLD, 77), [], replace(with_room(0), withdrawal_count=ALL_TAKEN))


# -------------------------------------------------------------------- forced withdrawal of an account


def test_forced_withdrawal():
    """The nonce stays: what was signed before stays valid or invalid."""
    after, outcome, reads = take(forced(BOB, BOB_ETH))
    assert changes(STATE, after) == {BOB_ETH: Account(BOB, ETH, 5, 0)}
    assert after.withdrawal(0) == Withdrawal(BOB, ETH, 1_000)
    assert (outcome.withdrawals, reads) == ((0,), [BOB_ETH])


def test_forced_withdrawal_of_an_empty_account():
    nothing_but_the_cursor(forced(CAROL, CAROL_ETH), [CAROL_ETH])


@pytest.mark.parametrize("index", [ALICE_ETH, ALICE_POSITION, ALICE_NFT, POOL, NEXT, UNUSED])
def test_forced_withdrawal_of_what_is_not_the_owners(index):
    nothing_but_the_cursor(forced(BOB, index), [index])


@pytest.mark.parametrize("index", [0, CAPACITY, CAPACITY + BOB_ETH])
def test_forced_withdrawal_outside_the_tree_reads_nothing(index):
    nothing_but_the_cursor(forced(BOB, index), [])


def test_forced_withdrawal_of_an_nft_does_nothing():
    nothing_but_the_cursor(forced(ALICE, ALICE_NFT), [ALICE_NFT])


def test_forced_withdrawal_with_the_withdrawal_tree_full():
    nothing_but_the_cursor(forced(BOB, BOB_ETH), [BOB_ETH], replace(STATE, withdrawal_count=ALL_TAKEN))


# -------------------------------------------------------------------- forced withdrawal of a position


def test_forced_withdrawal_of_a_position():
    """499000 of 2000000 shares: 249500 of 1000000 and 998000 of 4000000."""
    after, outcome, reads = take(forced(BOB, BOB_POSITION))
    assert changes(STATE, after) == {
        BOB_POSITION: Position(BOB, POOL, 0),
        POOL: Pool(ETH, USDC, 750_500, 3_002_000, 1_501_000),
    }
    assert [after.withdrawal(index) for index in (0, 1)] == [
        Withdrawal(BOB, ETH, 249_500),
        Withdrawal(BOB, USDC, 998_000),
    ]
    assert (outcome.withdrawals, reads) == ((0, 1), [BOB_POSITION, POOL])


def test_forced_withdrawal_of_a_position_rounds_down_and_leaves_out_nothing():
    state = edit(edit(STATE, POOL, reserve_a=4, reserve_b=4_000_001), BOB_POSITION, shares=499_999)
    after, outcome, _ = take(forced(BOB, BOB_POSITION), state=state)
    assert after.record(POOL) == Pool(ETH, USDC, 4, 4_000_001 - 999_998, 2_000_000 - 499_999)
    assert after.withdrawal(0) == Withdrawal(BOB, USDC, 999_998)
    assert outcome.withdrawals == (0,)


def test_forced_withdrawal_of_a_position_twice():
    after, _, _ = take(forced(BOB, BOB_POSITION))
    nothing_but_the_cursor(forced(BOB, BOB_POSITION), [BOB_POSITION], after)


def test_forced_withdrawal_of_a_position_of_no_pool():
    """Cannot come to be; it is defined all the same."""
    nothing_but_the_cursor(
        forced(BOB, BOB_POSITION), [BOB_POSITION, ALICE_USDC], edit(STATE, BOB_POSITION, pool=ALICE_USDC)
    )
    nothing_but_the_cursor(forced(BOB, BOB_POSITION), [BOB_POSITION, POOL], edit(STATE, POOL, shares=498_999))


def test_forced_withdrawal_of_a_position_with_one_withdrawal_left():
    """Both tokens or none."""
    state = replace(STATE, withdrawal_count=ALL_TAKEN - 1)
    nothing_but_the_cursor(forced(BOB, BOB_POSITION), [BOB_POSITION, POOL], state)
    paid, _, _ = take(forced(BOB, BOB_ETH), state=state)
    assert paid.withdrawal_count == ALL_TAKEN
