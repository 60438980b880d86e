"""Signed operations, accounts and states as JSON, for service and client alike.

Amounts and field elements are decimal strings (JSON numbers lose digits), addresses EIP-55, ids and hashes 0x hex.
May import `layer2.crypto` and `layer2.ledger`.
"""

from typing import Any, Final

from layer2.crypto.addresses import address_to_int, int_to_address
from layer2.crypto.eddsa import Point, Signature
from layer2.crypto.errors import AddressError
from layer2.ledger.account import Account
from layer2.ledger.amounts import decode_fee8, encode_fee8
from layer2.ledger.constants import Kind
from layer2.ledger.errors import LedgerError
from layer2.ledger.operations import NO_KEY, Operation, SignedOperation

KINDS: Final = {
    "transfer": Kind.TRANSFER,
    "transferToNew": Kind.TRANSFER_TO_NEW,
    "withdrawal": Kind.WITHDRAWAL,
    "keyChange": Kind.KEY_CHANGE,
}

Json = dict[str, Any]


class WireError(ValueError):
    """JSON that is not what it should be; the message names the field, the value and what is expected."""


def operation_to_json(signed: SignedOperation) -> Json:
    """A signed operation; fields that its kind does not use are left out. The fee is in smallest units."""
    operation = signed.operation
    name = next(name for name, kind in KINDS.items() if kind is operation.kind)
    result: Json = {
        "kind": name,
        "account": operation.account,
        "token": operation.token,
        "fee": str(decode_fee8(operation.fee)),
        "nonce": signed.nonce,
        "expiry": signed.expiry,
        "signature": {"r8": _point(signed.signature.r8), "s": str(signed.signature.s)},
    }
    if operation.kind is not Kind.KEY_CHANGE:
        result["amount"] = str(operation.amount)
    if operation.kind is Kind.TRANSFER:
        result["to"] = operation.to
        result["recipientOwner"] = address(signed.recipient_owner)
        result["recipientKey"] = _point(signed.recipient_key)
    if operation.kind in (Kind.TRANSFER_TO_NEW, Kind.WITHDRAWAL):
        result["owner"] = address(operation.owner)
    if operation.kind in (Kind.TRANSFER_TO_NEW, Kind.KEY_CHANGE):
        result["key"] = _point(operation.key)
    return result


def operation_from_json(raw: object) -> SignedOperation:
    """The inverse of `operation_to_json`. Raises WireError for anything else, unknown fields included."""
    reader = _Reader(raw, "transaction")
    name = reader.text("kind")
    if name not in KINDS:
        raise WireError(f"kind {name!r} is unknown: give one of {', '.join(KINDS)}")
    kind = KINDS[name]
    try:
        fee = encode_fee8(reader.number("fee"))
        key = recipient_key = NO_KEY
        amount = to = owner = recipient_owner = 0
        if kind is not Kind.KEY_CHANGE:
            amount = reader.number("amount")
        if kind is Kind.TRANSFER:
            to = reader.number("to")
            recipient_owner = reader.address("recipientOwner")
            recipient_key = reader.point("recipientKey")
        if kind in (Kind.TRANSFER_TO_NEW, Kind.WITHDRAWAL):
            owner = reader.address("owner")
        if kind in (Kind.TRANSFER_TO_NEW, Kind.KEY_CHANGE):
            key = reader.point("key")
        operation = Operation(
            kind, reader.number("account"), to, reader.number("token"), fee, amount, owner, key.x, key.y
        )
        nonce, expiry = reader.number("nonce"), reader.number("expiry")
        part = reader.part("signature")
        signature = Signature(part.point("r8"), part.number("s"))
        part.finish()
        reader.finish()
        return SignedOperation(operation, nonce, expiry, signature, recipient_owner, recipient_key)
    except LedgerError as error:
        raise WireError(str(error)) from error


def account_to_json(index: int, account: Account, next_nonce: int) -> Json:
    """An account with its index and the nonce to sign next."""
    return {
        "index": index,
        "owner": address(account.owner),
        "key": _point(account.key),
        "token": account.token,
        "nonce": account.nonce,
        "nextNonce": next_nonce,
        "balance": str(account.balance),
    }


def account_from_json(raw: object) -> tuple[int, Account, int]:
    """(index, account, next nonce): the inverse of `account_to_json`. Raises WireError."""
    reader = _Reader(raw, "account")
    try:
        account = Account(
            reader.address("owner"),
            reader.point("key"),
            reader.number("token"),
            reader.number("nonce"),
            reader.number("balance"),
        )
    except LedgerError as error:
        raise WireError(str(error)) from error
    result = reader.number("index"), account, reader.number("nextNonce")
    reader.finish()
    return result


def address(value: int) -> str:
    """An L1 address in EIP-55 form."""
    return int_to_address(value)


def parse_address(value: object, what: str) -> int:
    """An L1 address from hex; mixed case must carry a right checksum. Raises WireError naming `what`."""
    if not isinstance(value, str):
        raise WireError(f"{what} {_shown(value)} is not an address: give 0x and 40 hex digits")
    try:
        return address_to_int(value[:100])
    except AddressError as error:
        raise WireError(f"{what}: {error}") from error


def parse_number(value: object, what: str) -> int:
    """A number from a JSON integer or a decimal string of up to 80 digits. Raises WireError naming `what`."""
    if type(value) is int and value >= 0:
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 80:
        return int(value)
    raise WireError(f"{what} {_shown(value)} is not a number: give a decimal string or integer, 0 or more")


def _point(point: Point) -> Json:
    return {"x": str(point.x), "y": str(point.y)}


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else text[:97] + "…"


class _Reader:
    """Takes the fields out of a JSON object."""

    def __init__(self, raw: object, what: str) -> None:
        if not isinstance(raw, dict):
            raise WireError(f"{what} is {_shown(raw)}: give a JSON object")
        self._raw = dict(raw)
        self._what = what

    def take(self, name: str) -> object:
        if name not in self._raw:
            raise WireError(f"{self._what} has no field {name!r}: add it")
        return self._raw.pop(name)

    def text(self, name: str) -> str:
        value = self.take(name)
        if not isinstance(value, str):
            raise WireError(f"{name} {_shown(value)} is not a string")
        return value

    def number(self, name: str) -> int:
        return parse_number(self.take(name), name)

    def address(self, name: str) -> int:
        return parse_address(self.take(name), name)

    def part(self, name: str) -> "_Reader":
        return _Reader(self.take(name), name)

    def point(self, name: str) -> Point:
        part = self.part(name)
        point = Point(part.number("x"), part.number("y"))
        part.finish()
        return point

    def finish(self) -> None:
        if self._raw:
            raise WireError(f"{self._what} has unknown fields {', '.join(map(_shown, self._raw))}: leave them out")
