"""Attacks on proofs and fields, with real proofs of the real circuits against the real contracts.

The batch under attack is good: `test_the_batch_of_these_tests_is_good`. Each attack changes one thing about it.
"""

from collections import Counter

import pytest

from tests.support.batches import OPERATIONS, TRANSFERS, Sizes
from tests.support.reverts import reverts
from tests.support.rollup import Submission
from tests.support.toy_keys import Q, R, add_g1, g1, negate_g1, negate_g2, scalar, twist_point_outside_subgroup


@pytest.fixture
def good(scenario):
    return scenario.following


@pytest.fixture
def refused(rollup):
    """The submission is refused for its proofs."""

    def check(submission) -> None:
        with reverts(rollup.contract.InvalidProof):
            rollup.call(submission)

    return check


def test_the_batch_of_these_tests_is_good(scenario, rollup, good):
    assert [segment.params.kind for segment in good.segments] == ["transfers", "operations", "transfers"]
    rollup.send(good)
    rollup.check(scenario.owners, scenario.tokens)


@pytest.mark.parametrize("position", range(3))
def test_attack_public_input_plus_r(rollup, good, position):
    digest = good.proofs[position].publicInputs[0]
    with reverts(rollup.contract.NotAFieldElement, value=digest + R):
        rollup.call(good.with_proof(position, publicInputs=(digest + R,)))


@pytest.mark.parametrize("position", range(3))
def test_attack_root_plus_r(rollup, good, position):
    """A root and the root + r are one public input."""
    root = good.segments[position].root_after
    place = good.data.index(root.to_bytes(32))
    data = good.data[:place] + (root + R).to_bytes(32) + good.data[place + 32 :]
    changed = good.with_(data=data, root=(root + R).to_bytes(32) if position == 2 else good.root)
    with reverts(rollup.contract.NotAFieldElement, value=root + R):
        rollup.call(changed)


@pytest.mark.parametrize("position", range(3))
def test_attack_any_number_of_a_proof_changed(good, refused, position):
    """Each coordinate and D, by one."""
    a, b, c, inputs = good.proofs[position]
    for i in range(2):
        refused(good.with_proof(position, a=tuple(n ^ (i == j) for j, n in enumerate(a))))
        refused(good.with_proof(position, c=tuple(n ^ (i == j) for j, n in enumerate(c))))
        for k in range(2):
            spoilt = tuple(tuple(n ^ ((i, k) == (j, m)) for m, n in enumerate(part)) for j, part in enumerate(b))
            refused(good.with_proof(position, b=spoilt))
    refused(good.with_proof(position, publicInputs=(inputs[0] ^ 1,)))


@pytest.mark.parametrize("position", range(3))
def test_attack_coordinates_plus_q(good, refused, position):
    a, b, c, _ = good.proofs[position]
    refused(good.with_proof(position, a=(a[0] + Q, a[1])))
    refused(good.with_proof(position, a=(a[0], a[1] + Q)))
    refused(good.with_proof(position, b=((b[0][0] + Q, b[0][1]), b[1])))
    refused(good.with_proof(position, c=(c[0] + Q, c[1])))
    refused(good.with_proof(position, c=(c[0], c[1] + Q)))


@pytest.mark.parametrize("position", range(3))
def test_attack_all_zero_proof(good, refused, position):
    zero = {"a": (0, 0), "b": ((0, 0), (0, 0)), "c": (0, 0)}
    refused(good.with_proof(position, **zero))
    refused(good.with_proof(position, **zero, publicInputs=(0,)))
    for point in zero:
        refused(good.with_proof(position, **{point: zero[point]}))


@pytest.mark.parametrize("position", range(3))
def test_attack_points_off_curve_and_not_in_subgroup(good, refused, position):
    refused(good.with_proof(position, a=(1, 1)))
    refused(good.with_proof(position, b=((1, 1), (1, 1))))
    refused(good.with_proof(position, c=(1, 1)))
    refused(good.with_proof(position, b=twist_point_outside_subgroup()))


def test_attack_negated_points(good, refused):
    """(−A, −B, C) is another proof of the same; (−A, B, C) and (A, B, −C) are none."""
    a, b, c, _ = good.proofs[0]
    refused(good.with_proof(0, a=negate_g1(a)))
    refused(good.with_proof(0, b=negate_g2(b)))
    refused(good.with_proof(0, c=negate_g1(c)))


def test_rerandomised_proofs_are_proofs(rollup, good):
    a, b, _, _ = good.proofs[0]
    rollup.call(good.with_proof(0, a=negate_g1(a), b=negate_g2(b)))


def test_attack_compensating_points(good, refused):
    """Errors in two proofs that cancel when the equations are multiplied without coefficients, or with equal ones."""
    difference = g1(scalar("difference"))
    first, second = good.proofs[0], good.proofs[2]
    refused(good.with_proof(0, c=add_g1(first.c, difference)).with_proof(2, c=add_g1(second.c, negate_g1(difference))))


def test_attack_swapped_proofs(good, refused):
    first, second, third = good.proofs
    refused(good.with_(proofs=(third, second, first)))
    refused(good.with_(proofs=(second, first, third)))
    # The points alone, with each segment's own D.
    refused(good.with_proof(0, a=third.a, b=third.b, c=third.c).with_proof(2, a=first.a, b=first.b, c=first.c))
    # D alone.
    refused(good.with_proof(0, publicInputs=third.publicInputs).with_proof(2, publicInputs=first.publicInputs))


def test_attack_one_proof_for_all(good, refused):
    for proof in good.proofs:
        refused(good.with_(proofs=(proof,) * 3))


def first_refusal(data: bytes, submission: Submission, earliest: int, now: int) -> str:
    """The first rule of docs/protocol.md §6.2 that other data for a submission break, by the error's name.

    InvalidProof if none of those that need no proof. earliest, now: between which a batch's timestamp is.
    """
    if not earliest <= int.from_bytes(data[:5]) <= now:
        return "TimestampOutOfRange"
    sizes = Sizes()
    queued = [step.operation.to_slot() for step in submission.steps if step.operation.is_queued]
    consumed: list[bytes] = []
    end, root = 5, 0
    for _ in submission.proofs:
        start = end
        if start >= len(data):
            return "DataTruncated"
        if data[start] not in (TRANSFERS, OPERATIONS):
            return "UnknownCircuit"
        is_operations = data[start] == OPERATIONS
        fees = start + (41 if is_operations else 36)
        if fees > len(data):
            return "DataTruncated"
        count, root = int.from_bytes(data[start + 1 : start + 3]), int.from_bytes(data[start + 3 : start + 35])
        if not 1 <= count <= (sizes.operations if is_operations else sizes.transfers):
            return "WrongCount"
        if root >= R:
            return "NotAFieldElement"
        if data[fees - 1] > sizes.tokens:
            return "TooManyFees"
        operations = fees + 18 * data[fees - 1]
        end = operations + count * (112 if is_operations else 2 * sizes.index_size + 6)
        if end > len(data):
            return "DataTruncated"
        slots = [data[i : i + 112] for i in range(operations, end, 112)] if is_operations else []
        for slot in slots:
            if slot[0] > 6:
                return "UnknownKind"
            if slot[0] in (1, 2):
                if len(consumed) == len(queued):
                    return "QueueExhausted"
                consumed.append(slot)
        if any(int.from_bytes(slot[i : i + 32]) >= R for slot in slots for i in (48, 80)):
            return "NotAFieldElement"
    if end != len(data):
        return "TrailingData"
    if root != int.from_bytes(submission.root):
        return "StateRootMismatch"
    if any(as_queued(slot) != as_queued(entry) for slot, entry in zip(consumed, queued, strict=False)):
        return "QueueMismatch"
    return "InvalidProof"


def as_queued(slot: bytes) -> bytes:
    """A slot without its outcome: `to` of a deposit, token and amount of a forced withdrawal."""
    outcome = [(5, 9)] if slot[0] == 1 else [(9, 11), (12, 28)]
    for start, end in outcome:
        slot = slot[:start] + bytes(end - start) + slot[end:]
    return slot


def test_attack_any_byte_of_the_data_changed(rollup, good, chain):
    """Timestamp, circuits, counts, roots, next index, fees, transfers, slots: every byte, lowest and highest bit."""
    c = rollup.contract
    earliest, now = c.batchTimestamp(), chain.blocks.head.timestamp
    seen = Counter()
    for position in range(len(good.data)):
        for bit in (1, 128):
            data = bytearray(good.data)
            data[position] ^= bit
            refusal = first_refusal(bytes(data), good, earliest, now)
            with reverts(getattr(c, refusal)):
                rollup.call(good.with_(data=bytes(data)))
            seen[refusal] += 1
    assert len(seen) >= 8, seen
    assert seen["InvalidProof"] > len(good.data), seen


def test_attack_any_byte_of_the_opening_data_changed(scenario, chain):
    """The same for a batch of deposits and a forced withdrawal: nobody chooses their outcomes."""
    rollup, opening = scenario.rollup, scenario.opening
    c = rollup.contract
    block = next(log for log in c.BatchSubmitted.range(chain.blocks.height + 1)).block_number
    state = {"to": c.address, "from": rollup.operator.address, "gas": 30_000_000}
    web3 = c.provider.web3
    assert web3.eth.call({**state, "data": opening.calldata()}, block - 1) == b""
    earliest, now = c.batchTimestamp(block_id=block - 1), web3.eth.get_block(block - 1)["timestamp"]
    seen = Counter()
    for position in range(len(opening.data)):
        data = bytearray(opening.data)
        data[position] ^= 1
        refusal = first_refusal(bytes(data), opening, earliest, now)
        with reverts(getattr(c, refusal)):
            web3.eth.call({**state, "data": opening.with_(data=bytes(data)).calldata()}, block - 1)
        seen[refusal] += 1
    assert seen["QueueMismatch"] > 250, seen  # 144 bytes less the outcome of each
    assert seen["InvalidProof"] >= 3 * 4 + 18, seen  # the outcomes: `to` of three deposits, what is forced out


def test_attack_state_root_changed(rollup, good):
    last = good.root
    with reverts(rollup.contract.StateRootMismatch, lastRoot=last):
        rollup.call(good.with_(root=bytes([last[0] ^ 1]) + last[1:]))


def test_attack_replay_of_an_accepted_batch(scenario, rollup, good):
    """On the new tip under its old parent, and under the new one: the old root is in the proof."""
    rollup.send(good)
    tip = bytes(rollup.contract.tipHash())
    with reverts(rollup.contract.StaleParent, parentHash=good.parent, tipHash=tip):
        rollup.call(good)
    with reverts(rollup.contract.InvalidProof):
        rollup.call(good.with_(parent=tip))


def test_attack_proof_of_another_batch(scenario, rollup, good, alice, bob):
    """Two batches on the same root: the proof of one is none of the other."""
    other = rollup.prepare(rollup.transfer(alice, 1, 2, 10_000000), rollup.transfer(bob, 2, 1, 1_000000))
    rollup.call(other)
    assert other.segments[0].params == good.segments[0].params
    with reverts(rollup.contract.InvalidProof):
        rollup.call(other.with_(proofs=good.proofs[:1]))
    with reverts(rollup.contract.InvalidProof):
        rollup.call(other.with_proof(0, publicInputs=good.proofs[0].publicInputs))


def test_attack_replay_on_another_rollup(scenario, project, deployer, alice, bob, mallory):
    """A second rollup with the same verifier, tokens, deposits and so the same roots: the domain differs."""
    first = scenario.rollup
    second = first.twin(project, deployer)
    for owner in (alice, bob):
        scenario.usdc.approve(second.contract, 2**256 - 1, sender=owner)
    second.deposit(alice, scenario.usdc_id, 100_000000)
    second.deposit(bob, scenario.usdc_id, 50_000000)
    second.deposit(alice, 0, 10**18)
    second.force_withdraw(mallory, 2)
    with reverts(second.contract.InvalidProof):
        second.call(
            scenario.opening.with_(
                parent=bytes(second.contract.tipHash()),
                data=second.contract.batchTimestamp().to_bytes(5) + scenario.opening.data[5:],
            )
        )
    second.process()
    assert bytes(second.contract.stateRoot()) == bytes(first.contract.stateRoot())
    timestamp = second.contract.batchTimestamp()
    replayed = scenario.following.with_(
        parent=bytes(second.contract.tipHash()), data=timestamp.to_bytes(5) + scenario.following.data[5:]
    )
    with reverts(second.contract.InvalidProof):
        second.call(replayed)


def test_attack_replay_on_another_chain(rollup, good, chain, refused):
    """After a fork of the chain the rollup is there twice, at the same address with the same roots."""
    rollup.call(good)
    chain.provider.make_request("anvil_setChainId", [31338])
    try:
        refused(good)
    finally:
        chain.provider.make_request("anvil_setChainId", [31337])
    rollup.call(good)


def test_attack_another_timestamp(rollup, good, chain, refused):
    """Expired operations would come back to life under an earlier one: it is in the proof."""
    timestamp = int.from_bytes(good.data[:5])
    assert timestamp < chain.blocks.head.timestamp
    refused(good.with_(data=(timestamp + 1).to_bytes(5) + good.data[5:]))


def test_attack_zero_length_batch(rollup, good):
    with reverts(rollup.contract.EmptyBatch):
        rollup.call(good.with_(data=b"", proofs=()))
    with reverts(rollup.contract.EmptyBatch):
        rollup.call(good.with_(data=good.data[:5], proofs=(), root=bytes(rollup.contract.stateRoot())))


def test_attack_extra_bytes(rollup, good):
    with reverts(rollup.contract.TrailingData):
        rollup.call(good.with_(data=good.data + b"\0"))


def test_attack_segments_left_out(rollup, good, refused):
    """A prefix of a batch is a batch, and good; anything else that leaves a segment out is not."""
    sizes = [len(segment.operation_bytes) for segment in good.segments]
    last = len(good.data) - 36 - 18 * len(good.segments[2].fees) - sizes[2]
    prefix = good.with_(data=good.data[:last], proofs=good.proofs[:2], root=good.segments[1].root_after.to_bytes(32))
    rollup.call(prefix)
    refused(good.with_(data=good.data[:5] + good.data[last:], proofs=good.proofs[2:]))
