"""The constants of Poseidon over BN254, circomlib's parameters, with the partial rounds as one linear filter.

Nothing is copied from a table: round constants and matrix come from the Grain LFSR as in Grassi et al.,
"Poseidon: A New Hash Function for Zero-Knowledge Proof Systems" (https://eprint.iacr.org/2019/458),
appendices B and F; the numbers of rounds are that paper's for 128 bits, rounded up as circomlib does.
Arguments of `generate_parameters_grain.sage` that give the same: `1 0 254 t 8 R_P r`.
"""

from collections.abc import Iterator, Sequence
from itertools import chain, count, islice
from operator import mul
from typing import Final

from layer2.crypto.field import R

FULL_ROUNDS: Final = 8
PARTIAL_ROUNDS: Final = (56, 57, 56, 60, 60, 63, 64, 63, 60, 66, 60, 65)
"""By number of inputs, 1 … 12; the state is one element wider."""

_BITS: Final = R.bit_length()

_Vector = list[int]
_Matrix = list[_Vector]


def _grain(width: int, partial_rounds: int, size: int) -> str:
    """About `size` bits of the paper's self-shrinking Grain LFSR for x⁵ over a prime field of 254 bits, or more."""
    # 80 bits, the oldest on top: field 1 (2 bits), S-box 0 (4), bits of r (12), width (12), rounds (10, 10), ones.
    stream, length = 1, 80
    for value, bits in ((0, 4), (_BITS, 12), (width, 12), (FULL_ROUNDS, 10), (partial_rounds, 10), (2**30 - 1, 30)):
        stream = stream << bits | value
    while length < 4 * size:
        # Bit i + 80 is the sum of bits i + 62, 51, 38, 23, 13 and 0, so 18 of them are known at once. Squaring this
        # over GF(2) doubles all distances, so more are known the more there are.
        scale = 1 << (length // 80).bit_length() - 1
        new = 0
        for distance in (0, 11, 24, 39, 49, 62):
            new ^= stream >> distance * scale
        stream = stream << 18 * scale | new & (1 << 18 * scale) - 1
        length += 18 * scale
    raw = (stream >> length % 8).to_bytes(length // 8)
    # Of each pair the second bit counts if the first is 1. The first 160 bits are dropped, beside the 80 of the start.
    kept = [
        "".join(bits[i + 1] for i in range(0, 8, 2) if bits[i] == "1")
        for bits in (f"{byte:08b}" for byte in range(256))
    ]
    return "".join(map(kept.__getitem__, raw[30:]))


def _dot(a: Sequence[int], b: Sequence[int]) -> int:
    product: int = sum(map(mul, a, b)) % R
    return product


def _times(matrix: _Matrix, vector: Sequence[int]) -> _Vector:
    """matrix · vector, reduced."""
    return [_dot(row, vector) for row in matrix]


def _transposed(matrix: _Matrix) -> _Matrix:
    return [list(column) for column in zip(*matrix, strict=True)]


def _product(a: _Matrix, b: _Matrix) -> _Matrix:
    return _transposed([_times(a, column) for column in _transposed(b)])


def _inverse(matrix: _Matrix) -> _Matrix:
    """Gauss-Jordan without exchange of rows: every leading minor of a Cauchy matrix is invertible."""
    size = len(matrix)
    rows = [row + [int(i == j) for j in range(size)] for i, row in enumerate(matrix)]
    for i in range(size):
        factor = pow(rows[i][i], -1, R)
        rows[i] = [value * factor % R for value in rows[i]]
        for j in range(size):
            if j != i:
                rows[j] = [(value - rows[j][i] * pivot) % R for value, pivot in zip(rows[j], rows[i], strict=True)]
    return [row[size:] for row in rows]


def parameters(size: int) -> tuple[_Matrix, _Matrix]:
    """Poseidon's constants for each round, and its matrix as a list of rows, for `size` inputs, 1 … 12."""
    width, partial_rounds = size + 1, PARTIAL_ROUNDS[size - 1]
    bits = _grain(width, partial_rounds, 2 * _BITS * width * (FULL_ROUNDS + partial_rounds))
    # Most significant bit first; a quarter of the numbers is not below r.
    numbers = (int(bits[at : at + _BITS], 2) for at in count(0, _BITS))
    below = (number for number in numbers if number < R)
    constants = [list(islice(below, width)) for _ in range(FULL_ROUNDS + partial_rounds)]
    # The script makes another matrix when one fails its tests; for these 12 widths the first one is circomlib's.
    xs, ys = list(islice(numbers, width)), list(islice(numbers, width))
    return constants, [[pow(x + y, -1, R) for y in ys] for x in xs]


def schedule(size: int) -> list[int]:
    """The numbers of all rounds for `size` inputs, 1 … 12, in order of use; milliseconds.

    A full round has a constant for each element, then the matrix row by row.

    The partial rounds are one linear filter, because only the first element passes the S-box. With the matrix
    [[m, v], [w, N]], n = `size` other elements ρ, and constants aside, round k makes of y(k), the S-box's output,

        f(k+1) = m·y(k) + v·ρ(k)        ρ(k+1) = w·y(k) + N·ρ(k)

    and like every such system it satisfies a recurrence without ρ (by Cayley and Hamilton):

        f(k+1) = Σ i=1…n of -aᵢ·f(k+1-i) + Σ i=0…n of bᵢ·y(k-i)

    which takes 2n + 1 products and one reduction a round. Before the first round y is 0, and f is what ρ(0) would
    have come from without inputs, f(-i) = uᵢ₊₁·ρ(0) with uᵢ = v·N⁻ⁱ: the matrix of the last full round before gives
    that instead of ρ(0). After the last round, the P-th, ρ is read off the last n values of f and y. Constants of the
    other elements go through the system by themselves and join the first element's, and those of the next full round.

    The numbers of all partial rounds: b₀, -a₁, b₁, … -aₙ, bₙ; a constant a round; then the rows that give ρ from
    f(P), y(P-1), … f(P-n+1), y(P-n).
    """
    constants, matrix = parameters(size)
    half = FULL_ROUNDS // 2
    partial = constants[half:-half]
    m, *v = matrix[0]
    w = [row[0] for row in matrix[1:]]
    block = [row[1:] for row in matrix[1:]]

    # u₁ … uₙ as rows, and the coefficients: f(1) = v·ρ(0) without inputs must be what the recurrence gives.
    from_the_left = _transposed(_inverse(block))
    backwards = [_times(from_the_left, v)]
    while len(backwards) < size:
        backwards.append(_times(from_the_left, backwards[-1]))
    forwards = _inverse(backwards)
    a = [1, *(-each for each in _times(_transposed(forwards), v))]
    responses, column = [m], w  # f(1), f(2), … when y(0) is 1 and all else 0
    for _ in range(size):
        responses.append(_dot(v, column))
        column = _times(block, column)
    b = [sum(a[j] * responses[i - j] for j in range(i + 1)) % R for i in range(size + 1)]

    # uᵢ₊₁·ρ(P) = f(P-i) - m·y(P-1-i) + Σ j=0…i of uᵢ₋ⱼ₊₁·w·y(P-1-j)
    echoes = [_dot(row, w) for row in backwards]
    of_y = [[echoes[i - j] - m * (i == j) if j <= i else 0 for j in range(size)] for i in range(size)]
    last = [
        list(chain.from_iterable(zip(f, y, strict=True)))
        for f, y in zip(forwards, _product(forwards, of_y), strict=True)
    ]

    firsts, others = [], [0] * size
    first = 0
    for own, *rest in partial:
        firsts.append((first + own) % R)
        others = [x + y for x, y in zip(others, rest, strict=True)]
        first, others = _dot(v, others), _times(block, others)
    after = [(x + y) % R for x, y in zip([first, *others], constants[-half], strict=True)]

    head = [(each, matrix) for each in constants[: half - 1]]
    tail = [(each, matrix) for each in constants[1 - half :]]
    joined = [matrix[0], *_product(backwards, matrix[1:])]
    filtering = [b[0], *chain.from_iterable(zip((-each % R for each in a[1:]), b[1:], strict=True))]
    return [
        *chain.from_iterable(_full_round(*each) for each in (*head, (constants[half - 1], joined))),
        *filtering,
        *firsts,
        *chain.from_iterable(last),
        *chain.from_iterable(_full_round(*each) for each in ((after, matrix), *tail)),
    ]


def _full_round(constants: _Vector, matrix: _Matrix) -> Iterator[int]:
    return chain(constants, *matrix)
