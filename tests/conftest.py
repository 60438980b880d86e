"""What every test shares."""

import os
from collections.abc import Callable, Iterator

import ape
import pytest
from ape.api import AccountAPI
from ape.contracts import ContractInstance
from hypothesis import settings

from layer2.optimistic.blobs import setup_points
from tests.support import transport
from tests.support.anvil import Anvil

# No test asserts a time. Repeatable, so that a failure in CI is one here.
settings.register_profile("layer2", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("layer2")

transport.install()


def pytest_xdist_auto_num_workers() -> int:
    """One more than cores: a worker waits for chains and processes for nearly half of its time."""
    return (os.cpu_count() or 1) + 1


SLOT = 12
"""Seconds from one block to the next on Ape's chain, as on Ethereum."""


@pytest.fixture(scope="session", autouse=True)
def apes_chain(pytestconfig: pytest.Config) -> None:
    """Prepares Ape's chain, where there is one: not with `-p no:ape_test`."""
    if not pytestconfig.pluginmanager.has_plugin("ape_test"):
        return
    # Ape validates its settings of the network four times for each transaction, until somebody has looked at them.
    assert ape.config.ethereum.local.default_provider == "foundry"
    # Block times do not depend on how fast the machine is; a fast one would put a whole test into one second.
    ape.chain.provider.make_request("anvil_setBlockTimestampInterval", [SLOT])


# ---------------------------------------------------------------- chains


@pytest.fixture(scope="module")
def anvil(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Anvil]:
    """A chain of the module's own."""
    with Anvil(tmp_path_factory.mktemp("anvil") / "log") as running:
        yield running


@pytest.fixture(scope="module")
def network(anvil: Anvil) -> list[str]:
    """The option with which a command finds that chain."""
    return ["--network", f"ethereum:local:{anvil.url}"]


# ---------------------------------------------------------------- roles, each an account of Ape's


@pytest.fixture(scope="session")
def deployer(accounts) -> AccountAPI:
    return accounts[0]


@pytest.fixture(scope="session")
def operator(accounts) -> AccountAPI:
    return accounts[1]


@pytest.fixture(scope="session")
def sequencer(accounts) -> AccountAPI:
    return accounts[1]


@pytest.fixture(scope="session")
def alice(accounts) -> AccountAPI:
    return accounts[2]


@pytest.fixture(scope="session")
def bob(accounts) -> AccountAPI:
    return accounts[3]


@pytest.fixture(scope="session")
def mallory(accounts) -> AccountAPI:
    return accounts[4]


@pytest.fixture(scope="session")
def carol(accounts) -> AccountAPI:
    return accounts[5]


@pytest.fixture(scope="session")
def prover(accounts) -> AccountAPI:
    return accounts[5]


# ---------------------------------------------------------------- contracts that several folders deploy


@pytest.fixture(scope="session")
def parts(project, deployer) -> tuple[ContractInstance, ContractInstance]:
    """State transition and cell verifier."""
    return deployer.deploy(project.StateTransition), deployer.deploy(project.CellVerifier, setup_points())


# ---------------------------------------------------------------- time


@pytest.fixture
def at_time(chain) -> Callable[[int], None]:
    """Makes the next transaction's block have a timestamp."""

    def travel(timestamp: int) -> None:
        chain.provider.make_request("evm_setNextBlockTimestamp", [timestamp])

    return travel


@pytest.fixture
def mine_at(chain, at_time) -> Callable[[int], None]:
    """Mines a block of a timestamp; calls then see this time."""

    def mine(timestamp: int) -> None:
        at_time(timestamp)
        chain.provider.make_request("evm_mine", [])

    return mine
