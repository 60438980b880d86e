import pytest
from hypothesis import given
from hypothesis import strategies as st

from layer2.crypto.eddsa import Point
from layer2.crypto.field import R
from layer2.crypto.poseidon import poseidon
from layer2.ledger.account import ACCOUNT_BYTES, Account
from layer2.ledger.errors import AccountError

accounts = st.builds(
    Account,
    st.integers(0, 2**160 - 1),
    st.builds(Point, st.integers(0, R - 1), st.integers(0, R - 1)),
    st.integers(0, 2**16 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**128 - 1),
)

FIELDS = {"owner": 1, "key": Point(2, 3), "token": 4, "nonce": 5, "balance": 6}


@given(accounts)
def test_leaf_is_the_specified_hash(account):
    packed = account.balance + account.nonce * 2**128 + account.token * 2**160
    assert account.leaf() == poseidon([packed, account.owner, account.key.x, account.key.y])


@given(accounts)
def test_bytes_round_trip(account):
    assert len(account.to_bytes()) == ACCOUNT_BYTES
    assert Account.from_bytes(account.to_bytes()) == account


@pytest.mark.parametrize(
    ("field", "limit"), [("owner", 2**160), ("token", 2**16), ("nonce", 2**32), ("balance", 2**128)]
)
def test_refuses_fields_beyond_their_width(field, limit):
    Account(**{**FIELDS, field: limit - 1})
    for value in (limit, -1, 1.0, "1", None, True):
        with pytest.raises(AccountError, match=rf"account field {field} = .* is not an integer in \[0, {limit}\)"):
            Account(**{**FIELDS, field: value})


@pytest.mark.parametrize(
    ("name", "key"), [("x", Point(R, 0)), ("x", Point(-1, 0)), ("y", Point(0, R)), ("y", Point(0, "1"))]
)
def test_refuses_keys_outside_the_field(name, key):
    with pytest.raises(AccountError, match=f"account field key.{name} = "):
        Account(**{**FIELDS, "key": key})


@pytest.mark.parametrize("length", [0, 105, 107])
def test_refuses_stored_accounts_of_another_length(length):
    with pytest.raises(AccountError, match=f"has 106 bytes, got {length}"):
        Account.from_bytes(b"\x00" * length)


def test_a_stored_key_outside_the_field_is_refused():
    with pytest.raises(AccountError, match=r"key\.x"):
        Account.from_bytes(b"\xff" * ACCOUNT_BYTES)
