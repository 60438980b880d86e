"""From deposits on L1 over batches with real proofs back to L1, with conservation checked after every step."""

from tests.support.reverts import reverts
from tests.support.rollup import INCLUSION_DEADLINE, PRIORITY_TIMEOUT, QUEUE_QUOTA


def test_to_layer_2_and_back(scenario, rollup, alice, bob, operator):
    """Alice pays Bob 10 USDC (and gets 1 back); Bob takes 58 to L1 at once."""
    c = rollup.contract
    rollup.check(scenario.owners, scenario.tokens)
    receipt = rollup.send(scenario.following)
    rollup.check(scenario.owners, scenario.tokens)
    fees = {}
    for segment in scenario.following.segments:
        for token, total in segment.fees:
            fees[token] = fees.get(token, 0) + total
    assert len(fees) == 2
    assert receipt.events[1:-1] == [
        c.PayoutCredited(owner=bob, token=scenario.usdc_id, amount=58_000000),
        c.PayoutCredited(owner=alice, token=0, amount=10**17),
        *[c.PayoutCredited(owner=operator, token=token, amount=total) for token, total in fees.items()],
    ]
    before = scenario.usdc.balanceOf(bob)
    c.withdraw(scenario.usdc_id, bob, sender=bob)
    assert scenario.usdc.balanceOf(bob) == before + 58_000000
    rollup.check(scenario.owners, scenario.tokens)
    for owner, token in ((alice, 0), (operator, 0), (operator, scenario.usdc_id)):
        c.withdrawFor(owner, token, sender=bob)
        rollup.check(scenario.owners, scenario.tokens)


def test_forced_withdrawal_empties_the_account_of_its_owner_only(scenario, rollup, alice, bob, mallory):
    c = rollup.contract
    rollup.force_withdraw(alice, 1)
    rollup.force_withdraw(mallory, 2)
    rollup.force_withdraw(alice, 200)
    rollup.check(scenario.owners, scenario.tokens)
    rollup.process()
    rollup.check(scenario.owners, scenario.tokens)
    assert c.payouts(alice, scenario.usdc_id) == 100_000000
    assert c.payouts(mallory, scenario.usdc_id) == 0
    assert rollup.state.account(2).balance == 50_000000


def test_deposits_to_existing_accounts_and_fallback_to_new_ones(scenario, rollup, alice, bob):
    rollup.deposit(alice, 0, 5, account=3)
    rollup.deposit(bob, 0, 7, account=3)
    rollup.deposit(alice, scenario.usdc_id, 9, account=3)
    rollup.process()
    rollup.check(scenario.owners, scenario.tokens)
    assert rollup.state.account(3).balance == 10**18 + 5
    assert (rollup.state.account(4).owner, rollup.state.account(4).balance) == (int(bob.address, 16), 7)
    assert (rollup.state.account(5).token, rollup.state.account(5).balance) == (scenario.usdc_id, 9)


def test_queue_over_several_batches(scenario, rollup, alice):
    for amount in (1, 2, 3):
        rollup.deposit(alice, 0, amount, account=3)
    for left in (2, 1, 0):
        rollup.process(queued=1)
        assert rollup.contract.queueTail() - rollup.contract.queueCursor() == left
        rollup.check(scenario.owners, scenario.tokens)


def test_attack_deposit_outcome_chosen_by_the_operator(scenario, rollup, alice):
    """`to` = 0 would make a payout of a deposit that was credited: twice the money. The proof is of another outcome."""
    rollup.deposit(alice, 0, 10**18, account=3)
    submission = rollup.prepare()
    slot = submission.data.index(b"\x01" + (3).to_bytes(4) + (3).to_bytes(4))
    for to in (0, 2, 4):
        data = submission.data[: slot + 5] + to.to_bytes(4) + submission.data[slot + 9 :]
        with reverts(rollup.contract.InvalidProof):
            rollup.call(submission.with_(data=data))
    rollup.send(submission)
    assert rollup.contract.payouts(alice, 0) == 0


def test_attack_time_overdue_queue_with_real_batches(scenario, rollup, alice, at_time):
    """After the deadline, a batch without the queue is refused and one with it is not."""
    c = rollup.contract
    rollup.deposit(alice, 0, 5, account=3)
    late = c.queueEntries(c.queueCursor()).arrival + INCLUSION_DEADLINE + 1
    without = rollup.prepare(rollup.transfer(alice, 1, 2, 5), queued=0, timestamp=late - 5)
    at_time(late)
    with reverts(c.QueueNeglected, head=c.queueCursor(), consumed=0, quota=QUEUE_QUOTA):
        rollup.send(without)
    rollup.process(timestamp=late - 5)
    rollup.check(scenario.owners, scenario.tokens)


def test_when_the_operator_stops_anyone_with_the_keys_goes_on(scenario, rollup, mallory, alice, at_time):
    c = rollup.contract
    until = c.operatorLastSeen() + PRIORITY_TIMEOUT
    submission = rollup.prepare(rollup.transfer(alice, 1, 2, 5, 0x45), timestamp=until - 5)
    at_time(until)
    with reverts(c.OperatorHasPriority, caller=mallory, until=until):
        rollup.send(submission, mallory)
    at_time(until + 1)
    rollup.send(submission, mallory)
    rollup.check(scenario.owners, scenario.tokens)
    assert c.payouts(mallory, scenario.usdc_id) == 5 * 10**4
