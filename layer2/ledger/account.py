"""An account: one leaf of the state tree, holding one token (docs/protocol.md §2)."""

from dataclasses import dataclass
from typing import Final, Self

from layer2.crypto.eddsa import Point
from layer2.crypto.field import R
from layer2.crypto.poseidon import poseidon4
from layer2.ledger.constants import AMOUNT_BITS, NONCE_BITS, OWNER_BITS, TOKEN_BITS
from layer2.ledger.errors import AccountError

ACCOUNT_BYTES: Final = 106


@dataclass(frozen=True, slots=True)
class Account:
    """owner: L1 address as an integer; key: signs on L2, coordinates below r, not necessarily on the
    curve (nobody can sign for it then); token: id in TokenRegistry; nonce: L2 operations signed so
    far; balance: smallest units of the token.

    Raises AccountError for a field that is not an integer within its width.
    """

    owner: int
    key: Point
    token: int
    nonce: int
    balance: int

    def __post_init__(self) -> None:
        _check("owner", self.owner, 1 << OWNER_BITS)
        x, y = self.key
        _check("key.x", x, R)
        _check("key.y", y, R)
        _check("token", self.token, 1 << TOKEN_BITS)
        _check("nonce", self.nonce, 1 << NONCE_BITS)
        _check("balance", self.balance, 1 << AMOUNT_BITS)

    def leaf(self) -> int:
        """Poseidon₄(balance + nonce·2¹²⁸ + token·2¹⁶⁰, owner, key.x, key.y)."""
        packed = self.balance | self.nonce << AMOUNT_BITS | self.token << AMOUNT_BITS + NONCE_BITS
        return poseidon4(packed, self.owner, *self.key)

    def to_bytes(self) -> bytes:
        """owner (20) ‖ key.x (32) ‖ key.y (32) ‖ token (2) ‖ nonce (4) ‖ balance (16): for storage."""
        return (
            self.owner.to_bytes(20)
            + self.key.x.to_bytes(32)
            + self.key.y.to_bytes(32)
            + self.token.to_bytes(2)
            + self.nonce.to_bytes(4)
            + self.balance.to_bytes(16)
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of `to_bytes`. Raises AccountError for another length or a field out of range."""
        if len(data) != ACCOUNT_BYTES:
            raise AccountError(f"a stored account has {ACCOUNT_BYTES} bytes, got {len(data)}; the store is damaged")
        owner, x, y, token, nonce, balance = (
            int.from_bytes(data[start:end])
            for start, end in ((0, 20), (20, 52), (52, 84), (84, 86), (86, 90), (90, 106))
        )
        return cls(owner, Point(x, y), token, nonce, balance)


def _check(name: str, value: int, limit: int) -> None:
    if type(value) is not int or not 0 <= value < limit:
        raise AccountError(f"account field {name} = {value!r} is not an integer in [0, {limit}); correct the field")
