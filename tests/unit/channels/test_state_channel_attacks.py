"""State channels with strange tokens, payees and signers: only their own parties are hurt."""

from dataclasses import astuple

import pytest
from eth_utils import keccak

from tests.support.reverts import reverts
from tests.support.state_channels import CLOSED, CLOSING, NOBODY, OPEN, Channel, Config, Lock

REENTERED = keccak(text="ReentrancyGuardReentrantCall()")[:4]
NONE, RETURNS_NOTHING, RETURNS_FALSE, REVERTS, MOVES_NOTHING, SHRINKS, CLAIMS_EVERYTHING = range(7)
NO, AS_OWNER, YES, NOTHING, TOO_SHORT, DIRTY, TOO_LONG, SAYS_WHY, BURNS_GAS, CALLS = range(10)


def test_nobody_rules(project):
    """Money moves by these functions only, and none of them knows a privileged caller."""
    assert {method.name for method in project.StateChannel.contract_type.mutable_methods} == {
        "deposit",
        "depositWithPermit",
        "closeCooperatively",
        "startClose",
        "challenge",
        "revealSecret",
        "finishClose",
        "settle",
    }


# ---------------------------------------------------------------- tokens


@pytest.fixture
def tokens(state_channel, alice, bob):
    """Makes a channel of a token, of which Alice has 1000, and approved."""

    def make(token) -> Channel:
        token.mint(alice, 1000, sender=alice)
        if hasattr(token, "approve"):
            token.approve(state_channel, 1000, sender=alice)
        return Channel.of(state_channel, alice, bob, token=token.address)

    return make


@pytest.fixture
def spoilt(project, tokens, alice):
    """A token whose answers can be spoilt later."""
    token = alice.deploy(project.SpoiltToken, NONE)
    return token, tokens(token)


def test_fee_on_transfer_is_credited_with_what_arrived(project, state_channel, tokens, alice, bob):
    token = alice.deploy(project.FeeOnTransferToken)
    channel = tokens(token)
    assert channel.deposit(alice, True, 1000).events[-1].amount == 990
    channel.close(alice, channel.sign(channel.final(90, 900)))
    state_channel.settle(bob, token, sender=alice)
    assert (token.balanceOf(bob), token.balanceOf(state_channel), channel.owed) == (891, 90, (90, 0))


def test_no_return_value_is_fine(state_channel, spoilt, alice, bob):
    token, channel = spoilt
    token.setDefect(RETURNS_NOTHING, sender=alice)
    channel.deposit(alice, True, 1000)
    channel.close(alice, channel.sign(channel.final(100, 900)))
    state_channel.settle(bob, token, sender=alice)
    assert (token.balanceOf(bob), token.balanceOf(state_channel)) == (900, 100)


@pytest.mark.parametrize("defect", [RETURNS_FALSE, REVERTS])
def test_refusing_tokens_bring_nothing_and_keep_what_is_owed(state_channel, spoilt, alice, bob, defect):
    token, channel = spoilt
    token.setDefect(defect, sender=alice)
    with reverts(state_channel.TransferFromFailed):
        channel.try_deposit(alice, True, 1000)
    token.setDefect(NONE, sender=alice)
    channel.deposit(alice, True, 1000)
    channel.close(alice, channel.sign(channel.final(100, 900)))
    token.setDefect(defect, sender=alice)
    with reverts(state_channel.TransferFailed):
        state_channel.settle(bob, token, sender=alice)
    assert channel.owed == (100, 900)
    token.setDefect(NONE, sender=alice)
    state_channel.settle(bob, token, sender=alice)
    assert (token.balanceOf(bob), channel.owed) == (900, (100, 0))


@pytest.mark.parametrize("defect", [MOVES_NOTHING, SHRINKS])
def test_attack_lying_tokens_open_nothing(state_channel, spoilt, alice, defect):
    token, channel = spoilt
    token.mint(state_channel, 10, sender=alice)
    token.setDefect(defect, sender=alice)
    with reverts(state_channel.EmptyDeposit, token=token):
        channel.try_deposit(alice, True, 1000)


def test_attack_boasting_tokens_cannot_pass_two_to_the_128(state_channel, spoilt, alice):
    token, channel = spoilt
    token.setDefect(CLAIMS_EVERYTHING, sender=alice)
    with reverts(state_channel.TotalTooLarge, deposited=0, arrived=2**256 - 1):
        channel.try_deposit(alice, True, 1000)


def test_blacklisted_party_blocks_nobody(project, state_channel, tokens, alice, bob, mallory, at_time):
    token = alice.deploy(project.BlacklistingToken)
    channel = tokens(token)
    channel.deposit(alice, True, 1000)
    agreed = channel.agreed(1, 100, 900)
    token.setBlacklisted(bob, True, sender=alice)
    channel.start(alice, agreed)
    at_time(channel.deadline + 1)
    channel.finish(mallory, agreed)
    with reverts(state_channel.TransferFailed):
        state_channel.settle(bob, token, sender=mallory)
    state_channel.settle(alice, token, sender=mallory)
    assert (token.balanceOf(alice), channel.owed) == (100, (0, 900))
    token.setBlacklisted(bob, False, sender=alice)
    state_channel.settle(bob, token, sender=mallory)
    assert token.balanceOf(bob) == 900


def test_tokens_sent_plainly_are_not_the_next_depositors(state_channel, tokens, usdc, alice):
    usdc.mint(state_channel, 77, sender=alice)
    channel = tokens(usdc)
    assert channel.deposit(alice, True, 5).events[-1].amount == 5


def test_ether_forced_in_belongs_to_nobody(project, state_channel, channel, alice):
    alice.deploy(project.EtherForcer, state_channel, value=5)
    with reverts():
        alice.transfer(state_channel, 1)
    channel.close(alice, channel.sign(channel.final(100, 50)))
    assert channel.owed == (100, 50)


# ---------------------------------------------------------------- reentrancy


@pytest.fixture
def reentrant(project, state_channel, channel, alice, bob, mallory):
    """A token that calls during transfers; channels in which it, and others, can do everything when not locked.

    Returns the token, a channel of it, and a call for every function.
    """
    token = alice.deploy(project.ReentrantToken)
    mine = Channel.of(state_channel, alice, bob, token=token.address)
    token.mint(alice, 100, sender=alice)
    token.approve(state_channel, 100, sender=alice)
    mine.deposit(alice, True, 10)
    token.arm(state_channel, 1, sender=alice)

    closing = Channel.of(state_channel, alice, bob, salt=b"c" * 32)
    closing.deposit(alice, True, 10)
    closing.start(alice, closing.initial())
    settled = Channel.of(state_channel, alice, mallory, salt=b"d" * 32)
    settled.deposit(alice, True, 10)
    settled.close(alice, settled.sign(settled.final(0, 10)))
    # The token itself is a party, and so may start closing.
    own = Channel(state_channel, Config(token.address, bob.address), alice, bob)
    own.deposit(alice, True, 10)
    final = channel.sign(channel.final(75, 75))
    later = closing.agreed(1, 5, 5)
    c = state_channel
    return (
        token,
        mine,
        {
            "deposit": c.deposit.encode_input(astuple(mine.config), True, 1),
            "depositWithPermit": c.depositWithPermit.encode_input(
                astuple(mine.config), True, 1, 0, 0, bytes(32), bytes(32)
            ),
            "closeCooperatively": c.closeCooperatively.encode_input(
                astuple(channel.config), astuple(final.state), final.a, final.b
            ),
            "startClose": c.startClose.encode_input(*own.arguments(own.initial())),
            "challenge": c.challenge.encode_input(*closing.arguments(later)),
            "finishClose": c.finishClose.encode_input(astuple(closing.config), *closing.initial().tuples),
            "settle": c.settle.encode_input(mallory.address, NOBODY),
        },
    )


ENTRANCES = ("deposit", "depositWithPermit", "closeCooperatively", "startClose", "challenge", "finishClose", "settle")


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_attack_reentrant_token(state_channel, reentrant, alice, entrance):
    """During a deposit, and during a payment: closing the very channel in the midst of a deposit would lose it."""
    token, channel, calls = reentrant
    token.setHook(state_channel, calls[entrance], sender=alice)
    channel.deposit(alice, True, 20)
    assert bytes(token.reason()) == REENTERED
    assert tuple(state_channel.depositsOf(channel.id)) == (30, 0)
    token.setHook(state_channel, calls[entrance], sender=alice)
    state_channel.depositWithPermit(astuple(channel.config), True, 20, 0, 0, bytes(32), bytes(32), sender=alice)
    assert bytes(token.reason()) == REENTERED
    channel.close(alice, channel.sign(channel.final(50, 0)))
    token.setHook(state_channel, calls[entrance], sender=alice)
    state_channel.settle(alice, token, sender=alice)
    assert bytes(token.reason()) == REENTERED
    assert (token.balanceOf(alice), token.balanceOf(state_channel)) == (100, 0)


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_what_the_reentrant_token_tries_would_work_from_outside(
    state_channel, reentrant, alice, bob, chain, at_time, entrance
):
    """So the lock is all that stops it: during a transfer between others the same call goes through."""
    token, _, calls = reentrant
    token.setHook(state_channel, calls[entrance], sender=alice)
    if entrance == "finishClose":
        at_time(chain.blocks.head.timestamp + 3 * 24 * 3600)
    token.transfer(bob, 1, sender=alice)
    assert token.succeeded()


@pytest.mark.parametrize("entrance", ["closeCooperatively", "challenge", "settle"])
def test_attack_reentrant_payee(project, state_channel, reentrant, alice, mallory, at_time, entrance):
    """A payee that insists on a call that anybody may make is not paid; as soon as it does not, it is."""
    _, _, calls = reentrant
    payee = alice.deploy(project.CallbackPuppet)
    channel = Channel(state_channel, Config(alice.address, payee.address, salt=b"p" * 32), alice, mallory)
    channel.deposit(alice, False, 10)
    channel.start(alice, channel.initial())
    at_time(channel.deadline + 1)
    channel.finish(alice, channel.initial())
    payee.setCallback(calls[entrance], sender=alice)
    with reverts(state_channel.ETHTransferFailed):
        state_channel.settle(payee, NOBODY, sender=mallory)
    assert channel.owed == (0, 10)
    payee.setCallback(b"", sender=alice)
    state_channel.settle(payee, NOBODY, sender=mallory)
    assert payee.balance == 10


@pytest.mark.parametrize("kind", ["RevertingPayee", "GasBurningPayee"])
def test_refusing_payee_blocks_nobody(project, state_channel, alice, mallory, at_time, kind):
    payee = alice.deploy(getattr(project, kind))
    channel = Channel.of(state_channel, alice, payee)
    channel.deposit(alice, True, 10)
    channel.deposit(mallory, False, 20)
    channel.start(alice, channel.initial())
    at_time(channel.deadline + 1)
    channel.finish(mallory, channel.initial())
    with reverts(state_channel.ETHTransferFailed):
        state_channel.settle(payee, NOBODY, sender=mallory, gas=1_000_000)
    before = alice.balance
    state_channel.settle(alice, NOBODY, sender=mallory)
    assert (alice.balance, channel.owed) == (before + 10, (0, 20))


# ---------------------------------------------------------------- signers


@pytest.fixture
def contract_party(project, state_channel, alice, bob):
    """A contract for which Bob's key signs, and its channel with Alice, in which each has 50."""
    puppet = alice.deploy(project.SigningPuppet, bob, AS_OWNER)
    channel = Channel(state_channel, Config(alice.address, puppet.address), alice, bob)
    channel.deposit(alice, True, 50)
    channel.deposit(alice, False, 50)
    return puppet, channel


def test_contract_as_a_party(state_channel, contract_party, alice, bob, mallory, at_time):
    puppet, channel = contract_party
    agreed = channel.agreed(1, 30, 70)
    start = state_channel.startClose.encode_input(*channel.arguments(agreed))
    (event,) = puppet.execute(state_channel, 0, start, sender=bob).decode_logs(state_channel.CloseStarted)
    assert event.closer == puppet
    later = channel.agreed(2, 20, 80)
    channel.challenge(mallory, later)
    at_time(channel.deadline + 1)
    channel.finish(mallory, later)
    state_channel.settle(puppet, NOBODY, sender=mallory)
    assert puppet.balance == 80


@pytest.mark.parametrize("answer", [NO, NOTHING, TOO_SHORT, DIRTY, SAYS_WHY, BURNS_GAS])
def test_attack_contract_that_does_not_say_yes(state_channel, contract_party, alice, answer):
    puppet, channel = contract_party
    agreed, final = channel.agreed(1, 30, 70), channel.sign(channel.final(30, 70))
    puppet.setAnswer(answer, sender=alice)
    with reverts(state_channel.InvalidSignature, signer=puppet):
        channel.try_start(alice, agreed)
    with reverts(state_channel.InvalidSignature, signer=puppet):
        channel.try_close(alice, final)
    # What nobody signs can be put on the table all the same.
    channel.try_start(alice, channel.initial())


def test_attack_contract_that_calls_back(state_channel, contract_party, alice):
    """It is asked with a call that can change nothing."""
    puppet, channel = contract_party
    puppet.setCall(state_channel, state_channel.revealSecret.encode_input(b"s" * 32), sender=alice)
    puppet.setAnswer(CALLS, sender=alice)
    with reverts(state_channel.InvalidSignature, signer=puppet):
        channel.try_start(alice, channel.agreed(1, 30, 70))


def test_attack_contract_disowns_a_version(state_channel, contract_party, alice, bob, at_time):
    """Why parties should be accounts of keys: Alice keeps every rule, and loses all.

    She holds versions 1 and 2, and has signed 3. The contract disowns 2 and 1, so she has to close with what nobody
    signs; then it owns up to 3.
    """
    puppet, channel = contract_party
    first, second, third = (channel.agreed(version, 50 - version, 50 + version) for version in (1, 2, 3))
    puppet.setAnswer(NO, sender=alice)
    for held in (first, second):
        with reverts(state_channel.InvalidSignature, signer=puppet):
            channel.try_start(alice, held)
    channel.start(alice, channel.initial())
    puppet.setAnswer(AS_OWNER, sender=alice)
    channel.challenge(bob, third)
    at_time(channel.deadline + 1)
    channel.finish(bob, third)
    assert channel.owed == (0, 100)


def test_attack_account_disowns_a_version(project, state_channel, channel, alice, bob, chain):
    """An account of a key cannot do that: the code that it delegates to (EIP-7702) is not asked first."""
    refuser = bob.deploy(project.SigningPuppet, alice, NO)
    agreed, final = channel.agreed(1, 30, 120), channel.sign(channel.final(30, 120))
    chain.provider.make_request("anvil_setCode", [bob.address, "0xef0100" + refuser.address[2:]])
    try:
        channel.try_close(alice, final)
        channel.start(alice, agreed)
    finally:
        chain.provider.make_request("anvil_setCode", [bob.address, "0x"])
    assert channel.status == CLOSING


def test_attack_poisoned_version(state_channel, channel, alice, bob, at_time):
    """Why a state counts as held only if the contract would take it: Alice thought she held version 2.

    It is signed by both, but unbalanced. She signed 3 after it, and has to close with 1.
    """
    first, poisoned, third = channel.agreed(1, 100, 50), channel.agreed(2, 90, 61), channel.agreed(3, 80, 70)
    with reverts(state_channel.UnbalancedState, total=151, deposits=150):
        channel.try_start(alice, poisoned)
    channel.start(alice, first)
    channel.challenge(bob, third)
    at_time(channel.deadline + 1)
    channel.finish(bob, third)
    assert channel.owed == (0, 150)


def test_attack_locks_as_a_bomb(state_channel, channel, alice, mallory, at_time, mine_at):
    """The most that a state can have costs a small part of a block to bring, and to finish."""
    channel.deposit(alice, True, 2**60)
    now = state_channel.provider.get_block("latest").timestamp
    locks = [
        Lock(2**59 >> number, now + 2**20 + number, number % 2 == 0, keccak(bytes([number]))) for number in range(16)
    ]
    rest = 2**60 - sum(lock.amount for lock in locks)
    agreed = channel.agreed(1, 100 + rest, 50, locks)
    assert channel.start(alice, agreed).gas_used < 250_000
    mine_at(now + 2**20 + 20)
    assert channel.finish(mallory, agreed).gas_used < 250_000
    assert channel.status == CLOSED


def test_dust_of_strangers_does_no_harm(state_channel, channel, alice, bob, mallory):
    """Deposits that a party did not ask for, before and after it signs."""
    agreed = channel.sign(channel.final(30, 120))
    for to_a in (True, False):
        channel.deposit(mallory, to_a, 1)
    assert channel.status == OPEN
    channel.close(bob, agreed)
    assert channel.owed == (31, 121)
