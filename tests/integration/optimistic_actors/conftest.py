"""A chain for all tests of a module, with a fresh world in the same state for each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.anvil import Anvil
from tests.support.optimistic_world import OptimisticWorld


@pytest.fixture(scope="module")
def _open_world(anvil: Anvil, tmp_path_factory: pytest.TempPathFactory) -> OptimisticWorld:
    world = OptimisticWorld.create(anvil, tmp_path_factory.mktemp("new"))
    world.open_accounts()
    return world


@pytest.fixture
def world(_open_world: OptimisticWorld, tmp_path: Path) -> Iterator[OptimisticWorld]:
    """Alice has account 1 with 100 USDC, Bob 2 with 50, Carol 3 with 20, in batch 1; nothing waits. No databases."""
    _open_world.folder = tmp_path
    with _open_world.anvil.undone():
        yield _open_world
