"""Poseidon over BN254 with circomlib's parameters, computed in WebAssembly (see `assembly`)."""

from collections.abc import Sequence
from typing import Final

from layer2.crypto import machine
from layer2.crypto.errors import FieldError
from layer2.crypto.field import R
from layer2.crypto.machine import climb

__all__ = ["MAX_INPUTS", "climb", "poseidon", "poseidon4"]

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
    return machine.poseidon(inputs)


def poseidon4(a: int, b: int, c: int, d: int) -> int:
    """Poseidon₄(a, b, c, d) for integers known to be below r: without checks."""
    return machine.poseidon((a, b, c, d))
