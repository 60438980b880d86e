"""The curve BabyJubJub: points, scalar multiplication and the equation of EdDSA.

Points are affine. Multiplication runs in WebAssembly (see `assembly`), on the isomorphic curve
-x² + y² = 1 - (D/A)·x²·y² (x scaled by √-A), because its addition needs one multiplication less. Formulas: Hisil,
Wong, Carter, Dawson, "Twisted Edwards Curves Revisited" (2008), §3.1 for addition (complete here: -1
is a square and -D/A is not, so it also adds the identity and equal points) and §3.3 for doubling.
Not constant time.
"""

from typing import Final, NamedTuple

from layer2.crypto import machine
from layer2.crypto.errors import CryptoError
from layer2.crypto.field import BASE_X, BASE_Y, COFACTOR, SQRT_MINUS_A, A, D, L, R


class Point(NamedTuple):
    """An affine point (x, y). Nothing is checked on creation: see `on_curve`."""

    x: int
    y: int


IDENTITY: Final = Point(0, 1)
B8: Final = Point(BASE_X, BASE_Y)
"""circomlib's base point, of order L."""

_S_INVERSE: Final = pow(SQRT_MINUS_A, -1, R)


def on_curve(point: Point) -> bool:
    """Whether both coordinates are integers in [0, r) that satisfy A·x² + y² = 1 + D·x²·y².

    True also for points outside the prime subgroup, the identity among them.
    """
    try:
        x, y = point
    except (TypeError, ValueError):  # not a pair: data from outside may hold anything
        return False
    if type(x) is not int or type(y) is not int or not 0 <= x < R or not 0 <= y < R:
        return False
    x2 = x * x % R
    y2 = y * y % R
    return (A * x2 + y2 - 1 - D * x2 * y2) % R == 0


def add(p: Point, q: Point) -> Point:
    """The sum of two points of the curve. Raises CryptoError when one is not on it."""
    _check(p)
    _check(q)
    product = D * p.x * q.x * p.y * q.y % R
    x = (p.x * q.y + p.y * q.x) * pow(1 + product, -1, R) % R
    y = (p.y * q.y - A * p.x * q.x) * pow(1 - product, -1, R) % R
    return Point(x, y)


def multiply(point: Point, scalar: int) -> Point:
    """scalar·point for any point of the curve (also of small order) and any integer scalar ≥ 0.

    Raises CryptoError when the point is not on the curve or the scalar is negative.
    """
    if scalar < 0:
        raise CryptoError(f"scalar {scalar} is negative; reduce it modulo the order of the point")
    _check(point)
    return _combine(point, scalar % (COFACTOR * L), 0)


def multiply_b8(scalar: int) -> Point:
    """scalar·B8 for any integer scalar."""
    return _combine(IDENTITY, 0, scalar % L)


def equation_holds(s: int, h: int, a: Point, r8: Point) -> bool:
    """Whether s·B8 = r8 + 8·h·a, and 8·a is not the identity (docs/protocol.md §1).

    `a` and `r8` must be on the curve, `s` and `h` non-negative; the caller checks.
    """
    # The points of order 1 and 2 have x = 0, those of order 4 y = 0; of order 8 are those that doubling takes there.
    if not a.x or not a.y or (a.y * a.y - A * a.x * a.x) % R == 0:
        return False
    # 8·a has order L.
    x, y, z = machine.combine(-a.x * SQRT_MINUS_A % R, a.y, COFACTOR * (h % L), s % L)
    return (x - SQRT_MINUS_A * r8.x * z) % R == 0 and (y - r8.y * z) % R == 0


def _check(point: Point) -> None:
    if not on_curve(point):
        raise CryptoError(f"{tuple(point)} is not a point of BabyJubJub; check both coordinates with on_curve")


def _combine(point: Point, m: int, s: int) -> Point:
    x, y, z = machine.combine(point.x * SQRT_MINUS_A % R, point.y, m, s)
    inverse = pow(z, -1, R)
    return Point(x * _S_INVERSE * inverse % R, y * inverse % R)
