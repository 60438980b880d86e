"""Asks the contract `StateTransition` what chunks do, many in one request.

May import `layer2.chain`, `layer2.optimistic` and requests.
"""

from collections.abc import Sequence
from dataclasses import astuple
from typing import Any, Final

import requests

from layer2.chain.artifacts import ContractError, decode_error
from layer2.chain.coder import coder
from layer2.chain.errors import ChainError, ChainUnreachableError
from layer2.optimistic.batches import StateWords
from layer2.optimistic.witness import Arguments

GAS: Final = 30_000_000
"""Gas of one call: no chunk needs a tenth of it."""

_TIMEOUT_SECONDS: Final = 120
_REQUEST_BYTES: Final = 1_000_000
"""A request is sent once it has so many: Anvil takes no more than about two million."""


class StateTransition:
    """A deployed `StateTransition`. `url` is the node's HTTP address; it must take batches of JSON-RPC requests."""

    def __init__(self, url: str, address: str) -> None:
        self._url = url
        self.address = address
        self._session = requests.Session()
        self._coder = coder("StateTransition")

    def execute(self, calls: Sequence[Arguments], gas: int = GAS) -> list[StateWords | ContractError]:
        """For each call the state after it, or what the contract reverted with.

        Raises ChainUnreachableError when the node does not answer, ChainError when it answers with another error, such
        as too little gas.
        """
        answers: list[StateWords | ContractError] = []
        waiting: list[str] = []
        for call in calls:
            waiting.append("0x" + self.calldata(call).hex())
            if sum(map(len, waiting)) > _REQUEST_BYTES:
                answers += self._call(waiting, gas)
                waiting.clear()
        return answers + self._call(waiting, gas) if waiting else answers

    def calldata(self, call: Arguments) -> bytes:
        """The input of the call."""
        state, context, *data = call
        same = (context.domain_separator, context.executed_at, context.queue_end, state.levels)
        return self._coder.encode("execute", astuple(StateWords.of(state)), same, *data)

    def _call(self, inputs: Sequence[str], gas: int) -> list[StateWords | ContractError]:
        """Makes these calls in one request."""
        requests_ = [
            {
                "jsonrpc": "2.0",
                "id": number,
                "method": "eth_call",
                "params": [{"to": self.address, "data": data, "gas": hex(gas)}, "latest"],
            }
            for number, data in enumerate(inputs)
        ]
        try:
            answers = self._session.post(self._url, json=requests_, timeout=_TIMEOUT_SECONDS).json()
        except requests.RequestException as error:
            raise ChainUnreachableError(
                f"the node at {self._url} does not answer ({type(error).__name__}): check the address and that it runs"
            ) from error
        if not isinstance(answers, list) or len(answers) != len(inputs):
            raise ChainError(f"the node at {self._url} does not take {len(inputs)} requests at once: {answers!r:.200}")
        by_number = {answer["id"]: answer for answer in answers}
        return [self._decode(by_number[number]) for number in range(len(inputs))]

    def _decode(self, answer: dict[str, Any]) -> StateWords | ContractError:
        if "error" in answer:
            data = answer["error"].get("data")
            if not isinstance(data, str) or len(data) <= 2:
                raise ChainError(f"the node at {self._url} refuses eth_call: {answer['error']}")
            return decode_error(bytes.fromhex(data[2:]))
        ((state_root, withdrawal_root, *counters, fees),) = self._coder.decode_result(
            "execute", bytes.fromhex(answer["result"][2:])
        )
        next_index, queue_cursor, withdrawal_count = counters
        return StateWords(state_root, withdrawal_root, next_index, queue_cursor, withdrawal_count, tuple(fees))
