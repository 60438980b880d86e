"""When the optimistic rollup can be frozen, to the second: what of queue, tip and pending batches decides.

Most of it in calls, which do what a transaction in the last block's second would.
"""

import pytest

from tests.support.optimistic import DAY, HOUR, Config, Rollup
from tests.support.reverts import reverts

WEEK = 7 * DAY


@pytest.fixture
def tight(project, deployer, registry, parts, sequencer, alice) -> Rollup:
    """Deadline and challenge period are a week; the quota is 1, entries are late at once. Five deposits wait."""
    config = Config(inclusion_deadline=0, freeze_deadline=WEEK, queue_quota=1)
    rollup = Rollup.deploy(project, deployer, registry, parts, config=config)
    rollup.bond(sequencer)
    for amount in range(1, 6):
        rollup.deposit(alice, 0, amount)
    return rollup


def freeze(rollup, confirmed=0, pending=0) -> None:
    """Tries to freeze, with the batches of these numbers."""
    rollup.call("freeze", rollup.posted[confirmed].arguments, rollup.posted[pending].arguments)


def test_attack_time_the_tip_decides_when_it_is_later_than_the_head(rollup, sequencer, alice, mallory):
    """The time that its operations expired by, not that of its submission."""
    c = rollup.contract
    rollup.deposit(alice, 0, 1)
    executed_at = rollup.now + 1000
    rollup.mine(executed_at + HOUR // 2)
    posted = rollup.post(rollup.make(executed_at=executed_at), sequencer)
    assert c.queueEntries(c.queueCursor()).arrival < executed_at < posted.header.timestamp
    rollup.confirm(posted, mallory)
    until = executed_at + rollup.config.freeze_deadline
    for late in (-1, 0):
        rollup.mine(until + late)
        with reverts(c.FreezeTooEarly, until=until):
            freeze(rollup, confirmed=1)
    rollup.mine(until + 1)
    freeze(rollup, confirmed=1)


def test_attack_freeze_by_a_flood_of_the_queue(tight, sequencer):
    """However much is queued, a rollup whose sequencer makes batches now and then cannot be frozen, nor its batches be
    made void: here the head has waited for longer than the deadline, and more than a quota waits behind it."""
    rollup, c = tight, tight.contract
    rollup.mine(rollup.now + WEEK)
    for _ in range(3):
        rollup.mine(rollup.now + DAY)
        posted = rollup.post(rollup.make(queue=1), sequencer)
        assert rollup.now > c.queueEntries(c.queueCursor()).arrival + WEEK
        with reverts(c.FreezeTooEarly, until=posted.header.executed_at + WEEK):
            freeze(rollup, pending=1)
    assert (c.queueCursor(), c.queueTail(), c.confirmedBatchId(), c.currentBatchId()) == (3, 5, 0, 3)


def test_attack_time_what_is_beyond_dispute_is_confirmed_first(tight, sequencer, mallory):
    """Of the pending batches the oldest decides: while it can be disputed a freeze voids it, from the next second on
    it has to be confirmed before."""
    rollup, c = tight, tight.contract
    executed_at = rollup.now
    first, second = (rollup.post(rollup.make(queue=1, executed_at=executed_at), sequencer) for _ in range(2))
    assert executed_at + WEEK < first.end - 1
    for late in (-1, 0):
        rollup.mine(first.end + late)
        freeze(rollup, pending=1)
    rollup.mine(first.end + 1)
    with reverts(c.BatchNotConfirmed, batchId=1):
        freeze(rollup, pending=1)
    rollup.at(second.end)
    rollup.confirm(first, mallory)
    freeze(rollup, confirmed=1, pending=2)
    rollup.mine(second.end + 1)
    with reverts(c.BatchNotConfirmed, batchId=2):
        freeze(rollup, confirmed=1, pending=2)


def test_attack_time_freeze_right_after_a_late_dispute(
    project, deployer, registry, parts, sequencer, alice, mallory, prover
):
    """In its last second the wrong batch falls. The entry that it took is the head again, and the tip its parent: what
    decides is when that entry came, neither the time of the batch that fell nor the moment it did."""
    config = Config(inclusion_deadline=HOUR, freeze_deadline=WEEK + HOUR)
    rollup = Rollup.deploy(project, deployer, registry, parts, config=config)
    rollup.bond(sequencer)
    c = rollup.contract
    rollup.deposit(alice, 0, 1)
    arrival = rollup.now
    rollup.mine(arrival + HOUR // 2)
    wrong = rollup.post(rollup.make(queue=1).with_(state_root=b"\x01" * 32), sequencer)
    with rollup.undone():
        rollup.mine(wrong.end)
        with reverts(c.FreezeTooEarly, until=2**256 - 1):
            freeze(rollup, pending=1)
    rollup.at(wrong.end)
    rollup.prove(wrong, prover)
    until = arrival + WEEK + HOUR
    assert rollup.posted[0].header.executed_at < arrival < wrong.header.executed_at
    with reverts(c.FreezeTooEarly, until=until):
        freeze(rollup)
    rollup.mine(until)
    with reverts(c.FreezeTooEarly, until=until):
        freeze(rollup)
    rollup.at(until + 1)
    receipt = c.freeze(rollup.posted[0].arguments, wrong.arguments, sender=mallory)
    assert receipt.events == [c.Frozen(finalRoot=bytes(32), finalCursor=0)]
