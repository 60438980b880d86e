"""A chain for all tests of a module, with a fresh world in the same state for each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.anvil import Anvil
from tests.support.world import World


@pytest.fixture(scope="module")
def _new_world(anvil: Anvil, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.create(anvil, tmp_path_factory.mktemp("new"))


@pytest.fixture(scope="module")
def _open_world(_new_world: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    _new_world.open_accounts()
    return _new_world


@pytest.fixture
def world(_open_world: World, tmp_path: Path) -> Iterator[World]:
    """Alice has account 1 with 100 USDC, Bob 2 with 50, Carol 3 with 20; nothing waits. The database is empty."""
    _open_world.folder = tmp_path
    with _open_world.anvil.undone():
        yield _open_world
