"""A rollup with real keys, some accounts, and two batches with real proofs, made once a session."""

from dataclasses import dataclass

import pytest
from ape.api import AccountAPI
from ape.contracts import ContractInstance

from layer2.ledger.state import State
from tests.support.rollup import Rollup, Submission

ALICE_USDC, BOB_USDC, ALICE_ETH = 1, 2, 3


@dataclass(frozen=True)
class Scenario:
    """Alice has 100 USDC and 1 ETH on L2 and Bob 50 USDC (accounts 1, 3, 2).

    `opening` is the batch that consumed their deposits and a void forced withdrawal of Mallory's. `following` is the
    next batch, proven but not submitted: two transfers in a segment, two withdrawals (58 USDC by Bob), one transfer.
    """

    rollup: Rollup
    opening: Submission
    following: Submission
    usdc: ContractInstance
    usdc_id: int
    owners: tuple[AccountAPI, ...]

    @property
    def made_state(self) -> State:
        """The ledger's state after `opening`."""
        return self.opening.state_after

    @property
    def tokens(self) -> list[tuple[int, ContractInstance | None]]:
        return [(0, None), (self.usdc_id, self.usdc)]


@pytest.fixture(scope="session")
def made(project, deployer, operator, alice, bob, mallory) -> Scenario:
    registry = deployer.deploy(project.TokenRegistry)
    usdc = deployer.deploy(project.TestUSDC)
    registry.register(usdc, sender=deployer)
    usdc_id = int(registry.idOf(usdc))
    rollup = Rollup.deploy(project, deployer, registry, operator)
    for owner in (alice, bob):
        usdc.mint(owner, 1000_000000, sender=owner)
        usdc.approve(rollup.contract, 2**256 - 1, sender=owner)

    rollup.deposit(alice, usdc_id, 100_000000)
    rollup.deposit(bob, usdc_id, 50_000000)
    rollup.deposit(alice, 0, 10**18)
    rollup.force_withdraw(mallory, BOB_USDC)
    opening = rollup.prepare()
    rollup.send(opening)

    following = rollup.prepare(
        rollup.transfer(alice, ALICE_USDC, BOB_USDC, 10_000000, 0x45),
        rollup.transfer(bob, BOB_USDC, ALICE_USDC, 1_000000, 0x41),
        rollup.withdrawal(bob, BOB_USDC, 58_000000, ahead=1),
        rollup.withdrawal(alice, ALICE_ETH, 10**17, 0xF9),
        rollup.transfer(alice, ALICE_USDC, BOB_USDC, 5, ahead=1),
    )
    return Scenario(rollup, opening, following, usdc, usdc_id, (deployer, operator, alice, bob, mallory))


@pytest.fixture
def scenario(made) -> Scenario:
    """The session's scenario; a test may go on from it."""
    return Scenario(made.rollup.copy(), made.opening, made.following, made.usdc, made.usdc_id, made.owners)


@pytest.fixture
def rollup(scenario) -> Rollup:
    return scenario.rollup
