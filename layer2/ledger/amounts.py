"""float40 and fee8, the decimal floats of amounts and fees in calldata (docs/protocol.md §3)."""

from typing import Final

from layer2.ledger.constants import (
    FEE8_EXPONENT_BITS,
    FEE8_MANTISSA_BITS,
    FLOAT40_EXPONENT_BITS,
    FLOAT40_MANTISSA_BITS,
)
from layer2.ledger.errors import AmountError

MAX_FLOAT40: Final = ((1 << FLOAT40_MANTISSA_BITS) - 1) * 10 ** ((1 << FLOAT40_EXPONENT_BITS) - 1)
"""The largest value of a float40; more than any balance can hold."""

MAX_FEE8: Final = ((1 << FEE8_MANTISSA_BITS) - 1) * 10 ** ((1 << FEE8_EXPONENT_BITS) - 1)
"""The largest value of a fee8: 15·10¹⁵."""


def encode_float40(value: int) -> int:
    """The canonical float40 of a value in the token's smallest unit: 40 bits, the smallest exact exponent.

    Raises AmountError, naming the two nearest representable values, when it cannot be held exactly.
    """
    return _encode(value, "amount", FLOAT40_MANTISSA_BITS, FLOAT40_EXPONENT_BITS)


def decode_float40(encoded: int) -> int:
    """The value m·10^e of any 40 bits, canonical or not. Raises AmountError for more than 40 bits."""
    return _decode(encoded, "float40", FLOAT40_MANTISSA_BITS, FLOAT40_EXPONENT_BITS)


def nearest_float40(value: int) -> tuple[int, int]:
    """The largest float40 value ≤ `value` and the smallest ≥ `value`; equal when it is representable.

    Raises AmountError for a value below 0 or above MAX_FLOAT40.
    """
    return _nearest(value, "amount", FLOAT40_MANTISSA_BITS, FLOAT40_EXPONENT_BITS)


def encode_fee8(value: int) -> int:
    """The canonical fee byte of a value in the token's smallest unit.

    Raises AmountError, naming the two nearest representable values, when it cannot be held exactly.
    """
    return _encode(value, "fee", FEE8_MANTISSA_BITS, FEE8_EXPONENT_BITS)


def decode_fee8(encoded: int) -> int:
    """The value m·10^e of any byte. Raises AmountError for more than 8 bits."""
    return _decode(encoded, "fee8", FEE8_MANTISSA_BITS, FEE8_EXPONENT_BITS)


def nearest_fee8(value: int) -> tuple[int, int]:
    """The largest fee8 value ≤ `value` and the smallest ≥ `value`; equal when it is representable.

    Raises AmountError for a value below 0 or above MAX_FEE8.
    """
    return _nearest(value, "fee", FEE8_MANTISSA_BITS, FEE8_EXPONENT_BITS)


def _check(value: int, what: str, mantissa_bits: int, exponent_bits: int) -> None:
    maximum = ((1 << mantissa_bits) - 1) * 10 ** ((1 << exponent_bits) - 1)
    if type(value) is not int or not 0 <= value <= maximum:
        raise AmountError(f"{what} {value!r} is not an integer from 0 to {maximum}; give smallest units within it")


def _encode(value: int, what: str, mantissa_bits: int, exponent_bits: int) -> int:
    _check(value, what, mantissa_bits, exponent_bits)
    mantissa = value
    exponent = 0
    while mantissa >> mantissa_bits:
        mantissa, digit = divmod(mantissa, 10)
        exponent += 1
        if digit or exponent >> exponent_bits:
            below, above = _nearest(value, what, mantissa_bits, exponent_bits)
            raise AmountError(
                f"{what} {value} has too many digits for {mantissa_bits} bits of mantissa; "
                f"the nearest that fit are {below} and {above}"
            )
    return exponent << mantissa_bits | mantissa


def _decode(encoded: int, what: str, mantissa_bits: int, exponent_bits: int) -> int:
    bits = mantissa_bits + exponent_bits
    if type(encoded) is not int or not 0 <= encoded < 1 << bits:
        raise AmountError(f"{what} {encoded!r} is not an integer of {bits} bits; take the bytes of one field")
    return int((encoded & (1 << mantissa_bits) - 1) * 10 ** (encoded >> mantissa_bits))


def _nearest(value: int, what: str, mantissa_bits: int, exponent_bits: int) -> tuple[int, int]:
    _check(value, what, mantissa_bits, exponent_bits)
    below = 0
    above = None
    limit = (1 << mantissa_bits) - 1
    for exponent in range(1 << exponent_bits):
        unit = 10**exponent
        # Where the mantissa would overflow, its maximum may still be the nearest value from below.
        below = max(below, min(value // unit, limit) * unit)
        ceiling = -(-value // unit)
        if ceiling <= limit:
            above = ceiling * unit if above is None else min(above, ceiling * unit)
    assert above is not None  # value ≤ maximum, so the largest exponent always has one
    return below, above
