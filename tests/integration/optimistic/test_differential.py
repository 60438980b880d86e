"""Python and the contract are two implementations of docs/optimistic.md §1 to §3: no chunk tells them apart."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from layer2.chain.deploying import deploy_contract
from layer2.chain.state_transition import StateTransition
from layer2.optimistic.batches import StateWords
from layer2.optimistic.constants import OperationKind
from layer2.optimistic.fuzz import DifferenceError, Fuzzer, difference
from layer2.optimistic.operations import read_chunk
from layer2.optimistic.transition import Failure
from layer2.optimistic.witness import Arguments, make_witness
from tests.support.anvil import Anvil, signer

OPERATIONS = 20_000
SEED = 1


@pytest.fixture(scope="module")
def on_chain(tmp_path_factory) -> Iterator[StateTransition]:
    """On a chain of its own: Ape's records every step of every call, which makes it ten times as slow."""
    with Anvil(tmp_path_factory.mktemp("anvil") / "log") as node:
        address, _ = deploy_contract(node.chain, signer(0), "StateTransition")
        yield StateTransition(node.url, address)


def test_random_chunks_have_the_same_outcome(on_chain):
    report = Fuzzer(on_chain.execute, SEED).run(OPERATIONS)

    print(report.operations, "operations,", report.valid, "valid,", report.outcomes)
    assert report.operations >= OPERATIONS
    # It would be easy to agree on chunks in which nothing happens.
    assert report.valid > OPERATIONS / 3
    assert report.entries > OPERATIONS / 20
    for kind in OperationKind:
        assert report.outcomes[kind, None] > 20, kind
    for failure in Failure:
        assert sum(count for (_, reason), count in report.outcomes.items() if reason is failure) > 20, failure
    for kind in set(OperationKind) - {OperationKind.NOTHING, OperationKind.QUEUE_ENTRY}:
        assert report.outcomes[kind, Failure.INVALID_SIGNATURE] > 5, kind
    assert 20 < report.refused_witnesses < report.broken_witnesses


def test_a_difference_is_found_and_made_small(on_chain):
    """A contract that forgets fees when a mint is in the chunk: the fuzzer shows that, and nothing else."""

    def forgetful(calls):
        answers = []
        for call, answer in zip(calls, on_chain.execute(calls), strict=True):
            kinds = [operation.KIND for operation in read_chunk(call.operations)]
            if isinstance(answer, StateWords) and OperationKind.MINT_NFT in kinds and answer.fees != call.state.fees:
                answer = replace(answer, fees=call.state.fees)
            answers.append(answer)
        return answers

    with pytest.raises(DifferenceError) as caught:
        Fuzzer(forgetful, SEED).run(OPERATIONS)
    case = caught.value.case
    operations = read_chunk(case.operations)
    assert OperationKind.MINT_NFT in [operation.KIND for operation in operations]
    for place in range(len(operations)):
        fewer = b"".join(operation.encode() for operation in operations[:place] + operations[place + 1 :])
        recorded = make_witness(case.state, case.context, fewer, case.queue)
        call = Arguments(case.state, case.context, fewer, recorded.queue_entries, recorded.witness)
        assert difference(recorded.after, forgetful([call])[0]) == ""
    assert caught.value.problem.startswith("fees: Python (")
    assert f"chunk        0x{case.operations.hex()}" in str(caught.value)


def test_the_same_seed_makes_the_same_chunks(on_chain):
    def chunks(seed: int, first: int = 0) -> list[bytes]:
        seen = []

        def execute(calls):
            seen.extend(call.operations for call in calls)
            return on_chain.execute(calls)

        Fuzzer(execute, seed, first).run(200)
        return seen

    assert chunks(1) == chunks(1)
    assert chunks(1) != chunks(2)
    assert chunks(1, first=1)[0] in chunks(1)
