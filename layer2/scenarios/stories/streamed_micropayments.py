"""Ten thousand payments through one channel of the hub, and one claim."""

import time
from typing import Final

from layer2.actors.errors import RefusedError
from layer2.benchmarks.l1 import TokenTransfer, transfers_on_layer1
from layer2.channels.actor import CLAIM, SETTLE
from layer2.channels.payee import Payee, PayeeRules
from layer2.channels.vouchers import SignedVoucher
from layer2.scenarios.channel_stage import ChannelStage
from layer2.scenarios.stage import DAY, UNIT, Ending, usdc

COUNT: Final = 10_000
PRICE: Final = UNIT // 1000
"""0.001 USDC."""


def play(stage: ChannelStage) -> Ending:
    """In USDC, with a permit."""
    tell, alice, bob = stage.tell, stage.alice, stage.bob
    total = COUNT * PRICE
    stage.mint(alice, 100 * UNIT)
    stage.mark()

    tell.step("Alice opens a channel to Bob")
    payer = stage.payer(alice)
    payee = stage.payee(bob, PayeeRules(tokens=frozenset({stage.usdc})))
    config = payer.open(bob.address, 100 * UNIT, token=stage.usdc, withdraw_delay=DAY)
    (opened,) = stage.work(payer)
    stage.work(payee)
    tell.say(f"100 USDC in one transaction, by a permit: {stage.gas([opened]):,} gas")
    is_known = config.id in payee.follower.hub
    tell.check(
        "the hub has them, and Bob's program knows the channel",
        is_known and stage.channels.hub_channel(config.id).balance == 100 * UNIT,
    )

    tell.step(f"{COUNT:,} payments of {usdc(PRICE)}, without any transaction")
    head = stage.chain.head().number
    started = time.monotonic()
    last = stage.stream(config, alice, payee, COUNT, PRICE)
    seconds = time.monotonic() - started
    tell.say(f"Alice signs {COUNT:,} vouchers, each over all that she has paid so far; Bob checks and stores each")
    tell.say(f"that took {seconds:.1f} s, {COUNT / seconds:,.0f} payments a second")
    tell.check(f"Bob has taken all of them: {usdc(payee.unclaimed(config.id))}", payee.unclaimed(config.id) == total)
    tell.check("no block was made meanwhile", stage.chain.head().number == head)
    tell.check("the last voucher is all that Bob has to keep", payee.best(config.id) == last)
    _refuses(stage, payee, "an older one again", stage.voucher(config, total // 2, alice), "stale_voucher")
    _refuses(
        stage, payee, "one that Mallory signed", stage.voucher(config, 2 * total, stage.mallory), "wrong_signature"
    )
    _refuses(stage, payee, "one over more than is there", stage.voucher(config, 101 * UNIT, alice), "over_balance")

    tell.step("One claim pays all of them")
    payee.claim()
    moves = stage.work(payee)
    tell.check("Bob claims the last voucher, and has the money paid out", [m.purpose for m in moves] == [CLAIM, SETTLE])
    claim, settle = (stage.gas([move]) for move in moves)
    tell.say(f"claim {claim:,} gas, settle {settle:,} gas")
    tell.check(f"Bob has {usdc(total)} on L1", stage.channels.held(bob.address, stage.usdc) == total)
    for what, voucher in (("the same voucher", last), ("an older one", stage.voucher(config, total // 2, alice))):
        call = stage.channels.claim_call([(config, voucher)])
        stage.check_refused(f"{what} pays nothing more", stage.hub, bob, call, "NothingClaimable")

    tell.step("What a payment costs")
    whole = stage.gas([opened, *moves])
    on_l1 = transfers_on_layer1(stage.dev, stage.usdc, [TokenTransfer(alice, bob, PRICE)]).gas
    rows = [
        ("through the channel: opened, claimed, settled", f"{whole:,}", f"{whole / COUNT:.1f}"),
        ("USDC transfers on L1, as one takes", f"{COUNT * on_l1:,}", f"{on_l1:,}"),
    ]
    tell.table(("gas", f"of {COUNT:,} payments", "of each"), rows)
    tell.check("the channel takes less than a thousandth", 1000 * whole < COUNT * on_l1)
    tell.say("Alice's other 90 USDC stay in the channel, for more of the kind, or to be withdrawn after a day")
    return stage.close({alice: (0, -total), bob: (0, total)})


def _refuses(stage: ChannelStage, payee: Payee, what: str, voucher: SignedVoucher, code: str) -> None:
    try:
        payee.accept(voucher)
        found = "taken"
    except RefusedError as error:
        found = error.code
    stage.tell.check(f"{what} is refused: {found}", found == code)
