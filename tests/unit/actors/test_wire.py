"""JSON of signed operations and accounts, and what services say."""

import json

import pytest
import requests

from layer2.crypto.eddsa import B8, PrivateKey
from layer2.crypto.field import R
from layer2.ledger.account import Account
from layer2.ledger.constants import Kind
from layer2.ledger.operations import Operation, SignedOperation, sign_operation
from layer2.node.client import RelayerClient, RelayerClientError
from layer2.node.wire import (
    WireError,
    account_from_json,
    account_to_json,
    operation_from_json,
    operation_to_json,
)

KEY = PrivateKey.from_seed(bytes(32))
OPERATIONS = (
    Operation.transfer(1, 2, 3, 10**30, 0x25),
    Operation.transfer_to_new(1, 3, 7, 2**160 - 1, B8, 0x01),
    Operation.withdrawal(1, 3, 2**128 - 1, 77),
    Operation.key_change(1, 3, B8),
)


def signed(operation: Operation) -> SignedOperation:
    recipient = (55, B8) if operation.to else ()
    return sign_operation(KEY, 1, operation, 4, 2**40 - 1, *recipient)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.kind.name)
def test_round_trip(operation: Operation) -> None:
    raw = json.loads(json.dumps(operation_to_json(signed(operation))))
    assert operation_from_json(raw) == signed(operation)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.kind.name)
def test_only_transfers_carry_a_recipient(operation: Operation) -> None:
    raw = operation_to_json(signed(operation))
    point = {"x": str(B8.x), "y": str(B8.y)}
    if operation.kind is Kind.TRANSFER:
        assert raw["recipientKey"] == point
    else:
        assert not {"recipientOwner", "recipientKey"} & set(raw)
        with pytest.raises(WireError, match="unknown fields 'recipientKey'"):
            operation_from_json(raw | {"recipientKey": point})


def test_account_round_trip() -> None:
    account = Account(2**160 - 1, B8, 65535, 5, 2**128 - 1)
    assert account_from_json(json.loads(json.dumps(account_to_json(9, account, 6)))) == (9, account, 6)


def spoilt():
    good = operation_to_json(signed(OPERATIONS[0]))
    yield "not an object", 5, "give a JSON object"
    yield "not an object", None, "give a JSON object"
    yield "list", [good], "give a JSON object"
    for name in good:
        yield f"no {name}", {k: v for k, v in good.items() if k != name}, f"no field '{name}'"
    yield "unknown field", good | {"speed": 1}, "unknown fields 'speed'"
    yield "unknown kind", good | {"kind": "deposit"}, "kind 'deposit' is unknown"
    yield "kind is a number", good | {"kind": 3}, "kind 3 is not a string"
    yield "negative", good | {"amount": "-1"}, "amount '-1' is not a number"
    yield "negative number", good | {"amount": -1}, "amount -1 is not a number"
    yield "float", good | {"amount": 1.5}, "amount 1.5 is not a number"
    yield "exponent", good | {"amount": "1e5"}, "amount '1e5' is not a number"
    yield "true", good | {"nonce": True}, "nonce True is not a number"
    yield "other digits", good | {"amount": "١"}, "is not a number"
    yield "long", good | {"amount": "1" * 81}, "is not a number"
    yield "too large", good | {"amount": str(2**128)}, "amount = "
    yield "index too large", good | {"account": 2**32}, "account = "
    yield "fee without a byte", good | {"fee": "123"}, "nearest that fit are 120 and 130"
    yield "short address", good | {"recipientOwner": "0x12"}, "recipientOwner: '0x12' is not an address"
    yield "checksum", good | {"recipientOwner": "0xF39Fd6e51aad88F6F4ce6aB8827279cffFb92266"}, "wrong EIP-55 checksum"
    yield "key without y", good | {"recipientKey": {"x": "1"}}, "recipientKey has no field 'y'"
    yield "key is a string", good | {"recipientKey": "1,2"}, "recipientKey is '1,2': give a JSON object"
    yield "more in key", good | {"recipientKey": {"x": "1", "y": "2", "z": "3"}}, "unknown fields 'z'"
    for name in ("x", "y"):
        key = good["recipientKey"] | {name: str(R)}
        yield f"key {name} beyond the field", good | {"recipientKey": key}, "recipient_key has a coordinate"
    yield "signature", good | {"signature": 1}, "signature is 1"
    yield "no s", good | {"signature": {"r8": {"x": "1", "y": "2"}}}, "no field 's'"
    yield "more in signature", good | {"signature": good["signature"] | {"v": 1}}, "unknown fields 'v'"
    yield "point", good | {"signature": {"r8": {"x": "1"}, "s": "2"}}, "no field 'y'"


@pytest.mark.parametrize(("raw", "message"), [case[1:] for case in spoilt()], ids=[case[0] for case in spoilt()])
def test_refuses(raw: object, message: str) -> None:
    with pytest.raises(WireError, match=message.replace("(", r"\(")):
        operation_from_json(raw)


def test_attack_a_message_that_a_terminal_obeys(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = requests.Response()
    answer.status_code, answer._content = 400, b'{"error": {"code": "x", "message": "no\\u001b[2J\\nfine"}}'
    monkeypatch.setattr(requests, "request", lambda *_, **__: answer)
    with pytest.raises(RelayerClientError, match=r"^no\?\[2J\?fine$"):
        RelayerClient().overview()
