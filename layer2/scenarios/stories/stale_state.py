"""An old state of a channel of two parties is published while its victim sleeps."""

from dataclasses import dataclass

from layer2.channels.actor import CHALLENGE, SETTLE
from layer2.channels.party import FINISH, Party
from layer2.channels.states import SignedState, StateChannelConfig
from layer2.channels.watchtower import Watchtower
from layer2.scenarios.channel_stage import ChannelStage
from layer2.scenarios.stage import ETHER, Ending, eth


@dataclass(frozen=True)
class Cheated:
    """A channel of Mallory's and Alice's, the states both have signed, Alice's program, and her watchtower."""

    config: StateChannelConfig
    states: tuple[SignedState, ...]
    victim: Party
    tower: Watchtower

    @property
    def last(self) -> SignedState:
        """The last one."""
        return self.states[-1]


def agree(stage: ChannelStage) -> Cheated:
    """Mallory and Alice deposit 5 ETH each, and pay each other three times; Wanda watches for Alice."""
    mallory, alice, tower = stage.party(stage.mallory), stage.party(stage.alice), stage.watchtower(stage.wanda)
    config = stage.open_together(mallory, alice, (5 * ETHER, 5 * ETHER))
    stage.work(tower)
    states = []
    for payer, other, amount in ((alice, mallory, 2), (mallory, alice, 4), (mallory, alice, 1)):
        stage.talk(payer, other, payer.pay(config.id, amount * ETHER))
        states.append(alice.best(config.id))
        tower.hold_state(states[-1])
    return Cheated(config, tuple(states), alice, tower)


def play(stage: ChannelStage) -> Ending:
    """In ETH."""
    tell, alice, mallory, wanda, channels = stage.tell, stage.alice, stage.mallory, stage.wanda, stage.channels
    stage.mark()

    tell.step("Mallory and Alice pay each other, with signatures only")
    cheated = agree(stage)
    config = cheated.config
    first, _, last = cheated.states
    tell.say("both deposit 5 ETH; closing takes a day in which anybody can answer; Alice gives her states to Wanda")
    rows = [
        (f"version {one.state.version}", eth(one.state.balance_a), eth(one.state.balance_b)) for one in cheated.states
    ]
    tell.table(("signed by both", "Mallory", "Alice"), rows)
    tell.check("Alice and Wanda have version 3 with both signatures", cheated.victim.best(config.id) == last)

    tell.step("Alice sleeps. Mallory publishes version 1, in which 7 ETH were Mallory's")
    start = channels.start_close_call(config, first)
    stage.check_refused("Wanda could not: only parties start closing", stage.contract, wanda, start, "NotAParty")
    stage.send(mallory, stage.contract, start)
    end = int(channels.state_view("closings", config.id)[3])
    tell.check(f"L1 takes it, for now: it can be answered until {end}", stage.dev.now < end)
    finish_old = channels.finish_close_call(config, first.state)
    stage.check_refused("Mallory finishes at once", stage.contract, mallory, finish_old, "ChallengePeriodRunning")
    challenge = channels.challenge_call(config, last)

    tell.step("What would happen if nobody watched")
    with stage.dev.undone():
        stage.dev.pass_until(end + 1)
        stage.check_refused("an answer one second late", stage.contract, wanda, challenge, "ChallengePeriodOver")
        stage.send(mallory, stage.contract, finish_old)
        owed = stage.owed(stage.contract, mallory)
        tell.check(f"Mallory gets {eth(owed)}, although 2 are left by the last state", owed == 7 * ETHER)

    tell.step("What happens: Wanda, the watchtower, looks at L1")
    (answer,) = stage.work(cheated.tower)
    tell.check(f"and answers with version 3: {stage.gas([answer]):,} gas", answer.purpose == CHALLENGE)
    middle = channels.challenge_call(config, cheated.states[1])
    for what, call, error in (
        ("Mallory brings version 2, so that only one version lies between", middle, "VersionNotLater"),
        ("Mallory starts again, with version 3", channels.start_close_call(config, last), "ChannelIsClosing"),
        ("Mallory finishes with version 1", finish_old, "ChallengePeriodRunning"),
    ):
        stage.check_refused(what, stage.contract, mallory, call, error)
    stage.dev.pass_until(end + 1)
    stage.check_refused("a day later, with version 1 again", stage.contract, mallory, finish_old, "StateMismatch")

    tell.step("Alice wakes up after the deadline")
    moves = stage.work(cheated.victim)
    tell.check("her program finishes the closing, and is paid", [m.purpose for m in moves] == [FINISH, SETTLE])
    outcome = cheated.victim.entry(config.id).facts.outcome
    assert outcome is not None
    tell.check(
        "whoever closes with 1 and is answered with 3 has had 2 in hand: Mallory loses everything",
        outcome.penalised == mallory.address and outcome.amount_a == 0,
    )
    tell.check(f"all of it is Alice's: {eth(outcome.amount_b)}", outcome.amount_b == 10 * ETHER)
    tell.check("Mallory is owed nothing", stage.owed(stage.contract, mallory) == 0)
    return stage.close({alice: (5 * ETHER, 0), mallory: (-5 * ETHER, 0)})
