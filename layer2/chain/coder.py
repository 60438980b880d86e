"""ABI coding of calls and events of one contract, from its JSON ABI.

May import `layer2.chain.artifacts`, `layer2.chain.errors` and eth-abi.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from layer2.chain.artifacts import Abi, artifact
from layer2.chain.connection import Log
from layer2.chain.errors import DataMissingError


def type_of(argument: dict[str, Any]) -> str:
    """The canonical type of an ABI argument, tuples spelt out: "(uint256[2],bytes)[]"."""
    name: str = argument["type"]
    if not name.startswith("tuple"):
        return name
    return f"({','.join(type_of(part) for part in argument['components'])}){name[len('tuple') :]}"


_MALFORMED: Final = (DecodingError, UnicodeDecodeError, OverflowError)
"""What eth-abi raises for bytes that are not of a type: for text that is no UTF-8, and for offsets beyond all bounds,
Python's own errors."""


@dataclass(frozen=True)
class _Function:
    selector: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class _Event:
    name: str
    topic: bytes
    indexed: tuple[tuple[str, str], ...]
    plain: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Event:
    """A decoded log: the event's name and its arguments by name, addresses as lower-case hex strings."""

    name: str
    arguments: dict[str, Any]
    log: Log


class Coder:
    """Encodes calls and decodes answers, inputs and logs of a contract. Functions are known by name alone."""

    def __init__(self, name: str, abi: Abi) -> None:
        """`name` is the contract's, for messages."""
        self.name = name
        self._functions: dict[str, _Function] = {}
        self._events: dict[bytes, _Event] = {}
        self.constructor_types: tuple[str, ...] = ()
        for entry in abi:
            inputs = tuple(type_of(argument) for argument in entry.get("inputs", ()))
            if entry["type"] == "function":
                selector = keccak(text=f"{entry['name']}({','.join(inputs)})")[:4]
                outputs = tuple(type_of(argument) for argument in entry["outputs"])
                self._functions[entry["name"]] = _Function(selector, inputs, outputs)
            elif entry["type"] == "event":
                topic = keccak(text=f"{entry['name']}({','.join(inputs)})")
                indexed = [(a["name"], type_of(a)) for a in entry["inputs"] if a["indexed"]]
                plain = [(a["name"], type_of(a)) for a in entry["inputs"] if not a["indexed"]]
                self._events[topic] = _Event(entry["name"], topic, tuple(indexed), tuple(plain))
            elif entry["type"] == "constructor":
                self.constructor_types = inputs

    def encode(self, function: str, *arguments: Any) -> bytes:
        """The input of a call: selector and arguments."""
        known = self._functions[function]
        return known.selector + encode(known.inputs, arguments)

    def decode_result(self, function: str, data: bytes) -> tuple[Any, ...]:
        """What a call answered. Raises DataMissingError when it is not this function's answer."""
        try:
            return tuple(decode(self._functions[function].outputs, data))
        except _MALFORMED as error:
            raise DataMissingError(
                f"{self.name}.{function} answered 0x{data.hex()}, which is not its type: check the contract's address"
            ) from error

    def decode_input(self, function: str, data: bytes) -> tuple[Any, ...]:
        """The arguments of a call's input. Raises DataMissingError when it is not a call of this function."""
        known = self._functions[function]
        if data[:4] != known.selector:
            raise DataMissingError(f"input 0x{data[:4].hex()}… is not a call of {self.name}.{function}")
        try:
            return tuple(decode(known.inputs, data[4:]))
        except _MALFORMED as error:
            raise DataMissingError(f"the input of a call of {self.name}.{function} is malformed: {error}") from error

    def topic(self, event: str) -> bytes:
        """The first topic of an event's logs."""
        return next(known.topic for known in self._events.values() if known.name == event)

    def decode_log(self, log: Log) -> Event | None:
        """The event of a log, None when the contract's ABI has no such event."""
        known = self._events.get(log.topics[0]) if log.topics else None
        if known is None:
            return None
        arguments = {
            name: decode([kind], topic)[0] for (name, kind), topic in zip(known.indexed, log.topics[1:], strict=True)
        }
        values = decode([kind for _, kind in known.plain], log.data)
        arguments.update((name, value) for (name, _), value in zip(known.plain, values, strict=True))
        return Event(known.name, arguments, log)


@cache
def coder(name: str) -> Coder:
    """The coder of one of this project's contracts. Raises ArtifactError when it has not been compiled."""
    return Coder(name, artifact(name).abi)
