"""Deployments and roles that tests of channels share."""

import pytest
from ape.api import AccountAPI

from tests.support.payment_channels import Channel as OneWay
from tests.support.state_channels import Channel


@pytest.fixture(scope="session")
def deployer(accounts) -> AccountAPI:
    return accounts[0]


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
def carol(accounts) -> AccountAPI:
    return accounts[5]


@pytest.fixture(scope="session")
def usdc(project, deployer):
    return deployer.deploy(project.TestUSDC)


@pytest.fixture
def at_time(chain):
    """Makes the next transaction's block have a timestamp."""

    def travel(timestamp: int) -> None:
        chain.provider.make_request("evm_setNextBlockTimestamp", [timestamp])

    return travel


@pytest.fixture
def mine_at(chain):
    """Mines a block of a timestamp; calls then see this time."""

    def mine(timestamp: int) -> None:
        chain.provider.make_request("evm_setNextBlockTimestamp", [timestamp])
        chain.provider.make_request("evm_mine", [])

    return mine


@pytest.fixture
def now(chain) -> int:
    """A time that is in the past for the next block."""
    return chain.blocks.head.timestamp


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
