"""A rollup with state transition and cell verifier."""

from types import SimpleNamespace

import pytest

from tests.support.optimistic import Rollup


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
