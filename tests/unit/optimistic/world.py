"""What the optimistic rollup's tests share: keys, a small state, signing, and running one operation three ways."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from layer2.crypto.eip712 import address_of
from layer2.optimistic.constants import OperationKind
from layer2.optimistic.errors import SigningError
from layer2.optimistic.operations import Nothing, Operation, PurchaseNFT, QueueEntry, SignedOperation
from layer2.optimistic.records import NFT, Account, Pool, Position, Record, leaf
from layer2.optimistic.signing import domain_separator, sign_operation, sign_sale
from layer2.optimistic.state import RollupState
from layer2.optimistic.transition import Context, Failure, Outcome, execute_chunk
from layer2.optimistic.witness import Arguments, make_witness
from tests.support.chunk_verifier import verify_chunk

LEVELS = 5
CAPACITY = 32
NOW = 1_700_000_000
CHAIN_ID = 31337
ROLLUP = 0xABCD
DOMAIN = domain_separator(CHAIN_ID, ROLLUP)
CONTEXT = Context(DOMAIN, NOW, 0)
LIMIT = 2**128
MAX_NONCE = 2**32 - 1

KEYS = {address_of(key): key for key in (bytes([number]) * 32 for number in range(1, 5))}
ALICE, BOB, CAROL, DAVE = KEYS
ETH, USDC, GOLD = 0, 7, 9

# Records of STATE by index.
ALICE_ETH, ALICE_USDC, BOB_ETH, BOB_USDC, CAROL_ETH = 1, 2, 3, 4, 5
POOL, ALICE_POSITION, BOB_POSITION, ALICE_NFT, BOB_NFT = 6, 7, 8, 9, 10
ALICE_ETH_2, GOLD_POOL, ALICE_GOLD = 11, 12, 13
NEXT = 14
UNUSED = 20

STATE = RollupState.of(
    LEVELS,
    [
        Account(ALICE, ETH, 2, 1_000_000),
        Account(ALICE, USDC, 4, 8_000_000),
        Account(BOB, ETH, 5, 1_000),
        Account(BOB, USDC, 0, 2_000),
        Account(CAROL, ETH, 0, 0),
        Pool(ETH, USDC, 1_000_000, 4_000_000, 2_000_000),
        Position(ALICE, POOL, 1_500_000),
        Position(BOB, POOL, 499_000),
        NFT(ALICE, CAROL, 3, b"\x09" * 32),
        NFT(BOB, BOB, 0, b"\x0a" * 32),
        Account(ALICE, ETH, 7, 500),
        Pool(GOLD, USDC, 50_000, 80_000, 63_245),
        Account(ALICE, GOLD, 0, 10_000),
    ],
)
assert STATE.next_index == NEXT

ALSO: list[Callable[[Arguments, RollupState], None]] = []
"""What else executes every chunk of `run`, and is told what has to come of it: the contract, where there is a chain."""

OTHER_FEES = tuple(token << 128 | 5 for token in (100, 101, 102, 103))
"""Fee words that are all taken, by tokens that nobody holds."""


def edit(state: RollupState, index: int, **fields: Any) -> RollupState:
    """The state with some fields of one record replaced."""
    record = state.record(index)
    assert record is not None
    return put(state, index, record._replace(**fields))


def put(state: RollupState, index: int, record: Record) -> RollupState:
    """The state with a record at an index in use."""
    return replace(state, tree=state.tree.set({index: (leaf(record), record)}))


def with_room(count: int, state: RollupState = STATE) -> RollupState:
    """A state in which only so many indices are left."""
    return replace(state, next_index=CAPACITY - count)


def signer(operation: SignedOperation, state: RollupState = STATE) -> int:
    """Who has to sign an operation; Alice when it names nobody."""
    name = {
        OperationKind.CREATE_POOL: "account_a",
        OperationKind.ADD_LIQUIDITY: "account_a",
        OperationKind.REMOVE_LIQUIDITY: "position",
        OperationKind.TRANSFER_NFT: "nft",
    }.get(operation.KIND, "account")
    return getattr(state.record(getattr(operation, name)), "owner", ALICE)


def sign(operation: Operation, state: RollupState = STATE, domain: bytes = DOMAIN) -> Operation:
    """The operation, signed by who has to as well as that is possible."""
    if isinstance(operation, Nothing | QueueEntry):
        return operation
    try:
        if isinstance(operation, PurchaseNFT):
            seller = getattr(state.record(operation.nft), "owner", ALICE)
            operation = sign_sale(operation, state.record, domain, KEYS[seller])
        return sign_operation(operation, state.record, domain, KEYS[signer(operation, state)])
    except SigningError:
        return operation


def run(
    operation: Operation | bytes,
    state: RollupState = STATE,
    context: Context = CONTEXT,
    queue: Sequence[bytes] = (),
) -> tuple[RollupState, list[Outcome], list[int]]:
    """State after, outcomes, leaves read: executed in memory, for a witness, and from the witness, which all agree."""
    data = operation if isinstance(operation, bytes) else operation.encode()
    after, outcomes = execute_chunk(state, context, data, queue)
    witness = make_witness(state, context, data, queue)
    assert witness.after == after
    assert len(witness.queue_entries) == 112 * (after.queue_cursor - state.queue_cursor)
    verified = verify_chunk(state, context, data, witness.queue_entries, witness.witness)
    assert verified.commitment == after.commitment() == witness.after.commitment()
    assert verified.left == 0
    for execute in ALSO:
        execute(Arguments(state, context, data, witness.queue_entries, witness.witness), after)
    return after, outcomes, verified.reads


def succeeds(
    operation: Operation, reads: list[int], state: RollupState = STATE, context: Context = CONTEXT
) -> tuple[RollupState, Outcome]:
    """Signs and executes a valid operation that reads these leaves in this order."""
    after, (outcome,), seen = run(sign(operation, state), state, context)
    assert outcome.failure is None, outcome.reason
    assert outcome.reason == ""
    assert seen == reads
    return after, outcome


def fails(
    operation: Operation,
    failure: Failure,
    reads: list[int],
    state: RollupState = STATE,
    context: Context = CONTEXT,
    *,
    is_signed: bool = False,
) -> Outcome:
    """Executes an operation that fails after it has read these leaves, and changes nothing."""
    operation = operation if is_signed else sign(operation, state)
    after, (outcome,), seen = run(operation, state, context)
    assert outcome.failure is failure, outcome
    assert outcome.reason
    assert seen == reads
    assert after == state
    assert (outcome.entry, outcome.created, outcome.withdrawals) == (None, (), ())
    return outcome


def changes(before: RollupState, after: RollupState) -> dict[int, Record]:
    """The records that differ."""
    top = max(before.next_index, after.next_index)
    return {
        index: record
        for index in range(1, top)
        if (record := after.record(index)) is not None and record != before.record(index)
    }


def deposit(owner: int, token: int, amount: int, account: int = 0) -> bytes:
    """A queue entry of 112 bytes (docs/protocol.md §4)."""
    fields = b"\x01" + account.to_bytes(4) + bytes(4) + token.to_bytes(2) + bytes(1) + amount.to_bytes(16)
    return fields + owner.to_bytes(20) + bytes(64)


def forced(owner: int, account: int) -> bytes:
    """A forced withdrawal's queue entry."""
    return b"\x02" + account.to_bytes(4) + bytes(23) + owner.to_bytes(20) + bytes(64)
