"""The last second in which a payee can claim: in a channel of the hub, and in a contract of its own."""

from layer2.chain.coder import coder
from layer2.chain.deploying import deploy_contract
from layer2.channels.actor import CLAIM, SETTLE
from layer2.channels.payer import FINISH, START
from layer2.channels.vouchers import PaymentChannelVoucher
from layer2.scenarios.channel_stage import ChannelStage
from layer2.scenarios.stage import DAY, ETHER, Ending, eth


def play(stage: ChannelStage) -> Ending:
    """In ETH."""
    stage.mark()
    _hub(stage)
    _one_channel(stage)
    return stage.close({stage.alice: (-8 * ETHER, 0), stage.bob: (8 * ETHER, 0)})


def _hub(stage: ChannelStage) -> None:
    tell, alice, bob, channels = stage.tell, stage.alice, stage.bob, stage.channels
    tell.step("Alice pays Bob through the hub, and wants the rest back")
    payer, payee = stage.payer(alice), stage.payee(bob)
    config = payer.open(bob.address, 10 * ETHER, withdraw_delay=DAY)
    stage.work(payer)
    stage.work(payee)
    payment = payer.pay(config.id, 6 * ETHER)
    payee.accept(payment.signed)
    tell.say("a channel with 10 ETH and a delay of one day; Bob holds a voucher over 6 ETH, and does not claim it yet")
    payer.withdraw(config.id)
    tell.check(
        "Alice starts the withdrawal of all that is not claimed", [m.purpose for m in stage.work(payer)] == [START]
    )
    end = channels.hub_channel(config.id).withdrawable_after
    tell.say(f"she can finish it after {end} (it is {stage.dev.now}); Bob can be sure to claim until then")
    finish = channels.withdrawal_call("finish", config)
    claim = channels.claim_call([(config, payment.signed)])

    tell.step("What would happen if Bob slept one second too long")
    with stage.dev.undone():
        stage.dev.pass_until(end)
        stage.check_refused("in the last second Alice is too early", stage.hub, alice, finish, "WithdrawalTooEarly")
        stage.dev.pass_until(end + 1)
        stage.send(alice, stage.hub, finish)
        tell.check("after it she finishes", channels.hub_channel(config.id).balance == 0)
        stage.check_refused("Bob claims, too late", stage.hub, bob, claim, "NothingClaimable")
        owed = stage.owed(stage.hub, alice)
        tell.check(f"and Alice gets {eth(owed)}, although she has signed 6 of them away", owed == 10 * ETHER)
        tell.say("This is what a payee rests on: looking at L1 more often than every `withdrawDelay`")

    tell.step("What happens: Bob's program wakes up in time, if only just")
    stage.dev.pass_until(end - 1)
    stage.dev.next_block_at(end)
    claimed, settled = stage.work(payee)
    tell.check("it claims the voucher, and has it paid out", (claimed.purpose, settled.purpose) == (CLAIM, SETTLE))
    mined = stage.chain.block(stage.receipt(claimed).block.number)
    tell.check(f"in the last second, {end}", mined is not None and mined.timestamp == end)
    stage.dev.pass_until(max(end, stage.dev.now) + 1)
    deeds = [move.purpose for move in stage.work(payer)]
    tell.check("Alice finishes after that, and gets the other 4 ETH", deeds == [FINISH, SETTLE])


def _one_channel(stage: ChannelStage) -> None:
    tell, alice, bob = stage.tell, stage.alice, stage.bob
    tell.step("The same with a contract for one channel: `PaymentChannel` has an expiration instead of a delay")
    code = coder("PaymentChannel")
    end = stage.dev.now + DAY
    address, _ = deploy_contract(stage.chain, alice.signer, "PaymentChannel", bob.address, end, value=5 * ETHER)
    stage.books.add(address, alice)

    def claim(amount: int) -> bytes:
        voucher = PaymentChannelVoucher(address, amount, stage.chain.chain_id())
        return code.encode("claimPayment", amount, voucher.sign(alice.key))

    close = code.encode("closeChannel")
    tell.say(f"5 ETH, expires at {end}; Bob gets vouchers over 1, 2 and 3 ETH in all")
    stage.send(bob, address, claim(ETHER))
    tell.check("he claims the first one; the channel stays open", _total(stage, address) == ETHER)
    second, third = claim(2 * ETHER), claim(3 * ETHER)
    with stage.dev.undone():
        stage.dev.pass_until(end)
        stage.check_refused("in the last second Alice cannot close yet", address, alice, close, "NotExpired")
        stage.dev.pass_until(end + 1)
        stage.check_refused("one second later Bob could not claim any more", address, bob, second, "ChannelExpired")
    stage.dev.next_block_at(end)
    stage.send(bob, address, second)
    tell.check(f"but in the last second, {end}, he does", stage.dev.now == end and _total(stage, address) == 2 * ETHER)
    stage.dev.pass_until(end + 1)
    stage.check_refused("the third voucher is too late", address, bob, third, "ChannelExpired")
    stage.send(alice, address, close)
    tell.check("Alice closes, and gets what is left: 3 ETH", stage.chain.balance(address) == 0)


def _total(stage: ChannelStage, address: str) -> int:
    """What Bob has got so far."""
    return int.from_bytes(stage.chain.call(address, coder("PaymentChannel").encode("claimed")))
