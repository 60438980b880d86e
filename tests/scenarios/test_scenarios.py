"""Every story of `ape run scenario`, on an Anvil of its own: all its checks hold, and the money is where it belongs."""

from pathlib import Path

import pytest

from layer2.chain.local import Anvil
from layer2.demo.narrator import Narrator
from layer2.scenarios.books import Wealth
from layer2.scenarios.catalogue import SCENARIOS, find
from layer2.scenarios.stage import Ending

ETHER = 10**18
UNIT = 10**6

HALF = ETHER // 2

USUAL = {
    "Alice": Wealth(100 * ETHER, 89_999_000),
    "Bob": Wealth(100 * ETHER, 60 * UNIT),
    "Carol": Wealth(100 * ETHER, 0),
    "Sam": Wealth(100 * ETHER, 1000),
    "Chloe": Wealth(100 * ETHER + HALF, 0),
    "Mallory": Wealth(99 * ETHER, 1 * UNIT),
    "Dora": Wealth(100 * ETHER, 0),
}
"""Alice has paid Bob 10 USDC and Sam 0.001; Mallory has lost the bond of 1 ETH, Chloe has half of it."""

IN_BONDS_AND_ACCOUNTS = Wealth(11 * ETHER, 151 * UNIT)
"""Sam's bond, Carol's 10 ETH and everybody's USDC."""

CHANNELS = {name: Wealth(100 * ETHER, 0) for name in ("Alice", "Bob", "Carol", "Mallory", "Wanda")}
"""Who plays in the stories of channels."""

ENDINGS = {
    "honest-batch": Ending(
        USUAL | {"Chloe": Wealth(100 * ETHER, 0), "Mallory": Wealth(100 * ETHER, UNIT)},
        0,
        Wealth(12 * ETHER, 126 * UNIT),
    ),
    "skipped-forced-operation": Ending(USUAL, HALF, Wealth(11 * ETHER, 101 * UNIT)),
    "bad-batch-with-good-descendants": Ending(
        USUAL
        | {"Bob": Wealth(100 * ETHER, 57_999_000), "Sam": Wealth(100 * ETHER, 2000)}
        | {"Mallory": Wealth(99 * ETHER, 3 * UNIT)},
        HALF,
        Wealth(12 * ETHER, 151 * UNIT),
    ),
    "vanished-sequencer": Ending(
        {
            "Alice": Wealth(100 * ETHER - 158_113_884, 99_999_999),
            "Bob": Wealth(100 * ETHER, 50 * UNIT),
            "Carol": Wealth(100 * ETHER, 0),
            "Sam": Wealth(100 * ETHER, 0),
            "Chloe": Wealth(100 * ETHER, 0),
            "Mallory": Wealth(100 * ETHER, UNIT),
            "Dora": Wealth(100 * ETHER, 0),
        },
        0,
        Wealth(ETHER + 158_113_884, 1),
    ),
    "vanished-relayer": Ending(
        {
            "Alice": Wealth(100 * ETHER, 89_999_000),
            "Bob": Wealth(100 * ETHER, 60 * UNIT),
            "Carol": Wealth(100 * ETHER, 0),
            "Dora": Wealth(100 * ETHER, 0),
            "Rita": Wealth(100 * ETHER, 1000),
        },
        0,
        Wealth(0, 0),
    ),
    "streamed-micropayments": Ending(
        CHANNELS | {"Alice": Wealth(100 * ETHER, 90 * UNIT), "Bob": Wealth(100 * ETHER, 10 * UNIT)},
        0,
        Wealth(0, 90 * UNIT),
    ),
    "claim-in-the-last-second": Ending(
        CHANNELS | {"Alice": Wealth(92 * ETHER, 0), "Bob": Wealth(108 * ETHER, 0)}, 0, Wealth(0, 0)
    ),
    "payer-leaves-early": Ending(
        CHANNELS | {"Mallory": Wealth(95 * ETHER, 0), "Bob": Wealth(105 * ETHER, 0)}, 0, Wealth(ETHER, 0)
    ),
    "stale-state": Ending(
        CHANNELS | {"Alice": Wealth(105 * ETHER, 0), "Mallory": Wealth(95 * ETHER, 0)}, 0, Wealth(0, 0)
    ),
    "stalled-hop": Ending(
        CHANNELS
        | {"Alice": Wealth(100 * ETHER, 70 * UNIT), "Bob": Wealth(100 * ETHER, 30 * UNIT)}
        | {"Carol": Wealth(100 * ETHER, 100 * UNIT)},
        0,
        Wealth(0, 100 * UNIT),
    ),
}
"""Where a story does not end in the usual way."""


@pytest.mark.parametrize("name", [scenario.name for scenario in SCENARIOS])
def test_scenario(name: str, anvil: Anvil, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario = find(name)
    assert scenario is not None
    narrator = Narrator()
    ending = scenario.run(anvil.chain, tmp_path, narrator)
    told = capsys.readouterr().out
    assert narrator.failed == []
    assert narrator.checks == told.count("✓") >= 12
    assert ending == ENDINGS.get(name, Ending(USUAL, HALF, IN_BONDS_AND_ACCOUNTS))


def test_names_are_unique_and_found() -> None:
    names = [scenario.name for scenario in SCENARIOS]
    assert len(set(names)) == len(names)
    assert [find(name) for name in names] == list(SCENARIOS)
    assert find("all") is None
