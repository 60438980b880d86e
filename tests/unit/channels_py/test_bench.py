"""The measurement is one of real work."""

from pathlib import Path

import pytest

from layer2.channels import bench
from layer2.channels.errors import ChannelError
from layer2.channels.payee import PayeeStore


def test_every_voucher_counted_was_stored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """64 in one write, then one in each; each of them is more than the one before."""
    stored = []
    put = PayeeStore.put_vouchers

    def recorded(store, vouchers):
        rows = list(vouchers)
        stored.append([best.amount for _, best in rows])
        put(store, rows)

    monkeypatch.setattr(PayeeStore, "put_vouchers", recorded)
    monkeypatch.setattr(bench, "CHANNELS", 70)
    monkeypatch.setattr(bench, "ALONE", 3)
    speed = bench.vouchers_per_second(150, tmp_path)
    assert min(speed.per_core, speed.together, speed.alone) > 0
    assert [len(amounts) for amounts in stored] == [64, 64, 22, 1, 1, 1]
    assert sum(len(amounts) for amounts in stored) == 153
    assert {amount for amounts in stored for amount in amounts} == {1000, 2000, 3000}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", [0, -1, 1.5, None])
def test_refuses_to_measure_nothing(count: object) -> None:
    with pytest.raises(ChannelError, match=f"count {count!r} is not a positive integer"):
        bench.vouchers_per_second(count)


def test_refuses_to_measure_vouchers_that_are_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bench, "sign_digest", lambda digest, key: bytes(65))
    with pytest.raises(ChannelError, match="the measurement is of vouchers that are not taken"):
        bench.vouchers_per_second(1, tmp_path)
