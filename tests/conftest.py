"""What every test shares."""

import ape
import pytest
from hypothesis import settings

# No test asserts a time. Repeatable, so that a failure in CI is one here.
settings.register_profile("layer2", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("layer2")

SLOT = 12
"""Seconds from one block to the next on Ape's chain, as on Ethereum."""


@pytest.fixture(scope="session", autouse=True)
def slots() -> None:
    """Block times do not depend on how fast the machine is; a fast one would put a whole test into one second."""
    ape.chain.provider.make_request("anvil_setBlockTimestampInterval", [SLOT])
