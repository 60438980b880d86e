"""Bob forces a withdrawal on L1, and a sequencer tries not to execute it."""

from layer2.optimistic.operations import Nothing, QueueEntry
from layer2.scenarios.books import USDC
from layer2.scenarios.cheat import Cheat, nothing_happened
from layer2.scenarios.stage import UNIT, Ending, Stage
from layer2.scenarios.stories.common import body, catch, go_on, justice, payment, refused


def play(stage: Stage) -> Ending:
    """In calldata mode."""
    tell = stage.tell
    stage.open()
    rollup = stage.rollup
    cheat = Cheat(rollup, stage.mallory)

    tell.step("Bob forces a withdrawal")
    account = stage.account(stage.bob)
    stage.send(stage.bob, rollup.force_withdraw_call(account))
    slot = stage.queue_slots()[-1]
    tell.say(f"entry {rollup.view('queueTail') - 1} of the L1 queue: all of account {account}, 50 USDC")
    idle = body(Nothing())
    batch = cheat.submit(cheat.draft(stage.audit(), [idle]))
    tell.check("Mallory submits a batch without it, which is allowed for a while", batch.batch_id == 2)

    tell.step("The inclusion deadline")
    stage.dev.pass_time(rollup.deployment.inclusion_deadline + 1)
    call = cheat.call(cheat.draft(stage.audit(), [idle]))
    refused(stage, "a day later a batch without it is refused", stage.mallory, call, "QueueNeglected")
    tell.say("So Mallory's next batch consumes the entry, but claims that it changed nothing")
    waiting = payment(stage)
    state = stage.audit()
    draft = cheat.draft(state, [body(QueueEntry())], [slot], lies={0: nothing_happened(state)})
    batch = cheat.submit(draft)
    tell.check("this the contract takes for now", rollup.view("queueCursor") == rollup.view("queueTail"))

    catch(stage, batch, chunk=0)
    tell.check("the queue's cursor is back as well", rollup.view("queueCursor") == rollup.view("queueTail") - 1)
    go_on(stage, waiting)

    tell.step("Bob gets his money")
    position = stage.sequencer.position
    claim = rollup.claim_withdrawal_call(position.batch_id, position.header, position.state, 0)
    stage.send(stage.bob, claim)
    stage.collect(stage.bob, USDC)
    on_l1 = int(rollup.token_view(USDC, "balanceOf", stage.bob.address))
    tell.check("50 USDC on L1", on_l1 == 50 * UNIT)
    return justice(stage)
