"""A witness that does not fit reverts with InvalidWitness, whatever else is true: it says nothing about the batch."""

from dataclasses import replace

import pytest

from layer2.chain.artifacts import ContractError
from layer2.optimistic.batches import StateWords
from layer2.optimistic.fuzz import REFUSAL
from layer2.optimistic.operations import (
    AddLiquidity,
    CreatePool,
    MintNFT,
    PurchaseNFT,
    QueueEntry,
    RemoveLiquidity,
    Swap,
    Transfer,
    TransferNFT,
    TransferToNew,
    Withdraw,
)
from layer2.optimistic.records import Account, encode
from layer2.optimistic.transition import Context
from layer2.optimistic.tree import node
from layer2.optimistic.witness import Arguments, make_witness
from tests.unit.optimistic.world import (
    ALICE,
    ALICE_ETH,
    ALICE_NFT,
    ALICE_POSITION,
    ALICE_USDC,
    BOB_ETH,
    CONTEXT,
    DAVE,
    DOMAIN,
    ETH,
    LEVELS,
    NEXT,
    NOW,
    POOL,
    STATE,
    deposit,
    edit,
    forced,
    sign,
)

PATH = LEVELS * 32
REFUSED = ContractError(REFUSAL, "InvalidWitness()")

TRANSFER = sign(Transfer(ALICE_ETH, BOB_ETH, 100, 10, NOW))
OPERATIONS = [
    TRANSFER,
    TransferToNew(ALICE_ETH, DAVE, 100, 10, NOW),
    Withdraw(ALICE_ETH, 100, 10, NOW),
    Swap(ALICE_ETH, ALICE_USDC, POOL, 1000, 1, 10, NOW),
    CreatePool(ALICE_ETH, ALICE_USDC, 5000, 6000, 10, NOW),
    AddLiquidity(ALICE_ETH, ALICE_USDC, POOL, 0, 1000, 1, 10_000, 10, NOW),
    AddLiquidity(ALICE_ETH, ALICE_USDC, POOL, ALICE_POSITION, 1000, 1, 10_000, 10, NOW),
    RemoveLiquidity(ALICE_POSITION, ALICE_ETH, ALICE_USDC, 1000, 0, 0, 10, NOW),
    MintNFT(ALICE_ETH, bytes(32), 10, NOW),
    TransferNFT(ALICE_NFT, DAVE, ALICE_ETH, 10, NOW),
    PurchaseNFT(ALICE_NFT, BOB_ETH, ALICE_ETH, 10, 10, NOW),
]
ENTRIES = [
    deposit(ALICE, ETH, 5),
    deposit(ALICE, ETH, 5, ALICE_ETH),
    forced(ALICE, ALICE_ETH),
    forced(ALICE, ALICE_POSITION),
]


def arguments(operations: bytes, state=STATE, queue=()) -> Arguments:
    """What the contract needs for the operations."""
    context = Context(DOMAIN, NOW, state.queue_cursor + len(queue))
    made = make_witness(state, context, operations, queue)
    return Arguments(state, context, operations, made.queue_entries, made.witness)


def all_cases() -> list[Arguments]:
    cases = [arguments(sign(operation).encode()) for operation in OPERATIONS]
    return cases + [arguments(QueueEntry().encode(), queue=[entry]) for entry in ENTRIES]


def names() -> list[str]:
    return [type(operation).__name__ for operation in OPERATIONS] + ["deposit", "deposit to", "exit", "exit of shares"]


@pytest.fixture(params=all_cases(), ids=names())
def case(request) -> Arguments:
    return request.param


def assert_refused(transition, calls: list[Arguments]) -> None:
    assert calls
    for call, answer in zip(calls, transition.execute(calls), strict=True):
        assert answer == REFUSED, call.witness.hex()


def test_the_cases_are_valid_and_change_the_state(transition, case):
    (answer,) = transition.execute([case])
    assert isinstance(answer, StateWords)
    assert answer != StateWords.of(case.state)


def test_a_witness_that_is_cut_off_anywhere(transition, case):
    """After nothing, within and after lengths, records and siblings; and just before the end."""
    lengths = [0, 1, 2, *range(3, len(case.witness), 29), len(case.witness) - 1]
    assert_refused(transition, [case._replace(witness=case.witness[:length]) for length in lengths])


def test_any_wrong_byte(transition, case):
    """Of lengths, records and siblings, those of withdrawals too: all of the first leaf, and every fifth beyond."""
    first = 1 + case.witness[0] + PATH
    broken = []
    for place in (*range(first), *range(first, len(case.witness), 5)):
        witness = bytearray(case.witness)
        witness[place] ^= 1 << place % 8
        broken.append(case._replace(witness=bytes(witness)))
    assert_refused(transition, broken)


def test_queue_entries_that_are_missing_or_cut_off(transition, case):
    if case.queue_entries:
        assert_refused(transition, [case._replace(queue_entries=case.queue_entries[:length]) for length in range(112)])
    else:
        (answer,) = transition.execute([case._replace(queue_entries=b"\xff")])
        assert isinstance(answer, StateWords)


def test_bytes_left_over_mean_nothing(transition, case):
    more = case._replace(witness=case.witness + b"\xff" * 999, queue_entries=case.queue_entries + b"\xff" * 113)
    assert transition.execute([more]) == transition.execute([case])


def test_another_state_root(transition, case):
    other = edit(STATE, BOB_ETH, nonce=77)
    assert_refused(transition, [case._replace(state=replace(case.state, tree=other.tree))])


def test_siblings_from_before_the_operation_put_the_sender(transition):
    """Siblings are those at the time of reading."""
    case = arguments(TRANSFER.encode())
    record = encode(STATE.record(BOB_ETH))
    stale = case.witness[: -(1 + len(record) + PATH)] + len(record).to_bytes(1) + record + b"".join(STATE.path(BOB_ETH))
    assert len(stale) == len(case.witness)
    assert stale != case.witness
    assert_refused(transition, [case._replace(witness=stale)])


def test_the_leaf_of_another_index(transition):
    case = arguments(sign(Withdraw(ALICE_ETH, 0, 0, NOW)).encode())
    record = encode(STATE.record(BOB_ETH))
    other = len(record).to_bytes(1) + record + b"".join(STATE.path(BOB_ETH))
    assert_refused(transition, [case._replace(witness=other)])


@pytest.mark.parametrize("size", [0, 1, 42, 44, 41, 53, 64, 77, 255])
@pytest.mark.parametrize("kind", [0, 1, 2, 3, 4, 5, 255])
def test_records_of_another_form(transition, kind, size):
    """Of the right form are an account (1, 43), a pool (2, 53), a position (3, 41), an NFT (4, 77): not in the tree."""
    case = arguments(TRANSFER.encode())
    record = (kind.to_bytes(1) + bytes(size))[:size]
    witness = size.to_bytes(1) + record + case.witness[1 + 43 :]
    assert_refused(transition, [case._replace(witness=witness)])


@pytest.mark.parametrize("index", [ALICE_ETH, POOL, NEXT - 1])
def test_a_new_record_where_there_is_one(transition, index):
    """A state before that cannot be: its next index is in use."""
    state = replace(STATE, next_index=index)
    mint = sign(MintNFT(ALICE_USDC, bytes(32), 10, NOW)).encode()
    # The sender comes first; then the leaf at nextIndex, as it is or hidden.
    sender = 1 + 43 + PATH
    made = make_witness(STATE, CONTEXT, mint, ()).witness[:sender]
    after_sender = edit(STATE, ALICE_USDC, nonce=5, balance=8_000_000 - 10)
    record = encode(after_sender.record(index))
    path = b"".join(after_sender.path(index))
    shown = made + len(record).to_bytes(1) + record + path
    hidden = made + b"\0" + path
    assert_refused(transition, [Arguments(state, CONTEXT, mint, b"", witness) for witness in (shown, hidden)])


def test_a_withdrawal_where_there_is_one(transition):
    withdraw = sign(Withdraw(ALICE_ETH, 100, 10, NOW)).encode()
    first = arguments(withdraw)
    after = make_witness(STATE, CONTEXT, withdraw, ()).after
    again = sign(Withdraw(ALICE_ETH, 100, 10, NOW), after).encode()
    case = arguments(again, after)
    assert isinstance(transition.execute([case])[0], StateWords)
    overwritten = case._replace(state=replace(after, withdrawal_count=0))
    paths = (case.witness[-32 * 32 :], first.witness[-32 * 32 :], b"".join(after.withdrawals.path(0)))
    account = case.witness[: -32 * 32]
    assert_refused(transition, [overwritten._replace(witness=account + path) for path in paths])


# -------------------------------------------------------------------- attacks


def test_attack_a_false_leaf_makes_a_valid_operation_fail(transition):
    """If the record were believed before the path is checked, a false balance would undo anybody's transfer."""
    case = arguments(TRANSFER.encode())
    calls = []
    for record in (
        Account(ALICE, ETH, 2, 0),
        Account(ALICE, ETH, 2**32 - 1, 1_000_000),
        Account(ALICE, 7, 2, 1_000_000),
        Account(DAVE, ETH, 2, 1_000_000),
        STATE.record(POOL),
        None,
    ):
        data = b"" if record is None else encode(record)
        # All of the rest fits, as far as it is read.
        witness = len(data).to_bytes(1) + data + case.witness[1 + 43 :]
        calls.append(case._replace(witness=witness))
    assert_refused(transition, calls)


def test_attack_a_false_leaf_in_an_operation_that_fails_anyway(transition):
    """The last leaf that is read is checked too, though nothing is put there."""
    expensive = sign(Transfer(ALICE_ETH, BOB_ETH, 2_000_000, 10, NOW)).encode()
    case = arguments(expensive)
    (answer,) = transition.execute([case])
    assert answer == StateWords.of(STATE)
    record = encode(Account(ALICE, ETH, 2, 999_999))
    assert_refused(transition, [case._replace(witness=len(record).to_bytes(1) + record + case.witness[1 + 43 :])])


def test_attack_a_false_leaf_in_the_last_operation(transition):
    """Several operations: only the very last leaf is false."""
    second = sign(Transfer(BOB_ETH, ALICE_ETH, 5, 0, NOW), make_witness(STATE, CONTEXT, TRANSFER.encode(), ()).after)
    case = arguments(TRANSFER.encode() + second.encode())
    record = encode(Account(ALICE, ETH, 2, 1))
    witness = case.witness[: -(1 + 43 + PATH)] + len(record).to_bytes(1) + record + case.witness[-PATH:]
    assert len(witness) == len(case.witness)
    assert_refused(transition, [case._replace(witness=witness)])


def test_attack_an_inner_node_for_a_leaf(transition):
    """64 bytes that hash to a node of the tree are no record, at whatever level they are shown."""
    case = arguments(TRANSFER.encode())
    path = STATE.path(ALICE_ETH)
    left, value = path[0], STATE.path(ALICE_ETH ^ 1)[0]
    pair = left + value
    assert node(left, value) == STATE.path(2)[1]
    calls = []
    for siblings in ([*path[1:], bytes(32)], [bytes(32), *path[1:]], path):
        witness = b"\x40" + pair + b"".join(siblings) + case.witness[1 + 43 + PATH :]
        calls.append(case._replace(witness=witness))
    assert_refused(transition, calls)


def test_attack_a_leaf_for_an_inner_node(transition):
    """A record's 43 bytes where the tree has more levels than the witness: the context's levels decide."""
    case = arguments(TRANSFER.encode())
    shorter = replace(STATE, tree=_with_levels(STATE.tree, LEVELS - 1))
    assert_refused(transition, [case._replace(state=shorter)])


def _with_levels(tree, levels):
    class Shorter:
        root = tree.root

    Shorter.levels = levels
    return Shorter()
