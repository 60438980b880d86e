"""A token that calls back while it is paid out cannot enter what moves money or batches: the lock stops it."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
from eth_utils import keccak

from layer2.optimistic.evidence import reservation
from layer2.optimistic.records import Account, Pool, Position, encode
from layer2.optimistic.state import RollupState
from tests.support.optimistic import HOUR, NO_KEY, Config, Posted, Rollup

REENTERED = keccak(text="ReentrancyGuardReentrantCall()")[:4]
SALT = b"\x05" * 32
ACCOUNT, POOL, POSITION = 1, 2, 3


@dataclass
class Scene:
    """The sequencer has a payout in a token that calls back.

    paid: a confirmed batch, with a withdrawal; its state has an account, a pool and a position. due: a right batch that
    can be confirmed; fell: a wrong one after it, whose reward the token can take over; wrong: one that can be proven.
    """

    rollup: Rollup
    token: Any
    number: int
    payee: Any
    paid: Posted
    due: Posted
    fell: Posted
    wrong: Posted

    def assert_locked(self, function: str, *arguments: Any, from_outside: bool = True) -> None:
        """The call is refused during the payout; from outside it works, so the lock is all that refuses it."""
        with self.rollup.undone():
            if from_outside:
                self.rollup.call(function, *arguments, sender=self.token)
            c = self.rollup.contract
            self.token.setHook(c, self.rollup.encode(function, *arguments), sender=self.payee)
            c.withdraw(self.number, self.payee, sender=self.payee)
            assert bytes(self.token.reason()) == REENTERED, function
            assert self.token.balanceOf(self.payee) == 7


@pytest.fixture
def hooked(project, deployer, registry, parts, sequencer, alice, mallory, prover) -> Scene:
    token = deployer.deploy(project.ReentrantToken)
    registry.register(token, sender=deployer)
    number = int(registry.idOf(token))
    config = Config(
        challenge_period=HOUR,
        reward_delay=HOUR,
        freeze_deadline=2 * HOUR,
        inclusion_deadline=HOUR,
        max_batch_age=HOUR,
    )
    rollup = Rollup.deploy(project, deployer, registry, parts, config=config)
    rollup.bond(sequencer, mallory)
    token.mint(alice, 50, sender=alice)
    token.approve(rollup.contract, 50, sender=alice)
    token.arm(rollup.contract, 1, sender=alice)
    rollup.deposit(alice, number, 50)
    rollup.force_withdraw(alice, 1)

    # Nobody disputes what this batch says of fees and leaves.
    owner = int(alice.address, 16)
    leaves = [Account(owner, number, 0, 10), Pool(0, number, 1000, 1000, 1000), Position(owner, POOL, 100)]
    forged = RollupState.of(config.levels, leaves)
    draft = rollup.make(queue=2)
    forged = replace(draft.states[-1], tree=forged.tree, next_index=forged.next_index)
    claims = {"state_root": forged.state_root, "next_index": forged.next_index, "fees": (number << 128 | 7, 0, 0, 0)}
    paid = replace(rollup.post(draft.with_(**claims), sequencer), state=forged)
    rollup.posted[paid.id] = paid
    rollup.confirm(paid, mallory)

    rollup.deposit(alice, 0, 9)
    due = rollup.post(rollup.make(), sequencer)
    rollup.mine(rollup.now + HOUR // 4)
    fell = rollup.post(rollup.make().with_(state_root=b"\x01" * 32), mallory)
    claim = reservation(fell.hash, 0, fell.state.commitment(), token.address, SALT)
    rollup.contract.reserveReward(claim, sender=mallory)
    rollup.prove(fell, prover)
    wrong = rollup.post(rollup.make().with_(state_root=b"\x02" * 32), sequencer)
    rollup.mine(due.header.timestamp + HOUR + 1)
    return Scene(rollup, token, number, sequencer, paid, due, fell, wrong)


def test_attack_reentrancy_of_a_token(hooked, mallory, prover, alice):
    rollup, c = hooked.rollup, hooked.rollup.contract
    hooked.assert_locked("confirmBatch", hooked.due.id, hooked.due.arguments)
    hooked.assert_locked("submitFraudProof", *rollup.evidence(hooked.wrong).arguments())
    hooked.assert_locked("claimWithdrawal", *rollup.withdrawal_proof(hooked.paid, 0))
    hooked.assert_locked("takeReward", hooked.fell.hash, SALT)
    hooked.assert_locked("deposit", hooked.number, 1, hooked.token.address, 0, NO_KEY)
    hooked.assert_locked("forceWithdraw", 1)

    rollup.confirm(hooked.due, mallory)
    rollup.prove(hooked.wrong, prover)
    rollup.mine(rollup.now + HOUR + 1)
    hooked.assert_locked("claimReward", hooked.fell.hash)
    hooked.assert_locked("withdrawBond", from_outside=False)
    hooked.assert_locked("freeze", hooked.due.arguments, hooked.due.arguments)

    c.freeze(hooked.due.arguments, hooked.due.arguments, sender=mallory)
    record, path = ((lambda index: encode(hooked.paid.state.record(index))), hooked.paid.state.path)
    hooked.assert_locked("escape", ACCOUNT, record(ACCOUNT), path(ACCOUNT))
    position = (POSITION, record(POSITION), path(POSITION), record(POOL), path(POOL))
    hooked.assert_locked("escapePosition", *position)
    hooked.assert_locked("refundDeposit", 2, 0, 0, 9, alice.address, NO_KEY)
