"""A rollup with state transition and cell verifier, and roles."""

from types import SimpleNamespace

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
def usdc(project, deployer, registry, alice, bob):
    """contract, id."""
    token = deployer.deploy(project.TestUSDC)
    registry.register(token, sender=deployer)
    for who in (alice, bob):
        token.mint(who, 10**15, sender=who)
    return SimpleNamespace(contract=token, id=int(registry.idOf(token)))


@pytest.fixture(scope="session")
def parts(project, deployer):
    return deployer.deploy(project.StateTransition), deployer.deploy(project.CellVerifier, setup_points())


@pytest.fixture(scope="module")
def deployed(project, deployer, registry, parts, usdc, sequencer, alice, bob) -> Rollup:
    """A rollup without an operator, with a bonded sequencer; Alice and Bob have approved USDC."""
    rollup = Rollup.deploy(project, deployer, registry, parts)
    rollup.bond(sequencer)
    for who in (alice, bob):
        usdc.contract.approve(rollup.contract, 2**256 - 1, sender=who)
    return rollup


@pytest.fixture
def rollup(deployed) -> Rollup:
    return deployed.copy()
