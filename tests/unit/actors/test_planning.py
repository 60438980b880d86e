"""What goes into a batch: places, refusals, and what one L1 transaction can carry."""

import random
from collections.abc import Sequence

import pytest

from layer2.actors.database import QueueRow
from layer2.actors.planning import MAX_BYTES, MAX_GAS, Budget, Selection, Selector
from layer2.actors.store import PoolRow
from layer2.chain.coder import coder
from layer2.chain.connection import BlockRef
from layer2.chain.custody import QueuedOperation
from layer2.crypto.eddsa import Point, PrivateKey
from layer2.ledger.account import Account
from layer2.ledger.amounts import encode_fee8
from layer2.ledger.constants import Kind
from layer2.ledger.operations import Operation, sign_operation
from layer2.ledger.state import State
from layer2.ledger.state_manager import StateManager
from layer2.ledger.transition import Failure, Step
from layer2.zk.batch import Circuits, encode_batch, plan_segments
from layer2.zk.params import DEFAULT_OPERATIONS, DEFAULT_TRANSFERS, TEST_OPERATIONS, TEST_TRANSFERS
from layer2.zk.segments import compact_transfer
from tests.support.batches import OPERATIONS, TRANSFERS, Batch, R, Segment, Sizes
from tests.support.toy_keys import Trapdoor
from tests.support.toy_rollup import ToyRollup

DOMAIN = 12345
SMALL = Circuits(TEST_TRANSFERS, TEST_OPERATIONS)
DEFAULT = Circuits(DEFAULT_TRANSFERS, DEFAULT_OPERATIONS)
KEYS = [PrivateKey.from_seed(bytes([number]) * 32) for number in range(8)]


def state(levels: int = 4, users: int = 7, tokens: int = 1) -> State:
    """Accounts 1 to `users` of 1000, of owners 0x1001 and so on; tokens take turns."""
    return State.from_accounts(
        levels, [Account(0x1000 + n, KEYS[n].public_key, n % tokens, 0, 1000) for n in range(1, users + 1)]
    )


def rows(operations: Sequence[tuple[Operation, int]], before: State, signer: int | None = None) -> list[PoolRow]:
    """Operations with their nonces, signed, as they came in."""
    result = []
    for sequence, (operation, nonce) in enumerate(operations):
        payee: tuple[int, Point] | tuple[()] = ()
        if operation.kind is Kind.TRANSFER:
            recipient = before.account(operation.to)
            assert recipient is not None
            payee = recipient.owner, recipient.key
        key = KEYS[signer or operation.account]
        signed = sign_operation(key, DOMAIN, operation, nonce, 2**40 - 1, *payee)
        result.append(PoolRow(sequence, sequence.to_bytes(32), signed, 0.0, "pending", None, None))
    return result


def entries(*operations: Operation) -> list[QueueRow]:
    return [
        QueueRow(QueuedOperation(n, operation, BlockRef(1, bytes(32))), 0, 0.0)
        for n, operation in enumerate(operations)
    ]


def select(before: State, signed: Sequence[PoolRow], size: int) -> Selection:
    return Selector(StateManager(before, DOMAIN), 0, Budget(SMALL, size)).select([], 0, signed)


def places(selection: Selection) -> list[int]:
    """The numbers of the signed operations that were taken, in order of execution."""
    return [int.from_bytes(reference.pool) for reference, _ in selection.steps if reference.pool is not None]


def transfer(sender: int, to: int = 7, amount: int = 1, fee: int = 0) -> Operation:
    return Operation.transfer(sender, to, 0, amount, fee)


# -------------------------------------------------------------------- places


def test_slots_come_before_transfers_and_places_go_by_arrival() -> None:
    before = state()
    out = Operation.withdrawal(2, 0, 5, 0x1002)
    signed = rows([(transfer(1), 0), (out, 0), (transfer(3), 0), (Operation.withdrawal(4, 0, 5, 0x1004), 0)], before)
    assert places(select(before, signed, 3)) == [1, 0, 2]
    assert places(select(before, signed, 4)) == [1, 3, 0, 2]


def test_what_would_overtake_waits_and_takes_no_place() -> None:
    before = state()
    out = Operation.withdrawal(1, 0, 5, 0x1001)
    signed = rows([(transfer(1), 0), (out, 1), (transfer(1), 2), (transfer(2), 0)], before)
    assert places(select(before, signed, 2)) == [0, 3]


@pytest.mark.parametrize("bad", [Operation.withdrawal(1, 0, 5, 7), transfer(1, amount=2000)])
def test_what_is_refused_takes_no_place(bad: Operation) -> None:
    before = state()
    after = [(transfer(1), 1), (transfer(1), 2), (Operation.withdrawal(2, 0, 1, 0x1002), 0), (transfer(3), 0)]
    signed = rows([(bad, 0), *after], before)
    selection = select(before, signed, 2)
    assert len(places(selection)) == (2 if bad.kind is Kind.WITHDRAWAL else 1)
    assert places(selection)[-1] == 4
    # Of one sender nothing more is tried.
    ((row, step),) = selection.refused
    assert row is signed[0]
    assert step.failure in (Failure.OWNER_MISMATCH, Failure.INSUFFICIENT_BALANCE)


def test_many_refused_in_front_leave_the_batch_to_those_behind() -> None:
    before = state()
    bad = [(Operation.transfer_to_new(n, 0, 1, 0, KEYS[0].public_key), 0) for n in range(1, 6)]
    selection = select(before, rows([*bad, (transfer(6), 0)], before), 2)
    assert places(selection) == [5]
    assert len(selection.refused) == 5


def test_a_full_tree_stalls_no_batch() -> None:
    before = state(levels=1, users=2)
    new = [(Operation.transfer_to_new(n, 0, 1, 0x55, KEYS[0].public_key), 0) for n in (1, 2)]
    selection = select(before, rows([*new, (transfer(1, 2), 1)], before), 2)
    assert places(selection) == [0, 2]
    assert [step.failure for _, step in selection.refused] == [Failure.TREE_FULL]


@pytest.mark.parametrize(("quota", "waiting", "taken"), [(0, 5, 0), (3, 5, 3), (0, 0, 6)])
def test_queue_entries_leave_half_of_the_transaction_beyond_the_quota(quota: int, waiting: int, taken: int) -> None:
    before = state()
    budget = Budget(DEFAULT, 1000)
    while budget.load <= 1 / 2:
        budget.add(Operation.forced_withdrawal(7, 0x1007))
    queue = entries(*[Operation.forced_withdrawal(7, 0x1007)] * 6)
    signed = rows([(transfer(n), 0) for n in range(1, waiting + 1)], before)
    selection = Selector(StateManager(before, DOMAIN), 0, budget).select(queue, quota, signed)
    assert [reference.queue for reference, _ in selection.steps] == [*range(taken), *[None] * waiting]


# -------------------------------------------------------------------- what a transaction can carry


def call_bytes(steps: Sequence[Step], circuits: Circuits) -> tuple[int, int]:
    """Segments and bytes of `submitBatch`'s input for these steps."""
    segments = plan_segments(steps, circuits, DOMAIN, 0)
    proof = ([1, 2], [[3, 4], [5, 6]], [7, 8], [9])
    data = encode_batch(segments)
    return len(segments), len(
        coder("ZKRollup").encode("submitBatch", bytes(32), bytes(32), data, [proof] * len(segments))
    )


@pytest.mark.parametrize("seed", range(4))
def test_the_budget_cuts_segments_as_the_batch_does(seed: int) -> None:
    source = random.Random(seed)
    before = state(users=6, tokens=3)
    signed, nonces = [], [0] * 7
    for _ in range(25):
        sender = source.randrange(1, 7)
        token, fee = sender % 3, encode_fee8(source.choice([0, 1, 2]))
        operation = source.choice(
            [
                Operation.transfer(sender, (sender + 2) % 6 + 1, token, 1, fee),
                Operation.withdrawal(sender, token, 1, 0x1000 + sender, fee),
                Operation.key_change(sender, token, KEYS[sender].public_key, fee),
            ]
        )
        signed.append((operation, nonces[sender]))
        nonces[sender] += 1
    budget = Budget(SMALL, 100)
    selection = Selector(StateManager(before, DOMAIN), 0, budget).select([], 0, rows(signed, before))
    steps = [step for _, step in selection.steps]
    assert len(steps) > 5
    segments, size = call_bytes(steps, SMALL)
    assert budget.segments == segments
    assert 0 <= budget.bytes - size < 32


@pytest.mark.parametrize(
    ("operation", "most"),
    [
        (Operation.withdrawal(1, 0, 5, 0x1001), 367),
        (Operation.forced_withdrawal(1, 0x1001), 367),
        (Operation.key_change(1, 0, KEYS[1].public_key), 730),
        (transfer(1), 1404),
    ],
)
def test_a_transaction_carries_no_more_than_gas_and_bytes_allow(operation: Operation, most: int) -> None:
    budget = Budget(DEFAULT, 10**6)
    count = 0
    while budget.fits(operation):
        budget.add(operation)
        count += 1
    assert count == most
    assert budget.gas <= MAX_GAS
    assert budget.bytes <= MAX_BYTES
    budget.add(operation)
    assert budget.gas > MAX_GAS or budget.bytes > MAX_BYTES


def test_the_largest_quota_fits() -> None:
    """Otherwise a flood of the queue would stop the relayer for ever."""
    budget = Budget(DEFAULT, 256)
    for _ in range(256):
        assert budget.fits(Operation.forced_withdrawal(1, 0x1001))
        budget.add(Operation.forced_withdrawal(1, 0x1001))


def test_the_selection_ends_where_the_transaction_does() -> None:
    before = state(users=3)
    budget = Budget(DEFAULT, 10**6)
    for _ in range(350):
        budget.add(Operation.forced_withdrawal(1, 0x1001))
    signed = [(Operation.withdrawal(1, 0, 1, 0x1001), n) for n in range(30)]
    selection = Selector(StateManager(before, DOMAIN), 0, budget).select([], 0, rows(signed, before))
    assert 0 < len(selection.steps) < 30
    assert selection.refused == ()
    assert budget.load <= 1
    assert not budget.fits(signed[0][0])


# -------------------------------------------------------------------- held against the contract

SOURCE = random.Random(1)


def number(size: int) -> int:
    """A number of so many bytes, none of which is 0."""
    return int.from_bytes(bytes(SOURCE.randrange(1, 256) for _ in range(size)))


def element() -> int:
    return number(32) % R


def dear_withdrawals(count: int) -> list[Operation]:
    return [Operation.withdrawal(number(4), 1, number(15), number(20), 0) for _ in range(count)]


def dear_transfers(count: int, tokens: Sequence[int] = ()) -> list[Operation]:
    """With fees in these tokens, in turn."""
    result = []
    for n in range(count):
        amount = (SOURCE.getrandbits(34) | 1) * 10**20
        token, fee = (tokens[n % len(tokens)], 0x55) if tokens else (0, 0)
        result.append(Operation.transfer(number(3), number(3), token, amount, fee))
    return result


def key_changes(count: int) -> list[Operation]:
    return [Operation.key_change(number(4), 1, Point(element(), element()), 0) for _ in range(count)]


@pytest.fixture(scope="module")
def default_rollup(project, deployer, operator) -> ToyRollup:
    """Default sizes and toy keys: gas does not depend on the keys."""
    sizes, trapdoor = Sizes(12, 6, 5, 4), Trapdoor()
    verifier = deployer.deploy(project.BatchVerifier, trapdoor.key(), sizes.astuple())
    registry, hasher = deployer.deploy(project.TokenRegistry), deployer.deploy(project.Poseidon4)
    config = (86400, 20, 86400, 7200, 14 * 86400)
    contract = deployer.deploy(project.ZKRollup, registry, verifier, hasher, operator, config)
    return ToyRollup(contract, trapdoor, sizes, operator)


def cut(operations: Sequence[Operation]) -> tuple[Segment, ...]:
    """Full segments of consecutive operations for one circuit."""
    segments = []
    is_plain = operations[0].kind is Kind.TRANSFER
    size = DEFAULT_TRANSFERS.size if is_plain else DEFAULT_OPERATIONS.size
    for start in range(0, len(operations), size):
        part = operations[start : start + size]
        fees = tuple((token, number(8)) for token in dict.fromkeys(op.token for op in part if op.fee))
        if is_plain:
            posted = tuple(compact_transfer(op, 3) for op in part)
            segments.append(Segment(TRANSFERS, posted, element(), 0, fees, element()))
        else:
            segments.append(Segment(OPERATIONS, tuple(op.to_slot() for op in part), element(), 1, fees, element()))
    return tuple(segments)


@pytest.mark.parametrize(
    ("parts", "slack"),
    [
        ([dear_withdrawals(100)], 1.05),
        ([key_changes(25)], 1.05),
        ([dear_transfers(120)], 1.05),
        ([dear_withdrawals(5), dear_transfers(6)], 1.05),
        ([dear_transfers(6, range(n, n + 4)) for n in range(100, 160, 4)], 1.25),
    ],
    ids=["withdrawals", "key changes", "transfers", "both circuits", "fees in sixty tokens"],
)
def test_gas_and_bytes_are_bounded(default_rollup: ToyRollup, chain, parts, slack: float) -> None:
    operations = [operation for part in parts for operation in part]
    batch = Batch(chain.blocks.head.timestamp, tuple(segment for part in parts for segment in cut(part)))
    submission = default_rollup.prepare(batch)
    submit = default_rollup.contract.submitBatch
    used = submit.estimate_gas_cost(*submission.arguments(), sender=default_rollup.operator)
    budget = Budget(DEFAULT, 10**6)
    for operation in operations:
        budget.add(operation)
    size = len(submission.calldata())
    print("gas:", used, "bound:", budget.gas, "bytes:", size, "bound:", budget.bytes)
    assert budget.segments == len(batch.segments)
    assert used <= budget.gas <= slack * used
    assert size <= budget.bytes < size + 32
