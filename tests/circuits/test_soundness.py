"""No wire of a satisfying witness can be anything else, of whatever class: inputs, selectors, bits, intermediates.

Three checks that complement each other, on the constraints alone:

- No wire can change alone: the constraints refuse each of the r - 1 other values that it could have.
- The inputs must *determine* all other wires: the derivative of the constraints by these wires has full rank. So no
  combination of wires can drift together either. (What it cannot see is a jump, such as a bit's from 0 to 1; the first
  check does.)
- No component can be filled from another satisfying witness: what goes into it is tied to the outside.
"""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from layer2.crypto.field import R
from layer2.ledger.constants import Kind
from layer2.zk.params import TEST_OPERATIONS, TEST_TRANSFERS, CircuitParams
from layer2.zk.r1cs import WitnessProbe
from tests.circuits.forge import KEYS, OWNERS, Fields, Leaf, World
from tests.circuits.harness import SOURCES, Circuit, segment_circuit
from tests.circuits.test_attacks_operations import ALICE, SIGNED, take
from tests.circuits.test_attacks_operations import world as operations_world
from tests.circuits.test_attacks_transfers import world as transfers_world

TRANSFERS = CircuitParams("transfers", 2, 1, 2)
OPERATIONS = CircuitParams("operations", 2, 1, 2)

FREE = {
    ".isz.inv": "inverse hint of IsEqual when its two inputs are equal: multiplied by their difference, which is 0",
    "isZero.inv": "inverse hint of IsZero when the fee is 0: multiplied by the fee",
    "ownerIsZero.inv": "inverse hint of IsZero when the owner is 0: multiplied by the owner",
    "isPadding.inv": "inverse hint of IsZero when `from` is 0: multiplied by `from`",
}
"""The only wires that may take other values, by a part of their name, and why that does not matter."""


def free_wires(circuit: Circuit, witness: tuple[int, ...]) -> set[int]:
    """The wires that are free in this witness: inverse hints whose input is zero, and then the hint itself is 0."""
    return {
        wire
        for wire, names in circuit.names.items()
        if witness[wire] == 0 and any(part in name for part in FREE for name in names)
    }


def inputs_of(circuit: Circuit, inputs: Fields) -> set[int]:
    """The wires of the input signals."""
    return {wire for name, wire in circuit.symbols.items() if name.removeprefix("main.").split("[")[0] in inputs}


def loose_wires(probe: WitnessProbe, wires: Iterable[int]) -> set[int]:
    """Those of the wires that can change alone unnoticed."""
    return {wire for wire in wires if probe.alternative(wire) is not None}


def witnesses() -> list[tuple[str, CircuitParams, World]]:
    found = []
    transfer = transfers_world()
    transfer.transfer(1, 6, 100, 0x12, KEYS[0])
    found.append(("transfer", TRANSFERS, transfer))
    to_self = transfers_world()
    to_self.transfer(1, 1, 0, 0, KEYS[0])
    found.append(("self-transfer of nothing", TRANSFERS, to_self))
    found.append(("padding of transfers", TRANSFERS, transfers_world()))
    for kind in Kind:
        step = operations_world()
        take(step, kind)
        found.append((kind.name, OPERATIONS, step))
    new = operations_world()
    take(new, Kind.DEPOSIT, account=0)
    found.append(("deposit to a new account", OPERATIONS, new))
    other_key = operations_world()
    take(other_key, Kind.DEPOSIT, key=KEYS[2].public_key)
    found.append(("deposit that wants an account of another key", OPERATIONS, other_key))
    nothing = operations_world()
    take(nothing, Kind.FORCED_WITHDRAWAL, owner=OWNERS[3])
    found.append(("forced withdrawal by a stranger", OPERATIONS, nothing))
    refund = operations_world().put(15, Leaf(1, KEYS[3].public_key, 0, 0, 0))
    take(refund, Kind.DEPOSIT, account=0)
    found.append(("deposit into a full tree", OPERATIONS, refund))
    return found


@pytest.fixture(scope="module", params=witnesses(), ids=lambda subject: subject[0])
def subject(request):
    _, params, world = request.param
    circuit = segment_circuit(params)
    inputs = world.inputs(params)
    return circuit, circuit.probe(inputs), inputs_of(circuit, inputs)


def test_no_wire_can_change_alone(subject):
    circuit, probe, _ = subject
    free = free_wires(circuit, probe.witness)
    loose = loose_wires(probe, range(1, circuit.r1cs.wires))
    assert {name for wire in loose - free for name in circuit.names[wire]} == set()


def test_inputs_determine_every_wire(subject):
    circuit, probe, inputs = subject
    free = free_wires(circuit, probe.witness)
    assert probe.freedom(inputs | free) == 0
    assert {wire for wire in free if probe.alternative(wire) is None} == set()


def test_quick_answers_are_right(subject):
    """`alternative` and `violated` against an evaluation of all constraints."""
    circuit, probe, _ = subject
    for wire in range(1, circuit.r1cs.wires, circuit.r1cs.wires // 5):
        for value in ((probe.witness[wire] + 1) % R, (1 - probe.witness[wire]) % R):
            witness = list(probe.witness)
            witness[wire] = value
            assert sorted(probe.violated({wire: value})) == circuit.r1cs.violated(witness)
    for wire in free_wires(circuit, probe.witness):
        witness = list(probe.witness)
        witness[wire] = probe.alternative(wire)
        assert witness[wire] != probe.witness[wire]
        assert circuit.r1cs.violated(witness) == []


@pytest.mark.parametrize("named", ["transfer", Kind.TRANSFER_TO_NEW.name])
def test_freedom_is_noticed(named):
    """The check itself: when z may move, y moves with it, and a hint that nothing ties moves by itself."""
    ((_, params, world),) = (found for found in witnesses() if found[0] == named)
    circuit, inputs = segment_circuit(params), world.inputs(params)
    probe = circuit.probe(inputs)
    free, fixed = free_wires(circuit, probe.witness), inputs_of(circuit, inputs)
    assert probe.freedom((fixed | free) - {circuit.symbols["main.z"], circuit.symbols["main.y"]}) == 1
    assert probe.freedom(fixed) == len(free)


def others() -> list[tuple[str, CircuitParams, World, World]]:
    """Pairs of worlds with a step of one kind each: differing in everything, or in nothing but the signer's key."""
    pairs = []
    for kind in (None, *SIGNED):
        params = TRANSFERS if kind is None else OPERATIONS
        name = "Transfers" if kind is None else kind.name
        keyed = []
        for signer in KEYS[:2]:
            alice = replace(ALICE, key=signer.public_key)
            if kind is None:
                keyed.append(transfers_world(alice))
                keyed[-1].transfer(1, 6, 100, 0x12, signer)
            else:
                keyed.append(operations_world(alice))
                take(keyed[-1], kind, signer=signer)
        pairs.append((f"{name}: signers", params, *keyed))
        worlds = []
        for turn in (0, 1):
            a = Leaf(OWNERS[turn], KEYS[turn].public_key, 7 + turn, 3 + turn, 1000 + turn)
            b = Leaf(OWNERS[2 + turn], KEYS[2 + turn].public_key, 7 + turn, 5 + turn, 77 + turn)
            world = World(2, [7 + turn, 9 - 4 * turn], 10**9 + turn).put(1 + turn, a).put(6 + 7 * turn, b)
            account, target, signer = 1 + turn, 6 + 7 * turn, KEYS[turn]
            new = {"owner": OWNERS[3 - turn], "key": KEYS[4 - turn].public_key}
            if kind is None:
                world.transfer(account, target, 50 + turn, 0x12 + turn, signer)
            elif kind is Kind.TRANSFER:
                world.operation(3, account, target=target, amount=50 + turn, fee=0x12 + turn, signer=signer)
            elif kind is Kind.TRANSFER_TO_NEW:
                world.operation(4, account, amount=50 + turn, fee=0x12 + turn, signer=signer, **new)
            elif kind is Kind.WITHDRAWAL:
                world.operation(5, account, amount=50 + turn, fee=0x12 + turn, signer=signer, owner=a.owner)
            else:
                world.operation(6, account, fee=0x12 + turn, signer=signer, key=new["key"])
            worlds.append(world)
        pairs.append((name, params, *worlds))
    return pairs


def components(circuit: Circuit) -> dict[str, set[int]]:
    """The wires of each component: those inside of it, and those around it that enter no constraint without it."""
    paths = {wire: names[0].split(".")[:-1] for wire, names in circuit.names.items()}

    def around(wire: int) -> set[str]:
        return {".".join(paths[wire][:depth]) for depth in range(2, len(paths[wire]) + 1)}

    owned: dict[str, set[int]] = {}
    for wire in paths:
        for component in around(wire):
            owned.setdefault(component, set()).add(wire)
    met = [set().union(*map(around, constraint.wires())) for constraint in circuit.r1cs.constraints]
    for wire, path in paths.items():
        if touching := circuit.r1cs.touching[wire]:
            shared = set.intersection(*(met[number] for number, *_ in touching))
            for component in shared:
                if component.split(".")[: len(path)] == path:
                    owned[component].add(wire)
    return owned


@pytest.mark.parametrize("pair", others(), ids=lambda pair: pair[0])
def test_no_component_can_come_from_another_witness(pair):
    """A component whose inputs were not tied to the outside could be satisfied by itself, with other inputs: somebody
    else's key and signature, say. What is inside of each is replaced by the same from another satisfying witness."""
    _, params, world, other_world = pair
    circuit = segment_circuit(params)
    probe = circuit.probe(world.inputs(params))
    other = circuit.witness(other_world.inputs(params))
    owned = components(circuit)
    replaced = 0
    for component, wires in owned.items():
        changes = {wire: other[wire] for wire in wires if other[wire] != probe.witness[wire]}
        if changes and component not in ("main.transfer[0]", "main.operation[0]"):
            replaced += 1
            assert probe.violated(changes), component
    assert replaced > 20


def test_no_value_is_assigned_without_a_constraint():
    """Hints (`<--`) are left to circomlib: what the project's own templates assign, they enforce."""
    for path in SOURCES.rglob("*.circom"):
        assert "<--" not in path.read_text(), path
        assert "-->" not in path.read_text(), path


def segments() -> list[tuple[str, CircuitParams, World]]:
    """Full segments of the test circuits: two steps and four levels."""
    accounts = {1: Leaf(OWNERS[0], KEYS[0].public_key, 7, 3, 10**6), 200: Leaf(OWNERS[1], KEYS[1].public_key, 7, 0, 5)}
    transfers = World(4, [7, 0])
    operations = World(4, [7, 0])
    for index, leaf in accounts.items():
        transfers.put(index, leaf)
        operations.put(index, leaf)
    transfers.transfer(1, 200, 100, 0x12, KEYS[0])
    transfers.transfer(200, 1, 50, 0x01, KEYS[1])
    operations.operation(1, 0, token=7, amount=77, owner=OWNERS[2], key=KEYS[2].public_key)
    operations.operation(3, 1, target=201, amount=100, fee=0x12, signer=KEYS[0])
    return [("transfers", TEST_TRANSFERS, transfers), ("operations", TEST_OPERATIONS, operations)]


@pytest.mark.parametrize(("name", "params", "world"), segments(), ids=lambda value: str(value)[:12])
def test_full_segment(name, params, world):
    circuit = segment_circuit(params)
    inputs = world.inputs(params)
    probe = circuit.probe(inputs)
    free = free_wires(circuit, probe.witness)
    loose = loose_wires(probe, range(1, circuit.r1cs.wires))
    assert {name for wire in loose - free for name in circuit.names[wire]} == set()
    assert probe.freedom(inputs_of(circuit, inputs) | free) == 0
