"""Random sequences of operations, valid and not, against a second, naive implementation of docs/protocol.md §4
that keeps accounts in a dictionary and knows nothing of trees, steps or reasons."""

import random
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layer2.crypto.babyjub import IDENTITY
from layer2.crypto.eddsa import Point, Signature, verify
from layer2.crypto.field import A, D, L, R
from layer2.crypto.poseidon import poseidon
from layer2.ledger.account import Account
from layer2.ledger.constants import Kind
from layer2.ledger.errors import OperationError
from layer2.ledger.operations import NO_KEY, Operation, SignedOperation, sign_operation
from layer2.ledger.state import State
from layer2.ledger.transition import Context, Failure, Step, apply, replay
from layer2.ledger.tree import root_of_path
from tests.unit.ledger.world import DOMAIN, KEYS, NOW

LEVELS = 1
CAPACITY = 4
OWNERS = [0xA, 0xB]
TOKENS = [0, 1]
NOTHING = {"owner": 0xA, "key": None, "token": 0, "nonce": 0, "balance": 0}


@dataclass
class Model:
    accounts: dict[int, dict] = field(default_factory=dict)
    next_index: int = 1

    def root(self) -> int:
        leaves = [0] * CAPACITY
        for index, held in self.accounts.items():
            packed = held["balance"] + held["nonce"] * 2**128 + held["token"] * 2**160
            leaves[index] = poseidon([packed, held["owner"], *held["key"]])
        return poseidon(leaves)

    def open(self, owner, key, token, balance) -> int:
        self.accounts[self.next_index] = {"owner": owner, "key": key, "token": token, "nonce": 0, "balance": balance}
        self.next_index += 1
        return self.next_index - 1

    def overflows(self, op: Operation) -> bool:
        """Whether a deposit would bring an account to 2¹²⁸: custody does not let it happen."""
        return op.kind == 1 and self.takes(op) and self.accounts[op.account]["balance"] + op.amount >= 2**128

    def takes(self, op: Operation) -> bool:
        """Whether the account that a deposit wants is one of its owner, token and key."""
        held = self.accounts.get(op.account)
        if not held:
            return False
        return held["owner"] == op.owner and held["token"] == op.token and held["key"] == (op.key_x, op.key_y)

    def queued(self, op: Operation) -> tuple[int, int, int]:
        """Executes a queue entry or padding; its outcome (to, token, amount)."""
        held = self.accounts.get(op.account)
        if op.kind == 1:
            if self.takes(op):
                held["balance"] += op.amount
                return op.account, op.token, op.amount
            if self.next_index < CAPACITY:
                return self.open(op.owner, op.key, op.token, op.amount), op.token, op.amount
            return 0, op.token, op.amount
        if op.kind == 2 and held and held["owner"] == op.owner:
            amount, held["balance"] = held["balance"], 0
            return 0, held["token"], amount
        return 0, 0, 0

    def signed(self, item: SignedOperation, timestamp: int) -> bool:
        """Executes a signed operation if it is valid."""
        op = item.operation
        held = self.accounts.get(op.account)
        fee = (op.fee % 16) * 10 ** (op.fee // 16)
        on_curve = (A * op.key_x**2 + op.key_y**2 - 1 - D * op.key_x**2 * op.key_y**2) % R == 0
        if not held or op.token != held["token"] or item.nonce != held["nonce"] or held["nonce"] >= 2**32 - 1:
            return False
        if timestamp > item.expiry or op.amount + fee > held["balance"]:
            return False
        to = self.accounts.get(op.to)
        if op.kind == 3:
            if not to or to["token"] != op.token or to["owner"] != item.recipient_owner:
                return False
            if to["key"] != item.recipient_key:
                return False
            if to is not held and to["balance"] + op.amount >= 2**128:
                return False
        if op.kind == 4 and (self.next_index >= CAPACITY or op.owner == 0 or not on_curve):
            return False
        if op.kind == 5 and op.owner != held["owner"]:
            return False
        if op.kind == 6 and not on_curve:
            return False
        if not verify(held["key"], item.message(DOMAIN), item.signature):
            return False
        held["nonce"] += 1
        held["balance"] -= op.amount + fee
        if op.kind == 3:
            to["balance"] += op.amount
        if op.kind == 4:
            self.open(op.owner, op.key, op.token, op.amount)
        if op.kind == 6:
            held["key"] = op.key
        return True


class Plans:
    """Random items for a model's state: nearly right, each part wrong now and then."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def wrong(self) -> bool:
        return self.random.random() < 0.07

    def index(self, model: Model) -> int:
        used = list(model.accounts)
        return self.random.choice([0, model.next_index, CAPACITY, 2**32 - 1] if self.wrong() or not used else used)

    def point(self) -> Point:
        usable = not self.wrong()
        return self.random.choice([key.public_key for key in KEYS] if usable else [IDENTITY, Point(1, 1), Point(0, 0)])

    def owner(self) -> int:
        return 0 if self.wrong() else self.random.choice(OWNERS)

    def queued(self, model: Model) -> Operation:
        kind = self.random.randrange(5)
        if kind == 0:
            return Operation.padding()
        index = self.index(model)
        held = model.accounts.get(index, NOTHING)
        owner = self.owner() if self.wrong() else held["owner"]
        if kind == 1:
            return Operation.forced_withdrawal(index, owner)
        token = self.random.choice(TOKENS) if self.wrong() else held["token"]
        amount = self.random.choice([0, 1, 1000, 2**60, 2**127])
        key = self.random.choice([held["key"], held["key"], None]) or self.point()
        return Operation.deposit(token, amount, owner, key, 0 if kind == 2 else index)

    def signed(self, model: Model) -> SignedOperation:
        index = self.index(model)
        held = model.accounts.get(index, NOTHING)
        token = self.random.choice(TOKENS) if self.wrong() else held["token"]
        owner = self.owner() if self.wrong() else held["owner"]
        amount = (
            min(held["balance"] + 1, 2**128 - 1) if self.wrong() else self.random.choice([0, 1, held["balance"] // 2])
        )
        fee = self.random.choice([0, 0, 1, 0x25, 0xFF if self.wrong() else 0])
        to = self.index(model)
        operation = self.random.choice(
            [
                Operation.transfer(index, to, token, amount, fee),
                Operation.transfer(index, to, token, amount, fee),
                Operation.transfer_to_new(index, token, amount, self.owner(), self.point(), fee),
                Operation.withdrawal(index, token, amount, owner, fee),
                Operation.key_change(index, token, self.point(), fee),
            ]
        )
        recipient, payee = 0, NO_KEY
        if operation.kind is Kind.TRANSFER:
            paid = model.accounts.get(to, NOTHING)
            recipient = self.random.choice(OWNERS) if self.wrong() else paid["owner"]
            payee = self.point() if self.wrong() or paid["key"] is None else paid["key"]
        nonce = self.random.choice([0, 1, 2**32 - 1]) if self.wrong() else held["nonce"]
        key = next((key for key in KEYS if key.public_key == held["key"]), KEYS[0])
        item = sign_operation(
            self.random.choice(KEYS) if self.wrong() else key,
            DOMAIN,
            operation,
            nonce,
            self.random.choice([NOW - 1, NOW + 1]) if self.wrong() else NOW,
            recipient,
            payee,
        )
        if self.wrong():
            (x, y), s = item.signature
            item = replace(item, signature=Signature(Point(x, y), self.random.choice([s + 1, s + L, 0])))
        return item


def run(seed: int, length: int, seen: Counter[tuple[Kind, Failure | None]]) -> None:
    """One random sequence on both implementations, compared after each step."""
    plans = Plans(seed)
    model = Model()
    model.open(0xA, KEYS[0].public_key, 0, plans.random.choice([1500, 2**127 + 60, 2**128 - 1]))
    model.open(0xB, KEYS[1].public_key, 0, plans.random.choice([1000, 2**128 - 60]))
    model.accounts[1]["nonce"] = plans.random.choice([0, 0, 2**32 - 3])
    state = State.from_accounts(LEVELS, [Account(**held) for held in model.accounts.values()])
    inside = {token: value(model, token) for token in TOKENS}

    for _ in range(length):
        item = plans.queued(model) if plans.random.random() < 0.25 else plans.signed(model)
        before = deepcopy(model)
        if isinstance(item, Operation) and model.overflows(item):
            with pytest.raises(OperationError, match="exceeds 2"):
                apply(state, item, Context(DOMAIN, NOW))
            continue
        step = apply(state, item, Context(DOMAIN, NOW))
        seen[step.operation.kind, step.failure] += 1
        if isinstance(item, Operation):
            assert step.valid
            outcome = model.queued(item)
            assert (step.operation.to, step.operation.token, step.operation.amount) == outcome
            if item.kind is Kind.DEPOSIT and outcome[0]:
                inside[item.token] += item.amount
            if item.kind is Kind.FORCED_WITHDRAWAL:
                inside[outcome[1]] -= outcome[2]
        else:
            assert step.valid == model.signed(item, NOW), step.reason
            assert (step.reason is None) == step.valid
            if step.valid:
                inside[item.operation.token] -= step.fee
                if item.operation.kind is Kind.WITHDRAWAL:
                    inside[item.operation.token] -= item.operation.amount
        if not step.valid:
            assert step.state_after is state
            assert model == before
        assert step.state_after.root == model.root()
        assert step.state_after.next_index == model.next_index
        assert {token: value(model, token) for token in TOKENS} == inside
        if step.valid:
            check_witness(step, state)
            assert replay(state, step.operation).state_after.root == step.state_after.root
        state = step.state_after
    assert State.load(state.dump()).root == state.root


def value(model: Model, token: int) -> int:
    return sum(held["balance"] for held in model.accounts.values() if held["token"] == token)


def check_witness(step: Step, state: State) -> None:
    witness = step.witness
    for update, root_before, root_after in (
        (witness.account_a, state.root, witness.middle_root),
        (witness.account_b, witness.middle_root, step.state_after.root),
    ):
        for held, root in ((update.before, root_before), (update.after, root_after)):
            assert root_of_path(update.index, held.leaf() if held else 0, update.path) == root


@given(st.integers(0, 2**64 - 1))
@settings(max_examples=40)
def test_python_agrees_with_the_model_and_value_is_conserved(seed):
    run(seed, 15, Counter())


def test_random_sequences_reach_every_outcome():
    """The comparison above is worth something only if the sequences are not all refusals."""
    seen: Counter[tuple[Kind, Failure | None]] = Counter()
    for seed in range(60):
        run(seed, 25, seen)
    assert {kind for kind, failure in seen if failure is None} == set(Kind)
    assert seen[Kind.TRANSFER, None] > 100
    node_only = {Failure.AMOUNT_NOT_REPRESENTABLE, Failure.UNUSED_FIELD}
    assert {failure for _, failure in seen if failure} == set(Failure) - node_only
