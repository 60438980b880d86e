"""A payer that has signed money away tries to get it back, in every way that there is."""

from layer2.actors.errors import RefusedError
from layer2.channels.actor import CLAIM, SETTLE
from layer2.channels.signing import sign
from layer2.channels.vouchers import Close
from layer2.scenarios.channel_stage import ChannelStage
from layer2.scenarios.stage import DAY, ETHER, Ending, eth


def play(stage: ChannelStage) -> Ending:
    """In ETH; Mallory does everything by hand, Bob's program only steps."""
    tell, mallory, bob, channels = stage.tell, stage.mallory, stage.bob, stage.channels
    stage.mark()

    tell.step("Mallory pays Bob")
    payer, payee = stage.payer(mallory), stage.payee(bob)
    config = payer.open(bob.address, 10 * ETHER, withdraw_delay=DAY)
    stage.work(payer)
    stage.work(payee)
    old = payer.pay(config.id, 2 * ETHER).signed
    payee.accept(old)
    last = payer.pay(config.id, 3 * ETHER).signed
    payee.accept(last)
    tell.say("a channel with 10 ETH and a delay of one day; vouchers over 2 ETH, then over 5 ETH, for which Bob works")

    tell.step("Mallory wants all of it back")

    def refused(what: str, call: bytes, error: str) -> None:
        stage.check_refused(what, stage.hub, mallory, call, error)

    finish = channels.withdrawal_call("finish", config)
    refused("a withdrawal is finished that was never started", finish, "NoWithdrawal")
    refused("closing with nothing paid, without Bob", channels.close_call(config, 0, b"", b""), "InvalidSignature")
    own = sign(mallory.signer, Close(config.id, 0, 0), channels.hub_domain)
    refused(
        "closing with nothing paid, signed by Mallory for Bob",
        channels.close_call(config, 0, b"", own),
        "InvalidSignature",
    )
    voucher_twice = channels.close_call(config, old.amount, old.signature, old.signature)
    refused("closing with the old voucher, its signature as Bob's too", voucher_twice, "InvalidSignature")
    others = sign(bob.signer, Close(bytes(32), old.amount, 0), channels.hub_domain)
    foreign = channels.close_call(config, old.amount, old.signature, others)
    refused("closing with what Bob signed for another channel", foreign, "InvalidSignature")
    claim_old = channels.claim_call([(config, old)])
    stage.send(mallory, stage.hub, claim_old)
    tell.check(
        f"the old voucher, claimed for Bob: he has {eth(stage.owed(stage.hub, bob))}, and his last one still pays 3",
        stage.owed(stage.hub, bob) == 2 * ETHER and channels.hub_channel(config.id).balance == 8 * ETHER,
    )
    refused("the old voucher again", claim_old, "NothingClaimable")

    tell.step("Mallory leaves")
    stage.send(mallory, stage.hub, channels.withdrawal_call("start", config))
    end = channels.hub_channel(config.id).withdrawable_after
    tell.say(f"a withdrawal that is started can be finished after {end} (it is {stage.dev.now})")
    refused("at once", finish, "WithdrawalTooEarly")
    refused("started again", channels.withdrawal_call("start", config), "WithdrawalPending")
    moves = stage.work(payee)
    tell.check(
        "Bob's program sees it at its next step, claims and is paid", [m.purpose for m in moves] == [CLAIM, SETTLE]
    )
    tell.check("it has all that Bob was promised: 5 ETH", channels.hub_channel(config.id).released == 5 * ETHER)
    more = stage.voucher(config, 6 * ETHER, mallory)
    try:
        payee.accept(more)
        found = "taken"
    except RefusedError as error:
        found = error.code
    tell.check(f"and takes no vouchers any more: {found}", found == "withdrawal_pending")
    stage.dev.pass_until(end)
    refused("a day later, in the last second", finish, "WithdrawalTooEarly")
    stage.dev.pass_until(end + 1)
    stage.send(mallory, stage.hub, finish)
    stage.settle(stage.hub, mallory)
    tell.check("a second later Mallory has the rest: 5 ETH", stage.owed(stage.hub, mallory) == 0)

    tell.step("The other way round: Mallory fills the channel again, and Bob tries his old vouchers")
    stage.send(mallory, stage.hub, channels.deposit_call(config, ETHER), ETHER)
    for voucher in (last, more):
        call = channels.claim_call([(config, voucher)])
        stage.check_refused(f"the one over {eth(voucher.amount)}", stage.hub, bob, call, "NothingClaimable")
    tell.say("What went back to Mallory counts as released: vouchers of before pay nothing")
    return stage.close({mallory: (-5 * ETHER, 0), bob: (5 * ETHER, 0)})
