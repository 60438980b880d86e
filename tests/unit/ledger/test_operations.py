import random
from dataclasses import replace

import pytest
from eth_abi import encode
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

from layer2.crypto.eddsa import Point, Signature
from layer2.crypto.errors import AddressError, SignatureError
from layer2.crypto.field import R
from layer2.crypto.poseidon import poseidon
from layer2.ledger.constants import SLOT_BYTES, SLOT_FIELDS, Kind
from layer2.ledger.errors import OperationError
from layer2.ledger.operations import (
    NO_KEY,
    NO_SIGNATURE,
    SIGNED_OPERATION_BYTES,
    Operation,
    SignedOperation,
    domain,
    message,
    queue_chain,
)
from tests.unit.ledger.world import ALICE, BOB, DOMAIN, KEYS, NEW_KEY, NOW, sign

operations = st.builds(
    Operation,
    st.sampled_from(Kind),
    *[st.integers(0, 256**size - 1) for name, size in SLOT_FIELDS if name != "kind"],
)

EXAMPLES = [
    Operation.padding(),
    Operation.deposit(7, 100, ALICE, NEW_KEY, 3),
    Operation.forced_withdrawal(3, ALICE),
    Operation.transfer(1, 2, 7, 100, 5),
    Operation.transfer_to_new(1, 7, 100, BOB, NEW_KEY, 5),
    Operation.withdrawal(1, 7, 100, ALICE, 5),
    Operation.key_change(1, 7, NEW_KEY, 5),
]


# ---------------------------------------------------------------- slots


@given(operations)
def test_slots_round_trip(operation):
    slot = operation.to_slot()
    assert len(slot) == SLOT_BYTES == sum(size for _, size in SLOT_FIELDS)
    assert Operation.from_slot(slot) == operation


def test_slot_layout():
    operation = Operation(Kind.KEY_CHANGE, 0x01020304, 0x05060708, 0x090A, 0x0B, 0x0C, 0x0D, 0x0E, 0x0F)
    slot = operation.to_slot()
    assert slot[0:1].hex() == "06"
    assert slot[1:5].hex() == "01020304"
    assert slot[5:9].hex() == "05060708"
    assert slot[9:11].hex() == "090a"
    assert slot[11:12].hex() == "0b"
    assert slot[12:28] == b"\x00" * 15 + b"\x0c"
    assert slot[28:48] == b"\x00" * 19 + b"\x0d"
    assert slot[48:80] == b"\x00" * 31 + b"\x0e"
    assert slot[80:112] == b"\x00" * 31 + b"\x0f"


@pytest.mark.parametrize("length", [0, 111, 113])
def test_refuses_slots_of_another_length(length):
    with pytest.raises(OperationError, match=f"a slot has 112 bytes, got {length}"):
        Operation.from_slot(b"\x00" * length)


@pytest.mark.parametrize("kind", [7, 255])
def test_refuses_unknown_kinds(kind):
    with pytest.raises(OperationError, match=f"operation kind {kind} is unknown; use one of 0, 1, 2, 3, 4, 5, 6"):
        Operation.from_slot(bytes([kind]) + b"\x00" * 111)


@pytest.mark.parametrize("kind", [None, "3", -1, 3.5])
def test_refuses_what_is_no_kind(kind):
    with pytest.raises(OperationError, match="is unknown"):
        Operation(kind)


@pytest.mark.parametrize(("name", "size"), [field for field in SLOT_FIELDS if field[0] != "kind"])
def test_refuses_fields_beyond_their_width(name, size):
    Operation(Kind.TRANSFER, **{name: 256**size - 1})
    for value in (256**size, -1, 1.0, "1", None, True):
        with pytest.raises(OperationError, match=f"operation field {name} = .* is not an integer of {8 * size} bits"):
            Operation(Kind.TRANSFER, **{name: value})


@given(operations)
def test_elements_are_the_slots_parts(operation):
    operation = replace(operation, key_x=operation.key_x % R, key_y=operation.key_y % R)
    slot = operation.to_slot()
    parts = [slot[0:28], slot[28:48], slot[48:80], slot[80:112]]
    assert operation.elements() == tuple(int.from_bytes(part) for part in parts)
    assert all(element < R for element in operation.elements())


@pytest.mark.parametrize("name", ["key_x", "key_y"])
def test_a_key_coordinate_beyond_the_field_has_no_elements(name):
    operation = Operation(Kind.DEPOSIT, **{name: R})
    with pytest.raises(OperationError, match=f"operation field {name} = {R} is not below r"):
        operation.elements()


def test_kinds_and_their_origin():
    assert [operation.kind for operation in EXAMPLES] == list(Kind)
    assert [operation.is_queued for operation in EXAMPLES] == [False, True, True, False, False, False, False]
    assert [operation.is_signed for operation in EXAMPLES] == [False, False, False, True, True, True, True]
    assert EXAMPLES[4].key == NEW_KEY
    assert EXAMPLES[3].key == NO_KEY


@pytest.mark.parametrize("operation", EXAMPLES)
def test_unused_fields_are_those_of_the_specification(operation):
    # docs/protocol.md §4: which columns of the table are 0; outcomes and used fields are the rest.
    used = {
        Kind.PADDING: set(),
        Kind.DEPOSIT: {"account", "to", "token", "amount", "owner", "key_x", "key_y"},
        Kind.FORCED_WITHDRAWAL: {"account", "token", "amount", "owner"},
        Kind.TRANSFER: {"account", "to", "token", "fee", "amount"},
        Kind.TRANSFER_TO_NEW: {"account", "to", "token", "fee", "amount", "owner", "key_x", "key_y"},
        Kind.WITHDRAWAL: {"account", "token", "fee", "amount", "owner"},
        Kind.KEY_CHANGE: {"account", "token", "fee", "key_x", "key_y"},
    }[operation.kind]
    assert operation.unused_field() is None
    for name, _ in SLOT_FIELDS[1:]:
        assert replace(operation, **{name: 1}).unused_field() == (None if name in used else name)


def test_outcomes_are_left_out():
    def changed(operation):
        full = replace(operation, to=9, token=9, amount=9)
        bare = full.without_outcomes()
        return {name for name in ("to", "token", "amount") if getattr(bare, name) != getattr(full, name)}

    assert [changed(operation) for operation in EXAMPLES] == [
        set(),
        {"to"},
        {"token", "amount"},
        set(),
        {"to"},
        set(),
        set(),
    ]


# ---------------------------------------------------------------- domain and message


def test_domain_is_the_specified_hash():
    address = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
    encoded = encode(["bytes32", "uint256", "address"], [keccak(text="layer2.zk.v1"), 31337, address])
    assert domain(31337, address) == domain(31337, int(address, 16)) == int.from_bytes(keccak(encoded)) % R


def test_attack_cross_chain_replay_with_truncated_chain_ids():
    """Chain ids that agree in their low bits are different domains."""
    chains = [1, 1 + 2**16, 1 + 2**32, 1 + 2**64, 1 + 2**128, 1 + 2**255]
    assert len({domain(chain, 5) for chain in chains}) == len(chains)


@pytest.mark.parametrize("chain_id", [-1, 2**256, 1.5, None])
def test_domain_refuses_malformed_chain_ids(chain_id):
    with pytest.raises(OperationError, match=f"chain id {chain_id!r} is not an integer"):
        domain(chain_id, 5)


@pytest.mark.parametrize("rollup", [-1, 2**160, None, 1.5])
def test_domain_refuses_malformed_addresses(rollup):
    with pytest.raises(OperationError, match=f"rollup {rollup!r} is not an integer"):
        domain(1, rollup)
    with pytest.raises(AddressError, match="is not an address"):
        domain(1, "0x12")


def test_message_is_the_specified_hash():
    transfer = Operation.transfer(11, 12, 13, 14, 15)
    p1 = 14 + 3 * 2**128 + 11 * 2**136 + 12 * 2**168 + 16 * 2**200
    p2 = BOB + 13 * 2**160 + 15 * 2**176 + 17 * 2**184
    payee = KEYS[1].public_key
    assert message(DOMAIN, transfer, 16, 17, BOB, payee) == poseidon([DOMAIN, p1, p2, payee.x, payee.y])

    to_new = Operation.transfer_to_new(11, 13, 14, BOB, NEW_KEY, 15)
    p1 = 14 + 4 * 2**128 + 11 * 2**136 + 16 * 2**200
    assert message(DOMAIN, to_new, 16, 17) == poseidon([DOMAIN, p1, p2, *NEW_KEY])
    assert message(DOMAIN, replace(to_new, to=99), 16, 17) == poseidon([DOMAIN, p1, p2, *NEW_KEY])

    withdrawal = Operation.withdrawal(11, 13, 14, ALICE, 15)
    p1 = 14 + 5 * 2**128 + 11 * 2**136 + 16 * 2**200
    p2 = ALICE + 13 * 2**160 + 15 * 2**176 + 17 * 2**184
    assert message(DOMAIN, withdrawal, 16, 17) == poseidon([DOMAIN, p1, p2, 0, 0])

    change = Operation.key_change(11, 13, NEW_KEY, 15)
    p1 = 6 * 2**128 + 11 * 2**136 + 16 * 2**200
    p2 = 13 * 2**160 + 15 * 2**176 + 17 * 2**184
    assert message(DOMAIN, change, 16, 17) == poseidon([DOMAIN, p1, p2, *NEW_KEY])


def test_widest_fields_do_not_touch_in_the_message():
    """p1 and p2 are injective: every field at its maximum gives the sums of the widths in the specification."""
    widest = Operation(Kind.TRANSFER, 2**32 - 1, 2**32 - 1, 2**16 - 1, 255, 2**128 - 1)
    p1 = 2**232 - 1 - (255 - 3) * 2**128
    p2 = 2**224 - 1
    payee = Point(R - 1, R - 1)
    expected = poseidon([DOMAIN, p1, p2, R - 1, R - 1])
    assert message(DOMAIN, widest, 2**32 - 1, 2**40 - 1, 2**160 - 1, payee) == expected


@pytest.mark.parametrize("operation", EXAMPLES[3:])
def test_every_field_is_under_the_signature(operation):
    """Whatever of an operation can be chosen changes M."""
    payee = KEYS[1].public_key
    recipient = (BOB, payee) if operation.kind is Kind.TRANSFER else ()
    original = message(DOMAIN, operation, 1, 2, *recipient)
    others = [
        message(DOMAIN + 1, operation, 1, 2, *recipient),
        message(DOMAIN, operation, 2, 2, *recipient),
        message(DOMAIN, operation, 1, 3, *recipient),
    ]
    if operation.kind is Kind.TRANSFER:
        others.append(message(DOMAIN, operation, 1, 2, ALICE, payee))
        others.append(message(DOMAIN, operation, 1, 2, BOB, Point(payee.x + 1, payee.y)))
        others.append(message(DOMAIN, operation, 1, 2, BOB, Point(payee.x, payee.y + 1)))
        others.append(message(DOMAIN, operation, 1, 2, BOB, Point(payee.y, payee.x)))
    for name, _ in SLOT_FIELDS[1:]:
        changed = replace(operation, **{name: getattr(operation, name) + 1})
        if changed.unused_field() is None and changed.without_outcomes() == changed:
            others.append(message(DOMAIN, changed, 1, 2, *recipient))
    assert original not in others
    assert len(set(others)) == len(others)


@pytest.mark.parametrize("operation", EXAMPLES[:3])
def test_other_kinds_have_no_message(operation):
    with pytest.raises(OperationError, match="is not signed; only kinds 3 to 6 are"):
        message(DOMAIN, operation, 0, 0)
    with pytest.raises(OperationError, match="is not an operation of kinds 3 to 6"):
        SignedOperation(operation, 0, 0, KEYS[0].sign(1))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("domain", (R, EXAMPLES[3], 0, 0, 0)),
        ("nonce", (1, EXAMPLES[3], 2**32, 0, 0)),
        ("expiry", (1, EXAMPLES[3], 0, 2**40, 0)),
        ("recipient_owner", (1, EXAMPLES[3], 0, 0, 2**160)),
        ("nonce", (1, EXAMPLES[3], -1, 0, 0)),
        ("expiry", (1, EXAMPLES[3], 0, None, 0)),
    ],
)
def test_message_refuses_numbers_out_of_range(name, arguments):
    with pytest.raises(OperationError, match=f"^{name} .* is not an integer in"):
        message(*arguments)


@pytest.mark.parametrize("key", [Point(R, 1), Point(1, R), Point(-1, 1), Point(1, None), Point("1", 1), Point(True, 1)])
def test_refuses_a_recipient_key_that_is_not_in_the_field(key):
    signed = sign(EXAMPLES[3], recipient_owner=BOB)
    with pytest.raises(OperationError, match=r"recipient_key has a coordinate .* is not an integer below r"):
        message(DOMAIN, EXAMPLES[3], 0, 0, BOB, key)
    with pytest.raises(OperationError, match=r"recipient_key has a coordinate .* is not an integer below r"):
        replace(signed, recipient_key=key)
    assert replace(signed, recipient_key=Point(R - 1, R - 1)).recipient_key == (R - 1, R - 1)


# ---------------------------------------------------------------- signed operations


@pytest.mark.parametrize("operation", EXAMPLES[3:])
def test_signed_operations_round_trip_in_bytes(operation):
    owner = BOB if operation.kind is Kind.TRANSFER else 0
    signed = sign(operation, nonce=5, expiry=NOW, recipient_owner=owner)
    assert len(signed.to_bytes()) == SIGNED_OPERATION_BYTES == 301
    assert SignedOperation.from_bytes(signed.to_bytes()) == signed


def test_signed_operation_layout():
    signed = sign(EXAMPLES[3], nonce=0x01020304, expiry=0x05060708AA, recipient_owner=BOB)
    data = signed.to_bytes()
    assert data[:112] == EXAMPLES[3].to_slot()
    assert (data[112:116].hex(), data[116:121].hex()) == ("01020304", "05060708aa")
    assert int.from_bytes(data[121:141]) == BOB
    assert (int.from_bytes(data[141:173]), int.from_bytes(data[173:205])) == KEYS[1].public_key
    assert data[205:] == signed.signature.to_bytes()


@pytest.mark.parametrize("length", [0, 237, 300, 302])
def test_refuses_signed_operations_of_another_length(length):
    with pytest.raises(OperationError, match=f"has 301 bytes, got {length}"):
        SignedOperation.from_bytes(b"\x03" * length)


def test_random_bytes_are_a_signed_operation_or_a_clear_error():
    """Hostile input at the API: 301 bytes never raise anything but OperationError."""
    generator = random.Random(5)
    outcomes = set()
    for kind in [*range(8), 255] * 10:
        data = bytearray(bytes([kind]) + generator.randbytes(SIGNED_OPERATION_BYTES - 1))
        if generator.random() < 0.5:
            data[141] = data[173] = 0  # a recipient's key below r
        try:
            outcomes.add(SignedOperation.from_bytes(bytes(data)).operation.kind)
        except OperationError as error:
            outcomes.add(str(error)[:20])
    assert Kind.TRANSFER in outcomes
    assert "operation kind 7 is " in outcomes
    assert "recipient_key has a " in outcomes


@pytest.mark.parametrize(("name", "limit"), [("nonce", 2**32), ("expiry", 2**40), ("recipient_owner", 2**160)])
def test_refuses_signed_fields_out_of_range(name, limit):
    signed = sign(EXAMPLES[3])
    assert getattr(replace(signed, **{name: limit - 1}), name) == limit - 1
    for value in (limit, -1, 1.0, "1", None, True):
        with pytest.raises(OperationError, match=f"{name} {value!r} is not an integer in"):
            replace(signed, **{name: value})


@pytest.mark.parametrize("signature", [None, b"", (1, 2, 3)])
def test_refuses_what_is_no_signature(signature):
    with pytest.raises(OperationError, match="is not a Signature"):
        SignedOperation(EXAMPLES[3], 0, 0, signature)


@pytest.mark.parametrize("operation", EXAMPLES[4:])
@pytest.mark.parametrize("recipient", [(BOB,), (0, NEW_KEY), (0, Point(0, 1)), (0, Point(1, 0)), (BOB, NEW_KEY)])
def test_only_transfers_have_a_recipient(operation, recipient):
    with pytest.raises(OperationError, match=r"only transfers \(kind 3\) have them"):
        SignedOperation(operation, 0, 0, KEYS[0].sign(1), *recipient)


def test_a_signature_that_fits_no_bytes_is_not_stored():
    signed = SignedOperation(EXAMPLES[3], 0, 0, Signature(Point(-1, 0), 0))
    with pytest.raises(SignatureError, match="does not fit"):
        signed.to_bytes()


# ---------------------------------------------------------------- the queue's chain


def test_the_chain_is_the_specified_hash():
    first = Operation.deposit(7, 100, ALICE, NEW_KEY, 3)
    second = Operation.forced_withdrawal(3, ALICE)
    one = queue_chain(b"\x00" * 32, first)
    assert one == keccak(b"\x00" * 32 + first.to_slot())
    assert queue_chain(one, second) == keccak(one + second.to_slot())


def test_outcomes_do_not_enter_the_chain():
    first = Operation.deposit(7, 100, ALICE, NEW_KEY, 3)
    second = Operation.forced_withdrawal(3, ALICE)
    start = b"\x01" * 32
    assert queue_chain(start, replace(first, to=5)) == queue_chain(start, first)
    assert queue_chain(start, replace(second, token=5, amount=6)) == queue_chain(start, second)


@pytest.mark.parametrize("operation", [EXAMPLES[0], *EXAMPLES[3:]])
def test_other_kinds_do_not_enter_the_chain(operation):
    with pytest.raises(OperationError, match="does not enter the L1 queue"):
        queue_chain(b"\x00" * 32, operation)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_the_chain_value_has_32_bytes(length):
    with pytest.raises(OperationError, match=f"has 32 bytes, got {length}"):
        queue_chain(b"\x00" * length, EXAMPLES[1])


@pytest.mark.parametrize("key", [None, (1, 2), (1, 2, 3), "key"])
def test_refuses_a_recipient_key_that_is_no_point(key):
    with pytest.raises(OperationError, match="is not a Point"):
        message(1, EXAMPLES[3], 0, 0, 1, key)
    with pytest.raises(OperationError, match="is not a Point"):
        SignedOperation(EXAMPLES[3], 0, 0, NO_SIGNATURE, 1, key)
