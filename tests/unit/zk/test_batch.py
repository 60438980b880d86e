"""Planning, encoding, decoding and replaying batches (docs/protocol.md §5.3, §8)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layer2.crypto.eddsa import PrivateKey
from layer2.ledger.errors import ReplayError
from layer2.ledger.operations import Operation, SignedOperation, sign_operation
from layer2.ledger.state import State
from layer2.ledger.transition import Context, Item, Step, apply
from layer2.zk.batch import BatchFormatError, Circuits, decode_batch, encode_batch, plan_segments, replay_batch
from layer2.zk.params import TEST_OPERATIONS, TEST_TRANSFERS, CircuitParams

DOMAIN = 77
TIME = 1_800_000_000
CIRCUITS = Circuits(TEST_TRANSFERS, TEST_OPERATIONS)
KEYS = [PrivateKey.from_seed(bytes([n]) * 32) for n in range(1, 5)]
OWNERS = [0xA1, 0xB2, 0xC3, 0xD4]


def run(state: State, items: list[Item]) -> list[Step]:
    steps = []
    for item in items:
        step = apply(state, item, Context(DOMAIN, TIME))
        assert step.valid, step.reason
        steps.append(step)
        state = step.state_after
    return steps


def deposits(count: int, tokens: tuple[int, ...] = (0, 0, 0, 0)) -> list[Item]:
    return [Operation.deposit(tokens[n], 1000, OWNERS[n], KEYS[n].public_key) for n in range(count)]


def transfer(sender: int, to: int, amount: int, nonce: int, fee: int = 1, token: int = 0) -> SignedOperation:
    operation = Operation.transfer(sender, to, token, amount, fee)
    return sign_operation(KEYS[sender - 1], DOMAIN, operation, nonce, TIME, OWNERS[to - 1], KEYS[to - 1].public_key)


def withdrawal(sender: int, nonce: int) -> SignedOperation:
    operation = Operation.withdrawal(sender, 0, 5, OWNERS[sender - 1])
    return sign_operation(KEYS[sender - 1], DOMAIN, operation, nonce, TIME)


def kinds(steps: list[Step]) -> list[tuple[str, int]]:
    return [(s.params.kind, len(s.steps)) for s in plan_segments(steps, CIRCUITS, DOMAIN, TIME)]


@pytest.fixture(scope="module")
def genesis() -> State:
    return State.genesis(4)


def test_runs_of_transfers_share_segments(genesis: State) -> None:
    items = [*deposits(3), transfer(1, 2, 10, 0), transfer(2, 3, 10, 0), transfer(3, 1, 10, 0)]
    assert kinds(run(genesis, items)) == [("operations", 2), ("operations", 1), ("transfers", 2), ("transfers", 1)]


def test_a_lone_transfer_joins_the_operations_around_it(genesis: State) -> None:
    items = [*deposits(2), transfer(1, 2, 10, 0), withdrawal(2, 0)]
    assert kinds(run(genesis, items)) == [("operations", 2), ("operations", 2)]


def test_fees_in_more_tokens_than_a_segment_sums_cut_it(genesis: State) -> None:
    params = CircuitParams("transfers", 4, 4, 1)
    circuits = Circuits(params, CircuitParams("operations", 4, 2, 1))
    setup = run(genesis, [*deposits(4, (0, 0, 1, 1))])
    steps = run(setup[-1].state_after, [transfer(1, 2, 1, 0), transfer(3, 4, 1, 0, token=1), transfer(2, 1, 1, 0)])
    assert [len(s.steps) for s in plan_segments(steps, circuits, DOMAIN, TIME)] == [1, 1, 1]


def test_replay_of_the_decoded_bytes_ends_in_the_same_state(genesis: State) -> None:
    steps = run(genesis, [*deposits(3), transfer(1, 2, 10, 0), transfer(2, 2, 7, 0), withdrawal(3, 0)])
    data = encode_batch(plan_segments(steps, CIRCUITS, DOMAIN, TIME))
    batch = decode_batch(data, CIRCUITS)
    assert batch.timestamp == TIME
    replayed = replay_batch(genesis, batch)
    assert replayed.state.root == steps[-1].state_after.root == batch.state_root
    assert [s.operation for s in replayed.steps] == [s.operation for s in steps]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (("payments", 12, 6, 4), "circuit kind 'payments' is unknown"),
        (("transfers", 0, 6, 4), "0 tree levels"),
        (("transfers", 17, 6, 4), "17 tree levels"),
        (("operations", 12, 0, 4), "size 0"),
        (("operations", 12, 5, 0), "0 fee slots"),
        (("operations", 12, 5, 65), "65 fee slots"),
    ],
)
def test_circuits_that_nobody_takes(sizes, message):
    with pytest.raises(ValueError, match=message):
        CircuitParams(*sizes)
    CircuitParams("operations", 16, 1, 64)


def test_transfers_take_eight_bytes_at_four_levels_and_twelve_at_twelve(genesis: State) -> None:
    steps = run(genesis, [*deposits(2), transfer(1, 2, 10, 0), transfer(2, 1, 10, 0)])
    assert len(plan_segments(steps[2:], CIRCUITS, DOMAIN, TIME)[0].operation_bytes) == 16
    assert CircuitParams("transfers", 12, 6, 4).operation_bytes == 12


def test_replay_names_a_root_a_fee_and_an_index_that_are_wrong(genesis: State) -> None:
    steps = run(genesis, [*deposits(2), transfer(1, 2, 10, 0), transfer(2, 1, 10, 0)])
    batch = decode_batch(encode_batch(plan_segments(steps, CIRCUITS, DOMAIN, TIME)), CIRCUITS)
    first, second = batch.segments
    for segments, message in [
        ((replace(first, root_after=1), second), "segment 0 ends in root"),
        ((replace(first, next_index_after=9), second), "segment 0 ends with nextIndex 3, posted is 9"),
        ((first, replace(second, fees=())), r"segment 1 pays fees \{0: 2\}"),
    ]:
        with pytest.raises(ReplayError, match=message):
            replay_batch(genesis, replace(batch, segments=segments))


def test_batches_need_segments_in_order_with_one_timestamp(genesis: State) -> None:
    steps = run(genesis, deposits(4))
    segments = plan_segments(steps, CIRCUITS, DOMAIN, TIME)
    with pytest.raises(BatchFormatError, match="at least one segment"):
        encode_batch([])
    with pytest.raises(BatchFormatError, match="give them in order"):
        encode_batch(segments[::-1])
    with pytest.raises(BatchFormatError, match="use one for all"):
        encode_batch([segments[0], replace(segments[1], timestamp=TIME + 1)])


def test_malformed_bytes_are_named(genesis: State) -> None:
    steps = run(genesis, [*deposits(2), transfer(1, 2, 10, 0)])
    data = encode_batch(plan_segments(steps, CIRCUITS, DOMAIN, TIME))
    second = 5 + 42 - 1 + 2 * 112
    cases = [
        (b"", "timestamp, 5 bytes"),
        (data[:5], "needs at least one segment"),
        (data[:-1], "it was cut"),
        (data + b"\x02", "there is no circuit 2"),
        (data[:6] + b"\0\0" + data[8:], "0 operations"),
        (data[:6] + b"\0\x03" + data[8:], "3 operations, operations-4-2-2 takes 1 to 2"),
        (data[:8] + b"\xff" * 32 + data[40:], "is not below r"),
        (data[:45] + b"\x03" + data[46:], "3 fee entries"),
        (data[:46] + b"\x07" + data[47:], "operation kind 7 is unknown"),
        (data[: 46 + 48] + b"\xff" * 32 + data[46 + 80 :], "key_x = .* is not below r"),
        (data[: len(data) - 8] + b"\0" + data[len(data) - 7 :], "transfer from account 0"),
        (data[: len(data) - 6] + b"\xff" * 5 + data[-1:], "more than any balance"),
    ]
    assert data[second] == 0, "the second segment starts here"
    for broken, message in cases:
        with pytest.raises(BatchFormatError, match=message):
            decode_batch(broken, CIRCUITS)


def test_circuits_of_one_rollup_agree() -> None:
    with pytest.raises(ValueError, match="give transfers, then operations"):
        Circuits(TEST_OPERATIONS, TEST_TRANSFERS)
    with pytest.raises(ValueError, match="differ in levels or tokens"):
        Circuits(TEST_TRANSFERS, CircuitParams("operations", 5, 2, 2))


@given(st.binary(max_size=400))
def test_any_bytes_decode_or_are_refused(data: bytes) -> None:
    try:
        batch = decode_batch(data, CIRCUITS)
    except BatchFormatError:
        return
    assert batch.segments


@given(st.data())
def test_any_changed_byte_is_noticed(data: st.DataObject) -> None:
    """Except the timestamp, which changes no outcome, and the account a deposit wants: L1's queue hash covers it."""
    steps = run(State.genesis(4), [*deposits(2), transfer(1, 2, 10, 0)])
    raw = bytearray(encode_batch(plan_segments(steps, CIRCUITS, DOMAIN, TIME)))
    wanted = {start + offset for start in (46, 46 + 112) for offset in range(1, 5)}
    position = data.draw(st.integers(5, len(raw) - 1).filter(lambda p: p not in wanted))
    raw[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises((BatchFormatError, ReplayError)):
        replay_batch(State.genesis(4), decode_batch(bytes(raw), CIRCUITS))
