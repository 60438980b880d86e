"""The measurements run and say what they measured; no times are asserted."""

import pytest

from layer2.ledger.constants import Kind
from layer2.zk.bench import bench_circuit, sample_segment
from layer2.zk.build import Artifacts
from layer2.zk.params import DEFAULT_OPERATIONS, DEFAULT_TRANSFERS, TEST_TRANSFERS, CircuitParams
from layer2.zk.r1cs import constraint_count


def test_native_and_snarkjs_are_measured_on_the_same_circuit() -> None:
    result = bench_circuit(TEST_TRANSFERS)
    assert result.circuit == TEST_TRANSFERS.name
    assert result.operations == TEST_TRANSFERS.size
    assert result.constraints == constraint_count(Artifacts.of(TEST_TRANSFERS).r1cs)
    assert (result.native.backend, result.snarkjs.backend) == ("native", "snarkjs")
    for run in (result.native, result.snarkjs):
        assert run.core_seconds > 0
        assert run.wall_seconds > 0
    assert result.speedup == result.snarkjs.core_seconds / result.native.core_seconds
    assert result.prove_seconds > 0
    assert result.witness_seconds > 0


@pytest.mark.parametrize(
    "circuit",
    [
        DEFAULT_TRANSFERS,
        DEFAULT_OPERATIONS,
        CircuitParams("operations", 1, 7, 1),
        CircuitParams("transfers", 1, 4, 1),
    ],
    ids=lambda circuit: circuit.name,
)
def test_sample_segments_are_full_and_pay_fees(circuit: CircuitParams) -> None:
    segment = sample_segment(circuit)
    assert len(segment.steps) == circuit.size
    assert len(segment.fees) == 1
    kinds = {step.operation.kind for step in segment.steps}
    if circuit.kind == "transfers":
        assert kinds == {Kind.TRANSFER}
    elif circuit.levels > 1:
        assert kinds == {Kind.DEPOSIT, Kind.TRANSFER, Kind.TRANSFER_TO_NEW, Kind.WITHDRAWAL, Kind.KEY_CHANGE}
    else:
        assert kinds == {Kind.TRANSFER, Kind.WITHDRAWAL, Kind.KEY_CHANGE}
