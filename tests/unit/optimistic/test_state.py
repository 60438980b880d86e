"""The state as a whole: commitments, proofs, storing (docs/optimistic.md §1, §4)."""

from dataclasses import FrozenInstanceError, replace

import pytest
from eth_abi import encode as abi_encode
from eth_utils import keccak

from layer2.optimistic.errors import RecordError, StateError, TreeError
from layer2.optimistic.operations import Withdraw
from layer2.optimistic.records import Account, Withdrawal, leaf
from layer2.optimistic.state import RollupState
from layer2.optimistic.tree import root_of_path
from tests.unit.optimistic.world import (
    ALICE_ETH,
    ALICE_ETH_2,
    CAPACITY,
    NEXT,
    NOW,
    OTHER_FEES,
    STATE,
    UNUSED,
    run,
    sign,
)

USED = replace(
    run(sign(Withdraw(ALICE_ETH, 5, 10, NOW)).encode() + sign(Withdraw(ALICE_ETH_2, 6, 10, NOW)).encode())[0],
    queue_cursor=9,
)
"""A state with two withdrawals, fees and a cursor."""


def test_genesis():
    state = RollupState.genesis()
    assert (state.levels, state.state_root, state.withdrawal_root) == (24, bytes(32), bytes(32))
    assert (state.next_index, state.queue_cursor, state.withdrawal_count, state.fees) == (1, 0, 0, (0, 0, 0, 0))
    assert list(state.records()) == []


@pytest.mark.parametrize("levels", [0, 33])
def test_genesis_with_levels_out_of_range(levels):
    with pytest.raises(TreeError):
        RollupState.genesis(levels)


@pytest.mark.parametrize("state", [RollupState.genesis(5), STATE, USED, replace(USED, fees=OTHER_FEES)])
def test_commitment(state):
    """§4, by eth_abi."""
    encoded = abi_encode(
        ["bytes32", "bytes32", "uint64", "uint64", "uint64", "uint256", "uint256", "uint256", "uint256"],
        [
            state.state_root,
            state.withdrawal_root,
            state.next_index,
            state.queue_cursor,
            state.withdrawal_count,
            *state.fees,
        ],
    )
    assert state.commitment() == keccak(encoded)[1:]
    assert state.commitment() == state.commitment()


def test_everything_is_in_the_commitment():
    states = [
        USED,
        replace(USED, tree=STATE.tree),
        replace(USED, withdrawals=STATE.withdrawals),
        replace(USED, next_index=NEXT + 1),
        replace(USED, queue_cursor=10),
        replace(USED, withdrawal_count=3),
        *(replace(USED, fees=tuple(word + (i == place) for i, word in enumerate(USED.fees))) for place in range(4)),
    ]
    assert len({state.commitment() for state in states}) == 10
    assert all(state != USED for state in states[1:])


def test_a_state_does_not_change():
    with pytest.raises(FrozenInstanceError):
        STATE.next_index = 5
    before = STATE.commitment()
    run(sign(Withdraw(ALICE_ETH, 5, 10, NOW)))
    assert replace(STATE).commitment() == before


def test_records_and_their_proofs():
    found = dict(STATE.records())
    assert list(found) == list(range(1, NEXT))
    for index, record in found.items():
        assert STATE.record(index) == record
        assert root_of_path(index, leaf(record), STATE.path(index)) == STATE.state_root
    assert root_of_path(UNUSED, bytes(32), STATE.path(UNUSED)) == STATE.state_root


@pytest.mark.parametrize("index", [-1, 0, NEXT, UNUSED, CAPACITY, 2**40])
def test_no_record(index):
    assert STATE.record(index) is None


def test_withdrawals_and_their_proofs():
    for index, amount in enumerate((5, 6)):
        assert USED.withdrawal(index).amount == amount
        path = USED.withdrawal_path(index)
        assert len(path) == 32
        assert root_of_path(index, leaf(USED.withdrawal(index)), path) == USED.withdrawal_root


@pytest.mark.parametrize("index", [-1, 2])
def test_no_withdrawal(index):
    for use in (USED.withdrawal, USED.withdrawal_path):
        with pytest.raises(StateError, match=f"there is no withdrawal {index}, only 2"):
            use(index)


def test_without_fees():
    after = USED.without_fees()
    assert after == replace(USED, fees=(0, 0, 0, 0))
    assert after.without_fees() is after


# -------------------------------------------------------------------- storing


@pytest.mark.parametrize("state", [RollupState.genesis(), STATE, USED, replace(USED, fees=OTHER_FEES)])
def test_load_is_the_inverse_of_dump(state):
    loaded = RollupState.load(state.dump())
    assert loaded == state
    assert list(loaded.records()) == list(state.records())
    assert [loaded.withdrawal(i) for i in range(loaded.withdrawal_count)] == [
        state.withdrawal(i) for i in range(state.withdrawal_count)
    ]
    assert loaded.dump() == state.dump()


@pytest.mark.parametrize("damage", [lambda d: d[:-1], lambda d: d + b"\0", lambda d: b"", lambda d: d[:200]])
def test_damaged_lengths_are_refused(damage):
    with pytest.raises(StateError, match=r"is damaged: .*; rebuild it from L1"):
        RollupState.load(damage(USED.dump()))


def test_every_damaged_byte_of_what_is_hashed_is_refused():
    """Cursor and fees are in no root: they are the business of who stores them."""
    data = USED.dump()
    refused = 0
    for place in range(25 + 4 * 32, len(data), 7):
        damaged = data[:place] + bytes([data[place] ^ 0x81]) + data[place + 1 :]
        with pytest.raises(StateError, match="is damaged"):
            RollupState.load(damaged)
        refused += 1
    assert refused > 90


@pytest.mark.parametrize("levels", [0, 33, 3])
def test_another_number_of_levels_is_refused(levels):
    with pytest.raises(StateError):
        RollupState.load(bytes([levels]) + USED.dump()[1:])


def test_more_records_than_leaves():
    with pytest.raises(StateError, match="4 records do not fit a tree of 2 levels"):
        RollupState.of(2, [Account(1, 0, 0, 0)] * 4)
    assert RollupState.of(2, [Account(1, 0, 0, 0)] * 3).next_index == 4


def test_records_out_of_range():
    with pytest.raises(RecordError):
        RollupState.of(2, [Account(1, 0, 0, -1)])
    with pytest.raises(RecordError):
        RollupState.of(2, [], [Withdrawal(1, 0, -1)])
