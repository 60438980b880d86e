"""The operator's priority: who may submit when, and what batches and rollbacks do to it."""

import pytest

from tests.support.optimistic import DAY, HOUR, Config, Rollup
from tests.support.reverts import call, reverts


@pytest.fixture(scope="module")
def with_operator(project, deployer, registry, parts, operator, sequencer) -> Rollup:
    rollup = Rollup.deploy(project, deployer, registry, parts, operator)
    rollup.bond(operator, sequencer)
    return rollup


@pytest.fixture
def rollup(with_operator) -> Rollup:
    return with_operator.copy()


@pytest.fixture(scope="session")
def operator(accounts):
    return accounts[6]


def submit(rollup, sender) -> None:
    call(rollup.contract, rollup.calldata(rollup.make()), sender)


def is_open(rollup, sender) -> bool:
    """Whether somebody else than the operator may submit now; checks that the view and the error say so too."""
    until = rollup.contract.priorityUntil()
    if rollup.now > until:
        submit(rollup, sender)
        return True
    with reverts(rollup.contract.OperatorHasPriority, caller=sender, until=until):
        submit(rollup, sender)
    return False


def bad(rollup):
    return rollup.make().with_(state_root=b"\x01" * 32)


def test_nobody_has_priority_without_an_operator(made):
    assert made.contract.priorityUntil() == 0
    assert made.contract.operatorLastSeen() == made.posted[0].header.timestamp


@pytest.mark.parametrize(("late", "is_allowed"), [(-1, False), (0, False), (1, True)])
def test_attack_time_priority_after_deployment(rollup, sequencer, operator, late, is_allowed):
    deployed = rollup.posted[0].header.timestamp
    rollup.mine(deployed + rollup.config.priority_timeout + late)
    assert is_open(rollup, sequencer) is is_allowed
    submit(rollup, operator)


@pytest.mark.parametrize(("late", "is_allowed"), [(-1, False), (0, False), (1, True)])
def test_attack_time_priority_after_a_batch_of_the_operators(rollup, sequencer, operator, late, is_allowed):
    rollup.mine(rollup.now + 10_000)
    posted = rollup.post(rollup.make(), operator)
    assert rollup.contract.operatorLastSeen() == posted.header.timestamp
    rollup.mine(posted.header.timestamp + rollup.config.priority_timeout + late)
    assert is_open(rollup, sequencer) is is_allowed


@pytest.mark.parametrize(("late", "is_allowed"), [(-1, False), (0, False), (1, True)])
def test_attack_time_priority_while_the_queue_is_overdue(
    project, deployer, registry, parts, operator, sequencer, alice, late, is_allowed
):
    """Priority of a day, an inclusion deadline of an hour: an operator that leaves the queue alone loses the first."""
    config = Config(inclusion_deadline=HOUR, priority_timeout=DAY)
    rollup = Rollup.deploy(project, deployer, registry, parts, operator, config)
    rollup.bond(operator, sequencer)
    rollup.force_withdraw(alice, 1)
    arrival = rollup.now
    rollup.mine(arrival + HOUR + late)
    assert rollup.contract.priorityUntil() == arrival + HOUR
    if not is_allowed:
        with reverts(rollup.contract.OperatorHasPriority, caller=sequencer, until=arrival + HOUR):
            submit(rollup, sequencer)
        return
    rollup.post(rollup.make(queue=1), sequencer)
    assert not is_open(rollup, sequencer)


def test_a_strangers_batch_does_not_renew_it(rollup, sequencer):
    seen = rollup.contract.operatorLastSeen()
    rollup.mine(seen + rollup.config.priority_timeout + 1)
    rollup.post(rollup.make(), sequencer)
    assert rollup.contract.operatorLastSeen() == seen
    assert is_open(rollup, sequencer)


def test_attack_rollback_of_the_operators_batch_on_its_own(rollup, sequencer, operator, prover):
    """It counts from the batch that is left."""
    first = rollup.post(rollup.make(), operator)
    rollup.at(rollup.now + 3600)
    wrong = rollup.post(bad(rollup), operator)
    assert rollup.contract.operatorLastSeen() == wrong.header.timestamp
    rollup.prove(wrong, prover)
    assert rollup.contract.operatorLastSeen() == first.header.timestamp
    rollup.mine(first.header.timestamp + rollup.config.priority_timeout)
    assert not is_open(rollup, sequencer)
    rollup.mine(rollup.now + 1)
    assert is_open(rollup, sequencer)


def test_attack_rollback_to_genesis(rollup, sequencer, operator, prover):
    """It counts from the deployment again."""
    rollup.at(rollup.now + 3600)
    wrong = rollup.post(bad(rollup), operator)
    rollup.prove(wrong, prover)
    assert rollup.contract.operatorLastSeen() == rollup.posted[0].header.timestamp


def test_attack_a_fraudulent_batch_does_not_renew_it(rollup, sequencer, operator, prover):
    """The operator was idle, a stranger took over; a wrong batch of the operator's shuts the stranger out
    until it falls, and not longer."""
    rollup.mine(rollup.now + rollup.config.priority_timeout + 1)
    rollup.post(rollup.make(), sequencer)
    wrong = rollup.post(bad(rollup), operator)
    assert not is_open(rollup, sequencer)
    rollup.prove(wrong, prover)
    assert rollup.contract.operatorLastSeen() == 0
    assert rollup.contract.priorityUntil() == 0
    assert is_open(rollup, sequencer)
    # Its next batch gives it priority again.
    rollup.bond(operator)
    posted = rollup.post(rollup.make(), operator)
    assert rollup.contract.operatorLastSeen() == posted.header.timestamp
    assert not is_open(rollup, sequencer)


def test_attack_a_fraudulent_batch_in_the_second_of_its_parent(rollup, sequencer, operator, prover):
    """When times cannot tell which came first, the void batch still does not count."""
    rollup.mine(rollup.now + rollup.config.priority_timeout + 1)
    good = rollup.make()
    data = rollup.calldata(good)
    # The header of the stranger's batch in the block to come is known: the operator builds on it in the same block.
    rollup.at(rollup.now + 5)
    header = rollup.header(good, sequencer, rollup.now + 5, rollup.block + 1)
    wrong = bad(rollup).with_(parent_hash=header.hash)
    assert rollup.in_one_block((sequencer, data, 0), (operator, rollup.calldata(wrong), 0)) == [True, True]
    rollup.note(good, sequencer, 1)
    posted = rollup.note(wrong, operator, 2)
    assert rollup.contract.operatorLastSeen() == header.timestamp == posted.header.timestamp
    rollup.prove(posted, prover)
    assert rollup.contract.operatorLastSeen() == 0


def test_a_strangers_rollback_leaves_it(rollup, sequencer, operator, prover):
    """A stranger's batch on a stranger's falls: nothing changes for the operator, which was seen before both."""
    seen = rollup.post(rollup.make(), operator).header.timestamp
    rollup.mine(seen + rollup.config.priority_timeout + 1)
    rollup.post(rollup.make(), sequencer)
    wrong = rollup.post(bad(rollup), sequencer)
    rollup.prove(wrong, prover)
    assert rollup.contract.operatorLastSeen() == seen


def test_a_strangers_fraud_under_batches_of_the_operators(rollup, sequencer, operator, prover):
    """All fall; the operator is as idle as it was before the stranger."""
    seen = rollup.post(rollup.make(), operator).header.timestamp
    rollup.mine(seen + rollup.config.priority_timeout + 1)
    wrong = rollup.post(bad(rollup), sequencer)
    rollup.post(rollup.make(), operator)
    rollup.prove(wrong, prover)
    assert rollup.contract.operatorLastSeen() == seen
    rollup.bond(sequencer)
    assert is_open(rollup, sequencer)
