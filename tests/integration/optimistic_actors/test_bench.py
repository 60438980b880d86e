"""The optimistic rollup's gas, measured as `make bench` does, is within what its issue allows."""

from pathlib import Path

import pytest

from layer2.benchmarks.l1 import TokenTransfer, transfers_on_layer1
from layer2.benchmarks.optimistic import OptimisticBench, OptimisticReport
from layer2.chain.deploying import deploy_contract
from layer2.chain.local import Anvil, signer
from layer2.optimistic.constants import BLOB_BYTES, OperationKind
from layer2.scenarios.devchain import DevChain
from layer2.scenarios.people import Person

PROOF_GAS = 2_500_000
TRANSFER_GAS = 90


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> OptimisticReport:
    with Anvil(tmp_path_factory.mktemp("anvil") / "log") as anvil:
        return OptimisticBench(anvil.chain).run()


def test_every_fraud_proof_fits(report: OptimisticReport) -> None:
    assert len(report.proofs) == len(OperationKind) - 1
    for proof in report.proofs:
        assert 12 <= proof.operations <= 16
        assert min(proof.calldata, proof.blob) > 700_000
        assert max(proof.calldata, proof.blob) <= PROOF_GAS, proof


def test_a_thousand_transfers_in_a_blob(report: OptimisticReport) -> None:
    batches = {(batch.mode, batch.transfers): batch for batch in report.batches}
    full = batches["blob", 1000]
    assert full.gas <= TRANSFER_GAS * full.transfers
    assert full.data_bytes == BLOB_BYTES == full.blob_gas
    assert full.gas == batches["blob", 100].gas
    calldata = batches["calldata", 1000]
    assert calldata.data_bytes == calldata.transfers * 83 + calldata.chunks * 33
    assert calldata.gas < 4000 * calldata.transfers


def test_other_calls_are_measured(report: OptimisticReport) -> None:
    assert [call.name for call in report.calls] == [
        "confirmBatch",
        "claimWithdrawal",
        "freeze",
        "escape of an account",
        "escape of a position",
    ]
    assert all(30_000 < call.gas < 200_000 for call in report.calls)


def test_transfers_on_layer1(tmp_path: Path) -> None:
    people = [Person.named(name) for name in ("one", "two")]
    with Anvil(tmp_path / "log") as anvil:
        token, _ = deploy_contract(anvil.chain, signer(0), "TestUSDC")
        head = anvil.chain.head()
        transfers = [TokenTransfer(people[n % 2], people[(n + 1) % 2], 5 + n) for n in range(20)]
        found = transfers_on_layer1(DevChain(anvil.chain), token, transfers)
        assert anvil.chain.head() == head
    assert found.count == 20
    assert 20 * 30_000 < found.gas < 20 * 60_000
    assert 20 * 150 < found.data_bytes < 20 * 200
