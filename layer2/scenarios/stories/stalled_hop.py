"""A payment over a middle party that stops answering."""

from typing import Final

from layer2.channels.actor import REVEAL, SETTLE
from layer2.channels.party import FINISH, START, Party
from layer2.channels.states import StateChannelConfig
from layer2.scenarios.channel_stage import ChannelStage
from layer2.scenarios.stage import DAY, UNIT, Ending, usdc

AMOUNT: Final = 30 * UNIT
PERIOD: Final = 6 * 3600


def play(stage: ChannelStage) -> Ending:
    """In USDC."""
    tell, alice, bob, carol, channels = stage.tell, stage.alice, stage.bob, stage.carol, stage.channels
    for person in (alice, carol):
        stage.mint(person, 100 * UNIT)
    stage.mark()

    tell.step("Alice has a channel with Carol, Carol one with Bob")
    payer, middle, payee = stage.party(alice), stage.party(carol), stage.party(bob)
    incoming = stage.open_together(payer, middle, (100 * UNIT, 0), token=stage.usdc, challenge_period=PERIOD)
    outgoing = stage.open_together(middle, payee, (100 * UNIT, 0), token=stage.usdc, challenge_period=PERIOD)
    tell.say("Alice has deposited 100 USDC into one, Carol 100 USDC into the other; who closes alone waits for 6 hours")

    tell.step(f"Alice pays Bob {usdc(AMOUNT)} over Carol")
    hash_ = payee.new_secret(AMOUNT, stage.usdc)
    deadline = stage.dev.now + DAY
    stage.talk(payer, middle, payer.lock(incoming.id, AMOUNT, hash_, deadline))
    tell.say("Bob makes a secret. Alice locks the money: it is Carol's if the secret is public within a day")
    stage.talk(middle, payee, middle.forward(incoming.id, hash_, outgoing.id))
    found = payee.state(outgoing.id).lock(hash_)
    assert found is not None
    tell.check(
        "Carol locks as much for Bob, two hours earlier", (found.amount, deadline - found.deadline) == (AMOUNT, 7200)
    )
    tell.say(
        "Bob tells Carol the secret and asks for his money. Carol does not answer, neither Bob nor Alice, any more."
    )
    payee.unlock(outgoing.id, hash_)

    _nobody_reveals(stage, payer, payee, incoming, outgoing, hash_)

    tell.step("What happens: Bob reveals the secret on chain")
    tell.check("his program waits as long as Carol may still answer", stage.work(payee) == [])
    stage.dev.pass_until(found.deadline - payee.rules.reveal)
    (revealed,) = stage.work(payee)
    tell.check(
        f"an hour before the deadline it reveals: {stage.gas([revealed]):,} gas, once for all channels",
        revealed.purpose == REVEAL,
    )
    at = int(channels.state_view("revealedAt", hash_))
    tell.check(
        f"the register says {at}, {found.deadline - at} s before Bob's deadline", at <= found.deadline < deadline
    )

    tell.step("Both close alone, each with the last state that Carol has signed")
    for party, config in ((payer, incoming), (payee, outgoing)):
        party.close(config.id)
        deeds = [move.purpose for move in stage.work(party)]
        name = "Alice" if party is payer else "Bob"
        tell.check(f"{name} starts closing", deeds == [START])
    stage.dev.pass_time(PERIOD + 1)
    tell.say("6 hours later the register decides both locks alike:")
    for party, name, amount in ((payee, "Bob", AMOUNT), (payer, "Alice", 100 * UNIT - AMOUNT)):
        deeds = [move.purpose for move in stage.work(party)]
        held = channels.held(party.address, stage.usdc)
        tell.check(f"{name} finishes and has {usdc(held)}", deeds == [FINISH, SETTLE] and held == amount)
    owed = stage.owed(stage.contract, carol, stage.usdc)
    tell.check(f"Carol has {usdc(owed)} waiting: 30 of Alice's, and the 70 that Bob has left her", owed == 100 * UNIT)
    return stage.close({alice: (0, -AMOUNT), bob: (0, AMOUNT)})


def _nobody_reveals(
    stage: ChannelStage,
    payer: Party,
    payee: Party,
    incoming: StateChannelConfig,
    outgoing: StateChannelConfig,
    hash_: bytes,
) -> None:
    """Everybody closes by hand, so that no program learns of what is undone."""
    tell, channels = stage.tell, stage.channels
    closings = (
        ("Alice", stage.alice, incoming, payer.best(incoming.id)),
        ("Bob", stage.bob, outgoing, payee.best(outgoing.id)),
    )
    tell.step("What would happen if nobody revealed")
    with stage.dev.undone():
        for _, person, config, best in closings:
            stage.send(person, stage.contract, channels.start_close_call(config, best))
        tell.say("Alice and Bob close alone, each with the last state that Carol has signed")
        stage.dev.pass_time(PERIOD + 1)
        for name, person, config, best in closings:
            finish = channels.finish_close_call(config, best.state)
            stage.check_refused(
                f"{name} finishes before the lock is decided", stage.contract, person, finish, "LockUndecided"
            )
        lock = payer.state(incoming.id).lock(hash_)
        assert lock is not None
        stage.dev.pass_until(lock.deadline + 1)
        for _, person, config, best in closings:
            stage.send(person, stage.contract, channels.finish_close_call(config, best.state))
        owed = [stage.owed(stage.contract, one, stage.usdc) for one in (stage.alice, stage.bob, stage.carol)]
        tell.check(
            "after the deadlines both locks go back: everybody has what they deposited",
            owed == [100 * UNIT, 0, 100 * UNIT],
        )
