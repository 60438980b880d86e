import pytest

from layer2.ledger.errors import AccountError, StateError, TreeError
from layer2.ledger.state import State
from layer2.ledger.tree import root_of_path, zero
from tests.unit.ledger.world import ALICE, FULL, LEVELS, STATE, USDC, account, edit


def test_genesis():
    state = State.genesis()
    assert (state.levels, state.next_index, state.root) == (12, 1, zero(12))
    assert state.account(0) is None
    assert state.account(1) is None
    assert list(state.accounts()) == []


@pytest.mark.parametrize("levels", [0, 17])
def test_genesis_refuses_other_depths(levels):
    with pytest.raises(TreeError, match="from 1 to 16"):
        State.genesis(levels)


def test_put_opens_and_replaces_accounts():
    state = State.genesis(LEVELS).put(1, account(ALICE, 0))
    assert (state.next_index, state.account(1)) == (2, account(ALICE, 0))
    richer = state.put(1, account(ALICE, 0, balance=5))
    assert (richer.next_index, richer.account(1)) == (2, account(ALICE, 0, balance=5))
    # The first one is as it was.
    assert state.account(1) == account(ALICE, 0)


@pytest.mark.parametrize("index", [0, -1, 6, 16, 2.0, None, True])
def test_put_refuses_gaps_and_reserved_indices(index):
    with pytest.raises(StateError, match=f"account index {index!r} is neither in use nor the next one, 5, of 16"):
        STATE.put(index, account(ALICE, 0))


def test_put_refuses_a_17th_account():
    assert FULL.is_full
    assert FULL.next_index == FULL.capacity == 16
    with pytest.raises(StateError, match="account index 16 is neither"):
        FULL.put(16, account(ALICE, 0))


@pytest.mark.parametrize("index", [-1, 0, 5, 15, 16, 2**32 - 1])
def test_there_is_no_account_outside_those_opened(index):
    assert STATE.account(index) is None


@pytest.mark.parametrize("index", [None, "1", 1.0, True])
def test_account_refuses_what_is_no_index(index):
    with pytest.raises(StateError, match=f"account index {index!r} is not an integer"):
        STATE.account(index)


def test_accounts_come_in_order_with_their_leaves_in_the_tree():
    accounts = list(STATE.accounts())
    assert [index for index, _ in accounts] == [1, 2, 3, 4]
    for index, held in accounts:
        assert STATE.account(index) == held
        assert root_of_path(index, held.leaf(), STATE.path(index)) == STATE.root


def test_one_by_one_and_all_at_once_give_the_same_root():
    state = State.genesis(LEVELS)
    for index, held in STATE.accounts():
        state = state.put(index, held)
    assert state.root == STATE.root


def test_from_accounts_refuses_too_many():
    with pytest.raises(StateError, match="16 accounts do not fit a tree of 2 levels"):
        State.from_accounts(2, [account(ALICE, 0)] * 16)


def test_from_accounts_refuses_another_root():
    held = [entry for _, entry in STATE.accounts()]
    assert State.from_accounts(LEVELS, held, STATE.root).root == STATE.root
    with pytest.raises(StateError, match="rebuild the state from L1"):
        State.from_accounts(LEVELS, held[:-1], STATE.root)


@pytest.mark.parametrize("state", [STATE, FULL, State.genesis(), State.genesis(1)])
def test_dump_and_load(state):
    loaded = State.load(state.dump())
    assert (loaded.root, loaded.next_index, loaded.levels) == (state.root, state.next_index, state.levels)
    assert list(loaded.accounts()) == list(state.accounts())


@pytest.mark.parametrize(
    "change", [lambda data: data[:-1], lambda data: data + b"\x00", lambda data: data[:37], lambda _: b""]
)
def test_load_refuses_data_of_another_length(change):
    with pytest.raises(StateError, match=r"a stored state of \d+ bytes is damaged; rebuild the state from L1"):
        State.load(change(STATE.dump()))


def test_load_refuses_next_index_zero():
    with pytest.raises(StateError, match="is damaged"):
        State.load(b"\x02" + b"\x00" * 37)


def test_load_refuses_every_damaged_byte():
    data = STATE.dump()
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1
        with pytest.raises((StateError, AccountError, TreeError)):
            State.load(bytes(damaged))


def test_edit_changes_only_the_named_field():
    assert edit(STATE, 3, balance=1).account(3) == account(0xB0B, 1, USDC, 1)
