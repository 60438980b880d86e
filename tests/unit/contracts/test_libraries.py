"""The libraries against the specification as Python has it: constants, keys, queue chain, data binding."""

import random

import pytest
from eth_utils import keccak

from layer2.crypto import field
from layer2.crypto.poseidon import poseidon
from layer2.ledger import constants
from layer2.ledger.constants import Kind
from layer2.ledger.tree import zero
from layer2.zk import batch as batch_format
from tests.support.batches import OPERATIONS, TRANSFERS, Batch, R, Segment, Sizes, slot, transfer
from tests.support.reverts import call, reverts
from tests.unit.contracts.conftest import KEY


def test_op_codes_and_widths_are_those_of_python(libraries):
    assert list(libraries.kinds()) == [kind.value for kind in Kind]
    assert list(libraries.constants()) == [
        constants.SLOT_BYTES,
        batch_format.FEE_ENTRY_BYTES,
        batch_format.TIMESTAMP_BYTES,
        field.R,
        field.A,
        field.D,
    ]
    assert batch_format.CIRCUIT_NUMBERS == {"transfers": TRANSFERS, "operations": OPERATIONS}


@pytest.mark.parametrize("levels", range(1, 17))
def test_genesis_roots(libraries, levels):
    node = 0
    for _ in range(levels):
        node = poseidon([node] * 4)
    assert int.from_bytes(libraries.genesisRoot(levels)) == node == zero(levels)


def test_on_curve(libraries):
    x, y = KEY
    for good in ((x, y), (field.R - x, y), (0, 1), (0, field.R - 1)):
        assert libraries.isOnCurve(*good)
    for bad in ((0, 0), (x, y + 1), (x + 1, y), (y, x), (x + field.R, y), (x, y + field.R), (0, field.R + 1)):
        assert not libraries.isOnCurve(*bad)


def test_queue_chain(libraries, alice):
    previous = keccak(b"before")
    queued = slot(1, 2**32 - 2, 0, 2**16 - 2, 0, 2**128 - 2, alice.address, KEY)
    expected = keccak(previous + queued)
    assert (
        bytes(libraries.chain(previous, 1, 2**32 - 2, 2**16 - 2, 2**128 - 2, alice, KEY))
        == bytes(libraries.chainCalldata(previous, queued))
        == expected
    )
    # With its outcome, a slot has the same chain.
    settled = slot(1, 2**32 - 2, 2**32 - 1, 2**16 - 2, 0, 2**128 - 2, alice.address, KEY)
    assert bytes(libraries.chainCalldata(previous, settled)) == expected
    forced = slot(2, 5, owner=alice.address)
    settled = slot(2, 5, token=2**16 - 1, amount=2**128 - 1, owner=alice.address)
    assert bytes(libraries.chainCalldata(previous, settled)) == keccak(previous + forced)


LAYOUTS = [
    Sizes(1, 1, 1, 1),
    Sizes(4, 2, 2, 2),
    Sizes(5, 7, 1, 4),
    Sizes(12, 6, 5, 4),
    Sizes(13, 5, 3, 1),
    Sizes(16, 9, 4, 7),
]


def random_segment(source: random.Random, sizes: Sizes) -> Segment:
    circuit = source.randrange(2)
    if circuit == TRANSFERS:
        count = source.randint(1, sizes.transfers)
        highest = 4**sizes.levels - 1
        operations = [
            transfer(
                sizes,
                source.randint(0, highest),
                source.randint(0, highest),
                source.getrandbits(40),
                source.getrandbits(8),
            )
            for _ in range(count)
        ]
    else:
        count = source.randint(1, sizes.operations)
        operations = [
            slot(
                source.choice((0, 3, 4, 5, 6)),
                source.getrandbits(32),
                source.getrandbits(32),
                source.getrandbits(16),
                source.getrandbits(8),
                source.getrandbits(128),
                source.getrandbits(160),
                (source.randrange(R), source.randrange(R)),
            )
            for _ in range(count)
        ]
    fees = tuple((source.getrandbits(16), source.getrandbits(128)) for _ in range(source.randint(0, sizes.tokens)))
    return Segment(
        circuit,
        tuple(operations),
        source.randrange(R),
        source.getrandbits(40) if circuit == OPERATIONS else 0,
        fees,
        source.randrange(R),
    )


@pytest.mark.parametrize("sizes", LAYOUTS, ids=str)
def test_data_binding(libraries, sizes):
    """z and y of random segments, against Python's sum of powers; the format is read back as it was written."""
    source = random.Random(str(sizes))
    layout = (sizes.transfers, sizes.operations, sizes.tokens, 2 * sizes.index_size + 6)
    for _ in range(12):
        segment = random_segment(source, sizes)
        timestamp, before = source.getrandbits(40), source.getrandbits(40)
        domain, root = source.randrange(R), source.randrange(R)
        vector = segment.vector(sizes, domain, root, before, timestamp)
        data = Batch(timestamp, (segment,)).encode()

        read, z, y = libraries.bindFirst(data, layout, [segment.digest, *vector[:4]])

        assert (z, y) == segment.public_inputs(sizes, domain, root, before, timestamp)
        circuit, count, root_after, next_index, fee_count, fees_at, operations_at, end = read
        assert (circuit, count, root_after) == (segment.circuit, len(segment.operations), segment.root)
        assert (next_index, fee_count) == (segment.next_index, len(segment.fees))
        assert operations_at - fees_at == 18 * fee_count
        assert end - operations_at == sum(map(len, segment.operations))


def test_an_odd_number_of_transfers_ends_in_a_padding_one(libraries):
    """What an earlier, longer segment left in memory must not leak into the last pair."""
    sizes = Sizes(12, 6, 5, 4)
    full = Segment(TRANSFERS, (b"\xff" * 12,) * 5, 5, 0)
    data = Batch(0, (full,)).encode() + b"\xff" * 64
    vector = full.vector(sizes, 1, 2, 0, 3)
    assert vector[-1] == int.from_bytes(b"\xff" * 12 + bytes(12))
    _, z, y = libraries.bindFirst(data, (6, 5, 4, 12), [full.digest, *vector[:4]])
    assert (z, y) == full.public_inputs(sizes, 1, 2, 0, 3)


def test_truncated_segments_are_noticed_whatever_follows_in_the_calldata(libraries):
    """Reading beyond the data would find other calldata."""
    segment = Segment(OPERATIONS, (slot(0), slot(0)), 5, 1, ((0, 1),))
    data = Batch(0, (segment,)).encode()
    for size in range(5, len(data)):
        arguments = libraries.bindFirst.encode_input(data[:size], (2, 2, 2, 8), [1, 2, 3, 4, 5])
        with reverts(_error("DataTruncated", ("uint256", "offset"), ("uint256", "length")), offset=5, length=size):
            call(libraries, bytes(arguments) + b"\x01" * 300)


def _error(name: str, *inputs: tuple[str, str]):
    from ethpm_types.abi import ABIType, ErrorABI

    class Error:
        abi = ErrorABI(type="error", name=name, inputs=[ABIType(type=kind, name=label) for kind, label in inputs])

    return Error
