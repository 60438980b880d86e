"""Operations: 112-byte slots, what is signed, the L1 queue's hash chain (docs/protocol.md §4, §6.1)."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Self

from eth_utils.crypto import keccak

from layer2.crypto.addresses import address_to_int
from layer2.crypto.eddsa import SIGNATURE_BYTES, Point, PrivateKey, Signature
from layer2.crypto.field import R
from layer2.crypto.poseidon import poseidon
from layer2.ledger.constants import (
    DOMAIN_TAG,
    NONCE_BITS,
    OWNER_BITS,
    QUEUE_KINDS,
    SIGNED_KINDS,
    SLOT_BYTES,
    SLOT_FIELDS,
    TIMESTAMP_BITS,
    WORD_BITS,
    Kind,
)
from layer2.ledger.errors import OperationError

NO_KEY: Final = Point(0, 0)
"""The key fields of a kind that has no key."""

NO_SIGNATURE: Final = Signature(Point(0, 1), 0)
"""Stands where a witness has room for a signature and the operation has none: R8 is the neutral element."""

SIGNED_OPERATION_BYTES: Final = SLOT_BYTES + 4 + 5 + 20 + 64 + SIGNATURE_BYTES

_BITS: Final = {name: 8 * size for name, size in SLOT_FIELDS}

# Fields that a kind does not use and that must be 0.
_UNUSED: Final[dict[Kind, tuple[str, ...]]] = {
    Kind.PADDING: ("account", "to", "token", "fee", "amount", "owner", "key_x", "key_y"),
    Kind.DEPOSIT: ("fee",),
    Kind.FORCED_WITHDRAWAL: ("to", "fee", "key_x", "key_y"),
    Kind.TRANSFER: ("owner", "key_x", "key_y"),
    Kind.TRANSFER_TO_NEW: (),
    Kind.WITHDRAWAL: ("to", "key_x", "key_y"),
    Kind.KEY_CHANGE: ("to", "amount", "owner"),
}

# Fields that the state transition computes (in italics in docs/protocol.md §4).
_OUTCOMES: Final[dict[Kind, tuple[str, ...]]] = {
    Kind.PADDING: (),
    Kind.DEPOSIT: ("to",),
    Kind.FORCED_WITHDRAWAL: ("token", "amount"),
    Kind.TRANSFER: (),
    Kind.TRANSFER_TO_NEW: ("to",),
    Kind.WITHDRAWAL: (),
    Kind.KEY_CHANGE: (),
}


@dataclass(frozen=True, slots=True)
class Operation:
    """The nine fields of a slot. `fee` is the fee byte (`encode_fee8`), `amount` is in smallest units,
    `owner` an L1 address as an integer.

    Raises OperationError for a field that is not an integer within its width. Any 112 bytes with a
    known kind are an Operation; whether it makes sense in a state is for `transition` to say.
    """

    kind: Kind
    account: int = 0
    to: int = 0
    token: int = 0
    fee: int = 0
    amount: int = 0
    owner: int = 0
    key_x: int = 0
    key_y: int = 0

    def __post_init__(self) -> None:
        if type(self.kind) is not Kind:
            try:
                object.__setattr__(self, "kind", Kind(self.kind))
            except ValueError as error:
                raise OperationError(
                    f"operation kind {self.kind!r} is unknown; use one of {', '.join(str(int(k)) for k in Kind)}"
                ) from error
        for name, bits in _BITS.items():
            value = getattr(self, name)
            if (type(value) is not int and name != "kind") or not 0 <= value < 1 << bits:
                raise OperationError(f"operation field {name} = {value!r} is not an integer of {bits} bits; correct it")

    # ---------------------------------------------------------------- making one

    @classmethod
    def padding(cls) -> Self:
        """Nothing: fills a segment up."""
        return cls(Kind.PADDING)

    @classmethod
    def deposit(cls, token: int, amount: int, owner: int, key: Point, account: int = 0) -> Self:
        """A queued deposit to `account`, or to a new account when it is 0."""
        return cls(Kind.DEPOSIT, account, 0, token, 0, amount, owner, key[0], key[1])

    @classmethod
    def forced_withdrawal(cls, account: int, owner: int) -> Self:
        """A queued withdrawal of the whole balance of `account` by `owner`."""
        return cls(Kind.FORCED_WITHDRAWAL, account, owner=owner)

    @classmethod
    def transfer(cls, account: int, to: int, token: int, amount: int, fee: int = 0) -> Self:
        """`amount` from `account` to the account `to`."""
        return cls(Kind.TRANSFER, account, to, token, fee, amount)

    @classmethod
    def transfer_to_new(cls, account: int, token: int, amount: int, owner: int, key: Point, fee: int = 0) -> Self:
        """`amount` from `account` to an account that is opened for (owner, key)."""
        return cls(Kind.TRANSFER_TO_NEW, account, 0, token, fee, amount, owner, key[0], key[1])

    @classmethod
    def withdrawal(cls, account: int, token: int, amount: int, owner: int, fee: int = 0) -> Self:
        """`amount` from `account` to the L1 payout of its `owner`."""
        return cls(Kind.WITHDRAWAL, account, 0, token, fee, amount, owner)

    @classmethod
    def key_change(cls, account: int, token: int, key: Point, fee: int = 0) -> Self:
        """Another signing key for `account`."""
        return cls(Kind.KEY_CHANGE, account, 0, token, fee, key_x=key[0], key_y=key[1])

    # ---------------------------------------------------------------- reading it

    @property
    def key(self) -> Point:
        """(keyX, keyY), NO_KEY for kinds without a key."""
        return Point(self.key_x, self.key_y)

    @property
    def is_signed(self) -> bool:
        """Whether this kind needs a signature (kinds 3 to 6)."""
        return self.kind in SIGNED_KINDS

    @property
    def is_queued(self) -> bool:
        """Whether this kind comes from the L1 queue (kinds 1 and 2)."""
        return self.kind in QUEUE_KINDS

    def unused_field(self) -> str | None:
        """The name of a field that this kind does not use and that is not 0, None when there is none."""
        for name in _UNUSED[self.kind]:
            if getattr(self, name):
                return name
        return None

    def without_outcomes(self) -> "Operation":
        """The operation with 0 in the fields that the state transition computes.

        That is the queue entry of kinds 1 and 2, and what is signed of kinds 3 to 6.
        """
        values = {name: 0 if name in _OUTCOMES[self.kind] else getattr(self, name) for name, _ in SLOT_FIELDS}
        return Operation(**values) if _OUTCOMES[self.kind] else self  # type: ignore[arg-type]  # see from_slot

    # ---------------------------------------------------------------- bytes and field elements

    def to_slot(self) -> bytes:
        """The 112 bytes of docs/protocol.md §4."""
        return b"".join(int(getattr(self, name)).to_bytes(size) for name, size in SLOT_FIELDS)

    @classmethod
    def from_slot(cls, slot: bytes) -> Self:
        """The inverse of `to_slot`. Raises OperationError unless there are 112 bytes with a known kind."""
        if len(slot) != SLOT_BYTES:
            raise OperationError(f"a slot has {SLOT_BYTES} bytes, got {len(slot)}; cut the data at slot borders")
        values = []
        start = 0
        for _, size in SLOT_FIELDS:
            values.append(int.from_bytes(slot[start : start + size]))
            start += size
        return cls(*values)  # type: ignore[arg-type]  # the kind becomes a Kind on creation

    def elements(self) -> tuple[int, int, int, int]:
        """Bytes 0–27, bytes 28–47, keyX and keyY of the slot as integers, all below r.

        Raises OperationError for a key coordinate that is not below r: no such operation can be proven.
        """
        for name, value in (("key_x", self.key_x), ("key_y", self.key_y)):
            if value >= R:
                raise OperationError(f"operation field {name} = {value} is not below r; give a point of BabyJubJub")
        return int.from_bytes(self.to_slot()[:28]), self.owner, self.key_x, self.key_y


QueueEntry = Operation
"""An operation of kind 1 or 2 with its outcome fields zero, as the L1 queue holds it."""


@dataclass(frozen=True, slots=True)
class SignedOperation:
    """An operation of kinds 3 to 6 with what its signature covers beyond the slot.

    nonce: the account's nonce it was signed for; expiry: the last second (since 1970) a batch may
    have; recipient_owner, recipient_key: those of the account `to` for a transfer, 0 and
    NO_KEY for the other kinds.

    Raises OperationError for a kind that is not signed or a field out of range. The signature itself
    is checked by `transition.apply`.
    """

    operation: Operation
    nonce: int
    expiry: int
    signature: Signature
    recipient_owner: int = 0
    recipient_key: Point = NO_KEY

    def __post_init__(self) -> None:
        if not isinstance(self.operation, Operation) or not self.operation.is_signed:
            raise OperationError(f"{self.operation!r} is not an operation of kinds 3 to 6; others carry no signature")
        if not isinstance(self.signature, Signature):
            raise OperationError(f"signature {self.signature!r} is not a Signature; use PrivateKey.sign")
        for name, value, bits in (
            ("nonce", self.nonce, NONCE_BITS),
            ("expiry", self.expiry, TIMESTAMP_BITS),
            ("recipient_owner", self.recipient_owner, OWNER_BITS),
        ):
            _check(name, value, 1 << bits)
        _check_key("recipient_key", self.recipient_key)
        if self.operation.kind is not Kind.TRANSFER and (self.recipient_owner or self.recipient_key != NO_KEY):
            raise OperationError(
                f"recipient_owner {self.recipient_owner:#042x} or recipient_key is given for kind "
                f"{int(self.operation.kind)}; only transfers (kind 3) have them"
            )

    def message(self, domain: int) -> int:
        """M of docs/protocol.md §4.1. Raises OperationError for a key coordinate that is not below r."""
        return message(domain, self.operation, self.nonce, self.expiry, self.recipient_owner, self.recipient_key)

    def to_bytes(self) -> bytes:
        """slot (112) ‖ nonce (4) ‖ expiry (5) ‖ recipient owner (20) ‖ recipient key (64) ‖ signature (96)."""
        return (
            self.operation.to_slot()
            + self.nonce.to_bytes(4)
            + self.expiry.to_bytes(5)
            + self.recipient_owner.to_bytes(20)
            + self.recipient_key.x.to_bytes(32)
            + self.recipient_key.y.to_bytes(32)
            + self.signature.to_bytes()
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of `to_bytes`. Raises OperationError for another length or what is no signed operation."""
        if len(data) != SIGNED_OPERATION_BYTES:
            raise OperationError(
                f"a signed operation has {SIGNED_OPERATION_BYTES} bytes, got {len(data)}; send it whole"
            )
        operation = Operation.from_slot(data[:112])
        nonce, expiry, recipient_owner, x, y = (
            int.from_bytes(data[start:end])
            for start, end in ((112, 116), (116, 121), (121, 141), (141, 173), (173, 205))
        )
        return cls(operation, nonce, expiry, Signature.from_bytes(data[205:]), recipient_owner, Point(x, y))


def sign_operation(
    key: PrivateKey,
    domain: int,
    operation: Operation,
    nonce: int,
    expiry: int,
    recipient_owner: int = 0,
    recipient_key: Point = NO_KEY,
) -> SignedOperation:
    """The operation signed by `key`. Raises OperationError as `message` and `SignedOperation` do."""
    signature = key.sign(message(domain, operation, nonce, expiry, recipient_owner, recipient_key))
    return SignedOperation(operation, nonce, expiry, signature, recipient_owner, recipient_key)


@lru_cache(maxsize=64)
def domain(chain_id: int, rollup: int | str) -> int:
    """uint256(keccak256(abi.encode(keccak256("layer2.zk.v1"), chainId, rollup))) mod r, the whole chain id.

    `rollup` is the contract's address as an integer or as hex. Raises OperationError for a chain id beyond
    256 bits or an integer beyond 160, AddressError for malformed hex.
    """
    if isinstance(rollup, str):
        rollup = address_to_int(rollup)
    _check("chain id", chain_id, 1 << WORD_BITS)
    _check("rollup", rollup, 1 << OWNER_BITS)
    encoded = keccak(text=DOMAIN_TAG) + chain_id.to_bytes(32) + rollup.to_bytes(32)
    return int.from_bytes(keccak(encoded)) % R


def message(
    domain: int,
    operation: Operation,
    nonce: int,
    expiry: int,
    recipient_owner: int = 0,
    recipient_key: Point = NO_KEY,
) -> int:
    """M = Poseidon₅(domain, p1, p2, K.x, K.y), what the account's key signs (docs/protocol.md §4.1).

    `recipient_owner` and `recipient_key` are those of the account `operation.to` for a transfer; other kinds ignore
    them.
    Raises OperationError for a kind that is not signed, a number out of range, or a key coordinate ≥ r.
    """
    kind = operation.kind
    if kind not in SIGNED_KINDS:
        raise OperationError(f"kind {int(kind)} is not signed; only kinds 3 to 6 are")
    _check("domain", domain, R)
    _check("nonce", nonce, 1 << NONCE_BITS)
    _check("expiry", expiry, 1 << TIMESTAMP_BITS)
    _check("recipient_owner", recipient_owner, 1 << OWNER_BITS)
    _check_key("recipient_key", recipient_key)
    operation.elements()  # refuses a key coordinate that is no field element
    to, owner, payee = 0, operation.owner, operation.key
    if kind is Kind.TRANSFER:
        to, owner, payee = operation.to, recipient_owner, recipient_key
    p1 = operation.amount | kind << 128 | operation.account << 136 | to << 168 | nonce << 200
    p2 = owner | operation.token << 160 | operation.fee << 176 | expiry << 184
    return poseidon((domain, p1, p2, payee.x, payee.y))


def queue_chain(previous: bytes, entry: QueueEntry) -> bytes:
    """chainᵢ₊₁ = keccak256(chainᵢ ‖ slotᵢ), the slot's outcome fields zeroed; chain₀ is 32 zero bytes.

    Raises OperationError unless `previous` has 32 bytes and the entry is of kind 1 or 2.
    """
    if len(previous) != 32:
        raise OperationError(f"the queue's chain value has 32 bytes, got {len(previous)}; start from 32 zero bytes")
    if not entry.is_queued:
        raise OperationError(f"kind {int(entry.kind)} does not enter the L1 queue; only kinds 1 and 2 do")
    return keccak(previous + entry.without_outcomes().to_slot())


def _check(name: str, value: int, limit: int) -> None:
    if type(value) is not int or not 0 <= value < limit:
        raise OperationError(f"{name} {value!r} is not an integer in [0, {limit}); correct it")


def _check_key(name: str, key: Point) -> None:
    if not isinstance(key, Point):
        raise OperationError(f"{name} {key!r} is not a Point; use PrivateKey.public_key, or NO_KEY for none")
    for coordinate in key:
        if type(coordinate) is not int or not 0 <= coordinate < R:
            raise OperationError(f"{name} has a coordinate {coordinate!r} that is not an integer below r; correct it")
