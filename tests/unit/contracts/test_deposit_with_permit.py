"""Custody.depositWithPermit: an approval by signature."""

from dataclasses import dataclass

import pytest
from eth_account import Account

from tests.support.reverts import call, reverts
from tests.unit.contracts.conftest import KEY, widened

ZERO = "0x0000000000000000000000000000000000000000"


@dataclass(frozen=True)
class Permit:
    """An ERC-2612 signature of Alice for some spender and amount."""

    deadline: int
    v: int
    r: bytes
    s: bytes

    def arguments(self) -> tuple[int, int, bytes, bytes]:
        return self.deadline, self.v, self.r, self.s


@pytest.fixture
def sign(usdc, chain, alice, custody):
    usdc.mint(alice, 1000, sender=alice)

    def make(amount: int, deadline: int = 2**40, spender: str = custody.address) -> Permit:
        types = {
            "Permit": [
                {"name": name, "type": kind}
                for name, kind in (
                    ("owner", "address"),
                    ("spender", "address"),
                    ("value", "uint256"),
                    ("nonce", "uint256"),
                    ("deadline", "uint256"),
                )
            ]
        }
        domain = {
            "name": "Test USD Coin",
            "version": "1",
            "chainId": chain.chain_id,
            "verifyingContract": usdc.address,
        }
        message = {
            "owner": alice.address,
            "spender": spender,
            "value": amount,
            "nonce": usdc.nonces(alice),
            "deadline": deadline,
        }
        signed = Account.sign_typed_data(alice.private_key, domain, types, message)
        return Permit(deadline, signed.v, signed.r.to_bytes(32), signed.s.to_bytes(32))

    return make


def test_ether_has_no_permit(custody, alice, sign):
    with reverts(custody.PermitOfEther):
        custody.depositWithPermit(0, 5, alice, 0, KEY, *sign(5).arguments(), sender=alice)


def test_takes_no_value(custody, alice, usdc_id, sign):
    with reverts():
        custody.depositWithPermit(usdc_id, 5, alice, 0, KEY, *sign(5).arguments(), sender=alice, value=1)


def test_refuses_what_deposit_refuses(custody, registry, alice, usdc_id, sign):
    permit = sign(5).arguments()
    with reverts(registry.UnknownToken, id=usdc_id + 1):
        custody.depositWithPermit(usdc_id + 1, 5, alice, 0, KEY, *permit, sender=alice)
    with reverts(custody.InvalidKey, x=1, y=2):
        custody.depositWithPermit(usdc_id, 5, alice, 0, (1, 2), *permit, sender=alice)
    for owner in (ZERO, custody.address):
        with reverts(custody.InvalidOwner, owner=owner):
            custody.depositWithPermit(usdc_id, 5, owner, 0, KEY, *permit, sender=alice)
    for account in (256, 2**32 - 1):
        with reverts(custody.AccountOutOfRange, account=account, capacity=256):
            custody.depositWithPermit(usdc_id, 5, alice, account, KEY, *permit, sender=alice)
    assert custody.queueTail() == custody.held(usdc_id) == 0


def test_refuses_deposits_of_nothing(custody, alice, usdc_id, sign):
    with reverts(custody.EmptyDeposit, token=usdc_id):
        custody.depositWithPermit(usdc_id, 0, alice, 0, KEY, *sign(0).arguments(), sender=alice)


def test_total_of_a_token_stays_below_two_to_the_128(custody, alice, usdc, usdc_id, sign):
    largest = 2**128 - 1
    usdc.mint(alice, 2**129, sender=alice)
    custody.depositWithPermit(usdc_id, largest, alice, 0, KEY, *sign(largest).arguments(), sender=alice)
    with reverts(custody.TotalTooLarge, token=usdc_id, held=largest, arrived=1):
        custody.depositWithPermit(usdc_id, 1, alice, 0, KEY, *sign(1).arguments(), sender=alice)
    assert (custody.held(usdc_id), custody.queueTail()) == (largest, 1)


@pytest.mark.parametrize(("word", "bits"), [(0, 16), (2, 160), (3, 32), (7, 8)], ids=["token", "owner", "account", "v"])
def test_attack_fields_wider_than_their_place(custody, alice, usdc_id, sign, word, bits):
    good = bytes(custody.depositWithPermit.encode_input(usdc_id, 5, alice, 7, KEY, *sign(5).arguments()))
    call(custody, good, alice)
    for bit in (bits, 255):
        with reverts():
            call(custody, widened(good, word, bit), alice)


def test_bad_permits_give_no_allowance(custody, alice, usdc_id, sign, usdc):
    good = sign(5)
    late = sign(5, deadline=1)
    other = sign(5, spender=usdc.address)
    forged = Permit(good.deadline, good.v, good.s, good.r)
    for permit in (late, other, forged):
        with reverts(custody.TransferFromFailed):
            custody.depositWithPermit(usdc_id, 5, alice, 0, KEY, *permit.arguments(), sender=alice)


def test_a_permit_is_of_no_use_to_others(custody, alice, mallory, usdc_id, sign):
    with reverts(custody.TransferFromFailed):
        custody.depositWithPermit(usdc_id, 5, mallory, 0, KEY, *sign(5).arguments(), sender=mallory)


def test_deposits(custody, alice, usdc, usdc_id, sign):
    receipt = custody.depositWithPermit(usdc_id, 5, alice, 3, KEY, *sign(5).arguments(), sender=alice)
    assert receipt.events[-1] == custody.OperationQueued(
        index=0, kind=1, account=3, token=usdc_id, amount=5, owner=alice, key=KEY
    )
    assert usdc.balanceOf(custody) == custody.held(usdc_id) == 5
    assert usdc.allowance(alice, custody) == 0


def test_a_permit_that_somebody_sent_before_does_no_harm(custody, alice, mallory, usdc, usdc_id, sign):
    permit = sign(5)
    usdc.permit(alice, custody, 5, *permit.arguments(), sender=mallory)
    custody.depositWithPermit(usdc_id, 5, alice, 0, KEY, *permit.arguments(), sender=alice)
    assert custody.held(usdc_id) == 5


def test_works_with_tokens_without_permit_that_are_approved(project, custody, alice, list_token, sign):
    token = alice.deploy(project.SpoiltToken, 0)
    token.mint(alice, 9, sender=alice)
    number = list_token(token)
    custody.depositWithPermit(number, 9, alice, 0, KEY, *sign(5).arguments(), sender=alice)
    assert custody.held(number) == 9
