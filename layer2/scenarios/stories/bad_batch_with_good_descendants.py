"""A sequencer that checks nothing builds right batches on a wrong one: they fall with it, and nobody loses by that."""

from layer2.optimistic.operations import Nothing
from layer2.scenarios.cheat import Cheat, mint
from layer2.scenarios.stage import FEE, STAKE, UNIT, Ending, Stage, eth
from layer2.scenarios.stories.common import CAUGHT, PAID, PAYMENT, body, catch, go_on


def play(stage: Stage) -> Ending:
    """In calldata mode."""
    tell = stage.tell
    stage.open()
    rollup = stage.rollup

    tell.step("A wrong batch, and two right ones on top")
    mallory = Cheat(rollup, stage.mallory)
    bad = mallory.submit(
        mallory.draft(stage.audit(), [body(Nothing())], lies={0: mint(stage.account(stage.mallory), 1000 * UNIT)})
    )
    tell.say(f"Mallory's batch {bad.batch_id} mints 1,000 USDC")
    dora = Cheat(rollup, stage.dora)
    dora.bond(STAKE)
    tell.say("Dora, who checks nobody's batches, bonds 1 ETH and takes part")
    first = stage.transfer(stage.alice, stage.bob, PAYMENT)
    waiting = stage.hand_in(first)
    second = stage.transfer(stage.bob, stage.mallory, 2 * UNIT)
    other = stage.hand_in(second)
    good = dora.submit(dora.draft(bad.after, [body(first)]))
    best = dora.submit(dora.draft(good.after, [body(second)]))
    tell.say(f"Her batch {good.batch_id} is right, given the one before: Alice pays Bob 10 USDC")
    tell.say(f"Her batch {best.batch_id} as well: Bob pays Mallory 2 USDC")
    tell.check("three batches are pending", rollup.view("currentBatchId") - rollup.view("confirmedBatchId") == 4)

    catch(stage, bad, chunk=0, voided=3)
    tell.check(
        f"Dora's bond is untouched: {eth(STAKE)}, for no batch of hers was proven wrong",
        rollup.bond(stage.dora.address).amount == STAKE,
    )
    go_on(stage, waiting)
    status = stage.sequencer.status(other)
    tell.check(
        "so is Bob's payment to Mallory: what people sign does not name a state",
        status is not None and status.state == "confirmed",
    )
    return stage.close(
        {
            stage.alice: (0, -PAID),
            stage.bob: (0, PAYMENT - 2 * UNIT - FEE),
            stage.sam: (0, 2 * FEE),
            stage.mallory: (-STAKE, 2 * UNIT),
            stage.chloe: (CAUGHT, 0),
        },
        burned=CAUGHT,
    )
