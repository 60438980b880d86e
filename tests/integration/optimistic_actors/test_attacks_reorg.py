"""Reorgs of L1 under sequencer, challenger and follower, rollbacks, and transactions that get stuck or lost."""

import pytest

from layer2.actors.errors import RefusedError
from layer2.actors.escape import optimistic_reader
from layer2.actors.optimistic_store import OptimisticStore
from layer2.actors.sequencer import Sequencer
from layer2.actors.watcher import Watcher
from layer2.chain.sending import send
from tests.support.anvil import signer
from tests.support.optimistic_world import ETHER, UNIT, OptimisticWorld, balances, records
from tests.support.wrong_batches import transfers, wrong_state_root


def submit(world: OptimisticWorld, sequencer: Sequencer, amount: int = UNIT) -> bytes:
    """Alice pays Bob."""
    return sequencer.submit(world.transfer(world.alice, world.bob, amount, records(sequencer))).id


def posted(sequencer: Sequencer) -> list[int]:
    return balances(sequencer.position.state.record)


def check_tip(world: OptimisticWorld, sequencer: Sequencer, batch_id: int) -> None:
    tip = world.rollup.tip()
    assert tip.batch_id == batch_id
    assert tip.batch_hash == sequencer.position.hash


# -------------------------------------------------------------------- the sequencer


@pytest.mark.parametrize("data", ["calldata", "blob"])
def test_a_reorg_takes_the_own_batch_away(world: OptimisticWorld, data: str) -> None:
    with world.sequencer(data=data) as sequencer:
        sequencer.step()
        before = world.anvil.snapshot()
        key = submit(world, sequencer)
        sequencer.run_until_idle()
        assert sequencer.status(key).state == "posted"
        world.anvil.revert(before)
        world.anvil.mine(3)
        report = sequencer.step()
        assert report.sync.rewound_to is not None
        sequencer.run_until_idle()
        assert sequencer.status(key).state == "posted"
        assert posted(sequencer) == [99 * UNIT, 51 * UNIT, 20 * UNIT]
        check_tip(world, sequencer, 2)


def test_a_reorg_while_the_sequencer_is_stopped(world: OptimisticWorld) -> None:
    with world.sequencer() as sequencer:
        sequencer.step()
        before = world.anvil.snapshot()
        key = submit(world, sequencer)
        sequencer.run_until_idle()
    world.anvil.revert(before)
    world.anvil.mine()
    with world.sequencer() as sequencer:
        sequencer.run_until_idle()
        assert sequencer.status(key).state == "posted"
        check_tip(world, sequencer, 2)


def test_a_reorg_of_several_own_batches(world: OptimisticWorld) -> None:
    """The second and third have other parents now, so they are made anew."""
    with world.sequencer() as sequencer:
        sequencer.step()
        before = world.anvil.snapshot()
        keys = []
        for _ in range(3):
            keys.append(submit(world, sequencer))
            sequencer.run_until_idle()
        check_tip(world, sequencer, 4)
        world.anvil.revert(before)
        world.anvil.mine()
        sequencer.run_until_idle()
        assert [sequencer.status(key).state for key in keys] == ["posted"] * 3
        assert posted(sequencer) == [97 * UNIT, 53 * UNIT, 20 * UNIT]
        assert world.rollup.tip().batch_hash == sequencer.position.hash


def test_a_reorg_takes_a_deposit_away(world: OptimisticWorld) -> None:
    """What was paid out of it waits until there is money again."""
    with world.sequencer() as sequencer:
        sequencer.step()
        before = world.anvil.snapshot()
        world.deposit(world.alice, 7 * UNIT, account=1)
        sequencer.run_until_idle()
        key = submit(world, sequencer, 107 * UNIT)
        sequencer.run_until_idle()
        assert posted(sequencer) == [0, 157 * UNIT, 20 * UNIT]
        world.anvil.revert(before)
        world.anvil.mine()
        sequencer.run_until_idle()
        assert posted(sequencer) == [100 * UNIT, 50 * UNIT, 20 * UNIT]
        status = sequencer.status(key)
        assert status.state == "waiting"
        assert "account 1 holds 100000000" in status.reason
        world.deposit(world.alice, 7 * UNIT, account=1)
        sequencer.run_until_idle()
        assert sequencer.status(key).state == "posted"
        assert posted(sequencer) == [0, 157 * UNIT, 20 * UNIT]
        assert world.rollup.tip().batch_hash == sequencer.position.hash


def test_a_reorg_puts_deposits_in_another_order_under_a_batch_on_its_way(world: OptimisticWorld) -> None:
    """The signed batch was right and would be wrong now: the contract must not take it, and the bond stays."""
    with world.sequencer() as sequencer:
        sequencer.step()
        before = world.anvil.snapshot()
        world.deposit(world.alice, 7 * UNIT)
        world.deposit(world.bob, 5 * UNIT)
        world.anvil.automine(False)
        assert sequencer.step().submitted is not None
        (raw,) = [attempt.raw for letter in sequencer._store.open_letters() for attempt in letter.attempts]
        world.anvil.drop_all()
        world.anvil.automine(True)
        world.anvil.revert(before)
        world.deposit(world.bob, 5 * UNIT)
        world.deposit(world.alice, 7 * UNIT)
        world.chain.broadcast(raw)  # somebody else still had it
        world.wait(world.operator)
        assert world.rollup.tip().batch_id == 1
        sequencer.run_until_idle()
        check_tip(world, sequencer, 2)
        record = sequencer.position.state.record
        assert [record(4).balance, record(5).balance] == [5 * UNIT, 7 * UNIT]
    with world.challenger() as challenger:
        challenger.run_until_idle()
        assert challenger.follower.is_tip_right
    assert world.rollup.bond(world.operator.address).amount == 10**18


def test_a_reorg_puts_a_foreign_batch_in_place_of_the_own(world: OptimisticWorld) -> None:
    with world.sequencer() as sequencer:
        sequencer.step()
        before = world.anvil.snapshot()
        mine = submit(world, sequencer)
        sequencer.run_until_idle()
        world.anvil.revert(before)
        with world.sequencer(database="other.sqlite") as other:
            other.step()
            other.submit(world.transfer(world.bob, world.carol, 5 * UNIT, records(other)))
            other.run_until_idle()
        sequencer.run_until_idle()
        assert sequencer.status(mine).batch_id == 3
        assert posted(sequencer) == [99 * UNIT, 46 * UNIT, 25 * UNIT]


def test_a_reorg_of_a_confirmation(world: OptimisticWorld) -> None:
    with world.sequencer() as sequencer:
        sequencer.step()
        world.anvil.warp(world.deployment.challenge_period + 1)
        before = world.anvil.snapshot()
        sequencer.run_until_idle()
        assert world.rollup.tip().confirmed_id == 1
        world.anvil.revert(before)
        world.anvil.mine()
        assert sequencer.step().sync.rewound_to is not None
        sequencer.run_until_idle()
        assert world.rollup.tip().confirmed_id == 1
        assert sequencer.overview().confirmed == 1


def test_a_reorg_of_the_bond(world: OptimisticWorld) -> None:
    """Put down, given up, taken out: each is undone, and is done again, once."""
    who = signer(5)
    states = [(0, False)]

    def state() -> tuple[int, bool]:
        bond = world.rollup.bond(who.address)
        return bond.amount, bond.exit_started_at > 0

    with world.sequencer(sender=who, database="other.sqlite") as sequencer:
        for deed in (lambda: sequencer.ensure_bond(ETHER), sequencer.start_exit, sequencer.withdraw_bond):
            if deed == sequencer.withdraw_bond:
                world.anvil.warp(world.deployment.challenge_period + 1)
            sequencer.step()
            before = world.anvil.snapshot()
            deed()
            sequencer.run_until_idle()
            done = state()
            world.anvil.revert(before)
            world.anvil.mine(2)
            assert state() == states[-1]
            assert sequencer.step().sync.rewound_to is not None
            sequencer.run_until_idle()
            states.append(state())
            assert states[-1] == done
        letters = [sequencer._store.letters(purpose, "") for purpose in ("bond", "exit", "withdraw bond")]
        assert [[letter.state for letter in one] for one in letters] == [["mined"]] * 3
    assert states == [(0, False), (ETHER, False), (ETHER, True), (0, False)]


def test_a_reorg_of_the_freeze(world: OptimisticWorld) -> None:
    """Frozen for ever, until a reorg: it executes again, and its batch takes what waited too long.

    It was executed at a time of the blocks that are gone, so it waits until L1 is there again.
    """
    with world.sequencer() as sequencer:
        sequencer.step()
        world.force(world.alice, 1)
        world.anvil.warp(world.deployment.freeze_deadline + 1)
        before = world.anvil.snapshot()
        with OptimisticStore() as store:
            for _, call in optimistic_reader(world.rollup, store, world.blobs)().freeze_calls():
                send(world.chain, signer(5), world.rollup.address, call)
        world.anvil.warp(60)
        assert sequencer.step().submitted is None
        assert sequencer.overview().is_frozen
        with pytest.raises(RefusedError, match="frozen"):
            submit(world, sequencer)
        world.anvil.revert(before)
        world.anvil.mine(3)
        report = sequencer.run_until_idle()[-1]
        assert not sequencer.overview().is_frozen
        assert "TimestampOutOfRange" in str(report.waiting_for)
        assert world.rollup.tip().batch_id == 1
        world.anvil.warp(600)
        sequencer.run_until_idle()
        check_tip(world, sequencer, 2)
        assert posted(sequencer) == [0, 50 * UNIT, 20 * UNIT]
        assert world.rollup.tip().queue_cursor == 4


def test_a_reorg_deeper_than_the_known_blocks(world: OptimisticWorld) -> None:
    with world.sequencer() as sequencer:
        sequencer.step()
        before = world.anvil.snapshot()
        key = submit(world, sequencer)
        sequencer.run_until_idle()
    with OptimisticStore(world.folder / "sequencer.sqlite") as store:
        last = store.blocks()[0]
        store._run("DELETE FROM blocks WHERE number < ?", last.number)
    world.anvil.revert(before)
    world.anvil.mine(2)
    with world.sequencer() as sequencer:
        report = sequencer.step()
        assert report.sync.rewound_to.number == world.deployment.block - 1
        sequencer.run_until_idle()
        assert sequencer.status(key).state == "posted"
        assert posted(sequencer) == [99 * UNIT, 51 * UNIT, 20 * UNIT]


def test_confirmations_keep_a_reorg_from_being_noticed(world: OptimisticWorld) -> None:
    with world.sequencer(confirmations=3) as sequencer:
        world.anvil.mine(3)
        sequencer.step()
        before = world.anvil.snapshot()
        world.deposit(world.alice, UNIT, account=1)
        assert sequencer.step().sync.queued == 0
        world.anvil.revert(before)
        world.anvil.mine(2)
        assert sequencer.step().sync.rewound_to is None
        world.deposit(world.alice, 2 * UNIT, account=1)
        world.anvil.mine(3)
        assert sequencer.step().sync.queued == 1


def test_an_operation_that_was_dropped_waits_again_after_a_reorg(world: OptimisticWorld) -> None:
    with world.sequencer() as sequencer:
        sequencer.step()
        before = world.anvil.snapshot()
        key = submit(world, sequencer, 100 * UNIT)
    world.force(world.alice, 1)
    with world.sequencer(database="other.sqlite") as other:
        other.run_until_idle()  # somebody else's batch empties the account
    with world.sequencer(pending_timeout=0) as sequencer:
        report = sequencer.step()
        assert [dropped for dropped, _ in report.dropped] == [key]
        assert sequencer.status(key).state == "dropped"
        world.anvil.revert(before)
        world.anvil.mine()
        sequencer.run_until_idle()
        assert sequencer.status(key).state == "posted"


# -------------------------------------------------------------------- stuck transactions


def test_a_transaction_that_the_node_forgot_is_sent_again(world: OptimisticWorld) -> None:
    with world.sequencer() as sequencer:
        sequencer.step()
        key = submit(world, sequencer)
        world.anvil.automine(False)
        assert sequencer.step().submitted is not None
        world.anvil.drop_all()
        assert sequencer.status(key).state == "submitted"
        sequencer.step()
        world.anvil.mine()
        sequencer.run_until_idle()
        assert sequencer.status(key).state == "posted"
        (letter,) = sequencer._store.letters("batch", "1")
        assert len(letter.attempts) == 1


@pytest.mark.parametrize("data", ["calldata", "blob"])
def test_a_stuck_batch_is_replaced_with_higher_fees(world: OptimisticWorld, data: str) -> None:
    moment = [world.chain.head().timestamp]
    world.now, before = lambda: moment[0], world.now
    try:
        with world.sequencer(data=data, resend_after=60) as sequencer:
            sequencer.step()
            key = submit(world, sequencer)
            world.anvil.automine(False)
            sequencer.step()
            moment[0] += 61
            sequencer.step()
            world.anvil.mine()
            sequencer.run_until_idle()
            assert sequencer.status(key).state == "posted"
            (letter,) = sequencer._store.letters("batch", "1")
            first, second = letter.attempts
    finally:
        world.now = before
    assert first.nonce == second.nonce
    assert world.chain.receipt(first.hash) is None
    assert world.chain.receipt(second.hash).ok


def test_operations_go_on_while_a_batch_is_on_its_way(world: OptimisticWorld) -> None:
    """They are executed on the state that the batch will have made, and posted with the next one."""
    with world.sequencer() as sequencer:
        sequencer.step()
        first = submit(world, sequencer)
        world.anvil.automine(False)
        assert sequencer.step().submitted == 1
        second = submit(world, sequencer)
        assert balances(records(sequencer))[:2] == [98 * UNIT, 52 * UNIT]
        assert sequencer.step().submitted is None
        assert [sequencer.status(key).state for key in (first, second)] == ["submitted", "accepted"]
        world.anvil.mine()
        world.anvil.automine(True)
        sequencer.run_until_idle()
        assert [sequencer.status(key).batch_id for key in (first, second)] == [2, 3]


# -------------------------------------------------------------------- the challenger


def test_a_reorg_takes_the_wrong_batch_away(world: OptimisticWorld) -> None:
    before = world.anvil.snapshot()
    world.post(wrong_state_root(world))
    with world.challenger() as challenger:
        challenger.step()
        world.wait()
        world.anvil.revert(before)
        world.anvil.mine(3)
        challenger.run_until_idle()
        assert challenger.follower.is_tip_right
        assert challenger._store.first_wrong() is None
        assert challenger._store.open_letters() == []
    assert world.rollup.bond(world.operator.address).amount == 10**18


def test_a_reorg_puts_a_right_batch_in_place_of_the_wrong(world: OptimisticWorld) -> None:
    before = world.anvil.snapshot()
    world.post(wrong_state_root(world))
    with world.challenger() as challenger:
        challenger.step()
        world.wait()
        world.anvil.revert(before)
        world.post(world.make(*transfers(world, 1)))
        challenger.run_until_idle()
        assert challenger.position.batch_id == 2
    assert world.rollup.tip().batch_id == 2


def test_the_wrong_batch_comes_again_in_another_block(world: OptimisticWorld) -> None:
    """It has another hash there, so the reservation and the proof are made anew."""
    draft = wrong_state_root(world)
    before = world.anvil.snapshot()
    world.post(draft)
    with world.challenger() as challenger:
        challenger.step()
        world.wait()
        first = challenger._store.first_wrong().hash
        world.anvil.revert(before)
        world.anvil.mine(2)
        world.post(draft)
        challenger.run_until_idle()
        (fraud,) = challenger._store.frauds()
        assert fraud.batch_hash != first
    assert world.rollup.tip().batch_id == 1


def test_a_reorg_of_the_reservation(world: OptimisticWorld) -> None:
    world.post(wrong_state_root(world))
    before = world.anvil.snapshot()
    with world.challenger() as challenger:
        challenger.step()
        world.wait()
        world.anvil.revert(before)
        world.anvil.mine(3)
        challenger.run_until_idle()
        (fraud,) = challenger._store.frauds()
        reservations = challenger._store.letters("reserve", fraud.batch_hash.hex())
        assert [letter.state for letter in reservations] == ["mined"]
    assert world.rollup.tip().batch_id == 1


def test_a_reorg_of_the_proof(world: OptimisticWorld) -> None:
    """The batch is back, and falls again by the same proof."""
    world.post(wrong_state_root(world))
    with world.challenger() as challenger:
        challenger.step()
        world.wait()
        before = world.anvil.snapshot()
        challenger.run_until_idle()
        assert world.rollup.tip().batch_id == 1
        world.anvil.revert(before)
        world.anvil.mine(2)
        assert world.rollup.tip().batch_id == 2
        challenger.run_until_idle()
        assert world.rollup.tip().batch_id == 1
        (fraud,) = challenger._store.frauds()
        assert fraud.challenger == signer(4).address


def test_a_reorg_gives_the_proof_to_somebody_else(world: OptimisticWorld) -> None:
    """The own proof is gone, a copy of it is in its place: the reservation still stands."""
    world.post(wrong_state_root(world))
    with world.challenger() as challenger:
        challenger.step()
        world.wait()
        before = world.anvil.snapshot()
        challenger.run_until_idle()
        (letter,) = challenger._store.letters("prove", challenger._store.frauds()[0].batch_hash.hex())
        world.anvil.revert(before)
        send(world.chain, signer(5), letter.target, letter.input)
        challenger.run_until_idle()
        (fraud,) = challenger._store.frauds()
        assert fraud.challenger == signer(4).address


def test_a_reorg_of_the_reward_that_was_taken_back(world: OptimisticWorld) -> None:
    """A copy of the proof came first; what was reserved is taken back, undone, and taken back again."""
    world.post(wrong_state_root(world))
    with world.challenger() as challenger:
        challenger.step()
        world.wait()
        before = world.anvil.snapshot()
        challenger.run_until_idle()
        (letter,) = challenger._store.letters("prove", challenger._store.frauds()[0].batch_hash.hex())
        world.anvil.revert(before)
        send(world.chain, signer(5), letter.target, letter.input)
        before = world.anvil.snapshot()
        challenger.run_until_idle()
        assert challenger._store.frauds()[0].challenger == signer(4).address
        world.anvil.revert(before)
        world.anvil.mine(2)
        hash_ = challenger._store.frauds()[0].batch_hash
        copied = world.rollup.reward(hash_).reserved_at
        assert challenger.step().sync.rewound_to is not None
        challenger.run_until_idle()
        assert challenger._store.frauds()[0].challenger == signer(4).address
        assert world.rollup.reward(hash_).reserved_at < copied
        assert [one.state for one in challenger._store.letters("take", hash_.hex())] == ["mined"]


def test_a_reorg_of_the_reward_that_was_paid(world: OptimisticWorld) -> None:
    world.post(wrong_state_root(world))
    with world.challenger() as challenger:
        challenger.run_until_idle()
        world.anvil.warp(world.deployment.reward_delay + 1)
        before, balance = world.anvil.snapshot(), world.chain.balance(signer(4).address)
        challenger.run_until_idle()
        (fraud,) = challenger._store.frauds()
        assert fraud.is_claimed
        world.anvil.revert(before)
        world.anvil.mine(2)
        assert world.rollup.reward(fraud.batch_hash).amount == ETHER // 2
        assert challenger.step().sync.rewound_to is not None
        challenger.run_until_idle()
        assert challenger._store.frauds()[0].is_claimed
        assert [one.state for one in challenger._store.letters("claim", fraud.batch_hash.hex())] == ["mined"]
    assert world.rollup.reward(fraud.batch_hash).amount == 0
    assert 0.499 * ETHER < world.chain.balance(signer(4).address) - balance < 0.5 * ETHER


# -------------------------------------------------------------------- the watcher


def test_the_watcher_says_how_far_a_reorg_went(world: OptimisticWorld) -> None:
    """And judges what is there now: a wrong batch came in place of a right one."""
    right, wrong = world.make(*transfers(world, 1)), wrong_state_root(world)
    with world.follower() as follower:
        watcher = Watcher(follower, follower._store)
        watcher.look()
        before, block = world.anvil.snapshot(), world.chain.head().number
        world.post(right)
        assert watcher.look().news == (f"batch 2 of {world.operator.address} is right",)
        world.anvil.revert(before)
        world.post(wrong)
        watched = watcher.look()
        assert watched.news == (f"L1 reorg: went back to block {block}",)
        assert ["batch 2 " in finding.headline for finding in watched.findings] == [True]


# -------------------------------------------------------------------- rollbacks


def test_operations_of_a_rolled_back_batch_are_executed_again(world: OptimisticWorld) -> None:
    """Another sequencer's batch held them, and was wrong: this one, which accepted them as well, posts them."""
    world.bond(signer(5))
    world.anvil.warp(world.deployment.priority_timeout + 1)
    with world.sequencer(batch_timeout=3600) as sequencer:
        sequencer.step()
        key = submit(world, sequencer)
        body = sequencer._store.pool_row(key).body
        world.post(world.make(body).with_(state_root=b"\x11" * 32), signer(5))
        sequencer.run_until_idle()
        assert world.rollup.tip().batch_id == 1
        assert sequencer.status(key).state == "accepted"
    with world.sequencer() as sequencer:
        sequencer.run_until_idle()
        assert sequencer.status(key).state == "posted"


def test_a_deposit_consumed_by_a_wrong_batch_is_credited_once(world: OptimisticWorld) -> None:
    world.deposit(world.alice, 7 * UNIT, account=1)
    world.post(world.make(queue=1).with_(state_root=b"\x11" * 32))
    world.bond(signer(5))
    world.anvil.warp(world.deployment.priority_timeout + 1)
    with world.sequencer(sender=signer(5)) as sequencer:
        sequencer.run_until_idle()
        check_tip(world, sequencer, 2)
        assert posted(sequencer) == [107 * UNIT, 50 * UNIT, 20 * UNIT]
        assert world.rollup.tip().queue_cursor == 4


def test_two_sequencers_take_turns(world: OptimisticWorld) -> None:
    """Both have accepted the same operation; it is in one batch, and the other sequencer's own goes on top."""
    world.bond(signer(5))
    world.anvil.warp(world.deployment.priority_timeout + 1)
    with world.sequencer() as first, world.sequencer(sender=signer(5), database="second.sqlite") as second:
        first.step()
        second.step()
        shared = world.transfer(world.alice, world.bob, UNIT, records(first))
        key = first.submit(shared).id
        assert second.submit(shared).id == key
        own = second.submit(world.transfer(world.carol, world.bob, 2 * UNIT, records(second))).id
        world.anvil.automine(False)
        first.step()
        second.step()
        world.anvil.mine()
        world.anvil.automine(True)
        first.run_until_idle()
        second.run_until_idle()
        if second.status(own).state == "accepted":  # the operator's batch was first, and gave it priority again
            world.anvil.warp(world.deployment.priority_timeout + 1)
            second.run_until_idle()
        first.run_until_idle()
        assert second.status(key).batch_id == first.status(key).batch_id
        assert second.status(own).state == "posted"
        assert posted(first) == posted(second) == [99 * UNIT, 53 * UNIT, 18 * UNIT]
        assert world.rollup.tip().batch_hash == first.position.hash == second.position.hash


def test_the_operator_has_priority(world: OptimisticWorld) -> None:
    world.bond(signer(5))
    with world.sequencer(sender=signer(5)) as sequencer:
        sequencer.step()
        key = submit(world, sequencer)
        report = sequencer.step()
        assert report.submitted is None
        assert "only the operator may submit batches until" in report.waiting_for
        world.anvil.warp(world.deployment.priority_timeout + 1)
        sequencer.run_until_idle()
        assert sequencer.status(key).state == "posted"
