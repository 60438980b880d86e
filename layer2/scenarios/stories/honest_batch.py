"""The usual case: a right batch, a challenge period in which nobody finds anything, and money on L1."""

from layer2.optimistic.constants import FEE_TOKEN_SHIFT
from layer2.scenarios.books import USDC
from layer2.scenarios.stage import FEE, UNIT, Ending, Stage, usdc
from layer2.scenarios.stories.common import refused


def play(stage: Stage) -> Ending:
    """In blob mode."""
    tell = stage.tell
    stage.open()
    rollup = stage.rollup

    tell.step("A batch in a blob")
    stage.hand_in(stage.transfer(stage.alice, stage.bob, 10 * UNIT))
    stage.hand_in(stage.withdrawal(stage.bob, 25 * UNIT))
    number = stage.post()
    position = stage.sequencer.position
    header = position.header
    tell.say(f"Alice pays Bob 10 USDC and Sam a fee of {usdc(FEE)}; Bob withdraws 25 USDC: batch {number}")
    tell.check("its data is in a blob", header.is_blob)
    tell.check("Chloe has executed it and found nothing wrong", stage.watch() == [])
    tell.check("her state root is Sam's", stage.challenger.position.state.state_root == header.state_root)

    tell.step("The challenge period")
    confirm = rollup.confirm_call(number, header)
    claim = rollup.claim_withdrawal_call(number, header, position.state, 0)
    end = header.timestamp + rollup.deployment.challenge_period
    refused(stage, "Bob cannot have his money yet", stage.bob, claim, "BatchNotConfirmed")
    stage.dev.pass_until(end - 300)
    stage.post()
    tell.check("Sam confirms the batch before, ten minutes older", rollup.view("confirmedBatchId") == number - 1)
    stage.dev.pass_until(end)
    refused(stage, "seven days later, in the last second", stage.bob, confirm, "ChallengePeriodRunning")
    stage.dev.pass_until(end + 1)
    stage.post()
    tell.check("a second later Sam confirms it", rollup.view("confirmedBatchId") == number)
    fee = header.fees[0]
    tell.check(f"Sam's fees are {usdc(FEE)}", fee == (USDC << FEE_TOKEN_SHIFT) + FEE)
    tell.check("and claimable on L1", rollup.payout(stage.sam.address, USDC) == FEE)

    tell.step("Bridge out")
    stage.send(stage.dora, claim)
    tell.say("Dora makes Bob's withdrawal a payout, for anybody may")
    refused(stage, "once", stage.dora, claim, "WithdrawalAlreadyClaimed")
    stage.collect(stage.bob, USDC)
    on_l1 = int(rollup.token_view(USDC, "balanceOf", stage.bob.address))
    tell.check(f"Bob has {usdc(on_l1)} on L1", on_l1 == 25 * UNIT)
    return stage.close(
        {stage.alice: (0, -10 * UNIT - FEE), stage.bob: (0, 10 * UNIT), stage.sam: (0, FEE)},
    )
