"""Nobody serves the queue any more: freeze, escapes and refunds, all from L1 data alone."""

from typing import Final

from layer2.actors.escape import Escaped, EscapeError, escape, optimistic_reader
from layer2.actors.optimistic_store import OptimisticStore
from layer2.chain.blobs import AnvilBlobs
from layer2.optimistic.operations import CreatePool, Nothing
from layer2.scenarios.books import ETH, USDC
from layer2.scenarios.cheat import Cheat
from layer2.scenarios.people import Person
from layer2.scenarios.stage import DAY, ETHER, FOREVER, NO_KEY, STAKE, UNIT, Ending, Stage, show
from layer2.scenarios.stories.common import HASHES, body, refused

IN_POOL: Final = (ETHER, 40 * UNIT)


def play(stage: Stage) -> Ending:
    """In calldata mode."""
    tell = stage.tell
    stage.open()
    rollup = stage.rollup
    period = rollup.deployment.freeze_deadline

    tell.step("Alice opens a pool, Bob withdraws")
    alice, bob, carol, dora, mallory = stage.alice, stage.bob, stage.carol, stage.dora, stage.mallory
    stage.deposit(alice, ETH, 2 * ETHER)
    stage.post()
    create = CreatePool(stage.account(alice, ETH), stage.account(alice), *IN_POOL, 0, FOREVER)
    stage.hand_in(stage.sign(alice, create))
    stage.hand_in(stage.withdrawal(bob, 5 * UNIT))
    number = stage.post()
    tell.say(f"1 ETH and 40 USDC of Alice's are in the pool, 5 USDC of Bob's are on their way to L1: batch {number}")
    stage.mark()

    tell.step("Sam vanishes")
    stage.deposit(dora, ETH, 3 * ETHER)
    stage.send(bob, rollup.force_withdraw_call(stage.account(bob)))
    tell.say("Dora deposits 3 ETH, Bob forces a withdrawal; Mallory could submit batches too, but does not care")
    stage.dev.pass_time(period - DAY)
    tell.say(f"{period // DAY - 1} days later Carol runs `ape run escape --freeze --claim`; it confirms, and:")
    try:
        _escape(stage, carol, freeze=True)
        words = "frozen"
    except EscapeError as error:
        words = str(error).partition(" (")[0]
    tell.check(words, "cannot be frozen before" in words)
    stage.dev.pass_time(DAY + 1)

    tell.step(f"After {period // DAY} days anybody can")
    tell.say("Carol runs it again; it rebuilds the state from L1 and does:")
    _escape(stage, carol, freeze=True)
    tell.check("the rollup is frozen, for ever", bool(rollup.view("isFrozen")))
    deposit = rollup.deposit_call(USDC, UNIT, alice.address, 0, NO_KEY)
    refused(stage, "no deposits any more", alice, deposit, "RollupFrozen")
    cheat = Cheat(rollup, mallory)
    call = cheat.call(cheat.draft(stage.audit(), [body(Nothing())]))
    refused(stage, "no batches", mallory, call, "RollupFrozen")

    tell.step("Everybody escapes")
    for person in (alice, bob, dora, mallory):
        tell.say(f"{person.name}:")
        _escape(stage, person)
    again = _escape(stage, alice, quiet=True)
    tell.check("once: there is nothing left to escape with", again.sent == 0 and not again.payouts)
    stage.send(mallory, rollup.start_exit_call())
    stage.dev.pass_time(rollup.deployment.challenge_period + 1)
    stage.send(mallory, rollup.withdraw_bond_call())
    tell.say("Mallory takes her bond out, as anybody can who was not caught; Sam's is still there")
    ending = stage.close({})
    rest = ending.held.eth - STAKE
    tell.check(
        f"left in the pool are {rest} wei and {ending.held.usdc} millionths of a USDC, which belong to nobody",
        0 <= rest < 10**9 and ending.held.usdc <= 1,
    )
    return ending


def _escape(stage: Stage, person: Person, *, freeze: bool = False, quiet: bool = False) -> Escaped:
    """What `ape run escape --claim` does, with a database of its own."""

    def say(line: str) -> None:
        if not quiet:
            stage.tell.say(f"- {HASHES.sub('', line)}")

    with OptimisticStore() as store:
        read = optimistic_reader(stage.rollup, store, AnvilBlobs(stage.chain))
        return escape(read, stage.rollup, person.signer, person.owner, freeze=freeze, claim=True, show=show, say=say)
