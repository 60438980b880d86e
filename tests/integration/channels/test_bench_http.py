"""The measurement of the paid service is one of real payments."""

from pathlib import Path

import pytest

from layer2.channels import bench_http
from layer2.channels.errors import ChannelError
from layer2.channels.fetching import PayingClient


def test_every_payment_counted_was_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One before the clock runs, and two of each buyer; as many vouchers without the client, times five."""
    bought, handed_in = [], []
    fetch, hand_in = PayingClient.fetch, bench_http._hand_in

    def recorded(client, url):
        fetched = fetch(client, url)
        bought.append((fetched.status, fetched.body, fetched.payment.amount))
        return fetched

    async def counted(url, vouchers):
        handed_in.extend(text for texts in vouchers for text in texts)
        await hand_in(url, vouchers)

    monkeypatch.setattr(PayingClient, "fetch", recorded)
    monkeypatch.setattr(bench_http, "_hand_in", counted)
    speed = bench_http.payments_per_second(5, tmp_path)
    assert speed.payments == 8
    assert min(speed.by_clock, speed.per_buyer_core, speed.per_service_core, speed.checks) > 0
    assert sorted(bought) == [(200, b"rain\n", 1000 * n) for n in (1, 2, 3) for _ in range(bench_http.BUYERS)]
    assert len(set(handed_in)) == 40
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", [0, -1, 1.5, None])
def test_refuses_to_measure_nothing(count: object) -> None:
    with pytest.raises(ChannelError, match=f"count {count!r} is not a positive integer"):
        bench_http.payments_per_second(count)


def test_refuses_to_measure_vouchers_that_are_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bench_http, "_sign", lambda payer, count: ["0x"])
    with pytest.raises(ChannelError, match="the measurement is of vouchers that are not taken"):
        bench_http.payments_per_second(1, tmp_path)
