import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layer2.crypto.babyjub import (
    B8,
    IDENTITY,
    Point,
    add,
    multiply,
    multiply_b8,
    on_curve,
)
from layer2.crypto.errors import CryptoError
from layer2.crypto.field import COFACTOR, SQRT_MINUS_A, A, D, L, R

# circomlib's generator of all 8·L points; L times it generates the 8 points of small order.
GENERATOR = Point(
    995203441582195749578291179787384436505546430278305826713579947235728471134,
    5472060717959818805561601436314318772137091100104008585924551046643952123905,
)
TORSION = [multiply(GENERATOR, L * i) for i in range(COFACTOR)]

scalars = st.integers(0, 8 * L)


def plain_add(p: Point, q: Point) -> Point:
    """The affine addition law, written down as in circomlib's documentation."""
    product = D * p.x * q.x * p.y * q.y
    x = (p.x * q.y + p.y * q.x) * pow(1 + product, -1, R) % R
    y = (p.y * q.y - A * p.x * q.x) * pow(1 - product, -1, R) % R
    return Point(x, y)


def plain_multiply(point: Point, scalar: int) -> Point:
    """Double and add, by the affine law."""
    total = IDENTITY
    for bit in f"{scalar:b}":
        total = plain_add(total, total)
        if bit == "1":
            total = plain_add(total, point)
    return total


def test_the_constant_is_a_root_of_minus_a():
    assert SQRT_MINUS_A**2 % R == -A % R


def test_b8_has_order_l_and_the_generator_eight_times_that():
    assert multiply(B8, L) == IDENTITY
    assert multiply(GENERATOR, COFACTOR) == B8
    assert len(set(TORSION)) == COFACTOR
    assert TORSION[4] == Point(0, R - 1)
    assert multiply(GENERATOR, COFACTOR * L) == IDENTITY


@pytest.mark.parametrize(
    "point",
    [
        Point(1, 1),
        Point(0, 0),
        Point(B8.x, B8.y + 1),
        Point(B8.x + R, B8.y),
        Point(B8.x, B8.y + R),
        Point(B8.x - R, B8.y),
        Point(True, B8.y),
        Point(str(B8.x), B8.y),
    ],
)
def test_off_curve(point):
    assert not on_curve(point)
    with pytest.raises(CryptoError, match="is not a point of BabyJubJub"):
        multiply(point, 2)
    with pytest.raises(CryptoError, match="is not a point of BabyJubJub"):
        add(B8, point)


def test_on_curve():
    assert all(on_curve(point) for point in [B8, IDENTITY, GENERATOR, *TORSION])
    assert on_curve(Point(R - B8.x, B8.y))


def test_multiply_refuses_negative_scalars():
    with pytest.raises(CryptoError, match="scalar -1 is negative"):
        multiply(B8, -1)


@given(scalars, scalars)
def test_addition_is_the_plain_law(m, n):
    p, q = multiply(GENERATOR, m), multiply(GENERATOR, n)
    assert add(p, q) == plain_add(p, q) == multiply(GENERATOR, m + n)


@given(scalars, scalars, st.sampled_from(TORSION))
@settings(max_examples=25)
def test_multiplication_is_repeated_addition(m, scalar, torsion):
    point = plain_add(plain_multiply(GENERATOR, m), torsion)
    assert multiply(point, scalar) == plain_multiply(point, scalar)


@pytest.mark.parametrize("scalar", [0, 1, 7, 8, 15, 16, 127, 128, 2**64, 2**253, L - 1, L, 8 * L - 1, 8 * L, 2**300])
@pytest.mark.parametrize("point", [B8, GENERATOR, IDENTITY, *TORSION[1:5]])
def test_multiplication_by_scalars_with_extreme_digits(point, scalar):
    assert multiply(point, scalar) == plain_multiply(point, scalar)


@pytest.mark.parametrize("p", TORSION)
@pytest.mark.parametrize("q", [*TORSION, B8])
def test_addition_is_complete(p, q):
    assert add(p, q) == plain_add(p, q)


@given(st.integers(-L, 2 * L))
def test_fixed_base_equals_variable_base(scalar):
    assert multiply_b8(scalar) == multiply(B8, scalar % L)


@pytest.mark.parametrize("scalar", [0, 1, 2, 255, 256, 2**250, L - 1, L])
def test_fixed_base_edges(scalar):
    assert multiply_b8(scalar) == multiply(B8, scalar)


def test_multiply_equals_circomlib(circomlib):
    generator = random.Random(2)
    cases = [(GENERATOR, generator.randrange(8 * L)) for _ in range(4)]
    cases += [(B8, generator.randrange(L)), (TORSION[1], 5), (B8, 0)]
    answers = circomlib([{"multiply": [str(p.x), str(p.y), str(k)]} for p, k in cases])
    assert [multiply(p, k) for p, k in cases] == [Point(int(x), int(y)) for x, y in answers]
