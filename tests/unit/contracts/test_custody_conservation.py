"""Conservation over random sequences in the ZK rollup, with people who cheat. Toy keys prove, the pairing is real.

After every step, for each token: what the contract has = balances on Layer 2 + queued deposits + payouts + what was
forced upon it, and the first three are what it says it holds. What is tried in vain is a real transaction, too. Each
walk ends in a freeze, and everybody leaves.
"""

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from layer2.ledger.amounts import decode_fee8
from layer2.ledger.constants import Kind
from layer2.ledger.operations import Operation
from layer2.ledger.transition import Context, apply
from tests.support.reverts import call, call_many, reverts
from tests.support.rollup import FREEZE_DEADLINE, INCLUSION_DEADLINE, Rollup, escape_arguments, key_of
from tests.support.walks import machine, walk_at_random

ETHER, USDC, FEE, REENTRANT = range(4)
ALICE, BOB, MALLORY, OPERATOR, REFUSER = range(5)
ZERO = "0x0000000000000000000000000000000000000000"
SOON = 60
"""Seconds: a deadline so near may pass before the next block."""
SEEN = {
    "deposited",
    "deposited into an account",
    "wrong value",
    "nothing deposited",
    "reentered in vain",
    "forced",
    "forced upon",
    "batch",
    "batch of a stranger",
    "batch changed",
    "batch replayed",
    "queue out of order",
    "no priority",
    "paid",
    "nothing to pay",
    "refused its money",
    "frozen too early",
    "escaped too early",
    "refunded too early",
    "stopped by the freeze",
    "escaped",
    "escaped twice",
    "forged escape",
    "refunded",
    "refunded twice",
    "forged refund",
    "refund of a consumed deposit",
}
"""What happens in the life that is told below; the walks are free to miss it."""


@pytest.fixture(scope="module")
def scene(project, deployer, accounts, trapdoor):
    """A rollup, three tokens, and people: one of them is a contract that refuses ether."""
    registry = deployer.deploy(project.TokenRegistry)
    tokens = [deployer.deploy(kind) for kind in (project.TestUSDC, project.FeeOnTransferToken, project.ReentrantToken)]
    operator, alice, bob, mallory = accounts[1:5]
    rollup = Rollup.deploy(project, deployer, registry, operator, trapdoor)
    for token in tokens:
        registry.register(token, sender=deployer)
        for person in (alice, bob, mallory):
            token.mint(person, 10**24, sender=person)
            token.approve(rollup.contract, 2**256 - 1, sender=person)
    refuser = mallory.deploy(project.RevertingPayee)
    return SimpleNamespace(rollup=rollup, tokens=tokens, people=[alice, bob, mallory, operator, refuser])


def test_conservation(scene):
    """Eight walks of 15 steps."""
    walk_at_random(machine(Machine, scene), walks=8, steps=15)


def test_conservation_in_a_life_with_everything(scene):
    """Every kind of step once, in an order in which it moves money."""
    walk = machine(Machine, scene)()
    walk.live()
    walk.teardown()
    assert set(walk.seen) >= SEEN


class Machine(RuleBasedStateMachine):
    """Every step is what somebody may do, or what somebody tries and is refused."""

    world: SimpleNamespace
    seen: ClassVar[Counter[str]]

    users = st.integers(ALICE, MALLORY)
    owners = st.integers(ALICE, REFUSER)
    tokens = st.integers(ETHER, REENTRANT)
    indices = st.integers(0, 9)
    wishes = st.lists(
        st.tuples(
            st.sampled_from(("transfer", "new", "withdraw", "withdraw", "key")),
            indices,
            indices,
            st.sampled_from((1, 2, 3)),
            st.sampled_from((0, 1)),
        ),
        max_size=3,
    )
    """Kind, account, recipient, the part of the balance, fee."""

    def __init__(self) -> None:
        super().__init__()
        self.rollup: Rollup = self.world.rollup.copy()
        self.c = self.rollup.contract
        self.provider = self.c.provider
        self.people = self.world.people
        self.snapshot = self.provider.make_request("evm_snapshot", [])
        self.holders = {key_of(person).public_key: person for person in self.people[:3]}
        self.entries: list[Operation] = []
        self.owed: Counter[tuple[str, int]] = Counter()
        self.forced: Counter[int] = Counter()
        self.escaped: set[int] = set()
        self.refunded: set[int] = set()
        self.last: bytes | None = None
        self.is_frozen = False

    def teardown(self) -> None:
        self.leave()
        assert self.provider.make_request("evm_revert", [self.snapshot]) is True

    # ---------------------------------------------------------------- transactions

    def transact(self, data: bytes, sender: int, value: int = 0, to=None) -> bool:
        """Sends a transaction, without Ape, which takes ten times as long; whether it did not revert."""
        target = self.c if to is None else to
        transaction = {
            "from": self.people[sender].address,
            "to": target.address,
            "data": "0x" + bytes(data).hex(),
            "value": hex(value),
            "gas": hex(3_000_000),
        }
        hash_ = self.provider.make_request("eth_sendTransaction", [transaction])
        while (receipt := self.provider.make_request("eth_getTransactionReceipt", [hash_])) is None:
            pass  # Anvil answers first, and mines then
        return receipt["status"] == "0x1"

    def send(self, data: bytes, sender: int, value: int = 0) -> None:
        assert self.transact(data, sender, value)

    def refused(self, error, data: bytes, sender: int, value: int = 0, **values) -> None:
        """It reverts with this error, and the transaction is mined all the same."""
        with reverts(error, **values):
            self.provider.web3.eth.call(
                {
                    "to": self.c.address,
                    "from": self.people[sender].address,
                    "data": bytes(data),
                    "value": value,
                    "gas": 3_000_000,
                }
            )
        assert not self.transact(data, sender, value)

    @property
    def now(self) -> int:
        return int(self.provider.get_block("latest").timestamp)

    def mine(self, timestamp: int) -> None:
        self.provider.make_request("evm_setNextBlockTimestamp", [timestamp])
        self.provider.make_request("evm_mine", [])

    # ---------------------------------------------------------------- money in

    @rule(
        who=users,
        owner=owners,
        token=tokens,
        amount=st.sampled_from((0, 1, 250, 10**9)),
        account=indices,
        surplus=st.sampled_from((0, 0, 0, 1)),
    )
    def deposit(self, who, owner, token, amount, account, surplus) -> None:
        """For oneself or for another owner, always with one's own key."""
        key = key_of(self.people[who]).public_key
        value = (amount if token == ETHER else 0) + surplus
        data = self.c.deposit.encode_input(token, amount, self.people[owner].address, account, tuple(key))
        if self.is_frozen:
            self.refused(self.c.RollupFrozen, data, who, value)
            self.seen["stopped by the freeze"] += 1
        elif surplus:
            self.refused(self.c.WrongValue, data, who, value, sent=value, expected=value - 1)
            self.seen["wrong value"] += 1
        elif not amount:
            self.refused(self.c.EmptyDeposit, data, who, value, token=token)
            self.seen["nothing deposited"] += 1
        else:
            self.send(data, who, value)
            arrived = amount - amount // 100 if token == FEE else amount
            entry = Operation.deposit(token, arrived, self.owner(owner), key, account)
            self.rollup.queue.append(entry)
            self.entries.append(entry)
            self.seen["deposited"] += 1

    @rule(who=users, outer=st.sampled_from((1, 500)), is_claim=st.booleans())
    def reenter(self, who, outer, is_claim) -> None:
        """A token that deposits, or claims, in the middle of its own deposit."""
        token, key = self.world.tokens[REENTRANT - 1], tuple(key_of(self.people[who]).public_key)
        if is_claim:
            inner = self.c.withdrawFor.encode_input(self.people[who].address, ETHER)
        else:
            inner = self.c.deposit.encode_input(REENTRANT, 1, self.people[who].address, 0, key)
        assert self.transact(token.setHook.encode_input(self.c.address, inner), who, to=token)
        self.deposit(who, who, REENTRANT, outer, 0, 0)
        if not self.is_frozen:
            assert not token.succeeded()
            self.seen["reentered in vain"] += 1

    @rule(token=tokens)
    def force_upon(self, token) -> None:
        """Money that nobody deposits."""
        before = self.assets(token)
        if token == ETHER:
            self.provider.make_request("anvil_setBalance", [self.c.address, hex(before + 12345)])
        else:
            erc20 = self.world.tokens[token - 1]
            assert self.transact(erc20.transfer.encode_input(self.c.address, 12345), MALLORY, to=erc20)
        self.forced[token] += self.assets(token) - before
        self.seen["forced upon"] += 1

    # ---------------------------------------------------------------- Layer 2

    @rule(who=users, account=indices)
    def force(self, who, account) -> None:
        """One's own account, another's, or one that is not there."""
        data = self.c.forceWithdraw.encode_input(account)
        if self.is_frozen:
            self.refused(self.c.RollupFrozen, data, who)
        elif account == 0:
            self.refused(self.c.AccountOutOfRange, data, who, account=0)
        else:
            self.send(data, who)
            entry = Operation.forced_withdrawal(account, self.owner(who))
            self.rollup.queue.append(entry)
            self.entries.append(entry)
            self.seen["forced"] += 1

    @rule(
        wishes=wishes,
        queued=st.integers(0, 6),
        sender=st.sampled_from((OPERATOR, OPERATOR, MALLORY)),
        attack=st.sampled_from(("", "changed", "replayed", "out of order")),
    )
    def batch(self, wishes, queued, sender, attack) -> None:
        """Some of the queue and some signed operations, by the operator or, when that is idle, by Mallory."""
        if self.is_frozen:
            if self.last:
                self.refused(self.c.RollupFrozen, self.last, OPERATOR)
            return
        now, queue = self.now, self.rollup.queue
        if queue and now + SOON > self.c.queueEntries(self.cursor).arrival + INCLUSION_DEADLINE:
            queued = len(queue)
        if attack == "out of order" and len(queue) > 1 and queue[0] != queue[1]:
            self.rollup.queue = [queue[1], queue[0]]
            bad = self.rollup.prepare(timestamp=now)
            self.rollup.queue = queue
            self.refused(self.c.QueueMismatch, bad.calldata(), OPERATOR, cursor=self.cursor)
            self.seen["queue out of order"] += 1
        signed = self.signed(wishes, queue[:queued], now)
        if not (signed or queue[:queued]):
            return
        submission = self.rollup.prepare(*signed, queued=queued, timestamp=now)
        data = submission.calldata()
        if sender == MALLORY:
            until = self.c.priorityUntil()
            if now <= until:
                if now + SOON < until:
                    self.refused(self.c.OperatorHasPriority, data, MALLORY, until=until)
                    self.seen["no priority"] += 1
                return
        if attack == "changed":
            changed = submission.with_(data=submission.data[:-1] + bytes([submission.data[-1] ^ 1]))
            error = self.c.InvalidProof if signed else self.c.QueueMismatch
            self.refused(error, changed.calldata(), OPERATOR)
            self.seen["batch changed"] += 1
        self.send(data, sender)
        self.last = data
        self.rollup.state = submission.state_after
        self.rollup.queue = queue[queued:]
        for step in submission.steps:
            self.credit(step.operation, sender)
        self.seen["batch of a stranger" if sender == MALLORY else "batch"] += 1
        if attack == "replayed":
            self.refused(self.c.StaleParent, data, OPERATOR, parentHash=submission.parent)
            # On the new tip its proofs do not hold, or its queue entries are gone; it takes too many, or others.
            taken, left = len(queue[:queued]), len(self.rollup.queue)
            error = self.c.QueueExhausted if taken > left else self.c.QueueMismatch if taken else self.c.InvalidProof
            again = submission.with_(parent=bytes(self.c.tipHash()))
            self.refused(error, again.calldata(), OPERATOR)
            self.seen["batch replayed"] += 1

    def signed(self, wishes, entries, now):
        """Operations of these wishes that are valid after the entries, each signed by who has the key."""
        state, context = self.rollup.state, Context(self.rollup.domain, now)
        for entry in entries:
            state = apply(state, entry, context).state_after
        result = []
        for kind, index, to, part, fee in wishes:
            account = state.account(index)
            if account is None:
                continue
            holder, amount = self.holders[account.key], account.balance // part
            if kind == "transfer":
                operation = Operation.transfer(index, to, account.token, min(amount, 1000), fee)
            elif kind == "new":
                operation = Operation.transfer_to_new(
                    index, account.token, min(amount, 1000), account.owner, account.key
                )
            elif kind == "withdraw":
                operation = Operation.withdrawal(index, account.token, amount, account.owner, fee)
            else:
                operation = Operation.key_change(index, account.token, key_of(self.people[MALLORY]).public_key, fee)
            item = replace(self.rollup, state=state).sign(holder, operation)
            step = apply(state, item, context)
            if step.valid:
                result.append(item)
                state = step.state_after
        return result

    def credit(self, operation: Operation, sender: int) -> None:
        """What the contract should make claimable for an operation of a batch."""
        if operation.kind in (Kind.FORCED_WITHDRAWAL, Kind.WITHDRAWAL):
            self.owed[f"0x{operation.owner:040x}", operation.token] += operation.amount
        self.seen["deposited into an account"] += operation.kind == Kind.DEPOSIT and operation.to == operation.account
        self.owed[self.people[sender].address.lower(), operation.token] += decode_fee8(operation.fee)

    @rule(hours=st.sampled_from((1, 3, 25)))
    def time_passes(self, hours) -> None:
        self.mine(self.now + hours * 3600)

    # ---------------------------------------------------------------- money out

    @rule(owner=owners, token=tokens, is_own=st.booleans())
    def pay(self, owner, token, is_own) -> None:
        """By oneself to Mallory's address, or by Mallory to the owner."""
        address = self.people[owner].address
        owed = self.owed[address.lower(), token]
        is_own = is_own and owner != REFUSER
        if is_own:
            data, sender = self.c.withdraw.encode_input(token, self.people[MALLORY].address), owner
        else:
            data, sender = self.c.withdrawFor.encode_input(address, token), MALLORY
        if not owed:
            self.refused(self.c.NothingToWithdraw, data, sender, owner=address, token=token)
            self.seen["nothing to pay"] += 1
        elif owner == REFUSER and token == ETHER:
            self.refused(self.c.ETHTransferFailed, data, sender)
            self.seen["refused its money"] += 1
        else:
            before = self.assets(token)
            self.send(data, sender)
            assert before - self.assets(token) == owed
            del self.owed[address.lower(), token]
            self.seen["paid"] += 1

    # ---------------------------------------------------------------- the end

    @rule(is_late=st.sampled_from((False, False, False, True)))
    def freeze(self, is_late) -> None:
        data = self.c.freeze.encode_input()
        if self.is_frozen:
            self.refused(self.c.RollupFrozen, data, MALLORY)
        elif is_late and self.rollup.queue:
            self.mine(self.now + FREEZE_DEADLINE + 1)
            self.send(data, MALLORY)
            self.is_frozen = True
        else:
            self.refused(self.c.FreezeTooEarly, data, MALLORY)
            self.seen["frozen too early"] += 1

    @rule(index=indices, surplus=st.sampled_from((0, 0, 1)))
    def escape(self, index, surplus) -> None:
        account = self.rollup.state.account(index)
        if account is None:
            return
        index, leaf, path = escape_arguments(self.rollup.state, index)
        leaf = (*leaf[:3], leaf[3] + surplus, leaf[4])
        data = self.c.escape.encode_input(index, leaf, path)
        if not self.is_frozen:
            self.refused(self.c.NotFrozen, data, MALLORY)
            self.seen["escaped too early"] += 1
        elif not account.balance + surplus:
            self.refused(self.c.NothingToEscape, data, MALLORY, index=index)
        elif surplus:
            self.refused(self.c.InvalidEscapeProof, data, MALLORY)
            self.seen["forged escape"] += 1
        elif index in self.escaped:
            self.refused(self.c.AlreadyEscaped, data, MALLORY, index=index)
            self.seen["escaped twice"] += 1
        else:
            self.send(data, MALLORY)
            self.escaped.add(index)
            self.owed[f"0x{account.owner:040x}", account.token] += account.balance
            self.seen["escaped"] += 1

    @rule(index=st.integers(0, 12), surplus=st.sampled_from((0, 0, 1)))
    def refund(self, index, surplus) -> None:
        if index >= len(self.entries):
            return
        entry = self.entries[index]
        owner, key = f"0x{entry.owner:040x}", (entry.key_x, entry.key_y)
        amount = entry.amount + surplus
        data = self.c.refundDeposit.encode_input(index, entry.account, entry.token, amount, owner, key)
        if not self.is_frozen:
            self.refused(self.c.NotFrozen, data, MALLORY)
            self.seen["refunded too early"] += 1
        elif index < self.cursor:
            self.refused(self.c.DepositConsumed, data, MALLORY, index=index, cursor=self.cursor)
            self.seen["refund of a consumed deposit"] += 1
        elif surplus:
            self.refused(self.c.DepositMismatch, data, MALLORY, index=index)
            self.seen["forged refund"] += 1
        elif entry.kind == Kind.FORCED_WITHDRAWAL:
            self.refused(self.c.NotADeposit, data, MALLORY, index=index)
        elif index in self.refunded:
            self.refused(self.c.DepositAlreadyRefunded, data, MALLORY, index=index)
            self.seen["refunded twice"] += 1
        else:
            self.send(data, MALLORY)
            self.refunded.add(index)
            self.owed[owner, entry.token] += entry.amount
            self.seen["refunded"] += 1

    # ---------------------------------------------------------------- a life, and its end

    def live(self) -> None:
        """Everything that can happen, in an order in which it moves money."""
        for step in (
            *(lambda token=token: self.deposit(ALICE, ALICE, token, 10**9, 0, 0) for token in range(4)),
            lambda: self.deposit(BOB, BOB, ETHER, 250, 0, 0),
            lambda: self.deposit(MALLORY, REFUSER, ETHER, 250, 0, 0),
            lambda: self.deposit(MALLORY, ALICE, USDC, 250, 2, 0),
            lambda: self.deposit(MALLORY, MALLORY, ETHER, 1, 0, 1),
            lambda: self.deposit(MALLORY, MALLORY, USDC, 0, 0, 0),
            lambda: self.reenter(MALLORY, 500, False),
            *(lambda token=token: self.force_upon(token) for token in range(4)),
            lambda: self.batch([], 2, OPERATOR, "out of order"),
            lambda: self.batch([], 6, OPERATOR, "replayed"),
            lambda: self.batch([("withdraw", 1, 0, 2, 1), ("transfer", 2, 7, 2, 0)], 2, MALLORY, ""),
            lambda: self.batch([("withdraw", 1, 0, 2, 1), ("transfer", 1, 5, 2, 0)], 6, OPERATOR, "changed"),
            lambda: self.deposit(ALICE, ALICE, ETHER, 250, 1, 0),
            lambda: self.force(MALLORY, 1),
            lambda: self.force(ALICE, 2),
            lambda: self.time_passes(25),
            lambda: self.batch([("withdraw", 6, 0, 1, 0), ("new", 3, 0, 2, 0)], 6, MALLORY, "replayed"),
            lambda: self.pay(ALICE, USDC, True),
            lambda: self.pay(ALICE, USDC, False),
            lambda: self.pay(REFUSER, ETHER, False),
            lambda: self.reenter(ALICE, 1, True),
            lambda: self.freeze(False),
            lambda: self.escape(1, 0),
            lambda: self.refund(0, 0),
            lambda: self.deposit(BOB, BOB, FEE, 250, 0, 0),
            lambda: self.deposit(BOB, BOB, ETHER, 1, 0, 0),
            lambda: self.force(BOB, 5),
            lambda: self.freeze(True),
            lambda: self.freeze(True),
            lambda: self.deposit(BOB, BOB, ETHER, 1, 0, 0),
            lambda: self.force(BOB, 5),
            lambda: self.batch([], 6, OPERATOR, ""),
            lambda: self.escape(1, 1),
            lambda: self.escape(1, 0),
            lambda: self.escape(1, 0),
            lambda: self.refund(0, 0),
            *(lambda index=index: self.refund(len(self.entries) - index, 1) for index in (1, 2)),
            *(lambda index=index: self.refund(len(self.entries) - index, 0) for index in (1, 2, 2)),
        ):
            step()
            self.books_balance()

    def leave(self) -> None:
        """Everybody escapes, every deposit is refunded, and everybody is paid."""
        if not self.is_frozen:
            self.force(MALLORY, 1)
            self.freeze(True)
        for index, account in self.rollup.state.accounts():
            if account.balance and index not in self.escaped:
                self.escape(index, 0)
        for index in range(self.cursor, len(self.entries)):
            if self.entries[index].kind == Kind.DEPOSIT and index not in self.refunded:
                self.refund(index, 0)
        self.books_balance()
        for owner in range(len(self.people)):
            for token in range(4):
                if self.owed[self.people[owner].address.lower(), token]:
                    self.pay(owner, token, False)
        self.books_balance()
        stuck = self.owed[self.people[REFUSER].address.lower(), ETHER]
        assert [self.c.held(token) for token in range(4)] == [stuck, 0, 0, 0]

    # ---------------------------------------------------------------- the books

    @property
    def cursor(self) -> int:
        """How many entries of the queue batches have taken."""
        return len(self.entries) - len(self.rollup.queue)

    def owner(self, who: int) -> int:
        return int(self.people[who].address, 16)

    def assets(self, token: int) -> int:
        if token == ETHER:
            return int(self.provider.get_balance(self.c.address))
        erc20 = self.world.tokens[token - 1]
        return int.from_bytes(call(erc20, bytes(erc20.balanceOf.encode_input(self.c))))

    @invariant()
    def books_balance(self) -> None:
        owners = [*(person.address for person in self.people), self.c.address, ZERO]
        calls = [self.c.stateRoot, self.c.queueTail, self.c.queueCursor]
        inputs = [view.encode_input() for view in calls]
        inputs += [self.c.held.encode_input(token) for token in range(4)]
        inputs += [self.c.payouts.encode_input(owner, token) for token in range(4) for owner in owners]
        numbers = [int.from_bytes(a) for a in call_many(self.provider, [(self.c.address, bytes(i)) for i in inputs])]
        assert numbers[:3] == [self.rollup.state.root, len(self.entries), self.cursor]
        held, paid = numbers[3:7], iter(numbers[7:])

        there: Counter[int] = Counter()
        for index, account in self.rollup.state.accounts():
            there[account.token] += account.balance * (index not in self.escaped)
        for index in range(self.cursor, len(self.entries)):
            there[self.entries[index].token] += self.entries[index].amount * (index not in self.refunded)
        for token in range(4):
            for owner in owners:
                amount = next(paid)
                assert amount == self.owed[owner.lower(), token]
                there[token] += amount
            assert held[token] == there[token]
            assert self.assets(token) == held[token] + self.forced[token]
