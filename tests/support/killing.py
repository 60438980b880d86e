"""What kills an actor between two steps of its work: its `checkpoint`."""


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
