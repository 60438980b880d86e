"""Making and checking the signatures of channels: 65 bytes, low s, as the contracts take them.

May import `layer2.crypto` and `layer2.chain`.
"""

from dataclasses import dataclass
from typing import Final

from eth_utils.address import to_checksum_address

from layer2.chain.signer import Signer
from layer2.channels.errors import ChannelError, MalformedError
from layer2.crypto.eip712 import Message, compact, domain_separator, expand, recover_rsv, typed_data

VERSION: Final = "1"
"""Of all domains."""

SIGNATURE_BYTES: Final = 65
MAX_UINT128: Final = 2**128 - 1
MAX_UINT64: Final = 2**64 - 1
MAX_UINT40: Final = 2**40 - 1

ZERO_ADDRESS: Final = "0x" + "00" * 20
ETH: Final = ZERO_ADDRESS
"""The token that is ETH."""


@dataclass(frozen=True)
class Domain:
    """A contract's EIP-712 domain: `name` of its kind, the chain and its address in EIP-55 form."""

    name: str
    chain_id: int
    contract: str

    @property
    def separator(self) -> bytes:
        """32 bytes that all digests of the contract start from."""
        return domain_separator(self.name, VERSION, self.chain_id, self.contract)


def sign(signer: Signer, message: Message, domain: Domain) -> bytes:
    """An account's signature of a message.

    Raises ChannelError when it is not one of the account's own key (a contract's, say): payees and parties take no
    other, and what the account itself raises when it does not sign.
    """
    typed = typed_data(message, domain.name, VERSION, domain.chain_id, domain.contract)
    signature = expand(compact(signer.sign_typed(typed)))
    if not is_signed_by(message, domain, signer.address, signature):
        raise ChannelError(
            f"account {signer.address} signs as somebody else: use an account of a key, contracts cannot sign here"
        )
    return signature


def is_signed_by(message: Message, domain: Domain, account: str, signature: bytes) -> bool:
    """Whether an account (EIP-55 address) signed a message by its own key."""
    signer = recover_rsv(message.digest(domain.separator), signature)
    return signer != 0 and signer == int(account, 16)


# -------------------------------------------------------------------- checks that all records share


def check_range(what: str, value: object, maximum: int, minimum: int = 0) -> None:
    """Raises MalformedError unless `value` is an integer from `minimum` to `maximum`."""
    if type(value) is not int or not minimum <= value <= maximum:
        raise MalformedError(f"{what} {value!r} is not a number from {minimum} to {maximum}")


def check_bytes(what: str, value: object, length: int = 32) -> None:
    """Raises MalformedError unless `value` is so many bytes."""
    if type(value) is not bytes or len(value) != length:
        shown = f"0x{value.hex()}" if isinstance(value, bytes) else repr(value)
        raise MalformedError(f"{what} {shown[:100]} is not {length} bytes")


def check_address(what: str, value: object) -> None:
    """Raises MalformedError unless `value` is an address in EIP-55 form."""
    if not isinstance(value, str) or len(value) != 42 or not _is_checksummed(value):
        raise MalformedError(f"{what} {str(value)[:100]!r} is not an EIP-55 address: give 0x and 40 hex digits")


def _is_checksummed(value: str) -> bool:
    try:
        return to_checksum_address(value) == value
    except ValueError:
        return False


def parse_bytes(what: str, text: object, length: int = 32) -> bytes:
    """So many bytes from 0x and hex digits. Raises MalformedError."""
    if isinstance(text, str) and len(text) == 2 + 2 * length and text.startswith("0x"):
        try:
            value = bytes.fromhex(text[2:])
        except ValueError:
            value = b""
        if len(value) == length:  # fromhex passes over spaces
            return value
    raise MalformedError(f"{what} {str(text)[:100]!r} is not 0x and {2 * length} hex digits")


def parse_number(what: str, text: object, maximum: int) -> int:
    """A number up to `maximum` from decimal digits without leading zeros. Raises MalformedError."""
    if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= 39:
        value = int(text)
        if value <= maximum and str(value) == text:
            return value
    raise MalformedError(f"{what} {str(text)[:100]!r} is not a decimal number from 0 to {maximum}")
