"""A check of custom errors that cannot pass by accident.

`ape.reverts` lets every revert pass if Ape could not decode the error, if the error is of another class than
expected but the class is not tied to a contract instance, or if a named value does not exist. This one compares
the bytes that the contract reverted with.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from ape.api import AccountAPI
from ape.contracts import ContractInstance
from ape.exceptions import ContractLogicError, CustomError
from eth_abi import decode
from eth_utils import keccak
from web3.exceptions import ContractLogicError as Web3LogicError


@contextmanager
def reverts(error: type[CustomError] | None = None, **values: Any) -> Iterator[None]:
    """The block's call or transaction reverts with this error and these values.

    Without an error: it reverts without a reason, as functions do that are sent value and take none.

    Raises:
        AssertionError: it does not revert, or reverts with something else.
    """
    with pytest.raises((ContractLogicError, Web3LogicError)) as caught:
        yield
    data = revert_data(caught.value)
    if error is None:
        assert data == b"", f"Expected no reason but got {caught.value!r}."
    else:
        _compare(data, error.abi, values)


def revert_data(exception: Exception) -> bytes:
    """The bytes that the contract reverted with.

    Raises:
        AssertionError: the exception does not have them: Ape loses them in calls, so make these with :func:`call`.
    """
    for source in (exception, exception.__cause__):
        data = getattr(source, "data", None)
        if isinstance(data, str):
            return bytes.fromhex(data.removeprefix("0x"))
    raise AssertionError(f"No revert data in {exception!r}.")


def call(contract: ContractInstance, calldata: bytes, sender: AccountAPI | None = None, gas: int = 30_000_000) -> bytes:
    """Calls a contract without a transaction, as ``sender`` if it matters: fast, and errors keep their data.

    Raises:
        web3.exceptions.ContractLogicError: the call reverts.
    """
    transaction = {"to": contract.address, "data": calldata, "gas": gas}
    if sender is not None:
        transaction["from"] = sender.address
    return bytes(contract.provider.web3.eth.call(transaction))


def call_many(provider: Any, calls: Sequence[tuple[str, bytes]]) -> list[bytes]:
    """What many calls of (address, calldata) answer, asked in one request: for tests that look at everything."""
    batch = [("eth_call", [{"to": to, "data": "0x" + data.hex()}, "latest"]) for to, data in calls]
    answers = provider.web3.provider.make_batch_request(batch)
    return [bytes.fromhex(answer["result"][2:]) for answer in answers]


def _compare(data: bytes, abi: Any, values: dict[str, Any]) -> None:
    types = [item.canonical_type for item in abi.inputs]
    signature = f"{abi.name}({','.join(types)})"
    selector = keccak(text=signature)[:4]
    assert data[:4] == selector, f"Expected {signature}, {selector.hex()}, but got {data.hex()}."
    actual = dict(zip([item.name for item in abi.inputs], decode(types, data[4:]), strict=True))
    for name, expected in values.items():
        assert name in actual, f"{signature} has no value {name!r}."
        assert _plain(actual[name]) == _plain(expected), (
            f"Expected {signature} with {name} = {expected!r} but it was {actual[name]!r}."
        )


def _plain(value: Any) -> Any:
    """A value in a form in which two of them can be compared."""
    value = getattr(value, "address", value)
    if isinstance(value, str):
        return value.lower()
    return bytes(value) if isinstance(value, bytes) else value
