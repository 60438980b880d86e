"""A forged signature: the sequencer writes a transfer that its victim has not signed, and acts as if she had."""

from layer2.optimistic.operations import Transfer, Withdraw
from layer2.scenarios.cheat import Cheat, steal
from layer2.scenarios.stage import FOREVER, UNIT, Ending, Stage
from layer2.scenarios.stories.common import PAYMENT, body, catch, go_on, justice, payment, refused


def play(stage: Stage) -> Ending:
    """In blob mode; the wrong chunk is neither the first nor the last."""
    tell = stage.tell
    stage.open()
    rollup = stage.rollup

    tell.step("Mallory forges Alice's signature")
    alice, mallory = stage.account(stage.alice), stage.account(stage.mallory)
    honest = stage.transfer(stage.alice, stage.bob, PAYMENT)
    waiting = payment(stage)
    state = stage.audit()
    forged = stage.sign(stage.mallory, Transfer(alice, mallory, 80 * UNIT, 0, FOREVER), state)
    cheat = Cheat(rollup, stage.mallory)
    lies = {1: steal(alice, mallory, 80 * UNIT)}
    claimed = cheat.draft(state, [body(honest), body(forged)], lies=lies).after
    loot = stage.sign(stage.mallory, Withdraw(mallory, 81 * UNIT, 0, FOREVER), claimed)
    draft = cheat.draft(state, [body(honest), body(forged), body(loot)], lies=lies, is_blob=True)
    batch = cheat.submit(draft)
    tell.say("chunk 0: Alice's payment to Bob, which she has signed")
    tell.say("chunk 1: 80 USDC from Alice to Mallory, signed by Mallory; the batch goes on as if Alice had signed it")
    tell.say("chunk 2: Mallory withdraws 81 USDC, as the state before allows")
    tell.check("the contract takes it for now: it cannot know", rollup.view("tipHash") == batch.hash)
    tell.check("all of it is in a blob", batch.header.is_blob)

    catch(stage, batch, chunk=1)
    claim = rollup.claim_withdrawal_call(batch.batch_id, batch.header, batch.after, 0)
    refused(stage, "Mallory's withdrawal is worth nothing", stage.mallory, claim, "UnknownBatch")
    go_on(stage, waiting)
    return justice(stage)
