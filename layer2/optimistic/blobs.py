"""EIP-4844 blobs: commitments, versioned hashes, and the openings that CellVerifier checks (docs/optimistic.md §4).

May import ckzg, `layer2.toolchain` and, for the trusted setup's file, eth-account; nothing of chains.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import ckzg
from eth_account.typed_transactions.base import TRUSTED_SETUP

from layer2.optimistic.constants import BLOB_BYTES, BLOB_ELEMENTS, CELL_ELEMENTS, ELEMENT_BYTES, MAX_CHUNKS
from layer2.optimistic.errors import BlobError
from layer2.toolchain import PROJECT

MODULUS: Final = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
"""Order of BLS12-381's scalar field: elements are below it."""

BASE_MODULUS: Final = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB
"""Order of BLS12-381's base field: coordinates of points are below it."""

SETUP_FILE: Final = PROJECT / "contracts" / "optimistic" / "generated" / "kzg_setup.hex"
"""What tools/kzg_setup.py writes."""


@dataclass(frozen=True)
class CellOpening:
    """A cell and its proof. proof: uncompressed, 128 bytes. elements: 64 numbers below MODULUS."""

    proof: bytes
    elements: tuple[int, ...]


@dataclass(frozen=True)
class ElementOpening:
    """An element and its proof. proof: compressed, 48 bytes."""

    proof: bytes
    element: int


def check(blob: bytes) -> None:
    """Raises BlobError unless these bytes are a blob: 131,072 bytes, each 32 of them a number below MODULUS."""
    if len(blob) != BLOB_BYTES:
        raise BlobError(f"a blob has {BLOB_BYTES} bytes, not {len(blob)}: pad it with zeros")
    for index in range(BLOB_ELEMENTS):
        # Most elements are settled by their first byte.
        if blob[index * ELEMENT_BYTES] >= MODULUS >> 248 and _element(blob, index) >= MODULUS:
            raise BlobError(
                f"element {index} of the blob, {_element(blob, index):#x}, is not below {MODULUS:#x}: "
                "use 31 bytes of each element only"
            )


def commitment(blob: bytes) -> bytes:
    """The KZG commitment of a blob: 48 bytes, compressed. Raises BlobError when it is not a blob."""
    check(blob)
    return bytes(ckzg.blob_to_kzg_commitment(blob, trusted_setup()))


def versioned_hash(commitment: bytes) -> bytes:
    """The 32 bytes that EIP-4844 calls a blob by. Raises BlobError when the (compressed) commitment has not 48."""
    if len(commitment) != 48:
        raise BlobError(f"a compressed commitment has 48 bytes, not {len(commitment)}")
    return b"\x01" + hashlib.sha256(commitment).digest()[1:]


def blob_hash(blob: bytes) -> bytes:
    """The versioned hash of a blob. Raises BlobError when it is not one."""
    return versioned_hash(commitment(blob))


def cell_proofs(blob: bytes) -> tuple[bytes, ...]:
    """The 128 proofs of 48 bytes that a transaction carries with its blob; the first 64 are those
    of the blob's own cells. Raises BlobError when it is not a blob. Takes half a second."""
    check(blob)
    _, proofs = ckzg.compute_cells_and_kzg_proofs(blob, trusted_setup())
    return tuple(bytes(proof) for proof in proofs)


def open_cell(blob: bytes, index: int) -> CellOpening:
    """Elements 64·index … 64·index + 63 with their proof.

    Raises BlobError when it is not a blob, or for an index that is not 0 to 63. Takes half a second.
    """
    if not 0 <= index < MAX_CHUNKS:
        raise BlobError(f"a blob has cells 0 to {MAX_CHUNKS - 1}, not {index}")
    proof = decompress(cell_proofs(blob)[index])
    first = index * CELL_ELEMENTS
    return CellOpening(proof, tuple(_element(blob, i) for i in range(first, first + CELL_ELEMENTS)))


def open_element(blob: bytes, index: int) -> ElementOpening:
    """Element `index` with its proof. Raises BlobError when it is not a blob, or for an index that is not 0 to 4095."""
    if not 0 <= index < BLOB_ELEMENTS:
        raise BlobError(f"a blob has elements 0 to {BLOB_ELEMENTS - 1}, not {index}")
    check(blob)
    proof, value = ckzg.compute_kzg_proof(blob, domain_point(index).to_bytes(32, "big"), trusted_setup())
    return ElementOpening(bytes(proof), int.from_bytes(value, "big"))


def domain_point(index: int) -> int:
    """Where a blob's polynomial has element `index` as its value: a 4096th root of unity, in bit-reversed order."""
    root = pow(7, (MODULUS - 1) // BLOB_ELEMENTS, MODULUS)
    return pow(root, int(f"{index:012b}"[::-1], 2), MODULUS)


def decompress(point: bytes) -> bytes:
    """The 128 bytes (EIP-2537: x, y, 64 each) of a point of G1 that has 48 compressed.

    Raises BlobError when they are no point of the curve. That it is in the subgroup is not checked.
    """
    if len(point) != 48:
        raise BlobError(f"a compressed point has 48 bytes, not {len(point)}")
    number = int.from_bytes(point, "big")
    is_compressed, is_infinity, is_larger = (bool(number >> bit & 1) for bit in (383, 382, 381))
    x = number & ((1 << 381) - 1)
    if not is_compressed:
        raise BlobError(f"0x{point.hex()} is not in compressed form: its first bit is 0")
    if is_infinity:
        if x or is_larger:
            raise BlobError(f"0x{point.hex()} says that it is infinity, but is not 0xc0 and zeros")
        return bytes(128)
    square = (pow(x, 3, BASE_MODULUS) + 4) % BASE_MODULUS
    y = pow(square, (BASE_MODULUS + 1) // 4, BASE_MODULUS)
    if x >= BASE_MODULUS or y * y % BASE_MODULUS != square:
        raise BlobError(f"0x{point.hex()} is not a point of BLS12-381")
    if (y > BASE_MODULUS // 2) != is_larger:
        y = BASE_MODULUS - y
    return x.to_bytes(64, "big") + y.to_bytes(64, "big")


@cache
def trusted_setup() -> Any:
    """The KZG ceremony's result, for ckzg. Loaded once: it takes seconds."""
    return ckzg.load_trusted_setup(TRUSTED_SETUP, 0)


def setup_points() -> bytes:
    """What CellVerifier is deployed with: 8704 bytes. Raises BlobError when the file is missing."""
    try:
        return bytes.fromhex(SETUP_FILE.read_text())
    except (OSError, ValueError) as error:
        raise BlobError(f"{SETUP_FILE} is missing or damaged: make it with tools/kzg_setup.py") from error


def _element(blob: bytes, index: int) -> int:
    return int.from_bytes(blob[index * ELEMENT_BYTES : (index + 1) * ELEMENT_BYTES], "big")
