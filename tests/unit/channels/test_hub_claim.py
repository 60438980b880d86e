"""PaymentChannelHub.claim and claimMany: what a voucher pays, and to whom."""

import pytest

from tests.support.payment_channels import DAY, FORMS, MAX, Channel, digest, spoilt
from tests.support.reverts import call, reverts
from tests.support.state_channels import NOBODY
from tests.support.typed import sign

NO = 0
BURNS_GAS = 8
"""Answers of a SigningPuppet."""


def claimed(channel: Channel, amount: int, released: int):
    return channel.hub.Claimed(channelId=channel.id, amount=amount, released=released)


def nothing(channel: Channel, amount: int) -> dict:
    """Of `NothingToClaim`."""
    balance, released = channel.state
    return {"channelId": channel.id, "amount": amount, "released": released, "balance": balance}


# ---------------------------------------------------------------- claim


def test_digest_is_eip712(hub, paid):
    for amount in (0, 1, MAX):
        assert bytes(hub.voucherDigest(paid.id, amount)) == digest(hub, "Voucher", paid.id, amount)
        for count in (0, 2**64 - 1):
            assert bytes(hub.closeDigest(paid.id, amount, count)) == digest(hub, "Close", paid.id, amount, count)
    domain = hub.eip712Domain()
    assert tuple(domain)[1:5] == (
        "Layer 2 Payment Channel Hub",
        "1",
        hub.provider.chain_id,
        hub.address,
    )


def test_anybody_claims_for_the_payee(paid, alice, bob, mallory):
    for sender, amount, due in ((mallory, 30, 30), (alice, 31, 1), (bob, 100, 69)):
        receipt = paid.claim(sender, amount)
        assert receipt.events == [claimed(paid, due, amount)]
        assert (paid.state, paid.owed(bob)) == ((100 - amount, amount), amount)
    assert (paid.owed(mallory), paid.owed(alice)) == (0, 0)


def test_attack_same_voucher_twice(paid, hub, bob):
    voucher = paid.voucher(30)
    paid.claim(bob, 30, voucher)
    with reverts(hub.NothingToClaim, **nothing(paid, 30)):
        paid.attempt("claim", 30, voucher)


def test_attack_smaller_voucher_after_a_larger_one(paid, hub, bob):
    paid.claim(bob, 30)
    for amount in (0, 1, 29):
        with reverts(hub.NothingToClaim, **nothing(paid, amount)):
            paid.attempt("claim", amount, paid.voucher(amount))


def test_nothing_is_no_payment(paid, hub):
    with reverts(hub.NothingToClaim, **nothing(paid, 0)):
        paid.attempt("claim", 0, paid.voucher(0))


def test_pays_at_most_the_balance(paid, hub, alice, bob):
    """The rest after the next deposit."""
    receipt = paid.claim(bob, 150)
    assert receipt.events == [claimed(paid, 100, 100)]
    with reverts(hub.NothingToClaim, **nothing(paid, 150)):
        paid.attempt("claim", 150, paid.voucher(150))
    paid.deposit(alice, 80)
    assert paid.claim(bob, 150).events == [claimed(paid, 50, 150)]
    assert paid.claim(bob, MAX).events == [claimed(paid, 30, 180)]
    assert (paid.state, paid.owed(bob)) == ((0, 180), 180)


def test_amounts_have_128_bits(paid, hub):
    voucher = paid.voucher(0)
    data = bytearray(paid.encode("claim", MAX, voucher))
    place = 4 + 6 * 32
    assert data[place : place + 32] == MAX.to_bytes(32)
    data[place + 15] = 1
    with reverts():
        call(hub, bytes(data))


def test_a_channel_that_nobody_opened(paid, hub):
    other = paid.other(salt=b"o" * 32)
    with reverts(hub.NothingToClaim, **nothing(other, 30)):
        other.attempt("claim", 30, other.voucher(30))


def test_takes_no_value(paid, hub, bob):
    for data in (
        paid.encode("claim", 30, paid.voucher(30)),
        bytes(hub.claimMany.encode_input([paid.item(30)])),
    ):
        with reverts():
            hub.provider.web3.eth.call({"to": hub.address, "data": data, "from": bob.address, "value": 1})


# ---------------------------------------------------------------- whose voucher


def test_attack_signature_of_somebody_else(paid, hub, alice, bob, mallory):
    for by in (bob, mallory):
        with reverts(hub.InvalidSignature, signer=alice):
            paid.attempt("claim", 30, paid.voucher(30, by=by))


def test_the_signer_of_the_settings_signs(hub, alice, bob, carol):
    """The payer does not, then."""
    channel = Channel.of(hub, alice, bob, signer=carol)
    channel.deposit(alice, 100)
    with reverts(hub.InvalidSignature, signer=carol):
        channel.attempt("claim", 30, channel.voucher(30, by=alice))
    assert channel.claim(bob, 30).events == [claimed(channel, 30, 30)]


def test_attack_another_amount(paid, hub, alice):
    for amount in (29, 31):
        with reverts(hub.InvalidSignature, signer=alice):
            paid.attempt("claim", amount, paid.voucher(30))


def test_attack_voucher_of_another_channel(paid, hub, alice, mallory):
    for settings in ({"salt": b"o" * 32}, {"payee": mallory.address}, {"withdraw_delay": DAY + 1}):
        other = paid.other(**settings)
        other.deposit(alice, 100)
        with reverts(hub.InvalidSignature, signer=alice):
            other.attempt("claim", 30, paid.voucher(30))


def test_attack_voucher_of_another_chain(paid, hub, chain, alice):
    for chain_id in (0, 1, chain.chain_id + 1):
        with reverts(hub.InvalidSignature, signer=alice):
            paid.attempt("claim", 30, paid.voucher(30, chainId=chain_id))


def test_attack_voucher_of_before_the_chain_split(paid, hub, chain, alice):
    """The chain's id changes: the channel is still found, and its vouchers have to be signed anew."""
    before = chain.chain_id
    old, new = paid.voucher(30, chainId=before), paid.voucher(30, chainId=before + 1)
    chain.provider.make_request("anvil_setChainId", [before + 1])
    try:
        with reverts(hub.InvalidSignature, signer=alice):
            paid.attempt("claim", 30, old)
        paid.attempt("claim", 30, new)
    finally:
        chain.provider.make_request("anvil_setChainId", [before])


def test_attack_voucher_of_another_deployment(project, paid, hub, alice, bob):
    """The channel has the same id there."""
    there = Channel(alice.deploy(project.PaymentChannelHub), paid.config, alice, bob, alice)
    there.deposit(alice, 100)
    assert there.id == paid.id
    with reverts(hub.InvalidSignature, signer=alice):
        there.attempt("claim", 30, paid.voucher(30))
    there.claim(bob, 30)


def test_attack_voucher_of_another_protocol(paid, hub, alice):
    for domain in ({"name": "Layer 2 State Channel"}, {"version": "2"}):
        with reverts(hub.InvalidSignature, signer=alice):
            paid.attempt("claim", 30, paid.voucher(30, **domain))


@pytest.mark.parametrize("form", FORMS)
def test_attack_malleable_and_malformed_signatures(paid, hub, alice, form):
    good = paid.voucher(30)
    with reverts(hub.InvalidSignature, signer=alice):
        paid.attempt("claim", 30, spoilt(good)[form])
    paid.attempt("claim", 30, good)


def test_attack_closing_signature_as_a_voucher(paid, hub, alice):
    """Alice pays herself, so that one key signs both."""
    own = paid.other(payee=alice.address)
    own.deposit(alice, 100)
    for count in range(3):
        with reverts(hub.InvalidSignature, signer=alice):
            own.attempt("claim", 30, own.closing(30, count, by=alice))


# ---------------------------------------------------------------- vouchers of a channel's former life


def test_attack_voucher_of_a_channel_that_was_closed_and_refilled(paid, hub, alice, bob):
    """Bob closes at 60 with a voucher of 100 in hand."""
    more = paid.voucher(100)
    paid.close(bob, 60, paid.voucher(60))
    paid.deposit(alice, 40)
    with reverts(hub.NothingToClaim, **nothing(paid, 100)):
        paid.attempt("claim", 100, more)
    # Vouchers go on from all that has left the channel.
    assert paid.claim(bob, 101).events == [claimed(paid, 1, 101)]


def test_attack_voucher_of_a_channel_that_was_withdrawn_from_and_refilled(paid, hub, alice, bob, at_time):
    """Bob never claimed, and is too late now."""
    paid.claim(bob, 20)
    late = paid.voucher(90)
    paid.start_withdrawal()
    at_time(paid.withdrawable_after + 1)
    paid.finish_withdrawal()
    assert paid.state == (0, 100)
    with reverts(hub.NothingToClaim, **nothing(paid, 90)):
        paid.attempt("claim", 90, late)
    paid.deposit(alice, 100)
    with reverts(hub.NothingToClaim, **nothing(paid, 90)):
        paid.attempt("claim", 90, late)
    assert paid.claim(bob, 130).events == [claimed(paid, 30, 130)]


def test_attack_claim_against_a_pending_withdrawal(paid, hub, alice, bob, mine_at):
    """Bob claims until the withdrawal is finished, in its first second, too."""
    paid.start_withdrawal()
    after = paid.withdrawable_after
    for amount, second in ((10, after - 1), (20, after), (30, after + 1)):
        mine_at(second)
        paid.attempt("claim", amount, paid.voucher(amount))
    paid.claim(bob, 40)
    assert (paid.state, paid.withdrawable_after) == ((60, 40), after)
    paid.finish_withdrawal()
    assert (paid.owed(alice), paid.owed(bob)) == (60, 40)
    with reverts(hub.NothingToClaim, **nothing(paid, 50)):
        paid.attempt("claim", 50, paid.voucher(50))


# ---------------------------------------------------------------- claimMany


@pytest.fixture
def many(hub, paid, alice, bob, carol, usdc) -> list[Channel]:
    """Three channels to Bob, one of USDC, and one to Carol, with 100 each."""
    usdc.mint(alice, 100, sender=alice)
    usdc.approve(hub, 100, sender=alice)
    channels = [
        paid,
        paid.other(salt=b"2" * 32),
        paid.other(token=usdc.address),
        Channel.of(hub, alice, carol, signer=bob),
    ]
    for channel in channels[1:]:
        channel.deposit(alice, 100)
    return channels


def test_claims_from_many_channels_at_once(hub, many, bob, carol, mallory):
    receipt = hub.claimMany([channel.item(number) for number, channel in enumerate(many, 10)], sender=mallory)
    assert receipt.events == [claimed(channel, number, number) for number, channel in enumerate(many, 10)]
    assert [channel.state for channel in many] == [(90, 10), (89, 11), (88, 12), (87, 13)]
    assert (many[0].owed(bob), many[2].owed(bob), many[3].owed(carol)) == (21, 12, 13)


def test_leaves_out_what_cannot_be_claimed(hub, many, bob, mallory):
    first, second, tokens, fourth = many
    unopened = first.other(salt=b"o" * 32)
    second.claim(bob, 20)
    receipt = hub.claimMany(
        [
            first.item(10, first.voucher(11)),
            second.item(20),
            tokens.item(0),
            fourth.item(5, spoilt(fourth.voucher(5))["high s"]),
            unopened.item(1),
            first.item(12),
            first.item(12),
            first.item(11),
            first.item(13),
        ],
        sender=mallory,
    )
    assert receipt.events == [claimed(first, 12, 12), claimed(first, 1, 13)]
    assert (first.state, first.owed(bob)) == ((87, 13), 33)


def test_reverts_if_nothing_can_be_claimed(hub, many, bob):
    first, second, *_ = many
    second.claim(bob, 20)
    for items in ([], [first.item(0)], [second.item(20), first.item(10, first.voucher(11))]):
        with reverts(hub.NothingClaimable):
            call(hub, hub.claimMany.encode_input(items))


def test_attack_signers_that_burn_gas(project, hub, many, alice, bob, mallory):
    """Each burns 200,000 gas and no more; the other vouchers are paid."""
    burner = mallory.deploy(project.SigningPuppet, NOBODY, BURNS_GAS)
    traps = [many[0].other(signer=burner.address, salt=bytes([n]) * 32) for n in range(5)]
    for trap in traps:
        trap.deposit(mallory, 1)
    items = [trap.item(1, b"") for trap in traps]
    receipt = hub.claimMany([items[0], many[0].item(10), *items[1:], many[1].item(10)], sender=bob)
    assert receipt.events == [claimed(many[0], 10, 10), claimed(many[1], 10, 10)]
    assert 5 * 200_000 < receipt.gas_used < 5 * 200_000 + 250_000


def test_attack_too_little_gas_takes_nothing_away(project, hub, many, alice, bob):
    """Whoever sends a claim with too little gas for a contract's signature leaves that voucher out; it stays good."""
    slow = alice.deploy(project.SigningPuppet, NOBODY, 2)
    slow.setGasNeeded(190_000, sender=alice)
    channel = many[0].other(signer=slow.address)
    channel.deposit(alice, 100)
    items = [many[0].item(10), channel.item(30, b"")]
    receipt = hub.claimMany(items, sender=bob, gas_limit=200_000)
    assert receipt.events == [claimed(many[0], 10, 10)]
    assert hub.claimMany(items, sender=bob).events == [claimed(channel, 30, 30)]


def test_signed_with_raw_keys(paid, hub, bob, alice):
    """The digest of the contract's own view is what is signed."""
    voucher = sign(alice, bytes(hub.voucherDigest(paid.id, 30)))
    assert paid.claim(bob, 30, voucher).events == [claimed(paid, 30, 30)]
