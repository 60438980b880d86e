"""Whatever byte of a right batch is changed: L1 refuses it, it is right all the same, or a proof fells it."""

import random
from collections import Counter

import pytest

from layer2.chain.connection import Receipt
from layer2.chain.sending import send
from layer2.optimistic.constants import BLOB_BYTES, CELL_ELEMENTS, COMMITMENT_BYTES, ELEMENT_BYTES, LENGTH_BYTES
from layer2.optimistic.evidence import PostedBatch, check_batch, make_evidence
from layer2.optimistic.operations import CreatePool, MintNFT, QueueEntry, Swap
from tests.support.anvil import signer
from tests.support.optimistic import FOREVER, Draft
from tests.support.optimistic_world import UNIT, OptimisticWorld

SELECTOR = 4
HEAD = SELECTOR + 15 * 32
"""Selector, fourteen words of arguments, and the length of the data."""
FIRST_BYTES = 0x73
"""An element of a blob is below a number that begins with this byte: a first byte below it is one of an element."""
SAMPLE = {
    "commitment": (6, {"proven"}),
    "last commitment": (2, {"right"}),
    "length": (3, {"right", "proven"}),
    "operations": (14, {"right", "proven"}),
    "zeros of operations": (4, {"right", "proven"}),
    "after the operations": (4, {"right"}),
    "first byte of an element": (4, {"right"}),
    "first byte after the last cell": (1, {"right"}),
    "unused cells": (3, {"right"}),
}
"""How many bytes of a blob of each role are changed, and what may become of the batch then."""


class Attacker:
    """Submits changed copies of one right batch, and judges each."""

    def __init__(self, world: OptimisticWorld) -> None:
        self.world = world
        with world.follower() as follower:
            follower.sync()
            self.parent = follower.position
            look = self.parent.state.record
        paid = [world.transfer(world.alice, world.bob, UNIT, look, fee=10), world.withdrawal(world.carol, UNIT, look)]
        world.deposit(world.alice, UNIT, account=world.alice.account)
        world.deposit(world.alice, 10**18, token=0)
        with world.follower() as follower:
            follower.sync()
            start = self.parent.header.queue_cursor
            self.queue = [row.entry.operation.to_slot() for row in follower._store.queued(start)]
        alice, ether = world.alice.account, self.parent.state.next_index
        pool = ether + 1
        chunks = [paid[0], paid[1], QueueEntry().encode() * 2]
        for operation in (
            CreatePool(alice, ether, 10 * UNIT, 10**17, 0, FOREVER),
            Swap(alice, ether, pool, UNIT, 10**15, 10, FOREVER),
            MintNFT(alice, b"\x09" * 32, 10, FOREVER),
        ):
            look = world.make(chunks=chunks, queue=2).states[-1].record
            chunks[-1] += world.sign(world.alice, operation, look)
        chunks.append(b"\xff what follows an unknown kind means nothing")
        self.draft: Draft = world.make(chunks=chunks, queue=2)
        assert len(self.draft.chunks) == len(chunks)
        # The pool, the position and the NFT are there, and the swap has brought something.
        after = self.draft.states[-1]
        assert after.next_index == ether + 4
        assert after.record(ether).balance > 10**18 - 10**17

    def judge(self, call: bytes, blob: bytes | None = None) -> str:
        """ "refused", "right" or "proven"; fails when the batch is wrong and cannot be proven so."""
        world, rollup = self.world, self.world.rollup
        before = world.anvil.snapshot()
        try:
            if blob is None:
                receipt = self._send(call)
            else:
                receipt = send(world.chain, world.operator, rollup.address, call, blobs=[blob])
            if not receipt.ok:
                return "refused"
            block = receipt.block.number
            (log,) = world.chain.logs(rollup.address, block, block, [rollup.coder.topic("BatchSubmitted")])
            event = rollup.event(log)
            assert event is not None
            batch = rollup.submitted_batch(event)
            posted = PostedBatch(
                batch.batch_id,
                batch.header,
                self.parent.header,
                batch.calldata if blob is None else blob,
                self.queue,
                world.deployment.domain_separator,
            )
            checked = check_batch(self.parent.state, posted)
            if checked.wrong_chunk is None:
                assert checked.after.commitment() == batch.header.commitment()
                return "right"
            evidence = make_evidence(posted, checked.wrong_chunk, checked.before)
            world.chain.call(rollup.address, rollup.prove_call(evidence), signer(4).address)
            return "proven"
        finally:
            world.anvil.revert(before)

    def _send(self, call: bytes) -> Receipt:
        """Leaves signing to Anvil and does not ask what it costs: there are hundreds."""
        transaction = {
            "from": self.world.operator.address,
            "to": self.world.rollup.address,
            "data": f"0x{call.hex()}",
            "gas": hex(2_000_000),
        }
        return self.world.chain.wait(bytes.fromhex(self.world.anvil.request("eth_sendTransaction", transaction)[2:]))


@pytest.fixture
def attacker(world: OptimisticWorld) -> Attacker:
    return Attacker(world)


def test_any_byte_of_the_input(attacker: Attacker) -> None:
    draft = attacker.draft
    call = attacker.world.rollup.submit_call(draft.state_root, attacker.parent.hash, draft.claim, draft.transactions)
    assert attacker.judge(call) == "right"
    source = random.Random(1)
    fates: dict[int, str] = {}
    for place in range(SELECTOR, len(call)):
        changed = bytearray(call)
        changed[place] ^= source.randint(1, 255)
        fates[place] = attacker.judge(bytes(changed))

    print(Counter(fates.values()))
    assert set(fates.values()) == {"refused", "right", "proven"}
    words = {place // 32: set() for place in range(HEAD - SELECTOR)}
    for place, fate in fates.items():
        if place < HEAD:
            words[(place - SELECTOR) // 32].add(fate)
    # State root; what is refused for its own sake; withdrawal root and fees, of which every byte counts.
    assert words[0] == {"proven"}
    assert words[1] == words[6] == {"refused"}
    assert words[7] == {"proven"}
    assert [words[number] for number in range(9, 13)] == [{"proven"}] * 4


def roles(draft: Draft) -> dict[str, list[int]]:
    """The places of a blob's bytes by what they are for (docs/optimistic.md §4)."""
    found: dict[str, list[int]] = {role: [] for role in SAMPLE}
    start = COMMITMENT_BYTES + LENGTH_BYTES
    end = len(draft.chunks) * CELL_ELEMENTS * ELEMENT_BYTES
    for place, value in enumerate(draft.blob):
        element, byte = divmod(place, ELEMENT_BYTES)
        cell, element = divmod(element, CELL_ELEMENTS)
        offset = element * (ELEMENT_BYTES - 1) + byte - 1
        if byte == 0:
            role = "first byte of an element"
        elif place == end + 1:
            role = "first byte after the last cell"
        elif place > end:
            role = "unused cells"
        elif offset < COMMITMENT_BYTES:
            role = "commitment" if cell + 1 < len(draft.chunks) else "last commitment"
        elif offset < start:
            role = "length"
        elif offset >= start + len(draft.chunks[cell].operations):
            role = "after the operations"
        else:
            role = "operations" if value else "zeros of operations"
        found[role].append(place)
    return found


def test_bytes_of_a_blob(attacker: Attacker) -> None:
    """Of each role some. All elements begin with any byte, which means nothing, whatever becomes of the batch."""
    draft = attacker.draft
    call = attacker.world.rollup.submit_call(draft.state_root, attacker.parent.hash, draft.claim, b"")
    source = random.Random(2)
    blob = bytearray(draft.blob)
    blob[::ELEMENT_BYTES] = (source.randrange(FIRST_BYTES) for _ in range(BLOB_BYTES // ELEMENT_BYTES))
    assert attacker.judge(call, bytes(blob)) == "right"
    places = roles(draft)
    fates: dict[str, Counter[str]] = {}
    for role, (count, _) in SAMPLE.items():
        fates[role] = Counter()
        for place in source.sample(places[role], count):
            changed = bytearray(blob)
            limit = FIRST_BYTES if place % ELEMENT_BYTES == 0 else 256
            changed[place] = (blob[place] + source.randrange(1, limit)) % limit
            fates[role][attacker.judge(call, bytes(changed))] += 1

    print(fates)
    assert {role: set(fate) for role, fate in fates.items() if not set(fate) <= SAMPLE[role][1]} == {}
    assert set(fates["operations"]) == {"right", "proven"}
