"""Who signs transactions and messages: a key in memory, or any account of Ape's.

May import `layer2.chain.sidecar` and eth-account; Ape only inside the adapter, when it is used.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from eth_account import Account
from eth_account.messages import encode_defunct, encode_typed_data
from eth_account.signers.local import LocalAccount
from hexbytes import HexBytes

from layer2.chain.errors import ChainError
from layer2.chain.sidecar import Sidecar


@dataclass(frozen=True)
class UnsignedTransaction:
    """An EIP-1559 transaction, or with a sidecar an EIP-4844 one. `to` None deploys a contract.

    Fees in wei per gas; max_blob_fee in wei per blob gas.
    """

    chain_id: int
    nonce: int
    to: str | None
    data: bytes
    value: int
    gas: int
    max_fee: int
    priority_fee: int
    sidecar: Sidecar | None = None
    max_blob_fee: int = 0


class Signer(Protocol):
    """An Ethereum account that can sign."""

    @property
    def address(self) -> str:
        """EIP-55 address."""
        ...

    def sign_transaction(self, transaction: UnsignedTransaction) -> bytes:
        """The raw signed transaction, in the form that nodes take; its hash is `sidecar.transaction_hash` of it."""
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
        return _complete(transaction, bytes(self._account.sign_transaction(_fields(transaction)).raw_transaction))

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
        """The raw signed transaction.

        Raises ChainError when the account's owner declines, or cannot sign transactions with blobs.
        """
        from ape import networks

        try:
            signed = self._account.sign_transaction(networks.ethereum.create_transaction(**_fields(transaction)))
            if signed is None:
                raise ChainError(f"account {self.address} did not sign the transaction: confirm it and try again")
            raw = bytes(signed.serialize_transaction())
        except ChainError:
            raise
        except Exception as error:  # each plugin has its own
            if transaction.sidecar is None:
                raise
            raise ChainError(
                f"account {self.address} cannot sign a transaction with blobs ({type(error).__name__}: {error}): "
                "use an account whose key Ape holds, or post calldata instead of blobs"
            ) from error
        return _complete(transaction, raw)

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
    if transaction.sidecar is not None:
        fields |= {
            "type": 3,
            "maxFeePerBlobGas": transaction.max_blob_fee,
            "blobVersionedHashes": [HexBytes(hash_) for hash_ in transaction.sidecar.versioned_hashes],
        }
    return fields


def _complete(transaction: UnsignedTransaction, signed: bytes) -> bytes:
    return signed if transaction.sidecar is None else transaction.sidecar.attach(signed)
