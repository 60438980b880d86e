"""What kills an actor between two steps of its work: its `checkpoint`, or its store in the middle of one."""

from collections.abc import Callable


class Killed(BaseException):
    """The actor was killed here. No Exception, so that nothing catches it."""


class Killer:
    """Kills an actor at the nth passage of a point, and counts all passages."""

    def __init__(self, point: str = "", passage: int = 1) -> None:
        self.point = point
        self.passage = passage
        self.passed: list[str] = []

    def __call__(self, point: str) -> None:
        self.passed.append(point)
        if point == self.point and self.passed.count(point) == self.passage:
            raise Killed


def die_after(store: object, method: str, die: Callable[[], None], passage: int = 1) -> None:
    """Has a store end the nth call of a method with its actor's death: inside of the transaction, if it is part of one.

    That what was written before in the transaction is gone then is what the actor relies on.
    """
    write, calls = getattr(store, method), 0

    def dying(*arguments: object, **named: object) -> object:
        nonlocal calls
        result = write(*arguments, **named)
        calls += 1
        if calls == passage:
            die()
        return result

    setattr(store, method, dying)


def die() -> None:
    """Is killed."""
    raise Killed
