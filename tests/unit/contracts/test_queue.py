"""The inclusion deadline and the quota (docs/protocol.md §6.1)."""

import pytest

from tests.support.reverts import reverts
from tests.unit.contracts.conftest import DAY, FREEZE_DEADLINE, QUOTA


@pytest.fixture
def arrivals(custody, at_time, chain, alice):
    """Five operations, 100 seconds apart; their times of arrival."""
    start = chain.pending_timestamp + 100
    for i in range(5):
        at_time(start + 100 * i)
        custody.forceWithdraw(i + 1, sender=alice)
    return [start + 100 * i for i in range(5)]


@pytest.mark.parametrize("quota", [0, 257])
def test_refuses_a_quota_out_of_range(project, deployer, registry, quota):
    with reverts(project.CustodyHarness.InvalidQuota, quota=quota, max=256):
        deployer.deploy(project.CustodyHarness, registry, DAY, quota, FREEZE_DEADLINE)


def test_refuses_a_deadline_too_far(project, deployer, registry):
    with reverts(project.CustodyHarness.TimeTooLong, time=2**32, max=2**32 - 1):
        deployer.deploy(project.CustodyHarness, registry, 2**32, QUOTA, FREEZE_DEADLINE)


@pytest.mark.parametrize(("seconds", "neglected"), [(-1, False), (0, False), (1, True)])
def test_attack_time_inclusion_deadline(custody, arrivals, chain, seconds, neglected):
    chain.mine(timestamp=arrivals[0] + DAY + seconds)
    assert custody.isQueueNeglected(0, 0) is neglected


def test_the_head_that_is_left_counts(custody, arrivals, chain):
    chain.mine(timestamp=arrivals[1] + DAY + 1)
    assert custody.isQueueNeglected(0, 0)
    assert custody.isQueueNeglected(0, 1)
    assert not custody.isQueueNeglected(0, 2)


def test_an_empty_queue_is_not_neglected(custody, arrivals, chain):
    chain.mine(timestamp=arrivals[4] + DAY + 1)
    assert not custody.isQueueNeglected(5, 5)
    assert not custody.isQueueNeglected(4, 5)


def test_attack_money_queue_spam_at_the_price_of_its_gas(custody, arrivals, chain):
    """However long the queue, a batch has to take the quota only, so batches stay possible."""
    chain.mine(timestamp=arrivals[4] + DAY + 1)
    assert custody.isQueueNeglected(0, QUOTA - 1)
    assert not custody.isQueueNeglected(0, QUOTA)
    assert custody.isQueueNeglected(1, QUOTA)
    assert not custody.isQueueNeglected(1, QUOTA + 1)
