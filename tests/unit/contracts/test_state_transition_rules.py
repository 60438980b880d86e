"""Every rule of docs/optimistic.md §2 in the contract: the tests of Python's rules, with each chunk on the chain too.

Those tests say what comes of every valid operation, and that every step that fails leaves the state as it was.
"""

import pytest

from layer2.optimistic.fuzz import difference
from tests.unit.optimistic import (
    test_transition_nfts,
    test_transition_payments,
    test_transition_pools,
    test_transition_queue,
    world,
)

# About what Python is given, not about chunks.
_PYTHON_ONLY = {
    "test_entries_are_the_slots_of_both_rollups",
    "test_missing_entries_are_the_callers_fault",
    "test_what_is_no_entry_is_the_callers_fault",
}

for _module in (test_transition_nfts, test_transition_payments, test_transition_pools, test_transition_queue):
    _prefix = _module.__name__.removeprefix("tests.unit.optimistic.test_transition_")
    for _name, _test in vars(_module).items():
        if _name.startswith("test_") and _name not in _PYTHON_ONLY:
            globals()[f"test_{_prefix}_{_name.removeprefix('test_')}"] = _test


@pytest.fixture(autouse=True)
def on_the_chain(transition, monkeypatch):
    """Lets the contract execute every chunk, and checks that each test did so."""
    executed = []

    def execute(arguments, after):
        executed.append(arguments)
        assert difference(after, transition.execute([arguments])[0]) == ""

    monkeypatch.setattr(world, "ALSO", [execute])
    yield
    assert executed
