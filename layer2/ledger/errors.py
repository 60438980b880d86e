"""Errors of `layer2.ledger`: each names the value it refuses and the remedy."""


class LedgerError(ValueError):
    """The base of everything the ledger refuses."""


class AmountError(LedgerError):
    """A value that a float40 or fee8 cannot hold."""


class AccountError(LedgerError):
    """A field of an account beyond its width, or a malformed serialized account."""


class TreeError(LedgerError):
    """A tree depth, index or leaf out of range."""


class OperationError(LedgerError):
    """An operation that does not fit its format or cannot come from where it is said to come from."""


class StateError(LedgerError):
    """A state that cannot be stored to or rebuilt from what was given."""


class ReplayError(LedgerError):
    """Posted data that the state transition contradicts: a proven batch cannot contain it."""


class InvalidStepError(LedgerError):
    """The witness of an operation that was refused was asked for."""


class BatchError(LedgerError):
    """A batch as a whole cannot be applied."""


class BatchRejectedError(BatchError):
    """A batch holds an operation that is not valid. `index` is its position, `reason` says why."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(f"operation {index} of the batch is not valid: {reason}; leave it out and try again")
        self.index = index
        self.reason = reason


class StaleValidationError(BatchError):
    """A validation was made against another state than the one it is applied to."""


class TimestampError(BatchError):
    """A batch's timestamp is out of range or lies before that of the batch before."""
