"""Attacks around a rollback: what a wrong batch did is undone, and done once afterwards."""

import pytest

from layer2.optimistic.operations import Transfer, TransferToNew, Withdraw
from layer2.optimistic.records import Account
from tests.support.optimistic import FOREVER, STAKE, Rollup
from tests.support.reverts import reverts


@pytest.fixture
def open_rollup(rollup, sequencer, alice, bob) -> Rollup:
    """Alice and Bob have an ETH each in accounts 1 and 2."""
    for who in (alice, bob):
        rollup.deposit(who, 0, 10**18)
    rollup.post(rollup.make(queue=2), sequencer)
    return rollup


def bad(rollup, number: int = 1):
    return rollup.make().with_(state_root=bytes([number]) * 32)


@pytest.mark.parametrize("blob", [False, True])
def test_attack_deposit_consumed_by_a_batch_that_falls(open_rollup, sequencer, bob, mallory, prover, blob):
    """The wrong batch took the deposit and let it vanish. Afterwards it is credited, once, and can be withdrawn."""
    rollup = open_rollup
    c = rollup.contract
    rollup.deposit(bob, 0, 500, account=2)
    rollup.force_withdraw(mallory, 1)
    wrong = rollup.with_cursor(rollup.make(chunks=[b"\x00\x00"]), 4)
    wrong = rollup.post(wrong, sequencer, blob=blob)
    assert c.queueCursor() == 4
    rollup.prove(wrong, prover)
    assert c.queueCursor() == 2

    rollup.bond(sequencer)
    posted = rollup.post(rollup.make(queue=2), sequencer, blob=blob)
    assert posted.id == wrong.id
    assert rollup.state.record(2) == Account(int(bob.address, 16), 0, 0, 10**18 + 500)
    with reverts(c.QueueCursorOutOfRange, cursor=2, earliest=4, latest=4):
        rollup.call("submitBatch", *rollup.arguments(rollup.with_cursor(rollup.make(), 2)), sender=sequencer)
    taken = rollup.make(rollup.sign(bob, Withdraw(2, 10**18 + 500, 0, FOREVER)))
    last = rollup.post(taken, sequencer, blob=blob)
    for batch in rollup.posted[1:]:
        rollup.confirm(batch, sequencer)
    rollup.claim_withdrawal(last, 0, mallory)
    before = bob.balance
    c.withdrawFor(bob, 0, sender=mallory)
    assert bob.balance - before == 10**18 + 500
    assert c.held(0) == 10**18


def test_attack_deposit_credited_twice_by_a_batch(open_rollup, sequencer, bob, prover):
    """Hubble's model credits twice: here the second time is one queue entry more than there is, and does nothing."""
    rollup = open_rollup
    rollup.deposit(bob, 0, 500, account=2)
    twice = rollup.make(chunks=[b"\x01\x01"], queue=1)
    assert twice.states[-1].record(2).balance == 10**18 + 500
    posted = rollup.post(twice, sequencer)
    with reverts(rollup.contract.NoFraud):
        rollup.call_proof(rollup.evidence(posted, 0))
    again = rollup.post(rollup.make(chunks=[b"\x01"]), sequencer)
    assert again.state.record(2).balance == 10**18 + 500


def test_attack_dispute_of_a_descendant(open_rollup, sequencer, mallory, prover):
    """A good batch on a wrong one falls with it and costs its sequencer nothing; nobody can dispute it any more."""
    rollup = open_rollup
    c = rollup.contract
    rollup.bond(mallory)
    wrong = rollup.post(bad(rollup), mallory)
    child = rollup.post(rollup.make(), sequencer)
    evidence = rollup.evidence(child, 0)
    receipt = rollup.prove(wrong, prover)
    assert receipt.events[-1].voided == 2
    assert c.bonds(sequencer).amount == STAKE
    assert c.bonds(mallory).amount == 0
    with reverts(c.UnknownBatch, batchId=child.id, batchHash=child.hash):
        rollup.call_proof(evidence)
    with reverts(c.StaleParent, parentHash=child.hash, tipHash=rollup.tip.hash):
        rollup.call("submitBatch", *rollup.arguments(rollup.make().with_(parent_hash=child.hash)), sender=sequencer)


def test_attack_dispute_of_the_descendant_first(open_rollup, sequencer, mallory, prover):
    """Both are wrong by themselves: each costs a bond, the last one first."""
    rollup = open_rollup
    c = rollup.contract
    rollup.bond(mallory)
    first = rollup.post(bad(rollup, 1), mallory)
    second = rollup.post(bad(rollup, 2), sequencer)
    # Its transition is from a state whose root nobody knows the leaves of; the chunk is empty, so none are needed.
    rollup.prove_from_claim(second, prover)
    assert c.currentBatchId() == first.id
    rollup.prove(first, prover)
    assert c.currentBatchId() == first.id - 1
    assert [c.rewards(batch.hash).amount for batch in (first, second)] == [STAKE // 2] * 2


def test_attack_dispute_of_an_id_used_again(open_rollup, sequencer, alice, prover):
    """The proof against the first batch with this number does nothing to the second, which has the same data."""
    rollup = open_rollup
    c = rollup.contract
    transfer = rollup.sign(alice, Transfer(1, 2, 10, 0, FOREVER))
    wrong = rollup.post(rollup.make(transfer).with_(state_root=b"\x01" * 32), sequencer)
    evidence = rollup.evidence(wrong)
    rollup.prove(wrong, prover)
    rollup.bond(sequencer)
    right = rollup.post(rollup.make(transfer), sequencer)
    assert right.id == wrong.id
    with reverts(c.UnknownBatch, batchId=wrong.id, batchHash=wrong.hash):
        rollup.call_proof(evidence)
    with reverts(c.NoFraud):
        rollup.call_proof(rollup.evidence(right, 0))
    assert c.fraudProofs(wrong.hash).isValid
    assert not c.fraudProofs(right.hash).isValid


def test_attack_numbers_above_the_tip_come_back_to_life(open_rollup, sequencer, prover):
    """After a rollback by two, one new batch must not bring the old second one back."""
    rollup = open_rollup
    c = rollup.contract
    wrong = rollup.post(bad(rollup), sequencer)
    child = rollup.post(rollup.make(), sequencer)
    rollup.prove(wrong, prover)
    assert tuple(c.batches(child.id)) == (bytes(32), False)
    rollup.bond(sequencer)
    new = rollup.post(rollup.make(), sequencer)
    assert tuple(c.batches(child.id)) == (bytes(32), False)
    newer = rollup.post(rollup.make(), sequencer)
    assert newer.id == child.id
    assert bytes(c.batches(child.id).batchHash) == newer.hash
    for batch in (rollup.posted[1], new):
        rollup.confirm(batch, sequencer)
    rollup.mine(max(rollup.now, child.end + 1))
    with reverts(c.UnknownBatch, batchId=child.id, batchHash=child.hash):
        rollup.call("confirmBatch", child.id, child.arguments)
    rollup.confirm(newer, sequencer)


def test_attack_thirty_bad_batches_in_a_row(open_rollup, accounts, sequencer, alice, prover):
    """By three sequencers, each wrong by itself, with a good one now and then: one proof ends them all, for the
    gas of the proof of one."""
    rollup = open_rollup
    c = rollup.contract
    villains = [accounts[number] for number in (6, 7, 8)]
    rollup.bond(*villains)
    tip = rollup.tip
    rollup.force_withdraw(alice, 1)
    alone = rollup.make().with_(state_root=b"\x99" * 32)
    with rollup.undone():
        gas_of_one = rollup.prove(rollup.post(alone, villains[0]), prover).gas_used

    wrong = [rollup.post(bad(rollup, number), villains[number % 3]) for number in range(1, 31)]
    rollup.post(rollup.make(queue=1), sequencer)
    assert c.currentBatchId() == tip.id + 31
    receipt = rollup.prove(wrong[0], prover)
    assert receipt.events[-1].voided == 31
    assert abs(receipt.gas_used - gas_of_one) < 5_000
    assert c.currentBatchId() == tip.id
    assert c.tipHash() == tip.hash
    assert c.queueCursor() == tip.header.queue_cursor
    for batch in wrong[1:]:
        assert tuple(c.batches(batch.id)) == (bytes(32), False)
    posted = rollup.post(rollup.make(queue=1), sequencer)
    for batch in (tip, posted):
        rollup.confirm(batch, sequencer)


def test_attack_thirty_bad_batches_proven_from_the_last_on(open_rollup, accounts, prover):
    """Who wants all bonds takes them one by one."""
    rollup = open_rollup
    c = rollup.contract
    villains = [accounts[number] for number in (6, 7, 8)]
    rollup.bond(*villains)
    wrong = [rollup.post(bad(rollup, number), villains[number % 3]) for number in range(1, 31)]
    for batch in reversed(wrong[-3:]):
        rollup.prove_from_claim(batch, prover)
    assert [c.bonds(villain).amount for villain in villains] == [0, 0, 0]
    assert [c.rewards(batch.hash).amount for batch in wrong[-3:]] == [STAKE // 2] * 3
    receipt = rollup.prove(wrong[0], prover)
    assert (receipt.events[-1].slashed, receipt.events[-1].voided) == (0, 27)


def test_attack_submit_on_a_batch_in_the_block_of_its_proof(open_rollup, sequencer, mallory, prover):
    """Before the proof: void with it. After the proof: refused, as its parent is not the tip any more."""
    rollup = open_rollup
    c = rollup.contract
    rollup.bond(mallory)
    wrong = rollup.post(bad(rollup), mallory)
    child = rollup.calldata(rollup.make())
    proof = rollup.proof_input(rollup.evidence(wrong))
    with rollup.undone():
        assert rollup.in_one_block((sequencer, child, 0), (prover, proof, 0)) == [True, True]
        assert c.currentBatchId() == wrong.id - 1
    assert rollup.in_one_block((prover, proof, 0), (sequencer, child, 0)) == [True, False]
    assert c.currentBatchId() == wrong.id - 1
    assert c.bonds(sequencer).amount == STAKE


def test_attack_two_proofs_of_one_batch_in_a_block(open_rollup, sequencer, mallory, prover):
    """Only the first counts: the bond is lost once."""
    rollup = open_rollup
    c = rollup.contract
    rollup.bond(mallory)
    wrong = rollup.post(bad(rollup), mallory)
    proof = rollup.proof_input(rollup.evidence(wrong))
    held = c.balance
    assert rollup.in_one_block((prover, proof, 0), (mallory, proof, 0)) == [True, False]
    assert c.balance == held - STAKE // 2
    assert c.fraudProofs(wrong.hash).challenger == prover


def test_attack_confirm_in_the_last_second_of_the_dispute(open_rollup, sequencer, mallory, prover):
    """Proof and confirmation in the block of the last second: only the proof is in time. A second later: the other."""
    rollup = open_rollup
    rollup.mine(rollup.now + 100)
    wrong = rollup.post(bad(rollup), sequencer)
    rollup.confirm(rollup.posted[1], mallory)
    proof = rollup.proof_input(rollup.evidence(wrong))
    confirmation = rollup.encode("confirmBatch", wrong.id, wrong.arguments)
    with rollup.undone():
        rollup.at(wrong.end)
        assert rollup.in_one_block((mallory, confirmation, 0), (prover, proof, 0)) == [False, True]
    rollup.at(wrong.end + 1)
    assert rollup.in_one_block((prover, proof, 0), (mallory, confirmation, 0)) == [False, True]


def test_attack_recipient_index_re_pointed_after_a_rollback(open_rollup, sequencer, alice, bob, mallory, prover):
    """Alice pays Carol's new account 3. After the rollback that index is Mallory's: the signed transfer is void."""
    rollup = open_rollup
    carol = prover
    rollup.deposit(carol, 0, 1)
    rollup.deposit(mallory, 0, 1)
    wrong = rollup.make(chunks=[b"\x00\x01", b""], queue=1).with_chunk(0, commitment=b"\x01" * 31)
    first = rollup.post(wrong, sequencer)
    assert first.state.record(3).owner == int(carol.address, 16)
    signed = rollup.sign(alice, Transfer(1, 3, 1000, 0, FOREVER))
    rollup.prove(first, prover)
    assert rollup.state.record(3) is None

    # Mallory leaves Carol's deposit where it is and opens account 3 by a transfer to new, as nothing forbids.
    rollup.bond(sequencer)
    new = rollup.sign(bob, TransferToNew(2, int(mallory.address, 16), 5, 0, FOREVER))
    rollup.post(rollup.make(new), sequencer)
    before = rollup.state
    posted = rollup.post(rollup.make(signed), sequencer)
    assert posted.state.state_root == before.state_root
    with reverts(rollup.contract.NoFraud):
        rollup.call_proof(rollup.evidence(posted, 0))
