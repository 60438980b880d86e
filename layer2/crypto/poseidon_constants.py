"""The constants of Poseidon over BN254, circomlib's parameters, with the partial rounds in their fast form.

Nothing is copied from a table: round constants and matrix come from the Grain LFSR as in Grassi et al.,
"Poseidon: A New Hash Function for Zero-Knowledge Proof Systems" (https://eprint.iacr.org/2019/458),
appendices B and F; the numbers of rounds are that paper's for 128 bits, rounded up as circomlib does.
Arguments of `generate_parameters_grain.sage` that give the same: `1 0 254 t 8 R_P r`.
"""

from collections.abc import Sequence
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


def _times(matrix: _Matrix, vector: Sequence[int]) -> _Vector:
    """matrix · vector, reduced."""
    return [sum(map(mul, row, vector)) % R for row in matrix]


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
    """The numbers of all rounds for `size` inputs, 1 … 12, in order of use; up to 0.1 s.

    A full round has a constant for each element, then the matrix row by row. A partial round, of the paper's
    appendix B, has a constant for the first element only, the first row of its matrix and the rest of the first
    column. With M = [[m, v], [w, N]] the block diag(1, N) does not touch the element that goes through the S-box, so it
    moves in front of the S-box and into the matrix before. What remains of the k-th partial round from the end is
    [[m, v·N⁻ᵏ], [Nᵏ⁻¹·w, 1]]; the other elements' constants pass the S-box unchanged and join those of the next round.
    """
    constants, matrix = parameters(size)
    partial_rounds = PARTIAL_ROUNDS[size - 1]
    half = FULL_ROUNDS // 2
    corner, *row = matrix[0]
    column = [row[0] for row in matrix[1:]]
    block = [row[1:] for row in matrix[1:]]
    inverse_transposed = _transposed(_inverse(block))
    rows, columns, powers = [], [], []  # index k - 1 holds v·N⁻ᵏ, Nᵏ⁻¹·w and Nᵏ
    power = block
    for _ in range(partial_rounds):
        row = _times(inverse_transposed, row)
        rows.append(row)
        columns.append(column)
        powers.append(power)
        column, power = _times(block, column), _product(block, power)

    partial = []
    carried = [0] * (size + 1)
    for k, (first, *others) in zip(range(partial_rounds, 0, -1), constants[half:], strict=False):
        row = rows[k - 1]
        rest = [a + b for a, b in zip(carried[1:], _times(powers[k - 1], others), strict=True)]
        partial.append([(first + carried[0]) % R, corner, *row, *columns[k - 1]])
        carried = [sum(map(mul, row, rest)) % R, *rest]

    joined = [matrix[0], *_product(powers[-1], matrix[1:])]
    after = [(a + b) % R for a, b in zip(constants[half + partial_rounds], carried, strict=True)]
    full = [(each, matrix) for each in constants]
    head = [*full[: half - 1], (constants[half - 1], joined)]
    tail = [(after, matrix), *full[half + partial_rounds + 1 :]]
    return [
        *(number for each, rows in head for numbers in (each, *rows) for number in numbers),
        *chain.from_iterable(partial),
        *(number for each, rows in tail for numbers in (each, *rows) for number in numbers),
    ]
