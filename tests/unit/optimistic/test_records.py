"""The bytes of records (docs/optimistic.md §1)."""

import re

import pytest
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

from layer2.optimistic import records
from layer2.optimistic.errors import RecordError
from layer2.optimistic.records import NFT, Account, Pool, Position, Withdrawal, decode, decode_withdrawal, encode, leaf
from layer2.toolchain import PROJECT

OWNER = 0xABCDEF
OWNER_HEX = "0000000000000000000000000000000000abcdef"
EXAMPLES = [
    (Account(OWNER, 1, 2, 3), "01" + OWNER_HEX + "0001 00000002 00000000000000000000000000000003"),
    (Pool(1, 2, 3, 4, 5), "02 0001 0002" + "".join(f"{number:032x}" for number in (3, 4, 5))),
    (Position(OWNER, 1, 2), "03" + OWNER_HEX + "00000001 00000000000000000000000000000002"),
    (NFT(OWNER, 1, 2, b"\xcc" * 32), "04" + OWNER_HEX + f"{1:040x} 00000002" + "cc" * 32),
]


@pytest.mark.parametrize(("record", "encoding"), EXAMPLES)
def test_records(record, encoding):
    data = bytes.fromhex(encoding)
    assert encode(record) == data
    assert decode(data) == record
    assert type(decode(data)) is type(record)
    assert leaf(record) == keccak(data)


def test_withdrawals():
    data = bytes.fromhex(OWNER_HEX + "0001" + f"{7:032x}")
    assert encode(Withdrawal(OWNER, 1, 7)) == data
    assert decode_withdrawal(data) == Withdrawal(OWNER, 1, 7)
    assert leaf(Withdrawal(OWNER, 1, 7)) == keccak(data)


def test_sizes_are_those_of_the_specification():
    page = (PROJECT / "docs/optimistic.md").read_text()
    sizes = {name: int(size) for name, size in re.findall(r"^\| (\w+)[^|]* \| `[^|]*`: (\d+) \|$", page, re.MULTILINE)}
    assert sizes == {
        "account": records.ACCOUNT_BYTES,
        "pool": records.POOL_BYTES,
        "position": records.POSITION_BYTES,
        "NFT": records.NFT_BYTES,
        "withdrawal": records.WITHDRAWAL_BYTES,
    }
    assert [len(encode(record)) for record, _ in EXAMPLES] == list(sizes.values())[:4]
    assert 64 not in sizes.values()


@pytest.mark.parametrize(
    "record",
    [
        Account(2**160, 0, 0, 0),
        Account(0, 2**16, 0, 0),
        Account(0, 0, 2**32, 0),
        Account(0, 0, 0, 2**128),
        Account(0, 0, 0, -1),
        Account("0x00", 0, 0, 0),
        Pool(0, 1, 2**128, 0, 0),
        Position(0, 2**32, 0),
        NFT(0, 0, 0, bytes(31)),
        NFT(0, 0, 0, None),
        Withdrawal(0, 0, 2**128),
        (1, 2, 3),
    ],
)
def test_fields_out_of_range_are_refused(record):
    with pytest.raises(RecordError, match=r"cannot be encoded: .*; correct the field"):
        encode(record)


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x05" + bytes(42), b"\x01" + bytes(52), b"\x02" + bytes(42)])
def test_what_is_no_record_is_refused(data):
    with pytest.raises(RecordError, match="is no record"):
        decode(data)


@pytest.mark.parametrize("length", [37, 39])
def test_what_is_no_withdrawal_is_refused(length):
    with pytest.raises(RecordError, match=f"a withdrawal has 38 bytes, got {length}"):
        decode_withdrawal(bytes(length))


@given(st.sampled_from([(1, 43), (2, 53), (3, 41), (4, 77)]), st.binary(min_size=77, max_size=77))
def test_every_byte_counts(form, data):
    kind, length = form
    data = bytes([kind]) + data[: length - 1]
    assert encode(decode(data)) == data
