"""Ledger and circuits agree on random operations: valid exactly when provable, with the same root, D and y.

Valid steps go through `circuit_inputs`, as a prover's do. Steps that the ledger refuses are made by the unscrupulous
prover of forge.py from the same operation in the same state, and no witness may satisfy.
"""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from layer2.crypto.eddsa import Point
from layer2.crypto.field import R
from layer2.ledger.account import Account
from layer2.ledger.amounts import encode_float40
from layer2.ledger.constants import Kind
from layer2.ledger.operations import Operation, SignedOperation, sign_operation
from layer2.ledger.state import State
from layer2.ledger.transition import Context, Failure, Step, apply
from layer2.zk.inputs import circuit_inputs
from layer2.zk.params import CircuitParams
from layer2.zk.segments import Segment
from tests.circuits.forge import DOMAIN, KEYS, OWNERS, TIMESTAMP, Leaf, World
from tests.circuits.harness import segment_circuit

LEVELS = 2
TOKENS = [7, 8]
CONTEXT = Context(DOMAIN, TIMESTAMP)
KEY_POINTS = [key.public_key for key in KEYS] + [Point(0, 1), Point(0, R - 1), Point(1, 1), Point(0, 0)]
TRANSFERS = CircuitParams("transfers", LEVELS, 2, 2)
OPERATIONS = CircuitParams("operations", LEVELS, 2, 2)
TRANSFER = CircuitParams("transfers", LEVELS, 1, 2)
OPERATION = CircuitParams("operations", LEVELS, 1, 2)

balances = st.sampled_from([1000, 10**12, 2**127, 2**128 - 1 - 10**6, 120, 20, 0])
accounts = st.builds(
    Account,
    owner=st.sampled_from(OWNERS),
    key=st.sampled_from(KEY_POINTS),
    token=st.sampled_from(TOKENS),
    nonce=st.sampled_from([0, 1, 2, 7, 1000, 2**31, 2**32 - 2, 2**32 - 1]),
    balance=balances,
)
states = st.lists(accounts, min_size=1, max_size=15).map(lambda held: State.from_accounts(LEVELS, held))
indices = st.integers(0, 15)
amounts = st.sampled_from([0, 1, 20, 80, 100, 100, 980, 2**34, 10**30])
fees = st.sampled_from([0, 0x12, 0x01, 0xF0])


@st.composite
def queue_entries(draw, state: State, kind: Kind) -> Operation:
    if kind is Kind.FORCED_WITHDRAWAL:
        owner = draw(st.sampled_from(OWNERS))
        return Operation.forced_withdrawal(draw(indices), owner)
    account = draw(indices)
    amount = draw(st.sampled_from([1, 55, 10**6]))
    held = state.account(account)
    token, owner = draw(st.sampled_from(TOKENS)), draw(st.sampled_from(OWNERS))
    key = draw(st.sampled_from(KEY_POINTS))
    if held is not None and draw(st.booleans()):
        token, owner = held.token, held.owner
        if draw(st.booleans()):
            key = held.key
    return Operation.deposit(token, amount, owner, key, account)


@st.composite
def signed_operations(draw, state: State, kinds: list[Kind]) -> SignedOperation:
    """Valid about as often as not: each field is right unless it is spoilt on purpose."""

    def spoilt() -> bool:
        return draw(st.integers(0, 15)) == 7

    used = st.integers(1, state.next_index - 1)
    kind = draw(st.sampled_from(kinds))
    account = draw(indices if spoilt() else used)
    sender = state.account(account) or Account(OWNERS[0], KEYS[0].public_key, 7, 0, 0)
    same_token = [i for i in range(1, state.next_index) if (held := state.account(i)) and held.token == sender.token]
    to = draw(indices if spoilt() or not same_token else st.sampled_from(same_token))
    recipient = state.account(to)
    token = draw(st.sampled_from(TOKENS)) if spoilt() else sender.token
    fee = 0xFF if spoilt() else draw(fees)
    amount = draw(amounts)
    owner = draw(st.sampled_from([*OWNERS, 0])) if spoilt() else sender.owner
    key = draw(st.sampled_from(KEY_POINTS)) if spoilt() else draw(st.sampled_from(KEY_POINTS[:6]))
    operation = {
        Kind.TRANSFER: lambda: Operation.transfer(account, to, token, amount, fee),
        Kind.TRANSFER_TO_NEW: lambda: Operation.transfer_to_new(account, token, amount, owner, key, fee),
        Kind.WITHDRAWAL: lambda: Operation.withdrawal(account, token, amount, owner, fee),
        Kind.KEY_CHANGE: lambda: Operation.key_change(account, token, key, fee),
    }[kind]()
    nonce = sender.nonce if not spoilt() else draw(st.sampled_from([0, 1, 2]))
    expiry = TIMESTAMP + (draw(st.integers(-1, 0)) if spoilt() else 5)
    payee: tuple[int, Point] | tuple[()] = ()
    if kind is Kind.TRANSFER:
        payee = (
            recipient.owner if recipient and not spoilt() else draw(st.sampled_from(OWNERS)),
            recipient.key if recipient and not spoilt() else draw(st.sampled_from(KEY_POINTS)),
        )
    signers = [key for key in KEYS if key.public_key == sender.key]
    signer = draw(st.sampled_from(KEYS)) if spoilt() or not signers else signers[0]
    return sign_operation(signer, DOMAIN, operation, nonce, expiry, *payee)


def world_of(state: State) -> World:
    world = World(LEVELS, TOKENS)
    for index, account in state.accounts():
        world.put(index, Leaf(account.owner, account.key, account.token, account.nonce, account.balance))
    assert world.next_index == state.next_index
    assert world.tree.root == state.root
    return world


def forged(state: State, item: SignedOperation, params: CircuitParams) -> dict:
    """What a prover would try who wants this operation in a segment although the ledger refuses it."""
    world = world_of(state)
    op = item.operation
    signature = {"r8": item.signature.r8, "s": item.signature.s, "expiry": item.expiry}
    if params.kind == "transfers":
        step = world.transfer(op.account, op.to, encode_float40(op.amount), op.fee, None, **signature)
    else:
        step = world.operation(
            op.kind,
            op.account,
            target=op.to if op.kind == Kind.TRANSFER else (world.next_index % 16 if op.kind == 4 else 0),
            token=op.token,
            fee=op.fee,
            amount=op.amount,
            owner=op.owner,
            key=op.key,
            **signature,
        )
    assert step["s"] == item.signature.s
    return world.inputs(params)


def assert_provable(params: CircuitParams, steps: list[Step]) -> None:
    """The steps' witness satisfies. D and y, made from the ledger's root, are inputs that the circuit holds equal to
    its own (`test_other_public_inputs_have_no_proof`), so the roots are the same too."""
    circuit = segment_circuit(params)
    segment = Segment(params, tuple(steps), DOMAIN, TIMESTAMP)
    assert segment.root_after == steps[-1].state_after.root
    assert circuit.witness(circuit_inputs(segment))


# Circuits are slow: few examples, but so many of each kind.
SETTINGS = settings(
    max_examples=12,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


SIGNED = [Kind.TRANSFER, Kind.TRANSFER_TO_NEW, Kind.WITHDRAWAL, Kind.KEY_CHANGE]


@pytest.mark.parametrize("kind", SIGNED)
@SETTINGS
@given(data=st.data())
def test_signed_operations(kind, data):
    """Each kind alone: Python says valid exactly when the circuit has a witness."""
    state = data.draw(states)
    item = data.draw(signed_operations(state, [kind]))
    step = apply(state, item, CONTEXT)
    event(str(step.failure))
    circuits = [OPERATION, TRANSFER] if kind is Kind.TRANSFER else [OPERATION]
    if (item.operation.account, item.operation.to, item.operation.amount, item.operation.fee) == (0, 0, 0, 0):
        circuits = [OPERATION]  # as a compact transfer this is padding, which has a proof and does nothing
    for params in circuits:
        if step.valid:
            assert_provable(params, [step])
        else:
            assert not segment_circuit(params).accepts(forged(state, item, params))


@pytest.mark.parametrize("kind", [Kind.DEPOSIT, Kind.FORCED_WITHDRAWAL])
@SETTINGS
@given(data=st.data())
def test_queue_entries_always_have_a_proof(kind, data):
    """Operations from L1 are total: no queue content can keep a segment from being proven."""
    state = data.draw(states)
    entry = data.draw(queue_entries(state, kind))
    held = state.account(entry.account)
    if entry.kind is Kind.DEPOSIT and held is not None and held.balance + entry.amount >= 2**128:
        entry = replace(entry, amount=1)  # custody keeps the total below 2^128
    assert_provable(OPERATION, [apply(state, entry, CONTEXT)])


HELD = Account(OWNERS[0], KEYS[0].public_key, 7, 5, 1000)


@pytest.mark.parametrize(
    ("key", "matches"),
    [
        (HELD.key, True),
        (KEYS[1].public_key, False),
        (Point(R - HELD.key.x, HELD.key.y), False),  # on the curve, too
        (Point(HELD.key.x, 0), False),
        (Point(0, 0), False),
    ],
)
@pytest.mark.parametrize("is_full", [False, True])
def test_deposit_matches_by_key(key, matches, is_full):
    """An account of the same owner and token that another key controls is not the one wanted."""
    bob = Account(OWNERS[1], KEYS[1].public_key, 8, 0, 3)
    state = State.from_accounts(LEVELS, [HELD] + [bob] * (14 if is_full else 1))
    step = apply(state, Operation.deposit(7, 55, HELD.owner, key, 1), CONTEXT)
    after = step.state_after
    assert after.account(1) == (replace(HELD, balance=1055) if matches else HELD)
    if matches or is_full:
        assert after.next_index == state.next_index
    else:
        assert after.account(3) == Account(HELD.owner, key, 7, 0, 55)
    assert step.operation.to == (1 if matches else 0 if is_full else 3)
    assert_provable(OPERATION, [step])


@settings(SETTINGS, max_examples=15)
@given(data=st.data())
def test_sequences(data):
    """Random steps one after another, those left out that the ledger refuses, in full segments of two."""
    state = data.draw(states)
    steps: list[Step] = []
    for _ in range(data.draw(st.integers(1, 6))):
        item: SignedOperation | Operation
        if data.draw(st.integers(0, 2)) == 0:
            item = data.draw(queue_entries(state, data.draw(st.sampled_from([Kind.DEPOSIT, Kind.FORCED_WITHDRAWAL]))))
            held = state.account(item.account)
            if held is not None and held.balance + item.amount >= 2**128:
                continue
        else:
            item = data.draw(signed_operations(state, SIGNED))
        step = apply(state, item, CONTEXT)
        if step.valid:
            steps.append(step)
            state = step.state_after
    for start in range(0, len(steps), 2):
        pair = steps[start : start + 2]
        assert_provable(OPERATIONS, pair)
        if all(step.operation.kind is Kind.TRANSFER for step in pair):
            assert_provable(TRANSFERS, pair)


@pytest.mark.parametrize("params", [TRANSFER, OPERATION, TRANSFERS, OPERATIONS], ids=lambda params: params.name)
@pytest.mark.parametrize("name", ["z", "D", "y"])
def test_other_public_inputs_have_no_proof(params, name):
    held = [Account(OWNERS[number], KEYS[number].public_key, 7, 0, 1000) for number in range(2)]
    payee = held[1].owner, held[1].key
    item = sign_operation(KEYS[0], DOMAIN, Operation.transfer(1, 2, 7, 10, 0x12), 0, TIMESTAMP, *payee)
    step = apply(State.from_accounts(LEVELS, held), item, CONTEXT)
    inputs = circuit_inputs(Segment(params, (step,), DOMAIN, TIMESTAMP))
    assert not segment_circuit(params).accepts(inputs | {name: (inputs[name] + 1) % R})


NODE_RULES = {Failure.AMOUNT_NOT_REPRESENTABLE}
"""What nodes refuse although the state transition allows it (docs/protocol.md §3)."""


RECIPIENT_FAILURES = {failure for failure in Failure if failure.name.startswith(("RECIPIENT_", "UNKNOWN_RECIPIENT"))}
"""What compact transfers are refused for too."""


@pytest.mark.parametrize("failure", [failure for failure in Failure if failure not in NODE_RULES])
def test_every_failure_of_the_ledger_is_unprovable(failure):
    """One operation for each reason that the ledger knows."""
    alice = Account(OWNERS[0], KEYS[0].public_key, 7, 5, 1000)
    bob = Account(OWNERS[1], KEYS[1].public_key, 7, 0, 2**128 - 50)
    carol = Account(OWNERS[2], KEYS[2].public_key, 8, 0, 10)
    held = [alice, bob, carol]
    transfer = Operation.transfer(1, 2, 7, 10, 0x12)
    to_new = Operation.transfer_to_new(1, 7, 10, OWNERS[3], KEYS[3].public_key)
    operation, changes, payee = transfer, {}, (bob.owner, bob.key)
    if failure is Failure.UNUSED_FIELD:
        operation = replace(transfer, owner=5)
    elif failure is Failure.UNKNOWN_ACCOUNT:
        operation = replace(transfer, account=9, amount=0, fee=0)
    elif failure is Failure.TOKEN_MISMATCH:
        operation = replace(transfer, token=8)
    elif failure is Failure.NONCE_EXHAUSTED:
        held = [replace(alice, nonce=2**32 - 1), bob, carol]
    elif failure is Failure.NONCE_MISMATCH:
        changes = {"nonce": 4}
    elif failure is Failure.EXPIRED:
        changes = {"expiry": TIMESTAMP - 1}
    elif failure is Failure.INSUFFICIENT_BALANCE:
        operation = Operation.withdrawal(1, 7, 1000, OWNERS[0], 0x01)
    elif failure is Failure.UNKNOWN_RECIPIENT:
        operation = replace(transfer, to=9)
    elif failure is Failure.RECIPIENT_TOKEN_MISMATCH:
        operation, payee = replace(transfer, to=3), (carol.owner, carol.key)
    elif failure is Failure.RECIPIENT_OWNER_MISMATCH:
        payee = OWNERS[0], bob.key
    elif failure is Failure.RECIPIENT_KEY_MISMATCH:
        payee = bob.owner, KEYS[2].public_key
    elif failure is Failure.RECIPIENT_OVERFLOW:
        operation = replace(transfer, amount=50)
    elif failure is Failure.TREE_FULL:
        operation, held = to_new, [alice] * 15
    elif failure is Failure.OWNER_ZERO:
        operation = replace(to_new, owner=0)
    elif failure is Failure.OWNER_MISMATCH:
        operation = Operation.withdrawal(1, 7, 10, OWNERS[1])
    elif failure is Failure.INVALID_KEY:
        operation = Operation.key_change(1, 7, Point(1, 1))
    state = State.from_accounts(LEVELS, held)
    sender = state.account(operation.account) or alice
    nonce, expiry = changes.get("nonce", sender.nonce), changes.get("expiry", TIMESTAMP)
    signer = KEYS[1] if failure is Failure.INVALID_SIGNATURE else KEYS[0]
    recipient = payee if operation.kind is Kind.TRANSFER else ()
    item = sign_operation(signer, DOMAIN, operation, nonce, expiry, *recipient)
    step = apply(state, item, CONTEXT)
    assert step.failure is failure
    assert not segment_circuit(OPERATION).accepts(forged(state, item, OPERATION))
    if failure in RECIPIENT_FAILURES:
        assert not segment_circuit(TRANSFER).accepts(forged(state, item, TRANSFER))
