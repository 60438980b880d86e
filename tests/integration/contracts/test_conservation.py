"""Conservation over random sequences: after every step the contract owes what the ledger says, and has it.

The ledger executes. Toy keys prove, so that there can be many batches; in one short walk the circuits' keys do. A batch
is only accepted if contract and ledger agree on every bit of its public inputs.
"""

import random
from collections import Counter

import pytest

from layer2.ledger.constants import Kind
from layer2.ledger.operations import Operation
from layer2.ledger.transition import Context, apply
from tests.support.rollup import FREEZE_DEADLINE, Rollup, escape_arguments
from tests.support.toy_keys import Trapdoor

STEPS = 60


class Walk:
    """A rollup, some tokens and owners, and a random next step."""

    def __init__(self, project, deployer, operator, owners, source: random.Random, *, is_real: bool = False) -> None:
        self.source, self.owners, self.payees = source, owners, [*owners, operator]
        self.kinds = Counter()  # of what was in batches
        registry = deployer.deploy(project.TokenRegistry)
        tokens = [deployer.deploy(t) for t in (project.TestUSDC, project.FeeOnTransferToken, project.ReentrantToken)]
        for token in tokens:
            registry.register(token, sender=deployer)
        self.tokens = [(0, None), *enumerate(tokens, start=1)]
        self.rollup = Rollup.deploy(project, deployer, registry, operator, None if is_real else Trapdoor())
        for token in tokens:
            for owner in owners:
                token.mint(owner, 10**24, sender=owner)
                token.approve(self.rollup.contract, 2**256 - 1, sender=owner)

    def deposit(self) -> None:
        token, _ = self.source.choice(self.tokens)
        account = self.source.choice([0, 0, *range(1, self.rollup.state.next_index + 1)])
        amount = self.source.choice([100, 10**9, 10**18])
        self.rollup.deposit(self.source.choice(self.owners), token, amount, account=account)

    def force(self) -> None:
        self.rollup.force_withdraw(self.source.choice(self.owners), self.source.randint(1, 10))

    def batch(self) -> None:
        """Some of the queue, then random signed operations; those that are not valid are left out."""
        queued = self.source.randint(0, len(self.rollup.queue))
        state = self.rollup.state
        timestamp = int(self.rollup.contract.batchTimestamp())
        context = Context(self.rollup.domain, timestamp)
        for entry in self.rollup.queue[:queued]:
            state = apply(state, entry, context).state_after
        signed = []
        for _ in range(self.source.randint(0, 4)):
            operation = self.operation(state)
            owner = next((o for o in self.owners if operation and self.owns(o, state, operation.account)), None)
            if operation is None or owner is None:
                continue
            ahead = Rollup(self.rollup.contract, self.rollup.operator, state, self.rollup.domain)
            item = ahead.sign(owner, operation)
            step = apply(state, item, context)
            if step.valid:
                signed.append(item)
                state = step.state_after
        if queued or signed:
            self.kinds.update(item.kind for item in self.rollup.queue[:queued])
            self.kinds.update(item.operation.kind for item in signed)
            self.rollup.process(*signed, queued=queued)

    def owns(self, owner, state, index: int) -> bool:
        account = state.account(index)
        return account is not None and account.owner == int(owner.address, 16)

    def operation(self, state) -> Operation | None:
        if state.next_index == 1:
            return None
        index = self.source.randrange(1, state.next_index)
        account = state.account(index)
        amount = self.source.choice([0, 1, account.balance // 2, account.balance])
        fee = self.source.choice([0, 0x01, 0x45])
        kind = self.source.choice([Kind.TRANSFER, Kind.WITHDRAWAL, Kind.WITHDRAWAL, Kind.TRANSFER_TO_NEW])
        if kind == Kind.TRANSFER:
            to = self.source.randrange(1, state.next_index)
            return Operation.transfer(index, to, account.token, self.source.choice([1, 50, 10**6]), fee)
        if kind == Kind.WITHDRAWAL:
            return Operation.withdrawal(index, account.token, amount, account.owner, fee)
        return Operation.transfer_to_new(index, account.token, 7, account.owner, account.key, fee)

    def claim(self) -> None:
        c = self.rollup.contract
        owed = [(o, t) for o in self.payees for t, _ in self.tokens if c.payouts(o, t)]
        if owed:
            owner, token = self.source.choice(owed)
            c.withdrawFor(owner, token, sender=self.source.choice(self.owners))

    def gift(self) -> None:
        """Tokens that nobody deposits."""
        _, token = self.source.choice(self.tokens[1:])
        token.transfer(self.rollup.contract, 12345, sender=self.owners[0])

    def step(self) -> None:
        moves = [self.deposit] * 4 + [self.force] + [self.batch] * 4 + [self.claim] * 2 + [self.gift]
        self.source.choice(moves)()
        self.rollup.check(self.payees, self.tokens)


def test_conservation_when_everybody_escapes(project, deployer, operator, alice, bob, mallory, chain):
    """Nobody submits any more: what accounts, queue and payouts hold goes to their owners, and that is all."""
    walk = Walk(project, deployer, operator, [alice, bob, mallory], random.Random(7))
    for _ in range(STEPS):
        walk.step()
    rollup, contract = walk.rollup, walk.rollup.contract
    rollup.deposit(alice, 0, 10**18)
    rollup.force_withdraw(bob, 1)
    rollup.deposit(bob, 1, 10**9, account=1)
    rollup.check(walk.payees, walk.tokens)
    chain.mine(timestamp=chain.pending_timestamp + FREEZE_DEADLINE + 1)
    contract.freeze(sender=mallory)
    held = [contract.held(token) for token, _ in walk.tokens]
    assert all(held)

    for index, account in rollup.state.accounts():
        if account.balance:
            contract.escape(*escape_arguments(rollup.state, index), sender=mallory)
    cursor = contract.finalCursor()
    for index, entry in enumerate(rollup.queue, cursor):
        if entry.kind == Kind.DEPOSIT:
            owner = f"0x{entry.owner:040x}"
            key = (entry.key_x, entry.key_y)
            contract.refundDeposit(index, entry.account, entry.token, entry.amount, owner, key, sender=mallory)
    for (token, _), total in zip(walk.tokens, held, strict=True):
        assert sum(contract.payouts(owner, token) for owner in walk.payees) == contract.held(token) == total
    for owner in walk.payees:
        for token, _ in walk.tokens:
            if contract.payouts(owner, token):
                contract.withdrawFor(owner, token, sender=alice)
    assert [contract.held(token) for token, _ in walk.tokens] == [0, 0, 0, 0]
    assert contract.balance == 0


@pytest.mark.parametrize("seed", range(3))
def test_conservation(project, deployer, operator, alice, bob, mallory, seed):
    walk = Walk(project, deployer, operator, [alice, bob, mallory], random.Random(seed))
    for _ in range(STEPS):
        walk.step()
    contract = walk.rollup.contract
    assert contract.currentBatchId() >= 5
    assert contract.queueCursor() >= 5

    # The end of it: everybody forces everything out.
    for index in range(1, walk.rollup.state.next_index):
        owner = next(o for o in walk.owners if walk.owns(o, walk.rollup.state, index))
        walk.rollup.force_withdraw(owner, index)
    walk.rollup.process()
    for index in range(1, walk.rollup.state.next_index):
        late = walk.rollup.state.account(index)
        if late.balance:
            owner = next(o for o in walk.owners if walk.owns(o, walk.rollup.state, index))
            walk.rollup.force_withdraw(owner, index)
    if walk.rollup.queue:
        walk.rollup.process()
    for owner in walk.payees:
        for token, _ in walk.tokens:
            if contract.payouts(owner, token):
                contract.withdrawFor(owner, token, sender=alice)
    walk.rollup.check(walk.payees, walk.tokens)
    assert [contract.held(token) for token, _ in walk.tokens] == [0, 0, 0, 0]
    assert contract.balance == 0


def test_conservation_with_real_proofs(project, deployer, operator, alice, bob, mallory):
    """A few batches: a proof takes as long as many steps."""
    walk = Walk(project, deployer, operator, [alice, bob, mallory], random.Random(0), is_real=True)
    for _ in range(STEPS):
        walk.step()
        if walk.rollup.contract.currentBatchId() >= 4 and len(walk.kinds) >= 3:
            break
    assert walk.rollup.contract.currentBatchId() >= 4
    assert {Kind.DEPOSIT, Kind.WITHDRAWAL} <= walk.kinds.keys(), walk.kinds
