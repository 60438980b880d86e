"""Thirty wrong batches in a row: one proof, against the first of them, voids all."""

from layer2.optimistic.operations import Nothing
from layer2.scenarios.cheat import Cheat, mint
from layer2.scenarios.stage import UNIT, Ending, Stage
from layer2.scenarios.stories.common import body, catch, go_on, justice, payment, refused

BATCHES = 30


def play(stage: Stage) -> Ending:
    """In calldata mode."""
    tell = stage.tell
    stage.open()
    rollup = stage.rollup

    tell.step("Mallory submits thirty wrong batches")
    waiting = payment(stage)
    cheat = Cheat(rollup, stage.mallory)
    state = stage.audit()
    account = stage.account(stage.mallory)
    batches = []
    for _ in range(BATCHES):
        batches.append(cheat.submit(cheat.draft(state, [body(Nothing())], lies={0: mint(account, 1000 * UNIT)})))
        state = batches[-1].after
    gas = sum(batch.receipt.gas_used for batch in batches)
    tell.say(f"batches {batches[0].batch_id} to {batches[-1].batch_id}, 1,000 USDC from nowhere in each: {gas:,} gas")
    tell.check("all are on L1", rollup.view("currentBatchId") == batches[-1].batch_id == BATCHES + 1)
    tell.say("One bond of 1 ETH stands for all of them")

    catch(stage, batches[0], chunk=0, voided=BATCHES)
    call = cheat.call(cheat.draft(stage.audit(), [body(Nothing())]))
    refused(stage, "a thirty-first batch", stage.mallory, call, "InsufficientBond")
    go_on(stage, waiting)
    return justice(stage)
