"""L1 reorgs: they must not turn an honest sequencer's batch, which is signed already, into a fraudulent one."""

from layer2.optimistic.evidence import check_batch
from tests.support.reverts import reverts


def test_reorg_that_swaps_two_deposits_does_not_cost_an_honest_sequencer_its_bond(rollup, chain, alice, bob, sequencer):
    """The batch is signed for a queue; then the blocks of the deposits come again in another order."""
    snapshot = chain.snapshot()
    rollup.deposit(alice, 0, 10)
    rollup.deposit(bob, 0, 20)
    signed = rollup.make(queue=2)

    chain.restore(snapshot)
    rollup.queue.clear()
    rollup.deposit(bob, 0, 20)
    rollup.deposit(alice, 0, 10)

    expected, actual = signed.claim.queue_chain, bytes(rollup.contract.queueEntries(1).chain)
    with reverts(rollup.contract.QueueMismatch, cursor=2, queueChain=expected, actual=actual):
        rollup.call("submitBatch", *rollup.arguments(signed), sender=sequencer)
    made_anew = rollup.post(rollup.make(queue=2), sequencer)
    assert check_batch(rollup.posted[0].state, made_anew.batch).wrong_chunk is None


def test_batch_without_queue_entries_names_the_chain_all_the_same(rollup, alice, sequencer):
    rollup.deposit(alice, 0, 10)
    rollup.post(rollup.make(queue=1), sequencer)
    rollup.deposit(alice, 0, 20)
    draft = rollup.make()

    actual = bytes(rollup.contract.queueEntries(0).chain)
    for chain in (bytes(32), bytes(rollup.contract.queueEntries(1).chain)):
        with reverts(rollup.contract.QueueMismatch, cursor=1, queueChain=chain, actual=actual):
            rollup.call("submitBatch", *rollup.arguments(draft.with_(queue_chain=chain)), sender=sequencer)
    rollup.post(draft, sequencer)
