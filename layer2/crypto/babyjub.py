"""The curve BabyJubJub: points, scalar multiplication and the equation of EdDSA.

Points are affine outside this module. Inside, they live on the isomorphic curve
-x² + y² = 1 + d'·x²·y² (x scaled by √-A, d' = -D/A) in extended coordinates (X, Y, Z, T) with
x = X/Z, y = Y/Z, T = X·Y/Z, because its addition needs one multiplication less. Formulas: Hisil,
Wong, Carter, Dawson, "Twisted Edwards Curves Revisited" (2008), §3.1 for addition (complete here: -1
is a square and d' is not, so it also adds the identity and equal points) and §3.3 for doubling.
Not constant time.
"""

from functools import cache
from typing import Final, NamedTuple

from gmpy2 import invert, mpz

from layer2.crypto.errors import CryptoError
from layer2.crypto.field import A, D, L, R


class Point(NamedTuple):
    """An affine point (x, y). Nothing is checked on creation: see `on_curve`."""

    x: int
    y: int


IDENTITY: Final = Point(0, 1)
B8: Final = Point(
    5299619240641551281634865583518297030282874472190772894086521144482721001553,
    16950150798460657717958625567821834550301663161624707787222815936182638968203,
)
"""circomlib's base point, of order L."""

SQRT_MINUS_A: Final = 6360561867910373094066688120553762416144456282423235903351243436111059670888
"""A square root of -A: x ↦ x·SQRT_MINUS_A maps BabyJubJub to the curve computed on."""

# (X, Y, Z, T), all reduced.
_Extended = tuple[mpz, mpz, mpz, mpz]
# (Y - X, Y + X, 2·Z, 2·d'·T): a point prepared to be added several times.
_Prepared = tuple[mpz, mpz, mpz, mpz]
# (y - x, y + x, 2·d'·x·y): the same for an affine point.
_Affine = tuple[mpz, mpz, mpz]

_P: Final = mpz(R)
_ONE: Final = mpz(1)
_S: Final = mpz(SQRT_MINUS_A)
_S_INVERSE: Final = invert(_S, _P)
_D: Final = -D * invert(mpz(A), _P) % _P
_2D: Final = 2 * _D % _P
_L: Final = mpz(L)
_HALF: Final = _ONE << 126  # about √L
_ZERO: Final[_Extended] = (mpz(0), _ONE, _ONE, mpz(0))


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
    x2 = mpz(x) * x % _P
    y2 = mpz(y) * y % _P
    return bool((A * x2 + y2 - 1 - D * (x2 * y2 % _P)) % _P == 0)


def add(p: Point, q: Point) -> Point:
    """The sum of two points of the curve. Raises CryptoError when one is not on it."""
    return _to_affine(_add(_to_extended(p), _prepare(_to_extended(q))))


def multiply(point: Point, scalar: int) -> Point:
    """scalar·point for any point of the curve (also of small order) and any integer scalar ≥ 0.

    Raises CryptoError when the point is not on the curve or the scalar is negative.
    """
    if scalar < 0:
        raise CryptoError(f"scalar {scalar} is negative; reduce it modulo the order of the point")
    prepared = _prepare(_to_extended(point))
    accumulator = _ZERO
    for bit in bin(scalar)[2:]:
        accumulator = _double(accumulator)
        if bit == "1":
            accumulator = _add(accumulator, prepared)
    return _to_affine(accumulator)


def multiply_b8(scalar: int) -> Point:
    """scalar·B8 for any integer scalar, by the table of B8's multiples: about 60 µs."""
    return _to_affine(_add_b8(_ZERO, mpz(scalar) % _L))


def equation_holds(s: int, h: int, a: Point, r8: Point) -> bool:
    """Whether s·B8 = r8 + 8·h·a, and 8·a is not the identity (docs/protocol.md §1).

    `a` and `r8` must be on the curve, `s` and `h` non-negative; the caller checks.

    Instead of h·8a with its 251 doublings this computes, with u ≡ v·h (mod L) and u, v of about
    half the length, v·s·B8 - u·8a - v·r8 = 0 (Antipa et al., "Accelerated Verification of ECDSA
    Signatures", 2005, with an odd v). It is the same statement: B8 and 8a have order L, so the
    sum is v·(s·B8 - 8·h·a - r8). The point in brackets is of the form (subgroup point + torsion
    point); multiplying by v kills neither part, since 0 < |v| < L and v is odd while torsion
    has order 1, 2, 4 or 8.
    """
    a8 = _double(_double(_double(_to_extended_unchecked(a))))
    if not a8[0]:
        return False
    u, v = _half_size(mpz(h) % _L)
    total = _add_b8(_double_multiply(-u, a8, -v, _to_extended_unchecked(r8)), v * s % _L)
    return bool(total[0] == 0 and total[1] == total[2])


def _half_size(h: mpz) -> tuple[mpz, mpz]:
    """(u, v) with u ≡ v·h (mod L), v odd, 0 < |v| < L and both usually about 126 bits.

    The extended Euclidean algorithm on (L, h), stopped half way. Neighbouring v are coprime, so
    one of the last two is odd; the first pair is (0, 1), so an even v has a non-zero one before it.
    """
    u0, u1, v0, v1 = _L, h, mpz(0), _ONE
    while u1 > _HALF:
        quotient = u0 // u1
        u0, u1 = u1, u0 - quotient * u1
        v0, v1 = v1, v0 - quotient * v1
    return (u1, v1) if v1.is_odd() else (u0, v0)


def _to_extended(point: Point) -> _Extended:
    if not on_curve(point):
        raise CryptoError(f"{tuple(point)} is not a point of BabyJubJub; check both coordinates with on_curve")
    return _to_extended_unchecked(point)


def _to_extended_unchecked(point: Point) -> _Extended:
    x = _S * point[0] % _P
    y = mpz(point[1])
    return x, y, _ONE, x * y % _P


def _to_affine(point: _Extended) -> Point:
    x, y, z, _ = point
    inverse = invert(z, _P)
    return Point(int(x * inverse % _P * _S_INVERSE % _P), int(y * inverse % _P))


def _double(p: _Extended) -> _Extended:
    x, y, z, _ = p
    xx = x * x
    yy = y * y
    e = (x * y << 1) % _P
    g = (yy - xx) % _P
    h = -(xx + yy) % _P
    f = (g - (z * z << 1)) % _P
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _prepare(p: _Extended) -> _Prepared:
    x, y, z, t = p
    return y - x, y + x, z << 1, _2D * t % _P


def _add(p: _Extended, q: _Prepared) -> _Extended:
    x, y, z, t = p
    minus, plus, z2, t2 = q
    a = (y - x) * minus
    b = (y + x) * plus
    c = t * t2
    d = z * z2
    e = (b - a) % _P
    f = (d - c) % _P
    g = (d + c) % _P
    h = (b + a) % _P
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _add_affine(p: _Extended, q: _Affine) -> _Extended:
    x, y, z, t = p
    minus, plus, t2 = q
    a = (y - x) * minus
    b = (y + x) * plus
    c = t * t2
    d = z << 1
    e = (b - a) % _P
    f = (d - c) % _P
    g = (d + c) % _P
    h = (b + a) % _P
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _digits(scalar: mpz, length: int) -> list[int]:
    """Signed digits of |scalar|, lowest first, odd or 0, below 8 in size, at most one in 4 not 0 (wNAF)."""
    digits = [0] * length
    position = 0
    rest = abs(scalar)
    while rest:
        shift = rest.bit_scan1(0) or 0
        rest >>= shift
        position += shift
        digit = int(rest & 15)
        if digit > 8:
            digit -= 16
        digits[position] = digit
        rest -= digit
    return digits


def _odd_multiples(p: _Extended, negative: bool) -> dict[int, _Prepared]:
    """±1, ±3, ±5, ±7 times p (or -p), by digit; the key 0 is never asked for."""
    double = _prepare(_double(p))
    table: dict[int, _Prepared] = {}
    sign = -1 if negative else 1
    for digit in (1, 3, 5, 7):
        if digit > 1:
            p = _add(p, double)
        prepared = _prepare(p)
        minus, plus, z2, t2 = prepared
        table[sign * digit] = prepared
        table[-sign * digit] = (plus, minus, z2, -t2)
    return table


def _double_multiply(m: mpz, p: _Extended, n: mpz, q: _Extended) -> _Extended:
    """m·p + n·q for integers of any sign, with shared doublings (Straus) and 4-bit signed digits."""
    length = max(m.bit_length(), n.bit_length()) + 1
    p_digits = _digits(m, length)
    q_digits = _digits(n, length)
    p_table = _odd_multiples(p, m < 0)
    q_table = _odd_multiples(q, n < 0)
    modulus = _P
    x, y, z, t = _ZERO
    for i in range(length - 1, -1, -1):
        # _double, inlined: T is only needed when an addition follows, and this is the hot loop.
        xx = x * x
        yy = y * y
        e = (x * y << 1) % modulus
        g = (yy - xx) % modulus
        h = -(xx + yy) % modulus
        f = (g - (z * z << 1)) % modulus
        x = e * f % modulus
        y = g * h % modulus
        z = f * g % modulus
        p_digit = p_digits[i]
        q_digit = q_digits[i]
        if p_digit or q_digit or not i:
            t = e * h % modulus
            if p_digit:
                x, y, z, t = _add((x, y, z, t), p_table[p_digit])
            if q_digit:
                x, y, z, t = _add((x, y, z, t), q_table[q_digit])
    return x, y, z, t


@cache
def _b8_table() -> tuple[tuple[_Affine, ...], ...]:
    """For each of the 32 bytes of a scalar, lowest first, the 256 multiples byte·256ⁱ·B8."""
    points: list[_Extended] = []
    base = _to_extended_unchecked(B8)
    for _ in range(32):
        prepared = _prepare(base)
        multiple = _ZERO
        for _ in range(256):
            points.append(multiple)
            multiple = _add(multiple, prepared)
        base = multiple
    # One inversion for all (Montgomery's trick).
    products = [_ONE]
    for point in points:
        products.append(products[-1] * point[2] % _P)
    inverse = invert(products[-1], _P)
    entries: list[_Affine] = []
    for product, (x, y, z, _) in zip(reversed(products[:-1]), reversed(points), strict=True):
        z_inverse = inverse * product % _P
        inverse = inverse * z % _P
        x = x * z_inverse % _P
        y = y * z_inverse % _P
        entries.append((y - x, y + x, x * y % _P * _2D % _P))
    entries.reverse()
    return tuple(tuple(entries[start : start + 256]) for start in range(0, len(entries), 256))


def _add_b8(p: _Extended, scalar: mpz) -> _Extended:
    """p + scalar·B8 for 0 ≤ scalar < L: one table look-up a byte."""
    for byte, row in zip(int(scalar).to_bytes(32, "little"), _b8_table(), strict=True):
        if byte:
            p = _add_affine(p, row[byte])
    return p
