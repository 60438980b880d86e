"""The measurement is one of real work."""

from pathlib import Path

import pytest

from layer2.actors.optimistic_store import OptimisticStore
from layer2.actors.sequencer import Sequencer
from layer2.benchmarks import sequencer as bench
from layer2.optimistic.errors import OptimisticError
from layer2.optimistic.operations import Transfer, read_canonical


def test_every_transfer_counted_was_executed_and_stored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In each run all of them, so many in one write to a file, through the sequencer that people use."""
    stored: list[list[bytes]] = []
    states = []
    accept, submit = OptimisticStore.accept, Sequencer.submit_many

    def accepted(store, operations, arrival):
        assert Path(store.path).parent.parent == tmp_path
        stored.append([body for _, body in operations])
        accept(store, operations, arrival)

    def submitted(sequencer, bodies):
        answers = submit(sequencer, bodies)
        states.append([sequencer.record(index).record for index in range(1, 21)])
        return answers

    monkeypatch.setattr(OptimisticStore, "accept", accepted)
    monkeypatch.setattr(Sequencer, "submit_many", submitted)
    monkeypatch.setattr(bench, "ACCOUNTS", 20)
    monkeypatch.setattr(bench, "TOGETHER", 64)
    speed = bench.sequencer_speed(150, 2, tmp_path)
    assert (speed.transfers, speed.runs) == (150, 2)
    assert 0 < speed.median <= speed.best
    assert [len(bodies) for bodies in stored] == [64, 64, 22] * 2
    operations = [read_canonical(body) for bodies in stored[:3] for body in bodies]
    assert len(set(operations)) == 150
    assert {type(operation) for operation in operations} == {Transfer}
    assert len({operation.account for operation in operations}) == 20
    assert sum(account.nonce for account in states[2]) == 150
    assert sum(account.balance for account in states[2]) == 20 * 10**18 - 150 * 10
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [0, -1, 1.5, None])
def test_refuses_to_measure_nothing(number: object, tmp_path: Path) -> None:
    with pytest.raises(OptimisticError, match=f"count {number!r} is not a positive integer"):
        bench.sequencer_speed(number, 1, tmp_path)
    with pytest.raises(OptimisticError, match=f"runs {number!r} is not a positive integer"):
        bench.sequencer_speed(1, number, tmp_path)


def test_refuses_to_measure_transfers_that_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bench, "sign_operation", lambda operation, record, domain, key: operation)
    with pytest.raises(OptimisticError, match=r"the measurement is of transfers that are refused: .*not signed by"):
        bench.sequencer_speed(1, 1, tmp_path)


def test_refuses_to_measure_transfers_that_are_not_stored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(OptimisticStore, "accept", lambda store, operations, arrival: None)
    with pytest.raises(OptimisticError, match="the measurement is of transfers that were not stored"):
        bench.sequencer_speed(1, 1, tmp_path)
