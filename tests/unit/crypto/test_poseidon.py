import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layer2.crypto import machine
from layer2.crypto.errors import FieldError
from layer2.crypto.field import R
from layer2.crypto.poseidon import climb, poseidon, poseidon4
from layer2.crypto.poseidon_constants import FULL_ROUNDS, parameters

_random = random.Random(1)
VECTORS = [
    vector
    for size in range(1, 13)
    for vector in ([_random.randrange(R) for _ in range(size)], [0] * size, [1] * size, [R - 1] * size)
]

# Random elements, and those at which carries and final subtractions go wrong first.
elements = st.one_of(
    st.integers(0, R - 1),
    st.sampled_from([0, 1, 2, R - 1, R - 2, (R - 1) // 2, (1 << 256) % R, -(1 << 256) % R, pow(1 << 256, -1, R)]),
    st.integers(0, 253).map(lambda bit: (1 << bit) % R),
    st.integers(1, 3).map(lambda words: (1 << 64 * words) - 1),
)


def plain_poseidon(inputs: list[int]) -> int:
    """The paper's permutation word for word: every round with its own constants and the full matrix."""
    constants, matrix = parameters(len(inputs))
    state = [0, *inputs]
    last = len(constants) - FULL_ROUNDS // 2
    for number, added in enumerate(constants):
        state = [value + constant for value, constant in zip(state, added, strict=True)]
        full = not FULL_ROUNDS // 2 <= number < last
        state = [pow(value, 5, R) if full or not position else value for position, value in enumerate(state)]
        state = [sum(map(int.__mul__, row, state)) % R for row in matrix]
    return state[0]


@pytest.mark.parametrize("size", [0, 13])
def test_refuses_other_numbers_of_inputs(size):
    with pytest.raises(FieldError, match=f"1 to 12 inputs, got {size};"):
        poseidon([1] * size)


@pytest.mark.parametrize("value", [-1, R, R + 1, 2**256, 1.0, "1", None, True])
@pytest.mark.parametrize("position", [0, 2])
def test_refuses_what_is_no_field_element(value, position):
    inputs = [1, 2, 3]
    inputs[position] = value
    with pytest.raises(FieldError, match=r"is not an integer in \[0, r\)"):
        poseidon(inputs)


def test_published_vectors():
    # Hash of (1, 2) and (1, 2, 3, 4) in circomlib's own test suite.
    assert poseidon([1, 2]) == 0x115CC0F5E7D690413DF64C6B9662E9CF2A3617F2743245519E19607A4417189A
    assert poseidon([1, 2, 3, 4]) == 0x299C867DB6C1FDD79DCEFA40E4510B9837E60EBB1CE0663DBAA525DF65250465


def test_equals_circomlib_for_every_arity(circomlib):
    expected = [int(value) for value in circomlib([{"poseidon": [str(value) for value in v]} for v in VECTORS])]
    assert [poseidon(vector) for vector in VECTORS] == expected
    assert [plain_poseidon(vector) for vector in VECTORS] == expected


@given(st.lists(elements, min_size=1, max_size=12))
def test_equals_the_plain_permutation(inputs):
    assert poseidon(inputs) == plain_poseidon(inputs)


@given(elements, elements, elements, elements)
def test_poseidon4_is_poseidon_of_four(a, b, c, d):
    assert poseidon4(a, b, c, d) == poseidon([a, b, c, d])


@given(st.data(), st.integers(1, 16))
@settings(max_examples=50)
def test_climbing_is_hashing_level_by_level(data, levels):
    index = data.draw(st.integers(0, 4**levels - 1))
    leaf = data.draw(elements)
    children = [tuple(data.draw(elements) for _ in range(4)) for _ in range(levels)]
    expected, value = [], leaf
    for level, row in enumerate(children):
        digit = index >> 2 * level & 3
        value = poseidon([*row[:digit], value, *row[digit + 1 :]])
        expected.append(value)
    assert climb(index, leaf, children) == expected


def test_a_defect_of_the_module_is_an_error_not_a_wrong_hash(monkeypatch):
    expected = poseidon([5, 6])
    monkeypatch.setitem(machine._machine._constants_at, 2, 1 << 31)
    with pytest.raises(RuntimeError, match="the WebAssembly function hash stopped"):
        poseidon([5, 6])
    monkeypatch.undo()
    assert poseidon([5, 6]) == expected


def test_threads_do_not_disturb_each_other():
    """Every thread has an instance of its own; with a shared one, inputs of one would enter the hash of another."""
    expected = [poseidon(vector) for vector in VECTORS]

    def again(start):
        order = [(start + i) % len(VECTORS) for i in range(len(VECTORS))]
        return all(poseidon(VECTORS[i]) == expected[i] for i in order for _ in range(5))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(again, range(8)))
