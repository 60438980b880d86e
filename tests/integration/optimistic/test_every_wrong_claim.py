"""Everything a sequencer can claim falsely falls to one proof, in either data mode."""

from dataclasses import replace

import pytest

from layer2.optimistic.chunks import execute_batch
from layer2.optimistic.operations import Transfer, TransferToNew, Withdraw
from layer2.optimistic.state import RollupState
from layer2.optimistic.transition import Context
from tests.integration.optimistic import scenario
from tests.integration.optimistic.scenario import A_ETH, B_ETH
from tests.support.optimistic import FOREVER, Draft, Rollup, edited
from tests.support.reverts import reverts


@pytest.fixture(scope="module")
def prepared(deployed, usdc, sequencer, alice, bob) -> Rollup:
    rollup = deployed.copy()
    scenario.prepare(rollup, usdc.id, alice, bob, sequencer)
    return rollup


@pytest.fixture
def rollup(prepared) -> Rollup:
    return prepared.copy()


@pytest.fixture
def honest(rollup, alice, bob) -> Draft:
    return scenario.make(rollup, alice, bob)


CLAIMS = {
    "state root": lambda d: d.with_(state_root=b"\x01" * 32),
    "state root 0": lambda d: d.with_(state_root=bytes(32)),
    "state root before": lambda d: d.with_(state_root=d.states[0].state_root),
    "withdrawal root": lambda d: d.with_(withdrawal_root=b"\x01" * 32),
    "withdrawal root before": lambda d: d.with_(withdrawal_root=d.states[0].withdrawal_root),
    "a withdrawal more": lambda d: d.with_(withdrawal_count=d.claim.withdrawal_count + 1),
    "a withdrawal fewer": lambda d: d.with_(withdrawal_count=d.claim.withdrawal_count - 1),
    "an index more": lambda d: d.with_(next_index=d.claim.next_index + 1),
    "an index fewer": lambda d: d.with_(next_index=d.claim.next_index - 1),
    "all indices": lambda d: d.with_(next_index=2**64 - 1),
    "a wei more of fees": lambda d: d.with_(fees=(d.claim.fees[0] + 1, *d.claim.fees[1:])),
    "a wei fewer of fees": lambda d: d.with_(fees=(d.claim.fees[0] - 1, *d.claim.fees[1:])),
    "fees in another token": lambda d: d.with_(fees=(*d.claim.fees[:3], 9 << 128 | 1)),
    "fees in another order": lambda d: d.with_(fees=(d.claim.fees[1], d.claim.fees[0], 0, 0)),
    "no fees": lambda d: d.with_(fees=(0, 0, 0, 0)),
    "another time, after an expiry": lambda d: d.with_(executed_at=d.claim.executed_at + scenario.EXPIRES_IN + 1),
    "first commitment": lambda d: d.with_chunk(0, commitment=b"\x01" * 31),
    "a middle commitment": lambda d: d.with_chunk(1, commitment=b"\x01" * 31),
    "the last but one commitment": lambda d: d.with_chunk(2, commitment=bytes(31)),
    "commitments exchanged": lambda d: replace(
        d, chunks=(d.chunks[0], replace(d.chunks[1], commitment=d.chunks[2].commitment), *d.chunks[2:])
    ),
    "an operation left out": lambda d: d.with_chunk(1, operations=d.chunks[1].operations[83:]),
    "a chunk's operations cut off": lambda d: d.with_chunk(1, operations=d.chunks[1].operations[:-90]),
    "a chunk left out": lambda d: replace(d, chunks=(d.chunks[0], *d.chunks[2:])).with_(chunks=3),
    "a queue entry skipped": lambda d: d.with_chunk(0, operations=b"\x01"),
    "the queue left alone": lambda d: d.with_chunk(0, operations=b""),
    "the queue taken at the end": lambda d: d.with_chunk(0, operations=b"").with_chunk(3, operations=b"\x01\x01"),
}


@pytest.mark.parametrize("blob", [False, True], ids=["calldata", "blob"])
@pytest.mark.parametrize("claim", CLAIMS)
def test_attack_wrong(rollup, honest, sequencer, prover, claim, blob):
    draft = CLAIMS[claim](honest)
    assert draft != honest
    if draft.claim.executed_at > rollup.now:
        rollup.mine(draft.claim.executed_at)
    before = rollup.observe()
    posted = rollup.post(draft, sequencer, blob=blob)
    receipt = rollup.prove(posted, prover)
    assert receipt.gas_used < 2_500_000
    assert rollup.observe()[:-1] == before[:-1]


@pytest.mark.parametrize("blob", [False, True], ids=["calldata", "blob"])
def test_the_honest_batch_stands(rollup, honest, sequencer, blob):
    posted = rollup.post(honest, sequencer, blob=blob)
    for chunk in range(len(honest.chunks)):
        with reverts(rollup.contract.NoFraud):
            rollup.call_proof(rollup.evidence(posted, chunk))


@pytest.mark.parametrize("blob", [False, True], ids=["calldata", "blob"])
def test_attack_queue_entry_claimed_and_not_taken(rollup, sequencer, prover, blob):
    posted = rollup.post(rollup.with_cursor(rollup.make(chunks=[b"\x01", b""], queue=1), 6), sequencer, blob=blob)
    assert rollup.evidence(posted).chunk == 1
    rollup.prove(posted, prover)
    assert rollup.contract.queueCursor() == 4


def as_if(rollup: Rollup, state: RollupState, *operations) -> Draft:
    """A batch that a sequencer executes on a state of its own invention."""
    executed_at, cursor = rollup.now, rollup.tip.header.queue_cursor
    data = b"".join(operation.encode() for operation in operations)
    (executed,) = execute_batch(state, Context(rollup.domain, executed_at, cursor), [data], ())
    honest = rollup.make(chunks=[data])
    after = executed.after
    return replace(
        honest.with_(
            state_root=after.state_root,
            withdrawal_root=after.withdrawal_root,
            next_index=after.next_index,
            withdrawal_count=after.withdrawal_count,
        ),
        chunks=(executed.chunk,),
    )


@pytest.mark.parametrize("blob", [False, True], ids=["calldata", "blob"])
def test_attack_stolen_funds(rollup, sequencer, mallory, prover, blob):
    """Mallory forges Alice's signature, and the sequencer takes it for good."""
    theirs = edited(rollup.state, A_ETH, owner=int(mallory.address, 16))
    transfer = TransferToNew(A_ETH, int(mallory.address, 16), 10**17, 0, FOREVER)
    forged = rollup.sign(mallory, transfer, state=theirs)
    honest = rollup.make(forged)
    assert honest.states[-1].state_root == rollup.state.state_root
    claimed = as_if(rollup, theirs, forged)
    posted = rollup.post(claimed, sequencer, blob=blob)
    rollup.prove(posted, prover)


@pytest.mark.parametrize("blob", [False, True], ids=["calldata", "blob"])
def test_attack_minted_balance(rollup, sequencer, alice, prover, blob):
    """Alice withdraws 2^99 wei of a balance that she never had."""
    rich = edited(rollup.state, A_ETH, balance=2**100)
    taken = rollup.sign(alice, Withdraw(A_ETH, 2**99, 0, FOREVER))
    claimed = as_if(rollup, rich, taken)
    assert claimed.claim.withdrawal_count == 1
    posted = rollup.post(claimed, sequencer, blob=blob)
    rollup.prove(posted, prover)
    assert rollup.contract.payouts(alice, 0) == 0


@pytest.mark.parametrize("blob", [False, True], ids=["calldata", "blob"])
def test_attack_replayed_operation(rollup, sequencer, alice, prover, blob):
    """The same signed transfer a second time, with effect."""
    transfer = rollup.sign(alice, Transfer(A_ETH, B_ETH, 1000, 0, FOREVER))
    rollup.post(rollup.make(transfer), sequencer, blob=blob)
    claimed = as_if(rollup, edited(rollup.state, A_ETH, nonce=1), transfer)
    posted = rollup.post(claimed, sequencer, blob=blob)
    rollup.prove(posted, prover)
    assert rollup.contract.currentBatchId() == posted.id - 1
