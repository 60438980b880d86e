"""Whatever the circuits let an operator post, a node has to read and end in the same root (docs/protocol.md §8).

The operator makes its bytes by hand: padding in the middle, floats that are not canonical, fees of one token in two
entries, an entry of nothing, amounts that are no float40 in a slot, a signed operation on an account of this segment.
"""

import pytest

from layer2.ledger.account import Account
from layer2.ledger.state import State
from layer2.zk.batch import Circuits, decode_batch, replay_batch
from layer2.zk.params import CircuitParams
from tests.circuits.forge import KEYS, OWNERS, TIMESTAMP, Leaf, World
from tests.circuits.harness import segment_circuit

TRANSFERS = CircuitParams("transfers", 2, 4, 2)
OPERATIONS = CircuitParams("operations", 2, 4, 2)
CIRCUITS = Circuits(TRANSFERS, OPERATIONS)
LEAVES = [Leaf(OWNERS[i], KEYS[i].public_key, 7, i, 10**12) for i in range(3)]


def start(slot_tokens: list[int]) -> tuple[World, State]:
    world = World(2, slot_tokens)
    for index, leaf in enumerate(LEAVES, 1):
        world.put(index, leaf)
    accounts = [Account(a.owner, a.key, a.token, a.nonce, a.balance) for a in LEAVES]
    return world, State.from_accounts(2, accounts, world.root_before)


def header(circuit: int, count: int, world: World, fees: list[tuple[int, int]]) -> bytes:
    data = TIMESTAMP.to_bytes(5) + circuit.to_bytes(1) + count.to_bytes(2) + world.tree.root.to_bytes(32)
    if circuit:
        data += world.next_index.to_bytes(5)
    return data + len(fees).to_bytes(1) + b"".join(token.to_bytes(2) + total.to_bytes(16) for token, total in fees)


@pytest.mark.parametrize("trailing_padding", [False, True])
def test_odd_transfers(trailing_padding):
    world, state = start([7, 7])
    world.padding_transfer()
    # 3·10² twice: canonical 300 and 3e2; the fee bytes 0x30 (0·10³) and 0x12, the latter in the second entry.
    world.transfer(1, 2, 2 << 35 | 3, 0x30, KEYS[0])
    world.transfer(2, 1, 300, 0x12, KEYS[1], inSlot=[0, 1])
    if trailing_padding:
        world.padding_transfer()
    else:
        world.transfer(2, 2, 31 << 35, 0x21, KEYS[1])  # 0·10³¹ to itself
    assert segment_circuit(TRANSFERS).accepts(world.inputs(TRANSFERS))
    posted = b"".join(
        f["from"].to_bytes(1) + f["to"].to_bytes(1) + f["amountFloat"].to_bytes(5) + f["feeByte"].to_bytes(1)
        for f in world.steps
    )
    fees = [(7, 0 if trailing_padding else 100), (7, 20)]
    after = replay_batch(state, decode_batch(header(0, 4, world, fees) + posted, CIRCUITS))
    assert after.state.root == world.tree.root
    assert len(after.steps) == (2 if trailing_padding else 3)


def test_odd_operations():
    world, state = start([7, 65535])
    world.operation(0)
    amount = 10**11 + 123_456_789  # 12 digits: no float40
    world.operation(3, 1, target=2, amount=amount, fee=0x20, signer=KEYS[0])
    world.operation(0)
    world.operation(2, 2, owner=OWNERS[1])
    assert segment_circuit(OPERATIONS).accepts(world.inputs(OPERATIONS))
    posted = b""
    for f in world.steps:
        kind = f["isKind"].index(1)
        to = f["targetIndex"] if kind == 3 else 0
        posted += (
            kind.to_bytes(1) + f["account"].to_bytes(4) + to.to_bytes(4) + f["token"].to_bytes(2)
            + f["feeByte"].to_bytes(1) + f["amount"].to_bytes(16) + f["owner"].to_bytes(20) + bytes(64)
        )  # fmt: skip
    # Token 65535 is nobody's: an entry of nothing.
    after = replay_batch(state, decode_batch(header(1, 4, world, [(7, 0), (65535, 0)]) + posted, CIRCUITS))
    assert after.state.root == world.tree.root
    assert after.state.account(2).balance == 0
    assert [step.operation.amount for step in after.steps] == [amount, 10**12 + amount]
