"""OptimisticRollup.claimWithdrawal: what proves a withdrawal, once."""

from dataclasses import replace

import pytest

from layer2.optimistic.operations import Withdraw
from layer2.optimistic.tree import node
from tests.support.optimistic import FOREVER, Posted, Rollup
from tests.support.reverts import reverts

ALICE, BOB = 1, 2


@pytest.fixture(scope="module")
def scene(made, sequencer, alice, bob) -> tuple[Rollup, list[Posted]]:
    """Alice withdraws 100 and 200 (ids 0, 1), Bob 100 in the next batch (2), the third makes no withdrawals.

    All but the third are confirmed.
    """
    rollup = made.copy()
    for who in (alice, bob):
        rollup.deposit(who, 0, 10**18)
    rollup.post(rollup.make(queue=2), sequencer)
    first = rollup.sign(alice, Withdraw(ALICE, 100, 0, FOREVER))
    after = rollup.make(first).states[-1]
    posted = [
        rollup.post(rollup.make(first, rollup.sign(alice, Withdraw(ALICE, 200, 0, FOREVER), state=after)), sequencer)
    ]
    posted.append(rollup.post(rollup.make(rollup.sign(bob, Withdraw(BOB, 100, 0, FOREVER))), sequencer))
    rollup.confirm(rollup.posted[1], sequencer)
    rollup.confirm(posted[0], sequencer)
    rollup.confirm(posted[1], sequencer)
    posted.append(rollup.post(rollup.make(), sequencer))
    return rollup, posted


@pytest.fixture
def rollup(scene) -> Rollup:
    return scene[0].copy()


@pytest.fixture
def posted(scene) -> list[Posted]:
    return scene[1]


def test_credits_the_owner(rollup, posted, alice, mallory):
    """Anybody may call; the payout is then paid as any other."""
    c = rollup.contract
    held, balance = c.held(0), alice.balance
    receipt = rollup.claim_withdrawal(posted[0], 1, mallory)
    assert receipt.events == [
        c.PayoutCredited(owner=alice, token=0, amount=200),
        c.WithdrawalClaimed(index=1, owner=alice, token=0, amount=200),
    ]
    assert [c.isWithdrawalClaimed(index) for index in range(3)] == [False, True, False]
    assert c.payouts(alice, 0) == 200
    assert c.held(0) == held
    c.withdrawFor(alice, 0, sender=mallory)
    assert alice.balance == balance + 200
    assert c.held(0) == held - 200


def test_two_withdrawals_of_one_owner_in_one_root(rollup, posted, alice, mallory):
    for index in (0, 1):
        rollup.claim_withdrawal(posted[0], index, mallory)
    assert rollup.contract.payouts(alice, 0) == 300


def test_attack_withdrawal_claimed_twice(rollup, posted, mallory):
    rollup.claim_withdrawal(posted[0], 0, mallory)
    with reverts(rollup.contract.WithdrawalAlreadyClaimed, index=0):
        rollup.call("claimWithdrawal", *rollup.withdrawal_proof(posted[0], 0))


def test_attack_the_same_leaf_in_two_roots(rollup, posted, mallory):
    """A later tree has all earlier withdrawals: each can be claimed against either, once."""
    for index, (first, second) in enumerate(((posted[0], posted[1]), (posted[1], posted[0]))):
        rollup.claim_withdrawal(first, index, mallory)
        for batch in (first, second):
            with reverts(rollup.contract.WithdrawalAlreadyClaimed, index=index):
                rollup.call("claimWithdrawal", *rollup.withdrawal_proof(batch, index))


def test_refuses_a_batch_that_is_not_confirmed(rollup, posted):
    with reverts(rollup.contract.BatchNotConfirmed, batchId=posted[2].id):
        rollup.call("claimWithdrawal", *rollup.withdrawal_proof(posted[2], 0))


def test_refuses_a_batch_that_is_not_there(rollup, posted):
    number, header, *rest = rollup.withdrawal_proof(posted[0], 0)
    unknown = rollup.contract.UnknownBatch
    for other in (0, number - 1, number + 1, number + 3, 2**256 - 1):
        with reverts(unknown, batchId=other, batchHash=posted[0].hash):
            rollup.call("claimWithdrawal", other, header, *rest)
    forged = replace(posted[0].header, withdrawal_root=b"\x01" * 32)
    arguments = replace(posted[0], batch=replace(posted[0].batch, header=forged)).arguments
    with reverts(unknown, batchId=number, batchHash=forged.hash):
        rollup.call("claimWithdrawal", number, arguments, *rest)


def test_refuses_an_index_that_is_not_in_the_batch(rollup, posted):
    number, header, _, *rest = rollup.withdrawal_proof(posted[0], 0)
    for index in (2, 3, 2**32, 2**256 - 1):
        with reverts(rollup.contract.WithdrawalOutOfRange, index=index, count=2):
            rollup.call("claimWithdrawal", number, header, index, *rest)


def test_attack_prover_chosen_index(rollup, posted):
    """The path of one leaf with the index of another."""
    number, header, _, *rest = rollup.withdrawal_proof(posted[1], 0)
    for index in (1, 2):
        with reverts(rollup.contract.InvalidWithdrawalProof):
            rollup.call("claimWithdrawal", number, header, index, *rest)


def test_attack_index_of_more_than_32_bits(rollup, sequencer):
    """If a batch claims so many withdrawals, and nobody objects, an index has still one name."""
    posted = rollup.posted[-1]
    wrong = rollup.post(rollup.make().with_(withdrawal_count=2**64 - 1), sequencer)
    for batch in (posted, wrong):
        rollup.confirm(batch, sequencer)
    number, header, _, *rest = rollup.withdrawal_proof(replace(wrong, state=posted.state), 0)
    rollup.call("claimWithdrawal", number, header, 0, *rest)
    with reverts(rollup.contract.InvalidWithdrawalProof):
        rollup.call("claimWithdrawal", number, header, 2**32, *rest)


@pytest.mark.parametrize(("place", "change"), [(3, "0x" + "11" * 20), (4, 1), (5, 101)])
def test_attack_another_leaf(rollup, posted, place, change):
    """Another owner, token or amount."""
    arguments = list(rollup.withdrawal_proof(posted[0], 0))
    arguments[place] = change
    with reverts(rollup.contract.InvalidWithdrawalProof):
        rollup.call("claimWithdrawal", *arguments)


@pytest.mark.parametrize("level", [0, 1, 2, 31])
def test_attack_another_path(rollup, posted, level):
    *rest, path = rollup.withdrawal_proof(posted[1], 2)
    path[level] = b"\x01" * 32
    with reverts(rollup.contract.InvalidWithdrawalProof):
        rollup.call("claimWithdrawal", *rest, path)


def test_attack_prover_chosen_depth(rollup, posted):
    """The path has 32 siblings, no fewer and no more: the input with one too few cannot be decoded."""
    arguments = rollup.withdrawal_proof(posted[0], 0)
    data = rollup.encode("claimWithdrawal", *arguments)
    with reverts():
        rollup.contract.provider.web3.eth.call({"to": rollup.contract.address, "data": data[:-32]})


def test_attack_inner_node_as_leaf(rollup, posted):
    """A leaf has 38 bytes and an inner node 64, so no owner, token and amount hash to one."""
    state = posted[0].state
    inner = node(*(state.withdrawals.path(index ^ 1)[0] for index in (0, 1)))
    assert state.withdrawals.path(2)[1] == inner
    number, header, index, owner, token, amount, path = rollup.withdrawal_proof(posted[0], 0)
    with reverts(rollup.contract.InvalidWithdrawalProof):
        rollup.call("claimWithdrawal", number, header, index, owner, token, amount, [*path[1:], bytes(32)])


def test_attack_withdrawal_of_a_batch_that_fell(rollup, posted, sequencer, mallory, prover):
    """A forged withdrawal tree in a batch that is proven wrong cannot be claimed, even if its number is confirmed."""
    pending = posted[2]
    wrong = rollup.post(rollup.make().with_(withdrawal_root=b"\x01" * 32, withdrawal_count=9), sequencer)
    rollup.prove(wrong, prover)
    rollup.bond(sequencer)
    right = rollup.post(rollup.make(), sequencer)
    assert right.id == wrong.id
    for batch in (pending, right):
        rollup.confirm(batch, sequencer)
    arguments = (wrong.id, wrong.arguments, 5, mallory.address, 0, 10**18, [bytes(32)] * 32)
    with reverts(rollup.contract.UnknownBatch, batchId=wrong.id, batchHash=wrong.hash):
        rollup.call("claimWithdrawal", *arguments)


def test_attack_owner_that_cannot_be_paid(project, rollup, sequencer, alice, mallory):
    """A forced withdrawal of a contract that refuses ETH becomes a payout that it can send elsewhere."""
    for batch in rollup.posted[rollup.contract.confirmedBatchId() + 1 :]:
        rollup.confirm(batch, sequencer)
    puppet = mallory.deploy(project.PayeePuppet, mallory.deploy(project.RevertingPayee))
    rollup.deposit(alice, 0, 55, owner=puppet)
    account = rollup.state.next_index
    puppet.execute(rollup.contract, 0, rollup.encode("forceWithdraw", account), sender=mallory)
    rollup.queue.append(rollup.forced_entry(puppet, account))
    posted = rollup.post(rollup.make(queue=2), sequencer)
    rollup.confirm(posted, sequencer)
    rollup.claim_withdrawal(posted, 3, mallory)
    assert rollup.contract.payouts(puppet, 0) == 55
    with reverts(rollup.contract.ETHTransferFailed):
        rollup.call("withdrawFor", puppet.address, 0)
    to = "0x" + "42" * 20
    puppet.execute(rollup.contract, 0, rollup.encode("withdraw", 0, to), sender=mallory)
    assert rollup.contract.provider.get_balance(to) == 55
