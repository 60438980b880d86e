"""Random and mutated chunks: nothing raises, no token comes from nowhere, and the witness tells the same story."""

from collections import Counter
from dataclasses import fields, replace

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from layer2.optimistic.constants import OperationKind
from layer2.optimistic.operations import (
    OPERATIONS,
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
    read_chunk,
)
from layer2.optimistic.records import Account, Pool
from layer2.optimistic.transition import execute_chunk
from layer2.optimistic.witness import make_witness
from tests.support.chunk_verifier import InvalidWitness, verify_chunk
from tests.unit.optimistic.world import (
    ALICE_ETH,
    ALICE_USDC,
    BOB_ETH,
    BOB_USDC,
    CONTEXT,
    DAVE,
    ETH,
    KEYS,
    NOW,
    POOL,
    STATE,
    USDC,
    deposit,
    forced,
    run,
    sign,
)

indices = st.integers(0, 16)
small = st.integers(0, 3_000)
fees = st.sampled_from([0, 1, 10])


@st.composite
def operations(draw):
    """An operation that is likely to be valid in STATE; in one of four cases a field is another one."""
    alice, bob = (ALICE_ETH, ALICE_USDC, 7, 9), (BOB_ETH, BOB_USDC, 8, 10)
    (eth, usdc, position, nft), others = draw(st.sampled_from([(alice, bob), (bob, alice)]))
    one, two = draw(st.permutations([eth, usdc]))
    to = others[0] if one == eth else others[1]
    amount, fee, owner = draw(small), draw(fees), draw(st.sampled_from(list(KEYS)))
    operation = draw(
        st.sampled_from(
            [
                QueueEntry(),
                Transfer(one, to, amount, fee, NOW),
                TransferToNew(one, owner, amount, fee, NOW),
                Withdraw(one, amount, fee, NOW),
                Swap(one, two, POOL, amount, 0, fee, NOW),
                CreatePool(one, two, amount, amount, fee, NOW),
                AddLiquidity(eth, usdc, POOL, draw(st.sampled_from([0, position])), amount, 0, 10**9, fee, NOW),
                RemoveLiquidity(position, eth, usdc, amount, 0, 0, fee, NOW),
                MintNFT(one, bytes(32), fee, NOW),
                TransferNFT(nft, owner, one, fee, NOW),
                PurchaseNFT(others[3], one, to, amount, fee, NOW),
            ]
        )
    )
    names = [
        field.name for field in fields(operation) if field.name not in ("signature", "seller_signature", "content")
    ]
    if names and draw(st.integers(0, 3)) == 0:
        name = draw(st.sampled_from(names))
        values = {"fee": fees, "expiry": st.just(NOW - 1), "owner": st.just(0)}
        if name == "to" and isinstance(operation, TransferNFT):
            values["to"] = st.just(0)
        operation = replace(operation, **{name: draw(values.get(name, indices))})
    return operation


entries = st.one_of(
    st.builds(deposit, st.sampled_from(list(KEYS)), st.sampled_from([ETH, USDC]), small, indices),
    st.builds(forced, st.sampled_from(list(KEYS)), indices),
)
queues = st.lists(entries, min_size=16, max_size=16)
CONTEXT_WITH_QUEUE = replace(CONTEXT, queue_end=16)


def tokens(state):
    """How much of each token there is: balances, reserves, fees and withdrawals."""
    total = Counter()
    for _, record in state.records():
        if isinstance(record, Account):
            total[record.token] += record.balance
        elif isinstance(record, Pool):
            total[record.token_a] += record.reserve_a
            total[record.token_b] += record.reserve_b
    for word in state.fees:
        total[word >> 128] += word % 2**128
    for index in range(state.withdrawal_count):
        withdrawal = state.withdrawal(index)
        total[withdrawal.token] += withdrawal.amount
    return +total


def check(data, queue, state=STATE):
    """Runs a chunk in all three ways and counts the tokens."""
    after, outcomes, _ = run(data, state, CONTEXT_WITH_QUEUE, queue)
    expected = tokens(state)
    for slot in queue[: after.queue_cursor - state.queue_cursor]:
        if slot[0] == 1:
            expected[int.from_bytes(slot[9:11])] += int.from_bytes(slot[12:28])
    assert tokens(after) == +expected
    assert len(outcomes) == len(read_chunk(data))
    assert after.next_index >= state.next_index
    if not any(outcome.is_valid for outcome in outcomes):
        assert after == state
    assert list(range(state.next_index, after.next_index)) == [i for outcome in outcomes for i in outcome.created]
    paid = [i for outcome in outcomes for i in outcome.withdrawals]
    assert list(range(state.withdrawal_count, after.withdrawal_count)) == paid
    for _, record in after.records():
        assert all(not isinstance(field, int) or 0 <= field < 2**160 for field in record)
    assert execute_chunk(state, CONTEXT_WITH_QUEUE, data, queue) == (after, outcomes)
    return after, outcomes


def shares(state):
    """Of each pool: its shares, and those of its positions."""
    held = Counter()
    for _, record in state.records():
        if type(record).__name__ == "Position":
            held[record.pool] += record.shares
    return {i: (record.shares, held[i]) for i, record in state.records() if isinstance(record, Pool)}


@settings(max_examples=300)
@given(st.binary(max_size=2000), queues)
def test_random_bytes(data, queue):
    check(data, queue)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 11), st.binary(min_size=150, max_size=150)), max_size=16), queues)
def test_random_fields(parts, queue):
    """Whole operations of every kind with nonsense in all fields."""
    check(b"".join(bytes([kind]) + body[: OPERATIONS[kind].size() - 1] for kind, body in parts), queue)


@settings(max_examples=200)
@given(st.lists(operations(), min_size=1, max_size=12), queues, st.data())
def test_sensible_operations_and_mutations_of_them(wanted, queue, data):
    """Each operation is signed for the state that it meets, so that many are valid; then some byte is changed."""
    state, chunk, valid = STATE, b"", 0
    for operation in wanted:
        encoded = sign(operation, state).encode()
        entries_left = queue[state.queue_cursor :]
        state, outcomes = execute_chunk(state, CONTEXT_WITH_QUEUE, encoded, entries_left)
        chunk += encoded
        valid += outcomes[0].is_valid and operation.KIND is not OperationKind.QUEUE_ENTRY
    event(f"valid: {min(valid, 4)}")
    after, _ = check(chunk, queue)
    assert after == state
    for pool, (total, held) in shares(after).items():
        if pool != 12:  # whose positions are not in the world
            assert total - held >= 1000
    place = data.draw(st.integers(0, len(chunk) - 1))
    mutated = chunk[:place] + bytes([data.draw(st.integers(0, 255))]) + chunk[place + 1 :]
    check(mutated, queue)
    check(mutated[:place], queue)


# -------------------------------------------------------------------- attacks on the witness

CHUNK = b"".join(
    operation.encode()
    for operation in (
        sign(Transfer(ALICE_ETH, BOB_ETH, 100, 10, NOW)),
        QueueEntry(),
        sign(Withdraw(BOB_ETH, 100, 0, NOW)),
        QueueEntry(),
        sign(Swap(ALICE_USDC, ALICE_ETH, POOL, 400, 0, 0, NOW)),
    )
)
QUEUE = [deposit(DAVE, ETH, 5), forced(DAVE, 14)]
WITNESS = make_witness(STATE, CONTEXT_WITH_QUEUE, CHUNK, QUEUE)


def test_the_chunk_of_these_tests_does_something_with_every_operation():
    _, outcomes = execute_chunk(STATE, CONTEXT_WITH_QUEUE, CHUNK, QUEUE)
    assert all(outcome.is_valid for outcome in outcomes)
    assert WITNESS.after.withdrawal_count == 2
    assert WITNESS.queue_entries == b"".join(QUEUE)


@pytest.mark.parametrize("cut", [1, 32, 33, 1000])
def test_a_short_witness_is_refused(cut):
    with pytest.raises(InvalidWitness):
        verify_chunk(STATE, CONTEXT_WITH_QUEUE, CHUNK, WITNESS.queue_entries, WITNESS.witness[:-cut])


def test_a_longer_witness_means_the_same():
    verified = verify_chunk(STATE, CONTEXT_WITH_QUEUE, CHUNK, WITNESS.queue_entries, WITNESS.witness + b"more")
    assert (verified.commitment, verified.left) == (WITNESS.after.commitment(), 4)


def test_every_byte_of_the_witness_counts():
    for place in range(0, len(WITNESS.witness), 5):
        damaged = bytearray(WITNESS.witness)
        damaged[place] ^= 1
        # A leaf's first bytes are its record's length and kind: what cannot be decoded is refused as well.
        with pytest.raises((InvalidWitness, ValueError)):
            verify_chunk(STATE, CONTEXT_WITH_QUEUE, CHUNK, WITNESS.queue_entries, bytes(damaged))


def test_the_witness_of_another_state_is_refused():
    other = run(sign(Transfer(ALICE_ETH, BOB_ETH, 1, 0, NOW)))[0]
    with pytest.raises(InvalidWitness):
        verify_chunk(other, CONTEXT_WITH_QUEUE, CHUNK, WITNESS.queue_entries, WITNESS.witness)
