"""Conservation over random sequences: after every step the contract has what it owes, whatever state it falls back to.

For each token and each batch from the last confirmed one to the last right one:

    held = balances and pools of that state + deposits that it has not consumed + payouts + withdrawals that are not
           claimed yet + fees that are not confirmed yet

and ether = held + bonds + rewards. After a freeze, leaves that have escaped and refunded deposits count no more. Each
walk ends in a freeze, everybody takes everything out, and what is left are the pools' locked shares.
"""

from collections import Counter
from types import SimpleNamespace
from typing import ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from layer2.crypto.eip712 import address_of
from layer2.optimistic.operations import (
    AddLiquidity,
    CreatePool,
    RemoveLiquidity,
    Swap,
    Transfer,
    TransferToNew,
    Withdraw,
)
from layer2.optimistic.records import Account, Pool, Position, encode
from tests.support.optimistic import DAY, FOREVER, NO_KEY, STAKE, Config, Posted, Rollup, private_key
from tests.support.walks import machine, walk_at_random

CONFIG = Config(levels=5, freeze_deadline=9 * DAY, inclusion_deadline=2 * DAY)
SEEN = {
    "wrong batch fell",
    "right batch fell",
    "withdrawal claimed",
    "paid out",
    "bond paid back",
    "reward paid",
    "account escaped",
    "position escaped",
    "deposit refunded",
}
"""What happens in the life that is told below; the walks are free to miss it."""

OPERATIONS = ("transfer", "new", "withdraw", "swap", "pool", "add", "remove")


@pytest.fixture(scope="module")
def everybody(project, deployer, registry, parts, usdc, accounts):
    """A fresh rollup and everybody: two sequencers, two owners with ether and USDC, a prover, and a mallory."""
    rollup = Rollup.deploy(project, deployer, registry, parts, config=CONFIG)
    owners, sequencers = accounts[2:4], accounts[6:8]
    for owner in owners:
        usdc.contract.approve(rollup.contract, 2**256 - 1, sender=owner)
    return SimpleNamespace(rollup=rollup, owners=owners, sequencers=sequencers, prover=accounts[5], usdc=usdc)


def test_conservation(everybody):
    """Five walks of 25 steps."""
    walk_at_random(machine(Machine, everybody), walks=5, steps=25)


def test_conservation_in_a_life_with_everything(everybody):
    """Every kind of step once, in an order in which it moves money."""
    walk = machine(Machine, everybody)()
    walk.begin()
    walk.live()
    walk.teardown()
    assert set(walk.seen) >= SEEN


class Machine(RuleBasedStateMachine):
    """Every step is what somebody may do; who may not is tested elsewhere."""

    world: SimpleNamespace
    seen: ClassVar[Counter[str]]

    def __init__(self) -> None:
        super().__init__()
        self.rollup: Rollup = self.world.rollup.copy()
        self.undone = self.rollup.undone()
        self.undone.__enter__()
        self.owners, self.usdc = self.world.owners, self.world.usdc
        self.keys = {address_of(private_key(owner)): owner for owner in self.owners}
        self.wrong: set[bytes] = set()
        self.proven: list[bytes] = []
        self.claimed: set[int] = set()
        self.escaped: set[int] = set()
        self.refunded: set[int] = set()

    def teardown(self) -> None:
        if self.rollup.queue:
            self.end()
        self.undone.__exit__(None, None, None)

    # ---------------------------------------------------------------- what is there

    @property
    def contract(self):
        return self.rollup.contract

    @property
    def tip(self) -> Posted:
        return self.rollup.tip

    @property
    def confirmed(self) -> int:
        return int(self.contract.confirmedBatchId())

    def chain(self) -> list[Posted]:
        """The batches from the last confirmed one on."""
        return self.rollup.posted[self.confirmed : self.contract.currentBatchId() + 1]

    def first_wrong(self) -> Posted | None:
        return next((posted for posted in self.chain() if posted.hash in self.wrong), None)

    def is_frozen(self) -> bool:
        return bool(self.contract.isFrozen())

    def bonded(self):
        """A sequencer that may submit."""
        for sequencer in self.world.sequencers:
            bond = self.contract.bonds(sequencer)
            if bond.amount >= STAKE and not bond.exitStartedAt:
                return sequencer
        return None

    # ---------------------------------------------------------------- L1

    @initialize()
    def begin(self) -> None:
        self.rollup.bond(*self.world.sequencers)
        for owner in self.owners:
            self.rollup.deposit(owner, 0, 10**18)
            self.rollup.deposit(owner, self.usdc.id, 10**9)

    @precondition(lambda self: not self.is_frozen())
    @rule(who=st.integers(0, 1), ether=st.booleans(), account=st.integers(0, 8), amount=st.integers(1, 10**9))
    def deposit(self, who, ether, account, amount) -> None:
        self.rollup.deposit(self.owners[who], 0 if ether else self.usdc.id, amount, account=account)

    @precondition(lambda self: not self.is_frozen())
    @rule(who=st.integers(0, 1), account=st.integers(1, 12))
    def force(self, who, account) -> None:
        self.rollup.force_withdraw(self.owners[who], account)

    @rule(days=st.sampled_from((0.01, 1, 3.6, 7.1)))
    def time_passes(self, days) -> None:
        """Nobody sleeps for a week while a wrong batch can be disputed."""
        self.prove_all()
        self.rollup.mine(self.rollup.now + int(days * DAY))

    # ---------------------------------------------------------------- batches

    @precondition(lambda self: not self.is_frozen() and self.bonded() and not self.first_wrong())
    @rule(source=st.randoms(use_true_random=False), size=st.integers(0, 6))
    def post(self, source, size) -> None:
        self.rollup.post(self.draft(source, size), self.bonded())

    @precondition(lambda self: not self.is_frozen() and self.bonded())
    @rule(byte=st.integers(1, 255))
    def post_wrong(self, byte) -> None:
        """With a root of its own, and all of the queue, whatever is before."""
        waiting = len(self.rollup.queue) - self.tip.header.queue_cursor
        honest = self.rollup.with_cursor(self.rollup.make(chunks=[b""]), self.tip.header.queue_cursor + waiting)
        sequencer = self.bonded()
        posted = self.rollup.post(honest.with_(state_root=bytes([byte]) * 32, fees=(10**30, 0, 0, 0)), sequencer)
        self.wrong.add(posted.hash)

    def prove_all(self) -> None:
        while self.first_wrong():
            self.prove()

    @precondition(lambda self: self.first_wrong() is not None)
    @rule()
    def prove(self) -> None:
        wrong = self.first_wrong()
        last = self.tip.id
        self.rollup.prove(wrong, self.world.prover)
        self.proven.append(wrong.hash)
        self.seen["wrong batch fell"] += 1
        self.seen["right batch fell"] += last > wrong.id

    @precondition(lambda self: not self.is_frozen() and len(self.chain()) > 1)
    @rule()
    def confirm(self) -> None:
        """The next one, after its week if need be; so wrong ones fall first."""
        self.prove_all()
        if len(self.chain()) > 1:
            self.rollup.confirm(self.chain()[1], self.world.prover)

    def draft(self, source, size):
        """Some of the queue, then operations that are valid or not."""
        rollup = self.rollup
        waiting = len(rollup.queue) - self.tip.header.queue_cursor
        # All of it, or enough of it when it is overdue.
        taken = (
            waiting if source.random() < 0.5 else min(waiting, max(CONFIG.queue_quota, source.randrange(waiting + 1)))
        )
        operations: list = []
        state = rollup.make(queue=taken).states[-1]
        for _ in range(size):
            operation = self.operation(source, state)
            if operation is None:
                continue
            operations.append(operation)
            state = rollup.make(*operations, queue=taken).states[-1]
        return rollup.make(*operations, queue=taken)

    def operation(self, source, state):
        found = {
            kind: [index for index, record in state.records() if isinstance(record, kind)]
            for kind in (Account, Pool, Position)
        }
        accounts, pools, positions = found[Account], found[Pool], found[Position]
        pick = lambda indices: source.choice(indices) if indices else 1  # noqa: E731
        a = pick(accounts)
        owner = getattr(state.record(a), "owner", 0)
        # Half of the time the other account is of the same owner, as much of this needs it to be.
        mine = [index for index in accounts if state.record(index).owner == owner]
        b = pick(mine if source.random() < 0.5 else accounts)
        amount = source.choice((0, 1, 1000, 10**6, 10**8, 10**17))
        fee = source.choice((0, 0, 1, 1000))
        operation = {
            "transfer": Transfer(a, b, amount, fee, FOREVER),
            "new": TransferToNew(a, source.choice(list(self.keys)), amount, fee, FOREVER),
            "withdraw": Withdraw(a, amount + source.randrange(3), fee, FOREVER),
            "swap": Swap(a, b, pick(pools), amount, 0, fee, FOREVER),
            "pool": CreatePool(a, b, 10**8, 10**7, fee, FOREVER),
            "add": AddLiquidity(a, b, pick(pools), source.choice((0, pick(positions))), amount, 0, 10**9, fee, FOREVER),
            "remove": RemoveLiquidity(pick(positions), a, b, amount, 0, 0, fee, FOREVER),
        }[source.choice(OPERATIONS)]
        signer = state.record(a)
        if not isinstance(signer, Account):
            return None
        try:
            return self.rollup.sign(self.keys[signer.owner], operation, state=state)
        except ValueError:
            return None

    # ---------------------------------------------------------------- money out

    @rule()
    def claim_a_withdrawal(self) -> None:
        confirmed = self.rollup.posted[self.confirmed]
        left = [index for index in range(confirmed.state.withdrawal_count) if index not in self.claimed]
        if left:
            self.rollup.claim_withdrawal(confirmed, left[0], self.world.prover)
            self.claimed.add(left[0])
            self.seen["withdrawal claimed"] += 1

    @rule(who=st.integers(0, 3), ether=st.booleans())
    def withdraw(self, who, ether) -> None:
        payee, token = [*self.owners, *self.world.sequencers][who], 0 if ether else self.usdc.id
        if self.contract.payouts(payee, token):
            self.contract.withdraw(token, payee, sender=payee)
            self.seen["paid out"] += 1

    @rule(who=st.integers(0, 1))
    def leave_or_return(self, who) -> None:
        sequencer = self.world.sequencers[who]
        bond = self.contract.bonds(sequencer)
        if bond.amount == 0:
            self.contract.bond(value=STAKE, sender=sequencer)
        elif not bond.exitStartedAt:
            self.contract.startExit(sender=sequencer)
        elif self.rollup.now > bond.exitStartedAt + CONFIG.challenge_period:
            self.contract.withdrawBond(sender=sequencer)
            self.seen["bond paid back"] += 1

    @rule()
    def claim_a_reward(self) -> None:
        for batch_hash in self.proven:
            reward = self.contract.rewards(batch_hash)
            if reward.amount and self.rollup.now > reward.provenAt + CONFIG.reward_delay:
                self.contract.claimReward(batch_hash, sender=self.world.prover)
                self.seen["reward paid"] += 1

    # ---------------------------------------------------------------- a life

    def live(self) -> None:
        """Deposits, a pool, a withdrawal, a batch that falls with a descendant, and a sequencer that leaves."""
        rollup, alice = self.rollup, self.owners[0]
        first, second = self.world.sequencers

        def post(*operations, queue: int = 0) -> None:
            made: list = []
            state = rollup.make(queue=queue).states[-1]
            for operation in operations:
                made.append(rollup.sign(alice, operation, state=state))
                state = rollup.make(*made, queue=queue).states[-1]
            rollup.post(rollup.make(*made, queue=queue), first)
            self.books_balance()

        # Alice's accounts are 1 (ether) and 2 (USDC).
        post(queue=4)
        post(CreatePool(1, 2, 10**8, 10**7, 7, FOREVER), Withdraw(1, 12345, 5, FOREVER))
        self.post_wrong(1)
        self.books_balance()
        post()
        self.prove()
        self.books_balance()
        # The first sequencer's bond is lost.
        rollup.bond(first)
        self.leave_or_return(1)
        assert self.contract.bonds(second).exitStartedAt
        for step in (self.confirm, self.confirm, self.claim_a_withdrawal, lambda: self.time_passes(7.1)):
            step()
            self.books_balance()
        self.leave_or_return(1)
        self.books_balance()
        self.claim_a_reward()
        self.books_balance()

    # ---------------------------------------------------------------- the end

    def end(self) -> None:
        """Nobody makes batches any more."""
        if not self.is_frozen():
            self.prove_all()
            self.rollup.deposit(self.owners[0], 0, 5)
            for posted in self.chain()[1:]:
                self.rollup.confirm(posted, self.world.prover)
            self.rollup.mine(self.rollup.now + CONFIG.freeze_deadline + 1)
            self.contract.freeze(self.tip.arguments, self.tip.arguments, sender=self.world.prover)
        self.books_balance()
        for index in range(1, 32):
            self.escape(index)
        for place in range(len(self.rollup.queue) - self.contract.finalCursor()):
            self.refund(place)
        while len(self.claimed) < self.rollup.posted[self.confirmed].state.withdrawal_count:
            self.claim_a_withdrawal()
        self.books_balance()
        for who in range(4):
            for ether in (True, False):
                self.withdraw(who, ether)
        self.books_balance()
        for token in (0, self.usdc.id):
            assert self.contract.held(token) == self.on_layer_2(self.rollup.posted[self.confirmed].state, token)

    @precondition(lambda self: not self.is_frozen())
    @rule()
    def freeze(self) -> None:
        """When it can be; what can be confirmed is confirmed first."""
        c = self.contract
        cursor = c.queueCursor()
        if cursor == c.queueTail() or self.first_wrong():
            return
        since = max(c.queueEntries(cursor).arrival, self.tip.header.executed_at)
        if self.rollup.now <= since + CONFIG.freeze_deadline:
            return
        for posted in self.chain()[1:]:
            self.rollup.confirm(posted, self.world.prover)
        c.freeze(self.tip.arguments, self.tip.arguments, sender=self.world.prover)

    @precondition(lambda self: self.is_frozen())
    @rule(index=st.integers(1, 31))
    def escape(self, index) -> None:
        state = self.rollup.posted[self.confirmed].state
        record = state.record(index)
        if index in self.escaped:
            return
        if isinstance(record, Account) and record.balance:
            self.contract.escape(index, encode(record), state.path(index), sender=self.world.prover)
            self.escaped.add(index)
            self.seen["account escaped"] += 1
        elif isinstance(record, Position) and record.shares:
            pool = encode(state.record(record.pool)), state.path(record.pool)
            self.contract.escapePosition(index, encode(record), state.path(index), *pool, sender=self.world.prover)
            self.escaped.add(index)
            self.seen["position escaped"] += 1

    @precondition(lambda self: self.is_frozen())
    @rule(place=st.integers(0, 40))
    def refund(self, place) -> None:
        index = self.contract.finalCursor() + place
        if index >= len(self.rollup.queue) or index in self.refunded or self.rollup.queue[index][0] != 1:
            return
        entry = self.rollup.queue[index]
        account, token, amount = (int.from_bytes(entry[a:b]) for a, b in ((1, 5), (9, 11), (12, 28)))
        owner = f"0x{entry[28:48].hex()}"
        self.contract.refundDeposit(index, account, token, amount, owner, NO_KEY, sender=self.world.prover)
        self.refunded.add(index)
        self.seen["deposit refunded"] += 1

    # ---------------------------------------------------------------- the books

    @invariant()
    def books_balance(self) -> None:
        c = self.contract
        people = [*self.owners, *self.world.sequencers, self.world.prover]
        wrong = self.first_wrong()
        chain = self.chain()
        right = [posted for posted in chain if wrong is None or posted.id < wrong.id]
        if self.is_frozen():
            right = right[:1]
        for token in (0, self.usdc.id):
            held = c.held(token)
            payouts = sum(c.payouts(who, token) for who in people)
            fees = 0
            for posted in right:
                if posted.id > self.confirmed:
                    fees += sum(word & 2**128 - 1 for word in posted.header.fees if word >> 128 == token)
                state = posted.state
                owed = self.on_layer_2(state, token) + self.queued(state.queue_cursor, token) + fees + payouts
                owed += sum(
                    paid.amount
                    for index in range(state.withdrawal_count)
                    if index not in self.claimed and (paid := state.withdrawal(index)).token == token
                )
                assert held == owed, (token, posted.id)
        bonds = sum(c.bonds(who).amount for who in people)
        rewards = sum(c.rewards(batch_hash).amount for batch_hash in self.proven)
        assert c.balance == c.held(0) + bonds + rewards
        assert self.usdc.contract.balanceOf(c) == c.held(self.usdc.id)

    def on_layer_2(self, state, token: int) -> int:
        """Balances and pools; less what has escaped."""
        total = 0
        pools = {index: record for index, record in state.records() if isinstance(record, Pool)}
        for index, record in state.records():
            gone = index in self.escaped
            if isinstance(record, Account) and record.token == token:
                total += 0 if gone else record.balance
            elif isinstance(record, Pool):
                total += record.reserve_a * (record.token_a == token) + record.reserve_b * (record.token_b == token)
            elif isinstance(record, Position) and gone:
                pool = pools[record.pool]
                for side, reserve in ((pool.token_a, pool.reserve_a), (pool.token_b, pool.reserve_b)):
                    total -= (side == token) * (record.shares * reserve // pool.shares)
        return total

    def queued(self, cursor: int, token: int) -> int:
        """Deposits that a state has not consumed; less what was refunded."""
        return sum(
            int.from_bytes(entry[12:28])
            for index, entry in enumerate(self.rollup.queue)
            if index >= cursor and index not in self.refunded and entry[0] == 1 and int.from_bytes(entry[9:11]) == token
        )
