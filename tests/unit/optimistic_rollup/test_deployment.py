"""OptimisticRollup's settings: what cannot work is refused, the smallest and the largest others work. Nobody rules."""

from dataclasses import replace

import pytest

from tests.support.optimistic import DAY, HOUR, NO_KEY, STAKE, Config, Rollup
from tests.support.reverts import reverts

ZERO = "0x" + "00" * 20
LONG = 2**32
LONGEST = LONG - 1
LARGEST = Config(32, DAY, 256, LONGEST, LONGEST, LONGEST, LONGEST - DAY, LONGEST, 2**256 - 1)
SMALLEST = Config(1, 0, 1, 1, 0, 1, 1, 0, 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"levels": 0},
        {"levels": 33},
        {"levels": 2**256 - 1},
        {"max_batch_age": 0},
        {"challenge_period": 0},
        {"minimum_stake": 0},
    ],
)
def test_refuses_settings_with_which_nothing_works(project, deployer, registry, parts, changes):
    with reverts(project.OptimisticRollup.InvalidConfig):
        Rollup.deploy(project, deployer, registry, parts, config=replace(Config(), **changes))


def test_refuses_parts_without_code(project, deployer, registry, parts, alice):
    """Without code behind these addresses nothing could ever be disputed."""
    for nothing in (ZERO, alice):
        for both in ((nothing, parts[1]), (parts[0], nothing), (nothing, nothing)):
            with reverts(project.OptimisticRollup.InvalidConfig):
                Rollup.deploy(project, deployer, registry, both)


@pytest.mark.parametrize("quota", [0, 257, 2**256 - 1])
def test_refuses_a_quota(project, deployer, registry, parts, quota):
    with reverts(project.OptimisticRollup.InvalidQuota, quota=quota, max=256):
        Rollup.deploy(project, deployer, registry, parts, config=Config(queue_quota=quota))


TIMES = (
    "inclusion_deadline",
    "freeze_deadline",
    "priority_timeout",
    "max_batch_age",
    "challenge_period",
    "reward_delay",
)


@pytest.mark.parametrize("name", TIMES)
def test_refuses_a_time(project, deployer, registry, parts, name):
    for time in (LONG, 2**256 - 1):
        with reverts(project.OptimisticRollup.TimeTooLong, time=time, max=LONGEST):
            Rollup.deploy(project, deployer, registry, parts, config=replace(LARGEST, **{name: time}))


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("inclusion_deadline", Config.freeze_deadline - Config.challenge_period),
        ("max_batch_age", Config.freeze_deadline),
        ("challenge_period", Config.freeze_deadline - Config.inclusion_deadline),
    ],
)
def test_refuses_a_freeze_deadline_below_other_times(project, deployer, registry, parts, name, most):
    """Challenge period and inclusion deadline together: a bad batch can take the queue's head as late as may be, and
    fall in its last second."""
    deadline = Config.freeze_deadline
    with reverts(project.OptimisticRollup.FreezeDeadlineTooShort, freezeDeadline=deadline, minimum=deadline + 1):
        Rollup.deploy(project, deployer, registry, parts, config=replace(Config(), **{name: most + 1}))
    Rollup.deploy(project, deployer, registry, parts, config=replace(Config(), **{name: most}))


def test_attack_freeze_by_a_late_dispute(project, deployer, registry, parts, sequencer, alice, prover):
    """With the shortest deadline that is taken: the head, served in time by a batch that falls in its last second, is
    still young enough."""
    config = Config(freeze_deadline=Config.challenge_period + Config.inclusion_deadline)
    rollup = Rollup.deploy(project, deployer, registry, parts, config=config)
    rollup.bond(sequencer)
    rollup.deposit(alice, 0, 1)
    arrival = rollup.now
    rollup.mine(arrival + config.inclusion_deadline - HOUR // 60)
    wrong = rollup.post(rollup.make(queue=1).with_(state_root=b"\x01" * 32), sequencer)
    rollup.at(wrong.end)
    rollup.prove(wrong, prover)
    genesis = rollup.posted[0].arguments
    with reverts(rollup.contract.FreezeTooEarly, until=arrival + config.freeze_deadline):
        rollup.call("freeze", genesis, genesis)


@pytest.mark.parametrize("config", [Config(), SMALLEST, LARGEST], ids=["default", "smallest", "largest"])
def test_says_what_it_was_made_with(project, deployer, registry, parts, operator, config):
    c = Rollup.deploy(project, deployer, registry, parts, operator, config).contract
    assert (c.registry(), c.stateTransition(), c.cellVerifier(), c.operator()) == (registry, *parts, operator)
    assert config == Config(
        c.levels(),
        c.inclusionDeadline(),
        c.queueQuota(),
        c.freezeDeadline(),
        c.priorityTimeout(),
        c.maxBatchAge(),
        c.challengePeriod(),
        c.rewardDelay(),
        c.minimumStake(),
    )


def test_attack_settings_so_large_that_sums_overflow(
    project, deployer, registry, parts, operator, sequencer, alice, prover
):
    """With the longest times, batches are taken, disputed and confirmed; with 32 levels, all 32 bits are an index."""
    config = replace(LARGEST, minimum_stake=STAKE)
    rollup = Rollup.deploy(project, deployer, registry, parts, sequencer, config)
    c = rollup.contract
    start = rollup.now
    assert c.priorityUntil() == start + LONGEST
    rollup.bond(sequencer)
    rollup.force_withdraw(alice, 2**32 - 1)
    right = rollup.post(rollup.make(queue=1), sequencer)
    wrong = rollup.post(rollup.make().with_(state_root=b"\x01" * 32), sequencer)
    rollup.force_withdraw(alice, 1)
    with reverts(c.ChallengePeriodRunning, end=right.header.timestamp + LONGEST - DAY):
        rollup.call("confirmBatch", right.id, right.arguments)
    with reverts(c.FreezeTooEarly, until=rollup.now + LONGEST):
        rollup.call("freeze", rollup.posted[0].arguments, right.arguments)
    rollup.prove(wrong, prover)
    with reverts(c.RewardNotDue, end=rollup.now + LONGEST):
        rollup.call("claimReward", wrong.hash)
    rollup.confirm(right, alice)
    rollup.mine(rollup.now + LONGEST)
    rollup.call("freeze", right.arguments, right.arguments)


# What custody asks the rollup


@pytest.mark.parametrize("key", [(1, 0), (0, 1), (2**256 - 1, 2**256 - 1)])
def test_takes_no_key_but_none(made, alice, key):
    """An account's owner signs with its address's key: a deposit to another would be one to nobody."""
    with reverts(made.contract.InvalidKey, x=key[0], y=key[1]):
        made.call("deposit", 0, 1, alice.address, 0, key, sender=alice, value=1)


def test_takes_no_account_that_cannot_be(made, alice):
    """The rollup's tree has eight levels."""
    c = made.contract
    for account in (256, 2**32 - 1):
        with reverts(c.AccountOutOfRange, account=account, capacity=256):
            made.call("deposit", 0, 1, alice.address, account, NO_KEY, sender=alice, value=1)
        with reverts(c.AccountOutOfRange, account=account, capacity=256):
            made.call("forceWithdraw", account, sender=alice)
    with reverts(c.AccountOutOfRange, account=0, capacity=256):
        made.call("forceWithdraw", 0, sender=alice)
    for account in (0, 255):
        made.call("deposit", 0, 1, alice.address, account, NO_KEY, sender=alice, value=1)
    made.call("forceWithdraw", 255, sender=alice)


# Who may do what


def test_nobody_rules(project):
    """Money moves by these functions only, and none of them knows a privileged caller. The parts have no state."""
    methods = project.OptimisticRollup.contract_type.mutable_methods
    assert {method.name for method in methods} == {
        "deposit",
        "depositWithPermit",
        "forceWithdraw",
        "withdraw",
        "withdrawFor",
        "refundDeposit",
        "submitBatch",
        "confirmBatch",
        "submitFraudProof",
        "reserveReward",
        "takeReward",
        "claimReward",
        "bond",
        "startExit",
        "withdrawBond",
        "claimWithdrawal",
        "freeze",
        "escape",
        "escapePosition",
    }
    assert len(methods) == 19
    for part in (project.StateTransition, project.CellVerifier):
        assert list(part.contract_type.mutable_methods) == []
