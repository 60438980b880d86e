"""The challenger: every kind of wrong batch falls, in both data modes; rewards, races, deadlines."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from layer2.actors.challenger import Challenger, ChallengerReport
from layer2.actors.optimistic_follower import Position
from layer2.actors.watcher import Watcher
from layer2.chain.sending import send
from layer2.ledger.amounts import encode_float40
from layer2.optimistic.evidence import PostedBatch, make_evidence
from layer2.optimistic.records import leaf
from tests.support.anvil import signer
from tests.support.optimistic import Draft
from tests.support.optimistic_world import ETHER, UNIT, OptimisticWorld, records
from tests.support.wrong_batches import (
    GARBAGE,
    KINDS,
    fees_out_of_nothing,
    minted_balance,
    skipped_queue_entry,
    stolen_with_a_forged_signature,
    transfers,
    withdrawals_out_of_nothing,
    wrong_chunk_in_the_middle,
    wrong_next_index,
    wrong_state_root,
    wrong_withdrawal_root,
)


def wrongs(reports: list[ChallengerReport]) -> list[int]:
    return [row.batch_id for report in reports for row in report.sync.judged if row.wrong is not None]


def deeds(reports: list[ChallengerReport]) -> list[str]:
    return [move.deed for report in reports for move in report.disputes.settled if move.reason is None]


@pytest.mark.parametrize("kind", KINDS)
def test_disputes_in_one_step(world: OptimisticWorld, kind: Callable[[OptimisticWorld], Draft]) -> None:
    right = world.rollup.tip().batch_hash
    world.post(kind(world))
    assert world.rollup.tip().batch_id == 2
    with world.challenger(reserve=False) as challenger:
        challenger.step()
        world.wait()
        assert world.rollup.tip().batch_hash == right
        reports = challenger.run_until_idle()
        assert [row.batch_id for row in reports[0].sync.voided] == [2]
        assert challenger.follower.is_tip_right
        assert challenger.position.batch_id == 1
    assert world.rollup.bond(world.operator.address).amount == 0


@pytest.mark.parametrize("kind", [wrong_state_root, wrong_chunk_in_the_middle, stolen_with_a_forged_signature])
def test_disputes_a_blob(world: OptimisticWorld, kind: Callable[[OptimisticWorld], Draft]) -> None:
    right = world.rollup.tip().batch_hash
    world.post(kind(world), blob=True)
    with world.challenger(reserve=False) as challenger:
        challenger.step()
        world.wait()
        assert world.rollup.tip().batch_hash == right


def test_an_honest_batch_is_left_alone(world: OptimisticWorld) -> None:
    nonce = world.chain.nonce(signer(4).address)
    world.post(world.make(*transfers(world, 40)))
    with world.challenger() as challenger:
        reports = challenger.run_until_idle()
        assert wrongs(reports) == []
        assert challenger.position.batch_id == 2
        assert challenger.position.state.state_root == challenger.position.header.state_root
    assert world.chain.nonce(signer(4).address) == nonce


def test_non_canonical_amounts_are_no_fraud(world: OptimisticWorld) -> None:
    """Another encoding of the same amount: the bytes differ, what they mean does not."""
    (body,) = transfers(world, 1)
    plain = encode_float40(UNIT).to_bytes(5)
    other = (1 << 35 | 10**5).to_bytes(5)
    assert body.count(plain) == 1
    world.post(world.make(body.replace(plain, other)))
    with world.challenger() as challenger:
        assert wrongs(challenger.run_until_idle()) == []
        assert challenger.position.state.record(2).balance == 51 * UNIT


def test_reserves_first_and_collects(world: OptimisticWorld) -> None:
    world.post(wrong_state_root(world))
    challenger_address = signer(4).address
    with world.challenger() as challenger:
        reports = challenger.run_until_idle()
        assert deeds(reports) == ["reserve", "prove"]
        hash_ = next(row.hash for report in reports for row in report.sync.voided)
        reward = world.rollup.reward(hash_)
        assert reward.amount == ETHER // 2
        world.anvil.warp(world.deployment.reward_delay - 60)
        assert deeds(challenger.run_until_idle()) == []
        before = world.chain.balance(challenger_address)
        world.anvil.warp(61)
        assert deeds(challenger.run_until_idle()) == ["claim"]
        assert world.rollup.reward(hash_).amount == 0
        gained = world.chain.balance(challenger_address) - before
        assert 0.499 * ETHER < gained < 0.5 * ETHER


def test_a_bad_batch_with_good_descendants(world: OptimisticWorld) -> None:
    """What builds on it falls with it, and is neither executed nor disputed."""
    bad = wrong_state_root(world)
    world.post(bad)
    for _ in range(3):
        world.post(replace(bad, claim=replace(bad.claim, executed_at=world.chain.head().timestamp)))
    assert world.rollup.tip().batch_id == 5
    with world.challenger() as challenger:
        reports = challenger.run_until_idle()
        assert wrongs(reports) == [2]
        assert [row.batch_id for report in reports for row in report.sync.voided] == [2, 3, 4, 5]
        assert deeds(reports) == ["reserve", "prove"]
    assert world.rollup.tip().batch_id == 1


def test_two_wrong_batches_one_after_the_other(world: OptimisticWorld) -> None:
    """The id is used again after the rollback; each batch is disputed once. The second bond pays the second reward."""
    with world.challenger() as challenger:
        for _ in range(2):
            world.post(wrong_state_root(world))
            reports = challenger.run_until_idle()
            assert wrongs(reports) == [2]
            assert deeds(reports) == ["reserve", "prove"]
            world.anvil.mine()  # not in the block of the proof
            world.bond(world.operator)
        world.post(world.make(*transfers(world, 1)))
        assert wrongs(challenger.run_until_idle()) == []
        assert challenger.position.batch_id == 2
        world.anvil.warp(world.deployment.reward_delay + 1)
        assert deeds(challenger.run_until_idle()) == ["claim", "claim"]


def test_two_challengers_race(world: OptimisticWorld) -> None:
    """Both have seen the batch; the one that is second finds it gone. No more than one proof is mined."""
    world.post(wrong_state_root(world))
    with (
        world.challenger(reserve=False) as first,
        world.challenger(reserve=False, sender=signer(5), database="second.sqlite") as second,
    ):
        world.anvil.automine(False)
        first.step()
        second.step()
        world.anvil.mine()
        world.anvil.automine(True)
        reports = [*first.run_until_idle(), *second.run_until_idle()]
        moves = [move for report in reports for move in report.disputes.settled]
        assert sorted(move.reason is None for move in moves) == [False, True]
        assert "UnknownBatch" in next(move.reason for move in moves if move.reason is not None)
    assert world.rollup.tip().batch_id == 1


def test_front_run_proof(world: OptimisticWorld) -> None:
    """Somebody copies the proof out of the mempool and is first; the reservation takes the reward back."""
    world.post(wrong_state_root(world))
    with world.challenger() as challenger:
        challenger.step()
        world.wait()
        world.anvil.automine(False)
        challenger.step()
        (letter,) = challenger._store.letters("prove", challenger._store.first_wrong().hash.hex())
        assert len(letter.attempts) == 1
        world.anvil.drop_all()
        world.anvil.automine(True)
        send(world.chain, signer(5), letter.target, letter.input)
        reports = challenger.run_until_idle()
        assert "take" in deeds(reports)
        (fraud,) = challenger._store.frauds()
        assert fraud.challenger == signer(4).address
        world.anvil.warp(world.deployment.reward_delay + 1)
        assert deeds(challenger.run_until_idle()) == ["claim"]


def test_the_last_second(world: OptimisticWorld) -> None:
    world.post(wrong_state_root(world))
    end = world.chain.head().timestamp + world.deployment.challenge_period
    with world.challenger() as challenger:
        world.anvil.request("evm_setNextBlockTimestamp", end - 1)
        world.anvil.mine()
        world.anvil.request("evm_setNextBlockTimestamp", end)
        challenger.step()
        world.wait()
        # No time to reserve: the proof itself is what was mined.
        assert world.chain.head().timestamp == end
        assert world.rollup.tip().batch_id == 1
        assert deeds(challenger.run_until_idle()) == ["prove"]


def test_one_second_late(world: OptimisticWorld) -> None:
    world.post(wrong_state_root(world))
    end = world.chain.head().timestamp + world.deployment.challenge_period
    nonce = world.chain.nonce(signer(4).address)
    with world.challenger() as challenger:
        world.anvil.request("evm_setNextBlockTimestamp", end + 1)
        world.anvil.mine()
        report = challenger.step()
        assert "could be disputed until" in report.disputes.too_late
        with world.follower() as follower:
            follower.sync()
            row = follower._store.first_wrong()
        send(world.chain, signer(5), world.deployment.rollup, world.rollup.confirm_call(1, _header(challenger, 1)))
        send(world.chain, signer(5), world.deployment.rollup, world.rollup.confirm_call(2, row.header))
        challenger.step()
        assert "batch 2 is wrong from chunk 0 on and was confirmed" in challenger.follower.lost
    assert world.chain.nonce(signer(4).address) == nonce


def _header(challenger: Challenger, batch_id: int):
    return challenger._store.live(batch_id).header


def test_a_batch_of_a_sequencer_without_a_bond_falls_without_a_reward(world: OptimisticWorld) -> None:
    """Somebody has proven the batch after it, which was wrong by itself. There is nothing to reserve any more."""
    bad = world.make(*transfers(world, 1))
    state = bad.states[-1]
    account = state.record(1)
    richer = account._replace(balance=account.balance + 1000 * UNIT)
    claimed = replace(state, tree=state.tree.set({1: (leaf(richer), richer)}))
    world.post(bad.with_(state_root=claimed.state_root))
    with world.challenger() as challenger:
        challenger.follower.sync()
        second = challenger._store.tip()
        parent = Position(2, second.header, second.hash, claimed)
        world.post(world.make(parent=parent).with_(state_root=GARBAGE))
        challenger.follower.sync()
        third = challenger._store.tip()
        batch = PostedBatch(3, third.header, second.header, third.data, (), world.deployment.domain_separator)
        proof = world.rollup.prove_call(make_evidence(batch, 0, claimed.without_fees()))
        send(world.chain, signer(5), world.deployment.rollup, proof)
        assert world.rollup.tip().batch_id == 2
        reports = challenger.run_until_idle()
        assert deeds(reports) == ["prove"]
        assert world.rollup.tip().batch_id == 1
        world.anvil.warp(world.deployment.reward_delay + 1)
        assert deeds(challenger.run_until_idle()) == []


def test_says_in_plain_words_what_is_wrong(world: OptimisticWorld) -> None:
    world.post(stolen_with_a_forged_signature(world))
    with world.follower() as follower:
        watched = Watcher(follower, follower._store).look()
        (finding,) = watched.findings
        assert "batch 2 " in finding.headline
        assert "WRONG: chunk 0 of 1" in finding.headline
        assert "it claims state root 0x" in finding.text
        assert (
            "operation 0, Transfer (account 1, to 3, amount 50000000, fee 0), is not valid and must change nothing"
            in finding.text
        )
        assert "is not signed by" in finding.text


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (wrong_withdrawal_root, "it claims withdrawal root 0x1111"),
        (withdrawals_out_of_nothing, "it claims number of withdrawals 5, right is 0"),
        (fees_out_of_nothing, "it claims fees 10000000 of token 1, right is none"),
        (wrong_next_index, "it claims next free index 2, right is 4"),
        (skipped_queue_entry, "it claims queue cursor 4, right is 3"),
        (wrong_chunk_in_the_middle, "claimed state after the chunk: commitment 0x1111"),
        (minted_balance, "all 2 operations of the chunk are valid; the state after them is another one"),
    ],
)
def test_says_what_is_claimed_and_what_is_right(
    world: OptimisticWorld, kind: Callable[[OptimisticWorld], Draft], words: str
) -> None:
    world.post(kind(world))
    with world.follower() as follower:
        (finding,) = Watcher(follower, follower._store).look().findings
        assert words in finding.text


def test_the_sequencer_disputes_and_goes_on(world: OptimisticWorld) -> None:
    """Its own operations wait until the wrong batch has fallen, then go on the batch before."""
    world.bond(signer(5))
    world.anvil.warp(world.deployment.priority_timeout + 1)
    with world.sequencer() as sequencer:
        sequencer.step()
        world.post(wrong_state_root(world), signer(5))
        receipt = sequencer.submit(world.transfer(world.alice, world.bob, UNIT, records(sequencer)))
        report = sequencer.step()
        assert report.submitted is None
        assert "is wrong or builds on a wrong one: nothing is built on it" in report.waiting_for
        sequencer.run_until_idle()
        assert sequencer.status(receipt.id).state == "posted"
        assert sequencer.status(receipt.id).batch_id == 2
        assert world.rollup.tip().batch_id == 2
        assert world.rollup.bond(signer(5).address).amount == 0
