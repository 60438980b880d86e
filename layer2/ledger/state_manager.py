"""The state manager: validates batches in sequence and applies them as a whole or not at all."""

from collections.abc import Sequence
from dataclasses import dataclass

from layer2.ledger.amounts import encode_float40
from layer2.ledger.constants import TIMESTAMP_BITS, Kind
from layer2.ledger.errors import (
    AmountError,
    BatchRejectedError,
    StaleValidationError,
    TimestampError,
)
from layer2.ledger.operations import Operation, SignedOperation
from layer2.ledger.state import State
from layer2.ledger.transition import Context, Failure, Item, Refusal, Step, apply, reject

_FLOAT_KINDS = frozenset({Kind.TRANSFER, Kind.TRANSFER_TO_NEW})


@dataclass(frozen=True, slots=True)
class Validation:
    """The steps of a sequence of items, executed one after the other from the state `before`.

    An item that is not valid changes nothing, and the next one is judged as if it were not there.
    """

    before: State
    timestamp: int
    steps: tuple[Step, ...]

    @property
    def valid(self) -> bool:
        """Whether every item is valid."""
        return all(step.valid for step in self.steps)

    @property
    def state_after(self) -> State:
        """The state after the valid items."""
        return self.steps[-1].state_after if self.steps else self.before

    @property
    def accepted(self) -> "Validation":
        """The same without the items that are not valid: it can be applied as it is."""
        return Validation(self.before, self.timestamp, tuple(step for step in self.steps if step.valid))

    @property
    def rejected(self) -> tuple[Step, ...]:
        """The steps of the items that are not valid, with their reasons."""
        return tuple(step for step in self.steps if not step.valid)


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch that was applied: roots before and after, timestamp in seconds, and the steps in order."""

    parent_root: int
    state_root: int
    timestamp: int
    steps: tuple[Step, ...]

    @property
    def fees(self) -> dict[int, int]:
        """The sum of fees for each token that any were paid in, in smallest units."""
        sums: dict[int, int] = {}
        for step in self.steps:
            if step.fee:
                sums[step.operation.token] = sums.get(step.operation.token, 0) + step.fee
        return sums


class StateManager:
    """Holds the current state of one rollup. Not thread-safe: give each thread its own (states can be shared).

    `state` and `timestamp` are those after the last batch; assigning an earlier pair is a rollback.
    """

    def __init__(self, state: State, domain: int, timestamp: int = 0) -> None:
        """`domain` is `operations.domain(chain_id, rollup)`, `timestamp` that of the last batch, in seconds.

        Raises LedgerError for a value out of range.
        """
        Context(domain, timestamp)
        self.state = state
        self.domain = domain
        self.timestamp = timestamp

    def validate_transactions(self, items: Sequence[Item], timestamp: int) -> Validation:
        """Execute the items in order for a batch with this timestamp, without applying them.

        Besides the rules of docs/protocol.md §4, a node refuses transfers whose amount is not a float40 (§3).
        Raises TimestampError for a timestamp before the last batch's and OperationError for what is no item.
        """
        context = self._context(timestamp)
        state = self.state
        steps = []
        for item in items:
            refusal = _refuse_amount(item)
            step = apply(state, item, context) if refusal is None else reject(state, item, refusal)
            state = step.state_after
            steps.append(step)
        return Validation(self.state, timestamp, tuple(steps))

    def apply_transactions(self, validation: Validation) -> Batch:
        """Make the state after a validation the current one; nothing is computed a second time.

        Raises BatchRejectedError, naming the first item that is not valid, or StaleValidationError when the
        current state is not the one that was validated against. The state then stays as it is.
        """
        if validation.before is not self.state or validation.timestamp < self.timestamp:
            raise StaleValidationError(
                f"validated against root {validation.before.root:#066x} at {validation.timestamp}, the state has root "
                f"{self.state.root:#066x} at {self.timestamp}; validate again"
            )
        for index, step in enumerate(validation.steps):
            if not step.valid:
                raise BatchRejectedError(index, str(step.reason))
        parent_root = self.state.root
        self.state = validation.state_after
        self.timestamp = validation.timestamp
        return Batch(parent_root, self.state.root, validation.timestamp, validation.steps)

    def submit_batch(self, items: Sequence[Item], timestamp: int) -> Batch:
        """Validate the items and apply them if all are valid.

        Raises as `validate_transactions` and `apply_transactions` do; the state then stays as it is.
        """
        return self.apply_transactions(self.validate_transactions(items, timestamp))

    def calculate_state_root(self) -> int:
        """The state root of docs/protocol.md §2, an integer below r."""
        return self.state.root

    def _context(self, timestamp: int) -> Context:
        if type(timestamp) is not int or not self.timestamp <= timestamp < 1 << TIMESTAMP_BITS:
            raise TimestampError(
                f"batch timestamp {timestamp!r} is not an integer in [{self.timestamp}, 2^{TIMESTAMP_BITS}); "
                "take the time of the chain, not before the last batch"
            )
        return Context(self.domain, timestamp)


def _refuse_amount(item: Item) -> Refusal | None:
    operation: Operation | None = item.operation if isinstance(item, SignedOperation) else None
    if operation is None or operation.kind not in _FLOAT_KINDS:
        return None
    try:
        encode_float40(operation.amount)
    except AmountError as error:
        return Refusal(Failure.AMOUNT_NOT_REPRESENTABLE, str(error))
    return None
