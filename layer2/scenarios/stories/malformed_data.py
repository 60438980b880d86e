"""Data that says nothing: in calldata it is refused, in a blob it is provable."""

from dataclasses import replace

from layer2.optimistic.batches import StateWords
from layer2.optimistic.operations import Nothing
from layer2.scenarios.cheat import Cheat, garbage, mint
from layer2.scenarios.stage import STAKE, UNIT, Ending, Stage, eth
from layer2.scenarios.stories.common import body, catch, go_on, justice, payment, refused


def play(stage: Stage) -> Ending:
    """In both modes."""
    tell = stage.tell
    stage.open()
    rollup = stage.rollup
    cheat = Cheat(rollup, stage.mallory)
    state = stage.audit()
    waiting = payment(stage)

    tell.step("Calldata that does not parse is refused at once")
    draft = cheat.draft(state, [body(Nothing()), body(Nothing())])
    for what, data, chunks in (
        ("the last byte is missing", draft.data[:-1], 2),
        ("one byte too many", draft.data + b"\0", 2),
        ("two chunks, three are claimed", draft.data, 3),
        ("a chunk of 1952 bytes", draft.data[:31] + (1952).to_bytes(2) + bytes(1952), 1),
        ("no chunks", draft.data, 0),
        ("65 chunks", draft.data[:34] * 65, 65),
    ):
        call = cheat.call(replace(draft, data=data, chunks=chunks))
        refused(stage, what, stage.mallory, call, "MalformedData" if 0 < chunks < 65 else "WrongChunkCount")
    tell.check(f"Mallory's bond is untouched: {eth(STAKE)}", rollup.bond(stage.mallory.address).amount == STAKE)

    tell.step("A blob of noise")
    claimed = mint(stage.account(stage.mallory), 149 * UNIT)(state)
    noise = replace(draft, data=garbage("noise"), is_blob=True, chunks=3, words=StateWords.of(claimed))
    batch = cheat.submit(noise)
    tell.say("4,096 random field elements, and the claim that Mallory has 150 USDC after them")
    tell.check("the contract cannot look into blobs, and takes it for now", rollup.view("tipHash") == batch.hash)
    tell.say("Every byte string has one meaning, noise as well: Chloe executes what it says, which is next to nothing")

    catch(stage, batch, chunk=0)
    go_on(stage, waiting)
    return justice(stage)
