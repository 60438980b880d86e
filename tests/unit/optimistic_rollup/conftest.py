"""A rollup with real state transition and cell verifier, and roles."""

import pytest
from ape.api import AccountAPI

from layer2.optimistic.blobs import setup_points
from tests.support.optimistic import Rollup


@pytest.fixture(scope="session")
def deployer(accounts) -> AccountAPI:
    return accounts[0]


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
def prover(accounts) -> AccountAPI:
    return accounts[5]


@pytest.fixture(scope="session")
def registry(project, deployer):
    return deployer.deploy(project.TokenRegistry)


@pytest.fixture(scope="session")
def parts(project, deployer):
    return deployer.deploy(project.StateTransition), deployer.deploy(project.CellVerifier, setup_points())


@pytest.fixture(scope="session")
def made(project, deployer, registry, parts, sequencer) -> Rollup:
    rollup = Rollup.deploy(project, deployer, registry, parts)
    rollup.bond(sequencer)
    return rollup


@pytest.fixture
def rollup(made) -> Rollup:
    """A rollup without an operator, and with a bonded sequencer."""
    return made.copy()
