"""The channels' part of the demo: a thousand payments and one claim, a closing together, and a lie that is answered.

Everything is real: contracts on a chain, signatures, the programs of both sides. Only the day is not: the chain's time
is turned. May import what the scenarios may.
"""

import time
from pathlib import Path
from typing import Final

from layer2.benchmarks.l1 import TokenTransfer, transfers_on_layer1
from layer2.chain.connection import Chain
from layer2.channels.actor import CHALLENGE, CLAIM, SETTLE
from layer2.channels.party import FINISH
from layer2.channels.payee import PayeeRules
from layer2.channels.payer import CLOSE
from layer2.demo.narrator import Narrator
from layer2.scenarios.channel_stage import ChannelStage
from layer2.scenarios.stage import DAY, ETHER, UNIT, eth, usdc
from layer2.scenarios.stories.stale_state import agree

PAYMENTS: Final = 1000
PRICE: Final = UNIT // 100
"""0.01 USDC."""

_TOTAL: Final = PAYMENTS * PRICE
_DEPOSIT: Final = 100 * UNIT


class ChannelStory:
    """One run; `run` returns whether all its checks hold."""

    def __init__(self, chain: Chain, folder: Path, narrator: Narrator) -> None:
        """folder: for the programs' databases."""
        self._chain = chain
        self._folder = folder
        self._tell = narrator

    def run(self) -> bool:
        """Tell the story. Raises ChainError or ActorError when it cannot go on."""
        tell = self._tell
        with ChannelStage(self._chain, self._folder, tell) as stage:
            self._stage = stage
            stage.mint(stage.alice, _DEPOSIT)
            stage.mark()
            self._stream()
            self._lie()
            alice, bob, mallory = stage.alice, stage.bob, stage.mallory
            stage.close({alice: (5 * ETHER, -_TOTAL), bob: (0, _TOTAL), mallory: (-5 * ETHER, 0)})
            self._costs()
        return not tell.failed

    # ---------------------------------------------------------------- the steps

    def _stream(self) -> None:
        stage, tell, alice, bob = self._stage, self._tell, self._stage.alice, self._stage.bob
        tell.step("Open a channel: one deposit on L1, which Alice can pay Bob from")
        payer = stage.payer(alice)
        payee = stage.payee(bob, PayeeRules(tokens=frozenset({stage.usdc})))
        config = payer.open(bob.address, _DEPOSIT, token=stage.usdc, withdraw_delay=DAY)
        opened = stage.work(payer)
        stage.work(payee)
        tell.say(f"hub {stage.hub}: Alice deposits {usdc(_DEPOSIT)} in one transaction, {stage.gas(opened):,} gas")

        tell.step(f"Pay {PAYMENTS:,} times: each payment is a signed voucher over all that was paid so far")
        head, started = stage.chain.head().number, time.monotonic()
        last = stage.stream(config, alice, payee, PAYMENTS, PRICE)
        seconds = time.monotonic() - started
        tell.check(
            f"Bob has checked and stored {PAYMENTS:,} vouchers over {usdc(PRICE)} each: {seconds:.1f} s",
            payee.best(config.id) == last and payee.unclaimed(config.id) == _TOTAL,
        )
        tell.check("no block was made meanwhile", stage.chain.head().number == head)

        tell.step("Claim once")
        payee.claim()
        claimed = stage.work(payee)
        held = stage.channels.held(bob.address, stage.usdc)
        tell.check(
            f"the last voucher pays all of them: Bob has {usdc(held)} on L1",
            [move.purpose for move in claimed] == [CLAIM, SETTLE] and held == _TOTAL,
        )
        gas = [stage.gas([move]) for move in claimed]
        tell.say(f"claim {gas[0]:,} gas, settle {gas[1]:,} gas")

        tell.step("Close together: with Bob's signature Alice has the rest at once, without it after a day")
        stage.work(payer)
        payer.close(payee.sign_close(config.id))
        closed = stage.work(payer)
        held = stage.channels.held(alice.address, stage.usdc)
        tell.check(
            f"Alice has {usdc(held)} back",
            [move.purpose for move in closed] == [CLOSE, SETTLE] and held == _DEPOSIT - _TOTAL,
        )
        self._gas = stage.gas([*opened, *claimed, *closed])

    def _lie(self) -> None:
        stage, tell, mallory = self._stage, self._tell, self._stage.mallory
        tell.step("A channel that pays both ways: Mallory closes it with an old state while Alice sleeps")
        cheated = agree(stage)
        config, first, last = cheated.config, cheated.states[0], cheated.last
        was, is_now = eth(first.state.balance_a), eth(last.state.balance_a)
        tell.say(f"both have deposited {eth(5 * ETHER)}, and have signed that Mallory has {was}, later {is_now}")
        stage.send(mallory, stage.contract, stage.channels.start_close_call(config, first))
        (answer,) = stage.work(cheated.tower)
        tell.check(
            f"the watchtower answers version 1 with version {last.state.version}: {stage.gas([answer]):,} gas",
            answer.purpose == CHALLENGE,
        )
        stage.dev.pass_time(DAY + 1)
        moves = stage.work(cheated.victim)
        outcome = cheated.victim.entry(config.id).facts.outcome
        assert outcome is not None
        tell.check(
            f"a day later Alice's program finishes: all {eth(outcome.amount_b)} are Alice's",
            [move.purpose for move in moves] == [FINISH, SETTLE] and outcome.amount_b == 10 * ETHER,
        )
        tell.check("who lies loses everything", outcome.penalised == mallory.address and outcome.amount_a == 0)

    def _costs(self) -> None:
        stage, tell = self._stage, self._tell
        tell.step(f"What it costs: {PAYMENTS:,} payments, through a channel and as transactions on L1")
        on_l1 = transfers_on_layer1(stage.dev, stage.usdc, [TokenTransfer(stage.alice, stage.bob, PRICE)]).gas
        rows = [
            ("a channel: opened, claimed, settled, closed", f"{self._gas:,}", f"{self._gas / PAYMENTS:,.0f}"),
            ("USDC transfers on L1, as one takes", f"{PAYMENTS * on_l1:,}", f"{on_l1:,}"),
        ]
        tell.table(("gas", "in all", "a payment"), rows)
        tell.say("More payments through the same channel cost nothing more.")
        tell.check(
            f"on L1 they take {PAYMENTS * on_l1 / self._gas:.0f} times the gas", PAYMENTS * on_l1 > 50 * self._gas
        )
