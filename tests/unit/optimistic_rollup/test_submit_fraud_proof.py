"""OptimisticRollup.submitFraudProof: when, what evidence, what it changes. Each piece of evidence is spoilt in turn."""

from dataclasses import replace

import pytest
from ape.exceptions import ContractLogicError
from eth_abi import decode, encode
from web3.exceptions import Web3Exception

from layer2.optimistic.evidence import BLOB_OPENING_TYPE, CALLDATA_OPENING_TYPE, Evidence
from layer2.optimistic.operations import Transfer
from tests.support.optimistic import FOREVER, STAKE, Posted, Rollup
from tests.support.reverts import call, reverts

GARBAGE = b"\x99" * 32


@pytest.fixture(scope="module")
def scene(made, sequencer, alice, bob) -> Rollup:
    """Batch 1 takes two deposits. Three forced withdrawals wait."""
    rollup = made.copy()
    for who in (alice, bob):
        rollup.deposit(who, 0, 10**18)
    rollup.post(rollup.make(queue=2), sequencer)
    for who in (alice, bob, bob):
        rollup.force_withdraw(who, 2)
    return rollup


@pytest.fixture(params=["calldata", "blob"])
def wrong(request, scene, sequencer, alice) -> tuple[Rollup, Posted]:
    """Batch 2 has three chunks, of which the second is wrong: queue entries and a transfer of Alice's are in each."""
    rollup = scene.copy()
    rollup.mine(rollup.now + 10)
    draft = honest(rollup, alice).with_chunk(1, commitment=b"\x01" * 31)
    return rollup, rollup.post(draft, sequencer, blob=request.param == "blob")


def honest(rollup, alice):
    chunks, state = [], rollup.state
    for amount in (10, 20, 30):
        signed = rollup.sign(alice, Transfer(1, 2, amount, 0, FOREVER), state=state)
        chunks.append(b"\x01" + signed.encode())
        state = rollup.make(chunks=chunks, queue=len(chunks)).states[-1]
    return rollup.make(chunks=chunks, queue=3)


def test_the_first_wrong_chunk_is_proven(wrong, prover, sequencer):
    rollup, posted = wrong
    c = rollup.contract
    parent = rollup.posted[1]
    assert rollup.evidence(posted).chunk == 1
    receipt = rollup.prove(posted, prover)

    true = (
        rollup.make(
            chunks=[chunk.operations for chunk in posted.header.decode_data(posted.batch.data)],
            queue=3,
            executed_at=posted.header.executed_at,
        )
        .chunks[1]
        .commitment
    )
    first, second = receipt.events
    assert first == c.FraudProofSubmitted(batchHash=posted.hash, challenger=prover, chunk=1, commitment=b"\0" + true)
    assert (second.batchId, bytes(second.batchHash)) == (2, posted.hash)
    assert (second.sequencer, second.slashed, second.voided) == (sequencer.address, STAKE, 1)
    assert c.currentBatchId() == 1
    assert c.tipHash() == parent.hash
    assert c.queueCursor() == 2
    assert tuple(c.batches(2)) == (bytes(32), False)


def test_no_fraud_in_the_chunks_that_are_right(wrong):
    """Chunk 0 does what its commitment says; the true state before chunk 2 is not what the data commits to."""
    rollup, posted = wrong
    with reverts(rollup.contract.NoFraud):
        rollup.call_proof(rollup.evidence(posted, 0))
    with reverts(rollup.contract.WrongStateBefore):
        rollup.call_proof(rollup.evidence(posted, 2))


# When


@pytest.mark.parametrize(("late", "is_taken"), [(-1, True), (0, True), (1, False)])
def test_attack_time_challenge_period(wrong, sequencer, late, is_taken):
    """In each second a batch can either be disputed or be confirmed."""
    rollup, posted = wrong
    evidence = rollup.evidence(posted)
    rollup.confirm(rollup.posted[1], sequencer)
    rollup.mine(posted.end + late)
    confirmation = rollup.encode("confirmBatch", posted.id, posted.arguments)
    if is_taken:
        rollup.call_proof(evidence)
        with reverts(rollup.contract.ChallengePeriodRunning, end=posted.end):
            call(rollup.contract, confirmation)
    else:
        with reverts(rollup.contract.ChallengePeriodOver, end=posted.end):
            rollup.call_proof(evidence)
        call(rollup.contract, confirmation)


def test_refuses_a_batch_that_fell(wrong, prover):
    rollup, posted = wrong
    evidence = rollup.evidence(posted)
    rollup.prove(posted, prover)
    with reverts(rollup.contract.UnknownBatch, batchId=2, batchHash=posted.hash):
        rollup.call_proof(evidence)


def test_refuses_a_batch_that_is_not_there(wrong):
    rollup, posted = wrong
    evidence = rollup.evidence(posted)
    unknown = rollup.contract.UnknownBatch
    with reverts(unknown, batchId=2, batchHash=GARBAGE):
        rollup.call_proof(evidence, batch_hash=GARBAGE)
    for number in (1, 3, 2**256 - 1):
        with reverts(unknown, batchId=number, batchHash=posted.hash):
            rollup.call_proof(replace(evidence, batch_id=number))
    other = replace(evidence, batch=replace(evidence.batch, executed_at=evidence.batch.executed_at + 1))
    with reverts(unknown, batchId=2, batchHash=other.batch.hash):
        rollup.call_proof(other)
    with reverts(unknown, batchId=2, batchHash=posted.hash):
        rollup.call_proof(other, batch_hash=posted.hash)


def test_refuses_genesis(wrong):
    rollup, posted = wrong
    genesis = rollup.posted[0].header
    evidence = replace(rollup.evidence(posted), batch_id=0, batch=genesis, parent=genesis)
    with reverts(rollup.contract.BatchAlreadyConfirmed, batchId=0):
        rollup.call_proof(evidence)


def test_attack_dispute_of_a_confirmed_batch(scene, sequencer):
    rollup = scene.copy()
    posted = rollup.posted[1]
    evidence = rollup.evidence(posted, 0)
    rollup.confirm(posted, sequencer)
    with reverts(rollup.contract.BatchAlreadyConfirmed, batchId=1):
        rollup.call_proof(evidence)


# What evidence


def test_refuses_another_parent(wrong):
    rollup, posted = wrong
    evidence = rollup.evidence(posted)
    for parent in (posted.header, rollup.posted[0].header, replace(evidence.parent, queue_cursor=0)):
        with reverts(rollup.contract.WrongParent, parentHash=parent.hash):
            rollup.call_proof(replace(evidence, parent=parent))


def test_refuses_a_chunk_that_is_not_there(wrong):
    rollup, posted = wrong
    for chunk in (3, 64, 2**256 - 1):
        with reverts(rollup.contract.ChunkOutOfRange, chunk=chunk, chunks=3):
            rollup.call_proof(replace(rollup.evidence(posted), chunk=chunk))


STATE_CHANGES = {
    "state_root": GARBAGE,
    "withdrawal_root": GARBAGE,
    "next_index": 9,
    "queue_cursor": 2,
    "withdrawal_count": 1,
    "fees": (0, 0, 0, 1),
}


@pytest.mark.parametrize("name", STATE_CHANGES)
def test_attack_wrong_state_before(wrong, name):
    rollup, posted = wrong
    evidence = rollup.evidence(posted)
    before = replace(evidence.before, **{name: STATE_CHANGES[name]})
    assert before != evidence.before
    with reverts(rollup.contract.WrongStateBefore):
        rollup.call_proof(replace(evidence, before=before))


def test_the_state_before_the_first_chunk_is_the_parents(scene, sequencer, alice):
    """Whatever the evidence says of it."""
    rollup = scene.copy()
    posted = rollup.post(honest(rollup, alice).with_chunk(0, commitment=b"\x01" * 31), sequencer)
    evidence = rollup.evidence(posted)
    assert evidence.chunk == 0
    for name, value in STATE_CHANGES.items():
        rollup.call_proof(replace(evidence, before=replace(evidence.before, **{name: value})))


def test_the_state_before_the_first_chunk_has_no_fees(scene, sequencer, alice):
    """The parent's fees are the parent's."""
    rollup = scene.copy()
    first = rollup.post(rollup.make(rollup.sign(alice, Transfer(1, 2, 10, 20, FOREVER))), sequencer)
    assert any(first.header.fees)
    second = rollup.post(rollup.make(rollup.sign(alice, Transfer(1, 2, 10, 0, FOREVER))), sequencer)
    assert not any(second.header.fees)
    with reverts(rollup.contract.NoFraud):
        rollup.call_proof(rollup.evidence(second, 0))


def opening(evidence: Evidence, **changes) -> Evidence:
    """With fields of the opening replaced, by their place; bytes are flipped in the last bit if True is given."""
    kind = BLOB_OPENING_TYPE if evidence.batch.is_blob else CALLDATA_OPENING_TYPE
    fields = list(decode([kind], evidence.opening)[0])
    for name, value in changes.items():
        place = int(name.removeprefix("field"))
        fields[place] = value(fields[place])
    return replace(evidence, opening=encode([kind], [fields]))


def flip(place: int):
    def change(value):
        if isinstance(value, int):
            return value ^ 1
        if isinstance(value, tuple):
            return (*value[:place], flip(-1)(value[place]), *value[place + 1 :])
        spoilt = bytearray(value)
        spoilt[place] ^= 1
        return bytes(spoilt)

    return change


@pytest.mark.parametrize("wrong", ["calldata"], indirect=True)
@pytest.mark.parametrize(
    "change",
    [
        {"field0": flip(0)},
        {"field0": flip(1)},
        {"field0": flip(2)},
        {"field0": lambda hashes: hashes[:-1]},
        {"field0": lambda hashes: (*hashes, GARBAGE)},
        {"field0": lambda hashes: ()},
        {"field1": flip(31)},
        {"field1": flip(0)},
        {"field2": flip(0)},
        {"field2": lambda operations: operations[:-1]},
        {"field2": lambda operations: operations + b"\0"},
        {"field2": lambda operations: b""},
        {"field3": flip(31)},
        {"field4": flip(31)},
    ],
)
def test_attack_opening_of_other_calldata(wrong, change):
    rollup, posted = wrong
    with reverts(rollup.contract.InvalidOpening):
        rollup.call_proof(opening(rollup.evidence(posted), **change))


@pytest.mark.parametrize("wrong", ["blob"], indirect=True)
@pytest.mark.parametrize(
    "change",
    [
        {"field0": flip(100)},
        {"field0": lambda point: bytes(128)},
        {"field1": flip(127)},
        {"field1": lambda point: bytes(128)},
        {"field2": flip(0)},
        {"field2": flip(63)},
        {"field3": flip(0)},
        {"field4": flip(47)},
        {"field4": lambda point: b""},
    ],
)
def test_attack_opening_of_another_blob(wrong, change):
    rollup, posted = wrong
    with reverts(rollup.verifier.InvalidOpening):
        rollup.call_proof(opening(rollup.evidence(posted), **change))


def test_attack_opening_of_another_chunk(wrong):
    rollup, posted = wrong
    evidence = rollup.evidence(posted)
    error = rollup.verifier.InvalidOpening if posted.header.is_blob else rollup.contract.InvalidOpening
    for chunk in (0, 2):
        with reverts(error):
            rollup.call_proof(replace(evidence, opening=rollup.evidence(posted, chunk).opening))


def test_refuses_an_opening_that_is_not_encoded(wrong):
    rollup, posted = wrong
    evidence = rollup.evidence(posted)
    for spoilt in ((2**255).to_bytes(32), b"\xff" * 32, (32).to_bytes(32) + b"\xff" * 32 * 200):
        with reverts():
            rollup.call_proof(replace(evidence, opening=spoilt))


@pytest.mark.parametrize("place", [0, 1, 4, 10, 20, 40, 100, 111])
def test_attack_queue_entries_forged(wrong, place):
    rollup, posted = wrong
    evidence = rollup.evidence(posted)
    assert len(evidence.queue_entries) == 112
    entries = flip(place)(evidence.queue_entries)
    with reverts(rollup.contract.QueueEntriesMismatch, cursor=3):
        rollup.call_proof(replace(evidence, queue_entries=entries))


def test_attack_queue_entries_of_another_place(wrong):
    rollup, posted = wrong
    evidence = rollup.evidence(posted)
    for entries in (rollup.queue[2], rollup.queue[0], b"".join(rollup.queue[2:4]), rollup.queue[3][:-1]):
        with reverts(rollup.contract.QueueEntriesMismatch, cursor=3):
            rollup.call_proof(replace(evidence, queue_entries=entries))


def test_attack_queue_entries_beyond_the_queue(wrong):
    rollup, posted = wrong
    evidence = rollup.evidence(posted)
    rest = b"".join(rollup.queue[3:])
    rollup.call_proof(replace(evidence, queue_entries=rest))
    with reverts(rollup.contract.QueueEntriesMismatch, cursor=3):
        rollup.call_proof(replace(evidence, queue_entries=rest + bytes(112)))


def test_queue_entries_beyond_the_batchs_cursor_do_not_matter(wrong, alice):
    """Entries that came later may be given, up to 16 in all, and are not taken."""
    rollup, posted = wrong
    evidence = rollup.evidence(posted)
    for _ in range(14):
        rollup.force_withdraw(alice, 1)
    rollup.call_proof(replace(evidence, queue_entries=b"".join(rollup.queue[3:19])))
    with reverts(rollup.contract.QueueEntriesMismatch, cursor=3):
        rollup.call_proof(replace(evidence, queue_entries=b"".join(rollup.queue[2:19])))


def test_refuses_too_many_queue_entries(scene, sequencer, alice):
    rollup = scene.copy()
    for _ in range(14):
        rollup.force_withdraw(alice, 1)
    draft = rollup.make(chunks=[b"\x01" * 16, b"\x01"], queue=17).with_chunk(0, commitment=b"\x01" * 31)
    posted = rollup.post(draft, sequencer)
    evidence = rollup.evidence(posted)
    assert len(evidence.queue_entries) == 16 * 112
    rollup.call_proof(evidence)
    with reverts(rollup.contract.QueueEntriesMismatch, cursor=2):
        rollup.call_proof(replace(evidence, queue_entries=b"".join(rollup.queue[2:])))


def test_attack_queue_entries_missing(wrong):
    rollup, posted = wrong
    with reverts(rollup.transition.InvalidWitness):
        rollup.call_proof(replace(rollup.evidence(posted), queue_entries=b""))


def test_attack_witness_that_does_not_fit(wrong):
    rollup, posted = wrong
    evidence = rollup.evidence(posted)
    size = len(evidence.witness)
    spoilt = [flip(place)(evidence.witness) for place in (0, 1, 30, 50, size // 2, size - 1)]
    for witness in (*spoilt, evidence.witness[:-1], b""):
        with reverts(rollup.transition.InvalidWitness):
            rollup.call_proof(replace(evidence, witness=witness))
    rollup.call_proof(replace(evidence, witness=evidence.witness + b"\x01"))


def test_attack_proof_with_too_little_gas(wrong):
    """For lack of gas nothing becomes fraud: a proof reverts, whatever it is that runs out of gas."""
    rollup, posted = wrong
    right, guilty = rollup.evidence(posted, 0), rollup.evidence(posted)
    data = rollup.proof_input(guilty)
    needed = rollup.contract.provider.web3.eth.estimate_gas({"to": rollup.contract.address, "data": data})
    ladder = range(30_000, needed + 20_000, max(700, needed // 200))

    def holds(evidence: Evidence, gas: int) -> bool:
        try:
            rollup.call_proof(evidence, gas=gas)
        except (Web3Exception, ContractLogicError):
            return False
        return True

    assert not any(holds(right, gas) for gas in ladder)
    taken = [gas for gas in ladder if holds(guilty, gas)]
    assert 0 < len(taken) < len(ladder)
    assert taken == list(ladder)[-len(taken) :]


def test_takes_no_value(wrong, prover):
    rollup, posted = wrong
    with reverts():
        rollup.contract.submitFraudProof(*rollup.evidence(posted).arguments(), value=1, sender=prover)
