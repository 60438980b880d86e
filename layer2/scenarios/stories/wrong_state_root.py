"""A batch whose data is right and whose state root is not."""

from dataclasses import replace

from layer2.crypto.keccak import keccak256
from layer2.scenarios.cheat import Cheat
from layer2.scenarios.stage import Ending, Stage
from layer2.scenarios.stories.common import PAYMENT, body, catch, go_on, justice, payment


def play(stage: Stage) -> Ending:
    """In calldata mode."""
    tell = stage.tell
    stage.open()

    tell.step("Mallory submits a batch with a wrong state root")
    transfer = stage.transfer(stage.alice, stage.bob, PAYMENT)
    waiting = payment(stage)
    cheat = Cheat(stage.rollup, stage.mallory)
    draft = cheat.draft(stage.audit(), [body(transfer)])
    root = keccak256(b"whatever Mallory likes")
    batch = cheat.submit(replace(draft, words=replace(draft.words, state_root=root)))
    tell.say("its only operation is Alice's payment of 10 USDC to Bob, as she has signed it")
    tell.say(f"state root {root[:8].hex()}…, right would be {draft.words.state_root[:8].hex()}…")
    tell.check("the contract takes it for now: it cannot know", stage.rollup.view("tipHash") == batch.hash)
    tell.check("Sam does not build on it", stage.post() == batch.batch_id)

    catch(stage, batch, chunk=0)
    go_on(stage, waiting)
    return justice(stage)
