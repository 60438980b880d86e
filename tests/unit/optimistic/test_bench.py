"""The measurement is one of real work."""

import pytest

from layer2.optimistic import bench
from layer2.optimistic.errors import OptimisticError


def test_every_transfer_counted_was_executed(monkeypatch):
    """All transfers pass through execute_chunk, 16 a chunk, and a commitment is made after each chunk."""
    executed = []
    execute = bench.execute_chunk

    def recorded(state, context, operations, queue):
        after, outcomes = execute(state, context, operations, queue)
        executed.append((after, outcomes))
        return after, outcomes

    monkeypatch.setattr(bench, "execute_chunk", recorded)
    monkeypatch.setattr(bench, "ACCOUNTS", 20)
    assert bench.transfers_per_second(50) > 0
    assert [len(outcomes) for _, outcomes in executed] == [16, 16, 16, 2]
    assert all(outcome.is_valid for _, outcomes in executed for outcome in outcomes)
    assert [after.fees[0] for after, _ in executed] == [160, 320, 480, 500]
    assert len({after.state_root for after, _ in executed}) == 4


@pytest.mark.parametrize("count", [0, -1, 1.5, None])
def test_refuses_to_measure_nothing(count):
    with pytest.raises(OptimisticError, match=f"count {count!r} is not a positive integer"):
        bench.transfers_per_second(count)


def test_refuses_to_measure_invalid_transfers(monkeypatch):
    monkeypatch.setattr(bench, "sign_operation", lambda operation, record, domain, key: operation)
    with pytest.raises(OptimisticError, match="the measurement is of invalid transfers"):
        bench.transfers_per_second(1)
