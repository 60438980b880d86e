import importlib.util
import random
import sys
from types import ModuleType

import pytest

from layer2.crypto import poseidon as picked
from layer2.crypto.errors import FieldError
from layer2.crypto.field import R
from layer2.crypto.poseidon import poseidon

_random = random.Random(1)
VECTORS = [
    vector
    for size in range(1, 13)
    for vector in ([_random.randrange(R) for _ in range(size)], [0] * size, [R - 1] * size)
]


def load(light_poseidon: ModuleType | None) -> ModuleType:
    """`layer2.crypto.poseidon` anew, with this as the package light-poseidon; None: it is not installed."""
    spec = importlib.util.find_spec("layer2.crypto.poseidon")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "light_poseidon_python", light_poseidon)
        spec.loader.exec_module(module)
    return module


@pytest.fixture(params=["picked here", "without light-poseidon"])
def implementation(request) -> ModuleType:
    return picked if request.param == "picked here" else load(None)


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


def test_published_vectors(implementation):
    # Hash of (1, 2) and (1, 2, 3, 4) in circomlib's own test suite.
    assert implementation.poseidon([1, 2]) == 0x115CC0F5E7D690413DF64C6B9662E9CF2A3617F2743245519E19607A4417189A
    assert implementation.poseidon([1, 2, 3, 4]) == 0x299C867DB6C1FDD79DCEFA40E4510B9837E60EBB1CE0663DBAA525DF65250465


def test_equals_circomlib_for_every_arity(circomlib, implementation):
    expected = circomlib([{"poseidon": [str(value) for value in vector]} for vector in VECTORS])
    assert [implementation.poseidon(vector) for vector in VECTORS] == [int(value) for value in expected]


def test_poseidon4_is_poseidon_of_four(implementation):
    assert implementation.poseidon4(5, 0, R - 1, 7) == poseidon([5, 0, R - 1, 7])


def test_python_is_what_hashes_without_light_poseidon(monkeypatch):
    module = load(None)
    monkeypatch.setattr(module, "hash_python", sum)
    assert module.poseidon([1, 2, 3]) == 6
    assert module.poseidon4(1, 2, 3, 4) == 10


def test_light_poseidon_is_what_hashes_where_it_is_installed():
    class Hasher:
        def __init__(self, size):
            self.size = size

        def hash_bytes_be(self, inputs):
            assert len(inputs) == self.size
            return hex(sum(int.from_bytes(value) for value in inputs))

    package = ModuleType("light_poseidon_python")
    package.Hasher = Hasher
    module = load(package)
    assert [module.poseidon([7] * size) for size in range(1, 13)] == [7 * size for size in range(1, 13)]
    assert module.poseidon4(1, 2, 3, 4) == 10
