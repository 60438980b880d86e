"""Poseidon over BN254 in Python with gmpy2, circomlib's parameters, for machines without `light-poseidon`.

Nothing is copied from a table: round constants and matrix come from the Grain LFSR as in Grassi et al.,
"Poseidon: A New Hash Function for Zero-Knowledge Proof Systems" (https://eprint.iacr.org/2019/458),
appendices B and F; the numbers of rounds are that paper's for 128 bits, rounded up as circomlib does.
Arguments of `generate_parameters_grain.sage` that give the same: `1 0 254 t 8 R_P r`.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain, islice
from operator import mul
from typing import Final, NamedTuple

from gmpy2 import invert, mpz

from layer2.crypto.field import R

FULL_ROUNDS: Final = 8
PARTIAL_ROUNDS: Final = (56, 57, 56, 60, 60, 63, 64, 63, 60, 66, 60, 65)
"""By number of inputs, 1 … 12; the state is one element wider."""

_P: Final = mpz(R)
_BITS: Final = R.bit_length()

_Vector = list[mpz]
_Matrix = list[_Vector]


class _Parameters(NamedTuple):
    """The rounds for one width. Matrices are lists of rows; a full round is (constants, matrix applied after it).

    Partial rounds are those of the paper's appendix B. With M = [[m, v], [w, N]] the block diag(1, N) does not
    touch the element that goes through the S-box, so it moves in front of the S-box and into the matrix before. What
    remains of the k-th partial round from the end is [[m, v·N⁻ᵏ], [Nᵏ⁻¹·w, 1]], with a constant for the
    first element only: the others pass the S-box unchanged and join the constants of the next round.
    """

    head: list[tuple[_Vector, _Matrix]]
    corner: mpz
    partial: list[tuple[mpz, _Vector, _Vector]]  # constant, rest of the first row, rest of the first column
    tail: list[tuple[_Vector, _Matrix]]


def _grain(width: int, partial_rounds: int) -> Iterator[str]:
    """The bits ("0" or "1") of the paper's self-shrinking Grain LFSR for x⁵ over a prime field of 254 bits."""

    def blocks() -> Iterator[str]:
        # 80 bits, the oldest on top: field 1 (2 bits), S-box 0 (4), bits of r (12), width (12), rounds (10, 10), ones.
        state = 1
        for value, size in ((0, 4), (_BITS, 12), (width, 12), (FULL_ROUNDS, 10), (partial_rounds, 10), (2**30 - 1, 30)):
            state = state << size | value
        while True:
            # Bit i + 80 is the sum of bits i + 62, 51, 38, 23, 13 and 0, so 18 of them are known at once.
            new = (state ^ state >> 11 ^ state >> 24 ^ state >> 39 ^ state >> 49 ^ state >> 62) & 0x3FFFF
            state = (state << 18 | new) & (1 << 80) - 1
            yield f"{new:018b}"

    stream = islice(chain.from_iterable(blocks()), 160, None)
    return (bit for keep, bit in zip(stream, stream, strict=True) if keep == "1")


def _numbers(bits: Iterator[str]) -> Iterator[mpz]:
    """Numbers of 254 bits, most significant bit first; they may exceed r."""
    while True:
        yield mpz("".join(islice(bits, _BITS)), 2)


def _times(matrix: _Matrix, vector: Sequence[mpz]) -> _Vector:
    """matrix · vector, reduced."""
    return [sum(map(mul, row, vector)) % _P for row in matrix]


def _transposed(matrix: _Matrix) -> _Matrix:
    return [list(column) for column in zip(*matrix, strict=True)]


def _product(a: _Matrix, b: _Matrix) -> _Matrix:
    return _transposed([_times(a, column) for column in _transposed(b)])


def _inverse(matrix: _Matrix) -> _Matrix:
    """Gauss-Jordan without exchange of rows: every leading minor of a Cauchy matrix is invertible."""
    size = len(matrix)
    rows = [row + [mpz(i == j) for j in range(size)] for i, row in enumerate(matrix)]
    for i in range(size):
        factor = invert(rows[i][i], _P)
        rows[i] = [value * factor % _P for value in rows[i]]
        for j in range(size):
            if j != i:
                rows[j] = [(value - rows[j][i] * pivot) % _P for value, pivot in zip(rows[j], rows[i], strict=True)]
    return [row[size:] for row in rows]


@cache
def parameters(size: int) -> _Parameters:
    """The rounds for `size` inputs, 1 … 12; tens of milliseconds at the first call."""
    width, partial_rounds = size + 1, PARTIAL_ROUNDS[size - 1]
    numbers = _numbers(_grain(width, partial_rounds))
    below = (number for number in numbers if number < _P)
    constants = [list(islice(below, width)) for _ in range(FULL_ROUNDS + partial_rounds)]
    # The script makes another matrix when one fails its tests; for these 12 widths the first one is circomlib's.
    xs, ys = list(islice(numbers, width)), list(islice(numbers, width))
    matrix = [[invert(x + y, _P) for y in ys] for x in xs]

    half = FULL_ROUNDS // 2
    first_row, first_column = matrix[0][1:], [row[0] for row in matrix[1:]]
    block = [row[1:] for row in matrix[1:]]
    inverse_transposed = _transposed(_inverse(block))
    rows, columns, powers = [], [], []  # index k - 1 holds v·N⁻ᵏ, Nᵏ⁻¹·w and Nᵏ
    row, column, power = first_row, first_column, block
    for _ in range(partial_rounds):
        row = _times(inverse_transposed, row)
        rows.append(row)
        columns.append(column)
        powers.append(power)
        column, power = _times(block, column), _product(block, power)

    partial = []
    carried = [mpz(0)] * width
    for k, (first, *others) in zip(range(partial_rounds, 0, -1), constants[half:], strict=False):
        row = rows[k - 1]
        rest = [a + b for a, b in zip(carried[1:], _times(powers[k - 1], others), strict=True)]
        partial.append(((first + carried[0]) % _P, row, columns[k - 1]))
        carried = [sum(map(mul, row, rest)) % _P, *rest]

    head = [(each, matrix) for each in constants[:half]]
    joined = [matrix[0], *_product(powers[-1], matrix[1:])]
    head[-1] = (head[-1][0], joined)
    tail = [(each, matrix) for each in constants[half + partial_rounds :]]
    tail[0] = ([(a + b) % _P for a, b in zip(tail[0][0], carried, strict=True)], matrix)
    return _Parameters(head, matrix[0][0], partial, tail)


def _full_rounds(state: _Vector, rounds: list[tuple[_Vector, _Matrix]]) -> _Vector:
    for constants, matrix in rounds:
        boxed = []
        for value, constant in zip(state, constants, strict=True):
            value += constant
            square = value * value % _P
            boxed.append(square * square % _P * value % _P)
        state = _times(matrix, boxed)
    return state


def hash_python(inputs: Sequence[int]) -> int:
    """Poseidonₖ(inputs) for k = 1 … 12 integers below r; nothing is checked, `poseidon.poseidon` does that."""
    rounds = parameters(len(inputs))
    first, *rest = _full_rounds([mpz(0), *map(mpz, inputs)], rounds.head)
    corner = rounds.corner
    for constant, row, column in rounds.partial:
        first += constant
        square = first * first % _P
        boxed = square * square % _P * first % _P
        first = (corner * boxed + sum(map(mul, row, rest))) % _P
        # Not reduced: 68 summands below r² stay small, and reducing costs more than it saves.
        rest = [value + boxed * factor for value, factor in zip(rest, column, strict=True)]
    return int(_full_rounds([first, *rest], rounds.tail)[0])
