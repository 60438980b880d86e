"""Rewards: who gets them, reservations, front-running, and when they are paid."""

import pytest

from layer2.optimistic.evidence import reservation
from tests.support.optimistic import STAKE
from tests.support.reverts import reverts

SALT = b"\x05" * 32


def bad(rollup):
    return rollup.make(chunks=[b"", b""]).with_chunk(0, commitment=b"\x01" * 31)


@pytest.fixture
def wrong(rollup, sequencer):
    """A batch whose first of two chunks is wrong."""
    return rollup.post(bad(rollup), sequencer)


def reserved(wrong, claimant, *, chunk=0, commitment=None, salt=SALT):
    """The reservation of the proof against `wrong`."""
    true = wrong.state.commitment() if commitment is None else commitment
    return reservation(wrong.hash, chunk, true, claimant.address, salt)


def test_the_prover_gets_it_after_the_delay(rollup, wrong, prover, mallory):
    c = rollup.contract
    receipt = rollup.prove(wrong, prover)
    commitment = b"\0" + wrong.state.commitment()
    first, second = receipt.events
    assert first == c.FraudProofSubmitted(batchHash=wrong.hash, challenger=prover, chunk=0, commitment=commitment)
    assert second.event_name == "BatchRejected"
    assert c.fraudProofs(wrong.hash) == (wrong.hash, wrong.end, prover.address, True)
    assert c.rewards(wrong.hash) == (STAKE // 2, rollup.now, receipt.block_number, 0, commitment)

    end = rollup.now + rollup.config.reward_delay
    balance, held = prover.balance, c.balance
    rollup.at(end + 1)
    receipt = c.claimReward(wrong.hash, sender=mallory)
    assert receipt.events == [c.RewardClaimed(batchHash=wrong.hash, challenger=prover, amount=STAKE // 2)]
    assert prover.balance == balance + STAKE // 2
    assert c.balance == held - STAKE // 2
    assert c.rewards(wrong.hash).amount == 0
    with reverts(c.NoReward, batchHash=wrong.hash):
        rollup.call("claimReward", wrong.hash)


@pytest.mark.parametrize(("late", "is_due"), [(-1, False), (0, False), (1, True)])
def test_attack_time_reward_delay(rollup, wrong, prover, mallory, late, is_due):
    """In each second the reward can either be taken over or be paid."""
    c = rollup.contract
    c.reserveReward(reserved(wrong, mallory), sender=mallory)
    rollup.prove(wrong, prover)
    end = rollup.now + rollup.config.reward_delay
    rollup.mine(end + late)
    if is_due:
        rollup.call("claimReward", wrong.hash)
        with reverts(c.RewardDue, end=end):
            rollup.call("takeReward", wrong.hash, SALT, sender=mallory)
    else:
        with reverts(c.RewardNotDue, end=end):
            rollup.call("claimReward", wrong.hash)
        rollup.call("takeReward", wrong.hash, SALT, sender=mallory)


def test_there_is_none_without_a_proof(rollup, sequencer, mallory):
    right = rollup.post(rollup.make(), sequencer)
    for batch_hash in (right.hash, bytes(32)):
        with reverts(rollup.contract.NoReward, batchHash=batch_hash):
            rollup.call("claimReward", batch_hash)
        with reverts(rollup.contract.NoReward, batchHash=batch_hash):
            rollup.call("takeReward", batch_hash, SALT, sender=mallory)
    assert rollup.contract.rewards(right.hash) == (0, 0, 0, 0, bytes(32))
    assert rollup.contract.fraudProofs(right.hash) == (bytes(32), 0, "0x" + "00" * 20, False)


def test_reserves_once(rollup, wrong, prover, mallory):
    c = rollup.contract
    hash_ = reserved(wrong, prover)
    receipt = c.reserveReward(hash_, sender=prover)
    assert receipt.events == [c.RewardReserved(reservation=hash_, claimant=prover)]
    for sender in (prover, mallory):
        with reverts(c.AlreadyReserved, reservation=hash_):
            rollup.call("reserveReward", hash_, sender=sender)


def test_attack_front_run_proof(rollup, wrong, prover, mallory):
    """Mallory copies the proof from the mempool and is first: who had reserved takes the reward."""
    c = rollup.contract
    c.reserveReward(reserved(wrong, prover), sender=prover)
    copied = rollup.proof_input(rollup.evidence(wrong))
    assert rollup.in_one_block((mallory, copied, 0), (prover, copied, 0)) == [True, False]
    assert c.fraudProofs(wrong.hash).challenger == mallory

    reserved_at = rollup.block - 1
    receipt = c.takeReward(wrong.hash, SALT, sender=prover)
    assert receipt.events == [c.RewardTaken(batchHash=wrong.hash, challenger=prover)]
    assert c.fraudProofs(wrong.hash).challenger == prover
    assert c.rewards(wrong.hash).reservedAt == reserved_at
    rollup.at(rollup.now + rollup.config.reward_delay + 1)
    balance = prover.balance
    c.claimReward(wrong.hash, sender=mallory)
    assert prover.balance == balance + STAKE // 2


def test_attack_front_run_reservation(rollup, wrong, prover, mallory):
    """Mallory copies the reservation from the mempool: it is the prover's all the same."""
    c = rollup.contract
    hash_ = reserved(wrong, prover)
    data = rollup.encode("reserveReward", hash_)
    assert rollup.in_one_block((mallory, data, 0), (prover, data, 0)) == [True, False]
    rollup.prove(wrong, mallory)
    with reverts(c.NoEarlierReservation):
        rollup.call("takeReward", wrong.hash, SALT, sender=mallory)
    c.takeReward(wrong.hash, SALT, sender=prover)
    assert c.fraudProofs(wrong.hash).challenger == prover


def test_attack_reservation_in_the_block_of_the_proof(rollup, wrong, prover, mallory):
    """Mallory sees the proof in the mempool and reserves in the same block, before it: that is too late."""
    c = rollup.contract
    hash_ = reserved(wrong, mallory)
    proof = rollup.proof_input(rollup.evidence(wrong))
    assert rollup.in_one_block((mallory, rollup.encode("reserveReward", hash_), 0), (prover, proof, 0)) == [True, True]
    with reverts(c.NoEarlierReservation, reservation=hash_):
        rollup.call("takeReward", wrong.hash, SALT, sender=mallory)


def test_attack_reservation_after_the_proof(rollup, wrong, prover, mallory):
    rollup.prove(wrong, prover)
    hash_ = reserved(wrong, mallory)
    rollup.contract.reserveReward(hash_, sender=mallory)
    with reverts(rollup.contract.NoEarlierReservation, reservation=hash_):
        rollup.call("takeReward", wrong.hash, SALT, sender=mallory)


def test_attack_reservation_of_something_else(rollup, wrong, prover, mallory):
    """Of another chunk, of what the batch claims, for somebody else, with another salt."""
    c = rollup.contract
    claimed = wrong.batch.header.decode_data(wrong.batch.data)[0].commitment
    for hash_ in (
        reserved(wrong, mallory, chunk=1),
        reserved(wrong, mallory, commitment=claimed),
        reserved(wrong, prover),
        reserved(wrong, mallory, salt=bytes(32)),
    ):
        c.reserveReward(hash_, sender=mallory)
    rollup.prove(wrong, prover)
    with reverts(c.NoEarlierReservation, reservation=reserved(wrong, mallory)):
        rollup.call("takeReward", wrong.hash, SALT, sender=mallory)


def test_the_earliest_reservation_wins(rollup, wrong, prover, mallory, alice, bob):
    """Whatever the order in which reservations are shown; of two in one block, that of who showed it first."""
    c = rollup.contract
    c.reserveReward(reserved(wrong, alice), sender=alice)
    both = [(who, rollup.encode("reserveReward", reserved(wrong, who)), 0) for who in (bob, mallory)]
    assert rollup.in_one_block(*both) == [True, True]
    rollup.prove(wrong, prover)

    c.takeReward(wrong.hash, SALT, sender=mallory)
    with reverts(c.NoEarlierReservation):
        rollup.call("takeReward", wrong.hash, SALT, sender=bob)
    with reverts(c.NoEarlierReservation):
        rollup.call("takeReward", wrong.hash, SALT, sender=mallory)
    c.takeReward(wrong.hash, SALT, sender=alice)
    with reverts(c.NoEarlierReservation):
        rollup.call("takeReward", wrong.hash, SALT, sender=mallory)
    assert c.fraudProofs(wrong.hash).challenger == alice


def test_a_reservation_may_be_older_than_the_batch(rollup, sequencer, prover):
    """Only the sequencer can know the hash before: it keeps half of its own bond, as by proving its own fraud."""
    c = rollup.contract
    draft = bad(rollup)
    time = rollup.now + 100
    header = rollup.header(draft, sequencer, time, rollup.block + 2)
    c.reserveReward(reservation(header.hash, 0, draft.states[-1].commitment(), sequencer.address, SALT), sender=prover)
    rollup.at(time)
    wrong = rollup.post(draft, sequencer)
    assert wrong.hash == header.hash
    rollup.prove(wrong, prover)
    c.takeReward(wrong.hash, SALT, sender=sequencer)
    assert c.fraudProofs(wrong.hash).challenger == sequencer


@pytest.mark.parametrize("payee", ["RevertingPayee", "GasBurningPayee"])
def test_attack_prover_that_is_a_contract_that_cannot_be_paid(project, rollup, wrong, mallory, payee):
    """The batch falls, and the reward hurts nobody but its owner."""
    c = rollup.contract
    contract = mallory.deploy(project.PayeePuppet, mallory.deploy(getattr(project, payee)))
    contract.execute(c, 0, rollup.proof_input(rollup.evidence(wrong)), sender=mallory)
    assert c.currentBatchId() == 0
    assert c.fraudProofs(wrong.hash).challenger == contract
    rollup.mine(rollup.now + rollup.config.reward_delay + 1)
    with reverts(c.ETHTransferFailed):
        rollup.call("claimReward", wrong.hash, sender=mallory)
    assert c.rewards(wrong.hash).amount == STAKE // 2


def test_attack_reentrancy_when_the_reward_is_paid(project, rollup, wrong, mallory):
    c = rollup.contract
    puppet = mallory.deploy(project.CallbackPuppet)
    puppet.execute(c, 0, rollup.proof_input(rollup.evidence(wrong)), sender=mallory)
    puppet.setCallback(rollup.encode("claimReward", wrong.hash), sender=mallory)
    rollup.mine(rollup.now + rollup.config.reward_delay + 1)
    with reverts(c.ETHTransferFailed):
        rollup.call("claimReward", wrong.hash, sender=mallory)


def test_a_prover_that_is_a_contract(project, rollup, wrong, mallory, alice):
    c = rollup.contract
    puppet = mallory.deploy(project.Puppet)
    puppet.execute(c, 0, rollup.proof_input(rollup.evidence(wrong)), sender=mallory)
    rollup.at(rollup.now + rollup.config.reward_delay + 1)
    c.claimReward(wrong.hash, sender=alice)
    assert puppet.balance == STAKE // 2
