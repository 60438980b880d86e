"""Who signs transactions and messages: a key in memory, or any account of Ape's.

May import eth-account; Ape only inside the adapter, when it is used.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from eth_account import Account
from eth_account.messages import encode_defunct, encode_typed_data
from eth_account.signers.local import LocalAccount
from hexbytes import HexBytes

from layer2.chain.errors import ChainError


@dataclass(frozen=True)
class UnsignedTransaction:
    """An EIP-1559 transaction. `to` None deploys a contract; fees in wei per gas."""

    chain_id: int
    nonce: int
    to: str | None
    data: bytes
    value: int
    gas: int
    max_fee: int
    priority_fee: int


class Signer(Protocol):
    """An Ethereum account that can sign."""

    @property
    def address(self) -> str:
        """EIP-55 address."""
        ...

    def sign_transaction(self, transaction: UnsignedTransaction) -> bytes:
        """The raw signed transaction."""
        ...

    def sign_text(self, text: str) -> bytes:
        """The 65-byte EIP-191 `personal_sign` signature of a text."""
        ...

    def sign_typed(self, typed: dict[str, Any]) -> bytes:
        """The 65-byte EIP-712 signature of a full message ("types", "primaryType", "domain", "message")."""
        ...


class LocalSigner:
    """Signs with a private key in memory."""

    def __init__(self, key: bytes | str) -> None:
        """`key` is the 32-byte secp256k1 key or its hex. Raises ChainError for another value (without showing it)."""
        try:
            self._account: LocalAccount = Account.from_key(key)
        except Exception:  # eth-account raises several kinds, some of which show the key: none is passed on
            raise ChainError("the private key is not 32 bytes in hex: check the key") from None

    @property
    def address(self) -> str:
        """EIP-55 address."""
        return str(self._account.address)

    def sign_transaction(self, transaction: UnsignedTransaction) -> bytes:
        """The raw signed transaction."""
        return bytes(self._account.sign_transaction(_fields(transaction)).raw_transaction)

    def sign_text(self, text: str) -> bytes:
        """The 65-byte EIP-191 signature of a text (deterministic, RFC 6979)."""
        return bytes(self._account.sign_message(encode_defunct(text=text)).signature)

    def sign_typed(self, typed: dict[str, Any]) -> bytes:
        """The 65-byte EIP-712 signature."""
        return bytes(self._account.sign_message(encode_typed_data(full_message=typed)).signature)


class ApeSigner:
    """Signs with an account of Ape's: a test account, a key file, or a hardware wallet."""

    def __init__(self, account: Any) -> None:
        """`account` is an `ape.api.AccountAPI`."""
        self._account = account

    @property
    def address(self) -> str:
        """EIP-55 address."""
        return str(self._account.address)

    def sign_transaction(self, transaction: UnsignedTransaction) -> bytes:
        """The raw signed transaction. Raises ChainError when the account's owner declines."""
        from ape import networks

        signed = self._account.sign_transaction(networks.ethereum.create_transaction(**_fields(transaction)))
        if signed is None:
            raise ChainError(f"account {self.address} did not sign the transaction: confirm it and try again")
        return bytes(signed.serialize_transaction())

    def sign_text(self, text: str) -> bytes:
        """The 65-byte EIP-191 signature of a text. Raises ChainError when the account's owner declines."""
        return self._signature(encode_defunct(text=text))

    def sign_typed(self, typed: dict[str, Any]) -> bytes:
        """The 65-byte EIP-712 signature. Raises ChainError when the account's owner declines."""
        return self._signature(encode_typed_data(full_message=typed))

    def _signature(self, message: Any) -> bytes:
        signature = self._account.sign_message(message)
        if signature is None:
            raise ChainError(f"account {self.address} did not sign the message: confirm it and try again")
        return bytes(signature.encode_rsv())


def _fields(transaction: UnsignedTransaction) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "type": 2,
        "chainId": transaction.chain_id,
        "nonce": transaction.nonce,
        "data": HexBytes(transaction.data),
        "value": transaction.value,
        "gas": transaction.gas,
        "maxFeePerGas": transaction.max_fee,
        "maxPriorityFeePerGas": transaction.priority_fee,
    }
    if transaction.to is not None:
        fields["to"] = transaction.to
    return fields
