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

BASE_X: Final = 5299619240641551281634865583518297030282874472190772894086521144482721001553
BASE_Y: Final = 16950150798460657717958625567821834550301663161624707787222815936182638968203
"""circomlib's base point of BabyJubJub, of order L."""

SQRT_MINUS_A: Final = 6360561867910373094066688120553762416144456282423235903351243436111059670888
"""A square root of -A: x ↦ x·SQRT_MINUS_A maps BabyJubJub to the curve -x² + y² = 1 - (D/A)·x²·y²."""
