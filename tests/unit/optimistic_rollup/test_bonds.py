"""Bonds: adding, leaving, getting back, losing, and that they are no part of custody's money."""

import pytest

from tests.support.optimistic import BURNED, STAKE
from tests.support.reverts import reverts


def bad(rollup):
    return rollup.make().with_(state_root=b"\x01" * 32)


def test_bonds_add_up(rollup, mallory):
    c = rollup.contract
    before = c.balance
    receipt = c.bond(value=5, sender=mallory)
    assert receipt.events == [c.Bonded(sequencer=mallory, amount=5, total=5)]
    receipt = c.bond(value=7, sender=mallory)
    assert receipt.events == [c.Bonded(sequencer=mallory, amount=7, total=12)]
    assert tuple(c.bonds(mallory)) == (12, 0)
    assert c.balance == before + 12
    assert c.held(0) == 0


def test_refuses_a_bond_of_nothing(rollup, mallory):
    with reverts(rollup.contract.NothingBonded, sequencer=mallory):
        rollup.contract.bond(sender=mallory)


def test_refuses_a_bond_beyond_its_field(rollup, chain, mallory):
    """All ether there is does not come near; the field still does not overflow."""
    c = rollup.contract
    chain.provider.make_request("anvil_setBalance", [mallory.address, hex(2**140)])
    transaction = {"from": mallory.address, "to": c.address, "data": rollup.encode("bond")}
    web3 = c.provider.web3
    web3.eth.call({**transaction, "value": 2**128 - 1})
    with reverts(c.SafeCastOverflowedUintDowncast, bits=128, value=2**128):
        web3.eth.call({**transaction, "value": 2**128})


def test_leaving(rollup, sequencer):
    c = rollup.contract
    receipt = c.startExit(sender=sequencer)
    assert receipt.events == [c.ExitStarted(sequencer=sequencer)]
    assert tuple(c.bonds(sequencer)) == (STAKE, rollup.now)
    with reverts(c.ExitAlreadyStarted, sequencer=sequencer):
        c.startExit(sender=sequencer)
    with reverts(c.SequencerLeaving, sequencer=sequencer):
        c.bond(value=1, sender=sequencer)


def test_only_who_has_a_bond_can_leave(rollup, mallory):
    with reverts(rollup.contract.NothingBonded, sequencer=mallory):
        rollup.contract.startExit(sender=mallory)
    with reverts(rollup.contract.NothingBonded, sequencer=mallory):
        rollup.contract.withdrawBond(sender=mallory)


def test_refuses_to_pay_who_has_not_left(rollup, sequencer):
    with reverts(rollup.contract.ExitNotStarted, sequencer=sequencer):
        rollup.contract.withdrawBond(sender=sequencer)


@pytest.mark.parametrize(("late", "is_paid"), [(-1, False), (0, False), (1, True)])
def test_attack_time_bond_paid_back(rollup, sequencer, late, is_paid):
    c = rollup.contract
    c.startExit(sender=sequencer)
    end = rollup.now + rollup.config.challenge_period
    held, balance = c.balance, sequencer.balance
    rollup.at(end + late)
    if not is_paid:
        with reverts(c.ChallengePeriodRunning, end=end):
            c.withdrawBond(sender=sequencer)
        return
    receipt = c.withdrawBond(sender=sequencer)
    assert receipt.events == [c.BondWithdrawn(sequencer=sequencer, amount=STAKE)]
    assert c.balance == held - STAKE
    assert sequencer.balance == balance + STAKE - receipt.total_fees_paid
    assert tuple(c.bonds(sequencer)) == (0, 0)
    # It can come back.
    c.bond(value=STAKE, sender=sequencer)
    rollup.post(rollup.make(), sequencer)


@pytest.mark.parametrize("late", [0, 1])
def test_attack_unbond_during_the_dispute_of_the_last_batch(rollup, sequencer, prover, late):
    """Batch and exit in the same block: there is no second in which the batch can be disputed and the bond is gone."""
    c = rollup.contract
    wrong = bad(rollup)
    assert rollup.in_one_block((sequencer, rollup.calldata(wrong), 0), (sequencer, rollup.encode("startExit"), 0)) == [
        True,
        True,
    ]
    posted = rollup.note(wrong, sequencer, 1)
    assert posted.header.timestamp == c.bonds(sequencer)[1]
    rollup.mine(posted.end + late)
    if late:
        with reverts(c.ChallengePeriodOver, end=posted.end):
            rollup.call_proof(rollup.evidence(posted))
        rollup.call("withdrawBond", sender=sequencer)
    else:
        with reverts(c.ChallengePeriodRunning, end=posted.end):
            rollup.call("withdrawBond", sender=sequencer)
        rollup.call_proof(rollup.evidence(posted))


def test_attack_leaving_does_not_save_the_bond(rollup, sequencer, prover):
    c = rollup.contract
    posted = rollup.post(bad(rollup), sequencer)
    c.startExit(sender=sequencer)
    rollup.prove(posted, prover)
    assert tuple(c.bonds(sequencer)) == (0, 0)
    with reverts(c.NothingBonded, sequencer=sequencer):
        c.withdrawBond(sender=sequencer)


def test_the_whole_bond_is_lost_half_of_it_burned(rollup, sequencer, prover):
    """Also what is above the minimum, and the odd wei."""
    c = rollup.contract
    c.bond(value=STAKE + 1, sender=sequencer)
    posted = rollup.post(bad(rollup), sequencer)
    burned, held = c.provider.get_balance(BURNED), c.balance
    receipt = rollup.prove(posted, prover)
    assert c.provider.get_balance(BURNED) - burned == STAKE + 1
    assert c.balance == held - (STAKE + 1)
    assert c.rewards(posted.hash).amount == STAKE
    rejected = receipt.events[-1]
    assert (rejected.sequencer, rejected.slashed, rejected.voided) == (sequencer.address, 2 * STAKE + 1, 1)


def test_attack_bond_exhausted_by_many_pending_batches(rollup, sequencer, mallory, prover):
    """The last of three wrong batches is proven first: the others still fall, without a reward."""
    c = rollup.contract
    posted = [rollup.post(bad(rollup).with_(state_root=bytes([n]) * 32), sequencer) for n in range(1, 4)]
    rollup.prove(posted[2], prover, chunk=0)
    assert c.rewards(posted[2].hash).amount == STAKE // 2
    with reverts(c.InsufficientBond, sequencer=sequencer, bond=0, minimumStake=STAKE):
        rollup.call("submitBatch", *rollup.arguments(rollup.make()), sender=sequencer)
    receipt = rollup.prove(posted[0], mallory)
    rejected = receipt.events[-1]
    assert (rejected.slashed, rejected.voided) == (0, 2)
    assert c.rewards(posted[0].hash).amount == 0
    assert c.fraudProofs(posted[0].hash).isValid
    assert c.currentBatchId() == 0


def test_attack_self_slash_for_profit(rollup, mallory):
    """Who proves their own fraud loses half of the bond."""
    c = rollup.contract
    before = mallory.balance
    fees = c.bond(value=STAKE, sender=mallory).total_fees_paid
    posted = rollup.post(bad(rollup), mallory)
    fees += posted.receipt.total_fees_paid
    fees += rollup.prove(posted, mallory).total_fees_paid
    rollup.at(rollup.now + rollup.config.reward_delay + 1)
    fees += c.claimReward(posted.hash, sender=mallory).total_fees_paid
    assert mallory.balance == before - fees - STAKE // 2


def test_attack_the_same_batch_again_in_the_block_of_its_proof(rollup, mallory, prover):
    """It would have the hash, and so the reward, of the batch that fell."""
    c = rollup.contract
    c.bond(value=STAKE, sender=mallory)
    wrong = bad(rollup)
    rollup.at(rollup.now + 5)
    header = rollup.header(wrong, mallory, rollup.now + 5, rollup.block + 1)
    submit = (mallory, rollup.calldata(wrong), 0)
    proof = (prover, rollup.proof_input(rollup.evidence_against(wrong, header)), 0)
    bond = (mallory, rollup.encode("bond"), STAKE)
    assert rollup.in_one_block(submit, proof, bond, submit) == [True, True, False, False]
    assert c.currentBatchId() == 0
    assert c.fraudProofs(header.hash).challenger == prover
    rollup.mine(rollup.now + 1)
    c.bond(value=STAKE, sender=mallory)
    posted = rollup.post(wrong, mallory)
    assert posted.hash != header.hash


def test_refuses_a_bond_in_the_block_of_the_proof(rollup, sequencer, alice, prover):
    """Who was slashed may come back in the next block; everybody else may bond in this one."""
    c = rollup.contract
    rollup.prove(rollup.post(bad(rollup), sequencer), prover)
    # Calls see the last block.
    with reverts(c.SlashedInThisBlock, sequencer=sequencer):
        rollup.call("bond", sender=sequencer, value=STAKE)
    rollup.call("bond", sender=alice, value=STAKE)
    # It has no bond to leave with either.
    with reverts(c.NothingBonded, sequencer=sequencer):
        rollup.call("startExit", sender=sequencer)
    rollup.mine(rollup.now + 1)
    rollup.call("bond", sender=sequencer, value=STAKE)


def test_attack_reentrancy_when_the_bond_is_paid_back(project, rollup, mallory):
    """A payee that asks again while it is paid gets nothing twice, and one that refuses keeps its bond."""
    c = rollup.contract
    payee = mallory.deploy(project.CallbackPuppet)
    for function, value in (("bond", STAKE), ("startExit", 0)):
        payee.execute(c, value, rollup.encode(function), value=value, sender=mallory)
    payee.setCallback(rollup.encode("withdrawBond"), sender=mallory)
    rollup.at(rollup.now + rollup.config.challenge_period + 1)
    with reverts(c.ETHTransferFailed):
        payee.execute(c, 0, rollup.encode("withdrawBond"), sender=mallory)
    assert c.bonds(payee).amount == STAKE
    payee.setCallback(b"", sender=mallory)
    payee.execute(c, 0, rollup.encode("withdrawBond"), sender=mallory)
    assert payee.balance == STAKE
    assert tuple(c.bonds(payee)) == (0, 0)


def test_bonds_and_rewards_are_no_part_of_custodys_money(rollup, sequencer, alice, prover):
    c = rollup.contract
    rollup.deposit(alice, 0, 100)
    posted = rollup.post(bad(rollup), sequencer)
    rollup.prove(posted, prover)
    assert c.held(0) == 100
    assert c.balance == 100 + STAKE // 2
