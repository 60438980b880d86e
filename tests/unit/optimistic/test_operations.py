"""How operations are encoded and chunks read (docs/optimistic.md §2)."""

import re
from dataclasses import fields, replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from layer2.ledger.amounts import decode_fee8, decode_float40
from layer2.optimistic.constants import OperationKind
from layer2.optimistic.errors import OperationError
from layer2.optimistic.operations import (
    OPERATIONS,
    AddLiquidity,
    CreatePool,
    MintNFT,
    Nothing,
    PurchaseNFT,
    QueueEntry,
    RemoveLiquidity,
    Swap,
    Transfer,
    TransferNFT,
    TransferToNew,
    Withdraw,
    read_canonical,
    read_chunk,
)
from layer2.toolchain import PROJECT

SIGNATURE = bytes(range(64))
SELLER = bytes(range(64, 128))
TRANSFER = Transfer(1, 2, 3, 4, 5, SIGNATURE)

# Each field with a value of its own, and the encoding written by hand.
SIGNED = "0b 01020304" + SIGNATURE.hex()
EXAMPLES = [
    (Nothing(), "00"),
    (QueueEntry(), "01"),
    (Transfer(1, 2, 3, 11, 0x01020304, SIGNATURE), "02 00000001 00000002 0000000003" + SIGNED),
    (TransferToNew(1, 0xAA, 3, 11, 0x01020304, SIGNATURE), "03 00000001" + "00" * 19 + "aa 0000000003" + SIGNED),
    (Withdraw(1, 2**128 - 1, 11, 0x01020304, SIGNATURE), "04 00000001" + "ff" * 16 + SIGNED),
    (
        Swap(1, 2, 3, 4, 5, 11, 0x01020304, SIGNATURE),
        "05 00000001 00000002 00000003 0000000004 0000000005" + SIGNED,
    ),
    (CreatePool(1, 2, 3, 4, 11, 0x01020304, SIGNATURE), "06 00000001 00000002 0000000003 0000000004" + SIGNED),
    (
        AddLiquidity(1, 2, 3, 4, 5, 6, 7, 11, 0x01020304, SIGNATURE),
        "07 00000001 00000002 00000003 00000004 0000000005 0000000006 0000000007" + SIGNED,
    ),
    (
        RemoveLiquidity(1, 2, 3, 4, 5, 6, 11, 0x01020304, SIGNATURE),
        "08 00000001 00000002 00000003" + "00" * 15 + "04 0000000005 0000000006" + SIGNED,
    ),
    (MintNFT(1, b"\xcc" * 32, 11, 0x01020304, SIGNATURE), "09 00000001" + "cc" * 32 + SIGNED),
    (TransferNFT(1, 0xAA, 2, 11, 0x01020304, SIGNATURE), "0a 00000001" + "00" * 19 + "aa 00000002" + SIGNED),
    (
        PurchaseNFT(1, 2, 3, 4, 11, 0x01020304, SIGNATURE, SELLER),
        "0b 00000001 00000002 00000003 0000000004" + SIGNED + SELLER.hex(),
    ),
]


@pytest.mark.parametrize(("operation", "encoding"), EXAMPLES, ids=lambda value: type(value).__name__)
def test_encoding(operation, encoding):
    data = bytes.fromhex(encoding)
    assert operation.encode() == data
    assert read_chunk(data) == [operation]
    assert operation.size() == len(data)
    assert read_canonical(data) == operation
    assert read_canonical(data[:-1]) is read_canonical(data + b"\0") is None


def test_kinds_and_sizes_are_those_of_the_specification():
    page = (PROJECT / "docs/optimistic.md").read_text()
    rows = re.findall(r"^\| (\d+) \|[^|]+\|[^|]*\| (\d+) \|$", page, re.MULTILINE)
    assert [(int(kind), int(size)) for kind, size in rows] == [
        (operation.KIND, operation.size()) for operation in OPERATIONS
    ]
    assert [operation.KIND for operation in OPERATIONS] == list(OperationKind)


def test_kinds_and_sizes_are_those_of_the_contract():
    source = (PROJECT / "contracts/optimistic/StateTransition.sol").read_text()
    kinds = re.findall(r"uint256 private constant _([A-Z_]+) = (\d+);", source)
    found = {name: int(kind) for name, kind in kinds if name in OperationKind.__members__}
    assert found == {kind.name: int(kind) for kind in OperationKind}
    (sizes,) = re.findall(r'_SIZES = hex"([0-9a-f_]+)";', source)
    assert list(bytes.fromhex(sizes.replace("_", ""))) == [operation.size() for operation in OPERATIONS]


def test_amounts_and_fees_are_decimal_floats():
    operation = Transfer(1, 2, 34_359_738_367 * 10**31, 15 * 10**15, 5, SIGNATURE)
    data = operation.encode()
    assert data[9:15] == b"\xff\xff\xff\xff\xff\xff"
    assert read_chunk(data) == [operation]


def test_another_float_of_the_same_value_is_the_same_operation():
    data = bytearray(replace(TRANSFER, amount=20).encode())
    data[9:14] = (1 << 35 | 2).to_bytes(5)
    data[14] = 0x10 | 0
    assert read_chunk(bytes(data)) == [replace(TRANSFER, amount=20, fee=0)]


@pytest.mark.parametrize(
    ("operation", "field"),
    [
        (replace(TRANSFER, account=-1), "account"),
        (replace(TRANSFER, account=2**32), "account"),
        (replace(TRANSFER, amount=-1), "amount"),
        (replace(TRANSFER, amount=2**35 + 1), "amount"),
        (replace(TRANSFER, fee=17), "fee"),
        (replace(TRANSFER, expiry=2**32), "expiry"),
        (replace(TRANSFER, signature=bytes(63)), "signature"),
        (replace(TRANSFER, signature=bytes(65)), "signature"),
        (Withdraw(1, 2**128, 0, 0), "amount"),
        (Withdraw(1, None, 0, 0), "amount"),
        (TransferToNew(1, 2**160, 0, 0, 0), "owner"),
        (MintNFT(1, bytes(31), 0, 0), "content"),
        (PurchaseNFT(1, 2, 3, 4, 0, 0, SIGNATURE, bytes(63)), "seller_signature"),
    ],
)
def test_what_does_not_fit_is_refused(operation, field):
    with pytest.raises(OperationError, match=rf"cannot be encoded.*{field}") as caught:
        operation.encode()
    assert "correct the field" in str(caught.value)


def test_an_amount_names_its_neighbours():
    with pytest.raises(OperationError, match="the nearest that fit are 34359738367 and 34359738370"):
        replace(TRANSFER, amount=34359738369).encode()


# -------------------------------------------------------------------- chunks


@pytest.mark.parametrize(("operation", "encoding"), EXAMPLES[2:], ids=lambda value: type(value).__name__)
def test_a_cut_off_operation_ends_the_chunk(operation, encoding):
    data = bytes.fromhex(encoding)
    for length in (1, len(data) // 2, len(data) - 1):
        assert read_chunk(b"\x00" + data[:length]) == [Nothing()]
        assert read_chunk(b"\x00" + data[:length] + b"\x01" * 200)[1:2] != [operation]


@pytest.mark.parametrize("kind", [12, 13, 127, 255])
def test_an_unknown_kind_ends_the_chunk(kind):
    assert read_chunk(b"\x01" + bytes([kind]) + bytes(200)) == [QueueEntry()]


def test_17_operations_are_16():
    data = TRANSFER.encode()
    assert read_chunk(data * 17) == [TRANSFER] * 16
    assert read_chunk(data * 16 + b"\xff") == [TRANSFER] * 16
    assert read_chunk(b"\x00" * 15 + data * 2) == [Nothing()] * 15 + [TRANSFER]


def test_an_empty_chunk():
    assert read_chunk(b"") == []


@given(st.binary(max_size=2000))
@example(b"".join(operation.encode() for operation, _ in EXAMPLES))
def test_every_byte_string_has_one_meaning(data):
    """What was read, encoded again, means the same and is no longer than what it was read from."""
    operations = read_chunk(data)
    assert len(operations) <= 16
    encoded = b"".join(operation.encode() for operation in operations)
    assert len(encoded) <= len(data)
    assert read_chunk(encoded) == operations


@given(st.data())
def test_operations_come_back(data):
    """Any operation whose fields fit."""
    strategies = {
        int: st.integers(0, 2**32 - 1),
        "amount": st.builds(decode_float40, st.integers(0, 2**40 - 1)),
        "fee": st.builds(lambda mantissa, exponent: mantissa * 10**exponent, st.integers(0, 15), st.integers(0, 15)),
        "content": st.binary(min_size=32, max_size=32),
        "signature": st.binary(min_size=64, max_size=64),
    }
    kind = data.draw(st.sampled_from(OPERATIONS))
    values = {}
    for field in fields(kind):
        name = field.name
        key = next(
            (key for key in ("content", "signature", "fee") if key in name),
            "amount" if re.match("amount|minimum|maximum|price", name) and kind is not Withdraw else int,
        )
        values[name] = data.draw(strategies[key])
    operation = kind(**values)
    assert read_chunk(operation.encode()) == [operation]


# -------------------------------------------------------------------- canonical encodings: what `encode` gives


def is_canonical(data: bytes) -> bool:
    """By the definition: one operation, which is encoded to the same bytes."""
    operations = read_chunk(data)
    return len(operations) == 1 and operations[0].encode() == data


@pytest.mark.parametrize("byte", range(256))
def test_which_fees_are_canonical(byte):
    data = Transfer(1, 2, 3, 0, 5, SIGNATURE).encode()
    data = data[:14] + bytes([byte]) + data[15:]
    operation = read_canonical(data)
    assert (operation is not None) == is_canonical(data)
    assert operation is None or operation.fee == decode_fee8(byte)


@given(exponent=st.integers(0, 31), mantissa=st.integers(0, 2**35 - 1))
@example(exponent=1, mantissa=0)
@example(exponent=1, mantissa=1)
@example(exponent=31, mantissa=(2**35 - 1) // 10)
@example(exponent=31, mantissa=(2**35 - 1) // 10 + 1)
@example(exponent=0, mantissa=2**35 - 1)
def test_which_amounts_are_canonical(exponent, mantissa):
    encoded = exponent << 35 | mantissa
    data = TRANSFER.encode()
    data = data[:9] + encoded.to_bytes(5) + data[14:]
    (read,) = read_chunk(data)
    assert read.amount == decode_float40(encoded)
    operation = read_canonical(data)
    assert (operation is not None) == is_canonical(data)
    assert operation is None or operation == read


@given(kind=st.integers(0, 13), data=st.binary(min_size=200, max_size=200), cut=st.integers(-2, 1))
def test_canonical_is_what_is_encoded_alike(kind, data, cut):
    size = OPERATIONS[kind].size() if kind < len(OPERATIONS) else 100
    data = (bytes([kind]) + data)[: max(0, size + cut)]
    operation = read_canonical(data)
    assert (operation is not None) == is_canonical(data)
    assert operation is None or operation.encode() == data


@pytest.mark.parametrize("operation", [operation for operation, _ in EXAMPLES], ids=lambda value: type(value).__name__)
def test_every_inexact_field_of_every_kind_is_looked_at(operation):
    """Whatever one byte before the signatures is changed to: some fees and amounts that result are not canonical."""
    data = operation.encode()
    found = 0
    for place in range(1, len(data.removesuffix(SELLER).removesuffix(SIGNATURE))):
        for byte in range(256):
            other = data[:place] + bytes([byte]) + data[place + 1 :]
            assert (read_canonical(other) is not None) == is_canonical(other)
            found += not is_canonical(other)
    assert (found > 0) == (len(data) > 1)
