"""Deployments that tests of channels share."""

import pytest

from tests.support.payment_channels import Channel as OneWay
from tests.support.state_channels import Channel


@pytest.fixture(scope="session")
def usdc(project, deployer):
    return deployer.deploy(project.TestUSDC)


@pytest.fixture(scope="session")
def state_channel(project, deployer):
    """The contract of state channels."""
    return deployer.deploy(project.StateChannel)


@pytest.fixture
def channel(state_channel, alice, bob) -> Channel:
    """Alice is A and has deposited 100 wei, Bob is B and has deposited 50."""
    channel = Channel.of(state_channel, alice, bob)
    channel.deposit(alice, True, 100)
    channel.deposit(bob, False, 50)
    return channel


@pytest.fixture(scope="session")
def hub(project, deployer):
    """The contract of one-way channels."""
    return deployer.deploy(project.PaymentChannelHub)


@pytest.fixture
def paid(hub, alice, bob) -> OneWay:
    """Alice pays Bob; 100 wei are in it."""
    channel = OneWay.of(hub, alice, bob)
    channel.deposit(alice, 100)
    return channel


@pytest.fixture
def now(chain) -> int:
    """A time that is in the past for the next block."""
    return chain.blocks.head.timestamp
