"""The payee: which vouchers it takes, that it claims in time, and what it signs to close."""

import pytest
from eth_utils import to_checksum_address

from layer2.actors.errors import RefusedError
from layer2.chain.errors import RevertedError
from layer2.channels.errors import ChannelError
from layer2.channels.payee import Offer, Payee
from layer2.channels.signing import ETH
from layer2.channels.vouchers import SignedVoucher
from tests.support.channel_world import ETHER, HOUR, UNIT, ChannelWorld


def refuses(payee: Payee, code: str, signed: SignedVoucher, price: int = 1, reference: str = "") -> str:
    """The payee refuses a voucher, keeps what it had, and says why."""
    before = payee.best(signed.channel_id)
    with pytest.raises(RefusedError) as caught:
        payee.accept(signed, price, reference)
    assert caught.value.code == code, caught.value
    assert payee.best(signed.channel_id) == before
    return str(caught.value)


# -------------------------------------------------------------------- taking vouchers


def test_takes_what_the_hub_takes(world: ChannelWorld) -> None:
    """Digest and signature are the hub's: it pays what the payee has accepted."""
    config = world.open()
    with world.payee(settle=False) as payee:
        payee.step()
        assert payee.accept(world.voucher(config, 5)).paid == 5
        taken = payee.accept(world.voucher(config, 7))
        assert (taken.amount, taken.paid, taken.is_repeated) == (7, 2, False)
        assert payee.unclaimed(config.id) == 7
        assert payee.claim([config.id]) == 7
        payee.run_until_idle()
        assert payee.unclaimed(config.id) == 0
    facts = world.facts(config)
    assert (facts.balance, facts.released) == (ETHER - 7, 7)
    assert world.channels.owed(world.deployment.hub, world.bob.address, ETH) == 7


def test_digests_are_the_hubs(world: ChannelWorld) -> None:
    config = world.config(signer=world.carol.address, token=world.usdc)
    channels = world.channels
    assert channels.hub_view("channelIdOf", config.arguments) == config.id
    voucher = world.voucher(config, 12).voucher
    separator = channels.hub_domain.separator
    assert channels.hub_view("voucherDigest", config.id, 12) == voucher.digest(separator)


def test_an_unknown_channel(world: ChannelWorld) -> None:
    config = world.config()
    with world.payee() as payee:
        payee.step()
        said = refuses(payee, "unknown_channel", world.voucher(config, 1))
        assert f"0x{config.id.hex()} pays {world.bob.address}" in said
        world.open()
        refuses(payee, "unknown_channel", world.voucher(config, 1))  # not read yet
        payee.step()
        payee.accept(world.voucher(config, 1))


def test_the_channel_of_another_payee(world: ChannelWorld) -> None:
    config = world.open(payee=world.carol.address)
    with world.payee() as payee:
        payee.step()
        refuses(payee, "unknown_channel", world.voucher(config, 1))
        with pytest.raises(RefusedError, match=f"pays {world.carol.address}: open one that pays"):
            payee.check_channel(config)


def test_another_token(world: ChannelWorld) -> None:
    approve = world.channels._erc20.encode("approve", world.deployment.hub, UNIT)
    world.send(world.alice, approve, world.usdc)
    config = world.open(UNIT, token=world.usdc)
    with world.payee() as payee:
        payee.step()
        refuses(payee, "foreign_token", world.voucher(config, 1))
    with world.payee(tokens=frozenset({world.usdc})) as payee:
        payee.step()
        payee.accept(world.voucher(config, 1))


def test_attack_withdrawn_while_the_payee_was_away(world: ChannelWorld) -> None:
    """Bob's service comes back, and has not yet read that the channel is empty."""
    config = world.open(100)
    with world.payee() as payee:
        payee.step()
        payee.accept(world.voucher(config, 1))
        payee.run_until_idle()
    world.send(world.alice, world.channels.withdrawal_call("start", config))
    world.anvil.warp(24 * HOUR + 1)
    world.send(world.alice, world.channels.withdrawal_call("finish", config))
    with world.payee() as payee:
        refuses(payee, "not_synced", world.voucher(config, 100))
        assert payee.accept(world.voucher(config, 1)).is_repeated
        payee.step()
        refuses(payee, "stale_voucher", world.voucher(config, 100))


@pytest.mark.parametrize(("age", "is_taken"), [(600, True), (601, False)])
def test_attack_vouchers_while_l1_is_out_of_sight(
    world: ChannelWorld, monkeypatch: pytest.MonkeyPatch, age: int, is_taken: bool
) -> None:
    moment = [1000.0]
    monkeypatch.setattr(world, "now", lambda: moment[0])
    config = world.open(100)
    with world.payee() as payee:
        payee.step()
        moment[0] += age
        if is_taken:
            payee.accept(world.voucher(config, 1))
        else:
            refuses(payee, "not_synced", world.voucher(config, 1))


@pytest.mark.parametrize(
    ("mines_on_demand", "age", "is_taken"), [(False, 600, True), (False, 601, False), (True, 601, True)]
)
def test_attack_vouchers_while_the_node_stands_still(
    world: ChannelWorld, monkeypatch: pytest.MonkeyPatch, mines_on_demand: bool, age: int, is_taken: bool
) -> None:
    """It answers, but always with the same head: what the payer has withdrawn since is out of sight."""
    config = world.open(100)
    world.anvil.warp(500)  # what lies above a deposit does not make L1 look older
    now = world.time + age
    monkeypatch.setattr(world, "now", lambda: now)
    with world.payee(confirmations=1) as payee:
        payee.follower.mines_on_demand = mines_on_demand
        payee.step()
        if is_taken:
            payee.accept(world.voucher(config, 1))
        else:
            assert "its node stands still" in refuses(payee, "not_synced", world.voucher(config, 1))


def test_attack_the_node_falls_back(world: ChannelWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has less of the chain than it had, so nothing newer than then is known."""
    before = world.anvil.snapshot()
    world.anvil.mine()
    known = world.time
    monkeypatch.setattr(world, "now", lambda: known + 50)
    with world.payee(confirmations=1) as payee:
        payee.follower.mines_on_demand = False
        payee.step()
        assert payee.follower.synced == known
        world.anvil.revert(before)
        payee.step()
        assert payee.follower.synced == known


@pytest.mark.parametrize(("delay", "is_taken"), [(24 * HOUR - 1, False), (24 * HOUR, True)])
def test_the_delay_of_withdrawals(world: ChannelWorld, delay: int, is_taken: bool) -> None:
    config = world.open(withdraw_delay=delay)
    with world.payee() as payee:
        payee.step()
        if is_taken:
            payee.accept(world.voucher(config, 1))
        else:
            refuses(payee, "short_delay", world.voucher(config, 1))


def test_signatures(world: ChannelWorld) -> None:
    config = world.open()
    other = world.config(salt=b"\1" * 32)
    good = world.voucher(config, 5)
    s = int.from_bytes(good.signature[32:64])
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    high = good.signature[:32] + (order - s).to_bytes(32) + bytes([55 - good.signature[64]])
    v = good.signature[:64] + bytes([good.signature[64] - 27])
    with world.payee() as payee:
        payee.step()
        for signature in (
            world.voucher(config, 5, world.carol).signature,
            world.voucher(config, 6).signature,
            world.voucher(other, 5).signature,
            high,
            v,
            bytes(65),
            b"\xff" * 65,
        ):
            refuses(payee, "wrong_signature", SignedVoucher(good.voucher, signature))
        payee.accept(good)


def test_the_named_signer_signs(world: ChannelWorld) -> None:
    config = world.open(signer=world.carol.address)
    with world.payee() as payee:
        payee.step()
        refuses(payee, "wrong_signature", world.voucher(config, 1))
        payee.accept(world.voucher(config, 1, world.carol))


def test_attack_a_contract_signs(world: ChannelWorld) -> None:
    """The hub would take what a contract says is signed, until the contract says otherwise. The payee never does."""
    code = "0x600435600052631626ba7e60e01b60005260206000f3"  # says yes to everything
    contract = "0x00000000000000000000000000000000000C0DE1"
    world.anvil.request("anvil_setCode", contract, code)
    config = world.open(signer=to_checksum_address(contract))
    anything = SignedVoucher(world.voucher(config, 5).voucher, b"\1" * 65)
    world.chain.call(
        world.deployment.hub,
        world.channels.hub_coder.encode("claim", config.arguments, 5, anything.signature),
        world.carol.address,
    )
    with world.payee() as payee:
        payee.step()
        assert "contracts cannot sign" in refuses(payee, "wrong_signature", anything)


def test_amounts(world: ChannelWorld) -> None:
    """More than before, by the price, and not more than there is: each at its edge."""
    config = world.open(100)
    with world.payee() as payee:
        payee.step()
        payee.accept(world.voucher(config, 10), 10)
        refuses(payee, "stale_voucher", world.voucher(config, 9))
        refuses(payee, "stale_voucher", world.voucher(config, 10), 1, "something else")
        refuses(payee, "too_little", world.voucher(config, 19), 10)
        payee.accept(world.voucher(config, 20), 10)
        refuses(payee, "over_balance", world.voucher(config, 101), 10)
        payee.accept(world.voucher(config, 100), 10)
        world.open(1)
        payee.step()
        payee.accept(world.voucher(config, 101))


def test_the_same_again(world: ChannelWorld) -> None:
    """The same voucher for the same thing is taken again, and pays nothing more; for another thing it is not."""
    config = world.open()
    with world.payee() as payee:
        payee.step()
        payee.accept(world.voucher(config, 10), 10, "/a")
        again = payee.accept(world.voucher(config, 10), 10, "/a")
        assert (again.paid, again.is_repeated) == (0, True)
        refuses(payee, "stale_voucher", world.voucher(config, 10), 10, "/b")
        forged = SignedVoucher(world.voucher(config, 10).voucher, bytes(65))
        refuses(payee, "wrong_signature", forged, 10, "/a")


def test_many_at_once(world: ChannelWorld) -> None:
    """Each is judged as if the ones before it were stored."""
    config = world.open(100)
    other = world.open(100, salt=b"\1" * 32)
    with world.payee() as payee:
        payee.step()
        answers = payee.accept_many(
            [
                Offer(world.voucher(config, 10)),
                Offer(world.voucher(config, 10), 1, "else"),
                Offer(world.voucher(other, 7)),
                Offer(world.voucher(config, 12)),
                Offer(world.voucher(other, 101)),
            ]
        )
    codes = [answer.code if isinstance(answer, RefusedError) else answer.paid for answer in answers]
    assert codes == [10, "stale_voucher", 7, 2, "over_balance"]
    with world.payee() as payee:
        assert payee.best(config.id) == world.voucher(config, 12)
        assert payee.best(other.id) == world.voucher(other, 7)


# -------------------------------------------------------------------- withdrawals


def test_claims_when_the_payer_withdraws(world: ChannelWorld) -> None:
    config = world.open(100)
    with world.payee() as payee:
        payee.step()
        payee.accept(world.voucher(config, 60))
        assert all(not report.started for report in payee.run_until_idle())
        world.send(world.alice, world.channels.withdrawal_call("start", config))
        assert [move.purpose for move in payee.step().started] == ["claim"]
        refuses(payee, "withdrawal_pending", world.voucher(config, 61))
        payee.run_until_idle()
        assert world.facts(config).released == 60
        assert payee.accept(world.voucher(config, 60)).is_repeated
        world.send(world.alice, world.channels.withdrawal_call("cancel", config))
        payee.step()
        payee.accept(world.voucher(config, 61))


def test_attack_a_withdrawal_that_is_left_pending(world: ChannelWorld) -> None:
    """Its time came long ago when the channel is filled again: the payer could take the new deposit back at once."""
    config = world.open(100)
    with world.payee() as payee:
        payee.step()
        payee.accept(world.voucher(config, 100))
        world.send(world.alice, world.channels.withdrawal_call("start", config))
        payee.run_until_idle()
        world.anvil.warp(25 * HOUR)
        world.open(50)
        payee.step()
        refuses(payee, "withdrawal_pending", world.voucher(config, 101))
        world.send(world.alice, world.channels.withdrawal_call("finish", config))
        payee.step()
        refuses(payee, "stale_voucher", world.voucher(config, 150))
        refuses(payee, "over_balance", world.voucher(config, 151))


def test_vouchers_of_before_a_withdrawal_pay_nothing(world: ChannelWorld) -> None:
    config = world.open(100)
    world.send(world.alice, world.channels.withdrawal_call("start", config))
    world.anvil.warp(24 * HOUR + 1)
    world.send(world.alice, world.channels.withdrawal_call("finish", config))
    world.open(50)
    with world.payee() as payee:
        payee.step()
        refuses(payee, "stale_voucher", world.voucher(config, 100))
        assert payee.accept(world.voucher(config, 101)).paid == 1


def test_says_that_it_is_late(world: ChannelWorld) -> None:
    config = world.open(100)
    with world.payee() as payee:
        payee.step()
        payee.accept(world.voucher(config, 60))
    world.send(world.alice, world.channels.withdrawal_call("start", config))
    after = world.facts(config).withdrawable_after
    world.anvil.warp(24 * HOUR + 1)
    with world.payee() as payee:
        report = payee.step()
        assert report.warnings == [
            f"the payer of channel 0x{config.id.hex()} can withdraw since {after}, and 60 is not claimed"
        ]
        payee.run_until_idle()  # it still can
    assert world.facts(config).released == 60


# -------------------------------------------------------------------- claiming


def test_claims_what_is_worth_it_and_is_paid_out(world: ChannelWorld) -> None:
    config = world.open()
    with world.payee(claim_at=10**15) as payee:
        payee.step()
        payee.accept(world.voucher(config, 10**15 - 1))
        assert payee.run_until_idle()[-1].is_idle
        assert world.facts(config).released == 0
        payee.accept(world.voucher(config, 10**15))
        before = world.chain.balance(world.bob.address)
        moves = [move.purpose for report in payee.run_until_idle() for move in report.settled]
        assert moves == ["claim", "settle"]
        assert world.facts(config).released == 10**15
        assert world.channels.owed(world.deployment.hub, world.bob.address, ETH) == 0
        assert 0 < before + 10**15 - world.chain.balance(world.bob.address) < 10**15


@pytest.mark.parametrize(("amount", "is_claimed"), [(100, False), (101, True)])
def test_attack_withdrawals_that_make_the_payee_claim_dust(world: ChannelWorld, amount: int, is_claimed: bool) -> None:
    """A claim costs the payee gas, a voucher over 1 wei costs its payer nothing."""
    config = world.open(1000)
    nonce = world.nonce(world.bob)
    with world.payee(dust=100) as payee:
        payee.step()
        payee.accept(world.voucher(config, amount))
        world.send(world.alice, world.channels.withdrawal_call("start", config))
        payee.run_until_idle()
        assert world.nonce(world.bob) == nonce + (2 if is_claimed else 0)
        payee.claim()  # by its own wish it does
        payee.run_until_idle()
        assert world.facts(config).released == amount


def test_attack_a_stranger_claims_dust_for_the_payee(world: ChannelWorld) -> None:
    """What the hub owes it then is not worth a transaction either."""
    config = world.open(1000)
    nonce = world.nonce(world.bob)
    with world.payee(dust=100) as payee:
        payee.step()
        world.send(world.carol, world.channels.claim_call([(config, world.voucher(config, 100))]))
        payee.run_until_idle()
        assert world.nonce(world.bob) == nonce
        world.send(world.carol, world.channels.claim_call([(config, world.voucher(config, 101))]))
        payee.run_until_idle()
        assert world.nonce(world.bob) == nonce + 1


@pytest.mark.parametrize(("dust", "last"), [(0, [30]), (1, [])])
def test_vouchers_while_a_claim_cannot_be_paid_for(world: ChannelWorld, dust: int, last: list[int]) -> None:
    """Not every one of them is worth a claim of its own: all that are written are sent when there is ETH again."""
    config = world.open()
    world.anvil.request("anvil_setBalance", world.bob.address, "0x0")
    nonce = world.nonce(world.bob)
    with world.payee(claim_at=10, dust=dust, settle=False) as payee:

        def claimed() -> list[int]:
            return [int(move.reference.split()[-1]) for move in payee.step().started]

        payee.step()
        for amount, claims in ((9, []), (10, [10]), (11, []), (19, []), (20, [20]), (29, [])):
            payee.accept(world.voucher(config, amount))
            assert claimed() == claims
        payee.claim()
        assert claimed() == [29]
        payee.accept(world.voucher(config, 30))
        assert claimed() == []
        world.send(world.alice, world.channels.withdrawal_call("start", config))
        assert claimed() == last
        assert claimed() == []
        world.anvil.request("anvil_setBalance", world.bob.address, hex(ETHER))
        payee.run_until_idle()
        assert (world.facts(config).released, world.nonce(world.bob)) == (max([29, *last]), nonce + 3 + len(last))


def test_claims_in_batches(world: ChannelWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layer2.channels.actor.CLAIMS_PER_CALL", 2)
    configs = [world.open(100, salt=bytes([number]) * 32) for number in range(5)]
    nonce = world.nonce(world.bob)
    with world.payee(settle=False) as payee:
        payee.step()
        payee.accept_many([Offer(world.voucher(config, 3)) for config in configs])
        assert payee.claim() == 15
        payee.run_until_idle()
    assert [world.facts(config).released for config in configs] == [3] * 5
    assert world.nonce(world.bob) == nonce + 3


def test_somebody_else_has_claimed(world: ChannelWorld) -> None:
    """The claim on its way comes to nothing, and costs nothing."""
    config = world.open()
    with world.payee(settle=False) as payee:
        payee.step()
        signed = world.voucher(config, 9)
        payee.accept(signed)
        payee.claim()
        nonce = world.nonce(world.bob)
        world.send(world.carol, world.channels.claim_call([(config, signed)]))
        reports = payee.run_until_idle()
        assert [move for report in reports for move in report.settled] == []
        assert world.nonce(world.bob) == nonce


def test_an_unknown_channel_cannot_be_claimed(world: ChannelWorld) -> None:
    with world.payee() as payee:
        payee.step()
        assert payee.claim() == 0
        with pytest.raises(ChannelError, match=r"no channel 0x0000\w* pays 0x3C44"):
            payee.claim([bytes(32)])


# -------------------------------------------------------------------- closing


def test_a_signed_closing(world: ChannelWorld) -> None:
    """The hub takes it from anybody; the payee takes no vouchers from its signature on until then."""
    config = world.open(100)
    with world.payee(settle=False) as payee:
        payee.step()
        payee.accept(world.voucher(config, 40))
        signed = payee.sign_close(config.id)
        assert (signed.close.amount, signed.close.closings) == (40, 0)
        assert payee.sign_close(config.id) == signed
        refuses(payee, "close_signed", world.voucher(config, 41))
    with world.payee(settle=False) as payee:
        payee.step()
        refuses(payee, "close_signed", world.voucher(config, 41))
        world.send(world.carol, world.channels.signed_close_call(config, signed))
        assert world.channels.owed(world.deployment.hub, world.bob.address, ETH) == 40
        assert world.channels.owed(world.deployment.hub, world.alice.address, ETH) == 60
        world.open(10)
        payee.step()
        refuses(payee, "stale_voucher", world.voucher(config, 100))
        payee.accept(world.voucher(config, 101))
        assert payee.sign_close(config.id).close.closings == 1


def test_a_closing_without_vouchers(world: ChannelWorld) -> None:
    config = world.open(100)
    with world.payee() as payee:
        payee.step()
        signed = payee.sign_close(config.id)
        assert (signed.close.amount, signed.voucher_signature) == (0, b"")
        world.send(world.alice, world.channels.signed_close_call(config, signed))
        payee.step()
        with pytest.raises(ChannelError, match="is empty: there is nothing to close"):
            payee.sign_close(config.id)


def test_claims_beyond_a_signed_closing_make_it_void(world: ChannelWorld) -> None:
    """Only by somebody who has a voucher that the payee did not take: its old consent cannot be used then."""
    config = world.open(100)
    with world.payee() as payee:
        payee.step()
        signed = payee.sign_close(config.id)
        world.send(world.carol, world.channels.claim_call([(config, world.voucher(config, 1))]))
        payee.step()
        payee.accept(world.voucher(config, 2))
    with pytest.raises(RevertedError) as caught:
        world.send(world.carol, world.channels.signed_close_call(config, signed))
    assert caught.value.name == "AlreadyReleased"


def test_closes_itself(world: ChannelWorld) -> None:
    config = world.open(100)
    with world.payee() as payee:
        payee.step()
        payee.accept(world.voucher(config, 40))
        payee.close(config.id)
        payee.close(config.id)
        moves = [move.purpose for report in payee.run_until_idle() for move in report.settled]
        assert moves == ["close", "settle"]
    assert world.facts(config).closings == 1
    assert world.channels.owed(world.deployment.hub, world.alice.address, ETH) == 60


def test_a_closing_that_cannot_be_paid_for(world: ChannelWorld) -> None:
    """Nothing is signed, so vouchers are still taken, and it is closed with the last of them."""
    config = world.open(100)
    world.anvil.request("anvil_setBalance", world.bob.address, "0x0")
    with world.payee() as payee:
        payee.step()
        payee.accept(world.voucher(config, 40))
        with pytest.raises(ChannelError, match="cannot pay for this close and its gas"):
            payee.close(config.id)
        payee.accept(world.voucher(config, 41))
    with world.payee() as payee:
        payee.step()
        payee.accept(world.voucher(config, 42))
        world.anvil.request("anvil_setBalance", world.bob.address, hex(ETHER))
        payee.close(config.id)
        refuses(payee, "close_signed", world.voucher(config, 43))
        payee.run_until_idle()
        with pytest.raises(ChannelError, match="is empty: there is nothing to close"):
            payee.close(config.id)
    assert world.channels.owed(world.deployment.hub, world.alice.address, ETH) == 58
