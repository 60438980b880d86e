"""Money from nowhere: a balance that grows without an operation."""

from layer2.optimistic.operations import Nothing
from layer2.scenarios.cheat import Cheat, mint
from layer2.scenarios.stage import UNIT, Ending, Stage
from layer2.scenarios.stories.common import body, catch, go_on, justice, payment

MINTED = 1_000_000 * UNIT


def play(stage: Stage) -> Ending:
    """In calldata mode."""
    tell = stage.tell
    stage.open()

    tell.step("Mallory mints a million USDC")
    waiting = payment(stage)
    cheat = Cheat(stage.rollup, stage.mallory)
    account = stage.account(stage.mallory)
    draft = cheat.draft(stage.audit(), [body(Nothing())], lies={0: mint(account, MINTED)})
    batch = cheat.submit(draft)
    held = int(stage.rollup.token_view(1, "balanceOf", stage.rollup.address))
    tell.say(f"the batch's only operation does nothing, but account {account} has 1,000,001 USDC after it")
    tell.say(f"(the contract holds {held // UNIT} USDC)")
    tell.check("the contract takes it for now: it cannot know", stage.rollup.view("tipHash") == batch.hash)

    catch(stage, batch, chunk=0)
    go_on(stage, waiting)
    return justice(stage)
