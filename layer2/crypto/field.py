"""Constants of the scalar field of BN254 and of BabyJubJub (docs/protocol.md §1)."""

from typing import Final

R: Final = 21888242871839275222246405745257275088548364400416034343698204186575808495617
"""Order of BN254's scalar field: every value inside a circuit is an integer below it."""

L: Final = 2736030358979909402780800718157159386076813972158567259200215660948447373041
"""Prime order of the subgroup of BabyJubJub that `B8` generates; the curve has 8·L points."""

COFACTOR: Final = 8

A: Final = 168700
"""Coefficient of x² in A·x² + y² = 1 + D·x²·y². A square in the field, so addition is complete."""

D: Final = 168696
"""Coefficient of x²·y² in A·x² + y² = 1 + D·x²·y². Not a square in the field."""
