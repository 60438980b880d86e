"""Each template of circuits/lib/ on its own, with tiny parameters: right values, refused values, no loose wire."""

import re

import pytest

from layer2.crypto.babyjub import multiply_b8
from layer2.crypto.eddsa import B8, Point
from layer2.crypto.field import L, R
from layer2.crypto.poseidon import poseidon
from layer2.ledger.account import Account
from layer2.ledger.amounts import decode_fee8, decode_float40, encode_float40
from layer2.ledger.constants import Kind
from layer2.ledger.operations import Operation
from layer2.ledger.operations import message as signed_message
from layer2.ledger.tree import StateTree, root_of_path
from layer2.toolchain import PROJECT
from layer2.zk.segments import digest, evaluate
from tests.circuits.forge import KEYS
from tests.circuits.harness import Circuit, template_circuit
from tests.circuits.test_soundness import free_wires, inputs_of, loose_wires


def outputs(circuit: Circuit, inputs: dict) -> list[int]:
    """The output wires of a template that is the main component; they come first."""
    return circuit.witness(inputs)[1 : 1 + circuit.r1cs.public_outputs]


def assert_sound(circuit: Circuit, inputs: dict) -> None:
    """Every wire but the inputs changed in turn is refused, and the inputs determine the others."""
    probe = circuit.probe(inputs)
    given = inputs_of(circuit, inputs)
    free = free_wires(circuit, probe.witness)
    loose = loose_wires(probe, set(range(1, circuit.r1cs.wires)) - given)
    assert {name for wire in loose - free for name in circuit.names[wire]} == set()
    assert probe.freedom(given | free) == 0


# ---------------------------------------------------------------- tree


@pytest.mark.parametrize("position", range(4))
def test_child_position(position):
    circuit = template_circuit("tree", "ChildPosition()")
    inputs = {"low": position & 1, "high": position >> 1}
    assert outputs(circuit, inputs) == [int(position == p) for p in range(4)]


@pytest.mark.parametrize("position", range(4))
def test_tree_level(position):
    circuit = template_circuit("tree", "TreeLevel()")
    inputs = {"low": position & 1, "high": position >> 1, "before": 11, "after": 22, "siblings": [1, 2, 3]}
    children = [1, 2, 3]
    children.insert(position, 11)
    after = list(children)
    after[position] = 22
    assert outputs(circuit, inputs) == [poseidon(children), poseidon(after)]
    assert_sound(circuit, inputs)


@pytest.mark.parametrize("index", [0, 1, 2, 3, 4, 9, 14, 15])
def test_leaf_update(index):
    circuit = template_circuit("tree", "LeafUpdate(2)")
    tree = StateTree(2).set(3, 33).set(9, 99).set(index, 5)
    path = tree.path(index)
    inputs = {
        "indexBits": [index >> bit & 1 for bit in range(4)],
        "leafBefore": 5,
        "leafAfter": 6,
        "siblings": path,
    }
    after = tree.set(index, 6).root
    assert outputs(circuit, inputs) == [tree.root, after]
    assert root_of_path(index, 6, path) == after
    assert_sound(circuit, inputs)


# ---------------------------------------------------------------- amounts


@pytest.mark.parametrize(
    "encoded", [0, 1, (1 << 35) - 1, 1 << 35, 1 << 35 | 1, 31 << 35 | 7, (1 << 40) - 1, encode_float40(10**37)]
)
def test_float40(encoded):
    circuit = template_circuit("amounts", "Float40()")
    assert outputs(circuit, {"encoded": encoded}) == [decode_float40(encoded)]
    assert_sound(circuit, {"encoded": encoded})


@pytest.mark.parametrize("encoded", [1 << 40, (1 << 40) + 1, R - 1])
def test_float40_beyond_40_bits(encoded):
    assert not template_circuit("amounts", "Float40()").accepts({"encoded": encoded})


def test_fee8_of_every_byte():
    circuit = template_circuit("amounts", "Fee8()")
    for encoded in range(256):
        assert outputs(circuit, {"encoded": encoded}) == [decode_fee8(encoded)]
    for encoded in (0, 0x12, 0xFF):
        assert_sound(circuit, {"encoded": encoded})
    for encoded in (256, 512, R - 1):
        assert not circuit.accepts({"encoded": encoded})


# ---------------------------------------------------------------- account


def test_account_leaf():
    circuit = template_circuit("account", "AccountLeaf()")
    account = Account(2**160 - 1, Point(R - 1, 5), 2**16 - 1, 2**32 - 1, 2**128 - 1)
    inputs = {
        "owner": account.owner,
        "key": account.key,
        "token": account.token,
        "nonce": account.nonce,
        "balance": account.balance,
    }
    assert outputs(circuit, inputs) == [account.leaf()]


@pytest.mark.parametrize("bits", [1, 16, 32, 128, 160])
def test_range(bits):
    circuit = template_circuit("account", f"Range({bits})")
    for value in (0, 1, 2**bits - 1):
        assert circuit.accepts({"in": value})
    for value in (2**bits, 2**bits + 1, 2**253, R - 1, R - 2**bits):
        assert not circuit.accepts({"in": value})
    assert_sound(circuit, {"in": 1})


@pytest.mark.parametrize(("nonce", "maximum"), [(0, 0), (2**32 - 2, 0), (2**32 - 1, 1)])
def test_nonce_range(nonce, maximum):
    circuit = template_circuit("account", "NonceRange()")
    assert outputs(circuit, {"nonce": nonce}) == [maximum]
    assert_sound(circuit, {"nonce": nonce})
    for value in (2**32, R - 1):
        assert not circuit.accepts({"nonce": value})


# ---------------------------------------------------------------- signature


@pytest.mark.parametrize("point", [B8, (0, 1), (0, R - 1), multiply_b8(5)])
def test_curve_defect_of_points(point):
    assert outputs(template_circuit("signature", "CurveDefect()"), {"point": point}) == [0]


@pytest.mark.parametrize("point", [(0, 0), (1, 1), (B8.x, B8.y + 1)])
def test_curve_defect_of_others(point):
    x, y = point
    defect = (168700 * x * x + y * y - 1 - 168696 * x * x * y * y) % R
    assert defect
    assert outputs(template_circuit("signature", "CurveDefect()"), {"point": point}) == [defect]


def signature_inputs(number: int, message: int = 123456789) -> dict:
    key = KEYS[number]
    r8, s = key.sign(message)
    return {"enabled": 1, "key": key.public_key, "r8": r8, "s": s, "message": message}


@pytest.mark.parametrize("number", range(len(KEYS)))
def test_signature(number):
    circuit = template_circuit("signature", "Signature()")
    inputs = signature_inputs(number)
    assert circuit.accepts(inputs)
    for name in ("key", "r8"):
        assert not circuit.accepts(inputs | {name: multiply_b8(4)})
    for name in ("s", "message"):
        assert not circuit.accepts(inputs | {name: inputs[name] + 1})
    assert not circuit.accepts(inputs | {"s": inputs["s"] + L})


def test_signature_without_loose_wires():
    circuit = template_circuit("signature", "Signature()")
    assert_sound(circuit, signature_inputs(0))
    disabled = {"enabled": 0, "key": B8, "r8": (0, 1), "s": 0, "message": 0}
    assert circuit.accepts(disabled)
    assert not circuit.accepts(disabled | {"enabled": 1})


# ---------------------------------------------------------------- message


def test_operation_message():
    circuit = template_circuit("message", "OperationMessage()")
    operation = Operation.transfer(2**32 - 1, 2**32 - 2, 2**16 - 1, 2**128 - 1, 255)
    inputs = {
        "domain": 77,
        "kind": int(Kind.TRANSFER),
        "account": operation.account,
        "to": operation.to,
        "amount": operation.amount,
        "nonce": 2**32 - 2,
        "owner": 2**160 - 1,
        "token": operation.token,
        "fee": operation.fee,
        "expiry": 2**40 - 1,
        "key": (R - 1, R - 2),
    }
    signed = (77, operation, 2**32 - 2, 2**40 - 1, 2**160 - 1)
    assert outputs(circuit, inputs) == [signed_message(*signed, Point(R - 1, R - 2))]
    swapped = outputs(circuit, inputs | {"key": (R - 2, R - 1)})
    assert swapped == [signed_message(*signed, Point(R - 2, R - 1))] != outputs(circuit, inputs)
    assert_sound(circuit, inputs)


@pytest.mark.parametrize(
    ("operation", "key"),
    [
        (Operation.transfer_to_new(1, 7, 5, 9, KEYS[1].public_key), KEYS[1].public_key),
        (Operation.withdrawal(1, 7, 5, 9), Point(0, 0)),
        (Operation.key_change(1, 7, KEYS[1].public_key), KEYS[1].public_key),
    ],
    ids=lambda value: value.kind.name if isinstance(value, Operation) else "",
)
def test_operation_message_of_kinds_without_a_recipient(operation, key):
    circuit = template_circuit("message", "OperationMessage()")
    inputs = {
        "domain": 77,
        "kind": int(operation.kind),
        "account": 1,
        "to": 0,
        "amount": operation.amount,
        "nonce": 3,
        "owner": operation.owner,
        "token": 7,
        "fee": 0,
        "expiry": 4,
        "key": key,
    }
    assert outputs(circuit, inputs) == [signed_message(77, operation, 3, 4)]


# ---------------------------------------------------------------- fees


@pytest.mark.parametrize(
    ("fee", "chosen", "accepted"),
    [
        (20, [1, 0], True),
        (20, [0, 1], False),  # of another token
        (20, [0, 0], False),
        (20, [1, 1], False),
        (20, [2, R - 1], False),
        (0, [0, 0], True),
        (0, [1, 0], False),
    ],
)
def test_fee_slot(fee, chosen, accepted):
    circuit = template_circuit("fees", "FeeSlot(2)")
    inputs = {"token": 7, "fee": fee, "slotToken": [7, 8], "inSlot": chosen}
    assert circuit.accepts(inputs) == accepted
    if accepted:
        assert outputs(circuit, inputs) == [fee, 0]
        assert_sound(circuit, inputs)


# ---------------------------------------------------------------- binding


@pytest.mark.parametrize("length", [1, 10, 11, 12, 23])
def test_data_binding(length):
    circuit = template_circuit("binding", f"DataBinding({length})", "z, D, y")
    data = [(i + 1) ** 40 for i in range(length)]
    z = 2**200 + 1
    inputs = {"data": data, "z": z, "D": digest(data), "y": evaluate(data, z)}
    assert circuit.accepts(inputs)
    assert not circuit.accepts(inputs | {"D": inputs["D"] + 1})
    assert not circuit.accepts(inputs | {"y": inputs["y"] + 1})
    if length > 1:
        assert not circuit.accepts(inputs | {"z": z + 1})
    for changed in range(length):
        other = [value + (i == changed) for i, value in enumerate(data)]
        assert not circuit.accepts(inputs | {"data": other})
        assert not circuit.accepts(inputs | {"data": other, "D": digest(other)})
        assert not circuit.accepts(inputs | {"data": other, "y": evaluate(other, z)})
    assert_sound(circuit, inputs)


# ---------------------------------------------------------------- one source of constants


def test_circom_has_the_ledgers_kinds():
    source = (PROJECT / "circuits" / "lib" / "operation.circom").read_text()
    constants = {name: int(value) for name, value in re.findall(r"^    var ([A-Z_]+) = (\d+);$", source, re.MULTILINE)}
    assert constants == {kind.name: int(kind) for kind in Kind} | {"KINDS": len(Kind)}


def test_circom_has_the_curves_base_point():
    source = (PROJECT / "circuits" / "lib" / "signature.circom").read_text()
    assert [int(number) for number in re.findall(r"\d{60,}", source)] == list(B8)
