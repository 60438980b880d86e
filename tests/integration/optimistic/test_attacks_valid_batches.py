"""No evidence whatever fells a valid batch."""

import random
from collections import Counter
from dataclasses import replace

import pytest
from ape.exceptions import ContractLogicError
from eth_utils import keccak
from web3.exceptions import ContractLogicError as Web3LogicError

from layer2.optimistic.evidence import Evidence
from layer2.optimistic.fuzz import OPERATIONS
from tests.integration.optimistic import scenario
from tests.support.optimistic import Draft, Posted, Rollup
from tests.support.reverts import revert_data, reverts

ATTEMPTS = 120
"""Spoilt pieces of evidence for each batch."""

REFUSALS = {
    keccak(text=signature)[:4]: signature
    for signature in (
        "NoFraud()",
        "WrongStateBefore()",
        "InvalidOpening()",
        "InvalidWitness()",
        "QueueEntriesMismatch(uint256)",
    )
}


@pytest.fixture(scope="module")
def prepared(deployed, usdc, sequencer, alice, bob) -> Rollup:
    rollup = deployed.copy()
    scenario.prepare(rollup, usdc.id, alice, bob, sequencer)
    return rollup


@pytest.fixture
def rollup(prepared) -> Rollup:
    return prepared.copy()


def garbage(rollup: Rollup, source: random.Random) -> Draft:
    """Chunks of random bytes, of random operations, and of the longest."""
    shaped = b"".join(
        kind.KIND.to_bytes(1) + source.randbytes(kind.size() - 1) for kind in source.choices(OPERATIONS, k=14)
    )
    small = b"".join(
        bytes([kind]) + source.randbytes(3) + bytes([source.randrange(9)]) + source.randbytes(90) for kind in (2, 4, 8)
    )
    chunks = [source.randbytes(1951), shaped[:1951], b"", small, b"\x01" * 20, bytes(1951), b"\x02"]
    return rollup.make(chunks=chunks, queue=2)


def refusal(rollup: Rollup, evidence: Evidence) -> str:
    """Why the contract refuses the evidence."""
    try:
        rollup.call_proof(evidence)
    except (ContractLogicError, Web3LogicError) as error:
        # An opening whose ABI encoding is spoilt reverts without a reason.
        data = revert_data(error)
        return REFUSALS[data[:4]] if data else "no reason"
    raise AssertionError("a valid batch fell")


def spoil(rollup: Rollup, evidence: Evidence, others: list[Evidence], source: random.Random) -> Evidence:
    """The evidence with one thing wrong, or a few."""
    other = source.choice(others)
    for _ in range(source.choice((1, 1, 2))):
        match source.randrange(11):
            case 0 | 1:
                evidence = replace(evidence, witness=mutated(evidence.witness, source))
            case 2:
                evidence = replace(evidence, witness=other.witness)
            case 3:
                evidence = replace(evidence, opening=mutated(evidence.opening, source))
            case 4:
                evidence = replace(evidence, opening=other.opening)
            case 5:
                evidence = replace(evidence, chunk=other.chunk)
            case 6:
                evidence = replace(evidence, before=other.before)
            case 7:
                name = source.choice(("next_index", "queue_cursor", "withdrawal_count"))
                value = getattr(evidence.before, name) + source.choice((-1, 1))
                evidence = replace(evidence, before=replace(evidence.before, **{name: max(value, 0)}))
            case 8:
                evidence = replace(evidence, before=replace(evidence.before, state_root=source.randbytes(32)))
            case 9:
                evidence = replace(evidence, queue_entries=mutated(evidence.queue_entries, source))
            case 10:
                entries = b"".join(rollup.queue[source.randrange(len(rollup.queue)) :][: source.randrange(4)])
                evidence = replace(evidence, queue_entries=entries)
    return evidence


def mutated(data: bytes, source: random.Random) -> bytes:
    changed = bytearray(data)
    if not changed:
        return source.randbytes(112)
    place = source.randrange(len(changed))
    match source.randrange(4):
        case 0:
            changed[place] ^= 1 << source.randrange(8)
        case 1:
            del changed[place:]
        case 2:
            changed[place : place + 32] = source.randbytes(32)
        case 3:
            changed[place : place + 32] = bytes(32)
    return bytes(changed)


@pytest.mark.parametrize("blob", [False, True], ids=["calldata", "blob"])
@pytest.mark.parametrize("kind", ["of everything", "of garbage"])
def test_attack_spoilt_evidence(rollup, sequencer, alice, bob, kind, blob):
    source = random.Random(f"{kind} {blob}")
    draft = scenario.make(rollup, alice, bob) if kind == "of everything" else garbage(rollup, source)
    posted: Posted = rollup.post(draft, sequencer, blob=blob)
    right = [rollup.evidence(posted, chunk) for chunk in range(len(draft.chunks))]
    for evidence in right:
        with reverts(rollup.contract.NoFraud):
            rollup.call_proof(evidence)
    fates = Counter(refusal(rollup, spoil(rollup, source.choice(right), right, source)) for _ in range(ATTEMPTS))
    print(fates)
    assert set(fates) - {"no reason"} == set(REFUSALS.values())


@pytest.mark.parametrize("blob", [False, True], ids=["calldata", "blob"])
def test_attack_evidence_of_another_batch(rollup, sequencer, alice, bob, blob):
    """Right evidence against a wrong batch does nothing to a right one of the same data."""
    draft = scenario.make(rollup, alice, bob)
    with rollup.undone():
        wrong = rollup.post(draft.with_chunk(1, commitment=b"\x01" * 31), sequencer, blob=blob)
        evidence = rollup.evidence(wrong)
        rollup.call_proof(evidence)
    right = rollup.post(draft, sequencer, blob=blob)
    with reverts(rollup.contract.UnknownBatch, batchId=right.id, batchHash=wrong.hash):
        rollup.call_proof(evidence)
    error = (rollup.verifier if blob else rollup.contract).InvalidOpening
    with reverts(error):
        rollup.call_proof(replace(evidence, batch=right.header))
