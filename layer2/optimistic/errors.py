"""Errors of `layer2.optimistic`: each names the value it refuses and the remedy."""

from layer2.crypto.errors import SigningError as SigningError


class OptimisticError(ValueError):
    """The base of everything this package refuses."""


class RecordError(OptimisticError):
    """A field of a record beyond its width, or bytes that are no record."""


class TreeError(OptimisticError):
    """A tree depth or index out of range."""


class OperationError(OptimisticError):
    """An operation whose fields do not fit its encoding."""


class StateError(OptimisticError):
    """A state that cannot be rebuilt from what was given."""


class QueueError(OptimisticError):
    """Queue entries that are missing or are none."""


class DataError(OptimisticError):
    """Chunks that do not fit a batch, or a batch's data that does not parse. `offset`: where, if it is about bytes."""

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(message)
        self.offset = offset


class BlobError(OptimisticError):
    """A blob, or a point that belongs to one, is malformed."""
