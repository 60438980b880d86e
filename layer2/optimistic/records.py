"""The records that leaves of the two trees stand for (docs/optimistic.md §1).

Records are named tuples, not dataclasses: the state transition makes two or three for each operation, and a named
tuple takes a fraction of a frozen dataclass's time. Fields are not checked when one is made; `encode` refuses those
out of range.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from layer2.crypto.keccak import keccak256
from layer2.optimistic.constants import RecordKind
from layer2.optimistic.errors import RecordError


class Account(NamedTuple):
    """owner: L1 address as an integer, its ordinary key signs; token: id in TokenRegistry; nonce: operations signed
    so far; balance: smallest units of the token."""

    owner: int
    token: int
    nonce: int
    balance: int


class Pool(NamedTuple):
    """A constant product pool of two different tokens. shares: all shares, the locked ones included."""

    token_a: int
    token_b: int
    reserve_a: int
    reserve_b: int
    shares: int


class Position(NamedTuple):
    """owner: L1 address as an integer; pool: the pool's index; shares: how many of its shares."""

    owner: int
    pool: int
    shares: int


class NFT(NamedTuple):
    """owner, creator: L1 addresses as integers; nonce: how often it was handed on; content: any 32 bytes."""

    owner: int
    creator: int
    nonce: int
    content: bytes


class Withdrawal(NamedTuple):
    """A leaf of the withdrawal tree: amount of token that owner can claim on L1."""

    owner: int
    token: int
    amount: int


Record = Account | Pool | Position | NFT
"""A leaf of the state tree."""

ACCOUNT_BYTES: Final = 43
POOL_BYTES: Final = 53
POSITION_BYTES: Final = 41
NFT_BYTES: Final = 77
WITHDRAWAL_BYTES: Final = 38


def encode(record: Record | Withdrawal) -> bytes:
    """The bytes whose keccak256 is the leaf. Raises RecordError for a field out of range."""
    try:
        return _ENCODERS[type(record)](record)
    except (OverflowError, KeyError, AttributeError, TypeError) as error:
        raise RecordError(f"{record!r} cannot be encoded: {error}; correct the field") from error


def leaf(record: Record | Withdrawal) -> bytes:
    """keccak256 of the record's bytes. Raises RecordError as `encode` does."""
    return keccak256(encode(record))


def decode(data: bytes) -> Record:
    """The record with these bytes. Raises RecordError unless they are a record of the state tree."""
    decoder = _DECODERS.get((data[0], len(data))) if data else None
    if decoder is None:
        raise RecordError(f"0x{data.hex()} is no record of docs/optimistic.md §1; give kind and fields whole")
    return decoder(data)


def decode_withdrawal(data: bytes) -> Withdrawal:
    """The withdrawal with these bytes. Raises RecordError for another length."""
    if len(data) != WITHDRAWAL_BYTES:
        raise RecordError(f"a withdrawal has {WITHDRAWAL_BYTES} bytes, got {len(data)}; give it whole")
    number = int.from_bytes
    return Withdrawal(number(data[:20]), number(data[20:22]), number(data[22:]))


def _encode_account(r: Account) -> bytes:
    owner, token, nonce, balance = r
    return b"\x01" + owner.to_bytes(20) + token.to_bytes(2) + nonce.to_bytes(4) + balance.to_bytes(16)


def _encode_pool(r: Pool) -> bytes:
    reserves = r.reserve_a.to_bytes(16) + r.reserve_b.to_bytes(16)
    return b"\x02" + r.token_a.to_bytes(2) + r.token_b.to_bytes(2) + reserves + r.shares.to_bytes(16)


def _encode_position(r: Position) -> bytes:
    return b"\x03" + r.owner.to_bytes(20) + r.pool.to_bytes(4) + r.shares.to_bytes(16)


def _encode_nft(r: NFT) -> bytes:
    if len(r.content) != 32:
        raise OverflowError(f"the content has {len(r.content)} bytes, not 32")
    return b"\x04" + r.owner.to_bytes(20) + r.creator.to_bytes(20) + r.nonce.to_bytes(4) + r.content


def _encode_withdrawal(r: Withdrawal) -> bytes:
    return r.owner.to_bytes(20) + r.token.to_bytes(2) + r.amount.to_bytes(16)


def _decode_account(data: bytes) -> Account:
    number = int.from_bytes
    return Account(number(data[1:21]), number(data[21:23]), number(data[23:27]), number(data[27:43]))


def _decode_pool(data: bytes) -> Pool:
    number = int.from_bytes
    return Pool(number(data[1:3]), number(data[3:5]), number(data[5:21]), number(data[21:37]), number(data[37:53]))


def _decode_position(data: bytes) -> Position:
    number = int.from_bytes
    return Position(number(data[1:21]), number(data[21:25]), number(data[25:41]))


def _decode_nft(data: bytes) -> NFT:
    number = int.from_bytes
    return NFT(number(data[1:21]), number(data[21:41]), number(data[41:45]), bytes(data[45:77]))


_ENCODERS: Final[dict[type, Callable[..., bytes]]] = {
    Account: _encode_account,
    Pool: _encode_pool,
    Position: _encode_position,
    NFT: _encode_nft,
    Withdrawal: _encode_withdrawal,
}
_DECODERS: Final[dict[tuple[int, int], Callable[[bytes], Record]]] = {
    (RecordKind.ACCOUNT, ACCOUNT_BYTES): _decode_account,
    (RecordKind.POOL, POOL_BYTES): _decode_pool,
    (RecordKind.POSITION, POSITION_BYTES): _decode_position,
    (RecordKind.NFT, NFT_BYTES): _decode_nft,
}
