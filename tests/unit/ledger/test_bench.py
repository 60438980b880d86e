import pytest

from layer2.ledger import bench
from layer2.ledger.errors import LedgerError


def test_every_transfer_counted_was_applied(monkeypatch):
    """The figure is one of real work: all transfers pass through the state manager, in batches."""
    applied = []
    submit = bench.StateManager.submit_batch

    def recorded(manager, items, timestamp):
        batch = submit(manager, items, timestamp)
        applied.extend(batch.steps)
        return batch

    monkeypatch.setattr(bench.StateManager, "submit_batch", recorded)
    assert bench.transfers_per_second(150) > 0
    assert len(applied) == 150
    assert all(step.valid and step.fee == 10 for step in applied)
    assert all(len(step.witness.account_a.path) == len(step.witness.account_b.path) == 12 for step in applied)


@pytest.mark.parametrize("count", [0, -1, 1.5, None])
def test_refuses_to_measure_nothing(count):
    with pytest.raises(LedgerError, match=f"count {count!r} is not a positive integer"):
        bench.transfers_per_second(count)
