"""When a batch is cut, and parallel checks of signatures."""

from dataclasses import replace

import pytest

from layer2.actors.batch_processor import SERIAL_LIMIT, BatchProcessor, SignatureCheck, SignaturePool
from layer2.crypto.eddsa import Point, PrivateKey, Signature


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def processor(clock: Clock) -> BatchProcessor[str]:
    return BatchProcessor(3, 10, clock=clock)


@pytest.mark.parametrize(("size", "timeout"), [(0, 10), (-1, 10), (3, -1)])
def test_refuses_sizes(size: int, timeout: float) -> None:
    with pytest.raises(ValueError, match="give at least 1 item"):
        BatchProcessor(size, timeout)


def test_nothing_is_due_when_nothing_waits(processor: BatchProcessor[str], clock: Clock) -> None:
    clock.now += 1000
    assert not processor.is_due
    assert processor.due_at is None
    assert processor.cut() == []
    assert processor.cut(force=True) == []


def test_cut_when_full(processor: BatchProcessor[str]) -> None:
    for item in ("a", "b"):
        processor.add(item)
    assert processor.cut() == []
    processor.add("c")
    processor.add("d")
    assert processor.cut() == ["a", "b", "c"]
    assert len(processor) == 1
    assert not processor.is_due


@pytest.mark.parametrize(("wait", "due"), [(9.999, False), (10, True), (10.001, True)])
def test_cut_at_the_timeout(processor: BatchProcessor[str], clock: Clock, wait: float, due: bool) -> None:
    processor.add("a")
    clock.now += wait
    processor.add("b")
    assert processor.is_due is due
    assert processor.cut() == (["a", "b"] if due else [])


def test_timeout_counts_from_the_oldest_item(processor: BatchProcessor[str], clock: Clock) -> None:
    processor.add("a", arrival=95)
    assert processor.due_at == 105
    processor.add("b", arrival=90)
    assert processor.due_at == 100
    assert processor.is_due
    processor.remove("b")
    assert processor.due_at == 105
    assert not processor.is_due


def test_the_rest_of_a_full_queue_waits_for_its_own_timeout(processor: BatchProcessor[str], clock: Clock) -> None:
    for number, item in enumerate("abcd"):
        processor.add(item, arrival=100 + number)
    assert processor.cut() == ["a", "b", "c"]
    assert processor.due_at == 113


def test_force(processor: BatchProcessor[str]) -> None:
    processor.add("a")
    assert processor.cut(force=True) == ["a"]


def test_an_item_twice_keeps_its_place_and_time(processor: BatchProcessor[str], clock: Clock) -> None:
    processor.add("a")
    processor.add("b")
    clock.now += 5
    processor.add("a")
    assert len(processor) == 2
    assert "a" in processor
    assert processor.due_at == 110
    assert processor.cut(force=True) == ["a", "b"]


def test_replace_all(processor: BatchProcessor[str]) -> None:
    processor.add("x")
    processor.replace_all([("a", 80.0), ("b", 99.0)])
    assert processor.cut() == ["a", "b"]


def checks(count: int) -> list[SignatureCheck]:
    key = PrivateKey.from_seed(bytes(32))
    return [SignatureCheck(key.public_key, message, key.sign(message)) for message in range(count)]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("count", [1, SERIAL_LIMIT + 10])
def test_signatures_in_parallel(workers: int, count: int) -> None:
    made = checks(count)
    bad = count // 2
    made[bad] = replace(made[bad], message=made[bad].message + 1)
    with SignaturePool(workers) as pool:
        assert pool.verify(made) == [number != bad for number in range(count)]


def test_nonsense_is_no_valid_signature() -> None:
    nonsense = SignatureCheck(Point(0, 0), -1, Signature(Point(1, 2), -5))
    with SignaturePool(1) as pool:
        assert pool.verify([nonsense]) == [False]
