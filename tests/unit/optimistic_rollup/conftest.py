"""A rollup with real state transition and cell verifier."""

import pytest

from tests.support.optimistic import Rollup


@pytest.fixture(scope="session")
def registry(project, deployer):
    return deployer.deploy(project.TokenRegistry)


@pytest.fixture(scope="session")
def made(project, deployer, registry, parts, sequencer) -> Rollup:
    rollup = Rollup.deploy(project, deployer, registry, parts)
    rollup.bond(sequencer)
    return rollup


@pytest.fixture
def rollup(made) -> Rollup:
    """A rollup without an operator, and with a bonded sequencer."""
    return made.copy()
