"""Typed messages of EIP-712 and their signatures by keys of secp256k1, fast: for code that checks them all the time.

Each message class lists the fields of its EIP-712 type in order, in snake case; the annotations are the types. May
import `layer2.crypto` and coincurve.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import lru_cache
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Final, get_type_hints

from coincurve import PrivateKey, PublicKey

from layer2.crypto.addresses import address_to_int, int_to_address
from layer2.crypto.errors import SigningError
from layer2.crypto.keccak import keccak256

GROUP_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""n of secp256k1."""
MAX_S: Final = GROUP_ORDER // 2
"""A signature's s is at most this."""

_DOMAIN_TYPE: Final = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
_PARITY: Final = 1 << 255

Uint16 = Annotated[int, "uint16"]
Uint32 = Annotated[int, "uint32"]
Uint40 = Annotated[int, "uint40"]
Uint64 = Annotated[int, "uint64"]
Uint128 = Annotated[int, "uint128"]
Uint256 = Annotated[int, "uint256"]
Address = Annotated[int, "address"]
Bytes32 = Annotated[bytes, "bytes32"]


@dataclass(frozen=True, slots=True)
class Message:
    """The base of all messages."""

    NAME: ClassVar[str]
    """Of the EIP-712 type."""

    def struct_hash(self) -> bytes:
        """EIP-712's hashStruct, 32 bytes. Raises SigningError for a field that is no 256-bit word."""
        form = _form(type(self))
        try:
            # An integer is padded to a word on the left, bytes32 is one already.
            words = [form.type_hash]
            words += [value if type(value) is bytes else value.to_bytes(32) for value in form.values(self)]
        except (OverflowError, AttributeError) as error:
            raise SigningError(f"{self!r} cannot be signed: {error}; correct the field") from error
        return keccak256(b"".join(words))

    def digest(self, domain_separator: bytes) -> bytes:
        """The 32 bytes that are signed. Raises SigningError for a field that is no 256-bit word."""
        return keccak256(b"\x19\x01" + domain_separator + self.struct_hash())


class _Form:
    """The EIP-712 type of one message class."""

    def __init__(self, message: type[Message]) -> None:
        hints = get_type_hints(message, include_extras=True)
        names = [field.name for field in fields(message)]
        self.fields = [(_camel(name), str(hints[name].__metadata__[0])) for name in names]
        self.values: Callable[[Message], tuple[Any, ...]] = attrgetter(*names)
        self.type = f"{message.NAME}({','.join(f'{kind} {name}' for name, kind in self.fields)})"
        self.type_hash = keccak256(self.type.encode())


_FORMS: Final[dict[type[Message], _Form]] = {}


def _form(message: type[Message]) -> _Form:
    form = _FORMS.get(message)
    if form is None:
        form = _FORMS[message] = _Form(message)
    return form


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.title() for other in others)


def encode_type(message: type[Message]) -> str:
    """The message's EIP-712 type: "Mail(address from,string text)"."""
    return _form(message).type


# -------------------------------------------------------------------- making and checking signatures


def sign(message: Message, domain_separator: bytes, private_key: bytes) -> bytes:
    """The signature, 64 bytes, by a private key of 32 bytes (deterministic, RFC 6979).

    Raises SigningError for a message out of range or what is no private key.
    """
    return compact(sign_digest(message.digest(domain_separator), private_key))


def sign_digest(digest: bytes, private_key: bytes) -> bytes:
    """The signature of 32 bytes: r ‖ s ‖ v, 65 bytes, v = 27 or 28, a low s.

    Raises SigningError for what is no private key.
    """
    try:
        signature = PrivateKey(private_key).sign_recoverable(digest, hasher=None)
    except (ValueError, TypeError) as error:
        raise SigningError(f"the private key is refused: {error}; give 32 bytes below the group's order") from error
    return signature[:64] + bytes([27 + signature[64]])


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


def expand(signature: bytes) -> bytes:
    """r ‖ s ‖ v with v = 27 or 28, of r ‖ yParityAndS: the inverse of `compact`, in the form that contracts take."""
    s = int.from_bytes(signature[32:])
    return signature[:32] + (s & (_PARITY - 1)).to_bytes(32) + bytes([27 + (s >> 255)])


def recover(digest: bytes, signature: bytes) -> int:
    """The address that made a signature of 64 bytes, 0 when it is not valid or its s is high."""
    s = int.from_bytes(signature[32:])
    parity = s >> 255
    s &= _PARITY - 1
    if s > MAX_S:
        return 0
    return _recover(digest, signature[:32] + s.to_bytes(32) + (b"\1" if parity else b"\0"))


def recover_rsv(digest: bytes, signature: bytes) -> int:
    """The address that made a signature r ‖ s ‖ v of 65 bytes, 0 when it is not valid: v is not 27 or 28, or s is high.

    What OpenZeppelin's ECDSA takes, and nothing else.
    """
    if len(signature) != 65 or signature[64] not in (27, 28) or int.from_bytes(signature[32:64]) > MAX_S:
        return 0
    return _recover(digest, signature[:64] + bytes([signature[64] - 27]))


def _recover(digest: bytes, signature: bytes) -> int:
    try:
        point = PublicKey.from_signature_and_message(signature, digest, hasher=None)
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


# -------------------------------------------------------------------- domains and wallets


@lru_cache(maxsize=64)
def domain_separator(name: str, version: str, chain_id: int, contract: int | str) -> bytes:
    """A contract's EIP-712 domain separator, 32 bytes. `contract`: its address as an integer or hex.

    Raises SigningError for a number out of range, AddressError for malformed hex.
    """
    address = address_to_int(contract) if isinstance(contract, str) else contract
    if not 0 <= chain_id < 1 << 256 or not 0 <= address < 1 << 160:
        raise SigningError(
            f"chain id {chain_id} or contract {address:#x} is out of range; give those of the deployment"
        )
    hashes = [keccak256(text.encode()) for text in (_DOMAIN_TYPE, name, version)]
    return keccak256(b"".join(hashes) + chain_id.to_bytes(32) + address.to_bytes(32))


def typed_data(message: Message, name: str, version: str, chain_id: int, contract: int | str) -> dict[str, Any]:
    """The message for wallets: what eth_signTypedData_v4 and eth-account's `encode_typed_data` take."""
    form = _form(type(message))
    address = contract if isinstance(contract, str) else int_to_address(contract)
    domain = _DOMAIN_TYPE.removeprefix("EIP712Domain(").removesuffix(")")
    domain_fields = [tuple(field.split(" ")) for field in domain.split(",")]
    values = {
        field: _WALLET_FORM.get(kind, int)(value)
        for (field, kind), value in zip(form.fields, form.values(message), strict=True)
    }
    return {
        "types": {
            "EIP712Domain": [{"name": field, "type": kind} for kind, field in domain_fields],
            message.NAME: [{"name": field, "type": kind} for field, kind in form.fields],
        },
        "primaryType": message.NAME,
        "domain": {"name": name, "version": version, "chainId": chain_id, "verifyingContract": address},
        "message": values,
    }


_WALLET_FORM: Final[dict[str, Callable[[Any], int | str]]] = {
    "address": int_to_address,
    "bytes32": lambda value: "0x" + value.hex(),
    "uint128": str,  # JSON's numbers are not exact in browsers
    "uint256": str,
}
