"""Chunks, and batches in calldata and in blobs (docs/optimistic.md §4)."""

import re
from contextlib import suppress
from dataclasses import replace

import pytest
from eth_utils import keccak
from hypothesis import example, given
from hypothesis import strategies as st

from layer2.optimistic.chunks import (
    Chunk,
    calldata_commitment,
    decode_blob,
    decode_calldata,
    decode_cell,
    encode_blob,
    encode_calldata,
    execute_batch,
    pack,
)
from layer2.optimistic.constants import BLOB_BYTES, CHUNK_BYTES, MAX_CHUNKS
from layer2.optimistic.errors import DataError
from layer2.optimistic.operations import Nothing, PurchaseNFT, Transfer
from layer2.optimistic.transition import execute_chunk
from layer2.toolchain import PROJECT
from tests.unit.optimistic.world import (
    ALICE_ETH,
    BOB_ETH,
    CONTEXT,
    DAVE,
    ETH,
    NEXT,
    NOW,
    STATE,
    deposit,
    sign,
)

TRANSFER = sign(Transfer(ALICE_ETH, BOB_ETH, 100, 10, NOW)).encode()
LONGEST = PurchaseNFT(1, 2, 3, 4, 5, 6).encode()
BLS_MODULUS = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001

chunks_of_any_bytes = st.lists(
    st.builds(Chunk, st.binary(min_size=31, max_size=31), st.binary(max_size=CHUNK_BYTES)), min_size=1, max_size=5
)
GOOD = Chunk(bytes(31), b"\x01\x02\x03")
FULL = [Chunk(bytes([number]) * 31, bytes([255 - number]) * CHUNK_BYTES) for number in range(MAX_CHUNKS)]


# -------------------------------------------------------------------- packing


def test_at_most_16_operations_a_chunk():
    assert pack([TRANSFER] * 33) == [TRANSFER * 16, TRANSFER * 16, TRANSFER]


def test_at_most_1951_bytes_a_chunk():
    assert len(LONGEST) == 151
    assert pack([LONGEST] * 13) == [LONGEST * 12, LONGEST]
    exact = [LONGEST] * 12 + [bytes(CHUNK_BYTES - 12 * 151)]
    assert pack([*exact, b"\0"]) == [b"".join(exact), b"\0"]
    assert pack([*exact[:-1], exact[-1] + b"\0"]) == [b"".join(exact[:-1]), exact[-1] + b"\0"]


def test_a_batch_without_operations_has_one_chunk():
    assert pack([]) == [b""]


def test_at_most_64_chunks():
    assert len(pack([b"\0"] * 16 * 64)) == 64
    with pytest.raises(DataError, match="need 65 chunks, a batch has at most 64"):
        pack([b"\0"] * (16 * 64 + 1))


@given(st.lists(st.sampled_from([1, 83, 99, 90, 92, 88, 101, 108, 106, 98, 151]), max_size=200))
def test_packing_keeps_order_and_bounds(sizes):
    operations = [bytes([place % 256]) * size for place, size in enumerate(sizes)]
    packed = pack(operations)
    assert b"".join(packed) == b"".join(operations)
    assert all(len(chunk) <= CHUNK_BYTES for chunk in packed)
    assert len(packed) >= -(-len(operations) // 16)


def test_an_operation_that_is_too_long_for_any_chunk():
    with pytest.raises(DataError, match="an operation of 1952 bytes fits no chunk"):
        pack([bytes(CHUNK_BYTES + 1)])
    with pytest.raises(DataError, match="at most 1951 bytes of operations, got 1952"):
        Chunk(bytes(31), bytes(CHUNK_BYTES + 1))


# -------------------------------------------------------------------- executing


def test_a_batch_is_its_chunks_one_after_another():
    parent = replace(STATE, fees=(77, 0, 0, 0), queue_cursor=3)
    queue = [deposit(DAVE, ETH, amount) for amount in (1, 2, 3)]
    context = replace(CONTEXT, queue_end=6)
    operations = [b"\x01\x01" + TRANSFER, Nothing().encode(), b"\x01\x01"]
    executed = execute_batch(parent, context, operations, queue)
    assert [chunk.chunk.operations for chunk in executed] == operations
    state = replace(parent, fees=(0, 0, 0, 0))
    for chunk, entries in zip(executed, (queue, queue[2:], queue[2:]), strict=True):
        assert chunk.before == state
        state, outcomes = execute_chunk(state, context, chunk.chunk.operations, entries)
        assert chunk.after == state
        assert chunk.chunk.commitment == state.commitment()
        assert chunk.outcomes == tuple(outcomes)
    assert [state.record(NEXT + place).balance for place in range(3)] == [1, 2, 3]
    assert state.fees == (10, 0, 0, 0)
    assert [len(chunk.outcomes) for chunk in executed] == [3, 1, 2]
    assert executed[2].outcomes[1].entry is None


# -------------------------------------------------------------------- calldata


def test_calldata():
    chunks = [Chunk(b"\xaa" * 31, b"\x01\x02\x03"), Chunk(b"\xbb" * 31, b"")]
    data = b"\xaa" * 31 + b"\x00\x03\x01\x02\x03" + b"\xbb" * 31 + b"\x00\x00"
    assert encode_calldata(chunks) == data
    assert decode_calldata(data) == chunks


def test_calldata_commitment():
    hashes = [
        keccak(b"\0" + b"\xaa" * 31 + keccak(b"\x01\x02\x03")),
        keccak(b"\0" + b"\xbb" * 31 + keccak(b"")),
    ]
    chunks = [Chunk(b"\xaa" * 31, b"\x01\x02\x03"), Chunk(b"\xbb" * 31, b"")]
    assert [chunk.hash for chunk in chunks] == hashes
    assert calldata_commitment(chunks) == keccak(b"".join(hashes))


@given(chunks_of_any_bytes)
@example(FULL)
def test_calldata_comes_back(chunks):
    assert decode_calldata(encode_calldata(chunks)) == chunks


@given(st.binary(max_size=200))
@example(encode_calldata([GOOD] * 3))
def test_calldata_has_one_encoding(data):
    with suppress(DataError):
        assert encode_calldata(decode_calldata(data)) == data


@pytest.mark.parametrize(
    ("tail", "offset"),
    [
        (b"\0", 36),
        (bytes(32), 36),
        (bytes(31) + b"\x00\x01", 36),
        (bytes(31) + b"\x07\xa0" + bytes(1952), 36),
        (bytes(33) + b"\0", 69),
    ],
)
def test_calldata_that_does_not_parse(tail, offset):
    with pytest.raises(DataError, match=f"the chunk at byte {offset} of") as caught:
        decode_calldata(encode_calldata([GOOD]) + tail)
    assert caught.value.offset == offset


@pytest.mark.parametrize("count", [0, 65])
def test_the_number_of_chunks(count):
    chunks = [GOOD] * count
    data = b"".join(encode_calldata([chunk]) for chunk in chunks)
    for use in (lambda: encode_calldata(chunks), lambda: encode_blob(chunks), lambda: decode_calldata(data)):
        with pytest.raises(DataError, match=f"a batch has 1 to 64 chunks, not {count}"):
            use()
    with pytest.raises(DataError, match=f"a batch has 1 to 64 chunks, not {count}"):
        decode_blob(bytes(BLOB_BYTES), count)


@pytest.mark.parametrize("length", [30, 32])
def test_a_commitment_has_31_bytes(length):
    with pytest.raises(DataError, match=f"a commitment has 31 bytes, got {length}"):
        Chunk(bytes(length), b"")


# -------------------------------------------------------------------- blobs


def elements(blob):
    return [blob[start : start + 32] for start in range(0, len(blob), 32)]


def test_blob():
    """Cell by cell, as §4 says it."""
    operations = [bytes(range(1, 200)), b"", bytes([7]) * CHUNK_BYTES]
    chunks = [Chunk(bytes([0xA0 + number]) * 31, data) for number, data in enumerate(operations)]
    blob = encode_blob(chunks)
    assert len(blob) == 131072
    found = elements(blob)
    for number, data in enumerate(operations):
        cell = found[64 * number : 64 * number + 64]
        assert cell[0] == b"\0" + bytes([0xA0 + number]) * 31
        carried = b"".join(element[1:] for element in cell[1:])
        assert len(carried) == 1953
        assert carried == (len(data).to_bytes(2) + data).ljust(1953, b"\0")
    assert found[64 * 3 :] == [bytes(32)] * 64 * 61


@given(chunks_of_any_bytes)
@example(FULL)
def test_blobs_come_back(chunks):
    blob = encode_blob(chunks)
    assert decode_blob(blob, len(chunks)) == chunks
    assert all(int.from_bytes(element) < BLS_MODULUS for element in elements(blob))


def test_the_first_byte_of_an_element_means_nothing():
    """A valid element may begin with anything up to 0x73."""
    blob = bytearray(encode_blob([Chunk(b"\xaa" * 31, bytes(range(250)) * 7), GOOD]))
    chunks = decode_blob(bytes(blob), 2)
    blob[::32] = b"\x73" * 4096
    assert decode_blob(bytes(blob), 2) == chunks


@pytest.mark.parametrize("length", [1951, 1952, 1953, 0xFFFF])
def test_a_length_above_1951_counts_as_1951(length):
    blob = bytearray(encode_blob([Chunk(b"\xaa" * 31, b"\x05" * CHUNK_BYTES)]))
    blob[33:35] = length.to_bytes(2)
    assert decode_blob(bytes(blob), 1) == [Chunk(b"\xaa" * 31, b"\x05" * CHUNK_BYTES)]


def test_what_comes_after_operations_and_chunks_means_nothing():
    blob = bytearray(encode_blob([GOOD]))
    blob[38:2048] = b"\x11" * 2010
    blob[2048:] = b"\x22" * (BLOB_BYTES - 2048)
    assert decode_blob(bytes(blob), 1) == [GOOD]
    assert decode_blob(bytes(blob), 2)[1] == Chunk(b"\x22" * 31, b"\x22" * CHUNK_BYTES)


@given(st.binary(min_size=2048, max_size=2048))
def test_every_cell_has_one_meaning(cell):
    chunk = decode_cell(cell)
    again = encode_blob([chunk])
    assert decode_cell(again[:2048]) == chunk
    assert decode_blob(cell + bytes(BLOB_BYTES - 2048), 1) == [chunk]


@pytest.mark.parametrize("length", [0, BLOB_BYTES - 1, BLOB_BYTES + 1])
def test_a_blob_has_131072_bytes(length):
    with pytest.raises(DataError, match=f"a blob has 131072 bytes, got {length}"):
        decode_blob(bytes(length), 1)


@pytest.mark.parametrize("length", [2047, 2049])
def test_a_cell_has_2048_bytes(length):
    with pytest.raises(DataError, match=f"a cell has 2048 bytes, got {length}"):
        decode_cell(bytes(length))


def test_bounds_are_those_of_the_specification():
    page = (PROJECT / "docs/optimistic.md").read_text()
    assert re.search(rf"length ≤ {CHUNK_BYTES},", page)
    assert re.search(rf"a length above {CHUNK_BYTES} counts as {CHUNK_BYTES}", page)
    assert re.search(rf"A batch has 1 to {MAX_CHUNKS} chunks", page)
