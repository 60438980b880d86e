"""ZKRollup.submitBatch: who may not call, when it may not be called, and what it does not take.

The proofs hold in all of these tests (toy keys), so it is the rule under test that refuses. Nothing may be stored.
"""

from contextlib import contextmanager
from functools import partial

import pytest
from eth_utils import keccak

from tests.support.batches import OPERATIONS, TRANSFERS, Batch, R, Segment, Sizes, slot, transfer
from tests.support.reverts import call, reverts
from tests.support.toy_rollup import ToyRollup
from tests.unit.contracts.conftest import (
    DAY,
    FREEZE_DEADLINE,
    KEY,
    MAX_BATCH_AGE,
    OUT_OF_GAS,
    PRIORITY_TIMEOUT,
    QUOTA,
    failure,
    selector,
)

ZERO = "0x0000000000000000000000000000000000000000"


@contextmanager
def refused(toy, error=None, **values):
    """The block's transaction is mined, reverts with this error and changes nothing, neither state nor money."""
    before, height = toy.stored(), toy.contract.provider.get_block("latest").number
    with reverts(error, **values):
        yield
    assert toy.stored() == before
    assert toy.contract.provider.get_block("latest").number == height + 1


@pytest.fixture
def transfers(sizes) -> Segment:
    return Segment(TRANSFERS, (transfer(sizes, 1, 2, 5, 1), transfer(sizes, 2, 1, 5)), root=11, fees=((0, 1),))


@pytest.fixture
def operations(alice) -> Segment:
    return Segment(
        OPERATIONS, (slot(5, account=3, amount=9, owner=alice.address), slot(6, account=4, key=KEY)), root=12
    )


@pytest.fixture
def batch(transfers, operations, now) -> Batch:
    return Batch(now, (transfers, operations))


def test_the_batch_of_these_tests_is_good(toy, batch):
    toy.submit(batch)
    assert toy.contract.stateRoot() == (12).to_bytes(32)


# Rule 1: a direct call, in the one encoding


def test_refuses_contracts(project, toy, batch, operator):
    puppet = operator.deploy(project.Puppet)
    call = toy.prepare(batch).calldata()
    with refused(toy, toy.contract.NotDirectCall, caller=puppet.address):
        puppet.execute(toy.contract, 0, call, sender=operator)


def test_refuses_contracts_that_have_no_code_yet(project, toy, batch, operator):
    with refused(toy, toy.contract.NotDirectCall):
        operator.deploy(project.CallFromConstructor, toy.contract, toy.prepare(batch).calldata())


def test_refuses_accounts_that_delegate_to_code(project, chain, toy, batch, operator):
    """EIP-7702: such an account could call from inside a transaction to itself, where nodes do not look."""
    puppet = operator.deploy(project.Puppet)
    delegation = "0xef0100" + puppet.address[2:]
    chain.provider.make_request("anvil_setCode", [operator.address, delegation])
    with refused(toy, toy.contract.NotDirectCall, caller=operator.address):
        toy.send(toy.prepare(batch))
    chain.provider.make_request("anvil_setCode", [operator.address, "0x"])
    toy.send(toy.prepare(batch))


def padded(data: bytes) -> int:
    return (len(data) + 31) // 32 * 32


def test_canonical_calldata_is_taken(toy, batch, operator):
    call(toy.contract, toy.prepare(batch).calldata(), operator)


def test_attack_extra_bytes_after_the_calldata(toy, batch, operator):
    for extra in (b"\0", bytes(32)):
        with reverts(toy.contract.NonCanonicalCalldata):
            call(toy.contract, toy.prepare(batch).calldata() + extra, operator)
    with refused(toy, toy.contract.NonCanonicalCalldata):
        toy.send_raw(toy.prepare(batch).calldata() + b"\0")


def test_attack_data_padding_not_zero(toy, batch, operator):
    submission = toy.prepare(batch)
    end = 4 + 5 * 32 + len(submission.data)
    room = padded(submission.data) - len(submission.data)
    assert room > 1
    for position in (end, end + room - 1):
        calldata = bytearray(submission.calldata())
        calldata[position] = 1
        with reverts(toy.contract.NonCanonicalCalldata):
            call(toy.contract, bytes(calldata), operator)


def test_attack_data_elsewhere_in_the_calldata(toy, batch, operator):
    """Offsets that a decoder may follow and another may not: data and proofs the other way round, or a gap."""
    submission = toy.prepare(batch)
    calldata = submission.calldata()
    head, body = calldata[: 4 + 64], calldata[4 + 128 :]
    data, proofs = body[: 32 + padded(submission.data)], body[32 + padded(submission.data) :]
    at = lambda *offsets: b"".join(offset.to_bytes(32) for offset in offsets)  # noqa: E731
    assert calldata == head + at(128, 128 + len(data)) + data + proofs
    for other in (
        head + at(128 + len(proofs), 128) + proofs + data,
        head + at(160, 160 + len(data)) + bytes(32) + data + proofs,
        head + at(128, 160 + len(data)) + data + bytes(32) + proofs,
    ):
        with reverts(toy.contract.NonCanonicalCalldata):
            call(toy.contract, other, operator)


def test_attack_data_that_overlaps_the_proofs(toy, operator, now):
    """The number of proofs, 1, is the last word of the data as well, whose place is a word later than it should be."""
    slots = (slot(0), slot(6, account=4, key=(5, 1)))
    submission = toy.prepare(Batch(now, (Segment(OPERATIONS, slots, root=12, fees=((0, 1),)),)))
    data, calldata = submission.data, submission.calldata()
    assert (len(data), data[-32:], len(calldata)) == (288, (1).to_bytes(32), 4 + 128 + 32 + 288 + 32 + 288)
    toy.call(submission)
    places = (160).to_bytes(32) + (448).to_bytes(32)
    overlapping = calldata[:68] + places + bytes(32) + (288).to_bytes(32) + data + calldata[-288:]
    assert len(overlapping) == len(calldata)
    with reverts(toy.contract.NonCanonicalCalldata):
        call(toy.contract, overlapping, operator)


def test_takes_no_value(toy, batch, operator):
    with refused(toy):
        toy.contract.submitBatch(*toy.prepare(batch).arguments(), value=1, sender=operator)


# Rule 2: priority


@pytest.mark.parametrize("seconds", [-1, 0])
def test_attack_time_others_before_the_priority_timeout(toy, batch, mallory, at_time, seconds):
    until = toy.contract.operatorLastSeen() + PRIORITY_TIMEOUT
    submission = toy.prepare(Batch(until - 5, batch.segments))
    at_time(until + seconds)
    with refused(toy, toy.contract.OperatorHasPriority, caller=mallory.address, until=until):
        toy.send(submission, mallory)


def test_attack_time_others_after_the_priority_timeout(toy, batch, mallory, at_time):
    until = toy.contract.operatorLastSeen() + PRIORITY_TIMEOUT
    submission = toy.prepare(Batch(until - 5, batch.segments))
    at_time(until + 1)
    receipt = toy.send(submission, mallory)
    assert receipt.events[0].submitter == mallory
    # Who submits gets the fees.
    assert toy.contract.payouts(mallory, 0) == 1


def test_attack_stranger_keeps_the_priority_clock_running(toy, batch, alice, mallory, at_time):
    """The operator is gone. Mallory's batches must not shut others out for another timeout."""
    seen = toy.contract.operatorLastSeen()
    start = seen + PRIORITY_TIMEOUT + 1
    for seconds, sender in enumerate((mallory, alice, mallory, alice)):
        at_time(start + seconds)
        toy.submit(Batch(start, batch.segments), sender)
        assert toy.contract.operatorLastSeen() == seen
        assert toy.contract.priorityUntil() == seen + PRIORITY_TIMEOUT


def test_the_operator_gets_its_priority_back_with_a_batch(toy, batch, mallory, at_time):
    start = toy.contract.operatorLastSeen() + PRIORITY_TIMEOUT + 1
    at_time(start)
    toy.submit(Batch(start, batch.segments), mallory)
    at_time(start + 10)
    toy.submit(Batch(start, batch.segments))
    until = start + 10 + PRIORITY_TIMEOUT
    assert toy.contract.operatorLastSeen() == start + 10
    assert toy.contract.priorityUntil() == until
    with refused(toy, toy.contract.OperatorHasPriority, caller=mallory, until=until):
        toy.submit(Batch(start, batch.segments), mallory)


@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_attack_time_others_when_the_head_of_the_queue_is_overdue(toy, queued, batch, mallory, at_time, seconds):
    """The operator is busy, but not with the queue."""
    deadline = toy.contract.queueEntries(0).arrival + DAY
    at_time(deadline - 60)
    toy.submit(Batch(deadline - 60, batch.segments))
    assert toy.contract.priorityUntil() == deadline
    at_time(deadline + seconds)
    submission = toy.prepare(consuming(deadline - 60, *queued))
    if seconds <= 0:
        with refused(toy, toy.contract.OperatorHasPriority, caller=mallory, until=deadline):
            toy.send(submission, mallory)
    else:
        toy.send(submission, mallory)
        # With the queue empty, the operator's priority is as it was.
        until = deadline - 60 + PRIORITY_TIMEOUT
        assert toy.contract.priorityUntil() == until
        with refused(toy, toy.contract.OperatorHasPriority, caller=mallory, until=until):
            toy.submit(Batch(deadline, batch.segments), mallory)


def test_others_take_at_least_the_quota_of_an_overdue_queue_too(toy, queued, batch, mallory, at_time):
    late = toy.contract.queueEntries(1).arrival + DAY + 1
    at_time(late)
    with refused(toy, toy.contract.QueueNeglected, head=0, consumed=0, quota=QUOTA):
        toy.submit(Batch(late, batch.segments), mallory)


def test_attack_operator_buries_a_forced_withdrawal(toy, alice, bob, mallory, operator, at_time):
    """The operator queues entries of its own before Alice's and takes a quota of them now and then. Anyone may take all
    of them, and Alice's, in one batch as soon as the head is overdue."""
    spam = 4 * QUOTA
    for _ in range(spam):
        toy.contract.forceWithdraw(1, sender=operator)
    toy.contract.forceWithdraw(2, sender=alice)
    own, victim = slot(2, 1, owner=operator.address), slot(2, 2, amount=70, owner=alice.address)
    late = toy.contract.queueEntries(spam).arrival + DAY + 1
    at_time(late)
    toy.submit(consuming(late, *[own] * QUOTA))
    assert toy.contract.queueCursor() == QUOTA

    # Not even a second batch of the operator locks others out while the head is overdue.
    at_time(late + 1)
    toy.submit(consuming(late, *[own] * QUOTA), mallory)
    at_time(late + 2)
    toy.submit(consuming(late, *[own] * QUOTA))
    at_time(late + 3)
    toy.submit(consuming(late, *[own] * QUOTA, victim), bob)
    assert toy.contract.queueCursor() == spam + 1
    assert toy.contract.payouts(alice, 0) == 70


def test_the_operator_may_submit_after_the_timeout_too(toy, batch, at_time):
    until = toy.contract.operatorLastSeen() + PRIORITY_TIMEOUT
    submission = toy.prepare(Batch(until, batch.segments))
    at_time(until + 1)
    toy.send(submission)


# Rule 3: parent and timestamp


def test_refuses_a_stale_parent(toy, batch):
    submission = toy.prepare(batch)
    genesis = bytes(toy.contract.tipHash())
    for parent in (bytes(32), keccak(b""), bytes(toy.contract.stateRoot())):
        with refused(toy, toy.contract.StaleParent, parentHash=parent, tipHash=genesis):
            toy.send(submission.with_(parent=parent))


def test_attack_replay_of_an_accepted_batch(toy, batch):
    submission = toy.prepare(batch)
    toy.send(submission)
    tip = bytes(toy.contract.tipHash())
    with refused(toy, toy.contract.StaleParent, parentHash=submission.parent, tipHash=tip):
        toy.send(submission)
    # The proofs are of the old root, so a new parent does not help.
    with refused(toy, toy.contract.InvalidProof):
        toy.send(submission.with_(parent=tip))


@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_attack_time_timestamp_in_the_future(toy, batch, at_time, now, seconds):
    block = now + 1000
    submission = toy.prepare(Batch(block + seconds, batch.segments))
    at_time(block)
    if seconds <= 0:
        toy.send(submission)
    else:
        with refused(toy, toy.contract.TimestampOutOfRange, timestamp=block + 1, latest=block):
            toy.send(submission)


@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_attack_time_maximal_batch_age(toy, batch, at_time, now, seconds):
    block = now + MAX_BATCH_AGE + 1000
    timestamp = block - MAX_BATCH_AGE - seconds
    submission = toy.prepare(Batch(timestamp, batch.segments))
    at_time(block)
    if seconds <= 0:
        toy.send(submission)
        assert toy.contract.batchTimestamp() == timestamp
    else:
        with refused(
            toy,
            toy.contract.TimestampOutOfRange,
            timestamp=timestamp,
            earliest=block - MAX_BATCH_AGE,
            latest=block,
        ):
            toy.send(submission)


@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_attack_time_earlier_than_the_parent(toy, batch, at_time, now, seconds):
    at_time(now + 10)
    toy.submit(Batch(now + 10, batch.segments))
    at_time(now + 20)
    submission = toy.prepare(Batch(now + 10 + seconds, batch.segments))
    if seconds >= 0:
        toy.send(submission)
    else:
        with refused(toy, toy.contract.TimestampOutOfRange, timestamp=now + 9, earliest=now + 10, latest=now + 20):
            toy.send(submission)


# Rule 4: data


def test_attack_zero_length_batch(toy, batch):
    submission = toy.prepare(batch)
    for data in (b"", submission.data[:5], submission.data):
        with reverts(toy.contract.EmptyBatch):
            toy.call(submission.with_(proofs=[], data=data))
    with refused(toy, toy.contract.EmptyBatch):
        toy.send(submission.with_(proofs=[]))


def test_attack_truncated_data(toy, batch):
    """Cut anywhere, the data is refused; the error names the segment."""
    submission = toy.prepare(batch)
    second = 5 + len(batch.segments[0].encode())
    for size in range(len(submission.data)):
        offset = 0 if size < 5 else 5 if size < second else second
        with reverts(toy.contract.DataTruncated, offset=offset, length=size):
            toy.call(submission.with_(data=submission.data[:size]))
    with refused(toy, toy.contract.DataTruncated, offset=second, length=len(submission.data) - 1):
        toy.send(submission.with_(data=submission.data[:-1]))


def test_attack_trailing_data(toy, batch):
    submission = toy.prepare(batch)
    end = len(submission.data)
    for extra in (b"\0", bytes(40), batch.segments[0].encode()):
        with reverts(toy.contract.TrailingData, end=end, length=end + len(extra)):
            toy.call(submission.with_(data=submission.data + extra))
    with refused(toy, toy.contract.TrailingData, end=end, length=end + 1):
        toy.send(submission.with_(data=submission.data + b"\0"))


def test_attack_more_or_fewer_proofs_than_segments(toy, batch):
    submission = toy.prepare(batch)
    end = len(submission.data)
    with reverts(toy.contract.DataTruncated, offset=end, length=end):
        toy.call(submission.with_(proofs=submission.proofs + submission.proofs[:1]))
    with reverts(toy.contract.TrailingData, end=5 + len(batch.segments[0].encode()), length=end):
        toy.call(submission.with_(proofs=submission.proofs[:1]))


def test_what_no_batch_may_say_changes_nothing(toy, batch):
    """One transaction for each rule about the data; its edges are tried in calls, below."""
    errors, (first, second), good = toy.contract, batch.segments, toy.prepare(batch)
    digest = [(*good.proofs[0][:3], [R]), good.proofs[1]]
    for submission, error, values in (
        (good.with_(data=batch.with_segment(1, circuit=2).encode()), errors.UnknownCircuit, {"circuit": 2}),
        (good.with_(data=batch.with_segment(1, count=3).encode()), errors.WrongCount, {"count": 3}),
        (good.with_(data=batch.with_segment(1, fees=((1, 1),) * 3).encode()), errors.TooManyFees, {"count": 3}),
        (toy.prepare(batch.with_segment(1, root=R)), errors.NotAFieldElement, {"value": R}),
        (good.with_(proofs=digest), errors.NotAFieldElement, {"value": R}),
        (
            toy.prepare(batch.with_segment(1, operations=(second.operations[0], slot(6, account=4, key=(R, 1))))),
            errors.NotAFieldElement,
            {"value": R},
        ),
        (toy.prepare(batch.with_segment(1, operations=(second.operations[0], slot(7)))), errors.UnknownKind, {}),
        (toy.prepare(Batch(batch.timestamp, (first,))).with_(proofs=good.proofs), errors.DataTruncated, {}),
        (good.with_(proofs=good.proofs[::-1]), errors.InvalidProof, {}),
    ):
        with refused(toy, error, **values):
            toy.send(submission)
    toy.send(good)


@pytest.mark.parametrize("circuit", [2, 3, 255])
def test_attack_unknown_circuit(toy, batch, circuit):
    for position in range(2):
        changed = bytearray(toy.prepare(batch).data)
        changed[5 + (len(batch.segments[0].encode()) if position else 0)] = circuit
        with reverts(toy.contract.UnknownCircuit, circuit=circuit):
            toy.call(toy.prepare(batch).with_(data=bytes(changed)))


@pytest.mark.parametrize("position", range(2))
@pytest.mark.parametrize("count", [0, 3, 2**16 - 1])
def test_attack_counts_beyond_the_circuit(toy, batch, position, count):
    with reverts(toy.contract.WrongCount, count=count, max=2):
        toy.call(toy.prepare(batch).with_(data=batch.with_segment(position, count=count).encode()))


def test_counts_up_to_the_circuit(toy, batch):
    for position in range(2):
        for size in (1, 2):
            toy.call(toy.prepare(batch.with_segment(position, operations=batch.segments[position].operations[:size])))


@pytest.mark.parametrize("position", range(2))
@pytest.mark.parametrize("fees", [3, 255])
def test_attack_more_fee_entries_than_the_circuit(toy, batch, position, fees):
    changed = batch.with_segment(position, fees=((1, 1),) * fees)
    with reverts(toy.contract.TooManyFees, count=fees, max=2):
        toy.call(toy.prepare(batch).with_(data=changed.encode()))


@pytest.mark.parametrize("position", range(2))
@pytest.mark.parametrize("root", [R, R + 11, 2**256 - 1])
def test_attack_root_not_below_r(toy, batch, position, root):
    changed = batch.with_segment(position, root=root)
    with reverts(toy.contract.NotAFieldElement, value=root):
        toy.call(toy.prepare(changed))


def test_the_largest_root_is_taken(toy, batch):
    toy.call(toy.prepare(batch.with_segment(0, root=R - 1).with_segment(1, root=R - 1)))


@pytest.mark.parametrize("position", range(2))
@pytest.mark.parametrize("excess", [0, 7, 2**256 - 1 - R])
def test_attack_digest_not_below_r(toy, batch, position, excess):
    """D + r is D to the pairing."""
    good = batch.with_segment(position, digest=excess % R)
    submission = toy.prepare(good)
    toy.call(submission)
    proofs = list(submission.proofs)
    proofs[position] = (*proofs[position][:3], [excess + R])
    with reverts(toy.contract.NotAFieldElement, value=excess + R):
        toy.call(submission.with_(proofs=proofs))


@pytest.mark.parametrize("coordinate", range(2))
@pytest.mark.parametrize("kind", [4, 6])
def test_attack_key_not_below_r(toy, batch, coordinate, kind):
    """The sum y is the same for a key and the key + r, so nodes would read another key than was proven."""
    for value in (R, KEY[coordinate] + R, 2**256 - 1):
        key = (value, KEY[1]) if coordinate == 0 else (KEY[0], value)
        changed = batch.with_segment(1, operations=(slot(kind, account=1, key=key), slot(0)))
        with reverts(toy.contract.NotAFieldElement, value=value):
            toy.call(toy.prepare(changed))
        changed = batch.with_segment(1, operations=(slot(0), slot(kind, account=1, key=key)))
        with reverts(toy.contract.NotAFieldElement, value=value):
            toy.call(toy.prepare(changed))
    toy.call(toy.prepare(batch.with_segment(1, operations=(slot(kind, account=1, key=(R - 1, R - 1)),))))


@pytest.mark.parametrize("kind", [7, 8, 255])
def test_attack_unknown_op_code(toy, batch, kind):
    for operations in ((slot(kind),), (slot(0), slot(kind))):
        with reverts(toy.contract.UnknownKind, kind=kind):
            toy.call(toy.prepare(batch.with_segment(1, operations=operations)))


def test_attack_all_zeros(toy, batch):
    submission = toy.prepare(batch)
    length = len(submission.data)
    with reverts(toy.contract.WrongCount, count=0, max=2):
        toy.call(submission.with_(data=submission.data[:5] + bytes(length - 5)))
    with reverts(toy.contract.TimestampOutOfRange, timestamp=0):
        toy.call(submission.with_(data=bytes(length)))


def test_refuses_a_state_root_that_is_not_the_last_segments(toy, batch):
    submission = toy.prepare(batch)
    last = (12).to_bytes(32)
    for root in ((11).to_bytes(32), bytes(32), (12 + R).to_bytes(32)):
        with reverts(toy.contract.StateRootMismatch, stateRoot=root, lastRoot=last):
            toy.call(submission.with_(root=root))
    with refused(toy, toy.contract.StateRootMismatch, stateRoot=(11).to_bytes(32), lastRoot=last):
        toy.send(submission.with_(root=(11).to_bytes(32)))


# Rule 5: the queue


@pytest.fixture
def queued(toy, alice, bob):
    """Two entries: a deposit of Alice's and a forced withdrawal of Bob's; the slots as queued."""
    toy.contract.deposit(0, 100, alice, 7, KEY, value=100, sender=alice)
    toy.contract.forceWithdraw(9, sender=bob)
    return [slot(1, 7, amount=100, owner=alice.address, key=KEY), slot(2, 9, owner=bob.address)]


def consuming(now: int, *slots: bytes) -> Batch:
    pairs = [slots[i : i + 2] for i in range(0, len(slots), 2)]
    return Batch(now, tuple(Segment(OPERATIONS, tuple(pair), root=12) for pair in pairs))


def test_refuses_queued_operations_that_nobody_queued(toy, queued, now):
    with refused(toy, toy.contract.QueueExhausted, cursor=2):
        toy.submit(consuming(now, *queued, queued[0]))
    toy.submit(consuming(now, *queued))
    with reverts(toy.contract.QueueExhausted, cursor=2):
        toy.call(toy.prepare(consuming(now, queued[0])))


def test_refuses_queued_operations_out_of_order(toy, queued, now):
    with refused(toy, toy.contract.QueueMismatch, cursor=0, newCursor=2):
        toy.submit(consuming(now, *queued[::-1]))
    with reverts(toy.contract.QueueMismatch, cursor=0, newCursor=1):
        toy.call(toy.prepare(consuming(now, queued[1])))


@pytest.mark.parametrize("entry", range(2))
def test_attack_any_byte_of_a_queued_operation_changed(toy, queued, now, entry):
    """Only the outcome may differ from what was queued: `to` of a deposit, token and amount of a forced withdrawal."""
    outcome = {*range(5, 9)} if entry == 0 else {*range(9, 11), *range(12, 28)}
    for position in range(1, 112):
        changed = list(queued)
        spoilt = bytearray(changed[entry])
        spoilt[position] ^= 1
        changed[entry] = bytes(spoilt)
        submission = toy.prepare(consuming(now, *changed))
        if position in outcome:
            toy.call(submission)
        else:
            with reverts(toy.contract.QueueMismatch, cursor=0, newCursor=2):
                toy.call(submission)


def test_attack_deposit_consumed_as_forced_withdrawal(toy, queued, now):
    with reverts(toy.contract.QueueMismatch, cursor=0, newCursor=1):
        toy.call(toy.prepare(consuming(now, b"\x02" + queued[0][1:])))


@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_attack_time_inclusion_deadline(toy, batch, queued, at_time, seconds):
    arrival = toy.contract.queueEntries(0).arrival
    block = arrival + DAY + seconds
    submission = toy.prepare(Batch(block - 5, batch.segments))
    at_time(block)
    if seconds <= 0:
        toy.send(submission)
    else:
        with refused(toy, toy.contract.QueueNeglected, head=0, consumed=0, quota=QUOTA):
            toy.send(submission)


def test_an_overdue_head_can_be_consumed(toy, queued, at_time):
    late = toy.contract.queueEntries(1).arrival + DAY + 1
    submission = toy.prepare(consuming(late - 5, queued[0]))
    at_time(late)
    with refused(toy, toy.contract.QueueNeglected, head=1, consumed=1, quota=QUOTA):
        toy.send(submission)
    toy.submit(consuming(late - 5, *queued))
    assert toy.contract.queueCursor() == 2


def test_attack_money_queue_spam_leaves_batches_possible(toy, queued, at_time, mallory):
    """The quota is enough, however many overdue operations follow."""
    for _ in range(4):
        toy.contract.forceWithdraw(1, sender=mallory)
    spam = slot(2, 1, owner=mallory.address)
    late = toy.contract.queueEntries(5).arrival + DAY + 1
    submission = toy.prepare(consuming(late - 5, *queued))
    at_time(late)
    with refused(toy, toy.contract.QueueNeglected, head=2, consumed=2, quota=QUOTA):
        toy.send(submission)
    toy.submit(consuming(late - 5, *queued, spam))
    assert toy.contract.queueCursor() == 3


# Deployment


def test_deployment_refuses_settings_that_cannot_work(project, deployer, registry, verifier, hasher, operator):
    long, good = 2**32, (DAY, QUOTA, PRIORITY_TIMEOUT, MAX_BATCH_AGE, FREEZE_DEADLINE)
    with reverts(project.ZKRollup.ZeroOperator):
        deployer.deploy(project.ZKRollup, registry, verifier, hasher, ZERO, good)
    code_hash = keccak(verifier.provider.get_code(verifier.address))
    with reverts(project.ZKRollup.WrongHasher, hasher=verifier, codeHash=code_hash):
        deployer.deploy(project.ZKRollup, registry, verifier, verifier, operator, good)
    nobody = "0x00000000000000000000000000000000DeaDBeef"
    with reverts(project.ZKRollup.WrongHasher, hasher=nobody, codeHash=bytes(32)):
        deployer.deploy(project.ZKRollup, registry, verifier, nobody, operator, good)
    for changes, error, values in (
        ({1: 0}, "InvalidQuota", {"quota": 0}),
        ({1: 257}, "InvalidQuota", {"quota": 257}),
        ({3: 0}, "ZeroMaxBatchAge", {}),
        ({0: long}, "TimeTooLong", {"time": long}),
        ({2: long}, "TimeTooLong", {"time": long}),
        ({3: long}, "TimeTooLong", {"time": long}),
        ({4: long}, "TimeTooLong", {"time": long}),
        ({0: 2**256 - 1, 2: 2**256 - 1}, "TimeTooLong", {"time": 2**256 - 1}),
        ({4: DAY - 1}, "FreezeDeadlineTooShort", {"freezeDeadline": DAY - 1, "minimum": DAY}),
        ({3: 2 * DAY, 4: 2 * DAY - 1}, "FreezeDeadlineTooShort", {"freezeDeadline": 2 * DAY - 1, "minimum": 2 * DAY}),
    ):
        config = tuple(changes.get(i, value) for i, value in enumerate(good))
        with reverts(getattr(project.ZKRollup, error), **values):
            deployer.deploy(project.ZKRollup, registry, verifier, hasher, operator, config)
    deployer.deploy(project.ZKRollup, registry, verifier, hasher, operator, (DAY, QUOTA, 0, DAY, DAY))


def test_quota_fits_in_a_transaction(project, deployer, registry, hasher, operator, trapdoor, alice, chain):
    """256 entries in 128 segments, each paid to where nothing was before, few bytes of them zero, in circuits with the
    most fee tokens, take less than EIP-7825 allows."""
    sizes = Sizes(tokens=64)
    verifier = deployer.deploy(project.BatchVerifier, trapdoor.key(), sizes.astuple())
    config = (0, 256, PRIORITY_TIMEOUT, MAX_BATCH_AGE, FREEZE_DEADLINE)
    contract = deployer.deploy(project.ZKRollup, registry, verifier, hasher, operator, config)
    accounts = [number % 255 + 1 for number in range(256)]
    for account in accounts:
        contract.forceWithdraw(account, sender=alice)
    slots = [
        slot(2, account, token=number + 1, amount=2**128 - 1, owner=alice.address)
        for number, account in enumerate(accounts)
    ]
    segments = tuple(
        Segment(
            OPERATIONS,
            tuple(slots[first : first + 2]),
            root=R - 2,
            digest=R - 3,
        )
        for first in range(0, 256, 2)
    )
    rollup = ToyRollup(contract, trapdoor, sizes, operator)
    receipt = rollup.submit(Batch(chain.blocks.head.timestamp, segments))
    assert contract.queueCursor() == 256
    assert receipt.gas_used <= 2**24


def test_quota_of_circuits_that_take_one_entry(project, deployer, registry, hasher, operator, trapdoor):
    one_by_one = deployer.deploy(project.BatchVerifier, trapdoor.key(), Sizes(operations=1).astuple())
    for quota, refused in ((129, True), (128, False)):
        config = (DAY, quota, PRIORITY_TIMEOUT, MAX_BATCH_AGE, FREEZE_DEADLINE)
        if refused:
            with reverts(project.ZKRollup.InvalidQuota, quota=quota, max=128):
                deployer.deploy(project.ZKRollup, registry, one_by_one, hasher, operator, config)
        else:
            deployer.deploy(project.ZKRollup, registry, one_by_one, hasher, operator, config)


def test_attack_settings_so_large_that_sums_overflow(
    project, deployer, registry, verifier, hasher, operator, alice, trapdoor, sizes, chain
):
    """With the largest settings that deployment takes, batches are accepted, before and with entries in the queue."""
    longest = 2**32 - 1
    contract = deployer.deploy(
        project.ZKRollup, registry, verifier, hasher, operator, (longest, 256, longest, longest, longest)
    )
    rollup = ToyRollup(contract, trapdoor, sizes, operator)
    contract.forceWithdraw(2, sender=alice)
    assert contract.priorityUntil() == contract.operatorLastSeen() + longest
    rollup.submit(consuming(chain.blocks.head.timestamp, slot(0)))
    rollup.submit(consuming(chain.blocks.head.timestamp, slot(2, 2, owner=alice.address)))
    assert contract.queueCursor() == 1


def test_custody_asks_the_rollup_for_keys_and_accounts(toy, alice, sizes):
    assert sizes == Sizes(levels=4)
    with reverts(toy.contract.InvalidKey, x=1, y=2):
        toy.contract.deposit(0, 1, alice, 0, (1, 2), value=1, sender=alice)
    for account in (256, 2**32 - 1):
        with reverts(toy.contract.AccountOutOfRange, account=account, capacity=256):
            toy.contract.deposit(0, 1, alice, account, KEY, value=1, sender=alice)
        with reverts(toy.contract.AccountOutOfRange, account=account, capacity=256):
            toy.contract.forceWithdraw(account, sender=alice)
    toy.contract.forceWithdraw(255, sender=alice)


def test_too_little_gas_stores_nothing(toy, batch, operator):
    """Wherever it runs out: in the contract, in the verifier, or in a precompile, which the verifier takes for a no."""
    submit = partial(toy.contract.submitBatch, *toy.prepare(batch).arguments(), sender=operator)
    before, seen = toy.stored(), set()
    for gas in range(100_000, 400_000, 50_000):
        seen.add(failure(partial(submit, gas=gas)))
        assert toy.stored() == before
    refusal = selector(toy.contract.InvalidProof)
    assert {refusal} <= seen <= {refusal, b"", OUT_OF_GAS}
