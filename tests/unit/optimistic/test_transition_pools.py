"""Swaps, pools and positions (docs/optimistic.md §2): every step, every step failing, and whom rounding favours."""

from dataclasses import replace
from math import isqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layer2.ledger.amounts import nearest_float40
from layer2.optimistic.operations import AddLiquidity, CreatePool, RemoveLiquidity, Swap
from layer2.optimistic.records import Account, Pool, Position
from layer2.optimistic.transition import Failure
from tests.unit.optimistic.world import (
    ALICE,
    ALICE_ETH,
    ALICE_ETH_2,
    ALICE_GOLD,
    ALICE_NFT,
    ALICE_POSITION,
    ALICE_USDC,
    BOB,
    BOB_ETH,
    BOB_POSITION,
    BOB_USDC,
    CAPACITY,
    ETH,
    GOLD_POOL,
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
    put,
    run,
    sign,
    succeeds,
    with_room,
)

SWAP = Swap(ALICE_ETH, ALICE_USDC, POOL, 10_000, 39_000, 10, NOW)
CREATE = CreatePool(ALICE_ETH, ALICE_USDC, 20_000, 80_000, 10, NOW)
ADD = AddLiquidity(ALICE_ETH, ALICE_USDC, POOL, ALICE_POSITION, 10_000, 0, 40_000, 10, NOW)
ADD_NEW = replace(ADD, position=0)
REMOVE = RemoveLiquidity(ALICE_POSITION, ALICE_ETH, ALICE_USDC, 500_000, 250_000, 1_000_000, 10, NOW)

SWAP_READS = [ALICE_ETH, POOL, ALICE_USDC]
CREATE_READS = [ALICE_ETH, ALICE_USDC, NEXT, NEXT + 1]
ADD_READS = [POOL, ALICE_ETH, ALICE_USDC, ALICE_POSITION]
ADD_NEW_READS = [POOL, ALICE_ETH, ALICE_USDC, NEXT]
REMOVE_READS = [ALICE_POSITION, POOL, ALICE_ETH, ALICE_USDC]

READS = {SWAP: SWAP_READS, CREATE: CREATE_READS, ADD: ADD_READS, ADD_NEW: ADD_NEW_READS, REMOVE: REMOVE_READS}
ALL = list(READS)


# -------------------------------------------------------------------- what they have in common


@pytest.mark.parametrize("op", ALL)
def test_expired(op):
    fails(replace(op, expiry=NOW - 1), Failure.EXPIRED, [])


@pytest.mark.parametrize("op", ALL)
@pytest.mark.parametrize("expiry", [NOW, NOW + 1])
def test_in_time(op, expiry):
    succeeds(replace(op, expiry=expiry), READS[op])


@pytest.mark.parametrize("op", ALL)
def test_the_nonce_that_grows_is_that_of_the_account_that_pays_the_fee(op):
    after, _ = succeeds(op, READS[op])
    assert after.record(ALICE_ETH).nonce == 3
    assert after.record(ALICE_USDC).nonce == 4
    assert after.fees == (10, 0, 0, 0)


@pytest.mark.parametrize("op", ALL)
def test_nonce_exhausted(op):
    state = edit(STATE, ALICE_ETH, nonce=MAX_NONCE)
    fails(op, Failure.NONCE_EXHAUSTED, READS[op][: READS[op].index(ALICE_ETH) + 1], state)


@pytest.mark.parametrize("op", ALL)
def test_last_nonce(op):
    after, _ = succeeds(op, READS[op], edit(STATE, ALICE_ETH, nonce=MAX_NONCE - 1))
    assert after.record(ALICE_ETH).nonce == MAX_NONCE


@pytest.mark.parametrize("op", ALL)
def test_no_room_for_the_fee(op):
    state = replace(STATE, fees=OTHER_FEES)
    fails(op, Failure.FEES_FULL, READS[op][: READS[op].index(ALICE_ETH) + 1], state)
    assert succeeds(replace(op, fee=0), READS[op], state)[0].fees == OTHER_FEES


@pytest.mark.parametrize("op", ALL)
def test_the_same_account_twice(op):
    name = "to" if op is SWAP else "account_b"
    fails(replace(op, **{name: ALICE_ETH}), Failure.MALFORMED, [])


# Fields of an operation that name a leaf, and what is read before that leaf.
LEAVES = [
    (SWAP, "account", []),
    (SWAP, "pool", [ALICE_ETH]),
    (SWAP, "to", [ALICE_ETH, POOL]),
    (CREATE, "account_a", []),
    (CREATE, "account_b", [ALICE_ETH]),
    (ADD, "pool", []),
    (ADD, "account_a", [POOL]),
    (ADD, "account_b", [POOL, ALICE_ETH]),
    (ADD, "position", [POOL, ALICE_ETH, ALICE_USDC]),
    (REMOVE, "position", []),
    (REMOVE, "account_a", [ALICE_POSITION, POOL]),
    (REMOVE, "account_b", [ALICE_POSITION, POOL, ALICE_ETH]),
]


@pytest.mark.parametrize(("op", "name", "reads"), LEAVES)
@pytest.mark.parametrize("index", [CAPACITY, CAPACITY + ALICE_ETH])
def test_an_index_outside_the_tree_is_not_read(op, name, reads, index):
    fails(replace(op, **{name: index}), Failure.WRONG_RECORD, reads)


# A position 0 to add to is a new one.
@pytest.mark.parametrize(("op", "name", "reads"), [case for case in LEAVES if case[:2] != (ADD, "position")])
def test_index_0_is_not_read(op, name, reads):
    fails(replace(op, **{name: 0}), Failure.WRONG_RECORD, reads)


@pytest.mark.parametrize(("op", "name", "reads"), LEAVES)
@pytest.mark.parametrize("index", [ALICE_NFT, NEXT, UNUSED])
def test_a_record_of_another_kind(op, name, reads, index):
    fails(replace(op, **{name: index}), Failure.WRONG_RECORD, [*reads, index])


# -------------------------------------------------------------------- swap


def test_swap():
    """10000·997·4000000 / (1000000·1000 + 10000·997) = 39486.3…"""
    after, outcome = succeeds(SWAP, SWAP_READS)
    out = 39_486
    assert changes(STATE, after) == {
        ALICE_ETH: Account(ALICE, ETH, 3, 1_000_000 - 10_010),
        ALICE_USDC: Account(ALICE, USDC, 4, 8_000_000 + out),
        POOL: Pool(ETH, USDC, 1_010_000, 4_000_000 - out, 2_000_000),
    }
    assert (outcome.created, outcome.withdrawals, after.next_index) == ((), (), NEXT)


def test_swap_the_other_way():
    """40000·997·1000000 / (4000000·1000 + 40000·997) = 9871.5…"""
    op = Swap(ALICE_USDC, ALICE_ETH, POOL, 40_000, 0, 10, NOW)
    after, _ = succeeds(op, [ALICE_USDC, POOL, ALICE_ETH])
    assert changes(STATE, after) == {
        ALICE_ETH: Account(ALICE, ETH, 2, 1_000_000 + 9_871),
        ALICE_USDC: Account(ALICE, USDC, 5, 8_000_000 - 40_010),
        POOL: Pool(ETH, USDC, 1_000_000 - 9_871, 4_040_000, 2_000_000),
    }
    assert after.fees == (USDC << 128 | 10, 0, 0, 0)


def test_swap_of_nothing():
    fails(replace(SWAP, amount=0, minimum=0), Failure.TOO_LITTLE, [])


def test_swap_beyond_the_balance():
    op = replace(SWAP, minimum=0)
    fails(op, Failure.INSUFFICIENT_BALANCE, [ALICE_ETH], edit(STATE, ALICE_ETH, balance=10_009))
    succeeds(op, SWAP_READS, edit(STATE, ALICE_ETH, balance=10_010))


def test_swap_in_an_account():
    fails(replace(SWAP, pool=ALICE_POSITION), Failure.WRONG_RECORD, [ALICE_ETH, ALICE_POSITION])


def test_swap_in_a_pool_without_the_token():
    fails(replace(SWAP, pool=GOLD_POOL), Failure.WRONG_POOL, [ALICE_ETH, GOLD_POOL])


def test_swap_that_gives_nothing():
    state = edit(STATE, POOL, reserve_a=10**12, reserve_b=1)
    fails(replace(SWAP, minimum=0), Failure.TOO_LITTLE, [ALICE_ETH, POOL], state)


def test_swap_for_the_minimum():
    succeeds(replace(SWAP, minimum=39_486), SWAP_READS)
    fails(replace(SWAP, minimum=39_487), Failure.PRICE_LIMIT, [ALICE_ETH, POOL])


def test_swap_into_a_full_reserve():
    op = replace(SWAP, minimum=0)
    state = edit(STATE, POOL, reserve_a=LIMIT - 10_000, reserve_b=LIMIT - 1)
    fails(op, Failure.OVERFLOW, [ALICE_ETH, POOL], state)
    after, _ = succeeds(op, SWAP_READS, edit(STATE, POOL, reserve_a=LIMIT - 10_001, reserve_b=LIMIT - 1))
    assert after.record(POOL).reserve_a == LIMIT - 1


def test_swap_with_a_product_beyond_256_bits():
    amount = (LIMIT - 1) // 10**30 * 10**30
    state = edit(STATE, ALICE_ETH, balance=LIMIT - 1)
    state = edit(edit(state, POOL, reserve_a=1, reserve_b=LIMIT - 1), ALICE_USDC, balance=0)
    after, _ = succeeds(replace(SWAP, amount=amount), SWAP_READS, state)
    out = amount * 997 * (LIMIT - 1) // (1000 + amount * 997)
    assert after.record(ALICE_USDC).balance == out < LIMIT - 1
    assert after.record(POOL).reserve_b == LIMIT - 1 - out


def test_swap_to_an_account_of_another_token():
    fails(replace(SWAP, to=ALICE_ETH_2), Failure.WRONG_TOKEN, [ALICE_ETH, POOL, ALICE_ETH_2])
    fails(replace(SWAP, to=ALICE_GOLD), Failure.WRONG_TOKEN, [ALICE_ETH, POOL, ALICE_GOLD])


def test_swap_to_somebody_else():
    fails(replace(SWAP, to=BOB_USDC), Failure.WRONG_OWNER, [ALICE_ETH, POOL, BOB_USDC])


def test_swap_to_an_account_that_would_overflow():
    state = edit(STATE, ALICE_USDC, balance=LIMIT - 39_486)
    fails(SWAP, Failure.OVERFLOW, SWAP_READS, state)
    succeeds(SWAP, SWAP_READS, edit(STATE, ALICE_USDC, balance=LIMIT - 39_487))


def test_swap_with_a_wrong_signature():
    fails(replace(sign(SWAP), minimum=38_000), Failure.INVALID_SIGNATURE, SWAP_READS, is_signed=True)


amounts = st.integers(1, 10**6)
reserves = st.integers(1, LIMIT - 1)


@given(amounts, reserves, reserves)
def test_k_never_decreases(amount, x, y):
    """The product of a pool's reserves never falls, whatever is swapped."""
    op = sign(Swap(ALICE_ETH, ALICE_USDC, POOL, amount, 0, 0, NOW))
    state = edit(edit(STATE, POOL, reserve_a=x, reserve_b=y), ALICE_USDC, balance=0)
    after, (outcome,), _ = run(op, state)
    pool = after.record(POOL)
    assert pool.reserve_a * pool.reserve_b >= x * y
    assert pool.reserve_b > 0
    assert outcome.is_valid == (pool != state.record(POOL))


@given(amounts, st.integers(1, 10**9), st.integers(1, 10**9))
def test_nobody_gains_by_swapping_to_and_fro(amount, x, y):
    state = edit(STATE, POOL, reserve_a=x, reserve_b=y)
    middle, (outcome,), _ = run(sign(Swap(ALICE_ETH, ALICE_USDC, POOL, amount, 0, 0, NOW), state), state)
    got = middle.record(ALICE_USDC).balance - state.record(ALICE_USDC).balance
    assert outcome.is_valid == (got > 0)
    after, _, _ = run(sign(Swap(ALICE_USDC, ALICE_ETH, POOL, got, 0, 0, NOW), middle), middle)
    assert after.record(ALICE_ETH).balance <= state.record(ALICE_ETH).balance


# -------------------------------------------------------------------- create pool


def test_create_pool():
    after, outcome = succeeds(CREATE, CREATE_READS)
    assert changes(STATE, after) == {
        ALICE_ETH: Account(ALICE, ETH, 3, 1_000_000 - 20_010),
        ALICE_USDC: Account(ALICE, USDC, 4, 8_000_000 - 80_000),
        NEXT: Pool(ETH, USDC, 20_000, 80_000, 40_000),
        NEXT + 1: Position(ALICE, NEXT, 39_000),
    }
    assert (outcome.created, after.next_index) == ((NEXT, NEXT + 1), NEXT + 2)


@pytest.mark.parametrize("name", ["amount_a", "amount_b"])
def test_create_pool_with_nothing(name):
    fails(replace(CREATE, **{name: 0}), Failure.TOO_LITTLE, [])


@pytest.mark.parametrize("room", [0, 1])
def test_create_pool_without_room_for_two(room):
    fails(CREATE, Failure.TREE_FULL, [], with_room(room))


def test_create_pool_takes_the_last_two_indices():
    after, outcome = succeeds(CREATE, [ALICE_ETH, ALICE_USDC, CAPACITY - 2, CAPACITY - 1], with_room(2))
    assert outcome.created == (CAPACITY - 2, CAPACITY - 1)
    assert after.record(CAPACITY - 1).pool == CAPACITY - 2


def test_create_pool_with_too_little_of_either_token():
    fails(CREATE, Failure.INSUFFICIENT_BALANCE, [ALICE_ETH], edit(STATE, ALICE_ETH, balance=20_009))
    succeeds(CREATE, CREATE_READS, edit(STATE, ALICE_ETH, balance=20_010))
    fails(CREATE, Failure.INSUFFICIENT_BALANCE, CREATE_READS[:2], edit(STATE, ALICE_USDC, balance=79_999))
    succeeds(CREATE, CREATE_READS, edit(STATE, ALICE_USDC, balance=80_000))


def test_create_pool_with_somebody_elses_account():
    fails(replace(CREATE, account_b=BOB_USDC, amount_b=1_500), Failure.WRONG_OWNER, [ALICE_ETH, BOB_USDC])


def test_create_pool_of_one_token():
    fails(replace(CREATE, account_b=ALICE_ETH_2, amount_b=400), Failure.WRONG_TOKEN, [ALICE_ETH, ALICE_ETH_2])


@pytest.mark.parametrize(("amounts", "is_enough"), [((1000, 1000), False), ((1001, 1001), True), ((1, 1002000), False)])
def test_create_pool_needs_more_than_the_locked_shares(amounts, is_enough):
    op = replace(CREATE, amount_a=amounts[0], amount_b=amounts[1])
    if is_enough:
        after, _ = succeeds(op, CREATE_READS)
        assert after.record(NEXT + 1).shares == 1
    else:
        fails(op, Failure.TOO_LITTLE, CREATE_READS[:2])


def test_create_pool_with_a_wrong_signature():
    fails(replace(sign(CREATE), amount_b=90_000), Failure.INVALID_SIGNATURE, CREATE_READS[:2], is_signed=True)


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_shares_are_the_root_rounded_down(a, b):
    after, (outcome,), _ = run(sign(replace(CREATE, amount_a=a, amount_b=b, fee=0)))
    shares = isqrt(a * b)
    assert shares**2 <= a * b < (shares + 1) ** 2
    assert outcome.is_valid == (shares > 1000)
    assert after.record(NEXT) == (Pool(ETH, USDC, a, b, shares) if shares > 1000 else None)


# -------------------------------------------------------------------- add liquidity


def test_add_liquidity():
    after, outcome = succeeds(ADD, ADD_READS)
    assert changes(STATE, after) == {
        ALICE_ETH: Account(ALICE, ETH, 3, 1_000_000 - 10_010),
        ALICE_USDC: Account(ALICE, USDC, 4, 8_000_000 - 40_000),
        POOL: Pool(ETH, USDC, 1_010_000, 4_040_000, 2_020_000),
        ALICE_POSITION: Position(ALICE, POOL, 1_520_000),
    }
    assert (outcome.created, after.next_index) == ((), NEXT)


def test_add_liquidity_with_a_new_position():
    after, outcome = succeeds(ADD_NEW, ADD_NEW_READS)
    assert after.record(NEXT) == Position(ALICE, POOL, 20_000)
    assert (outcome.created, after.next_index) == ((NEXT,), NEXT + 1)


def test_add_nothing():
    fails(replace(ADD, amount_a=0), Failure.TOO_LITTLE, [])


def test_a_new_position_needs_room():
    fails(ADD_NEW, Failure.TREE_FULL, [], with_room(0))
    succeeds(ADD, ADD_READS, with_room(0))
    succeeds(ADD_NEW, [POOL, ALICE_ETH, ALICE_USDC, CAPACITY - 1], with_room(1))


@pytest.mark.parametrize("name", ["reserve_a", "reserve_b", "shares"])
def test_add_to_an_empty_pool(name):
    """Cannot come to be; it is defined all the same."""
    fails(ADD, Failure.TOO_LITTLE, [POOL], edit(STATE, POOL, **{name: 0}))


def test_the_other_amount_rounds_up_and_shares_round_down():
    """10000·4000001/1000001 = 39999.97…, 10000·2000001/1000001 = 19999.99…"""
    state = edit(STATE, POOL, reserve_a=1_000_001, reserve_b=4_000_001, shares=2_000_001)
    after, _ = succeeds(replace(ADD, maximum_b=40_000), ADD_READS, state)
    assert after.record(POOL) == Pool(ETH, USDC, 1_010_001, 4_040_001, 2_020_000)
    assert after.record(ALICE_POSITION).shares == 1_500_000 + 19_999


def test_add_for_the_maximum():
    succeeds(replace(ADD, maximum_b=40_000), ADD_READS)
    fails(replace(ADD, maximum_b=39_999), Failure.PRICE_LIMIT, [POOL])


def test_add_for_the_minimum():
    succeeds(replace(ADD, minimum_b=40_000), ADD_READS)
    fails(replace(ADD, minimum_b=40_001, maximum_b=50_000), Failure.PRICE_LIMIT, [POOL])


def test_attack_sandwich_around_added_liquidity():
    """A swap before makes Alice add nearly one token only, and one after takes it from her; a minimum stops that."""
    add = replace(ADD, amount_a=100_000, minimum_b=390_000, maximum_b=410_000)
    succeeds(add, ADD_READS)

    rich = edit(edit(STATE, BOB_ETH, balance=10**8), BOB_USDC, balance=0)
    before, (bought,), _ = run(sign(Swap(BOB_ETH, BOB_USDC, POOL, 10**7, 0, 0, NOW), rich), rich)
    assert bought.is_valid
    fails(add, Failure.PRICE_LIMIT, [POOL], before)

    added, _ = succeeds(replace(add, minimum_b=0), ADD_READS, before)
    sell = Swap(BOB_USDC, BOB_ETH, POOL, nearest_float40(added.record(BOB_USDC).balance)[0], 0, 0, NOW)
    after, (sold,), _ = run(sign(sell, added), added)
    assert sold.is_valid
    assert after.record(BOB_ETH).balance > 10**8
    shares = after.record(ALICE_POSITION).shares - STATE.record(ALICE_POSITION).shares
    pool = after.record(POOL)
    assert shares * pool.reserve_a // pool.shares < 20_000


def test_add_too_little_for_a_share():
    fails(replace(ADD, amount_a=1), Failure.TOO_LITTLE, [POOL], edit(STATE, POOL, shares=999_999))


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({"reserve_a": LIMIT - 10_000, "reserve_b": LIMIT // 2, "shares": LIMIT // 2}, "reserve_a"),
        ({"reserve_a": 10**7, "reserve_b": LIMIT - 10**35 // 2}, "reserve_b"),
        ({"reserve_a": 10**7, "shares": LIMIT - 10**35 // 2}, "shares"),
    ],
)
def test_add_to_a_full_pool(fields, limit):
    op = replace(ADD, maximum_b=(2**35 - 1) * 10**31)
    assert "2^128 - 1" in fails(op, Failure.OVERFLOW, [POOL], edit(STATE, POOL, **fields)).reason


def test_add_up_to_the_limit():
    state = edit(STATE, POOL, reserve_a=LIMIT - 10_001, reserve_b=10**10, shares=LIMIT - 10_001)
    after, _ = succeeds(ADD, ADD_READS, state)
    assert after.record(POOL) == Pool(ETH, USDC, LIMIT - 1, 10**10 + 1, LIMIT - 1)


def test_add_with_too_little_of_either_token():
    fails(ADD, Failure.INSUFFICIENT_BALANCE, ADD_READS[:2], edit(STATE, ALICE_ETH, balance=10_009))
    succeeds(ADD, ADD_READS, edit(STATE, ALICE_ETH, balance=10_010))
    fails(ADD, Failure.INSUFFICIENT_BALANCE, ADD_READS[:3], edit(STATE, ALICE_USDC, balance=39_999))
    succeeds(ADD, ADD_READS, edit(STATE, ALICE_USDC, balance=40_000))


def test_add_an_amount_beyond_any_balance():
    op = replace(ADD, amount_a=(2**35 - 1) * 10**31)
    fails(op, Failure.PRICE_LIMIT, [POOL])


def test_add_tokens_in_the_wrong_order():
    op = replace(ADD, account_a=ALICE_USDC, account_b=ALICE_ETH)
    fails(op, Failure.WRONG_TOKEN, [POOL, ALICE_USDC])


def test_add_from_accounts_of_another_token():
    fails(replace(ADD, account_a=ALICE_GOLD, amount_a=1_000), Failure.WRONG_TOKEN, [POOL, ALICE_GOLD])
    state = edit(STATE, ALICE_ETH_2, balance=10**6)
    fails(replace(ADD, account_b=ALICE_ETH_2), Failure.WRONG_TOKEN, [POOL, ALICE_ETH, ALICE_ETH_2], state)


def test_add_from_somebody_elses_account():
    op = replace(ADD, amount_a=100, account_b=BOB_USDC)
    fails(op, Failure.WRONG_OWNER, [POOL, ALICE_ETH, BOB_USDC])


def test_add_to_somebody_elses_position():
    fails(replace(ADD, position=BOB_POSITION), Failure.WRONG_OWNER, [*ADD_READS[:3], BOB_POSITION])


def test_add_to_a_position_of_another_pool():
    state = edit(STATE, ALICE_POSITION, pool=GOLD_POOL)
    fails(ADD, Failure.WRONG_POOL, ADD_READS, state)


def test_add_with_a_wrong_signature():
    op = replace(sign(ADD), maximum_b=50_000)
    fails(op, Failure.INVALID_SIGNATURE, ADD_READS[:3], is_signed=True)


# -------------------------------------------------------------------- remove liquidity


def test_remove_liquidity():
    after, outcome = succeeds(REMOVE, REMOVE_READS)
    assert changes(STATE, after) == {
        ALICE_POSITION: Position(ALICE, POOL, 1_000_000),
        POOL: Pool(ETH, USDC, 750_000, 3_000_000, 1_500_000),
        ALICE_ETH: Account(ALICE, ETH, 3, 1_250_000 - 10),
        ALICE_USDC: Account(ALICE, USDC, 4, 9_000_000),
    }
    assert (outcome.created, outcome.withdrawals) == ((), ())


def test_remove_rounds_down():
    state = edit(STATE, POOL, reserve_a=999_999, reserve_b=3_999_999)
    after, _ = succeeds(replace(REMOVE, minimum_a=249_999, minimum_b=999_999), REMOVE_READS, state)
    assert after.record(POOL) == Pool(ETH, USDC, 750_000, 3_000_000, 1_500_000)


def test_remove_nothing():
    fails(replace(REMOVE, shares=0, minimum_a=0, minimum_b=0), Failure.TOO_LITTLE, [])


def test_remove_all_shares_but_no_more():
    op = replace(REMOVE, minimum_a=0, minimum_b=0)
    fails(replace(op, shares=1_500_001), Failure.INSUFFICIENT_BALANCE, [ALICE_POSITION])
    after, _ = succeeds(replace(op, shares=1_500_000), REMOVE_READS)
    assert after.record(ALICE_POSITION).shares == 0
    fails(replace(op, shares=1), Failure.INSUFFICIENT_BALANCE, [ALICE_POSITION], after)


def test_remove_from_what_is_no_position():
    fails(replace(REMOVE, position=POOL), Failure.WRONG_RECORD, [POOL])


def test_remove_from_a_position_of_what_is_no_pool():
    """Cannot come to be; it is defined all the same."""
    fails(REMOVE, Failure.WRONG_RECORD, [ALICE_POSITION, BOB_ETH], edit(STATE, ALICE_POSITION, pool=BOB_ETH))
    fails(REMOVE, Failure.WRONG_RECORD, [ALICE_POSITION], edit(STATE, ALICE_POSITION, pool=0))


def test_remove_more_than_the_pool_has():
    """Cannot come to be; it is defined all the same."""
    fails(REMOVE, Failure.TOO_LITTLE, [ALICE_POSITION, POOL], edit(STATE, POOL, shares=499_999))
    fails(REMOVE, Failure.TOO_LITTLE, [ALICE_POSITION, POOL], edit(STATE, POOL, shares=0))


@pytest.mark.parametrize("fields", [{"minimum_a": 250_001}, {"minimum_b": 1_000_001}])
def test_remove_for_less_than_the_minimum(fields):
    fails(replace(REMOVE, **fields), Failure.PRICE_LIMIT, [ALICE_POSITION, POOL])


def test_remove_into_somebody_elses_accounts():
    fails(replace(REMOVE, account_a=BOB_ETH), Failure.WRONG_OWNER, [ALICE_POSITION, POOL, BOB_ETH])
    fails(replace(REMOVE, account_b=BOB_USDC), Failure.WRONG_OWNER, [*REMOVE_READS[:3], BOB_USDC])


def test_remove_into_accounts_of_another_token():
    fails(replace(REMOVE, account_a=ALICE_GOLD), Failure.WRONG_TOKEN, [ALICE_POSITION, POOL, ALICE_GOLD])
    fails(replace(REMOVE, account_b=ALICE_GOLD), Failure.WRONG_TOKEN, [*REMOVE_READS[:3], ALICE_GOLD])


def test_remove_pays_the_fee_from_what_is_removed():
    op = replace(REMOVE, shares=8, minimum_a=4, minimum_b=16)
    state = edit(STATE, ALICE_ETH, balance=6)
    after, _ = succeeds(op, REMOVE_READS, state)
    assert after.record(ALICE_ETH).balance == 0
    fails(op, Failure.INSUFFICIENT_BALANCE, REMOVE_READS[:3], edit(STATE, ALICE_ETH, balance=5))


def test_remove_into_accounts_that_would_overflow():
    """That the fee would leave room again does not count."""
    fails(REMOVE, Failure.OVERFLOW, REMOVE_READS[:3], edit(STATE, ALICE_ETH, balance=LIMIT - 250_000))
    succeeds(REMOVE, REMOVE_READS, edit(STATE, ALICE_ETH, balance=LIMIT - 250_001))
    fails(REMOVE, Failure.OVERFLOW, REMOVE_READS, edit(STATE, ALICE_USDC, balance=LIMIT - 1_000_000))
    succeeds(REMOVE, REMOVE_READS, edit(STATE, ALICE_USDC, balance=LIMIT - 1_000_001))


def test_remove_with_a_wrong_signature():
    op = replace(sign(REMOVE), shares=500_001)
    fails(op, Failure.INVALID_SIGNATURE, REMOVE_READS, is_signed=True)


def test_the_locked_shares_keep_a_pool_alive():
    after, _ = succeeds(CREATE, CREATE_READS)
    op = RemoveLiquidity(NEXT + 1, ALICE_ETH, ALICE_USDC, 39_000, 0, 0, 0, NOW)
    emptied, _ = succeeds(op, [NEXT + 1, NEXT, ALICE_ETH, ALICE_USDC], after)
    assert emptied.record(NEXT) == Pool(ETH, USDC, 500, 2_000, 1_000)


@given(st.integers(1, 10**6), st.integers(1, 10**12), st.integers(1, 10**12), st.integers(1001, 10**12), st.booleans())
def test_nobody_gains_by_adding_and_removing(amount, x, y, shares, is_new):
    """Every rounding favours the pool: what comes out is never more than what went in."""
    state = put(STATE, POOL, Pool(ETH, USDC, x, y, shares))
    state = edit(edit(state, ALICE_USDC, balance=10**25), ALICE_POSITION, shares=min(shares - 1000, 5))
    add = replace(ADD_NEW if is_new else ADD, amount_a=amount, minimum_b=0, maximum_b=10**30, fee=0)
    middle, (outcome,), _ = run(sign(add, state), state)
    if not outcome.is_valid:
        assert amount * shares // x == 0
        assert outcome.failure is Failure.TOO_LITTLE
        return
    position = NEXT if is_new else ALICE_POSITION
    minted = middle.record(POOL).shares - shares
    remove = RemoveLiquidity(position, ALICE_ETH, ALICE_USDC, minted, 0, 0, 0, NOW)
    after, (outcome,), _ = run(sign(remove, middle), middle)
    assert outcome.is_valid
    assert after.record(ALICE_ETH).balance <= state.record(ALICE_ETH).balance
    assert after.record(ALICE_USDC).balance <= state.record(ALICE_USDC).balance
    pool = after.record(POOL)
    assert (pool.reserve_a >= x, pool.reserve_b >= y, pool.shares) == (True, True, shares)


def test_the_owner_of_a_position_may_be_somebody_else_than_the_first():
    op = RemoveLiquidity(BOB_POSITION, BOB_ETH, BOB_USDC, 1_000, 500, 2_000, 10, NOW)
    after, _ = succeeds(op, [BOB_POSITION, POOL, BOB_ETH, BOB_USDC])
    assert after.record(BOB_ETH) == Account(BOB, ETH, 6, 1_490)
