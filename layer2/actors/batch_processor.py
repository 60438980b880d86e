"""Collects items and says when a batch is cut: when it is full, or when its oldest item has waited long enough.

Work on the items of a batch is spread over processes. May import nothing of this project but `layer2.crypto`.
"""

import os
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Final, Generic, TypeVar

from layer2.crypto.eddsa import Point, Signature, verify

T = TypeVar("T", bound=Hashable)

SERIAL_LIMIT: Final = 64
"""Up to this many checks are made here: starting processes takes longer."""


class BatchProcessor(Generic[T]):
    """A queue of distinct items in order of arrival. Not thread-safe.

    max_batch_size: items that make a batch full. batch_timeout: seconds after which a batch is cut that is
    not full, counted from the arrival of its oldest item. clock: seconds, never falling much; injectable for tests.
    Raises ValueError for a size below 1 or a negative timeout.
    """

    def __init__(self, max_batch_size: int, batch_timeout: float, *, clock: Callable[[], float] = time.time) -> None:
        if max_batch_size < 1 or batch_timeout < 0:
            raise ValueError(
                f"batch size {max_batch_size} and timeout {batch_timeout}: give at least 1 item and 0 seconds"
            )
        self.max_batch_size = max_batch_size
        self.batch_timeout = batch_timeout
        self._clock = clock
        self._arrivals: dict[T, float] = {}

    def __len__(self) -> int:
        return len(self._arrivals)

    def __contains__(self, item: object) -> bool:
        return item in self._arrivals

    def add(self, item: T, arrival: float | None = None) -> None:
        """Queue an item, with its time of arrival if that is not now. One that is queued already stays where it is."""
        self._arrivals.setdefault(item, self._clock() if arrival is None else arrival)

    def remove(self, item: T) -> None:
        """Take an item out, if it is queued."""
        self._arrivals.pop(item, None)

    def replace_all(self, items: Sequence[tuple[T, float]]) -> None:
        """Make these (item, arrival) the whole queue, in this order."""
        self._arrivals = dict(items)

    @property
    def due_at(self) -> float | None:
        """When the timeout of the present batch fires; None when nothing waits."""
        return min(self._arrivals.values()) + self.batch_timeout if self._arrivals else None

    @property
    def is_due(self) -> bool:
        """Whether a batch can be cut now: it is full, or its timeout has fired."""
        due = self.due_at
        return len(self._arrivals) >= self.max_batch_size or (due is not None and self._clock() >= due)

    def cut(self, *, force: bool = False) -> list[T]:
        """Take the next batch out, oldest arrivals of the queue first: at most max_batch_size items, none when not due.

        With `force`, what there is, due or not.
        """
        if not (force or self.is_due):
            return []
        batch = list(self._arrivals)[: self.max_batch_size]
        for item in batch:
            del self._arrivals[item]
        return batch


@dataclass(frozen=True)
class SignatureCheck:
    """A signature to verify: `message` signed by the owner of `key`."""

    key: Point
    message: int
    signature: Signature


@dataclass
class SignaturePool:
    """Verifies signatures on all cores. Close it, or use it as a context manager, to end its processes.

    workers: processes, by default one a core; with 1 everything happens in the caller's own.
    """

    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    _executor: Executor | None = field(default=None, init=False, repr=False)

    def verify(self, checks: Sequence[SignatureCheck]) -> list[bool]:
        """For each check whether it holds, in order."""
        if self.workers == 1 or len(checks) <= SERIAL_LIMIT:
            return [_verify(check) for check in checks]
        if self._executor is None:
            # Not "fork": the caller may have threads, and a forked lock stays locked.
            self._executor = ProcessPoolExecutor(self.workers, get_context("forkserver"))
        return list(self._executor.map(_verify, checks, chunksize=max(1, len(checks) // (4 * self.workers))))

    def close(self) -> None:
        """End the processes."""
        if self._executor is not None:
            self._executor.shutdown()
            self._executor = None

    def __enter__(self) -> "SignaturePool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _verify(check: SignatureCheck) -> bool:
    return verify(check.key, check.message, check.signature)
