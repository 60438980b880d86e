"""EdDSA-Poseidon over BabyJubJub as in circomlib, with this protocol's key and nonce derivation.

docs/protocol.md §1: key A = k·B8, signature (R8, S) with h = Poseidon₅(R8.x, R8.y, A.x, A.y, M),
S = n + 8·h·k mod L. Signing is not constant time: a development tool, not a hardware wallet.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple, Self

from eth_utils.crypto import keccak

from layer2.crypto.babyjub import B8, IDENTITY, Point, equation_holds, multiply_b8, on_curve
from layer2.crypto.errors import KeyDerivationError, SignatureError
from layer2.crypto.field import COFACTOR, L, R
from layer2.crypto.poseidon import poseidon

__all__ = ["B8", "IDENTITY", "SIGNATURE_BYTES", "Point", "PrivateKey", "Signature", "on_curve", "verify"]

SIGNATURE_BYTES: Final = 96
SEED_BYTES: Final = 32


class Signature(NamedTuple):
    """(R8, S). Nothing is checked on creation: `verify` accepts or refuses any value."""

    r8: Point
    s: int

    def to_bytes(self) -> bytes:
        """R8.x ‖ R8.y ‖ S, 32 bytes each. Raises SignatureError for a value beyond 32 bytes."""
        try:
            return self.r8.x.to_bytes(32) + self.r8.y.to_bytes(32) + self.s.to_bytes(32)
        except OverflowError as error:
            raise SignatureError(f"{self} does not fit 3 × 32 bytes; sign again") from error

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of `to_bytes`. Raises SignatureError unless there are 96 bytes."""
        if len(data) != SIGNATURE_BYTES:
            raise SignatureError(f"a signature has {SIGNATURE_BYTES} bytes (R8.x, R8.y, S), got {len(data)}")
        x, y, s = (int.from_bytes(data[start : start + 32]) for start in (0, 32, 64))
        return cls(Point(x, y), s)


@dataclass(frozen=True)
class PrivateKey:
    """A signing key: the scalar k (0 < k < L) and the 32-byte seed that its nonces come from."""

    k: int = field(repr=False)
    seed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.seed) != SEED_BYTES:
            raise KeyDerivationError(f"a key's seed has {SEED_BYTES} bytes, got {len(self.seed)}")
        if not 0 < self.k < L:
            raise KeyDerivationError("a key's scalar must be in 1 … l-1; derive the key from another seed")

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """k = int(keccak256(seed ‖ 0x00) ‖ keccak256(seed ‖ 0x01)) mod L (docs/protocol.md §1).

        Raises KeyDerivationError unless the seed has 32 bytes and k is not 0.
        """
        return cls(_wide(seed, 0, b""), seed)

    @cached_property
    def public_key(self) -> Point:
        """A = k·B8."""
        return multiply_b8(self.k)

    def sign(self, message: int) -> Signature:
        """The signature of a message in [0, r), always the same. Raises SignatureError for another one."""
        if type(message) is not int or not 0 <= message < R:
            raise SignatureError(f"message {message!r} is not an integer in [0, r); hash it with Poseidon first")
        nonce = _wide(self.seed, 2, message.to_bytes(32))
        r8 = multiply_b8(nonce)
        h = poseidon((*r8, *self.public_key, message))
        return Signature(r8, (nonce + COFACTOR * h * self.k) % L)


def verify(key: Point, message: int, signature: Signature) -> bool:
    """Whether the signature of `message` is valid under `key`. Total: bad values are False, never an error.

    Checks that the message is in [0, r), both points are on the curve with coordinates in [0, r),
    S is in [0, L), 8·key is not the identity, and S·B8 = R8 + 8·h·key. About 0.2 ms.
    """
    (r8, s) = signature
    if type(message) is not int or not 0 <= message < R or type(s) is not int or not 0 <= s < L:
        return False
    if not on_curve(key) or not on_curve(r8):
        return False
    return equation_holds(s, poseidon((*r8, *key, message)), key, r8)


def _wide(seed: bytes, tag: int, suffix: bytes) -> int:
    """512 bits of keccak256 over the seed and two neighbouring tags, reduced modulo L."""
    return int.from_bytes(keccak(seed + bytes([tag]) + suffix) + keccak(seed + bytes([tag + 1]) + suffix)) % L
