"""ZKRollup.submitBatch: what an accepted batch changes and pays, and what proofs are bound to (toy keys)."""

from dataclasses import replace

import pytest
from eth_abi import encode
from eth_utils import keccak

from tests.support.batches import OPERATIONS, TRANSFERS, Batch, R, Segment, slot, transfer
from tests.support.reverts import call, reverts
from tests.support.toy_rollup import ToyRollup
from tests.unit.contracts.conftest import DAY, FREEZE_DEADLINE, KEY, MAX_BATCH_AGE, PRIORITY_TIMEOUT, QUOTA


def batch_hash(root: bytes, parent: bytes, proof: bytes, timestamp: int) -> bytes:
    """keccak256(abi.encode(Batch)) of §6.2."""
    types = ["bytes32", "bytes32", "bytes32", "uint64", "bool"]
    return keccak(encode(types, [root, parent, proof, timestamp, True]))


def test_genesis(toy, chain, libraries, verifier, hasher, registry, operator, sizes):
    c = toy.contract
    root = bytes(libraries.genesisRoot(sizes.levels))
    deployed = c.operatorLastSeen()
    assert bytes(c.stateRoot()) == root
    assert (c.currentBatchId(), c.nextIndex(), c.queueCursor(), c.queueTail()) == (0, 1, 0, 0)
    assert c.batchTimestamp() == deployed <= chain.blocks.head.timestamp
    assert bytes(c.tipHash()) == bytes(c.batchHashes(0)) == batch_hash(root, bytes(32), bytes(32), deployed)
    assert (c.verifier(), c.hasher(), c.registry(), c.operator()) == (verifier, hasher, registry, operator)
    settings = (c.inclusionDeadline(), c.queueQuota(), c.priorityTimeout(), c.maxBatchAge(), c.freezeDeadline())
    assert settings == (DAY, QUOTA, PRIORITY_TIMEOUT, MAX_BATCH_AGE, FREEZE_DEADLINE)


def test_domain(toy, chain):
    words = encode(["bytes32", "uint256", "address"], [keccak(text="layer2.zk.v1"), 31337, toy.contract.address])
    assert toy.contract.domain() == int.from_bytes(keccak(words)) % R


def test_attack_replay_on_another_chain(toy, chain, now):
    """A chain that splits off gets another domain, and with it proofs and signatures are void there."""
    submission = toy.prepare(Batch(now, (Segment(TRANSFERS, (transfer(toy.sizes, 1, 2, 5),)),)))
    toy.call(submission)
    here = toy.contract.domain()
    chain.provider.make_request("anvil_setChainId", [31338])
    try:
        there = int.from_bytes(call(toy.contract, bytes(toy.contract.domain.encode_input())))
        with reverts(toy.contract.InvalidProof):
            toy.call(submission)
    finally:
        chain.provider.make_request("anvil_setChainId", [31337])
    words = encode(["bytes32", "uint256", "address"], [keccak(text="layer2.zk.v1"), 31338, toy.contract.address])
    assert there == int.from_bytes(keccak(words)) % R != here
    toy.call(submission)


def test_attack_replay_on_another_rollup(toy, project, deployer, registry, verifier, hasher, operator, now):
    config = (DAY, QUOTA, PRIORITY_TIMEOUT, MAX_BATCH_AGE, FREEZE_DEADLINE)
    twin = deployer.deploy(project.ZKRollup, registry, verifier, hasher, operator, config)
    other = ToyRollup(twin, toy.trapdoor, toy.sizes, operator)
    later = twin.operatorLastSeen()
    submission = toy.prepare(Batch(later, (Segment(TRANSFERS, (transfer(toy.sizes, 1, 2, 5),)),)))
    assert bytes(twin.stateRoot()) == bytes(toy.contract.stateRoot())
    toy.call(submission)
    with reverts(twin.InvalidProof):
        other.call(submission.with_(parent=bytes(twin.tipHash())))


def test_attack_proof_of_another_old_root(toy, now):
    """Two batches from different roots that end in the same one."""
    final = Segment(TRANSFERS, (transfer(toy.sizes, 1, 2, 5),), root=99)
    submission = toy.prepare(Batch(now, (final,)))
    toy.submit(Batch(now, (Segment(TRANSFERS, (transfer(toy.sizes, 2, 1, 7),), root=50),)))
    with reverts(toy.contract.InvalidProof):
        toy.call(submission.with_(parent=bytes(toy.contract.tipHash())))


def test_attack_segments_in_another_order(toy, now):
    first = Segment(TRANSFERS, (transfer(toy.sizes, 1, 2, 5),), root=98)
    second = Segment(TRANSFERS, (transfer(toy.sizes, 1, 2, 5),), root=99)
    submission = toy.prepare(Batch(now, (first, second)))
    swapped = Batch(now, (replace(second, root=98), replace(first, root=99)))
    assert swapped.encode() == submission.data
    toy.call(submission)
    with reverts(toy.contract.InvalidProof):
        toy.call(submission.with_(proofs=submission.proofs[::-1]))


def test_attack_any_byte_of_the_data_changed(toy, alice, now, mine_at):
    """The proofs hold for the data as it was; whatever byte changes, something notices."""
    c = toy.contract
    # So that of the timestamp's bytes only the last one leaves it in the past, and in the range.
    time = ((now >> 16) + 1 << 16) + 1
    mine_at(time)
    segments = (
        Segment(TRANSFERS, (transfer(toy.sizes, 1, 2, 5, 1), transfer(toy.sizes, 2, 1, 5)), root=11, fees=((0, 1),)),
        Segment(
            OPERATIONS,
            (slot(5, account=3, amount=9, owner=alice.address), slot(6, account=4, key=KEY)),
            root=12,
            next_index=3,
            fees=((0, 2), (1, 3)),
        ),
    )
    submission = toy.prepare(Batch(time, segments))
    toy.call(submission)
    proof = c.InvalidProof
    expected = [
        *[c.TimestampOutOfRange] * 4,
        proof,
        # The first segment: circuit, count, root, number of fees, fees, transfers. As another circuit's, or with a fee
        # less, it ends in the middle of the second.
        *[c.WrongCount] * 3,
        *[proof] * 32,
        c.WrongCount,
        *[proof] * (18 + 2 * 8),
        # The second one, whose root is the batch's: circuit, count, root, next index, number of fees, fees, slots.
        c.TrailingData,
        *[c.WrongCount] * 2,
        *[c.StateRootMismatch] * 32,
        *[proof] * 5,
        c.TooManyFees,
        *[proof] * (2 * 18 + 112),
        c.UnknownKind,
        *[proof] * 111,
    ]
    for position, error in enumerate(expected):
        data = bytearray(submission.data)
        data[position] ^= 1
        with reverts(error):
            toy.call(submission.with_(data=bytes(data)))
    assert len(expected) == len(submission.data)


@pytest.mark.parametrize("position", range(2))
def test_attack_any_word_of_a_proof_changed(toy, now, position):
    segments = tuple(Segment(TRANSFERS, (transfer(toy.sizes, 1, 2, 5),), root=11 + i) for i in range(2))
    submission = toy.prepare(Batch(now, segments))
    a, b, c, inputs = submission.proofs[position]
    flat = [*a, *b[0], *b[1], *c, *inputs]
    for i in range(9):
        changed = list(flat)
        changed[i] ^= 1
        proofs = list(submission.proofs)
        proofs[position] = (
            (changed[0], changed[1]),
            ((changed[2], changed[3]), (changed[4], changed[5])),
            (changed[6], changed[7]),
            [changed[8]],
        )
        with reverts(toy.contract.InvalidProof):
            toy.call(submission.with_(proofs=proofs))


def test_an_accepted_batch_replaces_the_tip(toy, chain, operator, now, at_time):
    before = toy.observe()
    batch = Batch(
        now,
        (
            Segment(OPERATIONS, (slot(3, 1, 2, amount=5),), root=21, next_index=7),
            Segment(TRANSFERS, (transfer(toy.sizes, 1, 2, 5),), root=22),
            Segment(OPERATIONS, (slot(3, 1, 2, amount=5),), root=23, next_index=9),
        ),
    )
    submission = toy.prepare(batch)
    seed = toy.seed(batch, submission, int.from_bytes(before[0]), 1)
    at_time(now + 33)
    receipt = toy.send(submission)

    hashed = batch_hash(submission.root, bytes(before[1]), seed, now)
    c = toy.contract
    assert toy.observe() == ((23).to_bytes(32), hashed, 1, 9, 0, now, now + 33, bytes(32))
    assert bytes(c.batchHashes(1)) == hashed
    assert bytes(c.batchHashes(0)) == bytes(before[1])
    assert receipt.events == [
        c.BatchSubmitted(
            batchId=1,
            batchHash=hashed,
            parentHash=before[1],
            stateRoot=submission.root,
            submitter=operator,
            timestamp=now,
        ),
        c.BatchVerified(batchId=1, batchHash=hashed, stateRoot=submission.root, nextIndex=9, queueCursor=0),
    ]

    # The next one builds on it, with the next index where this one left it.
    toy.submit(Batch(now, (Segment(OPERATIONS, (slot(3, 1, 2, amount=5),), root=24, next_index=10),)))
    assert (c.currentBatchId(), c.nextIndex(), bytes(c.stateRoot())) == (2, 10, (24).to_bytes(32))


def test_the_highest_next_index(toy, now):
    """`nextIndex` is 4^levels when the tree is full: 2^32 at 16 levels, more than 4 bytes hold."""
    toy.submit(Batch(now, (Segment(OPERATIONS, (slot(0),), root=1, next_index=2**32),)))
    toy.submit(Batch(now, (Segment(OPERATIONS, (slot(0),), root=2, next_index=2**40 - 1),)))
    assert toy.contract.nextIndex() == 2**40 - 1


def test_what_leaves_layer_2_is_credited(toy, alice, bob, operator, now):
    """Withdrawals, forced ones, refunded deposits: to their owners. Nothing else."""
    c = toy.contract
    c.deposit(0, 100, alice, 0, KEY, value=100, sender=alice)
    c.forceWithdraw(5, sender=bob)
    c.deposit(0, 200, alice, 0, KEY, value=200, sender=alice)
    c.forceWithdraw(6, sender=bob)
    refunded = slot(1, 0, 0, amount=100, owner=alice.address, key=KEY)
    forced = slot(2, 5, token=3, amount=50, owner=bob.address)
    credited = slot(1, 0, 8, amount=200, owner=alice.address, key=KEY)
    void = slot(2, 6, token=0, amount=0, owner=bob.address)
    withdrawn = slot(5, 7, token=4, amount=60, fee=1, owner=bob.address)
    others = [
        slot(3, 1, 2, token=4, amount=70, owner=bob.address),
        slot(4, 1, 2, token=4, amount=71, owner=bob.address, key=KEY),
        slot(6, 1, token=4, amount=72, owner=bob.address, key=KEY),
        slot(0, amount=73, owner=bob.address),
    ]
    slots = [refunded, forced, credited, void, withdrawn, *others, slot(5, 7, token=4, amount=1, owner=bob.address)]
    segments = [Segment(OPERATIONS, tuple(slots[i : i + 2]), root=30 + i) for i in range(0, len(slots), 2)]
    receipt = toy.submit(Batch(now, tuple(segments)))

    assert receipt.events[1:-1] == [
        c.PayoutCredited(owner=alice, token=0, amount=100),
        c.PayoutCredited(owner=bob, token=3, amount=50),
        c.PayoutCredited(owner=bob, token=4, amount=60),
        c.PayoutCredited(owner=bob, token=4, amount=1),
    ]
    assert (c.payouts(alice, 0), c.payouts(bob, 3), c.payouts(bob, 4)) == (100, 50, 61)
    assert c.queueCursor() == 4
    # Claimable at once.
    before = bob.balance
    c.withdraw(0, bob, sender=alice)
    assert bob.balance == before + 100


def test_fees_go_to_the_caller_one_sum_a_token(toy, operator, alice, now):
    c = toy.contract
    one = transfer(toy.sizes, 1, 2, 5)
    segments = (
        Segment(TRANSFERS, (one,), root=1, fees=((0, 5), (7, 2**128 - 1))),
        Segment(OPERATIONS, (slot(3, 1, 2),), root=2, fees=((7, 3),)),
        Segment(TRANSFERS, (one,), root=3),
        Segment(TRANSFERS, (one,), root=4, fees=((2**16 - 1, 4), (0, 6))),
        Segment(TRANSFERS, (one,), root=5, fees=((9, 0), (0, 0))),
    )
    receipt = toy.submit(Batch(now, segments))
    assert receipt.events[1:-1] == [
        c.PayoutCredited(owner=operator, token=0, amount=11),
        c.PayoutCredited(owner=operator, token=7, amount=2**128 + 2),
        c.PayoutCredited(owner=operator, token=2**16 - 1, amount=4),
    ]
    assert c.payouts(operator, 0) == 11

    toy.submit(Batch(now, (Segment(TRANSFERS, (one,), root=6, fees=((0, 1),)),)))
    assert c.payouts(operator, 0) == 12


def test_queue_is_consumed_over_several_batches_and_segments(toy, alice, now):
    c = toy.contract
    for i in range(1, 6):
        c.forceWithdraw(i, sender=alice)
    slots = [slot(2, i, owner=alice.address) for i in range(1, 6)]
    toy.submit(Batch(now, (Segment(OPERATIONS, (slots[0],), root=1),)))
    assert c.queueCursor() == 1
    mixed = (
        Segment(OPERATIONS, (slots[1], slot(3, 1, 2)), root=2),
        Segment(TRANSFERS, (transfer(toy.sizes, 1, 2, 5),), root=3),
        Segment(OPERATIONS, (slot(3, 1, 2), slots[2]), root=4),
        Segment(OPERATIONS, (slots[3],), root=5),
    )
    receipt = toy.submit(Batch(now, mixed))
    assert receipt.events[-1].queueCursor == c.queueCursor() == 4
    with reverts(c.QueueMismatch, cursor=4, newCursor=5):
        toy.call(toy.prepare(Batch(now, (Segment(OPERATIONS, (slots[3],), root=6),))))
    toy.submit(Batch(now, (Segment(OPERATIONS, (slots[4],), root=6),)))
    assert c.queueCursor() == c.queueTail() == 5


def test_batches_do_not_have_to_take_queued_operations_that_are_not_overdue(toy, alice, now):
    toy.contract.forceWithdraw(1, sender=alice)
    toy.submit(Batch(now, (Segment(TRANSFERS, (transfer(toy.sizes, 1, 2, 5),), root=1),)))
    assert toy.contract.queueCursor() == 0
