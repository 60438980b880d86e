"""The challenge period's last second, and the one after it."""

from layer2.optimistic.operations import Nothing, Withdraw
from layer2.scenarios.books import USDC
from layer2.scenarios.cheat import Cheat, mint
from layer2.scenarios.stage import FOREVER, UNIT, Ending, Stage, usdc
from layer2.scenarios.stories.common import body, fallen, go_on, justice, payment, refused


def play(stage: Stage) -> Ending:
    """In calldata mode."""
    tell = stage.tell
    stage.open()
    rollup = stage.rollup

    tell.step("Mallory submits a wrong batch, and everybody sleeps")
    waiting = payment(stage)
    cheat = Cheat(rollup, stage.mallory)
    account = stage.account(stage.mallory)
    state = stage.audit()
    lies = {0: mint(account, 150 * UNIT)}
    claimed = cheat.draft(state, [body(Nothing())], lies=lies).after
    loot = stage.sign(stage.mallory, Withdraw(account, 151 * UNIT, 0, FOREVER), claimed)
    batch = cheat.submit(cheat.draft(state, [body(Nothing()), body(loot)], lies=lies))
    end = batch.header.timestamp + rollup.deployment.challenge_period
    tell.say("150 USDC from nowhere, and a withdrawal of 151 USDC: all that the contract holds")
    tell.say(f"it can be disputed until {end} (it is {stage.dev.now})")
    proof = rollup.prove_call(stage.evidence())

    tell.step("What would happen if everybody slept one second too long")
    with stage.dev.undone():
        stage.dev.pass_until(end + 1)
        refused(stage, "a dispute one second late", stage.chloe, proof, "ChallengePeriodOver")
        first = stage.sequencer.position
        stage.send(stage.mallory, rollup.confirm_call(first.batch_id, first.header))
        stage.send(stage.mallory, rollup.confirm_call(batch.batch_id, batch.header))
        tell.check("the wrong batch is confirmed", rollup.view("confirmedBatchId") == batch.batch_id)
        stage.send(stage.mallory, rollup.claim_withdrawal_call(batch.batch_id, batch.header, batch.after, 0))
        stage.collect(stage.mallory, USDC)
        loot_on_l1 = int(rollup.token_view(USDC, "balanceOf", stage.mallory.address))
        tell.check(f"and Mallory has {usdc(loot_on_l1)} on L1", loot_on_l1 == 151 * UNIT)
        tell.say("This is what the rollup rests on: one honest party that wakes up once within seven days")

    tell.step("What happens: Chloe wakes up in time, if only just")
    stage.dev.pass_until(end - 1)
    stage.dev.next_block_at(end)
    tell.check("no time to reserve the reward: she proves at once", stage.watch() == ["prove"])
    fallen(stage, batch, chunk=0)
    reward = rollup.reward(batch.hash)
    tell.check("in the last second of the challenge period", reward.proven_at == end)
    go_on(stage, waiting)
    return justice(stage)
