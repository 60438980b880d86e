"""What is signed, and by whom: EIP-712 messages (docs/optimistic.md §3).

The messages' classes; how they are hashed and signed is in `layer2.crypto.eip712`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, TypeVar

from layer2.crypto import eip712
from layer2.crypto.eip712 import Address, Bytes32, Message, Uint16, Uint32, Uint256, sign
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


@dataclass(frozen=True, slots=True)
class TransferMessage(Message):
    NAME: ClassVar = "Transfer"
    account: Uint32
    to: Uint32
    to_owner: Address
    token: Uint16
    amount: Uint256
    fee: Uint256
    nonce: Uint32
    expiry: Uint32


@dataclass(frozen=True, slots=True)
class TransferToNewMessage(Message):
    NAME: ClassVar = "TransferToNew"
    account: Uint32
    owner: Address
    token: Uint16
    amount: Uint256
    fee: Uint256
    nonce: Uint32
    expiry: Uint32


@dataclass(frozen=True, slots=True)
class WithdrawMessage(Message):
    NAME: ClassVar = "Withdraw"
    account: Uint32
    token: Uint16
    amount: Uint256
    fee: Uint256
    nonce: Uint32
    expiry: Uint32


@dataclass(frozen=True, slots=True)
class SwapMessage(Message):
    NAME: ClassVar = "Swap"
    account: Uint32
    to: Uint32
    pool: Uint32
    token: Uint16
    to_token: Uint16
    amount: Uint256
    minimum: Uint256
    fee: Uint256
    nonce: Uint32
    expiry: Uint32


@dataclass(frozen=True, slots=True)
class CreatePoolMessage(Message):
    NAME: ClassVar = "CreatePool"
    account_a: Uint32
    account_b: Uint32
    token_a: Uint16
    token_b: Uint16
    amount_a: Uint256
    amount_b: Uint256
    fee: Uint256
    nonce: Uint32
    expiry: Uint32


@dataclass(frozen=True, slots=True)
class AddLiquidityMessage(Message):
    NAME: ClassVar = "AddLiquidity"
    account_a: Uint32
    account_b: Uint32
    pool: Uint32
    position: Uint32
    token_a: Uint16
    token_b: Uint16
    amount_a: Uint256
    minimum_b: Uint256
    maximum_b: Uint256
    fee: Uint256
    nonce: Uint32
    expiry: Uint32


@dataclass(frozen=True, slots=True)
class RemoveLiquidityMessage(Message):
    NAME: ClassVar = "RemoveLiquidity"
    position: Uint32
    account_a: Uint32
    account_b: Uint32
    token_a: Uint16
    token_b: Uint16
    shares: Uint256
    minimum_a: Uint256
    minimum_b: Uint256
    fee: Uint256
    nonce: Uint32
    expiry: Uint32


@dataclass(frozen=True, slots=True)
class MintNFTMessage(Message):
    NAME: ClassVar = "MintNFT"
    account: Uint32
    content: Bytes32
    token: Uint16
    fee: Uint256
    nonce: Uint32
    expiry: Uint32


@dataclass(frozen=True, slots=True)
class TransferNFTMessage(Message):
    NAME: ClassVar = "TransferNFT"
    nft: Uint32
    to: Address
    content: Bytes32
    creator: Address
    account: Uint32
    token: Uint16
    fee: Uint256
    nonce: Uint32
    expiry: Uint32


@dataclass(frozen=True, slots=True)
class PurchaseNFTMessage(Message):
    NAME: ClassVar = "PurchaseNFT"
    nft: Uint32
    content: Bytes32
    creator: Address
    seller: Address
    account: Uint32
    seller_account: Uint32
    token: Uint16
    price: Uint256
    fee: Uint256
    nonce: Uint32
    expiry: Uint32


@dataclass(frozen=True, slots=True)
class SellNFTMessage(Message):
    NAME: ClassVar = "SellNFT"
    nft: Uint32
    content: Bytes32
    creator: Address
    seller_account: Uint32
    token: Uint16
    price: Uint256
    nonce: Uint32
    expiry: Uint32


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
    return TransferNFTMessage(
        op.nft, op.to, nft.content, nft.creator, op.account, account.token, op.fee, nft.nonce, op.expiry
    )


def purchase_nft_message(op: PurchaseNFT, nft: NFT, account: Account) -> PurchaseNFTMessage:
    return PurchaseNFTMessage(
        op.nft,
        nft.content,
        nft.creator,
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
    return SellNFTMessage(
        op.nft, nft.content, nft.creator, op.seller_account, account.token, op.price, nft.nonce, op.expiry
    )


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


def domain_separator(chain_id: int, rollup: int | str) -> bytes:
    """The rollup's EIP-712 domain separator, 32 bytes. `rollup`: the contract's address as an integer or hex.

    Raises SigningError for a number out of range, AddressError for malformed hex.
    """
    return eip712.domain_separator(SIGNATURE_NAME, SIGNATURE_VERSION, chain_id, rollup)


def typed_data(message: Message, chain_id: int, rollup: int | str) -> dict[str, Any]:
    """The message for wallets: what eth_signTypedData_v4 and eth-account's `encode_typed_data` take."""
    return eip712.typed_data(message, SIGNATURE_NAME, SIGNATURE_VERSION, chain_id, rollup)


def _find(record: Lookup, index: int, kind: type[_Kind]) -> _Kind:
    found = record(index)
    if not isinstance(found, kind):
        raise SigningError(f"index {index} holds {found!r}, not an {kind.__name__}; look the index up again")
    return found
