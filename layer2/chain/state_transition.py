"""Asks the contract `StateTransition` what chunks do, many in one request.

May import `layer2.chain`, `layer2.optimistic` and requests.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import requests

from layer2.chain.artifacts import ContractError, decode_error
from layer2.chain.coder import coder
from layer2.chain.errors import ChainError, ChainUnreachableError
from layer2.optimistic.state import Fees, RollupState
from layer2.optimistic.witness import Arguments

GAS: Final = 30_000_000
"""Gas of one call: no chunk needs a tenth of it."""

_TIMEOUT_SECONDS: Final = 120


@dataclass(frozen=True, slots=True)
class StateWords:
    """A state as the contract knows it: `IStateTransition.State`."""

    state_root: bytes
    withdrawal_root: bytes
    next_index: int
    queue_cursor: int
    withdrawal_count: int
    fees: Fees

    @classmethod
    def of(cls, state: RollupState) -> "StateWords":
        """The words of a state of which more is known."""
        return cls(
            state.state_root,
            state.withdrawal_root,
            state.next_index,
            state.queue_cursor,
            state.withdrawal_count,
            state.fees,
        )


class StateTransition:
    """A deployed `StateTransition`. `url` is the node's HTTP address; it must take batches of JSON-RPC requests."""

    def __init__(self, url: str, address: str) -> None:
        self._url = url
        self._address = address
        self._session = requests.Session()
        self._coder = coder("StateTransition")

    def execute(self, calls: Sequence[Arguments], gas: int = GAS) -> list[StateWords | ContractError]:
        """For each call the state after it, or what the contract reverted with.

        Raises ChainUnreachableError when the node does not answer, ChainError when it answers with another error, such
        as too little gas.
        """
        requests_ = [
            {
                "jsonrpc": "2.0",
                "id": number,
                "method": "eth_call",
                "params": [
                    {"to": self._address, "data": "0x" + self.calldata(call).hex(), "gas": hex(gas)},
                    "latest",
                ],
            }
            for number, call in enumerate(calls)
        ]
        try:
            answers = self._session.post(self._url, json=requests_, timeout=_TIMEOUT_SECONDS).json()
        except requests.RequestException as error:
            raise ChainUnreachableError(
                f"the node at {self._url} does not answer ({type(error).__name__}): check the address and that it runs"
            ) from error
        if not isinstance(answers, list) or len(answers) != len(calls):
            raise ChainError(f"the node at {self._url} does not take {len(calls)} requests at once: {answers!r:.200}")
        by_number = {answer["id"]: answer for answer in answers}
        return [self._decode(by_number[number]) for number in range(len(calls))]

    def calldata(self, call: Arguments) -> bytes:
        """The input of the call."""
        state, context, *data = call
        words = (
            state.state_root,
            state.withdrawal_root,
            state.next_index,
            state.queue_cursor,
            state.withdrawal_count,
            state.fees,
        )
        same = (context.domain_separator, context.executed_at, context.queue_end, state.levels)
        return self._coder.encode("execute", words, same, *data)

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
