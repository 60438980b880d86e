"""All stories, by the name that `ape run scenario` knows them by."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from layer2.chain.connection import Chain
from layer2.demo.narrator import Narrator
from layer2.scenarios.channel_stage import ChannelStage
from layer2.scenarios.stage import Data, Ending, Stage
from layer2.scenarios.stories import (
    bad_batch_with_good_descendants,
    claim_in_the_last_second,
    front_run_prover,
    honest_batch,
    l1_reorg,
    last_second,
    malformed_data,
    minted_balance,
    payer_leaves_early,
    skipped_forced_operation,
    stale_state,
    stalled_hop,
    stolen_funds,
    streamed_micropayments,
    thirty_bad_batches,
    vanished_relayer,
    vanished_sequencer,
    wrong_state_root,
    wrong_withdrawal_root,
)

Telling = Callable[[Chain, Path, Narrator], Ending]
"""Tells a story on Anvil, whose time passes. The folder, empty, is for databases; the narrator collects checks that do
not hold. Raises ChainError or ActorError when the story cannot go on."""


@dataclass(frozen=True)
class Scenario:
    """A story: its name, a line about it, and what tells it."""

    name: str
    summary: str
    run: Telling


def _staged(play: Callable[[Stage], Ending], data: Data = "calldata") -> Telling:
    """A story of the optimistic rollup. data: where the honest sequencer puts its data."""

    def run(chain: Chain, folder: Path, tell: Narrator) -> Ending:
        with Stage(chain, folder, tell, data=data) as stage:
            return play(stage)

    return run


def _channels(play: Callable[[ChannelStage], Ending]) -> Telling:
    """A story of channels."""

    def run(chain: Chain, folder: Path, tell: Narrator) -> Ending:
        with ChannelStage(chain, folder, tell) as stage:
            return play(stage)

    return run


SCENARIOS: Final = (
    Scenario(
        "honest-batch", "a right batch becomes final, and a withdrawal is paid", _staged(honest_batch.play, "blob")
    ),
    Scenario("wrong-state-root", "right data, wrong state root", _staged(wrong_state_root.play)),
    Scenario("stolen-funds", "a transfer with a forged signature", _staged(stolen_funds.play, "blob")),
    Scenario("minted-balance", "a balance grows without an operation", _staged(minted_balance.play)),
    Scenario(
        "skipped-forced-operation",
        "a forced withdrawal is left out, then lied about",
        _staged(skipped_forced_operation.play),
    ),
    Scenario("malformed-data", "calldata that does not parse, and a blob of noise", _staged(malformed_data.play)),
    Scenario("wrong-withdrawal-root", "withdrawals that nobody paid for", _staged(wrong_withdrawal_root.play, "blob")),
    Scenario(
        "bad-batch-with-good-descendants",
        "right batches on a wrong one fall with it",
        _staged(bad_batch_with_good_descendants.play),
    ),
    Scenario("thirty-bad-batches", "one proof voids thirty wrong batches", _staged(thirty_bad_batches.play)),
    Scenario("vanished-sequencer", "freeze, escapes and refunds when nobody serves", _staged(vanished_sequencer.play)),
    Scenario("vanished-relayer", "the same for the ZK rollup, with real proofs", vanished_relayer.play),
    Scenario("last-second", "a dispute in the last second, and one second late", _staged(last_second.play)),
    Scenario("front-run-prover", "a copied proof does not get the reward", _staged(front_run_prover.play, "blob")),
    Scenario("l1-reorg", "L1 forgets blocks in the middle of a dispute", _staged(l1_reorg.play)),
    Scenario(
        "streamed-micropayments", "ten thousand payments, one claim on L1", _channels(streamed_micropayments.play)
    ),
    Scenario(
        "claim-in-the-last-second",
        "a payee claims in the last second, and one second late",
        _channels(claim_in_the_last_second.play),
    ),
    Scenario("payer-leaves-early", "a payer wants back what it has signed away", _channels(payer_leaves_early.play)),
    Scenario("stale-state", "an old state of a channel, answered by a watchtower", _channels(stale_state.play)),
    Scenario("stalled-hop", "a payment over a middle party that stops answering", _channels(stalled_hop.play)),
)


def find(name: str) -> Scenario | None:
    """The story of this name, None when there is none."""
    return next((scenario for scenario in SCENARIOS if scenario.name == name), None)
