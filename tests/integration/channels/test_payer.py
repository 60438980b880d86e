"""The payer: opens channels, never signs a second or smaller amount by mistake, and gets its money back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from layer2.actors.errors import StoreError
from layer2.chain.coder import coder
from layer2.chain.deploying import deploy_contract
from layer2.channels import running
from layer2.channels.errors import ChannelError, MalformedError
from layer2.channels.payer import Payer
from layer2.channels.signing import ETH, sign
from layer2.channels.vouchers import Close, SignedClose
from tests.support.channel_world import ETHER, HOUR, UNIT, ChannelWorld

DAY = 24 * HOUR


@pytest.fixture
def payer(world: ChannelWorld) -> Iterator[Payer]:
    with world.payer() as payer:
        payer.step()
        yield payer


def opened(payer: Payer, world: ChannelWorld, amount: int = 100, **options: object) -> bytes:
    config = payer.open(world.bob.address, amount, withdraw_delay=DAY, **options)
    payer.run_until_idle()
    return config.id


# -------------------------------------------------------------------- opening


def test_opens_with_ether_and_tops_up(world: ChannelWorld, payer: Payer) -> None:
    key = opened(payer, world)
    assert payer.entry(key).facts.balance == payer.left(key) == 100
    payer.top_up(key, 20)
    payer.run_until_idle()
    assert payer.left(key) == world.facts(payer.entry(key).config).balance == 120


def test_opens_with_a_permit(world: ChannelWorld, payer: Payer) -> None:
    nonce = world.nonce(world.alice)
    key = opened(payer, world, 5 * UNIT, token=world.usdc)
    assert payer.left(key) == 5 * UNIT
    assert world.nonce(world.alice) == nonce + 1
    assert world.channels.held(world.alice.address, world.usdc) == 995 * UNIT


def test_what_cannot_be_opened(world: ChannelWorld, payer: Payer) -> None:
    with pytest.raises(ChannelError, match="a deposit of 0 adds nothing"):
        payer.open(world.bob.address, 0, withdraw_delay=DAY)
    with pytest.raises(ChannelError, match=f"holds 1000000000 of token {world.usdc}, not 1000000001: get more"):
        payer.open(world.bob.address, 1000 * UNIT + 1, token=world.usdc, withdraw_delay=DAY)
    with pytest.raises(MalformedError, match="withdrawDelay 899 is not a number from 900 to 2592000"):
        payer.open(world.bob.address, 1, withdraw_delay=899)
    with pytest.raises(MalformedError, match="payee '0x12' is not an EIP-55 address"):
        payer.open("0x12", 1, withdraw_delay=DAY)
    with pytest.raises(ChannelError, match="is the payer of no channel 0x00"):
        payer.top_up(bytes(32), 1)


def test_channels_with_the_same_settings_are_told_apart(world: ChannelWorld, payer: Payer) -> None:
    assert opened(payer, world) != opened(payer, world)


# -------------------------------------------------------------------- paying


def test_amounts_only_grow(world: ChannelWorld, payer: Payer) -> None:
    key = opened(payer, world)
    amounts = [payer.pay(key, amount).amount for amount in (5, 1, 90)]
    assert amounts == [5, 6, 96]
    assert payer.left(key) == 4
    for amount in (5, 100):
        with pytest.raises(ChannelError, match=f"has 4 left, not {amount}: top it up"):
            payer.pay(key, amount)
    for amount in (0, -1):
        with pytest.raises(ChannelError, match="pays nothing: give an amount"):
            payer.pay(key, amount)
    assert payer.pay(key, 4).amount == 100


def test_the_payee_takes_it(world: ChannelWorld, payer: Payer) -> None:
    key = opened(payer, world)
    with world.payee() as payee:
        payee.step()
        assert payee.accept(payer.pay(key, 7).signed).paid == 7
        assert payee.accept(payer.pay(key, 7).signed).paid == 7


def test_a_reference_gives_the_same_voucher_until_it_is_answered(world: ChannelWorld, payer: Payer) -> None:
    key = opened(payer, world)
    first = payer.pay(key, 5, "/a")
    assert payer.pay(key, 5, "/a") == first
    with pytest.raises(ChannelError, match="payment '/a' was for 5, not 6: take another reference"):
        payer.pay(key, 6, "/a")
    payer.answered(first)
    assert payer.pay(key, 6, "/a").amount == 11
    assert payer.pay(key, 5, "/b").amount == 16
    payer.answered(first)  # of an earlier voucher: says nothing of this one
    assert not payer.payment(key).is_answered


def test_attack_a_reference_that_is_paid_twice(world: ChannelWorld) -> None:
    """Other payments between do not make it another one, nor does a restart, nor that a later one is answered."""
    with world.payer() as payer:
        key = opened(payer, world)
        first, second = payer.pay(key, 5, "/a"), payer.pay(key, 7, "/b")
        assert (first.amount, second.amount) == (5, 12)
    with world.payer() as payer:
        assert (payer.pay(key, 5, "/a"), payer.pay(key, 7, "/b")) == (first, second)
        payer.answered(second)
        assert payer.pay(key, 5, "/a") == first
        assert payer.unanswered(world.bob.address, ETH, "/a") == first
        assert payer.unanswered(world.carol.address, ETH, "/a") is payer.unanswered(world.bob.address, ETH, "") is None
        payer.answered(first)
        assert payer.pay(key, 5, "/a").amount == 17


def test_a_key_of_its_own(world: ChannelWorld, payer: Payer) -> None:
    """Its vouchers are signed without the account, and its file is for its owner alone."""
    key = opened(payer, world, own_key=True)
    config = payer.entry(key).config
    assert config.voucher_signer not in (world.alice.address, ETH)
    with world.payee() as payee:
        payee.step()
        assert payee.accept(payer.pay(key, 7).signed).paid == 7
    assert (world.folder / "payer.sqlite").stat().st_mode & 0o077 == 0
    with world.payer(database="other.sqlite") as other:
        other.step()
        with pytest.raises(ChannelError, match=f"the key of {config.voucher_signer}, .* is not in this database"):
            other.pay(key, 1)


def test_attack_more_than_was_deposited_is_never_signed(world: ChannelWorld, payer: Payer) -> None:
    """The excess would be claimed from the next deposit: also after money went back."""
    key = opened(payer, world)
    config = payer.entry(key).config
    payer.pay(key, 40)
    payer.withdraw(key)
    payer.run_until_idle()
    world.anvil.warp(DAY + 1)
    payer.run_until_idle()
    payer.top_up(key, 10)
    payer.run_until_idle()
    assert payer.left(key) == 10
    assert payer.pay(key, 10).amount == 110
    assert world.facts(config).deposited == 110


def test_a_lost_database(world: ChannelWorld, payer: Payer) -> None:
    """The payee's voucher, signed by the payer itself, tells where to go on."""
    key = opened(payer, world)
    signed = payer.pay(key, 40).signed
    with world.payer(database="new.sqlite") as new:
        new.step()
        assert new.left(key) == 100
        forged = world.voucher(new.entry(key).config, 90, world.carol)
        with pytest.raises(ChannelError, match="did not sign the voucher over 90"):
            new.catch_up(forged)
        new.catch_up(signed)
        new.catch_up(world.voucher(new.entry(key).config, 3))
        assert new.pay(key, 1).amount == 41


def test_a_database_is_one_accounts(world: ChannelWorld) -> None:
    with world.payer():
        pass
    with (
        pytest.raises(StoreError, match=f"belongs to payer {world.alice.address} of channels 0x"),
        world.payer(who=world.carol),
    ):
        pass
    with pytest.raises(StoreError, match="another kind: name another file"), world.payee(database="payer.sqlite"):
        pass


def test_finds_a_channel(world: ChannelWorld, payer: Payer) -> None:
    small, large = opened(payer, world, 10), opened(payer, world, 50)
    bob, find = world.bob.address, payer.find
    assert find(bob, ETH, 10).id == large
    payer.pay(large, 45)
    assert find(bob, ETH, 10).id == small
    assert find(bob, ETH, 11) is find(bob, world.usdc, 1) is find(world.carol.address, ETH, 1) is None
    assert find(bob, ETH, 1, DAY + 1) is None
    payer.withdraw(small)
    assert find(bob, ETH, 1).id == large


# -------------------------------------------------------------------- getting it back


def test_withdraws(world: ChannelWorld, payer: Payer) -> None:
    key = opened(payer, world, ETHER)
    config = payer.entry(key).config
    payer.pay(key, 40)
    payer.withdraw(key)
    with pytest.raises(ChannelError, match="is being withdrawn from, and its payee takes no vouchers"):
        payer.pay(key, 1)
    payer.run_until_idle()
    after = world.facts(config).withdrawable_after
    world.anvil.request("evm_setNextBlockTimestamp", after)
    world.anvil.mine()
    assert payer.step().is_idle  # the last second in which the payee can be sure to claim
    world.anvil.request("evm_setNextBlockTimestamp", after + 1)
    world.anvil.mine()
    before = world.chain.balance(world.alice.address)
    moves = [move.purpose for report in payer.run_until_idle() for move in report.settled]
    assert moves == ["finish withdrawal", "settle"]
    assert world.facts(config).balance == 0
    assert 0 < before + ETHER - world.chain.balance(world.alice.address) < 10**15
    with pytest.raises(ChannelError, match="is empty: there is nothing to withdraw"):
        payer.withdraw(key)
    assert payer.step().is_idle


def test_a_withdrawal_that_cannot_be_paid_for(world: ChannelWorld, payer: Payer) -> None:
    key = opened(payer, world)
    world.anvil.request("anvil_setBalance", payer.address, "0x1")
    said: list[str] = []
    for message in ("not everything was done: see above", "the withdrawal has not begun: see above"):
        with pytest.raises(ChannelError, match=message):
            running.withdraw(payer, key, said.append)
        assert said.pop().startswith(f"warning: {payer.address} cannot pay for start withdrawal ({key.hex()})")
    with pytest.raises(ChannelError, match="cannot pay for this close and its gas"):
        payer.close(SignedClose(close := Close(key, 0, 0), sign(world.bob, close, world.channels.hub_domain), b""))


def test_a_payout_that_cannot_be_paid_for(world: ChannelWorld, payer: Payer) -> None:
    """It waits since an earlier step, and is no dust."""
    config = payer.entry(opened(payer, world)).config
    world.send(world.bob, world.channels.close_call(config, 0, b"", b""))
    world.anvil.request("anvil_setBalance", payer.address, "0x1")
    said: list[str] = []
    for _ in range(2):
        with pytest.raises(ChannelError, match=r"^0\.0+1 ETH is still owed: see above$"):
            running.withdraw(payer, config.id, said.append)
        assert said.pop().startswith(f"warning: {payer.address} cannot pay for settle (")
    world.anvil.request("anvil_setBalance", payer.address, hex(ETHER))
    assert running.withdraw(payer, config.id, said.append)
    assert said[-1] == "everything that was left has been paid out"


def test_a_token_that_is_not_listed_and_a_lost_database(world: ChannelWorld) -> None:
    """Nothing shows that Alice trusts the token, until she wants her money."""
    token, _ = deploy_contract(world.chain, world.alice, "TestUSDC")
    world.send(world.alice, coder("TestUSDC").encode("mint", world.alice.address, 100), token)
    with world.payer(database="lost.sqlite") as payer:
        config = payer.open(world.bob.address, 100, token=token, withdraw_delay=HOUR)
        payer.run_until_idle()
    world.send(world.bob, world.channels.close_call(config, 0, b"", b""))
    said: list[str] = []
    with world.payer() as payer:
        payer.run_until_idle()
        assert world.channels.held(world.alice.address, token) == 0
        assert running.withdraw(payer, config.id, said.append)
        assert world.channels.held(world.alice.address, token) == 100
        with pytest.raises(ChannelError, match="is empty: there is nothing to withdraw"):
            payer.withdraw(config.id)
    assert said[-1] == "everything that was left has been paid out"


def test_attack_a_strangers_token_is_not_called(world: ChannelWorld, payer: Payer) -> None:
    """Anybody can open a channel in Alice's name in a token of their own, and close it as its payee: she does not pay
    for what that token does, unless she asks for the money."""
    token, _ = deploy_contract(world.chain, world.bob, "SpoiltToken", 0)
    world.send(world.bob, coder("SpoiltToken").encode("mint", world.bob.address, 20), token)
    config = world.open(10, world.bob, token=token)
    world.send(world.bob, world.channels.close_call(config, 0, b"", b""))
    assert world.channels.owed(world.deployment.hub, world.alice.address, token) == 10
    assert not [move for report in payer.run_until_idle() for move in report.settled]
    world.open(10, world.bob, token=token)
    payer.step()
    payer.withdraw(config.id)
    payer.run_until_idle()
    world.anvil.warp(DAY + 1)
    payer.run_until_idle()
    assert payer.channels.held(world.alice.address, token) == 20


def test_attack_strangers_who_make_the_hub_owe_the_payer(world: ChannelWorld, payer: Payer) -> None:
    """They open channels in its name with 1 wei, and close them as payee: it pays for settling on its own account
    only."""
    key = opened(payer, world)
    nonce = world.nonce(world.alice)
    for number in range(3):
        config = world.open(1, world.carol, payee=world.carol.address, salt=bytes([number]) * 32)
        world.send(world.carol, world.channels.close_call(config, 0, b"", b""))
        payer.run_until_idle()
    assert world.nonce(world.alice) == nonce
    world.send(world.bob, world.channels.close_call(payer.entry(key).config, 0, b"", b""))
    payer.run_until_idle()
    assert world.nonce(world.alice) == nonce + 1
    assert world.channels.owed(world.deployment.hub, world.alice.address, ETH) == 0


@pytest.mark.parametrize(("amount", "is_settled"), [(100, False), (101, True)])
def test_attack_a_payee_that_closes_for_dust(world: ChannelWorld, payer: Payer, amount: int, is_settled: bool) -> None:
    payer.dust = 100
    key = opened(payer, world, amount)
    nonce = world.nonce(world.alice)
    world.send(world.bob, world.channels.close_call(payer.entry(key).config, 0, b"", b""))
    payer.run_until_idle()
    assert world.nonce(world.alice) == nonce + is_settled


def test_changes_its_mind(world: ChannelWorld, payer: Payer) -> None:
    key = opened(payer, world)
    payer.withdraw(key)
    payer.run_until_idle()
    payer.cancel_withdrawal(key)
    payer.run_until_idle()
    assert world.facts(payer.entry(key).config).withdrawable_after == 0
    assert payer.pay(key, 1).amount == 1
    world.anvil.warp(2 * DAY)
    assert payer.run_until_idle()[-1].is_idle


def test_a_withdrawal_that_another_program_started_is_left_alone(world: ChannelWorld, payer: Payer) -> None:
    key = opened(payer, world)
    config = payer.entry(key).config
    world.send(world.alice, world.channels.withdrawal_call("start", config))
    assert not any(report.started for report in payer.run_until_idle())
    assert world.facts(config).withdrawable_after


def test_filled_again_while_an_empty_channels_withdrawal_is_pending(world: ChannelWorld, payer: Payer) -> None:
    """The payee claims everything; what is deposited then must not be refused by it for the old withdrawal."""
    key = opened(payer, world)
    with world.payee() as payee:
        payee.step()
        payee.accept(payer.pay(key, 100).signed)
        payer.withdraw(key)
        payer.run_until_idle()
        payee.run_until_idle()
        payer.run_until_idle()
        payer.top_up(key, 10)
        payer.run_until_idle()
        payee.step()
        assert payee.accept(payer.pay(key, 3).signed).paid == 3


def test_closes_with_the_payees_consent(world: ChannelWorld, payer: Payer) -> None:
    key = opened(payer, world)
    with world.payee() as payee:
        payee.step()
        payee.accept(payer.pay(key, 40).signed)
        signed = payee.sign_close(key)
    payer.close(SignedClose.from_json(signed.to_json()))
    payer.close(signed)
    moves = [move.purpose for report in payer.run_until_idle() for move in report.settled]
    assert moves == ["close", "settle"]
    assert world.channels.owed(world.deployment.hub, world.bob.address, ETH) == 40
    with pytest.raises(ChannelError, match="was signed for an earlier time"):
        payer.close(signed)


def test_closings_that_the_payer_does_not_send(world: ChannelWorld, payer: Payer, tmp_path: Path) -> None:
    key = opened(payer, world)
    payer.pay(key, 40)
    config = payer.entry(key).config
    with world.payee() as payee:
        payee.step()
        payee.accept(world.voucher(config, 41))  # not by the payer's database
        greedy = payee.sign_close(key)
    with pytest.raises(ChannelError, match="the payee wants 41, and was paid 40"):
        payer.close(greedy)
    forged = SignedClose(greedy.close, world.voucher(config, 1).signature, b"")
    with pytest.raises(ChannelError, match="did not sign this closing"):
        payer.close(forged)
