"""A whole fraud proof against the dearest chunks there can be fits into a block, and into a transaction.

The state before is claimed by a batch that nobody disputes, since no test can make sixteen million accounts. The proof
does not care: it is about the batch after that one.
"""

from dataclasses import replace

import pytest

from layer2.ledger.operations import Operation as QueueOperation
from tests.support.crowded import Crowd
from tests.support.optimistic import Config, Rollup, private_key

LIMIT = 2_500_000
"""Gas of a proof, calldata's floor (EIP-7623) included. A transaction may have 2²⁴ (EIP-7825)."""


@pytest.fixture(scope="module")
def deep(project, deployer, registry, parts, sequencer) -> Rollup:
    rollup = Rollup.deploy(project, deployer, registry, parts, config=Config(levels=24))
    rollup.bond(sequencer)
    return rollup


@pytest.mark.parametrize("blob", [True, False], ids=["blob", "calldata"])
@pytest.mark.parametrize(
    "kind", ["transfer", "add liquidity", "remove liquidity", "purchase NFT", "exit of a position"]
)
def test_gas_of_a_fraud_proof(deep, sequencer, alice, prover, kind, blob):
    rollup = deep.copy()
    chunk = Crowd(rollup.domain, private_key(alice)).chunk(kind)
    for entry in chunk.queue:
        rollup.force_withdraw(alice, QueueOperation.from_slot(entry).account)
    assert rollup.queue == list(chunk.queue)
    state = chunk.state
    crowded = rollup.make().with_(
        state_root=state.state_root,
        next_index=state.next_index,
        withdrawal_root=state.withdrawal_root,
        withdrawal_count=state.withdrawal_count,
    )
    posted = rollup.post(crowded, sequencer)
    rollup.posted[posted.id] = replace(posted, state=state)
    # The second of two chunks: the commitment before it has to be opened as well.
    honest = rollup.make(chunks=[b"", chunk.operations], queue=len(chunk.queue))
    wrong = rollup.post(honest.with_(state_root=b"\xff" * 32), sequencer, blob=blob)

    receipt = rollup.prove(wrong, prover)

    print(f"{kind}: {receipt.gas_used:,} gas, {len(receipt.data):,} bytes of calldata")
    assert rollup.contract.tipHash() == posted.hash
    assert receipt.gas_used < LIMIT
