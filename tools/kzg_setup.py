"""Writes contracts/optimistic/generated/kzg_setup.hex, the points that CellVerifier is deployed with.

They are [τᵏ]₁ for k = 0 … 63 (128 bytes each), [1]₂ and [τ⁶⁴]₂ (256 bytes each) of Ethereum's KZG ceremony,
uncompressed as in EIP-2537, in hex. Source: the trusted setup that eth-account ships, which Ethereum's clients use as
well. Its lines: the number of points in G1 and in G2, the points of G1 in Lagrange form, those of G2, those of G1 in
monomial form, all compressed.

    .venv/bin/python tools/kzg_setup.py [FILE]
"""

import sys
from pathlib import Path

from eth_account.typed_transactions.base import TRUSTED_SETUP
from py_ecc.bls.point_compression import decompress_G1, decompress_G2
from py_ecc.optimized_bls12_381 import normalize

OUTPUT = Path(__file__).parent.parent / "contracts" / "optimistic" / "generated" / "kzg_setup.hex"
CELL_ELEMENTS = 64


def points() -> bytes:
    lines = Path(TRUSTED_SETUP).read_text().split()
    g1_count, g2_count = int(lines[0]), int(lines[1])
    g2 = lines[2 + g1_count :][:g2_count]
    monomial = lines[2 + g1_count + g2_count :]
    parts = []
    for line in monomial[:CELL_ELEMENTS]:
        parts += [int(c) for c in normalize(decompress_G1(int(line, 16)))]
    for line in (g2[0], g2[CELL_ELEMENTS]):
        for coordinate in normalize(decompress_G2((int(line[:96], 16), int(line[96:], 16)))):
            parts += [int(c) for c in coordinate.coeffs]
    return b"".join(part.to_bytes(64, "big") for part in parts)


if __name__ == "__main__":
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else OUTPUT
    text = points().hex()
    output.write_text("".join(f"{text[i : i + 128]}\n" for i in range(0, len(text), 128)))
