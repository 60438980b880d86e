"""Real keys of the small circuits (`make test-circuits`) and real proofs."""

import pytest

from layer2.zk.bench import sample_segment
from layer2.zk.params import TEST_OPERATIONS, TEST_TRANSFERS
from layer2.zk.prover import Proof, ZKProver
from layer2.zk.segments import Segment


@pytest.fixture(scope="session")
def transfers_prover() -> ZKProver:
    return ZKProver.load(TEST_TRANSFERS, backend="native")


@pytest.fixture(scope="session")
def operations_prover() -> ZKProver:
    return ZKProver.load(TEST_OPERATIONS, backend="native")


@pytest.fixture(scope="session")
def transfers_segment() -> Segment:
    return sample_segment(TEST_TRANSFERS)


@pytest.fixture(scope="session")
def operations_segment() -> Segment:
    return sample_segment(TEST_OPERATIONS)


@pytest.fixture(scope="session")
def proof(transfers_prover: ZKProver, transfers_segment: Segment) -> Proof:
    return transfers_prover.generate_proof(transfers_segment)
