"""Blobs, their commitments and openings, against py_ecc and eth-account. On chain: tests/unit/optimistic_contracts."""

import random
from collections.abc import Callable

import ckzg
import pytest
from eth_account.typed_transactions.base import Blob, BlobPooledTransactionData
from hexbytes import HexBytes
from py_ecc.bls.point_compression import compress_G1, decompress_G1
from py_ecc.optimized_bls12_381 import G1, multiply, normalize

from layer2.optimistic import blobs
from layer2.optimistic.blobs import BASE_MODULUS, MODULUS
from layer2.optimistic.errors import BlobError

SOURCE = random.Random(7594)
BLOB = b"".join(SOURCE.randrange(MODULUS).to_bytes(32, "big") for _ in range(4096))
INFINITY = b"\xc0" + bytes(47)


def element(index: int) -> int:
    return int.from_bytes(BLOB[32 * index : 32 * index + 32], "big")


class TestBlob:
    @pytest.mark.parametrize("size", [0, 31, 131_071, 131_073, 262_144])
    def test_refuses_other_sizes(self, size: int) -> None:
        with pytest.raises(BlobError, match=f"131072 bytes, not {size}"):
            blobs.check(bytes(size))

    @pytest.mark.parametrize("index", [0, 1, 4095])
    @pytest.mark.parametrize("value", [MODULUS, MODULUS + 1, 2**256 - 1, (MODULUS >> 248) + 1 << 248])
    def test_attack_element_that_is_not_canonical(self, index: int, value: int) -> None:
        bad = BLOB[: 32 * index] + value.to_bytes(32, "big") + BLOB[32 * index + 32 :]
        for use in (blobs.check, blobs.commitment, blobs.blob_hash, blobs.cell_proofs):
            with pytest.raises(BlobError, match=f"element {index} of the blob"):
                use(bad)
        with pytest.raises(BlobError, match=f"element {index} of the blob"):
            blobs.open_cell(bad, 0)
        with pytest.raises(BlobError, match=f"element {index} of the blob"):
            blobs.open_element(bad, 0)

    def test_takes_the_largest_element(self) -> None:
        blobs.check((MODULUS - 1).to_bytes(32, "big") * 4096)

    def test_versioned_hash_is_ethereums(self) -> None:
        theirs = BlobPooledTransactionData(blobs=[Blob(data=HexBytes(BLOB))])
        assert blobs.commitment(BLOB) == theirs.commitments[0].as_bytes()
        assert blobs.blob_hash(BLOB) == theirs.versioned_hashes[0].as_bytes()

    @pytest.mark.parametrize("size", [0, 47, 49, 128])
    def test_hash_of_something_else(self, size: int) -> None:
        with pytest.raises(BlobError, match=f"48 bytes, not {size}"):
            blobs.versioned_hash(bytes(size))


class TestOpenings:
    @pytest.mark.parametrize("index", [0, 1, 40, 63])
    def test_cell(self, index: int) -> None:
        opening = blobs.open_cell(BLOB, index)
        assert opening.elements == tuple(element(64 * index + i) for i in range(64))
        proof = blobs.cell_proofs(BLOB)[index]
        assert opening.proof == blobs.decompress(proof)
        cell = BLOB[2048 * index : 2048 * index + 2048]
        assert ckzg.verify_cell_kzg_proof_batch(
            [blobs.commitment(BLOB)], [index], [cell], [proof], blobs.trusted_setup()
        )

    @pytest.mark.parametrize("index", [0, 1, 2049, 4095])
    def test_element(self, index: int) -> None:
        opening = blobs.open_element(BLOB, index)
        assert opening.element == element(index)
        point, value = (number.to_bytes(32, "big") for number in (blobs.domain_point(index), opening.element))
        assert ckzg.verify_kzg_proof(blobs.commitment(BLOB), point, value, opening.proof, blobs.trusted_setup())

    @pytest.mark.parametrize("index", [-1, 64, 128])
    def test_no_such_cell(self, index: int) -> None:
        with pytest.raises(BlobError, match=f"cells 0 to 63, not {index}"):
            blobs.open_cell(BLOB, index)

    @pytest.mark.parametrize("index", [-1, 4096])
    def test_no_such_element(self, index: int) -> None:
        with pytest.raises(BlobError, match=f"elements 0 to 4095, not {index}"):
            blobs.open_element(BLOB, index)


class TestDecompression:
    @pytest.mark.parametrize("factor", range(1, 20))
    def test_agrees_with_py_ecc(self, factor: int) -> None:
        x, y = (int(c) for c in normalize(multiply(G1, factor)))
        point = compress_G1(multiply(G1, factor)).to_bytes(48, "big")
        assert blobs.decompress(point) == x.to_bytes(64, "big") + y.to_bytes(64, "big")

    def test_infinity(self) -> None:
        assert blobs.decompress(INFINITY) == bytes(128)

    def test_outside_the_subgroup(self) -> None:
        """(0, ±2): of order 3. The contract refuses it."""
        assert blobs.decompress(b"\x80" + bytes(47)) == bytes(127) + b"\2"
        assert blobs.decompress(b"\xa0" + bytes(47)) == bytes(64) + (BASE_MODULUS - 2).to_bytes(64, "big")

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda point: point[1:], "48 bytes, not 47"),
            (lambda point: point + b"\0", "48 bytes, not 49"),
            (lambda point: bytes([point[0] & 0x7F]) + point[1:], "not in compressed form"),
            (lambda point: bytes([point[0] | 0x40]) + point[1:], "says that it is infinity"),
            (lambda point: INFINITY[:-1] + b"\1", "says that it is infinity"),
            (lambda point: b"\xe0" + bytes(47), "says that it is infinity"),
            (lambda point: _compressed(BASE_MODULUS), "is not a point"),
            (lambda point: _compressed(BASE_MODULUS + 4), "is not a point"),
            (lambda point: _compressed(2**381 - 1), "is not a point"),
            (lambda point: _compressed(1), "is not a point"),
        ],
    )
    def test_malformed(self, change: Callable[[bytes], bytes], words: str) -> None:
        point = change(compress_G1(multiply(G1, 5)).to_bytes(48, "big"))
        with pytest.raises(BlobError, match=words):
            blobs.decompress(point)
        if len(point) == 48:
            with pytest.raises(ValueError, match=r"flag|x value|square|point|field|modulus"):
                decompress_G1(int.from_bytes(point, "big"))


def _compressed(x: int) -> bytes:
    return (1 << 383 | x).to_bytes(48, "big")


def test_setup_points_missing(monkeypatch, tmp_path) -> None:
    assert len(blobs.setup_points()) == 8704
    monkeypatch.setattr(blobs, "SETUP_FILE", tmp_path / "none")
    with pytest.raises(BlobError, match=r"tools/kzg_setup\.py"):
        blobs.setup_points()
    (tmp_path / "none").write_text("zz")
    with pytest.raises(BlobError, match=r"tools/kzg_setup\.py"):
        blobs.setup_points()
