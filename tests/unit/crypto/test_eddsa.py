import random

import pytest
from eth_utils import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from layer2.crypto import babyjub
from layer2.crypto.babyjub import B8, IDENTITY, Point, add, multiply, on_curve
from layer2.crypto.eddsa import SIGNATURE_BYTES, PrivateKey, Signature, verify
from layer2.crypto.errors import KeyDerivationError, SignatureError
from layer2.crypto.field import COFACTOR, L, R
from layer2.crypto.poseidon import poseidon
from tests.unit.crypto.test_babyjub import TORSION, plain_add, plain_multiply

KEY = PrivateKey.from_seed(b"\x01" * 32)
MESSAGE = 123456789
SIGNATURE = KEY.sign(MESSAGE)

seeds = st.binary(min_size=32, max_size=32)
messages = st.integers(0, R - 1)


def plain_verify(key: Point, message: int, signature: Signature) -> bool:
    """docs/protocol.md §1 word for word, by the affine law of addition."""
    r8, s = signature
    if not (0 <= s < L and on_curve(key) and on_curve(r8)) or plain_multiply(key, 8).x == 0:
        return False
    h = poseidon([r8.x, r8.y, key.x, key.y, message])
    return plain_multiply(B8, s) == plain_add(r8, plain_multiply(key, 8 * h))


def test_verifies_what_it_signed():
    assert verify(KEY.public_key, MESSAGE, SIGNATURE)
    assert plain_verify(KEY.public_key, MESSAGE, SIGNATURE)


@given(seeds, messages)
@settings(max_examples=40)
def test_sign_then_verify(seed, message):
    key = PrivateKey.from_seed(seed)
    signature = key.sign(message)
    assert verify(key.public_key, message, signature)
    assert not verify(key.public_key, (message + 1) % R, signature)
    assert signature == key.sign(message)


@pytest.mark.parametrize("message", [0, 1, R - 1])
def test_signs_edges_of_the_field(message):
    assert verify(KEY.public_key, message, KEY.sign(message))


@pytest.mark.parametrize("message", [-1, R, 1.5, None])
def test_refuses_to_sign_what_is_no_field_element(message):
    with pytest.raises(SignatureError, match=r"is not an integer in \[0, r\)"):
        KEY.sign(message)


def test_circomlib_accepts_our_signatures_and_refuses_altered_ones(circomlib):
    generator = random.Random(3)
    questions, expected = [], []
    for _ in range(4):
        key = PrivateKey.from_seed(generator.randbytes(32))
        message = generator.randrange(R)
        (rx, ry), s = key.sign(message)
        ax, ay = key.public_key
        for values, valid in [((s, message), True), (((s + 1) % L, message), False), ((s, (message + 1) % R), False)]:
            questions.append({"verify": [str(value) for value in (ax, ay, rx, ry, *values)]})
            expected.append(valid)
    assert circomlib(questions) == expected


def test_accepts_circomlibs_signatures(circomlib):
    generator = random.Random(4)
    cases = [(generator.randbytes(32).hex(), generator.randrange(R)) for _ in range(5)]
    answers = circomlib([{"sign": [seed, str(message)]} for seed, message in cases])
    for (_, message), answer in zip(cases, answers, strict=True):
        ax, ay, rx, ry, s = map(int, answer)
        assert verify(Point(ax, ay), message, Signature(Point(rx, ry), s))
        assert not verify(Point(ax, ay), (message + 1) % R, Signature(Point(rx, ry), s))


def test_same_scalar_gives_the_same_signature_equation_as_circomlib(circomlib):
    """A = k·B8 and S = n + 8·h·k: circomlib's key for scalar k is ours."""
    ax, ay = KEY.public_key
    assert circomlib([{"multiply": [str(B8.x), str(B8.y), str(KEY.k)]}]) == [[str(ax), str(ay)]]


@given(messages, st.integers(0, L - 1), st.sampled_from(TORSION), st.sampled_from(TORSION))
@settings(max_examples=40)
def test_points_of_small_order_never_make_a_difference_to_the_plain_equation(message, nonce, on_key, on_r8):
    """A key or R8 with a part of small order: the fast check decides as the plain one."""
    key = add(KEY.public_key, on_key)
    r8 = add(multiply(B8, nonce), on_r8)
    h = poseidon([r8.x, r8.y, key.x, key.y, message])
    signature = Signature(r8, (nonce + COFACTOR * h * KEY.k) % L)
    expected = plain_verify(key, message, signature)
    assert expected == (on_r8 == IDENTITY)
    assert verify(key, message, signature) == expected


@pytest.mark.parametrize("h", [0, 1, 2, 4, 6, 2**126, 2**126 + 1, L - 1, L, L + 2, R - 1])
@pytest.mark.parametrize("nonce", [0, 1, 77])
def test_equation_with_scalars_at_their_edges(h, nonce):
    """Also scalars that an honest hash never gives: tiny and huge."""
    r8 = multiply(B8, nonce)
    s = (nonce + COFACTOR * h * KEY.k) % L
    assert babyjub.equation_holds(s, h, KEY.public_key, r8)
    assert not babyjub.equation_holds((s + 1) % L, h, KEY.public_key, r8)
    for torsion in TORSION[1:]:
        assert not babyjub.equation_holds(s, h, KEY.public_key, add(r8, torsion))


# ---------------------------------------------------------------- attacks.md, circuit soundness: signatures


@pytest.mark.parametrize("s", [SIGNATURE.s + L, L, -1, SIGNATURE.s - L, float(SIGNATURE.s), str(SIGNATURE.s), None])
def test_attack_s_not_below_the_subgroup_order(s):
    assert not verify(KEY.public_key, MESSAGE, Signature(SIGNATURE.r8, s))


@pytest.mark.parametrize(
    "point",
    [
        Point(1, 1),
        Point(0, 0),
        Point(B8.x + R, B8.y),
        Point(B8.x, B8.y - R),
        Point(None, 1),
        Point("1", 2),
        None,
        (1, 2, 3),
        5,
    ],
)
def test_attack_a_or_r8_off_the_curve(point):
    assert not verify(point, MESSAGE, SIGNATURE)
    assert not verify(KEY.public_key, MESSAGE, Signature(point, SIGNATURE.s))


@pytest.mark.parametrize("key", TORSION)
def test_attack_key_of_small_order_signs_anything(key):
    """With 8·A neutral, (R8, S) = (s·B8, s) would fulfil the equation for every message."""
    assert not verify(key, MESSAGE, Signature(multiply(B8, 5), 5))


@pytest.mark.parametrize("r8", TORSION)
def test_attack_r8_of_small_order(r8):
    h = poseidon([*r8, *KEY.public_key, MESSAGE])
    signature = Signature(r8, COFACTOR * h * KEY.k % L)
    assert verify(KEY.public_key, MESSAGE, signature) == (r8 == IDENTITY)


@pytest.mark.parametrize("message", [MESSAGE + R, -MESSAGE, None, "1", 1.0])
def test_attack_message_outside_the_field(message):
    assert not verify(KEY.public_key, message, SIGNATURE)


@given(st.integers(0, 2), st.integers(0, 253))
def test_attack_any_bit_of_a_signature_flipped(part, bit):
    values = [*SIGNATURE.r8, SIGNATURE.s]
    values[part] ^= 1 << bit
    assert not verify(KEY.public_key, MESSAGE, Signature(Point(values[0], values[1]), values[2]))


def test_attack_signature_of_another_key():
    assert not verify(PrivateKey.from_seed(b"\x02" * 32).public_key, MESSAGE, SIGNATURE)


# ---------------------------------------------------------------- keys and encoding


def test_key_and_nonce_are_derived_as_specified():
    seed = b"\x07" * 32
    k = int.from_bytes(keccak(seed + b"\x00") + keccak(seed + b"\x01")) % L
    message = MESSAGE.to_bytes(32)
    nonce = int.from_bytes(keccak(seed + b"\x02" + message) + keccak(seed + b"\x03" + message)) % L
    key = PrivateKey.from_seed(seed)
    assert key.k == k
    assert key.public_key == multiply(B8, k)
    r8, s = key.sign(MESSAGE)
    assert r8 == multiply(B8, nonce)
    assert s == (nonce + 8 * poseidon([*r8, *key.public_key, MESSAGE]) * k) % L


@pytest.mark.parametrize("k", [0, -1, L])
def test_refuses_scalars_outside_the_order(k):
    with pytest.raises(KeyDerivationError, match=r"scalar must be in 1 … l-1"):
        PrivateKey(k, b"\x01" * 32)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_refuses_seeds_of_another_length(length):
    with pytest.raises(KeyDerivationError, match=f"seed has 32 bytes, got {length}"):
        PrivateKey.from_seed(b"\x01" * length)


def test_a_printed_key_shows_no_secret():
    assert str(KEY.k) not in repr(KEY)
    assert repr(KEY.seed) not in repr(KEY)


def test_signature_bytes_round_trip():
    data = SIGNATURE.to_bytes()
    assert len(data) == SIGNATURE_BYTES
    assert Signature.from_bytes(data) == SIGNATURE


@pytest.mark.parametrize("length", [0, 95, 97])
def test_refuses_signatures_of_another_length(length):
    with pytest.raises(SignatureError, match=f"96 bytes .* got {length}"):
        Signature.from_bytes(b"\x00" * length)


@pytest.mark.parametrize("signature", [Signature(Point(2**256, 0), 0), Signature(Point(0, 0), -1)])
def test_refuses_to_encode_what_does_not_fit(signature):
    with pytest.raises(SignatureError, match="does not fit 3 × 32 bytes"):
        signature.to_bytes()
