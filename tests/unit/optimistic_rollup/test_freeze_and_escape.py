"""Freeze, escape and refunds of the optimistic rollup (docs/optimistic.md §6)."""

from dataclasses import astuple, replace
from types import SimpleNamespace

import pytest

from layer2.optimistic.operations import CreatePool, MintNFT, Swap, Transfer
from layer2.optimistic.records import Account, Position, encode
from layer2.optimistic.state import RollupState
from tests.support.optimistic import DAY, FOREVER, HOUR, NO_KEY, STAKE, Config, Rollup
from tests.support.reverts import reverts

A_ETH, A_USDC, B_ETH = 1, 2, 3
POOL, POSITION, NFT = 4, 5, 6
GARBAGE = b"\x09" * 32


@pytest.fixture(scope="module")
def coin(project, deployer, registry, alice):
    token = deployer.deploy(project.TestUSDC)
    registry.register(token, sender=deployer)
    token.mint(alice, 10**12, sender=alice)
    return SimpleNamespace(contract=token, id=int(registry.idOf(token)))


@pytest.fixture(scope="module")
def scene(made, coin, sequencer, alice, bob) -> Rollup:
    """Alice's accounts in ETH and USDC, Bob's in ETH, a pool with a position of Alice's, an NFT; all of it confirmed.

    Then a batch that is pending (Bob sends Alice 1000), and a deposit of Bob's that nobody takes.
    """
    rollup = made.copy()
    coin.contract.approve(rollup.contract, 10**12, sender=alice)
    rollup.deposit(alice, 0, 10**18)
    rollup.deposit(alice, coin.id, 10**9)
    rollup.deposit(bob, 0, 10**18)
    rollup.post(rollup.make(queue=3), sequencer)
    create = rollup.sign(alice, CreatePool(A_ETH, A_USDC, 10**9, 10**8, 0, FOREVER))
    rollup.post(rollup.make(create), sequencer)
    mint = rollup.sign(bob, MintNFT(B_ETH, GARBAGE, 0, FOREVER))
    swap = rollup.sign(alice, Swap(A_ETH, A_USDC, POOL, 12345, 1, 0, FOREVER))
    rollup.post(rollup.make(mint, swap), sequencer)
    for posted in rollup.posted[1:]:
        rollup.confirm(posted, sequencer)
    rollup.post(rollup.make(rollup.sign(bob, Transfer(B_ETH, A_ETH, 1000, 0, FOREVER))), sequencer)
    rollup.deposit(bob, 0, 77)
    return rollup


@pytest.fixture
def rollup(scene) -> Rollup:
    return scene.copy()


def headers(rollup) -> tuple:
    """The arguments of `freeze`."""
    confirmed = rollup.contract.confirmedBatchId()
    pending = min(confirmed + 1, rollup.contract.currentBatchId())
    return rollup.posted[confirmed].arguments, rollup.posted[pending].arguments


@pytest.fixture
def frozen(rollup, mallory) -> Rollup:
    """Everything that can be confirmed is, and then it is frozen."""
    rollup.confirm(rollup.posted[-1], mallory)
    rollup.mine(rollup.now + rollup.config.freeze_deadline + DAY)
    rollup.contract.freeze(*headers(rollup), sender=mallory)
    return rollup


def proof(rollup, index) -> tuple:
    """The arguments of `escape`."""
    return index, encode(rollup.state.record(index)), rollup.state.path(index)


def position_proof(rollup, index=POSITION, pool=POOL) -> tuple:
    return *proof(rollup, index), *proof(rollup, pool)[1:]


# Freeze


@pytest.mark.parametrize(("late", "is_taken"), [(-1, False), (0, False), (1, True)])
def test_attack_time_freeze_deadline(rollup, mallory, late, is_taken):
    c = rollup.contract
    last = rollup.posted[-1]
    arrival = c.queueEntries(c.queueCursor()).arrival
    until = max(arrival, last.header.executed_at) + rollup.config.freeze_deadline
    rollup.confirm(last, mallory)
    rollup.at(until + late)
    if not is_taken:
        with reverts(c.FreezeTooEarly, until=until):
            c.freeze(*headers(rollup), sender=mallory)
        return
    receipt = c.freeze(*headers(rollup), sender=mallory)
    assert receipt.events == [c.Frozen(finalRoot=last.header.state_root, finalCursor=3)]
    assert c.isFrozen()
    assert (c.finalRoot(), c.finalCursor()) == (last.header.state_root, 3)


def test_the_queue_must_wait(rollup, sequencer, mallory):
    rollup.post(rollup.make(queue=1), sequencer)
    for posted in rollup.posted[-2:]:
        rollup.confirm(posted, sequencer)
    rollup.mine(rollup.now + 10 * rollup.config.freeze_deadline)
    with reverts(rollup.contract.FreezeTooEarly, until=2**256 - 1):
        rollup.call("freeze", *headers(rollup))


def test_attack_freeze_before_the_batches_that_nobody_can_dispute_are_confirmed(rollup, mallory):
    """Bob's payment is beyond dispute and only not yet confirmed: Mallory must not make it void."""
    rollup.mine(rollup.now + rollup.config.freeze_deadline + 1)
    pending = rollup.posted[-1]
    with reverts(rollup.contract.BatchNotConfirmed, batchId=pending.id):
        rollup.call("freeze", *headers(rollup))
    rollup.confirm(pending, mallory)
    rollup.call("freeze", *headers(rollup))


def test_attack_freeze_on_another_header(rollup):
    confirmed, pending = headers(rollup)
    unknown = rollup.contract.UnknownBatch
    number = rollup.contract.confirmedBatchId()
    for other in (rollup.posted[number - 1], rollup.posted[number + 1]):
        with reverts(unknown, batchId=number, batchHash=other.hash):
            rollup.call("freeze", other.arguments, pending)
        with reverts(unknown, batchId=number + 1, batchHash=rollup.posted[number - 1].hash):
            rollup.call("freeze", confirmed, rollup.posted[number - 1].arguments)
    forged = replace(rollup.posted[number].header, state_root=GARBAGE)
    with reverts(unknown, batchId=number, batchHash=forged.hash):
        rollup.call("freeze", astuple(forged), pending)


def test_pending_batches_are_void(project, deployer, registry, parts, sequencer, alice, bob, mallory):
    """The tip's time is what its operations expire by, up to `maxBatchAge` before its submission: in this gap the
    deadline passes while the batch can still be disputed. Deposits are refunded."""
    config = Config(inclusion_deadline=0, queue_quota=1, freeze_deadline=7 * DAY, max_batch_age=HOUR)
    rollup = Rollup.deploy(project, deployer, registry, parts, config=config)
    rollup.bond(sequencer)
    rollup.deposit(alice, 0, 100)
    rollup.deposit(bob, 0, 50)
    executed_at = rollup.now
    rollup.mine(executed_at + HOUR - 30)
    pending = rollup.post(rollup.make(queue=1, executed_at=executed_at), sequencer)
    rollup.mine(max(executed_at, rollup.now - HOUR) + 7 * DAY + 10)
    c = rollup.contract
    genesis = rollup.posted[0]
    c.freeze(genesis.arguments, pending.arguments, sender=mallory)
    assert (c.finalRoot(), c.finalCursor()) == (bytes(32), 0)
    with reverts(c.RollupFrozen):
        rollup.call("confirmBatch", 1, pending.arguments)
    with reverts(c.InvalidEscapeProof):
        rollup.call("escape", *proof(rollup, 1))
    c.refundDeposit(0, 0, 0, 100, alice, NO_KEY, sender=mallory)
    c.refundDeposit(1, 0, 0, 50, bob, NO_KEY, sender=mallory)
    assert (c.payouts(alice, 0), c.payouts(bob, 0)) == (100, 50)
    assert c.held(0) == 150
    # The sequencer keeps its bond, of course.
    c.startExit(sender=sequencer)
    rollup.at(rollup.now + config.challenge_period + 1)
    c.withdrawBond(sender=sequencer)


def test_nothing_is_accepted_any_more(frozen, sequencer, alice, mallory):
    c = frozen.contract
    with reverts(c.RollupFrozen):
        frozen.call("submitBatch", *frozen.arguments(frozen.make(queue=1)), sender=sequencer)
    with reverts(c.RollupFrozen):
        c.deposit(0, 1, alice, 0, NO_KEY, value=1, sender=alice)
    with reverts(c.RollupFrozen):
        frozen.call("forceWithdraw", A_ETH, sender=alice)
    with reverts(c.RollupFrozen):
        frozen.call("freeze", *headers(frozen), sender=mallory)
    with reverts(c.RollupFrozen):
        frozen.call("confirmBatch", 5, frozen.posted[-1].arguments)


def test_attack_a_dispute_after_the_freeze_moves_no_money_of_users(
    project, deployer, registry, parts, sequencer, alice, mallory, prover
):
    """A wrong batch that was pending costs its bond, and the final state stays what it is."""
    config = Config(inclusion_deadline=0, queue_quota=1, freeze_deadline=7 * DAY)
    rollup = Rollup.deploy(project, deployer, registry, parts, config=config)
    rollup.bond(sequencer)
    rollup.deposit(alice, 0, 100)
    rollup.deposit(alice, 0, 50)
    executed_at = rollup.now
    rollup.mine(executed_at + HOUR - 30)
    wrong = rollup.post(rollup.make(queue=1, executed_at=executed_at).with_(state_root=GARBAGE), sequencer)
    rollup.mine(executed_at + 7 * DAY + 20)
    c = rollup.contract
    c.freeze(rollup.posted[0].arguments, wrong.arguments, sender=mallory)
    rollup.prove(wrong, prover)
    assert c.rewards(wrong.hash).amount == STAKE // 2
    assert (c.finalRoot(), c.finalCursor(), c.isFrozen()) == (bytes(32), 0, True)
    c.refundDeposit(0, 0, 0, 100, alice, NO_KEY, sender=mallory)
    with reverts(c.DepositAlreadyRefunded, index=0):
        rollup.call("refundDeposit", 0, 0, 0, 100, alice.address, NO_KEY)


# Escape


def test_owners_escape_with_everything(frozen, coin, alice, bob, mallory):
    """All accounts, the position, and the deposit: what is left is the pool's 1000 locked shares and rounding."""
    c = frozen.contract
    state = frozen.state
    pool, position = state.record(POOL), state.record(POSITION)
    part = [position.shares * reserve // pool.shares for reserve in (pool.reserve_a, pool.reserve_b)]
    balances = {index: state.record(index).balance for index in (A_ETH, A_USDC, B_ETH)}

    receipt = c.escape(*proof(frozen, A_ETH), sender=mallory)
    assert receipt.events == [
        c.PayoutCredited(owner=alice, token=0, amount=balances[A_ETH]),
        c.Escaped(index=A_ETH, owner=alice, token=0, amount=balances[A_ETH]),
    ]
    receipt = c.escapePosition(*position_proof(frozen), sender=mallory)
    assert [(event.event_name, event.amount) for event in receipt.events] == [
        ("PayoutCredited", part[0]),
        ("Escaped", part[0]),
        ("PayoutCredited", part[1]),
        ("Escaped", part[1]),
    ]
    c.escape(*proof(frozen, A_USDC), sender=mallory)
    c.escape(*proof(frozen, B_ETH), sender=mallory)
    c.refundDeposit(3, 0, 0, 77, bob, NO_KEY, sender=mallory)
    assert c.payouts(alice, 0) == balances[A_ETH] + part[0]
    assert c.payouts(alice, coin.id) == balances[A_USDC] + part[1]
    assert c.payouts(bob, 0) == balances[B_ETH] + 77
    left = {0: pool.reserve_a - part[0], coin.id: pool.reserve_b - part[1]}
    for token in left:
        paid = sum(c.payouts(who, token) for who in (alice, bob))
        assert c.held(token) == paid + left[token]
    for who, token in ((alice, 0), (alice, coin.id), (bob, 0)):
        c.withdraw(token, who, sender=who)


@pytest.mark.parametrize("index", [A_ETH, POSITION])
def test_attack_escape_twice(frozen, mallory, index):
    c = frozen.contract
    function, arguments = (
        ("escape", proof(frozen, index)) if index == A_ETH else ("escapePosition", position_proof(frozen))
    )
    getattr(c, function)(*arguments, sender=mallory)
    assert c.isEscaped(index)
    with reverts(c.AlreadyEscaped, index=index):
        frozen.call(function, *arguments)


def test_only_after_a_freeze(rollup):
    for function, arguments in (("escape", proof(rollup, A_ETH)), ("escapePosition", position_proof(rollup))):
        with reverts(rollup.contract.NotFrozen):
            rollup.call(function, *arguments)


@pytest.mark.parametrize("index", [POOL, POSITION, NFT])
def test_what_is_no_account_does_not_escape_as_one(frozen, index):
    with reverts(frozen.contract.NothingToEscape, index=index):
        frozen.call("escape", *proof(frozen, index))


@pytest.mark.parametrize("index", [A_ETH, POOL, NFT])
def test_what_is_no_position_does_not_escape_as_one(frozen, index):
    with reverts(frozen.contract.NothingToEscape, index=index):
        frozen.call("escapePosition", *position_proof(frozen, index))


def test_nothing_to_escape(rollup, sequencer, alice, mallory):
    """An account that was emptied and a position that was."""
    for index in (A_ETH, POSITION):
        rollup.force_withdraw(alice, index)
    rollup.post(rollup.make(queue=3), sequencer)
    rollup.force_withdraw(alice, 1)
    for posted in rollup.posted[-2:]:
        rollup.confirm(posted, mallory)
    rollup.mine(rollup.now + rollup.config.freeze_deadline + DAY)
    c = rollup.contract
    c.freeze(*headers(rollup), sender=mallory)
    with reverts(c.NothingToEscape, index=A_ETH):
        rollup.call("escape", *proof(rollup, A_ETH))
    with reverts(c.NothingToEscape, index=POSITION):
        rollup.call("escapePosition", *position_proof(rollup))


def spoil(frozen, place, value):
    arguments = list(position_proof(frozen))
    arguments[place] = value(arguments[place])
    return arguments


SPOILT = {
    "another index": (0, lambda index: A_ETH),
    "an index beyond the tree": (0, lambda index: index + 256),
    "index 0": (0, lambda index: 0),
    "another record": (1, lambda record: record[:-1] + b"\x00"),
    "no record": (1, lambda record: b""),
    "a longer record": (1, lambda record: record + b"\x00"),
    "another path": (2, lambda path: [GARBAGE, *path[1:]]),
    "a shorter path": (2, lambda path: path[:-1]),
    "a longer path": (2, lambda path: [*path, bytes(32)]),
    "no path": (2, lambda path: []),
    "another pool": (3, lambda record: record[:-1] + b"\x00"),
    "no pool": (3, lambda record: b""),
    "another path of the pool": (4, lambda path: [GARBAGE, *path[1:]]),
    "a shorter path of the pool": (4, lambda path: path[:-1]),
    "a longer path of the pool": (4, lambda path: [*path, bytes(32)]),
}


@pytest.mark.parametrize("case", SPOILT)
def test_attack_escape_proof(frozen, case):
    place, value = SPOILT[case]
    with reverts(frozen.contract.InvalidEscapeProof):
        frozen.call("escapePosition", *spoil(frozen, place, value))
    if place < 3:
        arguments = list(proof(frozen, A_USDC))
        arguments[place] = value(arguments[place])
        with reverts(frozen.contract.InvalidEscapeProof):
            frozen.call("escape", *arguments)


def test_attack_escape_with_another_pool(frozen):
    """A leaf that is in the final state, but not the position's pool."""
    with reverts(frozen.contract.InvalidEscapeProof):
        frozen.call("escapePosition", *proof(frozen, POSITION), *proof(frozen, A_ETH)[1:])


def test_attack_a_final_state_with_a_position_of_no_pool(
    project, deployer, registry, parts, sequencer, alice, bob, mallory
):
    """No honest state has one; a contract that read it as a pool would pay what the bytes say."""
    rollup = Rollup.deploy(project, deployer, registry, parts)
    rollup.bond(sequencer)
    rollup.deposit(alice, 0, 10**18)
    state = RollupState.of(8, [Account(int(bob.address, 16), 0, 0, 1), Position(int(bob.address, 16), 1, 5)])
    draft = rollup.make().with_(state_root=state.state_root)
    posted = rollup.post(draft, sequencer)
    rollup.confirm(posted, sequencer)
    rollup.mine(rollup.now + rollup.config.freeze_deadline + DAY)
    rollup.contract.freeze(posted.arguments, posted.arguments, sender=mallory)
    account, position = ((encode(state.record(index)), state.path(index)) for index in (1, 2))
    with reverts(rollup.contract.InvalidEscapeProof):
        rollup.call("escapePosition", 2, *position, *account)


def test_withdrawals_stay_claimable_after_a_freeze(rollup, sequencer, alice, mallory):
    rollup.force_withdraw(alice, A_ETH)
    posted = rollup.post(rollup.make(queue=2), sequencer)
    amount = posted.state.withdrawal(0).amount
    rollup.force_withdraw(alice, 1)
    for batch in rollup.posted[-2:]:
        rollup.confirm(batch, mallory)
    rollup.mine(rollup.now + rollup.config.freeze_deadline + DAY)
    rollup.contract.freeze(*headers(rollup), sender=mallory)
    rollup.claim_withdrawal(posted, 0, mallory)
    rollup.contract.withdraw(0, alice, sender=alice)
    with reverts(rollup.contract.NothingToEscape, index=A_ETH):
        rollup.call("escape", *proof(rollup, A_ETH))
    assert amount > 0
