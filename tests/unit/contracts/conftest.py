"""Deployments that tests of contracts share."""

from collections.abc import Callable

import pytest
from ape.exceptions import ContractLogicError, CustomError, OutOfGasError
from eth_utils import keccak
from web3.exceptions import ContractLogicError as Web3LogicError
from web3.exceptions import Web3RPCError

from layer2.chain.state_transition import StateTransition
from tests.support.batches import Sizes
from tests.support.reverts import revert_data
from tests.support.toy_keys import Trapdoor
from tests.support.toy_rollup import ToyRollup

DAY = 24 * 3600
QUOTA = 3
PRIORITY_TIMEOUT = 2 * 3600
MAX_BATCH_AGE = 3600
FREEZE_DEADLINE = 14 * DAY

KEY = (
    # circomlib's base point B8: on the curve.
    5299619240641551281634865583518297030282874472190772894086521144482721001553,
    16950150798460657717958625567821834550301663161624707787222815936182638968203,
)

OUT_OF_GAS = "out of gas"


def failure(action: Callable[[], object]) -> bytes | str:
    """What a call or transaction fails with for want of gas: the bytes that it reverts with, or that it runs out."""
    with pytest.raises((ContractLogicError, OutOfGasError, Web3LogicError, Web3RPCError)) as caught:
        action()
    if isinstance(caught.value, OutOfGasError) or "OutOfGas" in str(caught.value):
        return OUT_OF_GAS
    return revert_data(caught.value)


def selector(error: type[CustomError]) -> bytes:
    """What a custom error begins with, and is all of if it has no values."""
    inputs = ",".join(item.canonical_type for item in error.abi.inputs)
    return keccak(text=f"{error.abi.name}({inputs})")[:4]


def widened(calldata: bytes, word: int, bit: int) -> bytes:
    """Calldata with one bit of an argument's word set, which is 0 there."""
    place = 4 + 32 * word
    value = int.from_bytes(calldata[place : place + 32])
    assert not value >> bit & 1
    return calldata[:place] + (value | 1 << bit).to_bytes(32) + calldata[place + 32 :]


@pytest.fixture(scope="session")
def registry(project, deployer):
    return deployer.deploy(project.TokenRegistry)


@pytest.fixture(scope="session")
def custody(project, deployer, registry):
    """Custody without a rollup: the test plays the rollup."""
    return deployer.deploy(project.CustodyHarness, registry, DAY, QUOTA, FREEZE_DEADLINE)


@pytest.fixture(scope="session")
def libraries(project, deployer):
    return deployer.deploy(project.LibraryHarness)


@pytest.fixture(scope="session")
def usdc(project, deployer):
    return deployer.deploy(project.TestUSDC)


@pytest.fixture(scope="session")
def usdc_id(registry, usdc, deployer) -> int:
    registry.register(usdc, sender=deployer)
    return registry.idOf(usdc)


@pytest.fixture(scope="session")
def sizes() -> Sizes:
    return Sizes()


@pytest.fixture(scope="session")
def trapdoor() -> Trapdoor:
    return Trapdoor()


@pytest.fixture(scope="session")
def verifier(project, deployer, trapdoor, sizes):
    """The verifier with keys whose trapdoor the tests know."""
    return deployer.deploy(project.BatchVerifier, trapdoor.key(), sizes.astuple())


@pytest.fixture(scope="session")
def hasher(project, deployer):
    return deployer.deploy(project.Poseidon4)


@pytest.fixture(scope="session")
def transition_contract(project, deployer):
    return deployer.deploy(project.StateTransition)


@pytest.fixture(scope="session")
def transition(transition_contract) -> StateTransition:
    """The contract that executes chunks, asked directly."""
    return StateTransition(transition_contract.provider.web3.provider.endpoint_uri, transition_contract.address)


@pytest.fixture
def list_token(registry, deployer):
    """Lists a token and returns its id."""

    def register(token) -> int:
        registry.register(token, sender=deployer)
        return registry.idOf(token)

    return register


@pytest.fixture(scope="session")
def toy_contract(project, deployer, registry, verifier, hasher, operator):
    return deployer.deploy(
        project.ZKRollup,
        registry,
        verifier,
        hasher,
        operator,
        (DAY, QUOTA, PRIORITY_TIMEOUT, MAX_BATCH_AGE, FREEZE_DEADLINE),
    )


@pytest.fixture
def toy(toy_contract, trapdoor, sizes, operator) -> ToyRollup:
    """A rollup whose verifier's trapdoor the tests know."""
    return ToyRollup(toy_contract, trapdoor, sizes, operator)


@pytest.fixture
def now(chain) -> int:
    """A time that is in the past for the next block, but not for the tip."""
    return chain.blocks.head.timestamp
