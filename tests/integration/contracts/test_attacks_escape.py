"""Escapes from a state that real proofs made, with real circuits: who gets what, and what nobody gets."""

import pytest

from layer2.ledger.account import Account
from tests.integration.contracts.conftest import ALICE_ETH, ALICE_USDC, BOB_USDC, Scenario
from tests.support.reverts import reverts
from tests.support.rollup import FREEZE_DEADLINE, Rollup, escape_arguments, key_of


@pytest.fixture
def frozen(scenario: Scenario, chain, mallory) -> Rollup:
    """Frozen after both batches of the scenario, with a deposit and a forced withdrawal of Bob's that nobody took."""
    rollup = scenario.rollup
    rollup.send(scenario.following)
    _, _, _, bob, _ = scenario.owners
    rollup.deposit(bob, scenario.usdc_id, 7_000000, account=BOB_USDC)
    rollup.force_withdraw(bob, BOB_USDC)
    chain.mine(timestamp=chain.pending_timestamp + FREEZE_DEADLINE + 1)
    rollup.contract.freeze(sender=mallory)
    return rollup


def test_the_sum_of_all_escapes_is_what_is_held(scenario, frozen, mallory):
    """The second batch left transfers, fees and withdrawals behind: accounts, refund and payouts are all there is."""
    c = frozen.contract
    assert (bytes(c.finalRoot()), c.finalCursor()) == (frozen.state.root.to_bytes(32), 4)
    for index, account in frozen.state.accounts():
        before = c.payouts(f"0x{account.owner:040x}", account.token)
        c.escape(*escape_arguments(frozen.state, index), sender=mallory)
        assert c.payouts(f"0x{account.owner:040x}", account.token) == before + account.balance
    deposit = frozen.queue[0]
    bob = scenario.owners[3]
    key = tuple(key_of(bob).public_key)
    c.refundDeposit(4, BOB_USDC, deposit.token, deposit.amount, bob, key, sender=mallory)
    for token, erc20 in scenario.tokens:
        total = sum(c.payouts(owner, token) for owner in scenario.owners)
        assert total == c.held(token) == (c.balance if erc20 is None else erc20.balanceOf(c))
        for owner in scenario.owners:
            if c.payouts(owner, token):
                c.withdrawFor(owner, token, sender=mallory)
        assert c.held(token) == 0


def test_attack_escape_from_the_state_before_the_last_batch(scenario, frozen, mallory):
    """Before it Bob had 50 USDC; he has withdrawn 58 since."""
    older = scenario.made_state
    assert older.account(BOB_USDC).balance == 50_000000
    for index in (ALICE_USDC, BOB_USDC, ALICE_ETH):
        with reverts(frozen.contract.InvalidEscapeProof):
            frozen.contract.escape(*escape_arguments(older, index), sender=mallory)


def test_attack_escape_to_the_wrong_owner(frozen, mallory):
    for index, account in list(frozen.state.accounts()):
        stolen = Account(int(mallory.address, 16), account.key, account.token, account.nonce, account.balance)
        _, leaf, _ = escape_arguments(frozen.state.put(index, stolen), index)
        with reverts(frozen.contract.InvalidEscapeProof):
            frozen.contract.escape(index, leaf, frozen.state.path(index), sender=mallory)


def test_attack_refund_of_a_deposit_that_was_proven(scenario, frozen, alice):
    """Alice's first deposit is in her account, which escapes: not twice."""
    key = tuple(key_of(alice).public_key)
    with reverts(frozen.contract.DepositConsumed, index=0, cursor=4):
        frozen.contract.refundDeposit(0, 0, scenario.usdc_id, 100_000000, alice, key, sender=alice)


def test_attack_forced_withdrawal_and_escape(frozen, bob):
    """A forced withdrawal that nobody took gives nothing; the account escapes once."""
    c = frozen.contract
    with reverts(c.NotADeposit, index=5):
        c.refundDeposit(5, BOB_USDC, 0, 0, bob, (0, 0), sender=bob)
    c.escape(*escape_arguments(frozen.state, BOB_USDC), sender=bob)
    with reverts(c.AlreadyEscaped, index=BOB_USDC):
        c.escape(*escape_arguments(frozen.state, BOB_USDC), sender=bob)


def test_a_proven_batch_comes_too_late(scenario, chain, mallory, bob):
    rollup = scenario.rollup
    rollup.force_withdraw(bob, BOB_USDC)
    chain.mine(timestamp=chain.pending_timestamp + FREEZE_DEADLINE + 1)
    rollup.contract.freeze(sender=mallory)
    with reverts(rollup.contract.RollupFrozen):
        rollup.call(scenario.following)
