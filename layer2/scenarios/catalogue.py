"""All stories, by the name that `ape run scenario` knows them by."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from layer2.chain.connection import Chain
from layer2.demo.narrator import Narrator
from layer2.scenarios.stage import Data, Ending, Stage
from layer2.scenarios.stories import (
    bad_batch_with_good_descendants,
    front_run_prover,
    honest_batch,
    l1_reorg,
    last_second,
    malformed_data,
    minted_balance,
    skipped_forced_operation,
    stolen_funds,
    thirty_bad_batches,
    wrong_state_root,
    wrong_withdrawal_root,
)


@dataclass(frozen=True)
class Scenario:
    """A story. summary: one line; play: tells it; data: where the honest sequencer puts its data."""

    name: str
    summary: str
    play: Callable[[Stage], Ending]
    data: Data = "calldata"

    def run(self, chain: Chain, folder: Path, tell: Narrator) -> Ending:
        """Tell it on Anvil, whose time passes. folder: empty, for databases. tell: collects checks that do not hold.

        Raises ChainError or ActorError when the story cannot go on.
        """
        with Stage(chain, folder, tell, data=self.data) as stage:
            return self.play(stage)


SCENARIOS: Final = (
    Scenario("honest-batch", "a right batch becomes final, and a withdrawal is paid", honest_batch.play, "blob"),
    Scenario("wrong-state-root", "right data, wrong state root", wrong_state_root.play),
    Scenario("stolen-funds", "a transfer with a forged signature", stolen_funds.play, "blob"),
    Scenario("minted-balance", "a balance grows without an operation", minted_balance.play),
    Scenario(
        "skipped-forced-operation",
        "a forced withdrawal is left out, and then lied about",
        skipped_forced_operation.play,
    ),
    Scenario("malformed-data", "calldata that does not parse, and a blob of noise", malformed_data.play),
    Scenario("wrong-withdrawal-root", "withdrawals that nobody paid for", wrong_withdrawal_root.play, "blob"),
    Scenario(
        "bad-batch-with-good-descendants",
        "right batches on a wrong one fall with it",
        bad_batch_with_good_descendants.play,
    ),
    Scenario("thirty-bad-batches", "one proof voids thirty wrong batches", thirty_bad_batches.play),
    Scenario("last-second", "a dispute in the last second, and one second late", last_second.play),
    Scenario("front-run-prover", "a copied proof does not get the reward", front_run_prover.play, "blob"),
    Scenario("l1-reorg", "L1 forgets blocks in the middle of a dispute", l1_reorg.play),
)


def find(name: str) -> Scenario | None:
    """The story of this name, None when there is none."""
    return next((scenario for scenario in SCENARIOS if scenario.name == name), None)
