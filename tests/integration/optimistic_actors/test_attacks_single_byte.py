"""Whatever byte of a right batch is changed: L1 refuses it, it is right all the same, or a proof fells it."""

import random
from collections import Counter

import pytest

from layer2.chain.connection import Receipt
from layer2.chain.sending import send
from layer2.optimistic.evidence import PostedBatch, check_batch, make_evidence
from layer2.optimistic.operations import QueueEntry
from tests.support.anvil import signer
from tests.support.optimistic import Draft
from tests.support.optimistic_world import UNIT, OptimisticWorld

SELECTOR = 4
HEAD = SELECTOR + 15 * 32
"""Selector, fourteen words of arguments, and the length of the data."""
BLOB_SAMPLE = 40


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
        with world.follower() as follower:
            follower.sync()
            start = self.parent.header.queue_cursor
            self.queue = [row.entry.operation.to_slot() for row in follower._store.queued(start)]
        chunks = [paid[0], paid[1], QueueEntry().encode(), b"\xff what follows an unknown kind means nothing"]
        self.draft: Draft = world.make(chunks=chunks, queue=1)
        assert len(self.draft.chunks) == len(chunks)

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


def test_bytes_of_a_blob(attacker: Attacker) -> None:
    draft = attacker.draft
    call = attacker.world.rollup.submit_call(draft.state_root, attacker.parent.hash, draft.claim, b"")
    assert attacker.judge(call, draft.blob) == "right"
    source = random.Random(2)
    fates = []
    used = range(len(draft.chunks) * 2048)
    for place in source.sample([place for place in used if draft.blob[place]], BLOB_SAMPLE):
        changed = bytearray(draft.blob)
        changed[place] ^= source.randint(1, 255)
        fates.append(attacker.judge(call, bytes(changed)))

    print(Counter(fates))
    assert set(fates) == {"right", "proven"}
