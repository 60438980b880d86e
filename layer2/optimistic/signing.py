"""What is signed, and by whom: EIP-712 messages (docs/optimistic.md §3).

Each message class lists the fields of its EIP-712 type in order, in snake case; the annotations are the types.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Final, TypeVar, get_type_hints

from coincurve import PrivateKey, PublicKey

from layer2.crypto.addresses import address_to_int, int_to_address
from layer2.crypto.keccak import keccak256
from layer2.optimistic.constants import SIGNATURE_NAME, SIGNATURE_VERSION
from layer2.optimistic.errors import SigningError
from layer2.optimistic.operations import (
    AddLiquidity,
    CreatePool,
    MintNFT,
    Operation,
    PurchaseNFT,
    RemoveLiquidity,
    Swap,
    Transfer,
    TransferNFT,
    TransferToNew,
    Withdraw,
)
from layer2.optimistic.records import NFT, Account, Record

GROUP_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""n of secp256k1."""
MAX_S: Final = GROUP_ORDER // 2
"""A signature's s is at most this."""

_DOMAIN_TYPE: Final = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
_PARITY: Final = 1 << 255

_Uint16 = Annotated[int, "uint16"]
_Uint32 = Annotated[int, "uint32"]
_Uint256 = Annotated[int, "uint256"]
_Address = Annotated[int, "address"]
_Bytes32 = Annotated[bytes, "bytes32"]


@dataclass(frozen=True, slots=True)
class Message:
    """The base of all messages."""

    NAME: ClassVar[str]
    """Of the EIP-712 type."""

    def digest(self, domain_separator: bytes) -> bytes:
        """The 32 bytes that are signed. Raises SigningError for a field that is no 256-bit word."""
        form = _FORMS[self.NAME]
        try:
            # An integer is padded to a word on the left, bytes32 is one already.
            words = [form.type_hash]
            words += [value if type(value) is bytes else value.to_bytes(32) for value in form.values(self)]
        except (OverflowError, AttributeError) as error:
            raise SigningError(f"{self!r} cannot be signed: {error}; correct the field") from error
        return keccak256(b"\x19\x01" + domain_separator + keccak256(b"".join(words)))


@dataclass(frozen=True, slots=True)
class TransferMessage(Message):
    NAME: ClassVar = "Transfer"
    account: _Uint32
    to: _Uint32
    to_owner: _Address
    token: _Uint16
    amount: _Uint256
    fee: _Uint256
    nonce: _Uint32
    expiry: _Uint32


@dataclass(frozen=True, slots=True)
class TransferToNewMessage(Message):
    NAME: ClassVar = "TransferToNew"
    account: _Uint32
    owner: _Address
    token: _Uint16
    amount: _Uint256
    fee: _Uint256
    nonce: _Uint32
    expiry: _Uint32


@dataclass(frozen=True, slots=True)
class WithdrawMessage(Message):
    NAME: ClassVar = "Withdraw"
    account: _Uint32
    token: _Uint16
    amount: _Uint256
    fee: _Uint256
    nonce: _Uint32
    expiry: _Uint32


@dataclass(frozen=True, slots=True)
class SwapMessage(Message):
    NAME: ClassVar = "Swap"
    account: _Uint32
    to: _Uint32
    pool: _Uint32
    token: _Uint16
    to_token: _Uint16
    amount: _Uint256
    minimum: _Uint256
    fee: _Uint256
    nonce: _Uint32
    expiry: _Uint32


@dataclass(frozen=True, slots=True)
class CreatePoolMessage(Message):
    NAME: ClassVar = "CreatePool"
    account_a: _Uint32
    account_b: _Uint32
    token_a: _Uint16
    token_b: _Uint16
    amount_a: _Uint256
    amount_b: _Uint256
    fee: _Uint256
    nonce: _Uint32
    expiry: _Uint32


@dataclass(frozen=True, slots=True)
class AddLiquidityMessage(Message):
    NAME: ClassVar = "AddLiquidity"
    account_a: _Uint32
    account_b: _Uint32
    pool: _Uint32
    position: _Uint32
    token_a: _Uint16
    token_b: _Uint16
    amount_a: _Uint256
    minimum_b: _Uint256
    maximum_b: _Uint256
    fee: _Uint256
    nonce: _Uint32
    expiry: _Uint32


@dataclass(frozen=True, slots=True)
class RemoveLiquidityMessage(Message):
    NAME: ClassVar = "RemoveLiquidity"
    position: _Uint32
    account_a: _Uint32
    account_b: _Uint32
    token_a: _Uint16
    token_b: _Uint16
    shares: _Uint256
    minimum_a: _Uint256
    minimum_b: _Uint256
    fee: _Uint256
    nonce: _Uint32
    expiry: _Uint32


@dataclass(frozen=True, slots=True)
class MintNFTMessage(Message):
    NAME: ClassVar = "MintNFT"
    account: _Uint32
    content: _Bytes32
    token: _Uint16
    fee: _Uint256
    nonce: _Uint32
    expiry: _Uint32


@dataclass(frozen=True, slots=True)
class TransferNFTMessage(Message):
    NAME: ClassVar = "TransferNFT"
    nft: _Uint32
    to: _Address
    content: _Bytes32
    account: _Uint32
    token: _Uint16
    fee: _Uint256
    nonce: _Uint32
    expiry: _Uint32


@dataclass(frozen=True, slots=True)
class PurchaseNFTMessage(Message):
    NAME: ClassVar = "PurchaseNFT"
    nft: _Uint32
    content: _Bytes32
    seller: _Address
    account: _Uint32
    seller_account: _Uint32
    token: _Uint16
    price: _Uint256
    fee: _Uint256
    nonce: _Uint32
    expiry: _Uint32


@dataclass(frozen=True, slots=True)
class SellNFTMessage(Message):
    NAME: ClassVar = "SellNFT"
    nft: _Uint32
    content: _Bytes32
    seller_account: _Uint32
    token: _Uint16
    price: _Uint256
    nonce: _Uint32
    expiry: _Uint32


MESSAGES: Final[tuple[type[Message], ...]] = (
    TransferMessage,
    TransferToNewMessage,
    WithdrawMessage,
    SwapMessage,
    CreatePoolMessage,
    AddLiquidityMessage,
    RemoveLiquidityMessage,
    MintNFTMessage,
    TransferNFTMessage,
    PurchaseNFTMessage,
    SellNFTMessage,
)


class _Form:
    """The EIP-712 type of one message class."""

    def __init__(self, message: type[Message]) -> None:
        hints = get_type_hints(message, include_extras=True)
        names = [field.name for field in fields(message)]
        self.fields = [(_camel(name), str(hints[name].__metadata__[0])) for name in names]
        self.values: Callable[[Message], tuple[Any, ...]] = attrgetter(*names)
        self.type = f"{message.NAME}({','.join(f'{kind} {name}' for name, kind in self.fields)})"
        self.type_hash = keccak256(self.type.encode())


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.title() for other in others)


_FORMS: Final = {message.NAME: _Form(message) for message in MESSAGES}


def encode_type(message: type[Message]) -> str:
    """The message's EIP-712 type, as docs/optimistic.md §3 lists it."""
    return _FORMS[message.NAME].type


# -------------------------------------------------------------------- what an operation's signature covers
# The records are those before the operation.


def transfer_message(op: Transfer, sender: Account, recipient: Account) -> TransferMessage:
    return TransferMessage(op.account, op.to, recipient.owner, sender.token, op.amount, op.fee, sender.nonce, op.expiry)


def transfer_to_new_message(op: TransferToNew, sender: Account) -> TransferToNewMessage:
    return TransferToNewMessage(op.account, op.owner, sender.token, op.amount, op.fee, sender.nonce, op.expiry)


def withdraw_message(op: Withdraw, account: Account) -> WithdrawMessage:
    return WithdrawMessage(op.account, account.token, op.amount, op.fee, account.nonce, op.expiry)


def swap_message(op: Swap, account: Account, to: Account) -> SwapMessage:
    return SwapMessage(
        op.account,
        op.to,
        op.pool,
        account.token,
        to.token,
        op.amount,
        op.minimum,
        op.fee,
        account.nonce,
        op.expiry,
    )


def create_pool_message(op: CreatePool, a: Account, b: Account) -> CreatePoolMessage:
    return CreatePoolMessage(
        op.account_a, op.account_b, a.token, b.token, op.amount_a, op.amount_b, op.fee, a.nonce, op.expiry
    )


def add_liquidity_message(op: AddLiquidity, a: Account, b: Account) -> AddLiquidityMessage:
    return AddLiquidityMessage(
        op.account_a,
        op.account_b,
        op.pool,
        op.position,
        a.token,
        b.token,
        op.amount_a,
        op.minimum_b,
        op.maximum_b,
        op.fee,
        a.nonce,
        op.expiry,
    )


def remove_liquidity_message(op: RemoveLiquidity, a: Account, b: Account) -> RemoveLiquidityMessage:
    return RemoveLiquidityMessage(
        op.position,
        op.account_a,
        op.account_b,
        a.token,
        b.token,
        op.shares,
        op.minimum_a,
        op.minimum_b,
        op.fee,
        a.nonce,
        op.expiry,
    )


def mint_nft_message(op: MintNFT, account: Account) -> MintNFTMessage:
    return MintNFTMessage(op.account, op.content, account.token, op.fee, account.nonce, op.expiry)


def transfer_nft_message(op: TransferNFT, nft: NFT, account: Account) -> TransferNFTMessage:
    return TransferNFTMessage(op.nft, op.to, nft.content, op.account, account.token, op.fee, nft.nonce, op.expiry)


def purchase_nft_message(op: PurchaseNFT, nft: NFT, account: Account) -> PurchaseNFTMessage:
    return PurchaseNFTMessage(
        op.nft,
        nft.content,
        nft.owner,
        op.account,
        op.seller_account,
        account.token,
        op.price,
        op.fee,
        account.nonce,
        op.expiry,
    )


def sell_nft_message(op: PurchaseNFT, nft: NFT, account: Account) -> SellNFTMessage:
    return SellNFTMessage(op.nft, nft.content, op.seller_account, account.token, op.price, nft.nonce, op.expiry)


# -------------------------------------------------------------------- making signatures

_Signed = TypeVar("_Signed", bound=Operation)
_Kind = TypeVar("_Kind", Account, NFT)
Lookup = Callable[[int], Record | None]
"""Finds the record at an index; `RollupState.record` is one."""


def message_of(operation: Operation, record: Lookup) -> Message:
    """What `operation.signature` signs, given the records before the operation.

    Raises SigningError when it is not a signed operation, or a record that it names is missing or of another kind.
    """

    def account(index: int) -> Account:
        return _find(record, index, Account)

    match operation:
        case Transfer():
            return transfer_message(operation, account(operation.account), account(operation.to))
        case TransferToNew():
            return transfer_to_new_message(operation, account(operation.account))
        case Withdraw():
            return withdraw_message(operation, account(operation.account))
        case Swap():
            return swap_message(operation, account(operation.account), account(operation.to))
        case CreatePool():
            return create_pool_message(operation, account(operation.account_a), account(operation.account_b))
        case AddLiquidity():
            return add_liquidity_message(operation, account(operation.account_a), account(operation.account_b))
        case RemoveLiquidity():
            return remove_liquidity_message(operation, account(operation.account_a), account(operation.account_b))
        case MintNFT():
            return mint_nft_message(operation, account(operation.account))
        case TransferNFT():
            return transfer_nft_message(operation, _find(record, operation.nft, NFT), account(operation.account))
        case PurchaseNFT():
            return purchase_nft_message(operation, _find(record, operation.nft, NFT), account(operation.account))
        case _:
            raise SigningError(f"{operation!r} carries no signature; sign operations of kinds 2 to 11")


def sale_of(operation: PurchaseNFT, record: Lookup) -> SellNFTMessage:
    """What `operation.seller_signature` signs. Raises SigningError as `message_of` does."""
    return sell_nft_message(operation, _find(record, operation.nft, NFT), _find(record, operation.account, Account))


def sign_operation(operation: _Signed, record: Lookup, domain_separator: bytes, private_key: bytes) -> _Signed:
    """The operation with its signature. Raises SigningError as `message_of` and `sign` do."""
    signature = sign(message_of(operation, record), domain_separator, private_key)
    return replace(operation, signature=signature)  # type: ignore[call-arg]  # every signed operation has it


def sign_sale(operation: PurchaseNFT, record: Lookup, domain_separator: bytes, private_key: bytes) -> PurchaseNFT:
    """The operation with the seller's signature. Raises SigningError as `sale_of` and `sign` do."""
    return replace(operation, seller_signature=sign(sale_of(operation, record), domain_separator, private_key))


def sign(message: Message, domain_separator: bytes, private_key: bytes) -> bytes:
    """The signature, 64 bytes, by a private key of 32 bytes (deterministic, RFC 6979).

    Raises SigningError for a message out of range or what is no private key.
    """
    digest = message.digest(domain_separator)
    try:
        signature = PrivateKey(private_key).sign_recoverable(digest, hasher=None)
    except (ValueError, TypeError) as error:
        raise SigningError(f"the private key is refused: {error}; give 32 bytes below the group's order") from error
    return compact(signature)


def compact(signature: bytes) -> bytes:
    """r ‖ yParityAndS of r ‖ s ‖ v as wallets give it; v is 27 or 28, or 0 or 1. A high s is made low.

    Raises SigningError for anything else.
    """
    if len(signature) != 65 or signature[64] not in (0, 1, 27, 28):
        raise SigningError(f"0x{signature.hex()} is not r ‖ s ‖ v; give 65 bytes, v = 0, 1, 27 or 28")
    s = int.from_bytes(signature[32:64])
    parity = signature[64] in (1, 28)
    if not 0 < s < GROUP_ORDER:
        raise SigningError(f"s = {s:#x} is not between 1 and the group's order; sign again")
    if s > MAX_S:
        s = GROUP_ORDER - s
        parity = not parity
    return signature[:32] + (s | (_PARITY if parity else 0)).to_bytes(32)


def recover(digest: bytes, signature: bytes) -> int:
    """The address that made a signature of 64 bytes, 0 when it is not valid or its s is high."""
    s = int.from_bytes(signature[32:])
    parity = s >> 255
    s &= _PARITY - 1
    if s > MAX_S:
        return 0
    try:
        point = PublicKey.from_signature_and_message(
            signature[:32] + s.to_bytes(32) + (b"\1" if parity else b"\0"), digest, hasher=None
        )
    except ValueError:
        return 0
    return int.from_bytes(keccak256(point.format(compressed=False)[1:])[12:])


def address_of(private_key: bytes) -> int:
    """The address of a private key. Raises SigningError for what is no private key."""
    try:
        point = PrivateKey(private_key).public_key.format(compressed=False)
    except (ValueError, TypeError) as error:
        raise SigningError(f"the private key is refused: {error}; give 32 bytes below the group's order") from error
    return int.from_bytes(keccak256(point[1:])[12:])


@lru_cache(maxsize=64)
def domain_separator(chain_id: int, rollup: int | str) -> bytes:
    """The rollup's EIP-712 domain separator, 32 bytes. `rollup`: the contract's address as an integer or hex.

    Raises SigningError for a number out of range, AddressError for malformed hex.
    """
    address = address_to_int(rollup) if isinstance(rollup, str) else rollup
    if not 0 <= chain_id < 1 << 256 or not 0 <= address < 1 << 160:
        raise SigningError(f"chain id {chain_id} or rollup {address:#x} is out of range; give those of the deployment")
    hashes = [keccak256(text.encode()) for text in (_DOMAIN_TYPE, SIGNATURE_NAME, SIGNATURE_VERSION)]
    return keccak256(b"".join(hashes) + chain_id.to_bytes(32) + address.to_bytes(32))


def typed_data(message: Message, chain_id: int, rollup: int | str) -> dict[str, Any]:
    """The message for wallets: what eth_signTypedData_v4 and eth-account's `encode_typed_data` take."""
    form = _FORMS[message.NAME]
    address = rollup if isinstance(rollup, str) else int_to_address(rollup)
    domain = _DOMAIN_TYPE.removeprefix("EIP712Domain(").removesuffix(")")
    domain_fields = [tuple(field.split(" ")) for field in domain.split(",")]
    values = {
        name: _WALLET_FORM.get(kind, int)(value)
        for (name, kind), value in zip(form.fields, form.values(message), strict=True)
    }
    return {
        "types": {
            "EIP712Domain": [{"name": name, "type": kind} for kind, name in domain_fields],
            message.NAME: [{"name": name, "type": kind} for name, kind in form.fields],
        },
        "primaryType": message.NAME,
        "domain": {
            "name": SIGNATURE_NAME,
            "version": SIGNATURE_VERSION,
            "chainId": chain_id,
            "verifyingContract": address,
        },
        "message": values,
    }


_WALLET_FORM: Final[dict[str, Callable[[Any], int | str]]] = {
    "address": int_to_address,
    "bytes32": lambda value: "0x" + value.hex(),
    "uint256": str,  # JSON's numbers are not exact in browsers
}


def _find(record: Lookup, index: int, kind: type[_Kind]) -> _Kind:
    found = record(index)
    if not isinstance(found, kind):
        raise SigningError(f"index {index} holds {found!r}, not an {kind.__name__}; look the index up again")
    return found
