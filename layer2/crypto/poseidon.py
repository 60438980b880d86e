"""Poseidon over BN254, circomlib's parameters: the Rust `light-poseidon` where it is installed, else Python."""

from collections.abc import Sequence
from typing import Final

from layer2.crypto.errors import FieldError
from layer2.crypto.field import R
from layer2.crypto.poseidon_python import hash_python

try:
    from light_poseidon_python import Hasher
except ImportError:
    _ACCELERATED = False
else:
    _ACCELERATED = True
    _HASH: Final = tuple(Hasher(size).hash_bytes_be for size in range(1, 13))
    _hash4 = _HASH[3]

MAX_INPUTS: Final = 12


def poseidon(inputs: Sequence[int]) -> int:
    """Poseidonₖ(inputs) for k = 1 … 12 integers below r, an integer below r.

    Raises FieldError for another number of inputs or an input outside [0, r).
    Source: circomlib's `poseidon.circom`; the tests compare with circomlibjs.
    """
    size = len(inputs)
    if not 1 <= size <= MAX_INPUTS:
        raise FieldError(f"Poseidon takes 1 to {MAX_INPUTS} inputs, got {size}; chain the hash for longer data")
    for value in inputs:
        if type(value) is not int or not 0 <= value < R:
            raise FieldError(f"Poseidon input {value!r} is not an integer in [0, r); reduce or refuse it first")
    if not _ACCELERATED:
        return hash_python(inputs)
    return int(_HASH[size - 1]([value.to_bytes(32) for value in inputs]), 16)


def poseidon4(a: int, b: int, c: int, d: int) -> int:
    """Poseidon₄(a, b, c, d) for integers known to be below r: the tree's inner loop, without checks."""
    if not _ACCELERATED:
        return hash_python((a, b, c, d))
    return int(_hash4([a.to_bytes(32), b.to_bytes(32), c.to_bytes(32), d.to_bytes(32)]), 16)
