"""Inputs in another encoding, and ether that nobody asked for. More on `submitBatch` is in `test_submit_batch.py`."""

from typing import Any

import pytest
from eth_abi import encode
from eth_abi.grammar import ABIType, TupleType, parse
from eth_utils import keccak
from web3.exceptions import ContractLogicError

from tests.support.optimistic import Posted, Rollup
from tests.support.reverts import call, revert_data, reverts

WORD = 32
HEADER_WORDS = 17
NARROW = (2, 3, 4, 5, 6, 7, 10, 11, 12)
"""Words of a header that are wider than what they hold: times, counts, the sequencer, whether it is a blob."""
STATE_NARROW = (2, 3, 4)
"""Those of a state: counts."""


def zero(kind: ABIType) -> Any:
    """What is encoded as zeros."""
    if kind.is_array:
        return [zero(kind.item_type)] * (kind.arrlist[-1][0] if kind.arrlist[-1] else 0)
    if isinstance(kind, TupleType):
        return tuple(map(zero, kind.components))
    return {"address": "0x" + "00" * 20, "bool": False, "bytes": b""}.get(kind.base, 0)


def is_narrow(kind: ABIType) -> bool:
    """Whether it is one word that can hold more than the type."""
    if kind.is_array or isinstance(kind, TupleType):
        return False
    return kind.base in ("address", "bool") or (kind.base == "uint" and kind.sub < 256)


def zeros(method) -> tuple[bytes, list[int]]:
    """A call of a function with nothing but zeros; the places of the words whose arguments have fewer than 256 bits."""
    kinds = [parse(argument.canonical_type) for argument in method.inputs]
    places, place = [], 4
    for kind in kinds:
        if is_narrow(kind):
            places.append(place)
        place += WORD if kind.is_dynamic else len(encode([kind.to_type_str()], [zero(kind)]))
    types = [kind.to_type_str() for kind in kinds]
    return keccak(text=method.selector)[:4] + encode(types, [zero(kind) for kind in kinds]), places


def widened(data: bytes, place: int) -> bytes:
    """With the highest bit of a word set."""
    return data[:place] + bytes([data[place] | 0x80]) + data[place + 1 :]


def outcome(rollup: Rollup, data: bytes, sender) -> bytes:
    """What a call reverts with; nothing if it goes through."""
    try:
        call(rollup.contract, data, sender)
    except ContractLogicError as error:
        data = revert_data(error)
        assert data, "it is not even decoded"
        return data
    return b""


def test_only_who_takes_ether_is_sent_any(project, made, alice):
    """Without it each function says what is wrong with its arguments, which are all 0, if anything is."""
    methods = project.OptimisticRollup.contract_type.mutable_methods
    assert {method.name for method in methods if method.is_payable} == {"bond", "deposit"}
    transaction = {"from": alice.address, "to": made.contract.address, "value": 1}
    inputs = {method.name: zeros(method)[0] for method in methods if not method.is_payable}
    assert len(inputs) == 17
    for data in inputs.values():
        outcome(made, data, alice)
    for data in (*inputs.values(), b"", b"\x01\x02\x03\x04"):
        with reverts():
            made.contract.provider.web3.eth.call({**transaction, "data": data})


def test_attack_arguments_wider_than_their_type(project, made, alice):
    """An address with something above it could be another name of the same owner."""
    tried = 0
    for method in project.OptimisticRollup.contract_type.mutable_methods:
        data, places = zeros(method)
        outcome(made, data, alice)
        for place in places:
            tried += 1
            with reverts():
                call(made.contract, widened(data, place), alice)
    assert tried == 22


@pytest.fixture
def posted(rollup, sequencer) -> list[Posted]:
    """Genesis, a right batch and a wrong one."""
    rollup.post(rollup.make(), sequencer)
    rollup.post(rollup.make().with_(state_root=b"\x01" * 32), sequencer)
    return rollup.posted


def test_attack_headers_with_words_wider_than_their_type(rollup, posted):
    """The words are hashed as they are: such a header is that of no batch."""
    c = rollup.contract
    genesis, right, wrong = posted
    evidence = rollup.evidence(wrong)
    claim = (0, genesis.arguments, 0, genesis.header.sequencer, 0, 0, [bytes(32)] * 32)
    inputs = {
        "confirmBatch": rollup.encode("confirmBatch", right.id, right.arguments),
        "claimWithdrawal": rollup.encode("claimWithdrawal", *claim),
        "freeze": rollup.encode("freeze", genesis.arguments, right.arguments),
        "submitFraudProof": rollup.proof_input(evidence),
    }
    with reverts(c.ChallengePeriodRunning, end=right.end):
        call(c, inputs["confirmBatch"])
    with reverts(c.WithdrawalOutOfRange, index=0, count=0):
        call(c, inputs["claimWithdrawal"])
    with reverts(c.FreezeTooEarly, until=2**256 - 1):
        call(c, inputs["freeze"])
    call(c, inputs["submitFraudProof"])

    # Function, where the header begins (after the selector, in words), its batch.
    for function, start, batch in (
        ("confirmBatch", 1, right),
        ("claimWithdrawal", 1, genesis),
        ("freeze", 0, genesis),
        ("freeze", HEADER_WORDS, right),
        ("submitFraudProof", 3, wrong),
        ("submitFraudProof", 3 + HEADER_WORDS, right),
    ):
        begin = 4 + WORD * start
        end = begin + WORD * HEADER_WORDS
        assert inputs[function][begin:end] == batch.header.encode()
        for word in NARROW:
            data = widened(inputs[function], begin + WORD * word)
            hash_ = keccak(data[begin:end])
            if function == "submitFraudProof":
                # Whoever forges a header names its hash.
                data = data[:4] + (hash_ if batch is wrong else wrong.hash) + data[4 + WORD :]
            if function == "submitFraudProof" and batch is right:
                with reverts(c.WrongParent, parentHash=hash_):
                    call(c, data)
            else:
                with reverts(c.UnknownBatch, batchId=batch.id, batchHash=hash_):
                    call(c, data)


def test_attack_a_state_before_with_words_wider_than_their_type(rollup, posted):
    evidence = rollup.evidence(posted[2])
    data = rollup.proof_input(evidence)
    begin = 4 + WORD * (3 + 2 * HEADER_WORDS + 1)
    assert data[begin : begin + WORD] == evidence.before.state_root
    for word in STATE_NARROW:
        with reverts():
            call(rollup.contract, widened(data, begin + WORD * word))


def test_bytes_after_the_evidence_mean_nothing(rollup, posted):
    """Nor does a proof become one of something else by them."""
    for extra in (b"\x01", bytes(32), b"\xff" * 64):
        call(rollup.contract, rollup.proof_input(rollup.evidence(posted[2])) + extra)
        with reverts(rollup.contract.NoFraud):
            call(rollup.contract, rollup.proof_input(rollup.evidence(posted[1], 0)) + extra)
