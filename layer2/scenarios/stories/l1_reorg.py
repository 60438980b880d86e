"""L1 forgets blocks in the middle of a dispute: first the proof, then the wrong batch as well."""

from layer2.optimistic.operations import Nothing
from layer2.scenarios.cheat import Cheat, mint
from layer2.scenarios.stage import STAKE, UNIT, Ending, Stage
from layer2.scenarios.stories.common import body, catch, fallen, go_on, justice, payment


def play(stage: Stage) -> Ending:
    """In calldata mode."""
    tell = stage.tell
    stage.open()
    rollup = stage.rollup

    tell.step("Mallory submits a wrong batch")
    waiting = payment(stage)
    cheat = Cheat(rollup, stage.mallory)
    before = stage.chain.head()
    draft = cheat.draft(stage.audit(), [body(Nothing())], lies={0: mint(stage.account(stage.mallory), 150 * UNIT)})
    batch = cheat.submit(draft)
    tell.say("150 USDC from nowhere")
    with_batch = stage.chain.head()
    catch(stage, batch, chunk=0)
    number = stage.post()
    tell.say(f"Sam's batch {number} with Alice's payment takes its place")
    fallen_once = rollup.view("tipHash")

    tell.step("L1 forgets the proof")
    _forget(stage, after=with_batch.number)
    tell.check("the wrong batch stands again, as if nothing had been", rollup.view("tipHash") == batch.hash)
    tell.check("and Mallory has her bond again", rollup.bond(stage.mallory.address).amount == STAKE)
    report = stage.challenger.step()
    tell.check("Chloe notices", report.sync.rewound_to is not None)
    stage.watch()
    fallen(stage, batch, chunk=0)
    stage.post()
    tell.check("Sam's batch is there again", rollup.view("tipHash") not in (batch.hash, batch.header.parent_hash))
    tell.check("under another hash, for it is in another block", rollup.view("tipHash") != fallen_once)

    tell.step("L1 forgets the batch, too, and Mallory submits it again")
    _forget(stage, after=before.number)
    tell.check("nothing of it is left", rollup.view("tipHash") == batch.header.parent_hash)
    again = cheat.submit(draft)
    tell.check("the same batch in another block has another hash", again.hash != batch.hash)
    tell.say("so Chloe's proofs against the first one are void; she needs another one, and another reservation")
    tell.check("Chloe reserves and proves again", stage.watch()[-2:] == ["reserve", "prove"])
    fallen(stage, again, chunk=0)
    go_on(stage, waiting)
    return justice(stage)


def _forget(stage: Stage, after: int) -> None:
    """Replace all blocks after a number by empty ones, and let L1 go on for a minute."""
    now = stage.dev.now
    depth = stage.chain.head().number - after
    stage.dev.reorg(depth)
    stage.dev.pass_until(now + 60)
    stage.tell.say(f"the last {depth} blocks are replaced by empty ones")
