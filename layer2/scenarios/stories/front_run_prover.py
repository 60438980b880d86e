"""Somebody copies the challenger's proof out of the mempool, and is mined first."""

from layer2.chain.connection import Transaction
from layer2.chain.sending import fees
from layer2.chain.signer import UnsignedTransaction
from layer2.optimistic.operations import Nothing
from layer2.scenarios.cheat import Cheat, mint
from layer2.scenarios.stage import UNIT, Ending, Stage, eth
from layer2.scenarios.stories.common import CAUGHT, body, go_on, justice, payment


def play(stage: Stage) -> Ending:
    """In blob mode."""
    tell = stage.tell
    stage.open()
    rollup = stage.rollup

    tell.step("Mallory submits a wrong batch")
    waiting = payment(stage)
    cheat = Cheat(rollup, stage.mallory)
    lies = {0: mint(stage.account(stage.mallory), 150 * UNIT)}
    batch = cheat.submit(cheat.draft(stage.audit(), [body(Nothing())], lies=lies, is_blob=True))
    tell.say("150 USDC from nowhere")

    tell.step("Chloe reserves the reward")
    with stage.dev.no_blocks():
        started = [move.deed for move in stage.challenger.step().disputes.started]
        tell.check("by a hash, which says nothing to anybody else", started == ["reserve"])
        stage.dev.mine()
        reserved_in = stage.chain.head().number

        tell.step("Dora copies her proof")
        started = []
        while not started:
            started = [move.deed for move in stage.challenger.step().disputes.started]
        tell.check("Chloe sends the proof", started == ["prove"])
        copied = _waiting(stage)
        tell.say(f"Dora sees it in the mempool: {len(copied.input):,} bytes that name nobody")
        _outbid(stage, copied)
        stage.dev.mine()
    verdict = stage.verdict(batch.hash)
    tell.check("her copy is mined first; the batch falls", verdict.challenger == stage.dora.address)
    lost = stage.chain.receipt(copied.hash)
    tell.check("Chloe's own proof reverts in the same block", lost is not None and not lost.ok)
    tell.say(f"{eth(CAUGHT)} wait for a day, so that others can show what they have reserved")

    tell.step("Chloe shows her reservation")
    deeds = stage.watch()
    tell.check("it is from an earlier block, so the reward is hers", deeds == ["take"])
    proof = rollup.view("fraudProofs", batch.hash)
    reward = rollup.reward(batch.hash)
    tell.check("the contract says so", proof[2].lower() == stage.chloe.address.lower())
    tell.check(f"reserved in block {reserved_in}", reward.reserved_at == reserved_in)
    go_on(stage, waiting)
    tell.say(f"Dora has paid the gas of the proof, {verdict.gas:,}, for nothing")
    return justice(stage)


def _waiting(stage: Stage) -> Transaction:
    """Chloe's transaction in the mempool."""
    waiting = {sender.lower(): found for sender, found in stage.dev.request("txpool_content")["pending"].items()}
    (raw,) = waiting[stage.chloe.address.lower()].values()
    transaction = stage.chain.transaction(bytes.fromhex(raw["hash"][2:]))
    assert transaction is not None
    return transaction


def _outbid(stage: Stage, copied: Transaction) -> None:
    """Dora sends the same call with ten times the fees."""
    priority, maximum = (10 * fee for fee in fees(stage.chain))
    dora = stage.dora.signer
    nonce = stage.chain.nonce(dora.address)
    unsigned = UnsignedTransaction(
        stage.chain.chain_id(), nonce, stage.rollup.address, copied.input, 0, 5_000_000, maximum, priority
    )
    stage.chain.broadcast(dora.sign_transaction(unsigned))
