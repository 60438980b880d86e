"""Blobs that are no batch: whatever 4096 elements a sequencer posts, a challenger opens them and the batch falls."""

import random
from dataclasses import replace

import pytest

from layer2.chain.sending import send
from layer2.optimistic.blobs import MODULUS
from layer2.optimistic.constants import BLOB_BYTES, BLOB_ELEMENTS, MAX_CHUNKS
from tests.support.optimistic_world import OptimisticWorld

SOURCE = random.Random(1)
BLOBS = {
    "zeros: commitment and proofs are the point at infinity": bytes(BLOB_BYTES),
    "one element again and again: proofs are the point at infinity": (b"\0" + b"\x05" * 31) * BLOB_ELEMENTS,
    "largest elements": (MODULUS - 1).to_bytes(32) * BLOB_ELEMENTS,
    "noise, first bytes too": b"".join(SOURCE.randrange(MODULUS).to_bytes(32) for _ in range(BLOB_ELEMENTS)),
    "one element, then nothing": b"\x01" * 32 + bytes(BLOB_BYTES - 32),
}


@pytest.mark.parametrize("chunks", [1, 2, MAX_CHUNKS])
@pytest.mark.parametrize("name", BLOBS)
def test_attack_a_blob_of_garbage(world: OptimisticWorld, name: str, chunks: int) -> None:
    world.deposit(world.alice, 5)
    draft = world.make(queue=1)
    right = world.rollup.tip()
    claim = replace(draft.claim, chunks=chunks)
    call = world.rollup.submit_call(b"\x22" * 32, right.batch_hash, claim, b"")
    send(world.chain, world.operator, world.rollup.address, call, blobs=[BLOBS[name]])
    assert world.rollup.tip().batch_id == right.batch_id + 1

    with world.challenger(reserve=False) as challenger:
        challenger.run_until_idle()
        assert world.rollup.tip() == right
        assert challenger.position.hash == right.batch_hash
    assert world.rollup.bond(world.operator.address).amount == 0
