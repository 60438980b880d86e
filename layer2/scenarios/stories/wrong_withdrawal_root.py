"""Withdrawals that nobody's account paid for: the state root is right, the withdrawal root is not."""

from layer2.optimistic.operations import Nothing
from layer2.scenarios.books import ETH, USDC
from layer2.scenarios.cheat import Cheat, pay_out
from layer2.scenarios.stage import Ending, Stage, eth, usdc
from layer2.scenarios.stories.common import body, catch, go_on, justice, payment, refused


def play(stage: Stage) -> Ending:
    """In blob mode."""
    tell = stage.tell
    stage.open()
    rollup = stage.rollup

    tell.step("Mallory withdraws all that the contract holds")
    waiting = payment(stage)
    ether = stage.chain.balance(rollup.address)
    tokens = int(rollup.token_view(USDC, "balanceOf", rollup.address))
    cheat = Cheat(rollup, stage.mallory)
    owner = stage.mallory.owner
    draft = cheat.draft(
        stage.audit(),
        [body(Nothing()), body(Nothing())],
        lies={0: pay_out(owner, ETH, ether), 1: pay_out(owner, USDC, tokens)},
        is_blob=True,
    )
    batch = cheat.submit(draft)
    tell.say(f"two withdrawals to Mallory, of {eth(ether)} and {usdc(tokens)}; the state root is the true one")
    true_root = stage.audit().state_root
    tell.check("the state root is right", batch.header.state_root == true_root)
    claim = rollup.claim_withdrawal_call(batch.batch_id, batch.header, batch.after, 0)
    refused(stage, "but nothing is paid within the challenge period", stage.mallory, claim, "BatchNotConfirmed")

    catch(stage, batch, chunk=0)
    refused(stage, "the withdrawals have gone with the batch", stage.mallory, claim, "UnknownBatch")
    go_on(stage, waiting)
    return justice(stage)
