"""Makes an actor step until it has nothing to do. May import nothing of this project."""

import time
from collections.abc import Callable
from typing import Protocol, TypeVar


class Report(Protocol):
    """What every actor's report of a step says."""

    @property
    def is_idle(self) -> bool:
        """Whether nothing happened."""
        ...

    @property
    def is_settling(self) -> bool:
        """Whether L1 is about to answer, so that it makes sense to step again soon."""
        ...

    @property
    def waiting_for(self) -> str | None:
        """What keeps the actor from going on."""
        ...


R = TypeVar("R", bound=Report)


def run_until_idle(
    step: Callable[[], R], timeout: float, failure: Callable[[str], Exception], pause: float = 0.02
) -> list[R]:
    """Step until there is nothing to do and nothing waits to be mined; all reports. pause: seconds between idle steps.

    Raises `failure`, with what it waits for, after `timeout` seconds.
    """
    reports = []
    deadline = time.monotonic() + timeout
    while True:
        report = step()
        reports.append(report)
        if report.is_idle and not report.is_settling:
            return reports
        if time.monotonic() > deadline:
            raise failure(f"still busy after {timeout} s: {report.waiting_for or 'something new happens all the time'}")
        if report.is_idle:
            time.sleep(pause)
