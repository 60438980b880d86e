"""What `ape run demo` shows holds: every check of its stories, on one chain, with the default circuits' keys.

The number of checks is asserted as well: a step that no longer happens takes its checks with it.
"""

import struct
from pathlib import Path

import pytest

from layer2.demo.channels import ChannelStory
from layer2.demo.narrator import Narrator
from layer2.demo.optimistic import OptimisticStory
from layer2.demo.story import Cast, Story
from tests.support.anvil import Anvil, signer


@pytest.fixture
def narrator() -> Narrator:
    return Narrator()


def test_zk_rollup(anvil: Anvil, tmp_path: Path, narrator: Narrator) -> None:
    picture = tmp_path / "new" / "gas.png"
    cast = Cast(*map(signer, range(5)))
    assert Story(anvil.chain, cast, tmp_path, picture, narrator, bar=False).run()
    assert (narrator.failed, narrator.checks) == ([], 16)
    data = picture.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert min(struct.unpack_from(">II", data, 16)) > 100, "width and height"
    assert data.endswith(b"IEND\xaeB`\x82"), "all of it was written"


@pytest.mark.parametrize(("story", "checks"), [(OptimisticStory, 23), (ChannelStory, 15)])
def test_optimistic_rollup_and_channels(
    story: type[OptimisticStory | ChannelStory], checks: int, anvil: Anvil, tmp_path: Path, narrator: Narrator
) -> None:
    assert story(anvil.chain, tmp_path, narrator).run()
    assert (narrator.failed, narrator.checks) == ([], checks)
