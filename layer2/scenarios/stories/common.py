"""Parts that several stories share."""

import re
from typing import Final

from layer2.optimistic.operations import Operation
from layer2.scenarios.cheat import Submitted
from layer2.scenarios.people import Person
from layer2.scenarios.stage import FEE, STAKE, UNIT, Ending, Stage, eth

HASHES: Final = re.compile(r"[,:] transaction 0x[0-9a-f]+")
"""What lines of a command say of transactions, which differs from run to run."""

CAUGHT: Final = STAKE // 2
"""What a challenger gets, and what is burned, when a sequencer with the minimum stake is caught."""

PAYMENT: Final = 10 * UNIT

PAID: Final = PAYMENT + FEE
"""What Alice has less after `payment`."""


def payment(stage: Stage) -> bytes:
    """Alice pays Bob 10 USDC: handed to Sam, who posts it as soon as L1 is right. The operation's id."""
    return stage.hand_in(stage.transfer(stage.alice, stage.bob, PAYMENT))


def body(*operations: Operation) -> bytes:
    """The bytes of a chunk with these operations."""
    return b"".join(operation.encode() for operation in operations)


def refused(stage: Stage, what: str, person: Person, call: bytes, error: str) -> None:
    """Check that the contract refuses somebody's call with this error, and say so."""
    stage.check_refused(what, stage.rollup.address, person, call, error)


def catch(stage: Stage, batch: Submitted, chunk: int, voided: int = 1) -> None:
    """Chloe finds a wrong batch and proves it; checks that everything is as if the batch had never been."""
    tell = stage.tell
    tell.step("Chloe disputes")
    burned = stage.books.burned()
    tell.check("she reserves the reward, then proves", stage.watch() == ["reserve", "prove"])
    fallen(stage, batch, chunk, voided, burned)


def fallen(stage: Stage, batch: Submitted, chunk: int, voided: int = 1, burned: int = 0) -> None:
    """Check that a batch was proven wrong by Chloe. burned: wei that had been burned before."""
    tell = stage.tell
    verdict = stage.verdict(batch.hash)
    tell.check(f"the contract executes chunk {chunk} itself: {verdict.gas:,} gas", verdict.chunk == chunk)
    fell = "the batch falls" if voided == 1 else f"{voided} batches fall"
    tell.check(f"{fell}, the one before is the tip", verdict.voided == voided)
    tell.check("by its hash as well", stage.rollup.view("tipHash") == batch.header.parent_hash)
    burned = stage.books.burned() - burned
    reward = stage.rollup.reward(batch.hash).amount
    tell.check(
        f"of the bond of {eth(verdict.slashed)} Chloe gets {eth(reward)}, {eth(burned)} are burned",
        verdict.slashed == STAKE and reward == burned == CAUGHT,
    )


def go_on(stage: Stage, payment: bytes) -> None:
    """Sam goes on from the true state, and all becomes final."""
    stage.tell.step("Life goes on")
    stage.settle()
    status = stage.sequencer.status(payment)
    stage.tell.check(
        "Alice's payment to Bob is in a batch of Sam's, and final", status is not None and status.state == "confirmed"
    )


def justice(stage: Stage) -> Ending:
    """The end of most stories: Alice has paid Bob, Sam has the fee, Mallory has lost the bond, nobody else a thing."""
    changes = {
        stage.alice: (0, -PAID),
        stage.bob: (0, PAYMENT),
        stage.sam: (0, FEE),
        stage.mallory: (-STAKE, 0),
        stage.chloe: (CAUGHT, 0),
    }
    return stage.close(changes, burned=CAUGHT)
