"""Signatures: keys, contracts (ERC-1271) and accounts that delegate (EIP-7702)."""

import pytest
from eth_utils import keccak

from tests.support.payment_channels import FORMS, Channel, delegate, spoilt
from tests.support.reverts import call, reverts
from tests.support.state_channels import NOBODY
from tests.support.typed import sign

HASH = keccak(b"what is signed")
NO, AS_OWNER, YES, NOTHING, TOO_SHORT, DIRTY, TOO_LONG, REVERTS, BURNS_GAS, CALLS, REVERTS_WITH_YES = range(11)
"""Answers of a SigningPuppet."""


@pytest.fixture(scope="session")
def signatures(project, deployer):
    return deployer.deploy(project.SignaturesHarness)


@pytest.fixture
def puppet(project, alice):
    """A contract that signs as Alice does."""
    return alice.deploy(project.SigningPuppet, alice, AS_OWNER)


def test_of_keys(signatures, alice, bob):
    good = sign(alice, HASH)
    assert signatures.isValid(alice, HASH, good)
    assert not signatures.isValid(bob, HASH, good)
    assert not signatures.isValid(alice, keccak(HASH), good)


@pytest.mark.parametrize("form", FORMS)
def test_attack_malleable_and_malformed(signatures, alice, form):
    assert not signatures.isValid(alice, HASH, spoilt(sign(alice, HASH))[form])


def test_attack_zero_address_signs_nothing(project, chain, signatures, alice, puppet):
    """`ecrecover` answers zero for what nobody signed. Not even code at zero could sign."""
    for signature in (b"", bytes(65), *spoilt(sign(alice, HASH)).values()):
        assert not signatures.isValid(NOBODY, HASH, signature)
    puppet.setAnswer(YES, sender=alice)
    code = chain.provider.get_code(puppet.address)
    chain.provider.make_request("anvil_setCode", [NOBODY, code.to_0x_hex()])
    chain.provider.make_request("anvil_setStorageAt", [NOBODY, "0x0", "0x" + YES.to_bytes(32).hex()])
    assert project.SigningPuppet.at(NOBODY).answer() == YES
    assert not signatures.isValid(NOBODY, HASH, b"")


def test_of_contracts(signatures, puppet, alice, bob):
    assert signatures.isValid(puppet, HASH, sign(alice, HASH))
    assert not signatures.isValid(puppet, HASH, sign(bob, HASH))
    assert not signatures.isValid(puppet, keccak(HASH), sign(alice, HASH))


@pytest.mark.parametrize("length", [0, 1, 31, 32, 64, 65, 66, 1000])
def test_contracts_get_the_signature_as_it_is(signatures, puppet, alice, length):
    """Of any length; a wallet of many owners has more than 65 bytes."""
    puppet.setAnswer(YES, sender=alice)
    assert signatures.isValid(puppet, HASH, b"\xff" * length)


@pytest.mark.parametrize(
    ("answer", "valid"),
    [
        (NO, False),
        (YES, True),
        (NOTHING, False),
        (TOO_SHORT, False),
        (DIRTY, False),
        (TOO_LONG, True),
        (REVERTS, False),
        (REVERTS_WITH_YES, False),
        (BURNS_GAS, False),
    ],
)
def test_attack_answers_of_contracts(signatures, puppet, alice, answer, valid):
    puppet.setAnswer(answer, sender=alice)
    assert signatures.isValid(puppet, HASH, b"") is valid


def test_contracts_that_have_no_such_function(signatures, project, alice, hub):
    for contract in (hub, alice.deploy(project.GasBurningPayee), alice.deploy(project.RevertingPayee)):
        assert not signatures.isValid(contract, HASH, b"")


def test_attack_contract_cannot_change_anything_while_it_is_asked(project, signatures, puppet, alice, hub, paid):
    """It is a static call: a signer cannot deposit, claim or write."""
    other = paid.other(signer=puppet.address)
    other.deposit(alice, 100)
    puppet.setAnswer(CALLS, sender=alice)
    puppet.setCall(hub, paid.encode("claim", 30, paid.voucher(30)), sender=alice)
    with reverts(hub.InvalidSignature, signer=puppet):
        other.attempt("claim", 30, b"")
    puppet.setCall(hub, hub.channels.encode_input(paid.id), sender=alice)
    other.attempt("claim", 30, b"")


def test_contracts_have_200_000_gas(signatures, puppet, alice):
    """However much the caller has."""
    puppet.setAnswer(YES, sender=alice)
    for needed, valid in ((199_000, True), (200_001, False)):
        puppet.setGasNeeded(needed, sender=alice)
        data = signatures.isValid.encode_input(puppet, HASH, b"")
        assert int.from_bytes(call(signatures, data, gas=10_000_000)) == valid
    puppet.setGasNeeded(199_000, sender=alice)
    data = signatures.isValid.encode_input(puppet, HASH, b"")
    assert int.from_bytes(call(signatures, data, gas=180_000)) == 0


def test_attack_long_answers_cost_the_contract_only(project, signatures, puppet, alice):
    """30,000 bytes are not copied: the answer costs no more than a short one and the memory of the contract itself."""
    meter = alice.deploy(project.GasMeter)
    used = {}
    for answer in (YES, TOO_LONG):
        puppet.setAnswer(answer, sender=alice)
        used[answer], _ = meter.measure(signatures, signatures.isValid.encode_input(puppet, HASH, b""))
    memory = 30_000 // 32
    assert used[TOO_LONG] - used[YES] < 3 * memory + memory**2 // 512 + 200


# ---------------------------------------------------------------- EIP-7702


def test_attack_key_that_delegates_to_code_that_refuses(project, signatures, alice, bob):
    refuser = bob.deploy(project.SigningPuppet, NOBODY, NO)
    good = sign(alice, HASH)
    delegate(alice, refuser.address)
    assert signatures.isValid(alice, HASH, good)
    for form in spoilt(good).values():
        assert not signatures.isValid(alice, HASH, form)


@pytest.mark.parametrize("answer", [NO, NOTHING, REVERTS, BURNS_GAS])
def test_attack_payer_delegates_to_take_its_vouchers_back(project, paid, alice, bob, answer):
    """The voucher is as good as before."""
    voucher = paid.voucher(30)
    delegate(alice, bob.deploy(project.SigningPuppet, NOBODY, NO).address)
    project.SigningPuppet.at(alice.address).setAnswer(answer, sender=bob)
    paid.claim(bob, 30, voucher)
    assert paid.owed(bob) == 30


def test_delegated_accounts_sign_by_their_code_as_well(project, signatures, alice, bob):
    """Code that Alice chose for her account; Bob's key signs for her there."""
    delegate(alice, bob.deploy(project.SigningPuppet, bob, NO).address)
    assert not signatures.isValid(alice, HASH, sign(bob, HASH))
    project.SigningPuppet.at(alice.address).setAnswer(AS_OWNER, sender=bob)
    assert signatures.isValid(alice, HASH, sign(bob, HASH))


# ---------------------------------------------------------------- contracts in a channel


def test_contract_as_signer_can_take_its_vouchers_back(hub, puppet, alice, bob):
    """Which is why a payee asks for a key."""
    channel = Channel.of(hub, alice, bob, signer=puppet)
    channel.deposit(alice, 100)
    voucher = channel.voucher(30, by=alice)
    channel.claim(bob, 30, voucher)
    voucher = channel.voucher(40, by=alice)
    puppet.setAnswer(NO, sender=alice)
    with reverts(hub.InvalidSignature, signer=puppet):
        channel.attempt("claim", 40, voucher)


def test_contracts_as_payer_and_payee(project, hub, puppet, alice, bob, carol, mallory):
    """Vouchers and closing signatures of contracts."""
    payee = bob.deploy(project.SigningPuppet, bob, AS_OWNER)
    channel = Channel.of(hub, puppet, payee)
    channel.deposit(carol, 100)
    voucher, closing = channel.voucher(30, by=alice), channel.closing(40, 0, by=bob)
    channel.claim(mallory, 30, voucher)
    channel.close(mallory, 40, channel.voucher(40, by=alice), closing)
    assert (channel.owed(puppet), channel.owed(payee)) == (60, 40)
    for account, amount in ((puppet, 60), (payee, 40)):
        hub.settle(account, NOBODY, sender=mallory)
        assert account.balance == amount
