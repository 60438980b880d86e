"""Random walks of state machines over contracts."""

from collections import Counter
from typing import Any, ClassVar, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

M = TypeVar("M", bound=RuleBasedStateMachine)


def machine(kind: type[M], world: Any) -> type[M]:
    """A class of its own, in a world, with a count of its own of what is seen."""

    class Walk(kind):
        seen: ClassVar = Counter()

    Walk.world = world
    return Walk


def walk_at_random(kind: type[RuleBasedStateMachine], *, walks: int, steps: int) -> None:
    """So many walks; contracts are slow, and hypothesis is not to mind."""
    run_state_machine_as_test(
        kind,
        settings=settings(
            max_examples=walks, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
