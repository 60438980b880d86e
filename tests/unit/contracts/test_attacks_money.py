"""Attacks with strange tokens and strange payees: only their own holders are hurt."""

import pytest
from eth_utils import keccak

from tests.support.reverts import reverts
from tests.unit.contracts.conftest import KEY

REENTERED = keccak(text="ReentrancyGuardReentrantCall()")[:4]
NONE, RETURNS_NOTHING, RETURNS_FALSE, REVERTS, MOVES_NOTHING, SHRINKS, CLAIMS_EVERYTHING = range(7)


@pytest.fixture
def spoilt(project, list_token, custody, alice):
    """A token whose answers can be spoilt later; Alice has deposited 50 of 100, and Bob's share is 20."""
    token = alice.deploy(project.SpoiltToken, NONE)
    token.mint(alice, 100, sender=alice)
    return token, list_token(token)


def test_fee_on_transfer_is_credited_with_what_arrived(project, list_token, custody, alice):
    token = alice.deploy(project.FeeOnTransferToken)
    number = list_token(token)
    token.mint(alice, 1000, sender=alice)
    token.approve(custody, 1000, sender=alice)

    receipt = custody.deposit(number, 1000, alice, 0, KEY, sender=alice)

    assert receipt.events[-1].amount == 990
    assert token.balanceOf(custody) == custody.held(number) == 990


def test_no_return_value_is_fine(spoilt, custody, alice, bob):
    token, number = spoilt
    token.setDefect(RETURNS_NOTHING, sender=alice)
    custody.deposit(number, 50, alice, 0, KEY, sender=alice)
    custody.credit(bob, number, 20, sender=alice)
    custody.withdraw(number, bob, sender=bob)
    assert (token.balanceOf(bob), token.balanceOf(custody), custody.held(number)) == (20, 30, 30)


@pytest.mark.parametrize("defect", [RETURNS_FALSE, REVERTS])
def test_false_and_reverting_tokens_bring_nothing(spoilt, custody, alice, defect):
    token, number = spoilt
    token.setDefect(defect, sender=alice)
    with reverts(custody.TransferFromFailed):
        custody.deposit(number, 50, alice, 0, KEY, sender=alice)


@pytest.mark.parametrize("defect", [RETURNS_FALSE, REVERTS])
def test_false_and_reverting_tokens_keep_the_payout(spoilt, custody, alice, bob, defect):
    """A payout that the token refuses is not lost: it can be claimed when the token thinks better of it."""
    token, number = spoilt
    custody.deposit(number, 50, alice, 0, KEY, sender=alice)
    custody.credit(bob, number, 20, sender=alice)
    token.setDefect(defect, sender=alice)
    for claim in (
        lambda: custody.withdraw(number, bob, sender=bob),
        lambda: custody.withdrawFor(bob, number, sender=bob),
    ):
        with reverts(custody.TransferFailed):
            claim()
    assert (custody.payouts(bob, number), custody.held(number)) == (20, 50)
    token.setDefect(NONE, sender=alice)
    custody.withdraw(number, bob, sender=bob)
    assert token.balanceOf(bob) == 20


@pytest.mark.parametrize("defect", [MOVES_NOTHING, SHRINKS])
def test_lying_tokens_are_credited_with_nothing(spoilt, custody, alice, defect):
    token, number = spoilt
    token.mint(custody, 10, sender=alice)
    token.setDefect(defect, sender=alice)
    with reverts(custody.EmptyDeposit, token=number):
        custody.deposit(number, 50, alice, 0, KEY, sender=alice)


def test_boasting_tokens_cannot_pass_two_to_the_128(spoilt, custody, alice):
    token, number = spoilt
    token.setDefect(CLAIMS_EVERYTHING, sender=alice)
    with reverts(custody.TotalTooLarge, token=number, held=0, arrived=2**256 - 1):
        custody.deposit(number, 50, alice, 0, KEY, sender=alice)


def test_blacklisting_hurts_the_listed_only(project, list_token, custody, alice, bob, mallory):
    token = alice.deploy(project.BlacklistingToken)
    number = list_token(token)
    token.mint(alice, 100, sender=alice)
    token.approve(custody, 100, sender=alice)
    custody.deposit(number, 100, alice, 0, KEY, sender=alice)
    custody.credit(bob, number, 30, sender=alice)
    custody.credit(mallory, number, 20, sender=alice)
    token.setBlacklisted(mallory, True, sender=alice)

    with reverts(custody.TransferFailed):
        custody.withdraw(number, mallory, sender=mallory)
    custody.withdraw(number, bob, sender=bob)
    assert token.balanceOf(bob) == 30
    # The listed one still has it, and may have it sent to an address that is not listed.
    custody.withdraw(number, alice, sender=mallory)
    assert token.balanceOf(alice) == 20


def test_token_that_loses_its_code_hurts_its_own_holders_only(
    project, chain, list_token, custody, usdc, usdc_id, alice, bob
):
    """A token that destroys itself after it was listed. Nothing is taken, paid or forgotten, and other tokens work."""
    token = alice.deploy(project.TestUSDC)
    number = list_token(token)
    for one, id_ in ((token, number), (usdc, usdc_id)):
        one.mint(alice, 100, sender=alice)
        one.approve(custody, 100, sender=alice)
        custody.deposit(id_, 50, alice, 0, KEY, sender=alice)
        custody.credit(bob, id_, 20, sender=alice)
    code = chain.provider.get_code(token.address)
    chain.provider.make_request("anvil_setCode", [token.address, "0x"])

    def held() -> tuple[int, ...]:
        return custody.queueTail(), custody.held(number), custody.payouts(bob, number), custody.held(usdc_id)

    assert held() == (2, 50, 20, 50)
    with reverts(custody.NotAContract, token=token.address):
        custody.deposit(number, 5, alice, 0, KEY, sender=alice)
    with reverts(custody.NotAContract, token=token.address):
        custody.depositWithPermit(number, 5, alice, 0, KEY, 0, 0, bytes(32), bytes(32), sender=alice)
    for claim in (
        lambda: custody.withdraw(number, bob, sender=bob),
        lambda: custody.withdrawFor(bob, number, sender=alice),
    ):
        with reverts(custody.TransferFailed):
            claim()
    assert held() == (2, 50, 20, 50)
    custody.withdraw(usdc_id, bob, sender=bob)
    custody.deposit(usdc_id, 50, alice, 0, KEY, sender=alice)
    custody.deposit(0, 5, alice, 0, KEY, value=5, sender=alice)
    assert (usdc.balanceOf(bob), usdc.balanceOf(custody), custody.held(usdc_id), custody.held(0)) == (20, 80, 80, 5)

    # Should the token ever come back, what it owes is there.
    chain.provider.make_request("anvil_setCode", [token.address, "0x" + bytes(code).hex()])
    custody.withdraw(number, bob, sender=bob)
    assert (token.balanceOf(bob), token.balanceOf(custody), custody.held(number)) == (20, 30, 30)


@pytest.fixture
def reentrant(project, list_token, custody, alice, bob):
    token = alice.deploy(project.ReentrantToken)
    number = list_token(token)
    token.mint(alice, 100, sender=alice)
    token.approve(custody, 100, sender=alice)
    custody.deposit(number, 10, alice, 0, KEY, sender=alice)
    custody.credit(token, number, 5, sender=alice)
    custody.credit(bob, number, 2, sender=alice)
    token.arm(custody, 1, sender=alice)
    return token, number


ENTRANCES = {
    "deposit": lambda c, token, number: c.deposit.encode_input(number, 1, token.address, 0, KEY),
    "depositWithPermit": lambda c, token, number: c.depositWithPermit.encode_input(
        number, 1, token.address, 0, KEY, 0, 0, bytes(32), bytes(32)
    ),
    "forceWithdraw": lambda c, token, number: c.forceWithdraw.encode_input(1),
    "withdraw": lambda c, token, number: c.withdraw.encode_input(number, token.address),
    "withdrawFor": lambda c, token, number: c.withdrawFor.encode_input(token.address, number),
}


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_reentrant_token_cannot_enter_a_withdrawal(reentrant, custody, alice, bob, entrance):
    token, number = reentrant
    token.setHook(custody, ENTRANCES[entrance](custody, token, number), sender=alice)
    custody.withdraw(number, bob, sender=bob)
    assert bytes(token.reason()) == REENTERED
    assert (custody.payouts(token, number), custody.held(number), custody.queueTail()) == (5, 8, 1)


@pytest.mark.parametrize("entrance", ENTRANCES)
@pytest.mark.parametrize("way", ["deposit", "depositWithPermit"])
def test_reentrant_token_cannot_enter_a_deposit(reentrant, custody, alice, entrance, way):
    """Entering `deposit` from a deposit would credit the inner amount twice."""
    token, number = reentrant
    token.setHook(custody, ENTRANCES[entrance](custody, token, number), sender=alice)
    permit = () if way == "deposit" else (0, 0, bytes(32), bytes(32))
    getattr(custody, way)(number, 10, alice, 0, KEY, *permit, sender=alice)
    assert bytes(token.reason()) == REENTERED
    assert custody.held(number) == token.balanceOf(custody) == 20


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_what_the_reentrant_token_tries_would_work_from_outside(reentrant, custody, alice, bob, entrance):
    """So the lock is all that stops it: during a transfer between others the same call goes through."""
    token, number = reentrant
    token.setHook(custody, ENTRANCES[entrance](custody, token, number), sender=alice)
    token.transfer(bob, 1, sender=alice)
    assert token.succeeded()


def test_ether_forced_in_by_self_destruct_belongs_to_nobody(project, custody, alice):
    custody.deposit(0, 100, alice, 0, KEY, value=100, sender=alice)
    alice.deploy(project.EtherForcer, custody, value=5)
    assert (custody.balance, custody.held(0)) == (105, 100)
    custody.deposit(0, 1, alice, 0, KEY, value=1, sender=alice)
    assert custody.held(0) == 101


def test_plain_ether_transfers_are_refused(custody, alice):
    with reverts():
        alice.transfer(custody, 1)


def test_tokens_sent_plainly_are_not_credited_to_the_next_deposit(custody, usdc, usdc_id, alice, mallory):
    usdc.mint(custody, 77, sender=alice)
    usdc.mint(mallory, 1, sender=mallory)
    usdc.approve(custody, 1, sender=mallory)
    receipt = custody.deposit(usdc_id, 1, mallory, 0, KEY, sender=mallory)
    assert receipt.events[-1].amount == 1
    assert (custody.held(usdc_id), usdc.balanceOf(custody)) == (1, 78)


@pytest.fixture
def pot(custody, alice):
    """ETH of Alice's that a payee would like to have."""
    custody.deposit(0, 1000, alice, 0, KEY, value=1000, sender=alice)
    return custody


@pytest.mark.parametrize("payee", ["GasBurningPayee", "RevertingPayee", "ReenteringPayee"])
def test_attack_withdrawals_bad_payees_hurt_only_themselves(project, pot, alice, bob, payee):
    contract = alice.deploy(getattr(project, payee))
    pot.credit(contract, 0, 10, sender=alice)
    pot.credit(bob, 0, 20, sender=alice)
    with reverts(pot.ETHTransferFailed):
        pot.withdrawFor(contract, 0, sender=bob, gas=1_000_000)
    assert pot.payouts(contract, 0) == 10
    pot.withdrawFor(bob, 0, sender=alice)
    assert (pot.balance, pot.held(0)) == (980, 980)


def test_attack_withdrawals_reentrancy_from_the_payee(project, pot, alice):
    payee = alice.deploy(project.SlyPayee)
    pot.credit(payee, 0, 10, sender=alice)
    pot.withdrawFor(payee, 0, sender=alice)
    assert payee.balance == 10
    # Locked, and not merely because the payout was gone.
    assert bytes(payee.lastError()) == REENTERED
    assert (pot.balance, pot.held(0)) == (990, 990)
