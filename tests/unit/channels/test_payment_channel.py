"""PaymentChannel: the textbook's channel without the textbook's flaws."""

import pytest
import rlp
from eth_utils import keccak, to_checksum_address

from tests.support.payment_channels import DAY, FORMS, delegate, payment_digest, spoilt
from tests.support.reverts import call, reverts
from tests.support.state_channels import NOBODY
from tests.support.typed import sign

DEPOSIT = 100
NO, AS_OWNER, YES = range(3)
"""Answers of a SigningPuppet."""


@pytest.fixture
def expiration(now) -> int:
    return now + DAY


@pytest.fixture
def channel(project, alice, bob, expiration):
    """Alice has deposited 100 wei for Bob."""
    return alice.deploy(project.PaymentChannel, bob, expiration, value=DEPOSIT)


@pytest.fixture
def pay(chain, alice):
    """Alice's signature of an amount, or somebody else's."""

    def make(channel, amount: int, by=alice, chain_id: int = chain.chain_id) -> bytes:
        return sign(by, payment_digest(channel.address, amount, chain_id))

    return make


@pytest.fixture
def attempt(bob):
    """A call without a transaction, of Bob's if it is nobody else's."""

    def make(channel, function: str, *arguments, sender=bob) -> None:
        call(channel, getattr(channel, function).encode_input(*arguments), sender)

    return make


def paid(receipt, account, before: int) -> int:
    """What an account got, apart from the gas that it paid."""
    return account.balance - before + receipt.total_fees_paid


# ---------------------------------------------------------------- opening


def try_to_open(project, alice, *arguments, value: int = DEPOSIT) -> None:
    container = project.PaymentChannel
    code = container.constructor.encode_input(*arguments)
    code = container.contract_type.deployment_bytecode.bytecode + bytes(code).hex()
    alice.provider.web3.eth.call({"data": code, "from": alice.address, "value": value})


def test_opens(project, chain, alice, bob, expiration):
    channel = alice.deploy(project.PaymentChannel, bob, expiration, value=DEPOSIT)
    events = list(channel.ChannelOpened)
    assert events == [
        channel.ChannelOpened(sender=alice, recipient=bob, deposit=DEPOSIT, expiration=expiration),
    ]
    assert (channel.sender(), channel.recipient()) == (alice, bob)
    assert (channel.expiration(), channel.deposit()) == (expiration, DEPOSIT)
    assert (channel.claimed(), channel.isClosed()) == (0, False)
    assert channel.balance == DEPOSIT


def test_refuses_to_pay_nobody(project, alice, channel, expiration):
    with reverts(channel.InvalidRecipient, recipient=NOBODY):
        try_to_open(project, alice, NOBODY, expiration)
    address = to_checksum_address(keccak(rlp.encode([bytes.fromhex(alice.address[2:]), alice.nonce]))[12:])
    with reverts(channel.InvalidRecipient, recipient=address):
        try_to_open(project, alice, address, expiration)


def test_expires_now_at_the_earliest(project, chain, alice, bob, channel, mine_at):
    mine_at(chain.blocks.head.timestamp + 100)
    now = chain.blocks.head.timestamp
    for expiration in (0, now - 1):
        with reverts(channel.InvalidExpiration, expiration=expiration):
            try_to_open(project, alice, bob.address, expiration)
    for expiration in (now, now + 1, 2**256 - 1):
        try_to_open(project, alice, bob.address, expiration)


def test_needs_a_deposit(project, alice, bob, channel, expiration):
    with reverts(channel.EmptyDeposit):
        try_to_open(project, alice, bob.address, expiration, value=0)


def test_takes_no_ether_afterwards(channel, alice, bob, pay):
    for sender in (alice, bob):
        with reverts():
            sender.transfer(channel, 1)
    with reverts():
        channel.claimPayment(1, pay(channel, 1), value=1, sender=bob)
    with reverts():
        channel.closeChannel(value=1, sender=bob)


# ---------------------------------------------------------------- claiming


def test_pays_the_difference_and_stays_open(channel, bob, pay):
    """Partial claims lose nothing, and none closes the channel."""
    for amount, difference in ((30, 30), (31, 1), (DEPOSIT, 69)):
        before = bob.balance
        receipt = channel.claimPayment(amount, pay(channel, amount), sender=bob)
        assert receipt.events == [channel.PaymentClaimed(recipient=bob, amount=difference, total=amount)]
        assert paid(receipt, bob, before) == difference
        assert (channel.claimed(), channel.isClosed(), channel.balance) == (amount, False, DEPOSIT - amount)


def test_only_the_recipient_claims(channel, alice, mallory, pay, attempt):
    for sender in (alice, mallory):
        with reverts(channel.NotRecipient, caller=sender):
            attempt(channel, "claimPayment", 30, pay(channel, 30), sender=sender)


def test_attack_same_voucher_twice(channel, bob, pay, attempt):
    channel.claimPayment(30, pay(channel, 30), sender=bob)
    with reverts(channel.AlreadyClaimed, amount=30, claimed=30):
        attempt(channel, "claimPayment", 30, pay(channel, 30))


def test_attack_smaller_voucher_after_a_larger_one(channel, bob, pay, attempt):
    channel.claimPayment(30, pay(channel, 30), sender=bob)
    for amount in (0, 1, 29):
        with reverts(channel.AlreadyClaimed, amount=amount, claimed=30):
            attempt(channel, "claimPayment", amount, pay(channel, amount))


def test_nothing_is_no_payment(channel, pay, attempt):
    with reverts(channel.AlreadyClaimed, amount=0, claimed=0):
        attempt(channel, "claimPayment", 0, pay(channel, 0))


def test_no_more_than_the_deposit(project, channel, bob, alice, pay, attempt):
    alice.deploy(project.EtherForcer, channel, value=50)
    for amount in (DEPOSIT + 1, 2**128 + 1, 2**256 - 1):
        with reverts(channel.AmountTooLarge, amount=amount, deposit=DEPOSIT):
            attempt(channel, "claimPayment", amount, pay(channel, amount))


def test_attack_signature_of_somebody_else(channel, bob, mallory, pay, attempt):
    for by in (bob, mallory):
        with reverts(channel.InvalidSignature):
            attempt(channel, "claimPayment", 30, pay(channel, 30, by=by))


def test_attack_another_amount(channel, pay, attempt):
    for amount in (29, 31):
        with reverts(channel.InvalidSignature):
            attempt(channel, "claimPayment", amount, pay(channel, 30))


@pytest.mark.parametrize("form", FORMS)
def test_attack_malleable_and_malformed_signatures(channel, pay, attempt, form):
    good = pay(channel, 30)
    with reverts(channel.InvalidSignature):
        attempt(channel, "claimPayment", 30, spoilt(good)[form])
    attempt(channel, "claimPayment", 30, good)


def test_attack_voucher_of_another_channel(project, channel, alice, bob, expiration, pay, attempt):
    """Another deployment of the same parties."""
    other = alice.deploy(project.PaymentChannel, bob, expiration, value=DEPOSIT)
    with reverts(channel.InvalidSignature):
        attempt(channel, "claimPayment", 30, pay(other, 30))


def test_attack_voucher_of_another_chain(channel, chain, pay, attempt):
    for chain_id in (0, 1, chain.chain_id + 1):
        with reverts(channel.InvalidSignature):
            attempt(channel, "claimPayment", 30, pay(channel, 30, chain_id=chain_id))


def test_attack_voucher_of_before_the_chain_split(channel, chain, pay, attempt):
    """The chain's id changes; what was signed before is of the other chain."""
    before = chain.chain_id
    old = pay(channel, 30, chain_id=before)
    chain.provider.make_request("anvil_setChainId", [before + 1])
    try:
        with reverts(channel.InvalidSignature):
            attempt(channel, "claimPayment", 30, old)
        attempt(channel, "claimPayment", 30, pay(channel, 30, chain_id=before + 1))
    finally:
        chain.provider.make_request("anvil_setChainId", [before])


def test_attack_hash_without_the_prefix(channel, chain, alice, attempt):
    """Signed as a transaction's hash would be, not as a message."""
    packed = bytes.fromhex(channel.address[2:]) + (30).to_bytes(32) + chain.chain_id.to_bytes(32)
    with reverts(channel.InvalidSignature):
        attempt(channel, "claimPayment", 30, sign(alice, keccak(packed)))


def test_attack_claim_in_the_second_of_expiry(channel, bob, expiration, pay, attempt, mine_at):
    for amount, second in ((10, expiration - 1), (20, expiration)):
        mine_at(second)
        attempt(channel, "claimPayment", amount, pay(channel, amount))
    mine_at(expiration + 1)
    with reverts(channel.ChannelExpired, expiration=expiration):
        attempt(channel, "claimPayment", 30, pay(channel, 30))


def test_claim_mined_in_the_last_second(channel, bob, expiration, pay, at_time):
    at_time(expiration)
    channel.claimPayment(30, pay(channel, 30), sender=bob)
    assert channel.claimed() == 30


# ---------------------------------------------------------------- closing


def test_recipient_closes_at_any_time(channel, alice, bob, pay, attempt):
    channel.claimPayment(30, pay(channel, 30), sender=bob)
    before = alice.balance
    receipt = channel.closeChannel(sender=bob)
    assert receipt.events == [channel.ChannelClosed(sender=alice, refund=70)]
    assert alice.balance == before + 70
    assert (channel.isClosed(), channel.balance, channel.claimed()) == (True, 0, 30)
    with reverts(channel.AlreadyClosed):
        attempt(channel, "claimPayment", 40, pay(channel, 40))
    for party in (alice, bob):
        with reverts(channel.AlreadyClosed):
            attempt(channel, "closeChannel", sender=party)


def test_recipient_closes_after_expiry(channel, alice, bob, expiration, at_time):
    before = alice.balance
    at_time(expiration + 1)
    channel.closeChannel(sender=bob)
    assert (channel.isClosed(), alice.balance - before) == (True, DEPOSIT)


def test_attack_sender_closes_in_the_second_of_expiry(channel, alice, expiration, attempt, mine_at):
    for second in (expiration - 1, expiration):
        mine_at(second)
        with reverts(channel.NotExpired, expiration=expiration):
            attempt(channel, "closeChannel", sender=alice)
    before = alice.balance
    mine_at(expiration + 1)
    receipt = channel.closeChannel(sender=alice)
    assert receipt.events == [channel.ChannelClosed(sender=alice, refund=DEPOSIT)]
    assert paid(receipt, alice, before) == DEPOSIT
    with reverts(channel.AlreadyClosed):
        attempt(channel, "closeChannel", sender=alice)


def test_nobody_else_closes(channel, mallory, expiration, attempt, mine_at):
    for second in (expiration, expiration + 1):
        mine_at(second)
        with reverts(channel.NotParty, caller=mallory):
            attempt(channel, "closeChannel", sender=mallory)


def test_forced_ether_goes_to_the_sender(project, channel, alice, bob, mallory, pay):
    mallory.deploy(project.EtherForcer, channel, value=7)
    channel.claimPayment(DEPOSIT, pay(channel, DEPOSIT), sender=bob)
    before = alice.balance
    channel.closeChannel(sender=bob)
    assert alice.balance == before + 7
    # Whatever comes later, too.
    mallory.deploy(project.EtherForcer, channel, value=5)
    before = alice.balance
    receipt = channel.closeChannel(sender=alice)
    assert receipt.events == [channel.ChannelClosed(sender=alice, refund=5)]
    assert (paid(receipt, alice, before), channel.balance) == (5, 0)


def test_who_pays_itself_closes_at_any_time(project, alice, expiration):
    channel = alice.deploy(project.PaymentChannel, alice, expiration, value=DEPOSIT)
    before = alice.balance
    receipt = channel.closeChannel(sender=alice)
    assert (paid(receipt, alice, before), channel.isClosed()) == (DEPOSIT, True)


# ---------------------------------------------------------------- contracts and delegated accounts


@pytest.fixture
def wallet(project, accounts, alice):
    """A contract that signs as Alice does, able to send transactions (Anvil's impersonation)."""
    puppet = alice.deploy(project.SigningPuppet, alice, AS_OWNER)
    alice.transfer(puppet, 10**18)
    return puppet, accounts[puppet.address]


def test_contracts_open_sign_and_close(project, wallet, bob, mallory, expiration, pay, attempt, at_time):
    puppet, account = wallet
    channel = account.deploy(project.PaymentChannel, bob, expiration, value=DEPOSIT)
    with reverts(channel.InvalidSignature):
        attempt(channel, "claimPayment", 30, pay(channel, 30, by=mallory))
    channel.claimPayment(30, pay(channel, 30), sender=bob)
    at_time(expiration + 1)
    before = puppet.balance
    receipt = puppet.execute(channel, 0, channel.closeChannel.encode_input(), sender=mallory)
    assert receipt.events == [channel.ChannelClosed(sender=puppet, refund=70)]
    assert puppet.balance == before + 70


def test_contract_that_refuses_its_signature(project, wallet, bob, expiration, pay, attempt):
    puppet, account = wallet
    channel = account.deploy(project.PaymentChannel, bob, expiration, value=DEPOSIT)
    puppet.setAnswer(NO, sender=bob)
    with reverts(channel.InvalidSignature):
        attempt(channel, "claimPayment", 30, pay(channel, 30))


def test_contracts_are_paid(project, alice, bob, expiration, pay):
    """More than `transfer`'s 2300 gas is needed for this one to take its money."""
    payee = bob.deploy(project.CallbackPuppet)
    channel = alice.deploy(project.PaymentChannel, payee, expiration, value=DEPOSIT)
    payee.setCallback(channel.closeChannel.encode_input(), sender=bob)
    claim = channel.claimPayment.encode_input(30, pay(channel, 30))
    before = alice.balance
    payee.execute(channel, 0, claim, sender=bob)
    assert (payee.balance, channel.claimed(), channel.isClosed()) == (30, 30, True)
    assert (alice.balance - before, channel.balance) == (70, 0)


def test_attack_sender_takes_its_vouchers_back_by_delegating(project, channel, alice, bob, pay):
    """EIP-7702: the code that Alice gives her account refuses all signatures; her key has signed all the same."""
    signature = pay(channel, 30)
    refuser = bob.deploy(project.SigningPuppet, NOBODY, NO)
    delegate(alice, refuser.address)
    before = bob.balance
    receipt = channel.claimPayment(30, signature, sender=bob)
    assert paid(receipt, bob, before) == 30


def test_delegated_accounts_are_paid(project, alice, bob, channel, pay):
    delegate(bob, bob.deploy(project.Puppet).address)
    before = bob.balance
    receipt = channel.claimPayment(30, pay(channel, 30), sender=bob)
    assert paid(receipt, bob, before) == 30


@pytest.mark.parametrize("payee", ["RevertingPayee", "GasBurningPayee"])
def test_refusing_recipient_loses_nothing(project, accounts, alice, expiration, pay, attempt, payee):
    """Its claim reverts, and the money waits for it until expiry."""
    contract = alice.deploy(getattr(project, payee))
    channel = alice.deploy(project.PaymentChannel, contract, expiration, value=DEPOSIT)
    with reverts(channel.ETHTransferFailed):
        attempt(channel, "claimPayment", 30, pay(channel, 30), sender=contract)
    assert (channel.claimed(), channel.balance) == (0, DEPOSIT)


@pytest.mark.parametrize("payee", ["RevertingPayee", "GasBurningPayee"])
def test_attack_refusing_recipient_blocks_no_closing(project, alice, expiration, attempt, mine_at, at_time, payee):
    """The sender gets everything back after expiry, as ever: not a second earlier."""
    contract = alice.deploy(getattr(project, payee))
    channel = alice.deploy(project.PaymentChannel, contract, expiration, value=DEPOSIT)
    for time in (expiration - 1, expiration):
        mine_at(time)
        with reverts(channel.NotExpired, expiration=expiration):
            attempt(channel, "closeChannel", sender=alice)
    at_time(expiration + 1)
    before = alice.balance
    receipt = channel.closeChannel(sender=alice)
    assert receipt.events == [channel.ChannelClosed(sender=alice, refund=DEPOSIT)]
    assert (paid(receipt, alice, before), channel.balance) == (DEPOSIT, 0)


@pytest.mark.parametrize("code", ["RevertingPayee", "GasBurningPayee"])
def test_attack_refusing_sender_does_not_stop_the_recipient(project, alice, bob, expiration, pay, attempt, chain, code):
    """The recipient closes; the sender's money waits until the sender takes it, which may be before expiry."""
    refuser = bob.deploy(getattr(project, code))
    channel = alice.deploy(project.PaymentChannel, bob, expiration, value=DEPOSIT)
    channel.claimPayment(30, pay(channel, 30), sender=bob)
    chain.provider.make_request("anvil_setCode", [alice.address, "0xef0100" + refuser.address[2:]])

    receipt = channel.closeChannel(sender=bob)
    assert receipt.events == [channel.ChannelClosed(sender=alice, refund=0)]
    assert receipt.gas_used < 200_000
    assert (channel.isClosed(), channel.balance) == (True, 70)
    with reverts(channel.AlreadyClosed):
        attempt(channel, "closeChannel")
    with reverts(channel.ETHTransferFailed):
        attempt(channel, "closeChannel", sender=alice)

    chain.provider.make_request("anvil_setCode", [alice.address, "0x"])
    before = alice.balance
    receipt = channel.closeChannel(sender=alice)
    assert receipt.events == [channel.ChannelClosed(sender=alice, refund=70)]
    assert (paid(receipt, alice, before), channel.balance) == (70, 0)


def test_attack_recipient_claims_again_while_it_is_paid(project, alice, bob, expiration, pay):
    payee = bob.deploy(project.CallbackPuppet)
    channel = alice.deploy(project.PaymentChannel, payee, expiration, value=DEPOSIT)
    claim = channel.claimPayment.encode_input(30, pay(channel, 30))
    payee.setCallback(claim, sender=bob)
    with reverts(channel.ETHTransferFailed):
        payee.execute(channel, 0, claim, sender=bob)
    # Nor with a larger voucher: the callback runs for its payment, too.
    payee.setCallback(channel.claimPayment.encode_input(40, pay(channel, 40)), sender=bob)
    with reverts(channel.ETHTransferFailed):
        payee.execute(channel, 0, claim, sender=bob)
    assert (channel.claimed(), channel.balance, payee.balance) == (0, DEPOSIT, 0)


def test_attack_sender_closes_again_while_it_is_paid(project, accounts, alice, bob, expiration, at_time):
    puppet = alice.deploy(project.CallbackPuppet)
    alice.transfer(puppet, 10**18)
    channel = accounts[puppet.address].deploy(project.PaymentChannel, bob, expiration, value=DEPOSIT)
    close = channel.closeChannel.encode_input()
    puppet.setCallback(close, sender=alice)
    at_time(expiration + 1)
    with reverts(channel.ETHTransferFailed):
        puppet.execute(channel, 0, close, sender=alice)
    # The recipient can close all the same.
    channel.closeChannel(sender=bob)
    assert (channel.isClosed(), channel.balance) == (True, DEPOSIT)
