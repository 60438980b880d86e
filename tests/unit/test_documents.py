"""What README says of costs is what `make bench` measured last, and its targets are reached."""

import json
from typing import Any

import pytest

from layer2.benchmarks import targets
from layer2.toolchain import PROJECT

PAGE = PROJECT / "docs" / "benchmarks.md"


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    return json.loads((PROJECT / "docs" / "benchmarks.json").read_text())


def of(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (row,) = (row for row in rows if row["name"] == name)
    return row


def table_of_costs() -> dict[str, str]:
    lines = (PROJECT / "README.md").read_text().split("What it costs", 1)[1].split("\n\n")[1].splitlines()
    cells = [line.strip("| ").split(" | ") for line in lines[2:]]
    return dict(cells)


def test_readme_says_what_was_measured(measured: dict[str, Any]) -> None:
    fit = measured["gas"]["fit"]
    (constraints,) = (c["constraints"] for c in measured["constraints"] if c["levels"] == 12)
    (blob,) = (b for b in measured["optimistic"]["batches"] if (b["mode"], b["transfers"]) == ("blob", 1000))
    dearest = max(max(proof["calldata"], proof["blob"]) for proof in measured["optimistic"]["proofs"])
    escapes = [of(measured[kind]["calls"], "escape of an account")["gas"] for kind in ("gas", "optimistic")]
    channels = measured["channels"]
    first, later, ten = (
        of(channels, name)["whole"]
        for name in ("claim", "claim of a payee that was paid before", "claim of ten channels")
    )
    assert dearest < 2_500_000
    assert table_of_costs() == {
        "ZK rollup": f"{measured['bytes_per_transfer']} bytes and {constraints:,.0f} constraints a transfer; "
        f"{fit['batch']:,.0f} gas a batch + {fit['segment']:,.0f} a proof + {fit['transfer']:,.0f} a transfer",
        "optimistic rollup, data in a blob": f"{blob['gas'] / 1000:.0f} gas and {blob['data_bytes'] / 1000:.0f} bytes "
        "of blob a transfer in a batch of 1,000; any fraud proof below 2.5M gas",
        "way out of a dead rollup": f"{escapes[0] / 1e6:.2f}M gas (ZK), {escapes[1] / 1e3:.0f}k gas (optimistic) an "
        "account",
        "hub of payment channels": f"{later / 1e3:.0f}k to {first / 1e3:.0f}k gas a claim, {ten / 1e4:.0f}k in a batch "
        "of ten, however many payments it is for",
        "one core": f"{measured['ledger_transfers_per_second']:,.0f} (ZK ledger), "
        f"{measured['sequencer']['median']:,.0f} (sequencer) signed transfers, "
        f"{measured['vouchers']['per_core']:,.0f} vouchers a second",
    }


def test_all_targets_are_reached() -> None:
    rows = PAGE.read_text().split("## Targets", 1)[1].split("\n\n")[1].splitlines()[2:]
    assert len(rows) >= 11
    assert [row for row in rows if not row.endswith("| reached |")] == []
    assert f"at least {targets.SEQUENCER:,}" in "\n".join(rows)
