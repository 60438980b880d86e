"""OptimisticRollup.submitBatch: who may not call, when it may not be called, what it does not take, what it stores."""

from contextlib import contextmanager

import pytest

from layer2.optimistic import blobs
from layer2.optimistic.constants import BLOB_BYTES
from tests.support.optimistic import DAY, STAKE, Draft, Rollup
from tests.support.reverts import call, reverts

ZERO = bytes(31)
OFFSET_PLACE, DATA_PLACE = 4 + 13 * 32, 4 + 15 * 32


@contextmanager
def refused(rollup, error=None, **values):
    """The block's submission reverts with this error and changes nothing."""
    before = rollup.observe()
    with reverts(error, **values):
        yield
    assert rollup.observe() == before


def submit(rollup: Rollup, draft: Draft, sender) -> None:
    """Tries a batch in calldata, without a transaction."""
    call(rollup.contract, rollup.calldata(draft), sender)


# What is taken


def test_stores_the_header(rollup, sequencer):
    """What a batch claims is stored as its header's hash, however untrue, and the tip follows."""
    parent = rollup.tip
    draft = rollup.make(chunks=[b"\x00", b""]).with_(
        state_root=b"\xff" * 32,
        next_index=2**64 - 1,
        withdrawal_root=b"\xee" * 32,
        withdrawal_count=2**64 - 1,
        fees=(2**256 - 1,) * 4,
    )
    posted = rollup.post(draft, sequencer)

    c = rollup.contract
    assert posted.header.parent_hash == parent.hash
    assert c.currentBatchId() == 1
    assert c.confirmedBatchId() == 0
    assert c.tipHash() == posted.hash
    assert tuple(c.batches(0)) == (parent.hash, True)
    assert tuple(c.batches(1)) == (posted.hash, False)
    assert tuple(c.batches(2)) == (bytes(32), False)
    assert c.queueCursor() == 0


def test_stores_the_header_of_a_batch_in_a_blob(rollup, sequencer):
    posted = rollup.post(rollup.make(chunks=[b"\x00", b""]), sequencer, blob=True)
    assert posted.header.is_blob
    assert posted.header.data_commitment == blobs.blob_hash(posted.batch.data)


def test_a_batch_in_calldata_may_carry_a_blob_that_means_nothing(rollup, sequencer):
    draft = rollup.make()
    receipt = rollup.send_blob(rollup.calldata(draft), sequencer, bytes(BLOB_BYTES))
    assert not rollup.remember(draft, sequencer, receipt, None).header.is_blob


# Who


def test_refuses_contracts(project, rollup, sequencer):
    puppet = sequencer.deploy(project.Puppet)
    with refused(rollup, rollup.contract.NotDirectCall, caller=puppet.address):
        puppet.execute(rollup.contract, 0, rollup.calldata(rollup.make()), sender=sequencer)


def test_refuses_contracts_that_have_no_code_yet(project, rollup, sequencer):
    with refused(rollup, rollup.contract.NotDirectCall):
        sequencer.deploy(project.CallFromConstructor, rollup.contract, rollup.calldata(rollup.make()))


def test_refuses_accounts_that_delegate_to_code(project, chain, rollup, sequencer):
    """EIP-7702: such an account could call from inside a transaction to itself, where nodes do not look."""
    puppet = sequencer.deploy(project.Puppet)
    chain.provider.make_request("anvil_setCode", [sequencer.address, "0xef0100" + puppet.address[2:]])
    with refused(rollup, rollup.contract.NotDirectCall, caller=sequencer.address):
        submit(rollup, rollup.make(), sequencer)
    chain.provider.make_request("anvil_setCode", [sequencer.address, "0x"])
    rollup.post(rollup.make(), sequencer)


def test_refuses_who_has_no_bond(rollup, mallory):
    with refused(rollup, rollup.contract.InsufficientBond, sequencer=mallory, bond=0, minimumStake=STAKE):
        submit(rollup, rollup.make(), mallory)
    rollup.contract.bond(value=STAKE - 1, sender=mallory)
    with refused(rollup, rollup.contract.InsufficientBond, sequencer=mallory, bond=STAKE - 1, minimumStake=STAKE):
        submit(rollup, rollup.make(), mallory)
    rollup.contract.bond(value=1, sender=mallory)
    rollup.post(rollup.make(), mallory)


def test_refuses_who_leaves(rollup, sequencer):
    rollup.contract.startExit(sender=sequencer)
    with refused(rollup, rollup.contract.SequencerLeaving, sequencer=sequencer):
        submit(rollup, rollup.make(), sequencer)


def test_takes_no_value(rollup, sequencer):
    with refused(rollup):
        rollup.contract.submitBatch(*rollup.arguments(rollup.make()), value=1, sender=sequencer)


# On what, and when


def test_refuses_another_parent_than_the_tip(rollup, sequencer):
    genesis = rollup.tip
    first = rollup.post(rollup.make(), sequencer)
    for parent in (genesis.hash, bytes(32), b"\x01" * 32):
        with refused(rollup, rollup.contract.StaleParent, parentHash=parent, tipHash=first.hash):
            submit(rollup, rollup.make().with_(parent_hash=parent), sequencer)


@pytest.mark.parametrize(("late", "taken"), [(-1, False), (0, True), (1, True)])
def test_attack_time_executed_before_the_batch_before(rollup, sequencer, late, taken):
    first = rollup.post(rollup.make(), sequencer)
    executed_at = first.header.executed_at + late
    draft = rollup.make(executed_at=executed_at)
    rollup.mine(rollup.now + 10)
    if taken:
        return submit(rollup, draft, sequencer)
    bounds = {"earliest": executed_at + 1, "latest": rollup.now}
    with refused(rollup, rollup.contract.TimestampOutOfRange, timestamp=executed_at, **bounds):
        submit(rollup, draft, sequencer)


@pytest.mark.parametrize(("late", "taken"), [(-1, True), (0, True), (1, False)])
def test_attack_time_executed_in_the_future(rollup, sequencer, late, taken):
    executed_at = rollup.now + late
    draft = rollup.make(executed_at=executed_at)
    if taken:
        return submit(rollup, draft, sequencer)
    bounds = {"earliest": rollup.posted[0].header.executed_at, "latest": rollup.now}
    with refused(rollup, rollup.contract.TimestampOutOfRange, timestamp=executed_at, **bounds):
        submit(rollup, draft, sequencer)


@pytest.mark.parametrize(("late", "taken"), [(-1, True), (0, True), (1, False)])
def test_attack_time_executed_too_long_ago(rollup, sequencer, late, taken):
    executed_at = rollup.now
    rollup.mine(executed_at + rollup.config.max_batch_age + late)
    draft = rollup.make(executed_at=executed_at)
    if taken:
        return submit(rollup, draft, sequencer)
    bounds = {"earliest": executed_at + 1, "latest": rollup.now}
    with refused(rollup, rollup.contract.TimestampOutOfRange, timestamp=executed_at, **bounds):
        submit(rollup, draft, sequencer)


# The data


@pytest.mark.parametrize("chunks", [0, 65, 2**64 - 1])
def test_refuses_a_number_of_chunks(rollup, sequencer, chunks):
    for blob in (False, True):
        data = rollup.calldata(rollup.make().with_(chunks=chunks), blob=blob)
        with refused(rollup, rollup.contract.WrongChunkCount, chunks=chunks, max=64):
            call(rollup.contract, data, sequencer)


def test_takes_64_chunks(rollup, sequencer):
    submit(rollup, rollup.make(chunks=[b""] * 64), sequencer)


def test_refuses_more_or_fewer_chunks_than_claimed(rollup, sequencer):
    draft = rollup.make(chunks=[b"\0\0", b"\0", b""])
    # A fourth chunk would begin after three of 33 bytes and 2 and 1 more; the third begins after two.
    for chunks, offset in ((4, 99 + 3), (2, 66 + 3), (1, 33 + 2)):
        with refused(rollup, rollup.contract.MalformedData, offset=DATA_PLACE + offset):
            submit(rollup, draft.with_(chunks=chunks), sequencer)


def raw(rollup: Rollup, transactions: bytes, chunks: int) -> bytes:
    """The input with any transactions."""
    root, parent, claim, _ = rollup.arguments(rollup.make().with_(chunks=chunks))
    return rollup.encode("submitBatch", root, parent, claim, transactions)


def chunk(length: int, size: int | None = None) -> bytes:
    """A chunk that says it has so many bytes, and has so many."""
    return ZERO + length.to_bytes(2) + bytes(length if size is None else size)


MALFORMED = {
    "cut off in a commitment": (bytes(30), 1, 0),
    "cut off in a length": (bytes(32), 1, 0),
    "without its last byte": (chunk(2, 1), 1, 0),
    "with a byte too many": (chunk(2, 3), 1, 35),
    "too long": (chunk(1952), 1, 0),
    "longer than can be": (chunk(2**16 - 1), 1, 0),
    "longer than there is": (chunk(1951, 100), 1, 0),
    "second one cut off": (chunk(5) + chunk(7, 6), 2, 38),
    "second one too long": (chunk(5) + chunk(1952), 2, 38),
    "zeros after": (chunk(5) + chunk(7) + bytes(32), 2, 78),
    "only zeros, too many": (bytes(34), 1, 33),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_attack_data_malformed(rollup, sequencer, case):
    transactions, chunks, offset = MALFORMED[case]
    with refused(rollup, rollup.contract.MalformedData, offset=DATA_PLACE + offset):
        call(rollup.contract, raw(rollup, transactions, chunks), sequencer)


@pytest.mark.parametrize("length", [0, 1, 30, 31, 32, 1950, 1951])
def test_takes_chunks_of_any_length(rollup, sequencer, length):
    call(rollup.contract, raw(rollup, chunk(length) + chunk(0), 2), sequencer)


def test_attack_data_all_zeros_is_data(rollup, sequencer):
    """66 zeros are two empty chunks: a batch like any other, and what it commits to is wrong."""
    draft = rollup.make(chunks=[b"", b""]).with_chunk(0, commitment=ZERO).with_chunk(1, commitment=ZERO)
    posted = rollup.post(draft, sequencer)
    assert posted.batch.data == bytes(66)
    assert rollup.evidence(posted).chunk == 0


def test_attack_data_calldata_not_canonical(rollup, sequencer):
    """Bytes after the end, padding that is not zero, and data in another place."""
    data = rollup.calldata(rollup.make(chunks=[b"\0" * 5]))
    length = 33 + 5
    end = DATA_PLACE + 64
    assert len(data) == end
    head, body = data[:OFFSET_PLACE], data[OFFSET_PLACE + 32 :]
    cases = [
        (data + b"\0", end),
        (data + bytes(32), end),
        (head + (448 + 32).to_bytes(32) + bytes(32) + body, OFFSET_PLACE),
    ]
    for place in (DATA_PLACE + length, end - 1):
        spoilt = bytearray(data)
        spoilt[place] = 1
        cases.append((bytes(spoilt), DATA_PLACE + length))
    for spoilt, offset in cases:
        with refused(rollup, rollup.contract.MalformedData, offset=offset):
            call(rollup.contract, spoilt, sequencer)


def test_attack_data_cut_off_in_the_padding(rollup, sequencer):
    """Solidity's decoder would read what is missing as zeros."""
    data = rollup.calldata(rollup.make(chunks=[b"\0" * 5]))
    with refused(rollup, rollup.contract.MalformedData, offset=len(data)):
        call(rollup.contract, data[:-1], sequencer)


@pytest.mark.parametrize("word", [2, 3, 4, 5, 8])
def test_refuses_a_claim_of_more_than_64_bits(rollup, sequencer, word):
    data = bytearray(rollup.calldata(rollup.make()))
    data[4 + 32 * word + 23] = 1
    with refused(rollup):
        call(rollup.contract, bytes(data), sequencer)


def test_refuses_a_blob_batch_without_a_blob(rollup, sequencer):
    with refused(rollup, rollup.contract.WrongBlobCount):
        call(rollup.contract, rollup.calldata(rollup.make(), blob=True), sequencer)


def test_refuses_a_blob_batch_with_two_blobs(rollup, sequencer):
    draft = rollup.make()
    receipt = rollup.send_blob(rollup.calldata(draft, blob=True), sequencer, draft.blob, bytes(BLOB_BYTES))
    assert receipt.failed
    assert rollup.contract.currentBatchId() == 0
    rollup.post(draft, sequencer, blob=True)


# The queue


def queue_up(rollup, sender, entries: int) -> None:
    for _ in range(entries):
        rollup.force_withdraw(sender, 1)


def test_refuses_a_cursor_out_of_range(rollup, sequencer, alice):
    queue_up(rollup, alice, 3)
    rollup.post(rollup.make(queue=2), sequencer)
    for cursor in (0, 1, 4, 2**64 - 1):
        bounds = {"cursor": cursor, "earliest": 2, "latest": 3}
        with refused(rollup, rollup.contract.QueueCursorOutOfRange, **bounds):
            submit(rollup, rollup.make().with_(queue_cursor=cursor), sequencer)
    submit(rollup, rollup.make(), sequencer)
    rollup.post(rollup.make(queue=1), sequencer)
    assert rollup.contract.queueCursor() == 3


@pytest.mark.parametrize(("late", "taken"), [(-1, True), (0, True), (1, False)])
def test_attack_time_inclusion_deadline(rollup, sequencer, alice, late, taken):
    queue_up(rollup, alice, 1)
    arrival = rollup.now
    rollup.mine(arrival + rollup.config.inclusion_deadline + late)
    if taken:
        return submit(rollup, rollup.make(), sequencer)
    with refused(rollup, rollup.contract.QueueNeglected, head=0, consumed=0, quota=3):
        submit(rollup, rollup.make(), sequencer)
    rollup.post(rollup.make(queue=1), sequencer)


def test_takes_the_quota_of_an_overdue_queue(rollup, sequencer, alice):
    queue_up(rollup, alice, 5)
    rollup.mine(rollup.now + rollup.config.inclusion_deadline + 1)
    with refused(rollup, rollup.contract.QueueNeglected, head=2, consumed=2, quota=3):
        submit(rollup, rollup.make(queue=2), sequencer)
    rollup.post(rollup.make(queue=3), sequencer)
    with refused(rollup, rollup.contract.QueueNeglected, head=3, consumed=0, quota=3):
        submit(rollup, rollup.make(), sequencer)
    rollup.post(rollup.make(queue=2), sequencer)


def test_a_claimed_cursor_is_the_sequencers_word_only(rollup, sequencer, prover, alice):
    """It may say that it took an overdue entry and not take it: then the batch is wrong, and falls."""
    queue_up(rollup, alice, 1)
    rollup.mine(rollup.now + DAY + 1)
    posted = rollup.post(rollup.with_cursor(rollup.make(chunks=[b"\0"]), 1), sequencer)
    rollup.prove(posted, prover)
    assert rollup.contract.queueCursor() == 0
