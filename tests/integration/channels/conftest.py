"""A chain for all tests of a module, with a fresh world in the same state for each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.anvil import Anvil
from tests.support.channel_world import ChannelWorld


@pytest.fixture(scope="module")
def _new_world(anvil: Anvil, tmp_path_factory: pytest.TempPathFactory) -> ChannelWorld:
    return ChannelWorld.create(anvil, tmp_path_factory.mktemp("new"))


@pytest.fixture
def world(_new_world: ChannelWorld, tmp_path: Path) -> Iterator[ChannelWorld]:
    """Alice, Bob and Carol have 1000 USDC each; no channel is open. No databases."""
    _new_world.folder = tmp_path
    with _new_world.anvil.undone():
        yield _new_world
