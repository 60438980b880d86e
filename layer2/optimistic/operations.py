"""Operations and how a chunk encodes them (docs/optimistic.md §2). Amounts and fees are decoded values throughout.

Each class lists its fields in the order of the encoding; the annotations say how a field is encoded.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Final, NamedTuple, get_type_hints

from layer2.ledger.amounts import decode_fee8, decode_float40, encode_fee8, encode_float40
from layer2.ledger.constants import FLOAT40_EXPONENT_BITS, FLOAT40_MANTISSA_BITS
from layer2.optimistic.constants import CHUNK_OPERATIONS, SIGNATURE_BYTES, OperationKind
from layer2.optimistic.errors import OperationError

_FEES: Final = tuple(decode_fee8(byte) for byte in range(256))
_ARE_FEES_CANONICAL: Final = tuple(encode_fee8(fee) == byte for byte, fee in enumerate(_FEES))

# What `decode_float40` does, without its checks: every 40 bits are a float40.
_MAX_MANTISSA: Final = (1 << FLOAT40_MANTISSA_BITS) - 1
_UNITS: Final = tuple(decode_float40(e << FLOAT40_MANTISSA_BITS | 1) for e in range(1 << FLOAT40_EXPONENT_BITS))


def _amount(data: bytes) -> int:
    encoded = int.from_bytes(data)
    return (encoded & _MAX_MANTISSA) * _UNITS[encoded >> FLOAT40_MANTISSA_BITS]


def _is_amount_canonical(data: bytes) -> bool:
    """Whether no smaller exponent would do: ten times the mantissa would be too large for it."""
    encoded = int.from_bytes(data)
    return encoded <= _MAX_MANTISSA or (encoded & _MAX_MANTISSA) * 10 > _MAX_MANTISSA


class _Codec(NamedTuple):
    """A field's `struct` format, and what turns its value into what is packed and back (None: nothing does).

    is_canonical: whether packing gives back what was unpacked; None: it always does.
    """

    format: str
    pack: Callable[[Any], Any] | None = None
    unpack: Callable[[Any], Any] | None = None
    is_canonical: Callable[[Any], bool] | None = None


def _exactly(size: int) -> Callable[[bytes], bytes]:
    def check(value: bytes) -> bytes:
        if len(value) != size:
            raise OperationError(f"has {len(value)} bytes, not {size}")
        return value

    return check


def _uint32(value: int) -> int:
    if not 0 <= value < 1 << 32:
        raise OperationError(f"{value} is not in [0, 2^32)")
    return value


Uint32 = Annotated[int, _Codec("I", _uint32)]
"""An index of the state tree, or seconds since 1970."""
Uint128 = Annotated[int, _Codec("16s", lambda value: value.to_bytes(16), int.from_bytes)]
"""An exact amount or shares."""
Float40 = Annotated[int, _Codec("5s", lambda value: encode_float40(value).to_bytes(5), _amount, _is_amount_canonical)]
"""An amount that a float40 holds."""
Fee8 = Annotated[int, _Codec("B", encode_fee8, _FEES.__getitem__, _ARE_FEES_CANONICAL.__getitem__)]
"""A fee that a fee8 holds."""
Address = Annotated[int, _Codec("20s", lambda value: value.to_bytes(20), int.from_bytes)]
"""An L1 address as an integer."""
Bytes32 = Annotated[bytes, _Codec("32s", _exactly(32))]
Signature = Annotated[bytes, _Codec("64s", _exactly(SIGNATURE_BYTES))]
"""r ‖ yParityAndS (EIP-2098)."""

UNSIGNED: Final = bytes(SIGNATURE_BYTES)
"""In the place of a signature that is still to be made; nobody's."""


@dataclass(frozen=True, slots=True)
class Operation:
    """The base of all operations."""

    KIND: ClassVar[OperationKind]

    def encode(self) -> bytes:
        """The operation's bytes in a chunk, kind first. Raises OperationError for a field that does not fit them."""
        return _LAYOUTS[self.KIND].encode(self)

    @classmethod
    def size(cls) -> int:
        """Length of the encoding in bytes."""
        return _LAYOUTS[cls.KIND].size


@dataclass(frozen=True, slots=True)
class Nothing(Operation):
    """Does nothing."""

    KIND: ClassVar = OperationKind.NOTHING


@dataclass(frozen=True, slots=True)
class QueueEntry(Operation):
    """Takes the next entry of the L1 queue, if the batch takes one more."""

    KIND: ClassVar = OperationKind.QUEUE_ENTRY


@dataclass(frozen=True, slots=True)
class Transfer(Operation):
    """Pays `amount` from `account` to the account `to`."""

    KIND: ClassVar = OperationKind.TRANSFER
    account: Uint32
    to: Uint32
    amount: Float40
    fee: Fee8
    expiry: Uint32
    signature: Signature = UNSIGNED


@dataclass(frozen=True, slots=True)
class TransferToNew(Operation):
    """Pays `amount` from `account` to a new account of `owner`."""

    KIND: ClassVar = OperationKind.TRANSFER_TO_NEW
    account: Uint32
    owner: Address
    amount: Float40
    fee: Fee8
    expiry: Uint32
    signature: Signature = UNSIGNED


@dataclass(frozen=True, slots=True)
class Withdraw(Operation):
    """Withdraws `amount` to L1, for the account's owner."""

    KIND: ClassVar = OperationKind.WITHDRAWAL
    account: Uint32
    amount: Uint128
    fee: Fee8
    expiry: Uint32
    signature: Signature = UNSIGNED


@dataclass(frozen=True, slots=True)
class Swap(Operation):
    """Gives `amount` from `account` to the pool, for at least `minimum` of its other token to the account `to`."""

    KIND: ClassVar = OperationKind.SWAP
    account: Uint32
    to: Uint32
    pool: Uint32
    amount: Float40
    minimum: Float40
    fee: Fee8
    expiry: Uint32
    signature: Signature = UNSIGNED


@dataclass(frozen=True, slots=True)
class CreatePool(Operation):
    """A new pool with these reserves, and a position of it."""

    KIND: ClassVar = OperationKind.CREATE_POOL
    account_a: Uint32
    account_b: Uint32
    amount_a: Float40
    amount_b: Float40
    fee: Fee8
    expiry: Uint32
    signature: Signature = UNSIGNED


@dataclass(frozen=True, slots=True)
class AddLiquidity(Operation):
    """Gives `amount_a` and what belongs to it of the other token, if that is `minimum_b` to `maximum_b`.

    position: 0 for a new one.
    """

    KIND: ClassVar = OperationKind.ADD_LIQUIDITY
    account_a: Uint32
    account_b: Uint32
    pool: Uint32
    position: Uint32
    amount_a: Float40
    minimum_b: Float40
    maximum_b: Float40
    fee: Fee8
    expiry: Uint32
    signature: Signature = UNSIGNED


@dataclass(frozen=True, slots=True)
class RemoveLiquidity(Operation):
    """Takes the part of both reserves that belongs to `shares` of a position."""

    KIND: ClassVar = OperationKind.REMOVE_LIQUIDITY
    position: Uint32
    account_a: Uint32
    account_b: Uint32
    shares: Uint128
    minimum_a: Float40
    minimum_b: Float40
    fee: Fee8
    expiry: Uint32
    signature: Signature = UNSIGNED


@dataclass(frozen=True, slots=True)
class MintNFT(Operation):
    """A new NFT of the account's owner."""

    KIND: ClassVar = OperationKind.MINT_NFT
    account: Uint32
    content: Bytes32
    fee: Fee8
    expiry: Uint32
    signature: Signature = UNSIGNED


@dataclass(frozen=True, slots=True)
class TransferNFT(Operation):
    """Gives an NFT to the address `to`; the owner's `account` pays the fee."""

    KIND: ClassVar = OperationKind.TRANSFER_NFT
    nft: Uint32
    to: Address
    account: Uint32
    fee: Fee8
    expiry: Uint32
    signature: Signature = UNSIGNED


@dataclass(frozen=True, slots=True)
class PurchaseNFT(Operation):
    """Pays `price` from `account` to `seller_account`, for the NFT. Both owners sign."""

    KIND: ClassVar = OperationKind.PURCHASE_NFT
    nft: Uint32
    account: Uint32
    seller_account: Uint32
    price: Float40
    fee: Fee8
    expiry: Uint32
    signature: Signature = UNSIGNED
    seller_signature: Signature = UNSIGNED


SignedOperation = (
    Transfer
    | TransferToNew
    | Withdraw
    | Swap
    | CreatePool
    | AddLiquidity
    | RemoveLiquidity
    | MintNFT
    | TransferNFT
    | PurchaseNFT
)
"""An operation that somebody signs."""

OPERATIONS: Final[tuple[type[Operation], ...]] = (
    Nothing,
    QueueEntry,
    Transfer,
    TransferToNew,
    Withdraw,
    Swap,
    CreatePool,
    AddLiquidity,
    RemoveLiquidity,
    MintNFT,
    TransferNFT,
    PurchaseNFT,
)
"""All classes; each one's place is its kind."""


def read_chunk(data: bytes) -> list[Operation]:
    """The operations that a chunk's bytes stand for, at most 16: every byte string has one meaning."""
    return [operation for operation, _ in split_chunk(data)]


def split_chunk(data: bytes) -> Iterator[tuple[Operation, int]]:
    """The operations of a chunk, each with the offset where it ends."""
    offset = 0
    for _ in range(CHUNK_OPERATIONS):
        if offset >= len(data) or data[offset] >= len(_LAYOUTS):
            return
        layout = _LAYOUTS[data[offset]]
        end = offset + layout.size
        if end > len(data):
            return
        yield layout.decode(data, offset), end
        offset = end


def read_canonical(data: bytes) -> Operation | None:
    """The operation whose `encode` gives exactly these bytes, None when there is none."""
    if not data or data[0] >= len(_LAYOUTS):
        return None
    layout = _LAYOUTS[data[0]]
    return layout.decode_canonical(data) if len(data) == layout.size else None


class _Layout:
    """How one class is encoded."""

    def __init__(self, operation: type[Operation]) -> None:
        hints = get_type_hints(operation, include_extras=True)
        self._names = [field.name for field in fields(operation)]
        codecs: list[_Codec] = [hints[name].__metadata__[0] for name in self._names]
        form = "".join(codec.format for codec in codecs)
        self._struct = struct.Struct(">B" + form)
        self._fields = struct.Struct(">x" + form)
        self._packers = [(name, codec.pack) for name, codec in zip(self._names, codecs, strict=True)]
        self._unpackers = [(place, codec.unpack) for place, codec in enumerate(codecs) if codec.unpack is not None]
        self._checks = [(place, codec.is_canonical) for place, codec in enumerate(codecs) if codec.is_canonical]
        self._operation = operation
        self.size = self._struct.size

    def encode(self, operation: Operation) -> bytes:
        name = "kind"
        values: list[Any] = [operation.KIND]
        try:
            for name, pack in self._packers:
                value = getattr(operation, name)
                values.append(value if pack is None else pack(value))
            return self._struct.pack(*values)
        except (OverflowError, ValueError, TypeError, AttributeError, struct.error) as error:
            raise OperationError(f"{operation!r} cannot be encoded: {name}: {error}; correct the field") from error

    def decode(self, data: bytes, offset: int) -> Operation:
        return self._operation_of(list(self._fields.unpack_from(data, offset)))

    def decode_canonical(self, data: bytes) -> Operation | None:
        """The operation that these bytes are, which are as many as it has; None unless `encode` gives them back."""
        values = list(self._fields.unpack(data))
        for place, is_canonical in self._checks:
            if not is_canonical(values[place]):
                return None
        return self._operation_of(values)

    def _operation_of(self, values: list[Any]) -> Operation:
        for place, unpack in self._unpackers:
            values[place] = unpack(values[place])
        return self._operation(*values)


_LAYOUTS: Final = tuple(_Layout(operation) for operation in OPERATIONS)
